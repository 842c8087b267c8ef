//! What AWS asks of whoever calls it: credentials, signatures, and the token of an MSK cluster.

mod credentials;
mod msk;
mod sigv4;

pub(crate) use credentials::Provider;
pub(crate) use msk::{Source, Tokens};
pub(crate) use sigv4::{Scope, Signable};
