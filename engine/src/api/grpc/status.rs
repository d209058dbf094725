//! Errors over gRPC: a status with the details of `google.rpc`, so that ready-made clients understand them.

use prost::Message;
use tidegate_actors::command::Refusal;
use tidegate_proto::issue::Issue;
use tonic::{Code, Status};

use crate::api::problem::{Problem, ProblemKind};
use crate::error::EngineError;

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.BadRequest`.
#[derive(Clone, PartialEq, Message)]
struct BadRequest {
    #[prost(message, repeated, tag = "1")]
    field_violations: Vec<FieldViolation>,
}

/// `google.rpc.BadRequest.FieldViolation`.
#[derive(Clone, PartialEq, Message)]
struct FieldViolation {
    #[prost(string, tag = "1")]
    field: String,
    #[prost(string, tag = "2")]
    description: String,
}

/// `google.rpc.ErrorInfo`, without metadata.
#[derive(Clone, PartialEq, Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
}

fn any(name: &str, message: &impl Message) -> Any {
    Any {
        type_url: format!("type.googleapis.com/google.rpc.{name}"),
        value: message.encode_to_vec(),
    }
}

fn with_details(code: Code, message: String, reason: &str, more: Option<Any>) -> Status {
    let info = ErrorInfo {
        reason: reason.to_owned(),
        domain: "tidegate".to_owned(),
    };
    let mut details = vec![any("ErrorInfo", &info)];
    details.extend(more);
    let status = RpcStatus {
        code: code as i32,
        message: message.clone(),
        details,
    };
    Status::with_details(code, message, status.encode_to_vec().into())
}

/// A document that is wrong: all issues in the message and as field violations.
pub(super) fn invalid(issues: &[Issue]) -> Status {
    let violations = issues.iter().map(|issue| {
        let mut description = issue.problem.clone();
        if !issue.hint.is_empty() {
            description.push_str(&format!(" ({})", issue.hint));
        }
        if issue.mark.line > 0 {
            description = format!("{}:{}: {description}", issue.mark.line, issue.mark.column);
        }
        FieldViolation {
            field: issue.path.clone(),
            description,
        }
    });
    let bad = BadRequest {
        field_violations: violations.collect(),
    };
    let lines: Vec<String> = issues.iter().map(ToString::to_string).collect();
    with_details(
        Code::InvalidArgument,
        lines.join("\n"),
        "INVALID",
        Some(any("BadRequest", &bad)),
    )
}

/// A request that makes no sense.
pub(super) fn bad(message: impl Into<String>) -> Status {
    with_details(Code::InvalidArgument, message.into(), "BAD_REQUEST", None)
}

/// Something that is not there.
pub(super) fn missing(what: &str) -> Status {
    with_details(
        Code::NotFound,
        format!("there is no `{what}`"),
        "NOT_FOUND",
        None,
    )
}

/// What the engine answered.
#[allow(
    clippy::needless_pass_by_value,
    reason = "it stands in `map_err`, which hands the error over"
)]
pub(super) fn of(error: EngineError) -> Status {
    let (code, reason) = match &error {
        EngineError::Refused(Refusal::Invalid { issues }) => return invalid(issues),
        EngineError::Refused(Refusal::Conflict { .. }) => (Code::Aborted, "CONFLICT"),
        EngineError::Refused(Refusal::NotFound { .. }) => (Code::NotFound, "NOT_FOUND"),
        EngineError::Unavailable(_) => (Code::Unavailable, "UNAVAILABLE"),
        EngineError::Overloaded(_) => (Code::ResourceExhausted, "OVERLOADED"),
        EngineError::Invalid(_) => (Code::InvalidArgument, "BAD_REQUEST"),
        EngineError::Config(_)
        | EngineError::Port(_)
        | EngineError::Data(_)
        | EngineError::Internal(_) => {
            tracing::error!(%error, "call failed");
            (Code::Internal, "INTERNAL")
        }
    };
    with_details(code, error.to_string(), reason, None)
}

/// What the shared service layer answered.
pub(super) fn of_problem(problem: &Problem) -> Status {
    let (code, reason) = match problem.kind {
        ProblemKind::Overloaded => (Code::ResourceExhausted, "OVERLOADED"),
        ProblemKind::Unavailable => (Code::Unavailable, "UNAVAILABLE"),
        ProblemKind::NotFound => (Code::NotFound, "NOT_FOUND"),
        ProblemKind::Internal => (Code::Internal, "INTERNAL"),
        _ => (Code::InvalidArgument, "BAD_REQUEST"),
    };
    with_details(code, problem.detail.clone(), reason, None)
}

#[cfg(test)]
mod tests {
    use tidegate_proto::issue::Mark;

    use super::*;

    #[test]
    fn all_issues_are_in_the_message_and_in_the_details() {
        let issues = [
            Issue::new(
                "rule a: when",
                Mark { line: 3, column: 7 },
                "unknown function `averge`",
            )
            .hint("did you mean `avg`?"),
            Issue::new("rule a: hold", Mark::default(), "no duration"),
        ];
        let status = invalid(&issues);
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(
            status
                .message()
                .contains("3:7: rule a: when: unknown function `averge` (did you mean `avg`?)")
        );
        let details = RpcStatus::decode(status.details()).unwrap();
        assert_eq!(details.code, 3);
        let bad = details
            .details
            .iter()
            .find(|any| any.type_url.ends_with("/google.rpc.BadRequest"))
            .unwrap();
        let bad = BadRequest::decode(bad.value.as_slice()).unwrap();
        assert_eq!(bad.field_violations.len(), 2);
        assert_eq!(bad.field_violations[1].field, "rule a: hold");
    }

    #[test]
    fn refusals_have_their_codes() {
        let conflict = of(EngineError::Refused(Refusal::Conflict {
            expected: 2,
            actual: 3,
        }));
        assert_eq!(conflict.code(), Code::Aborted);
        assert_eq!(
            conflict.message(),
            "expected revision 2, but it has revision 3"
        );
        assert_eq!(of(EngineError::not_found("rule/x")).code(), Code::NotFound);
        assert_eq!(
            of(EngineError::Unavailable("x".into())).code(),
            Code::Unavailable
        );
    }
}
