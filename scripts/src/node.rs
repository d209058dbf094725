//! [`Node`]: a formula's expression after names and stream calls were resolved. Owns its normal text.

use std::fmt::Write;

use rhai::{Expr, ImmutableString, Position};

use crate::scalar::Scalar;
use crate::stream::Slot;

/// Operators of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
    Equal,
    Unequal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Operator {
    const ALL: [Self; 12] = [
        Self::Add,
        Self::Subtract,
        Self::Multiply,
        Self::Divide,
        Self::Remainder,
        Self::Power,
        Self::Equal,
        Self::Unequal,
        Self::Less,
        Self::LessEqual,
        Self::Greater,
        Self::GreaterEqual,
    ];

    pub(crate) const fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Power => "**",
            Self::Equal => "==",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
        }
    }

    pub(crate) fn from_symbol(symbol: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.symbol() == symbol)
    }

    pub(crate) const fn code(self) -> i64 {
        self as i64
    }

    pub(crate) fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.code() == code)
    }

    pub(crate) const fn is_comparison(self) -> bool {
        !matches!(
            self,
            Self::Add
                | Self::Subtract
                | Self::Multiply
                | Self::Divide
                | Self::Remainder
                | Self::Power
        )
    }

    /// The operator that says the same with its operands exchanged; `None` for those that cannot be.
    pub(crate) const fn mirrored(self) -> Option<Self> {
        match self {
            Self::Equal | Self::Unequal => Some(self),
            Self::Less => Some(Self::Greater),
            Self::LessEqual => Some(Self::GreaterEqual),
            Self::Greater => Some(Self::Less),
            Self::GreaterEqual => Some(Self::LessEqual),
            _ => None,
        }
    }

    /// How tightly it binds in the normal text; more binds tighter. Powers are always put in parentheses.
    const fn tightness(self) -> u8 {
        match self {
            Self::Equal | Self::Unequal => 3,
            Self::Less | Self::LessEqual | Self::Greater | Self::GreaterEqual => 4,
            Self::Add | Self::Subtract => 6,
            Self::Multiply | Self::Divide | Self::Remainder => 7,
            Self::Power => 8,
        }
    }
}

/// One expression.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// A number.
    Number(f64),
    /// A whole number, only in scripts (an index, a loop bound); elsewhere every literal is a `Number`.
    Int(i64),
    /// true or false.
    Bool(bool),
    /// Text.
    Text(ImmutableString),
    /// `()`.
    Missing,
    /// A value from outside, by its number in the formula's slots.
    Slot(usize),
    /// `-x`
    Negate(Box<Node>, Position),
    /// `!x`
    Not(Box<Node>, Position),
    /// `a + b` and the like.
    Binary(Operator, Box<(Node, Node)>, Position),
    /// `a && b && c`
    And(Vec<Node>, Position),
    /// `a || b || c`
    Or(Vec<Node>, Position),
    /// `or(a, b)`, `a ?? b`: the first that is not `()`.
    Coalesce(Vec<Node>, Position),
    /// A function of one row's values.
    Call(&'static Scalar, Vec<Node>, Position),
    /// `if a { b } else { c }`
    If(Box<(Node, Node, Node)>, Position),
    /// `[a, b]`
    List(Vec<Node>, Position),
    /// Whatever only Rhai can run, already rewritten.
    Opaque(Box<Expr>),
}

impl Node {
    /// Whether there is nothing in it that only Rhai can run.
    pub(crate) fn is_plain(&self) -> bool {
        match self {
            Self::Opaque(_) => false,
            other => {
                let mut plain = true;
                other.each(&mut |child| plain = plain && child.is_plain());
                plain
            }
        }
    }

    pub(crate) const fn is_literal(&self) -> bool {
        matches!(
            self,
            Self::Number(_) | Self::Int(_) | Self::Bool(_) | Self::Text(_) | Self::Missing
        )
    }

    /// Whether it says true or false by its form alone.
    pub(crate) fn is_condition(&self) -> bool {
        match self {
            Self::Bool(_) | Self::Not(..) | Self::And(..) | Self::Or(..) => true,
            Self::Binary(op, ..) => op.is_comparison(),
            Self::Call(scalar, ..) => scalar.gives_flag,
            _ => false,
        }
    }

    /// Calls `visit` with each direct child.
    pub(crate) fn each(&self, visit: &mut dyn FnMut(&Self)) {
        match self {
            Self::Negate(x, _) | Self::Not(x, _) => visit(x),
            Self::Binary(_, pair, _) => {
                visit(&pair.0);
                visit(&pair.1);
            }
            Self::And(list, _)
            | Self::Or(list, _)
            | Self::Coalesce(list, _)
            | Self::Call(_, list, _)
            | Self::List(list, _) => list.iter().for_each(visit),
            Self::If(three, _) => {
                visit(&three.0);
                visit(&three.1);
                visit(&three.2);
            }
            _ => {}
        }
    }

