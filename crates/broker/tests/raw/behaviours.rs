//! What the protocol says byte by byte, of any broker: errors by name, idempotence, long polls. Each function takes an
//! address and the name of a topic that nobody has used, so that Apache Kafka, the oracle, is asked the same.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::super::patience::comes_to;
use super::{Raw, batch};

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.into())
}

pub fn name(topic: &str) -> TopicName {
    TopicName(text(topic))
}

pub fn create(raw: &mut Raw, topic: &str, partitions: i32, configs: &[(&str, &str)]) -> Result<Uuid, ResponseError> {
    let config = |(k, v): &(&str, &str)| CreatableTopicConfig::default().with_name(text(k)).with_value(Some(text(v)));
    let asked = CreatableTopic::default()
        .with_name(name(topic))
        .with_num_partitions(partitions)
        .with_replication_factor(1)
        .with_configs(configs.iter().map(config).collect());
    let made = raw.send(7, &CreateTopicsRequest::default().with_topics(vec![asked])).unwrap().topics.remove(0);
    let id = said(made.error_code, made.topic_id)?;
    comes_to(true, || offsets(raw, topic, -1).is_ok());
    Ok(id)
}

fn said<T>(code: i16, answer: T) -> Result<T, ResponseError> {
    ResponseError::try_from_code(code).map_or(Ok(answer), Err)
}

pub fn produce(raw: &mut Raw, version: i16, topic: &str, records: Bytes) -> Result<i64, ResponseError> {
    let data = PartitionProduceData::default().with_records(Some(records));
    let topic = TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![data]);
    let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(1_000).with_topic_data(vec![topic]);
    let answer = raw.send(version, &request).unwrap().responses.remove(0).partition_responses.remove(0);
    said(answer.error_code, answer.base_offset)
}

pub fn fetch_request(topic: FetchTopic, offset: i64, wait_ms: i32, min_bytes: i32) -> FetchRequest {
    let partition = FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(1 << 20);
    FetchRequest::default()
        .with_max_wait_ms(wait_ms)
        .with_min_bytes(min_bytes)
        .with_max_bytes(1 << 20)
        .with_topics(vec![topic.with_partitions(vec![partition])])
}

pub fn fetch(raw: &mut Raw, topic: &str, offset: i64, wait_ms: i32, min_bytes: i32) -> Result<usize, ResponseError> {
    let request = fetch_request(FetchTopic::default().with_topic(name(topic)), offset, wait_ms, min_bytes);
    let answer = raw.send(12, &request).unwrap().responses.remove(0).partitions.remove(0);
    said(answer.error_code, answer.records.unwrap_or_default().len())
}

pub fn offset_at(raw: &mut Raw, topic: &str, timestamp: i64) -> (i64, i64) {
    offsets(raw, topic, timestamp).unwrap()
}

fn offsets(raw: &mut Raw, topic: &str, timestamp: i64) -> Result<(i64, i64), ResponseError> {
    let partition = ListOffsetsPartition::default().with_timestamp(timestamp);
    let topic = ListOffsetsTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default().with_topics(vec![topic]);
    let answer = raw.send(7, &request).unwrap().topics.remove(0).partitions.remove(0);
    said(answer.error_code, (answer.offset, answer.timestamp))
}

fn producer_id(raw: &mut Raw) -> i64 {
    let mut id = -1;
    comes_to(0, || {
        let answer = raw.send(4, &InitProducerIdRequest::default().with_transactional_id(None)).unwrap();
        id = answer.producer_id.0;
        answer.error_code
    });
    id
}

