//! Judging: formulas over the columns of a group's points, then the machines of every rule step by step.

use std::sync::Arc;

use tidegate_proto::{EventBatch, EventRef, Outcome, OutcomeKind, Value};
use tidegate_scripts::{Column, ScriptError};

use super::excess::Limit;
use super::group::{Group, Scratch};
use super::steps::{Cause, NO_POINT, Step};
use super::unit::{Tale, Unit, line};
use crate::condition::{Borders, Judgement, Kept, Presence, Told};
use crate::plan::condition::ConditionPlan;
use crate::plan::slots::Bound;
use crate::timer::IDLE;
use crate::watermark::cell;

/// The columns that a formula asks for, out of those of its table.
pub(crate) fn columns_of(bound: &Bound, columns: &[Column]) -> Vec<Column> {
    let places = bound.places.iter();
    let column = |place: &usize| columns.get(*place).cloned();
    places
        .map(|place| column(place).unwrap_or_else(|| Column::missing(0)))
        .collect()
}

/// Truth of a row: `None` for `()` and for everything that is no condition.
pub(crate) fn truth(column: &Column, row: u32) -> Option<bool> {
    use arrow_array::Array;
    let row = row as usize;
    match column {
        Column::Bool(array) => (row < array.len() && array.is_valid(row)).then(|| array.value(row)),
        Column::Mixed(values) => match values.get(row) {
            Some(Value::Bool(truth)) => Some(*truth),
            _ => None,
        },
        _ => None,
    }
}

/// What a condition says that is neither true, false nor unknown.
pub(crate) fn oddity(column: &Column, row: u32) -> Option<String> {
    if matches!(column, Column::Bool(_)) {
        return None;
    }
    let what = match column.value(row as usize) {
        Value::Missing | Value::Bool(_) => return None,
        Value::Int(_) | Value::Number(_) => "a number",
        Value::Text(_) => "a text",
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
    };
    Some(format!(
        "a condition is true or false, this is {what} (compare it, as in `x > 3.0`)"
    ))
}

/// What all rules of a group look at while they are judged.
pub(crate) struct Scene<'a> {
    pub(crate) batch: Option<&'a EventBatch>,
    pub(crate) columns: &'a [Column],
    pub(crate) steps: &'a [Step],
    pub(crate) causes: &'a [EventRef],
    pub(crate) points: usize,
}

impl Scene<'_> {
    pub(crate) fn cause(&self, cause: Cause) -> Option<EventRef> {
        match cause {
            Cause::Row(row) => self.batch.map(|batch| batch.event_ref(row as usize)),
            Cause::Kept(kept) => self.causes.get(kept as usize).cloned(),
            Cause::None => None,
        }
    }

    fn value(&self, place: usize, point: u32) -> Value {
        let column = self.columns.get(place);
        column.map_or(Value::Missing, |column| column.value(point as usize))
    }

    pub(crate) fn values(&self, point: u32) -> Vec<Value> {
        let columns = self.columns.iter();
        columns.map(|column| column.value(point as usize)).collect()
    }

    /// A line about a point.
    pub(crate) fn tell(
        &self,
        unit: &mut Unit,
        step: &Step,
        (kind, time): (OutcomeKind, i64),
        out: &mut Vec<Outcome>,
    ) {
        let tale = Tale {
            kind,
            resource: step.resource,
            time,
            cause: self.cause(step.cause),
            trigger: step.trigger,
        };
        let said = unit.told(&tale, None, &|place| self.value(place, step.point));
        unit.say(said, out);
    }
}

impl Group {
    /// Judges the steps at hand for every rule.
    pub(crate) fn judge(
        &mut self,
        batch: Option<&EventBatch>,
        scratch: &mut Scratch,
        out: &mut Vec<Outcome>,
    ) {
        self.tell_late(batch, scratch, out);
        self.tell_blames(batch, scratch, out);
        if scratch.steps.is_empty() {
            return;
        }
        let columns = scratch.gaze.columns();
        let scene = Scene {
            batch,
            columns: &columns,
            steps: &scratch.steps,
            causes: &scratch.causes,
            points: scratch.gaze.points as usize,
        };
        if let Some(seen) = &mut self.state.sight.seen {
            seen.judged(&scene);
        }
        self.judge_tables(&scene, &mut scratch.told, out);
        for number in &self.singles {
            if let Some(unit) = self.units.get_mut(*number).and_then(Option::as_mut) {
                self.at_work = Some(*number);
                let state = (&mut self.state.deadline, &mut scratch.judging);
                unit.judge(&scene, self.borders.as_ref(), state, out);
            }
        }
        self.at_work = None;
    }

