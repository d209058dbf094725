//! Thresholds: many rules that compare one value with a constant each. A sorted table finds the rules whose truth changed
//! between the last value and the new one, so ten thousand rules cost what a few do, and nothing is kept per pair.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tidegate_scripts::{Formula, ThresholdOperator};

use crate::plan::slots::{Bound, SlotTable};
use crate::watermark::{at, cell};

/// How a value is compared with a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Compare {
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `<=`
    AtMost,
}

impl Compare {
    /// Whether the comparison holds.
    pub(crate) fn holds(self, value: f64, constant: f64) -> bool {
        match self {
            Self::Above => value > constant,
            Self::AtLeast => value >= constant,
            Self::Below => value < constant,
            Self::AtMost => value <= constant,
        }
    }

    /// How many of rising constants come before the first whose truth a value decides the other way.
    fn split(self, entries: &[Entry], value: f64) -> usize {
        entries.partition_point(|entry| match self {
            // True for the constants below the value (and at it).
            Self::Above | Self::AtLeast => self.holds(value, entry.constant),
            // True for the constants above the value (and at it).
            Self::Below | Self::AtMost => !self.holds(value, entry.constant),
        })
    }
}

/// A condition that is one comparison with a constant.
#[derive(Debug)]
pub(crate) struct ThresholdPlan {
    /// What is compared.
    pub(crate) value: Bound,
    /// How.
    pub(crate) compare: Compare,
    /// With what.
    pub(crate) constant: f64,
    /// Equal for rules that share a table.
    pub(crate) identity: String,
}

impl ThresholdPlan {
    /// The threshold that a condition is, if it is one.
    pub(crate) fn of(when: &Formula, table: &SlotTable) -> Option<Self> {
        let threshold = when.as_threshold()?;
        let compare = match threshold.operator {
            ThresholdOperator::Greater => Compare::Above,
            ThresholdOperator::GreaterEqual => Compare::AtLeast,
            ThresholdOperator::Less => Compare::Below,
            ThresholdOperator::LessEqual => Compare::AtMost,
        };
        let identity = format!("{:?} {}", compare, threshold.left.normal_text());
        Some(Self {
            value: table.bind(threshold.left),
            compare,
            constant: threshold.constant,
            identity,
        })
    }
}

/// One rule of a table.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    constant: f64,
    unit: u32,
    /// Version of the table that the rule came with.
    version: u32,
}

/// The rules of one group that compare one value in one way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Table {
    /// What the rules have in common.
    pub(crate) identity: String,
    compare: Compare,
    /// Rising by constant, then unit.
    entries: Vec<Entry>,
    /// Rules in the order in which they came: version, constant, unit.
    added: Vec<(u32, f64, u32)>,
    version: u32,
    /// Last value judged per resource, NaN before the first.
    last: Vec<f64>,
    /// Version of the table when it was judged.
    seen: Vec<u32>,
    /// Resources on which a rule was raised before its condition changed: decided at their next row.
    carried: BTreeMap<u32, BTreeSet<u32>>,
    /// Judgements without a value per resource: they count for every rule of the table.
    pub(crate) unknown: BTreeMap<u32, u64>,
}

impl Table {
    pub(crate) fn new(identity: String, compare: Compare) -> Self {
        Self {
            identity,
            compare,
            entries: Vec::new(),
            added: Vec::new(),
            version: 0,
            last: Vec::new(),
            seen: Vec::new(),
            carried: BTreeMap::new(),
            unknown: BTreeMap::new(),
        }
    }

    /// Adds a rule; `raised` are the resources on which it stays raised until its next row.
    pub(crate) fn add(&mut self, unit: u32, constant: f64, raised: BTreeSet<u32>) {
        self.version += 1;
        let entry = Entry {
            constant,
            unit,
            version: self.version,
        };
        let place = self.entries.partition_point(|other| {
            let order = other.constant.total_cmp(&constant);
            order.then(other.unit.cmp(&unit)).is_lt()
        });
        self.entries.insert(place, entry);
        self.added.push((self.version, constant, unit));
        if !raised.is_empty() {
            self.carried.insert(unit, raised);
        }
    }

    /// Takes a rule out.
    pub(crate) fn remove(&mut self, unit: u32) {
        self.entries.retain(|entry| entry.unit != unit);
        self.added.retain(|(_, _, other)| *other != unit);
        self.carried.remove(&unit);
    }

