//! Rules that change while they run: what is equal keeps its state, what is raised stays raised.

use std::sync::Arc;

use tidegate_proto::{Selector, Severity, Span, Traits};

use super::{MINUTE, World, event, tumbling, when, window, with_alarm};
use crate::pipeline::PartState;

fn hot(resource: &str, time: i64, value: f64) -> super::Event {
    event(resource, time, &[("temperature", value)])
}

#[test]
fn removing_a_rule_clears_what_it_raised() {
    for hold in [0, 1] {
        let mut world = World::new();
        world.apply(&when("hot", "temperature > 90", hold));
        world.push(&[hot("r1", 1000, 95.0), hot("r1", 2000, 96.0)]);
        world.remove("hot");
        let told = world.lines();
        assert_eq!(
            told[1],
            "000000002000 hot/r1 cleared reason=rule removed r1 []"
        );
        assert_eq!(told.len(), 2);
    }
}

#[test]
fn a_raised_flag_outlives_its_condition_until_the_next_row() {
    for hold in [0, 1] {
        let mut world = World::new();
        world.apply(&when("hot", "temperature > 90", hold));
        world.push(&[
            hot("r1", 1000, 93.0),
            hot("r1", 2000, 93.0),
            hot("r2", 1, 99.0),
        ]);
        world.push(&[hot("r2", 2, 99.0)]);
        world.told.clear();
        world.apply(&when("hot", "temperature > 95", hold));
        assert_eq!(world.told.len(), 0);
        world.restore();
        world.push(&[hot("r1", 3000, 94.0), hot("r2", 3000, 99.0)]);
        assert_eq!(world.kinds("hot"), [("cleared", 3000)]);
    }
}

#[test]
fn a_running_hold_goes_on_from_the_same_start() {
    let mut world = World::new();
    world.apply(&when("hot", "temperature > 90", 10 * MINUTE));
    world.push(&[hot("r1", 0, 95.0), hot("r1", 3 * MINUTE, 95.0)]);
    let report = world.apply(&when("hot", "temperature > 90", 2 * MINUTE));
    assert_eq!(report.parts[0].state, PartState::Kept);
    // Past due: at once, at the watermark.
    assert_eq!(world.kinds("hot"), [("raised", 3 * MINUTE)]);
    world.push(&[hot("r1", 4 * MINUTE, 95.0)]);
    assert_eq!(world.kinds("hot"), [("raised", 3 * MINUTE)]);
}

#[test]
fn equal_lookbacks_keep_their_rows() {
    let mut world = World::new();
    world.apply(&when("hot", "avg(temperature, \"5m\") > 90", 0));
    world.push(&[hot("r1", 0, 100.0)]);
    world.told.clear();
    let report = world.apply(&when("hot", "avg(temperature, \"5m\") > 80 && load > 0", 0));
    let states: Vec<_> = report.parts.iter().map(|part| part.state).collect();
    assert_eq!(states, [PartState::New, PartState::Kept]);
    assert_eq!(report.parts[0].why_new.as_deref(), Some("when"));
    world.push(&[event("r1", 1000, &[("temperature", 64.0), ("load", 1.0)])]);
    // (100 + 64) / 2 = 82: raised before and still, so nothing is told.
    assert_eq!(world.told.len(), 0);
    assert_eq!(
        world.pipeline.active("hot", 0).map(|s| s.raised),
        Some(true)
    );
}

#[test]
fn a_changed_severity_is_told() {
    let mut world = World::new();
    let rule = when("hot", "temperature > 90", 0);
    world.apply(&with_alarm(rule.clone(), Severity::Minor, "t"));
    world.push(&[hot("r1", 1000, 95.0), hot("r2", 1000, 15.0)]);
    world.told.clear();
    world.apply(&with_alarm(rule, Severity::Critical, "t"));
    assert_eq!(
        world.lines(),
        ["000000001000 hot/r1 updated severity=CRITICAL text=t temperature=95.0 r1 [] `t`"]
    );
}

#[test]
fn a_resource_that_no_longer_matches_is_cleared_and_forgotten() {
    let mut rule = when("hot", "temperature > 90", 0);
    rule.selector = Selector::Match {
        kind: Some(Arc::from("boiler")),
        labels: Default::default(),
    };
    let boiler = Traits {
        kind: Some(Arc::from("boiler")),
        ..Traits::default()
    };
    for hold in [0, 1] {
        if let tidegate_proto::rule::Body::When(when) = &mut rule.body {
            when.levels[0].hold = tidegate_proto::Span(hold);
        }
        let mut world = World::new();
        world.describe("r1", boiler.clone());
        world.apply(&rule);
        world.push(&[
            hot("r1", 1000, 95.0),
            hot("r1", 1001, 95.0),
            hot("r2", 1000, 95.0),
        ]);
        assert_eq!(world.told.len(), 1);
        world.describe("r1", Traits::default());
        assert_eq!(world.told.len(), 2);
        let last = super::print(&world.told[1], &world.house);
        assert!(last.contains("cleared reason=no longer matches"), "{last}");
        world.push(&[hot("r1", 2000, 95.0)]);
        world.describe("r1", boiler.clone());
        world.push(&[hot("r1", 3000, 95.0), hot("r1", 3001, 95.0)]);
        assert_eq!(world.told.len(), 3);
    }
}

#[test]
fn windows_of_an_equal_rule_go_on() {
    let mut world = World::new();
    world.apply(&window("w", tumbling(MINUTE), &[("mean", "avg(x)")]));
    world.push(&[event("r1", 0, &[("x", 1.0)])]);
    world.apply(&window("w", tumbling(MINUTE), &[("average", "avg(x) + 1")]));
    world.push(&[event("r1", 65_000, &[("x", 1.0)])]);
    assert_eq!(
        world.lines(),
        ["000000060000 w/r1 window average=2.0 [0,60000) r1 [1]"]
    );
}

#[test]
fn an_added_aggregate_starts_empty_and_the_others_go_on() {
    for form in [tumbling(MINUTE), sliding(MINUTE)] {
        let mut world = World::new();
        let x = |time, value| event("r1", time, &[("x", value)]);
        world.apply(&window("w", form, &[("low", "min(x)"), ("mean", "avg(x)")]));
        world.push(&[x(0, 1.0), x(1_000, 3.0)]);
        world.told.clear();
        world.apply(&window("w", form, &[("n", "count(x)"), ("mean", "avg(x)")]));
        world.restore();
        world.push(&[x(2_000, 8.0)]);
        world.until(2_000_000);
        let last = super::print(world.told.last().unwrap(), &world.house);
        assert!(last.contains("window n=1 mean=4.0"), "{last}");
    }
}

const fn sliding(size: i64) -> tidegate_proto::WindowForm {
    tidegate_proto::WindowForm::Sliding {
        size: Span(size),
        closed: false,
        per_row: false,
    }
}
