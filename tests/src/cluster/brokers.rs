//! The brokers: each serves one request after another; what is asked of the log happens when it is served.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_actors::owner::{Ask, Told};

use super::{Cluster, Costs, Event};

/// Bytes of a journal record, about.
const JOURNAL_BYTES: u64 = 100;

/// When each broker is free, and what was published when.
pub(super) struct Brokers {
    costs: Costs,
    free: Vec<u64>,
    busy: Vec<u64>,
    published: BTreeMap<u32, u64>,
    longest: u64,
    last: u64,
}

impl Brokers {
    pub(super) fn new(count: usize, costs: Costs) -> Self {
        Self {
            costs,
            free: vec![0; count.max(1)],
            busy: vec![0; count.max(1)],
            published: BTreeMap::new(),
            longest: 0,
            last: 0,
        }
    }

    /// When a request that is sent now has been served.
    fn serve(&mut self, now: u64, shard: u32, bytes: u64) -> u64 {
        let broker = shard as usize % self.free.len();
        let takes = self.costs.request_ns + bytes * self.costs.kilobyte_ns / 1024;
        let arrives = now + self.costs.round_trip_ns / 2;
        let served = self.free[broker].max(arrives) + takes;
        self.free[broker] = served;
        self.busy[broker] += takes;
        served
    }

    fn note_publication(&mut self, shard: u32, now: u64) {
        let before = self.published.insert(shard, now).unwrap_or(0);
        self.longest = self.longest.max(now - before);
        self.last = now;
    }

    pub(super) const fn last_publication(&self) -> u64 {
        self.last
    }

    pub(super) fn busiest(&self) -> Duration {
        Duration::from_nanos(self.busy.iter().copied().max().unwrap_or(0))
    }

    pub(super) const fn longest_pause(&self) -> Duration {
        Duration::from_nanos(self.longest)
    }
}

/// Bytes that an ask moves.
fn bytes(ask: &Ask) -> u64 {
    match ask {
        Ask::Publish(publish) => publish
            .outputs
            .iter()
            .map(|output| output.record.value.as_ref().map_or(0, |value| value.len()) as u64 + 200)
            .sum(),
        // An event is about 200 bytes in the log.
        Ask::ReadSources(ranges) => ranges
            .iter()
            .map(|range| (range.to - range.from).unsigned_abs() * 200)
            .sum(),
        Ask::Keep { bytes, .. } => bytes.len() as u64,
        _ => JOURNAL_BYTES,
    }
}

impl Cluster {
    /// Sends asks on their way.
    pub(super) fn send(&mut self, from: (usize, u64), shard: u32, asks: Vec<Ask>) {
        for ask in asks {
            let served = self.brokers.serve(self.now, shard, bytes(&ask));
            self.at(served, Event::Land { from, shard, ask });
        }
    }

    /// Carries an ask out, also one of a worker that is no more: it was on its way.
    pub(super) fn land(&mut self, from: (usize, u64), shard: u32, ask: Ask) {
        let Some(world) = self.worlds.get_mut(shard as usize) else {
            return;
        };
        let publishes = matches!(ask, Ask::Publish(_));
        let told: Told = world.carry_out(ask, from, false);
        if publishes {
            self.brokers.note_publication(shard, self.now);
        }
        let back = self.now + self.plan.costs.round_trip_ns / 2;
        let at = from;
        self.at(back, Event::Arrive { at, shard, told });
    }
}
