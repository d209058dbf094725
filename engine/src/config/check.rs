//! From merged settings to a checked [`Config`]: types, ranges, and what settings must be together.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use tidegate_actors::port::ReadLimit;
use tidegate_proto::time::Span;

use super::handlers;
use super::kafka;
use super::layer::{Origin, Scalar, Setting};
use super::merged::Merged;
use super::size::parse_size;
use super::snapshots::snapshots;
use super::{
    Config, LimitsConfig, LogConfig, LogFormat, Problem, Retention, Retentions, ServerConfig,
    ShardConfig, TelemetryConfig, TimeConfig,
};
use crate::log::{EmbeddedLogSettings, FsyncPolicy};
use crate::source::{RegistrySettings, SourceSettings};

/// Shortest and longest duration of most settings, in ms: a millisecond to ten years.
const ANY_SPAN: RangeInclusive<i64> = 1..=316_224_000_000;
const MIB: u64 = 1 << 20;

/// Checks everything; `None` when something is missing altogether, which the embedded defaults rule out.
pub(super) fn check(merged: &Merged, problems: &mut Vec<Problem>) -> Option<Config> {
    let dispatcher = handlers::dispatcher(merged, problems);
    let handlers = handlers::handlers(merged, problems);
    let mut reader = Reader { merged, problems };
    let listen = listen(&mut reader);
    let log = log(&mut reader);
    let kafka = kafka::kafka(&mut reader, log.embedded);
    let config = Config {
        data: PathBuf::from(reader.text("data", 1..=4096)),
        listen,
        partitions: u32::try_from(reader.number("partitions", 1..=1024)).unwrap_or(1),
        topic_prefix: topic_prefix(&mut reader),
        server: server(&mut reader),
        snapshots: snapshots(&mut reader, kafka.log.is_some()),
        kafka,
        log,
        shard: shard(&mut reader),
        time: time(&mut reader),
        limits: limits(&mut reader),
        sources: sources(&mut reader),
        registry: registry(&mut reader),
        telemetry: telemetry(&mut reader),
        dispatcher,
        handlers,
    };
    together(&config, &mut reader);
    Some(config)
}

fn listen(reader: &mut Reader<'_>) -> SocketAddr {
    let fallback = SocketAddr::from(([127, 0, 0, 1], 7878));
    let text = reader.text("listen", 1..=256);
    let text = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text,
    };
    let Ok(address) = text.parse::<SocketAddr>() else {
        reader.problem("listen", format!("`{text}` is not an address: write HOST:PORT such as `127.0.0.1:7878` or `[::1]:7878`"));
        return fallback;
    };
    if !address.ip().is_loopback() {
        reader.problem("listen", format!("`{address}` can be reached from other machines, and this version has no users and keys to keep them out: listen on `127.0.0.1:{}` and let a proxy that authenticates stand before it", address.port()));
    }
    address
}

fn topic_prefix(reader: &mut Reader<'_>) -> String {
    let prefix = reader.text("topics.prefix", 0..=64);
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !prefix.chars().all(good) {
        reader.problem(
            "topics.prefix",
            format!(
                "`{prefix}` cannot begin a topic's name: letters, digits, `.`, `_` and `-` can"
            ),
        );
    }
    prefix
}

fn server(reader: &mut Reader<'_>) -> ServerConfig {
    let buffer = reader.size("server.http1_buffer_bytes", 16 << 10..=16 * MIB);
    ServerConfig {
        http1_buffer_bytes: usize::try_from(buffer).unwrap_or(64 << 10),
        connections: reader.count("server.connections", 1..=1_000_000),
        request_timeout: reader.span("server.request_timeout", 100..=3_600_000),
        drain_timeout: reader.span("server.drain_timeout", 1..=3_600_000),
        heartbeat: reader.span("server.heartbeat", 100..=3_600_000),
        header_timeout: reader.span("server.header_timeout", 10..=600_000),
        http2_streams: u32::try_from(reader.number("server.http2_streams", 1..=100_000))
            .unwrap_or(128),
        http2_header_bytes: u32::try_from(reader.size("server.http2_header_bytes", 1024..=MIB))
            .unwrap_or(16_384),
        http2_resets: reader.count("server.http2_resets", 1..=10_000),
        http2_ping: reader.span("server.http2_ping", 1_000..=3_600_000),
        hosts: reader
            .text("server.hosts", 0..=4096)
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
    }
}

