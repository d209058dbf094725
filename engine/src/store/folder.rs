//! [`FolderStore`]: snapshots as files in a local folder, `shard-00003-0000000000000001234.snapshot`.
//!
//! A file is written under a temporary name, forced to the disk, renamed, and the folder forced too: it is there whole or
//! not at all. It begins with magic `TGSNAP`, format version (u16), crc32 (u32, over all that follows), compression (u8:
//! 0 none, 1 LZ4 block), shard (u32), journal offset (i64), length before compression (u64); numbers are little-endian.

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

/// Age at which a file that is still being written has nobody who writes it.
const LEFT_BEHIND: Duration = Duration::from_secs(600);
const MAGIC: [u8; 6] = *b"TGSNAP";
const VERSION: u16 = 1;
/// Bytes before the body.
const HEADER_BYTES: usize = 33;
/// Bytes before those that the checksum covers.
const UNCOVERED_BYTES: usize = 12;

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

    /// When a snapshot was written; `None`: it is not there.
    pub fn written(&self, name: SnapshotName) -> Option<Timestamp> {
        let modified = fs::metadata(self.path(name)).ok()?.modified().ok()?;
        let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
        i64::try_from(since.as_millis()).ok().map(Timestamp)
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

fn file_name(name: SnapshotName) -> String {
    format!("shard-{:05}-{:019}.snapshot", name.shard, name.journal)
}

fn name_of(file: &OsStr) -> Option<SnapshotName> {
    let stem = file.to_str()?.strip_suffix(".snapshot")?;
    let (shard, journal) = stem.strip_prefix("shard-")?.split_once('-')?;
    Some(SnapshotName {
        shard: shard.parse().ok()?,
        journal: journal.parse().ok()?,
    })
}

fn failed(doing: &str, path: &Path, error: &io::Error) -> PortError {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => PortErrorKind::NotFound,
        other => kind_of_io(other),
    };
    PortError::new(kind, format!("{doing} {}: {error}", path.display()))
}

fn checksum(covered: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(covered);
    hasher.update(body);
    hasher.finalize()
}

/// Header and body of a snapshot file.
fn encode(name: SnapshotName, bytes: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    let length = bytes.len() as u64;
    let packed = lz4_flex::block::compress(&bytes);
    let (compression, body) = if packed.len() < bytes.len() {
        (1_u8, packed)
    } else {
        (0, bytes)
    };
    let covered = [
        [compression].as_slice(),
        &name.shard.to_le_bytes(),
        &name.journal.to_le_bytes(),
        &length.to_le_bytes(),
    ]
    .concat();
    let crc = checksum(&covered, &body).to_le_bytes();
    let header = [MAGIC.as_slice(), &VERSION.to_le_bytes(), &crc, &covered].concat();
    (header, body)
}

/// The bytes of a snapshot file, if they are what was written under that name.
fn decode(name: SnapshotName, file: &[u8]) -> Result<Vec<u8>, &'static str> {
    let (head, _) = file
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or("it is shorter than its header")?;
    let [
        m0,
        m1,
        m2,
        m3,
        m4,
        m5,
        v0,
        v1,
        c0,
        c1,
        c2,
        c3,
        compression,
        place @ ..,
    ] = *head;
    if [m0, m1, m2, m3, m4, m5] != MAGIC {
        return Err("it does not begin as a snapshot");
    }
    if u16::from_le_bytes([v0, v1]) != VERSION {
        return Err("it was written in another format version");
    }
    let covered = file.get(UNCOVERED_BYTES..HEADER_BYTES).unwrap_or_default();
    let body = file.get(HEADER_BYTES..).unwrap_or_default();
    if u32::from_le_bytes([c0, c1, c2, c3]) != checksum(covered, body) {
        return Err("its checksum does not match");
    }
    let [s0, s1, s2, s3, j0, j1, j2, j3, j4, j5, j6, j7, length @ ..] = place;
    let shard = u32::from_le_bytes([s0, s1, s2, s3]);
    let journal = i64::from_le_bytes([j0, j1, j2, j3, j4, j5, j6, j7]);
    if (SnapshotName { shard, journal }) != name {
        return Err("it is the snapshot of another shard or offset");
    }
    let length = usize::try_from(u64::from_le_bytes(length)).map_err(|_| "it is too long")?;
    let bytes = match compression {
        0 => body.to_vec(),
        1 => lz4_flex::block::decompress(body, length).map_err(|_| "it does not decompress")?,
        _ => return Err("its compression is not known"),
    };
    if bytes.len() == length {
        Ok(bytes)
    } else {
        Err("its length does not match")
    }
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
        names.extend(name_of(&file?.file_name()).filter(|name| name.shard == shard));
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn every_flip_and_cut_is_noticed(
            repeated in any::<bool>(),
            bytes in proptest::collection::vec(any::<u8>(), 1..2_000),
            at in any::<prop::sample::Index>(),
            bit in 0..8_u32,
            cut in any::<bool>(),
        ) {
            let bytes = if repeated { bytes.repeat(7) } else { bytes };
            let (header, body) = encode(name(3, 77), bytes.clone());
            let mut file = [header, body].concat();
            prop_assert_eq!(decode(name(3, 77), &file).unwrap(), bytes);
            let at = at.index(file.len());
            if cut { file.truncate(at) } else { file[at] ^= 1_u8 << bit }
            prop_assert!(decode(name(3, 77), &file).is_err());
        }
    }
}
