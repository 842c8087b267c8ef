//! The token by which an MSK cluster with IAM lets a client in: a presigned request to connect, which the broker sends
//! to AWS in the client's name. It lives for 15 minutes; librdkafka is told a shorter life, since it asks for the next
//! one late.

use std::error::Error;
use std::ffi::CString;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use rdkafka::bindings as rd;
use rdkafka::client::{Client, ClientContext, OAuthToken};

use super::credentials::{Credentials, Provider};
use super::sigv4::Scope;
use crate::error::StreamError;

/// Seconds for which AWS takes a token.
const LIFE: u32 = 900;
/// Seconds that librdkafka is told: it asks for a new token after 80 percent of them.
const TOLD: i64 = 540;
/// Age at which a client that nobody polls gets a new token before it is used.
const OLD: Duration = Duration::from_secs(300);
/// What librdkafka wants beside a token; AWS takes the name from the credentials.
const PRINCIPAL: &str = "weir";

/// What makes tokens for the clusters of a region.
pub(crate) struct Source {
    region: String,
    credentials: Provider,
}

/// The tokens of one client; none where the cluster asks for none.
pub(crate) struct Tokens {
    source: Option<Arc<Source>>,
    given: Mutex<Option<Instant>>,
}

impl Tokens {
    pub(crate) fn new(source: Option<Arc<Source>>) -> Self {
        Self { source, given: Mutex::default() }
    }

    /// What [`ClientContext::generate_oauth_token`] gives.
    pub(crate) fn generate(&self) -> Result<OAuthToken, Box<dyn Error>> {
        let source = self.source.as_ref().ok_or("`stream.security` is not `iam`")?;
        let token = source.token(Utc::now()).inspect_err(|error| tracing::warn!(%error, "no token for the brokers"))?;
        *self.given.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(token)
    }

    /// Gives a client a token unless it has a young one. librdkafka asks for tokens only while it is polled, and what is
    /// asked before the first poll would find none.
    #[allow(unsafe_code, reason = "rdkafka 0.39 does not wrap rd_kafka_oauthbearer_set_token")]
    pub(crate) fn ensure<C: ClientContext>(&self, client: &Client<C>) -> Result<(), StreamError> {
        let Some(source) = &self.source else { return Ok(()) };
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        if given.is_some_and(|at| at.elapsed() < OLD) {
            return Ok(());
        }
        let token = source.token(Utc::now())?;
        // Neither holds a NUL: base 64, and a name of our own.
        let (Ok(text), Ok(principal)) = (CString::new(token.token), CString::new(token.principal_name)) else {
            return Ok(());
        };
        let mut problem = [0; 512];
        // SAFETY: the handle lives as long as `client`; texts and buffer outlive the call, which copies them.
        let code = unsafe {
            rd::rd_kafka_oauthbearer_set_token(
                client.native_ptr(),
                text.as_ptr(),
                token.lifetime_ms,
                principal.as_ptr(),
                ptr::null_mut(),
                0,
                problem.as_mut_ptr(),
                problem.len(),
            )
        };
        if code == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            *given = Some(Instant::now());
            Ok(())
        } else {
            let bytes = problem.iter().take_while(|byte| **byte != 0).map(|byte| byte.to_ne_bytes()[0]).collect();
            let problem = String::from_utf8(bytes).unwrap_or_default();
            Err(StreamError::Credentials { problem: format!("librdkafka refused the token: {problem}") })
        }
    }
}

impl Source {
    pub(crate) fn new(region: impl Into<String>, credentials: Provider) -> Self {
        Self { region: region.into(), credentials }
    }

    fn token(&self, now: DateTime<Utc>) -> Result<OAuthToken, StreamError> {
        let credentials = self.credentials.get(now)?;
        Ok(token(&self.region, &credentials, now))
    }
}

/// The token of this moment.
fn token(region: &str, credentials: &Credentials, now: DateTime<Utc>) -> OAuthToken {
    let host = format!("kafka.{region}.amazonaws.com");
    let scope = Scope { region, service: "kafka-cluster", at: now };
    let query = scope.presigned_query(&host, "kafka-cluster:Connect", LIFE, credentials);
    // Not signed: it is for whoever reads the cluster's logs.
    let url = format!("https://{host}/?{query}&User-Agent=weir%2F{}", env!("CARGO_PKG_VERSION"));
    let told = now.timestamp_millis() + TOLD * 1000;
    let end = credentials.expires.map_or(i64::MAX, |at| at.timestamp_millis());
    OAuthToken { token: URL_SAFE_NO_PAD.encode(url), principal_name: PRINCIPAL.to_owned(), lifetime_ms: told.min(end) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(token: &OAuthToken) -> String {
        String::from_utf8(URL_SAFE_NO_PAD.decode(&token.token).unwrap()).unwrap()
    }

    fn now() -> DateTime<Utc> {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    /// The signatures are botocore's, which AWS's own signer for Python uses.
    #[test]
    fn a_token_is_the_presigned_url_that_awss_own_signer_makes() {
        let wanted = |region: &str, session: &str, signature: &str| {
            format!(
                "https://kafka.{region}.amazonaws.com/?Action=kafka-cluster%3AConnect&X-Amz-Algorithm=AWS4-HMAC-SHA256\
                 &X-Amz-Credential=AKIDEXAMPLE%2F20260102%2F{region}%2Fkafka-cluster%2Faws4_request\
                 &X-Amz-Date=20260102T030405Z&X-Amz-Expires=900{session}&X-Amz-SignedHeaders=host\
                 &X-Amz-Signature={signature}&User-Agent=weir%2F{}",
                env!("CARGO_PKG_VERSION")
            )
        };
        let keys = Credentials::keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", Some("a+b/c=="));
        let session = "&X-Amz-Security-Token=a%2Bb%2Fc%3D%3D";
        let signature = "1c3c5e2b7a51bc51947db657ca458dca145f9eee5d4366b7e962c6899b9ddd09";
        assert_eq!(url(&token("eu-central-1", &keys, now())), wanted("eu-central-1", session, signature));
        let keys = Credentials { session_token: None, ..keys };
        let signature = "24ebada2ed545858377591fc84af1a1bff3c40c5e8ab0c1fc85eee156cfb42da";
        assert_eq!(url(&token("us-east-1", &keys, now())), wanted("us-east-1", "", signature));
    }

    #[test]
    fn a_token_is_base_64_for_urls_without_padding() {
        for secret in ["s", "ss", "sss"] {
            let token = token("us-east-1", &Credentials::keys("id", secret, Some("???>>>")), now()).token;
            assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{token}");
        }
    }

    #[test]
    fn librdkafka_is_told_a_shorter_life_than_the_tokens_and_never_a_longer_one_than_the_credentials() {
        let keys = Credentials::keys("id", "secret", None);
        assert_eq!(token("us-east-1", &keys, now()).lifetime_ms, now().timestamp_millis() + 540_000);
        let soon = now() + chrono::TimeDelta::seconds(100);
        let ending = Credentials { expires: Some(soon), ..keys };
        assert_eq!(token("us-east-1", &ending, now()).lifetime_ms, soon.timestamp_millis());
    }
}
