//! Retention: by size, by age, stopped by a hold, and the disk space is free at once.

use super::*;
use crate::log::embedded::Held;

fn limited(partitions: u32, bytes: Option<u64>, age: Option<i64>) -> TopicSettings {
    TopicSettings {
        partitions,
        retention_ms: age,
        retention_bytes: bytes,
    }
}

/// Bytes that do not compress.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..length.div_ceil(8))
        .flat_map(|_| next().to_le_bytes())
        .take(length)
        .collect()
}

fn append_noise(log: &EmbeddedLog, of: &TopicPartition, count: u64, length: usize) {
    for seed in 0..count {
        block_on(log.append(of, vec![Record::new("k", noise(seed, length))])).unwrap();
    }
}

/// Bytes of all files below a folder, journals left out: the store allots them 64 MiB at a time, as holes.
pub(super) fn bytes_below(folder: &Path) -> u64 {
    let mut sum = 0;
    // Files come and go while this looks.
    for file in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = file.path();
        match file.metadata() {
            Ok(found) if found.is_dir() => sum += bytes_below(&path),
            Ok(found) if path.extension().is_none_or(|extension| extension != "jnl") => {
                sum += found.len();
            }
            _ => {}
        }
    }
    sum
}

#[test]
fn the_oldest_segments_go_when_the_topic_is_too_large() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock_at(1_000);
    let log = open(folder.path(), small(), &clock);
    let limit = 1 << 20;
    block_on(log.create_topic(&topic("t"), limited(2, Some(limit), None))).unwrap();
    for _ in 0..4 {
        append_noise(&log, &place("t", 0), 40, 20_000);
        append_noise(&log, &place("t", 1), 20, 20_000);
        block_on(log.sweep()).unwrap();
        let status = log.status().topics.remove(0);
        assert!(status.bytes <= limit, "{status:?}");
    }
    let status = log.status().topics.remove(0);
    assert!(
        status.bytes > limit / 2 && status.segments > 3,
        "{status:?}"
    );
    assert!(status.bounds.iter().all(|bounds| bounds.start > 0));
    let early = block_on(log.read(&place("t", 0), 0, WHOLE)).unwrap_err();
    assert_eq!(early.kind, PortErrorKind::OutOfRange);
    let before: Vec<_> = (0..2)
        .map(|p| read_all(&log, &place("t", p), WHOLE))
        .collect();
    assert_eq!(before[0].last().unwrap().0, 159);
    drop(log);

    let log = open(folder.path(), small(), &clock);
    assert_eq!(log.status().topics.remove(0), status);
    for (partition, before) in (0..2).zip(&before) {
        assert_eq!(&read_all(&log, &place("t", partition), WHOLE), before);
    }
}

#[test]
fn dropped_segments_free_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock_at(1_000);
    let settings = EmbeddedLogSettings {
        segment_bytes: 1 << 20,
        ..small()
    };
    let log = open(folder.path(), settings, &clock);
    block_on(log.create_topic(&topic("t"), limited(1, None, Some(60_000)))).unwrap();
    append_noise(&log, &place("t", 0), 400, 20_000);
    block_on(log.persist()).unwrap();
    drop(log);
    let log = open(folder.path(), settings, &clock);
    let full = bytes_below(folder.path());
    assert!(full > 7_000_000, "{full}");
    clock.set(70_000);
    block_on(log.sweep()).unwrap();
    let status = log.status().topics.remove(0);
    assert_eq!(status.segments, 1, "{status:?}");
    assert_eq!(
        status.bounds,
        [Bounds {
            start: 400,
            end: 400
        }]
    );
    // The store may still be writing out what was in memory.
    let begun = std::time::Instant::now();
    while bytes_below(folder.path()) >= full / 10 {
        assert!(
            begun.elapsed().as_secs() < 20,
            "{} of {full}",
            bytes_below(folder.path())
        );
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
    assert_eq!(
        block_on(log.append(&place("t", 0), vec![Record::new("k", "v")])),
        Ok(400)
    );
}

#[test]
fn an_emptied_partition_keeps_its_offsets_and_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock_at(5_000);
    let log = open(folder.path(), small(), &clock);
    block_on(log.create_topic(&topic("t"), limited(1, None, Some(10_000)))).unwrap();
    append_noise(&log, &place("t", 0), 7, 10);
    clock.set(20_000);
    block_on(log.sweep()).unwrap();
    drop(log);
    clock.set(3_000);
    let log = open(folder.path(), small(), &clock);
    let bounds = block_on(log.bounds(&place("t", 0))).unwrap();
    assert_eq!(bounds, Bounds { start: 7, end: 7 });
    append_noise(&log, &place("t", 0), 1, 10);
    let read = read_all(&log, &place("t", 0), WHOLE);
    assert_eq!((read[0].0, read[0].1.timestamp), (7, 5_000));
}

#[test]
fn what_is_still_needed_is_never_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock_at(1_000);
    let log = open(folder.path(), small(), &clock);
    let limit = 512 << 10;
    block_on(log.create_topic(&topic("t"), limited(2, Some(limit), None))).unwrap();
    block_on(log.hold(&place("t", 1), 3)).unwrap();
    append_noise(&log, &place("t", 1), 20, 20_000);
    append_noise(&log, &place("t", 0), 60, 20_000);
    block_on(log.sweep()).unwrap();
    let status = log.status().topics.remove(0);
    assert!(
        status.bytes > 2 * limit && status.bounds[1].start <= 3,
        "{status:?}"
    );
    let held = status.held.unwrap();
    let excess = status.bytes - limit;
    assert_eq!(
        held,
        Held {
            partition: place("t", 1),
            offset: 3,
            excess_bytes: excess.min(held.excess_bytes)
        }
    );
    drop(log);

    // The hold is known before anybody says it again.
    let log = open(folder.path(), small(), &clock);
    append_noise(&log, &place("t", 0), 10, 20_000);
    assert!(block_on(log.bounds(&place("t", 1))).unwrap().start <= 3);
    block_on(log.hold(&place("t", 1), 20)).unwrap();
    block_on(log.sweep()).unwrap();
    let status = log.status().topics.remove(0);
    assert!(status.bytes <= limit && status.held.is_none(), "{status:?}");
    assert!(status.bounds[1].start > 3);
}

#[test]
fn new_limits_of_a_known_topic_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock_at(1_000);
    let log = open(folder.path(), small(), &clock);
    block_on(log.create_topic(&topic("t"), limited(1, None, None))).unwrap();
    append_noise(&log, &place("t", 0), 50, 20_000);
    assert_eq!(block_on(log.bounds(&place("t", 0))).unwrap().start, 0);
    block_on(log.create_topic(&topic("t"), limited(1, Some(300_000), None))).unwrap();
    assert!(log.status().topics[0].bytes <= 300_000);
    drop(log);
    let log = open(folder.path(), small(), &clock);
    append_noise(&log, &place("t", 0), 50, 20_000);
    block_on(log.sweep()).unwrap();
    assert!(log.status().topics[0].bytes <= 300_000);
}
