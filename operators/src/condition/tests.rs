//! Conditions over time with the numbers of the specification, and against a plain model of single ms.

use proptest::prelude::*;
use tidegate_proto::{EventRef, Severity};

use super::*;

const T: Option<bool> = Some(true);
const F: Option<bool> = Some(false);

/// Truths of one level: `when` and `clear`.
type Truths = (Option<bool>, Option<bool>);

fn one(level: LevelRules) -> Rules {
    Rules {
        levels: vec![level],
        ..Rules::default()
    }
}

fn hold(hold: i64) -> LevelRules {
    LevelRules {
        hold,
        ..LevelRules::default()
    }
}

/// Short text of what was told.
fn text(told: &Told) -> String {
    let level = told.level.map_or(String::new(), |level| level.to_string());
    match told.note {
        Note::Plain => format!("{} {} {level}", told.time, told.kind),
        Note::Again(count) => format!("{} again {count}", told.time),
        Note::Flapping(flaps) => format!("{} flapping {flaps}", told.time),
        Note::Schedule => format!("{} {} schedule", told.time, told.kind),
    }
}

/// Judgements with the watermark at each time; ends with the watermark at `until`.
fn run(rules: &Rules, rows: &[(i64, &[Truths])], until: i64) -> Vec<String> {
    let mut task = Task::default();
    let mut told = Vec::new();
    for (time, truths) in rows {
        task.wake(rules, *time, &mut told);
        let judgement = Judgement {
            time: *time,
            truths,
            presence: Presence::Active,
            row: &|| Some(EventRef::default()),
        };
        task.judge(rules, &judgement, &mut told);
        task = postcard::from_bytes(&postcard::to_allocvec(&task).unwrap()).unwrap();
        task.wake(rules, *time, &mut told);
    }
    task.wake(rules, until, &mut told);
    told.iter().map(text).collect()
}

fn plain(rules: &Rules, rows: &[(i64, Option<bool>, Option<bool>)], until: i64) -> Vec<String> {
    let truths: Vec<(i64, [Truths; 1])> = rows.iter().map(|(t, w, c)| (*t, [(*w, *c)])).collect();
    let rows: Vec<(i64, &[Truths])> = truths.iter().map(|(t, row)| (*t, row.as_slice())).collect();
    run(rules, &rows, until)
}

#[test]
fn hold_of_the_specification() {
    let rules = one(hold(120_000));
    assert_eq!(
        plain(&rules, &[(0, T, None), (120_000, F, None)], 120_000),
        ["120000 raised 0", "120000 cleared 0"]
    );
    let broken = [(0, T, None), (119_999, F, None)];
    assert_eq!(plain(&rules, &broken, 600_000), [""; 0]);
    // Unknown neither breaks nor begins a run.
    let unknown = [(0, T, None), (60_000, None, None)];
    assert_eq!(plain(&rules, &unknown, 120_000), ["120000 raised 0"]);
}

#[test]
fn clear_is_read_only_while_raised_and_holds_too() {
    let rules = one(LevelRules {
        clear: true,
        clear_hold: 30,
        ..LevelRules::default()
    });
    let rows = [
        (0, T, T),
        (10, T, T),
        (20, F, F),
        (30, F, T),
        (50, T, None),
        (60, T, T),
        (61, T, F),
    ];
    assert_eq!(
        plain(&rules, &rows, 500),
        ["0 raised 0", "60 cleared 0", "60 raised 0"]
    );
}

#[test]
fn hold_and_default_clear_run_on_the_dampened_condition() {
    let rules = one(LevelRules {
        dampen: Some((2, 3)),
        hold: 5,
        ..LevelRules::default()
    });
    let rows = [(0, T), (1, F), (2, T), (4, T), (8, T), (9, F)];
    let rows: Vec<_> = rows.iter().map(|(t, when)| (*t, *when, None)).collect();
    // T F T is true at 2; the hold ends at 7; the first false clears.
    assert_eq!(plain(&rules, &rows, 99), ["7 raised 0", "9 cleared 0"]);
}

fn levels() -> Rules {
    let level = |severity, hold| LevelRules {
        severity: Some(severity),
        hold,
        ..LevelRules::default()
    };
    Rules {
        levels: vec![level(Severity::Critical, 0), level(Severity::Minor, 10)],
        ..Rules::default()
    }
}

/// Rows of two levels whose truth is `when` alone.
fn two(rows: &[(i64, bool, bool)]) -> Vec<(i64, [Truths; 2])> {
    let row = |(time, a, b): &(i64, bool, bool)| (*time, [(Some(*a), None), (Some(*b), None)]);
    rows.iter().map(row).collect()
}

fn run_two(rules: &Rules, rows: &[(i64, bool, bool)], until: i64) -> Vec<String> {
    let rows = two(rows);
    let rows: Vec<(i64, &[Truths])> = rows.iter().map(|(t, row)| (*t, row.as_slice())).collect();
    run(rules, &rows, until)
}

