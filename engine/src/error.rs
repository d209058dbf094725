//! [`EngineError`]: what the engine answers with when it cannot do what it was asked.

use tidegate_actors::command::Refusal;
use tidegate_actors::port::{PortError, PortErrorKind};
use tidegate_proto::issue::Issue;

use crate::config::ConfigError;

/// Why the engine did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    /// The addressed actor refused: conflict, not there, invalid.
    #[error("{}", refusal_text(.0))]
    Refused(Refusal),
    /// Not now: shards recover, the log is full or gone, an answer did not come in time. Trying again is sane.
    #[error("not available now: {0}")]
    Unavailable(String),
    /// A queue is full; try again after a moment.
    #[error("too much at once: {0}")]
    Overloaded(String),
    /// What was asked makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log or the snapshot store failed.
    #[error("{0}")]
    Port(PortError),
    /// The data folder cannot be used: in use by another process, of another version, of another partition count.
    #[error("{0}")]
    Data(String),
    /// A bug of ours.
    #[error("internal error: {0}")]
    Internal(String),
}

impl EngineError {
    /// A document that is wrong.
    #[must_use]
    pub const fn issues(issues: Vec<Issue>) -> Self {
        Self::Refused(Refusal::Invalid { issues })
    }

    /// Something that is not there: `rule/NAME`.
    #[must_use]
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::Refused(Refusal::NotFound { what: what.into() })
    }
}

impl From<PortError> for EngineError {
    fn from(error: PortError) -> Self {
        match error.kind {
            PortErrorKind::Unavailable | PortErrorKind::Full | PortErrorKind::Closed => {
                Self::Unavailable(error.message)
            }
            _ => Self::Port(error),
        }
    }
}

fn refusal_text(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Conflict {
            expected,
            actual: 0,
        } => {
            format!("expected revision {expected}, but it does not exist")
        }
        Refusal::Conflict {
            expected: 0,
            actual,
        } => {
            format!("expected that it does not exist, but it has revision {actual}")
        }
        Refusal::Conflict { expected, actual } => {
            format!("expected revision {expected}, but it has revision {actual}")
        }
        Refusal::NotFound { what } => format!("there is no `{what}`"),
        Refusal::Invalid { issues } => {
            let lines: Vec<String> = issues.iter().map(ToString::to_string).collect();
            lines.join("\n")
        }
    }
}
