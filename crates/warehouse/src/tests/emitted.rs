//! Every text that Weir writes for Redshift: Redshift's rules find nothing in it, and it is as it was.

use weir_core::column::{Column, ColumnType};
use weir_core::publication::{ChangeSet, ChangeSetFile, Publication, PublishedTable};
use weir_project::{ModelKind, Project};

use super::project;
use crate::lint::lint;
use crate::load::{self, ddl};
use crate::mirror;
use crate::{Placeholders, substitute};

/// The texts of a project, by name.
fn texts(project: &Project) -> Vec<(String, String)> {
    let publication = |anew| Publication {
        build: 7,
        published_at: 0,
        tables: project
            .models
            .iter()
            .filter(|model| !matches!(model.kind, ModelKind::View { .. }))
            .map(|model| PublishedTable {
                table: model.name.clone(),
                version: 8,
                key: ddl::key(model),
                change_sets: vec![ChangeSet {
                    version: 8,
                    upserts: 3,
                    deletes: 1,
                    files: vec![ChangeSetFile { path: format!("{}.parquet", model.name), content_length: 99, rows: 4 }],
                    anew,
                }],
            })
            .collect(),
    };
    let mut texts = vec![
        ("load".to_owned(), load::script(project, &[publication(false)])),
        ("load_anew".to_owned(), load::script(project, &[publication(true)])),
        ("migrations".to_owned(), ddl::whole(project)),
        ("last_build".to_owned(), load::LAST_BUILD.to_owned()),
        ("setup".to_owned(), mirror::setup()),
    ];
    for table in &project.tables {
        let parts = [mirror::tables(table), mirror::create_view(table), mirror::script(project, table)];
        texts.push((format!("mirror_{}", table.name), parts.concat()));
        texts.push((format!("view_of_{}", table.name), mirror::find_view(table)));
        texts.push((format!("columns_of_{}", table.name), mirror::columns_of(table.name.as_str())));
        texts.push((format!("without_view_{}", table.name), mirror::drop_view(table)));
        let gained: Vec<&Column> = table.columns.iter().filter(|column| !table.key.contains(&column.name)).collect();
        texts.push((format!("widened_{}", table.name), mirror::widen(table, &gained, &gained)));
    }
    texts
}

fn values() -> Placeholders {
    Placeholders {
        lake: "s3://bucket/lake".into(),
        iam_role: "arn:aws:iam::111122223333:role/warehouse".into(),
        brokers: "b-1:9098,b-2:9098".into(),
        auth: "iam".into(),
    }
}

#[track_caller]
fn passes(name: &str, text: &str) {
    let found = lint(&substitute(text, &values()).unwrap()).unwrap();
    let said: Vec<String> = found.iter().map(|found| format!("{}:{} {found}", found.line, found.column)).collect();
    assert!(said.is_empty(), "{name}: {said:#?}\n{text}");
}

#[test]
fn every_text_of_the_reference_pipeline_passes_and_is_as_it_was() {
    let texts = texts(&project());
    for (name, text) in &texts {
        passes(name, text);
    }
    // Load scripts have snapshots beside the tests that run them.
    for (name, text) in
        texts.iter().filter(|(name, _)| name.starts_with("mirror_") || name == "setup" || name == "widened_product")
    {
        insta::assert_snapshot!(format!("emitted_{name}"), text);
    }
}

#[test]
fn names_that_are_reserved_words_and_columns_of_every_type_pass() {
    let mut project = project();
    let kinds = [
        ColumnType::Bit,
        ColumnType::TinyInt,
        ColumnType::SmallInt,
        ColumnType::Int,
        ColumnType::BigInt,
        ColumnType::Real,
        ColumnType::Float,
        ColumnType::Decimal { precision: 38, scale: 37 },
        ColumnType::Text { length: Some(4000) },
        ColumnType::Text { length: None },
        ColumnType::Date,
        ColumnType::DateTime2 { precision: 7 },
        ColumnType::DateTimeOffset,
        ColumnType::UniqueIdentifier,
        ColumnType::VarBinary { length: None },
    ];
    let names = [
        "offline",
        "tag",
        "user",
        "permissions",
        "encode",
        "order",
        "group",
        "snapshot",
        "system",
        "open",
        "raw",
        "percent",
        "restore",
        "wallet",
        "timestamp",
    ];
    for table in &mut project.tables {
        table.columns.extend(names.iter().zip(kinds).map(|(name, kind)| Column {
            name: name.parse().unwrap(),
            kind,
            nullable: true,
        }));
    }
    for (name, text) in texts(&project) {
        passes(&name, &text);
    }
}
