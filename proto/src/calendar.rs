//! Windows of a calendar: which one a moment is in, by the wall clock of a zone.

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, date};

use crate::time::Timestamp;
use crate::window::{Calendar, CalendarUnit};
use crate::zone::Zone;

const DAY: i64 = 86_400_000;

/// The first day of the week that weeks are counted from, a Monday.
const FIRST_WEEK: Date = date(1969, 12, 29);

impl Calendar {
    /// The window `[start, end)` that holds a moment, in epoch ms.
    #[must_use]
    pub fn window(&self, zone: &Zone, at: i64) -> (i64, i64) {
        let fixed = match self.unit {
            CalendarUnit::Minute => Some(60_000),
            CalendarUnit::Hour => Some(3_600_000),
            _ => None,
        };
        if let Some(unit) = fixed {
            return self.short(zone, at, unit);
        }
        self.long(zone, at).unwrap_or_else(|| {
            // Where no calendar reaches, days of UTC stand in.
            let start = at.saturating_sub(at.rem_euclid(DAY));
            (start, start.saturating_add(DAY))
        })
    }

    /// Hours and minutes: by the offset in force, cut where it changes.
    fn short(&self, zone: &Zone, at: i64, unit: i64) -> (i64, i64) {
        let size = unit.saturating_mul(i64::from(self.every.max(1)));
        let shift = zone.offset(Timestamp(at)).saturating_sub(self.offset);
        let local = at.saturating_add(shift);
        let start = local.saturating_sub(local.rem_euclid(size));
        let start = start.saturating_sub(shift);
        let end = start.saturating_add(size);
        let (before, after) = zone.transitions(Timestamp(at));
        (
            before.map_or(start, |before| start.max(before.0)),
            after.map_or(end, |after| end.min(after.0)),
        )
    }

    fn long(&self, zone: &Zone, at: i64) -> Option<(i64, i64)> {
        let shift = SignedDuration::from_millis(self.offset);
        let wall = zone.local(Timestamp(at))?.checked_sub(shift).ok()?;
        let mut number = self.number(wall.date());
        // Where the clock is put back over a boundary, the wall shows a window that is over.
        for _ in 0..3 {
            let start = self.boundary(zone, number)?;
            let end = self.boundary(zone, number + 1)?;
            if at < start {
                number -= 1;
            } else if at >= end {
                number += 1;
            } else {
                return Some((start, end));
            }
        }
        None
    }

    fn first_week(&self) -> Option<Date> {
        let days = i64::from(self.week_start.min(6));
        let days = SignedDuration::from_hours(24 * days);
        FIRST_WEEK.checked_add(days).ok()
    }

    /// How many windows after the first of the count a day lies.
    fn number(&self, day: Date) -> i64 {
        let every = i64::from(self.every.max(1));
        let days = |from: Date| day.duration_since(from).as_hours().div_euclid(24);
        let months = i64::from(day.year()) * 12 + i64::from(day.month()) - 1 - 1970 * 12;
        let units = match self.unit {
            CalendarUnit::Week => days(self.first_week().unwrap_or(FIRST_WEEK)).div_euclid(7),
            CalendarUnit::Month => months,
            CalendarUnit::Quarter => months.div_euclid(3),
            CalendarUnit::Year => months.div_euclid(12),
            _ => days(date(1970, 1, 1)),
        };
        units.div_euclid(every)
    }

