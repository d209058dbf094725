//! Rows come: to which tasks they go, how far time is with each, and when they are given to the engine.

use tidegate_proto::{Outcome, OutcomeKind, TaskClock, Trigger, Value};

use super::least::Member;
use super::{CLOCK, Engine, Now, ONE, Taken, WideScratch, WideUnit};
use crate::pipeline::cells::Cursor;
use crate::pipeline::group::Push;
use crate::pipeline::sight::Row;
use crate::pipeline::suspect::{Part, Working, break_if};
use crate::pipeline::times::Times;
use crate::pipeline::unit::{Tale, line};
use crate::pipeline::{Untold, View, filter};
use crate::plan::wide::{ColumnPlan, Feed};
use crate::watermark::{NEVER, Tick, cell};

/// Units, who is at work, and whether brittle rules break.
type Units<'a> = ((&'a mut [Option<WideUnit>], &'a mut Working), bool);

/// Pushes rows to every unit.
pub(crate) fn push_all(
    ((units, working), hit): Units<'_>,
    (times, clock): (&Times<'_>, i64),
    push: &Push<'_>,
    scratch: &mut WideScratch,
    out: &mut Vec<Outcome>,
) {
    for (index, unit) in units.iter_mut().enumerate() {
        let Some(unit) = unit else {
            continue;
        };
        *working = Working::Judging(Part::Wide(index));
        break_if(hit, std::iter::once(&unit.plan.name));
        let (Some(water), Some((line, _))) =
            (times.water.get(unit.line()), times.lines.get(unit.line()))
        else {
            continue;
        };
        let push = Push {
            water,
            picked: None,
            ..push.clone()
        };
        let now = Now {
            clocks: times.clocks,
            line,
            clock,
            waiting_rows: push.limits.waiting_rows,
        };
        unit.push(&push, now, scratch, out);
    }
}

/// A row that comes.
pub(super) struct Come<'a> {
    pub(super) tick: &'a Tick,
    /// It is what a rule said: it moves no time, and is known from when it comes.
    heard: bool,
    mark: i64,
    record: u32,
    pub(super) row: Taken,
}

impl WideUnit {
    /// Takes the rows of a push.
    fn push(
        &mut self,
        push: &Push<'_>,
        now: Now<'_>,
        scratch: &mut WideScratch,
        out: &mut Vec<Outcome>,
    ) {
        self.open(scratch);
        let cursor = |metric: &u32| Cursor::new(push.batch, push.columns, *metric, push.rows.start);
        let mut cursors: Vec<Cursor<'_>> = self.state.reads.iter().map(cursor).collect();
        let sides = self.sides_of(push.said);
        for (index, number) in push.each() {
            let (Some(tick), Some(mark)) = (push.ticks.get(index), push.water.get(index)) else {
                break;
            };
            let row = u32::try_from(number).unwrap_or(u32::MAX);
            let values = cursors.iter_mut().map(|cursor| cursor.value(row));
            let come = Come {
                tick,
                heard: push.heard,
                mark: *mark,
                record: push.batch.record.get(number).copied().unwrap_or_default(),
                row: Taken {
                    resource: tick.resource,
                    time: push.batch.time.get(number).copied().unwrap_or_default(),
                    event: push.batch.event_ref(number),
                    values: values.collect(),
                    own: true,
                    sides,
                    all: self.carried(push, row),
                },
            };
            if !come.heard || self.concerns(&come.row) {
                self.come(come, now, push.view, scratch, out);
            }
        }
        self.flush(push.view, scratch, out);
        let mut touched = std::mem::take(&mut scratch.touched);
        touched.sort_unstable();
        touched.dedup();
        self.rearm(&touched, now);
        scratch.touched = touched;
    }

    /// A resource's time with its row.
    fn member(&self, come: &Come<'_>, now: Now<'_>) -> Member {
        let tick = come.tick;
        Member {
            mark: come.mark,
            lead: tick.lead(now.line.idle(now.clocks, tick.resource)),
        }
    }

    /// Whether a line has something for this rule; others are said to others.
    fn concerns(&self, line: &Taken) -> bool {
        if self.is_join() {
            line.sides > 0
        } else {
            Self::carries(line, 0..self.wide.columns.len())
        }
    }

    /// Whether a row carries one of the columns `from..`.
    fn carries(row: &Taken, range: std::ops::Range<usize>) -> bool {
        let values = row.values.get(range).unwrap_or_default();
        values.iter().any(|value| !value.is_missing())
    }

