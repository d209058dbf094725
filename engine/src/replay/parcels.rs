//! What shards tell the homes of rules over several resources, in a replay: the pieces of all shards in the order of the lines that
//! made them, so that the answer does not depend on how many shards there are.

use bytes::Bytes;
use tidegate_actors::epoch::{Destination, Epoch, IntakeRecord};
use tidegate_actors::parcel::{PARCEL, Parcel, Piece};
use tidegate_proto::record::{KIND_HEADER, Record};

/// A piece with its place among all: line, rules behind rows, shard, order of telling.
type Placed = ((i64, bool, u32, usize), Parcel);

/// Records for every shard, each with its line, from what the epochs of all shards tell. `line`: the last one read.
pub(super) fn told(epochs: &[(Vec<i64>, Epoch)], line: i64) -> Vec<Vec<(i64, IntakeRecord)>> {
    let mut homes: Vec<Vec<Placed>> = epochs.iter().map(|_| Vec::new()).collect();
    for (lines, epoch) in epochs {
        for output in &epoch.outputs {
            let Destination::Signal(home) = output.destination else {
                continue;
            };
            let parcel = read(&output.record);
            if let (Some(parcel), Some(home)) = (parcel, homes.get_mut(home as usize)) {
                place(parcel, (lines, line), home);
            }
        }
    }
    let sorted = homes.into_iter().map(|mut pieces| {
        pieces.sort_by_key(|(place, _)| *place);
        let pieces = pieces.into_iter();
        pieces
            .map(|((at, ..), parcel)| (at.min(line), record(&parcel, at.min(line))))
            .collect()
    });
    sorted.collect()
}

fn read(record: &Record) -> Option<Parcel> {
    let kind = record.header(KIND_HEADER).map(Bytes::as_ref);
    if kind != Some(PARCEL.as_bytes()) {
        return None;
    }
    Parcel::read(record.value.as_deref().unwrap_or_default()).ok()
}

fn place(parcel: Parcel, (lines, last): (&[i64], i64), home: &mut Vec<Placed>) {
    let (from, clock) = (parcel.from, parcel.clock);
    let start = home.len();
    for (record, piece) in parcel.by_record() {
        let at = lines.get(record as usize).copied().unwrap_or(last);
        let is_rule = matches!(piece, Piece::Rule(_));
        let alone = Parcel {
            from,
            pieces: vec![(0, piece)],
            clock: None,
        };
        home.push(((at, is_rule, from, home.len() - start), alone));
    }
    if clock.is_some() {
        let alone = Parcel {
            from,
            pieces: Vec::new(),
            clock,
        };
        home.push(((i64::MAX, true, from, 0), alone));
    }
}

fn record(parcel: &Parcel, line: i64) -> IntakeRecord {
    IntakeRecord {
        source: 0,
        offset: line,
        record: parcel.to_record(),
    }
}
