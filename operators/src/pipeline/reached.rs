//! What joins of rules' lines are told: the lines, and how far those have come who say them.

use serde::{Deserialize, Serialize};
use tidegate_proto::{EventBatch, Outcome, OutcomeKind};

use super::group::Push;
use super::suspect::{Part, Working};
use super::timed::Timed as _;
use super::wide::{Member, Now};
use super::{Pipeline, Seat, View};
use crate::watermark::NEVER;

/// How far a task of a rule has come: its watermark is `max(mark, clock + lead)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// The watermark as its last row left it.
    pub mark: i64,
    /// The watermark by silence, less the clock.
    pub lead: i64,
}

impl Reached {
    /// Of a whole rule, whose time moves only when that is told.
    #[must_use]
    pub const fn told(mark: i64) -> Self {
        Self { mark, lead: NEVER }
    }

    /// The same when lines may lie so far behind.
    #[must_use]
    pub const fn less(self, behind: i64) -> Self {
        Self {
            mark: self.mark.saturating_sub(behind),
            lead: self.lead.saturating_sub(behind),
        }
    }
}

impl Pipeline {
    /// Of a rule with a task per resource: how far the tasks of the rows that were pushed last have come with each, by the place of the
    /// row among those, and the number of the resource.
    #[must_use]
    pub fn reached_with_rows(&self, rule: &str) -> Vec<(usize, u32, Reached)> {
        let Some((line, members)) = self.rules.get(rule).and_then(|seat| self.line_of(*seat))
        else {
            return Vec::new();
        };
        let (Some((line, _)), Some(water)) = (self.lines.get(line), self.water.get(line)) else {
            return Vec::new();
        };
        let ticks = self.ticks.iter().zip(water).enumerate();
        let ticks = ticks.filter(|(_, (tick, _))| members.has(tick.resource));
        let reached = ticks.map(|(row, (tick, mark))| {
            let lead = tick.lead(line.idle(&self.clocks, tick.resource));
            (row, tick.resource, Reached { mark: *mark, lead })
        });
        reached.collect()
    }

    /// The line of a rule with a task per resource, and which resources have one.
    fn line_of(&self, seat: Seat) -> Option<(usize, &super::members::Members)> {
        match seat {
            Seat::Condition { group, .. } => {
                let state = &self.groups.get(group)?.as_ref()?.state;
                Some((state.line, &state.members))
            }
            Seat::Window(window) => {
                let unit = self.windows.get(window)?.as_ref()?;
                Some((unit.line(), &unit.state.members))
            }
            Seat::Pattern(pattern) => {
                let unit = self.patterns.get(pattern)?.as_ref()?;
                Some((unit.line(), &unit.state.members))
            }
            Seat::Graph(graph) => {
                let unit = self.graphs.get(graph)?.as_ref()?;
                Some((unit.line(), &unit.state.members))
            }
            Seat::Wide(_) => None,
        }
    }

    /// How far a rule over several resources has come with all its tasks, at the clock.
    pub fn reached(&mut self, rule: &str) -> Option<i64> {
        let Some(Seat::Wide(index)) = self.rules.get(rule) else {
            return None;
        };
        let unit = self.wides.get_mut(*index)?.as_mut()?;
        let (line, _) = self.lines.get(unit.line())?;
        unit.reached(Now {
            clocks: &self.clocks,
            line,
            clock: self.clock,
            waiting_rows: self.settings.limits.waiting_rows,
        })
        .filter(|water| *water != NEVER)
    }

    /// Takes lines of a rule as rows of the streams of joins that have them.
    pub fn hear_lines(
        &mut self,
        batch: &EventBatch,
        said: (&str, OutcomeKind),
        view: &dyn View,
        out: &mut Vec<Outcome>,
    ) {
        self.hear_as(batch, Some(said), view, out);
    }

    /// Tells joins how far a rule whose lines they have has come: one task of it, or the whole; `None`: it does not run any more.
    pub fn hear_reached(
        &mut self,
        (rule, resource): (&str, Option<u32>),
        reached: Option<Reached>,
        record: u32,
        view: &dyn View,
        out: &mut Vec<Outcome>,
    ) {
        let member = reached.map(|Reached { mark, lead }| Member { mark, lead });
        for (index, unit) in self.wides.iter_mut().enumerate() {
            let Some(unit) = unit else {
                continue;
            };
            let Some((line, _)) = self.lines.get(unit.line()) else {
                continue;
            };
            self.working = Working::Judging(Part::Wide(index));
            let now = Now {
                clocks: &self.clocks,
                line,
                clock: self.clock,
                waiting_rows: self.settings.limits.waiting_rows,
            };
            let work = (&mut self.wide_scratch, &mut *out);
            unit.reach((rule, resource), member, (record, now), view, work);
        }
        self.working = Working::Nobody;
    }

    /// Takes the time settings of resources from another pipeline, which was told of them.
    pub fn time_like(&mut self, other: &Self) {
        self.clocks.own_like(&other.clocks);
    }
}

/// Lines of a rule, or values of inputs.
pub(super) type Said<'a> = Option<(&'a str, OutcomeKind)>;

impl<'a> Push<'a> {
    /// The same as what rules said.
    pub(super) const fn heard(self, said: Said<'a>) -> Self {
        Self {
            heard: true,
            said,
            ..self
        }
    }
}
