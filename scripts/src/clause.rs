//! [`Clause`]: the parts of a condition that `&&` and `||` join, each as a formula of its own: what is told when somebody
//! asks why.

use std::sync::Arc;

use crate::formula::Formula;
use crate::node::Node;
use crate::stream::Slot;

/// How a clause is made of those below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joint {
    /// `&&`: all of them.
    All,
    /// `||`: one of them.
    Any,
    /// It is not made of others.
    Single,
}

/// One part of a condition.
#[derive(Clone, Debug)]
pub struct Clause {
    /// Numbers of the operands down to it, from 1; empty: the whole.
    pub path: Vec<usize>,
    /// The part.
    pub formula: Formula,
    /// How it is made.
    pub joint: Joint,
    /// Left side, sign and right side, if it is a comparison.
    pub sides: Option<(Formula, &'static str, Formula)>,
}

impl Formula {
    /// The whole and, in document order, all operands of its `&&` and `||`. A formula with statements is one clause.
    #[must_use]
    pub fn clauses(&self) -> Vec<Clause> {
        let mut clauses = Vec::new();
        match self.node() {
            Some(node) => self.gather(node, &mut Vec::new(), &mut clauses),
            None => clauses.push(Clause {
                path: Vec::new(),
                formula: self.clone(),
                joint: Joint::Single,
                sides: None,
            }),
        }
        clauses
    }

    /// Conditions nest at most as deep as the sandbox lets a text nest, so it may recurse.
    fn gather(&self, node: &Node, path: &mut Vec<usize>, clauses: &mut Vec<Clause>) {
        let (joint, list) = match node {
            Node::And(list, _) => (Joint::All, list.as_slice()),
            Node::Or(list, _) => (Joint::Any, list.as_slice()),
            _ => (Joint::Single, [].as_slice()),
        };
        let sides = match node {
            Node::Binary(operator, pair, _) if operator.is_comparison() => {
                Some((self.part(&pair.0), operator.symbol(), self.part(&pair.1)))
            }
            _ => None,
        };
        clauses.push(Clause {
            path: path.clone(),
            formula: self.part(node),
            joint,
            sides,
        });
        for (number, child) in (1..).zip(list) {
            path.push(number);
            self.gather(child, path, clauses);
            path.pop();
        }
    }

    /// The normal text with durations as people write them.
    #[must_use]
    pub fn spoken_text(&self, label: impl Fn(&Slot) -> Arc<str>) -> String {
        let mut text = self.normal_text().to_string();
        for slot in self.slots() {
            if let Slot::Stream(call) = slot {
                text = text.replace(call.text.as_ref(), &label(slot));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use tidegate_proto::{FormulaText, Mark, Value};

    use super::*;
    use crate::names::FormulaContext;

    fn clauses(source: &str) -> Vec<Clause> {
        let text = FormulaText {
            source: Arc::from(source),
            path: Arc::from("when"),
            mark: Mark::default(),
        };
        let formula = Formula::compile(&text, FormulaContext::Condition).unwrap();
        formula.clauses()
    }

    #[test]
    fn operands_are_numbered_in_document_order_and_stand_for_themselves() {
        let found = clauses("b > a && (5.0 < a || (has(b) && a != 2.0)) && avg(a, \"5m\") > 1.0");
        let told: Vec<(String, String)> = found
            .iter()
            .map(|clause| {
                (
                    format!("{:?}", clause.path),
                    clause.formula.normal_text().to_string(),
                )
            })
            .collect();
        let texts: Vec<&str> = told.iter().map(|(_, text)| text.as_str()).collect();
        let paths: Vec<&str> = told.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "[]",
                "[1]",
                "[2]",
                "[2, 1]",
                "[2, 2]",
                "[2, 2, 1]",
                "[2, 2, 2]",
                "[3]"
            ]
        );
        assert_eq!(texts[1], "b>a");
        assert_eq!(texts[3], "a>5");
        assert_eq!(texts[6], "a!=2");
        let (left, sign, right) = found[3].sides.clone().unwrap();
        assert_eq!((left.normal_text().as_ref(), sign), ("a", ">"));
        assert_eq!(right.constant(), Some(5.0));
        assert_eq!(
            found[6]
                .formula
                .evaluate_row(&[Value::Number(2.0)])
                .unwrap(),
            Value::Bool(false)
        );
        let spoken = found[7].formula.spoken_text(|_| Arc::from("avg(a,\"5m\")"));
        assert_eq!(spoken, "avg(a,\"5m\")>1");
    }

    #[test]
    fn a_script_is_one_clause() {
        let found = clauses("let x = a; x > 1.0 && x < 3.0");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].joint, Joint::Single);
    }
}
