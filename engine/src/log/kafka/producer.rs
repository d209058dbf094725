//! [`Appender`]: idempotent, gapless producers for everything that this process writes: one for journals, events and small
//! publications, which leave at once, and, once there are any, one for publications of many records.
//!
//! Appends to a partition stand in it in the order in which they took their [`Turn`]: streams of events have several under way.
//! An append resolves when the brokers have all of its records, with the offset of the first. What a producer gives up,
//! it gives up for good: the appends that waited fail in doubt, and the next one gets a fresh producer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{
    BaseRecord, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer,
};
use rdkafka::{ClientContext, Statistics};
use tidegate_actors::port::{PortError, PortErrorKind, TopicPartition};
use tidegate_proto::record::{Offset, Record};
use tokio::sync::oneshot;

use super::context::{failed, kind_of, log_error, log_line};
use super::lookup::{Lookup, number};
use super::numbers::Numbers;
use super::settings::KafkaSettings;

/// Silence after which a producer is given up, if the partition has a leader. Without a limit on a message's time librdkafka
/// would wait for ever, and after a broker was fenced for a moment it can miss that the leader is back.
const STALLED: Duration = Duration::from_secs(15);
/// How long an append waits before it looks again whether the queue to the brokers has room.
const FULL: Duration = Duration::from_millis(2);
/// Longest wait at the end for what is on its way.
const FLUSH: Duration = Duration::from_secs(10);

/// Bytes of a partition that librdkafka is given at a time. An idempotent producer of it has one request of more
/// than five records on its way per partition, and its thread turns in a circle as long as more has stood behind that for
/// `linger.ms`: it was half of an engine that writes many results. So much is handed over in less than that of
/// [`Haste::Many`], even by a thread that has to share its core, and is one request.
const REQUEST: usize = 200_000;
/// More records than this are many.
const FEW: usize = 16;

/// Partitions to which nobody appends at the moment and that are still known: people name topics that are not there, too.
const IDLE_TURNS: usize = 1_024;

/// What became of an append.
type Outcome = Result<Offset, PortError>;

/// An append that is on its way.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Records whose report has not come, and one for who still adds to them.
    left: AtomicUsize,
    first: AtomicI64,
    failed: Mutex<Option<PortError>>,
    done: Mutex<Option<oneshot::Sender<Outcome>>>,
}

impl Waiting {
    fn new() -> (Arc<Self>, oneshot::Receiver<Outcome>) {
        let (done, outcome) = oneshot::channel();
        let waiting = Self {
            left: AtomicUsize::new(1),
            first: AtomicI64::new(Offset::MAX),
            failed: Mutex::new(None),
            done: Mutex::new(Some(done)),
        };
        (Arc::new(waiting), outcome)
    }

    fn fail(&self, error: PortError) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get_or_insert(error);
    }

    /// One less; the last tells.
    fn one_less(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let failed = self
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let outcome = failed.map_or_else(|| Ok(self.first.load(Ordering::Acquire)), Err);
        let done = self
            .done
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(done) = done {
            // Who gave up waiting needs no answer.
            let _ = done.send(outcome);
        }
    }
}

/// Takes delivery reports.
#[derive(Clone, Debug)]
pub(super) struct Reports {
    numbers: Numbers,
    client: &'static str,
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }

    fn stats(&self, said: Statistics) {
        self.numbers.tell(self.client, &said);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Arc<Waiting>;

    fn delivery(&self, result: &DeliveryResult<'_>, waiting: Self::DeliveryOpaque) {
        match result {
            Ok(message) => {
                waiting.first.fetch_min(message.offset(), Ordering::AcqRel);
            }
            Err((error, message)) => {
                let kind = error
                    .rdkafka_error_code()
                    .map_or(PortErrorKind::Unavailable, kind_of);
                let text = format!(
                    "appending to {}/{}: {error}",
                    message.topic(),
                    message.partition()
                );
                waiting.fail(PortError::new(kind, text).in_doubt());
            }
        }
        waiting.one_less();
    }
}

type Producer = ThreadedProducer<Reports>;

/// How long a producer waits for more before it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Haste {
    /// For whatever somebody waits for, and for all that may overtake each other if two producers had it.
    Few,
    /// Until all of what is given at a time is surely there.
    Many,
}

impl Haste {
    fn of(records: usize) -> Self {
        if records > FEW { Self::Many } else { Self::Few }
    }

    /// Milliseconds, unless the configuration says otherwise.
    pub(super) const fn linger(self) -> &'static str {
        match self {
            Self::Few => "1",
            Self::Many => "5",
        }
    }

    /// Its name in figures.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Few => "producer",
            Self::Many => "bulk-producer",
        }
    }
}

/// A producer's place: empty until it is needed.
type Place = Mutex<Option<Arc<Producer>>>;

