//! The home of rules that reach over several resources: a second pipeline, fed with what all shards tell (parcels), whose clock is that
//! of the shard that is furthest behind. It computes what a single shard with all resources would.

mod late;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_operators::{Pipeline, PipelineSettings, Plan, Subject};
use tidegate_proto::id::Names;
use tidegate_proto::outcome::Trigger;
use tidegate_proto::record::{KIND_HEADER, Partition};
use tidegate_proto::time::Timestamp;

use super::reached::Runner;
use super::{Shard, Work};
use crate::epoch::IntakeRecord;
use crate::parcel::{KnownResource, PARCEL, Parcel, Piece, Rows, RulePiece};
use crate::registry::Registry;
use crate::rule::parse_rule;

/// A rule as it runs here.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Seated {
    revision: u64,
    document: String,
}

/// What all shards have told, as the journal decides it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Gathered {
    pub(super) registry: Registry,
    pub(super) metrics: Names,
    /// Clock of each shard as last told.
    marks: BTreeMap<Partition, Timestamp>,
    /// Resources by the shard that told of them.
    told: BTreeMap<Partition, BTreeSet<u32>>,
    rules: BTreeMap<String, Seated>,
    pub(super) clock: Option<Timestamp>,
    /// How far rules that run at homes have come, as they said.
    pub(super) passed: BTreeMap<Arc<str>, Timestamp>,
    /// Clock of each rule that reads others.
    pub(super) stream_clocks: BTreeMap<String, Timestamp>,
    /// How far rules over several resources that run here have come, as told to joins.
    pub(super) levels: BTreeMap<Arc<str>, i64>,
}

/// The rules that run here.
#[derive(Debug)]
pub(super) struct Gathering {
    pub(super) pipeline: Pipeline,
    /// Rules that read what others say, each by itself.
    pub(super) streams: BTreeMap<String, Pipeline>,
    pub(super) plans: BTreeMap<String, Arc<Plan>>,
    /// A task that somebody watches, for readers that are yet to come.
    pub(super) watched: Option<(String, Subject)>,
}

/// Whether a record of an intake is a parcel.
pub(super) fn is_parcel(record: &IntakeRecord) -> bool {
    record.source == 0
        && (record.record.header(KIND_HEADER))
            .is_some_and(|kind| kind.as_ref() == PARCEL.as_bytes())
}

impl Gathering {
    pub(super) fn new(settings: PipelineSettings) -> Self {
        Self {
            pipeline: Pipeline::new(settings),
            streams: BTreeMap::new(),
            plans: BTreeMap::new(),
            watched: None,
        }
    }

    /// As it was when the snapshot was taken.
    pub(super) fn restore(
        state: &mut Gathered,
        bytes: &[u8],
        settings: PipelineSettings,
    ) -> Result<Self, String> {
        state.registry.share();
        let mut plans = BTreeMap::new();
        for (name, seated) in &state.rules {
            let (_, plan) = parse_rule(&seated.document).map_err(|_| {
                format!("the rule `{name}` of the snapshot does not compile with this version")
            })?;
            plans.insert(name.clone(), Arc::new(plan));
        }
        let (base, readers): (Vec<u8>, BTreeMap<String, Vec<u8>>) =
            postcard::from_bytes(bytes).map_err(|error| error.to_string())?;
        let all = plans.values().filter(|plan| !plan.rule().is_reader());
        let all = all.map(Arc::clone).collect();
        let pipeline =
            Pipeline::restore(&base, all, settings).map_err(|error| error.to_string())?;
        let mut streams = BTreeMap::new();
        for (name, bytes) in readers {
            let plan = plans.get(&name).map(Arc::clone).into_iter().collect();
            let rules = Pipeline::restore(&bytes, plan, settings);
            streams.insert(name, rules.map_err(|error| error.to_string())?);
        }
        Ok(Self {
            pipeline,
            streams,
            plans,
            watched: None,
        })
    }

    /// The whole state as bytes.
    pub(super) fn snapshot(&self) -> Vec<u8> {
        let streams = self.streams.iter();
        let streams: BTreeMap<&String, Vec<u8>> = streams
            .map(|(name, rules)| (name, rules.snapshot()))
            .collect();
        // Plain data into a growing vector: cannot fail. An empty body would be refused by `restore`.
        postcard::to_stdvec(&(self.pipeline.snapshot(), streams)).unwrap_or_default()
    }

