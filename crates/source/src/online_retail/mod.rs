//! UCI Online Retail (CC BY 4.0; Daqing Chen, 2015) as the changes of the shop's database.
//!
//! The rules, which make the events a pure function of the file:
//! - Lines go in InvoiceDate order, then file order; the n-th line in that order is unit n of the log.
//! - A transaction is a run of neighbouring lines of one invoice with one InvoiceDate; its commit time is
//!   that InvoiceDate, read as UTC, and its commit LSN that of its last line.
//! - A line makes up to four changes, in this order: customer, product, order, order_item.
//! - customer: inserted with the first line that names it, updated when a later line gives another country
//!   (an empty country says nothing). Lines without a customer touch none.
//! - product: inserted with its first line; description NULL where that line's is empty, list price NULL
//!   where that line's price is 0. Updated when a later line has another description that is not empty, or
//!   another price that is not 0. Empty and 0 mean "not given" and erase nothing. Codes and descriptions stay
//!   as written, so `15056bl` and `15056BL` are two products. A negative price counts as a price.
//! - order: inserted with its first line and never changed: that line's customer and time; `cancelled` when
//!   the invoice number starts with C, else `placed`.
//! - order_item: every line, exact repeats too; key (InvoiceNo, number of the line within the invoice in
//!   file order, from 1), with the line's own customer and time.

mod emit;
mod fields;
mod read;

#[cfg(test)]
mod tests;

use std::path::Path;

use weir_project::Table;

use crate::error::SourceError;
use crate::layout::{Field, Kind, Layout};
use crate::source::Records;

const CUSTOMER: &[Field] = &[
    Field { name: "customer_id", kind: Kind::Int, nullable: false },
    Field { name: "country", kind: Kind::Text(40), nullable: true },
];
const PRODUCT: &[Field] = &[
    Field { name: "product_id", kind: Kind::Text(20), nullable: false },
    Field { name: "description", kind: Kind::Text(200), nullable: true },
    Field { name: "list_price", kind: Kind::Decimal, nullable: true },
    Field { name: "discontinued", kind: Kind::Bit, nullable: false },
];
const ORDER: &[Field] = &[
    Field { name: "order_id", kind: Kind::Text(20), nullable: false },
    Field { name: "customer_id", kind: Kind::Int, nullable: true },
    Field { name: "status", kind: Kind::Text(9), nullable: false },
    Field { name: "ordered_at", kind: Kind::Timestamp, nullable: false },
    Field { name: "is_cancellation", kind: Kind::Bit, nullable: false },
];
const ORDER_ITEM: &[Field] = &[
    Field { name: "order_id", kind: Kind::Text(20), nullable: false },
    Field { name: "line_number", kind: Kind::Int, nullable: false },
    Field { name: "product_id", kind: Kind::Text(20), nullable: false },
    Field { name: "customer_id", kind: Kind::Int, nullable: true },
    Field { name: "quantity", kind: Kind::Int, nullable: false },
    Field { name: "unit_price", kind: Kind::Decimal, nullable: false },
    Field { name: "ordered_at", kind: Kind::Timestamp, nullable: false },
];

/// The data set, read whole and found right.
#[derive(Debug)]
pub struct OnlineRetail {
    data: read::Data,
    layouts: Layouts,
}

#[derive(Debug)]
struct Layouts {
    customer: Layout,
    product: Layout,
    order: Layout,
    order_item: Layout,
}

impl OnlineRetail {
    /// Reads the file, gzip or plain, to its end: about 50 bytes of memory per line. Fails at the first bad line.
    pub fn open(path: &Path, tables: &[Table]) -> Result<Self, SourceError> {
        let layouts = Layouts {
            customer: Layout::bind(tables, "customer", CUSTOMER, &["customer_id"])?,
            product: Layout::bind(tables, "product", PRODUCT, &["product_id"])?,
            order: Layout::bind(tables, "order", ORDER, &["order_id"])?,
            order_item: Layout::bind(tables, "order_item", ORDER_ITEM, &["order_id", "line_number"])?,
        };
        Ok(Self { data: read::read(path)?, layouts })
    }

    /// SHA-256 of the file's bytes as they are on disk, in lower-case hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.data.sha256
    }

    /// Order lines in the file.
    pub fn lines(&self) -> usize {
        self.data.lines.len()
    }

    /// Every record, from the first.
    pub fn records(&self, partitions: i32) -> Records<'_> {
        Box::new(emit::Emit::new(&self.data, &self.layouts, partitions).map(Ok))
    }
}
