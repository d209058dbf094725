//! One partition of the actions topic: takes records while there is room, hands them to the lanes of their handlers,
//! parks what does not fit, settles what comes back and commits how far it is.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use tidegate_actors::port::{Entry, PortError, PortErrorKind, ReadLimit, Slice, TopicPartition};
use tidegate_proto::record::{Offset, Record};
use tidegate_proto::time::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::action::ActionRecord;
use super::dispatcher::World;
use super::forward::Forward;
use super::job::{Claim, Job, Settled};
use super::progress::Progress;
use super::reader;
use super::settle::Letters;
use super::view::PartitionView;
use super::window::{Held, Window, WindowLimits};

/// Wait before the start, or a read of parked actions, is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// Parked actions of a handler, read again.
type Unparking = BoxFuture<'static, (Arc<str>, Result<Slice, PortError>)>;

/// A partition's view, written by its task and read by whoever asks.
pub(super) type SharedPartitionView = Arc<Mutex<PartitionView>>;

/// One partition at work.
pub(super) struct PartitionTask {
    world: Arc<World>,
    place: TopicPartition,
    window: Window,
    progress: Progress,
    /// Whether something was settled since the last commit.
    moved: bool,
    /// Read, not yet taken into the window.
    pending: VecDeque<Entry>,
    forward: Forward,
    /// At most one read of parked actions at a time.
    unparking: FuturesUnordered<Unparking>,
    last_unparked: Option<Arc<str>>,
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
    let progress = tokio::select! {
        () = stopped(&mut stop) => return,
        progress = load(&world, &place) => progress,
    };
    let start = progress.all;
    let (into, incoming) = mpsc::channel(1);
    // Ends with this task, however that ends.
    let mut reading = JoinSet::new();
    let (reader_world, reader_place) = (Arc::clone(&world), place.clone());
    reading.spawn(async move { reader::read(&reader_world, &reader_place, start, into).await });
    PartitionTask::new(world, place, progress, view)
        .run(incoming, stop)
        .await;
}

/// Resolves when the partition shall be served no longer.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Nobody left who could say it means the same.
    drop(stop.wait_for(|stop| *stop).await);
}

