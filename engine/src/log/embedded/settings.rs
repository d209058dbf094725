//! Settings of the embedded log: what they mean and what they are when nobody says anything.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tidegate_proto::time::Span;

/// When an acknowledged append is on the disk for sure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum FsyncPolicy {
    /// Before it is acknowledged: survives a power failure. Appends that wait at the same time share one fsync.
    #[default]
    Always,
    /// At most this long after: survives a killed process at once, a power failure after the interval.
    Interval(Span),
    /// When the operating system likes: survives a killed process, not a power failure.
    Never,
}

impl fmt::Display for FsyncPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::Never => f.write_str("never"),
            Self::Interval(span) => write!(f, "{}ms", span.0),
        }
    }
}

impl FromStr for FsyncPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            other => other.parse().map(Self::Interval).map_err(|_| {
                format!("`{other}` is not an fsync policy: write `always`, `never` or an interval such as `100ms`")
            }),
        }
    }
}

impl TryFrom<String> for FsyncPolicy {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<FsyncPolicy> for String {
    fn from(policy: FsyncPolicy) -> Self {
        policy.to_string()
    }
}

/// Settings of the embedded log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddedLogSettings {
    /// When appends are forced to the disk: `always` (default), `never`, or an interval such as `100ms`.
    pub fsync: FsyncPolicy,
    /// A segment that holds this many bytes is closed and a new one begun; a topic with a size limit uses at most an
    /// eighth of the limit. Default 128 MiB.
    pub segment_bytes: u64,
    /// A segment that is this old is closed; a topic with a time limit uses at most a quarter of the limit. Default 1 day.
    pub segment_age: Span,
    /// Records that may wait for the writer before appends have to wait. Default 65536.
    pub queue_records: u32,
    /// Bytes that may wait for the writer before appends have to wait. Default 16 MiB.
    pub queue_bytes: u32,
    /// Largest record that is accepted. Default 8 MiB.
    pub record_bytes: u32,
    /// Cache for blocks and values read from the disk. Default 32 MiB.
    pub cache_bytes: u64,
}

impl Default for EmbeddedLogSettings {
    fn default() -> Self {
        Self {
            fsync: FsyncPolicy::Always,
            segment_bytes: 128 << 20,
            segment_age: Span::seconds(86_400),
            queue_records: 65_536,
            queue_bytes: 16 << 20,
            record_bytes: 8 << 20,
            cache_bytes: 32 << 20,
        }
    }
}

/// Segments of a topic with a size limit: this many share it, so that dropping one frees a small part of it.
const SEGMENTS_PER_LIMIT: u64 = 8;
/// No segment is closed below this size: each is a folder with files of its own.
const SMALLEST_SEGMENT: u64 = 64 << 10;
/// No segment is closed before this age.
const SHORTEST_AGE: i64 = 1_000;

impl EmbeddedLogSettings {
    /// Bytes at which a segment of a topic is closed.
    pub(super) fn segment_bytes_of(&self, retention_bytes: Option<u64>) -> u64 {
        let share = retention_bytes.map_or(u64::MAX, |limit| limit / SEGMENTS_PER_LIMIT);
        self.segment_bytes.min(share).max(SMALLEST_SEGMENT)
    }

    /// Age in ms at which a segment of a topic is closed.
    pub(super) fn segment_age_of(&self, retention_ms: Option<i64>) -> i64 {
        let share = retention_ms.map_or(i64::MAX, |limit| limit / 4);
        self.segment_age.0.min(share).max(SHORTEST_AGE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_read_from_text() {
        let settings: EmbeddedLogSettings =
            toml::from_str("fsync = \"250ms\"\nsegment_bytes = 1000000").unwrap();
        assert_eq!(settings.fsync, FsyncPolicy::Interval(Span(250)));
        assert_eq!(settings.segment_bytes, 1_000_000);
        assert_eq!(settings.queue_records, 65_536);
        let refused = toml::from_str::<EmbeddedLogSettings>("fsync = \"sometimes\"").unwrap_err();
        assert!(
            refused.to_string().contains("write `always`, `never`"),
            "{refused}"
        );
    }

    #[test]
    fn a_limit_is_shared_by_eight_segments() {
        let settings = EmbeddedLogSettings::default();
        assert_eq!(settings.segment_bytes_of(None), 128 << 20);
        assert_eq!(settings.segment_bytes_of(Some(200 << 20)), 25 << 20);
        assert_eq!(settings.segment_bytes_of(Some(10)), 64 << 10);
        assert_eq!(settings.segment_age_of(Some(3_600_000)), 900_000);
        assert_eq!(settings.segment_age_of(Some(40)), 1_000);
    }
}
