//! One partition of the actions topic: takes records while there is room, hands them to the lanes of their handlers,
//! settles what comes back and commits up to the oldest action that is not settled.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use tidegate_actors::port::{Entry, TopicPartition};
use tidegate_proto::record::{Offset, Record};
use tidegate_proto::time::Timestamp;
use tokio::sync::mpsc::OwnedPermit;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::action::ActionRecord;
use super::dispatcher::World;
use super::job::{Claim, Job, Settled};
use super::reader;
use super::settings::duration;
use super::settle::Letters;
use super::view::PartitionView;
use super::window::{Held, Window, WindowLimits};

/// Wait before the start is tried again.
const PAUSE: Duration = Duration::from_millis(500);

type Reservation = BoxFuture<'static, (Arc<str>, Option<OwnedPermit<Job>>)>;

/// A partition's view, written by its task and read by whoever asks.
pub(super) type SharedPartitionView = Arc<Mutex<PartitionView>>;

/// One partition at work.
pub(super) struct PartitionTask {
    world: Arc<World>,
    place: TopicPartition,
    window: Window,
    committed: Offset,
    /// Read, not yet taken into the window.
    pending: VecDeque<Entry>,
    /// Jobs whose lane is full, by handler.
    held_back: BTreeMap<Arc<str>, VecDeque<Job>>,
    /// One place asked for in the queue of every lane that has jobs held back.
    reservations: FuturesUnordered<Reservation>,
    claim: Arc<Claim>,
    settle_into: mpsc::Sender<Settled>,
    settled: mpsc::Receiver<Settled>,
    view: SharedPartitionView,
}

/// Serves a partition until it is told to stop.
pub(super) async fn serve(
    world: Arc<World>,
    place: TopicPartition,
    view: SharedPartitionView,
    mut stop: watch::Receiver<bool>,
) {
    let start = tokio::select! {
        () = stopped(&mut stop) => return,
        start = find_start(&world, &place) => start,
    };
    let (into, incoming) = mpsc::channel(1);
    // Ends with this task, however that ends.
    let mut reading = JoinSet::new();
    let (reader_world, reader_place) = (Arc::clone(&world), place.clone());
    reading.spawn(async move { reader::read(&reader_world, &reader_place, start, into).await });
    PartitionTask::new(world, place, start, view)
        .run(incoming, stop)
        .await;
}

/// Resolves when the partition shall be served no longer.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Nobody left who could say it means the same.
    drop(stop.wait_for(|stop| *stop).await);
}

