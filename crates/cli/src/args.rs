//! The command line: what can be typed, and nothing of what it does.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use weir_core::name::{ModelName, TableName};
use weir_operate::letters::LetterId;

use crate::help;

/// From database changes to a star schema that people trust.
#[derive(Debug, Parser)]
#[command(name = "weir", version, max_term_width = 100, help_template = help::TEMPLATE, subcommand_required = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// Folder of the pipeline: the one that holds `weir.yaml`. Left out: the pipeline that `demo --keep` left
    /// in `--dir`, else the current folder
    #[arg(short = 'p', long, global = true, value_name = "DIR", env = "WEIR_PROJECT")]
    pub project: Option<PathBuf>,
    /// Environment: `environments/<ENV>.yaml` of the pipeline
    #[arg(short = 'e', long, global = true, value_name = "ENV", env = "WEIR_ENV", default_value = "dev")]
    pub env: String,
    /// Overrides one setting, e.g. `--set landing.max_wait=1s`; may be given several times
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    pub overrides: Vec<(String, String)>,
    /// Folder of the embedded parts: broker, registry, lake, warehouse
    #[arg(short = 'd', long, global = true, value_name = "DIR", env = "WEIR_DIR", default_value = ".weir")]
    pub dir: PathBuf,
    /// How data is printed on standard output
    #[arg(short = 'o', long, global = true, value_enum, default_value_t = Format::Table)]
    pub output: Format,
    /// Says more on standard error; twice says everything
    #[arg(short = 'v', long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// One JSON array of objects.
    Json,
    /// RFC 4180, with a header line.
    Csv,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the whole way in one process, offline, and proves the result
    Demo(Demo),
    /// Runs all embedded services and stages until Ctrl-C drains them
    Up(Up),
    /// Checks the pipeline's files, offline, and prints every problem
    Validate,
    /// Shows settings
    #[command(subcommand)]
    Config(Config),
    /// Sends change events to the stream; `--verify` replays the zones themselves and compares
    Replay(Replay),
    /// Lists topics with partitions, offsets and retention
    #[command(subcommand)]
    Topic(Topic),
    /// Shows what a schema change will do before its first record comes
    #[command(subcommand)]
    Schema(Schema),
    /// Moves the stream into the landing zone
    Stream(Stream),
    /// Shows records that could not be decoded, sends them again, marks them as done with
    #[command(subcommand)]
    Dlq(Dlq),
    /// Builds staging, curated and the warehouse from what is new
    Build(Build),
    /// Says what a build would do, why, and how much it would read; `--cost` what a month on AWS costs
    Plan(Plan),
    /// Serves the warehouse on the Postgres wire until Ctrl-C
    Serve(Serve),
    /// Runs SQL on the warehouse
    Sql(Sql),
    /// Says how the path stands: what waits, what came, how fresh each zone is
    Status(Status),
    /// Compares the stream with every zone, by key and hash
    Reconcile,
    /// Kills the path under load, again and again, and compares every zone with what was sent
    Chaos(Chaos),
    /// Rehearses disaster recovery on a copy: loses, rebuilds, proves, and holds the time to the declared objectives
    Drill,
    /// Runs the models' unit tests, offline
    Test(Part),
    /// Recomputes the curated tables from their histories and checks their invariants
    Check,
    /// Shows which tables other engines find, compares them with the lake, mends the catalog
    #[command(subcommand)]
    Catalog(Catalog),
    /// Shows which columns a column comes from, or what is made of it
    Lineage(Lineage),
    /// Follows one key from the source's transaction to the star schema, and back from a fact
    Trace(Trace),
    /// Rebuilds a model's history from staging; shows first what would change
    Restate(Restate),
    /// Looks after the tables' files: health, compaction, vacuum; lists published builds
    #[command(subcommand)]
    Table(Table),
    /// Explains an error code
    Explain(Explain),
}

