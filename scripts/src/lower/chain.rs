//! Chains of dots and brackets: paths of metrics, traits, and methods.

use std::iter::Peekable;
use std::vec::IntoIter;

use rhai::{ASTFlags, BinaryExpr, Expr, FnCallExpr, Position};

use super::Lowering;
use crate::emit::to_expr;
use crate::node::Node;
use crate::runtime::{custom, key};
use crate::scalar::Scalar;
use crate::stream::StreamFunction;

/// Methods that change what they are called on: lists and maps of the author's own.
pub(crate) const CHANGERS: [&str; 10] = [
    "push", "pop", "shift", "insert", "remove", "clear", "reverse", "append", "keys", "values",
];

/// One link of a chain.
pub(super) enum Step {
    Property(Expr),
    Method(Box<FnCallExpr>, Position),
    Index(Expr),
}

/// A link with the flags and the place of the dot or bracket in front of it.
pub(super) struct Link {
    pub(super) step: Step,
    flags: ASTFlags,
    at: Position,
}

/// Takes a chain apart: Rhai nests it to the right, each right side holding the rest of the chain.
pub(super) fn links(expr: &Expr) -> Option<(&Expr, Vec<Link>)> {
    let mut found = Vec::new();
    let (head, mut pair, mut is_dot, mut flags, mut at) = match expr {
        Expr::Dot(pair, flags, at) => (&pair.lhs, pair, true, *flags, *at),
        Expr::Index(pair, flags, at) => (&pair.lhs, pair, false, *flags, *at),
        _ => return None,
    };
    loop {
        let next = match &pair.rhs {
            _ if flags.contains(ASTFlags::BREAK) => None,
            Expr::Dot(inner, flags, at) => Some((inner, true, *flags, *at)),
            Expr::Index(inner, flags, at) => Some((inner, false, *flags, *at)),
            _ => None,
        };
        let own = next.as_ref().map_or(&pair.rhs, |(inner, ..)| &inner.lhs);
        let step = match own {
            _ if !is_dot => Step::Index(own.clone()),
            Expr::MethodCall(call, at) => Step::Method(call.clone(), *at),
            property => Step::Property(property.clone()),
        };
        found.push(Link {
            step,
            flags: flags - ASTFlags::BREAK,
            at,
        });
        match next {
            Some(inner) => (pair, is_dot, flags, at) = inner,
            None => return Some((head, found)),
        }
    }
}

/// The names that a chain of names outside the script begins with.
fn path_of(head: &str, links: &mut Peekable<IntoIter<Link>>) -> Vec<String> {
    let mut path = vec![head.to_owned()];
    while let Some(link) = links.peek() {
        let part = match &link.step {
            Step::Property(Expr::Property(property, _)) => property.2.as_str(),
            Step::Index(Expr::StringConstant(name, _))
                if path.len() == 1 && ["meta", "labels"].contains(&head) =>
            {
                name.as_str()
            }
            _ => break,
        };
        path.push(part.to_owned());
        links.next();
    }
    path
}

fn is_local(expr: &Expr) -> bool {
    matches!(expr, Expr::Variable(variable, short, _) if short.is_some() || variable.0.is_some())
}

