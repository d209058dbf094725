//! A shard and its sources: where readings begin, what a restore keeps, which records of gateways count.

use tidegate_proto::record::{OffsetRange, Record, partition_of};
use tidegate_proto::time::Timestamp;

use crate::command::Signal;
use crate::epoch::{Destination, Epoch, Intake, IntakeRecord};
use crate::observe::{Observation, Query};
use crate::owner::Machine as _;
use crate::result::CauseStyle;
use crate::shard::{Shard, ShardSettings};
use crate::source::{ORIGIN_HEADER, Origin};

const PLANT: &str = "kind: Source\nname: plant\ntopic: plant\nresource: device\n";

fn settings() -> ShardSettings {
    ShardSettings::new(1, 4, CauseStyle::Log(vec!["events".into()], 1))
}

/// A resource of shard 1.
fn resource() -> String {
    let names = (0..).map(|number| format!("d{number}"));
    let mut mine = names.filter(|name| partition_of(name.as_bytes(), 4) == 1);
    mine.next().unwrap()
}

fn signal(revision: u64, generation: u64, document: Option<&str>, start: i64) -> Record {
    let signal = Signal::Source {
        request: "r".into(),
        name: "plant".into(),
        revision,
        generation,
        document: document.map(str::to_owned),
        starts: vec![0, start, 0, 0],
    };
    signal.to_record()
}

fn row(of: &str) -> Record {
    Record::new("k", format!("{{\"device\":\"{of}\",\"time\":1,\"t\":1}}"))
}

/// Steps over records by source, from the shard's positions on.
fn step(shard: &mut Shard, records: Vec<(u16, Record)>) -> Epoch {
    let mut positions = shard.positions();
    positions.resize(shard.readings().len(), 0);
    let mut ranges: Vec<OffsetRange> = positions
        .iter()
        .map(|at| OffsetRange { from: *at, to: *at })
        .collect();
    let records = records.into_iter().map(|(source, record)| {
        let range = &mut ranges[usize::from(source)];
        range.to += 1;
        IntakeRecord {
            source,
            offset: range.to - 1,
            record,
        }
    });
    let intake = Intake {
        epoch: shard.epoch() + 1,
        records: records.collect(),
        clock: Timestamp(5),
        ..Intake::default()
    };
    shard.step(&Intake { ranges, ..intake }).unwrap()
}

fn events(shard: &Shard, of: &str) -> u64 {
    match shard.look(&Query::Resource(of.to_owned())) {
        Observation::Resource(Some(view)) => view.events,
        _ => 0,
    }
}

fn topics(shard: &Shard) -> Vec<(String, bool)> {
    let readings = shard.readings().into_iter();
    readings
        .map(|one| (one.topic.to_string(), one.reading))
        .collect()
}

#[test]
fn a_reading_begins_where_its_signal_says_and_survives_a_restore() {
    let mut shard = Shard::new(settings());
    step(&mut shard, vec![(0, signal(1, 1, Some(PLANT), 40))]);
    assert_eq!(shard.positions(), [1, 40]);
    let mine = resource();
    let other = format!(
        "{mine}-elsewhere-{}",
        (0..)
            .find(|n| partition_of(format!("{mine}-elsewhere-{n}").as_bytes(), 4) != 1)
            .unwrap()
    );
    let epoch = step(&mut shard, vec![(1, row(&mine)), (1, row(&other))]);
    assert_eq!((shard.positions(), events(&shard, &mine)), (vec![1, 42], 1));
    let dead: Vec<_> = epoch
        .outputs
        .iter()
        .filter(|output| output.destination == Destination::DeadLetters)
        .collect();
    assert_eq!(dead.len(), 1);
    let header = |name: &str| dead[0].record.header(name).unwrap().as_ref().to_vec();
    assert_eq!(header("dlq.source-topic"), b"plant");
    assert_eq!(header("dlq.offset"), b"41");

    // What reads on after a restore reads by the same mapping, from the same place.
    let mut restored = Shard::restore(settings(), &shard.snapshot()).unwrap();
    assert_eq!(restored.positions(), shard.positions());
    assert_eq!(topics(&restored), topics(&shard));
    for shard in [&mut shard, &mut restored] {
        step(shard, vec![(1, row(&mine))]);
        assert_eq!(events(shard, &mine), 2);
    }
    assert_eq!(shard.snapshot(), restored.snapshot());

    // Gone: the number stays. Anew on the same topic: the same number, from the new start.
    step(&mut shard, vec![(0, signal(2, 1, None, 0))]);
    assert_eq!(topics(&shard)[1], ("plant".to_owned(), false));
    step(&mut shard, vec![(0, signal(3, 3, Some(PLANT), 7))]);
    assert_eq!(shard.positions(), [3, 7]);
    // A late signal of the past changes nothing.
    step(&mut shard, vec![(0, signal(1, 1, Some(PLANT), 40))]);
    assert_eq!(shard.positions(), [4, 7]);
    let moved = PLANT.replace("topic: plant", "topic: other");
    step(&mut shard, vec![(0, signal(4, 4, Some(&moved), 2))]);
    assert_eq!(shard.positions(), [5, 7, 2]);
    let expected = [("events", true), ("plant", false), ("other", true)];
    assert_eq!(
        topics(&shard),
        expected.map(|(topic, reading)| (topic.to_owned(), reading))
    );
}

#[test]
fn what_a_gateway_writes_again_is_dropped() {
    let mut shard = Shard::new(settings());
    let mine = resource();
    let from = |generation, offset, element| {
        let origin = Origin {
            source: "plant".into(),
            generation,
            partition: 9,
            offset,
            element,
        };
        let body = format!("{{\"resource\":\"{mine}\",\"time\":1,\"t\":1}}");
        (
            0,
            Record::new("k", body).with_header(ORIGIN_HEADER, origin.to_header()),
        )
    };
    step(
        &mut shard,
        vec![from(1, 5, 0), from(1, 5, 1), from(1, 8, 0)],
    );
    // After a failure it begins again at what it had committed.
    step(
        &mut shard,
        vec![from(1, 5, 0), from(1, 5, 1), from(1, 8, 0), from(1, 9, 0)],
    );
    assert_eq!(events(&shard, &mine), 4);
    let mut shard = Shard::restore(settings(), &shard.snapshot()).unwrap();
    step(&mut shard, vec![from(1, 9, 0), from(1, 10, 0)]);
    assert_eq!(events(&shard, &mine), 5);
    // A reading begun anew counts from its own start; what the old one still had under way does not.
    step(
        &mut shard,
        vec![from(2, 0, 0), from(1, 11, 0), from(2, 1, 0)],
    );
    assert_eq!(events(&shard, &mine), 7);
    let gone = signal(3, 2, None, 0);
    step(&mut shard, vec![(0, gone), from(2, 2, 0)]);
    assert_eq!(events(&shard, &mine), 7);
}
