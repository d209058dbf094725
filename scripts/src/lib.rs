//! Formulas: the Rhai sandbox, compilation, columnar evaluation, function catalogue, templates.
//!
//! A [`Formula`] is compiled once. What it needs from outside are its [`Slot`]s: metrics, traits, times, and
//! [`StreamCall`]s, the functions that look at more than one row, whose values the operators crate computes. Given values
//! for the slots it is evaluated over columns ([`Formula::evaluate`]) or for one row ([`Formula::evaluate_row`]), which is
//! the reference: both give the same values and the same errors.
//!
//! # What a formula means
//!
//! - **Missing values.** `()` goes through arithmetic and comparisons, `==` and `!=` included. `&&`, `||` and `!` are
//!   Kleene's: `false && ()` is false, `true || ()` is true, otherwise `()`; they stop at the first deciding operand.
//!   `has(x)` and `or(x, y)` (also `x ?? y`) ask about it. An `if` on `()` is an error of the row.
//! - **Numbers.** Numbers of telemetry and literals are floats, counts are whole. A whole number that meets a float
//!   becomes one; `+ - *` of two whole numbers stay whole and an overflow is an error of the row; `/` and `**` always
//!   give floats; a remainder by zero is `()`. NaN is `()`; a division by zero is infinite, 0 / 0 is `()`.
//! - **Types.** Text compared or calculated with a number is an error of the row, never a silent false; `+` with a text
//!   joins. Texts compare by bytes; true and false only by `==` and `!=`.
//! - **Scripts.** A formula with statements (`let`, `for`, functions of the author's own) runs row by row; in it whole
//!   literals stay whole, for indexes and loops.

mod alias;
mod anywhere;
mod catalogue;
mod clause;
mod column;
mod columnar;
mod emit;
mod error;
mod formula;
mod kind;
mod lower;
mod names;
mod node;
mod runtime;
mod sandbox;
mod scalar;
mod state;
mod stream;
mod template;
mod transform;
mod value;
mod wording;

pub use alias::{AliasField, AliasKind, AliasPick, AliasScope, AliasSlot, name_problem};
pub use anywhere::mistakes_anywhere;
pub use catalogue::{Entry, catalogue};
pub use clause::{Clause, Joint};
pub use column::Column;
pub use error::{Fault, ScriptError};
pub use formula::{Evaluated, Formula, Threshold, ThresholdOperator};
pub use names::FormulaContext;
pub use sandbox::with_guard;
pub use state::{Parameter, Part, StateFunction};
pub use stream::{Over, Slot, StreamCall, StreamFunction};
pub use template::Template;
pub use transform::Transform;
