//! [`Schedule`]: the times of a week at which a rule judges, by the clock on the wall of a zone.

use std::cell::Cell;
use std::fmt;

use jiff::ToSpan;
use jiff::civil::{Date, DateTime};
use tidegate_proto::rule::{Active, ActiveTime};
use tidegate_proto::{Outside, Timestamp};

use super::Presence;
use crate::timer::IDLE;

/// Days that one look at the calendar covers before the day at hand, and behind it.
const BEFORE: i64 = 2;
const BEHIND: i64 = 9;
/// Looks until a schedule without a border is taken to have none.
const LOOKS: u32 = 3;

/// A stretch of time in which nothing changes: inside or outside from the first moment until before the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    from: i64,
    until: i64,
    inside: bool,
}

/// The times of a week at which a rule judges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    active: Active,
}

/// A schedule with the stretch that was looked up last.
#[derive(Debug)]
pub(crate) struct Borders {
    schedule: Schedule,
    last: Cell<Stretch>,
}

/// The moment of a day of the wall; midnight at its end is that of the next day.
fn wall(day: Date, seconds: u32) -> Option<DateTime> {
    let start = day.to_datetime(jiff::civil::Time::midnight());
    start.checked_add(i64::from(seconds).seconds()).ok()
}

impl Schedule {
    pub(crate) const fn new(active: Active) -> Self {
        Self { active }
    }

    /// The stretches of one time around a day.
    fn of_time(&self, time: &ActiveTime, today: Date) -> impl Iterator<Item = (i64, i64)> {
        let days =
            (-BEFORE..=BEHIND).filter_map(move |offset| today.checked_add(offset.days()).ok());
        days.filter_map(move |day| {
            let weekday = day.weekday().to_monday_zero_offset();
            if !time
                .days
                .iter()
                .any(|wanted| i64::from(*wanted) == i64::from(weekday))
            {
                return None;
            }
            let last = if time.to <= time.from {
                day.tomorrow().ok()?
            } else {
                day
            };
            let zone = &self.active.zone;
            let from = zone.moment(wall(day, time.from)?)?;
            let to = zone.moment(wall(last, time.to)?)?;
            (from < to).then_some((from.0, to.0))
        })
    }

    /// The stretch around a time, as far as one look reaches; `None` beyond the calendar.
    fn look(&self, at: i64) -> Option<Stretch> {
        let today = self.active.zone.local(Timestamp(at))?.date();
        // What began the day before yesterday is over by the end of yesterday.
        let known = self.active.zone.moment(wall(today.yesterday().ok()?, 0)?)?;
        let times = self.active.times.iter();
        let mut inside: Vec<(i64, i64)> = times
            .flat_map(|time| self.of_time(time, today).collect::<Vec<_>>())
            .collect();
        inside.sort_unstable();
        let mut end = i64::MIN;
        let mut start = i64::MIN;
        for (from, to) in inside {
            if from > end {
                // Between the last end and this start nothing is active.
                if at < from {
                    return Some(Stretch::around(at, (start, end), from, known.0));
                }
                start = from;
            }
            end = end.max(to);
        }
        Some(Stretch::around(at, (start, end), IDLE, known.0))
    }

    /// The stretch around a time.
    fn stretch(&self, at: i64) -> Stretch {
        let always = Stretch {
            from: i64::MIN,
            until: IDLE,
            inside: true,
        };
        let Some(mut found) = self.look(at) else {
            return always;
        };
        // Where the look ended inside, there may be no border at all.
        for _ in 0..LOOKS {
            if !found.inside || found.until == IDLE {
                break;
            }
            match self.look(found.until) {
                Some(next) if next.inside => found.until = next.until,
                Some(_) => return found,
                None => break,
            }
        }
        if found.inside {
            always_from(found)
        } else {
            found
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        write!(f, "in {}", self.active.zone)?;
        for time in &self.active.times {
            let days = time
                .days
                .iter()
                .filter_map(|day| DAYS.get(usize::from(*day)));
            let days: Vec<&str> = days.copied().collect();
            let clock = |seconds: u32| format!("{:02}:{:02}", seconds / 3600, seconds / 60 % 60);
            let (from, to) = (clock(time.from), clock(time.to));
            write!(f, ", {} {from} to {to}", days.join(" "))?;
        }
        match self.active.outside {
            Outside::Pause => f.write_str(", paused outside"),
            Outside::Clear => f.write_str(", cleared outside"),
        }
    }
}

fn always_from(found: Stretch) -> Stretch {
    Stretch {
        until: IDLE,
        ..found
    }
}

impl Stretch {
    /// The stretch that ends at `end` if a time lies in it, otherwise the one between it and `next`; known from `known` on.
    fn around(at: i64, (start, end): (i64, i64), next: i64, known: i64) -> Self {
        let inside = at < end;
        let (from, until) = if inside { (start, end) } else { (end, next) };
        Self {
            from: from.max(known),
            until,
            inside,
        }
    }
}

impl Borders {
    pub(crate) const fn new(schedule: Schedule) -> Self {
        let nothing = Stretch {
            from: 0,
            until: 0,
            inside: false,
        };
        Self {
            schedule,
            last: Cell::new(nothing),
        }
    }

