//! [`NodeAnswer`]: one part of an answer, and how parts of every kind of rule are put into words.

use serde::Serialize;
use serde_json::{Map, Number, Value as Json};
use tidegate_operators::why::{Branch, Node};
use tidegate_operators::{
    AttemptEnd, AttemptSeen, GraphNodeSeen, JoinSeen, Lack, Sighting, TriggerSeen, Verdict,
    WaitSeen,
};
use tidegate_proto::batch::EventRef;
use tidegate_proto::time::{Span, Timestamp};
use tidegate_proto::value::Value;

use crate::shard::Shard;

/// One part of a rule with its value.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct NodeAnswer {
    /// Where it stands: `when.1`, `emit.mean`, `hold`, `nodes.a`, `triggers[0]`.
    pub path: String,
    /// State that a node of a graph is certainly in; null: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Json>,
    /// Probability of each state; null: what is observed cannot be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p: Option<Json>,
    /// When a node was observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<String>,
    /// Until when that is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evicts: Option<String>,
    /// State that a node was certainly in before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// Its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub formula: Option<String>,
    /// Its value; null: unknown. An attempt has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Json>,
    /// Both sides of a comparison.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operands: Vec<Json>,
    /// How far a comparison is from holding, or a row of a join from the time that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_by: Option<Json>,
    /// Rows behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Newest row behind it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cause: Vec<String>,
    /// Why it has no value, is not true, or finds no partner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The row of a join's other side that comes nearest to being the partner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<String>,
    /// Since when it waits or stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Until when it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
    /// When an attempt of a pattern began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began: Option<String>,
    /// Its rows by element, in the order of taking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
    /// The element that it waits for, or waited for when it ended: `steps[1]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// When it ends or goes on without a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// How it ended: `broken expired skipped limit matched`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<&'static str>,
    /// The row that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// Rows by element, in the order of taking; one JSON object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bound(pub Vec<(String, Vec<String>)>);

impl Serialize for Bound {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, rows)| (name, rows)))
    }
}

/// A number without a fraction prints as a whole one.
fn number(number: f64) -> Json {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT {
        #[allow(clippy::cast_possible_truncation, reason = "it is whole and in range")]
        return Json::from(number as i64);
    }
    Number::from_f64(number).map_or(Json::Null, Json::Number)
}

fn json(value: &Value) -> Json {
    if let Value::Number(known) = value {
        return number(*known);
    }
    let mut text = String::new();
    value.write_json(&mut text);
    serde_json::from_str(&text).unwrap_or(Json::Null)
}

/// Puts the parts of a shard's rules into words.
pub(super) struct Speaker<'a> {
    pub(super) shard: &'a Shard,
}

