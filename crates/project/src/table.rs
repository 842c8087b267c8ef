//! A source table as its contract declares it: columns, key, expectations, personal data.

use std::collections::BTreeSet;

use weir_core::column::Column;
use weir_core::name::{Identifier, TableName};
use weir_core::value::Value;

use crate::model::SqlFile;

/// A source table: from `sources/*.yaml` and its `contracts/<table>.yaml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name in the lake and the warehouse.
    pub name: TableName,
    /// The topic that carries its changes, e.g. `library.book.cdc`.
    pub topic: String,
    /// Which connector writes the topic, and what it calls the table.
    pub connector: Connector,
    /// Columns in source order.
    pub columns: Vec<Column>,
    /// Key columns in key order; never empty, all in `columns`, none nullable.
    pub key: Vec<Identifier>,
    /// Columns that hold personal data.
    pub pii: BTreeSet<Identifier>,
    /// Rules that staging holds each row to, in declared order.
    pub expectations: Vec<Expectation>,
    /// What landing does with records whose schema would change its table.
    pub schema_changes: SchemaChanges,
    /// Light cleaning, `models/staging/<table>.sql`: a row-wise SELECT over `landing.<table>` that
    /// gives the contract's columns again. None: columns are taken as they come.
    pub staging_sql: Option<SqlFile>,
}

/// What landing does with records whose schema would change its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SchemaChanges {
    /// New columns are taken in; a type that a column cannot take stops the table.
    #[default]
    Evolve,
    /// The table waits at its position, others go on.
    Hold,
    /// Landing of all tables ends.
    Stop,
}

impl SchemaChanges {
    /// The word in YAML.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Evolve => "evolve",
            Self::Hold => "hold",
            Self::Stop => "stop",
        }
    }
}

/// Who writes a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connector {
    /// Which one.
    pub kind: ConnectorKind,
    /// `topic.prefix` of the connector.
    pub server: String,
    /// The database.
    pub database: String,
    /// The database's schema.
    pub schema: String,
}

/// A kind of connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectorKind {
    /// Debezium's SQL Server connector, or whoever speaks as it does.
    SqlServer,
    /// Debezium's PostgreSQL connector.
    Postgres,
}

/// A rule on a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// Unique in its table; stands in `_rule`.
    pub name: String,
    /// The column it looks at.
    pub column: Identifier,
    /// What must hold. Every rule but `NotNull` passes NULL.
    pub rule: Rule,
    /// What happens to a row that breaks it.
    pub severity: Severity,
    /// Stands in `_rule_version`; raise it when the rule changes.
    pub version: u32,
}

/// What must hold. Literals were parsed by the column's type when the project was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// The column is not NULL.
    NotNull,
    /// The value lies between two bounds, both inclusive; at least one is given.
    Range {
        /// Smallest allowed value.
        min: Option<Value>,
        /// Largest allowed value.
        max: Option<Value>,
    },
    /// The value is one of these.
    Set(Vec<Value>),
    /// The text matches this expression somewhere (anchor it with `^` and `$`); checked to compile.
    Regex(String),
    /// The value is found in a column of another table's staging.
    Reference {
        /// The other table.
        table: TableName,
        /// Its column.
        column: Identifier,
    },
}

/// What happens to a row that breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It is counted and goes on.
    Warn,
    /// It goes to quarantine instead of staging.
    Quarantine,
}

impl Rule {
    /// The word in YAML.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotNull => "not_null",
            Self::Range { .. } => "range",
            Self::Set(_) => "set",
            Self::Regex(_) => "regex",
            Self::Reference { .. } => "reference",
        }
    }
}

impl Severity {
    /// The word in YAML.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Quarantine => "quarantine",
        }
    }
}

impl Table {
    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.as_str() == name)
    }

    /// Where a column stands in [`Table::columns`].
    pub fn column_index(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name.as_str() == name)
    }

    /// Where the key columns stand in [`Table::columns`], in key order.
    pub fn key_indexes(&self) -> Vec<usize> {
        self.key.iter().filter_map(|name| self.column_index(name.as_str())).collect()
    }

    /// The registry's subject for the key schema.
    pub fn key_subject(&self) -> String {
        format!("{}-key", self.topic)
    }

    /// The registry's subject for the value schema.
    pub fn value_subject(&self) -> String {
        format!("{}-value", self.topic)
    }

    /// The namespace of the connector's Avro schemas, e.g. `<server>.<database>.<schema>.<table>`.
    pub fn namespace(&self) -> String {
        let Connector { kind, server, database, schema } = &self.connector;
        match kind {
            ConnectorKind::SqlServer => format!("{server}.{database}.{schema}.{}", self.name),
            ConnectorKind::Postgres => format!("{server}.{schema}.{}", self.name),
        }
    }
}
