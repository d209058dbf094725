//! Following a topic: a stream of entries with resume tokens, for server-sent events, NDJSON and gRPC alike.
//!
//! A token says how far each partition has been read: `0:12,3:7@1767225600000`. Partitions that are not in it are read from
//! the time behind the `@`. So a reader that comes back misses nothing and gets nothing twice.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use futures::{Stream, StreamExt as _};
use tidegate_proto::time::Timestamp;

use super::backend::{TailEntry, TailFrom, TailTopic};
use super::problem::Problem;
use super::state::Api;
use crate::error::EngineError;

/// A record may carry a time a little before it could be read; who comes back to a partition that was silent until then
/// rather gets such a record twice than never, in ms.
const STAMP_SLACK: i64 = 5_000;

/// How far a reader has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Last offset read by partition.
    read: BTreeMap<u32, i64>,
    /// Where partitions that are not in `read` begin: when the log took the record, in ms.
    since: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (partition, offset)) in self.read.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{partition}:{offset}")?;
        }
        write!(f, "@{}", self.since)
    }
}

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is not a resume token of ours");
        let (list, since) = text.rsplit_once('@').ok_or_else(bad)?;
        let mut position = Self {
            since: since.parse().map_err(|_| bad())?,
            ..Self::default()
        };
        for part in list.split(',').filter(|part| !part.is_empty()) {
            let (partition, offset) = part.split_once(':').ok_or_else(bad)?;
            let partition = partition.parse().map_err(|_| bad())?;
            position
                .read
                .insert(partition, offset.parse().map_err(|_| bad())?);
        }
        Ok(position)
    }
}

impl Position {
    /// Takes an entry; `false` when it was read before. With `since`, entries of partitions that nothing was read of
    /// count only from that time on.
    fn take(&mut self, entry: &TailEntry, since: Option<i64>) -> bool {
        let is_new = match self.read.get(&entry.partition) {
            Some(read) => *read < entry.offset,
            None => since.is_none_or(|since| entry.record.timestamp >= since),
        };
        if is_new {
            self.read.insert(entry.partition, entry.offset);
        }
        is_new
    }

    /// Next offset by partition.
    fn offsets(&self, partitions: u32) -> Vec<i64> {
        let next = |partition: u32| {
            self.read
                .get(&partition)
                .map_or(0, |read| read.saturating_add(1))
        };
        (0..partitions).map(next).collect()
    }
}

/// Where following begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At a place that the log knows.
    At(TailFrom),
    /// After what was read.
    After(Position),
}

impl FromStr for Start {
    type Err = String;

    /// `earliest`, `latest`, a time or a resume token.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "earliest" => Ok(Self::At(TailFrom::Earliest)),
            "latest" => Ok(Self::At(TailFrom::Latest)),
            token if token.contains('@') => token.parse().map(Self::After),
            time => match time.parse::<Timestamp>() {
                Ok(time) => Ok(Self::At(TailFrom::Time(time))),
                Err(_) => Err(format!(
                    "`{time}` is not a start: write `earliest`, `latest` or a time such as `2026-01-01T00:00:00Z`"
                )),
            },
        }
    }
}

/// An entry with the token that goes on after it.
#[derive(Clone, Debug)]
pub struct Followed {
    /// The entry.
    pub entry: TailEntry,
    /// Where to go on after it.
    pub token: String,
}

/// Follows a topic until the end (`stop_at_end`), an error, or until the process stops.
///
/// # Errors
/// When there are too many streams already.
pub fn follow(
    api: &Api,
    topic: TailTopic,
    start: Start,
    stop_at_end: bool,
) -> Result<impl Stream<Item = Result<Followed, EngineError>> + Send + use<>, Problem> {
    let place = api.stream_place()?;
    let (from, mut position, since) = match start {
        Start::After(position) => {
            let since = position.since;
            (
                TailFrom::Offsets(position.offsets(api.backend().partitions())),
                position,
                Some(since),
            )
        }
        Start::At(from) => {
            let since = match &from {
                TailFrom::Earliest | TailFrom::Offsets(_) => 0,
                TailFrom::Time(time) => time.0,
                TailFrom::Latest => now_millis() - STAMP_SLACK,
            };
            (
                from,
                Position {
                    since,
                    ..Position::default()
                },
                None,
            )
        }
    };
    let entries = api.backend().tail(topic, from, stop_at_end);
    let stopping = api.clone();
    Ok(entries
        .filter_map(move |entry| {
            // The place among the streams lives as long as this closure, so as long as the stream.
            let _ = &place;
            let followed = match entry {
                Err(error) => Some(Err(error)),
                Ok(entry) => position.take(&entry, since).then(|| {
                    Ok(Followed {
                        entry,
                        token: position.to_string(),
                    })
                }),
            };
            futures::future::ready(followed)
        })
        .take_until(async move { stopping.stopped().await }))
}

fn now_millis() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.ok()
        .and_then(|now| i64::try_from(now.as_millis()).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use tidegate_proto::record::Record;

    use super::*;

    #[test]
    fn tokens_print_and_parse() {
        let position = Position {
            read: [(0, 12), (3, 7)].into(),
            since: 1_767_225_600_000,
        };
        assert_eq!(position.to_string(), "0:12,3:7@1767225600000");
        assert_eq!(position.to_string().parse(), Ok(position));
        assert_eq!("@5".parse::<Position>().unwrap().to_string(), "@5");
        for bad in ["", "0:1", "0@1", "a:1@1", "0:b@1", "0:1@c"] {
            assert!(bad.parse::<Position>().is_err(), "{bad}");
        }
    }

    #[test]
    fn starts_parse() {
        assert_eq!("earliest".parse(), Ok(Start::At(TailFrom::Earliest)));
        assert_eq!(
            "1970-01-01T00:00:01Z".parse(),
            Ok(Start::At(TailFrom::Time(Timestamp(1000))))
        );
        assert!(matches!("0:1@7".parse(), Ok(Start::After(_))));
        assert!(
            "yesterday"
                .parse::<Start>()
                .unwrap_err()
                .contains("`earliest`")
        );
    }

    #[test]
    fn what_was_read_is_not_read_again() {
        let entry = |partition, offset| TailEntry {
            partition,
            offset,
            record: Record::default(),
        };
        let mut position: Position = "0:5@0".parse().unwrap();
        assert_eq!(position.offsets(2), [6, 0]);
        assert!(!position.take(&entry(0, 5), None));
        assert!(position.take(&entry(0, 6), Some(9)));
        assert!(!position.take(&entry(1, 0), Some(9)));
        assert!(position.take(&entry(1, 0), None));
        assert_eq!(position.to_string(), "0:6,1:0@0");
    }
}
