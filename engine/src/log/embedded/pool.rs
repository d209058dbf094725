//! The keyspaces that segments live in: emptied and used again, never made and dropped per segment.
//!
//! The store makes and drops keyspaces by rewriting its list of all of them, and keeps every old list on the disk until
//! it is opened anew: a log that rolls all day would leak. Clearing a keyspace leaks its files in the same way. What does
//! free the disk at once is dropping all its tables, which this file does, in steps that never wait:
//!
//! 1. what is in memory is written out (nothing else gives it up, and the store's journals wait for it);
//! 2. all tables are dropped, their value files with them, and a marker is written and flushed: by its sequence number
//!    a recovery knows that the older records in the journals are over;
//! 3. the keyspace is free.

use fjall::{AbstractTree, Database, Keyspace};
use tidegate_actors::port::PortError;

use super::fault::port_error;
use super::retention::segment_options;

/// Sorts before every key of a batch, and is too short to be one.
const MARKER: [u8; 1] = [0];

/// A keyspace of the pool.
#[derive(Clone)]
pub(super) struct Slot {
    pub(super) number: u32,
    pub(super) keyspace: Keyspace,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    WritingOut,
    Marked,
}

/// All slots that no segment lives in.
#[derive(Default)]
pub(super) struct Pool {
    free: Vec<Slot>,
    draining: Vec<(Slot, Phase)>,
    /// Number of the next slot that has to be made.
    next: u32,
}

/// Name of a slot's keyspace.
fn name_of(number: u32) -> String {
    format!("slot:{number}")
}

/// Number of a slot by the name of its keyspace.
pub(super) fn number_of(keyspace: &str) -> Option<u32> {
    keyspace.strip_prefix("slot:")?.parse().ok()
}

/// Opens a slot that is there.
pub(super) fn open(db: &Database, number: u32) -> Result<Option<Slot>, PortError> {
    let name = name_of(number);
    if !db.keyspace_exists(&name) {
        return Ok(None);
    }
    let keyspace = db
        .keyspace(&name, segment_options)
        .map_err(|error| port_error(&error, "opening a segment"))?;
    Ok(Some(Slot { number, keyspace }))
}

impl Pool {
    /// The pool of a database: every slot that no segment claims is emptied first, whatever it was left with.
    pub(super) fn recover(db: &Database, claimed: &[u32]) -> Result<Self, PortError> {
        let mut pool = Self::default();
        let names = db.list_keyspace_names();
        let mut numbers: Vec<u32> = names.iter().filter_map(|name| number_of(name)).collect();
        numbers.sort_unstable();
        pool.next = numbers.last().map_or(0, |last| last + 1);
        for number in numbers {
            if !claimed.contains(&number)
                && let Some(slot) = open(db, number)?
            {
                pool.put_back(slot);
            }
        }
        Ok(pool)
    }

    /// A slot for a new segment.
    pub(super) fn take(&mut self, db: &Database) -> Result<Slot, PortError> {
        if let Some(slot) = self.free.pop() {
            return Ok(slot);
        }
        let number = self.next;
        let keyspace = db
            .keyspace(&name_of(number), segment_options)
            .map_err(|error| port_error(&error, "creating a segment"))?;
        self.next += 1;
        Ok(Slot { number, keyspace })
    }

    /// Gives back the slot of a segment that nobody finds any more.
    pub(super) fn put_back(&mut self, slot: Slot) {
        self.draining.push((slot, Phase::WritingOut));
    }

    /// Whether a slot is being emptied.
    pub(super) fn is_busy(&self) -> bool {
        !self.draining.is_empty()
    }

    /// Takes every slot that is being emptied one step further, if it can be.
    pub(super) fn step(&mut self) -> Result<(), PortError> {
        let failed = |error: &fjall::Error| port_error(error, "dropping a segment").in_doubt();
        let mut still = Vec::new();
        for (slot, phase) in self.draining.drain(..) {
            let keyspace = &slot.keyspace;
            if keyspace.sealed_memtable_count() > 0 {
                still.push((slot, phase));
            } else if phase == Phase::Marked {
                // All tables were dropped, so the one that is there now is the marker's.
                if keyspace.tree.get_highest_persisted_seqno().is_some() {
                    self.free.push(slot);
                } else {
                    still.push((slot, phase));
                }
            } else if keyspace.rotate_memtable().map_err(|error| failed(&error))?
                || keyspace.sealed_memtable_count() > 0
            {
                still.push((slot, phase));
            } else {
                keyspace
                    .tree
                    .drop_range::<&[u8], _>(..)
                    .map_err(|error| failed(&error.into()))?;
                keyspace
                    .insert(MARKER, [])
                    .map_err(|error| failed(&error))?;
                // The rotation also makes the store let go of the versions that still name the dropped tables.
                keyspace.rotate_memtable().map_err(|error| failed(&error))?;
                still.push((slot, Phase::Marked));
            }
        }
        self.draining = still;
        Ok(())
    }
}
