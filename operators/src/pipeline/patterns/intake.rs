//! Rows of a pattern in their order: as they arrive, or by event time once the watermark has passed them.

use tidegate_proto::{Order, Trigger};

use super::{Event, NO_POINT, PatternScratch, PatternUnit, Step, blame};
use crate::former::Then;
use crate::order::{Role, WaitingRow};
use crate::pattern::{Fit, Key};
use crate::pipeline::View;
use crate::pipeline::awaiting::Awaiting;
use crate::pipeline::cells::Cursor;
use crate::pipeline::filter;
use crate::pipeline::group::Push;
use crate::pipeline::sight::{Row, Sight};
use crate::pipeline::steps::Late;
use crate::watermark::{Tick, cell};

/// Rows whose places are read together before they are taken.
const TOGETHER: usize = 64;

impl PatternUnit {
    /// Makes steps of the rows of a push.
    pub(super) fn gather(&mut self, push: &Push<'_>, scratch: &mut PatternScratch) {
        match self.plan.order() {
            Order::Arrival => self.arrival(push, scratch),
            Order::Time => self.in_time_order(push, scratch),
        }
    }

    /// A row of a resource is read: with the first one the task takes what the twin knew before, whether or not `where`
    /// lets the row pass, so that no cut between it and the next can change that; and a wait begins for which no time was
    /// known.
    fn meet(&mut self, resource: u32, time: i64, limit: i64, view: &dyn View) {
        self.seed(resource, limit, view);
        if !self.state.unborn.is_empty() && self.state.unborn.remove(&resource) {
            self.begin_task(resource, time);
        }
    }

    /// The task of a resource takes what the twin knows, if it has not yet.
    pub(super) fn seed(&mut self, resource: u32, limit: i64, view: &dyn View) {
        self.awaiting().seed(resource, limit, view);
    }

