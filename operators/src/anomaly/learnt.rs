//! [`Learnt`]: mean and deviation of the first rows, frozen afterwards.

use serde::{Deserialize, Serialize};

use crate::aggregate::Moments;

/// Mean and deviation of the first rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Learnt {
    /// So many rows still to come.
    Learning(Box<Moments>, u32),
    /// Frozen.
    Known {
        /// Mean.
        mean: f64,
        /// Standard deviation, n − 1.
        deviation: f64,
    },
}

impl Learnt {
    pub(crate) fn new(rows: u32) -> Self {
        Self::Learning(Box::default(), rows)
    }

    /// Learns from a row, or tells how far it is from the mean in deviations: `None` while it learns, and when there is
    /// no deviation.
    pub(crate) fn distance(&mut self, number: f64) -> Option<f64> {
        match self {
            Self::Learning(moments, left) => {
                moments.add(number);
                *left = left.saturating_sub(1);
                if *left == 0 {
                    *self = Self::Known {
                        mean: moments.mean().unwrap_or_default(),
                        deviation: moments.variance().unwrap_or_default().sqrt(),
                    };
                }
                None
            }
            Self::Known { mean, deviation } => {
                (*deviation != 0.0).then_some((number - *mean) / *deviation)
            }
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Learning(moments, _) => size_of::<Moments>() + moments.heap_bytes(),
            Self::Known { .. } => 0,
        }
    }
}
