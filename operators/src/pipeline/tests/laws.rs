//! Laws of whole pipelines: no cut changes an answer, no other rule does, no index does.

use proptest::prelude::*;
use tidegate_proto::rule::{Body, Rule};
use tidegate_proto::{Selector, Severity, Span, Traits, WindowForm};

use super::{Event, World, event, formula, in_time, pattern, tumbling, when, window, with_alarm};
use crate::pipeline::PipelineSettings;

/// What happens to a world.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Push(Event),
    Tick(i64),
    /// The type of a resource becomes `hot`, or stops being it.
    Type(&'static str, bool),
}

impl Act {
    pub(super) fn run(&self, world: &mut World) {
        match self {
            Self::Push(event) => world.push(std::slice::from_ref(event)),
            Self::Tick(clock) => world.tick(*clock),
            Self::Type(resource, hot) => world.describe(
                resource,
                Traits {
                    kind: hot.then(|| "hot".into()),
                    ..Traits::default()
                },
            ),
        }
    }
}

/// Rules with a filter, with time settings of their own, or for some resources only.
fn special() -> [Rule; 5] {
    let filtered = filtered(when("filtered", "avg(a, \"6s\") > 4", 0), "b > 2");
    let mut quick = window("quick", tumbling(2_000), &[("n", "count(a)")]);
    quick.timing.disorder = Some(Span(1_000));
    quick.timing.idle = Some(Span(3_000));
    let mut patient = in_time(when("patient", "a > 4", 1_000));
    patient.timing = tidegate_proto::Timing {
        disorder: Some(Span(2_000)),
        idle: Some(Span(4_000)),
        ..patient.timing
    };
    patient.selector = Selector::Match {
        kind: Some("hot".into()),
        labels: Default::default(),
    };
    let mut picked = when("picked", "a > 4", 0);
    picked.selector = Selector::Ids(vec!["r2".into(), "r9".into()]);
    let mut picked_window = window("picked-window", tumbling(3_000), &[("n", "count(a)")]);
    picked_window.selector = patient.selector.clone();
    [filtered, quick, patient, picked, picked_window]
}

fn rules() -> Vec<Rule> {
    let mut clear = when("clear", "a > 6", 2_000);
    if let Body::When(when) = &mut clear.body {
        when.levels[0].clear = Some(formula("clear", "b < 3"));
        when.levels[0].clear_hold = Span(1_000);
    }
    let mut late = window("late", tumbling(4_000), &[("sum", "sum(a)"), ("b", "b")]);
    if let Body::Window(window) = &mut late.body {
        window.lateness = Span(3_000);
        window.having = Some(formula("having", "sum > 4"));
    }
    let mut grouped = window("grouped", tumbling(5_000), &[("n", "count()")]);
    if let Body::Window(window) = &mut grouped.body {
        window.by.push(("b".into(), formula("by.b", "b")));
    }
    let hops = WindowForm::Hopping {
        size: Span(6_000),
        every: Span(2_000),
        offset: 1,
    };
    let mut rules = vec![
        with_alarm(when("bare", "a > 5", 0), Severity::Major, "${a} of ${b}"),
        when("other", "a > 7", 0),
        when("below", "a <= 3", 0),
        when("hold", "a > 4", 3_000),
        clear,
        when("count", "count_if(a > 4, \"5s\") >= 2", 0),
        when("silent", "stale(b, \"7s\") || held(a > 2, \"3s\")", 1_000),
        in_time(when("ordered", "a > prev(a) && sum(b, \"4s\") > 3", 0)),
        in_time(when("ordered-hold", "a > 3", 2_500)),
        late,
        grouped,
        window("hops", hops, &[("mean", "avg(a)"), ("n", "count(b)")]),
        window(
            "sliding",
            WindowForm::Sliding {
                size: Span(3_000),
                closed: false,
                per_row: false,
            },
            &[("m", "max(a)")],
        ),
    ];
    rules.extend(special());
    rules.extend(patterns());
    rules.extend(super::graphs::rules());
    rules.extend(looking());
    rules
}

