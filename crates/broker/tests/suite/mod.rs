//! Behaviours that the product relies on, against any bootstrap address.

use std::ops::Range;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{Message, Timestamp};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use super::patience::comes_to;

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
    // The default here, but not in Kafka.
    let arrival = ("message.timestamp.type", "LogAppendTime");
    let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1)).set(arrival.0, arrival.1);
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

/// Sends `k<n>` for about three seconds, and returns when all are acknowledged.
pub fn produce_slowly(bootstrap: &str, topic: &str, records: usize) {
    let producer =
        producer(bootstrap, &[("linger.ms", "5"), ("message.timeout.ms", "60000"), ("retry.backoff.ms", "50")]);
    for n in 0..records {
        let key = format!("k{n}");
        let record = BaseRecord::to(topic).key(&key).payload("v");
        producer.send(record).map_err(|(e, _)| e).expect("room in the queue");
        if n % (records / 100) == 0 {
            std::thread::sleep(Duration::from_millis(25));
        }
    }
    producer.flush(Duration::from_secs(60)).expect("all acknowledged");
}

/// Polls consumers in turn until the condition holds.
fn poll_until(consumers: &[&BaseConsumer], mut done: impl FnMut(usize, Option<Seen>) -> bool) {
    let end = Instant::now() + Duration::from_secs(40);
    while Instant::now() < end {
        for (n, consumer) in consumers.iter().enumerate() {
            let record = consumer.poll(Duration::from_millis(20)).map(|m| seen(&m.expect("a record")));
            if done(n, record) {
                return;
            }
        }
    }
    panic!("it did not happen");
}

fn assigned(consumer: &BaseConsumer) -> Vec<i32> {
    let mut partitions: Vec<_> =
        consumer.assignment().expect("an assignment").elements().iter().map(|e| e.partition()).collect();
    partitions.sort_unstable();
    partitions
}

pub fn two_consumers_share_a_topic_and_the_one_left_takes_over(bootstrap: &str, strategy: &str) {
    let topic = create(bootstrap, strategy, 4, &[]);
    let group = format!("g-{topic}");
    let settings =
        [("partition.assignment.strategy", strategy), ("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "200")];
    let one = consumer(bootstrap, &group, &settings);
    one.subscribe(&[&topic]).expect("subscribed");
    poll_until(&[&one], |_, _| assigned(&one).len() == 4);

    let two = consumer(bootstrap, &group, &settings);
    two.subscribe(&[&topic]).expect("subscribed");
    poll_until(&[&one, &two], |_, _| assigned(&one).len() == 2 && assigned(&two).len() == 2);
    let mut all = [assigned(&one), assigned(&two)].concat();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3]);

    produce(bootstrap, &topic, 0..400);
    let mut keys = std::collections::BTreeSet::new();
    let mut shares = [0, 0];
    poll_until(&[&one, &two], |n, record| {
        if let Some(record) = record {
            shares[n] += 1;
            assert!(keys.insert(record.key), "a record was delivered twice");
        }
        keys.len() == 400
    });
    assert!(shares[0] > 0 && shares[1] > 0, "{shares:?}");
    one.commit_consumer_state(CommitMode::Sync).expect("committed");
    two.commit_consumer_state(CommitMode::Sync).expect("committed");
    drop(one);
    poll_until(&[&two], |_, record| {
        assert_eq!(record, None, "everything was committed");
        assigned(&two).len() == 4
    });
}

pub fn topics_and_settings_are_administered(bootstrap: &str) {
    use rdkafka::admin::{AlterConfig, NewPartitions, ResourceSpecifier};
    let topic = create(bootstrap, "admin", 2, &[("retention.ms", "604800000")]);
    let admin = admin(bootstrap);
    let options = AdminOptions::new();
    let retention = || {
        let asked = wait(admin.describe_configs(&[ResourceSpecifier::Topic(&topic)], &options)).expect("an answer");
        let resource = asked.into_iter().next().expect("a resource").ok()?;
        resource.entry_map()["retention.ms"].value.clone()
    };
    comes_to(Some("604800000".to_owned()), retention);
    let change = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("retention.ms", "3600000");
    assert!(wait(admin.alter_configs(&[change], &options)).expect("an answer")[0].is_ok());
    comes_to(Some("3600000".to_owned()), retention);
    // rdkafka's answer does not carry a resource's error, so look at what is in force.
    let bad = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("retention.ms", "soon");
    wait(admin.alter_configs(&[bad], &options)).expect("an answer");
    comes_to(Some("3600000".to_owned()), retention);

    let more = NewPartitions::new(&topic, 5);
    assert!(wait(admin.create_partitions(&[more], &options)).expect("an answer")[0].is_ok());
    let partitions = |name: &str| {
        let metadata = admin.inner().fetch_metadata(Some(name), Duration::from_secs(5)).expect("metadata");
        metadata.topics()[0].partitions().len()
    };
    comes_to(5, || partitions(&topic));
    assert!(wait(admin.delete_topics(&[&topic], &options)).expect("an answer")[0].is_ok());
    assert!(wait(admin.delete_topics(&[&topic], &options)).expect("an answer")[0].is_err());
    comes_to(0, || partitions(&topic));
}

