//! [`Lookup`]: what is asked of the brokers now and then: topics, bounds, and how far others of us have come.
//!
//! A group's offsets can be committed by its members alone, so the progress of everything but the shards is kept in one
//! group without members, `GROUP.progress`: per partition the smallest offset, and all by name in its metadata.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};
use tidegate_actors::port::{Bounds, PortError, PortErrorKind, Retry, TopicPartition};
use tidegate_proto::record::{Offset, Topic};

use super::context::{Plain, failed};
use super::settings::KafkaSettings;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Wait before a question is asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// Progress by name.
type Progress = BTreeMap<String, Offset>;

/// What is asked of the brokers now and then.
pub(super) struct Lookup {
    consumer: Arc<BaseConsumer<Plain>>,
    partitions: Mutex<BTreeMap<Topic, u32>>,
    progress: Arc<Mutex<BTreeMap<TopicPartition, Progress>>>,
}

impl std::fmt::Debug for Lookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lookup").finish_non_exhaustive()
    }
}

impl Lookup {
    pub(super) fn new(settings: &KafkaSettings) -> Result<Self, PortError> {
        let consumer = BaseConsumer::from_config_and_context(&settings.lookup(), Plain)
            .map_err(|error| failed("setting up the Kafka client", &error))?;
        Ok(Self {
            consumer: Arc::new(consumer),
            partitions: Mutex::new(BTreeMap::new()),
            progress: Arc::new(Mutex::new(BTreeMap::new())),
        })
    }

    async fn ask<T: Send + 'static>(
        &self,
        doing: String,
        ask: impl FnOnce(&BaseConsumer<Plain>) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, PortError> {
        let consumer = Arc::clone(&self.consumer);
        crate::log::offload(move || {
            // Its own events (errors, log lines) are served by who asks.
            let _ = consumer.poll(Duration::ZERO);
            ask(&consumer).map_err(|error| failed(&doing, &error))
        })
        .await
    }

    /// First and next offset. A partition that was just created, or whose leader moves, has none for a moment.
    pub(super) async fn bounds(&self, of: &TopicPartition) -> Result<Bounds, PortError> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            match self.bounds_now(of).await {
                Err(error)
                    if (error.retry() == Retry::Backoff || self.known(&of.topic).is_some())
                        && tokio::time::Instant::now() < deadline =>
                {
                    tokio::time::sleep(PAUSE).await;
                }
                bounds => return bounds,
            }
        }
    }

    async fn bounds_now(&self, of: &TopicPartition) -> Result<Bounds, PortError> {
        let place = of.clone();
        self.ask(format!("looking at the bounds of {of}"), move |consumer| {
            let (start, end) = consumer.fetch_watermarks(&place.topic, number(&place), PATIENCE)?;
            Ok(Bounds { start, end })
        })
        .await
    }

    /// Partition count of a topic, `None` if it is not there. Counts never change while we run.
    pub(super) async fn partitions(&self, topic: &Topic) -> Result<Option<u32>, PortError> {
        let known = self.known(topic);
        if known.is_some() {
            return Ok(known);
        }
        let name = Topic::clone(topic);
        let doing = format!("looking for the topic {topic}");
        let found = self
            .ask(doing, move |consumer| {
                let metadata = consumer.fetch_metadata(Some(&name), PATIENCE)?;
                let topic = metadata
                    .topics()
                    .iter()
                    .find(|topic| topic.name() == &*name);
                let Some(topic) = topic else {
                    return Ok(None);
                };
                match topic.error().map(RDKafkaErrorCode::from) {
                    None => Ok(u32::try_from(topic.partitions().len()).ok()),
                    Some(
                        RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic,
                    ) => Ok(None),
                    Some(code) => Err(KafkaError::MetadataFetch(code)),
                }
            })
            .await?
            .filter(|count| *count > 0);
        if let Some(count) = found {
            self.partitions
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(Topic::clone(topic), count);
        }
        Ok(found)
    }

    /// Whether a partition has a leader just now, asked anew.
    pub(super) async fn has_leader(&self, of: &TopicPartition) -> bool {
        // Bounds are asked of the leader; nobody else can answer.
        self.bounds_now(of).await.is_ok()
    }

    fn known(&self, topic: &Topic) -> Option<u32> {
        let known = self
            .partitions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known.get(topic).copied()
    }

    /// Progress under a name; read from the brokers, because another worker may have gone on meanwhile.
    pub(super) async fn progress(
        &self,
        name: &str,
        of: &TopicPartition,
    ) -> Result<Option<Offset>, PortError> {
        let place = of.clone();
        let doing = format!("looking how far `{name}` is in {of}");
        let metadata = self
            .ask(doing, move |consumer| {
                let mut list = TopicPartitionList::with_capacity(1);
                list.add_partition(&place.topic, number(&place));
                let committed = consumer.committed_offsets(list, PATIENCE)?;
                let first = committed.elements();
                Ok(first
                    .first()
                    .map(|element| element.metadata().to_owned())
                    .unwrap_or_default())
            })
            .await?;
        let progress = read_progress(&metadata);
        let found = progress.get(name).copied();
        self.all_progress().insert(of.clone(), progress);
        Ok(found)
    }

    fn all_progress(&self) -> std::sync::MutexGuard<'_, BTreeMap<TopicPartition, Progress>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes progress under a name.
    pub(super) async fn note(
        &self,
        name: &str,
        offsets: Vec<(TopicPartition, Offset)>,
    ) -> Result<(), PortError> {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        let doing = format!("noting how far `{name}` is");
        for (place, offset) in offsets {
            let mut all = self.all_progress();
            let progress = all.entry(place.clone()).or_default();
            progress.insert(name.to_owned(), offset);
            let least = progress.values().copied().min().unwrap_or(offset);
            let metadata = write_progress(progress);
            drop(all);
            let mut element = list.add_partition(&place.topic, number(&place));
            element
                .set_offset(KafkaOffset::Offset(least))
                .map_err(|error| failed(&doing, &error))?;
            element.set_metadata(metadata);
        }
        self.ask(doing, move |consumer| {
            consumer.commit(&list, CommitMode::Sync)
        })
        .await
    }
}

/// The partition as librdkafka counts.
pub(super) fn number(of: &TopicPartition) -> i32 {
    i32::try_from(of.partition).unwrap_or(i32::MAX)
}

fn read_progress(metadata: &str) -> Progress {
    // Somebody else's metadata is no progress of ours.
    serde_json::from_str(metadata).unwrap_or_default()
}

fn write_progress(progress: &Progress) -> String {
    serde_json::to_string(progress).unwrap_or_default()
}

/// An error for a topic that is not there.
pub(super) fn not_there(of: &TopicPartition) -> PortError {
    PortError::new(PortErrorKind::NotFound, format!("{of} is not there"))
}
