//! The user's files as they are written: the JSON Schemas are made from these types, and every file is
//! held to its schema before it is read into one of them.

mod warehouse;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

pub use warehouse::WarehouseFile;

/// `weir.yaml`: what holds in every environment.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(deny_unknown_fields, title = "weir.yaml")]
#[expect(
    dead_code,
    reason = "settings are read path by path, so that each keeps its origin; this type is their schema"
)]
pub struct WeirFile {
    /// The project's name, e.g. `library`: lower-case letters, digits and `_`.
    pub name: String,
    #[schemars(flatten)]
    pub settings: EnvironmentFile,
}

/// `environments/<env>.yaml`: what differs in one environment. The same sections as `weir.yaml`.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(deny_unknown_fields, title = "environments/<env>.yaml")]
#[expect(dead_code, reason = "see `WeirFile`")]
pub struct EnvironmentFile {
    /// Brokers, schema registry and topics.
    pub stream: Option<StreamFile>,
    /// Where the tables are.
    pub lake: Option<LakeFile>,
    /// How the stream is cut into micro-batches.
    pub landing: Option<LandingFile>,
    /// How much staging takes at once.
    pub staging: Option<StagingFile>,
    /// How curated tables are spread.
    pub curated: Option<CuratedFile>,
    /// Where the star schema is served.
    pub warehouse: Option<WarehouseFile>,
    /// Where metrics and health are served.
    pub metrics: Option<MetricsFile>,
    /// Where builds tell what they read and wrote, as OpenLineage events.
    pub lineage: Option<LineageFile>,
    /// Where other engines find the lake's tables.
    pub catalog: Option<CatalogFile>,
    /// What a disaster may cost; `weir drill` holds the pipeline to it.
    pub recovery: Option<crate::recovery::RecoveryFile>,
}

/// `stream:`
#[derive(Debug, Clone, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "see `WeirFile`")]
pub struct StreamFile {
    /// `embedded`, or Kafka brokers such as `broker-1:9092,broker-2:9092`.
    pub brokers: Option<String>,
    /// Port of the embedded broker, e.g. `9092`. A free one when left out.
    pub port: Option<u16>,
    /// `embedded`, the URL of a Confluent-compatible registry such as `https://registry:8081`, or `glue`: the AWS Glue
    /// Schema Registry of `stream.region`.
    pub registry: Option<String>,
    /// A Glue service other than AWS's own, e.g. an interface endpoint's `https://vpce-0a1b.glue.eu-central-1.vpce.amazonaws.com`.
    pub registry_endpoint: Option<String>,
    /// Port of the embedded registry, e.g. `8081`. A free one when left out.
    pub registry_port: Option<u16>,
    /// Partitions of each topic that Weir creates, e.g. `4`. More partitions are read in parallel.
    #[schemars(range(min = 1))]
    pub partitions: Option<u16>,
    /// How long topics that Weir creates keep records, counted from arrival, e.g. `7d`.
    pub retention: Option<String>,
    /// `iam`: external brokers are those of an MSK cluster in `stream.region` that lets in whom AWS IAM knows. Left out:
    /// as `stream.client` says.
    pub security: Option<SecurityWord>,
    /// AWS region of a cluster with `security: iam` and of a registry `glue`, e.g. `eu-central-1`.
    pub region: Option<String>,
    /// librdkafka settings for external brokers, passed through, e.g. `security.protocol: SASL_SSL`.
    pub client: Option<BTreeMap<String, Literal>>,
}

/// `lake:`
#[derive(Debug, Clone, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "see `WeirFile`")]
pub struct LakeFile {
    /// A folder, relative to the folder of the embedded parts (`--dir`) or absolute, or an S3 URL such as `s3://bucket/lake`.
    pub root: Option<String>,
    /// Region of the bucket, e.g. `eu-central-1`. Left out: as the environment says.
    pub region: Option<String>,
    /// An S3 server other than AWS's, e.g. `https://minio.example.com`.
    pub endpoint: Option<String>,
    /// KMS key that encrypts what is written, as id or ARN. Left out: as the bucket says.
    pub kms_key: Option<String>,
    /// Memory that queries and builds keep within, e.g. `256MiB`. Work beyond it spills to disk.
    pub memory: Option<String>,
    /// How long files that left a table stay for whoever reads an older version of it, e.g. `7d`.
    pub vacuum_after: Option<String>,
}

