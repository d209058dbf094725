//! Laws of the exact sum against schoolbook integers.

use std::cmp::Ordering;

use proptest::prelude::*;
use proptest::sample::Index;

use super::{CARRY_LIMIT, ExactSum};

/// A real number as a whole number of 2^-scale; digits least first.
#[derive(Clone, Debug)]
struct Whole {
    negative: bool,
    digits: Vec<u32>,
}

fn compare(left: &[u32], right: &[u32]) -> Ordering {
    let digit = |list: &[u32], at: usize| list.get(at).copied().unwrap_or(0);
    (0..left.len().max(right.len()))
        .rev()
        .map(|at| digit(left, at).cmp(&digit(right, at)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

impl Whole {
    fn zero() -> Self {
        Self {
            negative: false,
            digits: Vec::new(),
        }
    }

    fn shifted(number: u128, shift: u32, negative: bool) -> Self {
        let mut digits = vec![0; (shift / 32) as usize];
        let mut rest = number;
        let mut carry = 0_u64;
        while rest != 0 || carry != 0 {
            let total = ((rest as u32 as u64) << (shift % 32)) | carry;
            digits.push(total as u32);
            carry = total >> 32;
            rest >>= 32;
        }
        Self { negative, digits }
    }

    /// `number·2^scale`.
    fn of(number: f64, scale: u32) -> Self {
        let bits = number.abs().to_bits();
        let (field, fraction) = ((bits >> 52) as u32, bits & ((1 << 52) - 1));
        let (mantissa, exponent) = if field == 0 {
            (fraction, 1)
        } else {
            (fraction | 1 << 52, field)
        };
        Self::shifted(u128::from(mantissa), exponent + scale - 1075, number < 0.0)
    }

    fn plus(&self, other: &Self) -> Self {
        if self.negative == other.negative {
            let mut digits = Vec::new();
            let mut carry = 0;
            for at in 0..self.digits.len().max(other.digits.len()) {
                let digit = |list: &[u32]| u64::from(list.get(at).copied().unwrap_or(0));
                let total = digit(&self.digits) + digit(&other.digits) + carry;
                digits.push(total as u32);
                carry = total >> 32;
            }
            digits.push(carry as u32);
            return Self {
                negative: self.negative,
                digits,
            };
        }
        if compare(&self.digits, &other.digits).is_lt() {
            return other.plus(self);
        }
        let mut digits = Vec::new();
        let mut borrow = 0;
        for at in 0..self.digits.len() {
            let other = i64::from(other.digits.get(at).copied().unwrap_or(0));
            let total = i64::from(self.digits[at]) - other - borrow;
            digits.push(total as u32);
            borrow = i64::from(total < 0);
        }
        Self {
            negative: self.negative,
            digits,
        }
    }

    fn minus(&self, other: &Self) -> Self {
        self.plus(&Self {
            negative: !other.negative,
            digits: other.digits.clone(),
        })
    }

    fn times(&self, other: &Self) -> Self {
        let mut digits = vec![0_u32; self.digits.len() + other.digits.len() + 1];
        for (i, a) in self.digits.iter().enumerate() {
            let mut carry = 0_u64;
            for (j, b) in other.digits.iter().chain([&0]).enumerate() {
                let total = u64::from(*a) * u64::from(*b) + u64::from(digits[i + j]) + carry;
                digits[i + j] = total as u32;
                carry = total >> 32;
            }
        }
        Self {
            negative: self.negative != other.negative,
            digits,
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        let difference = self.minus(other);
        if difference.digits.iter().all(|digit| *digit == 0) {
            Ordering::Equal
        } else if difference.negative {
            Ordering::Less
        } else {
            Ordering::Greater
        }
    }
}

/// Whether `rounded` is the float nearest to `exact·2^-scale`, the even one of two.
fn is_nearest(exact: &Whole, scale: u32, rounded: f64) -> bool {
    let magnitude = Whole {
        negative: false,
        digits: exact.digits.clone(),
    };
    let zero = exact.digits.iter().all(|digit| *digit == 0);
    if rounded != 0.0 && (zero || exact.negative != (rounded < 0.0)) {
        return false;
    }
    let rounded = rounded.abs();
    let twice = magnitude.plus(&magnitude);
    // Twice the middle between two neighbours; above the largest float lies 2^1024.
    let middle = |low: f64, high: f64| {
        let high = if high.is_infinite() {
            Whole::of(f64::MAX, scale).plus(&Whole::of(f64::exp2(971.0), scale))
        } else {
            Whole::of(high, scale)
        };
        Whole::of(low, scale).plus(&high)
    };
    let even = rounded.to_bits().is_multiple_of(2);
    let within = |order: Ordering| if even { order.is_ge() } else { order.is_gt() };
    let above = rounded == 0.0 || within(twice.order(&middle(rounded.next_down(), rounded)));
    let below = rounded.is_infinite() || within(middle(rounded, rounded.next_up()).order(&twice));
    above && below
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-1000_i32..1000).prop_map(|tenths| f64::from(tenths) / 10.0),
        2 => any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |x| x.is_finite()),
        1 => Just(1e308),
        1 => Just(-1e308),
        1 => (0_u64..1 << 53).prop_map(f64::from_bits),
        1 => Just(f64::MAX),
        1 => Just(0.1),
        1 => Just(-0.1),
        1 => Just(2_f64.powi(-53)),
    ]
}

fn sum(numbers: &[f64]) -> ExactSum {
    let mut sum = ExactSum::new();
    numbers.iter().for_each(|number| sum.add(*number));
    sum
}

const SCALE: u32 = 2148;

fn model(numbers: &[f64]) -> Whole {
    numbers.iter().fold(Whole::zero(), |sum, number| {
        sum.plus(&Whole::of(*number, SCALE))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn sums_are_the_nearest_float_in_any_order(
        numbers in prop::collection::vec(number(), 0..40), at in any::<Index>(),
    ) {
        let forward = sum(&numbers);
        prop_assert!(is_nearest(&model(&numbers), SCALE, forward.round()), "{}", forward.round());
        prop_assert_eq!(forward.magnitude().round(), forward.round());
        let mut turned = numbers.clone();
        if !turned.is_empty() {
            turned.rotate_left(at.index(numbers.len()));
            turned.reverse();
        }
        let backward = sum(&turned);
        prop_assert_eq!(backward.round().to_bits(), forward.round().to_bits());
        prop_assert_eq!(&backward, &forward);
        let (high, low) = forward.round_double_double();
        if high.is_finite() {
            prop_assert!(is_nearest(&model(&numbers).minus(&Whole::of(high, SCALE)), SCALE, low));
        }
    }

    #[test]
    fn merging_in_any_tree_and_a_snapshot_change_nothing(
        numbers in prop::collection::vec(number(), 1..40), cuts in prop::collection::vec(any::<Index>(), 0..6),
    ) {
        let whole = sum(&numbers);
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(numbers.len())).collect();
        places.push(numbers.len());
        places.sort_unstable();
        let mut from = 0;
        let mut parts: Vec<ExactSum> = Vec::new();
        for place in places {
            parts.push(sum(&numbers[from..place]));
            from = place;
        }
        while parts.len() > 1 {
            let last = parts.pop().unwrap();
            let into = cuts[0].index(parts.len());
            parts[into].merge(&last);
        }
        prop_assert_eq!(&parts[0], &whole);
        let bytes = postcard::to_allocvec(&whole).unwrap();
        prop_assert_eq!(&bytes, &postcard::to_allocvec(&parts[0]).unwrap());
        let restored: ExactSum = postcard::from_bytes(&bytes).unwrap();
        prop_assert_eq!(restored.round().to_bits(), whole.round().to_bits());
        parts[0].unmerge(&restored);
        prop_assert!(parts[0].is_zero());
    }

    #[test]
    fn what_is_taken_back_was_never_there(
        kept in prop::collection::vec(number(), 0..20), gone in prop::collection::vec(number(), 0..20),
    ) {
        let mut total = sum(&gone);
        kept.iter().for_each(|number| { total.add(*number); total.add_square(*number); });
        gone.iter().for_each(|number| { total.add_square(*number); total.add_product(*number, 0.3); });
        gone.iter().for_each(|number| {
            total.subtract(*number);
            total.subtract_square(*number);
            total.subtract_product(*number, 0.3);
        });
        kept.iter().for_each(|number| total.subtract_square(*number));
        prop_assert_eq!(&total, &sum(&kept));
        prop_assert_eq!(total.round().to_bits(), sum(&kept).round().to_bits());
    }

    #[test]
    fn products_are_exact(pairs in prop::collection::vec((number(), number()), 0..20)) {
        let mut products = ExactSum::new();
        let mut exact = Whole::zero();
        for (left, right) in &pairs {
            products.add_product(*left, *right);
            exact = exact.plus(&Whole::of(*left, 1074).times(&Whole::of(*right, 1074)));
        }
        prop_assert!(is_nearest(&exact, SCALE, products.round()), "{}", products.round());
    }

    #[test]
    fn determinants_are_rounded_once(numbers in prop::collection::vec(number(), 1..12)) {
        let count = numbers.len() as u64;
        let total = sum(&numbers);
        let mut squares = ExactSum::new();
        numbers.iter().for_each(|number| squares.add_square(*number));
        let scaled: Vec<Whole> = numbers.iter().map(|number| Whole::of(*number, 1074)).collect();
        let plain = scaled.iter().fold(Whole::zero(), |sum, x| sum.plus(x));
        let squared = scaled.iter().fold(Whole::zero(), |sum, x| sum.plus(&x.times(x)));
        let exact = squared.times(&Whole::shifted(u128::from(count), 0, false))
            .minus(&plain.times(&plain));
        let rounded = squares.determinant(count, &total, &total);
        prop_assert!(is_nearest(&exact, SCALE, rounded), "{rounded}");
        prop_assert!(rounded >= 0.0);
        if numbers.iter().all(|number| *number == numbers[0]) {
            prop_assert_eq!(rounded, 0.0);
        }
    }

    #[test]
    fn ordinary_sums_agree_with_whole_numbers(tenths in prop::collection::vec(-500_i32..500, 1..200)) {
        // |x| < 50 has no bit below 2^-57: an i128 holds the sum, and its conversion rounds to even.
        let numbers: Vec<f64> = tenths.iter().map(|tenth| f64::from(*tenth) / 10.0).collect();
        let scale = f64::exp2(60.0);
        let whole: i128 = numbers.iter().map(|number| (number * scale) as i128).sum();
        prop_assert_eq!(sum(&numbers).round(), whole as f64 / scale);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn fast_readings_agree_with_the_careful_ones(
        tenths in prop::collection::vec(-500_i32..500, 1..30), offset in -9_i32..9, scale in -60_i32..60,
    ) {
        let number = |tenth: &i32| (f64::from(*tenth) / 10.0 + 10_f64.powi(offset)) * 2_f64.powi(scale);
        let numbers: Vec<f64> = tenths.iter().map(number).collect();
        let total = sum(&numbers);
        prop_assert_eq!(total.round(), total.magnitude().round());
        let mut squares = ExactSum::new();
        numbers.iter().for_each(|number| squares.add_square(*number));
        let exact = squares.magnitude().scale(numbers.len() as u64).into_sum();
        let mut careful = exact;
        careful.unmerge(&total.magnitude().multiply(&total.magnitude()).into_sum());
        let count = numbers.len() as u64;
        prop_assert_eq!(squares.determinant(count, &total, &total), careful.magnitude().round());
    }
}

#[test]
fn ordinary_readings_are_fast() {
    let numbers: Vec<f64> = (0..100).map(|tenth| f64::from(tenth) / 10.0).collect();
    let total = sum(&numbers);
    let mut squares = ExactSum::new();
    numbers
        .iter()
        .for_each(|number| squares.add_square(*number));
    assert!(total.round_short().is_some());
    assert!(squares.determinant_short(100, &total, &total).is_some());
    assert_eq!(sum(&[1.0, 1e300]).round_short(), Some(1e300));
    assert_eq!(sum(&[1.0, 1e300, -1e300]).round_short(), Some(1.0));
    assert!(sum(&[1.5, 1e-300]).round_short().is_some());
}

#[test]
fn a_mean_survives_an_overflowing_sum() {
    assert_eq!(sum(&[1e308; 10]).round(), f64::INFINITY);
    assert_eq!(sum(&[1e308; 10]).mean(10), 1e308);
    assert_eq!(
        sum(&[f64::MAX, f64::MAX, -f64::MAX]).mean(3),
        f64::MAX / 3.0
    );
    assert_eq!(sum(&[-1e308; 3]).mean(3), -1e308);
    assert_eq!(sum(&[1.0, 2.0]).mean(2), 1.5);
    assert!(sum(&[]).mean(0).is_nan());
}

#[test]
fn infinities_come_and_go() {
    let mut total = sum(&[1.0, f64::INFINITY]);
    assert_eq!(total.round(), f64::INFINITY);
    assert_eq!(total.mean(2), f64::INFINITY);
    total.add(f64::NEG_INFINITY);
    assert!(total.round().is_nan());
    total.subtract(f64::INFINITY);
    assert_eq!(total.round(), f64::NEG_INFINITY);
    total.subtract(f64::NEG_INFINITY);
    assert_eq!(total.round(), 1.0);
    total.add(f64::NAN);
    assert_eq!(total.round(), 1.0);
    assert_eq!(sum(&[-0.0]).round().to_bits(), 0.0_f64.to_bits());
}

#[test]
fn carries_are_passed_on() {
    let mut total = sum(&[-0.1, 1e300, -1e-300, -1e300]);
    total.pending = CARRY_LIMIT - 3;
    (0..10).for_each(|_| total.add(-0.1));
    assert!(total.pending < 20);
    (0..11).for_each(|_| total.add(0.1));
    assert_eq!(total.round(), -1e-300);
    // 0.1 is 3602879701896397·2^-55; doubled 70 times it is that times 2^15, without an addition in between.
    let mut doubled = sum(&[-0.1]);
    for _ in 0..70 {
        doubled.merge(&doubled.clone());
    }
    assert_eq!(doubled.round(), -3_602_879_701_896_397.0 * 32_768.0);
    assert!(doubled.limbs.len() < 10);
}