async fn load(world: &World, place: &TopicPartition) -> Progress {
    loop {
        match Progress::load(world, place).await {
            Ok(progress) => return progress,
            Err(error) => tracing::warn!(%place, %error, "cannot find where to begin"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl PartitionTask {
    fn new(
        world: Arc<World>,
        place: TopicPartition,
        progress: Progress,
        view: SharedPartitionView,
    ) -> Self {
        let limits = WindowLimits {
            actions: world.settings.window,
            bytes: world.settings.window_bytes,
            parked: world.settings.parked,
            remembered: world.settings.remembered,
        };
        let (settle_into, settled) = mpsc::channel(
            limits
                .actions
                .max(1)
                .saturating_mul(world.lanes.len().max(1)),
        );
        Self {
            world,
            place,
            window: Window::new(limits, progress.all, progress.by_handler()),
            progress,
            moved: false,
            pending: VecDeque::new(),
            forward: Forward::default(),
            unparking: FuturesUnordered::new(),
            last_unparked: None,
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
        let period = self.world.settings.commit_every.duration();
        let mut commit = tokio::time::interval_at(Instant::now() + period, period);
        commit.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let unusable = self.take_pending();
            if !unusable.is_empty() {
                self.settle(unusable, &mut stop).await;
                continue;
            }
            self.unpark_next();
            self.look();
            let wants_more = self.pending.is_empty() && self.window.takes_more();
            tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                _ = commit.tick(), if self.moved => self.commit().await,
                Some(first) = self.settled.recv() => {
                    let all = self.all_settled(first);
                    self.settle(all, &mut stop).await;
                }
                Some(placed) = self.forward.free_place() => {
                    let door = self.world.lanes.get(&placed.0);
                    self.forward.fill(placed, door);
                }
                Some((handler, slice)) = self.unparking.next() => {
                    let unusable = self.unpark(&handler, slice);
                    self.settle(unusable, &mut stop).await;
                }
                Some(entries) = incoming.recv(), if wants_more => self.pending.extend(entries),
            }
        }
        self.finish().await;
    }

    /// Takes or parks what was read; answers with what is settled at once.
    fn take_pending(&mut self) -> Vec<Settled> {
        let mut unusable = Vec::new();
        while self.window.takes_more()
            && let Some(entry) = self.pending.pop_front()
        {
            self.window.pass(entry.offset);
            unusable.extend(self.take(entry, false));
        }
        unusable
    }

    /// Takes a record, or parks it if its handler has no room (`again`: it was parked and has). Answers with its end if
    /// it cannot be tried at all.
    fn take(&mut self, Entry { offset, record }: Entry, again: bool) -> Option<Settled> {
        let decoded = ActionRecord::decode(&record).map_err(|error| error.to_string());
        let found = match &decoded {
            Ok(action) => self.handler_of(action),
            Err(reason) => Err(reason.clone()),
        };
        if let Ok(handler) = &found {
            if self.window.was_settled(handler, offset) {
                self.repeated();
                return None;
            }
            let full = self.window.has_parked(handler) || !self.window.has_room(handler);
            if full && !again {
                self.window.park(handler, offset);
                return None;
            }
        }
        let action = decoded.ok();
        let job = match (&found, &action) {
            (Ok(_), Some(action)) => self.job(offset, action, record.timestamp),
            _ => None,
        };
        let held = Held {
            record,
            action: action.map(ActionRecord::without_content),
            handler: found.as_ref().ok().cloned(),
        };
        if !self.window.take(offset, held) {
            self.repeated();
            return None;
        }
        match found {
            Ok(handler) => {
                if let Some((door, job)) = self.world.lanes.get(&handler).zip(job) {
                    self.forward.send(handler, door, job);
                }
                None
            }
            Err(reason) => Some(Settled {
                offset,
                attempts: 0,
                error: Some(reason),
            }),
        }
    }

    fn handler_of(&self, action: &ActionRecord) -> Result<Arc<str>, String> {
        let known = self.world.lanes.get_key_value(action.handler.as_str());
        let name = known.map(|(name, _)| Arc::clone(name));
        name.ok_or_else(|| format!("no handler named `{}` is configured", action.handler))
    }

    fn repeated(&mut self) {
        self.moved = true;
        self.change(|view| view.repeated += 1);
    }

    /// Reads parked actions of the next handler in turn that has room for them.
    fn unpark_next(&mut self) {
        if !self.unparking.is_empty() {
            return;
        }
        let next = self.window.parked_with_room(self.last_unparked.as_ref());
        let Some((handler, offset)) = next else {
            return;
        };
        self.last_unparked = Some(Arc::clone(&handler));
        let (world, place) = (Arc::clone(&self.world), self.place.clone());
        self.unparking.push(Box::pin(async move {
            let limit = ReadLimit {
                records: world.settings.read_records,
                bytes: world.settings.window_bytes,
            };
            let slice = match world.log.read(&place, offset, limit).await {
                Err(error) if error.kind == PortErrorKind::OutOfRange => {
                    match world.log.bounds(&place).await {
                        Ok(bounds) => world.log.read(&place, bounds.start, limit).await,
                        Err(error) => Err(error),
                    }
                }
                slice => slice,
            };
            if !slice.as_ref().is_ok_and(|slice| !slice.entries.is_empty()) {
                tokio::time::sleep(PAUSE).await;
            }
            (handler, slice)
        }));
    }

    /// Takes the parked actions among what was read again, as far as there is room.
    fn unpark(&mut self, handler: &Arc<str>, slice: Result<Slice, PortError>) -> Vec<Settled> {
        let entries = match slice {
            Ok(slice) => slice.entries,
            Err(error) => {
                tracing::warn!(place = %self.place, %error, "cannot read parked actions");
                return Vec::new();
            }
        };
        let mut unusable = Vec::new();
        for entry in entries {
            if !self.window.has_room(handler) {
                break;
            }
            if self.window.unpark(handler, entry.offset) {
                unusable.extend(self.take(entry, true));
            }
        }
        unusable
    }

    /// The job of an action. Its time to live counts from when it was published, whoever reads it when.
    fn job(&self, offset: Offset, action: &ActionRecord, published: i64) -> Option<Job> {
        let door = self.world.lanes.get(action.handler.as_str())?;
        let age = match published {
            0 => 0,
            published => self.world.clock.now().since(Timestamp(published)),
        };
        let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
        Some(Job {
            offset,
            delivery: action.delivery(),
            deadline: Instant::now() + door.ttl.saturating_sub(age),
            attempts: 0,
            last_error: None,
            claim: Arc::clone(&self.claim),
            settled: self.settle_into.clone(),
        })
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
            self.moved = true;
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
        let Self {
            world,
            place,
            window,
            progress,
            ..
        } = self;
        match progress.commit(world, place, window).await {
            Ok(()) => self.moved = false,
            Err(error) => {
                tracing::warn!(%place, %error, "cannot commit the progress of deliveries");
            }
        }
    }

    /// Lets tries under way end, settles them and commits; the time of grace bounds the tries, and again the log.
    async fn finish(mut self) {
        let grace = self.world.settings.grace.duration();
        let place = self.place.clone();
        if tokio::time::timeout(grace, self.claim.withdraw())
            .await
            .is_err()
        {
            tracing::warn!(%place, "stopped with deliveries under way; they will be repeated");
        }
        let last = async {
            // Nothing says stop a second time.
            let (_never, mut stop) = watch::channel(false);
            if let Ok(first) = self.settled.try_recv() {
                let all = self.all_settled(first);
                self.settle(all, &mut stop).await;
            }
            self.commit().await;
            self.look();
        };
        if tokio::time::timeout(grace, last).await.is_err() {
            tracing::warn!(%place, "stopped before progress could be noted");
        }
    }

    fn look(&self) {
        let (position, committed) = (self.window.next(), self.progress.all);
        let (undelivered, parked) = self.window.len();
        self.change(|view| {
            view.position = position;
            view.committed = committed;
            view.undelivered = undelivered;
            view.parked = parked;
        });
    }

    fn change(&self, change: impl FnOnce(&mut PartitionView)) {
        change(&mut self.view.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
