//! Who may not in is told so, and no secret is printed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_project::{Secret, SecretText, Vault};
use weir_stream::{Admin, AwsVault, Connection, Consumer, Producer, Start};
use weir_testkit::harness::Outcome;

use super::{client, on_parts, parts};

fn assert_silent(outcome: &Outcome, secret: &str) {
    assert!(!outcome.stdout.contains(secret) && !outcome.stderr.contains(secret), "a secret was printed");
}

#[test]
fn a_password_is_used_and_never_printed() {
    let Some(at) = parts("") else { return };
    let file = at["kafka"]["password"].as_str().unwrap();
    let password = std::fs::read_to_string(file).unwrap();
    for listener in ["sasl", "tls"] {
        let place = on_parts("pipelines/retail", &at, listener, 1);
        let listed = place.weir(&["-vv", "topic", "ls"]).run().expect_code(0);
        assert_silent(&listed, &password);
        let shown = place.run(&["config", "show", "--resolved"]);
        assert!(shown.stdout.contains(file), "{}", shown.stdout);
        assert_silent(&shown, &password);
    }
}

#[test]
fn a_reader_that_was_refused_goes_on_with_a_password_that_was_changed_meanwhile() {
    let Some(at) = parts("") else { return };
    let kafka = &at["kafka"];
    let password = std::fs::read_to_string(kafka["password"].as_str().unwrap()).unwrap();
    let kept = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(kept.path(), "the old one").unwrap();
    let vault: Arc<dyn Vault> = Arc::new(AwsVault::of_process());
    let brokers = kafka["sasl"].as_str().unwrap();
    let good = Connection::new(brokers, client(kafka, "sasl", password.trim_end()));
    let topic = "listeners.rotated";
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(Admin::new(&good).unwrap().ensure_topic(topic, 1, Duration::from_secs(86_400))).unwrap();
    let producer = Producer::new(&good).unwrap();
    producer.send(topic, 0, None, Some(b"v"), &[]).unwrap();
    producer.flush().unwrap();

    let secret = |(name, value): (String, String)| (name, SecretText::plain(value).within(&vault));
    let settings = client(kafka, "sasl", &format!("${{file:{}}}", kept.path().display()));
    let connection = Connection::secret(Secret::plain(brokers), settings.into_iter().map(secret).collect());
    let mut consumer = Consumer::new(&connection, topic).unwrap();
    std::fs::write(kept.path(), &password).unwrap();
    consumer.assign(&[(0, Start::Earliest)]).unwrap();
    let began = Instant::now();
    while consumer.poll_batch(1, 1, Duration::from_millis(500)).unwrap().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(60), "no record came");
    }
}

#[test]
fn a_wrong_password_and_a_client_without_tls_are_told_what_to_look_at() {
    let Some(at) = parts("") else { return };
    let wrong = "Wrong-and-secret";
    let place = on_parts("pipelines/retail", &at, "tls", 1);
    let refused = place.weir(&["-vv", "--set", "stream.client.sasl.password=${env:WRONG}", "topic", "ls"]);
    let refused = refused.env("WRONG", wrong).run().expect_code(75);
    assert!(refused.stderr.contains("W3202") && refused.stderr.contains("SASL"), "{}", refused.stderr);
    assert_silent(&refused, wrong);

    let place = on_parts("pipelines/retail", &at, "plain", 1);
    let to_tls = format!("stream.brokers={}", at["kafka"]["tls"].as_str().unwrap());
    let refused = place.weir(&["--set", &to_tls, "topic", "ls"]).run().expect_code(75);
    assert!(refused.stderr.contains("W3202"), "{}", refused.stderr);
}
