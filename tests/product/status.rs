//! How the path stands: `weir status`, `/metrics` and `/healthz`, and what is drawn and alarmed from them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use regex::Regex;
use serde_json::Value;
use weir_testkit::harness::{Running, compare_file, read_json, reader, root};

use crate::place::{Place, http};

fn simulate(place: &Place) {
    place.run(&["replay", "simulate", "--seed", "6", "--customers", "30", "--products", "20", "--orders", "80"]);
}

fn total(rows: &[Value], column: &str) -> u64 {
    rows.iter().map(|row| row[column].as_u64().unwrap_or_else(|| panic!("no `{column}` in {row}"))).sum()
}

#[test]
fn status_says_what_waits_before_and_what_came_after_each_stage() {
    let place = Place::reference();
    simulate(&place);
    let waiting = place.rows(&["status", "partitions"]);
    assert_eq!(waiting.len(), 16, "4 tables of 4 partitions");
    let lag = total(&waiting, "lag");
    assert!(lag > 300, "{waiting:?}");
    assert_eq!(lag, total(&waiting, "end offset"));
    std::thread::sleep(Duration::from_millis(1100));
    let tables = place.rows(&["status", "tables"]);
    assert!(tables.iter().all(|row| row["lag s"].as_u64() > Some(0)), "{tables:?}");

    place.run(&["stream", "--once"]);
    let tables = place.rows(&["status"]);
    assert_eq!((total(&tables, "lag"), total(&tables, "lag s")), (0, 0), "{tables:?}");
    assert_eq!(total(&tables, "received"), lag);
    let ends = ["landed", "repeated", "dead letters", "tombstones"].map(|column| total(&tables, column));
    assert_eq!(ends.iter().sum::<u64>(), lag, "{tables:?}");
    assert_eq!(total(&tables, "open letters"), ends[2]);
    assert!(total(&tables, "bytes") > 100 * ends[0], "{tables:?}");
    let zones = place.rows(&["status", "zones"]);
    let staging: Vec<Value> = zones.iter().filter(|row| row["zone"] == "staging").cloned().collect();
    assert_eq!(total(&staging, "waiting rows"), ends[0]);

    place.run(&["build", "--upto", "curated"]);
    let of = |zones: &[Value], zone: &str| zones.iter().find(|row| row["zone"] == zone).cloned().unwrap();
    let zones = place.rows(&["status", "zones"]);
    assert_eq!((&of(&zones, "curated")["build"], &of(&zones, "warehouse")["build"]), (&1.into(), &Value::Null));
    place.run(&["build"]);
    let zones = place.rows(&["status", "zones"]);
    assert_eq!((&of(&zones, "warehouse")["build"], &of(&zones, "warehouse")["waiting builds"]), (&1.into(), &0.into()));

    // Commits of another time are not counted; how the tables stand is told all the same.
    std::thread::sleep(Duration::from_millis(1100));
    let none = place.rows(&["status", "--within", "1s"]);
    assert_eq!((total(&none, "commits"), total(&none, "received")), (0, 0), "{none:?}");
    assert!(none.iter().all(|row| row["last batch"].as_u64() > Some(0)), "{none:?}");
    let people = place.run(&["status"]).stdout;
    for heading in ["open letters", "end offset", "waiting builds"] {
        assert!(people.contains(heading), "{people}");
    }
}

/// `weir up` that serves metrics, and the address.
fn up(place: &Place) -> (Running, String) {
    let call = ["up", "--port", "0", "--build-every", "1s", "--set", "metrics.listen=127.0.0.1:0"];
    let mut running = place.weir(&call).start();
    let line = running.wait_for("/metrics", Duration::from_secs(60));
    let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    (running, address)
}

fn get(address: &str, path: &str) -> (u16, String) {
    http(address, &format!("GET {path}"), "")
}