fn log(reader: &mut Reader<'_>) -> LogConfig {
    let bytes = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let embedded = EmbeddedLogSettings {
        fsync: reader
            .parsed::<FsyncPolicy>("log.fsync")
            .unwrap_or_default(),
        segment_bytes: reader.size("log.segment_bytes", MIB..=(1 << 40)),
        segment_age: reader.span("log.segment_age", 1_000..=316_224_000_000),
        queue_records: bytes(reader.number("log.queue_records", 1..=100_000_000)),
        queue_bytes: bytes(reader.size("log.queue_bytes", MIB..=(2 << 30))),
        record_bytes: bytes(reader.size("log.record_bytes", 1024..=(64 << 20))),
        cache_bytes: reader.size("log.cache_bytes", MIB..=(1 << 40)),
    };
    let retention = Retentions {
        inbox: retention(reader, "inbox"),
        journal: retention(reader, "journal"),
        results: retention(reader, "results"),
        actions: retention(reader, "actions"),
        changes: retention(reader, "changes"),
        late: retention(reader, "late"),
        dlq: retention(reader, "dlq"),
    };
    LogConfig {
        embedded,
        retention,
    }
}

fn retention(reader: &mut Reader<'_>, topic: &str) -> Retention {
    let age = format!("log.retention.{topic}.age");
    let bytes = format!("log.retention.{topic}.bytes");
    Retention {
        age: (!reader.is_none(&age)).then(|| reader.span(&age, 1_000..=316_224_000_000)),
        bytes: (!reader.is_none(&bytes)).then(|| reader.size(&bytes, MIB..=u64::MAX)),
    }
}

fn shard(reader: &mut Reader<'_>) -> ShardConfig {
    let bytes = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    ShardConfig {
        epoch_records: reader.count("shard.epoch_records", 1..=1_000_000),
        epoch_bytes: bytes(reader.size("shard.epoch_bytes", 64 << 10..=(1 << 30))),
        queue_rows: reader.count("shard.queue_rows", 1..=100_000_000),
        queue_bytes: bytes(reader.size("shard.queue_bytes", 64 << 10..=(64 << 30))),
        tick: reader.span("shard.tick", 1..=60_000),
        snapshot_epochs: reader.number("shard.snapshot_epochs", 1..=1_000_000_000),
        snapshot_records: reader.number("shard.snapshot_records", 1..=1_000_000_000_000),
        snapshot_age: reader.span("shard.snapshot_age", 1_000..=86_400_000),
        snapshots: reader.count("shard.snapshots", 1..=1000),
        unpublished: reader.count("shard.unpublished", 1..=1024),
    }
}

fn time(reader: &mut Reader<'_>) -> TimeConfig {
    TimeConfig {
        disorder: reader.span("time.disorder", ANY_SPAN),
        idle: reader.span("time.idle", ANY_SPAN),
        future: reader.span("time.future", ANY_SPAN),
    }
}

fn limits(reader: &mut Reader<'_>) -> LimitsConfig {
    let bytes = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    LimitsConfig {
        body_bytes: bytes(reader.size("limits.body_bytes", 1024..=(64 << 20))),
        header_bytes: bytes(reader.size("limits.header_bytes", 1024..=(1 << 20))),
        message_bytes: bytes(reader.size("limits.message_bytes", 64 << 10..=(64 << 20))),
        events: reader.count("limits.events", 1..=1_000_000),
        event_bytes: bytes(reader.size("limits.event_bytes", 128..=(8 << 20))),
        page: reader.count("limits.page", 1..=100_000),
        streams: reader.count("limits.streams", 1..=100_000),
        waiting_rows: reader.count("limits.waiting_rows", 1..=100_000_000),
        groups: reader.count("limits.groups", 1..=100_000_000),
        sources: reader.count("limits.sources", 0..=10_000),
        attempts: reader.count("limits.attempts", 1..=1_000_000),
        attempt_rows: reader.count("limits.attempt_rows", 1..=1_000_000),
        attempt_ways: reader.count("limits.attempt_ways", 1..=1_000_000),
        graph_passes: reader.count("limits.graph_passes", 1..=100_000),
        graph_elements: reader.count("limits.graph_elements", 1..=100_000),
        graph_ticks: reader.count("limits.graph_ticks", 1..=1_000_000_000),
        set_depth: reader.count("limits.set_depth", 0..=10_000),
        join_rows: reader.count("limits.join_rows", 1..=100_000_000),
        why_attempts: reader.count("limits.why_attempts", 1..=10_000),
        why_bytes: bytes(reader.size("limits.why_bytes", 1024..=(64 << 20))),
    }
}

