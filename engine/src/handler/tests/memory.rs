//! A log in memory whose appends can be made to fail.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tidegate_actors::port::{
    Bounds, Entry, EventLog, PortError, PortErrorKind, PortFuture, Publication, ReadLimit, Slice,
    TopicPartition, TopicSettings,
};
use tidegate_proto::record::{Offset, Record, Topic};
use tokio::sync::watch;

#[derive(Default)]
struct State {
    records: BTreeMap<TopicPartition, Vec<Record>>,
    starts: BTreeMap<TopicPartition, Offset>,
    committed: BTreeMap<(String, TopicPartition), Offset>,
    held: BTreeMap<TopicPartition, Offset>,
    failing: Vec<PortErrorKind>,
}

pub(super) struct MemoryLog {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }
}

impl MemoryLog {
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let answer = change(&mut self.state.lock().unwrap());
        self.changed.send_modify(|version| *version += 1);
        answer
    }

    fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock().unwrap())
    }

    pub(super) fn push(&self, to: &TopicPartition, records: Vec<Record>) -> Offset {
        self.change(|state| {
            let all = state.records.entry(to.clone()).or_default();
            let first = Offset::try_from(all.len()).unwrap();
            all.extend(records);
            first
        })
    }

    pub(super) fn all(&self, of: &TopicPartition) -> Vec<Record> {
        self.look(|state| state.records.get(of).cloned().unwrap_or_default())
    }

    pub(super) fn committed_now(&self, group: &str, of: &TopicPartition) -> Option<Offset> {
        let key = (group.to_owned(), of.clone());
        self.look(|state| state.committed.get(&key).copied())
    }

    pub(super) fn held_now(&self, of: &TopicPartition) -> Option<Offset> {
        self.look(|state| state.held.get(of).copied())
    }

    /// Removes the records before an offset, as retention does.
    pub(super) fn retire(&self, of: &TopicPartition, before: Offset) {
        self.change(|state| state.starts.insert(of.clone(), before));
    }

    /// Lets the next appends fail, one with each of these, the last first.
    pub(super) fn fail(&self, kinds: &[PortErrorKind]) {
        self.change(|state| state.failing.extend(kinds));
    }

    /// Waits until something holds after a change of the log.
    async fn wait(&self, holds: impl Fn() -> bool) {
        let mut changed = self.changed.subscribe();
        while !holds() {
            changed.changed().await.unwrap();
        }
    }

    /// Waits until something holds, but not for ever: on a paused clock the time passes at once when nothing happens.
    pub(super) async fn expect(&self, holds: impl Fn() -> bool) {
        let days = Duration::from_secs(3 * 86_400);
        tokio::time::timeout(days, self.wait(holds))
            .await
            .expect("it never happened");
    }

    fn bounds_now(&self, of: &TopicPartition) -> Bounds {
        self.look(|state| Bounds {
            start: state.starts.get(of).copied().unwrap_or(0),
            end: Offset::try_from(state.records.get(of).map_or(0, Vec::len)).unwrap(),
        })
    }
}

impl EventLog for MemoryLog {
    fn create_topic(&self, _topic: &Topic, settings: TopicSettings) -> PortFuture<'_, u32> {
        Box::pin(async move { Ok(settings.partitions) })
    }

    fn partitions(&self, _topic: &Topic) -> PortFuture<'_, Option<u32>> {
        Box::pin(async { Ok(Some(super::PARTITIONS)) })
    }

    fn append(&self, to: &TopicPartition, records: Vec<Record>) -> PortFuture<'_, Offset> {
        let to = to.clone();
        Box::pin(async move {
            match self.change(|state| state.failing.pop()) {
                Some(kind) => Err(PortError::new(kind, "scripted")),
                None => Ok(self.push(&to, records)),
            }
        })
    }

    fn publish(&self, _publication: Publication) -> PortFuture<'_, ()> {
        Box::pin(async {
            Err(PortError::new(
                PortErrorKind::Closed,
                "nobody publishes here",
            ))
        })
    }

    fn read(
        &self,
        from: &TopicPartition,
        offset: Offset,
        limit: ReadLimit,
    ) -> PortFuture<'_, Slice> {
        let from = from.clone();
        Box::pin(async move {
            let bounds = self.bounds_now(&from);
            if offset < bounds.start || offset > bounds.end {
                return Err(PortError::new(PortErrorKind::OutOfRange, "out of range"));
            }
            let skipped = usize::try_from(offset).unwrap();
            let entries = (offset..)
                .zip(self.all(&from).into_iter().skip(skipped))
                .take(limit.records)
                .map(|(offset, record)| Entry { offset, record })
                .collect();
            Ok(Slice {
                entries,
                end: bounds.end,
            })
        })
    }

    fn bounds(&self, of: &TopicPartition) -> PortFuture<'_, Bounds> {
        let bounds = self.bounds_now(of);
        Box::pin(async move { Ok(bounds) })
    }

    fn grown(&self, of: &TopicPartition, offset: Offset) -> PortFuture<'_, ()> {
        let of = of.clone();
        Box::pin(async move {
            self.wait(|| self.bounds_now(&of).end > offset).await;
            Ok(())
        })
    }

    fn committed(&self, group: &str, of: &TopicPartition) -> PortFuture<'_, Option<Offset>> {
        let committed = self.committed_now(group, of);
        Box::pin(async move { Ok(committed) })
    }

    fn commit(&self, group: &str, offsets: Vec<(TopicPartition, Offset)>) -> PortFuture<'_, ()> {
        let group = group.to_owned();
        Box::pin(async move {
            self.change(|state| {
                for (of, offset) in offsets {
                    state.committed.insert((group.clone(), of), offset);
                }
            });
            Ok(())
        })
    }

    fn hold(&self, of: &TopicPartition, offset: Offset) -> PortFuture<'_, ()> {
        let of = of.clone();
        Box::pin(async move {
            self.change(|state| state.held.insert(of, offset));
            Ok(())
        })
    }
}
