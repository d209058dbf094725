//! [`WidePlan`]: a rule whose tasks read several resources: whose rows go where, whose time counts, and what runs on them.

use std::sync::Arc;

use tidegate_proto::{
    Across, Body, FormulaText, Input, InputSource, Issue, Issues, MAX_SKEW, Order, Rule, Selector,
    Span, TaskClock, Timing,
};
use tidegate_scripts::{Formula, FormulaContext, Slot, Template, name_problem};

use super::join::JoinPlan;
use super::members::{self, GroupCall, GroupPlan};
use super::slots::{Form, SlotTable};
use super::{FilterPlan, Plan, PlanBody, elsewhere, join};
use crate::watermark::OwnTiming;

/// What runs on the rows of a task.
#[derive(Debug)]
pub(crate) enum WideEngine {
    /// A condition or windows, as of a rule of its own.
    Inner(Arc<Plan>),
    /// A join.
    Join(Arc<JoinPlan>),
}

/// Where the values of a name come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feed {
    /// The task's own resource, or everything.
    Own,
    /// An input, by its number.
    Input(usize),
    /// What is asked of all members of a group, by its number: computed, never read.
    Call(usize),
    /// The id of the row's resource.
    Resource,
}

/// One name that the engine asks for.
#[derive(Clone, Debug)]
pub(crate) struct ColumnPlan {
    /// What the engine calls it.
    pub(crate) name: Arc<str>,
    /// What the rows call it.
    pub(crate) metric: Arc<str>,
    pub(crate) feed: Feed,
    /// Whether a row that carries it is judged.
    pub(crate) judged: bool,
}

/// One input, compiled.
#[derive(Debug)]
pub(crate) enum InputPlan {
    /// The other resource, over the traits of the task's own.
    Resource(Template),
    /// A group of resources.
    Group(Box<GroupPlan>),
}

/// What rows of a pattern over everything must have in common.
#[derive(Debug)]
pub(crate) struct KeyPlan {
    pub(crate) formula: Formula,
    /// Metrics that it asks for, in the order of their slots.
    pub(crate) metrics: Vec<Arc<str>>,
}

impl KeyPlan {
    fn compile(rule: &Rule, issues: &mut Issues) -> Option<Self> {
        let Body::Pattern(pattern) = &rule.body else {
            return None;
        };
        let formula = super::formula(pattern.by.as_ref()?, FormulaContext::RowFilter, issues)?;
        let metrics = formula.slots().iter().filter_map(|slot| match slot {
            Slot::Metric(name) => Some(Arc::clone(name)),
            _ => None,
        });
        Some(Self {
            metrics: metrics.collect(),
            formula,
        })
    }
}

/// A rule over several resources, compiled.
#[derive(Debug)]
pub(crate) struct WidePlan {
    pub(crate) engine: WideEngine,
    /// One task over everything, instead of one per resource.
    pub(crate) everything: bool,
    pub(crate) inputs: Vec<InputPlan>,
    /// Which of them are what other rules say.
    pub(crate) heard: Vec<usize>,
    pub(crate) columns: Vec<ColumnPlan>,
    /// What is asked of the members of groups.
    pub(crate) calls: Vec<GroupCall>,
    /// Whether rows of inputs begin a task too: its own resource may never say anything.
    pub(crate) eager: bool,
    /// Key of the tasks of a pattern over everything.
    pub(crate) by: Option<KeyPlan>,
    /// Rows wait until the task's time has passed them, and are taken in row order.
    pub(crate) ordered: bool,
    /// Whether a row that waits is late once its time has passed, instead of the engine's saying so.
    pub(crate) drops_late: bool,
    /// Whether every row counts, whatever it carries.
    pub(crate) every_row: bool,
    pub(crate) timing: OwnTiming,
    pub(crate) clock: TaskClock,
    pub(crate) max_skew: i64,
    /// Equal for revisions that go on with each other's state.
    pub(crate) identity: String,
}

impl WidePlan {
    /// Whether it is a join of rows of one resource each: its tasks are named after resources.
    pub(crate) fn joins_resources(&self) -> bool {
        let WideEngine::Join(join) = &self.engine else {
            return false;
        };
        join.sides.iter().all(|side| side.keys.is_empty())
    }

