//! Pushing values into the columns of a batch without hashing a metric name twice, and taking them back when the event
//! or the record turns out to be bad.

use crate::batch::{EventBatch, MetricColumn};
use crate::id::Names;
use crate::value::Value;

/// What is known of one metric; entry 0 stands for the start of an event.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Event that last carried the metric.
    event: u64,
    /// Batch that `column` belongs to.
    batch: u64,
    /// Position of the metric's column in that batch.
    column: u32,
    /// Metric that followed this one last time: devices repeat their fields in the same order.
    follower: u32,
}

/// Why a value was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The event has this metric already.
    Twice,
    /// The text is no metric name.
    Name,
    /// Too many different metrics.
    Full,
}

/// A place to come back to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Savepoint {
    touched: usize,
    columns: usize,
}

/// How a batch was left: enough to see that it is another one, or that somebody else wrote to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Left {
    rows: usize,
    columns: usize,
    /// Source, offset and record of the last row.
    last: Option<(u16, i64, u32)>,
}

impl Left {
    fn of(batch: &EventBatch) -> Self {
        let last = (
            batch.source.last(),
            batch.offset.last(),
            batch.record.last(),
        );
        Self {
            rows: batch.len(),
            columns: batch.metrics.len(),
            last: match last {
                (Some(source), Some(offset), Some(record)) => Some((*source, *offset, *record)),
                _ => None,
            },
        }
    }
}

/// Index from metric number to column of the batch in hand.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    slots: Vec<Slot>,
    event: u64,
    batch: u64,
    /// Metric of the event before, plus one; 0 at the start of an event.
    previous: usize,
    left: Left,
    /// Columns that the record in hand pushed to, one entry per value.
    touched: Vec<u32>,
}

/// Whether a text can name a metric: 1 to 256 bytes without control characters.
fn is_metric(text: &str) -> bool {
    crate::id::is_resource_id(text)
}

impl Columns {
    /// Makes ready for a record of this batch. The index is built anew only when somebody else wrote to the batch.
    pub(super) fn begin_record(&mut self, batch: &EventBatch) {
        self.touched.clear();
        let fresh = batch.is_empty() && batch.metrics.is_empty();
        if !fresh && self.left == Left::of(batch) {
            return;
        }
        self.batch += 1;
        for (position, column) in batch.metrics.iter().enumerate() {
            let at = self.slot(column.metric);
            if let Some(slot) = self.slots.get_mut(at) {
                slot.batch = self.batch;
                slot.column = u32::try_from(position).unwrap_or(u32::MAX);
            }
        }
    }

    /// Rows that the batch had when it was left.
    pub(super) const fn rows(&self) -> usize {
        self.left.rows
    }

    /// Remembers how the batch was left.
    pub(super) fn end_record(&mut self, batch: &EventBatch) {
        self.left = Left::of(batch);
    }

    /// Makes ready for an event.
    pub(super) const fn begin_event(&mut self) {
        self.event += 1;
        self.previous = 0;
    }

    pub(super) fn savepoint(&self, batch: &EventBatch) -> Savepoint {
        Savepoint {
            touched: self.touched.len(),
            columns: batch.metrics.len(),
        }
    }

    /// Index of a metric's slot, which is there afterwards.
    fn slot(&mut self, metric: u32) -> usize {
        let at = metric as usize + 1;
        if self.slots.len() <= at {
            self.slots.resize(at + 1, Slot::default());
        }
        at
    }

    /// Whether the event in hand has this metric already.
    pub(super) fn has(&self, name: &str, metrics: &Names) -> bool {
        metrics
            .get(name)
            .and_then(|metric| self.slots.get(metric as usize + 1))
            .is_some_and(|slot| slot.event == self.event)
    }

    /// Number of a metric name, by the order of the last event where it holds.
    #[inline]
    fn number(&mut self, name: &str, metrics: &mut Names, most: usize) -> Result<u32, Refused> {
        let guess = self
            .slots
            .get(self.previous)
            .map_or(0, |slot| slot.follower);
        let metric = match metrics.text(guess) {
            Some(text) if text.as_ref() == name => guess,
            _ => intern(name, metrics, most)?,
        };
        let at = self.slot(metric);
        if metric != guess
            && let Some(before) = self.slots.get_mut(self.previous)
        {
            before.follower = metric;
        }
        self.previous = at;
        Ok(metric)
    }

    /// The column for a value of the event in hand.
    #[inline]
    pub(super) fn column<'b>(
        &mut self,
        name: &str,
        metrics: &mut Names,
        most: usize,
        batch: &'b mut EventBatch,
    ) -> Result<Option<&'b mut MetricColumn>, Refused> {
        let metric = self.number(name, metrics, most)?;
        let Some(slot) = self.slots.get_mut(self.previous) else {
            return Ok(None);
        };
        if slot.event == self.event {
            return Err(Refused::Twice);
        }
        slot.event = self.event;
        if slot.batch != self.batch {
            slot.batch = self.batch;
            slot.column = u32::try_from(batch.metrics.len()).unwrap_or(u32::MAX);
            batch.metrics.push(MetricColumn::new(metric));
        }
        self.touched.push(slot.column);
        Ok(batch.metrics.get_mut(slot.column as usize))
    }

    /// Takes back all values pushed since a savepoint, newest first, and the columns that began since.
    pub(super) fn restore(&mut self, to: Savepoint, batch: &mut EventBatch) {
        for at in self.touched.drain(to.touched..).rev() {
            if let Some(column) = batch.metrics.get_mut(at as usize) {
                column.rows.pop();
                column.numbers.pop();
                let left = u32::try_from(column.rows.len()).unwrap_or(u32::MAX);
                column.odd.pop_if(|(index, _)| *index >= left);
            }
        }
        for column in batch.metrics.drain(to.columns..) {
            if let Some(slot) = self.slots.get_mut(column.metric as usize + 1) {
                slot.batch = 0;
            }
        }
    }
}

#[inline(never)]
fn intern(name: &str, metrics: &mut Names, most: usize) -> Result<u32, Refused> {
    match metrics.get(name) {
        Some(metric) => Ok(metric),
        None if !is_metric(name) => Err(Refused::Name),
        None if metrics.len() >= most => Err(Refused::Full),
        None => Ok(metrics.intern(name)),
    }
}

/// Puts a number of a row into its column.
#[inline]
pub(super) fn push_number(column: &mut MetricColumn, row: u32, number: f64) {
    column.rows.push(row);
    column.numbers.push(number);
}

/// Puts a value that is no number into its column.
pub(super) fn push_odd(column: &mut MetricColumn, row: u32, value: Value) {
    let index = u32::try_from(column.rows.len()).unwrap_or(u32::MAX);
    column.rows.push(row);
    column.numbers.push(f64::NAN);
    column.odd.push((index, value));
}
