//! [`Seen`]: what one task saw at each of its points. Nobody keeps that while a shard runs; who asks why lets a shard run
//! again with one task watched. Nothing of it is in a snapshot, and it changes no answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_proto::{EventRef, Timestamp, Value};

use super::attempts::AttemptsSeen;
use super::graphs::seen::GraphSeen;
use super::judge::Scene;
use super::steps::NO_POINT;
use super::wide::seen::JoinSeen;
use super::{Pipeline, Seat, View};
use crate::plan::Plan;

/// What a task shows of itself.
#[derive(Clone, Debug, Default)]
pub enum Inside {
    /// Values: it is of a condition or of windows.
    #[default]
    Values,
    /// Attempts of a pattern.
    Attempts(AttemptsSeen),
    /// Nodes and triggers of a graph.
    Graph(GraphSeen),
    /// Rows of a join that wait.
    Join(JoinSeen),
}

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
    /// What it is made of.
    pub inside: Inside,
    /// Times of what a pattern or graph has told there.
    pub told: Vec<Timestamp>,
    /// Whether only the state is known, not what made it.
    pub partial: bool,
    /// Values by place of a condition; of a window by columns of `by`, then of `emit`.
    pub(crate) values: Vec<Value>,
    /// What `having` asks for, in the order of its slots.
    pub(crate) asked: Vec<Value>,
    /// Rows behind the value of a place.
    pub(crate) rows: BTreeMap<usize, u64>,
    /// Newest row that carried the metric of a place, with its number among the points.
    pub(crate) newest: BTreeMap<usize, (u64, EventRef)>,
}

impl Sighting {
    /// Whether it is of more than conditions and windows.
    #[must_use]
    pub const fn is_inside(&self) -> bool {
        !matches!(self.inside, Inside::Values)
    }

    /// Without values.
    pub(crate) fn of(plan: Arc<Plan>, at: i64, inside: Inside) -> Self {
        Self {
            plan,
            at: Timestamp(at),
            cause: None,
            group: Arc::from(""),
            window: None,
            inside,
            told: Vec::new(),
            partial: false,
            values: Vec::new(),
            asked: Vec::new(),
            rows: BTreeMap::new(),
            newest: BTreeMap::new(),
        }
    }
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
                cause,
                values: look.values,
                rows: look.rows,
                newest: self.newest.clone(),
                ..Sighting::of(Arc::clone(&self.plan), look.at, Inside::Values)
            });
        }
    }

    /// A row of a window rule, told or hidden.
    pub(crate) fn window(&mut self, window: WindowSeen) {
        let mut rows = BTreeMap::new();
        rows.insert(0, window.rows);
        let end = window.bounds.1.0;
        self.done.push(Sighting {
            cause: window.cause,
            group: window.group,
            window: Some(window.bounds),
            values: window.columns,
            asked: window.asked,
            rows,
            ..Sighting::of(Arc::clone(&self.plan), end, Inside::Values)
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

/// Which task somebody asks about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Number of its resource.
    pub resource: u32,
    /// Id of its resource, or key of a task that is of no single one; empty: it has none.
    pub key: Arc<str>,
    /// Most attempts of a pattern, and rows of a join, that are told.
    pub most: usize,
}

/// Which task is watched, and what it saw under plans that are gone.
#[derive(Debug)]
pub(crate) struct Watched {
    rule: Arc<str>,
    subject: Subject,
    done: Vec<Sighting>,
}

impl Pipeline {
    /// From now on notes what the rule's task of a resource sees; [`Pipeline::sightings`] hands it over.
    pub fn watch(&mut self, rule: &str, subject: Subject) {
        self.watched = Some(Box::new(Watched {
            rule: Arc::from(rule),
            subject,
            done: Vec::new(),
        }));
        self.watch_again();
    }

    /// How the watched task of a pattern or graph stands, whatever was seen of it.
    #[must_use]
    pub fn sight(&self, view: &dyn View) -> Option<Sighting> {
        let watched = self.watched.as_ref()?;
        let Subject { resource, most, .. } = watched.subject;
        let (plan, inside) = match *self.rules.get(&watched.rule)? {
            Seat::Pattern(at) => {
                let unit = self.patterns.get(at)?.as_ref()?;
                (&unit.plan, unit.sight(resource, most)?)
            }
            Seat::Graph(at) => {
                let unit = self.graphs.get(at)?.as_ref()?;
                (&unit.plan, unit.sight(resource)?)
            }
            Seat::Wide(at) => return self.wides.get(at)?.as_ref()?.sight(view),
            Seat::Condition { .. } | Seat::Window(_) => return None,
        };
        let at = self.active(&watched.rule, resource)?.watermark?;
        let mut sighting = Sighting::of(Arc::clone(plan), at.0, inside);
        sighting.partial = true;
        Some(sighting)
    }

    /// Whether this very task is watched.
    pub(crate) fn watches(&self, rule: &str, subject: &Subject) -> bool {
        let watched = self.watched.as_ref();
        watched.is_some_and(|own| own.rule.as_ref() == rule && own.subject == *subject)
    }

    /// Nobody asks any more.
    pub(crate) fn unwatch(&mut self) {
        if let Some(watched) = &mut self.watched {
            watched.rule = Arc::from("");
        }
        self.watch_again();
        self.watched = None;
    }

    /// What the watched task saw since it was last asked, in the order of its time.
    pub fn sightings(&mut self) -> Vec<Sighting> {
        self.watch_again();
        let watched = self.watched.as_mut();
        watched.map_or_else(Vec::new, |watched| std::mem::take(&mut watched.done))
    }

    /// Finds the task where it is now, after a change of rules.
    pub(crate) fn watch_again(&mut self) {
        let Some(mut watched) = self.watched.take() else {
            return;
        };
        let seat = self.rules.get(&watched.rule).copied();
        self.watch_values(&mut watched, seat);
        let Subject { resource, most, .. } = watched.subject;
        for (index, unit) in self.patterns.iter_mut().enumerate() {
            let Some(unit) = unit else { continue };
            if let Some(seen) = &mut unit.seen {
                watched.done.append(&mut seen.done);
            }
            let here = matches!(seat, Some(Seat::Pattern(at)) if at == index);
            unit.watch(here.then_some(resource), most);
        }
        for (index, unit) in self.graphs.iter_mut().enumerate() {
            let Some(unit) = unit else { continue };
            if let Some(seen) = &mut unit.seen {
                watched.done.append(&mut seen.done);
            }
            let here = matches!(seat, Some(Seat::Graph(at)) if at == index);
            unit.watch(here.then_some(resource));
        }
        for (index, unit) in self.wides.iter_mut().enumerate() {
            let Some(unit) = unit else { continue };
            let here = matches!(seat, Some(Seat::Wide(at)) if at == index);
            let done = unit.watch(here.then_some(&watched.subject));
            watched.done.extend(done);
        }
        self.watched = Some(watched);
    }

    fn watch_values(&mut self, watched: &mut Watched, seat: Option<Seat>) {
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
        let resource = watched.subject.resource;
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
