//! [`EmbeddedLog`]: a durable, partitioned log in a folder, on `fjall`.
//!
//! One thread writes ([`writer`]): appends queue up, bounded by records and bytes, and all that wait at the same time
//! become one atomic batch of the store with one fsync. Each (topic, segment) is a keyspace of its own, so that
//! retention drops whole keyspaces and the disk space is free at once. Reads go past the writer, straight to the store.
//! After a failed write the log is closed: every call answers with the first reason until it is opened anew.

mod batch;
mod catalog;
mod commit;
mod ends;
mod fault;
mod journal;
mod manifest;
mod pool;
mod reader;
mod recovery;
mod retention;
mod settings;
mod status;
#[cfg(test)]
mod tests;
mod topic;
mod writer;

use std::fmt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tidegate_actors::port::{
    Bounds, Clock, EventLog, PortError, PortErrorKind, PortFuture, Publication, ReadLimit, Slice,
    TopicPartition, TopicSettings,
};
use tidegate_proto::record::{Offset, Record, Topic};
use tokio::sync::{Semaphore, oneshot};

pub(crate) use fault::kind_of_io;
pub use settings::{EmbeddedLogSettings, FsyncPolicy};
pub use status::{EmbeddedLogStatus, TopicStatus};
pub use topic::Held;

use catalog::{group_key, load};
use commit::Part;
use ends::EndsFile;
use reader::Reading;
use status::status_of;
use topic::{PartitionState, TopicState};
use writer::{Answer, Request, Shared, Work, Write, Writer, WriterState, gone, group_offsets};

/// Most partitions of a topic.
const MOST_PARTITIONS: u32 = 4_096;

/// A durable, partitioned log in a folder.
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    settings: EmbeddedLogSettings,
    queue: Mutex<Option<SyncSender<Request>>>,
    /// Places in the queue, by records and by bytes.
    records: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    /// Whoever waits for a place keeps its turn: appends are queued in the order in which they were begun.
    turn: tokio::sync::Mutex<()>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for EmbeddedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedLog")
            .field("settings", &self.settings)
            .field("closed", &self.shared.health.reason())
            .finish_non_exhaustive()
    }
}

impl EmbeddedLog {
    /// Opens the log in a folder, or creates it there. Blocks while it recovers.
    ///
    /// # Errors
    /// `Corrupt` if what is there is damaged, `Unavailable` if another process has it open, `Full` if the disk is full.
    pub fn open(
        folder: &Path,
        settings: EmbeddedLogSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, PortError> {
        let io = |error: std::io::Error| {
            let message = format!("opening the log in {}: {error}", folder.display());
            PortError::new(kind_of_io(error.kind()), message)
        };
        std::fs::create_dir_all(folder).map_err(io)?;
        let ends = EndsFile::new(folder);
        let opened = recovery::open(folder, &settings, &ends)?;
        let shared = Arc::clone(&opened.shared);
        let writer = Writer {
            db: opened.db,
            meta: opened.meta,
            shared: opened.shared,
            folder: folder.to_owned(),
            settings,
            clock,
            ends,
            pool: opened.pool,
            state: WriterState::new(),
        };
        // Every request holds a place among the records, so the channel itself is never full.
        let places = usize::try_from(settings.queue_records.max(1)).unwrap_or(usize::MAX);
        let (queue, requests) = sync_channel(places);
        let thread = std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || writer.run(&requests))
            .map_err(io)?;
        Ok(Self {
            shared,
            settings,
            queue: Mutex::new(Some(queue)),
            records: Arc::new(Semaphore::new(places)),
            bytes: Arc::new(Semaphore::new(
                usize::try_from(settings.queue_bytes.max(1)).unwrap_or(usize::MAX),
            )),
            turn: tokio::sync::Mutex::new(()),
            writer: Mutex::new(Some(thread)),
        })
    }

    /// Writes all that waits, forces it to the disk and closes the log; later calls answer `Closed`.
    ///
    /// # Errors
    /// The reason, if the log was closed by a failure before or fails now.
    pub async fn close(&self) -> Result<(), PortError> {
        let persisted = self.persist().await;
        let writer = self.stop();
        crate::log::offload(move || {
            // The writer catches its own panics; there is nothing to learn from the join.
            writer.map(JoinHandle::join);
            Ok(())
        })
        .await?;
        self.shared.health.close("it was shut down");
        persisted
    }

    /// Resolves, with the reason, when the log has closed itself or was closed.
    pub async fn closed(&self) -> PortError {
        self.shared.health.closing().await
    }

    /// Forces all that was acknowledged to the disk, whatever the policy (before a backup, for example).
    ///
    /// # Errors
    /// `Full`, `Unavailable` or `Closed`.
    pub async fn persist(&self) -> Result<(), PortError> {
        self.ask(1, 1, Work::Persist).await
    }

    /// Applies retention now; it also happens after every append and once a second.
    ///
    /// # Errors
    /// `Full`, `Unavailable` or `Closed`.
    pub async fn sweep(&self) -> Result<(), PortError> {
        self.ask(1, 1, Work::Sweep).await
    }

