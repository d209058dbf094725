//! The engine inside the test's own process, on a clock that the test moves: hours pass in a moment, nobody sleeps.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tidegate::config::Config;
use tidegate::engine::{Engine, IngestEvent, Running};
use tidegate::log::{EmbeddedLog, FsyncPolicy};
use tidegate_actors::command::{Command, Request};
use tidegate_actors::observe::ShardView;
use tidegate_actors::port::{Clock, EventLog as _, ReadLimit, TopicPartition};
use tidegate_proto::record::{Offset, Record};
use tidegate_proto::time::{Span, Timestamp};

/// How often in a row nothing new may be found before it counts as a stall. Looks go through the same threads as what they
/// look at, so a busy machine makes both slow; a wall clock would only measure how busy it is.
const LOOKS: u32 = 20_000;
/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// What one read of a topic brings.
const READ: ReadLimit = ReadLimit {
    records: 10_000,
    bytes: 16 << 20,
};

/// A clock that stands where it was put.
#[derive(Debug, Default)]
pub struct SetClock(AtomicI64);

impl SetClock {
    /// A clock at a time.
    #[must_use]
    pub fn at(now: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(now)))
    }

    /// Puts it elsewhere.
    pub fn set(&self, now: i64) {
        self.0.store(now, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// Settings for a folder: so many partitions, ticks as fast as a test wants them, no waiting for the disk.
#[must_use]
pub fn settings(data: &Path, partitions: u32) -> Config {
    let mut config = Config::for_data(data).expect("the defaults are right");
    config.partitions = partitions;
    config.shard.tick = Span::millis(2);
    config.log.embedded.fsync = FsyncPolicy::Never;
    config
}

/// An engine in this process.
#[derive(Debug)]
pub struct Inside {
    running: Running,
}

impl Inside {
    /// Starts it and waits until every shard is ready.
    ///
    /// # Errors
    /// What the engine says if it cannot start or a shard cannot recover; never an empty text.
    pub async fn start(config: Config, clock: &Arc<SetClock>) -> Result<Self, String> {
        let clock: Arc<dyn Clock> = Arc::<SetClock>::clone(clock);
        let running = Engine::start_at(config, clock)
            .await
            .map_err(|error| error.to_string())?;
        let engine = Self { running };
        match engine.settled().await {
            Ok(()) => Ok(engine),
            Err(why) => {
                // It is refused already; what stopping it says adds nothing.
                let _ = engine.stop().await;
                Err(why)
            }
        }
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.running.engine
    }

    async fn settled(&self) -> Result<(), String> {
        let mut patience = Patience::default();
        loop {
            let trouble = self.engine().trouble().await;
            if trouble.is_empty() {
                return Ok(());
            }
            let given_up = trouble
                .iter()
                .any(|line| line.contains("Stuck") || line.contains("Lost"));
            if given_up {
                return Err(trouble.join("; "));
            }
            patience.look(&trouble, |trouble| format!("nothing settles: {trouble:?}"));
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Submits a rule.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn submit(&self, document: &str) -> Result<(), String> {
        let request = Request {
            request: format!("put {document}"),
            command: Command::PutRule {
                document: document.to_owned(),
                expected: None,
            },
        };
        let answer = self.engine().request(request).await;
        answer.map(drop).map_err(|error| error.to_string())
    }

    /// Sends events: resource and body.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn send(&self, events: Vec<(String, String)>) -> Result<(), String> {
        let events = events.into_iter().map(|(key, body)| IngestEvent {
            key,
            body: body.into(),
        });
        let sent = self.engine().ingest(events.collect(), None).await;
        sent.map(drop).map_err(|error| error.to_string())
    }

    /// Waits until the shards together satisfy a condition, and answers with what they show then.
    ///
    /// # Errors
    /// What the engine says if a shard gives up, or what it shows if the condition is never met.
    pub async fn until(
        &self,
        reached: impl Fn(&[ShardView]) -> bool,
    ) -> Result<Vec<ShardView>, String> {
        let mut patience = Patience::default();
        loop {
            self.settled().await?;
            let shown = self.engine().shards().await;
            let shown = shown.map_err(|error| error.to_string())?;
            if reached(&shown) {
                return Ok(shown);
            }
            patience.look(&shown, |shown| format!("it is never reached: {shown:#?}"));
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until so many events were taken.
    ///
    /// # Errors
    /// As [`Inside::until`].
    pub async fn taken(&self, events: u64) -> Result<(), String> {
        let all = |shown: &[ShardView]| shown.iter().map(|shard| shard.counters.events).sum();
        let reached = self.until(|shown| events <= all(shown)).await?;
        assert_eq!(events, all(&reached), "more events than were sent");
        Ok(())
    }

    /// Everything that the doors show: twins, rules, tasks, a line each.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn shown(&self) -> Result<Vec<String>, String> {
        let engine = self.engine();
        let failed = |error: tidegate::error::EngineError| error.to_string();
        let resources = engine.resources(None, None, 10_000).await.map_err(failed)?;
        let rules = engine.rules().await.map_err(failed)?;
        let tasks = engine.tasks(None, None, None, 10_000).await;
        let tasks = tasks.map_err(failed)?;
        let mut lines: Vec<String> = resources.iter().map(|view| format!("{view:?}")).collect();
        lines.extend(rules.iter().map(|view| format!("{view:?}")));
        lines.extend(tasks.iter().map(|view| format!("{view:?}")));
        Ok(lines)
    }

    /// Drains and stops it.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn stop(self) -> Result<(), String> {
        self.running.stop().await.map_err(|error| error.to_string())
    }
}

/// Counts how often in a row a look found what the one before found.
struct Patience<T> {
    last: Option<T>,
    looks: u32,
}

impl<T> Default for Patience<T> {
    fn default() -> Self {
        let looks = 0;
        Self { last: None, looks }
    }
}

impl<T: Clone + PartialEq> Patience<T> {
    fn look(&mut self, found: &T, stalled: impl FnOnce(&T) -> String) {
        if self.last.as_ref() != Some(found) {
            self.last = Some(found.clone());
            self.looks = 0;
        }
        self.looks += 1;
        assert!(self.looks < LOOKS, "{}", stalled(found));
    }
}

/// Opens the log of a stopped engine.
///
/// # Errors
/// What the log says.
pub fn open_log(config: &Config, clock: &Arc<SetClock>) -> Result<EmbeddedLog, String> {
    let clock: Arc<dyn Clock> = Arc::<SetClock>::clone(clock);
    EmbeddedLog::open(&config.data.join("log"), config.log.embedded, clock)
        .map_err(|error| error.to_string())
}

/// All records of one of our topics, partition by partition.
///
/// # Errors
/// What the log says.
pub async fn records(
    log: &EmbeddedLog,
    config: &Config,
    kind: &str,
) -> Result<Vec<(u32, Offset, Record)>, String> {
    let mut all = Vec::new();
    for partition in 0..config.partitions {
        let of = TopicPartition {
            topic: config.topic(kind).into(),
            partition,
        };
        let failed = |error: tidegate_actors::port::PortError| error.to_string();
        let bounds = log.bounds(&of).await.map_err(failed)?;
        let mut at = bounds.start;
        while at < bounds.end {
            let slice = log.read(&of, at, READ).await.map_err(failed)?;
            at += i64::try_from(slice.entries.len()).unwrap_or(i64::MAX);
            assert!(!slice.entries.is_empty(), "a hole in {of} at {at}");
            let entries = slice.entries.into_iter();
            all.extend(entries.map(|entry| (partition, entry.offset, entry.record)));
        }
    }
    Ok(all)
}

/// Values of a topic as texts, in byte order: what was said, whatever the cut of epochs and partitions.
///
/// # Errors
/// What the log says.
pub async fn lines(log: &EmbeddedLog, config: &Config, kind: &str) -> Result<Vec<String>, String> {
    let all = records(log, config, kind).await?.into_iter();
    let mut lines: Vec<String> = all
        .filter_map(|(_, _, record)| record.value)
        .map(|value| String::from_utf8_lossy(&value).into_owned())
        .collect();
    lines.sort();
    Ok(lines)
}
