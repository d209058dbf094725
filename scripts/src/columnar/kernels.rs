//! The kernels: one step over one chunk of rows.

use std::ops::Range;

use arrow_array::Array;

use super::{Kind, Step};
use crate::column::Column;
use crate::node::Operator;
use crate::sandbox::STRING_BYTES;
use crate::scalar::{Kernel, Scalar};
use crate::value::{arithmetic, float, holds, whole_arithmetic};

/// Unknown, among truth values that are 0 and 1.
pub(super) const UNKNOWN: u8 = 2;

/// The values of one step over the rows of a chunk.
#[derive(Debug)]
pub(super) enum Register<'c> {
    /// NaN is `()`.
    Float(Vec<f64>),
    Int(Vec<Option<i64>>),
    /// 0, 1, or 2 for unknown.
    Truth(Vec<u8>),
    Text(Vec<Option<&'c str>>),
    Missing,
}

impl Register<'_> {
    pub(super) fn new(kind: Kind, rows: usize) -> Self {
        match kind {
            Kind::Float => Self::Float(vec![f64::NAN; rows]),
            Kind::Int => Self::Int(vec![None; rows]),
            Kind::Truth => Self::Truth(vec![UNKNOWN; rows]),
            Kind::Text => Self::Text(vec![None; rows]),
            Kind::Missing => Self::Missing,
        }
    }
}

/// Runs one step; false when it would fail in some row.
pub(super) fn run<'c>(
    step: &'c Step,
    target: &mut Register<'c>,
    before: &[Register<'c>],
    columns: &'c [Column],
    rows: &Range<usize>,
) -> bool {
    match step {
        Step::Slot(index) => load(columns.get(*index), target, rows),
        Step::Number(number) => {
            if let Register::Float(out) = target {
                out.fill(*number);
            }
            true
        }
        Step::Bool(flag) => {
            if let Register::Truth(out) = target {
                out.fill(u8::from(*flag));
            }
            true
        }
        Step::Text(text) => {
            if let Register::Text(out) = target {
                out.fill(Some(text.as_str()));
            }
            true
        }
        Step::Missing => true,
        Step::Negate(x) => before.get(*x).is_some_and(|x| negate(x, target)),
        Step::Not(x) => before.get(*x).is_some_and(|x| not(x, target)),
        Step::Binary(op, a, b) => match (before.get(*a), before.get(*b)) {
            (Some(a), Some(b)) if op.is_comparison() => compare(*op, a, b, target),
            (Some(a), Some(b)) => calculate(*op, a, b, target),
            _ => false,
        },
        Step::And(list) => logic(list, before, target, 0),
        Step::Or(list) => logic(list, before, target, 1),
        Step::Coalesce(list) => coalesce(list, before, target),
        Step::Call(scalar, list) => call(scalar, list, before, target),
        Step::If(condition, a, b) => match (before.get(*condition), before.get(*a), before.get(*b))
        {
            (Some(Register::Truth(condition)), Some(a), Some(b)) => {
                // Rows behind the chunk's end hold leftovers of the chunk before.
                let known = condition
                    .iter()
                    .take(rows.len())
                    .all(|truth| *truth != UNKNOWN);
                known && choose(condition, a, b, target)
            }
            _ => false,
        },
    }
}

/// Copies some rows of a column; rows that the column does not have are `()`.
fn load<'c>(column: Option<&'c Column>, target: &mut Register<'c>, rows: &Range<usize>) -> bool {
    match (column, target) {
        (Some(Column::Float(array)), Register::Float(out)) => {
            let all: &[f64] = array.values();
            let end = rows.end.min(all.len());
            let from = all.get(rows.start.min(end)..end).unwrap_or_default();
            out.fill(f64::NAN);
            for (slot, value) in out.iter_mut().zip(from) {
                *slot = *value;
            }
            if let Some(nulls) = array.nulls().filter(|nulls| nulls.null_count() > 0) {
                for (slot, row) in out.iter_mut().zip(rows.start..end) {
                    if nulls.is_null(row) {
                        *slot = f64::NAN;
                    }
                }
            }
            true
        }
        (Some(Column::Int(array)), Register::Int(out)) => {
            for (slot, row) in out.iter_mut().zip(rows.clone()) {
                *slot = (row < array.len() && array.is_valid(row)).then(|| array.value(row));
            }
            true
        }
        (Some(Column::Bool(array)), Register::Truth(out)) => {
            for (slot, row) in out.iter_mut().zip(rows.clone()) {
                let valid = row < array.len() && array.is_valid(row);
                *slot = if valid {
                    u8::from(array.value(row))
                } else {
                    UNKNOWN
                };
            }
            true
        }
        (Some(Column::Text(array)), Register::Text(out)) => {
            let mut fits = true;
            for (slot, row) in out.iter_mut().zip(rows.clone()) {
                *slot = (row < array.len() && array.is_valid(row)).then(|| array.value(row));
                fits = fits && slot.is_none_or(|text| text.len() <= STRING_BYTES);
            }
            fits
        }
        (_, Register::Missing) => true,
        _ => false,
    }
}

