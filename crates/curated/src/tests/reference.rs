//! The shipped pipeline's models run as they are: one row per source table leads to a whole star.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use tempfile::TempDir;
use weir_core::change::Op;
use weir_core::value::{Row, Value};
use weir_core::zone::{Hour, Zone};
use weir_lake::{Commit, Lake, NewFile, Options, Partition, Partitioning};
use weir_project::{ModelKind, Project};

use super::fixture::{batch, change, mark_fields, marks, text};
use crate::layout::arrow_type;

fn is_send<T: Send>(work: T) -> T {
    work
}

fn any_value(kind: &DataType) -> Value {
    match kind {
        DataType::Boolean => Value::Bool(false),
        DataType::Int16 | DataType::Int32 | DataType::Int64 => Value::Int(7),
        DataType::Decimal128(_, scale) => Value::Decimal(1_295, *scale),
        DataType::Date32 => Value::Date(15_000),
        DataType::Timestamp(..) => Value::Timestamp(1_291_191_960_000_000),
        DataType::Utf8 => text("paid"),
        other => panic!("no value of {other}"),
    }
}

async fn stage(project: &Project, lake: &Lake) {
    for source in &project.tables {
        let mut fields: Vec<Field> =
            source.columns.iter().map(|c| Field::new(c.name.as_str(), arrow_type(c.kind), true)).collect();
        let mut row: Row = fields.iter().map(|field| any_value(field.data_type())).collect();
        row.extend(marks(&change(source.name.as_str(), 1, Op::Create, 1_291_191_960_000_000, 1, row.clone())));
        fields.extend(mark_fields());
        let schema = Arc::new(Schema::new(fields));
        let created = lake.create_table(Zone::Staging, source.name.as_str(), &schema, Partitioning::Hour).await;
        let mut table = created.expect("a staging table");
        let batches = vec![batch(&schema, &[row])];
        let file = NewFile { partition: Partition::Hour(Hour(0)), batches, tags: BTreeMap::new() };
        let file = table.write_file(file).await.expect("a file");
        table.commit(Commit { add: vec![file], ..Commit::default() }).await.expect("a commit");
    }
}

#[tokio::test]
async fn the_shipped_models_run_as_they_are_and_every_table_is_published() {
    let folder = TempDir::new().expect("a folder");
    let pipeline = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/retail");
    let project = weir_project::load(&pipeline, "dev", &[]).expect("the shipped project");
    let lake = Lake::open(Options::folder(folder.path())).await.expect("a lake");
    stage(&project, &lake).await;
    let report = is_send(crate::build(&project, &lake)).await.expect("a build");
    assert_eq!(is_send(crate::check(&project, &lake)).await.expect("a check"), []);
    let publication = crate::latest(&lake).await.expect("the lake").expect("a publication");
    let tables = project.models.iter().filter(|model| !matches!(model.kind, ModelKind::View { .. }));
    assert_eq!(publication.tables.len(), tables.count());
    for (model, table) in project.models.iter().zip(&report.tables) {
        let rows = match model.kind {
            ModelKind::Dimension { .. } => 2,
            ModelKind::Fact { .. } => 1,
            ModelKind::DateDimension => 366,
            ModelKind::Aggregate { .. } => 1,
            ModelKind::View { .. } => panic!("a view has no table"),
        };
        assert_eq!((&table.table, table.upserts, table.keyless), (&model.name, rows, 0));
    }
}
