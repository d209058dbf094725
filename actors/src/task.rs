//! [`TaskActor`]: one rule on one resource, from the first thing that it says. Turns outcomes into result lines and
//! actions, keeps its status, health and the last 64 outcomes.

mod remembered;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_operators::Plan;
use tidegate_proto::json::write_text;
use tidegate_proto::outcome::{Outcome, OutcomeKind};
use tidegate_proto::rule::{Action, ActionKind, Body as RuleBody, On, Target};
use tidegate_proto::time::Timestamp;
use tidegate_proto::value::Value;

use crate::actor::{Actor, ActorError, Body, Effect, Turn};
use crate::epoch::{Destination, OutputOrder};
use crate::observe::TaskOutcome;
use crate::result;
use remembered::{DELIVERED, Remembered, UNDELIVERED};

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

    fn receive(&mut self, message: TaskMessage<'_>, turn: &mut Turn) -> Result<(), ActorError> {
        match message {
            TaskMessage::Said {
                outcome,
                plan,
                resource,
                order,
            } => {
                self.said(outcome, plan, resource, &order, turn);
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
        order: &OutputOrder,
        turn: &mut Turn,
    ) {
        match outcome.kind {
            OutcomeKind::Raised => self.raised = Some(outcome.time),
            OutcomeKind::Cleared => self.raised = None,
            OutcomeKind::Error => self.trouble = Some(Arc::from(detail(outcome))),
            _ => {}
        }
        if !matches!(outcome.kind, OutcomeKind::Late | OutcomeKind::Holds) {
            let kind = outcome.kind.word();
            self.remember(Remembered::new(outcome.time, kind, detail(outcome)));
        }
        let line: Arc<str> = result::line(outcome, resource, order).into();
        let speaker = Speaker {
            outcome,
            plan,
            resource,
            order,
            line: &line,
        };
        // That a condition still holds is no news: only actions that run every time hear of it.
        if outcome.kind != OutcomeKind::Holds {
            speaker.tell_targets(turn);
        }
        for (index, action) in plan.rule().then.iter().enumerate() {
            if self.runs(index, action, outcome, plan) {
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

/// One outcome on its way out.
struct Speaker<'a> {
    outcome: &'a Outcome,
    plan: &'a Plan,
    resource: &'a Arc<str>,
    order: &'a OutputOrder,
    line: &'a Arc<str>,
}

impl Speaker<'_> {
    fn tell_targets(&self, turn: &mut Turn) {
        let told = self.outcome.kind;
        if self.plan.rule().to.is_empty() {
            return self.emit(
                Destination::Results,
                Body::Whole(self.line.as_ref().to_owned()),
                turn,
            );
        }
        for (index, target) in self.plan.rule().to.iter().enumerate() {
            match target {
                Target::Results => self.emit(
                    Destination::Results,
                    Body::Whole(self.line.as_ref().to_owned()),
                    turn,
                ),
                Target::Topic { name, value } => {
                    // A formula has a value only where the rule has columns; late rows and errors stay with `results`.
                    if value.is_some()
                        && matches!(
                            told,
                            OutcomeKind::Late | OutcomeKind::Error | OutcomeKind::State
                        )
                    {
                        continue;
                    }
                    let body = self
                        .text(self.plan.target_templates(index))
                        .unwrap_or(self.line);
                    self.emit(
                        Destination::User(Arc::clone(name)),
                        Body::Whole(body.to_owned()),
                        turn,
                    );
                }
            }
        }
    }

    fn act(&self, index: usize, action: &Action, turn: &mut Turn) {
        let texts = self.plan.action_templates(index);
        match &action.kind {
            ActionKind::Alarm { .. } => {}
            ActionKind::Topic { name, .. } => {
                let body = self.text(texts).unwrap_or(self.line).to_owned();
                self.emit(Destination::User(Arc::clone(name)), Body::Whole(body), turn);
            }
            ActionKind::Handler { name, with } => {
                let names = with.iter().map(|(name, _)| name.as_ref());
                self.deliver(name.as_str(), names, texts, turn);
            }
            ActionKind::Log { .. } => self.deliver("log", std::iter::once("text"), texts, turn),
        }
    }

    fn deliver<'n>(
        &self,
        handler: &str,
        names: impl Iterator<Item = &'n str>,
        texts: std::ops::Range<usize>,
        turn: &mut Turn,
    ) {
        let mut out = String::with_capacity(512);
        let mut field = |name: &str, text: &str| {
            out.push_str(name);
            write_text(text, &mut out);
        };
        field("\"handler\":", handler);
        field(",\"rule\":", &self.outcome.rule);
        field(",\"task\":", &self.order.task);
        field(",\"resource\":", self.resource);
        field(",\"group\":", &self.outcome.group);
        field(",\"kind\":", self.outcome.kind.word());
        out.push_str(&format!(",\"time\":{},\"with\":{{", self.outcome.time.0));
        let rendered = self.outcome.texts.get(texts).unwrap_or_default();
        for (index, (name, text)) in names.zip(rendered).enumerate() {
            if index > 0 {
                out.push(',');
            }
            write_text(name, &mut out);
            out.push(':');
            write_text(text, &mut out);
        }
        out.push_str("},\"result\":");
        out.push_str(self.line);
        out.push('}');
        self.emit(Destination::Actions, Body::WithId(out), turn);
    }

    fn text(&self, range: std::ops::Range<usize>) -> Option<&str> {
        self.outcome.texts.get(range)?.first().map(AsRef::as_ref)
    }

    /// The severity that a line with levels tells; one without a severity of its own tells none.
    fn told_severity(&self) -> String {
        let values = self.outcome.values.as_deref().unwrap_or_default();
        let severity = values.iter().find(|(name, _)| name.as_ref() == "severity");
        severity
            .map(|(_, value)| value.to_string())
            .unwrap_or_default()
    }

    /// What the line is about: the resource, or the task where it is that of no single one.
    fn subject(&self) -> Arc<str> {
        if self.outcome.resource == Outcome::NOWHERE {
            Arc::from(self.order.task.as_str())
        } else {
            Arc::clone(self.resource)
        }
    }

    fn emit(&self, destination: Destination, body: Body, turn: &mut Turn) {
        // A graph may have several alarms: the line says which one it is of.
        let several = matches!(self.plan.rule().body, RuleBody::Graph(_));
        let alarm = |action: &Action| match action.kind {
            ActionKind::Alarm { severity, .. } => {
                let own = severity.filter(|_| !several);
                let word = own.map_or_else(|| self.told_severity(), |s| s.word().to_owned());
                Some((ALARM_HEADER, word))
            }
            _ => None,
        };
        let mut headers = vec![
            ("ce_specversion", "1.0".to_owned()),
            ("ce_source", format!("tidegate/rule/{}", self.outcome.rule)),
            ("ce_type", format!("tidegate.{}", self.outcome.kind.word())),
            ("ce_subject", self.subject().as_ref().to_owned()),
            ("ce_time", self.outcome.time.to_string()),
            ("content-type", "application/json".to_owned()),
        ];
        headers.extend(self.plan.rule().then.iter().find_map(alarm));
        turn.emit(Effect {
            destination,
            key: self.subject(),
            body,
            headers,
            whole: None,
            trigger: self.outcome.trigger,
            order: Some(self.order.clone()),
        });
    }
}
