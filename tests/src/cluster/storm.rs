//! Storms: workers are killed, frozen or told to go, from one to all of them at once, and come back after a while.

use super::{Cluster, Event};

const SECOND: u64 = 1_000_000_000;

impl Cluster {
    /// Takes workers away, and has the next storm follow while there is something to take.
    pub(super) fn storm(&mut self) {
        let all = self.plan.workers;
        // One, a few, half, all.
        let size = match self.random.below(4) {
            0 => 1,
            1 => all.div_ceil(8),
            2 => all.div_ceil(2),
            _ => all,
        };
        let first = self.random.below(all as u64) as usize;
        let kind = self.random.below(3);
        for place in 0..size {
            let worker = (first + place) % all;
            // Whoever is gone already is left alone.
            if !self.members.has(worker) || self.is_frozen(worker) {
                continue;
            }
            match kind {
                0 => self.kill(worker),
                1 => self.freeze(worker),
                _ => self.roll(worker),
            }
        }
        self.storms_left = self.storms_left.saturating_sub(1);
        if self.storms_left > 0 {
            let pause = SECOND / 2 + self.random.below(6 * SECOND);
            self.at(self.now + pause, Event::Storm);
        }
    }

    fn is_frozen(&self, worker: usize) -> bool {
        let known = self.workers.get(worker);
        known.is_some_and(|known| known.frozen > self.now)
    }

    /// `kill -9`: the group hears nothing for a session timeout, unless a new process comes before.
    fn kill(&mut self, worker: usize) {
        let Some(known) = self.workers.get_mut(worker) else {
            return;
        };
        let dead = known.life;
        known.die();
        let life = known.life;
        let silent = self.now + self.plan.costs.session_ns;
        self.at(silent, Event::Silent { worker, life: dead });
        let back = silent + self.random.below(3 * SECOND);
        self.at(back + 1, Event::Join { worker, life });
    }

    /// SIGSTOP, for less or more than a session: what waits for its core is done when it wakes.
    fn freeze(&mut self, worker: usize) {
        let sleeps = SECOND + self.random.below(3 * self.plan.costs.session_ns);
        let thaws = self.now + sleeps;
        let Some(known) = self.workers.get_mut(worker) else {
            return;
        };
        known.frozen = thaws;
        let life = known.life;
        let silent = self.now + self.plan.costs.session_ns;
        if silent < thaws {
            self.at(silent, Event::Silent { worker, life });
            // It hears that it is in the group no more with the first round after that, and comes again.
            let heard = thaws + self.plan.costs.rebalance_ns;
            self.at(heard, Event::Join { worker, life });
        }
    }

    /// Told to go, and started again: its shards are let go at once.
    fn roll(&mut self, worker: usize) {
        let Some(known) = self.workers.get_mut(worker) else {
            return;
        };
        known.die();
        let life = known.life;
        self.leave(worker);
        let back = self.now + SECOND / 2 + self.random.below(2 * SECOND);
        self.at(back, Event::Join { worker, life });
    }
}
