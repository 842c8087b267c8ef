//! A build whose warehouse is elsewhere: through a double of the Data API, and on the Postgres wire. What stands behind both is
//! another folder's warehouse, served.

pub mod data_api;
mod wire;

use std::time::Duration;

use serde_json::{Value, json};
use weir_testkit::harness::{Running, tls};

use self::data_api::{DataApi, Fault};
use crate::place::{Place, text};

/// A folder whose warehouse is served.
pub struct Elsewhere {
    place: Place,
    _serving: Running,
}

impl Elsewhere {
    fn start() -> Self {
        Self::of(Place::reference())
    }

    pub fn of(place: Place) -> Self {
        let mut serving = place.weir(&["serve", "--port", "0"]).start();
        serving.wait_for("psql", Duration::from_secs(60));
        Self { place, _serving: serving }
    }

    pub fn port(&self) -> u16 {
        self.place.running()["wire"].as_u64().unwrap().try_into().unwrap()
    }
}

/// Points a place to a warehouse; JSON is YAML.
fn point(place: &Place, warehouse: &Value) {
    place.edit("environments/dev.yaml", |dev| {
        let (before, _) = dev.split_once("warehouse:").unwrap();
        format!("{before}warehouse: {warehouse}\n")
    });
}

fn by_data_api(place: &Place, api: &DataApi) {
    let at = json!({
        "target": "redshift", "workgroup": "shop-qa", "database": "shop", "region": "eu-central-1",
        "endpoint": api.endpoint, "mirrors": false, "timeout": "3s",
    });
    point(place, &at);
}

/// A place with events that are published and not loaded.
fn published() -> Place {
    let place = Place::reference().with_aws();
    let sizes = ["--customers", "20", "--products", "12", "--orders", "40"];
    place.run(&[&["replay", "simulate", "--seed", "11"], &sizes[..]].concat());
    place.run(&["stream", "--once"]);
    place.run(&["build", "--upto", "curated"]);
    place
}

/// Nothing is lost and nothing doubled up to the warehouse, which `reconcile` asks in the same way as the build does.
#[track_caller]
fn agrees(place: &Place) {
    let lines = place.rows(&["reconcile"]);
    let of_warehouse = lines.iter().filter(|line| line["zone"] == "warehouse");
    assert!(of_warehouse.clone().count() > 4 && of_warehouse.clone().any(|line| line["found"] != 0), "{lines:?}");
    for line in &lines {
        assert_eq!(line["expected"], line["found"], "{line}");
        assert!(["missing", "doubled", "different"].iter().all(|column| line[column] == 0), "{line}");
    }
}

const LOADS: &str = "select count(*) as n, count(distinct build) as builds from staging.load_ledger";

#[test]
fn a_build_loads_a_redshift_through_the_data_api() {
    let (place, elsewhere) = (published(), Elsewhere::start());
    let api = DataApi::start(elsewhere.port());
    by_data_api(&place, &api);
    let waiting = |place: &Place| place.rows(&["status", "zones"]).pop().unwrap()["waiting builds"].clone();
    assert_eq!(waiting(&place), 1);
    assert!(place.rows(&["plan"]).iter().any(|line| line["zone"] == "migrations" && line["table"] == "001_roles"));

    let built = place.rows(&["build"]);
    let zones = |zone: &str| built.iter().filter(|line| line["zone"] == zone).count();
    assert!(zones("warehouse") > 4 && zones("migrations") == 1 && zones("mirrors") == 0, "{built:?}");
    agrees(&place);
    assert_eq!(waiting(&place), 0);
    assert!(place.rows(&["plan"]).iter().all(|line| line["zone"] != "migrations"));
    assert!(!place.parts().join("warehouse.duckdb").exists(), "nothing is loaded here");
    let granted = "select identity_name from svv_relation_privileges where relation_name = 'fact_sales'";
    assert_eq!(elsewhere.place.lines(granted), ["analyst"]);

    // What is asked through the API is what stands there: types, NULL, pages.
    let asked = "select * from analytics.dim_customer order by customer_key";
    assert_eq!(place.sql(asked), elsewhere.place.sql(asked));
    let many = "select a.date_key, b.date_key as other from analytics.dim_date a, analytics.dim_date b where a.date_key < 20100103";
    assert_eq!(place.sql(many).len(), elsewhere.place.sql(many).len());
    let several =
        "create table public.t (a int); insert into public.t values (1), (2); select sum(a) as s from public.t";
    assert_eq!(text(&place.sql(several)[0]["s"]), "3");
    let told = place.weir(&["sql", "select nothing from public.t"]).run().expect_code(1);
    assert!(told.stderr.contains("W7603") && told.stderr.contains("nothing"), "{}", told.stderr);

    // A build without news sends no load.
    let sent = (api.asked("BatchExecuteStatement").len(), api.asked("ExecuteStatement").len());
    place.run(&["build"]);
    let asked = api.asked("ExecuteStatement")[sent.1..].iter().map(|body| text(&body["Sql"])).collect::<Vec<_>>();
    assert_eq!(api.asked("BatchExecuteStatement").len(), sent.0);
    assert!(asked.iter().all(|sql| sql.starts_with("SELECT")), "{asked:?}");
}

