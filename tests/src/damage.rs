//! Damage to files: copies of a data folder, one of whose files is cut or has a bit flipped.

use std::fs;
use std::path::{Path, PathBuf};

use crate::random::Random;

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wound {
    /// Everything from a byte on is gone.
    Cut(usize),
    /// One bit of a byte is another.
    Flip(usize, u8),
}

/// What a file of a data folder is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A snapshot of a shard.
    Snapshot,
    /// A journal of the store below the log: what was written last, of every topic.
    StoreJournal,
    /// Tables and values of the log's segments, and what the store keeps beside them.
    Segments,
    /// What the log notes beside the store.
    Notes,
    /// Format and lock of the data folder.
    Folder,
}

/// What a file is for, by its path below the data folder.
#[must_use]
pub fn class(path: &Path) -> Class {
    let begins = |name: &str| path.starts_with(name);
    if begins("snapshots") {
        Class::Snapshot
    } else if !begins("log") {
        Class::Folder
    } else if path.extension().is_some_and(|ending| ending == "jnl") {
        Class::StoreJournal
    } else if path.components().count() == 2 {
        Class::Notes
    } else {
        Class::Segments
    }
}

/// A file: its path below the folder, and its bytes without the hole at the end of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Path below the folder.
    pub path: PathBuf,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// A folder in memory, to be written anew as often as one likes.
#[derive(Clone, Debug, Default)]
pub struct Image {
    folders: Vec<PathBuf>,
    /// Files in the order of their paths.
    pub files: Vec<Kept>,
}

impl Image {
    /// Reads a folder.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        let mut image = Self::default();
        let mut folders = vec![root.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("a folder can be read") {
                let path = entry.expect("an entry can be read").path();
                let below = path.strip_prefix(root).expect("it lies below");
                if path.is_dir() {
                    image.folders.push(below.to_path_buf());
                    folders.push(path);
                    continue;
                }
                let mut bytes = fs::read(&path).expect("a file can be read");
                if class(below) == Class::StoreJournal {
                    let used = bytes.iter().rposition(|byte| *byte != 0);
                    bytes.truncate(used.map_or(0, |last| last + 1));
                }
                image.files.push(Kept {
                    path: below.to_path_buf(),
                    bytes,
                });
            }
        }
        image.folders.sort();
        image.files.sort_by(|a, b| a.path.cmp(&b.path));
        image
    }

    /// Writes it, with one file wounded.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, root: &Path, wounded: Option<(usize, Wound)>) {
        for folder in &self.folders {
            fs::create_dir_all(root.join(folder)).expect("a folder can be made");
        }
        for (index, file) in self.files.iter().enumerate() {
            let mut bytes = file.bytes.clone();
            match wounded.filter(|(which, _)| *which == index) {
                Some((_, Wound::Cut(at))) => bytes.truncate(at),
                Some((_, Wound::Flip(at, bit))) => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << (bit % 8);
                    }
                }
                None => {}
            }
            fs::write(root.join(&file.path), bytes).expect("a file can be written");
        }
    }

    /// A wound at random: first the class, so that the many small files do not hide the others, then the file by its
    /// size, then the place.
    ///
    /// # Panics
    /// When all files are empty.
    pub fn wound(&self, random: &mut Random) -> (usize, Wound) {
        let mut classes: Vec<Class> = self.filled().map(|(_, file)| class(&file.path)).collect();
        classes.sort();
        classes.dedup();
        let wanted = classes[random.below(classes.len() as u64) as usize];
        let of_class = || {
            self.filled()
                .filter(|(_, file)| class(&file.path) == wanted)
        };
        let total: u64 = of_class().map(|(_, file)| file.bytes.len() as u64).sum();
        let mut at = random.below(total);
        for (index, file) in of_class() {
            let length = file.bytes.len() as u64;
            if at < length {
                let at = at as usize;
                let wound = match random.below(4) {
                    0 => Wound::Cut(at),
                    bit => Wound::Flip(at, (random.below(8) + bit) as u8),
                };
                return (index, wound);
            }
            at -= length;
        }
        unreachable!("a place below the total lies in a file");
    }

    fn filled(&self) -> impl Iterator<Item = (usize, &Kept)> {
        let files = self.files.iter().enumerate();
        files.filter(|(_, file)| !file.bytes.is_empty())
    }
}
