//! The wire, by psql where it is installed.

use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use weir_core::diagnosis::Diagnose;

use super::Fixture;
use crate::{Options, Users, Warehouse, WarehouseError, serve};

pub(super) struct Served {
    pub(super) port: u16,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<Result<(), WarehouseError>>,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

fn served(users: Users) -> Served {
    served_with(users, Options { threads: Some(2), ..Options::default() })
}

pub(super) fn served_with(users: Users, options: Options) -> Served {
    let Fixture { warehouse, folder } = Fixture::with(options);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (stop, stopped) = oneshot::channel();
    let warehouse: Arc<Warehouse> = Arc::new(warehouse);
    let task = runtime.spawn(serve(warehouse, listener, users, async move {
        let _ = stopped.await;
    }));
    Served { port, stop: Some(stop), task, runtime, _folder: folder }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let task = &mut self.task;
        let _ = self.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(10), task).await });
    }
}

/// None where psql is not installed; the skip is printed.
fn psql(served: &Served, args: &[&str]) -> Option<Output> {
    let mut command = Command::new("psql");
    command.args(["-h", "127.0.0.1", "-p", &served.port.to_string(), "-U", "weir", "-d", "dev", "-X"]).args(args);
    command.env("PGCONNECT_TIMEOUT", "10").env("PGPASSWORD", "secret").env_remove("PGOPTIONS");
    match command.output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: psql is not installed");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn text(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let text = String::from_utf8(both).unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("WARNING: psql major") && !line.contains("features might not work"));
    lines.map(str::trim_end).collect::<Vec<_>>().join("\n")
}

const TABLES: &str = "CREATE TABLE analytics.dim_customer (customer_key BIGINT NOT NULL, name VARCHAR(20) DEFAULT 'x', \
    price DECIMAL(12,3), at TIMESTAMP) DISTKEY(customer_key); CREATE TABLE staging.\"order\" (id INT, data SUPER); \
    CREATE VIEW analytics.v AS SELECT customer_key, name FROM analytics.dim_customer";

#[test]
fn psql_lists_describes_and_queries() {
    let served = served(Users::Trust);
    let Some(made) = psql(&served, &["-c", TABLES]) else { return };
    assert!(made.status.success(), "{}", text(&made));
    let mut seen = String::new();
    for command in [
        "\\dt",
        "\\dt staging.*",
        "\\d dim_customer",
        "\\d+ analytics.v",
        "\\d",
        "\\dn",
        "\\dv",
        "\\l",
        "\\du",
        "\\df",
        "\\dp",
        "\\conninfo",
    ] {
        let output = psql(&served, &["-c", command]).unwrap();
        let shown = text(&output).replace(&served.port.to_string(), "PORT");
        seen.push_str(&format!("{command}\n{shown}\n\n"));
    }
    insta::assert_snapshot!(seen);
}

#[test]
fn psql_gets_tags_types_errors_and_several_results() {
    let served = served(Users::Trust);
    let script = "CREATE TABLE t (a INT, b DECIMAL(12,3), c BOOLEAN, d TIMESTAMP, e VARBYTE(4), f SUPER, g DATE);
INSERT INTO t VALUES (1, 1.5, true, '2024-01-01 12:00:00.5', TO_VARBYTE('ab', 'hex'), JSON_PARSE('[1]'), '2024-02-29'), (2, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT * FROM t ORDER BY a;
UPDATE t SET b = 2 WHERE a = 2;
DELETE FROM t WHERE a = 9;
BEGIN;
SELECT 1/0;
SELECT 1;
COMMIT;
SELECT COUNT(*) FROM t;
\\gdesc
SELECT SUM(b) AS s, AVG(a) AS m FROM t \\gdesc
SELECT 1 AS one\\; SELECT 2 AS two;
FOO BAR;
CREATE INDEX i ON t (a);
";
    let file = served._folder.path().join("s.sql");
    std::fs::write(&file, script).unwrap();
    let Some(output) = psql(&served, &["-f", file.to_str().unwrap()]) else { return };
    let shown = text(&output).replace(file.to_str().unwrap(), "s.sql");
    insta::assert_snapshot!(shown);
}

#[test]
fn a_wrong_password_is_refused_and_a_right_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords");
    std::fs::write(&file, "# users\nweir:secret\nother:different\n").unwrap();
    let served = served(Users::from_file(&file).unwrap());
    let Some(output) = psql(&served, &["-Atc", "SELECT 1"]) else { return };
    assert_eq!(text(&output), "1");
    let wrong = psql(&served, &["-U", "other", "-Atc", "SELECT 1"]).unwrap();
    assert!(!wrong.status.success());
    std::fs::write(&file, "nonsense").unwrap();
    assert!(matches!(Users::from_file(&file), Err(WarehouseError::Passwords { .. })));
}

