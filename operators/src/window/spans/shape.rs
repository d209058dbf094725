//! [`SpanShape`]: which windows and panes a time is in.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tidegate_proto::{Calendar, WindowForm, Zone};

use super::super::shape::Shape;

/// Windows that lie fixed in time, and the panes that they are made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::window) struct SpanShape {
    form: Form,
    /// Panes are cut at multiples of this, too: width and offset.
    cut: Option<(i64, i64)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Form {
    Hop(Shape),
    Cumulate { size: i64, step: i64, offset: i64 },
    Calendar(Calendar, Zone),
}

type Windows = SmallVec<[(i64, i64); 4]>;

fn floor(time: i64, step: i64, offset: i64) -> i64 {
    time.saturating_sub(time.wrapping_sub(offset).rem_euclid(step))
}

impl SpanShape {
    /// The windows of a form; `None` for forms that do not lie fixed in time.
    pub(in crate::window) fn new(
        form: WindowForm,
        zone: Option<&Zone>,
        cut: Option<(i64, i64)>,
    ) -> Option<Self> {
        let form = match form {
            WindowForm::Tumbling { size, offset } => Form::Hop(Shape::new(size.0, size.0, offset)),
            WindowForm::Hopping {
                size,
                every,
                offset,
            } => Form::Hop(Shape::new(size.0, every.0, offset)),
            WindowForm::Cumulate { size, step, offset } => Form::Cumulate {
                size: size.0.max(1),
                step: step.0.max(1),
                offset,
            },
            WindowForm::Calendar(calendar) => {
                Form::Calendar(calendar, zone.cloned().unwrap_or_else(Zone::utc))
            }
            _ => return None,
        };
        Some(Self { form, cut })
    }

    /// The windows of a time, by end.
    pub(super) fn windows(&self, time: i64) -> Windows {
        match &self.form {
            Form::Hop(shape) => {
                let (first, last) = shape.starts(time);
                let mut start = first;
                let mut windows = Windows::new();
                while start <= last {
                    windows.push((start, shape.end(start)));
                    start = start.saturating_add(shape.every);
                }
                windows
            }
            Form::Cumulate { size, step, offset } => {
                let start = floor(time, *size, *offset);
                let mut end = floor(time, *step, *offset).saturating_add(*step);
                let mut windows = Windows::new();
                while end <= start.saturating_add(*size) {
                    windows.push((start, end));
                    end = end.saturating_add(*step);
                }
                windows
            }
            Form::Calendar(calendar, zone) => Windows::from_iter([calendar.window(zone, time)]),
        }
    }

    /// The pane of a time.
    pub(super) fn pane(&self, time: i64) -> (i64, i64) {
        let (start, end) = match &self.form {
            Form::Hop(shape) => {
                let start = shape.floor(time, shape.width);
                (start, start.saturating_add(shape.width))
            }
            Form::Cumulate { step, offset, .. } => {
                let start = floor(time, *step, *offset);
                (start, start.saturating_add(*step))
            }
            Form::Calendar(calendar, zone) => calendar.window(zone, time),
        };
        match self.cut {
            Some((every, offset)) => {
                let cut = floor(time, every, offset);
                (start.max(cut), end.min(cut.saturating_add(every)))
            }
            None => (start, end),
        }
    }

    /// The first window of a pane that ends after a time.
    pub(super) fn after(&self, pane: (i64, i64), after: i64) -> Option<(i64, i64)> {
        match &self.form {
            Form::Hop(shape) => {
                let (first, last) = shape.starts(pane.0);
                let open = shape.start_after(after.saturating_sub(shape.size));
                let start = first.max(open);
                (start <= last).then(|| (start, shape.end(start)))
            }
            Form::Cumulate { size, step, offset } => {
                let start = floor(pane.0, *size, *offset);
                let least = after.max(pane.0);
                let end = floor(least, *step, *offset).saturating_add(*step);
                (end <= start.saturating_add(*size)).then_some((start, end))
            }
            Form::Calendar(calendar, zone) => {
                Some(calendar.window(zone, pane.0)).filter(|window| window.1 > after)
            }
        }
    }

    /// The first of all windows that ends after a time.
    pub(super) fn following(&self, after: i64) -> Option<(i64, i64)> {
        match &self.form {
            Form::Hop(shape) => {
                let start = shape.start_after(after.saturating_sub(shape.size));
                Some((start, shape.end(start)))
            }
            Form::Cumulate { size, step, offset } => {
                let end = floor(after, *step, *offset).saturating_add(*step);
                let start = floor(end.saturating_sub(1), *size, *offset);
                Some((start, end))
            }
            Form::Calendar(calendar, zone) => {
                let window = calendar.window(zone, after);
                (window.1 > after).then_some(window)
            }
        }
    }

    /// When no window asks for a pane any more.
    pub(super) fn last_end(&self, pane: i64) -> i64 {
        match &self.form {
            Form::Hop(shape) => shape.end(shape.floor(pane, shape.every)),
            Form::Cumulate { size, offset, .. } => {
                floor(pane, *size, *offset).saturating_add(*size)
            }
            Form::Calendar(calendar, zone) => calendar.window(zone, pane).1,
        }
    }
}
