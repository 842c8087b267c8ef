//! A business key that changes at the source: the member goes on under the new one, in the dimension, and for its facts.

use crate::path::reconciled;
use crate::place::Place;

/// P1 becomes P7 and then P8, after which somebody else gets the code P1. A line is of the time of each code.
const EVENTS: &str = r#"{"table": "product", "op": "c", "after": {"product_id": "P1", "description": "cup", "category": "tea", "list_price": "1.000", "discontinued": false}, "time": "2024-01-01T00:00:00Z"}
{"table": "order_item", "op": "c", "after": {"order_id": "A", "line_number": 1, "product_id": "P1", "customer_id": 1, "quantity": 1, "unit_price": "1.000", "ordered_at": "2024-01-15T00:00:00Z"}, "time": "2024-01-15T00:00:00Z"}
{"table": "product", "op": "u", "before": {"product_id": "P1", "description": "cup", "category": "tea", "list_price": "1.000", "discontinued": false}, "after": {"product_id": "P7", "description": "cup", "category": "tea", "list_price": "1.000", "discontinued": false}, "time": "2024-02-01T00:00:00Z"}
{"table": "order_item", "op": "u", "before": {"order_id": "A", "line_number": 1, "product_id": "P1", "customer_id": 1, "quantity": 1, "unit_price": "1.000", "ordered_at": "2024-01-15T00:00:00Z"}, "after": {"order_id": "A", "line_number": 1, "product_id": "P7", "customer_id": 1, "quantity": 1, "unit_price": "1.000", "ordered_at": "2024-01-15T00:00:00Z"}, "time": "2024-02-01T00:00:00Z"}
{"table": "order_item", "op": "c", "after": {"order_id": "B", "line_number": 1, "product_id": "P7", "customer_id": 1, "quantity": 1, "unit_price": "1.000", "ordered_at": "2024-02-15T00:00:00Z"}, "time": "2024-02-15T00:00:00Z"}
{"table": "product", "op": "u", "before": {"product_id": "P7", "description": "cup", "category": "tea", "list_price": "1.000", "discontinued": false}, "after": {"product_id": "P8", "description": "mug", "category": "pots", "list_price": "2.000", "discontinued": false}, "time": "2024-03-01T00:00:00Z"}
{"table": "product", "op": "c", "after": {"product_id": "P1", "description": "saw", "category": "tools", "list_price": "9.000", "discontinued": false}, "time": "2024-04-01T00:00:00Z"}
{"table": "order_item", "op": "c", "after": {"order_id": "C", "line_number": 1, "product_id": "P1", "customer_id": 1, "quantity": 1, "unit_price": "9.000", "ordered_at": "2024-04-15T00:00:00Z"}, "time": "2024-04-15T00:00:00Z"}
{"table": "order_item", "op": "c", "after": {"order_id": "D", "line_number": 1, "product_id": "P8", "customer_id": 1, "quantity": 1, "unit_price": "2.000", "ordered_at": "2024-04-16T00:00:00Z"}, "time": "2024-04-16T00:00:00Z"}
"#;

/// The four versions of the one, and the one of the other.
const VERSIONS: [&str; 4] = [
    "P1 mug tea 2024-01-01 2024-02-01 false",
    "P7 mug tea 2024-02-01 2024-03-01 false",
    "P8 mug pots 2024-03-01 9999-12-31 true",
    "P1 saw tools 2024-04-01 9999-12-31 true",
];

fn holds(place: &Place) {
    reconciled(place);
    let versions = "select product_id, description, category, cast(effective_from as date), cast(effective_to as date), \
                    is_current from analytics.dim_product where not is_inferred and product_key <> -1 order by 4";
    assert_eq!(place.lines(versions), VERSIONS);
    assert_eq!(place.value("select count(distinct product_durable_key) from analytics.dim_product"), "2");
    assert_eq!(place.value("select count(*) from analytics.dim_product where is_inferred"), "0");
    // The line of January names P7 by now, and is of the time when the product was P1.
    let facts = "select f.order_id, f.product_id as named, p.product_id, p.category from analytics.fact_sales f \
                 join analytics.dim_product p on p.product_key = f.product_key order by 1";
    assert_eq!(place.lines(facts), ["A P7 P1 tea", "B P7 P7 tea", "C P1 P1 tools", "D P8 P8 pots"]);
    assert!(place.run(&["check"]).stdout.contains("every invariant holds"));
}

#[test]
fn a_member_goes_on_under_its_new_key_however_the_records_are_cut() {
    for rows in ["1", "200000"] {
        let place = Place::reference();
        place.replay_events(EVENTS);
        for args in [&["stream", "--once"][..], &["build"]] {
            let weir = place.weir(args).env("WEIR__LANDING__MAX_ROWS", rows).env("WEIR__STAGING__MAX_ROWS", rows);
            weir.run().expect_code(0);
        }
        holds(&place);
        place.run(&["replay", "--verify"]);
    }
}

#[test]
fn a_build_that_dies_behind_the_log_of_key_changes_is_made_good_by_the_next() {
    let place = Place::reference();
    place.replay_events(EVENTS);
    place.run(&["stream", "--once"]);
    place.killed(&["build"], "curated.key_changes_committed");
    place.run(&["build"]);
    holds(&place);
    place.run(&["replay", "--verify"]);
}

#[test]
fn a_trace_of_any_of_its_keys_tells_the_whole_history_of_a_member() {
    let place = Place::reference();
    place.replay_events(EVENTS);
    place.build();
    for key in ["P7", "P8"] {
        let told = place.run(&["trace", "dim_product", key]).stdout;
        for part in ["P1", "P7", "P8", "2024-01-01", "2024-02-01", "2024-03-01"] {
            assert!(told.contains(part), "{key} lacks {part}:\n{told}");
        }
        assert!(!told.contains("saw"), "{told}");
    }
    assert!(place.run(&["trace", "dim_product", "P1"]).stdout.contains("saw"));
}
