//! Landing through the commands: topics that come, go and grow, and several workers of which some are paused.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use weir_testkit::harness::{Running, read_json, reader};

use crate::path::reconciled;
use crate::place::{Place, until};

const MINUTE: Duration = Duration::from_secs(60);
const TABLES: [&str; 4] = ["customer", "product", "order", "order_item"];

/// `weir up` on a place: its broker is there for others, and it lands what comes. With the brokers' address.
fn up(place: &Place) -> (Running, String) {
    let running = place.up(&["--build-every", "1h", "--set", "landing.max_wait=300ms"]);
    let said = place.running();
    (running, said["stream"]["brokers"].as_str().unwrap().to_owned())
}

fn stop(mut running: Running) {
    running.stop(MINUTE);
}

/// Says something to the brokers with a foreign client; nothing where there is none on this machine.
fn kafka(brokers: &str, args: &[&str]) -> Option<Value> {
    let mut call = reader("kafka.py")?;
    call.arg(brokers).args(args);
    Some(read_json(call))
}

/// One number from a table's files, as DuckDB reads them; 0 where there is no table yet.
fn count(place: &Place, table: &str, query: &str) -> i64 {
    let folder = place.lake().join(table);
    if !folder.join("_delta_log").is_dir() {
        return 0;
    }
    let mut call = reader("files.py").expect("asked before");
    call.arg(folder).arg(query);
    read_json(call)["rows"][0][0].as_i64().unwrap()
}

#[test]
fn a_topic_that_does_not_exist_yet_holds_nothing_to_catch_up_with() {
    let place = Place::reference();
    let outcome = place.run(&["stream", "--once"]);
    assert!(outcome.stderr.contains("the topic does not exist yet"), "{}", outcome.stderr);
    assert!(place.lake_files().is_empty());
}

#[test]
fn dead_letters_of_a_killed_worker_are_taken_back_once_though_the_next_one_dies_with_its_claim() {
    let place = Place::reference();
    place.run(&["replay", "simulate", "--seed", "4", "--customers", "40", "--products", "30", "--orders", "120"]);
    place.killed(&["stream", "--once"], "landing.deadletters_committed");
    for _ in 0..2 {
        place.killed(&["stream", "--once"], "landing.claimed");
    }
    place.killed(&["stream", "--once"], "landing.taken_back");
    place.build();
    reconciled(&place);
}

#[test]
fn a_partition_added_under_a_running_worker_is_landed_and_the_group_is_told() {
    let place = Place::reference();
    let (running, brokers) = up(&place);
    let topic = "retail.product.cdc";
    if kafka(&brokers, &["grow", topic, "6"]).is_none() {
        return;
    }
    // No change events: each is a dead letter, with its place in the stream.
    kafka(&brokers, &["produce", topic, "5", "7"]).unwrap();
    let query = "select count(*) from t where \"partition\" = 5 and \"offset\" between 0 and 6";
    until("the new partition is landed", MINUTE, || count(&place, "deadletter/product", query) == 7);
    let groups = kafka(&brokers, &["groups"]).unwrap();
    let mut names = groups.as_array().unwrap().iter().filter_map(Value::as_str);
    let group = names.find(|name| name.starts_with("weir.retail.product.")).expect("a group of the topic's workers");
    until("the group is told", MINUTE, || kafka(&brokers, &["committed", topic, group, "5"]).unwrap() == 7);
    stop(running);
}

#[test]
fn a_topic_made_anew_stops_its_table_alone_until_that_is_accepted() {
    let place = Place::reference();
    let (mut running, brokers) = up(&place);
    let (product, customer) = ("retail.product.cdc", "retail.customer.cdc");
    if kafka(&brokers, &["produce", product, "0", "5"]).is_none() {
        return;
    }
    until("the first topic is landed", MINUTE, || count(&place, "deadletter/product", "select count(*) from t") == 5);
    kafka(&brokers, &["anew", product, "4"]).unwrap();
    kafka(&brokers, &["produce", product, "0", "9"]).unwrap();
    let said = running.wait_for("W400", MINUTE);
    assert!(said.contains("partition 0 offset 5 on"), "the lost range is named: {said}");
    kafka(&brokers, &["produce", customer, "1", "3"]).unwrap();
    until("the other tables go on", MINUTE, || count(&place, "deadletter/customer", "select count(*) from t") == 3);
    stop(running);

    let stopped = place.weir(&["stream", "--once"]).run().expect_code(1);
    assert!(stopped.stderr.contains("error[W4001]") && stopped.stdout.contains("customer"), "{}", stopped.stderr);
    assert_eq!(count(&place, "deadletter/product", "select count(*) from t"), 5, "nothing is jumped over");
    let unknown = place.weir(&["stream", "--once", "--accept-gap", "prodcut"]).run().expect_code(64);
    assert!(unknown.stderr.contains("prodcut"), "{}", unknown.stderr);
    place.weir(&["stream", "--accept-gap", "product"]).run().expect_code(64);
    let before = place.twin();
    let accepted = place.run(&["stream", "--once", "--accept-gap", "product"]);
    assert!(accepted.stderr.contains("gap of `product` accepted"), "{}", accepted.stderr);
    // Killed once that is committed, it stands: what follows needs no word of it.
    before.killed(&["stream", "--once", "--accept-gap", "product"], "landing.gap_accepted");
    for place in [&place, &before] {
        place.run(&["stream", "--once"]);
        assert_eq!(count(place, "deadletter/product", "select count(*) from t"), 14);
    }
    let again = place.weir(&["stream", "--once", "--accept-gap", "product"]).run().expect_code(64);
    assert!(again.stderr.contains("error[W4009]"), "{}", again.stderr);
}

