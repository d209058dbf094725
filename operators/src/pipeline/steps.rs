//! Steps of a group: its rows and timer points in the order of each task's time, and the values of the points.

use smallvec::SmallVec;
use tidegate_proto::{EventRef, Order, Trigger, Value};

use super::awaiting::Awaiting;
use super::cells::Cursor;
use super::group::{Group, Push, Scratch};
use super::sight::{Row, Sight};
use super::{View, filter};
use crate::former::Then;
use crate::order::{Role, WaitingRow};
use crate::watermark::{NEVER, at, cell};

/// No point: time passes, nothing is judged.
pub(crate) const NO_POINT: u32 = u32::MAX;

/// What made a step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cause {
    /// A row of the batch.
    Row(u32),
    /// An entry of the kept causes.
    Kept(u32),
    /// Nothing that can be named.
    None,
}

/// One step of one task's time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) resource: u32,
    /// The time as of which it is judged.
    pub(crate) at: i64,
    /// Timers up to here run first.
    pub(crate) bound: i64,
    /// Number of the point, or [`NO_POINT`].
    pub(crate) point: u32,
    pub(crate) cause: Cause,
    pub(crate) trigger: Trigger,
}

/// A row of `order: time` that came after its time had passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Late {
    pub(crate) resource: u32,
    pub(crate) time: i64,
    pub(crate) row: u32,
    pub(crate) trigger: Trigger,
    /// It was taken early because too many rows waited, instead of coming late.
    pub(crate) forced: bool,
}

/// A formula that failed before anything was judged.
#[derive(Clone, Debug)]
pub(crate) struct Blame {
    pub(crate) resource: u32,
    pub(crate) time: i64,
    pub(crate) cause: Cause,
    pub(crate) trigger: Trigger,
    pub(crate) message: String,
}

/// Notes what failed while a row was taken.
fn blame(step: &Step, scratch: &mut Scratch) {
    for message in scratch.gaze.faults.drain(..) {
        scratch.blames.push(Blame {
            resource: step.resource,
            time: step.at,
            cause: step.cause,
            trigger: step.trigger,
            message,
        });
    }
}

impl Group {
    /// Rows in the order of arrival.
    pub(crate) fn arrival(&mut self, push: &Push<'_>, timed: bool, scratch: &mut Scratch) {
        let mask = self.mask(push, scratch);
        let mut cursors = push.cursors(&self.state.sight);
        if !timed && !self.condition.every_row && !cursors.iter().any(Cursor::is_live) {
            return;
        }
        for (index, row) in push.each() {
            let (Some(tick), Some(water)) = (push.ticks.get(index), push.water.get(index)) else {
                break;
            };
            if !self.state.members.has(tick.resource) {
                continue;
            }
            self.state.sight.seed(tick.resource, i64::MAX, push.view);
            let trigger = push.trigger(row);
            if timed {
                scratch.touched.push(tick.resource);
                self.leave(tick.resource, *water, (trigger, push.view), scratch);
            }
            let passes = |mask: &Vec<bool>| mask.get(index) == Some(&true);
            let taken = !push.is_quiet(index) && mask.as_ref().is_none_or(passes);
            let point = taken && self.read(&mut cursors, row, scratch);
            let step = Step {
                resource: tick.resource,
                at: tick.latest,
                bound: *water,
                point: NO_POINT,
                cause: Cause::Row(u32::try_from(row).unwrap_or(u32::MAX)),
                trigger,
            };
            let before = push.batch.time.get(row).copied().unwrap_or_default();
            let row = Row {
                resource: tick.resource,
                time: before,
                sequence: push.sequence + index as u64,
                at: tick.latest,
            };
            self.take(&row, step, (taken, point, timed), push, scratch);
        }
    }

