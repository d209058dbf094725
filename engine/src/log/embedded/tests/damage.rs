//! Damage: whatever happens to a file, the log gives the records that were written, or an error.
//!
//! The store underneath may panic on damaged files; the log turns that into `Corrupt`, so no panic may get out here.
//! What damage to a log that was closed in order may not do either: let acknowledged records vanish silently.

use std::fs;
use std::path::PathBuf;

use proptest::strategy::ValueTree;

use super::*;
use crate::log::embedded::journal;

const PARTITIONS: u32 = 2;

fn settings() -> EmbeddedLogSettings {
    EmbeddedLogSettings {
        segment_bytes: 64 << 10,
        fsync: FsyncPolicy::Always,
        ..small()
    }
}

/// A log with a closed segment on disk and a journal that holds the rest.
fn make(folder: &Path) -> Vec<Vec<(Offset, Record)>> {
    let log = open(folder, settings(), &clock_at(1_000));
    block_on(log.create_topic(&topic("t"), kept_for_ever(PARTITIONS))).unwrap();
    for number in 0..120_u32 {
        let of = place("t", number % PARTITIONS);
        let value = vec![number as u8; 50 + (number as usize * 37) % 2_000];
        let record = Record::new(number.to_be_bytes().to_vec(), value).with_header("h", "x");
        block_on(log.append(&of, vec![record; 1 + number as usize % 3])).unwrap();
    }
    block_on(log.commit("g", vec![(place("t", 0), 42)])).unwrap();
    let all = (0..PARTITIONS)
        .map(|partition| read_all(&log, &place("t", partition), WHOLE))
        .collect();
    assert!(log.status().topics[0].segments > 1);
    block_on(log.close()).unwrap();
    all
}

fn all_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            found.extend(all_below(&path));
        }
        found.push(path);
    }
    found.sort();
    found
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let all = all_below(folder).into_iter();
    all.filter(|path| path.is_file()).collect()
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let all = all_below(folder).into_iter();
    all.filter(|path| path.is_dir()).collect()
}

/// Length of a file without the zeros at its end: a journal is mostly a hole.
fn used(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1)
}

fn copy(from: &Path, to: &Path) {
    for path in folders(from) {
        fs::create_dir_all(to.join(path.strip_prefix(from).unwrap())).unwrap();
    }
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        let mut bytes = fs::read(&path).unwrap();
        if is_journal(&path) {
            bytes.truncate(used(&bytes));
        }
        fs::write(&target, bytes).unwrap();
    }
}

fn is_journal(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "jnl")
}

/// Opens a damaged log and reads all of it; `None` if anything was refused on the way.
fn reads(folder: &Path) -> Option<Vec<Vec<(Offset, Record)>>> {
    let log = EmbeddedLog::open(folder, settings(), clock_at(1_000)).ok()?;
    let committed = block_on(log.committed("g", &place("t", 0))).ok()?;
    let mut all = Vec::new();
    for partition in 0..PARTITIONS {
        let of = place("t", partition);
        let bounds = block_on(log.bounds(&of)).ok()?;
        let slice = block_on(log.read(&of, bounds.start, WHOLE)).ok()?;
        all.push(
            slice
                .entries
                .into_iter()
                .map(|e| (e.offset, e.record))
                .collect(),
        );
    }
    assert_eq!(committed, Some(42));
    Some(all)
}

/// What a killed process has not noted.
fn forget_the_close(folder: &Path) {
    fs::remove_file(folder.join("ends")).unwrap();
    fs::remove_file(folder.join("manifests")).unwrap();
}

/// Damages one file of a copy per case; answers with how many were refused and how many did no harm.
fn damage_many(cases: usize, seed: u8, crashed: bool) -> (usize, usize) {
    let whole = tempfile::tempdir().unwrap();
    let expected = make(whole.path());
    if crashed {
        forget_the_close(whole.path());
    }
    let trimmed = tempfile::tempdir().unwrap();
    copy(whole.path(), trimmed.path());
    assert!(reads(trimmed.path()) == Some(expected.clone()));
    let (mut refused, mut unharmed) = (0, 0);
    let algorithm = proptest::test_runner::RngAlgorithm::ChaCha;
    let random = proptest::test_runner::TestRng::from_seed(algorithm, &[seed; 32]);
    let mut runner =
        proptest::test_runner::TestRunner::new_with_rng(ProptestConfig::default(), random);
    let targets = files(whole.path());
    let strategy = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        0..8_u32,
        any::<bool>(),
    );
    for _ in 0..cases {
        let (file, at, bit, cut) = strategy.new_tree(&mut runner).unwrap().current();
        let target = file.get(&targets).strip_prefix(whole.path()).unwrap();
        // A cut journal is what a crash leaves: that it gives a prefix is another test.
        if cut && crashed && is_journal(target) {
            continue;
        }
        let damaged = tempfile::tempdir().unwrap();
        copy(whole.path(), damaged.path());
        let path = damaged.path().join(target);
        let mut bytes = fs::read(&path).unwrap();
        if bytes.is_empty() {
            continue;
        }
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << bit;
        }
        fs::write(&path, bytes).unwrap();
        let what = if cut { "cut" } else { "flip" };
        match reads(damaged.path()) {
            None => refused += 1,
            Some(read) => {
                assert!(
                    read == expected,
                    "{what} at {at} of {} changed the log",
                    target.display()
                );
                unharmed += 1;
            }
        }
    }
    (refused, unharmed)
}

