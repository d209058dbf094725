//! [`Portrait`]: what one running rule keeps, part by part, and which parts it shares.

use super::group::Group;
use super::patterns::PatternUnit;
use super::sight::Sight;
use super::windows::WindowUnit;
use super::{Pipeline, Seat, TaskCounters};
use crate::plan::slots::SlotTable;

/// One part of a running rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortraitNode {
    /// What it is: `input`, `where`, `avg(temperature,"5m")`, `when`, `window`, `pattern`.
    pub name: String,
    /// Rows that it keeps.
    pub rows: u64,
    /// Bytes of memory that it keeps, estimated.
    pub bytes: u64,
    /// Other rules that stand on the very same state.
    pub shared_with: u64,
}

/// What one running rule keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Portrait {
    /// Its parts, each after what it reads.
    pub nodes: Vec<PortraitNode>,
    /// What was counted on all its tasks together.
    pub counters: TaskCounters,
}

fn node(name: impl Into<String>, (rows, bytes): (u64, usize), shared_with: u64) -> PortraitNode {
    PortraitNode {
        name: name.into(),
        rows,
        bytes: bytes as u64,
        shared_with,
    }
}

fn filtered(filter: Option<&Sight>, shared: u64) -> Option<PortraitNode> {
    filter.map(|sight| node("where", (sight.rows(), sight.bytes()), shared))
}

fn seen(sight: &Sight, table: &SlotTable, shared: u64) -> impl Iterator<Item = PortraitNode> {
    let labels = table.places.iter().map(|place| place.label.as_ref());
    let labels: Vec<&str> = labels.collect();
    let parts = sight.parts().into_iter();
    let parts: Vec<PortraitNode> = parts
        .filter_map(|(place, rows, bytes)| Some(node(*labels.get(place)?, (rows, bytes), shared)))
        .collect();
    parts.into_iter()
}

impl Pipeline {
    /// What a running rule keeps of so many resources; `None` if it does not run.
    #[must_use]
    pub fn portrait(&self, rule: &str, resources: u32) -> Option<Portrait> {
        match self.rules.get(rule)? {
            Seat::Condition { group, unit } => {
                let group = self.groups.get(*group)?.as_ref()?;
                group.portrait(*unit, resources)
            }
            Seat::Window(at) => Some(self.windows.get(*at)?.as_ref()?.portrait()),
            Seat::Pattern(at) => Some(self.patterns.get(*at)?.as_ref()?.portrait()),
            Seat::Graph(at) => {
                let unit = self.graphs.get(*at)?.as_ref()?;
                let mut counters = TaskCounters::default();
                for one in unit.state.counters.values() {
                    counters.add(one);
                }
                let nodes = vec![node("graph", (0, unit.bytes()), 0)];
                Some(Portrait { nodes, counters })
            }
            Seat::Wide(at) => {
                let unit = self.wides.get(*at)?.as_ref()?;
                let mut counters = TaskCounters::default();
                for resource in 0..resources {
                    counters.add(&unit.counters(resource));
                }
                let nodes = vec![node("rule", (0, unit.bytes()), 0)];
                Some(Portrait { nodes, counters })
            }
        }
    }
}

impl Group {
    fn portrait(&self, number: usize, resources: u32) -> Option<Portrait> {
        let unit = self.units.get(number)?.as_ref()?;
        let state = &self.state;
        let others = self.units.iter().flatten().count().saturating_sub(1) as u64;
        let waiting = (state.waiting.count(), state.waiting.bytes());
        let input = waiting.1 + state.members.bytes() + state.timers.bytes();
        let mut nodes = vec![node("input", (waiting.0, input), others)];
        nodes.extend(filtered(state.filter.as_ref(), others));
        nodes.extend(seen(&state.sight, &self.condition.table, others));
        let table = unit.state.table.and_then(|table| state.tables.get(table));
        nodes.push(match table {
            Some(table) => {
                let fellows = self.units.iter().flatten();
                let fellows = fellows.filter(|one| one.state.table == unit.state.table);
                let fellows = fellows.count().saturating_sub(1) as u64;
                node("when", (0, table.bytes() + unit.bytes()), fellows)
            }
            None => node("when", (0, unit.bytes()), 0),
        });
        let mut counters = TaskCounters::default();
        for one in unit.state.counters.values() {
            counters.add(one);
        }
        if let Some(table) = table {
            counters.unknown += table.unknown.values().sum::<u64>();
        }
        let all = 0..resources;
        counters.out_of_order += all.map(|one| state.sight.out_of_order(one)).sum::<u64>();
        Some(Portrait { nodes, counters })
    }
}

impl WindowUnit {
    fn portrait(&self) -> Portrait {
        let mut nodes = Vec::new();
        nodes.extend(filtered(self.state.filter.as_ref(), 0));
        nodes.extend(seen(&self.state.sight, &self.window.table, 0));
        let known: u64 = nodes.iter().map(|node| node.bytes).sum();
        let rest = self
            .bytes()
            .saturating_sub(usize::try_from(known).unwrap_or(0));
        nodes.push(node("window", (0, rest), 0));
        let mut counters = TaskCounters::default();
        for one in self.state.counters.values() {
            counters.add(one);
        }
        Portrait { nodes, counters }
    }
}

impl PatternUnit {
    fn portrait(&self) -> Portrait {
        let state = &self.state;
        let waiting = (state.waiting.count(), state.waiting.bytes());
        let mut nodes = vec![node("input", waiting, 0)];
        nodes.extend(filtered(state.filter.as_ref(), 0));
        let known: u64 = nodes.iter().map(|node| node.bytes).sum();
        let rest = self
            .bytes()
            .saturating_sub(usize::try_from(known).unwrap_or(0));
        nodes.push(node("pattern", (0, rest), 0));
        let mut counters = TaskCounters::default();
        for one in state.counters.values() {
            counters.add(one);
        }
        Portrait { nodes, counters }
    }
}

impl TaskCounters {
    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        let mine = self.all_mut();
        for (mine, (_, more)) in mine.into_iter().zip(other.all()) {
            *mine += more;
        }
    }

    /// All counts with their names, in a fixed order.
    #[must_use]
    pub const fn all(&self) -> [(&'static str, u64); 12] {
        [
            ("unknown", self.unknown),
            ("late", self.late),
            ("errors", self.errors),
            ("forced_rows", self.forced),
            ("type_skipped", self.type_skipped),
            ("dropped_rows", self.rows_dropped),
            ("out_of_order", self.out_of_order),
            ("dropped_windows", self.windows_dropped),
            ("short_windows", self.windows_too_short),
            ("null_keys", self.null_keys),
            ("dropped_attempts", self.attempts_dropped),
            ("dropped_ways", self.ways_dropped),
        ]
    }

    const fn all_mut(&mut self) -> [&mut u64; 12] {
        [
            &mut self.unknown,
            &mut self.late,
            &mut self.errors,
            &mut self.forced,
            &mut self.type_skipped,
            &mut self.rows_dropped,
            &mut self.out_of_order,
            &mut self.windows_dropped,
            &mut self.windows_too_short,
            &mut self.null_keys,
            &mut self.attempts_dropped,
            &mut self.ways_dropped,
        ]
    }
}
