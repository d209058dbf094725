//! [`Config`]: the settings of the engine, checked once at the start, so that nobody behind it has to doubt them.
//!
//! Layers, later wins: the embedded `default.toml` (complete: it is the reference) < a TOML file < environment variables
//! `TIDEGATE_SECTION__KEY` < flags. A key that the defaults do not have is refused, and all problems are told at once,
//! each with the place where it was written.

mod check;
mod handlers;
mod kafka;
mod layer;
mod merged;
mod size;
mod snapshots;

#[cfg(test)]
mod tests;

pub use kafka::KafkaConfig;
pub use layer::{Origin, Scalar};
pub use merged::Merged;
pub use size::parse_size;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tidegate_proto::time::Span;

use crate::handler::{DispatcherSettings, HandlersSettings};
use crate::log::EmbeddedLogSettings;
use crate::source::{RegistrySettings, SourceSettings};
use crate::store::SnapshotPlace;

/// The defaults and the reference of all settings.
pub const DEFAULT_TOML: &str = include_str!("../default.toml");

/// One thing that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting: `shard.tick`; empty when the file as a whole is meant.
    pub setting: String,
    /// Where it was written.
    pub origin: Origin,
    /// What is wrong and how to mend it.
    pub problem: String,
}

impl Problem {
    fn new(setting: String, origin: Origin, problem: String) -> Self {
        Self {
            setting,
            origin,
            problem,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.setting.is_empty() {
            write!(f, "{}: ", self.setting)?;
        }
        f.write_str(&self.problem)
    }
}

/// Settings that cannot be used: all problems at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError {
    /// The problems, in the order of the layers.
    pub problems: Vec<Problem>,
}

/// Where settings are read from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// Environment variables, all of them; those of others are passed over.
    pub environment: Vec<(String, String)>,
    /// Flags: setting with dots, value, name of the flag.
    pub flags: Vec<(&'static str, String, &'static str)>,
}

impl Sources {
    /// The environment of this process, no file, no flags. Variables that are no Unicode cannot be ours.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            name.into_string().ok().zip(value.into_string().ok())
        };
        Self {
            environment: std::env::vars_os().filter_map(text).collect(),
            ..Self::default()
        }
    }
}

/// How long records of a topic are kept; `None`: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// By age of the record.
    pub age: Option<Span>,
    /// By bytes of the topic.
    pub bytes: Option<u64>,
}

/// `[log.retention]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retentions {
    /// Events, commands, signals.
    pub inbox: Retention,
    /// Journals.
    pub journal: Retention,
    /// Result lines.
    pub results: Retention,
    /// Deliveries.
    pub actions: Retention,
    /// Changes and answers.
    pub changes: Retention,
    /// Late rows.
    pub late: Retention,
    /// Dead letters.
    pub dlq: Retention,
}

/// `[log]`.
#[derive(Clone, Copy, Debug)]
pub struct LogConfig {
    /// Settings of the embedded log.
    pub embedded: EmbeddedLogSettings,
    /// How long records are kept.
    pub retention: Retentions,
}

/// `[server]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Connections at once.
    pub connections: usize,
    /// Longest time of a request that is no stream.
    pub request_timeout: Span,
    /// Longest time that open requests get when the process is told to stop.
    pub drain_timeout: Span,
    /// Silence after which a stream sends a heartbeat.
    pub heartbeat: Span,
    /// Longest time until a connection says something, and until the headers of a request are whole.
    pub header_timeout: Span,
    /// Bytes of an HTTP/1 connection that may wait to be understood.
    pub http1_buffer_bytes: usize,
    /// Requests at once on one HTTP/2 connection.
    pub http2_streams: u32,
    /// Bytes of the headers of one HTTP/2 request.
    pub http2_header_bytes: u32,
    /// Requests that an HTTP/2 connection may take back before they were looked at.
    pub http2_resets: usize,
    /// Silence after which an HTTP/2 connection is asked for a sign of life, and the wait for it.
    pub http2_ping: Span,
    /// Names of the server besides those of this machine.
    pub hosts: Vec<String>,
}

/// `[shard]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardConfig {
    /// Most records of one epoch.
    pub epoch_records: usize,
    /// Most bytes of one epoch.
    pub epoch_bytes: usize,
    /// Records that may wait in front of a shard.
    pub queue_rows: usize,
    /// Bytes that may wait in front of a shard.
    pub queue_bytes: usize,
    /// How often the clock moves when nothing arrives.
    pub tick: Span,
    /// A snapshot every so many epochs.
    pub snapshot_epochs: u64,
    /// A snapshot every so many records.
    pub snapshot_records: u64,
    /// A snapshot at least so often.
    pub snapshot_age: Span,
    /// Snapshots kept per shard.
    pub snapshots: usize,
    /// Acknowledged epochs that may wait for publication.
    pub unpublished: usize,
}

