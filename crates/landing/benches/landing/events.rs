//! The events: changes of order items, a pure function of the seed, and what a right table holds of them.
//!
//! Of 100 events 85 insert a row, 12 update one, 3 delete one. Commit times run over one day; 1 of 100 events is up to two
//! hours late. No event comes twice.

use serde::{Deserialize, Serialize};
use weir_core::change::Op;
use weir_core::order_key::{Lsn, SqlServerPosition};
use weir_core::value::{Row, Value};
use weir_testkit::mix;

/// Microseconds since 1970 at which everything begins: 2024-01-01.
pub const START: i64 = 1_704_067_200_000_000;
const DAY: u64 = 86_400_000_000;
const LINES: u64 = 3;

/// How much, of what.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Shape {
    pub rows: u64,
    pub seed: u64,
}

impl Default for Shape {
    fn default() -> Self {
        Self { rows: 2_000_000, seed: 1 }
    }
}

/// One change.
#[derive(Debug)]
pub struct Change {
    pub op: Op,
    pub before: Option<Row>,
    pub after: Option<Row>,
    pub position: SqlServerPosition,
    pub at: i64,
}

impl Change {
    /// The image that a table is judged by: the row after, of a delete the row before.
    pub fn image(&self) -> Option<&Row> {
        self.after.as_ref().or(self.before.as_ref())
    }
}

/// What a table that holds every event once comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    pub rows: u64,
    pub quantity: i64,
    pub cents: i64,
    /// Milliseconds of the commit times after [`START`].
    pub times: i64,
}

impl Sum {
    pub fn add(&mut self, change: &Change) {
        let number = |at: usize| match change.image().and_then(|row| row.get(at)) {
            Some(Value::Int(number)) => *number,
            Some(Value::Decimal(unscaled, _)) => i64::try_from(*unscaled).unwrap_or(i64::MAX),
            _ => i64::MIN,
        };
        self.rows += 1;
        self.quantity += number(3);
        self.cents += number(4);
        self.times += (change.at - START).div_euclid(1000);
    }
}

impl Shape {
    /// Event number `n`, of `0..rows`.
    pub fn change(&self, n: u64) -> Change {
        let dice = mix(self.seed ^ mix(n));
        let kind = dice % 100;
        // Updates and deletes are of one of the last 10,000 rows.
        let row = if kind < 85 { n } else { n - (dice >> 8) % n.clamp(1, 10_000) };
        let late = if (dice >> 32).is_multiple_of(100) { (dice >> 40) % (2 * DAY / 24) } else { 0 };
        let at = DAY * n / self.rows.max(1);
        let at = START + i64::try_from(at.saturating_sub(late)).unwrap_or(0);
        let (op, before, after) = match kind {
            0..85 => (Op::Create, None, Some(image(row, dice, at))),
            85..97 => (Op::Update, Some(image(row, mix(dice), at)), Some(image(row, dice, at))),
            _ => (Op::Delete, Some(image(row, dice, at)), None),
        };
        let block = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let position = SqlServerPosition {
            commit_lsn: Lsn::new(42, block(n / LINES + 1), 1),
            change_lsn: Some(Lsn::new(42, block(n / LINES), u16::try_from(n % LINES).unwrap_or(0) + 2)),
            serial: if op == Op::Update { 2 } else { 1 },
        };
        Change { op, before, after, position, at }
    }
}

/// Columns as the contract of [`crate::prepare`] has them.
fn image(row: u64, dice: u64, at: i64) -> Row {
    let int = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
    let discount =
        if (dice >> 12).is_multiple_of(3) { Value::Null } else { Value::Decimal(i128::from(dice % 5_000), 4) };
    vec![
        int(row / LINES + 1),
        int(row % LINES + 1),
        int((dice >> 16) % 20_000),
        int((dice >> 24) % 12 + 1),
        Value::Decimal(i128::from((dice >> 20) % 100_000), 2),
        discount,
        Value::Timestamp(at),
    ]
}
