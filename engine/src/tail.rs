//! Reading a topic of ours as it grows: what `tail`, server-sent events and the answers to commands stand on.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use tidegate_actors::port::{Bounds, EventLog, ReadLimit, Retry, TopicPartition};
use tidegate_proto::record::{Offset, Record, Topic};
use tidegate_proto::time::Timestamp;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::error::EngineError;

/// Entries that wait for a slow reader before the log is not read any further.
const WAITING: usize = 1024;
/// Wait before a read that failed is tried again.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(250);
const LIMIT: ReadLimit = ReadLimit {
    records: 1024,
    bytes: 4 << 20,
};

/// Where to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TailFrom {
    /// With the oldest record that is kept.
    Earliest,
    /// With what comes next.
    Latest,
    /// With the first record taken by the log at or after a time.
    Time(Timestamp),
    /// At an offset by partition; partitions beyond the list begin with what comes next.
    Offsets(Vec<Offset>),
}

/// One record with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailEntry {
    /// Partition.
    pub partition: u32,
    /// Offset.
    pub offset: Offset,
    /// The record.
    pub record: Record,
}

/// Entries of all partitions; in order within each.
pub type Tail = Pin<Box<dyn Stream<Item = Result<TailEntry, EngineError>> + Send>>;

/// Reads a topic; ends at what is its end now, or never.
pub fn tail(
    log: &Arc<dyn EventLog>,
    topic: &Topic,
    partitions: u32,
    from: TailFrom,
    stop_at_end: bool,
) -> Tail {
    let from = Arc::new(from);
    let (sender, receiver) = mpsc::channel(WAITING);
    for partition in 0..partitions {
        let place = TopicPartition {
            topic: Topic::clone(topic),
            partition,
        };
        let (log, from, sender) = (Arc::clone(log), Arc::clone(&from), sender.clone());
        tokio::spawn(async move {
            if let Err(error) = follow(log.as_ref(), &place, &from, stop_at_end, &sender).await {
                // A reader that has gone needs no error.
                let _ = sender.send(Err(error)).await;
            }
        });
    }
    ReceiverStream::new(receiver).boxed()
}

/// Where a partition begins and ends. Brokers that are away come back; who reads waits for them.
async fn bounds(
    log: &dyn EventLog,
    place: &TopicPartition,
    sender: &mpsc::Sender<Result<TailEntry, EngineError>>,
) -> Result<Bounds, EngineError> {
    loop {
        match log.bounds(place).await {
            Err(error) if error.retry() == Retry::Backoff && !sender.is_closed() => {
                tracing::debug!(%place, %error, "reading begins after a pause");
                tokio::time::sleep(PAUSE).await;
            }
            bounds => return Ok(bounds?),
        }
    }
}

async fn follow(
    log: &dyn EventLog,
    place: &TopicPartition,
    from: &TailFrom,
    stop_at_end: bool,
    sender: &mpsc::Sender<Result<TailEntry, EngineError>>,
) -> Result<(), EngineError> {
    let bounds = bounds(log, place, sender).await?;
    let (mut at, earliest) = match from {
        TailFrom::Earliest => (bounds.start, i64::MIN),
        TailFrom::Latest => (bounds.end, i64::MIN),
        TailFrom::Time(time) => (bounds.start, time.0),
        TailFrom::Offsets(offsets) => {
            let asked = offsets
                .get(place.partition as usize)
                .copied()
                .unwrap_or(bounds.end);
            (asked.max(bounds.start), i64::MIN)
        }
    };
    loop {
        if stop_at_end && at >= bounds.end {
            return Ok(());
        }
        let slice = match log.read(place, at, LIMIT).await {
            // Behind the last record there may be the end of a transaction, which nobody sees.
            Ok(slice) if slice.entries.is_empty() && stop_at_end => return Ok(()),
            Ok(slice) if slice.entries.is_empty() => {
                tokio::select! {
                    () = sender.closed() => return Ok(()),
                    grown = log.grown(place, at) => match grown {
                        Err(error) if error.retry() == Retry::Backoff => {
                            tokio::time::sleep(PAUSE).await;
                        }
                        grown => grown?,
                    },
                }
                continue;
            }
            Ok(slice) => slice,
            Err(error) if error.retry() == Retry::Backoff && !sender.is_closed() => {
                tracing::debug!(%place, %error, "reading goes on after a pause");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        for entry in slice.entries {
            at = entry.offset + 1;
            if entry.record.timestamp < earliest || (stop_at_end && entry.offset >= bounds.end) {
                continue;
            }
            let entry = TailEntry {
                partition: place.partition,
                offset: entry.offset,
                record: entry.record,
            };
            if sender.send(Ok(entry)).await.is_err() {
                return Ok(());
            }
        }
    }
}