/// The right to hand an append over to the producer, behind all that were begun before to the same partition.
#[derive(Debug)]
pub(super) struct Turn {
    to: TopicPartition,
    /// Given back when all but the last request is acknowledged.
    held: tokio::sync::OwnedMutexGuard<()>,
}

/// Everything that this process writes without a transaction.
pub(super) struct Appender {
    settings: KafkaSettings,
    lookup: Arc<Lookup>,
    numbers: Numbers,
    few: Place,
    many: Place,
    is_closed: AtomicBool,
    /// Whose turn it is, by partition; of those where nobody waits [`IDLE_TURNS`] at most are kept.
    turns: Mutex<HashMap<TopicPartition, Arc<tokio::sync::Mutex<()>>>>,
}

impl std::fmt::Debug for Appender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Appender").finish_non_exhaustive()
    }
}

impl Appender {
    pub(super) fn new(
        settings: KafkaSettings,
        lookup: Arc<Lookup>,
        numbers: Numbers,
    ) -> Result<Self, PortError> {
        // Settings that librdkafka refuses are told now.
        let producer = make(&settings, &numbers, Haste::Few)?;
        Ok(Self {
            settings,
            lookup,
            numbers,
            few: Mutex::new(Some(Arc::new(producer))),
            many: Mutex::new(None),
            is_closed: AtomicBool::new(false),
            turns: Mutex::new(HashMap::new()),
        })
    }

    fn kept(&self, haste: Haste) -> MutexGuard<'_, Option<Arc<Producer>>> {
        let place = match haste {
            Haste::Few => &self.few,
            Haste::Many => &self.many,
        };
        place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self, haste: Haste) -> Result<Arc<Producer>, PortError> {
        Ok(Arc::new(make(&self.settings, &self.numbers, haste)?))
    }

    /// The producer; a new one in the place of one that has given up.
    fn producer(&self, haste: Haste) -> Result<Arc<Producer>, PortError> {
        let mut kept = self.kept(haste);
        // Looked at under the lock: whoever closes empties the place after it has said so.
        if self.is_closed.load(Ordering::Acquire) {
            return Err(PortError::new(
                PortErrorKind::Closed,
                "the log was shut down",
            ));
        }
        if let Some(producer) = kept.as_ref() {
            let Some((code, reason)) = producer.client().fatal_error() else {
                return Ok(Arc::clone(producer));
            };
            tracing::error!(%code, reason, "the producer gave up; shards that waited for it take over anew");
        }
        let fresh = self.fresh(haste)?;
        *kept = Some(Arc::clone(&fresh));
        Ok(fresh)
    }

    /// Waits behind the appends to the same partition that were begun before.
    pub(super) async fn turn(&self, to: &TopicPartition) -> Turn {
        let turns = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            match turns.get(to) {
                Some(known) => Arc::clone(known),
                None => {
                    if turns.len() >= IDLE_TURNS {
                        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
                    }
                    Arc::clone(turns.entry(to.clone()).or_default())
                }
            }
        };
        Turn {
            to: to.clone(),
            // First come, first served.
            held: turns.lock_owned().await,
        }
    }

    /// Appends to one partition, in order.
    pub(super) async fn append(&self, turn: Turn, records: Vec<Record>) -> Outcome {
        let Turn { to, held } = turn;
        let (waiting, outcome) = Waiting::new();
        let producer = self.producer(Haste::Few)?;
        let sent = self.send(&producer, &to, records, &waiting).await;
        drop(held);
        if let Err(error) = sent {
            waiting.fail(error);
        }
        waiting.one_less();
        self.reported(&producer, &to, outcome).await
    }

    /// Waits for the reports; gives the producer up if they do not come although they could.
    async fn reported(
        &self,
        producer: &Arc<Producer>,
        to: &TopicPartition,
        mut outcome: oneshot::Receiver<Outcome>,
    ) -> Outcome {
        loop {
            match tokio::time::timeout(STALLED, &mut outcome).await {
                Ok(Ok(outcome)) => return outcome,
                Ok(Err(_)) => {
                    let message = format!("appending to {to}: its report was lost");
                    return Err(PortError::new(PortErrorKind::Unavailable, message).in_doubt());
                }
                Err(_) if self.lookup.has_leader(to).await => self.give_up(producer)?,
                // Brokers that are away come back.
                Err(_) => {}
            }
        }
    }

    /// Puts another one in the place of a producer that does not get on; everything that waits for it fails in doubt.
    fn give_up(&self, stalled: &Arc<Producer>) -> Result<(), PortError> {
        for haste in [Haste::Few, Haste::Many] {
            let mut kept = self.kept(haste);
            if kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, stalled)) {
                tracing::error!(
                    "the producer does not get on; shards that wait for it take over anew"
                );
                *kept = Some(self.fresh(haste)?);
            }
        }
        stalled.purge(PurgeConfig::default().queue().inflight());
        Ok(())
    }

    /// Hands records to the producer, a request at a time; only the last one is still on its way in the end.
    async fn send(
        &self,
        producer: &Arc<Producer>,
        to: &TopicPartition,
        records: Vec<Record>,
        waiting: &Arc<Waiting>,
    ) -> Result<(), PortError> {
        let mut records = records.as_slice();
        loop {
            let (now, later) = records.split_at(request(records));
            if later.is_empty() {
                return send(producer, to, now, waiting).await;
            }
            let (part, outcome) = Waiting::new();
            let sent = send(producer, to, now, &part).await;
            part.one_less();
            sent?;
            let first = self.reported(producer, to, outcome).await?;
            waiting.first.fetch_min(first, Ordering::AcqRel);
            records = later;
        }
    }

    /// Publishes to several partitions, in order within each; who publishes to them waits for one publication before the next.
    pub(super) async fn append_all(
        &self,
        all: Vec<(TopicPartition, Vec<Record>)>,
    ) -> Result<(), PortError> {
        let (waiting, outcome) = Waiting::new();
        let Some((last, _)) = all.last() else {
            return Ok(());
        };
        let last = last.clone();
        let most = all.iter().map(|(_, records)| records.len()).max();
        let producer = self.producer(Haste::of(most.unwrap_or_default()))?;
        for (to, records) in all {
            if let Err(error) = self.send(&producer, &to, records, &waiting).await {
                // Nothing behind a failure: who reads must not see a hole.
                waiting.fail(error.in_doubt());
                break;
            }
        }
        waiting.one_less();
        self.reported(&producer, &last, outcome).await.map(|_| ())
    }

    /// Waits for what is on its way, and ends the producers.
    pub(super) fn close(&self) -> Result<(), PortError> {
        self.is_closed.store(true, Ordering::Release);
        let both = [Haste::Few, Haste::Many].map(|haste| self.kept(haste).take());
        let ends = both.map(|producer| {
            producer.map_or(Ok(()), |producer| {
                producer
                    .flush(FLUSH)
                    .map_err(|error| failed("waiting for the last appends", &error).in_doubt())
            })
        });
        ends.into_iter().collect()
    }
}

