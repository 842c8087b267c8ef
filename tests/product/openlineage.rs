//! Builds tell what they read and wrote as OpenLineage events, whoever listens.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use weir_testkit::harness::{read_json, reader, root, skip};

use crate::place::{Place, until};

/// A place whose builds write events to a file, with what landed.
fn landed() -> Place {
    let place = Place::reference();
    place.edit("environments/dev.yaml", |dev| format!("{dev}\nlineage:\n  file: events/lineage.jsonl\n"));
    place.run(&["replay", "simulate", "--seed", "3", "--customers", "20", "--products", "12", "--orders", "60"]);
    place.run(&["stream", "--once"]);
    place
}

fn file(place: &Place) -> PathBuf {
    place.parts().join("events/lineage.jsonl")
}

fn lines(place: &Place) -> Vec<Value> {
    let text = std::fs::read_to_string(file(place)).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The folder `spec` of OpenLineage (`WEIR_OPENLINEAGE_SPEC`, else where data usually lies).
fn specification() -> Option<PathBuf> {
    let usual = || root().join("../shared/data/openlineage/spec");
    let path = std::env::var_os("WEIR_OPENLINEAGE_SPEC").map_or_else(usual, PathBuf::from);
    if !path.exists() {
        skip("openlineage", "OpenLineage's JSON Schemas are not here (WEIR_OPENLINEAGE_SPEC); its client judges alone");
        return None;
    }
    Some(path)
}

/// Holds the events to OpenLineage's own client, and to its schemas where they are.
fn judged(place: &Place) {
    let Some(mut call) = reader("events.py") else { return };
    call.arg(file(place));
    let specification = specification();
    call.args(&specification);
    let judged = read_json(call);
    assert_eq!(judged["events"].as_array().unwrap().len(), lines(place).len());
    assert!(specification.is_none() || judged["facets_judged"].as_u64().unwrap() > 0, "{}", judged["facets_judged"]);
}

fn named<'e>(events: &'e [Value], kind: &str, job: &str) -> &'e Value {
    let found = events.iter().rfind(|event| event["eventType"] == kind && event["job"]["name"] == job);
    found.unwrap_or_else(|| panic!("no {kind} of {job}"))
}

/// Job -> kinds of its events in order, of every run.
fn runs(events: &[Value]) -> BTreeMap<String, Vec<(String, Vec<String>)>> {
    let mut runs: BTreeMap<String, Vec<(String, Vec<String>)>> = BTreeMap::new();
    for event in events {
        let (job, id) = (event["job"]["name"].as_str().unwrap(), event["run"]["runId"].as_str().unwrap());
        let kind = event["eventType"].as_str().unwrap().to_owned();
        let of_job = runs.entry(job.to_owned()).or_default();
        match of_job.iter_mut().find(|(known, _)| known == id) {
            Some((_, kinds)) => kinds.push(kind),
            None => of_job.push((id.to_owned(), vec![kind])),
        }
    }
    runs
}

