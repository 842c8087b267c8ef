//! A retail shop's database, simulated: every kind of change and of delivery that a pipeline must bear.
//!
//! Records, partitions and ledger are pure functions of [`Spec`] (and the number of partitions): no clock,
//! no thread, no iteration over a hash map. [`world`](self) makes changes in the source's order, `delivery`
//! makes them late, reordered, repeated and poisoned. The source's clock starts at 2024-01-01T00:00 UTC and
//! may be set back; order keys only grow.

mod delivery;
mod dice;
mod spec;
mod state;
mod words;
mod world;

#[cfg(test)]
mod tests;

use weir_project::Table;

use crate::error::SourceError;
use crate::record::SourceRecord;
use crate::source::Records;

pub use spec::{Size, Spec, Switch, Switches};
pub use words::{CATEGORIES, MARITAL_STATUSES, SEGMENTS, STATUSES};

/// A spec that was found right for the project's tables.
#[derive(Debug, Clone)]
pub struct Simulator {
    spec: Spec,
    layouts: state::Layouts,
}

impl Simulator {
    /// Checks sizes, switches, and that the tables have the columns that the simulator fills.
    pub fn new(spec: Spec, tables: &[Table]) -> Result<Self, SourceError> {
        spec.check()?;
        Ok(Self { spec, layouts: state::Layouts::bind(tables)? })
    }

    /// What is simulated.
    pub const fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Every record, from the first. Nothing is kept but the shop's present state and what is held back.
    pub fn records(&self, partitions: i32) -> Records<'static> {
        let world = world::World::new(self.spec);
        let delivery = delivery::Delivery::new(self.spec, self.layouts.clone(), partitions, world.gap());
        Box::new(Simulation { world, delivery, finished: false }.map(Ok))
    }
}

struct Simulation {
    world: world::World,
    delivery: delivery::Delivery,
    finished: bool,
}

impl Iterator for Simulation {
    type Item = SourceRecord;

    fn next(&mut self) -> Option<SourceRecord> {
        loop {
            if let Some(record) = self.delivery.out.pop_front() {
                return Some(record);
            }
            if let Some(step) = self.world.out.pop_front() {
                self.delivery.take(step);
            } else if !self.finished && !self.world.step() {
                self.finished = true;
                self.delivery.finish();
            } else if self.finished {
                return None;
            }
        }
    }
}
