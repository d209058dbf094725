//! Laws of the fields of rules as documents write them: dampening, levels, functions along the rows, every form of window
//! with every way of telling it, patterns. Any cut and a snapshot anywhere give the same lines.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use tidegate_proto::{Document, Rule};

use super::World;
use super::laws::{Act, acts, run};
use crate::plan::Plan;

/// What each rule says, below `kind`, `name` and `for`.
const CONDITIONS: &[&str] = &[
    "when: a > 4\ndampen: { of: [2, 3] }",
    "when: a > 4\ndampen: { consecutive: 3 }\nhold: 2s",
    "when: a > 4\ndampen: { active: 2s }\nclear: b < 4\nclear_hold: 1s",
    "levels:\n  - { severity: MINOR, when: a > 3, hold: 2s, clear: a < 2, clear_hold: 2s }\n  - { severity: CRITICAL, when: a > 7, clear: a < 6 }\n  - { severity: MAJOR, when: avg(b, \"4s\") > 5, dampen: { of: [2, 3] } }\nthen: [ { alarm: { text: \"at ${a}\" } } ]",
    "levels: [ { severity: MAJOR, when: a > 6 }, { severity: MINOR, when: a > 3, hold: 1s } ]\nnever_lower: true\nagain: 3s",
    "when: a > 4\nagain: 2s\nclear: a < 4\nclear_hold: 3s\nthen: [ { log: { text: \"still ${a}\" }, on: [again] } ]",
    "when: a > 4\nflapping: { changes: 3, within: 9s, until: 1 }\nagain: 2s",
    "levels: [ { severity: MAJOR, when: a > 6 }, { severity: MINOR, when: a > 3 } ]\nflapping: { changes: 4, within: 12s }",
    "when: a > 4\nhold: 2s\nactive: { zone: UTC, times: [ { from: \"00:00\", to: \"00:01\" }, { from: \"00:02\", to: \"00:03\" } ] }",
    "when: a > 4\nactive: { zone: Europe/Brussels, times: [ { from: \"01:01\", to: \"01:02\" } ], outside: clear }\nagain: 5s",
    "when: a > 4\nhold: 1s\nthen: [ { log: { text: \"${a}\" }, every_time: true, at_most_every: 2s } ]",
    "when: a > 4 && b > 3\norder: time\ndampen: { of: [2, 4] }\nagain: 3s\nflapping: { changes: 4, within: 20s, until: 0 }",
];

const ALONG: &[&str] = &[
    "when: consecutive(a > 3, 2)",
    "when: n_of_m(a > b, 2, 4)",
    "when: times(a > 4, \"9s\") >= 2",
    "when: crossed_above(a, 5) || crossed_below(b, a)",
    "when: ewma(a, \"5s\") > 4",
    "when: ewma(a, 0.3) > ewma(b, 0.1)\nhold: 1s",
    "when: debounce(a > 3, \"2s\")",
    "when: debounce(a, \"3s\") == 4 || debounce(b, \"1s\") > 6",
    "when: zscore(a, \"20s\") > 1",
    "when: zscore_before(a, \"20s\") > 1 || robust_z(b, \"20s\") > 1",
    "when: ewma_shift(a, 0.2, 2, 4) == 1 || cusum(b, 0.5, 4, 4) == 1",
    "when: season_z(a, \"Europe/Brussels\") > 1 || a > season_mean(a) + 2",
    "when: a > holt_winters(a, 3, 1, 0.4, 0.2, 0.2).high || b < holt_winters(b, 2, 2, 0.5, 0.1, 0.3).low",
    "when: forecast(a, \"10s\", \"5s\") > 6 || time_to(b, 9, \"10s\") < 4",
    "when: deadband(a, 2) > 4",
    "when: hysteresis(a, 6, 3)\nclear: a < 2\nclear_hold: 1s",
    "when: delta(a) > 3 || rate(b) < -1",
    "when: prev(a, 2) > a && changed(b)",
    "when: since(a > 4) >= 2 || held(b > 5, \"2s\")",
    "when: count(a, \"5s\") == 0 || silent(\"6s\")",
    "when: percentile(a, 80, \"9s\") > 6 || mode(b, \"7 rows\") == 3",
    "when: slope(a, \"8s\") > 0.5 || twa(b, \"8s\") > 5",
    "when: increase(a, \"8s\") > 9 && integral(b, \"all\") > 20",
    "order: time\nwhen: consecutive(a > b, 2) || crossed_above(b, 5)",
    "order: time\nwhen: ewma(a, \"4s\") > zscore(b, \"9s\") + 4\nwhere: b != 5",
    "when: corr(a, b, \"12s\") > 0.4 || cov(a, b, \"5 rows\") > 2",
];

