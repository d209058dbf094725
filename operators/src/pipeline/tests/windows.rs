//! Window rules: columns, keys, late rows, corrections, time that passes.

use std::sync::Arc;

use tidegate_proto::rule::Body;
use tidegate_proto::{Span, Traits, Value, WindowForm};

use super::{MINUTE, World, event, formula, tumbling, window};

fn x(time: i64, value: f64) -> super::Event {
    event("r1", time, &[("x", value)])
}

#[test]
fn tumbling_means_close_at_the_watermark() {
    let mut world = World::new();
    world.apply(&window(
        "means",
        tumbling(MINUTE),
        &[("mean", "avg(x)"), ("n", "count(x)")],
    ));
    world.push(&[
        x(0, 1.0),
        x(30_000, 2.0),
        event("r1", 50_000, &[("y", 9.0)]),
        x(65_000, 5.0),
    ]);
    assert_eq!(
        world.lines(),
        ["000000060000 means/r1 window mean=1.5 n=2 [0,60000) r1 [1, 2]"]
    );
    world.tick(65_000 + 69_999);
    assert_eq!(world.told.len(), 1);
    world.tick(65_000 + 70_000);
    assert_eq!(
        world.lines()[1],
        "000000120000 means/r1 window mean=5.0 n=1 [60000,120000) r1 [4]"
    );
}

#[test]
fn what_complete_rows_say_is_bounded_too_while_it_waits_for_its_time() {
    let mut settings = crate::pipeline::PipelineSettings::default();
    settings.limits.waiting_rows = 2;
    let mut world = World::with(settings);
    let mut rule = window("means", tumbling(MINUTE), &[("mean", "avg(x)")]);
    rule.filter = Some(formula("where", "q > 0"));
    world.apply(&rule);
    let rows = [(0, 1.0), (1_000, 2.0), (2_000, 3.0), (3_000, 6.0)];
    world.push(&rows.map(|(time, value)| event("r1", time, &[("x", value), ("q", 1.0)])));
    assert_eq!(world.pipeline.counters("means", 0).forced, 2);
    world.push(&[event("r1", 70_000, &[("x", 1.0), ("q", 1.0)])]);
    let lines = world.lines();
    assert!(
        lines.iter().any(|line| line.contains("mean=3.0")),
        "{lines:?}"
    );
}

#[test]
fn late_rows_say_what_they_missed() {
    let mut world = World::new();
    let form = WindowForm::Hopping {
        size: Span(10_000),
        every: Span(5_000),
        offset: 0,
    };
    world.apply(&window("hops", form, &[("n", "count(x)")]));
    // W = 15 s closes [0, 10) and [5, 15); the row at 8 s missed both.
    world.push(&[x(2_000, 1.0), x(20_000, 1.0), x(8_000, 1.0)]);
    let late: Vec<_> = world
        .lines()
        .into_iter()
        .filter(|l| l.contains("late"))
        .collect();
    assert_eq!(
        late,
        ["000000008000 hops/r1 late missed=2 of=2 [0,10000) r1 [3]"]
    );
    assert_eq!(world.pipeline.counters("hops", 0).late, 1);
}

#[test]
fn a_correction_within_lateness_is_the_next_revision_and_having_takes_back() {
    let mut rule = window("means", tumbling(10_000), &[("mean", "avg(x)")]);
    if let Body::Window(window) = &mut rule.body {
        window.lateness = Span(60_000);
        window.having = Some(formula("having", "mean < 5"));
    }
    let mut world = World::new();
    world.apply(&rule);
    world.push(&[
        x(1_000, 1.0),
        x(15_000, 1.0),
        x(2_000, 3.0),
        x(3_000, 99.0),
        x(4_000, -99.0),
    ]);
    let window = "[0,10000)";
    assert_eq!(
        world
            .told
            .iter()
            .map(|o| super::print(o, &world.house))
            .collect::<Vec<_>>(),
        [
            format!("000000010000 means/r1 window mean=1.0 {window} r1 [1]"),
            format!("000000010000 means/r1 window mean=2.0 {window} r2 [1, 3]"),
            format!("000000010000 means/r1 window null {window} r3 [1, 4]"),
            format!("000000010000 means/r1 window mean=1.0 {window} r4 [1, 5]"),
        ]
    );
}

#[test]
fn groups_have_windows_of_their_own() {
    let mut rule = window(
        "lines",
        tumbling(10_000),
        &[("n", "count()"), ("at", "win_end")],
    );
    if let Body::Window(window) = &mut rule.body {
        window
            .by
            .push((Arc::from("line"), formula("by.line", "line")));
        window
            .by
            .push((Arc::from("site"), formula("by.site", "meta.site")));
    }
    let mut world = World::new();
    let mut traits = Traits::default();
    traits.meta.insert(Arc::from("site"), Arc::from("a,b"));
    world.describe("r1", traits);
    world.apply(&rule);
    let row = |time, line: Value| super::Event {
        resource: "r1".to_owned(),
        time,
        values: vec![("line".to_owned(), line)],
    };
    world.push(&[
        row(0, Value::Number(1.0)),
        row(1, Value::text("1.0")),
        row(2, Value::Number(1.0)),
        row(15_000, Value::Missing),
    ]);
    assert_eq!(
        world.lines(),
        [
            "000000010000 lines/r1/1.0,a\\,b window line=1.0 site=a,b n=1 at=10000.0 [0,10000) r1 [2]",
            "000000010000 lines/r1/1.0,a\\,b window line=1.0 site=a,b n=2 at=10000.0 [0,10000) r1 [1, 3]",
        ]
    );
}

#[test]
fn formulas_of_emit_see_aggregates_bare_metrics_and_filters() {
    let emit = [
        ("range", "max(x) - min(x)"),
        ("rate", "rate(x)"),
        ("high", "count_if(x > 2)"),
        ("mean", "avg(x, y > 0)"),
        ("y", "y"),
        ("sum", "sum(x * 2)"),
    ];
    let mut world = World::new();
    world.apply(&window("w", tumbling(10_000), &emit));
    let row = |time, x, y| event("r1", time, &[("x", x), ("y", y)]);
    world.push(&[
        row(0, 1.0, 0.0),
        row(2_000, 3.0, 1.0),
        x(4_000, 5.0),
        x(20_000, 0.0),
    ]);
    assert_eq!(
        world.lines(),
        [
            "000000010000 w/r1 window range=4.0 rate=1.0 high=2 mean=4.0 y=1.0 sum=18.0 [0,10000) r1 [1, 3]"
        ]
    );
}

#[test]
fn until_moves_every_watermark() {
    let mut world = World::new();
    world.apply(&window("means", tumbling(MINUTE), &[("mean", "avg(x)")]));
    world.push(&[x(0, 1.0), event("r2", 70_000, &[("x", 2.0)])]);
    world.until(MINUTE);
    assert_eq!(world.kinds("means"), [("window", MINUTE)]);
    world.until(2 * MINUTE);
    assert_eq!(world.told.len(), 2);
}
