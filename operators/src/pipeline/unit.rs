//! [`Unit`]: one running rule with a condition: the machines of its tasks, its counters, and the lines that it tells.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tidegate_proto::{EventRef, Outcome, OutcomeKind, Timestamp, Trigger, Value};

use super::TaskCounters;
use super::excess::Excesses;
use crate::condition::{Note, Task, Told};
use crate::plan::Plan;
use crate::plan::condition::ConditionPlan;
use crate::plan::texts::Rendered;
use crate::timer::IDLE;
use crate::watermark::cell;

/// An error line is told once per hour of event time.
const HOUR: i64 = 3_600_000;

/// All of a rule that a snapshot keeps.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct UnitState {
    /// Machines by resource; empty when the rule is in a threshold table.
    pub(crate) tasks: Vec<Task>,
    /// Number of the group's threshold table that judges this rule.
    pub(crate) table: Option<usize>,
    pub(crate) counters: BTreeMap<u32, TaskCounters>,
    /// Hour of the last error line per resource.
    hours: BTreeMap<u32, i64>,
    pub(crate) excesses: Excesses,
}

/// One running rule.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) plan: Arc<Plan>,
    pub(crate) condition: Arc<ConditionPlan>,
    pub(crate) state: UnitState,
}

/// What a line is about.
#[derive(Clone, Debug)]
pub(crate) struct Tale {
    pub(crate) kind: OutcomeKind,
    pub(crate) resource: u32,
    pub(crate) time: i64,
    pub(crate) cause: Option<EventRef>,
    pub(crate) trigger: Trigger,
}

/// A line of a rule without texts.
pub(crate) fn line(rule: &Arc<str>, tale: &Tale, values: Vec<(Arc<str>, Value)>) -> Outcome {
    Outcome {
        rule: Arc::clone(rule),
        resource: tale.resource,
        group: Arc::from(""),
        time: Timestamp(tale.time),
        kind: tale.kind,
        values: Some(values),
        window: None,
        revision: 1,
        cause: tale.cause.iter().cloned().collect::<SmallVec<_>>(),
        texts: Vec::new(),
        trigger: tale.trigger,
    }
}

impl Unit {
    pub(crate) fn new(plan: &Arc<Plan>, condition: &Arc<ConditionPlan>) -> Self {
        Self {
            plan: Arc::clone(plan),
            condition: Arc::clone(condition),
            state: UnitState::default(),
        }
    }

    /// The texts of the rule over values by place.
    fn texts(&self, value: &dyn Fn(usize) -> Value) -> Rendered {
        Rendered::of(&self.plan.texts, |place| value(*place))
    }

    /// What a machine has to tell, with the values by place, and what failed in its texts.
    pub(crate) fn report(
        &mut self,
        who: (u32, Trigger),
        told: Told,
        value: &dyn Fn(usize) -> Value,
        out: &mut Vec<Outcome>,
    ) {
        let said = self.reported(who, told, value);
        self.say(said, out);
    }

    /// A line, and what failed in its texts.
    pub(crate) fn say(
        &mut self,
        (outcome, failed): (Outcome, Option<String>),
        out: &mut Vec<Outcome>,
    ) {
        let failed = failed.map(|message| {
            let tale = Tale {
                kind: OutcomeKind::Error,
                resource: outcome.resource,
                time: outcome.time.0,
                cause: outcome.cause.first().cloned(),
                trigger: outcome.trigger,
            };
            (tale, message)
        });
        out.push(outcome);
        if let Some((tale, message)) = failed {
            self.count(tale.resource, |counters| counters.errors += 1);
            out.extend(self.hourly(&tale, &message));
        }
    }

    fn reported(
        &self,
        (resource, trigger): (u32, Trigger),
        told: Told,
        value: &dyn Fn(usize) -> Value,
    ) -> (Outcome, Option<String>) {
        let tale = Tale {
            kind: told.kind,
            resource,
            time: told.time,
            cause: told.row,
            trigger,
        };
        let noted = |name: &str, noted: Value| {
            let mut outcome = line(&self.plan.name, &tale, vec![(Arc::from(name), noted)]);
            let rendered = self.texts(value);
            outcome.texts = rendered.texts;
            (outcome, rendered.failed)
        };
        match told.note {
            Note::Plain => self.told(&tale, told.level, value),
            Note::Again(count) => noted("again", Value::Int(count)),
            Note::Flapping(flaps) => noted("flapping", Value::Bool(flaps)),
            Note::Schedule => noted("reason", Value::text("schedule")),
        }
    }

