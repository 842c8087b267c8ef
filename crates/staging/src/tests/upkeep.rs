//! Landing is compacted, expired and vacuumed between landing and staging, in any order: no row is lost or doubled.

use std::collections::BTreeSet;

use proptest::prelude::*;
use weir_core::accounts::StagingCounts;
use weir_lake::Rules;

use super::*;
use crate::run::reader;

/// What happens to a table.
#[derive(Debug, Clone)]
enum Step {
    /// So many new changes land in one commit, some of them in the other hour.
    Land {
        new: u8,
        other_hour: bool,
    },
    /// A change that landed before comes once more, in its hour or in the other one.
    Repeat {
        which: usize,
        other_hour: bool,
    },
    Stage,
    Compact,
    /// Rows that arrived before this one are past their retention.
    Expire {
        arrived: u8,
    },
    Vacuum,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..4_u8, any::<bool>()).prop_map(|(new, other_hour)| Step::Land { new, other_hour }),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(which, other_hour)| Step::Repeat { which, other_hour }),
        3 => Just(Step::Stage),
        3 => Just(Step::Compact),
        1 => any::<u8>().prop_map(|arrived| Step::Expire { arrived }),
        1 => Just(Step::Vacuum),
    ]
}

/// The obvious model: every change that has landed, and how many rows have.
#[derive(Debug, Default)]
struct Model {
    changes: Vec<Event>,
    rows: u64,
    now: i64,
}

impl Model {
    /// `_ingested_at` is the commit time in these rows: time goes on with every row, within two hours.
    fn event(&mut self, order: usize, other_hour: bool) -> Event {
        self.now += 1;
        self.rows += 1;
        let at = self.now + if other_hour { HOUR } else { 0 };
        Event { at, ..event("c", u8::try_from(order).unwrap(), i32::try_from(order).unwrap(), "1") }
    }
}

async fn landing(lake: &Lake) -> Option<weir_lake::Table> {
    lake.table(Zone::Landing, "order_item").await.unwrap()
}

async fn taken(lake: &Lake, landing: &weir_lake::Table) -> Option<i64> {
    lake.table(Zone::Staging, "order_item").await.unwrap()?.position(&reader(landing))
}

async fn stage(lake: &Lake, table: &Table) -> StagingCounts {
    // Steps of few rows: a rebuild has to cut what it reads.
    let staged = Stager::default().stage_table(table, &at_most(5), lake).await.unwrap();
    assert!(staged.counts.balance());
    staged.counts
}

async fn tend(lake: &Lake, what: &Step) {
    let Some(mut landing) = landing(lake).await else { return };
    let Some(taken) = taken(lake, &landing).await else { return };
    match what {
        Step::Compact => {
            let rules = Rules { taken, closed: i64::MAX, size: 1 << 20, rows: 8 };
            let compactions = landing.compactions(&rules).await.unwrap();
            landing.compact(&compactions).await.unwrap();
        }
        Step::Expire { arrived } => {
            landing.expire((*arrived).into(), taken).await.unwrap();
        }
        _ => {
            let now = i64::MAX;
            landing.vacuum(now, i64::MAX, 0, false).await.unwrap();
        }
    }
}

async fn run_all(steps: Vec<Step>) {
    let folder = TempDir::new().unwrap();
    let (lake, table) = (lake(&folder).await, table(vec![]));
    let (mut model, mut counts) = (Model::default(), StagingCounts::default());
    for step in steps.into_iter().chain([Step::Stage, Step::Compact, Step::Vacuum]) {
        match step {
            Step::Land { new, other_hour } if model.changes.len() < 200 => {
                let events: Vec<Event> = (0..new)
                    .map(|nth| {
                        let event = model.event(model.changes.len(), other_hour && nth > 0);
                        model.changes.push(event);
                        event
                    })
                    .collect();
                land(&lake, &table, &events).await;
            }
            Step::Repeat { which, other_hour } if !model.changes.is_empty() => {
                let repeat = model.event(which % model.changes.len(), other_hour);
                land(&lake, &table, &[repeat]).await;
            }
            Step::Land { .. } | Step::Repeat { .. } => {}
            Step::Stage => counts += stage(&lake, &table).await,
            tended => tend(&lake, &tended).await,
        }
    }
    let staged = rows(&lake, Zone::Staging, &["id"]).await;
    let mut wanted: Vec<Vec<String>> = model.changes.iter().map(|event| vec![event.id.unwrap().to_string()]).collect();
    wanted.sort();
    assert_eq!(staged, wanted, "every change once");
    assert_eq!((counts.read, counts.staged), (model.rows, wanted.len() as u64), "every landed row was read once");

    let Some(landing) = landing(&lake).await else { return };
    let expired = landing.retained().await.unwrap().map_or(0, |retained| retained.rows);
    assert_eq!(landing.rows() + expired, model.rows, "what is not there any more was counted");

    // Whoever begins anew gets every row that landing holds, once, in steps that are no larger than allowed.
    let again = lake.scratch(&["staging", "quarantine"]).await.unwrap();
    let read = stage(&again, &table).await.read;
    assert_eq!(read, landing.rows());
    let held: BTreeSet<Vec<String>> = rows(&again, Zone::Staging, &["id"]).await.into_iter().collect();
    assert!(held.iter().all(|row| wanted.contains(row)));
    let anew = again.table(Zone::Staging, "order_item").await.unwrap().unwrap();
    for info in anew.commit_infos(-1, anew.version()).await.unwrap() {
        let read = info.info.get(crate::run::INFO).and_then(|counts| counts.get("read")).and_then(|read| read.as_u64());
        assert!(read.unwrap_or_default() <= 8, "{info:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_landed_staged_compacted_expired_and_vacuumed_in_whatever_order_every_change_is_staged_once(
        steps in prop::collection::vec(step(), 1..40)
    ) {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(run_all(steps));
    }
}

#[tokio::test]
async fn a_repeat_that_comes_after_its_original_left_landing_is_found_in_staging() {
    let folder = TempDir::new().unwrap();
    let (lake, table) = (lake(&folder).await, table(vec![]));
    land(&lake, &table, &[event("c", 1, 7, "1"), event("c", 2, 8, "1")]).await;
    run(&lake, &table).await;
    let mut landing = landing(&lake).await.unwrap();
    assert_eq!(landing.expire(1, landing.version()).await.unwrap().rows, 2);
    land(&lake, &table, &[event("c", 1, 7, "1"), event("c", 3, 9, "1")]).await;
    let staged = run(&lake, &table).await;
    assert_eq!((staged.counts.read, staged.counts.staged, staged.counts.repeated), (2, 1, 1));
}
