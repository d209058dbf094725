//! From Rhai's syntax tree to [`Node`]s: names become slots, operators and functions become nodes, and whatever only Rhai
//! can run is rewritten in place. Collects every problem instead of stopping at the first.

use std::sync::Arc;

use rhai::{Expr, FnArgsVec, FnCallExpr, ImmutableString, Position, Stmt};
use tidegate_proto::issue::nearest;

use crate::alias::AliasScope;
use crate::emit::to_expr;
use crate::names::{FormulaContext, Meaning, meaning};
use crate::node::{Node, Operator};
use crate::scalar::Scalar;
use crate::stream::{Slot, StreamFunction};

mod alias;
mod chain;
mod members;
mod script;
mod states;
mod streams;

pub(crate) use script::{author_names, lower_functions};

/// One problem at a place of the formula's text.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) at: Position,
    pub(crate) problem: String,
    pub(crate) hint: String,
}

/// Name and number of parameters of a function of the author's own.
#[derive(Clone, Debug)]
pub(crate) struct AuthorName {
    pub(crate) name: ImmutableString,
    pub(crate) parameters: usize,
}

/// The state of lowering one formula.
pub(crate) struct Lowering<'a> {
    pub(crate) context: FormulaContext,
    /// Metrics that exist, when the caller knows them all.
    pub(crate) known: Option<&'a [Arc<str>]>,
    pub(crate) authors: &'a [AuthorName],
    pub(crate) slots: Vec<Slot>,
    pub(crate) problems: Vec<Problem>,
    /// Inside a function of the author's own, which sees only its arguments.
    pub(crate) inside_function: bool,
    /// Inside an argument of a function that looks at more than one row.
    pub(crate) inside_stream: bool,
    /// Names of rows that a pattern has bound.
    pub(crate) aliases: Option<&'a AliasScope>,
}

impl<'a> Lowering<'a> {
    pub(crate) fn new(
        context: FormulaContext,
        known: Option<&'a [Arc<str>]>,
        authors: &'a [AuthorName],
    ) -> Self {
        Self {
            context,
            known,
            authors,
            slots: Vec::new(),
            problems: Vec::new(),
            inside_function: false,
            inside_stream: false,
            aliases: None,
        }
    }

    /// Notes a problem; the formula goes on with `()` in its place.
    fn problem(
        &mut self,
        at: Position,
        problem: impl Into<String>,
        hint: impl Into<String>,
    ) -> Node {
        self.problems.push(Problem {
            at,
            problem: problem.into(),
            hint: hint.into(),
        });
        Node::Missing
    }

    /// The whole of a formula: one expression if it is one, otherwise a script.
    pub(crate) fn lower_body(&mut self, statements: &[Stmt]) -> Node {
        let found = match statements {
            [] => self.problem(
                Position::NONE,
                "the formula is empty",
                "write an expression",
            ),
            [only] => match self.lower_value(only) {
                Some(node) => node,
                None => self.lower_script(statements),
            },
            _ => self.lower_script(statements),
        };
        let mut node = found;
        if node.is_plain() {
            node.numbers_only();
        }
        node
    }

    /// A statement that is nothing but a value.
    fn lower_value(&mut self, statement: &Stmt) -> Option<Node> {
        match statement {
            Stmt::Expr(expr) => Some(self.lower(expr)),
            Stmt::FnCall(call, at) => Some(self.lower_call(call, *at)),
            Stmt::If(flow, at) => {
                let one = |block: &[Stmt]| block.len() <= 1;
                if !one(flow.body.statements()) || !one(flow.branch.statements()) {
                    return None;
                }
                // Looked at before lowering, which notes slots: both branches must be values.
                let plain = |block: &[Stmt]| block.iter().all(is_value);
                if !plain(flow.body.statements()) || !plain(flow.branch.statements()) {
                    return None;
                }
                let condition = self.lower(&flow.expr);
                let body = self.lower_branch(flow.body.statements());
                let branch = self.lower_branch(flow.branch.statements());
                Some(Node::If(Box::new((condition, body, branch)), *at))
            }
            Stmt::Block(block) => match block.statements() {
                [only] if is_value(only) => self.lower_value(only),
                _ => None,
            },
            _ => None,
        }
    }

    fn lower_branch(&mut self, statements: &[Stmt]) -> Node {
        statements
            .first()
            .and_then(|only| self.lower_value(only))
            .unwrap_or(Node::Missing)
    }

