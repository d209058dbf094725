//! [`Seen`]: what one task saw at each of its points. Nobody keeps that while a shard runs; who asks why lets a shard run
//! again with one task watched. Nothing of it is in a snapshot, and it changes no answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_proto::{EventRef, Timestamp, Value};

use super::judge::Scene;
use super::steps::NO_POINT;
use super::{Pipeline, Seat};
use crate::plan::Plan;

/// What a task saw at one of its points.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// The plan of the rule then.
    pub plan: Arc<Plan>,
    /// The time as of which it was judged; the end of a window.
    pub at: Timestamp,
    /// The row that was judged, or the newest row in the window.
    pub cause: Option<EventRef>,
    /// Key text of the group of a window; empty without `by`.
    pub group: Arc<str>,
    /// Start and end of a window as printed.
    pub window: Option<(Timestamp, Timestamp)>,
    /// Values by place of a condition; of a window by columns of `by`, then of `emit`.
    pub(crate) values: Vec<Value>,
    /// What `having` asks for, in the order of its slots.
    pub(crate) asked: Vec<Value>,
    /// Rows behind the value of a place.
    pub(crate) rows: BTreeMap<usize, u64>,
    /// Newest row that carried the metric of a place, with its number among the points.
    pub(crate) newest: BTreeMap<usize, (u64, EventRef)>,
}

/// Values as of one point, before it is known which row made it.
#[derive(Clone, Debug)]
struct Look {
    at: i64,
    values: Vec<Value>,
    rows: BTreeMap<usize, u64>,
    carried: Vec<usize>,
}

/// A task that is watched.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) resource: u32,
    plan: Arc<Plan>,
    carried: Vec<usize>,
    looks: Vec<Look>,
    newest: BTreeMap<usize, (u64, EventRef)>,
    count: u64,
    pub(crate) done: Vec<Sighting>,
}

impl Seen {
    fn new(resource: u32, plan: Arc<Plan>) -> Self {
        Self {
            resource,
            plan,
            carried: Vec::new(),
            looks: Vec::new(),
            newest: BTreeMap::new(),
            count: 0,
            done: Vec::new(),
        }
    }

    /// A row is taken that carries these values.
    pub(crate) fn take(&mut self, own: &[Value]) {
        let carried = own
            .iter()
            .enumerate()
            .filter(|(_, value)| !value.is_missing());
        self.carried.extend(carried.map(|(place, _)| place));
    }

    /// The values of all places are found.
    pub(crate) fn look(&mut self, at: i64, values: &[Value], rows: BTreeMap<usize, u64>) {
        self.looks.push(Look {
            at,
            values: values.to_vec(),
            rows,
            carried: std::mem::take(&mut self.carried),
        });
    }

    /// The points are judged: each look is one of them, in the same order.
    pub(crate) fn judged(&mut self, scene: &Scene<'_>) {
        let mine = scene
            .steps
            .iter()
            .filter(|step| step.resource == self.resource);
        let points: Vec<_> = mine.filter(|step| step.point != NO_POINT).collect();
        // What was looked up for another reason came before.
        let others = self.looks.len().saturating_sub(points.len());
        for (step, look) in points.into_iter().zip(self.looks.drain(..).skip(others)) {
            self.count += 1;
            let cause = scene.cause(step.cause);
            if let Some(cause) = &cause {
                for place in look.carried {
                    self.newest.insert(place, (self.count, cause.clone()));
                }
            }
            self.done.push(Sighting {
                plan: Arc::clone(&self.plan),
                at: Timestamp(look.at),
                cause,
                group: Arc::from(""),
                window: None,
                values: look.values,
                asked: Vec::new(),
                rows: look.rows,
                newest: self.newest.clone(),
            });
        }
    }

    /// A row of a window rule, told or hidden.
    pub(crate) fn window(&mut self, window: WindowSeen) {
        let mut rows = BTreeMap::new();
        rows.insert(0, window.rows);
        self.done.push(Sighting {
            plan: Arc::clone(&self.plan),
            at: window.bounds.1,
            cause: window.cause,
            group: window.group,
            window: Some(window.bounds),
            values: window.columns,
            asked: window.asked,
            rows,
            newest: BTreeMap::new(),
        });
    }
}

/// A row of a window rule.
#[derive(Debug)]
pub(crate) struct WindowSeen {
    pub(crate) bounds: (Timestamp, Timestamp),
    pub(crate) group: Arc<str>,
    pub(crate) columns: Vec<Value>,
    pub(crate) asked: Vec<Value>,
    pub(crate) rows: u64,
    pub(crate) cause: Option<EventRef>,
}

/// Which task is watched, and what it saw under plans that are gone.
#[derive(Debug)]
pub(crate) struct Watched {
    rule: Arc<str>,
    resource: u32,
    done: Vec<Sighting>,
}

impl Pipeline {
    /// From now on notes what the rule's task of a resource sees; [`Pipeline::sightings`] hands it over.
    pub fn watch(&mut self, rule: &str, resource: u32) {
        self.watched = Some(Box::new(Watched {
            rule: Arc::from(rule),
            resource,
            done: Vec::new(),
        }));
        self.watch_again();
    }

    /// What the watched task saw since it was last asked, in the order of its time.
    pub fn sightings(&mut self) -> Vec<Sighting> {
        self.watch_again();
        let watched = self.watched.as_mut();
        watched.map_or_else(Vec::new, |watched| std::mem::take(&mut watched.done))
    }

    /// Finds the task where it is now, after a change of rules.
    pub(crate) fn watch_again(&mut self) {
        let Some(watched) = self.watched.as_mut() else {
            return;
        };
        for group in self.groups.iter_mut().flatten() {
            if let Some(seen) = &mut group.state.sight.seen {
                watched.done.append(&mut seen.done);
            }
        }
        for window in self.windows.iter_mut().flatten() {
            if let Some(seen) = &mut window.seen {
                watched.done.append(&mut seen.done);
            }
        }
        let (seat, resource) = (self.rules.get(&watched.rule).copied(), watched.resource);
        for (index, group) in self.groups.iter_mut().enumerate() {
            let Some(group) = group else { continue };
            let plan = match seat {
                Some(Seat::Condition { group: at, unit }) if at == index => {
                    let unit = group.units.get(unit).and_then(Option::as_ref);
                    unit.map(|unit| Arc::clone(&unit.plan))
                }
                _ => None,
            };
            settle(&mut group.state.sight.seen, plan, resource);
        }
        for (index, window) in self.windows.iter_mut().enumerate() {
            let Some(window) = window else { continue };
            let here = matches!(seat, Some(Seat::Window(at)) if at == index);
            let plan = here.then(|| Arc::clone(&window.plan));
            settle(&mut window.seen, plan, resource);
        }
    }
}

fn settle(seen: &mut Option<Box<Seen>>, plan: Option<Arc<Plan>>, resource: u32) {
    match (plan, seen.as_mut()) {
        (None, _) => *seen = None,
        (Some(plan), Some(seen)) => seen.plan = plan,
        (Some(plan), None) => *seen = Some(Box::new(Seen::new(resource, plan))),
    }
}
