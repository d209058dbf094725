//! [`open`]: the reader in front of one shard. Reads every source from the shard's positions on and hands over whole
//! chunks through a bounded queue; when the shard does not take them, it stops reading.

use std::sync::Arc;

use futures::StreamExt as _;
use tidegate_actors::epoch::IntakeRecord;
use tidegate_actors::host::{Chunk, Feed};
use tidegate_actors::port::{Clock, EventLog, PortError, ReadLimit, TopicPartition};
use tidegate_actors::source::Reading;
use tidegate_proto::record::{Offset, OffsetRange, Partition, Topic};
use tidegate_proto::time::Timestamp;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// What a reader needs.
#[derive(Clone)]
pub struct FeedSettings {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Most records and bytes of one chunk, so of one epoch.
    pub limit: ReadLimit,
    /// Chunks that may wait.
    pub waiting: usize,
    /// Where the reader runs.
    pub runtime: tokio::runtime::Handle,
}

impl std::fmt::Debug for FeedSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FeedSettings")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// One source of the shard, by its number.
struct Place {
    at: TopicPartition,
    /// A topic whose source is gone keeps its number and is not read.
    reading: bool,
}

/// Opens the feed of a shard; the reader ends when the feed is dropped.
pub fn open(
    settings: &FeedSettings,
    shard: Partition,
    readings: &[Reading],
    positions: Vec<Offset>,
) -> Feed {
    let places = readings.iter().map(|one| Place {
        at: TopicPartition {
            topic: Topic::clone(&one.topic),
            partition: shard,
        },
        reading: one.reading,
    });
    let places = places.collect();
    let (sender, receiver) = mpsc::channel(settings.waiting.max(1));
    settings
        .runtime
        .spawn(read(settings.clone(), places, positions, sender));
    ReceiverStream::new(receiver).boxed()
}

async fn read(
    settings: FeedSettings,
    places: Vec<Place>,
    mut positions: Vec<Offset>,
    sender: mpsc::Sender<Result<Chunk, PortError>>,
) {
    let mut ended = false;
    // Room first: what is read before there is room gets old while it waits.
    while let Ok(room) = sender.reserve().await {
        match chunk(&settings, &places, &mut positions).await {
            // That the end is reached is told once: from then on wall time counts.
            Ok(chunk) if chunk.records.is_empty() && (ended || !chunk.is_end) => {
                let waits = places
                    .iter()
                    .zip(&positions)
                    .filter(|(place, _)| place.reading)
                    .map(|(place, at)| settings.log.grown(&place.at, *at));
                let grown = futures::future::select_all(waits);
                tokio::select! {
                    () = sender.closed() => return,
                    (grown, ..) = grown => if let Err(error) = grown {
                        room.send(Err(error));
                        return;
                    },
                }
            }
            Ok(chunk) => {
                ended = chunk.is_end;
                room.send(Ok(chunk));
            }
            Err(error) => {
                room.send(Err(error));
                return;
            }
        }
    }
}

/// Reads what there is of every source, up to the limit, and says how far the clock may go with it.
async fn chunk(
    settings: &FeedSettings,
    places: &[Place],
    positions: &mut [Offset],
) -> Result<Chunk, PortError> {
    // Taken before the read: what is at its end now has nothing older than this.
    let now = settings.clock.now();
    let mut chunk = Chunk {
        clock: now,
        ..Chunk::default()
    };
    let reading = places.iter().filter(|place| place.reading).count().max(1);
    let limit = ReadLimit {
        records: (settings.limit.records / reading).max(1),
        bytes: (settings.limit.bytes / reading).max(1),
    };
    let mut lagging: Option<Timestamp> = None;
    for ((source, place), at) in (0_u16..).zip(places).zip(positions.iter_mut()) {
        let from = *at;
        if !place.reading {
            chunk.ranges.push(OffsetRange { from, to: from });
            continue;
        }
        let slice = settings.log.read(&place.at, from, limit).await?;
        let last = slice
            .entries
            .last()
            .map(|entry| (entry.offset, entry.record.timestamp));
        if let Some((offset, timestamp)) = last {
            *at = offset + 1;
            if *at < slice.end {
                lagging = Some(lagging.map_or(Timestamp(timestamp), |known| {
                    known.min(Timestamp(timestamp))
                }));
            }
        }
        chunk.ranges.push(OffsetRange { from, to: *at });
        chunk
            .records
            .extend(slice.entries.into_iter().map(|entry| IntakeRecord {
                source,
                offset: entry.offset,
                record: entry.record,
            }));
    }
    chunk.is_end = lagging.is_none();
    // A producer whose clock is ahead stamps records of its own topic with it.
    chunk.clock = lagging.unwrap_or(now).min(now);
    Ok(chunk)
}
