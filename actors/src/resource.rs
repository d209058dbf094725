//! [`ResourceActor`]: the twin of one resource. Last value and time per metric, first and last seen, online or silent.
//!
//! Its rows come as columns, many resources at once ([`crate::registry`]), because a turn per row would cost more than
//! the row; nothing in that path can fail. Everything rarer is an ordinary turn.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_proto::time::Timestamp;
use tidegate_proto::value::Value;

use crate::actor::{Actor, ActorError, Turn};
use crate::command::{Change, Refusal};

/// A metric's last value: the one with the largest event time, the later in log order of equal times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LastValue {
    pub(crate) metric: u32,
    pub(crate) time: i64,
    pub(crate) value: Value,
}

/// The twin of one resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResourceActor {
    /// Revision of its definition; 0: discovered, never defined.
    pub(crate) revision: u64,
    pub(crate) online: bool,
    /// Arrival of the first and the newest event; `i64::MIN`: none yet.
    pub(crate) first_seen: i64,
    pub(crate) last_seen: i64,
    /// Largest event time.
    pub(crate) latest: i64,
    pub(crate) events: u64,
    pub(crate) metrics: Vec<LastValue>,
}

impl Default for ResourceActor {
    fn default() -> Self {
        Self {
            revision: 0,
            online: false,
            first_seen: i64::MIN,
            last_seen: i64::MIN,
            latest: i64::MIN,
            events: 0,
            metrics: Vec::new(),
        }
    }
}

/// What a resource is told beside its rows.
#[derive(Debug)]
pub enum ResourceMessage<'a> {
    /// Its first event came.
    Discovered {
        /// Its id.
        id: &'a Arc<str>,
    },
    /// Something was heard of it again after a silence.
    Back {
        /// Its id.
        id: &'a Arc<str>,
        /// When.
        at: Timestamp,
    },
    /// The clock passed the end of its idle time.
    Silent {
        /// Its id.
        id: &'a Arc<str>,
        /// When.
        at: Timestamp,
    },
    /// Somebody defines it.
    Define {
        /// Its id.
        id: &'a Arc<str>,
        /// Request to answer.
        request: &'a str,
        /// Revision that it must have.
        expected: Option<u64>,
        /// Whether it says what is known already.
        same: bool,
    },
    /// Somebody wants it forgotten.
    Delete {
        /// Its id.
        id: &'a Arc<str>,
        /// Request to answer.
        request: &'a str,
        /// Revision that it must have.
        expected: Option<u64>,
    },
}

impl Actor for ResourceActor {
    type Message<'a> = ResourceMessage<'a>;
    type Before = Self;

    fn before(&self) -> Self {
        self.clone()
    }

    fn restore(&mut self, before: Self) {
        *self = before;
    }

    fn receive(&mut self, message: ResourceMessage<'_>, turn: &mut Turn) -> Result<(), ActorError> {
        let changed = |id: &Arc<str>, what: &str, at: i64| Change::Resource {
            id: id.as_ref().to_owned(),
            what: what.into(),
            at,
        };
        match message {
            ResourceMessage::Discovered { id } => {
                turn.change(id, &changed(id, "discovered", self.first_seen));
            }
            ResourceMessage::Back { id, at } => {
                self.online = true;
                turn.change(id, &changed(id, "online", at.0));
            }
            ResourceMessage::Silent { id, at } => {
                self.online = false;
                turn.change(id, &changed(id, "silent", at.0));
            }
            ResourceMessage::Define {
                id,
                request,
                expected,
                same,
            } => {
                if !self.accepts(id, request, expected, turn) {
                    return Ok(());
                }
                if same && self.revision > 0 {
                    answer(id, request, Some(self.revision), None, turn);
                } else {
                    self.revision += 1;
                    answer(id, request, Some(self.revision), None, turn);
                    turn.change(id, &changed(id, "defined", self.latest.max(0)));
                }
            }
            ResourceMessage::Delete {
                id,
                request,
                expected,
            } => {
                if self.accepts(id, request, expected, turn) {
                    answer(id, request, Some(self.revision), None, turn);
                    turn.change(id, &changed(id, "deleted", self.latest.max(0)));
                    *self = Self::default();
                }
            }
        }
        Ok(())
    }
}

fn answer(
    id: &Arc<str>,
    request: &str,
    revision: Option<u64>,
    refused: Option<Refusal>,
    turn: &mut Turn,
) {
    turn.change(
        id,
        &Change::Answer {
            request: request.into(),
            revision,
            told: 0,
            refused,
        },
    );
}

impl ResourceActor {
    fn accepts(
        &self,
        id: &Arc<str>,
        request: &str,
        expected: Option<u64>,
        turn: &mut Turn,
    ) -> bool {
        match expected.filter(|expected| *expected != self.revision) {
            None => true,
            Some(expected) => {
                let refused = Refusal::Conflict {
                    expected,
                    actual: self.revision,
                };
                answer(id, request, None, Some(refused), turn);
                false
            }
        }
    }

    /// Takes one value. A row older than what is there changes nothing; equal times: the later in log order wins.
    pub(crate) fn set(&mut self, metric: u32, time: i64, value: Value) {
        match self.metrics.iter_mut().find(|last| last.metric == metric) {
            Some(last) if last.time <= time => {
                last.time = time;
                last.value = value;
            }
            Some(_) => {}
            None => self.metrics.push(LastValue {
                metric,
                time,
                value,
            }),
        }
    }

    /// Takes note of one row; answers whether the resource was silent before it.
    pub(crate) fn heard(&mut self, time: i64, arrival: i64) -> bool {
        if self.first_seen == i64::MIN {
            self.first_seen = arrival;
        }
        self.last_seen = self.last_seen.max(arrival);
        self.latest = self.latest.max(time);
        self.events += 1;
        !self.online
    }

    /// Takes over what somebody else knows of it.
    pub(crate) fn recall(&mut self, values: Vec<(u32, i64, Value)>) {
        let values = values.into_iter();
        self.metrics = values
            .map(|(metric, time, value)| LastValue {
                metric,
                time,
                value,
            })
            .collect();
    }

    pub(crate) fn last(&self, metric: u32) -> Option<(Timestamp, Value)> {
        self.metrics
            .iter()
            .find(|last| last.metric == metric)
            .map(|last| (Timestamp(last.time), last.value.clone()))
    }

    /// Bytes that it holds in memory, estimated.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.metrics.capacity() * size_of::<LastValue>()
    }
}
