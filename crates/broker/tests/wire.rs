//! What this broker says byte by byte: versions, restarts, retention. What any broker says is in `raw/behaviours.rs`.

#![allow(clippy::unwrap_used, reason = "a test that unwraps reports")]

mod patience;
mod raw;

use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::fetch_request::FetchTopic;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::Request;
use raw::behaviours::{self, create, fetch, fetch_request, name, offset_at, produce, text};
use raw::{Raw, batch};
use uuid::Uuid;
use weir_broker::{Broker, BrokerConfig, ManualClock};

fn start() -> (tempfile::TempDir, Broker, Raw) {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(BrokerConfig::new(dir.path())).unwrap();
    let raw = Raw::connect(&broker.bootstrap());
    (dir, broker, raw)
}

/// The behaviours that Apache Kafka is asked for too.
mod as_kafka_does {
    use super::*;

    fn with_broker(behaviour: impl Fn(&str, &str)) {
        let (_dir, broker, _) = start();
        behaviour(&broker.bootstrap(), "t");
    }

    #[test]
    fn a_repeated_batch_is_acknowledged_once_more_with_its_first_offset_and_a_gap_is_refused() {
        with_broker(behaviours::a_repeated_batch_is_acknowledged_once_more_with_its_first_offset_and_a_gap_is_refused);
    }

    #[test]
    fn a_batch_that_cannot_be_kept_is_refused_by_name() {
        with_broker(behaviours::a_batch_that_cannot_be_kept_is_refused_by_name);
    }

    #[test]
    fn a_fetch_waits_for_records_and_no_longer_than_asked() {
        with_broker(behaviours::a_fetch_waits_for_records_and_no_longer_than_asked);
    }

    #[test]
    fn an_offset_outside_the_log_and_a_wrong_epoch_are_refused() {
        with_broker(behaviours::an_offset_outside_the_log_and_a_wrong_epoch_are_refused);
    }

    #[test]
    fn a_topic_that_is_made_again_has_another_id_and_none_of_the_positions() {
        with_broker(behaviours::a_topic_that_is_made_again_has_another_id_and_none_of_the_positions);
    }

    #[test]
    fn a_topic_that_cannot_be_is_refused_by_name() {
        with_broker(behaviours::a_topic_that_cannot_be_is_refused_by_name);
    }
}

/// Kafka calls these `InvalidRecord`.
#[test]
fn a_batch_that_is_none_is_refused() {
    let (_dir, _broker, mut raw) = start();
    create(&mut raw, "t", 1, &[]).unwrap();
    let good = batch((-1, -1, -1), &["a"]);
    let mut old = good.to_vec();
    old[16] = 1;
    assert_eq!(produce(&mut raw, 9, "t", old.into()), Err(ResponseError::UnsupportedForMessageFormat));
    assert_eq!(produce(&mut raw, 9, "t", good.slice(..30)), Err(ResponseError::CorruptMessage));
    assert_eq!(produce(&mut raw, 9, "t", bytes::Bytes::new()), Err(ResponseError::CorruptMessage));
}

/// Sends a request in every version that is offered, and demands a readable answer each time.
fn in_every_version<R: Request>(bootstrap: &str, request: impl Fn(i16) -> R) {
    let mut raw = Raw::connect(bootstrap);
    let (_, min, max) = raw.offered().into_iter().find(|(key, ..)| *key as i16 == R::KEY).unwrap();
    for version in min..=max {
        assert!(raw.send(version, &request(version)).is_some(), "{:?} version {version}", ApiKey::try_from(R::KEY));
    }
}