fn negate(x: &Register<'_>, target: &mut Register<'_>) -> bool {
    match (x, target) {
        (Register::Float(x), Register::Float(out)) => {
            for (slot, x) in out.iter_mut().zip(x) {
                *slot = -x;
            }
            true
        }
        (Register::Int(x), Register::Int(out)) => {
            let mut fits = true;
            for (slot, x) in out.iter_mut().zip(x) {
                *slot = x.and_then(i64::checked_neg);
                fits = fits && slot.is_some() == x.is_some();
            }
            fits
        }
        (Register::Missing, Register::Missing) => true,
        _ => false,
    }
}

fn not(x: &Register<'_>, target: &mut Register<'_>) -> bool {
    match (x, target) {
        (Register::Truth(x), Register::Truth(out)) => {
            for (slot, x) in out.iter_mut().zip(x) {
                *slot = if *x == UNKNOWN { UNKNOWN } else { 1 - x };
            }
            true
        }
        (Register::Missing, Register::Truth(out)) => {
            out.fill(UNKNOWN);
            true
        }
        _ => false,
    }
}

/// The numbers of a register as floats.
fn floats<'r>(
    register: &'r Register<'_>,
    scratch: &'r mut Vec<f64>,
    rows: usize,
) -> Option<&'r [f64]> {
    match register {
        Register::Float(values) => return Some(values),
        Register::Int(values) => {
            scratch.extend(values.iter().map(|whole| whole.map_or(f64::NAN, float)));
        }
        Register::Missing => scratch.resize(rows, f64::NAN),
        _ => return None,
    }
    Some(scratch)
}

fn two(out: &mut [f64], a: &[f64], b: &[f64], run: impl Fn(f64, f64) -> f64) {
    for (slot, (a, b)) in out.iter_mut().zip(a.iter().zip(b)) {
        *slot = run(*a, *b);
    }
}

fn calculate(op: Operator, a: &Register<'_>, b: &Register<'_>, target: &mut Register<'_>) -> bool {
    match target {
        Register::Missing => true,
        Register::Int(out) => match (a, b) {
            (Register::Int(a), Register::Int(b)) => calculate_whole(op, a, b, out),
            _ => false,
        },
        Register::Float(out) => {
            let (mut first, mut second) = (Vec::new(), Vec::new());
            let rows = out.len();
            let (Some(a), Some(b)) = (floats(a, &mut first, rows), floats(b, &mut second, rows))
            else {
                return false;
            };
            match op {
                Operator::Add => two(out, a, b, |a, b| a + b),
                Operator::Subtract => two(out, a, b, |a, b| a - b),
                Operator::Multiply => two(out, a, b, |a, b| a * b),
                Operator::Divide => two(out, a, b, |a, b| a / b),
                other => two(out, a, b, |a, b| {
                    // `pow` makes 1 of some NaN; here NaN is `()` and stays it.
                    if a.is_nan() || b.is_nan() {
                        f64::NAN
                    } else {
                        arithmetic(other, a, b).unwrap_or(f64::NAN)
                    }
                }),
            }
            true
        }
        _ => false,
    }
}

