//! The data directory: its layout, its format version, its partition count, and the lock that lets one process in.
//!
//! ```text
//! DIR/format.json   format version and partition count, fixed at the first start
//! DIR/lock          locked while a process uses the directory
//! DIR/log/          the embedded log
//! DIR/snapshots/    snapshots of the shards
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The format that this program reads and writes.
const VERSION: u32 = 1;
/// Most shards that one data directory can have.
const MOST_PARTITIONS: u32 = 4_096;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process uses it.
    #[error(
        "the data directory {0} is used by another process: stop it, or start with another `--data`"
    )]
    Locked(PathBuf),
    /// Written by another version of the program.
    #[error(
        "the data directory {dir} has format {found}, this program reads format {VERSION}: run the version of tidegate \
         that wrote it, make a backup with it and restore that with this one"
    )]
    Version {
        /// The directory.
        dir: PathBuf,
        /// Format that was found.
        found: u32,
    },
    /// The partition count was changed.
    #[error(
        "the data directory {dir} was begun with {kept} partitions and cannot be used with {wanted}: set `partitions` to \
         {kept}, or start with another `--data`"
    )]
    Partitions {
        /// The directory.
        dir: PathBuf,
        /// Count fixed at the first start.
        kept: u32,
        /// Count that was asked for.
        wanted: u32,
    },
    /// A partition count outside the bounds.
    #[error("{0} partitions are not possible: use 1 to {MOST_PARTITIONS}")]
    Count(u32),
    /// `format.json` is not readable.
    #[error(
        "{file} is damaged ({reason}): restore it, for example as {{\"version\":{VERSION},\"partitions\":N}} with the number \
         of partitions of the log"
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The directory holds a log, but no `format.json`.
    #[error(
        "{0} is missing, but the directory is not empty: restore it, or start with an empty directory"
    )]
    Missing(PathBuf),
    /// A file operation failed.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Format {
    version: u32,
    partitions: u32,
}

/// Just the version: a later format may have changed everything else.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// A data directory that this process alone uses, until this is dropped.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    partitions: u32,
    /// Locked; the lock goes with the file.
    _lock: File,
}

