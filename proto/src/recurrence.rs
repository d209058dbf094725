//! [`Recurrence`]: moments by the clock on the wall, as RFC 5545 writes them in `RRULE`, in a time zone.
//!
//! Read are `FREQ` from `MINUTELY` to `YEARLY`, `INTERVAL`, `COUNT`, `UNTIL`, `BYMONTH`, `BYMONTHDAY`, `BYDAY`, `BYHOUR`,
//! `BYMINUTE` and `DTSTART`; every other part is refused by its name. Weeks begin on Monday. Periods of hours and minutes
//! are counted on the wall; a time that the wall skips is the first moment after the gap, of two the earlier.

use std::fmt;
use std::sync::Arc;

use jiff::civil::{Date, DateTime, Time};
use serde::{Deserialize, Serialize};

use crate::issue::nearest;
use crate::time::Timestamp;
use crate::zone::Zone;

/// Days that are looked through for the next moment: a 29th of February on a Sunday may be forty years away.
const DAYS: usize = 15_000;
/// Most repetitions that are counted.
const MOST: u32 = 10_000;
/// Names of the parts that are read.
const PARTS: [&str; 10] = [
    "FREQ",
    "INTERVAL",
    "COUNT",
    "UNTIL",
    "DTSTART",
    "BYMONTH",
    "BYMONTHDAY",
    "BYDAY",
    "BYHOUR",
    "BYMINUTE",
];
const WEEKDAYS: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];

/// The period that repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Frequency {
    /// `MINUTELY`
    Minutely,
    /// `HOURLY`
    Hourly,
    /// `DAILY`
    Daily,
    /// `WEEKLY`
    Weekly,
    /// `MONTHLY`
    Monthly,
    /// `YEARLY`
    Yearly,
}

const FREQUENCIES: [(&str, Frequency); 6] = [
    ("MINUTELY", Frequency::Minutely),
    ("HOURLY", Frequency::Hourly),
    ("DAILY", Frequency::Daily),
    ("WEEKLY", Frequency::Weekly),
    ("MONTHLY", Frequency::Monthly),
    ("YEARLY", Frequency::Yearly),
];

/// A rule of repetition in a zone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "(Arc<str>, Zone)", into = "(Arc<str>, Zone)")]
pub struct Recurrence {
    text: Arc<str>,
    zone: Zone,
    frequency: Frequency,
    interval: i64,
    count: Option<u32>,
    /// Last moment, in ms.
    until: Option<i64>,
    /// The first time on the wall.
    start: DateTime,
    months: Vec<i8>,
    /// From the end where negative.
    month_days: Vec<i8>,
    /// Which of the month or year (0: each; from the end where negative), and the weekday from Monday 0.
    week_days: Vec<(i8, i8)>,
    hours: Vec<i8>,
    minutes: Vec<i8>,
}

