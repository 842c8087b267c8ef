//! The batch branch: scripts from publications, run on the double.

use std::path::Path;

use weir_core::publication::{ChangeSet, ChangeSetFile, Publication, PublishedTable};
use weir_project::{ModelKind, Project};

use super::{Fixture, failure, project, rows};
use crate::load::{apply, apply_pending, ddl, last_build, manifests, pending, script};
use crate::{Placeholders, Session, WarehouseError};

fn values(lake: &Path) -> Placeholders {
    Placeholders {
        lake: lake.display().to_string(),
        iam_role: "default".into(),
        brokers: "localhost:9092".into(),
        auth: "none".into(),
    }
}

/// Only the dimension of products, so that a change set fits a line.
fn small_project() -> Project {
    let mut project = project();
    project.models.retain(|model| model.name.as_str() == "dim_product");
    project
}

/// Writes a change set of `dim_product` rows `(key, product_id, list_price, change)` as the lake would.
fn change_set(session: &mut Session, lake: &Path, version: i64, changes: &[(i64, &str, &str, &str)]) -> ChangeSet {
    let folder = lake.join("curated/_changes/dim_product");
    std::fs::create_dir_all(&folder).unwrap();
    let path = format!("curated/_changes/dim_product/{version}.parquet");
    let columns = ddl::columns(&small_project().models[0]);
    let mut selects = Vec::new();
    for (key, product, price, change) in changes {
        let cells: Vec<String> = columns
            .iter()
            .map(|column| {
                let value = match column.name.as_str() {
                    "product_key" => key.to_string(),
                    "product_id" => format!("'{product}'"),
                    "list_price" => price.to_string(),
                    "is_current" => "true".into(),
                    "is_inferred" | "discontinued" => "false".into(),
                    "effective_from" => "'2024-01-01'".into(),
                    "effective_to" => "'9999-12-31'".into(),
                    _ => "NULL".into(),
                };
                let kind = column.kind.replace("VARCHAR", "TEXT").replace("TIMESTAMP", "TIMESTAMPTZ");
                let kind = kind.split('(').next().filter(|kind| *kind == "TEXT").map_or(kind.clone(), str::to_owned);
                format!("CAST({value} AS {kind}) AS \"{}\"", column.name)
            })
            .collect();
        selects.push(format!("SELECT {}, '{change}' AS _change", cells.join(", ")));
    }
    let file = lake.join(&path);
    let copy = format!("COPY ({}) TO '{}' (FORMAT PARQUET)", selects.join(" UNION ALL "), file.display());
    session.connection.execute_batch(&copy).unwrap();
    let count = |letter: &str| changes.iter().filter(|(.., change)| *change == letter).count() as u64;
    ChangeSet {
        version,
        upserts: count("u"),
        deletes: count("d"),
        files: vec![ChangeSetFile {
            path,
            content_length: std::fs::metadata(&file).unwrap().len(),
            rows: changes.len() as u64,
        }],
    }
}

fn publication(build: u64, version: i64, change_sets: Vec<ChangeSet>) -> Publication {
    Publication {
        build,
        published_at: 0,
        tables: vec![PublishedTable {
            table: "dim_product".parse().unwrap(),
            version,
            key: vec!["product_key".into()],
            change_sets,
        }],
    }
}

fn publish(lake: &Path, publication: &Publication) {
    let path = lake.join(Publication::path(publication.build));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, serde_json::to_string(publication).unwrap()).unwrap();
}

const STATE: &str = "SELECT product_key, product_id, list_price FROM analytics.dim_product ORDER BY 1";
const LEDGER: &str = "SELECT build, table_name, version, upserts, deletes FROM staging.load_ledger ORDER BY 1";

#[test]
fn builds_load_in_order_and_deletes_and_overwrites_arrive() {
    let fixture = Fixture::new();
    let (mut session, lake, project) = (fixture.session(), fixture.path().join("lake"), small_project());
    let first = change_set(&mut session, &lake, 1, &[(1, "a", "1.5", "u"), (2, "b", "2", "u"), (3, "c", "3", "u")]);
    let second = change_set(&mut session, &lake, 2, &[(1, "a", "1.75", "u"), (2, "b", "0", "d")]);
    let third = change_set(&mut session, &lake, 3, &[(2, "b", "9", "u"), (3, "c", "0", "d")]);
    publish(&lake, &publication(1, 1, vec![first]));
    publish(&lake, &publication(2, 3, vec![second, third]));
    assert_eq!(last_build(&mut session).unwrap(), 0);
    let loaded = apply_pending(&mut session, &project, &lake, &values(&lake)).unwrap();
    assert_eq!(loaded.len(), 2);
    assert_eq!(rows(&mut session, STATE), ["1|a|1.750", "2|b|9.000"]);
    assert_eq!(rows(&mut session, LEDGER), ["1|dim_product|1|3|0", "2|dim_product|3|2|2"]);
    assert!(apply_pending(&mut session, &project, &lake, &values(&lake)).unwrap().is_empty());
}

#[test]
fn a_script_run_twice_or_late_changes_nothing() {
    let fixture = Fixture::new();
    let (mut session, lake, project) = (fixture.session(), fixture.path().join("lake"), small_project());
    let first = publication(1, 1, vec![change_set(&mut session, &lake, 1, &[(1, "a", "1", "u"), (2, "b", "2", "u")])]);
    let second = publication(2, 2, vec![change_set(&mut session, &lake, 2, &[(1, "a", "7", "u"), (2, "b", "2", "d")])]);
    for publication in [&first, &second, &second, &first, &second] {
        apply(&mut session, &project, &lake, publication, &values(&lake)).unwrap();
    }
    assert_eq!(rows(&mut session, STATE), ["1|a|7.000"]);
    assert_eq!(rows(&mut session, LEDGER), ["1|dim_product|1|2|0", "2|dim_product|2|1|1"]);
}

