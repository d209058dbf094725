//! Answers about tasks that are made of more than conditions: attempts of patterns, nodes of graphs, rows of joins.

use std::cmp::Reverse;

use tidegate_operators::{
    AttemptEnd, AttemptSeen, AttemptsSeen, GraphSeen, Inside, JoinSeen, Sighting, Verdict,
};
use tidegate_proto::outcome::OutcomeKind;

use super::Firing;
use super::node::{NodeAnswer, Speaker, graph_node, trigger};

/// What is told of such a task.
#[derive(Default)]
pub(super) struct Told {
    pub(super) nodes: Vec<NodeAnswer>,
    pub(super) decided: Option<String>,
    pub(super) first_false: Option<NodeAnswer>,
    pub(super) cut: Option<usize>,
}

impl Told {
    /// What is told of a sighting, with the firing that it explains; `None`: it is of conditions or windows.
    pub(super) fn of(
        seen: &Sighting,
        firing: Option<&Firing>,
        speaker: &Speaker<'_>,
    ) -> Option<Self> {
        match &seen.inside {
            Inside::Values => None,
            Inside::Attempts(attempts) => Some(pattern(attempts, firing, speaker)),
            Inside::Graph(graph) => Some(self::graph(graph, firing)),
            Inside::Join(join) => Some(self::join(join, (seen, firing), speaker)),
        }
    }
}

fn element(attempts: &AttemptsSeen, attempt: &AttemptSeen) -> String {
    let last = attempts.steps.saturating_sub(1);
    format!("steps[{}]", attempt.waits_for.min(last))
}

fn pattern(attempts: &AttemptsSeen, firing: Option<&Firing>, speaker: &Speaker<'_>) -> Told {
    let all = &attempts.attempts;
    let nodes = all.iter().map(|one| speaker.attempt(one)).collect();
    let is_match = |one: &AttemptSeen| {
        let how = one.ended.as_ref().map(|ended| ended.how);
        matches!(how, Some(AttemptEnd::Matched))
    };
    let (decided, first_false) = if let Some(firing) = firing {
        let causes = |one: &AttemptSeen| {
            let rows = one.bound.iter().flat_map(|(_, rows)| rows);
            let mut rows: Vec<String> = rows.map(|row| speaker.name(row)).collect();
            let mut causes = firing.cause.clone();
            rows.sort_unstable();
            causes.sort_unstable();
            rows == causes
        };
        let made = all.iter().find(|one| one.ended.is_some() && causes(one));
        let tells = firing.kind != OutcomeKind::Cleared;
        let decided = made.filter(|_| tells).map(|one| element(attempts, one));
        let cleared = (!tells).then(|| "clear".to_owned());
        (decided.or(cleared), None)
    } else {
        let furthest = all.iter().enumerate().filter(|(_, one)| !is_match(one));
        let furthest = furthest.max_by_key(|(place, one)| (one.waits_for, Reverse(*place)));
        let furthest = furthest.map(|(_, one)| one);
        (
            furthest.map(|one| element(attempts, one)),
            furthest.map(|one| speaker.attempt(one)),
        )
    };
    Told {
        nodes,
        decided,
        first_false,
        cut: (attempts.cut > 0).then_some(attempts.cut),
    }
}

fn graph(graph: &GraphSeen, firing: Option<&Firing>) -> Told {
    let mut nodes: Vec<NodeAnswer> = graph.nodes.iter().map(graph_node).collect();
    let triggers = graph.triggers.iter().enumerate();
    let triggers: Vec<NodeAnswer> = triggers.map(|(place, one)| trigger(place, one)).collect();
    let fired = |place: &usize| {
        let trigger = graph.triggers.get(*place);
        trigger.is_some_and(|trigger| trigger.verdict == Verdict::Fired)
    };
    let path = |place: usize| format!("triggers[{place}]");
    let (decided, first_false) = match firing {
        Some(firing) if firing.kind == OutcomeKind::Cleared => (None, None),
        Some(firing) => {
            let mut all = (0..graph.triggers.len()).filter(fired);
            let named = |place: &usize| {
                let trigger = graph.triggers.get(*place);
                let (Some(trigger), Some((actuator, from))) = (trigger, &firing.actuator) else {
                    return false;
                };
                let mut names = trigger.actuators.iter();
                trigger.from.as_ref() == from.as_str() && names.any(|name| **name == **actuator)
            };
            let by_name = all.clone().find(named);
            (by_name.or_else(|| all.next()).map(path), None)
        }
        None => {
            let first = (0..graph.triggers.len()).find(|place| !fired(place));
            let part = first.and_then(|place| triggers.get(place)).cloned();
            (first.map(path), part)
        }
    };
    nodes.extend(triggers);
    Told {
        nodes,
        decided,
        first_false,
        cut: None,
    }
}

fn join(
    join: &JoinSeen,
    (seen, firing): (&Sighting, Option<&Firing>),
    speaker: &Speaker<'_>,
) -> Told {
    let nodes = speaker.waits(join, seen.at);
    let told: usize = join.sides.iter().map(|side| side.waits.len()).sum();
    let kept: usize = join.sides.iter().map(|side| side.rows).sum();
    let (decided, first_false) = if firing.is_some() {
        // The row that came last made the pair; a row without a partner is told by time.
        let row = seen.cause.as_ref().map(|cause| vec![speaker.name(cause)]);
        let came = nodes.iter().find(|node| Some(&node.cause) == row.as_ref());
        let path = came.map_or_else(|| "join".to_owned(), |node| node.path.clone());
        (Some(path), None)
    } else {
        let lonely = nodes.iter().find(|node| node.reason.is_some()).cloned();
        (lonely.as_ref().map(|node| node.path.clone()), lonely)
    };
    Told {
        nodes,
        decided,
        first_false,
        cut: (kept > told).then(|| kept - told),
    }
}
