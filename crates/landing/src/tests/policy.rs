//! Tables whose contracts do not take every change of their schema.

use weir_project::SchemaChanges;

use super::*;
use crate::policy::HELD;
use crate::worker::INFO;

/// Customer, and with a column more.
fn tables(policy: SchemaChanges) -> (Table, Table) {
    let table = Table { schema_changes: policy, ..customer() };
    let mut wider = table.clone();
    wider.columns.push(column("segment", "int", true));
    (table, wider)
}

fn source(topic: &Topic, (table, wider): (&Table, &Table)) -> Source<Topic, Known> {
    Source { feed: topic.clone(), schemas: known(&[(2, table), (3, wider)]) }
}

/// What the newest commits say: of a micro-batch how many rows it landed, of a hold why.
async fn said(lake: &Lake) -> Vec<String> {
    let main = lake.table(Zone::Landing, "customer").await.unwrap().unwrap();
    let infos = main.commit_infos(-1, main.version()).await.unwrap();
    let one = |info: &serde_json::Map<String, serde_json::Value>| {
        let held = info.get(HELD).and_then(|why| why.as_str()).map(str::to_owned);
        held.or_else(|| info.get(INFO).map(|said| said["landed"].to_string()))
    };
    infos.iter().filter_map(|commit| one(&commit.info)).collect()
}

const WHY: &str = "records come with `before.segment` Int32, `after.segment` Int32";

async fn a_held_table_keeps_its_position_says_so_once_and_goes_on_when_the_table_has_changed(at: At) {
    let folder = at.fresh();
    let (lake, topic) = (lake(&folder).await, Topic::new("A"));
    let (table, wider) = tables(SchemaChanges::Hold);
    topic.push(0, change(&table, 2, Op::Create, 1, 1, 0));
    // Two micro-batches with the same schema: nothing changes.
    land(&table, &settings(1), &lake, source(&topic, (&table, &wider)), Until::CaughtUp).await.unwrap();
    topic.push(0, change(&table, 2, Op::Create, 2, 2, 0));
    topic.push(0, change(&wider, 3, Op::Create, 3, 3, 0));

    // A worker that catches up ends with the error; the record before the change has landed.
    let once = land(&table, &settings(1), &lake, source(&topic, (&table, &wider)), Until::CaughtUp).await.unwrap_err();
    assert_eq!(weir_core::diagnosis::Diagnose::diagnosis(&once).code.0, "W4010");
    let held = format!("`customer` is held at its position: {WHY}");
    assert_eq!(once.to_string(), held);
    assert_eq!(said(&lake).await, ["1".to_owned(), "1".to_owned(), held.clone()]);

    // One that goes on waits, and says nothing twice.
    let stop = CancellationToken::new();
    *topic.given.lock().unwrap() = Some(vec![0, 1]);
    let (held_table, settled) = (table.clone(), settings(1));
    let (feed, until, its_lake) = (source(&topic, (&table, &wider)), Until::Forever(stop.clone()), lake.clone());
    let worker = tokio::spawn(async move { land(&held_table, &settled, &its_lake, feed, until).await });
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(!worker.is_finished());
    assert_eq!(said(&lake).await.len(), 3);
    assert_eq!(offsets(&lake, Zone::Landing).await, [(0, 0), (0, 1)]);

    // Somebody lets the table grow: the waiting worker goes on behind.
    let evolving = Table { schema_changes: SchemaChanges::Evolve, ..wider.clone() };
    land(&evolving, &settings(1), &lake, source(&topic, (&table, &wider)), Until::CaughtUp).await.unwrap();
    topic.push(1, change(&wider, 3, Op::Create, 4, 4, 0));
    for _ in 0..100 {
        if offsets(&lake, Zone::Landing).await.len() == 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    stop.cancel();
    worker.await.unwrap().unwrap();
    assert_eq!(offsets(&lake, Zone::Landing).await, [(0, 0), (0, 1), (0, 2), (1, 0)]);
    assert_eq!(said(&lake).await[3..], ["1", "1"]);
}

async fn a_held_worker_ends_when_it_is_asked_to(at: At) {
    let folder = at.fresh();
    let (lake, topic) = (lake(&folder).await, Topic::new("A"));
    let (table, wider) = tables(SchemaChanges::Hold);
    topic.push(0, change(&table, 2, Op::Create, 1, 1, 0));
    topic.push(0, change(&wider, 3, Op::Create, 3, 3, 0));
    let stop = CancellationToken::new();
    *topic.given.lock().unwrap() = Some(vec![0, 1]);
    let asked = stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(3)).await;
        asked.cancel();
    });
    let landed =
        land(&table, &settings(1), &lake, source(&topic, (&table, &wider)), Until::Forever(stop)).await.unwrap();
    assert_eq!(landed.counts.landed, 1);
}

