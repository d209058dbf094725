//! [`Parcel`]: what a shard tells the homes of rules that reach over several resources, once per epoch. Rows, what resources are and
//! how far its clock has come, as one signal in the home's inbox.
//!
//! Everything is named by text: each shard numbers resources and metrics in its own way. Bodies are postcard, not JSON: rows are many.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_operators::Reached;
use tidegate_proto::across::Input;
use tidegate_proto::batch::{EventBatch, MetricColumn};
use tidegate_proto::id::Names;
use tidegate_proto::outcome::OutcomeKind;
use tidegate_proto::record::{DEPTH_HEADER, KIND_HEADER, Partition, Record};
use tidegate_proto::resource::Traits;
use tidegate_proto::said::SaidNode;
use tidegate_proto::time::{Span, Timestamp};
use tidegate_proto::value::Value;

use crate::result::CauseStyle;

/// Value of the kind header of a parcel.
pub const PARCEL: &str = "parcel";

/// Bytes beyond which what an epoch has to tell is cut into several parcels: less than brokers take as one record.
pub const PARCEL_BYTES: usize = 256 << 10;

/// Most rows of one piece, so that no piece alone is larger than a parcel should be.
pub const PIECE_ROWS: usize = 1_000;

/// Version of the bytes; another one is refused.
const VERSION: u8 = 2;

/// What shards tell in one record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parcel {
    /// The shard that tells.
    pub from: Partition,
    /// What, each with the index of the record of its intake that made it; `u32::MAX`: none did.
    pub pieces: Vec<(u32, Piece)>,
    /// The clock of the shard when it has told all this; nothing of its inputs comes from before it any more.
    pub clock: Option<Timestamp>,
}

/// One thing that is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Piece {
    /// Everything that was told by this shard before is void: all that it knows follows. With its clock.
    Afresh(Option<Timestamp>),
    /// A resource as it stands, at the beginning.
    Known(Box<KnownResource>),
    /// A resource is, from here on, this.
    Described {
        /// Its id.
        id: Arc<str>,
        /// Its traits with those of its type.
        traits: Traits,
        /// `disorder` and `idle` of its type.
        timing: (Option<Span>, Option<Span>),
    },
    /// A resource is no more.
    Forgotten(Arc<str>),
    /// Events.
    Rows(Rows),
    /// A rule is, from here on, this: told by its home to itself, so that it changes between the same rows for everybody.
    Rule(Box<RulePiece>),
    /// A rule has said something, for rules that read it.
    Said(Box<SaidPiece>),
    /// A rule that runs at a home has said all that it has to say up to a clock.
    Passed(Arc<str>, Timestamp),
    /// How far a rule has come whose lines a join has; behind those lines.
    Reached(Box<ReachedPiece>),
}

/// How far a rule has come, or a task of it: no line of it is older.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReachedPiece {
    /// The rule.
    pub rule: Arc<str>,
    /// The resource of the task; `None`: all its tasks.
    pub of: Option<Arc<str>>,
    /// How far; `None`: it was stopped and will say nothing more.
    pub at: Option<Reached>,
}

/// A line of a rule, as a row of a stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SaidPiece {
    /// The rule.
    pub rule: Arc<str>,
    /// Its task.
    pub task: Arc<str>,
    /// What kind of line.
    pub kind: OutcomeKind,
    /// The resource of the task; of none: the key of its group, or the rule.
    pub resource: Arc<str>,
    /// Its time.
    pub time: i64,
    /// The event that completed it, as causes are named.
    pub cause: Arc<str>,
    /// Columns of the line.
    pub values: Vec<(Arc<str>, Value)>,
}

/// A resource with its twin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KnownResource {
    /// Its id.
    pub id: Arc<str>,
    /// Its traits with those of its type.
    pub traits: Traits,
    /// `disorder` and `idle` of its type.
    pub timing: (Option<Span>, Option<Span>),
    /// Highest event time, and the clock when it arrived.
    pub heard: Option<(i64, i64)>,
    /// Last value of each metric with its time.
    pub values: Vec<(Arc<str>, i64, Value)>,
}

