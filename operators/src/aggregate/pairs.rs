//! [`Pairs`]: exact sums of two numbers a row, for `cov`, `corr` and `slope`; [`Skewness`], the sums of `skew`.

use serde::{Deserialize, Serialize};
use tidegate_proto::Value;

use super::AggregateKind;
use crate::exact::ExactSum;

/// Exact sums of pairs of numbers. A slope is over the event time in ms and a number: where time begins does not matter,
/// the determinants are exact.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pairs {
    left: ExactSum,
    right: ExactSum,
    left_squares: ExactSum,
    right_squares: ExactSum,
    products: ExactSum,
    count: u64,
}

impl Pairs {
    /// Takes a pair.
    pub fn add(&mut self, kind: AggregateKind, left: f64, right: f64) {
        self.left.add(left);
        self.right.add(right);
        self.products.add_product(left, right);
        if kind != AggregateKind::Cov {
            self.left_squares.add_square(left);
        }
        if kind == AggregateKind::Corr {
            self.right_squares.add_square(right);
        }
        self.count += 1;
    }

    /// Gives a pair back that was taken.
    pub fn remove(&mut self, kind: AggregateKind, left: f64, right: f64) {
        self.left.subtract(left);
        self.right.subtract(right);
        self.products.subtract_product(left, right);
        if kind != AggregateKind::Cov {
            self.left_squares.subtract_square(left);
        }
        if kind == AggregateKind::Corr {
            self.right_squares.subtract_square(right);
        }
        self.count = self.count.saturating_sub(1);
    }

    /// Takes what another took.
    pub fn merge(&mut self, other: &Self) {
        self.left.merge(&other.left);
        self.right.merge(&other.right);
        self.left_squares.merge(&other.left_squares);
        self.right_squares.merge(&other.right_squares);
        self.products.merge(&other.products);
        self.count += other.count;
    }

    /// Covariance, correlation or slope per second.
    #[must_use]
    pub fn result(&self, kind: AggregateKind) -> Value {
        if self.count < 2 {
            return Value::Missing;
        }
        let count = self.count as f64;
        let cross = self
            .products
            .determinant(self.count, &self.left, &self.right);
        let left = || {
            self.left_squares
                .determinant(self.count, &self.left, &self.left)
        };
        let right = || {
            self.right_squares
                .determinant(self.count, &self.right, &self.right)
        };
        match kind {
            AggregateKind::Cov => Value::number(cross / (count * (count - 1.0))),
            AggregateKind::Slope => match left() {
                0.0 => Value::Missing,
                spread => Value::number(1000.0 * cross / spread),
            },
            _ => match (left(), right()) {
                (0.0, _) | (_, 0.0) => Value::Missing,
                (left, right) => {
                    Value::number((cross / (left.sqrt() * right.sqrt())).clamp(-1.0, 1.0))
                }
            },
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.left.heap_bytes()
            + self.right.heap_bytes()
            + self.left_squares.heap_bytes()
            + self.right_squares.heap_bytes()
            + self.products.heap_bytes()
    }
}

/// Exact sums of numbers, squares and cubes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Skewness {
    sum: ExactSum,
    squares: ExactSum,
    cubes: ExactSum,
    count: u64,
}

/// The square of a number as two floats whose sum is exact.
fn square(number: f64) -> (f64, f64) {
    let high = number * number;
    (high, number.mul_add(number, -high))
}

impl Skewness {
    /// Takes a number.
    pub fn add(&mut self, number: f64) {
        let (high, low) = square(number);
        self.sum.add(number);
        self.squares.add_square(number);
        self.cubes.add_product(number, high);
        self.cubes.add_product(number, low);
        self.count += 1;
    }

    /// Gives a number back that was taken.
    pub fn remove(&mut self, number: f64) {
        let (high, low) = square(number);
        self.sum.subtract(number);
        self.squares.subtract_square(number);
        self.cubes.subtract_product(number, high);
        self.cubes.subtract_product(number, low);
        self.count = self.count.saturating_sub(1);
    }

    /// Takes what another took.
    pub fn merge(&mut self, other: &Self) {
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
        self.cubes.merge(&other.cubes);
        self.count += other.count;
    }

    /// Skewness of a sample; `()` for less than three rows or when all are equal.
    #[must_use]
    pub fn result(&self) -> Value {
        let spread = self.squares.determinant(self.count, &self.sum, &self.sum);
        if self.count < 3 || spread == 0.0 {
            return Value::Missing;
        }
        let n = self.count as f64;
        let sum = Double::of(&self.sum);
        let squares = Double::of(&self.squares);
        let cubes = Double::of(&self.cubes);
        let third = cubes
            .times(Double(n * n, 0.0))
            .plus(sum.times(squares).times(Double(-3.0 * n, 0.0)))
            .plus(sum.times(sum).times(sum).times(Double(2.0, 0.0)));
        let scale = (n * (n - 1.0)).sqrt() / (n - 2.0);
        Value::number(third.0 / (spread * spread.sqrt()) * scale)
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.sum.heap_bytes() + self.squares.heap_bytes() + self.cubes.heap_bytes()
    }
}

/// A number as a float and the rest that it leaves: twice the precision.
#[derive(Clone, Copy, Debug)]
struct Double(f64, f64);

impl Double {
    fn of(sum: &ExactSum) -> Self {
        let (high, low) = sum.round_double_double();
        Self(high, low)
    }

    fn sum(left: f64, right: f64) -> Self {
        let sum = left + right;
        let shadow = sum - left;
        Self(sum, (left - (sum - shadow)) + (right - shadow))
    }

    fn plus(self, other: Self) -> Self {
        let high = Self::sum(self.0, other.0);
        let low = Self::sum(self.1, other.1);
        let first = Self::sum(high.0, high.1 + low.0);
        Self::sum(first.0, first.1 + low.1)
    }

    fn times(self, other: Self) -> Self {
        let high = self.0 * other.0;
        let rest = self.0.mul_add(other.0, -high);
        Self::sum(high, rest + (self.0 * other.1 + self.1 * other.0))
    }
}
