//! The ledger of a source: every record with its offset, in the order in which it is produced.

use weir_core::ledger::LedgerRecord;
use weir_project::Table;

use crate::error::SourceError;
use crate::source::Records;

/// Counts offsets per table and partition while it walks over a source's records.
pub struct Ledger<'a> {
    tables: &'a [Table],
    records: Records<'a>,
    next_offset: Vec<Vec<i64>>,
}

impl<'a> Ledger<'a> {
    /// `records` must start at the first record of every partition.
    pub(crate) fn new(tables: &'a [Table], records: Records<'a>) -> Self {
        Self { tables, records, next_offset: vec![Vec::new(); tables.len()] }
    }
}

impl Iterator for Ledger<'_> {
    type Item = Result<LedgerRecord, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = match self.records.next()? {
            Ok(record) => record,
            Err(error) => return Some(Err(error)),
        };
        let table = &self.tables[record.table];
        let offsets = &mut self.next_offset[record.table];
        let partition = usize::try_from(record.partition).unwrap_or_default();
        if offsets.len() <= partition {
            offsets.resize(partition + 1, 0);
        }
        let offset = offsets[partition];
        offsets[partition] += 1;
        Some(Ok(LedgerRecord {
            table: table.name.clone(),
            partition: record.partition,
            offset,
            kind: record.kind(table),
        }))
    }
}
