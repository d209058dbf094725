//! Deterministic simulation of a shard and its owners: in-memory ports, two owners that know nothing of each other, and
//! a seed that decides every step and every fault.
//!
//! Faults: crash at any step, owners that sleep between any two of their steps (zombies), appends that fail, appends that
//! land without a report, appends and publications of a dead life that land late, publications that land and report an
//! error (so they are sent again), snapshots that land late, takeovers at any time, reassignment back and forth.

mod check;
mod workload;
mod world;

pub use world::{Published, World};

use tidegate_actors::owner::{Ask, Breaks, Owner, OwnerSettings, Phase, Told};
use tidegate_actors::port::{PortError, PortErrorKind};
use tidegate_actors::result::CauseStyle;
use tidegate_actors::shard::{Shard, ShardSettings};
use tidegate_proto::record::OffsetRange;
use tidegate_proto::time::Timestamp;

use crate::random::Random;

/// What a simulation runs with.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Seed of everything.
    pub seed: u64,
    /// Steps of the faulty part.
    pub steps: u32,
    /// Whether the log commits outputs and epoch number in one.
    pub atomic: bool,
    /// Guards switched off on purpose.
    pub breaks: Breaks,
    /// What breaks on purpose in rules and twins, if anything.
    pub brittle: Option<Brittle>,
    /// Settings of the shard.
    pub shard: ShardSettings,
}

/// What breaks on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brittle {
    /// Rules, on some rows.
    Rows,
    /// Rules, when the clock wakes them.
    Clock,
    /// Rules, while they are applied.
    Apply,
    /// Rules, on some rows and while they are removed for that.
    Remove,
    /// Twins, on some rows.
    Twins,
}

impl Plan {
    /// A plan with nothing broken.
    pub fn new(seed: u64) -> Self {
        use Brittle::{Apply, Clock, Remove, Rows, Twins};
        // Every second pair of seeds, so that both kinds of logs meet every kind.
        let kinds = [None, Some(Rows), None, Some(Clock), None, Some(Apply)];
        let more = [None, Some(Remove), None, Some(Twins)];
        let place = (seed / 2) as usize;
        let all: Vec<_> = kinds.into_iter().chain(more).collect();
        Self::with_brittle(seed, all.get(place % all.len()).copied().flatten())
    }

    /// A plan in which something breaks on purpose.
    pub fn with_brittle(seed: u64, brittle: Option<Brittle>) -> Self {
        let mut shard = ShardSettings::new(0, 1, CauseStyle::Line);
        let breaks = &mut shard.pipeline.breaks;
        match brittle {
            None => {}
            Some(Brittle::Rows) => breaks.brittle_rows = 2_000,
            Some(Brittle::Clock) => breaks.brittle_clock = true,
            Some(Brittle::Apply) => breaks.brittle_apply = true,
            Some(Brittle::Remove) => {
                breaks.brittle_rows = 2_000;
                breaks.brittle_remove = true;
            }
            Some(Brittle::Twins) => shard.breaks.brittle_twins = 500,
        }
        Self {
            brittle,
            seed,
            steps: 300,
            atomic: seed % 2 == 1,
            breaks: Breaks::default(),
            shard,
        }
    }
}

/// An ask on its way: not carried out, or carried out and not reported.
#[derive(Debug)]
struct Task {
    owner: usize,
    life: u64,
    ask: Option<Ask>,
    told: Option<Told>,
}

/// A running simulation.
pub struct Simulation {
    plan: Plan,
    random: Random,
    world: World,
    owners: Vec<Owner<Shard>>,
    lives: Vec<u64>,
    tasks: Vec<Task>,
    faults: bool,
    produced: i64,
}

impl std::fmt::Debug for Simulation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulation")
            .field("seed", &self.plan.seed)
            .finish_non_exhaustive()
    }
}

/// Runs one simulation.
///
/// # Errors
/// What was wrong, with the seed.
pub fn run(plan: Plan) -> Result<World, String> {
    let seed = plan.seed;
    let mut simulation = Simulation::new(plan);
    simulation
        .go()
        .map_err(|why| format!("seed {seed}: {why}"))?;
    Ok(simulation.world)
}

