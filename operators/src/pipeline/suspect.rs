//! Who is at work: whom to name when an operator panics, and how to go on without him.
//!
//! Every place that runs an operator says so before it begins. A panic leaves the note behind, and the shard reads it. The
//! state is lost by then; the replay takes the same rows again [`Pipeline::without`] the rules that were named.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use tidegate_proto::EventBatch;

use super::graphs::GraphUnit;
use super::group::Group;
use super::patterns::PatternUnit;
use super::unit::Unit;
use super::wide::WideUnit;
use super::windows::WindowUnit;
use super::{Pipeline, PipelineBreaks, Seat};

/// Rules of which one broke a step: those that were at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspects {
    /// Their names in byte order: one, or all that share an operator.
    pub rules: Vec<Arc<str>>,
    /// Whether a rule or a resource was coming, changing or going, instead of rows or time.
    pub changing: bool,
}

/// A part of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Group(usize),
    Window(usize),
    Pattern(usize),
    Graph(usize),
    Wide(usize),
}

/// What is being done right now.
#[derive(Clone, Debug, Default)]
pub(crate) enum Working {
    #[default]
    Nobody,
    /// Rows or time.
    Judging(Part),
    /// A resource comes, changes or goes.
    Matching(Part),
    /// The rule itself comes, changes or goes.
    Changing(Arc<str>),
}

/// What was taken out for a while.
struct Aside {
    groups: Vec<(usize, Group)>,
    units: Vec<(usize, usize, Unit, BTreeSet<u32>)>,
    windows: Vec<(usize, WindowUnit)>,
    patterns: Vec<(usize, PatternUnit)>,
    graphs: Vec<(usize, GraphUnit)>,
    wides: Vec<(usize, WideUnit)>,
}

impl Pipeline {
    /// The rules that were at work when the pipeline panicked; `None` when none was.
    #[must_use]
    pub fn suspects(&self) -> Option<Suspects> {
        let (part, changing) = match &self.working {
            Working::Nobody => return None,
            Working::Changing(rule) => {
                return Some(Suspects {
                    rules: vec![Arc::clone(rule)],
                    changing: true,
                });
            }
            Working::Judging(part) => (*part, false),
            Working::Matching(part) => (*part, true),
        };
        let single = match part {
            Part::Group(group) => self.groups.get(group).and_then(Option::as_ref),
            Part::Window(_) | Part::Pattern(_) | Part::Graph(_) | Part::Wide(_) => None,
        };
        let single = single.and_then(|group| group.at_work);
        let sits = |seat: &Seat| match (part, *seat) {
            (Part::Group(at), Seat::Condition { group, unit }) => {
                at == group && single.is_none_or(|single| single == unit)
            }
            (Part::Window(at), Seat::Window(window)) => at == window,
            (Part::Pattern(at), Seat::Pattern(pattern)) => at == pattern,
            (Part::Graph(at), Seat::Graph(graph)) => at == graph,
            (Part::Wide(at), Seat::Wide(wide)) => at == wide,
            _ => false,
        };
        let named = self.rules.iter().filter(|(_, seat)| sits(seat));
        Some(Suspects {
            rules: named.map(|(name, _)| Arc::clone(name)).collect(),
            changing,
        })
    }

    /// Works while some rules are left out: they see nothing of it, their state stays, everybody else goes on. An
    /// operator all of whose rules are left out rests as a whole.
    pub fn without<T>(
        &mut self,
        rules: &BTreeSet<Arc<str>>,
        work: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let aside = self.set_aside(rules);
        let done = work(self);
        self.bring_back(aside);
        done
    }

    /// Drops a rule without a word about what it raised: for one whose orderly removal fails.
    pub fn expel(&mut self, rule: &str) {
        match self.rules.remove(rule) {
            Some(Seat::Condition { group, unit }) => self.let_go(group, unit),
            Some(Seat::Window(window)) => self.remove_window(window),
            Some(Seat::Pattern(pattern)) => drop(self.expel_timed::<PatternUnit>(pattern)),
            Some(Seat::Graph(graph)) => drop(self.expel_timed::<GraphUnit>(graph)),
            Some(Seat::Wide(wide)) => self.expel_wide(wide),
            None => {}
        }
    }

