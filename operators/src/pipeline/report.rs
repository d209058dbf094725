//! What became of the parts of a rule that is applied: matched by content, not by position.

use std::sync::Arc;

use super::graphs::GraphUnit;
use super::patterns::PatternUnit;
use super::{ApplyReport, PartReport, PartState, Pipeline, Seat};
use crate::plan::condition::ConditionPlan;
use crate::plan::slots::Bound;
use crate::plan::wide::{WideEngine, WidePlan};
use crate::plan::window::WindowPlan;
use crate::plan::{Plan, PlanBody};

/// Parts of a rule: path, identity, and what it is a part of.
type Parts = Vec<(String, String)>;

fn condition_parts(plan: &Plan, condition: &ConditionPlan) -> Parts {
    let input = plan.input_identity();
    let text = |bound: &Bound| bound.formula.normal_text().to_string();
    let levels = || condition.levels.iter().enumerate();
    let mut parts: Parts = levels()
        .map(|(at, level)| (condition.level_path(at, "when"), text(&level.when)))
        .collect();
    for (place, stream) in condition.table.streams() {
        let place = condition.table.places.get(place);
        if let Some(place) = place.filter(|place| place.judged) {
            let path = format!("when: {}", place.label);
            parts.push((path, format!("{input}\n{}", stream.call.text)));
        }
    }
    for (at, level) in levels() {
        let clear = level.clear.iter();
        parts.extend(clear.map(|clear| (condition.level_path(at, "clear"), text(clear))));
    }
    parts
}

fn window_parts(plan: &Plan, window: &WindowPlan) -> Parts {
    let input = plan.input_identity();
    let by: Vec<&str> = window
        .by
        .iter()
        .map(|(_, by)| by.formula.normal_text().as_ref())
        .collect();
    let form = format!("{input}\n{:?}\n{:?}\n{by:?}", window.form, window.lateness);
    let mut parts = vec![("window".to_owned(), form)];
    for aggregate in &window.aggregates {
        parts.push((
            format!("window: {}", aggregate.identity),
            aggregate.identity.clone(),
        ));
    }
    parts
}

/// Parts of the rule inside, each of the same rows only.
fn wide_parts(wide: &WidePlan) -> Parts {
    match &wide.engine {
        WideEngine::Inner(inner) => {
            let parts = parts(inner).into_iter();
            let of = |(path, text): (String, String)| (path, format!("{}\n{text}", wide.identity));
            parts.map(of).collect()
        }
        WideEngine::Join(_) => vec![("join".to_owned(), wide.identity.clone())],
    }
}

fn parts(plan: &Plan) -> Parts {
    match &plan.body {
        PlanBody::Condition(condition) => condition_parts(plan, condition),
        PlanBody::Window(window) => window_parts(plan, window),
        PlanBody::Pattern(pattern) => {
            vec![("pattern".to_owned(), PatternUnit::frame(plan, pattern))]
        }
        PlanBody::Graph(graph) => GraphUnit::parts(plan, graph),
        PlanBody::Wide(wide) => wide_parts(wide),
    }
}

/// The first field of two rules that differs, for a part that could not keep its state.
fn difference(old: &Plan, new: &Plan) -> &'static str {
    let (a, b) = (old.rule(), new.rule());
    if a.selector != b.selector {
        return "for";
    }
    let filter = |plan: &Plan| {
        let filter = plan.filter.as_ref();
        filter.map(|f| Arc::clone(f.bound.formula.normal_text()))
    };
    if filter(old) != filter(new) {
        return "where";
    }
    if a.timing != b.timing {
        return "timing";
    }
    match (&old.body, &new.body) {
        (PlanBody::Condition(a), PlanBody::Condition(b)) if !a.judges_as(b) => "when",
        (PlanBody::Window(a), PlanBody::Window(b)) if a.form != b.form => "window",
        (PlanBody::Window(a), PlanBody::Window(b)) if a.lateness != b.lateness => "lateness",
        (PlanBody::Window(_), PlanBody::Window(_)) => "emit",
        (PlanBody::Pattern(_), PlanBody::Pattern(_)) => "pattern",
        (PlanBody::Graph(_), PlanBody::Graph(_)) => "graph",
        (PlanBody::Wide(a), PlanBody::Wide(b)) => match (&a.engine, &b.engine) {
            (WideEngine::Inner(_), WideEngine::Inner(_))
                if old.rule().across != new.rule().across =>
            {
                "inputs"
            }
            (WideEngine::Inner(a), WideEngine::Inner(b)) => difference(a, b),
            (WideEngine::Join(_), WideEngine::Join(_)) => "join",
            _ => "body",
        },
        _ => "body",
    }
}

impl Pipeline {
    fn running(&self, name: &str) -> Option<&Arc<Plan>> {
        match self.rules.get(name)? {
            Seat::Condition { group, unit } => {
                let unit = self.groups.get(*group)?.as_ref()?.units.get(*unit)?;
                unit.as_ref().map(|unit| &unit.plan)
            }
            Seat::Window(window) => self.windows.get(*window)?.as_ref().map(|w| &w.plan),
            Seat::Pattern(pattern) => self.patterns.get(*pattern)?.as_ref().map(|p| &p.plan),
            Seat::Graph(graph) => self.graphs.get(*graph)?.as_ref().map(|g| &g.plan),
            Seat::Wide(wide) => self.wides.get(*wide)?.as_ref().map(|w| &w.plan),
        }
    }

    /// The report of applying a plan to what runs now.
    pub(crate) fn report(&self, plan: &Plan) -> ApplyReport {
        let new = parts(plan);
        let old_plan = self.running(&plan.name);
        let old = old_plan.map(|plan| parts(plan)).unwrap_or_default();
        let mut report = ApplyReport::default();
        for part in &new {
            let kept = old.contains(part);
            let why_new = old_plan
                .filter(|_| !kept)
                .map(|old| difference(old, plan).to_owned());
            report.parts.push(PartReport {
                path: part.0.clone(),
                state: if kept {
                    PartState::Kept
                } else {
                    PartState::New
                },
                why_new,
            });
        }
        for (path, _) in old
            .iter()
            .filter(|part| new.iter().all(|(path, _)| *path != part.0))
        {
            report.parts.push(PartReport {
                path: path.clone(),
                state: PartState::Dropped,
                why_new: None,
            });
        }
        report
    }
}