const WINDOWS: &[&str] = &[
    "window: { session: 3s }\nemit: { n: count(a), s: sum(a) }",
    "window: { session: { gap: 3s, max: 8s, at_gap: join }, lateness: 3s }\nemit: { n: count(a), last: last(b) }",
    "window: { session: { gap: 4s, max: 9s }, lateness: 2s, emit: on_change, retract: true }\nby: { b: b }\nemit: { s: sum(a) }",
    "window: { session: 3s, lateness: 4s, emit: final }\nemit: { m: median(a) }",
    "window: { count: 4 }\nemit: { n: count(a), s: sum(a), f: first(a) }",
    "window: { count: { size: 4, every: 2, partial: true } }\nemit: { s: sum(a), b: b }",
    "window: { count: { size: 5, timeout: 6s } }\nby: { b: b }\nnull_keys: drop\nemit: { n: count(a), c: collect(a) }",
    "window: { cumulate: { size: 12s, step: 3s }, lateness: 2s }\nemit: { n: count(a), s: sum(b) }",
    "window: { cumulate: { size: 6s, step: 2s }, emit: { every: 1s }, fill: zero }\nemit: { n: count(a) }",
    "window: { calendar: { unit: minute, zone: Europe/Brussels }, lateness: 5s }\nemit: { m: avg(a), t: top(b, 2) }",
    "window: { calendar: hour, emit: on_change, repeat_equal: true }\nemit: { m: max(a), e: entropy(b) }",
    "window: { state: { start: a > 4 } }\nemit: { n: count(a), s: sum(b) }",
    "window: { state: { start: a > 4, end: b < 4, true_for: 2s, max: 9s, include_end: true } }\nemit: { n: count() }",
    "window: { state: { start: a > 2, max: 6s, min: 3s } }\nemit: { d: duration(a > 4) }\nhaving: d > 1",
    "window: { state: { of: b } }\nemit: { b: last(b), n: count(b) }",
    "window: { global: {}, emit: { when: n >= 3 } }\nemit: { n: count(a), s: sum(a) }",
    "window: { global: { reset: false }, emit: { when: s > 20 } }\nemit: { s: sum(a) }",
    "window: { global: {}, emit: { every: 5s } }\nemit: { n: count(a), w: twa(b) }",
    "window: { tumbling: 5s, lateness: 4s, emit: on_change }\nemit: { s: sum(a), i: integral(b) }\nhaving: s > 6",
    "window: { tumbling: 5s, lateness: 6s, emit: final }\nemit: { p: percentile(a, 90), d: count_distinct(b) }",
    "window: { tumbling: 5s, lateness: 3s, emit: { every: 2s }, retract: true }\nemit: { s: sum(a), n: count_if(b > 3) }",
    "window: { tumbling: 5s, emit: { when: n >= 2, also: on_close } }\nemit: { n: count(a), r: corr(a, b) }",
    "window: { tumbling: 3s, fill: previous, fill_limit: 2 }\nby: { b: b }\nemit: { m: avg(a) }",
    "window: { tumbling: 3s, fill: linear, lateness: 4s }\nemit: { m: avg(a) }",
    "window: { tumbling: 3s, fill: \"null\", emit: { every: 1s } }\nemit: { n: count(a), x: max(b) }",
    "window: { hopping: { size: 6s, every: 2s }, lateness: 3s, emit: on_change, retract: true }\nemit: { m: median(a), k: skew(b) }",
    "window: { hopping: { size: 4s, every: 4s }, emit: final }\nemit: { g: increase(a), v: angle_mean(a, b) }\nwhere: b != 5",
    "window: { sliding: 4s }\nemit: { n: count(a), s: std(a), f: first(b) }",
];

