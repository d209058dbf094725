//! What this shard tells the homes of rules that reach over several resources: everything that its own rules see, in the same
//! order, as a [`Parcel`] per epoch. While no such rule runs anywhere, nothing is told.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_operators::{Plan, Reach, View as _};
use tidegate_proto::batch::EventBatch;
use tidegate_proto::outcome::Trigger;
use tidegate_proto::record::{Partition, Record, partition_of};
use tidegate_proto::time::{Span, Timestamp};

use super::Shard;
use crate::actor::Turn;
use crate::epoch::{Destination, Intake};
use crate::parcel::{
    KnownResource, PARCEL_BYTES, PIECE_ROWS, Parcel, Piece, ReachedPiece, Rows, RulePiece,
    SaidPiece,
};

/// How long a clock that moves without news is kept back: homes wait for it, and every word about it costs a record.
const BEAT: Span = Span(500);

/// Where rows of this shard go, and how far it has told.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Sharing {
    /// Homes of the rules that want rows, and those rules.
    homes: BTreeMap<Partition, BTreeSet<Arc<str>>>,
    /// Rules that are read by others, and those.
    streams: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// The clock as last told.
    told: Option<Timestamp>,
}

/// A piece for one home, or for all, with the record that made it.
type Addressed = (Option<Partition>, u32, Piece);

/// What one epoch has to tell; empty between steps.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    pieces: Vec<Addressed>,
    /// What rules said to others.
    said: Vec<(Trigger, Partition, SaidPiece)>,
    /// How far rules that run here have come, for those that read them.
    passed: Vec<(Partition, Arc<str>, Timestamp)>,
    /// How far rules have come whose lines joins have.
    reached: Vec<(Partition, u32, ReachedPiece)>,
    /// Index of the last record of the epoch.
    last: Option<u32>,
    /// Homes that ceased to listen in this epoch: what came before that is still theirs.
    leaving: BTreeSet<Partition>,
    /// Whether a home began to listen.
    newcomers: bool,
    /// Whether the epoch took nothing but parcels.
    quiet: bool,
}

/// Index of the record behind a trigger, if there is one.
pub(super) const fn record_of(trigger: Trigger) -> u32 {
    match trigger {
        Trigger::Record(index) => index,
        Trigger::Clock => u32::MAX,
    }
}

impl Sharing {
    fn is_idle(&self) -> bool {
        self.homes.is_empty()
    }

    /// The clock at which it has to be told again, if anybody listens.
    pub(super) fn due(&self) -> Option<Timestamp> {
        let told = self.told.filter(|_| !self.is_idle())?;
        Some(Timestamp(told.0.saturating_add(BEAT.0)))
    }
}

impl Sharing {
    /// A rule reads these from here on.
    fn read(&mut self, rule: &str, from: Vec<Arc<str>>) {
        for readers in self.streams.values_mut() {
            readers.remove(rule);
        }
        for of in from {
            let readers = self.streams.entry(of).or_default();
            readers.insert(Arc::from(rule));
        }
        self.streams.retain(|_, readers| !readers.is_empty());
    }

    /// Whether no rule reads another.
    pub(super) fn nobody_reads(&self) -> bool {
        self.streams.is_empty()
    }

    /// Rules that others read.
    pub(super) fn read_rules(&self) -> impl Iterator<Item = &Arc<str>> {
        self.streams.keys()
    }

    /// Rules that read a rule.
    pub(super) fn readers(&self, rule: &str) -> impl Iterator<Item = &Arc<str>> {
        self.streams.get(rule).into_iter().flatten()
    }
}

impl Outgoing {
    /// What a rule says to those that read it.
    pub(super) fn say(&mut self, trigger: Trigger, home: Partition, said: SaidPiece) {
        self.said.push((trigger, home, said));
    }

    /// What rules said goes behind the rows, in an order that does not depend on how these were cut: that of the tasks, and what
    /// each said first.
    fn put_said(&mut self) {
        let mut said = std::mem::take(&mut self.said);
        said.sort_by(|(a, _, x), (b, _, y)| (a, &x.rule, &x.task).cmp(&(b, &y.rule, &y.task)));
        let pieces = said.into_iter().map(|(trigger, home, said)| {
            let piece = Piece::Said(Box::new(said));
            (Some(home), record_of(trigger), piece)
        });
        self.pieces.extend(pieces);
        let reached = std::mem::take(&mut self.reached).into_iter();
        let reached = reached.map(|(home, record, piece)| {
            let piece = Piece::Reached(Box::new(piece));
            (Some(home), record, piece)
        });
        self.pieces.extend(reached);
        let passed = std::mem::take(&mut self.passed).into_iter();
        let passed = passed.map(|(home, rule, clock)| {
            let piece = Piece::Passed(rule, clock);
            (Some(home), u32::MAX, piece)
        });
        self.pieces.extend(passed);
    }

    /// A rule whose lines joins have has come so far by a record.
    pub(super) fn reach(&mut self, record: u32, homes: &[Partition], piece: &ReachedPiece) {
        let homes = homes.iter();
        let reached = homes.map(|home| (*home, record, piece.clone()));
        self.reached.extend(reached);
    }

