//! [`Answer`]: the words of a [`Why`], one JSON object with its keys in a fixed order.

use serde::Serialize;
use tidegate_operators::why::{Branch, BranchKind, Node};
use tidegate_operators::{Inside, Sighting};
use tidegate_proto::outcome::OutcomeKind;
use tidegate_proto::time::Timestamp;

use super::inside::Told;
use super::node::{NodeAnswer, Speaker, waiting};
use super::{Moment, Why, branch, level_of};
use crate::shard::Shard;

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
            _ if self.history.is_none() => false,
            "fired" => true,
            "near_miss" => question.at.is_some(),
            _ => false,
        }
    }

    /// The JSON text; the last parts are left out and counted where it would be longer than so many bytes.
    #[must_use]
    pub fn text(mut self, most: usize) -> String {
        loop {
            // Plain data with text keys: cannot fail.
            let text = serde_json::to_string(&self).unwrap_or_default();
            if text.len() <= most || self.nodes.pop().is_none() {
                return text;
            }
            self.cut = Some(self.cut.unwrap_or(0) + 1);
        }
    }
}

impl Why {
    /// What came of it; the shard is as it was after the last step that was taken.
    #[must_use]
    pub fn answer(self, shard: &Shard) -> Answer {
        let speaker = Speaker { shard };
        let at = self.question.at;
        let exact = |moment: &&Moment| at.is_none_or(|at| moment.firing.time == at);
        let moment = self.fired.as_ref().filter(exact);
        let seen = moment.map_or_else(|| self.points.last(), |moment| moment.seen.as_ref());
        let complete = self.from.is_none() || seen.is_none_or(|seen| self.knows_all(seen));
        let mut answer = match moment {
            Some(moment) => fired(moment, &speaker),
            None => self.missed(&speaker),
        };
        answer.revision = self.facts.revision;
        let facts = &self.facts;
        let id = Some(self.question.resource).filter(|id| !id.is_empty());
        if matches!(answer.answer, "fired" | "near_miss") {
            let rule = &self.question.rule;
            let task = || {
                id.as_ref()
                    .map_or_else(|| rule.clone(), |id| format!("{rule}/{id}"))
            };
            answer.task = answer.task.or_else(|| Some(task()));
            if complete {
                answer.history = Some("complete");
            } else {
                answer.history_from = self.from.map(|from| from.to_string());
            }
        }
        answer.rule = Some(self.question.rule);
        answer.resource = id.filter(|_| !facts.everything);
        answer
    }

    /// Whether nothing from before the history would change what is told of a sighting.
    const fn knows_all(&self, seen: &Sighting) -> bool {
        match seen.inside {
            // What has ended before is not in a snapshot.
            Inside::Attempts(_) => false,
            Inside::Values | Inside::Graph(_) | Inside::Join(_) => !seen.partial,
        }
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
        let Some(seen) = self.points.last() else {
            return simple(if facts.matches { "no_data" } else { "no_task" });
        };
        if let Some(told) = Told::of(seen, None, speaker) {
            return Answer {
                time: Some(seen.at.to_string()),
                decided: told.decided,
                first_false: told.first_false,
                nodes: told.nodes,
                cut: told.cut,
                ..simple("near_miss")
            };
        }
        let branches = seen.branches();
        let mut answer = Answer {
            time: Some(seen.at.to_string()),
            nodes: speaker.nodes(Some(seen), &branches),
            ..simple("near_miss")
        };
        if !seen.group.is_empty() {
            let (rule, resource) = (&self.question.rule, &self.question.resource);
            answer.task = Some(if facts.everything {
                format!("{rule}/{}", seen.group)
            } else {
                format!("{rule}/{resource}/{}", seen.group)
            });
        }
        let part = self.decisive(seen, &branches, speaker);
        answer.decided = part.as_ref().map(|(part, _)| part.path.clone());
        if let Some((part, true)) = &part {
            answer.nodes.push(part.clone());
        }
        answer.first_false = part.map(|(part, _)| part);
        answer
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
    let told = seen.and_then(|seen| Told::of(seen, Some(firing), speaker));
    let told = told.unwrap_or_else(|| {
        let (decided, beside) = deciding(moment, &branches);
        let mut nodes = speaker.nodes(seen, &branches);
        nodes.extend(beside);
        Told {
            nodes,
            decided,
            ..Told::default()
        }
    });
    Answer {
        answer: "fired",
        task: Some(firing.task.clone()),
        time: Some(firing.time.to_string()),
        kind: Some(firing.kind.word()),
        id: firing.id.clone(),
        cause: firing.cause.clone(),
        decided: told.decided,
        nodes: told.nodes,
        cut: told.cut,
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
