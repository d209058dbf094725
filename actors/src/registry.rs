//! [`Registry`]: all resources of a shard by dense number. Activates on the first message, passivates by idleness and by
//! a byte budget, and answers what rules may ask ([`View`]).
//!
//! A passive resource is its own bytes, a third of an active one, and comes back on the next touch. Which ones are
//! passive changes no answer; it is decided by the journalled clock and a sweep in fixed order, so it is even equal on
//! every replay.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_operators::View;
use tidegate_proto::batch::{Attributes, EventBatch};
use tidegate_proto::id::Names;
use tidegate_proto::resource::Traits;
use tidegate_proto::time::Timestamp;
use tidegate_proto::value::Value;

use crate::resource::ResourceActor;

/// Slots that one epoch's sweep looks at: bounds the time it takes.
const SWEEP: usize = 4096;

/// Rows that are taken together: their twins stay in the cache from the first touch to the last value.
const TOGETHER: usize = 256;

/// An actor in memory, or as its bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Body {
    Active(Box<ResourceActor>),
    Passive(Box<[u8]>),
}

/// One resource.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Slot {
    /// Whether it exists: a number is given to an id as soon as anybody names it.
    known: bool,
    /// Clock of the last touch.
    touched: i64,
    /// What it said of itself, or was defined as.
    own: Arc<Traits>,
    /// The same with what its type adds.
    traits: Arc<Traits>,
    body: Body,
}

/// A resource that was silent, or new, until this row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The row.
    pub row: usize,
    /// The resource.
    pub resource: u32,
    /// Whether it is its first event.
    pub first: bool,
    /// Arrival of the row.
    pub arrival: i64,
}

/// All resources of a shard.
#[derive(Debug, Serialize, Deserialize)]
pub struct Registry {
    names: Names,
    slots: Vec<Slot>,
    empty: Arc<Traits>,
    hand: usize,
    known: u64,
    active: u64,
    active_bytes: u64,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            names: Names::default(),
            slots: Vec::new(),
            empty: Arc::new(Traits::default()),
            hand: 0,
            known: 0,
            active: 0,
            active_bytes: 0,
        }
    }
}

impl Registry {
    /// Shares equal traits again after a restore: most resources have none.
    pub fn share(&mut self) {
        for slot in &mut self.slots {
            if slot.own.as_ref() == self.empty.as_ref() {
                slot.own = Arc::clone(&self.empty);
            }
            if slot.traits.as_ref() == slot.own.as_ref() {
                slot.traits = Arc::clone(&slot.own);
            }
        }
    }

    /// The interner of resource ids; numbers it gives get a slot on their first touch.
    pub fn names(&mut self) -> &mut Names {
        &mut self.names
    }

    /// The same, to read.
    #[must_use]
    pub const fn known_names(&self) -> &Names {
        &self.names
    }

    /// A twin as somebody else knows it: last value of each metric with its time.
    pub fn recall(&mut self, index: u32, values: Vec<(u32, i64, Value)>, clock: Timestamp) {
        let Some(actor) = self.activate(index, clock) else {
            return;
        };
        let before = actor.bytes();
        actor.recall(values);
        let grown = actor.bytes().saturating_sub(before);
        self.active_bytes += grown as u64;
    }

