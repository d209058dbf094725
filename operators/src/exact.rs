//! [`ExactSum`]: the exact real sum of floats, in any order, that can be merged and taken back, rounded once on reading.
//!
//! A sparse superaccumulator: the sum is held as 32-bit digits in 64-bit limbs whose spare bits collect carries, over
//! just the range of exponents that the terms need. An ordinary term touches three limbs and carries nothing.

mod narrow;
mod round;
mod short;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

pub(crate) use narrow::Narrow;
use round::Magnitude;

/// Limb 68 has weight 2^0, so that limb 0 holds the last bit of a product of two subnormals, 2^-2148.
const UNIT_LIMB: u32 = 68;
/// Bit position of the last bit of a float with the least exponent field (1, also for subnormals), less that field.
const POSITION: u32 = UNIT_LIMB * 32 - 1075;
/// After so many additions the carries are passed on; a limb then stays below 2^62.
const CARRY_LIMIT: u32 = 1 << 29;
const DIGIT: i64 = 0xffff_ffff;
const FRACTION: u64 = (1 << 52) - 1;

/// The exact sum of any number of floats. NaN never enters; infinities are counted apart.
#[derive(Clone, Debug, Default)]
pub struct ExactSum {
    /// Limb i weighs 2^(32·(base + i − 68)); contiguous, grown only as exponents need.
    limbs: SmallVec<[i64; 6]>,
    /// Index of the first limb.
    base: u16,
    /// How many digits at most any limb may have collected.
    pending: u32,
    plus_infinite: u32,
    minus_infinite: u32,
}

/// Mantissa, bit position and sign of a finite float.
#[inline]
fn parts(number: f64) -> Option<(u64, u32, bool)> {
    let bits = number.to_bits();
    let field = (bits >> 52) as u32 & 0x7ff;
    let negative = bits >> 63 == 1;
    match field {
        0x7ff => None,
        0 => Some((bits & FRACTION, 1, negative)),
        _ => Some((bits & FRACTION | 1 << 52, field, negative)),
    }
}

impl ExactSum {
    /// The sum of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a number; NaN is ignored.
    #[inline]
    pub fn add(&mut self, number: f64) {
        match parts(number) {
            Some((mantissa, field, negative)) => self.place(mantissa, field + POSITION, negative),
            None => self.infinite(number, 1),
        }
    }

    /// Takes back a number that was added.
    #[inline]
    pub fn subtract(&mut self, number: f64) {
        match parts(number) {
            Some((mantissa, field, negative)) => self.place(mantissa, field + POSITION, !negative),
            None => self.infinite(number, u32::MAX),
        }
    }

    /// Adds the exact square of a number.
    #[inline]
    pub fn add_square(&mut self, number: f64) {
        self.product(number, number, false);
    }

    /// Takes back the exact square of a number.
    #[inline]
    pub fn subtract_square(&mut self, number: f64) {
        self.product(number, number, true);
    }

    /// Adds the exact product of two numbers.
    #[inline]
    pub fn add_product(&mut self, left: f64, right: f64) {
        self.product(left, right, false);
    }

    /// Takes back the exact product of two numbers.
    #[inline]
    pub fn subtract_product(&mut self, left: f64, right: f64) {
        self.product(left, right, true);
    }

    /// Adds all that another sum holds.
    pub fn merge(&mut self, other: &Self) {
        self.combine(other, 1);
        self.plus_infinite = self.plus_infinite.wrapping_add(other.plus_infinite);
        self.minus_infinite = self.minus_infinite.wrapping_add(other.minus_infinite);
    }

    /// Takes back all that another sum holds.
    pub fn unmerge(&mut self, other: &Self) {
        self.combine(other, -1);
        self.plus_infinite = self.plus_infinite.wrapping_sub(other.plus_infinite);
        self.minus_infinite = self.minus_infinite.wrapping_sub(other.minus_infinite);
    }

