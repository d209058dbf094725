//! A plan for people: one node per line, children indented, and what equal rules share.

use tidegate_proto::graph::GraphTarget;
use tidegate_proto::{InputSource, Order, Span};

use super::condition::ConditionPlan;
use super::graph::{Doing, GraphPlan};
use super::pattern::PatternPlan;
use super::wide::{WideEngine, WidePlan};
use super::window::WindowPlan;
use super::{Plan, PlanBody};
use crate::pattern::{Node, NodeKind};

fn input(plan: &Plan, lines: &mut Vec<String>) {
    let rule = plan.rule();
    if let Some(from) = &rule.from {
        lines.push(format!("rows: what {} says", from.rules.join(", ")));
    }
    lines.push(format!("rows of {}", selector(plan)));
    if let Some(filter) = &plan.filter {
        lines.push(format!("  where {}", filter.bound.formula.normal_text()));
    }
    let order = match plan.order() {
        Order::Arrival => "in order of arrival",
        Order::Time => "in order of event time",
    };
    let span = |span: Option<Span>| span.map_or("default".to_owned(), |span| span.to_string());
    let timing = rule.timing;
    let (disorder, idle) = (span(timing.disorder), span(timing.idle));
    lines.push(format!("  {order}, disorder {disorder}, idle {idle}"));
}

fn selector(plan: &Plan) -> String {
    use tidegate_proto::Selector;
    match &plan.rule().selector {
        Selector::All => "every resource".to_owned(),
        Selector::Everything => "everything, in one task".to_owned(),
        Selector::Ids(ids) => format!("{} named resources", ids.len()),
        Selector::Match { kind, labels } => {
            let mut text = match kind {
                Some(kind) => format!("resources of type `{kind}`"),
                None => "resources".to_owned(),
            };
            for (name, value) in labels {
                text.push_str(&format!(", label {name}={value}"));
            }
            text
        }
    }
}

fn condition(plan: &ConditionPlan, lines: &mut Vec<String>) {
    for (at, level) in plan.levels.iter().enumerate() {
        let path = plan.level_path(at, "when");
        lines.push(format!("{path} {}", level.when.formula.normal_text()));
    }
    for place in plan.table.places.iter().filter(|place| place.judged) {
        lines.push(format!("  {} [shared by equal rules]", place.label));
    }
    match &plan.threshold {
        Some(threshold) => lines.push(format!(
            "  threshold {} on {} [one sorted table for all such rules]",
            threshold.constant,
            threshold.value.formula.normal_text()
        )),
        None => lines.push("  judged by itself".to_owned()),
    }
    for (at, (level, rules)) in plan.levels.iter().zip(&plan.rules.levels).enumerate() {
        let path = |field: &str| plan.level_path(at, field);
        if let Some((needed, of)) = rules.dampen {
            lines.push(format!("{} {needed} of the last {of}", path("dampen")));
        }
        if rules.hold > 0 {
            lines.push(format!("{} {}", path("hold"), Span(rules.hold)));
        }
        if let Some(clear) = &level.clear {
            lines.push(format!("{} {}", path("clear"), clear.formula.normal_text()));
        }
        if rules.clear_hold > 0 {
            lines.push(format!("{} {}", path("clear hold"), Span(rules.clear_hold)));
        }
    }
    options(plan, lines);
}

fn options(plan: &ConditionPlan, lines: &mut Vec<String>) {
    let rules = &plan.rules;
    if rules.never_lower {
        lines.push("never lower until all levels are clear".to_owned());
    }
    if rules.again > 0 {
        lines.push(format!("again every {}", Span(rules.again)));
    }
    if let Some(guard) = rules.flapping {
        lines.push(format!(
            "flapping from {} changes within {} until {} are left",
            guard.changes,
            Span(guard.within),
            guard.until
        ));
    }
    if let Some(schedule) = &plan.schedule {
        lines.push(format!("active {schedule}"));
    }
}

fn window(plan: &WindowPlan, lines: &mut Vec<String>) {
    let form = plan.form;
    lines.push(format!("window {form}, lateness {}", plan.lateness));
    for (name, by) in &plan.by {
        lines.push(format!("  by {name}: {}", by.formula.normal_text()));
    }
    for aggregate in &plan.aggregates {
        lines.push(format!("  aggregate {}", aggregate.identity));
    }
    for (name, emit) in &plan.emit {
        lines.push(format!("emit {name}: {}", emit.formula.normal_text()));
    }
    if let Some(having) = &plan.having {
        lines.push(format!("having {}", having.formula.normal_text()));
    }
}

fn pattern(plan: &PatternPlan, lines: &mut Vec<String>) {
    let machine = &plan.machine;
    let mut head = "pattern".to_owned();
    if machine.within > 0 {
        head.push_str(&format!(", within {}", Span(machine.within)));
    }
    lines.push(head);
    elements(plan, &machine.steps, 1, lines);
    for (name, emit) in &plan.emit {
        lines.push(format!("emit {name}: {}", emit.formula.normal_text()));
    }
    if let Some(having) = &plan.having {
        lines.push(format!("having {}", having.formula.normal_text()));
    }
    let clear = plan
        .clear
        .and_then(|test| plan.tests.get(usize::from(test)));
    if let Some(clear) = clear {
        lines.push(format!("clear {}", clear.sourced.formula.normal_text()));
    }
}