const PATTERNS: &[&str] = &[
    "pattern:\n  within: 8s\n  every: all\n  steps: [ { x: a > 5 }, { y: b > a } ]",
    "pattern:\n  within: 8s\n  every: none\n  contiguity: strict\n  rows: all\n  steps: [ { x: a > 2 }, { y: a > x.a } ]",
    "pattern:\n  within: { max: 6s, exclusive: true }\n  after_match: { to_last: x }\n  reuse: both\n  steps: [ { x: { where: a > 3, min: 2, max: none, until: b > 8 } }, { y: b < 3 } ]",
    "pattern:\n  within: 9s\n  begin: after_done\n  after_match: to_next\n  values: row\n  steps: [ { x: { where: a > 3, max: 4, greedy: true } }, { y: a > 6 } ]",
    "pattern:\n  within: 9s\n  report: longest\n  steps: [ { p: b > 4 }, { q: { where: a > 2, min: 1, max: 3, inner: strict } } ]",
    "pattern:\n  within: 12s\n  steps: [ { and: [ { x: a > 6 }, { not: b > 7, for: 2s, as: calm } ] }, { y: { where: a < 3, within: 3s } } ]",
    "pattern:\n  within: 12s\n  on_timeout: emit\n  steps: [ { and: [ { x: a > 6 }, { not: b > 7 } ], share: false }, { z: { where: b < 6, optional: true } }, { y: a < 3 } ]",
    "pattern:\n  within: 15s\n  every: [x, y]\n  steps: [ { w: a > 7 }, { x: a > 4 }, { y: b > 4 }, { steps: [ { g: a < 5 }, { h: b < 5 } ], as: pair, max: 2 } ]",
    "pattern:\n  within: none\n  every: none\n  steps: [ { not: a > 6, for: 3s, on_break: end }, { y: b > 3 } ]\norder: arrival",
    "pattern:\n  within: 20s\n  steps: [ { x: avg(a, \"5s\") > 4 }, { or: [ { y: b > 6 }, { steps: [ { c: a > 3 }, { d: b < 3 } ] } ] } ]\n  having: a > 2\n  emit: { a: a, t: time(x) }\nthen: [ { alarm: { severity: MINOR } } ]",
    "pattern:\n  within: 6s\n  matches: all\n  after_match: none\n  steps: [ { x: { where: a > 5, max: 2 } }, { not: b > 8 }, { or: [ { not: b > 6, for: 1s }, { y: { where: b < 4, contiguity: any } } ] }, { z: a < 6 } ]",
    "pattern:\n  within: 7s\n  matches: all\n  report: longest\n  every: all\n  hold_for_older: true\n  steps: [ { x: a > 4 }, { steps: [ { g: { where: a < 5, contiguity: any } }, { h: b < 5 } ], as: pair, max: 2 } ]",
    "clear: a < 2\npattern:\n  within: 8s\n  waiting: one\n  hold_for_older: true\n  after_match: to_next\n  steps: [ { x: a > 5 }, { y: b > x.a }, { z: a < 4 } ]\nthen: [ { alarm: { severity: MINOR } } ]",
];

/// Rules of one table, by number and in the order written.
fn rules(kind: &str, bodies: &[&str]) -> Vec<Rule> {
    let rule = |(number, body): (usize, &&str)| {
        let text = format!("kind: Rule\nname: {kind}-{number}\nfor: all\n{body}\n");
        match tidegate_proto::document::parse(&text).map(|mut documents| documents.pop()) {
            Ok(Some(Document::Rule(rule))) => Plan::compile(&rule)
                .map(|_| rule)
                .map_err(|problems| format!("{text}{problems:#?}")),
            other => Err(format!("{text}{other:#?}")),
        }
    };
    let (rules, refused): (Vec<_>, Vec<_>) =
        bodies.iter().enumerate().map(rule).partition(Result::is_ok);
    let refused: Vec<String> = refused.into_iter().filter_map(Result::err).collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    rules.into_iter().filter_map(Result::ok).collect()
}