fn calculate_whole(
    op: Operator,
    a: &[Option<i64>],
    b: &[Option<i64>],
    out: &mut [Option<i64>],
) -> bool {
    let mut fits = true;
    for (slot, (a, b)) in out.iter_mut().zip(a.iter().zip(b)) {
        let Some((a, b)) = a.zip(*b) else {
            *slot = None;
            continue;
        };
        *slot = match whole_arithmetic(op, a, b) {
            Some(result) => {
                fits = fits && result.is_some();
                result
            }
            None => (b != 0).then(|| a.wrapping_rem(b)),
        };
    }
    fits
}

fn compare_floats(out: &mut [u8], a: &[f64], b: &[f64], run: impl Fn(f64, f64) -> bool) {
    for (slot, (a, b)) in out.iter_mut().zip(a.iter().zip(b)) {
        let unknown = a.is_nan() | b.is_nan();
        *slot = if unknown {
            UNKNOWN
        } else {
            u8::from(run(*a, *b))
        };
    }
}

/// A comparison of values that may be missing.
fn compare_options<T: PartialOrd>(
    op: Operator,
    out: &mut [u8],
    pairs: impl Iterator<Item = Option<(T, T)>>,
) -> bool {
    for (slot, pair) in out.iter_mut().zip(pairs) {
        *slot = pair.map_or(UNKNOWN, |(a, b)| u8::from(holds(op, &a, &b)));
    }
    true
}

fn compare(op: Operator, a: &Register<'_>, b: &Register<'_>, target: &mut Register<'_>) -> bool {
    let out = match target {
        Register::Missing => return true,
        Register::Truth(out) => out,
        _ => return false,
    };
    match (a, b) {
        (Register::Int(a), Register::Int(b)) => {
            compare_options(op, out, a.iter().zip(b).map(|(a, b)| a.zip(*b)))
        }
        (Register::Text(a), Register::Text(b)) => {
            compare_options(op, out, a.iter().zip(b).map(|(a, b)| a.zip(*b)))
        }
        (Register::Truth(a), Register::Truth(b)) => {
            let known = |truth: &u8| (*truth != UNKNOWN).then_some(*truth);
            compare_options(
                op,
                out,
                a.iter().zip(b).map(|(a, b)| known(a).zip(known(b))),
            )
        }
        _ => {
            let (mut first, mut second) = (Vec::new(), Vec::new());
            let rows = out.len();
            let (Some(a), Some(b)) = (floats(a, &mut first, rows), floats(b, &mut second, rows))
            else {
                return false;
            };
            match op {
                Operator::Less => compare_floats(out, a, b, |a, b| a < b),
                Operator::LessEqual => compare_floats(out, a, b, |a, b| a <= b),
                Operator::Greater => compare_floats(out, a, b, |a, b| a > b),
                Operator::GreaterEqual => compare_floats(out, a, b, |a, b| a >= b),
                other => compare_floats(out, a, b, |a, b| holds(other, &a, &b)),
            }
            true
        }
    }
}

/// `&&` (decisive 0) and `||` (decisive 1) of three values.
fn logic(list: &[usize], before: &[Register<'_>], target: &mut Register<'_>, decisive: u8) -> bool {
    let Register::Truth(out) = target else {
        return false;
    };
    out.fill(1 - decisive);
    let join = |a: u8, b: u8| {
        if (a == decisive) | (b == decisive) {
            decisive
        } else {
            a.max(b)
        }
    };
    for operand in list {
        match before.get(*operand) {
            Some(Register::Truth(values)) => {
                for (slot, value) in out.iter_mut().zip(values) {
                    *slot = join(*slot, *value);
                }
            }
            Some(Register::Missing) => {
                for slot in out.iter_mut() {
                    *slot = join(*slot, UNKNOWN);
                }
            }
            _ => return false,
        }
    }
    true
}

/// Takes what is missing from the next operand, and so on.
fn coalesce<'c>(list: &[usize], before: &[Register<'c>], target: &mut Register<'c>) -> bool {
    fn fill<T: Copy>(out: &mut [T], values: &[T], missing: impl Fn(&T) -> bool) {
        for (slot, value) in out.iter_mut().zip(values) {
            if missing(slot) {
                *slot = *value;
            }
        }
    }
    clear(target);
    for operand in list {
        match (before.get(*operand), &mut *target) {
            (Some(Register::Float(x)), Register::Float(out)) => fill(out, x, |x| x.is_nan()),
            (Some(Register::Int(x)), Register::Int(out)) => fill(out, x, Option::is_none),
            (Some(Register::Truth(x)), Register::Truth(out)) => fill(out, x, |x| *x == UNKNOWN),
            (Some(Register::Text(x)), Register::Text(out)) => fill(out, x, Option::is_none),
            (Some(Register::Missing), _) => {}
            _ => return false,
        }
    }
    true
}

