//! [`Backend`]: what the doors need of the engine. The engine is one; tests have another.

use std::future::Future;
use std::pin::Pin;

use tidegate_actors::command::Request;
use tidegate_actors::observe::{
    Observation, Query, ResourceView, RuleView, ShardView, TaskView, TypeView,
};
use tidegate_actors::why::Question;
use tidegate_proto::document::SourceDefinition;
use tidegate_proto::rule::Rule;

pub use crate::engine::{
    Again, Answer, IngestEvent, RecordPlace, SourceStatus, Tail, TailEntry, TailFrom, TailTopic,
    TopicRecord,
};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::log::kafka::ClientNumbers;
use crate::workers::WorkerView;

/// What a backend answers with, some time.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = Result<T, EngineError>> + Send + 'a>>;

/// What the doors need of the engine.
pub trait Backend: Send + Sync + 'static {
    /// Partitions of our topics, so shards.
    fn partitions(&self) -> u32;
    /// Shards that are not ready, and why; none: all have recovered.
    fn trouble(&self) -> Pin<Box<dyn Future<Output = Vec<String>> + Send + '_>>;
    /// Puts events into the log; answers with their number once they are there. With `once`, a repeat is not taken twice.
    fn ingest(&self, events: Vec<IngestEvent>, once: Option<String>) -> Answering<'_, u64>;
    /// Sends something from a side lane once more.
    fn again(&self, again: Again) -> Answering<'_, ()>;
    /// Asks an actor for something; answers when every shard that has to know knows.
    fn request(&self, request: Request) -> Answering<'_, Answer>;
    /// One resource.
    fn resource<'a>(&'a self, id: &'a str) -> Answering<'a, Option<ResourceView>>;
    /// Resources after an id, in byte order.
    fn resources(
        &self,
        kind: Option<String>,
        after: Option<String>,
        limit: usize,
    ) -> Answering<'_, Vec<ResourceView>>;
    /// All rules, in byte order.
    fn rules(&self) -> Answering<'_, Vec<RuleView>>;
    /// One rule.
    fn rule<'a>(&'a self, name: &'a str) -> Answering<'a, Option<RuleView>>;
    /// All resource types, in byte order.
    fn types(&self) -> Answering<'_, Vec<TypeView>>;
    /// One resource type.
    fn resource_type<'a>(&'a self, name: &'a str) -> Answering<'a, Option<TypeView>>;
    /// Tasks after an id, in byte order.
    fn tasks(
        &self,
        rule: Option<String>,
        resource: Option<String>,
        after: Option<String>,
        limit: usize,
    ) -> Answering<'_, Vec<TaskView>>;
    /// All sources, in byte order.
    fn sources(&self) -> Answering<'_, Vec<SourceStatus>>;
    /// One source.
    fn source<'a>(&'a self, name: &'a str) -> Answering<'a, Option<SourceStatus>>;
    /// What is wrong with a source beside its document.
    ///
    /// # Errors
    /// When something is.
    fn check_source(&self, source: &SourceDefinition) -> Result<(), EngineError>;
    /// What is wrong with a rule beside its document.
    ///
    /// # Errors
    /// When something is.
    fn check_rule(&self, rule: &Rule) -> Result<(), EngineError>;
    /// Brings a source in force; answers when every shard reads it.
    fn put_source(
        &self,
        request: String,
        document: String,
        expected: Option<u64>,
    ) -> Answering<'_, Answer>;
    /// Appends records to a topic of the user's.
    fn produce<'a>(
        &'a self,
        topic: &'a str,
        records: Vec<TopicRecord>,
    ) -> Answering<'a, Vec<RecordPlace>>;
    /// Numbers of all shards.
    fn shards(&self) -> Answering<'_, Vec<ShardView>>;
    /// Numbers of the shards that run here.
    fn own_shards(&self) -> Answering<'_, Vec<ShardView>>;
    /// Workers that share the shards.
    fn workers(&self) -> Answering<'_, Vec<WorkerView>>;
    /// What clients of brokers said of themselves last.
    fn clients(&self) -> Vec<ClientNumbers> {
        Vec::new()
    }
    /// Looks at a shard if it runs in this process.
    fn look_here(&self, shard: u32, query: Query) -> Answering<'_, Option<Observation>>;
    /// Why a rule fired, or did not, on a resource: JSON text.
    fn why(&self, question: Question) -> Answering<'_, String>;
    /// Follows a topic.
    fn tail(&self, topic: TailTopic, from: TailFrom, stop_at_end: bool) -> Tail;
}