/// `landing:`
#[derive(Debug, Clone, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "see `WeirFile`")]
pub struct LandingFile {
    /// Longest wait before a part-filled batch is committed, e.g. `1m`. Bounds freshness.
    pub max_wait: Option<String>,
    /// Most records in a batch, e.g. `100000`.
    #[schemars(range(min = 1))]
    pub max_rows: Option<u32>,
    /// Largest batch in bytes as received, e.g. `32MiB`. Bounds memory.
    pub max_size: Option<String>,
    /// How long landing keeps rows, counted from arrival, once staging has them, e.g. `90d`.
    pub retention: Option<String>,
    /// How long nothing must have arrived in an hour's folder before its small files are put together, e.g. `1h`.
    pub compact_after: Option<String>,
    /// Bytes that a file of landing should have, e.g. `64MiB`.
    pub compact_size: Option<String>,
    /// How far behind the newest event an event may be before it is counted as late, e.g. `10m`.
    pub allowed_lateness: Option<String>,
}

/// `staging:`
#[derive(Debug, Clone, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "see `WeirFile`")]
pub struct StagingFile {
    /// Most landing rows read for one commit, e.g. `200000`. Bounds memory.
    #[schemars(range(min = 1))]
    pub max_rows: Option<u32>,
    /// What the connector sends in place of a large value that an update left alone: the same text as its
    /// `unavailable.value.placeholder`.
    pub unavailable_value: Option<String>,
}

/// `curated:`
#[derive(Debug, Clone, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "see `WeirFile`")]
pub struct CuratedFile {
    /// Key-hash buckets of each table: a power of two up to 1024, e.g. `16`. Fixed once a table exists.
    #[schemars(range(min = 1, max = 1024))]
    pub buckets: Option<u16>,
}

/// `metrics:`
#[derive(Debug, Clone, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "see `WeirFile`")]
pub struct MetricsFile {
    /// Address on which `weir stream` and `weir up` answer `/metrics` and `/healthz` over HTTP, e.g. `127.0.0.1:9464`.
    /// Nobody is asked who they are. Left out: nothing is served.
    pub listen: Option<String>,
    /// Whether `weir stream` and `weir build` write metrics to standard error in CloudWatch's embedded metric format.
    pub emf: Option<bool>,
}

/// `iam`.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecurityWord {
    Iam,
}

/// `lineage:`
#[derive(Debug, Clone, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "see `WeirFile`")]
pub struct LineageFile {
    /// File that gets an event per line, relative to the folder of the embedded parts (`--dir`) or absolute, e.g.
    /// `lineage.jsonl`. Left out: no file is written.
    pub file: Option<String>,
    /// Receiver of events over HTTP, e.g. `https://marquez.example.com`; without a path, `/api/v1/lineage` is used. Left
    /// out: nothing is sent.
    pub url: Option<String>,
    /// Token for the receiver, a reference such as `${env:LINEAGE_KEY}`; sent as `Authorization: Bearer ..`.
    pub api_key: Option<String>,
    /// Namespace of the jobs, e.g. `shop-prod`. Left out: `<project's name>.<environment>`.
    pub namespace: Option<String>,
}

/// `catalog:`
#[derive(Debug, Clone, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "see `WeirFile`")]
pub struct CatalogFile {
    /// `embedded`: the lake's tables speak for themselves. `glue`: builds register them in the AWS Glue Data Catalog too;
    /// the lake is then on S3.
    pub target: Option<CatalogWord>,
    /// What the names of Glue's databases begin with, before `_<zone>`, e.g. `shop_prod`. Left out: `<project's
    /// name>_<environment>`.
    pub database: Option<String>,
    /// Region of the catalog, e.g. `eu-central-1`. Left out: that of the lake, else as the environment says.
    pub region: Option<String>,
    /// Another service than AWS's that speaks Glue's API, e.g. `http://127.0.0.1:5000`.
    pub endpoint: Option<String>,
}

/// `embedded` or `glue`.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CatalogWord {
    Embedded,
    Glue,
}

/// `sources/<name>.yaml`: a database whose changes a connector writes to topics.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, title = "sources/<name>.yaml")]
pub struct SourceFile {
    /// Who writes the topics.
    pub connector: ConnectorWord,
    /// The connector's `topic.prefix`, e.g. `library`.
    pub server: String,
    /// The database, e.g. `Library`.
    pub database: String,
    /// The database's schema, e.g. `dbo`.
    pub schema: String,
    /// Topic names, with `{table}` for the table's. Left out: `<server>.{table}.cdc`.
    pub topic: Option<String>,
    /// The tables, by their contracts' names.
    #[schemars(length(min = 1))]
    pub tables: Vec<String>,
}

/// `sqlserver`: Debezium's SQL Server connector, or whoever speaks as it does; `postgresql`: its PostgreSQL connector.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConnectorWord {
    Sqlserver,
    Postgresql,
}