/// Waits until a metric, summed over its labels, is as wanted; the text of that scrape.
fn wait_for(address: &str, metric: &str, wanted: impl Fn(f64) -> bool) -> String {
    let began = Instant::now();
    loop {
        let (status, body) = get(address, "/metrics");
        assert_eq!(status, 200, "{body}");
        let of_metric = body.lines().filter(|line| line.split(['{', ' ']).next() == Some(metric));
        let values: Vec<f64> = of_metric.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
        if !values.is_empty() && wanted(values.iter().sum()) {
            return body;
        }
        assert!(began.elapsed() < Duration::from_secs(90), "{metric} is {values:?}\n{body}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[derive(Default)]
struct Described {
    kind: String,
    unit: String,
    help: String,
    labels: BTreeSet<String>,
}

/// What a scrape says of each metric, under the name that queries use.
fn described(scrape: &str) -> BTreeMap<String, Described> {
    let mut families: BTreeMap<String, Described> = BTreeMap::new();
    for line in scrape.lines().filter_map(|line| line.strip_prefix("# ")) {
        let mut words = line.splitn(3, ' ');
        let (what, name, rest) = (words.next().unwrap(), words.next(), words.next());
        let Some((name, rest)) = name.zip(rest) else { continue };
        let family = families.entry(name.to_owned()).or_default();
        match what {
            "HELP" => family.help = rest.trim_end_matches('.').to_owned(),
            "TYPE" => family.kind = rest.to_owned(),
            "UNIT" => family.unit = rest.to_owned(),
            other => panic!("{other} in {line}"),
        }
    }
    let label = Regex::new(r#"([a-z]+)=""#).unwrap();
    let mut named = BTreeMap::new();
    for (name, mut family) in families {
        let name = if family.kind == "counter" { name + "_total" } else { name };
        for line in scrape.lines().filter(|line| line.starts_with(&format!("{name}{{"))) {
            family.labels.extend(label.captures_iter(line).map(|found| found[1].to_owned()));
        }
        named.insert(name, family);
    }
    named
}

#[test]
fn a_running_path_is_scraped_by_an_outside_parser_and_every_metric_is_in_the_reference() {
    let place = Place::reference();
    simulate(&place);
    let (running, address) = up(&place);
    wait_for(&address, "weir_landing_landed_rows_total", |rows| rows > 300.0);
    wait_for(&address, "weir_warehouse_loaded_build", |build| build >= 1.0);
    // Once more: the zones before the warehouse may have been read before the build that it has loaded.
    let scrape = wait_for(&address, "weir_staging_last_commit_timestamp_seconds", |at| at > 0.0);
    assert_eq!(get(&address, "/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(get(&address, "/other").0, 404);
    for private in ["@", "first_name"] {
        assert!(!scrape.contains(private), "{scrape}");
    }

    let metrics = described(&scrape);
    let mut page = REFERENCE.to_owned();
    for (name, of) in &metrics {
        let labels: Vec<String> = of.labels.iter().map(|label| format!("`{label}`")).collect();
        page.push_str(&format!("| `{name}` | {} | {} | {} | {} |\n", of.kind, of.unit, labels.join(", "), of.help));
    }
    compare_file("docs/reference/metrics.md", &page);

    // What is drawn and alarmed exists.
    let word = Regex::new(r"\bweir_[a-z_]+\b").unwrap();
    for file in ["monitoring/grafana/weir.json", "monitoring/prometheus/weir.rules.yml"] {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        let used: BTreeSet<&str> = word.find_iter(&text).map(|found| found.as_str()).collect();
        assert!(used.len() > 5, "{file} uses {used:?} only");
        let unknown: Vec<&&str> = used.iter().filter(|name| !metrics.contains_key(**name)).collect();
        assert!(unknown.is_empty(), "{file} uses {unknown:?}");
    }

    let Some(mut call) = reader("metrics.py") else { return };
    call.arg(format!("http://{address}/metrics"));
    let parsed = read_json(call);
    assert_eq!(parsed["form"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let families = parsed["families"].as_object().unwrap();
    assert_eq!(families.len(), metrics.len(), "{families:?}");
    let landed = families["weir_landing_landed_rows"]["samples"].as_array().unwrap();
    assert_eq!(landed.len(), 4, "one line per table: {landed:?}");
    drop(running);
}

const REFERENCE: &str = "# Metrics

What `/metrics` answers, in the OpenMetrics text format. A counter counts from the start of the process; times are seconds since
1970 UTC.

| metric | kind | unit | labels | meaning |
|---|---|---|---|---|
";

#[test]
fn a_worker_whose_lake_is_gone_is_not_healthy_and_tells_no_more_than_a_code() {
    let place = Place::reference();
    simulate(&place);
    place.run(&["stream", "--once"]);
    let mut worker = place.weir(&["stream", "--set", "metrics.listen=127.0.0.1:0"]).start();
    let line = worker.wait_for("/metrics", Duration::from_secs(60));
    let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    assert_eq!(get(&address, "/healthz").0, 200);
    // A log that no reader can read.
    let log = place.lake().join("deadletter/_handled/_delta_log");
    std::fs::create_dir_all(&log).unwrap();
    std::fs::write(log.join("00000000000000000000.json"), "no commit").unwrap();
    let (status, body) = get(&address, "/healthz");
    assert_eq!(status, 503);
    assert!(Regex::new("^W[0-9]{4}\n$").unwrap().is_match(&body), "{body}");
    assert_eq!(get(&address, "/metrics").0, 503);
}

#[test]
fn an_address_that_is_taken_or_is_none_is_refused() {
    let place = Place::reference();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let setting = format!("metrics.listen={}", taken.local_addr().unwrap());
    let stderr = place.weir(&["stream", "--set", &setting]).run().expect_code(78).stderr;
    assert!(stderr.contains("error[W9008]: "), "{stderr}");
    let stderr = place.weir(&["validate", "--set", "metrics.listen=9464"]).run().expect_code(78).stderr;
    assert!(stderr.contains("W1007") && stderr.contains("metrics.listen"), "{stderr}");
}
