//! Rows of the simulated shop, compact, and how they look as rows of the project's tables.

use weir_core::value::{Row, Value};
use weir_project::Table;

use super::words;
use crate::error::SourceError;
use crate::layout::{Field, Kind, Layout};

/// 2024-01-01T00:00:00 UTC, in milliseconds: where the source's clock starts.
pub(super) const START: i64 = 1_704_067_200_000;

const CUSTOMER: &[Field] = &[
    Field { name: "customer_id", kind: Kind::Int, nullable: false },
    Field { name: "first_name", kind: Kind::Text(20), nullable: false },
    Field { name: "last_name", kind: Kind::Text(20), nullable: false },
    Field { name: "email", kind: Kind::Text(40), nullable: true },
    Field { name: "street", kind: Kind::Text(30), nullable: false },
    Field { name: "city", kind: Kind::Text(20), nullable: false },
    Field { name: "country", kind: Kind::Text(20), nullable: false },
    Field { name: "birth_date", kind: Kind::Date, nullable: true },
    Field { name: "segment", kind: Kind::Text(10), nullable: false },
    Field { name: "marital_status", kind: Kind::Text(10), nullable: true },
    Field { name: "created_at", kind: Kind::Timestamp, nullable: false },
];
const PRODUCT: &[Field] = &[
    Field { name: "product_id", kind: Kind::Text(12), nullable: false },
    Field { name: "description", kind: Kind::Text(60), nullable: false },
    Field { name: "category", kind: Kind::Text(12), nullable: false },
    Field { name: "list_price", kind: Kind::Decimal, nullable: false },
    Field { name: "discontinued", kind: Kind::Bit, nullable: false },
];
const ORDER: &[Field] = &[
    Field { name: "order_id", kind: Kind::Text(12), nullable: false },
    Field { name: "customer_id", kind: Kind::Int, nullable: true },
    Field { name: "status", kind: Kind::Text(9), nullable: false },
    Field { name: "ordered_at", kind: Kind::Timestamp, nullable: false },
    Field { name: "is_cancellation", kind: Kind::Bit, nullable: false },
];
const ORDER_ITEM: &[Field] = &[
    Field { name: "order_id", kind: Kind::Text(12), nullable: false },
    Field { name: "line_number", kind: Kind::Int, nullable: false },
    Field { name: "product_id", kind: Kind::Text(12), nullable: false },
    Field { name: "customer_id", kind: Kind::Int, nullable: true },
    Field { name: "quantity", kind: Kind::Int, nullable: false },
    Field { name: "unit_price", kind: Kind::Decimal, nullable: false },
    Field { name: "ordered_at", kind: Kind::Timestamp, nullable: false },
];

/// Words are kept by their index; an index past the end is NULL.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Customer {
    pub id: i32,
    pub first: u8,
    pub last: u8,
    pub has_email: bool,
    pub house: u16,
    pub street: u8,
    pub city: u8,
    pub country: u8,
    pub segment: u8,
    pub marital: u8,
    /// Days since 1970.
    pub birth: Option<i32>,
    pub created: i64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Product {
    pub number: u32,
    pub adjective: u8,
    pub noun: u8,
    pub edition: u16,
    pub category: u8,
    /// Thousandths.
    pub price: u32,
    pub discontinued: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Order {
    pub number: u32,
    pub customer: Option<i32>,
    pub status: u8,
    pub ordered: i64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    pub order: u32,
    pub number: u16,
    pub product: u32,
    pub customer: Option<i32>,
    pub quantity: u16,
    /// Thousandths; negative only in lines that break the contract.
    pub price: i32,
    pub ordered: i64,
}

/// A row of any table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum State {
    Customer(Customer),
    Product(Product),
    Order(Order),
    Line(Line),
}

/// The key of a row of any table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Customer(i32),
    Product(u32),
    Order(u32),
    Line(u32, u16),
}

impl State {
    pub const fn key(self) -> Key {
        match self {
            Self::Customer(row) => Key::Customer(row.id),
            Self::Product(row) => Key::Product(row.number),
            Self::Order(row) => Key::Order(row.number),
            Self::Line(row) => Key::Line(row.order, row.number),
        }
    }
}

/// The tables of the project that the simulator fills.
#[derive(Debug, Clone)]
pub(super) struct Layouts {
    customer: Layout,
    product: Layout,
    order: Layout,
    order_item: Layout,
}

