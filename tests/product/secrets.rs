//! Secrets that AWS keeps (a double, moto): looked up by the commands that need them, changed while Weir runs, never shown.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use weir_envelope::schema::value_schema;
use weir_testkit::harness;

use crate::place::{Place, until};
use crate::schema::{created, send, table, up};

const MINUTE: Duration = Duration::from_secs(60);
/// Doubt about a value that is younger than 5 seconds changes nothing.
const YOUNG: Duration = Duration::from_secs(6);

/// A registry that gives one schema under every id, to who knows the password of the moment; and how often it was not known.
struct Guarded {
    address: String,
    password: Arc<Mutex<String>>,
    refused: Arc<Mutex<u32>>,
}

impl Guarded {
    fn start(user: &'static str, password: &str, schema: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (password, refused) = (Arc::new(Mutex::new(password.to_owned())), Arc::default());
        let registry = Self { address, password: password.clone(), refused: Arc::clone(&refused) };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let known = format!("{user}:{}", password.lock().unwrap());
                if !answer(stream.unwrap(), &known, &schema) {
                    *refused.lock().unwrap() += 1;
                }
            }
        });
        registry
    }
}

/// Answers one request; false where it was refused.
fn answer(stream: TcpStream, known: &str, schema: &str) -> bool {
    let mut reading = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && reading.read_line(&mut head).unwrap() > 0 {}
    let is_known =
        head.to_lowercase().contains(&format!("authorization: basic {}\r\n", STANDARD.encode(known)).to_lowercase());
    let (status, body) = if is_known { (200, json!({ "schema": schema }).to_string()) } else { (401, "{}".to_owned()) };
    let head = format!("HTTP/1.1 {status} -\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    reading.get_mut().write_all((head + &body).as_bytes()).unwrap();
    let _ = reading.read(&mut [0]);
    is_known
}

#[test]
fn a_registrys_password_that_is_changed_while_weir_runs_is_looked_up_anew() {
    let Some(mut vault) = harness::vault(r#"{"password": "erstes/Wort"}"#, "weir") else { return };
    let mut place = Place::reference().with_aws();
    place.set("AWS_REGION", "us-east-1");
    place.set("AWS_ENDPOINT_URL", &vault.endpoint);
    let product = table(&place, "product");
    let registry = Guarded::start("weir", "erstes/Wort", value_schema(&product));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    place.edit("environments/dev.yaml", |dev| {
        let url = format!("http://${{aws-ssm:/shop/user}}:${{aws-sm:shop/registry#password}}@{}", registry.address);
        dev.replace("registry: embedded", &format!("port: {port}\n  registry: {url}"))
    });

    // What does not need it asks nothing and shows the reference.
    let shown = place.weir(&["config", "show", "--resolved"]).env("AWS_ENDPOINT_URL", "http://127.0.0.1:1").run();
    let shown = shown.expect_code(0).stdout;
    assert!(shown.contains("${aws-sm:shop/registry#password}") && !shown.contains("Wort"), "{shown}");

    let mut running = up(&place, &["--set", "warehouse.refresh_every=1s"]);
    let brokers = format!("127.0.0.1:{port}");
    let mirrored = |rows: &str| place.value("select count(*) from staging.product") == rows;
    send(&brokers, &product, &created(&product, 1, 1, 1));
    until("the first product is in the mirror", MINUTE, || mirrored("1"));
    assert_eq!(*registry.refused.lock().unwrap(), 0);

    std::thread::sleep(YOUNG);
    vault.rotate(r#"{"password": "zweites/Wort"}"#);
    *registry.password.lock().unwrap() = "zweites/Wort".to_owned();
    // Another id, so that the registry is asked again.
    send(&brokers, &product, &created(&product, 2, 2, 2));
    until("the second product is in the mirror", MINUTE, || mirrored("2"));
    assert!(*registry.refused.lock().unwrap() > 0, "the old password was never refused: nothing was shown");
    running.stop(MINUTE);
    let output = running.output();
    assert!(!output.contains("Wort"), "{output}");
    assert_eq!(place.rows(&["dlq", "ls", "--each"]), [] as [Value; 0]);
}

#[test]
fn a_secret_that_is_not_there_ends_the_command_that_needs_it_with_its_name_and_code() {
    let Some(vault) = harness::vault(r#"{"password": "erstes/Wort"}"#, "weir") else { return };
    let mut place = Place::reference().with_aws();
    place.set("AWS_REGION", "us-east-1");
    place.set("AWS_ENDPOINT_URL", &vault.endpoint);
    let cases = [
        ("${aws-sm:shop/nobody#password}", "W3214"),
        ("${aws-ssm:/shop/nobody}", "W3214"),
        ("${aws-sm:shop/registry#passwort}", "W3216"),
    ];
    for (reference, code) in cases {
        let set = format!("stream.registry=http://weir:{reference}@127.0.0.1:1");
        let failed = place.weir(&["--set", &set, "schema", "diff"]).run().expect_code(78);
        assert!(failed.stderr.contains(&format!("error[{code}]")), "{}", failed.stderr);
        assert!(failed.stderr.contains(reference) && !failed.stderr.contains("Wort"), "{}", failed.stderr);
        // Staging needs no registry, and so no secret of one.
        place.weir(&["--set", &set, "build", "--upto", "staging"]).run().expect_code(0);
    }
}