    /// How far back values are kept for rows that come below the watermark, if there may be such rows.
    pub(crate) fn horizon(&self) -> Option<i64> {
        let WideEngine::Inner(plan) = &self.engine else {
            return None;
        };
        match &plan.body {
            PlanBody::Window(window) => Some(window.horizon),
            _ => None,
        }
    }
}

/// Whether rows of several resources meet in a task.
pub(crate) fn is_wide(rule: &Rule) -> bool {
    rule.selector == Selector::Everything
        || !rule.across.inputs.is_empty()
        || elsewhere::looks(rule)
        || matches!(rule.body, Body::Join(_))
}

/// The rule that runs inside: rows come to it in their order, and time is given to it.
fn inner(rule: &Rule) -> Rule {
    let mut inner = rule.clone();
    inner.filter = None;
    inner.timing = Timing {
        disorder: None,
        idle: None,
        order: Some(Order::Arrival),
    };
    inner
}

fn timing(rule: &Rule, ordered: bool) -> OwnTiming {
    if ordered {
        (rule.timing.disorder, rule.timing.idle)
    } else {
        (Some(Span::ZERO), rule.timing.idle)
    }
}

/// Compiles a rule over several resources.
pub(crate) fn compile(rule: &Rule) -> Result<Plan, Issues> {
    let mut issues = Issues::new();
    let filter = super::filter(rule, &mut issues);
    let by = KeyPlan::compile(rule, &mut issues);
    super::passive::refuse(rule, &mut issues);
    let named = rule.across.inputs.iter();
    for input in named {
        check_name(input, &mut issues);
    }
    if let Body::Join(body) = &rule.body {
        return join::compile(rule, body, issues);
    }
    let plan = match Plan::compile_own(&inner(rule)) {
        Ok(plan) => plan,
        Err(found) => {
            issues.extend(found);
            return Err(issues);
        }
    };
    let everything = rule.selector == Selector::Everything;
    let Some((table, every_row)) = read(&plan.body) else {
        return Err(issues);
    };
    let implied = elsewhere::implied(rule, table);
    let eager = !implied.is_empty() || rule.across.inputs.iter().any(Input::is_group);
    let mut across = rule.across.clone();
    across.inputs.extend(implied);
    let named = across.inputs.iter();
    let inputs: Vec<_> = named.map(|i| input(i, rule, &mut issues)).collect();
    if everything {
        refuse_traits(rule, &plan, &mut issues);
    }
    let (columns, calls) = columns(&across, table);
    refuse_idle(rule, &columns, every_row, &mut issues);
    refuse_filter(rule, filter.as_deref(), &mut issues);
    if !issues.is_empty() {
        return Err(issues);
    }
    let windows = matches!(rule.body, Body::Window(_));
    let ordered = windows || order(rule) == Order::Time;
    let wide = WidePlan {
        everything,
        eager,
        by,
        heard: heard(&across),
        inputs: inputs.into_iter().flatten().collect(),
        ordered,
        drops_late: !windows,
        every_row,
        timing: timing(rule, ordered),
        clock: rule.across.clock.unwrap_or(TaskClock::Least),
        max_skew: rule.across.max_skew.unwrap_or(MAX_SKEW).0,
        identity: whole_identity(rule, windows),
        columns,
        calls,
        engine: WideEngine::Inner(Arc::new(plan)),
    };
    Ok(Plan::of_wide(rule, filter, wide))
}

/// What the engine inside reads, and whether every row counts.
fn read(body: &PlanBody) -> Option<(&SlotTable, bool)> {
    match body {
        PlanBody::Condition(condition) => Some((&condition.table, condition.every_row)),
        PlanBody::Window(window) => Some((&window.table, window.every_row)),
        PlanBody::Pattern(pattern) => Some((&pattern.table, pattern.every_row)),
        PlanBody::Graph(graph) => Some((&graph.table, graph.every_row())),
        PlanBody::Wide(_) => None,
    }
}

/// When rows are judged.
fn order(rule: &Rule) -> Order {
    let default = match rule.body {
        Body::Pattern(_) => Order::Time,
        _ => Order::Arrival,
    };
    rule.timing.order.unwrap_or(default)
}

