//! A lane: one handler's queue, its tries under way, its waits and its breaker. What one lane does never touches another.

use std::collections::{BTreeMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use tidegate_actors::port::{Delivery, PortError, PortErrorKind, Retry, Sink};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::breaker::{Breaker, BreakerState};
use super::job::{Job, Running};
use super::settings::HandlerSettings;
use super::view::HandlerView;

/// A lane's view, written by the lane and read by whoever asks.
pub(super) type SharedView = Arc<Mutex<HandlerView>>;

/// The way into a lane.
#[derive(Clone, Debug)]
pub(super) struct LaneDoor {
    /// Its bounded queue.
    pub(super) queue: mpsc::Sender<Job>,
    /// How long an action may wait for its delivery.
    pub(super) ttl: Duration,
    /// What it is doing.
    pub(super) view: SharedView,
}

type Try = BoxFuture<'static, (Job, Running, Result<(), PortError>)>;

/// One handler at work.
pub(super) struct Lane {
    sink: Arc<dyn Sink>,
    queue: mpsc::Receiver<Job>,
    /// Jobs that it holds at most, beside those in the queue.
    most: usize,
    concurrency: usize,
    timeout: Duration,
    ready: VecDeque<Job>,
    /// Waiting for their next try, by moment and order of arrival.
    waiting: BTreeMap<(Instant, u64), Job>,
    sequence: u64,
    trying: FuturesUnordered<Try>,
    breaker: Breaker,
    backoff: Backoff,
    view: SharedView,
}

impl Lane {
    /// A lane and the way into it.
    pub(super) fn new(
        name: &str,
        sink: Arc<dyn Sink>,
        settings: &HandlerSettings,
        seed: u64,
    ) -> (Self, LaneDoor) {
        let (sender, queue) = mpsc::channel(settings.queue.max(1));
        let view = Arc::new(Mutex::new(HandlerView::new(name)));
        let (first, most) = (
            settings.backoff.duration(),
            settings.backoff_most.duration(),
        );
        let lane = Self {
            sink,
            queue,
            most: settings.queue.max(settings.concurrency).max(1),
            concurrency: settings.concurrency.max(1),
            // The sink's own timeout comes first and says more; this one is for a sink that has none.
            timeout: settings.timeout.duration().saturating_mul(2),
            ready: VecDeque::new(),
            waiting: BTreeMap::new(),
            sequence: 0,
            trying: FuturesUnordered::new(),
            breaker: Breaker::new(settings.breaker_failures, settings.breaker_rest.duration()),
            backoff: Backoff::new(first, most, settings.jitter, seed),
            view: Arc::clone(&view),
        };
        let door = LaneDoor {
            queue: sender,
            ttl: settings.ttl.duration(),
            view,
        };
        (lane, door)
    }

    /// Works until every way into the lane is gone.
    pub(super) async fn run(mut self) {
        loop {
            self.begin();
            let wake = self.next_wake();
            let held = self.ready.len() + self.waiting.len() + self.trying.len();
            self.look(held);
            tokio::select! {
                Some((job, running, end)) = self.trying.next() => self.ended(job, running, end),
                job = self.queue.recv(), if held < self.most => match job {
                    Some(job) => self.ready.push_back(job),
                    None => return,
                },
                () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
                else => tokio::time::sleep(self.timeout).await,
            }
            self.wake();
        }
    }

    /// Begins as many tries as may run now.
    fn begin(&mut self) {
        while self.trying.len() < self.concurrency
            && let Some(mut job) = self.next_ready()
        {
            let now = Instant::now();
            if !self.breaker.admit(now) {
                self.ready.push_front(job);
                return;
            }
            let Some(running) = job.claim.enter() else {
                self.breaker.abandoned(now);
                continue;
            };
            job.attempts += 1;
            let attempt = attempt(Arc::clone(&self.sink), job.delivery.clone(), self.timeout);
            self.trying.push(Box::pin(async move {
                let end = attempt.await;
                (job, running, end)
            }));
        }
    }

    /// The next job that is worth a try; those past their deadline end here.
    fn next_ready(&mut self) -> Option<Job> {
        loop {
            let job = self.ready.pop_front()?;
            if !job.claim.is_wanted() {
                continue;
            }
            if Instant::now() < job.deadline {
                return Some(job);
            }
            self.expire(job);
        }
    }

    fn expire(&self, mut job: Job) {
        let attempts = job.attempts;
        let reason = match job.last_error.take() {
            Some(error) => format!("given up after {attempts} tries: {error}"),
            None => "given up before the first try: its time to live was over".to_owned(),
        };
        self.change(|view| view.given_up += 1);
        job.settle(Some(reason));
    }

    fn ended(&mut self, mut job: Job, running: Running, end: Result<(), PortError>) {
        match end {
            Ok(()) => {
                self.breaker.answered();
                self.change(|view| view.delivered += 1);
                job.settle(None);
            }
            Err(error) if error.retry() == Retry::Never => {
                // It refused this action, but it answered: the breaker is about handlers that do not.
                self.breaker.answered();
                self.change(|view| {
                    view.refused += 1;
                    view.last_error = Some(error.message.clone());
                });
                job.settle(Some(format!("refused: {}", error.message)));
            }
            Err(error) => {
                self.failed(&error);
                let wait = self.backoff.wait(job.attempts, error.wait);
                job.last_error = Some(error.message);
                let next = Instant::now() + wait;
                if next >= job.deadline {
                    self.expire(job);
                } else {
                    self.sequence += 1;
                    self.waiting.insert((next, self.sequence), job);
                }
            }
        }
        // Only now, so that whoever waits for the last try finds how it ended.
        drop(running);
    }

    fn failed(&mut self, error: &PortError) {
        let opened = self.breaker.failed(Instant::now());
        self.change(|view| {
            view.failures += 1;
            view.last_error = Some(error.message.clone());
            if opened {
                let handler = view.handler.as_str();
                tracing::warn!(handler, error = error.message, "breaker opened");
            }
        });
    }

    /// When something is to be done although nothing happens.
    fn next_wake(&self) -> Option<Instant> {
        let due = self.waiting.first_key_value().map(|((at, _), _)| *at);
        let probe = self.breaker.opens_at().filter(|_| !self.ready.is_empty());
        match (due, probe) {
            (Some(due), Some(probe)) => Some(due.min(probe)),
            (due, probe) => due.or(probe),
        }
    }

    /// Makes those ready whose wait is over.
    fn wake(&mut self) {
        let now = Instant::now();
        while let Some(entry) = self.waiting.first_entry()
            && entry.key().0 <= now
        {
            self.ready.push_back(entry.remove());
        }
    }

    fn look(&self, held: usize) {
        let (under_way, breaker) = (self.trying.len(), self.breaker.state());
        let waiting = held + self.queue.len() - under_way;
        self.change(|view| {
            view.waiting = waiting;
            view.under_way = under_way;
            if view.breaker != BreakerState::Closed && breaker == BreakerState::Closed {
                tracing::info!(handler = view.handler.as_str(), "breaker closed");
            }
            view.breaker = breaker;
        });
    }

    fn change(&self, change: impl FnOnce(&mut HandlerView)) {
        change(&mut self.view.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// One try: bounded in time, and a panic of the sink is a failure like any other.
async fn attempt(
    sink: Arc<dyn Sink>,
    delivery: Delivery,
    timeout: Duration,
) -> Result<(), PortError> {
    let call = AssertUnwindSafe(async { sink.deliver(delivery).await }).catch_unwind();
    let problem = match tokio::time::timeout(timeout, call).await {
        Ok(Ok(end)) => return end,
        Ok(Err(_)) => "the handler panicked".to_owned(),
        Err(_) => format!("no answer within {} ms", timeout.as_millis()),
    };
    Err(PortError::new(PortErrorKind::Unavailable, problem).in_doubt())
}