    /// How the log does.
    pub fn status(&self) -> EmbeddedLogStatus {
        let topics = self.shared.all_topics();
        let used = |semaphore: &Semaphore, all: u32| {
            all.saturating_sub(u32::try_from(semaphore.available_permits()).unwrap_or(u32::MAX))
        };
        EmbeddedLogStatus {
            topics: topics.iter().map(|topic| status_of(topic)).collect(),
            closed: self.shared.health.reason().map(|reason| reason.to_string()),
            queued_records: used(&self.records, self.settings.queue_records),
            queued_bytes: used(&self.bytes, self.settings.queue_bytes),
        }
    }

    fn stop(&self) -> Option<JoinHandle<()>> {
        let queue = self
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(queue);
        self.writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Queues work as soon as there is a place for it and waits for the answer.
    async fn ask<T>(
        &self,
        records: usize,
        bytes: usize,
        work: impl FnOnce(Answer<T>) -> Work,
    ) -> Result<T, PortError> {
        self.shared.health.check()?;
        let share =
            |wanted: usize, all: u32| u32::try_from(wanted).unwrap_or(all).clamp(1, all.max(1));
        let (answer, answered) = oneshot::channel();
        {
            let _turn = self.turn.lock().await;
            let records = share(records, self.settings.queue_records);
            let bytes = share(bytes, self.settings.queue_bytes);
            let records = Arc::clone(&self.records).acquire_many_owned(records);
            let bytes = Arc::clone(&self.bytes).acquire_many_owned(bytes);
            let (Ok(records), Ok(bytes)) = (records.await, bytes.await) else {
                return Err(gone(&self.shared.health));
            };
            let request = Request {
                work: work(answer),
                place: [records, bytes],
            };
            let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            let sent = queue.as_ref().map(|queue| queue.try_send(request));
            if !matches!(sent, Some(Ok(()))) {
                return Err(fault::closed("it was shut down"));
            }
        }
        match answered.await {
            Ok(answer) => answer,
            Err(_) => Err(gone(&self.shared.health)),
        }
    }

    fn topic(&self, of: &TopicPartition) -> Result<Arc<TopicState>, PortError> {
        self.shared.health.check()?;
        let missing = || PortError::new(PortErrorKind::NotFound, format!("{of} is not there"));
        let topic = self.shared.topic(&of.topic).ok_or_else(missing)?;
        match topic.partition(of.partition) {
            Some(_) => Ok(topic),
            None => Err(missing()),
        }
    }

    fn part(&self, to: &TopicPartition, records: Vec<Record>) -> Result<Part, PortError> {
        let topic = self.topic(to)?;
        let limit = usize::try_from(self.settings.record_bytes).unwrap_or(usize::MAX);
        if let Some(large) = records.iter().find(|record| record.size() > limit) {
            return Err(PortError::new(
                PortErrorKind::Refused,
                format!(
                    "a record of {} bytes for {to} is over the limit of {limit}",
                    large.size()
                ),
            ));
        }
        Ok(Part {
            topic,
            partition: to.partition,
            records,
        })
    }

    async fn write(
        &self,
        parts: Vec<Part>,
        offsets: Vec<(Vec<u8>, Offset)>,
    ) -> Result<Offset, PortError> {
        let records: usize = parts.iter().map(|part| part.records.len()).sum();
        let all = parts.iter().flat_map(|part| part.records.iter());
        let bytes: usize = all.map(Record::size).sum();
        self.ask(records.max(offsets.len()), bytes, |answer| {
            Work::Write(Write {
                parts,
                offsets,
                bytes,
                answer,
            })
        })
        .await
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        // The folder is free for the next opening when this returns.
        if let Some(writer) = self.stop() {
            let _ = writer.join();
        }
    }
}

/// Topic names are Kafka's: they become names of keyspaces, and may move to a broker one day.
fn check_topic(topic: &str, settings: TopicSettings) -> Result<(), PortError> {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let refused = |message: String| Err(PortError::new(PortErrorKind::Refused, message));
    if topic.is_empty() || topic.len() > 200 || !topic.chars().all(word) {
        return refused(format!(
            "`{}` is not a topic name: use 1 to 200 letters, digits, `.`, `_` and `-`",
            topic.escape_debug()
        ));
    }
    if settings.partitions == 0 || settings.partitions > MOST_PARTITIONS {
        return refused(format!(
            "topic {topic} cannot have {} partitions: use 1 to {MOST_PARTITIONS}",
            settings.partitions
        ));
    }
    Ok(())
}

fn outside(from: &TopicPartition, offset: Offset, start: Offset, end: Offset) -> PortError {
    let message = format!("{from} at offset {offset}: the log holds {start} to {end}");
    PortError::new(PortErrorKind::OutOfRange, message)
}

fn check_group(group: &str) -> Result<(), PortError> {
    if group.is_empty() || group.len() > 200 || group.contains('\0') {
        let message = format!("`{}` is not a group name", group.escape_debug());
        return Err(PortError::new(PortErrorKind::Refused, message));
    }
    Ok(())
}

impl EventLog for EmbeddedLog {
    fn create_topic(&self, topic: &Topic, settings: TopicSettings) -> PortFuture<'_, u32> {
        let topic = topic.clone();
        Box::pin(async move {
            check_topic(&topic, settings)?;
            self.ask(1, 1, |answer| Work::CreateTopic(topic, settings, answer))
                .await
        })
    }

