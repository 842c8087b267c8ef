//! The batch branch: scripts from publications, run on the double.

use std::path::Path;

use weir_core::publication::{ChangeSet, ChangeSetFile, Publication, PublishedTable};
use weir_project::{ModelKind, Project};

use super::{Fixture, failure, project, rows};
use crate::load::{apply, apply_pending, ddl, last_build, manifests, pending, script, transactions};
use crate::{Bucket, LakeFiles, Options, Placeholders, Session, WarehouseError};

fn values(lake: &Path) -> Placeholders {
    Placeholders {
        lake: lake.display().to_string(),
        iam_role: "default".into(),
        brokers: "localhost:9092".into(),
        auth: "none".into(),
    }
}

fn files(lake: &Path) -> LakeFiles {
    LakeFiles::Folder(lake.to_owned())
}

/// Only the dimension of products, so that a change set fits a line.
fn small_project() -> Project {
    let mut project = project();
    project.models.retain(|model| model.name.as_str() == "dim_product");
    project
}

/// Writes a change set of `dim_product` rows `(key, product_id, list_price, change)` as the lake would.
fn change_set(session: &mut Session, lake: &Path, version: i64, changes: &[(i64, &str, &str, &str)]) -> ChangeSet {
    change_set_of(session, lake, &small_project(), version, changes)
}

