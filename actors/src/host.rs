//! [`ShardActor`]: the actix actor that drives one shard on its arbiter. The only file that knows actix.
//!
//! Control comes through the mailbox (start, look, drain). Data never does: the actor pulls chunks from a bounded stream
//! when its owner can begin an epoch, so a shard that waits for its log stops pulling, the stream fills, and the reader
//! behind it stops reading.

mod ask;
mod world;

use std::time::{Duration, Instant};

use actix::prelude::*;
use futures::StreamExt as _;
use futures::channel::oneshot;
use futures::future::{Either, select};
use tidegate_proto::record::{Offset, OffsetRange};
use tidegate_proto::time::Timestamp;

use crate::observe::{Observation, Query};
use crate::owner::{Ask, Make, Owner, Phase, Recovery, Told};
use crate::port::{PortError, PortErrorKind};
use crate::shard::Shard;
use crate::source::Reading;

pub use world::{Chunk, Feed, HostSettings, Needed, OpenFeed, Ports, Topics};

/// How long who follows lets epochs of the owner come together before they are read.
const TOGETHER: Duration = Duration::from_millis(50);
/// Shortest and longest wait before a lost shard is taken over again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Drives one shard.
pub struct ShardActor {
    settings: HostSettings,
    ports: Ports,
    owner: Owner<Shard>,
    feed: Option<Feed>,
    /// What the feed was opened for, and where it stands.
    fed: (Vec<Reading>, Vec<Offset>),
    pulling: bool,
    publishing: Option<SpawnHandle>,
    /// Answers to asks of an earlier life are thrown away.
    life: u64,
    backoff: Duration,
    waiting: Vec<(Query, oneshot::Sender<Observation>)>,
    draining: Option<oneshot::Sender<()>>,
    drained_snapshot: bool,
    /// When it was looked at last whether a snapshot is old.
    snapshot_at: Option<Timestamp>,
    /// Whether the feed has said that nothing lies behind what it brought.
    at_end: bool,
    /// Replays what the shard's owner journals until it is told to take the shard over.
    following: bool,
    /// When the takeover began, and how long it took.
    took: (Option<Instant>, Option<Duration>),
}

impl std::fmt::Debug for ShardActor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShardActor")
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

impl ShardActor {
    /// An actor that takes its shard over as soon as it is started.
    #[must_use]
    pub fn new(settings: HostSettings, ports: Ports, make: Make<Shard>) -> Self {
        let owner = Owner::new(settings.shard, settings.owner.clone(), make);
        Self {
            settings,
            ports,
            owner,
            feed: None,
            fed: (Vec::new(), Vec::new()),
            pulling: false,
            publishing: None,
            life: 0,
            backoff: BACKOFF.0,
            waiting: Vec::new(),
            draining: None,
            drained_snapshot: false,
            snapshot_at: None,
            at_end: false,
            following: false,
            took: (None, None),
        }
    }

    /// The same, but it only follows the shard's owner, until it is sent [`TakeOver`].
    #[must_use]
    pub fn following(mut self) -> Self {
        self.following = true;
        self
    }

    fn take_over(&mut self, ctx: &mut Context<Self>) {
        self.life += 1;
        self.feed = None;
        self.pulling = false;
        // What has not begun to leave must not begin with the right that is taken over now.
        if let Some(publishing) = self.publishing.take() {
            ctx.cancel_future(publishing);
        }
        let asks = if self.following {
            self.owner.follow()
        } else {
            // Not the ports' clock: that is the shard's time, which gateways hold back.
            self.took = (Some(Instant::now()), None);
            self.owner.start()
        };
        self.run(asks, ctx);
    }

    /// Carries asks out, each as a future of this actor.
    fn run(&mut self, asks: Vec<Ask>, ctx: &mut Context<Self>) {
        for ask in asks {
            let life = self.life;
            let publishes = matches!(ask, Ask::Publish(_));
            let readings = self.owner.readings();
            let waits = matches!(ask, Ask::AwaitJournal(_));
            let future = ask::answer(ask, self.settings.shard, readings, self.ports.clone());
            let future = async move {
                let told = future.await;
                if waits {
                    actix_rt::time::sleep(TOGETHER).await;
                }
                told
            };
            let told = future.into_actor(self).map(move |told, actor, ctx| {
                if life == actor.life {
                    actor.told(told, ctx);
                }
            });
            let handle = ctx.spawn(told);
            if publishes {
                self.publishing = Some(handle);
            }
        }
        self.go_on(ctx);
    }

    fn told(&mut self, told: Told, ctx: &mut Context<Self>) {
        let before = self.owner.phase();
        let asks = self.owner.told(told);
        if before != Phase::Ready && self.owner.phase() == Phase::Ready {
            self.backoff = BACKOFF.0;
            self.took.1 = self.took.0.map(|began| began.elapsed());
        }
        self.run(asks, ctx);
    }

