//! An aggregate follows its fact and its dimensions as far as the warehouse.

use crate::place::Place;

/// A customer who moves between two of its orders.
const EVENTS: &str = r#"{"table": "customer", "op": "c", "after": {"customer_id": 1, "country": "France"}, "time": "2024-01-01T00:00:00Z"}
{"table": "product", "op": "c", "after": {"product_id": "P1", "description": "cup", "category": "Kitchen", "list_price": "2.500", "discontinued": false}, "time": "2024-01-01T00:00:00Z"}
{"table": "order", "op": "c", "after": {"order_id": "A", "customer_id": 1, "status": "new", "is_cancellation": false, "ordered_at": "2024-02-01T12:00:00Z"}, "time": "2024-02-01T12:00:00Z"}
{"table": "order_item", "op": "c", "after": {"order_id": "A", "line_number": 1, "product_id": "P1", "customer_id": 1, "quantity": 2, "unit_price": "2.500", "ordered_at": "2024-02-01T12:00:00Z"}, "time": "2024-02-01T12:00:00Z"}
{"table": "order_item", "op": "c", "after": {"order_id": "B", "line_number": 1, "product_id": "P1", "customer_id": 1, "quantity": 3, "unit_price": "2.500", "ordered_at": "2024-03-01T12:00:00Z"}, "time": "2024-03-01T12:00:00Z"}
{"table": "customer", "op": "u", "after": {"customer_id": 1, "country": "Spain"}, "time": "2024-02-15T00:00:00Z"}
"#;

/// Rows of the aggregate as `day country quantity amount lines`.
fn daily(place: &Place) -> Vec<String> {
    let query = "select order_date_key, country, quantity, amount, lines from analytics.agg_daily_sales order by 1, 2";
    place.lines(query)
}

#[test]
fn sales_move_to_their_market_in_the_warehouse_when_their_customer_is_built_later() {
    let place = Place::reference();
    place.replay_events(EVENTS);
    place.run(&["stream", "--once"]);

    // The lines alone: their customer is an inferred member, of no market.
    place.run(&["build", "--select", "order_item+"]);
    assert_eq!(daily(&place), ["20240201 (none) 2 5.000 1", "20240301 (none) 3 7.500 1"]);

    place.run(&["build"]);
    assert_eq!(daily(&place), ["20240201 France 2 5.000 1", "20240301 Spain 3 7.500 1"]);
    let monthly = "select month, country, amount from analytics.view_monthly_sales order by 1";
    assert_eq!(place.lines(monthly), ["2 France 5.000", "3 Spain 7.500"]);
    place.run(&["check"]);
}
