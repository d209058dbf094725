//! Rules over several resources: no cut changes an answer, nor does the order of arrival within the disorder.

use proptest::prelude::*;
use tidegate_proto::rule::Rule;

use super::laws::{acts, run};
use super::{Event, World, event};

fn rule(text: &str) -> Rule {
    let text = format!("kind: Rule\n{text}");
    match tidegate_proto::document::parse(&text).unwrap().pop() {
        Some(tidegate_proto::Document::Rule(rule)) => rule,
        other => panic!("{other:?}"),
    }
}

fn everything() -> Vec<Rule> {
    [
        "name: all\nwindow: { tumbling: 5s, lateness: 2s }\nemit: { n: count(), sum: sum(a), last: last(b) }",
        "name: grouped\nby: [ b ]\nwindow: { hopping: { size: 4s, every: 2s } }\nmax_skew: 4s\nemit: { n: count(a) }",
        "name: sessions\nby: { r: resource }\nwhere: a > 2\nwindow: { session: 3s }\nemit: { n: count(a), first: first(a) }",
        "name: counted\nwindow: { count: 3 }\nclock: newest\nemit: { all: collect(a) }",
        "name: hot\nwhen: avg(a, \"4s\") > 4\nhold: 2s\nthen: [ { alarm: { severity: MAJOR, text: '${a} ${b}' } } ]",
        "name: kinds\nby: { k: type }\nwindow: { tumbling: 5s, lateness: 1s }\nemit: { n: count(a), b: last(b) }",
        "name: only-hot\norder: time\nwhere: 'type == \"hot\"'\nwhen: avg(a, \"4s\") > 4",
        "name: keyed\npattern: { by: type, within: 9s, steps: [ { p: a > 4 }, { q: b > 4 } ], emit: { a: p.a, b: q.b } }",
        "name: sorted\norder: time\nwhere: b > 2\nwhen: a > prev(a) && count(a, \"6s\") > 2",
    ].map(rule).into()
}

fn inputs() -> Vec<Rule> {
    [
        "name: beside\nfor: all\ninputs: { x: { resource: r2, metric: a } }\nwhen: a > x && corr(b, x, \"9s\") < 0.5 || x > 7",
        "name: aged\nfor: [ r1, r3 ]\ninputs: { x: { resource: r2, metric: a, max_age: 2s, passive: true } }\nwhen: b > x\nhold: 3s",
        "name: typed\nfor: { type: hot }\norder: time\ninputs: { x: { resource: r1, metric: b } }\nwhere: a > 1\nwhen: a > x || avg(x, \"5s\") > 6\nhold: 1s",
        "name: windows\nfor: all\ninputs: { x: { resource: r3, metric: b }, y: { resource: \"${resource}\", metric: b, passive: true } }\nwindow: { tumbling: 4s, lateness: 1s }\nemit: { n: count(), r: cov(a, x), y: sum(a * y) }",
        "name: bare\nfor: all\ninputs: { x: { resource: r3, metric: b, passive: true, max_age: 6s }, y: { resource: r2, metric: a } }\nwindow: { tumbling: 4s, lateness: 2s, emit: on_change }\nemit: { n: count(a), x: x, y: y }",
        "name: probed\nfor: all\ninputs: { x: { resource: r3, metric: b } }\nwindow: { tumbling: 4s, emit: { when: n > 1 } }\nemit: { n: count(a), x: x }",
        "name: own\nfor: r1\nclock: own\ninputs: { x: { resource: r2, metric: a } }\nwindow: { sliding: 3s }\nemit: { m: max(a), x: last(x) }",
    ].map(rule).into()
}

