//! Which actions run on which outcomes.

use tidegate_proto::outcome::Trigger;
use tidegate_proto::value::Value;

use super::*;
use crate::actor::Effect;
use crate::epoch::Destination;
use crate::rule::parse_rule;

const RULE: &str = "kind: Rule
name: hot
for: all
when: t > 90.0
again: 10m
then:
  - alarm: { severity: MAJOR }
  - topic: { name: first }
  - topic: { name: every }
    every_time: true
  - topic: { name: seldom }
    every_time: true
    at_most_every: 2s
  - topic: { name: still }
    on: [ again ]
  - topic: { name: both }
    on: [ again, cleared ]
    once: true
to: [ results ]
";

/// A task of the rule, and what it has been told.
struct Told {
    plan: Plan,
    task: TaskActor,
}

impl Told {
    fn new() -> Self {
        let (_, plan) = parse_rule(RULE).unwrap();
        let task = TaskActor::default();
        Self { plan, task }
    }

    /// Topics that hear of an outcome, `-` for a result line.
    fn hear(&mut self, kind: OutcomeKind, time: i64, noted: Option<(&str, i64)>) -> Vec<String> {
        let values = noted.map(|(name, value)| (Arc::from(name), Value::Int(value)));
        let outcome = Outcome {
            rule: Arc::from("hot"),
            resource: 0,
            group: Arc::from(""),
            time: Timestamp(time),
            kind,
            values: Some(values.into_iter().collect()),
            window: None,
            revision: 1,
            cause: Default::default(),
            texts: Vec::new(),
            trigger: Trigger::Clock,
        };
        let order = OutputOrder {
            trigger: Trigger::Clock,
            rule: "hot".into(),
            task: "hot/r".to_owned(),
            window: None,
            kind,
            revision: 1,
            cause: Vec::new(),
        };
        let mut turn = Turn::new(Trigger::Clock, 1);
        let message = TaskMessage::Said {
            depth: (0, 16),
            outcome: &outcome,
            plan: &self.plan,
            resource: &Arc::from("r"),
            order,
        };
        self.task.receive(message, &mut turn).unwrap();
        let places = turn.into_effects().into_iter();
        let name = |effect: Effect| match effect.destination {
            Destination::User(topic) => topic.to_string(),
            Destination::Results => "-".to_owned(),
            other => format!("{other:?}"),
        };
        places.map(name).collect()
    }
}

#[test]
fn actions_of_every_time_run_at_each_true_evaluation_and_make_no_line() {
    let mut told = Told::new();
    assert_eq!(
        told.hear(OutcomeKind::Raised, 1_000, None),
        ["-", "first", "every", "seldom"]
    );
    assert_eq!(told.hear(OutcomeKind::Holds, 2_000, None), ["every"]);
    assert_eq!(
        told.hear(OutcomeKind::Holds, 3_000, None),
        ["every", "seldom"]
    );
    assert_eq!(told.task.throttled(), 1);
    let kinds = told.task.outcomes().into_iter().map(|outcome| outcome.kind);
    assert_eq!(kinds.collect::<Vec<_>>(), ["raised"]);
    assert_eq!(told.task.raised(), Some(Timestamp(1_000)));
}

#[test]
fn actions_of_again_run_on_repeats_and_on_no_other_state() {
    let mut told = Told::new();
    told.hear(OutcomeKind::Raised, 0, None);
    assert_eq!(
        told.hear(OutcomeKind::State, 600_000, Some(("again", 1))),
        ["-", "still", "both"]
    );
    assert_eq!(
        told.hear(OutcomeKind::State, 600_000, Some(("flapping", 1))),
        ["-"]
    );
    assert_eq!(
        told.hear(OutcomeKind::State, 1_200_000, Some(("again", 2))),
        ["-", "still"]
    );
    // `once` counts runs on whatever the action is for.
    assert_eq!(told.hear(OutcomeKind::Cleared, 1_300_000, None), ["-"]);
    assert_eq!(told.task.raised(), None);
    assert_eq!(told.task.throttled(), 2);
}
