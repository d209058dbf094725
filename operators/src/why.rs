//! Why a rule said what it said: each part of its conditions with its value, and which part decided.

use tidegate_proto::{EventRef, Value};
use tidegate_scripts::{Clause, Formula, Joint, Slot};

use crate::pipeline::Sighting;
use crate::plan::PlanBody;
use crate::plan::condition::ConditionPlan;
use crate::plan::slots::{Bound, Form, SlotTable, label_of};
use crate::plan::window::{ResultFormula, WindowPlan};

/// One part of a rule with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// `when`, `when.1`, `clear.2.1`, `having`, `emit.mean`; operands of `&&` and `||` are numbered from 1.
    pub path: String,
    /// The part as normal text, durations as people write them.
    pub formula: String,
    /// Its value; missing: unknown.
    pub value: Value,
    /// Both sides of a comparison.
    pub operands: Vec<Value>,
    /// How far the sides of a comparison that does not hold are from holding.
    pub missing_by: Option<f64>,
    /// Rows behind it, where it looks back or is of a window.
    pub rows: Option<u64>,
    /// Newest row behind it.
    pub cause: Option<EventRef>,
    /// Why it has no value.
    pub reason: Option<String>,
    joint: Joint,
    depth: usize,
}

/// What a condition of a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BranchKind {
    /// It raises.
    When,
    /// It clears.
    Clear,
    /// It lets a row of a window be told.
    Having,
}

/// One condition of a rule, with all its parts in document order.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch {
    /// What it is for.
    pub kind: BranchKind,
    /// Number of its level, the worst is 0.
    pub level: usize,
    /// `hold` or `clear_hold`, ms.
    pub hold: i64,
    /// The whole first.
    pub nodes: Vec<Node>,
}

impl Node {
    /// Whether it is true; `None`: unknown.
    #[must_use]
    pub const fn truth(&self) -> Option<bool> {
        match self.value {
            Value::Bool(truth) => Some(truth),
            _ => None,
        }
    }
}

impl Branch {
    /// Whether it is true; `None`: unknown.
    #[must_use]
    pub fn truth(&self) -> Option<bool> {
        self.nodes.first().and_then(Node::truth)
    }

    /// Places of the direct operands of a node.
    fn operands(&self, of: usize) -> impl Iterator<Item = usize> {
        let depth = self.nodes.get(of).map_or(0, |node| node.depth);
        let behind = self.nodes.iter().enumerate().skip(of + 1);
        let inside = behind.take_while(move |(_, node)| node.depth > depth);
        let direct = inside.filter(move |(_, node)| node.depth == depth + 1);
        direct.map(|(place, _)| place)
    }

    /// The first part that is false or unknown; of an `||` the whole.
    #[must_use]
    pub fn first_false(&self) -> Option<&Node> {
        let is_false = |place: usize| {
            let node = self.nodes.get(place);
            node.is_some_and(|node| node.truth() != Some(true))
        };
        let mut at = Some(0).filter(|at| is_false(*at))?;
        while self.nodes.get(at).map(|node| node.joint) == Some(Joint::All) {
            match self.operands(at).find(|place| is_false(*place)) {
                Some(inside) => at = inside,
                None => break,
            }
        }
        self.nodes.get(at)
    }

    /// The first part whose change made it true, compared with how it was before.
    #[must_use]
    pub fn turned(&self, before: Option<&Self>) -> Option<&Node> {
        let turned = |place: usize| {
            let is_true = |branch: &Self| branch.nodes.get(place).and_then(Node::truth);
            is_true(self) == Some(true) && before.and_then(is_true) != Some(true)
        };
        let mut at = 0;
        while let Some(inside) = self.operands(at).find(|place| turned(*place)) {
            at = inside;
        }
        self.nodes.get(at)
    }
}

/// Where the values of a formula's slots come from.
struct Source<'a> {
    value: &'a dyn Fn(&Slot) -> Value,
    rows: &'a dyn Fn(&Slot) -> Option<u64>,
    cause: &'a dyn Fn(&Formula) -> Option<EventRef>,
}

impl Source<'_> {
    fn evaluate(&self, formula: &Formula) -> (Value, Option<String>) {
        let values: Vec<Value> = formula.slots().iter().map(self.value).collect();
        match formula.evaluate_row(&values) {
            Err(error) => (Value::Missing, Some(error.to_string())),
            Ok(Value::Missing) => {
                let slots = formula.slots().iter().zip(&values);
                let missing = slots.filter(|(_, value)| value.is_missing());
                let names: Vec<_> = missing.map(|(slot, _)| label_of(slot)).collect();
                let reason =
                    (!names.is_empty()).then(|| format!("no value of {}", names.join(", ")));
                (Value::Missing, reason)
            }
            Ok(value) => (value, None),
        }
    }

    fn nodes(&self, path: &str, formula: &Formula) -> Vec<Node> {
        let clauses = formula.clauses();
        clauses
            .iter()
            .map(|clause| self.node(path, clause))
            .collect()
    }

    fn node(&self, path: &str, clause: &Clause) -> Node {
        let mut path = path.to_owned();
        for number in &clause.path {
            path.push_str(&format!(".{number}"));
        }
        let (value, reason) = self.evaluate(&clause.formula);
        let sides = clause.sides.as_ref();
        let operands: Vec<Value> = sides.map_or_else(Vec::new, |(left, _, right)| {
            vec![self.evaluate(left).0, self.evaluate(right).0]
        });
        let short = match (sides, value == Value::Bool(false)) {
            (Some((_, sign, _)), true) => missing_by(sign, &operands),
            _ => None,
        };
        let single = clause.joint == Joint::Single;
        let slots = || clause.formula.slots().iter();
        Node {
            path,
            formula: clause.formula.spoken_text(label_of),
            value,
            operands,
            missing_by: short,
            rows: single.then(|| slots().find_map(self.rows)).flatten(),
            cause: single.then(|| (self.cause)(&clause.formula)).flatten(),
            reason,
            joint: clause.joint,
            depth: clause.path.len(),
        }
    }
}