    /// An expression.
    pub(crate) fn lower(&mut self, expr: &Expr) -> Node {
        match expr {
            Expr::FloatConstant(number, _) => Node::Number(**number),
            Expr::IntegerConstant(whole, _) => Node::Int(*whole),
            Expr::BoolConstant(flag, _) => Node::Bool(*flag),
            Expr::CharConstant(letter, _) => Node::Text(letter.to_string().into()),
            Expr::StringConstant(text, _) => Node::Text(text.clone()),
            Expr::Unit(_) => Node::Missing,
            Expr::InterpolatedString(parts, at) => match Scalar::find("concat") {
                Some(concat) => Node::Call(concat, self.lower_all(parts), *at),
                None => Node::Missing,
            },
            Expr::Array(items, at) => Node::List(self.lower_all(items), *at),
            Expr::Map(entries, at) => {
                let mut entries = entries.clone();
                for (_, value) in &mut entries.0 {
                    *value = self.rewrite(value);
                }
                Node::Opaque(Box::new(Expr::Map(entries, *at)))
            }
            Expr::Variable(variable, short, at) => {
                if short.is_some() || variable.0.is_some() {
                    // Reading a list copies it: the copy is paid for.
                    let inputs = std::iter::once(expr.clone()).collect();
                    let paid = crate::runtime::custom(crate::runtime::key::PAY, 0, inputs, *at);
                    return Node::Opaque(Box::new(paid));
                }
                // A bare name is a metric, also where an element of a pattern has the same name.
                self.name(&[variable.1.as_str()], *at)
            }
            Expr::Dot(..) | Expr::Index(..) => self.lower_chain(expr),
            Expr::FnCall(call, at) => self.lower_call(call, *at),
            Expr::And(list, at) => Node::And(self.lower_all(list), *at),
            Expr::Or(list, at) => Node::Or(self.lower_all(list), *at),
            Expr::Coalesce(list, at) => Node::Coalesce(self.lower_all(list), *at),
            Expr::Stmt(block) => match block.statements() {
                [] => Node::Missing,
                [only] if is_value(only) => self.lower_value(only).unwrap_or(Node::Missing),
                statements => self.lower_script(statements),
            },
            Expr::ThisPtr(at) => self.problem(*at, "`this` means nothing in a formula", ""),
            other => self.problem(other.position(), "this cannot stand in a formula", ""),
        }
    }

    pub(crate) fn lower_all(&mut self, list: &[Expr]) -> Vec<Node> {
        list.iter().map(|expr| self.lower(expr)).collect()
    }

    /// An expression lowered and turned back to what Rhai runs.
    pub(crate) fn rewrite(&mut self, expr: &Expr) -> Expr {
        let node = self.lower(expr);
        to_expr(&node)
    }

    /// The number of a slot; the same thing asked for twice is one slot.
    pub(crate) fn slot(&mut self, slot: Slot) -> Node {
        let at = self.slots.iter().position(|known| *known == slot);
        Node::Slot(at.unwrap_or_else(|| {
            self.slots.push(slot);
            self.slots.len() - 1
        }))
    }

    /// What a path of names outside the script stands for.
    pub(crate) fn name(&mut self, path: &[&str], at: Position) -> Node {
        if self.inside_function {
            return self.problem(
                at,
                format!(
                    "a function sees only its arguments, not `{}`",
                    path.join(".")
                ),
                "pass it to the function",
            );
        }
        match meaning(path, self.context) {
            Meaning::Slot(slot) => self.known_slot(slot, at),
            Meaning::Wrong(problem, hint) => self.problem(at, problem, hint),
        }
    }

    fn known_slot(&mut self, slot: Slot, at: Position) -> Node {
        if let (Slot::Metric(name), Some(known)) = (&slot, self.known)
            && !known.contains(name)
        {
            let near = nearest(name, known.iter().map(AsRef::as_ref));
            let hint = near.map_or_else(String::new, |near| format!("did you mean `{near}`?"));
            return self.problem(at, format!("unknown name `{name}`"), hint);
        }
        self.slot(slot)
    }

    /// A call: an operator, a function of the catalogue or one of the author's own.
    pub(crate) fn lower_call(&mut self, call: &FnCallExpr, at: Position) -> Node {
        let name = call.name.as_str();
        if call.capture_parent_scope {
            return self.problem(
                at,
                "functions cannot take the caller's variables",
                "pass them as arguments",
            );
        }
        if call.op_token.is_some() {
            return self.lower_operator(call, at);
        }
        let author = self
            .authors
            .iter()
            .position(|author| author.name == call.name && author.parameters == call.args.len());
        if let Some(index) = author {
            let inputs: FnArgsVec<Expr> = call.args.iter().map(|expr| self.rewrite(expr)).collect();
            let index = i64::try_from(index).unwrap_or(-1);
            let expr = crate::runtime::custom(crate::runtime::key::AUTHOR, index, inputs, at);
            return Node::Opaque(Box::new(expr));
        }
        self.lower_function(name, &call.args, at)
    }

