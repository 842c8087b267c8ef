//! Core: the words that every room of the path uses.
//!
//! In: nothing. Out: types — names, column types, values, order keys, changes, the source's ledger,
//! accounts, the publication manifest, diagnoses, failpoints.
//! Never: I/O beyond a failpoint's abort, Arrow, a network, a clock.
//!
//! Read first: [`order_key`] (the one typed order), then [`change`], then [`value`].
//!
//! ```
//! use weir_core::{column::ColumnType, order_key::{Lsn, OrderKey, SqlServerPosition}};
//!
//! let lsn = |text: &str| text.parse::<Lsn>().unwrap();
//! let change = SqlServerPosition {
//!     commit_lsn: lsn("0000002a:00000108:0001"),
//!     change_lsn: Some(lsn("0000002a:00000108:0002")),
//!     serial: 1,
//! };
//! let snapshot = SqlServerPosition { change_lsn: None, serial: 0, ..change };
//! assert!(OrderKey::from(change) < OrderKey::from(snapshot));
//! assert_eq!("decimal(12,3)".parse::<ColumnType>().unwrap().to_string(), "decimal(12,3)");
//! ```

pub mod accounts;
pub mod change;
pub mod column;
pub mod diagnosis;
pub mod emf;
pub mod failpoint;
pub mod key_hash;
pub mod ledger;
pub mod name;
pub mod order_key;
pub mod publication;
pub mod schema_id;
pub mod surrogate;
pub mod value;
pub mod zone;
