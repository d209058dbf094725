//! Our topics: which there are, how each must be kept, and what is wrong with those that are there.

use tidegate_actors::port::{EventLog, TopicSettings};
use tidegate_proto::record::Topic;

use crate::config::{Config, Retention};
use crate::error::EngineError;
use crate::log::KafkaLog;
use crate::log::kafka::TopicUse;

/// Ages of a snapshot that records must outlive: three are kept, and the next may take a while.
const SNAPSHOT_AGES: i64 = 4;

/// A topic of ours.
#[derive(Clone, Debug)]
pub struct OurTopic {
    /// Its full name.
    pub name: Topic,
    /// What it is for.
    pub used: TopicUse,
    /// How it is created.
    pub settings: TopicSettings,
}

/// All topics that have a partition for each shard.
#[must_use]
pub fn ours(config: &Config) -> Vec<OurTopic> {
    let keep = &config.log.retention;
    let all: [(&str, TopicUse, Retention); 7] = [
        ("inbox", TopicUse::Replayed, keep.inbox),
        ("journal", TopicUse::Replayed, keep.journal),
        ("results", TopicUse::Output, keep.results),
        ("actions", TopicUse::Output, keep.actions),
        ("changes", TopicUse::Output, keep.changes),
        ("late", TopicUse::Output, keep.late),
        ("dlq", TopicUse::Output, keep.dlq),
    ];
    let topic = |(kind, used, retention): (&str, TopicUse, Retention)| OurTopic {
        name: config.topic(kind).into(),
        used,
        settings: TopicSettings {
            partitions: config.partitions,
            retention_ms: retention.age.map(|age| age.0),
            retention_bytes: retention.bytes,
        },
    };
    all.into_iter().map(topic).collect()
}

/// Creates what is not there.
///
/// # Errors
/// When the log cannot, or when a topic has another partition count.
pub async fn create(config: &Config, log: &dyn EventLog) -> Result<(), EngineError> {
    for topic in ours(config) {
        let wanted = topic.settings.partitions;
        let found = log.create_topic(&topic.name, topic.settings).await?;
        if found != wanted {
            let text = format!(
                "the topic `{}` has {found} partitions, {wanted} are wanted: set `partitions` to {found}, or delete the topic; \
                 a partition count never changes",
                topic.name
            );
            return Err(EngineError::Data(text));
        }
    }
    Ok(())
}

/// What is wrong with our topics on the brokers, each with what to change.
///
/// # Errors
/// When no broker answers.
pub async fn check(config: &Config, log: &KafkaLog) -> Result<Vec<String>, EngineError> {
    let back = config.shard.snapshot_age.0.saturating_mul(SNAPSHOT_AGES);
    let mut problems = Vec::new();
    for topic in ours(config) {
        match log.facts(&topic.name).await? {
            Some(facts) => {
                problems.extend(facts.problems(&topic.name, topic.used, config.partitions, back));
            }
            None => problems.push(format!(
                "the topic `{}` is not there: `tidegate topics create` makes it with {} partitions",
                topic.name, config.partitions
            )),
        }
    }
    Ok(problems)
}
