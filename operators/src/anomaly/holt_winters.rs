//! [`HoltWinters`]: additive exponential smoothing with a trend and a season, and how far off it has been.

use serde::{Deserialize, Serialize};

use crate::exact::ExactSum;

/// 95 of 100 errors of a normal distribution lie within so many deviations.
const INTERVAL: f64 = 1.96;

/// What `holt_winters` was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Seasons {
    /// Steps of a season.
    pub(crate) steps: u32,
    /// Steps ahead.
    pub(crate) ahead: u32,
    /// Weight of a new level.
    pub(crate) alpha: f64,
    /// Weight of a new trend.
    pub(crate) beta: f64,
    /// Weight of a new season.
    pub(crate) gamma: f64,
    /// −1: lower end of the interval, 0: the forecast, 1: upper end.
    pub(crate) side: i8,
}

/// Level, trend and season of one key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct HoltWinters {
    plan: Seasons,
    /// Steps taken.
    taken: u64,
    level: f64,
    trend: f64,
    /// The first two seasons as they came, afterwards the season.
    season: Vec<f64>,
    squares: f64,
    errors: u64,
}

impl HoltWinters {
    pub(crate) const fn new(plan: Seasons) -> Self {
        Self {
            plan,
            taken: 0,
            level: 0.0,
            trend: 0.0,
            season: Vec::new(),
            squares: 0.0,
            errors: 0,
        }
    }

    const fn steps(&self) -> usize {
        self.plan.steps as usize
    }

    fn is_warm(&self) -> bool {
        self.taken >= 2 * u64::from(self.plan.steps)
    }

    /// The place in the season of the step so many after the last one taken.
    fn place(&self, ahead: u64) -> usize {
        let step =
            self.taken.saturating_sub(1).saturating_add(ahead) % u64::from(self.plan.steps.max(1));
        usize::try_from(step).unwrap_or(0)
    }

    fn seasonal(&self, place: usize) -> f64 {
        self.season.get(place).copied().unwrap_or_default()
    }

    /// Takes the next step.
    pub(crate) fn take(&mut self, number: f64) {
        if !self.is_warm() {
            self.season.push(number);
            self.taken += 1;
            if self.is_warm() {
                self.begin();
            }
            return;
        }
        let place = self.place(1);
        let error = number - (self.level + self.trend + self.seasonal(place));
        self.squares += error * error;
        self.errors += 1;
        self.smooth(place, number);
    }

    fn smooth(&mut self, place: usize, number: f64) {
        let Seasons {
            alpha, beta, gamma, ..
        } = self.plan;
        let seasonal = self.seasonal(place);
        let level = alpha * (number - seasonal) + (1.0 - alpha) * (self.level + self.trend);
        self.trend = beta * (level - self.level) + (1.0 - beta) * self.trend;
        if let Some(cell) = self.season.get_mut(place) {
            *cell = gamma * (number - level) + (1.0 - gamma) * seasonal;
        }
        self.level = level;
        self.taken += 1;
    }

    /// Level, trend and season from the first two seasons.
    fn begin(&mut self) {
        let (first, second) = self.season.split_at(self.steps().min(self.season.len()));
        let (early, late) = (mean(first), mean(second));
        let pairs = first.iter().zip(second);
        let season = pairs
            .map(|(one, other)| f64::midpoint(one - early, other - late))
            .collect();
        self.level = late;
        self.trend = (late - early) / f64::from(self.plan.steps);
        self.season = season;
    }

    /// The forecast, or an end of its interval.
    #[allow(clippy::cast_precision_loss, reason = "no task sees 2^53 steps")]
    pub(crate) fn value(&self) -> Option<f64> {
        if !self.is_warm() {
            return None;
        }
        let ahead = f64::from(self.plan.ahead);
        let seasonal = self.seasonal(self.place(u64::from(self.plan.ahead)));
        let value = self.level + ahead * self.trend + seasonal;
        if self.plan.side == 0 {
            return Some(value);
        }
        if self.errors == 0 {
            return None;
        }
        let variance = self.squares / self.errors as f64;
        let alpha = self.plan.alpha;
        let reach = INTERVAL * (variance * (1.0 + (ahead - 1.0) * (alpha * alpha))).sqrt();
        Some(value + f64::from(self.plan.side) * reach)
    }

    pub(crate) const fn heap_bytes(&self) -> usize {
        self.season.capacity() * size_of::<f64>()
    }
}

fn mean(numbers: &[f64]) -> f64 {
    let mut sum = ExactSum::new();
    numbers.iter().for_each(|number| sum.add(*number));
    sum.mean(numbers.len() as u64)
}