    const fn awaiting(&mut self) -> Awaiting<'_> {
        Awaiting {
            sight: &mut self.state.sight,
            filter: self.state.filter.as_mut(),
            waiting: &mut self.state.waiting,
        }
    }

    /// The wait of a resource's task begins.
    pub(super) fn begin_task(&mut self, resource: u32, time: i64) {
        let machine = &self.pattern.machine;
        let key = cell(&mut self.state.keys, resource, Default::default());
        key.begin(machine, time);
        let due = key.due(machine);
        *cell(&mut self.state.due, resource, crate::timer::IDLE) = due;
    }

    fn arrival(&mut self, push: &Push<'_>, scratch: &mut PatternScratch) {
        let members = &self.state.members;
        let mask = match (&self.plan.filter, &mut self.state.filter) {
            (Some(plan), Some(sight)) => {
                let (gaze, blames) = (&mut scratch.filter, &mut scratch.blames);
                Some(filter::mask(plan, sight, members, push, gaze, blames))
            }
            _ => None,
        };
        let mut cursors = push.cursors(&self.state.sight);
        for (index, number) in push.each() {
            let (Some(tick), Some(water)) = (push.ticks.get(index), push.water.get(index)) else {
                break;
            };
            if !self.state.members.has(tick.resource) {
                continue;
            }
            let time = push.batch.time.get(number).copied().unwrap_or_default();
            let quiet = push.is_quiet(index);
            if !quiet {
                self.meet(tick.resource, time, i64::MAX, push.view);
            }
            scratch.touched.push(tick.resource);
            let row = u32::try_from(number).unwrap_or(u32::MAX);
            let passes = mask
                .as_ref()
                .is_none_or(|mask| mask.get(index) == Some(&true))
                && !quiet;
            let mut step = Step {
                resource: tick.resource,
                at: tick.latest,
                time,
                before: *water,
                after: *water,
                settles: false,
                point: NO_POINT,
                event: Event::Row(row),
                trigger: push.trigger(number),
            };
            if passes {
                read(&mut cursors, row, scratch);
                let taken = Row {
                    resource: tick.resource,
                    time,
                    sequence: push.sequence + index as u64,
                    at: tick.latest,
                };
                self.take(&taken, &mut step, push.view, scratch);
            }
            scratch.steps.push(step);
        }
    }

    fn in_time_order(&mut self, push: &Push<'_>, scratch: &mut PatternScratch) {
        let mut cursors = push.cursors(&self.state.sight);
        if let Some(filter) = &self.state.filter {
            cursors.extend(push.cursors(filter));
        }
        let mut ahead = 0;
        for (index, number) in push.each() {
            let (Some(tick), Some(water)) = (push.ticks.get(index), push.water.get(index)) else {
                break;
            };
            if index >= ahead {
                let next = push.ticks.get(index..).unwrap_or_default();
                std::hint::black_box(self.approach(next));
                ahead = index + TOGETHER;
            }
            if !self.state.members.has(tick.resource) {
                continue;
            }
            let trigger = push.trigger(number);
            let row = u32::try_from(number).unwrap_or(u32::MAX);
            let time = push.batch.time.get(number).copied().unwrap_or_default();
            let limit = Sight::limit(true, *water);
            self.meet(tick.resource, time, limit, push.view);
            let values = cursors.iter_mut().map(|cursor| cursor.value(row));
            let waiting = WaitingRow {
                time,
                sequence: push.sequence + index as u64,
                values: values.collect(),
                cause: push.batch.event_ref(number),
                role: Role::Row,
            };
            let used = self.pattern.every_row || waiting.values.iter().any(|v| !v.is_missing());
            let late = Late {
                resource: tick.resource,
                time,
                row,
                trigger,
                forced: false,
            };
            if time < *water {
                if self.judges(&waiting) && self.admits(&late, &waiting, push.view, scratch) {
                    scratch.late.push(late);
                }
            } else if used {
                self.state.waiting.insert(tick.resource, waiting);
                self.force(late, (push.limits.waiting_rows, push.view), scratch);
            }
            scratch.touched.push(tick.resource);
            self.pass(tick.resource, *water, (trigger, push.view), scratch);
        }
    }

    /// Reads something of each place that the next rows need: reads that wait for nothing else wait together.
    fn approach(&self, next: &[Tick]) -> u64 {
        let state = &self.state;
        next.iter().take(TOGETHER).fold(0, |all, tick| {
            let key = state.keys.get(tick.resource as usize);
            all ^ state.waiting.words(tick.resource) ^ key.map_or(0, Key::words)
        })
    }

    /// Whether a row carries what any test looks at.
    fn judges(&self, row: &WaitingRow) -> bool {
        let judged = |place: &usize| row.values.get(*place).is_some_and(|v| !v.is_missing());
        let mut metrics = self.pattern.tests.iter().flat_map(|test| &test.metrics);
        self.pattern.every_row || metrics.any(judged)
    }

    /// Whether `where` lets a late row pass: one that it rejects is none of the rule's.
    fn admits(
        &mut self,
        late: &Late,
        row: &WaitingRow,
        view: &dyn View,
        scratch: &mut PatternScratch,
    ) -> bool {
        let (Some(plan), Some(sight)) = (&self.plan.filter, &mut self.state.filter) else {
            return true;
        };
        let gaze = &mut scratch.filter;
        let metrics = self.state.sight.metrics.len();
        let own = row.values.get(metrics..).unwrap_or_default();
        gaze.own.clone_from_slice(own);
        filter::admits(plan, sight, (late.resource, late.time), view, gaze)
    }

    /// Takes the oldest row early when too many wait.
    fn force(
        &mut self,
        late: Late,
        (most, view): (usize, &dyn View),
        scratch: &mut PatternScratch,
    ) {
        if self.state.waiting.len(late.resource) <= most {
            return;
        }
        let time = self.state.waiting.first(late.resource);
        if let Some(row) = self.state.waiting.take(late.resource, time) {
            self.take_waiting(late.resource, row, (late.trigger, view), scratch);
        }
        scratch.late.push(Late {
            time,
            forced: true,
            ..late
        });
    }

    /// Time passes for a resource up to a watermark: rows that waited for it are taken.
    pub(super) fn pass(
        &mut self,
        resource: u32,
        water: i64,
        (trigger, view): (Trigger, &dyn View),
        scratch: &mut PatternScratch,
    ) {
        while let Some(row) = self.state.waiting.take(resource, water) {
            self.take_waiting(resource, row, (trigger, view), scratch);
        }
        scratch.steps.push(Step {
            resource,
            at: water,
            time: water,
            before: water,
            after: water,
            settles: false,
            point: NO_POINT,
            event: Event::None,
            trigger,
        });
    }

    fn take_waiting(
        &mut self,
        resource: u32,
        waiting: WaitingRow,
        (trigger, view): (Trigger, &dyn View),
        scratch: &mut PatternScratch,
    ) {
        let time = waiting.time;
        let row = Row {
            resource,
            time,
            sequence: waiting.sequence,
            at: time,
        };
        let traits = self.state.waiting.traits_of(resource, row.sequence);
        let view: &dyn View = &Then::new(view, resource, traits.as_deref());
        let metrics = self.state.sight.metrics.len().min(waiting.values.len());
        let (own, of_filter) = waiting.values.split_at(metrics);
        if waiting.role == Role::Values {
            self.awaiting().bring(resource, time, &waiting.values);
            return;
        }
        let kept = u32::try_from(scratch.events.len()).unwrap_or(u32::MAX);
        scratch.events.push(waiting.cause);
        let mut step = Step {
            resource,
            at: time,
            time,
            before: time,
            after: i64::MIN,
            settles: false,
            point: NO_POINT,
            event: Event::Kept(kept),
            trigger,
        };
        if let (Some(plan), Some(sight)) = (&self.plan.filter, &mut self.state.filter) {
            let (gaze, blames) = (&mut scratch.filter, &mut scratch.blames);
            gaze.own.clone_from_slice(of_filter);
            if !filter::passes(plan, sight, &row, (trigger, view), gaze, blames) {
                return;
            }
        }
        scratch.gaze.own.clone_from_slice(own);
        self.take(&row, &mut step, view, scratch);
        scratch.steps.push(step);
    }

    /// Takes one row, whose own values are in the gaze; makes it a point if any element looks at it.
    fn take(&mut self, row: &Row, step: &mut Step, view: &dyn View, scratch: &mut PatternScratch) {
        let table = &self.pattern.table;
        let sight = &mut self.state.sight;
        let gaze = &mut scratch.gaze;
        let carries = |place: &usize| gaze.own.get(*place).is_some_and(|v| !v.is_missing());
        let judged = |metrics: &[usize]| metrics.is_empty() || metrics.iter().any(carries);
        let tests = &self.pattern.tests;
        let used = self.pattern.every_row || tests.iter().any(|test| judged(&test.metrics));
        if used {
            for (test, fits) in tests.iter().zip(&mut scratch.fits) {
                fits.push(if judged(&test.metrics) {
                    Fit::No
                } else {
                    Fit::Unjudged
                });
            }
        }
        gaze.judged = used;
        sight.take(table, row, view, gaze);
        for message in gaze.faults.drain(..) {
            scratch.blames.push(blame(step, message));
        }
        if !used {
            return;
        }
        sight.look(table, row.resource, row.at, view, &mut gaze.now);
        if self.pattern.own_values {
            for (now, own) in gaze.now.iter_mut().zip(&gaze.own) {
                now.clone_from(own);
            }
        }
        step.point = gaze.point();
    }
}

fn read(cursors: &mut [Cursor<'_>], row: u32, scratch: &mut PatternScratch) {
    for (cursor, own) in cursors.iter_mut().zip(&mut scratch.gaze.own) {
        *own = cursor.value(row);
    }
}
