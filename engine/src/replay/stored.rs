//! A backtest of a draft: the rules of a file over what an engine has stored, through the very same shard code.
//!
//! Events, also those of topics that were read in place, and definitions of resources and sources are taken in the order in
//! which the log took them; rules that were stored are left
//! out, those of the file run from the start. The clock follows the records, as when a backlog is read.

use std::path::PathBuf;
use std::sync::Arc;

use tidegate_actors::command::{COMMAND, Command, Request, SIGNAL, Signal};
use tidegate_actors::port::PortError;
use tidegate_actors::result::CauseStyle;
use tidegate_proto::record::{KIND_HEADER, Record, Topic};
use tidegate_proto::time::Timestamp;

use super::reading::{Found, Reading};
use super::{Replay, ReplayError, ReplayOptions, ReplaySummary};
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::engine::WallClock;
use crate::log::EmbeddedLog;

/// What of a data folder is replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The data folder; no engine may run on it meanwhile.
    pub data: PathBuf,
    /// Records per epoch.
    pub batch: usize,
    /// Only what the log took at this time or later.
    pub from: Option<Timestamp>,
    /// Only what the log took before this time.
    pub to: Option<Timestamp>,
    /// At the end, clock and every watermark go here.
    pub until: Option<Timestamp>,
}

/// Replays what a data folder holds.
///
/// # Errors
/// When the documents are wrong, the folder is in use or no data folder, or the engine fails.
pub async fn replay_stored(
    documents: &str,
    wanted: Stored,
    out: &mut dyn FnMut(&str),
) -> Result<ReplaySummary, ReplayError> {
    let stored = |error: String| ReplayError::Stored(error);
    if !wanted.data.join("format.json").exists() {
        let data = wanted.data.display();
        return Err(stored(format!(
            "`{data}` is no data folder: it has no format.json"
        )));
    }
    let config = Config::for_data(&wanted.data).map_err(|error| stored(error.to_string()))?;
    let data = DataDir::open(&wanted.data, None, config.partitions);
    let data = data.map_err(|error| stored(error.to_string()))?;
    let log = EmbeddedLog::open(&data.log(), config.log.embedded, Arc::new(WallClock));
    let log = log.map_err(|error| stored(error.to_string()))?;
    let topic: Topic = config.topic("inbox").into();
    let options = ReplayOptions {
        batch: wanted.batch.max(1),
        shards: data.partitions(),
        until: wanted.until,
        ..ReplayOptions::default()
    };
    let sources = vec![Topic::clone(&topic)];
    let causes = |shard| CauseStyle::Log(sources.clone(), shard);
    let mut replay = Replay::with_causes(documents, options, None, causes)?;
    let taken = take(&mut replay, &wanted, &log, &topic, out).await;
    // Nothing was written: how the log closes changes nothing that was printed.
    let _ = log.close().await;
    taken?;
    replay.end(out)
}

async fn take(
    replay: &mut Replay,
    wanted: &Stored,
    log: &EmbeddedLog,
    topic: &Topic,
    out: &mut dyn FnMut(&str),
) -> Result<(), ReplayError> {
    let stored = |error: PortError| ReplayError::Stored(error.to_string());
    let opened = Reading::open(log, topic, replay.options.shards).await;
    let mut reading = opened.map_err(stored)?;
    while let Some(found) = reading.next().await.map_err(stored)? {
        let at = Timestamp(found.record.timestamp);
        let inside =
            wanted.from.is_none_or(|from| at >= from) && wanted.to.is_none_or(|to| at < to);
        // Definitions from before the time count all the same: they are what the resources are.
        let is_ours = found.source == 0;
        let counts = inside || (is_ours && is_definition(&found.record));
        if counts && (!is_ours || is_kept(&found.record)) {
            replay.stored(found, out)?;
        }
    }
    Ok(())
}

fn is_definition(record: &Record) -> bool {
    record.header(KIND_HEADER).is_some()
}

/// Events and definitions of resources, types and sources; not rules, and not what handlers said.
fn is_kept(record: &Record) -> bool {
    let body = record.value.as_deref().unwrap_or_default();
    match record.header(KIND_HEADER).map(AsRef::<[u8]>::as_ref) {
        None => true,
        Some(kind) if kind == COMMAND.as_bytes() => {
            let request = serde_json::from_slice::<Request>(body).map(|request| request.command);
            matches!(
                request,
                Ok(Command::PutResource { .. } | Command::DeleteResource { .. })
            )
        }
        Some(kind) if kind == SIGNAL.as_bytes() => {
            matches!(
                serde_json::from_slice(body),
                Ok(Signal::ResourceType { .. } | Signal::Source { .. })
            )
        }
        Some(_) => false,
    }
}

impl Replay {
    /// Takes one stored record; the clock follows when an epoch is full.
    fn stored(&mut self, found: Found, out: &mut dyn FnMut(&str)) -> Result<(), ReplayError> {
        self.line += 1;
        self.summary.lines += 1;
        let clock = Timestamp(found.record.timestamp);
        self.push_at(found);
        self.waiting += 1;
        if self.waiting >= self.lines_per_epoch() {
            return self.tick(clock, out);
        }
        self.clock = self.clock.max(Some(clock));
        Ok(())
    }
}