#[derive(Debug, Args)]
pub struct Demo {
    /// Feeds the UCI Online Retail data set (CSV, gzip) instead of the simulator
    #[arg(long = "online-retail", value_name = "FILE", conflicts_with_all = ["rows", "seed"])]
    pub data_set: Option<PathBuf>,
    /// Keeps the lake, the stream and the warehouse in this folder; a second run goes on there
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// Stays up with the Postgres wire when done
    #[arg(long)]
    pub serve: bool,
    /// About how many change events the simulator makes
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub rows: u64,
    /// Seed of the simulator
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

#[derive(Debug, Args)]
pub struct Up {
    /// Port of the Postgres wire
    #[arg(long, value_name = "PORT", default_value_t = 5439)]
    pub port: u16,
    /// Time between two builds
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime_duration)]
    pub build_every: std::time::Duration,
}

#[derive(Debug, Args)]
pub struct Chaos {
    /// The zone whose process is killed
    #[arg(long, value_enum)]
    pub zone: ChaosZone,
    /// How often
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub kills: u64,
    /// Draws the moments of the kills, and the events
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
}

/// A zone that can be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ChaosZone {
    /// `weir stream --once`
    Landing,
    /// `weir build --upto staging`
    Staging,
    /// `weir build --upto curated`
    Curated,
    /// `weir build`
    Warehouse,
}

#[derive(Debug, Subcommand)]
pub enum Config {
    /// Prints each setting; secrets stay references
    Show {
        /// With defaults filled in
        #[arg(long)]
        resolved: bool,
        /// With the file and line, flag or variable that set it
        #[arg(long)]
        origin: bool,
    },
    /// Prints what `infra/` takes from the pipeline's files, as JSON variables of Terraform
    Tfvars,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct Replay {
    /// Rebuilds staging from landing, and curated from staging, in another place, and compares row by row
    #[arg(long)]
    pub verify: bool,
    #[command(subcommand)]
    pub source: Option<ReplaySource>,
}

#[derive(Debug, Subcommand)]
pub enum ReplaySource {
    /// The UCI Online Retail data set as Debezium SQL Server events
    #[command(name = "online-retail")]
    DataSet {
        /// The data set, CSV compressed with gzip
        file: PathBuf,
    },
    /// A simulated shop: same seed, same events
    Simulate(Simulate),
    /// Change events of any table from JSON lines: table, op, before, after, time
    Events {
        /// One JSON object a line
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub struct Simulate {
    /// Same seed and sizes, same events
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Customers at the start
    #[arg(long, default_value_t = 1_000)]
    pub customers: u32,
    /// Products at the start
    #[arg(long, default_value_t = 200)]
    pub products: u32,
    /// Orders in all
    #[arg(long, default_value_t = 10_000)]
    pub orders: u32,
    /// Pace; 0 is as fast as possible. Changes no event
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub events_per_second: u32,
    /// Leaves out a kind of trouble; may be given several times
    #[arg(long, value_name = "KIND")]
    pub without: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub enum Topic {
    /// Lists the topics of the pipeline
    Ls,
}

#[derive(Debug, Subcommand)]
pub enum Schema {
    /// Compares writer schemas with landing's tables: what each column becomes, and what is behind it
    Diff(WriterSchema),
    /// As `diff`, and exits with 1 when records would stop or be kept out
    Check(WriterSchema),
}

#[derive(Debug, Args)]
pub struct WriterSchema {
    /// This table only
    pub table: Option<TableName>,
    /// The value schema in this file, instead of the newest in the registry
    #[arg(long, value_name = "FILE.avsc", requires = "table")]
    pub file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Stream {
    /// Stops when it has caught up with the stream
    #[arg(long)]
    pub once: bool,
    /// Goes on over the gap at which this table stopped; the records that are named are given up. May be given several
    /// times
    #[arg(long, value_name = "TABLE", requires = "once")]
    pub accept_gap: Vec<TableName>,
}

#[derive(Debug, Subcommand)]
pub enum Dlq {
    /// Counts dead letters by table and reason; shows nothing of what the records hold
    Ls {
        /// Of this table only
        #[arg(long, value_name = "TABLE")]
        table: Option<TableName>,
        /// Lists every letter with its id
        #[arg(long)]
        each: bool,
    },
    /// Shows one letter with key, value and headers, which may be personal data
    Show {
        /// Its table
        table: TableName,
        /// Its id: TOPIC_ID/PARTITION/OFFSET
        id: LetterId,
    },
    /// Sends the letters that decode by now to their topic again; each lands once
    Replay {
        #[command(flatten)]
        letters: Letters,
        /// Who does it; stands with the letters
        #[arg(long, value_name = "NAME", env = "USER")]
        by: String,
    },
    /// Marks letters as done with; deletes nothing
    Discard {
        #[command(flatten)]
        letters: Letters,
        /// Why; stands with the letters
        #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        because: String,
        /// Who does it; stands with the letters
        #[arg(long, value_name = "NAME", env = "USER")]
        by: String,
    },
}

/// Some dead letters of a table.
#[derive(Debug, Args)]
pub struct Letters {
    /// Their table
    pub table: TableName,
    #[command(flatten)]
    pub which: Which,
}

/// Which of them.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// Ids: TOPIC_ID/PARTITION/OFFSET
    #[arg(value_name = "ID")]
    pub ids: Vec<LetterId>,
    /// The open letters of one reason, e.g. `unknown_schema`
    #[arg(long, value_name = "REASON")]
    pub reason: Option<String>,
    /// All open letters
    #[arg(long)]
    pub open: bool,
}

#[derive(Debug, Subcommand)]
pub enum Catalog {
    /// Lists what the catalog holds
    Ls {
        /// What is listed
        #[arg(value_enum, default_value_t = CatalogPart::Tables)]
        part: CatalogPart,
    },
    /// Lists in what the catalog differs from the lake; exit code 1 if it does
    Diff,
    /// Brings the catalog to what the lake has
    Sync,
}

/// A part of the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CatalogPart {
    /// Tables with their version and place.
    Tables,
    /// Columns, in their order.
    Columns,
    /// Folders with data, and the commit that made each.
    Partitions,
}

#[derive(Debug, Args)]
pub struct Status {
    /// What is shown. All of it when left out, as tables; of other forms `tables`
    #[arg(value_enum)]
    pub part: Option<StatusPart>,
    /// Sums of what was committed within this time
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = humantime_duration)]
    pub within: std::time::Duration,
}

/// A part of the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StatusPart {
    /// What landing did, per table.
    Tables,
    /// Offsets and lag, per partition.
    Partitions,
    /// How fresh staging, curated and the warehouse are.
    Zones,
}

