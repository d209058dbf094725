//! [`FolderStore`]: snapshots as files in a local folder, `shard-00003-0000000000000001234.snapshot`.
//!
//! A file is written under a temporary name, forced to the disk, renamed, and the folder forced too: it is there whole or
//! not at all.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tidegate_actors::port::{PortError, PortErrorKind, PortFuture, SnapshotName, SnapshotStore};
use tidegate_proto::record::Partition;
use tidegate_proto::time::Timestamp;

use crate::data_dir::sync_folder;
use crate::log::embedded::kind_of_io;
use crate::log::offload;
use crate::store::Snapshots;
use crate::store::format::{decode, encode, file_name, name_of};

/// Age at which a file that is still being written has nobody who writes it.
const LEFT_BEHIND: Duration = Duration::from_secs(600);

/// Snapshots in a local folder.
#[derive(Debug)]
pub struct FolderStore {
    folder: PathBuf,
    /// Snapshots of a shard that are kept.
    kept: usize,
    /// Makes temporary names differ.
    writes: AtomicU64,
}

impl FolderStore {
    /// Opens the folder, or creates it, and clears away what an interrupted write left. The newest `kept` snapshots of
    /// each shard stay.
    ///
    /// # Errors
    /// A failing disk.
    pub fn open(folder: &Path, kept: usize) -> Result<Self, PortError> {
        let open = || {
            fs::create_dir_all(folder)?;
            for file in fs::read_dir(folder)? {
                let path = file?.path();
                if path.extension() == Some(OsStr::new("writing")) && is_left_behind(&path) {
                    fs::remove_file(path)?;
                }
            }
            Ok(())
        };
        open().map_err(|error| failed("opening", folder, &error))?;
        Ok(Self {
            folder: folder.to_owned(),
            kept: kept.max(1),
            writes: AtomicU64::new(0),
        })
    }

    fn path(&self, name: SnapshotName) -> PathBuf {
        self.folder.join(file_name(name))
    }
}

/// Whether nobody writes this file any more. Other workers may share the folder: what bears the number of a process is
/// theirs until it is old.
fn is_left_behind(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let has_process = name.split('.').count() > 4;
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    let age = modified.ok().and_then(|modified| modified.elapsed().ok());
    !has_process || age.is_none_or(|age| age >= LEFT_BEHIND)
}

fn failed(doing: &str, path: &Path, error: &io::Error) -> PortError {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => PortErrorKind::NotFound,
        other => kind_of_io(other),
    };
    PortError::new(kind, format!("{doing} {}: {error}", path.display()))
}

fn write(folder: &Path, writing: &Path, name: SnapshotName, bytes: Vec<u8>) -> io::Result<()> {
    let (header, body) = encode(name, bytes);
    let mut file = File::create(writing)?;
    file.write_all(&header)?;
    file.write_all(&body)?;
    file.sync_all()?;
    fs::rename(writing, folder.join(file_name(name)))?;
    sync_folder(folder)
}

/// Names of a shard's snapshots, newest first.
fn names(folder: &Path, shard: Partition) -> io::Result<Vec<SnapshotName>> {
    let mut names = Vec::new();
    for file in fs::read_dir(folder)? {
        names.extend(
            file?
                .file_name()
                .to_str()
                .and_then(name_of)
                .filter(|name| name.shard == shard),
        );
    }
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names)
}

