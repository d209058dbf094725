//! Rows of windows that wait for their time: `where`, `by`, filters of aggregates and conditions of states read metrics that a
//! row does not carry as of its time, so that answers do not hang on the order of arrival. A row that carries all that is
//! asked is used at once; what it says waits for the others.

use smallvec::SmallVec;
use tidegate_proto::{EventBatch, EventRef, Outcome, Value};

use super::{CLOCK, KeptRow, Use, WindowScratch, WindowUnit};
use crate::former::Then;
use crate::order::{Role, WaitingRow};
use crate::pipeline::awaiting::Awaiting;
use crate::pipeline::cells::Cursor;
use crate::pipeline::filter;
use crate::pipeline::group::{Push, Watch};
use crate::pipeline::sight::{Row, Sight};
use crate::pipeline::{Limits, View};
use crate::plan::window::Waits;

/// What becomes of a row that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It only moves time.
    Time,
    /// It carries all that is asked; whether `where` lets it pass.
    Now(bool),
    /// It waits for its time.
    Waits,
    /// Its time is over: it is judged by what is known.
    Late,
}

/// A row that comes.
#[derive(Debug)]
struct Arrival {
    row: Row,
    number: u32,
    water: i64,
    values: SmallVec<[Value; 2]>,
    /// Whether the rule uses it.
    used: bool,
    role: Role,
    fate: Fate,
}

impl WindowUnit {
    /// Rows that the rule uses: what is over of those that waited, and what need not wait, in log order.
    pub(super) fn gather_held(&mut self, push: &Push<'_>, scratch: &mut WindowScratch) -> Vec<Use> {
        let arrivals = self.arrivals(push, scratch);
        let mut uses = Vec::with_capacity(arrivals.len());
        for arrival in arrivals {
            let (resource, water) = (arrival.row.resource, arrival.water);
            scratch.touched.push(self.owner(resource));
            self.meet(resource, water, push.view);
            let from = (arrival.number, push);
            let unused = Use::Time(self.owner(resource), water, arrival.number);
            let waits = arrival.fate == Fate::Waits;
            let mut used = false;
            if waits {
                self.hold(arrival, push.batch.event_ref(from.0 as usize));
            } else {
                self.release(resource, water, from, scratch, &mut uses);
                used = self.enter(&arrival, push, scratch, &mut uses);
            }
            self.force(resource, water, from, scratch, &mut uses);
            if waits {
                self.release(resource, water, from, scratch, &mut uses);
            }
            if !used {
                uses.push(unused);
            }
        }
        uses
    }

    /// Reads the rows of a push and judges `where` for those that need no others.
    fn arrivals(&mut self, push: &Push<'_>, scratch: &mut WindowScratch) -> Vec<Arrival> {
        let metrics = self.state.sight.metrics.len();
        let mut cursors = push.cursors(&self.state.sight);
        if let Some(filter) = &self.state.filter {
            cursors.extend(push.cursors(filter));
        }
        let mut arrivals = Vec::with_capacity(push.rows.len());
        let mut judged: Vec<(u32, Row)> = Vec::new();
        for (index, number) in push.each() {
            let (Some(tick), Some(water)) = (push.ticks.get(index), push.water.get(index)) else {
                break;
            };
            if !self.state.members.has(tick.resource) {
                continue;
            }
            let row = Row {
                resource: tick.resource,
                time: push.batch.time.get(number).copied().unwrap_or_default(),
                sequence: push.sequence + index as u64,
                at: tick.latest,
            };
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let mut arrival = self.read_held((row, number, *water), &mut cursors);
            if push.is_quiet(index) {
                arrival.fate = Fate::Time;
            }
            if let (Fate::Now(_), Some(plan), Some(sight)) =
                (arrival.fate, &self.plan.filter, &mut self.state.filter)
            {
                let own = arrival.values.get(metrics..).unwrap_or_default();
                let gaze = &mut scratch.filter;
                gaze.own.clone_from_slice(own);
                sight.look(
                    &plan.table,
                    row.resource,
                    row.time,
                    push.view,
                    &mut gaze.now,
                );
                gaze.overlay();
                gaze.point();
                judged.push((number, row));
            }
            arrivals.push(arrival);
        }
        if let Some(plan) = self.plan.filter.as_ref().filter(|_| !judged.is_empty()) {
            let (gaze, blames) = (&mut scratch.filter, &mut scratch.blames);
            let mut passing = filter::passing(plan, &judged, push, gaze, blames).into_iter();
            for arrival in &mut arrivals {
                if let Fate::Now(passes) = &mut arrival.fate {
                    *passes = passing.next().unwrap_or(false);
                }
            }
        }
        arrivals
    }

