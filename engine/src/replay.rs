//! `replay`: rules over event lines through the very same shard code that runs live, byte-identical at every batch size
//! and every number of shards. The scenario tests drive it too, with a restore after every epoch.

mod applying;
mod chains;
mod lines;
mod parcels;
mod reading;
mod runner;
mod sets;
mod source;
mod stored;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use tidegate_actors::command::Signal;
use tidegate_actors::epoch::{Destination, Epoch, Intake, IntakeRecord, Output};
use tidegate_actors::result::CauseStyle;
use tidegate_actors::shard::ShardSettings;
use tidegate_proto::issue::Issues;
use tidegate_proto::outcome::Trigger;
use tidegate_proto::record::{OffsetRange, Record, partition_of};
use tidegate_proto::time::{Span, Timestamp};

pub use lines::{Line, LineError, read_line};
use reading::Found;
use runner::Runner;
use source::LineSource;
pub use stored::{Stored, replay_stored};

/// How a replay is cut and driven. None of it changes what is printed.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// Lines per epoch.
    pub batch: usize,
    /// Shards.
    pub shards: u32,
    /// A tick at each multiple that the highest event time reaches.
    pub ticks: Option<Span>,
    /// At the end, clock and every watermark go here.
    pub until: Option<Timestamp>,
    /// Every shard is thrown away and restored from its snapshot after every epoch.
    pub restore_every_epoch: bool,
    /// Whether the summary keeps what goes elsewhere than to the results.
    pub keep_effects: bool,
    /// Run every rule at its home, as one over several resources.
    pub gather_all: bool,
}

impl Default for ReplayOptions {
    fn default() -> Self {
        Self {
            batch: 1000,
            shards: 1,
            ticks: None,
            until: None,
            restore_every_epoch: false,
            keep_effects: false,
            gather_all: false,
        }
    }
}

/// Why a replay ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The documents are wrong.
    #[error("{}", listed(.0))]
    Documents(Issues),
    /// A control line is wrong.
    #[error("line {line}: {problem}")]
    Line {
        /// Its number, from 1.
        line: i64,
        /// What is wrong.
        problem: String,
    },
    /// The stored log cannot be read.
    #[error("{0}")]
    Stored(String),
    /// A step could not be finished: a bug of ours.
    #[error("the engine failed: {0}")]
    Step(String),
}

fn listed(issues: &Issues) -> String {
    issues
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// What a replay says beside its result lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplaySummary {
    /// Lines read.
    pub lines: i64,
    /// Result lines.
    pub results: u64,
    /// Lines that could not be used: number and reason.
    pub unusable: Vec<(i64, String)>,
    /// Actions, records for topics of the user's, rows of the future lane, if they were asked for: line and text.
    pub effects: Vec<(i64, String)>,
}

/// A running replay: lines in, result lines out.
#[derive(Debug)]
pub struct Replay {
    options: ReplayOptions,
    shards: Vec<Runner>,
    /// Records by shard, each with its place among all lines.
    pending: Vec<Vec<(i64, IntakeRecord)>>,
    waiting: usize,
    line: i64,
    clock: Option<Timestamp>,
    highest: Option<Timestamp>,
    epoch: u64,
    revisions: BTreeMap<String, (u64, String)>,
    source: Option<LineSource>,
    /// Rules that read what others say, and those.
    chains: BTreeMap<String, Vec<Arc<str>>>,
    /// Rules that set something.
    sets: BTreeSet<String>,
    summary: ReplaySummary,
}

/// Records for every shard, each with its line.
type Told = Vec<Vec<(i64, IntakeRecord)>>;
/// An epoch of a shard, with the lines of its records.
type Stepped = (Vec<i64>, Epoch);

impl Replay {
    /// A replay of these documents (rules, resources, resource types).
    ///
    /// # Errors
    /// All problems of all documents.
    pub fn new(documents: &str, options: ReplayOptions) -> Result<Self, ReplayError> {
        let source = LineSource::of(documents).map_err(ReplayError::Documents)?;
        Self::with_causes(documents, options, source, |_| CauseStyle::Line)
    }

    fn with_causes(
        documents: &str,
        options: ReplayOptions,
        source: Option<LineSource>,
        causes: impl Fn(u32) -> CauseStyle,
    ) -> Result<Self, ReplayError> {
        let profile = source.as_ref().map(|source| source.profile().clone());
        let settings = |shard| {
            let settings = ShardSettings::new(shard, options.shards, causes(shard));
            ShardSettings {
                profile: profile.clone().unwrap_or_default(),
                gather_all: options.gather_all,
                ..settings
            }
        };
        let shards: Vec<_> = (0..options.shards.max(1))
            .map(|shard| Runner::new(settings(shard)))
            .collect();
        let mut replay = Self {
            pending: vec![Vec::new(); shards.len()],
            options,
            shards,
            waiting: 0,
            line: 0,
            clock: None,
            highest: None,
            epoch: 0,
            revisions: BTreeMap::new(),
            source,
            chains: BTreeMap::new(),
            sets: BTreeSet::new(),
            summary: ReplaySummary::default(),
        };
        replay.apply(documents).map_err(ReplayError::Documents)?;
        Ok(replay)
    }

