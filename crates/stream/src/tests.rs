//! Every client against the embedded broker and registry, and against nobody.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use weir_broker::{Broker, BrokerConfig};
use weir_core::diagnosis::{Diagnose, Retry};

use crate::{Admin, Batch, Connection, Consumer, Producer, Registry, Start, StreamError};

const TOPIC: &str = "shop.customer.cdc";
const DAY: Duration = Duration::from_secs(86_400);
const SCHEMA: &str = r#"{"type":"record","name":"Key","fields":[{"name":"id","type":"int"}]}"#;

/// A broker on a folder of its own, with one topic of 2 partitions.
struct Laptop {
    broker: Broker,
    folder: TempDir,
    connection: Connection,
    admin: Admin,
}

impl Laptop {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let broker = Broker::start(BrokerConfig::new(folder.path())).unwrap();
        let connection = Connection::new(broker.bootstrap(), BTreeMap::new());
        let admin = Admin::new(&connection).unwrap();
        admin.ensure_topic(TOPIC, 2, DAY).await.unwrap();
        Self { broker, folder, connection, admin }
    }

    fn consumer(&self, starts: &[(i32, Start)]) -> Consumer {
        let mut consumer = Consumer::new(&self.connection, TOPIC).unwrap();
        consumer.assign(starts).unwrap();
        consumer
    }

    async fn stop(self) {
        self.broker.shutdown().await.unwrap();
        drop(self.folder);
    }
}

