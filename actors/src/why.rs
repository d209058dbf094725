//! [`Why`]: why a rule fired, or did not, on one resource. A shard that runs its history again is watched while it does;
//! this keeps the moments that count and puts them into words. It has no I/O: who drives the shard is another matter.

mod answer;
#[cfg(test)]
mod tests;

use tidegate_operators::Sighting;
use tidegate_operators::why::{Branch, BranchKind};
use tidegate_proto::outcome::OutcomeKind;
use tidegate_proto::record::ID_HEADER;
use tidegate_proto::time::Timestamp;

use crate::epoch::{Epoch, Output};
use crate::shard::Shard;
use crate::task::ALARM_HEADER;

pub use answer::{Answer, NodeAnswer};

/// What somebody wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Name of the rule.
    pub rule: String,
    /// Id of the resource.
    pub resource: String,
    /// The moment; without it, the newest firing or, if there is none, how things stand.
    pub at: Option<Timestamp>,
}

/// A line of the task that says that it fired.
#[derive(Clone, Debug)]
struct Firing {
    time: Timestamp,
    kind: OutcomeKind,
    task: String,
    id: Option<String>,
    severity: Option<String>,
    cause: Vec<String>,
    window: Option<(Timestamp, Timestamp)>,
}

/// A firing with what the task saw then and before.
#[derive(Clone, Debug)]
struct Moment {
    firing: Firing,
    seen: Option<Sighting>,
    before: Option<Sighting>,
    since: Option<Timestamp>,
}

/// Watches one task through a history.
#[derive(Debug)]
pub struct Why {
    question: Question,
    /// The last two points up to the moment in question, the older first.
    points: Vec<Sighting>,
    /// Since when the condition of each level has been true.
    since: Vec<Option<Timestamp>>,
    /// Whether it is raised, and since when.
    raised: (bool, Option<Timestamp>),
    fired: Option<Moment>,
    /// What the rule was at the last moment that counts.
    facts: Facts,
    over: bool,
}

impl Why {
    /// Nothing is known yet.
    #[must_use]
    pub const fn new(question: Question) -> Self {
        Self {
            question,
            points: Vec::new(),
            since: Vec::new(),
            raised: (false, None),
            fired: None,
            facts: Facts::unknown(),
            over: false,
        }
    }