/// Rules that look at what a row lacks: it comes from rows that `where` held back, or from before the rule.
fn looking() -> [Rule; 5] {
    let mut grouped = window("look-grouped", tumbling(5_000), &[("n", "count(a)")]);
    if let Body::Window(window) = &mut grouped.body {
        window.by.push(("b".into(), formula("by.b", "b")));
    }
    [
        filtered(when("look", "a > b", 0), "a > 2"),
        filtered(when("look-hold", "a > b", 2_000), "a > 2"),
        in_time(when("look-ordered", "a > b", 0)),
        filtered(
            in_time(when("look-ordered-some", "a > b", 1_000)),
            "b < 7 || a > 2",
        ),
        filtered(grouped, "a > 2"),
    ]
}

/// Patterns with everything that has state: repetition, absence, bound rows, lookbacks, alarms, both orders.
fn patterns() -> [Rule; 5] {
    let first = "within: 8s\nafter_match: none\nsteps:\n  - x: { where: a > 4, max: 3 }\n  - not: b > 7\n  - y: a < x[-1].a - 2\nemit: { n: x.len(), sum: sum(x.a), last: b }";
    let absent = "within: 20s\nsteps:\n  - not: a > 6\n    for: 3s\n  - y: b > 3\nemit: { since: time(s1), a: a }";
    let sides = "within: 6s\nreport: longest\non_timeout: emit\nsteps:\n  - p: avg(a, \"4s\") > 3\n  - or: [ { q: b > 5 }, { not: b > 2, for: 2s } ]\n  - r: { where: a > 2, max: 4 }";
    let mut quick = pattern("pattern-arrival", first);
    quick.timing.order = Some(tidegate_proto::Order::Arrival);
    [
        with_alarm(
            pattern("pattern-rise", first),
            Severity::Major,
            "${n} of ${x[0].a}",
        ),
        pattern("pattern-silence", absent),
        pattern("pattern-sides", sides),
        quick,
        filtered(pattern("pattern-some", absent), "b != 5"),
    ]
}

fn filtered(mut rule: Rule, filter: &str) -> Rule {
    rule.filter = Some(formula("where", filter));
    rule
}

pub(super) fn acts() -> impl Strategy<Value = Vec<Act>> {
    let value = prop_oneof![3 => (0..10_i32).prop_map(f64::from), 1 => Just(f64::NAN)];
    let row = (0..3_usize, -6..3_i64, value.clone(), value, 0..12_u8);
    proptest::collection::vec(row, 1..60).prop_map(|rows| {
        let mut now = 10_000;
        let mut acts = Vec::new();
        for (resource, shift, a, b, kind) in rows {
            now += 700;
            if kind == 0 {
                now += 9_000;
                acts.push(Act::Tick(now));
                continue;
            }
            let name = ["r1", "r2", "r3"][resource];
            if kind == 1 {
                acts.push(Act::Type(name, shift > -4));
                continue;
            }
            let mut values = Vec::new();
            if !a.is_nan() {
                values.push(("a", a));
            }
            if !b.is_nan() && kind > 3 {
                values.push(("b", b));
            }
            acts.push(Act::Push(event(name, now + shift * 1_000, &values)));
        }
        acts
    })
}

/// Runs with batches of at most `cut` events, restoring after every `restore`-th act.
pub(super) fn run(world: &mut World, acts: &[Act], cut: usize, restore: usize) -> Vec<String> {
    let mut batch = Vec::new();
    for (index, act) in acts.iter().enumerate() {
        match act {
            Act::Push(event) => {
                batch.push(event.clone());
                if batch.len() >= cut {
                    world.push(&std::mem::take(&mut batch));
                }
            }
            other => {
                world.push(&std::mem::take(&mut batch));
                other.run(world);
            }
        }
        if restore > 0 && index % restore == restore - 1 {
            world.restore();
        }
    }
    world.push(&batch);
    world.until(1_000_000);
    world.lines()
}

