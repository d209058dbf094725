//! A shard that is watched while it runs its history again.

use std::sync::Arc;

use tidegate_operators::{Pipeline, PipelineSettings, Sighting, Subject, TaskState};
use tidegate_proto::batch::EventRef;

use super::Shard;
use super::gather::Gathering;
use crate::why::{Facts, Question};

impl Gathering {
    /// Watches a task of a rule from now on.
    fn watch(&mut self, rule: &str, subject: &Subject) {
        self.watched = Some((rule.to_owned(), subject.clone()));
        match self.streams.get_mut(rule) {
            Some(rules) => rules.watch(rule, subject.clone()),
            None => self.pipeline.watch(rule, subject.clone()),
        }
    }

    /// Where a rule that reads others runs; it is watched from its first day on.
    pub(super) fn reader(
        &mut self,
        (name, joins): (String, bool),
        settings: PipelineSettings,
    ) -> &mut Pipeline {
        let main = &self.pipeline;
        let watched = self.watched.as_ref().filter(|(rule, _)| *rule == name);
        self.streams.entry(name).or_insert_with(|| {
            let mut rules = Pipeline::new(settings);
            if joins {
                rules.time_like(main);
            }
            if let Some((rule, subject)) = watched {
                rules.watch(rule, subject.clone());
            }
            rules
        })
    }
}

impl Shard {
    /// Watches one task from now on. Only for a shard that nobody else needs: the id gets a number here.
    pub(crate) fn watch(&mut self, question: &Question, most: usize) -> Option<TaskState> {
        let (rule, id) = (&question.rule, &question.resource);
        let subject = |resource: u32| Subject {
            resource,
            key: Arc::from(id.as_str()),
            most,
        };
        let own = subject(self.state.registry.names().intern(id));
        self.pipeline.watch(rule, own);
        let gathered = subject(self.state.gathered.number(id));
        self.gathering.watch(rule, &gathered);
        self.task_state(question)
    }

    /// What is known of a task, wherever it runs.
    fn task_state(&self, question: &Question) -> Option<TaskState> {
        let Question { rule, resource, .. } = question;
        let own = self.state.registry.find(resource);
        let own = own.and_then(|number| self.pipeline.active(rule, number));
        let gathered = || {
            let rules = self.gathering.rules_of(rule);
            let number = rules.number_of(rule, self.state.gathered.find(resource)?);
            rules.active(rule, number)
        };
        own.or_else(gathered)
    }

    /// How the watched task of a pattern, graph or join stands now.
    pub(crate) fn sight(&self, rule: &str) -> Option<Sighting> {
        let own = self.pipeline.sight(&self.state.registry);
        let gathered = &self.state.gathered.registry;
        own.or_else(|| self.gathering.rules_of(rule).sight(gathered))
    }

    /// What the watched task saw since it was last asked.
    pub(crate) fn sightings(&mut self) -> Vec<Sighting> {
        let mut seen = self.pipeline.sightings();
        seen.extend(self.gathering.pipeline.sightings());
        let streams = self.gathering.streams.values_mut();
        seen.extend(streams.flat_map(Pipeline::sightings));
        seen
    }

    /// Name of an event as results name it.
    pub(crate) fn cause_name(&self, event: &EventRef) -> String {
        self.settings.causes.name(event)
    }

    /// Whether what is asked about may lie in what this shard has taken already.
    #[must_use]
    pub fn has_come_to(&self, question: &Question) -> bool {
        let number = self.state.registry.find(&question.resource);
        let known = number.and_then(|number| self.state.registry.look(number));
        let latest = known
            .map(|resource| resource.latest)
            .max(self.state.clock.map(|at| at.0));
        let at = question.at.map(|at| at.0);
        at.is_some_and(|at| latest.is_some_and(|latest| at <= latest))
    }

    /// What is known of a rule and a resource.
    pub(crate) fn facts(&self, question: &Question) -> Facts {
        let installed = self.state.installed.get(&question.rule);
        let plan = self.gathering.plans.get(&question.rule);
        Facts {
            revision: installed.map(|installed| installed.revision),
            runs: installed.is_some_and(super::Installed::runs),
            matches: self.task_state(question).is_some(),
            everything: plan.is_some_and(|plan| plan.is_everything()),
        }
    }
}
