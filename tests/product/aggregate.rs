//! A late dimension version moves rows of an aggregate from one group to another, as far as the warehouse.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use crate::place::{Place, text};

/// Two lines of one customer, then a long stretch of nothing that matters, then what should have come before.
fn events() -> String {
    let mut out = String::from(
        r#"{"table": "customer", "op": "c", "after": {"customer_id": 1, "country": "France"}, "time": "2024-01-01T00:00:00Z"}
{"table": "product", "op": "c", "after": {"product_id": "P1", "description": "cup", "category": "Kitchen", "list_price": "2.500", "discontinued": false}, "time": "2024-01-01T00:00:00Z"}
{"table": "order_item", "op": "c", "after": {"order_id": "A", "line_number": 1, "product_id": "P1", "customer_id": 1, "quantity": 2, "unit_price": "2.500", "ordered_at": "2024-02-01T12:00:00Z"}, "time": "2024-02-01T12:00:00Z"}
{"table": "order_item", "op": "c", "after": {"order_id": "B", "line_number": 1, "product_id": "P1", "customer_id": 1, "quantity": 3, "unit_price": "2.500", "ordered_at": "2024-03-01T12:00:00Z"}, "time": "2024-03-01T12:00:00Z"}
"#,
    );
    for n in 0..400 {
        let line = format!(
            r#"{{"table": "product", "op": "c", "after": {{"product_id": "X{n}", "description": "saucer", "category": "Kitchen", "list_price": "1.000", "discontinued": false}}, "time": "2024-03-02T00:00:00Z"}}"#
        );
        let _ = writeln!(out, "{line}");
    }
    out.push_str(
        r#"{"table": "customer", "op": "u", "after": {"customer_id": 1, "country": "Spain"}, "time": "2024-02-15T00:00:00Z"}
"#,
    );
    out
}

/// Rows of the aggregate as `day country quantity amount lines`.
fn daily(place: &Place) -> Vec<String> {
    let query = "select order_date_key, country, quantity, amount, lines from analytics.agg_daily_sales order by 1, 2";
    let row = |row: &Value| row.as_object().expect("a row").values().map(text).collect::<Vec<_>>().join(" ");
    place.sql(query).iter().map(row).collect()
}

#[test]
fn a_late_version_of_a_customer_moves_sales_to_another_market_in_the_warehouse() {
    let place = Place::reference();
    let file = place.path().join("events.jsonl");
    std::fs::write(&file, events()).unwrap();
    let replay = ["replay", "events", file.to_str().unwrap()];

    // The first lines only: the replay is slow, stopped, and gone on with until they are there.
    for attempt in 0.. {
        assert!(attempt < 20, "the first lines never came");
        let mut slow = place.weir(&[&replay[..], &["--events-per-second", "20"]].concat()).start();
        std::thread::sleep(Duration::from_millis(900));
        slow.interrupt();
        slow.wait(Duration::from_secs(60));
        place.run(&["stream", "--once"]);
        place.run(&["build"]);
        if place.value("select count(*) from analytics.fact_sales") == "2" {
            break;
        }
    }
    assert_eq!(daily(&place), ["20240201 France 2 5.000 1", "20240301 France 3 7.500 1"]);

    place.run(&replay);
    place.run(&["stream", "--once"]);
    place.run(&["build"]);
    assert_eq!(daily(&place), ["20240201 France 2 5.000 1", "20240301 Spain 3 7.500 1"]);
    let monthly = "select month, country, amount from analytics.view_monthly_sales order by 1";
    let row = |row: &Value| row.as_object().expect("a row").values().map(text).collect::<Vec<_>>().join(" ");
    assert_eq!(place.sql(monthly).iter().map(row).collect::<Vec<_>>(), ["2 France 5.000", "3 Spain 7.500"]);
    place.run(&["check"]);
}