    fn stretch(&self, at: i64) -> Stretch {
        let last = self.last.get();
        if (last.from..last.until).contains(&at) {
            return last;
        }
        let found = self.schedule.stretch(at);
        self.last.set(found);
        found
    }

    /// Whether the rule judges at a time.
    pub(crate) fn presence(&self, at: i64) -> Presence {
        match (self.stretch(at).inside, self.schedule.active.outside) {
            (true, _) => Presence::Active,
            (false, Outside::Pause) => Presence::Paused,
            (false, Outside::Clear) => Presence::Away,
        }
    }

    /// The first border after a time, [`IDLE`] if there is none.
    pub(crate) fn next(&self, after: i64) -> i64 {
        self.stretch(after).until
    }
}

#[cfg(test)]
mod tests {
    use tidegate_proto::Zone;

    use super::*;

    fn active(zone: &str, times: Vec<ActiveTime>) -> Borders {
        let zone = Zone::new(zone).unwrap();
        Borders::new(Schedule::new(Active {
            zone,
            times,
            outside: Outside::Pause,
        }))
    }

    fn time(days: &[u8], from: u32, to: u32) -> ActiveTime {
        ActiveTime {
            days: days.to_vec(),
            from: from * 3600,
            to: to * 3600,
        }
    }

    /// Borders from a moment on, with whether the rule is active from there.
    fn borders(borders: &Borders, from: &str, count: usize) -> Vec<(String, bool)> {
        let mut at = from.parse::<Timestamp>().unwrap().0;
        let mut found = Vec::new();
        for _ in 0..count {
            at = borders.next(at);
            let text = Timestamp(at).to_string().replace(":00.000Z", "");
            found.push((text, borders.presence(at) == Presence::Active));
        }
        found
    }

    #[test]
    fn office_hours_follow_the_wall_over_a_change_of_time() {
        // Friday 2026-03-27 and Monday 2026-03-30; summer time begins between them.
        let office = active("Europe/Brussels", vec![time(&[0, 1, 2, 3, 4], 8, 18)]);
        let expected = [
            ("2026-03-27T07:00", true),
            ("2026-03-27T17:00", false),
            ("2026-03-30T06:00", true),
            ("2026-03-30T16:00", false),
        ];
        let found = borders(&office, "2026-03-27T00:00:00Z", 4);
        assert_eq!(found, expected.map(|(at, on)| (at.to_owned(), on)));
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        // Sunday 22:00 to Monday 06:00, and all of Monday afternoon.
        let night = active(
            "UTC",
            vec![time(&[6], 22, 6), time(&[0], 6, 12), time(&[0], 14, 24)],
        );
        let expected = [
            ("2026-01-04T22:00", true),
            ("2026-01-05T12:00", false),
            ("2026-01-05T14:00", true),
            ("2026-01-06T00:00", false),
            ("2026-01-11T22:00", true),
        ];
        let found = borders(&night, "2026-01-04T00:00:00Z", 5);
        assert_eq!(found, expected.map(|(at, on)| (at.to_owned(), on)));
    }

    #[test]
    fn always_has_no_border() {
        let always = active("UTC", vec![time(&[0, 1, 2, 3, 4, 5, 6], 0, 24)]);
        assert_eq!(always.next(0), IDLE);
        assert_eq!(always.presence(i64::MAX), Presence::Active);
    }

    #[test]
    fn every_border_is_where_the_wall_says_so() {
        let zone = Zone::new("America/New_York").unwrap();
        let times = vec![time(&[5, 6], 1, 3), time(&[2], 20, 4)];
        let borders = active("America/New_York", times);
        // Every quarter of an hour of a year, from the wall alone; gaps and folds lie on weekends there.
        let mut at = 1_767_225_600_000_i64;
        while at < 1_798_761_600_000 {
            let local = zone.local(Timestamp(at)).unwrap();
            let day = u8::try_from(local.weekday().to_monday_zero_offset()).unwrap();
            let hour = local.hour();
            let on = ([5, 6].contains(&day) && (1..3).contains(&hour))
                || (day == 2 && hour >= 20)
                || (day == 3 && hour < 4);
            assert_eq!(borders.presence(at) == Presence::Active, on, "{local}");
            at += 900_000;
        }
    }
}
