//! `matches: all` against its definition: all ways to choose rows of the log are tried one by one, each row of the log being
//! taken or not, and those are kept in which no waiter had to give up (section 1.7 of the specification).

use super::*;

/// One element of a flat pattern.
#[derive(Clone, Debug)]
struct Part {
    letter: char,
    min: u32,
    max: u32,
    /// No such row between its neighbours.
    not: bool,
    contiguity: Contiguity,
    inner: Contiguity,
    greedy: bool,
}

/// A choice of rows: those taken, each with its element.
type Choice = Vec<(usize, usize)>;

struct Definition<'a> {
    parts: &'a [Part],
    rows: &'a [(char, i64)],
    within: i64,
}

impl Definition<'_> {
    /// Elements that may take the next row, in order, with negations among them.
    fn reach(&self, choice: &Choice) -> Vec<usize> {
        let mut reach = Vec::new();
        let mut from = 0;
        if let Some((_, at)) = choice.last() {
            let taken = self.taken(choice, *at);
            if taken < self.parts[*at].max {
                reach.push(*at);
            }
            if taken < self.parts[*at].min {
                return reach;
            }
            from = at + 1;
        }
        for (index, part) in self.parts.iter().enumerate().skip(from) {
            reach.push(index);
            if !part.not && part.min > 0 {
                break;
            }
        }
        reach
    }

    fn taken(&self, choice: &Choice, at: usize) -> u32 {
        u32::try_from(choice.iter().filter(|(_, of)| *of == at).count()).unwrap()
    }

    fn fits(&self, row: usize, at: usize) -> bool {
        self.rows[row].0 == self.parts[at].letter
    }

    /// Whether a row may go by without being taken while an element waits.
    fn lets_pass(&self, choice: &Choice, row: usize, at: usize) -> bool {
        let hand = choice.last().is_some_and(|(_, last)| *last == at);
        let part = &self.parts[at];
        let kept = self
            .reach(choice)
            .into_iter()
            .find(|before| *before < at && self.parts[*before].greedy && self.fits(row, *before));
        // A greedy one that has been closed by a row before keeps nothing any more.
        if kept.is_some_and(|before| self.waits(choice, row, before)) {
            return false;
        }
        match if hand { part.inner } else { part.contiguity } {
            Contiguity::Strict => false,
            Contiguity::Relaxed => !self.fits(row, at),
            Contiguity::Any => true,
        }
    }

    /// Whether an element still waits when a row comes.
    fn waits(&self, choice: &Choice, row: usize, at: usize) -> bool {
        let after = choice.last().map_or(0, |(last, _)| last + 1);
        (after..row).all(|between| self.lets_pass(choice, between, at))
    }

    fn forbids(&self, choice: &Choice, row: usize) -> bool {
        let reach = self.reach(choice);
        reach
            .iter()
            .any(|at| self.parts[*at].not && self.fits(row, *at))
    }

    /// Whether an element takes a row after those chosen.
    fn takes(&self, choice: &Choice, row: usize, at: usize) -> bool {
        let Some((last, _)) = choice.last() else {
            return self.fits(row, at);
        };
        let broken = (last + 1..=row).any(|between| self.forbids(choice, between));
        let kept = self.reach(choice).into_iter().any(|before| {
            before < at
                && self.parts[before].greedy
                && self.fits(row, before)
                && self.waits(choice, row, before)
        });
        let in_time = self.rows[row].1 - self.rows[choice[0].0].1 <= self.within;
        in_time && !broken && !kept && self.fits(row, at) && self.waits(choice, row, at)
    }

    fn complete(&self, choice: &Choice) -> bool {
        let Some((_, at)) = choice.last() else {
            return false;
        };
        let rest = self.parts[at + 1..].iter();
        self.taken(choice, *at) >= self.parts[*at].min
            && rest.clone().all(|part| part.not || part.min == 0)
    }

    /// All matches whose last row is a given one: rows by number.
    fn all(&self) -> Vec<Vec<Vec<usize>>> {
        let mut by_row = vec![Vec::new(); self.rows.len()];
        let mut open: Vec<Choice> = vec![Vec::new()];
        while let Some(choice) = open.pop() {
            let from = choice.last().map_or(0, |(last, _)| last + 1);
            for (row, ends) in by_row.iter_mut().enumerate().skip(from) {
                for at in self.reach(&choice) {
                    let part = &self.parts[at];
                    if part.not || !self.takes(&choice, row, at) {
                        continue;
                    }
                    // The first row is taken by whatever fits, the greedy first.
                    let mut longer = choice.clone();
                    longer.push((row, at));
                    if self.complete(&longer) {
                        let rows: Vec<usize> = longer.iter().map(|(row, _)| *row).collect();
                        ends.push(rows);
                    }
                    open.push(longer);
                    if choice.is_empty() && part.greedy {
                        break;
                    }
                }
            }
        }
        for found in &mut by_row {
            found.sort();
        }
        by_row
    }

    /// What is told, given what a match drops.
    fn told(&self, drops: Drops) -> Vec<(Vec<i64>, i64)> {
        let mut told = Vec::new();
        let mut gone: Vec<usize> = Vec::new();
        for (row, found) in self.all().into_iter().enumerate() {
            let mut matched = false;
            for rows in found {
                let born = rows[0] == row;
                let blocked = drops == Drops::PastLast && matched && born;
                if gone.contains(&rows[0]) || blocked {
                    continue;
                }
                matched |= !born;
                match drops {
                    Drops::PastLast => gone.extend(0..=row),
                    Drops::SameFirst => gone.push(rows[0]),
                    _ => {}
                }
                let times = rows.iter().map(|row| self.rows[*row].1).collect();
                told.push((times, self.rows[row].1));
            }
            if matched && drops == Drops::PastLast {
                gone.push(row);
            }
        }
        told
    }
}