impl Lowering<'_> {
    /// A chain as a value.
    pub(super) fn lower_chain(&mut self, expr: &Expr) -> Node {
        let Some((head, links)) = links(expr) else {
            return Node::Missing;
        };
        let mut links = links.into_iter().peekable();
        let named = self.named(head);
        let mut node = match head {
            _ if let Some(named) = named => self.alias_front(named, &mut links),
            Expr::Variable(variable, _, at) if !is_local(head) => {
                let path = path_of(variable.1.as_str(), &mut links);
                if let Some(link) = links.peek()
                    && self.refuse_method(&path, link)
                {
                    return Node::Missing;
                }
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                self.name(&path, *at)
            }
            Expr::FnCall(call, at)
                if let Some(property) = links.peek().and_then(property)
                    && let Some(node) = self.lower_part(call, property, *at) =>
            {
                links.next();
                node
            }
            // A method may change the variable itself, so it must stay one.
            local if is_local(local) => Node::Opaque(Box::new(local.clone())),
            other => self.lower(other),
        };
        while let Some(link) = links.next_if(|link| is_function(&link.step)) {
            if let Step::Method(call, at) = link.step {
                node = self.lower_method(node, &call, at);
            }
        }
        let rest: Vec<Link> = links.collect();
        if rest.is_empty() {
            return node;
        }
        let head = to_expr(&node);
        let value = self.rebuild(head, rest);
        let at = value.start_position();
        // What is read out of a list may be a list itself, copied: the copy is paid for.
        Node::Opaque(Box::new(custom(
            key::PAY,
            0,
            std::iter::once(value).collect(),
            at,
        )))
    }

    /// A stream function in method form takes the metric as its first argument.
    fn refuse_method(&mut self, path: &[String], link: &Link) -> bool {
        let Step::Method(call, at) = &link.step else {
            return false;
        };
        let name = call.name.as_str();
        if Scalar::find(name).is_some() || StreamFunction::from_name(name).is_none() {
            return false;
        }
        let written = format!("{name}({}, …)", path.join("."));
        let problem = format!("`{name}` is no method");
        self.problem(*at, problem, format!("write `{written}`"));
        true
    }

    /// `x.f(y)` of a function of the catalogue is `f(x, y)`.
    fn lower_method(&mut self, first: Node, call: &FnCallExpr, at: Position) -> Node {
        let Some(scalar) = Scalar::find(&call.name) else {
            return Node::Missing;
        };
        let mut arguments = vec![first];
        arguments.extend(self.lower_all(&call.args));
        let (least, most) = scalar.arguments;
        if !(least..=most).contains(&arguments.len()) {
            return self.wrong_count(scalar.signature, arguments.len(), at);
        }
        Node::Call(scalar, arguments, at)
    }

    /// A chain that is assigned to: its head must be a variable of the script.
    pub(super) fn rewrite_target(&mut self, target: &Expr) -> Expr {
        if is_local(target) {
            return target.clone();
        }
        match links(target) {
            Some((head, links)) if is_local(head) => self.rebuild(head.clone(), links),
            _ => {
                self.problem(
                    target.start_position(),
                    "only variables of the formula itself can be set",
                    "whether two are equal is asked by `==`; a name for a value is made by `let name = …;`",
                );
                target.clone()
            }
        }
    }

    /// Puts a chain together again, its parts rewritten.
    fn rebuild(&mut self, head: Expr, links: Vec<Link>) -> Expr {
        // From the last link to the first: what stands behind the current one, and whether that is the chain's end.
        let mut behind: Option<(Expr, Joint, bool)> = None;
        for link in links.into_iter().rev() {
            let joint = Joint {
                is_dot: !matches!(link.step, Step::Index(_)),
                flags: link.flags,
                at: link.at,
            };
            let own = self.rewrite_step(link.step);
            behind = Some(match behind {
                Some((rhs, next, last)) => (next.join(own, rhs, last), joint, false),
                None => (own, joint, true),
            });
        }
        match behind {
            Some((rhs, joint, last)) => joint.join(head, rhs, last),
            None => head,
        }
    }

    fn rewrite_step(&mut self, step: Step) -> Expr {
        match step {
            Step::Property(property) => property,
            Step::Index(index) => self.rewrite(&index),
            Step::Method(mut call, at) => {
                if !CHANGERS.contains(&call.name.as_str()) && Scalar::find(&call.name).is_none() {
                    let names = CHANGERS
                        .iter()
                        .copied()
                        .chain(crate::catalogue::function_names());
                    let near = tidegate_proto::issue::nearest(&call.name, names);
                    let hint = near.map_or_else(String::new, |near| {
                        if near == call.name.as_str() {
                            format!("it is a function: write `{near}(…)`")
                        } else {
                            format!("did you mean `{near}`?")
                        }
                    });
                    self.problem(at, format!("unknown method `{}`", call.name), hint);
                }
                for argument in &mut call.args {
                    let value = self.rewrite(argument);
                    // Rhai does not count what it puts into lists: it is paid for here.
                    *argument = custom(key::PAY, 0, std::iter::once(value).collect(), at);
                }
                Expr::MethodCall(call, at)
            }
        }
    }
}

fn property(link: &Link) -> Option<&str> {
    match &link.step {
        Step::Property(Expr::Property(property, _)) => Some(property.2.as_str()),
        _ => None,
    }
}

fn is_function(step: &Step) -> bool {
    matches!(step, Step::Method(call, _)
        if Scalar::find(&call.name).is_some() && !CHANGERS.contains(&call.name.as_str()))
}

/// The dot or bracket between two parts of a chain.
struct Joint {
    is_dot: bool,
    flags: ASTFlags,
    at: Position,
}

impl Joint {
    fn join(&self, lhs: Expr, rhs: Expr, last: bool) -> Expr {
        let pair = Box::new(BinaryExpr { lhs, rhs });
        if self.is_dot {
            return Expr::Dot(pair, self.flags, self.at);
        }
        // Without the mark Rhai would take an index that is itself a chain for the rest of this one.
        let end = if last {
            ASTFlags::BREAK
        } else {
            ASTFlags::NONE
        };
        Expr::Index(pair, self.flags | end, self.at)
    }
}
