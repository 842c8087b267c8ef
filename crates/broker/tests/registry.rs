//! The registry as an HTTP client sees it.

#![allow(clippy::unwrap_used, reason = "a test that unwraps reports")]

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use serde_json::{Value, json};
use weir_broker::{BrokerError, Registry};

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
const V1: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#;
const V2: &str =
    r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":"int","default":0}]}"#;
const BAD: &str = r#"{"type":"record","name":"R","fields":[{"name":"c","type":"int"}]}"#;

fn any_port() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

fn start(dir: &Path) -> Registry {
    Registry::start(dir, any_port()).unwrap()
}

struct Client {
    url: String,
    agent: ureq::Agent,
}

impl Client {
    fn of(registry: &Registry) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        Self { url: registry.url(), agent: config.into() }
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let url = format!("{}{path}", self.url);
        let request = ureq::http::Request::builder().method(method).uri(url).header("content-type", CONTENT_TYPE);
        let body = body.map(ToString::to_string).unwrap_or_default();
        let mut response = self.agent.run(request.body(body).unwrap()).unwrap();
        assert_eq!(response.headers()["content-type"], CONTENT_TYPE);
        let text = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), serde_json::from_str(&text).unwrap())
    }

    fn get(&self, path: &str) -> (u16, Value) {
        self.call("GET", path, None)
    }

    fn register(&self, subject: &str, schema: &str) -> (u16, Value) {
        self.call("POST", &format!("/subjects/{subject}/versions"), Some(&json!({ "schema": schema })))
    }
}

fn error(code: u32) -> impl Fn(&(u16, Value)) -> bool {
    move |(status, body)| {
        let expected = if code > 999 { code / 100 } else { code };
        u32::from(*status) == expected && body["error_code"] == code && body["message"].is_string()
    }
}

#[test]
fn a_schema_is_registered_looked_up_and_read_by_id_and_version() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path());
    let client = Client::of(&registry);
    assert_eq!(client.get("/subjects"), (200, json!([])));
    assert_eq!(client.register("t-value", V1), (200, json!({ "id": 1 })));
    assert_eq!(client.register("t-value", V1), (200, json!({ "id": 1 })));
    assert_eq!(client.register("t-value", V2), (200, json!({ "id": 2 })));
    assert_eq!(client.register("a%2Fb", V1), (200, json!({ "id": 1 })));
    assert_eq!(client.get("/subjects"), (200, json!(["a/b", "t-value"])));
    assert_eq!(client.get("/subjects/t-value/versions"), (200, json!([1, 2])));
    let second = json!({ "subject": "t-value", "version": 2, "id": 2, "schema": V2 });
    assert_eq!(client.get("/subjects/t-value/versions/latest"), (200, second.clone()));
    assert_eq!(client.get("/subjects/t-value/versions/2"), (200, second.clone()));
    assert_eq!(
        client.call("POST", "/subjects/t-value?normalize=False&deleted=false", Some(&json!({ "schema": V2 }))),
        (200, second)
    );
    assert_eq!(client.get("/schemas/ids/1"), (200, json!({ "schema": V1 })));
    assert_eq!(client.get("/schemas/ids/1/versions").1.as_array().unwrap().len(), 2);
    assert_eq!(client.get("/subjects/t-value/versions/1/schema").1, serde_json::from_str::<Value>(V1).unwrap());
    assert_eq!(client.get("/schemas/types"), (200, json!(["AVRO"])));
    assert_eq!(client.get("/mode"), (200, json!({ "mode": "READWRITE" })));
}

#[test]
fn what_is_not_there_or_not_allowed_has_confluents_code() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path());
    let client = Client::of(&registry);
    client.register("s", V1);
    let body = |schema: &str| json!({ "schema": schema });
    for (code, answer) in [
        (40401, client.get("/subjects/none/versions")),
        (40401, client.get("/subjects/none/versions/1")),
        (40401, client.call("POST", "/subjects/none", Some(&body(V1)))),
        (40402, client.get("/subjects/s/versions/9")),
        (40403, client.get("/schemas/ids/9")),
        (40403, client.call("POST", "/subjects/s", Some(&body(V2)))),
        (40408, client.get("/config/s")),
        (409, client.register("s", BAD)),
        (42201, client.register("s", "{")),
        (42201, client.call("POST", "/subjects/s/versions", Some(&json!({ "schema": "{}", "schemaType": "JSON" })))),
        (42201, client.call("POST", "/subjects/s/versions?normalize=true", Some(&body(V1)))),
        (42202, client.get("/subjects/s/versions/0")),
        (42202, client.get("/subjects/s/versions/newest")),
        (42203, client.call("PUT", "/config", Some(&json!({ "compatibility": "SOMEHOW" })))),
        (42204, client.call("PUT", "/mode", Some(&json!({ "mode": "IMPORT" })))),
        (422, client.call("PUT", "/config", Some(&json!({ "compatibility": "FULL", "normalize": true })))),
        (404, client.get("/contexts")),
        (405, client.call("PUT", "/subjects", None)),
    ] {
        assert!(error(code)(&answer), "{code}: {answer:?}");
    }
}