    /// Whether the task has come past the moment in question: nothing that follows counts.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.over
    }

    /// Begins to watch a shard, which must be new or restored.
    pub fn begin(&mut self, shard: &mut Shard) {
        let state = shard.watch(&self.question.rule, &self.question.resource);
        self.raised = state.map_or((false, None), |state| (state.raised, state.since));
        self.facts = shard.facts(&self.question);
        self.since = vec![state.and_then(|state| state.pending)];
    }

    /// Takes note of what the task saw and said in a step.
    pub fn take(&mut self, shard: &mut Shard, epoch: &Epoch) {
        let mut firings: Vec<Firing> = Vec::new();
        for output in &epoch.outputs {
            if let Some(firing) = self.firing(output)
                && !firings.iter().any(|known| known.same(&firing))
            {
                firings.push(firing);
            }
        }
        firings.sort_by_key(|firing| firing.time);
        let mut firings = firings.into_iter().peekable();
        let sightings = shard.sightings();
        let quiet = firings.peek().is_none() && sightings.is_empty();
        for sighting in sightings {
            let cause = sighting.cause.as_ref().map(|cause| shard.cause_name(cause));
            while let Some(firing) =
                firings.next_if(|firing| firing.is_before(&sighting, cause.as_deref()))
            {
                self.fire(firing);
            }
            let window = sighting.window;
            self.point(sighting);
            while let Some(firing) =
                firings.next_if(|firing| firing.window.is_some() && firing.window == window)
            {
                self.fire(firing);
            }
        }
        for firing in firings {
            self.fire(firing);
        }
        // Without a moment it is about now; with one, about how the rule was when the task was heard of last.
        if self.question.at.is_none() || (!quiet && !self.over) || self.facts.revision.is_none() {
            self.facts = shard.facts(&self.question);
        }
    }

    fn is_past(&mut self, time: Timestamp) -> bool {
        let past = self.question.at.is_some_and(|at| time > at);
        self.over |= past;
        past
    }

    fn point(&mut self, sighting: Sighting) {
        if self.is_past(sighting.at) {
            return;
        }
        let branches = sighting.branches();
        for branch in branches
            .iter()
            .filter(|branch| branch.kind == BranchKind::When)
        {
            if self.since.len() <= branch.level {
                self.since.resize(branch.level + 1, None);
            }
            if let Some(since) = self.since.get_mut(branch.level) {
                match branch.truth() {
                    Some(true) => *since = since.or(Some(sighting.at)),
                    Some(false) => *since = None,
                    None => {}
                }
            }
        }
        if self.points.len() > 1 {
            self.points.remove(0);
        }
        self.points.push(sighting);
    }

    fn fire(&mut self, firing: Firing) {
        if self.is_past(firing.time) {
            return;
        }
        match firing.kind {
            OutcomeKind::Raised => self.raised = (true, Some(firing.time)),
            OutcomeKind::Cleared => self.raised = (false, None),
            _ => {}
        }
        let mut points = self.points.iter().rev();
        let seen = match firing.window {
            Some(window) => points.find(|seen| seen.window == Some(window)).cloned(),
            None => points.next().cloned(),
        };
        let before = points.next().cloned();
        let since = self.since.first().copied().flatten();
        self.fired = Some(Moment {
            firing,
            seen,
            before,
            since,
        });
    }

    fn firing(&self, output: &Output) -> Option<Firing> {
        let order = output.order.as_ref()?;
        let key = output.record.key.as_deref().unwrap_or_default();
        let mine = *order.rule == *self.question.rule && key == self.question.resource.as_bytes();
        let fires = matches!(
            order.kind,
            OutcomeKind::Raised
                | OutcomeKind::Updated
                | OutcomeKind::Cleared
                | OutcomeKind::Window
                | OutcomeKind::Match
                | OutcomeKind::Result
        );
        if !mine || !fires {
            return None;
        }
        let header = |name: &str| {
            let bytes = output.record.header(name)?;
            Some(String::from_utf8_lossy(bytes).into_owned())
        };
        let time: Timestamp = header("ce_time")?.parse().ok()?;
        Some(Firing {
            time,
            kind: order.kind,
            task: order.task.clone(),
            id: header(ID_HEADER),
            severity: header(ALARM_HEADER).filter(|word| !word.is_empty()),
            cause: order.cause.clone(),
            window: order.window,
        })
    }
}

impl Firing {
    /// Whether two records tell of one firing: a line goes to several places.
    fn same(&self, other: &Self) -> bool {
        (self.time, self.kind, &self.task, self.window)
            == (other.time, other.kind, &other.task, other.window)
            && self.cause == other.cause
    }

    /// Whether it was told before a point was seen: by a timer, which comes before a row of its own time.
    fn is_before(&self, seen: &Sighting, cause: Option<&str>) -> bool {
        let other = || cause.is_some_and(|cause| self.cause.iter().all(|known| known != cause));
        self.window.is_none() && (self.time < seen.at || (self.time == seen.at && other()))
    }
}

/// What a shard knows of a rule and a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) revision: Option<u64>,
    /// Whether the rule runs.
    pub(crate) runs: bool,
    /// Whether the rule has a task of the resource.
    pub(crate) matches: bool,
}

impl Facts {
    const fn unknown() -> Self {
        Self {
            revision: None,
            runs: false,
            matches: false,
        }
    }
}

/// The branch of a kind and level.
fn branch(branches: &[Branch], kind: BranchKind, level: usize) -> Option<&Branch> {
    let mut branches = branches.iter();
    branches.find(|branch| branch.kind == kind && branch.level == level)
}

/// The plan's level with a severity; the first one if nobody says.
fn level_of(sighting: &Sighting, severity: Option<&str>) -> usize {
    let Some(severity) = severity else { return 0 };
    let levels = sighting.branches();
    let levels = levels.iter().map(|branch| branch.level);
    let mut named =
        levels.filter(|level| sighting.level_path(*level, "") == format!("{severity}."));
    named.next().unwrap_or(0)
}
