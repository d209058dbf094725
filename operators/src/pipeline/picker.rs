//! [`Picker`]: which rows concern which group. A rule for one device among ten thousand must not look at all their rows.

use super::members::Members;
use crate::watermark::{Tick, cell};

/// Groups (or window rules) by resource, for all whose selector does not take everything.
#[derive(Debug, Default)]
pub(crate) struct Picker {
    of: Vec<Vec<u32>>,
    /// Rows of the push at hand by group.
    rows: Vec<Vec<u32>>,
    touched: Vec<u32>,
}

fn number(group: usize) -> u32 {
    u32::try_from(group).unwrap_or(u32::MAX)
}

impl Picker {
    /// A resource becomes a member of a group, or stops being one.
    pub(crate) fn set(&mut self, group: usize, resource: u32, member: bool) {
        let groups = cell(&mut self.of, resource, Vec::new());
        match (groups.binary_search(&number(group)), member) {
            (Err(place), true) => groups.insert(place, number(group)),
            (Ok(place), false) => {
                groups.remove(place);
            }
            _ => {}
        }
    }

    /// All members of a group come or go.
    pub(crate) fn set_all(&mut self, group: usize, members: &Members, member: bool) {
        for resource in members.each() {
            self.set(group, resource, member);
        }
    }

    /// Deals rows out to the groups that they concern.
    pub(crate) fn pick(&mut self, ticks: &[Tick]) {
        for group in self.touched.drain(..) {
            if let Some(rows) = self.rows.get_mut(group as usize) {
                rows.clear();
            }
        }
        if self.of.is_empty() {
            return;
        }
        for (row, tick) in (0..).zip(ticks) {
            let groups = self.of.get(tick.resource as usize);
            for group in groups.into_iter().flatten() {
                let rows = cell(&mut self.rows, *group, Vec::new());
                if rows.is_empty() {
                    self.touched.push(*group);
                }
                rows.push(row);
            }
        }
    }

    /// The rows that concern a group; `None`: none do.
    pub(crate) fn rows(&self, group: usize) -> Option<&[u32]> {
        let rows = self.rows.get(group)?;
        (!rows.is_empty()).then_some(rows)
    }

    pub(crate) fn bytes(&self) -> usize {
        let lists = self.of.iter().chain(&self.rows);
        lists
            .map(|list| list.capacity() * 4 + size_of::<Vec<u32>>())
            .sum()
    }
}

impl super::Pipeline {
    /// Finds the rows that can concern each unit.
    pub(super) fn pick(&mut self) {
        self.group_picker.pick(&self.ticks);
        self.window_picker.pick(&self.ticks);
        self.pattern_picker.pick(&self.ticks);
        self.graph_picker.pick(&self.ticks);
    }
}
