//! What librdkafka tells goes to our log; what it answers becomes an error of the port.

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tidegate_actors::port::{PortError, PortErrorKind};

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
            tracing::warn!(target: "librdkafka", "no broker can be reached: {reason}");
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
