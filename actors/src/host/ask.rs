//! How an owner's asks are carried out on the ports.

use std::collections::BTreeMap;

use tidegate_proto::record::{Offset, OffsetRange, Partition, Record, Topic, partition_of};

use super::{Needed, Ports};
use crate::epoch::{Destination, IntakeRecord, Output};
use crate::journal::JournalEntry;
use crate::owner::{Ask, Publish, Told};
use crate::port::{
    EventLog, PortError, PortErrorKind, Publication, ReadLimit, SnapshotName, TopicPartition,
    TopicSettings,
};
use crate::source::Reading;

/// How much one read brings while history is read.
const LIMIT: ReadLimit = ReadLimit {
    records: 50_000,
    bytes: 32 << 20,
};
/// Partitions of a user's topic that a rule writes to first, when nobody made it.
const USER_PARTITIONS: u32 = 4;

/// Carries one ask out.
pub(super) async fn answer(
    ask: Ask,
    shard: Partition,
    readings: Vec<Reading>,
    ports: Ports,
) -> Told {
    let journal = place(&ports.topics.journal, shard);
    match ask {
        Ask::Fence => Told::Fenced(ports.log.fence(&journal).await),
        Ask::Append(entry) => {
            Told::Appended(ports.log.append(&journal, vec![entry.encode()]).await)
        }
        Ask::LoadSnapshot => Told::Snapshot(load_snapshot(shard, &ports).await),
        Ask::ReadJournal { from, to } => {
            Told::Journal(read_journal(&journal, from, to, &ports).await)
        }
        Ask::AwaitJournal(from) => Told::Grown(ports.log.grown(&journal, from).await),
        Ask::ReadCommitted => {
            let committed = ports.log.committed(&ports.topics.group, &journal).await;
            Told::Committed(
                committed.map(|epoch| epoch.and_then(|epoch| u64::try_from(epoch).ok())),
            )
        }
        Ask::ReadSources(ranges) => {
            Told::Sources(read_sources(ranges, shard, &readings, &ports).await)
        }
        Ask::Publish(publish) => {
            Told::Published(publish_all(publish, shard, &readings, &ports).await)
        }
        Ask::Keep {
            name,
            bytes,
            positions,
        } => {
            let needed = readings.iter().zip(positions);
            let needed = needed.filter(|(one, _)| one.reading);
            let needed = needed.map(|(one, at)| (Topic::clone(&one.topic), at));
            Told::Kept(keep(name, bytes, needed.collect(), &readings, &ports).await)
        }
    }
}

async fn read_sources(
    ranges: Vec<OffsetRange>,
    shard: Partition,
    readings: &[Reading],
    ports: &Ports,
) -> Result<Vec<IntakeRecord>, PortError> {
    let mut records = Vec::new();
    for ((source, range), one) in (0_u16..).zip(ranges).zip(readings) {
        let entries = read_range(&place(&one.topic, shard), range.from, range.to, ports).await?;
        records.extend(entries.into_iter().map(|(offset, record)| IntakeRecord {
            source,
            offset,
            record,
        }));
    }
    Ok(records)
}

fn place(topic: &Topic, partition: Partition) -> TopicPartition {
    TopicPartition {
        topic: Topic::clone(topic),
        partition,
    }
}

/// The newest snapshot that reads back whole; damaged ones are set aside and the one before is used.
async fn load_snapshot(
    shard: Partition,
    ports: &Ports,
) -> Result<Option<(SnapshotName, Vec<u8>)>, PortError> {
    for name in ports.snapshots.list(shard).await? {
        match ports.snapshots.get(name).await {
            Ok(bytes) => return Ok(Some((name, bytes))),
            Err(error) if error.kind == PortErrorKind::Corrupt => {
                ports.snapshots.set_aside(name).await?;
            }
            Err(error) => return Err(error),
        }
    }
    // Until there is a snapshot, a recovery needs the whole history.
    let sources = vec![(Topic::clone(&ports.topics.inbox), 0)];
    hold(shard, 0, sources, ports).await?;
    Ok(None)
}

async fn read_range(
    from: &TopicPartition,
    mut at: Offset,
    to: Offset,
    ports: &Ports,
) -> Result<Vec<(Offset, Record)>, PortError> {
    let mut all = Vec::new();
    while at < to {
        let slice = ports.log.read(from, at, LIMIT).await?;
        let Some(last) = slice.entries.last().map(|entry| entry.offset) else {
            break;
        };
        all.extend(
            slice
                .entries
                .into_iter()
                .filter(|entry| entry.offset < to)
                .map(|entry| (entry.offset, entry.record)),
        );
        at = last + 1;
    }
    Ok(all)
}

