//! How a snapshot looks where it is kept, in a folder as in an object store, and what it is called there.
//!
//! It begins with magic `TGSNAP`, format version (u16), crc32 (u32, over all that follows), compression (u8:
//! 0 none, 1 LZ4 block), shard (u32), journal offset (i64), length before compression (u64); numbers are little-endian.

use tidegate_actors::port::SnapshotName;

const MAGIC: [u8; 6] = *b"TGSNAP";
const VERSION: u16 = 1;
/// Bytes before the body.
const HEADER_BYTES: usize = 33;
/// Bytes before those that the checksum covers.
const UNCOVERED_BYTES: usize = 12;

/// Name of the file of a snapshot.
pub(super) fn file_name(name: SnapshotName) -> String {
    format!("shard-{:05}-{:019}.snapshot", name.shard, name.journal)
}

/// The snapshot that a file of this name holds.
pub(super) fn name_of(file: &str) -> Option<SnapshotName> {
    let stem = file.strip_suffix(".snapshot")?;
    let (shard, journal) = stem.strip_prefix("shard-")?.split_once('-')?;
    Some(SnapshotName {
        shard: shard.parse().ok()?,
        journal: journal.parse().ok()?,
    })
}

fn checksum(covered: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(covered);
    hasher.update(body);
    hasher.finalize()
}

/// Header and body of a snapshot file.
pub(super) fn encode(name: SnapshotName, bytes: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
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
pub(super) fn decode(name: SnapshotName, file: &[u8]) -> Result<Vec<u8>, &'static str> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(shard: u32, journal: i64) -> SnapshotName {
        SnapshotName { shard, journal }
    }

    #[test]
    fn a_name_says_what_it_is() {
        let name = name(3, 1_234);
        assert_eq!(file_name(name), "shard-00003-0000000000000001234.snapshot");
        assert_eq!(name_of(&file_name(name)), Some(name));
        assert_eq!(
            name_of("shard-00003-0000000000000001234.snapshot.corrupt"),
            None
        );
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
