//! Dead letters through the commands: listed without a word of their content, shown, sent again, discarded.

use std::time::Duration;

use serde_json::{Value, json};

use crate::path::reconciled;
use crate::place::{Place, http, text, until_it_is};

const SOON: Duration = Duration::from_secs(90);
const TABLES: [&str; 4] = ["customer", "product", "order", "order_item"];

/// Runs `work` while the registry has lost all its schemas; afterwards it has them back.
fn without_schemas(place: &Place, work: impl FnOnce()) {
    let (registry, kept) = (place.parts().join("registry"), place.parts().join("registry.kept"));
    std::fs::rename(&registry, &kept).unwrap();
    work();
    std::fs::remove_dir_all(&registry).unwrap();
    std::fs::rename(&kept, &registry).unwrap();
}

fn sum(rows: &[Value], column: &str, value: &str) -> u64 {
    rows.iter().filter(|row| row[column] == value).filter_map(|row| row["letters"].as_u64()).sum()
}

#[test]
fn letters_of_a_registry_that_lost_its_schemas_land_once_when_they_are_replayed() {
    let place = Place::reference();
    place.run(&["replay", "simulate", "--seed", "4", "--customers", "40", "--products", "30", "--orders", "120"]);
    without_schemas(&place, || {
        place.build();
        let still = place.rows(&["dlq", "replay", "customer", "--open", "--by", "ada"]);
        assert!(sum(&still, "result", "still does not decode") > 0 && sum(&still, "result", "sent again") == 0);
    });
    let lost = place.rows(&["dlq", "ls"]);
    assert!(sum(&lost, "reason", "unknown_schema") > 200, "{lost:?}");
    assert!(lost.iter().all(|row| row["state"] == "open"), "{lost:?}");

    // Killed between the two steps once: the records are in the topic, and the letters are open.
    place.killed(&["dlq", "replay", "order_item", "--open", "--by", "ada"], "dlq.sent");
    assert!(place.rows(&["dlq", "ls", "--table", "order_item"]).iter().all(|row| row["state"] == "open"));
    for table in TABLES {
        let sent = place.rows(&["dlq", "replay", table, "--open", "--by", "ada"]);
        assert!(sum(&sent, "result", "sent again") > 0, "{table}: {sent:?}");
    }
    place.build();
    reconciled(&place);
    assert_ne!(place.value("select count(*) from analytics.fact_sales"), "0");

    // What the simulator broke never decodes, and is what is left open.
    let left = place.rows(&["dlq", "ls"]);
    let broken = place.rows(&["reconcile"]);
    let found = broken.iter().filter(|line| line["zone"] == "dead letters").filter_map(|line| line["found"].as_u64());
    assert_eq!(sum(&left, "state", "open"), found.sum::<u64>());
    assert!(sum(&left, "state", "replayed") > 200, "{left:?}");
    for table in TABLES {
        let again = place.rows(&["dlq", "replay", table, "--open", "--by", "ada"]);
        assert_eq!(sum(&again, "result", "sent again"), 0, "{table}: {again:?}");
    }
}

/// A place with one letter, of a customer.
fn with_a_letter() -> (Place, String) {
    let place = Place::reference();
    place.replay_events(EVENT);
    without_schemas(&place, || drop(place.run(&["stream", "--once"])));
    let letters = place.rows(&["dlq", "ls", "--each"]);
    assert_eq!(letters.len(), 1, "{letters:?}");
    let id = text(&letters[0]["id"]);
    (place, id)
}

const EVENT: &str = r#"{"table": "customer", "op": "c", "after": {"customer_id": 17850, "first_name": "Ada", "last_name": "Secret", "email": "ada@example.org", "country": "Norway"}, "time": "2024-01-01T00:00:00Z"}"#;