pub fn groups_are_listed_and_deleted_when_empty(bootstrap: &str) {
    let topic = create(bootstrap, "groups", 1, &[]);
    let group = format!("g-{topic}");
    produce(bootstrap, &topic, 0..5);
    let reader = consumer(bootstrap, &group, &[]);
    reader.subscribe(&[&topic]).expect("subscribed");
    poll_until(&[&reader], |_, record| record.is_some());
    let admin = admin(bootstrap);
    let state = |name: &str| {
        let list = admin.inner().fetch_group_list(Some(name), Duration::from_secs(5)).expect("a list");
        list.groups().iter().find(|g| g.name() == name).map(|g| (g.state().to_owned(), g.members().len()))
    };
    assert_eq!(state(&group), Some(("Stable".into(), 1)));
    assert!(wait(admin.delete_groups(&[&group], &AdminOptions::new())).expect("an answer")[0].is_err());
    reader.commit_consumer_state(CommitMode::Sync).expect("committed");
    drop(reader);
    assert_eq!(state(&group), Some(("Empty".into(), 0)));
    assert!(wait(admin.delete_groups(&[&group], &AdminOptions::new())).expect("an answer")[0].is_ok());
    assert_eq!(consume(bootstrap, &topic, &group, 5).len(), 5);
}

pub fn an_offset_is_found_by_arrival_time(bootstrap: &str) {
    use rdkafka::{Offset, TopicPartitionList};
    let topic = create(bootstrap, "times", 1, &[]);
    produce(bootstrap, &topic, 0..10);
    std::thread::sleep(Duration::from_millis(30));
    produce(bootstrap, &topic, 10..20);
    let records = consume(bootstrap, &topic, &format!("g-{topic}"), 20);
    let reader = consumer(bootstrap, "times", &[]);
    let at = |ms: i64| {
        let mut asked = TopicPartitionList::new();
        asked.add_partition_offset(&topic, 0, Offset::Offset(ms)).expect("an offset");
        reader.offsets_for_times(asked, Duration::from_secs(5)).expect("an answer").elements()[0].offset()
    };
    let first_of = |ms: i64| records.iter().find(|r| r.arrived_ms >= ms).expect("a record").offset;
    for record in &records {
        assert_eq!(at(record.arrived_ms), Offset::Offset(first_of(record.arrived_ms)));
    }
    assert_eq!(at(0), Offset::Offset(0));
    assert_eq!(at(records[19].arrived_ms + 1), Offset::End);
}

pub fn a_reader_that_assigns_itself_reads_from_where_it_says(bootstrap: &str) {
    use rdkafka::{Offset, TopicPartitionList};
    let topic = create(bootstrap, "assigned", 1, &[]);
    produce(bootstrap, &topic, 0..30);
    let reader = consumer(bootstrap, "nobody", &[]);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Offset(17)).expect("an offset");
    reader.assign(&list).expect("assigned");
    let mut offsets = Vec::new();
    poll_until(&[&reader], |_, record| {
        offsets.extend(record.map(|r| r.offset));
        offsets.len() == 13
    });
    assert_eq!(offsets, (17..30).collect::<Vec<_>>());
    assert_eq!(reader.fetch_watermarks(&topic, 0, Duration::from_secs(5)).expect("watermarks"), (0, 30));
}

/// Prints records per second, sending and reading.
#[allow(clippy::print_stdout, reason = "a rate to look at")]
pub fn measure(bootstrap: &str, codec: &str, records: usize, bytes: usize) {
    let topic = create(bootstrap, "rate", 4, &[]);
    let queue = [("queue.buffering.max.messages", "2000000"), ("queue.buffering.max.kbytes", "1000000")];
    let producer = producer(bootstrap, &[("compression.type", codec), ("linger.ms", "20"), queue[0], queue[1]]);
    // Text that compresses to about a half, another piece of it for every record.
    let mut state = 1u32;
    let mut letter = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + u8::try_from(state >> 28).unwrap_or(0))
    };
    let noise: String = (0..1 << 20).map(|_| letter()).collect();
    let begun = Instant::now();
    for n in 0..records {
        let key = n.to_string();
        let from = n * 37 % (noise.len() - bytes);
        let body = &noise[from..from + bytes];
        producer.send(BaseRecord::to(&topic).key(&key).payload(body)).map_err(|(e, _)| e).expect("room");
    }
    producer.flush(Duration::from_secs(120)).expect("all acknowledged");
    let sent = begun.elapsed().as_secs_f64();
    let reader = consumer(bootstrap, &format!("g-{topic}"), &[]);
    reader.subscribe(&[&topic]).expect("subscribed");
    let mut read = 0;
    let mut begun = Instant::now();
    while read < records {
        if let Some(Ok(_)) = reader.poll(Duration::from_secs(10)) {
            if read == 0 {
                begun = Instant::now();
            }
            read += 1;
        }
    }
    let got = begun.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "a rate to look at")]
    let rate = |seconds: f64| (records as f64 / seconds).round();
    println!("{codec}: {bytes} bytes: {} records/s sent, {} records/s read", rate(sent), rate(got));
}
