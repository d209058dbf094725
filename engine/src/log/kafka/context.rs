//! What librdkafka tells goes to our log; what it answers becomes an error of the port.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tidegate_actors::port::{PortError, PortErrorKind};

/// When it was last told that brokers are away.
static AWAY: Told = Told(Mutex::new(None));
/// Pause between two lines that say so.
const AWAY_PAUSE: Duration = Duration::from_secs(10);

/// When something was last told.
struct Told(Mutex<Option<Instant>>);

impl Told {
    /// Whether it is time to tell it again; then it counts as told.
    fn is_due(&self, now: Instant) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = told.is_none_or(|told| now.saturating_duration_since(told) >= AWAY_PAUSE);
        if due {
            *told = Some(now);
        }
        due
    }
}

/// Forwards log lines; used by every client that needs no callbacks of its own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plain;

impl ClientContext for Plain {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ConsumerContext for Plain {}

/// One line of librdkafka. Lost connections are told as such by those who needed them; here they are only detail.
pub(super) fn log_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(target: "librdkafka", facility, "{message}");
        }
        // That a property is experimental is known; each start would say it again.
        _ if matches!(facility, "FAIL" | "CONFWARN") => {
            tracing::debug!(target: "librdkafka", facility, "{message}");
        }
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
            tracing::warn!(target: "librdkafka", facility, "{message}");
        }
        _ => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}

pub(super) fn log_error(error: &KafkaError, reason: &str) {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure) => {
            // Every client says it with every try, and some hand over all that they said at once.
            if AWAY.is_due(Instant::now()) {
                tracing::warn!(target: "librdkafka", "no broker can be reached: {reason}");
            } else {
                tracing::debug!(target: "librdkafka", "no broker can be reached: {reason}");
            }
        }
        _ => tracing::warn!(target: "librdkafka", %error, "{reason}"),
    }
}

/// What a code means to us.
pub(super) const fn kind_of(code: RDKafkaErrorCode) -> PortErrorKind {
    match code {
        RDKafkaErrorCode::UnknownTopicOrPartition
        | RDKafkaErrorCode::UnknownTopic
        | RDKafkaErrorCode::UnknownPartition => PortErrorKind::NotFound,
        RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset => {
            PortErrorKind::OutOfRange
        }
        RDKafkaErrorCode::BadMessage => PortErrorKind::Corrupt,
        RDKafkaErrorCode::MessageSizeTooLarge
        | RDKafkaErrorCode::InvalidMessageSize
        | RDKafkaErrorCode::TopicAuthorizationFailed
        | RDKafkaErrorCode::GroupAuthorizationFailed
        | RDKafkaErrorCode::ClusterAuthorizationFailed
        | RDKafkaErrorCode::PolicyViolation
        | RDKafkaErrorCode::InvalidTopic => PortErrorKind::Refused,
        _ => PortErrorKind::Unavailable,
    }
}

/// An error of a client, with what was being done.
pub(super) fn failed(doing: &str, error: &KafkaError) -> PortError {
    let kind = error
        .rdkafka_error_code()
        .map_or(PortErrorKind::Unavailable, kind_of);
    PortError::new(kind, format!("{doing}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_try_says_is_told_now_and_then() {
        let (told, began) = (Told(Mutex::new(None)), Instant::now());
        let due = |seconds| told.is_due(began + Duration::from_secs(seconds));
        let seen: Vec<bool> = [0, 0, 9, 10, 19, 21].map(due).into();
        assert_eq!(seen, [true, false, false, true, false, true]);
    }
}
