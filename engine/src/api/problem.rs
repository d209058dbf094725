//! [`Problem`]: every error of the REST door, as RFC 9457 `application/problem+json`.
//!
//! `type` is stable: `urn:tidegate:problem:` and the word of [`ProblemKind`]. `errors` lists all that is wrong with a
//! document or a batch, each with where it stands.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tidegate_actors::command::Refusal;
use tidegate_proto::issue::Issue;

use crate::error::EngineError;

/// What kind of problem it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// The request makes no sense.
    BadRequest,
    /// A document or an event is wrong; `errors` says what.
    Invalid,
    /// The request came from where it may not come from.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// The thing cannot do that.
    MethodNotAllowed,
    /// It took too long to send the request.
    Timeout,
    /// Somebody else was first: the revision is another one.
    Conflict,
    /// The body is too large.
    TooLarge,
    /// The headers are too large.
    HeadersTooLarge,
    /// Too much at once; try again after a moment.
    Overloaded,
    /// A bug of ours.
    Internal,
    /// Not now; try again after a moment.
    Unavailable,
}

impl ProblemKind {
    /// Status code.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BadRequest | Self::Invalid => StatusCode::BAD_REQUEST,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict => StatusCode::PRECONDITION_FAILED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Overloaded => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The word in `type`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::Invalid => "invalid",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::Timeout => "timeout",
            Self::Conflict => "conflict",
            Self::TooLarge => "too-large",
            Self::HeadersTooLarge => "headers-too-large",
            Self::Overloaded => "overloaded",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::BadRequest => "The request makes no sense",
            Self::Invalid => "What was sent is wrong",
            Self::Forbidden => "Not allowed",
            Self::NotFound => "There is no such thing",
            Self::MethodNotAllowed => "This cannot be done here",
            Self::Timeout => "The request took too long",
            Self::Conflict => "Somebody else was first",
            Self::TooLarge => "The body is too large",
            Self::HeadersTooLarge => "The headers are too large",
            Self::Overloaded => "Too much at once",
            Self::Internal => "A bug in Tidegate",
            Self::Unavailable => "Not available now",
        }
    }
}

/// One thing that is wrong with what was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProblemItem {
    /// Path of the field, or JSON pointer of the event.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Line from 1.
    #[serde(skip_serializing_if = "is_zero")]
    pub line: u32,
    /// Column in characters from 1.
    #[serde(skip_serializing_if = "is_zero")]
    pub column: u32,
    /// What is wrong.
    pub detail: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl From<&Issue> for ProblemItem {
    fn from(issue: &Issue) -> Self {
        Self {
            path: issue.path.clone(),
            line: issue.mark.line,
            column: issue.mark.column,
            detail: issue.problem.clone(),
            hint: issue.hint.clone(),
        }
    }
}

/// An error of the REST door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind of problem it is.
    pub kind: ProblemKind,
    /// What happened this time.
    pub detail: String,
    /// All that is wrong with what was sent.
    pub errors: Vec<ProblemItem>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ProblemItem],
}

impl Problem {
    /// A problem without a list.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// A request that makes no sense.
    pub fn bad(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::BadRequest, detail)
    }

    /// Something that is not there: `rule/NAME`.
    #[must_use]
    pub fn missing(what: &str) -> Self {
        Self::new(ProblemKind::NotFound, format!("there is no `{what}`"))
    }

    /// All that is wrong with what was sent.
    #[must_use]
    pub fn invalid(errors: Vec<ProblemItem>) -> Self {
        let detail = match errors.as_slice() {
            [one] => one.detail.clone(),
            many => format!("{} problems", many.len()),
        };
        Self {
            kind: ProblemKind::Invalid,
            detail,
            errors,
        }
    }

    /// All that is wrong with a document.
    #[must_use]
    pub fn issues(issues: &[Issue]) -> Self {
        Self::invalid(issues.iter().map(ProblemItem::from).collect())
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        let kind = match &error {
            EngineError::Refused(Refusal::Invalid { issues }) => return Self::issues(issues),
            EngineError::Refused(Refusal::Conflict { .. }) => ProblemKind::Conflict,
            EngineError::Refused(Refusal::NotFound { .. }) => ProblemKind::NotFound,
            EngineError::Unavailable(_) => ProblemKind::Unavailable,
            EngineError::Overloaded(_) => ProblemKind::Overloaded,
            EngineError::Invalid(_) => ProblemKind::BadRequest,
            EngineError::Config(_)
            | EngineError::Port(_)
            | EngineError::Data(_)
            | EngineError::Internal(_) => {
                tracing::error!(%error, "request failed");
                ProblemKind::Internal
            }
        };
        Self::new(kind, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.kind.status();
        let body = Body {
            r#type: format!("urn:tidegate:problem:{}", self.kind.word()),
            title: self.kind.title(),
            status: status.as_u16(),
            detail: &self.detail,
            errors: &self.errors,
        };
        let text = serde_json::to_string(&body).unwrap_or_default();
        let mut response = (status, text).into_response();
        let headers = response.headers_mut();
        let media = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, media);
        if matches!(
            self.kind,
            ProblemKind::Overloaded | ProblemKind::Unavailable
        ) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
