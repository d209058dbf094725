//! [`OpenLog`]: the log that the settings chose.

use std::sync::Arc;

use tidegate_actors::port::{EventLog, PortError};

use super::kafka::ClientNumbers;
use super::{KafkaLog, ReopeningLog};

/// The log that the settings chose; cheap to clone.
#[derive(Clone, Debug)]
pub enum OpenLog {
    /// The one in this program.
    Embedded(Arc<ReopeningLog>),
    /// The one on Kafka.
    Kafka(Arc<KafkaLog>),
}

impl OpenLog {
    /// As the port that everybody uses.
    #[must_use]
    pub fn port(&self) -> Arc<dyn EventLog> {
        match self {
            Self::Embedded(log) => Arc::clone(log) as Arc<dyn EventLog>,
            Self::Kafka(log) => Arc::clone(log) as Arc<dyn EventLog>,
        }
    }

    /// Whether outputs, offsets and the epoch's number become visible in one.
    #[must_use]
    pub fn is_atomic(&self) -> bool {
        match self {
            Self::Embedded(_) => true,
            Self::Kafka(log) => log.is_transactional(),
        }
    }

    /// What clients of brokers said of themselves last.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientNumbers> {
        match self {
            Self::Embedded(_) => Vec::new(),
            Self::Kafka(log) => log.clients(),
        }
    }

    /// Whether others may own some of the shards.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        matches!(self, Self::Kafka(_))
    }

    /// Why nothing can be done with it just now, if that is so.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match self {
            Self::Embedded(log) => log.trouble(),
            Self::Kafka(log) => {
                (!log.has_joined()).then(|| "the group has not said yet what is ours".to_owned())
            }
        }
    }

    /// Gives up what is ours; the shards finish first.
    ///
    /// # Errors
    /// When that could not be waited for.
    pub async fn leave(&self) -> Result<(), PortError> {
        match self {
            Self::Embedded(_) => Ok(()),
            Self::Kafka(log) => log.leave().await,
        }
    }

    /// Closes it; everything acknowledged is in it.
    ///
    /// # Errors
    /// When the last writes failed.
    pub async fn close(&self) -> Result<(), PortError> {
        match self {
            Self::Embedded(log) => log.close().await,
            Self::Kafka(log) => log.close().await,
        }
    }
}
