//! From a pattern as written to its plan.

use std::sync::Arc;

use tidegate_proto::pattern::{
    AfterMatch, Begin, Element, ElementKind, Every, Pattern, RowsOf, Within,
};
use tidegate_proto::{FormulaText, Issue, Issues, Rule, Span};
use tidegate_scripts::{AliasField, AliasScope, AliasSlot, Formula, FormulaContext, Slot};

use super::resolve::Resolver;
use super::scope::{Names, check_names};
use super::{AliasPlan, PatternPlan, Source, TestPlan, flat, timing};
use crate::pattern::{Copies, Drops, Machine, Node, NodeKind, Test};
use crate::plan::elsewhere;
use crate::plan::slots::{Gatherer, SlotTable};
use crate::plan::texts::{Script, TextPlan, alarm};

/// A pattern whose formulas are compiled one by one.
#[derive(Debug)]
pub(crate) struct Draft {
    pattern: Pattern,
    /// Rows are of several resources.
    wide: bool,
    names: Names,
    /// Formulas of tests, with the number of the element and whether it is its `where`.
    tests: Vec<(Formula, usize, bool)>,
    steps: Vec<Node>,
    emit: Vec<(Arc<str>, Formula)>,
    having: Option<Formula>,
    /// The last of the tests is `clear`.
    clears: bool,
}

/// Compiles elements and numbers them.
struct Builder<'a> {
    names: &'a Names,
    groups: &'a [Arc<str>],
    number: usize,
    tests: Vec<(Formula, usize, bool)>,
    issues: &'a mut Issues,
}

fn aliased(
    text: &FormulaText,
    condition: bool,
    scope: &AliasScope,
    issues: &mut Issues,
) -> Option<Formula> {
    let compiled = Formula::compile_aliased(text, FormulaContext::Condition, scope);
    let found = compiled.and_then(|formula| {
        let found = formula.mismatches(text, condition);
        if found.is_empty() {
            Ok(formula)
        } else {
            Err(found)
        }
    });
    found.map_err(|found| issues.extend(found)).ok()
}

/// `clear` looks at the row, not at what a match has bound.
fn clear_of(
    rule: &Rule,
    text: &FormulaText,
    groups: &[Arc<str>],
    issues: &mut Issues,
) -> Option<Formula> {
    if alarm(rule).is_none() {
        let problem = "`clear` ends the rule's alarm, and it has none";
        let issue = Issue::new(text.path.as_ref(), text.mark, problem);
        issues.push(
            issue.hint("add `then: [ { alarm: { severity: WARNING } } ]`, or leave `clear` out"),
        );
    }
    let scope = AliasScope::default().with_groups(groups);
    aliased(text, true, &scope, issues)
}

pub(super) fn small(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

impl Builder<'_> {
    fn test(
        &mut self,
        text: &FormulaText,
        (number, of): (usize, Option<&RowsOf>),
        own: bool,
    ) -> Test {
        let scope = self.names.seen_from(number).with_groups(self.groups);
        if let Some(formula) = aliased(text, true, &scope, self.issues) {
            let formula = match of {
                Some(of) => formula.with_metrics(&|name| elsewhere::named(name, &of.name)),
                None => formula,
            };
            let mut names = Vec::new();
            metrics_of(formula.slots(), &mut names);
            if of.is_some() && names.is_empty() {
                let problem = "what looks at rows of other resources names a metric of theirs";
                self.issues
                    .push(Issue::new(text.path.as_ref(), text.mark, problem));
            }
            self.tests.push((formula, number, own));
        }
        small(self.tests.len().saturating_sub(1))
    }

    fn nodes(&mut self, elements: &[Element]) -> Vec<Node> {
        elements.iter().map(|element| self.node(element)).collect()
    }

    fn node(&mut self, element: &Element) -> Node {
        let number = self.number;
        self.number += 1;
        let at = (number, element.of.as_ref());
        let kind = match &element.kind {
            ElementKind::Step(text) => {
                if text.is_none() && element.of.is_some() {
                    let problem = "what looks at rows of other resources names a metric of theirs";
                    let issue = Issue::new(element.path.as_ref(), element.mark, problem);
                    self.issues.push(issue.hint("write `where`"));
                }
                let test = text.as_ref().map(|text| self.test(text, at, true));
                let until = element.until.as_ref();
                let until = until.map(|text| self.test(text, at, false));
                NodeKind::Step { test, until }
            }
            ElementKind::Absence {
                not,
                lasts,
                on_break,
            } => {
                let test = self.test(not, at, false);
                let on_break = *on_break;
                match lasts {
                    None => NodeKind::Between { test, on_break },
                    Some(lasts) => NodeKind::Absence {
                        test,
                        lasts: lasts.0,
                        on_break,
                    },
                }
            }
            ElementKind::And { sides, share } => NodeKind::And {
                sides: self.nodes(sides),
                share: *share,
            },
            ElementKind::Or(sides) => NodeKind::Or(self.nodes(sides)),
            ElementKind::Group(steps) => NodeKind::Group(self.nodes(steps)),
        };
        Node {
            kind,
            min: element.min,
            max: element.max.unwrap_or(u32::MAX),
            greedy: element.greedy,
            contiguity: element.contiguity,
            lead: element.lead,
            inner: element.inner,
            within: element.within.map_or(0, |span| span.0),
            from: small(number),
            to: small(self.number),
        }
    }
}

