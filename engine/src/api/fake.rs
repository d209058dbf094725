//! A backend for tests: remembers what it was given, answers what it was told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use tidegate_actors::command::{Command, Refusal, Request};
use tidegate_actors::observe::{
    Observation, Query, ResourceView, RuleNode, RuleView, ShardView, TaskView, TypeView,
};
use tidegate_actors::why::Question;
use tidegate_proto::document::{self, Document, SourceDefinition};
use tidegate_proto::rule::Rule;

use super::backend::{
    Again, Answer, Answering, Backend, IngestEvent, RecordPlace, SourceStatus, Tail, TailEntry,
    TailFrom, TailTopic, TopicRecord,
};
use crate::error::EngineError;
use crate::workers::WorkerView;

/// What the backend has and was given.
#[derive(Default)]
pub(super) struct Told {
    pub(super) events: Vec<IngestEvent>,
    pub(super) once: Vec<Option<String>>,
    pub(super) again: Vec<Again>,
    pub(super) requests: Vec<Request>,
    pub(super) resources: BTreeMap<String, ResourceView>,
    pub(super) rules: BTreeMap<String, RuleView>,
    pub(super) types: BTreeMap<String, TypeView>,
    pub(super) tasks: BTreeMap<String, TaskView>,
    pub(super) sources: BTreeMap<String, SourceStatus>,
    pub(super) records: Vec<(String, TopicRecord)>,
    pub(super) entries: Vec<TailEntry>,
    pub(super) tailed: Vec<(TailTopic, TailFrom, bool)>,
    pub(super) trouble: Vec<String>,
    pub(super) fails: Option<EngineError>,
}

/// The backend; clones share what it knows.
#[derive(Clone, Default)]
pub(super) struct Fake(pub(super) Arc<Mutex<Told>>);

fn answer<'a, T: Send + 'a>(result: Result<T, EngineError>) -> Answering<'a, T> {
    Box::pin(futures::future::ready(result))
}

impl Fake {
    pub(super) fn told<T>(&self, look: impl FnOnce(&mut Told) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    /// A rule of this name with this revision.
    pub(super) fn with_rule(&self, name: &str, revision: u64, document: &str) {
        let rule = RuleView {
            name: name.into(),
            revision,
            enabled: true,
            quarantined: None,
            document: document.into(),
            plan: vec!["when".into()],
            nodes: vec![RuleNode {
                name: "when".into(),
                rows: 0,
                bytes: 96,
                shared_with: 2,
            }],
            excess: BTreeMap::from([("late".to_owned(), 3)]),
        };
        self.told(|told| told.rules.insert(name.into(), rule));
    }

    /// A resource of this id and type.
    pub(super) fn with_resource(&self, id: &str, kind: &str) {
        let view = ResourceView {
            id: id.into(),
            revision: 0,
            kind: Some(kind.into()),
            labels: BTreeMap::new(),
            meta: BTreeMap::new(),
            parent: None,
            online: true,
            first_seen: None,
            last_seen: None,
            latest: None,
            events: 1,
            metrics: BTreeMap::new(),
            shard: 0,
        };
        self.told(|told| told.resources.insert(id.into(), view));
    }

    fn change(told: &mut Told, request: Request) -> Result<Answer, EngineError> {
        let conflict = |expected: Option<u64>, actual: u64| match expected {
            Some(expected) if expected != actual => {
                Err(EngineError::Refused(Refusal::Conflict { expected, actual }))
            }
            _ => Ok(()),
        };
        let revision = match &request.command {
            Command::PutRule { document, expected } => {
                let Some(Document::Rule(rule)) = document::parse(document).unwrap().pop() else {
                    panic!("no rule: {document}");
                };
                let known = told.rules.get(rule.name.as_str());
                let before = known.map_or(0, |known| known.revision);
                conflict(*expected, before)?;
                if known.is_some_and(|known| known.document == *document) {
                    before
                } else {
                    before + 1
                }
            }
            Command::DeleteRule { name, expected } | Command::EnableRule { name, expected, .. } => {
                let known = told.rules.get(name).map(|rule| rule.revision);
                let known = known.ok_or_else(|| EngineError::not_found(format!("rule/{name}")))?;
                conflict(*expected, known)?;
                known + 1
            }
            Command::PutResource { expected, .. } | Command::DeleteResource { expected, .. } => {
                conflict(*expected, 0)?;
                1
            }
            Command::PutResourceType { .. }
            | Command::DeleteResourceType { .. }
            | Command::PutSource { .. }
            | Command::DeleteSource { .. } => 1,
        };
        told.requests.push(request);
        Ok(Answer {
            revision,
            parts: vec!["when: kept".into()],
        })
    }
}

impl Backend for Fake {
    fn partitions(&self) -> u32 {
        2
    }

    fn trouble(&self) -> std::pin::Pin<Box<dyn Future<Output = Vec<String>> + Send + '_>> {
        Box::pin(futures::future::ready(
            self.told(|told| told.trouble.clone()),
        ))
    }