    /// The moment at which a window begins.
    fn boundary(&self, zone: &Zone, number: i64) -> Option<i64> {
        let units = number.checked_mul(i64::from(self.every.max(1)))?;
        let month = |months: i64| {
            let year = i16::try_from(1970 + months.div_euclid(12)).ok()?;
            let month = i8::try_from(months.rem_euclid(12) + 1).ok()?;
            Date::new(year, month, 1).ok()
        };
        let day = |from: Date, days: i64| {
            let hours = days.checked_mul(24)?;
            from.checked_add(SignedDuration::from_hours(hours)).ok()
        };
        let first = match self.unit {
            CalendarUnit::Week => day(self.first_week()?, units.checked_mul(7)?)?,
            CalendarUnit::Month => month(units)?,
            CalendarUnit::Quarter => month(units.checked_mul(3)?)?,
            CalendarUnit::Year => month(units.checked_mul(12)?)?,
            _ => day(date(1970, 1, 1), units)?,
        };
        let midnight: DateTime = first.at(0, 0, 0, 0);
        let wall = midnight
            .checked_add(SignedDuration::from_millis(self.offset))
            .ok()?;
        zone.moment(wall).map(|moment| moment.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(unit: CalendarUnit, every: u32, zone: &str, at: &str) -> (String, String) {
        let calendar = Calendar {
            unit,
            every,
            week_start: 0,
            offset: 0,
        };
        told(&calendar, zone, at)
    }

    fn told(calendar: &Calendar, zone: &str, at: &str) -> (String, String) {
        let at: Timestamp = at.parse().unwrap();
        let (start, end) = calendar.window(&Zone::new(zone).unwrap(), at.0);
        assert!(start <= at.0 && at.0 < end, "{at} in {start}..{end}");
        let text = |ms: i64| Timestamp(ms).to_string().replace(":00.000Z", "");
        (text(start), text(end))
    }

    fn pair(start: &str, end: &str) -> (String, String) {
        (start.to_owned(), end.to_owned())
    }

    #[test]
    fn days_are_as_long_as_the_wall_says() {
        let day = |at| window(CalendarUnit::Day, 1, "Europe/Brussels", at);
        let short = pair("2026-03-28T23:00", "2026-03-29T22:00");
        assert_eq!(day("2026-03-29T12:00:00Z"), short);
        let long = pair("2026-10-24T22:00", "2026-10-25T23:00");
        assert_eq!(day("2026-10-25T12:00:00Z"), long);
        // Midnight is skipped in Beirut on 2026-03-29, and there twice in Havana on 2026-11-01.
        let beirut = window(CalendarUnit::Day, 1, "Asia/Beirut", "2026-03-29T10:00:00Z");
        assert_eq!(beirut, pair("2026-03-28T22:00", "2026-03-29T21:00"));
        let havana = window(
            CalendarUnit::Day,
            1,
            "America/Havana",
            "2026-11-01T05:30:00Z",
        );
        assert_eq!(havana, pair("2026-11-01T04:00", "2026-11-02T05:00"));
    }

    #[test]
    fn a_repeated_hour_is_two_windows() {
        let hour = |at| window(CalendarUnit::Hour, 1, "Europe/Brussels", at);
        assert_eq!(
            hour("2026-10-25T00:30:00Z"),
            pair("2026-10-25T00:00", "2026-10-25T01:00")
        );
        assert_eq!(
            hour("2026-10-25T01:30:00Z"),
            pair("2026-10-25T01:00", "2026-10-25T02:00")
        );
        // Six hours from local midnight are five of them, or seven, cut where the clock changes.
        let six = |at| window(CalendarUnit::Hour, 6, "Europe/Brussels", at);
        assert_eq!(
            six("2026-10-25T00:30:00Z"),
            pair("2026-10-24T22:00", "2026-10-25T01:00")
        );
        assert_eq!(
            six("2026-10-25T01:30:00Z"),
            pair("2026-10-25T01:00", "2026-10-25T05:00")
        );
    }

    #[test]
    fn months_quarters_years_and_weeks() {
        let utc = |unit, every, at| window(unit, every, "UTC", at);
        let at = "2024-02-29T23:59:59Z";
        assert_eq!(
            utc(CalendarUnit::Month, 1, at),
            pair("2024-02-01T00:00", "2024-03-01T00:00")
        );
        assert_eq!(
            utc(CalendarUnit::Quarter, 1, at),
            pair("2024-01-01T00:00", "2024-04-01T00:00")
        );
        assert_eq!(
            utc(CalendarUnit::Year, 1, "2025-12-31T23:59:59Z"),
            pair("2025-01-01T00:00", "2026-01-01T00:00")
        );
        assert_eq!(
            utc(CalendarUnit::Week, 1, "1970-01-01T00:00:00Z"),
            pair("1969-12-29T00:00", "1970-01-05T00:00")
        );
        assert_eq!(
            utc(CalendarUnit::Day, 2, "1969-12-31T12:00:00Z"),
            pair("1969-12-30T00:00", "1970-01-01T00:00")
        );
        assert_eq!(
            utc(CalendarUnit::Month, 5, "1969-12-31T12:00:00Z"),
            pair("1969-08-01T00:00", "1970-01-01T00:00")
        );
        let sunday = Calendar {
            unit: CalendarUnit::Week,
            every: 1,
            week_start: 6,
            offset: 0,
        };
        assert_eq!(
            told(&sunday, "UTC", "1970-01-03T23:00:00Z"),
            pair("1969-12-28T00:00", "1970-01-04T00:00")
        );
        let shift = Calendar {
            unit: CalendarUnit::Day,
            every: 1,
            week_start: 0,
            offset: 6 * 3_600_000,
        };
        assert_eq!(
            told(&shift, "UTC", "1970-01-01T05:59:59Z"),
            pair("1969-12-31T06:00", "1970-01-01T06:00")
        );
    }

    #[test]
    fn windows_follow_each_other_without_gaps() {
        use CalendarUnit::{Day, Hour, Minute, Month, Quarter, Week, Year};
        for zone in [
            "UTC",
            "Europe/Brussels",
            "America/Havana",
            "Asia/Beirut",
            "Australia/Lord_Howe",
        ] {
            let zone = Zone::new(zone).unwrap();
            for unit in [Minute, Hour, Day, Week, Month, Quarter, Year] {
                let calendar = Calendar {
                    unit,
                    every: 3,
                    week_start: 2,
                    offset: 5_400_000,
                };
                let mut at = -20_000 * DAY;
                for step in 0..400 {
                    let (start, end) = calendar.window(&zone, at);
                    assert!(start <= at && at < end, "{unit:?} {zone} {at}");
                    assert_eq!(
                        calendar.window(&zone, start),
                        (start, end),
                        "{unit:?} {zone}"
                    );
                    assert_eq!(
                        calendar.window(&zone, end - 1),
                        (start, end),
                        "{unit:?} {zone}"
                    );
                    assert_eq!(calendar.window(&zone, end).0, end, "{unit:?} {zone}");
                    at = if step % 2 == 0 { end } else { end + 37 * DAY };
                }
            }
        }
    }
}