    /// Calls `visit` with each direct child, to change it.
    pub(crate) fn each_mut(&mut self, visit: &mut dyn FnMut(&mut Self)) {
        match self {
            Self::Negate(x, _) | Self::Not(x, _) => visit(x),
            Self::Binary(_, pair, _) => {
                visit(&mut pair.0);
                visit(&mut pair.1);
            }
            Self::And(list, _)
            | Self::Or(list, _)
            | Self::Coalesce(list, _)
            | Self::Call(_, list, _)
            | Self::List(list, _) => list.iter_mut().for_each(visit),
            Self::If(three, _) => {
                visit(&mut three.0);
                visit(&mut three.1);
                visit(&mut three.2);
            }
            _ => {}
        }
    }

    /// Turns whole literals into numbers: what an expression without statements means by them.
    pub(crate) fn numbers_only(&mut self) {
        if let Self::Int(whole) = self {
            #[allow(
                clippy::cast_precision_loss,
                reason = "literals of formulas are floats, as documented"
            )]
            let number = *whole as f64;
            *self = Self::Number(number);
        }
        self.each_mut(&mut Self::numbers_only);
    }

    /// Numbers the slots anew: `renumber` is told the old number and gives the new one.
    pub(crate) fn renumber(&mut self, renumber: &mut dyn FnMut(usize) -> usize) {
        if let Self::Slot(index) = self {
            *index = renumber(*index);
        }
        self.each_mut(&mut |child| child.renumber(renumber));
    }

    /// The normal text: no blanks, no needless parentheses. Different meanings have different texts.
    pub(crate) fn text(&self, slots: &[Slot]) -> String {
        let mut out = String::new();
        self.write(slots, 0, &mut out);
        out
    }

    fn tightness(&self) -> u8 {
        match self {
            Self::If(..) => 0,
            Self::Or(..) => 1,
            Self::And(..) => 2,
            Self::Binary(op, ..) => op.tightness(),
            Self::Negate(..) | Self::Not(..) => 9,
            Self::Number(number) if number.is_sign_negative() => 9,
            _ => 10,
        }
    }

    fn write(&self, slots: &[Slot], outside: u8, out: &mut String) {
        let own = self.tightness();
        if own < outside {
            out.push('(');
            self.write(slots, 0, out);
            out.push(')');
            return;
        }
        match self {
            Self::Number(number) => write_number(*number, out),
            Self::Int(whole) => put(out, format_args!("{whole}")),
            Self::Bool(flag) => put(out, format_args!("{flag}")),
            Self::Text(text) => put(out, format_args!("{:?}", text.as_str())),
            Self::Missing => out.push_str("()"),
            Self::Slot(index) => {
                if let Some(slot) = slots.get(*index) {
                    put(out, format_args!("{slot}"));
                }
            }
            Self::Negate(x, _) => {
                out.push('-');
                x.write(slots, 10, out);
            }
            Self::Not(x, _) => {
                out.push('!');
                x.write(slots, 10, out);
            }
            Self::Binary(op, pair, _) => {
                // A power binds to the right in Rhai; with parentheses on both sides nobody has to know.
                let left = own + u8::from(*op == Operator::Power);
                pair.0.write(slots, left, out);
                out.push_str(op.symbol());
                let at = out.len();
                pair.1.write(slots, own + 1, out);
                // `x<-3` and `x--3` would read as other symbols.
                if out.get(at..).is_some_and(|right| right.starts_with('-')) {
                    out.insert(at, '(');
                    out.push(')');
                }
            }
            Self::And(list, _) => write_list(list, slots, "&&", own + 1, out),
            Self::Or(list, _) => write_list(list, slots, "||", own + 1, out),
            Self::Coalesce(list, _) => write_between("or(", list, slots, ")", out),
            Self::Call(scalar, list, _) => {
                out.push_str(scalar.name);
                write_between("(", list, slots, ")", out);
            }
            Self::If(three, _) => {
                out.push_str("if ");
                three.0.write(slots, 0, out);
                out.push('{');
                three.1.write(slots, 0, out);
                out.push_str("}else{");
                three.2.write(slots, 0, out);
                out.push('}');
            }
            Self::List(list, _) => write_between("[", list, slots, "]", out),
            Self::Opaque(_) => {}
        }
    }
}

/// Appends items with commas between an opening and a closing text.
fn write_between(open: &str, list: &[Node], slots: &[Slot], close: &str, out: &mut String) {
    out.push_str(open);
    write_list(list, slots, ",", 0, out);
    out.push_str(close);
}

/// Appends a number so that it reads back to the same bits: without a point only what a whole number holds exactly.
fn write_number(number: f64, out: &mut String) {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.is_infinite() {
        out.push_str(if number > 0.0 { "1e999" } else { "-1e999" });
    } else if number == 0.0 && number.is_sign_negative() {
        out.push_str("-0.0");
    } else if number.abs() < EXACT {
        put(out, format_args!("{number}"));
    } else {
        put(out, format_args!("{number:e}"));
    }
}

/// Appends to a text, which cannot fail.
fn put(out: &mut String, what: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(what);
    debug_assert!(written.is_ok());
}

fn write_list(list: &[Node], slots: &[Slot], between: &str, outside: u8, out: &mut String) {
    for (index, item) in list.iter().enumerate() {
        if index > 0 {
            out.push_str(between);
        }
        item.write(slots, outside, out);
    }
}
