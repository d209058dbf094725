//! [`JoinPlan`]: a compiled `join`: its two sides, their keys, and what is told of a pair.

use std::sync::Arc;

use tidegate_proto::{
    FormulaText, Issue, Issues, Join, JoinStream, JoinWithin, MAX_SKEW, Order, Rule, Selector,
    TaskClock,
};
use tidegate_scripts::{
    AliasField, AliasKind, AliasPick, AliasScope, Formula, FormulaContext, Slot, name_problem,
};

use super::slots::Gatherer;
use super::texts::{Script, TextPlan, Texts};
use super::wide::{WideEngine, WidePlan, identity};
use super::{FilterPlan, Plan};

/// Where a slot of a join's formula gets its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JoinSource {
    /// Of the left row, or of the right one.
    Row(bool, RowField),
    /// A column of `emit`.
    Column(usize),
}

/// What of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowField {
    /// The value of a metric, by its place in the side's list.
    Metric(usize),
    Time,
    Resource,
    /// The event's own id.
    Id,
}

/// A formula and where its slots get their values.
#[derive(Debug)]
pub(crate) struct JoinFormula {
    pub(crate) formula: Formula,
    pub(crate) sources: Vec<JoinSource>,
}

/// One stream.
#[derive(Debug)]
pub(crate) struct SidePlan {
    pub(crate) from: Selector,
    pub(crate) filter: Option<FilterPlan>,
    /// Metrics that formulas ask for, and traits: those that the resource has when the row is read.
    pub(crate) metrics: Vec<Arc<str>>,
    /// Places of the traits among the metrics.
    pub(crate) traits: Vec<usize>,
    pub(crate) keys: Vec<JoinFormula>,
    /// Places of the bounds of a line's window among the metrics, if rows of equal windows are partners.
    pub(crate) bounds: Bounds,
}

/// Places of `win_start` and `win_end`.
type Bounds = Option<(usize, usize)>;

impl SidePlan {
    /// Left and right.
    fn both(
        join: &Join,
        [left_filter, right_filter]: [Option<FilterPlan>; 2],
        [left_metrics, right_metrics]: [Vec<Arc<str>>; 2],
        [left_keys, right_keys]: [Vec<JoinFormula>; 2],
        [left_bounds, right_bounds]: [Bounds; 2],
    ) -> [Self; 2] {
        let side = |stream: &JoinStream, filter, metrics: Vec<Arc<str>>, (keys, bounds)| {
            let traits = metrics.iter().enumerate();
            let traits = traits.filter_map(|(place, name)| is_trait(name).then_some(place));
            Self {
                from: stream.from.clone(),
                filter,
                traits: traits.collect(),
                metrics,
                keys,
                bounds,
            }
        };
        let (left, right) = ((left_keys, left_bounds), (right_keys, right_bounds));
        [
            side(&join.left, left_filter, left_metrics, left),
            side(&join.right, right_filter, right_metrics, right),
        ]
    }
}

/// A join, compiled.
#[derive(Debug)]
pub(crate) struct JoinPlan {
    pub(crate) join: Join,
    /// Rules whose lines are in a stream, sorted.
    pub(crate) rules: Vec<Arc<str>>,
    /// Left and right.
    pub(crate) sides: [SidePlan; 2],
    pub(crate) filter: Option<JoinFormula>,
    /// Columns; none: all that the rows carry.
    pub(crate) emit: Vec<(Arc<str>, JoinFormula)>,
    pub(crate) texts: Vec<TextPlan<JoinSource>>,
}

/// Finds sources for slots, and the metrics that each side has to keep.
struct Resolver<'a> {
    names: [&'a str; 2],
    metrics: [Vec<Arc<str>>; 2],
    columns: Vec<Arc<str>>,
}

