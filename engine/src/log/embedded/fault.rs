//! What can go wrong underneath the embedded log, in the words of the ports, and the state after it did.

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use fjall::{Error as StoreError, LsmError};
use tidegate_actors::port::{PortError, PortErrorKind};
use tokio::sync::watch;

/// Whether the log still works; once it does not, every call answers with the first reason until it is opened anew.
#[derive(Debug)]
pub(super) struct Health {
    reason: watch::Sender<Option<Arc<str>>>,
}

impl Health {
    pub(super) fn new() -> Self {
        Self {
            reason: watch::Sender::new(None),
        }
    }

    /// Closes the log for a reason; the first one stays.
    pub(super) fn close(&self, reason: &str) {
        self.reason.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(Arc::from(reason));
            }
            first
        });
    }

    /// Why the log is closed.
    pub(super) fn reason(&self) -> Option<Arc<str>> {
        self.reason.borrow().clone()
    }

    /// An error once the log is closed.
    pub(super) fn check(&self) -> Result<(), PortError> {
        match &*self.reason.borrow() {
            None => Ok(()),
            Some(reason) => Err(closed(reason)),
        }
    }

    /// Resolves, with the error to answer, when the log is closed.
    pub(super) async fn closing(&self) -> PortError {
        let mut reason = self.reason.subscribe();
        match reason.wait_for(Option::is_some).await {
            Ok(reason) => closed(reason.as_deref().unwrap_or_default()),
            Err(_) => closed("it was dropped"),
        }
    }
}

/// The answer of a closed log.
pub(super) fn closed(reason: &str) -> PortError {
    PortError::new(
        PortErrorKind::Closed,
        format!("the embedded log is closed: {reason}"),
    )
}

/// A failure of the store as an error of the port.
pub(super) fn port_error(error: &StoreError, doing: &str) -> PortError {
    let kind = match error {
        StoreError::Io(io) | StoreError::Storage(LsmError::Io(io)) => kind_of_io(io.kind()),
        StoreError::Poisoned | StoreError::KeyspaceDeleted => PortErrorKind::Unavailable,
        StoreError::Locked => PortErrorKind::Unavailable,
        _ => PortErrorKind::Corrupt,
    };
    let text = match error {
        StoreError::Locked => "another process has the log open".to_owned(),
        StoreError::Poisoned => {
            "an earlier write in the background failed (disk full or broken)".to_owned()
        }
        StoreError::Io(io) | StoreError::Storage(LsmError::Io(io)) => io.to_string(),
        other => other.to_string(),
    };
    PortError::new(kind, format!("{doing}: {text}"))
}

/// A failure of a file as the kind of the port's error.
pub(crate) fn kind_of_io(kind: ErrorKind) -> PortErrorKind {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            PortErrorKind::Full
        }
        ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::NotFound => {
            PortErrorKind::Corrupt
        }
        _ => PortErrorKind::Unavailable,
    }
}

/// Runs store code that may panic on damaged files, and makes an error of the panic.
pub(super) fn guarded<T>(
    doing: &str,
    work: impl FnOnce() -> Result<T, PortError>,
) -> Result<T, PortError> {
    // Nothing of ours is left half-changed by the store's panic: every caller drops what it was building.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Err(PortError::new(
            PortErrorKind::Corrupt,
            format!("{doing}: the store gave up on damaged files: {what}"),
        ))
    })
}
