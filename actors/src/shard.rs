//! [`Shard`]: the actors of one partition. A pure function of its journal: an [`Intake`] in, an [`Epoch`] out.
//!
//! One step: records in log order are decoded into columns until a command or signal interrupts them; the rows go
//! through the rules, then into the twins; what rules say goes to tasks, what tasks want becomes outputs; at the end the
//! clock moves. Results never depend on where the intake was cut.

mod define;
mod depth;
mod gather;
mod intake;
mod look;
mod reached;
mod settle;
mod sharing;
mod source;
mod streams;
mod supervise;
mod why;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_operators::{Pipeline, PipelineSettings, Plan};
use tidegate_proto::batch::EventBatch;
use tidegate_proto::decode::{DecodeLimits, Decoder, SourceProfile, Undecodable};
use tidegate_proto::id::Names;
use tidegate_proto::outcome::{Outcome, Trigger};
use tidegate_proto::record::{Offset, Partition};
use tidegate_proto::resource::ResourceTypeDefinition;
use tidegate_proto::time::{Span, Timestamp};

use crate::actor::{Effect, Turn, panic_text};
use crate::epoch::{Epoch, EpochNumber, Exclusion, Intake, Place};
use crate::observe::ShardCounters;
use crate::owner::{Machine, StepFault};
use crate::registry::Registry;
use crate::result::CauseStyle;
use crate::rule::DefinitionActor;
use crate::source::Reading;
use crate::task::TaskActor;
use gather::{Gathered, Gathering};
use sharing::{Outgoing, Sharing};
use supervise::{Failures, Watch};

pub use intake::{ONCE_HEADER, ONLY_HEADER};

use source::Sources;

/// Version of a snapshot's bytes; another one is refused.
const SNAPSHOT_VERSION: u8 = 6;

/// Settings of a shard. Equal settings are part of what makes a replay equal: a change of them takes effect at a
/// snapshot, never in the middle of a history.
#[derive(Clone, Debug)]
pub struct ShardSettings {
    /// Its number.
    pub shard: Partition,
    /// How many there are.
    pub partitions: u32,
    /// How events are named as causes.
    pub causes: CauseStyle,
    /// Names of the source topics in their fixed order, for dead letters.
    pub sources: Vec<Arc<str>>,
    /// Time defaults and limits of the rules.
    pub pipeline: PipelineSettings,
    /// Limits of decoding.
    pub decode: DecodeLimits,
    /// How events say what they say.
    pub profile: SourceProfile,
    /// Rows further past the clock go to the future lane.
    pub future: Span,
    /// Resources idle for longer are passivated.
    pub passivate: Span,
    /// Bytes of active twins beyond which the least recently touched are passivated.
    pub twin_bytes: u64,
    /// Ids of records posted with an idempotency key that are remembered: a repeat within so many is dropped.
    pub remembered: usize,
    /// Most sources, and most topics that were ever read in place; default 256.
    pub most_sources: usize,
    /// How many events that rules set may follow from each other; beyond it they are dead letters. Default 16.
    pub set_depth: u32,
    /// Run every rule at its home, as one that reaches over several resources: the answers are the same. For tests.
    pub gather_all: bool,
    /// Faults that a simulation asks for.
    pub breaks: ShardBreaks,
}

/// Faults of a shard that a simulation asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardBreaks {
    /// Twins of resources whose id begins with `brittle` panic on rows whose event time is a multiple of this, in ms;
    /// 0: never.
    pub brittle_twins: i64,
    /// Bookkeeping that belongs to nobody panics when the clock reaches this, in ms; 0: never.
    pub brittle_clock: i64,
}

impl ShardSettings {
    /// Settings of one shard of several, with the defaults of everything else, for events from one source.
    #[must_use]
    pub fn new(shard: Partition, partitions: u32, causes: CauseStyle) -> Self {
        Self {
            shard,
            partitions,
            causes,
            sources: vec![Arc::from("events")],
            pipeline: PipelineSettings::default(),
            decode: DecodeLimits::default(),
            profile: SourceProfile::default(),
            future: Span::seconds(600),
            passivate: Span::seconds(900),
            twin_bytes: 256 << 20,
            remembered: 100_000,
            gather_all: false,
            breaks: ShardBreaks::default(),
            most_sources: 256,
            set_depth: 16,
        }
    }
}

/// A rule as this shard runs it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Installed {
    revision: u64,
    enabled: bool,
    document: String,
    quarantined: Option<String>,
    /// How often this revision broke a step.
    strikes: u32,
}

/// Rule, resource, group: in the order in which tasks are listed.
type TaskKey = (Arc<str>, u32, Arc<str>);