    /// Reads one row and finds what becomes of it.
    fn read_held(
        &self,
        (row, number, water): (Row, u32, i64),
        cursors: &mut [Cursor<'_>],
    ) -> Arrival {
        let window = &self.window;
        let metrics = self.state.sight.metrics.len();
        let mut values = SmallVec::new();
        let (mut used, mut complete, mut named) = (window.every_row, true, false);
        let mut role = Role::Row;
        for (place, cursor) in cursors.iter_mut().enumerate() {
            let entry = cursor.entry(number);
            let own = place < metrics;
            let judged = own && window.table.places.get(place).is_some_and(|p| p.judged);
            let null = window.nulls && entry == Some(Value::Missing);
            let value = entry.unwrap_or_default();
            named |= !value.is_missing();
            used |= judged && (null || !value.is_missing());
            if judged && null {
                role = Role::Null;
            }
            let read = !own || window.reads.get(place).copied().unwrap_or(false);
            complete &= !(read && value.is_missing());
            values.push(value);
        }
        let fate = if !used && !named {
            Fate::Time
        } else if used && complete && window.waits == Waits::Partial {
            Fate::Now(true)
        } else if row.time < water {
            Fate::Late
        } else {
            Fate::Waits
        };
        Arrival {
            row,
            number,
            water,
            values,
            used,
            role,
            fate,
        }
    }

    /// A row of a resource is read: with the first one the task takes what the twin knew before.
    pub(in crate::pipeline) fn meet(&mut self, resource: u32, water: i64, view: &dyn View) {
        self.awaiting()
            .seed(resource, Sight::limit(true, water), view);
    }

    const fn awaiting(&mut self) -> Awaiting<'_> {
        Awaiting {
            sight: &mut self.state.sight,
            filter: self.state.filter.as_mut(),
            waiting: &mut self.state.held,
        }
    }

    /// A row begins to wait.
    fn hold(&mut self, arrival: Arrival, cause: EventRef) {
        let row = WaitingRow {
            time: arrival.row.time,
            sequence: arrival.row.sequence,
            cause,
            values: arrival.values,
            role: arrival.role,
        };
        self.state.held.insert(arrival.row.resource, row);
    }