/// What revisions must have in common to go on: whose rows are read, and in what order.
pub(crate) fn identity(rule: &Rule, windows: bool) -> String {
    let filter = rule.filter.as_ref().map(|filter| &filter.source);
    let inputs = rule.across.inputs.iter().map(|input| {
        let source: Vec<String> = match &input.source {
            InputSource::Resource(text) => vec![text.source.to_string()],
            InputSource::Group(of) => {
                let texts = of.texts();
                texts
                    .map(|(name, text)| format!("{name} {}", text.source))
                    .collect()
            }
        };
        (&input.name, source, &input.metric)
    });
    format!(
        "{:?}\n{filter:?}\n{:?}\n{:?}\n{:?}\n{windows}\n{:?}",
        rule.selector,
        rule.timing,
        rule.across.clock,
        rule.across.max_skew,
        inputs.collect::<Vec<_>>()
    )
}

/// The same with whose rows sensors and elements look at.
fn whole_identity(rule: &Rule, windows: bool) -> String {
    let elsewhere = elsewhere::identity(rule);
    format!("{}\n{elsewhere:?}", identity(rule, windows))
}

fn check_name(input: &Input, issues: &mut Issues) {
    if let Some(problem) = name_problem(&input.name) {
        let path = format!("inputs.{}", input.name);
        let issue = Issue::new(path, input.mark(), problem);
        issues.push(issue.hint("give the input another name"));
    }
}

fn input(input: &Input, rule: &Rule, issues: &mut Issues) -> Option<InputPlan> {
    match &input.source {
        InputSource::Resource(text) => {
            members::template(text, rule, issues).map(InputPlan::Resource)
        }
        InputSource::Group(of) => GroupPlan::compile(input, of, rule, issues)
            .map(|group| InputPlan::Group(Box::new(group))),
    }
}

fn heard(across: &Across) -> Vec<usize> {
    let inputs = across.inputs.iter().enumerate();
    let heard = inputs.filter(|(_, input)| input.rule.is_some());
    heard.map(|(number, _)| number).collect()
}

fn columns(across: &Across, table: &SlotTable) -> (Vec<ColumnPlan>, Vec<GroupCall>) {
    let (mut columns, mut calls) = (Vec::new(), Vec::<GroupCall>::new());
    for place in &table.places {
        let Form::Metric(name) = &place.form else {
            continue;
        };
        let call = table.group_call(name);
        if let Some(call) = call.and_then(|call| GroupCall::of(call, &across.inputs, place.judged))
        {
            columns.push(ColumnPlan {
                name: Arc::clone(name),
                metric: Arc::clone(name),
                feed: Feed::Call(calls.len()),
                judged: false,
            });
            calls.push(call);
            continue;
        }
        if name.as_ref() == elsewhere::OF_RESOURCE {
            columns.push(ColumnPlan {
                name: Arc::clone(name),
                metric: Arc::clone(name),
                feed: Feed::Resource,
                judged: false,
            });
            continue;
        }
        let number = across.inputs.iter().position(|input| input.name == *name);
        let input = number.and_then(|number| across.inputs.get(number));
        columns.push(ColumnPlan {
            name: Arc::clone(name),
            metric: Arc::clone(input.map_or(name, |input| &input.metric)),
            feed: number.map_or(Feed::Own, Feed::Input),
            judged: place.judged,
        });
    }
    for (number, input) in across.inputs.iter().enumerate() {
        let asked = calls.iter().any(|call| call.input == number);
        if asked && !columns.iter().any(|column| column.name == input.name) {
            columns.push(ColumnPlan {
                name: Arc::clone(&input.name),
                metric: Arc::clone(&input.metric),
                feed: Feed::Input(number),
                judged: !input.passive,
            });
        }
    }
    (columns, calls)
}

