//! One key from the source's transaction to the star schema, and back from a fact: from the lake alone.

use serde_json::Value;

use crate::place::{Place, text};

/// Two customers in one hour, one of them moves and then gets a broken address; orders before and after the move, of
/// a customer that nobody sent, and of nobody.
const EVENTS: &str = r#"{"table": "customer", "op": "c", "after": {"customer_id": 17850, "first_name": "Ada", "last_name": "Secret", "email": "ada@example.org", "country": "Norway", "segment": "new"}, "time": "2024-01-01T00:00:00Z"}
{"table": "customer", "op": "c", "after": {"customer_id": 17851, "first_name": "Bob", "last_name": "Secret", "email": "bob@example.org", "country": "Spain"}, "time": "2024-01-01T00:00:01Z"}
{"table": "product", "op": "c", "after": {"product_id": "85123A", "description": " HOLDER ", "list_price": "2.550", "discontinued": false}, "time": "2024-01-01T00:00:02Z"}
{"table": "order", "op": "c", "after": {"order_id": "536365", "customer_id": 17850, "status": "placed", "ordered_at": "2024-01-10T08:00:00Z", "is_cancellation": false}, "time": "2024-01-10T08:00:01Z"}
{"table": "order_item", "op": "c", "after": {"order_id": "536365", "line_number": 1, "product_id": "85123A", "customer_id": 17850, "quantity": 6, "unit_price": "2.550", "ordered_at": "2024-01-10T08:00:00Z"}, "time": "2024-01-10T08:00:02Z"}
{"table": "order_item", "op": "c", "after": {"order_id": "536365", "line_number": 2, "product_id": "NOBODY", "customer_id": 17850, "quantity": 1, "unit_price": "1.000", "ordered_at": "2024-01-10T08:00:00Z"}, "time": "2024-01-10T08:00:03Z"}
{"table": "customer", "op": "u", "before": {"customer_id": 17850, "first_name": "Ada", "last_name": "Secret", "email": "ada@example.org", "country": "Norway", "segment": "new"}, "after": {"customer_id": 17850, "first_name": "Ada", "last_name": "Secret", "email": "ada@example.org", "country": "France", "segment": "new"}, "time": "2024-02-01T00:00:00Z"}
{"table": "order", "op": "c", "after": {"order_id": "536366", "customer_id": 17850, "status": "placed", "ordered_at": "2024-02-10T08:00:00Z", "is_cancellation": false}, "time": "2024-02-10T08:00:01Z"}
{"table": "order", "op": "c", "after": {"order_id": "536367", "customer_id": 99999, "status": "placed", "ordered_at": "2024-02-11T08:00:00Z", "is_cancellation": false}, "time": "2024-02-11T08:00:01Z"}
{"table": "order", "op": "c", "after": {"order_id": "536368", "status": "placed", "ordered_at": "2024-02-12T08:00:00Z", "is_cancellation": false}, "time": "2024-02-12T08:00:01Z"}
{"table": "customer", "op": "u", "before": {"customer_id": 17850, "first_name": "Ada", "last_name": "Secret", "email": "ada@example.org", "country": "France", "segment": "new"}, "after": {"customer_id": 17850, "first_name": "Ada", "last_name": "Secret", "email": "secret address", "country": "France", "segment": "new"}, "time": "2024-03-01T00:00:00Z"}
"#;

fn built() -> Place {
    let place = Place::reference();
    place.replay_events(EVENTS);
    place.build();
    // A trace needs no stream.
    std::fs::remove_dir_all(place.parts().join("broker")).unwrap();
    place
}

fn passport(place: &Place, args: &[&str]) -> Value {
    let found = place.rows(&[&["trace"], args].concat());
    assert_eq!(found.len(), 1);
    found.into_iter().next().unwrap()
}

/// The row of a change in a zone, whose file must be there.
fn spot(place: &Place, change: &Value, zone: &str) -> (String, u64) {
    let spot = &change[zone];
    let file = text(&spot["file"]);
    assert!(place.lake().join(&file).is_file(), "{file} is no file: {change}");
    (file, spot["row"].as_u64().expect("a row"))
}

