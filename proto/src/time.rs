//! Time: [`Timestamp`] (milliseconds since 1970-01-01 UTC, may be negative) and [`Span`] (a duration in milliseconds).
//!
//! Owns parsing (`"90s"`, `"1h30m"`, ISO 8601, RFC 3339, epoch milliseconds) and printing (RFC 3339 UTC with ms).
//! Reads no clock.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A moment: milliseconds since 1970-01-01T00:00:00Z, negative before it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// A duration in milliseconds, never negative.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Span(pub i64);

/// Why a text is not a time or a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// The text is no RFC 3339 time and no whole number of epoch milliseconds.
    #[error(
        "`{0}` is not a time: write RFC 3339 such as `2026-01-01T00:00:00Z` or epoch milliseconds"
    )]
    Timestamp(String),
    /// The text is no duration.
    #[error(
        "`{0}` is not a duration: write `90s`, `5m`, `1h30m`, `250ms` or ISO 8601 such as `PT5M`"
    )]
    Span(String),
    /// The duration is outside 1 ms to 10 years.
    #[error("`{0}` is out of range: a duration is 1 ms to 10 years")]
    Range(String),
}

impl Span {
    /// The same for the machine's own clocks and timers.
    #[must_use]
    pub const fn duration(self) -> std::time::Duration {
        std::time::Duration::from_millis(if self.0 < 0 { 0 } else { self.0.unsigned_abs() })
    }
}

impl Timestamp {
    /// Before every real moment; the watermark of a resource that never sent anything.
    pub const MIN: Self = Self(i64::MIN);
    /// After every real moment.
    pub const MAX: Self = Self(i64::MAX);

    /// This moment plus a span, saturating at the ends of time.
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// This moment minus a span, saturating at the ends of time.
    #[must_use]
    pub const fn minus(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// Milliseconds from `earlier` to this moment, saturating.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Times outside jiff's years -9999..=9999 print as epoch milliseconds: still exact, still parseable.
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(stamp) => write!(f, "{stamp:.3}"),
            Err(_) => write!(f, "{}", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let bad = || TimeError::Timestamp(text.chars().take(64).collect());
        if let Ok(millis) = text.parse::<i64>() {
            return Ok(Self(millis));
        }
        let stamp: jiff::Timestamp = text.parse().map_err(|_| bad())?;
        // Floor, so that a moment before 1970 with a sub-millisecond part lands in its own millisecond.
        let nanos = stamp.as_nanosecond();
        i64::try_from(nanos.div_euclid(1_000_000))
            .map(Self)
            .map_err(|_| bad())
    }
}

/// Milliseconds in ten years of 366 days: the longest duration that any setting or rule accepts.
const LONGEST: i64 = 10 * 366 * 86_400_000;

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of whole milliseconds.
    #[must_use]
    pub const fn millis(millis: i64) -> Self {
        Self(millis)
    }

    /// A span of whole seconds.
    #[must_use]
    pub const fn seconds(seconds: i64) -> Self {
        Self(seconds * 1000)
    }

    fn checked(millis: Option<i64>, text: &str) -> Result<Self, TimeError> {
        match millis {
            Some(millis) if (1..=LONGEST).contains(&millis) => Ok(Self(millis)),
            _ => Err(TimeError::Range(text.to_owned())),
        }
    }
}

/// Milliseconds of one unit of the short form.
fn unit_millis(unit: &str) -> Option<i64> {
    Some(match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 7 * 86_400_000,
        _ => return None,
    })
}

/// Sums `<number><unit>` pairs, `1h30m`, into milliseconds. `None` if the text has another form, `Some(None)` on overflow.
fn short_form(text: &str) -> Option<Option<i64>> {
    let mut rest = text;
    let mut total = Some(0_i64);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let unit_end = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, next) = tail.split_at_checked(unit_end)?;
        let factor = unit_millis(unit)?;
        if number.is_empty() {
            return None;
        }
        let part = number
            .parse::<i64>()
            .ok()
            .and_then(|n| n.checked_mul(factor));
        total = total.zip(part).and_then(|(a, b)| a.checked_add(b));
        rest = next;
    }
    Some(total)
}

impl FromStr for Span {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let trimmed = text.trim();
        if let Some(millis) = short_form(trimmed) {
            return Self::checked(millis, trimmed);
        }
        let bad = || TimeError::Span(trimmed.chars().take(64).collect());
        if !trimmed.starts_with(['P', 'p']) {
            return Err(bad());
        }
        let span: jiff::SignedDuration = trimmed
            .parse::<jiff::Span>()
            .and_then(|span| span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()))
            .map_err(|_| bad())?;
        Self::checked(i64::try_from(span.as_millis()).ok(), trimmed)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, size) in [
            ("d", 86_400_000),
            ("h", 3_600_000),
            ("m", 60_000),
            ("s", 1000),
            ("ms", 1),
        ] {
            if rest >= size {
                write!(f, "{}{unit}", rest / size)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_parse_and_print() {
        for (text, millis, printed) in [
            ("90s", 90_000, "1m30s"),
            ("5m", 300_000, "5m"),
            ("1h30m", 5_400_000, "1h30m"),
            ("250ms", 250, "250ms"),
            ("PT15M", 900_000, "15m"),
            ("P1D", 86_400_000, "1d"),
            ("1w", 604_800_000, "7d"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span, Span(millis), "{text}");
            assert_eq!(span.to_string(), printed);
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
        for bad in [
            "",
            "5",
            "m",
            "-5m",
            "5 m",
            "5x",
            "0s",
            "99999999999999999999d",
            "11000d",
            "1.5h",
        ] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    #[test]
    fn timestamps_parse_and_print() {
        let stamp: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(stamp, Timestamp(1_767_225_600_000));
        assert_eq!(stamp.to_string(), "2026-01-01T00:00:00.000Z");
        assert_eq!(
            "2026-01-01T01:00:00.5+01:00".parse(),
            Ok(Timestamp(1_767_225_600_500))
        );
        assert_eq!("1969-12-31T23:59:59.9995Z".parse(), Ok(Timestamp(-1)));
        assert_eq!("1767225600000".parse(), Ok(stamp));
        assert_eq!(Timestamp(-1).to_string(), "1969-12-31T23:59:59.999Z");
        assert_eq!(Timestamp(i64::MAX).to_string(), i64::MAX.to_string());
        assert!("yesterday".parse::<Timestamp>().is_err());
    }
}
