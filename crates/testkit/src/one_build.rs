//! Test tools that switch on features of crates that the product links too.
//!
//! A plain `cargo build` of the workspace leaves development dependencies out, and with them those features;
//! building the tests afterwards would compile DataFusion and all above it a second time. This crate is built
//! either way, so named here they are on in both. `tests/product/tidy/manifests.rs` finds the ones that are missing.

pub use apache_avro;
pub use cargo_metadata;
