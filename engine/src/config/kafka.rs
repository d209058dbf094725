//! `[kafka]`: which brokers, which group, and what librdkafka is told besides.

use std::collections::BTreeMap;

use tidegate_proto::time::Span;

use super::check::Reader;
use super::layer::Scalar;
use crate::log::kafka::Delivery;
use crate::log::{EmbeddedLogSettings, KafkaSettings};

/// `[kafka]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KafkaConfig {
    /// The log on Kafka; `None`: the embedded one.
    pub log: Option<KafkaSettings>,
    /// Longest wait for brokers that are away while the worker starts.
    pub start_timeout: Span,
    /// Workers that follow each shard besides its owner.
    pub standbys: usize,
    /// Most shards that this worker follows.
    pub standby_shards: usize,
}

/// Section of what is passed through.
pub(super) const PROPERTIES: [&str; 2] = ["kafka", "properties"];

pub(super) fn kafka(reader: &mut Reader<'_>, embedded: EmbeddedLogSettings) -> KafkaConfig {
    let some = |text: String| (!text.is_empty()).then_some(text);
    let brokers = reader.text("kafka.brokers", 0..=4096);
    for broker in brokers.split(',').filter(|_| !brokers.is_empty()) {
        let port = broker
            .trim()
            .rsplit_once(':')
            .map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(1..))) {
            let problem =
                format!("`{broker}` is not a broker: write HOST:PORT, several parted by commas");
            reader.problem("kafka.brokers", problem);
        }
    }
    let settings = KafkaSettings {
        brokers: brokers.clone(),
        group: reader.text("kafka.group", 1..=200),
        instance: some(reader.text("kafka.instance", 0..=200)),
        session_timeout: reader.span("kafka.session_timeout", 1_000..=1_800_000),
        revoke_timeout: reader.span("kafka.revoke_timeout", 100..=300_000),
        replication: u32::try_from(reader.number("kafka.replication", 0..=32)).unwrap_or(0),
        queue_records: embedded.queue_records,
        queue_bytes: embedded.queue_bytes,
        record_bytes: embedded.record_bytes,
        delivery: reader
            .parsed::<Delivery>("kafka.delivery")
            .unwrap_or_default(),
        transaction_timeout: reader.span("kafka.transaction_timeout", 1_000..=900_000),
        properties: properties(reader),
    };
    KafkaConfig {
        log: (!brokers.is_empty()).then_some(settings),
        start_timeout: reader.span("kafka.start_timeout", 1..=86_400_000),
        standbys: reader.count("kafka.standbys", 0..=16),
        standby_shards: reader.count("kafka.standby_shards", 1..=1024),
    }
}

fn properties(reader: &mut Reader<'_>) -> BTreeMap<String, String> {
    let below = reader.merged.below(&PROPERTIES);
    let all: BTreeMap<String, String> = below
        .map(|(rest, setting)| {
            let value = match &setting.value {
                Scalar::Text(text) => text.clone(),
                other => other.to_string(),
            };
            (rest.join("."), value)
        })
        .collect();
    for (name, value) in &all {
        let refused =
            KafkaSettings::refused(name).or_else(|| KafkaSettings::refused_value(name, value));
        if let Some(why) = refused {
            reader.problem(&format!("kafka.properties.{name}"), why.to_owned());
        }
    }
    all
}
