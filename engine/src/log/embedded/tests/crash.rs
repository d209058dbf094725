//! Crashes and full disks, with real processes and a real disk: slow or in need of preparation, so not run by default.
//!
//! `tests/faults/run` runs them, and mounts the disk of 200 MB that `LOG_SMALL_DISK` names.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::*;

/// Set in the process that is killed: the folder that it appends to.
const VICTIM: &str = "LOG_VICTIM";

fn crash_settings() -> EmbeddedLogSettings {
    EmbeddedLogSettings {
        segment_bytes: 256 << 10,
        ..EmbeddedLogSettings::default()
    }
}

fn limited() -> TopicSettings {
    TopicSettings {
        partitions: 2,
        retention_ms: None,
        retention_bytes: Some(3 << 20),
    }
}

/// What a record at an offset holds.
fn record_at(partition: u32, offset: Offset) -> Record {
    let length = 100 + usize::try_from(offset * 7_919 % 9_000).unwrap();
    Record::new(
        format!("{partition}/{offset}"),
        vec![(offset % 251) as u8; length],
    )
}

async fn append_next(log: &EmbeddedLog, partition: u32, count: i64) -> Result<Offset, ()> {
    let of = place("t", partition);
    let end = log.bounds(&of).await.map_err(drop)?.end;
    let records = (end..end + count).map(|offset| record_at(partition, offset));
    let first = log.append(&of, records.collect()).await.map_err(drop)?;
    assert_eq!(first, end);
    Ok(end + count)
}

#[test]
#[ignore = "run by the test that kills it"]
fn victim() {
    let Ok(folder) = std::env::var(VICTIM) else {
        return;
    };
    let log = open(Path::new(&folder), crash_settings(), &clock_at(1));
    block_on(log.create_topic(&topic("t"), limited())).unwrap();
    loop {
        for (partition, count) in [(0, 3), (1, 40), (0, 1)] {
            let acknowledged = block_on(append_next(&log, partition, count)).unwrap();
            eprintln!("acknowledged {partition} {acknowledged}");
        }
    }
}

/// Starts the victim, kills it after so many acknowledgements, and tells what was acknowledged.
fn kill_after(folder: &Path, lines: usize) -> [Offset; 2] {
    let name = "log::embedded::tests::crash::victim";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--ignored", "--nocapture"])
        .env(VICTIM, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stderr.take().unwrap());
    let mut acknowledged = [0; 2];
    for (number, line) in output.lines().map_while(Result::ok).enumerate() {
        let words: Vec<_> = line.split(' ').collect();
        assert_eq!(words[0], "acknowledged", "{line}");
        acknowledged[words[1].parse::<usize>().unwrap()] = words[2].parse().unwrap();
        if number == lines {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    acknowledged
}

fn check_all(log: &EmbeddedLog, acknowledged: [Offset; 2]) {
    for (partition, acknowledged) in (0..2).zip(acknowledged) {
        let of = place("t", partition);
        let bounds = block_on(log.bounds(&of)).unwrap();
        assert!(bounds.end >= acknowledged, "{bounds:?} {acknowledged}");
        for (offset, mut record) in read_all(log, &of, WHOLE) {
            record.timestamp = 0;
            assert_eq!(record, record_at(partition, offset));
        }
    }
}

#[test]
#[ignore = "kills a process many times: tests/faults/run"]
fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..30_usize {
        let acknowledged = kill_after(folder.path(), 10 + round * 37 % 400);
        let log = open(folder.path(), crash_settings(), &clock_at(1));
        check_all(&log, acknowledged);
        eprintln!("round {round}: {acknowledged:?} {:?}", log.status().topics);
    }
}

#[test]
#[ignore = "needs a small disk: tests/faults/run"]
fn a_full_disk_closes_the_log_and_opening_it_anew_recovers() {
    let disk = std::env::var("LOG_SMALL_DISK").expect("LOG_SMALL_DISK: run tests/faults/run");
    let disk = tempfile::tempdir_in(disk).unwrap();
    let folder = disk.path();
    for round in 0..20 {
        let ballast = folder.join("ballast");
        let log = open(&folder.join("log"), crash_settings(), &clock_at(1));
        block_on(log.create_topic(&topic("t"), limited())).unwrap();
        let mut acknowledged = [0; 2];
        let mut filled = false;
        let error = loop {
            let partition = (acknowledged[0] % 2) as u32;
            let of = place("t", partition);
            let end = block_on(log.bounds(&of)).unwrap().end;
            let records = (end..end + 11).map(|offset| record_at(partition, offset));
            match block_on(log.append(&of, records.collect())) {
                Ok(first) => acknowledged[partition as usize] = first + 11,
                Err(error) => break error,
            }
            if acknowledged[0] + acknowledged[1] > 500 * (round + 1) && !filled {
                let mut file = std::fs::File::create(&ballast).unwrap();
                let chunk = vec![1; 1 << 16];
                while std::io::Write::write_all(&mut file, &chunk).is_ok() {}
                filled = true;
            }
        };
        eprintln!("round {round}: {error}");
        assert_eq!(error.kind, PortErrorKind::Full, "{error}");
        let again = block_on(log.append(&place("t", 0), vec![record_at(0, 0)])).unwrap_err();
        assert_eq!(again.kind, PortErrorKind::Closed, "{again}");
        drop(log);
        std::fs::remove_file(&ballast).unwrap();
        let log = open(&folder.join("log"), crash_settings(), &clock_at(1));
        check_all(&log, acknowledged);
        block_on(append_next(&log, 0, 5)).unwrap();
    }
}
