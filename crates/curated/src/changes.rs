//! A bucket's change history in columns, seen key by key.

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;
use arrow::row::{Row, RowConverter, Rows, SortField};
use weir_core::change::Op;
use weir_project::Model;

use crate::key::key_hashes;
use crate::layout::{OP, ORDER_KEY, SOURCE_TS, UNAVAILABLE, tracked_columns};
use crate::scd::Step;

/// Rows encoded so that two encodings are equal exactly when the values are.
pub fn encoded(columns: &[ArrayRef]) -> Result<Rows, ArrowError> {
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    RowConverter::new(fields)?.convert_columns(columns)
}

/// Keys to sort rows by where any order does that brings equal ones together: numbers are compared sooner than keys.
pub struct Grouping {
    hashes: Vec<u64>,
    keys: Rows,
}

impl Grouping {
    /// Of these key columns.
    pub fn new(columns: &[ArrayRef]) -> Result<Self, ArrowError> {
        Ok(Self { hashes: key_hashes(columns), keys: encoded(columns)? })
    }

    /// The [`key_hashes`].
    pub fn hashes(&self) -> &[u64] {
        &self.hashes
    }

    /// Where a row's key stands; equal exactly when the keys are.
    pub fn at(&self, row: usize) -> (u64, Row<'_>) {
        (self.hashes[row], self.keys.row(row))
    }
}

/// These columns of a batch, by position.
pub fn columns(batch: &RecordBatch, positions: &[usize]) -> Vec<ArrayRef> {
    positions.iter().map(|i| batch.column(*i).clone()).collect()
}

/// The changes of some keys, grouped by key.
pub struct Changes {
    ops: Vec<Op>,
    order_keys: BinaryArray,
    times: TimestampMicrosecondArray,
    keys: Grouping,
    tracked: Option<Rows>,
    /// Of no use, and not made, where no identity is there twice.
    content: Option<Rows>,
    order: Vec<u32>,
}

impl Changes {
    /// From rows of a model's history, in any order.
    pub fn new(model: &Model, history: &RecordBatch) -> Result<Self, ArrowError> {
        let named = |name: &str| {
            history.column_by_name(name).ok_or_else(|| ArrowError::SchemaError(format!("a history has no `{name}`")))
        };
        let letters = named(OP)?.as_string::<i32>();
        let ops = (0..history.num_rows())
            .map(|i| {
                let letter = letters.value(i);
                Op::from_letter(letter).ok_or_else(|| ArrowError::ParseError(format!("`{letter}` is no operation")))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let keys = Grouping::new(&columns(history, &model.key_indexes()))?;
        let tracked = tracked_columns(model);
        let tracked = if tracked.is_empty() { None } else { Some(encoded(&columns(history, &tracked))?) };
        // A bucket is far below 4 billion rows: a batch of that size cannot be held.
        let mut order: Vec<u32> = (0..history.num_rows() as u32).collect();
        order.sort_unstable_by(|a, b| keys.at(*a as usize).cmp(&keys.at(*b as usize)));
        let mut changes = Self {
            ops,
            order_keys: named(ORDER_KEY)?.as_binary::<i32>().clone(),
            times: named(SOURCE_TS)?.as_primitive::<TimestampMicrosecondType>().clone(),
            keys,
            tracked,
            content: None,
            order,
        };
        if changes.has_repeats() {
            let mut all: Vec<usize> = (0..model.columns.len()).collect();
            all.extend(history.schema().index_of(UNAVAILABLE));
            changes.content = Some(encoded(&columns(history, &all))?);
        }
        Ok(changes)
    }

    /// Whether a change of some key is there twice.
    fn has_repeats(&self) -> bool {
        let mut identities: Vec<(&[u8], u8)> = Vec::new();
        self.groups().any(|group| {
            identities.clear();
            identities
                .extend(group.iter().map(|row| (self.order_keys.value(*row as usize), self.ops[*row as usize].rank())));
            identities.sort_unstable();
            identities.windows(2).any(|pair| pair[0] == pair[1])
        })
    }

    /// The history's rows of one key after the other.
    pub fn groups(&self) -> impl Iterator<Item = &[u32]> {
        self.order.chunk_by(|a, b| self.keys.at(*a as usize) == self.keys.at(*b as usize))
    }

    /// Encoding of a group's key.
    pub fn key(&self, group: &[u32]) -> &[u8] {
        self.keys.keys.row(group[0] as usize).data()
    }

    /// Fills `out` with a group's changes.
    pub fn steps<'a>(&'a self, group: &[u32], out: &mut Vec<Step<'a>>) {
        out.clear();
        out.extend(group.iter().map(|row| {
            let i = *row as usize;
            Step {
                order_key: self.order_keys.value(i),
                op: self.ops[i],
                source_ts: self.times.value(i),
                tracked: self.tracked.as_ref().map_or(&[][..], |rows| rows.row(i).data()),
                content: self.content.as_ref().map_or(&[][..], |rows| rows.row(i).data()),
                row: *row,
            }
        }));
    }
}
