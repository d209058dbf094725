//! Joins against models that look at every pair.

use proptest::prelude::*;
use tidegate_proto::{Direction, EventRef, JoinKind, JoinWithin, Span};

use super::{Coming, Findings, JoinKey, JoinRow, JoinRules, Joined};

/// A row as the models see it.
#[derive(Clone, Copy, Debug)]
struct Plain {
    left: bool,
    key: u32,
    time: i64,
    number: u64,
    water: i64,
}

/// Left, right, time.
type Told = (Option<u64>, Option<u64>, i64);

fn rows(raw: &[(bool, u32, i64)], disorder: i64) -> Vec<Plain> {
    let mut latest = i64::MIN / 2;
    (1..)
        .zip(raw)
        .map(|(number, (left, key, shift))| {
            let time = i64::try_from(number).unwrap() * 3 + shift;
            latest = latest.max(time);
            Plain {
                left: *left,
                key: *key,
                time,
                number,
                water: latest - disorder,
            }
        })
        .collect()
}

fn interval(kind: JoinKind, before: i64, after: i64, eager: bool) -> JoinRules {
    JoinRules {
        kind,
        within: JoinWithin::Interval { before, after },
        eager,
        own_pairs: false,
        lateness: 0,
        ordered: false,
        most: 1000,
    }
}

/// Runs rows through a join; restores it after every third.
fn run(rules: &JoinRules, rows: &[Plain]) -> (Vec<Told>, Vec<u64>) {
    let mut joined = Joined::default();
    let mut found = Findings::default();
    for row in rows {
        joined.pass(rules, row.water, 0, &mut found);
        let coming = Coming {
            left: row.left,
            water: row.water,
            record: 0,
            window: Some((row.time.div_euclid(7) * 7, row.time.div_euclid(7) * 7 + 9)),
        };
        let of = JoinRow {
            time: row.time,
            number: row.number,
            resource: row.key,
            event: EventRef::default(),
            values: Vec::new(),
            all: Vec::new(),
        };
        let key = JoinKey::Resource(row.key);
        joined.take(rules, (key, of), coming, &mut found);
        if row.number % 3 == 0 {
            let bytes = postcard::to_allocvec(&joined).unwrap();
            joined = postcard::from_bytes(&bytes).unwrap();
        }
    }
    joined.pass(rules, i64::MAX, 0, &mut found);
    assert_eq!(joined.deadline(), i64::MAX);
    let number = |row: &Option<std::sync::Arc<JoinRow>>| row.as_ref().map(|row| row.number);
    assert_eq!(joined.rows(), if asof(rules) { joined.rows() } else { 0 });
    let mut told: Vec<Told> = Vec::new();
    for pair in &found.pairs {
        let line = (number(&pair.left), number(&pair.right), pair.time);
        if pair.back {
            // Only what was told is taken back.
            let at = told.iter().position(|known| *known == line).unwrap();
            told.remove(at);
        } else {
            told.push(line);
        }
    }
    told.sort_unstable();
    let late = found.late.iter().map(|(_, row, _)| row.number).collect();
    (told, late)
}

const fn asof(rules: &JoinRules) -> bool {
    matches!(rules.within, JoinWithin::AsOf { .. })
}

/// What is left in the end of windows: every pair of rows that came in time, and those of them that are in none.
fn window_model(
    rules: &JoinRules,
    window: &dyn Fn(&Plain) -> (i64, i64),
    rows: &[Plain],
) -> Vec<Told> {
    let good = rows
        .iter()
        .filter(|row| window(row).1 + rules.lateness > row.water);
    let good: Vec<&Plain> = good.collect();
    let partners =
        |a: &Plain, b: &Plain| a.key == b.key && window(a) == window(b) && a.left != b.left;
    let mut told = Vec::new();
    for row in &good {
        let others = good.iter().filter(|other| partners(row, other));
        if others.clone().count() == 0 && rules.kind.keeps(row.left) {
            let number = Some(row.number);
            let (left, right) = if row.left {
                (number, None)
            } else {
                (None, number)
            };
            told.push((left, right, window(row).1));
        }
        let pairs = others.filter(|_| row.left);
        told.extend(pairs.map(|other| (Some(row.number), Some(other.number), window(row).1)));
    }
    told.sort_unstable();
    told
}

/// Every pair is looked at; a row waits until time has passed the last partner on time.
fn model(rules: &JoinRules, (before, after): (i64, i64), rows: &[Plain]) -> (Vec<Told>, Vec<u64>) {
    let over = |row: &Plain| row.time + if row.left { after } else { before };
    let late: Vec<u64> = rows
        .iter()
        .filter(|r| over(r) < r.water)
        .map(|r| r.number)
        .collect();
    let good: Vec<&Plain> = rows.iter().filter(|r| !late.contains(&r.number)).collect();
    let mut told = Vec::new();
    for row in &good {
        let mut met = false;
        let mut met_at_once = false;
        for other in good
            .iter()
            .filter(|o| o.left != row.left && o.key == row.key)
        {
            let (first, second) = if row.number < other.number {
                (row, other)
            } else {
                (other, row)
            };
            // The first one has to be there still when the second comes.
            if over(first) < second.water {
                continue;
            }
            let (left, right) = if row.left { (row, other) } else { (other, row) };
            if left.time - before <= right.time && right.time <= left.time + after {
                met = true;
                met_at_once |= other.number < row.number;
                if row.left {
                    told.push((
                        Some(left.number),
                        Some(right.number),
                        left.time.max(right.time),
                    ));
                }
            }
        }
        let alone = if rules.eager { !met_at_once } else { !met };
        if alone && rules.kind.keeps(row.left) {
            told.push(if row.left {
                (Some(row.number), None, row.time)
            } else {
                (None, Some(row.number), row.time)
            });
        }
    }
    told.sort_unstable();
    (told, late)
}

