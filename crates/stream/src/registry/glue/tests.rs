use weir_core::schema_id::SchemaId;

use super::*;
use crate::Registry;
use crate::registry::Kind;
use crate::tests::serving;

const UUID: &str = "b7b4a7f0-9c96-4e4a-a687-fb5de9ef0c63";

fn id() -> SchemaId {
    0xb7b4_a7f0_9c96_4e4a_a687_fb5d_e9ef_0c63_u128.to_be_bytes().into()
}

fn registry(url: &str) -> Registry {
    let variables = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "geheim"), ("AWS_SESSION_TOKEN", "s")];
    let value = move |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
    Registry::of(Kind::Glue(Glue::new("eu-central-1", Some(url), Provider::of(value))))
}

fn refusal(kind: &str) -> (u16, String) {
    (400, format!(r#"{{"__type":"{kind}","Message":"why"}}"#))
}

#[test]
fn a_version_is_asked_for_once_with_a_signed_request() {
    let (url, served) = serving(vec![(200, r#"{"SchemaDefinition":"\"int\"","VersionNumber":3}"#.to_owned())]);
    let registry = registry(&url);
    assert_eq!(&*registry.schema(id()).unwrap(), "\"int\"");
    assert_eq!(&*registry.schema(id()).unwrap(), "\"int\"");
    let request = served.join().unwrap().remove(0);
    assert!(request.starts_with("POST / HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("x-amz-target: AWSGlue.GetSchemaVersion\r\n"), "{request}");
    assert!(request.contains("content-type: application/x-amz-json-1.1\r\n"), "{request}");
    let signed = "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature=";
    assert!(request.contains(signed), "{request}");
    assert!(request.contains("/eu-central-1/glue/aws4_request"), "{request}");
    assert!(request.ends_with(&format!(r#"{{"SchemaVersionId":"{UUID}"}}"#)), "{request}");
    assert!(!request.contains("geheim"), "{request}");
}

#[test]
fn only_an_id_that_glue_does_not_know_is_unknown() {
    let (url, served) = serving(vec![refusal("com.amazonaws.glue#EntityNotFoundException")]);
    let error = registry(&url).schema(id()).unwrap_err();
    assert_eq!(error.to_string(), format!("the schema registry does not know schema id {UUID}"));
    served.join().unwrap();

    let (url, served) = serving(vec![refusal("AccessDeniedException")]);
    let error = registry(&url).schema(id()).unwrap_err();
    assert_eq!(error.to_string(), "the schema registry answered 400 (code AccessDeniedException): why");
    served.join().unwrap();
}

#[test]
fn a_throttled_request_is_asked_again() {
    let good = (200, r#"{"SchemaDefinition":"\"int\""}"#.to_owned());
    let (url, served) = serving(vec![refusal("ThrottlingException"), (500, String::new()), good]);
    assert_eq!(&*registry(&url).schema(id()).unwrap(), "\"int\"");
    assert_eq!(served.join().unwrap().len(), 3);
}

#[test]
fn a_number_is_no_id_of_glues_and_a_uuid_none_of_confluents() {
    assert!(matches!(registry("http://127.0.0.1:1").schema(7.into()), Err(StreamError::UnknownSchema { .. })));
    let confluent = Registry::new("http://127.0.0.1:1");
    assert!(matches!(confluent.schema(id()), Err(StreamError::UnknownSchema { .. })));
}

#[test]
fn glues_registry_is_only_read() {
    let registry = registry("http://127.0.0.1:1");
    assert!(matches!(registry.register("t", "\"int\""), Err(StreamError::OnlyRead { .. })));
    assert!(matches!(registry.subjects(), Err(StreamError::OnlyRead { .. })));
}
