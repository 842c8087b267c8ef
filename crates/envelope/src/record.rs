//! Records as the stream hands them over, and why a record cannot be decoded.

use std::fmt;

use weir_core::schema_id::SchemaId;

/// A record of a topic, borrowed from whoever fetched it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawRecord<'a> {
    /// Partition number.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
    /// The record's own timestamp, milliseconds since 1970 UTC.
    pub timestamp_ms: i64,
    /// Key bytes, if any.
    pub key: Option<&'a [u8]>,
    /// Value bytes; none is a tombstone.
    pub value: Option<&'a [u8]>,
}

/// Why a record cannot be decoded; stands in the dead letters as [`Reject::reason`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reject {
    /// The value has no byte.
    Empty,
    /// The value begins neither with the byte 0 of the Confluent wire format nor with the byte 3 of AWS Glue's.
    WrongMagic,
    /// The compression is none that AWS Glue has, or the compressed body is damaged.
    BadCompression,
    /// The registry knows no schema of this id.
    UnknownSchema(SchemaId),
    /// The schema of this id is no change event, or holds a type that the lake cannot.
    UnsupportedSchema(SchemaId),
    /// The value ends in the middle of a field.
    Truncated,
    /// Bytes are left over after the last field.
    TrailingBytes,
    /// A number is longer than its type.
    BadNumber,
    /// A boolean is neither 0 nor 1.
    BadBoolean,
    /// A union names a branch that its schema lacks.
    BadUnion,
    /// An enum names a symbol that its schema lacks.
    BadEnum,
    /// A text is no UTF-8.
    BadUtf8,
    /// A length or count is negative, or a block is not as long as it says.
    BadLength,
    /// A decimal has more digits than its type.
    BadDecimal,
    /// A date or a time lies outside the years 1 to 9999.
    BadTime,
    /// The value is longer, or holds more items, than the bounds allow.
    TooLarge,
    /// `op` is none of c, u, d, r, t.
    UnknownOp,
    /// `op` says that there is a row image and there is none.
    MissingRow,
    /// `op` says that there is no such row image and there is one.
    UnexpectedRow,
    /// A key column is missing or null in the row image.
    MissingKey,
    /// `source.connector` is none whose order Weir knows.
    UnknownConnector,
    /// `source` has no position of its connector.
    MissingPosition,
    /// `source` has a position that does not parse.
    BadPosition,
    /// It passed every check and still did not decode; a defect of Weir.
    Undecodable,
}

impl Reject {
    /// The stable word in the dead letters' `reason`.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::WrongMagic => "wrong_magic",
            Self::BadCompression => "bad_compression",
            Self::UnknownSchema(_) => "unknown_schema",
            Self::UnsupportedSchema(_) => "unsupported_schema",
            Self::Truncated => "truncated",
            Self::TrailingBytes => "trailing_bytes",
            Self::BadNumber => "bad_number",
            Self::BadBoolean => "bad_boolean",
            Self::BadUnion => "bad_union",
            Self::BadEnum => "bad_enum",
            Self::BadUtf8 => "bad_utf8",
            Self::BadLength => "bad_length",
            Self::BadDecimal => "bad_decimal",
            Self::BadTime => "bad_time",
            Self::TooLarge => "too_large",
            Self::UnknownOp => "unknown_op",
            Self::MissingRow => "missing_row",
            Self::UnexpectedRow => "unexpected_row",
            Self::MissingKey => "missing_key",
            Self::UnknownConnector => "unknown_connector",
            Self::MissingPosition => "missing_position",
            Self::BadPosition => "bad_position",
            Self::Undecodable => "undecodable",
        }
    }

    /// What a person reads beside the word.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Empty => "the value has no byte",
            Self::WrongMagic => "the value begins neither with byte 0 (Confluent) nor with byte 3 (AWS Glue)",
            Self::BadCompression => "the compression is unknown, or the compressed body is damaged",
            Self::UnknownSchema(_) => "the registry knows no schema of this id",
            Self::UnsupportedSchema(_) => "the schema is no change event, or holds a type that the lake cannot",
            Self::Truncated => "the value ends in the middle of a field",
            Self::TrailingBytes => "bytes are left over after the last field",
            Self::BadNumber => "a number is longer than its type",
            Self::BadBoolean => "a boolean is neither 0 nor 1",
            Self::BadUnion => "a union names a branch that its schema lacks",
            Self::BadEnum => "an enum names a symbol that its schema lacks",
            Self::BadUtf8 => "a text is no UTF-8",
            Self::BadLength => "a length or count is negative, or a block is not as long as it says",
            Self::BadDecimal => "a decimal has more digits than its type",
            Self::BadTime => "a date or a time lies outside the years 1 to 9999",
            Self::TooLarge => "the value is longer, or holds more items, than the bounds allow",
            Self::UnknownOp => "op is none of c, u, d, r, t",
            Self::MissingRow => "op says that there is a row image and there is none",
            Self::UnexpectedRow => "op says that there is no such row image and there is one",
            Self::MissingKey => "a key column is missing or null in the row image",
            Self::UnknownConnector => "source.connector is neither sqlserver nor postgresql",
            Self::MissingPosition => "source has no position of its connector",
            Self::BadPosition => "source has a position that does not parse",
            Self::Undecodable => "it passed every check and still did not decode",
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownSchema(id) | Self::UnsupportedSchema(id) => write!(f, "{} ({id})", self.explanation()),
            _ => f.write_str(self.explanation()),
        }
    }
}
