//! A look at the store's journals before the store opens them: is what follows a break a torn end, or damage?
//!
//! The store cuts a journal off at the first thing that it does not understand. After a crash that is the batch that was
//! being written, which nobody was told of. But if whole batches follow the break, then something acknowledged was
//! damaged, and cutting would lose it and them without a word.
//!
//! A journal (fjall 3.1) is a run of batches, then zeros: start `1`, count (u32), sequence number (u64); items `2`, kind,
//! compression, keyspace (u64), key length (u16), value length (u32), stored length (u32), key, value; or clears `4`,
//! keyspace (u64); end `3`, checksum (u64), `FJL\x03`. Numbers are little-endian. The items' checksum is left to the store.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tidegate_actors::port::{PortError, PortErrorKind};

use super::fault::kind_of_io;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const MAGIC: [u8; 4] = *b"FJL\x03";

/// How a journal goes on after its last whole batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// Not at all, or with zeros, or with a batch that was being written.
    Torn,
    /// With whole batches that cannot be reached.
    Damage,
}

/// Refuses journals that a damage cut in two.
pub(super) fn inspect(store: &Path) -> Result<(), PortError> {
    let failed = |path: &Path, error: &io::Error| {
        PortError::new(
            kind_of_io(error.kind()),
            format!("reading the journal {}: {error}", path.display()),
        )
    };
    for path in journals(store).map_err(|error| failed(store, &error))? {
        let (at, rest) = follow(&path).map_err(|error| failed(&path, &error))?;
        if rest == Rest::Damage {
            return Err(PortError::new(
                PortErrorKind::Corrupt,
                format!(
                    "the journal {} is damaged at byte {at}: acknowledged records follow that can no longer be reached; \
                     restore the log from a backup",
                    path.display()
                ),
            ));
        }
    }
    Ok(())
}

fn journals(store: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    match std::fs::read_dir(store) {
        Ok(files) => {
            for file in files {
                let path = file?.path();
                if path.extension().is_some_and(|extension| extension == "jnl") {
                    found.push(path);
                }
            }
        }
        // The first start: there is nothing yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(found)
}

/// Walks from batch to batch; answers with the end of the last whole one and what follows.
fn follow(path: &Path) -> io::Result<(u64, Rest)> {
    let mut walk = Walk {
        reader: BufReader::with_capacity(1 << 16, File::open(path)?),
        at: 0,
        sequence: 0,
    };
    loop {
        let begun = walk.at;
        match walk.batch() {
            Ok(Step::Whole) => {}
            Ok(Step::Broken) => return Ok((begun, walk.rest(begun)?)),
            Ok(Step::Impossible) => return Ok((begun, Rest::Damage)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok((begun, walk.rest(begun)?));
            }
            Err(error) => return Err(error),
        }
    }
}

enum Step {
    Whole,
    /// Not a whole batch: torn or damaged.
    Broken,
    /// Nothing that a crash could leave.
    Impossible,
}

struct Walk {
    reader: BufReader<File>,
    at: u64,
    /// Sequence number of the last batch.
    sequence: u64,
}

impl Walk {
    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        self.at += N as u64;
        Ok(bytes)
    }

    fn pass(&mut self, length: u32) -> io::Result<()> {
        self.reader.seek_relative(i64::from(length))?;
        self.at += u64::from(length);
        Ok(())
    }

    fn batch(&mut self) -> io::Result<Step> {
        if self.bytes::<1>()? != [START] {
            return Ok(Step::Broken);
        }
        let count = u32::from_le_bytes(self.bytes()?);
        let sequence = u64::from_le_bytes(self.bytes()?);
        for _ in 0..count {
            match self.bytes::<1>()? {
                [ITEM] => {
                    self.bytes::<10>()?;
                    let key = u16::from_le_bytes(self.bytes()?);
                    self.bytes::<4>()?;
                    let stored = u32::from_le_bytes(self.bytes()?);
                    self.pass(u32::from(key))?;
                    self.pass(stored)?;
                }
                [CLEAR] => {
                    self.bytes::<8>()?;
                }
                _ => return Ok(Step::Broken),
            }
        }
        if self.bytes::<1>()? != [END] {
            return Ok(Step::Broken);
        }
        self.bytes::<8>()?;
        let magic = self.bytes::<4>()?;
        if magic != MAGIC {
            // A torn write ends in zeros; this one does not.
            let [.., last] = magic;
            return Ok(if last == 0 {
                Step::Broken
            } else {
                Step::Impossible
            });
        }
        // Sequence numbers are outside the store's checksum: one that goes back would make it pass over the batch.
        if sequence < self.sequence {
            return Ok(Step::Impossible);
        }
        self.sequence = sequence;
        Ok(Step::Whole)
    }

    /// Looks for the end of any batch after a break.
    fn rest(&mut self, broken: u64) -> io::Result<Rest> {
        self.reader.seek(SeekFrom::Start(broken))?;
        let mut window = Vec::new();
        let mut chunk = vec![0; 1 << 16];
        loop {
            let count = self.reader.read(&mut chunk)?;
            window.extend_from_slice(chunk.get(..count).unwrap_or_default());
            let last = count == 0;
            if ends_a_batch(&window, last) {
                return Ok(Rest::Damage);
            }
            if last {
                return Ok(Rest::Torn);
            }
            window.drain(..window.len().saturating_sub(MAGIC.len()));
        }
    }
}

/// Whether the bytes hold the end of a batch: the magic, and then another batch, zeros or nothing.
fn ends_a_batch(window: &[u8], last: bool) -> bool {
    let followed = window
        .windows(MAGIC.len() + 1)
        .any(|five| five.starts_with(&MAGIC) && five.last().is_some_and(|next| *next <= START));
    followed || (last && window.ends_with(&MAGIC))
}
