//! Surrogate keys that a replay makes again: hashes, not counters.

use sha2::{Digest, Sha256};

use crate::key_hash::key_hash;
use crate::name::ModelName;
use crate::value::{Row, row_hash};

/// Key of the unknown member.
pub const UNKNOWN: i64 = -1;

/// Low bits of a surrogate key that are those of its business key's hash.
const OF_KEY: u64 = 0xffff;

/// The surrogate key of a version: 47 bits of SHA-256 over (model, key, effective_from), then the low 16 bits of the
/// business key's [`key_hash`], by which tables are cut into buckets. So two keys can only collide inside one bucket,
/// which is all that a writer must look at to be sure; that they do is as rare as with any other 63 bits.
///
/// The first version of a key takes `effective_from` 0, so that an inferred member keeps its key when
/// its parent arrives; later versions take their own, in microseconds since 1970 UTC.
/// Never negative, so never [`UNKNOWN`]. A collision is found by whoever writes the table, and stops.
pub fn surrogate_key(model: &ModelName, key: &Row, effective_from: i64) -> i64 {
    let mut hasher = Sha256::new();
    hasher.update(model.as_str().as_bytes());
    hasher.update([0]);
    hasher.update(row_hash(key));
    hasher.update(effective_from.to_be_bytes());
    let digest = hasher.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    let bits = (u64::from_be_bytes(first) & !OF_KEY) | (key_hash(key) & OF_KEY);
    i64::from_ne_bytes(bits.to_ne_bytes()) & i64::MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    #[test]
    fn a_surrogate_key_is_the_same_in_every_build_and_differs_by_version() {
        let model = "dim_customer".parse().expect("a name");
        let key = vec![Value::Int(7)];
        assert_eq!(surrogate_key(&model, &key, 0), 8_868_948_977_327_647_473);
        assert_ne!(surrogate_key(&model, &key, 0), surrogate_key(&model, &key, 1));
        let low = |from| surrogate_key(&model, &key, from) & 0xffff;
        assert_eq!(low(0), low(1), "both are in the bucket of their key");
    }
}
