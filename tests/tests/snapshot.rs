//! How long a shard of many resources stands still for a snapshot: by hand, because it measures.
//! `cargo test --release -p tidegate-tests --test snapshot -- --ignored --nocapture`

use std::time::Instant;

use tidegate_actors::command::Signal;
use tidegate_actors::epoch::{Intake, IntakeRecord};
use tidegate_actors::owner::Machine as _;
use tidegate_actors::result::CauseStyle;
use tidegate_actors::shard::{Shard, ShardSettings};
use tidegate_proto::record::{OffsetRange, Record};
use tidegate_proto::time::Timestamp;

const RESOURCES: i64 = 100_000;

fn rule(name: &str, document: &str) -> Record {
    let signal = Signal::Rule {
        request: String::new(),
        name: name.into(),
        revision: 1,
        document: Some(document.into()),
        enabled: true,
    };
    signal.to_record()
}

#[test]
#[ignore = "measures; nothing to compare with"]
fn a_snapshot_of_a_hundred_thousand_resources() {
    let mut shard = Shard::new(ShardSettings::new(0, 1, CauseStyle::Line));
    let mut records = vec![
        rule(
            "means",
            r#"{"kind":"Rule","name":"means","for":"all","window":{"tumbling":"1m"},"emit":{"mean":"avg(t)"}}"#,
        ),
        rule(
            "hot",
            r#"{"kind":"Rule","name":"hot","for":"all","when":"t > 60.0","hold":"1m"}"#,
        ),
    ];
    for number in 0..RESOURCES {
        let body = format!(
            r#"{{"resource":"device-{number}","time":1767225600000,"values":{{"t":{}.5,"p":2.25}}}}"#,
            number % 90
        );
        records.push(Record::new(format!("device-{number}"), body));
    }
    let records = (0..).zip(records).map(|(offset, record)| IntakeRecord {
        source: 0,
        offset,
        record: Record {
            timestamp: 1_767_225_600_000,
            ..record
        },
    });
    let intake = Intake {
        epoch: 1,
        ranges: vec![OffsetRange {
            from: 0,
            to: RESOURCES + 2,
        }],
        records: records.collect(),
        clock: Timestamp(1_767_225_600_000),
        ..Intake::default()
    };
    shard.step(&intake).unwrap();
    let mut times = Vec::new();
    let mut bytes = 0;
    for _ in 0..9 {
        let begun = Instant::now();
        bytes = shard.snapshot().len();
        times.push(begun.elapsed());
    }
    times.sort();
    println!(
        "{RESOURCES} resources, 2 rules: {bytes} bytes, median {:?}, least {:?}",
        times[4], times[0]
    );
}
