//! Landing beside the upkeep of its table.

use weir_lake::Rules;

use super::*;

fn all(taken: i64) -> Rules {
    Rules { taken, closed: i64::MAX, size: 64 << 20, rows: 1000 }
}

async fn a_repeat_is_found_in_files_that_were_put_together_and_landing_goes_on_where_it_stood(at: At) {
    let folder = at.fresh();
    let (lake, topic, table) = (lake(&folder).await, Topic::new("A"), customer());
    for order in 1..=5 {
        topic.push(0, change(&table, 2, Op::Create, i64::from(order), order, 0));
        landing(&lake, &topic, 10).await;
    }
    let mut main = lake.table(Zone::Landing, "customer").await.unwrap().unwrap();
    let compactions = main.compactions(&all(main.version())).await.unwrap();
    assert_eq!(main.compact(&compactions).await.unwrap().files, 5);
    topic.push(0, change(&table, 2, Op::Create, 3, 3, 0));
    topic.push(0, change(&table, 2, Op::Create, 6, 6, 0));
    let counts = landing(&lake, &topic, 10).await.counts;
    assert_eq!((counts.received, counts.landed, counts.repeated), (2, 1, 1));
    assert_eq!(offsets(&lake, Zone::Landing).await, [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (0, 6)]);
}

async fn where_landing_stands_outlives_its_rows(at: At) {
    let folder = at.fresh();
    let (lake, topic, table) = (lake(&folder).await, Topic::new("A"), customer());
    topic.push(0, change(&table, 2, Op::Create, 1, 1, 0));
    landing(&lake, &topic, 10).await;
    let mut main = lake.table(Zone::Landing, "customer").await.unwrap().unwrap();
    assert_eq!(main.expire(i64::MAX, main.version()).await.unwrap().rows, 1);
    topic.push(0, change(&table, 2, Op::Create, 2, 2, 0));
    let counts = landing(&lake, &topic, 10).await.counts;
    assert_eq!((counts.received, counts.landed), (1, 1));
    assert_eq!(offsets(&lake, Zone::Landing).await, [(0, 1)]);
}

on_both!(
    a_repeat_is_found_in_files_that_were_put_together_and_landing_goes_on_where_it_stood,
    where_landing_stands_outlives_its_rows,
);
