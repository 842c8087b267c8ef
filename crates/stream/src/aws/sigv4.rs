//! AWS Signature Version 4: pure functions of request, credentials and time.

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use super::credentials::Credentials;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What RFC 3986 leaves as it is.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where and when a signature holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    pub(crate) at: DateTime<Utc>,
}

/// A request to the path `/`. Header names are in lower case and sorted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signable<'a> {
    pub(crate) method: &'a str,
    pub(crate) query: &'a [(&'a str, &'a str)],
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a [u8],
}

impl Scope<'_> {
    /// The time as requests carry it.
    pub(crate) fn time(&self) -> String {
        self.at.format("%Y%m%dT%H%M%SZ").to_string()
    }

    /// What holds beside the key id.
    fn text(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.at.format("%Y%m%d"), self.region, self.service)
    }

    /// The `Authorization` header of a request that carries [`Scope::time`] as `x-amz-date`.
    pub(crate) fn authorization(&self, request: Signable<'_>, credentials: &Credentials) -> String {
        let signature = self.signature(request, &query(request.query), credentials);
        let (id, scope, headers) = (&credentials.key_id, self.text(), request.header_names());
        format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={headers}, Signature={signature}")
    }

    /// The query, signature included, by which a request of this host needs no header.
    pub(crate) fn presigned_query(&self, host: &str, action: &str, seconds: u32, credentials: &Credentials) -> String {
        let (credential, time) = (format!("{}/{}", credentials.key_id, self.text()), self.time());
        let seconds = seconds.to_string();
        let mut parameters = vec![
            ("Action", action),
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", &credential),
            ("X-Amz-Date", &time),
            ("X-Amz-Expires", &seconds),
            ("X-Amz-SignedHeaders", "host"),
        ];
        if let Some(token) = &credentials.session_token {
            parameters.push(("X-Amz-Security-Token", token));
        }
        let query = query(&parameters);
        let request = Signable { method: "GET", query: &[], headers: &[("host", host)], body: &[] };
        let signature = self.signature(request, &query, credentials);
        format!("{query}&X-Amz-Signature={signature}")
    }

    fn signature(&self, request: Signable<'_>, query: &str, credentials: &Credentials) -> String {
        let mut canonical = format!("{}\n/\n{query}\n", request.method);
        for (name, value) in request.headers {
            canonical.push_str(&format!("{name}:{}\n", value.trim()));
        }
        let body = hex::encode(Sha256::digest(request.body));
        canonical.push_str(&format!("\n{}\n{body}", request.header_names()));

        let digest = hex::encode(Sha256::digest(canonical));
        let text = format!("{ALGORITHM}\n{}\n{}\n{digest}", self.time(), self.text());
        let date = self.at.format("%Y%m%d").to_string();
        let first = format!("AWS4{}", credentials.secret_key).into_bytes();
        let key = [date.as_str(), self.region, self.service, "aws4_request"]
            .into_iter()
            .fold(first, |key, part| mac(&key, part));
        hex::encode(mac(&key, &text))
    }
}

impl Signable<'_> {
    fn header_names(&self) -> String {
        self.headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";")
    }
}

/// A query in the form and order in which it is signed.
pub(crate) fn query(parameters: &[(&str, &str)]) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, KEPT).to_string();
    let mut pairs: Vec<(String, String)> =
        parameters.iter().map(|(name, value)| (encoded(name), encoded(value))).collect();
    pairs.sort();
    pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length is taken");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What AWS's test suite of Signature Version 4 signs with.
    fn suite() -> (Scope<'static>, Credentials) {
        let at = "2015-08-30T12:36:00Z".parse().unwrap();
        let credentials = Credentials::keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None);
        (Scope { region: "us-east-1", service: "service", at }, credentials)
    }

    #[test]
    fn requests_get_the_signatures_of_awss_test_suite() {
        let (scope, credentials) = suite();
        let plain = [("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")];
        let form = [&[("content-type", "application/x-www-form-urlencoded")][..], &plain].concat();
        let query = [("Param2", "value2"), ("Param1", "value1")];
        let cases: [(&str, Signable<'_>, &str); 4] = [
            (
                "get-vanilla",
                Signable { method: "GET", query: &[], headers: &plain, body: &[] },
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "post-vanilla",
                Signable { method: "POST", query: &[], headers: &plain, body: &[] },
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "get-vanilla-query-order-key-case",
                Signable { method: "GET", query: &query, headers: &plain, body: &[] },
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "post-x-www-form-urlencoded",
                Signable { method: "POST", query: &[], headers: &form, body: b"Param1=value1" },
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
        ];
        for (name, request, signature) in cases {
            let header = scope.authorization(request, &credentials);
            let wanted = format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={}, \
                 Signature={signature}",
                request.header_names()
            );
            assert_eq!(header, wanted, "{name}");
        }
    }

    #[test]
    fn a_query_is_encoded_and_sorted_as_it_is_signed() {
        assert_eq!(query(&[("b", "a b/+~"), ("a", "k:C")]), "a=k%3AC&b=a%20b%2F%2B~");
    }
}