async fn a_change_under_stop_is_an_error_that_ends_all_landing(at: At) {
    let folder = at.fresh();
    let (lake, topic) = (lake(&folder).await, Topic::new("A"));
    let (table, wider) = tables(SchemaChanges::Stop);
    topic.push(0, change(&table, 2, Op::Create, 1, 1, 0));
    topic.push(0, change(&wider, 3, Op::Create, 3, 3, 0));
    let until = Until::Forever(CancellationToken::new());
    *topic.given.lock().unwrap() = Some(vec![0, 1]);
    let error = land(&table, &settings(1), &lake, source(&topic, (&table, &wider)), until).await.unwrap_err();
    assert_eq!(weir_core::diagnosis::Diagnose::diagnosis(&error).code, crate::STOPS_ALL);
    assert_eq!(error.to_string(), format!("`customer` stops landing: {WHY}"));
    assert_eq!(offsets(&lake, Zone::Landing).await, [(0, 0)]);
}

async fn a_column_that_another_worker_has_landed_is_no_change_any_more(at: At) {
    let folder = at.fresh();
    let (lake, topic) = (lake(&folder).await, Topic::new("A"));
    let (table, wider) = tables(SchemaChanges::Stop);
    topic.push(0, change(&table, 2, Op::Create, 1, 1, 0));
    let stop = CancellationToken::new();
    let member = Topic { given: Arc::new(Mutex::new(Some(vec![0]))), ..topic.clone() };
    let (its_table, its_lake) = (table.clone(), lake.clone());
    let (feed, until) = (source(&member, (&table, &wider)), Until::Forever(stop.clone()));
    let worker = tokio::spawn(async move { land(&its_table, &settings(1), &its_lake, feed, until).await });
    let landed = async |rows: usize| {
        for _ in 0..100 {
            if offsets(&lake, Zone::Landing).await.len() == rows {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{rows} rows did not come");
    };
    landed(1).await;

    // A worker whose contract lets the table grow, of the other partition.
    topic.push(1, change(&wider, 3, Op::Create, 2, 2, 0));
    let evolving = Table { schema_changes: SchemaChanges::Evolve, ..wider.clone() };
    land(&evolving, &settings(1), &lake, source(&topic, (&table, &wider)), Until::CaughtUp).await.unwrap();
    topic.push(0, change(&wider, 3, Op::Create, 3, 3, 0));
    landed(3).await;
    stop.cancel();
    worker.await.unwrap().unwrap();
}

async fn a_column_that_no_longer_comes_holds_nothing(at: At) {
    let folder = at.fresh();
    let (lake, topic) = (lake(&folder).await, Topic::new("A"));
    let (table, wider) = tables(SchemaChanges::Hold);
    topic.push(0, change(&wider, 3, Op::Create, 1, 1, 0));
    topic.push(0, change(&table, 2, Op::Create, 2, 2, 0));
    let until = Until::CaughtUp;
    let landed = land(&table, &settings(1), &lake, source(&topic, (&table, &wider)), until).await.unwrap();
    assert_eq!(landed.counts.landed, 2);
}

on_both!(
    a_held_table_keeps_its_position_says_so_once_and_goes_on_when_the_table_has_changed,
    a_held_worker_ends_when_it_is_asked_to,
    a_change_under_stop_is_an_error_that_ends_all_landing,
    a_column_that_another_worker_has_landed_is_no_change_any_more,
    a_column_that_no_longer_comes_holds_nothing,
);