fn way() -> impl Strategy<Value = Contiguity> {
    prop::sample::select(vec![
        Contiguity::Relaxed,
        Contiguity::Relaxed,
        Contiguity::Any,
        Contiguity::Strict,
    ])
}

fn part() -> impl Strategy<Value = Part> {
    let letter = prop::sample::select(vec!['a', 'b', 'c']);
    let times = prop::sample::select(vec![(1, 1), (1, 1), (1, 2), (2, 3), (0, 1)]);
    let kind = (0..7_u8, prop::bool::weighted(0.2));
    (letter, times, kind, way(), way()).prop_map(
        |(letter, times, (kind, greedy), contiguity, inner)| Part {
            letter,
            min: if kind == 0 { 0 } else { times.0 },
            max: times.1,
            not: kind == 0,
            contiguity: if kind == 0 {
                Contiguity::Relaxed
            } else {
                contiguity
            },
            inner,
            greedy: greedy && kind > 0,
        },
    )
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    prop::collection::vec(part(), 1..5).prop_map(|mut parts| {
        parts[0].not = false;
        parts[0].min = parts[0].min.max(1);
        if let Some(last) = parts.last_mut() {
            last.not = false;
            last.min = last.min.max(1);
        }
        parts.dedup_by(|b, a| a.not && b.not);
        parts
    })
}

fn machine_of(parts: &[Part], within: i64, drops: Drops) -> Machine {
    let items = [Item::step('a')];
    let model = Model {
        items: &items,
        rows: &[],
        within,
        longest: false,
    };
    let mut machine = machine(&model, ways(Every::Row, true));
    let steps = parts.iter().zip(0_u16..).map(|(part, number)| {
        let test = u16::from(part.letter as u8 - b'a');
        let kind = if part.not {
            NodeKind::Between {
                test,
                on_break: OnBreak::End,
            }
        } else {
            NodeKind::Step {
                test: Some(test),
                until: None,
            }
        };
        let (min, max) = if part.not {
            (1, 1)
        } else {
            (part.min, part.max)
        };
        Node {
            greedy: part.greedy,
            contiguity: part.contiguity,
            inner: part.inner,
            ..node(kind, number, (min, max), false)
        }
    });
    machine.steps = steps.collect();
    machine.drops = drops;
    machine.all_ways = true;
    machine
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]
    #[test]
    fn all_ways_are_those_of_the_definition(
        parts in parts(),
        rows in rows(),
        within in 3..12_i64,
        drops in prop::sample::select(vec![Drops::Nothing, Drops::SameFirst, Drops::PastLast]),
    ) {
        let rows = &rows[..rows.len().min(11)];
        let definition = Definition { parts: &parts, rows, within };
        let expected = definition.told(drops);
        let found = run(&machine_of(&parts, within, drops), rows, limits(1_000));
        prop_assert_eq!(found.told, expected, "{:?} {:?} {:?}", parts, rows, drops);
        prop_assert_eq!(found.dropped, 0);
    }

    /// A step that is needed takes the same rows inside a group, an `and` or a group of itself.
    #[test]
    fn groups_change_nothing_about_all_ways(
        parts in parts(),
        rows in rows(),
        within in 3..12_i64,
        (from, count) in (1..4_usize, 1..3_usize),
    ) {
        let flat = machine_of(&parts, within, Drops::Nothing);
        let Some(inside) = flat.steps.get(from..from + count).map(<[Node]>::to_vec) else {
            return Ok(());
        };
        let ends = [inside.first(), inside.last()];
        let between = |node: &&Node| matches!(node.kind, NodeKind::Between { .. });
        if ends.iter().flatten().any(between) || inside.iter().all(|node| node.min == 0) {
            return Ok(());
        }
        let mut outer = node(NodeKind::Or(Vec::new()), inside[0].from, (1, 1), false);
        outer.to = inside[count - 1].to;
        outer.contiguity = inside[0].contiguity;
        let leads = inside.iter().position(|node| node.min > 0).unwrap_or_default();
        let mut inside = inside;
        for node in &mut inside[..=leads] {
            if node.contiguity != outer.contiguity {
                return Ok(());
            }
            node.lead = node.contiguity;
        }
        outer.kind = NodeKind::Group(inside);
        let mut nested = flat.clone();
        nested.steps.splice(from..from + count, [outer]);
        let expected = run(&flat, &rows, limits(1_000));
        let found = run(&nested, &rows, limits(1_000));
        prop_assert_eq!(found.told, expected.told, "{:?} {:?}", parts, rows);
    }
}

