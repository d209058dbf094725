//! Writes back how deliveries ended: an outcome to the task that asked, and what was given up to the dead letters. Both
//! are in the log before the offset of the action is committed.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_actors::epoch::OutputId;
use tidegate_actors::port::{PortErrorKind, TopicPartition};
use tidegate_proto::record::{ID_HEADER, Record, partition_of};

use super::dispatcher::World;
use super::job::Settled;
use super::window::Held;

/// Why an action is a dead letter.
const REASON: &str = "dlq.reason";
/// Topic, partition and offset that it was read from.
const SOURCE: [&str; 3] = ["dlq.source-topic", "dlq.partition", "dlq.offset"];
/// Wait before a write to the log is tried again.
const PAUSE: Duration = Duration::from_millis(500);
/// Characters of an error that travel in an outcome.
const ERROR: usize = 500;

/// Records to write, by partition and in order.
#[derive(Debug, Default)]
pub(super) struct Letters(BTreeMap<TopicPartition, Vec<Record>>);

impl Letters {
    /// Adds what one settled action leaves behind.
    pub(super) fn add(
        &mut self,
        world: &World,
        place: &TopicPartition,
        held: &Held,
        settled: &Settled,
    ) {
        let now = world.clock.now().0;
        let error: Option<String> = settled
            .error
            .as_ref()
            .map(|error| error.chars().take(ERROR).collect());
        if let Some(reason) = &error {
            let mut letter = held
                .record
                .clone()
                .with_header(REASON, reason.clone().into_bytes());
            let [topic, partition, offset] = SOURCE;
            letter = letter
                .with_header(topic, place.topic.as_bytes().to_vec())
                .with_header(partition, place.partition.to_string().into_bytes())
                .with_header(offset, settled.offset.to_string().into_bytes());
            letter.timestamp = now;
            self.push(
                TopicPartition {
                    topic: world.topics.dlq.clone(),
                    partition: place.partition,
                },
                letter,
            );
        }
        let Some(action) = &held.action else {
            return;
        };
        // An id of its own, so that nobody takes it for an output of the shard that caused the action.
        let id = format!("{}/delivered", action.id);
        let mut outcome = action
            .outcome(error, settled.attempts)
            .to_record()
            .with_header(ID_HEADER, id.into_bytes());
        outcome.timestamp = now;
        // The task lives where the action came from: not always with its resource.
        let partition = OutputId::parse(&action.id).map_or_else(
            || partition_of(action.resource.as_bytes(), world.topics.partitions),
            |id| id.shard,
        );
        let inbox = world.topics.inbox.clone();
        self.push(
            TopicPartition {
                topic: inbox,
                partition,
            },
            outcome,
        );
    }

    fn push(&mut self, to: TopicPartition, record: Record) {
        self.0.entry(to).or_default().push(record);
    }

    /// Writes them all, trying again for as long as the log is away.
    pub(super) async fn write(self, world: &World) {
        for (to, records) in self.0 {
            if !write(world, &to, records.clone()).await && records.len() > 1 {
                for record in records {
                    write(world, &to, vec![record]).await;
                }
            }
        }
    }
}

/// `false` if the log refuses them for good: an action that was delivered must not be delivered again because its
/// outcome cannot be told.
async fn write(world: &World, to: &TopicPartition, records: Vec<Record>) -> bool {
    loop {
        let Err(error) = world.log.append(to, records.clone()).await else {
            return true;
        };
        match error.kind {
            PortErrorKind::Full | PortErrorKind::Unavailable | PortErrorKind::Closed => {
                tracing::warn!(%to, %error, "cannot write back outcomes; trying again");
                tokio::time::sleep(PAUSE).await;
            }
            _ => {
                let records = records.len();
                tracing::error!(%to, records, %error, "outcomes of deliveries were refused by the log");
                return false;
            }
        }
    }
}
