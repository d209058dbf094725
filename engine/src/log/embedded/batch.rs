//! One stored value of the embedded log: a batch of records of one partition, and the key that it is stored under.
//!
//! Key: partition (u32 BE), offset of the first record (u64 BE), so that keys sort by place.
//! Value: magic `Tg`, version, a zero byte, crc32 (u32 LE, over topic, key and all that follows it), count (u32 LE), base
//! timestamp (i64 LE), then per record: timestamp minus base, key length + 1 (0: none), key, value length + 1 (0: none),
//! value, number of headers, per header name length, name, value length, value. Lengths and differences are LEB128.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_actors::port::Entry;
use tidegate_proto::record::{Offset, Partition, Record};

/// Bytes of a key.
const KEY_BYTES: usize = 12;
/// Bytes before the first record.
const HEADER_BYTES: usize = 20;
const MAGIC: [u8; 2] = *b"Tg";
const VERSION: u8 = 1;

/// Why stored bytes are not a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damage(pub(super) &'static str);

/// The key of the batch that begins at an offset.
pub(super) fn key_of(partition: Partition, offset: Offset) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    let (head, tail) = key.split_at_mut(4);
    head.copy_from_slice(&partition.to_be_bytes());
    // Offsets are never negative, so the unsigned order of the key is the order of offsets.
    tail.copy_from_slice(&offset.max(0).to_be_bytes());
    key
}

/// Partition and offset of a key.
pub(super) fn place_of(key: &[u8]) -> Result<(Partition, Offset), Damage> {
    let parts = key.split_first_chunk::<4>().and_then(|(head, tail)| {
        let tail: [u8; 8] = tail.try_into().ok()?;
        Some((u32::from_be_bytes(*head), i64::from_be_bytes(tail)))
    });
    parts.ok_or(Damage("key of a batch has the wrong length"))
}

/// Builds one stored value.
#[derive(Debug)]
pub(super) struct BatchEncoder {
    base: Offset,
    base_timestamp: i64,
    count: u32,
    bytes: Vec<u8>,
}

impl BatchEncoder {
    /// An empty batch that will begin at an offset.
    pub(super) fn new(base: Offset) -> Self {
        Self {
            base,
            base_timestamp: 0,
            count: 0,
            bytes: vec![0; HEADER_BYTES],
        }
    }

