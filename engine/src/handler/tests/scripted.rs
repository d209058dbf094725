//! A sink that follows a script and notes every call.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_actors::port::{Delivery, PortError, PortErrorKind, PortFuture, Sink};
use tokio::sync::watch;
use tokio::time::Instant;

/// What a call comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Done,
    Fails,
    Refuses,
    Panics,
    Never,
}

/// Answers by id and by how often the id was called before (from 0) and all calls (from 0).
type Script = Box<dyn Fn(&str, usize, usize) -> Answer + Send + Sync>;

pub(super) struct ScriptedSink {
    script: Script,
    begin: Instant,
    calls: Mutex<Vec<(String, u64)>>,
    changed: watch::Sender<usize>,
}

impl ScriptedSink {
    pub(super) fn new(
        script: impl Fn(&str, usize, usize) -> Answer + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            script: Box::new(script),
            begin: Instant::now(),
            calls: Mutex::default(),
            changed: watch::Sender::new(0),
        })
    }

    pub(super) fn always(answer: Answer) -> Arc<Self> {
        Self::new(move |_, _, _| answer)
    }

    /// Ids in the order of the calls.
    pub(super) fn ids(&self) -> Vec<String> {
        self.calls
            .lock()
            .unwrap()
            .iter()
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Seconds since the beginning of every call.
    pub(super) fn seconds(&self) -> Vec<u64> {
        self.calls
            .lock()
            .unwrap()
            .iter()
            .map(|(_, at)| *at)
            .collect()
    }

    /// Waits for so many calls.
    pub(super) async fn called(&self, count: usize) {
        let mut changed = self.changed.subscribe();
        let called = changed.wait_for(|calls| *calls >= count);
        let days = Duration::from_secs(3 * 86_400);
        let calls = tokio::time::timeout(days, called)
            .await
            .expect("it was never called");
        drop(calls.unwrap());
    }
}

impl Sink for ScriptedSink {
    fn deliver(&self, delivery: Delivery) -> PortFuture<'_, ()> {
        Box::pin(async move {
            let answer = {
                let mut calls = self.calls.lock().unwrap();
                let before = calls.iter().filter(|(id, _)| *id == delivery.id).count();
                let answer = (self.script)(&delivery.id, before, calls.len());
                calls.push((delivery.id, self.begin.elapsed().as_secs()));
                answer
            };
            self.changed.send_modify(|calls| *calls += 1);
            match answer {
                Answer::Done => Ok(()),
                Answer::Fails => Err(PortError::new(PortErrorKind::Unavailable, "down")),
                Answer::Refuses => Err(PortError::new(PortErrorKind::Refused, "no")),
                Answer::Panics => panic!("scripted"),
                Answer::Never => std::future::pending().await,
            }
        })
    }
}
