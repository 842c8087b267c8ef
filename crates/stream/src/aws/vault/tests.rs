use weir_core::diagnosis::{Diagnose, Retry};

use super::*;
use crate::tests::serving;

const NONE: Duration = Duration::ZERO;
const PASSWORD: Item<'_> = Item::Secret { name: "shop/kafka", field: Some("password") };

/// What `${aws-sm:shop/kafka}` holds, as Secrets Manager answers.
fn secret(text: &str) -> (u16, String) {
    (200, json!({ "Name": "shop/kafka", "SecretString": text }).to_string())
}

fn password(text: &str) -> (u16, String) {
    secret(&json!({ "username": "weir", "password": text, "port": 9096 }).to_string())
}

fn refusal(status: u16, kind: &str) -> (u16, String) {
    (status, json!({ "__type": kind, "Message": "why" }).to_string())
}

fn vault_with(variables: &[(&str, &str)], old: Duration, new: Duration) -> AwsVault {
    let variables: Vec<(String, String)> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let value = move |name: &str| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    AwsVault::of(Provider::of(value), old, new)
}

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "geheim")];

fn vault(url: &str, old: Duration, new: Duration) -> AwsVault {
    vault_with(&[&KEYS[..], &[("AWS_REGION", "eu-central-1"), ("AWS_ENDPOINT_URL", url)]].concat(), old, new)
}

fn code(error: &Diagnosed) -> &'static str {
    error.diagnosis.code.0
}

