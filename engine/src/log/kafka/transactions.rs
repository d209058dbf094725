//! [`Transactions`]: outputs of a shard, how far it has read and which epoch that was, in one Kafka transaction.
//!
//! Each shard has a producer of its own under a `transactional.id` of its own. Beginning anew with that id ends whatever
//! transaction a predecessor left open and shuts it out, wherever it runs: that is [`Transactions::fence`]. Which epoch was
//! published last stands in the metadata of the offset that is committed for the shard's inbox partition.
//!
//! The group's generation is not sent along: it is looked at when offsets are added, not when the transaction ends, so it
//! would fence nothing that the id does not, and every rebalance would abort transactions of shards that stay.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use rdkafka::util::Timeout;
use rdkafka::{ClientContext, Offset as KafkaOffset, Statistics, TopicPartitionList};
use tidegate_actors::port::{PortError, PortErrorKind, Publication, TopicPartition};
use tidegate_proto::record::{Offset, Partition, Record, Topic};

use super::context::{Plain, failed, log_error, log_line};
use super::lookup::number;
use super::numbers::Numbers;
use super::producer::{headers, request};
use super::settings::KafkaSettings;
use crate::fail_points::{self, FailPoint};

/// Longest wait for the start of a producer and for offsets.
const PATIENCE: Duration = Duration::from_secs(30);
/// Wait before a call that may be repeated is repeated.
const PAUSE: Duration = Duration::from_millis(20);
/// Wait until the producer is looked at again.
const STEP: Duration = Duration::from_millis(1);
/// How often an epoch is published anew when its transaction had to be aborted.
const ATTEMPTS: usize = 3;
/// Epochs without outputs are noted this often: there is nothing in them that could be published twice.
const NOTED: Duration = Duration::from_secs(1);

/// What stands in front of the epoch in an offset's metadata.
const EPOCH: &str = "epoch ";

/// Tells nobody of deliveries.
struct Quiet {
    numbers: Numbers,
    client: String,
}

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }

    fn stats(&self, said: Statistics) {
        self.numbers.tell(&self.client, &said);
    }
}

impl ProducerContext for Quiet {
    type DeliveryOpaque = ();

    // A record that could not be delivered fails the transaction's end.
    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// One shard's right to publish; when it is gone, so is every transaction begun with it.
struct Publisher {
    producer: BaseProducer<Quiet>,
    /// Nobody knows how its last transaction ended.
    is_spoilt: AtomicBool,
    noted: Mutex<Instant>,
}

/// What publishes shards in transactions.
pub(super) struct Transactions {
    settings: KafkaSettings,
    numbers: Numbers,
    /// Of the group, but no member of it: reads what is committed.
    offsets: Arc<BaseConsumer<Plain>>,
    inbox: OnceLock<Topic>,
    /// By the shard's journal.
    publishers: Mutex<BTreeMap<TopicPartition, Arc<Publisher>>>,
}

impl fmt::Debug for Transactions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transactions").finish_non_exhaustive()
    }
}

impl Transactions {
    pub(super) fn new(settings: &KafkaSettings, numbers: Numbers) -> Result<Self, PortError> {
        let offsets = BaseConsumer::from_config_and_context(&settings.offsets(), Plain)
            .map_err(|error| failed("setting up the Kafka client", &error))?;
        Ok(Self {
            settings: settings.clone(),
            numbers,
            offsets: Arc::new(offsets),
            inbox: OnceLock::new(),
            publishers: Mutex::new(BTreeMap::new()),
        })
    }

    /// The topic whose partitions are the shards.
    pub(super) fn shards_are_of(&self, inbox: &Topic) {
        // There is one inbox; a second word of it says the same.
        let _ = self.inbox.set(Topic::clone(inbox));
    }

