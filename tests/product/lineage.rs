//! Where a column comes from, and what is made of it: from the pipeline's files alone.

use serde_json::Value;

use crate::place::{Place, text};

/// `name.field <- name.field SUBTYPE` of an edge, without what depends on the machine.
fn edges(rows: &[Value]) -> Vec<String> {
    let name = |row: &Value, end: &str| {
        let name = text(&row[format!("{end}_name")]);
        let name = name.rsplit_once("/lake/").map_or(name.clone(), |(_, below)| below.to_owned());
        format!("{name} {}", text(&row[format!("{end}_field")]))
    };
    let line = |row: &Value| format!("{} <- {} {}", name(row, "output"), name(row, "input"), text(&row["subtype"]));
    rows.iter().map(line).collect()
}

#[test]
fn a_price_of_the_warehouse_goes_back_to_the_source_column() {
    let place = Place::reference();
    let tree = place.run(&["lineage", "analytics.fact_sales.unit_price"]).stdout;
    let wanted = [
        "analytics.fact_sales.unit_price",
        "└─ curated.fact_sales.unit_price",
        "   └─ staging.order_item.unit_price",
        "      └─ landing.order_item after.unit_price",
        "         └─ topic retail.order_item.cdc after.unit_price",
        "            └─ source dbo.order_item.unit_price",
    ];
    let found: Vec<&str> = tree.lines().map(|line| line.trim_end_matches("direct").trim_end()).collect();
    assert_eq!(found, wanted, "{tree}");

    let rows = place.rows(&["lineage", "fact_sales.unit_price"]);
    assert_eq!(rows.len(), 5, "{rows:?}");
    assert!(rows.iter().all(|row| row["type"] == "DIRECT" && row["subtype"] == "IDENTITY"), "{rows:?}");
    let source = rows.iter().find(|row| text(&row["input_namespace"]).starts_with("mssql://")).expect("the source");
    assert_eq!(source["input_name"], "RetailDB.dbo.order_item");
    assert_eq!(source["output_name"], "retail.order_item.cdc");
    assert!(place.lake_files().is_empty(), "lineage needs no lake and makes none");
}

#[test]
fn computed_columns_pointers_and_milestones_have_a_lineage_too() {
    let place = Place::reference();
    let amount = edges(&place.rows(&["lineage", "curated.fact_sales.amount"]));
    for column in ["quantity", "unit_price"] {
        let edge = format!("curated/fact_sales amount <- staging/order_item {column} TRANSFORMATION");
        assert!(amount.contains(&edge), "{amount:#?}");
    }
    let tree = place.run(&["lineage", "fact_sales.amount"]).stdout;
    assert!(tree.contains("derived: CAST(quantity * unit_price AS DECIMAL(18,3))"), "{tree}");

    let pointer = edges(&place.rows(&["lineage", "fact_sales.customer_key"]));
    for edge in [
        "curated/fact_sales customer_key <- curated/dim_customer customer_key IDENTITY",
        "curated/fact_sales customer_key <- curated/fact_sales customer_id JOIN",
        "curated/fact_sales customer_key <- curated/fact_sales event_time JOIN",
        "curated/dim_customer customer_key <- curated/dim_customer customer_id TRANSFORMATION",
        "curated/dim_customer effective_from <- curated/dim_customer segment CONDITIONAL",
        "retail.customer.cdc after.segment <- RetailDB.dbo.customer segment IDENTITY",
    ] {
        assert!(pointer.iter().any(|line| line == edge), "no {edge}\n{pointer:#?}");
    }
    let paid = edges(&place.rows(&["lineage", "fact_orders.paid_at"]));
    assert!(paid.contains(&"curated/fact_orders paid_at <- curated/fact_orders status CONDITIONAL".to_owned()));
    assert!(paid.contains(&"landing/order _source_ts <- retail.order.cdc source.ts_ms IDENTITY".to_owned()));
    // The staging query of a table is a step of its own.
    let cleaned = place.run(&["lineage", "dim_product.description"]).stdout;
    let step = cleaned.lines().find(|line| line.contains("landing.product after.description"));
    assert!(step.is_some_and(|line| line.ends_with("derived: TRIM(description)")), "{cleaned}");
}

#[test]
fn downstream_shows_everything_that_is_made_of_a_source_column() {
    let place = Place::reference();
    let found = edges(&place.rows(&["lineage", "order_item.quantity", "--downstream"]));
    for edge in [
        "retail.order_item.cdc after.quantity <- RetailDB.dbo.order_item quantity IDENTITY",
        "staging.order_item quantity <- retail.order_item.cdc after.quantity IDENTITY",
        "analytics.fact_sales amount <- curated/fact_sales amount IDENTITY",
        "analytics.fact_sales quantity <- curated/fact_sales quantity IDENTITY",
    ] {
        assert!(found.iter().any(|line| line == edge), "no {edge}\n{found:#?}");
    }
    assert!(!found.iter().any(|line| line.contains("dim_product")), "{found:#?}");
}

#[test]
fn a_filter_is_an_influence_on_every_column_of_the_model() {
    let place = Place::reference();
    place.edit("models/curated/fact_sales.sql", |sql| format!("{sql}WHERE quantity <> 0\n"));
    let found = edges(&place.rows(&["lineage", "fact_sales.product_id"]));
    let edge = "curated/fact_sales product_id <- staging/order_item quantity FILTER";
    assert!(found.iter().any(|line| line == edge), "{found:#?}");
    let tree = place.run(&["lineage", "fact_sales.product_id"]).stdout;
    assert!(tree.contains("filter: quantity <> 0"), "{tree}");
}

#[test]
fn an_unknown_table_or_column_is_told_with_those_that_there_are() {
    let place = Place::reference();
    let table = place.weir(&["lineage", "fact_sale"]).run().expect_code(64).stderr;
    assert!(table.contains("W9601") && table.contains("analytics.fact_sales"), "{table}");
    let column = place.weir(&["lineage", "fact_sales.price"]).run().expect_code(64).stderr;
    assert!(column.contains("W9602") && column.contains("unit_price"), "{column}");
}