    /// Takes one row of `order: arrival` into the state and makes its step.
    fn take(
        &mut self,
        row: &Row,
        mut step: Step,
        (taken, point, timed): (bool, bool, bool),
        push: &Push<'_>,
        scratch: &mut Scratch,
    ) {
        if taken {
            let mut row = *row;
            if timed {
                row.at = self.reach(row.resource, row.at);
                step.at = row.at;
            }
            let table = &self.condition.table;
            self.state
                .sight
                .take(table, &row, push.view, &mut scratch.gaze);
            blame(&step, scratch);
            if point {
                let gaze = &mut scratch.gaze;
                let sight = &mut self.state.sight;
                sight.look(table, row.resource, row.at, push.view, &mut gaze.now);
                step.point = gaze.point();
                self.note_cause(row.resource, step.cause, push);
            }
        }
        if timed || step.point != NO_POINT {
            scratch.steps.push(step);
        }
        if timed {
            // An old row may already be out of its lookback when it comes.
            self.leave(
                step.resource,
                step.bound,
                (step.trigger, push.view),
                scratch,
            );
        }
    }

    /// Brings the time of a task to `time`, or to where it is already; its first time is its birth.
    pub(crate) fn reach(&mut self, resource: u32, time: i64) -> i64 {
        self.bear(resource, time, time)
    }

    /// The same for a task that may begin with it, and then is as old as `begun` says.
    pub(crate) fn bear(&mut self, resource: u32, time: i64, begun: i64) -> i64 {
        let judged = cell(&mut self.state.judged, resource, NEVER);
        if *judged == NEVER {
            self.state.sight.begin(resource, begun);
        }
        *judged = (*judged).max(time);
        *judged
    }

    fn note_cause(&mut self, resource: u32, cause: Cause, push: &Push<'_>) {
        if let Cause::Row(row) = cause
            && self.wakes()
        {
            *cell(&mut self.state.causes, resource, EventRef::default()) =
                push.batch.event_ref(row as usize);
        }
    }

