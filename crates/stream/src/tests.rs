//! Settings and the registry's client. What the client does on a cluster is in `tests/`.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use tempfile::TempDir;
use weir_core::diagnosis::{Diagnose, Retry};

use crate::{Connection, Consumer, Registry, StreamError};

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
        let text = Registry::new(url.clone()).schema(id).unwrap();
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(json(&text), json(SCHEMA));
        assert_eq!(registry.subjects().unwrap(), ["t-key"]);
        assert!(matches!(registry.schema(id + 1000), Err(StreamError::UnknownSchema { .. })));
        assert!(matches!(registry.register("t-key", "no schema"), Err(StreamError::RegistryRefused { .. })));
        // A path that is no registry's says nothing about an id.
        assert!(matches!(Registry::new(format!("{url}/wrong")).schema(id), Err(StreamError::RegistryRefused { .. })));
    })
    .await;
    server.shutdown().await.unwrap();
}

/// Takes one HTTP request and refuses it; gives the request's header.
fn refusing() -> (SocketAddr, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        let answer = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(request).unwrap()
    });
    (address, served)
}

#[test]
fn a_registrys_user_and_password_go_into_the_request_and_nowhere_else() {
    let (address, served) = refusing();
    let registry = Registry::new(format!("http://me:p%40ss%2Fword@{address}/api"));
    assert_eq!(registry.url(), format!("http://{address}/api"));
    let error = registry.subjects().unwrap_err();
    assert!(matches!(error, StreamError::RegistryRefused { status: 401, .. }), "{error:?}");
    let request = served.join().unwrap();
    assert!(request.starts_with("GET /api/subjects HTTP/1.1\r\n"), "{request}");
    // `me:p@ss/word`
    assert!(request.contains("authorization: Basic bWU6cEBzcy93b3Jk\r\n"), "{request}");

    let down = Registry::new(format!("https://me:geheim@{}", nobody())).schema(1).unwrap_err();
    assert!(matches!(down, StreamError::RegistryDown { .. }), "{down:?}");
    assert!(!format!("{down} {down:?}").contains("geheim"), "{down:?}");
}

#[test]
fn a_registry_that_does_not_answer_is_an_outage_and_a_known_schema_is_still_known() {
    let registry = Registry::new(format!("http://{}", nobody()));
    let error = registry.schema(1).unwrap_err();
    assert!(matches!(error, StreamError::RegistryDown { .. }), "{error:?}");
    assert_eq!(error.diagnosis().retry, Retry::Later);
}
