//! A table that is truncated at the source, from the event to the star schema, the mirror and the accounts.

use crate::path::reconciled;
use crate::place::{Place, text};

/// Customers and orders are truncated, customers twice; one customer comes back after each time. An order of the time
/// in between, and one of a customer that nobody sent.
const EVENTS: &str = r#"{"table": "customer", "op": "c", "after": {"customer_id": 1, "country": "Norway"}, "time": "2024-01-01T00:00:00Z"}
{"table": "customer", "op": "c", "after": {"customer_id": 2, "country": "Spain"}, "time": "2024-01-01T00:00:01Z"}
{"table": "customer", "op": "c", "after": {"customer_id": 3, "country": "Italy"}, "time": "2024-01-01T00:00:02Z"}
{"table": "customer", "op": "d", "before": {"customer_id": 3, "country": "Italy"}, "time": "2024-01-05T00:00:00Z"}
{"table": "order", "op": "c", "after": {"order_id": "A", "customer_id": 1, "status": "placed", "ordered_at": "2024-01-10T00:00:00Z", "is_cancellation": false}, "time": "2024-01-10T00:00:00Z"}
{"table": "order", "op": "t", "time": "2024-01-20T00:00:00Z"}
{"table": "customer", "op": "t", "time": "2024-02-01T00:00:00Z"}
{"table": "order", "op": "c", "after": {"order_id": "B", "customer_id": 1, "status": "placed", "ordered_at": "2024-02-10T00:00:00Z", "is_cancellation": false}, "time": "2024-02-10T00:00:00Z"}
{"table": "customer", "op": "c", "after": {"customer_id": 1, "country": "France"}, "time": "2024-03-01T00:00:00Z"}
{"table": "order", "op": "c", "after": {"order_id": "C", "customer_id": 1, "status": "placed", "ordered_at": "2024-03-10T00:00:00Z", "is_cancellation": false}, "time": "2024-03-10T00:00:00Z"}
{"table": "customer", "op": "t", "time": "2024-04-01T00:00:00Z"}
{"table": "customer", "op": "c", "after": {"customer_id": 2, "country": "Spain"}, "time": "2024-05-01T00:00:00Z"}
{"table": "order", "op": "c", "after": {"order_id": "D", "customer_id": 9, "status": "placed", "ordered_at": "2024-05-10T00:00:00Z", "is_cancellation": false}, "time": "2024-05-10T00:00:00Z"}
"#;

/// Everything through all stages, in micro-batches and steps of at most so many rows.
fn built(rows: &str) -> Place {
    let place = Place::reference();
    place.replay_events(EVENTS);
    let small = |args: &[&str]| {
        let weir = place.weir(args).env("WEIR__LANDING__MAX_ROWS", rows).env("WEIR__STAGING__MAX_ROWS", rows);
        weir.run().expect_code(0);
    };
    small(&["stream", "--once"]);
    small(&["build"]);
    place
}

#[test]
fn a_truncation_ends_versions_and_facts_however_the_records_are_cut() {
    for rows in ["1", "200000"] {
        let place = built(rows);
        reconciled(&place);
        let versions = "select customer_id, country, cast(effective_from as date), cast(effective_to as date), is_current \
                        from analytics.dim_customer where customer_id < 9 order by 1, 3";
        let wanted = [
            "1 Norway 2024-01-01 2024-02-01 false",
            "1 France 2024-03-01 2024-04-01 false",
            "2 Spain 2024-01-01 2024-02-01 false",
            "2 Spain 2024-05-01 9999-12-31 true",
            "3 Italy 2024-01-01 2024-01-05 false",
        ];
        assert_eq!(place.lines(versions), wanted, "{rows} rows at a time");
        // The order of the time without a customer points to the version before; the truncated one is gone.
        let facts = "select f.order_id, c.customer_id, c.country, c.is_inferred from analytics.fact_orders f \
                     join analytics.dim_customer c on c.customer_key = f.customer_key order by 1";
        assert_eq!(place.lines(facts), ["B 1 Norway false", "C 1 France false", "D 9 null true"]);
        assert_eq!(place.lines("select customer_id, country from staging.customer order by 1"), ["2 Spain"]);
        assert_eq!(place.lines("select order_id from staging.\"order\" order by 1"), ["B", "C", "D"]);
        assert_eq!(place.value("select count(*) from staging.stream_errors"), "0");
        place.run(&["check"]);
        place.run(&["replay", "--verify"]);
    }
}

#[test]
fn a_trace_shows_the_delete_that_a_truncation_brought_and_its_record() {
    let place = built("200000");
    let found = place.rows(&["trace", "dim_customer", "1"]).remove(0);
    let changes = found["changes"].as_array().unwrap();
    let ops: Vec<String> = changes.iter().map(|change| text(&change["op"])).collect();
    assert_eq!(ops, ["c", "d", "c", "d"], "{found:#}");
    for change in [&changes[1], &changes[3]] {
        assert_eq!(change["effects"][0], "the table was truncated");
        assert_eq!(change["topic"], "retail.customer.cdc");
        for zone in ["landing", "staging"] {
            let file = text(&change[zone]["file"]);
            assert!(place.lake().join(&file).is_file(), "{file} is no file: {change}");
        }
    }
    let ends = found["versions"].as_array().unwrap().iter().map(|version| version["closed_by"].as_u64());
    assert_eq!(ends.collect::<Vec<_>>(), [Some(2), Some(4)]);
    // The other customer's deletes are those of the same record.
    let other = place.rows(&["trace", "dim_customer", "2"]).remove(0);
    assert_eq!(other["changes"][1]["offset"], changes[1]["offset"]);
    assert_eq!(other["changes"][1]["landing"], changes[1]["landing"]);
}
