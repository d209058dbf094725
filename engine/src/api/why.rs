//! `/v1/rules/{name}/why`: why a rule fired, or did not, on a resource.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tidegate_actors::rule::parse_rule;
use tidegate_actors::why::Question;
use tidegate_proto::time::Timestamp;

use super::extract::{Ask, Place};
use super::problem::Problem;
use super::state::Api;
use crate::error::EngineError;

/// Which task, and when.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    #[serde(default)]
    resource: String,
    at: Option<String>,
}

/// A question as somebody asks it, with the moment as text.
///
/// # Errors
/// When the moment is no time.
pub(super) fn question(
    rule: String,
    resource: String,
    at: Option<&str>,
) -> Result<Question, EngineError> {
    let at = at.filter(|at| !at.is_empty());
    let at = at.map(str::parse::<Timestamp>).transpose();
    let at = at.map_err(|error| EngineError::Invalid(format!("`at`: {error}")))?;
    Ok(Question { rule, resource, at })
}

/// Asks; a rule that is not there can be asked about a moment at which it was.
pub(super) async fn ask(api: &Api, question: Question) -> Result<Option<String>, EngineError> {
    let rule = api.backend().rule(&question.rule).await?;
    if question.at.is_none() && rule.is_none() {
        return Ok(None);
    }
    let plan = rule.and_then(|rule| parse_rule(&rule.document).ok());
    let everything = plan.is_some_and(|(_, plan)| plan.is_everything());
    if question.resource.is_empty() && !everything {
        let text = "`resource` is missing: the id of the resource that is asked about";
        return Err(EngineError::Invalid(text.to_owned()));
    }
    api.backend().why(question).await.map(Some)
}

/// The answer, one JSON object with its keys in a fixed order.
pub(super) async fn get(
    State(api): State<Api>,
    Place(name): Place,
    Ask(asked): Ask<Asked>,
) -> Result<Response, Problem> {
    let question = question(name.clone(), asked.resource, asked.at.as_deref())?;
    let answer = ask(&api, question).await?;
    let answer = answer.ok_or_else(|| Problem::missing(&format!("rule/{name}")))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], answer).into_response())
}
