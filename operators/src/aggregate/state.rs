//! What the families of aggregates remember: totals, moments, extremes, ends, the middle.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_proto::Value;

use super::{AggregateKind, Digest, PERCENTILE_EXACT, RowOrder};
use crate::exact::ExactSum;

/// Rows that a median keeps one by one; beyond it the older half goes into a digest for good.
const MIDDLE_ROWS: usize = 100_000;

/// Exact sum and number of terms.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Total {
    sum: ExactSum,
    count: u64,
}

impl Total {
    /// Takes a number.
    #[inline]
    pub fn add(&mut self, number: f64) {
        self.sum.add(number);
        self.count += 1;
    }

    /// Gives a number back that was taken.
    #[inline]
    pub fn remove(&mut self, number: f64) {
        self.sum.subtract(number);
        self.count = self.count.saturating_sub(1);
    }

    /// Takes what another took.
    pub fn merge(&mut self, other: &Self) {
        self.sum.merge(&other.sum);
        self.count += other.count;
    }

    /// Gives back what another took.
    pub fn unmerge(&mut self, other: &Self) {
        self.sum.unmerge(&other.sum);
        self.count = self.count.saturating_sub(other.count);
    }

    /// Sum or mean.
    #[must_use]
    pub fn result(&self, kind: AggregateKind) -> Value {
        if self.count == 0 {
            Value::Missing
        } else if kind == AggregateKind::Sum {
            Value::number(self.sum.round())
        } else {
            Value::number(self.sum.mean(self.count))
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.sum.heap_bytes()
    }
}

/// Exact sums of numbers and of their squares.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    sum: ExactSum,
    squares: ExactSum,
    count: u64,
}

impl Moments {
    /// Takes a number.
    #[inline]
    pub fn add(&mut self, number: f64) {
        self.sum.add(number);
        self.squares.add_square(number);
        self.count += 1;
    }

    /// Gives a number back that was taken.
    #[inline]
    pub fn remove(&mut self, number: f64) {
        self.sum.subtract(number);
        self.squares.subtract_square(number);
        self.count = self.count.saturating_sub(1);
    }

    /// Takes what another took.
    pub fn merge(&mut self, other: &Self) {
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
        self.count += other.count;
    }

    /// Gives back what another took.
    pub fn unmerge(&mut self, other: &Self) {
        self.sum.unmerge(&other.sum);
        self.squares.unmerge(&other.squares);
        self.count = self.count.saturating_sub(other.count);
    }

    /// The mean, if there are terms.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum.mean(self.count))
    }

    /// D = n·Q − S², rounded once: zero exactly when all terms are equal (or it is below all floats).
    #[must_use]
    pub fn determinant(&self) -> f64 {
        self.squares.determinant(self.count, &self.sum, &self.sum)
    }

    /// Variance; `None` for less than two terms.
    #[must_use]
    pub fn variance(&self) -> Option<f64> {
        let count = self.count as f64;
        (self.count > 1).then(|| self.determinant() / (count * (count - 1.0)))
    }

    /// Standard deviation or variance.
    #[must_use]
    pub fn result(&self, kind: AggregateKind) -> Value {
        match self.variance() {
            Some(variance) if kind == AggregateKind::Std => Value::number(variance.sqrt()),
            Some(variance) => Value::number(variance),
            None => Value::Missing,
        }
    }

    /// How the number `newest`, one of the terms, stands among all: `(x − mean) / deviation`. All equal: 0. Less than
    /// two terms, or a deviation that is no positive number: `()`.
    #[must_use]
    pub fn zscore(&self, newest: f64) -> Value {
        let (Some(mean), Some(variance)) = (self.mean(), self.variance()) else {
            return Value::Missing;
        };
        let deviation = variance.sqrt();
        if deviation == 0.0 {
            // Equal terms have their value as mean, also where the rounded mean is a bit beside it.
            return if self.determinant() == 0.0 || newest == mean {
                Value::Number(0.0)
            } else {
                Value::Missing
            };
        }
        Value::number((newest - mean) / deviation)
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.sum.heap_bytes() + self.squares.heap_bytes()
    }
}