fn missing_by(sign: &str, operands: &[Value]) -> Option<f64> {
    let [left, right] = operands else {
        return None;
    };
    let (left, right) = (left.as_number()?, right.as_number()?);
    match sign {
        ">" | ">=" => Some(right - left),
        "<" | "<=" => Some(left - right),
        "==" => Some((left - right).abs()),
        _ => None,
    }
}

/// Places of the metrics that a formula reads, those inside its stream calls too.
fn metrics(table: &SlotTable, formula: &Formula) -> Vec<usize> {
    let mut metrics = Vec::new();
    for place in table.places_of(formula.slots()) {
        match table.places.get(place).map(|place| &place.form) {
            Some(Form::Metric(_)) => metrics.push(place),
            Some(Form::Stream(plan)) => {
                metrics.extend(&plan.metrics);
                metrics.extend(plan.bare);
            }
            _ => {}
        }
    }
    metrics
}

impl Sighting {
    /// The conditions of the rule with their parts; `when` and `clear` of each level, or `having`.
    #[must_use]
    pub fn branches(&self) -> Vec<Branch> {
        match &self.plan.body {
            PlanBody::Condition(plan) => self.levels(plan),
            PlanBody::Window(plan) => {
                let having = plan.having.iter();
                let branch = |having| Branch {
                    kind: BranchKind::Having,
                    level: 0,
                    hold: 0,
                    nodes: self.having(having),
                };
                having.map(branch).collect()
            }
            _ => Vec::new(),
        }
    }

    fn levels(&self, plan: &ConditionPlan) -> Vec<Branch> {
        let mut branches = Vec::new();
        let levels = plan.levels.iter().zip(&plan.rules.levels);
        for (level, (formulas, rules)) in levels.enumerate() {
            let mut add = |kind: BranchKind, field: &str, hold: i64, bound: &Bound| {
                let path = plan.level_path(level, field);
                let nodes = self.condition(plan, &path, &bound.formula);
                branches.push(Branch {
                    kind,
                    level,
                    hold,
                    nodes,
                });
            };
            add(BranchKind::When, "when", rules.hold, &formulas.when);
            if let Some(clear) = &formulas.clear {
                add(BranchKind::Clear, "clear", rules.clear_hold, clear);
            }
        }
        branches
    }

    fn condition(&self, plan: &ConditionPlan, path: &str, formula: &Formula) -> Vec<Node> {
        let table = &plan.table;
        let place = |slot: &Slot| table.places_of(std::slice::from_ref(slot)).first().copied();
        let source = Source {
            value: &|slot| {
                let value = place(slot).and_then(|place| self.values.get(place));
                value.cloned().unwrap_or_default()
            },
            rows: &|slot| place(slot).and_then(|place| self.rows.get(&place)).copied(),
            cause: &|formula| {
                let metrics = metrics(table, formula);
                if metrics.is_empty() {
                    return self.cause.clone();
                }
                let known = metrics.iter().filter_map(|place| self.newest.get(place));
                let newest = known.max_by_key(|(number, _)| *number);
                newest.map(|(_, cause)| cause.clone())
            },
        };
        source.nodes(path, formula)
    }

    fn having(&self, having: &ResultFormula) -> Vec<Node> {
        let slots = having.formula.slots();
        let source = Source {
            value: &|slot| {
                let place = slots.iter().position(|known| known == slot);
                let value = place.and_then(|place| self.asked.get(place));
                value.cloned().unwrap_or_default()
            },
            rows: &|_| None,
            cause: &|_| self.cause.clone(),
        };
        source.nodes("having", &having.formula)
    }

    /// The columns of a window with what they are made of; nothing for other rules.
    #[must_use]
    pub fn columns(&self) -> Vec<Node> {
        let PlanBody::Window(plan) = &self.plan.body else {
            return Vec::new();
        };
        let rows = self.rows.get(&0).copied();
        let texts = column_texts(plan);
        let node = |((path, formula), value): ((String, String), &Value)| Node {
            path,
            formula,
            value: value.clone(),
            operands: Vec::new(),
            missing_by: None,
            rows,
            cause: self.cause.clone(),
            reason: None,
            joint: Joint::Single,
            depth: 0,
        };
        texts.into_iter().zip(&self.values).map(node).collect()
    }

    /// What a level is called: nothing for a plain condition, its severity among several.
    #[must_use]
    pub fn level_path(&self, level: usize, field: &str) -> String {
        match &self.plan.body {
            PlanBody::Condition(plan) => plan.level_path(level, field),
            _ => field.to_owned(),
        }
    }
}

fn column_texts(plan: &WindowPlan) -> Vec<(String, String)> {
    let text = |formula: &Formula| formula.spoken_text(label_of);
    let by = plan.by.iter();
    let by = by.map(|(name, bound)| (format!("by.{name}"), text(&bound.formula)));
    let emit = plan.emit.iter();
    let emit = emit.map(|(name, one)| (format!("emit.{name}"), text(&one.formula)));
    by.chain(emit).collect()
}
