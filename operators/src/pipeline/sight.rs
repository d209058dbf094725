//! [`Sight`]: the values of a slot table for every resource: latest metrics and lookbacks, taken row by row, and the
//! columns of the points that are judged.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_proto::{Names, Value};
use tidegate_scripts::{Column, StreamFunction};

use super::View;
use super::cells::{Builder, MetricCells};
use super::lagged::Lagged;
use super::seen::Seen;
use super::streams::Stream;
use crate::plan::slots::{Bound, Form, SlotTable, StreamPlan};
use crate::timer::IDLE;
use crate::watermark::NEVER;

/// Values of a table's places per resource.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sight {
    /// The metrics, which are the first places of the table.
    pub(crate) metrics: Vec<MetricCells>,
    streams: Vec<Stream>,
    /// Metrics that are read as of earlier.
    pub(super) lagged: Vec<Lagged>,
    /// A task that somebody watches.
    #[serde(skip)]
    pub(crate) seen: Option<Box<Seen>>,
}

/// A row that is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) resource: u32,
    /// Its own event time.
    pub(crate) time: i64,
    /// Its place in the log.
    pub(crate) sequence: u64,
    /// The time as of which the task is judged.
    pub(crate) at: i64,
}

/// A value that the twin knows already, and the task not yet.
#[derive(Clone, Debug)]
pub(crate) struct Beyond {
    pub(crate) place: usize,
    pub(crate) time: i64,
    pub(crate) value: Value,
}

/// Reused vectors of one look: values by place.
#[derive(Debug, Default)]
pub(crate) struct Gaze {
    /// What the row itself carries, by metric place.
    pub(crate) own: Vec<Value>,
    /// Values as of the row.
    pub(crate) now: Vec<Value>,
    /// Whether the row carries what conditions ask for.
    pub(crate) judged: bool,
    arguments: Vec<Value>,
    /// What failed since it was last asked.
    pub(crate) faults: Vec<String>,
    /// Columns of the points so far.
    pub(crate) builders: Vec<Builder>,
    /// How many points.
    pub(crate) points: u32,
}

impl Gaze {
    /// Makes room for a table.
    pub(crate) fn open(&mut self, table: &SlotTable, metrics: usize) {
        self.own.clear();
        self.own.resize(metrics, Value::Missing);
        self.now.clear();
        self.now.resize(table.places.len(), Value::Missing);
        self.builders.clear();
        self.builders.resize(table.places.len(), Builder::default());
        self.points = 0;
        self.faults.clear();
    }

    /// Puts the row's own values over the latest ones: a row is filtered and summed with what it says itself.
    pub(crate) fn overlay(&mut self) {
        for (now, own) in self.now.iter_mut().zip(&self.own) {
            if !own.is_missing() {
                now.clone_from(own);
            }
        }
    }

    /// Makes the values as of now a point; answers with its number.
    pub(crate) fn point(&mut self) -> u32 {
        for (builder, value) in self.builders.iter_mut().zip(&self.now) {
            builder.push(value.clone());
        }
        self.points += 1;
        self.points - 1
    }

    /// Columns by place of all points.
    pub(crate) fn columns(&mut self) -> Vec<Column> {
        self.builders.iter_mut().map(Builder::finish).collect()
    }
}

fn gather(places: &[usize], values: &[Value], into: &mut Vec<Value>) {
    into.clear();
    let value = |place: &usize| values.get(*place).cloned().unwrap_or_default();
    into.extend(places.iter().map(value));
}

/// The value of a formula over values by place; what fails has none and says so.
pub(crate) fn evaluate(
    bound: &Bound,
    values: &[Value],
    scratch: &mut Vec<Value>,
    faults: &mut Vec<String>,
) -> Value {
    if let Some(place) = bound.bare {
        return values.get(place).cloned().unwrap_or_default();
    }
    gather(&bound.places, values, scratch);
    match bound.formula.evaluate_row(scratch) {
        Ok(value) => value,
        Err(error) => {
            faults.push(error.to_string());
            Value::Missing
        }
    }
}

