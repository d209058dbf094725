//! [`Kind`]: what an expression gives whatever the row holds, and the mismatches that no row can mend.

use rhai::Position;

use crate::lower::Problem;
use crate::node::{Node, Operator};

/// What an expression gives, when it gives anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Whatever the row holds.
    Any,
    Number,
    Flag,
    Text,
    List,
}

impl Kind {
    const fn words(self) -> &'static str {
        match self {
            Self::Any => "a value",
            Self::Number => "a number",
            Self::Flag => "true or false",
            Self::Text => "text",
            Self::List => "a list",
        }
    }
}

/// Every mismatch of an expression; `condition`: it must say true or false.
pub(crate) fn mismatches(node: &Node, condition: bool) -> Vec<Problem> {
    let mut found = Vec::new();
    let kind = kind(node, &mut found);
    if condition && !matches!(kind, Kind::Any | Kind::Flag) {
        found.push(Problem {
            at: place(node),
            problem: format!("a condition is true or false, this is {}", kind.words()),
            hint: "compare it, as in `x > 3.0`".into(),
        });
    }
    // Numbers or texts: which of them only a row can tell.
    if let (true, Kind::Any, Node::Binary(Operator::Add, ..)) = (condition, kind, node) {
        found.push(Problem {
            at: place(node),
            problem: "a condition is true or false, this is a sum".into(),
            hint: "compare it, as in `x + y > 3.0`".into(),
        });
    }
    found.sort_by_key(|problem| problem.at);
    found
}

/// Whether an expression gives true or false, whatever the row holds.
pub(crate) fn is_flag(node: &Node) -> bool {
    kind(node, &mut Vec::new()) == Kind::Flag
}

/// Where an expression stands, as far as that is known.
const fn place(node: &Node) -> Position {
    match node {
        Node::Negate(_, at)
        | Node::Not(_, at)
        | Node::Binary(_, _, at)
        | Node::And(_, at)
        | Node::Or(_, at)
        | Node::Coalesce(_, at)
        | Node::Call(_, _, at)
        | Node::If(_, at)
        | Node::List(_, at) => *at,
        _ => Position::NONE,
    }
}

fn kind(node: &Node, found: &mut Vec<Problem>) -> Kind {
    match node {
        Node::Number(_) | Node::Int(_) => Kind::Number,
        Node::Bool(_) => Kind::Flag,
        Node::Text(_) => Kind::Text,
        Node::Missing | Node::Slot(_) | Node::Opaque(_) => Kind::Any,
        Node::Negate(x, at) => {
            let x = kind(x, found);
            if !matches!(x, Kind::Any | Kind::Number) {
                tell(*at, format!("`-` cannot work on {}", x.words()), found);
            }
            Kind::Number
        }
        Node::Not(x, at) => {
            truth(x, "!", *at, found);
            Kind::Flag
        }
        Node::And(list, at) | Node::Or(list, at) => {
            let symbol = if matches!(node, Node::And(..)) {
                "&&"
            } else {
                "||"
            };
            list.iter().for_each(|x| truth(x, symbol, *at, found));
            Kind::Flag
        }
        Node::Binary(op, pair, at) => {
            let (a, b) = (kind(&pair.0, found), kind(&pair.1, found));
            binary(*op, (a, b), *at, found)
        }
        Node::If(three, at) => {
            truth(&three.0, "if", *at, found);
            let (a, b) = (kind(&three.1, found), kind(&three.2, found));
            if a == b { a } else { Kind::Any }
        }
        Node::Call(scalar, list, _) => {
            all(list, found);
            if scalar.gives_flag {
                Kind::Flag
            } else {
                Kind::Any
            }
        }
        Node::Coalesce(list, _) => {
            all(list, found);
            Kind::Any
        }
        Node::List(list, _) => {
            all(list, found);
            Kind::List
        }
    }
}

/// Looks into each; what they give is nobody's business here.
fn all(list: &[Node], found: &mut Vec<Problem>) {
    for node in list {
        kind(node, found);
    }
}

fn truth(node: &Node, symbol: &str, at: Position, found: &mut Vec<Problem>) {
    let kind = kind(node, found);
    if !matches!(kind, Kind::Any | Kind::Flag) {
        let what = format!("`{symbol}` needs true or false, not {}", kind.words());
        tell(at, what, found);
    }
}

fn binary(op: Operator, (a, b): (Kind, Kind), at: Position, found: &mut Vec<Problem>) -> Kind {
    let equality = matches!(op, Operator::Equal | Operator::Unequal);
    let fits = match (a, b) {
        (Kind::Any, _) | (_, Kind::Any) | (Kind::Number, Kind::Number) => true,
        (Kind::Text, Kind::Text) => op.is_comparison() || op == Operator::Add,
        (Kind::Text, _) | (_, Kind::Text) => op == Operator::Add,
        (Kind::Flag, Kind::Flag) => equality,
        (Kind::List, Kind::List) => equality || op == Operator::Add,
        _ => false,
    };
    if !fits {
        let symbol = op.symbol();
        let what = format!("`{symbol}` cannot work on {} and {}", a.words(), b.words());
        tell(at, what, found);
    }
    match op {
        op if op.is_comparison() => Kind::Flag,
        Operator::Add if a == Kind::Text || b == Kind::Text => Kind::Text,
        Operator::Add if a == Kind::Number && b == Kind::Number => Kind::Number,
        Operator::Add => Kind::Any,
        _ => Kind::Number,
    }
}

fn tell(at: Position, problem: String, found: &mut Vec<Problem>) {
    found.push(Problem {
        at,
        problem,
        hint: String::new(),
    });
}