    /// Where a rule runs.
    pub(super) fn rules_of(&self, rule: &str) -> &Pipeline {
        self.streams.get(rule).unwrap_or(&self.pipeline)
    }

    pub(super) fn bytes(&self) -> usize {
        self.all().map(Pipeline::bytes).sum()
    }

    /// All that run.
    pub(super) fn all(&self) -> impl Iterator<Item = &Pipeline> {
        std::iter::once(&self.pipeline).chain(self.streams.values())
    }
}

impl Gathered {
    /// Number of a resource here, whether it is known or not.
    pub(super) fn number(&mut self, id: &str) -> u32 {
        self.registry.names().intern(id)
    }

    /// Number of a resource of this shard's tasks here.
    pub(super) fn find(&self, id: &str) -> Option<u32> {
        self.registry.find(id)
    }
}

impl Shard {
    /// Takes what a shard tells.
    pub(super) fn gather(&mut self, index: u32, record: &IntakeRecord) {
        let trigger = Trigger::Record(index);
        if self.is_old(record) {
            self.state.counters.repeats += 1;
            return;
        }
        let value = record.record.value.as_deref().unwrap_or_default();
        let parcel = match Parcel::read(value) {
            Ok(parcel) => parcel,
            Err(reason) => return self.dead(record, trigger, &reason),
        };
        for (_, piece) in parcel.pieces {
            self.gather_piece(parcel.from, piece, (index, record));
        }
        if let Some(clock) = parcel.clock {
            self.gather_clock(parcel.from, clock);
        }
    }

    fn gather_piece(&mut self, from: Partition, piece: Piece, at: (u32, &IntakeRecord)) {
        let trigger = Trigger::Record(at.0);
        match piece {
            Piece::Afresh(clock) => self.gather_afresh(from, clock, trigger),
            Piece::Known(known) => self.gather_known(from, *known, trigger),
            Piece::Described { id, traits, timing } => {
                let resource = self.gather_resource(from, &id);
                self.gather_traits(resource, traits);
                self.gathering.pipeline.describe(
                    resource,
                    timing,
                    &self.state.gathered.registry,
                    trigger,
                    &mut self.work.outcomes,
                );
                self.describe_streams((resource, timing), trigger);
            }
            Piece::Forgotten(id) => self.gather_end(from, &id, trigger),
            Piece::Rows(rows) => self.gather_rows(from, &rows, at),
            Piece::Rule(rule) => self.gather_rule(*rule, trigger),
            Piece::Said(said) => self.gather_said(&said, at),
            Piece::Reached(reached) => self.gather_reached(&reached, at),
            Piece::Passed(rule, clock) => {
                let passed = &mut self.state.gathered.passed;
                let mark = passed.entry(rule).or_insert(clock);
                *mark = (*mark).max(clock);
                self.advance_streams();
            }
        }
        self.settle_gathered();
    }

    /// Number of a resource here; from now on it is known.
    fn gather_resource(&mut self, from: Partition, id: &str) -> u32 {
        let now = self.now();
        let gathered = &mut self.state.gathered;
        let resource = gathered.registry.names().intern(id);
        gathered.registry.discover(resource, now);
        gathered.told.entry(from).or_default().insert(resource);
        resource
    }

    /// What a shard has told so far is void.
    fn gather_afresh(&mut self, from: Partition, clock: Option<Timestamp>, trigger: Trigger) {
        let told = self.state.gathered.told.remove(&from).unwrap_or_default();
        for resource in told {
            let id = self.state.gathered.registry.id(resource);
            self.gather_end(from, &id, trigger);
        }
        if let Some(clock) = clock {
            self.gather_clock(from, clock);
        }
    }

