//! Names: what rules, types and handlers are called ([`Name`]), what resource ids may be, and the interner ([`Names`])
//! that turns texts of the hot path into dense numbers.

use std::fmt;
use std::sync::Arc;

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

/// Longest resource id in bytes.
pub const RESOURCE_ID_BYTES: usize = 256;

/// Name of a rule, resource type or handler: 1 to 128 of `A-Z a-z 0-9 . _ -`, starting with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a name: 1 to 128 of `A-Z a-z 0-9 . _ -`, starting with a letter or digit")]
pub struct NameError(String);

impl Name {
    /// Parses a name.
    ///
    /// # Errors
    /// When the text has another form.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let body = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let good = (1..=128).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(body);
        if good {
            Ok(Self(Arc::from(text)))
        } else {
            Err(NameError(text.chars().take(160).collect()))
        }
    }

    /// The text of the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The shared text of the name.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.as_ref().to_owned()
    }
}

/// Whether a text can be a resource id: 1 to 256 bytes without control characters.
#[must_use]
pub fn is_resource_id(text: &str) -> bool {
    (1..=RESOURCE_ID_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// Interner: text to dense number, in the order of first sight, so that equal journals give equal numbers.
///
/// The hash is seeded with a constant: nothing ever iterates the table, and an attacker who floods it with colliding
/// ids is bounded by the limits on resources and metrics.
#[derive(Clone, Default)]
pub struct Names {
    texts: Vec<Arc<str>>,
    table: HashTable<Entry>,
}

/// Bytes of a text that its entry holds itself.
const HEAD: usize = 27;

/// A number with its text if that is short, as ids are: a lookup then reads one cache line instead of three.
#[derive(Clone, Copy)]
struct Entry {
    index: u32,
    /// Length of the text; more than [`HEAD`]: it is only in `texts`.
    length: u8,
    /// The text, filled up with zeros.
    head: [u8; HEAD],
}

impl Entry {
    fn new(index: u32, text: &str) -> Self {
        let mut head = [0; HEAD];
        if let Some(target) = head.get_mut(..text.len()) {
            target.copy_from_slice(text.as_bytes());
        }
        let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
        Self {
            index,
            length,
            head,
        }
    }

    /// Whether this is the entry of the text that `wanted` was made of.
    #[inline]
    fn is(&self, wanted: &Self, text: &str, texts: &[Arc<str>]) -> bool {
        self.length == wanted.length
            && self.head == wanted.head
            && (usize::from(self.length) <= HEAD
                || texts
                    .get(self.index as usize)
                    .is_some_and(|known| known.as_ref() == text))
    }
}

fn hash_text(text: &str) -> u64 {
    hash_bytes(text.as_bytes())
}

fn hash_bytes(text: &[u8]) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = foldhash::fast::FixedState::with_seed(0x7469_6465).build_hasher();
    hasher.write(text);
    hasher.finish()
}

impl Names {
    /// The number of a text, if it was seen.
    #[must_use]
    pub fn get(&self, text: &str) -> Option<u32> {
        let wanted = Entry::new(0, text);
        self.table
            .find(hash_text(text), |entry| {
                entry.is(&wanted, text, &self.texts)
            })
            .map(|entry| entry.index)
    }

    /// Reads the place of a text in the table. Places lie anywhere in memory: reads that wait for nothing else wait
    /// together, where a lookup at a time would wait for each. Answers with what it read, so that it is read.
    #[must_use]
    pub fn approach(&self, text: &[u8]) -> u32 {
        self.table
            .find(hash_bytes(text), |entry| entry.length != 0)
            .map_or(0, |entry| entry.index)
    }

    /// The number of a text; the first sight of it takes the next free number.
    pub fn intern(&mut self, text: &str) -> u32 {
        let hash = hash_text(text);
        let index = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        let wanted = Entry::new(index, text);
        let texts = &self.texts;
        if let Some(known) = self
            .table
            .find(hash, |entry| entry.is(&wanted, text, texts))
        {
            return known.index;
        }
        self.texts.push(Arc::from(text));
        let texts = &self.texts;
        self.table.insert_unique(hash, wanted, |entry| {
            texts
                .get(entry.index as usize)
                .map_or(0, |text| hash_text(text))
        });
        index
    }

    /// The text of a number.
    #[must_use]
    pub fn text(&self, index: u32) -> Option<&Arc<str>> {
        self.texts.get(index as usize)
    }

    /// How many texts are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether no text is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// All texts in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.texts.iter()
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names")
            .field("len", &self.texts.len())
            .finish_non_exhaustive()
    }
}

impl Serialize for Names {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.texts.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<Arc<str>>::deserialize(deserializer)?;
        let mut names = Self::default();
        for text in texts {
            names.intern(&text);
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert!(Name::new("boiler-overheats").is_ok());
        for bad in ["", "-a", "a b", "ä", &"x".repeat(129)] {
            assert!(Name::new(bad).is_err(), "{bad}");
        }
        assert!(is_resource_id("plant/line 1/ä"));
        assert!(!is_resource_id("a\nb"));
        assert!(!is_resource_id(""));
    }

    #[test]
    fn interner_numbers_by_first_sight() {
        let mut names = Names::default();
        for i in 0..5000 {
            assert_eq!(names.intern(&format!("r{i}")), i);
        }
        assert_eq!(names.intern("r42"), 42);
        assert_eq!(names.get("r4999"), Some(4999));
        assert_eq!(names.get("x"), None);
        // Around the length up to which an entry holds its text, also with the zeros that fill it up.
        for text in ["", "\0", "x\0"].map(str::to_owned) {
            assert_eq!(names.get(&text), None);
            assert_eq!(names.intern(&text), names.len() as u32 - 1);
        }
        for length in [HEAD - 1, HEAD, HEAD + 1, 255, 300] {
            for last in ["a", "b"] {
                let text = format!("{}{last}", "x".repeat(length - 1));
                assert_eq!(names.get(&text), None);
                let index = names.intern(&text);
                assert_eq!(names.get(&text), Some(index));
                assert_eq!(names.text(index).map(AsRef::as_ref), Some(text.as_str()));
            }
        }
        assert_eq!(names.text(7).map(AsRef::as_ref), Some("r7"));
    }
}
