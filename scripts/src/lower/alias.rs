//! Names of a pattern's bound rows: `a.temperature`, `a[-1].temperature`, `first(a).x`, `time(a)`, `sum(a.x)`, `a.len()`.

use rhai::{Expr, Position};

use super::Lowering;
use super::chain::{Link, Step, links};
use crate::alias::{AliasField, AliasKind, AliasPick, AliasSlot};
use crate::node::Node;
use crate::stream::Slot;

/// Rows that a part of a formula names.
pub(super) struct Named {
    name: String,
    kind: AliasKind,
    /// `a[0]`, `first(a)`; `None`: all of them.
    place: Option<i32>,
    at: Position,
}

impl Lowering<'_> {
    /// What a bare name stands for among the aliases.
    pub(super) fn alias_kind(&self, name: &str) -> Option<AliasKind> {
        self.aliases?.kind(name)
    }

    /// `a`, `first(a)`, `last(a)`.
    pub(super) fn named(&self, expr: &Expr) -> Option<Named> {
        match expr {
            Expr::Variable(variable, short, at) if short.is_none() && variable.0.is_none() => {
                let name = variable.1.to_string();
                let kind = self.alias_kind(&name)?;
                Some(Named {
                    name,
                    kind,
                    place: None,
                    at: *at,
                })
            }
            Expr::FnCall(call, _) => {
                let place = match (call.name.as_str(), call.args.len()) {
                    ("first", 1) => 0,
                    ("last", 1) => -1,
                    _ => return None,
                };
                let named = self.named(call.args.first()?)?;
                let bare = named.place.is_none();
                bare.then_some(Named {
                    place: Some(place),
                    ..named
                })
            }
            _ => None,
        }
    }

    /// `a`, `a[0]`, `first(a)` and nothing behind it.
    fn rows(&self, expr: &Expr) -> Option<Named> {
        if let Some(named) = self.named(expr) {
            return Some(named);
        }
        let (head, found) = links(expr)?;
        let mut named = self.named(head)?;
        let [
            Link {
                step: Step::Index(index),
                ..
            },
        ] = found.as_slice()
        else {
            return None;
        };
        named.place = Some(place(index)?);
        Some(named)
    }

    /// The front of a chain that begins with an alias, as a value: `a.temperature` of `a.temperature.abs()`.
    pub(super) fn alias_front(
        &mut self,
        mut named: Named,
        links: &mut std::iter::Peekable<std::vec::IntoIter<Link>>,
    ) -> Node {
        if let Some(Link {
            step: Step::Index(index),
            ..
        }) = links.peek()
        {
            let Some(found) = place(index) else {
                let hint = "write `a[0]`, `a[-1]`, or make a list: `a.temperature`";
                let problem = format!("a row of `{}` is named by a whole number", named.name);
                return self.problem(named.at, problem, hint);
            };
            named.place = Some(found);
            links.next();
        }
        let mut path = Vec::new();
        while let Some(link) = links.peek() {
            let part = match &link.step {
                Step::Property(Expr::Property(property, _)) => property.2.to_string(),
                Step::Index(Expr::StringConstant(name, _)) if path.is_empty() => name.to_string(),
                _ => break,
            };
            path.push(part);
            links.next();
        }
        let is_len =
            |link: &Link| matches!(&link.step, Step::Method(call, _) if call.name == "len");
        if path.is_empty() && named.place.is_none() && links.next_if(is_len).is_some() {
            return self.rows_slot(&named, AliasPick::Len, AliasField::Row);
        }
        let field = match path.join(".") {
            path if path.is_empty() => AliasField::Row,
            path => AliasField::Metric(path.into()),
        };
        self.alias_value(&named, field)
    }

    /// An alias that stands alone.
    pub(super) fn alias_alone(&mut self, named: &Named) -> Node {
        self.alias_value(named, AliasField::Row)
    }

    fn alias_value(&mut self, named: &Named, field: AliasField) -> Node {
        let pick = match (named.place, named.kind) {
            (Some(place), _) => AliasPick::At(place),
            (None, AliasKind::List) => AliasPick::All,
            (None, _) => AliasPick::One,
        };
        self.rows_slot(named, pick, field)
    }

    /// A question about rows, if they may be asked.
    fn rows_slot(&mut self, named: &Named, pick: AliasPick, field: AliasField) -> Node {
        let name = &named.name;
        if self.inside_function || self.inside_stream {
            let problem =
                format!("`{name}` names bound rows and cannot stand inside a function here");
            let hint =
                "functions over more than one row look at metrics; over bound rows: `sum(a.x)`";
            return self.problem(named.at, problem, hint);
        }
        let (problem, hint) = match named.kind {
            AliasKind::Row | AliasKind::List => {
                return self.slot(Slot::Alias(AliasSlot {
                    alias: name.as_str().into(),
                    pick,
                    field,
                }));
            }
            AliasKind::Absence if field == AliasField::Time => {
                return self.slot(Slot::Alias(AliasSlot {
                    alias: name.as_str().into(),
                    pick: AliasPick::One,
                    field,
                }));
            }
            AliasKind::Absence => (
                format!("`{name}` is an absence, which binds no row"),
                format!("only its end can be asked for: `time({name})`"),
            ),
            AliasKind::Group => (
                format!("`{name}` is made of other elements and has no row of its own"),
                "name one of its elements".to_owned(),
            ),
            AliasKind::Later => (
                format!("`{name}` is bound later than this formula is judged"),
                "compare in the later step instead".to_owned(),
            ),
            AliasKind::OtherSide => (
                format!("`{name}` is on another side of the same `or` and is never bound here"),
                "ask for it behind the `or`".to_owned(),
            ),
        };
        self.problem(named.at, problem, hint)
    }

    /// `time(a)`, `resource(a)`, `id(a)`, `sum(a.x)`: functions of bound rows; `None` when the call is another one.
    pub(super) fn alias_function(&mut self, name: &str, args: &[Expr]) -> Option<Node> {
        self.aliases?;
        let [argument] = args else {
            return None;
        };
        let field = match name {
            "time" => AliasField::Time,
            "resource" => AliasField::Resource,
            "id" => AliasField::Id,
            "first" | "last" => {
                let named = match name {
                    "first" => (self.named(argument)?, 0),
                    _ => (self.named(argument)?, -1),
                };
                let (mut named, place) = named;
                named.place = Some(place);
                return Some(self.alias_alone(&named));
            }
            _ => {
                let pick = AliasPick::from_name(name)?;
                let (head, found) = links(argument)?;
                let named = self.named(head)?;
                let mut path = Vec::new();
                for link in &found {
                    match &link.step {
                        Step::Property(Expr::Property(property, _)) => {
                            path.push(property.2.to_string());
                        }
                        _ => return None,
                    }
                }
                return Some(self.rows_slot(
                    &named,
                    pick,
                    AliasField::Metric(path.join(".").into()),
                ));
            }
        };
        match self.rows(argument) {
            Some(named) => Some(self.alias_value(&named, field)),
            None => {
                let at = argument.start_position();
                let problem = format!("`{name}` needs the name of an element");
                Some(self.problem(at, problem, format!("write `{name}(a)`")))
            }
        }
    }
}

/// A whole number as written.
fn place(index: &Expr) -> Option<i32> {
    match index {
        Expr::IntegerConstant(place, _) => i32::try_from(*place).ok(),
        Expr::FnCall(call, _) if call.name == "-" => match call.args.first()? {
            Expr::IntegerConstant(place, _) if call.args.len() == 1 => i32::try_from(-place).ok(),
            _ => None,
        },
        _ => None,
    }
}