    fn tell_blames(
        &mut self,
        batch: Option<&EventBatch>,
        scratch: &Scratch,
        out: &mut Vec<Outcome>,
    ) {
        for blame in &scratch.blames {
            let tale = Tale {
                kind: OutcomeKind::Error,
                resource: blame.resource,
                time: blame.time,
                cause: match blame.cause {
                    Cause::Row(row) => batch.map(|batch| batch.event_ref(row as usize)),
                    Cause::Kept(kept) => scratch.causes.get(kept as usize).cloned(),
                    Cause::None => None,
                },
                trigger: blame.trigger,
            };
            for unit in self.units.iter_mut().flatten() {
                out.extend(unit.fail(&tale, &blame.message));
            }
        }
    }

    fn tell_late(&mut self, batch: Option<&EventBatch>, scratch: &Scratch, out: &mut Vec<Outcome>) {
        for late in &scratch.late {
            for unit in self.units.iter_mut().flatten() {
                unit.count(late.resource, |counters| {
                    if late.forced {
                        counters.forced += 1;
                    } else {
                        counters.late += 1;
                    }
                });
                let tale = Tale {
                    kind: OutcomeKind::Late,
                    resource: late.resource,
                    time: late.time,
                    cause: batch.map(|batch| batch.event_ref(late.row as usize)),
                    trigger: late.trigger,
                };
                if late.forced {
                    let (name, excesses) = (&unit.plan.name, &mut unit.state.excesses);
                    excesses.tell(name, Limit::WaitingRows, tale, out);
                    continue;
                }
                out.push(line(&unit.plan.name, &tale, Vec::new()));
            }
        }
    }
}

/// Errors of an evaluation, read in step order.
struct Errors<'a> {
    list: &'a [(u32, ScriptError)],
}

impl Errors<'_> {
    fn at(&self, point: u32) -> Option<&ScriptError> {
        let found = self
            .list
            .binary_search_by_key(&point, |(row, _)| *row)
            .ok()?;
        self.list.get(found).map(|(_, error)| error)
    }
}

/// Answers of a level's formulas at the points.
struct Answers {
    when: Column,
    clear: Option<Column>,
}

impl Answers {
    fn oddity(&self, point: u32) -> Option<String> {
        let mut columns = std::iter::once(&self.when).chain(&self.clear);
        columns.find_map(|column| oddity(column, point))
    }
}

/// Vectors used again by every unit.
#[derive(Debug, Default)]
pub(crate) struct Judging {
    truths: Vec<(Option<bool>, Option<bool>)>,
    told: Vec<Told>,
}

impl Unit {
    fn judge(
        &mut self,
        scene: &Scene<'_>,
        borders: Option<&Borders>,
        (deadline, judging): (&mut Vec<i64>, &mut Judging),
        out: &mut Vec<Outcome>,
    ) {
        let condition = Arc::clone(&self.condition);
        let waits = condition.rules.waits();
        let (levels, errors) = answers(&condition, scene);
        let errors = Errors { list: &errors };
        for step in scene.steps {
            if waits {
                self.wake(step, deadline, &mut judging.told, out);
            }
            if step.point == NO_POINT {
                continue;
            }
            let failed = errors.at(step.point);
            if let Some(error) = failed {
                self.error(scene, step, &error.to_string(), out);
            }
            let odd = levels.iter().find_map(|level| level.oddity(step.point));
            let odd = odd.filter(|_| failed.is_none());
            if let Some(odd) = &odd {
                self.error(scene, step, odd, out);
            }
            let failed = failed.is_some() || odd.is_some();
            judging.truths.clear();
            let of = |level: &Answers| {
                let clear = level.clear.as_ref();
                (
                    truth(&level.when, step.point),
                    clear.and_then(|clear| truth(clear, step.point)),
                )
            };
            judging.truths.extend(levels.iter().map(of));
            let presence = borders.map_or(Presence::Active, |borders| borders.presence(step.at));
            let unknown = judging.truths.iter().any(|(when, _)| when.is_none());
            if unknown && !failed && presence == Presence::Active {
                self.count(step.resource, |counters| counters.unknown += 1);
            }
            self.step(scene, step, (judging, presence), out);
            let known = |truths: &(_, _)| *truths != (None, None);
            if waits && (borders.is_some() || judging.truths.iter().any(known)) {
                self.wait(scene, step, deadline);
                self.wake(step, deadline, &mut judging.told, out);
            }
        }
    }

