//! What the log knows about itself: topics, segments, holds and group offsets, as small sealed values in two keyspaces.
//!
//! Every value ends with a crc32 over its key and itself, so that nothing half-true is ever believed.

use fjall::Keyspace;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tidegate_actors::port::{PortError, PortErrorKind, TopicPartition, TopicSettings};
use tidegate_proto::record::Offset;

use super::fault::port_error;

/// A topic as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TopicNote {
    pub(super) partitions: u32,
    pub(super) retention_ms: Option<i64>,
    pub(super) retention_bytes: Option<u64>,
}

impl From<TopicSettings> for TopicNote {
    fn from(settings: TopicSettings) -> Self {
        Self {
            partitions: settings.partitions,
            retention_ms: settings.retention_ms,
            retention_bytes: settings.retention_bytes,
        }
    }
}

impl From<TopicNote> for TopicSettings {
    fn from(note: TopicNote) -> Self {
        Self {
            partitions: note.partitions,
            retention_ms: note.retention_ms,
            retention_bytes: note.retention_bytes,
        }
    }
}

/// A segment as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SegmentNote {
    /// Number of the keyspace that it lives in.
    pub(super) slot: u32,
    /// When it was begun.
    pub(super) created: i64,
    /// First offset of each partition in it.
    pub(super) starts: Vec<Offset>,
    /// Timestamp of the last record before it, by partition.
    pub(super) timestamps: Vec<i64>,
    /// What it holds, once it is closed.
    pub(super) closed: Option<ClosedNote>,
}

/// What a closed segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ClosedNote {
    pub(super) bytes: u64,
    pub(super) newest: i64,
}

/// Prefix of topic keys.
pub(super) const TOPICS: &[u8] = b"topic\0";

/// Key of a topic.
pub(super) fn topic_key(topic: &str) -> Vec<u8> {
    [TOPICS, topic.as_bytes()].concat()
}

/// Prefix of a topic's segment keys.
pub(super) fn segments_prefix(topic: &str) -> Vec<u8> {
    [b"segment\0", topic.as_bytes(), b"\0"].concat()
}

/// Key of a segment.
pub(super) fn segment_key(topic: &str, number: u64) -> Vec<u8> {
    [segments_prefix(topic).as_slice(), &number.to_be_bytes()].concat()
}

/// Number of a segment by its key.
pub(super) fn segment_number(key: &[u8]) -> Option<u64> {
    key.last_chunk::<8>().map(|tail| u64::from_be_bytes(*tail))
}

/// Key of a hold.
pub(super) fn hold_key(of: &TopicPartition) -> Vec<u8> {
    let partition = of.partition.to_be_bytes();
    [b"hold\0", of.topic.as_bytes(), b"\0", &partition].concat()
}

/// Key of a group's offset.
pub(super) fn group_key(group: &str, of: &TopicPartition) -> Vec<u8> {
    let partition = of.partition.to_be_bytes();
    [
        group.as_bytes(),
        b"\0",
        of.topic.as_bytes(),
        b"\0",
        &partition,
    ]
    .concat()
}

fn checksum(key: &[u8], body: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(body);
    hasher.finalize().to_le_bytes()
}

/// A value with its checksum.
pub(super) fn seal<T: Serialize>(key: &[u8], value: &T) -> Result<Vec<u8>, PortError> {
    let mut bytes = postcard::to_stdvec(value).map_err(|error| {
        PortError::new(
            PortErrorKind::Unavailable,
            format!("note does not encode: {error}"),
        )
    })?;
    let crc = checksum(key, &bytes);
    bytes.extend_from_slice(&crc);
    Ok(bytes)
}

/// A value whose checksum is right.
pub(super) fn unseal<T: DeserializeOwned>(key: &[u8], bytes: &[u8]) -> Result<T, PortError> {
    let value = bytes
        .split_last_chunk::<4>()
        .filter(|(body, crc)| checksum(key, body) == **crc)
        .and_then(|(body, _)| postcard::from_bytes(body).ok());
    value.ok_or_else(|| {
        PortError::new(
            PortErrorKind::Corrupt,
            format!("the note `{}` of the log is damaged", key.escape_ascii()),
        )
    })
}

/// Reads one note.
pub(super) fn load<T: DeserializeOwned>(
    keyspace: &Keyspace,
    key: &[u8],
) -> Result<Option<T>, PortError> {
    let found = keyspace
        .get(key)
        .map_err(|error| port_error(&error, "reading a note of the log"))?;
    found.map(|bytes| unseal(key, &bytes)).transpose()
}

/// Reads all notes under a prefix, in the order of their keys.
pub(super) fn load_all<T: DeserializeOwned>(
    keyspace: &Keyspace,
    prefix: &[u8],
) -> Result<Vec<(Vec<u8>, T)>, PortError> {
    let mut notes = Vec::new();
    for found in keyspace.prefix(prefix) {
        let (key, bytes) = found
            .into_inner()
            .map_err(|error| port_error(&error, "reading the notes of the log"))?;
        notes.push((key.to_vec(), unseal(&key, &bytes)?));
    }
    Ok(notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_believed_under_its_own_key_only() {
        let sealed = seal(b"a", &41_i64).unwrap();
        assert_eq!(unseal::<i64>(b"a", &sealed).unwrap(), 41);
        assert_eq!(
            unseal::<i64>(b"b", &sealed).unwrap_err().kind,
            PortErrorKind::Corrupt
        );
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 4;
            assert!(unseal::<i64>(b"a", &flipped).is_err());
            assert!(unseal::<i64>(b"a", &sealed[..at]).is_err());
        }
    }

    #[test]
    fn segments_are_kept_in_their_order() {
        assert_eq!(segment_number(&segment_key("x", 9)), Some(9));
        assert!(segment_key("x", 255) < segment_key("x", 256));
        assert!(!segment_key("x.y", 0).starts_with(&segments_prefix("x")));
    }
}
