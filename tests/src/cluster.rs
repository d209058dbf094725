//! Many workers and many shards in virtual time: the real shards and their real owners, one core for each worker, brokers
//! that serve one request after another, a group that hands the shards out, and storms that take workers away.
//!
//! What is modelled is only what costs time: the core (per epoch, record and line, [`Costs`]), the way to a broker and back,
//! what a request takes there, the session timeout and a rebalance. What is computed is real, and so is what is checked at
//! the end: the same as in [`crate::simulation`], shard by shard.

mod brokers;
mod group;
mod storm;
mod worker;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use tidegate_actors::owner::{Ask, Breaks, Told};
use tidegate_actors::result::CauseStyle;
use tidegate_actors::shard::ShardSettings;

use crate::random::Random;
use crate::simulation::{Plan, World};
use brokers::Brokers;
use group::Members;
use worker::Worker;

/// What things cost in virtual time.
#[derive(Clone, Copy, Debug)]
pub struct Costs {
    /// A core, for an epoch whatever is in it.
    pub epoch_ns: u64,
    /// A core, for a record.
    pub record_ns: u64,
    /// A core, for a line that is said.
    pub line_ns: u64,
    /// A core, for any other turn: an acknowledgement, a part of a recovery.
    pub turn_ns: u64,
    /// The way to a broker and back.
    pub round_trip_ns: u64,
    /// A broker, for a request.
    pub request_ns: u64,
    /// A broker, for a kilobyte.
    pub kilobyte_ns: u64,
    /// Silence after which the group gives a worker's shards to others.
    pub session_ns: u64,
    /// A round of the group.
    pub rebalance_ns: u64,
}

impl Default for Costs {
    /// A core as `benches/README.md` measured it; brokers in the same building.
    fn default() -> Self {
        Self {
            epoch_ns: 40_000,
            record_ns: 700,
            line_ns: 1_000,
            turn_ns: 3_000,
            round_trip_ns: 2_000_000,
            request_ns: 20_000,
            kilobyte_ns: 3_000,
            session_ns: 3_000_000_000,
            rebalance_ns: 100_000_000,
        }
    }
}

/// What a cluster runs with.
#[derive(Clone, Copy, Debug)]
pub struct ClusterPlan {
    /// Seed of everything.
    pub seed: u64,
    /// Workers.
    pub workers: usize,
    /// Shards.
    pub partitions: u32,
    /// Events in each partition before anybody starts.
    pub events: u32,
    /// Most records of an epoch; the least are half of that.
    pub epoch_records: u64,
    /// Brokers, each the leader of its share of the partitions.
    pub brokers: usize,
    /// Storms on the way: workers killed, frozen or told to go, up to all of them at once.
    pub storms: u32,
    /// What things cost.
    pub costs: Costs,
    /// Guards of the owners switched off on purpose.
    pub breaks: Breaks,
}

