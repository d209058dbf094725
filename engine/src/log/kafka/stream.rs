//! [`Stream`]: one partition as it is read, where librdkafka's queue and the readers meet. What is bounded is the queue: it
//! takes no more from the brokers than its settings allow, and a reader takes out what it wants.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidegate_actors::port::{Entry, PortError, PortErrorKind, ReadLimit, Slice, TopicPartition};
use tidegate_proto::record::Offset;
use tokio::sync::Notify;

use super::batch::{Event, PartitionQueue};
use super::context::{Plain, kind_of};
use super::packing::Packing;

/// Longest wait for the brokers before a read says that they do not answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Enough to know that there is something.
const ONE: ReadLimit = ReadLimit {
    records: 1,
    bytes: 1,
};

#[derive(Debug)]
struct State {
    /// `None` until the partition is assigned, and after it was taken away.
    queue: Option<PartitionQueue<Plain>>,
    /// Taken out of the queue for a reader that had to leave them.
    left: VecDeque<Entry>,
    /// Where the stream began.
    begun: Offset,
    /// Offset after what was taken out of the queue.
    fetched: Offset,
    /// Offset after what a reader has: where the next reader of this stream must want to go on.
    taken: Offset,
    at_end: bool,
    /// Where the brokers said that the end is; behind the last record if others' transactions ended there.
    end: Offset,
    failed: Option<PortError>,
    /// Readers that have it in hand.
    readers: usize,
    used: Instant,
    closed: bool,
    packing: Packing,
}

/// What was fetched of one partition.
#[derive(Debug)]
pub(super) struct Stream {
    place: TopicPartition,
    state: Mutex<State>,
    changed: Arc<Notify>,
}

/// A reader's hold on a stream: nobody closes it meanwhile.
#[derive(Debug)]
pub(super) struct Lease(Arc<Stream>);

impl Stream {
    /// A stream that begins at an offset of a partition that ends at `end`, and the hold of its first reader.
    pub(super) fn begin(place: TopicPartition, at: Offset, end: Offset) -> Lease {
        Lease(Arc::new(Self {
            place,
            state: Mutex::new(State {
                queue: None,
                left: VecDeque::new(),
                begun: at,
                fetched: at,
                taken: at,
                at_end: at >= end,
                end,
                failed: None,
                readers: 1,
                used: Instant::now(),
                closed: false,
                packing: Packing::default(),
            }),
            changed: Arc::new(Notify::new()),
        }))
    }

    /// What is told when there is something to take.
    pub(super) const fn changed(&self) -> &Arc<Notify> {
        &self.changed
    }

    /// From here on it is filled by a queue.
    pub(super) fn fill_from(&self, queue: PartitionQueue<Plain>) {
        self.state().queue = Some(queue);
        // What came before was told to nobody.
        self.changed.notify_waiters();
    }

    /// Takes no more from its queue: the partition is taken away.
    pub(super) fn close(&self) {
        let queue = self.state().queue.take();
        drop(queue);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A hold on the stream if it is free and goes on at `offset`.
    pub(super) fn lease(self: &Arc<Self>, offset: Offset) -> Option<Lease> {
        let mut state = self.state();
        if state.taken != offset || state.readers > 0 || state.failed.is_some() || state.closed {
            return None;
        }
        state.readers += 1;
        drop(state);
        Some(Lease(Arc::clone(self)))
    }

    /// Closes it if nobody has used it for so long, or if it has failed; whoever asks next gets another one.
    pub(super) fn close_if_idle(&self, idle: Duration) -> bool {
        let mut state = self.state();
        let idle = state.used.elapsed() >= idle || state.failed.is_some();
        if state.readers == 0 && idle {
            state.closed = true;
            state.left.clear();
        }
        state.closed
    }

    /// Fails it: the consumer behind it is gone.
    pub(super) fn fail(&self, error: PortError) {
        self.state().failed = Some(error);
        self.changed.notify_waiters();
    }
}

impl State {
    /// Takes out of the queue until a reader with this limit has enough, or it is empty.
    fn fill(&mut self, limit: ReadLimit, place: &TopicPartition) {
        let Some(mut queue) = self.queue.take() else {
            return;
        };
        let mut bytes: usize = self.left.iter().map(|entry| entry.record.size()).sum();
        while self.left.len() < limit.records && bytes < limit.bytes {
            let before = self.left.len();
            let most = limit.records - before;
            let count = queue.take(most, |event| self.happened(event, place));
            self.packing.finish(&mut self.left);
            bytes += self
                .left
                .iter()
                .skip(before)
                .map(|entry| entry.record.size())
                .sum::<usize>();
            if count == 0 {
                // Only an answer to this very stream says where the end is.
                self.at_end |= self.fetched > self.begun && queue.is_at_end(self.fetched);
                break;
            }
        }
        self.queue = Some(queue);
    }

