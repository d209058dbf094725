//! [`KafkaLog`]: the log on Apache Kafka, or whatever speaks its protocol.
//!
//! Kinds of librdkafka clients, each for one thing: the [`producer`] (idempotent, without a gap, never transactional)
//! for everything that is written, but with transactional delivery for what shards publish: that goes through a producer of
//! each shard ([`transactions`]); [`fetcher`]s that read partitions from offsets that we name, and belong to no group; the
//! [`member`] of the consumer group, which only knows which shards are ours; the [`lookup`] for metadata and bookkeeping.
//! Because reading and membership are apart, a rebalance never interrupts a shard that stays.

mod batch;
mod context;
mod fetcher;
mod lookup;
mod member;
mod numbers;
mod packing;
mod producer;
mod readers;
mod settings;
mod stream;
mod topics;
mod transactions;

use std::fmt;
use std::sync::{Arc, OnceLock};

use tidegate_actors::port::{
    Bounds, EventLog, PortError, PortFuture, Publication, ReadLimit, Slice, TopicPartition,
    TopicSettings,
};
use tidegate_proto::record::{Offset, Record, Topic};
use tokio::sync::mpsc;

use super::SHARD_GROUP;

pub use member::{Member, Ownership};
pub use numbers::ClientNumbers;
pub use settings::{Delivery, KafkaSettings};
pub use topics::{TopicFacts, TopicUse};

use lookup::Lookup;
use member::Forget;
use numbers::Numbers;
use producer::Appender;
use readers::Readers;
use topics::Topics;
use transactions::Transactions;

/// The log on Kafka.
pub struct KafkaLog {
    settings: KafkaSettings,
    lookup: Arc<Lookup>,
    topics: Topics,
    appender: Arc<Appender>,
    readers: Arc<Readers>,
    member: OnceLock<Arc<Member>>,
    transactions: Option<Arc<Transactions>>,
    numbers: Numbers,
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
        let numbers = Numbers::default();
        let lookup = Arc::new(Lookup::new(&settings)?);
        let topics = Topics::new(&settings, Arc::clone(&lookup))?;
        let appender = Arc::new(Appender::new(
            settings.clone(),
            Arc::clone(&lookup),
            numbers.clone(),
        )?);
        let readers = Arc::new(Readers::new(settings.clone(), Arc::clone(&lookup)));
        let transactions = match settings.delivery {
            Delivery::Identified => None,
            Delivery::Transactional => {
                Some(Arc::new(Transactions::new(&settings, numbers.clone())?))
            }
        };
        Ok(Self {
            settings,
            lookup,
            topics,
            appender,
            readers,
            member: OnceLock::new(),
            transactions,
            numbers,
        })
    }

    /// Joins the group of workers under a name; what becomes ours, and what goes, comes through the receiver.
    ///
    /// # Errors
    /// When librdkafka does not take the settings.
    pub fn join(
        &self,
        inbox: &Topic,
        worker: &str,
    ) -> Result<mpsc::Receiver<Ownership>, PortError> {
        let mut forget: Forget = Box::new(|_| {});
        if let Some(transactions) = self.transactions.clone() {
            transactions.shards_are_of(inbox);
            forget = Box::new(move |shards| transactions.forget(shards));
        }
        let as_who = (&self.settings, worker);
        let (member, changes) = Member::join(as_who, inbox, forget, self.numbers.clone())?;
        // Joining twice would leave the first one to itself; nobody does.
        let _ = self.member.set(Arc::new(member));
        Ok(changes)
    }

    /// What the clients that write, and the one in the group, said of themselves last.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientNumbers> {
        self.numbers.all()
    }

    /// Whether outputs, offsets and the epoch's number become visible in one.
    #[must_use]
    pub const fn is_transactional(&self) -> bool {
        self.transactions.is_some()
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
        let (appender, transactions) = (Arc::clone(&self.appender), self.transactions.clone());
        super::offload(move || {
            if let Some(transactions) = transactions {
                transactions.close();
            }
            appender.close()
        })
        .await
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
            let turn = self.appender.turn(&to).await;
            self.check_there(&to).await?;
            self.appender.append(turn, records).await
        })
    }

    fn publish(&self, publication: Publication) -> PortFuture<'_, ()> {
        Box::pin(async move {
            for (to, _) in &publication.records {
                self.check_there(to).await?;
            }
            if let (Some(transactions), Some((journal, epoch))) =
                (&self.transactions, publication.marker.clone())
            {
                return transactions.publish(&journal, epoch, publication).await;
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
        Box::pin(async move {
            match &self.transactions {
                Some(transactions) if group == SHARD_GROUP => transactions.published(&of).await,
                _ => self.lookup.progress(&group, &of).await,
            }
        })
    }

    fn commit(&self, group: &str, offsets: Vec<(TopicPartition, Offset)>) -> PortFuture<'_, ()> {
        let group = group.to_owned();
        Box::pin(async move { self.lookup.note(&group, offsets).await })
    }

    fn fence(&self, of: &TopicPartition) -> PortFuture<'_, ()> {
        let of = of.clone();
        Box::pin(async move {
            match &self.transactions {
                Some(transactions) => transactions.fence(&of).await,
                None => Ok(()),
            }
        })
    }

    fn hold(&self, _: &TopicPartition, _: Offset) -> PortFuture<'_, ()> {
        // A broker keeps by time, which was checked against the age of snapshots at the start.
        Box::pin(async { Ok(()) })
    }
}
