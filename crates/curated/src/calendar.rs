//! The date dimension: whole years, and the `yyyymmdd` keys that facts point to it with.
//!
//! It covers every year that any change ever of any fact had a date key in, and the years between them, so
//! that it is a function of the set of changes and only ever grows. Years between are left out where the gap
//! is 100 years or more: a placeholder such as 9999-12-31 gets its year, not eight thousand.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Date32Array, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Date32Type, SchemaRef, TimestampMicrosecondType};
use chrono::{Datelike, NaiveDate};

/// Date key of the unknown member: a fact without a date, or with one outside the years 1 to 9999.
pub const UNKNOWN_DATE: i32 = -1;
/// Gaps of this many years stay open.
const LONGEST_GAP: i32 = 100;
const DAY: i64 = 86_400_000_000;
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// The `yyyymmdd` keys of a date or timestamp column.
pub fn date_keys(column: &ArrayRef) -> Int32Array {
    let days: Box<dyn Fn(usize) -> i64> = match column.data_type() {
        DataType::Date32 => {
            let dates = column.as_primitive::<Date32Type>().clone();
            Box::new(move |i| i64::from(dates.value(i)))
        }
        DataType::Timestamp(..) => {
            let times = column.as_primitive::<TimestampMicrosecondType>().clone();
            Box::new(move |i| times.value(i).div_euclid(DAY))
        }
        // The project refuses a date key from any other type.
        _ => return Int32Array::from(vec![UNKNOWN_DATE; column.len()]),
    };
    let mut last = (i64::MIN, UNKNOWN_DATE);
    (0..column.len())
        .map(|i| {
            if column.is_null(i) {
                return UNKNOWN_DATE;
            }
            let day = days(i);
            if last.0 != day {
                last = (day, date_key(day));
            }
            last.1
        })
        .collect::<Vec<_>>()
        .into()
}

/// The key of a day, counted from 1970-01-01.
fn date_key(day: i64) -> i32 {
    let date = i32::try_from(day).ok().and_then(|d| NaiveDate::from_num_days_from_ce_opt(d.saturating_add(719_163)));
    match date {
        Some(d) if (1..=9999).contains(&d.year()) => {
            let (month, day) = (d.month0() as i32 + 1, d.day0() as i32 + 1);
            d.year() * 10_000 + month * 100 + day
        }
        _ => UNKNOWN_DATE,
    }
}

/// The years that these keys fall in.
pub fn years_of(keys: &Int32Array) -> BTreeSet<i32> {
    let mut last = UNKNOWN_DATE;
    let mut years = BTreeSet::new();
    for key in keys.values().iter().filter(|key| **key != UNKNOWN_DATE) {
        if key / 10_000 != last {
            last = key / 10_000;
            years.insert(last);
        }
    }
    years
}

/// These years and those between them, save in long gaps. Filling twice changes nothing.
pub fn filled(years: &BTreeSet<i32>) -> BTreeSet<i32> {
    let mut out = years.clone();
    for (before, after) in years.iter().zip(years.iter().skip(1)) {
        if after - before < LONGEST_GAP {
            out.extend(*before..*after);
        }
    }
    out
}

/// The rows of these years, and the unknown member if asked.
pub fn rows(schema: SchemaRef, years: &BTreeSet<i32>, unknown: bool) -> Result<RecordBatch, arrow::error::ArrowError> {
    let days: Vec<Option<NaiveDate>> = std::iter::once(None)
        .filter(|_| unknown)
        .chain(years.iter().flat_map(|year| {
            let first = NaiveDate::from_ymd_opt(*year, 1, 1);
            first.into_iter().flat_map(|d| d.iter_days().take_while(|d| d.year() == *year)).map(Some)
        }))
        .collect();
    let number = |f: &dyn Fn(&NaiveDate) -> u32| -> ArrayRef {
        Arc::new(days.iter().map(|d| d.as_ref().map(|d| f(d) as i32)).collect::<Int32Array>())
    };
    let word = |f: &dyn Fn(&NaiveDate) -> &'static str| -> ArrayRef {
        Arc::new(days.iter().map(|d| d.as_ref().map(f)).collect::<StringArray>())
    };
    let since_1970 = |d: &NaiveDate| d.num_days_from_ce() - 719_163;
    let keys: Int32Array =
        days.iter().map(|d| Some(d.as_ref().map_or(UNKNOWN_DATE, |d| date_key(since_1970(d).into())))).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(keys),
        Arc::new(days.iter().map(|d| d.as_ref().map(since_1970)).collect::<Date32Array>()),
        number(&|d| d.year().unsigned_abs()),
        number(&|d| d.month0() / 3 + 1),
        number(&|d| d.month()),
        number(&|d| d.day()),
        number(&|d| d.weekday().number_from_monday()),
        word(&|d| MONTHS[d.month0() as usize]),
        word(&|d| DAYS[d.weekday().num_days_from_monday() as usize]),
        Arc::new(
            days.iter().map(|d| d.as_ref().map(|d| d.weekday().num_days_from_monday() >= 5)).collect::<BooleanArray>(),
        ),
    ];
    RecordBatch::try_new(schema, columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_or_a_time_has_the_key_of_its_day_and_what_has_no_day_the_unknown_one() {
        let dates: ArrayRef =
            Arc::new(Date32Array::from(vec![Some(0), None, Some(-1), Some(2_932_896), Some(2_932_897)]));
        assert_eq!(date_keys(&dates).values(), &[19_700_101, -1, 19_691_231, 99_991_231, -1]);
        let times: ArrayRef = Arc::new(arrow::array::TimestampMicrosecondArray::from(vec![-1, 0]).with_timezone("UTC"));
        assert_eq!(date_keys(&times).values(), &[19_691_231, 19_700_101]);
    }

    #[test]
    fn years_between_are_filled_but_a_placeholder_far_away_gets_only_its_own() {
        let years = filled(&BTreeSet::from([2010, 2013, 9999]));
        assert_eq!(years, BTreeSet::from([2010, 2011, 2012, 2013, 9999]));
        assert_eq!(filled(&years), years);
    }

    #[test]
    fn a_leap_year_has_366_rows_and_the_unknown_member_only_its_key() {
        let model = weir_project::Model {
            name: "dim_date".parse().expect("a name"),
            kind: weir_project::ModelKind::DateDimension,
            sql: None,
            source: None,
            key: vec![],
            columns: vec![],
        };
        let found = rows(crate::layout::table_schema(&model), &BTreeSet::from([2012]), true).expect("rows");
        assert_eq!(found.num_rows(), 367);
        let text = |row: usize| {
            crate::key::row_at(found.columns(), row).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(text(0), "-1 \\N \\N \\N \\N \\N \\N \\N \\N \\N");
        assert_eq!(text(60), "20120229 2012-02-29 2012 1 2 29 3 February Wednesday false");
        assert_eq!(text(366), "20121231 2012-12-31 2012 4 12 31 1 December Monday false");
    }
}
