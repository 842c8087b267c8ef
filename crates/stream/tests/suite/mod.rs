//! What the client does on any cluster. Each function makes a topic of its own, so that the embedded broker and Apache
//! Kafka, the oracle, are asked the same, over whatever listener the settings name.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use weir_core::diagnosis::{Diagnose, Retry};
use weir_stream::{Admin, Batch, Connection, Consumer, Producer, Start, StreamError};

use super::patience::comes_to;

const DAY: Duration = Duration::from_secs(86_400);

/// Brokers, and the client's settings for them.
#[derive(Clone, Default)]
pub struct Cluster {
    pub brokers: String,
    pub client: BTreeMap<String, String>,
}

impl Cluster {
    pub fn connection(&self) -> Connection {
        Connection::new(self.brokers.as_str(), self.client.clone())
    }

    fn admin(&self) -> Admin {
        Admin::new(&self.connection()).unwrap()
    }

    /// A topic of 2 partitions, whose name nobody has used.
    fn topic(&self, what: &str) -> String {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let topic = format!("{what}.{}.{number}", std::process::id());
        wait(self.admin().ensure_topic(&topic, 2, DAY)).unwrap();
        topic
    }

    fn consumer(&self, topic: &str, starts: &[(i32, Start)]) -> Consumer {
        let mut consumer = Consumer::new(&self.connection(), topic).unwrap();
        consumer.assign(starts).unwrap();
        consumer
    }
}

pub fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Polls until there are so many records.
pub fn read(consumer: &Consumer, wanted: usize) -> Vec<Batch> {
    let end = Instant::now() + Duration::from_secs(20);
    let mut batches = Vec::new();
    let mut found = 0;
    while found < wanted {
        assert!(Instant::now() < end, "{found} of {wanted} records came");
        let batch = consumer.poll_batch(wanted - found, usize::MAX, Duration::from_millis(200)).unwrap();
        found += batch.len();
        batches.push(batch);
    }
    batches
}

pub fn records_come_back_as_they_were_sent_each_partition_in_its_order(cluster: &Cluster) {
    let topic = cluster.topic("sent");
    let producer = Producer::new(&cluster.connection()).unwrap();
    for number in 0..1000_u32 {
        let key = number.to_be_bytes();
        let value = format!("value {number}");
        let value = (number % 10 != 9).then_some(value.as_bytes());
        let headers: &[(&str, Option<&[u8]>)] = if number == 0 { &[("h", Some(b"1")), ("h", None)] } else { &[] };
        producer.send(&topic, (number % 2) as i32, Some(&key), value, headers).unwrap();
    }
    producer.flush().unwrap();

    let consumer = cluster.consumer(&topic, &[(0, Start::Earliest), (1, Start::Earliest)]);
    let mut next = [0_i64; 2];
    for batch in read(&consumer, 1000) {
        for (index, record) in batch.records().enumerate() {
            let at = &mut next[record.partition as usize];
            assert_eq!(record.offset, *at);
            let number = *at as u32 * 2 + record.partition as u32;
            assert_eq!(record.key, Some(&number.to_be_bytes()[..]));
            let value = format!("value {number}");
            assert_eq!(record.value, (number % 10 != 9).then_some(value.as_bytes()));
            assert!(record.timestamp_ms > 0);
            assert_eq!(batch.headers(index).len(), if number == 0 { 2 } else { 0 });
            *at += 1;
        }
    }
    assert_eq!(next, [500, 500]);
    assert_eq!(consumer.watermarks(1).unwrap(), (0, 500));
    assert_eq!(consumer.partitions().unwrap(), [0, 1]);
    assert!(consumer.poll_batch(10, 1 << 20, Duration::from_millis(100)).unwrap().is_empty());
}

pub fn a_reader_starts_at_its_own_offset_and_a_batch_keeps_to_its_limits(cluster: &Cluster) {
    let topic = cluster.topic("limits");
    let producer = Producer::new(&cluster.connection()).unwrap();
    for _ in 0..100 {
        producer.send(&topic, 0, None, Some(&[7; 100]), &[]).unwrap();
    }
    producer.flush().unwrap();
    let consumer = cluster.consumer(&topic, &[(0, Start::At(40))]);
    let first = read(&consumer, 1);
    assert_eq!(first[first.len() - 1].record(0).offset, 40);
    let few = consumer.poll_batch(5, usize::MAX, Duration::from_secs(10)).unwrap();
    assert_eq!((few.len(), few.record(0).offset), (5, 41));
    let small = consumer.poll_batch(usize::MAX, 250, Duration::from_secs(10)).unwrap();
    assert_eq!((small.len(), small.bytes()), (3, 300));
}

pub fn an_offset_that_is_not_held_is_an_error_and_no_silent_jump(cluster: &Cluster) {
    let topic = cluster.topic("gone");
    let consumer = cluster.consumer(&topic, &[(0, Start::Earliest), (1, Start::At(5))]);
    let end = Instant::now() + Duration::from_secs(20);
    let error = loop {
        match consumer.poll_batch(10, 1 << 20, Duration::from_millis(200)) {
            Err(error) => break error,
            Ok(batch) => assert!(batch.is_empty() && Instant::now() < end),
        }
    };
    match error {
        StreamError::OffsetGone { partition: 1, wanted: 5, low: 0, high: 0, .. } => {}
        other => panic!("{other:?}"),
    }
}

