//! [`TaskActor`]: one rule on one resource, from the first thing that it says. Turns outcomes into result lines and
//! actions, keeps its status, health and the last 64 outcomes.

mod remembered;
mod speaker;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_operators::Plan;
use tidegate_proto::outcome::{Outcome, OutcomeKind};
use tidegate_proto::rule::{Action, ActionKind, Body as RuleBody, On};
use tidegate_proto::time::Timestamp;
use tidegate_proto::value::Value;

use crate::actor::{Actor, ActorError, Turn};
use crate::epoch::OutputOrder;
use crate::observe::TaskOutcome;
use remembered::{DELIVERED, Remembered, UNDELIVERED};
use speaker::Speaker;

/// Header of the lines of a rule that raises alarms: how bad they are.
pub const ALARM_HEADER: &str = "tg-alarm";

/// Outcomes that a task remembers.
const REMEMBERED: usize = 64;

/// What one action of the rule remembers on this task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct ActionState {
    /// Event time of the last run.
    last: Option<Timestamp>,
    /// Runs so far, for `once`.
    runs: u64,
}

/// One rule on one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskActor {
    raised: Option<Timestamp>,
    actions: Vec<ActionState>,
    throttled: u64,
    trouble: Option<Arc<str>>,
    outcomes: VecDeque<Remembered>,
}

/// A task before a turn: all but what it remembers, because that is the last thing a turn does and it cannot fail.
#[derive(Debug)]
pub struct TaskBefore {
    raised: Option<Timestamp>,
    actions: Vec<ActionState>,
    throttled: u64,
    trouble: Option<Arc<str>>,
}

/// What a task is told.
#[derive(Debug)]
pub enum TaskMessage<'a> {
    /// The rule said something.
    Said {
        /// What.
        outcome: &'a Outcome,
        /// The rule.
        plan: &'a Plan,
        /// Id of the resource.
        resource: &'a Arc<str>,
        /// Where the line stands.
        order: OutputOrder,
        /// Events that rules set stand in a row before it, and how many may.
        depth: (u32, u32),
    },
    /// A handler is done with an action, or has given it up.
    Delivered {
        /// Id of the action.
        action: &'a str,
        /// Why it was given up.
        error: Option<&'a str>,
        /// Attempts.
        attempts: u32,
    },
}

impl Actor for TaskActor {
    type Message<'a> = TaskMessage<'a>;
    type Before = TaskBefore;

    fn before(&self) -> TaskBefore {
        TaskBefore {
            raised: self.raised,
            actions: self.actions.clone(),
            throttled: self.throttled,
            trouble: self.trouble.clone(),
        }
    }

    fn restore(&mut self, before: TaskBefore) {
        self.raised = before.raised;
        self.actions = before.actions;
        self.throttled = before.throttled;
        self.trouble = before.trouble;
    }

    fn receive(&mut self, message: TaskMessage<'_>, turn: &mut Turn) -> Result<(), ActorError> {
        match message {
            TaskMessage::Said {
                outcome,
                plan,
                resource,
                order,
                depth,
            } => {
                self.said(outcome, plan, resource, (&Arc::new(order), depth), turn);
                if !matches!(outcome.kind, OutcomeKind::Late | OutcomeKind::Holds) {
                    let kind = outcome.kind.word();
                    self.remember(Remembered::new(outcome.time, kind, detail(outcome)));
                }
            }
            TaskMessage::Delivered {
                action,
                error,
                attempts,
            } => {
                let last = self
                    .outcomes
                    .back()
                    .map_or(Timestamp(0), |outcome| outcome.time);
                let kind = if error.is_some() {
                    UNDELIVERED
                } else {
                    DELIVERED
                };
                self.trouble = error.map(Arc::from);
                let tries = if attempts == 1 { "attempt" } else { "attempts" };
                let detail = match error {
                    Some(error) => format!("{action}: {error} after {attempts} {tries}"),
                    None => format!("{action} after {attempts} {tries}"),
                };
                // A dispatcher that restarted may say the same again.
                let told =
                    |o: &Remembered| o.detail.as_deref().is_some_and(|d| d.starts_with(action));
                if !self.outcomes.iter().any(|o| o.kind == kind && told(o)) {
                    self.remember(Remembered::new(last, kind, detail));
                }
            }
        }
        Ok(())
    }
}