#[test]
fn every_offered_version_of_every_request_is_answered_readably() {
    let (_dir, broker, mut raw) = start();
    let at = broker.bootstrap();
    let id = create(&mut raw, "t", 2, &[]).unwrap();
    let group = || GroupId(text("g"));
    let mut tried = 0;
    macro_rules! each {
        ($($request:expr),* $(,)?) => {$( tried += 1; in_every_version(&at, $request); )*};
    }
    each!(
        |_| ApiVersionsRequest::default().with_client_software_name(text("x")).with_client_software_version(text("1")),
        |_| MetadataRequest::default().with_topics(Some(vec![
            MetadataRequestTopic::default().with_name(Some(name("t"))),
            MetadataRequestTopic::default().with_name(Some(name("none"))),
        ])),
        |_| {
            let data = PartitionProduceData::default().with_records(Some(batch((-1, -1, -1), &["v"])));
            let topics = ["t", "none"]
                .map(|t| TopicProduceData::default().with_name(name(t)).with_partition_data(vec![data.clone()]));
            ProduceRequest::default().with_acks(1).with_topic_data(topics.into())
        },
        |v| {
            let topic = FetchTopic::default();
            fetch_request(if v >= 13 { topic.with_topic_id(id) } else { topic.with_topic(name("t")) }, 0, 0, 1)
        },
        |v| {
            let epoch = if v >= 4 { 0 } else { -1 };
            let partition = ListOffsetsPartition::default().with_timestamp(-1).with_current_leader_epoch(epoch);
            let topic = ListOffsetsTopic::default().with_name(name("t")).with_partitions(vec![partition]);
            ListOffsetsRequest::default().with_topics(vec![topic])
        },
        |_| {
            let partition = OffsetForLeaderPartition::default().with_leader_epoch(0);
            let topic = OffsetForLeaderTopic::default().with_topic(name("t")).with_partitions(vec![partition]);
            OffsetForLeaderEpochRequest::default().with_topics(vec![topic])
        },
        |v| {
            let request = FindCoordinatorRequest::default();
            if v >= 4 { request.with_coordinator_keys(vec![text("g")]) } else { request.with_key(text("g")) }
        },
        |_| JoinGroupRequest::default()
            .with_group_id(group())
            .with_session_timeout_ms(10_000)
            .with_protocol_type(text("consumer"))
            .with_member_id(text("stranger"))
            .with_protocols(vec![join_group_request::JoinGroupRequestProtocol::default().with_name(text("range"))]),
        |_| SyncGroupRequest::default().with_group_id(group()).with_member_id(text("stranger")),
        |_| HeartbeatRequest::default().with_group_id(group()).with_member_id(text("stranger")),
        |v| {
            let request = LeaveGroupRequest::default().with_group_id(group());
            let member = leave_group_request::MemberIdentity::default().with_member_id(text("stranger"));
            if v >= 3 { request.with_members(vec![member]) } else { request.with_member_id(text("stranger")) }
        },
        |_| {
            let partition = offset_commit_request::OffsetCommitRequestPartition::default().with_committed_offset(3);
            let topic = offset_commit_request::OffsetCommitRequestTopic::default()
                .with_name(name("t"))
                .with_partitions(vec![partition]);
            OffsetCommitRequest::default()
                .with_group_id(group())
                .with_generation_id_or_member_epoch(-1)
                .with_topics(vec![topic])
        },
        |v| {
            if v >= 8 {
                let asked =
                    offset_fetch_request::OffsetFetchRequestGroup::default().with_group_id(group()).with_topics(None);
                return OffsetFetchRequest::default().with_groups(vec![asked]);
            }
            let topic = offset_fetch_request::OffsetFetchRequestTopic::default()
                .with_name(name("t"))
                .with_partition_indexes(vec![0, 1]);
            OffsetFetchRequest::default().with_group_id(group()).with_topics(Some(vec![topic]))
        },
        |_| DescribeGroupsRequest::default().with_groups(vec![group(), GroupId(text("none"))]),
        |_| ListGroupsRequest::default(),
        |_| DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text("none"))]),
        |v| {
            let topic = CreatableTopic::default()
                .with_name(name(&format!("made{v}")))
                .with_num_partitions(1)
                .with_replication_factor(1);
            CreateTopicsRequest::default().with_topics(vec![topic.clone(), topic.with_name(name("t"))])
        },
        |v| {
            if v >= 6 {
                let by_name = delete_topics_request::DeleteTopicState::default().with_name(Some(name("made6")));
                let by_id =
                    delete_topics_request::DeleteTopicState::default().with_name(None).with_topic_id(Uuid::new_v4());
                return DeleteTopicsRequest::default().with_topics(vec![by_name, by_id]);
            }
            DeleteTopicsRequest::default().with_topic_names(vec![name(&format!("made{}", v + 1)), name("none")])
        },
        |_| CreatePartitionsRequest::default().with_topics(vec![
            create_partitions_request::CreatePartitionsTopic::default()
                .with_name(name("t"))
                .with_count(1)
                .with_assignments(None),
        ]),
        |_| DescribeConfigsRequest::default()
            .with_resources(vec![
                describe_configs_request::DescribeConfigsResource::default()
                    .with_resource_type(2)
                    .with_resource_name(text("t"))
                    .with_configuration_keys(None),
                describe_configs_request::DescribeConfigsResource::default()
                    .with_resource_type(4)
                    .with_resource_name(text("1"))
                    .with_configuration_keys(None),
            ])
            .with_include_synonyms(true),
        |_| IncrementalAlterConfigsRequest::default().with_resources(vec![
            incremental_alter_configs_request::AlterConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(text("t"))
                .with_configs(vec![
                    incremental_alter_configs_request::AlterableConfig::default()
                        .with_name(text("retention.ms"))
                        .with_value(Some(text("5000"))),
                ]),
        ]),
        |_| AlterConfigsRequest::default().with_resources(vec![
            alter_configs_request::AlterConfigsResource::default().with_resource_type(2).with_resource_name(text("t")),
        ]),
        |_| DescribeClusterRequest::default(),
        |_| InitProducerIdRequest::default().with_transactional_id(None),
    );
    assert_eq!(tried, raw.offered().len(), "a request is offered that is not tried here");
}