/// Polls members of a group in turn until each has been given what is wanted; none of them may get a record.
fn until_given(members: &[&Consumer], is_wanted: impl Fn(&[Vec<i32>]) -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    let mut given = vec![Vec::new(); members.len()];
    while !is_wanted(&given) {
        assert!(Instant::now() < end, "{given:?}");
        for (member, given) in members.iter().zip(&mut given) {
            assert!(member.poll_batch(10, 1 << 20, Duration::from_millis(50)).unwrap().is_empty());
            if let Some(news) = member.given() {
                *given = news;
            }
        }
    }
}

pub fn members_of_a_group_share_the_partitions_and_read_nothing_before_they_say_from_where(cluster: &Cluster) {
    let topic = cluster.topic("shared");
    let producer = Producer::new(&cluster.connection()).unwrap();
    for partition in 0..2 {
        producer.send(&topic, partition, None, Some(b"value"), &[]).unwrap();
    }
    producer.flush().unwrap();
    let member = || {
        let member = Consumer::of_group(&cluster.connection(), &topic, &format!("{topic}.workers")).unwrap();
        member.join().unwrap();
        member
    };
    let mut first = member();
    until_given(&[&first], |given| given[0] == [0, 1]);
    let second = member();
    until_given(&[&first, &second], |given| given[0].len() == 1 && given[1].len() == 1);
    drop(second);
    until_given(&[&first], |given| given[0] == [0, 1]);
    first.assign(&[(0, Start::At(0)), (1, Start::At(1))]).unwrap();
    let read = read(&first, 1);
    assert_eq!(read[read.len() - 1].record(0).partition, 0);
    assert!(first.given().is_none(), "to assign is no news");
}

pub fn a_topic_made_anew_has_another_id(cluster: &Cluster) {
    let topic = cluster.topic("anew");
    let id = || Consumer::new(&cluster.connection(), &topic).unwrap().topic_id().ok();
    comes_to(true, || id().is_some());
    let first = id().unwrap();
    assert_eq!(id().as_ref(), Some(&first));
    assert_eq!(first.as_str().len(), 22);
    wait(cluster.admin().delete_topic(&topic)).unwrap();
    // Until all of a cluster knows that it is gone, it is there.
    comes_to(true, || wait(cluster.admin().ensure_topic(&topic, 2, DAY)).is_ok() && id().is_some_and(|id| id != first));
}

pub fn a_topic_that_exists_keeps_its_partitions_and_at_least_its_retention(cluster: &Cluster) {
    let topic = cluster.topic("kept");
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &cluster.brokers).extend(cluster.client.clone());
    let raw: AdminClient<DefaultClientContext> = config.create().unwrap();
    let settings = || {
        let asked = wait(raw.describe_configs(&[ResourceSpecifier::Topic(&topic)], &AdminOptions::new())).unwrap();
        let resource = asked.into_iter().next().unwrap().unwrap();
        let value = |name: &str| resource.get(name).and_then(|entry| entry.value.clone()).unwrap();
        (value("retention.ms"), value("message.timestamp.type"))
    };
    comes_to(Some(Retry::AfterConfiguration), || match wait(cluster.admin().ensure_topic(&topic, 3, DAY)) {
        Err(error @ StreamError::Partitions { found: 2, wanted: 3, .. }) => Some(error.diagnosis().retry),
        _ => None,
    });
    wait(cluster.admin().ensure_topic(&topic, 2, DAY * 2)).unwrap();
    comes_to(("172800000".to_owned(), "LogAppendTime".to_owned()), settings);
    wait(cluster.admin().ensure_topic(&topic, 2, DAY)).unwrap();
    assert_eq!(settings().0, "172800000");
    let is_listed =
        || cluster.admin().topics().unwrap().iter().any(|found| found.name == topic && found.partitions == 2);
    comes_to(true, is_listed);
    let listed = cluster.admin().topics().unwrap();
    assert!(listed.iter().all(|found| !found.name.starts_with("__")), "{listed:?}");
}

pub fn a_topic_that_is_not_there_is_named(cluster: &Cluster) {
    let error = Consumer::new(&cluster.connection(), "shop.nothing.cdc").unwrap().partitions().unwrap_err();
    assert!(matches!(&error, StreamError::UnknownTopic { topic } if topic == "shop.nothing.cdc"), "{error:?}");
    let gone = wait(cluster.admin().delete_topic("shop.nothing.cdc")).unwrap_err();
    assert!(matches!(gone, StreamError::UnknownTopic { .. }), "{gone:?}");
}

pub fn a_record_for_a_partition_that_is_not_there_is_never_called_sent(cluster: &Cluster) {
    let topic = cluster.topic("ninth");
    let producer = Producer::new(&cluster.connection()).unwrap();
    let error = match producer.send(&topic, 9, None, Some(b"x"), &[]) {
        Ok(()) => producer.flush().unwrap_err(),
        Err(error) => error,
    };
    let refused = matches!(
        error,
        StreamError::NotAcknowledged { count: 1, .. } | StreamError::Topic { .. } | StreamError::UnknownTopic { .. }
    );
    assert!(refused, "{error:?}");
}
