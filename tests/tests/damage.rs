//! Damage to the files of a real data folder (snapshots, journal, log): the engine opens and gives the true answer, or
//! refuses with a message. 40 wounds, by hand `MUTATIONS=5000` and `FROM=seed`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};

use tidegate::config::Config;
use tidegate::log::FsyncPolicy;
use tidegate_proto::record::{Offset, Record};
use tidegate_tests::damage::{Class, Image, Wound, class};
use tidegate_tests::inside::{Inside, SetClock, lines, open_log, records, settings};
use tidegate_tests::random::Random;

const DEVICES: i64 = 6;
const STEPS: i64 = 1_000;
/// What ends a batch in the store's journal.
const END: &[u8] = b"FJL\x03";
const BEGIN: i64 = 1_767_225_600_000;

/// What is idle for a day runs on: within this test nobody is.
const RULES: [&str; 3] = [
    r#"{"kind":"Rule","name":"means","for":"all","idle":"1d","window":{"tumbling":"10s"},"emit":{"mean":"avg(t)","sum":"sum(t)","n":"count(t)"}}"#,
    r#"{"kind":"Rule","name":"hot","for":"all","idle":"1d","when":"avg(t, \"20s\") > 50.0","hold":"3s","clear":"t < 49.5"}"#,
    r#"{"kind":"Rule","name":"echo","for":"all","idle":"1d","window":{"sliding":"5s"},"emit":{"last":"last(t)","most":"max(t)"}}"#,
];

/// Panics of our own code, and how many the store underneath had; those the log turns into an error.
static OURS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static OF_THE_STORE: AtomicUsize = AtomicUsize::new(0);

fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let place = panic
                .location()
                .map_or_else(String::new, ToString::to_string);
            // Members of the workspace are compiled under relative paths, everybody else's crates under absolute ones.
            if Path::new(&place).is_absolute() {
                OF_THE_STORE.fetch_add(1, Ordering::SeqCst);
                return;
            }
            if !place.starts_with("tests/") {
                let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
                ours.push(panic.to_string());
            }
            before(panic);
        }));
    });
}

fn config(folder: &Path) -> Config {
    let mut config = settings(folder, 2);
    config.shard.snapshot_epochs = 40;
    // Small segments, so that all topics have some in tables and some in the store's journal.
    config.log.embedded.segment_bytes = 64 << 10;
    config
}

fn event(device: i64, step: i64, more: &str) -> (String, String) {
    let time = BEGIN + step * 1_000 + device;
    let value = 40.0 + ((step * 37 + device * 11) % 200) as f64 * 0.1;
    let body = format!(
        r#"{{"resource":"d{device}","time":{time},"values":{{"t":{value},"note":"{more}"}}}}"#
    );
    (format!("d{device}"), body)
}

/// Everything that can be asked of an engine.
#[derive(Clone, Debug, PartialEq)]
struct Answer {
    shown: Vec<String>,
    results: Vec<String>,
    inbox: Vec<(u32, Offset, Record)>,
}

/// A data folder of an engine that took a while of events; as a kill leaves it, and as a stop does.
async fn make(folder: &Path) -> (Image, Image) {
    let config = config(folder);
    let clock = SetClock::at(BEGIN);
    let engine = Inside::start(config, &clock).await.unwrap();
    for rule in RULES {
        engine.submit(rule).await.unwrap();
    }
    let filling = "x".repeat(80);
    for step in 0..STEPS {
        clock.set(BEGIN + step * 1_000);
        let all = (0..DEVICES).map(|device| event(device, step, &filling));
        engine.send(all.collect()).await.unwrap();
        // An epoch per step and shard, so that the journal has enough of them.
        engine.taken((DEVICES * (step + 1)) as u64).await.unwrap();
    }
    let killed = Image::of(folder);
    engine.stop().await.unwrap();
    (killed, Image::of(folder))
}

/// Starts the engine on a folder, lets it go on with further events, and asks it everything.
async fn ask(folder: &Path) -> Result<Answer, String> {
    let mut config = config(folder);
    // What was written counts as promised: with `never` a break in the store's journal is only told of, as nobody was
    // promised what follows it, and the records behind it would be missed for good.
    config.log.embedded.fsync = FsyncPolicy::Always;
    let clock = SetClock::at(BEGIN + STEPS * 1_000);
    let engine = Inside::start(config.clone(), &clock).await?;
    let closing = (0..DEVICES).map(|device| event(device, STEPS + 40, "end"));
    engine.send(closing.collect()).await?;
    engine.taken((DEVICES * (STEPS + 1)) as u64).await?;
    let shown = engine.shown().await?;
    engine.stop().await?;
    let log = open_log(&config, &clock)?;
    Ok(Answer {
        shown,
        results: lines(&log, &config, "results").await?,
        inbox: records(&log, &config, "inbox").await?,
    })
}

/// What came of the wounds of one class.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    refused: usize,
    restored: usize,
    unharmed: usize,
}

/// Whether the engine has set something aside.
fn set_something_aside(folder: &Path) -> bool {
    let snapshots = std::fs::read_dir(folder.join("snapshots"));
    snapshots
        .into_iter()
        .flatten()
        .flatten()
        .any(|file| file.path().extension().is_some_and(|end| end == "corrupt"))
}

