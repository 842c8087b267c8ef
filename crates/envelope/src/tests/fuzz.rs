//! The walk over a message against generated schemas, messages, frames and damage of all three, in batches.
//!
//! Each input is a text of bytes that decides everything, so a failure is that text: it is made as short as still fails
//! and printed, `WEIR_FUZZ_INPUT=HEX` runs it alone, and what it found becomes a test with a name. `./dev test` runs a
//! fixed number of inputs from a fixed seed; `./dev fuzz SECONDS` runs others for as long.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use weir_core::schema_id::SchemaId;

use super::damage::{hold, record};
use super::fixtures::table;
use super::generated::{Choices, generated};
use crate::Decoder;

/// Inputs of a run that nobody asked to be longer.
const INPUTS: u64 = 100_000;

/// Numbers from a seed (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Most inputs are short: they reach what is deep as well, and fail readably.
    fn input(&mut self) -> Vec<u8> {
        let length = 8 + (self.next() % 200) as usize;
        let mut input = Vec::with_capacity(length + 8);
        while input.len() < length {
            input.extend_from_slice(&self.next().to_le_bytes());
        }
        input
    }
}

/// Some bytes of a value changed, taken, put in or cut off; small numbers more often, for they are lengths, branches and
/// counts.
fn damage(choices: &mut Choices<'_>, value: &mut Vec<u8>) {
    for _ in 0..choices.pick(4) {
        if value.is_empty() {
            return;
        }
        let at = (usize::from(choices.pick(255)) << 8 | usize::from(choices.pick(255))) % value.len();
        match choices.pick(7) {
            0 => value[at] = choices.pick(255),
            1 => value[at] = choices.pick(12),
            2 => value[at] ^= 1 << choices.pick(8),
            3 => value.insert(at, choices.pick(255)),
            4 => drop(value.remove(at)),
            5 => value.truncate(at),
            // The longest number there is, where a length may stand.
            _ => drop(value.splice(at..=at, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1])),
        }
    }
}

/// A body in a frame of one of the three kinds; the frame is damaged too now and then.
fn framed(choices: &mut Choices<'_>, number: u32, body: &[u8]) -> (SchemaId, Vec<u8>) {
    let uuid = [number as u8; 16];
    let (id, mut value) = match choices.pick(3) {
        0 => (number.into(), [&[0][..], &number.to_be_bytes(), body].concat()),
        1 => (uuid.into(), [&[3, 0][..], &uuid, body].concat()),
        _ => {
            let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
            zlib.write_all(body).unwrap();
            (uuid.into(), [&[3, 5][..], &uuid, &zlib.finish().unwrap()].concat())
        }
    };
    if choices.pick(4) == 3 {
        damage(choices, &mut value);
    }
    (id, value)
}

/// What must hold of any input: [`hold`] of each record, and in a batch each record becomes what it becomes alone.
fn target(input: &[u8]) {
    let mut choices = Choices { bytes: input.iter(), names: 0 };
    let mut decoder = Decoder::default();
    let (mut values, mut passed) = (Vec::new(), Vec::new());
    for number in 3..=3 + u32::from(choices.pick(2)) {
        let (schema, good) = generated(&mut choices);
        choices.names = 0;
        decoder.add_schema(number, &schema).unwrap();
        decoder.add_schema([number as u8; 16], &schema).unwrap();
        for _ in 0..=choices.pick(3) {
            let mut body = good[5..].to_vec();
            damage(&mut choices, &mut body);
            let (id, value) = framed(&mut choices, number, &body);
            // A damaged head may name another schema of the batch: alone it would be unknown.
            let names_it = crate::frame(&value).is_ok_and(|(named, _)| named == id);
            let alone = hold(&schema, id, &value);
            values.push(value);
            passed.push(names_it.then_some(alone));
        }
    }
    let records: Vec<_> = values.iter().map(|value| record(value)).collect();
    let decoded = decoder.decode(&table("any", &[], &["id int"]), &records);
    let mut became = vec![None; records.len()];
    for part in &decoded.rows {
        assert_eq!(part.batch.num_rows(), part.index.len());
        for at in &part.index {
            assert_eq!(became[*at].replace(true), None, "a row twice");
        }
    }
    for (at, reject) in &decoded.rejects {
        assert_ne!(*reject, crate::Reject::Undecodable);
        assert_eq!(became[*at].replace(false), None, "a record twice");
    }
    for (became, alone) in became.iter().zip(&passed) {
        assert!(became.is_some(), "a record is lost");
        assert!(alone.is_none() || alone == became, "a record becomes something else beside others");
    }
}

/// The shortest input found that still fails: ends cut off, then single bytes made 0.
fn shortest(mut input: Vec<u8>) -> Vec<u8> {
    let fails = |input: &[u8]| catch_unwind(AssertUnwindSafe(|| target(input))).is_err();
    let mut cut = input.len() / 2;
    while cut > 0 {
        if cut <= input.len() && fails(&input[..input.len() - cut]) {
            input.truncate(input.len() - cut);
        } else {
            cut /= 2;
        }
    }
    for at in 0..input.len() {
        let was = std::mem::take(&mut input[at]);
        if !fails(&input) {
            input[at] = was;
        }
    }
    input
}

#[test]
fn no_input_gets_past_the_walk_and_fails_behind_it() {
    if let Ok(hex) = std::env::var("WEIR_FUZZ_INPUT") {
        return target(&hex::decode(hex).expect("WEIR_FUZZ_INPUT is hexadecimal"));
    }
    let seconds = std::env::var("WEIR_FUZZ_SECONDS").ok().map(|text| text.parse().expect("a number of seconds"));
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let clock = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as u64);
    let mut numbers = Numbers(if end.is_some() { clock } else { 1 });
    let mut inputs = 0;
    while end.map_or(inputs < INPUTS, |end| Instant::now() < end) {
        let input = numbers.input();
        inputs += 1;
        if catch_unwind(AssertUnwindSafe(|| target(&input))).is_err() {
            let hex = hex::encode(shortest(input));
            panic!("after {inputs} inputs; again with WEIR_FUZZ_INPUT={hex}");
        }
    }
    if seconds.is_some() {
        std::io::stderr().write_all(format!("{inputs} inputs, nothing found\n").as_bytes()).unwrap();
    }
}
