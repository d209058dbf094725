//! A worker: one core, the owners of its shards, and what waits for the core.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use tidegate_actors::epoch::IntakeRecord;
use tidegate_actors::owner::{Ask, Owner, OwnerSettings, Phase, Told};
use tidegate_actors::shard::Shard;
use tidegate_proto::record::OffsetRange;
use tidegate_proto::time::Timestamp;

use super::{Cluster, Event};

/// Wait before an owner that was fenced or lost tries again, ns.
const AGAIN: u64 = 100_000_000;

/// What a core does next.
#[derive(Debug)]
pub(super) enum Job {
    /// Take an answer to the owner of a start.
    Tell(u32, u64, Told),
    /// Begin an epoch.
    Begin(u32),
    /// Begin to own a shard.
    Own(u32),
    /// Let a shard go.
    Revoke(u32),
}

/// One process.
#[derive(Debug, Default)]
pub(super) struct Worker {
    /// Counts up with every death.
    pub(super) life: u64,
    /// Whether there is a process.
    pub(super) up: bool,
    /// Virtual time until which it does nothing.
    pub(super) frozen: u64,
    pub(super) owners: BTreeMap<u32, Owner<Shard>>,
    /// Which start of each owner this is, among all starts: answers to an earlier one are nobody's.
    starts: BTreeMap<u32, u64>,
    jobs: VecDeque<Job>,
    /// Shards whose next epoch waits for the core.
    waiting: BTreeSet<u32>,
    /// Whether its core has something to do.
    awake: bool,
    spent: u64,
}

impl Worker {
    /// Virtual time of its core.
    pub(super) const fn spent(&self) -> Duration {
        Duration::from_nanos(self.spent)
    }

    /// Its memory is gone.
    pub(super) fn die(&mut self) {
        self.life += 1;
        self.up = false;
        self.owners.clear();
        self.starts.clear();
        self.jobs.clear();
        self.waiting.clear();
    }
}

/// Lines that an ask has.
fn lines(ask: &Ask) -> usize {
    match ask {
        Ask::Publish(publish) => publish.outputs.len(),
        _ => 0,
    }
}

impl Cluster {
    /// Gives a core something to do.
    pub(super) fn give(&mut self, worker: usize, job: Job) {
        let now = self.now;
        let Some(known) = self.workers.get_mut(worker).filter(|known| known.up) else {
            return;
        };
        known.jobs.push_back(job);
        if !known.awake {
            known.awake = true;
            self.at(now, Event::Wake(worker));
        }
    }

    pub(super) fn arrive(&mut self, at: (usize, u64), shard: u32, told: Told) {
        if self.is_of(at, shard) {
            self.give(at.0, Job::Tell(shard, at.1, told));
        }
    }

    /// Whether a worker's owner of a shard still is the one of that start.
    fn is_of(&self, (worker, start): (usize, u64), shard: u32) -> bool {
        let known = self.workers.get(worker);
        known.is_some_and(|known| known.starts.get(&shard) == Some(&start))
    }

    pub(super) fn assign(&mut self, worker: usize, shard: u32) {
        let shall = self.members.owner_of(shard) == Some(worker) && self.members.has(worker);
        let has = |known: &Worker| known.owners.contains_key(&shard);
        if shall && !self.workers.get(worker).is_some_and(has) {
            self.give(worker, Job::Own(shard));
        }
    }

    pub(super) fn again(&mut self, at: (usize, u64), shard: u32) {
        if self.is_of(at, shard) && self.members.owner_of(shard) == Some(at.0) {
            self.give(at.0, Job::Own(shard));
        }
    }

    /// The core takes the next thing; it is free again when that is done.
    pub(super) fn wake(&mut self, worker: usize) -> Result<(), String> {
        let now = self.now;
        let Some(known) = self.workers.get_mut(worker) else {
            return Ok(());
        };
        if known.frozen > now {
            let thaws = known.frozen;
            self.at(thaws, Event::Wake(worker));
            return Ok(());
        }
        let Some(job) = known.jobs.pop_front() else {
            known.awake = false;
            return Ok(());
        };
        let began = Instant::now();
        let costs = self.work(worker, job)?;
        self.outcome.real += began.elapsed();
        if let Some(known) = self.workers.get_mut(worker) {
            known.spent += costs;
        }
        self.at(now + costs, Event::Wake(worker));
        Ok(())
    }

