//! [`WindowUnit`]: one running window rule: rows to keys and columns, windows closed by each resource's watermark.

mod held;
mod known;
mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};
use tidegate_proto::{EventRef, Names, Outcome, Selector, Value};

use super::arguments::{Argument, Taker};
use super::cells::{Builder, Cursor};
use super::fills::Fills;
use super::group::{Push, Watch};
use super::keys::Keys;
use super::members::Members;
use super::seen::Seen;
use super::sight::{Gaze, Row, Sight};
use super::steps::Blame;
use super::told::Told;
use super::{Limits, TaskCounters, View};
use crate::order::Waiting;
use crate::plan::Plan;
use crate::plan::window::{Waits, WindowPlan};
use crate::timer::{IDLE, Timers};
use crate::watermark::NEVER;
use crate::window::{EmitMode, WindowOutput, WindowSpec, Windows};

/// Made by the clock, not by a row.
pub(crate) const CLOCK: u32 = u32::MAX;

/// All of a window rule that a snapshot keeps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WindowState {
    line: usize,
    pub(crate) members: Members,
    /// Latest values, for filters of aggregates and group keys.
    pub(crate) sight: Sight,
    /// What `where` sees: every row.
    pub(crate) filter: Option<Sight>,
    pub(crate) windows: Windows,
    pub(crate) keys: Keys,
    pub(crate) timers: Timers,
    pub(crate) counters: BTreeMap<u32, TaskCounters>,
    /// Hour of the last error line per resource.
    pub(crate) hours: BTreeMap<u32, i64>,
    pub(crate) told: Told,
    /// What empty windows are filled with.
    pub(crate) fills: Fills,
    /// Rows that wait for their time.
    pub(crate) held: Waiting,
}

/// One running window rule.
#[derive(Debug)]
pub(crate) struct WindowUnit {
    pub(crate) plan: Arc<Plan>,
    pub(crate) window: Arc<WindowPlan>,
    /// One task over everything.
    pub(crate) everything: bool,
    pub(crate) state: WindowState,
    /// A task that somebody watches.
    pub(crate) seen: Option<Box<Seen>>,
    /// Log order of the first row of the batch at hand.
    pub(crate) first: u64,
}

/// Vectors used again by every push.
#[derive(Debug, Default)]
pub(crate) struct WindowScratch {
    gaze: Gaze,
    filter: Gaze,
    /// Rows of the batch that are used, with key, log order and watermark.
    pub(super) rows: Vec<u32>,
    pub(super) keys: Vec<u32>,
    pub(super) sequences: Vec<u64>,
    /// Whether rows say all that is asked of them.
    pub(super) simple: bool,
    pub(super) water: Vec<i64>,
    /// Rows that waited, by entry; `None`: a row of the batch. Shorter, when the others are all of the batch.
    pub(super) kept: Vec<Option<KeptRow>>,
    /// Values that the row itself carries, by place.
    own: Vec<Builder>,
    pub(super) touched: Vec<u32>,
    blames: Vec<Blame>,
    output: WindowOutput,
}

/// Keys of a row: one, or one of each grouping.
pub(super) type RowKeys = SmallVec<[u32; 1]>;

/// A row that waited.
#[derive(Clone, Debug)]
pub(crate) struct KeptRow {
    pub(crate) resource: u32,
    pub(crate) time: i64,
    pub(crate) event: EventRef,
}

/// Which rows a push uses, and which only move time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Use {
    /// Used: number of its entry in the scratch columns.
    Row(u32),
    /// Only its watermark counts.
    Time(u32, i64, u32),
}

fn windows(window: &WindowPlan) -> Windows {
    Windows::new(WindowSpec {
        form: window.form,
        lateness: window.lateness,
        aggregates: window.aggregates.iter().map(|a| a.kind).collect(),
        arguments: window.arguments(),
        mode: window.mode.clone(),
    })
}

impl WindowUnit {
    pub(crate) fn new(
        plan: &Arc<Plan>,
        window: &Arc<WindowPlan>,
        line: usize,
        view: &dyn View,
        metrics: &mut Names,
    ) -> Self {
        let filter = plan.filter.as_ref();
        let state = WindowState {
            line,
            members: Members::of(&plan.rule().selector, view),
            sight: Sight::new(&window.table, metrics),
            filter: filter.map(|f| Sight::new(&f.table, metrics)),
            windows: windows(window),
            keys: Keys::default(),
            timers: Timers::default(),
            counters: BTreeMap::new(),
            hours: BTreeMap::new(),
            told: Told::default(),
            fills: Fills::default(),
            held: Waiting::default(),
        };
        let mut unit = Self {
            plan: Arc::clone(plan),
            window: Arc::clone(window),
            everything: plan.rule().selector == Selector::Everything,
            state,
            seen: None,
            first: 0,
        };
        unit.keep_past();
        unit
    }

