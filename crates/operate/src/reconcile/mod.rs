//! Reconciliation: the stream compared with every zone and the warehouse, by key and hash.
//!
//! The expectation comes from the ledger of a source or from the topics themselves, never from a zone. Each
//! zone is read whole and judged on its own, so that a fault shows in the zone that made it.

mod expected;
mod last;
mod report;
mod star;
mod stream;
pub(crate) mod tally;
pub(crate) mod values;
pub(crate) mod warehouse;
pub(crate) mod zones;

use weir_core::diagnosis::Diagnosed;
use weir_core::ledger::LedgerRecord;
use weir_landing::letters::Letters;
use weir_project::Project;

pub use expected::{Expected, ExpectedTable};
pub use report::{AccountLine, Reconciliation, ZoneLine};

use crate::site::Site;
use crate::warehouse::Target;

/// Something that tells what the stream holds, any number of times.
pub trait Witness: Sync {
    /// Hands over every record of the stream, per partition in order.
    fn each(&self, visit: &mut dyn FnMut(LedgerRecord)) -> Result<(), Diagnosed>;
}

/// A source's own ledger.
pub struct LedgerWitness<'a> {
    /// What was replayed.
    pub source: &'a weir_source::Source,
    /// The project whose tables it was replayed into.
    pub project: &'a Project,
}

impl Witness for LedgerWitness<'_> {
    fn each(&self, visit: &mut dyn FnMut(LedgerRecord)) -> Result<(), Diagnosed> {
        for record in self.source.ledger(&self.project.tables, self.project.stream.partitions) {
            visit(record?);
        }
        Ok(())
    }
}

pub use stream::StreamWitness;

/// Compares every zone, and the warehouse where there is one, with what the witness says.
pub async fn reconcile(
    site: &Site,
    target: Option<&Target>,
    witness: &dyn Witness,
) -> Result<Reconciliation, Diagnosed> {
    let (project, lake) = (&site.project, &site.lake);
    let mut expected: Expected =
        project.tables.iter().map(|table| (table.name.clone(), ExpectedTable::default())).collect();
    witness.each(&mut |record| {
        if let Some(table) = expected.get_mut(&record.table) {
            table.add(&record);
        }
    })?;
    let mut report = Reconciliation::default();
    for table in &project.tables {
        let of_table = &expected[&table.name];
        report.zones.push(zones::landing(lake, table, of_table).await?);
        let letters = Letters::open(lake, &table.name).await?;
        report.zones.push(zones::dead_letters(&letters, table, of_table).await?);
        report.zones.push(zones::staging(lake, table, of_table).await?);
        report.accounts.extend(zones::accounts(lake, &letters, table, of_table).await?);
    }
    drop(expected);
    let states = last::states(project, lake, witness).await?;
    if let Some(target) = target.filter(|_| project.warehouse.mirrors) {
        for table in &project.tables {
            report.zones.push(warehouse::mirror(target, table, &states.sent[&table.name])?);
        }
    }
    report.zones.extend(star::curated(project, lake, states.staged()).await?);
    if let Some(target) = target {
        for model in &project.models {
            report.zones.extend(warehouse::analytics(target, lake, model).await?);
        }
    }
    report.zones.sort_by_key(|line| report::order(line.zone));
    Ok(report)
}