impl Speaker<'_> {
    pub(super) fn name(&self, event: &EventRef) -> String {
        self.shard.cause_name(event)
    }

    pub(super) fn node(&self, node: &Node) -> NodeAnswer {
        let cause = node.cause.iter();
        NodeAnswer {
            path: node.path.clone(),
            formula: Some(node.formula.clone()),
            value: Some(json(&node.value)),
            operands: node.operands.iter().map(json).collect(),
            missing_by: node.missing_by.map(number),
            rows: node.rows,
            cause: cause.map(|cause| self.name(cause)).collect(),
            reason: node.reason.clone(),
            ..NodeAnswer::default()
        }
    }

    pub(super) fn nodes(&self, seen: Option<&Sighting>, branches: &[Branch]) -> Vec<NodeAnswer> {
        let columns = seen.map(Sighting::columns).unwrap_or_default();
        let branches = branches.iter().flat_map(|branch| &branch.nodes);
        let all = columns.iter().chain(branches);
        all.map(|node| self.node(node)).collect()
    }

    pub(super) fn attempt(&self, attempt: &AttemptSeen) -> NodeAnswer {
        let names = |rows: &[EventRef]| rows.iter().map(|row| self.name(row)).collect();
        let bound = attempt.bound.iter();
        let bound = bound.map(|(name, rows)| (name.to_string(), names(rows)));
        let ended = attempt.ended.as_ref();
        let how = ended.map(|ended| ended.how);
        let is_match = matches!(how, Some(AttemptEnd::Matched | AttemptEnd::Hidden));
        NodeAnswer {
            path: "attempt".to_owned(),
            reason: (how == Some(AttemptEnd::Hidden)).then(|| "`having` is not true".to_owned()),
            began: attempt.began.map(|time| time.to_string()),
            bound: Some(Bound(bound.collect())),
            waits_for: (!is_match).then(|| format!("steps[{}]", attempt.waits_for)),
            until: attempt.until.map(|time| time.to_string()),
            ended: how.map(|how| match how {
                AttemptEnd::Broken => "broken",
                AttemptEnd::Expired => "expired",
                AttemptEnd::Skipped => "skipped",
                AttemptEnd::Limit => "limit",
                AttemptEnd::Matched | AttemptEnd::Hidden => "matched",
            }),
            by: ended.and_then(|ended| Some(self.name(ended.by.as_ref()?))),
            at: ended.map(|ended| ended.at.to_string()),
            ..NodeAnswer::default()
        }
    }

    fn wait(&self, name: &str, wait: &WaitSeen) -> NodeAnswer {
        let span = |by: i64| Some(Json::from(Span(by).to_string()));
        let (reason, missing_by) = match wait.lack {
            None | Some(Lack::Nothing) => (None, None),
            Some(Lack::NoRow) => (Some("no_row"), None),
            Some(Lack::TooEarly(by)) => (Some("too_early"), span(by)),
            Some(Lack::TooLate(by)) => (Some("too_late"), span(by)),
            Some(Lack::Where) => (Some("where"), None),
        };
        let paired = |lack: Lack| Json::Bool(lack == Lack::Nothing);
        NodeAnswer {
            path: format!("join.{name}"),
            value: wait.lack.map(paired),
            missing_by,
            cause: vec![self.name(&wait.cause)],
            reason: reason.map(str::to_owned),
            nearest: wait.nearest.as_ref().map(|row| self.name(row)),
            since: Some(wait.time.to_string()),
            due: wait.until.map(|time| time.to_string()),
            ..NodeAnswer::default()
        }
    }

    /// Rows of a join that wait at a moment, the left ones, then the right ones. When those whose wait is over are let go depends on how
    /// time was told, so they are left out.
    pub(super) fn waits(&self, join: &JoinSeen, now: Timestamp) -> Vec<NodeAnswer> {
        let waits =
            |wait: &&WaitSeen| wait.lack.is_some() && wait.until.is_none_or(|until| until >= now);
        let sides = join.sides.iter();
        let all = sides.flat_map(|side| {
            side.waits
                .iter()
                .filter(waits)
                .map(|wait| (&side.name, wait))
        });
        all.map(|(name, wait)| self.wait(name, wait)).collect()
    }
}

/// A node of a graph.
pub(super) fn graph_node(node: &GraphNodeSeen) -> NodeAnswer {
    let chances: Map<String, Json> = node
        .chances
        .iter()
        .map(|(state, p)| (state.to_string(), json(p)))
        .collect();
    let known = !chances.is_empty();
    let state = node.state.as_ref();
    NodeAnswer {
        path: format!("nodes.{}", node.name),
        state: Some(state.map_or(Json::Null, |state| Json::from(state.as_ref()))),
        p: Some(if known {
            Json::Object(chances)
        } else {
            Json::Null
        }),
        observed: node.observed.map(|time| time.to_string()),
        evicts: node.evicts.map(|time| time.to_string()),
        previous: node.previous.as_ref().map(ToString::to_string),
        since: node.runs.map(|(since, _)| since.to_string()),
        due: node.runs.map(|(_, due)| due.to_string()),
        ..NodeAnswer::default()
    }
}

/// A trigger of a graph.
pub(super) fn trigger(place: usize, trigger: &TriggerSeen) -> NodeAnswer {
    let reason = match trigger.verdict {
        Verdict::Fired => None,
        Verdict::NotCertain => Some("not_certain"),
        Verdict::NoChange => Some("no_change"),
        Verdict::Throttled => Some("throttled"),
        Verdict::Once => Some("once"),
        Verdict::NotRun => Some("not_run"),
        Verdict::FullObservation => Some("full_observation"),
    };
    NodeAnswer {
        path: format!("triggers[{place}]"),
        value: Some(Json::Bool(reason.is_none())),
        reason: reason.map(str::to_owned),
        ..NodeAnswer::default()
    }
}

pub(super) fn waiting(
    path: String,
    value: bool,
    times: (Option<Timestamp>, Option<Timestamp>),
) -> NodeAnswer {
    NodeAnswer {
        path,
        value: Some(Json::Bool(value)),
        since: times.0.map(|time| time.to_string()),
        due: times.1.map(|time| time.to_string()),
        ..NodeAnswer::default()
    }
}
