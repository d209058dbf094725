//! Documents: checking them whole, and `POST /v1/apply`, which brings many of them in force one after another.

use std::ops::Range;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::{Value, json};
use tidegate_actors::command::{Command, Request};
use tidegate_actors::observe::ResourceView;
use tidegate_actors::source::parse_source;
use tidegate_proto::document::{self, Document, SourceDefinition};
use tidegate_proto::issue::{Issue, Issues, Mark};
use tidegate_proto::resource::Traits;

use super::backend::Backend;
use super::extract::{Ask, idempotency_key, read_text};
use super::problem::Problem;
use super::rules::Submission;
use super::state::Api;
use crate::error::EngineError;

/// What a submission changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It was not there before.
    Created,
    /// It was there and is another one now.
    Revised,
    /// It is what it was.
    Unchanged,
}

impl Change {
    /// The word for people.
    #[must_use]
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Revised => "revised",
            Self::Unchanged => "unchanged",
        }
    }
}

/// What changed, by the revisions before (0: not there) and after.
#[must_use]
pub(super) const fn outcome_of(before: u64, after: u64) -> Change {
    match before {
        0 => Change::Created,
        same if same == after => Change::Unchanged,
        _ => Change::Revised,
    }
}

/// Reads documents and compiles all formulas of rules.
///
/// # Errors
/// All problems of all documents at once, with their places in the text.
pub(super) fn check(text: &str) -> Result<Vec<Document>, Issues> {
    tidegate_operators::check(text)
}

/// Ranges of the documents of a YAML text: it falls apart at lines that begin with `---`. Nothing else can stand there
/// in YAML, and a JSON text has no such line.
fn ranges(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let (mut start, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        let is_marker = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if is_marker {
            ranges.push(start..at);
            start = at;
        }
        at += line.len();
    }
    ranges.push(start..at);
    let has_content = |range: &Range<usize>| {
        let lines = text.get(range.clone()).unwrap_or_default().lines();
        lines.map(str::trim).any(|line| {
            !line.is_empty() && !line.starts_with('#') && line != "---" && line != "..."
        })
    };
    ranges.retain(has_content);
    ranges
}

/// A document with the text that it was read from.
struct Source {
    document: Document,
    text: String,
}

fn sources(text: &str, documents: Vec<Document>) -> Result<Vec<Source>, Problem> {
    let ranges = ranges(text);
    if ranges.len() != documents.len() {
        let problem = "documents must be parted by lines with `---`";
        return Err(Problem::issues(&[Issue::new("", Mark::default(), problem)]));
    }
    let piece = |range: Range<usize>| {
        text.get(range)
            .unwrap_or_default()
            .trim_start_matches("---")
            .trim()
            .to_owned()
    };
    Ok(documents
        .into_iter()
        .zip(ranges)
        .map(|(document, range)| Source {
            document,
            text: piece(range),
        })
        .collect())
}

/// Brings documents in force, in their order; with `?dryRun=true` says what would come of it.
pub(super) async fn apply(
    State(api): State<Api>,
    Ask(submission): Ask<Submission>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let key = api.request_id(idempotency_key(&headers)?.as_deref());
    let text = read_text(&headers, body, api.limits().body_bytes).await?;
    let documents = check(&text).map_err(|issues| Problem::issues(&issues))?;
    let sources = sources(&text, documents)?;
    let mut items: Vec<Value> = Vec::new();
    for (index, source) in sources.into_iter().enumerate() {
        let applied = if submission.dry_run {
            foresee(&api, source).await
        } else {
            apply_one(&api, format!("{key}-{index}"), source).await
        };
        match applied {
            Ok(item) => items.push(item),
            Err(error) => {
                let mut problem = Problem::from(error);
                if !items.is_empty() {
                    problem.detail = format!(
                        "{} (the {} documents before it are in force)",
                        problem.detail,
                        items.len()
                    );
                }
                return Err(problem);
            }
        }
    }
    Ok(Json(json!({ "items": items })))
}

fn item(kind: &str, name: &str, change: Change, revision: u64, parts: &[String]) -> Value {
    json!({ "kind": kind, "name": name, "outcome": change.word(), "revision": revision, "parts": parts })
}

async fn apply_one(api: &Api, request: String, source: Source) -> Result<Value, EngineError> {
    let backend = api.backend();
    let (kind, name, before, command) = match source.document {
        Document::Rule(rule) => {
            let name = rule.name.as_str().to_owned();
            let before = backend.rule(&name).await?.map_or(0, |known| known.revision);
            (
                "rule",
                name,
                before,
                Command::PutRule {
                    document: source.text,
                    expected: None,
                },
            )
        }
        Document::Resource(definition) => {
            let id = definition.id.as_ref().to_owned();
            let before = backend
                .resource(&id)
                .await?
                .map_or(0, |known| known.revision);
            (
                "resource",
                id,
                before,
                Command::PutResource {
                    definition,
                    expected: None,
                },
            )
        }
        Document::ResourceType(definition) => {
            let name = definition.name.as_ref().to_owned();
            let before = backend.resource_type(&name).await?;
            (
                "type",
                name,
                before.map_or(0, |known| known.revision),
                Command::PutResourceType {
                    document: source.text,
                    expected: None,
                },
            )
        }
        Document::Source(definition) => {
            return apply_source(backend, request, &definition, source.text).await;
        }
        other => return Err(unsupported(&other)),
    };
    let answer = backend.request(Request { request, command }).await?;
    let change = outcome_of(before, answer.revision);
    Ok(item(kind, &name, change, answer.revision, &answer.parts))
}