    /// Windows without rows.
    pub(crate) fn no_windows(&self) -> Windows {
        windows(&self.window)
    }

    /// Whose windows a row of a resource goes to: one task over everything has the number 0.
    pub(crate) const fn owner(&self, resource: u32) -> u32 {
        if self.everything { 0 } else { resource }
    }

    pub(crate) const fn line(&self) -> usize {
        self.state.line
    }

    pub(crate) const fn timers(&mut self) -> &mut Timers {
        &mut self.state.timers
    }

    pub(crate) fn next_clock(&self) -> Option<i64> {
        self.state.timers.next()
    }

    /// Takes the rows of a push.
    pub(crate) fn push(
        &mut self,
        push: &Push<'_>,
        watch: Watch<'_>,
        scratch: &mut WindowScratch,
        out: &mut Vec<Outcome>,
    ) {
        self.open(scratch);
        self.first = push.sequence.saturating_sub(push.rows.start as u64);
        if self.window.waits != Waits::None {
            let uses = self.gather_held(push, scratch);
            self.run(push, &uses, scratch, out);
        } else if let Some(column) = self.even_column(push) {
            self.push_even(push, column, scratch);
        } else {
            let uses = self.gather(push, scratch);
            self.run(push, &uses, scratch, out);
        }
        self.tell_blames(push.batch, &scratch.blames, out);
        self.tell(Some(push.batch), push.view, &mut scratch.output, out);
        self.rearm(watch, &scratch.touched);
        self.prune(push);
    }

    /// Lets time pass for resources whose watermark has moved without a row.
    pub(crate) fn wake(
        &mut self,
        (resources, limits): (&[u32], Limits),
        view: &dyn View,
        watch: Watch<'_>,
        scratch: &mut WindowScratch,
        out: &mut Vec<Outcome>,
    ) {
        if self.state.held.count() > 0 {
            self.wake_held((resources, false, limits), view, watch, scratch, out);
        }
        scratch.output.clear();
        for resource in resources {
            let water = watch.line.mark(*resource);
            self.advance(*resource, water, CLOCK, &mut scratch.output);
            self.probe(*resource, (None, CLOCK), view, &mut scratch.output, out);
        }
        self.tell(None, view, &mut scratch.output, out);
        self.rearm(watch, resources);
    }

    fn open(&self, scratch: &mut WindowScratch) {
        let metrics = self.state.sight.metrics.len();
        scratch.gaze.open(&self.window.table, metrics);
        if let (Some(plan), Some(sight)) = (&self.plan.filter, &self.state.filter) {
            scratch.filter.open(&plan.table, sight.metrics.len());
        }
        scratch.rows.clear();
        scratch.keys.clear();
        scratch.sequences.clear();
        scratch.water.clear();
        scratch.kept.clear();
        scratch.own.clear();
        scratch.own.resize(metrics, Builder::default());
        scratch.blames.clear();
        scratch.touched.clear();
        scratch.output.clear();
    }

    pub(crate) fn rearm(&mut self, watch: Watch<'_>, resources: &[u32]) {
        for resource in resources {
            let deadline = self.deadline(*resource);
            if deadline != IDLE {
                let clock = watch.line.due(watch.clocks, *resource, deadline);
                self.state.timers.arm(*resource, clock);
            }
        }
    }

    /// Closes what is due for all keys of a resource.
    fn advance(&mut self, resource: u32, water: i64, origin: u32, output: &mut WindowOutput) {
        let from = output.mark();
        for key in self.state.keys.of(resource) {
            if self.state.windows.deadline(*key) <= water {
                self.state.windows.advance(*key, water, output);
            }
        }
        output.map_triggers(from, |_| origin);
    }

