//! What shards tell the homes of rules over several resources, in a replay: the pieces of all shards in the order of the lines that
//! made them, so that the answer does not depend on how many shards there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tidegate_actors::epoch::{Destination, Epoch, IntakeRecord};
use tidegate_actors::parcel::{PARCEL, Parcel, Piece};
use tidegate_proto::record::{DEPTH_HEADER, KIND_HEADER, Record};

/// A piece with its place among all: line; rows, lines of rules, how far those are, and then rules that change; what rules said by
/// task; shard; order of telling.
type Placed = (Place, (Parcel, u32));
type Place = (i64, u8, Option<(Arc<str>, Arc<str>)>, u32, usize);

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
        pieces.sort_by(|(a, _), (b, _)| a.cmp(b));
        let pieces = pieces.into_iter();
        pieces
            .map(|((at, ..), parcel)| (at.min(line), record(parcel, at.min(line))))
            .collect()
    });
    sorted.collect()
}

/// The same, cut so that each part holds what belongs to one line, in the order of the lines.
pub(super) fn by_line(told: Vec<Vec<(i64, IntakeRecord)>>) -> Vec<Vec<Vec<(i64, IntakeRecord)>>> {
    let shards = told.len();
    let mut parts: BTreeMap<i64, Vec<Vec<(i64, IntakeRecord)>>> = BTreeMap::new();
    for (shard, records) in told.into_iter().enumerate() {
        for (line, record) in records {
            let part = parts
                .entry(line)
                .or_insert_with(|| vec![Vec::new(); shards]);
            if let Some(own) = part.get_mut(shard) {
                own.push((line, record));
            }
        }
    }
    parts.into_values().collect()
}

fn read(record: &Record) -> Option<(Parcel, u32)> {
    let kind = record.header(KIND_HEADER).map(Bytes::as_ref);
    if kind != Some(PARCEL.as_bytes()) {
        return None;
    }
    let parcel = Parcel::read(record.value.as_deref().unwrap_or_default()).ok()?;
    let depth = record.header(DEPTH_HEADER);
    let depth = depth.and_then(|depth| std::str::from_utf8(depth).ok()?.parse().ok());
    Some((parcel, depth.unwrap_or(0)))
}

fn place((parcel, depth): (Parcel, u32), (lines, last): (&[i64], i64), home: &mut Vec<Placed>) {
    let (from, clock) = (parcel.from, parcel.clock);
    let start = home.len();
    for (record, piece) in parcel.by_record() {
        let at = lines.get(record as usize).copied().unwrap_or(last);
        let rank = match piece {
            Piece::Said(_) => 1,
            Piece::Reached(_) => 2,
            Piece::Rule(_) => 3,
            _ => 0,
        };
        let said = match &piece {
            Piece::Said(said) => Some((Arc::clone(&said.rule), Arc::clone(&said.task))),
            _ => None,
        };
        let at = match piece {
            // Like a clock: behind all that is told.
            Piece::Passed(..) => i64::MAX,
            _ => at,
        };
        let alone = Parcel {
            from,
            pieces: vec![(0, piece)],
            clock: None,
        };
        home.push(((at, rank, said, from, home.len() - start), (alone, depth)));
    }
    if clock.is_some() {
        let alone = Parcel {
            from,
            pieces: Vec::new(),
            clock,
        };
        home.push(((i64::MAX, 3, None, from, 0), (alone, 0)));
    }
}

fn record((parcel, depth): (Parcel, u32), line: i64) -> IntakeRecord {
    IntakeRecord {
        source: 0,
        offset: line,
        record: parcel.to_record_behind(depth),
    }
}
