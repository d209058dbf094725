//! Supervision of a whole step. A panic that no turn caught breaks it: who was at work is named, the owner journals that,
//! and the replay comes here to leave them out.
//!
//! A rule that breaks a step goes on without the record (or the move of the clock) that it broke on; the third time it is
//! quarantined, and at once when it broke while it was coming, changing or going. A rule that breaks even while it is
//! removed is dropped without a word. What cannot be helped so is a fault without a culprit, and stops the shard.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_operators::Pipeline;
use tidegate_proto::batch::EventBatch;
use tidegate_proto::outcome::Trigger;
use tidegate_proto::record::Record;
use tidegate_proto::time::Timestamp;

use super::{ONLY_HEADER, Shard};
use crate::actor::{STRIKES, Turn};
use crate::command::Change;
use crate::epoch::{Culprit, Destination, Exclusion, Intake, IntakeRecord, Place};
use crate::owner::StepFault;

/// How often the same culprit may break on the same thing: once left out, then dropped without a word.
const ATTEMPTS: usize = 2;

/// Failures of a resource.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Failures {
    strikes: u32,
    quarantined: Option<String>,
}

/// Who is at work in a step, beside the pipeline that says so itself; and who is left out for the moment.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The record at work, or one that was taken together with it.
    pub(super) at: Option<u32>,
    /// The rule whose outcome is handed to its task.
    pub(super) speaking: Option<Arc<str>>,
    /// The resource whose twin takes a row.
    pub(super) twin: Option<u32>,
    /// Records are taken one at a time.
    pub(super) careful: bool,
    /// Rules that do not see the record, or the move of the clock, at work.
    pub(super) barred: BTreeSet<Arc<str>>,
    /// The record at work is for one rule alone, which is not barred.
    pub(super) only: bool,
    /// Rules that broke on the record at work while they changed, and how.
    pub(super) refused: BTreeMap<Arc<str>, String>,
}

/// A rule that broke: how often on the very same thing, how, and whether it was changing.
struct Broke<'a> {
    times: usize,
    reason: &'a str,
    changing: bool,
}

fn broken<'a>(exclusions: &'a [Exclusion]) -> BTreeMap<&'a str, Broke<'a>> {
    let mut rules: BTreeMap<&str, Broke<'_>> = BTreeMap::new();
    for exclusion in exclusions {
        let Culprit::Rules(names) = &exclusion.culprit else {
            continue;
        };
        for name in names {
            let broke = rules.entry(name).or_insert(Broke {
                times: 0,
                reason: &exclusion.reason,
                changing: false,
            });
            broke.times += 1;
            broke.changing |= exclusion.changing;
        }
    }
    rules
}

impl Shard {
    /// Who broke the step, as far as can be said.
    pub(super) fn fault(&self, intake: &Intake, reason: String) -> StepFault {
        let (culprit, changing) = self.culprit();
        let at = self.work.watch.at;
        let several = intake.records.len() > 1 || matches!(culprit, Some(Culprit::Resource(_)));
        let record = at.and_then(|index| intake.records.get(index as usize));
        StepFault {
            epoch: intake.epoch,
            vague: culprit.is_some() && at.is_some() && several && !intake.careful,
            culprit,
            at: record.map(Place::of),
            changing,
            reason,
        }
    }

    fn culprit(&self) -> (Option<Culprit>, bool) {
        let watch = &self.work.watch;
        let name = |rule: &Arc<str>| rule.as_ref().to_owned();
        let rules = std::iter::once(&self.pipeline).chain(self.gathering.all());
        if let Some(suspects) = rules.into_iter().find_map(Pipeline::suspects) {
            let rules = suspects.rules.iter().map(name).collect();
            return (Some(Culprit::Rules(rules)), suspects.changing);
        }
        let culprit = if let Some(rule) = &watch.speaking {
            Some(Culprit::Rules(vec![name(rule)]))
        } else if let Some(twin) = watch.twin {
            Some(Culprit::Resource(name(&self.state.registry.id(twin))))
        } else {
            watch.at.map(|_| Culprit::Record)
        };
        (culprit, false)
    }

    /// Takes note of what must be left out.
    ///
    /// # Errors
    /// When leaving it out was tried before and did not help.
    pub(super) fn heed(&mut self, intake: &Intake) -> Result<(), StepFault> {
        for exclusion in &intake.exclusions {
            let place = self.state.left_out.entry(exclusion.at).or_default();
            place.push(exclusion.clone());
        }
        for (at, exclusions) in &self.state.left_out {
            let rules = broken(exclusions);
            let others = exclusions.len()
                - exclusions
                    .iter()
                    .filter(|exclusion| matches!(exclusion.culprit, Culprit::Rules(_)))
                    .count();
            let hopeless = rules.values().any(|broke| broke.times > ATTEMPTS);
            if hopeless || others >= ATTEMPTS {
                let reason = exclusions.last().map_or("", |exclusion| &exclusion.reason);
                return Err(StepFault {
                    epoch: intake.epoch,
                    culprit: None,
                    at: *at,
                    changing: false,
                    vague: false,
                    reason: format!("leaving out what broke it did not help: {reason}"),
                });
            }
        }
        Ok(())
    }