    fn set_aside(&mut self, rules: &BTreeSet<Arc<str>>) -> Aside {
        let mut aside = Aside {
            groups: Vec::new(),
            units: Vec::new(),
            windows: Vec::new(),
            patterns: Vec::new(),
            graphs: Vec::new(),
            wides: Vec::new(),
        };
        for rule in rules {
            match self.rules.get(rule).copied() {
                Some(Seat::Window(index)) => {
                    let window = self.windows.get_mut(index).and_then(Option::take);
                    aside.windows.extend(window.map(|window| (index, window)));
                }
                Some(Seat::Pattern(index)) => {
                    let pattern = self.patterns.get_mut(index).and_then(Option::take);
                    aside
                        .patterns
                        .extend(pattern.map(|pattern| (index, pattern)));
                }
                Some(Seat::Graph(index)) => {
                    let graph = self.graphs.get_mut(index).and_then(Option::take);
                    aside.graphs.extend(graph.map(|graph| (index, graph)));
                }
                Some(Seat::Wide(index)) => {
                    let wide = self.wides.get_mut(index).and_then(Option::take);
                    aside.wides.extend(wide.map(|wide| (index, wide)));
                }
                Some(Seat::Condition { group, unit }) => {
                    let taken = self.groups.get_mut(group).and_then(Option::as_mut);
                    let taken = taken.and_then(|group| group.lend(unit));
                    aside
                        .units
                        .extend(taken.map(|(taken, raised)| (group, unit, taken, raised)));
                }
                None => {}
            }
        }
        for (index, place) in self.groups.iter_mut().enumerate() {
            let empty = |group: &Group| group.units.iter().all(Option::is_none);
            if place.as_ref().is_some_and(empty) {
                aside
                    .groups
                    .extend(place.take().map(|group| (index, group)));
            }
        }
        aside
    }

    fn bring_back(&mut self, aside: Aside) {
        for (index, group) in aside.groups {
            if let Some(place) = self.groups.get_mut(index) {
                *place = Some(group);
            }
        }
        let mut groups = BTreeSet::new();
        for (group, number, unit, raised) in aside.units {
            groups.insert(group);
            if let Some(group) = self.groups.get_mut(group).and_then(Option::as_mut) {
                group.take_back(number, unit, raised);
            }
        }
        // Timers that rang for the others meanwhile were not set again for those who were away.
        for group in groups {
            self.rearm_all(group, 0);
        }
        for (index, window) in aside.windows {
            if let Some(place) = self.windows.get_mut(index) {
                *place = Some(window);
            }
        }
        for (index, graph) in aside.graphs {
            if let Some(place) = self.graphs.get_mut(index) {
                *place = Some(graph);
            }
        }
        for (index, pattern) in aside.patterns {
            if let Some(place) = self.patterns.get_mut(index) {
                *place = Some(pattern);
            }
        }
        for (index, wide) in aside.wides {
            if let Some(place) = self.wides.get_mut(index) {
                *place = Some(wide);
            }
        }
    }
}

impl PipelineBreaks {
    /// Whether brittle rules panic on one of these rows.
    pub(crate) fn hit(&self, batch: &EventBatch, rows: Range<usize>) -> bool {
        let times = batch.time.get(rows).unwrap_or_default();
        self.brittle_rows > 0 && times.iter().any(|time| time % self.brittle_rows == 0)
    }
}

/// Panics in the place of a brittle rule at work: only a simulation asks for that.
#[allow(clippy::panic, reason = "a fault that a simulation asks for")]
pub(crate) fn break_if<'a>(hit: bool, mut rules: impl Iterator<Item = &'a Arc<str>>) {
    if hit && rules.any(|rule| rule.starts_with("brittle")) {
        panic!("broken on purpose");
    }
}

impl Group {
    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.units.iter().flatten().map(|unit| &unit.plan.name)
    }

    /// Takes a unit out with what it raised, its place kept.
    fn lend(&mut self, number: usize) -> Option<(Unit, BTreeSet<u32>)> {
        let raised = self.raised(number);
        let unit = self.units.get_mut(number)?.take()?;
        let place = u32::try_from(number).unwrap_or(u32::MAX);
        let table = unit.state.table.and_then(|t| self.state.tables.get_mut(t));
        if let Some(table) = table {
            table.remove(place);
        }
        Some((unit, raised))
    }

    fn take_back(&mut self, number: usize, unit: Unit, raised: BTreeSet<u32>) {
        let place = u32::try_from(number).unwrap_or(u32::MAX);
        let table = unit.state.table.and_then(|t| self.state.tables.get_mut(t));
        if let (Some(table), Some(threshold)) = (table, &unit.condition.threshold) {
            table.add(place, threshold.constant, raised);
        }
        if let Some(seat) = self.units.get_mut(number) {
            *seat = Some(unit);
        }
    }
}
