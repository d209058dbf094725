//! [`Schedule`]: moments by the clock on the wall, as `cron` writes them, in a time zone.

use std::fmt;
use std::sync::Arc;

use jiff::ToSpan;
use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::zone::Zone;

/// Days that are looked through for the next moment: a 29th of February on a Sunday may be forty years away.
const DAYS: usize = 15_000;
const MINUTE: i64 = 60_000;
const DAY: i64 = 86_400_000;

/// Five fields of `cron` in a zone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Schedule {
    /// As written, with single blanks.
    text: Arc<str>,
    zone: Zone,
    minutes: u64,
    hours: u32,
    days: u32,
    months: u16,
    weekdays: u8,
    /// Whether every hour is meant: then the hours of the zone's clock count, also one that is there twice.
    hourly: bool,
    /// Whether both days are restricted: then either is enough.
    either: bool,
}

/// What is wrong with a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Not five fields.
    #[error("a cron schedule has five fields, minute hour day month weekday, this one has {0}")]
    Fields(usize),
    /// A field cannot be read.
    #[error(
        "`{text}` is no {field} (write `*`, `5`, `1-5`, `*/15`, `1,15`, from {least} to {most})"
    )]
    Field {
        /// Which.
        field: &'static str,
        /// As written.
        text: String,
        /// Least number.
        least: u32,
        /// Largest number.
        most: u32,
    },
    /// No date fits.
    #[error("no date is ever `{0}`")]
    Never(String),
}

struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field {
        name: "minute",
        least: 0,
        most: 59,
        names: &[],
    },
    Field {
        name: "hour",
        least: 0,
        most: 23,
        names: &[],
    },
    Field {
        name: "day of the month",
        least: 1,
        most: 31,
        names: &[],
    },
    Field {
        name: "month",
        least: 1,
        most: 12,
        names: &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
    },
    Field {
        name: "day of the week",
        least: 0,
        most: 7,
        names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    },
];

impl Field {
    fn number(&self, text: &str) -> Option<u32> {
        let lower = text.to_ascii_lowercase();
        let named = (self.least..).zip(self.names);
        let mut named = named.filter(|(_, name)| **name == lower);
        let number = match named.next() {
            Some((number, _)) => Some(number),
            None if text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit()) => {
                text.parse().ok()
            }
            None => None,
        };
        number.filter(|number| (self.least..=self.most).contains(number))
    }

    /// The numbers that are meant, as bits; `None`: it cannot be read.
    fn bits(&self, text: &str) -> Option<u64> {
        let mut bits = 0_u64;
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, step.parse::<u32>().ok().filter(|n| *n > 0)?),
                None => (part, 1),
            };
            let (from, to) = match range.split_once('-') {
                _ if range == "*" => (self.least, self.most),
                Some((from, to)) => (self.number(from)?, self.number(to)?),
                None if part.contains('/') => (self.number(range)?, self.most),
                None => (self.number(range)?, self.number(range)?),
            };
            if from > to {
                return None;
            }
            let step = usize::try_from(step).ok()?;
            bits |= (from..=to).step_by(step).fold(0, |bits, n| bits | 1 << n);
        }
        Some(bits)
    }
}