    /// Index of the last record of the epoch, as that of a clock if there is none.
    pub(super) fn last_record(&self) -> u32 {
        self.last.unwrap_or(u32::MAX)
    }

    /// A rule that runs here has come so far.
    pub(super) fn pass(&mut self, home: Partition, rule: &Arc<str>, clock: Timestamp) {
        self.passed.push((home, Arc::clone(rule), clock));
    }
}

impl Shard {
    /// Whether a rule runs at its home and nowhere else.
    pub(super) fn is_wide(&self, plan: &Plan) -> bool {
        plan.reach() == Reach::Wide || self.settings.gather_all
    }

    /// The shard where a rule that reaches over several resources runs: that of its definition.
    pub(super) fn home_of(&self, rule: &str) -> Partition {
        partition_of(format!("rule/{rule}").as_bytes(), self.settings.partitions)
    }

    /// From here on a rule wants rows, or wants none any more.
    pub(super) fn share_with(&mut self, rule: &str, wants: bool, trigger: Trigger) {
        let home = self.home_of(rule);
        let reads = self.plans.get(rule).filter(|_| wants);
        let reads = reads.map_or_else(Vec::new, |plan| plan.rule().reads());
        // Who begins to read hears how far those are.
        let levels = &mut self.state.gathered.levels;
        levels.retain(|of, _| !reads.contains(of));
        let sharing = &mut self.state.sharing;
        sharing.read(rule, reads);
        if !wants {
            if let Some(rules) = sharing.homes.get_mut(&home) {
                rules.remove(rule);
                if rules.is_empty() {
                    sharing.homes.remove(&home);
                    self.work.outgoing.leaving.insert(home);
                }
            }
            return;
        }
        let is_new = !sharing.homes.contains_key(&home);
        let rules = sharing.homes.entry(home).or_default();
        rules.insert(Arc::from(rule));
        if is_new {
            self.work.outgoing.newcomers = true;
            self.tell_all_known(home, trigger);
        }
    }

    /// What is known of every resource, for a home that begins to listen.
    fn tell_all_known(&mut self, home: Partition, trigger: Trigger) {
        let record = record_of(trigger);
        let afresh = Piece::Afresh(self.state.clock);
        self.work.outgoing.pieces.push((Some(home), record, afresh));
        for (id, resource) in self.state.registry.sorted() {
            let Some(actor) = self.state.registry.look(resource) else {
                continue;
            };
            let name = |metric: u32| self.state.metrics.text(metric).cloned();
            let values = actor
                .metrics
                .iter()
                .filter_map(|last| Some((name(last.metric)?, last.time, last.value.clone())));
            let known = KnownResource {
                id,
                traits: self.state.registry.traits(resource).clone(),
                timing: self.timing(resource),
                heard: self.pipeline.heard(resource),
                values: values.collect(),
            };
            let piece = Piece::Known(Box::new(known));
            self.work.outgoing.pieces.push((Some(home), record, piece));
        }
    }

    /// `disorder` and `idle` of a resource's type.
    pub(super) fn timing(&self, resource: u32) -> (Option<Span>, Option<Span>) {
        let traits = self.state.registry.own_traits(resource);
        let kind = traits
            .kind
            .as_ref()
            .and_then(|kind| self.state.types.get(kind));
        kind.map_or((None, None), |kind| (kind.disorder, kind.idle))
    }

    /// A resource is something else from here on.
    pub(super) fn share_traits(&mut self, resource: u32, trigger: Trigger) {
        if self.state.sharing.is_idle() {
            return;
        }
        let piece = Piece::Described {
            id: self.state.registry.id(resource),
            traits: self.state.registry.traits(resource).clone(),
            timing: self.timing(resource),
        };
        self.share(None, trigger, piece);
    }

    /// A resource is no more.
    pub(super) fn share_end(&mut self, resource: u32, trigger: Trigger) {
        if self.state.sharing.is_idle() {
            return;
        }
        let piece = Piece::Forgotten(self.state.registry.id(resource));
        self.share(None, trigger, piece);
    }

    /// Rows that the rules of this shard have seen.
    pub(super) fn share_rows(&mut self, batch: &EventBatch, range: &Range<usize>) {
        if self.state.sharing.is_idle() {
            return;
        }
        let mut start = range.start;
        while start < range.end {
            let end = (start + PIECE_ROWS).min(range.end);
            let end = self.equally_deep(batch, start..end);
            let names = (self.state.registry.known_names(), &self.state.metrics);
            let rows = Rows::of(batch, start..end, names, &self.settings.causes);
            let record = batch.record.get(start).copied().unwrap_or_default();
            self.share(None, Trigger::Record(record), Piece::Rows(rows));
            start = end;
        }
    }

