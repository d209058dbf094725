//! How the engine comes up, in order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tidegate_actors::host::{HostSettings, OpenFeed, Ports, ShardActor, Topics};
use tidegate_actors::owner::OwnerSettings;
use tidegate_actors::port::{
    Clock, EventLog, ReadLimit, SnapshotStore, TopicPartition, TopicSettings,
};
use tidegate_actors::result::CauseStyle;
use tidegate_actors::shard::{Shard, ShardSettings};
use tidegate_operators::{Limits, PipelineSettings};
use tidegate_proto::record::Topic;
use tidegate_proto::time::{Span, Timestamp};

use tokio::task::JoinHandle;

use super::owning::Owning;
use super::{Engine, Inner, Running, worker};
use crate::answers::Answers;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::error::EngineError;
use crate::fail_points;
use crate::feed::{self, FeedSettings};
use crate::handler::{Dispatcher, DispatcherTopics, GROUP, Handlers};
use crate::log::{EmbeddedLog, KafkaLog, OpenLog, ReopeningLog, SHARD_GROUP};
use crate::runtime::Shards;
use crate::source::{Gateways, HeldClock, Registry};
use crate::store::{self, Snapshots};
use crate::tail::{TailFrom, tail};
use crate::topics;
use crate::workers::{Speaker, Workers};

/// First and longest wait before brokers that are away are asked again.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Wall time.
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
    }
}

pub(super) async fn start(config: Config, clock: Arc<dyn Clock>) -> Result<Running, EngineError> {
    let data = DataDir::open(&config.data, Some(config.partitions), config.partitions)
        .map_err(|error| EngineError::Data(error.to_string()))?;
    let partitions = data.partitions();
    let handlers = Handlers::build(&config.handlers, &clock).map_err(EngineError::issues)?;
    let log = open(&config, &data, &clock)?;
    let snapshots = snapshots(&config, &data)?;
    let topics = Arc::new(topic_names(&config));
    let port = log.port();
    let found = look(&config, &log, &topics.changes, partitions).await?;
    let gateways = Gateways::default();
    let ports = ports(
        &config,
        &topics,
        Arc::clone(&port),
        Arc::clone(&snapshots) as Arc<dyn SnapshotStore>,
        // What gateways have not yet brought in keeps the shards' clocks back.
        Arc::new(HeldClock::new(Arc::clone(&clock), gateways.hold().clone())),
    );
    let shape = (partitions, log.is_atomic());
    let shards = Arc::new(shards(&config, &topics, shape, ports)?);
    let answers = Answers::default();
    let changes = tail(&port, &topics.changes, partitions, found.changes, false);
    let mut following = vec![tokio::spawn(answers.clone().follow(changes))];
    let written = dispatcher_topics(&topics, partitions);
    let dispatcher = deliver(&config, &port, &clock, written, handlers);
    let owning = owning(
        &config,
        &log,
        &topics.inbox,
        (partitions, &shards),
        dispatcher,
    )?;
    let workers = Workers::default();
    let speaker = worker::speaker(&config, Arc::clone(&port), clock);
    let engine = Engine(Arc::new(Inner {
        name: worker::name(&config),
        registry: registry(&config)?,
        snapshots,
        workers: workers.clone(),
        config,
        topics,
        partitions,
        log,
        shards,
        answers,
        gateways,
        asking: tokio::sync::Mutex::new(()),
    }));
    if let Some(said) = found.said {
        following.extend(talk(&engine, workers, speaker, said));
    }
    Ok(Running {
        gateway: engine.start_gateway(),
        engine,
        owning,
        following,
        _data: data,
    })
}

fn snapshots(config: &Config, data: &DataDir) -> Result<Arc<dyn Snapshots>, EngineError> {
    let (folder, journal) = (data.snapshots(), config.topic("journal"));
    let kept = config.shard.snapshots;
    Ok(store::open(&config.snapshots, &folder, &journal, kept)?)
}

fn deliver(
    config: &Config,
    log: &Arc<dyn EventLog>,
    clock: &Arc<dyn Clock>,
    written: DispatcherTopics,
    handlers: Handlers,
) -> Dispatcher {
    let (log, clock) = (Arc::clone(log), Arc::clone(clock));
    Dispatcher::start(log, clock, written, handlers, config.dispatcher.clone())
}

