//! [`Narrow`]: an exact sum while it fits 128 bits, which sums of one metric nearly always do: eighteen bytes instead of
//! ninety, one shift and one addition a term. What does not fit is refused, and the caller goes on with an [`ExactSum`].

use serde::{Deserialize, Serialize};

use super::round::round_head;
use super::{ExactSum, FRACTION, POSITION, parts};

/// A term has 53 bits; this far up it still leaves the sum a bit and its sign.
const MOST_SHIFT: u32 = 73;
/// Bits kept free below the last bit of the first term: later terms may be smaller.
const BELOW: i32 = 28;
/// Sums begin at multiples of this, so that those of two panes mostly begin alike.
const GRID: i32 = 16;
const NO_TERM: i16 = i16::MIN;

/// `total · 2^(base − 1075)`: `base` is the exponent field of a float whose last bit is the last bit of the total.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Narrow {
    pub(crate) total: i128,
    /// Chosen by the first term.
    pub(crate) base: i16,
}

impl Narrow {
    /// The sum of nothing.
    pub(crate) const EMPTY: Self = Self {
        total: 0,
        base: NO_TERM,
    };

    /// The sum of one number, if it is an ordinary one: not zero, not below the smallest normal one, not infinite, no NaN.
    #[inline]
    pub(crate) fn of(number: f64) -> Option<Self> {
        let bits = number.to_bits();
        let field = (bits >> 52) as i32 & 0x7ff;
        if field == 0 || field == 0x7ff {
            return None;
        }
        let base = Self::base_for(field);
        let term = i128::from(bits & FRACTION | 1 << 52) << (field - i32::from(base));
        Some(Self {
            total: if number < 0.0 { -term } else { term },
            base,
        })
    }

    /// Where a sum begins whose first term has this exponent field.
    const fn base_for(field: i32) -> i16 {
        ((field - BELOW).div_euclid(GRID) * GRID) as i16
    }

    /// Adds a number that is not NaN; false and unchanged if it does not fit.
    #[inline]
    #[must_use]
    pub(crate) fn add(&mut self, number: f64) -> bool {
        let bits = number.to_bits();
        let field = (bits >> 52) as i32 & 0x7ff;
        let shift = (field - i32::from(self.base)) as u32;
        if shift > MOST_SHIFT || field == 0 || field == 0x7ff {
            return self.add_seldom(number);
        }
        let term = i128::from(bits & FRACTION | 1 << 52) << shift;
        self.sum(if number < 0.0 { -term } else { term })
    }

    #[inline]
    fn sum(&mut self, term: i128) -> bool {
        match self.total.checked_add(term) {
            Some(total) => {
                self.total = total;
                true
            }
            None => false,
        }
    }

    /// The first term, zeros, terms whose last bits are zeros.
    #[inline(never)]
    fn add_seldom(&mut self, number: f64) -> bool {
        let Some((mantissa, field, negative)) = parts(number) else {
            return false;
        };
        if mantissa == 0 {
            return true;
        }
        let field = field as i32;
        if self.base == NO_TERM {
            self.base = Self::base_for(field);
        }
        let shift = field - i32::from(self.base);
        let mantissa = i128::from(mantissa);
        let term = match u32::try_from(shift) {
            Ok(shift) if shift <= MOST_SHIFT => mantissa << shift,
            Ok(_) => return false,
            Err(_) => {
                let zeros = shift.unsigned_abs();
                if mantissa.trailing_zeros() < zeros {
                    return false;
                }
                mantissa >> zeros
            }
        };
        self.sum(if negative { -term } else { term })
    }

    /// Adds (`sign` 1) or takes back (−1) what another holds; false and unchanged if it does not fit.
    #[must_use]
    pub(crate) fn combine(&mut self, other: Self, sign: i128) -> bool {
        if other.total == 0 {
            return true;
        }
        if self.total == 0 {
            self.base = other.base;
        }
        let distance = i32::from(other.base) - i32::from(self.base);
        let base = self.base.min(other.base);
        let lift = |total: i128, distance: i32| {
            let distance = u32::try_from(distance).unwrap_or(0).min(127);
            let lifted = total << distance;
            (lifted >> distance == total).then_some(lifted)
        };
        let (Some(mine), Some(theirs)) = (lift(self.total, -distance), lift(other.total, distance))
        else {
            return false;
        };
        let Some(total) = theirs.checked_mul(sign).and_then(|t| mine.checked_add(t)) else {
            return false;
        };
        *self = Self { total, base };
        true
    }