fn joins() -> Vec<Rule> {
    [
        "name: interval\njoin: { kind: full, streams: { l: { from: all, where: has(a) }, r: { from: { type: hot } } }, on: [ [ l.a, r.b ] ], within: { before: 2s, after: 3s } }\nemit: { a: l.a, b: r.b, gap: time(r) - time(l) }",
        "name: timed\norder: time\njoin: { kind: left, lateness: 2s, streams: { l: { from: [ r1, r2 ] }, r: { from: r3, where: b > 2 } }, on: [ [ l.a, r.a ] ], within: { after: 6s } }\nemit: { a: l.a, b: r.b }",
        "name: same\njoin: { kind: right, unmatched: eager, streams: { l: { from: all, where: a > 4 }, r: { from: all, where: b > 4 } }, within: { before: 4s } }\nemit: { a: l.a, b: r.b, who: resource(r) }",
        "name: minutes\njoin: { kind: full, streams: { l: { from: r1 }, r: { from: r2 } }, on: [ [ l.a, r.a ] ], within: { window: { tumbling: 6s } } }\nemit: { a: l.b, b: r.b }",
        "name: near\norder: time\njoin: { kind: left, streams: { l: { from: r1 }, r: { from: r2 } }, on: [ [ l.a > 4, r.a > 4 ] ], within: { asof: { tolerance: 4s, direction: nearest } } }\nemit: { a: l.a, b: r.a }",
        "name: traits\norder: time\njoin: { streams: { l: { from: { type: hot } }, r: { from: all, where: 'type != \"hot\" && has(b)' } }, on: [ [ l.a > 4, r.b > 4 ] ], within: { after: 3s } }\nemit: { a: l.a, b: r.b, l: l.type, r: r.type }",
        "name: known\njoin: { streams: { l: { from: r1 }, r: { from: r2 } }, on: [ [ true, true ] ], within: { asof: {} } }\nemit: { a: l.a, b: r.a }",
    ].map(rule).into()
}

fn rules() -> Vec<Rule> {
    let mut rules = everything();
    rules.extend(inputs());
    rules.extend(joins());
    rules
}