fn sources(reader: &mut Reader<'_>) -> SourceSettings {
    let bytes = reader.size("sources.read_bytes", 64 << 10..=(1 << 30));
    SourceSettings {
        patience: reader.span("sources.patience", 0..=3_600_000),
        read: ReadLimit {
            records: reader.count("sources.read_records", 1..=100_000),
            bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
        },
    }
}

fn registry(reader: &mut Reader<'_>) -> RegistrySettings {
    let url = reader.text("registry.url", 0..=2048);
    let is_url = |url: &str| {
        reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
    };
    if !url.is_empty() && !is_url(&url) {
        let problem = format!("`{url}` is not a URL: write `https://HOST:PORT`");
        reader.problem("registry.url", problem);
    }
    let timeout = reader.span("registry.timeout", 10..=600_000);
    RegistrySettings {
        url,
        user: reader.text("registry.user", 0..=256),
        secret: reader.text("registry.secret", 0..=4096),
        timeout: timeout.duration(),
        schemas: reader.count("registry.schemas", 1..=1_000_000),
    }
}

fn telemetry(reader: &mut Reader<'_>) -> TelemetryConfig {
    let format = reader.text("telemetry.format", 1..=16);
    let format = match format.as_str() {
        "auto" => LogFormat::Auto,
        "pretty" => LogFormat::Pretty,
        "json" => LogFormat::Json,
        other => {
            let problem = format!("`{other}` is not a format: write `auto`, `pretty` or `json`");
            reader.problem("telemetry.format", problem);
            LogFormat::Auto
        }
    };
    let filter = reader.text("telemetry.filter", 1..=4096);
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&filter) {
        reader.problem(
            "telemetry.filter",
            format!("`{filter}` is not a log filter: {error}"),
        );
    }
    TelemetryConfig { filter, format }
}

/// What settings must be together.
fn together(config: &Config, reader: &mut Reader<'_>) {
    if config.time.disorder > config.time.idle {
        reader.problem(
            "time.idle",
            format!(
                "must be at least `time.disorder` ({})",
                config.time.disorder
            ),
        );
    }
    if config.limits.event_bytes > config.limits.body_bytes {
        reader.problem(
            "limits.event_bytes",
            "must not be larger than `limits.body_bytes`".to_owned(),
        );
    }
    let record = usize::try_from(config.log.embedded.record_bytes).unwrap_or(usize::MAX);
    if config.limits.body_bytes >= record {
        reader.problem(
            "log.record_bytes",
            "must be larger than `limits.body_bytes`: a rule's document is one record".to_owned(),
        );
    }
    if config.kafka.standbys > 0 && config.snapshots == crate::store::SnapshotPlace::Data {
        let text = "a standby begins with a snapshot of the shard's owner: set `snapshots.url` to a place that all workers reach";
        reader.problem("kafka.standbys", text.to_owned());
    }
    if config.log.embedded.record_bytes > config.log.embedded.queue_bytes {
        reader.problem(
            "log.queue_bytes",
            "must be at least `log.record_bytes`".to_owned(),
        );
    }
}

