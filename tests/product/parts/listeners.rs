//! Who may not in is told so, and no secret is printed.

use weir_testkit::harness::Outcome;

use super::{on_parts, parts};

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
