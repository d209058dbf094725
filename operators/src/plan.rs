//! [`Plan`]: a rule compiled once, immutable, shared by every shard that runs it.

pub(crate) mod aggregates;
pub(crate) mod condition;
mod describe;
pub(crate) mod elsewhere;
pub(crate) mod graph;
pub(crate) mod join;
pub(crate) mod members;
mod passive;
pub(crate) mod pattern;
mod reach;
mod reading;
pub(crate) mod slots;
pub(crate) mod texts;
mod waits;
pub(crate) mod wide;
pub(crate) mod window;

use std::ops::Range;
use std::sync::Arc;

use tidegate_proto::{Body, FormulaText, Issues, Order, Rule, When};
use tidegate_scripts::{AliasScope, Formula, FormulaContext};

use self::condition::ConditionPlan;
use self::graph::GraphPlan;
use self::pattern::PatternPlan;
use self::slots::{Bound, Gatherer, SlotTable};
use self::texts::TextPlan;
use self::wide::WidePlan;
use self::window::WindowPlan;

pub use self::reach::Reach;

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

/// What the rule computes, compiled.
#[derive(Debug)]
pub(crate) enum PlanBody {
    /// A condition over time.
    Condition(Arc<ConditionPlan>),
    /// Windows.
    Window(Arc<WindowPlan>),
    /// A pattern.
    Pattern(Arc<PatternPlan>),
    /// A graph.
    Graph(Arc<GraphPlan>),
    /// Any of these, or a join, over rows of several resources.
    Wide(Arc<WidePlan>),
}

/// `where`, with a table of its own: it sees every row, also those that it rejects.
#[derive(Debug)]
pub(crate) struct FilterPlan {
    pub(crate) table: SlotTable,
    pub(crate) bound: Bound,
}

/// A rule, compiled.
#[derive(Debug)]
pub struct Plan {
    rule: Rule,
    templates: Vec<PlanTemplate>,
    /// Templates of each action, then of each target.
    spans: Vec<Range<usize>>,
    pub(crate) name: Arc<str>,
    pub(crate) filter: Option<Arc<FilterPlan>>,
    pub(crate) body: PlanBody,
    pub(crate) texts: Vec<TextPlan>,
}

/// Compiles a formula; on a problem its issues are kept and `None` comes back.
pub(crate) fn formula(
    text: &FormulaText,
    context: FormulaContext,
    issues: &mut Issues,
) -> Option<Formula> {
    judged(text, (context, &AliasScope::default()), false, issues)
}

/// The same for a formula that must say true or false.
pub(crate) fn condition(
    text: &FormulaText,
    context: FormulaContext,
    issues: &mut Issues,
) -> Option<Formula> {
    judged(text, (context, &AliasScope::default()), true, issues)
}

/// The same for a formula that may ask for the members of groups.
pub(crate) fn condition_over(
    text: &FormulaText,
    scope: &AliasScope,
    issues: &mut Issues,
) -> Option<Formula> {
    judged(text, (FormulaContext::Condition, scope), true, issues)
}

fn judged(
    text: &FormulaText,
    (context, scope): (FormulaContext, &AliasScope),
    condition: bool,
    issues: &mut Issues,
) -> Option<Formula> {
    let found = match Formula::compile_aliased(text, context, scope) {
        Ok(formula) => {
            let found = formula.mismatches(text, condition);
            if found.is_empty() {
                return Some(formula);
            }
            found
        }
        Err(found) => found,
    };
    issues.extend(found);
    None
}

impl Plan {
    /// Compiles a rule.
    ///
    /// # Errors
    /// All problems of all formulas at once, in the order of the document, each behind the name of the rule.
    pub fn compile(rule: &Rule) -> Result<Self, Issues> {
        let plan = if wide::is_wide(rule) {
            wide::compile(rule)
        } else {
            Self::compile_own(rule)
        };
        plan.map_err(|mut issues| {
            for issue in &mut issues {
                issue.path = match issue.path.as_str() {
                    "" => format!("rule {}", rule.name),
                    path => format!("rule {}: {path}", rule.name),
                };
            }
            issues.sort_by_key(|issue| issue.mark);
            issues
        })
    }