pub fn a_repeated_batch_is_acknowledged_once_more_with_its_first_offset_and_a_gap_is_refused(at: &str, topic: &str) {
    let mut raw = Raw::connect(at);
    create(&mut raw, topic, 1, &[]).unwrap();
    let id = producer_id(&mut raw);
    assert_ne!(producer_id(&mut raw), id);
    let send = |raw: &mut Raw, epoch, sequence| produce(raw, 9, topic, batch((id, epoch, sequence), &["a", "b"]));
    assert_eq!(send(&mut raw, 0, 0), Ok(0));
    assert_eq!(send(&mut raw, 0, 2), Ok(2));
    assert_eq!(send(&mut raw, 0, 0), Ok(0));
    assert_eq!(send(&mut raw, 0, 6), Err(ResponseError::OutOfOrderSequenceNumber));
    assert_eq!(send(&mut raw, 1, 0), Ok(4));
    assert_eq!(send(&mut raw, 0, 4), Err(ResponseError::InvalidProducerEpoch));
    assert_eq!(offset_at(&mut raw, topic, -1).0, 6);
}

pub fn a_batch_that_cannot_be_kept_is_refused_by_name(at: &str, topic: &str) {
    let mut raw = Raw::connect(at);
    create(&mut raw, topic, 1, &[("max.message.bytes", "200")]).unwrap();
    let good = batch((-1, -1, -1), &["a"]);
    let changed = |at: usize, to: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = to;
        Bytes::from(bytes)
    };
    let large = batch((-1, -1, -1), &[&"x".repeat(300)]);
    for (records, error) in [
        (changed(65, 99), ResponseError::CorruptMessage),
        (large, ResponseError::MessageTooLarge),
        ([good.clone(), good.clone()].concat().into(), ResponseError::InvalidRecord),
    ] {
        assert_eq!(produce(&mut raw, 9, topic, records), Err(error));
    }
    assert_eq!(
        produce(&mut raw, 9, &format!("{topic}-none"), good.clone()),
        Err(ResponseError::UnknownTopicOrPartition)
    );
    assert_eq!(produce(&mut raw, 3, topic, good), Ok(0));
}