    /// Whether the sum is exactly zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.is_finite() && self.magnitude().digits.is_empty()
    }

    /// Whether no infinity is in the sum. (Its rounded value may still overflow to one.)
    #[must_use]
    pub const fn is_finite(&self) -> bool {
        self.plus_infinite == 0 && self.minus_infinite == 0
    }

    /// The sum, rounded once to the nearest float, ties to even. Infinities of both signs give NaN.
    #[must_use]
    pub fn round(&self) -> f64 {
        match (self.plus_infinite, self.minus_infinite) {
            (0, 0) => match self.round_short() {
                Some(rounded) => rounded,
                None => self.magnitude().round(),
            },
            (_, 0) => f64::INFINITY,
            (0, _) => f64::NEG_INFINITY,
            _ => f64::NAN,
        }
    }

    /// The sum as two floats: the rounded sum and the rounded rest.
    #[must_use]
    pub fn round_double_double(&self) -> (f64, f64) {
        let high = self.round();
        if !high.is_finite() {
            return (high, 0.0);
        }
        let mut rest = self.clone();
        rest.subtract(high);
        (high, rest.round())
    }

    /// The mean of `count` terms: the rounded sum divided by `count`; where the rounded sum overflows, the exact sum
    /// divided and rounded once. NaN for no terms.
    #[must_use]
    pub fn mean(&self, count: u64) -> f64 {
        let sum = self.round();
        if count == 0 {
            f64::NAN
        } else if sum.is_infinite() && self.is_finite() {
            self.magnitude().divide_round(count)
        } else {
            sum / count as f64
        }
    }

    /// `count·self − left·right`, exact and rounded once: what variances, covariances and slopes are made of. `left` and
    /// `right` are sums of floats, not of products. NaN if an infinity is in any of them.
    ///
    /// Where double-double arithmetic does not cancel it gives this same float; where it does (a constant series), this
    /// one still is right.
    #[must_use]
    pub fn determinant(&self, count: u64, left: &Self, right: &Self) -> f64 {
        if !(self.is_finite() && left.is_finite() && right.is_finite()) {
            return f64::NAN;
        }
        if let Some(rounded) = self.determinant_short(count, left, right) {
            return rounded;
        }
        let mut total = self.magnitude().scale(count).into_sum();
        let product = left.magnitude().multiply(&right.magnitude());
        total.combine(&product.into_sum(), -1);
        total.magnitude().round()
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        if self.limbs.spilled() {
            self.limbs.capacity() * size_of::<i64>()
        } else {
            0
        }
    }

    fn magnitude(&self) -> Magnitude {
        Magnitude::of(&self.limbs, u32::from(self.base))
    }

    #[inline]
    fn product(&mut self, left: f64, right: f64, retract: bool) {
        match (parts(left), parts(right)) {
            (Some((a, a_field, a_negative)), Some((b, b_field, b_negative))) => {
                let wide = u128::from(a) * u128::from(b);
                let position = a_field + b_field + 2 * POSITION - UNIT_LIMB * 32;
                let negative = a_negative ^ b_negative ^ retract;
                self.place(wide as u64, position, negative);
                self.place((wide >> 64) as u64, position + 64, negative);
            }
            _ => self.infinite(left * right, if retract { u32::MAX } else { 1 }),
        }
    }

    /// Adds ±mantissa·2^(position − 32·68).
    #[inline]
    fn place(&mut self, mantissa: u64, position: u32, negative: bool) {
        if mantissa == 0 {
            return;
        }
        let index = position >> 5;
        let wide = u128::from(mantissa) << (position & 31);
        let sign = -i64::from(negative);
        let digit = |shift: u32| (((wide >> shift) as i64 & DIGIT) ^ sign) - sign;
        let at = index.wrapping_sub(u32::from(self.base)) as usize;
        let Some([low, middle, high]) = self.limbs.get_mut(at..at + 3) else {
            self.grow(index, 3);
            return self.place(mantissa, position, negative);
        };
        *low += digit(0);
        *middle += digit(32);
        *high += digit(64);
        self.pending += 1;
        if self.pending >= CARRY_LIMIT {
            self.carry();
        }
    }

    /// NaN is ignored: infinity times zero is no number either.
    #[cold]
    fn infinite(&mut self, number: f64, count: u32) {
        if number == f64::INFINITY {
            self.plus_infinite = self.plus_infinite.wrapping_add(count);
        } else if number == f64::NEG_INFINITY {
            self.minus_infinite = self.minus_infinite.wrapping_add(count);
        }
    }

    /// Makes room for `count` limbs from `index` on.
    #[cold]
    fn grow(&mut self, index: u32, count: u32) {
        if self.limbs.is_empty() {
            self.base = index as u16;
        }
        let base = u32::from(self.base);
        if index < base {
            let missing = (base - index) as usize;
            self.limbs.insert_many(0, (0..missing).map(|_| 0));
            self.base = index as u16;
        }
        let end = (index + count).saturating_sub(u32::from(self.base)) as usize;
        if end > self.limbs.len() {
            self.limbs.resize(end, 0);
        }
    }

    fn combine(&mut self, other: &Self, sign: i64) {
        if other.limbs.is_empty() {
            return;
        }
        self.grow(u32::from(other.base), other.limbs.len() as u32);
        let at = usize::from(other.base - self.base);
        for (mine, theirs) in self.limbs.iter_mut().skip(at).zip(&other.limbs) {
            *mine += sign * theirs;
        }
        self.pending += other.pending.max(1);
        if self.pending >= CARRY_LIMIT {
            self.carry();
        }
    }

    /// Passes carries on; every limb but the last is a digit afterwards, the last one is small and has the sign.
    #[cold]
    fn carry(&mut self) {
        let Some((last, digits)) = self.limbs.split_last_mut() else {
            return;
        };
        let mut carry = 0;
        for limb in digits {
            let total = *limb + carry;
            *limb = total & DIGIT;
            carry = total >> 32;
        }
        *last += carry;
        if *last >> 31 != *last >> 63 {
            let carry = *last >> 32;
            *last &= DIGIT;
            self.limbs.push(carry);
        }
        self.pending = 1;
    }
}

impl PartialEq for ExactSum {
    /// Equal as real sums, whatever order and tree they came from.
    fn eq(&self, other: &Self) -> bool {
        self.plus_infinite == other.plus_infinite
            && self.minus_infinite == other.minus_infinite
            && self.magnitude() == other.magnitude()
    }
}

impl Serialize for ExactSum {
    /// The canonical form: equal sums are equal bytes.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let magnitude = self.magnitude();
        (self.plus_infinite, self.minus_infinite, magnitude).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ExactSum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (plus, minus, magnitude) = <(u32, u32, Magnitude)>::deserialize(deserializer)?;
        let mut sum = magnitude.into_sum();
        sum.plus_infinite = plus;
        sum.minus_infinite = minus;
        Ok(sum)
    }
}
