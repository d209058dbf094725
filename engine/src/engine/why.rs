//! Why: the history of one shard is played again, from its oldest snapshot or its beginning, while one task is watched.

use std::sync::Arc;

use tidegate_actors::epoch::{Intake, IntakeRecord};
use tidegate_actors::journal::{EpochEntry, History, HistoryRules, JournalEntry};
use tidegate_actors::owner::{Machine as _, open_snapshot};
use tidegate_actors::port::{EventLog, PortError, PortErrorKind, ReadLimit, TopicPartition};
use tidegate_actors::rule::parse_rule;
use tidegate_actors::shard::{Shard, ShardSettings};
use tidegate_actors::source::Reading;
use tidegate_actors::why::{Answer, Question, Why, WhyLimits};
use tidegate_operators::Reach;
use tidegate_proto::record::{Offset, Partition, Record, Topic, partition_of};
use tidegate_proto::time::Timestamp;

use super::{Engine, start};
use crate::error::EngineError;
use crate::log::offload;

/// Records that are read before they are played.
const TOGETHER: u64 = 20_000;
/// What one read brings.
const READ: ReadLimit = ReadLimit {
    records: 50_000,
    bytes: 32 << 20,
};

/// A shard that plays its history, and who watches it.
struct Player {
    shard: Shard,
    why: Why,
}

/// An epoch with its records, ready to be played.
type Ready = (EpochEntry, Vec<IntakeRecord>);

/// A shard, its next journal record, and the generation of the one before.
type Beginning = (Shard, Offset, Option<Offset>);

impl Engine {
    /// Why a rule fired, or did not, on a resource: the answer as JSON text.
    ///
    /// # Errors
    /// When the history cannot be read or played.
    pub async fn why(&self, question: Question) -> Result<String, EngineError> {
        let most = self.0.config.limits.why_bytes;
        Ok(self.answer(question).await?.text(most))
    }

    /// The shard that knows the answer, and the question as it understands it.
    async fn asked(&self, mut question: Question) -> Result<(Partition, Question), EngineError> {
        let rule = self.rule(&question.rule).await?;
        let plan = rule.and_then(|rule| parse_rule(&rule.document).ok());
        let plan = plan.map(|(_, plan)| plan);
        if plan.as_ref().is_some_and(|plan| plan.is_everything()) {
            let name = question.rule.as_str();
            let key = question.resource.strip_prefix(name);
            let key = key.and_then(|key| {
                if key.is_empty() {
                    Some(key)
                } else {
                    key.strip_prefix('/')
                }
            });
            if let Some(key) = key {
                question.resource = key.to_owned();
            }
        }
        let wide = plan.is_some_and(|plan| plan.reach() == Reach::Wide);
        let home = format!("rule/{}", question.rule);
        let of = if wide { &home } else { &question.resource };
        Ok((partition_of(of.as_bytes(), self.0.partitions), question))
    }

    async fn answer(&self, question: Question) -> Result<Answer, EngineError> {
        // Playing takes a core; whoever asks at the same time waits.
        let _turn = self.0.asking.lock().await;
        let (shard, question) = self.asked(question).await?;
        let settings =
            start::shard_settings(shard, self.0.partitions, &self.0.config, &self.0.topics);
        let journal = self.start_of(&self.0.topics.journal, shard).await?;
        let inbox = self.start_of(&self.0.topics.inbox, shard).await?;
        let whole = (journal == 0 && inbox == 0).then(|| Shard::new(settings.clone()));
        let snapshot = self.oldest_snapshot(&settings, journal).await?;
        let mut gone = None;
        if let Some(beginning) = snapshot {
            let clock = beginning.0.clock();
            if !beginning.0.has_come_to(&question) {
                let answer = self.play(shard, beginning, question.clone()).await?;
                let found = answer.is_final(&question);
                if found || (whole.is_none() && answer.answer != "no_data") {
                    return Ok(answer);
                }
            }
            gone = Some(clock);
        }
        if let Some(new) = whole {
            return self.play(shard, (new, 0, None), question).await;
        }
        let from = match gone {
            Some(clock) => clock,
            None => self.first_moment(shard, journal).await?,
        };
        Ok(Answer::gone(from))
    }

    async fn start_of(&self, topic: &Topic, shard: Partition) -> Result<Offset, EngineError> {
        let bounds = self.0.log.port().bounds(&place(topic, shard)).await?;
        Ok(bounds.start)
    }

    /// When the first record that the journal still has was written.
    async fn first_moment(&self, shard: Partition, at: Offset) -> Result<Timestamp, EngineError> {
        let of = place(&self.0.topics.journal, shard);
        let first = self.0.log.port().read(&of, at, READ).await?;
        let first = first.entries.first();
        Ok(Timestamp(first.map_or(0, |entry| entry.record.timestamp)))
    }