async fn find_start(world: &World, place: &TopicPartition) -> Offset {
    loop {
        match reader::start(world, place).await {
            Ok(offset) => return offset,
            Err(error) => tracing::warn!(%place, %error, "cannot find where to begin"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl PartitionTask {
    fn new(
        world: Arc<World>,
        place: TopicPartition,
        start: Offset,
        view: SharedPartitionView,
    ) -> Self {
        let limits = WindowLimits {
            actions: world.settings.window,
            bytes: world.settings.window_bytes,
            remembered: world.settings.remembered,
        };
        let (settle_into, settled) = mpsc::channel(limits.actions.max(1));
        Self {
            world,
            place,
            window: Window::new(limits, start),
            committed: start,
            pending: VecDeque::new(),
            held_back: BTreeMap::new(),
            reservations: FuturesUnordered::new(),
            claim: Claim::new(),
            settle_into,
            settled,
            view,
        }
    }

    async fn run(
        mut self,
        mut incoming: mpsc::Receiver<Vec<Entry>>,
        mut stop: watch::Receiver<bool>,
    ) {
        let period = duration(self.world.settings.commit_every);
        let mut commit = tokio::time::interval_at(Instant::now() + period, period);
        commit.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let unusable = self.take_pending();
            if !unusable.is_empty() {
                self.settle(unusable, &mut stop).await;
                continue;
            }
            self.look();
            let wants_more = self.pending.is_empty() && self.window.has_room();
            tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                _ = commit.tick(), if self.window.settled_to() > self.committed => self.commit().await,
                Some(first) = self.settled.recv() => {
                    let all = self.all_settled(first);
                    self.settle(all, &mut stop).await;
                }
                Some((handler, place)) = self.reservations.next() => self.reserved(handler, place),
                Some(entries) = incoming.recv(), if wants_more => self.pending.extend(entries),
            }
        }
        self.finish().await;
    }

    /// Takes what was read into the window as far as there is room; answers with what is settled at once.
    fn take_pending(&mut self) -> Vec<Settled> {
        let mut unusable = Vec::new();
        while self.window.has_room()
            && let Some(entry) = self.pending.pop_front()
        {
            let offset = entry.offset;
            if let Err(reason) = self.take(entry) {
                unusable.push(Settled {
                    offset,
                    attempts: 0,
                    error: Some(reason),
                });
            }
        }
        unusable
    }

    fn take(&mut self, Entry { offset, record }: Entry) -> Result<(), String> {
        let published = record.timestamp;
        let decoded = ActionRecord::decode(&record);
        let job = decoded
            .as_ref()
            .map_err(ToString::to_string)
            .and_then(|action| self.job(offset, action, published));
        let action = decoded.ok();
        if !self.window.take(offset, Held { record, action }) {
            self.change(|view| view.repeated += 1);
            return Ok(());
        }
        let (handler, job) = job?;
        self.hand_on(handler, job);
        Ok(())
    }

    /// The job of an action. Its time to live counts from when it was published, whoever reads it when.
    fn job(
        &self,
        offset: Offset,
        action: &ActionRecord,
        published: i64,
    ) -> Result<(Arc<str>, Job), String> {
        let Some((handler, door)) = self.world.lanes.get_key_value(action.handler.as_str()) else {
            return Err(format!(
                "no handler named `{}` is configured",
                action.handler
            ));
        };
        let age = match published {
            0 => 0,
            published => self.world.clock.now().since(Timestamp(published)),
        };
        let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
        let job = Job {
            offset,
            delivery: action.delivery(),
            deadline: Instant::now() + door.ttl.saturating_sub(age),
            attempts: 0,
            last_error: None,
            claim: Arc::clone(&self.claim),
            settled: self.settle_into.clone(),
        };
        Ok((Arc::clone(handler), job))
    }

    /// To the lane, or behind those that wait for a place in it.
    fn hand_on(&mut self, handler: Arc<str>, job: Job) {
        let Some(door) = self.world.lanes.get(&handler) else {
            return;
        };
        if let Some(queue) = self.held_back.get_mut(&handler) {
            queue.push_back(job);
            return;
        }
        if let Err(full) = door.queue.try_send(job) {
            let queue = VecDeque::from([full.into_inner()]);
            self.held_back.insert(Arc::clone(&handler), queue);
            self.reserve(handler);
        }
    }

    fn reserve(&mut self, handler: Arc<str>) {
        if let Some(door) = self.world.lanes.get(&handler) {
            let queue = door.queue.clone();
            self.reservations.push(Box::pin(async move {
                let place = queue.reserve_owned().await.ok();
                (handler, place)
            }));
        }
    }

    fn reserved(&mut self, handler: Arc<str>, place: Option<OwnedPermit<Job>>) {
        let Some(queue) = self.held_back.get_mut(&handler) else {
            return;
        };
        // A lane ends only with the dispatcher.
        if let (Some(place), Some(job)) = (place, queue.pop_front()) {
            place.send(job);
        }
        if queue.is_empty() {
            self.held_back.remove(&handler);
        } else {
            self.reserve(handler);
        }
    }

    fn all_settled(&mut self, first: Settled) -> Vec<Settled> {
        let mut all = vec![first];
        while let Ok(more) = self.settled.try_recv() {
            all.push(more);
        }
        all
    }

    /// Writes back how actions ended, then lets go of them. A stop leaves them unsettled: they are delivered again.
    async fn settle(&mut self, all: Vec<Settled>, stop: &mut watch::Receiver<bool>) {
        let mut letters = Letters::default();
        for settled in &all {
            if let Some(held) = self.window.get(settled.offset) {
                letters.add(&self.world, &self.place, held, settled);
                if settled.attempts == 0 && settled.error.is_some() {
                    self.complain(&held.record, settled);
                }
            }
        }
        tokio::select! {
            biased;
            () = letters.write(&self.world) => {}
            () = stopped(stop) => return,
        }
        for settled in all {
            self.window.settle(settled.offset);
        }
    }

    fn complain(&self, record: &Record, settled: &Settled) {
        let (place, offset) = (&self.place, settled.offset);
        let reason = settled.error.as_deref().unwrap_or_default();
        let bytes = record.size();
        tracing::warn!(%place, offset, bytes, reason, "an action was not tried");
        self.change(|view| view.untried += 1);
    }

    /// Notes progress. A failure is no harm: what is not noted is delivered again under the same ids.
    async fn commit(&mut self) {
        let offset = self.window.settled_to();
        let note = vec![(self.place.clone(), offset)];
        let log = &self.world.log;
        if let Err(error) = log.commit(&self.world.topics.group, note).await {
            tracing::warn!(place = %self.place, %error, "cannot commit the progress of deliveries");
            return;
        }
        self.committed = offset;
        if let Err(error) = log.hold(&self.place, offset).await {
            tracing::warn!(place = %self.place, %error, "cannot hold undelivered actions against retention");
        }
    }

    /// Lets tries under way end, settles them and commits: within the time of grace.
    async fn finish(mut self) {
        let grace = duration(self.world.settings.grace);
        let claim = Arc::clone(&self.claim);
        let last = async {
            claim.withdraw().await;
            // Nothing says stop a second time: what is left is bounded by the time of grace.
            let (_never, mut stop) = watch::channel(false);
            if let Ok(first) = self.settled.try_recv() {
                let all = self.all_settled(first);
                self.settle(all, &mut stop).await;
            }
            if self.window.settled_to() > self.committed {
                self.commit().await;
            }
            self.look();
        };
        if tokio::time::timeout(grace, last).await.is_err() {
            tracing::warn!(place = %self.place, "stopped with deliveries under way; they will be repeated");
        }
    }

    fn look(&self) {
        let (position, committed) = (self.window.next(), self.committed);
        let undelivered = self.window.len();
        self.change(|view| {
            view.position = position;
            view.committed = committed;
            view.undelivered = undelivered;
        });
    }

    fn change(&self, change: impl FnOnce(&mut PartitionView)) {
        change(&mut self.view.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