#[test]
fn a_builds_events_are_taken_by_openlineages_own_client_and_say_what_the_build_did() {
    let place = landed();
    let built = place.rows(&["build"]);
    judged(&place);
    let events = lines(&place);

    // One run per table, begun and ended once, all of one parent.
    let runs = runs(&events);
    let jobs: BTreeSet<&str> = runs.keys().map(String::as_str).collect();
    for job in
        ["build", "staging.customer", "staging.order_item", "curated.dim_date", "curated.fact_sales", "warehouse.load"]
    {
        assert!(jobs.contains(job), "{jobs:?}");
    }
    for (job, runs) in &runs {
        assert_eq!(runs.len(), 1, "{job}");
        assert_eq!(runs[0].1, ["START", "COMPLETE"], "{job}");
    }
    let parent = &runs["build"][0].0;
    let has_parent = |event: &Value| event["run"]["facets"]["parent"]["run"]["runId"].as_str() == Some(parent);
    assert!(events.iter().all(|event| event["job"]["name"] == "build" || has_parent(event)));
    assert!(events.iter().all(|event| event["job"]["namespace"] == "retail.dev"));

    // Counts are those that the build prints.
    for (zone, table) in [("staging", "order_item"), ("curated", "fact_sales"), ("curated", "dim_customer")] {
        let said = built.iter().find(|row| row["zone"] == zone && row["table"] == table).unwrap();
        let output = &named(&events, "COMPLETE", &format!("{zone}.{table}"))["outputs"][0];
        let statistics = &output["outputFacets"]["outputStatistics"];
        assert_eq!(statistics["rowCount"], said["written"], "{zone}.{table}");
        assert!(statistics["size"].as_u64().unwrap() > 0, "{zone}.{table}");
        // Named by where it is, in the version that others read there.
        let folder = place.lake().canonicalize().unwrap().join(zone).join(table);
        assert_eq!((&output["namespace"], output["name"].as_str()), (&"file".into(), folder.to_str()));
        let Some(mut call) = reader("delta.py") else { return };
        call.arg(&folder);
        let outside = read_json(call);
        assert_eq!(output["facets"]["version"]["datasetVersion"], outside["version"].to_string());
        let columns = output["facets"]["schema"]["fields"].as_array().unwrap();
        let names: Vec<&Value> = columns.iter().map(|column| &column["name"]).collect();
        let all: Vec<&Value> = outside["columns"].as_array().unwrap().iter().collect();
        assert_eq!(names, all[..names.len()], "columns of {zone}.{table}");
        let rest: Vec<&Value> = all[names.len()..].to_vec();
        assert_eq!(rest, outside["partition_columns"].as_array().unwrap().iter().collect::<Vec<_>>());
    }
    let loaded = &named(&events, "COMPLETE", "warehouse.load")["outputs"];
    let sales = loaded.as_array().unwrap().iter().find(|set| set["name"] == "analytics.fact_sales").unwrap();
    let rows = place.value("select count(*) from analytics.fact_sales");
    assert_eq!(sales["outputFacets"]["outputStatistics"]["rowCount"].to_string(), rows);

    // A column is made of those that `weir lineage` says.
    let sales = &named(&events, "COMPLETE", "curated.fact_sales")["outputs"][0]["facets"]["columnLineage"]["fields"];
    let inputs = sales["amount"]["inputFields"].as_array().unwrap();
    let of = |column: &str| inputs.iter().find(|input| input["field"] == column).unwrap();
    assert_eq!(of("quantity")["transformations"][0]["subtype"], "TRANSFORMATION");
    assert!(of("unit_price")["name"].as_str().unwrap().ends_with("/staging/order_item"));

    // Expectations, by their names, with the rows that broke them.
    let staged = named(&events, "COMPLETE", "staging.order_item");
    let asserted = &staged["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"];
    let rule = asserted.as_array().unwrap().iter().find(|rule| rule["name"] == "unit_price_is_not_negative").unwrap();
    assert_eq!((&rule["assertion"], &rule["severity"]), (&"range".into(), &"error".into()));
    let broke = rule["actual"].as_str().unwrap().parse::<u64>().unwrap();
    assert_eq!(rule["success"], broke == 0);

    // A second build is other runs, which wrote nothing.
    place.run(&["build"]);
    judged(&place);
    let events = lines(&place);
    assert!(self::runs(&events).values().all(|runs| runs.len() == 2 && runs[1].1 == ["START", "COMPLETE"]));
    let again = named(&events, "COMPLETE", "staging.order_item");
    assert_eq!(again["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"], 0);
}

#[test]
fn a_build_that_fails_says_where_and_why() {
    let place = landed();
    place.run(&["build"]);
    std::fs::remove_file(file(&place)).unwrap();
    place.edit("models/curated/dim_customer.sql", |sql| format!("{sql}\nWHERE customer_id > 0\n"));
    place.weir(&["build"]).run().expect_code(78);
    judged(&place);
    let events = lines(&place);
    assert_eq!(runs(&events)["staging.customer"][0].1, ["START", "COMPLETE"]);
    for job in ["curated.dim_customer", "build"] {
        assert_eq!(runs(&events)[job][0].1, ["START", "FAIL"], "{job}");
        let message = named(&events, "FAIL", job)["run"]["facets"]["errorMessage"]["message"].to_string();
        assert!(message.contains("W6004"), "{message}");
    }
    assert!(!runs(&events).contains_key("warehouse.load"));
    assert_eq!(events.last().unwrap()["job"]["name"], "build", "the parent ends last");
}

/// What a receiver heard: request line, `Authorization`, body.
type Heard = Arc<Mutex<Vec<(String, String, Value)>>>;

