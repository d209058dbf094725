//! [`EventBatch`]: the decoded events of one intake as columns. Twins, rules and the series writer share it.
//!
//! One row per event, in log order. A metric is a sparse column: the rows that carry it and their values; most batches
//! hold few metrics that nearly every row carries, and a batch of a thousand different metrics costs only its values.
//! Resources and metrics are dense numbers of the shard's interners, so that no text is hashed twice.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, UInt32Array};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use serde::{Deserialize, Serialize};

use crate::id::Names;
use crate::value::Value;

/// Where an event came from: what a result names as its cause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EventRef {
    /// Number of the source topic in the shard's fixed topic order.
    pub source: u16,
    /// Offset in that topic's partition; a replay from a file puts the line number here.
    pub offset: i64,
    /// The event's own id, if it had one.
    pub id: Option<Arc<str>>,
}

/// Fields that an event may say about its resource beside its metrics; merged into the twin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// Resource type.
    pub kind: Option<Arc<str>>,
    /// Labels to set; an empty value removes one.
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    /// Metadata to set as text, nested objects flattened to dotted names; `None` removes one.
    pub meta: Vec<(Arc<str>, Option<Arc<str>>)>,
    /// Parent resource id.
    pub parent: Option<Arc<str>>,
}

/// The values of one metric: sparse, rising by row.
#[derive(Clone, Debug)]
pub struct MetricColumn {
    /// Number of the metric in the shard's interner.
    pub metric: u32,
    /// Rows that carry it, rising; one entry per value.
    pub rows: Vec<u32>,
    /// The values as numbers; `f64::NAN` where the value is not a number (then `odd` has it).
    pub numbers: Vec<f64>,
    /// Values that are no numbers (flags, text, explicit null as `Missing`): index into `rows`, rising, and the value.
    pub odd: Vec<(u32, Value)>,
}

impl MetricColumn {
    /// An empty column of a metric.
    #[must_use]
    pub fn new(metric: u32) -> Self {
        Self {
            metric,
            rows: Vec::new(),
            numbers: Vec::new(),
            odd: Vec::new(),
        }
    }

    /// Whether every value is a number.
    #[must_use]
    pub fn is_numeric(&self) -> bool {
        self.odd.is_empty()
    }

    /// The value at an index of `rows`.
    #[must_use]
    pub fn value(&self, index: usize) -> Value {
        let number = self.numbers.get(index).copied().unwrap_or(f64::NAN);
        if number.is_nan() {
            let key = u32::try_from(index).unwrap_or(u32::MAX);
            return match self.odd.binary_search_by_key(&key, |(at, _)| *at) {
                Ok(found) => self
                    .odd
                    .get(found)
                    .map_or(Value::Missing, |(_, v)| v.clone()),
                Err(_) => Value::Missing,
            };
        }
        Value::Number(number)
    }
}

/// Events of one intake, decoded once. All row-wise columns have the same length.
#[derive(Clone, Debug, Default)]
pub struct EventBatch {
    /// Resource of each row: number in the shard's interner.
    pub resource: Vec<u32>,
    /// Event time of each row, epoch milliseconds.
    pub time: Vec<i64>,
    /// When the log took each row, epoch milliseconds; `i64::MIN` when it does not say (a replay from a file).
    pub arrival: Vec<i64>,
    /// Number of the source topic of each row.
    pub source: Vec<u16>,
    /// Offset of each row in its source; several rows share one when a record held an array.
    pub offset: Vec<i64>,
    /// Index of each row's record in the intake.
    pub record: Vec<u32>,
    /// Own ids of events that had one: row, rising, and id.
    pub ids: Vec<(u32, Arc<str>)>,
    /// What events said about their resource: row, rising, and the fields.
    pub attributes: Vec<(u32, Attributes)>,
    /// Metric columns in the order of first sight in this batch.
    pub metrics: Vec<MetricColumn>,
}

impl EventBatch {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.resource.len()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.resource.is_empty()
    }

    /// The cause that a result of this row names.
    #[must_use]
    pub fn event_ref(&self, row: usize) -> EventRef {
        let key = u32::try_from(row).unwrap_or(u32::MAX);
        let id = self.ids.binary_search_by_key(&key, |(at, _)| *at).ok();
        EventRef {
            source: self.source.get(row).copied().unwrap_or_default(),
            offset: self.offset.get(row).copied().unwrap_or_default(),
            id: id
                .and_then(|found| self.ids.get(found))
                .map(|(_, id)| Arc::clone(id)),
        }
    }

    /// The column of a metric, if any row carries it.
    #[must_use]
    pub fn metric(&self, metric: u32) -> Option<&MetricColumn> {
        self.metrics.iter().find(|column| column.metric == metric)
    }

    /// The batch as one wide Arrow batch, for the series writer and for people: `resource`, `time`, then one column per
    /// metric (Float64 when all its values are numbers, Utf8 otherwise).
    ///
    /// # Errors
    /// When Arrow refuses the columns: a bug of ours.
    pub fn to_record_batch(
        &self,
        resources: &Names,
        metrics: &Names,
    ) -> Result<RecordBatch, ArrowError> {
        let text = |names: &Names, index: u32| {
            names
                .text(index)
                .map(AsRef::<str>::as_ref)
                .unwrap_or_default()
                .to_owned()
        };
        let ids = self
            .resource
            .iter()
            .map(|index| resources.text(*index).map(AsRef::<str>::as_ref));
        let mut fields = vec![
            Field::new("resource", DataType::Utf8, true),
            Field::new("time", DataType::Int64, false),
        ];
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter(ids)),
            Arc::new(Int64Array::from(self.time.clone())),
        ];
        for column in &self.metrics {
            let kind = if column.is_numeric() {
                DataType::Float64
            } else {
                DataType::Utf8
            };
            fields.push(Field::new(text(metrics, column.metric), kind, true));
            columns.push(self.wide(column));
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
    }

    fn wide(&self, column: &MetricColumn) -> ArrayRef {
        let mut at = 0;
        let mut cells = (0..self.len()).map(|row| {
            if column
                .rows
                .get(at)
                .is_some_and(|carried| *carried as usize == row)
            {
                at += 1;
                Some(column.value(at - 1))
            } else {
                None
            }
        });
        if column.is_numeric() {
            Arc::new(
                cells
                    .map(|cell| cell.as_ref().and_then(Value::as_number))
                    .collect::<Float64Array>(),
            )
        } else {
            Arc::new(StringArray::from_iter(cells.by_ref().map(|cell| {
                cell.filter(|v| !v.is_missing()).map(|v| v.to_string())
            })))
        }
    }

    /// The resource column as Arrow, sharing nothing: for tests and people.
    #[must_use]
    pub fn resource_array(&self) -> UInt32Array {
        UInt32Array::from(self.resource.clone())
    }
}
