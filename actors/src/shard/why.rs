//! A shard that is watched while it runs its history again.

use tidegate_operators::{AttemptSeen, Sighting, TaskState};
use tidegate_proto::batch::EventRef;
use tidegate_proto::time::Timestamp;

use super::Shard;
use crate::why::{Facts, Question};

impl Shard {
    /// Watches one task from now on. Only for a shard that nobody else needs: the id gets a number here.
    pub(crate) fn watch(&mut self, rule: &str, resource: &str) -> Option<TaskState> {
        let number = self.state.registry.names().intern(resource);
        self.pipeline.watch(rule, number);
        let gathered = self.state.gathered.number(resource);
        self.gathering.pipeline.watch(rule, gathered);
        let own = self.pipeline.active(rule, number);
        own.or_else(|| self.gathering.rules_of(rule).active(rule, gathered))
    }

    /// What the watched task saw since it was last asked.
    pub(crate) fn sightings(&mut self) -> Vec<Sighting> {
        let mut seen = self.pipeline.sightings();
        seen.extend(self.gathering.pipeline.sightings());
        seen
    }

    /// Name of an event as results name it.
    pub(crate) fn cause_name(&self, event: &EventRef) -> String {
        self.settings.causes.name(event)
    }

    /// How far a pattern's attempts have come, and the task's time; `None` if the rule is no running pattern.
    pub(crate) fn attempts(
        &self,
        question: &Question,
    ) -> Option<(Vec<AttemptSeen>, Option<Timestamp>)> {
        let number = self.state.registry.find(&question.resource)?;
        let attempts = self.pipeline.attempts(&question.rule, number)?;
        let task = self.pipeline.active(&question.rule, number);
        Some((attempts, task?.watermark))
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
        let (rule, resource) = (&question.rule, &question.resource);
        let own = self.state.registry.find(resource);
        let own = own.and_then(|number| self.pipeline.active(rule, number));
        let gathered = self.state.gathered.find(resource);
        let gathered = || self.gathering.rules_of(rule).active(rule, gathered?);
        let task = own.or_else(gathered);
        Facts {
            revision: installed.map(|installed| installed.revision),
            runs: installed.is_some_and(super::Installed::runs),
            matches: task.is_some(),
        }
    }
}