/// Ids of records that came with an idempotency key, oldest forgotten first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Once {
    order: std::collections::VecDeque<Arc<str>>,
    known: BTreeSet<Arc<str>>,
}

impl Once {
    /// Whether an id is seen for the first time.
    fn is_first(&mut self, id: &str, remembered: usize) -> bool {
        if self.known.contains(id) {
            return false;
        }
        if self.order.len() >= remembered
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        let id: Arc<str> = Arc::from(id);
        self.order.push_back(Arc::clone(&id));
        self.known.insert(id);
        true
    }
}

/// Everything of a shard that its journal decides, but the rules' own state.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    epoch: EpochNumber,
    /// `i64::MIN` until the first tick.
    clock: Option<Timestamp>,
    positions: Vec<Offset>,
    registry: Registry,
    metrics: Names,
    definitions: BTreeMap<Arc<str>, DefinitionActor>,
    installed: BTreeMap<String, Installed>,
    types: BTreeMap<Arc<str>, ResourceTypeDefinition>,
    tasks: BTreeMap<TaskKey, TaskActor>,
    /// Failed turns of tasks, and the last reason.
    strikes: BTreeMap<TaskKey, (u32, String)>,
    failures: BTreeMap<u32, Failures>,
    /// What must be left out, by the record at which that is; `None`: the next move of the clock.
    left_out: BTreeMap<Option<Place>, Vec<Exclusion>>,
    /// Newest signal seen from each shard: epoch and sequence.
    seen: BTreeMap<Partition, (EpochNumber, u32)>,
    once: Once,
    /// When to look whether a resource has fallen silent.
    silence: BTreeSet<(i64, u32)>,
    counters: ShardCounters,
    sources: Sources,
    sharing: Sharing,
    gathered: Gathered,
}

/// The actors of one partition.
#[derive(Debug)]
pub struct Shard {
    settings: ShardSettings,
    state: State,
    plans: BTreeMap<String, Arc<Plan>>,
    pipeline: Pipeline,
    /// Rules that reach over several resources and have their home here.
    gathering: Gathering,
    decoder: Decoder,
    work: Work,
}

/// What one step works with; empty between steps.
#[derive(Debug, Default)]
struct Work {
    batch: EventBatch,
    bad: Vec<Undecodable>,
    outcomes: Vec<Outcome>,
    /// Rows that rules missed, on their way to the late lane.
    late: Vec<Outcome>,
    effects: Vec<Effect>,
    rows: usize,
    watch: Watch,
    outgoing: Outgoing,
    /// By record, how many `set`s in a row caused it, where any did.
    depths: BTreeMap<u32, u32>,
}

impl Shard {
    /// A shard without history.
    #[must_use]
    pub fn new(settings: ShardSettings) -> Self {
        let decoder = Decoder::new(settings.decode, settings.profile.clone());
        let pipeline = Pipeline::new(settings.pipeline);
        let gathering = Gathering::new(settings.pipeline);
        Self {
            settings,
            state: State::default(),
            plans: BTreeMap::new(),
            pipeline,
            gathering,
            decoder,
            work: Work::default(),
        }
    }

    /// A shard as it was when the snapshot was taken.
    ///
    /// # Errors
    /// When the bytes are no snapshot of this version, in words for a person.
    pub fn restore(settings: ShardSettings, bytes: &[u8]) -> Result<Self, String> {
        let (version, body) = bytes.split_first().ok_or("the snapshot is empty")?;
        if *version != SNAPSHOT_VERSION {
            return Err(format!(
                "the snapshot has version {version}, this program reads {SNAPSHOT_VERSION}"
            ));
        }
        let (mut state, pipeline, gathering): (State, Vec<u8>, Vec<u8>) =
            postcard::from_bytes(body)
                .map_err(|error| format!("the snapshot cannot be read: {error}"))?;
        state.registry.share();
        let mut shard = Self::new(settings);
        for (name, installed) in &state.installed {
            let (_, plan) = crate::rule::parse_rule(&installed.document).map_err(|_| {
                format!("the rule `{name}` of the snapshot does not compile with this version")
            })?;
            shard.plans.insert(name.clone(), Arc::new(plan));
        }
        let running = |name: &String| state.installed.get(name).is_some_and(Installed::runs);
        let plans = shard
            .plans
            .iter()
            .filter(|(name, plan)| running(name) && !shard.is_wide(plan))
            .map(|(_, plan)| Arc::clone(plan))
            .collect();
        shard.pipeline = Pipeline::restore(&pipeline, plans, shard.settings.pipeline)
            .map_err(|error| error.to_string())?;
        let settings = shard.settings.pipeline;
        shard.gathering = Gathering::restore(&mut state.gathered, &gathering, settings)?;
        shard.state = state;
        shard.read_sources();
        Ok(shard)
    }

