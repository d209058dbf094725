//! [`Metric`]: every number that `/metrics` shows, in one list, and the Prometheus text of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_actors::observe::ShardView;

use crate::log::kafka::ClientNumbers;
use crate::workers::WorkerShard;

/// A number that `/metrics` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Version, as a label; always 1.
    BuildInfo,
    /// Seconds since the doors opened.
    Uptime,
    /// Resident memory of the process.
    Memory,
    /// Whether all shards have recovered.
    Ready,
    /// Requests over HTTP, by class of status.
    Requests,
    /// Requests over gRPC.
    Calls,
    /// Events accepted at the doors.
    Accepted,
    /// Streams that are open.
    Streams,
    /// Last epoch, by shard.
    ShardEpoch,
    /// Clock, by shard.
    ShardClock,
    /// Resources known, by shard.
    ShardResources,
    /// Resources in memory, by shard.
    ShardActive,
    /// Bytes of twins, by shard.
    ShardTwinBytes,
    /// Bytes of rule state, by shard.
    ShardRuleBytes,
    /// Tasks, by shard.
    ShardTasks,
    /// Rules that run, by shard.
    ShardRules,
    /// Events taken, by shard.
    ShardEvents,
    /// Records that could not be used, by shard.
    ShardDead,
    /// Rows too far in the future, by shard.
    ShardFuture,
    /// Rows too late for a rule, by shard.
    ShardLate,
    /// Result lines, by shard.
    ShardResults,
    /// Actions for handlers, by shard.
    ShardActions,
    /// Repeats that were dropped, by shard.
    ShardRepeats,
    /// Turns that failed, by shard.
    ShardFailedTurns,
    /// Records not taken yet, by shard.
    ShardLag,
    /// How long its last takeover took, by shard.
    ShardTakeover,
    /// Records that its last takeover replayed, by shard.
    ShardReplayed,
    /// Records that wait for brokers, by client.
    ClientQueued,
    /// Bytes that wait for brokers, by client.
    ClientQueuedBytes,
    /// Records sent to brokers, by client.
    ClientSent,
    /// Bytes sent to brokers, by client.
    ClientSentBytes,
    /// Bytes received from brokers, by client.
    ClientReceivedBytes,
    /// Repeated requests, by client.
    ClientRetries,
    /// Requests without an answer, by client.
    ClientTimeouts,
    /// Round trips, by client.
    ClientRoundTrip,
}

/// What of a shard a metric shows.
type OfShard = (Metric, fn(&ShardView) -> u64);

/// Metrics of shards, in the order of the text.
const OF_SHARDS: [OfShard; 15] = [
    (Metric::ShardEpoch, |shard| shard.epoch),
    (Metric::ShardResources, |shard| shard.resources),
    (Metric::ShardActive, |shard| shard.active),
    (Metric::ShardTwinBytes, |shard| shard.twin_bytes),
    (Metric::ShardRuleBytes, |shard| shard.rule_bytes),
    (Metric::ShardTasks, |shard| shard.tasks),
    (Metric::ShardRules, |shard| shard.rules),
    (Metric::ShardEvents, |shard| shard.counters.events),
    (Metric::ShardDead, |shard| shard.counters.dead),
    (Metric::ShardFuture, |shard| shard.counters.future),
    (Metric::ShardLate, |shard| shard.counters.late),
    (Metric::ShardResults, |shard| shard.counters.results),
    (Metric::ShardActions, |shard| shard.counters.actions),
    (Metric::ShardRepeats, |shard| shard.counters.repeats),
    (Metric::ShardFailedTurns, |shard| {
        shard.counters.failed_turns
    }),
];

/// What of a client of brokers a metric shows.
type OfClient = (Metric, fn(&ClientNumbers) -> u64);

/// Metrics of clients, in the order of the text.
const OF_CLIENTS: [OfClient; 7] = [
    (Metric::ClientQueued, |client| client.queued_records),
    (Metric::ClientQueuedBytes, |client| client.queued_bytes),
    (Metric::ClientSent, |client| client.sent_records),
    (Metric::ClientSentBytes, |client| client.sent_bytes),
    (Metric::ClientReceivedBytes, |client| client.received_bytes),
    (Metric::ClientRetries, |client| client.retries),
    (Metric::ClientTimeouts, |client| client.timeouts),
];

