//! [`Digest`]: the merging t-digest that answers percentiles beyond the exact limit (δ = 200, buffer 1000).

use serde::{Deserialize, Serialize};

const DELTA: f64 = 200.0;
const BUFFER: usize = 1000;

/// Centroids and the values that are not merged into them yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Digest {
    /// Mean and weight, rising by mean.
    centroids: Vec<(f64, f64)>,
    buffer: Vec<(f64, f64)>,
    least: f64,
    largest: f64,
    weight: f64,
}

impl Default for Digest {
    fn default() -> Self {
        Self {
            centroids: Vec::new(),
            buffer: Vec::new(),
            least: f64::INFINITY,
            largest: f64::NEG_INFINITY,
            weight: 0.0,
        }
    }
}

impl Digest {
    /// Takes a value. The answer depends on the order of values: give them in row order.
    pub fn add(&mut self, number: f64) {
        self.take(number, 1.0);
        self.least = self.least.min(number);
        self.largest = self.largest.max(number);
    }

    fn take(&mut self, mean: f64, weight: f64) {
        self.buffer.push((mean, weight));
        self.weight += weight;
        if self.buffer.len() >= BUFFER {
            self.compress();
        }
    }

    /// Takes the centroids of another digest.
    pub fn merge(&mut self, other: &Self) {
        for (mean, weight) in other.centroids.iter().chain(&other.buffer) {
            self.take(*mean, *weight);
        }
        self.least = self.least.min(other.least);
        self.largest = self.largest.max(other.largest);
    }

    fn compress(&mut self) {
        // Stable: centroids stay before values of the same mean.
        let mut all = std::mem::take(&mut self.centroids);
        all.append(&mut self.buffer);
        all.sort_by(|left, right| left.0.total_cmp(&right.0));
        let mut before = 0.0;
        let mut current: Option<(f64, f64)> = None;
        for (mean, weight) in all {
            let Some((into, held)) = current else {
                current = Some((mean, weight));
                continue;
            };
            let merged = held + weight;
            let q = (before + merged / 2.0) / self.weight;
            if merged <= (4.0 * self.weight * q * (1.0 - q) / DELTA).max(1.0) {
                let shift = if mean == into {
                    0.0
                } else {
                    (mean - into) * weight / merged
                };
                current = Some((into + shift, merged));
            } else {
                before += held;
                self.centroids.push((into, held));
                current = Some((mean, weight));
            }
        }
        self.centroids.extend(current);
    }

    /// The value at a rank of 0 to 1; `None` if there is no value.
    #[must_use]
    pub fn quantile(&self, rank: f64) -> Option<f64> {
        let mut copy = self.clone();
        copy.compress();
        let target = rank * copy.weight;
        let mut left = (0.0, copy.least);
        let mut before = 0.0;
        for (mean, weight) in &copy.centroids {
            let right = (before + weight / 2.0, *mean);
            if target <= right.0 {
                return Some(between(left, right, target));
            }
            left = right;
            before += weight;
        }
        (copy.weight > 0.0).then(|| between(left, (copy.weight, copy.largest), target))
    }

    /// Bytes on the heap, itself included (it is kept in a box).
    pub(crate) fn heap_bytes(&self) -> usize {
        size_of::<Self>()
            + (self.centroids.capacity() + self.buffer.capacity()) * size_of::<(f64, f64)>()
    }
}

fn between(left: (f64, f64), right: (f64, f64), at: f64) -> f64 {
    let width = right.0 - left.0;
    if width <= 0.0 || left.1 == right.1 {
        return right.1;
    }
    left.1 + (right.1 - left.1) * ((at - left.0) / width)
}