    /// A line about the condition with the values by place; `level` says whose severity it has.
    pub(crate) fn tell(
        &self,
        tale: &Tale,
        level: Option<usize>,
        value: &dyn Fn(usize) -> Value,
    ) -> Outcome {
        self.told(tale, level, value).0
    }

    /// The same, and what failed in its texts.
    pub(crate) fn told(
        &self,
        tale: &Tale,
        level: Option<usize>,
        value: &dyn Fn(usize) -> Value,
    ) -> (Outcome, Option<String>) {
        let Rendered { texts, failed } = self.texts(value);
        let mut values = Vec::with_capacity(self.condition.shown.len() + 2);
        let levels = &self.condition.rules.levels;
        // Where there is but one, nothing else can have raised the alarm.
        let level = level.or((levels.len() == 1).then_some(0));
        let level = level.and_then(|level| levels.get(level));
        let own = self.condition.alarm.and_then(|alarm| alarm.severity);
        if let Some(severity) = level.and_then(|level| level.severity).or(own) {
            let severity = Value::text(severity.word());
            values.push((Arc::from("severity"), severity));
        }
        if let Some(alarm) = self.condition.alarm
            && let Some(text) = alarm.text.and_then(|index| texts.get(index))
        {
            values.push((Arc::from("text"), Value::Text(Arc::clone(text))));
        }
        let shown = self.condition.shown.iter();
        values.extend(shown.map(|(label, place)| (Arc::clone(label), value(*place))));
        let mut outcome = line(&self.plan.name, tale, values);
        outcome.texts = texts;
        (outcome, failed)
    }

    /// `cleared` for a reason other than the condition.
    pub(crate) fn tell_end(
        &self,
        tale: &Tale,
        reason: &str,
        value: &dyn Fn(usize) -> Value,
    ) -> Outcome {
        let values = vec![(Arc::from("reason"), Value::text(reason))];
        let mut outcome = line(&self.plan.name, tale, values);
        outcome.texts = self.texts(value).texts;
        outcome
    }

    pub(crate) fn count(&mut self, resource: u32, add: impl FnOnce(&mut TaskCounters)) {
        add(self.state.counters.entry(resource).or_default());
    }

    /// Counts a failed formula; a line about it at most once per task and hour.
    pub(crate) fn fail(&mut self, tale: &Tale, message: &str) -> Option<Outcome> {
        self.count(tale.resource, |counters| {
            counters.errors += 1;
            counters.unknown += 1;
        });
        self.hourly(tale, message)
    }

    /// A line about what failed, at most once per task and hour.
    fn hourly(&mut self, tale: &Tale, message: &str) -> Option<Outcome> {
        let hour = tale.time.div_euclid(HOUR);
        let last = self.state.hours.insert(tale.resource, hour);
        if last.is_some_and(|last| last >= hour) {
            self.state.hours.insert(tale.resource, last.unwrap_or(hour));
            return None;
        }
        let values = vec![(Arc::from("message"), Value::text(message))];
        Some(line(&self.plan.name, tale, values))
    }

    /// The machine of a resource.
    pub(crate) fn task(&mut self, resource: u32) -> &mut Task {
        cell(&mut self.state.tasks, resource, Task::default())
    }

    /// When the next timer of a resource is due.
    pub(crate) fn due(&self, resource: u32) -> i64 {
        let task = self.state.tasks.get(resource as usize);
        task.map_or(IDLE, |task| task.due(&self.condition.rules))
    }

    pub(crate) fn bytes(&self) -> usize {
        let kept = self.state.tasks.iter().filter(|task| task.kept.is_some());
        self.state.tasks.capacity() * size_of::<Task>()
            + kept.count() * (size_of::<crate::condition::Kept>() + 64)
            + (self.state.counters.len() + self.state.hours.len()) * 48
    }
}
