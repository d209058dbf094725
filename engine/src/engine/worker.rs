//! This process as a worker among others: what it says of itself, and looking at shards wherever they run.

use std::sync::Arc;
use std::time::Duration;

use tidegate_actors::observe::{Observation, Query, ShardView};
use tidegate_actors::owner::Phase;
use tidegate_actors::port::{EventLog, TopicPartition};
use tidegate_proto::record::Topic;

use super::{Engine, Inner};
use crate::error::EngineError;
use crate::log::kafka::ClientNumbers;
use crate::standby::StandbyPlan;
use crate::workers::{EVERY, Speaker, Takeover, WorkerShard, WorkerStandby, WorkerView};

/// Name of a worker: what the settings call it, or where its doors are.
pub(super) fn name(config: &crate::config::Config) -> String {
    let instance = config
        .kafka
        .log
        .as_ref()
        .and_then(|kafka| kafka.instance.clone());
    instance.unwrap_or_else(|| config.listen.to_string())
}

/// Says every second what runs here; ends when the engine is gone.
pub(super) async fn speak(inner: std::sync::Weak<Inner>, speaker: Speaker) {
    while let Some(inner) = inner.upgrade() {
        let (shards, standbys) = (own(&inner).await, standbys(&inner).await);
        drop(inner);
        speaker.say(shards, standbys).await;
        tokio::time::sleep(EVERY).await;
    }
}

/// What runs here. Who cannot be asked in time is told without numbers.
async fn own(inner: &Inner) -> Vec<WorkerShard> {
    let all = inner.shards.health().await;
    let looked = all.into_iter().map(|(shard, health)| async move {
        let health = health?;
        let mut own = WorkerShard {
            shard,
            phase: format!("{:?}", health.phase),
            generation: health.generation,
            epoch: health.published,
            takeover: health.took.map(|took| Takeover {
                millis: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                epochs: health.recovery.epochs,
                records: health.recovery.records,
                warm: health.recovery.warm,
            }),
            ..WorkerShard::default()
        };
        if health.phase == Phase::Ready {
            let numbers = numbers(inner, &mut own);
            // A word without numbers is better than none.
            let _ = tokio::time::timeout(Duration::from_millis(500), numbers).await;
        }
        Some(own)
    });
    futures::future::join_all(looked)
        .await
        .into_iter()
        .flatten()
        .collect()
}

/// What is followed here.
async fn standbys(inner: &Inner) -> Vec<WorkerStandby> {
    let all = inner.shards.followed().await.into_iter();
    let told = all.map(|(shard, health)| WorkerStandby {
        shard,
        epoch: health.epoch,
        behind: inner
            .workers
            .epoch_of(shard)
            .unwrap_or(0)
            .saturating_sub(health.epoch),
    });
    told.collect()
}

/// Follows what this worker stands by for; ends when the engine is gone.
pub(super) async fn stand_by(inner: std::sync::Weak<Inner>) {
    let mut plan = StandbyPlan::default();
    while let Some(inner) = inner.upgrade() {
        let settings = &inner.config.kafka;
        let most = (settings.standbys, settings.standby_shards);
        let shards = plan.next(&inner.name, &inner.workers.all(), most);
        inner.shards.follow(&shards);
        drop(inner);
        tokio::time::sleep(EVERY).await;
    }
}

async fn numbers(inner: &Inner, own: &mut WorkerShard) {
    own.snapshot = inner.snapshots.newest(own.shard).await.ok().flatten();
    let seen = inner.shards.look(own.shard, Query::Shard).await;
    let Ok(Some(Observation::Shard(view))) = seen else {
        return;
    };
    let at = view.positions.first().copied().unwrap_or(0);
    let mut read = vec![(Topic::clone(&inner.topics.inbox), at)];
    let sources = inner.shards.look(own.shard, Query::Sources).await;
    if let Ok(Some(Observation::Sources(views))) = sources {
        let in_place = views.into_iter().filter(|view| view.in_place);
        read.extend(in_place.filter_map(|view| Some((view.topic, view.position?))));
    }
    for (topic, at) in read {
        let partition = own.shard;
        let place = TopicPartition { topic, partition };
        if let Ok(bounds) = inner.log.port().bounds(&place).await {
            let behind = bounds.end - at.max(bounds.start);
            own.lag += u64::try_from(behind).unwrap_or(0);
        }
    }
}

impl Engine {
    /// What clients of brokers said of themselves last.
    pub fn clients(&self) -> Vec<ClientNumbers> {
        self.0.log.clients()
    }

    /// All workers that were heard of lately; on the embedded log there is only this process.
    ///
    /// # Errors
    /// Never now; a door must be ready for it.
    pub async fn workers(&self) -> Result<Vec<WorkerView>, EngineError> {
        if self.0.log.is_shared() {
            return Ok(self.0.workers.all());
        }
        Ok(vec![WorkerView {
            name: self.0.name.clone(),
            address: format!("http://{}", self.0.config.listen),
            heard: super::now(),
            shards: own(&self.0).await,
            standbys: Vec::new(),
        }])
    }

    /// Looks at a shard if it runs here; `None`: it does not.
    ///
    /// # Errors
    /// When it is recovering for too long.
    pub async fn look_here(
        &self,
        shard: u32,
        query: Query,
    ) -> Result<Option<Observation>, EngineError> {
        self.0.shards.look(shard, query).await
    }

    /// Numbers of the shards that run here; without those that are recovering.
    pub async fn own_shards(&self) -> Vec<ShardView> {
        let owned = self.0.shards.owned();
        let looks = owned
            .into_iter()
            .map(|shard| self.look_here(shard, Query::Shard));
        let seen = futures::future::join_all(looks).await.into_iter();
        let views = seen.filter_map(|seen| match seen {
            Ok(Some(Observation::Shard(view))) => Some(*view),
            _ => None,
        });
        views.collect()
    }

    /// Looks at a shard wherever it runs.
    pub(super) async fn look(&self, shard: u32, query: Query) -> Result<Observation, EngineError> {
        if !self.0.log.is_shared() {
            let found = self.look_here(shard, query).await?;
            return found
                .ok_or_else(|| EngineError::Unavailable(format!("shard {shard} is not running")));
        }
        let here = || self.look_here(shard, query.clone());
        self.0.workers.look(shard, &query, &self.0.name, here).await
    }
}

/// The topic on which workers speak.
pub(super) fn topic(config: &crate::config::Config) -> Topic {
    config.topic("workers").into()
}

/// Who speaks for this process.
pub(super) fn speaker(
    config: &crate::config::Config,
    log: Arc<dyn EventLog>,
    clock: Arc<dyn tidegate_actors::port::Clock>,
) -> Speaker {
    Speaker {
        log,
        clock,
        topic: topic(config),
        name: name(config),
        address: format!("http://{}", config.listen),
    }
}
