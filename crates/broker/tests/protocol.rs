//! What a Kafka client sees, through librdkafka. The behaviours in `suite` know nothing but a bootstrap address,
//! so that the same functions can run against Apache Kafka, which is the oracle.

#![allow(clippy::unwrap_used, reason = "a test that unwraps reports")]

mod suite;

use std::time::Duration;

use weir_broker::{Broker, BrokerConfig};

fn start(dir: &std::path::Path) -> Broker {
    Broker::start(BrokerConfig::new(dir)).expect("a broker")
}

#[test]
fn every_codec_comes_back_as_it_was_sent() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path());
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        suite::a_codec_comes_back_as_it_was_sent(&broker.bootstrap(), codec);
    }
}

#[test]
fn records_and_committed_offsets_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path());
    let topic = suite::create(&broker.bootstrap(), "kept", 2, &[]);
    suite::produce(&broker.bootstrap(), &topic, 0..100);
    assert_eq!(suite::consume(&broker.bootstrap(), &topic, "g", 60).len(), 60);
    drop(broker);

    let broker = start(dir.path());
    assert!(!broker.recovered().unclean);
    suite::produce(&broker.bootstrap(), &topic, 100..110);
    let rest = suite::consume(&broker.bootstrap(), &topic, "g", 50);
    assert_eq!(rest.len(), 50);
    assert!(suite::consume_within(&broker.bootstrap(), &topic, "g", 1, Duration::from_secs(2)).is_empty());
}