    fn tell_rule(&mut self, name: &str, document: Option<&str>, enabled: bool) {
        let known = self.revisions.entry(name.to_owned()).or_default();
        known.0 += 1;
        if let Some(document) = document {
            known.1 = document.to_owned();
        }
        let (revision, document) = (known.0, document.map(str::to_owned));
        self.tell(&Signal::Rule {
            request: String::new(),
            name: name.to_owned(),
            revision,
            document,
            enabled,
        });
    }

    fn tell(&mut self, signal: &Signal) {
        for shard in 0..self.pending.len() {
            self.push(shard, signal.to_record());
        }
    }

    fn push(&mut self, shard: usize, record: Record) {
        let shard = u32::try_from(shard).unwrap_or(u32::MAX);
        self.push_at(Found {
            shard,
            source: 0,
            offset: self.line,
            record,
        });
    }

    fn push_at(&mut self, found: Found) {
        if let Some(pending) = self.pending.get_mut(found.shard as usize) {
            let record = IntakeRecord {
                source: found.source,
                offset: found.offset,
                record: found.record,
            };
            pending.push((self.line, record));
        }
    }

    /// Takes one line; result lines that are complete go to `out`.
    ///
    /// # Errors
    /// When a control line is wrong, or the engine fails.
    pub fn line(&mut self, text: &[u8], out: &mut dyn FnMut(&str)) -> Result<(), ReplayError> {
        self.line += 1;
        self.summary.lines += 1;
        let plain = self.source.is_none();
        let (shards, ticks) = (self.options.shards > 1, self.options.ticks.is_some());
        let line = read_line(text, plain && shards, plain && ticks);
        let line = line.map_err(|error| ReplayError::Line {
            line: self.line,
            problem: error.to_string(),
        })?;
        match line {
            Line::Blank => Ok(()),
            Line::Tick(time) => self.tick(time, out),
            Line::Apply(documents) => {
                self.apply_line(&documents);
                Ok(())
            }
            Line::Delete(name) => {
                self.tell_rule(&name, None, false);
                Ok(())
            }
            Line::Enable(name, enabled) => {
                let document = self
                    .revisions
                    .get(&name)
                    .map(|(_, document)| document.clone());
                self.tell_rule(&name, document.as_deref(), enabled);
                Ok(())
            }
            Line::Event { resource, time } => {
                let read = self.source.as_mut().map(|source| source.read(text));
                let (resource, time, value) = match read {
                    None => (resource, time, Bytes::copy_from_slice(text)),
                    Some(read) => {
                        let (resource, time) = read.first.unzip();
                        (resource.map(Cow::Owned), time, read.value)
                    }
                };
                if let (Some(every), Some(time)) = (self.options.ticks, time) {
                    self.ticks_up_to(time, every, out)?;
                }
                let shard = resource.map_or(0, |resource| {
                    partition_of(resource.as_bytes(), self.options.shards)
                });
                let record = Record {
                    key: None,
                    value: Some(value),
                    headers: Vec::new(),
                    timestamp: i64::MIN,
                };
                self.push(shard as usize, record);
                self.waiting += 1;
                if self.waiting >= self.lines_per_epoch() {
                    self.run(None, out)
                } else {
                    Ok(())
                }
            }
        }
    }

    fn ticks_up_to(
        &mut self,
        time: Timestamp,
        every: Span,
        out: &mut dyn FnMut(&str),
    ) -> Result<(), ReplayError> {
        if let Some(highest) = self.highest {
            let mut next = (highest.0.div_euclid(every.0) + 1).saturating_mul(every.0);
            while next <= time.0 {
                self.tick(Timestamp(next), out)?;
                next = next.saturating_add(every.0);
            }
        }
        self.highest = self.highest.max(Some(time));
        Ok(())
    }

    fn tick(&mut self, time: Timestamp, out: &mut dyn FnMut(&str)) -> Result<(), ReplayError> {
        self.clock = self.clock.max(Some(time));
        self.run(self.clock, out)
    }

