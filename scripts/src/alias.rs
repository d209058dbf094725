//! [`AliasScope`]: names of rows that a pattern has bound, as a formula may ask for them, and [`AliasSlot`], one such
//! question.

use std::fmt;
use std::sync::Arc;

use crate::names::is_plain_path;

/// What a name of a pattern's element stands for, seen from one formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AliasKind {
    /// One row.
    Row,
    /// Rows of a repetition.
    List,
    /// An absence: only the time of its end.
    Absence,
    /// A group, `and` or `or`: only its parts have rows.
    Group,
    /// Bound only after the formula is asked.
    Later,
    /// Bound on another side of the same `or`.
    OtherSide,
    /// A node of a graph: `value`, `state` and `time` of its last run, `prev` for those before.
    Node,
    /// A node of a graph that never runs: only its `state`.
    Still,
}

/// Names of a pattern's elements that a formula can see.
#[derive(Clone, Debug, Default)]
pub struct AliasScope {
    /// Names with what they stand for.
    pub names: Vec<(Arc<str>, AliasKind)>,
    /// Inputs that are groups of resources: functions without a duration work over their members.
    pub groups: Vec<Arc<str>>,
}

impl AliasScope {
    /// What a name stands for.
    #[must_use]
    pub fn kind(&self, name: &str) -> Option<AliasKind> {
        let found = self.names.iter().find(|(known, _)| known.as_ref() == name);
        found.map(|(_, kind)| *kind)
    }

    /// The same names, and groups.
    #[must_use]
    pub fn with_groups(mut self, groups: &[Arc<str>]) -> Self {
        self.groups = groups.to_vec();
        self
    }
}

/// Which rows of an alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AliasPick {
    /// The only row.
    One,
    /// A row by its place: from 0, or from the end by −1.
    At(i32),
    /// The list of the values.
    All,
    /// How many rows.
    Len,
    /// The sum of the values.
    Sum,
    /// Their mean.
    Avg,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// How many values.
    Count,
}

impl AliasPick {
    /// The aggregate of a function's name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "sum" => Self::Sum,
            "avg" => Self::Avg,
            "min" => Self::Min,
            "max" => Self::Max,
            "count" => Self::Count,
            _ => return None,
        })
    }
}

/// What of a bound row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AliasField {
    /// The row itself: its values by name.
    Row,
    /// The value of a metric.
    Metric(Arc<str>),
    /// Its event time.
    Time,
    /// Its resource.
    Resource,
    /// The id of its event.
    Id,
}

/// One question about bound rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AliasSlot {
    /// Name of the element.
    pub alias: Arc<str>,
    /// Which rows.
    pub pick: AliasPick,
    /// What of them.
    pub field: AliasField,
}

impl fmt::Display for AliasSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alias = &self.alias;
        let rows = match self.pick {
            AliasPick::At(place) => format!("{alias}[{place}]"),
            AliasPick::Len => format!("{alias}.len()"),
            _ => alias.to_string(),
        };
        let field = match &self.field {
            AliasField::Row => rows,
            AliasField::Metric(name) if is_plain_path(name) => format!("{rows}.{name}"),
            AliasField::Metric(name) => format!("{rows}[{name:?}]"),
            AliasField::Time => format!("time({rows})"),
            AliasField::Resource => format!("resource({rows})"),
            AliasField::Id => format!("id({rows})"),
        };
        match self.pick {
            AliasPick::Sum => write!(f, "sum({field})"),
            AliasPick::Avg => write!(f, "avg({field})"),
            AliasPick::Min => write!(f, "min({field})"),
            AliasPick::Max => write!(f, "max({field})"),
            AliasPick::Count => write!(f, "count({field})"),
            _ => f.write_str(&field),
        }
    }
}

/// Why a name cannot be that of a pattern's element or a graph's node.
#[must_use]
pub fn name_problem(name: &str) -> Option<String> {
    if crate::names::is_word(name) {
        return Some(format!("`{name}` means something else in formulas"));
    }
    let planned = crate::catalogue::PLANNED.contains(&name);
    if planned || crate::catalogue::function_names().any(|known| known == name) {
        return Some(format!("`{name}` is a function of the catalogue"));
    }
    None
}

#[cfg(test)]
mod tests {
    use tidegate_proto::{FormulaText, Mark};

    use super::*;
    use crate::formula::Formula;
    use crate::names::FormulaContext;

    #[test]
    fn nodes_of_a_graph_are_asked_for_value_state_and_time() {
        let scope = AliasScope {
            groups: Vec::new(),
            names: vec![
                ("a".into(), AliasKind::Node),
                ("g".into(), AliasKind::Still),
            ],
        };
        let compile = |source: &str| {
            let text = FormulaText {
                source: source.into(),
                path: "graph.nodes.f.formula".into(),
                mark: Mark { line: 1, column: 1 },
            };
            match Formula::compile_aliased(&text, FormulaContext::Condition, &scope) {
                Ok(formula) => {
                    let slots = formula.slots().iter().map(ToString::to_string);
                    slots.collect::<Vec<_>>().join("; ")
                }
                Err(issues) => issues[0].problem.clone(),
            }
        };
        assert_eq!(
            compile("a.value - prev(a.value, 2) + a"),
            "a.value; a[-3].value; a"
        );
        assert_eq!(
            compile("a.state == \"Up\" && g.state == \"TRUE\""),
            "a.state; g.state"
        );
        assert_eq!(compile("prev(x) + prev(a.value)"), "prev(x); a[-2].value");
        assert_eq!(compile("g.value"), "`g` never runs: it has only a `state`");
        assert_eq!(
            compile("avg(a.value, \"5m\")"),
            "`a` is a node and cannot stand inside a function here"
        );
        assert_eq!(
            compile("a.temperature"),
            "a node has `value`, `state` and `time`, `a` is a node"
        );
    }
}
