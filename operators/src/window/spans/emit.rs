//! What windows that lie fixed in time say, and when.

use super::super::ordered::multiple_after;
use super::super::{EmitMode, WindowOutput, WindowSpec};
use super::{Cell, KeySpans, SpanShape, Told};

/// Something that is due.
enum Due {
    Close((i64, i64)),
    Multiple(i64),
    Row,
}

impl KeySpans {
    /// Windows that end at or before this are to be closed.
    pub(super) fn closes_to(&self, spec: &WindowSpec) -> i64 {
        if spec.mode.emit == EmitMode::Final {
            self.watermark.saturating_sub(spec.lateness.0)
        } else {
            self.watermark
        }
    }

    /// The next of the set times at which something has to be told.
    fn multiple(&self, spec: &WindowSpec) -> Option<i64> {
        let EmitMode::Every(every) = spec.mode.emit else {
            return None;
        };
        let pane = self.dirty.first()?;
        let own = multiple_after(*pane, every, spec.mode.offset);
        Some(own.max(self.last.saturating_add(every)))
    }

    /// The set times up to the watermark are over: what changes from now on waits for the next one.
    pub(super) fn pass_multiples(&mut self, spec: &WindowSpec) {
        if let EmitMode::Every(every) = spec.mode.emit {
            let next = multiple_after(self.watermark, every, spec.mode.offset);
            self.last = self.last.max(next.saturating_sub(every));
        }
    }

    /// The watermark at which something is due.
    pub(super) fn next(&self, spec: &WindowSpec, shape: &SpanShape) -> i64 {
        let wait = if spec.mode.emit == EmitMode::Final {
            spec.lateness.0
        } else {
            0
        };
        let close = self.next_window(spec, shape, self.closed_to);
        let close = close.map_or(i64::MAX, |window| window.1.saturating_add(wait));
        let row = self.waiting.first_key_value();
        let row = row.map_or(i64::MAX, |(order, _)| order.time);
        let release = self.panes.first_key_value();
        let release = release.map_or(i64::MAX, |(start, _)| {
            shape.last_end(*start).saturating_add(spec.lateness.0)
        });
        let multiple = self.multiple(spec).unwrap_or(i64::MAX);
        close.min(row).min(release).min(multiple)
    }

    fn due(&self, spec: &WindowSpec, shape: &SpanShape) -> Option<Due> {
        let closes_to = self.closes_to(spec);
        let close = self.next_window(spec, shape, self.closed_to);
        let close = close.filter(|window| window.1 <= closes_to);
        let multiple = self.multiple(spec).filter(|at| *at <= self.watermark);
        let row = self.waiting.first_key_value();
        let row = row.map(|(order, _)| order.time);
        let row = row.filter(|time| *time <= self.watermark);
        let times = [close.map(|window| window.1), multiple, row];
        let first = times.iter().flatten().min()?;
        Some(match (close, multiple) {
            (Some(window), _) if window.1 == *first => Due::Close(window),
            (_, Some(at)) if at == *first => Due::Multiple(at),
            _ => Due::Row,
        })
    }

    /// Lets everything happen that is due at the watermark, in time order, timers before rows.
    pub(super) fn run(
        &mut self,
        spec: &WindowSpec,
        shape: &SpanShape,
        key: u32,
        out: &mut WindowOutput,
    ) {
        while let Some(due) = self.due(spec, shape) {
            match due {
                Due::Close(window) => {
                    self.closed_to = window.1;
                    self.tell_closed(spec, key, window, out);
                }
                Due::Multiple(at) => self.tell_multiple(spec, shape, (key, at), out),
                Due::Row => {
                    if let Some((_, (row, arguments))) = self.waiting.pop_first() {
                        let now = row.time;
                        self.take(spec, shape, (key, now), (&row, &arguments), out);
                    }
                }
            }
        }
    }

    /// Everything in a window, or what of it lies before a time.
    fn inside(&self, spec: &WindowSpec, (start, end): (i64, i64), before: i64) -> Cell {
        let mut all = Cell::new(&spec.aggregates);
        for (_, pane) in self.panes.range(start..end) {
            if pane.end <= before {
                all.merge(&pane.cell);
            }
        }
        all
    }

    /// Tells a window, or what of it lies before a time, if it differs from what was told.
    fn tell(
        &mut self,
        spec: &WindowSpec,
        key: u32,
        (window, before): ((i64, i64), i64),
        cell: &Cell,
        out: &mut WindowOutput,
    ) {
        let values = cell.values_before(&spec.aggregates, (window, before), &self.past);
        let revision = match self.told.get(&window.1) {
            Some(told) if told.values == values && !spec.mode.repeat_equal => return,
            Some(told) => told.revision + 1,
            None => 1,
        };
        // Without lateness nobody asks again after the close.
        if spec.lateness.0 > 0 || window.1 > self.closed_to {
            let told = Told {
                revision,
                values: values.clone(),
            };
            self.told.insert(window.1, told);
        }
        out.rows.push(cell.row(key, window, (revision, values)));
    }

