//! Rules of repetition: those that people write, what is refused, and a walk minute by minute as the definition says it.

use proptest::prelude::*;

use super::*;

fn moments(text: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    let rule = Recurrence::new(text, Zone::new(zone).unwrap()).unwrap();
    let mut at = from.parse::<Timestamp>().unwrap().0;
    let next = std::iter::from_fn(|| {
        at = rule.next(at)?;
        Some(Timestamp(at).to_string()[..16].to_owned())
    });
    next.take(count).collect()
}

#[test]
fn rules_that_people_write() {
    let from = "2026-01-01T00:00:00Z";
    let cases = [
        (
            "FREQ=DAILY;BYHOUR=6,18;BYMINUTE=30",
            ["2026-01-01T06:30", "2026-01-01T18:30", "2026-01-02T06:30"],
        ),
        (
            "FREQ=WEEKLY;BYDAY=MO,FR;BYHOUR=9",
            ["2026-01-02T09:00", "2026-01-05T09:00", "2026-01-09T09:00"],
        ),
        (
            "FREQ=MONTHLY;BYDAY=-1FR",
            ["2026-01-30T00:00", "2026-02-27T00:00", "2026-03-27T00:00"],
        ),
        (
            "FREQ=MONTHLY;BYMONTHDAY=-1",
            ["2026-01-31T00:00", "2026-02-28T00:00", "2026-03-31T00:00"],
        ),
        (
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
            ["2028-02-29T00:00", "2032-02-29T00:00", "2036-02-29T00:00"],
        ),
        (
            "FREQ=YEARLY;BYDAY=1MO",
            ["2026-01-05T00:00", "2027-01-04T00:00", "2028-01-03T00:00"],
        ),
        (
            "FREQ=YEARLY;BYMONTH=11;BYDAY=4TH",
            ["2026-11-26T00:00", "2027-11-25T00:00", "2028-11-23T00:00"],
        ),
        (
            "FREQ=HOURLY;INTERVAL=5",
            ["2026-01-01T04:00", "2026-01-01T09:00", "2026-01-01T14:00"],
        ),
        (
            "FREQ=MINUTELY;INTERVAL=25;BYHOUR=9",
            ["2026-01-01T09:00", "2026-01-01T09:25", "2026-01-01T09:50"],
        ),
        (
            "DTSTART:20260131T080000\nRRULE:FREQ=MONTHLY",
            ["2026-01-31T08:00", "2026-03-31T08:00", "2026-05-31T08:00"],
        ),
        (
            "DTSTART=20260105T080000;FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,MO",
            ["2026-01-05T08:00", "2026-01-11T08:00", "2026-01-19T08:00"],
        ),
        (
            "DTSTART=20251230T080000;FREQ=DAILY;COUNT=5",
            ["2026-01-01T08:00", "2026-01-02T08:00", "2026-01-03T08:00"],
        ),
    ];
    for (text, wanted) in cases {
        let found = moments(text, "UTC", from, 3);
        assert_eq!(found, wanted, "{text}");
    }
    let ends = moments("FREQ=DAILY;UNTIL=20260102T120000Z", "UTC", from, 9);
    assert_eq!(ends, ["2026-01-02T00:00"]);
    let counted = moments("DTSTART=20251230T080000;FREQ=DAILY;COUNT=5", "UTC", from, 9);
    assert_eq!(counted.len(), 3);
}

#[test]
fn a_fixed_hour_comes_once_a_day_also_when_the_clock_is_changed() {
    let text = "FREQ=DAILY;BYHOUR=2;BYMINUTE=15,30";
    let spring = moments(text, "Europe/Brussels", "2026-03-28T12:00:00Z", 3);
    assert_eq!(
        spring,
        ["2026-03-29T01:00", "2026-03-30T00:15", "2026-03-30T00:30"]
    );
    let autumn = moments(text, "Europe/Brussels", "2026-10-24T12:00:00Z", 3);
    assert_eq!(
        autumn,
        ["2026-10-25T00:15", "2026-10-25T00:30", "2026-10-26T01:15"]
    );
}

