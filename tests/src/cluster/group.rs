//! The group: who is in it, which shard is whose, and what moves when somebody comes or goes. As few shards move as possible,
//! and one that moves from a worker that lives is let go there before it begins elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use super::worker::Job;
use super::{Cluster, Event};

/// Members and the shards that they shall have.
pub(super) struct Members {
    present: BTreeSet<usize>,
    owners: Vec<Option<usize>>,
}

/// A shard that moves: from whom, if that one lives, and to whom.
struct Move {
    shard: u32,
    from: Option<usize>,
    to: usize,
}

impl Members {
    pub(super) fn new(partitions: u32) -> Self {
        Self {
            present: BTreeSet::new(),
            owners: vec![None; partitions as usize],
        }
    }

    pub(super) fn owner_of(&self, shard: u32) -> Option<usize> {
        self.owners.get(shard as usize).copied().flatten()
    }

    pub(super) fn has(&self, worker: usize) -> bool {
        self.present.contains(&worker)
    }

    /// Hands out what nobody has, and evens out who has too much.
    fn even_out(&mut self) -> Vec<Move> {
        if self.present.is_empty() {
            return Vec::new();
        }
        let most = self.owners.len().div_ceil(self.present.len());
        let mut loads: BTreeMap<usize, usize> =
            self.present.iter().map(|worker| (*worker, 0)).collect();
        let mut moves = Vec::new();
        for (shard, owner) in (0_u32..).zip(&self.owners) {
            let living = owner.filter(|owner| self.present.contains(owner));
            match living.and_then(|owner| Some((owner, loads.get_mut(&owner)?))) {
                Some((_, load)) if *load < most => *load += 1,
                Some((owner, _)) => moves.push((shard, Some(owner))),
                None => moves.push((shard, None)),
            }
        }
        let place = |(shard, from)| {
            let (to, load) = loads.iter_mut().min_by_key(|(_, load)| **load)?;
            *load += 1;
            *self.owners.get_mut(shard as usize)? = Some(*to);
            Some(Move {
                shard,
                from,
                to: *to,
            })
        };
        moves.into_iter().filter_map(place).collect()
    }
}

impl Cluster {
    fn rebalance(&mut self) {
        let round = self.now + self.plan.costs.rebalance_ns;
        for Move { shard, from, to } in self.members.even_out() {
            match from {
                Some(from) => self.give(from, Job::Revoke(shard)),
                None => self.at(round, Event::Assign { worker: to, shard }),
            }
        }
    }

    /// A worker has let a shard go: whoever shall have it by now gets it with the next round.
    pub(super) fn let_go(&mut self, shard: u32) {
        let round = self.now + self.plan.costs.rebalance_ns;
        if let Some(worker) = self.members.owner_of(shard) {
            self.at(round, Event::Assign { worker, shard });
        }
    }

    pub(super) fn join(&mut self, worker: usize, life: u64) {
        let known = self.workers.get_mut(worker);
        let Some(known) = known.filter(|known| known.life == life) else {
            return;
        };
        known.up = true;
        self.drop_others(worker);
        if self.members.present.insert(worker) {
            self.rebalance();
        }
    }

    /// What a worker still owns that is another's by now is let go.
    fn drop_others(&mut self, worker: usize) {
        let Some(known) = self.workers.get(worker) else {
            return;
        };
        let shards: Vec<u32> = known.owners.keys().copied().collect();
        for shard in shards {
            if self.members.owner_of(shard) != Some(worker) {
                self.give(worker, Job::Revoke(shard));
            }
        }
    }

    /// A worker says that it goes.
    pub(super) fn leave(&mut self, worker: usize) {
        if !self.members.present.remove(&worker) {
            return;
        }
        self.rebalance();
        // It may have died before it let go what it was to let go.
        for shard in 0..self.plan.partitions {
            self.let_go(shard);
        }
    }

    /// A worker has said nothing for a session timeout: it is dead, or frozen.
    pub(super) fn silent(&mut self, worker: usize, life: u64) {
        let known = self.workers.get(worker);
        let silent = known.is_some_and(|known| known.life != life || known.frozen > self.now);
        if silent {
            self.leave(worker);
        }
    }
}
