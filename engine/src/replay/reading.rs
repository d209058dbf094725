//! Reading what an engine has stored: the inbox and, from where their sources began, the topics that it read in place, oldest
//! record first.

use std::collections::BTreeMap;

use tidegate_actors::command::{SIGNAL, Signal};
use tidegate_actors::port::{Entry, EventLog, PortError, PortErrorKind, ReadLimit, TopicPartition};
use tidegate_actors::source::parse_source;
use tidegate_proto::record::{KIND_HEADER, Offset, Partition, Record, Topic};

const LIMIT: ReadLimit = ReadLimit {
    records: 10_000,
    bytes: 16 << 20,
};

/// One partition while it is read.
struct Cursor {
    place: TopicPartition,
    /// Number of the topic in the shard.
    source: u16,
    next: Offset,
    entries: std::vec::IntoIter<Entry>,
    head: Option<(Offset, Record)>,
}

impl Cursor {
    /// Brings the next record to the head.
    async fn advance(&mut self, log: &dyn EventLog) -> Result<(), PortError> {
        self.head = None;
        if self.entries.len() == 0 {
            self.entries = log
                .read(&self.place, self.next, LIMIT)
                .await?
                .entries
                .into_iter();
        }
        if let Some(entry) = self.entries.next() {
            self.next = entry.offset + 1;
            self.head = Some((entry.offset, entry.record));
        }
        Ok(())
    }
}

/// A stored record with its place.
pub(super) struct Found {
    pub(super) shard: Partition,
    pub(super) source: u16,
    pub(super) offset: Offset,
    pub(super) record: Record,
}

/// All partitions while they are read.
pub(super) struct Reading<'l> {
    log: &'l dyn EventLog,
    cursors: Vec<Cursor>,
    /// Topic and generation of what a source reads, by shard and source.
    readers: BTreeMap<(Partition, String), (Topic, u64)>,
    /// Topics of each shard by their numbers, from 1.
    numbers: BTreeMap<Partition, Vec<Topic>>,
}

impl<'l> Reading<'l> {
    /// Begins with the oldest records of the inbox.
    pub(super) async fn open(
        log: &'l dyn EventLog,
        inbox: &Topic,
        shards: u32,
    ) -> Result<Self, PortError> {
        let mut reading = Self {
            log,
            cursors: Vec::new(),
            readers: BTreeMap::new(),
            numbers: BTreeMap::new(),
        };
        for partition in 0..shards {
            let place = TopicPartition {
                topic: Topic::clone(inbox),
                partition,
            };
            reading.begin(place, 0, 0).await?;
        }
        Ok(reading)
    }

    /// Begins a partition at an offset, or at the first one that is still there.
    async fn begin(
        &mut self,
        place: TopicPartition,
        source: u16,
        start: Offset,
    ) -> Result<(), PortError> {
        let bounds = self.log.bounds(&place).await?;
        let mut cursor = Cursor {
            place,
            source,
            next: start.max(bounds.start),
            entries: Vec::new().into_iter(),
            head: None,
        };
        cursor.advance(self.log).await?;
        self.cursors.push(cursor);
        Ok(())
    }

    /// The next record: the oldest one, of equal ones that of the lower partition, then of the lower source.
    pub(super) async fn next(&mut self) -> Result<Option<Found>, PortError> {
        let stamp = |cursor: &Cursor| cursor.head.as_ref().map(|(_, record)| record.timestamp);
        let heads = self.cursors.iter_mut().filter(|one| one.head.is_some());
        let oldest = heads.min_by_key(|one| (stamp(one), one.place.partition, one.source));
        let Some(cursor) = oldest else {
            return Ok(None);
        };
        let (shard, source) = (cursor.place.partition, cursor.source);
        let head = cursor.head.take();
        cursor.advance(self.log).await?;
        let Some((offset, record)) = head else {
            return Ok(None);
        };
        if source == 0 {
            self.heed(shard, &record).await?;
        }
        Ok(Some(Found {
            shard,
            source,
            offset,
            record,
        }))
    }

    /// A signal about a source begins and ends the reading of its topic.
    async fn heed(&mut self, shard: Partition, record: &Record) -> Result<(), PortError> {
        let is_signal = record
            .header(KIND_HEADER)
            .is_some_and(|kind| kind.as_ref() == SIGNAL.as_bytes());
        let body = record.value.as_deref().unwrap_or_default();
        let signal = is_signal.then(|| serde_json::from_slice(body));
        let Some(Ok(Signal::Source {
            name,
            generation,
            document,
            starts,
            ..
        })) = signal
        else {
            return Ok(());
        };
        let source = document.and_then(|document| parse_source(&document).ok());
        let topic = source.filter(|source| source.is_in_place());
        let wanted = topic.map(|source| (source.topic, generation));
        let key = (shard, name);
        if self.readers.get(&key) == wanted.as_ref() {
            return Ok(());
        }
        if let Some((topic, _)) = self.readers.remove(&key) {
            let gone = |one: &Cursor| one.source > 0 && one.place.partition == shard;
            self.cursors
                .retain(|one| !(gone(one) && one.place.topic == topic));
        }
        let Some((topic, generation)) = wanted else {
            return Ok(());
        };
        let numbers = self.numbers.entry(shard).or_default();
        let known = numbers.iter().position(|known| *known == topic);
        let number = known.unwrap_or_else(|| {
            numbers.push(Topic::clone(&topic));
            numbers.len() - 1
        });
        let start = starts.get(shard as usize).copied().unwrap_or(0);
        let place = TopicPartition {
            topic: Topic::clone(&topic),
            partition: shard,
        };
        let number = u16::try_from(number + 1).unwrap_or(u16::MAX);
        self.readers.insert(key, (topic, generation));
        match self.begin(place, number, start).await {
            // A topic that is not there any more has nothing to say.
            Err(error) if error.kind == PortErrorKind::NotFound => Ok(()),
            begun => begun,
        }
    }
}