fn make(settings: &KafkaSettings, numbers: &Numbers, haste: Haste) -> Result<Producer, PortError> {
    let reports = Reports {
        numbers: numbers.clone(),
        client: haste.word(),
    };
    Producer::from_config_and_context(&settings.producer(haste), reports)
        .map_err(|error| failed("setting up the Kafka producer", &error))
}

/// How many of the first records one request takes; at least one.
pub(super) fn request(records: &[Record]) -> usize {
    let mut bytes = 0;
    let fits = |record: &&Record| {
        bytes += record.size();
        bytes <= REQUEST
    };
    let fit = records.iter().take_while(fits).count();
    fit.max(1).min(records.len())
}

/// Hands records to the producer, waiting for room.
async fn send(
    producer: &Producer,
    to: &TopicPartition,
    records: &[Record],
    waiting: &Arc<Waiting>,
) -> Result<(), PortError> {
    for record in records {
        while let Err(error) = send_one(producer, to, record, waiting) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(failed(&format!("appending to {to}"), &error));
            }
            tokio::time::sleep(FULL).await;
        }
    }
    Ok(())
}

fn send_one(
    producer: &Producer,
    to: &TopicPartition,
    record: &Record,
    waiting: &Arc<Waiting>,
) -> Result<(), KafkaError> {
    let mut out: BaseRecord<'_, [u8], [u8], Arc<Waiting>> =
        BaseRecord::with_opaque_to(&to.topic, Arc::clone(waiting)).partition(number(to));
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
    waiting.left.fetch_add(1, Ordering::AcqRel);
    producer.send(out).map_err(|(error, _)| {
        waiting.left.fetch_sub(1, Ordering::AcqRel);
        error
    })
}

/// The headers of a record as librdkafka takes them.
pub(super) fn headers(record: &Record) -> OwnedHeaders {
    record.headers.iter().fold(
        OwnedHeaders::new_with_capacity(record.headers.len()),
        |headers, (name, value)| {
            headers.insert(Header {
                key: name,
                value: Some(value.as_ref()),
            })
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_takes_what_fits_and_at_least_one() {
        let of = |bytes: usize| Record::new("k", vec![0_u8; bytes]);
        assert_eq!(request(&[]), 0);
        assert_eq!(request(&[of(REQUEST), of(1)]), 1);
        assert_eq!(request(&[of(REQUEST / 2), of(REQUEST / 2), of(1)]), 1);
        assert_eq!(request(&[of(9), of(9), of(REQUEST)]), 2);
        // So small ones are fewer than librdkafka's limit on a request (`batch.num.messages`), too.
        assert!(request(&vec![of(1); 20_000]) < 10_000);
    }
}