/// How many times a worker is paused; more of them by `WEIR_PAUSES`.
fn pauses() -> usize {
    std::env::var("WEIR_PAUSES").ok().map_or(2, |count| count.parse().expect("WEIR_PAUSES is a number"))
}

/// An environment in which a worker's brokers and lake are those of a running place, and its session is short.
fn as_worker(place: &Place, brokers: &str) {
    let said = place.running();
    let registry = said["stream"]["registry"].as_str().unwrap();
    let lake = place.lake().canonicalize().unwrap();
    let text = format!(
        "stream:\n  brokers: {brokers}\n  registry: {registry}\n  client:\n    session.timeout.ms: '6000'\n    \
         heartbeat.interval.ms: '1000'\nlake:\n  root: {}\nlanding:\n  max_wait: 300ms\n",
        lake.display()
    );
    std::fs::write(place.pipeline().join("environments/worker.yaml"), text).unwrap();
}

fn worker(place: &Place, name: &str, failpoint: Option<&str>) -> Running {
    let (pipeline, parts) = (place.pipeline(), place.path().join(name));
    let args = ["-p", pipeline.to_str().unwrap(), "-d", parts.to_str().unwrap(), "-e", "worker", "-v", "stream"];
    let call = weir_testkit::harness::Weir::new(args).dir(place.path());
    match failpoint {
        Some(failpoint) => call.env("WEIR_FAILPOINT", failpoint).start(),
        None => call.start(),
    }
}

/// Sends a record that is no event to every partition of every table, and waits until each is a dead letter.
fn until_all_is_read(place: &Place, brokers: &str) {
    let topics = TABLES.map(|table| format!("retail.{table}.cdc"));
    let mut call = vec!["everywhere"];
    call.extend(topics.iter().map(String::as_str));
    let sent = kafka(brokers, &call).expect("asked before");
    for (table, topic) in TABLES.iter().zip(&topics) {
        let sent = sent[topic].as_array().unwrap();
        let places: Vec<String> = sent.iter().map(|sent| format!("({}, {})", sent[0], sent[1])).collect();
        let query = format!("select count(*) from t where (\"partition\", \"offset\") in ({})", places.join(", "));
        let letters = format!("deadletter/{table}");
        let wanted = i64::try_from(places.len()).unwrap();
        until("every partition is read", 3 * MINUTE, || count(place, &letters, &query) == wanted);
    }
}

#[test]
fn workers_lose_and_double_nothing_while_one_after_another_is_paused_and_wakes_too_late() {
    if reader("files.py").is_none() {
        return;
    }
    let place = Place::reference();
    let (running, brokers) = up(&place);
    std::fs::create_dir_all(place.lake()).unwrap();
    as_worker(&place, &brokers);
    let replay = ["replay", "simulate", "--seed", "11", "--customers", "200", "--products", "100", "--orders", "20000"];
    let mut replaying = place.weir(&[&replay[..], &["--events-per-second", "400"]].concat()).start();
    let steady = [worker(&place, "a", None), worker(&place, "b", None)];
    let rows = place.lake().join("landing/customer");
    let is_row = |file: &PathBuf| file.starts_with(&rows) && file.to_string_lossy().contains("hour=");
    until("events come", 3 * MINUTE, || place.lake_files().iter().any(is_row));
    for round in 0..pauses() {
        // Before any of its commits, or between that of its dead letters and that of its rows.
        let point = if round % 2 == 1 { "landing.deadletters_committed" } else { "landing.files_written" };
        let mut paused = worker(&place, &format!("paused-{round}"), Some(&format!("{point}:stop")));
        until("the worker is at its failpoint", 2 * MINUTE, || {
            for partition in ["0", "1", "2", "3"] {
                kafka(&brokers, &["produce", "retail.order_item.cdc", partition, "1"]);
            }
            paused.output().contains("failpoint")
        });
        // Past its session its partitions are given to others, who land what it holds in its hands. Dead letters come
        // before the commit that decides: only the second ones say that the first of those commits is done.
        until_all_is_read(&place, &brokers);
        until_all_is_read(&place, &brokers);
        paused.signal("CONT");
        let said = paused.wait_for("refused", MINUTE);
        assert!(said.contains("another writer has moved"), "{said}");
        if round % 3 == 0 { paused.kill() } else { stop(paused) }
    }
    replaying.stop(MINUTE);
    for worker in steady {
        stop(worker);
    }
    stop(running);
    place.run(&["stream", "--once"]);

    for table in TABLES {
        for (zone, of) in [("landing", "_partition, _offset"), ("deadletter", "\"partition\", \"offset\"")] {
            let query = format!("select count(*) - count(distinct ({of})) from t");
            let name = format!("{zone}/{table}");
            assert_eq!(count(&place, &name, &query), 0, "{name} holds a record twice");
        }
    }
    place.run(&["build"]);
    reconciled(&place);
}
