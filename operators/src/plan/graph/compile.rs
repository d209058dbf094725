//! From a graph as written to its plan: formulas are compiled, names become numbers, what only formulas can tell is
//! checked.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_proto::graph::{
    DATA, FALSE, Graph, GraphNode, GraphNodeKind, Prior, Sensor, States, TRUE, table_problem,
};
use tidegate_proto::{ActionKind, FormulaText, Issue, Issues, Rule};
use tidegate_scripts::{AliasScope, Formula, FormulaContext, name_problem};

use super::constant;
use super::order::{parents_first, run_order};
use super::resolve::Resolver;
use super::{ActuatorPlan, Doing, GraphPlan, NodePlan, SensorPlan, StateRule, names, timing};
use crate::graph::belief::{Belief, MOST_JOINT, TooLarge};
use crate::graph::net::{GateNode, Net, NetNode, Source as NetSource};
use crate::plan::slots::{Gatherer, SlotTable};
use crate::plan::texts::{Script, TextPlan, spans};

/// Formulas of a node.
#[derive(Debug, Default)]
pub(super) struct Formulas {
    pub(super) formula: Option<Formula>,
    pub(super) conditions: Vec<Formula>,
    pub(super) each: Option<Formula>,
}

/// A graph whose formulas are compiled one by one.
#[derive(Debug)]
pub(crate) struct Draft {
    graph: Graph,
    formulas: Vec<Formulas>,
    net: Net,
    belief: Belief,
    order: Vec<usize>,
}

fn compiled(
    text: &FormulaText,
    condition: bool,
    scope: &AliasScope,
    issues: &mut Issues,
) -> Option<Formula> {
    match Formula::compile_aliased(text, FormulaContext::Condition, scope) {
        Ok(formula) => {
            let found = formula.mismatches(text, condition);
            let fits = found.is_empty();
            issues.extend(found);
            fits.then_some(formula)
        }
        Err(found) => {
            issues.extend(found);
            None
        }
    }
}

fn formulas(sensor: &Sensor, scope: &AliasScope, issues: &mut Issues) -> Formulas {
    let formula = sensor.formula.as_ref();
    let each = sensor.each.as_ref();
    let formula = formula.and_then(|text| compiled(text, false, scope, issues));
    let each = each.and_then(|text| {
        let each = compiled(text, false, scope, issues)?;
        issues.extend(each.never_a_list(text));
        Some(each)
    });
    let conditions = match &sensor.states {
        States::Conditions(states) => states
            .iter()
            .filter_map(|(_, text)| compiled(text, true, scope, issues))
            .collect(),
        _ => Vec::new(),
    };
    let of = crate::plan::elsewhere::key(sensor);
    let seen = |condition: bool| {
        let of = of.clone();
        move |formula: Formula| match &of {
            Some(of) => elsewhere(&formula, of, (sensor, condition)),
            None => formula,
        }
    };
    Formulas {
        formula: formula.map(seen(false)),
        conditions: conditions.into_iter().map(seen(true)).collect(),
        each: each.map(seen(false)),
    }
}

/// A formula over the metrics of another resource: they have names of their own.
fn elsewhere(formula: &Formula, of: &str, own: (&Sensor, bool)) -> Formula {
    formula.with_metrics(&|name| match Resolver::special(name, Some(own)) {
        Some(_) => Arc::from(name),
        None => crate::plan::elsewhere::named(name, of),
    })
}

/// States of a node, those of its formula included.
fn states(node: &GraphNode, formulas: &Formulas) -> Vec<Arc<str>> {
    let gate = || vec![Arc::from(TRUE), Arc::from(FALSE)];
    match &node.kind {
        GraphNodeKind::Gate(_) => gate(),
        GraphNodeKind::Delay { .. } => vec![Arc::from(tidegate_proto::graph::TRIGGERED)],
        GraphNodeKind::Sensor(sensor) => sensor.states.names().unwrap_or_else(|| {
            let flag = formulas.formula.as_ref().is_some_and(Formula::is_condition);
            if flag { gate() } else { vec![Arc::from(DATA)] }
        }),
    }
}

pub(super) fn issue(node: &GraphNode, problem: String, hint: &str) -> Issue {
    Issue::new(node.path.as_ref(), node.mark, problem).hint(hint)
}

