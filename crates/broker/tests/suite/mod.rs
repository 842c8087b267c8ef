//! Behaviours that the product relies on, against any bootstrap address.

use std::ops::Range;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{Message, Timestamp};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

pub fn client(bootstrap: &str, settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config
}

pub fn admin(bootstrap: &str) -> AdminClient<DefaultClientContext> {
    client(bootstrap, &[]).create().expect("an admin client")
}

/// Waits for an admin call; librdkafka answers from threads of its own.
pub fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// Makes a topic whose name nobody has used.
pub fn create(bootstrap: &str, name: &str, partitions: i32, config: &[(&str, &str)]) -> String {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("{name}-{}-{number}", std::process::id());
    create_named(bootstrap, &name, partitions, config);
    name
}

pub fn create_named(bootstrap: &str, name: &str, partitions: i32, config: &[(&str, &str)]) {
    let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    for (key, value) in config {
        topic = topic.set(key, value);
    }
    let made = wait(admin(bootstrap).create_topics([&topic], &AdminOptions::new())).expect("an answer");
    assert_eq!(made, [Ok(name.to_owned())]);
}

pub fn producer(bootstrap: &str, settings: &[(&str, &str)]) -> ThreadedProducer<DefaultProducerContext> {
    let mut config = client(bootstrap, &[("enable.idempotence", "true"), ("message.timeout.ms", "30000")]);
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config.create().expect("a producer")
}

/// Sends records `k<n>` = `v<n>`.
pub fn produce(bootstrap: &str, topic: &str, numbers: Range<usize>) {
    let producer = producer(bootstrap, &[]);
    for n in numbers {
        let (key, value) = (format!("k{n}"), format!("v{n}"));
        producer.send(BaseRecord::to(topic).key(&key).payload(&value)).map_err(|(e, _)| e).expect("room");
    }
    producer.flush(Duration::from_secs(30)).expect("all acknowledged");
    assert_eq!(producer.in_flight_count(), 0);
}

/// A record as a reader sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    pub partition: i32,
    pub offset: i64,
    pub key: String,
    pub value: String,
    pub arrived_ms: i64,
}

pub fn seen(message: &impl Message) -> Seen {
    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).expect("text");
    let Timestamp::LogAppendTime(arrived_ms) = message.timestamp() else {
        panic!("{:?} is no arrival time", message.timestamp());
    };
    Seen {
        partition: message.partition(),
        offset: message.offset(),
        key: text(message.key()),
        value: text(message.payload()),
        arrived_ms,
    }
}

pub fn consumer(bootstrap: &str, group: &str, settings: &[(&str, &str)]) -> BaseConsumer {
    let base = [("group.id", group), ("auto.offset.reset", "earliest"), ("enable.auto.commit", "false")];
    let mut config = client(bootstrap, &base);
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config.create().expect("a consumer")
}

/// Reads in a group until it has so many records, and commits them.
pub fn consume(bootstrap: &str, topic: &str, group: &str, records: usize) -> Vec<Seen> {
    let found = consume_within(bootstrap, topic, group, records, Duration::from_secs(20));
    assert_eq!(found.len(), records);
    found
}

pub fn consume_within(bootstrap: &str, topic: &str, group: &str, records: usize, within: Duration) -> Vec<Seen> {
    let consumer = consumer(bootstrap, group, &[]);
    consumer.subscribe(&[topic]).expect("subscribed");
    let end = Instant::now() + within;
    let mut found = Vec::new();
    while found.len() < records && Instant::now() < end {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            found.push(seen(&message.expect("a record")));
        }
    }
    if !found.is_empty() {
        consumer.commit_consumer_state(CommitMode::Sync).expect("committed");
    }
    found
}

pub fn a_codec_comes_back_as_it_was_sent(bootstrap: &str, codec: &str) {
    let topic = create(bootstrap, codec, 3, &[]);
    let producer = producer(bootstrap, &[("compression.type", codec), ("linger.ms", "20")]);
    let value = |n: usize| format!("{n}:{}", "compressible ".repeat(n % 50));
    for n in 0..2_000 {
        producer.send(BaseRecord::to(&topic).key(&format!("k{n}")).payload(&value(n))).map_err(|(e, _)| e).unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
    let mut found = consume(bootstrap, &topic, &format!("g-{topic}"), 2_000);
    found.sort_by_key(|s| s.key[1..].parse::<usize>().unwrap());
    for (n, record) in found.iter().enumerate() {
        assert_eq!((record.key.as_str(), record.value.as_str()), (format!("k{n}").as_str(), value(n).as_str()));
    }
}