#[test]
fn compatibility_is_judged_by_the_level_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path());
    let client = Client::of(&registry);
    client.register("s", V1);
    let ask = |schema: &str, rest: &str| {
        let path = format!("/compatibility/subjects/s/versions/{rest}");
        client.call("POST", &path, Some(&json!({ "schema": schema }))).1
    };
    assert_eq!(client.get("/config"), (200, json!({ "compatibilityLevel": "BACKWARD" })));
    assert_eq!(ask(V2, "latest"), json!({ "is_compatible": true }));
    assert_eq!(ask(BAD, "1"), json!({ "is_compatible": false }));
    let told = ask(BAD, "latest?verbose=true");
    assert!(told["messages"][0].as_str().unwrap().contains("$.c"), "{told}");

    assert_eq!(client.call("PUT", "/config/s", Some(&json!({ "compatibility": "NONE" }))).0, 200);
    assert_eq!(ask(BAD, "latest"), json!({ "is_compatible": true }));
    assert_eq!(client.get("/config/s"), (200, json!({ "compatibilityLevel": "NONE" })));
    assert_eq!(client.get("/config/other?defaultToGlobal=true"), (200, json!({ "compatibilityLevel": "BACKWARD" })));
    assert_eq!(client.register("s", BAD), (200, json!({ "id": 2 })));
    assert_eq!(client.call("DELETE", "/config/s", None), (200, json!({ "compatibilityLevel": "NONE" })));
}

#[test]
fn a_subject_is_hidden_first_and_removed_second() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path());
    let client = Client::of(&registry);
    client.register("s", V1);
    client.register("s", V2);
    assert_eq!(client.call("DELETE", "/subjects/s/versions/1", None), (200, json!(1)));
    assert_eq!(client.get("/subjects/s/versions"), (200, json!([2])));
    assert_eq!(client.get("/subjects/s/versions?deleted=true"), (200, json!([1, 2])));
    assert_eq!(client.call("DELETE", "/subjects/s", None), (200, json!([2])));
    assert!(error(40404)(&client.call("DELETE", "/subjects/s", None)));
    assert_eq!(client.get("/schemas/ids/2").0, 200);
    assert_eq!(client.call("DELETE", "/subjects/s?permanent=true", None), (200, json!([1, 2])));
    assert_eq!(client.get("/subjects?deleted=true"), (200, json!([])));
}

#[test]
fn schemas_survive_a_restart_and_a_torn_last_line_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path());
    Client::of(&registry).register("s", V1);
    drop(registry);
    let journal = dir.path().join("schemas.jsonl");
    std::fs::File::options().append(true).open(&journal).unwrap().write_all(br#"{"what":"schema","id":2,"#).unwrap();

    let registry = start(dir.path());
    assert_eq!(registry.recovered().cut.len(), 1);
    let client = Client::of(&registry);
    assert_eq!(client.get("/subjects/s/versions/latest").1["schema"], V1);
    assert_eq!(client.register("s", V2), (200, json!({ "id": 2 })));
}

#[test]
fn a_second_registry_on_the_folder_a_used_port_and_a_foreign_address_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path());
    assert!(
        matches!(Registry::start(dir.path(), any_port()), Err(BrokerError::FolderLocked { dir: d }) if d == dir.path())
    );
    let other = tempfile::tempdir().unwrap();
    let used = registry.address();
    assert!(matches!(Registry::start(other.path(), used), Err(BrokerError::PortInUse { address }) if address == used));
    let open = "0.0.0.0:0".parse().unwrap();
    assert!(matches!(Registry::start(other.path(), open), Err(BrokerError::NotLoopback { .. })));
}

#[tokio::test]
async fn a_registry_that_was_shut_down_lets_go_of_port_and_folder() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path());
    let address = registry.address();
    registry.shutdown().await.unwrap();
    Registry::start(dir.path(), address).unwrap().shutdown().await.unwrap();
}