/// What one node is to the net.
fn source(
    node: &GraphNode,
    (own, all): (usize, &[Vec<Arc<str>>]),
    graph: &Graph,
    issues: &mut Issues,
) -> NetSource {
    use tidegate_proto::graph::Pick;
    match &node.kind {
        GraphNodeKind::Delay { .. } => NetSource::Prior(vec![1]),
        GraphNodeKind::Sensor(sensor) => match &sensor.prior {
            Prior::Uniform => NetSource::Prior(vec![1; own]),
            Prior::Given(weights) => {
                if weights.len() != own {
                    let problem =
                        "there are priors of TRUE and FALSE, and the formula is no condition";
                    let hint = "write its `states`, or a formula that compares";
                    issues.push(issue(node, problem.to_owned(), hint));
                }
                NetSource::Prior(weights.clone())
            }
            Prior::Table { of, weights } => {
                let sizes = of.iter().map(|parent| all.get(*parent).map_or(1, Vec::len));
                let columns = sizes.fold(1, usize::saturating_mul);
                if let Some(problem) = table_problem(weights, own, columns) {
                    let hint = "own state slowest, last parent fastest";
                    issues.push(issue(node, problem, hint));
                }
                NetSource::Table {
                    of: of.clone(),
                    weights: weights.clone(),
                }
            }
        },
        GraphNodeKind::Gate(gate) => {
            let mut hits = |parent: usize, pick: &Pick| {
                let states = all.get(parent).map_or(&[][..], Vec::as_slice);
                let Pick::States(wanted) = pick else {
                    return None;
                };
                for name in wanted.iter().filter(|name| !states.contains(name)) {
                    let of = graph.nodes.get(parent).map_or("", |node| &node.name);
                    let problem = format!("`{of}` has no state `{name}`");
                    let hint = format!("its states are {}", states.join(", "));
                    issues.push(issue(node, problem, &hint));
                }
                Some(states.iter().map(|state| wanted.contains(state)).collect())
            };
            let combinations = gate.combinations.iter().map(|combination| {
                let picks = gate.of.iter().zip(combination);
                picks.map(|(parent, pick)| hits(*parent, pick)).collect()
            });
            NetSource::Gate(GateNode {
                form: gate.form,
                of: gate.of.clone(),
                combinations: combinations.collect(),
                hits_are_false: gate.hits_are_false,
            })
        }
    }
}

/// Nodes that a node's formulas name and that run: it runs after them. Not itself.
pub(super) fn names_of(own: usize, formulas: &Formulas, graph: &Graph) -> BTreeSet<usize> {
    let each = formulas
        .formula
        .iter()
        .chain(&formulas.each)
        .chain(&formulas.conditions);
    let slots = each.flat_map(Formula::slots);
    let named = slots.filter_map(|slot| match slot {
        tidegate_scripts::Slot::Alias(slot) => {
            graph.nodes.iter().position(|node| node.name == slot.alias)
        }
        _ => None,
    });
    named.filter(|node| *node != own).collect()
}

/// What is wrong with a rule before its formulas are looked at.
fn head(graph: &Graph, issues: &mut Issues) {
    for node in &graph.nodes {
        if let Some(problem) = name_problem(&node.name) {
            issues.push(issue(node, problem, "give the node another name"));
        }
    }
}

/// Tells which nodes have too many states together.
fn too_large(graph: &Graph, found: &TooLarge) -> Option<Issue> {
    let named = found
        .nodes
        .iter()
        .filter_map(|index| graph.nodes.get(*index));
    let named: Vec<&str> = named.map(|node| node.name.as_ref()).collect();
    let problem = format!(
        "{} states have to be looked at together, at most {MOST_JOINT}: {}",
        found.states,
        named.join(", ")
    );
    let node = graph.nodes.get(*found.nodes.last()?)?;
    let hint = "make several gates of it, each over few parents";
    Some(issue(node, problem, hint))
}

