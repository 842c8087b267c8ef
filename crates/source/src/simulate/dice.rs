//! Chance from a seed: the same numbers on every machine and with every version of `rand`.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A stream of chance. Only raw 32-bit draws are used; how they become numbers is fixed here.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    /// Streams of one seed are independent of each other.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// A number below `end`; 0 when `end` is 0.
    pub fn below(&mut self, end: u32) -> u32 {
        let product = u64::from(self.0.next_u32()) * u64::from(end);
        u32::try_from(product >> 32).expect("the upper half of 64 bits")
    }

    /// A number from `least` to `most`, both included.
    pub fn between(&mut self, least: u32, most: u32) -> u32 {
        least + self.below(most - least + 1)
    }

    /// True `rate` times in 10,000.
    pub fn chance(&mut self, rate: u32) -> bool {
        self.below(10_000) < rate
    }

    /// An index of a slice of this length.
    pub fn index(&mut self, length: usize) -> usize {
        self.below(u32::try_from(length).unwrap_or(u32::MAX)) as usize
    }
}