    /// After anything happened: look, drain, recover, or take the next chunk.
    fn go_on(&mut self, ctx: &mut Context<Self>) {
        match self.owner.phase() {
            Phase::Lost | Phase::Fenced => self.come_back(ctx),
            Phase::Ready => {
                self.show();
                if self.draining.is_some() {
                    self.drain(ctx);
                } else {
                    self.pull(ctx);
                }
            }
            // Nothing will come of it without a person: whoever waits to see it is told so.
            Phase::Stuck => self.waiting.clear(),
            Phase::Off | Phase::Following | Phase::Recovering => {}
        }
    }

    fn come_back(&mut self, ctx: &mut Context<Self>) {
        if self.draining.take().is_some() {
            return ctx.stop();
        }
        if self.pulling {
            return;
        }
        self.pulling = true;
        self.life += 1;
        let life = self.life;
        ctx.run_later(self.backoff, move |actor, ctx| {
            if actor.life == life {
                actor.backoff = (actor.backoff * 2).min(BACKOFF.1);
                actor.take_over(ctx);
            }
        });
    }

    /// Answers those who wait, when the newest epoch is acknowledged.
    fn show(&mut self) {
        let Some(shard) = self.owner.acknowledged() else {
            return;
        };
        for (query, sender) in self.waiting.drain(..) {
            // Whoever asked may have gone; then nobody misses the answer.
            let _ = sender.send(shard.look(&query));
        }
    }

    fn drain(&mut self, ctx: &mut Context<Self>) {
        if !self.owner.is_idle() || self.pulling {
            return;
        }
        if !self.drained_snapshot {
            self.drained_snapshot = true;
            let asks = self.owner.take_snapshot();
            if !asks.is_empty() {
                return self.run(asks, ctx);
            }
        }
        if self.owner.is_keeping() {
            return;
        }
        if let Some(done) = self.draining.take() {
            let _ = done.send(());
        }
        ctx.stop();
    }

    /// Pulls the next chunk, or a tick when none comes in time.
    fn pull(&mut self, ctx: &mut Context<Self>) {
        if self.pulling || !self.owner.can_begin() {
            return;
        }
        let Some(mut feed) = self.feed() else {
            return;
        };
        self.pulling = true;
        let (life, tick) = (self.life, self.settings.tick);
        let next = async move {
            let chunk = {
                let sleep = Box::pin(actix_rt::time::sleep(tick));
                match select(feed.next(), sleep).await {
                    Either::Left((chunk, _)) => Some(chunk),
                    Either::Right(_) => None,
                }
            };
            (feed, chunk)
        };
        ctx.spawn(next.into_actor(self).map(move |(feed, chunk), actor, ctx| {
            if life == actor.life {
                actor.pulling = false;
                actor.feed = Some(feed);
                actor.pulled(chunk, ctx);
            }
        }));
    }

    /// The feed, opened anew when a reading began or ended.
    fn feed(&mut self) -> Option<Feed> {
        let mut positions = self.owner.positions()?;
        let readings = self.owner.readings();
        positions.resize(readings.len(), 0);
        let wanted = (readings, positions);
        let open = self.feed.take().filter(|_| self.fed == wanted);
        self.at_end &= open.is_some();
        let feed = open
            .unwrap_or_else(|| (self.ports.feed)(self.settings.shard, &wanted.0, wanted.1.clone()));
        self.fed = wanted;
        Some(feed)
    }

    fn pulled(&mut self, chunk: Option<Option<Result<Chunk, PortError>>>, ctx: &mut Context<Self>) {
        match chunk {
            Some(Some(Ok(chunk))) => {
                self.fed.1 = chunk.ranges.iter().map(|range| range.to).collect();
                self.at_end = chunk.is_end;
                if self.is_known(&chunk.ranges) {
                    return self.go_on(ctx);
                }
                let asks = self.owner.begin(chunk.ranges, chunk.records, chunk.clock);
                self.run(asks, ctx);
            }
            Some(Some(Err(error))) => self.fail_intake(&error, ctx),
            Some(None) => {
                let gone = PortError::new(PortErrorKind::Closed, "its reader has ended");
                self.fail_intake(&gone, ctx);
            }
            None => self.tick(ctx),
        }
    }

    fn fail_intake(&mut self, error: &PortError, ctx: &mut Context<Self>) {
        self.feed = None;
        self.owner.intake_failed(error);
        self.go_on(ctx);
    }

    /// Whether these ranges bring the shard nowhere: nothing has to be journalled.
    fn is_known(&self, ranges: &[OffsetRange]) -> bool {
        let at = self.owner.positions().unwrap_or_default();
        let known = |(number, range): (usize, &OffsetRange)| {
            at.get(number)
                .map_or(range.to == 0, |known| *known == range.to)
        };
        ranges.iter().enumerate().all(known)
    }

