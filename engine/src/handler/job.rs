//! What partitions and lanes hand each other: a [`Job`] on the way to a handler, [`Settled`] on the way back, and the
//! [`Claim`] by which a partition that goes away takes its jobs back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidegate_actors::port::Delivery;
use tidegate_proto::record::Offset;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// One action on its way to a handler.
#[derive(Debug)]
pub(super) struct Job {
    /// Where it stands in its partition.
    pub(super) offset: Offset,
    /// What is delivered.
    pub(super) delivery: Delivery,
    /// When it is given up.
    pub(super) deadline: Instant,
    /// Tries so far.
    pub(super) attempts: u32,
    /// What the last try said.
    pub(super) last_error: Option<String>,
    /// Whether its partition still wants it.
    pub(super) claim: Arc<Claim>,
    /// Where its end is told.
    pub(super) settled: mpsc::Sender<Settled>,
}

/// The end of an action: delivered, or given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    /// Where it stands in its partition.
    pub(super) offset: Offset,
    /// Tries that were made.
    pub(super) attempts: u32,
    /// Why it was given up; `None`: delivered.
    pub(super) error: Option<String>,
}

impl Job {
    /// Tells the partition how it ended. The queue has room for every action of the partition's window; if the
    /// partition is gone, its successor delivers again.
    pub(super) fn settle(self, error: Option<String>) {
        let end = Settled {
            offset: self.offset,
            attempts: self.attempts,
            error,
        };
        if self.settled.try_send(end).is_err() {
            tracing::debug!(
                id = self.delivery.id,
                "nobody waits for this delivery any more"
            );
        }
    }
}

/// Whether a partition still wants its jobs done, and how many are being done now.
#[derive(Debug)]
pub(super) struct Claim {
    wanted: AtomicBool,
    running: watch::Sender<usize>,
}

impl Claim {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            wanted: AtomicBool::new(true),
            running: watch::Sender::new(0),
        })
    }

    /// Whether jobs are still wanted.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::SeqCst)
    }

    /// Begins a try; `None` when it is not wanted any more.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Running> {
        self.running.send_modify(|running| *running += 1);
        let running = Running(Arc::clone(self));
        self.is_wanted().then_some(running)
    }

    /// Lets no further try begin, and waits for those under way.
    pub(super) async fn withdraw(&self) {
        self.wanted.store(false, Ordering::SeqCst);
        let mut running = self.running.subscribe();
        // The sender lives in `self`: it cannot be gone.
        let _ended = running.wait_for(|running| *running == 0).await;
    }
}

/// A try under way.
#[derive(Debug)]
pub(super) struct Running(Arc<Claim>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0
            .running
            .send_modify(|running| *running = running.saturating_sub(1));
    }
}
