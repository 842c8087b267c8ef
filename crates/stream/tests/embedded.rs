//! The client against the embedded broker. `tests/product/parts.rs` asks the same of Apache Kafka.

#![allow(clippy::unwrap_used, reason = "a test that unwraps reports")]

#[path = "../../broker/tests/patience/mod.rs"]
mod patience;
mod suite;

use std::time::{Duration, Instant};

use suite::{Cluster, read, wait};
use tempfile::TempDir;
use weir_broker::{Broker, BrokerConfig};
use weir_core::diagnosis::{Diagnose, Retry};
use weir_stream::{Admin, Connection, Consumer, Producer, Start};

fn with_broker(behaviour: impl Fn(&Cluster)) {
    let folder = TempDir::new().unwrap();
    let broker = Broker::start(BrokerConfig::new(folder.path())).unwrap();
    behaviour(&Cluster { brokers: broker.bootstrap(), ..Cluster::default() });
}

#[test]
fn records_come_back_as_they_were_sent_each_partition_in_its_order() {
    with_broker(suite::records_come_back_as_they_were_sent_each_partition_in_its_order);
}

#[test]
fn a_reader_starts_at_its_own_offset_and_a_batch_keeps_to_its_limits() {
    with_broker(suite::a_reader_starts_at_its_own_offset_and_a_batch_keeps_to_its_limits);
}

#[test]
fn an_offset_that_is_not_held_is_an_error_and_no_silent_jump() {
    with_broker(suite::an_offset_that_is_not_held_is_an_error_and_no_silent_jump);
}

#[test]
fn members_of_a_group_share_the_partitions_and_read_nothing_before_they_say_from_where() {
    with_broker(suite::members_of_a_group_share_the_partitions_and_read_nothing_before_they_say_from_where);
}

#[test]
fn a_topic_made_anew_has_another_id() {
    with_broker(suite::a_topic_made_anew_has_another_id);
}

#[test]
fn a_topic_that_exists_keeps_its_partitions_and_at_least_its_retention() {
    with_broker(suite::a_topic_that_exists_keeps_its_partitions_and_at_least_its_retention);
}

#[test]
fn a_topic_that_is_not_there_is_named() {
    with_broker(suite::a_topic_that_is_not_there_is_named);
}

#[test]
fn a_record_for_a_partition_that_is_not_there_is_never_called_sent() {
    with_broker(suite::a_record_for_a_partition_that_is_not_there_is_never_called_sent);
}

#[test]
fn a_reader_outlives_a_restart_of_the_broker() {
    let folder = TempDir::new().unwrap();
    let broker = Broker::start(BrokerConfig::new(folder.path())).unwrap();
    let (address, connection) = (broker.address(), Connection::new(broker.bootstrap(), [].into()));
    let topic = "restarted";
    wait(Admin::new(&connection).unwrap().ensure_topic(topic, 1, Duration::from_secs(86_400))).unwrap();
    let send = || {
        let producer = Producer::new(&connection).unwrap();
        producer.send(topic, 0, None, Some(b"x"), &[]).unwrap();
        producer.flush().unwrap();
    };
    send();
    let mut consumer = Consumer::new(&connection, topic).unwrap();
    consumer.assign(&[(0, Start::Earliest)]).unwrap();
    read(&consumer, 1);
    wait(broker.shutdown()).unwrap();
    let _broker = Broker::start(BrokerConfig::new(folder.path()).listening(address)).unwrap();
    send();
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        assert!(Instant::now() < end, "the second record never came");
        match consumer.poll_batch(10, 1 << 20, Duration::from_millis(200)) {
            Ok(batch) if batch.is_empty() => {}
            Ok(batch) => return assert_eq!((batch.len(), batch.record(0).offset), (1, 1)),
            Err(error) => assert_eq!(error.diagnosis().retry, Retry::Later, "{error:?}"),
        }
    }
}