#[test]
fn damage_is_an_error_or_has_no_effect() {
    let (refused, unharmed) = damage_many(200, 1, false);
    assert!(
        refused > 30 && unharmed > 0,
        "{refused} refused, {unharmed} unharmed"
    );
}

#[test]
fn damage_beside_a_crash_is_an_error_or_has_no_effect() {
    let (refused, unharmed) = damage_many(100, 2, true);
    assert!(
        refused > 15 && unharmed > 0,
        "{refused} refused, {unharmed} unharmed"
    );
}

#[test]
#[ignore = "takes minutes: tests/faults/run"]
fn much_damage_is_an_error_or_has_no_effect() {
    for seed in 10..20 {
        let (refused, unharmed) = damage_many(200, seed, seed % 2 == 0);
        eprintln!("seed {seed}: {refused} refused, {unharmed} unharmed");
    }
}

/// Every byte that frames the batches of a journal, and some of those within.
#[test]
fn no_flip_in_a_journal_hides_what_follows() {
    let whole = tempfile::tempdir().unwrap();
    make(whole.path());
    let paths = files(whole.path()).into_iter();
    let path = paths.into_iter().find(|path| is_journal(path)).unwrap();
    let bytes = fs::read(&path).unwrap();
    let bytes = &bytes[..used(&bytes)];
    let scratch = tempfile::tempdir().unwrap();
    let copy = scratch.path().join("0.jnl");
    fs::write(&copy, bytes).unwrap();
    assert_eq!(journal::inspect(scratch.path()), Ok(()));
    let frames = bytes
        .windows(4)
        .zip(0..)
        .filter(|(four, _)| *four == b"FJL\x03");
    let places = frames.flat_map(|(_, at)| at.max(9) - 9..(at + 40).min(bytes.len()));
    let mut unnoticed = 0;
    for at in places.step_by(7) {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&copy, &flipped).unwrap();
        // The walk does not look at checksums, sequence numbers that grow, kinds, keyspaces and contents: the store does.
        if journal::inspect(scratch.path()).is_ok() {
            unnoticed += 1;
            let end = bytes[..at].windows(4).rposition(|four| four == b"FJL\x03");
            let since = end.map_or(at, |end| at - end - 4);
            let framing = since == 0 || since == 13;
            assert!(!framing, "flip at {at}, {since} after the last end");
        }
    }
    assert!(unnoticed > 0);
}

#[test]
fn a_torn_journal_gives_a_prefix_after_a_crash() {
    let whole = tempfile::tempdir().unwrap();
    let expected = make(whole.path());
    let journal = files(whole.path())
        .into_iter()
        .find(|path| is_journal(path))
        .unwrap();
    let bytes = fs::read(&journal).unwrap();
    let length = used(&bytes);
    for cut in (0..40).map(|step| length - 1 - step * 997) {
        let torn = tempfile::tempdir().unwrap();
        copy(whole.path(), torn.path());
        forget_the_close(torn.path());
        let path = torn
            .path()
            .join(journal.strip_prefix(whole.path()).unwrap());
        fs::write(&path, &bytes[..cut]).unwrap();
        let log = match EmbeddedLog::open(torn.path(), settings(), clock_at(1_000)) {
            Ok(log) => log,
            Err(error) => panic!("cut at {cut} of {length}: {error}"),
        };
        for (partition, expected) in (0..PARTITIONS).zip(&expected) {
            let read = read_all(&log, &place("t", partition), WHOLE);
            assert_eq!(read, expected[..read.len()]);
            let next = block_on(log.append(&place("t", partition), vec![Record::new("k", "v")]));
            assert_eq!(next, Ok(read.len() as i64));
        }
    }
}
