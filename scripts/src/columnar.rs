//! [`Program`]: a formula as a flat program over columns. Owns what can run so and with which types of columns; the
//! kernels are in `kernels`.
//!
//! Registers of floats hold NaN where the value is `()`, so that missing values go through arithmetic by themselves; truth
//! values are 0, 1 or 2 for unknown. A chunk in which anything would fail (an overflow, an unknown `if`) is thrown away and
//! run row by row, so that errors are those of the reference to the letter.

use rhai::ImmutableString;
use tidegate_proto::Value;

use crate::column::Column;
use crate::formula::{Evaluated, Formula};
use crate::node::{Node, Operator};
use crate::scalar::{Kernel, Scalar};

mod kernels;
mod output;

use kernels::Register;
use output::Output;

/// Rows that are run through the whole program at once: a few registers of this size stay in the first-level cache.
const CHUNK: usize = 1024;

/// One step; operands are numbers of earlier steps.
#[derive(Debug)]
enum Step {
    Number(f64),
    Bool(bool),
    Text(ImmutableString),
    Missing,
    Slot(usize),
    Negate(usize),
    Not(usize),
    Binary(Operator, usize, usize),
    And(Vec<usize>),
    Or(Vec<usize>),
    Coalesce(Vec<usize>),
    Call(&'static Scalar, Vec<usize>),
    If(usize, usize, usize),
}

/// What a register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Float,
    Int,
    Truth,
    Text,
    /// `()` in every row.
    Missing,
}

/// A formula as a flat program over columns.
#[derive(Debug)]
pub(crate) struct Program {
    steps: Vec<Step>,
}

impl Program {
    /// The program of an expression; `None` when something in it runs only row by row.
    pub(crate) fn compile(node: &Node) -> Option<Self> {
        let mut program = Self { steps: Vec::new() };
        program.add(node)?;
        Some(program)
    }

    fn add(&mut self, node: &Node) -> Option<usize> {
        let step = match node {
            Node::Number(number) => Step::Number(*number),
            Node::Bool(flag) => Step::Bool(*flag),
            Node::Text(text) => Step::Text(text.clone()),
            Node::Missing => Step::Missing,
            Node::Slot(index) => {
                let known = self
                    .steps
                    .iter()
                    .position(|step| matches!(step, Step::Slot(at) if at == index));
                if known.is_some() {
                    return known;
                }
                Step::Slot(*index)
            }
            Node::Negate(x, _) => Step::Negate(self.add(x)?),
            Node::Not(x, _) => Step::Not(self.add(x)?),
            Node::Binary(op, pair, _) => Step::Binary(*op, self.add(&pair.0)?, self.add(&pair.1)?),
            Node::And(list, _) => Step::And(self.add_all(list)?),
            Node::Or(list, _) => Step::Or(self.add_all(list)?),
            Node::Coalesce(list, _) => Step::Coalesce(self.add_all(list)?),
            Node::Call(scalar, list, _) if !matches!(scalar.kernel, Kernel::None) => {
                Step::Call(scalar, self.add_all(list)?)
            }
            Node::If(three, _) => Step::If(
                self.add(&three.0)?,
                self.add(&three.1)?,
                self.add(&three.2)?,
            ),
            Node::Int(_) | Node::Call(..) | Node::List(..) | Node::Opaque(_) => return None,
        };
        self.steps.push(step);
        Some(self.steps.len() - 1)
    }

    fn add_all(&mut self, list: &[Node]) -> Option<Vec<usize>> {
        list.iter().map(|node| self.add(node)).collect()
    }

    /// What each register holds with these columns; `None` when a step does not work on its operands' types.
    fn kinds(&self, columns: &[Column]) -> Option<Vec<Kind>> {
        let mut kinds: Vec<Kind> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let kind = kind_of(step, &kinds, columns)?;
            kinds.push(kind);
        }
        Some(kinds)
    }

    /// Runs the program; `None` when the types of the columns do not let it.
    pub(crate) fn run(
        &self,
        formula: &Formula,
        columns: &[Column],
        rows: usize,
    ) -> Option<Evaluated> {
        let kinds = self.kinds(columns)?;
        let last = *kinds.last()?;
        let mut registers: Vec<Register<'_>> = kinds
            .iter()
            .map(|kind| Register::new(*kind, CHUNK.min(rows)))
            .collect();
        let mut output = Output::new(last, rows);
        let mut errors = Vec::new();
        let mut start = 0;
        while start < rows {
            let end = rows.min(start + CHUNK);
            if self.chunk(&mut registers, columns, start..end) {
                output.take(registers.last()?, end - start);
            } else {
                let mut values: Vec<Value> = Vec::with_capacity(end - start);
                formula.evaluate_range(columns, start..end, &mut values, &mut errors);
                output.take_values(&values)?;
            }
            start = end;
        }
        Some(Evaluated {
            column: output.into_column(),
            errors,
        })
    }

    /// Runs all steps over some rows; false when one of them would fail in some row.
    fn chunk<'c>(
        &'c self,
        registers: &mut [Register<'c>],
        columns: &'c [Column],
        rows: std::ops::Range<usize>,
    ) -> bool {
        self.steps.iter().enumerate().all(|(index, step)| {
            let (before, here) = registers.split_at_mut(index);
            let Some(target) = here.first_mut() else {
                return false;
            };
            kernels::run(step, target, before, columns, &rows)
        })
    }
}

