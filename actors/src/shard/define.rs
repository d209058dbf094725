//! Definitions: commands to their actors, signals to this shard, rules into the pipeline, traits onto resources.

use std::sync::Arc;

use tidegate_operators::{ApplyReport, PartState, Plan, View as _};
use tidegate_proto::outcome::Trigger;
use tidegate_proto::resource::{ResourceDefinition, Traits};

use super::{Installed, Shard, TaskKey};
use crate::actor::take_turn;
use crate::command::{Change, Command, Refusal, Request, Signal};
use crate::epoch::{IntakeRecord, OutputId};
use crate::parcel::RulePiece;
use crate::resource::ResourceMessage;
use crate::rule::{parse_rule, parse_type};
use crate::task::TaskMessage;

impl Shard {
    pub(super) fn command(&mut self, index: u32, record: &IntakeRecord) {
        let trigger = Trigger::Record(index);
        let bytes = record.record.value.as_deref().unwrap_or_default();
        let request: Request = match serde_json::from_slice(bytes) {
            Ok(request) => request,
            Err(error) => return self.dead(record, trigger, &format!("not a command: {error}")),
        };
        match &request.command {
            Command::PutResource {
                definition,
                expected,
            } => {
                self.put_resource(definition, *expected, &request.request, trigger);
            }
            Command::DeleteResource { id, expected } => {
                self.delete_resource(id, *expected, &request.request, trigger);
            }
            _ => {
                let key: Arc<str> = request.command.key().into();
                let refusal = self.source_refusal(&request.command);
                if let Some(refusal) = refusal.or_else(|| self.chain_refusal(&request.command)) {
                    return self.decline(&key, &request.request, refusal, trigger);
                }
                let turn = self.turn(trigger);
                let actor = self.state.definitions.entry(Arc::clone(&key)).or_default();
                match take_turn(actor, (&key, &request), turn) {
                    Ok(effects) => self.work.effects.extend(effects),
                    Err(error) => {
                        self.state.counters.failed_turns += 1;
                        self.dead(record, trigger, &error.to_string());
                    }
                }
            }
        }
    }

    fn decline(&mut self, key: &Arc<str>, request: &str, refusal: Refusal, trigger: Trigger) {
        let mut turn = self.turn(trigger);
        let answer = Change::Answer {
            request: request.to_owned(),
            revision: None,
            told: 0,
            refused: Some(refusal),
        };
        turn.change(key, &answer);
        self.work.effects.extend(turn.into_effects());
    }

    fn put_resource(
        &mut self,
        definition: &ResourceDefinition,
        expected: Option<u64>,
        request: &str,
        trigger: Trigger,
    ) {
        let resource = self.state.registry.names().intern(&definition.id);
        self.state.registry.discover(resource, self.now());
        self.pardon(resource);
        let before = self
            .state
            .registry
            .look(resource)
            .map_or(0, |actor| actor.revision);
        let id = self.state.registry.id(resource);
        self.resource_turn(
            resource,
            ResourceMessage::Define {
                id: &id,
                request,
                expected,
                same: *self.state.registry.own_traits(resource) == definition.traits,
            },
            trigger,
        );
        let after = self
            .state
            .registry
            .look(resource)
            .map_or(0, |actor| actor.revision);
        if after != before {
            self.describe(resource, definition.traits.clone(), trigger);
            self.settle();
        }
    }

    fn delete_resource(
        &mut self,
        id: &str,
        expected: Option<u64>,
        request: &str,
        trigger: Trigger,
    ) {
        let Some(resource) = self.state.registry.find(id) else {
            let refused = Some(Refusal::NotFound {
                what: id.to_owned(),
            });
            let mut turn = self.turn(trigger);
            turn.change(
                &Arc::from(id),
                &Change::Answer {
                    request: request.into(),
                    revision: None,
                    told: 0,
                    refused,
                },
            );
            return self.work.effects.extend(turn.into_effects());
        };
        let id = self.state.registry.id(resource);
        let before = self
            .state
            .registry
            .look(resource)
            .map(|actor| (actor.revision, actor.events));
        self.resource_turn(
            resource,
            ResourceMessage::Delete {
                id: &id,
                request,
                expected,
            },
            trigger,
        );
        let now = self
            .state
            .registry
            .look(resource)
            .map(|actor| (actor.revision, actor.events));
        let refused =
            before == now && expected.is_some_and(|expected| Some(expected) != before.map(|b| b.0));
        if !refused {
            self.pipeline.forget(
                resource,
                &self.state.registry,
                trigger,
                &mut self.work.outcomes,
            );
            self.settle();
            self.share_end(resource, trigger);
            self.end_tasks(resource);
            self.state.registry.forget(resource);
            self.pardon(resource);
            self.state.strikes.retain(|(_, of, _), _| *of != resource);
        }
    }

