//! Shards that tell each other rows: what comes out does not depend on who speaks when, on repeats or on restores.

use std::collections::VecDeque;

use tidegate_proto::record::{Record, partition_of};
use tidegate_proto::time::Timestamp;

use crate::command::Signal;
use crate::epoch::{Destination, Epoch, Intake, IntakeRecord};
use crate::owner::Machine as _;
use crate::result::CauseStyle;
use crate::shard::{Shard, ShardSettings};

const RULES: [&str; 2] = [
    "{\"kind\":\"Rule\",\"name\":\"hot\",\"for\":\"all\",\"when\":\"v > 6.0\",\"hold\":\"2s\"}",
    "{\"kind\":\"Rule\",\"name\":\"means\",\"for\":\"all\",\"window\":{\"tumbling\":\"5s\"},\"emit\":{\"m\":\"avg(v)\",\"n\":\"count()\"}}",
];
const END: i64 = 200_000;

/// Numbers that look random and are the same for a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

struct World {
    shards: Vec<Shard>,
    queues: Vec<VecDeque<Record>>,
    results: Vec<String>,
    parcels: usize,
    /// Where the clock stands when nothing waits.
    now: i64,
}

fn settings(shard: u32, shards: u32, gather_all: bool) -> ShardSettings {
    ShardSettings {
        gather_all,
        ..ShardSettings::new(shard, shards, CauseStyle::Line)
    }
}

fn rule(document: &str, revision: u64, deleted: bool) -> Record {
    let name = if document.contains("hot") {
        "hot"
    } else {
        "means"
    };
    let signal = Signal::Rule {
        request: String::new(),
        name: name.into(),
        revision,
        document: (!deleted).then(|| document.to_owned()),
        enabled: true,
    };
    signal.to_record()
}

impl World {
    fn new(shards: u32, gather_all: bool) -> Self {
        let mut world = Self {
            shards: (0..shards)
                .map(|shard| Shard::new(settings(shard, shards, gather_all)))
                .collect(),
            queues: vec![VecDeque::new(); shards as usize],
            results: Vec::new(),
            parcels: 0,
            now: 0,
        };
        for queue in &mut world.queues {
            queue.extend(RULES.map(|document| rule(document, 1, false)));
        }
        world
    }

    /// All rules are in force everywhere, then rows come.
    fn with_rows(shards: u32, gather_all: bool) -> Self {
        let mut world = Self::new(shards, gather_all);
        while world.queues.iter().any(|queue| !queue.is_empty()) {
            for at in 0..world.shards.len() {
                world.step(at, 1_000, false);
            }
        }
        world.add_rows();
        world
    }

    fn add_rows(&mut self) {
        let shards = u32::try_from(self.shards.len()).unwrap();
        self.now = END;
        for number in 0..140_i64 {
            let resource = format!("r{}", number % 7);
            let shard = partition_of(resource.as_bytes(), shards) as usize;
            let (time, value) = (1_000 + number * 311, number * 17 % 10);
            let text = format!(
                "{{\"id\":\"e{number}\",\"resource\":\"{resource}\",\"time\":{time},\"v\":{value}.1}}"
            );
            let mut record = Record::new(resource.into_bytes(), text.into_bytes());
            record.timestamp = time;
            self.queues[shard].push_back(record);
        }
    }

    /// One epoch of a shard over its next records. The clock never passes what waits to be read.
    fn step(&mut self, at: usize, records: usize, repeat: bool) {
        let queue = &mut self.queues[at];
        let count = records.min(queue.len());
        let taken: Vec<Record> = queue.drain(..count).collect();
        let clock = queue
            .iter()
            .map(|record| record.timestamp)
            .filter(|time| *time > 0)
            .min();
        let shard = &mut self.shards[at];
        let records = taken.into_iter().map(|record| IntakeRecord {
            source: 0,
            offset: 0,
            record,
        });
        let intake = Intake {
            epoch: shard.epoch() + 1,
            records: records.collect(),
            clock: Timestamp(clock.unwrap_or(self.now)).max(shard.clock()),
            ..Intake::default()
        };
        let epoch = shard.step(&intake).unwrap();
        self.publish(epoch, repeat);
    }

    fn publish(&mut self, epoch: Epoch, repeat: bool) {
        for output in epoch.outputs {
            match output.destination {
                Destination::Results => {
                    let line = output.record.value.clone().unwrap();
                    self.results.push(String::from_utf8(line.to_vec()).unwrap());
                }
                Destination::Signal(home) => {
                    self.parcels += 1;
                    for _ in 0..if repeat { 2 } else { 1 } {
                        self.queues[home as usize].push_back(output.record.clone());
                    }
                }
                _ => {}
            }
        }
    }

    /// Until nobody has anything to say any more.
    fn run(mut self, seed: u64, gather_all: bool) -> (Vec<String>, usize) {
        let mut dice = Dice(seed);
        let shards = self.shards.len();
        while self.queues.iter().any(|queue| !queue.is_empty()) {
            let at = dice.below(shards as u64) as usize;
            let records = 1 + dice.below(9) as usize;
            self.step(at, records, dice.below(4) == 0);
            if dice.below(6) == 0 {
                let bytes = self.shards[at].snapshot();
                let settings = settings(at as u32, shards as u32, gather_all);
                self.shards[at] = Shard::restore(settings, &bytes).unwrap();
            }
        }
        self.results.sort();
        (self.results, self.parcels)
    }
}

#[test]
fn the_answer_does_not_depend_on_who_speaks_when() {
    let (expected, parcels) = World::with_rows(1, false).run(1, false);
    assert_eq!(parcels, 0);
    assert!(expected.len() > 50, "{}", expected.len());
    for seed in 1..60 {
        for shards in [1, 3] {
            let (got, parcels) = World::with_rows(shards, true).run(seed, true);
            assert!(parcels > 10);
            assert_eq!(got, expected, "seed {seed}, {shards} shards");
        }
    }
}

#[test]
fn a_shard_that_reads_only_parcels_does_not_answer_each_with_another() {
    let mut world = World::with_rows(2, true);
    for _ in 0..200 {
        world.step(0, 100, false);
        world.step(1, 100, false);
    }
    assert!(world.parcels < 60, "{}", world.parcels);
}

#[test]
fn a_home_that_listens_late_hears_what_is_known() {
    let mut world = World::new(3, true);
    world.queues.iter_mut().for_each(VecDeque::clear);
    world.add_rows();
    for at in 0..3 {
        world.step(at, 1_000, false);
    }
    assert_eq!((world.results.len(), world.parcels), (0, 0));
    let home = world.shards[0].home_of("hot") as usize;
    for queue in &mut world.queues {
        queue.push_back(rule(RULES[0], 1, false));
    }
    for at in [0, 1, 2, 0, 1, 2] {
        world.step(at, 1_000, false);
    }
    let known: Vec<bool> = (0..7)
        .map(|number| {
            world.shards[home]
                .state
                .gathered
                .find(&format!("r{number}"))
                .is_some()
        })
        .collect();
    assert_eq!(known, [true; 7]);
    for queue in &mut world.queues {
        queue.push_back(rule(RULES[0], 2, true));
    }
    for at in [0, 1, 2, 0, 1, 2] {
        world.step(at, 1_000, false);
    }
    assert!(world.shards[home].gathering.plans.is_empty());
    let before = world.parcels;
    world.step(0, 0, false);
    assert_eq!(world.parcels, before, "nobody listens any more");
}
