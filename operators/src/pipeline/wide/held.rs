//! Rows that wait until the time of their task has passed them, as of the traits under which they were read.

use std::collections::btree_map::Entry;
use std::sync::Arc;

use tidegate_proto::Traits;

use super::{Engine, Place, Taken, WideScratch, WideUnit};
use crate::former::Then;
use crate::pipeline::View;

impl WideUnit {
    pub(super) fn hold(&mut self, task: u32, row: Taken, view: &dyn View) {
        let id: Arc<str> = match self.state.links.id(row.resource) {
            Some(id) => Arc::clone(id),
            None => Arc::from(view.resource(row.resource)),
        };
        self.hold_as(task, row, id);
    }

    pub(super) fn hold_as(&mut self, task: u32, row: Taken, id: Arc<str>) {
        self.state.sequence += 1;
        self.hold_at(task, row, (id, self.state.sequence));
    }

    /// Holds a row as if it had been read at a place; what is held there of the same resource and time says both.
    pub(super) fn hold_at(&mut self, task: u32, row: Taken, (id, read): (Arc<str>, u64)) {
        let place = (row.time, (row.own, id), read);
        let time = self.state.tasks.entry(task).or_default();
        match time.held.entry(place) {
            Entry::Vacant(free) => {
                free.insert(row);
            }
            Entry::Occupied(mut held) => {
                let held = held.get_mut();
                for (value, later) in held.values.iter_mut().zip(row.values) {
                    if !later.is_missing() {
                        *value = later;
                    }
                }
                held.event = row.event;
            }
        }
    }

    /// Takes the oldest row early when too many wait.
    pub(super) fn force(
        &mut self,
        task: u32,
        record: u32,
        (most, view): (usize, &dyn View),
        scratch: &mut WideScratch,
    ) {
        let time = self.state.tasks.entry(task).or_default();
        if time.held.len() <= most {
            return;
        }
        let given = time.given;
        if let Some(held) = time.held.pop_first() {
            self.state.counters.entry(task).or_default().forced += 1;
            self.give_held((task, given), held, record, view, scratch);
        }
    }

    /// Gives a row to the engine that waited, as of the traits under which it was read.
    pub(super) fn give_held(
        &mut self,
        (task, given): (u32, i64),
        (place, mut row): (Place, Taken),
        record: u32,
        view: &dyn View,
        scratch: &mut WideScratch,
    ) {
        let at = (task, given.max(row.time));
        let of = if self.wide.everything {
            row.resource
        } else {
            task
        };
        let Some(traits) = self.state.former.at(of, place.2) else {
            if self.turn_to((task, place.2), &mut row, view, scratch) {
                self.give(at, &row, record, view, scratch);
            }
            return;
        };
        let then = Then::new(view, of, Some(&traits));
        if let Engine::Join(join) = &mut self.engine {
            join.take(&row, (at.1, record), Some(&traits), &then);
            let time = self.state.tasks.entry(task).or_default();
            time.given = at.1;
            time.event = row.event;
            return;
        }
        // What is delivered together is read under the same traits.
        self.drain(view, scratch);
        if self.turn_to((task, place.2), &mut row, &then, scratch) {
            self.give(at, &row, record, &then, scratch);
            self.drain(&then, scratch);
        }
    }

    /// Whether rows wait.
    pub(in crate::pipeline) fn waits(&self) -> bool {
        self.state.tasks.values().any(|time| !time.held.is_empty())
    }

    /// The traits of a resource change: rows that wait keep those that they were read under.
    pub(in crate::pipeline) fn part(&mut self, resource: u32, traits: &Arc<Traits>) {
        let (tasks, until) = (&self.state.tasks, self.state.sequence + 1);
        let everything = self.wide.everything;
        self.state.former.part((resource, until), traits, || {
            tasks.iter().flat_map(move |(task, time)| {
                let rows = time.held.iter();
                rows.map(move |(place, row)| {
                    (if everything { row.resource } else { *task }, place.2)
                })
            })
        });
    }
}
