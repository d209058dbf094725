//! [`Plan`]: a rule compiled once, immutable, shared by every shard that runs it.

use std::ops::Range;
use std::sync::Arc;

use tidegate_proto::{Issues, Rule};

/// How a text of an action or target is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateForm {
    /// Text with `${formula}` parts: the text itself.
    Text,
    /// One formula: its value as JSON.
    Formula,
}

/// One text of an action or target: `Outcome::texts` holds one entry for each, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanTemplate {
    /// Path of the field: `then[0].alarm.text`, `then[1].handler.with.subject`, `to[0].topic.value`.
    pub path: Arc<str>,
    /// What the text is.
    pub form: TemplateForm,
}

/// A rule, compiled.
#[derive(Debug)]
pub struct Plan {
    rule: Rule,
    templates: Vec<PlanTemplate>,
    /// Templates of each action, then of each target.
    spans: Vec<Range<usize>>,
}

impl Plan {
    /// Compiles a rule.
    ///
    /// # Errors
    /// All problems of all formulas at once, in the order of the document.
    pub fn compile(rule: &Rule) -> Result<Self, Issues> {
        Ok(Self {
            rule: rule.clone(),
            templates: Vec::new(),
            spans: Vec::new(),
        })
    }

    /// The rule as it was written.
    #[must_use]
    pub const fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Texts of actions and targets: first those of `then` in order (an alarm's text, a topic's value, a handler's `with`
    /// in the order written, a log's text), then the values of `to`.
    #[must_use]
    pub fn templates(&self) -> &[PlanTemplate] {
        &self.templates
    }

    /// Which entries of [`Plan::templates`], and so of `Outcome::texts`, belong to `then[index]`.
    #[must_use]
    pub fn action_templates(&self, index: usize) -> Range<usize> {
        self.spans.get(index).cloned().unwrap_or(0..0)
    }

    /// Which entries of [`Plan::templates`], and so of `Outcome::texts`, belong to `to[index]`.
    #[must_use]
    pub fn target_templates(&self, index: usize) -> Range<usize> {
        self.action_templates(self.rule.then.len() + index)
    }

    /// The plan for people: one node per line, children indented, and what rules with an equal part can share.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        Vec::new()
    }
}