#[derive(Debug, Args)]
pub struct Build {
    /// Builds no further than this zone
    #[arg(long, value_enum, default_value_t = Upto::Warehouse)]
    pub upto: Upto,
    #[command(flatten)]
    pub part: Part,
}

#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    pub part: Part,
    /// Estimates what the environment costs on AWS in a month, from its sizes and from what its lake has seen
    #[arg(long, conflicts_with = "select")]
    pub cost: bool,
    #[command(flatten)]
    pub load: Load,
}

/// What an estimate of the cost is made of, where files and lake do not say it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of --cost")]
pub struct Load {
    /// Sizes of the environment. Left out: `infra/environments/<ENV>/sizes.auto.tfvars.json` in a folder above the pipeline
    #[arg(long, value_name = "FILE", requires = "cost")]
    pub sizes: Option<PathBuf>,
    /// Prices, in place of the shipped ones
    #[arg(long, value_name = "FILE", requires = "cost")]
    pub prices: Option<PathBuf>,
    /// Change events a day
    #[arg(long, value_name = "N", requires = "cost", value_parser = clap::value_parser!(u64).range(1..))]
    pub events_per_day: Option<u64>,
    /// Hours a month in which somebody queries a serverless warehouse
    #[arg(long, value_name = "N", requires = "cost", value_parser = clap::value_parser!(u64).range(..=730))]
    pub query_hours: Option<u64>,
    /// The month after so many months in use
    #[arg(long, value_name = "N", requires = "cost", value_parser = clap::value_parser!(u64).range(1..))]
    pub months: Option<u64>,
}

