//! Sources as the doors see them: bringing one in force, looking at them, and records into the user's own topics.
//!
//! What is I/O about a source is done here, before its command is in the log: its topic is looked at (or made), and where
//! it begins is resolved to offsets. From there on everything follows from the log.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_actors::command::{Command, Request};
use tidegate_actors::observe::{Observation, Query, SourceView};
use tidegate_actors::port::{EventLog, TopicPartition, TopicSettings};
use tidegate_actors::source::{SOURCES_HOME, parse_source};
use tidegate_proto::document::{SourceDefinition, StartAt};
use tidegate_proto::issue::{Issue, Mark};
use tidegate_proto::record::{Headers, Offset, Record, Topic, partition_of};

use super::{Answer, Engine};
use crate::error::EngineError;
use crate::log::SHARD_GROUP;
use crate::source::{Gateway, GatewayStatus, World};

/// A source and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// As its home shard knows it.
    pub view: SourceView,
    /// Records of its topic that are not taken yet; `None`: not known.
    pub lag: Option<u64>,
    /// What keeps it from being read, if something does.
    pub trouble: Option<String>,
}

/// A record for a topic of the user's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicRecord {
    /// Key; decides the partition unless that is said.
    pub key: Option<Bytes>,
    /// Value; `None`: a tombstone.
    pub value: Option<Bytes>,
    /// Headers.
    pub headers: Headers,
    /// Partition, if not that of the key.
    pub partition: Option<u32>,
}

/// Where a record was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordPlace {
    /// Partition.
    pub partition: u32,
    /// Offset.
    pub offset: Offset,
}

fn wrong(path: &str, problem: String, hint: &str) -> EngineError {
    EngineError::issues(vec![Issue::new(path, Mark::default(), problem).hint(hint)])
}

fn place(topic: &Topic, partition: u32) -> TopicPartition {
    TopicPartition {
        topic: Topic::clone(topic),
        partition,
    }
}

impl Engine {
    fn log(&self) -> Arc<dyn EventLog> {
        self.0.log.port()
    }

    /// Brings a source in force, or changes it; its topic is made when nobody did.
    ///
    /// # Errors
    /// When it is refused, or the log cannot be asked.
    pub async fn put_source(
        &self,
        request: String,
        document: String,
        expected: Option<u64>,
    ) -> Result<Answer, EngineError> {
        let source = parse_source(&document).map_err(EngineError::issues)?;
        self.check_source(&source)?;
        let log = self.log();
        let starts = self.starts(&source, log.as_ref()).await?;
        let known = self.sources_known().await?;
        let is_read = known.iter().any(|view| view.topic == source.topic);
        // Whether a shard or a gateway will read it: what is there from here on must still be there then.
        if !is_read {
            self.hold(&source.topic, &starts, log.as_ref()).await?;
        }
        let command = Command::PutSource {
            document,
            starts: starts.clone(),
            expected,
        };
        let answer = self.request(Request { request, command }).await;
        if answer.is_err() && !is_read {
            let free = vec![Offset::MAX; starts.len()];
            self.hold(&source.topic, &free, log.as_ref()).await?;
        }
        self.0.gateways.nudge();
        answer
    }

    /// The gateways of this process.
    pub(super) fn start_gateway(&self) -> Gateway {
        let engine = self.clone();
        let shards = Arc::clone(&self.0.shards);
        let config = self.config();
        Gateway::start(World {
            log: self.log(),
            inbox: Topic::clone(&self.0.topics.inbox),
            dead: Topic::clone(&self.0.topics.dead),
            partitions: self.partitions(),
            group: SHARD_GROUP.to_owned(),
            settings: config.sources,
            registry: self.0.registry.clone(),
            gateways: self.0.gateways.clone(),
            owns: Arc::new(move |shard| shards.runs(shard)),
            ask: Arc::new(move || {
                let engine = engine.clone();
                Box::pin(async move { engine.sources_anywhere().await })
            }),
        })
    }

    /// The sources as the first shard that answers knows them: every shard knows all of them.
    async fn sources_anywhere(&self) -> Result<Vec<SourceView>, EngineError> {
        let looks = (0..self.partitions()).map(|shard| Box::pin(self.look(shard, Query::Sources)));
        match futures::future::select_ok(looks).await?.0 {
            Observation::Sources(views) => Ok(views),
            _ => Err(EngineError::Internal(
                "a shard answered another question".into(),
            )),
        }
    }

    /// What is wrong with a source beside its document.
    ///
    /// # Errors
    /// When it reads a topic of ours, its script does not compile, or it needs a registry and none is set.
    pub fn check_source(&self, source: &SourceDefinition) -> Result<(), EngineError> {
        if self.is_ours(&source.topic) {
            let problem = format!("`{}` is a topic of the engine itself", source.topic);
            let hint = "read a topic of your own; results are written to one by `then: [topic: …]`";
            return Err(wrong("topic", problem, hint));
        }
        crate::source::check(source, self.0.registry.as_ref()).map_err(EngineError::issues)
    }