/// Tests of the elements that can take a first row; `None`: one of them takes any.
fn begins(nodes: &[Node], tests: &mut Vec<Test>) -> Option<()> {
    for node in nodes {
        match &node.kind {
            NodeKind::Step { test, .. } => tests.push((*test)?),
            NodeKind::Between { .. } | NodeKind::Absence { .. } => {}
            NodeKind::And { sides, .. } | NodeKind::Or(sides) => {
                for side in sides {
                    begins(std::slice::from_ref(side), tests)?;
                }
            }
            NodeKind::Group(steps) => begins(steps, tests)?,
        }
        if node.min > 0 {
            break;
        }
    }
    Some(())
}

impl Draft {
    pub(crate) fn compile(rule: &Rule, pattern: &Pattern, issues: &mut Issues) -> Option<Self> {
        let before = issues.len();
        let names = Names::of(pattern);
        check_names(&flat(pattern), issues);
        let groups = crate::plan::members::names(rule);
        let mut builder = Builder {
            names: &names,
            groups: &groups,
            number: 0,
            tests: Vec::new(),
            issues,
        };
        let steps = builder.nodes(&pattern.steps);
        let mut tests = builder.tests;
        let all = names.all().with_groups(&groups);
        let clear = pattern.clear.as_ref();
        let clear = clear.and_then(|text| clear_of(rule, text, &groups, issues));
        let clears = clear.is_some();
        tests.extend(clear.map(|formula| (formula, usize::MAX, false)));
        let emit = pattern.emit.iter().filter_map(|(name, text)| {
            Some((Arc::clone(name), aliased(text, false, &all, issues)?))
        });
        let emit: Vec<(Arc<str>, Formula)> = emit.collect();
        let having = pattern.having.as_ref();
        let having = having.and_then(|text| aliased(text, true, &all, issues));
        (issues.len() == before).then(|| Self {
            wide: crate::plan::wide::is_wide(rule),
            pattern: pattern.clone(),
            names,
            tests,
            steps,
            emit,
            having,
            clears,
        })
    }

    fn machine(&self) -> Machine {
        let pattern = &self.pattern;
        let born_waiting = pattern.steps.first().is_some_and(Element::holds_absence);
        let end = pattern.steps.len();
        let copies = match (&pattern.every, pattern.begin) {
            (Every::First, Begin::EachRow) if !born_waiting => Copies::Rows,
            (Every::First, _) => Copies::Span { from: 0, to: 0 },
            (Every::All, _) => Copies::Span { from: 0, to: end },
            (Every::Span(from, to), _) => Copies::Span {
                from: *from,
                // The last element is done when the pattern is.
                to: if to + 1 == end { end } else { *to },
            },
            (Every::Never, _) => Copies::Never,
        };
        let number = |name: &str| small(self.names.number(name).unwrap_or_default());
        let drops = match &pattern.after_match {
            AfterMatch::PastLast => Drops::PastLast,
            AfterMatch::ToNext => Drops::SameFirst,
            AfterMatch::Nothing => Drops::Nothing,
            AfterMatch::ToFirst(name) => Drops::BeforeFirst(number(name)),
            AfterMatch::ToLast(name) => Drops::BeforeLast(number(name)),
        };
        let mut tests = Vec::new();
        let within = pattern.within.unwrap_or(Within {
            max: Span::ZERO,
            exclusive: false,
        });
        Machine {
            begins: begins(&self.steps, &mut tests).map(|()| tests),
            steps: self.steps.clone(),
            within: within.max.0,
            exclusive: within.exclusive,
            copies,
            born_waiting,
            drops,
            reuse: pattern.reuse,
            after_break: pattern.after_break,
            after_expiry: pattern.after_expiry,
            longest: pattern.longest,
            ends_in_not: pattern.steps.last().is_some_and(Element::is_between),
            tell_timeout: pattern.tell_timeout,
            all_ways: pattern.all_ways,
            one_waits: pattern.one_waits,
            holds: pattern.holds,
        }
    }

