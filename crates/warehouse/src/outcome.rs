//! What a statement gives back: columns, rows, and the tag that a client is told.

use duckdb::arrow::array::{Array, AsArray, RecordBatch};
use duckdb::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Schema,
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use duckdb::arrow::util::display::{ArrayFormatter, FormatOptions};
use weir_core::value::{Row, Value, decimal_text};

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, in lower case as Redshift gives it.
    pub name: String,
    /// Its type.
    pub kind: Kind,
}

/// Types as they travel on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// BOOLEAN
    Bool,
    /// SMALLINT
    Int2,
    /// INTEGER
    Int4,
    /// BIGINT
    Int8,
    /// REAL
    Float4,
    /// DOUBLE PRECISION
    Float8,
    /// NUMERIC with its precision and scale.
    Numeric {
        /// Digits in all.
        precision: u8,
        /// Digits behind the point.
        scale: i8,
    },
    /// VARCHAR, CHAR, SUPER and whatever has no type of its own here.
    Text,
    /// DATE
    Date,
    /// TIMESTAMP, microseconds.
    Timestamp,
    /// TIMESTAMPTZ, microseconds since 1970 UTC.
    TimestampTz,
    /// VARBYTE
    Bytes,
}

/// What a statement did.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Columns; empty for statements without rows.
    pub columns: Vec<Column>,
    /// The command tag, e.g. `INSERT 0 3`, without the count of rows for a query.
    pub tag: Tag,
    batches: Vec<RecordBatch>,
}

/// What statements give, one after the other, as it comes.
#[derive(Debug)]
pub enum Answer<'a> {
    /// A statement gives rows, with these columns.
    Columns(&'a [Column]),
    /// A row as Postgres writes it; NULL is none.
    Row(Vec<Option<String>>),
    /// A statement is done.
    Done(&'a Tag),
}

/// What the client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The word, e.g. `INSERT`.
    pub command: String,
    /// Rows touched, where the protocol tells them.
    pub rows: Option<u64>,
}

impl Tag {
    /// A tag without a count.
    pub fn plain(command: &str) -> Self {
        Self { command: command.to_owned(), rows: None }
    }

    /// A tag with a count.
    pub fn counted(command: &str, rows: u64) -> Self {
        Self { command: command.to_owned(), rows: Some(rows) }
    }
}

impl Outcome {
    pub(crate) fn done(tag: Tag) -> Self {
        Self { columns: Vec::new(), tag, batches: Vec::new() }
    }

    pub(crate) fn query(schema: &Schema, batches: Vec<RecordBatch>, command: &str) -> Self {
        let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        Self { columns: columns(schema), tag: Tag::counted(command, rows), batches }
    }

    /// One row of texts, made by the double itself.
    pub(crate) fn text_row(column: &str, value: &str, command: &str) -> Self {
        use duckdb::arrow::array::StringArray;
        let column = column.to_lowercase();
        let array: std::sync::Arc<dyn Array> = std::sync::Arc::new(StringArray::from(vec![value.to_owned()]));
        let batch = RecordBatch::try_from_iter([(column, array)]).expect("one column of one row is a batch");
        Self::query(&batch.schema(), vec![batch], command)
    }

    /// Whether it has rows to show, even none.
    pub fn has_rows(&self) -> bool {
        !self.columns.is_empty()
    }

    /// The rows as Postgres writes them; NULL is none.
    pub fn rows(&self) -> Vec<Vec<Option<String>>> {
        let mut out = Vec::new();
        self.batches.iter().for_each(|batch| {
            rows(batch, &mut |answer| {
                if let Answer::Row(row) = answer {
                    out.push(row);
                }
            });
        });
        out
    }

    /// The one value of the one row, as text.
    pub fn scalar(&self) -> Option<String> {
        let batch = self.batches.iter().find(|batch| batch.num_rows() > 0)?;
        text(batch.column(0).as_ref(), 0)
    }

    /// The same, piece by piece.
    pub(crate) fn answer(&self, each: &mut dyn FnMut(Answer<'_>)) {
        if self.has_rows() {
            each(Answer::Columns(&self.columns));
            self.batches.iter().for_each(|batch| rows(batch, each));
        }
        each(Answer::Done(&self.tag));
    }

    pub(crate) fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }
}

