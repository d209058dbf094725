//! What a shard shows of itself. The host asks only when the newest epoch is acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_operators::View;
use tidegate_proto::time::Timestamp;

use super::{Shard, TaskKey};
use crate::observe::{
    MetricView, Observation, Query, ResourceView, RuleNode, RuleState, RuleView, ShardView,
    TaskView, TypeView,
};
use crate::owner::Machine;
use crate::task::TaskActor;

fn some(millis: i64) -> Option<Timestamp> {
    (millis != i64::MIN).then_some(Timestamp(millis))
}

impl Shard {
    /// Answers a query.
    #[must_use]
    pub fn look(&self, query: &Query) -> Observation {
        match query {
            Query::Resource(id) => {
                let view = self
                    .state
                    .registry
                    .find(id)
                    .and_then(|resource| self.resource_view(resource));
                Observation::Resource(view.map(Box::new))
            }
            Query::Resources { after, limit, kind } => Observation::Resources(self.resource_views(
                after.as_deref(),
                *limit,
                kind.as_deref(),
            )),
            Query::Rule(name) => Observation::Rule(self.rule_view(name).map(Box::new)),
            Query::RuleState(name) => Observation::RuleState(self.rule_state(name)),
            Query::Rules => {
                let names = self
                    .state
                    .definitions
                    .keys()
                    .filter_map(|key| key.strip_prefix("rule/"));
                Observation::Rules(names.filter_map(|name| self.rule_view(name)).collect())
            }
            Query::Type(name) => Observation::Type(self.type_view(name)),
            Query::Types => {
                let keys = self.state.definitions.keys();
                let names = keys.filter_map(|key| key.strip_prefix("type/"));
                Observation::Types(names.filter_map(|name| self.type_view(name)).collect())
            }
            Query::Task {
                rule,
                resource,
                group,
            } => {
                let number = self.state.registry.find(resource);
                let key = number
                    .map(|number| (Arc::from(rule.as_str()), number, Arc::from(group.as_str())));
                let task = key.and_then(|key: TaskKey| {
                    self.state
                        .tasks
                        .get(&key)
                        .map(|task| self.task_view(&key, task))
                });
                Observation::Tasks(task.into_iter().collect())
            }
            Query::Tasks {
                rule,
                resource,
                after,
                limit,
            } => Observation::Tasks(self.task_views(
                rule.as_deref(),
                resource.as_deref(),
                after.as_deref(),
                *limit,
            )),
            Query::Sources => Observation::Sources(self.source_views()),
            Query::Shard => Observation::Shard(Box::new(self.numbers())),
        }
    }

    fn resource_views(
        &self,
        after: Option<&str>,
        limit: usize,
        kind: Option<&str>,
    ) -> Vec<ResourceView> {
        let registry = &self.state.registry;
        let wanted = |id: &Arc<str>| after.is_none_or(|after| id.as_ref() > after);
        let of_kind = |resource: u32| {
            kind.is_none_or(|kind| registry.traits(resource).kind.as_deref() == Some(kind))
        };
        let all = registry
            .sorted()
            .into_iter()
            .filter(|(id, resource)| wanted(id) && of_kind(*resource));
        all.take(limit)
            .filter_map(|(_, resource)| self.resource_view(resource))
            .collect()
    }

    fn resource_view(&self, resource: u32) -> Option<ResourceView> {
        let actor = self.state.registry.look(resource)?;
        let traits = self.state.registry.traits(resource);
        let name = |metric: u32| {
            self.state
                .metrics
                .text(metric)
                .cloned()
                .unwrap_or_else(|| Arc::from("?"))
        };
        let metrics: BTreeMap<_, _> = actor
            .metrics
            .iter()
            .map(|last| {
                (
                    name(last.metric),
                    MetricView {
                        time: Timestamp(last.time),
                        value: last.value.clone(),
                    },
                )
            })
            .collect();
        Some(ResourceView {
            id: self.state.registry.id(resource),
            revision: actor.revision,
            kind: traits.kind.clone(),
            labels: traits.labels.clone(),
            meta: traits.meta.clone(),
            parent: traits.parent.clone(),
            online: actor.online,
            first_seen: some(actor.first_seen),
            last_seen: some(actor.last_seen),
            latest: some(actor.latest),
            events: actor.events,
            metrics,
            shard: self.settings.shard,
        })
    }