/// A revision of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RulePiece {
    /// Request that caused it.
    pub request: String,
    /// Its name.
    pub name: String,
    /// Revision.
    pub revision: u64,
    /// Its document; `None`: it does not run here any more.
    pub document: Option<String>,
    /// Whether it is deleted, and not only stopped.
    pub deleted: bool,
}

/// Events as columns, named by text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rows {
    /// Ids of the resources in these rows.
    resources: Vec<Arc<str>>,
    resource: Vec<u32>,
    time: Vec<i64>,
    arrival: Vec<i64>,
    record: Vec<u32>,
    /// How each event is named as a cause.
    cause: Vec<Arc<str>>,
    columns: Vec<Column>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Column {
    metric: Arc<str>,
    rows: Vec<u32>,
    numbers: Vec<f64>,
    odd: Vec<(u32, Value)>,
}

impl Parcel {
    /// As a record for an inbox.
    #[must_use]
    pub fn to_record(&self) -> Record {
        let mut body = vec![VERSION];
        // Plain data into a growing vector: cannot fail. An empty body would be refused by `read`.
        body.extend(postcard::to_stdvec(self).unwrap_or_default());
        Record::new(b"parcel".to_vec(), body).with_header(KIND_HEADER, PARCEL.as_bytes())
    }

    /// The same with how many `set`s in a row lie behind it.
    #[must_use]
    pub fn to_record_behind(&self, depth: u32) -> Record {
        let record = self.to_record();
        if depth == 0 {
            return record;
        }
        record.with_header(DEPTH_HEADER, depth.to_string())
    }

    /// Reads a record's value.
    ///
    /// # Errors
    /// When it is of another version or damaged, in words for a person.
    pub fn read(value: &[u8]) -> Result<Self, String> {
        let (version, body) = value.split_first().ok_or("a parcel is empty")?;
        if *version != VERSION {
            return Err(format!(
                "a parcel has version {version}, this program reads {VERSION}"
            ));
        }
        postcard::from_bytes(body).map_err(|error| format!("a parcel cannot be read: {error}"))
    }

    /// Cuts it so that every piece holds what one record made: a replay puts the pieces of all shards in the order of the lines.
    #[must_use]
    pub fn by_record(self) -> Vec<(u32, Piece)> {
        let mut pieces = Vec::with_capacity(self.pieces.len());
        for (record, piece) in self.pieces {
            match piece {
                Piece::Rows(rows) => {
                    let cut = rows.by_record().into_iter();
                    pieces.extend(cut.map(|(record, rows)| (record, Piece::Rows(rows))));
                }
                piece => pieces.push((record, piece)),
            }
        }
        pieces
    }
}

impl Piece {
    /// About how many bytes it takes as a record.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Rows(rows) => rows.bytes(),
            Self::Known(known) => {
                let value =
                    |(name, _, value): &(Arc<str>, i64, Value)| name.len() + 16 + text_bytes(value);
                known.id.len() + 64 + known.values.iter().map(value).sum::<usize>()
            }
            Self::Rule(rule) => rule.document.as_ref().map_or(0, String::len) + 64,
            Self::Described { id, .. } | Self::Forgotten(id) => id.len() + 64,
            Self::Said(said) => {
                let value = |(name, value): &(Arc<str>, Value)| name.len() + 16 + text_bytes(value);
                said.task.len() + 96 + said.values.iter().map(value).sum::<usize>()
            }
            Self::Passed(rule, _) => rule.len() + 16,
            Self::Reached(reached) => {
                reached.rule.len() + reached.of.as_ref().map_or(0, |of| of.len()) + 24
            }
            Self::Afresh(_) => 16,
        }
    }
}

