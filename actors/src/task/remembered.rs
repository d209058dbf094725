//! [`Remembered`]: an outcome as a task keeps it. Every turn copies its task for the rollback, so a copy must cost next
//! to nothing; snapshots hold [`TaskOutcome`]s.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_proto::outcome::OutcomeKind;
use tidegate_proto::time::Timestamp;

use crate::observe::TaskOutcome;

/// A handler has done what the task asked for.
pub(super) const DELIVERED: &str = "delivered";
/// A handler has given up.
pub(super) const UNDELIVERED: &str = "undelivered";

/// All words of outcomes.
const WORDS: [&str; 11] = [
    OutcomeKind::Result.word(),
    OutcomeKind::Raised.word(),
    OutcomeKind::Updated.word(),
    OutcomeKind::Cleared.word(),
    OutcomeKind::Window.word(),
    OutcomeKind::Match.word(),
    OutcomeKind::State.word(),
    OutcomeKind::Late.word(),
    OutcomeKind::Error.word(),
    DELIVERED,
    UNDELIVERED,
];

/// One outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remembered {
    pub(super) time: Timestamp,
    pub(super) kind: &'static str,
    /// `None`: nothing to tell.
    pub(super) detail: Option<Arc<str>>,
}

impl Remembered {
    pub(super) fn new(time: Timestamp, kind: &'static str, detail: String) -> Self {
        let detail = (!detail.is_empty()).then(|| Arc::from(detail));
        Self { time, kind, detail }
    }
}

impl From<Remembered> for TaskOutcome {
    fn from(outcome: Remembered) -> Self {
        Self {
            time: outcome.time,
            kind: outcome.kind.to_owned(),
            detail: outcome.detail.as_deref().unwrap_or_default().to_owned(),
        }
    }
}

impl TryFrom<TaskOutcome> for Remembered {
    type Error = String;

    fn try_from(outcome: TaskOutcome) -> Result<Self, String> {
        let known = WORDS.into_iter().find(|word| *word == outcome.kind);
        let kind = known.ok_or_else(|| format!("`{}` is no kind of outcome", outcome.kind))?;
        Ok(Self::new(outcome.time, kind, outcome.detail))
    }
}

impl Serialize for Remembered {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        TaskOutcome::from(self.clone()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Remembered {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let outcome = TaskOutcome::deserialize(deserializer)?;
        outcome.try_into().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_holds_it_as_it_is_shown() {
        for (kind, detail) in [("raised", ""), (UNDELIVERED, "0-1-2: no after 3 attempts")] {
            let kept = Remembered::new(Timestamp(7), kind, detail.to_owned());
            let shown = TaskOutcome::from(kept.clone());
            assert_eq!((shown.kind.as_str(), shown.detail.as_str()), (kind, detail));
            let bytes = postcard::to_stdvec(&kept).unwrap();
            assert_eq!(bytes, postcard::to_stdvec(&shown).unwrap());
            assert_eq!(postcard::from_bytes::<Remembered>(&bytes).unwrap(), kept);
        }
        let strange = TaskOutcome {
            time: Timestamp(0),
            kind: "strange".into(),
            detail: String::new(),
        };
        assert!(Remembered::try_from(strange).is_err());
    }
}
