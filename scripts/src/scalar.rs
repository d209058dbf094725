//! Functions of one row's values: mathematics, text, missing values. Owns their table; each works on `()` by giving `()`
//! unless its line says otherwise.

use rhai::Dynamic;

use crate::value::{Operand, number};

mod numeric;
mod textual;

/// A function of one row's values.
pub(crate) struct Scalar {
    pub(crate) name: &'static str,
    /// Least and greatest number of arguments.
    pub(crate) arguments: (usize, usize),
    pub(crate) signature: &'static str,
    pub(crate) meaning: &'static str,
    pub(crate) example: &'static str,
    /// Whether its value is true or false.
    pub(crate) gives_flag: bool,
    /// Whether whole numbers give whole numbers.
    pub(crate) keeps_whole: bool,
    pub(crate) run: fn(&[Dynamic]) -> Ran,
    /// How columns of floats go through it.
    pub(crate) kernel: Kernel,
}

/// What a function gives.
pub(crate) type Ran = Result<Dynamic, Failure>;

/// Why a function gave nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Its arguments do not fit.
    Wrong(String),
    /// Its result would be larger than a text may be.
    TooLarge,
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::Wrong(message)
    }
}

/// How columns of floats go through a function, NaN standing for `()`.
#[derive(Clone, Copy)]
pub(crate) enum Kernel {
    /// Only row by row.
    None,
    /// `has`.
    Has,
    /// Float to float.
    One(fn(f64) -> f64),
    /// Two floats to a float.
    Two(fn(f64, f64) -> f64),
    /// Three floats to a float.
    Three(fn(f64, f64, f64) -> f64),
}

impl std::fmt::Debug for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Scalar {
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        tables().find(|scalar| scalar.name == name)
    }

    pub(crate) fn all() -> impl Iterator<Item = &'static Self> {
        tables()
    }

    /// Its number in the table, by which the sandbox finds it.
    pub(crate) fn code(&self) -> i64 {
        let at = tables().position(|scalar| scalar.name == self.name);
        at.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1)
    }

    pub(crate) fn from_code(code: i64) -> Option<&'static Self> {
        let at = usize::try_from(code).ok()?;
        numeric::TABLE
            .get(at)
            .or_else(|| textual::TABLE.get(at.checked_sub(numeric::TABLE.len())?))
    }
}

fn tables() -> impl Iterator<Item = &'static Scalar> {
    numeric::TABLE.iter().chain(textual::TABLE.iter())
}

/// The numbers of all arguments; `None` when one of them is `()`.
fn numbers<const N: usize>(name: &str, arguments: &[Dynamic]) -> Result<Option<[f64; N]>, String> {
    let mut found = [0.0; N];
    let mut missing = false;
    for (index, slot) in found.iter_mut().enumerate() {
        let argument = arguments.get(index).unwrap_or(&Dynamic::UNIT);
        let read = Operand::of(argument)
            .number()
            .map_err(|kind| format!("`{name}` needs a number, not {kind}"))?;
        match read {
            Some(x) => *slot = x,
            None => missing = true,
        }
    }
    Ok((!missing).then_some(found))
}

/// A number that may be missing as a value.
fn maybe(result: Option<f64>) -> Dynamic {
    result.map_or(Dynamic::UNIT, number)
}