/// Reads typed values and collects what is wrong.
pub(super) struct Reader<'a> {
    pub(super) merged: &'a Merged,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn setting(&self, path: &str) -> Option<&Setting> {
        // The names of properties have dots of their own.
        let keys: Vec<String> = match path.strip_prefix("kafka.properties.") {
            Some(name) => kafka::PROPERTIES
                .into_iter()
                .chain([name])
                .map(str::to_owned)
                .collect(),
            None => path.split('.').map(str::to_owned).collect(),
        };
        self.merged.get(&keys)
    }

    pub(super) fn problem(&mut self, path: &str, problem: String) {
        let origin = self
            .setting(path)
            .map_or(Origin::Default, |setting| setting.origin.clone());
        self.problems
            .push(Problem::new(path.to_owned(), origin, problem));
    }

    fn value(&mut self, path: &str) -> Option<Scalar> {
        let value = self.setting(path).map(|setting| setting.value.clone());
        if value.is_none() {
            self.problem(path, "this setting is missing".to_owned());
        }
        value
    }

    /// Whether a limit is switched off.
    fn is_none(&self, path: &str) -> bool {
        self.setting(path)
            .is_some_and(|setting| setting.value == Scalar::Text("none".to_owned()))
    }

    pub(super) fn text(&mut self, path: &str, length: RangeInclusive<usize>) -> String {
        match self.value(path) {
            Some(Scalar::Text(text)) if length.contains(&text.len()) => text,
            Some(Scalar::Text(text)) if text.is_empty() => {
                self.problem(path, "must not be empty".to_owned());
                text
            }
            Some(Scalar::Text(text)) => {
                self.problem(
                    path,
                    format!("must be {} to {} bytes long", length.start(), length.end()),
                );
                text
            }
            Some(other) => {
                self.problem(path, format!("`{other}` is not a text: put it in quotes"));
                String::new()
            }
            None => String::new(),
        }
    }

    pub(super) fn flag(&mut self, path: &str) -> bool {
        match self.value(path) {
            Some(Scalar::Flag(flag)) => flag,
            Some(Scalar::Text(text)) if text == "true" || text == "false" => text == "true",
            Some(other) => {
                self.problem(path, format!("`{other}` is neither `true` nor `false`"));
                false
            }
            None => false,
        }
    }

    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self, path: &str) -> Option<T> {
        let text = self.text(path, 1..=256);
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(path, error.to_string());
                None
            }
        }
    }

    pub(super) fn span(&mut self, path: &str, range: RangeInclusive<i64>) -> Span {
        let fallback = Span(*range.start());
        let text = match self.value(path) {
            Some(Scalar::Text(text)) => text,
            Some(other) => {
                self.problem(path, format!("`{other}` is not a duration: write `\"{other}s\"` or `\"{other}ms\"`, with quotes"));
                return fallback;
            }
            None => return fallback,
        };
        match text.parse::<Span>() {
            Ok(span) if range.contains(&span.0) => span,
            Ok(span) => {
                let (least, most) = (Span(*range.start()), Span(*range.end()));
                self.problem(path, format!("`{span}` is out of range: {least} to {most}"));
                fallback
            }
            Err(error) => {
                self.problem(path, error.to_string());
                fallback
            }
        }
    }

    pub(super) fn number(&mut self, path: &str, range: RangeInclusive<u64>) -> u64 {
        let fallback = *range.start();
        let number = match self.value(path) {
            Some(Scalar::Integer(number)) => u64::try_from(number).ok(),
            Some(Scalar::Text(text)) => text.trim().parse().ok(),
            Some(_) => None,
            None => return fallback,
        };
        match number {
            Some(number) if range.contains(&number) => number,
            _ => {
                self.problem(
                    path,
                    format!(
                        "must be a whole number, {} to {}",
                        range.start(),
                        range.end()
                    ),
                );
                fallback
            }
        }
    }

    pub(super) fn count(&mut self, path: &str, range: RangeInclusive<u64>) -> usize {
        usize::try_from(self.number(path, range)).unwrap_or(usize::MAX)
    }

    fn size(&mut self, path: &str, range: RangeInclusive<u64>) -> u64 {
        let fallback = *range.start();
        let size = match self.value(path) {
            Some(Scalar::Integer(number)) => {
                u64::try_from(number).map_err(|_| "a size is not negative".to_owned())
            }
            Some(Scalar::Text(text)) => parse_size(&text),
            Some(other) => Err(format!("`{other}` is not a size")),
            None => return fallback,
        };
        match size {
            Ok(size) if range.contains(&size) => size,
            Ok(size) => {
                self.problem(
                    path,
                    format!(
                        "{size} bytes are out of range: {} to {}",
                        range.start(),
                        range.end()
                    ),
                );
                fallback
            }
            Err(problem) => {
                self.problem(path, problem);
                fallback
            }
        }
    }
}
