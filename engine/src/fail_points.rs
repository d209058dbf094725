//! Fail points: places where a test stops the whole process in its tracks (SIGSTOP), as a machine that hangs just there.
//!
//! For tests only. A release build has none; any other build has them when `TIDEGATE_FAIL_POINTS` names a folder as the process
//! starts, and looks at that once. A file in that folder with the name of a place ([`FailPoint::name`]) stops the first process
//! that comes by there; it takes the file away before, so that one process stops, once. SIGCONT lets it go on.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use tidegate_actors::port::{
    Bounds, EventLog, PortFuture, Publication, ReadLimit, Slice, TopicPartition, TopicSettings,
};
use tidegate_proto::record::{Offset, Record, Topic};

/// Variable that names the folder.
pub const VARIABLE: &str = "TIDEGATE_FAIL_POINTS";

/// A place where a process can be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailPoint {
    /// An epoch was computed; its journal record is about to be appended.
    Journal,
    /// The journal has the epoch, and what lies before it was looked at; its outputs are about to leave.
    Journalled,
    /// The outputs have left; the owner does not know yet.
    Published,
    /// A transaction has the outputs and the offsets of an epoch, and was not ended.
    Offsets,
}

impl FailPoint {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Journal,
        Self::Journalled,
        Self::Published,
        Self::Offsets,
    ];

    /// Name of the file that arms it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Journalled => "journalled",
            Self::Published => "published",
            Self::Offsets => "offsets",
        }
    }
}

/// Whether this build has fail points.
#[must_use]
pub const fn are_built_in() -> bool {
    cfg!(debug_assertions)
}

/// The folder, if fail points are on.
fn folder() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    if !are_built_in() {
        return None;
    }
    let folder = FOLDER.get_or_init(|| std::env::var_os(VARIABLE).map(PathBuf::from));
    folder.as_deref()
}

/// Stops the process here, if a test wants that.
pub fn reach(point: FailPoint) {
    if let Some(folder) = folder()
        && std::fs::remove_file(folder.join(point.name())).is_ok()
    {
        halt(point);
    }
}

/// Only `kill` is at hand for a signal without `unsafe`; who waits for it to end does not get past the stop.
fn halt(point: FailPoint) {
    tracing::warn!(place = point.name(), "stopped by a fail point");
    let process = std::process::id().to_string();
    let sent = Command::new("kill").args(["-STOP", &process]).status();
    if !sent.is_ok_and(|status| status.success()) {
        tracing::error!("the process could not be stopped at a fail point");
    }
}

/// The log of shards with the fail points around its journal and its publications; the log itself when they are off.
pub(crate) fn around(log: Arc<dyn EventLog>, journal: &Topic) -> Arc<dyn EventLog> {
    if folder().is_none() {
        return log;
    }
    Arc::new(HaltingLog {
        log,
        journal: Topic::clone(journal),
    })
}

/// A log in front of which processes can be stopped.
struct HaltingLog {
    log: Arc<dyn EventLog>,
    journal: Topic,
}

impl EventLog for HaltingLog {
    fn create_topic(&self, topic: &Topic, settings: TopicSettings) -> PortFuture<'_, u32> {
        self.log.create_topic(topic, settings)
    }

    fn partitions(&self, topic: &Topic) -> PortFuture<'_, Option<u32>> {
        self.log.partitions(topic)
    }

    fn append(&self, to: &TopicPartition, records: Vec<Record>) -> PortFuture<'_, Offset> {
        if to.topic == self.journal {
            reach(FailPoint::Journal);
        }
        self.log.append(to, records)
    }

    fn fence(&self, journal: &TopicPartition) -> PortFuture<'_, ()> {
        self.log.fence(journal)
    }

    fn publish(&self, publication: Publication) -> PortFuture<'_, ()> {
        // Only what others can see can be seen twice.
        let is_seen = !publication.records.is_empty();
        if is_seen {
            reach(FailPoint::Journalled);
        }
        let publishing = self.log.publish(publication);
        Box::pin(async move {
            let published = publishing.await;
            if is_seen && published.is_ok() {
                reach(FailPoint::Published);
            }
            published
        })
    }

    fn read(
        &self,
        from: &TopicPartition,
        offset: Offset,
        limit: ReadLimit,
    ) -> PortFuture<'_, Slice> {
        self.log.read(from, offset, limit)
    }

    fn bounds(&self, of: &TopicPartition) -> PortFuture<'_, Bounds> {
        self.log.bounds(of)
    }

    fn grown(&self, of: &TopicPartition, offset: Offset) -> PortFuture<'_, ()> {
        self.log.grown(of, offset)
    }

    fn committed(&self, group: &str, of: &TopicPartition) -> PortFuture<'_, Option<Offset>> {
        self.log.committed(group, of)
    }

    fn commit(&self, group: &str, offsets: Vec<(TopicPartition, Offset)>) -> PortFuture<'_, ()> {
        self.log.commit(group, offsets)
    }

    fn hold(&self, of: &TopicPartition, offset: Offset) -> PortFuture<'_, ()> {
        self.log.hold(of, offset)
    }
}
