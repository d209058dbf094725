//! What a join's formulas ask of its rows, and which task a key is.

use std::sync::Arc;

use smallvec::SmallVec;
use tidegate_proto::{EventRef, Outcome, Value};

use crate::join::{JoinKey, JoinRow, Pair};
use crate::pipeline::View;
use crate::plan::join::{JoinSource, RowField};

/// Bounds of the window that a line is of.
#[allow(
    clippy::cast_possible_truncation,
    reason = "times are whole numbers of milliseconds, exact in a float for 285,000 years"
)]
pub(super) fn window((start, end): (usize, usize), row: &JoinRow) -> Option<(i64, i64)> {
    let bound = |place: usize| row.values.get(place)?.as_number().map(|at| at as i64);
    Some((bound(start)?, bound(end)?))
}

pub(super) fn causes(pair: &Pair) -> SmallVec<[EventRef; 2]> {
    let rows = [&pair.left, &pair.right].into_iter().flatten();
    let mut causes: SmallVec<[EventRef; 2]> = rows.map(|row| row.event.clone()).collect();
    causes.dedup();
    causes
}

/// Resource and group of a key's task.
pub(super) fn task(key: &JoinKey) -> (u32, Arc<str>) {
    match key {
        JoinKey::Resource(resource) => (*resource, Arc::from("")),
        JoinKey::Values(_, text) | JoinKey::Nothing(_, text) => {
            (Outcome::NOWHERE, Arc::clone(text))
        }
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "times are exact in a float for 285,000 years"
)]
pub(super) fn time(at: i64) -> Value {
    Value::Number(at as f64)
}

fn field(field: RowField, row: &JoinRow, view: &dyn View) -> Value {
    match field {
        RowField::Metric(place) => row.values.get(place).cloned().unwrap_or_default(),
        RowField::Time => time(row.time),
        RowField::Resource => Value::text(view.resource(row.resource)),
        RowField::Id => row.event.id.clone().map_or(Value::Missing, Value::Text),
    }
}

pub(super) fn of_row(source: &JoinSource, row: &JoinRow, view: &dyn View) -> Value {
    match source {
        JoinSource::Row(_, asked) => field(*asked, row, view),
        JoinSource::Column(_) => Value::Missing,
    }
}

pub(super) fn of_pair(
    source: &JoinSource,
    pair: &Pair,
    columns: &[Value],
    view: &dyn View,
) -> Value {
    match source {
        JoinSource::Row(left, asked) => {
            let row = if *left { &pair.left } else { &pair.right };
            row.as_ref()
                .map_or(Value::Missing, |row| field(*asked, row, view))
        }
        JoinSource::Column(column) => columns.get(*column).cloned().unwrap_or_default(),
    }
}
