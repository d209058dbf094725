//! What stands around a shard's actor: what it is fed with, where it writes, the ports, its settings.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use tidegate_proto::record::{Offset, OffsetRange, Partition, Topic};
use tidegate_proto::time::Timestamp;

use crate::epoch::IntakeRecord;
use crate::owner::OwnerSettings;
use crate::port::{Clock, EventLog, PortError, SnapshotName, SnapshotStore};
use crate::source::Reading;

/// What a reader hands to a shard: whole ranges of every source, and how far the clock may go with them.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    /// Offsets by source, starting where the chunk before ended.
    pub ranges: Vec<OffsetRange>,
    /// Their records, by source, then offset.
    pub records: Vec<IntakeRecord>,
    /// The clock after them: wall time of the read when every source was at its end, else the smallest timestamp of the
    /// last record taken from a source that is not.
    pub clock: Timestamp,
    /// Whether every source is at its end behind them; until a feed has said so, wall time is not the shard's time.
    pub is_end: bool,
}

/// Chunks in order, bounded in rows and bytes by who made it.
pub type Feed = Pin<Box<dyn Stream<Item = Result<Chunk, PortError>> + Send>>;
/// Opens a feed of these topics at the given positions.
pub type OpenFeed = Arc<dyn Fn(Partition, &[Reading], Vec<Offset>) -> Feed + Send + Sync>;

/// Positions in the topics that a snapshot needs from there on.
pub type Needed = Vec<(Topic, Offset)>;

/// Names of the topics that a shard writes to.
#[derive(Clone, Debug)]
pub struct Topics {
    /// Inbox: commands, signals, events of gateways.
    pub inbox: Topic,
    /// Journal.
    pub journal: Topic,
    /// Result lines.
    pub results: Topic,
    /// Deliveries for handlers.
    pub actions: Topic,
    /// Changes.
    pub changes: Topic,
    /// Dead letters.
    pub dead: Topic,
    /// Late and future rows.
    pub late: Topic,
    /// Consumer group under which offsets are committed.
    pub group: String,
}

/// The ports that a shard stands on.
#[derive(Clone)]
pub struct Ports {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// Snapshots.
    pub snapshots: Arc<dyn SnapshotStore>,
    /// Wall time, for ticks alone.
    pub clock: Arc<dyn Clock>,
    /// Where data comes from.
    pub feed: OpenFeed,
    /// Topic names.
    pub topics: Arc<Topics>,
    /// Source positions of the snapshots kept since this process began: how far the sources must stay readable.
    pub kept: Arc<std::sync::Mutex<std::collections::BTreeMap<SnapshotName, Needed>>>,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports")
            .field("topics", &self.topics)
            .finish_non_exhaustive()
    }
}

/// Settings of a host.
#[derive(Clone, Debug)]
pub struct HostSettings {
    /// The shard.
    pub shard: Partition,
    /// The owner's settings.
    pub owner: OwnerSettings,
    /// How often a shard without data looks whether its clock makes something due.
    pub tick: Duration,
    /// A snapshot at least so often, whatever little happens: a log that keeps by time must not outrun it.
    pub snapshot_age: Duration,
}
