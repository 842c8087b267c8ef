//! The star schema against a small model that shares no code with the engine: nested loops over the
//! simulator's ledger (`weir_testkit::star`), compared row by row with what the warehouse answers.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, NaiveDate};
use weir_core::change::{Change, Op};
use weir_core::ledger::RecordKind;
use weir_core::name::TableName;
use weir_core::value::{Row, Value};
use weir_project::{Model, ModelKind, Project};
use weir_source::Source;
use weir_source::simulate::{Simulator, Size, Spec, Switch, Switches};
use weir_testkit::star::{aggregate, star};

use crate::place::{Place, text};

const SIZE: Size = Size { customers: 80, products: 40, orders: 400 };
const SEED: u64 = 21;

#[test]
fn the_warehouse_holds_the_star_that_nested_loops_over_the_ledger_give() {
    let place = Place::reference();
    let (customers, products) = (SIZE.customers.to_string(), SIZE.products.to_string());
    let (orders, seed) = (SIZE.orders.to_string(), SEED.to_string());
    let replay = [
        &["replay", "simulate", "--seed", &seed, "--customers", &customers, "--products", &products][..],
        // What breaks the contract is quarantined, and the model below knows no rules.
        &["--orders", &orders, "--without", Switch::Broken.name()],
    ]
    .concat();

    // In two parts, so that the second build finds late events for what the first one published.
    let mut first = place.weir(&[&replay[..], &["--events-per-second", "1500"]].concat()).start();
    std::thread::sleep(Duration::from_millis(1200));
    first.stop(Duration::from_secs(60));
    for _ in 0..2 {
        place.build();
        place.run(&replay);
    }

    let project = weir_project::load(&place.pipeline(), "dev", &[]).unwrap();
    let mut wanted = star(&project.models, &changes(&project), &|model, change| project_row(&project, model, change));
    for model in project.models.iter().filter(|model| matches!(model.kind, ModelKind::Aggregate { .. })) {
        let rows = aggregate(model, &project.models, &wanted, &daily_sales);
        wanted.insert(model.name.clone(), rows);
    }
    for (model, rows) in wanted {
        let mut wanted: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(shown).collect()).collect();
        let found = place.sql(&format!("select * from analytics.{model}"));
        let mut found: Vec<Vec<String>> = found
            .iter()
            .map(|row| row.as_object().expect("a row is an object").values().map(|cell| trimmed(text(cell))).collect())
            .collect();
        wanted.sort();
        found.sort();
        assert!(!wanted.is_empty(), "the model gives no row of {model}");
        let missing: Vec<_> = wanted.iter().filter(|row| found.binary_search(row).is_err()).take(3).collect();
        let strange: Vec<_> = found.iter().filter(|row| wanted.binary_search(row).is_err()).take(3).collect();
        assert!(
            wanted == found,
            "{model}: {} rows wanted, {} found\nmissing {missing:#?}\nstrange {strange:#?}",
            wanted.len(),
            found.len()
        );
    }
}

/// What the simulator did, by table.
fn changes(project: &Project) -> BTreeMap<TableName, Vec<Change>> {
    let spec = Spec { seed: SEED, size: SIZE, switches: Switches::ALL.without(Switch::Broken) };
    let source = Source::Simulate(Simulator::new(spec, &project.tables).unwrap());
    let mut changes: BTreeMap<TableName, Vec<Change>> = BTreeMap::new();
    for record in source.ledger(&project.tables, project.stream.partitions) {
        let record = record.unwrap();
        if let RecordKind::Change(change) | RecordKind::Repeat(change) = record.kind {
            changes.entry(record.table).or_default().push(change);
        }
    }
    changes
}

/// The reference pipeline's queries, by hand: columns as they are, the description trimmed, the amount multiplied.
fn project_row(project: &Project, model: &Model, change: &Change) -> Option<Row> {
    let table = project.table(&change.table)?;
    let of = |name: &str| -> Value {
        let in_key = table.key.iter().position(|key| key.as_str() == name).map(|at| change.key[at].clone());
        let in_row = || change.row.as_ref().and_then(|row| Some(row[table.column_index(name)?].clone()));
        in_key.or_else(in_row).unwrap_or(Value::Null)
    };
    let value = |name: &str| match name {
        "amount" => match (of("quantity"), of("unit_price")) {
            (Value::Int(quantity), Value::Decimal(price, scale)) => Value::Decimal(i128::from(quantity) * price, scale),
            _ => Value::Null,
        },
        "description" => match of(name) {
            Value::Text(text) => Value::Text(text.trim_matches(' ').to_owned()),
            other => other,
        },
        name => of(name),
    };
    let row: Row = model.columns.iter().map(|column| value(column.name.as_str())).collect();
    (change.op == Op::Delete || change.row.is_some()).then_some(row)
}

/// What the shipped aggregate adds up, said a second time.
fn daily_sales(of: &dyn Fn(&str, &str) -> Value) -> Row {
    let or_none = |value: Value| if value.is_null() { Value::Text("(none)".to_owned()) } else { value };
    vec![
        of("fact_sales", "order_date_key"),
        or_none(of("dim_product", "category")),
        or_none(of("dim_customer", "country")),
        of("fact_sales", "quantity"),
        of("fact_sales", "amount"),
        Value::Bool(true),
    ]
}

/// A value as the command line shows it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Timestamp(us) => {
            trimmed(DateTime::from_timestamp_micros(*us).unwrap().format("%Y-%m-%d %H:%M:%S%.6f").to_string())
        }
        Value::Date(days) => NaiveDate::from_num_days_from_ce_opt(days + 719_163).unwrap().to_string(),
        other => other.to_string(),
    }
}

/// A time of day without the zeros that end its second.
fn trimmed(text: String) -> String {
    match text.split_once(':') {
        Some(_) if text.contains('.') => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        _ => text,
    }
}
