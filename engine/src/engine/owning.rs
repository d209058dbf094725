//! What is ours, and what follows from it: shards that come are begun and their actions delivered, shards that go finish
//! first. On the embedded log everything is ours from the start to the end.

use std::sync::Arc;
use std::time::Duration;

use tidegate_proto::record::Partition;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::handler::Dispatcher;
use crate::log::kafka::Ownership;
use crate::runtime::Shards;

/// Longest wait for shards that go, before it is looked what else has changed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Follows what is ours.
#[derive(Debug)]
pub(super) struct Owning {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Dispatcher>,
}

impl Owning {
    /// Everything, from now on.
    pub(super) fn all(partitions: u32, shards: &Arc<Shards>, mut dispatcher: Dispatcher) -> Self {
        for shard in 0..partitions {
            shards.begin(shard);
        }
        dispatcher.assign(0..partitions);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            // Also when nobody is left who could say stop.
            let _ = stopped.await;
            dispatcher
        });
        Self { stop, task }
    }

    /// What a group says.
    pub(super) fn follow(
        changes: mpsc::Receiver<Ownership>,
        shards: &Arc<Shards>,
        dispatcher: Dispatcher,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(follow(changes, stopped, Arc::clone(shards), dispatcher));
        Self { stop, task }
    }

    /// Ends, and gives back who delivers.
    pub(super) async fn stop(self) -> Option<Dispatcher> {
        // It may have ended by itself.
        let _ = self.stop.send(());
        self.task.await.ok()
    }
}

async fn follow(
    mut changes: mpsc::Receiver<Ownership>,
    mut stopped: oneshot::Receiver<()>,
    shards: Arc<Shards>,
    mut dispatcher: Dispatcher,
) -> Dispatcher {
    loop {
        let change = tokio::select! {
            biased;
            change = changes.recv() => change,
            _ = &mut stopped => None,
        };
        match change {
            None => return dispatcher,
            Some(Ownership::Assigned(ours)) => {
                for shard in &ours {
                    shards.begin(*shard);
                }
                dispatcher.assign(ours);
            }
            Some(Ownership::Revoked {
                shards: going,
                lost,
                done,
            }) => {
                let_go(&shards, &mut dispatcher, &going, lost).await;
                // The group may have stopped waiting.
                let _ = done.try_send(());
            }
        }
    }
}

async fn let_go(shards: &Shards, dispatcher: &mut Dispatcher, going: &[Partition], lost: bool) {
    let finish = async {
        if lost {
            shards.abandon(going).await;
        } else {
            let ended = tokio::time::timeout(PATIENCE, shards.end(going)).await;
            if ended.is_err() {
                tracing::warn!(?going, "shards do not finish; their next owner fences them");
            }
        }
    };
    tokio::join!(finish, dispatcher.revoke(going.iter().copied()));
}
