//! [`Answer`]: the words of a [`Why`], one JSON object with its keys in a fixed order.

use serde::Serialize;
use serde_json::{Number, Value as Json};
use tidegate_operators::why::{Branch, BranchKind, Node};
use tidegate_operators::{AttemptSeen, Sighting};
use tidegate_proto::batch::EventRef;
use tidegate_proto::outcome::OutcomeKind;
use tidegate_proto::time::Timestamp;
use tidegate_proto::value::Value;

use super::{Moment, Why, branch, level_of};
use crate::shard::Shard;

/// Most bytes of an answer; beyond it the last parts are left out and counted.
const MOST_BYTES: usize = 64 << 10;

/// One part of a rule with its value.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct NodeAnswer {
    /// Where it stands: `when.1`, `emit.mean`, `hold`.
    pub path: String,
    /// Its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub formula: Option<String>,
    /// Its value; null: unknown. An attempt has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Json>,
    /// Both sides of a comparison.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operands: Vec<Json>,
    /// How far a comparison is from holding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_by: Option<Json>,
    /// Rows behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Newest row behind it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cause: Vec<String>,
    /// Why it has no value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
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
    /// The element that it waits for: `steps[1]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// When it ends or goes on without a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// Rows by element, in the order of taking; one JSON object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bound(pub Vec<(String, Vec<String>)>);

impl Serialize for Bound {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, rows)| (name, rows)))
    }
}

/// Why a rule fired or did not.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Answer {
    /// `fired near_miss no_task no_data disabled gone`.
    pub answer: &'static str,
    /// The rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Its revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// The task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Time of the firing, or of the last point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// `raised updated cleared window match result`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// Id of the firing's record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Events behind the firing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cause: Vec<String>,
    /// Path of the part that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided: Option<String>,
    /// The first part that is false or unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_false: Option<NodeAnswer>,
    /// All parts in document order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeAnswer>,
    /// Parts that were left out because there are too many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<usize>,
    /// `complete`: everything that it stands on was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<&'static str>,
    /// The earliest moment that can be asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_from: Option<String>,
}

impl Answer {
    /// The moment lies before what can be played again.
    #[must_use]
    pub fn gone(from: Timestamp) -> Self {
        Self {
            answer: "gone",
            history_from: Some(from.to_string()),
            ..Self::default()
        }
    }

    /// Whether a longer history could not say more.
    #[must_use]
    pub fn is_final(&self, question: &super::Question) -> bool {
        match self.answer {
            "fired" => true,
            "near_miss" => question.at.is_some(),
            _ => false,
        }
    }

    /// The JSON text, at most 64 KiB of it.
    #[must_use]
    pub fn text(mut self) -> String {
        loop {
            // Plain data with text keys: cannot fail.
            let text = serde_json::to_string(&self).unwrap_or_default();
            if text.len() <= MOST_BYTES || self.nodes.pop().is_none() {
                return text;
            }
            self.cut = Some(self.cut.unwrap_or(0) + 1);
        }
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
struct Speaker<'a> {
    shard: &'a Shard,
}

impl Speaker<'_> {
    fn node(&self, node: &Node) -> NodeAnswer {
        let cause = node.cause.iter();
        NodeAnswer {
            path: node.path.clone(),
            formula: Some(node.formula.clone()),
            value: Some(json(&node.value)),
            operands: node.operands.iter().map(json).collect(),
            missing_by: node.missing_by.map(number),
            rows: node.rows,
            cause: cause.map(|cause| self.shard.cause_name(cause)).collect(),
            reason: node.reason.clone(),
            ..NodeAnswer::default()
        }
    }