    fn gather(&self, texts: &[Script]) -> SlotTable {
        let mut gatherer = Gatherer::default();
        for (formula, ..) in &self.tests {
            gatherer.add(formula.slots(), true);
        }
        let emit = self.emit.iter().map(|(_, formula)| formula.slots());
        let having = self.having.iter().map(Formula::slots);
        let texts = texts.iter().map(Script::slots);
        let column = |slot: &Slot| match slot {
            Slot::Metric(name) => self.emit.iter().any(|(column, _)| column == name),
            _ => false,
        };
        for slots in emit {
            gatherer.add(slots, false);
        }
        for slots in having.chain(texts.clone()) {
            for slot in slots.iter().filter(|slot| !column(slot)) {
                gatherer.add(std::slice::from_ref(slot), false);
            }
        }
        // What formulas ask of bound rows is a metric of those rows.
        let by_texts = texts.clone().flatten().filter_map(alias_slot);
        for slot in self.asked().chain(by_texts) {
            if let Some((_, name)) = self.field(slot) {
                gatherer.add(&[Slot::Metric(name)], false);
            }
        }
        gatherer.finish()
    }

    /// What a question about bound rows asks for as a metric, as it is written and as the table has it.
    fn field(&self, slot: &AliasSlot) -> Option<(Arc<str>, Arc<str>)> {
        let of = flat(&self.pattern)
            .into_iter()
            .find(|element| element.alias == slot.alias);
        match &slot.field {
            AliasField::Metric(name) => {
                let of = of.and_then(|element| element.of.as_ref());
                let place = of.map(|of| elsewhere::named(name, &of.name));
                Some((Arc::clone(name), place.unwrap_or_else(|| Arc::clone(name))))
            }
            AliasField::Resource if self.wide => {
                let name: Arc<str> = Arc::from(elsewhere::OF_RESOURCE);
                Some((Arc::clone(&name), name))
            }
            _ => None,
        }
    }

    fn asked(&self) -> impl Iterator<Item = &AliasSlot> {
        let tests = self.tests.iter().map(|(formula, ..)| formula);
        let emit = self.emit.iter().map(|(_, formula)| formula);
        let formulas = tests.chain(emit).chain(&self.having);
        formulas.flat_map(Formula::slots).filter_map(alias_slot)
    }

    pub(crate) fn finish(self, rule: &Rule, texts: Vec<Script>) -> PatternPlan {
        let mut table = self.gather(&texts);
        table.note_inputs(&rule.across);
        let aliases = self.aliases(&table, &texts);
        let resolver = Resolver {
            table: &table,
            aliases: &aliases,
            names: &self.names,
            emit: &self.emit,
            wide: self.wide,
        };
        let tests: Vec<TestPlan> = self.tests.iter().map(|(f, ..)| resolver.test(f)).collect();
        let emit = self.emit.iter();
        let emit: Vec<_> = emit
            .map(|(name, formula)| (Arc::clone(name), resolver.sourced(formula, false)))
            .collect();
        let having = self.having.as_ref();
        let having = having.map(|formula| resolver.sourced(formula, true));
        let texts: Vec<TextPlan<Source>> = texts
            .into_iter()
            .map(|script| TextPlan {
                places: resolver.sources(script.slots(), true),
                script,
            })
            .collect();
        let told = emit.iter().map(|(_, s)| s).chain(&having);
        let told = told.flat_map(|sourced| &sourced.sources);
        let mut told = told.chain(texts.iter().flat_map(|text| &text.places));
        let elements = tests.len() - usize::from(self.clears);
        let own = tests.iter().take(elements);
        let all_rows = self.pattern.all_rows
            || own.clone().any(|test| test.metrics.is_empty())
            || any_row(&self.steps);
        PatternPlan {
            clear: self.clears.then(|| small(elements)),
            all_rows,
            looks_back: told.any(|source| matches!(source, Source::Place(_)))
                && by_time(&self.pattern),
            every_row: all_rows || tests.iter().any(|test| test.metrics.is_empty()),
            identity: identity(&self, own),
            machine: self.machine(),
            alarm: alarm(rule),
            timing: timing(rule),
            own_values: self.pattern.own_values,
            tests,
            aliases,
            emit,
            having,
            texts,
            table,
        }
    }

