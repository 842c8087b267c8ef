//! Transactions, MERGE's rule, one owner per file.

use super::{Fixture, failure, rows};
use crate::{Options, Transaction, Warehouse, WarehouseError};

#[test]
fn a_failed_statement_aborts_its_transaction_and_commit_rolls_back() {
    let fixture = Fixture::new();
    let mut session = fixture.session();
    session.run("CREATE TABLE t (a INT)").unwrap();
    session.run("BEGIN; INSERT INTO t VALUES (1)").unwrap();
    assert!(failure(&mut session, "SELECT * FROM missing").starts_with("42P01"));
    assert_eq!(session.transaction(), Transaction::Failed);
    assert!(failure(&mut session, "SELECT 1").starts_with("25P02"));
    assert!(failure(&mut session, "CREATE INDEX i ON t (a)").starts_with("25P02"));
    let outcome = session.run("COMMIT").unwrap().remove(0);
    assert_eq!(outcome.tag.command, "ROLLBACK");
    assert_eq!(rows(&mut session, "SELECT COUNT(*) FROM t"), ["0"]);
}

#[test]
fn a_statement_that_is_refused_aborts_the_transaction_too() {
    let fixture = Fixture::new();
    let mut session = fixture.session();
    session.run("CREATE TABLE t (a INT)").unwrap();
    session.run("BEGIN; INSERT INTO t VALUES (1)").unwrap();
    assert!(failure(&mut session, "GRANT SELECT ON t TO x").starts_with("0A000"));
    assert_eq!(session.run("END").unwrap()[0].tag.command, "ROLLBACK");
    assert_eq!(rows(&mut session, "SELECT COUNT(*) FROM t"), ["0"]);
}

#[test]
fn several_statements_of_one_text_are_one_transaction() {
    let fixture = Fixture::new();
    let mut session = fixture.session();
    session.run("CREATE TABLE t (a INT)").unwrap();
    assert!(failure(&mut session, "INSERT INTO t VALUES (1); INSERT INTO t VALUES ('x')").starts_with("22P02"));
    assert_eq!(session.transaction(), Transaction::None);
    assert_eq!(rows(&mut session, "SELECT COUNT(*) FROM t"), ["0"]);
    session.run("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)").unwrap();
    assert_eq!(rows(&mut session, "SELECT COUNT(*) FROM t"), ["2"]);
}

#[test]
fn truncate_commits_what_was_done_before_it() {
    let fixture = Fixture::new();
    let mut session = fixture.session();
    session.run("CREATE TABLE t (a INT); CREATE TABLE u (a INT); INSERT INTO t VALUES (1)").unwrap();
    session.run("BEGIN; INSERT INTO u VALUES (1); TRUNCATE t; ROLLBACK").unwrap();
    assert_eq!(rows(&mut session, "SELECT (SELECT COUNT(*) FROM t), (SELECT COUNT(*) FROM u)"), ["0|1"]);
}

#[test]
fn a_merge_that_matches_a_row_twice_changes_nothing() {
    let fixture = Fixture::new();
    let mut session = fixture.session();
    session
        .run("CREATE TABLE t (k INT, v INT); CREATE TABLE s (k INT, v INT); INSERT INTO t VALUES (1, 0), (2, 0)")
        .unwrap();
    let merge = "MERGE INTO t USING s ON t.k = s.k WHEN MATCHED THEN UPDATE SET v = s.v \
                 WHEN NOT MATCHED THEN INSERT (k, v) VALUES (s.k, s.v)";
    session.run("INSERT INTO s VALUES (1, 5), (1, 6), (3, 3)").unwrap();
    assert!(failure(&mut session, merge).starts_with("21000 found multiple matches"));
    assert_eq!(rows(&mut session, "SELECT * FROM t ORDER BY k"), ["1|0", "2|0"]);
    // Repeated keys that match no row are inserted each, as in Redshift.
    session.run("DELETE FROM s; INSERT INTO s VALUES (2, 7), (9, 1), (9, 2)").unwrap();
    assert_eq!(session.run(merge).unwrap()[0].tag.rows, Some(3));
    assert_eq!(rows(&mut session, "SELECT * FROM t ORDER BY k, v"), ["1|0", "2|7", "9|1", "9|2"]);
}

#[test]
fn readers_see_the_state_before_a_transaction_until_it_commits() {
    let fixture = Fixture::new();
    let (mut writer, mut reader) = (fixture.session(), fixture.session());
    writer.run("CREATE TABLE t (a INT); INSERT INTO t VALUES (1)").unwrap();
    writer.run("BEGIN; DELETE FROM t; INSERT INTO t VALUES (2), (3)").unwrap();
    assert_eq!(rows(&mut reader, "SELECT COUNT(*) FROM t"), ["1"]);
    writer.run("COMMIT").unwrap();
    assert_eq!(rows(&mut reader, "SELECT COUNT(*) FROM t"), ["2"]);
}