    /// Reads what a row carries; answers whether it is judged.
    fn read(&self, cursors: &mut [Cursor<'_>], row: usize, scratch: &mut Scratch) -> bool {
        let row = u32::try_from(row).unwrap_or(u32::MAX);
        let mut judged = self.condition.every_row;
        let places = &self.condition.table.places;
        let cells = cursors.iter_mut().zip(&mut scratch.gaze.own);
        let nulls = self.condition.nulls;
        for ((cursor, own), place) in cells.zip(places) {
            let entry = cursor.entry(row);
            let named = nulls && entry.is_some();
            *own = entry.unwrap_or_default();
            judged |= place.judged && (named || !own.is_missing());
        }
        scratch.gaze.judged = judged;
        judged
    }

    /// Which rows `where` lets pass.
    fn mask(&mut self, push: &Push<'_>, scratch: &mut Scratch) -> Option<Vec<bool>> {
        let plan = self.filter.as_ref()?;
        let sight = self.state.filter.as_mut()?;
        let (gaze, blames) = (&mut scratch.filter, &mut scratch.blames);
        let members = &self.state.members;
        Some(filter::mask(plan, sight, members, push, gaze, blames))
    }

    /// Timer points up to a watermark.
    fn leave(
        &mut self,
        resource: u32,
        water: i64,
        (trigger, view): (Trigger, &dyn View),
        scratch: &mut Scratch,
    ) {
        if !self.wakes() {
            return;
        }
        let mut next = self.next_change(resource);
        while next <= water {
            let at = self.reach(resource, next);
            let gaze = &mut scratch.gaze;
            let sight = &mut self.state.sight;
            sight.look(&self.condition.table, resource, at, view, &mut gaze.now);
            let kept = u32::try_from(scratch.causes.len()).unwrap_or(u32::MAX);
            let cause = match self.state.causes.get(resource as usize) {
                Some(cause) => {
                    scratch.causes.push(cause.clone());
                    Cause::Kept(kept)
                }
                None => Cause::None,
            };
            scratch.steps.push(Step {
                resource,
                at,
                bound: at,
                point: gaze.point(),
                cause,
                trigger,
            });
            let following = self.next_change(resource);
            if following <= next {
                break;
            }
            next = following;
        }
    }

    /// Time passes for a resource up to a watermark.
    pub(crate) fn pass(
        &mut self,
        resource: u32,
        water: i64,
        (trigger, view): (Trigger, &dyn View),
        scratch: &mut Scratch,
    ) {
        match self.order {
            Order::Arrival => self.leave(resource, water, (trigger, view), scratch),
            Order::Time => self.drain(resource, water, (trigger, view), scratch),
        }
        scratch.steps.push(Step {
            resource,
            at: water,
            bound: water,
            point: NO_POINT,
            cause: Cause::None,
            trigger,
        });
    }

    /// Rows of `order: time`: they wait, and what the watermark has passed is taken.
    pub(crate) fn in_time_order(&mut self, push: &Push<'_>, scratch: &mut Scratch) {
        let mut cursors = push.cursors(&self.state.sight);
        if let Some(filter) = &self.state.filter {
            cursors.extend(push.cursors(filter));
        }
        for (index, row) in push.each() {
            let (Some(tick), Some(water)) = (push.ticks.get(index), push.water.get(index)) else {
                break;
            };
            if !self.state.members.has(tick.resource) {
                continue;
            }
            self.meet(tick.resource, *water, push.view);
            let trigger = push.trigger(row);
            let number = u32::try_from(row).unwrap_or(u32::MAX);
            let time = push.batch.time.get(row).copied().unwrap_or_default();
            let (values, role) = self.waiting_values(&mut cursors, number);
            let waiting = WaitingRow {
                time,
                sequence: push.sequence + index as u64,
                values,
                cause: push.batch.event_ref(row),
                role,
            };
            // The first row lets the task begin, whatever it carries.
            let begins = self.wakes() && at(&self.state.judged, tick.resource, NEVER) == NEVER;
            let used = self.condition.every_row || role == Role::Null || begins;
            let used = used || waiting.values.iter().any(|v| !v.is_missing());
            if time < *water {
                let own = (tick.resource, &waiting);
                if self.judges(&waiting) && self.admits(own, push.view, scratch) {
                    scratch.late.push(Late {
                        resource: tick.resource,
                        time,
                        row: number,
                        trigger,
                        forced: false,
                    });
                }
            } else if used {
                self.state.waiting.insert(tick.resource, waiting);
                self.force(tick.resource, number, (trigger, push), scratch);
            }
            scratch.touched.push(tick.resource);
            self.pass(tick.resource, *water, (trigger, push.view), scratch);
        }
    }

    /// What a row of `order: time` says of the metrics that the group asks for, and what it waits for.
    fn waiting_values(&self, cursors: &mut [Cursor<'_>], row: u32) -> (SmallVec<[Value; 2]>, Role) {
        let mut role = Role::Row;
        let judged = self.condition.table.places.iter().map(|place| place.judged);
        let metrics = self.state.sight.metrics.len();
        let judged = judged.take(metrics).chain(std::iter::repeat(false));
        let mut values = SmallVec::new();
        for (cursor, judged) in cursors.iter_mut().zip(judged) {
            let entry = cursor.entry(row);
            if judged && self.condition.nulls && entry == Some(Value::Missing) {
                role = Role::Null;
            }
            values.push(entry.unwrap_or_default());
        }
        (values, role)
    }

    /// A row of a resource is read: with the first one the task takes what the twin knew before. Not later, when a row has
    /// waited or passed `where`: by then the twin knows more or less of the rows between, as the batches are cut.
    pub(crate) fn meet(&mut self, resource: u32, water: i64, view: &dyn View) {
        self.awaiting()
            .seed(resource, Sight::limit(true, water), view);
    }

    const fn awaiting(&mut self) -> Awaiting<'_> {
        Awaiting {
            sight: &mut self.state.sight,
            filter: self.state.filter.as_mut(),
            waiting: &mut self.state.waiting,
        }
    }

    /// Whether a row carries what the condition asks for.
    fn judges(&self, row: &WaitingRow) -> bool {
        let mut carried = row.values.iter().zip(&self.condition.table.places);
        let metrics = self.state.sight.metrics.len();
        self.condition.every_row
            || row.role == Role::Null
            || carried
                .by_ref()
                .take(metrics)
                .any(|(value, place)| place.judged && !value.is_missing())
    }

    /// Whether `where` lets a late row pass: one that it rejects is none of the rule's.
    fn admits(
        &mut self,
        (resource, row): (u32, &WaitingRow),
        view: &dyn View,
        scratch: &mut Scratch,
    ) -> bool {
        let (Some(plan), Some(sight)) = (&self.filter, &mut self.state.filter) else {
            return true;
        };
        let gaze = &mut scratch.filter;
        let metrics = self.state.sight.metrics.len();
        let own = row.values.get(metrics..).unwrap_or_default();
        gaze.own.clone_from_slice(own);
        filter::admits(plan, sight, (resource, row.time), view, gaze)
    }

    /// Takes the oldest row early when too many wait.
    fn force(
        &mut self,
        resource: u32,
        row: u32,
        (trigger, push): (Trigger, &Push<'_>),
        scratch: &mut Scratch,
    ) {
        if self.state.waiting.len(resource) <= push.limits.waiting_rows {
            return;
        }
        let time = self.state.waiting.first(resource);
        if let Some(row) = self.state.waiting.take(resource, time) {
            self.take_waiting(resource, row, (trigger, push.view), scratch);
        }
        scratch.late.push(Late {
            resource,
            time,
            row,
            trigger,
            forced: true,
        });
    }

    /// Takes waiting rows and runs timers up to a watermark, timers first at equal times.
    fn drain(
        &mut self,
        resource: u32,
        water: i64,
        (trigger, view): (Trigger, &dyn View),
        scratch: &mut Scratch,
    ) {
        while let Some(row) = self.state.waiting.take(resource, water) {
            self.leave(resource, row.time, (trigger, view), scratch);
            self.take_waiting(resource, row, (trigger, view), scratch);
        }
        self.leave(resource, water, (trigger, view), scratch);
    }

    fn take_waiting(
        &mut self,
        resource: u32,
        waiting: WaitingRow,
        (trigger, view): (Trigger, &dyn View),
        scratch: &mut Scratch,
    ) {
        let row = Row {
            resource,
            time: waiting.time,
            sequence: waiting.sequence,
            at: waiting.time,
        };
        let traits = self.state.waiting.traits_of(resource, row.sequence);
        let view: &dyn View = &Then::new(view, resource, traits.as_deref());
        let metrics = self.state.sight.metrics.len();
        let (own, of_filter) = waiting.values.split_at(metrics.min(waiting.values.len()));
        if waiting.role == Role::Values {
            self.awaiting().bring(resource, row.time, &waiting.values);
            return;
        }
        if !self.passes(&row, of_filter, (trigger, view), scratch) {
            return;
        }
        self.reach(resource, row.time);
        let table = &self.condition.table;
        let gaze = &mut scratch.gaze;
        gaze.own.clone_from_slice(own);
        let sight = &mut self.state.sight;
        let mut places = own.iter().zip(&table.places);
        let carried = places.any(|(value, place)| place.judged && !value.is_missing());
        gaze.judged = self.condition.every_row || carried || waiting.role == Role::Null;
        sight.take(table, &row, view, gaze);
        let kept = u32::try_from(scratch.causes.len()).unwrap_or(u32::MAX);
        let mut step = Step {
            resource,
            at: row.at,
            bound: row.at,
            point: NO_POINT,
            cause: Cause::Kept(kept),
            trigger,
        };
        blame(&step, scratch);
        if !scratch.gaze.judged {
            scratch.causes.push(waiting.cause);
            return;
        }
        let sight = &mut self.state.sight;
        let table = &self.condition.table;
        sight.look(table, resource, row.at, view, &mut scratch.gaze.now);
        if self.wakes() {
            *cell(&mut self.state.causes, resource, EventRef::default()) = waiting.cause.clone();
        }
        scratch.causes.push(waiting.cause);
        step.point = scratch.gaze.point();
        scratch.steps.push(step);
    }

    /// Whether `where` lets a waiting row pass.
    fn passes(
        &mut self,
        row: &Row,
        own: &[Value],
        (trigger, view): (Trigger, &dyn View),
        scratch: &mut Scratch,
    ) -> bool {
        let (Some(plan), Some(sight)) = (&self.filter, &mut self.state.filter) else {
            return true;
        };
        let (gaze, blames) = (&mut scratch.filter, &mut scratch.blames);
        gaze.own.clone_from_slice(own);
        filter::passes(plan, sight, row, (trigger, view), gaze, blames)
    }
}
