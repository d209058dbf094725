//! How many events that rules have set lie behind a record: what keeps rules that cause themselves from going on for ever.

use tidegate_proto::outcome::Trigger;
use tidegate_proto::record::{DEPTH_HEADER, Record};

use super::Shard;

/// What a record says about it.
pub(crate) fn told(record: &Record) -> u32 {
    let header = record.header(DEPTH_HEADER);
    let text = header.and_then(|depth| std::str::from_utf8(depth).ok());
    text.and_then(|depth| depth.parse().ok()).unwrap_or(0)
}

impl Shard {
    /// Notes what a record of the intake says; only what shards write may say it.
    pub(super) fn note_depth(&mut self, index: u32, record: &Record) {
        let depth = told(record);
        if depth > 0 {
            self.work.depths.insert(index, depth);
        }
    }

    /// What lies behind what a record made; behind the clock there is nothing.
    pub(super) fn depth_of(&self, trigger: Trigger) -> u32 {
        match trigger {
            Trigger::Record(index) => self.work.depths.get(&index).copied().unwrap_or(0),
            Trigger::Clock => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_proto::record::{ID_HEADER, KIND_HEADER, OffsetRange, SET};
    use tidegate_proto::time::Timestamp;

    use super::*;
    use crate::command::Signal;
    use crate::epoch::{Destination, Epoch, Intake, IntakeRecord};
    use crate::owner::Machine as _;
    use crate::result::CauseStyle;
    use crate::shard::ShardSettings;

    struct World {
        shard: Shard,
        epoch: u64,
    }

    impl World {
        fn new(rule: &str) -> Self {
            let (rule, _) = crate::rule::parse_rule(rule).unwrap();
            let signal = Signal::Rule {
                request: String::new(),
                name: rule.name.to_string(),
                revision: 1,
                document: Some(rule.document.to_string()),
                enabled: true,
            };
            let shard = Shard::new(ShardSettings::new(0, 1, CauseStyle::Line));
            let mut world = Self { shard, epoch: 0 };
            world.step(vec![signal.to_record()]);
            world
        }

        fn step(&mut self, records: Vec<Record>) -> Epoch {
            self.epoch += 1;
            let records = records.into_iter().map(|record| IntakeRecord {
                source: 0,
                offset: 0,
                record,
            });
            let intake = Intake {
                epoch: self.epoch,
                ranges: vec![OffsetRange { from: 0, to: 0 }],
                records: records.collect(),
                clock: Timestamp::MIN,
                exclusions: Vec::new(),
                careful: false,
            };
            self.shard.step(&intake).unwrap()
        }
    }

    fn event(depth: u32) -> Record {
        let body = r#"{"resource":"r","time":1000,"values":{"t":2}}"#;
        let mut record = Record::new(b"r".to_vec(), body.as_bytes().to_vec());
        record.timestamp = i64::MIN;
        if depth == 0 {
            return record;
        }
        let record = record.with_header(KIND_HEADER, SET);
        record
            .with_header(DEPTH_HEADER, depth.to_string())
            .with_header(ID_HEADER, "0-1-7")
    }

    const RULE: &str = "kind: Rule\nname: chain\nfor: all\nwhen: t > 1.0\nclear: t < 0.0\nthen: [ { set: { resource: \"${resource}2\", values: { t: t } } } ]\n";

    #[test]
    fn what_is_set_has_an_id_and_one_more_behind_it_and_is_taken_once() {
        let mut world = World::new(RULE);
        let epoch = world.step(vec![event(0)]);
        let set = |epoch: &Epoch| {
            let mut set = epoch.outputs.iter();
            let set = set.find(|output| output.destination == Destination::Signal(0));
            set.map(|output| output.record.clone())
        };
        let mut record = set(&epoch).unwrap();
        assert_eq!(record.header(KIND_HEADER).unwrap().as_ref(), SET.as_bytes());
        assert_eq!(told(&record), 1);
        assert_eq!(record.header(ID_HEADER).unwrap().as_ref(), b"0-2-2");
        let body = std::str::from_utf8(record.value.as_deref().unwrap()).unwrap();
        assert_eq!(body, r#"{"resource":"r2","time":1000,"values":{"t":2.0}}"#);
        record.timestamp = i64::MIN;
        let epoch = world.step(vec![record.clone(), record.clone()]);
        assert_eq!(epoch.rows, 1);
        assert_eq!(told(&set(&epoch).unwrap()), 2);
        assert_eq!(world.step(vec![record]).rows, 0);
    }

    #[test]
    fn too_many_in_a_row_end_as_a_dead_letter() {
        for (depth, ends) in [(15, false), (16, true), (40, true)] {
            let mut world = World::new(RULE);
            let epoch = world.step(vec![event(depth)]);
            let reason = epoch.outputs.iter().find_map(|output| {
                let reason = output.record.header("dlq.reason")?;
                assert_eq!(output.destination, Destination::DeadLetters);
                Some(String::from_utf8_lossy(reason).into_owned())
            });
            assert_eq!(reason.is_some(), ends, "{depth}: {reason:?}");
            let told = reason.is_none_or(|reason| reason.contains("`limits.set_depth`"));
            assert!(told, "{depth}");
        }
    }
}
