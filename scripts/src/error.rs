//! [`ScriptError`]: why a formula gave no value for a row, and whose fault that is.

use rhai::{EvalAltResult, Position};

/// Whose fault a failed evaluation is, which decides what happens to the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The formula met values it cannot work with (text where a number belongs, an unknown `if`): the row is counted.
    Author,
    /// A counted budget ran out (operations, depth, sizes): the same at every replay.
    Budget,
    /// The wall-clock guard fired: the epoch is thrown away and the rule quarantined.
    WallClock,
    /// A bug of the engine.
    Ours,
}

/// Why a formula gave no value for a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", place(.line, .column))]
pub struct ScriptError {
    /// What went wrong, lowercase.
    pub message: String,
    /// Line inside the formula's text, from 1; 0 when unknown.
    pub line: u32,
    /// Column inside the formula's text, from 1; 0 when unknown.
    pub column: u32,
    /// Whose fault it is.
    pub kind: Fault,
}

fn place(line: &u32, column: &u32) -> String {
    if *line == 0 {
        String::new()
    } else {
        format!(" at {line}:{column}")
    }
}

impl ScriptError {
    /// Whose fault it is.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        self.kind
    }

    pub(crate) fn ours(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            line: 0,
            column: 0,
            kind: Fault::Ours,
        }
    }

    pub(crate) fn author(message: impl Into<String>, at: Position) -> Self {
        let (line, column) = line_column(at);
        Self {
            message: message.into(),
            line,
            column,
            kind: Fault::Author,
        }
    }

    pub(crate) fn from_rhai(error: &EvalAltResult) -> Self {
        let inner = error.unwrap_inner();
        let (line, column) = line_column(inner.position());
        let (message, kind) = explain(inner);
        Self {
            message,
            line,
            column,
            kind,
        }
    }
}

/// Line and column of a Rhai position, from 1; zeros when it has none.
pub(crate) fn line_column(at: Position) -> (u32, u32) {
    let line = at.line().and_then(|line| u32::try_from(line).ok());
    let column = at.position().and_then(|column| u32::try_from(column).ok());
    (line.unwrap_or(0), column.unwrap_or(0))
}

fn explain(error: &EvalAltResult) -> (String, Fault) {
    match error {
        EvalAltResult::ErrorTooManyOperations(..) => {
            ("used up its budget of operations".into(), Fault::Budget)
        }
        EvalAltResult::ErrorStackOverflow(..) => {
            ("functions call each other too deeply".into(), Fault::Budget)
        }
        EvalAltResult::ErrorTooManyVariables(..) => {
            ("too many variables at once".into(), Fault::Budget)
        }
        EvalAltResult::ErrorDataTooLarge(what, ..) => (
            format!("{} is too large", what.to_lowercase()),
            Fault::Budget,
        ),
        EvalAltResult::ErrorTerminated(..) => {
            ("stopped by the wall-clock guard".into(), Fault::WallClock)
        }
        EvalAltResult::ErrorRuntime(value, ..) => (value.to_string(), Fault::Author),
        EvalAltResult::ErrorMismatchDataType(wanted, got, ..) => (
            format!("needs {}, not {}", friendly(wanted), friendly(got)),
            Fault::Author,
        ),
        EvalAltResult::ErrorFunctionNotFound(signature, ..) => {
            (format!("no function `{}`", signature.trim()), Fault::Author)
        }
        other => (plain(&other.to_string()), Fault::Author),
    }
}

/// A message of Rhai's without its position, which is told apart, and without its capital.
fn plain(text: &str) -> String {
    let end = text.rfind(" (line ").unwrap_or(text.len());
    let mut letters = text.get(..end).unwrap_or(text).chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

/// Names of Rhai's types as people know them.
fn friendly(name: &str) -> &str {
    match name {
        "()" => "an unknown value `()`",
        "bool" => "true or false",
        "i64" | "f64" => "a number",
        "string" | "&str | ImmutableString | String" => "text",
        other => other,
    }
}
