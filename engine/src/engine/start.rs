//! How the engine comes up, in order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_actors::host::{HostSettings, OpenFeed, Ports, ShardActor, Topics};
use tidegate_actors::owner::OwnerSettings;
use tidegate_actors::port::{Clock, EventLog, ReadLimit, SnapshotStore, TopicSettings};
use tidegate_actors::result::CauseStyle;
use tidegate_actors::shard::{Shard, ShardSettings};
use tidegate_operators::{Limits, PipelineSettings};
use tidegate_proto::record::Topic;
use tidegate_proto::time::{Span, Timestamp};

use super::{Engine, Inner, Running};
use crate::answers::Answers;
use crate::config::{Config, Retention};
use crate::data_dir::DataDir;
use crate::error::EngineError;
use crate::feed::{self, FeedSettings};
use crate::handler::{Dispatcher, DispatcherTopics, GROUP, Handlers};
use crate::log::{EmbeddedLog, ReopeningLog};
use crate::runtime::Shards;
use crate::store::FolderStore;
use crate::tail::{TailFrom, tail};

/// Group under which shards commit how far they have read and published.
const SHARD_GROUP: &str = "tidegate";

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

pub(super) async fn start(config: Config) -> Result<Running, EngineError> {
    let data = DataDir::open(&config.data, Some(config.partitions), config.partitions)
        .map_err(|error| EngineError::Data(error.to_string()))?;
    let partitions = data.partitions();
    let clock: Arc<dyn Clock> = Arc::new(WallClock);
    let handlers = Handlers::build(&config.handlers, &clock).map_err(EngineError::issues)?;
    let (folder, settings, wall) = (data.log(), config.log.embedded, Arc::clone(&clock));
    let log = ReopeningLog::open(move || EmbeddedLog::open(&folder, settings, Arc::clone(&wall)))?;
    let snapshots: Arc<dyn SnapshotStore> = Arc::new(FolderStore::open(&data.snapshots())?);
    let topics = Arc::new(topics(&config));
    create_topics(&config, &topics, partitions, log.as_ref()).await?;

    let ports = ports(
        &config,
        &topics,
        Arc::clone(&log) as Arc<dyn EventLog>,
        snapshots,
        Arc::clone(&clock),
    );
    let shards = shards(&config, &topics, partitions, ports)?;
    let answers = Answers::default();
    let erased = Arc::clone(&log) as Arc<dyn EventLog>;
    let changes = tail(
        &erased,
        &topics.changes,
        partitions,
        TailFrom::Latest,
        false,
    );
    let following = tokio::spawn(answers.clone().follow(changes));
    let mut dispatcher = Dispatcher::start(
        erased,
        clock,
        dispatcher_topics(&topics, partitions),
        handlers,
        config.dispatcher.clone(),
    );
    dispatcher.assign(0..partitions);
    let engine = Engine(Arc::new(Inner {
        config,
        topics,
        partitions,
        log,
        shards,
        answers,
    }));
    Ok(Running {
        engine,
        dispatcher,
        following,
        _data: data,
    })
}

fn shards(
    config: &Config,
    topics: &Arc<Topics>,
    partitions: u32,
    ports: Ports,
) -> Result<Shards, EngineError> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (config, topics) = (config.clone(), Arc::clone(topics));
    Shards::start(partitions, threads, move |shard| {
        actor(shard, partitions, &config, &topics, ports.clone())
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

fn topics(config: &Config) -> Topics {
    let name = |kind: &str| -> Topic { config.topic(kind).into() };
    Topics {
        inbox: name("inbox"),
        journal: name("journal"),
        results: name("results"),
        actions: name("actions"),
        changes: name("changes"),
        dead: name("dlq"),
        late: name("late"),
        sources: vec![name("inbox")],
        group: SHARD_GROUP.to_owned(),
    }
}

async fn create_topics(
    config: &Config,
    topics: &Topics,
    partitions: u32,
    log: &dyn EventLog,
) -> Result<(), EngineError> {
    let keep = &config.log.retention;
    let all: [(&Topic, Retention); 7] = [
        (&topics.inbox, keep.inbox),
        (&topics.journal, keep.journal),
        (&topics.results, keep.results),
        (&topics.actions, keep.actions),
        (&topics.changes, keep.changes),
        (&topics.late, keep.late),
        (&topics.dead, keep.dlq),
    ];
    for (topic, retention) in all {
        let settings = TopicSettings {
            partitions,
            retention_ms: retention.age.map(|age| age.0),
            retention_bytes: retention.bytes,
        };
        let found = log.create_topic(topic, settings).await?;
        if found != partitions {
            let text = format!(
                "the topic `{topic}` has {found} partitions, {partitions} are wanted; a partition count never changes"
            );
            return Err(EngineError::Data(text));
        }
    }
    Ok(())
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
        sources: topics.sources.clone(),
        limit,
        waiting: waiting.max(1),
        runtime: tokio::runtime::Handle::current(),
    };
    let feed: OpenFeed = Arc::new(move |shard, positions| feed::open(&feed, shard, positions));
    Ports {
        log,
        snapshots,
        clock,
        feed,
        topics: Arc::clone(topics),
        kept: Arc::new(Mutex::new(BTreeMap::new())),
    }
}

fn actor(
    shard: u32,
    partitions: u32,
    config: &Config,
    topics: &Topics,
    ports: Ports,
) -> ShardActor {
    let settings = HostSettings {
        shard,
        owner: OwnerSettings {
            name: format!("process {}", std::process::id()),
            snapshot_epochs: config.shard.snapshot_epochs,
            snapshot_records: config.shard.snapshot_records,
            unpublished: config.shard.unpublished,
            atomic_publish: true,
            ..OwnerSettings::default()
        },
        tick: Duration::from_millis(u64::try_from(config.shard.tick.0).unwrap_or(200)),
    };
    let shard_settings = shard_settings(shard, partitions, config, topics);
    let make = move |bytes: Option<&[u8]>| match bytes {
        None => Ok(Shard::new(shard_settings.clone())),
        Some(bytes) => Shard::restore(shard_settings.clone(), bytes),
    };
    ShardActor::new(settings, ports, Box::new(make))
}

fn shard_settings(shard: u32, partitions: u32, config: &Config, topics: &Topics) -> ShardSettings {
    let causes = CauseStyle::Log(topics.sources.clone(), shard);
    let limits = Limits {
        waiting_rows: config.limits.waiting_rows,
        groups: config.limits.groups,
    };
    ShardSettings {
        sources: topics.sources.clone(),
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