impl SaidPiece {
    /// As a batch of one row under the names of the reader: the columns, and what kind of line of which rule it is. `among`: beside
    /// events, where columns of lines have names of their own.
    #[must_use]
    pub fn to_batch(
        &self,
        (resources, metrics): (&mut Names, &mut Names),
        among: bool,
        record: u32,
    ) -> EventBatch {
        let mut batch = EventBatch {
            resource: vec![resources.intern(&self.resource)],
            time: vec![self.time],
            arrival: vec![i64::MIN],
            source: vec![0],
            offset: vec![0],
            record: vec![record],
            ids: vec![(0, Arc::clone(&self.cause))],
            attributes: Vec::new(),
            metrics: Vec::new(),
        };
        let raised = match self.kind {
            OutcomeKind::Raised | OutcomeKind::Updated => Some(true),
            OutcomeKind::Cleared => Some(false),
            _ => None,
        };
        let own: [(Arc<str>, Value); 3] = [
            (Arc::from("kind"), Value::text(self.kind.word())),
            (Arc::from("rule"), Value::text(&self.rule)),
            (
                Arc::from("raised"),
                raised.map_or(Value::Missing, Value::Bool),
            ),
        ];
        let node = SaidNode::of_line(&self.rule, self.kind, &self.values).filter(|_| among);
        let node = node.map(|(name, value)| (metrics.intern(&name), value));
        // Lines about nodes are for nodes alone.
        let all = !among || self.kind != OutcomeKind::State;
        let columns = self.values.iter().chain(&own).filter(|_| all);
        let columns = columns.map(|(name, value)| {
            let metric = if among {
                metrics.intern(&Input::said(&self.rule, name))
            } else {
                metrics.intern(name)
            };
            (metric, value.clone())
        });
        let columns: Vec<(u32, Value)> = columns.chain(node).collect();
        for (metric, value) in columns {
            if value.is_missing() || batch.metrics.iter().any(|known| known.metric == metric) {
                continue;
            }
            let mut column = MetricColumn::new(metric);
            column.rows.push(0);
            let number = match &value {
                // Numbers of rows are floats.
                Value::Number(_) | Value::Int(_) => value.as_number(),
                _ => None,
            };
            column.numbers.push(number.unwrap_or(f64::NAN));
            if number.is_none() {
                column.odd.push((0, value));
            }
            batch.metrics.push(column);
        }
        batch
    }
}

