//! [`Tally`]: how often each value came, for `mode` and `entropy`; [`Distinct`], which values came, for `count_distinct`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_proto::Value;

use super::{AggregateKind, RowOrder, Sketch};

/// Values that `mode` and `entropy` tell apart; beyond it those that came first count.
const TALLIED: usize = 10_000;
/// Values that `count_distinct` counts exactly; beyond it a sketch answers.
const DISTINCT_EXACT: usize = 10_000;

/// A value that can be told from others: false < true < numbers < text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Discrete {
    Bool(bool),
    /// The bits of a float, made to rise as it does.
    Number(i64),
    Text(Arc<str>),
}

/// Turns the bits of a float into a whole number that rises with it, and back.
const fn rising(bits: i64) -> i64 {
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

impl Discrete {
    /// `None` for what has no place among discrete values.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(flag) => Some(Self::Bool(*flag)),
            Value::Text(text) => Some(Self::Text(Arc::clone(text))),
            Value::Int(_) | Value::Number(_) => {
                let number = value.as_number()? + 0.0;
                Some(Self::Number(rising(number.to_bits() as i64)))
            }
            Value::Missing | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The float of a number.
    pub(crate) const fn number(&self) -> f64 {
        match self {
            Self::Number(bits) => f64::from_bits(rising(*bits) as u64),
            Self::Bool(_) | Self::Text(_) => 0.0,
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Number(_) => Value::number(self.number()),
            Self::Text(text) => Value::Text(Arc::clone(text)),
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len() + 16,
            _ => 0,
        }
    }
}

/// How often each value came, and where it came first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    values: BTreeMap<Discrete, (u64, RowOrder)>,
}

impl Tally {
    /// Takes a value.
    pub fn add(&mut self, order: RowOrder, value: &Value) {
        if let Some(value) = Discrete::of(value) {
            self.count(value, 1, order);
            self.limit();
        }
    }

    /// Takes a value of a row that will be given back: nothing is left out.
    pub(crate) fn enter(&mut self, order: RowOrder, value: &Value) {
        if let Some(value) = Discrete::of(value) {
            self.count(value, 1, order);
        }
    }

    fn count(&mut self, value: Discrete, times: u64, order: RowOrder) {
        let known = self.values.entry(value).or_insert((0, order));
        known.0 += times;
        known.1 = known.1.min(order);
    }

    /// Leaves out the values that came last, so that the order in which rows were taken does not show.
    fn limit(&mut self) {
        while self.values.len() > TALLIED {
            let newest = self.values.iter().max_by_key(|(_, (_, first))| *first);
            let Some(newest) = newest.map(|(value, _)| value.clone()) else {
                return;
            };
            self.values.remove(&newest);
        }
    }

    /// Gives a value back that was taken.
    pub(crate) fn remove(&mut self, value: &Value) {
        let Some(value) = Discrete::of(value) else {
            return;
        };
        if let Some(known) = self.values.get_mut(&value) {
            known.0 = known.0.saturating_sub(1);
            if known.0 == 0 {
                self.values.remove(&value);
            }
        }
    }

    /// Takes what another took.
    pub fn merge(&mut self, other: &Self) {
        for (value, (times, first)) in &other.values {
            self.count(value.clone(), *times, *first);
        }
        self.limit();
    }

    /// Number of values, the most frequent one, or the entropy in bits.
    #[must_use]
    pub fn result(&self, kind: AggregateKind) -> Value {
        match kind {
            AggregateKind::CountDistinct => super::whole(self.values.len() as u64),
            AggregateKind::Entropy => self.entropy(),
            _ => self.mode(),
        }
    }

    fn mode(&self) -> Value {
        let mut best: Option<(&Discrete, u64)> = None;
        for (value, (times, _)) in &self.values {
            if best.is_none_or(|(_, most)| *times > most) {
                best = Some((value, *times));
            }
        }
        best.map_or(Value::Missing, |(value, _)| value.value())
    }

    /// −Σ p·log2 p, the most frequent value first.
    fn entropy(&self) -> Value {
        if self.values.is_empty() {
            return Value::Missing;
        }
        let mut times: Vec<u64> = self.values.values().map(|(times, _)| *times).collect();
        times.sort_unstable_by(|left, right| right.cmp(left));
        let total = times.iter().sum::<u64>() as f64;
        let mut sum = 0.0;
        for times in times {
            let share = times as f64 / total;
            sum += share * libm::log2(share);
        }
        Value::number(0.0 - sum)
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        tree_bytes(self.values.keys())
    }
}

fn tree_bytes<'a>(values: impl Iterator<Item = &'a Discrete>) -> usize {
    values.map(|value| 64 + value.heap_bytes()).sum()
}

/// Which values came: themselves as long as they are few, then a sketch of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Distinct {
    /// Few values.
    Exact(Values),
    /// More.
    Sketch(Sketch),
}

/// Different values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Values(BTreeSet<Discrete>);

impl Default for Distinct {
    fn default() -> Self {
        Self::Exact(Values::default())
    }
}

impl Distinct {
    /// Takes a value.
    pub fn add(&mut self, value: &Value) {
        match (self, Discrete::of(value)) {
            (Self::Sketch(sketch), Some(value)) => sketch.add(&value),
            (Self::Exact(values), Some(value)) if values.0.contains(&value) => {}
            (this, Some(value)) => this.insert(value),
            (_, None) => {}
        }
    }

    fn insert(&mut self, value: Discrete) {
        match self {
            Self::Sketch(sketch) => sketch.add(&value),
            Self::Exact(values) => {
                values.0.insert(value);
                if values.0.len() > DISTINCT_EXACT {
                    let mut sketch = Sketch::default();
                    values.0.iter().for_each(|value| sketch.add(value));
                    *self = Self::Sketch(sketch);
                }
            }
        }
    }

    /// Takes what another took.
    pub fn merge(&mut self, other: &Self) {
        match other {
            Self::Exact(values) => values.0.iter().for_each(|v| self.insert(v.clone())),
            Self::Sketch(theirs) => {
                let mut sketch = theirs.clone();
                match self {
                    Self::Exact(values) => values.0.iter().for_each(|value| sketch.add(value)),
                    Self::Sketch(mine) => sketch.merge(mine),
                }
                *self = Self::Sketch(sketch);
            }
        }
    }

    /// How many.
    #[must_use]
    pub fn result(&self) -> Value {
        match self {
            Self::Exact(values) => super::whole(values.0.len() as u64),
            Self::Sketch(sketch) => sketch.result(),
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Exact(values) => tree_bytes(values.0.iter()),
            Self::Sketch(sketch) => sketch.heap_bytes(),
        }
    }
}
