//! The one thread that writes: it drains the queue, commits what it found as one, answers, and keeps house in between.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use fjall::{Database, Keyspace, PersistMode};
use tidegate_actors::port::{
    Clock, Doubt, PortError, PortErrorKind, TopicPartition, TopicSettings,
};
use tidegate_proto::record::{Offset, Topic};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::catalog::{group_key, hold_key, seal};
use super::commit::{Part, Stage};
use super::ends::EndsFile;
use super::fault::{Health, closed, guarded, port_error};
use super::manifest;
use super::pool::Pool;
use super::settings::{EmbeddedLogSettings, FsyncPolicy};
use super::topic::TopicState;

/// Bytes that one group commit takes at most (one larger request alone excepted).
const GROUP_BYTES: usize = 4 << 20;
/// How often age is looked at while nothing happens.
const TICK: Duration = Duration::from_secs(1);
/// How often slots that are being emptied are looked at.
const POOL_TICK: Duration = Duration::from_millis(20);
/// How often the known ends are noted beside the store.
const ENDS_EVERY: Duration = Duration::from_secs(10);
/// Sealed memtables of one keyspace at which the writer waits; the store itself would sleep at four, for ever if its
/// background threads were gone.
const SEALED_LIMIT: usize = 3;
/// Bytes after which every keyspace is told to write its memtable out, so that no quiet topic keeps old journal files.
const FLUSH_BYTES: u64 = 32 << 20;

/// What readers and the writer share.
pub(super) struct Shared {
    pub(super) topics: RwLock<BTreeMap<Topic, Arc<TopicState>>>,
    pub(super) groups: Keyspace,
    pub(super) health: Health,
}

impl Shared {
    pub(super) fn topic(&self, name: &str) -> Option<Arc<TopicState>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(name).cloned()
    }

    pub(super) fn all_topics(&self) -> Vec<Arc<TopicState>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.values().cloned().collect()
    }
}

/// Where an answer goes.
pub(super) type Answer<T> = oneshot::Sender<Result<T, PortError>>;

/// Records and group offsets that are written as one.
pub(super) struct Write {
    pub(super) parts: Vec<Part>,
    pub(super) offsets: Vec<(Vec<u8>, Offset)>,
    pub(super) bytes: usize,
    pub(super) answer: Answer<Offset>,
}

/// Group offsets as the writer takes them.
pub(super) fn group_offsets(
    group: &str,
    offsets: &[(TopicPartition, Offset)],
) -> Vec<(Vec<u8>, Offset)> {
    let key = |(of, offset): &(TopicPartition, Offset)| (group_key(group, of), *offset);
    offsets.iter().map(key).collect()
}

/// What the writer is asked for.
pub(super) enum Work {
    Write(Write),
    CreateTopic(Topic, TopicSettings, Answer<u32>),
    Hold(TopicPartition, Offset, Answer<()>),
    Sweep(Answer<()>),
    Persist(Answer<()>),
}

/// What a request takes of the queue's bounds (records, bytes) until it is served.
pub(super) type Place = [OwnedSemaphorePermit; 2];

/// Work with its place in the queue. The place of a write is free again before its answer is out: who was answered is counted
/// no more.
pub(super) struct Request {
    pub(super) work: Work,
    pub(super) place: Place,
}

/// The writer.
pub(super) struct Writer {
    pub(super) db: Database,
    pub(super) meta: Keyspace,
    pub(super) shared: Arc<Shared>,
    pub(super) folder: PathBuf,
    pub(super) settings: EmbeddedLogSettings,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ends: EndsFile,
    pub(super) pool: Pool,
    pub(super) state: WriterState,
}

/// What the writer remembers between commits.
pub(super) struct WriterState {
    /// Since when something waits for an fsync.
    pub(super) unsynced: Option<Instant>,
    pub(super) last_tick: Instant,
    pub(super) last_ends: Instant,
    pub(super) since_flush: u64,
    /// When a topic's kept-back retention was last complained about.
    pub(super) warned: BTreeMap<Topic, Instant>,
}

impl WriterState {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            unsynced: None,
            last_tick: now,
            last_ends: now,
            since_flush: 0,
            warned: BTreeMap::new(),
        }
    }
}