impl Simulation {
    fn new(plan: Plan) -> Self {
        let mut random = Random::new(plan.seed);
        let world = World {
            source: workload::setup(plan.brittle),
            now: 1_000_000,
            ..World::default()
        };
        let owners = (0..2)
            .map(|index| Self::owner(&plan, index, &mut random))
            .collect();
        Self {
            plan,
            random,
            world,
            owners,
            lives: vec![0, 0],
            tasks: Vec::new(),
            faults: true,
            produced: 0,
        }
    }

    fn owner(plan: &Plan, index: usize, random: &mut Random) -> Owner<Shard> {
        let settings = OwnerSettings {
            name: format!("owner {index}"),
            snapshot_epochs: 3 + random.below(12),
            snapshot_records: 1_000_000,
            unpublished: 1 + random.below(4) as usize,
            atomic_publish: plan.atomic,
            breaks: plan.breaks,
        };
        let shard = plan.shard.clone();
        let make = Box::new(move |bytes: Option<&[u8]>| match bytes {
            None => Ok(Shard::new(shard.clone())),
            Some(bytes) => Shard::restore(shard.clone(), bytes),
        });
        Owner::new(0, settings, make)
    }

    fn go(&mut self) -> Result<(), String> {
        self.start(0);
        for step in 0..self.plan.steps {
            self.step();
            check::running(&self.world).map_err(|why| format!("step {step}: {why}"))?;
            check::owners(&self.world, &self.owners)
                .map_err(|why| format!("step {step}: {why}"))?;
        }
        // Liveness: the faults end, one owner starts, everything must come out.
        self.faults = false;
        self.start(0);
        self.settle()?;
        // Whoever breaks on the clock gets time enough to do it three times.
        for _ in 0..if self.plan.brittle.is_some() { 12 } else { 1 } {
            self.world.now += 1_000_000;
            self.begin(0, true);
            self.settle()?;
        }
        check::finished(&self.world, &self.plan)
    }

    /// Runs owner 0 alone until nothing is left to do.
    fn settle(&mut self) -> Result<(), String> {
        for _ in 0..10_000 {
            if let Some(index) = self
                .tasks
                .iter()
                .position(|task| task.owner == 0 && task.life == self.lives[0])
            {
                self.carry_out(index);
                let index = index.min(self.tasks.len() - 1);
                if self.tasks[index].told.is_some() {
                    self.report(index);
                }
                continue;
            }
            match self.owners[0].phase() {
                Phase::Lost | Phase::Fenced => self.start(0),
                Phase::Ready if self.remaining() > 0 => self.begin(0, false),
                Phase::Ready => return Ok(()),
                phase => return Err(format!("owner ended {phase:?}: {:?}", self.owners[0].why())),
            }
        }
        Err("not live: the last owner did not come to rest".into())
    }

    fn remaining(&self) -> i64 {
        let at = self.owners[0]
            .positions()
            .and_then(|p| p.first().copied())
            .unwrap_or(0);
        self.world.source.len() as i64 - at
    }

    /// One random step of the faulty world.
    fn step(&mut self) {
        let owner = self.random.below(2) as usize;
        match self.random.below(100) {
            0..=2 => self.start(owner),
            3..=5 => self.crash(owner),
            6..=7 => self.follow(owner),
            8..=19 => self.produce(),
            20..=29 => self.world.now += 1 + self.random.below(3_000) as i64,
            30..=49 => self.begin(owner, false),
            _ => self.any_task(),
        }
        // Who follows takes over after a while; with that its replay begins where it is.
        let again = match self.owners[owner].phase() {
            Phase::Lost | Phase::Fenced => 4,
            Phase::Following => 10,
            _ => return,
        };
        if self.random.one_in(again) {
            self.start(owner);
        }
    }

    fn follow(&mut self, owner: usize) {
        self.lives[owner] += 1;
        let asks = self.owners[owner].follow();
        self.add(owner, asks);
    }

