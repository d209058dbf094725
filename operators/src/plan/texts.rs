//! Texts of actions and targets: templates with `${formula}` parts, and formulas whose value is written as JSON.

use std::ops::Range;
use std::sync::Arc;

use tidegate_proto::{ActionKind, Body, FormulaText, Issues, Rule, Severity, Target, Value};
use tidegate_scripts::{AliasScope, Formula, FormulaContext, Slot, Template};

use super::{PlanTemplate, TemplateForm};

/// A compiled text.
#[derive(Debug)]
pub(crate) enum Script {
    /// `${…}` parts.
    Template(Template),
    /// One formula.
    Formula(Formula),
}

impl Script {
    /// What it asks for.
    pub(crate) fn slots(&self) -> &[Slot] {
        match self {
            Self::Template(template) => template.slots(),
            Self::Formula(formula) => formula.slots(),
        }
    }

    /// The text over these slot values, and why a formula in it failed: it is `null` in a template, and the whole of a
    /// formula's text is empty.
    fn render(&self, values: &[Value]) -> (Arc<str>, Option<String>) {
        let (text, failed) = match self {
            Self::Template(template) => template.render_with(values),
            Self::Formula(formula) => match formula.evaluate_row(values) {
                Ok(value) => {
                    let mut text = String::new();
                    value.write_json(&mut text);
                    (text, None)
                }
                Err(error) => (String::new(), Some(error)),
            },
        };
        (Arc::from(text), failed.map(|error| error.to_string()))
    }
}

/// Texts of a line.
#[derive(Debug, Default)]
pub(crate) struct Rendered {
    pub(crate) texts: Vec<Arc<str>>,
    /// Why the first formula that failed did.
    pub(crate) failed: Option<String>,
}

impl Rendered {
    /// All texts over what their slots ask for.
    pub(crate) fn of<P>(texts: &[TextPlan<P>], mut value: impl FnMut(&P) -> Value) -> Self {
        let mut rendered = Self::default();
        for text in texts {
            rendered.push(text, &mut value);
        }
        rendered
    }

    /// All texts where there is no row to ask.
    pub(crate) fn blank<P>(texts: &[TextPlan<P>]) -> Vec<Arc<str>> {
        Self::of(texts, |_| Value::Missing).texts
    }

    /// One more text.
    pub(crate) fn push<P>(&mut self, text: &TextPlan<P>, value: impl FnMut(&P) -> Value) {
        let values: Vec<Value> = text.places.iter().map(value).collect();
        let (text, failed) = text.script.render(&values);
        self.texts.push(text);
        if self.failed.is_none() {
            self.failed = failed;
        }
    }
}

/// A text and where its slots stand: places of the rule's table, or sources of its windows.
#[derive(Debug)]
pub(crate) struct TextPlan<P = usize> {
    pub(crate) script: Script,
    pub(crate) places: Vec<P>,
}

/// All texts of a rule, compiled but not yet bound.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    pub(crate) list: Vec<Script>,
}

/// The texts of an action or target: path suffix, source, form.
type Written<'a> = Vec<(String, &'a FormulaText, TemplateForm)>;

fn of_action<'a>(place: &str, kind: &'a ActionKind) -> Written<'a> {
    let path = |rest: &str| format!("{place}.{rest}");
    match kind {
        ActionKind::Alarm { text, .. } => text
            .iter()
            .map(|text| (path("alarm.text"), text, TemplateForm::Text))
            .collect(),
        ActionKind::Topic { value, .. } => value
            .iter()
            .map(|value| (path("topic.value"), value, TemplateForm::Formula))
            .collect(),
        ActionKind::Handler { with, .. } => with
            .iter()
            .map(|(name, text)| {
                (
                    path(&format!("handler.with.{name}")),
                    text,
                    TemplateForm::Text,
                )
            })
            .collect(),
        ActionKind::Set { resource, values } => {
            let resource = (path("set.resource"), resource, TemplateForm::Text);
            let values = values.iter().map(|(name, value)| {
                let place = path(&format!("set.values.{name}"));
                (place, value, TemplateForm::Formula)
            });
            std::iter::once(resource).chain(values).collect()
        }
        ActionKind::Log { text } => vec![(path("log.text"), text, TemplateForm::Text)],
    }
}

fn of_target(index: usize, target: &Target) -> Written<'_> {
    match target {
        Target::Topic {
            value: Some(value), ..
        } => vec![(
            format!("to[{index}].topic.value"),
            value,
            TemplateForm::Formula,
        )],
        Target::Topic { .. } | Target::Results => Vec::new(),
    }
}

/// Where an action stands in its document.
fn place(rule: &Rule, index: usize) -> String {
    match &rule.body {
        Body::Graph(graph) => {
            let name = graph.actuators.get(index);
            format!("graph.actuators.{}", name.map_or("", AsRef::as_ref))
        }
        _ => format!("then[{index}]"),
    }
}

fn written(rule: &Rule) -> impl Iterator<Item = Written<'_>> {
    let actions = rule.then.iter().enumerate();
    let targets = rule.to.iter().enumerate();
    actions
        .map(|(index, action)| of_action(&place(rule, index), &action.kind))
        .chain(targets.map(|(index, target)| of_target(index, target)))
}

/// The list for whoever runs the actions.
pub(crate) fn listed(rule: &Rule) -> Vec<PlanTemplate> {
    let texts = written(rule).flatten();
    texts
        .map(|(path, _, form)| PlanTemplate {
            path: Arc::from(path),
            form,
        })
        .collect()
}

/// Which texts belong to each action, then to each target.
pub(crate) fn spans(rule: &Rule) -> Vec<Range<usize>> {
    let mut from = 0;
    written(rule)
        .map(|texts| {
            let span = from..from + texts.len();
            from = span.end;
            span
        })
        .collect()
}

impl Texts {
    /// Compiles every text of a rule.
    pub(crate) fn compile(
        rule: &Rule,
        (context, aliases): (FormulaContext, &AliasScope),
        issues: &mut Issues,
    ) -> Self {
        let mut list = Vec::new();
        for (_, text, form) in written(rule).flatten() {
            let script = match form {
                TemplateForm::Text => {
                    Template::compile_aliased(text, context, aliases).map(Script::Template)
                }
                TemplateForm::Formula => {
                    let formula = Formula::compile_aliased(text, context, aliases);
                    if let Ok(formula) = &formula {
                        issues.extend(formula.mismatches(text, false));
                    }
                    formula.map(Script::Formula)
                }
            };
            match script {
                Ok(script) => list.push(script),
                Err(found) => issues.extend(found),
            }
        }
        Self { list }
    }
}

/// What the lines of a rule with an alarm begin with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AlarmPlan {
    /// How bad it is; `None`: levels say so.
    pub(crate) severity: Option<Severity>,
    /// Which of the rule's texts is the alarm's.
    pub(crate) text: Option<usize>,
}

/// The first alarm of a rule.
pub(crate) fn alarm(rule: &Rule) -> Option<AlarmPlan> {
    let spans = spans(rule);
    let mut actions = rule.then.iter().zip(spans);
    actions.find_map(|(action, span)| match &action.kind {
        ActionKind::Alarm { severity, text } => Some(AlarmPlan {
            severity: *severity,
            text: text.is_some().then_some(span.start),
        }),
        _ => None,
    })
}
