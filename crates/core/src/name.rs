//! Names that come from users and end in paths, topics and SQL text: parsed once, at the border.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is no [`Identifier`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no name: use lower-case letters, digits and `_`, a letter or `_` first, at most 100 characters")]
pub struct NotAnIdentifier {
    /// What was given.
    pub text: String,
}

/// A name that is safe in a folder, a topic and, quoted or not, in SQL: `[a-z_][a-z0-9_]{0,99}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Identifier(String);

/// The name of a source table, e.g. `order_item`; also of its landing and staging tables.
pub type TableName = Identifier;
/// The name of a curated model, e.g. `dim_customer`.
pub type ModelName = Identifier;

impl Identifier {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Identifier {
    type Err = NotAnIdentifier;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
        let rest = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if first && rest && text.len() <= 100 {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAnIdentifier { text: text.to_owned() })
        }
    }
}

impl TryFrom<String> for Identifier {
    type Error = NotAnIdentifier;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Identifier> for String {
    fn from(name: Identifier) -> Self {
        name.0
    }
}

impl AsRef<str> for Identifier {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_end_a_statement_or_leave_a_folder_is_refused() {
        for bad in ["", "1a", "A", "a-b", "a b", "../a", "a;drop", "a\"", "é", &"a".repeat(101)] {
            assert!(bad.parse::<Identifier>().is_err(), "{bad}");
        }
        assert_eq!("order_item".parse::<Identifier>().expect("a name").as_str(), "order_item");
    }
}
