//! Functions of numbers. Transcendental ones are those of `libm` on every platform.

use rhai::Dynamic;

use super::{Kernel, Ran, Scalar, maybe, numbers};
use crate::value::Operand;

/// One line of the table for a function of one float.
macro_rules! one {
    ($name:literal, $meaning:literal, $function:expr) => {
        Scalar {
            name: $name,
            arguments: (1, 1),
            signature: concat!($name, "(x)"),
            meaning: $meaning,
            example: concat!($name, "(temperature)"),
            gives_flag: false,
            keeps_whole: false,
            run: |arguments| {
                Ok(maybe(
                    numbers::<1>($name, arguments)?.map(|[x]| $function(x)),
                ))
            },
            kernel: Kernel::One($function),
        }
    };
}

/// One line of the table for a function of two floats.
macro_rules! two {
    ($name:literal, $meaning:literal, $function:expr) => {
        Scalar {
            name: $name,
            arguments: (2, 2),
            signature: concat!($name, "(a, b)"),
            meaning: $meaning,
            example: concat!($name, "(temperature, pressure)"),
            gives_flag: false,
            keeps_whole: false,
            run: |arguments| {
                Ok(maybe(
                    numbers::<2>($name, arguments)?.map(|[a, b]| $function(a, b)),
                ))
            },
            kernel: Kernel::Two($function),
        }
    };
}

/// One line of the table for a function that leaves whole numbers whole.
macro_rules! rounding {
    ($name:literal, $meaning:literal, $function:expr) => {
        Scalar {
            keeps_whole: true,
            run: |arguments| {
                let whole = arguments.first().filter(|x| x.is_int());
                match whole {
                    Some(whole) => Ok(whole.clone()),
                    None => Ok(maybe(
                        numbers::<1>($name, arguments)?.map(|[x]| $function(x)),
                    )),
                }
            },
            ..one!($name, $meaning, $function)
        }
    };
}

pub(super) static TABLE: [Scalar; 31] = [
    Scalar {
        name: "has",
        arguments: (1, 1),
        signature: "has(x)",
        meaning: "true if x has a value, false if it is `()`",
        example: "has(temperature)",
        gives_flag: true,
        keeps_whole: false,
        run: |arguments| {
            let missing = arguments
                .first()
                .is_none_or(|x| matches!(Operand::of(x), Operand::Missing));
            Ok(Dynamic::from_bool(!missing))
        },
        kernel: Kernel::Has,
    },
    Scalar {
        keeps_whole: true,
        run: |arguments| match arguments.first().and_then(|x| x.as_int().ok()) {
            Some(whole) => whole
                .checked_abs()
                .map(Dynamic::from_int)
                .ok_or_else(|| "`abs` of a whole number overflows".to_owned().into()),
            None => Ok(maybe(numbers::<1>("abs", arguments)?.map(|[x]| x.abs()))),
        },
        ..one!("abs", "x without its sign", f64::abs)
    },
    one!("sqrt", "square root; `()` below zero", f64::sqrt),
    one!("cbrt", "cube root", libm::cbrt),
    one!("exp", "e to the x", libm::exp),
    one!("ln", "natural logarithm; `()` below zero", libm::log),
    one!(
        "log10",
        "logarithm to base 10; `()` below zero",
        libm::log10
    ),
    one!("log2", "logarithm to base 2; `()` below zero", libm::log2),
    two!("pow", "a to the b, as `a ** b`", libm::pow),
    Scalar {
        keeps_whole: true,
        run: |arguments| pick("min", arguments, lesser, |a, b| a.min(b)),
        ..two!(
            "min",
            "the lesser of two numbers; over rows write `min(x, \"5m\")`",
            lesser
        )
    },
    Scalar {
        keeps_whole: true,
        run: |arguments| pick("max", arguments, greater, |a, b| a.max(b)),
        ..two!(
            "max",
            "the greater of two numbers; over rows write `max(x, \"5m\")`",
            greater
        )
    },
    Scalar {
        name: "clamp",
        arguments: (3, 3),
        signature: "clamp(x, low, high)",
        meaning: "x, but not below low and not above high",
        example: "clamp(temperature, 0.0, 100.0)",
        gives_flag: false,
        keeps_whole: false,
        run: |arguments| {
            Ok(maybe(
                numbers::<3>("clamp", arguments)?.map(|[x, low, high]| clamp(x, low, high)),
            ))
        },
        kernel: Kernel::Three(clamp),
    },
    rounding!("floor", "the next whole number below", f64::floor),
    rounding!("ceil", "the next whole number above", f64::ceil),
    rounding!(
        "round",
        "the nearest whole number, halves away from zero",
        f64::round
    ),
    rounding!("trunc", "x without what is behind the point", f64::trunc),
    one!("sign", "-1, 0 or 1", sign),
    one!("sin", "sine of an angle in radians", libm::sin),
    one!("cos", "cosine of an angle in radians", libm::cos),
    one!("tan", "tangent of an angle in radians", libm::tan),
    one!("asin", "angle of a sine", libm::asin),
    one!("acos", "angle of a cosine", libm::acos),
    one!("atan", "angle of a tangent", libm::atan),
    two!("atan2", "angle of the point (b, a)", libm::atan2),
    one!("sinh", "hyperbolic sine", libm::sinh),
    one!("cosh", "hyperbolic cosine", libm::cosh),
    one!("tanh", "hyperbolic tangent", libm::tanh),
    two!(
        "hypot",
        "length of the line from (0, 0) to (a, b)",
        libm::hypot
    ),
    one!("radians", "degrees as radians", f64::to_radians),
    one!("degrees", "radians as degrees", f64::to_degrees),
    Scalar {
        name: "whole",
        arguments: (1, 1),
        signature: "whole(x)",
        meaning: "x as a whole number, for indexes and loops; what is behind the point is cut off",
        example: "whole(temperature)",
        gives_flag: false,
        keeps_whole: false,
        run: whole,
        kernel: Kernel::None,
    },
];