    /// Number of an id, if the resource exists.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<u32> {
        self.names.get(id).filter(|index| self.is_known(*index))
    }

    /// Shared text of an id.
    #[must_use]
    pub fn id(&self, index: u32) -> Arc<str> {
        self.names
            .text(index)
            .cloned()
            .unwrap_or_else(|| Arc::from(""))
    }

    /// Whether a number is an existing resource.
    #[must_use]
    pub fn is_known(&self, index: u32) -> bool {
        self.slots
            .get(index as usize)
            .is_some_and(|slot| slot.known)
    }

    /// Makes a resource exist; answers whether it is new.
    pub fn discover(&mut self, index: u32, clock: Timestamp) -> bool {
        let wanted = index as usize + 1;
        if self.slots.len() < wanted {
            let empty = Slot {
                known: false,
                touched: 0,
                own: Arc::clone(&self.empty),
                traits: Arc::clone(&self.empty),
                body: Body::Passive(Box::default()),
            };
            self.slots.resize(wanted.max(self.names.len()), empty);
        }
        let Some(slot) = self
            .slots
            .get_mut(index as usize)
            .filter(|slot| !slot.known)
        else {
            return false;
        };
        slot.known = true;
        slot.touched = clock.0;
        let actor = Box::<ResourceActor>::default();
        self.known += 1;
        self.active += 1;
        self.active_bytes += actor.bytes() as u64;
        slot.body = Body::Active(actor);
        true
    }

    /// Makes a resource not exist any more; its number stays its own.
    pub fn forget(&mut self, index: u32) {
        if let Some(slot) = self.slots.get_mut(index as usize).filter(|slot| slot.known) {
            if let Body::Active(actor) = &slot.body {
                self.active -= 1;
                self.active_bytes = self.active_bytes.saturating_sub(actor.bytes() as u64);
            }
            self.known -= 1;
            slot.known = false;
            slot.own = Arc::clone(&self.empty);
            slot.traits = Arc::clone(&self.empty);
            slot.body = Body::Passive(Box::default());
        }
    }

    /// The actor of a known resource, activated, and touched now.
    pub fn activate(&mut self, index: u32, clock: Timestamp) -> Option<&mut ResourceActor> {
        let slot = self
            .slots
            .get_mut(index as usize)
            .filter(|slot| slot.known)?;
        slot.touched = clock.0;
        if let Body::Passive(bytes) = &slot.body {
            // Our own bytes of this very run or of a checksummed snapshot; if they ever were not, an empty twin is
            // what a resource without history has.
            let actor: Box<ResourceActor> =
                Box::new(postcard::from_bytes(bytes).unwrap_or_default());
            self.active += 1;
            self.active_bytes += actor.bytes() as u64;
            slot.body = Body::Active(actor);
        }
        match &mut slot.body {
            Body::Active(actor) => Some(actor),
            Body::Passive(_) => None,
        }
    }

    /// A copy of an actor, without activating it.
    #[must_use]
    pub fn look(&self, index: u32) -> Option<ResourceActor> {
        let slot = self.slots.get(index as usize).filter(|slot| slot.known)?;
        match &slot.body {
            Body::Active(actor) => Some(actor.as_ref().clone()),
            Body::Passive(bytes) => Some(postcard::from_bytes(bytes).unwrap_or_default()),
        }
    }

    /// What a resource said of itself.
    #[must_use]
    pub fn own_traits(&self, index: u32) -> Arc<Traits> {
        self.slots
            .get(index as usize)
            .map_or_else(|| Arc::clone(&self.empty), |slot| Arc::clone(&slot.own))
    }

    /// Merges what an event says of its resource; the new own traits if that changed anything.
    #[must_use]
    pub fn merged(&self, index: u32, said: &Attributes) -> Option<Traits> {
        let mut traits = self.own_traits(index).as_ref().clone();
        traits.merge(said).then_some(traits)
    }

    /// Sets own traits and what they make with those of the type.
    pub fn set_traits(&mut self, index: u32, own: Traits, whole: Option<Traits>) {
        if let Some(slot) = self.slots.get_mut(index as usize) {
            slot.own = Arc::new(own);
            slot.traits = whole.map_or_else(|| Arc::clone(&slot.own), Arc::new);
        }
    }

    /// Takes the rows `[start, end)` of a batch into the twins; answers with the resources that were silent until now.
    pub fn take_rows(
        &mut self,
        batch: &EventBatch,
        start: usize,
        end: usize,
        clock: Timestamp,
    ) -> Vec<Heard> {
        let mut back = Vec::new();
        for from in (start..end).step_by(TOGETHER) {
            let to = end.min(from + TOGETHER);
            let resources = batch.resource.get(from..to).unwrap_or_default();
            std::hint::black_box(self.approach(resources));
            self.take_some(batch, (from, to), clock, &mut back);
            for column in &batch.metrics {
                self.take_column(batch, column, from, to);
            }
        }
        back
    }

    /// Reads a word of each twin that the next rows need. Twins lie anywhere in memory; reads that wait for nothing else
    /// wait together, where a row at a time would wait for each.
    fn approach(&self, resources: &[u32]) -> i64 {
        let word = |resource: &u32| match self.slots.get(*resource as usize).map(|slot| &slot.body)
        {
            Some(Body::Active(actor)) => {
                let first = actor.metrics.first().map_or(0, |last| last.time);
                actor.latest ^ first
            }
            _ => 0,
        };
        resources.iter().map(word).fold(0, |all, word| all ^ word)
    }

    fn take_some(
        &mut self,
        batch: &EventBatch,
        (start, end): (usize, usize),
        clock: Timestamp,
        back: &mut Vec<Heard>,
    ) {
        let rows = batch
            .resource
            .iter()
            .zip(&batch.time)
            .zip(&batch.arrival)
            .enumerate()
            .take(end)
            .skip(start);
        for (row, ((resource, time), arrival)) in rows {
            let arrival = match (*arrival).max(clock.0) {
                i64::MIN => *time,
                arrival => arrival,
            };
            if let Some(actor) = self.activate(*resource, Timestamp(arrival))
                && actor.heard(*time, arrival)
            {
                actor.online = true;
                back.push(Heard {
                    row,
                    resource: *resource,
                    first: actor.events == 1,
                    arrival,
                });
            }
        }
    }

    fn take_column(
        &mut self,
        batch: &EventBatch,
        column: &tidegate_proto::batch::MetricColumn,
        start: usize,
        end: usize,
    ) {
        let first = column.rows.partition_point(|row| (*row as usize) < start);
        let numbers = column
            .rows
            .iter()
            .zip(&column.numbers)
            .enumerate()
            .skip(first);
        for (index, (row, number)) in numbers {
            let row = *row as usize;
            if row >= end {
                break;
            }
            let (Some(resource), Some(time)) = (batch.resource.get(row), batch.time.get(row))
            else {
                break;
            };
            let value = if number.is_nan() {
                column.value(index)
            } else {
                Value::Number(*number)
            };
            let Some(Slot {
                body: Body::Active(actor),
                ..
            }) = self.slots.get_mut(*resource as usize)
            else {
                continue;
            };
            let before = actor.metrics.capacity();
            actor.set(column.metric, *time, value);
            let grown = actor.metrics.capacity() - before;
            self.active_bytes += (grown * size_of::<crate::resource::LastValue>()) as u64;
        }
    }

    /// Passivates what has been idle since before `clock - idle`, and, beyond the budget, whatever the hand meets that
    /// was not touched at this clock.
    pub fn sweep(&mut self, clock: Timestamp, idle: i64, budget: u64) {
        let over = self.active_bytes > budget;
        let steps = self
            .slots
            .len()
            .min(if over { self.slots.len() } else { SWEEP });
        for _ in 0..steps {
            if self.active == 0 || (over && self.active_bytes <= budget) {
                return;
            }
            self.hand = if self.hand + 1 >= self.slots.len() {
                0
            } else {
                self.hand + 1
            };
            let Some(slot) = self.slots.get_mut(self.hand) else {
                return;
            };
            let old =
                slot.touched < clock.0.saturating_sub(idle) || (over && slot.touched < clock.0);
            let Body::Active(actor) = &slot.body else {
                continue;
            };
            if slot.known && old {
                self.active -= 1;
                self.active_bytes = self.active_bytes.saturating_sub(actor.bytes() as u64);
                slot.body = Body::Passive(
                    postcard::to_stdvec(actor.as_ref())
                        .unwrap_or_default()
                        .into(),
                );
            }
        }
    }

    /// Existing resources in byte order of their ids.
    #[must_use]
    pub fn sorted(&self) -> Vec<(Arc<str>, u32)> {
        let mut all: Vec<_> = self
            .names
            .iter()
            .zip(0_u32..)
            .filter(|(_, index)| self.is_known(*index))
            .map(|(name, index)| (Arc::clone(name), index))
            .collect();
        all.sort();
        all
    }

    /// Resources known, resources active, bytes of all of them estimated.
    #[must_use]
    pub fn numbers(&self) -> (u64, u64, u64) {
        let passive: usize = self
            .slots
            .iter()
            .map(|slot| match &slot.body {
                Body::Passive(bytes) => bytes.len(),
                Body::Active(_) => 0,
            })
            .sum();
        let ids: usize = self.names.iter().map(|name| name.len() + 48).sum();
        let slots = self.slots.len() * size_of::<Slot>();
        (
            self.known,
            self.active,
            self.active_bytes + (passive + ids + slots) as u64,
        )
    }
}

impl View for Registry {
    fn resource(&self, resource: u32) -> &str {
        self.names.text(resource).map_or("", AsRef::as_ref)
    }

    fn traits(&self, resource: u32) -> &Traits {
        self.slots
            .get(resource as usize)
            .map_or(&self.empty, |slot| &slot.traits)
    }

    fn last(&self, resource: u32, metric: u32) -> Option<(Timestamp, Value)> {
        let slot = self
            .slots
            .get(resource as usize)
            .filter(|slot| slot.known)?;
        match &slot.body {
            Body::Active(actor) => actor.last(metric),
            Body::Passive(_) => self.look(resource)?.last(metric),
        }
    }

    fn resources(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }
}
