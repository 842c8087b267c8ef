//! The retail tables as the contract declares them, for tests.

use std::collections::BTreeSet;

use weir_core::column::Column;
use weir_project::{Connector, ConnectorKind, Table};

/// A table from `name type [null]` lines.
pub(crate) fn table(name: &str, columns: &[(&str, &str, bool)], key: &[&str]) -> Table {
    Table {
        name: name.parse().unwrap(),
        topic: format!("retail.{name}.cdc"),
        connector: Connector {
            kind: ConnectorKind::SqlServer,
            server: "retail".to_owned(),
            database: "RetailDB".to_owned(),
            schema: "dbo".to_owned(),
        },
        columns: columns
            .iter()
            .map(|(name, kind, nullable)| Column {
                name: name.parse().unwrap(),
                kind: kind.parse().unwrap(),
                nullable: *nullable,
            })
            .collect(),
        key: key.iter().map(|name| name.parse().unwrap()).collect(),
        pii: BTreeSet::new(),
        expectations: Vec::new(),
        schema_changes: weir_project::SchemaChanges::Evolve,
        staging_sql: None,
    }
}

/// customer, product, order, order_item.
pub(crate) fn retail() -> Vec<Table> {
    vec![
        table(
            "customer",
            &[
                ("customer_id", "int", false),
                ("first_name", "nvarchar(50)", true),
                ("last_name", "nvarchar(50)", true),
                ("email", "nvarchar(100)", true),
                ("street", "nvarchar(100)", true),
                ("city", "nvarchar(60)", true),
                ("country", "nvarchar(40)", true),
                ("birth_date", "date", true),
                ("segment", "nvarchar(20)", true),
                ("marital_status", "nvarchar(20)", true),
                ("created_at", "datetime2(3)", true),
            ],
            &["customer_id"],
        ),
        table(
            "product",
            &[
                ("product_id", "nvarchar(20)", false),
                ("description", "nvarchar(200)", true),
                ("category", "nvarchar(40)", true),
                ("list_price", "decimal(12,3)", true),
                ("discontinued", "bit", false),
            ],
            &["product_id"],
        ),
        table(
            "order",
            &[
                ("order_id", "nvarchar(20)", false),
                ("customer_id", "int", true),
                ("status", "nvarchar(20)", false),
                ("ordered_at", "datetime2(3)", false),
                ("is_cancellation", "bit", false),
            ],
            &["order_id"],
        ),
        table(
            "order_item",
            &[
                ("order_id", "nvarchar(20)", false),
                ("line_number", "int", false),
                ("product_id", "nvarchar(20)", false),
                ("customer_id", "int", true),
                ("quantity", "int", false),
                ("unit_price", "decimal(12,3)", false),
                ("ordered_at", "datetime2(3)", false),
            ],
            &["order_id", "line_number"],
        ),
    ]
}
