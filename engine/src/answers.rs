//! Answers to commands: a door appends a command and waits here until the addressed actor has answered and every shard
//! that was told has said that it has it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt as _;
use tidegate_actors::command::{Change, Refusal};
use tokio::sync::oneshot;

use crate::tail::Tail;

/// What became of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Revision after it.
    pub revision: u64,
    /// What became of the state of a rule's parts, as the first shard said it; empty when nothing had to be told.
    pub parts: Vec<String>,
}

/// How a command ended.
pub type Outcome = Result<Answer, Refusal>;

#[derive(Debug, Default)]
struct Waiting {
    senders: Vec<oneshot::Sender<Outcome>>,
    told: Option<u32>,
    applied: u32,
    answer: Answer,
}

/// Who waits for which request.
#[derive(Clone, Debug, Default)]
pub struct Answers(Arc<Mutex<HashMap<String, Waiting>>>);

impl Answers {
    /// Waits for a request that is about to be appended.
    #[must_use]
    pub fn wait(&self, request: &str) -> oneshot::Receiver<Outcome> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting
            .entry(request.to_owned())
            .or_default()
            .senders
            .push(sender);
        receiver
    }

    /// Waits no longer.
    pub fn forget(&self, request: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(request);
    }

    /// Follows the changes topic for as long as it lasts.
    pub async fn follow(self, mut changes: Tail) {
        while let Some(entry) = changes.next().await {
            match entry {
                Ok(entry) => {
                    let bytes = entry.record.value.as_deref().unwrap_or_default();
                    if let Ok(change) = serde_json::from_slice(bytes) {
                        self.take(change);
                    }
                }
                Err(error) => tracing::error!(%error, "the changes topic cannot be read"),
            }
        }
    }

    fn take(&self, change: Change) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let request = match &change {
            Change::Answer { request, .. } | Change::Applied { request, .. } => request.clone(),
            Change::Resource { .. } | Change::Quarantined { .. } => return,
        };
        let Some(waiting) = all.get_mut(&request) else {
            return;
        };
        let mut refusal = None;
        match change {
            Change::Answer {
                revision,
                told,
                refused,
                ..
            } => {
                waiting.told = Some(told);
                waiting.answer.revision = revision.unwrap_or(0);
                refusal = refused;
            }
            Change::Applied { parts, .. } => {
                waiting.applied += 1;
                if waiting.answer.parts.is_empty() {
                    waiting.answer.parts = parts;
                }
            }
            Change::Resource { .. } | Change::Quarantined { .. } => {}
        }
        let done = waiting.told.is_some_and(|told| waiting.applied >= told);
        if refusal.is_some() || done {
            let outcome = refusal.map_or_else(|| Ok(waiting.answer.clone()), Err);
            if let Some(waiting) = all.remove(&request) {
                for sender in waiting.senders {
                    // Who gave up waiting needs no answer.
                    let _ = sender.send(outcome.clone());
                }
            }
        }
    }
}