    /// Moves the clock and every watermark to a time: the end of a replay that says so.
    ///
    /// # Errors
    /// When a rule breaks on it; the shard must not be used again then.
    pub fn until(&mut self, time: Timestamp) -> Result<Epoch, StepFault> {
        self.work.watch = Watch::default();
        let intake = Intake {
            epoch: self.state.epoch + 1,
            ..Intake::default()
        };
        catch_unwind(AssertUnwindSafe(|| self.inner_until(time)))
            .map_err(|panic| self.fault(&intake, panic_text(panic.as_ref())))
    }

    fn inner_until(&mut self, time: Timestamp) -> Epoch {
        self.pipeline
            .until(time, &self.state.registry, &mut self.work.outcomes);
        self.state.clock = self.state.clock.max(Some(time));
        self.settle();
        self.gather_until(time);
        self.send_said();
        self.state.epoch += 1;
        self.finish()
    }

    /// The same for rules that read what others say and stand behind so many of them; after [`Shard::until`].
    ///
    /// # Errors
    /// As [`Shard::until`].
    pub fn until_behind(&mut self, time: Timestamp, depth: usize) -> Result<Epoch, StepFault> {
        self.work.watch = Watch::default();
        let intake = Intake {
            epoch: self.state.epoch + 1,
            ..Intake::default()
        };
        catch_unwind(AssertUnwindSafe(|| {
            self.until_streams(time, depth);
            self.send_said();
            self.state.epoch += 1;
            self.finish()
        }))
        .map_err(|panic| self.fault(&intake, panic_text(panic.as_ref())))
    }

    /// Earliest clock that makes something happen; may be too early, never too late.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        let silent = self.state.silence.first().map(|(due, _)| Timestamp(*due));
        let told = self.state.sharing.due();
        [self.pipeline.next_clock(), silent, told]
            .into_iter()
            .flatten()
            .min()
    }

    /// The clock, or the beginning of time before the first tick.
    fn now(&self) -> Timestamp {
        self.state.clock.unwrap_or(Timestamp::MIN)
    }

    fn turn(&self, trigger: Trigger) -> Turn {
        Turn::new(trigger, self.settings.partitions)
    }

    fn advance(&mut self, clock: Timestamp) {
        if self.state.clock >= Some(clock) || clock == Timestamp::MIN {
            return;
        }
        self.bar_clock();
        self.state.clock = Some(clock);
        self.break_clock(clock);
        let (
            Work {
                watch, outcomes, ..
            },
            registry,
        ) = (&mut self.work, &self.state.registry);
        self.pipeline.without(&watch.barred, |rules| {
            rules.advance(clock, registry, outcomes);
        });
        self.work.watch.barred.clear();
        self.work.watch.refused.clear();
        self.settle();
        self.fall_silent(clock);
        self.state
            .registry
            .sweep(clock, self.settings.passivate.0, self.settings.twin_bytes);
    }

    fn inner_step(&mut self, intake: &Intake) -> Epoch {
        self.listen(intake);
        self.work.depths.clear();
        self.take(&intake.records);
        self.advance(intake.clock);
        self.send_parcels();
        self.state.epoch = intake.epoch;
        self.move_on(&intake.ranges);
        self.finish()
    }
}

impl Machine for Shard {
    fn step(&mut self, intake: &Intake) -> Result<Epoch, StepFault> {
        // Supervision of the last resort: single turns roll themselves back, formulas catch themselves; what arrives here
        // is a bug. The state is suspect, so the owner throws it away and replays without who was at work.
        self.work.watch = Watch {
            careful: intake.careful,
            ..Watch::default()
        };
        self.heed(intake)?;
        catch_unwind(AssertUnwindSafe(|| self.inner_step(intake)))
            .map_err(|panic| self.fault(intake, panic_text(panic.as_ref())))
    }

    fn epoch(&self) -> EpochNumber {
        self.state.epoch
    }

    fn clock(&self) -> Timestamp {
        self.now()
    }

    fn positions(&self) -> Vec<Offset> {
        self.state.positions.clone()
    }

    fn readings(&self) -> Vec<Reading> {
        self.reading_list()
    }

    fn snapshot(&self) -> Vec<u8> {
        let mut bytes = vec![SNAPSHOT_VERSION];
        // Plain data into a growing vector: cannot fail. An empty body would be refused by `restore`.
        bytes.extend(
            postcard::to_stdvec(&(
                &self.state,
                self.pipeline.snapshot(),
                self.gathering.snapshot(),
            ))
            .unwrap_or_default(),
        );
        bytes
    }
}

impl Installed {
    const fn runs(&self) -> bool {
        self.enabled && self.quarantined.is_none()
    }
}
