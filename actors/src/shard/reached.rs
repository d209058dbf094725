//! How far rules have come whose lines are rows of joins. Who runs such a rule tells it to the joins' homes behind the lines: of a task
//! per resource with each of its rows, of others as a whole at the end of an epoch.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_operators::Reached;
use tidegate_proto::Join;
use tidegate_proto::batch::EventBatch;
use tidegate_proto::outcome::Trigger;
use tidegate_proto::record::Partition;
use tidegate_proto::rule::Rule;

use super::sharing::record_of;
use super::{Installed, Shard};
use crate::epoch::IntakeRecord;
use crate::parcel::ReachedPiece;

/// Who runs a rule.
#[derive(Clone, Copy, Debug)]
pub(super) enum Runner<'a> {
    /// This shard, for its own resources.
    Own,
    /// Its home.
    Home,
    /// Its home, by itself: it reads what others say.
    Alone(&'a str),
}

/// Whether a rule is a join that has lines of another one.
fn joins(reader: &Rule, rule: &str) -> bool {
    let join = reader.join_of_rules();
    join.is_some_and(|join| join.of_rules().any(|of| of.reads(rule)))
}

impl Shard {
    /// Whether a rule runs anywhere, as far as this shard knows.
    pub(super) fn runs(&self, rule: &str) -> bool {
        let installed = self.state.installed.get(rule);
        installed.is_some_and(Installed::runs)
    }

    /// Homes of the joins that have lines of a rule, if it runs.
    fn join_homes(&self, rule: &str) -> Vec<Partition> {
        let readers = self.state.sharing.readers(rule);
        let joins = |reader: &&Arc<str>| {
            let plan = self.plans.get(reader.as_ref());
            plan.is_some_and(|plan| joins(plan.rule(), rule))
        };
        let mut homes: Vec<Partition> = readers
            .filter(joins)
            .map(|reader| self.home_of(reader))
            .collect();
        homes.sort_unstable();
        homes.dedup();
        homes
    }

    /// Rules whose lines joins have, with the homes of those.
    fn joined_rules(&self) -> Vec<(Arc<str>, Vec<Partition>)> {
        let rules = self.state.sharing.read_rules();
        let rules = rules.map(|rule| (Arc::clone(rule), self.join_homes(rule)));
        rules.filter(|(_, homes)| !homes.is_empty()).collect()
    }

    /// Rows have been pushed, from a row of the batch on: tells how far the tasks have come with each.
    pub(super) fn reach_with_rows(&mut self, runner: Runner<'_>, batch: &EventBatch, start: usize) {
        if self.state.sharing.nobody_reads() {
            return;
        }
        for (rule, homes) in self.joined_rules() {
            let Some(plan) = self.plans.get(rule.as_ref()) else {
                continue;
            };
            let behind = plan.rule().behind();
            let (pipeline, registry) = match runner {
                Runner::Own if !self.is_wide(plan) => (&self.pipeline, &self.state.registry),
                Runner::Home => (&self.gathering.pipeline, &self.state.gathered.registry),
                Runner::Alone(name) if name == rule.as_ref() => {
                    let Some(rules) = self.gathering.streams.get(name) else {
                        continue;
                    };
                    (rules, &self.state.gathered.registry)
                }
                Runner::Own | Runner::Alone(_) => continue,
            };
            // What a record brings of a resource counts with its last row.
            let mut last: BTreeMap<(u32, u32), Reached> = BTreeMap::new();
            for (row, resource, reached) in pipeline.reached_with_rows(&rule) {
                let record = batch.record.get(start + row).copied().unwrap_or_default();
                last.insert((record, resource), reached.less(behind));
            }
            let told = last.into_iter().map(|((record, resource), reached)| {
                let piece = ReachedPiece {
                    rule: Arc::clone(&rule),
                    of: Some(registry.id(resource)),
                    at: Some(reached),
                };
                (record, piece)
            });
            for (record, piece) in told.collect::<Vec<_>>() {
                self.work.outgoing.reach(record, &homes, &piece);
            }
        }
    }

    /// How far rules over several resources have come that run here, if it is further than told.
    pub(super) fn reach_as_a_whole(&mut self) {
        if self.state.sharing.nobody_reads() {
            return;
        }
        for (rule, homes) in self.joined_rules() {
            let Some(plan) = self.gathering.plans.get(rule.as_ref()) else {
                continue;
            };
            let behind = plan.rule().behind();
            let rules = match self.gathering.streams.get_mut(rule.as_ref()) {
                Some(rules) => rules,
                None => &mut self.gathering.pipeline,
            };
            let Some(water) = rules.reached(&rule) else {
                continue;
            };
            let told = self.state.gathered.levels.get(&rule);
            if told.is_some_and(|told| *told >= water) {
                continue;
            }
            self.state.gathered.levels.insert(Arc::clone(&rule), water);
            let piece = ReachedPiece {
                rule,
                of: None,
                at: Some(Reached::told(water).less(behind)),
            };
            let record = self.work.outgoing.last_record();
            self.work.outgoing.reach(record, &homes, &piece);
        }
    }

    /// Somebody says how far a rule has come.
    pub(super) fn gather_reached(
        &mut self,
        piece: &ReachedPiece,
        (index, record): (u32, &IntakeRecord),
    ) {
        let rule = piece.rule.as_ref();
        let of = piece.of.as_deref().map(|id| self.state.gathered.number(id));
        for name in self.readers_that(|reader| joins(reader, rule)) {
            self.run_reader(&name, |rules, (view, _), outcomes| {
                rules.hear_reached((rule, of), piece.at, index, view, outcomes);
            });
            self.late_rows(&EventBatch::default(), record);
        }
    }

    /// A rule does not run here any more: joins do not wait for it.
    pub(super) fn reach_no_more(&mut self, rule: &str, trigger: Trigger) {
        self.state.gathered.levels.remove(rule);
        let homes = self.join_homes(rule);
        let piece = ReachedPiece {
            rule: Arc::from(rule),
            of: None,
            at: None,
        };
        let record = record_of(trigger);
        self.work.outgoing.reach(record, &homes, &piece);
    }

    /// Events come to joins that have them beside lines of rules.
    pub(super) fn gather_rows_beside(&mut self, batch: &EventBatch, record: &IntakeRecord) {
        for name in self.readers_that(|rule| rule.join_of_rules().is_some_and(Join::has_events)) {
            self.run_reader(&name, |rules, (view, metrics), outcomes| {
                rules.know_names(metrics);
                rules.push(batch, 0..batch.len(), view, outcomes);
            });
            self.late_rows(batch, record);
        }
    }
}