impl SnapshotStore for FolderStore {
    fn put(&self, name: SnapshotName, bytes: Vec<u8>) -> PortFuture<'_, ()> {
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        let (folder, kept) = (self.folder.clone(), self.kept);
        let process = std::process::id();
        let writing = folder.join(format!("{}.{number}.{process}.writing", file_name(name)));
        Box::pin(offload(move || {
            write(&folder, &writing, name, bytes).map_err(|error| {
                // Whatever is left of it would only fill the disk further.
                let _ = fs::remove_file(&writing);
                failed("writing snapshot", &folder.join(file_name(name)), &error)
            })?;
            let old = names(&folder, name.shard)
                .map_err(|error| failed("listing snapshots in", &folder, &error))?;
            for name in old.into_iter().skip(kept) {
                let path = folder.join(file_name(name));
                if let Err(error) = fs::remove_file(&path) {
                    tracing::warn!(%error, path = %path.display(), "an old snapshot was not removed");
                }
            }
            Ok(())
        }))
    }

    fn list(&self, shard: Partition) -> PortFuture<'_, Vec<SnapshotName>> {
        let folder = self.folder.clone();
        Box::pin(offload(move || {
            names(&folder, shard).map_err(|error| failed("listing snapshots in", &folder, &error))
        }))
    }

    fn get(&self, name: SnapshotName) -> PortFuture<'_, Vec<u8>> {
        let path = self.path(name);
        Box::pin(offload(move || {
            let file =
                fs::read(&path).map_err(|error| failed("reading snapshot", &path, &error))?;
            decode(name, &file).map_err(|reason| {
                PortError::new(
                    PortErrorKind::Corrupt,
                    format!("snapshot {} is damaged: {reason}", path.display()),
                )
            })
        }))
    }

    fn set_aside(&self, name: SnapshotName) -> PortFuture<'_, ()> {
        let path = self.path(name);
        let folder = self.folder.clone();
        Box::pin(offload(move || {
            let aside = path.with_extension("snapshot.corrupt");
            tracing::warn!(path = %aside.display(), "a damaged snapshot is set aside; the one before is used, or the journal alone");
            fs::rename(&path, aside)
                .and_then(|()| sync_folder(&folder))
                .map_err(|error| failed("setting aside snapshot", &path, &error))
        }))
    }
}

impl Snapshots for FolderStore {
    fn newest(&self, shard: Partition) -> PortFuture<'_, Option<Timestamp>> {
        let folder = self.folder.clone();
        Box::pin(offload(move || {
            let names = names(&folder, shard)
                .map_err(|error| failed("listing snapshots in", &folder, &error))?;
            Ok(names.first().and_then(|name| written(&folder, *name)))
        }))
    }
}

/// When a snapshot was written; `None`: it is not there.
fn written(folder: &Path, name: SnapshotName) -> Option<Timestamp> {
    let modified = fs::metadata(folder.join(file_name(name))).ok()?;
    let modified = modified.modified().ok()?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::block_on;

    fn name(shard: u32, journal: i64) -> SnapshotName {
        SnapshotName { shard, journal }
    }

    #[test]
    fn the_three_newest_of_each_shard_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::open(folder.path(), 3).unwrap();
        block_on(async {
            for journal in [5, 100, 20, 7, 9] {
                store
                    .put(name(1, journal), vec![journal as u8; 9])
                    .await
                    .unwrap();
            }
            store.put(name(11, 4), vec![4]).await.unwrap();
            let kept = store.list(1).await.unwrap();
            assert_eq!(kept, [name(1, 100), name(1, 20), name(1, 9)]);
            assert_eq!(store.get(name(1, 20)).await.unwrap(), [20; 9]);
            assert_eq!(store.list(11).await.unwrap(), [name(11, 4)]);
            let gone = store.get(name(1, 5)).await.unwrap_err();
            assert_eq!(gone.kind, PortErrorKind::NotFound);
        });
    }

    #[test]
    fn a_snapshot_set_aside_is_not_listed_but_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::open(folder.path(), 3).unwrap();
        block_on(async {
            store.put(name(0, 1), b"one".to_vec()).await.unwrap();
            store.put(name(0, 2), b"two".to_vec()).await.unwrap();
            store.set_aside(name(0, 2)).await.unwrap();
            assert_eq!(store.list(0).await.unwrap(), [name(0, 1)]);
        });
        let aside = folder
            .path()
            .join("shard-00000-0000000000000000002.snapshot.corrupt");
        assert!(aside.exists());
    }

    #[test]
    fn what_an_interrupted_write_left_is_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder
            .path()
            .join("shard-00000-0000000000000000002.snapshot.0.writing");
        fs::write(&left, b"half").unwrap();
        let store = FolderStore::open(folder.path(), 3).unwrap();
        assert!(!left.exists());
        assert_eq!(block_on(store.list(0)).unwrap(), []);
    }

    #[test]
    fn a_snapshot_under_another_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::open(folder.path(), 3).unwrap();
        block_on(store.put(name(0, 1), b"one".to_vec())).unwrap();
        fs::rename(store.path(name(0, 1)), store.path(name(0, 2))).unwrap();
        let refused = block_on(store.get(name(0, 2))).unwrap_err();
        assert_eq!(refused.kind, PortErrorKind::Corrupt);
    }
}