impl ClusterPlan {
    /// So many workers for so many shards, without a storm.
    #[must_use]
    pub fn new(workers: usize, partitions: u32, events: u32) -> Self {
        Self {
            seed: 1,
            workers,
            partitions,
            events,
            epoch_records: 500,
            brokers: 3,
            storms: 0,
            costs: Costs::default(),
            breaks: Breaks::default(),
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct ClusterOutcome {
    /// Virtual time until all was said.
    pub took: Duration,
    /// Virtual time of all cores together.
    pub cores: Duration,
    /// Virtual time of the broker that had most to do.
    pub busiest_broker: Duration,
    /// Real time spent in shards and owners.
    pub real: Duration,
    /// Events taken, replays left out.
    pub events: u64,
    /// Lines and other outputs in the log.
    pub outputs: u64,
    /// Epochs begun.
    pub epochs: u64,
    /// Starts of owners.
    pub takeovers: u64,
    /// Longest virtual time between two publications of a shard that had something to say.
    pub longest_pause: Duration,
    /// Most starts of owners within one virtual second.
    pub storm: u64,
}

/// Something that happens at a time.
#[derive(Debug)]
enum Event {
    /// An ask reaches its broker.
    Land {
        from: (usize, u64),
        shard: u32,
        ask: Ask,
    },
    /// An answer reaches its worker.
    Arrive {
        at: (usize, u64),
        shard: u32,
        told: Told,
    },
    /// A worker's core is free.
    Wake(usize),
    /// A worker begins to own a shard, if it still shall.
    Assign { worker: usize, shard: u32 },
    /// An owner that was fenced or lost tries again.
    Again { at: (usize, u64), shard: u32 },
    /// The group has heard nothing of a worker for a session timeout.
    Silent { worker: usize, life: u64 },
    /// A worker that was gone or frozen is there again.
    Join { worker: usize, life: u64 },
    /// Workers go.
    Storm,
}

/// An event with its time and its place among those of that time.
struct Due(u64, u64, Event);

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

/// A running cluster.
struct Cluster {
    plan: ClusterPlan,
    /// What each shard runs with.
    shard_plans: Vec<Plan>,
    random: Random,
    /// Virtual time in ns.
    now: u64,
    due: BinaryHeap<Reverse<Due>>,
    counted: u64,
    worlds: Vec<World>,
    brokers: Brokers,
    members: Members,
    workers: Vec<Worker>,
    outcome: ClusterOutcome,
    storms_left: u32,
    /// Starts of owners by virtual second.
    starts: std::collections::BTreeMap<u64, u64>,
}

/// What a shard runs with: nothing broken, and who reads drops repeats.
fn shard_plan(plan: &ClusterPlan, shard: u32) -> Plan {
    Plan {
        atomic: false,
        shard: ShardSettings::new(shard, plan.partitions, CauseStyle::Line),
        ..Plan::with_brittle(plan.seed, None)
    }
}

/// Runs a cluster until all is said.
///
/// # Errors
/// What was wrong, with the seed.
pub fn run(plan: ClusterPlan) -> Result<ClusterOutcome, String> {
    let mut cluster = Cluster::new(plan);
    let done = cluster.go().and_then(|()| cluster.check());
    done.map_err(|why| format!("seed {}: {why}", plan.seed))?;
    Ok(cluster.outcome)
}

impl Cluster {
    fn new(plan: ClusterPlan) -> Self {
        let mut random = Random::new(plan.seed);
        let partitions = 0..plan.partitions;
        let worlds = partitions
            .clone()
            .map(|_| World::filled(plan.events, &mut random));
        Self {
            worlds: worlds.collect(),
            shard_plans: partitions.map(|shard| shard_plan(&plan, shard)).collect(),
            brokers: Brokers::new(plan.brokers, plan.costs),
            members: Members::new(plan.partitions),
            workers: (0..plan.workers).map(|_| Worker::default()).collect(),
            random,
            now: 0,
            due: BinaryHeap::new(),
            counted: 0,
            outcome: ClusterOutcome::default(),
            storms_left: plan.storms,
            starts: std::collections::BTreeMap::new(),
            plan,
        }
    }

    fn at(&mut self, time: u64, event: Event) {
        self.counted += 1;
        self.due.push(Reverse(Due(time, self.counted, event)));
    }

    fn go(&mut self) -> Result<(), String> {
        for worker in 0..self.plan.workers {
            self.at(0, Event::Join { worker, life: 0 });
        }
        if self.plan.storms > 0 {
            self.at(self.plan.costs.session_ns, Event::Storm);
        }
        while let Some(Reverse(Due(time, _, event))) = self.due.pop() {
            self.now = time;
            self.happens(event)?;
        }
        let published = self.brokers.last_publication();
        self.outcome.took = Duration::from_nanos(published);
        self.outcome.cores = self.workers.iter().map(Worker::spent).sum();
        self.outcome.busiest_broker = self.brokers.busiest();
        self.outcome.longest_pause = self.brokers.longest_pause();
        self.outcome.storm = self.starts.values().copied().max().unwrap_or(0);
        Ok(())
    }

    fn happens(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Land { from, shard, ask } => self.land(from, shard, ask),
            Event::Arrive { at, shard, told } => self.arrive(at, shard, told),
            Event::Wake(worker) => return self.wake(worker),
            Event::Assign { worker, shard } => self.assign(worker, shard),
            Event::Again { at, shard } => self.again(at, shard),
            Event::Silent { worker, life } => self.silent(worker, life),
            Event::Join { worker, life } => self.join(worker, life),
            Event::Storm => self.storm(),
        }
        Ok(())
    }

    /// Everything came out, and it is what one shard alone says of the same records.
    fn check(&mut self) -> Result<(), String> {
        for (shard, (world, plan)) in (0_u32..).zip(self.worlds.iter().zip(&self.shard_plans)) {
            let worker = self.members.owner_of(shard);
            let worker = worker.and_then(|worker| self.workers.get(worker));
            let owner = worker.and_then(|worker| worker.owners.get(&shard));
            let taken = owner.and_then(|owner| owner.positions()?.first().copied());
            if taken != Some(world.source.len() as i64) {
                return Err(format!(
                    "L1: shard {shard} came to {taken:?} of {}, owner {:?}",
                    world.source.len(),
                    owner.map(|owner| (owner.phase(), owner.why()))
                ));
            }
            world
                .hold(plan)
                .map_err(|why| format!("shard {shard}: {why}"))?;
            self.outcome.outputs += world.outputs.len() as u64;
        }
        self.outcome.events = self
            .worlds
            .iter()
            .map(|world| world.source.len() as u64)
            .sum();
        Ok(())
    }
}