    /// Before a record: leaves out who must not see it; answers whether nobody may.
    pub(super) fn bar(&mut self, index: u32, records: &[IntakeRecord]) -> bool {
        self.work.watch.at = Some(index);
        self.single_out(index, records);
        if self.state.left_out.is_empty() {
            return false;
        }
        let Some(record) = records.get(index as usize) else {
            return false;
        };
        let Some(exclusions) = self.state.left_out.remove(&Some(Place::of(record))) else {
            return false;
        };
        self.flush(records);
        self.leave_out(&exclusions, Trigger::Record(index), Some(record))
    }

    /// After a record: nobody is left out any more.
    pub(super) fn unbar(&mut self, records: &[IntakeRecord]) {
        let watch = &self.work.watch;
        let bars = watch.only || !watch.barred.is_empty() || !watch.refused.is_empty();
        if bars || watch.careful {
            self.flush(records);
            self.work.watch.barred.clear();
            self.work.watch.refused.clear();
            self.work.watch.only = false;
        }
    }

    /// An event that was sent again for one rule: all others are left out of it.
    fn single_out(&mut self, index: u32, records: &[IntakeRecord]) {
        let Some(record) = records.get(index as usize).map(|record| &record.record) else {
            return;
        };
        if record.headers.is_empty() {
            return;
        }
        let Some(only) = record.header(ONLY_HEADER).cloned() else {
            return;
        };
        self.flush(records);
        let others = self.plans.keys().map(|name| Arc::from(name.as_str()));
        let others = others.filter(|name: &Arc<str>| name.as_bytes() != only.as_ref());
        self.work.watch.barred = others.collect();
        self.work.watch.only = true;
    }

    /// Before the clock moves: leaves out who broke on that.
    pub(super) fn bar_clock(&mut self) {
        self.work.watch.at = None;
        if let Some(exclusions) = self.state.left_out.remove(&None) {
            self.leave_out(&exclusions, Trigger::Clock, None);
        }
    }

    fn leave_out(
        &mut self,
        exclusions: &[Exclusion],
        trigger: Trigger,
        record: Option<&IntakeRecord>,
    ) -> bool {
        for (rule, broke) in broken(exclusions) {
            self.strike_rule(rule, &broke, trigger, record);
        }
        let mut dropped = false;
        for exclusion in exclusions {
            match &exclusion.culprit {
                Culprit::Rules(_) => {}
                Culprit::Record => {
                    let reason = format!("the record broke the step: {}", exclusion.reason);
                    self.letter(record, trigger, &reason, &[]);
                    dropped = true;
                }
                Culprit::Resource(id) => {
                    let number = self.state.registry.names().intern(id);
                    self.strike_resource(number, &exclusion.reason, trigger, record);
                    dropped = true;
                }
            }
        }
        dropped
    }

    fn strike_rule(
        &mut self,
        rule: &str,
        broke: &Broke<'_>,
        trigger: Trigger,
        record: Option<&IntakeRecord>,
    ) {
        let name: Arc<str> = Arc::from(rule);
        let watch = &mut self.work.watch;
        if broke.changing {
            watch.refused.insert(Arc::clone(&name), broke.reason.into());
        }
        let installed = self.state.installed.get_mut(rule);
        let Some(installed) = installed.filter(|installed| installed.runs()) else {
            return;
        };
        installed.strikes += 1;
        let strikes = installed.strikes;
        let quarantine = broke.changing || broke.times >= ATTEMPTS || strikes >= STRIKES;
        if quarantine {
            installed.quarantined = Some(broke.reason.to_owned());
        } else {
            watch.barred.insert(name);
        }
        let thing = if record.is_some() {
            "this record"
        } else {
            "the clock"
        };
        let reason = format!(
            "rule `{rule}` broke on {thing} and goes on without it (strike {strikes} of {STRIKES}): {}",
            broke.reason
        );
        self.letter(record, trigger, &reason, &[("dlq.rule", rule)]);
        if quarantine {
            if broke.times >= ATTEMPTS {
                self.pipeline.expel(rule);
                self.gathering.pipeline.expel(rule);
                self.gathering.streams.remove(rule);
            } else {
                self.remove_from_pipeline(rule, trigger);
                self.stop_gathered(rule, trigger);
            }
            self.quarantined(&format!("rule/{rule}"), broke.reason, trigger);
        }
    }

    /// A resource failed: its message is kept with the reason; the third time it takes no more.
    pub(super) fn strike_resource(
        &mut self,
        resource: u32,
        reason: &str,
        trigger: Trigger,
        record: Option<&IntakeRecord>,
    ) {
        self.state.counters.failed_turns += 1;
        let id = self.state.registry.id(resource);
        let failures = self.state.failures.entry(resource).or_default();
        failures.strikes += 1;
        let strikes = failures.strikes;
        let quarantine = strikes == STRIKES;
        if quarantine {
            failures.quarantined = Some(reason.to_owned());
        }
        let text = format!("resource `{id}` failed (strike {strikes} of {STRIKES}): {reason}");
        self.letter(record, trigger, &text, &[("dlq.resource", &id)]);
        if quarantine {
            self.quarantined(&format!("resource/{id}"), reason, trigger);
        }
    }