/// `[time]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeConfig {
    /// How far rows of one resource may be out of order.
    pub disorder: Span,
    /// After how much silence a resource's time runs on without it.
    pub idle: Span,
    /// Event times further than this past the clock are not used.
    pub future: Span,
}

/// `[limits]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Largest body of a request.
    pub body_bytes: usize,
    /// Largest sum of header names and values.
    pub header_bytes: usize,
    /// Largest message over gRPC.
    pub message_bytes: usize,
    /// Events in one request.
    pub events: usize,
    /// Largest event.
    pub event_bytes: usize,
    /// Entries in one page of a list.
    pub page: usize,
    /// Streams at once.
    pub streams: usize,
    /// Rows of a task that wait for their time.
    pub waiting_rows: usize,
    /// Group keys of a rule in a shard.
    pub groups: usize,
    /// Sources, and topics that were ever read in place.
    pub sources: usize,
    /// Attempts of a pattern per task.
    pub attempts: usize,
    /// Rows that one attempt of a pattern may hold.
    pub attempt_rows: usize,
    /// Ways of one attempt of a pattern that looks for all of them.
    pub attempt_ways: usize,
    /// Passes of a graph at one time.
    pub graph_passes: usize,
    /// Elements of the list that a node of a graph runs for.
    pub graph_elements: usize,
    /// Ticks of a graph's task since its last row.
    pub graph_ticks: usize,
    /// Events that rules set one because of the other.
    pub set_depth: usize,
    /// Rows of a join that wait, per key and side.
    pub join_rows: usize,
    /// Attempts of a pattern, and rows of each side of a join, that `why` tells.
    pub why_attempts: usize,
    /// Bytes of an answer of `why`.
    pub why_bytes: usize,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Pretty on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people.
    Pretty,
    /// For machines.
    Json,
}

/// `[telemetry]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetryConfig {
    /// What is logged, as `RUST_LOG` takes it.
    pub filter: String,
    /// How.
    pub format: LogFormat,
}

/// All settings, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder that holds everything.
    pub data: PathBuf,
    /// Address of the one port; loopback.
    pub listen: SocketAddr,
    /// Partitions of every topic of ours.
    pub partitions: u32,
    /// What the names of our topics begin with.
    pub topic_prefix: String,
    /// `[server]`.
    pub server: ServerConfig,
    /// `[log]`.
    pub log: LogConfig,
    /// `[kafka]`.
    pub kafka: KafkaConfig,
    /// `[snapshots]`.
    pub snapshots: SnapshotPlace,
    /// `[shard]`.
    pub shard: ShardConfig,
    /// `[time]`.
    pub time: TimeConfig,
    /// `[limits]`.
    pub limits: LimitsConfig,
    /// `[sources]`.
    pub sources: SourceSettings,
    /// `[registry]`.
    pub registry: RegistrySettings,
    /// `[telemetry]`.
    pub telemetry: TelemetryConfig,
    /// `[dispatcher]`.
    pub dispatcher: DispatcherSettings,
    /// `[handlers.NAME]`.
    pub handlers: HandlersSettings,
}

impl Config {
    /// Reads and checks all layers; answers with what was written where as well.
    ///
    /// # Errors
    /// All problems of all layers at once.
    pub fn load(sources: &Sources) -> Result<(Self, Merged), ConfigError> {
        let mut problems = Vec::new();
        let merged = merge(sources, &mut problems);
        let config = check::check(&merged, &mut problems);
        match config {
            Some(config) if problems.is_empty() => Ok((config, merged)),
            _ => Err(ConfigError { problems }),
        }
    }

    /// The defaults with another data folder: what tests and tools start from.
    ///
    /// # Errors
    /// When the embedded defaults are wrong, which a test rules out.
    pub fn for_data(data: &Path) -> Result<Self, ConfigError> {
        let sources = Sources {
            flags: vec![("data", data.display().to_string(), "--data")],
            ..Sources::default()
        };
        Self::load(&sources).map(|(config, _)| config)
    }

    /// Full name of one of our topics: `tidegate.inbox`.
    #[must_use]
    pub fn topic(&self, kind: &str) -> String {
        format!("{}{kind}", self.topic_prefix)
    }
}

fn merge(sources: &Sources, problems: &mut Vec<Problem>) -> Merged {
    let defaults = layer::of_toml(DEFAULT_TOML, None, problems);
    let file = match &sources.file {
        None => layer::Layer::new(),
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => layer::of_toml(&text, Some(path), problems),
            Err(error) => {
                let origin = Origin::Flag("--config");
                let problem = format!("cannot read `{}`: {error}", path.display());
                problems.push(Problem::new(String::new(), origin, problem));
                layer::Layer::new()
            }
        },
    };
    let known = Merged::of(file.clone(), Vec::new(), &mut Vec::new()).handlers();
    let environment = layer::of_environment(&sources.environment, &known, problems);
    let flags = layer::of_flags(&sources.flags);
    Merged::of(defaults, vec![file, environment, flags], problems)
}
