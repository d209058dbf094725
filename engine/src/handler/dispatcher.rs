//! [`Dispatcher`]: from the actions topic to the handlers and back.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_actors::port::{Clock, EventLog, Sink, TopicPartition};
use tidegate_proto::issue::Issues;
use tidegate_proto::record::{Partition, Topic, murmur2};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::lane::{Lane, LaneDoor};
use super::log_sink::LogSink;
use super::partition::{SharedPartitionView, serve};
use super::settings::{
    DispatcherSettings, HandlerKind, HandlerSettings, HandlersSettings, problems,
};
use super::view::{DispatcherView, PartitionView};
use super::webhook::WebhookSink;

/// Name under which the log sink is there without any configuration.
pub const LOG_HANDLER: &str = "log";
/// Group under which the dispatcher commits by default.
pub const GROUP: &str = "dispatcher";

/// Names of the topics that the dispatcher uses.
#[derive(Clone, Debug)]
pub struct DispatcherTopics {
    /// Where actions are read.
    pub actions: Topic,
    /// Where outcomes are written.
    pub inbox: Topic,
    /// Where what was given up is written; it has as many partitions as the actions topic.
    pub dlq: Topic,
    /// Partitions of the inbox.
    pub partitions: u32,
    /// Group of the committed offsets, usually [`GROUP`].
    pub group: String,
}

/// Handlers by name, ready to be called.
#[derive(Default)]
pub struct Handlers(BTreeMap<Arc<str>, (Arc<dyn Sink>, HandlerSettings)>);

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Handlers {
    /// The configured handlers, and `log` unless the configuration has its own.
    ///
    /// # Errors
    /// With all problems of all handlers.
    pub fn build(settings: &HandlersSettings, clock: &Arc<dyn Clock>) -> Result<Self, Issues> {
        let mut issues = problems(settings);
        let log = HandlerSettings {
            kind: HandlerKind::Log,
            ..HandlerSettings::default()
        };
        let mut handlers = Self::default().with(LOG_HANDLER, Arc::new(LogSink), log);
        for (name, settings) in settings {
            let sink: Arc<dyn Sink> = match settings.kind {
                HandlerKind::Log => Arc::new(LogSink),
                // Its problems are in the list already; what else keeps a client from being set up comes on top.
                HandlerKind::Webhook if !settings.problems(name).is_empty() => continue,
                HandlerKind::Webhook => match WebhookSink::new(name, settings, Arc::clone(clock)) {
                    Ok(sink) => Arc::new(sink),
                    Err(more) => {
                        issues.extend(more);
                        continue;
                    }
                },
            };
            handlers = handlers.with(name, sink, settings.clone());
        }
        if issues.is_empty() {
            Ok(handlers)
        } else {
            Err(issues)
        }
    }

    /// The same with one more; one of the same name is replaced.
    #[must_use]
    pub fn with(mut self, name: &str, sink: Arc<dyn Sink>, settings: HandlerSettings) -> Self {
        self.0.insert(Arc::from(name), (sink, settings));
        self
    }

    /// Names of the handlers, in byte order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(AsRef::as_ref)
    }
}

/// What the tasks of a dispatcher share.
pub(super) struct World {
    pub(super) log: Arc<dyn EventLog>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) topics: DispatcherTopics,
    pub(super) settings: DispatcherSettings,
    pub(super) lanes: BTreeMap<Arc<str>, LaneDoor>,
}

struct Served {
    stop: watch::Sender<bool>,
    view: SharedPartitionView,
    task: JoinHandle<()>,
}

/// Delivers actions at least once under their ids. Dropping it stops everything at once, as a killed process would;
/// [`Dispatcher::stop`] lets deliveries under way end and commits.
pub struct Dispatcher {
    world: Arc<World>,
    lanes: JoinSet<()>,
    served: BTreeMap<Partition, Served>,
}

impl fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatcher")
            .field("topics", &self.world.topics)
            .field("partitions", &self.served.keys())
            .field("handlers", &self.world.lanes.keys())
            .finish_non_exhaustive()
    }
}

impl Dispatcher {
    /// Starts the handlers; partitions come with [`Dispatcher::assign`]. Has to be called on a tokio runtime.
    #[must_use]
    pub fn start(
        log: Arc<dyn EventLog>,
        clock: Arc<dyn Clock>,
        topics: DispatcherTopics,
        handlers: Handlers,
        settings: DispatcherSettings,
    ) -> Self {
        let seed = settings
            .seed
            .unwrap_or_else(|| clock.now().0.cast_unsigned());
        let mut tasks = JoinSet::new();
        let mut lanes = BTreeMap::new();
        for (name, (sink, settings)) in handlers.0 {
            let own = seed ^ u64::from(murmur2(name.as_bytes()));
            let (lane, door) = Lane::new(&name, sink, &settings, own);
            tasks.spawn(lane.run());
            lanes.insert(name, door);
        }
        let world = Arc::new(World {
            log,
            clock,
            topics,
            settings,
            lanes,
        });
        Self {
            world,
            lanes: tasks,
            served: BTreeMap::new(),
        }
    }

    /// Serves these partitions too, from their committed offsets; those that are served already go on.
    pub fn assign(&mut self, partitions: impl IntoIterator<Item = Partition>) {
        for partition in partitions {
            let world = Arc::clone(&self.world);
            self.served.entry(partition).or_insert_with(|| {
                let view = Arc::new(Mutex::new(PartitionView {
                    partition,
                    ..PartitionView::default()
                }));
                let place = TopicPartition {
                    topic: world.topics.actions.clone(),
                    partition,
                };
                let (stop, stopped) = watch::channel(false);
                let task = tokio::spawn(serve(world, place, Arc::clone(&view), stopped));
                Served { stop, view, task }
            });
        }
    }

    /// Serves these partitions no longer: lets their deliveries under way end, within the time of grace, and commits.
    pub async fn revoke(&mut self, partitions: impl IntoIterator<Item = Partition>) {
        let going: Vec<Served> = partitions
            .into_iter()
            .filter_map(|partition| self.served.remove(&partition))
            .collect();
        for served in &going {
            served.stop.send_replace(true);
        }
        for mut served in going {
            if let Err(failure) = (&mut served.task).await {
                tracing::error!(%failure, "a partition of the dispatcher did not end well");
            }
        }
    }

    /// Stops: lets deliveries under way end, within the time of grace, and commits.
    pub async fn stop(mut self) {
        let all: Vec<Partition> = self.served.keys().copied().collect();
        self.revoke(all).await;
        self.lanes.shutdown().await;
    }

    /// What it is doing.
    #[must_use]
    pub fn observe(&self) -> DispatcherView {
        let lanes = self.world.lanes.values();
        let partitions = self.served.values();
        DispatcherView {
            handlers: lanes
                .map(|door| {
                    door.view
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .clone()
                })
                .collect(),
            partitions: partitions
                .map(|served| {
                    served
                        .view
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .clone()
                })
                .collect(),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}
