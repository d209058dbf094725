//! The machine against a naive model written apart from it: for short patterns of letters the model looks at every way to
//! choose rows and takes the one that the specification names.

mod again;
mod model;
mod nested;
mod ways;

use std::collections::BTreeSet;

use proptest::prelude::*;
use tidegate_proto::pattern::{Contiguity, OnBreak, Reuse};

use super::{
    Alias, Attempt, AttemptEnd, Copies, Drops, Fit, Found, Key, KeyLimits, Machine, Node, NodeKind,
    Scene, Taken, TakenRow, Test,
};
use again::{Again, Every, Ways};
use model::{Item, Model, What};

/// Rows are letters: test N fits letter N.
#[derive(Debug, Default)]
struct Letters {
    now: (char, i64),
    told: Vec<(Vec<i64>, i64)>,
    dropped: usize,
    /// Numbers of the attempts that were said to have ended.
    ended: BTreeSet<u64>,
    /// Attempts that have rows and live.
    living: BTreeSet<u64>,
}

impl Letters {
    /// An attempt that is gone was said to have ended.
    fn settle(&mut self, key: &Key) {
        let all: BTreeSet<u64> = key.attempts().iter().map(|one| one.made).collect();
        let gone: Vec<_> = self.living.difference(&all).copied().collect();
        assert!(
            gone.iter().all(|made| self.ended.contains(made)),
            "{gone:?}"
        );
        let begun = key.attempts().iter().filter(|one| !one.rows.is_empty());
        self.living = begun.map(|one| one.made).collect();
    }
}

impl Scene for Letters {
    fn turn(&mut self) {}
    fn fit(&mut self, test: Test, _: &[Taken]) -> Fit {
        let wanted = char::from(b'a' + u8::try_from(test).unwrap());
        if self.now.0 == wanted {
            Fit::Yes
        } else {
            Fit::No
        }
    }
    fn keep(&self, _: Alias) -> TakenRow {
        TakenRow {
            time: self.now.1,
            event: Default::default(),
            values: Default::default(),
        }
    }
    fn matched(&mut self, found: &Found<'_>) -> bool {
        let rows = found.rows.iter().filter(|taken| taken.row.is_some());
        self.told
            .push((rows.map(|taken| taken.at).collect(), found.at));
        true
    }
    fn dropped(&mut self) {
        self.dropped += 1;
    }
    fn dropped_way(&mut self) {
        self.dropped += 1;
    }
    fn ended(&mut self, attempt: &Attempt, _: AttemptEnd, _: i64) {
        self.ended.insert(attempt.made);
    }
}

fn node(kind: NodeKind, number: u16, (min, max): (u32, u32), strict: bool) -> Node {
    let way = if strict {
        Contiguity::Strict
    } else {
        Contiguity::Relaxed
    };
    Node {
        kind,
        min,
        max,
        greedy: false,
        contiguity: way,
        lead: way,
        inner: Contiguity::Relaxed,
        within: 0,
        from: number,
        to: number + 1,
    }
}

fn ways(every: Every, keeps: bool) -> Ways {
    Ways {
        every,
        keeps,
        broken: true,
        matched: false,
        after_break: true,
        after_expiry: true,
    }
}

fn machine(model: &Model<'_>, ways: Ways) -> Machine {
    let Model {
        items,
        within,
        longest,
        ..
    } = *model;
    let steps = items.iter().zip(0_u16..).map(|(item, number)| {
        let test = u16::from(item.letter as u8 - b'a');
        let kind = match item.what {
            What::Step => NodeKind::Step {
                test: Some(test),
                until: None,
            },
            What::Not => NodeKind::Between {
                test,
                on_break: OnBreak::End,
            },
            What::Absence(lasts) => NodeKind::Absence {
                test,
                lasts,
                on_break: OnBreak::End,
            },
        };
        node(kind, number, (item.min, item.max), item.strict)
    });
    Machine {
        steps: steps.collect(),
        within,
        exclusive: false,
        copies: match ways.every {
            Every::Row => Copies::Rows,
            Every::Span(from, to) => Copies::Span { from, to },
            Every::All => Copies::Span {
                from: 0,
                to: items.len(),
            },
            Every::Never => Copies::Never,
        },
        begins: None,
        born_waiting: false,
        drops: if ways.keeps {
            Drops::Nothing
        } else {
            Drops::PastLast
        },
        reuse: Reuse {
            broken: ways.broken,
            matched: ways.matched,
        },
        after_break: ways.after_break,
        after_expiry: ways.after_expiry,
        longest,
        ends_in_not: items.last().is_some_and(|item| item.what == What::Not),
        tell_timeout: false,
        all_ways: false,
        one_waits: false,
        holds: false,
    }
}

fn limits(attempts: usize) -> KeyLimits {
    KeyLimits {
        attempts,
        rows: 10_000,
        ways: 1_000,
    }
}

fn run(machine: &Machine, rows: &[(char, i64)], limits: KeyLimits) -> Letters {
    let mut key = Key::default();
    let mut scene = Letters::default();
    for row in rows {
        scene.now = *row;
        key.time(machine, row.1, limits, &mut scene);
        scene.settle(&key);
        key.row(machine, row.1, limits, &mut scene);
        scene.settle(&key);
        // What a snapshot keeps is all there is.
        let bytes = postcard::to_stdvec(&key).unwrap();
        key = postcard::from_bytes(&bytes).unwrap();
    }
    key.time(machine, 1_000_000, limits, &mut scene);
    scene.settle(&key);
    scene
}

