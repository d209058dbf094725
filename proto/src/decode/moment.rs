//! Event times: epoch milliseconds and RFC 3339, with a fast way for the form that nearly every device sends.

use crate::json::Number;
use crate::time::Timestamp;

/// Event times lie within the years -9999 to 9999, so that window arithmetic never overflows and every time prints.
const FIRST: i64 = -377_705_023_201_000;
const LAST: i64 = 253_402_207_200_999;

pub(super) fn within(millis: i64) -> Option<i64> {
    (FIRST..=LAST).contains(&millis).then_some(millis)
}

/// A time written as text; `None` when it is none.
pub(super) fn from_text(text: &str) -> Option<i64> {
    match common(text) {
        Some(millis) => Some(millis),
        None => text
            .parse::<Timestamp>()
            .ok()
            .and_then(|stamp| within(stamp.0)),
    }
}

/// A time written as a number of epoch milliseconds; parts of a millisecond are floored, as in texts.
pub(super) fn from_number(number: &Number<'_>) -> Option<i64> {
    if let Some(whole) = number.whole {
        return within(whole);
    }
    let floor = number.value.floor();
    #[allow(clippy::cast_precision_loss, reason = "both ends are far below 2^53")]
    let inside = (FIRST as f64..=LAST as f64).contains(&floor);
    #[allow(clippy::cast_possible_truncation, reason = "just checked, and floored")]
    inside.then_some(floor as i64)
}

/// `YYYY-MM-DDTHH:MM:SS[.fraction]Z` with all fields in their ranges; everything else is left to the full parser.
pub(super) fn common(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let head: &[u8; 19] = bytes.first_chunk()?;
    let [
        y1,
        y2,
        y3,
        y4,
        b'-',
        m1,
        m2,
        b'-',
        d1,
        d2,
        b'T',
        h1,
        h2,
        b':',
        n1,
        n2,
        b':',
        s1,
        s2,
    ] = *head
    else {
        return None;
    };
    let year = pair(y1, y2)? * 100 + pair(y3, y4)?;
    let (month, day) = (pair(m1, m2)?, pair(d1, d2)?);
    let (hour, minute, second) = (pair(h1, h2)?, pair(n1, n2)?, pair(s1, s2)?);
    if hour > 23 || minute > 59 || second > 59 || year == 0 {
        return None;
    }
    if !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day) {
        return None;
    }
    let millis = fraction(bytes.get(19..)?)?;
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(seconds * 1000 + millis)
}

#[inline]
fn digit(byte: u8) -> Option<i64> {
    byte.is_ascii_digit().then(|| i64::from(byte - b'0'))
}

#[inline]
fn pair(tens: u8, ones: u8) -> Option<i64> {
    Some(digit(tens)? * 10 + digit(ones)?)
}

/// Milliseconds of `Z` or `.d…Z` with one to nine digits.
fn fraction(rest: &[u8]) -> Option<i64> {
    match *rest {
        [b'Z'] => Some(0),
        [b'.', a, b'Z'] => Some(digit(a)? * 100),
        [b'.', a, b, b'Z'] => Some(pair(a, b)? * 10),
        [b'.', a, b, c, ref more @ .., b'Z'] if more.len() <= 6 => {
            more.iter().all(u8::is_ascii_digit).then_some(())?;
            Some(pair(a, b)? * 10 + digit(c)?)
        }
        _ => None,
    }
}

const fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 of a date of the years 1 to 9999 (Howard Hinnant, `days_from_civil`).
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted / 400;
    let year_of_era = shifted - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::{ReadLimits, Reader};

    fn number(text: &str) -> Option<i64> {
        from_number(
            &Reader::new(text.as_bytes(), ReadLimits::default())
                .unwrap()
                .number()
                .unwrap(),
        )
    }

    #[test]
    fn times_of_all_forms() {
        const NEW_YEAR: i64 = 1_767_225_600_000;
        for (text, millis) in [
            ("2026-01-01T00:00:00Z", Some(NEW_YEAR)),
            ("2026-01-01T00:00:00.5Z", Some(NEW_YEAR + 500)),
            ("2026-01-01T00:00:00.123456789Z", Some(NEW_YEAR + 123)),
            ("2026-01-01T01:30:00+01:30", Some(NEW_YEAR)),
            ("2025-12-31T19:00:00-05:00", Some(NEW_YEAR)),
            ("1969-12-31T23:59:59.9995Z", Some(-1)),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800_000)),
            ("2026-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("1767225600000", Some(NEW_YEAR)),
            ("9223372036854775807", None),
            ("2026-01-01", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(from_text(text), millis, "{text}");
        }
        assert_eq!(number("1767225600000"), Some(NEW_YEAR));
        assert_eq!(number("1767225600000.0"), Some(NEW_YEAR));
        assert_eq!(number("1.7672256e12"), Some(NEW_YEAR));
        assert_eq!(number("-0.5"), Some(-1));
        assert_eq!(number("1e300"), None);
        assert_eq!(number("999999999999999999"), None);
    }

    proptest! {
        #[test]
        fn the_fast_way_agrees_with_the_full_parser(millis in FIRST..=LAST, digits in 0..=9_usize) {
            let text = Timestamp(millis).to_string();
            prop_assert_eq!(from_text(&text), Some(millis));
            let (head, _) = text.split_once('.').unwrap();
            let cut = if digits == 0 { format!("{head}Z") } else { format!("{head}.{}Z", "123456789".get(..digits).unwrap()) };
            let fast = common(&cut);
            prop_assert_eq!(from_text(&cut), cut.parse::<Timestamp>().ok().map(|stamp| stamp.0));
            prop_assert!(fast.is_some() || !(1..=9999).contains(&head.get(..4).unwrap_or("0").parse::<i32>().unwrap_or(0)));
        }

        #[test]
        fn what_the_fast_way_takes_the_full_parser_takes_too(text in "[0-9]{4}-[0-1][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,10})?Z?") {
            if let Some(millis) = common(&text) {
                prop_assert_eq!(text.parse(), Ok(Timestamp(millis)));
            }
        }
    }
}