#[test]
fn two_rows_of_one_key_fail_the_load_as_a_whole() {
    let fixture = Fixture::new();
    let (mut session, lake, project) = (fixture.session(), fixture.path().join("lake"), small_project());
    let good = publication(1, 1, vec![change_set(&mut session, &lake, 1, &[(1, "a", "1", "u")])]);
    apply(&mut session, &project, &lake, &good, &values(&lake)).unwrap();
    let set = change_set(&mut session, &lake, 2, &[(1, "a", "0", "d"), (2, "b", "1", "u"), (2, "b", "2", "u")]);
    let bad = apply(&mut session, &project, &lake, &publication(2, 2, vec![set]), &values(&lake));
    assert_eq!(bad.unwrap_err().sqlstate(), "23502");
    assert_eq!(rows(&mut session, STATE), ["1|a|1.000"]);
    assert_eq!(rows(&mut session, LEDGER), ["1|dim_product|1|1|0"]);
}

#[test]
fn a_build_whose_predecessor_was_never_loaded_is_refused() {
    let fixture = Fixture::new();
    let (mut session, lake, project) = (fixture.session(), fixture.path().join("lake"), small_project());
    let set = change_set(&mut session, &lake, 5, &[(1, "a", "1", "u")]);
    let late = publication(3, 5, vec![set]);
    let error = apply(&mut session, &project, &lake, &late, &values(&lake)).unwrap_err();
    assert_eq!(error.sqlstate(), "23502");
    publish(&lake, &late);
    assert!(matches!(pending(&lake, 1), Err(WarehouseError::MissingBuild { build: 3, missing: 2 })));
    assert!(pending(&lake, 3).unwrap().is_empty());
}

#[test]
fn a_file_that_is_not_what_its_manifest_says_is_not_loaded() {
    let fixture = Fixture::new();
    let (mut session, lake, project) = (fixture.session(), fixture.path().join("lake"), small_project());
    let mut set = change_set(&mut session, &lake, 1, &[(1, "a", "1", "u")]);
    set.files[0].content_length += 1;
    let error = apply(&mut session, &project, &lake, &publication(1, 1, vec![set.clone()]), &values(&lake));
    assert!(matches!(error, Err(WarehouseError::CopyLength { .. })));
    set.files[0].path = "curated/_changes/dim_product/gone.parquet".into();
    let error = apply(&mut session, &project, &lake, &publication(1, 1, vec![set]), &values(&lake));
    assert!(matches!(error, Err(WarehouseError::CopyUnreadable { .. })));
}

#[test]
fn copy_loads_by_position_and_checks_count_and_types() {
    let fixture = Fixture::new();
    let mut session = fixture.session();
    let file = fixture.path().join("f.parquet");
    let write = format!("COPY (SELECT 1 AS x, 'a' AS y) TO '{}' (FORMAT PARQUET)", file.display());
    session.connection.execute_batch(&write).unwrap();
    session.run("CREATE TABLE t (a INT, b VARCHAR(5), c INT)").unwrap();
    let copy = |target: &str, more: &str| {
        format!("COPY {target} FROM '{}' IAM_ROLE default FORMAT AS PARQUET {more}", file.display())
    };
    assert!(failure(&mut session, &copy("t", "")).contains("has 2 columns"));
    assert!(failure(&mut session, &copy("t (b, a)", "")).contains("column 1 is INTEGER"));
    session.run(&copy("t (a, b)", "")).unwrap();
    session.run(&copy("t", "FILLRECORD")).unwrap();
    assert_eq!(rows(&mut session, "SELECT * FROM t"), ["1|a|-", "1|a|-"]);
}

#[test]
fn the_load_script_of_the_reference_pipeline() {
    let project = project();
    let table = |name: &str, change_sets: Vec<ChangeSet>| {
        let model = project.model(&name.parse().unwrap()).unwrap();
        PublishedTable { table: model.name.clone(), version: 8, key: ddl::key(model), change_sets }
    };
    let set = |name: &str| ChangeSet {
        version: 8,
        upserts: 3,
        deletes: 1,
        files: vec![ChangeSetFile { path: format!("curated/_changes/{name}/x.parquet"), content_length: 99, rows: 4 }],
    };
    let publication = Publication {
        build: 7,
        published_at: 0,
        tables: vec![
            table("dim_customer", vec![set("dim_customer")]),
            table("fact_sales", vec![set("fact_sales")]),
            table("dim_date", vec![]),
        ],
    };
    insta::assert_snapshot!("load_script", script(&project, &publication));
    let files = manifests(&publication, "s3://bucket/lake");
    insta::assert_snapshot!("manifest", format!("{}\n{}", files[0].path, files[0].text));
}

#[test]
fn every_model_gets_a_table_that_the_double_takes() {
    let fixture = Fixture::new();
    let mut session = fixture.session();
    let project = project();
    session.run(&ddl::migrations(&project)).unwrap();
    session.run(&ddl::migrations(&project)).unwrap();
    for model in &project.models {
        let found = rows(&mut session, &format!("SELECT * FROM analytics.{} WHERE 1 = 0", model.name));
        assert!(found.is_empty());
        if matches!(model.kind, ModelKind::Dimension { .. }) {
            assert_eq!(ddl::key(model).len(), 1);
        }
    }
}