    /// The sum, rounded once to the nearest float, ties to even.
    #[must_use]
    pub(crate) fn round(self) -> f64 {
        if self.total == 0 {
            return 0.0;
        }
        let weight = i32::from(self.base) - 1075;
        let rounded = round_head(self.total.unsigned_abs(), weight, false);
        if self.total < 0 { -rounded } else { rounded }
    }

    /// The mean of `count` terms, as [`ExactSum::mean`] has it.
    #[must_use]
    pub(crate) fn mean(self, count: u64) -> f64 {
        let sum = self.round();
        if sum.is_infinite() {
            self.widen().mean(count)
        } else {
            sum / count as f64
        }
    }

    /// The same sum with room for everything.
    #[must_use]
    pub(crate) fn widen(self) -> ExactSum {
        let mut sum = ExactSum::default();
        if self.total != 0 {
            let head = self.total.unsigned_abs();
            let position = (POSITION as i32 + i32::from(self.base)).unsigned_abs();
            sum.place(head as u64, position, self.total < 0);
            sum.place((head >> 64) as u64, position + 64, self.total < 0);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Floats of all sizes, and many of like size.
    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            4 => -1000.0..1000.0_f64,
            2 => (-100_000_i32..100_000).prop_map(|n| f64::from(n) / 1000.0),
            1 => Just(0.0),
            1 => Just(-0.0),
            1 => any::<f64>().prop_filter("a number", |n| !n.is_nan()),
            1 => (-1074_i32..1023).prop_map(|e| 2_f64.powi(e)),
            1 => Just(f64::MAX),
        ]
    }

    proptest! {
        #[test]
        fn it_says_what_the_wide_sum_says(numbers in prop::collection::vec(number(), 0..40)) {
            let (mut narrow, mut wide) = (Narrow::EMPTY, ExactSum::default());
            let mut taken = 0;
            for number in numbers {
                let before = narrow.widen();
                if let Some(alone) = Narrow::of(number) {
                    let mut first = Narrow::EMPTY;
                    prop_assert!(first.add(number));
                    prop_assert_eq!((alone.total, alone.base), (first.total, first.base));
                }
                if narrow.add(number) {
                    wide.add(number);
                    taken += 1;
                } else {
                    prop_assert_eq!(&before, &narrow.widen());
                }
                prop_assert_eq!(&narrow.widen(), &wide);
                prop_assert_eq!(narrow.round().to_bits(), wide.round().to_bits());
                if taken > 0 {
                    prop_assert_eq!(narrow.mean(taken).to_bits(), wide.mean(taken).to_bits());
                }
            }
        }

        #[test]
        fn sums_are_combined_and_taken_apart(
            left in prop::collection::vec(number(), 0..12),
            right in prop::collection::vec(number(), 0..12),
        ) {
            let of = |numbers: &[f64]| {
                let mut sum = Narrow::EMPTY;
                for number in numbers {
                    let _ = sum.add(*number);
                }
                sum
            };
            let (left, right) = (of(&left), of(&right));
            let mut both = left;
            let mut expected = left.widen();
            if both.combine(right, 1) {
                expected.merge(&right.widen());
                prop_assert_eq!(&both.widen(), &expected);
                if both.combine(left, -1) {
                    prop_assert_eq!(&both.widen(), &right.widen());
                }
            } else {
                prop_assert_eq!(&both.widen(), &expected);
            }
        }
    }

    #[test]
    fn terms_of_like_size_fit() {
        let mut sum = Narrow::EMPTY;
        for n in 0..1_000_000 {
            assert!(sum.add(f64::from(n % 100_000) / 1000.0 - 20.0));
        }
        assert!(sum.add(1e-9) && sum.add(1e9) && !sum.add(1e300) && !sum.add(f64::INFINITY));
    }
}
