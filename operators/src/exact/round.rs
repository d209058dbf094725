//! [`Magnitude`]: the canonical form of an exact sum, sign and digits, and the arithmetic that needs it: rounding,
//! division, products.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{DIGIT, ExactSum, UNIT_LIMB};

/// No sum of floats or of products of floats has more digits: 2^2048 times 2^64 terms.
const MOST_DIGITS: usize = 280;

/// Sign and 32-bit digits, least first, without zero digits at either end: equal numbers are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Magnitude {
    pub(super) negative: bool,
    /// Limb index of the first digit.
    pub(super) base: u32,
    pub(super) digits: SmallVec<[u32; 10]>,
}

/// Digits of `sign·limbs`, or `None` if that is negative.
fn digits_of(limbs: &[i64], sign: i64) -> Option<SmallVec<[u32; 10]>> {
    let mut digits = SmallVec::new();
    let mut carry = 0;
    for limb in limbs {
        let total = sign * limb + carry;
        digits.push((total & DIGIT) as u32);
        carry = total >> 32;
    }
    if carry < 0 {
        return None;
    }
    digits.push((carry & DIGIT) as u32);
    Some(digits)
}

impl Magnitude {
    pub(super) fn of(limbs: &[i64], base: u32) -> Self {
        match digits_of(limbs, 1) {
            Some(digits) => Self::trimmed(false, base, digits),
            None => Self::trimmed(true, base, digits_of(limbs, -1).unwrap_or_default()),
        }
    }

    fn trimmed(negative: bool, base: u32, mut digits: SmallVec<[u32; 10]>) -> Self {
        while digits.last() == Some(&0) {
            digits.pop();
        }
        let zeros = digits.iter().take_while(|digit| **digit == 0).count();
        digits.drain(..zeros);
        if digits.is_empty() {
            return Self::default();
        }
        Self {
            negative,
            base: base + zeros as u32,
            digits,
        }
    }

    pub(super) fn into_sum(self) -> ExactSum {
        let sign = if self.negative { -1 } else { 1 };
        let limbs: SmallVec<[i64; 6]> = self
            .digits
            .iter()
            .take(MOST_DIGITS)
            .map(|digit| sign * i64::from(*digit))
            .collect();
        ExactSum {
            pending: u32::from(!limbs.is_empty()),
            limbs,
            base: self.base.min(u32::from(u8::MAX)) as u16,
            ..ExactSum::default()
        }
    }

    /// The nearest float, ties to even; beyond the largest: infinity.
    pub(super) fn round(&self) -> f64 {
        self.round_with(false)
    }

    /// `sticky`: something smaller than the last digit is left over.
    fn round_with(&self, sticky: bool) -> f64 {
        let taken = self.digits.len().min(4);
        let skipped = self.digits.len() - taken;
        let (tail, head) = self.digits.split_at(skipped);
        let head = head
            .iter()
            .rev()
            .fold(0_u128, |head, digit| head << 32 | u128::from(*digit));
        if head == 0 {
            return 0.0;
        }
        let sticky = sticky || tail.iter().any(|digit| *digit != 0);
        let weight = (self.base as i32 + skipped as i32 - UNIT_LIMB as i32) * 32;
        let rounded = round_head(head, weight, sticky);
        if self.negative { -rounded } else { rounded }
    }

    /// This divided by `count`, rounded once.
    pub(super) fn divide_round(&self, count: u64) -> f64 {
        let count = u128::from(count.max(1));
        let mut quotient: SmallVec<[u32; 10]> = SmallVec::new();
        let mut rest = 0_u128;
        // Four digits below the last give the quotient more bits than a float has.
        let zeros = self.base.min(4);
        let below = std::iter::repeat_n(&0, zeros as usize);
        for digit in self.digits.iter().rev().chain(below) {
            let total = rest << 32 | u128::from(*digit);
            quotient.push((total / count) as u32);
            rest = total % count;
        }
        quotient.reverse();
        Self::trimmed(self.negative, self.base - zeros, quotient).round_with(rest != 0)
    }

    /// This times a whole number.
    pub(super) fn scale(&self, count: u64) -> Self {
        let mut digits = SmallVec::new();
        let mut carry = 0_u128;
        for digit in &self.digits {
            let total = u128::from(*digit) * u128::from(count) + carry;
            digits.push(total as u32);
            carry = total >> 32;
        }
        while carry != 0 {
            digits.push(carry as u32);
            carry >>= 32;
        }
        Self::trimmed(self.negative, self.base, digits)
    }

    /// The product of two sums of floats.
    pub(super) fn multiply(&self, other: &Self) -> Self {
        let length = self.digits.len() + other.digits.len();
        let mut digits: SmallVec<[u32; 10]> = SmallVec::from_elem(0, length);
        for (shift, left) in self.digits.iter().enumerate() {
            let mut carry = 0_u64;
            let right = other.digits.iter().chain(std::iter::once(&0));
            for (digit, right) in digits.iter_mut().skip(shift).zip(right) {
                let total = u64::from(*left) * u64::from(*right) + u64::from(*digit) + carry;
                *digit = total as u32;
                carry = total >> 32;
            }
        }
        // Sums of floats begin at limb 34 or above, so their product is in range.
        let base = (self.base + other.base).saturating_sub(UNIT_LIMB);
        Self::trimmed(self.negative != other.negative, base, digits)
    }
}

/// `head·2^weight`, and a little more if `sticky`, to the nearest float, ties to even.
pub(super) fn round_head(head: u128, weight: i32, sticky: bool) -> f64 {
    let top = weight + 127 - head.leading_zeros() as i32;
    if top > 1023 {
        return f64::INFINITY;
    }
    // Exponent of the last bit kept: 53 bits, fewer among the subnormals.
    let last = (top - 52).max(-1074);
    let drop = last - weight;
    let kept = if drop <= 0 {
        (head << -drop) as u64
    } else if drop > 128 {
        0
    } else {
        let kept = head.checked_shr(drop as u32).unwrap_or(0) as u64;
        let half = 1_u128 << (drop - 1);
        let rest = head & (half | (half - 1));
        let up = rest > half || (rest == half && (sticky || kept & 1 == 1));
        kept + u64::from(up)
    };
    // A carry out of the mantissa moves the exponent on, up to infinity, by itself.
    let exponent = if top >= -1022 { (top + 1022) as u64 } else { 0 };
    f64::from_bits((exponent << 52) + kept)
}