#[test]
fn a_running_statement_is_cancelled_and_the_session_goes_on() {
    let served = served(Users::Trust);
    let slow = "SET application_name TO 'x'; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000) SELECT COUNT(*) FROM n";
    let port = served.port.to_string();
    let mut child = match Command::new("psql")
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-U",
            "weir",
            "-d",
            "dev",
            "-X",
            "-At",
            "-c",
            slow,
            "-c",
            "SELECT 'alive'",
        ])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
    {
        Ok(child) => child,
        Err(_) => return println!("skipped: psql is not installed"),
    };
    std::thread::sleep(Duration::from_millis(1500));
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while child.try_wait().unwrap().is_none() {
        assert!(std::time::Instant::now() < deadline, "the statement went on");
        std::thread::sleep(Duration::from_millis(50));
    }
    let shown = text(&child.wait_with_output().unwrap());
    assert!(shown.to_lowercase().contains("cancel") || shown.to_lowercase().contains("interrupt"), "{shown}");
}

#[test]
fn another_address_than_loopback_is_refused() {
    let Fixture { warehouse, folder: _folder } = Fixture::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let refused = runtime.block_on(async {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        serve(Arc::new(warehouse), listener, Users::Trust, async {}).await
    });
    assert!(matches!(refused, Err(WarehouseError::NotLoopback { .. })));
}

const BY_PYTHON: &str = r#"
import sys, datetime, decimal, pg8000.native
c = pg8000.native.Connection("weir", host="127.0.0.1", port=int(sys.argv[1]), database="dev")
c.run("CREATE TABLE t (i INT, b BIGINT, n DECIMAL(12,3), f DOUBLE PRECISION, s VARCHAR(20), x BOOLEAN, d DATE, ts TIMESTAMP, v VARBYTE(8))")
row = dict(i=1, b=2**40, n=decimal.Decimal("-12.345"), f=1.5, s="it's ü", x=True, d=datetime.date(2024, 2, 29),
    ts=datetime.datetime(2024, 2, 29, 1, 2, 3, 4000), v="00ff")
c.run("INSERT INTO t VALUES (:i, :b, :n, :f, :s, :x, :d, :ts, TO_VARBYTE(:v, 'hex'))", **row)
c.run("INSERT INTO t (i) VALUES (:i)", i=2)
for got in c.run("SELECT * FROM t WHERE i < :most ORDER BY i LIMIT 5", most=10):
    print(got)
print([(column["name"], column["type_oid"]) for column in c.columns])
print(c.run("SELECT s FROM t WHERE s = :s", s="it's ü"), c.run("SELECT i FROM t WHERE i = :i", i="2"))
c.run("BEGIN")
c.run("DELETE FROM t")
try:
    c.run("SELECT 1 / :zero", zero=0)
except pg8000.exceptions.DatabaseError as error:
    print(error.args[0]["C"], error.args[0]["M"], error.args[0]["D"])
try:
    c.run("SELECT 1")
except pg8000.exceptions.DatabaseError as error:
    print(error.args[0]["C"])
c.run("ROLLBACK")
print(c.run("SELECT COUNT(*) FROM t"), c.row_count)
c.close()
"#;

#[test]
fn a_driver_with_the_extended_protocol_sends_and_gets_typed_values() {
    let served = served(Users::Trust);
    let output = Command::new("python3").args(["-c", BY_PYTHON, &served.port.to_string()]).output();
    let Ok(output) = output else { return println!("skipped: python3 is not installed") };
    let shown = text(&output);
    if shown.contains("No module named 'pg8000'") {
        return println!("skipped: the Python package pg8000 is not installed");
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn the_client_gets_from_a_server_what_a_session_gives() {
    use crate::{Answer, Client};
    let text = "CREATE TABLE t (a INT, b VARCHAR(9), c DECIMAL(12,3), d BOOLEAN); INSERT INTO t VALUES (1, 'x', 1.5, true), \
                (2, NULL, -0.001, false); SELECT * FROM t ORDER BY a; SELECT 1/0";
    let hear = |into: &mut Vec<String>, answer: Answer<'_>| into.push(format!("{answer:?}"));

    let fixture = Fixture::new();
    let mut alone = Vec::new();
    let failed = fixture.session().stream(text, &mut |answer| hear(&mut alone, answer));
    let alone_error = failed.map_err(|error| (error.to_string(), error.diagnosis()));

    let served = served(Users::Trust);
    let pid = std::process::id();
    assert!(Client::connect(served.port, pid + 1).unwrap().is_none(), "another process than the note says");
    let mut client = Client::connect(served.port, pid).unwrap().unwrap();
    let mut over = Vec::new();
    let failed = client.stream(text, &mut |answer| hear(&mut over, answer));
    assert_eq!(over, alone);
    assert!(alone.len() > 4, "{alone:?}");
    let error = failed.map_err(|error| (error.to_string(), error.diagnosis()));
    assert_eq!(error.as_ref().map_err(|(_, diagnosis)| diagnosis), alone_error.as_ref().map_err(|(_, d)| d));

    // The connection is good for the next text, and says when the server is gone.
    client.stream("SELECT 1", &mut |_| {}).unwrap();
    drop(served);
    let gone = client.stream("SELECT 1", &mut |_| {});
    assert!(matches!(gone, Err(WarehouseError::ServerLost { .. })), "{gone:?}");
}
