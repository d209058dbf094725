//! [`Runner`]: one shard of a replay, which goes on without what breaks a step, as the live host does.
//!
//! The host finds the state before a fault by the journal. Here it is the last checkpoint and the intakes since then.

use tidegate_actors::epoch::{Epoch, Exclusion, Intake};
use tidegate_actors::owner::{Machine as _, StepFault};
use tidegate_actors::shard::{Shard, ShardSettings};
use tidegate_proto::time::Timestamp;

use super::ReplayError;

/// Records that are kept since the last checkpoint: few enough to hold them, enough for checkpoints to cost little.
const KEPT: usize = 200_000;
/// Most tries of one step: each leaves out something more, or looks more closely.
const TRIES: usize = 1_000;

/// One shard.
#[derive(Debug)]
pub(super) struct Runner {
    settings: ShardSettings,
    shard: Shard,
    /// A snapshot, and what was taken since then; none: since the beginning.
    checkpoint: Option<Vec<u8>>,
    since: Vec<Intake>,
    records: usize,
}

impl Runner {
    pub(super) fn new(settings: ShardSettings) -> Self {
        Self {
            shard: Shard::new(settings.clone()),
            settings,
            checkpoint: None,
            since: Vec::new(),
            records: 0,
        }
    }

    /// One step; what breaks it is left out, and told among the dead letters.
    pub(super) fn step(&mut self, mut intake: Intake) -> Result<Epoch, ReplayError> {
        for _ in 0..TRIES {
            match self.shard.step(&intake) {
                Ok(epoch) => {
                    self.records += intake.records.len();
                    self.since.push(intake);
                    if self.records > KEPT {
                        self.keep();
                    }
                    return Ok(epoch);
                }
                Err(fault) => leave_out(&mut intake, fault)?,
            }
            self.go_back()?;
        }
        let text = "leaving out what broke a step did not help";
        Err(ReplayError::Step(text.to_owned()))
    }

    /// Clock and watermarks go to a time; nothing may be taken after that.
    pub(super) fn until(&mut self, time: Timestamp) -> Result<Epoch, ReplayError> {
        let epoch = self.shard.until(time);
        epoch.map_err(|fault| ReplayError::Step(fault.to_string()))
    }

    /// The same for rules that read what others say and stand behind so many of them.
    pub(super) fn until_behind(
        &mut self,
        time: Timestamp,
        depth: usize,
    ) -> Result<Epoch, ReplayError> {
        let epoch = self.shard.until_behind(time, depth);
        epoch.map_err(|fault| ReplayError::Step(fault.to_string()))
    }

    /// Throws the shard away and restores it from its snapshot.
    pub(super) fn restore(&mut self) -> Result<(), ReplayError> {
        self.keep();
        self.go_back()
    }

    fn keep(&mut self) {
        self.checkpoint = Some(self.shard.snapshot());
        self.since.clear();
        self.records = 0;
    }

    /// The shard as it was before the step that broke.
    fn go_back(&mut self) -> Result<(), ReplayError> {
        let settings = self.settings.clone();
        self.shard = match &self.checkpoint {
            Some(bytes) => Shard::restore(settings, bytes).map_err(ReplayError::Step)?,
            None => Shard::new(settings),
        };
        for intake in &self.since {
            let stepped = self.shard.step(intake);
            stepped.map_err(|fault| ReplayError::Step(fault.to_string()))?;
        }
        Ok(())
    }
}

/// What the next try does otherwise.
fn leave_out(intake: &mut Intake, fault: StepFault) -> Result<(), ReplayError> {
    if fault.vague && !intake.careful {
        intake.careful = true;
        return Ok(());
    }
    let text = fault.to_string();
    let Some(culprit) = fault.culprit else {
        return Err(ReplayError::Step(text));
    };
    intake.exclusions.push(Exclusion {
        epoch: fault.epoch,
        culprit,
        at: fault.at,
        changing: fault.changing,
        reason: fault.reason,
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use tidegate_actors::command::Signal;
    use tidegate_actors::epoch::{Destination, IntakeRecord};
    use tidegate_actors::result::CauseStyle;
    use tidegate_proto::record::{OffsetRange, Record};

    use super::*;

    fn rule(name: &str, whom: &str) -> Record {
        let rule = format!(
            r#"{{"kind":"Rule","name":"{name}","for":"{whom}","when":"t > 1","clear":"t < 0"}}"#
        );
        let (rule, _) = tidegate_actors::rule::parse_rule(&rule).unwrap();
        let signal = Signal::Rule {
            request: String::new(),
            name: name.to_owned(),
            revision: 1,
            document: Some(rule.document.to_string()),
            enabled: true,
        };
        signal.to_record()
    }

    fn event(time: i64, value: f64) -> Record {
        let body = format!(r#"{{"resource":"r","time":{time},"values":{{"t":{value}}}}}"#);
        Record {
            key: None,
            value: Some(body.into()),
            headers: Vec::new(),
            timestamp: i64::MIN,
        }
    }

    /// Results and dead letters by epochs of so many records; rules that are brittle break on times that 5 divides.
    fn run(records: &[Record], batch: usize, restore: bool) -> Vec<String> {
        let mut settings = ShardSettings::new(0, 1, CauseStyle::Line);
        settings.pipeline.breaks.brittle_rows = 5;
        let mut runner = Runner::new(settings);
        let mut told = Vec::new();
        let numbered: Vec<_> = (0..).zip(records).collect();
        for (epoch, chunk) in (1..).zip(numbered.chunks(batch)) {
            let record = |(offset, record): &(i64, &Record)| IntakeRecord {
                source: 0,
                offset: *offset,
                record: (*record).clone(),
            };
            let intake = Intake {
                epoch,
                ranges: vec![OffsetRange { from: 0, to: 0 }],
                records: chunk.iter().map(record).collect(),
                clock: Timestamp::MIN,
                exclusions: Vec::new(),
                careful: false,
            };
            let epoch = runner.step(intake).unwrap();
            for output in epoch.outputs {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                match output.destination {
                    Destination::Results => {
                        told.extend(output.record.value.as_deref().map(text));
                    }
                    Destination::DeadLetters => {
                        told.extend(output.record.header("dlq.reason").map(|why| text(why)));
                    }
                    _ => {}
                }
            }
            if restore {
                runner.restore().unwrap();
            }
        }
        told.sort();
        told
    }

    #[test]
    fn a_replay_goes_on_without_what_breaks_a_step() {
        let mut records = vec![rule("brittle", "all"), rule("sound", "r")];
        let values = [2.0, -1.0];
        records.extend((1..40).map(|time| event(time, values[time as usize % 2])));
        let whole = run(&records, 1_000, false);
        let broke = |name: &str| {
            let mine = whole.iter().filter(|line| line.contains(name));
            mine.filter(|line| line.contains("strike")).count()
        };
        // The third time it is quarantined; the other one, on other resources and so judged apart, says all that it has to say.
        assert_eq!(broke("`brittle`"), 3, "{whole:#?}");
        let sound = whole.iter().filter(|line| line.contains("\"sound\""));
        assert_eq!(sound.count(), 38);
        assert!(whole.iter().any(|line| line.contains("\"brittle\"")));
        for batch in [1, 7] {
            assert_eq!(run(&records, batch, false), whole, "{batch}");
            assert_eq!(run(&records, batch, true), whole, "{batch}, restored");
        }
    }
}
