//! [`Stream`]: what was fetched of one partition and not yet taken, bounded; where the fetching thread and the readers meet.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidegate_actors::port::{Entry, PortError, PortErrorKind, ReadLimit, Slice, TopicPartition};
use tidegate_proto::record::{Offset, Record};
use tokio::sync::Notify;

use super::batch::{Event, Message};
use super::context::kind_of;

/// Longest wait for the brokers before a read says that they do not answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the fetching thread must do after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Go on.
    Nothing,
    /// Fetch no more of the partition until it is asked to.
    Pause,
}

#[derive(Debug)]
struct State {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Offset after what was fetched.
    fetched: Offset,
    /// Offset after what was taken: where the next reader of this stream must want to go on.
    taken: Offset,
    at_end: bool,
    /// Where the brokers said that the end is; behind the last record if others' transactions ended there.
    end: Offset,
    failed: Option<PortError>,
    paused: bool,
    limit: ReadLimit,
    /// Readers that have it in hand.
    readers: usize,
    used: Instant,
    closed: bool,
    names: Vec<Arc<str>>,
}

/// What was fetched of one partition.
#[derive(Debug)]
pub(super) struct Stream {
    place: TopicPartition,
    state: Mutex<State>,
    changed: Notify,
}

/// A reader's hold on a stream: nobody closes it meanwhile.
#[derive(Debug)]
pub(super) struct Lease(Arc<Stream>);

impl Stream {
    /// A stream that begins at an offset and holds so much at most, and the hold of its first reader.
    pub(super) fn begin(place: TopicPartition, at: Offset, limit: ReadLimit) -> Lease {
        Lease(Arc::new(Self {
            place,
            state: Mutex::new(State {
                entries: VecDeque::new(),
                bytes: 0,
                fetched: at,
                taken: at,
                at_end: false,
                end: at,
                failed: None,
                paused: false,
                limit,
                readers: 1,
                used: Instant::now(),
                closed: false,
                names: Vec::new(),
            }),
            changed: Notify::new(),
        }))
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
            state.entries.clear();
        }
        state.closed
    }

    /// Takes what happened to the partition.
    pub(super) fn happened(&self, event: Event<'_>) -> After {
        let mut state = self.state();
        match event {
            Event::Message(message) => {
                // Twice is not possible by the protocol; a hole is (transactions, compaction), so only order is kept.
                if message.offset < state.fetched {
                    return After::Nothing;
                }
                state.fetched = message.offset + 1;
                state.at_end = false;
                let entry = state.entry(&message);
                state.bytes += entry.record.size();
                state.entries.push_back(entry);
            }
            Event::End { offset } => {
                state.at_end = true;
                state.end = state.end.max(offset);
            }
            Event::Error { code, text } => {
                let kind = kind_of(code);
                if kind == PortErrorKind::Unavailable {
                    tracing::debug!(place = %self.place, %code, text, "fetching goes on by itself");
                    return After::Nothing;
                }
                let message = format!("reading {}: {text}", self.place);
                state.failed = Some(PortError::new(kind, message));
            }
        }
        let full = state.entries.len() >= state.limit.records || state.bytes >= state.limit.bytes;
        let after = if full && !state.paused {
            state.paused = true;
            After::Pause
        } else {
            After::Nothing
        };
        drop(state);
        self.changed.notify_waiters();
        after
    }

    /// Fails it: the consumer behind it is gone.
    pub(super) fn fail(&self, error: PortError) {
        self.state().failed = Some(error);
        self.changed.notify_waiters();
    }
}

impl State {
    fn entry(&mut self, message: &Message<'_>) -> Entry {
        let key = message.key.unwrap_or_default();
        let value = message.value.unwrap_or_default();
        // One allocation holds both.
        let mut both = Vec::with_capacity(key.len() + value.len());
        both.extend_from_slice(key);
        both.extend_from_slice(value);
        let both = Bytes::from(both);
        let mut headers = Vec::new();
        message.headers(|name, value| {
            let known = self.names.iter().find(|known| known.as_ref() == name);
            let name = known.cloned().unwrap_or_else(|| {
                let name: Arc<str> = Arc::from(name);
                // A topic has a handful of header names; more than that are not worth remembering.
                if self.names.len() < 32 {
                    self.names.push(Arc::clone(&name));
                }
                name
            });
            headers.push((name, Bytes::copy_from_slice(value)));
        });
        Entry {
            offset: message.offset,
            record: Record {
                key: message.key.map(|key| both.slice(..key.len())),
                value: message.value.map(|_| both.slice(key.len()..)),
                headers,
                timestamp: message.timestamp.max(0),
            },
        }
    }
}

impl Lease {
    /// The stream.
    pub(super) fn stream(&self) -> Arc<Stream> {
        Arc::clone(&self.0)
    }

    /// Waits until there is something or the end is reached; answers with it, and whether fetching must be resumed.
    pub(super) async fn take(&self, limit: ReadLimit) -> Result<(Slice, bool), PortError> {
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

    fn try_take(&self, limit: ReadLimit) -> Option<Result<(Slice, bool), PortError>> {
        let mut state = self.0.state();
        state.used = Instant::now();
        if state.entries.is_empty() {
            if let Some(error) = state.failed.clone() {
                return Some(Err(error));
            }
            let end = state.taken;
            let nothing = Slice {
                entries: Vec::new(),
                end,
            };
            return state.at_end.then_some(Ok((nothing, false)));
        }
        let mut entries = Vec::with_capacity(state.entries.len().min(limit.records));
        let mut bytes = 0;
        while entries.len() < limit.records.max(1) {
            let Some(size) = state.entries.front().map(|entry| entry.record.size()) else {
                break;
            };
            if !entries.is_empty() && bytes + size > limit.bytes {
                break;
            }
            bytes += size;
            entries.extend(state.entries.pop_front());
        }
        state.bytes -= bytes;
        state.taken = entries.last().map_or(state.taken, |entry| entry.offset + 1);
        let is_last = state.entries.is_empty() && state.at_end;
        // How far the end is nobody said; that it is not here is what a reader has to know.
        let end = if is_last {
            state.taken
        } else {
            state.taken + 1
        };
        let low =
            state.entries.len() * 2 <= state.limit.records && state.bytes * 2 <= state.limit.bytes;
        let resume = state.paused && low;
        if resume {
            state.paused = false;
        }
        Some(Ok((Slice { entries, end }, resume)))
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
                let state = self.0.state();
                if !state.entries.is_empty() {
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