    /// Rows that the rule uses: their values by place, their keys, in log order.
    fn gather(&mut self, push: &Push<'_>, scratch: &mut WindowScratch) -> Vec<Use> {
        let mut cursors = push.cursors(&self.state.sight);
        let mask = self.mask(push, scratch);
        let simple = !self.window.looks && self.window.by.is_empty();
        let mut uses = Vec::new();
        for (index, number) in push.each() {
            let (Some(tick), Some(water)) = (push.ticks.get(index), push.water.get(index)) else {
                break;
            };
            if !self.state.members.has(tick.resource) {
                continue;
            }
            if !simple {
                // Also where `where` holds the row back: what the twin knew must not depend on how batches are cut.
                self.state.sight.seed(tick.resource, i64::MAX, push.view);
            }
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let row = Row {
                resource: tick.resource,
                time: push
                    .batch
                    .time
                    .get(number as usize)
                    .copied()
                    .unwrap_or_default(),
                sequence: push.sequence + index as u64,
                at: tick.latest,
            };
            scratch.touched.push(self.owner(tick.resource));
            let passes = |mask: &Vec<bool>| mask.get(index) == Some(&true);
            let passes = !push.is_quiet(index) && mask.as_ref().is_none_or(passes);
            let used = passes && self.read(&mut cursors, number, &mut scratch.gaze);
            let keys = if !used {
                if passes && !simple {
                    // Its values count for rows to come (filters, keys, passive inputs), its row does not.
                    let (table, gaze) = (&self.window.table, &mut scratch.gaze);
                    self.state.sight.take(table, &row, push.view, gaze);
                }
                RowKeys::new()
            } else if simple {
                smallvec![self.state.keys.plain(self.owner(tick.resource))]
            } else {
                self.look(row, push, &mut scratch.gaze)
            };
            scratch.blame(row, number, push);
            scratch.simple = simple;
            if !scratch.use_row(&keys, (number, row.sequence, *water), None, &mut uses) {
                uses.push(Use::Time(self.owner(tick.resource), *water, number));
            }
        }
        uses
    }

    /// Which rows `where` lets pass.
    fn mask(&mut self, push: &Push<'_>, scratch: &mut WindowScratch) -> Option<Vec<bool>> {
        let plan = self.plan.filter.as_ref()?;
        let sight = self.state.filter.as_mut()?;
        let (gaze, blames) = (&mut scratch.filter, &mut scratch.blames);
        let members = &self.state.members;
        Some(super::filter::mask(
            plan, sight, members, push, gaze, blames,
        ))
    }

