//! Frames to columns or values, on one thread, in three ways. The clock stops while what came out is summed up.

use std::path::Path;

use apache_avro::types::Value as Avro;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Decimal128Type, Int32Type, Int64Type};
use arrow_avro::reader::ReaderBuilder;
use arrow_avro::schema::{AvroSchema, Fingerprint, FingerprintAlgorithm, SchemaStore};
use serde_json::Value;
use weir_envelope::{Bounds, Decoder};

use crate::events::{START, Sum};
use crate::frames::Frames;
use crate::prepare::{Input, table};
use crate::{Clock, Failure, frames};

/// Decodes a folder's frames by `by`, and says how fast.
pub fn run(dir: &Path, by: &str) -> Result<Value, Failure> {
    let input = Input::read(dir)?;
    let schema = std::fs::read_to_string(dir.join("value.avsc"))?;
    match by {
        "weir" => weir(dir, &input, &schema),
        "arrow-avro" => arrow_avro(dir, &input, &schema),
        "apache-avro" => apache_avro(dir, &input, &schema),
        _ => Err(format!("no decoder {by}").into()),
    }
}

fn weir(dir: &Path, input: &Input, schema: &str) -> Result<Value, Failure> {
    let (of, _) = table(dir)?;
    let mut decoder = Decoder::new(Bounds::default());
    decoder.add_schema(input.value_id, schema)?;
    measure(dir, input, |frames| {
        let decoded = decoder.decode(&of, &frames.records());
        Ok(decoded.rows.into_iter().map(|part| part.batch).collect::<Vec<_>>())
    })
}

fn arrow_avro(dir: &Path, input: &Input, schema: &str) -> Result<Value, Failure> {
    let id = Fingerprint::Id(input.value_id);
    let mut store = SchemaStore::new_with_type(FingerprintAlgorithm::Id);
    store.set(id, AvroSchema::new(schema.to_owned()))?;
    let mut decoder = ReaderBuilder::new()
        .with_batch_size(1 << 16)
        .with_writer_schema_store(store)
        .with_active_fingerprint(id)
        .build_decoder()?;
    measure(dir, input, |frames| {
        for value in frames.values() {
            decoder.decode(value)?;
        }
        Ok(decoder.flush()?.into_iter().collect::<Vec<_>>())
    })
}

fn measure(
    dir: &Path,
    input: &Input,
    mut decode: impl FnMut(&Frames) -> Result<Vec<RecordBatch>, Failure>,
) -> Result<Value, Failure> {
    let (mut found, mut clock) = (Sum::default(), Clock::new());
    frames::each(&dir.join("frames.bin"), |frames| {
        let began = Clock::start()?;
        let batches = decode(frames)?;
        clock.stop(began)?;
        batches.iter().try_for_each(|batch| add_rows(batch, &mut found))
    })?;
    clock.said(&found, &input.expected)
}

fn apache_avro(dir: &Path, input: &Input, schema: &str) -> Result<Value, Failure> {
    let schema = apache_avro::Schema::parse_str(schema)?;
    let (mut found, mut clock) = (Sum::default(), Clock::new());
    frames::each(&dir.join("frames.bin"), |frames| {
        let began = Clock::start()?;
        let values = frames.values().map(|value| apache_avro::from_avro_datum(&schema, &mut &value[5..], None));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        clock.stop(began)?;
        for value in &values {
            let image = field(value, "after").filter(|after| **after != Avro::Null).or_else(|| field(value, "before"));
            let (Some(image), Some(source)) = (image, field(value, "source")) else { return Err("a field".into()) };
            let (Some(Avro::Int(quantity)), Some(Avro::Decimal(price)), Some(Avro::Long(ms))) =
                (field(image, "quantity"), field(image, "unit_price"), field(source, "ts_ms"))
            else {
                return Err("a field is of another type".into());
            };
            let price: Vec<u8> = price.clone().try_into()?;
            found.rows += 1;
            found.quantity += i64::from(*quantity);
            found.cents += price.iter().fold(0, |number, byte| number << 8 | i64::from(*byte));
            found.times += ms - START / 1000;
        }
        Ok(())
    })?;
    clock.said(&found, &input.expected)
}

fn field<'a>(value: &'a Avro, name: &str) -> Option<&'a Avro> {
    let Avro::Record(fields) = value else { return None };
    let value = fields.iter().find(|(own, _)| own == name).map(|(_, value)| value)?;
    Some(if let Avro::Union(_, inner) = value { inner } else { value })
}

/// Sums the rows of decoded envelopes.
pub fn add_rows(batch: &RecordBatch, found: &mut Sum) -> Result<(), Failure> {
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| format!("no column {name}"));
    let (before, after) = (column("before")?.as_struct(), column("after")?.as_struct());
    let child = |image: &arrow::array::StructArray, name: &str| -> Result<ArrayRef, Failure> {
        Ok(image.column_by_name(name).ok_or_else(|| format!("no column {name}"))?.clone())
    };
    let images =
        [before, after].map(|image| Ok::<_, Failure>((child(image, "quantity")?, child(image, "unit_price")?)));
    let [old, new] = images;
    let (old, new) = (old?, new?);
    let times = child(column("source")?.as_struct(), "ts_ms")?;
    let times = times.as_primitive::<Int64Type>();
    for row in 0..batch.num_rows() {
        let (quantity, price) = if after.is_valid(row) { &new } else { &old };
        found.rows += 1;
        found.quantity += i64::from(quantity.as_primitive::<Int32Type>().value(row));
        found.cents += i64::try_from(price.as_primitive::<Decimal128Type>().value(row))?;
        found.times += times.value(row) - START / 1000;
    }
    Ok(())
}
