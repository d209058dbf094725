//! [`KafkaLog`]: the log on Apache Kafka, or whatever speaks its protocol.
//!
//! Four kinds of librdkafka clients, each for one thing: the [`producer`] (idempotent, without a gap, never transactional)
//! for everything that is written; [`fetcher`]s that read partitions from offsets that we name, and belong to no group; the
//! [`member`] of the consumer group, which only knows which shards are ours; the [`lookup`] for metadata and bookkeeping.
//! Because reading and membership are apart, a rebalance never interrupts a shard that stays.

mod batch;
mod context;
mod fetcher;
mod lookup;
mod member;
mod producer;
mod readers;
mod settings;
mod stream;
mod topics;

use std::fmt;
use std::sync::{Arc, OnceLock};

use tidegate_actors::port::{
    Bounds, EventLog, PortError, PortFuture, Publication, ReadLimit, Slice, TopicPartition,
    TopicSettings,
};
use tidegate_proto::record::{Offset, Record, Topic};
use tokio::sync::mpsc;

pub use member::{Member, Ownership};
pub use settings::KafkaSettings;
pub use topics::{TopicFacts, TopicUse};

use lookup::Lookup;
use producer::Appender;
use readers::Readers;
use topics::Topics;

/// The log on Kafka.
pub struct KafkaLog {
    settings: KafkaSettings,
    lookup: Arc<Lookup>,
    topics: Topics,
    appender: Arc<Appender>,
    readers: Arc<Readers>,
    member: OnceLock<Arc<Member>>,
}

impl fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaLog")
            .field("brokers", &self.settings.brokers)
            .field("group", &self.settings.group)
            .finish_non_exhaustive()
    }
}

impl KafkaLog {
    /// Sets the clients up; the first answer of a broker comes with the first question.
    ///
    /// # Errors
    /// When librdkafka does not take the settings.
    pub fn open(settings: KafkaSettings) -> Result<Self, PortError> {
        let lookup = Arc::new(Lookup::new(&settings)?);
        let topics = Topics::new(&settings, Arc::clone(&lookup))?;
        let appender = Arc::new(Appender::new(settings.clone(), Arc::clone(&lookup))?);
        let readers = Arc::new(Readers::new(settings.clone(), Arc::clone(&lookup)));
        Ok(Self {
            settings,
            lookup,
            topics,
            appender,
            readers,
            member: OnceLock::new(),
        })
    }

    /// Joins the group of workers; what becomes ours, and what goes, comes through the receiver.
    ///
    /// # Errors
    /// When librdkafka does not take the settings.
    pub fn join(&self, inbox: &Topic) -> Result<mpsc::Receiver<Ownership>, PortError> {
        let (member, changes) = Member::join(&self.settings, inbox)?;
        // Joining twice would leave the first one to itself; nobody does.
        let _ = self.member.set(Arc::new(member));
        Ok(changes)
    }

    /// Whether the group has told us what is ours.
    #[must_use]
    pub fn has_joined(&self) -> bool {
        self.member.get().is_some_and(|member| member.has_joined())
    }

    /// Leaves the group; resolves when the shards have finished and the group knows.
    ///
    /// # Errors
    /// When that could not be waited for.
    pub async fn leave(&self) -> Result<(), PortError> {
        let Some(member) = self.member.get().cloned() else {
            return Ok(());
        };
        super::offload(move || {
            member.leave();
            Ok(())
        })
        .await
    }

    /// How a topic stands on the brokers; `None`: it is not there.
    ///
    /// # Errors
    /// When no broker answers.
    pub async fn facts(&self, topic: &Topic) -> Result<Option<TopicFacts>, PortError> {
        self.topics.facts(topic).await
    }

    /// Waits for what is on its way and closes; later calls answer `Closed`.
    ///
    /// # Errors
    /// When the last appends were not acknowledged in time.
    pub async fn close(&self) -> Result<(), PortError> {
        self.readers.close();
        let appender = Arc::clone(&self.appender);
        super::offload(move || appender.close()).await
    }

    async fn check_there(&self, to: &TopicPartition) -> Result<(), PortError> {
        match self.lookup.partitions(&to.topic).await? {
            Some(count) if to.partition < count => Ok(()),
            _ => Err(lookup::not_there(to)),
        }
    }
}

impl EventLog for KafkaLog {
    fn create_topic(&self, topic: &Topic, settings: TopicSettings) -> PortFuture<'_, u32> {
        let topic = Topic::clone(topic);
        Box::pin(async move { self.topics.create(&topic, settings).await })
    }

    fn partitions(&self, topic: &Topic) -> PortFuture<'_, Option<u32>> {
        let topic = Topic::clone(topic);
        Box::pin(async move { self.lookup.partitions(&topic).await })
    }

    fn append(&self, to: &TopicPartition, records: Vec<Record>) -> PortFuture<'_, Offset> {
        let to = to.clone();
        Box::pin(async move {
            self.check_there(&to).await?;
            self.appender.append(&to, records).await
        })
    }

    fn publish(&self, publication: Publication) -> PortFuture<'_, ()> {
        Box::pin(async move {
            for (to, _) in &publication.records {
                self.check_there(to).await?;
            }
            if !publication.records.is_empty() {
                self.appender.append_all(publication.records).await?;
            }
            // The journal says what was published, so the number of the epoch stands nowhere else.
            if let Some(member) = self.member.get() {
                member.note(publication.offsets);
            }
            Ok(())
        })
    }

    fn read(
        &self,
        from: &TopicPartition,
        offset: Offset,
        limit: ReadLimit,
    ) -> PortFuture<'_, Slice> {
        let from = from.clone();
        Box::pin(async move { self.readers.read(&from, offset, limit).await })
    }

    fn bounds(&self, of: &TopicPartition) -> PortFuture<'_, Bounds> {
        let of = of.clone();
        Box::pin(async move { self.lookup.bounds(&of).await })
    }

    fn grown(&self, of: &TopicPartition, offset: Offset) -> PortFuture<'_, ()> {
        let of = of.clone();
        Box::pin(async move { self.readers.grown(&of, offset).await })
    }

    fn committed(&self, group: &str, of: &TopicPartition) -> PortFuture<'_, Option<Offset>> {
        let (group, of) = (group.to_owned(), of.clone());
        Box::pin(async move { self.lookup.progress(&group, &of).await })
    }

    fn commit(&self, group: &str, offsets: Vec<(TopicPartition, Offset)>) -> PortFuture<'_, ()> {
        let group = group.to_owned();
        Box::pin(async move { self.lookup.note(&group, offsets).await })
    }

    fn hold(&self, _: &TopicPartition, _: Offset) -> PortFuture<'_, ()> {
        // A broker keeps by time, which was checked against the age of snapshots at the start.
        Box::pin(async { Ok(()) })
    }
}