impl Sight {
    /// Empty state for a table.
    pub(crate) fn new(table: &SlotTable, metrics: &mut Names) -> Self {
        let mut sight = Self::default();
        for (place, entry) in table.places.iter().enumerate() {
            match &entry.form {
                Form::Metric(name) => sight.metrics.push(MetricCells::new(metrics.intern(name))),
                Form::Stream(plan) => {
                    let wakes = plan.wakes() && entry.judged;
                    sight.streams.push(Stream::new(place, wakes, plan));
                }
                Form::Past(of, lag) => sight.lagged.push(Lagged::new(place, *of, *lag)),
                _ => {}
            }
        }
        sight
    }

    /// Whether there are stream calls: state that depends on when it began.
    pub(crate) fn has_streams(&self) -> bool {
        !self.streams.is_empty()
    }

    /// Whether time alone can change a value.
    pub(crate) fn wakes(&self) -> bool {
        self.streams.iter().any(|stream| stream.wakes)
    }

    /// Takes over the state of places that are equal in another table.
    pub(crate) fn inherit(&mut self, table: &SlotTable, old: &Self, old_table: &SlotTable) {
        for cells in &mut self.metrics {
            if let Some(other) = old.metrics.iter().find(|o| o.metric == cells.metric) {
                cells.clone_from(other);
            }
        }
        for past in &mut self.lagged {
            let key = table.places.get(past.place).map(|place| &place.key);
            let same =
                |other: &&Lagged| old_table.places.get(other.place).map(|place| &place.key) == key;
            if let Some(other) = old.lagged.iter().find(same) {
                past.inherit(other);
            }
        }
        for stream in &mut self.streams {
            let key = table.places.get(stream.place).map(|place| &place.key);
            let same =
                |other: &&Stream| old_table.places.get(other.place).map(|place| &place.key) == key;
            if let Some(other) = old.streams.iter().find(same) {
                stream.inherit(other);
            }
        }
    }

    /// Lets a resource begin: metrics take the twin's values up to `limit`. Answers with those beyond it, by place.
    pub(crate) fn seed(&mut self, resource: u32, limit: i64, view: &dyn View) -> Vec<Beyond> {
        let mut beyond = Vec::new();
        for (place, cells) in self.metrics.iter_mut().enumerate() {
            let met = cells.has_met(resource);
            let later = cells.seed(resource, limit, view);
            let known = cells.known(resource).filter(|_| !met);
            if let Some((time, value)) = known {
                let pasts = self.lagged.iter_mut().filter(|past| past.of == place);
                pasts.for_each(|past| past.take(resource, time, value));
            }
            beyond.extend(later.map(|(time, value)| Beyond { place, time, value }));
        }
        beyond
    }

    /// Takes values that come without a row to be judged.
    pub(crate) fn bring(&mut self, resource: u32, time: i64, values: &[Value]) {
        for (cells, value) in self.metrics.iter_mut().zip(values) {
            if !value.is_missing() {
                cells.set(resource, time, value);
            }
        }
        self.keep_lagged(resource, time, values);
    }

    /// Whether it is kept what any metric was.
    pub(crate) fn keeps_past(&self) -> bool {
        self.metrics.iter().any(MetricCells::keeps_past)
    }

    /// Lets go what metrics of a resource were, as far as nobody asks for it any more.
    pub(crate) fn prune(&mut self, resource: u32) {
        for past in self.metrics.iter_mut().filter_map(MetricCells::past) {
            past.prune(resource);
        }
    }

    /// Tells lookbacks that a resource's task begins at a time.
    pub(crate) fn begin(&mut self, resource: u32, time: i64) {
        for stream in &mut self.streams {
            stream.begin(resource, time);
        }
    }