    fn gather_known(&mut self, from: Partition, known: KnownResource, trigger: Trigger) {
        let resource = self.gather_resource(from, &known.id);
        let now = self.now();
        self.gather_traits(resource, known.traits);
        let gathered = &mut self.state.gathered;
        let values = known.values.into_iter();
        let values =
            values.map(|(name, time, value)| (gathered.metrics.intern(&name), time, value));
        gathered.registry.recall(resource, values.collect(), now);
        if let Some(heard) = known.heard {
            self.gathering.pipeline.recall(resource, heard);
        }
        self.gathering.pipeline.describe(
            resource,
            known.timing,
            &self.state.gathered.registry,
            trigger,
            &mut self.work.outcomes,
        );
        self.describe_streams((resource, known.timing), trigger);
    }

    fn gather_end(&mut self, from: Partition, id: &str, trigger: Trigger) {
        let Some(resource) = self.state.gathered.registry.find(id) else {
            return;
        };
        let (pipeline, gathered) = (&mut self.gathering.pipeline, &mut self.state.gathered);
        pipeline.forget(
            resource,
            &gathered.registry,
            trigger,
            &mut self.work.outcomes,
        );
        self.forget_streams(resource, trigger);
        self.settle_gathered();
        if let Some(told) = self.state.gathered.told.get_mut(&from) {
            told.remove(&resource);
        }
        self.state.gathered.registry.forget(resource);
        let own = self.state.registry.names().intern(id);
        let plans = &self.gathering.plans;
        self.state
            .tasks
            .retain(|(rule, of, _), _| *of != own || !plans.contains_key(rule.as_ref()));
    }

    fn gather_rows(&mut self, from: Partition, rows: &Rows, (index, record): (u32, &IntakeRecord)) {
        let now = self.now();
        let gathered = &mut self.state.gathered;
        let (resources, metrics) = (gathered.registry.names(), &mut gathered.metrics);
        let batch = rows.to_batch(resources, metrics, index);
        for resource in &batch.resource {
            if gathered.registry.discover(*resource, now) {
                gathered.told.entry(from).or_default().insert(*resource);
            }
        }
        let (
            Work {
                watch, outcomes, ..
            },
            registry,
        ) = (&mut self.work, &gathered.registry);
        let all = 0..batch.len();
        self.gathering.pipeline.know_names(&gathered.metrics);
        self.gathering.pipeline.without(&watch.barred, |rules| {
            rules.push(&batch, all.clone(), registry, outcomes);
        });
        gathered.registry.take_rows(&batch, 0, batch.len(), now);
        self.settle_gathered();
        self.late_rows(&batch, record);
        self.reach_with_rows(Runner::Home, &batch, 0);
        self.gather_rows_beside(&batch, record);
    }

    /// Time goes as far as the shard that is furthest behind.
    fn gather_clock(&mut self, from: Partition, clock: Timestamp) {
        let gathered = &mut self.state.gathered;
        let mark = gathered.marks.entry(from).or_insert(clock);
        *mark = (*mark).max(clock);
        if gathered.marks.len() < self.settings.partitions as usize {
            return;
        }
        let least = gathered.marks.values().min().copied();
        if least <= gathered.clock {
            return;
        }
        gathered.clock = least;
        let Some(least) = least else {
            return;
        };
        let (
            Work {
                watch, outcomes, ..
            },
            registry,
        ) = (&mut self.work, &gathered.registry);
        self.gathering.pipeline.without(&watch.barred, |rules| {
            rules.advance(least, registry, outcomes);
        });
        self.settle_gathered();
        self.pass_wide(least);
        self.advance_streams();
        let gathered = &mut self.state.gathered;
        gathered
            .registry
            .sweep(least, self.settings.passivate.0, self.settings.twin_bytes);
        self.settle_gathered();
    }

    fn gather_rule(&mut self, rule: RulePiece, trigger: Trigger) {
        let known = self.state.gathered.rules.get(&rule.name);
        if known.is_some_and(|known| known.revision > rule.revision) {
            return;
        }
        let plan = rule
            .document
            .as_deref()
            .and_then(|text| parse_rule(text).ok());
        let parts = match (plan, rule.document) {
            (Some((_, plan)), Some(document)) => {
                let plan = Arc::new(plan);
                let parts = self.gather_plan(&plan, trigger);
                self.settle_gathered();
                self.gathering.plans.insert(rule.name.clone(), plan);
                let revision = rule.revision;
                let seated = Seated { revision, document };
                self.state.gathered.rules.insert(rule.name.clone(), seated);
                parts
            }
            _ => self.ungather_rule(&rule.name, rule.deleted, trigger),
        };
        if rule.request.is_empty() {
            return;
        }
        let what = format!("rule/{}", rule.name);
        self.applied(rule.request, what, rule.revision, parts, trigger);
    }