/// A receiver that answers 201 to everything.
fn receiver() -> (String, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let heard = Heard::default();
    let hears = heard.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let hears = hears.clone();
            std::thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                loop {
                    let (mut first, mut key, mut length) = (String::new(), String::new(), 0);
                    if stream.read_line(&mut first).unwrap_or(0) == 0 {
                        return;
                    }
                    let mut line = String::new();
                    while stream.read_line(&mut line).unwrap_or(0) > 2 {
                        let (name, value) = line.split_once(':').unwrap();
                        match name.to_ascii_lowercase().as_str() {
                            "authorization" => key = value.trim().to_owned(),
                            "content-length" => length = value.trim().parse().unwrap(),
                            _ => {}
                        }
                        line.clear();
                    }
                    let mut body = vec![0; length];
                    stream.read_exact(&mut body).unwrap();
                    hears.lock().unwrap().push((first.trim().to_owned(), key, serde_json::from_slice(&body).unwrap()));
                    stream.get_mut().write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n").unwrap();
                }
            });
        }
    });
    (url, heard)
}

const SECRET: &str = "a-very-secret-token";

fn sending(place: &mut Place, url: &str) {
    place.edit("environments/dev.yaml", |dev| format!("{dev}  url: {url}\n  api_key: ${{env:LINEAGE_KEY}}\n"));
    place.set("LINEAGE_KEY", SECRET);
}

#[test]
fn events_are_posted_with_the_key_that_stands_in_none_of_them() {
    let mut place = landed();
    let (url, heard) = receiver();
    sending(&mut place, &url);
    let built = place.run(&["-v", "build"]);
    let heard = heard.lock().unwrap();
    let bodies: Vec<&Value> = heard.iter().map(|(_, _, body)| body).collect();
    assert_eq!(bodies, lines(&place).iter().collect::<Vec<_>>(), "what is sent is what is written, in order");
    for (request, key, _) in heard.iter() {
        assert_eq!(request, "POST /api/v1/lineage HTTP/1.1");
        assert_eq!(key, &format!("Bearer {SECRET}"));
    }
    let text = std::fs::read_to_string(file(&place)).unwrap();
    assert!(!text.contains(SECRET) && !built.stderr.contains(SECRET) && !built.stdout.contains(SECRET));
    assert!(!place.run(&["config", "show", "--resolved"]).stdout.contains(SECRET));
}

#[test]
fn a_receiver_that_is_away_or_never_answers_is_told_once_and_fails_no_build() {
    let mut place = landed();
    // A port that nobody listens on any more; then one that takes connections and says nothing.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    sending(&mut place, &format!("http://{address}"));
    let told = |stderr: &str| {
        assert_eq!(stderr.matches("lineage events do not reach their receiver").count(), 1, "{stderr}");
        assert!(!stderr.contains(SECRET), "{stderr}");
    };
    told(&place.run(&["build"]).stderr);
    let silent = TcpListener::bind(address).unwrap();
    let began = Instant::now();
    told(&place.run(&["build"]).stderr);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "a silent receiver held the build for {took:?}");
    drop(silent);
    judged(&place);
}

#[test]
fn up_tells_of_the_builds_that_did_something_and_of_no_others() {
    let place = landed();
    let mut running = place.weir(&["up", "--port", "0", "--build-every", "1s"]).start();
    let has_ended = || runs(&lines(&place)).get("build").is_some_and(|runs| runs[0].1 == ["START", "COMPLETE"]);
    until("a build is told", Duration::from_secs(90), has_ended);
    std::thread::sleep(Duration::from_secs(4));
    assert!(running.stop(Duration::from_secs(30)).success());
    judged(&place);
    let runs = runs(&lines(&place));
    assert!(runs.contains_key("warehouse.load"));
    assert!(runs.values().all(|runs| runs.len() == 1 && runs[0].1 == ["START", "COMPLETE"]), "{runs:?}");
}

#[test]
fn settings_of_lineage_that_do_nothing_or_show_a_secret_are_refused() {
    let place = Place::reference();
    let refused = |settings: &[&str]| {
        let sets: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        place.weir(&[&["validate"], &sets[..]].concat()).run().expect_code(78).stderr
    };
    assert!(refused(&["lineage.api_key=${env:X}", "lineage.file=x"]).contains("W1008"));
    assert!(refused(&["lineage.namespace=shop"]).contains("W1008"));
    assert!(refused(&["lineage.url=http://m:1", "lineage.api_key=plain"]).contains("W1013"));
    assert!(refused(&["lineage.url=marquez:5000"]).contains("W1007"));
    assert!(refused(&["lineage.url=http://user@m:1"]).contains("W1007"));
}