    /// Takes a row: its own values are in `gaze.own`.
    pub(crate) fn take(&mut self, table: &SlotTable, row: &Row, view: &dyn View, gaze: &mut Gaze) {
        for (cells, value) in self.metrics.iter_mut().zip(&gaze.own) {
            if !value.is_missing() {
                cells.set(row.resource, row.time, value);
                if let Some(past) = cells.past() {
                    past.note(row.resource, (row.time, row.time), row.sequence, value);
                }
            }
        }
        self.keep_lagged(row.resource, row.time, &gaze.own);
        if let Some(seen) = &mut self.seen
            && seen.resource == row.resource
            && gaze.judged
        {
            seen.take(&gaze.own);
        }
        if self.streams.is_empty() {
            return;
        }
        self.plain(table, row.resource, row.at, view, &mut gaze.now);
        self.look_back(table, (row.resource, row.time), &mut gaze.now);
        gaze.overlay();
        for stream in &mut self.streams {
            let Some(Form::Stream(plan)) = table.places.get(stream.place).map(|p| &p.form) else {
                continue;
            };
            if let Some(value) = argument(plan, gaze) {
                stream.insert(row, &value);
            }
        }
    }

    /// Values of everything but streams, as of a time.
    fn plain(&self, table: &SlotTable, resource: u32, at: i64, view: &dyn View, now: &mut [Value]) {
        let metrics = self.metrics.iter().zip(&table.places);
        for ((cells, place), value) in metrics.zip(now.iter_mut()) {
            *value = cells.get_aged(resource, at, place.max_age);
        }
        let others = table.places.iter().zip(now).skip(self.metrics.len());
        for (place, value) in others {
            match &place.form {
                Form::Trait(path) => {
                    *value = view
                        .traits(resource)
                        .path(path)
                        .map_or(Value::Missing, Value::Text);
                }
                Form::Resource => *value = Value::Text(Arc::from(view.resource(resource))),
                #[allow(
                    clippy::cast_precision_loss,
                    reason = "times are exact in a float for 285,000 years"
                )]
                Form::Time => *value = Value::Number(at as f64),
                Form::Metric(_) | Form::Bound | Form::Past(..) => {}
                Form::Stream(_) => return,
            }
        }
    }

    /// Fills `now` with the value of every place as of a time.
    pub(crate) fn look(
        &mut self,
        table: &SlotTable,
        resource: u32,
        at: i64,
        view: &dyn View,
        now: &mut [Value],
    ) {
        self.plain(table, resource, at, view, now);
        self.look_back(table, (resource, at), now);
        for stream in &mut self.streams {
            if let Some(value) = now.get_mut(stream.place) {
                *value = stream.value(resource, at);
            }
        }
        if let Some(seen) = &mut self.seen
            && seen.resource == resource
        {
            let streams = self.streams.iter();
            let rows = streams.filter_map(|stream| Some((stream.place, stream.rows(resource)?)));
            seen.look(at, now, rows.collect());
        }
    }

    /// The next time after `after` at which a value changes without a row, [`IDLE`] if none.
    pub(crate) fn next_change(&self, resource: u32, after: i64) -> i64 {
        let waking = self.streams.iter().filter(|stream| stream.wakes);
        waking
            .filter_map(|stream| stream.next_change(resource, after))
            .min()
            .unwrap_or(IDLE)
    }

    /// Rows of a resource that functions skipped because they were older than their last one.
    pub(crate) fn out_of_order(&self, resource: u32) -> u64 {
        let streams = self.streams.iter();
        streams.map(|stream| stream.out_of_order(resource)).sum()
    }

    /// Lets a resource go.
    pub(crate) fn forget(&mut self, resource: u32) {
        for cells in &mut self.metrics {
            cells.forget(resource);
        }
        for stream in &mut self.streams {
            stream.forget(resource);
        }
        for past in &mut self.lagged {
            past.forget(resource);
        }
    }

    /// Place, rows kept and bytes of everything that has state.
    pub(crate) fn parts(&self) -> Vec<(usize, u64, usize)> {
        let metrics = self.metrics.iter().enumerate();
        let metrics = metrics.map(|(place, cells)| (place, 0, cells.bytes()));
        let streams = self.streams.iter();
        let streams = streams.map(|stream| (stream.place, stream.kept(), stream.bytes()));
        let pasts = self.lagged.iter();
        let pasts = pasts.map(|past| (past.place, past.kept(), past.bytes()));
        metrics.chain(pasts).chain(streams).collect()
    }

    /// Rows that are kept.
    pub(crate) fn rows(&self) -> u64 {
        self.streams.iter().map(Stream::kept).sum()
    }

    pub(crate) fn bytes(&self) -> usize {
        let metrics: usize = self.metrics.iter().map(MetricCells::bytes).sum();
        let streams: usize = self.streams.iter().map(Stream::bytes).sum();
        metrics + streams + self.lagged.iter().map(Lagged::bytes).sum::<usize>()
    }

    /// A limit for seeding: in event-time order the twin may already know what this task has not come to.
    pub(crate) const fn limit(in_time_order: bool, water: i64) -> i64 {
        if !in_time_order || water == NEVER {
            i64::MAX
        } else {
            water
        }
    }
}