#[test]
fn levels_tell_one_line_for_the_net_change() {
    let rows = [
        (0, false, true),
        (15, true, true),
        (20, true, false),
        (25, false, true),
        (40, false, false),
    ];
    assert_eq!(
        run_two(&levels(), &rows, 99),
        [
            "10 raised 1",
            "15 updated 0",
            "25 cleared 0",
            "35 raised 1",
            "40 cleared 1",
        ]
    );
    let never_lower = Rules {
        never_lower: true,
        ..levels()
    };
    let rows = [
        (0, false, true),
        (15, true, true),
        (20, false, true),
        (40, false, false),
    ];
    let falls = run_two(&levels(), &rows, 99);
    assert_eq!(
        falls,
        [
            "10 raised 1",
            "15 updated 0",
            "20 updated 1",
            "40 cleared 1"
        ]
    );
    let stays = run_two(&never_lower, &rows, 99);
    assert_eq!(stays, ["10 raised 1", "15 updated 0", "40 cleared 0"]);
}

#[test]
fn a_repeat_counts_from_the_last_change_of_severity() {
    let rules = Rules {
        again: 10,
        ..levels()
    };
    let rows = [(0, false, true), (35, true, true), (50, false, false)];
    assert_eq!(
        run_two(&rules, &rows, 99),
        [
            "10 raised 1",
            "20 again 1",
            "30 again 2",
            "35 updated 0",
            "45 again 1",
            "50 cleared 0",
        ]
    );
}

#[test]
fn flapping_hides_what_comes_and_goes_and_tells_the_rest_at_its_end() {
    let rules = Rules {
        flapping: Some(Flapping {
            changes: 3,
            within: 100,
            until: 1,
        }),
        ..one(LevelRules::default())
    };
    let rows = [(0, T), (10, F), (20, T), (30, F), (40, T)];
    let rows: Vec<_> = rows.iter().map(|(t, when)| (*t, *when, None)).collect();
    // The third transition begins it and is hidden; of 20, 30, 40 one is left at 130, and it is raised then.
    assert_eq!(
        plain(&rules, &rows, 500),
        [
            "0 raised 0",
            "10 cleared 0",
            "20 flapping true",
            "130 flapping false",
            "130 raised 0",
        ]
    );
    // The same, but calm at the end: nothing more to tell.
    assert_eq!(
        plain(&rules, &rows[..4], 500)[2..],
        ["20 flapping true", "120 flapping false"]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn levels_follow_a_plain_model(
        rows in prop::collection::vec((0_i64..6, any::<bool>(), any::<bool>()), 1..30),
        holds in (0_i64..5, 0_i64..5), never_lower in any::<bool>(), again in 0_i64..6,
    ) {
        let mut time = 0;
        let rows: Vec<(i64, bool, bool)> = rows.iter().map(|(step, a, b)| { time += step + 1; (time, *a, *b) }).collect();
        let mut rules = Rules { never_lower, again, ..levels() };
        rules.levels[0].hold = holds.0;
        rules.levels[1].hold = holds.1;
        let end = time + 20;
        // Every ms: first what waited, then the row.
        let mut since: [Option<i64>; 2] = [None; 2];
        let mut raised = [false; 2];
        let (mut told, mut stands): (Option<usize>, Option<usize>) = (None, None);
        let (mut base, mut repeats) = (0, 0);
        let mut expected = Vec::new();
        let mut net = |now: i64, raised: [bool; 2], told: &mut Option<usize>, base: &mut i64, repeats: &mut i64, out: &mut Vec<String>| {
            let worst = raised.iter().position(|raised| *raised);
            stands = match (worst, stands) {
                (Some(new), Some(old)) if never_lower => Some(new.min(old)),
                _ => worst,
            };
            let word = match (*told, stands) {
                (None, Some(_)) => "raised",
                (Some(_), None) => "cleared",
                (Some(old), Some(new)) if old != new => "updated",
                _ => return,
            };
            out.push(format!("{now} {word} {}", stands.or(*told).unwrap()));
            (*told, *base, *repeats) = (stands, now, 0);
        };
        for now in 0..=end {
            let hold = [holds.0, holds.1];
            for level in 0..2 {
                if hold[level] > 0 && since[level].is_some_and(|since| now - since == hold[level]) {
                    raised[level] = true;
                }
            }
            net(now, raised, &mut told, &mut base, &mut repeats, &mut expected);
            if again > 0 && told.is_some() && now == base + (repeats + 1) * again {
                repeats += 1;
                expected.push(format!("{now} again {repeats}"));
            }
            let Some(row) = rows.iter().find(|row| row.0 == now) else { continue };
            for (level, truth) in [row.1, row.2].into_iter().enumerate() {
                if !truth {
                    (since[level], raised[level]) = (None, false);
                } else if since[level].is_none() {
                    since[level] = Some(now);
                    raised[level] = hold[level] == 0;
                }
            }
            net(now, raised, &mut told, &mut base, &mut repeats, &mut expected);
        }
        prop_assert_eq!(run_two(&rules, &rows, end), expected);
    }
}
