//! [`Station`]: a shard with rules, fed with epochs.

use tidegate_actors::command::Signal;
use tidegate_actors::epoch::{Epoch, Intake, IntakeRecord};
use tidegate_actors::observe::{Observation, Query, ShardView};
use tidegate_actors::owner::Machine as _;
use tidegate_actors::result::CauseStyle;
use tidegate_actors::shard::{Shard, ShardSettings};
use tidegate_proto::record::{OffsetRange, Record};
use tidegate_proto::time::Timestamp;

/// Records of one epoch.
pub const EPOCH: usize = 4096;

/// A shard and the intake that it stands at.
#[derive(Debug)]
pub struct Station {
    shard: Shard,
    epoch: u64,
    offset: i64,
}

impl Default for Station {
    fn default() -> Self {
        Self::new(ShardSettings::new(
            0,
            1,
            CauseStyle::Log(vec!["events".into()], 0),
        ))
    }
}

impl Station {
    /// A shard without history.
    #[must_use]
    pub fn new(settings: ShardSettings) -> Self {
        Self {
            shard: Shard::new(settings),
            epoch: 0,
            offset: 0,
        }
    }

    /// A shard that runs these rules.
    #[must_use]
    pub fn with_rules<'a>(rules: impl IntoIterator<Item = &'a str>) -> Self {
        let mut station = Self::default();
        station.install(rules);
        station
    }

    /// Installs rules, named by their number.
    ///
    /// # Panics
    /// When one of them does not compile.
    pub fn install<'a>(&mut self, rules: impl IntoIterator<Item = &'a str>) {
        let records: Vec<Record> = rules.into_iter().enumerate().map(rule).collect();
        let wanted = records.len() as u64;
        let intake = self.intake(records, i64::MIN);
        self.step(&intake);
        assert_eq!(self.numbers().rules, wanted, "every rule runs");
    }

    /// The next intake of these records; the clock goes to `clock`.
    pub fn intake(&mut self, records: Vec<Record>, clock: i64) -> Intake {
        self.epoch += 1;
        let from = self.offset;
        self.offset += records.len() as i64;
        let records = (from..).zip(records).map(|(offset, record)| IntakeRecord {
            source: 0,
            offset,
            record,
        });
        Intake {
            epoch: self.epoch,
            records: records.collect(),
            ranges: vec![OffsetRange {
                from,
                to: self.offset,
            }],
            clock: Timestamp(clock),
            exclusions: Vec::new(),
            careful: false,
        }
    }

    /// One step.
    ///
    /// # Panics
    /// When the shard cannot finish it.
    pub fn step(&mut self, intake: &Intake) -> Epoch {
        let epoch = self.shard.step(intake);
        assert!(epoch.is_ok(), "a step fails: {:?}", epoch.err());
        epoch.unwrap_or_default()
    }

    /// What the shard says of itself.
    #[must_use]
    pub fn numbers(&self) -> ShardView {
        match self.shard.look(&Query::Shard) {
            Observation::Shard(view) => *view,
            _ => ShardView::default(),
        }
    }
}

fn rule((number, document): (usize, &str)) -> Record {
    let name = format!("r{number}");
    let document = document.replacen("{", &format!(r#"{{"kind":"Rule","name":"{name}","#), 1);
    Signal::Rule {
        request: String::new(),
        name,
        revision: 1,
        document: Some(document),
        enabled: true,
    }
    .to_record()
}
