//! One lane of a gateway: one partition of a source, read in order, published to `inbox`, and then noted how far it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate_actors::port::{PortErrorKind, Publication, Slice, TopicPartition};
use tidegate_proto::document::SourceDefinition;
use tidegate_proto::record::{Offset, Record, Topic};
use tidegate_proto::time::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Unread;
use super::aside::Aside;
use super::body::Form;
use super::gateway::{LaneState, World};
use super::held::Holder;
use super::rekey::{From, Read, rekey};

/// Shortest and longest wait after a failure.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// How often a lane without work looks whether its partition is still ours.
const LOOK: Duration = Duration::from_millis(500);

/// A lane in work.
pub(super) struct Lane {
    pub(super) world: Arc<World>,
    pub(super) source: Arc<SourceDefinition>,
    pub(super) form: Form,
    pub(super) from: From,
    /// Where its reading began.
    pub(super) start: Offset,
    pub(super) stop: watch::Receiver<bool>,
}

/// How long it has not gone on, and when it tries again.
#[derive(Default)]
struct Trouble {
    since: Option<Instant>,
    wait: Duration,
}

impl Lane {
    pub(super) fn holder(&self) -> Holder {
        (Arc::clone(&self.from.source), self.from.partition)
    }

    pub(super) fn place(&self) -> TopicPartition {
        TopicPartition {
            topic: Topic::clone(&self.from.topic),
            partition: self.from.partition,
        }
    }

    /// Group under which it commits: one per reading, so that a reading that begins anew begins where it says.
    fn group(&self) -> String {
        let From {
            source, generation, ..
        } = &self.from;
        format!("{}.source.{source}.{generation}", self.world.group)
    }

    pub(super) fn tell(&self, lag: Option<u64>, trouble: Option<String>) {
        self.world
            .gateways
            .tell(&self.holder(), LaneState { lag, trouble });
    }

    /// Reads until it is told to stop.
    pub(super) async fn run(mut self) {
        let holder = self.holder();
        let mut stop = self.stop.clone();
        tokio::select! {
            () = self.serve() => {}
            // What is under way may land or not: a new lane sends it again, and shards know it.
            _ = stop.wait_for(|stop| *stop) => {}
        }
        self.world.gateways.hold().release(&holder);
        self.world.gateways.forget(&holder);
    }

    /// Whether the partition is this worker's: it goes with the shard of its number.
    fn is_ours(&self) -> bool {
        (self.world.owns)(self.from.partition % self.world.partitions.max(1))
    }

    async fn serve(&mut self) {
        loop {
            self.watch().await;
            self.work().await;
        }
    }

    /// Watches what another worker brings in, until the partition is ours.
    async fn watch(&self) {
        let mut trouble = Trouble::default();
        let mut aside = Aside::new();
        while !self.is_ours() {
            match aside.look(self).await {
                Ok(()) => trouble = Trouble::default(),
                Err(reason) => self.wait(&mut trouble, reason).await,
            }
        }
    }

    /// Where what was brought in ends.
    pub(super) async fn done(&self) -> Result<Offset, String> {
        let committed = self.world.log.committed(&self.group(), &self.place()).await;
        let committed = committed.map_err(|error| error.to_string())?;
        Ok(committed.unwrap_or(self.start).max(self.start))
    }

    /// Brings in what there is, as long as the partition is ours.
    async fn work(&self) {
        let mut trouble = Trouble::default();
        let mut at = loop {
            match self.done().await {
                Ok(done) => break done,
                Err(reason) => self.wait(&mut trouble, reason).await,
            }
        };
        while self.is_ours() {
            match self.step(at).await {
                Ok(next) => {
                    at = next;
                    trouble = Trouble::default();
                }
                Err(reason) => self.wait(&mut trouble, reason).await,
            }
        }
    }

    /// Waits longer with every failure; behind the patience of the settings the clock goes on without it.
    async fn wait(&self, trouble: &mut Trouble, reason: String) {
        let since = *trouble.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= self.world.settings.patience.duration() {
            self.world.gateways.hold().release(&self.holder());
        }
        let (topic, partition) = (&self.from.topic, self.from.partition);
        tracing::warn!(source = %self.from.source, %topic, partition, reason, "a gateway cannot go on");
        self.tell(None, Some(reason));
        trouble.wait = (trouble.wait * 2).clamp(BACKOFF.0, BACKOFF.1);
        tokio::time::sleep(trouble.wait).await;
    }

