//! Weir's part of `bench/run landing` and `bench/run decode`: makes the events from a seed, measures what limits a run,
//! and decodes in several ways. What it measured it prints in JSON.

#![allow(clippy::print_stdout, reason = "a measurement's output is its purpose")]

mod decoders;
mod events;
mod frames;
mod limits;
mod prepare;

use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};
use weir_testkit::process::{Used, peak_rss_mb, reset_peak, used};

use crate::events::{Shape, Sum};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "usage: landing prepare DIR [--rows N] [--seed N] [--broken-one-in N] [--brokers B --registry URL] | \
                     landing consume DIR | landing encode DIR LAKE | landing decode DIR weir|arrow-avro|apache-avro";

fn main() -> Result<(), Failure> {
    // `cargo bench` adds a flag of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|text| text != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Runtime::new()?;
    let measured = match words.as_slice() {
        ["prepare", dir, flags @ ..] => return runtime.block_on(prepared(PathBuf::from(dir), flags)),
        ["consume", dir] => limits::consume(dir.as_ref())?,
        ["encode", dir, lake] => runtime.block_on(limits::encode(dir.as_ref(), lake.as_ref()))?,
        ["decode", dir, by] => decoders::run(dir.as_ref(), by)?,
        // Without arguments, as `cargo bench` calls it: nothing to measure.
        [] => return Ok(()),
        _ => return Err(USAGE.into()),
    };
    println!("{measured}");
    Ok(())
}

async fn prepared(dir: PathBuf, flags: &[&str]) -> Result<(), Failure> {
    let mut shape = Shape::default();
    let (mut brokers, mut registry, mut one_in) = (None, None, None);
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        let value = *flags.next().ok_or("a value is missing")?;
        match *flag {
            "--rows" => shape.rows = value.parse()?,
            "--seed" => shape.seed = value.parse()?,
            "--broken-one-in" => one_in = Some(value.parse()?),
            "--brokers" => brokers = Some(value),
            "--registry" => registry = Some(value),
            _ => return Err(USAGE.into()),
        }
    }
    prepare::prepare(&dir, shape, one_in, brokers.zip(registry)).await
}

/// A clock that runs only while what is measured does.
struct Clock {
    seconds: f64,
    cpu_seconds: f64,
    bytes_written: u64,
}

impl Clock {
    fn new() -> Self {
        reset_peak();
        Self { seconds: 0.0, cpu_seconds: 0.0, bytes_written: 0 }
    }

    fn start() -> Result<(Instant, Used), Failure> {
        Ok((Instant::now(), used()?))
    }

    fn stop(&mut self, (began, before): (Instant, Used)) -> Result<(), Failure> {
        self.seconds += began.elapsed().as_secs_f64();
        let after = used()?;
        self.cpu_seconds += after.cpu_seconds - before.cpu_seconds;
        self.bytes_written += after.bytes_written - before.bytes_written;
        Ok(())
    }

    fn said(&self, found: &Sum, expected: &Sum) -> Result<Value, Failure> {
        Ok(json!({
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "bytes_written": self.bytes_written,
            "peak_rss_mb": peak_rss_mb()?,
            "ok": found == expected,
            "found": found,
        }))
    }
}