    /// Sets what a resource says of itself, adds what its type says, and tells the rules.
    pub(super) fn describe(&mut self, resource: u32, own: Traits, trigger: Trigger) {
        let kind = own
            .kind
            .as_ref()
            .and_then(|kind| self.state.types.get(kind));
        let whole = kind.map(|kind| kind.over(&own));
        if self.state.registry.traits(resource) != whole.as_ref().unwrap_or(&own) {
            self.pipeline.part(resource, &self.state.registry);
        }
        self.state.registry.set_traits(resource, own, whole);
        let timing = self.timing(resource);
        self.pipeline.describe(
            resource,
            timing,
            &self.state.registry,
            trigger,
            &mut self.work.outcomes,
        );
        self.share_traits(resource, trigger);
    }

    pub(super) fn signal(&mut self, index: u32, record: &IntakeRecord) {
        let trigger = Trigger::Record(index);
        if self.is_old(record) {
            self.state.counters.repeats += 1;
            return;
        }
        match serde_json::from_slice(record.record.value.as_deref().unwrap_or_default()) {
            Ok(Signal::Rule {
                request,
                name,
                revision,
                document,
                enabled,
            }) => {
                let rule = RulePiece {
                    request,
                    name,
                    revision,
                    deleted: document.is_none(),
                    document,
                };
                self.install(rule, enabled, trigger);
            }
            Ok(Signal::ResourceType {
                request,
                name,
                revision,
                document,
            }) => {
                self.set_type(&name, document.as_deref(), trigger);
                self.applied(
                    request,
                    format!("type/{name}"),
                    revision,
                    Vec::new(),
                    trigger,
                );
            }
            Ok(signal @ Signal::Source { .. }) => self.told_of_source(signal, trigger),
            Ok(Signal::Delivered {
                action,
                rule,
                resource,
                group,
                error,
                attempts,
            }) => {
                let Some(number) = self.state.registry.names().get(&resource) else {
                    return;
                };
                let key: TaskKey = (Arc::from(rule), number, Arc::from(group));
                let message = TaskMessage::Delivered {
                    action: &action,
                    error: error.as_deref(),
                    attempts,
                };
                self.task_turn(&key, message, trigger, false);
            }
            Err(error) => self.dead(record, trigger, &format!("not a signal: {error}")),
        }
        self.settle();
    }

    /// Whether a signal is at or below its source's watermark: a repeat. Moves the watermark if it is not.
    pub(super) fn is_old(&mut self, record: &IntakeRecord) -> bool {
        let Some(id) = OutputId::of(&record.record) else {
            return false;
        };
        let place = (id.epoch, id.sequence);
        let seen = self.state.seen.get(&id.shard);
        if seen.is_some_and(|seen| *seen >= place) {
            return true;
        }
        self.state.seen.insert(id.shard, place);
        false
    }

    pub(super) fn applied(
        &mut self,
        request: String,
        what: String,
        revision: u64,
        parts: Vec<String>,
        trigger: Trigger,
    ) {
        let mut turn = self.turn(trigger);
        let key: Arc<str> = Arc::from(what.as_str());
        turn.change(
            &key,
            &Change::Applied {
                request,
                shard: self.settings.shard,
                what,
                revision,
                parts,
            },
        );
        self.work.effects.extend(turn.into_effects());
    }

    /// Brings this shard to a revision of a rule, and tells what became of its parts.
    fn install(&mut self, rule: RulePiece, enabled: bool, trigger: Trigger) {
        let name = rule.name.clone();
        let known = self.state.installed.get(&name);
        if known.is_some_and(|known| known.revision >= rule.revision) {
            return self.told(rule, Vec::new(), trigger);
        }
        let was_wide = self.plans.get(&name).map(|plan| self.is_wide(plan));
        let Some(document) = rule.document.clone() else {
            self.uninstall(&name, was_wide, trigger);
            let parts = vec!["rule: dropped".into()];
            return self.tell_home(rule, was_wide, parts, trigger);
        };
        // The home shard compiled it before it told us; the same text compiles here.
        let Ok((_, plan)) = parse_rule(&document) else {
            return self.told(rule, vec!["rule: does not compile".into()], trigger);
        };
        let plan = Arc::new(plan);
        let wide = self.is_wide(&plan);
        let installed = Installed {
            revision: rule.revision,
            enabled,
            document,
            quarantined: self.work.watch.refused.get(name.as_str()).cloned(),
            strikes: 0,
        };
        self.state
            .strikes
            .retain(|(rule, ..), _| rule.as_ref() != name);
        if was_wide == Some(!wide) {
            self.uninstall(&name, was_wide, trigger);
        }
        if was_wide == Some(true) && !wide {
            self.leave_home(&rule, trigger);
        }
        let runs = installed.runs();
        let parts = if let Some(reason) = &installed.quarantined {
            self.remove_from_pipeline(&name, trigger);
            self.quarantined(&format!("rule/{name}"), reason, trigger);
            vec![format!("rule: quarantined: {reason}")]
        } else if !runs {
            self.remove_from_pipeline(&name, trigger);
            vec!["rule: disabled".into()]
        } else if wide {
            Vec::new()
        } else {
            self.apply(&plan, trigger)
        };
        // What a removal cleared is told under the old plan, what the new one says under the new.
        self.settle();
        self.plans.insert(name.clone(), plan);
        self.state.installed.insert(name.clone(), installed);
        if wide {
            self.share_with(&name, runs, trigger);
        }
        if !runs && !wide {
            self.reach_no_more(&name, trigger);
        }
        let document = rule.document.filter(|_| runs);
        let rule = RulePiece { document, ..rule };
        self.tell_home(rule, Some(wide), parts, trigger);
    }

