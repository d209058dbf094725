//! Figures, not laws: `cargo test -p tidegate --lib throughput -- --ignored --nocapture`; the limited log for its five
//! minutes with `tests/faults/run retention`.

use std::time::Instant;

use super::*;

fn report(what: &str, bytes: usize, since: Instant) {
    let seconds = since.elapsed().as_secs_f64();
    eprintln!(
        "{what}: {:.0} MB/s ({seconds:.2} s)",
        bytes as f64 / 1e6 / seconds
    );
}

fn value(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn run(fsync: FsyncPolicy, per_append: usize, length: usize, in_flight: usize, appends: usize) {
    let folder = tempfile::tempdir().unwrap();
    let settings = EmbeddedLogSettings {
        fsync,
        ..EmbeddedLogSettings::default()
    };
    let log = open(folder.path(), settings, &clock_at(1_000));
    block_on(log.create_topic(&topic("t"), kept_for_ever(4))).unwrap();
    let records: Vec<_> = (0..per_append as u64)
        .map(|seed| Record::new(seed.to_be_bytes().to_vec(), value(seed, length)))
        .collect();
    let bytes = per_append * length * appends;
    let begun = Instant::now();
    let appender = |who: usize| {
        let (log, records) = (&log, &records);
        async move {
            for _ in 0..appends / in_flight {
                log.append(&place("t", who as u32 % 4), records.clone())
                    .await
                    .unwrap();
            }
        }
    };
    block_on(join_all((0..in_flight).map(appender)));
    let what = format!("{fsync}, {per_append} x {length} B, {in_flight} in flight");
    report(&format!("append {what}"), bytes, begun);
    eprintln!(
        "   {:.0} appends/s",
        appends as f64 / begun.elapsed().as_secs_f64()
    );
    let begun = Instant::now();
    let limit = ReadLimit {
        records: 10_000,
        bytes: 1 << 20,
    };
    let mut count = 0;
    for partition in 0..4 {
        let of = place("t", partition);
        let end = block_on(log.bounds(&of)).unwrap().end;
        let mut at = 0;
        while at < end {
            let slice = block_on(log.read(&of, at, limit)).unwrap();
            at += slice.entries.len() as i64;
            count += slice.entries.len();
        }
    }
    report(&format!("read   {count} records"), bytes, begun);
}

#[test]
#[ignore = "a measurement"]
fn throughput() {
    run(FsyncPolicy::Never, 300, 200, 16, 16_000);
    run(FsyncPolicy::Always, 300, 200, 16, 16_000);
    run(FsyncPolicy::Always, 1, 100, 1, 2_000);
    run(FsyncPolicy::Always, 1, 100, 64, 64_000);
    run(FsyncPolicy::Never, 1, 100, 64, 256_000);
    run(FsyncPolicy::Never, 1, 65_536, 16, 16_000);
}

/// 20 MB/s for as many seconds as `LOG_SECONDS` says, into a topic of 200 MB: the folder stays under 400 MB.
#[test]
#[ignore = "a measurement"]
fn a_limited_log_stays_small() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(
        folder.path(),
        EmbeddedLogSettings::default(),
        &clock_at(1_000),
    );
    let settings = TopicSettings {
        partitions: 4,
        retention_ms: None,
        retention_bytes: Some(200_000_000),
    };
    block_on(log.create_topic(&topic("t"), settings)).unwrap();
    for name in ["journal", "results", "changes"] {
        block_on(log.create_topic(&topic(name), kept_for_ever(4))).unwrap();
    }
    let seconds: u64 = std::env::var("LOG_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(60);
    let begun = Instant::now();
    let (mut worst, mut slowest) = (0, 0.0_f64);
    for step in 0..seconds * 20 {
        let before = Instant::now();
        let records = (0..16)
            .map(|n| Record::new("k", value(step * 16 + n, 62_500)))
            .collect();
        block_on(log.append(&place("t", (step % 4) as u32), records)).unwrap();
        for name in ["journal", "results", "changes"] {
            block_on(log.append(
                &place(name, (step % 4) as u32),
                vec![Record::new("k", value(step, 120))],
            ))
            .unwrap();
        }
        slowest = slowest.max(before.elapsed().as_secs_f64());
        if step % 5 == 0 {
            worst = worst.max(whole(folder.path()));
        }
        let due = std::time::Duration::from_millis(step * 50);
        std::thread::park_timeout(due.saturating_sub(begun.elapsed()));
    }
    report("paced", seconds as usize * 20_000_000, begun);
    eprintln!(
        "largest folder: {} MB, slowest step: {slowest:.3} s",
        worst / 1_000_000
    );
    assert!(worst < 400_000_000);
}

fn whole(folder: &Path) -> u64 {
    let mut sum = 0;
    for file in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match file.metadata() {
            Ok(found) if found.is_dir() => sum += whole(&file.path()),
            Ok(found) => sum += found.len(),
            Err(_) => {}
        }
    }
    sum
}