impl Schedule {
    /// Reads five fields.
    ///
    /// # Errors
    /// When a field cannot be read, or no date ever fits.
    pub fn new(text: &str, zone: Zone) -> Result<Self, ScheduleError> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(ScheduleError::Fields(fields.len()));
        };
        let read = |written: &str, field: &Field| {
            field.bits(written).ok_or_else(|| ScheduleError::Field {
                field: field.name,
                text: written.chars().take(64).collect(),
                least: field.least,
                most: field.most,
            })
        };
        let [minutes, hours, days, months, weekdays] = &FIELDS;
        let week = read(weekday, weekdays)?;
        // Sunday is 0 and 7.
        let week = (week | week >> 7) & 0x7f;
        let schedule = Self {
            text: Arc::from(fields.join(" ")),
            minutes: read(minute, minutes)?,
            hours: read(hour, hours)? as u32,
            days: read(day, days)? as u32,
            months: read(month, months)? as u16,
            weekdays: week as u8,
            hourly: hour.starts_with('*'),
            either: !day.starts_with('*') && !weekday.starts_with('*'),
            zone,
        };
        match schedule.next(0) {
            Some(_) => Ok(schedule),
            None => Err(ScheduleError::Never(schedule.text.to_string())),
        }
    }

    /// The first moment after a time, in ms; `None` where no calendar reaches.
    #[must_use]
    pub fn next(&self, after: i64) -> Option<i64> {
        let wall = self.zone.local(Timestamp(after))?;
        // What a gap has moved may come from the day before.
        let mut date = wall.date().yesterday().ok()?;
        for _ in 0..DAYS {
            if self.holds(date)
                && let Some(found) = self.on(date, after)
            {
                return Some(found);
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    fn holds(&self, date: Date) -> bool {
        let bit = |bits: u32, number: i8| bits >> number.clamp(0, 31) & 1 == 1;
        let day = bit(self.days, date.day());
        let weekday = date.weekday().to_sunday_zero_offset();
        let weekday = bit(u32::from(self.weekdays), weekday);
        let fits = if self.either {
            day || weekday
        } else {
            day && weekday
        };
        fits && bit(u32::from(self.months), date.month())
    }

    /// The first moment of a day after a time.
    fn on(&self, date: Date, after: i64) -> Option<i64> {
        let midnight = date.to_datetime(jiff::civil::Time::midnight());
        let utc = jiff::tz::Offset::UTC.to_timestamp(midnight).ok()?;
        let utc = utc.as_millisecond();
        let early = self.zone.offset(Timestamp(utc - DAY));
        let late = self.zone.offset(Timestamp(utc + 2 * DAY));
        let mut best: Option<i64> = None;
        for hour in (0..24_i64).filter(|hour| self.hours >> hour & 1 == 1) {
            for minute in (0..60_i64).filter(|minute| self.minutes >> minute & 1 == 1) {
                let wall = utc + (hour * 60 + minute) * MINUTE;
                if wall - early.min(late) <= after {
                    continue;
                }
                let found = self.at(wall, (early, late), (midnight, hour * 60 + minute), after);
                best = [best, found].into_iter().flatten().min();
                if best.is_some() && early == late {
                    return best;
                }
            }
        }
        best
    }

    /// The first moment after a time at which the wall shows this.
    fn at(
        &self,
        wall: i64,
        (early, late): (i64, i64),
        (midnight, minutes): (DateTime, i64),
        after: i64,
    ) -> Option<i64> {
        let shows = |offset: i64| {
            let moment = wall - offset;
            (self.zone.offset(Timestamp(moment)) == offset).then_some(moment)
        };
        let both = [shows(early), shows(late)];
        let mut moments = both.into_iter().flatten();
        if self.hourly {
            return moments.filter(|moment| *moment > after).min();
        }
        // Of two the earlier; for a skipped one the first moment after the gap.
        let moment = match moments.next() {
            Some(first) => Some(moments.fold(first, i64::min)),
            None => {
                let wall = midnight.checked_add(minutes.minutes()).ok()?;
                self.zone.moment(wall).map(|moment| moment.0)
            }
        };
        moment.filter(|moment| *moment > after)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(text: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::new(text, Zone::new(zone).unwrap()).unwrap();
        let mut at = from.parse::<Timestamp>().unwrap().0;
        let next = std::iter::repeat_with(|| {
            at = schedule.next(at).unwrap();
            Timestamp(at).to_string()
        });
        next.take(count).collect()
    }

    #[test]
    fn fields_are_numbers_ranges_steps_lists_and_names() {
        let found = moments("*/20 8-9 * * mon-fri", "UTC", "2026-01-02T09:30:00Z", 4);
        assert_eq!(
            found,
            [
                "2026-01-02T09:40:00.000Z",
                "2026-01-05T08:00:00.000Z",
                "2026-01-05T08:20:00.000Z",
                "2026-01-05T08:40:00.000Z"
            ]
        );
        // Both days are restricted: either is enough. Sunday is 0 and 7.
        let found = moments("0 0 13 * 7", "UTC", "2026-02-12T00:00:00Z", 3);
        let days: Vec<&str> = found.iter().map(|at| &at[..10]).collect();
        assert_eq!(days, ["2026-02-13", "2026-02-15", "2026-02-22"]);
        let found = moments("5/25 0 29 feb *", "UTC", "2026-01-01T00:00:00Z", 3);
        assert_eq!(
            found,
            [
                "2028-02-29T00:05:00.000Z",
                "2028-02-29T00:30:00.000Z",
                "2028-02-29T00:55:00.000Z"
            ]
        );
    }

    #[test]
    fn what_cannot_be_is_told() {
        let error = |text: &str| Schedule::new(text, Zone::utc()).unwrap_err().to_string();
        assert!(error("* * * *").contains("has 4"), "{}", error("* * * *"));
        assert!(error("60 * * * *").starts_with("`60` is no minute"));
        assert!(error("* * * * mo").starts_with("`mo` is no day of the week"));
        assert!(error("5-1 * * * *").starts_with("`5-1` is no minute"));
        assert!(error("*/0 * * * *").starts_with("`*/0` is no minute"));
        assert_eq!(error("0 0 31 2,4 *"), "no date is ever `0 0 31 2,4 *`");
    }

    #[test]
    fn a_fixed_hour_comes_once_a_day_also_when_the_clock_is_changed() {
        // 2026-03-29: 02:00 to 03:00 is skipped at 01:00 UTC. 2026-10-25: it is there twice, from 00:00 and from 01:00 UTC.
        let spring = moments("30 2 * * *", "Europe/Brussels", "2026-03-28T00:00:00Z", 3);
        assert_eq!(
            spring,
            [
                "2026-03-28T01:30:00.000Z",
                "2026-03-29T01:00:00.000Z",
                "2026-03-30T00:30:00.000Z"
            ]
        );
        let autumn = moments("30 2 * * *", "Europe/Brussels", "2026-10-24T12:00:00Z", 2);
        assert_eq!(
            autumn,
            ["2026-10-25T00:30:00.000Z", "2026-10-26T01:30:00.000Z"]
        );
        // São Paulo skipped midnight itself.
        let day = moments("0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00Z", 2);
        assert_eq!(
            day,
            ["2018-11-04T03:00:00.000Z", "2018-11-05T02:00:00.000Z"]
        );
    }

    #[test]
    fn every_hour_is_every_hour_that_the_clock_shows() {
        let autumn = moments("30 * * * *", "Europe/Brussels", "2026-10-24T23:00:00Z", 4);
        assert_eq!(
            autumn,
            [
                "2026-10-24T23:30:00.000Z",
                "2026-10-25T00:30:00.000Z",
                "2026-10-25T01:30:00.000Z",
                "2026-10-25T02:30:00.000Z"
            ]
        );
        let spring = moments("30 * * * *", "Europe/Brussels", "2026-03-29T00:00:00Z", 2);
        assert_eq!(
            spring,
            ["2026-03-29T00:30:00.000Z", "2026-03-29T01:30:00.000Z"]
        );
    }

    /// Minute by minute, as the definition says it.
    #[test]
    fn the_next_moment_is_the_first_minute_whose_wall_fits() {
        let zone = Zone::new("Australia/Lord_Howe").unwrap();
        for text in ["*/7 * * * *", "13,44 */5 * * *", "0 * 5-9 4,10 sun"] {
            let schedule = Schedule::new(text, zone.clone()).unwrap();
            // Around the half hour that the clock goes back there on 2026-04-05 at 15:00 UTC the day before.
            let start = "2026-04-03T00:00:00Z".parse::<Timestamp>().unwrap().0;
            let fits = |at: &i64| {
                let wall = zone.local(Timestamp(*at)).unwrap();
                schedule.holds(wall.date())
                    && schedule.hours >> wall.hour() & 1 == 1
                    && schedule.minutes >> wall.minute() & 1 == 1
            };
            let minutes = (start..start + 4 * DAY).step_by(MINUTE as usize);
            let naive: Vec<i64> = minutes.filter(fits).filter(|at| *at > start).collect();
            let mut at = start;
            let next = std::iter::repeat_with(|| {
                at = schedule.next(at).unwrap();
                at
            });
            let found: Vec<i64> = next.take_while(|at| *at < start + 4 * DAY).collect();
            assert_eq!(found, naive, "{text}");
        }
    }
}
