//! [`Why`]: why a rule fired, or did not, on one resource. A shard that runs its history again is watched while it does;
//! this keeps the moments that count and puts them into words. It has no I/O: who drives the shard is another matter.

mod answer;
mod inside;
mod node;
#[cfg(test)]
mod tests;

use tidegate_operators::Sighting;
use tidegate_operators::why::{Branch, BranchKind};
use tidegate_proto::outcome::OutcomeKind;
use tidegate_proto::record::ID_HEADER;
use tidegate_proto::time::Timestamp;

use crate::epoch::{Epoch, Output};
use crate::owner::Machine as _;
use crate::shard::Shard;
use crate::task::ALARM_HEADER;

pub use answer::Answer;
pub use node::{Bound, NodeAnswer};

/// What somebody wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Name of the rule.
    pub rule: String,
    /// Id of the resource; of a task that is of no single one its key, or nothing.
    pub resource: String,
    /// The moment; without it, the newest firing or, if there is none, how things stand.
    pub at: Option<Timestamp>,
}

/// How much is told at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WhyLimits {
    /// Attempts of a pattern, and rows of each side of a join.
    pub attempts: usize,
    /// Bytes of an answer.
    pub bytes: usize,
}

impl Default for WhyLimits {
    fn default() -> Self {
        Self {
            attempts: 16,
            bytes: 64 << 10,
        }
    }
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
    /// The actuator of a graph, and the node that fired it.
    actuator: Option<(String, String)>,
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
    limits: WhyLimits,
    /// Where the history begins, if not at the beginning.
    from: Option<Timestamp>,
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
    pub const fn new(question: Question, limits: WhyLimits) -> Self {
        Self {
            question,
            limits,
            from: None,
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
        self.from = (shard.epoch() > 0).then(|| shard.clock());
        let state = shard.watch(&self.question, self.limits.attempts);
        self.raised = state.map_or((false, None), |state| (state.raised, state.since));
        self.facts = shard.facts(&self.question);
        self.since = vec![state.and_then(|state| state.pending)];
        let at = self.question.at;
        let seen = shard.sight(&self.question.rule);
        let seen = seen.filter(|seen| at.is_none_or(|at| seen.at <= at));
        self.points.extend(seen);
    }

    /// Takes note of what the task saw and said in a step.
    pub fn take(&mut self, shard: &mut Shard, epoch: &Epoch) {
        // The rule may have come in this very step.
        self.facts.everything |= shard.facts(&self.question).everything;
        let mut firings: Vec<Firing> = Vec::new();
        for output in &epoch.outputs {
            if let Some(firing) = self.firing(output)
                && !firings.iter().any(|known| known.same(&firing))
            {
                firings.push(firing);
            }
        }
        let sightings = shard.sightings();
        let rows: Vec<SeenRow> = sightings
            .iter()
            .map(|seen| {
                (
                    seen.at,
                    seen.cause.as_ref().map(|row| shard.cause_name(row)),
                )
            })
            .collect();
        firings.sort_by_key(|firing| (firing.time, firing.place(&rows)));
        let mut firings = firings.into_iter().peekable();
        let quiet = firings.peek().is_none() && sightings.is_empty();
        for (place, sighting) in sightings.into_iter().enumerate() {
            if self.is_of_another(&sighting) {
                continue;
            }
            let ahead = rows.get(place..).unwrap_or_default();
            while let Some(firing) = firings.next_if(|firing| firing.is_before(&sighting, ahead)) {
                self.fire(firing);
            }
            let (window, told) = (sighting.window, sighting.told.clone());
            let group = sighting.group.clone();
            self.point(sighting);
            while let Some(firing) = firings
                .next_if(|firing| told.contains(&firing.time) || firing.is_of(window, &group))
            {
                self.fire(firing);
            }
            self.refresh(&told);
        }
        for firing in firings {
            self.fire(firing);
        }
        // Without a moment it is about now; with one, about how the rule was when the task was heard of last.
        if self.question.at.is_none() || (!quiet && !self.over) || self.facts.revision.is_none() {
            self.facts = shard.facts(&self.question);
        }
    }

    /// Whether a window is of another group than the one that is asked about.
    fn is_of_another(&self, seen: &Sighting) -> bool {
        let asked = &self.question.resource;
        let grouped = self.facts.everything && seen.window.is_some() && !asked.is_empty();
        grouped && seen.group.as_ref() != asked.as_str()
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

    /// Of several firings at one time the last counts, and what was seen when it was told.
    fn refresh(&mut self, told: &[Timestamp]) {
        let Some(moment) = &mut self.fired else {
            return;
        };
        if told.contains(&moment.firing.time) {
            let mut points = self.points.iter().rev();
            moment.seen = points.next().cloned();
            moment.before = points.next().cloned();
        }
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
        let inside = points.clone().next().is_some_and(Sighting::is_inside);
        let seen = match firing.window.filter(|_| !inside) {
            Some(_) => points
                .find(|seen| firing.is_of(seen.window, &seen.group))
                .cloned(),
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
        let mine = *order.rule == *self.question.rule && self.is_mine(key, &order.task);
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
            actuator: actuator(output),
        })
    }

    /// Whether a line is of the task: by its resource, or by its name if it is of none.
    fn is_mine(&self, key: &[u8], task: &str) -> bool {
        let Question { rule, resource, .. } = &self.question;
        if key != task.as_bytes() {
            return key == resource.as_bytes();
        }
        let own = task.strip_prefix(rule.as_str());
        let own = own.map(|key| key.strip_prefix('/').unwrap_or(key));
        resource.is_empty() || own == Some(resource.as_str())
    }
}

impl Firing {
    /// Whether two records tell of one firing: a line goes to several places.
    fn same(&self, other: &Self) -> bool {
        (self.time, self.kind, &self.task, self.window)
            == (other.time, other.kind, &other.task, other.window)
            && self.cause == other.cause
    }