    fn happened(&mut self, event: Event<'_>, place: &TopicPartition) {
        match event {
            Event::Message(message) => {
                // Twice is not possible by the protocol; a hole is (transactions, compaction), so only order is kept.
                if message.offset >= self.fetched {
                    self.fetched = message.offset + 1;
                    self.at_end = false;
                    self.packing.add(&message, &mut self.left);
                }
            }
            Event::End { offset } => {
                self.at_end = true;
                self.end = self.end.max(offset);
            }
            Event::Error { code, text } => {
                let kind = kind_of(code);
                if kind == PortErrorKind::Unavailable {
                    tracing::debug!(%place, %code, text, "fetching goes on by itself");
                } else {
                    let message = format!("reading {place}: {text}");
                    self.failed = Some(PortError::new(kind, message));
                }
            }
        }
    }

    /// As much of what is left as a limit allows, but one at least.
    fn within(&mut self, limit: ReadLimit) -> Vec<Entry> {
        let mut bytes = 0;
        let fits = |(number, entry): &(usize, &Entry)| {
            bytes += entry.record.size();
            *number == 0 || (*number < limit.records && bytes <= limit.bytes)
        };
        let count = self.left.iter().enumerate().take_while(fits).count();
        let rest = self.left.split_off(count);
        std::mem::replace(&mut self.left, rest).into()
    }
}

impl Lease {
    /// The stream.
    pub(super) fn stream(&self) -> Arc<Stream> {
        Arc::clone(&self.0)
    }

    /// Waits until there is something or the end is reached, and answers with it.
    pub(super) async fn take(&self, limit: ReadLimit) -> Result<Slice, PortError> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            // Registered before the look: what happens after it wakes us.
            changed.as_mut().enable();
            if let Some(taken) = self.try_take(limit) {
                return taken;
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                let message = format!("reading {}: the brokers do not answer", self.0.place);
                return Err(PortError::new(PortErrorKind::Unavailable, message));
            }
        }
    }

    fn try_take(&self, limit: ReadLimit) -> Option<Result<Slice, PortError>> {
        let mut state = self.0.state();
        state.used = Instant::now();
        state.fill(limit, &self.0.place);
        if state.left.is_empty() {
            if let Some(error) = state.failed.clone() {
                return Some(Err(error));
            }
            let end = state.taken;
            let nothing = Slice {
                entries: Vec::new(),
                end,
            };
            return state.at_end.then_some(Ok(nothing));
        }
        let entries = state.within(limit);
        state.taken = entries.last().map_or(state.taken, |entry| entry.offset + 1);
        let is_last = state.left.is_empty() && state.at_end;
        // How far the end is nobody said; that it is not here is what a reader has to know.
        let end = if is_last {
            state.taken
        } else {
            state.taken + 1
        };
        Some(Ok(Slice { entries, end }))
    }

    /// How far the partition goes, by what the brokers brought.
    pub(super) fn known_end(&self) -> Offset {
        let state = self.0.state();
        state.fetched.max(state.end)
    }

    /// Waits until there is something to take.
    pub(super) async fn grown(&self) -> Result<(), PortError> {
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut state = self.0.state();
                state.fill(ONE, &self.0.place);
                if !state.left.is_empty() {
                    return Ok(());
                }
                if let Some(error) = state.failed.clone() {
                    return Err(error);
                }
            }
            changed.await;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.readers -= 1;
        state.used = Instant::now();
    }
}