impl Resolver<'_> {
    /// Where a slot gets its value, or what is wrong and how to mend it.
    fn source(&mut self, slot: &Slot) -> Result<JoinSource, (String, String)> {
        let Slot::Alias(asked) = slot else {
            if let Slot::Metric(name) = slot
                && let Some(column) = self.columns.iter().position(|column| column == name)
            {
                return Ok(JoinSource::Column(column));
            }
            let [left, right] = self.names;
            if let Slot::Metric(name) = slot
                && let Some((head, _)) = name.split_once('.')
                && self.names.contains(&head)
            {
                let hint = format!("the left side stands first: `[{left}.NAME, {right}.NAME]`");
                return Err((
                    format!("`{slot}` stands on the side of the other stream"),
                    hint,
                ));
            }
            let hint = format!("write `{left}.NAME` or `{right}.NAME`");
            return Err((format!("`{slot}` is of no stream"), hint));
        };
        let side = self
            .names
            .iter()
            .position(|name| *name == asked.alias.as_ref());
        let Some(side) = side.filter(|_| asked.pick == AliasPick::One) else {
            return Err((format!("`{slot}` is no value of one row"), String::new()));
        };
        let field = match &asked.field {
            AliasField::Metric(name) => RowField::Metric(self.metric(side, name)),
            AliasField::Time => RowField::Time,
            AliasField::Resource => RowField::Resource,
            AliasField::Id => RowField::Id,
            AliasField::Row => {
                let hint = format!("write `{}.NAME`", asked.alias);
                return Err((format!("`{slot}` is a whole row, not a value of it"), hint));
            }
        };
        Ok(JoinSource::Row(side == 0, field))
    }

    fn metric(&mut self, side: usize, name: &Arc<str>) -> usize {
        let Some(metrics) = self.metrics.get_mut(side) else {
            return 0;
        };
        metrics
            .iter()
            .position(|known| known == name)
            .unwrap_or_else(|| {
                metrics.push(Arc::clone(name));
                metrics.len() - 1
            })
    }

    /// Places of the bounds of lines' windows, if they make partners.
    fn bounds(&mut self, join: &Join) -> [Bounds; 2] {
        let (start, end) = (Arc::from("win_start"), Arc::from("win_end"));
        [0, 1].map(|side| {
            let same = join.within == JoinWithin::Same;
            same.then(|| (self.metric(side, &start), self.metric(side, &end)))
        })
    }

    fn sources(
        &mut self,
        slots: &[Slot],
        text: &FormulaText,
        issues: &mut Issues,
    ) -> Vec<JoinSource> {
        let mut sources = Vec::with_capacity(slots.len());
        for slot in slots {
            match self.source(slot) {
                Ok(source) => sources.push(source),
                Err((problem, hint)) => {
                    issues.push(Issue::new(text.path.as_ref(), text.mark, problem).hint(hint));
                }
            }
        }
        sources
    }

    fn formula(
        &mut self,
        (text, condition): (&FormulaText, bool),
        scope: &AliasScope,
        issues: &mut Issues,
    ) -> Option<JoinFormula> {
        match Formula::compile_aliased(text, FormulaContext::RowFilter, scope) {
            Ok(formula) => {
                issues.extend(formula.mismatches(text, condition));
                let sources = self.sources(formula.slots(), text, issues);
                Some(JoinFormula { formula, sources })
            }
            Err(found) => {
                issues.extend(found);
                None
            }
        }
    }
}

/// Whether a name behind a stream is one of what a resource is, as it is without a stream.
fn is_trait(name: &str) -> bool {
    let path = ["meta.", "labels."];
    path.iter().any(|path| name.starts_with(path)) || ["type", "parent"].contains(&name)
}

fn scope(names: &[&Arc<str>]) -> AliasScope {
    let names = names.iter().map(|name| (Arc::clone(name), AliasKind::Row));
    AliasScope {
        names: names.collect(),
        ..AliasScope::default()
    }
}

fn filter(stream: &JoinStream, issues: &mut Issues) -> Option<FilterPlan> {
    let text = stream.filter.as_ref()?;
    let formula = super::condition(text, FormulaContext::RowFilter, issues)?;
    let mut gatherer = Gatherer::default();
    gatherer.add(formula.slots(), false);
    let table = gatherer.finish();
    let bound = table.bind(formula);
    Some(FilterPlan { table, bound })
}

