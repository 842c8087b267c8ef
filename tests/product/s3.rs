//! The whole path with the lake in a bucket of an S3 server: the same rows as from a folder, whatever breaks on the way.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::Value;
use weir_testkit::harness::{S3Server, read_json, reader, s3};

use crate::kill::star;
use crate::path::reconciled;
use crate::place::{CREDENTIALS, Place, text};

/// A place whose lake is in the server's bucket.
pub fn place(server: &S3Server) -> Place {
    let place = Place::reference().with_aws();
    place.edit("environments/dev.yaml", |dev| dev.replace("lake:\n  root: lake", &format!("lake: {}", lake(server))));
    place
}

/// The settings of a lake in the server's bucket; JSON is YAML.
pub fn lake(server: &S3Server) -> Value {
    let root = format!("s3://{}/shop/lake", server.bucket);
    serde_json::json!({"root": root, "region": "us-east-1", "endpoint": server.endpoint})
}

pub fn simulate(place: &Place) {
    let sizes = ["--customers", "20", "--products", "12", "--orders", "40"];
    place.run(&[&["replay", "simulate", "--seed", "11"], &sizes[..]].concat());
}

/// The only row of a query on a table's files, as others read them.
fn read_outside(server: &S3Server, table: &str, query: &str) -> Vec<String> {
    let mut call = reader("files.py").expect("the server's Python has the readers");
    call.arg(format!("s3://{}/shop/lake/{table}", server.bucket)).arg(query).envs(CREDENTIALS);
    call.env("AWS_ENDPOINT_URL", &server.endpoint).env("AWS_ALLOW_HTTP", "true");
    call.env("AWS_REGION", "us-east-1").env("AWS_DEFAULT_REGION", "us-east-1");
    read_json(call)["rows"][0].as_array().unwrap().iter().map(text).collect()
}

/// What another reader finds in the bucket is what the warehouse has.
fn agrees_with_an_outside_reader(place: &Place, server: &S3Server) {
    let outside = read_outside(server, "curated/fact_sales", "select count(*), cast(sum(amount) as varchar) from t");
    let rows = place.sql("select count(*) as n, cast(sum(amount) as varchar) as total from analytics.fact_sales");
    assert_eq!(outside, [text(&rows[0]["n"]), text(&rows[0]["total"])]);
    assert_ne!(outside[0], "0");
    let landed = read_outside(server, "landing/order", "select count(*), count(distinct (op, _order_key)) from t");
    assert_eq!(landed[0], landed[1], "a change is there once");
}

/// The star that the same events give over a folder.
static OVER_A_FOLDER: LazyLock<BTreeMap<String, Vec<String>>> = LazyLock::new(|| {
    let place = Place::reference();
    simulate(&place);
    place.build();
    star(&place)
});

#[test]
fn the_whole_path_goes_over_s3_and_gives_what_it_gives_over_a_folder() {
    let Some(server) = s3(0) else { return };
    let place = place(&server);
    simulate(&place);
    place.build();
    reconciled(&place);
    assert!(place.run(&["check"]).stdout.contains("every invariant holds"));
    assert!(!place.lake().exists(), "nothing of the lake is on this machine");
    assert!(star(&place) == *OVER_A_FOLDER, "the star is the same as over a folder");
    agrees_with_an_outside_reader(&place, &server);

    // A second run has nothing to do; builds can be asked again, replayed and swept; a server answers the same.
    place.run(&["stream", "--once"]);
    let built: Vec<Value> = place.rows(&["build"]);
    assert!(built.iter().all(|line| line["read"] == 0), "{built:?}");
    let facts = "select count(*) as n from analytics.fact_sales";
    let here = place.value(facts);
    assert_eq!(text(&place.rows(&["sql", "--build", "1", facts])[0]["n"]), here);
    place.run(&["replay", "--verify"]);
    place.run(&["table", "vacuum", "--keep", "0s"]);
    assert!(place.run(&["check"]).stdout.contains("every invariant holds"));
    let mut serving = place.weir(&["serve", "--port", "0"]).start();
    serving.wait_for("psql", Duration::from_secs(60));
    assert_eq!(place.value(facts), here);
    assert!(serving.stop(Duration::from_secs(30)).success());
}

#[test]
fn kills_and_an_s3_server_that_fails_one_request_in_ten_lose_and_double_nothing() {
    let Some(server) = s3(10) else { return };
    let place = place(&server);
    simulate(&place);
    for name in ["landing.files_written", "landing.committed"] {
        place.killed(&["stream", "--once"], name);
    }
    place.run(&["stream", "--once"]);
    for name in ["staging.files_written", "staging.committed", "curated.table_committed", "curated.published"] {
        place.killed(&["build"], name);
    }
    place.run(&["build"]);
    reconciled(&place);
    assert!(place.run(&["check"]).stdout.contains("every invariant holds"));
    assert!(star(&place) == *OVER_A_FOLDER, "the star is the same as over a folder");
    agrees_with_an_outside_reader(&place, &server);
}

#[test]
fn a_bucket_that_is_not_there_is_told_with_its_fix_and_without_the_secret() {
    let Some(server) = s3(0) else { return };
    let mut place = place(&server);
    place.set("AWS_SECRET_ACCESS_KEY", "very-secret");
    place.edit("environments/dev.yaml", |dev| dev.replace("/shop/lake", "-that-is-missing/lake"));
    let told = place.weir(&["-v", "check"]).run().expect_code(78);
    assert!(told.stderr.contains("error[W8002]") && told.stderr.contains("lake-that-is-missing"), "{}", told.stderr);
    assert!(!told.stderr.contains("very-secret") && !told.stdout.contains("very-secret"), "{}", told.stderr);
}
