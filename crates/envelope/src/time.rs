//! Texts of dates and times: fast writing for years 1 to 9999, and reading of ISO texts with an offset.

use chrono::{DateTime, NaiveDate, NaiveDateTime};

/// First microsecond of year 1.
pub(crate) const FIRST_MICRO: i64 = -62_135_596_800_000_000;
/// Last microsecond of year 9999.
pub(crate) const LAST_MICRO: i64 = 253_402_300_799_999_999;
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Whether a time in microseconds lies in the years 1 to 9999.
pub(crate) const fn in_range(us: i64) -> bool {
    FIRST_MICRO <= us && us <= LAST_MICRO
}

/// Whether a number of days since 1970 lies in the years 1 to 9999.
pub(crate) const fn day_in_range(days: i32) -> bool {
    -719_162 <= days && days <= 2_932_896
}

/// Year, month and day of a number of days since 1970 (Howard Hinnant's `civil_from_days`).
fn civil(days: i32) -> (u32, u32, u32) {
    let shifted = i64::from(days) + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year as u32, month as u32, day as u32)
}

fn push_digits(out: &mut Vec<u8>, number: u32, width: usize) {
    let start = out.len();
    out.resize(start + width, b'0');
    let mut rest = number;
    for at in (start..start + width).rev() {
        out[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// `2024-01-02`; the days must be in range.
pub(crate) fn push_date(out: &mut Vec<u8>, days: i32) {
    let (year, month, day) = civil(days);
    push_digits(out, year, 4);
    out.push(b'-');
    push_digits(out, month, 2);
    out.push(b'-');
    push_digits(out, day, 2);
}

/// `2024-01-02 03:04:05.000006`, with this byte between date and time; the time must be in range.
pub(crate) fn push_timestamp(out: &mut Vec<u8>, us: i64, between: u8) {
    push_date(out, us.div_euclid(MICROS_PER_DAY) as i32);
    let of_day = us.rem_euclid(MICROS_PER_DAY);
    let seconds = (of_day / 1_000_000) as u32;
    out.push(between);
    push_digits(out, seconds / 3600, 2);
    out.push(b':');
    push_digits(out, seconds / 60 % 60, 2);
    out.push(b':');
    push_digits(out, seconds % 60, 2);
    out.push(b'.');
    push_digits(out, (of_day % 1_000_000) as u32, 6);
}

/// Reads `2024-01-02T03:04:05.0000061+02:00` (what Debezium calls ZonedTimestamp), or the same without an offset as
/// UTC; digits below a microsecond are cut towards the past. `None` for another text or another year.
pub(crate) fn parse_zoned(text: &str) -> Option<i64> {
    let nanos = match DateTime::parse_from_rfc3339(text) {
        Ok(at) => (at.timestamp(), at.timestamp_subsec_nanos()),
        Err(_) => {
            let at = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
                .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f"))
                .ok()?
                .and_utc();
            (at.timestamp(), at.timestamp_subsec_nanos())
        }
    };
    let us = nanos.0.checked_mul(1_000_000)?.checked_add(i64::from(nanos.1 / 1000))?;
    in_range(us).then_some(us)
}

/// Reads `2024-01-02` as days since 1970.
pub(crate) fn parse_date(text: &str) -> Option<i32> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    let days = i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()?;
    day_in_range(days).then_some(days)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(us: i64) -> String {
        let mut out = Vec::new();
        push_timestamp(&mut out, us, b'T');
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn a_timestamp_has_the_text_that_chrono_gives_it(us in FIRST_MICRO..=LAST_MICRO) {
            let expected = DateTime::from_timestamp_micros(us).unwrap().format("%Y-%m-%dT%H:%M:%S%.6f").to_string();
            prop_assert_eq!(text(us), expected);
            prop_assert_eq!(parse_zoned(&text(us)), Some(us));
        }
    }

    #[test]
    fn the_first_and_the_last_microsecond_have_a_text() {
        assert_eq!(text(FIRST_MICRO), "0001-01-01T00:00:00.000000");
        assert_eq!(text(LAST_MICRO), "9999-12-31T23:59:59.999999");
        assert_eq!(text(-1), "1969-12-31T23:59:59.999999");
        assert_eq!(parse_date("0001-01-01"), Some(-719_162));
        assert_eq!(parse_date("9999-12-31"), Some(2_932_896));
    }

    #[test]
    fn an_offset_is_taken_off_and_ticks_are_cut() {
        let utc = parse_zoned("2024-01-02T03:04:05.123456Z");
        assert_eq!(parse_zoned("2024-01-02T08:34:05.1234567+05:30"), utc);
        assert!(utc.is_some());
        assert_eq!(parse_zoned("1969-12-31T23:59:59.9999999Z"), Some(-1));
        assert_eq!(parse_zoned("yesterday"), None);
    }
}