#[test]
fn what_cannot_be_is_told_by_its_name() {
    let cases = [
        (
            "FREQ=DAILY;BYSETPOS=1",
            "`BYSETPOS` is not available in an rrule",
        ),
        ("FREQ=DAILY;WKST=SU", "`WKST` is not available"),
        ("FREQ=DAILY;INTERVALL=2", "(did you mean `INTERVAL`?)"),
        ("FREQ=SECONDLY", "`FREQ=SECONDLY`: one of MINUTELY"),
        ("INTERVAL=2", "`FREQ` is missing"),
        ("FREQ=DAILY;INTERVAL=0", "`INTERVAL=0`: a whole number"),
        ("FREQ=DAILY;FREQ=DAILY", "`FREQ` is there twice"),
        ("FREQ=DAILY;BYHOUR=24", "`BYHOUR=24`: hours from 0 to 23"),
        ("FREQ=WEEKLY;BYDAY=1MO", "a number before a weekday"),
        ("FREQ=WEEKLY;BYDAY=MON", "`BYDAY=MON`: weekdays"),
        ("FREQ=DAILY;COUNT=2", "`COUNT` needs `DTSTART`"),
        (
            "FREQ=DAILY;COUNT=2;UNTIL=20260101T000000Z;DTSTART=20260101T000000",
            "do not go together",
        ),
        ("FREQ=DAILY;UNTIL=tomorrow", "`UNTIL=tomorrow`: a date"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "no moment is ever"),
        ("every day", "`every day` is no part"),
    ];
    for (text, wanted) in cases {
        let told = Recurrence::new(text, Zone::utc()).unwrap_err().to_string();
        assert!(told.contains(wanted), "{text}: {told}");
    }
}

/// The parts of a rule, as numbers.
#[derive(Clone, Debug)]
struct Parts {
    frequency: usize,
    interval: i64,
    months: Vec<i8>,
    month_days: Vec<i8>,
    week_days: Vec<(i8, i8)>,
    hours: Vec<i8>,
    minutes: Vec<i8>,
    start: i64,
}

fn parts() -> impl Strategy<Value = Parts> {
    let some = |range: std::ops::RangeInclusive<i8>| prop::collection::btree_set(range, 0..3);
    let month_days = prop::collection::btree_set(prop_oneof![1..=31_i8, -31..=-1_i8], 0..3);
    let week_days =
        prop::collection::btree_set((prop_oneof![3 => Just(0), 1 => -2..=2_i8], 0..7_i8), 0..3);
    let head = (0..6_usize, 1..4_i64, 0..60_000_i64);
    (
        head,
        some(1..=12),
        month_days,
        week_days,
        some(0..=23),
        some(0..=59),
    )
        .prop_map(
            |((frequency, interval, start), months, month_days, week_days, hours, minutes)| Parts {
                frequency,
                interval,
                months: months.into_iter().collect(),
                month_days: month_days.into_iter().collect(),
                week_days: week_days
                    .into_iter()
                    .map(|(n, day)| (if frequency < 4 { 0 } else { n }, day))
                    .collect(),
                hours: hours.into_iter().collect(),
                minutes: minutes.into_iter().collect(),
                start,
            },
        )
}

impl Parts {
    fn text(&self, start: DateTime) -> String {
        let list = |name: &str, list: &[i8]| match list {
            [] => String::new(),
            list => format!(
                ";{name}={}",
                list.iter().map(i8::to_string).collect::<Vec<_>>().join(",")
            ),
        };
        let days = self.week_days.iter().map(|(n, day)| match n {
            0 => WEEKDAYS[*day as usize].to_owned(),
            n => format!("{n}{}", WEEKDAYS[*day as usize]),
        });
        let days: Vec<String> = days.collect();
        let days = if days.is_empty() {
            String::new()
        } else {
            format!(";BYDAY={}", days.join(","))
        };
        format!(
            "DTSTART={};FREQ={};INTERVAL={}{}{}{days}{}{}",
            start.strftime("%Y%m%dT%H%M%S"),
            FREQUENCIES[self.frequency].0,
            self.interval,
            list("BYMONTH", &self.months),
            list("BYMONTHDAY", &self.month_days),
            list("BYHOUR", &self.hours),
            list("BYMINUTE", &self.minutes),
        )
    }

    /// The weekday's places in a list of days, from the front and from the back.
    fn places(days: impl Iterator<Item = Date>, date: Date) -> (i8, i8) {
        let same: Vec<Date> = days.filter(|day| day.weekday() == date.weekday()).collect();
        let at = same.iter().position(|day| *day == date).unwrap();
        (at as i8 + 1, at as i8 - same.len() as i8)
    }

