//! The texts of a line as values: strict, exact, without a float.

use chrono::{NaiveDate, NaiveTime};

/// `17850.0` (or `17850`); none when empty.
pub(super) fn customer(text: &str) -> Result<Option<i32>, &'static str> {
    const WANTED: &str = "neither empty nor a number such as 17850.0";
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.strip_suffix(".0").unwrap_or(text);
    integer(digits).filter(|id| *id > 0).map(Some).ok_or(WANTED)
}

/// A whole number of either sign.
pub(super) fn quantity(text: &str) -> Result<i32, &'static str> {
    integer(text).ok_or("no whole number")
}

/// Thousandths, from at most 9 digits before the point and 3 after it.
pub(super) fn price(text: &str) -> Result<i64, &'static str> {
    const WANTED: &str = "no decimal of at most 9 digits before the point and 3 after it";
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, part) = match digits.split_once('.') {
        Some((whole, part)) if !part.is_empty() => (whole, part),
        Some(_) => return Err(WANTED),
        None => (digits, ""),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 9 || part.len() > 3 || !all_digits(whole) || !all_digits(part) {
        return Err(WANTED);
    }
    let unscaled: i64 = format!("{whole}{part:0<3}").parse().map_err(|_| WANTED)?;
    Ok(sign * unscaled)
}

/// `2010-12-01 08:26:00` as seconds since 1970 UTC.
pub(super) fn time(text: &str) -> Result<i64, &'static str> {
    const WANTED: &str = "no time of the form 2010-12-01 08:26:00";
    let bytes = text.as_bytes();
    let form = bytes.len() == 19
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            10 => *byte == b' ',
            13 | 16 => *byte == b':',
            _ => byte.is_ascii_digit(),
        });
    if !form {
        return Err(WANTED);
    }
    let part =
        |range: std::ops::Range<usize>| text.get(range).and_then(|digits| digits.parse::<u32>().ok()).ok_or(WANTED);
    let year = i32::try_from(part(0..4)?).map_err(|_| WANTED)?;
    let date = NaiveDate::from_ymd_opt(year, part(5..7)?, part(8..10)?).ok_or(WANTED)?;
    let time = NaiveTime::from_hms_opt(part(11..13)?, part(14..16)?, part(17..19)?).ok_or(WANTED)?;
    Ok(date.and_time(time).and_utc().timestamp())
}

/// A text that must be there and fit its column.
pub(super) fn code(text: &str) -> Result<&str, &'static str> {
    if text.is_empty() {
        Err("empty")
    } else if text.chars().count() > 20 {
        Err("longer than 20 characters")
    } else {
        Ok(text)
    }
}

/// A text that may be empty and fits its column.
pub(super) fn text(text: &str, most: usize) -> Result<&str, &'static str> {
    if text.len() > most && text.chars().count() > most { Err("too long for its column") } else { Ok(text) }
}

fn integer(text: &str) -> Option<i32> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_exact_to_the_thousandth() {
        for (text, value) in
            [("2.55", 2550), ("0.0", 0), ("38970", 38_970_000), ("-11062.06", -11_062_060), ("1.001", 1001)]
        {
            assert_eq!(price(text), Ok(value), "{text}");
        }
        for bad in ["", ".", "1.", ".5", "1.0005", "1e3", "+1", "1 ", "--1", "1234567890", "1,5", "NaN"] {
            assert!(price(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_customer_is_a_whole_number_written_with_one_zero() {
        assert_eq!(customer("17850.0"), Ok(Some(17850)));
        assert_eq!(customer("17850"), Ok(Some(17850)));
        assert_eq!(customer(""), Ok(None));
        for bad in ["17850.5", "x", "17850.00", "99999999999", "-1", "0", " "] {
            assert!(customer(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_that_no_calendar_has_is_refused() {
        assert_eq!(time("2010-12-01 08:26:00"), Ok(1_291_191_960));
        for bad in [
            "",
            "2010-12-01",
            "2010-13-01 08:26:00",
            "2011-02-29 00:00:00",
            "2010-12-01T08:26:00",
            "2010-12-01 24:00:00",
            "12/1/2010 8:26",
        ] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