    fn publishers(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, Arc<Publisher>>> {
        self.publishers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends what a predecessor left open, shuts it out, and owns the right to publish from here on.
    pub(super) async fn fence(&self, journal: &TopicPartition) -> Result<(), PortError> {
        let (settings, shard) = (self.settings.clone(), journal.partition);
        let quiet = Quiet {
            numbers: self.numbers.clone(),
            client: format!("publisher-{shard}"),
        };
        let made = crate::log::offload(move || Publisher::begin(&settings, shard, quiet)).await?;
        let before = self.publishers().insert(journal.clone(), Arc::new(made));
        retire(before.into_iter().collect());
        Ok(())
    }

    /// The last published epoch of a shard, once every transaction that could change it has ended.
    pub(super) async fn published(
        &self,
        journal: &TopicPartition,
    ) -> Result<Option<Offset>, PortError> {
        let Some(inbox) = self.inbox.get() else {
            return Ok(None);
        };
        let (consumer, inbox) = (Arc::clone(&self.offsets), Topic::clone(inbox));
        let doing = format!(
            "looking which epoch of shard {} is published",
            journal.partition
        );
        let partition = number(journal);
        crate::log::offload(move || {
            // Its own events are served by who asks.
            let _ = consumer.poll(Duration::ZERO);
            let mut list = TopicPartitionList::with_capacity(1);
            list.add_partition(&inbox, partition);
            let committed = consumer
                .committed_offsets(list, PATIENCE)
                .map_err(|error| failed(&doing, &error))?;
            let elements = committed.elements();
            let Some(element) = elements.first() else {
                return Ok(None);
            };
            element.error().map_err(|error| failed(&doing, &error))?;
            let epoch = element.metadata().strip_prefix(EPOCH);
            Ok(epoch.and_then(|epoch| epoch.parse().ok()))
        })
        .await
    }

    /// Publishes in one transaction.
    pub(super) async fn publish(
        &self,
        journal: &TopicPartition,
        epoch: Offset,
        publication: Publication,
    ) -> Result<(), PortError> {
        let publisher = self.publishers().get(journal).cloned();
        let usable = publisher.filter(|publisher| !publisher.is_spoilt.load(Ordering::Acquire));
        let Some(publisher) = usable else {
            let shard = journal.partition;
            let text = format!(
                "publishing shard {shard}: the right to publish it must be taken over first"
            );
            return Err(PortError::new(PortErrorKind::Closed, text));
        };
        let consumer = Arc::clone(&self.offsets);
        crate::log::offload(move || publisher.publish(&consumer, &publication, epoch)).await
    }

    /// Gives up the right to publish shards that have gone.
    pub(super) fn forget(&self, shards: &[Partition]) {
        let mut publishers = self.publishers();
        let gone: Vec<_> = publishers
            .keys()
            .filter(|journal| shards.contains(&journal.partition))
            .cloned()
            .collect();
        let gone = gone.iter().filter_map(|journal| publishers.remove(journal));
        let gone = gone.collect();
        drop(publishers);
        retire(gone);
    }

    /// Gives up everything.
    pub(super) fn close(&self) {
        let all = std::mem::take(&mut *self.publishers());
        drop(all);
    }
}

/// A producer takes a moment to end: not on the thread of somebody who has other things to do.
fn retire(publishers: Vec<Arc<Publisher>>) {
    if publishers.is_empty() {
        return;
    }
    let end = move || drop(publishers);
    if let Err(error) = std::thread::Builder::new()
        .name("end publishers".to_owned())
        .spawn(end)
    {
        tracing::warn!(%error, "producers could not be ended in the background");
    }
}

/// What to do after a call of a transaction failed.
enum Remedy {
    Repeat,
    Abort,
    GiveUp,
}

fn remedy(error: &KafkaError) -> Remedy {
    match error {
        KafkaError::Transaction(error) if error.is_fatal() => Remedy::GiveUp,
        KafkaError::Transaction(error) if error.txn_requires_abort() => Remedy::Abort,
        KafkaError::Transaction(error) if error.is_retriable() => Remedy::Repeat,
        _ => Remedy::GiveUp,
    }
}

/// Repeats a call as long as it may be, and its time is not over.
fn patiently(mut call: impl FnMut() -> Result<(), KafkaError>) -> Result<(), KafkaError> {
    let began = Instant::now();
    loop {
        match call() {
            Err(error)
                if matches!(remedy(&error), Remedy::Repeat) && began.elapsed() < PATIENCE =>
            {
                pause();
            }
            done => return done,
        }
    }
}

fn pause() {
    // The calls of a transaction block by nature; they run on threads that are there to be blocked.
    std::thread::park_timeout(PAUSE);
}

impl Publisher {
    fn begin(settings: &KafkaSettings, shard: Partition, quiet: Quiet) -> Result<Self, PortError> {
        let doing = format!("taking over the right to publish shard {shard}");
        let producer = BaseProducer::from_config_and_context(&settings.transactional(shard), quiet)
            .map_err(|error| failed(&doing, &error))?;
        patiently(|| producer.init_transactions(PATIENCE))
            .map_err(|error| failed(&doing, &error))?;
        Ok(Self {
            producer,
            is_spoilt: AtomicBool::new(false),
            noted: Mutex::new(Instant::now()),
        })
    }

    fn publish(
        &self,
        consumer: &BaseConsumer<Plain>,
        publication: &Publication,
        epoch: Offset,
    ) -> Result<(), PortError> {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if publication.records.is_empty() && noted.elapsed() < NOTED {
            return Ok(());
        }
        let doing = format!("publishing epoch {epoch} in a transaction");
        let offsets = offsets(publication, epoch).map_err(|error| failed(&doing, &error))?;
        let group = consumer.group_metadata().ok_or_else(|| {
            PortError::new(PortErrorKind::Unavailable, format!("{doing}: no group"))
        })?;
        for _ in 0..ATTEMPTS {
            let error = match self.attempt(publication, &offsets, &group) {
                Ok(()) => {
                    *noted = Instant::now();
                    return Ok(());
                }
                Err(error) => error,
            };
            tracing::warn!(%error, epoch, "a transaction did not come to its end");
            let aborted = matches!(remedy(&error), Remedy::Abort)
                && patiently(|| self.producer.abort_transaction(Timeout::Never)).is_ok();
            if !aborted {
                // Whether it counts is learnt at the takeover: never ask a producer twice how it ended.
                self.is_spoilt.store(true, Ordering::Release);
                return Err(failed(&doing, &error).in_doubt());
            }
        }
        self.is_spoilt.store(true, Ordering::Release);
        let text = format!("{doing}: it was aborted {ATTEMPTS} times");
        Err(PortError::new(PortErrorKind::Unavailable, text))
    }

    fn attempt(
        &self,
        publication: &Publication,
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
    ) -> Result<(), KafkaError> {
        self.producer.begin_transaction()?;
        for (to, records) in &publication.records {
            let mut records = records.as_slice();
            while !records.is_empty() {
                let (now, later) = records.split_at(request(records));
                for record in now {
                    self.send(to, record)?;
                }
                if !later.is_empty() {
                    self.deliver();
                }
                records = later;
            }
        }
        patiently(|| {
            self.producer
                .send_offsets_to_transaction(offsets, group, PATIENCE)
        })?;
        self.deliver();
        if !publication.records.is_empty() {
            fail_points::reach(FailPoint::Offsets);
        }
        // Without a limit of ours the transaction's own holds.
        patiently(|| self.producer.commit_transaction(Timeout::Never))
    }

    /// Waits until every record is there or given up, which is at most as long as a transaction may take.
    ///
    /// Flushing, which the end of a transaction does too, would wait in steps of 100 ms: `poll` of the `rdkafka` crate uses up
    /// all of the time that it is given, whatever has happened, and turns in a circle for its last millisecond.
    fn deliver(&self) {
        let mut before = self.producer.in_flight_count();
        while before > 0 {
            self.producer.poll(Duration::ZERO);
            let now = self.producer.in_flight_count();
            if now >= before {
                std::thread::park_timeout(STEP);
            }
            before = now;
        }
    }

    fn send(&self, to: &TopicPartition, record: &Record) -> Result<(), KafkaError> {
        let mut out: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&to.topic).partition(number(to));
        if let Some(key) = &record.key {
            out = out.key(key.as_ref());
        }
        if let Some(value) = &record.value {
            out = out.payload(value.as_ref());
        }
        if record.timestamp > 0 {
            out = out.timestamp(record.timestamp);
        }
        if !record.headers.is_empty() {
            out = out.headers(headers(record));
        }
        while let Err((error, again)) = self.producer.send(out) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(error);
            }
            out = again;
            self.producer.poll(Duration::ZERO);
            std::thread::park_timeout(STEP);
        }
        Ok(())
    }
}

/// Where the shard stands, with the epoch.
fn offsets(publication: &Publication, epoch: Offset) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(publication.offsets.len());
    for (place, offset) in &publication.offsets {
        let mut element = list.add_partition(&place.topic, number(place));
        element.set_offset(KafkaOffset::Offset(*offset))?;
        element.set_metadata(format!("{EPOCH}{epoch}"));
    }
    Ok(list)
}
