//! What must hold of one key's versions, looked at apart from how they were made.

use weir_core::change::Op;

use crate::scd::{OPEN, Step, Version, effective_times};

/// An invariant that a key's versions break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Broken {
    /// A version that begins at or after its end.
    Empty,
    /// Two versions hold at one time.
    Overlap,
    /// No version holds at a time at which the key was there.
    Hole,
    /// More than one version is current.
    TwoCurrent,
    /// A fact points to a business key that has no member.
    Unresolved,
    /// Two rows under one key.
    Doubled,
    /// The table differs from what its history adds up to.
    Differs,
}

impl Broken {
    /// In the words of a message.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "a version is empty",
            Self::Overlap => "versions overlap",
            Self::Hole => "versions leave a hole where nothing was deleted",
            Self::TwoCurrent => "more than one version is current",
            Self::Unresolved => "a key points to no member",
            Self::Doubled => "there is more than one row",
            Self::Differs => "the table differs from its history",
        }
    }
}

/// Versions of one key, oldest first, against its changes in order: not empty, no overlap, a hole only where a
/// delete made it, at most one current.
pub fn contiguous(versions: &[Version], steps: &[Step<'_>]) -> Result<(), Broken> {
    let closed_by_delete = |at: i64| effective_times(steps).any(|(time, step)| time == at && step.op == Op::Delete);
    if versions.iter().any(|version| version.from >= version.to) {
        return Err(Broken::Empty);
    }
    for pair in versions.windows(2) {
        if pair[0].to > pair[1].from {
            return Err(Broken::Overlap);
        }
        if pair[0].to < pair[1].from && !closed_by_delete(pair[0].to) {
            return Err(Broken::Hole);
        }
    }
    if versions.iter().filter(|version| version.is_current()).count() > 1 {
        return Err(Broken::TwoCurrent);
    }
    match versions.last() {
        Some(last) if last.to != OPEN && !closed_by_delete(last.to) => Err(Broken::Hole),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(from: i64, to: i64) -> Version {
        Version { from, to, opened_by: 0, last: 0, newest: 0, deleted: false }
    }

    #[test]
    fn every_way_to_be_wrong_is_found() {
        let delete = Step { order_key: b"1", op: Op::Delete, source_ts: 20, tracked: &[], content: &[], row: 0 };
        assert_eq!(contiguous(&[version(10, 20), version(30, OPEN)], &[delete]), Ok(()));
        assert_eq!(contiguous(&[version(10, 20), version(30, OPEN)], &[]), Err(Broken::Hole));
        assert_eq!(contiguous(&[version(10, 20)], &[]), Err(Broken::Hole));
        assert_eq!(contiguous(&[version(10, 20), version(15, OPEN)], &[]), Err(Broken::Overlap));
        assert_eq!(contiguous(&[version(10, 10)], &[]), Err(Broken::Empty));
        assert_eq!(contiguous(&[version(10, OPEN), version(OPEN, OPEN)], &[]), Err(Broken::Empty));
    }
}
