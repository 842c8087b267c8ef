//! Project: reads the user's files strictly and once, and gives the types that prove them right.
//!
//! In: `weir.yaml`, `environments/<env>.yaml`, `sources/*.yaml`, `contracts/*.yaml`, `models/**`, the
//! process's `WEIR__SECTION__KEY` variables, and the flags' overrides.
//! Out: a [`Project`], or every problem of every file with its line and a suggestion.
//! Never: a network, a secret's value in a text, a setting that is read and then ignored.
//!
//! Read first: [`load()`] (the way in), [`settings`], [`table`] and [`model`] (what the other rooms take).
//!
//! ```
//! let dir = tempfile::tempdir().unwrap();
//! let write = |file: &str, text: &str| {
//!     let path = dir.path().join(file);
//!     std::fs::create_dir_all(path.parent().unwrap()).unwrap();
//!     std::fs::write(path, text).unwrap();
//! };
//! write("weir.yaml", "name: library\n");
//! write("environments/dev.yaml", "landing: {max_wait: 5s}\n");
//! write("sources/library.yaml", "connector: sqlserver\nserver: library\ndatabase: Library\nschema: dbo\ntables: [book]\n");
//! write("contracts/book.yaml", "key: [isbn]\ncolumns:\n  - {name: isbn, type: nvarchar(13)}\n");
//!
//! let project = weir_project::load(dir.path(), "dev", &[]).unwrap();
//! assert_eq!(project.tables[0].topic, "library.book.cdc");
//!
//! write("contracts/book.yaml", "key: [isbm]\ncolumns:\n  - {name: isbn, typ: int, type: nvarchar(13)}\n");
//! let problems = weir_project::validate(dir.path(), "dev");
//! assert_eq!(problems.len(), 2);
//! assert_eq!(problems[0].hint.as_deref(), Some("did you mean `isbn`?"));
//! ```

mod check_aggregate;
mod check_model;
mod check_query;
mod check_rule;
mod check_settings;
mod check_table;
mod check_unit_test;
mod check_view;
mod error;
mod file;
mod graph;
mod literal;
mod load;
mod migration;
pub mod model;
mod needs;
mod order;
mod project;
mod recovery;
mod resolve;
mod schema;
mod secret;
mod select;
pub mod settings;
mod shape;
mod sql;
mod sql_aggregate;
mod sql_view;
pub mod table;
mod unit_test;
mod yaml;

pub use error::{Fault, Place, Problem, ProjectError};
pub use graph::{Graph, Node};
pub use literal::parse_literal;
pub use load::{environments, load, resolved_settings, validate};
pub use migration::Migration;
pub use model::{
    AggregateJoin, DateKey, Deletes, DimensionRef, LateParent, Measure, MeasureColumn, Milestone, Model, ModelColumn,
    ModelKind, Scd, SqlFile,
};
pub use needs::Needs;
pub use project::Project;
pub use recovery::Recovery;
pub use resolve::{Origin, ResolvedSetting};
pub use schema::json_schemas;
pub use secret::{Item, Secret, SecretText, Vault};
pub use select::Selection;
pub use settings::{
    Auth, Catalog, Curated, Endpoint, Lake, LakeRoot, Landing, Lineage, Metrics, RedshiftAt, RedshiftName, RegistryAt,
    Staging, Stream, Warehouse, WarehouseTarget,
};
pub use table::{Connector, ConnectorKind, Expectation, Rule, SchemaChanges, Severity, Table};
pub use unit_test::{Expected, ExpectedRow, UnitTest};

pub use bytesize::ByteSize;