    /// Too many that wait make the oldest come early, be it a row or what one said that was used at once.
    fn force(
        &mut self,
        resource: u32,
        water: i64,
        (number, push): (u32, &Push<'_>),
        scratch: &mut WindowScratch,
        uses: &mut Vec<Use>,
    ) {
        if self.state.held.len(resource) <= push.limits.waiting_rows {
            return;
        }
        let first = self.state.held.first(resource);
        if let Some(row) = self.state.held.take(resource, first) {
            let owner = self.owner(resource);
            self.state.counters.entry(owner).or_default().forced += 1;
            self.take_held((resource, row, water), (number, push), scratch, uses);
        }
    }

    /// A row that need not wait, or cannot; whether it is used.
    fn enter(
        &mut self,
        arrival: &Arrival,
        push: &Push<'_>,
        scratch: &mut WindowScratch,
        uses: &mut Vec<Use>,
    ) -> bool {
        let (row, number) = (arrival.row, arrival.number);
        let metrics = self.state.sight.metrics.len();
        let (own, of_filter) = arrival.values.split_at(metrics.min(arrival.values.len()));
        scratch.gaze.own.clone_from_slice(own);
        let keys = match arrival.fate {
            Fate::Time | Fate::Waits => return false,
            Fate::Now(passes) => {
                let used = arrival.used && passes;
                let keys = used.then(|| self.key(row, push, &mut scratch.gaze));
                self.remember(arrival, passes);
                keys.unwrap_or_default()
            }
            Fate::Late => {
                let from = (push.trigger(number as usize), push.view);
                if !self.lets_pass(&row, of_filter, from, scratch) {
                    return false;
                }
                scratch.gaze.own.clone_from_slice(own);
                if !arrival.used {
                    let (table, gaze) = (&self.window.table, &mut scratch.gaze);
                    self.state.sight.take(table, &row, push.view, gaze);
                    return false;
                }
                self.look(row, push, &mut scratch.gaze)
            }
        };
        scratch.blame(row, number, push);
        scratch.simple = false;
        scratch.use_row(&keys, (number, row.sequence, arrival.water), None, uses)
    }

    /// What a row says that was used at once counts for others from its time on.
    fn remember(&mut self, arrival: &Arrival, passes: bool) {
        let (resource, time) = (arrival.row.resource, arrival.row.time);
        let metrics = self.state.sight.metrics.len();
        let mut values = arrival.values.clone();
        if !passes {
            // Keys and filters see nothing of what `where` rejects.
            values
                .iter_mut()
                .take(metrics)
                .for_each(|value| *value = Value::Missing);
        }
        if time < arrival.water {
            self.awaiting().bring(resource, time, &values);
            return;
        }
        let row = WaitingRow {
            time,
            sequence: arrival.row.sequence,
            cause: Default::default(),
            values,
            role: Role::Values,
        };
        self.state.held.insert(resource, row);
    }

    fn lets_pass(
        &mut self,
        row: &Row,
        own: &[Value],
        from: (tidegate_proto::Trigger, &dyn View),
        scratch: &mut WindowScratch,
    ) -> bool {
        let (Some(plan), Some(sight)) = (&self.plan.filter, &mut self.state.filter) else {
            return true;
        };
        let (gaze, blames) = (&mut scratch.filter, &mut scratch.blames);
        gaze.own.clone_from_slice(own);
        filter::passes(plan, sight, row, from, gaze, blames)
    }

    /// Takes rows whose time has come.
    fn release(
        &mut self,
        resource: u32,
        water: i64,
        from: (u32, &Push<'_>),
        scratch: &mut WindowScratch,
        uses: &mut Vec<Use>,
    ) {
        while let Some(row) = self.state.held.take(resource, water) {
            self.take_held((resource, row, water), from, scratch, uses);
        }
    }

    fn take_held(
        &mut self,
        (resource, waiting, water): (u32, WaitingRow, i64),
        (number, push): (u32, &Push<'_>),
        scratch: &mut WindowScratch,
        uses: &mut Vec<Use>,
    ) {
        let row = Row {
            resource,
            time: waiting.time,
            sequence: waiting.sequence,
            at: waiting.time,
        };
        let traits = self.state.held.traits_of(resource, row.sequence);
        let then = Then::new(push.view, resource, traits.as_deref());
        let push = &Push {
            view: &then,
            ..push.clone()
        };
        let metrics = self.state.sight.metrics.len();
        let (own, of_filter) = waiting.values.split_at(metrics.min(waiting.values.len()));
        if waiting.role == Role::Values {
            self.awaiting().bring(resource, row.time, &waiting.values);
            return;
        }
        let from = (push.trigger(number as usize), push.view);
        if !self.lets_pass(&row, of_filter, from, scratch) {
            return;
        }
        scratch.gaze.own.clone_from_slice(own);
        let window = &self.window;
        let mut places = own.iter().zip(&window.table.places);
        let carried = places.any(|(value, place)| place.judged && !value.is_missing());
        if !(window.every_row || carried || waiting.role == Role::Null) {
            let (table, gaze) = (&self.window.table, &mut scratch.gaze);
            self.state.sight.take(table, &row, push.view, gaze);
            return;
        }
        let keys = self.look(row, push, &mut scratch.gaze);
        scratch.blame(row, number, push);
        let kept = KeptRow {
            resource,
            time: row.time,
            event: waiting.cause,
        };
        scratch.simple = false;
        let place = (number, row.sequence, row.time.min(water));
        scratch.use_row(&keys, place, Some(&kept), uses);
    }

    /// Time passes without rows: what waited for it is taken; `all`: also what still waits.
    pub(in crate::pipeline) fn wake_held(
        &mut self,
        (resources, all, limits): (&[u32], bool, Limits),
        view: &dyn View,
        watch: Watch<'_>,
        scratch: &mut WindowScratch,
        out: &mut Vec<Outcome>,
    ) {
        self.open(scratch);
        let batch = EventBatch::default();
        let push = Push::of(&batch, 0..0, limits, view);
        let mut uses = Vec::new();
        for resource in resources {
            let water = watch.line.mark(*resource);
            let bound = if all { i64::MAX } else { water };
            while let Some(row) = self.state.held.take(*resource, bound) {
                let from = (CLOCK, &push);
                self.take_held((*resource, row, water), from, scratch, &mut uses);
            }
        }
        self.run(&push, &uses, scratch, out);
        self.tell_blames(&batch, &scratch.blames, out);
        self.tell(Some(&batch), view, &mut scratch.output, out);
    }
}
