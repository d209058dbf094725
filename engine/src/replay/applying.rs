//! Documents come in a replay: all of a text, or none of it.

use tidegate_actors::command::{Command, Request, Signal};
use tidegate_proto::document::Document;
use tidegate_proto::issue::Issues;

use super::{Replay, lines};

impl Replay {
    /// Takes documents in at this place of the lines, as if applied there: all of them, or none and what is wrong with them.
    pub(super) fn apply(&mut self, documents: &str) -> Result<(), Issues> {
        let parsed = tidegate_operators::check(documents)?;
        let mut issues = Issues::new();
        let known = (self.chains.clone(), self.sets.clone());
        for document in &parsed {
            if let Document::Rule(rule) = document {
                self.chain(rule, &mut issues);
                self.note_sets(rule, &mut issues);
            }
        }
        if !issues.is_empty() {
            (self.chains, self.sets) = known;
            issues.sort_by_key(|issue| issue.mark);
            return Err(issues);
        }
        for document in parsed {
            self.take(document);
        }
        Ok(())
    }

    fn take(&mut self, document: Document) {
        match document {
            Document::Rule(rule) => {
                self.tell_rule(rule.name.as_str(), Some(&rule.document), true);
            }
            Document::Resource(definition) => {
                let command = Command::PutResource {
                    definition,
                    expected: None,
                };
                let request = Request {
                    request: format!("line:{}", self.line),
                    command,
                };
                let (partition, record) = request.to_record(self.options.shards);
                self.push(partition as usize, record);
            }
            Document::ResourceType(kind) => {
                let name = kind.name.as_ref().to_owned();
                let document =
                    serde_json::to_string(&lines::type_document(&kind)).unwrap_or_default();
                self.tell(&Signal::ResourceType {
                    request: String::new(),
                    name,
                    revision: 1,
                    document: Some(document),
                });
            }
            _ => {}
        }
    }

    /// What is wrong with documents on a line changes nothing; it is told, and the replay goes on.
    pub(super) fn apply_line(&mut self, documents: &str) {
        if let Err(issues) = self.apply(documents) {
            let told = issues.iter().map(ToString::to_string);
            let told = told.collect::<Vec<_>>().join("; ");
            let unusable = (self.line, format!("`apply` is refused: {told}"));
            self.summary.unusable.push(unusable);
        }
    }
}