    /// Does one thing; answers what it costs.
    fn work(&mut self, worker: usize, job: Job) -> Result<u64, String> {
        let costs = self.plan.costs;
        let shard = match &job {
            Job::Tell(shard, ..) | Job::Begin(shard) | Job::Own(shard) | Job::Revoke(shard) => {
                *shard
            }
        };
        let spent = match job {
            Job::Own(_) => {
                if self.may_start(worker, shard) {
                    self.own(worker, shard);
                }
                costs.turn_ns
            }
            Job::Revoke(_) => {
                if let Some(known) = self.workers.get_mut(worker) {
                    known.owners.remove(&shard);
                    known.starts.remove(&shard);
                }
                self.let_go(shard);
                return Ok(costs.turn_ns);
            }
            Job::Tell(_, start, _) if !self.is_of((worker, start), shard) => 0,
            Job::Tell(_, start, told) => {
                // What is replayed is work as well.
                let replayed = match &told {
                    Told::Sources(Ok(records)) => records.len() as u64,
                    _ => 0,
                };
                let owner = self.owner_mut(worker, shard);
                let asks = owner.map(|owner| owner.told(told)).unwrap_or_default();
                let said: usize = asks.iter().map(lines).sum();
                self.send((worker, start), shard, asks);
                costs.turn_ns + replayed * costs.record_ns + said as u64 * costs.line_ns
            }
            Job::Begin(_) => self.begin(worker, shard),
        };
        self.look(worker, shard)?;
        Ok(spent)
    }

    fn owner_mut(&mut self, worker: usize, shard: u32) -> Option<&mut Owner<Shard>> {
        self.workers.get_mut(worker)?.owners.get_mut(&shard)
    }

    /// Two rounds of the group may have said the same.
    fn may_start(&self, worker: usize, shard: u32) -> bool {
        let known = self.workers.get(worker);
        let owner = known.and_then(|known| known.owners.get(&shard));
        let ended = |owner: &Owner<Shard>| matches!(owner.phase(), Phase::Lost | Phase::Fenced);
        self.members.owner_of(shard) == Some(worker) && owner.is_none_or(ended)
    }

    fn own(&mut self, worker: usize, shard: u32) {
        let second = self.now / 1_000_000_000;
        *self.starts.entry(second).or_default() += 1;
        self.outcome.takeovers += 1;
        let settings = OwnerSettings {
            name: format!("worker {worker}"),
            snapshot_epochs: 10,
            snapshot_records: 1_000_000,
            unpublished: 4,
            atomic_publish: false,
            breaks: self.plan.breaks,
        };
        let Some(plan) = self.shard_plans.get(shard as usize) else {
            return;
        };
        let shard_settings = plan.shard.clone();
        let Some(known) = self.workers.get_mut(worker) else {
            return;
        };
        let owner = known.owners.entry(shard).or_insert_with(|| {
            let make = move |bytes: Option<&[u8]>| match bytes {
                None => Ok(Shard::new(shard_settings.clone())),
                Some(bytes) => Shard::restore(shard_settings.clone(), bytes),
            };
            Owner::new(shard, settings, Box::new(make))
        });
        let start = self.outcome.takeovers;
        known.starts.insert(shard, start);
        let asks = owner.start();
        self.send((worker, start), shard, asks);
    }

    /// Looks at an owner after each of its turns: whether it may go on, or must begin anew.
    fn look(&mut self, worker: usize, shard: u32) -> Result<(), String> {
        let end = self
            .worlds
            .get(shard as usize)
            .map_or(0, |world| world.source.len() as i64);
        let Some(known) = self.workers.get_mut(worker) else {
            return Ok(());
        };
        let Some(owner) = known.owners.get(&shard) else {
            return Ok(());
        };
        // A shard that has read nothing yet has no positions.
        let at = owner.positions().unwrap_or_default();
        let at = at.first().copied().unwrap_or(0);
        match owner.phase() {
            Phase::Stuck => Err(format!("shard {shard} is stuck: {:?}", owner.why())),
            Phase::Lost | Phase::Fenced => {
                let start = known.starts.get(&shard).copied().unwrap_or(0);
                let at = (worker, start);
                let soon = self.now + AGAIN;
                self.at(soon, Event::Again { at, shard });
                Ok(())
            }
            Phase::Ready if owner.can_begin() && at < end && known.waiting.insert(shard) => {
                self.give(worker, Job::Begin(shard));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Begins an epoch; answers what it costs.
    fn begin(&mut self, worker: usize, shard: u32) -> u64 {
        let costs = self.plan.costs;
        // Two owners of a shard cut its records differently: what both say is equal only by the rules of takeover.
        let most = self.plan.epoch_records.max(1);
        let most = most - self.random.below(most.div_ceil(2));
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let (Some(world), Some(known)) = (
            self.worlds.get(shard as usize),
            self.workers.get_mut(worker),
        ) else {
            return 0;
        };
        known.waiting.remove(&shard);
        let Some(owner) = known.owners.get_mut(&shard).filter(|own| own.can_begin()) else {
            return costs.turn_ns;
        };
        let positions = owner.positions().unwrap_or_default();
        let first = positions.first().copied().unwrap_or(0);
        let end = world.source.len() as i64;
        let range = OffsetRange {
            from: first,
            to: end.min(first + most),
        };
        let records: Vec<IntakeRecord> = world.records(range);
        let clock = records
            .last()
            .map_or(owner.clock(), |last| Timestamp(last.record.timestamp));
        let taken = records.len() as u64;
        let asks = owner.begin(vec![range], records, clock);
        self.outcome.epochs += 1;
        let start = known.starts.get(&shard).copied().unwrap_or(0);
        self.send((worker, start), shard, asks);
        costs.epoch_ns + taken * costs.record_ns
    }
}
