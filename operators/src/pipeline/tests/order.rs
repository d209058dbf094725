//! The law of `order: time`, of patterns and of windows: any arrival order within `disorder` gives the same answer.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidegate_proto::{Document, Rule, Traits, document};

use super::{Event, World, event};

/// How far rows are out of order, in ms: a little less than the engine's default.
const DISORDER: i64 = 4_999;

/// Rules by number, with limits of their own.
const RULES: [&str; 28] = [
    "for: all\norder: time\nwhen: a > {x} && b > {y}",
    "for: all\norder: time\nwhere: b > {y}\nwhen: avg(a, \"4s\") > {x}\nhold: 2s",
    "for: all\norder: time\nwhen: a > prev(a) && count(b, \"6s\") > 1\nclear: b < {y}\nclear_hold: 1s",
    "for: all\norder: time\nwhen: stale(c, \"9s\") || held(a > {x}, \"3s\")",
    "for: all\norder: time\nwhen: n_of_m(a > b, 2, 3) || ewma(a, \"3s\") > {x}",
    "for: all\norder: time\nwhen: count(\"4s\") > 2 && collect(c, \"6s\", \"nulls\").len() > 1",
    "for: all\norder: time\nlevels:\n  - { severity: MAJOR, when: a > {x}, hold: 1s }\n  - { severity: MINOR, when: b > {y}, dampen: { of: [2, 3] } }",
    "for: all\npattern:\n  within: 8s\n  steps: [ { p: a > {x} }, { not: c > 5 }, { q: \"b > {y} && a < 9\" } ]",
    "for: all\nwhere: c != {x}\npattern:\n  within: 20s\n  after_match: none\n  steps: [ { p: { where: a > {x}, max: 3 } }, { not: b > {y}, for: 2s }, { q: c > p[-1].a - 4 } ]",
    "for: all\npattern:\n  within: 6s\n  report: longest\n  on_timeout: emit\n  rows: all\n  steps: [ { p: a > {x} }, { or: [ { q: b > {y} }, { not: b > 2, for: 2s } ] }, { r: { where: a > 2, max: 4, contiguity: strict } } ]",
    "for: all\nwhere: b > {y}\nwindow: { tumbling: 5s }\nemit: { n: count(a), sum: sum(a), c: c }",
    "for: all\nwindow: { tumbling: 5s }\nby: { key: c }\nemit: { n: count(a), sum: sum(a, b > {y}) }",
    "for: all\nwindow: { hopping: { size: 6s, every: 2s } }\nemit: { n: count_if(a > b), twa: twa(a), all: collect(a) }",
    "for: all\nwhere: c > {x}\nwindow: { sliding: 4s }\nemit: { n: count(a), is: last(b) }",
    "for: all\nwhere: b > {y}\nwindow: { session: { gap: 2s, max: 9s } }\nby: { key: c }\nemit: { sum: sum(a) }",
    "for: all\nwindow: { state: { start: \"a > b\", true_for: 1s, max: 8s } }\nemit: { n: count(a), low: min(b), c: c }",
    "for: all\nwindow: { state: { of: c } }\nemit: { n: count(a), sum: sum(b) }",
    "for: all\nwhere: b > {y}\nwindow: { count: { size: 3, every: 2 } }\nemit: { sum: sum(a), duration: duration(b > {x}) }",
    "for: all\nwindow: { global: {}, emit: { when: n > 3 } }\nby: { key: c }\nemit: { n: count(a), at: last(a) }",
    "for: all\nwindow: { tumbling: 6s, emit: { every: 2s }, fill: zero }\nemit: { n: count(a), b: b }",
    "for: all\nwhere: b > {y}\nwindow: { cumulate: { size: 6s, step: 2s }, emit: { when: n > 1 } }\nemit: { n: count(a), nulls: collect(c, \"nulls\") }",
    "for: [ r1, r2 ]\norder: time\ninputs: { load: { resource: r3, metric: b } }\nwhen: a > {x} && avg(load, \"5s\") > {y}",
    "for: [ r1, r2 ]\ninputs: { load: { resource: r3, metric: b, passive: true } }\nwindow: { tumbling: 5s }\nemit: { n: count(a), l: load, s: sum(a, load > {y}) }",
    "for: [ r1, r2 ]\ninputs: { load: { resource: r3, metric: b, max_age: 4s } }\nwindow: { hopping: { size: 6s, every: 2s } }\nemit: { n: count(a), l: load }\nhaving: load > {x}",
    "order: time\nwhen: avg(a, \"3s\") > {x} && b > {y}",
    "where: b > {y}\nwindow: { tumbling: 4s }\nemit: { n: count(a), sum: sum(a) }",
    "order: time\njoin:\n  kind: full\n  streams: { l: { from: [ r1 ], where: \"a > {x}\" }, r: { from: [ r2, r3 ] } }\n  on: [ [ l.c, r.c ] ]\n  within: { before: 2s, after: 1s }\nemit: { a: l.a, b: r.b }",
    "order: time\njoin:\n  kind: left\n  streams: { l: { from: [ r1 ] }, r: { from: [ r2 ] } }\n  on: [ [ l.c, r.c ] ]\n  within: { asof: { tolerance: 4s } }\nemit: { a: l.a, b: r.b }",
];

