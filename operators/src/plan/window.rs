//! [`WindowPlan`]: a compiled `window / by / emit / having`.

use std::sync::Arc;

use tidegate_proto::{
    Across, Emission, Fill, FormulaText, Issues, Rule, Span, WindowForm, WindowRule,
};
use tidegate_scripts::{Formula, FormulaContext, Slot, StreamCall};

use super::slots::{Bound, Form, Gatherer, SlotTable};
use super::texts::{Script, TextPlan};
pub(crate) use super::waits::Waits;
use super::waits::{every_row, foreign, horizon, looks, reads, waits};
use crate::aggregate::AggregateKind;
use crate::window::{Argument, EmitMode, WindowMode};

/// One aggregate of the windows.
#[derive(Debug)]
pub(crate) struct AggregatePlan {
    /// Equal for equal aggregates.
    pub(crate) identity: String,
    pub(crate) kind: AggregateKind,
    /// The argument; `None` for `count()`.
    pub(crate) argument: Option<Bound>,
    /// The second argument of a pair.
    pub(crate) second: Option<Bound>,
    /// Place of the metric, when the argument is a bare metric.
    pub(crate) bare: Option<usize>,
    pub(crate) filter: Option<Bound>,
    /// Places of the metrics of the argument.
    pub(crate) metrics: Vec<usize>,
    /// Whether the argument is a condition: one of its metrics is enough, the others are as of the row.
    pub(crate) condition: bool,
    /// Whether it is asked of every row, whatever the row carries.
    pub(crate) always: bool,
}

impl AggregatePlan {
    /// Whether a row counts that says of a metric that it has no value.
    fn counts_nulls(&self) -> bool {
        (self.kind == AggregateKind::Count && self.argument.is_none()) || self.kind.takes_nulls()
    }
}

/// Where a formula over a window's result gets a value from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Aggregate(usize),
    /// A bare input, by its number among those: what it was before the window's end, whether or not a row of it is inside.
    Input(usize),
    By(usize),
    /// A column of the result.
    Column(usize),
    Trait(Arc<str>),
    Resource,
    Start,
    End,
}

/// A formula over a window's result.
#[derive(Debug)]
pub(crate) struct ResultFormula {
    pub(crate) formula: Formula,
    pub(crate) sources: Vec<Source>,
}

/// Windows, compiled.
#[derive(Debug)]
pub(crate) struct WindowPlan {
    /// What rows are asked for.
    pub(crate) table: SlotTable,
    pub(crate) form: WindowForm,
    pub(crate) lateness: Span,
    pub(crate) mode: WindowMode,
    pub(crate) fill: Fill,
    /// Whether a row is taken back before the next revision.
    pub(crate) retract: bool,
    /// Emits when it turns true.
    pub(crate) when: Option<ResultFormula>,
    /// Whether rows without a group key are left out.
    pub(crate) drop_null_keys: bool,
    pub(crate) by: Vec<(Arc<str>, Bound)>,
    /// Several groupings: which of `by` each has; the first of `by` tells them apart.
    pub(crate) sets: Vec<Vec<u32>>,
    pub(crate) aggregates: Vec<AggregatePlan>,
    pub(crate) emit: Vec<(Arc<str>, ResultFormula)>,
    pub(crate) having: Option<ResultFormula>,
    pub(crate) texts: Vec<TextPlan<Source>>,
    /// Whether every row of the resource is used: the rule asks for no metric.
    pub(crate) every_row: bool,
    /// Whether group keys and filters look at metrics that a row may not carry.
    pub(crate) looks: bool,
    /// Whether rows are used that say of a metric that it has no value: something counts them.
    pub(crate) nulls: bool,
    /// By place: whether keys, filters, conditions and signals read the metric as of a row that may not carry it.
    pub(crate) reads: Vec<bool>,
    /// Which rows wait for their time.
    pub(crate) waits: Waits,
    /// Places of the inputs that results name bare.
    pub(crate) bare_inputs: Vec<usize>,
    /// How far back values are kept that results and late rows ask for.
    pub(crate) horizon: i64,
}

/// Formulas of windows, compiled one by one.
#[derive(Debug)]
pub(crate) struct Draft {
    rule: WindowRule,
    by: Vec<(Arc<str>, Formula)>,
    emit: Vec<(Arc<str>, Formula)>,
    having: Option<Formula>,
    when: Option<Formula>,
    /// What begins a state and what ends it.
    signals: Vec<Formula>,
}