fn letters(rows: &[&str]) -> Vec<(char, i64)> {
    let row = |row: &&str| (row.chars().next().unwrap(), row[1..].parse().unwrap());
    rows.iter().map(row).collect()
}

fn plain(letter: char, times: (u32, u32), way: Contiguity) -> Part {
    Part {
        letter,
        min: times.0,
        max: times.1,
        not: false,
        contiguity: way,
        inner: way,
        greedy: false,
    }
}

#[test]
fn ways_beyond_the_limit_are_not_made_and_counted() {
    let parts = [
        plain('a', (1, 1), Contiguity::Any),
        plain('b', (1, 9), Contiguity::Any),
        plain('c', (1, 1), Contiguity::Any),
    ];
    let rows = letters(&["a0", "b1", "b2", "b3", "c4"]);
    let machine = machine_of(&parts, 100, Drops::Nothing);
    let few = KeyLimits {
        ways: 4,
        ..limits(10)
    };
    let all = run(&machine, &rows, limits(10));
    assert_eq!((all.told.len(), all.dropped), (7, 0));
    let found = run(&machine, &rows, few);
    // a; a b1; a b2; a b1 b2: the four that there is room for.
    let told: Vec<_> = found.told.iter().map(|(rows, _)| rows.clone()).collect();
    assert_eq!(told, [vec![0, 1, 2, 4], vec![0, 1, 4], vec![0, 2, 4]]);
    assert_eq!(found.dropped, 4);
}

#[test]
fn an_attempt_whose_ways_hold_too_many_rows_is_dropped() {
    let parts = [
        plain('a', (1, 1), Contiguity::Any),
        plain('b', (1, 9), Contiguity::Any),
        plain('c', (1, 1), Contiguity::Any),
    ];
    let rows = letters(&["a0", "b1", "b2", "b3", "a4", "b5", "c6"]);
    let machine = machine_of(&parts, 100, Drops::Nothing);
    let few = KeyLimits {
        rows: 10,
        ..limits(10)
    };
    let found = run(&machine, &rows, few);
    assert_eq!(found.told, [(vec![4, 5, 6], 6)]);
    assert_eq!(found.dropped, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]
    /// Where a match drops nothing, those that wait for older attempts are the same ones later, by age.
    #[test]
    fn held_matches_are_those_of_every_attempt_by_age(
        parts in parts(),
        rows in rows(),
        within in 3..12_i64,
        all_ways in any::<bool>(),
    ) {
        let mut free = machine_of(&parts, within, Drops::Nothing);
        free.all_ways = all_ways;
        let mut held = free.clone();
        held.holds = true;
        let mut expected = run(&free, &rows, limits(1_000)).told;
        let found = run(&held, &rows, limits(1_000)).told;
        let firsts: Vec<i64> = found.iter().map(|(rows, _)| rows[0]).collect();
        prop_assert!(firsts.is_sorted(), "{:?} {:?}: {:?}", parts, rows, found);
        // Of one attempt those that completed at one row by their rows, otherwise as they completed.
        expected.sort_by_key(|(rows, at)| (rows[0], *at));
        let mut by_time = found;
        by_time.sort_by_key(|(rows, at)| (rows[0], *at));
        let sorted = |mut told: Vec<(Vec<i64>, i64)>| {
            told.sort();
            told
        };
        prop_assert_eq!(sorted(by_time), sorted(expected), "{:?} {:?}", parts, rows);
    }

    /// With `waiting: one` no two attempts wait at one element, the older ones stay, and what is told is told without it.
    #[test]
    fn one_attempt_waits_at_an_element(
        parts in parts(),
        rows in rows(),
        within in 3..12_i64,
    ) {
        let mut many = machine_of(&parts, within, Drops::Nothing);
        many.all_ways = false;
        let mut one = many.clone();
        one.one_waits = true;
        let mut key = Key::default();
        let mut scene = Letters::default();
        for row in &rows {
            scene.now = *row;
            key.time(&one, row.1, limits(1_000), &mut scene);
            key.row(&one, row.1, limits(1_000), &mut scene);
            let mut places: Vec<usize> =
                key.attempts().iter().map(|attempt| attempt.waits_for(&one)).collect();
            places.sort_unstable();
            let count = places.len();
            places.dedup();
            prop_assert_eq!(places.len(), count, "{:?} {:?}", parts, rows);
        }
        let all = run(&many, &rows, limits(1_000)).told;
        prop_assert!(scene.told.iter().all(|told| all.contains(told)), "{:?} {:?}", parts, rows);
    }
}