async fn wound_many(
    image: &Image,
    killed: bool,
    seeds: std::ops::Range<u64>,
) -> BTreeMap<Class, Tally> {
    let whole = tempfile::tempdir().unwrap();
    image.write(whole.path(), None);
    let truth = ask(whole.path()).await.unwrap();
    assert_eq!(
        truth.inbox.len(),
        (DEVICES * (STEPS + 1)) as usize + RULES.len() * 3
    );
    let echoes = truth.results.iter();
    let echoes = echoes.filter(|line| line.contains("\"echo\"")).count();
    assert_eq!(echoes, (DEVICES * STEPS) as usize, "a row per event");
    let mut tallies: BTreeMap<Class, Tally> = BTreeMap::new();
    for seed in seeds {
        let (file, wound) = image.wound(&mut Random::new(seed));
        let path = &image.files[file].path;
        let of = class(path);
        // The end of a journal that was cut is what a kill in the middle of a write leaves: nothing was acknowledged.
        // So is a last batch that makes no sense.
        let torn = match wound {
            Wound::Cut(_) => true,
            Wound::Flip(at, _) => at >= last_batch(&image.files[file].bytes),
        };
        if killed && of == Class::StoreJournal && torn {
            continue;
        }
        let what = format!("seed {seed}: {wound:?} in {}", path.display());
        let folder = tempfile::tempdir().unwrap();
        image.write(folder.path(), Some((file, wound)));
        let path = folder.path().to_owned();
        let asked = tokio::spawn(async move { ask(&path).await }).await;
        // A wait that never ends panics.
        let answer = asked.unwrap_or_else(|stalled| panic!("{what}: {stalled}"));
        let ours = OURS.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert_eq!(ours, Vec::<String>::new(), "{what}");
        let tally = tallies.entry(of).or_default();
        match answer {
            Err(why) => {
                assert!(!why.is_empty(), "{what}: refused without a word");
                tally.refused += 1;
            }
            Ok(answer) => {
                assert_eq!(answer.results, truth.results, "{what}");
                assert_eq!(answer.shown, truth.shown, "{what}");
                assert_eq!(answer.inbox, truth.inbox, "{what}");
                if set_something_aside(folder.path()) {
                    tally.restored += 1;
                } else {
                    tally.unharmed += 1;
                }
            }
        }
    }
    tallies
}

/// Where the last batch of a journal of the store begins.
fn last_batch(journal: &[u8]) -> usize {
    let end = journal.len().saturating_sub(END.len());
    let before = journal.get(..end).unwrap_or_default();
    let found = before.windows(END.len()).rposition(|bytes| bytes == END);
    found.map_or(0, |at| at + END.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wounded_data_folder_gives_the_truth_or_is_refused() {
    watch_panics();
    let number = |name: &str, default: u64| {
        let text = std::env::var(name).ok();
        text.and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (mutations, from) = (number("MUTATIONS", 40), number("FROM", 1));
    let folder = tempfile::tempdir().unwrap();
    let (killed, stopped) = make(folder.path()).await;
    let begun = std::time::Instant::now();
    let half = from + mutations / 2;
    let of_stopped = wound_many(&stopped, false, from..half).await;
    let of_killed = wound_many(&killed, true, half..from + mutations).await;
    // So many cannot all have missed.
    for tallies in [&of_stopped, &of_killed]
        .iter()
        .filter(|_| mutations >= 400)
    {
        let found = |of: Class| tallies.get(&of).copied().unwrap_or_default();
        assert!(found(Class::Snapshot).restored > 0, "{tallies:#?}");
        assert!(found(Class::StoreJournal).refused > 0, "{tallies:#?}");
        assert!(found(Class::Segments).refused > 0, "{tallies:#?}");
    }
    println!(
        "{mutations} mutations from seed {from} in {:?}, {} panics of the store turned into errors\nstopped: {of_stopped:?}\nkilled: {of_killed:?}",
        begun.elapsed(),
        OF_THE_STORE.load(Ordering::SeqCst),
    );
}

/// Which files there are is part of what is tested.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_folder_has_snapshots_tables_and_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    let (_, stopped) = make(folder.path()).await;
    let clock = SetClock::at(BEGIN);
    let log = Arc::new(open_log(&config(folder.path()), &clock).unwrap());
    let mut bytes: BTreeMap<Class, usize> = BTreeMap::new();
    for file in &stopped.files {
        *bytes.entry(class(&file.path)).or_default() += file.bytes.len();
    }
    for of in [Class::Snapshot, Class::StoreJournal, Class::Segments] {
        assert!(bytes.get(&of).is_some_and(|bytes| *bytes > 0), "{bytes:?}");
    }
    // Every topic with records in tables has closed segments: the journal of the shards among them.
    for topic in log.status().topics {
        println!(
            "{}: {} segments, {} bytes",
            topic.topic, topic.segments, topic.bytes
        );
        let matters = ["journal", "inbox", "results"];
        if matters.iter().any(|kind| topic.topic.ends_with(kind)) {
            assert!(topic.segments > 1, "{topic:?}");
        }
    }
}
