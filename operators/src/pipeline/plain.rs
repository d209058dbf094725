//! Rules that compare a bare metric with constants, the most frequent ones by far: numbers go from the batch's column to
//! the tables. Only rows that something is told of become points.

use tidegate_proto::{MetricColumn, Order, Outcome, OutcomeKind, Value};

use super::group::{Group, Push, Scratch};
use super::judge::Scene;
use super::steps::{Cause, Step};

/// What the rows of a push are to a plain group.
#[derive(Debug, Default)]
pub(crate) struct Plain {
    /// Place among the rows of the push, resource, latest number; NaN: the latest value is none.
    rows: Vec<(u32, u32, f64)>,
    /// Latest values that are no numbers, by place among the rows of the push.
    odd: Vec<(u32, Value)>,
    events: Vec<Event>,
    told: Vec<(u32, bool)>,
}

fn odd(odd: &[(u32, Value)], row: u32) -> Value {
    let found = odd.binary_search_by_key(&row, |(row, _)| *row);
    let found = found.ok().and_then(|place| odd.get(place));
    found.map(|(_, value)| value.clone()).unwrap_or_default()
}

/// Something to tell of a row.
#[derive(Clone, Copy, Debug)]
struct Event {
    table: usize,
    row: u32,
    /// Rule and truth; `None`: the value cannot be compared.
    told: Option<(u32, bool)>,
}

impl Group {
    /// The column of numbers that is all this group looks at in this push, if it is.
    pub(crate) fn plain_column<'a>(
        &self,
        push: &Push<'a>,
        timed: bool,
    ) -> Option<&'a MetricColumn> {
        let plain = !timed
            && self.singles.is_empty()
            && self.filter.is_none()
            && self.order == Order::Arrival
            && !self.condition.every_row
            && !self.state.sight.has_streams()
            && self.state.sight.seen.is_none();
        let [place] = self.condition.table.places.as_slice() else {
            return None;
        };
        let [cells] = self.state.sight.metrics.as_slice() else {
            return None;
        };
        let bare = |number| {
            self.threshold(number)
                .is_none_or(|threshold| threshold.value.bare == Some(0))
        };
        if !plain || !place.judged || !(0..self.state.tables.len()).all(bare) {
            return None;
        }
        let column = push.columns.get(cells.metric as usize).copied().flatten()?;
        let column = push.batch.metrics.get(column as usize)?;
        column.is_numeric().then_some(column)
    }

    /// Judges the rows of a push that carry the metric.
    pub(crate) fn push_plain(
        &mut self,
        push: &Push<'_>,
        column: &MetricColumn,
        scratch: &mut Scratch,
        out: &mut Vec<Outcome>,
    ) {
        self.take_plain(push, column, &mut scratch.plain);
        scratch.plain.events.clear();
        for number in 0..self.state.tables.len() {
            self.cross_plain(number, &mut scratch.plain);
        }
        if !scratch.plain.events.is_empty() {
            self.tell_plain(push, scratch, out);
        }
    }

    /// Takes the numbers as latest values, and reads what the latest then is: an old row does not change it.
    fn take_plain(&mut self, push: &Push<'_>, column: &MetricColumn, plain: &mut Plain) {
        plain.rows.clear();
        plain.odd.clear();
        let members = &self.state.members;
        let Some(cells) = self.state.sight.metrics.first_mut() else {
            return;
        };
        let from = push.rows.start;
        let mut at = column.rows.partition_point(|row| (*row as usize) < from);
        for (index, row) in push.each() {
            while column
                .rows
                .get(at)
                .is_some_and(|carried| (*carried as usize) < row)
            {
                at += 1;
            }
            let carried = column.rows.get(at).zip(column.numbers.get(at));
            let Some((_, number)) = carried.filter(|(carried, _)| **carried as usize == row) else {
                continue;
            };
            let Some(tick) = push.ticks.get(index) else {
                break;
            };
            if number.is_nan() || !members.has(tick.resource) {
                continue;
            }
            let time = push.batch.time.get(row).copied().unwrap_or_default();
            let value = cells.take(tick.resource, time, *number, push.view);
            let index = index as u32;
            if value.is_nan() {
                plain.odd.push((index, cells.get(tick.resource)));
            }
            plain.rows.push((index, tick.resource, value));
        }
    }

    /// Judges the rows for the rules of one table.
    fn cross_plain(&mut self, number: usize, plain: &mut Plain) {
        if self.threshold(number).is_none() {
            return;
        }
        let Some(table) = self.state.tables.get_mut(number) else {
            return;
        };
        for (row, resource, value) in &plain.rows {
            let value = if value.is_nan() {
                match odd(&plain.odd, *row) {
                    Value::Missing => {
                        *table.unknown.entry(*resource).or_default() += 1;
                        continue;
                    }
                    Value::Int(whole) => Value::Int(whole).as_number(),
                    _ => None,
                }
            } else {
                Some(*value)
            };
            plain.told.clear();
            let event = |told| Event {
                table: number,
                row: *row,
                told,
            };
            match value {
                Some(value) => table.judge(*resource, value, &mut plain.told),
                None => plain.events.push(event(None)),
            }
            let told = plain.told.iter().copied();
            plain.events.extend(told.map(|told| event(Some(told))));
        }
    }

    /// Makes points of the rows that something is told of, and tells it.
    fn tell_plain(&mut self, push: &Push<'_>, scratch: &mut Scratch, out: &mut Vec<Outcome>) {
        scratch.gaze.open(&self.condition.table, 1);
        let mut steps: Vec<Step> = Vec::new();
        for event in &scratch.plain.events {
            let place = scratch
                .plain
                .rows
                .binary_search_by_key(&event.row, |row| row.0);
            let known = place.ok().and_then(|place| scratch.plain.rows.get(place));
            let (Some((_, resource, value)), Some(tick)) =
                (known, push.ticks.get(event.row as usize))
            else {
                continue;
            };
            let row = push.rows.start + event.row as usize;
            if let Some(now) = scratch.gaze.now.first_mut() {
                *now = if value.is_nan() {
                    odd(&scratch.plain.odd, event.row)
                } else {
                    Value::Number(*value)
                };
            }
            steps.push(Step {
                resource: *resource,
                at: tick.latest,
                bound: push
                    .water
                    .get(event.row as usize)
                    .copied()
                    .unwrap_or_default(),
                point: scratch.gaze.point(),
                cause: Cause::Row(row as u32),
                trigger: push.trigger(row),
            });
        }
        let columns = scratch.gaze.columns();
        let scene = Scene {
            batch: Some(push.batch),
            columns: &columns,
            steps: &steps,
            causes: &[],
            points: steps.len(),
        };
        for (event, step) in scratch.plain.events.iter().zip(&steps) {
            match event.told {
                Some((unit, raised)) => self.tell_crossed(&scene, step, (unit, raised), out),
                None => self.fail_table(event.table, &scene, step, out),
            }
        }
        self.at_work = None;
    }

    /// A rule of a table whose truth has changed says so.
    pub(crate) fn tell_crossed(
        &mut self,
        scene: &Scene<'_>,
        step: &Step,
        (unit, raised): (u32, bool),
        out: &mut Vec<Outcome>,
    ) {
        self.at_work = Some(unit as usize);
        let Some(unit) = self.units.get_mut(unit as usize).and_then(Option::as_mut) else {
            return;
        };
        let kind = if raised {
            OutcomeKind::Raised
        } else {
            OutcomeKind::Cleared
        };
        scene.tell(unit, step, (kind, step.at), out);
    }
}