/// A part of the pipeline.
#[derive(Debug, Args)]
pub struct Part {
    /// Tables and models: `x`, `+x` with all that it is made from, `x+` with all that is made from it; a space
    /// between two selects both, a comma what both have in common
    #[arg(long, value_name = "EXPR", num_args = 1.., value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub select: Vec<String>,
}

/// Where a build stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Upto {
    /// After the checks.
    Staging,
    /// After publication.
    Curated,
    /// After the load and the refresh of the streaming views.
    Warehouse,
}

#[derive(Debug, Args)]
pub struct Serve {
    /// Port of the Postgres wire, on loopback
    #[arg(long, value_name = "PORT", default_value_t = 5439)]
    pub port: u16,
}

#[derive(Debug, Args)]
pub struct Restate {
    /// Models to restate. Every changed one when left out
    #[arg(value_name = "MODEL")]
    pub models: Vec<ModelName>,
    /// Reads only changes from this date or time (UTC) on anew; history rows of earlier ones stay
    #[arg(long, value_name = "DATE", value_parser = date_or_time)]
    pub from: Option<i64>,
    /// Swaps the tables and publishes them, after the same diff
    #[arg(long)]
    pub apply: bool,
}

#[derive(Debug, Subcommand)]
pub enum Table {
    /// Lists the published builds with the versions and changes of their tables
    Builds,
    /// Says how the files of every table stand, and what a compaction would do
    Health,
    /// Puts the small files of landing's closed hours together
    Compact {
        /// This table only
        table: Option<TableName>,
    },
    /// Deletes files that no kept version needs
    Vacuum {
        /// The tables of this name only
        table: Option<String>,
        /// Of curated tables, versions that were the newest within this time stay readable; of all others, those within
        /// `lake.vacuum_after`
        #[arg(long, value_name = "TIME", default_value = "30d", value_parser = humantime_duration)]
        keep: std::time::Duration,
        /// Says what would be deleted, and deletes nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Args)]
pub struct Sql {
    /// Asks the curated tables as of this published build (`weir table builds`) instead of the warehouse
    #[arg(long, value_name = "N")]
    pub build: Option<u64>,
    /// Statements, separated by `;`. Standard input when left out
    pub text: Option<String>,
}

#[derive(Debug, Args)]
pub struct Lineage {
    /// Table or column, e.g. `analytics.fact_sales.amount`; schemas are `source` (or the source's own),
    /// `topic`, `landing`, `staging`, `curated`, `analytics` and `mirror`
    #[arg(value_name = "[SCHEMA.]TABLE[.COLUMN]")]
    pub table: String,
    /// Shows what is made of it instead
    #[arg(long)]
    pub downstream: bool,
}

#[derive(Debug, Args)]
pub struct Trace {
    /// Dimension or fact, e.g. `dim_customer`
    pub table: String,
    /// Business key: values in key order, or `column=value,..`
    #[arg(required_unless_present = "surrogate", allow_negative_numbers = true)]
    pub key: Vec<String>,
    /// Follows the dimension's member with this surrogate key instead
    #[arg(long, value_name = "N", conflicts_with = "key", allow_negative_numbers = true)]
    pub surrogate: Option<i64>,
    /// Keys of facts shown per version
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub facts: usize,
}

#[derive(Debug, Args)]
pub struct Explain {
    /// Code, e.g. W4102. All codes when left out
    pub code: Option<String>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as section.key=value".to_owned()),
    }
}

/// `2024-03-01` or `2024-03-01T12:00:00Z`, as microseconds since 1970 UTC.
fn date_or_time(text: &str) -> Result<i64, String> {
    use chrono::{DateTime, NaiveDate, NaiveTime};
    let date = text.parse::<NaiveDate>().map(|date| date.and_time(NaiveTime::MIN).and_utc().timestamp_micros());
    let time = DateTime::parse_from_rfc3339(text).map(|time| time.timestamp_micros());
    date.or(time).map_err(|_| "write it as 2024-03-01 or 2024-03-01T12:00:00Z".to_owned())
}

fn humantime_duration(text: &str) -> Result<std::time::Duration, String> {
    humantime::parse_duration(text).map_err(|error| error.to_string())
}