    fn start(&mut self, owner: usize) {
        self.lives[owner] += 1;
        let asks = self.owners[owner].start();
        self.add(owner, asks);
    }

    /// The process dies: its memory is gone, what it had sent may still land.
    fn crash(&mut self, owner: usize) {
        self.lives[owner] += 1;
        self.owners[owner] = Self::owner(&self.plan, owner, &mut self.random);
    }

    fn add(&mut self, owner: usize, asks: Vec<Ask>) {
        let life = self.lives[owner];
        self.tasks.extend(asks.into_iter().map(|ask| Task {
            owner,
            life,
            ask: Some(ask),
            told: None,
        }));
    }

    fn any_task(&mut self) {
        if self.tasks.is_empty() {
            return;
        }
        let index = self.random.below(self.tasks.len() as u64) as usize;
        let dead = self.tasks[index].life != self.lives[self.tasks[index].owner];
        if self.tasks[index].ask.is_some() {
            // What a dead life had sent lands late, or never.
            if dead && self.random.one_in(2) {
                self.tasks.swap_remove(index);
                return;
            }
            self.carry_out(index);
        } else {
            self.report(index);
        }
    }

    fn report(&mut self, index: usize) {
        let task = self.tasks.swap_remove(index);
        if task.life != self.lives[task.owner] {
            return;
        }
        if let Some(told) = task.told {
            let asks = self.owners[task.owner].told(told);
            self.add(task.owner, asks);
        }
    }

    fn begin(&mut self, owner: usize, tick: bool) {
        if !self.owners[owner].can_begin() {
            return;
        }
        let Some(positions) = self.owners[owner].positions() else {
            return;
        };
        let from = positions.first().copied().unwrap_or(0);
        let available = (self.world.source.len() as i64 - from).max(0);
        let take = if self.faults {
            self.random.below(available as u64 + 1) as i64
        } else {
            available
        };
        if take == 0 && !tick && self.random.one_in(2) {
            return;
        }
        let range = OffsetRange {
            from,
            to: from + take,
        };
        let records = self.world.records(range);
        // A lagging shard's clock is that of the last record taken; at the end it is the wall's.
        let clock = match records.last() {
            Some(last) if take < available => last.record.timestamp,
            None if available > 0 => self.owners[owner].clock().0,
            _ => self.world.now,
        };
        let asks = self.owners[owner].begin(vec![range], records, Timestamp(clock));
        self.add(owner, asks);
    }

    fn produce(&mut self) {
        for _ in 0..=self.random.below(5) {
            self.world.now += self.random.below(400) as i64;
            self.produced += 1;
            let record = workload::event(
                self.produced,
                self.world.now,
                self.plan.brittle,
                &mut self.random,
            );
            self.world.source.push(record);
        }
    }

    /// Carries an ask out, perhaps badly; the report comes later.
    fn carry_out(&mut self, index: usize) {
        let Some(task) = self.tasks.get_mut(index) else {
            return;
        };
        let (owner, life) = (task.owner, task.life);
        let Some(ask) = task.ask.take() else { return };
        let unavailable = || PortError::new(PortErrorKind::Unavailable, "simulated");
        let fails = self.faults && self.random.one_in(25);
        // In doubt: it landed, and nobody was told.
        let lost = self.faults && self.random.one_in(25);
        let told = match ask {
            Ask::Append(_) if fails => Told::Appended(Err(unavailable())),
            Ask::Publish(_) if fails => Told::Published(Err(unavailable())),
            Ask::Keep { .. } if fails => Told::Kept(Err(unavailable())),
            ask => {
                let told = self.world.carry_out(ask, (owner, life), self.plan.atomic);
                match told {
                    Told::Appended(Ok(_)) if lost => Told::Appended(Err(unavailable().in_doubt())),
                    Told::Published(Ok(())) if lost => {
                        Told::Published(Err(unavailable().in_doubt()))
                    }
                    told => told,
                }
            }
        };
        if let Some(task) = self.tasks.get_mut(index) {
            task.told = Some(told);
        }
    }
}