fn columns(
    texts: &[(Arc<str>, FormulaText)],
    context: FormulaContext,
    issues: &mut Issues,
) -> Vec<(Arc<str>, Formula)> {
    let formulas = texts.iter().map(|(name, text)| {
        let formula = super::formula(text, context, issues)?;
        Some((Arc::clone(name), formula))
    });
    formulas.flatten().collect()
}

impl Draft {
    pub(crate) fn compile(rule: &WindowRule, issues: &mut Issues) -> Option<Self> {
        let by = columns(&rule.by, FormulaContext::RowFilter, issues);
        let emit = columns(&rule.emit, FormulaContext::WindowEmit, issues);
        if matches!(rule.form, WindowForm::Sliding { .. }) {
            super::aggregates::refuse_sketches(&rule.emit, &emit, issues);
        }
        let having = rule.having.as_ref();
        let having = having.map(|text| super::condition(text, FormulaContext::WindowEmit, issues));
        let when = match &rule.options.emission {
            Emission::When { when, .. } => {
                Some(super::condition(when, FormulaContext::WindowEmit, issues))
            }
            _ => None,
        };
        let state = rule.options.state.iter();
        let texts = state.flat_map(|state| std::iter::once(&state.start).chain(&state.end));
        let is_value = matches!(rule.form, WindowForm::State(state) if state.of);
        let signals = texts.map(|text| {
            let context = FormulaContext::RowFilter;
            if is_value {
                super::formula(text, context, issues)
            } else {
                super::condition(text, context, issues)
            }
        });
        let signals: Vec<Formula> = signals.collect::<Option<_>>()?;
        Some(Self {
            rule: rule.clone(),
            by,
            emit,
            having: match having {
                Some(having) => Some(having?),
                None => None,
            },
            when: match when {
                Some(when) => Some(when?),
                None => None,
            },
            signals,
        })
    }

    pub(crate) fn finish(
        self,
        rule: &Rule,
        filter: Option<&super::FilterPlan>,
        texts: Vec<Script>,
    ) -> WindowPlan {
        let across = &rule.across;
        let mut resolver = Resolver::new(&self, &texts, across);
        for signal in &self.signals {
            resolver.signal(signal);
        }
        let emit = self.emit.iter();
        let emit: Vec<(Arc<str>, ResultFormula)> = emit
            .map(|(name, formula)| {
                let sources = resolver.sources(formula.slots(), false);
                let formula = formula.clone();
                (Arc::clone(name), ResultFormula { formula, sources })
            })
            .collect();
        let mut judged = |formula: &Formula| ResultFormula {
            sources: resolver.sources(formula.slots(), true),
            formula: formula.clone(),
        };
        let having = self.having.as_ref().map(&mut judged);
        let when = self.when.as_ref().map(&mut judged);
        let texts = resolver.texts(texts);
        let Resolver {
            mut table,
            mut aggregates,
            bare_inputs,
            ..
        } = resolver;
        let foreign = foreign(&table, across);
        let every_row = every_row(&table);
        table.note_inputs(across);
        for aggregate in &mut aggregates {
            super::wide::keep_leading(&mut aggregate.metrics, &foreign);
        }
        let by = self.by.into_iter();
        let by = by.map(|(name, formula)| (name, table.bind(formula)));
        let by: Vec<(Arc<str>, Bound)> = by.collect();
        let reads = reads(&table, &aggregates, &by);
        WindowPlan {
            bare_inputs,
            horizon: horizon(across, self.rule.lateness),
            waits: waits(rule, &self.rule, (&table, filter), &reads, every_row),
            reads,
            nulls: aggregates.iter().any(AggregatePlan::counts_nulls),
            by,
            every_row,
            looks: looks(&table, &aggregates, !self.rule.by.is_empty()) || !foreign.is_empty(),
            form: self.rule.form,
            lateness: self.rule.lateness,
            mode: mode(&self.rule, self.signals.len()),
            fill: self.rule.options.fill,
            retract: self.rule.options.retract,
            when,
            drop_null_keys: self.rule.drop_null_keys,
            sets: self.rule.sets,
            table,
            aggregates,
            emit,
            having,
            texts,
        }
    }
}