async fn apply_source(
    backend: &dyn Backend,
    request: String,
    definition: &SourceDefinition,
    text: String,
) -> Result<Value, EngineError> {
    let name = definition.name.as_str();
    let before = backend.source(name).await?;
    let before = before.map_or(0, |known| known.view.revision);
    let answer = backend.put_source(request, text, None).await?;
    let change = outcome_of(before, answer.revision);
    Ok(item("source", name, change, answer.revision, &answer.parts))
}

/// What would come of a document; the revision is the one that it has now.
async fn foresee(api: &Api, source: Source) -> Result<Value, EngineError> {
    let change = |before: u64, is_same: bool| match (before, is_same) {
        (0, _) => Change::Created,
        (_, true) => Change::Unchanged,
        (_, false) => Change::Revised,
    };
    match source.document {
        Document::Rule(rule) => {
            api.backend().check_rule(&rule)?;
            let known = api.backend().rule(rule.name.as_str()).await?;
            let before = known.as_ref().map_or(0, |known| known.revision);
            let known = known.and_then(|known| document::parse(&known.document).ok()?.pop());
            let is_same =
                matches!(known, Some(Document::Rule(known)) if known.document == rule.document);
            Ok(item(
                "rule",
                rule.name.as_str(),
                change(before, is_same),
                before,
                &[],
            ))
        }
        Document::Resource(definition) => {
            let known = api.backend().resource(&definition.id).await?;
            let before = known.as_ref().map_or(0, |known| known.revision);
            let same = match &known {
                Some(known) => is_same_resource(api, known, &definition.traits).await?,
                None => false,
            };
            Ok(item(
                "resource",
                &definition.id,
                change(before, same),
                before,
                &[],
            ))
        }
        Document::ResourceType(definition) => {
            let known = api.backend().resource_type(&definition.name).await?;
            let before = known.as_ref().map_or(0, |known| known.revision);
            let known = known.and_then(|known| document::parse(&known.document).ok()?.pop());
            let same = matches!(known, Some(Document::ResourceType(known)) if known == definition);
            let change = change(before, same);
            Ok(item("type", &definition.name, change, before, &[]))
        }
        Document::Source(definition) => {
            api.backend().check_source(&definition)?;
            let known = api.backend().source(definition.name.as_str()).await?;
            let before = known.as_ref().map_or(0, |known| known.view.revision);
            let known = known.and_then(|known| parse_source(&known.view.document).ok());
            let is_same = known.as_ref() == Some(&definition);
            let name = definition.name.as_str();
            Ok(item("source", name, change(before, is_same), before, &[]))
        }
        other => Err(unsupported(&other)),
    }
}

/// Whether a definition says what is known of a resource. What its type adds is shown with it, so the definition is
/// looked at with the same on top.
async fn is_same_resource(
    api: &Api,
    known: &ResourceView,
    said: &Traits,
) -> Result<bool, EngineError> {
    let mut whole = said.clone();
    if let Some(kind) = &said.kind
        && let Some(kind) = api.backend().resource_type(kind).await?
        && let Some(Document::ResourceType(kind)) = document::parse(&kind.document)
            .ok()
            .and_then(|mut all| all.pop())
    {
        whole = kind.over(&whole);
    }
    Ok(known.kind == whole.kind
        && known.labels == whole.labels
        && known.meta == whole.meta
        && known.parent == whole.parent)
}

fn unsupported(document: &Document) -> EngineError {
    let kind = document.kind();
    EngineError::Invalid(format!(
        "a document of kind `{kind}` cannot be applied to a running engine yet"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_fall_apart_at_their_markers() {
        let text = "# head\n---\nkind: Rule\nname: a\n--- # second\nkind: Rule\ntext: |\n  ---x\n  --- y\n---\n# nothing\n---\n{\"kind\":\"Rule\"}\n";
        let pieces: Vec<&str> = ranges(text).into_iter().map(|range| &text[range]).collect();
        assert_eq!(
            pieces,
            [
                "---\nkind: Rule\nname: a\n",
                "--- # second\nkind: Rule\ntext: |\n  ---x\n  --- y\n",
                "---\n{\"kind\":\"Rule\"}\n"
            ]
        );
        assert!(ranges("").is_empty());
        assert_eq!(ranges("a: 1").len(), 1);
    }

    #[test]
    fn outcomes_follow_from_revisions() {
        assert_eq!(outcome_of(0, 1), Change::Created);
        assert_eq!(outcome_of(3, 3), Change::Unchanged);
        assert_eq!(outcome_of(3, 4), Change::Revised);
    }
}
