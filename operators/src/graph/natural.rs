//! [`Natural`]: whole numbers of any size, as far as beliefs need them: sums, products, order, and a ratio rounded half
//! to even at nine decimals.

use std::cmp::Ordering;

use smallvec::SmallVec;

/// Parts of one: what probabilities are rounded to.
pub(crate) const BILLION: u64 = 1_000_000_000;

/// A whole number from zero; limbs from the least, the last one is not zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Natural(SmallVec<[u64; 4]>);

#[allow(
    clippy::cast_possible_truncation,
    reason = "the lower half of a double limb is what is wanted"
)]
const fn halves(double: u128) -> (u64, u64) {
    (double as u64, (double >> 64) as u64)
}

impl Natural {
    pub(crate) fn of(number: u64) -> Self {
        let mut limbs = SmallVec::new();
        if number > 0 {
            limbs.push(number);
        }
        Self(limbs)
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds another one.
    pub(crate) fn add(&mut self, other: &Self) {
        let mut carry = 0_u64;
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (index, limb) in self.0.iter_mut().enumerate() {
            let more = other.0.get(index).copied().unwrap_or(0);
            if more == 0 && carry == 0 && index >= other.0.len() {
                return;
            }
            let (low, high) = halves(u128::from(*limb) + u128::from(more) + u128::from(carry));
            *limb = low;
            carry = high;
        }
        if carry > 0 {
            self.0.push(carry);
        }
    }

    /// The product with another one.
    pub(crate) fn times(&self, other: &Self) -> Self {
        if self.is_zero() || other.is_zero() {
            return Self::default();
        }
        if let [1] = self.0.as_slice() {
            return other.clone();
        }
        if let [1] = other.0.as_slice() {
            return self.clone();
        }
        let mut limbs: SmallVec<[u64; 4]> = SmallVec::new();
        limbs.resize(self.0.len() + other.0.len(), 0);
        for (shift, a) in self.0.iter().enumerate() {
            let mut carry = 0_u64;
            let places = limbs.iter_mut().skip(shift);
            for (b, place) in other.0.iter().chain(std::iter::once(&0)).zip(places) {
                let sum = u128::from(*a) * u128::from(*b) + u128::from(*place) + u128::from(carry);
                let (low, high) = halves(sum);
                *place = low;
                carry = high;
            }
        }
        while limbs.last() == Some(&0) {
            limbs.pop();
        }
        Self(limbs)
    }

    /// How many billionths `self` is of `whole`, rounded half to even; `whole` is not zero and not less.
    pub(crate) fn billionths(&self, whole: &Self) -> u64 {
        let scaled = self.times(&Self::of(BILLION));
        // The greatest quotient whose product is not more.
        let (mut low, mut high) = (0_u64, BILLION);
        while low < high {
            let middle = (low + high).div_ceil(2);
            if whole.times(&Self::of(middle)) <= scaled {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        let twice = scaled.times(&Self::of(2));
        match twice.cmp(&whole.times(&Self::of(2 * low + 1))) {
            Ordering::Less => low,
            Ordering::Greater => low + 1,
            Ordering::Equal => low + low % 2,
        }
    }
}

impl Ord for Natural {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_length = self.0.len().cmp(&other.0.len());
        by_length.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }
}

impl PartialOrd for Natural {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(number: u128) -> Natural {
        let (low, high) = halves(number);
        let mut natural = Natural::of(high).times(&Natural(SmallVec::from_slice(&[0, 1])));
        natural.add(&Natural::of(low));
        natural
    }

    #[test]
    fn ratios_are_rounded_half_to_even() {
        let ratio = |a, b| Natural::of(a).billionths(&Natural::of(b));
        assert_eq!(ratio(1, 6), 166_666_667);
        assert_eq!(ratio(1, 3), 333_333_333);
        assert_eq!((ratio(0, 7), ratio(7, 7)), (0, BILLION));
        // Exactly between two: 0.5 and 1.5 billionths.
        assert_eq!(ratio(1, 2 * BILLION), 0);
        assert_eq!(ratio(3, 2 * BILLION), 2);
        assert_eq!(ratio(5, 2 * BILLION), 2);
    }

    proptest! {
        #[test]
        fn sums_products_and_order_are_those_of_numbers(a: u64, b: u64, c: u64) {
            let product = of(u128::from(a)).times(&of(u128::from(b)));
            prop_assert_eq!(&product, &of(u128::from(a) * u128::from(b)));
            let mut sum = of(u128::from(a) << 32);
            sum.add(&of(u128::from(c) << 40));
            let wanted = (u128::from(a) << 32) + (u128::from(c) << 40);
            prop_assert_eq!(&sum, &of(wanted));
            prop_assert_eq!(sum.cmp(&product), wanted.cmp(&(u128::from(a) * u128::from(b))));
            // (a + b)·c² = a·c² + b·c², with more limbs than a number has.
            let square = of(u128::from(c)).times(&of(u128::from(c)));
            let mut left = of(u128::from(a));
            left.add(&of(u128::from(b)));
            let mut right = of(u128::from(a)).times(&square);
            right.add(&of(u128::from(b)).times(&square));
            prop_assert_eq!(left.times(&square), right);
        }
    }
}