/// The clients block, so they run beside the broker's tasks.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// Polls until there are so many records.
fn read(consumer: &Consumer, wanted: usize) -> Vec<Batch> {
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

#[tokio::test(flavor = "multi_thread")]
async fn records_come_back_as_they_were_sent_each_partition_in_its_order() {
    let laptop = Laptop::start().await;
    let connection = laptop.connection.clone();
    let consumer = laptop.consumer(&[(0, Start::Earliest), (1, Start::Earliest)]);
    blocking(move || {
        let producer = Producer::new(&connection).unwrap();
        for number in 0..1000_u32 {
            let key = number.to_be_bytes();
            let value = format!("value {number}");
            let value = (number % 10 != 9).then_some(value.as_bytes());
            let headers: &[(&str, Option<&[u8]>)] = if number == 0 { &[("h", Some(b"1")), ("h", None)] } else { &[] };
            producer.send(TOPIC, (number % 2) as i32, Some(&key), value, headers).unwrap();
        }
        producer.flush().unwrap();

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
    })
    .await;
    laptop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_starts_at_its_own_offset_and_a_batch_keeps_to_its_limits() {
    let laptop = Laptop::start().await;
    let connection = laptop.connection.clone();
    blocking(move || {
        let producer = Producer::new(&connection).unwrap();
        for _ in 0..100 {
            producer.send(TOPIC, 0, None, Some(&[7; 100]), &[]).unwrap();
        }
        producer.flush().unwrap();
        let mut consumer = Consumer::new(&connection, TOPIC).unwrap();
        consumer.assign(&[(0, Start::At(40))]).unwrap();
        let first = read(&consumer, 1);
        assert_eq!(first[first.len() - 1].record(0).offset, 40);
        let few = consumer.poll_batch(5, usize::MAX, Duration::from_secs(10)).unwrap();
        assert_eq!((few.len(), few.record(0).offset), (5, 41));
        let small = consumer.poll_batch(usize::MAX, 250, Duration::from_secs(10)).unwrap();
        assert_eq!((small.len(), small.bytes()), (3, 300));
    })
    .await;
    laptop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_that_is_not_held_is_an_error_and_no_silent_jump() {
    let laptop = Laptop::start().await;
    let consumer = laptop.consumer(&[(0, Start::Earliest), (1, Start::At(5))]);
    let error = blocking(move || {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            match consumer.poll_batch(10, 1 << 20, Duration::from_millis(200)) {
                Err(error) => return error,
                Ok(batch) => assert!(batch.is_empty() && Instant::now() < end),
            }
        }
    })
    .await;
    match error {
        StreamError::OffsetGone { partition: 1, wanted: 5, low: 0, high: 0, .. } => {}
        other => panic!("{other:?}"),
    }
    laptop.stop().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_group_share_the_partitions_and_read_nothing_before_they_say_from_where() {
    let laptop = Laptop::start().await;
    let connection = laptop.connection.clone();
    blocking(move || {
        let producer = Producer::new(&connection).unwrap();
        for partition in 0..2 {
            producer.send(TOPIC, partition, None, Some(b"value"), &[]).unwrap();
        }
        producer.flush().unwrap();
        let member = || {
            let member = Consumer::of_group(&connection, TOPIC, "workers").unwrap();
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
    })
    .await;
    laptop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_anew_has_another_id() {
    let laptop = Laptop::start().await;
    let id = |connection: Connection| blocking(move || Consumer::new(&connection, TOPIC).unwrap().topic_id().unwrap());
    let first = id(laptop.connection.clone()).await;
    assert_eq!(id(laptop.connection.clone()).await, first);
    assert_eq!(first.as_str().len(), 22);
    laptop.admin.delete_topic(TOPIC).await.unwrap();
    laptop.admin.ensure_topic(TOPIC, 2, DAY).await.unwrap();
    assert_ne!(id(laptop.connection.clone()).await, first);
    laptop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_exists_keeps_its_partitions_and_at_least_its_retention() {
    let laptop = Laptop::start().await;
    let retention = || async {
        let resource = laptop.admin.settings(TOPIC).await.unwrap();
        let value = |name: &str| resource.get(name).and_then(|entry| entry.value.clone()).unwrap();
        (value("retention.ms"), value("message.timestamp.type"))
    };
    match laptop.admin.ensure_topic(TOPIC, 3, DAY).await {
        Err(error @ StreamError::Partitions { found: 2, wanted: 3, .. }) => {
            assert_eq!(error.diagnosis().retry, Retry::AfterConfiguration);
        }
        other => panic!("{other:?}"),
    }
    laptop.admin.ensure_topic(TOPIC, 2, DAY * 2).await.unwrap();
    assert_eq!(retention().await, ("172800000".to_owned(), "LogAppendTime".to_owned()));
    laptop.admin.ensure_topic(TOPIC, 2, DAY).await.unwrap();
    assert_eq!(retention().await.0, "172800000");

    let names: Vec<_> =
        laptop.admin.topics().unwrap().into_iter().map(|topic| (topic.name, topic.partitions)).collect();
    assert_eq!(names, [(TOPIC.to_owned(), 2)]);
    laptop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_there_is_named() {
    let laptop = Laptop::start().await;
    let connection = laptop.connection.clone();
    let error =
        blocking(move || Consumer::new(&connection, "shop.nothing.cdc").unwrap().partitions().unwrap_err()).await;
    assert!(matches!(&error, StreamError::UnknownTopic { topic } if topic == "shop.nothing.cdc"), "{error:?}");
    let gone = laptop.admin.delete_topic("shop.nothing.cdc").await.unwrap_err();
    assert!(matches!(gone, StreamError::UnknownTopic { .. }), "{gone:?}");
    laptop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_for_a_partition_that_is_not_there_is_never_called_sent() {
    let laptop = Laptop::start().await;
    let connection = laptop.connection.clone();
    let error = blocking(move || {
        let producer = Producer::new(&connection).unwrap();
        match producer.send(TOPIC, 9, None, Some(b"x"), &[]) {
            Ok(()) => producer.flush().unwrap_err(),
            Err(error) => error,
        }
    })
    .await;
    assert!(
        matches!(
            error,
            StreamError::NotAcknowledged { count: 1, .. }
                | StreamError::Topic { .. }
                | StreamError::UnknownTopic { .. }
        ),
        "{error:?}"
    );
    laptop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_outlives_a_restart_of_the_broker() {
    let laptop = Laptop::start().await;
    let (connection, address) = (laptop.connection.clone(), laptop.broker.address());
    let send = |connection: Connection| {
        blocking(move || {
            let producer = Producer::new(&connection).unwrap();
            producer.send(TOPIC, 0, None, Some(b"x"), &[]).unwrap();
            producer.flush().unwrap();
        })
    };
    send(connection.clone()).await;
    let consumer = laptop.consumer(&[(0, Start::Earliest)]);
    let consumer = blocking(move || {
        read(&consumer, 1);
        consumer
    })
    .await;
    let Laptop { broker, folder, .. } = laptop;
    broker.shutdown().await.unwrap();
    let broker = Broker::start(BrokerConfig::new(folder.path()).listening(address)).unwrap();
    send(connection).await;
    blocking(move || {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            assert!(Instant::now() < end, "the second record never came");
            match consumer.poll_batch(10, 1 << 20, Duration::from_millis(200)) {
                Ok(batch) if batch.is_empty() => {}
                Ok(batch) => return assert_eq!((batch.len(), batch.record(0).offset), (1, 1)),
                Err(error) => assert_eq!(error.diagnosis().retry, Retry::Later, "{error:?}"),
            }
        }
    })
    .await;
    broker.shutdown().await.unwrap();
}

/// A port where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

#[test]
fn settings_that_librdkafka_does_not_know_are_refused() {
    let client = BTreeMap::from([("no.such.setting".to_owned(), "1".to_owned())]);
    let error = Consumer::new(&Connection::new("127.0.0.1:1", client), TOPIC).err().unwrap();
    assert_eq!(error.diagnosis().code.0, "W3201");
}

#[test]
fn a_connection_shows_no_setting_when_printed() {
    let client = BTreeMap::from([("sasl.password".to_owned(), "geheim".to_owned())]);
    assert!(!format!("{:?}", Connection::new("b:9092", client)).contains("geheim"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registry_gives_one_id_per_schema_and_knows_what_it_does_not_know() {
    let folder = TempDir::new().unwrap();
    let server = weir_broker::Registry::start(folder.path(), SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let url = server.url();
    blocking(move || {
        let registry = Registry::new(url.clone());
        let id = registry.register("t-key", SCHEMA).unwrap();
        assert_eq!(registry.register("t-key", SCHEMA).unwrap(), id);
        // Another client has nothing in its cache.
        let text = Registry::new(url.clone()).schema(id).unwrap();
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(json(&text), json(SCHEMA));
        assert_eq!(registry.subjects().unwrap(), ["t-key"]);
        assert!(matches!(registry.schema(id + 1000), Err(StreamError::UnknownSchema { .. })));
        assert!(matches!(registry.register("t-key", "no schema"), Err(StreamError::RegistryRefused { .. })));
        // A path that is no registry's says nothing about an id.
        assert!(matches!(Registry::new(format!("{url}/wrong")).schema(id), Err(StreamError::RegistryRefused { .. })));
    })
    .await;
    server.shutdown().await.unwrap();
}

#[test]
fn a_registry_that_does_not_answer_is_an_outage_and_a_known_schema_is_still_known() {
    let registry = Registry::new(format!("http://{}", nobody()));
    let error = registry.schema(1).unwrap_err();
    assert!(matches!(error, StreamError::RegistryDown { .. }), "{error:?}");
    assert_eq!(error.diagnosis().retry, Retry::Later);
}