fn every_rule() -> Vec<Rule> {
    let tables = [
        ("condition", CONDITIONS),
        ("along", ALONG),
        ("window", WINDOWS),
        ("pattern", PATTERNS),
    ];
    let tables = tables.into_iter();
    tables
        .flat_map(|(kind, bodies)| rules(kind, bodies))
        .collect()
}

fn world(rules: &[Rule]) -> World {
    let mut world = World::new();
    for rule in rules {
        world.apply(rule);
    }
    world
}

/// As one batch; row by row; in batches with a restart now and then.
fn cut(
    rules: &[Rule],
    acts: &[Act],
    (batch, restore): (usize, usize),
) -> Result<(), TestCaseError> {
    let whole = run(&mut world(rules), acts, usize::MAX, 0);
    let single = run(&mut world(rules), acts, 1, 0);
    prop_assert_eq!(&single, &whole);
    let broken = run(&mut world(rules), acts, batch, restore);
    prop_assert_eq!(&broken, &whole);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn conditions_do_not_hang_on_the_cut(acts in acts(), batch in 2..20_usize, restore in 1..9_usize) {
        cut(&rules("condition", CONDITIONS), &acts, (batch, restore))?;
    }

    #[test]
    fn functions_along_rows_do_not_hang_on_the_cut(acts in acts(), batch in 2..20_usize, restore in 1..9_usize) {
        cut(&rules("along", ALONG), &acts, (batch, restore))?;
    }

    #[test]
    fn windows_do_not_hang_on_the_cut(acts in acts(), batch in 2..20_usize, restore in 1..9_usize) {
        cut(&rules("window", WINDOWS), &acts, (batch, restore))?;
    }

    #[test]
    fn patterns_do_not_hang_on_the_cut(acts in acts(), batch in 2..20_usize, restore in 1..9_usize) {
        cut(&rules("pattern", PATTERNS), &acts, (batch, restore))?;
    }

    /// No other rule changes what a rule says, nor does one that comes in the middle or goes there.
    #[test]
    fn rules_do_not_hang_on_each_other(acts in acts(), at in 0..60_usize, which in any::<prop::sample::Index>()) {
        let all = every_rule();
        let base = which.get(&all).clone();
        let mut alone = world(&[]);
        let mut busy = world(&all[..all.len() / 2]);
        busy.remove(base.name.as_str());
        for (index, act) in acts.iter().enumerate() {
            if index == at.min(acts.len() / 2) {
                alone.apply(&base);
                busy.apply(&base);
                for other in &all[all.len() / 2..] {
                    busy.apply(other);
                }
                for other in all[..all.len() / 2].iter().filter(|rule| rule.name != base.name) {
                    busy.remove(other.name.as_str());
                }
            }
            for world in [&mut alone, &mut busy] {
                act.run(world);
            }
        }
        let of = |world: &mut World| -> Vec<String> {
            world.until(1_000_000);
            let prefix = format!(" {}/", base.name);
            world.lines().into_iter().filter(|line| line.contains(&prefix)).collect()
        };
        prop_assert_eq!(of(&mut busy), of(&mut alone));
    }
}

/// A law about rules that say nothing would hold of anything.
#[test]
fn every_rule_says_something() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let all = every_rule();
    let mut silent: std::collections::BTreeSet<String> =
        all.iter().map(|rule| rule.name.to_string()).collect();
    for _ in 0..200 {
        let tree = acts().new_tree(&mut runner).unwrap();
        let lines = run(&mut world(&all), &tree.current(), usize::MAX, 0);
        silent.retain(|name| {
            let prefix = format!(" {name}/");
            !lines.iter().any(|line| {
                line.contains(&prefix) && !line.contains(" late ") && !line.contains(" error ")
            })
        });
        if silent.is_empty() {
            break;
        }
    }
    assert!(silent.is_empty(), "{silent:?}");
}