fn world(rules: &[Rule]) -> World {
    let mut world = World::new();
    for rule in rules {
        world.apply(rule);
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn cuts_and_snapshots_change_nothing(acts in acts(), cut in 2..20_usize, restore in 1..9_usize) {
        let whole = run(&mut world(&rules()), &acts, usize::MAX, 0);
        prop_assert_eq!(&run(&mut world(&rules()), &acts, 1, 0), &whole);
        prop_assert_eq!(&run(&mut world(&rules()), &acts, cut, restore), &whole);
    }

    #[test]
    fn a_rule_alone_says_the_same(acts in acts(), which in 0..23_usize) {
        let all = rules();
        let name = all[which].name.to_string();
        let of = |lines: Vec<String>| {
            let mine = |line: &String| {
                let task = line.split(' ').nth(1).unwrap_or_default();
                task.split('/').next() == Some(name.as_str())
            };
            lines.into_iter().filter(mine).collect::<Vec<_>>()
        };
        let together = run(&mut world(&all), &acts, 7, 0);
        let alone = run(&mut world(&all[which..=which]), &acts, 7, 0);
        prop_assert_eq!(of(alone), of(together));
    }

    #[test]
    fn time_order_and_windows_forget_the_order_of_arrival(
        rows in proptest::collection::vec((0..3_usize, 0..10_u8, 0..10_u8), 1..60),
        keys in proptest::collection::vec(0..4_900_i64, 60)
    ) {
        let ordered = rules().into_iter().filter(|rule| {
            !["hot", "beside", "aged", "interval", "same", "known"].contains(&rule.name.as_str())
        });
        let ordered: Vec<Rule> = ordered.collect();
        let events: Vec<Event> = (0..).zip(&rows).map(|(index, (resource, a, b))| {
            // Now and then two rows of one instant.
            let time = 10_000 + index / 2 * 301;
            event(["r1", "r2", "r3"][*resource], time, &[("a", f64::from(*a)), ("b", f64::from(*b))])
        }).collect();
        let mut shuffled: Vec<(i64, usize, Event)> = events.iter().zip(&keys).enumerate()
            .map(|(index, (e, key))| (e.time + key, index, e.clone())).collect();
        shuffled.sort_by_key(|(arrival, index, _)| (*arrival, *index));
        // Rows of one resource and instant keep their order: that is the log's.
        let mut same = shuffled.iter().map(|(_, index, e)| (e.resource.clone(), e.time, *index));
        let mut seen = std::collections::BTreeMap::new();
        let in_order = same.all(|(resource, time, index)| {
            let last = seen.insert((resource, time), index);
            last.is_none_or(|last| last < index)
        });
        prop_assume!(in_order);
        let shuffled: Vec<Event> = shuffled.into_iter().map(|(_, _, event)| event).collect();
        let told = |events: &[Event]| {
            let mut world = world(&ordered);
            world.push(events);
            world.until(1_000_000);
            world.lines().into_iter().map(|line| {
                line.split(" [").next().unwrap_or_default().to_owned()
            }).collect::<Vec<_>>()
        };
        prop_assert_eq!(told(&shuffled), told(&events));
    }
}

/// Rows by time, then resource, then as they came.
fn in_row_order(events: &[Event]) -> Vec<&Event> {
    let mut rows: Vec<&Event> = events.iter().collect();
    rows.sort_by(|a, b| (a.time, &a.resource).cmp(&(b.time, &b.resource)));
    rows
}

fn number(event: &Event, name: &str) -> Option<f64> {
    let found = event.values.iter().find(|(known, _)| known == name);
    found.and_then(|(_, value)| value.as_number())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// Rows on time: the answer is that of all rows in row order, found by looking at each.
    #[test]
    fn an_input_is_read_as_of_its_time(
        rows in proptest::collection::vec((0..2_usize, 0..10_u8, 0..3_i64, 0..4_900_i64), 1..60)
    ) {
        let rule = rule("name: above\nfor: r1\norder: time\ninputs: { x: { resource: r2, metric: b, max_age: 2s } }\nwhen: a > x\n");
        let mut time = 10_000;
        // The first row is the task's own.
        let mut events = vec![(0, event("r1", 9_000, &[("a", 0.0)]))];
        for (resource, value, step, delay) in rows {
            time += step * 700;
            let (id, name) = [("r1", "a"), ("r2", "b")][resource];
            events.push((time + delay, event(id, time, &[(name, f64::from(value))])));
        }
        let straight: Vec<Event> = events.iter().map(|(_, event)| event.clone()).collect();
        events.sort_by_key(|(arrival, event)| (*arrival, event.time));
        let arrived: Vec<Event> = events.into_iter().map(|(_, event)| event).collect();
        // Rows of one resource and instant must not change places.
        // At one time what the input says comes first.
        let in_order = |events: &[Event]| {
            let mut rows = events.to_vec();
            rows.sort_by_key(|row| (row.time, row.resource == "r1"));
            rows
        };
        let of = |events: &[Event]| in_order(events).into_iter()
            .map(|e| (e.time, e.resource.clone(), number(&e, "a"), number(&e, "b"))).collect::<Vec<_>>();
        prop_assume!(of(&straight) == of(&arrived));
        let (mut own, mut input, mut raised) = (None, None, false);
        let mut wanted = Vec::new();
        for row in &in_order(&straight) {
            own = number(row, "a").or(own);
            input = number(row, "b").map(|value| (row.time, value)).or(input);
            let known = input.filter(|(at, _)| row.time - at <= 2_000);
            let Some((own, (_, input))) = own.zip(known) else { continue };
            if (own > input) != raised {
                raised = !raised;
                wanted.push((if raised { "raised" } else { "cleared" }, row.time));
            }
        }
        let mut world = world(&[rule]);
        for event in &arrived {
            world.push(std::slice::from_ref(event));
        }
        world.until(1_000_000);
        prop_assert_eq!(world.kinds("above"), wanted);
    }

    #[test]
    fn windows_over_everything_hold_the_rows_of_all(
        rows in proptest::collection::vec((0..3_usize, 0..10_u8, 0..3_i64, 0..4_900_i64), 1..60)
    ) {
        let rule = rule("name: all\nby: { r: 'resource == \"r1\"' }\nwindow: { tumbling: 4s }\nemit: { sum: sum(a), last: last(a) }\n");
        let mut time = 10_000;
        let mut events = Vec::new();
        for (resource, value, step, delay) in rows {
            time += step * 700;
            let row = event(["r1", "r2", "r3"][resource], time, &[("a", f64::from(value))]);
            events.push((time + delay, row));
        }
        let straight: Vec<Event> = events.iter().map(|(_, event)| event.clone()).collect();
        events.sort_by_key(|(arrival, event)| (*arrival, event.time));
        let arrived: Vec<Event> = events.into_iter().map(|(_, event)| event).collect();
        let of = |events: &[Event]| in_row_order(events).into_iter()
            .map(|e| (e.time, e.resource.clone(), number(e, "a"))).collect::<Vec<_>>();
        prop_assume!(of(&straight) == of(&arrived));
        let mut sums = std::collections::BTreeMap::new();
        for row in in_row_order(&straight) {
            let key = (row.time.div_euclid(4_000), row.resource == "r1");
            let (sum, last) = sums.entry(key).or_insert((0.0, 0.0));
            *last = number(row, "a").unwrap();
            *sum += *last;
        }
        let wanted: Vec<String> = sums.iter().map(|((window, first), (sum, last))| {
            format!("{:012} all/{first} window r={first} sum={sum:?} last={last:?}", (window + 1) * 4_000)
        }).collect();
        let mut world = world(&[rule]);
        world.push(&arrived);
        world.until(1_000_000);
        let told: Vec<String> = world.lines().into_iter()
            .map(|line| line.split(" [").next().unwrap_or_default().to_owned()).collect();
        prop_assert_eq!(told, wanted);
    }
}

#[test]
fn what_does_not_fit_together_is_refused_with_a_way_to_mend_it() {
    let beside = |input: &str, condition: &str| {
        format!("name: r\nfor: all\ninputs: {{ {input} }}\nwhen: {condition}")
    };
    for (text, told) in [
        (
            "name: r\nwhen: a > 1 && meta.line == \"x\"".to_owned(),
            "`meta.line` is of one resource, and this task is over everything (ask for it in `where`, or write `for: all` for a task per resource)",
        ),
        (
            "name: r\nwindow: { tumbling: 5s }\nemit: { who: resource, n: count(a) }".to_owned(),
            "`resource` is of one resource, and this task is over everything (group by it: `by: { line: meta.line }`)",
        ),
        (
            beside("x: { resource: r2, metric: m, passive: true }", "x > 1"),
            "the rule asks for passive inputs alone: no row would ever be judged",
        ),
        (
            beside("x: { resource: r2, metric: m }", "a > 1"),
            "inputs.x: no formula of the rule asks for this input",
        ),
        (
            format!("{}\nwhere: x > 2", beside("x: { resource: r2, metric: m }", "x > a")),
            "where: `where` looks at the resource's own rows, which do not have the input `x`",
        ),
        (
            beside("x: { resource: '${a}', metric: m }", "x > 1"),
            "`a` is no trait of the task's resource",
        ),
        (
            beside("avg: { resource: r2, metric: m }", "a > 1"),
            "inputs.avg: `avg` is a function of the catalogue",
        ),
        (
            "name: r\njoin: { streams: { l: { from: all }, r: { from: all } }, within: {} }\nemit: { a: x }".to_owned(),
            "emit.a: `x` is of no stream (write `l.NAME` or `r.NAME`)",
        ),
    ] {
        let issues = crate::Plan::compile(&rule(&text)).unwrap_err();
        let all: Vec<String> = issues.iter().map(ToString::to_string).collect();
        assert!(all.iter().any(|line| line.contains(told)), "{text}: {all:?}");
    }
}

#[test]
fn the_plan_of_a_wide_rule_is_told_and_reaches_wide() {
    for rule in rules() {
        let plan = crate::Plan::compile(&rule).unwrap();
        assert_eq!(plan.reach(), crate::Reach::Wide);
        assert!(plan.lines().iter().any(|line| line.starts_with("time: ")));
    }
    let own = rule("name: own\nfor: all\nwhen: a > 1");
    assert_eq!(
        crate::Plan::compile(&own).unwrap().reach(),
        crate::Reach::Own
    );
}

#[test]
fn a_revision_keeps_what_is_equal_and_a_removed_rule_clears_what_it_raised() {
    let text = |more: &str| rule(&format!("name: hot\nwhen: sum(a, \"60s\") > 4\n{more}"));
    let mut world = World::new();
    world.apply(&text(""));
    world.push(&[
        event("r1", 1_000, &[("a", 3.0)]),
        event("r2", 2_000, &[("a", 3.0)]),
    ]);
    assert_eq!(world.kinds("hot"), [("raised", 2_000)]);
    let report = world.apply(&text("clear: sum(a, \"60s\") < 2"));
    let states: Vec<_> = report.parts.iter().map(|part| part.state).collect();
    assert_eq!(states[0], crate::PartState::Kept);
    assert_eq!(world.kinds("hot").len(), 1);
    world.remove("hot");
    assert_eq!(
        world.kinds("hot").last().map(|line| line.0),
        Some("cleared")
    );
}
