//! What the embedded log says about itself: for health, metrics and people.

use tidegate_actors::port::Bounds;
use tidegate_proto::record::Topic;

use super::topic::{Held, TopicState};

/// What a topic of the embedded log holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicStatus {
    /// Topic name.
    pub topic: Topic,
    /// First and next offset of each partition.
    pub bounds: Vec<Bounds>,
    /// Bytes of stored batches.
    pub bytes: u64,
    /// Number of segments.
    pub segments: usize,
    /// A limit that cannot be kept because records are still needed.
    pub held: Option<Held>,
}

/// How the embedded log does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedLogStatus {
    /// Topics by name.
    pub topics: Vec<TopicStatus>,
    /// Why the log is closed; `None` while it works.
    pub closed: Option<String>,
    /// Records that wait for the writer.
    pub queued_records: u32,
    /// Bytes that wait for the writer.
    pub queued_bytes: u32,
}

/// How a topic does.
pub(super) fn status_of(topic: &TopicState) -> TopicStatus {
    let partitions = 0..u32::try_from(topic.partitions.len()).unwrap_or(0);
    TopicStatus {
        topic: topic.name.clone(),
        bounds: partitions.filter_map(|p| topic.bounds(p)).collect(),
        bytes: topic.bytes(),
        segments: topic.segments().len(),
        held: topic.held(),
    }
}