    fn attempt(&self, attempt: &AttemptSeen) -> NodeAnswer {
        let names = |rows: &[EventRef]| rows.iter().map(|row| self.shard.cause_name(row)).collect();
        let bound = attempt.bound.iter();
        let bound = bound.map(|(name, rows)| (name.to_string(), names(rows)));
        NodeAnswer {
            path: "attempt".to_owned(),
            began: attempt.began.map(|time| time.to_string()),
            bound: Some(Bound(bound.collect())),
            waits_for: Some(format!("steps[{}]", attempt.waits_for)),
            until: attempt.until.map(|time| time.to_string()),
            ..NodeAnswer::default()
        }
    }

    fn nodes(&self, seen: Option<&Sighting>, branches: &[Branch]) -> Vec<NodeAnswer> {
        let columns = seen.map(Sighting::columns).unwrap_or_default();
        let branches = branches.iter().flat_map(|branch| &branch.nodes);
        let all = columns.iter().chain(branches);
        all.map(|node| self.node(node)).collect()
    }
}

fn waiting(path: String, value: bool, times: (Option<Timestamp>, Option<Timestamp>)) -> NodeAnswer {
    NodeAnswer {
        path,
        value: Some(Json::Bool(value)),
        since: times.0.map(|time| time.to_string()),
        due: times.1.map(|time| time.to_string()),
        ..NodeAnswer::default()
    }
}

impl Why {
    /// What came of it; the shard is as it was after the last step that was taken.
    #[must_use]
    pub fn answer(self, shard: &Shard) -> Answer {
        let speaker = Speaker { shard };
        let at = self.question.at;
        let exact = |moment: &&Moment| at.is_none_or(|at| moment.firing.time == at);
        let mut answer = match self.fired.as_ref().filter(exact) {
            Some(moment) => fired(moment, &speaker),
            None => self.missed(&speaker),
        };
        let task = || format!("{}/{}", self.question.rule, self.question.resource);
        answer.revision = self.facts.revision;
        if matches!(answer.answer, "fired" | "near_miss") {
            answer.task = answer.task.or_else(|| Some(task()));
            answer.history = Some("complete");
        }
        answer.rule = Some(self.question.rule);
        answer.resource = Some(self.question.resource);
        answer
    }

    /// It did not fire: how things stand.
    fn missed(&self, speaker: &Speaker<'_>) -> Answer {
        let simple = |answer| Answer {
            answer,
            ..Answer::default()
        };
        let facts = &self.facts;
        if facts.revision.is_some() && !facts.runs {
            return simple("disabled");
        }
        if let Some(answer) = self.attempts(speaker) {
            return answer;
        }
        let Some(seen) = self.points.last() else {
            return simple(if facts.matches { "no_data" } else { "no_task" });
        };
        let branches = seen.branches();
        let mut answer = Answer {
            time: Some(seen.at.to_string()),
            nodes: speaker.nodes(Some(seen), &branches),
            ..simple("near_miss")
        };
        if !seen.group.is_empty() {
            let (rule, resource) = (&self.question.rule, &self.question.resource);
            answer.task = Some(format!("{rule}/{resource}/{}", seen.group));
        }
        let part = self.decisive(seen, &branches, speaker);
        answer.decided = part.as_ref().map(|(part, _)| part.path.clone());
        if let Some((part, true)) = &part {
            answer.nodes.push(part.clone());
        }
        answer.first_false = part.map(|(part, _)| part);
        answer
    }

    /// How far the attempts of a pattern have come; of a moment in the past nobody knows.
    fn attempts(&self, speaker: &Speaker<'_>) -> Option<Answer> {
        let (attempts, time) = speaker.shard.attempts(&self.question)?;
        let mut answer = Answer {
            answer: "near_miss",
            time: time.map(|time| time.to_string()),
            ..Answer::default()
        };
        if let Some(at) = self.question.at {
            answer.time = Some(at.to_string());
            answer.first_false = Some(NodeAnswer {
                path: "pattern".to_owned(),
                reason: Some("attempts are known as they stand now, not at a moment".to_owned()),
                ..NodeAnswer::default()
            });
            return Some(answer);
        }
        answer.nodes = attempts.iter().map(|one| speaker.attempt(one)).collect();
        let furthest = attempts.iter().enumerate();
        let furthest =
            furthest.max_by_key(|(place, one)| (one.waits_for, std::cmp::Reverse(*place)));
        answer.first_false = furthest.map(|(_, one)| speaker.attempt(one));
        answer.decided = answer
            .first_false
            .as_ref()
            .and_then(|one| one.waits_for.clone());
        Some(answer)
    }