/// The same with the columns of this project's model; where it has a `shade`, it is that of the product's id.
fn change_set_of(
    session: &mut Session,
    lake: &Path,
    project: &Project,
    version: i64,
    changes: &[(i64, &str, &str, &str)],
) -> ChangeSet {
    let folder = lake.join("curated/_changes/dim_product");
    std::fs::create_dir_all(&folder).unwrap();
    let path = format!("curated/_changes/dim_product/{version}.parquet");
    let columns = ddl::columns(&project.models[0]);
    let mut selects = Vec::new();
    for (key, product, price, change) in changes {
        let cells: Vec<String> = columns
            .iter()
            .map(|column| {
                let value = match column.name.as_str() {
                    "product_key" => key.to_string(),
                    "product_id" | "shade" => format!("'{product}'"),
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
        anew: false,
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
fn a_lake_that_was_built_anew_is_not_loaded_on_top_of_what_the_old_one_gave() {
    let fixture = Fixture::new();
    let mut session = fixture.session();
    let (lake, project) = (fixture.path().join("lake"), small_project());
    let lake = lake.as_path();
    let load = |session: &mut Session| apply_pending(session, &project, &files(lake), &values(lake));
    for (build, key) in [(1, 11), (2, 12)] {
        let set = change_set(&mut session, lake, i64::try_from(build).unwrap(), &[(key, "a", "1.00", "u")]);
        publish(lake, &publication(build, i64::try_from(build).unwrap(), vec![set]));
        load(&mut session).unwrap();
    }
    let before = rows(&mut session, STATE);

    // The new line is shorter, then as long, then longer.
    std::fs::remove_dir_all(lake.join("curated")).unwrap();
    for (build, changes) in [(1, &[(11, "a", "1.00", "u"), (12, "a", "1.00", "u")][..]), (2, &[]), (3, &[])] {
        let sets = if changes.is_empty() { vec![] } else { vec![change_set(&mut session, lake, 1, changes)] };
        publish(lake, &publication(build, 1, sets));
        let refused = load(&mut session);
        assert!(matches!(refused, Err(WarehouseError::AnotherLine { build: 2 })), "{refused:?}");
    }
    assert_eq!(rows(&mut session, STATE), before);
}

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
    let loaded = apply_pending(&mut session, &project, &files(&lake), &values(&lake)).unwrap();
    assert_eq!(loaded.len(), 2);
    assert_eq!(rows(&mut session, STATE), ["1|a|1.750", "2|b|9.000"]);
    assert_eq!(rows(&mut session, LEDGER), ["1|dim_product|1|3|0", "2|dim_product|3|2|2"]);
    assert!(apply_pending(&mut session, &project, &files(&lake), &values(&lake)).unwrap().is_empty());
}

#[test]
fn a_script_run_twice_or_late_changes_nothing() {
    let fixture = Fixture::new();
    let (mut session, lake, project) = (fixture.session(), fixture.path().join("lake"), small_project());
    let first = publication(1, 1, vec![change_set(&mut session, &lake, 1, &[(1, "a", "1", "u"), (2, "b", "2", "u")])]);
    let second = publication(2, 2, vec![change_set(&mut session, &lake, 2, &[(1, "a", "7", "u"), (2, "b", "2", "d")])]);
    for publication in [&first, &second, &second, &first, &second] {
        apply(&mut session, &project, &files(&lake), std::slice::from_ref(publication), &values(&lake)).unwrap();
    }
    assert_eq!(rows(&mut session, STATE), ["1|a|7.000"]);
    assert_eq!(rows(&mut session, LEDGER), ["1|dim_product|1|2|0", "2|dim_product|2|1|1"]);
}

/// What a load leaves in the check is what the next one deletes, so two at a time meet there.
#[test]
fn of_two_loads_at_the_same_time_the_second_fails_and_finds_everything_done() {
    let fixture = Fixture::new();
    let (mut session, mut other) = (fixture.session(), fixture.session());
    let (lake, project) = (fixture.path().join("lake"), small_project());
    let files = files(&lake);
    let first = change_set(&mut session, &lake, 1, &[(1, "a", "1", "u")]);
    publish(&lake, &publication(1, 1, vec![first]));
    apply_pending(&mut session, &project, &files, &values(&lake)).unwrap();
    let second = change_set(&mut session, &lake, 2, &[(2, "b", "2", "u")]);
    publish(&lake, &publication(2, 2, vec![second]));
    let before = session.run("BEGIN; SELECT COUNT(*) FROM staging.load_ledger").unwrap();
    assert_eq!(before.len(), 2);
    apply_pending(&mut other, &project, &files, &values(&lake)).unwrap();
    let text = crate::substitute(&script(&project, &pending(&files, 1).unwrap()), &values(&lake)).unwrap();
    let failed = session.run(&text).unwrap_err();
    assert_eq!(failed.sqlstate(), "40001", "{failed}");
    session.run("ROLLBACK").unwrap();
    assert!(apply_pending(&mut session, &project, &files, &values(&lake)).unwrap().is_empty());
    assert_eq!(rows(&mut session, STATE), ["1|a|1.000", "2|b|2.000"]);
}

/// The dimension of products with a column more and one less, and a view that shows the new one.
fn other_columns() -> Project {
    let mut project = small_project();
    let model = &mut project.models[0];
    let mut shade = model.column("category").unwrap().clone();
    shade.name = "shade".parse().unwrap();
    model.columns.retain(|column| column.name.as_str() != "discontinued");
    model.columns.push(shade);
    let mut view = model.clone();
    view.name = "shades".parse().unwrap();
    view.kind = ModelKind::View { reads: vec![model.name.clone()] };
    view.sql.as_mut().unwrap().text = "SELECT product_id, shade FROM curated.dim_product".to_owned();
    project.models.push(view);
    project
}

const SHADES: &str = "SELECT product_key, shade, list_price FROM analytics.dim_product ORDER BY 1";

#[test]
fn a_table_made_anew_has_the_new_columns_and_rows_and_views_over_it_go_on() {
    let fixture = Fixture::new();
    let (mut session, lake) = (fixture.session(), fixture.path().join("lake"));
    let (old, new) = (small_project(), other_columns());
    let first = publication(1, 1, vec![change_set(&mut session, &lake, 1, &[(1, "a", "1", "u"), (2, "b", "2", "u")])]);
    publish(&lake, &first);
    apply_pending(&mut session, &old, &files(&lake), &values(&lake)).unwrap();
    session.run("CREATE VIEW dear AS SELECT product_id FROM analytics.dim_product WHERE list_price > 1").unwrap();

    // A build in the old columns that was never loaded, one that makes the table anew, and one behind it.
    let second = change_set(&mut session, &lake, 2, &[(3, "c", "3", "u"), (1, "a", "0", "d")]);
    let third = change_set_of(&mut session, &lake, &new, 3, &[(2, "b", "2", "u"), (3, "c", "4", "u")]);
    let fourth = change_set_of(&mut session, &lake, &new, 4, &[(4, "d", "5", "u"), (2, "b", "0", "d")]);
    let pending = [
        publication(2, 2, vec![second.clone()]),
        // A killed build's set with the old columns may stand before it.
        publication(3, 3, vec![second, ChangeSet { anew: true, ..third }]),
        publication(4, 4, vec![fourth]),
    ];
    pending.iter().for_each(|publication| publish(&lake, publication));
    let cut: Vec<usize> = transactions(&pending).map(<[Publication]>::len).collect();
    assert_eq!(cut, [2, 1], "older columns are never loaded for themselves");
    insta::assert_snapshot!("load_script_anew", script(&new, &pending[..2]));
    let loaded = apply_pending(&mut session, &new, &files(&lake), &values(&lake)).unwrap();
    assert_eq!(loaded.iter().map(|build| build.build).collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(rows(&mut session, SHADES), ["3|c|4.000", "4|d|5.000"]);
    assert_eq!(rows(&mut session, "SELECT * FROM analytics.shades ORDER BY 1"), ["c|c", "d|d"]);
    assert_eq!(rows(&mut session, "SELECT * FROM dear ORDER BY 1"), ["c", "d"]);
    assert!(failure(&mut session, "SELECT discontinued FROM analytics.dim_product").starts_with("42703"));
    let builds = "SELECT build FROM staging.load_ledger ORDER BY 1";
    assert_eq!(rows(&mut session, builds), ["1", "2", "3", "4"]);

    // Run late, it fails as a whole: the table stays as the newest build has it.
    let late = apply(&mut session, &new, &files(&lake), &pending[..2], &values(&lake)).unwrap_err();
    assert_eq!(late.sqlstate(), "23502");
    assert_eq!(rows(&mut session, SHADES), ["3|c|4.000", "4|d|5.000"]);

    // A warehouse that begins now gets there as well.
    let another = Fixture::new();
    let mut session = another.session();
    apply_pending(&mut session, &new, &files(&lake), &values(&lake)).unwrap();
    assert_eq!(rows(&mut session, SHADES), ["3|c|4.000", "4|d|5.000"]);
}

#[test]
fn a_table_made_anew_without_a_row_is_empty() {
    let fixture = Fixture::new();
    let (mut session, lake) = (fixture.session(), fixture.path().join("lake"));
    let first = publication(1, 1, vec![change_set(&mut session, &lake, 1, &[(1, "a", "1", "u")])]);
    let second = ChangeSet { version: 2, upserts: 0, deletes: 0, files: vec![], anew: true };
    publish(&lake, &first);
    apply_pending(&mut session, &small_project(), &files(&lake), &values(&lake)).unwrap();
    publish(&lake, &publication(2, 2, vec![second]));
    apply_pending(&mut session, &other_columns(), &files(&lake), &values(&lake)).unwrap();
    assert!(rows(&mut session, SHADES).is_empty());
}

#[test]
fn two_rows_of_one_key_fail_the_load_as_a_whole() {
    let fixture = Fixture::new();
    let (mut session, lake, project) = (fixture.session(), fixture.path().join("lake"), small_project());
    let good = publication(1, 1, vec![change_set(&mut session, &lake, 1, &[(1, "a", "1", "u")])]);
    apply(&mut session, &project, &files(&lake), &[good], &values(&lake)).unwrap();
    let set = change_set(&mut session, &lake, 2, &[(1, "a", "0", "d"), (2, "b", "1", "u"), (2, "b", "2", "u")]);
    let bad = apply(&mut session, &project, &files(&lake), &[publication(2, 2, vec![set])], &values(&lake));
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
    let error = apply(&mut session, &project, &files(&lake), std::slice::from_ref(&late), &values(&lake)).unwrap_err();
    assert_eq!(error.sqlstate(), "23502");
    publish(&lake, &late);
    assert!(matches!(pending(&files(&lake), 1), Err(WarehouseError::MissingBuild { build: 3, missing: 2 })));
    assert!(pending(&files(&lake), 3).unwrap().is_empty());
}

#[test]
fn a_file_that_is_not_what_its_manifest_says_is_not_loaded() {
    let fixture = Fixture::new();
    let (mut session, lake, project) = (fixture.session(), fixture.path().join("lake"), small_project());
    let mut set = change_set(&mut session, &lake, 1, &[(1, "a", "1", "u")]);
    set.files[0].content_length += 1;
    let error = apply(&mut session, &project, &files(&lake), &[publication(1, 1, vec![set.clone()])], &values(&lake));
    assert!(matches!(error, Err(WarehouseError::CopyLength { .. })));
    set.files[0].path = "curated/_changes/dim_product/gone.parquet".into();
    let error = apply(&mut session, &project, &files(&lake), &[publication(1, 1, vec![set])], &values(&lake));
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
        anew: false,
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
    insta::assert_snapshot!("load_script", script(&project, std::slice::from_ref(&publication)));
    let files = manifests(&publication, "s3://bucket/lake");
    insta::assert_snapshot!("manifest", format!("{}\n{}", files[0].path, files[0].text));
}

#[test]
fn every_model_gets_a_table_that_the_double_takes() {
    let fixture = Fixture::new();
    let mut session = fixture.session();
    let project = project();
    session.run(&ddl::whole(&project)).unwrap();
    session.run(&ddl::whole(&project)).unwrap();
    for model in &project.models {
        let found = rows(&mut session, &format!("SELECT * FROM analytics.{} WHERE 1 = 0", model.name));
        assert!(found.is_empty());
        if matches!(model.kind, ModelKind::Dimension { .. }) {
            assert_eq!(ddl::key(model).len(), 1);
        }
    }
}

/// The same builds, with the lake in a bucket: files come through a spool that is empty afterwards.
#[test]
fn builds_of_a_bucket_load_as_those_of_a_folder_do() {
    use std::sync::Arc;

    use object_store::memory::InMemory;
    use object_store::path::Path as StorePath;
    use object_store::{ObjectStore, ObjectStoreExt};

    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let bucket = Bucket::new("s3://shop/lake", store.clone(), runtime.handle().clone());
    let options = Options { threads: Some(2), bucket: Some(bucket.clone()), ..Options::default() };
    let (fixture, project) = (Fixture::with(options), small_project());
    let (mut session, local) = (fixture.session(), fixture.path().join("local"));
    let first = change_set(&mut session, &local, 1, &[(1, "a", "1.5", "u"), (2, "b", "2", "u")]);
    let second = change_set(&mut session, &local, 2, &[(1, "a", "1.75", "u"), (2, "b", "0", "d")]);
    publish(&local, &publication(1, 1, vec![first.clone()]));
    publish(&local, &publication(2, 2, vec![second]));
    let mut folders = vec![local.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = StorePath::from(path.strip_prefix(&local).unwrap().display().to_string());
            runtime.block_on(store.put(&name, std::fs::read(&path).unwrap().into())).unwrap();
        }
    }
    std::fs::remove_dir_all(&local).unwrap();

    let values = Placeholders { lake: "s3://shop/lake".into(), ..values(&local) };
    let lake = LakeFiles::Bucket(bucket);
    let loaded = apply_pending(&mut session, &project, &lake, &values).unwrap();
    assert_eq!(loaded.iter().map(|loaded| loaded.build).collect::<Vec<_>>(), [1, 2]);
    let left = rows(&mut session, "SELECT product_id, list_price FROM analytics.dim_product");
    assert_eq!(left, ["a|1.750"]);
    let spool = fixture.path().join("w.spool");
    assert_eq!(std::fs::read_dir(&spool).unwrap().count(), 0, "what was fetched is gone");

    // A file of another length than the manifest says, one that is gone, and one of somewhere else.
    let file = StorePath::from(first.files[0].path.as_str());
    runtime.block_on(store.put(&file, "short".into())).unwrap();
    let again = publication(3, 3, vec![first.clone()]);
    let error = apply(&mut session, &project, &lake, std::slice::from_ref(&again), &values).unwrap_err();
    assert!(matches!(error, WarehouseError::CopyLength { actual: 5, .. }), "{error:?}");
    runtime.block_on(store.delete(&file)).unwrap();
    let error = apply(&mut session, &project, &lake, std::slice::from_ref(&again), &values).unwrap_err();
    assert!(matches!(error, WarehouseError::CopyUnreadable { .. }), "{error:?}");
    let elsewhere = session.run("COPY analytics.dim_product FROM 's3://other/x' IAM_ROLE default FORMAT AS PARQUET");
    assert!(elsewhere.unwrap_err().to_string().contains("not in the lake"));
    assert_eq!(std::fs::read_dir(&spool).unwrap().count(), 0, "what was fetched is gone after a failure too");
}
