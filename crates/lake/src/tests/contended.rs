//! Several writers on one table, and what a writer that died leaves beside a living one.

use super::*;
use crate::{LakeError, side};

fn follows(reader: &str, read: Option<i64>, next: i64) -> Commit {
    let (positions, follows) = (vec![(reader.to_owned(), next)], vec![(reader.to_owned(), read)]);
    Commit { positions, follows, ..Commit::default() }
}

#[tokio::test]
async fn of_two_writers_with_positions_of_their_own_the_second_goes_on_behind_the_first() {
    let folder = TempDir::new().unwrap();
    let lake = lake(&folder).await;
    let mut first = table(&lake).await;
    let mut second = table(&lake).await;
    for round in 0..3_i64 {
        for (table, reader, ids) in [(&mut first, "a", 10 * round), (&mut second, "b", 10 * round + 5)] {
            let add = table.write_files(vec![file(10, ids..ids + 2)]).await.unwrap();
            let read = (round > 0).then_some(round - 1);
            table.commit_behind_others(Commit { add, ..follows(reader, read, round) }).await.unwrap();
        }
    }
    first.refresh().await.unwrap();
    assert_eq!((first.version(), first.position("a"), first.position("b")), (6, Some(2), Some(2)));
    assert_eq!(all_ids(&first).await, vec![0, 1, 5, 6, 10, 11, 15, 16, 20, 21, 25, 26]);
}

#[tokio::test]
async fn a_writer_whose_position_another_has_moved_is_refused_and_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let lake = lake(&folder).await;
    let mut paused = table(&lake).await;
    let mut other = table(&lake).await;
    other.commit(follows("a", None, 4)).await.unwrap();
    let refused = paused.commit_behind_others(follows("a", None, 6)).await;
    assert!(matches!(refused, Err(LakeError::PositionMoved { read: None, stored: Some(4), .. })), "{refused:?}");
    other.refresh().await.unwrap();
    assert_eq!((other.version(), other.position("a")), (1, Some(4)));
}

async fn undo_ahead(side: &mut Table, main: &Table, mine: &str) -> usize {
    let ahead = side::ahead(side, Some(main), |reader| reader == mine).await.unwrap();
    side::take_back(side, ahead).await.unwrap()
}

#[tokio::test]
async fn a_dead_writers_side_commit_is_taken_back_whole_and_what_others_do_stays() {
    let folder = TempDir::new().unwrap();
    let lake = lake(&folder).await;
    let mut main = table(&lake).await;
    let mut side = lake.create_table(Zone::Deadletter, "customer", &schema(), Partitioning::None).await.unwrap();
    // Of partitions a and b by one that died; then of c by one that lives and has not committed its rows yet.
    for (ids, readers) in [(0..2, vec!["a", "b"]), (2..3, vec!["c"])] {
        let add = side.write_files(vec![NewFile { partition: Partition::None, ..file(0, ids) }]).await.unwrap();
        let positions = readers.into_iter().map(|reader| (reader.to_owned(), 7)).collect();
        side.commit(Commit { add, positions, ..Commit::default() }).await.unwrap();
    }
    main.commit(follows("a", None, 3)).await.unwrap();
    assert_eq!(undo_ahead(&mut side, &main, "d").await, 0);
    assert_eq!(undo_ahead(&mut side, &main, "b").await, 1);
    assert_eq!(all_ids(&side).await, vec![2]);
    assert_eq!((side.position("a"), side.position("b"), side.position("c")), (Some(3), Some(-1), Some(7)));
    assert_eq!(undo_ahead(&mut side, &main, "a").await, 0, "it went with that of b");
}

#[tokio::test]
async fn a_side_commit_ahead_of_its_main_table_is_taken_back() {
    let folder = TempDir::new().unwrap();
    let lake = lake(&folder).await;
    let mut main = table(&lake).await;
    let mut side = lake.create_table(Zone::Deadletter, "customer", &schema(), Partitioning::None).await.unwrap();
    let letter = |ids| NewFile { partition: Partition::None, ..file(0, ids) };
    for (ids, position) in [(0..2, 10), (2..3, 20)] {
        let add = side.write_files(vec![letter(ids)]).await.unwrap();
        side.commit(Commit { add, positions: vec![("reader".into(), position)], ..Commit::default() }).await.unwrap();
    }
    append(&mut main, 10, 0..3, 10).await;

    assert_eq!(undo_ahead(&mut side, &main, "reader").await, 1);
    assert_eq!(all_ids(&side).await, vec![0, 1]);
    assert_eq!(side.position("reader"), Some(10));
    assert_eq!(undo_ahead(&mut side, &main, "reader").await, 0);
}
