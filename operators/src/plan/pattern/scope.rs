//! What a formula of a pattern may ask for: elements before it, but not those on another side of the same `or`.

use std::sync::Arc;

use tidegate_proto::pattern::{Element, ElementKind, Pattern};
use tidegate_proto::{Issue, Issues};
use tidegate_scripts::{AliasKind, AliasScope, name_problem};

/// One element: its number, the numbers inside it, and what its name stands for.
#[derive(Clone, Debug)]
struct Entry {
    name: Arc<str>,
    kind: AliasKind,
    /// Ways through `or`s that lead to it: number of the `or`, number of the side.
    sides: Vec<(usize, usize)>,
}

/// Names of all elements, in the order of the document.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    entries: Vec<Entry>,
}

impl Names {
    pub(crate) fn of(pattern: &Pattern) -> Self {
        let mut names = Self {
            entries: Vec::new(),
        };
        names.add(&pattern.steps, false, &[]);
        names
    }

    fn add(&mut self, elements: &[Element], repeated: bool, sides: &[(usize, usize)]) {
        for element in elements {
            let list = repeated || element.repeats();
            let kind = match &element.kind {
                ElementKind::Step(_) if list => AliasKind::List,
                ElementKind::Step(_) => AliasKind::Row,
                ElementKind::Absence { .. } => AliasKind::Absence,
                _ => AliasKind::Group,
            };
            let number = self.entries.len();
            self.entries.push(Entry {
                name: Arc::clone(&element.alias),
                kind,
                sides: sides.to_vec(),
            });
            if let ElementKind::Or(children) = &element.kind {
                for (side, child) in children.iter().enumerate() {
                    let mut sides = sides.to_vec();
                    sides.push((number, side));
                    self.add(std::slice::from_ref(child), list, &sides);
                }
            } else {
                self.add(element.children(), list, sides);
            }
        }
    }

    /// What the formulas of an element see.
    pub(crate) fn seen_from(&self, number: usize) -> AliasScope {
        let own = self.entries.get(number);
        let own: &[(usize, usize)] = own.map_or(&[], |entry| &entry.sides);
        let names = self.entries.iter().enumerate().map(|(other, entry)| {
            let parted = |(or, side): &(usize, usize)| {
                own.iter()
                    .any(|(own_or, own_side)| own_or == or && own_side != side)
            };
            let kind = if other > number {
                AliasKind::Later
            } else if entry.sides.iter().any(parted) {
                AliasKind::OtherSide
            } else {
                entry.kind
            };
            (Arc::clone(&entry.name), kind)
        });
        AliasScope {
            names: names.collect(),
            ..AliasScope::default()
        }
    }

    /// What is seen once all is done.
    pub(crate) fn all(&self) -> AliasScope {
        let entries = self.entries.iter();
        AliasScope {
            names: entries
                .map(|entry| (Arc::clone(&entry.name), entry.kind))
                .collect(),
            ..AliasScope::default()
        }
    }

    /// Whether an element's rows are a list.
    pub(crate) fn is_list(&self, number: usize) -> bool {
        let entry = self.entries.get(number);
        entry.is_some_and(|entry| entry.kind == AliasKind::List)
    }

    /// The number of a name.
    pub(crate) fn number(&self, name: &str) -> Option<usize> {
        self.entries
            .iter()
            .position(|entry| entry.name.as_ref() == name)
    }
}

/// What texts of the rule see.
pub(crate) fn names(pattern: &Pattern) -> AliasScope {
    Names::of(pattern).all()
}

/// Tells names that mean something else in formulas.
pub(crate) fn check_names(elements: &[&Element], issues: &mut Issues) {
    for element in elements {
        if let Some(problem) = name_problem(&element.alias) {
            let issue = Issue::new(element.path.as_ref(), element.mark, problem);
            issues.push(issue.hint("give the element another name"));
        }
    }
}
