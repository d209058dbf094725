//! `where`: which rows a rule sees. It is judged with the latest values of all rows, also of those that it rejects.

use tidegate_proto::{Trigger, Value};
use tidegate_scripts::{Column, Evaluated};

use super::View;
use super::cells::Cursor;
use super::group::Push;
use super::judge::{columns_of, oddity};
use super::members::Members;
use super::sight::{Gaze, Row, Sight, evaluate};
use super::steps::{Blame, Cause};
use crate::plan::FilterPlan;

/// Which rows of a push pass, by their place among the rows.
pub(crate) fn mask(
    plan: &FilterPlan,
    sight: &mut Sight,
    members: &Members,
    push: &Push<'_>,
    gaze: &mut Gaze,
    blames: &mut Vec<Blame>,
) -> Vec<bool> {
    let mut cursors = push.cursors(sight);
    let mut rows = Vec::new();
    for (index, number) in push.each() {
        let Some(tick) = push.ticks.get(index).filter(|t| members.has(t.resource)) else {
            continue;
        };
        read(&mut cursors, number, gaze);
        let row = Row {
            resource: tick.resource,
            time: push.batch.time.get(number).copied().unwrap_or_default(),
            sequence: push.sequence + index as u64,
            at: tick.latest,
        };
        see(plan, sight, &row, (i64::MAX, push.view), gaze);
        gaze.point();
        rows.push((index, row));
    }
    let columns = gaze.columns();
    let asked = columns_of(&plan.bound, &columns);
    let result = plan.bound.formula.evaluate(&asked, rows.len());
    let mut mask = vec![false; push.ticks.len()];
    for (place, (index, _)) in rows.iter().enumerate() {
        if let Some(pass) = mask.get_mut(*index) {
            *pass = result.column.is_true(place);
        }
    }
    for (place, error) in faults(&result, rows.len()) {
        if let Some((index, row)) = rows.get(place as usize) {
            let number = push.rows.start + index;
            blames.push(Blame {
                resource: row.resource,
                time: row.time,
                cause: Cause::Row(u32::try_from(number).unwrap_or(u32::MAX)),
                trigger: push.trigger(number),
                message: error,
            });
        }
    }
    mask
}

/// What went wrong, by row: formulas that failed, and what is no truth.
fn faults(result: &Evaluated, rows: usize) -> Vec<(u32, String)> {
    let errors = result.errors.iter();
    let mut faults: Vec<_> = errors.map(|(row, e)| (*row, e.to_string())).collect();
    let failed = faults.len();
    let rows = 0..u32::try_from(rows).unwrap_or(u32::MAX);
    if !matches!(result.column, Column::Bool(_)) {
        faults.extend(rows.filter_map(|row| Some((row, oddity(&result.column, row)?))));
    }
    if faults.len() > failed {
        faults.sort_by_key(|fault| fault.0);
    }
    faults
}

/// Which rows pass that carry all that is asked: each is a point of the gaze, in this order.
pub(crate) fn passing(
    plan: &FilterPlan,
    rows: &[(u32, Row)],
    push: &Push<'_>,
    gaze: &mut Gaze,
    blames: &mut Vec<Blame>,
) -> Vec<bool> {
    let columns = gaze.columns();
    let asked = columns_of(&plan.bound, &columns);
    let result = plan.bound.formula.evaluate(&asked, rows.len());
    for (place, error) in faults(&result, rows.len()) {
        if let Some((number, row)) = rows.get(place as usize) {
            blames.push(Blame {
                resource: row.resource,
                time: row.time,
                cause: Cause::Row(*number),
                trigger: push.trigger(*number as usize),
                message: error,
            });
        }
    }
    let rows = 0..rows.len();
    rows.map(|place| result.column.is_true(place)).collect()
}

/// Whether one row passes whose own values are in `gaze.own`.
pub(crate) fn passes(
    plan: &FilterPlan,
    sight: &mut Sight,
    row: &Row,
    (trigger, view): (Trigger, &dyn View),
    gaze: &mut Gaze,
    blames: &mut Vec<Blame>,
) -> bool {
    see(plan, sight, row, (row.time, view), gaze);
    let mut values = Vec::new();
    let mut faults = Vec::new();
    let said = evaluate(&plan.bound, &gaze.now, &mut values, &mut faults);
    let passes = said == Value::Bool(true);
    let column = Column::from_values(vec![said]);
    faults.extend(oddity(&column, 0));
    blames.extend(faults.into_iter().map(|message| Blame {
        resource: row.resource,
        time: row.time,
        cause: Cause::None,
        trigger,
        message,
    }));
    passes
}

/// Whether a row would pass that is too late to be taken: its own values are in `gaze.own`, others as of its time.
pub(crate) fn admits(
    plan: &FilterPlan,
    sight: &mut Sight,
    (resource, time): (u32, i64),
    view: &dyn View,
    gaze: &mut Gaze,
) -> bool {
    sight.look(&plan.table, resource, time, view, &mut gaze.now);
    gaze.overlay();
    let mut faults = Vec::new();
    evaluate(&plan.bound, &gaze.now, &mut Vec::new(), &mut faults) == Value::Bool(true)
}

fn read(cursors: &mut [Cursor<'_>], number: usize, gaze: &mut Gaze) {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    for (cursor, own) in cursors.iter_mut().zip(&mut gaze.own) {
        *own = cursor.value(number);
    }
}

fn see(
    plan: &FilterPlan,
    sight: &mut Sight,
    row: &Row,
    (limit, view): (i64, &dyn View),
    gaze: &mut Gaze,
) {
    sight.seed(row.resource, limit, view);
    sight.take(&plan.table, row, view, gaze);
    sight.look(&plan.table, row.resource, row.time, view, &mut gaze.now);
    gaze.overlay();
}
