//! [`Season`]: what is usual at each hour of the week.

use serde::{Deserialize, Serialize};

/// Hours of a week.
const HOURS: usize = 168;
/// Rows of an hour before it says anything.
const ENOUGH: u64 = 3;
/// A new row never counts less.
const LEAST_SHARE: f64 = 0.1;

/// One hour of the week.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Cell {
    rows: u64,
    mean: f64,
    variance: f64,
}

/// What is usual at each hour of the week, of 168 × 24 bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Season {
    as_distance: bool,
    cells: Vec<Cell>,
    value: Option<f64>,
}

impl Season {
    pub(crate) fn new(as_distance: bool) -> Self {
        Self {
            as_distance,
            cells: vec![Cell::default(); HOURS],
            value: None,
        }
    }

    /// Reads the hour, then takes the row into it.
    pub(crate) fn take(&mut self, hour: Option<usize>, number: f64) {
        let cell = hour.and_then(|hour| self.cells.get_mut(hour));
        let Some(cell) = cell else {
            self.value = None;
            return;
        };
        let usual = (cell.rows >= ENOUGH).then_some(*cell);
        self.value = if self.as_distance {
            let usual = usual.filter(|usual| usual.variance != 0.0);
            usual.map(|usual| (number - usual.mean) / usual.variance.sqrt())
        } else {
            usual.map(|usual| usual.mean)
        };
        cell.take(number);
    }

    pub(crate) const fn value(&self) -> Option<f64> {
        self.value
    }

    pub(crate) const fn heap_bytes(&self) -> usize {
        self.cells.capacity() * size_of::<Cell>()
    }
}

impl Cell {
    #[allow(clippy::cast_precision_loss, reason = "no hour sees 2^53 rows")]
    fn take(&mut self, number: f64) {
        let share = (1.0 / (self.rows as f64 + 1.0)).max(LEAST_SHARE);
        let error = number - self.mean;
        self.mean += share * error;
        self.variance = (1.0 - share) * (self.variance + share * (error * error));
        self.rows += 1;
    }
}
