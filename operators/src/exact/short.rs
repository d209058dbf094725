//! The fast ways to read a sum: the upper limbs of most sums fit 128 bits, and double-double arithmetic usually proves its own rounding.
//! Each says `None` where it cannot promise the correctly rounded answer.

use super::round::round_head;
use super::{DIGIT, ExactSum, UNIT_LIMB};

/// Weights for which sums scale to floats, and their products stay, far from overflow and subnormals.
const WEIGHTS: std::ops::RangeInclusive<i32> = -352..=256;
/// Far more than what the few operations on double-doubles can be wrong by, relative to their largest term.
const DOUBT: f64 = 1.0 / (1_u128 << 96) as f64;

fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

/// `a·b` as a float and its error, after Dekker: no fused multiply, which not every machine has.
fn product(a: f64, b: f64) -> (f64, f64) {
    let split = |x: f64| {
        let c = 134_217_729.0 * x;
        let high = c - (c - x);
        (high, x - high)
    };
    let high = a * b;
    let ((ah, al), (bh, bl)) = (split(a), split(b));
    (high, al * bl - (((high - ah * bh) - al * bh) - ah * bl))
}

fn sum(a: f64, b: f64) -> (f64, f64) {
    let high = a + b;
    let part = high - a;
    (high, (a - (high - part)) + (b - part))
}

/// A sum as a whole number of 2^weight; if it is not exact, the sum lies between that number and the next.
#[derive(Clone, Copy)]
struct Short {
    total: i128,
    weight: i32,
    exact: bool,
}

impl ExactSum {
    /// The upper limbs as one number.
    #[inline]
    fn short(&self) -> Short {
        let mut limbs = self.limbs.as_slice();
        while let [lower @ .., 0] = limbs {
            limbs = lower;
        }
        // Four limbs are below 2^125 + 2^126 and a little, three below 2^126 and a little.
        let small = limbs.last().is_none_or(|top| top.unsigned_abs() < 1 << 29);
        let kept = limbs.len().min(if small { 4 } else { 3 });
        let (below, above) = limbs.split_at(limbs.len() - kept);
        let mut carry = 0;
        let mut exact = true;
        for limb in below {
            let digit = limb + carry;
            exact &= digit & DIGIT == 0;
            carry = digit >> 32;
        }
        let above = above.iter().rev();
        let total = above.fold(0, |total, limb| (total << 32) + i128::from(*limb));
        let first = i32::from(self.base) + below.len() as i32;
        Short {
            total: total + i128::from(carry),
            weight: (first - UNIT_LIMB as i32) * 32,
            exact,
        }
    }

    /// The sum as the nearest float.
    #[inline]
    pub(super) fn round_short(&self) -> Option<f64> {
        let short = self.short();
        let negative = short.total < 0;
        // What an inexact number leaves out is added above it: below its magnitude, if it is negative.
        let head = short.total.unsigned_abs() - u128::from(negative && !short.exact);
        if head == 0 && short.exact {
            return Some(0.0);
        }
        if !short.exact && head < 1 << 64 {
            return None;
        }
        let rounded = round_head(head, short.weight, !short.exact);
        Some(if negative { -rounded } else { rounded })
    }

    /// The sum to about 100 bits.
    fn double_double(&self) -> Option<(f64, f64)> {
        let short = self.short();
        let size = short.total.unsigned_abs();
        let sure = short.exact || size >= 1 << 100;
        if size == 0 || size >= 1 << 126 || !sure || !WEIGHTS.contains(&short.weight) {
            return None;
        }
        let high = short.total as f64;
        let low = (short.total - high as i128) as f64;
        let scale = power_of_two(short.weight);
        Some((high * scale, low * scale))
    }

    /// `count·self − left·right`, if double-double arithmetic is sure of its rounding.
    pub(super) fn determinant_short(&self, count: u64, left: &Self, right: &Self) -> Option<f64> {
        let (n, q) = (count as f64, self.double_double()?);
        let (a, b) = (left.double_double()?, right.double_double()?);
        let first = product(n, q.0);
        let second = product(a.0, b.0);
        let (high, low) = sum(first.0, -second.0);
        let rest = (first.1 + n * q.1) - (second.1 + (a.0 * b.1 + a.1 * b.0));
        let low = low + rest;
        let doubt = (first.0.abs() + second.0.abs()) * DOUBT;
        let (most, least) = (high + (low + doubt), high + (low - doubt));
        (most == least && count < 1 << 53).then_some(most)
    }
}