    fn gather_plan(&mut self, plan: &Arc<Plan>, trigger: Trigger) -> Vec<String> {
        let name = plan.rule().name.to_string();
        let reads = plan.rule().is_reader();
        if reads != self.gathering.streams.contains_key(&name) {
            self.clear_gathered(&name, trigger);
        }
        let plans = &mut self.gathering.plans;
        plans
            .entry(name.clone())
            .or_insert_with(|| Arc::clone(plan));
        let gathered = &mut self.state.gathered;
        let (metrics, outcomes) = (&mut gathered.metrics, &mut self.work.outcomes);
        let plan = Arc::clone(plan);
        let report = if reads {
            let view = tidegate_operators::Untold(&gathered.registry);
            let settings = self.settings.pipeline;
            let joins = plan.rule().join_of_rules().is_some();
            let rules = self.gathering.reader((name, joins), settings);
            rules.apply(plan, &view, metrics, trigger, outcomes)
        } else {
            let rules = &mut self.gathering.pipeline;
            rules.apply(plan, &gathered.registry, metrics, trigger, outcomes)
        };
        super::define::told_parts(&report)
    }

    /// Takes a rule out where it runs.
    fn clear_gathered(&mut self, name: &str, trigger: Trigger) {
        let registry = &self.state.gathered.registry;
        let outcomes = &mut self.work.outcomes;
        match self.gathering.streams.remove(name) {
            Some(mut rules) => {
                self.state.gathered.stream_clocks.remove(name);
                let registry = &self.state.gathered.registry;
                let view = tidegate_operators::Untold(registry);
                rules.remove(name, &view, trigger, outcomes);
            }
            None => self
                .gathering
                .pipeline
                .remove(name, registry, trigger, outcomes),
        }
        self.settle_gathered();
    }

    /// Stops a rule that broke, if it runs here.
    pub(super) fn stop_gathered(&mut self, name: &str, trigger: Trigger) {
        if self.gathering.plans.contains_key(name) {
            self.ungather_rule(name, false, trigger);
        }
    }

    /// Stops a rule that runs here; what it raised is cleared.
    pub(super) fn ungather_rule(
        &mut self,
        name: &str,
        deleted: bool,
        trigger: Trigger,
    ) -> Vec<String> {
        self.clear_gathered(name, trigger);
        self.reach_no_more(name, trigger);
        self.state.gathered.rules.remove(name);
        self.gathering.plans.remove(name);
        if deleted {
            self.state
                .tasks
                .retain(|(rule, ..), _| rule.as_ref() != name);
            vec!["rule: dropped".into()]
        } else {
            vec!["rule: disabled".into()]
        }
    }

    /// Hands what the rules said to their tasks, which are this shard's.
    pub(super) fn settle_gathered(&mut self) {
        for mut outcome in std::mem::take(&mut self.work.outcomes) {
            let Some(plan) = self.gathering.plans.get(outcome.rule.as_ref()).cloned() else {
                continue;
            };
            if outcome.resource != u32::MAX {
                let id = self.state.gathered.registry.id(outcome.resource);
                outcome.resource = self.state.registry.names().intern(&id);
            }
            self.work.watch.speaking = Some(Arc::clone(&outcome.rule));
            self.said(outcome, &plan);
        }
        self.work.watch.speaking = None;
    }

    /// The end of a replay that says so.
    pub(super) fn gather_until(&mut self, time: Timestamp) {
        let (pipeline, registry) = (&mut self.gathering.pipeline, &self.state.gathered.registry);
        pipeline.until(time, registry, &mut self.work.outcomes);
        self.settle_gathered();
    }

    /// A rule that runs here, and the number of a task's resource.
    pub(super) fn gathered_task(&self, rule: &str, resource: u32) -> Option<u32> {
        self.gathering.plans.get(rule)?;
        self.state.gathered.find(&self.state.registry.id(resource))
    }
}

#[cfg(test)]
mod tests;