    /// A row comes to the one task over everything.
    fn come_to_all(
        &mut self,
        (come, member): (Come<'_>, Member),
        now: Now<'_>,
        view: &dyn View,
        (scratch, out): (&mut WideScratch, &mut Vec<Outcome>),
    ) {
        let resource = come.row.resource;
        let columns = self.wide.columns.len();
        let mut come = come;
        if self.gathers() {
            self.note(
                &come.row,
                if self.wide.ordered {
                    come.mark
                } else {
                    i64::MAX
                },
            );
            come.row = self.share(&come.row, ONE);
        }
        let used = match &self.engine {
            Engine::Inner(_) => self.wide.every_row || Self::carries(&come.row, 0..columns),
            Engine::Join(_) if come.heard => come.row.sides > 0,
            Engine::Join(join) => join.reads(resource),
        };
        let asked = Self::carries(&come.row, columns..come.row.values.len());
        if come.heard {
            if !self.is_join() {
                self.count_heard(&come, now);
            }
        } else if used || self.state.least.has(resource) || self.awaits(resource) {
            self.pass_silence(ONE, now);
            self.state.least.set(resource, member, now.clock);
        } else if !asked || self.is_join() {
            return;
        }
        let wanted = used || (asked && !self.is_join());
        self.enter(ONE, (come, wanted), now, view, (scratch, out));
    }

    fn come(
        &mut self,
        come: Come<'_>,
        now: Now<'_>,
        view: &dyn View,
        scratch: &mut WideScratch,
        out: &mut Vec<Outcome>,
    ) {
        let resource = come.row.resource;
        let member = self.member(&come, now);
        if self.wide.everything {
            return self.come_to_all((come, member), now, view, (scratch, out));
        }
        if !come.heard && now.clock != NEVER {
            let mut tasks = vec![resource];
            self.state.groups.tasks(resource, &mut tasks);
            self.state.links.tasks(resource, &mut tasks);
            tasks
                .into_iter()
                .for_each(|task| self.pass_silence(task, now));
        }
        let seen = cell(&mut self.state.seen, resource, None);
        let first = if come.heard {
            *seen
        } else {
            seen.replace(member)
        };
        let mark = if self.wide.ordered {
            come.mark.saturating_sub(self.wide.max_skew)
        } else {
            i64::MAX
        };
        let mut tasks = Vec::new();
        if self.state.members.has(resource) {
            tasks.push(resource);
        }
        self.state.groups.tasks(resource, &mut tasks);
        self.state.links.tasks(resource, &mut tasks);
        tasks.sort_unstable();
        tasks.dedup();
        for task in &tasks {
            let begins = if self.gathers() {
                !self.state.tasks.contains_key(task)
            } else {
                *task == resource && first.is_none()
            };
            if begins {
                self.begin(*task, come.row.time, now, view);
            }
        }
        self.note(&come.row, mark);
        tasks.retain(|task| self.has_begun(*task));
        for task in tasks {
            let row = self.share(&come.row, task);
            let used = (row.own && (self.wide.every_row || !self.lives(task)))
                || row.values.iter().any(|value| !value.is_missing());
            let come = Come { row, ..come };
            self.enter(task, (come, used), now, view, (scratch, out));
        }
    }

    /// Silence counts up to the moment of a row before the row itself does: a member that lay too far behind until now was not waited for.
    pub(super) fn pass_silence(&mut self, task: u32, now: Now<'_>) {
        let least = self.wide.clock == TaskClock::Least && now.clock != NEVER;
        if least && self.state.tasks.contains_key(&task) {
            self.move_on(task, now);
        }
    }

    /// A row comes to a task: its time moves first, then what is due, then the row.
    fn enter(
        &mut self,
        task: u32,
        (come, used): (Come<'_>, bool),
        now: Now<'_>,
        view: &dyn View,
        (scratch, out): (&mut WideScratch, &mut Vec<Outcome>),
    ) {
        scratch.touched.push(task);
        let water = self.move_on(task, now);
        let record = come.record;
        let mut come = come;
        if come.heard && self.wide.ordered && !self.is_join() {
            come.row.time = come.row.time.max(water);
        }
        let late = come.row.time < water;
        if self.wide.ordered && used && !late {
            self.hold(task, come.row, view);
            self.force(task, record, (now.waiting_rows, view), scratch);
            self.pass((task, water), record, view, scratch);
            return;
        }
        self.pass((task, water), record, view, scratch);
        if !used {
            return;
        }
        if self.wide.ordered && self.wide.drops_late {
            self.tell_late(task, &come.row, record, out);
            return;
        }
        let next = self.state.sequence + 1;
        if self.turn_to((task, next), &mut come.row, view, scratch) {
            self.give((task, water), &come.row, record, view, scratch);
        }
    }

    /// Gives the rows that a task's time has passed, then the time itself.
    pub(super) fn pass(
        &mut self,
        (task, water): (u32, i64),
        record: u32,
        view: &dyn View,
        scratch: &mut WideScratch,
    ) {
        loop {
            let time = self.state.tasks.entry(task).or_default();
            let first = time.held.first_key_value();
            let first = first
                .map(|(place, _)| place.0)
                .filter(|first| *first < water);
            let looked = time.looked;
            if !self.wide.calls.is_empty() && looked != NEVER {
                let (change, _) = self.state.groups.next_change(&self.wide, task, looked);
                if change <= water && first.is_none_or(|first| change <= first) {
                    self.members_change((task, change), record, view, scratch);
                    continue;
                }
            }
            if first.is_none() {
                break;
            }
            let time = self.state.tasks.entry(task).or_default();
            let given = time.given;
            if let Some(held) = time.held.pop_first() {
                self.give_held((task, given), held, record, view, scratch);
            }
        }
        let time = self.state.tasks.entry(task).or_default();
        if time.given < water {
            time.given = water;
            match &mut self.engine {
                Engine::Inner(_) if self.wide.by.is_some() => {
                    self.pass_keys(water, record, view, scratch);
                }
                Engine::Inner(_) => scratch.delivery.time(task, water, record),
                Engine::Join(join) => join.pass(water, record, view),
            }
        }
    }

    /// Gives one row to the engine.
    pub(super) fn give(
        &mut self,
        (task, water): (u32, i64),
        row: &Taken,
        record: u32,
        view: &dyn View,
        scratch: &mut WideScratch,
    ) {
        let time = self.state.tasks.entry(task).or_default();
        time.given = time.given.max(water);
        time.last = time.last.max(row.time);
        time.event.clone_from(&row.event);
        if let Engine::Join(join) = &mut self.engine {
            join.take(row, (water, record), None, view);
            return;
        }
        if !self.wide.calls.is_empty() {
            self.note_members(task, row);
        }
        if !row.own && !self.lives(task) && !self.gathers() {
            // Rows of the inputs before the first of the resource itself only bring values.
            for (column, value) in row.values.iter().enumerate() {
                if !value.is_missing() && row.time >= water {
                    self.replace(task, column, row.time, value.clone());
                }
            }
            return;
        }
        if row.own {
            self.state.tasks.entry(task).or_default().lives = true;
            if !self.is_heard(row) && !self.passes(row, record, view, scratch) {
                return;
            }
        }
        let columns = self.wide.columns.len();
        let own = if self.wide.by.is_some() {
            match self.key_of(row, record, view, scratch) {
                Some(key) => key,
                None => return,
            }
        } else if self.wide.everything && !self.windows() {
            ONE
        } else if self.wide.everything {
            row.resource
        } else {
            task
        };
        let looked = self
            .state
            .tasks
            .get(&task)
            .map_or(NEVER, |time| time.looked);
        let asked = if self.wide.calls.is_empty() || !self.judges(row) {
            Vec::new()
        } else {
            self.ask_members(task, (row.time.max(looked), record), view, scratch)
        };
        let values = row.values.iter().take(columns).cloned().enumerate();
        let values = values.filter(|(_, value)| !value.is_missing());
        let of = |column: &ColumnPlan| column.feed == Feed::Resource;
        let of = self.wide.columns.iter().position(of);
        let of = of.map(|place| (place, Value::text(view.resource(row.resource))));
        let values = values.chain(asked).chain(of);
        let when = (water, record);
        scratch
            .delivery
            .row((own, row.time), when, &row.event, values);
    }

    /// Whether a task has taken a row of its own resource.
    fn lives(&self, task: u32) -> bool {
        self.state.tasks.get(&task).is_some_and(|time| time.lives)
    }

    /// Windows over everything look at rows by their resources; a condition has one task.
    fn windows(&self) -> bool {
        matches!(self.plan.rule().body, tidegate_proto::Body::Window(_))
    }

    /// Whether `where` lets a row of the task's own resource pass.
    fn passes(
        &mut self,
        row: &Taken,
        record: u32,
        view: &dyn View,
        scratch: &mut WideScratch,
    ) -> bool {
        let (Some(plan), Some(sight)) = (&self.plan.filter, &mut self.state.filter) else {
            return true;
        };
        let from = self.wide.columns.len();
        let own = row.values.get(from..from + sight.metrics.len());
        let own = own.unwrap_or_default();
        scratch.gaze.own.clone_from_slice(own);
        let seen = Row {
            resource: row.resource,
            time: row.time,
            sequence: 0,
            at: row.time,
        };
        let context = (trigger(record), &Untold(view) as &dyn View);
        let (gaze, blames) = (&mut scratch.gaze, &mut scratch.blames);
        let passes = filter::passes(plan, sight, &seen, context, gaze, blames);
        sight.prune(row.resource);
        passes
    }

    /// Whether a row makes the rule judge.
    fn judges(&self, row: &Taken) -> bool {
        let mut columns = self.wide.columns.iter().zip(&row.values);
        columns.any(|(column, value)| column.judged && !value.is_missing())
            || (self.wide.every_row && row.own)
    }

    /// A row of `order: time` whose time had passed: a line, if the rule would have judged it.
    fn tell_late(&mut self, task: u32, row: &Taken, record: u32, out: &mut Vec<Outcome>) {
        if !self.judges(row) {
            return;
        }
        self.state.counters.entry(task).or_default().late += 1;
        let tale = Tale {
            kind: OutcomeKind::Late,
            resource: self.named(task),
            time: row.time,
            cause: Some(row.event.clone()),
            trigger: trigger(record),
        };
        out.push(line(&self.plan.name, &tale, Vec::new()));
    }
}

/// What a line names as its trigger.
pub(super) const fn trigger(record: u32) -> Trigger {
    if record == CLOCK {
        Trigger::Clock
    } else {
        Trigger::Record(record)
    }
}