impl Metric {
    /// Name; counters end in `_total`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BuildInfo => "tidegate_build_info",
            Self::Uptime => "tidegate_uptime_seconds",
            Self::Memory => "process_resident_memory_bytes",
            Self::Ready => "tidegate_ready",
            Self::Requests => "tidegate_http_requests_total",
            Self::Calls => "tidegate_grpc_requests_total",
            Self::Accepted => "tidegate_events_accepted_total",
            Self::Streams => "tidegate_streams_open",
            Self::ShardEpoch => "tidegate_shard_epoch",
            Self::ShardClock => "tidegate_shard_clock_seconds",
            Self::ShardResources => "tidegate_shard_resources",
            Self::ShardActive => "tidegate_shard_resources_active",
            Self::ShardTwinBytes => "tidegate_shard_twin_bytes",
            Self::ShardRuleBytes => "tidegate_shard_rule_bytes",
            Self::ShardTasks => "tidegate_shard_tasks",
            Self::ShardRules => "tidegate_shard_rules",
            Self::ShardEvents => "tidegate_shard_events_total",
            Self::ShardDead => "tidegate_shard_dead_letters_total",
            Self::ShardFuture => "tidegate_shard_future_events_total",
            Self::ShardLate => "tidegate_shard_late_events_total",
            Self::ShardResults => "tidegate_shard_results_total",
            Self::ShardActions => "tidegate_shard_actions_total",
            Self::ShardRepeats => "tidegate_shard_repeats_total",
            Self::ShardFailedTurns => "tidegate_shard_failed_turns_total",
            Self::ShardLag => "tidegate_shard_lag_records",
            Self::ShardTakeover => "tidegate_shard_takeover_seconds",
            Self::ShardReplayed => "tidegate_shard_takeover_replayed_records",
            Self::ClientQueued => "tidegate_kafka_client_queued_records",
            Self::ClientQueuedBytes => "tidegate_kafka_client_queued_bytes",
            Self::ClientSent => "tidegate_kafka_client_sent_records_total",
            Self::ClientSentBytes => "tidegate_kafka_client_sent_bytes_total",
            Self::ClientReceivedBytes => "tidegate_kafka_client_received_bytes_total",
            Self::ClientRetries => "tidegate_kafka_client_retries_total",
            Self::ClientTimeouts => "tidegate_kafka_client_timeouts_total",
            Self::ClientRoundTrip => "tidegate_kafka_client_round_trip_seconds",
        }
    }

    const fn help(self) -> &'static str {
        match self {
            Self::BuildInfo => "Version of the program.",
            Self::Uptime => "Seconds since the doors opened.",
            Self::Memory => "Resident memory of the process.",
            Self::Ready => "1 when all shards have recovered.",
            Self::Requests => "Requests over HTTP by class of status.",
            Self::Calls => "Requests over gRPC.",
            Self::Accepted => "Events accepted at the doors.",
            Self::Streams => "Streams of results and tails that are open.",
            Self::ShardEpoch => "Last acknowledged epoch.",
            Self::ShardClock => "Clock of the shard, seconds since 1970-01-01 UTC.",
            Self::ShardResources => "Resources known.",
            Self::ShardActive => "Resources active in memory.",
            Self::ShardTwinBytes => "Bytes of twins, estimated.",
            Self::ShardRuleBytes => "Bytes of rule state, estimated.",
            Self::ShardTasks => "Tasks that have said something.",
            Self::ShardRules => "Rules that run.",
            Self::ShardEvents => "Events taken.",
            Self::ShardDead => "Records that could not be used.",
            Self::ShardFuture => "Rows too far in the future.",
            Self::ShardLate => "Rows too late for a rule.",
            Self::ShardResults => "Result lines.",
            Self::ShardActions => "Actions for handlers.",
            Self::ShardRepeats => "Repeats of requests and signals that were dropped.",
            Self::ShardFailedTurns => "Turns that failed and were rolled back.",
            Self::ShardLag => {
                "Records of its topics that a shard has not taken yet, of the last second; marks of transactions at an end count."
            }
            Self::ShardTakeover => {
                "How long the last takeover of a shard took, until it took events again."
            }
            Self::ShardReplayed => "Records that the last takeover of a shard replayed.",
            Self::ClientQueued => "Records that wait for the brokers.",
            Self::ClientQueuedBytes => "Bytes that wait for the brokers.",
            Self::ClientSent => "Records sent to the brokers.",
            Self::ClientSentBytes => "Bytes sent to the brokers.",
            Self::ClientReceivedBytes => "Bytes received from the brokers.",
            Self::ClientRetries => "Requests that were repeated.",
            Self::ClientTimeouts => "Requests that no answer came to.",
            Self::ClientRoundTrip => "99th percentile of the round trips to the slowest broker.",
        }
    }

    fn head(self, out: &mut String) {
        let (name, help) = (self.name(), self.help());
        let kind = if name.ends_with("_total") {
            "counter"
        } else {
            "gauge"
        };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn single(self, number: impl std::fmt::Display, out: &mut String) {
        self.head(out);
        let _ = writeln!(out, "{} {number}", self.name());
    }
}

