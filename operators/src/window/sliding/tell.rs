//! What sliding windows say when they close, and when a late row corrects them.

use smallvec::SmallVec;

use super::super::{WindowOutput, WindowRow, tell};
use super::{AggregateKind, Inside, RowOrder, Shape, SlidingKey};
use tidegate_proto::Value;

impl SlidingKey {
    /// Closes the windows at a time and tells them.
    pub(super) fn close(
        &mut self,
        time: i64,
        shape: Shape,
        keep: bool,
        to: (u32, &mut WindowOutput),
    ) {
        let (key, out) = to;
        let rows = self.rows.iter().skip(self.rows_before(time));
        let rows = rows.map(|row| shape.last(row.key.order()));
        let mut windows: SmallVec<[RowOrder; 2]> =
            rows.take_while(|last| last.time == time).collect();
        windows.dedup();
        for last in windows {
            self.run_to(last, shape.reach, keep);
            self.waiting = self.waiting.saturating_sub(1);
            let values = self.inside.values(time, shape.size);
            if keep {
                // Windows close in their order: this one was never told.
                tell(&mut self.told, shape.mark(last), &values);
            }
            let inside = (self.left, self.entered);
            out.rows
                .push(self.row_of(key, (shape, last), (1, values), inside));
        }
        self.closed_to = time.saturating_add(1);
    }

    /// Tells what changed in the closed windows of `range`.
    pub(super) fn sweep(
        &mut self,
        aggregates: &[AggregateKind],
        shape: Shape,
        range: (i64, i64),
        to: (u32, &mut WindowOutput),
    ) {
        let (key, out) = to;
        let mut inside = Inside::new(aggregates, &self.older);
        let (mut left, mut entered) = (0, 0);
        let mut next = self.rows_before(range.0);
        while let Some(row) = self.rows.get(next).map(|row| row.key.order()) {
            if row.time >= range.1 {
                return;
            }
            let last = shape.last(row);
            while let Some(row) = self.rows.get(entered).filter(|row| row.key.order() <= last) {
                inside.enter(row);
                entered += 1;
            }
            let gone = last.time.saturating_sub(shape.reach);
            while let Some(row) = self.rows.get(left).filter(|row| row.key.time <= gone) {
                inside.leave(row);
                left += 1;
            }
            next = entered;
            let values = inside.values(last.time, shape.size);
            if let Some(revision) = tell(&mut self.told, shape.mark(last), &values) {
                let told = (revision, values);
                out.rows
                    .push(self.row_of(key, (shape, last), told, (left, entered)));
            }
        }
    }

    /// The row of a window. `told` is revision and values, `rows` the first row inside and the first behind.
    fn row_of(
        &self,
        key: u32,
        (shape, last): (Shape, RowOrder),
        told: (u32, Vec<Value>),
        rows: (usize, usize),
    ) -> WindowRow {
        let event = |index: usize| self.rows.get(index).map(|row| row.key.event.clone());
        WindowRow {
            key,
            start: last.time.saturating_sub(shape.size),
            end: last.time,
            was: last.time,
            revision: told.0,
            values: told.1,
            first: event(rows.0).unwrap_or_default(),
            last: event(rows.1.saturating_sub(1)).unwrap_or_default(),
            rows: rows.1.saturating_sub(rows.0) as u64,
            of_row: shape.mark(last).1,
            trigger: 0,
        }
    }
}
