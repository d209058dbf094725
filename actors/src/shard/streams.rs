//! Rules that read what other rules say (`from`): lines become rows of a stream of their own, told to the reader's home like rows of
//! events, and there each reader is a pipeline of its own, because the time of a stream is not that of its resources.

use std::sync::Arc;

use tidegate_operators::{Pipeline, Plan, Untold, View as _};
use tidegate_proto::id::Names;
use tidegate_proto::outcome::{Outcome, OutcomeKind, Trigger};
use tidegate_proto::resource::Traits;
use tidegate_proto::rule::Rule;
use tidegate_proto::time::{Span, Timestamp};
use tidegate_proto::value::Value;

use super::reached::Runner;
use super::{Shard, Work};
use crate::command::{Command, Refusal};
use crate::epoch::IntakeRecord;
use crate::parcel::SaidPiece;
use crate::rule::{chain_issue, parse_rule};

/// Columns of a line, and the bounds of its window beside them.
fn with_window(outcome: &Outcome, values: &[(Arc<str>, Value)]) -> Vec<(Arc<str>, Value)> {
    let mut all = values.to_vec();
    let bounds = outcome.window.into_iter();
    let bounds = bounds.flat_map(|(start, end)| [("win_start", start), ("win_end", end)]);
    for (name, at) in bounds {
        if values.iter().all(|(known, _)| known.as_ref() != name) {
            all.push((Arc::from(name), Value::Int(at.0)));
        }
    }
    all
}

impl Shard {
    /// Which rules a rule reads, as far as this shard knows.
    fn read_by(&self, rule: &str) -> Vec<Arc<str>> {
        let plan = self.plans.get(rule);
        plan.map_or_else(Vec::new, |plan| plan.rule().reads())
    }

    /// Why a rule that is to be accepted would read itself, stand behind too many others, or finds no states where it looks for them.
    pub(super) fn chain_refusal(&self, command: &Command) -> Option<Refusal> {
        let Command::PutRule { document, .. } = command else {
            return None;
        };
        let (rule, plan) = parse_rule(document).ok()?;
        let ring = chain_issue(&rule, &|name| self.read_by(name));
        let mut issues: Vec<_> = ring.into_iter().collect();
        if issues.is_empty() {
            let of = |name: &str| self.plans.get(name).map(AsRef::as_ref);
            issues = plan.reading_issues(&of);
        }
        (!issues.is_empty()).then_some(Refusal::Invalid { issues })
    }

    /// What a rule said goes to the homes of the rules that read it.
    pub(super) fn tell_readers(&mut self, outcome: &Outcome, plan: &Plan, resource: &str) {
        let mut readers = self.state.sharing.readers(&outcome.rule).peekable();
        let corrects = outcome.kind == OutcomeKind::Window && outcome.revision > 1;
        let Some(values) = outcome.values.as_ref().filter(|_| !corrects) else {
            return;
        };
        if readers.peek().is_none() {
            return;
        }
        let wants = |reader: &&Arc<str>| {
            let plan = self.plans.get(reader.as_ref());
            plan.is_some_and(|plan| plan.rule().wants(&outcome.rule, outcome.kind))
        };
        let mut homes: Vec<_> = readers
            .filter(wants)
            .map(|rule| self.home_of(rule))
            .collect();
        homes.sort_unstable();
        homes.dedup();
        // Shards may hear of rules in another order than they were accepted: a ring of them says nothing.
        if homes.is_empty() || chain_issue(plan.rule(), &|name| self.read_by(name)).is_some() {
            return;
        }
        let task: Arc<str> = Arc::from(outcome.task(resource));
        let of = match (resource, outcome.group.as_ref()) {
            ("", "") => Arc::clone(&outcome.rule),
            ("", _) => Arc::clone(&outcome.group),
            (resource, _) => Arc::from(resource),
        };
        let cause = outcome.cause.last();
        let cause = cause.map(|event| Arc::from(self.settings.causes.name(event)));
        let said = SaidPiece {
            rule: Arc::clone(&outcome.rule),
            kind: outcome.kind,
            resource: of,
            time: outcome.time.0,
            cause: cause.unwrap_or_else(|| Arc::clone(&task)),
            values: with_window(outcome, values),
            task,
        };
        for home in homes {
            self.work.outgoing.say(outcome.trigger, home, said.clone());
        }
    }