#[test]
fn a_data_api_that_fails_on_the_way_loses_and_doubles_nothing() {
    let base = published();
    let all = [Fault::Throttled, Fault::OutOfOrder, Fault::ReplyLost];
    let places = [
        ("ExecuteStatement", "BEGIN"),
        ("ExecuteStatement", "MERGE INTO"),
        ("ExecuteStatement", "COMMIT"),
        ("BatchExecuteStatement", "001_roles"),
        ("DescribeStatement", ""),
        ("GetStatementResult", ""),
    ];
    let (place, elsewhere) = (base.twin(), Elsewhere::start());
    let api = DataApi::start(elsewhere.port());
    by_data_api(&place, &api);
    for fault in all {
        for (action, with) in places {
            api.fail(action, with, fault, 1);
        }
    }
    place.run(&["build"]);
    assert_eq!(api.repair(), 0, "every fault has happened");
    agrees(&place);
    assert_eq!(elsewhere.place.lines(LOADS), place.lines(LOADS));
}

#[test]
fn a_commit_of_which_nobody_hears_is_found_in_the_ledger() {
    let (place, elsewhere) = (published(), Elsewhere::start());
    let api = DataApi::start(elsewhere.port());
    by_data_api(&place, &api);
    api.fail("ExecuteStatement", "COMMIT", Fault::ReplyLost, 9);
    let built = place.run(&["-v", "build"]);
    assert_eq!(api.repair(), 0);
    assert!(built.stderr.contains("committed all the same"), "{}", built.stderr);
    agrees(&place);
}

#[test]
fn a_statement_that_fails_or_never_ends_undoes_its_load_and_is_told_in_redshifts_words() {
    let (place, elsewhere) = (published(), Elsewhere::start());
    let api = DataApi::start(elsewhere.port());
    by_data_api(&place, &api);
    let loaded = || elsewhere.place.value("select count(*) from svv_columns where table_name = 'load_ledger'");

    elsewhere.place.run(&["sql", "create table analytics.fact_sales (x int)"]);
    let told = place.weir(&["build"]).run().expect_code(1).stderr;
    assert!(told.contains("W7603") && told.contains(" of ") && told.contains("fact_sales"), "{told}");
    assert_eq!(loaded(), "0", "the transaction is gone as a whole");
    elsewhere.place.run(&["sql", "drop table analytics.fact_sales"]);

    api.fail("ExecuteStatement", "MERGE INTO", Fault::NeverEnds, 1);
    let told = place.weir(&["build"]).run().expect_code(75).stderr;
    assert!(told.contains("W7605") && told.contains("3s"), "{told}");
    assert_eq!(api.asked("CancelStatement").len(), 1);
    assert_eq!(loaded(), "0");

    place.run(&["build"]);
    agrees(&place);
}

