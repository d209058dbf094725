//! The ends of all partitions, noted beside the store: a lower bound that a recovered log has to reach.
//!
//! The store's own journal cuts itself off at the first byte that it does not understand. After a crash that is right;
//! after damage it would be a silent loss. The file is written only after what it speaks of is on the disk, so a log
//! that ends before it was damaged.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tidegate_actors::port::{PortError, PortErrorKind};
use tidegate_proto::record::Offset;

use super::catalog::{seal, unseal};
use super::fault::kind_of_io;
use super::topic::PartitionState;
use super::writer::Shared;

const KEY: &[u8] = b"ends";

/// The file with the noted ends.
#[derive(Debug)]
pub(super) struct EndsFile {
    path: PathBuf,
}

impl EndsFile {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            path: folder.join("ends"),
        }
    }

    /// Notes the present ends; the caller has forced them to the disk.
    pub(super) fn save(&self, shared: &Shared) -> Result<(), PortError> {
        let ends: BTreeMap<_, Vec<_>> = shared
            .all_topics()
            .iter()
            .map(|topic| {
                let ends = topic.partitions.iter().map(PartitionState::end).collect();
                (topic.name.to_string(), ends)
            })
            .collect();
        let new = self.path.with_extension("new");
        let written =
            fs::write(&new, seal(KEY, &ends)?).and_then(|()| fs::rename(&new, &self.path));
        written.map_err(|error| {
            PortError::new(
                kind_of_io(error.kind()),
                format!("noting the ends of the log: {error}"),
            )
        })
    }

    /// Writes a little and removes it again: tells whether the disk takes anything.
    pub(super) fn probe(&self) -> io::Result<()> {
        let path = self.path.with_extension("probe");
        let written = fs::write(&path, [1; 64 << 10]);
        let _ = fs::remove_file(&path);
        written
    }

    /// The noted ends; an unreadable file only weakens the check.
    pub(super) fn load(&self) -> BTreeMap<String, Vec<Offset>> {
        let Ok(bytes) = fs::read(&self.path) else {
            return BTreeMap::new();
        };
        unseal(KEY, &bytes).unwrap_or_else(|_| {
            tracing::warn!(path = %self.path.display(), "the noted ends of the log are damaged and were passed over");
            BTreeMap::new()
        })
    }

    /// Refuses a recovered log that ends before what was noted.
    pub(super) fn verify(&self, shared: &Shared) -> Result<(), PortError> {
        for (topic, noted) in self.load() {
            let state = shared.topic(&topic);
            for (index, noted) in noted.iter().enumerate() {
                let partition = state.as_ref().and_then(|state| state.partitions.get(index));
                let end = partition.map_or(0, PartitionState::end);
                if end < *noted {
                    return Err(PortError::new(
                        PortErrorKind::Corrupt,
                        format!(
                            "{topic}/{index} at offset {end}: the log ends here, but records up to offset {noted} had been \
                             written: its journal is damaged; restore the log from a backup, or remove the file `{}` to \
                             go on without the lost records",
                            self.path.display()
                        ),
                    ));
                }
            }
        }
        Ok(())
    }
}
