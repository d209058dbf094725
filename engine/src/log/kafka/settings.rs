//! [`KafkaSettings`], and what they make of librdkafka's own: one configuration for each kind of client that we have.

use std::collections::BTreeMap;
use std::str::FromStr;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use tidegate_proto::record::Partition;
use tidegate_proto::time::Span;

use super::producer::Haste;

/// What our guarantees stand on, so nobody else may set it.
const OURS: [&str; 19] = [
    "acks",
    "request.required.acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "bootstrap.servers",
    "metadata.broker.list",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "isolation.level",
    "message.timeout.ms",
    "partition.assignment.strategy",
    "transaction.timeout.ms",
    "transactional.id",
];

/// How often clients say how they are, ms.
const STATISTICS: &str = "5000";

/// How outputs of shards get out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// Perhaps twice, with equal ids and bytes: whoever reads drops what it has seen.
    #[default]
    Identified,
    /// In transactions: whoever reads only what is committed sees each once.
    Transactional,
}

impl FromStr for Delivery {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "identified" => Ok(Self::Identified),
            "transactional" => Ok(Self::Transactional),
            other => Err(format!(
                "`{other}` is no delivery: write `identified` or `transactional`"
            )),
        }
    }
}

/// How the log stands on Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaSettings {
    /// Brokers to begin with: `host:port`, parted by commas.
    pub brokers: String,
    /// Consumer group of the workers; what they commit besides goes to `GROUP.progress`.
    pub group: String,
    /// Name of this worker that stays over restarts (static membership); `None`: a new one every time.
    pub instance: Option<String>,
    /// Silence after which the broker gives a worker's shards to others.
    pub session_timeout: Span,
    /// Longest time that a shard may take to finish when it moves to another worker.
    pub revoke_timeout: Span,
    /// Copies of every topic that we create; 0: what the broker does by default.
    pub replication: u32,
    /// Records and bytes that may wait for the brokers.
    pub queue_records: u32,
    /// Bytes that may wait for the brokers.
    pub queue_bytes: u32,
    /// Largest record.
    pub record_bytes: u32,
    /// How outputs of shards get out.
    pub delivery: Delivery,
    /// Longest time that a transaction may stay open; readers of what is committed wait for it when a worker dies in it.
    pub transaction_timeout: Span,
    /// Properties of librdkafka, as they are.
    pub properties: BTreeMap<String, String>,
}

