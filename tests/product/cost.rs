//! `weir plan --cost`: sums that were computed by hand, and loads that a lake tells.

use regex::Regex;
use serde_json::Value;
use weir_testkit::harness::{Weir, root};

use crate::place::{Place, text};
use crate::s3::simulate;

/// The estimate of an environment of the reference pipeline, with no lake to measure: in a folder, and so without Redshift.
fn estimate(env: &str, more: &[&str]) -> Value {
    let place = Place::reference();
    let warehouse = Regex::new("warehouse:\n(  .*\n)+").unwrap();
    if env != "dev" {
        let embedded = "warehouse:\n  target: embedded\n";
        place.edit(&format!("environments/{env}.yaml"), |text| warehouse.replace(&text, embedded).into_owned());
    }
    let (pipeline, dir) = (place.pipeline(), place.path().join("none"));
    let sizes = root().join(format!("infra/environments/{env}/sizes.auto.tfvars.json"));
    let mut call = vec!["-p", pipeline.to_str().unwrap(), "-d", dir.to_str().unwrap(), "-e", env, "-o", "json"];
    call.extend(["--set", "lake.root=lake", "plan", "--cost"]);
    if !more.contains(&"--sizes") {
        call.extend(["--sizes", sizes.to_str().unwrap()]);
    }
    call.extend(more);
    let outcome = Weir::new(call).dir(place.path()).run().expect_code(0);
    assert!(!dir.exists(), "a plan made a folder");
    serde_json::from_str::<Value>(&outcome.stdout).unwrap()[0]["estimate"].clone()
}

fn cents(value: &Value) -> String {
    format!("{:.2}", value.as_f64().unwrap())
}