/// Everything is ours, or what the group says.
fn owning(
    config: &Config,
    log: &OpenLog,
    inbox: &Topic,
    (partitions, shards): (u32, &Arc<Shards>),
    dispatcher: Dispatcher,
) -> Result<Owning, EngineError> {
    Ok(match log {
        OpenLog::Embedded(_) => Owning::all(partitions, shards, dispatcher),
        OpenLog::Kafka(kafka) => {
            let ours = kafka.join(inbox, &worker::name(config))?;
            Owning::follow(ours, shards, dispatcher)
        }
    })
}

fn registry(config: &Config) -> Result<Option<Arc<Registry>>, EngineError> {
    let registry = Registry::new(&config.registry);
    let failed = |error| EngineError::Internal(format!("the registry's client: {error}"));
    Ok(registry.map_err(failed)?.map(Arc::new))
}

fn open(config: &Config, data: &DataDir, clock: &Arc<dyn Clock>) -> Result<OpenLog, EngineError> {
    if let Some(kafka) = &config.kafka.log {
        return Ok(OpenLog::Kafka(Arc::new(KafkaLog::open(kafka.clone())?)));
    }
    let (folder, settings, clock) = (data.log(), config.log.embedded, Arc::clone(clock));
    let log = ReopeningLog::open(move || EmbeddedLog::open(&folder, settings, Arc::clone(&clock)))?;
    Ok(OpenLog::Embedded(log))
}

/// Where what was said in our topics ends before anything of ours runs: what comes later is news.
struct Found {
    changes: TailFrom,
    /// What workers say of themselves, where there may be others.
    said: Option<TailFrom>,
}

/// Sees to it that our topics are there and can be used. Brokers that are away are waited for: they come back, and a worker
/// that ends because of them would have to be started again by somebody.
async fn look(
    config: &Config,
    log: &OpenLog,
    changes: &Topic,
    partitions: u32,
) -> Result<Found, EngineError> {
    let patience = match log {
        OpenLog::Embedded(_) => Duration::ZERO,
        OpenLog::Kafka(_) => config.kafka.start_timeout.duration(),
    };
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match look_once(config, log, changes, partitions).await {
            Err(EngineError::Unavailable(why)) if began.elapsed() + pause < patience => {
                let waited_s = began.elapsed().as_secs();
                tracing::warn!(waited_s, "no start yet, trying again: {why}");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            found => return found,
        }
    }
}

async fn look_once(
    config: &Config,
    log: &OpenLog,
    changes: &Topic,
    partitions: u32,
) -> Result<Found, EngineError> {
    let port = log.port();
    topics::create(config, port.as_ref()).await?;
    if let OpenLog::Kafka(kafka) = log {
        let problems = topics::check(config, kafka).await?;
        if !problems.is_empty() {
            return Err(EngineError::Data(problems.join("\n")));
        }
    }
    let mut said = None;
    if log.is_shared() {
        let settings = TopicSettings {
            partitions: 1,
            retention_ms: Some(3_600_000),
            retention_bytes: None,
        };
        let topic = worker::topic(config);
        port.create_topic(&topic, settings).await?;
        said = Some(ends(port.as_ref(), &topic, 1).await?);
    }
    let changes = ends(port.as_ref(), changes, partitions).await?;
    Ok(Found { changes, said })
}

/// Speaks to the other workers, and listens.
fn talk(
    engine: &Engine,
    workers: Workers,
    speaker: Speaker,
    from: TailFrom,
) -> Vec<JoinHandle<()>> {
    let said = tail(&engine.0.log.port(), &speaker.topic, 1, from, false);
    let inner = Arc::downgrade(&engine.0);
    let mut talking = vec![
        tokio::spawn(workers.follow(said)),
        tokio::spawn(worker::speak(inner.clone(), speaker)),
    ];
    if engine.0.config.kafka.standbys > 0 {
        talking.push(tokio::spawn(worker::stand_by(inner)));
    }
    talking
}

/// Where a topic ends now: whoever reads from there misses nothing that is asked for later.
async fn ends(log: &dyn EventLog, topic: &Topic, partitions: u32) -> Result<TailFrom, EngineError> {
    let mut ends = Vec::new();
    for partition in 0..partitions {
        let place = TopicPartition {
            topic: Topic::clone(topic),
            partition,
        };
        ends.push(log.bounds(&place).await?.end);
    }
    Ok(TailFrom::Offsets(ends))
}

