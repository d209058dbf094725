//! [`Decoder`]: records of a log to rows of an [`EventBatch`], without an allocation per plain event.
//!
//! A record holds an object, an array of objects, or objects on lines of their own. What is no JSON rejects the record,
//! what is JSON but no event rejects that element alone; both are told as [`Undecodable`] and never lost silently.
//!
//! A source may say that its records are Influx line protocol instead: one line, one event. Other formats need what a pure
//! function has not (a schema, a script): a gateway makes JSON of them before they come here.
//!
//! Numbers are doubles: a number of more than 53 bits rounds to the nearest one (2^53 + 1 becomes 2^53), one beyond the
//! doubles (`1e999`) is refused. `"NaN"` and `"Infinity"` are texts.

mod columns;
mod element;
mod fields;
mod finish;
mod influx;
mod metric;
mod moment;
mod profile;

#[cfg(test)]
mod influx_tests;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use crate::batch::EventBatch;
use crate::id::Names;
use crate::json::{ReadLimits, Reader};
use crate::record::{Partition, Record};
use columns::Columns;
use element::{Outer, Scratch, Sink, Walk};
pub use profile::{
    FieldSource, FieldSourceError, Precision, SourceFormat, SourceProfile, is_field_path,
};

/// A record with its place in the intake.
#[derive(Clone, Copy, Debug)]
pub struct SourceRecord<'a> {
    /// Number of the source topic in the shard's fixed topic order.
    pub source: u16,
    /// Offset in that topic's partition.
    pub offset: i64,
    /// The record.
    pub record: &'a Record,
    /// Index of the record in the intake.
    pub index: u32,
}

/// How much of everything the decoder takes. What is beyond a limit is undecodable, with the limit as the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Bytes of a record (1 MiB), depth of its JSON (32), bytes of one string or of an array's text (64 KiB).
    pub json: ReadLimits,
    /// Most events in one record; default 10,000. Beyond: the record is undecodable.
    pub elements: u32,
    /// Most undecodable elements of one record that are told one by one; default 100. The rest is told as a number.
    pub told: usize,
    /// Most metrics of one event, and most nested objects in it; default 1,000. Beyond: the event is undecodable.
    pub metrics_per_event: usize,
    /// Most labels and metadata fields of one event together; default 256. Beyond: the event is undecodable.
    pub attributes_per_event: usize,
    /// Most different metrics of a shard; default 100,000. Beyond: events with a new metric are undecodable.
    pub metrics: usize,
    /// Most resources of a shard; default 10,000,000. Beyond: events of a new resource are undecodable.
    pub resources: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            json: ReadLimits::default(),
            elements: 10_000,
            told: 100,
            metrics_per_event: 1_000,
            attributes_per_event: 256,
            metrics: 100_000,
            resources: 10_000_000,
        }
    }
}

/// A record, or an element of it, that is no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecodable {
    /// Index of the record in the intake.
    pub index: u32,
    /// Which element of the record, from 0; `None`: the whole record (or, behind many bad elements, the rest of them).
    pub element: Option<u32>,
    /// Why, for people: lowercase, without a full stop.
    pub reason: String,
}

/// A profile with what would be asked of it again and again.
#[derive(Clone, Debug)]
struct Compiled {
    profile: SourceProfile,
    nested: bool,
    /// The shard that its resources must belong to, if the records say themselves which partition they are in.
    home: Option<Home>,
}

/// A shard among all: which resources belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    /// Its number.
    pub shard: Partition,
    /// How many there are.
    pub partitions: u32,
}

impl From<SourceProfile> for Compiled {
    fn from(profile: SourceProfile) -> Self {
        let nested = profile.is_nested();
        Self {
            profile,
            nested,
            home: None,
        }
    }
}