    /// Nothing came, so it is a good moment to renew a snapshot that is old.
    fn old_snapshot(&mut self, now: Timestamp) -> Option<Vec<Ask>> {
        let age = i64::try_from(self.settings.snapshot_age.as_millis()).unwrap_or(i64::MAX);
        let at = *self.snapshot_at.get_or_insert(now);
        if now.0.saturating_sub(at.0) < age || self.owner.is_keeping() {
            return None;
        }
        self.snapshot_at = Some(now);
        let asks = if self.owner.is_ahead_of_snapshot() {
            self.owner.take_snapshot()
        } else {
            Vec::new()
        };
        (!asks.is_empty()).then_some(asks)
    }

    /// Nothing came: if the clock makes something due, an epoch without records moves it.
    fn tick(&mut self, ctx: &mut Context<Self>) {
        let now = self.ports.clock.now();
        if let Some(asks) = self.old_snapshot(now) {
            return self.run(asks, ctx);
        }
        let due = self.owner.acknowledged().and_then(Shard::next_due);
        // A backlog that is still on its way would be late.
        if self.at_end && due.is_some_and(|due| due <= now) && self.draining.is_none() {
            let mut positions = self.owner.positions().unwrap_or_default();
            positions.resize(self.owner.readings().len(), 0);
            let ranges = positions
                .into_iter()
                .map(|at| OffsetRange { from: at, to: at })
                .collect();
            let asks = self.owner.begin(ranges, Vec::new(), now);
            self.run(asks, ctx);
        } else {
            self.go_on(ctx);
        }
    }
}

impl Actor for ShardActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        // A handful of people look at a shard at once; more wait in `send().await`.
        ctx.set_mailbox_capacity(64);
        self.take_over(ctx);
    }
}

/// Look at the shard, as of its newest acknowledged epoch.
#[derive(Debug)]
pub struct Look(pub Query);

impl Message for Look {
    type Result = Option<Observation>;
}

impl Handler<Look> for ShardActor {
    type Result = ResponseFuture<Option<Observation>>;

    fn handle(&mut self, Look(query): Look, _: &mut Context<Self>) -> Self::Result {
        let (sender, receiver) = oneshot::channel();
        if self.owner.phase() != Phase::Stuck {
            self.waiting.push((query, sender));
            self.show();
        }
        Box::pin(async move { receiver.await.ok() })
    }
}

/// Take no more, finish the epoch, keep a snapshot, stop.
#[derive(Debug)]
pub struct Drain;

impl Message for Drain {
    type Result = ();
}

impl Handler<Drain> for ShardActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, ctx: &mut Context<Self>) -> Self::Result {
        let (sender, receiver) = oneshot::channel();
        self.draining = Some(sender);
        if self.owner.phase() == Phase::Ready {
            self.go_on(ctx);
        } else {
            ctx.stop();
        }
        Box::pin(async move {
            let _ = receiver.await;
        })
    }
}

/// Own the shard from now on: what was followed is brought up to the takeover.
#[derive(Debug)]
pub struct TakeOver;

impl Message for TakeOver {
    type Result = ();
}

impl Handler<TakeOver> for ShardActor {
    type Result = ();

    fn handle(&mut self, _: TakeOver, ctx: &mut Context<Self>) {
        if self.following {
            self.following = false;
            self.backoff = BACKOFF.0;
            self.take_over(ctx);
        }
    }
}

/// Stop at once: the shard may be somebody else's already, so nothing more of it must leave.
#[derive(Debug)]
pub struct Abandon;

impl Message for Abandon {
    type Result = ();
}

impl Handler<Abandon> for ShardActor {
    type Result = ();

    fn handle(&mut self, _: Abandon, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

/// How the shard is doing.
#[derive(Debug)]
pub struct AskHealth;

impl Message for AskHealth {
    type Result = Health;
}

/// How a shard is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Where its owner stands.
    pub phase: Phase,
    /// Why, when it is not ready.
    pub why: Option<String>,
    /// Offset of its takeover record.
    pub generation: Offset,
    /// Newest published epoch.
    pub published: u64,
    /// Newest epoch in memory.
    pub epoch: u64,
    /// What its takeover replayed.
    pub recovery: Recovery,
    /// How long its takeover took; `None`: it has not ended yet.
    pub took: Option<Duration>,
}

impl Handler<AskHealth> for ShardActor {
    type Result = MessageResult<AskHealth>;

    fn handle(&mut self, _: AskHealth, _: &mut Context<Self>) -> Self::Result {
        MessageResult(Health {
            phase: self.owner.phase(),
            why: self.owner.why().map(str::to_owned),
            generation: self.owner.generation(),
            published: self.owner.published(),
            epoch: self.owner.epoch(),
            recovery: self.owner.recovery(),
            took: self.took.1,
        })
    }
}