    /// The part that keeps it from firing, and whether it stands beside the conditions.
    fn decisive(
        &self,
        seen: &Sighting,
        branches: &[Branch],
        speaker: &Speaker<'_>,
    ) -> Option<(NodeAnswer, bool)> {
        if let (true, since) = self.raised {
            return Some((waiting("raised".to_owned(), true, (since, None)), true));
        }
        let mut judged = branches
            .iter()
            .filter(|branch| branch.kind != BranchKind::Clear);
        let held = judged.clone().find(|branch| branch.truth() == Some(true));
        let Some(branch) = held else {
            let part = judged.next()?.first_false()?;
            return Some((speaker.node(part), false));
        };
        let since = self.since.get(branch.level).copied().flatten();
        let due = since.map(|since| Timestamp(since.0.saturating_add(branch.hold)));
        let path = if branch.hold > 0 { "hold" } else { "told" };
        let mut part = waiting(seen.level_path(branch.level, path), false, (since, due));
        if branch.hold == 0 {
            part.due = None;
            part.reason = Some("held back by `dampen`, `flapping`, `active` or `emit`".to_owned());
        }
        Some((part, true))
    }
}

/// It fired: what it saw then, and which part made it.
fn fired(moment: &Moment, speaker: &Speaker<'_>) -> Answer {
    let firing = &moment.firing;
    let seen = moment.seen.as_ref();
    let branches = seen.map(Sighting::branches).unwrap_or_default();
    let mut nodes = speaker.nodes(seen, &branches);
    let (decided, beside) = deciding(moment, &branches);
    nodes.extend(beside);
    Answer {
        answer: "fired",
        task: Some(firing.task.clone()),
        time: Some(firing.time.to_string()),
        kind: Some(firing.kind.word()),
        id: firing.id.clone(),
        cause: firing.cause.clone(),
        decided,
        nodes,
        ..Answer::default()
    }
}

/// Path of the part that made a firing, and the part itself if it stands beside the conditions.
fn deciding(moment: &Moment, branches: &[Branch]) -> (Option<String>, Option<NodeAnswer>) {
    let Moment {
        firing,
        seen,
        before,
        since,
    } = moment;
    let before = before.as_ref().map(Sighting::branches).unwrap_or_default();
    let level = seen.as_ref();
    let level = level.map_or(0, |seen| level_of(seen, firing.severity.as_deref()));
    let of = |kind| branch(branches, kind, level);
    let was = |kind| branch(&before, kind, level);
    let path = |node: &Node| node.path.clone();
    let decided = match firing.kind {
        OutcomeKind::Raised | OutcomeKind::Updated => {
            let when = of(BranchKind::When);
            if let (Some(when), Some(seen)) = (when.filter(|when| when.hold > 0), seen) {
                let path = seen.level_path(when.level, "hold");
                let part = waiting(path.clone(), true, (*since, Some(firing.time)));
                return (Some(path), Some(part));
            }
            when.and_then(|when| when.turned(was(BranchKind::When)))
                .map(path)
        }
        OutcomeKind::Cleared => match of(BranchKind::Clear) {
            Some(clear) => clear.turned(was(BranchKind::Clear)).map(path),
            None => of(BranchKind::When).and_then(Branch::first_false).map(path),
        },
        OutcomeKind::Window => {
            let having = of(BranchKind::Having).and_then(|having| having.nodes.first());
            Some(having.map_or_else(|| "window".to_owned(), path))
        }
        _ => None,
    };
    (decided, None)
}