    fn rule_view(&self, name: &str) -> Option<RuleView> {
        let definition = self
            .state
            .definitions
            .get(format!("rule/{name}").as_str())?;
        let document = definition.document.as_ref()?;
        let installed = self.state.installed.get(name);
        Some(RuleView {
            name: name.to_owned(),
            revision: definition.revision,
            enabled: definition.enabled,
            quarantined: installed.and_then(|installed| installed.quarantined.clone()),
            document: document.as_ref().to_owned(),
            plan: self
                .plans
                .get(name)
                .map(|plan| plan.lines())
                .unwrap_or_default(),
            nodes: Vec::new(),
            excess: BTreeMap::new(),
        })
    }

    fn rule_state(&self, name: &str) -> RuleState {
        let resources = self.state.registry.resources();
        let Some(portrait) = self.pipeline.portrait(name, resources) else {
            return RuleState::default();
        };
        let nodes = portrait.nodes.into_iter().map(|node| RuleNode {
            name: node.name,
            rows: node.rows,
            bytes: node.bytes,
            shared_with: node.shared_with,
        });
        let mine = self.state.tasks.iter();
        let mine = mine.filter(|((rule, ..), _)| rule.as_ref() == name);
        let throttled: u64 = mine.map(|(_, task)| task.throttled()).sum();
        let counts = portrait.counters.all().into_iter();
        let counts = counts.chain([("throttled", throttled)]);
        let excess = counts.filter(|(_, count)| *count > 0);
        RuleState {
            nodes: nodes.collect(),
            excess: excess
                .map(|(name, count)| (name.to_owned(), count))
                .collect(),
        }
    }

    fn type_view(&self, name: &str) -> Option<TypeView> {
        let definition = self
            .state
            .definitions
            .get(format!("type/{name}").as_str())?;
        Some(TypeView {
            name: name.to_owned(),
            revision: definition.revision,
            document: definition.document.as_deref()?.to_owned(),
        })
    }

    fn task_views(
        &self,
        rule: Option<&str>,
        resource: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<TaskView> {
        let wanted = |key: &TaskKey| {
            rule.is_none_or(|rule| key.0.as_ref() == rule)
                && resource
                    .is_none_or(|resource| self.state.registry.id(key.1).as_ref() == resource)
        };
        let tasks = self.state.tasks.iter().filter(|(key, _)| wanted(key));
        let mut views: Vec<_> = tasks.map(|(key, task)| self.task_view(key, task)).collect();
        views.sort_by(|a, b| a.id.cmp(&b.id));
        views
            .into_iter()
            .filter(|view| after.is_none_or(|after| view.id.as_str() > after))
            .take(limit)
            .collect()
    }

    fn task_view(&self, key: &TaskKey, task: &TaskActor) -> TaskView {
        let (rule, resource, group) = key;
        let id = self.state.registry.id(*resource);
        let (rules, number) = match self.gathered_task(rule, *resource) {
            Some(number) => (self.gathering.rules_of(rule), number),
            None => (&self.pipeline, *resource),
        };
        let state = rules.active(rule, number).unwrap_or_default();
        let counters = rules.counters(rule, number);
        let (status, since) = match (task.raised(), state.pending) {
            (Some(since), _) => ("raised", Some(since)),
            (None, Some(since)) => ("pending", Some(since)),
            (None, None) => ("idle", None),
        };
        let suffix = if group.is_empty() {
            String::new()
        } else {
            format!("/{group}")
        };
        TaskView {
            // A task over everything has no resource: its key, if any, stands in its place.
            id: if id.is_empty() {
                format!("{rule}{suffix}")
            } else {
                format!("{rule}/{id}{suffix}")
            },
            rule: rule.as_ref().to_owned(),
            resource: id.as_ref().to_owned(),
            status: status.to_owned(),
            since,
            health: task.health(),
            unknown: counters.unknown,
            late: counters.late,
            errors: counters.errors,
            throttled: task.throttled(),
            watermark: state.watermark,
            outcomes: task.outcomes(),
        }
    }

    fn numbers(&self) -> ShardView {
        let (resources, active, twin_bytes) = self.state.registry.numbers();
        ShardView {
            shard: self.settings.shard,
            epoch: self.state.epoch,
            clock: self.clock(),
            positions: self.positions(),
            resources,
            active,
            twin_bytes,
            rule_bytes: (self.pipeline.bytes() + self.gathering.bytes()) as u64,
            tasks: self.state.tasks.len() as u64,
            rules: self
                .state
                .installed
                .values()
                .filter(|installed| installed.runs())
                .count() as u64,
            quarantined: self.quarantine(),
            counters: self.state.counters,
        }
    }
}
