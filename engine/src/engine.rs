//! [`Engine`]: the running program as the doors see it. Events and commands become records; answers come back as records;
//! what is looked at is what shards have acknowledged.
//!
//! Start order: data folder (format, lock) → log → topics → shards (each takes itself over) → answers → dispatcher
//! → gateways.
//! Stop order: doors first (by who owns them) → gateways → shards drain (epoch finished, snapshot) → dispatcher → log.

mod guard;
mod owning;
mod sources;
mod start;
mod why;
mod worker;

pub use sources::{RecordPlace, SourceStatus, TopicRecord};
pub use start::WallClock;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidegate_actors::command::Request;
use tidegate_actors::host::Topics;
use tidegate_actors::observe::{
    Observation, Query, ResourceView, RuleState, RuleView, ShardView, TaskView, TypeView,
};
use tidegate_actors::owner::Phase;
use tidegate_actors::port::{Clock, TopicPartition};
use tidegate_actors::shard::{ONCE_HEADER, ONLY_HEADER};
use tidegate_proto::record::{Record, Topic, partition_of};

use crate::answers::Answers;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::error::EngineError;
use crate::log::OpenLog;
use crate::runtime::Shards;
use crate::source::{Gateway, Gateways, Registry};
use crate::store::Snapshots;
use crate::tail::tail;
use crate::workers::Workers;

pub use crate::answers::Answer;
pub use crate::tail::{Tail, TailEntry, TailFrom};

/// Longest wait for the answer to a command.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Wall time, for doors that stamp what they send.
#[must_use]
pub fn now() -> tidegate_proto::time::Timestamp {
    tidegate_actors::port::Clock::now(&WallClock)
}

/// One event on its way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestEvent {
    /// Resource id; the record's key, so its shard.
    pub key: String,
    /// One JSON event object.
    pub body: Bytes,
}

/// Something from a side lane that is sent once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Again {
    /// An event; a second time with the same `once` it is dropped. With `only`, it is for one rule alone.
    Event {
        /// The event.
        event: IngestEvent,
        /// What makes a repeat harmless.
        once: String,
        /// The rule that missed it.
        only: Option<String>,
    },
    /// An action that its handler gave up.
    Action {
        /// Partition that it was read from.
        partition: u32,
        /// The action.
        record: Record,
    },
}

/// Topics of ours that can be read as they grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailTopic {
    /// Result lines.
    Results,
    /// Changes and answers.
    Changes,
    /// Late and future rows.
    Late,
    /// Dead letters.
    DeadLetters,
    /// Deliveries for handlers.
    Actions,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    topics: Arc<Topics>,
    partitions: u32,
    log: OpenLog,
    shards: Arc<Shards>,
    answers: Answers,
    snapshots: Arc<dyn Snapshots>,
    workers: Workers,
    name: String,
    gateways: Gateways,
    registry: Option<Arc<Registry>>,
    /// Who plays history again holds this.
    asking: tokio::sync::Mutex<()>,
}

/// The running engine; cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Inner>);

/// What must be stopped in order.
#[derive(Debug)]
pub struct Running {
    /// The engine.
    pub engine: Engine,
    gateway: Gateway,
    owning: owning::Owning,
    following: Vec<tokio::task::JoinHandle<()>>,
    /// Locked as long as we run.
    _data: DataDir,
}

impl Running {
    /// Drains: no more intake, epochs finished, snapshots kept, deliveries under way ended, log closed.
    ///
    /// # Errors
    /// When the log could not be closed well; everything acknowledged is in it all the same.
    pub async fn stop(self) -> Result<(), EngineError> {
        self.gateway.stop().await;
        let left = self.engine.0.log.leave().await;
        self.engine.0.shards.drain().await;
        for task in &self.following {
            task.abort();
        }
        if let Some(dispatcher) = self.owning.stop().await {
            dispatcher.stop().await;
        }
        let closed = self.engine.0.log.close().await;
        left.and(closed).map_err(EngineError::from)
    }
}

impl Engine {
    /// Starts everything; answers as soon as the shards are started, [`Engine::ready`] says when they have recovered.
    ///
    /// # Errors
    /// When the data folder, the log or a handler's settings cannot be used.
    pub async fn start(config: Config) -> Result<Running, EngineError> {
        Self::start_at(config, Arc::new(WallClock)).await
    }