fn asof_model(rules: &JoinRules, rows: &[Plain]) -> Vec<Told> {
    let JoinWithin::AsOf {
        tolerance,
        direction,
        strict,
    } = rules.within
    else {
        return Vec::new();
    };
    let tolerance = tolerance.map_or(i64::MAX, |span| span.0);
    let mut told = Vec::new();
    for left in rows.iter().filter(|row| row.left) {
        let near = |other: &&Plain| {
            !other.left
                && other.key == left.key
                && (other.time - left.time).abs() <= tolerance
                && !(strict && other.time == left.time)
        };
        let before = rows
            .iter()
            .filter(near)
            .filter(|o| o.time <= left.time)
            .max_by_key(|o| (o.time, o.number));
        let behind = rows
            .iter()
            .filter(near)
            .filter(|o| o.time >= left.time)
            .min_by_key(|o| (o.time, o.number));
        let partner = match direction {
            Direction::Backward => before,
            Direction::Forward => behind,
            Direction::Nearest => match (before, behind) {
                (Some(a), Some(b)) if left.time - a.time <= b.time - left.time => Some(a),
                (Some(_), Some(b)) => Some(b),
                (a, b) => a.or(b),
            },
        };
        told.push((Some(left.number), partner.map(|row| row.number), left.time));
    }
    told.sort_unstable();
    told
}

fn kinds() -> impl Strategy<Value = JoinKind> {
    prop_oneof![
        Just(JoinKind::Inner),
        Just(JoinKind::Left),
        Just(JoinKind::Right),
        Just(JoinKind::Full)
    ]
}

proptest! {
    #[test]
    fn an_interval_join_says_what_looking_at_every_pair_says(
        raw in proptest::collection::vec((any::<bool>(), 0..3_u32, -12..12_i64), 1..80),
        before in -6..12_i64, more in 0..12_i64, disorder in 0..20_i64,
        kind in kinds(), eager in any::<bool>()
    ) {
        let after = more - before;
        let rules = interval(kind, before, after, eager);
        let rows = rows(&raw, disorder);
        prop_assert_eq!(run(&rules, &rows), model(&rules, (before, after), &rows));
    }

    #[test]
    fn a_window_join_says_in_the_end_what_looking_at_every_pair_says(
        raw in proptest::collection::vec((any::<bool>(), 0..3_u32, -12..12_i64), 1..80),
        disorder in 0..20_i64, lateness in 0..15_i64, kind in kinds(), same in any::<bool>()
    ) {
        let tumbling = JoinWithin::Window { size: Span(10), offset: 3, latest: false };
        let within = if same { JoinWithin::Same } else { tumbling };
        let rules = JoinRules { within, lateness, ..interval(kind, 0, 0, false) };
        let rows = rows(&raw, disorder);
        let window = |row: &Plain| {
            let start = (row.time - 3).div_euclid(10) * 10 + 3;
            let of = row.time.div_euclid(7) * 7;
            if same { (of, of + 9) } else { (start, start + 10) }
        };
        prop_assert_eq!(run(&rules, &rows).0, window_model(&rules, &window, &rows));
    }

    #[test]
    fn an_as_of_join_says_what_looking_at_every_row_says(
        raw in proptest::collection::vec((any::<bool>(), 0..3_u32, 0..1_i64, 0..4_i64), 1..80),
        tolerance in 0..20_i64, endless in any::<bool>(), strict in any::<bool>(), way in 0..3_usize
    ) {
        let direction = [Direction::Backward, Direction::Forward, Direction::Nearest][way];
        let open = endless && direction == Direction::Backward;
        let rules = JoinRules {
            within: JoinWithin::AsOf { tolerance: (!open).then_some(Span(tolerance)), direction, strict },
            ordered: true,
            ..interval(JoinKind::Left, 0, 0, false)
        };
        // Rows in row order, each with the time that the one before it left.
        let mut time = 0;
        let rows: Vec<Plain> = (1..).zip(&raw).map(|(number, (left, key, _, step))| {
            time += step;
            Plain { left: *left, key: *key, time, number, water: time }
        }).collect();
        prop_assert_eq!(run(&rules, &rows).0, asof_model(&rules, &rows));
    }
}

#[test]
fn the_oldest_row_is_let_go_when_too_many_wait() {
    let rules = JoinRules {
        most: 2,
        ..interval(JoinKind::Left, 0, 1_000, false)
    };
    let raw = [(true, 0, 0), (true, 0, 0), (true, 0, 0), (false, 0, 0)];
    let (told, _) = run(&rules, &rows(&raw, 0));
    assert_eq!(
        told,
        [
            (Some(1), None, 3),
            (Some(2), Some(4), 12),
            (Some(3), Some(4), 12)
        ]
    );
}
