//! Columns as a contract declares them, in the source's own type names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::name::Identifier;

/// A SQL Server column type, as far as Weir carries it. Text form as in `CREATE TABLE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ColumnType {
    /// `bit`
    Bit,
    /// `tinyint`: 0 to 255.
    TinyInt,
    /// `smallint`
    SmallInt,
    /// `int`
    Int,
    /// `bigint`
    BigInt,
    /// `real`
    Real,
    /// `float`
    Float,
    /// `decimal(p,s)`, with 1 <= p <= 38 and 0 <= s <= p; also `money` (19,4) and `smallmoney` (10,4).
    Decimal {
        /// Digits in all.
        precision: u8,
        /// Digits after the point.
        scale: i8,
    },
    /// `nvarchar(n)` or `varchar(n)` in characters; none for `(max)`.
    Text {
        /// Most characters, none for `max`.
        length: Option<u16>,
    },
    /// `date`
    Date,
    /// `datetime2(n)`, 0 <= n <= 7; read as UTC.
    DateTime2 {
        /// Digits of a second.
        precision: u8,
    },
    /// `datetimeoffset`
    DateTimeOffset,
    /// `uniqueidentifier`
    UniqueIdentifier,
    /// `varbinary(n)`; none for `(max)`.
    VarBinary {
        /// Most bytes, none for `max`.
        length: Option<u16>,
    },
}

/// Why a text is no [`ColumnType`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no column type: use bit, tinyint, smallint, int, bigint, real, float, decimal(p,s), money, smallmoney, nvarchar(n|max), varchar(n|max), date, datetime2(n), datetimeoffset, uniqueidentifier or varbinary(n|max)"
)]
pub struct NotAColumnType(String);

impl FromStr for ColumnType {
    type Err = NotAColumnType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let no = || NotAColumnType(text.to_owned());
        let lower = text.trim().to_ascii_lowercase();
        let (name, args) = match lower.split_once('(') {
            Some((name, rest)) => (name.trim(), Some(rest.strip_suffix(')').ok_or_else(no)?)),
            None => (lower.as_str(), None),
        };
        let length = |args: Option<&str>| match args.map(str::trim) {
            Some("max") => Ok(None),
            Some(n) => n.parse::<u16>().ok().filter(|n| *n > 0).map(Some).ok_or_else(no),
            None => Err(no()),
        };
        let plain = |column| if args.is_none() { Ok(column) } else { Err(no()) };
        match name {
            "bit" => plain(Self::Bit),
            "tinyint" => plain(Self::TinyInt),
            "smallint" => plain(Self::SmallInt),
            "int" => plain(Self::Int),
            "bigint" => plain(Self::BigInt),
            "real" => plain(Self::Real),
            "float" => plain(Self::Float),
            "money" => plain(Self::Decimal { precision: 19, scale: 4 }),
            "smallmoney" => plain(Self::Decimal { precision: 10, scale: 4 }),
            "decimal" | "numeric" => {
                let (p, s) = args.and_then(|a| a.split_once(',')).ok_or_else(no)?;
                let precision: u8 = p.trim().parse().map_err(|_| no())?;
                let scale: i8 = s.trim().parse().map_err(|_| no())?;
                if !(1..=38).contains(&precision) || scale < 0 || scale.unsigned_abs() > precision {
                    return Err(no());
                }
                Ok(Self::Decimal { precision, scale })
            }
            "nvarchar" | "varchar" => Ok(Self::Text { length: length(args)? }),
            "date" => plain(Self::Date),
            "datetime2" => {
                let precision = match args {
                    Some(n) => n.trim().parse().ok().filter(|n| *n <= 7).ok_or_else(no)?,
                    None => 7,
                };
                Ok(Self::DateTime2 { precision })
            }
            "datetimeoffset" => plain(Self::DateTimeOffset),
            "uniqueidentifier" => plain(Self::UniqueIdentifier),
            "varbinary" => Ok(Self::VarBinary { length: length(args)? }),
            _ => Err(no()),
        }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sized = |f: &mut fmt::Formatter<'_>, name: &str, length: &Option<u16>| match length {
            Some(n) => write!(f, "{name}({n})"),
            None => write!(f, "{name}(max)"),
        };
        match self {
            Self::Bit => f.write_str("bit"),
            Self::TinyInt => f.write_str("tinyint"),
            Self::SmallInt => f.write_str("smallint"),
            Self::Int => f.write_str("int"),
            Self::BigInt => f.write_str("bigint"),
            Self::Real => f.write_str("real"),
            Self::Float => f.write_str("float"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::Text { length } => sized(f, "nvarchar", length),
            Self::Date => f.write_str("date"),
            Self::DateTime2 { precision } => write!(f, "datetime2({precision})"),
            Self::DateTimeOffset => f.write_str("datetimeoffset"),
            Self::UniqueIdentifier => f.write_str("uniqueidentifier"),
            Self::VarBinary { length } => sized(f, "varbinary", length),
        }
    }
}

impl TryFrom<String> for ColumnType {
    type Error = NotAColumnType;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ColumnType> for String {
    fn from(column: ColumnType) -> Self {
        column.to_string()
    }
}

/// A column of a source table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: Identifier,
    /// Its type at the source.
    #[serde(rename = "type")]
    pub kind: ColumnType,
    /// Whether the source allows NULL.
    pub nullable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_reads_back_from_its_text() {
        for text in ["bit", "int", "decimal(12,3)", "nvarchar(40)", "nvarchar(max)", "datetime2(3)", "varbinary(16)"] {
            assert_eq!(text.parse::<ColumnType>().expect("a type").to_string(), text);
        }
        assert_eq!("money".parse::<ColumnType>().expect("a type").to_string(), "decimal(19,4)");
    }

    #[test]
    fn a_type_that_sql_server_lacks_is_refused() {
        for bad in ["", "text(", "decimal(3,4)", "decimal(39,1)", "nvarchar", "nvarchar(0)", "datetime2(8)", "int(4)"] {
            assert!(bad.parse::<ColumnType>().is_err(), "{bad}");
        }
    }
}