fn kind_of(step: &Step, kinds: &[Kind], columns: &[Column]) -> Option<Kind> {
    let kind = |index: usize| kinds.get(index).copied();
    Some(match step {
        Step::Number(_) => Kind::Float,
        Step::Bool(_) => Kind::Truth,
        Step::Text(_) => Kind::Text,
        Step::Missing => Kind::Missing,
        Step::Slot(index) => match columns.get(*index) {
            None => Kind::Missing,
            // A metric that nobody has sent yet has no type: it fits everywhere.
            Some(column) if column.is_missing() => Kind::Missing,
            Some(Column::Float(_)) => Kind::Float,
            Some(Column::Int(_)) => Kind::Int,
            Some(Column::Bool(_)) => Kind::Truth,
            Some(Column::Text(_)) => Kind::Text,
            Some(Column::Mixed(_)) => return None,
        },
        Step::Negate(x) => match kind(*x)? {
            Kind::Truth | Kind::Text => return None,
            number => number,
        },
        Step::Not(x) => truth(kind(*x)?)?,
        Step::Binary(op, a, b) => binary_kind(*op, kind(*a)?, kind(*b)?)?,
        Step::And(list) | Step::Or(list) => {
            for operand in list {
                truth(kind(*operand)?)?;
            }
            Kind::Truth
        }
        Step::Coalesce(list) => common(list.iter().map(|operand| kind(*operand)))?,
        Step::Call(scalar, list) => {
            let operands: Option<Vec<Kind>> = list.iter().map(|operand| kind(*operand)).collect();
            call_kind(scalar, &operands?)?
        }
        // An `if` on what is unknown in every row is an error in every row.
        Step::If(condition, ..) if kind(*condition)? != Kind::Truth => return None,
        Step::If(_, a, b) => common([kind(*a), kind(*b)].into_iter())?,
    })
}

/// The kind of `!x` and of operands of `&&`.
fn truth(kind: Kind) -> Option<Kind> {
    matches!(kind, Kind::Truth | Kind::Missing).then_some(Kind::Truth)
}

/// The one kind that all have, `()` apart.
fn common(kinds: impl Iterator<Item = Option<Kind>>) -> Option<Kind> {
    let mut found = Kind::Missing;
    for kind in kinds {
        let kind = kind?;
        if found == Kind::Missing {
            found = kind;
        } else if kind != found && kind != Kind::Missing {
            return None;
        }
    }
    Some(found)
}

fn binary_kind(op: Operator, a: Kind, b: Kind) -> Option<Kind> {
    let number = |kind: Kind| matches!(kind, Kind::Float | Kind::Int);
    Some(match (a, b) {
        (Kind::Missing, _) | (_, Kind::Missing) => Kind::Missing,
        (a, b) if op.is_comparison() => {
            let equality = matches!(op, Operator::Equal | Operator::Unequal);
            let fits = (number(a) && number(b))
                || (a == Kind::Text && b == Kind::Text)
                || (a == Kind::Truth && b == Kind::Truth && equality);
            return fits.then_some(Kind::Truth);
        }
        (Kind::Int, Kind::Int) if !matches!(op, Operator::Divide | Operator::Power) => Kind::Int,
        (a, b) if number(a) && number(b) => Kind::Float,
        _ => return None,
    })
}

fn call_kind(scalar: &Scalar, operands: &[Kind]) -> Option<Kind> {
    if matches!(scalar.kernel, Kernel::Has) {
        return Some(Kind::Truth);
    }
    let number = |kind: &Kind| matches!(kind, Kind::Float | Kind::Int | Kind::Missing);
    if !operands.iter().all(number) {
        return None;
    }
    // Functions that leave whole numbers whole have no kernel for them.
    if scalar.keeps_whole && operands.iter().all(|kind| *kind == Kind::Int) {
        return None;
    }
    Some(Kind::Float)
}
