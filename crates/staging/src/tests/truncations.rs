//! Truncations: which deletes they make, whatever comes when.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn truncate(order: u8) -> Event {
    Event { id: None, price: None, customer: None, ..event("t", order, 0, "") }
}

/// Order key, operation, key and price of all that is staged.
async fn staged(lake: &Lake) -> Vec<String> {
    let rows = rows(lake, Zone::Staging, &["_order_key", "_op", "id", "price"]).await;
    rows.into_iter().map(|row| row.join(" ")).collect()
}

#[tokio::test]
async fn a_truncation_deletes_every_key_before_it_and_none_behind_it() {
    let folder = TempDir::new().unwrap();
    let (lake, table) = (lake(&folder).await, table(vec![]));
    land(&lake, &table, &[event("c", 1, 7, "1"), event("u", 2, 7, "2"), event("c", 3, 8, "3")]).await;
    run(&lake, &table).await;
    land(&lake, &table, &[event("d", 4, 8, "3"), event("c", 4, 9, "4"), truncate(5), event("c", 6, 7, "6")]).await;
    let found = run(&lake, &table).await;
    assert_eq!((found.counts.read, found.counts.staged, found.counts.truncations, found.counts.closed), (4, 3, 1, 3));
    let own = ["01 c 7 1.000", "02 u 7 2.000", "03 c 8 3.000", "04 c 9 4.000", "04 d 8 3.000"];
    let deletes = ["05 d 7 2.000", "05 d 8 3.000", "05 d 9 4.000", "06 c 7 6.000"];
    assert_eq!(staged(&lake).await, [&own[..], &deletes].concat());
    // They stand where the record of the truncation stood.
    let places = rows(&lake, Zone::Staging, &["_order_key", "_topic", "_partition", "_offset", "_schema_id"]).await;
    assert!(places.contains(&["05", "retail.order_item.cdc", "0", "2", "1"].map(str::to_owned).to_vec()), "{places:?}");
    assert_eq!(places.iter().filter(|place| place[0] == "05" && place[3] == "2").count(), 3);
}

#[tokio::test]
async fn a_row_from_before_a_known_truncation_brings_its_delete_along_once() {
    let folder = TempDir::new().unwrap();
    let (lake, table) = (lake(&folder).await, table(vec![]));
    land(&lake, &table, &[event("c", 1, 7, "1"), truncate(5), event("c", 6, 8, "6"), truncate(9)]).await;
    assert_eq!(run(&lake, &table).await.counts.closed, 3);
    land(&lake, &table, &[event("u", 3, 7, "3"), event("c", 4, 10, "4"), event("d", 2, 11, "2")]).await;
    let found = run(&lake, &table).await;
    assert_eq!((found.counts.staged, found.counts.closed), (3, 2));
    let deletes: Vec<String> = staged(&lake).await.into_iter().filter(|row| row.contains(" d ")).collect();
    let wanted = ["02 d 11 2.000", "05 d 10 4.000", "05 d 7 1.000", "09 d 10 4.000", "09 d 7 1.000", "09 d 8 6.000"];
    assert_eq!(deletes, wanted);
}

#[tokio::test]
async fn a_truncation_that_comes_again_is_a_repeat_and_closes_nothing_more() {
    let folder = TempDir::new().unwrap();
    let (lake, table) = (lake(&folder).await, table(vec![]));
    land(&lake, &table, &[event("c", 1, 7, "1"), truncate(5), truncate(5)]).await;
    let found = run(&lake, &table).await;
    assert_eq!((found.counts.truncations, found.counts.repeated, found.counts.closed), (1, 1, 1));
    let before = staged(&lake).await;
    land(&lake, &table, &[Event { at: 5 * HOUR, ..truncate(5) }]).await;
    let found = run(&lake, &table).await;
    assert_eq!((found.counts.truncations, found.counts.repeated, found.counts.closed), (0, 1, 0));
    assert_eq!(staged(&lake).await, before);
}