impl KafkaSettings {
    /// Why a property cannot be passed through; `None`: it can.
    #[must_use]
    pub fn refused(property: &str) -> Option<&'static str> {
        if OURS.contains(&property) {
            return Some("what is promised stands on this property, so it is not a setting");
        }
        let tls = ["ssl.", "enable.ssl", "sasl.oauthbearer"];
        if !cfg!(feature = "kafka-tls") && tls.iter().any(|head| property.starts_with(head)) {
            return Some(
                "this program was built without TLS: build it with `--features kafka-tls`",
            );
        }
        None
    }

    /// Why a value of a property cannot be used by this build; `None`: it can.
    #[must_use]
    pub fn refused_value(property: &str, value: &str) -> Option<&'static str> {
        let value = value.to_ascii_lowercase();
        let secure = (property == "security.protocol" && value.contains("ssl"))
            || (property.starts_with("sasl.mechanism") && value != "plain");
        (secure && !cfg!(feature = "kafka-tls")).then_some(
            "this program was built without TLS and SCRAM: build it with `--features kafka-tls`",
        )
    }

    fn client(&self, role: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", format!("tidegate-{role}"))
            .set("allow.auto.create.topics", "false")
            // A broker that comes back is used within a second.
            .set("reconnect.backoff.max.ms", "1000")
            .set("socket.keepalive.enable", "true")
            .set_log_level(RDKafkaLogLevel::Info);
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }

    /// For the one producer of journals and identified outputs: idempotent, without a gap, patient for ever. What it gives
    /// up it gives up for good, and every shard that waited for it takes over anew.
    pub(super) fn producer(&self, haste: Haste) -> ClientConfig {
        let mut config = self.client(haste.word());
        config
            .set("enable.idempotence", "true")
            .set("enable.gapless.guarantee", "true")
            .set("acks", "all")
            .set("message.timeout.ms", "0")
            .set("message.max.bytes", message_bytes(self.record_bytes))
            .set(
                "queue.buffering.max.messages",
                self.queue_records.max(1).to_string(),
            )
            .set(
                "queue.buffering.max.kbytes",
                (self.queue_bytes / 1024).max(1).to_string(),
            );
        self.unless_set(&mut config, "linger.ms", haste.linger());
        self.unless_set(&mut config, "retry.backoff.ms", "50");
        self.unless_set(&mut config, "statistics.interval.ms", STATISTICS);
        config
    }

    /// For what one shard publishes in transactions; whoever has the id has the right.
    pub(super) fn transactional(&self, shard: Partition) -> ClientConfig {
        let mut config = self.client("publisher");
        config
            .set("transactional.id", format!("{}.shard-{shard}", self.group))
            .set(
                "transaction.timeout.ms",
                self.transaction_timeout.0.to_string(),
            )
            .set("message.max.bytes", message_bytes(self.record_bytes))
            .set(
                "queue.buffering.max.messages",
                self.queue_records.max(1).to_string(),
            )
            .set(
                "queue.buffering.max.kbytes",
                (self.queue_bytes / 1024).max(1).to_string(),
            );
        // A transaction's end waits for all of it anyway.
        self.unless_set(&mut config, "linger.ms", "1");
        self.unless_set(&mut config, "retry.backoff.ms", "50");
        self.unless_set(&mut config, "statistics.interval.ms", STATISTICS);
        config
    }

    /// For reading what the group has committed; it never joins.
    pub(super) fn offsets(&self) -> ClientConfig {
        let mut config = self.client("offsets");
        config
            .set("group.id", &self.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // An open transaction is waited for.
            .set("isolation.level", "read_committed");
        config
    }

    /// For a consumer that reads partitions from offsets that we name; it never joins a group.
    pub(super) fn reader(&self) -> ClientConfig {
        let mut config = self.client("reader");
        config
            .set("group.id", format!("{}.readers", self.group))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed");
        // By default a consumer that is faster than the broker waits a second for more.
        self.unless_set(&mut config, "fetch.queue.backoff.ms", "5");
        self.unless_set(&mut config, "fetch.error.backoff.ms", "50");
        // A partition that is added waits until the answer comes that was asked for without it.
        self.unless_set(&mut config, "fetch.wait.max.ms", "100");
        // Of each partition: what waits for a shard that is slower than the broker.
        self.unless_set(&mut config, "queued.min.messages", "8192");
        self.unless_set(&mut config, "queued.max.messages.kbytes", "4096");
        self.unless_set(&mut config, "fetch.max.bytes", "16777216");
        config
    }

    /// For the member of the group: it reads nothing, it only knows which shards are ours. Members of equally many shards
    /// get new ones in the order of their names, which standbys count on (`standby.rs`).
    pub(super) fn member(&self, worker: &str) -> ClientConfig {
        let mut config = self.client("member");
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let worker: String = worker
            .chars()
            .map(|c| if plain(c) { c } else { '_' })
            .collect();
        config
            .set("client.id", format!("tidegate-{worker}"))
            .set("group.id", &self.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", self.session_timeout.0.to_string());
        self.unless_set(&mut config, "statistics.interval.ms", STATISTICS);
        self.unless_set(
            &mut config,
            "heartbeat.interval.ms",
            &(self.session_timeout.0 / 4).clamp(100, 3_000).to_string(),
        );
        if let Some(instance) = &self.instance {
            config.set("group.instance.id", instance);
        }
        config
    }

    /// For looking: metadata, bounds, offsets of our own bookkeeping.
    pub(super) fn lookup(&self) -> ClientConfig {
        let mut config = self.client("lookup");
        config
            .set("group.id", format!("{}.progress", self.group))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false");
        config
    }

    /// For creating topics.
    pub(super) fn admin(&self) -> ClientConfig {
        self.client("admin")
    }

    fn unless_set(&self, config: &mut ClientConfig, name: &str, value: &str) {
        if !self.properties.contains_key(name) {
            config.set(name, value);
        }
    }
}

/// A record with its key, headers and framing.
fn message_bytes(record: u32) -> String {
    record
        .saturating_add(64 << 10)
        .min(1_000_000_000)
        .to_string()
}
