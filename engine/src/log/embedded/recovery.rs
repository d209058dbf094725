//! Opening: finds topics, segments and ends again, finishes what was half done, and refuses what is damaged.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use fjall::{CompressionType, Database, Keyspace};
use tidegate_actors::port::{PortError, PortErrorKind, TopicPartition};
use tidegate_proto::record::{Offset, Partition, Topic};

use super::batch::{StoredBatch, key_of, place_of};
use super::catalog::{
    SegmentNote, TOPICS, TopicNote, hold_key, load, load_all, segment_number, segments_prefix,
};
use super::ends::EndsFile;
use super::fault::{Health, guarded, port_error};
use super::journal;
use super::manifest;
use super::pool::{self, Pool};
use super::retention::note_options;
use super::settings::{EmbeddedLogSettings, FsyncPolicy};
use super::topic::{NO_HOLD, PartitionState, Segment, TopicState};
use super::writer::Shared;

/// The smallest total size of journals that the store accepts.
const JOURNAL_BYTES: u64 = 64 << 20;
/// Background threads of the store: one always minds flushes.
const BACKGROUND_THREADS: usize = 2;

/// An opened store.
pub(super) struct Opened {
    pub(super) db: Database,
    pub(super) meta: Keyspace,
    pub(super) shared: Arc<Shared>,
    pub(super) pool: Pool,
}

/// Opens the store in a folder and recovers all that the log knows.
pub(super) fn open(
    folder: &Path,
    settings: &EmbeddedLogSettings,
    ends: &EndsFile,
) -> Result<Opened, PortError> {
    let doing = format!("opening the log in {}", folder.display());
    let failed = |error: &fjall::Error| port_error(error, &doing);
    let store = folder.join("store");
    manifest::inspect(folder)?;
    inspect_journal(&store, settings.fsync)?;
    guarded(&doing, || {
        let db = Database::builder(&store)
            .cache_size(settings.cache_bytes)
            .max_journaling_size(JOURNAL_BYTES)
            .journal_compression(CompressionType::None)
            .worker_threads(BACKGROUND_THREADS)
            .open()
            .map_err(|error| failed(&error))?;
        let meta = db
            .keyspace("meta", note_options)
            .map_err(|error| failed(&error))?;
        let groups = db
            .keyspace("groups", note_options)
            .map_err(|error| failed(&error))?;
        let topics = recover_topics(&db, &meta)?;
        let shared = Arc::new(Shared {
            topics: RwLock::new(topics),
            groups,
            health: Health::new(),
        });
        ends.verify(&shared)?;
        let pool = Pool::recover(&db, &claimed(&shared)?)?;
        Ok(Opened {
            db,
            meta,
            shared,
            pool,
        })
    })
}

/// With an fsync per append, nothing whole can follow a break but by damage. Without, a power failure may leave holes in
/// what nobody was promised, so a break is only told of.
fn inspect_journal(store: &Path, fsync: FsyncPolicy) -> Result<(), PortError> {
    match journal::inspect(store) {
        Err(error) if error.kind == PortErrorKind::Corrupt && fsync != FsyncPolicy::Always => {
            tracing::warn!(%error, "the log goes on without what follows the break");
            Ok(())
        }
        other => other,
    }
}

fn corrupt(message: String) -> PortError {
    PortError::new(PortErrorKind::Corrupt, message)
}

fn recover_topics(
    db: &Database,
    meta: &Keyspace,
) -> Result<BTreeMap<Topic, Arc<TopicState>>, PortError> {
    let mut topics = BTreeMap::new();
    for (key, note) in load_all::<TopicNote>(meta, TOPICS)? {
        let name = key.get(TOPICS.len()..).unwrap_or_default();
        let name = std::str::from_utf8(name)
            .map_err(|_| corrupt("the name of a topic is not text".to_owned()))?;
        let name: Topic = Arc::from(name);
        let topic = recover_topic(db, meta, &name, note)?;
        topics.insert(name, Arc::new(topic));
    }
    Ok(topics)
}