    fn ingest(&self, events: Vec<IngestEvent>, once: Option<String>) -> Answering<'_, u64> {
        answer(self.told(|told| {
            if let Some(error) = told.fails.clone() {
                return Err(error);
            }
            let count = events.len() as u64;
            told.events.extend(events);
            told.once.push(once);
            Ok(count)
        }))
    }

    fn again(&self, again: Again) -> Answering<'_, ()> {
        self.told(|told| told.again.push(again));
        answer(Ok(()))
    }

    fn request(&self, request: Request) -> Answering<'_, Answer> {
        answer(self.told(|told| match told.fails.clone() {
            Some(error) => Err(error),
            None => Self::change(told, request),
        }))
    }

    fn resource<'a>(&'a self, id: &'a str) -> Answering<'a, Option<ResourceView>> {
        answer(Ok(self.told(|told| told.resources.get(id).cloned())))
    }

    fn resources(
        &self,
        kind: Option<String>,
        after: Option<String>,
        limit: usize,
    ) -> Answering<'_, Vec<ResourceView>> {
        answer(Ok(self.told(|told| {
            let all = told.resources.values();
            all.filter(|view| kind.is_none() || kind.as_deref() == view.kind.as_deref())
                .filter(|view| {
                    after
                        .as_deref()
                        .is_none_or(|after| view.id.as_ref() > after)
                })
                .take(limit)
                .cloned()
                .collect()
        })))
    }

    fn rules(&self) -> Answering<'_, Vec<RuleView>> {
        answer(Ok(self.told(|told| told.rules.values().cloned().collect())))
    }

    fn rule<'a>(&'a self, name: &'a str) -> Answering<'a, Option<RuleView>> {
        answer(Ok(self.told(|told| told.rules.get(name).cloned())))
    }

    fn types(&self) -> Answering<'_, Vec<TypeView>> {
        answer(Ok(self.told(|told| told.types.values().cloned().collect())))
    }

    fn resource_type<'a>(&'a self, name: &'a str) -> Answering<'a, Option<TypeView>> {
        answer(Ok(self.told(|told| told.types.get(name).cloned())))
    }

    fn tasks(
        &self,
        rule: Option<String>,
        resource: Option<String>,
        after: Option<String>,
        limit: usize,
    ) -> Answering<'_, Vec<TaskView>> {
        answer(Ok(self.told(|told| {
            let all = told.tasks.values();
            all.filter(|task| rule.as_ref().is_none_or(|rule| task.rule == *rule))
                .filter(|task| {
                    resource
                        .as_ref()
                        .is_none_or(|resource| task.resource == *resource)
                })
                .filter(|task| after.as_ref().is_none_or(|after| task.id > *after))
                .take(limit)
                .cloned()
                .collect()
        })))
    }

    fn sources(&self) -> Answering<'_, Vec<SourceStatus>> {
        answer(Ok(
            self.told(|told| told.sources.values().cloned().collect())
        ))
    }

    fn source<'a>(&'a self, name: &'a str) -> Answering<'a, Option<SourceStatus>> {
        answer(Ok(self.told(|told| told.sources.get(name).cloned())))
    }

    fn check_source(&self, source: &SourceDefinition) -> Result<(), EngineError> {
        if source.topic.starts_with("tidegate.") {
            return Err(EngineError::Invalid("ours".into()));
        }
        Ok(())
    }

    fn check_rule(&self, _: &Rule) -> Result<(), EngineError> {
        Ok(())
    }

    fn put_source(
        &self,
        request: String,
        document: String,
        expected: Option<u64>,
    ) -> Answering<'_, Answer> {
        let command = Command::PutSource {
            document,
            starts: vec![0, 0],
            expected,
        };
        self.request(Request { request, command })
    }

    fn produce<'a>(
        &'a self,
        topic: &'a str,
        records: Vec<TopicRecord>,
    ) -> Answering<'a, Vec<RecordPlace>> {
        answer(self.told(|told| {
            let places = (0..).take(records.len());
            told.records
                .extend(records.into_iter().map(|record| (topic.to_owned(), record)));
            let place = |offset| RecordPlace {
                partition: 0,
                offset,
            };
            Ok(places.map(place).collect())
        }))
    }

    fn own_shards(&self) -> Answering<'_, Vec<ShardView>> {
        self.shards()
    }

    fn shards(&self) -> Answering<'_, Vec<ShardView>> {
        answer(Ok((0..2)
            .map(|shard| ShardView {
                shard,
                ..ShardView::default()
            })
            .collect()))
    }

    fn workers(&self) -> Answering<'_, Vec<WorkerView>> {
        answer(Ok(Vec::new()))
    }

    fn look_here(&self, _: u32, _: Query) -> Answering<'_, Option<Observation>> {
        answer(Ok(None))
    }

    fn why(&self, question: Question) -> Answering<'_, String> {
        let at = question.at.map_or(0, |at| at.0);
        let asked = format!("{} {} {at}", question.rule, question.resource);
        answer(Ok(format!("{{\"answer\":\"{asked}\"}}")))
    }

    fn tail(&self, topic: TailTopic, from: TailFrom, stop_at_end: bool) -> Tail {
        let entries = self.told(|told| {
            told.tailed.push((topic, from.clone(), stop_at_end));
            told.entries.clone()
        });
        let entries = futures::stream::iter(entries.into_iter().map(Ok));
        if stop_at_end {
            entries.boxed()
        } else {
            entries.chain(futures::stream::pending()).boxed()
        }
    }
}