/// The value of a row with its limits behind it.
fn limited(bound: &Bound, bare: Option<usize>, limits: &[Bound], gaze: &mut Gaze) -> Value {
    let value = match bare {
        Some(place) => gaze.own.get(place).cloned().unwrap_or_default(),
        None => evaluate(bound, &gaze.now, &mut gaze.arguments, &mut gaze.faults),
    };
    if value.is_missing() {
        return value;
    }
    let mut items = Vec::with_capacity(limits.len() + 1);
    items.push(value);
    for limit in limits {
        items.push(evaluate(
            limit,
            &gaze.now,
            &mut gaze.arguments,
            &mut gaze.faults,
        ));
    }
    Value::List(items)
}

/// What a stream call takes of a row, `None` if it does not take it.
fn argument(plan: &StreamPlan, gaze: &mut Gaze) -> Option<Value> {
    if let Some(filter) = &plan.filter
        && evaluate(filter, &gaze.now, &mut gaze.arguments, &mut gaze.faults) != Value::Bool(true)
    {
        return None;
    }
    if plan.call.nulls && !gaze.judged {
        return None;
    }
    let carries = |place: &usize| gaze.own.get(*place).is_some_and(|v| !v.is_missing());
    let value = match (&plan.argument, plan.bare) {
        (None, _) => {
            let counts = gaze.judged || plan.every_row();
            return counts.then_some(Value::Bool(true));
        }
        (Some(bound), _) if plan.is_condition() => {
            if !plan.metrics.is_empty() && !plan.metrics.iter().any(carries) {
                return None;
            }
            let truth = evaluate(bound, &gaze.now, &mut gaze.arguments, &mut gaze.faults);
            // What is no truth at all is not true.
            let counts = matches!(
                plan.call.function,
                StreamFunction::CountIf | StreamFunction::Duration
            );
            if !counts || matches!(truth, Value::Bool(_) | Value::Missing) {
                return Some(truth);
            }
            Value::Bool(false)
        }
        (Some(bound), bare) if !plan.limits.is_empty() => {
            if !plan.metrics.iter().all(carries) {
                return None;
            }
            limited(bound, bare, &plan.limits, gaze)
        }
        (Some(_), Some(place)) => gaze.own.get(place).cloned().unwrap_or_default(),
        (Some(bound), None) => {
            if !plan.call.nulls && !plan.metrics.iter().all(carries) {
                return None;
            }
            let value = evaluate(bound, &gaze.now, &mut gaze.arguments, &mut gaze.faults);
            match &plan.second {
                Some(second) => {
                    let second = evaluate(second, &gaze.now, &mut gaze.arguments, &mut gaze.faults);
                    paired(value, second)
                }
                None => value,
            }
        }
    };
    let value = if plan.call.nulls {
        Value::List(vec![value])
    } else {
        value
    };
    let takes = plan.call.nulls || plan.call.function == StreamFunction::Silent;
    (takes || !value.is_missing()).then_some(value)
}

/// Two values of a row as one, unless one of them is missing.
pub(crate) fn paired(left: Value, right: Value) -> Value {
    if left.is_missing() || right.is_missing() {
        Value::Missing
    } else {
        Value::List(vec![left, right])
    }
}