    /// Whether it is of a window of a group.
    fn is_of(&self, window: Option<(Timestamp, Timestamp)>, group: &str) -> bool {
        let rest = self.task.strip_suffix(group);
        let of_group = rest.is_some_and(|rest| group.is_empty() || rest.ends_with('/'));
        self.window.is_some() && self.window == window && of_group
    }

    /// Where the row that made it stands among those that were seen.
    fn place(&self, rows: &[SeenRow]) -> Option<usize> {
        rows.iter().position(|row| self.is_by(row))
    }

    fn is_by(&self, (at, row): &SeenRow) -> bool {
        let named = || row.as_ref().is_some_and(|row| self.cause.contains(row));
        *at == self.time && named()
    }

    /// Whether it was told before a point was seen, the first of those ahead: by a timer, which comes before a row of its own time.
    fn is_before(&self, seen: &Sighting, ahead: &[SeenRow]) -> bool {
        if seen.is_inside() {
            return self.time < seen.at && !seen.told.contains(&self.time);
        }
        let comes = || ahead.iter().any(|row| self.is_by(row));
        let by_row = seen.cause.is_some();
        let earlier = self.time < seen.at || (self.time == seen.at && by_row && !comes());
        self.window.is_none() && earlier
    }
}

/// Time of a point, and its row as results name it.
type SeenRow = (Timestamp, Option<String>);

/// What a shard knows of a rule and a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) revision: Option<u64>,
    /// Whether the rule runs.
    pub(crate) runs: bool,
    /// Whether the rule has a task of the resource.
    pub(crate) matches: bool,
    /// Whether its tasks are of no single resource.
    pub(crate) everything: bool,
}

impl Facts {
    const fn unknown() -> Self {
        Self {
            revision: None,
            runs: false,
            matches: false,
            everything: false,
        }
    }
}

/// The actuator that a line of a graph is about, and the node that fired it.
fn actuator(output: &Output) -> Option<(String, String)> {
    if output.order.as_ref()?.kind != OutcomeKind::Result {
        return None;
    }
    let line: serde_json::Value = serde_json::from_slice(output.record.value.as_deref()?).ok()?;
    let values = line.get("values")?;
    let word = |name: &str| values.get(name)?.as_str().map(str::to_owned);
    Some((word("fired")?, word("from")?))
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