async fn read_journal(
    journal: &TopicPartition,
    from: Offset,
    to: Offset,
    ports: &Ports,
) -> Result<Vec<(Offset, JournalEntry)>, PortError> {
    let bounds = ports.log.bounds(journal).await?;
    // Without a snapshot the history must reach back to its beginning.
    if from < bounds.start {
        let message = format!(
            "{journal} begins at {}, epochs from {from} on are needed",
            bounds.start
        );
        return Err(PortError::new(PortErrorKind::OutOfRange, message));
    }
    let damaged = |offset: Offset, why: String| {
        PortError::new(
            PortErrorKind::Corrupt,
            format!("{journal} offset {offset}: {why}"),
        )
    };
    read_range(journal, from, to.min(bounds.end), ports)
        .await?
        .into_iter()
        .map(|(offset, record)| {
            JournalEntry::decode(&record)
                .map(|entry| (offset, entry))
                .map_err(|error| damaged(offset, error.to_string()))
        })
        .collect()
}

async fn publish_all(
    publish: Publish,
    shard: Partition,
    readings: &[Reading],
    ports: &Ports,
) -> Result<(), PortError> {
    let topics = &ports.topics;
    let mut records: BTreeMap<TopicPartition, Vec<Record>> = BTreeMap::new();
    for Output {
        destination,
        record,
        ..
    } in publish.outputs
    {
        let to = match destination {
            Destination::Results => place(&topics.results, shard),
            Destination::Actions => place(&topics.actions, shard),
            Destination::Changes => place(&topics.changes, shard),
            Destination::DeadLetters => place(&topics.dead, shard),
            Destination::Late => place(&topics.late, shard),
            Destination::Signal(partition) => place(&topics.inbox, partition),
            Destination::User(topic) => user_place(&topic, &record, ports.log.as_ref()).await?,
        };
        records.entry(to).or_default().push(record);
    }
    let epoch = Offset::try_from(publish.epoch).unwrap_or(Offset::MAX);
    let offsets = readings
        .iter()
        .zip(publish.positions)
        .filter(|(one, _)| one.reading)
        .map(|(one, at)| (place(&one.topic, shard), at))
        .collect();
    let publication = Publication {
        records: records.into_iter().collect(),
        group: topics.group.clone(),
        offsets,
        marker: Some((place(&topics.journal, shard), epoch)),
    };
    ports.log.publish(publication).await
}

async fn user_place(
    topic: &Topic,
    record: &Record,
    log: &dyn EventLog,
) -> Result<TopicPartition, PortError> {
    let partitions = match log.partitions(topic).await? {
        Some(partitions) => partitions,
        None => {
            let settings = TopicSettings {
                partitions: USER_PARTITIONS,
                retention_ms: None,
                retention_bytes: None,
            };
            log.create_topic(topic, settings).await?
        }
    };
    Ok(place(
        topic,
        partition_of(record.key.as_deref().unwrap_or_default(), partitions),
    ))
}

async fn keep(
    name: SnapshotName,
    bytes: Vec<u8>,
    needed: Needed,
    readings: &[Reading],
    ports: &Ports,
) -> Result<(), PortError> {
    ports.snapshots.put(name, bytes).await?;
    let listed = ports.snapshots.list(name.shard).await?;
    // What the oldest kept snapshot needs stays readable.
    let (oldest, needed, free) = {
        let mut kept = ports
            .kept
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        kept.insert(name, needed.clone());
        kept.retain(|known, _| known.shard != name.shard || listed.contains(known));
        // Positions of an earlier process's snapshots are not known here; its hold stands until the last of them is gone.
        if listed.iter().any(|listed| !kept.contains_key(listed)) {
            return Ok(());
        }
        let first = kept.iter().find(|(known, _)| known.shard == name.shard);
        let (oldest, needed) =
            first.map_or((name, needed), |(known, needed)| (*known, needed.clone()));
        let mine = || kept.iter().filter(|(known, _)| known.shard == name.shard);
        let is_needed = |topic: &Topic| {
            mine().any(|(_, needed)| needed.iter().any(|(known, _)| known == topic))
        };
        let free = readings.iter().filter(|one| !one.reading);
        let free: Vec<_> = free
            .filter(|one| !is_needed(&one.topic))
            .map(|one| Topic::clone(&one.topic))
            .collect();
        (oldest, needed, free)
    };
    hold(name.shard, oldest.journal, needed, ports).await?;
    for topic in free {
        // The topic of a source that is gone may be gone too.
        let _ = ports
            .log
            .hold(&place(&topic, name.shard), Offset::MAX)
            .await;
    }
    Ok(())
}

/// Keeps the journal and the sources of a shard readable from here on.
async fn hold(
    shard: Partition,
    journal: Offset,
    sources: Needed,
    ports: &Ports,
) -> Result<(), PortError> {
    let of = place(&ports.topics.journal, shard);
    ports.log.hold(&of, journal).await?;
    for (topic, at) in sources {
        ports.log.hold(&place(&topic, shard), at).await?;
    }
    Ok(())
}