fn shards(
    config: &Config,
    topics: &Arc<Topics>,
    (partitions, atomic): (u32, bool),
    ports: Ports,
) -> Result<Shards, EngineError> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (config, topics) = (config.clone(), Arc::clone(topics));
    let aside = threads * usize::from(config.kafka.standbys > 0);
    Shards::start(threads, aside, move |shard| {
        let settings = shard_settings(shard, partitions, &config, &topics);
        actor(settings, atomic, &config, ports.clone())
    })
}

fn dispatcher_topics(topics: &Topics, partitions: u32) -> DispatcherTopics {
    DispatcherTopics {
        actions: Topic::clone(&topics.actions),
        inbox: Topic::clone(&topics.inbox),
        dlq: Topic::clone(&topics.dead),
        partitions,
        group: GROUP.to_owned(),
    }
}

fn topic_names(config: &Config) -> Topics {
    let name = |kind: &str| -> Topic { config.topic(kind).into() };
    Topics {
        inbox: name("inbox"),
        journal: name("journal"),
        results: name("results"),
        actions: name("actions"),
        changes: name("changes"),
        dead: name("dlq"),
        late: name("late"),
        group: SHARD_GROUP.to_owned(),
    }
}

fn ports(
    config: &Config,
    topics: &Arc<Topics>,
    log: Arc<dyn EventLog>,
    snapshots: Arc<dyn SnapshotStore>,
    clock: Arc<dyn Clock>,
) -> Ports {
    let shard = &config.shard;
    let limit = ReadLimit {
        records: shard.epoch_records,
        bytes: shard.epoch_bytes,
    };
    let waiting = (shard.queue_rows / shard.epoch_records.max(1))
        .min(shard.queue_bytes / shard.epoch_bytes.max(1));
    let feed = FeedSettings {
        log: Arc::clone(&log),
        clock: Arc::clone(&clock),
        limit,
        waiting: waiting.max(1),
        runtime: tokio::runtime::Handle::current(),
    };
    let feed: OpenFeed =
        Arc::new(move |shard, readings, positions| feed::open(&feed, shard, readings, positions));
    Ports {
        log: fail_points::around(log, &topics.journal),
        snapshots,
        clock,
        feed,
        topics: Arc::clone(topics),
        kept: Arc::new(Mutex::new(BTreeMap::new())),
    }
}

fn actor(
    shard_settings: ShardSettings,
    atomic_publish: bool,
    config: &Config,
    ports: Ports,
) -> ShardActor {
    let settings = HostSettings {
        shard: shard_settings.shard,
        owner: OwnerSettings {
            name: format!("process {}", std::process::id()),
            snapshot_epochs: config.shard.snapshot_epochs,
            snapshot_records: config.shard.snapshot_records,
            unpublished: config.shard.unpublished,
            atomic_publish,
            ..OwnerSettings::default()
        },
        tick: config.shard.tick.duration(),
        snapshot_age: config.shard.snapshot_age.duration(),
    };
    let make = move |bytes: Option<&[u8]>| match bytes {
        None => Ok(Shard::new(shard_settings.clone())),
        Some(bytes) => Shard::restore(shard_settings.clone(), bytes),
    };
    ShardActor::new(settings, ports, Box::new(make))
}

pub(super) fn shard_settings(
    shard: u32,
    partitions: u32,
    config: &Config,
    topics: &Topics,
) -> ShardSettings {
    let sources = vec![Topic::clone(&topics.inbox)];
    let causes = CauseStyle::Log(sources.clone(), shard);
    let limits = Limits {
        waiting_rows: config.limits.waiting_rows,
        groups: config.limits.groups,
        attempts: config.limits.attempts,
        attempt_rows: config.limits.attempt_rows,
        attempt_ways: config.limits.attempt_ways,
        graph_passes: config.limits.graph_passes,
        graph_elements: config.limits.graph_elements,
        graph_ticks: config.limits.graph_ticks as u64,
        join_rows: config.limits.join_rows,
    };
    ShardSettings {
        sources,
        most_sources: config.limits.sources,
        set_depth: config.limits.set_depth as u32,
        pipeline: PipelineSettings {
            disorder: config.time.disorder,
            idle: config.time.idle,
            limits,
            ..PipelineSettings::default()
        },
        future: Span(config.time.future.0),
        ..ShardSettings::new(shard, partitions, causes)
    }
}
