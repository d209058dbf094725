//! [`ClockHold`]: how far the clock of the shards may go while gateways lag.
//!
//! A shard's clock must not pass what is still to be read, or the rows of a backlog would come late. Of its own sources it
//! knows; what a gateway has not yet brought to the inbox is told here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidegate_actors::port::Clock;
use tidegate_proto::record::Partition;
use tidegate_proto::time::Timestamp;

/// Who keeps the clock back: a source, one of its partitions.
pub(super) type Holder = (Arc<str>, Partition);

#[derive(Debug, Default)]
struct Held {
    /// Nobody has looked yet which gateways there are.
    is_starting: bool,
    holders: BTreeMap<Holder, Timestamp>,
}

/// How far the clock may go; clones share it.
#[derive(Clone, Debug)]
pub struct ClockHold(Arc<Mutex<Held>>);

impl Default for ClockHold {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Held {
            is_starting: true,
            holders: BTreeMap::new(),
        })))
    }
}

impl ClockHold {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every gateway that there is has said how far it is: from here on only they keep the clock back.
    pub(super) fn started(&self) {
        self.held().is_starting = false;
    }

    /// The clock may not pass this time because of one partition of a source.
    pub(super) fn hold(&self, holder: &Holder, at: Timestamp) {
        self.held().holders.insert(holder.clone(), at);
    }

    /// A partition is at its end, gone, or given up for now.
    pub(super) fn release(&self, holder: &Holder) {
        self.held().holders.remove(holder);
    }

    /// The latest time that the clock may show; `None`: any.
    #[must_use]
    pub fn floor(&self) -> Option<Timestamp> {
        let held = self.held();
        if held.is_starting {
            return Some(Timestamp::MIN);
        }
        held.holders.values().min().copied()
    }
}

/// Wall time that waits for gateways.
#[derive(Clone)]
pub struct HeldClock {
    wall: Arc<dyn Clock>,
    hold: ClockHold,
}

impl std::fmt::Debug for HeldClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HeldClock")
            .field("hold", &self.hold)
            .finish_non_exhaustive()
    }
}

impl HeldClock {
    /// A clock that never passes what is held.
    #[must_use]
    pub fn new(wall: Arc<dyn Clock>, hold: ClockHold) -> Self {
        Self { wall, hold }
    }
}

impl Clock for HeldClock {
    fn now(&self) -> Timestamp {
        let now = self.wall.now();
        self.hold.floor().map_or(now, |floor| floor.min(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct At(i64);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            Timestamp(self.0)
        }
    }

    #[test]
    fn the_clock_waits_for_the_furthest_behind() {
        let hold = ClockHold::default();
        let clock = HeldClock::new(Arc::new(At(100)), hold.clone());
        assert_eq!(clock.now(), Timestamp::MIN);
        hold.started();
        assert_eq!(clock.now(), Timestamp(100));
        let (a, b): (Holder, Holder) = (("a".into(), 0), ("a".into(), 1));
        hold.hold(&a, Timestamp(50));
        hold.hold(&b, Timestamp(70));
        assert_eq!(clock.now(), Timestamp(50));
        hold.hold(&a, Timestamp(200));
        assert_eq!(clock.now(), Timestamp(70));
        hold.release(&b);
        assert_eq!(clock.now(), Timestamp(100));
    }
}
