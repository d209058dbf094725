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
        if matches!(named.kind, AliasKind::Node | AliasKind::Still) {
            return self.node_slot(named, pick, &field);
        }
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
            // Nodes of graphs went their own way above.
            AliasKind::Node | AliasKind::Still => return Node::Missing,
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

    /// What a formula may ask of a node of a graph.
    fn node_slot(&mut self, named: &Named, pick: AliasPick, field: &AliasField) -> Node {
        let name = &named.name;
        if self.inside_function || self.inside_stream {
            let problem = format!("`{name}` is a node and cannot stand inside a function here");
            let hint = format!(
                "functions over more than one row look at metrics; earlier values of a node: `prev({name}.value, 2)`"
            );
            return self.problem(named.at, problem, hint);
        }
        let asked = match field {
            AliasField::Metric(asked) => asked.as_ref(),
            AliasField::Time => "time",
            _ => "",
        };
        let still = named.kind == AliasKind::Still;
        let places = matches!(pick, AliasPick::One | AliasPick::At(_));
        if !places || !["value", "state", "time"].contains(&asked) {
            let problem = format!("a node has `value`, `state` and `time`, `{name}` is a node");
            let hint =
                format!("write `{name}.value`; a metric is written `metric(\"{name}.{asked}\")`");
            return self.problem(named.at, problem, hint);
        }
        if still && (asked != "state" || pick != AliasPick::One) {
            let problem = format!("`{name}` never runs: it has only a `state`");
            return self.problem(named.at, problem, format!("write `{name}.state`"));
        }
        self.slot(Slot::Alias(AliasSlot {
            alias: name.as_str().into(),
            pick,
            field: AliasField::Metric(asked.into()),
        }))
    }

    /// `prev(a.value)`, `prev(a.state, 2)` of a node; `None` when it is a metric's.
    fn earlier(&mut self, args: &[Expr]) -> Option<Node> {
        let (first, back) = match args {
            [first] => (first, Some(1)),
            [first, back] => (first, place(back)),
            _ => return None,
        };
        let (head, found) = links(first)?;
        let named = self.named(head)?;
        if !matches!(named.kind, AliasKind::Node | AliasKind::Still) {
            return None;
        }
        let [
            Link {
                step: Step::Property(Expr::Property(property, _)),
                ..
            },
        ] = found.as_slice()
        else {
            return None;
        };
        let Some(back) = back.filter(|back| (1..=1000).contains(back)) else {
            let problem = "`prev` of a node goes back a whole number of runs, 1 to 1000";
            return Some(self.problem(named.at, problem, "write `prev(a.value, 2)`"));
        };
        let field = AliasField::Metric(property.2.as_str().into());
        Some(self.node_slot(&named, AliasPick::At(-1 - back), &field))
    }

    /// `time(a)`, `resource(a)`, `id(a)`, `sum(a.x)`: functions of bound rows; `None` when the call is another one.
    pub(super) fn alias_function(&mut self, name: &str, args: &[Expr]) -> Option<Node> {
        self.aliases?;
        if name == "prev" {
            return self.earlier(args);
        }
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