    /// A rule has said something: a row for those here that read it.
    pub(super) fn gather_said(&mut self, said: &SaidPiece, (index, record): (u32, &IntakeRecord)) {
        let now = self.now();
        let gathered = &mut self.state.gathered;
        let resource = gathered.registry.names().intern(&said.resource);
        if gathered.registry.discover(resource, now) {
            // A key or a rule that stands for a resource.
            let (trigger, registry) = (Trigger::Record(index), &self.state.gathered.registry);
            let (rules, outcomes) = (&mut self.gathering.pipeline, &mut self.work.outcomes);
            rules.describe(resource, (None, None), registry, trigger, outcomes);
            self.describe_streams((resource, (None, None)), trigger);
            self.settle_gathered();
        }
        let mut plans = self.gathering.plans.values();
        if plans.any(|plan| plan.rule().hears(&said.rule, said.kind)) {
            self.gather_input(said, index);
        }
        let gathered = &mut self.state.gathered;
        let names = (gathered.registry.names(), &mut gathered.metrics);
        let batch = said.to_batch(names, false, index);
        for name in self.readers_that(|rule| rule.wants(&said.rule, said.kind)) {
            let plan = self.gathering.plans.get(&name);
            let joins = plan.is_some_and(|plan| plan.rule().join_of_rules().is_some());
            self.run_reader(&name, |rules, (view, metrics), outcomes| {
                if joins {
                    rules.know_names(metrics);
                    rules.hear_lines(&batch, (&said.rule, said.kind), view, outcomes);
                } else {
                    rules.push(&batch, 0..1, view, outcomes);
                }
            });
            self.late_rows(&batch, record);
            if !joins {
                self.reach_with_rows(Runner::Alone(&name), &batch, 0);
            }
        }
    }

    /// Readers here of which something holds, in byte order of their names.
    pub(super) fn readers_that(&self, holds: impl Fn(&Rule) -> bool) -> Vec<String> {
        let names = self.gathering.streams.keys();
        let names = names.filter(|name| {
            let plan = self.gathering.plans.get(name.as_str());
            plan.is_some_and(|plan| holds(plan.rule()))
        });
        names.cloned().collect()
    }

