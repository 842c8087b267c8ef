//! Turns the lines into changes; the rules stand at the head of [`super`].

use std::collections::{HashMap, VecDeque};

use weir_core::change::Op;
use weir_core::value::{Row, Value};

use super::Layouts;
use super::read::{Data, Line};
use crate::position;
use crate::record::{CONNECTOR_DELAY, Event, Payload, SourceRecord, partition_of};

/// What is known of a product so far.
#[derive(Clone, Copy, PartialEq)]
struct Product {
    description: Option<u32>,
    price: Option<i64>,
}

pub(super) struct Emit<'a> {
    data: &'a Data,
    layouts: &'a Layouts,
    partitions: i32,
    /// Next line.
    at: usize,
    /// Index of the last line of the transaction that line `at` belongs to.
    last: usize,
    customers: HashMap<i32, Option<u32>>,
    products: Vec<Option<Product>>,
    ordered: Vec<bool>,
    ready: VecDeque<SourceRecord>,
}

impl<'a> Emit<'a> {
    pub fn new(data: &'a Data, layouts: &'a Layouts, partitions: i32) -> Self {
        Self {
            data,
            layouts,
            partitions,
            at: 0,
            last: 0,
            customers: HashMap::new(),
            products: vec![None; data.products.len()],
            ordered: vec![false; data.invoices.len()],
            ready: VecDeque::with_capacity(4),
        }
    }

    fn line(&mut self, line: Line) {
        if let Some(id) = line.customer {
            self.customer(id, line);
        }
        self.product(line);
        if !std::mem::replace(&mut self.ordered[line.invoice as usize], true) {
            self.order(line);
        }
        self.order_item(line);
    }

    fn customer(&mut self, id: i32, line: Line) {
        let row = |country: Option<u32>| {
            let country = text_or_null(&self.data.countries, country);
            self.layouts.customer.row(vec![Value::Int(id.into()), country])
        };
        let change = match self.customers.get(&id) {
            None => (Op::Create, None, row(line.country)),
            Some(known) if line.country.is_some() && *known != line.country => {
                (Op::Update, Some(row(*known)), row(line.country))
            }
            Some(_) => return,
        };
        self.customers.insert(id, line.country);
        self.push(line, 1, self.layouts.customer.table, vec![Value::Int(id.into())], change);
    }

    fn product(&mut self, line: Line) {
        let given = Product { description: line.description, price: (line.price != 0).then_some(line.price) };
        let known = self.products[line.product as usize];
        let now = known.map_or(given, |known| Product {
            description: given.description.or(known.description),
            price: given.price.or(known.price),
        });
        if known == Some(now) {
            return;
        }
        self.products[line.product as usize] = Some(now);
        let code = Value::Text(self.data.products[line.product as usize].clone());
        let row = |product: Product| {
            self.layouts.product.row(vec![
                code.clone(),
                text_or_null(&self.data.descriptions, product.description),
                product.price.map_or(Value::Null, |price| Value::Decimal(price.into(), 3)),
                Value::Bool(false),
            ])
        };
        let op = if known.is_some() { Op::Update } else { Op::Create };
        let change = (op, known.map(row), row(now));
        self.push(line, 2, self.layouts.product.table, vec![code], change);
    }

    fn order(&mut self, line: Line) {
        let invoice = &self.data.invoices[line.invoice as usize];
        let cancelled = invoice.starts_with('C');
        let status = if cancelled { "cancelled" } else { "placed" };
        let row = self.layouts.order.row(vec![
            Value::Text(invoice.clone()),
            int_or_null(line.customer),
            Value::Text(status.to_owned()),
            Value::Timestamp(line.time * 1_000_000),
            Value::Bool(cancelled),
        ]);
        let key = vec![Value::Text(invoice.clone())];
        self.push(line, 3, self.layouts.order.table, key, (Op::Create, None, row));
    }

    fn order_item(&mut self, line: Line) {
        let invoice = Value::Text(self.data.invoices[line.invoice as usize].clone());
        let number = Value::Int(line.number.into());
        let row = self.layouts.order_item.row(vec![
            invoice.clone(),
            number.clone(),
            Value::Text(self.data.products[line.product as usize].clone()),
            int_or_null(line.customer),
            Value::Int(line.quantity.into()),
            Value::Decimal(line.price.into(), 3),
            Value::Timestamp(line.time * 1_000_000),
        ]);
        self.push(line, 4, self.layouts.order_item.table, vec![invoice, number], (Op::Create, None, row));
    }

    fn push(&mut self, line: Line, slot: u16, table: usize, key: Row, change: (Op, Option<Row>, Row)) {
        let (op, before, after) = change;
        let source_ts = line.time * 1_000_000;
        let event = Event {
            op,
            before,
            after: Some(after),
            position: position::of_change(self.at as u64 + 1, self.last as u64 + 1, slot, op),
            source_ts,
            sent_ts: source_ts + CONNECTOR_DELAY,
        };
        let partition = partition_of(&key, self.partitions);
        self.ready.push_back(SourceRecord { table, partition, key, payload: Payload::Change(event) });
    }
}

impl Iterator for Emit<'_> {
    type Item = SourceRecord;

    fn next(&mut self) -> Option<SourceRecord> {
        if let Some(record) = self.ready.pop_front() {
            return Some(record);
        }
        let lines = &self.data.lines;
        let line = *lines.get(self.at)?;
        if self.at == 0 || self.at > self.last {
            let same = |next: &&Line| next.invoice == line.invoice && next.time == line.time;
            self.last = self.at + lines[self.at + 1..].iter().take_while(same).count();
        }
        self.line(line);
        self.at += 1;
        self.ready.pop_front()
    }
}

fn text_or_null(texts: &[String], number: Option<u32>) -> Value {
    number.map_or(Value::Null, |number| Value::Text(texts[number as usize].clone()))
}

fn int_or_null(id: Option<i32>) -> Value {
    id.map_or(Value::Null, |id| Value::Int(id.into()))
}