/// What is wrong with a rule of repetition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecurrenceError {
    /// No `NAME=VALUE`.
    #[error("`{0}` is no part of an rrule (write `FREQ=DAILY;BYHOUR=6`)")]
    Part(String),
    /// A part that is not read.
    #[error("`{0}` is not available in an rrule{1}")]
    Unknown(String, String),
    /// A part that is there twice.
    #[error("`{0}` is there twice")]
    Twice(String),
    /// A value that cannot be read.
    #[error("`{name}={text}`: {wanted}")]
    Value {
        /// Of which part.
        name: &'static str,
        /// As written.
        text: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// Parts that do not go together, or are missing.
    #[error("{0}")]
    Together(&'static str),
    /// No date fits.
    #[error("no moment is ever `{0}`")]
    Never(String),
}

use RecurrenceError as Error;

/// The parts as written, by name.
struct Written<'t>(Vec<(&'t str, &'t str)>);

impl<'t> Written<'t> {
    fn read(text: &'t str) -> Result<Self, Error> {
        let mut parts: Vec<(&str, &str)> = Vec::new();
        let lines = text.split(['\n', ';']).map(str::trim);
        for part in lines.filter(|part| !part.is_empty()) {
            let part = part.strip_prefix("RRULE:").unwrap_or(part);
            let brief = || part.chars().take(64).collect::<String>();
            // `DTSTART` stands in a line of its own, behind a colon.
            let (name, value) = part
                .split_once('=')
                .or_else(|| part.split_once(':'))
                .ok_or_else(|| Error::Part(brief()))?;
            if !PARTS.contains(&name) {
                let near = nearest(name, PARTS);
                let near =
                    near.map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"));
                return Err(Error::Unknown(name.chars().take(64).collect(), near));
            }
            if parts.iter().any(|(known, _)| *known == name) {
                return Err(Error::Twice(name.to_owned()));
            }
            parts.push((name, value));
        }
        Ok(Self(parts))
    }

    fn get(&self, name: &'static str) -> Option<&'t str> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value)
    }

    fn parsed<T>(
        &self,
        name: &'static str,
        wanted: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let text: String = text.chars().take(64).collect();
        match read(&text) {
            Some(value) => Ok(Some(value)),
            None => Err(Error::Value { name, text, wanted }),
        }
    }

    fn list<T>(
        &self,
        name: &'static str,
        wanted: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        let all = |text: &str| text.split(',').map(&read).collect::<Option<Vec<T>>>();
        Ok(self.parsed(name, wanted, all)?.unwrap_or_default())
    }

    fn numbers(
        &self,
        name: &'static str,
        wanted: &'static str,
        fits: impl Fn(i8) -> bool,
    ) -> Result<Vec<i8>, Error> {
        let mut found = self.list(name, wanted, |text| {
            text.parse::<i8>().ok().filter(|number| fits(*number))
        })?;
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}

/// `20260131T093000`, with a `Z` where UTC is meant.
fn moment(text: &str) -> Option<(DateTime, bool)> {
    let (text, utc) = text
        .strip_suffix('Z')
        .map_or((text, false), |text| (text, true));
    let (day, time) = text.split_once('T').unwrap_or((text, "000000"));
    let number = |text: &str, range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
        digits.parse::<i16>().ok()
    };
    if day.len() != 8 || time.len() != 6 {
        return None;
    }
    let small = |text: &str, from: usize| i8::try_from(number(text, from..from + 2)?).ok();
    let date = Date::new(number(day, 0..4)?, small(day, 4)?, small(day, 6)?).ok()?;
    let time = Time::new(small(time, 0)?, small(time, 2)?, small(time, 4)?, 0).ok()?;
    Some((date.to_datetime(time), utc))
}

/// `MO`, `1MO`, `-1FR`.
fn weekday(text: &str) -> Option<(i8, i8)> {
    let at = text.len().checked_sub(2)?;
    let (number, name) = (text.get(..at)?, text.get(at..)?);
    let day = (0_i8..).zip(WEEKDAYS).find(|(_, known)| *known == name)?.0;
    let number = match number {
        "" => 0,
        some => some
            .parse::<i8>()
            .ok()
            .filter(|n| *n != 0 && n.abs() <= 53)?,
    };
    Some((number, day))
}

fn frequency(written: &Written<'_>) -> Result<Frequency, Error> {
    let wanted = "one of MINUTELY, HOURLY, DAILY, WEEKLY, MONTHLY, YEARLY";
    let found = written.parsed("FREQ", wanted, |text| {
        let mut known = FREQUENCIES.iter();
        known
            .find(|(name, _)| *name == text)
            .map(|(_, frequency)| *frequency)
    })?;
    found.ok_or(Error::Together("`FREQ` is missing: write `FREQ=DAILY`"))
}

/// What the wall of a zone shows at a time that may be written in UTC.
fn on_wall((written, utc): (DateTime, bool), zone: &Zone) -> Option<DateTime> {
    if !utc {
        return Some(written);
    }
    let at = jiff::tz::Offset::UTC.to_timestamp(written).ok()?;
    zone.local(Timestamp(at.as_millisecond()))
}

