//! Several workers on one table: each its partitions, and none over another.

use super::*;
use crate::batch::Polled;

/// A worker that goes on until it is told to stop.
fn worker(
    lake: &Lake,
    topic: Topic,
    stop: &CancellationToken,
) -> tokio::task::JoinHandle<Result<Landed, LandingError>> {
    let (lake, until) = (lake.clone(), Until::Forever(stop.clone()));
    let quick = Landing { max_wait: Duration::from_millis(20), ..settings(3) };
    tokio::spawn(async move {
        let table = customer();
        let source = Source { feed: topic, schemas: known(&[(2, &table)]) };
        // Who waits for rows does not look at what became of a worker.
        land(&table, &quick, &lake, source, until).await.inspect_err(|error| eprintln!("a worker ended: {error:?}"))
    })
}

/// A member of the group that was given these partitions.
fn member(topic: &Topic, given: &[i32]) -> Topic {
    Topic { given: Arc::new(Mutex::new(Some(given.to_vec()))), ..topic.clone() }
}

async fn until_landed(lake: &Lake, rows: usize) {
    for _ in 0..2400 {
        if offsets(lake, Zone::Landing).await.len() >= rows {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{rows} rows did not come: {:?}", offsets(lake, Zone::Landing).await);
}

/// What two members are given in turn.
const TURNS: [[&[i32]; 2]; 4] = [[&[0], &[1]], [&[0, 1], &[1]], [&[1], &[0, 1]], [&[], &[0, 1]]];

async fn workers_that_swap_their_partitions_under_load_land_every_record_once(at: At) {
    let folder = at.fresh();
    let (lake, topic, table, stop) = (lake(&folder).await, Topic::new("A"), customer(), CancellationToken::new());
    let members = [member(&topic, &[0]), member(&topic, &[1])];
    let workers = members.clone().map(|member| worker(&lake, member, &stop));
    let mut letters = 0;
    for order in 0..60_u32 {
        let event = change(&table, 2, Op::Create, order.into(), order, i64::from(order % 3) * HOUR);
        let event = if order % 7 == 0 { Some(b"poison".to_vec()) } else { event };
        letters += usize::from(order % 7 == 0);
        topic.push((order % 2) as i32, event);
        tokio::time::sleep(Duration::from_millis(10)).await;
        // Both have both for a while, or none has one: the table decides, not the group.
        for (member, given) in members.iter().zip(TURNS[(order / 5 % 4) as usize]).filter(|_| order % 5 == 0) {
            *member.given.lock().unwrap() = Some(given.to_vec());
        }
    }
    until_landed(&lake, 60 - letters).await;
    stop.cancel();
    let mut counts = weir_core::accounts::LandingCounts::default();
    for worker in workers {
        counts += worker.await.unwrap().unwrap().counts;
    }
    assert_eq!((counts.received, counts.landed, counts.dead_lettered), (60, 60 - letters as u64, letters as u64));
    assert_eq!(
        (offsets(&lake, Zone::Landing).await.len(), offsets(&lake, Zone::Deadletter).await.len()),
        (60 - letters, letters)
    );
    let mut both = [offsets(&lake, Zone::Landing).await, offsets(&lake, Zone::Deadletter).await].concat();
    both.sort_unstable();
    both.dedup();
    assert_eq!(both.len(), 60, "no record twice");
}

async fn a_change_that_comes_to_two_workers_at_once_is_landed_by_the_quicker_one_and_counted_by_the_other(at: At) {
    let folder = at.fresh();
    let (lake, topic, table, stop) = (lake(&folder).await, Topic::new("A"), customer(), CancellationToken::new());
    let workers = [&[0][..], &[1]].map(|given| worker(&lake, member(&topic, given), &stop));
    for order in 0..40_u32 {
        for partition in 0..2 {
            topic.push(partition, change(&table, 2, Op::Create, order.into(), order, HOUR));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let both = || async { lake.table(Zone::Landing, "customer").await.unwrap().map(|main| main.positions().clone()) };
    for _ in 0..800 {
        let positions = both().await.unwrap_or_default();
        if [0, 1].iter().all(|partition| positions.get(&crate::start::reader("A", *partition)) == Some(&39)) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    stop.cancel();
    let mut counts = weir_core::accounts::LandingCounts::default();
    for worker in workers {
        counts += worker.await.unwrap().unwrap().counts;
    }
    assert_eq!((counts.received, counts.landed, counts.repeated), (80, 40, 40));
    assert_eq!(offsets(&lake, Zone::Landing).await.len(), 40);
}

/// Dead letters of the first two records, as a worker leaves them that was stopped between its two commits.
async fn letters_of_a_paused_worker(lake: &Lake, topic: &Topic) {
    let (schema, table) = (deadletter::schema(), customer());
    let mut letters = lake.create_table(Zone::Deadletter, "customer", &schema, Partitioning::None).await.unwrap();
    let (mut reading, mut polled) = (topic.clone(), Polled::default());
    reading.assign(&[(0, Start::At(0))]).unwrap();
    polled.push(reading.poll(2, 1, Duration::ZERO).unwrap());
    let reject = [(0, weir_envelope::Reject::WrongMagic)];
    let rows = deadletter::rows(&table.name, (&table.topic, "A"), &polled, &reject, 0).unwrap();
    let file = NewFile { partition: Partition::None, batches: vec![rows], tags: Default::default() };
    let add = vec![letters.write_file(file).await.unwrap()];
    letters.commit(Commit { add, positions: vec![("weir:A:0".into(), 1)], ..Commit::default() }).await.unwrap();
}

async fn dead_letters_ahead_of_the_table_are_taken_back_and_whoever_wrote_them_can_commit_no_rows(at: At) {
    let folder = at.fresh();
    let (lake, topic, table) = (lake(&folder).await, Topic::new("A"), customer());
    topic.push(0, Some(b"poison".to_vec()));
    topic.push(0, change(&table, 2, Op::Create, 1, 1, 0));
    letters_of_a_paused_worker(&lake, &topic).await;
    let counts = landing(&lake, &topic, 10).await.counts;
    assert_eq!((counts.landed, counts.dead_lettered), (1, 1));
    assert_eq!(offsets(&lake, Zone::Deadletter).await, [(0, 0)]);
    let mut main = lake.table(Zone::Landing, "customer").await.unwrap().unwrap();
    assert_eq!((main.position("weir:A:0"), main.position("weir-claim:A:0")), (Some(1), Some(1)));
    // What the paused one would commit: it began when there was no claim.
    let follows = vec![("weir-claim:A:0".to_owned(), None)];
    let late = main.commit(Commit { follows, ..Commit::default() }).await;
    assert!(matches!(late, Err(weir_lake::LakeError::PositionMoved { .. })), "{late:?}");
}

on_both!(
    workers_that_swap_their_partitions_under_load_land_every_record_once,
    a_change_that_comes_to_two_workers_at_once_is_landed_by_the_quicker_one_and_counted_by_the_other,
    dead_letters_ahead_of_the_table_are_taken_back_and_whoever_wrote_them_can_commit_no_rows,
);