    /// The oldest snapshot that can be read and whose journal goes on: the shard, its next record, its generation.
    async fn oldest_snapshot(
        &self,
        settings: &ShardSettings,
        journal: Offset,
    ) -> Result<Option<Beginning>, EngineError> {
        let mut names = self.0.snapshots.list(settings.shard).await?;
        names.sort();
        for name in names {
            let from = name.journal + 1;
            let bytes = match self.0.snapshots.get(name).await {
                Ok(bytes) if from >= journal => bytes,
                // Damaged, or removed meanwhile: a younger one will do.
                Ok(_) | Err(_) => continue,
            };
            let settings = settings.clone();
            let restored = offload(move || {
                let (generation, body) = open_snapshot(&bytes).map_err(|why| unplayable(&why))?;
                let shard = Shard::restore(settings, body).map_err(|why| unplayable(&why))?;
                Ok((shard, generation))
            });
            let (shard, generation) = restored.await?;
            return Ok(Some((shard, from, Some(generation))));
        }
        Ok(None)
    }

    /// Plays everything that is acknowledged, or up to the moment in question.
    async fn play(
        &self,
        shard: Partition,
        (mut begun, from, generation): Beginning,
        question: Question,
    ) -> Result<Answer, EngineError> {
        let limits = WhyLimits {
            attempts: self.0.config.limits.why_attempts,
            bytes: self.0.config.limits.why_bytes,
        };
        let mut why = Why::new(question, limits);
        why.begin(&mut begun);
        let mut player = Player { shard: begun, why };
        let log = self.0.log.port();
        let journal = place(&self.0.topics.journal, shard);
        let end = log.bounds(&journal).await?.end;
        let entries = read(log.as_ref(), &journal, from, end).await?.into_iter();
        let entries: Vec<(Offset, JournalEntry)> = entries
            .map(|(offset, record)| Ok((offset, decoded(&record)?)))
            .collect::<Result<_, PortError>>()?;
        let rules = HistoryRules::default();
        let history = History::read(&entries, generation, player.shard.epoch(), rules);
        let exclusions = Arc::new(history.exclusions);
        let mut epochs = history
            .epochs
            .into_iter()
            .map(|(_, entry)| entry)
            .peekable();
        while epochs.peek().is_some() && !player.why.is_over() {
            let readings = player.shard.readings();
            let mut ready: Vec<Ready> = Vec::new();
            let mut count = 0;
            // A reading that an epoch begins is known only when that epoch was played.
            while let Some(entry) = epochs.next_if(|next| {
                ready.is_empty() || (count < TOGETHER && next.ranges.len() <= readings.len())
            }) {
                let records = taken(log.as_ref(), shard, &readings, &entry).await?;
                count += records.len() as u64;
                ready.push((entry, records));
            }
            let excluded = Arc::clone(&exclusions);
            player = offload(move || player.step(ready, &excluded)).await?;
        }
        Ok(player.why.answer(&player.shard))
    }
}

/// The records of one epoch.
async fn taken(
    log: &dyn EventLog,
    shard: Partition,
    readings: &[Reading],
    entry: &EpochEntry,
) -> Result<Vec<IntakeRecord>, PortError> {
    let mut records = Vec::new();
    for ((source, range), one) in (0_u16..).zip(&entry.ranges).zip(readings) {
        let of = place(&one.topic, shard);
        let found = read(log, &of, range.from, range.to).await?;
        records.extend(found.into_iter().map(|(offset, record)| IntakeRecord {
            source,
            offset,
            record,
        }));
    }
    Ok(records)
}

impl Player {
    fn step(
        mut self,
        epochs: Vec<Ready>,
        exclusions: &[tidegate_actors::epoch::Exclusion],
    ) -> Result<Self, PortError> {
        for (entry, records) in epochs {
            let of_epoch = exclusions.iter().filter(|one| one.epoch == entry.epoch);
            let intake = Intake {
                epoch: entry.epoch,
                exclusions: of_epoch.cloned().collect(),
                ranges: entry.ranges,
                records,
                clock: entry.clock,
                careful: false,
            };
            let epoch = self.shard.step(&intake);
            let epoch = epoch.map_err(|fault| unplayable(&fault.to_string()))?;
            self.why.take(&mut self.shard, &epoch);
        }
        Ok(self)
    }
}

fn place(topic: &Topic, partition: Partition) -> TopicPartition {
    TopicPartition {
        topic: Topic::clone(topic),
        partition,
    }
}

fn unplayable(why: &str) -> PortError {
    PortError::new(
        PortErrorKind::Corrupt,
        format!("the history cannot be played again: {why}"),
    )
}

fn decoded(record: &Record) -> Result<JournalEntry, PortError> {
    JournalEntry::decode(record).map_err(|error| unplayable(&error.to_string()))
}

/// Records `[at, to)` of one partition.
async fn read(
    log: &dyn EventLog,
    of: &TopicPartition,
    mut at: Offset,
    to: Offset,
) -> Result<Vec<(Offset, Record)>, PortError> {
    let mut all = Vec::new();
    while at < to {
        let slice = log.read(of, at, READ).await?;
        let Some(last) = slice.entries.last().map(|entry| entry.offset) else {
            break;
        };
        let inside = slice.entries.into_iter().filter(|entry| entry.offset < to);
        all.extend(inside.map(|entry| (entry.offset, entry.record)));
        at = last + 1;
    }
    Ok(all)
}
