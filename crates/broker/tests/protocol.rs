//! What a Kafka client sees, through librdkafka. The behaviours in `suite` know nothing but a bootstrap address:
//! `tests/product/parts.rs` asks Apache Kafka, which is the oracle, the same.

#![allow(clippy::unwrap_used, reason = "a test that unwraps reports")]

mod patience;
mod suite;

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use weir_broker::{Broker, BrokerConfig, BrokerError};

fn start(dir: &Path) -> Broker {
    Broker::start(BrokerConfig::new(dir)).unwrap()
}

fn with_broker(behaviour: impl Fn(&str)) {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path());
    behaviour(&broker.bootstrap());
}

#[test]
fn every_codec_comes_back_as_it_was_sent() {
    with_broker(|at| {
        for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
            suite::a_codec_comes_back_as_it_was_sent(at, codec);
        }
    });
}

#[test]
fn two_consumers_share_a_topic_by_range_and_the_one_left_takes_over() {
    with_broker(|at| suite::two_consumers_share_a_topic_and_the_one_left_takes_over(at, "range"));
}

#[test]
fn two_consumers_share_a_topic_cooperatively_and_the_one_left_takes_over() {
    with_broker(|at| suite::two_consumers_share_a_topic_and_the_one_left_takes_over(at, "cooperative-sticky"));
}

#[test]
fn topics_and_settings_are_administered() {
    with_broker(suite::topics_and_settings_are_administered);
}

#[test]
fn groups_are_listed_and_deleted_when_empty() {
    with_broker(suite::groups_are_listed_and_deleted_when_empty);
}

#[test]
fn an_offset_is_found_by_arrival_time() {
    with_broker(suite::an_offset_is_found_by_arrival_time);
}

#[test]
fn a_reader_that_assigns_itself_reads_from_where_it_says() {
    with_broker(suite::a_reader_that_assigns_itself_reads_from_where_it_says);
}

#[test]
fn a_transactional_producer_is_refused_for_good() {
    with_broker(|at| {
        use rdkafka::producer::Producer;
        let producer = suite::producer(at, &[("transactional.id", "x")]);
        let begun = Instant::now();
        let error = producer.init_transactions(Duration::from_secs(20)).unwrap_err();
        assert!(error.to_string().contains("Transactional"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(10), "it was tried again and again");
    });
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

fn segment(dir: &Path) -> std::path::PathBuf {
    let topic = std::fs::read_dir(dir.join("topics")).unwrap().next().unwrap().unwrap().path();
    topic.join("0").join("00000000000000000000.log")
}

#[test]
fn a_torn_tail_is_cut_and_reported_and_the_topic_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path());
    let topic = suite::create(&broker.bootstrap(), "torn", 1, &[]);
    suite::produce(&broker.bootstrap(), &topic, 0..50);
    drop(broker);
    File::options().append(true).open(segment(dir.path())).unwrap().write_all(b"half a batch").unwrap();

    let broker = start(dir.path());
    let cut = &broker.recovered().cut;
    assert_eq!((cut.len(), cut[0].bytes, &cut[0].file), (1, 12, &segment(dir.path())));
    suite::produce(&broker.bootstrap(), &topic, 50..60);
    let mut keys: Vec<_> = suite::consume(&broker.bootstrap(), &topic, "g", 60).into_iter().map(|s| s.offset).collect();
    keys.dedup();
    assert_eq!(keys, (0..60).collect::<Vec<_>>());
}

#[test]
fn a_second_broker_on_the_folder_a_used_port_and_a_foreign_address_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path());
    let second = Broker::start(BrokerConfig::new(dir.path())).unwrap_err();
    assert!(matches!(second, BrokerError::FolderLocked { dir: ref named } if named == dir.path()));
    assert!(second.to_string().contains(dir.path().to_str().unwrap()));

    let other = tempfile::tempdir().unwrap();
    let used = BrokerConfig::new(other.path()).listening(broker.address());
    assert!(matches!(Broker::start(used), Err(BrokerError::PortInUse { address }) if address == broker.address()));
    for open in ["0.0.0.0:0", "[::]:0", "10.0.0.1:9092"] {
        let address: SocketAddr = open.parse().unwrap();
        let config = BrokerConfig::new(other.path()).listening(address);
        assert!(matches!(Broker::start(config), Err(BrokerError::NotLoopback { address: a }) if a == address));
    }
}

#[tokio::test]
async fn a_broker_that_was_shut_down_lets_go_of_port_and_folder() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path());
    let address = broker.address();
    broker.shutdown().await.unwrap();
    let again = Broker::start(BrokerConfig::new(dir.path()).listening(address)).unwrap();
    assert!(!again.recovered().unclean);
    again.shutdown().await.unwrap();
}

/// The broker process of the kill test: this test binary, started again. Does nothing in an ordinary run.
#[test]
fn child_process_that_serves_until_it_is_killed() {
    let Ok(dir) = std::env::var("WEIR_TEST_BROKER_DIR") else { return };
    let listen = std::env::var("WEIR_TEST_BROKER_LISTEN").unwrap().parse().unwrap();
    let broker = Broker::start(BrokerConfig::new(&dir).listening(listen)).unwrap();
    std::fs::write(Path::new(&dir).join("address"), broker.bootstrap()).unwrap();
    std::thread::sleep(Duration::from_secs(120));
}

struct Child(std::process::Child, String);

impl Child {
    fn start(dir: &Path, listen: &str) -> Self {
        let _ = std::fs::remove_file(dir.join("address"));
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_process_that_serves_until_it_is_killed", "--nocapture"])
            .env("WEIR_TEST_BROKER_DIR", dir)
            .env("WEIR_TEST_BROKER_LISTEN", listen)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut started = Self(child, String::new());
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            match std::fs::read_to_string(dir.join("address")) {
                Ok(address) if !address.is_empty() => {
                    started.1 = address;
                    return started;
                }
                _ => std::thread::sleep(Duration::from_millis(10)),
            }
        }
        panic!("the broker process did not start");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_kill_while_records_are_sent_loses_and_doubles_none() {
    const RECORDS: usize = 60_000;
    let dir = tempfile::tempdir().unwrap();
    let first = Child::start(dir.path(), "127.0.0.1:0");
    let address = first.1.clone();
    let topic = suite::create(&address, "killed", 3, &[]);
    let sender = {
        let (address, topic) = (address.clone(), topic.clone());
        std::thread::spawn(move || suite::produce_slowly(&address, &topic, RECORDS))
    };
    let mut running = first;
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(700));
        drop(running);
        running = Child::start(dir.path(), &address);
    }
    sender.join().unwrap();
    let found = suite::consume(&address, &topic, "g", RECORDS);
    let mut numbers: Vec<usize> = found.iter().map(|s| s.key[1..].parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..RECORDS).collect::<Vec<_>>());
    assert!(suite::consume_within(&address, &topic, "g", 1, Duration::from_secs(1)).is_empty());
}

/// Prints rates; not a check. `cargo test --release -p weir-broker --test protocol -- --ignored --nocapture`
#[test]
#[ignore = "measures"]
fn throughput() {
    with_broker(|at| {
        for codec in ["none", "lz4", "zstd"] {
            suite::measure(at, codec, 1_000_000, 100);
        }
    });
}