impl Layouts {
    pub fn bind(tables: &[Table]) -> Result<Self, SourceError> {
        Ok(Self {
            customer: Layout::bind(tables, "customer", CUSTOMER, &["customer_id"])?,
            product: Layout::bind(tables, "product", PRODUCT, &["product_id"])?,
            order: Layout::bind(tables, "order", ORDER, &["order_id"])?,
            order_item: Layout::bind(tables, "order_item", ORDER_ITEM, &["order_id", "line_number"])?,
        })
    }

    /// Index of the row's table in the project.
    pub fn table(&self, key: Key) -> usize {
        match key {
            Key::Customer(_) => self.customer.table,
            Key::Product(_) => self.product.table,
            Key::Order(_) => self.order.table,
            Key::Line(..) => self.order_item.table,
        }
    }

    /// The row in contract column order.
    pub fn row(&self, state: State) -> Row {
        match state {
            State::Customer(row) => self.customer.row(customer(row)),
            State::Product(row) => self.product.row(product(row)),
            State::Order(row) => self.order.row(order(row)),
            State::Line(row) => self.order_item.row(line(row)),
        }
    }
}

/// Values of the key columns.
pub(super) fn key_row(key: Key) -> Row {
    match key {
        Key::Customer(id) => vec![Value::Int(id.into())],
        Key::Product(number) => vec![product_id(number)],
        Key::Order(number) => vec![order_id(number)],
        Key::Line(order, number) => vec![order_id(order), Value::Int(number.into())],
    }
}

fn customer(row: Customer) -> Row {
    vec![
        Value::Int(row.id.into()),
        word(words::FIRST_NAMES, row.first),
        word(words::LAST_NAMES, row.last),
        if row.has_email { Value::Text(format!("customer{}@example.com", row.id)) } else { Value::Null },
        Value::Text(format!("{} {}", row.house, words::STREETS[usize::from(row.street)])),
        word(words::CITIES, row.city),
        word(words::COUNTRIES, row.country),
        row.birth.map_or(Value::Null, Value::Date),
        word(words::SEGMENTS, row.segment),
        word(words::MARITAL_STATUSES, row.marital),
        Value::Timestamp(row.created * 1000),
    ]
}

fn product(row: Product) -> Row {
    let (adjective, noun) = (words::ADJECTIVES[usize::from(row.adjective)], words::NOUNS[usize::from(row.noun)]);
    vec![
        product_id(row.number),
        Value::Text(format!("{adjective} {noun} no. {}", row.edition)),
        word(words::CATEGORIES, row.category),
        Value::Decimal(row.price.into(), 3),
        Value::Bool(row.discontinued),
    ]
}

fn order(row: Order) -> Row {
    vec![
        order_id(row.number),
        row.customer.map_or(Value::Null, |id| Value::Int(id.into())),
        word(words::STATUSES, row.status),
        Value::Timestamp(row.ordered * 1000),
        Value::Bool(false),
    ]
}

fn line(row: Line) -> Row {
    vec![
        order_id(row.order),
        Value::Int(row.number.into()),
        product_id(row.product),
        row.customer.map_or(Value::Null, |id| Value::Int(id.into())),
        Value::Int(row.quantity.into()),
        Value::Decimal(row.price.into(), 3),
        Value::Timestamp(row.ordered * 1000),
    ]
}

fn product_id(number: u32) -> Value {
    Value::Text(numbered('P', number))
}

fn order_id(number: u32) -> Value {
    Value::Text(numbered('O', number))
}

/// `O00000042`: a letter and at least 8 digits, without the formatting machinery, which costs a third of a row.
fn numbered(letter: char, number: u32) -> String {
    let mut digits = [b'0'; 10];
    let mut rest = number;
    for place in digits.iter_mut().rev() {
        *place = b'0' + u8::try_from(rest % 10).expect("a digit");
        rest /= 10;
    }
    let from = if number < 100_000_000 { 2 } else { 0 };
    let mut text = String::with_capacity(11);
    text.push(letter);
    text.extend(digits[from..].iter().map(|digit| char::from(*digit)));
    text
}

fn word(words: &[&str], index: u8) -> Value {
    words.get(usize::from(index)).map_or(Value::Null, |word| Value::Text((*word).to_owned()))
}