impl TaskActor {
    fn said(
        &mut self,
        outcome: &Outcome,
        plan: &Plan,
        resource: &Arc<str>,
        (order, depth): (&Arc<OutputOrder>, (u32, u32)),
        turn: &mut Turn,
    ) {
        match outcome.kind {
            OutcomeKind::Raised => self.raised = Some(outcome.time),
            OutcomeKind::Cleared => self.raised = None,
            OutcomeKind::Error => self.trouble = Some(Arc::from(detail(outcome))),
            _ => {}
        }
        let actions = plan.rule().then.iter().enumerate();
        let mut actions =
            actions.filter(|(index, action)| self.runs(*index, action, outcome, plan));
        // That a condition still holds is no news: only actions that run every time hear of it.
        let news = outcome.kind != OutcomeKind::Holds;
        let first = actions.next();
        if news || first.is_some() {
            let speaker = Speaker::new(outcome, plan, resource, order, depth);
            if news {
                speaker.tell_targets(turn);
            }
            for (index, action) in first.into_iter().chain(actions) {
                speaker.act(index, action, turn);
            }
        }
    }

    /// Whether an action runs on this outcome, by `on`, `once` and `at_most_every`; takes note if it does.
    fn runs(&mut self, index: usize, action: &Action, outcome: &Outcome, plan: &Plan) -> bool {
        let of_pattern = matches!(plan.rule().body, RuleBody::Pattern(_) | RuleBody::Graph(_));
        if let RuleBody::Graph(graph) = &plan.rule().body
            && graph.actuators.get(index).map(AsRef::as_ref) != fired(outcome)
        {
            return false;
        }
        let on = match outcome.kind {
            // The match or firing itself runs them: the alarm's line beside it is only the alarm.
            OutcomeKind::Raised | OutcomeKind::Updated if of_pattern => return false,
            OutcomeKind::Raised
            | OutcomeKind::Window
            | OutcomeKind::Match
            | OutcomeKind::Result => On::Raised,
            OutcomeKind::Updated => On::Updated,
            OutcomeKind::Cleared => On::Cleared,
            OutcomeKind::State if is_repeat(outcome) => On::Again,
            OutcomeKind::Holds if action.every_time => On::Raised,
            OutcomeKind::State | OutcomeKind::Holds | OutcomeKind::Late | OutcomeKind::Error => {
                return false;
            }
        };
        // An alarm is its own lines: they are out already.
        if !action.on.contains(&on) || matches!(action.kind, ActionKind::Alarm { .. }) {
            return false;
        }
        if self.actions.len() <= index {
            self.actions.resize(index + 1, ActionState::default());
        }
        let Some(state) = self.actions.get_mut(index) else {
            return false;
        };
        let too_soon = action
            .at_most_every
            .zip(state.last)
            .is_some_and(|(span, last)| outcome.time < last.plus(span));
        if too_soon || (action.once && state.runs > 0) {
            self.throttled += 1;
            return false;
        }
        state.last = Some(outcome.time);
        state.runs += 1;
        true
    }

    fn remember(&mut self, outcome: Remembered) {
        if self.outcomes.len() >= REMEMBERED {
            self.outcomes.pop_front();
        }
        self.outcomes.push_back(outcome);
    }

    /// Since when the rule has been raised on this resource.
    #[must_use]
    pub const fn raised(&self) -> Option<Timestamp> {
        self.raised
    }

    /// Actions held back.
    #[must_use]
    pub const fn throttled(&self) -> u64 {
        self.throttled
    }

    /// `ok`, or what is wrong.
    #[must_use]
    pub fn health(&self) -> String {
        self.trouble.as_deref().unwrap_or("ok").to_owned()
    }

    /// Newest outcomes, oldest first.
    #[must_use]
    pub fn outcomes(&self) -> Vec<TaskOutcome> {
        self.outcomes
            .iter()
            .cloned()
            .map(TaskOutcome::from)
            .collect()
    }
}

/// The actuator that a line says was fired.
fn fired(outcome: &Outcome) -> Option<&str> {
    let values = outcome.values.as_deref().unwrap_or_default();
    match values.first() {
        Some((name, Value::Text(fired))) if name.as_ref() == "fired" => Some(fired),
        _ => None,
    }
}

/// Whether a line says that the alarm is told again.
fn is_repeat(outcome: &Outcome) -> bool {
    let values = outcome.values.as_deref().unwrap_or_default();
    values
        .first()
        .is_some_and(|(name, _)| name.as_ref() == "again")
}

/// One word of detail for the list of outcomes: severity, message, nothing.
fn detail(outcome: &Outcome) -> String {
    let wanted = |name: &str| matches!(name, "severity" | "message" | "reason");
    let values = outcome.values.as_deref().unwrap_or_default();
    values
        .iter()
        .find(|(name, _)| wanted(name))
        .map(|(_, value)| value.to_string())
        .unwrap_or_default()
}
