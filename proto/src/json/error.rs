//! Limits of a JSON text, and what can be wrong with one.

/// How large a JSON text may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Most bytes of the whole text; default 1 MiB.
    pub bytes: usize,
    /// Most objects and arrays inside each other; default 32.
    pub depth: usize,
    /// Most bytes of one string as written, between its quotes; default 64 KiB.
    pub text: usize,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self {
            bytes: 1 << 20,
            depth: 32,
            text: 64 << 10,
        }
    }
}

/// What is wrong with a JSON text, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at}: {problem}")]
pub struct JsonError {
    /// Byte from 0.
    pub at: usize,
    /// What is wrong there.
    pub problem: JsonProblem,
}

/// What can be wrong with a JSON text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonProblem {
    /// More bytes than the limit.
    #[error("more than {0} bytes")]
    Bytes(usize),
    /// More depth than the limit.
    #[error("more than {0} objects and arrays inside each other")]
    Depth(usize),
    /// A longer string than the limit.
    #[error("a text of more than {0} bytes")]
    Text(usize),
    /// Not UTF-8.
    #[error("not UTF-8")]
    Utf8,
    /// The text ends too early.
    #[error("the text ends where {0} is expected")]
    End(&'static str),
    /// Something else stands there.
    #[error("{0} is expected")]
    Expected(&'static str),
    /// A control character inside a string.
    #[error("a control character inside a text (write it as `\\u00..`)")]
    Control,
    /// A backslash with something that is no escape.
    #[error("not an escape")]
    Escape,
    /// Half of a surrogate pair.
    #[error("half of a surrogate pair")]
    Surrogate,
    /// Something behind the value.
    #[error("something stands behind the value")]
    Trailing,
}