fn hints(estimate: &Value) -> String {
    estimate["hints"].as_array().unwrap().iter().map(text).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_lines_of_prod_are_those_that_were_computed_by_hand() {
    // 1,000 events a second; all else assumed: 600 bytes each, 210 stored, builds of 5 minutes, a year in use.
    let found = estimate("prod", &["--events-per-day", "86400000"]);
    let lines: Vec<(String, String)> = found["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (format!("{}: {}", text(&line["service"]), text(&line["what"])), cents(&line["monthly"])))
        .collect();
    let by_hand = [
        // 3 x 730 h x 0.204
        ("MSK: brokers", "446.76"),
        // 3 x 500 GB x 0.10
        ("MSK: broker storage", "150.00"),
        // 2 x 730 h x 0.11
        ("MSK Connect: Debezium", "160.60"),
        // 2 tasks x 730 h, 1 vCPU x 0.03238, 4 GB x 0.00356
        ("Fargate: weir stream, vCPU", "47.27"),
        ("Fargate: weir stream, memory", "20.79"),
        // 2,920 builds of 5 minutes are 243.33 h, 4 vCPU, 16 GB
        ("Fargate: weir build, vCPU", "31.52"),
        ("Fargate: weir build, memory", "13.86"),
        // 86.4 million x 210 bytes: 18.144 GB a day; 90 days, and 365 days, x 0.023
        ("S3: landing", "37.56"),
        ("S3: staging", "152.32"),
        ("S3: curated", "152.32"),
        // 2 x (4 tables x 43,800 minutes + 2,920 builds x 11 tables) x 0.000005
        ("S3: requests that write", "2.07"),
        // 2 nodes in each of 2 zones x 730 h x 1.086
        ("Redshift: nodes, in two zones", "3171.12"),
        // 2 x 6,622.56 GB x 0.024
        ("Redshift: storage", "317.88"),
        ("Lambda: decoding, 1 GB", "0.00"),
        ("Lambda: requests", "0.00"),
        ("Glue: catalog and schema registry", "0.00"),
        ("KMS: keys", "1.00"),
        ("Secrets Manager: secrets", "0.40"),
        // 3 x 730 h x 0.045
        ("VPC: NAT gateways", "98.55"),
        // 12 in 3 zones x 730 h x 0.01
        ("VPC: interface endpoints", "262.80"),
        ("CloudWatch: logs", "2.50"),
        // 14 + 4 x 3 brokers + 4 tables
        ("CloudWatch: alarms", "3.00"),
    ];
    assert_eq!(lines, by_hand.map(|(what, cents)| (what.to_owned(), cents.to_owned())));
    assert_eq!(cents(&found["total"]), "5072.32");
    // 86.4 million x 600 bytes x 7 days on each of 3 brokers is 362.88 GB, / 0.6.
    assert!(hints(&found).contains("need 605 GB on each broker, with head-room, and it has 500: raise"), "{found}");
    assert!(hints(&found).contains("prices are those of us-east-1, the environment is in eu-central-1"), "{found}");
    assert_eq!((&found["as_of"], &found["inputs"][0]["from"]), (&"2026-11".into(), &"given".into()));
    assert_eq!(found["inputs"][1]["from"], "assumed");
}

#[test]
fn a_refresh_each_minute_is_told_to_keep_a_serverless_workgroup_awake() {
    // 730 builds of a minute and 88 hours of queries: 100.17 h x 8 RPU x 0.375; awake all the time 730 h.
    let found = estimate("qa", &[]);
    let of = |estimate: &Value, what: &str| {
        let lines = estimate["lines"].as_array().unwrap();
        cents(&lines.iter().find(|line| line["what"] == what).unwrap()["monthly"])
    };
    assert_eq!(of(&found, "serverless"), "300.50");
    assert!(hints(&found).contains("would keep the workgroup awake: 2190.00 a month, not 300.50"), "{found}");

    let file = root().join("infra/environments/qa/sizes.auto.tfvars.json");
    let sizes = std::fs::read_to_string(file).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sizes.json");
    std::fs::write(&file, sizes.replace("\"refresh_views\": false", "\"refresh_views\": true")).unwrap();
    let refreshed = estimate("qa", &["--sizes", file.to_str().unwrap()]);
    assert_eq!(of(&refreshed, "serverless"), "2190.00");
    assert!(hints(&refreshed).contains("keeps the workgroup awake: 2190.00 a month; without it 300.50"), "{refreshed}");
    // 1 million events a day: 7,604.2 calls a month, half a second of a GB each.
    assert_eq!(of(&refreshed, "decoding, 1 GB"), "0.05");
    // dev is switched off at its limit: 200 RPU-hours.
    assert_eq!(of(&estimate("dev", &[]), "serverless"), "75.00");

    // What cannot be used is told with the file, and a size without a price by its name.
    let cost = |sizes: &str| {
        std::fs::write(&file, sizes).unwrap();
        let pipeline = root().join("pipelines/retail");
        let call = ["-p", pipeline.to_str().unwrap(), "plan", "--cost", "--sizes", file.to_str().unwrap()];
        Weir::new(call).dir(folder.path()).run().expect_code(64).stderr
    };
    let told = cost(&sizes.replace("\"nat_gateways\": 1", "\"nat\": 1"));
    assert!(told.contains("W9702") && told.contains("nat_gateways"), "{told}");
    let told = cost(&sizes.replace("kafka.t3.small", "kafka.m7g.16xlarge"));
    assert!(told.contains("W9703") && told.contains("msk.kafka.m7g.16xlarge"), "{told}");
}

#[test]
fn loads_are_measured_where_a_lake_has_seen_a_day() {
    let place = Place::reference();
    simulate(&place);
    place.build();
    let sizes = root().join("infra/environments/dev/sizes.auto.tfvars.json");
    let call = ["plan", "--cost", "--sizes", sizes.to_str().unwrap()];
    let input = |place: &Place, name: &str| {
        let found = place.rows(&call).remove(0);
        let inputs = found["estimate"]["inputs"].as_array().unwrap();
        let input = inputs.iter().find(|input| input["name"] == name).unwrap_or(&Value::Null);
        (text(&input["from"]), input["value"].as_f64().unwrap_or_default())
    };
    // Minutes of a lake tell what an event weighs, and no rate.
    let (from, bytes) = input(&place, "bytes of an event in the stream");
    assert!(from == "measured" && bytes > 50.0 && bytes < 1000.0, "{from} {bytes}");
    assert_eq!(input(&place, "events a day").0, "assumed");

    // The same commits, said to be two days old.
    let timestamp = Regex::new("\"timestamp\":([0-9]+)").unwrap();
    let is_landed = |path: &std::path::Path| path.starts_with(place.lake().join("landing"));
    let commits = place.lake_files().into_iter().filter(|path| is_landed(path) && path.extension().unwrap() == "json");
    for commit in commits {
        let text = std::fs::read_to_string(&commit).unwrap();
        let older = |found: &regex::Captures<'_>| {
            format!("\"timestamp\":{}", found[1].parse::<i64>().unwrap() - 2 * 86_400_000)
        };
        std::fs::write(&commit, timestamp.replace_all(&text, older).as_ref()).unwrap();
    }
    let received: u64 =
        place.rows(&["status", "tables", "--within", "7d"]).iter().map(|row| row["received"].as_u64().unwrap()).sum();
    let (from, events) = input(&place, "events a day");
    assert_eq!(from, "measured");
    assert!((events * 2.0 - received as f64).abs() < received as f64 / 50.0, "{events} a day of {received}");
    assert_eq!(input(&place, "share of the time that landing is busy").0, "measured");
    assert_eq!(input(&place, "minutes of a build").0, "measured");
}

/// What the estimate counts, and the infrastructure decides.
#[test]
fn the_endpoints_that_are_paid_for_are_those_of_the_network() {
    let variables = std::fs::read_to_string(root().join("infra/modules/network/variables.tf")).unwrap();
    let list = variables.split("variable \"endpoint_services\"").nth(1).unwrap().split(']').next().unwrap();
    let services = Regex::new("\"[a-z.-]+\"").unwrap().find_iter(list.split('[').nth(1).unwrap()).count();
    let found = estimate("dev", &[]);
    let lines = found["lines"].as_array().unwrap();
    let hours = lines.iter().find(|line| line["what"] == "interface endpoints").unwrap()["quantity"].as_f64().unwrap();
    assert_eq!(hours, services as f64 * 3.0 * 730.0);
}