    /// A window closes.
    pub(super) fn tell_closed(
        &mut self,
        spec: &WindowSpec,
        key: u32,
        window: (i64, i64),
        out: &mut WindowOutput,
    ) {
        let cell = self.inside(spec, window, i64::MAX);
        if cell.rows == 0 {
            self.empty = self.empty.saturating_add(1);
            if self.empty > spec.mode.fill_limit {
                return;
            }
        } else {
            self.empty = 0;
        }
        let tells = match spec.mode.emit {
            EmitMode::OnChange => cell.rows == 0,
            EmitMode::When => spec.mode.also_close,
            EmitMode::OnClose | EmitMode::Final | EmitMode::Every(_) => true,
        };
        if !tells {
            return;
        }
        let repeats = spec.mode.repeat_equal && matches!(spec.mode.emit, EmitMode::Every(_));
        let known = self.told.get(&window.1);
        let same = |told: &Told| told.values == cell.values(&spec.aggregates, window, &self.past);
        // At close only what changed since, whatever is said about equal rows.
        if repeats && known.is_some_and(same) {
            return;
        }
        self.tell(spec, key, (window, i64::MAX), &cell, out);
    }

    /// One of the set times: open windows with changes, over the rows before it.
    fn tell_multiple(
        &mut self,
        spec: &WindowSpec,
        shape: &SpanShape,
        (key, at): (u32, i64),
        out: &mut WindowOutput,
    ) {
        self.last = at;
        let mut windows: Vec<(i64, i64)> = Vec::new();
        let over: Vec<i64> = self.dirty.range(..at).copied().collect();
        for start in over {
            self.dirty.remove(&start);
            windows.extend(shape.windows(start));
        }
        windows.retain(|window| window.1 > self.closed_to && window.1 > at);
        windows.sort_unstable_by_key(|window| (window.1, window.0));
        windows.dedup();
        for window in windows {
            let cell = self.inside(spec, window, at);
            self.tell(spec, key, (window, at), &cell, out);
        }
    }

    /// A row came to a window that is not final.
    pub(super) fn touched(
        &mut self,
        spec: &WindowSpec,
        key: u32,
        window: (i64, i64),
        out: &mut WindowOutput,
    ) {
        let closed = window.1 <= self.closed_to;
        match spec.mode.emit {
            EmitMode::OnChange => {}
            EmitMode::When => {
                let cell = self.inside(spec, window, i64::MAX);
                let values = cell.values(&spec.aggregates, window, &self.past);
                out.probes.push(cell.row(key, window, (1, values)));
                if !closed || !spec.mode.also_close {
                    return;
                }
            }
            EmitMode::OnClose | EmitMode::Every(_) if closed => {}
            EmitMode::OnClose | EmitMode::Every(_) | EmitMode::Final => return,
        }
        let cell = self.inside(spec, window, i64::MAX);
        self.tell(spec, key, (window, i64::MAX), &cell, out);
    }

    /// A row came: closed windows after it, and those that look back from it, are told anew where that makes a difference.
    pub(super) fn touched_later(
        &mut self,
        spec: &WindowSpec,
        shape: &SpanShape,
        (key, time): (u32, i64),
        out: &mut WindowOutput,
    ) {
        let corrects = matches!(spec.mode.emit, EmitMode::OnClose | EmitMode::Every(_));
        if self.past.is_empty() || !corrects {
            return;
        }
        let mut after = time.max(self.final_to(spec));
        while let Some(window) = self.next_window(spec, shape, after) {
            if window.1 > self.closed_to {
                return;
            }
            after = window.1;
            let cell = self.inside(spec, window, i64::MAX);
            if cell.rows > 0 || self.told.contains_key(&window.1) {
                self.tell(spec, key, (window, i64::MAX), &cell, out);
            }
        }
    }

    /// Lets go what is final.
    pub(super) fn release(&mut self, spec: &WindowSpec, shape: &SpanShape) {
        let final_to = self.final_to(spec);
        while let Some((start, _)) = self.panes.first_key_value() {
            let start = *start;
            if shape.last_end(start) > final_to {
                break;
            }
            self.panes.pop_first();
            self.dirty.remove(&start);
        }
        while self
            .told
            .first_key_value()
            .is_some_and(|(end, _)| *end <= final_to)
        {
            self.told.pop_first();
        }
        let oldest = self.panes.first_key_value();
        let oldest = oldest.map_or(final_to, |(start, _)| *start);
        // A row in an open window may still ask what was in force when that began.
        let open = shape.after((final_to, final_to), final_to);
        let open = open.map_or(final_to, |window| window.0);
        self.past.prune(oldest.min(open).min(final_to));
    }
}
