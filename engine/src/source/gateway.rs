//! [`Gateway`]: keeps one lane per partition of every source that needs it, as the shards know the sources.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidegate_actors::observe::SourceView;
use tidegate_actors::port::{EventLog, TopicPartition};
use tidegate_actors::source::parse_source;
use tidegate_proto::decode::SourceFormat;
use tidegate_proto::issue::{Issue, Issues, Mark};
use tidegate_proto::record::{Offset, Partition, Topic};
use tidegate_proto::time::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::SourceSettings;
use super::body::Form;
use super::held::{ClockHold, Holder};
use super::lane::Lane;
use super::registry::Registry;
use super::rekey::From;
use crate::error::EngineError;

/// How often it looks whether there are other sources; a door that knows tells at once.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How one lane is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LaneState {
    /// Records that it has not taken yet.
    pub(super) lag: Option<u64>,
    /// What keeps it from going on.
    pub(super) trouble: Option<String>,
}

/// How the gateway of a source is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayStatus {
    /// Records that it has not taken yet; `None`: not known.
    pub lag: Option<u64>,
    /// What keeps it from going on.
    pub trouble: Option<String>,
}

#[derive(Debug, Default)]
struct Shared {
    hold: ClockHold,
    nudge: Notify,
    lanes: Mutex<BTreeMap<Holder, LaneState>>,
    /// Sources that have no lanes, and why.
    refused: Mutex<BTreeMap<String, String>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What doors know of gateways; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Gateways(Arc<Shared>);

impl Gateways {
    /// What keeps the clock back.
    #[must_use]
    pub fn hold(&self) -> &ClockHold {
        &self.0.hold
    }

    /// Sources have changed: look now.
    pub fn nudge(&self) {
        self.0.nudge.notify_one();
    }

    /// How the gateway of a source is.
    #[must_use]
    pub fn status(&self, source: &str) -> GatewayStatus {
        if let Some(reason) = locked(&self.0.refused).get(source) {
            return GatewayStatus {
                lag: None,
                trouble: Some(reason.clone()),
            };
        }
        let lanes = locked(&self.0.lanes);
        let mine = || {
            lanes
                .iter()
                .filter(|((name, _), _)| name.as_ref() == source)
        };
        let lags: Option<Vec<u64>> = mine().map(|(_, lane)| lane.lag).collect();
        GatewayStatus {
            lag: lags
                .filter(|lags| !lags.is_empty())
                .map(|lags| lags.iter().sum()),
            trouble: mine().find_map(|(_, lane)| lane.trouble.clone()),
        }
    }

    pub(super) fn tell(&self, lane: &Holder, state: LaneState) {
        locked(&self.0.lanes).insert(lane.clone(), state);
    }

    pub(super) fn forget(&self, lane: &Holder) {
        locked(&self.0.lanes).remove(lane);
    }
}

/// Asks the shards which sources there are.
pub type AskSources = Arc<
    dyn Fn() -> Pin<Box<dyn Future<Output = Result<Vec<SourceView>, EngineError>> + Send>>
        + Send
        + Sync,
>;

/// Whether a shard runs in this process.
pub type Owns = Arc<dyn Fn(Partition) -> bool + Send + Sync>;

/// What gateways stand on.
pub struct World {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// Where events go.
    pub inbox: Topic,
    /// Where records go that cannot be used.
    pub dead: Topic,
    /// Partitions of both.
    pub partitions: u32,
    /// What the names of committed groups begin with.
    pub group: String,
    /// Settings.
    pub settings: SourceSettings,
    /// Schemas, if a registry is set.
    pub registry: Option<Arc<Registry>>,
    /// What doors know.
    pub gateways: Gateways,
    /// Which sources there are.
    pub ask: AskSources,
    /// Which shards run in this process: a partition of a source goes with the shard of its number.
    pub owns: Owns,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// The running gateways.
#[derive(Debug)]
pub struct Gateway {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Gateway {
    /// Starts all gateways; they follow the sources from here on.
    #[must_use]
    pub fn start(world: World) -> Self {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(supervise(Arc::new(world), stopped));
        Self { stop, task }
    }

