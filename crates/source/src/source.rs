//! The three sources under one name.

use serde_json::{Value as Json, json};
use weir_project::Table;

use crate::error::SourceError;
use crate::events::Events;
use crate::ledger::Ledger;
use crate::online_retail::OnlineRetail;
use crate::record::SourceRecord;
use crate::simulate::Simulator;

/// Records in the order of production; per partition that is the order of its offsets.
///
/// Only an events file that changes while it is read gives an error, as its last item.
pub type Records<'a> = Box<dyn Iterator<Item = Result<SourceRecord, SourceError>> + Send + 'a>;

/// Where change events come from: checked, and ready to be replayed any number of times.
#[derive(Debug)]
pub enum Source {
    /// The real data set.
    OnlineRetail(OnlineRetail),
    /// The simulated shop.
    Simulate(Simulator),
    /// A file of events.
    Events(Events),
}

impl Source {
    /// Every record, from the first of each partition.
    pub fn records(&self, partitions: i32) -> Records<'_> {
        match self {
            Self::OnlineRetail(source) => source.records(partitions),
            Self::Simulate(source) => source.records(partitions),
            Self::Events(source) => source.records(partitions),
        }
    }

    /// What [`Source::records`] gives, with offsets: the expectation that any zone is judged against.
    ///
    /// `tables` are those that the source was opened with.
    pub fn ledger<'a>(&'a self, tables: &'a [Table], partitions: i32) -> Ledger<'a> {
        Ledger::new(tables, self.records(partitions))
    }

    /// The word in `replay.json` and on the command line.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::OnlineRetail(_) => "online-retail",
            Self::Simulate(_) => "simulate",
            Self::Events(_) => "events",
        }
    }

    /// About how many records come, for a progress bar.
    pub fn estimate(&self) -> u64 {
        match self {
            // Measured on the published file: 541,909 lines make 765,138 records.
            Self::OnlineRetail(source) => source.lines() as u64 * 1412 / 1000,
            Self::Simulate(source) => {
                let size = source.spec().size;
                u64::from(size.customers) + u64::from(size.products) + u64::from(size.orders) * 72 / 10
            }
            Self::Events(source) => source.lines(),
        }
    }

    /// Everything that decides the records, for `replay.json`.
    pub fn settings(&self) -> Json {
        match self {
            Self::OnlineRetail(source) => json!({ "source": self.kind(), "sha256": source.sha256() }),
            Self::Simulate(source) => {
                let spec = source.spec();
                json!({
                    "source": self.kind(),
                    "seed": spec.seed,
                    "customers": spec.size.customers,
                    "products": spec.size.products,
                    "orders": spec.size.orders,
                    "switches": spec.switches.names(),
                })
            }
            Self::Events(source) => json!({ "source": self.kind(), "sha256": source.sha256() }),
        }
    }
}
