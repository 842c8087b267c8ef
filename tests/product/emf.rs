//! Metrics as lines of the log, for CloudWatch: what jobs write, and that every alarm of the infrastructure looks at one of them.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::Value;
use weir_testkit::harness::root;

use crate::place::Place;

/// What the function that decodes writes; its own tests hold it to these names.
const OF_THE_FUNCTION: [&str; 4] =
    ["weir_udf_call_seconds", "weir_udf_failed_calls", "weir_udf_rows", "weir_udf_undecoded_rows"];

/// The lines of metrics among all that was said.
fn lines(said: &str) -> Vec<Value> {
    said.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Each metric of a line with its dimensions, and its value, which must be a number.
fn metrics(line: &Value) -> Vec<(String, BTreeMap<String, String>, f64)> {
    let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
    assert_eq!(directives.len(), 1, "{line}");
    assert_eq!(directives[0]["Namespace"], "Weir");
    assert!(line["_aws"]["Timestamp"].as_i64() > Some(1_700_000_000_000), "{line}");
    let sets = directives[0]["Dimensions"].as_array().unwrap();
    assert_eq!(sets.len(), 1, "{line}");
    let text = |name: &Value| name.as_str().unwrap().to_owned();
    let dimensions: BTreeMap<String, String> =
        sets[0].as_array().unwrap().iter().map(|name| (text(name), text(&line[text(name)]))).collect();
    let metric = |metric: &Value| {
        assert!(["Count", "Seconds"].contains(&metric["Unit"].as_str().unwrap()), "{line}");
        let name = text(&metric["Name"]);
        let value = line[&name].as_f64().unwrap_or_else(|| panic!("no value of {name} in {line}"));
        (name, dimensions.clone(), value)
    };
    directives[0]["Metrics"].as_array().unwrap().iter().map(metric).collect()
}

/// The sum of a metric over all lines.
fn sum(lines: &[Value], name: &str) -> f64 {
    let of = |line| metrics(line).into_iter().filter(|(found, _, _)| found == name).map(|(_, _, value)| value);
    lines.iter().flat_map(of).sum()
}

/// What a stream and a build of the reference pipeline write.
fn written(place: &Place) -> (Vec<Value>, Vec<Value>) {
    place.run(&["replay", "simulate", "--seed", "6", "--customers", "30", "--products", "20", "--orders", "80"]);
    let stream = place.run(&["stream", "--once", "--set", "metrics.emf=true"]);
    let build = place.run(&["build", "--set", "metrics.emf=true"]);
    assert!(!format!("{}{}", stream.stdout, build.stdout).contains("_aws"), "data and metrics are mixed");
    (lines(&stream.stderr), lines(&build.stderr))
}

#[test]
fn jobs_write_how_their_tables_stand_and_how_they_ended() {
    let place = Place::reference();
    let (stream, build) = written(&place);
    let tables = place.rows(&["status"]);
    for (metric, column) in [
        ("weir_landing_lag_records", "lag"),
        ("weir_landing_dead_lettered_records", "dead letters"),
        ("weir_landing_repeated_records", "repeated"),
        ("weir_landing_late_rows", "late"),
        ("weir_dead_letters_open_records", "open letters"),
    ] {
        let wanted: u64 = tables.iter().map(|row| row[column].as_u64().unwrap()).sum();
        assert_eq!(sum(&stream, metric), wanted as f64, "{metric}: {stream:?}");
    }
    assert!(sum(&stream, "weir_landing_repeated_records") > 0.0, "nothing was told");
    let told: BTreeSet<&str> = stream.iter().filter_map(|line| line["table"].as_str()).collect();
    assert_eq!(told.len(), tables.len(), "{told:?}");
    for job in [&stream, &build] {
        assert_eq!((sum(job, "weir_job_successes"), sum(job, "weir_job_failures")), (1.0, 0.0));
        assert!(sum(job, "weir_job_seconds") > 0.0);
    }
    assert!(sum(&build, "weir_warehouse_load_seconds") > 0.0);

    // A second run tells of itself alone.
    let again = place.run(&["stream", "--once", "--set", "metrics.emf=true"]);
    assert_eq!(sum(&lines(&again.stderr), "weir_landing_repeated_records"), 0.0);
    // Who does not ask gets none.
    assert_eq!(lines(&place.run(&["stream", "--once"]).stderr), [] as [Value; 0]);
}

#[test]
fn a_job_that_fails_says_so_beside_its_error() {
    let place = Place::reference();
    for command in ["stream", "build"] {
        let call = [command, "--set", "metrics.emf=true", "--set", "lake.root=/dev/null/lake"];
        let failed = place.weir(&call).run();
        assert!(!failed.status.success() && failed.stderr.contains("error[W"), "{}", failed.stderr);
        let said = lines(&failed.stderr);
        assert_eq!((sum(&said, "weir_job_successes"), sum(&said, "weir_job_failures")), (0.0, 1.0), "{said:?}");
    }
}

/// The rows of `weir_rows` in the infrastructure: each alarm's metric and dimensions, for this environment.
fn alarms(environment: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let text = std::fs::read_to_string(root().join("infra/modules/monitoring/main.tf")).unwrap();
    let rows = text.split("weir_rows = [for row in [").nth(1).unwrap().split("  ] : merge(row, ").collect::<Vec<_>>();
    let common = "{ namespace = \"Weir\", dimensions = merge({ environment = var.context.name }, [for job in try([row.job], []) : { job = job }]...) })]";
    assert!(rows[1].starts_with(common), "the rows get other dimensions: read them here too");
    assert_eq!(text.matches("\"Weir\"").count(), 1, "an alarm looks at Weir's metrics from elsewhere");
    let (metric, job) = (Regex::new(r#"metric = "([^"]+)""#).unwrap(), Regex::new(r#"job = "([^"]+)""#).unwrap());
    let row = |line: &str| {
        let mut dimensions = BTreeMap::from([("environment".to_owned(), environment.to_owned())]);
        dimensions.extend(job.captures(line).map(|found| ("job".to_owned(), found[1].to_owned())));
        (metric.captures(line).unwrap()[1].to_owned(), dimensions)
    };
    rows[0].lines().filter(|line| line.contains("name = ")).map(row).collect()
}

#[test]
fn every_alarm_looks_at_a_metric_that_is_written_and_the_page_has_them_all() {
    let place = Place::reference();
    let (stream, build) = written(&place);
    let mut emitted: BTreeSet<(String, BTreeMap<String, String>)> =
        stream.iter().chain(&build).flat_map(metrics).map(|(name, dimensions, _)| (name, dimensions)).collect();
    let environment = BTreeMap::from([("environment".to_owned(), "retail-dev".to_owned())]);
    emitted.extend(OF_THE_FUNCTION.map(|name| (name.to_owned(), environment.clone())));
    let alarms = alarms("retail-dev");
    assert!(alarms.len() >= 9, "{alarms:?}");
    for alarm in alarms {
        assert!(emitted.contains(&alarm), "nothing writes {alarm:?}; there are {emitted:#?}");
    }

    let page = std::fs::read_to_string(root().join("docs/monitoring.md")).unwrap();
    let named: BTreeSet<String> = Regex::new("(?m)^\\| `(weir_[a-z_]+)` \\|")
        .unwrap()
        .captures_iter(&page)
        .map(|found| found[1].to_owned())
        .collect();
    let names: BTreeSet<String> = emitted.into_iter().map(|(name, _)| name).collect();
    assert_eq!(named, names, "docs/monitoring.md");
}
