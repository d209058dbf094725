//! [`Listed`]: the first values of `collect`; [`Largest`], those of `top`; [`Angles`], the vectors of `angle_mean`.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use tidegate_proto::Value;

use super::RowOrder;
use crate::exact::ExactSum;

/// Values that `collect` keeps.
pub(crate) const COLLECTED: usize = 1_000;

/// The first values in row order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    rows: VecDeque<(RowOrder, Value)>,
}

impl Listed {
    /// Takes a value.
    pub fn add(&mut self, order: RowOrder, value: &Value) {
        let place = match self.rows.back() {
            Some(last) if last.0 >= order => self.rows.partition_point(|row| row.0 < order),
            _ => self.rows.len(),
        };
        if place < COLLECTED {
            self.rows.insert(place, (order, value.clone()));
            self.rows.truncate(COLLECTED);
        }
    }

    /// Takes what another took.
    pub fn merge(&mut self, other: &Self) {
        for (order, value) in &other.rows {
            self.add(*order, value);
        }
    }

    /// The values.
    #[must_use]
    pub fn result(&self) -> Value {
        Value::List(self.rows.iter().map(|row| row.1.clone()).collect())
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.rows.capacity() * size_of::<(RowOrder, Value)>()
    }
}

/// The largest numbers, and the largest texts in case there is no number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Largest {
    numbers: Vec<(f64, RowOrder)>,
    texts: Vec<(Value, RowOrder)>,
}

fn bytes(value: &Value) -> &[u8] {
    match value {
        Value::Text(text) => text.as_bytes(),
        _ => &[],
    }
}

impl Largest {
    /// Takes a value; the `most` largest are kept.
    pub fn add(&mut self, most: usize, order: RowOrder, value: &Value) {
        if let Value::Text(_) = value {
            let before = |known: &(Value, RowOrder)| {
                (bytes(&known.0), std::cmp::Reverse(known.1))
                    > (bytes(value), std::cmp::Reverse(order))
            };
            let place = self.texts.partition_point(before);
            if place < most {
                self.texts.insert(place, (value.clone(), order));
                self.texts.truncate(most);
            }
        } else if let Some(number) = value.as_number() {
            let number = number + 0.0;
            let before = |known: &(f64, RowOrder)| {
                known.0 > number || (known.0 == number && known.1 < order)
            };
            let place = self.numbers.partition_point(before);
            if place < most {
                self.numbers.insert(place, (number, order));
                self.numbers.truncate(most);
            }
        }
    }

    /// Takes what another took.
    pub fn merge(&mut self, most: usize, other: &Self) {
        for (number, order) in &other.numbers {
            self.add(most, *order, &Value::Number(*number));
        }
        for (text, order) in &other.texts {
            self.add(most, *order, text);
        }
    }

    /// The values, largest first; equal ones in row order.
    #[must_use]
    pub fn result(&self) -> Value {
        let numbers = self.numbers.iter().map(|row| Value::Number(row.0));
        if self.numbers.is_empty() {
            Value::List(self.texts.iter().map(|row| row.0.clone()).collect())
        } else {
            Value::List(numbers.collect())
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.numbers.capacity() * size_of::<(f64, RowOrder)>()
            + self.texts.capacity() * size_of::<(Value, RowOrder)>()
    }
}

/// Exact sums of the parts of weighted vectors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Angles {
    sines: ExactSum,
    cosines: ExactSum,
    count: u64,
}

/// Sine and cosine of an angle in degrees.
fn parts(degrees: f64) -> (f64, f64) {
    let radians = (degrees % 360.0) * (std::f64::consts::PI / 180.0);
    (libm::sin(radians), libm::cos(radians))
}

impl Angles {
    /// Takes an angle in degrees and its weight.
    pub fn add(&mut self, degrees: f64, weight: f64) {
        let (sine, cosine) = parts(degrees);
        self.sines.add_product(sine, weight);
        self.cosines.add_product(cosine, weight);
        self.count += 1;
    }

    /// Gives an angle back that was taken.
    pub fn remove(&mut self, degrees: f64, weight: f64) {
        let (sine, cosine) = parts(degrees);
        self.sines.subtract_product(sine, weight);
        self.cosines.subtract_product(cosine, weight);
        self.count = self.count.saturating_sub(1);
    }

    /// Takes what another took.
    pub fn merge(&mut self, other: &Self) {
        self.sines.merge(&other.sines);
        self.cosines.merge(&other.cosines);
        self.count += other.count;
    }

    /// The mean direction in `[0, 360)`; `()` when the vectors cancel out.
    #[must_use]
    pub fn result(&self) -> Value {
        let (sine, cosine) = (self.sines.round(), self.cosines.round());
        let least = 1e-12 * self.count as f64;
        if self.count == 0 || (sine.abs() < least && cosine.abs() < least) {
            return Value::Missing;
        }
        let degrees = libm::atan2(sine, cosine) * (180.0 / std::f64::consts::PI);
        let degrees = if degrees < 0.0 {
            degrees + 360.0
        } else {
            degrees
        };
        Value::number(if degrees >= 360.0 { 0.0 } else { degrees })
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.sines.heap_bytes() + self.cosines.heap_bytes()
    }
}