/// Takes `a` where the condition is true and `b` where it is false; both are of the target's kind or missing.
fn choose<'c>(
    condition: &[u8],
    a: &Register<'c>,
    b: &Register<'c>,
    target: &mut Register<'c>,
) -> bool {
    fn pick<T: Copy>(condition: &[u8], wanted: u8, out: &mut [T], values: &[T]) {
        for ((slot, value), truth) in out.iter_mut().zip(values).zip(condition) {
            if *truth == wanted {
                *slot = *value;
            }
        }
    }
    clear(target);
    for (operand, wanted) in [(a, 1), (b, 0)] {
        match (operand, &mut *target) {
            (Register::Float(x), Register::Float(out)) => pick(condition, wanted, out, x),
            (Register::Int(x), Register::Int(out)) => pick(condition, wanted, out, x),
            (Register::Truth(x), Register::Truth(out)) => pick(condition, wanted, out, x),
            (Register::Text(x), Register::Text(out)) => pick(condition, wanted, out, x),
            (Register::Missing, _) => {}
            _ => return false,
        }
    }
    true
}

/// Makes every row `()`.
fn clear(register: &mut Register<'_>) {
    match register {
        Register::Float(out) => out.fill(f64::NAN),
        Register::Int(out) => out.fill(None),
        Register::Truth(out) => out.fill(UNKNOWN),
        Register::Text(out) => out.fill(None),
        Register::Missing => {}
    }
}

fn call(
    scalar: &Scalar,
    list: &[usize],
    before: &[Register<'_>],
    target: &mut Register<'_>,
) -> bool {
    if let (Kernel::Has, Register::Truth(out)) = (scalar.kernel, &mut *target) {
        return list
            .first()
            .and_then(|x| before.get(*x))
            .is_some_and(|x| has(x, out));
    }
    let Register::Float(out) = target else {
        return false;
    };
    let rows = out.len();
    let mut scratch = [Vec::new(), Vec::new(), Vec::new()];
    let mut given: [&[f64]; 3] = [&[]; 3];
    for ((slot, scratch), operand) in given.iter_mut().zip(&mut scratch).zip(list) {
        match before.get(*operand).and_then(|x| floats(x, scratch, rows)) {
            Some(values) => *slot = values,
            None => return false,
        }
    }
    let [a, b, c] = given;
    match scalar.kernel {
        Kernel::One(run) => {
            for (slot, a) in out.iter_mut().zip(a) {
                *slot = run(*a);
            }
        }
        // Some functions make a number of NaN; here NaN is `()` and stays it.
        Kernel::Two(run) => two(out, a, b, |a, b| {
            if a.is_nan() || b.is_nan() {
                f64::NAN
            } else {
                run(a, b)
            }
        }),
        Kernel::Three(run) => {
            for (slot, ((a, b), c)) in out.iter_mut().zip(a.iter().zip(b).zip(c)) {
                let missing = a.is_nan() || b.is_nan() || c.is_nan();
                *slot = if missing { f64::NAN } else { run(*a, *b, *c) };
            }
        }
        Kernel::None | Kernel::Has => return false,
    }
    true
}

fn has(x: &Register<'_>, out: &mut [u8]) -> bool {
    fn each<T>(out: &mut [u8], values: &[T], there: impl Fn(&T) -> bool) {
        for (slot, value) in out.iter_mut().zip(values) {
            *slot = u8::from(there(value));
        }
    }
    match x {
        Register::Float(x) => each(out, x, |x| !x.is_nan()),
        Register::Int(x) => each(out, x, Option::is_some),
        Register::Truth(x) => each(out, x, |x| *x != UNKNOWN),
        Register::Text(x) => each(out, x, Option::is_some),
        Register::Missing => out.fill(0),
    }
    true
}