    fn partitions(&self, topic: &Topic) -> PortFuture<'_, Option<u32>> {
        let topic = topic.clone();
        Box::pin(async move {
            self.shared.health.check()?;
            let topic = self.shared.topic(&topic);
            Ok(topic.map(|topic| topic.settings().partitions))
        })
    }

    fn append(&self, to: &TopicPartition, records: Vec<Record>) -> PortFuture<'_, Offset> {
        let to = to.clone();
        Box::pin(async move {
            let part = self.part(&to, records)?;
            self.write(vec![part], Vec::new()).await
        })
    }

    fn publish(&self, publication: Publication) -> PortFuture<'_, ()> {
        Box::pin(async move {
            let mut noted = publication.offsets;
            noted.extend(publication.marker);
            let offsets = if noted.is_empty() {
                Vec::new()
            } else {
                check_group(&publication.group)?;
                group_offsets(&publication.group, &noted)
            };
            let records = publication.records.into_iter();
            let parts = records
                .map(|(to, records)| self.part(&to, records))
                .collect::<Result<Vec<_>, _>>()?;
            self.write(parts, offsets).await.map(|_| ())
        })
    }

    fn read(
        &self,
        from: &TopicPartition,
        offset: Offset,
        limit: ReadLimit,
    ) -> PortFuture<'_, Slice> {
        let from = from.clone();
        Box::pin(async move {
            let topic = self.topic(&from)?;
            // The end first: segments that come after it hold all that is before it.
            let end = topic
                .partition(from.partition)
                .map_or(0, PartitionState::end);
            let segments = topic.segments();
            let start = segments
                .first()
                .map_or(0, |oldest| oldest.start(from.partition));
            if offset < start || offset > end {
                return Err(outside(&from, offset, start, end));
            }
            let recent = segments
                .last()
                .is_some_and(|active| active.start(from.partition) <= offset);
            let reading = Reading {
                topic: from.topic.clone(),
                partition: from.partition,
                segments,
                limit,
                at: offset,
                end,
                entries: Vec::new(),
                bytes: 0,
            };
            // What was just written is in memory; older segments may have to come from the disk.
            let read = if recent {
                reading.run()
            } else {
                crate::log::offload(move || reading.run()).await
            };
            // A keyspace is used again after its segment is dropped: what was read counts only if the segment was still
            // there afterwards.
            let start = topic.bounds(from.partition).map_or(0, |now| now.start);
            if offset < start {
                return Err(outside(&from, offset, start, end));
            }
            read
        })
    }

    fn bounds(&self, of: &TopicPartition) -> PortFuture<'_, Bounds> {
        let of = of.clone();
        Box::pin(async move {
            let topic = self.topic(&of)?;
            Ok(topic.bounds(of.partition).unwrap_or_default())
        })
    }

    fn grown(&self, of: &TopicPartition, offset: Offset) -> PortFuture<'_, ()> {
        let of = of.clone();
        Box::pin(async move {
            let topic = self.topic(&of)?;
            let Some(partition) = topic.partition(of.partition) else {
                return Ok(());
            };
            let mut end = partition.end.subscribe();
            let grown = async { end.wait_for(|end| *end > offset).await.is_ok() };
            tokio::select! {
                _ = grown => Ok(()),
                error = self.shared.health.closing() => Err(error),
            }
        })
    }

    fn committed(&self, group: &str, of: &TopicPartition) -> PortFuture<'_, Option<Offset>> {
        let key = check_group(group).map(|()| group_key(group, of));
        Box::pin(async move {
            self.shared.health.check()?;
            let key = key?;
            fault::guarded("reading a group's offset", || {
                load(&self.shared.groups, &key)
            })
        })
    }

    fn commit(&self, group: &str, offsets: Vec<(TopicPartition, Offset)>) -> PortFuture<'_, ()> {
        let offsets = check_group(group).map(|()| group_offsets(group, &offsets));
        Box::pin(async move { self.write(Vec::new(), offsets?).await.map(|_| ()) })
    }

    fn hold(&self, of: &TopicPartition, offset: Offset) -> PortFuture<'_, ()> {
        let of = of.clone();
        Box::pin(async move {
            let topic = self.topic(&of)?;
            if let Some(partition) = topic.partition(of.partition) {
                partition.hold.store(offset, Ordering::Relaxed);
            }
            self.ask(1, 1, |answer| Work::Hold(of, offset, answer))
                .await
        })
    }
}