impl WindowPlan {
    /// What of a resource the results ask for, if they do.
    pub(crate) fn nameless(&self) -> Option<String> {
        let results = self.emit.iter().map(|(_, formula)| formula);
        let results = results.chain(&self.having).chain(&self.when);
        let sources = results.flat_map(|formula| &formula.sources);
        let texts = self.texts.iter().flat_map(|text| &text.places);
        sources.chain(texts).find_map(|source| match source {
            Source::Trait(path) => Some(path.to_string()),
            Source::Resource => Some("resource".to_owned()),
            _ => None,
        })
    }

    /// What each aggregate takes of a row: those of one argument and filter take the same.
    pub(crate) fn arguments(&self) -> Vec<Argument> {
        let taken = |a: &AggregatePlan| {
            a.identity
                .split_once('(')
                .map(|(_, taken)| taken.to_owned())
        };
        let all: Vec<_> = self.aggregates.iter().map(taken).collect();
        let argument = |a: &AggregatePlan| {
            if a.identity == "count()" {
                return Argument::Row;
            }
            let taken = taken(a);
            let first = all.iter().position(|other| *other == taken);
            Argument::Value(first.unwrap_or_default() as u32)
        };
        self.aggregates.iter().map(argument).collect()
    }
}

/// How the operator of windows runs; the first of its arguments are the signals of a state.
fn mode(rule: &WindowRule, signals: usize) -> WindowMode {
    let options = &rule.options;
    let (emit, also_close) = match &options.emission {
        Emission::OnClose => (EmitMode::OnClose, false),
        Emission::Final => (EmitMode::Final, false),
        Emission::OnChange => (EmitMode::OnChange, false),
        Emission::Every(every) => (EmitMode::Every(every.0), false),
        Emission::When { also_close, .. } => (EmitMode::When, *also_close),
    };
    WindowMode {
        emit,
        offset: options.offset,
        also_close,
        fill_limit: if options.fill == Fill::None {
            0
        } else {
            options.fill_limit
        },
        repeat_equal: options.repeat_equal,
        zone: options.zone.clone(),
        start: (signals > 0).then_some(0),
        end: (signals > 1).then_some(1),
    }
}

pub(super) fn is_metric(form: &Form) -> bool {
    matches!(form, Form::Metric(_))
}

/// Finds sources for slots, and the aggregates that they need.
struct Resolver<'a> {
    draft: &'a Draft,
    across: &'a Across,
    table: SlotTable,
    aggregates: Vec<AggregatePlan>,
    bare_inputs: Vec<usize>,
}

impl<'a> Resolver<'a> {
    fn new(draft: &'a Draft, texts: &[Script], across: &'a Across) -> Self {
        let mut gatherer = Gatherer::default();
        for (_, formula) in &draft.by {
            gatherer.add(formula.slots(), false);
        }
        let emit = draft
            .emit
            .iter()
            .map(|(_, formula)| (formula.slots(), false));
        for signal in &draft.signals {
            gatherer.add(signal.slots(), true);
        }
        let having = draft.having.iter().chain(&draft.when);
        let having = having.map(|formula| (formula.slots(), true));
        let texts = texts.iter().map(|script| (script.slots(), true));
        for (slots, columns) in emit.chain(having).chain(texts) {
            for slot in slots {
                match slot {
                    Slot::Stream(call) => {
                        for formula in &call.arguments {
                            gatherer.add(formula.slots(), true);
                        }
                        gatherer.add_past(call);
                        if let Some(formula) = &call.filter {
                            gatherer.add(formula.slots(), false);
                        }
                    }
                    Slot::Metric(name) if draft.named(name, columns).is_none() => {
                        gatherer.add(std::slice::from_ref(slot), true);
                    }
                    _ => {}
                }
            }
        }
        Self {
            draft,
            across,
            table: gatherer.finish(),
            aggregates: Vec::new(),
            bare_inputs: Vec::new(),
        }
    }

    fn sources(&mut self, slots: &[Slot], columns: bool) -> Vec<Source> {
        slots
            .iter()
            .map(|slot| match slot {
                Slot::Metric(name) => match self.draft.named(name, columns) {
                    Some(source) => source,
                    None => self.bare(slot, name),
                },
                Slot::Trait(path) => Source::Trait(Arc::clone(path)),
                Slot::Resource => Source::Resource,
                Slot::WindowStart => Source::Start,
                Slot::Time | Slot::WindowEnd => Source::End,
                Slot::Stream(call) => self.stream(call),
                // Formulas of windows see no aliases.
                Slot::Alias(_) => Source::End,
            })
            .collect()
    }