fn world(rules: &[Rule], thresholds: bool) -> World {
    let settings = PipelineSettings {
        thresholds,
        // Few ticks without a row: all of them up to the end would only take time.
        limits: crate::pipeline::Limits {
            graph_ticks: 9,
            ..Default::default()
        },
        ..PipelineSettings::default()
    };
    let mut world = World::with(settings);
    for rule in rules {
        world.apply(rule);
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn cuts_and_snapshots_change_nothing(acts in acts(), cut in 2..20_usize, restore in 1..9_usize) {
        let whole = run(&mut world(&rules(), true), &acts, usize::MAX, 0);
        prop_assert_eq!(&run(&mut world(&rules(), true), &acts, 1, 0), &whole);
        prop_assert_eq!(&run(&mut world(&rules(), true), &acts, cut, restore), &whole);
    }

    #[test]
    fn a_rule_alone_says_the_same(acts in acts(), which in 0..32_usize) {
        let of = |lines: Vec<String>, name: &str| {
            let prefix = format!(" {name}/");
            lines.into_iter().filter(|line| line.contains(&prefix)).collect::<Vec<_>>()
        };
        let all = rules();
        let together = run(&mut world(&all, true), &acts, 7, 0);
        let alone = run(&mut world(&all[which..=which], true), &acts, 7, 0);
        let name = all[which].name.to_string();
        prop_assert_eq!(of(alone, &name), of(together, &name));
    }

    #[test]
    fn rules_that_come_and_go_change_no_other(
        acts in acts(), at in 0..60_usize, gone in 0..60_usize, which in 0..32_usize
    ) {
        let all = rules();
        let base = &all[which];
        let of = |world: &World| -> Vec<String> {
            let prefix = format!(" {}/", base.name);
            world.lines().into_iter().filter(|line| line.contains(&prefix)).collect()
        };
        let mut alone = world(&[], true);
        let mut busy = world(&[], true);
        for (index, act) in acts.iter().enumerate() {
            if index == at {
                alone.apply(base);
                busy.apply(base);
                // One that shares everything with it, lookbacks too.
                let mut equal = base.clone();
                equal.name = tidegate_proto::Name::new("equal").unwrap();
                busy.apply(&equal);
            }
            if index == gone {
                busy.remove("equal");
            }
            for other in all.iter().filter(|rule| rule.name != base.name) {
                let mut twin = base.clone();
                twin.name = tidegate_proto::Name::new("twin").unwrap();
                if index == 0 {
                    busy.apply(other);
                    busy.apply(&twin);
                } else if index == gone {
                    busy.remove(other.name.as_str());
                    busy.remove("twin");
                }
            }
            for world in [&mut alone, &mut busy] {
                act.run(world);
            }
        }
        alone.until(1_000_000);
        busy.until(1_000_000);
        prop_assert_eq!(of(&busy), of(&alone));
    }

    #[test]
    fn event_time_order_forgets_the_order_of_arrival(
        rows in proptest::collection::vec((0..2_usize, 0..10_u8), 1..60),
        keys in proptest::collection::vec(0..4_900_i64, 60)
    ) {
        let rules = [
            in_time(when("ordered", "a > prev(a) && sum(a, \"4s\") > 3", 0)),
            in_time(when("held", "a > 4", 1_500)),
            window("means", tumbling(5_000), &[("mean", "avg(a)"), ("last", "last(a)")]),
            window("twice", tumbling(5_000), &[("n", "sum(a * 2, a > 3)"), ("r", "rate(a)")]),
            filtered(window("some", tumbling(5_000), &[("n", "count_if(a > 3)")]), "a != 5"),
            pattern("rise", "within: 4s\nsteps: [ { x: { where: a > 3, max: 4 } }, { not: a == 0 }, { y: a < x[0].a } ]"),
            pattern("calm", "within: 9s\nsteps: [ { x: a > 3 }, { not: a > 3, for: 1s } ]"),
        ];
        let events: Vec<Event> = (0..).zip(&rows).map(|(index, (resource, value))| {
            event(["r1", "r2"][*resource], 10_000 + index * 301, &[("a", f64::from(*value))])
        }).collect();
        // Moving each row by less than the disorder keeps every row on time.
        let mut shuffled: Vec<(i64, Event)> =
            events.iter().zip(&keys).map(|(e, key)| (e.time + key, e.clone())).collect();
        shuffled.sort_by_key(|(arrival, _)| *arrival);
        let shuffled: Vec<Event> = shuffled.into_iter().map(|(_, event)| event).collect();
        let told = |events: &[Event]| {
            let mut world = world(&rules, true);
            world.push(events);
            world.until(1_000_000);
            // Causes are lines of the input, which the shuffle renumbers.
            world.lines().into_iter().map(|line| {
                line.split(" [").next().unwrap_or_default().to_owned()
            }).collect::<Vec<_>>()
        };
        prop_assert_eq!(told(&shuffled), told(&events));
    }

    #[test]
    fn the_threshold_table_says_what_each_rule_alone_would(
        constants in proptest::collection::vec((0..12_i32, 0..4_usize), 1..12),
        acts in acts(), revise in 0..60_usize, restore in 3..9_usize
    ) {
        let rule = |index: usize, constant: i32, op: usize| {
            let op = [">", ">=", "<", "<="][op];
            when(&format!("t{index}"), &format!("a {op} {constant}"), 0)
        };
        let run = |tables: bool| {
            let mut world = world(&[], tables);
            let half = constants.len() / 2;
            for (index, (constant, op)) in constants.iter().enumerate().take(half) {
                world.apply(&rule(index, *constant, *op));
            }
            for (index, act) in acts.iter().enumerate() {
                act.run(&mut world);
                if index == revise {
                    for (index, (constant, op)) in constants.iter().enumerate().skip(half / 2) {
                        world.apply(&rule(index, constant + 1, *op));
                    }
                    world.remove("t0");
                }
                if tables && index % restore == 0 {
                    world.restore();
                }
            }
            world.lines()
        };
        prop_assert_eq!(run(true), run(false));
    }
}

#[test]
fn thresholds_keep_nothing_per_pair_of_rule_and_resource() {
    let bytes = |count: usize| {
        let rules: Vec<Rule> = (0..count)
            .map(|index| when(&format!("t{index}"), &format!("a > {index}"), 0))
            .collect();
        let mut world = world(&rules, true);
        let events = (0..500).map(|index| event(&format!("r{index}"), index, &[("a", 1e9)]));
        world.push(&events.collect::<Vec<_>>());
        assert_eq!(world.told.len(), 500 * count);
        world.pipeline.bytes()
    };
    // Each of the 500 resources is raised on every rule; a byte per pair would be 500 per rule.
    let (few, many) = (bytes(10), bytes(1_000));
    assert!(many - few < 400 * 990, "{few} {many}");
}

/// Rules whose cost is printed.
fn figured() -> Vec<(&'static str, Vec<Rule>)> {
    let mut many: Vec<Rule> = Vec::new();
    for index in 0..10_000 {
        many.push(when(
            &format!("t{index}"),
            &format!("a > {}", 1000 + index),
            0,
        ));
    }
    let one = |rule: Rule| vec![rule];
    vec![
        ("filter", one(when("filter", "a > 8.5 && b < 5", 0))),
        ("hold", one(when("hold", "a > 8.5", 5_000))),
        (
            "tumbling",
            one(window("w", tumbling(60_000), &[("mean", "avg(a)")])),
        ),
        (
            "A then B within 10 s",
            one(pattern(
                "ab",
                "within: 10s\nsteps: [ { x: a > 9 }, { y: b > 4.5 } ]",
            )),
        ),
        (
            "absence",
            one(pattern(
                "ab",
                "steps: [ { x: a > 9 }, { not: b > 4.5, for: 10s } ]",
            )),
        ),
        ("lookback", one(when("avg", "avg(a, \"1m\") > 7", 0))),
        ("10 thresholds", many.iter().take(10).cloned().collect()),
        ("10,000 thresholds", many),
    ]
}

/// Not a law but a figure: `cargo test -p tidegate-operators --lib figures -- --ignored --nocapture`.
#[test]
#[ignore = "prints figures, checks nothing"]
fn figures() {
    for (name, rules) in figured() {
        let mut world = world(&rules, true);
        let mut events = Vec::new();
        for index in 0..200_000_i64 {
            let resource = format!("r{}", index * 7919 % 10_000);
            let value = (index * 31 % 97) as f64 / 10.0;
            events.push(event(
                &resource,
                index / 10,
                &[("a", value), ("b", value / 2.0)],
            ));
        }
        world.push(&events[..10_000]);
        let batches: Vec<_> = events
            .chunks(4_096)
            .map(|chunk| world.batch(chunk))
            .collect();
        let start = std::time::Instant::now();
        for batch in &batches {
            world
                .pipeline
                .push(batch, 0..batch.len(), &world.house, &mut world.told);
            world.told.clear();
        }
        let nanos = start.elapsed().as_nanos() as f64 / events.len() as f64;
        println!(
            "{name}: {nanos:.0} ns/event, {} bytes",
            world.pipeline.bytes()
        );
    }
}