#[test]
fn a_client_that_is_too_new_is_told_what_it_may_ask_and_any_other_wrong_version_ends_the_connection() {
    let (_dir, broker, mut raw) = start();
    let mut answer = raw.exchange(18, 99, 2, b"\x00").unwrap();
    assert_eq!(answer.split_to(4), 77i32.to_be_bytes()[..]);
    let told = <ApiVersionsResponse as kafka_protocol::protocol::Decodable>::decode(&mut answer, 0).unwrap();
    assert_eq!(told.error_code, ResponseError::UnsupportedVersion.code());
    assert!(told.api_keys.iter().any(|a| a.api_key == 18 && a.max_version == 4));
    for (key, version) in [(0, 2), (1, 17), (3, 13), (9_999, 0)] {
        let mut raw = Raw::connect(&broker.bootstrap());
        assert!(raw.exchange(key, version, 1, b"").is_none(), "{key} {version}");
    }
    // Bytes that are no request end their own connection only.
    assert!(Raw::connect(&broker.bootstrap()).exchange(3, 9, 2, b"\xff\xff\xff").is_none());
    assert!(raw.send(0, &ApiVersionsRequest::default()).is_some());
}

#[test]
fn transactions_are_not_offered_and_refused_with_the_protocols_own_errors() {
    let (_dir, _broker, mut raw) = start();
    create(&mut raw, "t", 1, &[]).unwrap();
    let offered: Vec<_> = raw.offered().into_iter().map(|(key, ..)| key).collect();
    for key in [ApiKey::AddPartitionsToTxn, ApiKey::AddOffsetsToTxn, ApiKey::TxnOffsetCommit, ApiKey::EndTxn] {
        assert!(!offered.contains(&key));
    }
    let unsupported = ResponseError::UnsupportedVersion.code();
    let topic =
        add_partitions_to_txn_request::AddPartitionsToTxnTopic::default().with_name(name("t")).with_partitions(vec![0]);
    let answer = raw.send(3, &AddPartitionsToTxnRequest::default().with_v3_and_below_topics(vec![topic])).unwrap();
    let partition = &answer.results_by_topic_v3_and_below[0].results_by_partition[0];
    assert_eq!(partition.partition_error_code, unsupported);
    assert_eq!(raw.send(3, &AddOffsetsToTxnRequest::default()).unwrap().error_code, unsupported);
    assert_eq!(raw.send(3, &EndTxnRequest::default()).unwrap().error_code, unsupported);
    let partition = txn_offset_commit_request::TxnOffsetCommitRequestPartition::default();
    let topic = txn_offset_commit_request::TxnOffsetCommitRequestTopic::default()
        .with_name(name("t"))
        .with_partitions(vec![partition]);
    let answer = raw.send(3, &TxnOffsetCommitRequest::default().with_topics(vec![topic])).unwrap();
    assert_eq!(answer.topics[0].partitions[0].error_code, unsupported);

    let refused = ResponseError::TransactionalIdAuthorizationFailed.code();
    let named = InitProducerIdRequest::default().with_transactional_id(Some(TransactionalId(text("x"))));
    assert_eq!(raw.send(4, &named).unwrap().error_code, refused);
    let coordinator = FindCoordinatorRequest::default().with_key(text("x")).with_key_type(1);
    let answer = raw.send(3, &coordinator).unwrap();
    assert_eq!(answer.error_code, refused);
    assert!(answer.error_message.unwrap().contains("not supported"));
}

