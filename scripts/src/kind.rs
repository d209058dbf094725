//! [`Kind`]: what an expression gives whatever the row holds, and the mismatches that no row can mend.

use rhai::Position;

use crate::lower::Problem;
use crate::node::{Node, Operator};
use crate::stream::{Slot, StreamFunction};

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

/// What is looked at, and what is found on the way.
struct Look<'a> {
    slots: &'a [Slot],
    found: Vec<Problem>,
}

/// What a slot gives, whatever the row holds.
const fn of_slot(slot: &Slot) -> Kind {
    use StreamFunction as F;
    match slot {
        Slot::Trait(_) | Slot::Resource => Kind::Text,
        Slot::Time | Slot::WindowStart | Slot::WindowEnd => Kind::Number,
        Slot::Stream(call) => match call.function {
            F::Count | F::CountIf | F::Sum | F::Avg | F::Std | F::Var | F::Median => Kind::Number,
            F::Percentile | F::CountDistinct | F::ApproxDistinct | F::Entropy => Kind::Number,
            F::Increase | F::Integral | F::Twa | F::Duration | F::Slope | F::Skew => Kind::Number,
            F::Cov | F::Corr | F::CorrLag | F::AngleMean | F::Zscore => Kind::Number,
            F::Collect | F::Top => Kind::List,
            _ => Kind::Any,
        },
        Slot::Metric(_) | Slot::Alias(_) => Kind::Any,
    }
}

/// What is wrong with an expression that has to give a list.
pub(crate) fn never_a_list(node: &Node, slots: &[Slot]) -> Option<Problem> {
    let found = Vec::new();
    let kind = Look { slots, found }.kind(node);
    (!matches!(kind, Kind::Any | Kind::List)).then(|| Problem {
        at: place(node),
        problem: format!("a list is wanted here, this is {}", kind.words()),
        hint: "write `[1, 2, 3]`, or a metric that holds a list".into(),
    })
}

/// Every mismatch of an expression over slots; `condition`: it must say true or false.
pub(crate) fn mismatches(node: &Node, slots: &[Slot], condition: bool) -> Vec<Problem> {
    let mut look = Look {
        slots,
        found: Vec::new(),
    };
    let kind = look.kind(node);
    let mut found = look.found;
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
    let (slots, found): (&[Slot], _) = (&[], Vec::new());
    Look { slots, found }.kind(node) == Kind::Flag
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

/// How to mend a comparison or calculation of two kinds that do not fit.
const fn way_out(a: Kind, b: Kind) -> &'static str {
    match (a, b) {
        (Kind::Text, Kind::Number) => "a text is compared with a text: `x == \"so\"`",
        (Kind::Number, Kind::Text) => "numbers stand without quotes",
        (Kind::List, _) | (_, Kind::List) => "`len(x)` counts what is in a list",
        (Kind::Flag, _) | (_, Kind::Flag) => "what is true or false stands alone: `x`, `!x`",
        _ => "",
    }
}

impl Look<'_> {
    fn kind(&mut self, node: &Node) -> Kind {
        match node {
            Node::Number(_) | Node::Int(_) => Kind::Number,
            Node::Bool(_) => Kind::Flag,
            Node::Text(_) => Kind::Text,
            Node::Missing | Node::Opaque(_) => Kind::Any,
            Node::Slot(slot) => self.slots.get(*slot).map_or(Kind::Any, of_slot),
            Node::Negate(x, at) => {
                let x = self.kind(x);
                if !matches!(x, Kind::Any | Kind::Number) {
                    self.tell(*at, format!("`-` cannot work on {}", x.words()), "");
                }
                Kind::Number
            }
            Node::Not(x, at) => {
                self.truth(x, "!", *at);
                Kind::Flag
            }
            Node::And(list, at) | Node::Or(list, at) => {
                let and = matches!(node, Node::And(..));
                let symbol = if and { "&&" } else { "||" };
                list.iter().for_each(|x| self.truth(x, symbol, *at));
                Kind::Flag
            }
            Node::Binary(op, pair, at) => self.binary(*op, pair, *at),
            Node::If(three, at) => {
                self.truth(&three.0, "if", *at);
                let (a, b) = (self.kind(&three.1), self.kind(&three.2));
                if a == b { a } else { Kind::Any }
            }
            Node::Call(scalar, list, at) => {
                let kinds = self.all(list);
                if let ("contains", Some(within @ (Kind::Number | Kind::Flag))) =
                    (scalar.name, kinds.first())
                {
                    let what = format!("nothing can be in {}", within.words());
                    let hint = "`x in [1, 2]` looks into a list, `\"a\" in x` into a text; `x == 5` compares";
                    self.tell(*at, what, hint);
                }
                if scalar.gives_flag {
                    Kind::Flag
                } else {
                    Kind::Any
                }
            }
            Node::Coalesce(list, _) => {
                self.all(list);
                Kind::Any
            }
            Node::List(list, _) => {
                self.all(list);
                Kind::List
            }
        }
    }

    /// Looks into each.
    fn all(&mut self, list: &[Node]) -> Vec<Kind> {
        list.iter().map(|node| self.kind(node)).collect()
    }

    fn truth(&mut self, node: &Node, symbol: &str, at: Position) {
        let kind = self.kind(node);
        if !matches!(kind, Kind::Any | Kind::Flag) {
            let what = format!("`{symbol}` needs true or false, not {}", kind.words());
            self.tell(at, what, "compare it, as in `x > 3.0`");
        }
    }

    fn binary(&mut self, op: Operator, pair: &(Node, Node), at: Position) -> Kind {
        let (a, b) = (self.kind(&pair.0), self.kind(&pair.1));
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
            let what = format!(
                "`{}` cannot work on {} and {}",
                op.symbol(),
                a.words(),
                b.words()
            );
            let hint = self.as_number(&pair.0).or_else(|| self.as_number(&pair.1));
            let hint = hint.unwrap_or_else(|| way_out(a, b).to_owned());
            self.tell(at, what, &hint);
        } else if [&pair.0, &pair.1]
            .iter()
            .any(|x| matches!(x, Node::Missing))
        {
            let what = format!("`{}` with `()` is always unknown", op.symbol());
            let hint = "`has(x)` asks whether there is a value, `or(x, 0.0)` puts one in its place";
            self.tell(at, what, hint);
        }
        let endless = |node: &Node| matches!(node, Node::Number(x) if x.is_infinite());
        if op.is_comparison() && (endless(&pair.0) || endless(&pair.1)) {
            let what = format!("`{}` with a number that is as large as none", op.symbol());
            self.tell(at, what, "the largest number is about `1.8e308`");
        }
        match op {
            op if op.is_comparison() => Kind::Flag,
            Operator::Add if a == Kind::Text || b == Kind::Text => Kind::Text,
            Operator::Add if a == Kind::Number && b == Kind::Number => Kind::Number,
            Operator::Add => Kind::Any,
            _ => Kind::Number,
        }
    }

    /// How a trait, which is text, becomes a number.
    fn as_number(&self, node: &Node) -> Option<String> {
        let Node::Slot(slot) = node else { return None };
        let slot = self.slots.get(*slot)?;
        let free = matches!(slot, Slot::Trait(path) if path.contains('.'));
        free.then(|| format!("`{slot}` is text: `to_number({slot})`"))
    }

    fn tell(&mut self, at: Position, problem: String, hint: &str) {
        self.found.push(Problem {
            at,
            problem,
            hint: hint.into(),
        });
    }
}
