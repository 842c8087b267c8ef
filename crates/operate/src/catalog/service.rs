//! One request to Glue: its JSON protocol, signed as AWS wants it, and tried again where that can help.
//!
//! Signing and credentials are those with which the lake is reached, of the same library.

use std::time::Duration;

use axum::http::{Method, Request};
use object_store::ClientOptions;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{HttpClient, HttpConnector, ReqwestConnector};
use serde_json::Value;

use crate::error::OperateError;

/// How often a request is sent at most.
const TRIES: u32 = 5;

/// The service.
pub(super) struct Service {
    client: HttpClient,
    credentials: AwsCredentialProvider,
    region: String,
    endpoint: String,
}

/// What the service says when it refuses.
pub(super) struct Refusal {
    /// `EntityNotFoundException` and the like.
    pub code: String,
    pub message: String,
}

impl Service {
    /// Nothing is asked yet.
    pub fn new(region: Option<&str>, endpoint: Option<&str>) -> Result<Self, OperateError> {
        let shown = endpoint.unwrap_or("glue.amazonaws.com");
        let failed = |source: object_store::Error| OperateError::CatalogAway {
            endpoint: shown.to_owned(),
            reason: source.to_string(),
        };
        let mut builder = AmazonS3Builder::from_env().with_bucket_name("none");
        if let Some(region) = region {
            builder = builder.with_region(region);
        }
        let region = builder.get_config_value(&AmazonS3ConfigKey::Region);
        let region = region.unwrap_or_else(|| "us-east-1".to_owned());
        let credentials = builder.build().map_err(failed)?.credentials().clone();
        let endpoint = endpoint.map_or_else(
            || {
                let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
                format!("https://glue.{region}.amazonaws.com{suffix}")
            },
            |endpoint| endpoint.trim_end_matches('/').to_owned(),
        );
        let options = ClientOptions::new()
            .with_allow_http(endpoint.starts_with("http://"))
            .with_connect_timeout(Duration::from_secs(5))
            .with_timeout(Duration::from_secs(30));
        let client = ReqwestConnector::default().connect(&options).map_err(failed)?;
        Ok(Self { client, credentials, region, endpoint })
    }

    /// Asks; a refusal is an error.
    pub async fn ask(&self, action: &'static str, body: &Value) -> Result<Value, OperateError> {
        self.ask_unless(action, body).await?.map_err(|Refusal { code, message }| OperateError::CatalogRefused {
            action,
            code,
            message,
        })
    }

    /// Asks; the refusal is the caller's to judge.
    pub async fn ask_unless(&self, action: &'static str, body: &Value) -> Result<Result<Value, Refusal>, OperateError> {
        let mut tried = 0;
        loop {
            tried += 1;
            let answer = self.once(action, body).await;
            let again = match &answer {
                Err(_) => true,
                Ok(Err(refusal)) => is_passing(&refusal.code),
                Ok(Ok(_)) => false,
            };
            if !again || tried == TRIES {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(100 << tried)).await;
        }
    }

    async fn once(&self, action: &str, body: &Value) -> Result<Result<Value, Refusal>, OperateError> {
        let away = |reason: String| OperateError::CatalogAway { endpoint: self.endpoint.clone(), reason };
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/", self.endpoint))
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("AWSGlue.{action}"))
            .body(body.to_string().into());
        let mut request = request.map_err(|error| away(error.to_string()))?;
        let credential = self.credentials.get_credential().await.map_err(|error| away(error.to_string()))?;
        AwsAuthorizer::new(&credential, "glue", &self.region).authorize(&mut request, None);
        let answer = self.client.execute(request).await.map_err(|error| away(chain(&error)))?;
        let status = answer.status();
        let bytes = answer.into_body().bytes().await.map_err(|error| away(chain(&error)))?;
        let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            return Ok(Ok(said));
        }
        if status.is_server_error() {
            return Err(away(format!("it answers {status}")));
        }
        let text = |names: [&str; 2]| names.iter().find_map(|name| said[*name].as_str()).unwrap_or_default().to_owned();
        // `com.amazonaws.glue#EntityNotFoundException` and the bare name mean the same.
        let code = text(["__type", "code"]).rsplit('#').next().unwrap_or_default().to_owned();
        let code = if code.is_empty() { status.to_string() } else { code };
        Ok(Err(Refusal { code, message: text(["Message", "message"]) }))
    }
}

fn is_passing(code: &str) -> bool {
    ["ThrottlingException", "ConcurrentModificationException", "OperationTimeoutException", "InternalServiceException"]
        .contains(&code)
}

/// An error and its causes: the outermost one does not say why.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let more = source.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = source.source();
    }
    text
}