impl DataDir {
    /// Opens a data directory, or lays it out. The partition count is `configured` or, at the first start only,
    /// `default`; later starts take the count that was fixed then, and refuse another one that is configured.
    ///
    /// # Errors
    /// Another process, another format version, another partition count, damage, or a failing disk.
    pub fn open(root: &Path, configured: Option<u32>, default: u32) -> Result<Self, DataDirError> {
        if let Some(count) = configured.filter(|count| !(1..=MOST_PARTITIONS).contains(count)) {
            return Err(DataDirError::Count(count));
        }
        create(root)?;
        let lock = lock(root)?;
        let file = root.join("format.json");
        let format = match fs::read(&file) {
            Ok(bytes) => read_format(root, &file, &bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if root.join("log").exists() {
                    return Err(DataDirError::Missing(file));
                }
                let format = Format {
                    version: VERSION,
                    partitions: configured.unwrap_or(default).clamp(1, MOST_PARTITIONS),
                };
                write_format(root, &file, format)?;
                format
            }
            Err(error) => return Err(failed("reading", &file, error)),
        };
        if let Some(wanted) = configured.filter(|wanted| *wanted != format.partitions) {
            return Err(DataDirError::Partitions {
                dir: root.to_owned(),
                kept: format.partitions,
                wanted,
            });
        }
        let dir = Self {
            root: root.to_owned(),
            partitions: format.partitions,
            _lock: lock,
        };
        create(&dir.log())?;
        create(&dir.snapshots())?;
        Ok(dir)
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the embedded log lives.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// Where snapshots live.
    #[must_use]
    pub fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    /// Number of partitions, so of shards, fixed at the first start.
    #[must_use]
    pub const fn partitions(&self) -> u32 {
        self.partitions
    }
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> DataDirError {
    DataDirError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}

fn create(dir: &Path) -> Result<(), DataDirError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    // Events and secrets of rules lie in it: nobody else on the machine has to read them.
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(dir)
        .map_err(|error| failed("creating", dir, error))
}

fn lock(root: &Path) -> Result<File, DataDirError> {
    let path = root.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| failed("opening", &path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DataDirError::Locked(root.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed("locking", &path, error)),
    }
}

fn read_format(root: &Path, file: &Path, bytes: &[u8]) -> Result<Format, DataDirError> {
    let damaged = |reason: String| DataDirError::Damaged {
        file: file.to_owned(),
        reason,
    };
    let Version { version } =
        serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    if version != VERSION {
        return Err(DataDirError::Version {
            dir: root.to_owned(),
            found: version,
        });
    }
    let format: Format =
        serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    if !(1..=MOST_PARTITIONS).contains(&format.partitions) {
        return Err(damaged(format!("{} partitions", format.partitions)));
    }
    Ok(format)
}

fn write_format(root: &Path, file: &Path, format: Format) -> Result<(), DataDirError> {
    let new = root.join("format.json.new");
    let write = || {
        let mut to = File::create(&new)?;
        serde_json::to_writer(&mut to, &format)?;
        to.write_all(b"\n")?;
        to.sync_all()?;
        fs::rename(&new, file)?;
        sync_folder(root)
    };
    write().map_err(|error| failed("writing", file, error))
}

/// Forces the names in a folder to the disk.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_count_is_fixed_at_the_first_start() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().join("data");
        let dir = DataDir::open(&root, None, 4).unwrap();
        assert_eq!(dir.partitions(), 4);
        assert!(dir.log().is_dir() && dir.snapshots().is_dir());
        drop(dir);
        assert_eq!(DataDir::open(&root, None, 8).unwrap().partitions(), 4);
        assert_eq!(DataDir::open(&root, Some(4), 8).unwrap().partitions(), 4);
        let refused = DataDir::open(&root, Some(8), 8).unwrap_err().to_string();
        assert!(refused.contains("set `partitions` to 4"), "{refused}");
        assert!(matches!(
            DataDir::open(&root, Some(0), 8),
            Err(DataDirError::Count(0))
        ));
    }

    #[test]
    fn a_second_user_is_refused_by_name() {
        let root = tempfile::tempdir().unwrap();
        let first = DataDir::open(root.path(), None, 1).unwrap();
        let refused = DataDir::open(root.path(), None, 1).unwrap_err().to_string();
        assert!(
            refused.contains(&root.path().display().to_string()),
            "{refused}"
        );
        drop(first);
        DataDir::open(root.path(), None, 1).unwrap();
    }

    #[test]
    fn another_format_is_refused_with_advice() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("format.json");
        fs::write(&file, "{\"version\":9,\"shards\":{}}").unwrap();
        let refused = DataDir::open(root.path(), None, 1).unwrap_err().to_string();
        assert!(
            refused.contains("has format 9") && refused.contains("backup"),
            "{refused}"
        );
        for damaged in [
            "",
            "{",
            "{\"version\":1}",
            "{\"version\":1,\"partitions\":0}",
            "[1]",
        ] {
            fs::write(&file, damaged).unwrap();
            let refused = DataDir::open(root.path(), None, 1).unwrap_err();
            assert!(matches!(refused, DataDirError::Damaged { .. }), "{refused}");
        }
    }

    #[test]
    fn a_log_without_its_format_is_not_taken_for_a_first_start() {
        let root = tempfile::tempdir().unwrap();
        drop(DataDir::open(root.path(), None, 3).unwrap());
        fs::remove_file(root.path().join("format.json")).unwrap();
        assert!(matches!(
            DataDir::open(root.path(), None, 3),
            Err(DataDirError::Missing(_))
        ));
    }
}