    fn texts(&mut self, texts: Vec<Script>) -> Vec<TextPlan<Source>> {
        let texts = texts.into_iter().map(|script| TextPlan {
            places: self.sources(script.slots(), true),
            script,
        });
        texts.collect()
    }

    fn stream(&mut self, call: &StreamCall) -> Source {
        match super::aggregates::kind(call) {
            Some(kind) => Source::Aggregate(self.aggregate(call, kind)),
            // The scripts refuse functions over a window that are no aggregates.
            None => Source::Resource,
        }
    }

    fn aggregate(&mut self, call: &StreamCall, kind: AggregateKind) -> usize {
        let identity = super::aggregates::identity(call);
        if let Some(found) = self.aggregates.iter().position(|a| a.identity == identity) {
            return found;
        }
        let argument = call.arguments.first().cloned();
        let argument = argument.map(|formula| self.table.bind(formula));
        let second = self.table.bind_second(call);
        let metric = |place: &usize| {
            let place = self.table.places.get(*place);
            place.is_some_and(|place| is_metric(&place.form))
        };
        let places = argument.iter().chain(&second);
        let places = places.flat_map(|bound| bound.places.iter().copied());
        let bare = argument
            .as_ref()
            .filter(|_| second.is_none() && !kind.takes_nulls());
        self.aggregates.push(AggregatePlan {
            identity,
            kind,
            bare: bare.and_then(super::slots::bare_metric),
            metrics: places.filter(metric).collect(),
            filter: call.filter.clone().map(|formula| self.table.bind(formula)),
            argument,
            second,
            condition: kind.is_condition(),
            always: false,
        });
        self.aggregates.len() - 1
    }

    /// What begins or ends a state: asked of every row.
    fn signal(&mut self, formula: &Formula) {
        self.aggregates.push(AggregatePlan {
            identity: format!("state {}", formula.normal_text()),
            kind: AggregateKind::Last,
            argument: Some(self.table.bind(formula.clone())),
            second: None,
            bare: None,
            filter: None,
            metrics: Vec::new(),
            condition: true,
            always: true,
        });
    }

    /// A bare metric, or a bare input: that one may have spoken before the task began, or bring no rows at all.
    fn bare(&mut self, slot: &Slot, name: &Arc<str>) -> Source {
        let latest = self.latest(slot);
        let place = self.table.places_of(std::slice::from_ref(slot));
        let mut inputs = self.across.inputs.iter();
        let Some(place) = place
            .first()
            .filter(|_| inputs.any(|input| input.name == *name))
        else {
            return Source::Aggregate(latest);
        };
        let known = self.bare_inputs.iter().position(|known| known == place);
        Source::Input(known.unwrap_or_else(|| {
            self.bare_inputs.push(*place);
            self.bare_inputs.len() - 1
        }))
    }

    /// The aggregate behind a bare metric.
    fn latest(&mut self, slot: &Slot) -> usize {
        let place = self.table.places_of(std::slice::from_ref(slot));
        let identity = format!("latest({slot})");
        if let Some(found) = self.aggregates.iter().position(|a| a.identity == identity) {
            return found;
        }
        self.aggregates.push(AggregatePlan {
            identity,
            kind: AggregateKind::Latest,
            argument: None,
            second: None,
            bare: place.first().copied(),
            filter: None,
            metrics: place,
            condition: false,
            always: false,
        });
        self.aggregates.len() - 1
    }
}

impl Draft {
    /// What a name means that is no metric: a column of the result, or a group key.
    fn named(&self, name: &str, columns: bool) -> Option<Source> {
        let place =
            |list: &[(Arc<str>, Formula)]| list.iter().position(|(n, _)| n.as_ref() == name);
        let column = columns.then(|| place(&self.emit)).flatten();
        column
            .map(Source::Column)
            .or_else(|| place(&self.by).map(Source::By))
    }
}

/// Time settings of the watermark that a rule's windows close at.
pub(crate) fn timing(rule: &Rule) -> (Option<Span>, Option<Span>) {
    (rule.timing.disorder, rule.timing.idle)
}
