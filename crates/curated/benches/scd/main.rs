//! Weir's part of `bench/run scd`: makes the changes from a seed, and builds over them batch by batch.
//!
//! `scd prepare DIR` writes what all contestants read; `scd run DIR LAKE` is the contestant Weir, and prints what
//! it measured and whether the table is right, in JSON.

#![allow(clippy::print_stdout, reason = "a measurement's output is its purpose")]

mod contestant;
mod events;
mod input;

use std::path::PathBuf;

use events::Shape;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    // `cargo bench` adds a flag of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|text| text != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Runtime::new()?;
    match words.as_slice() {
        ["prepare", dir, flags @ ..] => runtime.block_on(input::prepare(&PathBuf::from(dir), &shape(flags)?)),
        ["run", dir, lake] => {
            let measured = runtime.block_on(contestant::run(&PathBuf::from(dir), &PathBuf::from(lake)))?;
            println!("{measured}");
            Ok(())
        }
        // Without arguments, as `cargo bench` calls it: nothing to measure.
        [] => Ok(()),
        _ => Err("usage: scd prepare DIR [--rows N] [--changes N] [--batches N] [--seed N] [--buckets N] \
                  [--clustered] | scd run DIR LAKE"
            .into()),
    }
}

fn shape(flags: &[&str]) -> Result<Shape, Failure> {
    let mut shape = Shape::default();
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        let mut number = || flags.next().ok_or("a number is missing")?.parse::<u64>().map_err(Failure::from);
        match *flag {
            "--rows" => shape.rows = number()?,
            "--changes" => shape.changes = number()?,
            "--batches" => shape.batches = number()?,
            "--seed" => shape.seed = number()?,
            "--buckets" => shape.buckets = number()?,
            "--clustered" => shape.clustered = true,
            other => return Err(format!("unknown flag {other}").into()),
        }
    }
    Ok(shape)
}
