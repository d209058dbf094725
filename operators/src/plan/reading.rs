//! What nodes that stand for other rules' tasks find there: whether the other rule has such a node, and such states.

use std::sync::Arc;

use tidegate_proto::graph::{GraphNode, GraphNodeKind};
use tidegate_proto::issue::nearest;
use tidegate_proto::{ActionKind, Body, Issue, Issues, Rule, SaidNode, SaidOf};

use super::wide::WideEngine;
use super::{GraphPlan, Plan, PlanBody};

/// A problem and how to mend it.
type Found = (String, String);

/// A rule in a word.
const fn what(rule: &Rule) -> &'static str {
    match rule.body {
        Body::When(_) => "a condition",
        Body::Window(_) => "a rule with windows",
        Body::Pattern(_) => "a pattern",
        Body::Graph(_) => "a graph",
        Body::Join(_) => "a join",
    }
}

fn raises(rule: &Rule) -> bool {
    let alarm = |kind: &ActionKind| matches!(kind, ActionKind::Alarm { .. });
    matches!(rule.body, Body::When(_)) || rule.then.iter().any(|action| alarm(&action.kind))
}

/// States as they are written.
fn written(states: &[Arc<str>]) -> String {
    format!("`states: [ {} ]`", states.join(", "))
}

impl GraphPlan {
    /// Names of the nodes whose states are told.
    fn told(&self) -> impl Iterator<Item = &str> {
        let told = self.observe.iter().zip(&self.sources);
        let nodes = self.nodes.iter().zip(told);
        let nodes = nodes.filter(|(_, (observed, source))| **observed || **source);
        nodes.map(|(node, _)| node.name.as_ref())
    }
}

impl Plan {
    /// Its graph, also of a rule over several resources.
    fn graph(&self) -> Option<&GraphPlan> {
        match &self.body {
            PlanBody::Graph(graph) => Some(graph),
            PlanBody::Wide(wide) => match &wide.engine {
                WideEngine::Inner(plan) => plan.graph(),
                WideEngine::Join(_) => None,
            },
            PlanBody::Condition(_) | PlanBody::Window(_) | PlanBody::Pattern(_) => None,
        }
    }

    /// What is wrong with its nodes that stand for tasks of rules, as far as those are known; `of` answers a rule by its name.
    #[must_use]
    pub fn reading_issues<'p>(&self, of: &dyn Fn(&str) -> Option<&'p Self>) -> Issues {
        let nodes = self.rule.said_nodes();
        let found = nodes.filter_map(|(node, said)| {
            let (problem, hint) = look(node, said, of(&said.rule)?)?;
            Some(Issue::new(node.path.as_ref(), node.mark, problem).hint(hint))
        });
        found.collect()
    }
}

/// What is wrong with a node that stands for a task of a rule.
fn look(node: &GraphNode, said: &SaidNode, other: &Plan) -> Option<Found> {
    let rule = other.rule();
    match &said.of {
        SaidOf::Match if matches!(rule.body, Body::Pattern(_)) => None,
        SaidOf::Match => Some((
            format!("`{}` is {}, which never matches", said.rule, what(rule)),
            "`MATCHED` is the state of a pattern".to_owned(),
        )),
        SaidOf::Alarm if raises(rule) => None,
        SaidOf::Alarm => Some(no_alarm(said, other)),
        SaidOf::Node(name) => find(node, (said, name), other),
    }
}

/// A rule that never raises anything.
fn no_alarm(said: &SaidNode, other: &Plan) -> Found {
    let name = &said.rule;
    let problem = format!("`{name}` is {} and raises nothing", what(other.rule()));
    let hint = match (&other.rule().body, other.graph()) {
        (Body::Pattern(_), _) => "write `states: [ MATCHED ]`".to_owned(),
        (_, Some(graph)) => match graph.told().next() {
            Some(node) => format!("name a node of it: `node: {node}`"),
            None => format!("let `{name}` name a node in `observe`, and name it here as `node`"),
        },
        _ => format!("read its values: `inputs: {{ x: {{ rule: {name}, metric: … }} }}`"),
    };
    (problem, hint)
}

/// A node of a graph.
fn find(own: &GraphNode, (said, name): (&SaidNode, &Arc<str>), other: &Plan) -> Option<Found> {
    let Some(graph) = other.graph() else {
        let problem = format!(
            "`{}` is {}, which has no nodes",
            said.rule,
            what(other.rule())
        );
        return Some((problem, "leave `node` out".to_owned()));
    };
    let all = || graph.nodes.iter().map(|node| node.name.as_ref());
    let Some(place) = all().position(|known| known == name.as_ref()) else {
        let near = nearest(name, all());
        let hint = near.map_or_else(
            || format!("its nodes are {}", all().collect::<Vec<_>>().join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        return Some((format!("`{}` has no node `{name}`", said.rule), hint));
    };
    if !graph.told().any(|told| told == name.as_ref()) {
        let problem = format!("`{}` does not tell the states of `{name}`", said.rule);
        let hint = format!("name it in `observe` of `{}`", said.rule);
        return Some((problem, hint));
    }
    let mut states = graph.net.nodes.get(place)?.states.clone();
    let GraphNodeKind::Sensor(sensor) = &own.kind else {
        return None;
    };
    let mut mine = sensor.states.names()?;
    let hint = format!("write {}", written(&states));
    let known = states.join(", ");
    states.sort();
    mine.sort();
    let problem = format!("`{name}` of `{}` has the states {known}", said.rule);
    (mine != states).then_some((problem, hint))
}