impl Writer {
    /// Serves until every sender is gone, then forces all to the disk.
    pub(super) fn run(mut self, queue: &Receiver<Request>) {
        loop {
            match queue.recv_timeout(self.patience()) {
                Ok(first) => self.drain(first, queue),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let kept = guarded("keeping house in the log", || self.housekeeping());
            self.note_failure(&kept);
        }
        let last = guarded("closing the log", || {
            self.shared.health.check()?;
            self.persist(PersistMode::SyncAll)?;
            self.ends.save(&self.shared)
        });
        self.note_failure(&last);
        let Self {
            db, meta, folder, ..
        } = self;
        // Its background threads end with it: from then on its files stay as they are.
        drop((db, meta));
        if let Err(error) = last.and_then(|()| manifest::note(&folder)) {
            tracing::warn!(%error, "the log was not closed in order");
        }
    }

    fn patience(&self) -> Duration {
        match (self.settings.fsync, self.state.unsynced) {
            (FsyncPolicy::Interval(span), Some(since)) => {
                millis(span.0).saturating_sub(since.elapsed()).min(TICK)
            }
            _ if self.pool.is_busy() => POOL_TICK,
            _ => TICK,
        }
    }

    /// Takes all that waits, up to the bytes of a group, and serves it.
    fn drain(&mut self, first: Request, queue: &Receiver<Request>) {
        let mut writes = Vec::new();
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(request) = next {
            let Request { work, place } = request;
            match work {
                Work::Write(write) => {
                    bytes += write.bytes;
                    writes.push((write, place));
                }
                other => {
                    self.commit(std::mem::take(&mut writes));
                    self.serve(other, place);
                }
            }
            next = (bytes < GROUP_BYTES)
                .then(|| queue.try_recv().ok())
                .flatten();
        }
        self.commit(writes);
    }

    fn serve(&mut self, work: Work, place: Place) {
        let health = self.shared.health.check();
        match work {
            Work::Write(write) => self.commit(vec![(write, place)]),
            Work::CreateTopic(topic, settings, answer) => {
                let made = health.and_then(|()| {
                    guarded("creating a topic", || self.create_topic(&topic, settings))
                });
                self.reply(answer, made);
            }
            Work::Hold(of, offset, answer) => {
                let held = health.and_then(|()| self.hold(&of, offset));
                self.reply(answer, held);
            }
            Work::Sweep(answer) => {
                let swept =
                    health.and_then(|()| guarded("applying retention", || self.sweep_all()));
                self.reply(answer, swept);
            }
            Work::Persist(answer) => {
                let done = health.and_then(|()| {
                    self.persist(PersistMode::SyncAll)?;
                    self.ends.save(&self.shared)
                });
                self.reply(answer, done);
            }
        }
    }

    fn reply<T>(&self, answer: Answer<T>, outcome: Result<T, PortError>) {
        self.note_failure(&outcome);
        // A caller that went away does not want the answer.
        let _ = answer.send(outcome);
    }

    /// A failed write closes the log: what the disk holds is not known any more until it is opened anew.
    fn note_failure<T>(&self, outcome: &Result<T, PortError>) {
        if let Err(error) = outcome
            && (error.doubt == Doubt::Unknown || error.kind == PortErrorKind::Corrupt)
        {
            tracing::error!(%error, "the embedded log closes after a failed write");
            self.shared.health.close(&error.to_string());
        }
    }

    /// Commits writes as one batch of the store and answers them.
    fn commit(&mut self, writes: Vec<(Write, Place)>) {
        if writes.is_empty() {
            return;
        }
        let mut stage = Stage::default();
        let now = self.clock.now().0;
        let firsts: Vec<_> = writes
            .iter()
            .map(|(write, _)| {
                let mut first = 0;
                for (index, part) in write.parts.iter().enumerate() {
                    let at = stage.add(part, now)?;
                    if index == 0 {
                        first = at;
                    }
                }
                stage.offsets.extend(write.offsets.iter().cloned());
                Ok(first)
            })
            .collect();
        stage.finish();
        let written = self.shared.health.check().and_then(|()| {
            guarded("writing the log", || self.write(&mut stage)).map_err(PortError::in_doubt)
        });
        self.note_failure(&written);
        for ((write, place), first) in writes.into_iter().zip(firsts) {
            let outcome = match &written {
                Ok(()) => first,
                Err(error) => Err(error.clone()),
            };
            drop(place);
            let _ = write.answer.send(outcome);
        }
        if written.is_ok() {
            let kept = guarded("keeping the log's segments", || self.after(&stage, now));
            self.note_failure(&kept);
        }
    }

    /// Writes a stage durably by the policy and makes it visible.
    fn write(&mut self, stage: &mut Stage) -> Result<(), PortError> {
        if stage.is_empty() {
            return Ok(());
        }
        let doing = "writing the log";
        self.wait_for_room(stage)
            .map_err(|error| self.failed(&error, doing))?;
        let mode = match self.settings.fsync {
            FsyncPolicy::Always => PersistMode::SyncData,
            FsyncPolicy::Interval(_) | FsyncPolicy::Never => PersistMode::Buffer,
        };
        let mut batch = self.db.batch().durability(Some(mode));
        for part in stage.parts.values() {
            for (key, value) in &part.batches {
                batch.insert(&part.segment.slot.keyspace, key, value.as_slice());
            }
        }
        for (key, offset) in &stage.offsets {
            batch.insert(&self.shared.groups, key.as_slice(), seal(key, offset)?);
        }
        batch.commit().map_err(|error| self.failed(&error, doing))?;
        if mode == PersistMode::Buffer {
            self.state.unsynced.get_or_insert_with(Instant::now);
        }
        for part in stage.parts.values() {
            self.state.since_flush += part.publish();
        }
        Ok(())
    }

    /// Waits while the store's background threads are behind, and notices when they are gone.
    fn wait_for_room(&self, stage: &Stage) -> Result<(), fjall::Error> {
        for part in stage.parts.values() {
            while part.segment.slot.keyspace.sealed_memtable_count() >= SEALED_LIMIT {
                self.db.persist(PersistMode::Buffer)?;
                std::thread::park_timeout(Duration::from_millis(2));
            }
        }
        Ok(())
    }

    /// Rolls and drops segments of the topics that a commit touched, and keeps the journal short.
    fn after(&mut self, stage: &Stage, now: i64) -> Result<(), PortError> {
        let mut last: Option<&Topic> = None;
        for part in stage.parts.values() {
            if last != Some(&part.topic.name) {
                self.sweep(&part.topic, now)?;
            }
            last = Some(&part.topic.name);
        }
        if self.state.since_flush >= FLUSH_BYTES {
            self.state.since_flush = 0;
            self.flush_all()?;
        }
        Ok(())
    }

    fn flush_all(&self) -> Result<(), PortError> {
        let topics = self.shared.all_topics();
        let active = topics.iter().filter_map(|topic| topic.active());
        let keyspaces = active
            .map(|segment| segment.slot.keyspace.clone())
            .chain([self.meta.clone(), self.shared.groups.clone()]);
        for keyspace in keyspaces {
            keyspace
                .rotate_memtable()
                .map_err(|error| self.failed(&error, "writing a memtable out"))?;
        }
        Ok(())
    }

    fn hold(&mut self, of: &TopicPartition, offset: Offset) -> Result<(), PortError> {
        let key = hold_key(of);
        self.meta
            .insert(key.as_slice(), seal(&key, &offset)?)
            .map_err(|error| self.failed(&error, "noting a hold"))?;
        self.state.unsynced.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// A failed write as an error of the port, which nobody knows whether it happened. The store does not say why its
    /// background threads failed; a full disk still is full a moment later.
    pub(super) fn failed(&self, error: &fjall::Error, doing: &str) -> PortError {
        let probed = match error {
            fjall::Error::Poisoned => self.ends.probe().err(),
            _ => None,
        };
        match probed {
            Some(io) => port_error(&io.into(), doing),
            None => port_error(error, doing),
        }
        .in_doubt()
    }

    /// Forces all that was written to the disk.
    pub(super) fn persist(&mut self, mode: PersistMode) -> Result<(), PortError> {
        self.db
            .persist(mode)
            .map_err(|error| self.failed(&error, "forcing the log to the disk"))?;
        self.state.unsynced = None;
        Ok(())
    }

    /// The work of the pauses: fsync by interval, age, the noted ends.
    fn housekeeping(&mut self) -> Result<(), PortError> {
        self.shared.health.check()?;
        if let (FsyncPolicy::Interval(span), Some(since)) =
            (self.settings.fsync, self.state.unsynced)
            && since.elapsed() >= millis(span.0)
        {
            self.persist(PersistMode::SyncData)?;
        }
        self.pool.step()?;
        if self.state.last_tick.elapsed() >= TICK {
            self.state.last_tick = Instant::now();
            self.sweep_all()?;
        }
        let synced = self.settings.fsync == FsyncPolicy::Always || self.state.unsynced.is_none();
        if synced && self.state.last_ends.elapsed() >= ENDS_EVERY {
            self.state.last_ends = Instant::now();
            self.ends.save(&self.shared)?;
        }
        Ok(())
    }
}

fn millis(span: i64) -> Duration {
    Duration::from_millis(u64::try_from(span).unwrap_or(0))
}

/// The answer when the writer is gone.
pub(super) fn gone(health: &Health) -> PortError {
    match health.reason() {
        Some(reason) => closed(&reason),
        None => closed("its writer has ended"),
    }
    .in_doubt()
}