/// The rows of a batch as Postgres writes them.
pub(crate) fn rows(batch: &RecordBatch, each: &mut dyn FnMut(Answer<'_>)) {
    for row in 0..batch.num_rows() {
        each(Answer::Row(batch.columns().iter().map(|array| text(array.as_ref(), row)).collect()));
    }
}

/// The rows of a batch as values.
pub(crate) fn values(batch: &RecordBatch, columns: &[Column], each: &mut dyn FnMut(&Row)) {
    for row in 0..batch.num_rows() {
        let cells = batch.columns().iter().zip(columns);
        each(&cells.map(|(array, column)| value(array.as_ref(), row, column.kind)).collect());
    }
}

/// Columns of a schema.
pub(crate) fn columns(schema: &Schema) -> Vec<Column> {
    let column = |field: &duckdb::arrow::datatypes::FieldRef| Column {
        name: field.name().to_lowercase(),
        kind: kind(field.data_type()),
    };
    schema.fields().iter().map(column).collect()
}

fn kind(data_type: &DataType) -> Kind {
    match data_type {
        DataType::Boolean => Kind::Bool,
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => Kind::Int2,
        DataType::UInt16 | DataType::Int32 => Kind::Int4,
        DataType::UInt32 | DataType::Int64 => Kind::Int8,
        DataType::UInt64 => Kind::Numeric { precision: 20, scale: 0 },
        DataType::Float32 => Kind::Float4,
        DataType::Float64 => Kind::Float8,
        DataType::Decimal128(precision, scale) => Kind::Numeric { precision: *precision, scale: *scale },
        DataType::Date32 => Kind::Date,
        DataType::Timestamp(_, None) => Kind::Timestamp,
        DataType::Timestamp(_, Some(_)) => Kind::TimestampTz,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Kind::Bytes,
        _ => Kind::Text,
    }
}

/// The kind of a type that DESCRIBE names.
pub(crate) fn kind_of_name(name: &str) -> Kind {
    match name {
        "BOOLEAN" => Kind::Bool,
        "TINYINT" | "SMALLINT" | "UTINYINT" => Kind::Int2,
        "INTEGER" | "USMALLINT" => Kind::Int4,
        "BIGINT" | "UINTEGER" => Kind::Int8,
        "UBIGINT" => Kind::Numeric { precision: 20, scale: 0 },
        "HUGEINT" => Kind::Numeric { precision: 38, scale: 0 },
        "FLOAT" => Kind::Float4,
        "DOUBLE" => Kind::Float8,
        "DATE" => Kind::Date,
        "TIMESTAMP" | "TIMESTAMP_S" | "TIMESTAMP_MS" | "TIMESTAMP_NS" => Kind::Timestamp,
        "TIMESTAMP WITH TIME ZONE" => Kind::TimestampTz,
        "BLOB" => Kind::Bytes,
        other => {
            let args = other.strip_prefix("DECIMAL(").and_then(|rest| rest.strip_suffix(')'));
            let parsed = args.and_then(|args| {
                let (precision, scale) = args.split_once(',')?;
                Some((precision.trim().parse().ok()?, scale.trim().parse().ok()?))
            });
            parsed.map_or(Kind::Text, |(precision, scale)| Kind::Numeric { precision, scale })
        }
    }
}

/// Microseconds of a timestamp cell.
pub(crate) fn micros(array: &dyn Array, row: usize) -> Option<i64> {
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => {
            array.as_primitive::<TimestampSecondType>().value(row).checked_mul(1_000_000)
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            array.as_primitive::<TimestampMillisecondType>().value(row).checked_mul(1_000)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Some(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            Some(array.as_primitive::<TimestampNanosecondType>().value(row).div_euclid(1_000))
        }
        _ => None,
    }
}

/// A whole number cell, whatever its width.
pub(crate) fn integer(array: &dyn Array, row: usize) -> Option<i64> {
    Some(match array.data_type() {
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).into(),
        DataType::UInt8 => array.as_primitive::<UInt8Type>().value(row).into(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).into(),
        DataType::UInt16 => array.as_primitive::<UInt16Type>().value(row).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).into(),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().value(row).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row),
        _ => return None,
    })
}

