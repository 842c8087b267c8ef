//! The sections of `weir.yaml`, checked: plain values with their units in the type.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;

use crate::secret::SecretText;

/// The schema registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryAt {
    /// Inside the process, on loopback. A port of its own choice where none is given.
    Embedded {
        /// The port to listen on.
        port: Option<u16>,
    },
    /// One with Confluent's API, at a URL.
    Confluent(SecretText),
    /// The AWS Glue Schema Registry.
    Glue {
        /// Its region.
        region: String,
        /// A service other than AWS's own.
        endpoint: Option<String>,
    },
}

/// Brokers that Weir runs itself, inside the process and on loopback, or that run elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// Inside the process. A port of its own choice where none is given.
    Embedded {
        /// The port to listen on.
        port: Option<u16>,
    },
    /// Elsewhere: `host:port,host:port`.
    External(SecretText),
}

/// `stream:`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Kafka brokers.
    pub brokers: Endpoint,
    /// The schema registry.
    pub registry: RegistryAt,
    /// The AWS region of an MSK cluster that lets in whom IAM knows; none: as `client` says.
    pub iam: Option<String>,
    /// Partitions of a topic that Weir creates; at least 1.
    pub partitions: i32,
    /// How long a topic that Weir creates keeps records, counted from arrival.
    pub retention: Duration,
    /// librdkafka settings passed through, e.g. `security.protocol`; empty for embedded brokers.
    pub client: BTreeMap<String, SecretText>,
}

/// `lake:`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lake {
    /// The root that holds the zones' folders.
    pub root: LakeRoot,
    /// Region of the bucket; none: as the environment says, or no bucket.
    pub region: Option<String>,
    /// An S3 server other than AWS's.
    pub endpoint: Option<String>,
    /// KMS key that encrypts what is written.
    pub kms_key: Option<String>,
    /// Memory limit of the engine; work beyond it spills to disk.
    pub memory: ByteSize,
    /// How long files that left a table stay for whoever reads an older version of it.
    pub vacuum_after: Duration,
}

/// Where the lake is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LakeRoot {
    /// A local folder, as written: a relative one is meant below the folder of the embedded parts.
    Folder(PathBuf),
    /// An S3 URL, `s3://bucket/prefix`. Read and checked here; opening it is the lake's.
    S3(String),
}

/// `landing:`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landing {
    /// Longest wait before a part-filled batch is committed; bounds freshness.
    pub max_wait: Duration,
    /// Most records in a batch.
    pub max_rows: usize,
    /// Largest batch in bytes as received; bounds memory.
    pub max_size: ByteSize,
    /// How long landing rows are kept, counted from arrival, once staging has committed them.
    pub retention: Duration,
    /// How long nothing must have arrived in an hour's folder before its small files are put together.
    pub compact_after: Duration,
    /// Bytes that a file of landing should have.
    pub compact_size: ByteSize,
    /// How far behind the newest event of its partition an event may be before it counts as late.
    pub allowed_lateness: Duration,
}

/// `staging:`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staging {
    /// Most landing rows read for one staging commit; bounds memory.
    pub max_rows: usize,
    /// What the connector sends in place of a large value that an update left alone: its
    /// `unavailable.value.placeholder`.
    pub unavailable_value: String,
}

/// `curated:`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Curated {
    /// Key-hash buckets of the histories, dimensions and facts; fixed once a table exists.
    pub buckets: u16,
}

/// `warehouse:`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warehouse {
    /// Where the SQL runs.
    pub target: WarehouseTarget,
    /// How long a statement on Redshift may take.
    pub timeout: Duration,
    /// Whether streaming views and mirrors are set up and kept.
    pub mirrors: bool,
    /// How often the streaming views are refreshed.
    pub refresh_every: Duration,
    /// Memory limit of the embedded warehouse.
    pub memory: ByteSize,
    /// What `${iam_role}` stands for in the load scripts: `default` or a role's ARN.
    pub iam_role: String,
    /// What `${auth}` stands for in `CREATE EXTERNAL SCHEMA .. FROM KAFKA`.
    pub auth: Auth,
}

/// `metrics:`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// Where `/metrics` and `/healthz` are served; nowhere if none.
    pub listen: Option<SocketAddr>,
    /// Whether `weir stream` and `weir build` write metrics into their log, for CloudWatch.
    pub emf: bool,
}

/// `lineage:`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// File that gets an event per line; a relative one is meant below the folder of the embedded parts.
    pub file: Option<PathBuf>,
    /// Receiver of events over HTTP, as it is posted to.
    pub url: Option<SecretText>,
    /// Token for the receiver.
    pub api_key: Option<SecretText>,
    /// Namespace of the jobs; none: made of the project's name and the environment.
    pub namespace: Option<String>,
}

/// `catalog:`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Catalog {
    /// The lake's tables speak for themselves.
    Embedded,
    /// The AWS Glue Data Catalog has them too.
    Glue {
        /// What the databases' names begin with; none: made of the project's name and the environment.
        database: Option<String>,
        /// Its region; none: as the environment says.
        region: Option<String>,
        /// Another service than AWS's.
        endpoint: Option<String>,
    },
}

/// The warehouse that takes the SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WarehouseTarget {
    /// Redshift's double, inside the process and on loopback.
    Embedded {
        /// The port of the Postgres wire; a free one where none is given.
        port: Option<u16>,
    },
    /// Redshift by its address: `postgres://user:password@host:5439/database`.
    Address(SecretText),
    /// Amazon Redshift, which knows Weir by IAM.
    Redshift(RedshiftAt),
}

/// An Amazon Redshift.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedshiftAt {
    /// What it is, and its name.
    pub name: RedshiftName,
    /// The database.
    pub database: String,
    /// Its region.
    pub region: String,
    /// `host:port` of its Postgres wire; none: statements go through the Data API.
    pub host: Option<String>,
    /// A service other than AWS's own.
    pub endpoint: Option<String>,
}

/// Kinds of Redshift, each with the name that AWS knows it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedshiftName {
    /// A workgroup of Redshift Serverless.
    Workgroup(String),
    /// A provisioned cluster.
    Cluster(String),
}

/// How the warehouse proves itself to the brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Auth {
    /// Not at all.
    None,
    /// By its IAM role.
    Iam,
}

impl Auth {
    /// The word in SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Iam => "iam",
        }
    }
}
