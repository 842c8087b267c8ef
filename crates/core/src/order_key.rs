//! The one typed order of changes. Source of the SQL Server rule: Debezium's `TxLogPosition`
//! (commit LSN, change LSN, event serial number); of the PostgreSQL rule: `source.sequence`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The place of a change in its source's own order. Opaque: compares as its bytes do.
///
/// With equal positions a delete sorts before a create ([`crate::change::Op::rank`]).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OrderKey(Box<[u8]>);

impl OrderKey {
    /// The bytes as stored in `_order_key`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes bytes that an encoder of this module made and a table stored.
    pub fn from_stored(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// Lower-case hexadecimal; sorts as the bytes do.
    pub fn to_hex(&self) -> String {
        hex::encode(&self.0)
    }
}

impl From<OrderKey> for String {
    fn from(key: OrderKey) -> Self {
        key.to_hex()
    }
}

impl TryFrom<String> for OrderKey {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Ok(Self(hex::decode(text)?.into()))
    }
}

/// A SQL Server log sequence number: 10 bytes, unsigned, big-endian.
/// As text, Debezium's form: `00000027:00000758:0005`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub [u8; 10]);

/// Why a text is no [`Lsn`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no log sequence number of the form 00000027:00000758:0005")]
pub struct NotAnLsn(String);

impl Lsn {
    /// The LSN with this number of transactions, blocks and slots, as a generator makes it.
    pub const fn new(file: u32, block: u32, slot: u16) -> Self {
        let (f, b, s) = (file.to_be_bytes(), block.to_be_bytes(), slot.to_be_bytes());
        Self([f[0], f[1], f[2], f[3], b[0], b[1], b[2], b[3], s[0], s[1]])
    }
}

impl Lsn {
    /// From a text in ASCII, as [`FromStr`]: of each change there are two to read.
    pub fn of_ascii(text: &[u8]) -> Option<Self> {
        let text: &[u8; 22] = text.try_into().ok()?;
        if text[8] != b':' || text[17] != b':' {
            return None;
        }
        let (mut out, mut wrong) = ([0; 10], 0);
        for (byte, at) in out.iter_mut().zip([0, 2, 4, 6, 9, 11, 13, 15, 18, 20]) {
            let (high, low) = (NIBBLES[usize::from(text[at])], NIBBLES[usize::from(text[at + 1])]);
            wrong |= high | low;
            *byte = high << 4 | low & 0x0f;
        }
        (wrong & 0xf0 == 0).then_some(Self(out))
    }
}

/// What a hexadecimal digit is worth; 255 where a byte is none.
const NIBBLES: [u8; 256] = {
    let (mut table, mut digit) = ([u8::MAX; 256], 0);
    while digit < 16 {
        let (lower, upper) = (b"0123456789abcdef"[digit], b"0123456789ABCDEF"[digit]);
        table[lower as usize] = digit as u8;
        table[upper as usize] = digit as u8;
        digit += 1;
    }
    table
};

impl FromStr for Lsn {
    type Err = NotAnLsn;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::of_ascii(text.as_bytes()).ok_or_else(|| NotAnLsn(text.to_owned()))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (a, b, c) = (&self.0[0..4], &self.0[4..8], &self.0[8..10]);
        write!(f, "{}:{}:{}", hex::encode(a), hex::encode(b), hex::encode(c))
    }
}

/// SQL Server's position. A snapshot row has no change LSN and sorts after every change of its commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlServerPosition {
    /// LSN of the transaction's commit.
    pub commit_lsn: Lsn,
    /// LSN of the change inside the transaction; none for snapshot rows.
    pub change_lsn: Option<Lsn>,
    /// Number of the event within one (commit LSN, change LSN), from 1.
    pub serial: u64,
}

impl SqlServerPosition {
    fn rank(&self) -> (Lsn, bool, Option<Lsn>, u64) {
        (self.commit_lsn, self.change_lsn.is_none(), self.change_lsn, self.serial)
    }
}

