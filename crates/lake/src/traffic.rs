//! What was read from and written to a table's data files: counted where it happens, so that work that grows with
//! the table and not with the change can be seen.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::table::Table;

/// Bytes and rows of whole files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes of files that were fetched.
    pub bytes_read: u64,
    /// Rows of these files.
    pub rows_read: u64,
    /// Bytes of files that were written.
    pub bytes_written: u64,
    /// Rows of these files.
    pub rows_written: u64,
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.bytes_read += other.bytes_read;
        self.rows_read += other.rows_read;
        self.bytes_written += other.bytes_written;
        self.rows_written += other.rows_written;
    }
}

/// Counters that a table's handle shares with its clones.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    bytes_read: AtomicU64,
    rows_read: AtomicU64,
    bytes_written: AtomicU64,
    rows_written: AtomicU64,
}

impl Counters {
    pub fn read(&self, bytes: u64, rows: u64) {
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
        self.rows_read.fetch_add(rows, Ordering::Relaxed);
    }

    pub fn written(&self, bytes: u64, rows: u64) {
        self.bytes_written.fetch_add(bytes, Ordering::Relaxed);
        self.rows_written.fetch_add(rows, Ordering::Relaxed);
    }
}

impl Table {
    /// What went through this handle and its clones since it was opened.
    pub fn traffic(&self) -> Traffic {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic {
            bytes_read: value(&self.counters.bytes_read),
            rows_read: value(&self.counters.rows_read),
            bytes_written: value(&self.counters.bytes_written),
            rows_written: value(&self.counters.rows_written),
        }
    }
}