impl Recurrence {
    /// Reads a rule of repetition; without `DTSTART` it begins at 1970-01-01 00:00.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn new(text: &str, zone: Zone) -> Result<Self, RecurrenceError> {
        let written = Written::read(text)?;
        let frequency = frequency(&written)?;
        let whole = |text: &str| text.parse::<u32>().ok().filter(|n| (1..=MOST).contains(n));
        let date = "a date, as in `20260131T093000` or `20260131T083000Z`";
        let interval = written.parsed("INTERVAL", "a whole number from 1 to 10000", whole)?;
        let count = written.parsed("COUNT", "a whole number from 1 to 10000", whole)?;
        let until = written.parsed("UNTIL", date, moment)?;
        let start = written.parsed("DTSTART", date, moment)?;
        let epoch = || Date::constant(1970, 1, 1).to_datetime(Time::midnight());
        let rule = Self {
            text: Arc::from(text.trim()),
            frequency,
            interval: i64::from(interval.unwrap_or(1)),
            count,
            until: until
                .and_then(|at| zone.moment(on_wall(at, &zone)?))
                .map(|at| at.0),
            start: start
                .and_then(|at| on_wall(at, &zone))
                .unwrap_or_else(epoch),
            months: written.numbers("BYMONTH", "months from 1 to 12", |n| (1..=12).contains(&n))?,
            month_days: written.numbers("BYMONTHDAY", "days from 1 to 31, or -31 to -1", |n| {
                n != 0 && (-31..=31).contains(&n)
            })?,
            week_days: written.list("BYDAY", "weekdays such as `MO`, `1MO`, `-1FR`", weekday)?,
            hours: written.numbers("BYHOUR", "hours from 0 to 23", |n| (0..24).contains(&n))?,
            minutes: written
                .numbers("BYMINUTE", "minutes from 0 to 59", |n| (0..60).contains(&n))?,
            zone,
        };
        rule.check(start.is_some())?;
        match rule.next(i64::MIN) {
            Some(_) => Ok(rule),
            None => Err(Error::Never(rule.text.to_string())),
        }
    }

    fn check(&self, starts: bool) -> Result<(), RecurrenceError> {
        let numbered = self.week_days.iter().any(|(number, _)| *number != 0);
        if numbered && self.frequency < Frequency::Monthly {
            return Err(Error::Together(
                "a number before a weekday needs `FREQ=MONTHLY` or `FREQ=YEARLY`",
            ));
        }
        if self.count.is_some() && self.until.is_some() {
            return Err(Error::Together("`COUNT` and `UNTIL` do not go together"));
        }
        if self.count.is_some() && !starts {
            return Err(Error::Together(
                "`COUNT` needs `DTSTART`, from which it counts",
            ));
        }
        Ok(())
    }

    /// The first moment after a time, in ms; `None` when there is no more.
    #[must_use]
    pub fn next(&self, after: i64) -> Option<i64> {
        let mut date = self.start.date();
        if self.count.is_none() {
            let wall = self.zone.local(Timestamp(after));
            // Behind the end of all calendars there is nothing to look for.
            if wall.is_none() && after > 0 {
                return None;
            }
            // What a gap has moved may come from the day before.
            let before = wall.and_then(|wall| wall.date().yesterday().ok());
            date = before.map_or(date, |before| before.max(date));
        }
        let mut left = self.count.unwrap_or(u32::MAX);
        let mut quiet = 0;
        while quiet < DAYS {
            quiet += 1;
            if self.holds(date) {
                for wall in self.on(date) {
                    let found = self.zone.moment(wall)?.0;
                    if left == 0 || self.until.is_some_and(|until| found > until) {
                        return None;
                    }
                    if self.count.is_some() {
                        left -= 1;
                    }
                    quiet = 0;
                    if found > after {
                        return Some(found);
                    }
                }
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    /// Whether a period that began so many after the first one counts.
    fn is_turn(&self, periods: i64) -> bool {
        periods.rem_euclid(self.interval) == 0
    }

    fn holds(&self, date: Date) -> bool {
        let start = self.start.date();
        let weekday = date.weekday().to_monday_zero_offset();
        let days = days(date) - days(start);
        let monday = i64::from(start.weekday().to_monday_zero_offset());
        let months = |date: Date| i64::from(date.year()) * 12 + i64::from(date.month());
        let turn = match self.frequency {
            Frequency::Minutely | Frequency::Hourly => true,
            Frequency::Daily => self.is_turn(days),
            Frequency::Weekly => self.is_turn((days + monday).div_euclid(7)),
            Frequency::Monthly => self.is_turn(months(date) - months(start)),
            Frequency::Yearly => self.is_turn(i64::from(date.year()) - i64::from(start.year())),
        };
        let by_month = self.months.is_empty() || self.months.contains(&date.month());
        let open = self.month_days.is_empty() && self.week_days.is_empty();
        let by_start = match self.frequency {
            Frequency::Weekly if self.week_days.is_empty() => {
                weekday == start.weekday().to_monday_zero_offset()
            }
            Frequency::Monthly if open => date.day() == start.day(),
            Frequency::Yearly if open => {
                date.day() == start.day()
                    && (!self.months.is_empty() || date.month() == start.month())
            }
            _ => true,
        };
        let behind = date.day() - date.days_in_month() - 1;
        let month_days = &self.month_days;
        let by_day = month_days.is_empty()
            || month_days.contains(&date.day())
            || month_days.contains(&behind);
        let by_weekday = self.week_days.is_empty()
            || self
                .week_days
                .iter()
                .any(|(number, day)| *day == weekday && self.is_nth(date, *number));
        turn && by_month && by_start && by_day && by_weekday
    }

    /// Whether a day is the so-manieth of its weekday in the month, or in the year where no months are named.
    fn is_nth(&self, date: Date, number: i8) -> bool {
        let of_year = self.frequency == Frequency::Yearly && self.months.is_empty();
        let (place, length) = if of_year {
            (date.day_of_year(), date.days_in_year())
        } else {
            (i16::from(date.day()), i16::from(date.days_in_month()))
        };
        let number = i16::from(number);
        number == 0 || (place - 1) / 7 + 1 == number || (place - length) / 7 - 1 == number
    }

    /// The times of a day, in order.
    fn on(&self, date: Date) -> Vec<DateTime> {
        let mut out = Vec::new();
        let named = |list: &[i8], number: i8, free: bool, own: i8| match list {
            [] => free || number == own,
            list => list.contains(&number),
        };
        let minute_of = |at: DateTime| {
            (days(at.date()) * 24 + i64::from(at.hour())) * 60 + i64::from(at.minute())
        };
        let start = minute_of(self.start);
        for hour in 0..24_i8 {
            let free = self.frequency <= Frequency::Hourly;
            if !named(&self.hours, hour, free, self.start.hour()) {
                continue;
            }
            for minute in 0..60_i8 {
                let free = self.frequency == Frequency::Minutely;
                if !named(&self.minutes, minute, free, self.start.minute()) {
                    continue;
                }
                let wall = date.at(hour, minute, self.start.second(), 0);
                let turn = match self.frequency {
                    Frequency::Minutely => self.is_turn(minute_of(wall) - start),
                    Frequency::Hourly => {
                        self.is_turn(minute_of(wall).div_euclid(60) - start.div_euclid(60))
                    }
                    _ => true,
                };
                if turn && wall >= self.start {
                    out.push(wall);
                }
            }
        }
        out
    }
}

/// Days since 1970.
fn days(date: Date) -> i64 {
    let midnight = date.to_datetime(Time::midnight());
    let at = jiff::tz::Offset::UTC.to_timestamp(midnight);
    at.map_or(0, |at| at.as_second().div_euclid(86_400))
}

impl From<Recurrence> for (Arc<str>, Zone) {
    fn from(rule: Recurrence) -> Self {
        (rule.text, rule.zone)
    }
}

impl TryFrom<(Arc<str>, Zone)> for Recurrence {
    type Error = RecurrenceError;

    fn try_from((text, zone): (Arc<str>, Zone)) -> Result<Self, RecurrenceError> {
        Self::new(&text, zone)
    }
}

impl fmt::Display for Recurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.zone)
    }
}

#[cfg(test)]
mod tests;