fn item() -> impl Strategy<Value = Item> {
    let letter = prop::sample::select(vec!['a', 'b', 'c']);
    let times = prop::sample::select(vec![(1, 1), (1, 1), (1, 2), (2, 3), (0, 1)]);
    let kind = (0..8_u8, 1..5_i64, any::<bool>());
    (letter, times, kind).prop_map(|(letter, times, (kind, lasts, strict))| match kind {
        0 => Item::other(letter, What::Not),
        1 => Item::other(letter, What::Absence(lasts)),
        _ => Item {
            letter,
            what: What::Step,
            min: times.0,
            max: times.1,
            strict: strict && kind < 4,
        },
    })
}

/// Patterns that begin with a step that is needed; two negations do not follow each other.
fn items() -> impl Strategy<Value = Vec<Item>> {
    prop::collection::vec(item(), 1..5).prop_map(|mut items| {
        items[0].what = What::Step;
        items[0].min = items[0].min.max(1);
        items[0].max = items[0].max.max(items[0].min);
        items.dedup_by(|b, a| a.what != What::Step && b.what != What::Step);
        items
    })
}

fn rows() -> impl Strategy<Value = Vec<(char, i64)>> {
    let row = (prop::sample::select(vec!['a', 'b', 'c', 'd']), 0..4_i64);
    prop::collection::vec(row, 0..14).prop_map(|rows| {
        let mut now = 0;
        let mut out = Vec::new();
        for (letter, step) in rows {
            now += step;
            out.push((letter, now));
        }
        out
    })
}

fn cases() -> u32 {
    let written = std::env::var("PROPTEST_CASES").ok();
    written
        .and_then(|count| count.parse().ok())
        .unwrap_or(2_000)
}

fn every() -> impl Strategy<Value = (u8, usize, usize)> {
    (0..5_u8, 0..4_usize, 0..4_usize)
}

/// A span of elements that are there; one that does not begin in front begins with a step that any later row may be.
fn span((kind, from, to): (u8, usize, usize), items: &mut [Item]) -> Every {
    match kind {
        0 => Every::Row,
        1 => Every::All,
        2 => Every::Never,
        3 => Every::Span(0, 0),
        _ => {
            let to = to % items.len();
            let from = from.min(to);
            let steps = items[from].what == What::Step && items[from].min > 0;
            let from = if steps { from } else { 0 };
            items[from].strict = false;
            let end = items.len();
            Every::Span(from, if to + 1 == end { end } else { to })
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]
    #[test]
    fn the_machine_finds_what_the_model_finds(
        mut items in items(),
        rows in rows(),
        within in 3..12_i64,
        (every, longest) in (every(), any::<bool>()),
        (keeps, broken, matched) in (any::<bool>(), any::<bool>(), any::<bool>()),
        (after_break, after_expiry) in (prop::bool::weighted(0.8), prop::bool::weighted(0.8)),
    ) {
        let every = span(every, &mut items);
        let ways = Ways { every, keeps, broken, matched, after_break, after_expiry };
        let model = Model { items: &items, rows: &rows, within, longest };
        let found = run(&machine(&model, ways), &rows, limits(1_000));
        let expected = Again::matches(&model, ways);
        prop_assert_eq!(found.told, expected, "{:?} {:?}", ways, model);
    }
}

#[test]
fn the_oldest_attempt_is_dropped_when_there_are_too_many() {
    let items = [Item::step('a'), Item::step('b')];
    let rows = [('a', 0), ('a', 1), ('a', 2), ('b', 3)];
    let model = Model {
        items: &items,
        rows: &rows,
        within: 100,
        longest: false,
    };
    let machine = machine(&model, ways(Every::Row, true));
    let found = run(&machine, &rows, limits(2));
    assert_eq!(found.told, [(vec![1, 3], 3), (vec![2, 3], 3)]);
    assert_eq!(found.dropped, 1);
}

#[test]
fn a_key_goes_on_after_an_attempt_of_too_many_rows() {
    let many = Item {
        max: 10,
        ..Item::step('a')
    };
    let items = [many, Item::step('b')];
    let rows = ["a0", "a1", "a2", "b3", "a4", "b5"];
    let rows = rows.map(|row| (row.chars().next().unwrap(), row[1..].parse().unwrap()));
    let model = Model {
        items: &items,
        rows: &rows,
        within: 100,
        longest: false,
    };
    let most = KeyLimits {
        attempts: 10,
        rows: 2,
        ways: 1,
    };
    let found = run(&machine(&model, ways(Every::All, false)), &rows, most);
    assert_eq!(found.told, [(vec![4, 5], 5)]);
    assert_eq!(found.dropped, 1);
}

#[test]
fn attempts_that_begin_when_the_last_is_done_are_not_without_bound() {
    let items = [Item::step('a'), Item::step('b')];
    let rows: Vec<_> = (0..50).map(|time| ('a', time)).collect();
    let model = Model {
        items: &items,
        rows: &rows,
        within: 100,
        longest: false,
    };
    let found = run(
        &machine(&model, ways(Every::Span(0, 0), true)),
        &rows,
        limits(10),
    );
    assert_eq!(found.dropped, 41);
}