/// Elements of a pattern; at most eight levels deep, so it may recurse.
fn elements(plan: &PatternPlan, nodes: &[Node], depth: usize, lines: &mut Vec<String>) {
    let text = |test: u16| {
        let test = plan.tests.get(usize::from(test));
        test.map_or("", |test| test.sourced.formula.normal_text())
    };
    for node in nodes {
        let name = plan.aliases.get(usize::from(node.from));
        let name = name.map_or("", |alias| alias.name.as_ref());
        let (what, inside): (String, &[Node]) = match &node.kind {
            NodeKind::Step { test, .. } => (test.map_or("true", text).to_owned(), &[]),
            NodeKind::Between { test, .. } => (format!("not {}", text(*test)), &[]),
            NodeKind::Absence { test, lasts, .. } => {
                (format!("not {} for {}", text(*test), Span(*lasts)), &[])
            }
            NodeKind::And { sides, .. } => ("and".to_owned(), sides),
            NodeKind::Or(sides) => ("or".to_owned(), sides),
            NodeKind::Group(steps) => ("group".to_owned(), steps),
        };
        let times = match (node.min, node.max) {
            (1, 1) => String::new(),
            (min, u32::MAX) => format!(" {{{min},none}}"),
            (min, max) => format!(" {{{min},{max}}}"),
        };
        lines.push(format!("{}{name}: {what}{times}", "  ".repeat(depth)));
        elements(plan, inside, depth + 1, lines);
    }
}

fn graph(plan: &GraphPlan, lines: &mut Vec<String>) {
    lines.push("graph".to_owned());
    for (node, net) in plan.nodes.iter().zip(&plan.net.nodes) {
        let states = net.states.join(" ");
        let what = match &node.doing {
            Doing::Sensor(sensor) => match &sensor.said {
                Some(said) => said.to_string(),
                None => sensor.formula.formula.normal_text().to_string(),
            },
            Doing::Delay { lasts, .. } => format!("delay {}", Span(*lasts)),
            Doing::Still => {
                let names = net
                    .source
                    .parents()
                    .iter()
                    .filter_map(|of| plan.nodes.get(*of));
                let names: Vec<&str> = names.map(|node| node.name.as_ref()).collect();
                format!("of {}", names.join(", "))
            }
        };
        lines.push(format!("  {} [{states}]: {what}", node.name));
    }
    for trigger in &plan.triggers {
        let from = plan.nodes.get(trigger.from).map_or("", |node| &node.name);
        let to = trigger.to.iter().filter_map(|target| match target {
            GraphTarget::Node(node) => plan.nodes.get(*node).map(|node| node.name.as_ref()),
            GraphTarget::Actuator(actuator) => {
                let actuator = plan.actuators.get(*actuator);
                actuator.map(|actuator| actuator.name.as_ref())
            }
        });
        let to: Vec<&str> = to.collect();
        lines.push(format!("  trigger {from}: {}", to.join(", ")));
    }
}

/// The lines of a plan.
pub(super) fn lines(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    input(plan, &mut lines);
    match &plan.body {
        PlanBody::Condition(plan) => condition(plan, &mut lines),
        PlanBody::Window(plan) => window(plan, &mut lines),
        PlanBody::Pattern(plan) => pattern(plan, &mut lines),
        PlanBody::Graph(plan) => graph(plan, &mut lines),
        PlanBody::Wide(wide) => self::wide(plan, wide, &mut lines),
    }
    for template in &plan.templates {
        lines.push(format!("text {}", template.path));
    }
    lines
}

fn source(source: &InputSource) -> String {
    match source {
        InputSource::Resource(text) => text.source.to_string(),
        InputSource::Group(of) => {
            let texts = of.texts();
            let texts: Vec<String> = texts
                .map(|(name, text)| format!("{name} {}", text.source))
                .collect();
            format!("the members by {}", texts.join(", "))
        }
    }
}

fn wide(plan: &Plan, wide: &WidePlan, lines: &mut Vec<String>) {
    use tidegate_proto::TaskClock;
    lines.push(match wide.clock {
        TaskClock::Least => format!(
            "time: the least of all members, without those more than {} behind",
            Span(wide.max_skew)
        ),
        TaskClock::Newest => "time: the furthest of all members".to_owned(),
        TaskClock::Own => "time: that of the task's own resource".to_owned(),
    });
    for input in &plan.rule().across.inputs {
        let passive = if input.passive { ", passive" } else { "" };
        lines.push(format!(
            "input {}: {} of {}{passive}",
            input.name,
            input.metric,
            source(&input.source)
        ));
    }
    match &wide.engine {
        WideEngine::Inner(inner) => match &inner.body {
            PlanBody::Condition(plan) => condition(plan, lines),
            PlanBody::Window(plan) => window(plan, lines),
            PlanBody::Pattern(plan) => pattern(plan, lines),
            PlanBody::Graph(plan) => graph(plan, lines),
            PlanBody::Wide(_) => {}
        },
        WideEngine::Join(join) => {
            let (left, right) = (&join.join.left.name, &join.join.right.name);
            lines.push(format!(
                "join {:?} of {left} and {right}, {:?}",
                join.join.kind, join.join.within
            ));
            for side in [&join.join.left, &join.join.right] {
                if let Some(of) = &side.of {
                    lines.push(format!(
                        "  {}: what {} says",
                        side.name,
                        of.rules.join(", ")
                    ));
                }
            }
            for (name, emit) in &join.emit {
                lines.push(format!("emit {name}: {}", emit.formula.normal_text()));
            }
        }
    }
}