    /// Adds a record; timestamps never go back within a batch.
    pub(super) fn push(&mut self, record: &Record, timestamp: i64) {
        if self.count == 0 {
            self.base_timestamp = timestamp;
        }
        let later = timestamp.saturating_sub(self.base_timestamp);
        self.count += 1;
        put_number(&mut self.bytes, u64::try_from(later).unwrap_or(0));
        put_optional(&mut self.bytes, record.key.as_ref());
        put_optional(&mut self.bytes, record.value.as_ref());
        put_number(&mut self.bytes, record.headers.len() as u64);
        for (name, value) in &record.headers {
            put_slice(&mut self.bytes, name.as_bytes());
            put_slice(&mut self.bytes, value);
        }
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether no record was added.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Key and value.
    pub(super) fn finish(
        mut self,
        topic: &str,
        partition: Partition,
    ) -> ([u8; KEY_BYTES], Vec<u8>) {
        let key = key_of(partition, self.base);
        let mut header = [0; HEADER_BYTES];
        let fields = [
            MAGIC.as_slice(),
            &[VERSION, 0],
            &[0; 4],
            &self.count.to_le_bytes(),
            &self.base_timestamp.to_le_bytes(),
        ];
        for (to, from) in header.iter_mut().zip(fields.concat()) {
            *to = from;
        }
        if let Some(head) = self.bytes.first_chunk_mut::<HEADER_BYTES>() {
            *head = header;
        }
        let crc = checksum(topic, &key, self.bytes.get(8..).unwrap_or_default());
        if let Some(place) = self.bytes.get_mut(4..8) {
            place.copy_from_slice(&crc.to_le_bytes());
        }
        (key, self.bytes)
    }
}

fn checksum(topic: &str, key: &[u8], rest: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(topic.as_bytes());
    hasher.update(key);
    hasher.update(rest);
    hasher.finalize()
}

fn put_number(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

fn put_slice(to: &mut Vec<u8>, bytes: &[u8]) {
    put_number(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

fn put_optional(to: &mut Vec<u8>, bytes: Option<&Bytes>) {
    match bytes {
        None => put_number(to, 0),
        Some(bytes) => {
            put_number(to, bytes.len() as u64 + 1);
            to.extend_from_slice(bytes);
        }
    }
}

/// A stored batch whose checksum was verified; its records share one buffer.
#[derive(Debug)]
pub(super) struct StoredBatch {
    /// Offset of the next record to decode.
    next: Offset,
    /// Offset after the last record.
    end: Offset,
    base_timestamp: i64,
    bytes: Bytes,
    at: usize,
    names: Vec<Arc<str>>,
}

impl StoredBatch {
    /// Verifies that a key and its value are a batch of a topic.
    pub(super) fn open(topic: &str, key: &[u8], bytes: Bytes) -> Result<(Partition, Self), Damage> {
        let (partition, base) = place_of(key)?;
        let header = bytes
            .first_chunk::<HEADER_BYTES>()
            .ok_or(Damage("shorter than its header"))?;
        let [
            m0,
            m1,
            version,
            zero,
            c0,
            c1,
            c2,
            c3,
            n0,
            n1,
            n2,
            n3,
            time @ ..,
        ] = *header;
        if [m0, m1] != MAGIC || zero != 0 {
            return Err(Damage("does not begin as a batch"));
        }
        if version != VERSION {
            return Err(Damage("was written in another format version"));
        }
        if u32::from_le_bytes([c0, c1, c2, c3])
            != checksum(topic, key, bytes.get(8..).unwrap_or_default())
        {
            return Err(Damage("checksum does not match"));
        }
        let count = u32::from_le_bytes([n0, n1, n2, n3]);
        let batch = Self {
            next: base,
            end: base.saturating_add(i64::from(count)),
            base_timestamp: i64::from_le_bytes(time),
            bytes,
            at: HEADER_BYTES,
            names: Vec::new(),
        };
        Ok((partition, batch))
    }

    /// Offset of the next record.
    pub(super) fn next_offset(&self) -> Offset {
        self.next
    }

    /// Offset after the last record.
    pub(super) fn end(&self) -> Offset {
        self.end
    }

    /// Passes over records until the next one has this offset.
    pub(super) fn skip_to(&mut self, offset: Offset) -> Result<(), Damage> {
        while self.next < offset && self.next < self.end {
            self.number()?;
            for _ in 0..2 {
                let length = self.length()?;
                self.take(length.saturating_sub(1))?;
            }
            for _ in 0..self.length()? * 2 {
                let length = self.length()?;
                self.take(length)?;
            }
            self.next += 1;
        }
        Ok(())
    }

    /// Decodes the next record, `None` after the last one.
    pub(super) fn decode(&mut self) -> Result<Option<Entry>, Damage> {
        if self.next >= self.end {
            return if self.at == self.bytes.len() {
                Ok(None)
            } else {
                Err(Damage("is longer than its records"))
            };
        }
        let later = i64::try_from(self.number()?).map_err(|_| Damage("impossible timestamp"))?;
        let mut record = Record {
            key: self.optional()?,
            value: self.optional()?,
            headers: Vec::new(),
            timestamp: self.base_timestamp.saturating_add(later),
        };
        for _ in 0..self.length()? {
            let length = self.length()?;
            let name = self.take(length)?;
            let name = self.name(&name)?;
            let length = self.length()?;
            record.headers.push((name.into(), self.take(length)?));
        }
        let offset = self.next;
        self.next += 1;
        Ok(Some(Entry { offset, record }))
    }

    /// Header names repeat from record to record: each is allocated once per batch.
    fn name(&mut self, bytes: &[u8]) -> Result<Arc<str>, Damage> {
        if let Some(known) = self.names.iter().find(|name| name.as_bytes() == bytes) {
            return Ok(Arc::clone(known));
        }
        let name = std::str::from_utf8(bytes).map_err(|_| Damage("header name is not text"))?;
        let name: Arc<str> = Arc::from(name);
        if self.names.len() < 16 {
            self.names.push(Arc::clone(&name));
        }
        Ok(name)
    }

    fn number(&mut self) -> Result<u64, Damage> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = *self
                .bytes
                .get(self.at)
                .ok_or(Damage("ends within a record"))?;
            self.at += 1;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Damage("number without an end"))
    }

    fn length(&mut self) -> Result<usize, Damage> {
        let length = usize::try_from(self.number()?).map_err(|_| Damage("impossible length"))?;
        if length > self.bytes.len() {
            return Err(Damage("length beyond the batch"));
        }
        Ok(length)
    }

    fn take(&mut self, length: usize) -> Result<Bytes, Damage> {
        let end = self.at.saturating_add(length);
        if end > self.bytes.len() {
            return Err(Damage("ends within a record"));
        }
        let taken = self.bytes.slice(self.at..end);
        self.at = end;
        Ok(taken)
    }

    fn optional(&mut self) -> Result<Option<Bytes>, Damage> {
        match self.length()? {
            0 => Ok(None),
            length => self.take(length - 1).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records() -> impl Strategy<Value = Vec<Record>> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from);
        let headers = proptest::collection::vec(("[a-z]{0,4}", bytes()), 0..4);
        let record = (
            proptest::option::of(bytes()),
            proptest::option::of(bytes()),
            headers,
            0_i64..5_000,
        );
        let record = record.prop_map(|(key, value, headers, timestamp)| Record {
            key,
            value,
            headers: headers.into_iter().map(|(n, v)| (n.into(), v)).collect(),
            timestamp,
        });
        proptest::collection::vec(record, 1..20).prop_map(|mut records| {
            records.sort_by_key(|record| record.timestamp);
            records
        })
    }

    fn encode(base: Offset, records: &[Record]) -> ([u8; KEY_BYTES], Vec<u8>) {
        let mut encoder = BatchEncoder::new(base);
        for record in records {
            encoder.push(record, record.timestamp);
        }
        encoder.finish("t", 7)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(records in records(), base in 0_i64..1_000_000, skip in 0_i64..25) {
            let (key, value) = encode(base, &records);
            let (partition, mut batch) = StoredBatch::open("t", &key, Bytes::from(value)).unwrap();
            prop_assert_eq!(partition, 7);
            prop_assert_eq!(batch.end() - batch.next_offset(), records.len() as i64);
            batch.skip_to(base + skip).unwrap();
            for (index, record) in records.iter().enumerate().skip(skip as usize) {
                let entry = batch.decode().unwrap().unwrap();
                prop_assert_eq!(entry.offset, base + index as i64);
                prop_assert_eq!(&entry.record, record);
            }
            prop_assert!(batch.decode().unwrap().is_none());
        }

        #[test]
        fn every_flip_and_cut_is_noticed(records in records(), at in any::<prop::sample::Index>(), bit in 0..8_u32, cut in any::<bool>()) {
            let (key, mut value) = encode(5, &records);
            let at = at.index(value.len());
            if cut { value.truncate(at) } else { value[at] ^= 1_u8 << bit }
            prop_assert!(StoredBatch::open("t", &key, Bytes::from(value)).is_err());
        }

        #[test]
        fn a_batch_under_another_key_is_refused(records in records(), offset in 6_i64..1000) {
            let (_, value) = encode(5, &records);
            let value = Bytes::from(value);
            prop_assert!(StoredBatch::open("t", &key_of(7, offset), value.clone()).is_err());
            prop_assert!(StoredBatch::open("u", &key_of(7, 5), value.clone()).is_err());
            prop_assert!(StoredBatch::open("t", &key_of(7, 5), value).is_ok());
        }
    }
}
