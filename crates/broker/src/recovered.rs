//! What a start found and repaired.

use std::fmt;
use std::path::PathBuf;

/// What a start found and repaired; empty after a clean end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// True when the process before this one did not shut down.
    pub unclean: bool,
    /// Tails that were torn, and cut off.
    pub cut: Vec<Cut>,
}

/// A torn tail that was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The file, shorter now, or gone when `at` is 0 and it lay behind another cut.
    pub file: PathBuf,
    /// Its length now.
    pub at: u64,
    /// Bytes cut off.
    pub bytes: u64,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cut {} torn bytes off {} at byte {}", self.bytes, self.file.display(), self.at)
    }
}

impl Recovered {
    pub(crate) fn note(&mut self, cut: Cut) {
        tracing::warn!(file = %cut.file.display(), at = cut.at, bytes = cut.bytes, "torn tail cut off");
        self.cut.push(cut);
    }
}
