//! Conditions over time, with the numbers of the specification.

use tidegate_proto::rule::Body;
use tidegate_proto::{Severity, Span, Value};

use super::{MINUTE, World, event, formula, in_time, when, with_alarm};

fn hot(time: i64, value: f64) -> super::Event {
    event("r1", time, &[("temperature", value)])
}

#[test]
fn a_condition_is_raised_and_cleared_at_its_rows() {
    let mut world = World::new();
    let text = "now ${temperature} at ${resource}";
    world.apply(&with_alarm(
        when("hot", "temperature > 90", 0),
        Severity::Major,
        text,
    ));
    world.push(&[
        hot(1000, 80.0),
        hot(2000, 95.0),
        hot(3000, 96.5),
        hot(4000, 85.0),
    ]);
    assert_eq!(
        world.lines(),
        [
            "000000002000 hot/r1 raised severity=MAJOR text=now 95.0 at r1 temperature=95.0 r1 [2] `now 95.0 at r1`",
            "000000004000 hot/r1 cleared severity=MAJOR text=now 85.0 at r1 temperature=85.0 r1 [4] `now 85.0 at r1`",
        ]
    );
}

#[test]
fn hold_ends_before_the_row_of_its_instant() {
    let mut world = World::new();
    world.apply(&when("hot", "temperature > 90", 2 * MINUTE));
    world.push(&[hot(0, 95.0), hot(2 * MINUTE, 80.0)]);
    assert_eq!(
        world.lines(),
        [
            "000000120000 hot/r1 cleared temperature=80.0 r1 [2]",
            "000000120000 hot/r1 raised temperature=95.0 r1 [1]",
        ]
    );
    assert_eq!(
        world.kinds("hot"),
        [("raised", 120_000), ("cleared", 120_000)]
    );
    let mut world = World::new();
    world.apply(&when("hot", "temperature > 90", 2 * MINUTE));
    world.push(&[hot(0, 95.0), hot(2 * MINUTE - 1, 80.0)]);
    world.until(10 * MINUTE);
    assert_eq!(world.lines(), [""; 0]);
}

#[test]
fn a_silent_resource_ends_its_hold_idle_later() {
    let mut world = World::new();
    world.apply(&when("hot", "temperature > 90", 2 * MINUTE));
    world.push(&[hot(0, 95.0), hot(1000, 97.0)]);
    assert_eq!(world.pipeline.next_clock().map(|t| t.0), Some(135_000));
    world.tick(134_999);
    assert_eq!(world.told.len(), 0);
    world.tick(135_000);
    // The values are those of the last row judged, the cause is the row that began the run.
    assert_eq!(
        world.lines(),
        ["000000120000 hot/r1 raised temperature=97.0 r1 [1]"]
    );
}

#[test]
fn a_limit_that_is_reached_is_counted_each_time_and_told_once_an_hour() {
    let mut settings = crate::pipeline::PipelineSettings::default();
    settings.limits.waiting_rows = 2;
    let mut world = World::with(settings);
    world.apply(&in_time(when("hot", "temperature > 90", 0)));
    world.push(&[hot(0, 1.0), hot(1000, 1.0), hot(2000, 1.0), hot(3000, 1.0)]);
    assert_eq!(world.kinds("hot"), [("error", 0)]);
    assert_eq!(world.pipeline.counters("hot", 0).forced, 2);
}

#[test]
fn hysteresis_reads_clear_only_while_raised() {
    let mut rule = when("hot", "temperature > 90", 0);
    if let Body::When(when) = &mut rule.body {
        when.levels[0].clear = Some(formula("clear", "temperature < 85"));
        when.levels[0].clear_hold = Span(30_000);
    }
    let mut world = World::new();
    world.apply(&rule);
    let rows = [
        (0, 80.0),
        (1, 91.0),
        (2, 84.0),
        (3, 86.0),
        (10_000, 84.0),
        (40_000, 70.0),
    ];
    world.push(&rows.map(|(time, value)| hot(time, value)));
    assert_eq!(world.kinds("hot"), [("raised", 1), ("cleared", 40_000)]);
}

#[test]
fn unknown_changes_nothing_and_is_counted() {
    let mut world = World::new();
    world.apply(&when("far", "temperature > load", 0));
    world.push(&[hot(0, 95.0), event("r1", 1, &[("load", 1.0)]), hot(2, 0.0)]);
    assert_eq!(world.kinds("far"), [("raised", 1), ("cleared", 2)]);
    assert_eq!(world.pipeline.counters("far", 0).unknown, 1);
}

#[test]
fn an_error_is_told_once_an_hour() {
    let mut world = World::new();
    world.apply(&when("hot", "temperature > 90", 0));
    let broken = |time| super::Event {
        resource: "r1".to_owned(),
        time,
        values: vec![("temperature".to_owned(), Value::text("warm"))],
    };
    world.push(&[broken(0), broken(1), broken(3_599_999), broken(3_600_000)]);
    assert_eq!(world.kinds("hot"), [("error", 0), ("error", 3_600_000)]);
    assert_eq!(world.pipeline.counters("hot", 0).errors, 4);
}