    /// Takes what there is from an offset on; answers with the next one.
    async fn step(&self, at: Offset) -> Result<Offset, String> {
        let place = self.place();
        let world = &self.world;
        let slice = match world.log.read(&place, at, world.settings.read).await {
            Ok(slice) => slice,
            Err(error) if error.kind == PortErrorKind::OutOfRange => {
                return self.skip(at).await;
            }
            Err(error) => return Err(error.to_string()),
        };
        let Some(first) = slice.entries.first() else {
            world.gateways.hold().release(&self.holder());
            self.tell(Some(0), None);
            // Not for ever: the partition may go to another worker.
            let grown = tokio::time::timeout(LOOK, world.log.grown(&place, at)).await;
            let grown = grown.map_or(Ok(()), |grown| grown.map_err(|error| error.to_string()));
            return grown.map(|()| at);
        };
        let time = Timestamp(first.record.timestamp);
        world.gateways.hold().hold(&self.holder(), time);
        self.take(slice).await
    }

    /// Retention was faster than the gateway: what is gone is said, and reading goes on behind it.
    pub(super) async fn skip(&self, at: Offset) -> Result<Offset, String> {
        let bounds = self.world.log.bounds(&self.place()).await;
        let bounds = bounds.map_err(|error| error.to_string())?;
        let next = if at < bounds.start {
            bounds.start
        } else {
            bounds.end
        };
        let (topic, partition) = (&self.from.topic, self.from.partition);
        tracing::error!(source = %self.from.source, %topic, partition, from = at, to = next, "records of a source are gone that were never read");
        Ok(next)
    }

    async fn take(&self, slice: Slice) -> Result<Offset, String> {
        let mut reads = Vec::with_capacity(slice.entries.len());
        let mut failed = None;
        for entry in slice.entries {
            let body = match self.form.body(&self.source, &entry.record).await {
                Ok(body) => body.map(Ok),
                Err(Unread::Bad(reason)) => Some(Err(reason)),
                Err(Unread::Later(reason)) => {
                    failed = Some(reason);
                    break;
                }
            };
            reads.push(Read {
                offset: entry.offset,
                record: entry.record,
                body,
            });
        }
        let Some(last) = reads.last().map(|read| read.offset) else {
            return Err(failed.unwrap_or_default());
        };
        let next = last + 1;
        self.publish(&reads, next).await?;
        // What was read before something was missing is through; the rest is tried again.
        let lag = u64::try_from(slice.end - next).unwrap_or(0);
        self.tell(Some(lag), failed);
        Ok(next)
    }

    async fn publish(&self, reads: &[Read], next: Offset) -> Result<(), String> {
        let world = &self.world;
        let rekeyed = rekey(&self.from, reads, world.partitions);
        let mut records: BTreeMap<TopicPartition, Vec<Record>> = BTreeMap::new();
        for (partition, record) in rekeyed.events {
            let to = TopicPartition {
                topic: Topic::clone(&world.inbox),
                partition,
            };
            records.entry(to).or_default().push(record);
        }
        if !rekeyed.dead.is_empty() {
            let to = TopicPartition {
                topic: Topic::clone(&world.dead),
                partition: self.from.partition % world.partitions.max(1),
            };
            records.entry(to).or_default().extend(rekeyed.dead);
        }
        let publication = Publication {
            records: records.into_iter().collect(),
            group: self.group(),
            offsets: Vec::new(),
            marker: None,
        };
        let published = world.log.publish(publication).await;
        published.map_err(|error| error.to_string())?;
        // Behind the records: what is written again because this failed is known to the shards.
        let noted = vec![(self.place(), next)];
        let noted = world.log.commit(&self.group(), noted).await;
        noted.map_err(|error| error.to_string())?;
        let held = world.log.hold(&self.place(), next).await;
        held.map_err(|error| error.to_string())
    }
}