    /// Ends the replay: what waits is taken, then `--until`.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn end(mut self, out: &mut dyn FnMut(&str)) -> Result<ReplaySummary, ReplayError> {
        self.run(None, out)?;
        if let Some(until) = self.options.until {
            self.line += 1;
            let shards = self.shards.iter_mut();
            let epochs = shards.map(|shard| Ok((Vec::new(), shard.until(until)?)));
            let mut epochs = epochs.collect::<Result<Vec<_>, ReplayError>>()?;
            if !self.chains.is_empty() {
                self.end_chains(until, &mut epochs)?;
            }
            self.print(epochs, out);
        }
        // Shards tell of them apart; people read them in the order of their lines.
        self.summary.unusable.sort();
        Ok(self.summary)
    }

    /// One epoch in every shard.
    fn run(
        &mut self,
        clock: Option<Timestamp>,
        out: &mut dyn FnMut(&str),
    ) -> Result<(), ReplayError> {
        self.waiting = 0;
        let clock = clock.or(self.clock).unwrap_or(Timestamp::MIN);
        let none = vec![Vec::new(); self.shards.len()];
        let records = std::mem::replace(&mut self.pending, none);
        let mut epochs = self.step(clock, records)?;
        let told = parcels::told(&epochs, self.line);
        epochs.extend(self.hear(clock, told)?);
        self.feed_back(clock, &mut epochs)?;
        self.print(epochs, out);
        Ok(())
    }

    /// One step of every shard.
    fn step(
        &mut self,
        clock: Timestamp,
        records: Vec<Vec<(i64, IntakeRecord)>>,
    ) -> Result<Vec<(Vec<i64>, Epoch)>, ReplayError> {
        self.epoch += 1;
        let mut epochs = Vec::with_capacity(self.shards.len());
        for (shard, records) in self.shards.iter_mut().zip(records) {
            let (lines, records): (Vec<i64>, Vec<_>) = records.into_iter().unzip();
            let ranges = vec![OffsetRange {
                from: self.line,
                to: self.line + 1,
            }];
            let intake = Intake {
                epoch: self.epoch,
                ranges,
                records,
                clock,
                exclusions: Vec::new(),
                careful: false,
            };
            epochs.push((lines, shard.step(intake)?));
            if self.options.restore_every_epoch {
                shard.restore()?;
            }
        }
        Ok(epochs)
    }

    /// Prints the result lines of all shards in the one order that does not depend on the cut.
    fn print(&mut self, epochs: Vec<(Vec<i64>, Epoch)>, out: &mut dyn FnMut(&str)) {
        let mut all: Vec<(i64, Output)> = Vec::new();
        for (lines, epoch) in epochs {
            for output in epoch.outputs {
                let line = match output.trigger {
                    Trigger::Record(index) => {
                        lines.get(index as usize).copied().unwrap_or(self.line)
                    }
                    Trigger::Clock => self.line,
                };
                match output.destination {
                    Destination::Results => all.push((line, output)),
                    Destination::DeadLetters => {
                        let reason = output
                            .record
                            .header("dlq.reason")
                            .map(|reason| String::from_utf8_lossy(reason).into_owned());
                        self.summary
                            .unusable
                            .push((line, reason.unwrap_or_default()));
                    }
                    Destination::Actions | Destination::User(_) | Destination::Late
                        if self.options.keep_effects =>
                    {
                        all.push((line, output));
                    }
                    Destination::Signal(_)
                        if self.options.keep_effects && sets::is_set(&output) =>
                    {
                        all.push((line, output));
                    }
                    _ => {}
                }
            }
        }
        let place = |output: &Output| output.order.as_ref().map(|order| order.trigger);
        let clock_last = |output: &Output| place(output) == Some(Trigger::Clock);
        all.sort_by(|(la, a), (lb, b)| {
            (la, clock_last(a))
                .cmp(&(lb, clock_last(b)))
                .then_with(|| within(a, b))
        });
        for (line, output) in all {
            if output.destination != Destination::Results {
                let effect = lines::effect(&output).map(|effect| (line, effect));
                self.summary.effects.extend(effect);
                continue;
            }
            self.summary.results += 1;
            out(
                std::str::from_utf8(output.record.value.as_deref().unwrap_or_default())
                    .unwrap_or_default(),
            );
        }
    }
}

/// The order of outputs of one record; what is no line stands first.
fn within(one: &Output, other: &Output) -> Ordering {
    match (&one.order, &other.order) {
        (Some(one), Some(other)) => one.within(other),
        (one, other) => one.is_some().cmp(&other.is_some()),
    }
}

/// Replays a whole text of event lines: what tests and small files want.
///
/// # Errors
/// As [`Replay::new`] and [`Replay::line`].
pub fn replay_text(
    documents: &str,
    events: &str,
    options: ReplayOptions,
) -> Result<(Vec<String>, ReplaySummary), ReplayError> {
    let mut lines = Vec::new();
    let mut replay = Replay::new(documents, options)?;
    for line in events.lines() {
        replay.line(line.as_bytes(), &mut |line| lines.push(line.to_owned()))?;
    }
    let summary = replay.end(&mut |line| lines.push(line.to_owned()))?;
    Ok((lines, summary))
}