#[test]
fn two_writers_of_one_row_conflict_with_a_state_that_clients_retry() {
    let fixture = Fixture::new();
    let (mut first, mut second) = (fixture.session(), fixture.session());
    first.run("CREATE TABLE t (a INT); INSERT INTO t VALUES (1)").unwrap();
    first.run("BEGIN; UPDATE t SET a = 2").unwrap();
    second.run("BEGIN").unwrap();
    assert!(failure(&mut second, "UPDATE t SET a = 3").starts_with("40001"));
    first.run("COMMIT").unwrap();
}

#[test]
fn a_file_is_opened_once_per_process() {
    let fixture = Fixture::new();
    let path = fixture.path().join("w.duckdb");
    let again = Warehouse::open(&path, Options::default());
    assert!(matches!(again, Err(WarehouseError::AlreadyOpen { .. })));
    let Fixture { warehouse, folder } = fixture;
    drop(warehouse);
    Warehouse::open(&path, Options::default()).unwrap();
    drop(folder);
}

#[test]
fn what_was_committed_is_there_after_a_new_open() {
    let Fixture { warehouse, folder } = Fixture::new();
    let mut session = warehouse.session().unwrap();
    session.run("CREATE TABLE analytics.t (a VARCHAR(5)); INSERT INTO analytics.t VALUES ('x')").unwrap();
    drop(session);
    drop(warehouse);
    let warehouse = Warehouse::open(&folder.path().join("w.duckdb"), Options::default()).unwrap();
    let mut session = warehouse.session().unwrap();
    assert_eq!(rows(&mut session, "SELECT a FROM t"), ["x"]);
    let text = "SELECT type FROM pg_table_def WHERE tablename = 't'";
    assert_eq!(rows(&mut session, text), ["character varying(5)"]);
}

#[test]
fn a_file_left_by_a_killed_process_opens_with_what_was_committed() {
    let fixture = Fixture::new();
    let mut session = fixture.session();
    session.run("CREATE TABLE analytics.t (a INT, d SUPER); INSERT INTO analytics.t VALUES (1, NULL)").unwrap();
    session.run("BEGIN; INSERT INTO analytics.t VALUES (2, NULL)").unwrap();
    // What a kill leaves: the files as they are, the write-ahead log not yet merged.
    let killed = tempfile::tempdir().unwrap();
    for name in ["w.duckdb", "w.duckdb.wal"] {
        std::fs::copy(fixture.path().join(name), killed.path().join(name)).unwrap();
    }
    let warehouse = Warehouse::open(&killed.path().join("w.duckdb"), Options::default()).unwrap();
    let mut session = warehouse.session().unwrap();
    assert_eq!(rows(&mut session, "SELECT a FROM t"), ["1"]);
    assert_eq!(rows(&mut session, "SELECT COUNT(*) FROM pg_class WHERE relname = 't'"), ["1"]);
}

#[test]
fn other_sessions_know_a_column_of_super_once_it_is_committed() {
    let fixture = Fixture::new();
    let (mut first, mut second) = (fixture.session(), fixture.session());
    first.run("BEGIN; CREATE TABLE t (doc SUPER); INSERT INTO t SELECT JSON_PARSE('{\"a\":1}')").unwrap();
    assert_eq!(rows(&mut first, "SELECT doc.a::int FROM t"), ["1"]);
    assert_eq!(rows(&mut second, "SELECT 1"), ["1"]);
    first.run("COMMIT").unwrap();
    assert_eq!(rows(&mut second, "SELECT doc.a::int FROM t"), ["1"]);
}

/// The other process of the test below.
#[test]
#[ignore = "run by another test"]
fn holds_a_file_until_its_input_ends() {
    let Ok(path) = std::env::var("WEIR_TEST_HOLD") else { return };
    let _warehouse = Warehouse::open(path.as_ref(), Options::default()).unwrap();
    println!("held");
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn a_file_held_by_another_process_is_named_as_locked() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.duckdb");
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "tests::sessions::holds_a_file_until_its_input_ends"])
        .env("WEIR_TEST_HOLD", &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line.ends_with("held")));
    assert!(matches!(Warehouse::open(&path, Options::default()), Err(WarehouseError::Locked { .. })));
    drop(holder.stdin.take());
    holder.wait().unwrap();
    Warehouse::open(&path, Options::default()).unwrap();
}