impl Draft {
    pub(crate) fn compile(rule: &Rule, graph: &Graph, issues: &mut Issues) -> Option<Self> {
        let before = issues.len();
        head(graph, issues);
        let scope = names(graph).with_groups(&crate::plan::members::names(rule));
        let own = graph.nodes.iter().map(|node| match &node.kind {
            GraphNodeKind::Sensor(sensor) => formulas(sensor, &scope, issues),
            _ => Formulas::default(),
        });
        let formulas: Vec<Formulas> = own.collect();
        if issues.len() > before {
            return None;
        }
        let all: Vec<_> = graph
            .nodes
            .iter()
            .zip(&formulas)
            .map(|(n, f)| states(n, f))
            .collect();
        let nodes = graph.nodes.iter().zip(&all).map(|(node, states)| NetNode {
            source: source(node, (states.len(), &all), graph, issues),
            states: states.clone(),
        });
        let nodes: Vec<NetNode> = nodes.collect();
        let order = run_order(graph, &formulas, issues);
        check_cues(graph, &all, issues);
        if issues.len() > before {
            return None;
        }
        let net = Net {
            order: parents_first(&nodes),
            nodes,
            full_observation: graph.full_observation,
        };
        constant::refuse(graph, &net, issues);
        match Belief::new(&net) {
            Ok(belief) => Some(Self {
                graph: graph.clone(),
                formulas,
                net,
                belief,
                order,
            }),
            Err(found) => {
                issues.extend(too_large(graph, &found));
                None
            }
        }
    }

    /// Everything that formulas ask of the table.
    fn table(&self, resolver: &Resolver<'_>, texts: &[Script]) -> SlotTable {
        let mut gatherer = Gatherer::default();
        for (node, formulas) in self.graph.nodes.iter().zip(&self.formulas) {
            resolver.gather(node, formulas, &mut gatherer);
        }
        for text in texts {
            gatherer.add(text.slots(), false);
        }
        gatherer.finish()
    }

    /// What a node does.
    fn doing(&self, index: usize, resolver: &Resolver<'_>, table: &SlotTable) -> Doing {
        let (Some(node), Some(formulas)) = (self.graph.nodes.get(index), self.formulas.get(index))
        else {
            return Doing::Still;
        };
        match (&node.kind, &formulas.formula) {
            (GraphNodeKind::Delay { lasts, restart }, _) => Doing::Delay {
                lasts: lasts.0,
                restart: *restart,
            },
            (GraphNodeKind::Sensor(sensor), Some(formula)) => {
                let after = names_of(index, formulas, &self.graph);
                let each = formulas.each.as_ref();
                Doing::Sensor(Box::new(SensorPlan {
                    metrics: resolver.metrics(sensor, formulas, table),
                    by_rows: sensor.data.unwrap_or(after.is_empty()),
                    formula: resolver.sourced(formula, (sensor, false), table),
                    states: resolver.states(sensor, formulas, table),
                    each: each.map(|each| resolver.sourced(each, (sensor, false), table)),
                    tick: sensor.tick && sensor.beat.is_none(),
                    beat: sensor.beat.clone(),
                    evict: sensor.evict.map_or(0, |evict| evict.0),
                    said: crate::plan::elsewhere::told(sensor),
                    after: after.into_iter().collect(),
                }))
            }
            _ => Doing::Still,
        }
    }

    pub(crate) fn finish(self, rule: &Rule, texts: Vec<Script>) -> GraphPlan {
        let resolver = Resolver::new(&self.graph);
        let table = self.table(&resolver, &texts);
        let nodes = self.graph.nodes.iter().zip(&self.formulas);
        let nodes = nodes.zip(&self.net.nodes).enumerate();
        let nodes = nodes.map(|(index, ((node, formulas), own))| NodePlan {
            name: Arc::clone(&node.name),
            doing: self.doing(index, &resolver, &table),
            history: resolver.history(&self.formulas, &texts, &node.name),
            identity: identity(&self.graph, node, formulas, own),
        });
        let nodes: Vec<NodePlan> = nodes.collect();
        let (triggers, bits) = resolver.triggers(&self.net);
        let target_texts = spans(rule).into_iter().skip(rule.then.len()).flatten();
        let texts = texts.into_iter().map(|script| TextPlan {
            places: resolver.sources(script.slots(), None, &table),
            script,
        });
        let graph = &self.graph;
        let sources = graph.triggers.iter().map(|trigger| trigger.from);
        let mut beats = nodes.iter().filter_map(NodePlan::sensor);
        let beats = beats.any(|sensor| sensor.beat.is_some());
        GraphPlan {
            part: resolver.parts(&self.formulas),
            sources: flags(nodes.len(), sources),
            born_waiting: beats || graph.tick.is_some() || !graph.observe.is_empty(),
            observe: flags(nodes.len(), graph.observe.iter().copied()),
            triggers,
            bits,
            actuators: actuators(rule, graph),
            target_texts: target_texts.collect(),
            texts: texts.collect(),
            tick: graph.tick.clone(),
            reset: graph.reset,
            by_node: graph.by_node,
            timing: timing(rule),
            order: self.order,
            net: self.net,
            belief: self.belief,
            nodes,
            table,
        }
    }
}