impl Rows {
    /// Rows of a batch, with the names of the shard that decoded it.
    #[must_use]
    pub fn of(
        batch: &EventBatch,
        range: std::ops::Range<usize>,
        names: (&Names, &Names),
        causes: &CauseStyle,
    ) -> Self {
        let mut rows = Self::default();
        let mut numbers = BTreeMap::new();
        let range = range.start..range.end.min(batch.len());
        for row in range.clone() {
            let resource = batch.resource.get(row).copied().unwrap_or_default();
            let number = *numbers.entry(resource).or_insert_with(|| {
                rows.resources.push(text(names.0, resource));
                length(&rows.resources) - 1
            });
            rows.resource.push(number);
            rows.time
                .push(batch.time.get(row).copied().unwrap_or_default());
            rows.arrival
                .push(batch.arrival.get(row).copied().unwrap_or(i64::MIN));
            rows.record
                .push(batch.record.get(row).copied().unwrap_or_default());
            rows.cause.push(causes.name(&batch.event_ref(row)).into());
        }
        for column in &batch.metrics {
            let taken = Column::of(column, &range, text(names.1, column.metric));
            rows.columns
                .extend((!taken.rows.is_empty()).then_some(taken));
        }
        rows
    }

    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.resource.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.resource.is_empty()
    }

    /// About how many bytes it takes as a record.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let odd = |column: &Column| {
            column
                .odd
                .iter()
                .map(|(_, value)| 8 + text_bytes(value))
                .sum::<usize>()
        };
        let cells: usize = self
            .columns
            .iter()
            .map(|column| column.rows.len() * 10 + odd(column))
            .sum();
        let causes: usize = self.cause.iter().map(|cause| cause.len()).sum();
        self.len() * 16 + cells + causes
    }

    fn by_record(self) -> Vec<(u32, Self)> {
        let mut starts: Vec<usize> = (0..self.len())
            .filter(|row| *row == 0 || self.record.get(*row) != self.record.get(row - 1))
            .collect();
        starts.push(self.len());
        let pairs = starts.iter().zip(starts.iter().skip(1));
        pairs
            .map(|(start, end)| {
                (
                    self.record.get(*start).copied().unwrap_or_default(),
                    self.between(*start, *end),
                )
            })
            .collect()
    }

    fn between(&self, start: usize, end: usize) -> Self {
        let cut = |column: &[i64]| column.get(start..end).unwrap_or_default().to_vec();
        let mut rows = Self {
            time: cut(&self.time),
            arrival: cut(&self.arrival),
            record: self.record.get(start..end).unwrap_or_default().to_vec(),
            cause: self.cause.get(start..end).unwrap_or_default().to_vec(),
            ..Self::default()
        };
        let mut numbers = BTreeMap::new();
        for resource in self.resource.get(start..end).unwrap_or_default() {
            let number = *numbers.entry(*resource).or_insert_with(|| {
                let id = self.resources.get(*resource as usize);
                rows.resources
                    .push(id.cloned().unwrap_or_else(|| Arc::from("")));
                length(&rows.resources) - 1
            });
            rows.resource.push(number);
        }
        let columns = self.columns.iter().map(|column| column.between(start, end));
        rows.columns = columns.filter(|column| !column.rows.is_empty()).collect();
        rows
    }

    /// As a batch under the names of the reader; every row belongs to one record of its intake.
    #[must_use]
    pub fn to_batch(&self, resources: &mut Names, metrics: &mut Names, record: u32) -> EventBatch {
        let numbers: Vec<u32> = self
            .resources
            .iter()
            .map(|id| resources.intern(id))
            .collect();
        let number = |index: &u32| numbers.get(*index as usize).copied().unwrap_or_default();
        let ids = (0_u32..).zip(self.cause.iter().cloned());
        let column = |column: &Column| MetricColumn {
            metric: metrics.intern(&column.metric),
            rows: column.rows.clone(),
            numbers: column.numbers.clone(),
            odd: column.odd.clone(),
        };
        EventBatch {
            resource: self.resource.iter().map(number).collect(),
            time: self.time.clone(),
            arrival: self.arrival.clone(),
            source: vec![0; self.len()],
            offset: vec![0; self.len()],
            record: vec![record; self.len()],
            ids: ids.collect(),
            attributes: Vec::new(),
            metrics: self.columns.iter().map(column).collect(),
        }
    }
}

impl Column {
    fn of(column: &MetricColumn, range: &std::ops::Range<usize>, metric: Arc<str>) -> Self {
        let start = column
            .rows
            .partition_point(|row| (*row as usize) < range.start);
        let end = column
            .rows
            .partition_point(|row| (*row as usize) < range.end);
        let (first, low) = (narrow(range.start), narrow(start));
        let rows = column.rows.get(start..end).unwrap_or_default();
        let odd = column
            .odd
            .iter()
            .filter(|(at, _)| (start..end).contains(&(*at as usize)));
        Self {
            metric,
            rows: rows.iter().map(|row| row - first).collect(),
            numbers: column.numbers.get(start..end).unwrap_or_default().to_vec(),
            odd: odd.map(|(at, value)| (at - low, value.clone())).collect(),
        }
    }

    fn between(&self, start: usize, end: usize) -> Self {
        let whole = MetricColumn {
            metric: 0,
            rows: self.rows.clone(),
            numbers: self.numbers.clone(),
            odd: self.odd.clone(),
        };
        Self::of(&whole, &(start..end), Arc::clone(&self.metric))
    }
}

fn text_bytes(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        _ => 0,
    }
}

fn text(names: &Names, index: u32) -> Arc<str> {
    names.text(index).cloned().unwrap_or_else(|| Arc::from(""))
}

fn narrow(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn length<T>(list: &[T]) -> u32 {
    narrow(list.len())
}