#[test]
fn a_secret_is_asked_for_with_a_signed_request_and_its_fields_are_one_secret() {
    let (url, served) = serving(vec![password("eins")]);
    let vault = vault(&url, OLD, NEW);
    assert_eq!(vault.get(PASSWORD).unwrap(), "eins");
    assert_eq!(vault.get(Item::Secret { name: "shop/kafka", field: Some("port") }).unwrap(), "9096");
    let all = vault.get(Item::Secret { name: "shop/kafka", field: None }).unwrap();
    assert!(all.starts_with(r#"{"username":"weir""#), "{all}");
    let request = served.join().unwrap().remove(0);
    assert!(request.contains("x-amz-target: secretsmanager.GetSecretValue\r\n"), "{request}");
    assert!(request.contains("/eu-central-1/secretsmanager/aws4_request"), "{request}");
    assert!(request.ends_with(r#"{"SecretId":"shop/kafka"}"#), "{request}");
}

#[test]
fn a_parameter_is_asked_for_decrypted() {
    let answer = json!({ "Parameter": { "Name": "/shop/salt", "Value": "eins" } }).to_string();
    let (url, served) = serving(vec![(200, answer)]);
    assert_eq!(vault(&url, OLD, NEW).get(Item::Parameter { name: "/shop/salt" }).unwrap(), "eins");
    let request = served.join().unwrap().remove(0);
    assert!(request.contains("x-amz-target: AmazonSSM.GetParameter\r\n"), "{request}");
    assert!(request.contains("/eu-central-1/ssm/aws4_request"), "{request}");
    assert!(request.ends_with(r#"{"Name":"/shop/salt","WithDecryption":true}"#), "{request}");
}

#[test]
fn a_value_is_asked_for_anew_when_it_is_old_or_was_refused_and_not_before() {
    let (url, served) = serving(vec![password("eins"), password("zwei")]);
    let kept = vault(&url, OLD, NONE);
    assert_eq!(kept.get(PASSWORD).unwrap(), "eins");
    assert_eq!(kept.get(PASSWORD).unwrap(), "eins");
    kept.doubt(PASSWORD);
    assert_eq!(kept.get(PASSWORD).unwrap(), "zwei");
    assert_eq!(served.join().unwrap().len(), 2);

    let (url, served) = serving(vec![password("eins"), password("zwei")]);
    let old = vault(&url, NONE, NEW);
    assert_eq!(old.get(PASSWORD).unwrap(), "eins");
    assert_eq!(old.get(PASSWORD).unwrap(), "zwei");
    served.join().unwrap();

    let (url, served) = serving(vec![password("eins")]);
    let new = vault(&url, OLD, NEW);
    new.get(PASSWORD).unwrap();
    served.join().unwrap();
    new.doubt(PASSWORD);
    assert_eq!(new.get(PASSWORD).unwrap(), "eins", "whoever is refused again and again asks as often");
}

#[test]
fn while_the_service_is_away_an_old_value_holds_unless_it_was_refused() {
    let (url, served) = serving(vec![password("eins")]);
    let vault = vault(&url, NONE, NONE);
    vault.get(PASSWORD).unwrap();
    served.join().unwrap();
    assert_eq!(vault.get(PASSWORD).unwrap(), "eins");
    vault.doubt(PASSWORD);
    let error = vault.get(PASSWORD).unwrap_err();
    assert_eq!((code(&error), error.diagnosis.retry), ("W3217", Retry::Later));
}

#[test]
fn each_way_of_not_having_a_secret_has_its_code_and_shows_no_secret() {
    let field = Item::Secret { name: "shop/kafka", field: Some("passwort") };
    let parameter = Item::Parameter { name: "/shop/salt" };
    let cases = [
        (refusal(400, "com.amazonaws.secretsmanager#AccessDeniedException"), PASSWORD, "W3215"),
        (refusal(400, "UnrecognizedClientException"), PASSWORD, "W3215"),
        (refusal(400, "ResourceNotFoundException"), PASSWORD, "W3214"),
        (refusal(400, "ParameterNotFound"), parameter, "W3214"),
        (password("s3cret"), field, "W3216"),
        (secret("s3cret"), PASSWORD, "W3216"),
        ((200, r#"{"SecretBinary":"czNjcmV0"}"#.to_owned()), PASSWORD, "W3216"),
    ];
    for (answer, item, wanted) in cases {
        let (url, served) = serving(vec![answer.clone()]);
        let error = vault(&url, OLD, NEW).get(item).unwrap_err();
        served.join().unwrap();
        let said = format!("{error:?} {}", error.messages().join(" "));
        assert_eq!(code(&error), wanted, "{answer:?}");
        assert!(said.contains(&item.to_string()) && !said.contains("s3cret") && !said.contains("geheim"), "{said}");
    }
    // An answer that is not understood may hold a secret too.
    let odd = (200, r#"{"SecretString":{"a":"s3cret"}}"#.to_owned());
    let (url, served) = serving(vec![odd; 5]);
    let error = vault(&url, OLD, NEW).get(PASSWORD).unwrap_err();
    served.join().unwrap();
    assert_eq!(code(&error), "W3217");
    assert!(!format!("{error:?} {}", error.messages().join(" ")).contains("s3cret"));
}

#[test]
fn without_a_region_or_credentials_nothing_is_asked() {
    let error = vault_with(&KEYS, OLD, NEW).get(PASSWORD).unwrap_err();
    assert_eq!(code(&error), "W3213");
    let error = vault_with(&[("AWS_REGION", "x.example.com/")], OLD, NEW).get(PASSWORD).unwrap_err();
    assert_eq!(code(&error), "W3213");
    let error = vault_with(&[("AWS_REGION", "eu-central-1")], OLD, NEW).get(PASSWORD).unwrap_err();
    assert_eq!(code(&error), "W3212");
}

#[test]
fn an_arn_says_in_which_region_its_secret_is_and_each_service_may_have_its_endpoint() {
    let name = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:shop/kafka-AbCdEf";
    let (url, served) = serving(vec![password("eins")]);
    let variables = [("AWS_ENDPOINT_URL_SECRETS_MANAGER", url.as_str()), ("AWS_ENDPOINT_URL", "http://127.0.0.1:1")];
    let vault = vault_with(&[&KEYS[..], &variables].concat(), OLD, NEW);
    assert_eq!(vault.get(Item::Secret { name, field: Some("password") }).unwrap(), "eins");
    let request = served.join().unwrap().remove(0);
    assert!(request.contains("/eu-west-1/secretsmanager/aws4_request"), "{request}");
}

#[test]
fn a_secret_that_is_refused_inside_a_setting_keeps_its_code() {
    let error = StreamError::NoRegion { reference: PASSWORD.to_string() };
    let wrapped = StreamError::Secret(error.into());
    assert_eq!(wrapped.diagnosis().code.0, "W3213");
    assert_eq!(wrapped.to_string(), "no AWS region for `${aws-sm:shop/kafka#password}`");
}