    /// Works on the pipeline of one reader while barred rules are left out, and settles what it says.
    pub(super) fn run_reader(
        &mut self,
        name: &str,
        work: impl FnOnce(&mut Pipeline, (&Untold<'_>, &Names), &mut Vec<Outcome>),
    ) {
        let Some(rules) = self.gathering.streams.get_mut(name) else {
            return;
        };
        let Work {
            watch, outcomes, ..
        } = &mut self.work;
        let gathered = &self.state.gathered;
        let told = (&Untold(&gathered.registry), &gathered.metrics);
        rules.without(&watch.barred, |rules| work(rules, told, outcomes));
        self.settle_gathered();
    }

    /// A rule has said something that others have among their inputs.
    fn gather_input(&mut self, said: &SaidPiece, index: u32) {
        let gathered = &mut self.state.gathered;
        let names = (gathered.registry.names(), &mut gathered.metrics);
        let batch = said.to_batch(names, true, index);
        let Work {
            watch, outcomes, ..
        } = &mut self.work;
        let registry = &self.state.gathered.registry;
        let rules = &mut self.gathering.pipeline;
        rules.without(&watch.barred, |rules| {
            rules.hear(&batch, registry, outcomes);
        });
        self.settle_gathered();
    }

    /// How far the rules that a reader reads have come: one that runs at a home says so itself, the others with their shards.
    fn stream_clock(&self, reader: &str) -> Option<Timestamp> {
        let plan = self.gathering.plans.get(reader)?;
        let clocks = plan.rule().read_rows().map(|rule| {
            let plan = self.plans.get(rule.as_ref());
            // One that was stopped says nothing any more, not even how far it is.
            let plan = plan.filter(|_| self.runs(rule));
            if plan.is_some_and(|plan| self.is_wide(plan)) {
                self.state.gathered.passed.get(rule).copied()
            } else {
                self.state.gathered.clock
            }
        });
        clocks.min().flatten()
    }

    /// Time goes on for readers, as far as those have come whom they read.
    pub(super) fn advance_streams(&mut self) {
        let names: Vec<String> = self.gathering.streams.keys().cloned().collect();
        for name in names {
            let clock = self.stream_clock(&name);
            let known = self.state.gathered.stream_clocks.get(&name).copied();
            let Some(clock) = clock.filter(|_| clock > known) else {
                continue;
            };
            self.run_reader(&name, |rules, (view, _), outcomes| {
                rules.advance(clock, view, outcomes);
            });
            self.pass_on(&Arc::from(name.as_str()), clock);
            self.state.gathered.stream_clocks.insert(name, clock);
        }
    }

    /// Rules that read events here have come so far.
    pub(super) fn pass_wide(&mut self, clock: Timestamp) {
        let streams = &self.gathering.streams;
        let names = self.gathering.plans.keys();
        let names: Vec<Arc<str>> = names
            .filter(|name| !streams.contains_key(*name))
            .map(|name| Arc::from(name.as_str()))
            .collect();
        for name in names {
            self.pass_on(&name, clock);
        }
    }

    /// Tells those who read a rule how far it has come.
    fn pass_on(&mut self, rule: &Arc<str>, clock: Timestamp) {
        let readers = self.state.sharing.readers(rule);
        let reads = |reader: &&Arc<str>| {
            let plan = self.plans.get(reader.as_ref());
            plan.is_some_and(|plan| plan.rule().is_reader())
        };
        let readers = readers.filter(reads);
        let mut homes: Vec<_> = readers.map(|reader| self.home_of(reader)).collect();
        homes.sort_unstable();
        homes.dedup();
        for home in homes {
            self.work.outgoing.pass(home, rule, clock);
        }
    }

    /// What a resource is changes for everybody at this home.
    pub(super) fn gather_traits(&mut self, resource: u32, traits: Traits) {
        let registry = &mut self.state.gathered.registry;
        if registry.traits(resource) != &traits {
            let streams = self.gathering.streams.values_mut();
            for rules in std::iter::once(&mut self.gathering.pipeline).chain(streams) {
                rules.part(resource, registry);
            }
        }
        registry.set_traits(resource, traits, None);
    }

    /// A resource is something else for readers too.
    pub(super) fn describe_streams(
        &mut self,
        (resource, timing): (u32, (Option<Span>, Option<Span>)),
        trigger: Trigger,
    ) {
        for (name, rules) in &mut self.gathering.streams {
            let plan = self.gathering.plans.get(name);
            // How late a resource's events come says nothing of lines.
            let joins = plan.is_some_and(|plan| plan.rule().join_of_rules().is_some());
            let timing = if joins { timing } else { (None, None) };
            let view = Untold(&self.state.gathered.registry);
            let outcomes = &mut self.work.outcomes;
            rules.describe(resource, timing, &view, trigger, outcomes);
        }
    }

    /// A resource is no more, for readers too.
    pub(super) fn forget_streams(&mut self, resource: u32, trigger: Trigger) {
        for rules in self.gathering.streams.values_mut() {
            let view = Untold(&self.state.gathered.registry);
            rules.forget(resource, &view, trigger, &mut self.work.outcomes);
        }
    }

    /// The end of a replay that says so, for readers that stand behind so many rules.
    pub(super) fn until_streams(&mut self, time: Timestamp, depth: usize) {
        let behind = |rule: &Rule| crate::rule::depth(rule, &|of| self.read_by(of)) == depth;
        for name in self.readers_that(behind) {
            if let Some(rules) = self.gathering.streams.get_mut(&name) {
                let view = Untold(&self.state.gathered.registry);
                rules.until(time, &view, &mut self.work.outcomes);
            }
        }
        self.settle_gathered();
    }
}