#[test]
fn what_a_producer_sent_last_is_known_after_a_restart() {
    let (dir, broker, mut raw) = start();
    create(&mut raw, "t", 1, &[]).unwrap();
    let init = InitProducerIdRequest::default().with_transactional_id(None);
    let id = raw.send(4, &init).unwrap().producer_id.0;
    let send = |raw: &mut Raw, epoch, sequence| produce(raw, 9, "t", batch((id, epoch, sequence), &["a", "b"]));
    assert_eq!(send(&mut raw, 0, 0), Ok(0));
    assert_eq!(send(&mut raw, 0, 2), Ok(2));
    drop((raw, broker));

    let broker = Broker::start(BrokerConfig::new(dir.path())).unwrap();
    let mut raw = Raw::connect(&broker.bootstrap());
    assert_eq!(send(&mut raw, 0, 2), Ok(2));
    assert_eq!(send(&mut raw, 0, 4), Ok(4));
    assert_eq!(send(&mut raw, 1, 0), Ok(6));
    assert_eq!(send(&mut raw, 0, 6), Err(ResponseError::InvalidProducerEpoch));
    assert_eq!(offset_at(&mut raw, "t", -1).0, 8);
}

#[test]
fn a_topic_that_asks_for_what_this_broker_lacks_is_refused() {
    let (_dir, _broker, mut raw) = start();
    for (configs, partitions, error) in [
        (&[("message.timestamp.type", "CreateTime")][..], 1, ResponseError::InvalidConfig),
        (&[("flush.ms", "1")], 1, ResponseError::InvalidConfig),
        (&[], 1_001, ResponseError::InvalidPartitions),
    ] {
        assert_eq!(create(&mut raw, "t", partitions, configs), Err(error));
    }
}

#[test]
fn a_setting_is_changed_alone_and_a_bad_one_changes_nothing() {
    let (dir, broker, mut raw) = start();
    create(&mut raw, "t", 1, &[("segment.bytes", "5000")]).unwrap();
    let alter = |raw: &mut Raw, operation: i8, key: &str, value: &str| {
        let config = incremental_alter_configs_request::AlterableConfig::default()
            .with_name(text(key))
            .with_config_operation(operation)
            .with_value(Some(text(value)));
        let resource = incremental_alter_configs_request::AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text("t"))
            .with_configs(vec![config]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        ResponseError::try_from_code(raw.send(1, &request).unwrap().responses[0].error_code)
    };
    let value = |raw: &mut Raw, key: &str| {
        let resource = describe_configs_request::DescribeConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text("t"))
            .with_configuration_keys(Some(vec![text(key)]));
        let answer = raw.send(4, &DescribeConfigsRequest::default().with_resources(vec![resource])).unwrap();
        answer.results[0].configs[0].value.clone().unwrap().to_string()
    };
    let (set, delete, append) = (0, 1, 2);
    assert_eq!(alter(&mut raw, set, "retention.ms", "1000"), None);
    assert_eq!(alter(&mut raw, append, "cleanup.policy", "compact"), None);
    assert_eq!(alter(&mut raw, set, "retention.ms", "soon"), Some(ResponseError::InvalidConfig));
    assert_eq!(alter(&mut raw, set, "preallocate", "true"), Some(ResponseError::InvalidConfig));
    drop((raw, broker));
    let broker = Broker::start(BrokerConfig::new(dir.path())).unwrap();
    let mut raw = Raw::connect(&broker.bootstrap());
    assert_eq!(value(&mut raw, "retention.ms"), "1000");
    assert_eq!(value(&mut raw, "cleanup.policy"), "delete,compact");
    assert_eq!(value(&mut raw, "segment.bytes"), "5000");
    assert_eq!(alter(&mut raw, delete, "retention.ms", ""), None);
    assert_eq!(value(&mut raw, "retention.ms"), "604800000");
}