fn rule(number: usize, (x, y): (i64, i64)) -> Rule {
    let body = RULES[number].replace("{x}", &x.to_string());
    let body = body.replace("{y}", &y.to_string());
    let text = format!("kind: Rule\nname: rule{number}\n{body}\n");
    match document::parse(&text).map(|mut found| found.pop()) {
        Ok(Some(Document::Rule(rule))) => rule,
        other => panic!("{text}\n{other:?}"),
    }
}

/// An event, and how long after its time it arrives.
fn events() -> impl Strategy<Value = Vec<(Event, i64)>> {
    let value = || prop::option::weighted(0.6, -1_i32..10);
    let one = (
        0_usize..3,
        1_i64..1_800,
        [value(), value(), value()],
        0..DISORDER,
    );
    prop::collection::vec(one, 1..40).prop_map(|steps| {
        let mut time = 0;
        let steps = steps.into_iter().map(|(resource, step, values, delay)| {
            time += step;
            let mut event = event(["r1", "r2", "r3"][resource], time, &[]);
            for (name, value) in ["a", "b", "c"].into_iter().zip(values) {
                // -1 stands for an explicit null.
                let value = value.map(|value| match value {
                    -1 => tidegate_proto::Value::Missing,
                    value => tidegate_proto::Value::number(f64::from(value)),
                });
                event
                    .values
                    .extend(value.map(|value| (name.to_owned(), value)));
            }
            (event, delay)
        });
        steps.collect()
    })
}

/// All lines, with causes by the number of the event in the order of time.
fn told(rules: &[Rule], events: &[(usize, Event)], cut: usize, restore: bool) -> Vec<String> {
    let mut world = World::new();
    // Who sends nothing is not waited for, so all have begun.
    let first = ["r1", "r2", "r3"].map(|id| {
        world.describe(id, Traits::default());
        event(id, -9_000, &[("a", 0.0), ("b", 0.0), ("c", 0.0)])
    });
    rules.iter().for_each(|rule| drop(world.apply(rule)));
    world.push(&first);
    for chunk in events.chunks(cut) {
        let chunk: Vec<Event> = chunk.iter().map(|(_, event)| event.clone()).collect();
        world.push(&chunk);
        if restore {
            world.restore();
        }
    }
    world.until(1_000_000);
    let places = events.iter().enumerate();
    let places: BTreeMap<i64, i64> = places
        .map(|(at, (place, _))| (at as i64 + 4, *place as i64 + 4))
        .collect();
    for cause in world.told.iter_mut().flat_map(|line| &mut line.cause) {
        cause.offset = places.get(&cause.offset).copied().unwrap_or(cause.offset);
    }
    world.lines()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_arrival_within_disorder_gives_the_same_answer(
        events in events(), picked in prop::collection::btree_set(0..RULES.len(), 1..5),
        limits in (1_i64..8, 1_i64..8), cuts in (1_usize..9, 1_usize..9),
    ) {
        let rules: Vec<Rule> = picked.iter().map(|number| rule(*number, limits)).collect();
        let events: Vec<(usize, (Event, i64))> = events.into_iter().enumerate().collect();
        let mut arrival = events.clone();
        arrival.sort_by_key(|(_, (event, delay))| event.time + delay);
        let plain = |events: Vec<(usize, (Event, i64))>| -> Vec<(usize, Event)> {
            events.into_iter().map(|(place, (event, _))| (place, event)).collect()
        };
        let (straight, arrival) = (plain(events), plain(arrival));
        let expected = told(&rules, &straight, cuts.0, false);
        let got = told(&rules, &arrival, cuts.1, true);
        prop_assert_eq!(expected, got);
    }
}

/// `PROPTEST_CASES` asks for more.
fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|cases| cases.parse().ok()).unwrap_or(200)
}
