//! What the embedded broker's tests and the client's ask of the embedded broker, asked of Apache Kafka, which is the
//! oracle: what holds here must hold there.

#[path = "../../../crates/broker/tests/suite/mod.rs"]
#[allow(dead_code, reason = "what Kafka is not asked for")]
mod broker;
#[path = "../../../crates/stream/tests/suite/mod.rs"]
mod client;
#[path = "../../../crates/broker/tests/patience/mod.rs"]
mod patience;
#[path = "../../../crates/broker/tests/raw/mod.rs"]
#[allow(dead_code, reason = "what Kafka is not asked for")]
mod raw;

pub use client::wait;

use super::parts;

fn with_kafka(behaviour: impl Fn(&str)) {
    let Some(at) = parts("") else { return };
    behaviour(at["kafka"]["plain"].as_str().unwrap());
}

fn with_cluster(listener: &str, behaviour: impl Fn(&client::Cluster)) {
    let Some(at) = parts("") else { return };
    let kafka = &at["kafka"];
    let password = std::fs::read_to_string(kafka["password"].as_str().unwrap()).unwrap();
    let client = super::client(kafka, listener, &password);
    behaviour(&client::Cluster { brokers: kafka[listener].as_str().unwrap().to_owned(), client });
}

macro_rules! kafka_too {
    ($with:expr; $($suite:ident::$behaviour:ident)*) => {
        $(#[test]
        fn $behaviour() {
            $with($suite::$behaviour);
        })*
    };
}

mod clients {
    use super::*;

    kafka_too! { with_kafka;
        broker::topics_and_settings_are_administered
        broker::groups_are_listed_and_deleted_when_empty
        broker::an_offset_is_found_by_arrival_time
        broker::a_reader_that_assigns_itself_reads_from_where_it_says
    }

    #[test]
    fn every_codec_comes_back_as_it_was_sent() {
        with_kafka(|at| {
            for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
                broker::a_codec_comes_back_as_it_was_sent(at, codec);
            }
        });
    }

    #[test]
    fn two_consumers_share_a_topic_and_the_one_left_takes_over() {
        with_kafka(|at| {
            for strategy in ["range", "cooperative-sticky"] {
                broker::two_consumers_share_a_topic_and_the_one_left_takes_over(at, strategy);
            }
        });
    }
}

mod bytes {
    use super::raw::behaviours;
    use super::*;

    fn with_topic(behaviour: impl Fn(&str, &str)) {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        with_kafka(|at| behaviour(at, &format!("bytes-{number}")));
    }

    kafka_too! { with_topic;
        behaviours::a_repeated_batch_is_acknowledged_once_more_with_its_first_offset_and_a_gap_is_refused
        behaviours::a_batch_that_cannot_be_kept_is_refused_by_name
        behaviours::a_fetch_waits_for_records_and_no_longer_than_asked
        behaviours::an_offset_outside_the_log_and_a_wrong_epoch_are_refused
        behaviours::a_topic_that_is_made_again_has_another_id_and_none_of_the_positions
        behaviours::a_topic_that_cannot_be_is_refused_by_name
    }
}

mod weir {
    use super::*;

    fn over_tls(behaviour: impl Fn(&client::Cluster)) {
        with_cluster("tls", behaviour);
    }

    kafka_too! { over_tls;
        client::records_come_back_as_they_were_sent_each_partition_in_its_order
        client::a_reader_starts_at_its_own_offset_and_a_batch_keeps_to_its_limits
        client::an_offset_that_is_not_held_is_an_error_and_no_silent_jump
        client::members_of_a_group_share_the_partitions_and_read_nothing_before_they_say_from_where
        client::a_topic_made_anew_has_another_id
        client::a_topic_that_exists_keeps_its_partitions_and_at_least_its_retention
        client::a_topic_that_is_not_there_is_named
        client::a_record_for_a_partition_that_is_not_there_is_never_called_sent
    }

    #[test]
    fn records_come_back_over_scram_without_tls() {
        with_cluster("sasl", client::records_come_back_as_they_were_sent_each_partition_in_its_order);
    }
}