    /// The same with another clock: what moves hours in a moment.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub async fn start_at(config: Config, clock: Arc<dyn Clock>) -> Result<Running, EngineError> {
        start::start(config, clock).await
    }

    /// Number of partitions, so of shards.
    pub fn partitions(&self) -> u32 {
        self.0.partitions
    }

    /// The settings that are in force.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Appends events; resolves when all are in the log, durable by its policy. With `once`, a repeat of the same call
    /// is dropped by the shards.
    ///
    /// # Errors
    /// When the log cannot take them; a part may have been taken then.
    pub async fn ingest(
        &self,
        events: Vec<IngestEvent>,
        once: Option<String>,
    ) -> Result<u64, EngineError> {
        let count = events.len() as u64;
        let mut by_partition: Vec<Vec<Record>> = vec![Vec::new(); self.0.partitions as usize];
        for (number, event) in events.into_iter().enumerate() {
            let partition = partition_of(event.key.as_bytes(), self.0.partitions);
            let mut record = Record::new(event.key.into_bytes(), event.body);
            if let Some(once) = &once {
                record = record.with_header(ONCE_HEADER, format!("{once}#{number}"));
            }
            if let Some(records) = by_partition.get_mut(partition as usize) {
                records.push(record);
            }
        }
        let filled = (0_u32..)
            .zip(by_partition)
            .filter(|(_, records)| !records.is_empty());
        let appends = filled.map(|(partition, records)| async move {
            let to = TopicPartition {
                topic: Topic::clone(&self.0.topics.inbox),
                partition,
            };
            self.0.log.port().append(&to, records).await
        });
        for appended in futures::future::join_all(appends).await {
            appended?;
        }
        Ok(count)
    }

    /// Sends something from a side lane once more; resolves when it is in the log.
    ///
    /// # Errors
    /// When the log cannot take it.
    pub async fn again(&self, again: Again) -> Result<(), EngineError> {
        let (topic, partition, record) = match again {
            Again::Event { event, once, only } => {
                let partition = partition_of(event.key.as_bytes(), self.0.partitions);
                let mut record =
                    Record::new(event.key.into_bytes(), event.body).with_header(ONCE_HEADER, once);
                if let Some(only) = only {
                    record = record.with_header(ONLY_HEADER, only);
                }
                (&self.0.topics.inbox, partition, record)
            }
            Again::Action { partition, record } => (&self.0.topics.actions, partition, record),
        };
        let to = TopicPartition {
            topic: Topic::clone(topic),
            partition,
        };
        self.0.log.port().append(&to, vec![record]).await?;
        Ok(())
    }

    /// Sends a command and waits until the actor has answered and every shard that must know has journalled it.
    ///
    /// # Errors
    /// When the actor refuses, or the answer does not come in time.
    pub async fn request(&self, request: Request) -> Result<Answer, EngineError> {
        self.check_request(&request)?;
        let id = request.request.clone();
        let answer = self.0.answers.wait(&id);
        let (partition, record) = request.to_record(self.0.partitions);
        let to = TopicPartition {
            topic: Topic::clone(&self.0.topics.inbox),
            partition,
        };
        if let Err(error) = self.0.log.port().append(&to, vec![record]).await {
            self.0.answers.forget(&id);
            return Err(error.into());
        }
        match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(refusal))) => Err(EngineError::Refused(refusal)),
            Ok(Err(_)) | Err(_) => {
                self.0.answers.forget(&id);
                let what = "the command is in the log, but its answer did not come in time; ask again with the same key";
                Err(EngineError::Unavailable(what.to_owned()))
            }
        }
    }

    async fn look_everywhere(&self, query: Query) -> Result<Vec<Observation>, EngineError> {
        let looks = (0..self.0.partitions).map(|shard| self.look(shard, query.clone()));
        futures::future::join_all(looks).await.into_iter().collect()
    }

    /// One resource.
    ///
    /// # Errors
    /// When its shard cannot be asked.
    pub async fn resource(&self, id: &str) -> Result<Option<ResourceView>, EngineError> {
        let shard = partition_of(id.as_bytes(), self.0.partitions);
        match self.look(shard, Query::Resource(id.to_owned())).await? {
            Observation::Resource(view) => Ok(view.map(|view| *view)),
            _ => Err(EngineError::Internal(
                "a shard answered another question".into(),
            )),
        }
    }

    /// Resources in byte order of their ids.
    ///
    /// # Errors
    /// When a shard cannot be asked.
    pub async fn resources(
        &self,
        kind: Option<String>,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<ResourceView>, EngineError> {
        let mut all = Vec::new();
        for observation in self
            .look_everywhere(Query::Resources { after, limit, kind })
            .await?
        {
            if let Observation::Resources(views) = observation {
                all.extend(views);
            }
        }
        all.sort_by(|a: &ResourceView, b| a.id.cmp(&b.id));
        all.truncate(limit);
        Ok(all)
    }

    /// All rules in byte order of their names.
    ///
    /// # Errors
    /// When a shard cannot be asked.
    pub async fn rules(&self) -> Result<Vec<RuleView>, EngineError> {
        let mut all = Vec::new();
        for observation in self.look_everywhere(Query::Rules).await? {
            if let Observation::Rules(views) = observation {
                all.extend(views);
            }
        }
        all.sort_by(|a: &RuleView, b| a.name.cmp(&b.name));
        let shards = self.shards().await?;
        for view in &mut all {
            view.quarantined = quarantine_of(&shards, &format!("rule/{}", view.name));
        }
        Ok(all)
    }

    /// One rule.
    ///
    /// # Errors
    /// When its home shard cannot be asked.
    pub async fn rule(&self, name: &str) -> Result<Option<RuleView>, EngineError> {
        let home = partition_of(format!("rule/{name}").as_bytes(), self.0.partitions);
        match self.look(home, Query::Rule(name.to_owned())).await? {
            Observation::Rule(Some(mut view)) => {
                let shards = self.shards().await?;
                view.quarantined = quarantine_of(&shards, &format!("rule/{name}"));
                let mut state = RuleState::default();
                for kept in self
                    .look_everywhere(Query::RuleState(name.to_owned()))
                    .await?
                {
                    if let Observation::RuleState(kept) = kept {
                        state.add(kept);
                    }
                }
                (view.nodes, view.excess) = (state.nodes, state.excess);
                Ok(Some(*view))
            }
            Observation::Rule(None) => Ok(None),
            _ => Err(EngineError::Internal(
                "a shard answered another question".into(),
            )),
        }
    }

    /// All resource types in byte order of their names.
    ///
    /// # Errors
    /// When a shard cannot be asked.
    pub async fn types(&self) -> Result<Vec<TypeView>, EngineError> {
        let mut all = Vec::new();
        for observation in self.look_everywhere(Query::Types).await? {
            if let Observation::Types(views) = observation {
                all.extend(views);
            }
        }
        all.sort_by(|a: &TypeView, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// One resource type.
    ///
    /// # Errors
    /// When its home shard cannot be asked.
    pub async fn resource_type(&self, name: &str) -> Result<Option<TypeView>, EngineError> {
        let home = partition_of(format!("type/{name}").as_bytes(), self.0.partitions);
        match self.look(home, Query::Type(name.to_owned())).await? {
            Observation::Type(view) => Ok(view),
            _ => Err(EngineError::Internal(
                "a shard answered another question".into(),
            )),
        }
    }

    /// Tasks in order of their ids.
    ///
    /// # Errors
    /// When a shard cannot be asked.
    pub async fn tasks(
        &self,
        rule: Option<String>,
        resource: Option<String>,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<TaskView>, EngineError> {
        let mut all = Vec::new();
        for observation in self
            .look_everywhere(Query::Tasks {
                rule,
                resource,
                after,
                limit,
            })
            .await?
        {
            if let Observation::Tasks(views) = observation {
                all.extend(views);
            }
        }
        all.sort_by(|a: &TaskView, b| a.id.cmp(&b.id));
        all.truncate(limit);
        Ok(all)
    }

    /// Numbers of every shard.
    ///
    /// # Errors
    /// When a shard cannot be asked.
    pub async fn shards(&self) -> Result<Vec<ShardView>, EngineError> {
        let mut all = Vec::new();
        for observation in self.look_everywhere(Query::Shard).await? {
            if let Observation::Shard(view) = observation {
                all.push(*view);
            }
        }
        Ok(all)
    }

    /// Reads a topic as it grows.
    pub fn tail(&self, topic: TailTopic, from: TailFrom, stop_at_end: bool) -> Tail {
        let topics = &self.0.topics;
        let topic = match topic {
            TailTopic::Results => &topics.results,
            TailTopic::Changes => &topics.changes,
            TailTopic::Late => &topics.late,
            TailTopic::DeadLetters => &topics.dead,
            TailTopic::Actions => &topics.actions,
        };
        tail(
            &self.0.log.port(),
            topic,
            self.0.partitions,
            from,
            stop_at_end,
        )
    }

    /// Whether every shard has recovered.
    pub async fn ready(&self) -> bool {
        self.trouble().await.is_empty()
    }

    /// Shards that are not ready, and why.
    pub async fn trouble(&self) -> Vec<String> {
        let all = self.0.shards.health().await.into_iter();
        let trouble = all.filter_map(|(shard, health)| match health {
            Some(health) if health.phase == Phase::Ready => None,
            Some(health) => Some(format!(
                "shard {shard}: {:?}: {}",
                health.phase,
                health.why.unwrap_or_default()
            )),
            None => Some(format!("shard {shard} is gone")),
        });
        let log = self.0.log.trouble();
        let log = log.map(|why| format!("log: {why}"));
        log.into_iter().chain(trouble).collect()
    }
}

/// Why something is quarantined, in every shard where it is.
fn quarantine_of(shards: &[ShardView], what: &str) -> Option<String> {
    let why = shards.iter().filter_map(|shard| {
        let reason = shard.quarantined.get(what)?;
        Some(format!("shard {}: {reason}", shard.shard))
    });
    let why: Vec<String> = why.collect();
    (!why.is_empty()).then(|| why.join("; "))
}