/// `contracts/<table>.yaml`: what a source table holds and what must be true of it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, title = "contracts/<table>.yaml")]
pub struct ContractFile {
    /// Primary key columns, in key order.
    #[schemars(length(min = 1))]
    pub key: Vec<String>,
    /// Columns in source order.
    #[schemars(length(min = 1))]
    pub columns: Vec<ContractColumn>,
    /// What landing does when records come whose schema would change its table. `evolve` when left out.
    pub schema_changes: Option<SchemaChangesWord>,
    /// Rules that each row is held to on its way into staging.
    #[serde(default)]
    pub expectations: Vec<ExpectationFile>,
}

/// `evolve` takes in new columns and stops the table at a type that its column cannot take; `hold` holds the table at its
/// position while others go on; `stop` ends landing of all tables.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SchemaChangesWord {
    Evolve,
    Hold,
    Stop,
}

/// A column of a source table.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ContractColumn {
    /// Its name: lower-case letters, digits and `_`; a leading `_` is Weir's own.
    pub name: String,
    /// Its SQL Server type, e.g. `int`, `decimal(12,3)`, `nvarchar(40)`, `datetime2(3)`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether the source allows NULL.
    #[serde(default)]
    pub nullable: bool,
    /// Whether it holds personal data, which no log, error or listing then shows.
    #[serde(default)]
    pub pii: bool,
}

/// A rule on a column: exactly one of `not_null`, `range`, `set`, `regex`, `reference`.
/// All but `not_null` pass NULL.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ExpectationFile {
    /// Unique in its table, e.g. `unit_price_not_negative`; stands with each quarantined row.
    pub name: String,
    /// The column that it looks at.
    pub column: String,
    /// What happens to a row that breaks it.
    pub severity: SeverityWord,
    /// Stands with each quarantined row; raise it when the rule changes.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub version: u32,
    /// `true`: the column must hold a value.
    pub not_null: Option<bool>,
    /// The value must lie between two bounds, both inclusive; one may be left out.
    pub range: Option<RangeFile>,
    /// The value must be one of these.
    #[schemars(length(min = 1))]
    pub set: Option<Vec<Literal>>,
    /// The text must match this expression somewhere; anchor it with `^` and `$`.
    pub regex: Option<String>,
    /// The value must be in another table's staging.
    pub reference: Option<ReferenceFile>,
}

fn one() -> u32 {
    1
}

/// `warn` counts the row and lets it pass; `quarantine` keeps it out of staging.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SeverityWord {
    Warn,
    Quarantine,
}

/// Inclusive bounds.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RangeFile {
    /// Smallest allowed value.
    pub min: Option<Literal>,
    /// Largest allowed value.
    pub max: Option<Literal>,
}

/// A column of another table.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ReferenceFile {
    /// The table.
    pub table: String,
    /// Its column.
    pub column: String,
}

/// `models/curated/<model>.yaml`: what the query beside it makes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, title = "models/curated/<model>.yaml")]
pub struct ModelFile {
    /// Dimension, fact, aggregate, view (a query and no other key), or the computed date dimension (which has no
    /// query and no other key).
    pub kind: KindWord,
    /// Business key: output columns that are the source table's key, unchanged. Of an aggregate the columns that
    /// its query groups by.
    #[serde(default)]
    pub key: Vec<String>,
    /// Output columns of the query, in its order.
    #[serde(default)]
    pub columns: Vec<ModelColumnFile>,
    /// Dimensions only: the BIGINT column that facts point to, e.g. `customer_key`.
    pub surrogate_key: Option<String>,
    /// Dimensions only: a BIGINT column, e.g. `customer_durable_key`, that a member keeps when its business key changes.
    /// Its history then goes on under the new key. Left out: another key is another member.
    pub durable_key: Option<String>,
    /// Dimensions only: what a delete at the source does. `close` when left out.
    pub deletes: Option<DeletesWord>,
    /// Facts only: the output column that says when it happened. Left out: the commit time of the insert.
    pub event_time: Option<String>,
    /// Facts only: the dimensions that a row points to.
    pub dimensions: Option<Vec<DimensionRefFile>>,
    /// Facts only: `yyyymmdd` keys into the date dimension.
    pub date_keys: Option<Vec<DateKeyFile>>,
    /// Facts only: times at which a column first took a value.
    pub milestones: Option<Vec<MilestoneFile>>,
    /// Unit tests, run by `weir test`.
    pub tests: Option<Vec<UnitTestFile>>,
}

/// What a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KindWord {
    Dimension,
    Fact,
    DateDimension,
    Aggregate,
    View,
}

