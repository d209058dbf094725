//! From a partition into the bounded queues of the lanes: what a full lane does not take waits here, in order, and
//! nobody else behind it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc::OwnedPermit;

use super::job::Job;
use super::lane::LaneDoor;

/// A place in the queue of a lane; `None` if the lane is gone.
pub(super) type Placed = (Arc<str>, Option<OwnedPermit<Job>>);

/// Jobs of one partition on their way into lanes.
#[derive(Default)]
pub(super) struct Forward {
    waiting: BTreeMap<Arc<str>, VecDeque<Job>>,
    /// One place asked for in the queue of every lane that jobs wait for.
    asked: FuturesUnordered<BoxFuture<'static, Placed>>,
}

impl Forward {
    /// To the lane, or behind those that wait for a place in it.
    pub(super) fn send(&mut self, handler: Arc<str>, door: &LaneDoor, job: Job) {
        if let Some(queue) = self.waiting.get_mut(&handler) {
            queue.push_back(job);
        } else if let Err(full) = door.queue.try_send(job) {
            let queue = VecDeque::from([full.into_inner()]);
            self.waiting.insert(Arc::clone(&handler), queue);
            self.ask(handler, door);
        }
    }

    /// The next place that became free; `None` if nothing waits.
    pub(super) async fn free_place(&mut self) -> Option<Placed> {
        self.asked.next().await
    }

    /// Uses a place that became free.
    pub(super) fn fill(&mut self, (handler, place): Placed, door: Option<&LaneDoor>) {
        let Some(queue) = self.waiting.get_mut(&handler) else {
            return;
        };
        if let (Some(place), Some(job)) = (place, queue.pop_front()) {
            place.send(job);
            if let Some(door) = door.filter(|_| !queue.is_empty()) {
                self.ask(handler, door);
                return;
            }
        }
        self.waiting.remove(&handler);
    }

    fn ask(&self, handler: Arc<str>, door: &LaneDoor) {
        let queue = door.queue.clone();
        self.asked.push(Box::pin(async move {
            let place = queue.reserve_owned().await.ok();
            (handler, place)
        }));
    }
}