fn recover_topic(
    db: &Database,
    meta: &Keyspace,
    name: &Topic,
    note: TopicNote,
) -> Result<TopicState, PortError> {
    let mut segments: Vec<Arc<Segment>> = Vec::new();
    for (key, segment) in load_all::<SegmentNote>(meta, &segments_prefix(name))? {
        let number = segment_number(&key).unwrap_or(0);
        let expected = segments.last().map_or(number, |last| last.number + 1);
        let slot = pool::open(db, segment.slot)?.filter(|_| number == expected);
        let Some(slot) = slot else {
            return Err(corrupt(format!(
                "segment {expected} of topic {name} is missing"
            )));
        };
        segments.push(Arc::new(Segment::new(number, slot, segment)));
    }
    let Some(active) = segments.last() else {
        return Err(corrupt(format!("topic {name} has no segment")));
    };
    let mut partitions = Vec::new();
    for partition in 0..note.partitions {
        let (end, timestamp) = last_of(name, active, partition)?;
        let of = TopicPartition {
            topic: name.clone(),
            partition,
        };
        let hold = load(meta, &hold_key(&of))?.unwrap_or(NO_HOLD);
        partitions.push(PartitionState::new(end, timestamp, hold));
    }
    measure(active, &partitions)?;
    Ok(TopicState::new(
        name.clone(),
        note.into(),
        partitions,
        segments,
    ))
}

/// End and last timestamp of a partition, by its last batch, which is read and verified.
fn last_of(
    topic: &Topic,
    segment: &Segment,
    partition: Partition,
) -> Result<(Offset, i64), PortError> {
    let start = segment.start(partition);
    let range = key_of(partition, start)..=key_of(partition, Offset::MAX);
    let Some(found) = segment.slot.keyspace.range(range).next_back() else {
        let index = usize::try_from(partition).unwrap_or(usize::MAX);
        let timestamp = segment.note.timestamps.get(index).copied();
        return Ok((start, timestamp.unwrap_or(i64::MIN)));
    };
    let doing = format!("reading the end of {topic}/{partition}");
    let (key, value) = found
        .into_inner()
        .map_err(|error| port_error(&error, &doing))?;
    let offset = place_of(&key).map_or(start, |(_, offset)| offset);
    let damaged = |damage: super::batch::Damage| {
        corrupt(format!(
            "{topic}/{partition} at offset {offset}: stored batch {}",
            damage.0
        ))
    };
    let (_, mut batch) =
        StoredBatch::open(topic, &key, Bytes::from_owner(value)).map_err(damaged)?;
    let end = batch.end();
    batch.skip_to(end - 1).map_err(damaged)?;
    let last = batch.decode().map_err(damaged)?;
    Ok((end, last.map_or(i64::MIN, |entry| entry.record.timestamp)))
}

/// Counts what the active segment holds; closed ones have it in their notes.
fn measure(active: &Segment, partitions: &[PartitionState]) -> Result<(), PortError> {
    let mut bytes = 0;
    for found in active.slot.keyspace.iter() {
        let size = found
            .size()
            .map_err(|error| port_error(&error, "measuring a segment"))?;
        bytes += u64::from(size);
    }
    let timestamps = partitions
        .iter()
        .map(|p| p.timestamp.load(Ordering::Relaxed));
    let newest = if bytes == 0 { None } else { timestamps.max() };
    active.grow(bytes, newest.unwrap_or(active.note.created));
    Ok(())
}

/// The slots that segments live in, each in one only.
fn claimed(shared: &Shared) -> Result<Vec<u32>, PortError> {
    let topics = shared.all_topics();
    let segments = topics.iter().flat_map(|topic| topic.segments().to_vec());
    let mut slots: Vec<u32> = segments.map(|segment| segment.slot.number).collect();
    slots.sort_unstable();
    let twice = slots.windows(2).find(|pair| pair.first() == pair.last());
    match twice.and_then(|pair| pair.first()) {
        None => Ok(slots),
        Some(slot) => Err(corrupt(format!(
            "the notes of the log name slot {slot} twice"
        ))),
    }
}