/// What the doors count.
#[derive(Debug, Default)]
pub struct Counters {
    /// HTTP requests by class of status, 1xx to 5xx.
    classes: [AtomicU64; 5],
    calls: AtomicU64,
    accepted: AtomicU64,
}

impl Counters {
    /// A request over HTTP was answered.
    pub fn answered(&self, status: u16) {
        if let Some(class) = self
            .classes
            .get(usize::from(status / 100).saturating_sub(1))
        {
            class.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A request over gRPC came.
    pub fn called(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Events were accepted.
    pub fn accepted(&self, events: u64) {
        self.accepted.fetch_add(events, Ordering::Relaxed);
    }
}

/// What the process says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    /// Seconds since the doors opened.
    pub uptime: f64,
    /// Whether all shards have recovered.
    pub ready: bool,
    /// Streams that are open.
    pub streams: usize,
}

/// Numbers of the log as Prometheus text: how far shards are behind, and what clients of brokers say; to be put behind
/// [`text`].
#[must_use]
pub fn log_text(shards: &BTreeMap<u32, &WorkerShard>, clients: &[ClientNumbers]) -> String {
    let mut out = String::with_capacity(2048);
    let mut all = |metric: Metric, number: &dyn Fn(&WorkerShard) -> Option<String>| {
        metric.head(&mut out);
        for (shard, of) in shards {
            if let Some(number) = number(of) {
                let _ = writeln!(out, "{}{{shard=\"{shard}\"}} {number}", metric.name());
            }
        }
    };
    all(Metric::ShardLag, &|shard| Some(shard.lag.to_string()));
    all(Metric::ShardTakeover, &|shard| {
        let millis = shard.takeover?.millis;
        Some(format!("{}.{:03}", millis / 1000, millis % 1000))
    });
    all(Metric::ShardReplayed, &|shard| {
        Some(shard.takeover?.records.to_string())
    });
    if clients.is_empty() {
        return out;
    }
    for (metric, number) in OF_CLIENTS {
        metric.head(&mut out);
        for client in clients {
            let (name, number) = (metric.name(), number(client));
            let _ = writeln!(out, "{name}{{client=\"{}\"}} {number}", client.client);
        }
    }
    Metric::ClientRoundTrip.head(&mut out);
    let name = Metric::ClientRoundTrip.name();
    for client in clients {
        let _ = writeln!(
            out,
            "{name}{{client=\"{}\"}} {:.6}",
            client.client, client.round_trip
        );
    }
    out
}

/// All numbers as Prometheus text, format 0.0.4.
#[must_use]
pub fn text(counters: &Counters, process: Process, shards: &[ShardView]) -> String {
    let mut out = String::with_capacity(4096);
    Metric::BuildInfo.head(&mut out);
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(
        out,
        "{}{{version=\"{version}\"}} 1",
        Metric::BuildInfo.name()
    );
    Metric::Uptime.single(process.uptime, &mut out);
    if let Some(bytes) = resident_memory() {
        Metric::Memory.single(bytes, &mut out);
    }
    Metric::Ready.single(u8::from(process.ready), &mut out);
    Metric::Requests.head(&mut out);
    for (class, number) in (1..).zip(&counters.classes) {
        let number = number.load(Ordering::Relaxed);
        let _ = writeln!(
            out,
            "{}{{status=\"{class}xx\"}} {number}",
            Metric::Requests.name()
        );
    }
    Metric::Calls.single(counters.calls.load(Ordering::Relaxed), &mut out);
    Metric::Accepted.single(counters.accepted.load(Ordering::Relaxed), &mut out);
    Metric::Streams.single(process.streams, &mut out);
    Metric::ShardClock.head(&mut out);
    for shard in shards {
        let (name, millis) = (Metric::ShardClock.name(), shard.clock.0);
        if millis > 0 {
            let _ = writeln!(
                out,
                "{name}{{shard=\"{}\"}} {}.{:03}",
                shard.shard,
                millis / 1000,
                millis % 1000
            );
        }
    }
    for (metric, number) in OF_SHARDS {
        metric.head(&mut out);
        for shard in shards {
            let _ = writeln!(
                out,
                "{}{{shard=\"{}\"}} {}",
                metric.name(),
                shard.shard,
                number(shard)
            );
        }
    }
    out
}

/// Resident memory as the kernel says it; `None` where it says nothing.
fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workers::Takeover;

    #[test]
    fn the_log_says_how_far_behind_it_is_and_how_its_clients_are() {
        let client = ClientNumbers {
            client: "producer".into(),
            sent_records: 7,
            round_trip: 0.0125,
            ..ClientNumbers::default()
        };
        let shard = WorkerShard {
            lag: 41,
            takeover: Some(Takeover {
                millis: 1_050,
                records: 9,
                ..Takeover::default()
            }),
            ..WorkerShard::default()
        };
        let text = log_text(&BTreeMap::from([(3, &shard)]), &[client]);
        for line in [
            "tidegate_shard_takeover_seconds{shard=\"3\"} 1.050",
            "tidegate_shard_takeover_replayed_records{shard=\"3\"} 9",
            "# TYPE tidegate_shard_lag_records gauge",
            "tidegate_shard_lag_records{shard=\"3\"} 41",
            "# TYPE tidegate_kafka_client_sent_records_total counter",
            "tidegate_kafka_client_sent_records_total{client=\"producer\"} 7",
            "tidegate_kafka_client_round_trip_seconds{client=\"producer\"} 0.012500",
        ] {
            assert!(text.lines().any(|have| have == line), "{line}\n{text}");
        }
        assert!(!log_text(&BTreeMap::new(), &[]).contains("kafka"));
    }

    #[test]
    fn the_text_has_every_metric_once_with_help_and_type() {
        let counters = Counters::default();
        counters.answered(204);
        counters.answered(404);
        counters.accepted(7);
        let mut shard = ShardView {
            shard: 2,
            epoch: 9,
            ..ShardView::default()
        };
        shard.clock.0 = 1_500;
        shard.counters.events = 41;
        let process = Process {
            uptime: 1.5,
            ready: true,
            streams: 3,
        };
        let text = text(&counters, process, &[shard]);
        for line in [
            "tidegate_http_requests_total{status=\"2xx\"} 1",
            "tidegate_http_requests_total{status=\"4xx\"} 1",
            "tidegate_events_accepted_total 7",
            "tidegate_shard_epoch{shard=\"2\"} 9",
            "tidegate_shard_clock_seconds{shard=\"2\"} 1.500",
            "tidegate_shard_events_total{shard=\"2\"} 41",
            "# TYPE tidegate_shard_events_total counter",
            "# TYPE tidegate_streams_open gauge",
        ] {
            assert!(text.lines().any(|have| have == line), "{line}\n{text}");
        }
        let mut types: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("# TYPE"))
            .collect();
        let count = types.len();
        types.dedup();
        assert_eq!((types.len(), count), (24, 24));
    }
}