impl Backend for Engine {
    fn partitions(&self) -> u32 {
        Self::partitions(self)
    }

    fn trouble(&self) -> Pin<Box<dyn Future<Output = Vec<String>> + Send + '_>> {
        Box::pin(Self::trouble(self))
    }

    fn ingest(&self, events: Vec<IngestEvent>, once: Option<String>) -> Answering<'_, u64> {
        Box::pin(Self::ingest(self, events, once))
    }

    fn again(&self, again: Again) -> Answering<'_, ()> {
        Box::pin(Self::again(self, again))
    }

    fn request(&self, request: Request) -> Answering<'_, Answer> {
        Box::pin(Self::request(self, request))
    }

    fn resource<'a>(&'a self, id: &'a str) -> Answering<'a, Option<ResourceView>> {
        Box::pin(Self::resource(self, id))
    }

    fn resources(
        &self,
        kind: Option<String>,
        after: Option<String>,
        limit: usize,
    ) -> Answering<'_, Vec<ResourceView>> {
        Box::pin(Self::resources(self, kind, after, limit))
    }

    fn rules(&self) -> Answering<'_, Vec<RuleView>> {
        Box::pin(Self::rules(self))
    }

    fn rule<'a>(&'a self, name: &'a str) -> Answering<'a, Option<RuleView>> {
        Box::pin(Self::rule(self, name))
    }

    fn types(&self) -> Answering<'_, Vec<TypeView>> {
        Box::pin(Self::types(self))
    }

    fn resource_type<'a>(&'a self, name: &'a str) -> Answering<'a, Option<TypeView>> {
        Box::pin(Self::resource_type(self, name))
    }

    fn tasks(
        &self,
        rule: Option<String>,
        resource: Option<String>,
        after: Option<String>,
        limit: usize,
    ) -> Answering<'_, Vec<TaskView>> {
        Box::pin(Self::tasks(self, rule, resource, after, limit))
    }

    fn sources(&self) -> Answering<'_, Vec<SourceStatus>> {
        Box::pin(Self::sources(self))
    }

    fn source<'a>(&'a self, name: &'a str) -> Answering<'a, Option<SourceStatus>> {
        Box::pin(Self::source(self, name))
    }

    fn check_source(&self, source: &SourceDefinition) -> Result<(), EngineError> {
        Self::check_source(self, source)
    }

    fn check_rule(&self, rule: &Rule) -> Result<(), EngineError> {
        Self::check_rule(self, rule)
    }

    fn put_source(
        &self,
        request: String,
        document: String,
        expected: Option<u64>,
    ) -> Answering<'_, Answer> {
        Box::pin(Self::put_source(self, request, document, expected))
    }

    fn produce<'a>(
        &'a self,
        topic: &'a str,
        records: Vec<TopicRecord>,
    ) -> Answering<'a, Vec<RecordPlace>> {
        Box::pin(Self::produce(self, topic, records))
    }

    fn shards(&self) -> Answering<'_, Vec<ShardView>> {
        Box::pin(Self::shards(self))
    }

    fn own_shards(&self) -> Answering<'_, Vec<ShardView>> {
        Box::pin(async move { Ok(Self::own_shards(self).await) })
    }

    fn workers(&self) -> Answering<'_, Vec<WorkerView>> {
        Box::pin(Self::workers(self))
    }

    fn clients(&self) -> Vec<ClientNumbers> {
        Self::clients(self)
    }

    fn look_here(&self, shard: u32, query: Query) -> Answering<'_, Option<Observation>> {
        Box::pin(Self::look_here(self, shard, query))
    }

    fn why(&self, question: Question) -> Answering<'_, String> {
        Box::pin(Self::why(self, question))
    }

    fn tail(&self, topic: TailTopic, from: TailFrom, stop_at_end: bool) -> Tail {
        Self::tail(self, topic, from, stop_at_end)
    }
}
