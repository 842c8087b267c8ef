//! Gaps between a table and its topic: they stop the table, are named, and are gone over only when somebody says so.

use super::*;
use crate::accept_gap;
use crate::start::{Cut, Gap, Lost};

async fn gap(lake: &Lake, topic: &Topic) -> Gap {
    match try_landing(lake, topic, 10).await {
        Err(LandingError::Gap { gap, .. }) => gap,
        other => panic!("no gap: {other:?}"),
    }
}

async fn accepted(lake: &Lake, topic: &Topic) -> Result<Vec<Gap>, LandingError> {
    accept_gap(&customer(), &settings(10), lake, topic.clone()).await
}

/// What the newest commit says of the gap that it accepts.
async fn recorded(lake: &Lake) -> serde_json::Value {
    let main = lake.table(Zone::Landing, "customer").await.unwrap().unwrap();
    let infos = main.commit_infos(main.version() - 1, main.version()).await.unwrap();
    infos[0].info["weir.accepted_gap"].clone()
}

fn push(topic: &Topic, orders: std::ops::Range<u32>) {
    for order in orders {
        topic.push(0, change(&customer(), 2, Op::Create, order.into(), order, HOUR));
    }
}

async fn records_lost_to_retention_stop_the_table_and_are_recorded_when_they_are_given_up(at: At) {
    let folder = at.fresh();
    let (lake, topic) = (lake(&folder).await, Topic::new("A"));
    push(&topic, 0..1);
    landing(&lake, &topic, 10).await;
    push(&topic, 1..6);
    let swept = Topic { low: 4, ..topic.clone() };
    topic.push(1, None);
    let before = lake.table(Zone::Landing, "customer").await.unwrap().unwrap().version();
    // Partition 1 held nothing when the table began, and all that came to it is gone: that is seen, too.
    let Gap::Retention(lost) = gap(&lake, &swept).await else { panic!("no loss") };
    let range = |partition, from, since, until| Lost { partition, from, to: Some(3), since, until };
    assert_eq!(lost[0], range(0, 1, Some(HOUR), Some(1_000_000)));
    assert_eq!((lost[1].partition, lost[1].from, lost[1].to), (1, 0, Some(3)));
    assert_eq!(
        lake.table(Zone::Landing, "customer").await.unwrap().unwrap().version(),
        before,
        "nothing was jumped over"
    );

    let swept = Topic { low: 4, ..topic.clone() };
    for _ in 0..3 {
        topic.push(1, None);
    }
    accepted(&lake, &swept).await.unwrap();
    assert_eq!(recorded(&lake).await["lost"][0]["from"], 1);
    assert_eq!(recorded(&lake).await["kind"], "retention");
    landing(&lake, &swept, 10).await;
    assert_eq!(offsets(&lake, Zone::Landing).await, [(0, 0), (0, 4), (0, 5)]);
    assert!(matches!(accepted(&lake, &swept).await, Err(LandingError::NoGap { .. })), "once is once");
}

async fn a_topic_made_anew_is_landed_from_its_start_once_that_is_accepted(at: At) {
    let folder = at.fresh();
    let (lake, topic) = (lake(&folder).await, Topic::new("A"));
    push(&topic, 0..2);
    landing(&lake, &topic, 10).await;
    let anew = Topic::new("B");
    push(&anew, 1..4);
    let Gap::Recreated { landed, found, lost } = gap(&lake, &anew).await else { panic!("not anew") };
    assert_eq!((landed.as_str(), found.as_str(), lost[0].from, lost[0].to), ("A", "B", 2, None));
    assert_eq!(offsets(&lake, Zone::Landing).await, [(0, 0), (0, 1)]);
    accepted(&lake, &anew).await.unwrap();
    let counts = landing(&lake, &anew, 10).await.counts;
    assert_eq!((counts.landed, counts.repeated), (2, 1), "what came from the old topic is known");
}

async fn a_topic_that_is_gone_stops_a_table_that_has_landed_and_is_waited_for_by_one_that_has_not(at: At) {
    let folder = at.fresh();
    let (lake, topic) = (lake(&folder).await, Topic::new("A"));
    push(&topic, 0..1);
    let gone = Topic { gone: true, ..topic.clone() };
    assert_eq!(landing(&lake, &gone, 10).await, Landed::default());
    landing(&lake, &topic, 10).await;
    assert!(matches!(gap(&lake, &gone).await, Gap::Gone(lost) if lost[0].from == 1));
    assert!(matches!(accepted(&lake, &gone).await, Err(LandingError::Gap { gap: Gap::Gone(_), .. })));
}

async fn a_topic_that_lost_its_end_is_read_on_from_there_once_that_is_accepted_and_keeps_its_dead_letters(at: At) {
    let folder = at.fresh();
    let (lake, topic) = (lake(&folder).await, Topic::new("A"));
    push(&topic, 0..3);
    topic.push(0, Some(b"poison".to_vec()));
    landing(&lake, &topic, 10).await;
    let cut = Topic::new("A");
    push(&cut, 0..2);
    assert_eq!(gap(&lake, &cut).await, Gap::Cut(vec![Cut { partition: 0, high: 2, landed: 3 }]));
    accepted(&lake, &cut).await.unwrap();
    push(&cut, 10..11);
    landing(&lake, &cut, 10).await;
    assert_eq!(offsets(&lake, Zone::Landing).await, [(0, 0), (0, 1), (0, 2), (0, 2)]);
    assert_eq!(offsets(&lake, Zone::Deadletter).await, [(0, 3)]);
}

on_both!(
    records_lost_to_retention_stop_the_table_and_are_recorded_when_they_are_given_up,
    a_topic_made_anew_is_landed_from_its_start_once_that_is_accepted,
    a_topic_that_is_gone_stops_a_table_that_has_landed_and_is_waited_for_by_one_that_has_not,
    a_topic_that_lost_its_end_is_read_on_from_there_once_that_is_accepted_and_keeps_its_dead_letters,
);