/// `close` ends the current version; `mark` leaves it current and sets `is_deleted`; `ignore` leaves it as it is.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeletesWord {
    Close,
    Mark,
    Ignore,
}

/// An output column.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ModelColumnFile {
    /// Its name, as in the query.
    pub name: String,
    /// Its type in the curated table and the warehouse, e.g. `decimal(18,3)`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Dimensions only, for each column but the key's: how its changes are kept.
    pub scd: Option<ScdWord>,
}

/// `type1` overwrites all versions, `type1_current` the current one, `type2` opens a new version.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScdWord {
    Type1,
    Type1Current,
    Type2,
}

/// A fact's pointer to the version of a dimension that was valid at its event time.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct DimensionRefFile {
    /// The BIGINT column added to the fact, e.g. `customer_key`.
    pub key_column: String,
    /// The dimension's model.
    pub dimension: String,
    /// Output columns that hold the dimension's business key, in its key order.
    #[schemars(length(min = 1))]
    pub on: Vec<String>,
    /// What a row points to whose business key the dimension does not have yet. `infer` when left out.
    pub late_parent: Option<LateParentWord>,
}

/// `infer` makes an inferred member; `unknown` points to the unknown member (-1) until the parent arrives.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LateParentWord {
    Infer,
    Unknown,
}

/// A fact's pointer into the date dimension.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct DateKeyFile {
    /// The INTEGER column added to the fact, e.g. `order_date_key`.
    pub key_column: String,
    /// The date or timestamp output column that it is made from.
    pub from: String,
}

/// When a column of an accumulating fact first took a value.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct MilestoneFile {
    /// The TIMESTAMP column added to the fact, e.g. `shipped_at`.
    pub column: String,
    /// The text output column that is watched, e.g. `status`.
    pub when_column: String,
    /// The value, e.g. `shipped`.
    pub equals: String,
}

/// Given changes and the rows that the model's table then holds.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct UnitTestFile {
    /// What it shows, e.g. `a_late_move_opens_a_version_between_two_others`.
    pub name: String,
    /// Staging rows per table, in the order in which they arrive.
    pub given: BTreeMap<String, Vec<ChangeFile>>,
    /// All rows of the table but the unknown member; each names the columns that matter.
    pub expect: Vec<BTreeMap<String, CellFile>>,
}

/// A change of a source row, as staging holds it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ChangeFile {
    /// `c`reate, `u`pdate, `d`elete, or `r`ead by a snapshot.
    pub op: OpWord,
    /// Commit time at the source. The log is in its order, and at one time in that of the list.
    #[allow(dead_code, reason = "read from the document, where it is as written")]
    pub at: Literal,
    /// Columns of the contract; those left out are NULL. The key is always there.
    #[schemars(with = "BTreeMap<String, Nullable>")]
    pub row: BTreeMap<String, CellFile>,
}

/// Debezium's letters.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OpWord {
    C,
    U,
    D,
    R,
}

/// A value, or for a fact's key column the columns of the version that it leads to.
#[derive(Debug, Clone)]
pub enum CellFile {
    /// A scalar; its text is in the document, as written.
    Value,
    Row(BTreeMap<String, CellFile>),
}

impl<'de> Deserialize<'de> for CellFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Object(row) => {
                let cell =
                    |(name, value): (String, serde_json::Value)| Self::deserialize(value).map(|cell| (name, cell));
                let row: Result<_, serde_json::Error> = row.into_iter().map(cell).collect();
                row.map(Self::Row).map_err(serde::de::Error::custom)
            }
            serde_json::Value::Array(_) => Err(serde::de::Error::custom("expected a value")),
            _ => Ok(Self::Value),
        }
    }
}

impl JsonSchema for CellFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CellFile".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["null", "string", "number", "boolean", "object"],
            "description": "A value, or for a fact's key column the columns of the version that it leads to.",
            "additionalProperties": generator.subschema_for::<Nullable>()
        })
    }
}

/// A text, a number, a boolean or null.
struct Nullable;

impl JsonSchema for Nullable {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Nullable".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["null", "string", "number", "boolean"] })
    }
}

/// A text, a number or a boolean, kept as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal(pub String);

impl<'de> Deserialize<'de> for Literal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Ok(Self(text)),
            serde_json::Value::Number(number) => Ok(Self(number.to_string())),
            serde_json::Value::Bool(value) => Ok(Self(value.to_string())),
            _ => Err(serde::de::Error::custom("expected a text, a number or a boolean")),
        }
    }
}

impl JsonSchema for Literal {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Literal".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "number", "boolean"] })
    }
}
