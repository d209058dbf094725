//! [`Template`]: text with `${formula}` parts.

use std::sync::Arc;

use rhai::Position;
use tidegate_proto::issue::Issue;
use tidegate_proto::{FormulaText, Value};

use crate::alias::AliasScope;
use crate::error::ScriptError;
use crate::formula::{Formula, Scope, compile_source, to_issue};
use crate::kind::mismatches;
use crate::lower::Problem;
use crate::names::FormulaContext;
use crate::stream::Slot;

/// Text with `${formula}` parts. `$$` before a brace writes `${` itself.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Vec<Part>,
    slots: Vec<Slot>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(Arc<str>),
    /// A formula and, for each of its slots, the number in the template's slots.
    Formula(Formula, Vec<usize>),
}

impl Template {
    /// Compiles a template.
    ///
    /// # Errors
    /// Every problem of every formula in it.
    pub fn compile(text: &FormulaText, context: FormulaContext) -> Result<Self, Vec<Issue>> {
        Self::compile_in(text, context, Scope::default())
    }

    /// Compiles a template of a pattern, whose formulas may ask for rows that are bound.
    ///
    /// # Errors
    /// Every problem of every formula in it.
    pub fn compile_aliased(
        text: &FormulaText,
        context: FormulaContext,
        aliases: &AliasScope,
    ) -> Result<Self, Vec<Issue>> {
        let scope = Scope {
            aliases: Some(aliases),
            ..Scope::default()
        };
        Self::compile_in(text, context, scope)
    }

    pub(crate) fn compile_in(
        text: &FormulaText,
        context: FormulaContext,
        scope: Scope<'_>,
    ) -> Result<Self, Vec<Issue>> {
        let mut template = Self {
            parts: Vec::new(),
            slots: Vec::new(),
        };
        let mut problems = Vec::new();
        let mut rest: &str = &text.source;
        let mut before = 0;
        while let Some(at) = rest.find("${") {
            let (literal, tail) = rest.split_at(at);
            if let Some(escaped) = literal.strip_suffix('$') {
                template.text(escaped);
                template.text("${");
                before += at + 2;
                rest = tail.get(2..).unwrap_or_default();
                continue;
            }
            template.text(literal);
            let inside = tail.get(2..).unwrap_or_default();
            let start = before + at + 2;
            let Some(end) = closing(inside) else {
                problems.push(Problem {
                    at: place(&text.source, start - 2),
                    problem: "`${` is never closed".into(),
                    hint: "close it with `}`, or write `$${` for the text itself".into(),
                });
                break;
            };
            let source = inside.get(..end).unwrap_or_default();
            match compile_source(source, context, scope) {
                Ok(formula) => {
                    let node = formula.node();
                    let found = node.map(|node| mismatches(node, formula.slots(), false));
                    let found = found.unwrap_or_default().into_iter();
                    problems.extend(found.map(|problem| Problem {
                        at: shift(place(&text.source, start), problem.at),
                        ..problem
                    }));
                    template.formula(formula);
                }
                Err(found) => problems.extend(found.into_iter().map(|problem| Problem {
                    at: shift(place(&text.source, start), problem.at),
                    ..problem
                })),
            }
            before = start + end + 1;
            rest = inside.get(end + 1..).unwrap_or_default();
        }
        template.text(rest);
        if problems.is_empty() {
            return Ok(template);
        }
        Err(problems
            .iter()
            .map(|problem| to_issue(text, problem))
            .collect())
    }

    fn text(&mut self, text: &str) {
        if !text.is_empty() {
            self.parts.push(Part::Text(Arc::from(text)));
        }
    }

    fn formula(&mut self, formula: Formula) {
        let slots = &mut self.slots;
        let numbers = formula.slots().iter().map(|slot| {
            let known = slots.iter().position(|known| known == slot);
            known.unwrap_or_else(|| {
                slots.push(slot.clone());
                slots.len() - 1
            })
        });
        let numbers = numbers.collect();
        self.parts.push(Part::Formula(formula, numbers));
    }

    /// What it needs values for, those of all its formulas together.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The text for one row. A formula that fails prints as `null`, like `()`.
    #[must_use]
    pub fn render(&self, values: &[Value]) -> String {
        self.render_with(values).0
    }

    /// The same, and why the first formula that failed did.
    #[must_use]
    pub fn render_with(&self, values: &[Value]) -> (String, Option<ScriptError>) {
        let mut failed = None;
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Formula(formula, numbers) => {
                    let given: Vec<Value> = numbers
                        .iter()
                        .map(|number| values.get(*number).cloned().unwrap_or_default())
                        .collect();
                    let value = formula.evaluate_row(&given).unwrap_or_else(|error| {
                        failed.get_or_insert(error);
                        Value::Missing
                    });
                    out.push_str(&value.to_string());
                }
            }
        }
        (out, failed)
    }
}

/// Where the brace that closes a formula stands; braces and quotes inside the formula are skipped.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_u32;
    let mut quote: Option<char> = None;
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if letter == '\\' => escaped = true,
            Some(open) if letter == open => quote = None,
            Some(_) => {}
            None => match letter {
                '"' | '`' | '\'' => quote = Some(letter),
                '{' => depth += 1,
                '}' if depth == 0 => return Some(at),
                '}' => depth -= 1,
                _ => {}
            },
        }
    }
    None
}

/// Line and column of a byte of a text.
fn place(text: &str, byte: usize) -> Position {
    let before = text.get(..byte).unwrap_or(text);
    let lines = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    let part = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
    Position::new(part(lines), part(column))
}

/// A place inside a formula as a place inside the template.
fn shift(start: Position, inside: Position) -> Position {
    let part = |number: Option<usize>| number.unwrap_or(1).max(1);
    let (line, column) = (part(inside.line()), part(inside.position()));
    let (base_line, base_column) = (part(start.line()), part(start.position()));
    let column = if line == 1 {
        base_column + column - 1
    } else {
        column
    };
    let number = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
    Position::new(number(base_line + line - 1), number(column))
}