impl PartialOrd for SqlServerPosition {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SqlServerPosition {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

/// The only encoder of SQL Server positions; `order_keys_sort_as_positions_do` proves it.
impl From<SqlServerPosition> for OrderKey {
    fn from(position: SqlServerPosition) -> Self {
        let mut bytes = Vec::with_capacity(29);
        bytes.extend_from_slice(&position.commit_lsn.0);
        match position.change_lsn {
            Some(lsn) => {
                bytes.push(1);
                bytes.extend_from_slice(&lsn.0);
            }
            None => bytes.push(2),
        }
        bytes.extend_from_slice(&position.serial.to_be_bytes());
        Self(bytes.into())
    }
}

/// PostgreSQL's position: the last commit LSN before the change and the change's own LSN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PostgresPosition {
    /// LSN of the last commit that the connector had seen; 0 when there was none.
    pub last_commit_lsn: u64,
    /// LSN of the change.
    pub lsn: u64,
}

/// The only encoder of PostgreSQL positions.
impl From<PostgresPosition> for OrderKey {
    fn from(position: PostgresPosition) -> Self {
        let mut bytes = Vec::with_capacity(16);
        bytes.extend_from_slice(&position.last_commit_lsn.to_be_bytes());
        bytes.extend_from_slice(&position.lsn.to_be_bytes());
        Self(bytes.into())
    }
}

/// A source's position, read back from an order key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// SQL Server's.
    SqlServer(SqlServerPosition),
    /// PostgreSQL's.
    Postgres(PostgresPosition),
}

impl OrderKey {
    /// The position that an encoder of this module was given; none for other bytes. The encoders' lengths differ.
    pub fn position(&self) -> Option<Position> {
        let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_be_bytes);
        let lsn = |bytes: &[u8]| bytes.try_into().ok().map(Lsn);
        let bytes = self.as_bytes();
        match bytes.len() {
            16 => {
                let (commit, change) = bytes.split_at(8);
                Some(Position::Postgres(PostgresPosition { last_commit_lsn: number(commit)?, lsn: number(change)? }))
            }
            length @ (19 | 29) => {
                let change_lsn = match (length, bytes[10]) {
                    (29, 1) => Some(lsn(&bytes[11..21])?),
                    (19, 2) => None,
                    _ => return None,
                };
                let serial = number(&bytes[length - 8..])?;
                Some(Position::SqlServer(SqlServerPosition { commit_lsn: lsn(&bytes[..10])?, change_lsn, serial }))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn any_position()(commit in 0u32..3, change in proptest::option::of(0u32..3), serial in 0u64..300) -> SqlServerPosition {
            SqlServerPosition {
                commit_lsn: Lsn::new(0x2a, commit, 1),
                change_lsn: change.map(|c| Lsn::new(0x2a, c, 2)),
                serial,
            }
        }
    }

    proptest! {
        #[test]
        fn order_keys_sort_as_positions_do(a in any_position(), b in any_position()) {
            prop_assert_eq!(a.cmp(&b), OrderKey::from(a).cmp(&OrderKey::from(b)));
        }

        #[test]
        fn a_position_reads_back_from_its_order_key(a in any_position(), last_commit_lsn: u64, lsn: u64) {
            prop_assert_eq!(OrderKey::from(a).position(), Some(Position::SqlServer(a)));
            let b = PostgresPosition { last_commit_lsn, lsn };
            prop_assert_eq!(OrderKey::from(b).position(), Some(Position::Postgres(b)));
        }

        #[test]
        fn hexadecimal_order_keys_sort_as_bytes_do(a in any_position(), b in any_position()) {
            let (a, b) = (OrderKey::from(a), OrderKey::from(b));
            prop_assert_eq!(a.cmp(&b), a.to_hex().cmp(&b.to_hex()));
        }

        #[test]
        fn an_lsn_reads_back_from_its_text(bytes in any::<[u8; 10]>()) {
            let lsn = Lsn(bytes);
            prop_assert_eq!(lsn.to_string().parse::<Lsn>().unwrap(), lsn);
        }
    }

    #[test]
    fn a_text_that_is_no_lsn_is_refused() {
        for bad in ["", "NULL", "0000002a:00000108", "0000002g:00000108:0001", "0000002a-00000108:0001"] {
            assert!(bad.parse::<Lsn>().is_err(), "{bad}");
        }
    }
}
