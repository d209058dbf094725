//! [`Record`]: one entry of a log, and the numbers that say where it stands.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Name of a topic, cheap to clone.
pub type Topic = Arc<str>;
/// Partition of a topic; the same number is the number of its shard.
pub type Partition = u32;
/// Place of a record in its partition, from 0.
pub type Offset = i64;
/// Header names and values in the order written; a name may repeat.
pub type Headers = Vec<(HeaderName, Bytes)>;

/// Header that says what a record of the inbox is; absent on a plain event.
pub const KIND_HEADER: &str = "tg-kind";
/// Value of [`KIND_HEADER`] of an event that a rule has set.
pub const SET: &str = "set";
/// Header of what a `set` has caused: how many of them in a row.
pub const DEPTH_HEADER: &str = "tg-depth";
/// Header that carries the id of the cause (shard-epoch-sequence) of an output.
pub const ID_HEADER: &str = "ce_id";

/// Name of a header. Results have seven each: those that the program writes cost nothing to make or to copy.
#[derive(Clone)]
pub enum HeaderName {
    /// Written in the program.
    Known(&'static str),
    /// Read from a log.
    Read(Arc<str>),
}

impl Deref for HeaderName {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Known(name) => name,
            Self::Read(name) => name,
        }
    }
}

impl fmt::Debug for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl PartialEq for HeaderName {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for HeaderName {}

impl From<&'static str> for HeaderName {
    fn from(name: &'static str) -> Self {
        Self::Known(name)
    }
}

impl From<String> for HeaderName {
    fn from(name: String) -> Self {
        Self::Read(name.into())
    }
}

impl From<Arc<str>> for HeaderName {
    fn from(name: Arc<str>) -> Self {
        Self::Read(name)
    }
}

/// One entry of a log, without its position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Key; decides the partition.
    pub key: Option<Bytes>,
    /// Body; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers in the order written.
    pub headers: Headers,
    /// Ingest time in epoch milliseconds: when the log took it. 0: the log stamps it at the append; `i64::MIN`: there is no
    /// log that could say (a replay from a file).
    pub timestamp: i64,
}

impl Record {
    /// A record with a key and a body, no headers, not yet stamped.
    pub fn new(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self {
            key: Some(key.into()),
            value: Some(value.into()),
            headers: Vec::new(),
            timestamp: 0,
        }
    }

    /// The same record with one more header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<HeaderName>, value: impl Into<Bytes>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The last header of that name: later ones win, as in Kafka clients.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&Bytes> {
        self.headers
            .iter()
            .rev()
            .find(|(header, _)| &**header == name)
            .map(|(_, v)| v)
    }

    /// Bytes that this record holds, for queue bounds.
    #[must_use]
    pub fn size(&self) -> usize {
        let part = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers: usize = self
            .headers
            .iter()
            .map(|(n, v)| n.len() + v.len() + 24)
            .sum();
        48 + part(&self.key) + part(&self.value) + headers
    }
}

/// Records of one source that an epoch takes: offsets from `from` up to, not including, `to`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetRange {
    /// First offset taken.
    pub from: Offset,
    /// First offset not taken.
    pub to: Offset,
}

impl fmt::Display for OffsetRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.from, self.to)
    }
}

/// Partition of a key, as Java's default partitioner counts it: murmur2, sign bit cleared, modulo.
#[must_use]
pub fn partition_of(key: &[u8], partitions: u32) -> Partition {
    (murmur2(key) & 0x7fff_ffff) % partitions.max(1)
}

/// Murmur2 with Kafka's seed (Austin Appleby, public domain; constants as in Kafka's `Utils.murmur2`).
#[must_use]
pub fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    #[allow(
        clippy::cast_possible_truncation,
        reason = "keys are far below 4 GiB; Java counts in 32 bits too"
    )]
    let mut hash = SEED ^ (data.len() as u32);
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let mut word = chunk
            .iter()
            .rev()
            .fold(0_u32, |word, byte| (word << 8) | u32::from(*byte));
        word = word.wrapping_mul(M);
        word ^= word >> 24;
        hash = hash.wrapping_mul(M) ^ word.wrapping_mul(M);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        hash ^= rest
            .iter()
            .rev()
            .fold(0_u32, |word, byte| (word << 8) | u32::from(*byte));
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn murmur2_agrees_with_java() {
        for (key, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }
}
