//! Means in which older rows count less ([`Ewma`]), and what watches them: [`EwmaShift`], [`Cusum`].

use serde::{Deserialize, Serialize};

use super::learnt::Learnt;

/// An exponentially weighted mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ewma {
    weight: Weight,
    /// Mean, and time of its last row.
    mean: Option<(f64, i64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Weight {
    /// What is this old counts 1/e.
    Time(i64),
    /// A row counts this share.
    Row(f64),
}

impl Ewma {
    pub(crate) const fn by_time(span: i64) -> Self {
        Self {
            weight: Weight::Time(span),
            mean: None,
        }
    }

    pub(crate) const fn by_row(share: f64) -> Self {
        Self {
            weight: Weight::Row(share),
            mean: None,
        }
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "times and spans are exact in a float for 285,000 years"
    )]
    pub(crate) fn take(&mut self, time: i64, number: f64) {
        let Some((mean, last)) = self.mean else {
            self.mean = Some((number, time));
            return;
        };
        let share = match self.weight {
            Weight::Time(_) if time == last => 0.0,
            Weight::Time(span) => {
                1.0 - libm::exp(-(time.saturating_sub(last) as f64) / span as f64)
            }
            Weight::Row(share) => share,
        };
        self.mean = Some((mean + share * (number - mean), time));
    }

    pub(crate) fn value(&self) -> Option<f64> {
        self.mean.map(|(mean, _)| mean)
    }
}

/// Whether a weighted mean has left its control limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EwmaShift {
    share: f64,
    limit: f64,
    learnt: Learnt,
    mean: f64,
    /// Rows since it was learnt.
    rows: u64,
    value: Option<f64>,
}

impl EwmaShift {
    pub(crate) fn new(share: f64, limit: f64, warmup: u32) -> Self {
        Self {
            share,
            limit,
            learnt: Learnt::new(warmup),
            mean: 0.0,
            rows: 0,
            value: None,
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "no task sees 2^53 rows")]
    pub(crate) fn take(&mut self, number: f64) {
        let Some(distance) = self.learnt.distance(number) else {
            return;
        };
        self.rows += 1;
        let share = self.share;
        self.mean += share * (distance - self.mean);
        let settled = 1.0 - libm::pow(1.0 - share, 2.0 * self.rows as f64);
        let limit = self.limit * (share / (2.0 - share) * settled).sqrt();
        self.value = Some(side(self.mean > limit, self.mean < -limit));
    }

    pub(crate) const fn value(&self) -> Option<f64> {
        self.value
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.learnt.heap_bytes()
    }
}

/// 1 above, −1 below, 0 between.
const fn side(above: bool, below: bool) -> f64 {
    match (above, below) {
        (true, _) => 1.0,
        (false, true) => -1.0,
        (false, false) => 0.0,
    }
}

/// Whether the sum of deviations has passed its limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cusum {
    slack: f64,
    limit: f64,
    warmup: u32,
    learnt: Learnt,
    high: f64,
    low: f64,
    value: Option<f64>,
}

impl Cusum {
    pub(crate) fn new(slack: f64, limit: f64, warmup: u32) -> Self {
        Self {
            slack,
            limit,
            warmup,
            learnt: Learnt::new(warmup),
            high: 0.0,
            low: 0.0,
            value: None,
        }
    }

    pub(crate) fn take(&mut self, number: f64) {
        let Some(distance) = self.learnt.distance(number) else {
            self.value = None;
            return;
        };
        self.high = (self.high + distance - self.slack).max(0.0);
        self.low = (self.low - distance - self.slack).max(0.0);
        let side = side(self.high > self.limit, self.low > self.limit);
        self.value = Some(side);
        if side != 0.0 {
            *self = Self {
                value: self.value,
                ..Self::new(self.slack, self.limit, self.warmup)
            };
        }
    }

    pub(crate) const fn value(&self) -> Option<f64> {
        self.value
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.learnt.heap_bytes()
    }
}