pub fn a_fetch_waits_for_records_and_no_longer_than_asked(at: &str, topic: &str) {
    let mut raw = Raw::connect(at);
    create(&mut raw, topic, 1, &[]).unwrap();
    let begun = Instant::now();
    assert_eq!(fetch(&mut raw, topic, 0, 300, 1), Ok(0));
    assert!((300..2_000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());

    let (bootstrap, late_topic) = (at.to_owned(), topic.to_owned());
    let late = std::thread::spawn(move || {
        let mut raw = Raw::connect(&bootstrap);
        std::thread::sleep(Duration::from_millis(200));
        produce(&mut raw, 9, &late_topic, batch((-1, -1, -1), &["a"])).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        produce(&mut raw, 9, &late_topic, batch((-1, -1, -1), &[&"b".repeat(20_000)])).unwrap();
    });
    let begun = Instant::now();
    assert!(fetch(&mut raw, topic, 0, 10_000, 1).unwrap() > 0);
    assert!((150..5_000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    // Not enough bytes until the second batch is there.
    assert!(fetch(&mut raw, topic, 0, 10_000, 15_000).unwrap() > 20_000);
    late.join().unwrap();
}

pub fn an_offset_outside_the_log_and_a_wrong_epoch_are_refused(at: &str, topic: &str) {
    let mut raw = Raw::connect(at);
    let id = create(&mut raw, topic, 1, &[]).unwrap();
    produce(&mut raw, 9, topic, batch((-1, -1, -1), &["a"])).unwrap();
    assert_eq!(fetch(&mut raw, topic, 2, 0, 1), Err(ResponseError::OffsetOutOfRange));
    assert_eq!(fetch(&mut raw, topic, -5, 0, 1), Err(ResponseError::OffsetOutOfRange));
    assert_eq!(fetch(&mut raw, topic, 1, 0, 1), Ok(0));
    let mut ahead = fetch_request(FetchTopic::default().with_topic_id(id), 0, 0, 1);
    ahead.topics[0].partitions[0].current_leader_epoch = 5;
    let answer = raw.send(16, &ahead).unwrap().responses.remove(0).partitions.remove(0);
    assert_eq!(answer.error_code, ResponseError::UnknownLeaderEpoch.code());
    let stranger = fetch_request(FetchTopic::default().with_topic_id(Uuid::new_v4()), 0, 0, 1);
    let answer = raw.send(16, &stranger).unwrap().responses.remove(0).partitions.remove(0);
    assert_eq!(answer.error_code, ResponseError::UnknownTopicId.code());
}

pub fn a_topic_that_is_made_again_has_another_id_and_none_of_the_positions(at: &str, topic: &str) {
    let mut raw = Raw::connect(at);
    let first = create(&mut raw, topic, 1, &[]).unwrap();
    let metadata_id = |raw: &mut Raw| {
        let asked = MetadataRequestTopic::default().with_name(Some(name(topic)));
        raw.send(12, &MetadataRequest::default().with_topics(Some(vec![asked]))).unwrap().topics.remove(0).topic_id
    };
    assert_eq!(metadata_id(&mut raw), first);
    produce(&mut raw, 9, topic, batch((-1, -1, -1), &["a", "b"])).unwrap();
    let partition = offset_commit_request::OffsetCommitRequestPartition::default().with_committed_offset(2);
    let commits = offset_commit_request::OffsetCommitRequestTopic::default()
        .with_name(name(topic))
        .with_partitions(vec![partition]);
    let commit = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(topic)))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![commits]);
    comes_to(0, || {
        raw.send(3, &FindCoordinatorRequest::default().with_key(text(topic))).unwrap();
        raw.send(8, &commit).unwrap().topics[0].partitions[0].error_code
    });
    let committed = |raw: &mut Raw| {
        let asked = offset_fetch_request::OffsetFetchRequestTopic::default()
            .with_name(name(topic))
            .with_partition_indexes(vec![0]);
        let request = OffsetFetchRequest::default().with_group_id(GroupId(text(topic))).with_topics(Some(vec![asked]));
        raw.send(7, &request).unwrap().topics[0].partitions[0].committed_offset
    };
    assert_eq!(committed(&mut raw), 2);

    let gone = DeleteTopicsRequest::default().with_topic_names(vec![name(topic)]).with_timeout_ms(10_000);
    assert_eq!(raw.send(5, &gone).unwrap().responses[0].error_code, 0);
    comes_to(Err(ResponseError::UnknownTopicOrPartition), || fetch(&mut raw, topic, 0, 0, 1));
    let second = create(&mut raw, topic, 1, &[]).unwrap();
    assert_ne!(second, first);
    assert_eq!(metadata_id(&mut raw), second);
    comes_to(-1, || committed(&mut raw));
    assert_eq!(offset_at(&mut raw, topic, -1).0, 0);
    // Who still asks by the old id is told so, instead of being given the new topic's records.
    let old = fetch_request(FetchTopic::default().with_topic_id(first), 0, 0, 1);
    let answer = raw.send(13, &old).unwrap().responses.remove(0).partitions.remove(0);
    assert_eq!(answer.error_code, ResponseError::UnknownTopicId.code());
}

/// A topic's name and its number of partitions are held to the rules.
pub fn a_topic_that_cannot_be_is_refused_by_name(at: &str, topic: &str) {
    let mut raw = Raw::connect(at);
    assert_eq!(create(&mut raw, topic, 0, &[]), Err(ResponseError::InvalidPartitions));
    assert_eq!(create(&mut raw, topic, 1, &[("retention.ms", "soon")]), Err(ResponseError::InvalidConfig));
    assert_eq!(create(&mut raw, topic, 1, &[("no.such.setting", "1")]), Err(ResponseError::InvalidConfig));
    assert_eq!(create(&mut raw, "a/b", 1, &[]), Err(ResponseError::InvalidTopicException));
    create(&mut raw, topic, 1, &[]).unwrap();
    assert_eq!(create(&mut raw, topic, 1, &[]), Err(ResponseError::TopicAlreadyExists));
}
