//! [`Speaker`]: an outcome on its way out, as records for the rule's targets and actions. What they have in common is written
//! once, into one piece of memory that all of them share.

mod set;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tidegate_operators::Plan;
use tidegate_proto::json::write_text;
use tidegate_proto::outcome::{Outcome, OutcomeKind};
use tidegate_proto::record::{HeaderName, Headers};
use tidegate_proto::rule::{Action, ActionKind, Body as RuleBody, Target};

use super::ALARM_HEADER;
use crate::actor::{Body, Effect, Turn};
use crate::epoch::{Destination, OutputOrder};
use crate::result;

/// One outcome on its way out.
pub(super) struct Speaker<'a> {
    outcome: &'a Outcome,
    plan: &'a Plan,
    resource: &'a Arc<str>,
    order: &'a Arc<OutputOrder>,
    depth: (u32, u32),
    line: Bytes,
    /// What it is about: the resource, or the task where it is that of no single one.
    subject: Bytes,
    source: Bytes,
    time: Bytes,
}

impl<'a> Speaker<'a> {
    pub(super) fn new(
        outcome: &'a Outcome,
        plan: &'a Plan,
        resource: &'a Arc<str>,
        order: &'a Arc<OutputOrder>,
        depth: (u32, u32),
    ) -> Self {
        let mut sheet = String::with_capacity(512);
        let time = result::line(outcome, resource, order, &mut sheet);
        let line = 0..sheet.len();
        sheet.push_str(if outcome.resource == Outcome::NOWHERE {
            &order.task
        } else {
            resource
        });
        let subject = line.end..sheet.len();
        sheet.push_str("tidegate/rule/");
        sheet.push_str(&outcome.rule);
        let source = subject.end..sheet.len();
        let sheet = Bytes::from(sheet);
        Self {
            outcome,
            plan,
            resource,
            order,
            depth,
            line: sheet.slice(line),
            subject: sheet.slice(subject),
            source: sheet.slice(source),
            time: sheet.slice(time),
        }
    }

    pub(super) fn tell_targets(&self, turn: &mut Turn) {
        let told = self.outcome.kind;
        if self.plan.rule().to.is_empty() {
            return self.emit(Destination::Results, Body::Whole(self.line.clone()), turn);
        }
        for (index, target) in self.plan.rule().to.iter().enumerate() {
            match target {
                Target::Results => {
                    self.emit(Destination::Results, Body::Whole(self.line.clone()), turn);
                }
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
                    let body = self.body(self.plan.target_templates(index));
                    self.emit(Destination::User(Arc::clone(name)), body, turn);
                }
            }
        }
    }

    pub(super) fn act(&self, index: usize, action: &Action, turn: &mut Turn) {
        let texts = self.plan.action_templates(index);
        match &action.kind {
            ActionKind::Alarm { .. } => {}
            ActionKind::Set { values, .. } => self.set(values, texts, turn),
            ActionKind::Topic { name, .. } => {
                let body = self.body(texts);
                self.emit(Destination::User(Arc::clone(name)), body, turn);
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
        out.push_str(std::str::from_utf8(&self.line).unwrap_or_default());
        out.push('}');
        self.emit(Destination::Actions, Body::WithId(out), turn);
    }

    /// A rendered text, or the line where none is written.
    fn body(&self, texts: Range<usize>) -> Body {
        let text = self.outcome.texts.get(texts).and_then(<[_]>::first);
        let text = text.map(|text| Bytes::copy_from_slice(text.as_bytes()));
        Body::Whole(text.unwrap_or_else(|| self.line.clone()))
    }

    /// The severity that a line with levels tells; one without a severity of its own tells none.
    fn told_severity(&self) -> String {
        let values = self.outcome.values.as_deref().unwrap_or_default();
        let severity = values.iter().find(|(name, _)| name.as_ref() == "severity");
        severity
            .map(|(_, value)| value.to_string())
            .unwrap_or_default()
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
        let known = |name: &'static str, value: &'static str| {
            (
                HeaderName::Known(name),
                Bytes::from_static(value.as_bytes()),
            )
        };
        let said = |name: &'static str, value: &Bytes| (HeaderName::Known(name), value.clone());
        // The id comes last, and room for it now.
        let mut headers: Headers = Vec::with_capacity(8);
        headers.push(known("ce_specversion", "1.0"));
        headers.push(said("ce_source", &self.source));
        headers.push(known("ce_type", type_of(self.outcome.kind)));
        headers.push(said("ce_subject", &self.subject));
        headers.push(said("ce_time", &self.time));
        headers.push(known("content-type", "application/json"));
        let alarm = self.plan.rule().then.iter().find_map(alarm);
        headers.extend(alarm.map(|(name, word)| (name.into(), word.into())));
        turn.emit(Effect {
            destination,
            key: self.subject.clone(),
            body,
            headers,
            whole: None,
            trigger: self.outcome.trigger,
            order: Some(Arc::clone(self.order)),
        });
    }
}

/// The type of event that a line is.
const fn type_of(kind: OutcomeKind) -> &'static str {
    match kind {
        OutcomeKind::Result => "tidegate.result",
        OutcomeKind::Raised => "tidegate.raised",
        OutcomeKind::Updated => "tidegate.updated",
        OutcomeKind::Cleared => "tidegate.cleared",
        OutcomeKind::Window => "tidegate.window",
        OutcomeKind::Match => "tidegate.match",
        OutcomeKind::State => "tidegate.state",
        OutcomeKind::Late => "tidegate.late",
        OutcomeKind::Error => "tidegate.error",
        OutcomeKind::Holds => "tidegate.holds",
    }
}