    /// Why a resource takes no more, if it does not.
    pub(super) fn is_shut(&self, resource: u32) -> Option<&str> {
        self.state.failures.get(&resource)?.quarantined.as_deref()
    }

    /// Cuts a batch at the rows of resources that take no more.
    pub(super) fn cut_shut(&self, batch: &EventBatch, cuts: &mut Vec<usize>) {
        if self.state.failures.is_empty() {
            return;
        }
        let rows = batch.resource.iter().enumerate();
        let shut = rows.filter(|(_, resource)| self.is_shut(**resource).is_some());
        cuts.extend(shut.map(|(row, _)| row));
        cuts.sort_unstable();
        cuts.dedup();
    }

    /// A row of a resource that takes no more: kept as a dead letter.
    pub(super) fn refuse(&mut self, batch: &EventBatch, row: usize, records: &[IntakeRecord]) {
        let resource = batch.resource.get(row).copied().unwrap_or_default();
        let why = self.is_shut(resource).unwrap_or_default();
        let why = format!("the resource is quarantined: {why}");
        let index = batch.record.get(row).copied().unwrap_or_default();
        self.letter(
            records.get(index as usize),
            Trigger::Record(index),
            &why,
            &[],
        );
    }

    /// Somebody defines a resource anew, or deletes it: it begins again.
    pub(super) fn pardon(&mut self, resource: u32) {
        self.state.failures.remove(&resource);
    }

    /// A dead letter: the record as it came, or the reason alone when it was no record.
    pub(super) fn letter(
        &mut self,
        record: Option<&IntakeRecord>,
        trigger: Trigger,
        reason: &str,
        headers: &[(&'static str, &str)],
    ) {
        let mut turn = Turn::new(trigger, self.settings.partitions);
        let mut dead = match record {
            Some(record) => self.dead_record(record, reason),
            None => {
                let key = headers.first().map_or("", |(_, name)| *name);
                Record::new(key.as_bytes().to_vec(), reason.as_bytes().to_vec())
                    .with_header("dlq.reason", reason.to_owned())
            }
        };
        for (name, value) in headers {
            dead = dead.with_header(*name, (*value).to_owned());
        }
        self.state.counters.dead += 1;
        turn.pass_on(Destination::DeadLetters, dead);
        self.work.effects.extend(turn.into_effects());
    }

    /// Tells that something is quarantined.
    pub(super) fn quarantined(&mut self, what: &str, reason: &str, trigger: Trigger) {
        let mut turn = Turn::new(trigger, self.settings.partitions);
        let change = Change::Quarantined {
            what: what.into(),
            reason: reason.into(),
        };
        turn.change(&Arc::from(what), &change);
        self.work.effects.extend(turn.into_effects());
    }

    /// Everything that is quarantined here, with the reason.
    pub(super) fn quarantine(&self) -> BTreeMap<String, String> {
        let installed = self.state.installed.iter();
        let rules = installed.filter_map(|(name, rule)| {
            let reason = rule.quarantined.clone()?;
            Some((format!("rule/{name}"), reason))
        });
        let failures = self.state.failures.iter();
        let resources = failures.filter_map(|(resource, failures)| {
            let id = self.state.registry.id(*resource);
            Some((format!("resource/{id}"), failures.quarantined.clone()?))
        });
        let strikes = self.state.strikes.iter();
        let tasks = strikes.filter(|(_, (strikes, _))| *strikes >= STRIKES);
        let tasks = tasks.map(|((rule, resource, _), (_, reason))| {
            let id = self.state.registry.id(*resource);
            (format!("task/{rule}/{id}"), reason.clone())
        });
        rules.chain(resources).chain(tasks).collect()
    }
}

/// Faults that a simulation asks for.
impl Shard {
    #[allow(clippy::panic, reason = "a fault that a simulation asks for")]
    pub(super) fn break_twin(&self, batch: &EventBatch, rows: Range<usize>) {
        let every = self.settings.breaks.brittle_twins;
        if every == 0 {
            return;
        }
        for row in rows {
            let time = batch.time.get(row).copied().unwrap_or_default();
            let resource = batch.resource.get(row).copied().unwrap_or_default();
            if time % every == 0 && self.state.registry.id(resource).starts_with("brittle") {
                panic!("broken on purpose");
            }
        }
    }

    #[allow(clippy::panic, reason = "a fault that a simulation asks for")]
    pub(super) fn break_clock(&self, clock: Timestamp) {
        let at = self.settings.breaks.brittle_clock;
        if at != 0 && clock.0 >= at {
            panic!("broken on purpose");
        }
    }
}