fn check_names(join: &Join, issues: &mut Issues) {
    for stream in [&join.left, &join.right] {
        if let Some(problem) = name_problem(&stream.name) {
            let path = format!("join.streams.{}", stream.name);
            let issue = Issue::new(path, Default::default(), problem);
            issues.push(issue.hint("give the stream another name"));
        }
    }
}

/// Compiles a join.
pub(crate) fn compile(rule: &Rule, join: &Join, mut issues: Issues) -> Result<Plan, Issues> {
    check_names(join, &mut issues);
    let mut resolver = Resolver {
        names: [&join.left.name, &join.right.name],
        metrics: [Vec::new(), Vec::new()],
        columns: Vec::new(),
    };
    let (left, right) = (scope(&[&join.left.name]), scope(&[&join.right.name]));
    let both = scope(&[&join.left.name, &join.right.name]);
    let mut keys = [Vec::new(), Vec::new()];
    let [left_keys, right_keys] = &mut keys;
    for (of_left, of_right) in &join.on {
        left_keys.extend(resolver.formula((of_left, false), &left, &mut issues));
        right_keys.extend(resolver.formula((of_right, false), &right, &mut issues));
    }
    let filters = [&join.left, &join.right].map(|stream| filter(stream, &mut issues));
    let condition = join.filter.as_ref();
    let condition = condition.and_then(|text| resolver.formula((text, true), &both, &mut issues));
    let emit = join.emit.iter().filter_map(|(name, text)| {
        let formula = resolver.formula((text, false), &both, &mut issues)?;
        Some((Arc::clone(name), formula))
    });
    let emit: Vec<_> = emit.collect();
    resolver.columns = join.emit.iter().map(|(name, _)| Arc::clone(name)).collect();
    let texts = Texts::compile(rule, (FormulaContext::RowFilter, &both), &mut issues);
    let place = join.emit.first().map(|(_, text)| text.clone());
    let texts = bind_texts(texts.list, place.as_ref(), &mut resolver, &mut issues);
    if !issues.is_empty() {
        return Err(issues);
    }
    let bounds = resolver.bounds(join);
    let plan = JoinPlan {
        sides: SidePlan::both(join, filters, resolver.metrics, keys, bounds),
        filter: condition,
        emit,
        texts,
        rules: join.rules(),
        join: join.clone(),
    };
    Ok(Plan::of_wide(rule, None, wide(rule, plan)))
}

fn bind_texts(
    scripts: Vec<Script>,
    place: Option<&FormulaText>,
    resolver: &mut Resolver<'_>,
    issues: &mut Issues,
) -> Vec<TextPlan<JoinSource>> {
    let at = FormulaText {
        path: Arc::from("then"),
        source: Arc::from(""),
        mark: place.map(|text| text.mark).unwrap_or_default(),
    };
    let texts = scripts.into_iter().map(|script| TextPlan {
        places: resolver.sources(script.slots(), &at, issues),
        script,
    });
    texts.collect()
}

fn wide(rule: &Rule, plan: JoinPlan) -> WidePlan {
    let ordered = rule.timing.order == Some(Order::Time);
    WidePlan {
        identity: format!("{}\n{:?}", identity(rule, false), plan.join),
        engine: WideEngine::Join(Arc::new(plan)),
        everything: true,
        heard: Vec::new(),
        inputs: Vec::new(),
        columns: Vec::new(),
        calls: Vec::new(),
        eager: false,
        by: None,
        ordered,
        drops_late: false,
        every_row: true,
        // Rows wait for partners anyway: how far they may be out of order stays what it is.
        timing: (rule.timing.disorder, rule.timing.idle),
        clock: rule.across.clock.unwrap_or(TaskClock::Least),
        max_skew: rule.across.max_skew.unwrap_or(MAX_SKEW).0,
    }
}