/// A flag for each node that is named.
fn flags(count: usize, named: impl Iterator<Item = usize>) -> Vec<bool> {
    let mut flags = vec![false; count];
    for index in named {
        if let Some(flag) = flags.get_mut(index) {
            *flag = true;
        }
    }
    flags
}

/// The actuators with their texts.
fn actuators(rule: &Rule, graph: &Graph) -> Vec<ActuatorPlan> {
    let spans = spans(rule);
    let actuators = graph.actuators.iter().zip(&rule.then).zip(&spans);
    let actuators = actuators.map(|((name, action), span)| ActuatorPlan {
        name: Arc::clone(name),
        alarm: match &action.kind {
            ActionKind::Alarm {
                severity: Some(severity),
                text,
            } => Some((*severity, text.is_some().then_some(span.start))),
            _ => None,
        },
        texts: span.clone().collect(),
    });
    actuators.collect()
}

/// Triggers on states that only the formula decides about.
fn check_cues(graph: &Graph, all: &[Vec<Arc<str>>], issues: &mut Issues) {
    use tidegate_proto::graph::Cue;
    for trigger in &graph.triggers {
        let states = all.get(trigger.from).map_or(&[][..], Vec::as_slice);
        let of = graph.nodes.get(trigger.from).map_or("", |node| &node.name);
        for cue in &trigger.on {
            let named: Vec<&Arc<str>> = match cue {
                Cue::State(names) => names.iter().collect(),
                Cue::Change { from, to } => from.iter().chain(to).collect(),
                Cue::Executed => Vec::new(),
                Cue::Probability { state, .. } => vec![state],
            };
            for name in named.into_iter().filter(|name| !states.contains(name)) {
                let problem = format!("`{of}` has no state `{name}`");
                let hint = format!("its states are {}", states.join(", "));
                let found = Issue::new(trigger.path.as_ref(), trigger.mark, problem);
                issues.push(found.hint(hint));
            }
        }
    }
}

/// All that decides what a node observes: not how long that is valid, nor how long a delay lasts.
fn identity(graph: &Graph, node: &GraphNode, formulas: &Formulas, own: &NetNode) -> String {
    let text = |formula: &Formula| formula.normal_text().to_string();
    let conditions: Vec<String> = formulas.conditions.iter().map(text).collect();
    let (of, delay) = match &node.kind {
        GraphNodeKind::Sensor(sensor) => (crate::plan::elsewhere::key(sensor), false),
        GraphNodeKind::Delay { .. } => (None, true),
        GraphNodeKind::Gate(_) => (None, false),
    };
    // Parents by their names: their places change when other nodes come and go.
    let parents = own.source.parents().iter();
    let parents = parents.filter_map(|place| graph.nodes.get(*place));
    let parents: Vec<&str> = parents.map(|node| node.name.as_ref()).collect();
    let source = match &own.source {
        NetSource::Prior(weights) | NetSource::Table { weights, .. } => format!("{weights:?}"),
        NetSource::Gate(gate) => {
            let (form, hits) = (gate.form, &gate.combinations);
            format!("{form:?} {hits:?} {}", gate.hits_are_false)
        }
    };
    format!(
        "{delay} {of:?} {:?} {:?} {conditions:?} {:?} {source} {parents:?}",
        formulas.formula.as_ref().map(text),
        formulas.each.as_ref().map(text),
        own.states,
    )
}

impl Resolver<'_> {
    /// How a value becomes a state.
    fn states(&self, sensor: &Sensor, formulas: &Formulas, table: &SlotTable) -> StateRule {
        match &sensor.states {
            States::Conditions(_) => {
                let conditions = formulas.conditions.iter();
                StateRule::Conditions(
                    conditions
                        .map(|f| self.sourced(f, (sensor, true), table))
                        .collect(),
                )
            }
            States::Named(_) => StateRule::Named,
            States::Open if formulas.formula.as_ref().is_some_and(Formula::is_condition) => {
                StateRule::Flag
            }
            States::Open => StateRule::Data,
        }
    }
}