/// Unscaled digits and scale of a decimal cell.
pub(crate) fn decimal(array: &dyn Array, row: usize) -> Option<(i128, i8)> {
    match array.data_type() {
        DataType::Decimal128(_, scale) => Some((array.as_primitive::<Decimal128Type>().value(row), *scale)),
        DataType::UInt64 => Some((array.as_primitive::<UInt64Type>().value(row).into(), 0)),
        _ => None,
    }
}

/// Bytes of a binary cell.
pub(crate) fn bytes(array: &dyn Array, row: usize) -> Option<&[u8]> {
    Some(match array.data_type() {
        DataType::Binary => array.as_binary::<i32>().value(row),
        DataType::LargeBinary => array.as_binary::<i64>().value(row),
        DataType::BinaryView => array.as_binary_view().value(row),
        _ => return None,
    })
}

/// A floating cell.
pub(crate) fn float(array: &dyn Array, row: usize) -> Option<f64> {
    match array.data_type() {
        DataType::Float32 => Some(array.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => Some(array.as_primitive::<Float64Type>().value(row)),
        _ => None,
    }
}

/// A text cell without copying.
pub(crate) fn string(array: &dyn Array, row: usize) -> Option<&str> {
    Some(match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row),
        DataType::Utf8View => array.as_string_view().value(row),
        _ => return None,
    })
}

/// A cell as Postgres writes it; none for NULL.
pub(crate) fn text(array: &dyn Array, row: usize) -> Option<String> {
    if array.is_null(row) || array.data_type() == &DataType::Null {
        return None;
    }
    if let Some(text) = string(array, row) {
        return Some(text.to_owned());
    }
    if let Some(number) = integer(array, row) {
        return Some(number.to_string());
    }
    if let Some((unscaled, scale)) = decimal(array, row) {
        return Some(decimal_text(unscaled, scale));
    }
    if let Some(bytes) = bytes(array, row) {
        return Some(format!("\\x{}", hex::encode(bytes)));
    }
    if let Some(micros) = micros(array, row) {
        let zone = if matches!(array.data_type(), DataType::Timestamp(_, Some(_))) { "+00" } else { "" };
        return Some(format!("{}{zone}", timestamp_text(micros)));
    }
    match array.data_type() {
        DataType::Boolean => Some(if array.as_boolean().value(row) { "t" } else { "f" }.to_owned()),
        DataType::Date32 => Some(Value::Date(array.as_primitive::<Date32Type>().value(row)).to_string()),
        DataType::Float32 => Some(float_text(array.as_primitive::<Float32Type>().value(row).to_string())),
        DataType::Float64 => Some(float_text(array.as_primitive::<Float64Type>().value(row).to_string())),
        DataType::List(_) => {
            let list = array.as_list::<i32>().value(row);
            let items: Vec<String> =
                (0..list.len()).map(|i| text(list.as_ref(), i).unwrap_or_else(|| "NULL".into())).collect();
            Some(format!("{{{}}}", items.join(",")))
        }
        _ => {
            let formatter = ArrayFormatter::try_new(array, &FormatOptions::default()).ok()?;
            Some(formatter.value(row).to_string())
        }
    }
}

fn float_text(text: String) -> String {
    match text.as_str() {
        "inf" => "Infinity".into(),
        "-inf" => "-Infinity".into(),
        _ => text,
    }
}