#[test]
fn a_letters_content_is_shown_on_demand_and_in_no_listing() {
    let (place, id) = with_a_letter();
    for format in ["table", "json", "csv"] {
        let nothing = ["dlq", "discard", "customer", "--reason", "none", "--because", "no", "--by", "ada"];
        for listing in [&["dlq", "ls"][..], &["dlq", "ls", "--each"], &nothing] {
            let outcome = place.run(&[&["-o", format, "-v"], listing].concat());
            let said = outcome.stdout + &outcome.stderr;
            for secret in ["Secret", "ada@example.org", &hex("ada@example.org")] {
                assert!(!said.contains(secret), "{listing:?} shows `{secret}`\n{said}");
            }
        }
    }
    let shown = &place.rows(&["dlq", "show", "customer", &id])[0];
    assert_eq!(shown["value decoded"]["after"]["email"], "ada@example.org", "{shown}");
    assert!(text(&shown["value hex"]).contains(&hex("ada@example.org")), "{shown}");
    assert_eq!(shown["reason"], "unknown_schema");
    let people = place.run(&["dlq", "show", "customer", &id]).stdout;
    assert!(people.contains("value hex") && people.contains(&id), "{people}");
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_letter_that_is_replayed_while_all_runs_reaches_landing_star_and_mirror() {
    let place = Place::reference();
    place.replay_events(EVENT);
    let journal = files(&place.parts().join("registry"));
    std::fs::remove_dir_all(place.parts().join("registry")).unwrap();
    let settings = ["--set", "warehouse.refresh_every=1s", "--set", "landing.max_wait=1s"];
    let mut running = place.up(&[&["--build-every", "1s"], &settings[..]].concat());
    // Landing and the mirror have both met the record, and could not decode it.
    until_it_is("1", SOON, || place.value("select count(*) from staging.stream_errors"));
    until_it_is("1", SOON, || sum(&place.rows(&["dlq", "ls"]), "state", "open").to_string());

    let said = place.running();
    let registry = text(&said["stream"]["registry"]).replace("http://", "");
    register_again(&registry, &journal);
    let sent = place.rows(&["dlq", "replay", "customer", "--open", "--by", "ada"]);
    assert_eq!(sum(&sent, "result", "sent again"), 1, "{sent:?}");
    until_it_is("1", SOON, || place.value("select count(*) from staging.customer where email = 'ada@example.org'"));
    until_it_is("1", SOON, || place.value("select count(*) from analytics.dim_customer where customer_id = 17850"));
    running.stop(Duration::from_secs(60));
    reconciled(&place);
}

/// The lines of all files below a folder, which are JSON.
fn files(folder: &std::path::Path) -> Vec<Value> {
    let texts = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    let lines: Vec<String> = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Registers what the journal of a registry holds with an empty one, in the order of the ids, which come out the same.
fn register_again(registry: &str, journal: &[Value]) {
    let of = |what: &str| journal.iter().filter(|line| line["what"] == what).cloned().collect::<Vec<Value>>();
    let mut versions = of("version");
    versions.sort_by_key(|version| version["id"].as_u64());
    for version in versions {
        let schema = of("schema").into_iter().find(|schema| schema["id"] == version["id"]).unwrap();
        let subject = text(&version["subject"]);
        let body = json!({ "schema": schema["schema"] }).to_string();
        let (status, answer) = http(registry, &format!("POST /subjects/{subject}/versions"), &body);
        assert_eq!(
            (status, serde_json::from_str::<Value>(&answer).unwrap()["id"].clone()),
            (200, version["id"].clone())
        );
    }
}

#[test]
fn a_discarded_letter_stays_with_its_reason_and_is_not_replayed_with_the_open_ones() {
    let (place, id) = with_a_letter();
    let discard = ["dlq", "discard", "customer", &id, "--because", "test data", "--by", "ada"];
    // Killed once the mark is committed, it stands, and a second call has nothing left to mark.
    place.killed(&discard, "dlq.marked");
    assert_eq!(place.rows(&discard)[0]["discarded"], 0);
    let letter = &place.rows(&["dlq", "ls", "--each"])[0];
    assert_eq!(
        (&letter["state"], &letter["by"], &letter["because"]),
        (&"discarded".into(), &"ada".into(), &"test data".into())
    );
    assert!(place.rows(&["dlq", "replay", "customer", "--open", "--by", "ada"]).is_empty());
    assert_eq!(place.rows(&["dlq", "replay", "customer", &id, "--by", "ada"])[0]["result"], "sent again");
}

#[test]
fn a_letter_that_is_not_there_and_a_choice_that_is_none_are_refused() {
    let (place, id) = with_a_letter();
    let other = id.replace("/0", "/7");
    let missing = place.weir(&["dlq", "show", "customer", &other]).run().expect_code(64).stderr;
    assert!(missing.contains("error[W4020]: ") && missing.contains(&other), "{missing}");
    place.weir(&["dlq", "replay", "customer", "--by", "ada"]).run().expect_code(64);
    place.weir(&["dlq", "replay", "costumer", "--open", "--by", "ada"]).run().expect_code(64);
}