#[test]
fn a_row_out_of_order_is_judged_as_of_the_latest_time() {
    let mut world = World::new();
    world.apply(&when("busy", "sum(x, \"10s\") > 5", 0));
    let x = |time, value| event("r1", time, &[("x", value)]);
    world.push(&[x(10_000, 3.0), x(5_000, 4.0), x(15_000, 1.0)]);
    // At 15 s the row of 5 s has left: (5, 15].
    assert_eq!(
        world.kinds("busy"),
        [("raised", 10_000), ("cleared", 15_000)]
    );
}

#[test]
fn counts_are_judged_again_when_rows_leave() {
    let mut world = World::new();
    world.apply(&when("many", "count_if(x > 0, \"10s\") >= 2", 0));
    let x = |time| event("r1", time, &[("x", 1.0)]);
    world.push(&[x(0), x(4_000)]);
    world.tick(24_999);
    assert_eq!(world.kinds("many"), [("raised", 4_000)]);
    world.tick(25_000);
    assert_eq!(
        world.kinds("many"),
        [("raised", 4_000), ("cleared", 10_000)]
    );
}

#[test]
fn stale_is_true_at_last_plus_the_span() {
    let mut world = World::new();
    world.apply(&when("quiet", "stale(x, \"10m\")", 0));
    world.push(&[event("r1", 0, &[("x", 1.0)])]);
    world.tick(10 * MINUTE + 14_999);
    assert_eq!(world.told.len(), 0);
    world.tick(10 * MINUTE + 15_000);
    assert_eq!(world.kinds("quiet"), [("raised", 10 * MINUTE)]);
    world.push(&[event("r1", 11 * MINUTE, &[("x", 1.0)])]);
    assert_eq!(
        world.kinds("quiet"),
        [("raised", 10 * MINUTE), ("cleared", 11 * MINUTE)]
    );
}

#[test]
fn held_is_true_at_since_plus_the_span() {
    let mut world = World::new();
    world.apply(&when("long", "held(x > 0, \"5m\") && y > 0", 0));
    let both = |time, x, y| event("r1", time, &[("x", x), ("y", y)]);
    world.push(&[
        both(0, 1.0, 1.0),
        both(MINUTE, 2.0, 1.0),
        both(6 * MINUTE, 0.0, 1.0),
    ]);
    assert_eq!(
        world.kinds("long"),
        [("raised", 5 * MINUTE), ("cleared", 6 * MINUTE)]
    );
}

#[test]
fn event_time_order_waits_for_the_watermark_and_tells_late_rows() {
    let mut world = World::new();
    world.apply(&in_time(when("up", "changed(x)", 0)));
    let x = |time, value| event("r1", time, &[("x", value)]);
    world.push(&[x(2_000, 1.0), x(1_000, 2.0), x(7_000, 1.0)]);
    // W = 2 s: the rows at 1 s and 2 s are taken in order of time.
    assert_eq!(world.kinds("up"), [("raised", 2_000)]);
    world.push(&[x(1_999, 1.0), x(12_000, 1.0)]);
    assert_eq!(
        world.kinds("up"),
        [("raised", 2_000), ("late", 1_999), ("cleared", 7_000)]
    );
    assert_eq!(world.pipeline.counters("up", 0).late, 1);
}

#[test]
fn where_sees_every_row_and_lets_the_rule_see_some() {
    let mut world = World::new();
    let mut rule = when("hot", "temperature > 90", 0);
    rule.filter = Some(formula("where", "quality > 0"));
    world.apply(&rule);
    let row = |time, temperature, quality| {
        event(
            "r1",
            time,
            &[("temperature", temperature), ("quality", quality)],
        )
    };
    world.push(&[
        row(0, 95.0, 0.0),
        hot(1, 95.0),
        row(2, 95.0, 1.0),
        hot(3, 10.0),
    ]);
    assert_eq!(world.kinds("hot"), [("raised", 2), ("cleared", 3)]);
}

#[test]
fn rules_that_came_together_share_what_they_look_back_on() {
    let mut world = World::new();
    world.apply(&when("one", "avg(a, \"5s\") > 4", 0));
    world.apply(&when("two", "avg(a, \"5s\") > 6", 1_000));
    world.apply(&when("other", "sum(a, \"5s\") > 6", 0));
    world.push(&[
        event("r1", 0, &[("a", 1.0)]),
        event("r1", 1_000, &[("b", 1.0)]),
    ]);
    let shared = |rule: &str| {
        let portrait = world.pipeline.portrait(rule, 8).unwrap();
        let nodes = portrait.nodes.into_iter();
        let nodes: Vec<_> = nodes
            .map(|node| (node.name, node.rows, node.shared_with))
            .collect();
        nodes
    };
    let of = |sum: &str, shared: u64, when: u64| {
        vec![
            ("input".to_owned(), 0, shared),
            ("a".to_owned(), 0, shared),
            (format!("{sum}(a,\"5s\")"), 1, shared),
            ("when".to_owned(), 0, when),
        ]
    };
    assert_eq!(shared("one"), of("avg", 1, 0));
    assert_eq!(shared("two"), of("avg", 1, 0));
    assert_eq!(shared("other"), of("sum", 0, 0));
    assert_eq!(world.pipeline.portrait("none", 8), None);
}
