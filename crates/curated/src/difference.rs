//! What must be written so that a table that holds `stored` holds `wanted`.

use std::collections::HashMap;
use std::hash::Hash;

/// Positions in the two lists that were compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// In `wanted`: rows that are new or differ.
    pub upserts: Vec<u32>,
    /// In `stored`: rows that give way to an upsert.
    pub replaced: Vec<u32>,
    /// In `wanted`: those upserts, in the order of `replaced`.
    pub replacing: Vec<u32>,
    /// In `stored`: rows whose key is wanted no more.
    pub deletes: Vec<u32>,
}

impl Difference {
    /// True when nothing must be written.
    pub fn is_empty(&self) -> bool {
        self.upserts.is_empty() && self.deletes.is_empty()
    }
}

/// Two rows have one key: neither list may hold that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collision {
    /// First position in the list that holds it.
    pub first: u32,
    /// Second position.
    pub second: u32,
    /// Whether it is the list of stored rows.
    pub stored: bool,
}

/// Compares rows by key, then by content; both lists are (key, content), in any order.
pub fn difference<K: Hash + Eq + Copy>(stored: &[(K, &[u8])], wanted: &[(K, &[u8])]) -> Result<Difference, Collision> {
    let mut out = Difference::default();
    let mut by_key: HashMap<K, u32> = HashMap::with_capacity(stored.len());
    for (i, (key, _)) in (0u32..).zip(stored) {
        if let Some(first) = by_key.insert(*key, i) {
            return Err(Collision { first, second: i, stored: true });
        }
    }
    let mut matched = vec![false; stored.len()];
    let mut seen: HashMap<K, u32> = HashMap::with_capacity(wanted.len());
    for (i, (key, content)) in (0u32..).zip(wanted) {
        if let Some(first) = seen.insert(*key, i) {
            return Err(Collision { first, second: i, stored: false });
        }
        match by_key.get(key) {
            Some(at) => {
                matched[*at as usize] = true;
                if stored[*at as usize].1 != *content {
                    out.upserts.push(i);
                    out.replaced.push(*at);
                    out.replacing.push(i);
                }
            }
            None => out.upserts.push(i),
        }
    }
    out.deletes = (0u32..).zip(&matched).filter(|(_, found)| !**found).map(|(i, _)| i).collect();
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rows_that_differ_are_written_and_only_vanished_keys_deleted() {
        let stored: [(i64, &[u8]); 3] = [(1, b"a"), (2, b"b"), (3, b"c")];
        let wanted: [(i64, &[u8]); 3] = [(3, b"x"), (1, b"a"), (4, b"d")];
        let found = difference(&stored, &wanted).expect("no collision");
        assert_eq!(found, Difference { upserts: vec![0, 2], replaced: vec![2], replacing: vec![0], deletes: vec![1] });
        assert!(difference(&stored, &stored).expect("no collision").is_empty());
    }

    #[test]
    fn two_rows_under_one_key_are_a_collision() {
        let twice: [(i64, &[u8]); 2] = [(1, b"a"), (1, b"b")];
        assert_eq!(difference(&[], &twice), Err(Collision { first: 0, second: 1, stored: false }));
    }
}