#[tokio::test]
async fn the_values_of_quarantined_rows_are_in_no_delete() {
    let folder = TempDir::new().unwrap();
    let not_negative = Rule::Range { min: Some(Value::Decimal(0, 3)), max: None };
    let table = table(vec![expectation("price_not_negative", "price", not_negative, Severity::Quarantine)]);
    let lake = lake(&folder).await;
    land(&lake, &table, &[event("c", 1, 7, "1"), event("u", 2, 7, "-2"), event("c", 3, 8, "-1"), truncate(5)]).await;
    let found = run(&lake, &table).await;
    assert_eq!((found.counts.staged, found.counts.quarantined, found.counts.closed), (1, 2, 1));
    assert_eq!(staged(&lake).await, ["01 c 7 1.000", "05 d 7 1.000"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_twice_the_memory_limit_is_closed_within_it() {
    let folder = TempDir::new().unwrap();
    let options = Options { memory: 64 << 20, ..Options::folder(folder.path()) };
    let (lake, mut table) = (Lake::open(options).await.unwrap(), table(vec![]));
    table.columns.push(column("note", "nvarchar(max)", true));
    let text =
        "SELECT id, price, customer_id, repeat(chr(65 + id % 26), 1300) AS note FROM landing.order_item".to_owned();
    table.staging_sql = Some(SqlFile { path: "order_item.sql".into(), text });
    for step in 0..10 {
        let events: Vec<Event> = (0..10_000).map(|id| event("c", 1, step * 10_000 + id, "1")).collect();
        land(&lake, &table, &events).await;
    }
    land(&lake, &table, &[truncate(5)]).await;
    let staged = Stager::default().stage_table(&table, &at_most(10_000), &lake).await.unwrap();
    assert_eq!((staged.commits, staged.counts.closed), (11, 100_000));
    let staging = lake.table(Zone::Staging, "order_item").await.unwrap().unwrap();
    assert_eq!(staging.rows(), 200_000);
}

/// The rule, in its own words.
fn expected(events: &[Event]) -> BTreeSet<(u8, &'static str, i32)> {
    let is = |op: &'static str| events.iter().filter(move |event| event.op == op);
    let changes = events.iter().filter(|event| event.op != "t");
    let mut rows: BTreeSet<_> = changes.clone().map(|event| (event.order, event.op, event.id.unwrap())).collect();
    for truncation in is("t") {
        let before = changes.clone().filter(|event| event.op != "d" && event.order < truncation.order);
        rows.extend(before.map(|event| (truncation.order, "d", event.id.unwrap())));
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_order_any_batching_and_any_repeats_give_the_same_rows(
        events in proptest::collection::vec((0u8..12, 0i32..4, 0u8..5), 1..24).prop_flat_map(|events| {
            let event = |(n, (op, id, hour)): (usize, (u8, i32, u8))| {
                let order = n as u8 + 1;
                let made = match op {
                    0..3 => truncate(order),
                    3..5 => event("d", order, id, "1"),
                    5..8 => event("c", order, id, "2"),
                    _ => event("u", order, id, "3"),
                };
                Event { at: i64::from(hour) * HOUR, ..made }
            };
            let events: Vec<Event> = events.into_iter().enumerate().map(event).collect();
            let again: Vec<Event> = events.iter().step_by(3).map(|event| Event { at: event.at + HOUR, ..*event }).collect();
            Just([events, again].concat()).prop_shuffle()
        }),
        cuts in proptest::collection::vec(1usize..9, 6),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let found: Vec<(u8, &str, i32)> = runtime.block_on(async {
            let folder = TempDir::new().unwrap();
            let (lake, table) = (lake(&folder).await, table(vec![]));
            let mut rest = &events[..];
            for cut in cuts.into_iter().chain([usize::MAX]) {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                rest = later;
                if !now.is_empty() {
                    land(&lake, &table, now).await;
                    let staged = run(&lake, &table).await;
                    assert!(staged.counts.balance(), "{:?}", staged.counts);
                }
            }
            let rows = rows(&lake, Zone::Staging, &["_order_key", "_op", "id"]).await;
            let op = |text: &str| ["c", "u", "d"].into_iter().find(|op| *op == text).unwrap();
            rows.iter()
                .map(|row| (u8::from_str_radix(&row[0], 16).unwrap(), op(&row[1]), row[2].parse().unwrap()))
                .collect()
        });
        let set: BTreeSet<_> = found.iter().copied().collect();
        prop_assert_eq!(set.len(), found.len(), "a row is there twice");
        prop_assert_eq!(set, expected(&events));
    }
}