    /// Stops reading; what was published stays.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the gateways did not end well");
        }
    }
}

/// The lanes of one source.
struct Served {
    generation: u64,
    document: String,
    topic: Topic,
    partitions: Partition,
    stop: watch::Sender<bool>,
    lanes: JoinSet<()>,
}

impl Served {
    async fn end(mut self) {
        let _ = self.stop.send(true);
        while self.lanes.join_next().await.is_some() {}
    }
}

/// Nobody reads a topic any more: retention need not wait for anybody.
async fn let_go(world: &World, topic: &Topic, partitions: Partition) {
    for partition in 0..partitions {
        let place = TopicPartition {
            topic: Topic::clone(topic),
            partition,
        };
        if let Err(error) = world.log.hold(&place, Offset::MAX).await {
            tracing::warn!(%error, %place, "the topic of a source that is gone is still held");
        }
    }
}

async fn supervise(world: Arc<World>, mut stop: watch::Receiver<bool>) {
    let mut served: BTreeMap<String, Served> = BTreeMap::new();
    let began = tokio::time::Instant::now();
    let patience = world.settings.patience.duration();
    loop {
        let known = tokio::select! {
            known = (world.ask)() => known,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match known {
            Ok(known) => {
                follow(&world, &mut served, known).await;
                world.gateways.hold().started();
            }
            // Shards that cannot be asked for so long do not move their clocks either.
            Err(error) if began.elapsed() >= patience => {
                tracing::warn!(%error, "the gateways cannot ask which sources there are");
                world.gateways.hold().started();
            }
            Err(_) => {}
        }
        tokio::select! {
            () = world.gateways.0.nudge.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    for (_, served) in served {
        served.end().await;
    }
}

/// Ends lanes of what is gone or another one, begins those of what is new.
async fn follow(world: &Arc<World>, served: &mut BTreeMap<String, Served>, known: Vec<SourceView>) {
    let read: Vec<Topic> = known.iter().map(|view| Topic::clone(&view.topic)).collect();
    let wanted: BTreeMap<String, SourceView> = known
        .into_iter()
        .filter(|view| !view.in_place)
        .map(|view| (view.name.clone(), view))
        .collect();
    locked(&world.gateways.0.refused).retain(|name, _| wanted.contains_key(name));
    let is_same = |name: &String, served: &Served| {
        wanted.get(name).is_some_and(|view| {
            view.generation == served.generation && view.document == served.document
        })
    };
    let gone: Vec<String> = served
        .iter()
        .filter(|(name, one)| !is_same(name, one))
        .map(|(name, _)| name.clone())
        .collect();
    for name in gone {
        if let Some(gone) = served.remove(&name) {
            let (topic, partitions) = (Topic::clone(&gone.topic), gone.partitions);
            gone.end().await;
            if !read.contains(&topic) {
                let_go(world, &topic, partitions).await;
            }
        }
    }
    for (name, view) in wanted {
        if served.contains_key(&name) {
            continue;
        }
        let begun = begin(world, &view);
        let mut refused = locked(&world.gateways.0.refused);
        match begun {
            Ok(begun) => {
                refused.remove(&name);
                served.insert(name, begun);
            }
            Err(issues) => {
                let reasons: Vec<String> = issues.iter().map(ToString::to_string).collect();
                refused.insert(name, reasons.join("; "));
            }
        }
    }
}

fn begin(world: &Arc<World>, view: &SourceView) -> Result<Served, Issues> {
    let source = Arc::new(parse_source(&view.document)?);
    let form = Form::of(&source, world.registry.as_ref())?;
    let (stop, stopped) = watch::channel(false);
    let mut lanes = JoinSet::new();
    for (partition, start) in (0_u32..).zip(&view.starts) {
        let from = From {
            source: Arc::from(view.name.as_str()),
            generation: view.generation,
            topic: Topic::clone(&view.topic),
            partition,
            profile: source.profile.clone(),
        };
        let holder: (Arc<str>, Partition) = (Arc::clone(&from.source), partition);
        // Until the lane has read how far it is, the clock may not move.
        world.gateways.hold().hold(&holder, Timestamp::MIN);
        world.gateways.tell(&holder, LaneState::default());
        let lane = Lane {
            world: Arc::clone(world),
            source: Arc::clone(&source),
            form: form.clone(),
            from,
            start: *start,
            stop: stopped.clone(),
        };
        lanes.spawn(lane.run());
    }
    Ok(Served {
        generation: view.generation,
        document: view.document.clone(),
        topic: Topic::clone(&view.topic),
        partitions: u32::try_from(view.starts.len()).unwrap_or(u32::MAX),
        stop,
        lanes,
    })
}

/// Why a source that needs a registry cannot be read.
pub(super) fn no_registry(format: SourceFormat) -> Issues {
    let problem = format!("`format: {}` needs a schema registry", format.word());
    let hint = "set `registry.url` in the settings of the engine";
    vec![Issue::new("format", Mark::default(), problem).hint(hint)]
}

/// What is wrong with a source that a gateway reads.
///
/// # Errors
/// When its script does not compile, or it needs a registry and none is set.
pub(crate) fn check(
    source: &tidegate_proto::document::SourceDefinition,
    registry: Option<&Arc<Registry>>,
) -> Result<(), Issues> {
    Form::of(source, registry).map(|_| ())
}
