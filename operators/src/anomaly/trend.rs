//! [`Trend`]: the line of least squares through the rows of a span, read ahead (`forecast`) or against a limit
//! (`time_to`).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::WINDOW_ROWS;
use crate::exact::ExactSum;

/// Rows below which there is no line.
const ENOUGH: usize = 3;

/// The rows of a span and the exact sums of a line through them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Trend {
    span: i64,
    /// How far ahead it is read; `None`: it is asked when it meets a limit.
    ahead: Option<i64>,
    /// Time of the first row ever: times count from here.
    origin: Option<i64>,
    /// Times from the origin in ms, and numbers.
    rows: VecDeque<(i64, f64)>,
    times: i128,
    time_squares: i128,
    numbers: ExactSum,
    time_sum: ExactSum,
    products: ExactSum,
    value: Option<f64>,
}

/// A line as of its last row.
struct Line {
    /// Per second.
    slope: f64,
    mean: f64,
    /// Seconds from the mean time to the last row.
    reach: f64,
    /// Seconds from the first row to the last.
    length: f64,
}

#[allow(
    clippy::cast_precision_loss,
    reason = "ms from the first row are exact in a float for 285,000 years; wide sums are rounded once, as they should"
)]
impl Trend {
    pub(crate) fn new(span: i64, ahead: Option<i64>) -> Self {
        Self {
            span,
            ahead,
            origin: None,
            rows: VecDeque::new(),
            times: 0,
            time_squares: 0,
            numbers: ExactSum::new(),
            time_sum: ExactSum::new(),
            products: ExactSum::new(),
            value: None,
        }
    }

    fn enter(&mut self, time: i64, number: f64) {
        self.times += i128::from(time);
        self.time_squares += i128::from(time) * i128::from(time);
        self.numbers.add(number);
        self.time_sum.add(time as f64);
        self.products.add_product(time as f64, number);
    }

    fn leave(&mut self, time: i64, number: f64) {
        self.times -= i128::from(time);
        self.time_squares -= i128::from(time) * i128::from(time);
        self.numbers.subtract(number);
        self.time_sum.subtract(time as f64);
        self.products.subtract_product(time as f64, number);
    }

    /// Takes a row and reads the line.
    pub(crate) fn take(&mut self, time: i64, number: f64, [limit, _]: [f64; 2]) {
        let origin = *self.origin.get_or_insert(time);
        let time = time.saturating_sub(origin);
        let edge = time.saturating_sub(self.span);
        while let Some((at, old)) = self.rows.pop_front_if(|(at, _)| *at <= edge) {
            self.leave(at, old);
        }
        if self.rows.len() >= WINDOW_ROWS
            && let Some((at, old)) = self.rows.pop_front()
        {
            self.leave(at, old);
        }
        self.rows.push_back((time, number));
        self.enter(time, number);
        self.value = self.read(limit);
    }

    fn line(&self) -> Option<Line> {
        let (first, last) = (self.rows.front()?.0, self.rows.back()?.0);
        if self.rows.len() < ENOUGH || first == last {
            return None;
        }
        let count = self.rows.len() as u64;
        let rows = i128::from(count);
        let spread = (rows * self.time_squares - self.times * self.times) as f64;
        let common = self
            .products
            .determinant(count, &self.time_sum, &self.numbers);
        let from_first = self.times - rows * i128::from(first);
        let mean_time = from_first as f64 / count as f64;
        Some(Line {
            slope: 1000.0 * common / spread,
            mean: self.numbers.mean(count),
            reach: ((last - first) as f64 - mean_time) / 1000.0,
            length: (last - first) as f64 / 1000.0,
        })
    }

    fn read(&self, limit: f64) -> Option<f64> {
        let line = self.line()?;
        if let Some(ahead) = self.ahead {
            return Some(line.mean + line.slope * (line.reach + ahead as f64 / 1000.0));
        }
        let now = line.mean + line.slope * line.reach;
        let seconds = (limit - now) / line.slope;
        if limit.is_nan() || line.slope == 0.0 || seconds.is_nan() || -seconds > line.length {
            return None;
        }
        Some(seconds.max(0.0))
    }

    pub(crate) const fn value(&self) -> Option<f64> {
        self.value
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let sums = [&self.numbers, &self.time_sum, &self.products];
        let sums: usize = sums.iter().map(|sum| sum.heap_bytes()).sum();
        self.rows.capacity() * size_of::<(i64, f64)>() + sums
    }
}
