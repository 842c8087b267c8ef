//! Landing: writes every event of a topic into its raw Delta table, once.
//!
//! In: micro-batches of records, in partition order, from where the table stands.
//! Out: one Delta commit per micro-batch, holding the rows, the offsets they came from and the counts;
//! what cannot be decoded goes to the dead letters, committed first under the same offsets.
//! Never: changes a value, drops an event, goes on over a gap unasked, or asks the broker where it stopped.
//!
//! Read first: [`worker`] (the loop and the commits), then [`start`] (where reading begins, and when it
//! may not), then [`batch`] (what becomes of the records), then [`deadletter`]; what an operator does about dead
//! letters is in [`letters`] and [`mod@replay`].

mod accept;
pub mod batch;
pub mod deadletter;
mod decoding;
mod error;
mod feed;
mod gather;
pub mod handled;
pub mod letters;
mod open;
pub mod policy;
pub mod replay;
pub mod start;
pub mod worker;

pub use accept::accept_gap;
pub use error::{LandingError, STOPS_ALL};
pub use feed::{Feed, Schemas};
pub use worker::{Landed, Source, Until, land};

#[cfg(test)]
mod tests;