/// Decodes records into batches. One decoder serves all sources of a shard; nothing that it remembers from batch to
/// batch changes what it answers.
#[derive(Clone, Debug)]
pub struct Decoder {
    limits: DecodeLimits,
    profile: Compiled,
    /// Profiles of sources that have their own.
    own: Vec<(u16, Compiled)>,
    columns: Columns,
    scratch: Scratch,
}

impl Decoder {
    /// A decoder whose sources have this profile unless they get their own.
    #[must_use]
    pub fn new(limits: DecodeLimits, profile: SourceProfile) -> Self {
        Self {
            limits,
            profile: profile.into(),
            own: Vec::new(),
            columns: Columns::default(),
            scratch: Scratch::default(),
        }
    }

    /// Gives one source its own profile and the shard that its resources must belong to, or takes both back.
    pub fn set_source(&mut self, source: u16, profile: Option<(SourceProfile, Option<Home>)>) {
        self.own.retain(|(number, _)| *number != source);
        if let Some((profile, home)) = profile {
            let mut compiled = Compiled::from(profile);
            compiled.home = home;
            self.own.push((source, compiled));
        }
    }

    /// Decodes one record: its events become rows of the batch, what is none of them is told in `bad`. Names of rejected
    /// events may stay interned.
    pub fn decode(
        &mut self,
        record: SourceRecord<'_>,
        resources: &mut Names,
        metrics: &mut Names,
        batch: &mut EventBatch,
        bad: &mut Vec<Undecodable>,
    ) {
        self.columns.begin_record(batch);
        if batch.is_empty() {
            self.reserve(batch);
        }
        let start = self.columns.savepoint(batch);
        let (rows, told) = (batch.len(), bad.len());
        let sink = Sink {
            resources,
            metrics,
            batch: &mut *batch,
            bad: &mut *bad,
        };
        if let Err(reason) = self.record(&record, sink) {
            self.columns.restore(start, batch);
            truncate(batch, rows);
            bad.truncate(told);
            bad.push(Undecodable {
                index: record.index,
                element: None,
                reason,
            });
        }
        self.columns.end_record(batch);
    }

    /// Room for as many rows as the batch before had: intakes are of like size.
    fn reserve(&self, batch: &mut EventBatch) {
        let rows = self.columns.rows().min(4096);
        batch.resource.reserve(rows);
        batch.time.reserve(rows);
        batch.arrival.reserve(rows);
        batch.source.reserve(rows);
        batch.offset.reserve(rows);
        batch.record.reserve(rows);
    }

    fn record(&mut self, record: &SourceRecord<'_>, sink: Sink<'_>) -> Result<(), String> {
        let value = record.record.value.as_deref();
        let value = value.ok_or("a tombstone: the record has no value")?;
        let reader = Reader::new(value, self.limits.json).map_err(|error| error.to_string())?;
        let profile = self
            .own
            .iter()
            .find(|(number, _)| *number == record.source)
            .map_or(&self.profile, |(_, profile)| profile);
        let mut walk = Walk {
            reader,
            outer: Outer::new(record.record, profile.profile.format),
            nested: profile.nested,
            home: profile.home,
            profile: &profile.profile,
            limits: &self.limits,
            columns: &mut self.columns,
            scratch: &mut self.scratch,
            row: u32::try_from(sink.batch.len()).unwrap_or(u32::MAX),
            sink,
            source: record,
            event: element::Event::default(),
        };
        match profile.profile.format {
            SourceFormat::Influx => walk.lines(value),
            _ => walk.record(),
        }
    }
}

/// Takes back all rows from `rows` on; metric columns are the business of [`Columns`].
fn truncate(batch: &mut EventBatch, rows: usize) {
    batch.resource.truncate(rows);
    batch.time.truncate(rows);
    batch.arrival.truncate(rows);
    batch.source.truncate(rows);
    batch.offset.truncate(rows);
    batch.record.truncate(rows);
    while batch.ids.pop_if(|(row, _)| *row as usize >= rows).is_some() {}
    while batch
        .attributes
        .pop_if(|(row, _)| *row as usize >= rows)
        .is_some()
    {}
}