#[test]
fn a_customer_is_followed_from_the_log_to_its_versions_and_their_facts() {
    let place = built();
    let found = passport(&place, &["dim_customer", "17850"]);
    let changes = found["changes"].as_array().unwrap();
    let states: Vec<String> = changes.iter().map(|change| text(&change["state"])).collect();
    assert_eq!(states, ["staged", "staged", "quarantined"], "{found:#}");
    for change in changes {
        assert_eq!(change["topic"], "retail.customer.cdc");
        assert!(change["offset"].as_i64().unwrap() >= 0);
        let position = change["position"].as_array().unwrap();
        assert_eq!(position[0][0], "commit LSN");
        assert_eq!(text(&position[0][1]).len(), "00000027:00000758:0005".len());
        spot(&place, change, "landing");
    }
    spot(&place, &changes[1], "staging");
    spot(&place, &changes[2], "quarantine");

    // Both customers of the first hour lie in one file, each at its own row.
    let other = passport(&place, &["dim_customer", "17851"]);
    let (one, two) = (spot(&place, &changes[0], "landing"), spot(&place, &other["changes"][0], "landing"));
    assert_eq!(one.0, two.0);
    assert_eq!([one.1, two.1].iter().max(), Some(&1), "{one:?} {two:?}");
    assert_ne!(one.1, two.1);

    let verdict = |change: &Value, rule: &str| -> Value {
        let rules = change["rules"].as_array().unwrap().iter().find(|found| found["rule"] == rule);
        rules.unwrap_or_else(|| panic!("no {rule} in {change}")).clone()
    };
    assert_eq!(verdict(&changes[0], "email_is_an_address")["verdict"], "passed");
    let broken = verdict(&changes[2], "email_is_an_address");
    assert_eq!((text(&broken["verdict"]), text(&broken["value"])), ("quarantined".into(), "(personal)".into()));

    let versions = found["versions"].as_array().unwrap();
    assert_eq!(versions.len(), 2, "{found:#}");
    let by = |version: &Value| [&version["opened_by"], &version["closed_by"]].map(Value::as_u64);
    assert_eq!((by(&versions[0]), by(&versions[1])), ([Some(1), Some(2)], [Some(2), None]));
    assert_eq!(versions[0]["columns"]["country"], "Norway");
    assert_eq!(versions[1]["columns"]["country"], "France");
    assert_eq!(versions[1]["columns"]["email"], "(personal)");
    let stored =
        place.value("select customer_key from analytics.dim_customer where customer_id = 17850 and country = 'France'");
    assert_eq!(text(&versions[1]["surrogate_key"]), stored);
    let facts = |version: &Value, table: &str| -> (u64, String) {
        let facts = version["facts"].as_array().unwrap().iter().find(|facts| facts["table"] == table).unwrap();
        (facts["count"].as_u64().unwrap(), text(&facts["first"]))
    };
    assert_eq!(facts(&versions[0], "fact_sales"), (2, r#"["536365/1","536365/2"]"#.into()));
    assert_eq!(facts(&versions[0], "fact_orders"), (1, r#"["536365"]"#.into()));
    assert_eq!(facts(&versions[1], "fact_orders"), (1, r#"["536366"]"#.into()));

    // The same member, by the key of one of its versions.
    let mut same = passport(&place, &["dim_customer", "--surrogate", &stored]);
    assert_eq!(same["changes"], found["changes"]);
    assert_eq!(same["versions"].take(), found["versions"]);
    // Hours and order keys leave out what cannot hold the key.
    let read = &other["read"]["landing/customer"];
    assert!(read["read"].as_u64() < read["of"].as_u64(), "{read}");
}

#[test]
fn a_fact_says_why_it_points_where_it_does_and_leads_back() {
    let place = built();
    let found = passport(&place, &["fact_sales", "536365", "1"]);
    assert_eq!(found["row"]["quantity"], "6");
    let pointer = |passport: &Value, column: &str| -> Value {
        let pointers = passport["pointers"].as_array().unwrap().iter();
        pointers.clone().find(|pointer| pointer["column"] == column).unwrap().clone()
    };
    let customer = pointer(&found, "customer_key");
    assert_eq!(customer["why"], "valid at event_time");
    assert_eq!(customer["member"]["versions"][0]["columns"]["country"], "Norway");
    // The change that opened the version, and the one that ended it.
    let numbers: Vec<String> =
        customer["member"]["changes"].as_array().unwrap().iter().map(|change| text(&change["number"])).collect();
    assert_eq!(numbers, ["1", "2"]);
    spot(&place, &customer["member"]["changes"][0], "landing");
    assert_eq!(passport(&place, &["fact_sales", "line_number=1,order_id=536365"]), found);

    let second = passport(&place, &["analytics.fact_sales", "536365", "2"]);
    let rules = second["changes"][0]["rules"].as_array().unwrap();
    let known = rules.iter().find(|rule| rule["rule"] == "product_is_known").unwrap();
    assert_eq!((text(&known["verdict"]), text(&known["value"])), ("warned".into(), "NOBODY".into()));
    assert!(text(&pointer(&second, "product_key")["why"]).starts_with("inferred member"), "{second:#}");
    let nobody = pointer(&passport(&place, &["fact_orders", "536368"]), "customer_key");
    assert_eq!(nobody["surrogate_key"], -1);
    assert!(text(&nobody["why"]).starts_with("unknown member"), "{nobody:#}");
}

#[test]
fn a_trace_for_people_names_every_station_and_no_personal_value() {
    let place = built();
    let member = place.run(&["trace", "dim_customer", "17850"]).stdout;
    for part in [
        "change 1: insert at 2024-01-01T00:00:00",
        "commit LSN ",
        "retail.customer.cdc partition ",
        "landing/customer/year=2024/month=01/day=01/hour=00/",
        "staging/customer/year=2024/",
        "email_is_an_address quarantined (email is (personal))",
        "ends version 1, gives type 1 columns of version 1, opens version 2",
        "version 2: key ",
        "2 rows of fact_sales by customer_key: 536365/1, 536365/2",
    ] {
        assert!(member.contains(part), "no `{part}`\n{member}");
    }
    let fact = place.run(&["trace", "fact_sales", "536365", "1"]).stdout;
    assert!(fact.contains("valid at event_time") && fact.contains("way back"), "{fact}");
    for shown in [member, fact] {
        for secret in ["Ada", "Secret", "ada@", "secret address"] {
            assert!(!shown.contains(secret), "{secret} is personal\n{shown}");
        }
    }
}

#[test]
fn what_has_landed_and_is_not_built_yet_is_shown_as_such() {
    let place = Place::reference();
    place.replay_events(EVENTS);
    place.run(&["stream", "--once"]);
    let landed = passport(&place, &["dim_customer", "17850"]);
    assert_eq!(landed["changes"].as_array().unwrap().len(), 3);
    assert_eq!(landed["changes"][0]["state"], "landed");
    place.run(&["build", "--upto", "staging"]);
    let staged = passport(&place, &["dim_customer", "17850"]);
    assert_eq!(text(&staged["changes"][0]["effects"]), r#"["not built yet"]"#);
    assert_eq!(staged["changes"][2]["state"], "quarantined");
}

#[test]
fn a_record_that_could_not_be_decoded_is_found_by_its_key() {
    let place = Place::reference();
    place.run(&["replay", "simulate", "--seed", "11", "--customers", "60", "--products", "40", "--orders", "200"]);
    place.build();
    // The simulator follows some of its first rows, which are products, with a record that is broken.
    let ids = place.sql("select distinct product_id from analytics.dim_product where product_key <> -1 order by 1");
    let letters = ids.iter().find_map(|row| {
        let found = passport(&place, &["dim_product", &text(&row["product_id"])]);
        let letters = found["dead_letters"].as_array().unwrap().clone();
        letters.into_iter().next()
    });
    let letter = letters.expect("a dead letter of a product");
    assert_eq!(letter["topic"], "retail.product.cdc");
    assert!(place.lake().join(text(&letter["deadletter"]["file"])).is_file(), "{letter}");
}

#[test]
fn what_cannot_be_traced_is_told() {
    let place = built();
    let code = |args: &[&str], exit: i32, code: &str| {
        let stderr = place.weir(&[&["trace"], args].concat()).run().expect_code(exit).stderr;
        assert!(stderr.contains(&format!("error[{code}]")), "{stderr}");
        stderr
    };
    assert!(code(&["dim_date", "20240101"], 64, "W9603").contains("dim_customer"));
    code(&["fact_sales", "536365"], 64, "W9604");
    let stderr = code(&["dim_customer", "somebody"], 64, "W9604");
    assert!(!stderr.contains("somebody"), "a key may be personal\n{stderr}");
    code(&["dim_customer", "4711"], 1, "W9605");
}