    fn day_fits(&self, date: Date, start: DateTime) -> bool {
        let has = |list: &[i8], number: i8| list.is_empty() || list.contains(&number);
        let last = date.last_of_month().day();
        let month_day = self.month_days.is_empty()
            || self
                .month_days
                .iter()
                .any(|n| *n == date.day() || *n == date.day() - last - 1);
        let of_year = self.frequency == 5 && self.months.is_empty();
        let (from, to) = if of_year {
            (date.first_of_year(), date.last_of_year())
        } else {
            (date.first_of_month(), date.last_of_month())
        };
        let all = from
            .series(jiff::ToSpan::days(1))
            .take_while(move |day| *day <= to);
        let (front, back) = Self::places(all, date);
        let weekday = date.weekday().to_monday_zero_offset();
        let by_day = self.week_days.is_empty()
            || self
                .week_days
                .iter()
                .any(|(n, day)| *day == weekday && [0, front, back].contains(n));
        let open = self.month_days.is_empty() && self.week_days.is_empty();
        let own = match self.frequency {
            3 if self.week_days.is_empty() => date.weekday() == start.date().weekday(),
            4 if open => date.day() == start.day(),
            5 if open && self.months.is_empty() => {
                (date.month(), date.day()) == (start.month(), start.day())
            }
            5 if open => date.day() == start.day(),
            _ => true,
        };
        has(&self.months, date.month()) && month_day && by_day && own
    }

    fn minute_fits(&self, wall: DateTime, start: DateTime) -> bool {
        let fits = |list: &[i8], finest: usize, number: i8, own: i8| match list {
            [] => self.frequency <= finest || number == own,
            list => list.contains(&number),
        };
        fits(&self.hours, 1, wall.hour(), start.hour())
            && fits(&self.minutes, 0, wall.minute(), start.minute())
    }

    /// Whether a period begins with this minute of the wall.
    fn begins(&self, date: Date, minute: i16) -> bool {
        match self.frequency {
            0 => true,
            1 => minute % 60 == 0,
            2 => minute == 0,
            3 => minute == 0 && date.weekday() == jiff::civil::Weekday::Monday,
            4 => minute == 0 && date.day() == 1,
            _ => minute == 0 && date.day_of_year() == 1,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Minute by minute from the start, counting periods as they come.
    #[test]
    fn the_next_moment_is_the_first_minute_that_fits(parts in parts()) {
        let start = Date::constant(2026, 1, 1).to_datetime(Time::midnight());
        let start = start.checked_add(jiff::ToSpan::minutes(parts.start)).unwrap();
        let text = parts.text(start);
        let (mut naive, mut turns) = (Vec::new(), 0_i64);
        let days = start.date().series(jiff::ToSpan::days(1)).take(800);
        let mut end = i64::MAX;
        for date in days {
            let fits = parts.day_fits(date, start);
            for minute in 0..1440_i16 {
                let wall = date.at((minute / 60) as i8, (minute % 60) as i8, 0, 0);
                turns += i64::from(wall > start && parts.begins(date, minute));
                let turn = turns % parts.interval == 0 && wall >= start;
                if turn && fits && parts.minute_fits(wall, start) && naive.len() < 40 {
                    naive.push(Zone::utc().moment(wall).unwrap().0);
                }
            }
            end = Zone::utc().moment(date.at(23, 59, 0, 0)).unwrap().0;
        }
        let found = match Recurrence::new(&text, Zone::utc()) {
            Ok(rule) => {
                let mut at = i64::MIN;
                let next = std::iter::from_fn(|| {
                    at = rule.next(at)?;
                    Some(at)
                });
                next.take(naive.len() + 1).take_while(|at| *at <= end).take(40).collect()
            }
            Err(_) => Vec::new(),
        };
        prop_assert_eq!(found, naive, "{}", text);
    }
}

#[test]
fn behind_the_end_of_the_calendar_there_is_no_moment() {
    let rule = Recurrence::new("FREQ=MINUTELY", Zone::utc()).unwrap();
    assert_eq!(rule.next(i64::MAX), None);
    assert_eq!(rule.next(i64::MIN), Some(0));
}
