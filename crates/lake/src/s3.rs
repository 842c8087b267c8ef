//! A bucket as the lake's root: any S3 that knows conditional writes.
//!
//! Credentials come from where AWS programs look for them: variables, a web identity, the container's or the
//! instance's metadata.

use object_store::aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut};
use object_store::path::Path;
use url::Url;

use crate::error::LakeError;

/// A folder of a bucket, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct S3 {
    /// The bucket.
    pub bucket: String,
    /// The lake's folder in it; empty for the whole bucket.
    pub prefix: String,
    /// The bucket's region; none: as the environment says.
    pub region: Option<String>,
    /// Another server than AWS's, e.g. `http://127.0.0.1:9000`.
    pub endpoint: Option<String>,
    /// The KMS key that encrypts what is written; none: as the bucket says.
    pub kms_key: Option<String>,
}

impl S3 {
    /// From `s3://bucket/prefix`.
    pub fn of_url(url: &str) -> Self {
        let rest = url.trim_start_matches("s3://").trim_end_matches('/');
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        Self { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned(), ..Self::default() }
    }

    /// The store; its `/` is the bucket's.
    pub(crate) fn store(&self) -> Result<AmazonS3, LakeError> {
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(&self.bucket)
            // A commit is a file that is put only where none is.
            .with_conditional_put(S3ConditionalPut::ETagMatch);
        if let Some(region) = &self.region {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint);
            if endpoint.starts_with("http://") {
                builder = builder.with_allow_http(true);
            }
        }
        if let Some(key) = &self.kms_key {
            builder = builder.with_sse_kms_encryption(key);
        }
        builder.build().map_err(|source| self.unusable(source))
    }

    pub(crate) fn unusable(&self, source: object_store::Error) -> LakeError {
        LakeError::Bucket { root: self.location(), source: Box::new(source) }
    }

    /// `s3://bucket/prefix`, without a final slash.
    pub fn location(&self) -> String {
        if self.prefix.is_empty() {
            format!("s3://{}", self.bucket)
        } else {
            format!("s3://{}/{}", self.bucket, self.prefix)
        }
    }

    /// The lake's folder in the bucket.
    pub(crate) fn path(&self) -> Result<Path, LakeError> {
        Path::parse(&self.prefix).map_err(|error| self.unusable(error.into()))
    }

    /// The same as a URL, with one.
    pub(crate) fn url(&self) -> Result<Url, LakeError> {
        let url = Url::parse(&format!("{}/", self.location()));
        url.map_err(|error| self.unusable(object_store::Error::Generic { store: "S3", source: Box::new(error) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_bucket_and_a_folder_in_it() {
        let parts = |url: &str| {
            let s3 = S3::of_url(url);
            (s3.bucket.clone(), s3.prefix.clone(), s3.location())
        };
        let all = |bucket: &str, prefix: &str, location: &str| (bucket.into(), prefix.into(), location.into());
        assert_eq!(parts("s3://b"), all("b", "", "s3://b"));
        assert_eq!(parts("s3://b/"), all("b", "", "s3://b"));
        assert_eq!(parts("s3://b/lake/x/"), all("b", "lake/x", "s3://b/lake/x"));
    }

    #[test]
    fn a_key_is_asked_for_with_every_write() {
        let s3 = S3 { kms_key: Some("key".into()), region: Some("eu-central-1".into()), ..S3::of_url("s3://b/p") };
        let store = format!("{:?}", s3.store().unwrap());
        assert!(store.contains("aws:kms"), "{store}");
        assert!(format!("{:?}", S3::of_url("s3://b").store().unwrap()).contains("ETagMatch"));
    }
}
