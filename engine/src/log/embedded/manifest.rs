//! A look at the store's manifests before the store opens them.
//!
//! The store believes its manifests without verifying them: on some damage it aborts the process (a panic while it holds
//! a lock that its own cleaning up needs), on some it takes tables for orphans and deletes them. So, first, a log that is
//! closed in order leaves the checksums of all manifests in the file `manifests`, which the next opening verifies and
//! removes; and after a crash the parts whose damage would abort are looked at one by one.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tidegate_actors::port::{PortError, PortErrorKind};

use super::catalog::{seal, unseal};
use super::fault::kind_of_io;

const KEY: &[u8] = b"manifests";
/// Bytes of an archive after its table of contents.
const TRAILER_BYTES: usize = 38;

/// Checksum by file, relative to the store.
type Sums = BTreeMap<String, u32>;

/// Refuses damaged manifests.
pub(super) fn inspect(folder: &Path) -> Result<(), PortError> {
    let store = folder.join("store");
    let noted = folder.join("manifests");
    if let Ok(bytes) = fs::read(&noted) {
        let sums: Sums = unseal(KEY, &bytes).unwrap_or_else(|_| {
            tracing::warn!(path = %noted.display(), "the noted checksums are damaged and were passed over");
            Sums::new()
        });
        for (file, sum) in sums {
            let path = store.join(&file);
            if fs::read(&path).map(|bytes| crc32fast::hash(&bytes)).ok() != Some(sum) {
                return Err(corrupt(&path, "is not what it was when the log was closed"));
            }
        }
        // From here on the store changes its manifests.
        fs::remove_file(&noted).map_err(|error| failed(&noted, &error))?;
    }
    for keyspace in keyspaces(&store).map_err(|error| failed(&store, &error))? {
        let name = keyspace.file_name().and_then(|name| name.to_str());
        if name.is_none_or(|name| name.parse::<u64>().is_err()) {
            return Err(corrupt(&keyspace, "does not belong to the log"));
        }
        inspect_keyspace(&keyspace)?;
    }
    Ok(())
}

/// Notes the checksums of all manifests; the store is closed.
pub(super) fn note(folder: &Path) -> Result<(), PortError> {
    let store = folder.join("store");
    let path = folder.join("manifests");
    let mut sums = Sums::new();
    let collected = || -> io::Result<()> {
        for keyspace in keyspaces(&store)? {
            let current = keyspace.join("current");
            let Ok(bytes) = fs::read(&current) else {
                continue;
            };
            let version = keyspace.join(version_name(&bytes));
            for (path, bytes) in [(version.clone(), fs::read(&version)?), (current, bytes)] {
                let name = path.strip_prefix(&store).unwrap_or(&path);
                let name = name.to_string_lossy().into_owned();
                sums.insert(name, crc32fast::hash(&bytes));
            }
        }
        Ok(())
    }();
    collected.map_err(|error| failed(&store, &error))?;
    fs::write(&path, seal(KEY, &sums)?).map_err(|error| failed(&path, &error))
}

fn keyspaces(store: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    match fs::read_dir(store.join("keyspaces")) {
        Ok(folders) => {
            for folder in folders {
                let folder = folder?;
                if folder.file_type()?.is_dir() {
                    found.push(folder.path());
                }
            }
        }
        // The first start: there is nothing yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(found)
}

fn version_name(current: &[u8]) -> String {
    let number = current
        .first_chunk::<8>()
        .map_or(0, |b| u64::from_le_bytes(*b));
    format!("v{number}")
}

fn inspect_keyspace(keyspace: &Path) -> Result<(), PortError> {
    let current = keyspace.join("current");
    let bytes = match fs::read(&current) {
        Ok(bytes) => bytes,
        // Made when the process ended; the store makes it anew.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(&current, &error)),
    };
    let path = keyspace.join(version_name(&bytes));
    let version = fs::read(&path).map_err(|error| failed(&path, &error))?;
    let is = |section: &[u8], allowed: &[&[u8]]| {
        let found = section_of(&version, section);
        found.is_some_and(|found| allowed.contains(&found))
    };
    let sound = is(b"format_version", &[&[3]])
        && is(b"tree_type", &[&[0], &[1]])
        && is(b"level_count", &[&[7]])
        && is(b"filter_hash_type", &[&[0]]);
    if sound {
        Ok(())
    } else {
        Err(corrupt(&path, "is damaged"))
    }
}

/// A section of an archive, by the table of contents at its end.
fn section_of<'a>(archive: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let trailer = archive.get(archive.len().checked_sub(TRAILER_BYTES)?..)?;
    let contents = number(trailer.get(22..30)?)?;
    let contents = archive.get(contents..)?.strip_prefix(b"TOC!")?;
    let (count, mut rest) = contents.split_first_chunk::<4>()?;
    for _ in 0..u32::from_le_bytes(*count) {
        let position = number(rest.get(0..8)?)?;
        let length = number(rest.get(8..16)?)?;
        let name_length = usize::from(*rest.get(16)?) | usize::from(*rest.get(17)?) << 8;
        let name_end = 18 + name_length;
        if rest.get(18..name_end)? == name {
            return archive.get(position..position.checked_add(length)?);
        }
        rest = rest.get(name_end..)?;
    }
    None
}

fn number(bytes: &[u8]) -> Option<usize> {
    let bytes: [u8; 8] = bytes.try_into().ok()?;
    usize::try_from(u64::from_le_bytes(bytes)).ok()
}

fn corrupt(path: &Path, what: &str) -> PortError {
    PortError::new(
        PortErrorKind::Corrupt,
        format!("{} {what}: restore the log from a backup", path.display()),
    )
}

fn failed(path: &Path, error: &io::Error) -> PortError {
    PortError::new(
        kind_of_io(error.kind()),
        format!("looking at {}: {error}", path.display()),
    )
}
