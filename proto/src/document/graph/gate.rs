//! Gates of a graph and their combinations.

use std::sync::Arc;

use super::node::{count, parents};
use super::{Known, word};
use crate::document::section::{Allowed, Field, Report, Section};
use crate::document::tree::NodeKind;
use crate::document::value::choice;
use crate::graph::{DATA, Gate, GateForm, MOST_COMBINATIONS, Pick, TRUE};

pub(super) const GATE: Allowed = Allowed {
    known: &["gate", "of", "true_when", "false_when", "k", "ui"],
    later: &[],
};

/// A gate as it is called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    And,
    Or,
    Nand,
    Nor,
    Xor,
    General,
    AtLeast,
    Exactly,
}

const WORDS: [(&str, Word); 8] = [
    ("AND", Word::And),
    ("OR", Word::Or),
    ("NAND", Word::Nand),
    ("NOR", Word::Nor),
    ("XOR", Word::Xor),
    ("GENERAL", Word::General),
    ("AT_LEAST", Word::AtLeast),
    ("EXACTLY", Word::Exactly),
];

/// Reads a gate.
pub(super) fn read(section: &Section<'_>, known: &Known<'_>, report: &mut Report) -> Option<Gate> {
    let before = report.issues.len();
    let called = section.need("gate", report);
    let called = called.and_then(|field| choice(field, &WORDS, &[], report));
    let of = section.need("of", report);
    let of = of.map_or_else(Vec::new, |field| parents(field, known, report));
    let called = called?;
    let combinations = combinations(section, called, (&of, known), report);
    let k = number(section, called, of.len(), report);
    let misses_listed = section.get("false_when").is_some();
    let hits_listed = section.get("true_when").is_some();
    let (form, hits_are_false) = match called {
        Word::And | Word::General => (GateForm::All, false),
        Word::Nand => (GateForm::All, true),
        // One that hits makes it TRUE; or all that hit make it FALSE.
        Word::Or if misses_listed => (GateForm::All, true),
        Word::Or => (GateForm::Any, false),
        Word::Nor if hits_listed => (GateForm::All, false),
        Word::Nor => (GateForm::Any, true),
        Word::Xor => (GateForm::Odd, false),
        Word::AtLeast => (GateForm::AtLeast(k?), false),
        Word::Exactly => (GateForm::Exactly(k?), false),
    };
    (report.issues.len() == before).then_some(Gate {
        form,
        of,
        combinations,
        hits_are_false,
    })
}

/// `k` of `AT_LEAST` and `EXACTLY`.
fn number(section: &Section<'_>, called: Word, parents: usize, report: &mut Report) -> Option<u32> {
    if !matches!(called, Word::AtLeast | Word::Exactly) {
        if let Some(field) = section.get("k") {
            let problem = "`k` belongs to `AT_LEAST` and `EXACTLY`";
            report.add(&field.path, field.mark, problem);
        }
        return None;
    }
    let field = section.need("k", report)?;
    let zero = matches!(&field.node.kind, NodeKind::Number(text) if text == "0");
    let k = if zero && called == Word::Exactly {
        0
    } else {
        count(field, report)?
    };
    if k as usize > parents {
        let problem = format!("{k} of {parents} parents can never hit, so the gate has one state");
        report.add(&field.path, field.node.mark, problem);
        return None;
    }
    Some(k)
}

fn combinations(
    section: &Section<'_>,
    called: Word,
    (of, known): (&[usize], &Known<'_>),
    report: &mut Report,
) -> Vec<Vec<Pick>> {
    let (hits, misses) = (section.get("true_when"), section.get("false_when"));
    if let (Some(_), Some(field)) = (hits, misses) {
        let problem = "`true_when` and `false_when` do not go together";
        report.add(&field.path, field.mark, problem);
    }
    let wrong = match called {
        Word::Or | Word::Nor => None,
        Word::Nand => hits.map(|field| (field, "false_when", "its combination makes it FALSE")),
        _ => misses.map(|field| (field, "true_when", "its combination makes it TRUE")),
    };
    if let Some((field, other, why)) = wrong {
        let problem = format!("this gate does not take `{}`: {why}", field.name);
        report.hint(&field.path, field.mark, problem, format!("write `{other}`"));
    }
    let Some(field) = hits.or(misses) else {
        let hit = |place: &usize| default_pick(section, (*place, known), report);
        return vec![of.iter().map(hit).collect()];
    };
    rows(field, called == Word::General, (of, known), report)
}

/// `TRUE` of a parent that has such a state.
fn default_pick(
    section: &Section<'_>,
    (place, known): (usize, &Known<'_>),
    report: &mut Report,
) -> Pick {
    let states = known.states.get(place).and_then(Option::as_ref);
    let has = states.is_none_or(|states| states.iter().any(|state| state.as_ref() == TRUE));
    if !has {
        let name = known.names.get(place).copied().unwrap_or_default();
        let problem = format!("`{name}` has no state `{TRUE}`");
        let hint = "say which states hit with `true_when`";
        report.hint(section.path(), section.mark(), problem, hint);
    }
    Pick::States(vec![Arc::from(TRUE)])
}

fn rows(
    field: &Field<'_>,
    many: bool,
    (of, known): (&[usize], &Known<'_>),
    report: &mut Report,
) -> Vec<Vec<Pick>> {
    let items = field.items(report);
    if items.is_empty() {
        let problem = "there is no combination";
        report.hint(&field.path, field.node.mark, problem, "write `[[A, B]]`");
    }
    if items.len() > MOST_COMBINATIONS {
        let problem = format!("{} combinations, at most {MOST_COMBINATIONS}", items.len());
        report.add(&field.path, field.mark, problem);
        return Vec::new();
    }
    if !many && items.len() > 1 {
        let problem = "this gate takes one combination";
        let hint = "write `gate: GENERAL` for several";
        report.hint(&field.path, field.mark, problem, hint);
    }
    let read = items.iter().map(|item| {
        let picks = item.items(report);
        if picks.len() != of.len() && matches!(item.node.kind, NodeKind::Seq(_)) {
            let problem = format!(
                "{} states for {} parents: a combination names one per parent",
                picks.len(),
                of.len()
            );
            let hint = "`\"*\"` stands for a parent that is not looked at";
            report.hint(&item.path, item.node.mark, problem, hint);
            return Vec::new();
        }
        let pairs = picks.iter().zip(of);
        pairs
            .map(|(pick, parent)| read_pick(pick, *parent, known, report))
            .collect()
    });
    let read: Vec<Vec<Pick>> = read.collect();
    for (place, (item, row)) in items.iter().zip(&read).enumerate() {
        if !row.is_empty() && read.iter().take(place).any(|before| before == row) {
            let problem = "this combination is there twice";
            report.hint(&item.path, item.node.mark, problem, "leave one out");
        }
    }
    read
}

fn read_pick(field: &Field<'_>, parent: usize, known: &Known<'_>, report: &mut Report) -> Pick {
    if matches!(&field.node.kind, NodeKind::Text(text) if text == "*") {
        return Pick::Any;
    }
    if matches!(field.node.kind, NodeKind::Seq(_)) || word_is_known(field) {
        return Pick::States(known.states(field, parent, report));
    }
    word(field, "a state, a list of states or `\"*\"`", report);
    Pick::States(vec![Arc::from(DATA)])
}

fn word_is_known(field: &Field<'_>) -> bool {
    let mut quiet = Report::default();
    word(field, "", &mut quiet).is_some()
}