#[test]
fn a_build_that_is_killed_on_its_way_to_redshift_is_made_good_by_the_next_one() {
    let base = published();
    for failpoint in [
        "warehouse.load_before_commit",
        "warehouse.load_committed",
        "warehouse.migration_before_commit",
        "warehouse.migration_committed",
    ] {
        for wire in [false, true] {
            let (place, elsewhere) = (base.twin(), Elsewhere::start());
            let api = DataApi::start(elsewhere.port());
            if wire {
                let target = format!("postgres://weir@127.0.0.1:{}/weir", elsewhere.port());
                point(&place, &json!({ "target": target, "mirrors": false }));
            } else {
                by_data_api(&place, &api);
            }
            place.killed(&["build"], failpoint);
            // AWS ends the session of a client that is silent for a while.
            api.end_sessions();
            place.run(&["build"]);
            agrees(&place);
            assert_eq!(elsewhere.place.value("select count(*) from staging.migrations"), "1", "{failpoint}");
        }
    }
}

#[test]
fn a_build_loads_a_redshift_on_the_postgres_wire() {
    let (place, elsewhere) = (published(), Elsewhere::start());
    let target = format!("postgres://weir:${{env:SECRET}}@127.0.0.1:{}/weir", elsewhere.port());
    point(&place, &json!({ "target": target, "mirrors": false }));
    let told = place.weir(&["build"]).run().expect_code(78).stderr;
    assert!(told.contains("W1012") && told.contains("${env:SECRET}"), "{told}");
    let mut place = place;
    place.set("SECRET", "geheim");
    let built = place.rows(&["build"]);
    assert!(built.iter().filter(|line| line["zone"] == "warehouse").count() > 4, "{built:?}");
    agrees(&place);
    assert!(place.rows(&["build"]).iter().all(|line| line["zone"] != "warehouse"));

    drop(elsewhere);
    let told = place.weir(&["build"]).run().expect_code(75).stderr;
    assert!(told.contains("W7601") && !told.contains("geheim"), "{told}");
    // What does not need it goes on without it.
    for args in [&["status"][..], &["plan"]] {
        let told = place.run(args).stderr;
        assert!(told.contains("cannot be asked") && !told.contains("geheim"), "{told}");
    }
}

#[test]
fn the_wire_is_secured_by_a_certificate_that_the_system_trusts_or_not_used() {
    let (mut place, elsewhere) = (Place::reference(), Elsewhere::start());
    let Some(server) = tls(elsewhere.port(), elsewhere.place.path()) else { return };
    let target = |host: &str| json!({ "target": format!("postgres://weir@{host}:{}/weir", server.port) });
    point(&place, &target("localhost"));
    let told = place.weir(&["sql", "select 1"]).run().expect_code(78).stderr;
    assert!(told.contains("W7606") && told.contains("certificate"), "{told}");
    place.set("SSL_CERT_FILE", &server.ca);
    assert_eq!(place.value("select 40 + 2 as n"), "42");
    // More than one record of TLS, both ways.
    let long = "x".repeat(100_000);
    assert_eq!(place.value(&format!("select length('{long}') as n")), "100000");
    point(&place, &target("127.0.0.1"));
    let told = place.weir(&["sql", "select 1"]).run().expect_code(78).stderr;
    assert!(told.contains("W7606"), "the certificate is for another name: {told}");
}

#[test]
fn a_password_of_the_moment_opens_the_wire_of_a_workgroup_and_of_a_cluster() {
    let (place, elsewhere) = (Place::reference().with_aws(), Elsewhere::start());
    let api = DataApi::start(elsewhere.port());
    let at = |kind: &str| {
        let host = format!("127.0.0.1:{}", elsewhere.port());
        json!({ "target": "redshift", kind: "shop-qa", "database": "shop", "region": "eu-central-1", "host": host, "endpoint": api.endpoint })
    };
    for (kind, action) in [("workgroup", "GetCredentials"), ("cluster", "GetClusterCredentialsWithIAM")] {
        point(&place, &at(kind));
        assert_eq!(place.value("select 40 + 2 as n"), "42");
        assert_eq!(api.asked(action).len(), 1);
        assert!(text(&api.asked(action)[0]).contains("shop-qa"));
    }
    assert!(api.asked("ExecuteStatement").is_empty(), "nothing goes through the Data API");
}