    /// Rules of the table, rising by constant.
    pub(crate) fn units(&self) -> impl Iterator<Item = u32> {
        self.entries.iter().map(|entry| entry.unit)
    }

    /// Rules that were added after the resource was judged last.
    fn unseen(&self, resource: u32) -> &[(u32, f64, u32)] {
        let seen = at(&self.seen, resource, 0);
        let from = self
            .added
            .partition_point(|(version, _, _)| *version <= seen);
        self.added.get(from..).unwrap_or_default()
    }

    /// Judges a value; `told` gets the rules whose truth changed, with their truth.
    pub(crate) fn judge(&mut self, resource: u32, value: f64, told: &mut Vec<(u32, bool)>) {
        let before = at(&self.last, resource, f64::NAN);
        let seen = at(&self.seen, resource, 0);
        if !before.is_nan() && before != value {
            self.crossed(before, value, seen, told);
        }
        if seen != self.version {
            let mut decided = Vec::new();
            for (_, constant, unit) in self.unseen(resource) {
                let was = self.is_carried(*unit, resource);
                let is = self.compare.holds(value, *constant);
                if was != is {
                    told.push((*unit, is));
                }
                if was {
                    decided.push(*unit);
                }
            }
            for unit in decided {
                self.release(unit, resource);
            }
            *cell(&mut self.seen, resource, 0) = self.version;
        }
        *cell(&mut self.last, resource, f64::NAN) = value;
    }

    fn crossed(&self, before: f64, value: f64, seen: u32, told: &mut Vec<(u32, bool)>) {
        let old = self.compare.split(&self.entries, before);
        let new = self.compare.split(&self.entries, value);
        let between = self.entries.get(old.min(new)..old.max(new));
        for entry in between.unwrap_or_default() {
            if entry.version <= seen {
                told.push((entry.unit, self.compare.holds(value, entry.constant)));
            }
        }
    }

    fn is_carried(&self, unit: u32, resource: u32) -> bool {
        let carried = self.carried.get(&unit);
        carried.is_some_and(|resources| resources.contains(&resource))
    }

    /// Lets go that a rule was raised on a resource before its condition changed.
    pub(crate) fn release(&mut self, unit: u32, resource: u32) {
        if let Some(resources) = self.carried.get_mut(&unit) {
            resources.remove(&resource);
            if resources.is_empty() {
                self.carried.remove(&unit);
            }
        }
    }

    fn entry(&self, unit: u32) -> Option<Entry> {
        self.entries
            .iter()
            .find(|entry| entry.unit == unit)
            .copied()
    }

    fn holds(&self, entry: Entry, resource: u32) -> bool {
        if entry.version > at(&self.seen, resource, 0) {
            return self.is_carried(entry.unit, resource);
        }
        let last = at(&self.last, resource, f64::NAN);
        self.compare.holds(last, entry.constant)
    }

    /// Whether a rule is raised on a resource.
    pub(crate) fn is_raised(&self, unit: u32, resource: u32) -> bool {
        self.entry(unit)
            .is_some_and(|entry| self.holds(entry, resource))
    }

    /// Resources on which a rule is raised.
    pub(crate) fn raised(&self, unit: u32) -> BTreeSet<u32> {
        let known = u32::try_from(self.last.len()).unwrap_or(u32::MAX);
        let Some(entry) = self.entry(unit) else {
            return BTreeSet::new();
        };
        let carried = self.carried.get(&unit).into_iter().flatten().copied();
        (0..known)
            .filter(|resource| self.holds(entry, *resource))
            .chain(carried)
            .collect()
    }

    /// Rules that are raised on a resource, and forgets the resource.
    pub(crate) fn forget(&mut self, resource: u32) -> Vec<u32> {
        let entries = self.entries.iter();
        let raised = entries
            .filter(|entry| self.holds(**entry, resource))
            .map(|entry| entry.unit)
            .collect();
        for resources in self.carried.values_mut() {
            resources.remove(&resource);
        }
        *cell(&mut self.last, resource, f64::NAN) = f64::NAN;
        *cell(&mut self.seen, resource, 0) = 0;
        raised
    }

    pub(crate) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
            + self.added.capacity() * 16
            + self.last.capacity() * 8
            + self.seen.capacity() * 4
    }
}