    /// A rule over several resources, with what it was compiled to.
    pub(crate) fn of_wide(rule: &Rule, filter: Option<Arc<FilterPlan>>, wide: WidePlan) -> Self {
        Self {
            rule: rule.clone(),
            templates: texts::listed(rule),
            spans: texts::spans(rule),
            name: rule.name.shared(),
            filter,
            body: PlanBody::Wide(Arc::new(wide)),
            texts: Vec::new(),
        }
    }

    /// Compiles a rule whose tasks read the rows of one resource, as far as they know.
    fn compile_own(rule: &Rule) -> Result<Self, Issues> {
        let mut issues = Issues::new();
        let filter = filter(rule, &mut issues);
        let context = match rule.body {
            Body::When(_) | Body::Pattern(_) | Body::Graph(_) | Body::Join(_) => {
                FormulaContext::Condition
            }
            Body::Window(_) => FormulaContext::WindowEmit,
        };
        let body = match &rule.body {
            Body::When(when) => {
                let draft = condition::Draft::compile(rule, when, &mut issues);
                draft.map(|draft| Draft::Condition(draft, when))
            }
            Body::Window(window) => window::Draft::compile(window, &mut issues).map(Draft::Window),
            Body::Pattern(pattern) => {
                pattern::Draft::compile(rule, pattern, &mut issues).map(Draft::Pattern)
            }
            Body::Graph(graph) => {
                let draft = graph::Draft::compile(rule, graph, &mut issues);
                draft.map(|draft| Draft::Graph(Box::new(draft)))
            }
            // A join has rows of several resources, always.
            Body::Join(_) => None,
        };
        let aliases = match &rule.body {
            Body::Pattern(pattern) => pattern::names(pattern),
            Body::Graph(graph) => graph::names(graph),
            _ => AliasScope::default(),
        };
        let aliases = aliases.with_groups(&members::names(rule));
        let texts = texts::Texts::compile(rule, (context, &aliases), &mut issues);
        let (Some(body), true) = (body, issues.is_empty()) else {
            return Err(issues);
        };
        let (body, bound) = match body {
            Draft::Condition(draft, when) => {
                let (plan, texts) = draft.finish((rule, when), texts.list);
                (PlanBody::Condition(Arc::new(plan)), texts)
            }
            Draft::Pattern(draft) => {
                let plan = draft.finish(rule, texts.list);
                (PlanBody::Pattern(Arc::new(plan)), Vec::new())
            }
            Draft::Graph(draft) => {
                let plan = draft.finish(rule, texts.list);
                (PlanBody::Graph(Arc::new(plan)), Vec::new())
            }
            Draft::Window(draft) => {
                let plan = draft.finish(rule, filter.as_deref(), texts.list);
                (PlanBody::Window(Arc::new(plan)), Vec::new())
            }
        };
        Ok(Self {
            rule: rule.clone(),
            templates: texts::listed(rule),
            spans: texts::spans(rule),
            name: rule.name.shared(),
            filter,
            body,
            texts: bound,
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
        describe::lines(self)
    }

    /// When rows are judged.
    pub(crate) fn order(&self) -> Order {
        let default = match self.rule.body {
            Body::Pattern(_) => Order::Time,
            _ => Order::Arrival,
        };
        self.rule.timing.order.unwrap_or(default)
    }

    /// What two rules must have in common before they can share anything: which rows they see, and when.
    pub(crate) fn input_identity(&self) -> String {
        let filter = self.filter.as_ref();
        let filter = filter.map(|f| f.bound.formula.normal_text().to_string());
        format!(
            "{:?}\n{:?}\n{:?}\n{:?}",
            self.rule.selector,
            filter,
            self.rule.timing,
            self.order()
        )
    }
}

enum Draft<'a> {
    Condition(condition::Draft, &'a When),
    Window(window::Draft),
    Pattern(pattern::Draft),
    Graph(Box<graph::Draft>),
}

fn filter(rule: &Rule, issues: &mut Issues) -> Option<Arc<FilterPlan>> {
    let formula = condition(rule.filter.as_ref()?, FormulaContext::RowFilter, issues)?;
    let mut gatherer = Gatherer::default();
    gatherer.add(formula.slots(), false);
    let table = gatherer.finish();
    let bound = table.bind(formula);
    Some(Arc::new(FilterPlan { table, bound }))
}
