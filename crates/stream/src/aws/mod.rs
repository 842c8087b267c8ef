//! What AWS asks of whoever calls it: credentials, signatures, and the token of an MSK cluster; and what it keeps: secrets.

mod credentials;
mod msk;
mod service;
mod sigv4;
mod vault;

pub(crate) use credentials::Provider;
pub(crate) use msk::{Source, Tokens};
pub use service::{Service, ServiceError, element};
pub(crate) use sigv4::{Scope, Signable};
pub use vault::AwsVault;