/// A rule that no row makes judge anything.
fn refuse_idle(rule: &Rule, columns: &[ColumnPlan], every_row: bool, issues: &mut Issues) {
    let Some(first) = rule.across.inputs.first() else {
        return;
    };
    if !every_row && !columns.iter().any(|column| column.judged) {
        let problem = "the rule asks for passive inputs alone: no row would ever be judged";
        let hint = "leave `passive` out, or ask for a metric of the resource itself";
        issues.push(Issue::new("inputs", first.mark(), problem).hint(hint));
    }
    for input in &rule.across.inputs {
        if !columns.iter().any(|column| column.name == input.name)
            && !elsewhere::names(rule, &input.name)
        {
            let path = format!("inputs.{}", input.name);
            let problem = "no formula of the rule asks for this input";
            let hint = "leave it out, or use its name in a formula";
            issues.push(Issue::new(path, input.mark(), problem).hint(hint));
        }
    }
}

/// `where` sees a row of the resource's own, which does not know what others said: it would never be true.
fn refuse_filter(rule: &Rule, filter: Option<&FilterPlan>, issues: &mut Issues) {
    let (Some(filter), Some(text)) = (filter, rule.filter.as_ref()) else {
        return;
    };
    for place in &filter.table.places {
        let Form::Metric(name) = &place.form else {
            continue;
        };
        if rule.across.inputs.iter().any(|input| input.name == *name) {
            let problem = format!(
                "`where` looks at the resource's own rows, which do not have the input `{name}`"
            );
            let hint =
                "ask for it in the condition, or give the input another name than the metric";
            issues.push(Issue::new(text.path.as_ref(), text.mark, problem).hint(hint));
        }
    }
}

/// Everything has no traits.
fn refuse_traits(rule: &Rule, plan: &Plan, issues: &mut Issues) {
    let nameless = |form: &Form| matches!(form, Form::Trait(_) | Form::Resource);
    let first: Option<&FormulaText> = match &rule.body {
        Body::When(when) => when.levels.first().map(|level| &level.when),
        Body::Window(window) => window.emit.first().map(|(_, text)| text),
        _ => None,
    };
    let slot = match &plan.body {
        PlanBody::Condition(condition) => {
            let mut places = condition.table.places.iter();
            let found = places.find(|place| nameless(&place.form));
            found.map(|place| place.label.to_string())
        }
        PlanBody::Window(window) => window.nameless(),
        PlanBody::Pattern(pattern) => {
            let mut places = pattern.table.places.iter();
            let found = places.find(|place| nameless(&place.form));
            found.map(|place| place.label.to_string())
        }
        PlanBody::Graph(graph) => {
            let mut places = graph.table.places.iter();
            let found = places.find(|place| nameless(&place.form));
            found.map(|place| place.label.to_string())
        }
        PlanBody::Wide(_) => None,
    };
    if let Some(slot) = slot {
        let problem = format!("`{slot}` is of one resource, and this task is over everything");
        let hint = match rule.body {
            Body::Window(_) => "group by it: `by: { line: meta.line }`",
            _ => "ask for it in `where`, or write `for: all` for a task per resource",
        };
        let (path, mark) = first.map_or(("for", Default::default()), |text| {
            (text.path.as_ref(), text.mark)
        });
        issues.push(Issue::new(path, mark, problem).hint(hint));
    }
}

impl SlotTable {
    /// Notes which metrics are inputs: their age, whether their rows are judged, and that a row of the resource is paired
    /// with an input's value as of its time.
    pub(crate) fn note_inputs(&mut self, across: &Across) {
        if across.inputs.is_empty() {
            return;
        }
        let named = |name: &str| across.inputs.iter().find(|i| i.name.as_ref() == name);
        let mut foreign = Vec::new();
        for (index, place) in self.places.iter_mut().enumerate() {
            let Form::Metric(name) = &place.form else {
                continue;
            };
            if let Some(input) = named(name) {
                place.judged &= !input.passive;
                place.max_age = input.max_age.map_or(i64::MAX, |age| age.0);
                foreign.push(index);
            }
        }
        for place in &mut self.places {
            if let Form::Stream(plan) = &mut place.form {
                keep_leading(&mut plan.metrics, &foreign);
            }
        }
    }
}

/// Which metrics a row must carry itself: those that are no inputs, or the first if all are.
pub(crate) fn keep_leading(metrics: &mut Vec<usize>, foreign: &[usize]) {
    if metrics.iter().all(|place| foreign.contains(place)) {
        metrics.truncate(1);
    } else {
        metrics.retain(|place| !foreign.contains(place));
    }
}
