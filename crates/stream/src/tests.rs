//! Settings and the registry's client. What the client does on a cluster is in `tests/`.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;
use weir_core::diagnosis::{Diagnose, Diagnosed, Retry};
use weir_project::{Item, Secret, SecretText, Vault};

use crate::{Connection, Consumer, Registry, StreamError};

mod sasl;

const SCHEMA: &str = r#"{"type":"record","name":"Key","fields":[{"name":"id","type":"int"}]}"#;

/// The clients block, so they run beside the broker's tasks.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// A port where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

#[test]
fn settings_that_librdkafka_does_not_know_are_refused() {
    let client = BTreeMap::from([("no.such.setting".to_owned(), "1".to_owned())]);
    let error = Consumer::new(&Connection::new("127.0.0.1:1", client), "t").err().unwrap();
    assert_eq!(error.diagnosis().code.0, "W3201");
}

#[test]
fn a_connection_shows_no_setting_when_printed() {
    let client = BTreeMap::from([("sasl.password".to_owned(), "geheim".to_owned())]);
    assert!(!format!("{:?}", Connection::new("b:9092", client)).contains("geheim"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registry_gives_one_id_per_schema_and_knows_what_it_does_not_know() {
    let folder = TempDir::new().unwrap();
    let server = weir_broker::Registry::start(folder.path(), SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let url = server.url();
    blocking(move || {
        let registry = Registry::new(url.clone());
        let id = registry.register("t-key", SCHEMA).unwrap();
        assert_eq!(registry.register("t-key", SCHEMA).unwrap(), id);
        // Another client has nothing in its cache.
        let text = Registry::new(url.clone()).schema(id.into()).unwrap();
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(json(&text), json(SCHEMA));
        assert_eq!(registry.subjects().unwrap(), ["t-key"]);
        assert_eq!(json(&registry.latest("t-key").unwrap().unwrap()), json(SCHEMA));
        assert_eq!(registry.latest("other-key").unwrap(), None);
        assert!(matches!(registry.schema((id + 1000).into()), Err(StreamError::UnknownSchema { .. })));
        assert!(matches!(registry.register("t-key", "no schema"), Err(StreamError::RegistryRefused { .. })));
        // No registry is asked for what none can have given.
        let nobody = Registry::new("http://127.0.0.1:9");
        assert!(matches!(nobody.schema(u32::MAX.into()), Err(StreamError::UnknownSchema { .. })));
        // A path that is no registry's says nothing about an id.
        assert!(matches!(
            Registry::new(format!("{url}/wrong")).schema(id.into()),
            Err(StreamError::RegistryRefused { .. })
        ));
    })
    .await;
    server.shutdown().await.unwrap();
}

/// Answers as many requests as there are answers, of status and body; gives the requests, heads and bodies.
pub(crate) fn serving(answers: Vec<(u16, String)>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let one = |(status, text): (u16, String)| {
            let (stream, _) = listener.accept().unwrap();
            let mut reading = BufReader::new(stream);
            let (mut request, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reading.read_line(&mut line).unwrap();
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                request.push_str(&line);
                if line == "\r\n" {
                    break;
                }
            }
            let mut body = vec![0; length];
            reading.read_exact(&mut body).unwrap();
            request.push_str(&String::from_utf8(body).unwrap());
            let head = format!("HTTP/1.1 {status} -\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", text.len());
            reading.get_mut().write_all((head + &text).as_bytes()).unwrap();
            request
        };
        answers.into_iter().map(one).collect()
    });
    (url, served)
}

#[test]
fn a_registrys_user_and_password_go_into_the_request_and_nowhere_else() {
    let (url, served) = serving(vec![(401, String::new())]);
    let address = url.trim_start_matches("http://");
    let registry = Registry::new(format!("http://me:p%40ss%2Fword@{address}/api"));
    assert_eq!(registry.url(), format!("http://{address}/api"));
    let error = registry.subjects().unwrap_err();
    assert!(matches!(error, StreamError::RegistryRefused { status: 401, .. }), "{error:?}");
    let request = served.join().unwrap().remove(0);
    assert!(request.starts_with("GET /api/subjects HTTP/1.1\r\n"), "{request}");
    // `me:p@ss/word`
    assert!(request.contains("authorization: Basic bWU6cEBzcy93b3Jk\r\n"), "{request}");

    let down = Registry::new(format!("https://me:geheim@{}", nobody())).schema(1.into()).unwrap_err();
    assert!(matches!(down, StreamError::RegistryDown { .. }), "{down:?}");
    assert!(!format!("{down} {down:?}").contains("geheim"), "{down:?}");
}

/// A vault whose secret is changed once, when the first value is refused.
pub(crate) struct Rotated {
    values: [&'static str; 2],
    doubted: AtomicBool,
}

impl Rotated {
    fn secret(text: &str, values: [&'static str; 2]) -> Secret {
        let vault: Arc<dyn Vault> = Arc::new(Self { values, doubted: AtomicBool::new(false) });
        SecretText::plain(text).within(&vault)
    }
}

impl Vault for Rotated {
    fn get(&self, _: Item<'_>) -> Result<String, Diagnosed> {
        Ok(self.values[usize::from(self.doubted.load(Ordering::SeqCst))].to_owned())
    }

    fn doubt(&self, _: Item<'_>) {
        self.doubted.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_registry_that_refuses_is_asked_once_more_with_a_password_that_was_changed() {
    let (url, served) = serving(vec![(401, String::new()), (200, "[\"t\"]".to_owned()), (401, String::new())]);
    let address = url.trim_start_matches("http://");
    let text = format!("http://me:${{aws-sm:shop/registry#password}}@{address}");
    let registry = Registry::secret(Rotated::secret(&text, ["alt", "neu"]));
    assert_eq!(registry.url(), format!("http://{address}"));
    assert_eq!(registry.subjects().unwrap(), ["t"]);
    // Refused with the same password as before: said, and not asked again.
    assert!(matches!(registry.subjects(), Err(StreamError::RegistryRefused { status: 401, .. })));
    let requests = served.join().unwrap();
    for (request, credentials) in requests.iter().zip(["me:alt", "me:neu", "me:neu"]) {
        assert!(request.contains(&format!("authorization: Basic {}\r\n", STANDARD.encode(credentials))), "{request}");
    }
}

#[test]
fn a_secret_is_looked_up_when_a_client_is_made_and_not_before() {
    let secret = Rotated::secret("${env:WEIR_TEST_SURELY_UNSET}", ["", ""]);
    let connection = Connection::secret(Secret::plain("b:9092"), [("sasl.password".to_owned(), secret)].into());
    let error = Consumer::new(&connection, "t").err().unwrap();
    assert!(error.to_string().contains("secret `${env:WEIR_TEST_SURELY_UNSET}` is not available"), "{error}");
}

#[test]
fn a_registry_that_does_not_answer_is_an_outage_and_a_known_schema_is_still_known() {
    let registry = Registry::new(format!("http://{}", nobody()));
    let error = registry.schema(1.into()).unwrap_err();
    assert!(matches!(error, StreamError::RegistryDown { .. }), "{error:?}");
    assert_eq!(error.diagnosis().retry, Retry::Later);
}