    /// Reads what a row carries; answers whether the rule uses it.
    fn read(&self, cursors: &mut [Cursor<'_>], number: u32, gaze: &mut Gaze) -> bool {
        let mut used = self.window.every_row;
        let cells = cursors.iter_mut().zip(&mut gaze.own);
        for ((cursor, own), place) in cells.zip(&self.window.table.places) {
            let entry = cursor.entry(number);
            let named = self.window.nulls && entry.is_some();
            *own = entry.unwrap_or_default();
            used |= place.judged && (named || !own.is_missing());
        }
        used
    }

    /// Values as of the row, and its keys: one for each grouping, none where there are too many groups.
    pub(super) fn look(&mut self, row: Row, push: &Push<'_>, gaze: &mut Gaze) -> RowKeys {
        let sight = &mut self.state.sight;
        sight.take(&self.window.table, &row, push.view, gaze);
        self.key(row, push, gaze)
    }

    /// The same for a row whose values are taken in their time.
    pub(super) fn key(&mut self, row: Row, push: &Push<'_>, gaze: &mut Gaze) -> RowKeys {
        let sight = &mut self.state.sight;
        sight.look(
            &self.window.table,
            row.resource,
            row.time,
            push.view,
            &mut gaze.now,
        );
        gaze.overlay();
        if self.window.by.is_empty() {
            return smallvec![self.state.keys.plain(self.owner(row.resource))];
        }
        let mut scratch = Vec::new();
        let by = self.window.by.iter();
        let values: Vec<Value> = by
            .map(|(_, bound)| {
                super::sight::evaluate(bound, &gaze.now, &mut scratch, &mut gaze.faults)
            })
            .collect();
        let owner = self.owner(row.resource);
        if self.window.sets.is_empty() {
            let key = self.group(owner, values, false, push.limits.groups);
            return key.into_iter().collect();
        }
        let window = Arc::clone(&self.window);
        let sets = (0_i64..).zip(&window.sets);
        let keys = sets.filter_map(|(number, set)| {
            let (values, lacks) = rows::of_set(number, set, &values);
            self.group(owner, values, lacks, push.limits.groups)
        });
        keys.collect()
    }

    /// The key of a group, if there may be one; `lacks`: a grouping misses one of its keys.
    fn group(&mut self, owner: u32, values: Vec<Value>, lacks: bool, most: usize) -> Option<u32> {
        let apart = !self.window.sets.is_empty();
        let null = lacks || (!apart && values.iter().any(Value::is_missing));
        if self.window.drop_null_keys && null {
            self.state.counters.entry(owner).or_default().null_keys += 1;
            return None;
        }
        let key = self.state.keys.grouped(owner, values, apart, most);
        if key.is_none() {
            self.state.counters.entry(owner).or_default().late += 1;
        }
        key
    }

    /// Runs rows and time through the windows in log order.
    pub(super) fn run(
        &mut self,
        push: &Push<'_>,
        uses: &[Use],
        scratch: &mut WindowScratch,
        out: &mut Vec<Outcome>,
    ) {
        let own: Vec<_> = scratch.own.iter_mut().map(Builder::finish).collect();
        let now = if scratch.gaze.points > 0 {
            scratch.gaze.columns()
        } else {
            own.clone()
        };
        let blames = &mut scratch.blames;
        let rows = (scratch.rows.as_slice(), scratch.kept.as_slice());
        let mut taker = Taker::new(push, rows, (&own, &now), blames);
        let aggregates = self.window.aggregates.iter();
        let arguments: Vec<Argument> = aggregates.map(|a| taker.take(a)).collect();
        let probes = self.window.mode.emit == EmitMode::When;
        let numbers = arguments.iter().all(|a| a.odd.is_none());
        let booked = self.keeps_book();
        let numeric = numbers && self.window.by.is_empty() && !probes && !booked;
        let numeric = numeric && scratch.kept.iter().all(Option::is_none);
        let mut from = 0;
        let mut pending = i64::MAX;
        for (entry, used) in uses.iter().enumerate() {
            match *used {
                Use::Row(row) if numeric => {
                    let row = row as usize;
                    let number = scratch.rows.get(row).copied().unwrap_or_default();
                    let time = push.batch.time.get(number as usize).copied();
                    pending = pending.min(time.unwrap_or(NEVER));
                    if entry + 1 == uses.len() {
                        self.flush(push, (from, row + 1), &arguments, scratch);
                    }
                }
                Use::Row(row) => {
                    let number = scratch.rows.get(row as usize).copied().unwrap_or(CLOCK);
                    let kept = scratch.kept.get(row as usize).and_then(Option::as_ref);
                    let resource = push.batch.resource.get(number as usize).copied();
                    let resource = kept.map_or(resource, |kept| Some(kept.resource));
                    let resource = self.owner(resource.unwrap_or_default());
                    self.single(push, row as usize, &arguments, scratch);
                    let from = (Some(push.batch), number);
                    self.probe(resource, from, push.view, &mut scratch.output, out);
                    if booked {
                        // What this row takes back must have been told by then.
                        self.tell(Some(push.batch), push.view, &mut scratch.output, out);
                    }
                }
                Use::Time(resource, water, number) => {
                    let last = entry + 1 == uses.len();
                    // Rows that are pending close what they close before time alone does.
                    let due = || {
                        let mut keys = self.state.keys.of(resource).iter();
                        keys.any(|key| self.state.windows.deadline(*key) <= water)
                    };
                    if numeric && (pending < water || last || due()) {
                        let to = rows::rows_before(uses, entry);
                        self.flush(push, (from, to), &arguments, scratch);
                        from = to;
                        pending = i64::MAX;
                    }
                    self.advance(resource, water, number, &mut scratch.output);
                    let from = (Some(push.batch), number);
                    self.probe(resource, from, push.view, &mut scratch.output, out);
                }
            }
        }
    }

    /// Lets a resource go.
    pub(crate) fn forget(&mut self, resource: u32) {
        for key in self.state.keys.of(resource) {
            self.state.windows.forget(*key);
            self.state.told.forget(*key, i64::MAX);
            self.state.fills.forget(*key);
        }
        self.state.sight.forget(resource);
        if let Some(filter) = &mut self.state.filter {
            filter.forget(resource);
        }
        self.state.held.forget(resource);
    }

    pub(crate) fn bytes(&self) -> usize {
        let state = &self.state;
        state.windows.bytes()
            + state.sight.bytes()
            + state.filter.as_ref().map_or(0, Sight::bytes)
            + state.keys.bytes()
            + state.held.bytes()
            + state.timers.bytes()
            + state.members.bytes()
            + state.counters.len() * 64
    }
}