    /// Where a reading would begin now, by partition.
    async fn starts(
        &self,
        source: &SourceDefinition,
        log: &dyn EventLog,
    ) -> Result<Vec<Offset>, EngineError> {
        let topic = &source.topic;
        let partitions = match log.partitions(topic).await? {
            Some(partitions) => partitions,
            None => {
                let settings = TopicSettings {
                    partitions: self.partitions(),
                    retention_ms: None,
                    retention_bytes: None,
                };
                log.create_topic(topic, settings).await?
            }
        };
        let mut starts = Vec::new();
        for partition in 0..partitions {
            let bounds = log.bounds(&place(topic, partition)).await?;
            starts.push(match source.from {
                StartAt::Earliest => bounds.start,
                StartAt::Latest => bounds.end,
            });
        }
        Ok(starts)
    }

    async fn hold(
        &self,
        topic: &Topic,
        from: &[Offset],
        log: &dyn EventLog,
    ) -> Result<(), EngineError> {
        for (partition, offset) in (0_u32..).zip(from) {
            log.hold(&place(topic, partition), *offset).await?;
        }
        Ok(())
    }

    async fn sources_known(&self) -> Result<Vec<SourceView>, EngineError> {
        let home = partition_of(SOURCES_HOME.as_bytes(), self.partitions());
        match self.look(home, Query::Sources).await? {
            Observation::Sources(views) => Ok(views),
            _ => Err(EngineError::Internal(
                "a shard answered another question".into(),
            )),
        }
    }

    /// All sources in byte order of their names.
    ///
    /// # Errors
    /// When a shard cannot be asked.
    pub async fn sources(&self) -> Result<Vec<SourceStatus>, EngineError> {
        let known = self.sources_known().await?;
        let everywhere = self.look_everywhere(Query::Sources).await?;
        let log = self.log();
        let mut all = Vec::new();
        for view in known {
            if view.in_place {
                let lag = self.lag(&view, &everywhere, log.as_ref()).await;
                all.push(SourceStatus {
                    view,
                    lag,
                    trouble: None,
                });
            } else {
                let GatewayStatus { lag, trouble } = self.0.gateways.status(&view.name);
                all.push(SourceStatus { view, lag, trouble });
            }
        }
        Ok(all)
    }

    /// One source.
    ///
    /// # Errors
    /// When a shard cannot be asked.
    pub async fn source(&self, name: &str) -> Result<Option<SourceStatus>, EngineError> {
        let all = self.sources().await?;
        Ok(all.into_iter().find(|one| one.view.name == name))
    }

    /// Records of a topic behind the positions of the shards; `None` when the topic cannot be asked.
    async fn lag(
        &self,
        view: &SourceView,
        everywhere: &[Observation],
        log: &dyn EventLog,
    ) -> Option<u64> {
        let mut lag = 0;
        for (shard, observation) in (0_u32..).zip(everywhere) {
            let Observation::Sources(views) = observation else {
                continue;
            };
            let mine = views.iter().find(|mine| mine.name == view.name)?;
            let bounds = log.bounds(&place(&view.topic, shard)).await.ok()?;
            lag += bounds.end.saturating_sub(mine.position?).max(0);
        }
        u64::try_from(lag).ok()
    }

    /// Appends records to a topic of the user's, in order; answers with where each was put.
    ///
    /// # Errors
    /// When there is no such topic, it is one of ours, or the log cannot take them; a part may have been taken then.
    pub async fn produce(
        &self,
        topic: &str,
        records: Vec<TopicRecord>,
    ) -> Result<Vec<RecordPlace>, EngineError> {
        let topic: Topic = topic.into();
        if self.is_ours(&topic) {
            let problem =
                format!("`{topic}` is a topic of the engine itself: send events to `/v1/events`");
            return Err(EngineError::Invalid(problem));
        }
        let log = self.log();
        let partitions = log.partitions(&topic).await?;
        let partitions =
            partitions.ok_or_else(|| EngineError::not_found(format!("topic/{topic}")))?;
        let mut by_partition: Vec<Vec<(usize, Record)>> = vec![Vec::new(); partitions as usize];
        let count = records.len();
        for (number, record) in records.into_iter().enumerate() {
            let key = record.key.as_deref().unwrap_or_default();
            let partition = record
                .partition
                .unwrap_or_else(|| partition_of(key, partitions));
            let place = by_partition.get_mut(partition as usize).ok_or_else(|| {
                let problem = format!("record {number}: `{topic}` has {partitions} partitions, there is no partition {partition}");
                EngineError::Invalid(problem)
            })?;
            let record = Record {
                key: record.key,
                value: record.value,
                headers: record.headers,
                timestamp: 0,
            };
            place.push((number, record));
        }
        let nowhere = RecordPlace {
            partition: 0,
            offset: -1,
        };
        let mut places = vec![nowhere; count];
        for (partition, records) in (0_u32..).zip(by_partition) {
            if records.is_empty() {
                continue;
            }
            let (numbers, records): (Vec<usize>, Vec<Record>) = records.into_iter().unzip();
            let first = log.append(&place(&topic, partition), records).await?;
            for (number, offset) in numbers.into_iter().zip(first..) {
                if let Some(place) = places.get_mut(number) {
                    *place = RecordPlace { partition, offset };
                }
            }
        }
        Ok(places)
    }
}