fn lesser(a: f64, b: f64) -> f64 {
    // NaN stands for `()`, which makes the result `()` too; f64::min would drop it.
    if a.is_nan() || b < a || b.is_nan() {
        b_or_nan(a, b)
    } else {
        a
    }
}

fn greater(a: f64, b: f64) -> f64 {
    if a.is_nan() || b > a || b.is_nan() {
        b_or_nan(a, b)
    } else {
        a
    }
}

/// `b`, unless `a` is NaN.
fn b_or_nan(a: f64, b: f64) -> f64 {
    if a.is_nan() { a } else { b }
}

fn clamp(x: f64, low: f64, high: f64) -> f64 {
    lesser(greater(x, low), high)
}

fn sign(x: f64) -> f64 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        x
    }
}

/// The lesser or greater of two, whole when both are.
fn pick(
    name: &str,
    arguments: &[Dynamic],
    floats: fn(f64, f64) -> f64,
    wholes: fn(i64, i64) -> i64,
) -> Ran {
    if let [a, b] = arguments
        && let (Ok(a), Ok(b)) = (a.as_int(), b.as_int())
    {
        return Ok(Dynamic::from_int(wholes(a, b)));
    }
    Ok(maybe(
        numbers::<2>(name, arguments)?.map(|[a, b]| floats(a, b)),
    ))
}

fn whole(arguments: &[Dynamic]) -> Ran {
    if let Some(whole) = arguments.first().filter(|x| x.is_int()) {
        return Ok(whole.clone());
    }
    let Some([x]) = numbers::<1>("whole", arguments)? else {
        return Ok(Dynamic::UNIT);
    };
    // Whole numbers up to 2^53 are exact in a float; beyond it the digits would be made up.
    if x.abs() > 9_007_199_254_740_992.0 {
        return Err("`whole` needs a number below 2^53".to_owned().into());
    }
    #[allow(clippy::cast_possible_truncation, reason = "the range was checked")]
    let whole = x as i64;
    Ok(Dynamic::from_int(whole))
}
