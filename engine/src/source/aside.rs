//! A lane whose partition another worker has: it makes no events, but watches how far they are, because what is still to be
//! brought in keeps the clocks of the shards here back as well.

use std::collections::VecDeque;
use std::time::Duration;

use tidegate_actors::port::PortErrorKind;
use tidegate_proto::record::Offset;
use tidegate_proto::time::Timestamp;
use tokio::time::Instant;

use super::lane::Lane;

/// How often it is looked how far the other worker is, while there is something to bring in.
const LOOK: Duration = Duration::from_millis(200);
/// Records ahead of the other worker whose times are remembered.
const AHEAD: usize = 10_000;

/// Records that the other worker has not brought in, oldest first.
pub(super) struct Aside {
    waiting: VecDeque<(Offset, Timestamp)>,
    /// Next offset to look at.
    at: Option<Offset>,
    /// How far the other worker was last, and since when.
    done: (Offset, Instant),
}

impl Aside {
    pub(super) fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            at: None,
            done: (-1, Instant::now()),
        }
    }

    /// Looks once, and waits a moment.
    pub(super) async fn look(&mut self, lane: &Lane) -> Result<(), String> {
        let hold = lane.world.gateways.hold();
        if self.at.is_none() || !self.waiting.is_empty() {
            self.progress(lane).await?;
        }
        if self.waiting.len() < AHEAD {
            self.read(lane).await?;
        }
        let Some((_, time)) = self.waiting.front() else {
            hold.release(&lane.holder());
            lane.tell(Some(0), None);
            let at = self.at.unwrap_or_default();
            let place = lane.place();
            let grown = lane.world.log.grown(&place, at);
            return match tokio::time::timeout(LOOK, grown).await {
                Ok(Err(error)) => Err(error.to_string()),
                Ok(Ok(())) | Err(_) => Ok(()),
            };
        };
        if self.done.1.elapsed() >= lane.world.settings.patience.duration() {
            hold.release(&lane.holder());
        } else {
            hold.hold(&lane.holder(), *time);
        }
        lane.tell(Some(self.waiting.len() as u64), None);
        tokio::time::sleep(LOOK).await;
        Ok(())
    }

    /// What the other worker has brought in since.
    async fn progress(&mut self, lane: &Lane) -> Result<(), String> {
        let done = lane.done().await?;
        if done > self.done.0 || self.waiting.is_empty() {
            self.done = (done, Instant::now());
        }
        self.at = self.at.max(Some(done));
        while self
            .waiting
            .front()
            .is_some_and(|(offset, _)| *offset < done)
        {
            self.waiting.pop_front();
        }
        Ok(())
    }

    async fn read(&mut self, lane: &Lane) -> Result<(), String> {
        let (place, at) = (lane.place(), self.at.unwrap_or_default());
        let limit = lane.world.settings.read;
        match lane.world.log.read(&place, at, limit).await {
            Ok(slice) => {
                let entries = slice.entries.iter();
                if self.waiting.is_empty() {
                    self.done.1 = Instant::now();
                }
                self.waiting
                    .extend(entries.map(|entry| (entry.offset, Timestamp(entry.record.timestamp))));
                let next = slice.entries.last().map(|entry| entry.offset + 1);
                self.at = next.or(self.at);
                Ok(())
            }
            Err(error) if error.kind == PortErrorKind::OutOfRange => {
                self.at = Some(lane.skip(at).await?);
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }
}
