//! Aggregates of a window that also look at rows before it: a bare metric, and values weighed by time.

use tidegate_proto::Value;

use super::super::panes::KeyPanes;
use crate::aggregate::{Accumulator, AggregateKind, Column, Ends, Frame};

/// The value of such an aggregate in the window `[start, end)`; `older` is its last value in panes that are gone.
pub(super) fn value(
    column: &Column,
    state: &KeyPanes,
    (start, end): (i64, i64),
    older: Option<&Ends>,
) -> Value {
    let last = |before: i64| {
        let mut panes = state.between(i64::MIN, before).iter().rev();
        let known = panes.find_map(|pane| column.last(pane.slot));
        known.or_else(|| older.map(Ends::value)).unwrap_or_default()
    };
    let kind = column.kind();
    if kind == AggregateKind::Latest {
        return last(end);
    }
    let mut merged = Accumulator::new(kind);
    for pane in state.between(start, end) {
        column.merge_into(pane.slot, &mut merged);
    }
    let carried = last(start).as_number();
    merged.result_in(
        kind,
        &Frame {
            start,
            end,
            carried,
        },
    )
}