    /// What is kept of each element's rows.
    fn aliases(&self, table: &SlotTable, texts: &[Script]) -> Vec<AliasPlan> {
        let elements = flat(&self.pattern);
        let mut plans = Vec::with_capacity(elements.len());
        for (number, element) in elements.iter().enumerate() {
            let own = self.tests.iter().find(|(_, of, own)| *of == number && *own);
            let own = own.map_or(&[][..], |(formula, ..)| formula.slots());
            let mut found: Vec<Arc<str>> = Vec::new();
            metrics_of(own, &mut found);
            let plain = |name: &Arc<str>| -> Arc<str> {
                let of = element.of.as_ref();
                let bare = of.and_then(|of| name.strip_suffix(of.name.as_ref())?.strip_suffix('@'));
                bare.map_or_else(|| Arc::clone(name), Arc::from)
            };
            let mut names: Vec<(Arc<str>, Arc<str>)> =
                found.into_iter().map(|name| (plain(&name), name)).collect();
            let shown = names.len();
            let by_texts = texts.iter().flat_map(Script::slots).filter_map(alias_slot);
            for slot in self
                .asked()
                .chain(by_texts)
                .filter(|s| s.alias == element.alias)
            {
                if let Some(pair) = self.field(slot)
                    && !names.iter().any(|(name, _)| *name == pair.0)
                {
                    names.push(pair);
                }
            }
            let kept = names.into_iter().map(|(name, place)| {
                let place = table.places_of(&[Slot::Metric(place)]);
                (name, place.first().copied().unwrap_or(usize::MAX))
            });
            plans.push(AliasPlan {
                name: Arc::clone(&element.alias),
                takes_rows: matches!(element.kind, ElementKind::Step(_)),
                list: self.names.is_list(number),
                kept: kept.collect(),
                shown,
            });
        }
        plans
    }
}

pub(super) fn alias_slot(slot: &Slot) -> Option<&AliasSlot> {
    match slot {
        Slot::Alias(slot) => Some(slot),
        _ => None,
    }
}

/// Metrics that slots name, also as arguments of functions over more than one row, in the order written.
pub(crate) fn metrics_of(slots: &[Slot], names: &mut Vec<Arc<str>>) {
    for slot in slots {
        match slot {
            Slot::Metric(name) if !names.contains(name) => names.push(Arc::clone(name)),
            Slot::Stream(call) if call.is_of_group() => {
                let label = crate::plan::slots::label_of(slot);
                if !names.contains(&label) {
                    names.push(label);
                }
            }
            Slot::Stream(call) => {
                for argument in &call.arguments {
                    metrics_of(argument.slots(), names);
                }
            }
            _ => {}
        }
    }
}

/// Whether a match may come without a row.
fn by_time(pattern: &Pattern) -> bool {
    pattern.longest || pattern.tell_timeout || pattern.steps.iter().any(Element::holds_absence)
}

/// Whether a step takes any row.
fn any_row(nodes: &[Node]) -> bool {
    nodes.iter().any(|node| match &node.kind {
        NodeKind::Step { test, .. } => test.is_none(),
        NodeKind::And { sides, .. } | NodeKind::Or(sides) => any_row(sides),
        NodeKind::Group(steps) => any_row(steps),
        NodeKind::Between { .. } | NodeKind::Absence { .. } => false,
    })
}

/// All that decides how attempts go on: not `within`, which is counted anew, and not what is told of a match.
fn identity<'a>(draft: &Draft, tests: impl Iterator<Item = &'a TestPlan>) -> String {
    let machine = Machine {
        within: i64::from(draft.pattern.within.is_some()),
        exclusive: false,
        tell_timeout: false,
        ..draft.machine()
    };
    let texts: Vec<&str> = tests
        .map(|test| test.sourced.formula.normal_text().as_ref())
        .collect();
    let (own, all) = (draft.pattern.own_values, draft.pattern.all_rows);
    format!("{machine:?}\n{texts:?}\n{own}{all}")
}
