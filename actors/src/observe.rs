//! What a shard answers when somebody looks at it: only acknowledged epochs, as plain data that doors, tests and people
//! read alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_proto::record::{Offset, Topic};
use tidegate_proto::time::Timestamp;
use tidegate_proto::value::Value;

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// One resource by id.
    Resource(String),
    /// Resources in byte order of their ids.
    Resources {
        /// Only ids after this one.
        after: Option<String>,
        /// At most so many.
        limit: usize,
        /// Only this type.
        kind: Option<String>,
    },
    /// The definition of one rule; only its home shard has it.
    Rule(String),
    /// All rules whose home this shard is, in byte order.
    Rules,
    /// The definition of one resource type; only its home shard has it.
    Type(String),
    /// All resource types whose home this shard is, in byte order.
    Types,
    /// One task by rule, resource and group.
    Task {
        /// Rule name.
        rule: String,
        /// Resource id.
        resource: String,
        /// Group key text; empty without `by`.
        group: String,
    },
    /// Tasks in order of rule, resource, group: those that have said something.
    Tasks {
        /// Only of this rule.
        rule: Option<String>,
        /// Only of this resource.
        resource: Option<String>,
        /// Only after this task id.
        after: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// All sources; every shard knows them.
    Sources,
    /// Numbers of the shard.
    Shard,
    /// What a rule keeps here.
    RuleState(String),
}

/// What came of looking.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Observation {
    /// A resource, if it is known here.
    Resource(Option<Box<ResourceView>>),
    /// Resources.
    Resources(Vec<ResourceView>),
    /// A rule, if its home is here.
    Rule(Option<Box<RuleView>>),
    /// Rules.
    Rules(Vec<RuleView>),
    /// A resource type, if its home is here.
    Type(Option<TypeView>),
    /// Resource types.
    Types(Vec<TypeView>),
    /// Tasks.
    Tasks(Vec<TaskView>),
    /// Sources.
    Sources(Vec<SourceView>),
    /// Numbers of the shard.
    Shard(Box<ShardView>),
    /// What a rule keeps here; empty where it does not run.
    RuleState(RuleState),
}

/// A metric of a twin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricView {
    /// Event time of the value.
    pub time: Timestamp,
    /// The value.
    pub value: Value,
}

/// A twin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResourceView {
    /// Id.
    pub id: Arc<str>,
    /// Revision of its definition; 0: discovered, never defined.
    pub revision: u64,
    /// Type.
    pub kind: Option<Arc<str>>,
    /// Labels, those of the type included.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// Metadata, that of the type included.
    pub meta: BTreeMap<Arc<str>, Arc<str>>,
    /// Parent.
    pub parent: Option<Arc<str>>,
    /// Whether something was heard of it within `idle`.
    pub online: bool,
    /// Arrival of its first event; `None`: defined, never heard of.
    pub first_seen: Option<Timestamp>,
    /// Arrival of its newest event.
    pub last_seen: Option<Timestamp>,
    /// Largest event time.
    pub latest: Option<Timestamp>,
    /// Events taken.
    pub events: u64,
    /// Last values by metric name.
    pub metrics: BTreeMap<Arc<str>, MetricView>,
    /// Shard that has it.
    pub shard: u32,
}

/// A rule as its home shard knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleView {
    /// Name.
    pub name: String,
    /// Revision.
    pub revision: u64,
    /// Whether it runs.
    pub enabled: bool,
    /// Why it was quarantined, if it was.
    pub quarantined: Option<String>,
    /// The document as written.
    pub document: String,
    /// Its plan, one node per line.
    pub plan: Vec<String>,
    /// What it keeps on all shards, part by part; only where one rule is asked for.
    pub nodes: Vec<RuleNode>,
    /// What was left out or dropped on all its tasks, by name; what is 0 is left out.
    pub excess: BTreeMap<String, u64>,
}

/// What a part of a running rule keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleNode {
    /// What it is: `input`, `where`, `avg(temperature,"5m")`, `when`, `window`, `pattern`.
    pub name: String,
    /// Rows that it keeps.
    pub rows: u64,
    /// Bytes of memory that it keeps, estimated.
    pub bytes: u64,
    /// Other rules that stand on the very same state.
    pub shared_with: u64,
}