    /// A function of the catalogue by its name.
    pub(crate) fn lower_function(&mut self, name: &str, args: &[Expr], at: Position) -> Node {
        match name {
            "or" if args.len() >= 2 => return Node::Coalesce(self.lower_all(args), at),
            "or" => return self.wrong_count("or(x, y)", args.len(), at),
            "metric" => return self.lower_metric(args, at),
            _ => {}
        }
        if let Some(node) = self.alias_function(name, args) {
            return node;
        }
        let scalar = Scalar::find(name);
        if let Some(function) = StreamFunction::from_name(name)
            && (scalar.is_none() || self.is_stream_form(args))
        {
            return self.lower_stream(function, args, at);
        }
        let Some(scalar) = scalar else {
            return self.unknown_function(name, args, at);
        };
        let (least, most) = scalar.arguments;
        if !(least..=most).contains(&args.len()) {
            return self.wrong_count(scalar.signature, args.len(), at);
        }
        let arguments = self.lower_all(args);
        Node::Call(scalar, arguments, at)
    }

    pub(crate) fn wrong_count(&mut self, signature: &str, count: usize, at: Position) -> Node {
        let name = signature.split('(').next().unwrap_or_default();
        let plural = if count == 1 { "" } else { "s" };
        self.problem(
            at,
            format!("`{name}` cannot take {count} argument{plural}"),
            format!("write `{signature}`"),
        )
    }

    /// `metric("any name")`, for names that are no identifiers.
    fn lower_metric(&mut self, args: &[Expr], at: Position) -> Node {
        match args {
            [Expr::StringConstant(name, _)] if !self.inside_function => {
                self.known_slot(Slot::Metric(name.as_str().into()), at)
            }
            _ => self.problem(
                at,
                "`metric` takes one literal text",
                "write `metric(\"name\")`",
            ),
        }
    }

    fn unknown_function(&mut self, name: &str, args: &[Expr], at: Position) -> Node {
        // The arguments are looked at for their own problems.
        self.lower_all(args);
        if crate::catalogue::PLANNED.contains(&name) {
            return self.problem(
                at,
                format!("`{name}` is part of the language but not built yet"),
                "",
            );
        }
        if let Some(author) = self.authors.iter().find(|author| author.name == name) {
            let signature = format!("{name} with {} arguments", author.parameters);
            return self.wrong_count(&signature, args.len(), at);
        }
        let mut names: Vec<&str> = crate::catalogue::function_names().collect();
        names.extend(self.authors.iter().map(|author| author.name.as_str()));
        let hint =
            nearest(name, names).map_or_else(String::new, |near| format!("did you mean `{near}`?"));
        self.problem(at, format!("unknown function `{name}`"), hint)
    }

    fn lower_operator(&mut self, call: &FnCallExpr, at: Position) -> Node {
        let symbol = call.name.as_str();
        match (symbol, call.args.as_slice()) {
            ("!", [x]) => Node::Not(Box::new(self.lower(x)), at),
            ("-", [x]) => match self.lower(x) {
                Node::Number(number) => Node::Number(-number),
                other => Node::Negate(Box::new(other), at),
            },
            ("+", [x]) => self.lower(x),
            (_, [a, b]) => match Operator::from_symbol(symbol) {
                Some(op) => {
                    let pair = (self.lower(a), self.lower(b));
                    binary(op, pair, at)
                }
                None => self.native_operator(call, at),
            },
            _ => self.native_operator(call, at),
        }
    }

    /// Operators that stay Rhai's: ranges, and bits of whole numbers.
    fn native_operator(&mut self, call: &FnCallExpr, at: Position) -> Node {
        let mut call = call.clone();
        let sign = call.name.to_string();
        let mut values = false;
        for argument in &mut call.args {
            let node = self.lower(argument);
            values = values || matches!(node, Node::Slot(_));
            *argument = to_expr(&node);
        }
        if values && ["<<", ">>"].contains(&sign.as_str()) {
            let one = sign.get(..1).unwrap_or_default();
            let problem = format!("`{sign}` moves the bits of whole numbers, and values are none");
            return self.problem(at, problem, format!("write `{one}`"));
        }
        Node::Opaque(Box::new(Expr::FnCall(Box::new(call), at)))
    }
}

/// `a op b`; a literal left of a comparison moves right, so that one meaning has one form.
fn binary(op: Operator, pair: (Node, Node), at: Position) -> Node {
    match op.mirrored() {
        Some(mirrored) if pair.0.is_literal() && !pair.1.is_literal() => {
            Node::Binary(mirrored, Box::new((pair.1, pair.0)), at)
        }
        _ => Node::Binary(op, Box::new(pair), at),
    }
}

/// Whether a statement is nothing but a value, all the way down its branches.
fn is_value(statement: &Stmt) -> bool {
    match statement {
        Stmt::Expr(_) | Stmt::FnCall(..) => true,
        Stmt::If(flow, _) => [&flow.body, &flow.branch]
            .iter()
            .all(|block| block.len() <= 1 && block.iter().all(is_value)),
        Stmt::Block(block) => block.len() == 1 && block.iter().all(is_value),
        _ => false,
    }
}
