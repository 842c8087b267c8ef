//! What is simulated: seed, sizes and switches. Two equal specs give the same bytes.

use std::fmt;
use std::str::FromStr;

use crate::error::SourceError;

/// How much is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Customers that exist or are created over the whole run.
    pub customers: u32,
    /// Products that exist or are created over the whole run.
    pub products: u32,
    /// Orders placed.
    pub orders: u32,
}

impl Size {
    /// Sizes that make about this many records with every switch on (within a tenth, from 1,000 up).
    pub fn for_rows(rows: u64) -> Self {
        // Measured: an order makes about 7.2 records, its lines, status, incidents and repeats included;
        // a customer is there for every 5 orders and a product for every 20.
        let orders = u32::try_from((rows * 100 / 745).clamp(1, u64::from(MOST))).unwrap_or(MOST);
        Self { customers: (orders / 5).max(5), products: (orders / 20).max(5), orders }
    }

    pub(super) fn check(self) -> Result<(), SourceError> {
        for (what, given, least) in
            [("customers", self.customers, 1), ("products", self.products, 1), ("orders", self.orders, 0)]
        {
            if !(least..=MOST).contains(&given) {
                return Err(SourceError::SizeOutOfRange { what, given, least, most: MOST });
            }
        }
        Ok(())
    }
}

/// Keys, new ones by key changes included, must fit an `int`.
const MOST: u32 = 100_000_000;

/// A kind of thing that can happen; each can be switched off, and then never does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Switch {
    /// Customers and products that exist at the start come as rows of a snapshot (op `r`), not as inserts.
    Snapshot,
    /// A customer's segment, marital status or country changes.
    Demographics,
    /// A customer's street and city change.
    Addresses,
    /// A product's category changes.
    Categories,
    /// A product's description changes, often with its list price.
    Descriptions,
    /// Orders go on from `placed`: paid, shipped, delivered, or cancelled.
    Status,
    /// Orders without a customer.
    Guests,
    /// Customers, products and order lines are deleted; each delete is followed by a tombstone.
    Deletes,
    /// A deleted key is inserted again with other values. Needs `deletes` or `key-changes`.
    Reappearing,
    /// A customer or product gets a new key: delete and create at one position.
    KeyChanges,
    /// Order lines with a negative price, which a contract quarantines.
    Broken,
    /// The source's clock is set back by up to half an hour now and then.
    ClockJumps,
    /// Events delivered hours after their commit, in order within their key.
    Late,
    /// Events delivered after the next event of their key.
    Reordered,
    /// Events delivered twice.
    Duplicates,
    /// Records that no decoder can read.
    Poison,
}

impl Switch {
    /// Every switch.
    pub const ALL: [Self; 16] = [
        Self::Snapshot,
        Self::Demographics,
        Self::Addresses,
        Self::Categories,
        Self::Descriptions,
        Self::Status,
        Self::Guests,
        Self::Deletes,
        Self::Reappearing,
        Self::KeyChanges,
        Self::Broken,
        Self::ClockJumps,
        Self::Late,
        Self::Reordered,
        Self::Duplicates,
        Self::Poison,
    ];

    /// The word on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Demographics => "demographics",
            Self::Addresses => "addresses",
            Self::Categories => "categories",
            Self::Descriptions => "descriptions",
            Self::Status => "status",
            Self::Guests => "guests",
            Self::Deletes => "deletes",
            Self::Reappearing => "reappearing",
            Self::KeyChanges => "key-changes",
            Self::Broken => "broken",
            Self::ClockJumps => "clock-jumps",
            Self::Late => "late",
            Self::Reordered => "reordered",
            Self::Duplicates => "duplicates",
            Self::Poison => "poison",
        }
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Switch {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|switch| switch.name() == text).ok_or_else(|| SourceError::UnknownSwitch {
            name: text.to_owned(),
            known: Self::ALL.map(Self::name).join(", "),
        })
    }
}

/// Which switches are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switches(u32);

impl Switches {
    /// All on.
    pub const ALL: Self = Self((1 << Switch::ALL.len()) - 1);
    /// All off: inserts only, in order, each once.
    pub const NONE: Self = Self(0);

    /// This one on.
    #[must_use]
    pub const fn with(self, switch: Switch) -> Self {
        Self(self.0 | 1 << switch as u8)
    }

    /// This one off.
    #[must_use]
    pub const fn without(self, switch: Switch) -> Self {
        Self(self.0 & !(1 << switch as u8))
    }

    /// Whether it is on.
    pub const fn has(self, switch: Switch) -> bool {
        self.0 & 1 << switch as u8 != 0
    }

    /// Names of those that are on, in the order of [`Switch::ALL`].
    pub fn names(self) -> Vec<&'static str> {
        Switch::ALL.into_iter().filter(|switch| self.has(*switch)).map(Switch::name).collect()
    }
}

/// Everything that decides which events come. Pacing is no part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spec {
    /// Another seed, another history.
    pub seed: u64,
    /// How much.
    pub size: Size,
    /// What may happen.
    pub switches: Switches,
}

impl Spec {
    pub(super) fn check(&self) -> Result<(), SourceError> {
        self.size.check()?;
        let has = |switch| self.switches.has(switch);
        if has(Switch::Reappearing) && !has(Switch::Deletes) && !has(Switch::KeyChanges) {
            let (switch, needs) = (Switch::Reappearing.name(), Switch::Deletes.name());
            return Err(SourceError::SwitchWithoutEffect { switch, needs });
        }
        Ok(())
    }
}