    /// How far rows go that the same number of `set`s caused: they are told together.
    fn equally_deep(&self, batch: &EventBatch, range: Range<usize>) -> usize {
        if self.work.depths.is_empty() {
            return range.end;
        }
        let depth = |row: usize| {
            let record = batch.record.get(row).copied().unwrap_or_default();
            self.depth_of(Trigger::Record(record))
        };
        let first = depth(range.start);
        let mut rows = range.clone();
        let other = rows.find(|row| depth(*row) != first);
        other.unwrap_or(range.end)
    }

    /// A rule changes at this place of this shard's own rows.
    pub(super) fn share_rule(&mut self, rule: RulePiece, trigger: Trigger) {
        let piece = Piece::Rule(Box::new(rule));
        self.share(Some(self.settings.shard), trigger, piece);
    }

    fn share(&mut self, home: Option<Partition>, trigger: Trigger, piece: Piece) {
        let piece = (home, record_of(trigger), piece);
        self.work.outgoing.pieces.push(piece);
    }

    /// Before the records of an epoch: whether there is anything but parcels.
    pub(super) fn listen(&mut self, intake: &Intake) {
        let last = intake.records.len().checked_sub(1);
        self.work.outgoing.last = last.and_then(|last| u32::try_from(last).ok());
        self.work.outgoing.quiet =
            !intake.records.is_empty() && intake.records.iter().all(super::gather::is_parcel);
    }

    /// What this epoch has to tell becomes signals.
    pub(super) fn send_parcels(&mut self) {
        self.reach_as_a_whole();
        let mut outgoing = std::mem::take(&mut self.work.outgoing);
        outgoing.put_said();
        let homes: BTreeSet<Partition> = self.state.sharing.homes.keys().copied().collect();
        let tells =
            |clock: &Timestamp| outgoing.newcomers || self.must_tell(*clock, outgoing.quiet);
        let clock = self.state.clock.filter(tells);
        if homes.is_empty() && outgoing.pieces.is_empty() {
            return;
        }
        self.state.sharing.told = clock.or(self.state.sharing.told);
        let named = outgoing.pieces.iter().filter_map(|(home, ..)| *home);
        let all: BTreeSet<Partition> = named
            .chain(homes.iter().copied())
            .chain(outgoing.leaving)
            .collect();
        let mut turn = Turn::new(Trigger::Clock, self.settings.partitions);
        for home in all {
            let pieces = outgoing
                .pieces
                .iter()
                .filter(|(to, ..)| to.is_none_or(|to| to == home));
            let pieces = pieces.map(|(_, record, piece)| (*record, piece.clone()));
            let clock = clock.filter(|_| homes.contains(&home));
            for parcel in parcels(self.settings.shard, pieces, clock, &self.work.depths) {
                turn.pass_on(Destination::Signal(home), parcel);
            }
        }
        self.work.effects.extend(turn.into_effects());
    }

    /// What rules said at the end of a replay, and nothing else.
    pub(super) fn send_said(&mut self) {
        let mut outgoing = std::mem::take(&mut self.work.outgoing);
        outgoing.put_said();
        let homes: BTreeSet<Partition> = outgoing.pieces.iter().filter_map(|(h, ..)| *h).collect();
        let mut turn = Turn::new(Trigger::Clock, self.settings.partitions);
        for home in homes {
            let pieces = outgoing.pieces.iter().filter(|(to, ..)| *to == Some(home));
            let pieces = pieces.map(|(_, record, piece)| (*record, piece.clone()));
            for parcel in parcels(self.settings.shard, pieces, None, &self.work.depths) {
                turn.pass_on(Destination::Signal(home), parcel);
            }
        }
        self.work.effects.extend(turn.into_effects());
    }

    /// A clock that moved is told with every epoch that brought something, and at a beat otherwise: a parcel that is read moves the
    /// clock too, and must not be answered by another one for ever.
    fn must_tell(&self, clock: Timestamp, quiet: bool) -> bool {
        match self.state.sharing.told {
            None => true,
            Some(told) if quiet => clock.0.saturating_sub(told.0) >= BEAT.0,
            Some(told) => clock > told,
        }
    }
}

/// Cuts what is told into parcels of bounded size, each of what equally many `set`s caused; the clock comes with the last.
fn parcels(
    from: Partition,
    pieces: impl Iterator<Item = (u32, Piece)>,
    clock: Option<Timestamp>,
    depths: &BTreeMap<u32, u32>,
) -> Vec<Record> {
    let mut parcels = Vec::new();
    let (mut bytes, mut depth) = (0, 0);
    let mut open = Vec::new();
    let parcel = |pieces, clock, depth| {
        let parcel = Parcel {
            from,
            pieces,
            clock,
        };
        parcel.to_record_behind(depth)
    };
    for (record, piece) in pieces {
        let own = depths.get(&record).copied().unwrap_or(0);
        if (bytes >= PARCEL_BYTES || own != depth) && !open.is_empty() {
            parcels.push(parcel(std::mem::take(&mut open), None, depth));
            bytes = 0;
        }
        depth = own;
        bytes += piece.bytes();
        open.push((record, piece));
    }
    if !open.is_empty() || clock.is_some() {
        parcels.push(parcel(open, clock, depth));
    }
    parcels
}
