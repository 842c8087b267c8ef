//! What goes wrong with a schema or with a row to encode. Records that cannot be decoded are no errors: [`crate::Reject`].

use weir_core::diagnosis::{Code, Diagnose, Diagnosis, Retry};
use weir_core::schema_id::SchemaId;

/// Why a schema was not taken, or a row not encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The registry's text is no Avro schema.
    #[error("schema {id} is no Avro schema: {problem}")]
    NotASchema {
        /// The schema's id.
        id: SchemaId,
        /// What is wrong with it.
        problem: String,
    },
    /// The schema is no Debezium envelope.
    #[error("schema {id} is no change event: {problem}")]
    NotAnEnvelope {
        /// The schema's id.
        id: SchemaId,
        /// What is missing.
        problem: String,
    },
    /// The schema holds a type that neither the lake nor the warehouse has.
    #[error("schema {id} holds {what} in `{field}`")]
    Unsupported {
        /// The schema's id.
        id: SchemaId,
        /// Where, e.g. `after.tags`.
        field: String,
        /// What, e.g. `a union of 3 types`.
        what: String,
    },
    /// A row to encode does not fit its table.
    #[error("a row of table `{table}` has {found} values, the contract declares {declared} columns")]
    RowLength {
        /// The table.
        table: String,
        /// Values in the row.
        found: usize,
        /// Columns in the contract.
        declared: usize,
    },
    /// A value to encode is not of its column's type.
    #[error("column `{column}` is {declared} and cannot hold {problem}")]
    Value {
        /// The column.
        column: String,
        /// Its type.
        declared: String,
        /// What was given, without the value itself.
        problem: &'static str,
    },
    /// An array is not of the type that its column is read as.
    #[error("column `{column}` is {declared} and its data is {found}")]
    ArrayType {
        /// The column.
        column: String,
        /// Its type in the contract.
        declared: String,
        /// The Arrow type.
        found: String,
    },
}

impl Diagnose for EnvelopeError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NotASchema { .. } => Diagnosis {
                code: Code("W3101"),
                cause: "the registry holds a schema of another format under this id, or was damaged",
                fix: "look at the schema in the registry; the topics of a project carry Avro",
                retry: Retry::Never,
            },
            Self::NotAnEnvelope { .. } => Diagnosis {
                code: Code("W3102"),
                cause: "a producer writes something else than Debezium change events to the topic, or unwraps them",
                fix: "point the source at the connector's topic, and remove ExtractNewRecordState from the connector",
                retry: Retry::Never,
            },
            Self::Unsupported { .. } => Diagnosis {
                code: Code("W3103"),
                cause: "the source table has a column whose Avro type has no counterpart in Delta",
                fix: "leave the column out with the connector's `column.exclude.list`",
                retry: Retry::Never,
            },
            Self::RowLength { .. } => Diagnosis {
                code: Code("W3104"),
                cause: "the events were made for another version of the contract",
                fix: "give each row exactly the columns of `contracts/<table>.yaml`",
                retry: Retry::Never,
            },
            Self::Value { .. } => Diagnosis {
                code: Code("W3105"),
                cause: "a value of the event does not fit the column's declared type",
                fix: "correct the event or the column's type in `contracts/<table>.yaml`",
                retry: Retry::Never,
            },
            Self::ArrayType { .. } => Diagnosis {
                code: Code("W3106"),
                cause: "the column's type at the source differs from the contract's",
                fix: "correct the column's type in `contracts/<table>.yaml`",
                retry: Retry::Never,
            },
        }
    }
}