    fn step(
        &mut self,
        scene: &Scene<'_>,
        step: &Step,
        (judging, presence): (&mut Judging, Presence),
        out: &mut Vec<Outcome>,
    ) {
        let condition = Arc::clone(&self.condition);
        let judgement = Judgement {
            time: step.at,
            truths: &judging.truths,
            presence,
            row: &|| scene.cause(step.cause),
        };
        let task = self.task(step.resource);
        task.judge(&condition.rules, &judgement, &mut judging.told);
        let value = |place: usize| scene.value(place, step.point);
        let who = (step.resource, step.trigger);
        for told in judging.told.drain(..) {
            self.report(who, told, &value, out);
        }
    }

    fn error(&mut self, scene: &Scene<'_>, step: &Step, message: &str, out: &mut Vec<Outcome>) {
        let tale = Tale {
            kind: OutcomeKind::Error,
            resource: step.resource,
            time: step.at,
            cause: scene.cause(step.cause),
            trigger: step.trigger,
        };
        out.extend(self.fail(&tale, message));
    }

    /// After a row: what a running wait will tell, and when.
    fn wait(&mut self, scene: &Scene<'_>, step: &Step, deadline: &mut Vec<i64>) {
        let condition = Arc::clone(&self.condition);
        let task = self.task(step.resource);
        let due = task.due(&condition.rules);
        if due == IDLE {
            task.kept = None;
            return;
        }
        let values = scene.values(step.point);
        match &mut task.kept {
            Some(kept) => kept.values = values,
            None => task.kept = Some(Box::new(Kept { values })),
        }
        let earliest = cell(deadline, step.resource, IDLE);
        *earliest = (*earliest).min(due);
    }

    /// Runs the timers of a task that the step's time has reached.
    fn wake(
        &mut self,
        step: &Step,
        deadline: &mut [i64],
        told: &mut Vec<Told>,
        out: &mut Vec<Outcome>,
    ) {
        let earliest = deadline.get(step.resource as usize);
        if earliest.is_none_or(|earliest| *earliest > step.bound) {
            return;
        }
        let condition = Arc::clone(&self.condition);
        let task = self.task(step.resource);
        task.wake(&condition.rules, step.bound, told);
        if told.is_empty() {
            return;
        }
        let kept = task.known(&condition.rules);
        let value = |place: usize| kept.values.get(place).cloned().unwrap_or_default();
        for told in told.drain(..) {
            self.report((step.resource, step.trigger), told, &value, out);
        }
    }
}

/// Evaluates the formulas of all levels; errors by point, each once.
fn answers(
    condition: &ConditionPlan,
    scene: &Scene<'_>,
) -> (Vec<Answers>, Vec<(u32, ScriptError)>) {
    let mut errors = Vec::new();
    let mut of = |bound: &Bound| {
        let columns = columns_of(bound, scene.columns);
        let evaluated = bound.formula.evaluate(&columns, scene.points);
        errors.extend(evaluated.errors);
        evaluated.column
    };
    let levels = condition.levels.iter();
    let levels = levels
        .map(|level| Answers {
            when: of(&level.when),
            clear: level.clear.as_ref().map(&mut of),
        })
        .collect();
    errors.sort_by_key(|(row, _)| *row);
    errors.dedup_by_key(|(row, _)| *row);
    (levels, errors)
}
