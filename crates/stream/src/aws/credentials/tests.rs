use tempfile::TempDir;

use super::*;
use crate::tests::serving;

fn provider(variables: &[(&str, &str)]) -> Provider {
    let variables: Vec<(String, String)> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Provider::of(move |name| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()))
}

fn answer(id: &str, expires: DateTime<Utc>) -> String {
    format!(
        r#"{{"AccessKeyId":"{id}","SecretAccessKey":"geheim","Token":"t","Expiration":"{}"}}"#,
        expires.to_rfc3339()
    )
}

#[test]
fn variables_come_first() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("credentials");
    std::fs::write(&file, "[default]\naws_access_key_id=F\naws_secret_access_key=f\n").unwrap();
    let file = ("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap());
    let keys = [("AWS_ACCESS_KEY_ID", "E"), ("AWS_SECRET_ACCESS_KEY", "e"), file];
    assert_eq!(provider(&keys).get(Utc::now()).unwrap(), Credentials::keys("E", "e", None));
    let with_token = [&keys[..], &[("AWS_SESSION_TOKEN", "t")]].concat();
    assert_eq!(provider(&with_token).get(Utc::now()).unwrap(), Credentials::keys("E", "e", Some("t")));
    assert_eq!(provider(&[file]).get(Utc::now()).unwrap(), Credentials::keys("F", "f", None));
}

#[test]
fn a_profile_is_read_from_both_files_and_one_asked_for_by_name_must_have_keys() {
    let home = TempDir::new().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(home.path().join(".aws").join(name), text).unwrap();
    write("credentials", "[other]\naws_access_key_id = O\naws_secret_access_key = a=b\n# [load]\n");
    write(
        "config",
        "[profile load]\nregion = x\naws_access_key_id=L\naws_secret_access_key=l\naws_session_token=s\n[profile sso]\nsso_session = x\n",
    );
    let home = ("HOME", home.path().to_str().unwrap());
    let of = |name: &'static str| provider(&[home, ("AWS_PROFILE", name)]).get(Utc::now());
    assert_eq!(of("other").unwrap(), Credentials::keys("O", "a=b", None));
    assert_eq!(of("load").unwrap(), Credentials::keys("L", "l", Some("s")));
    assert!(of("sso").unwrap_err().to_string().contains("profile `sso`"));
    assert!(provider(&[home]).get(Utc::now()).unwrap_err().to_string().contains("no variables"));
}

#[test]
fn a_container_gives_credentials_that_are_kept_until_shortly_before_their_end() {
    let now = Utc::now();
    let answers = [answer("first", now + TimeDelta::hours(1)), answer("second", now + TimeDelta::hours(2))];
    let (url, served) = serving(answers.map(|text| (200, text)).into());
    let folder = TempDir::new().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "Bearer x\n").unwrap();
    let provider = provider(&[
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.to_str().unwrap()),
    ]);
    let first = provider.get(now).unwrap();
    assert_eq!((first.key_id.as_str(), first.session_token.as_deref()), ("first", Some("t")));
    assert_eq!(provider.clone().get(now + TimeDelta::minutes(54)).unwrap(), first);
    assert_eq!(provider.get(now + TimeDelta::minutes(56)).unwrap().key_id, "second");
    let requests = served.join().unwrap();
    assert!(requests[0].contains("authorization: Bearer x\r\n"), "{}", requests[0]);
    // Nobody answers any more: what still holds is used, and no longer than it does.
    assert_eq!(provider.get(now + TimeDelta::minutes(119)).unwrap().key_id, "second");
    assert!(matches!(provider.get(now + TimeDelta::minutes(121)), Err(StreamError::Credentials { .. })));
}

#[test]
fn a_container_is_asked_on_this_machine_or_over_tls_and_nowhere_else() {
    let url = |name: &'static str, value: &str| provider(&[(name, value)]).container_url();
    let relative = url("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/x");
    assert_eq!(relative.unwrap().unwrap(), "http://169.254.170.2/v2/credentials/x");
    const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    for good in ["http://127.0.0.1:80/a", "http://[::1]:1/", "http://169.254.170.23/v1", "https://x.example.com/"] {
        assert_eq!(url(FULL, good).unwrap().unwrap(), good);
    }
    for bad in ["http://example.com/", "http://127.0.0.1.example.com/", "http://me@example.com/", "ftp://localhost/"] {
        assert!(url(FULL, bad).is_err(), "{bad}");
    }
}

#[test]
fn a_web_identity_is_changed_for_a_roles_credentials() {
    let text = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><SessionToken>s+/=\
                </SessionToken><SecretAccessKey>geheim</SecretAccessKey><Expiration>2030-01-01T00:00:00Z</Expiration>\
                <AccessKeyId>ASIA</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult>\
                </AssumeRoleWithWebIdentityResponse>";
    let (url, served) = serving(vec![(200, text.to_owned())]);
    let folder = TempDir::new().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "ey.J.x\n").unwrap();
    let variables = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/load"),
        ("AWS_ENDPOINT_URL_STS", &url),
    ];
    let found = provider(&variables).get("2029-12-31T23:00:00Z".parse().unwrap()).unwrap();
    assert_eq!((found.key_id.as_str(), found.session_token.as_deref()), ("ASIA", Some("s+/=")));
    assert_eq!(found.expires, Some("2030-01-01T00:00:00Z".parse().unwrap()));
    let request = served.join().unwrap().remove(0);
    let form = "Action=AssumeRoleWithWebIdentity&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fload&\
                RoleSessionName=weir&Version=2011-06-15&WebIdentityToken=ey.J.x";
    assert!(request.ends_with(form), "{request}");
}

#[test]
fn credentials_show_no_secret_when_printed() {
    let shown = format!("{:?}", Credentials::keys("AKIA", "geheim", Some("token")));
    assert!(!["AKIA", "geheim", "token"].iter().any(|secret| shown.contains(secret)), "{shown}");
}
