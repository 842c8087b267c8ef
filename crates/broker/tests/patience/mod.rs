//! A cluster answers some requests before what they asked for is known to all of its parts.

use std::time::{Duration, Instant};

/// Looks until what is wanted is found.
pub fn comes_to<T: PartialEq + std::fmt::Debug>(wanted: T, mut look: impl FnMut() -> T) {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let found = look();
        if found == wanted || Instant::now() > end {
            return assert_eq!(found, wanted);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