#[test]
fn retention_counts_from_arrival_and_moves_the_low_watermark() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(1_700_000_000_000));
    let mut config = BrokerConfig::new(dir.path());
    config.clock = Arc::clone(&clock) as _;
    config.retention_check = Duration::from_millis(20);
    let broker = Broker::start(config).unwrap();
    let mut raw = Raw::connect(&broker.bootstrap());
    let week = 7 * 86_400;
    create(&mut raw, "t", 1, &[("retention.ms", &(week * 1_000).to_string()), ("segment.bytes", "1000")]).unwrap();
    // The batches claim 1970 as their time; what counts is when they came.
    let send = |raw: &mut Raw| produce(raw, 9, "t", batch((-1, -1, -1), &[&"x".repeat(600)])).unwrap();
    for _ in 0..3 {
        send(&mut raw);
        clock.advance(Duration::from_secs(86_400));
    }
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(offset_at(&mut raw, "t", -2).0, 0);
    assert_eq!(offset_at(&mut raw, "t", 1_700_000_000_001), (1, 1_700_086_400_000));
    clock.advance(Duration::from_secs(week - 3 * 86_400 + 1));
    let low = wait_for(|| Some(offset_at(&mut raw, "t", -2).0).filter(|low| *low > 0));
    assert_eq!(low, 1);
    assert_eq!(fetch(&mut raw, "t", 0, 0, 1), Err(ResponseError::OffsetOutOfRange));
    clock.advance(Duration::from_secs(week));
    let low = wait_for(|| Some(offset_at(&mut raw, "t", -2).0).filter(|low| *low > 1));
    assert_eq!(low, 3);
    assert_eq!(send(&mut raw), 3);
}

fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "it did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_epoch_grows_after_an_unclean_end_and_tells_where_the_old_one_ended() {
    let (dir, broker, mut raw) = start();
    create(&mut raw, "t", 1, &[]).unwrap();
    produce(&mut raw, 9, "t", batch((-1, -1, -1), &["a", "b"])).unwrap();
    drop((raw, broker));
    let state = dir.path().join("broker.json");
    let unclean = std::fs::read_to_string(&state).unwrap().replace("\"clean\":true", "\"clean\":false");
    std::fs::write(&state, unclean).unwrap();

    let broker = Broker::start(BrokerConfig::new(dir.path())).unwrap();
    assert!(broker.recovered().unclean);
    let mut raw = Raw::connect(&broker.bootstrap());
    produce(&mut raw, 9, "t", batch((-1, -1, -1), &["c"])).unwrap();
    let end = |raw: &mut Raw, epoch| {
        let partition = OffsetForLeaderPartition::default().with_current_leader_epoch(1).with_leader_epoch(epoch);
        let topic = OffsetForLeaderTopic::default().with_topic(name("t")).with_partitions(vec![partition]);
        let answer = raw.send(4, &OffsetForLeaderEpochRequest::default().with_topics(vec![topic])).unwrap();
        let answer = &answer.topics[0].partitions[0];
        (answer.leader_epoch, answer.end_offset)
    };
    assert_eq!(end(&mut raw, 0), (0, 2));
    assert_eq!(end(&mut raw, 1), (1, 3));
}