/// `2024-01-02 03:04:05`, with as many digits of a second as are not zero.
fn timestamp_text(micros: i64) -> String {
    match chrono::DateTime::from_timestamp_micros(micros) {
        Some(at) => {
            let text = at.naive_utc().format("%Y-%m-%d %H:%M:%S%.6f").to_string();
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        None => format!("microsecond {micros}"),
    }
}

/// A value from the text that [`text`] makes of it, or Redshift.
pub(crate) fn parse(text: String, kind: Kind) -> Value {
    let found = match kind {
        Kind::Bool => Some(Value::Bool(["t", "true", "1"].contains(&text.as_str()))),
        Kind::Int2 | Kind::Int4 | Kind::Int8 => text.parse().ok().map(Value::Int),
        Kind::Float4 => text.parse().ok().map(|float: f32| Value::Float(f64::from(float).to_bits())),
        Kind::Float8 => text.parse().ok().map(|float: f64| Value::Float(float.to_bits())),
        Kind::Numeric { .. } => {
            let scale = text.split_once('.').map_or(0, |(_, part)| part.len());
            let digits = text.replacen('.', "", 1).parse().ok();
            digits.and_then(|digits| Some(Value::Decimal(digits, i8::try_from(scale).ok()?)))
        }
        Kind::Date => {
            let date: Option<chrono::NaiveDate> = text.parse().ok();
            date.map(|date| Value::Date(chrono::Datelike::num_days_from_ce(&date) - 719_163))
        }
        Kind::Timestamp | Kind::TimestampTz => {
            let bare = text.trim_end_matches("+00");
            let at = chrono::NaiveDateTime::parse_from_str(bare, "%Y-%m-%d %H:%M:%S%.f").ok();
            at.map(|at| Value::Timestamp(at.and_utc().timestamp_micros()))
        }
        Kind::Bytes => hex::decode(text.trim_start_matches("\\x")).ok().map(Value::Bytes),
        Kind::Text => None,
    };
    found.unwrap_or(Value::Text(text))
}

fn value(array: &dyn Array, row: usize, kind: Kind) -> Value {
    if array.is_null(row) || array.data_type() == &DataType::Null {
        return Value::Null;
    }
    let found = match kind {
        Kind::Bool => Some(Value::Bool(array.as_boolean().value(row))),
        Kind::Int2 | Kind::Int4 | Kind::Int8 => integer(array, row).map(Value::Int),
        Kind::Float4 | Kind::Float8 => float(array, row).map(|f| Value::Float(f.to_bits())),
        Kind::Numeric { .. } => decimal(array, row).map(|(unscaled, scale)| Value::Decimal(unscaled, scale)),
        Kind::Date => Some(Value::Date(array.as_primitive::<Date32Type>().value(row))),
        Kind::Timestamp | Kind::TimestampTz => micros(array, row).map(Value::Timestamp),
        Kind::Bytes => bytes(array, row).map(|bytes| Value::Bytes(bytes.to_vec())),
        Kind::Text => None,
    };
    found.unwrap_or_else(|| text(array, row).map_or(Value::Null, Value::Text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_from_its_text() {
        let numeric = Kind::Numeric { precision: 12, scale: 3 };
        for (text, kind, value) in [
            ("t", Kind::Bool, Value::Bool(true)),
            ("false", Kind::Bool, Value::Bool(false)),
            ("-7", Kind::Int8, Value::Int(-7)),
            ("1.5", Kind::Float8, Value::Float(1.5_f64.to_bits())),
            ("-0.050", numeric, Value::Decimal(-50, 3)),
            ("1969-12-31", Kind::Date, Value::Date(-1)),
            ("1970-01-01 00:00:01.5", Kind::Timestamp, Value::Timestamp(1_500_000)),
            ("9999-12-31 00:00:00+00", Kind::TimestampTz, Value::Timestamp(253_402_214_400_000_000)),
            ("\\x00ff", Kind::Bytes, Value::Bytes(vec![0, 255])),
            ("00ff", Kind::Bytes, Value::Bytes(vec![0, 255])),
            ("\\N", Kind::Text, Value::Text("\\N".into())),
        ] {
            assert_eq!(parse(text.to_owned(), kind), value, "{text}");
        }
    }

    #[test]
    fn a_timestamp_shows_no_more_digits_than_it_has() {
        assert_eq!(timestamp_text(0), "1970-01-01 00:00:00");
        assert_eq!(timestamp_text(1_500_000), "1970-01-01 00:00:01.5");
        assert_eq!(timestamp_text(-1), "1969-12-31 23:59:59.999999");
        assert_eq!(timestamp_text(10_000_000), "1970-01-01 00:00:10");
    }
}