/// Least and largest number, or text when no number came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Extremes {
    least: f64,
    largest: f64,
    text: Option<Box<(Arc<str>, Arc<str>)>>,
}

impl Default for Extremes {
    /// Least above largest: no number yet.
    fn default() -> Self {
        Self {
            least: f64::INFINITY,
            largest: f64::NEG_INFINITY,
            text: None,
        }
    }
}

impl Extremes {
    /// Takes a number.
    #[inline]
    pub fn add_number(&mut self, number: f64) {
        // −0.0 equals 0.0: one of them, so that the order of rows does not show.
        let number = number + 0.0;
        self.least = if number < self.least {
            number
        } else {
            self.least
        };
        self.largest = if number > self.largest {
            number
        } else {
            self.largest
        };
    }

    /// Takes a number, a flag or a text.
    pub fn add(&mut self, value: &Value) {
        if let Value::Text(text) = value {
            self.add_text(text, text);
        } else if let Some(number) = value.as_number() {
            self.add_number(number);
        }
    }

    fn add_text(&mut self, least: &Arc<str>, largest: &Arc<str>) {
        match &mut self.text {
            None => self.text = Some(Box::new((Arc::clone(least), Arc::clone(largest)))),
            Some(ends) => {
                if least.as_bytes() < ends.0.as_bytes() {
                    ends.0 = Arc::clone(least);
                }
                if largest.as_bytes() > ends.1.as_bytes() {
                    ends.1 = Arc::clone(largest);
                }
            }
        }
    }

    /// Takes what another took.
    pub fn merge(&mut self, other: &Self) {
        if other.least <= other.largest {
            self.add_number(other.least);
            self.add_number(other.largest);
        }
        if let Some(ends) = &other.text {
            self.add_text(&ends.0, &ends.1);
        }
    }

    /// Least, largest, or their distance.
    #[must_use]
    pub fn result(&self, kind: AggregateKind) -> Value {
        let numbers = self.least <= self.largest;
        match (kind, &self.text) {
            (AggregateKind::Min, _) if numbers => Value::Number(self.least),
            (AggregateKind::Max, _) if numbers => Value::Number(self.largest),
            (AggregateKind::Min, Some(ends)) => Value::Text(Arc::clone(&ends.0)),
            (AggregateKind::Max, Some(ends)) => Value::Text(Arc::clone(&ends.1)),
            (AggregateKind::Spread, _) if numbers => Value::number(self.largest - self.least),
            _ => Value::Missing,
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.text.as_ref().map_or(0, |ends| {
            size_of::<(Arc<str>, Arc<str>)>() + ends.0.len() + ends.1.len() + 32
        })
    }
}

/// The value of the row at one end of row order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ends {
    order: RowOrder,
    value: Value,
}

impl Ends {
    /// Keeps the value if no row before it is known.
    #[inline]
    pub fn keep_first(&mut self, order: RowOrder, value: &Value) {
        if self.value.is_missing() || order < self.order {
            self.order = order;
            self.value = value.clone();
        }
    }

    /// Keeps the value if no row after it is known.
    #[inline]
    pub fn keep_last(&mut self, order: RowOrder, value: &Value) {
        if self.value.is_missing() || order >= self.order {
            self.order = order;
            self.value = value.clone();
        }
    }

    /// Takes what another took, for the first.
    pub fn merge_first(&mut self, other: &Self) {
        if !other.value.is_missing() {
            self.keep_first(other.order, &other.value);
        }
    }

    /// Takes what another took, for the last.
    pub fn merge_last(&mut self, other: &Self) {
        if !other.value.is_missing() {
            self.keep_last(other.order, &other.value);
        }
    }

    /// Where the row of the value stands.
    pub(crate) const fn order(&self) -> RowOrder {
        self.order
    }

