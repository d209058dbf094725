//! What belongs to the engine itself: topics that no source may read and no rule may write to.

use std::sync::Arc;

use tidegate_actors::command::{Command, Request};
use tidegate_proto::document::{self, Document};
use tidegate_proto::issue::{Issue, Mark};
use tidegate_proto::rule::{ActionKind, Body, Rule, Target};

use super::Engine;
use crate::error::EngineError;

/// Kinds of our topics.
const KINDS: [&str; 8] = [
    "inbox", "journal", "results", "actions", "changes", "dlq", "late", "workers",
];

impl Engine {
    /// Whether a topic is one of ours.
    pub(super) fn is_ours(&self, topic: &str) -> bool {
        KINDS.iter().any(|kind| self.config().topic(kind) == topic)
    }

    /// What is wrong with a rule beside its document: a line of it in a topic of ours would be taken for what it is not.
    ///
    /// # Errors
    /// When it writes to a topic of ours; all places at once.
    pub fn check_rule(&self, rule: &Rule) -> Result<(), EngineError> {
        let foreign = |(path, topic): (String, Arc<str>)| {
            self.is_ours(&topic).then(|| {
                let problem = format!("`{topic}` is a topic of the engine itself");
                Issue::new(&path, Mark::default(), problem)
                    .hint("write to a topic of your own; results are in `results` anyway")
            })
        };
        let issues: Vec<Issue> = topics(rule).into_iter().filter_map(foreign).collect();
        if issues.is_empty() {
            Ok(())
        } else {
            Err(EngineError::issues(issues))
        }
    }

    /// The same for a request that brings a rule; whatever else is wrong with it its actor says.
    pub(super) fn check_request(&self, request: &Request) -> Result<(), EngineError> {
        let Command::PutRule { document, .. } = &request.command else {
            return Ok(());
        };
        let documents = document::parse(document).unwrap_or_default();
        documents.iter().try_for_each(|document| match document {
            Document::Rule(rule) => self.check_rule(rule),
            _ => Ok(()),
        })
    }
}

/// The topics that a rule writes to, with where it says so.
fn topics(rule: &Rule) -> Vec<(String, Arc<str>)> {
    let place = |number: usize| match &rule.body {
        Body::Graph(graph) => graph.actuators.get(number).map_or_else(
            || format!("then[{number}]"),
            |name| format!("graph.actuators.{name}"),
        ),
        _ => format!("then[{number}]"),
    };
    let actions = rule.then.iter().enumerate();
    let actions = actions.filter_map(|(number, action)| match &action.kind {
        ActionKind::Topic { name, .. } => Some((place(number), name)),
        _ => None,
    });
    let targets = rule.to.iter().enumerate();
    let targets = targets.filter_map(|(number, target)| match target {
        Target::Topic { name, .. } => Some((format!("to[{number}]"), name)),
        Target::Results => None,
    });
    let all = actions.chain(targets);
    all.map(|(path, name)| (format!("{path}.topic.name"), Arc::clone(name)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_that_a_rule_writes_to_is_found_with_its_place() {
        let text = "kind: Rule\nname: w\nfor: all\nwhen: x > 0\nthen:\n  - log: hi\n  - topic: { name: hot }\nto: [ results, { topic: { name: means } } ]\n";
        let documents = document::parse(text).expect("a rule");
        let [Document::Rule(rule)] = documents.as_slice() else {
            panic!("one rule");
        };
        let found = topics(rule);
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(path, name)| (path.as_str(), &**name))
            .collect();
        assert_eq!(
            found,
            [("then[1].topic.name", "hot"), ("to[1].topic.name", "means")]
        );
    }
}
