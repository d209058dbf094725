//! [`Delivery`]: rows for the engine inside, as a batch of their own.

use tidegate_proto::{EventBatch, EventRef, MetricColumn, Value};

use crate::pipeline::given::Given;
use crate::watermark::NEVER;

/// Rows in the order in which the engine takes them, each with the time of its task.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    batch: EventBatch,
    water: Vec<i64>,
    quiet: Vec<bool>,
}

impl Delivery {
    /// Begins anew, with a column for each metric.
    pub(super) fn open(&mut self, metrics: &[u32]) {
        self.batch = EventBatch::default();
        let columns = metrics.iter().map(|metric| MetricColumn::new(*metric));
        self.batch.metrics.extend(columns);
        self.water.clear();
        self.quiet.clear();
    }

    fn line(&mut self, task: u32, time: i64, (water, record): (i64, u32), event: &EventRef) {
        let row = u32::try_from(self.batch.len()).unwrap_or(u32::MAX);
        let batch = &mut self.batch;
        batch.resource.push(task);
        batch.time.push(time);
        batch.arrival.push(NEVER);
        batch.source.push(event.source);
        batch.offset.push(event.offset);
        batch.record.push(record);
        batch.ids.extend(event.id.clone().map(|id| (row, id)));
        self.water.push(water);
    }

    /// A row; `record` is what made it come now.
    pub(super) fn row(
        &mut self,
        (task, time): (u32, i64),
        (water, record): (i64, u32),
        event: &EventRef,
        values: impl Iterator<Item = (usize, Value)>,
    ) {
        let row = u32::try_from(self.batch.len()).unwrap_or(u32::MAX);
        for (column, value) in values {
            let Some(column) = self.batch.metrics.get_mut(column) else {
                continue;
            };
            let place = u32::try_from(column.rows.len()).unwrap_or(u32::MAX);
            column.rows.push(row);
            if let Value::Number(number) = value {
                column.numbers.push(number);
            } else {
                column.numbers.push(f64::NAN);
                column.odd.push((place, value));
            }
        }
        self.line(task, time, (water, record), event);
        self.quiet.push(false);
    }

    /// Only time.
    pub(super) fn time(&mut self, task: u32, water: i64, record: u32) {
        self.line(task, NEVER, (water, record), &EventRef::default());
        self.quiet.push(true);
    }

    pub(super) fn given(&self) -> Given<'_> {
        Given {
            batch: &self.batch,
            water: &self.water,
            quiet: &self.quiet,
        }
    }
}