    /// The value kept.
    #[must_use]
    pub fn value(&self) -> Value {
        self.value.clone()
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        match &self.value {
            Value::Text(text) => text.len() + 16,
            Value::List(items) => items.len() * size_of::<Value>(),
            Value::Map(entries) => entries.len() * size_of::<(Arc<str>, Value)>(),
            _ => 0,
        }
    }
}

/// The rows of a median. They are kept one by one, so that a digest, if it comes to that, takes them in row order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Middle {
    rows: Vec<(RowOrder, f64)>,
    /// Rows beyond the limit, oldest first.
    folded: Option<Box<Digest>>,
}

impl Middle {
    /// Takes a number.
    pub fn add(&mut self, order: RowOrder, number: f64) {
        self.rows.push((order, number + 0.0));
        if self.rows.len() > MIDDLE_ROWS {
            self.fold();
        }
    }

    fn fold(&mut self) {
        self.rows.sort_unstable_by_key(|(order, _)| *order);
        let digest = self.folded.get_or_insert_default();
        for (_, number) in self.rows.drain(..MIDDLE_ROWS / 2) {
            digest.add(number);
        }
    }

    /// Takes what another took.
    pub fn merge(&mut self, other: &Self) {
        if let Some(theirs) = &other.folded {
            self.folded.get_or_insert_default().merge(theirs);
        }
        for (order, number) in &other.rows {
            self.add(*order, *number);
        }
    }

    /// The median.
    #[must_use]
    pub fn result(&self) -> Value {
        self.percentile(50.0)
    }

    /// The value below which so many percent lie.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> Value {
        if self.folded.is_none() && self.rows.len() <= PERCENTILE_EXACT {
            let mut numbers: Vec<f64> = self.rows.iter().map(|(_, number)| *number).collect();
            if percent == 50.0 {
                return exact_median(&mut numbers);
            }
            numbers.sort_unstable_by(f64::total_cmp);
            let at = |rank: usize| numbers.get(rank).copied();
            return percentile_of(percent, numbers.len(), at).map_or(Value::Missing, Value::number);
        }
        let mut rows = self.rows.clone();
        rows.sort_unstable_by_key(|(order, _)| *order);
        let mut digest = self.folded.as_deref().cloned().unwrap_or_default();
        for (_, number) in rows {
            digest.add(number);
        }
        digest
            .quantile(percent / 100.0)
            .map_or(Value::Missing, Value::number)
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.rows.capacity() * size_of::<(RowOrder, f64)>()
            + self.folded.as_ref().map_or(0, |digest| digest.heap_bytes())
    }
}

/// The middle of the numbers, which are left in another order; the mean of the middle two for an even count.
fn exact_median(numbers: &mut [f64]) -> Value {
    let count = numbers.len();
    if count == 0 {
        return Value::Missing;
    }
    let (below, upper, _) = numbers.select_nth_unstable_by(count / 2, f64::total_cmp);
    let upper = *upper;
    if count % 2 == 1 {
        return Value::number(upper);
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Value::number(middle_of(lower, upper))
}

/// The value below which so many percent of `count` numbers lie, linear between neighbours; `at` gives them by rank.
pub(crate) fn percentile_of(
    percent: f64,
    count: usize,
    at: impl Fn(usize) -> Option<f64>,
) -> Option<f64> {
    let place = count.checked_sub(1)? as f64 * percent / 100.0;
    let (rank, share) = (place.floor(), place - place.floor());
    let below = at(rank as usize)?;
    match at(rank as usize + 1) {
        Some(above) if share > 0.0 && above != below => Some(below + share * (above - below)),
        _ => Some(below),
    }
}

/// (a + b) / 2, also where the sum overflows.
pub(crate) fn middle_of(lower: f64, upper: f64) -> f64 {
    let sum = lower + upper;
    if sum.is_infinite() && lower.is_finite() && upper.is_finite() {
        lower / 2.0 + upper / 2.0
    } else {
        sum / 2.0
    }
}
