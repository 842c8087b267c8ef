//! PostgreSQL -> Debezium -> Kafka -> the reference pipeline with its lake on S3, and PostgreSQL's own tables as the judge.

use std::process::Command;
use std::time::{Duration, Instant};

use weir_testkit::harness::{S3Server, psql, root, s3};

use super::{has, on_parts, parts};
use crate::path::reconciled;
use crate::place::{Place, until};
use crate::s3::lake;

/// Per source table: its columns in the contract, and where Weir has its rows as they are now.
const CUSTOMER: &str = "customer_id, first_name, last_name, email, street, city, country, birth_date, segment, \
                        marital_status, loyalty";
const PRODUCT: &str = "product_id, description, category, list_price, discontinued";
const ORDER: &str = "order_id, customer_id, status, ordered_at, is_cancellation";
const ORDER_ITEM: &str = "order_id, line_number, product_id, customer_id, quantity, unit_price, ordered_at";

/// A database on the PostgreSQL wire.
struct Database {
    port: String,
    user: &'static str,
}

impl Database {
    fn psql(&self, args: &[&str]) -> String {
        let mut psql: Command = psql().expect("`has` has seen it");
        psql.args(["-h", "127.0.0.1", "-p", &self.port, "-U", self.user, "-d", "weir", "-qAt", "--pset", "null=NULL"]);
        let output = psql.args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn ask(&self, query: &str) -> String {
        self.psql(&["-c", query]).trim_end().to_owned()
    }

    fn rows(&self, query: &str) -> Vec<String> {
        let mut rows: Vec<String> = self.ask(query).lines().map(str::to_owned).collect();
        rows.sort();
        rows
    }

    fn run(&self, file: &str) {
        let path = root().join("tests/parts/postgres").join(file);
        self.psql(&["-f", path.to_str().unwrap()]);
    }

    /// Waits until Kafka has acknowledged everything that was committed before: the connector moves its slot then.
    fn sent(&self) {
        // The slot is made at the log's end, before the snapshot: only a place behind it says that both are done.
        let (began, at_most) = (Instant::now(), Duration::from_secs(90));
        let active = "select count(*) from pg_replication_slots where active";
        until("the connector made a slot", at_most, || self.ask(active) != "0");
        let end = self.ask("select pg_current_wal_lsn()");
        self.ask("select pg_logical_emit_message(true, 'weir', '')");
        let passed = format!("select bool_or(confirmed_flush_lsn > '{end}') from pg_replication_slots");
        until(&format!("the connector got past {end}"), at_most.saturating_sub(began.elapsed()), || {
            self.ask(&passed) == "t"
        });
    }
}

/// The reference pipeline, with PostgreSQL as its source, its lake in a bucket, and a column that the source gets later.
fn pipeline(at: &serde_json::Value, server: &S3Server) -> Place {
    let place = on_parts("pipelines/retail", at, "plain", 2).with_aws();
    place.edit("environments/dev.yaml", |dev| dev.replace(r#"{"root":"lake"}"#, &lake(server).to_string()));
    place.edit("sources/retail.yaml", |text| {
        let tables = text.lines().find(|line| line.starts_with("tables:")).unwrap().to_owned();
        format!(
            "connector: postgresql\nserver: shop\ndatabase: weir\nschema: public\ntopic: shop.public.{{table}}\n{tables}\n"
        )
    });
    let last = "  - {name: created_at, type: datetime2(3), nullable: true}\n";
    place.edit("contracts/customer.yaml", |text| {
        text.replace(last, &format!("{last}  - {{name: loyalty, type: nvarchar(16), nullable: true}}\n"))
    });
    let last = "  - {name: marital_status, type: nvarchar(20), scd: type2}\n";
    place.edit("models/curated/dim_customer.yaml", |text| {
        text.replacen(last, &format!("{last}  - {{name: loyalty, type: nvarchar(16), scd: type2}}\n"), 1)
    });
    place.edit("models/curated/dim_customer.sql", |text| {
        text.replace("marital_status\n", "marital_status,\n    loyalty\n")
    });
    place
}

/// What PostgreSQL's tables hold is what the mirrors and the current rows of dimensions and facts hold.
fn agree(postgres: &Database, warehouse: &Database) {
    let current = "is_current and not is_inferred and";
    for (columns, table, star) in [
        (CUSTOMER, "customer", format!("dim_customer where {current} customer_key <> -1")),
        (PRODUCT, "product", format!("dim_product where {current} product_key <> -1")),
        (ORDER, "\"order\"", "fact_orders".to_owned()),
        (ORDER_ITEM, "order_item", "fact_sales".to_owned()),
    ] {
        let source = postgres.rows(&format!("select {columns} from {table}"));
        assert!(source.len() > 10, "{table}: {source:?}");
        assert_eq!(source, warehouse.rows(&format!("select {columns} from staging.{table}")), "the mirror of {table}");
        assert_eq!(source, warehouse.rows(&format!("select {columns} from analytics.{star}")), "{star}");
    }
    let amounts = "select order_id, line_number, cast(quantity * unit_price as decimal(18, 3)) from order_item";
    let sales = "select order_id, line_number, amount from analytics.fact_sales";
    assert_eq!(postgres.rows(amounts), warehouse.rows(sales), "amounts");
    let created = "select customer_id, created_at from customer";
    assert_eq!(postgres.rows(created), warehouse.rows(&created.replace("from ", "from staging.")), "times of creation");
}

fn build_and_compare(place: &Place, postgres: &Database) {
    place.build();
    reconciled(place);
    let mut serving = place.weir(&["serve", "--port", "0"]).start();
    serving.wait_for("psql", Duration::from_secs(30));
    let said = place.running();
    let warehouse = Database { port: said["wire"].to_string(), user: "weir" };
    agree(postgres, &warehouse);
    serving.stop(Duration::from_secs(30));
}

#[test]
fn the_star_schema_and_the_mirrors_follow_postgresql_row_by_row() {
    if !has("postgres") {
        return;
    }
    let (Some(at), Some(server)) = (parts("postgres"), s3(0)) else { return };
    let postgres = Database { port: at["postgres"].to_string(), user: "weir" };
    postgres.run("tables.sql");
    parts("debezium");
    postgres.sent();
    let place = pipeline(&at, &server);
    place.run(&["validate"]);
    place.build();
    reconciled(&place);

    let mut stream = place.weir(&["stream", "--set", "landing.max_wait=1s"]).start();
    postgres.run("changes.sql");
    postgres.sent();
    stream.kill();
    build_and_compare(&place, &postgres);

    // Nothing is known of a value out of line but what the mirror and the star have from the build before.
    postgres.ask("update product set discontinued = true where product_id in ('P4', 'P50')");
    postgres.sent();
    build_and_compare(&place, &postgres);

    // History: France and Spain came after Germany; the rolled-back customer never did.
    let versions = "select count(*) from analytics.dim_customer where customer_id = ";
    assert_eq!(
        (place.value(&format!("{versions}5")), place.value(&format!("{versions}999"))),
        ("3".into(), "0".into())
    );
    // Debezium's delete of P19 and create of P99 are one product.
    let products = "select count(distinct product_durable_key) from analytics.dim_product where product_id in ";
    assert_eq!(place.value(&format!("{products}('P19', 'P99')")), "1");
    let refused = place.weir(&["replay", "simulate"]).run();
    assert!(refused.stderr.contains("W2044"), "{}", refused.stderr);
}