    /// A rule does not reach over several resources any more.
    fn leave_home(&mut self, rule: &RulePiece, trigger: Trigger) {
        if self.home_of(&rule.name) == self.settings.shard {
            let gone = RulePiece {
                request: String::new(),
                document: None,
                deleted: true,
                ..rule.clone()
            };
            self.share_rule(gone, trigger);
        }
    }

    /// A rule is here no more, or no more in this way.
    fn uninstall(&mut self, name: &str, wide: Option<bool>, trigger: Trigger) {
        if wide == Some(true) {
            self.share_with(name, false, trigger);
        } else {
            self.remove_from_pipeline(name, trigger);
            self.settle();
            self.reach_no_more(name, trigger);
            self.state
                .tasks
                .retain(|(rule, ..), _| rule.as_ref() != name);
        }
        self.plans.remove(name);
        self.state.installed.remove(name);
    }

    /// A rule that reaches over several resources changes where its rows come together; its home says so then.
    fn tell_home(
        &mut self,
        rule: RulePiece,
        wide: Option<bool>,
        parts: Vec<String>,
        trigger: Trigger,
    ) {
        if wide == Some(true) && self.home_of(&rule.name) == self.settings.shard {
            self.share_rule(rule, trigger);
        } else {
            self.told(rule, parts, trigger);
        }
    }

    fn told(&mut self, rule: RulePiece, parts: Vec<String>, trigger: Trigger) {
        let what = format!("rule/{}", rule.name);
        self.applied(rule.request, what, rule.revision, parts, trigger);
    }

    /// The tasks of a resource end; those of rules that run elsewhere do when that is told there.
    fn end_tasks(&mut self, resource: u32) {
        let gathered = &self.gathering.plans;
        self.state
            .tasks
            .retain(|(rule, of, _), _| *of != resource || gathered.contains_key(rule.as_ref()));
    }

    fn apply(&mut self, plan: &Arc<Plan>, trigger: Trigger) -> Vec<String> {
        let name = plan.rule().name.to_string();
        self.plans.entry(name).or_insert_with(|| Arc::clone(plan));
        let report = self.pipeline.apply(
            Arc::clone(plan),
            &self.state.registry,
            &mut self.state.metrics,
            trigger,
            &mut self.work.outcomes,
        );
        told_parts(&report)
    }

    /// Stops a rule; what it raised is cleared.
    pub(super) fn remove_from_pipeline(&mut self, name: &str, trigger: Trigger) {
        self.pipeline
            .remove(name, &self.state.registry, trigger, &mut self.work.outcomes);
        self.settle();
    }

    fn set_type(&mut self, name: &str, document: Option<&str>, trigger: Trigger) {
        match document.and_then(|text| parse_type(text).ok()) {
            Some(kind) => {
                self.state.types.insert(Arc::clone(&kind.name), kind);
            }
            None => {
                self.state.types.remove(name);
            }
        }
        for (_, resource) in self.state.registry.sorted() {
            let own = self.state.registry.own_traits(resource);
            if own.kind.as_deref() == Some(name) {
                self.describe(resource, own.as_ref().clone(), trigger);
            }
        }
        self.settle();
    }
}

/// What became of the parts of a rule, for people.
pub(super) fn told_parts(report: &ApplyReport) -> Vec<String> {
    let word = |state: PartState| match state {
        PartState::Kept => "kept",
        PartState::New => "new",
        PartState::Dropped => "dropped",
    };
    let parts = report.parts.iter();
    parts
        .map(|part| format!("{}: {}", part.path, word(part.state)))
        .collect()
}
