//! Outcomes to tasks, effects to outputs: everything that leaves a step.

use std::sync::Arc;

use tidegate_operators::Plan;
use tidegate_proto::outcome::{Outcome, OutcomeKind, Trigger};
use tidegate_proto::record::{ID_HEADER, Record};
use tidegate_proto::value::Value;

use super::{Shard, TaskKey};
use crate::actor::{Body, Effect, STRIKES, take_turn};
use crate::epoch::{Destination, Epoch, IntakeRecord, Output, OutputId};
use crate::result;
use crate::task::TaskMessage;

impl Shard {
    /// Hands what the rules said to the tasks.
    pub(super) fn settle(&mut self) {
        for outcome in std::mem::take(&mut self.work.outcomes) {
            let Some(plan) = self.plans.get(outcome.rule.as_ref()).cloned() else {
                continue;
            };
            self.work.watch.speaking = Some(Arc::clone(&outcome.rule));
            self.said(outcome, &plan);
        }
        self.work.watch.speaking = None;
    }

    /// Hands what a rule said to its task.
    pub(super) fn said(&mut self, outcome: Outcome, plan: &Plan) {
        let resource = self.state.registry.id(outcome.resource);
        let order = result::order(&outcome, &resource, &self.settings.causes);
        if outcome.kind != OutcomeKind::Holds {
            self.state.counters.results += 1;
        }
        if outcome.kind == OutcomeKind::Late {
            self.state.counters.late += 1;
        }
        self.tell_readers(&outcome, plan, &resource);
        let key: TaskKey = (
            Arc::clone(&outcome.rule),
            outcome.resource,
            Arc::clone(&outcome.group),
        );
        let depth = (self.depth_of(outcome.trigger), self.settings.set_depth);
        let message = TaskMessage::Said {
            depth,
            outcome: &outcome,
            plan,
            resource: &resource,
            order,
        };
        self.task_turn(&key, message, outcome.trigger, true);
        if outcome.kind == OutcomeKind::Late {
            self.work.late.push(outcome);
        }
    }

    /// One supervised turn of a task; `activate`: the task begins to exist with it.
    pub(super) fn task_turn(
        &mut self,
        key: &TaskKey,
        message: TaskMessage<'_>,
        trigger: Trigger,
        activate: bool,
    ) {
        let strikes = self
            .state
            .strikes
            .get(key)
            .map_or(0, |(strikes, _)| *strikes);
        if strikes >= STRIKES || !(activate || self.state.tasks.contains_key(key)) {
            return;
        }
        let turn = self.turn(trigger);
        let task = self.state.tasks.entry(key.clone()).or_default();
        match take_turn(task, message, turn) {
            Ok(effects) => self.work.effects.extend(effects),
            Err(error) => {
                self.state.counters.failed_turns += 1;
                let known = (strikes + 1, error.to_string());
                self.state.strikes.insert(key.clone(), known);
                let resource = self.state.registry.id(key.1);
                let what = format!("task/{}/{resource}", key.0);
                let text = format!("{what}: {error}");
                let record = Record::new(resource.as_bytes().to_vec(), text.clone().into_bytes())
                    .with_header("dlq.reason", text);
                let mut turn = self.turn(trigger);
                turn.pass_on(Destination::DeadLetters, record);
                self.work.effects.extend(turn.into_effects());
                if strikes + 1 >= STRIKES {
                    self.quarantined(&what, &error.to_string(), trigger);
                }
            }
        }
    }

    /// Rows that rules missed go to the late lane as they came.
    pub(super) fn late_records(&mut self, records: &[IntakeRecord]) {
        for outcome in std::mem::take(&mut self.work.late) {
            let Trigger::Record(index) = outcome.trigger else {
                continue;
            };
            let Some(record) = records.get(index as usize) else {
                continue;
            };
            self.late_record(&outcome, record);
        }
    }

    /// A row that a rule missed, on its way to the late lane.
    pub(super) fn late_record(&mut self, outcome: &Outcome, record: &IntakeRecord) {
        let id = self.state.registry.id(outcome.resource);
        let mut missed = String::from("{");
        for (place, (name, value)) in outcome.values.iter().flatten().enumerate() {
            missed.push_str(if place > 0 { ",\"" } else { "\"" });
            missed.push_str(name);
            missed.push_str("\":");
            Value::write_json(value, &mut missed);
        }
        missed.push('}');
        let rule = Some((outcome.rule.as_ref(), missed.as_str()));
        let body = self.late_body(&id, outcome.time, "late", rule, record);
        let mut turn = self.turn(outcome.trigger);
        turn.plain(Destination::Late, &id, Body::Whole(body.into()));
        self.work.effects.extend(turn.into_effects());
    }

    /// Puts the outputs in order and gives them their ids.
    pub(super) fn finish(&mut self) -> Epoch {
        let mut effects = std::mem::take(&mut self.work.effects);
        let rows = std::mem::take(&mut self.work.rows);
        // Stable: an action stays behind the line that it belongs to.
        effects.sort_by(|a, b| {
            (a.trigger, a.order.is_some())
                .cmp(&(b.trigger, b.order.is_some()))
                .then_with(|| a.order.cmp(&b.order))
        });
        let id = OutputId {
            shard: self.settings.shard,
            epoch: self.state.epoch,
            sequence: 0,
        };
        let outputs = (0_u32..)
            .zip(effects)
            .map(|(sequence, effect)| self.output(OutputId { sequence, ..id }, effect))
            .collect();
        Epoch {
            number: self.state.epoch,
            outputs,
            rows,
        }
    }

    fn output(&mut self, id: OutputId, effect: Effect) -> Output {
        let text = id.to_string();
        if effect.destination == Destination::Actions {
            self.state.counters.actions += 1;
        }
        let mut record = match effect.whole {
            Some(record) => record,
            None => {
                let body = match effect.body {
                    Body::Whole(body) => body,
                    Body::WithId(rest) => format!("{{\"id\":\"{text}\",{rest}").into(),
                };
                Record {
                    headers: effect.headers,
                    ..Record::new(effect.key, body)
                }
            }
        };
        record.headers.push((ID_HEADER.into(), text.into()));
        Output {
            destination: effect.destination,
            record,
            trigger: effect.trigger,
            order: effect.order,
        }
    }
}