/// What a rule keeps on one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleState {
    /// Its parts.
    pub nodes: Vec<RuleNode>,
    /// What was left out or dropped, by name.
    pub excess: BTreeMap<String, u64>,
}

impl RuleState {
    /// Adds what another shard keeps of the same rule.
    pub fn add(&mut self, other: Self) {
        for node in other.nodes {
            match self.nodes.iter_mut().find(|known| known.name == node.name) {
                Some(known) => {
                    known.rows += node.rows;
                    known.bytes += node.bytes;
                    known.shared_with = known.shared_with.max(node.shared_with);
                }
                None => self.nodes.push(node),
            }
        }
        for (name, count) in other.excess {
            *self.excess.entry(name).or_default() += count;
        }
    }
}

/// A resource type as its home shard knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeView {
    /// Name.
    pub name: String,
    /// Revision.
    pub revision: u64,
    /// The document as written.
    pub document: String,
}

/// A source as a shard knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceView {
    /// Name.
    pub name: String,
    /// Revision.
    pub revision: u64,
    /// Revision at which its reading began.
    pub generation: u64,
    /// Its topic.
    pub topic: Topic,
    /// Whether shards read it in place; otherwise a gateway does.
    pub in_place: bool,
    /// Read in place: next offset of this shard's partition.
    pub position: Option<Offset>,
    /// Offset by partition where its reading began.
    pub starts: Vec<Offset>,
    /// The document as written.
    pub document: String,
}

/// One thing that a task said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskOutcome {
    /// Event time.
    pub time: Timestamp,
    /// `raised`, `cleared`, `window`, `delivered`, `undelivered` …
    pub kind: String,
    /// Detail: severity, error.
    pub detail: String,
}

/// A task: one rule on one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskView {
    /// `rule/resource`, with the group behind it when there is one.
    pub id: String,
    /// Rule.
    pub rule: String,
    /// Resource.
    pub resource: String,
    /// `raised pending idle`.
    pub status: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// `ok`, or what is wrong with it.
    pub health: String,
    /// Judgements whose condition had no value.
    pub unknown: u64,
    /// Rows that came too late.
    pub late: u64,
    /// Rows on which a formula failed.
    pub errors: u64,
    /// Actions held back by `at_most_every` or `once`.
    pub throttled: u64,
    /// How far its time has come.
    pub watermark: Option<Timestamp>,
    /// Newest 64 outcomes, oldest first.
    pub outcomes: Vec<TaskOutcome>,
}

/// Numbers of a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardView {
    /// Shard.
    pub shard: u32,
    /// Last epoch.
    pub epoch: u64,
    /// Clock.
    pub clock: Timestamp,
    /// Next offset to read by source.
    pub positions: Vec<i64>,
    /// Resources known.
    pub resources: u64,
    /// Of those, active in memory.
    pub active: u64,
    /// Bytes of active and passive twins, estimated.
    pub twin_bytes: u64,
    /// Bytes of rule state, estimated.
    pub rule_bytes: u64,
    /// Tasks that have said something.
    pub tasks: u64,
    /// Rules that run.
    pub rules: u64,
    /// What is quarantined here, with the reason: `rule/NAME`, `resource/ID`, `task/RULE/ID`.
    pub quarantined: BTreeMap<String, String>,
    /// Counters since the shard began.
    pub counters: ShardCounters,
}

/// What a shard counts; part of its state, so equal on every replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardCounters {
    /// Events taken.
    pub events: u64,
    /// Records that could not be used.
    pub dead: u64,
    /// Rows too far in the future.
    pub future: u64,
    /// Rows too late for a rule.
    pub late: u64,
    /// Result lines.
    pub results: u64,
    /// Actions for handlers.
    pub actions: u64,
    /// Repeats of requests and signals that were dropped.
    pub repeats: u64,
    /// Turns that failed and were rolled back.
    pub failed_turns: u64,
}
