//! How long to wait so that records go out at a rate.

use std::time::Duration;

/// Waits shorter than this are saved up: a timer is no finer.
const LEAST: Duration = Duration::from_millis(2);

/// The wait after the n-th record at this time since the first; none when it is due or there is no rate.
pub(super) fn wait(produced: u64, elapsed: Duration, per_second: u32) -> Option<Duration> {
    if per_second == 0 {
        return None;
    }
    let due = Duration::from_nanos(produced.saturating_mul(1_000_000_000) / u64::from(per_second));
    due.checked_sub(elapsed).filter(|wait| *wait >= LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_and_no_rate_never_waits() {
        let ms = Duration::from_millis;
        assert_eq!(wait(1000, ms(0), 0), None);
        assert_eq!(wait(1000, ms(400), 1000), Some(ms(600)));
        assert_eq!(wait(1000, ms(1000), 1000), None);
        assert_eq!(wait(1, ms(0), 10_000), None, "too short for a timer");
    }
}
