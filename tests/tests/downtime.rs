//! An engine that was stopped for an hour while its devices went on sending: after the restart its results equal those of
//! one that never stopped, with no late row more.

use tidegate_actors::command::Signal;
use tidegate_actors::epoch::{Destination, Intake, IntakeRecord};
use tidegate_actors::observe::{Observation, Query};
use tidegate_actors::owner::Machine as _;
use tidegate_actors::result::CauseStyle;
use tidegate_actors::shard::{Shard, ShardSettings};
use tidegate_proto::record::{OffsetRange, Record};
use tidegate_proto::time::Timestamp;
use tidegate_tests::random::Random;

const HOUR: i64 = 3_600_000;
const BEGIN: i64 = 1_767_225_600_000;

const RULES: [(&str, &str); 4] = [
    (
        "means",
        r#"{"kind":"Rule","name":"means","for":"all","window":{"tumbling":"1m"},"emit":{"mean":"avg(t)","n":"count(t)"}}"#,
    ),
    (
        "hot",
        r#"{"kind":"Rule","name":"hot","for":"all","when":"t > 70.0","hold":"20s"}"#,
    ),
    (
        "gone",
        r#"{"kind":"Rule","name":"gone","for":"all","when":"stale(t, \"2m\")"}"#,
    ),
    (
        "mean",
        r#"{"kind":"Rule","name":"mean","for":"all","when":"avg(t, \"5m\") > 52.0"}"#,
    ),
];

/// Two hours of five devices: every ten seconds, sometimes out of order, sometimes silent for minutes.
fn records() -> Vec<Record> {
    let mut random = Random::new(7);
    let mut all = Vec::new();
    for (name, document) in RULES {
        let signal = Signal::Rule {
            request: String::new(),
            name: name.to_owned(),
            revision: 1,
            document: Some(document.to_owned()),
            enabled: true,
        };
        all.push(Record {
            timestamp: BEGIN,
            ..signal.to_record()
        });
    }
    for step in 1..720_i64 {
        for device in 0..5_i64 {
            let now = BEGIN + step * 10_000 + device * 7;
            // Device d is silent for three minutes in every twenty, each at another time.
            if (step + device * 24) % 120 < 18 {
                continue;
            }
            let late = if random.one_in(20) {
                random.below(60_000)
            } else {
                random.below(900)
            };
            let value = 40.0 + random.below(400) as f64 * 0.1;
            let body = format!(
                r#"{{"resource":"d{device}","time":{},"values":{{"t":{value}}}}}"#,
                now - late as i64
            );
            all.push(Record {
                timestamp: now,
                ..Record::new(format!("d{device}").into_bytes(), body.into_bytes())
            });
        }
    }
    all
}

struct Run {
    shard: Shard,
    lines: Vec<String>,
    at: usize,
}

impl Run {
    fn new() -> Self {
        Self {
            shard: Shard::new(ShardSettings::new(0, 1, CauseStyle::Line)),
            lines: Vec::new(),
            at: 0,
        }
    }

    /// Takes so many records, then the clock goes here.
    fn step(&mut self, records: &[Record], take: usize, clock: i64) {
        let (from, to) = (self.at, (self.at + take).min(records.len()));
        let range = OffsetRange {
            from: from as i64,
            to: to as i64,
        };
        let taken = (from..to).map(|at| IntakeRecord {
            source: 0,
            offset: at as i64,
            record: records[at].clone(),
        });
        let epoch = self.shard.epoch() + 1;
        let intake = Intake {
            epoch,
            ranges: vec![range],
            records: taken.collect(),
            clock: Timestamp(clock),
            exclusions: Vec::new(),
            careful: false,
        };
        let epoch = self.shard.step(&intake).unwrap();
        let results = epoch
            .outputs
            .iter()
            .filter(|output| output.destination == Destination::Results);
        self.lines.extend(results.map(|output| {
            String::from_utf8_lossy(output.record.value.as_ref().unwrap()).into_owned()
        }));
        self.at = to;
    }

    /// Runs live until a wall time: a tick every 500 ms, records as they come.
    fn live(&mut self, records: &[Record], until: i64) {
        let mut now = self.shard.clock().0.max(BEGIN);
        while now < until {
            now += 500;
            let come = records[self.at..]
                .iter()
                .take_while(|record| record.timestamp <= now)
                .count();
            self.step(records, come, now);
        }
    }

    fn late(&self) -> u64 {
        match self.shard.look(&Query::Shard) {
            Observation::Shard(view) => view.counters.late,
            _ => unreachable!("a shard answers what it was asked"),
        }
    }
}

#[test]
fn an_hour_of_downtime_changes_nothing() {
    let records = records();
    let end = BEGIN + 2 * HOUR + 600_000;
    let mut steady = Run::new();
    steady.live(&records, end);
    for chunk in [50, 500, 10_000] {
        let mut stopped = Run::new();
        stopped.live(&records, BEGIN + HOUR / 2);
        // Down for an hour; then the backlog in chunks, the clock that of the last record taken from it.
        let back = BEGIN + HOUR / 2 + HOUR;
        loop {
            let waiting = records[stopped.at..]
                .iter()
                .take_while(|record| record.timestamp <= back)
                .count();
            if waiting == 0 {
                break;
            }
            let take = waiting.min(chunk);
            let last = records[stopped.at + take - 1].timestamp;
            let clock = if take < waiting { last } else { back };
            stopped.step(&records, take, clock);
        }
        stopped.live(&records, end);
        assert_eq!(
            stopped.late(),
            steady.late(),
            "late rows with chunks of {chunk}"
        );
        let sorted = |lines: &[String]| {
            let mut lines = lines.to_vec();
            lines.sort();
            lines
        };
        let (a, b) = (sorted(&steady.lines), sorted(&stopped.lines));
        let differs = a.iter().zip(&b).find(|(a, b)| a != b);
        assert!(
            a == b,
            "{} and {} lines with chunks of {chunk}; first difference {differs:?}",
            a.len(),
            b.len()
        );
    }
    assert!(steady.lines.len() > 500, "{} lines", steady.lines.len());
    assert!(steady.late() > 0, "the input has no late row");
}
