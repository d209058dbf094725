//! A shard that is watched while it runs its history again.

use tidegate_operators::{Sighting, TaskState};
use tidegate_proto::batch::EventRef;

use super::Shard;
use crate::why::{Facts, Question};

impl Shard {
    /// Watches one task from now on. Only for a shard that nobody else needs: the id gets a number here.
    pub(crate) fn watch(&mut self, rule: &str, resource: &str) -> Option<TaskState> {
        let number = self.state.registry.names().intern(resource);
        self.pipeline.watch(rule, number);
        self.pipeline.active(rule, number)
    }

    /// What the watched task saw since it was last asked.
    pub(crate) fn sightings(&mut self) -> Vec<Sighting> {
        self.pipeline.sightings()
    }

    /// Name of an event as results name it.
    pub(crate) fn cause_name(&self, event: &EventRef) -> String {
        self.settings.causes.name(event)
    }

    /// What is known of a rule and a resource.
    pub(crate) fn facts(&self, question: &Question) -> Facts {
        let installed = self.state.installed.get(&question.rule);
        let number = self.state.registry.find(&question.resource);
        let task = number.and_then(|number| self.pipeline.active(&question.rule, number));
        Facts {
            revision: installed.map(|installed| installed.revision),
            runs: installed.is_some_and(super::Installed::runs),
            matches: task.is_some(),
        }
    }
}
