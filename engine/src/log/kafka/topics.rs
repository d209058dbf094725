//! Topics on the brokers: created as we want them, and looked at: what is wrong with one that is there, and how to mend it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::RDKafkaErrorCode;
use tidegate_actors::port::{PortError, PortErrorKind, TopicSettings};
use tidegate_proto::record::Topic;

use super::context::{Plain, failed, kind_of};
use super::lookup::Lookup;
use super::settings::KafkaSettings;

/// Longest wait for a topic that was created to be seen.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What a topic is for; it decides how it must be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicUse {
    /// Its records are read again after a failure: journal, inbox, sources.
    Replayed,
    /// Its records are read once.
    Output,
}

/// A topic as it stands on the brokers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicFacts {
    /// Partition count.
    pub partitions: u32,
    /// Whether old records of a key are removed.
    pub compacted: bool,
    /// Age at which records are removed, in ms; `None`: never.
    pub retention_ms: Option<i64>,
}

impl TopicFacts {
    /// What is wrong with a topic, each with what to change; nothing: it can be used.
    #[must_use]
    pub fn problems(
        &self,
        topic: &str,
        used: TopicUse,
        partitions: u32,
        snapshot_ms: i64,
    ) -> Vec<String> {
        let mut problems = Vec::new();
        if self.partitions != partitions {
            problems.push(format!(
                "the topic `{topic}` has {} partitions, {partitions} are wanted, as many as the setting `partitions` and \
                 every other topic of shards has; a partition count never changes: delete the topic, or change the setting \
                 before anything is stored",
                self.partitions
            ));
        }
        if self.compacted && used == TopicUse::Replayed {
            problems.push(format!(
                "the topic `{topic}` is compacted, so a second reading would differ: set `cleanup.policy=delete` for it, or, \
                 for a source that must stay compacted, set `keyed: false`"
            ));
        }
        let short = self
            .retention_ms
            .filter(|kept| used == TopicUse::Replayed && *kept < snapshot_ms);
        if let Some(kept) = short {
            problems.push(format!(
                "the topic `{topic}` keeps its records for {kept} ms, a shard may have to read back {snapshot_ms} ms: raise \
                 its `retention.ms`"
            ));
        }
        problems
    }
}

/// Creates topics and looks at them.
pub(super) struct Topics {
    admin: AdminClient<Plain>,
    lookup: Arc<Lookup>,
    replication: i32,
    record_bytes: String,
}

impl std::fmt::Debug for Topics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Topics").finish_non_exhaustive()
    }
}

impl Topics {
    pub(super) fn new(settings: &KafkaSettings, lookup: Arc<Lookup>) -> Result<Self, PortError> {
        let admin = AdminClient::from_config_and_context(&settings.admin(), Plain)
            .map_err(|error| failed("setting up the Kafka client", &error))?;
        let replication = i32::try_from(settings.replication).unwrap_or(0);
        Ok(Self {
            admin,
            lookup,
            replication: if replication == 0 { -1 } else { replication },
            record_bytes: settings.record_bytes.to_string(),
        })
    }

    /// Creates a topic, or answers with the partition count that it has.
    pub(super) async fn create(
        &self,
        topic: &Topic,
        settings: TopicSettings,
    ) -> Result<u32, PortError> {
        if let Some(partitions) = self.lookup.partitions(topic).await? {
            return Ok(partitions);
        }
        let doing = format!("creating the topic {topic}");
        let count = i32::try_from(settings.partitions).unwrap_or(i32::MAX);
        let kept = settings.retention_ms.unwrap_or(-1).to_string();
        // Ours is over the whole topic, the broker's for each partition.
        let bytes = settings
            .retention_bytes
            .map(|bytes| (bytes / u64::from(settings.partitions.max(1))).to_string());
        let mut new = NewTopic::new(topic, count, TopicReplication::Fixed(self.replication))
            .set("cleanup.policy", "delete")
            .set("retention.ms", &kept)
            .set("max.message.bytes", &self.record_bytes)
            // An owner that lags behind must never become the leader: what was acknowledged would be gone.
            .set("unclean.leader.election.enable", "false");
        if let Some(bytes) = &bytes {
            new = new.set("retention.bytes", bytes);
        }
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let created = self
            .admin
            .create_topics([&new], &options)
            .await
            .map_err(|error| failed(&doing, &error))?;
        for outcome in created {
            match outcome {
                // Another worker was first.
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => {
                    return Err(PortError::new(kind_of(code), format!("{doing}: {code}")));
                }
            }
        }
        self.seen(topic).await
    }

    /// Waits until a topic that was created is known.
    async fn seen(&self, topic: &Topic) -> Result<u32, PortError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(partitions) = self.lookup.partitions(topic).await? {
                return Ok(partitions);
            }
            if Instant::now() > deadline {
                let message = format!("the topic {topic} was created, but is not to be seen");
                return Err(PortError::new(PortErrorKind::Unavailable, message));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// How a topic stands; `None`: it is not there.
    pub(super) async fn facts(&self, topic: &Topic) -> Result<Option<TopicFacts>, PortError> {
        let Some(partitions) = self.lookup.partitions(topic).await? else {
            return Ok(None);
        };
        let doing = format!("looking at the settings of the topic {topic}");
        let specifier = ResourceSpecifier::Topic(topic);
        let described = self
            .admin
            .describe_configs([&specifier], &AdminOptions::new())
            .await
            .map_err(|error| failed(&doing, &error))?;
        let mut facts = TopicFacts {
            partitions,
            ..TopicFacts::default()
        };
        for resource in described {
            let resource = resource
                .map_err(|code| PortError::new(kind_of(code), format!("{doing}: {code}")))?;
            let value = |name| value_of(&resource, name);
            facts.compacted = value("cleanup.policy").is_some_and(|p| p.contains("compact"));
            facts.retention_ms = value("retention.ms")
                .and_then(|kept| kept.parse().ok())
                .filter(|kept| *kept >= 0);
        }
        Ok(Some(facts))
    }
}

fn value_of<'a>(resource: &'a ConfigResource, name: &str) -> Option<&'a str> {
    resource.get(name)?.value.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_topic_is_told_with_what_to_change() {
        let good = TopicFacts {
            partitions: 4,
            compacted: false,
            retention_ms: None,
        };
        assert!(
            good.problems("t", TopicUse::Replayed, 4, 86_400_000)
                .is_empty()
        );
        let bad = TopicFacts {
            partitions: 3,
            compacted: true,
            retention_ms: Some(1_000),
        };
        let problems = bad.problems("t", TopicUse::Replayed, 4, 86_400_000);
        assert_eq!(problems.len(), 3, "{problems:?}");
        for (problem, word) in problems.iter().zip([
            "3 partitions, 4 are wanted",
            "cleanup.policy=delete",
            "retention.ms",
        ]) {
            assert!(problem.contains(word), "{problem}");
        }
        // Outputs may be kept as anybody likes.
        assert_eq!(bad.problems("t", TopicUse::Output, 4, 1).len(), 1);
    }
}
