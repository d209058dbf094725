//! Laws of the embedded log, against the plainest model there is: a vector of records per partition.

mod crash;
mod damage;
mod retention;
mod throughput;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use futures::future::{join_all, poll_immediate};
use proptest::prelude::*;
use tidegate_actors::port::{
    Bounds, Clock, EventLog, PortErrorKind, Publication, ReadLimit, TopicPartition, TopicSettings,
};
use tidegate_proto::record::{Offset, Record, Topic};
use tidegate_proto::time::{Span, Timestamp};

use crate::log::block_on;

use super::{EmbeddedLog, EmbeddedLogSettings, FsyncPolicy};

/// A clock that stands still unless told otherwise.
#[derive(Debug, Default)]
struct ManualClock(AtomicI64);

impl ManualClock {
    fn set(&self, now: i64) {
        self.0.store(now, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

fn clock_at(now: i64) -> Arc<ManualClock> {
    Arc::new(ManualClock(AtomicI64::new(now)))
}

/// Small and without fsync: what is tested is not the disk.
fn small() -> EmbeddedLogSettings {
    EmbeddedLogSettings {
        fsync: FsyncPolicy::Never,
        segment_bytes: 64 << 10,
        ..EmbeddedLogSettings::default()
    }
}

fn open(folder: &Path, settings: EmbeddedLogSettings, clock: &Arc<ManualClock>) -> EmbeddedLog {
    let clock: Arc<dyn Clock> = clock.clone();
    EmbeddedLog::open(folder, settings, clock).unwrap()
}

fn topic(name: &str) -> Topic {
    Arc::from(name)
}

fn place(name: &str, partition: u32) -> TopicPartition {
    TopicPartition {
        topic: topic(name),
        partition,
    }
}

fn kept_for_ever(partitions: u32) -> TopicSettings {
    TopicSettings {
        partitions,
        retention_ms: None,
        retention_bytes: None,
    }
}

const WHOLE: ReadLimit = ReadLimit {
    records: usize::MAX,
    bytes: usize::MAX,
};

/// Reads a partition from its start to its end in steps.
fn read_all(log: &EmbeddedLog, from: &TopicPartition, limit: ReadLimit) -> Vec<(Offset, Record)> {
    let bounds = block_on(log.bounds(from)).unwrap();
    let mut at = bounds.start;
    let mut all = Vec::new();
    loop {
        let slice = block_on(log.read(from, at, limit)).unwrap();
        assert_eq!(slice.end, bounds.end);
        if slice.entries.is_empty() {
            assert_eq!(at, bounds.end);
            return all;
        }
        let sizes = slice.entries.iter().map(|entry| entry.record.size());
        assert!(slice.entries.len() == 1 || sizes.sum::<usize>() <= limit.bytes);
        assert!(slice.entries.len() <= limit.records.max(1));
        for entry in slice.entries {
            assert_eq!(entry.offset, at);
            at += 1;
            all.push((entry.offset, entry.record));
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(u32, Vec<Record>),
    Publish(Vec<(u32, Vec<Record>)>, Vec<Offset>),
    Time(i64),
    Reopen,
    Read(u32, prop::sample::Index, usize, usize),
}

fn some_records() -> impl Strategy<Value = Vec<Record>> {
    let bytes = || {
        prop_oneof![
            4 => proptest::collection::vec(any::<u8>(), 0..40),
            1 => (any::<u8>(), 0_usize..40_000).prop_map(|(byte, length)| vec![byte; length]),
        ]
        .prop_map(Bytes::from)
    };
    let headers = proptest::collection::vec(("[a-z-]{1,6}", bytes()), 0..3);
    let record = (
        proptest::option::of(bytes()),
        proptest::option::of(bytes()),
        headers,
        prop_oneof![Just(0_i64), 1_i64..2_000],
    );
    let record = record.prop_map(|(key, value, headers, timestamp)| Record {
        key,
        value,
        headers: headers
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect(),
        timestamp,
    });
    proptest::collection::vec(record, 0..8)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let parts = proptest::collection::vec((0_u32..3, some_records()), 0..4);
    let offsets = proptest::collection::vec(0_i64..100, 3);
    let step = prop_oneof![
        6 => (0_u32..3, some_records()).prop_map(|(p, records)| Step::Append(p, records)),
        3 => (parts, offsets).prop_map(|(parts, offsets)| Step::Publish(parts, offsets)),
        1 => (0_i64..3_000).prop_map(Step::Time),
        1 => Just(Step::Reopen),
        4 => (0_u32..3, any::<prop::sample::Index>(), 0_usize..20, 0_usize..100_000)
            .prop_map(|(p, at, records, bytes)| Step::Read(p, at, records, bytes)),
    ];
    proptest::collection::vec(step, 1..40)
}

/// What the log has to hold.
#[derive(Default)]
struct Model {
    partitions: BTreeMap<u32, Vec<Record>>,
    offsets: Option<Vec<Offset>>,
}

impl Model {
    fn append(&mut self, partition: u32, records: &[Record], now: i64) -> Offset {
        let held = self.partitions.entry(partition).or_default();
        let first = held.len() as Offset;
        for record in records {
            let stamp = if record.timestamp == 0 {
                now
            } else {
                record.timestamp
            };
            let last = held.last().map_or(i64::MIN, |last| last.timestamp);
            held.push(Record {
                timestamp: stamp.max(last),
                ..record.clone()
            });
        }
        first
    }
}

fn run_step(log: &EmbeddedLog, model: &mut Model, clock: &ManualClock, step: Step) {
    let now = clock.now().0;
    match step {
        Step::Append(partition, records) => {
            let expected = model.append(partition, &records, now);
            let first = block_on(log.append(&place("t", partition), records)).unwrap();
            assert_eq!(first, expected);
        }
        Step::Publish(parts, offsets) => {
            for (partition, records) in &parts {
                model.append(*partition, records, now);
            }
            let places = offsets.iter().zip(0..).map(|(o, p)| (place("t", p), *o));
            let publication = Publication {
                records: parts
                    .into_iter()
                    .map(|(partition, records)| (place("t", partition), records))
                    .collect(),
                group: "g".to_owned(),
                offsets: places.collect(),
                marker: None,
            };
            block_on(log.publish(publication)).unwrap();
            model.offsets = Some(offsets);
        }
        Step::Time(now) => clock.set(now),
        Step::Reopen => {}
        Step::Read(partition, at, records, bytes) => {
            let held = model.partitions.entry(partition).or_default();
            let at = at.index(held.len() + 1);
            let limit = ReadLimit { records, bytes };
            let slice = block_on(log.read(&place("t", partition), at as i64, limit)).unwrap();
            assert_eq!(slice.entries.is_empty(), at == held.len());
            assert!(slice.entries.len() <= records.max(1));
            for (index, entry) in slice.entries.iter().enumerate() {
                assert_eq!(entry.offset, (at + index) as i64);
                assert_eq!(entry.record, held[at + index]);
            }
        }
    }
}

fn check(log: &EmbeddedLog, model: &Model) {
    for partition in 0..3 {
        let held = model
            .partitions
            .get(&partition)
            .cloned()
            .unwrap_or_default();
        let limit = ReadLimit {
            records: 7,
            bytes: 50_000,
        };
        let read = read_all(log, &place("t", partition), limit);
        let read: Vec<_> = read.into_iter().map(|(_, record)| record).collect();
        assert_eq!(read, held, "partition {partition}");
        let committed = block_on(log.committed("g", &place("t", partition))).unwrap();
        let expected = model.offsets.as_ref().map(|all| all[partition as usize]);
        assert_eq!(committed, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_log_is_a_vector_per_partition(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        let clock = clock_at(1_000);
        let mut log = open(folder.path(), small(), &clock);
        block_on(log.create_topic(&topic("t"), kept_for_ever(3))).unwrap();
        let mut model = Model::default();
        for step in steps {
            if matches!(step, Step::Reopen) {
                drop(log);
                log = open(folder.path(), small(), &clock);
            }
            run_step(&log, &mut model, &clock, step);
        }
        check(&log, &model);
        drop(log);
        check(&open(folder.path(), small(), &clock), &model);
    }
}

#[test]
fn appenders_at_the_same_time_keep_their_order_and_leave_no_gap() {
    let folder = tempfile::tempdir().unwrap();
    let settings = EmbeddedLogSettings {
        fsync: FsyncPolicy::Always,
        queue_records: 16,
        queue_bytes: 4_096,
        ..small()
    };
    let log = Arc::new(open(folder.path(), settings, &clock_at(1)));
    block_on(log.create_topic(&topic("t"), kept_for_ever(2))).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let appender = |who: u32| {
        let log = Arc::clone(&log);
        async move {
            let mut last = -1;
            for number in 0..60_u32 {
                let record = |part: u32| {
                    Record::new(who.to_be_bytes().to_vec(), vec![number as u8, part as u8])
                };
                let records = (0..1 + number % 5).map(record).collect();
                let first = log.append(&place("t", who % 2), records).await.unwrap();
                assert!(first > last);
                last = first;
            }
        }
    };
    runtime.block_on(async {
        let tasks: Vec<_> = (0..8).map(|who| tokio::spawn(appender(who))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    for partition in 0..2 {
        let read = read_all(&log, &place("t", partition), WHOLE);
        assert_eq!(read.len(), 4 * 60 * 3);
        for who in (0..8).filter(|who| who % 2 == partition) {
            let key = who.to_be_bytes();
            let own: Vec<_> = read
                .iter()
                .filter(|(_, record)| record.key.as_deref() == Some(key.as_slice()))
                .map(|(_, record)| record.value.clone().unwrap())
                .collect();
            let expected: Vec<_> = (0..60_u32)
                .flat_map(|n| {
                    (0..1 + n % 5).map(move |part| Bytes::from(vec![n as u8, part as u8]))
                })
                .collect();
            assert_eq!(own, expected);
        }
    }
    let status = log.status();
    assert_eq!((status.queued_records, status.queued_bytes), (0, 0));
}

#[test]
fn appends_are_queued_in_the_order_in_which_they_were_begun() {
    let folder = tempfile::tempdir().unwrap();
    let settings = EmbeddedLogSettings {
        queue_records: 2,
        queue_bytes: 200,
        ..small()
    };
    let log = open(folder.path(), settings, &clock_at(1));
    block_on(log.create_topic(&topic("t"), kept_for_ever(1))).unwrap();
    let of = place("t", 0);
    let appends =
        (0..200_u8).map(|number| log.append(&of, vec![Record::new(vec![], vec![number; 150])]));
    let firsts: Vec<_> = block_on(join_all(appends))
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(firsts, (0..200).collect::<Vec<_>>());
}

#[test]
fn an_append_larger_than_the_queue_passes_alone() {
    let folder = tempfile::tempdir().unwrap();
    let settings = EmbeddedLogSettings {
        queue_records: 3,
        queue_bytes: 100,
        ..small()
    };
    let log = open(folder.path(), settings, &clock_at(1));
    block_on(log.create_topic(&topic("t"), kept_for_ever(1))).unwrap();
    let records = vec![Record::new("k", vec![1; 70_000]); 9];
    assert_eq!(block_on(log.append(&place("t", 0), records)), Ok(0));
    assert_eq!(read_all(&log, &place("t", 0), WHOLE).len(), 9);
}

#[test]
fn a_publication_to_a_missing_partition_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), small(), &clock_at(1));
    block_on(log.create_topic(&topic("t"), kept_for_ever(1))).unwrap();
    let publication = Publication {
        records: vec![
            (place("t", 0), vec![Record::new("k", "v")]),
            (place("t", 1), vec![Record::new("k", "v")]),
        ],
        group: "g".to_owned(),
        offsets: vec![(place("t", 0), 5)],
        marker: None,
    };
    let refused = block_on(log.publish(publication)).unwrap_err();
    assert_eq!(refused.kind, PortErrorKind::NotFound);
    assert_eq!(block_on(log.bounds(&place("t", 0))), Ok(Bounds::default()));
    assert_eq!(block_on(log.committed("g", &place("t", 0))), Ok(None));
}

#[test]
fn readers_are_woken_by_growth_and_by_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), small(), &clock_at(1));
    block_on(log.create_topic(&topic("t"), kept_for_ever(1))).unwrap();
    let of = place("t", 0);
    let mut first = log.grown(&of, 0);
    let mut second = log.grown(&of, 1);
    assert!(block_on(poll_immediate(&mut first)).is_none());
    block_on(log.append(&of, vec![Record::new("k", "v")])).unwrap();
    assert_eq!(block_on(first), Ok(()));
    assert!(block_on(poll_immediate(&mut second)).is_none());
    block_on(log.close()).unwrap();
    assert_eq!(block_on(second).unwrap_err().kind, PortErrorKind::Closed);
    let closed = block_on(log.append(&of, vec![Record::new("k", "v")])).unwrap_err();
    assert_eq!(closed.kind, PortErrorKind::Closed);
    assert!(closed.message.contains("shut down"), "{closed}");
}

#[test]
fn a_read_outside_the_log_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), small(), &clock_at(1));
    block_on(log.create_topic(&topic("t"), kept_for_ever(1))).unwrap();
    let read = |of: &TopicPartition, at| block_on(log.read(of, at, WHOLE));
    assert_eq!(read(&place("t", 0), 0).unwrap().entries, []);
    assert_eq!(
        read(&place("t", 0), 1).unwrap_err().kind,
        PortErrorKind::OutOfRange
    );
    assert_eq!(
        read(&place("t", 0), -1).unwrap_err().kind,
        PortErrorKind::OutOfRange
    );
    assert_eq!(
        read(&place("t", 1), 0).unwrap_err().kind,
        PortErrorKind::NotFound
    );
    assert_eq!(
        read(&place("u", 0), 0).unwrap_err().kind,
        PortErrorKind::NotFound
    );
}

#[test]
fn topics_are_created_once_and_named_soundly() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock_at(1);
    let log = open(folder.path(), small(), &clock);
    let create = |log: &EmbeddedLog, name: &str, partitions| {
        block_on(log.create_topic(&topic(name), kept_for_ever(partitions)))
    };
    assert_eq!(create(&log, "t", 3), Ok(3));
    assert_eq!(create(&log, "t", 5), Ok(3));
    for refused in ["", "a b", "a/b", "a\0", &"x".repeat(201)] {
        let refused = create(&log, refused, 1).unwrap_err();
        assert_eq!(refused.kind, PortErrorKind::Refused, "{refused}");
    }
    assert_eq!(
        create(&log, "u", 0).unwrap_err().kind,
        PortErrorKind::Refused
    );
    drop(log);
    let log = open(folder.path(), small(), &clock);
    assert_eq!(block_on(log.partitions(&topic("t"))), Ok(Some(3)));
    assert_eq!(block_on(log.partitions(&topic("u"))), Ok(None));
}

#[test]
fn a_second_opening_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock_at(1);
    let log = open(folder.path(), small(), &clock);
    let refused = EmbeddedLog::open(folder.path(), small(), clock.clone()).unwrap_err();
    assert_eq!(refused.kind, PortErrorKind::Unavailable);
    assert!(refused.message.contains("another process"), "{refused}");
    drop(log);
    open(folder.path(), small(), &clock);
}

#[test]
fn a_record_over_the_limit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let settings = EmbeddedLogSettings {
        record_bytes: 1_000,
        fsync: FsyncPolicy::Interval(Span(1)),
        ..small()
    };
    let log = open(folder.path(), settings, &clock_at(1));
    block_on(log.create_topic(&topic("t"), kept_for_ever(1))).unwrap();
    let append =
        |bytes| block_on(log.append(&place("t", 0), vec![Record::new("", vec![0; bytes])]));
    assert_eq!(append(900), Ok(0));
    assert_eq!(append(1_000).unwrap_err().kind, PortErrorKind::Refused);
    assert_eq!(append(10), Ok(1));
}
