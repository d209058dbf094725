//! The framing of a schema registry: which schema a record was written with, and where its payload begins. Pure.
//!
//! Two forms: in front of the value (`0`, then the id in 4 bytes, big-endian; or `1`, then the GUID in 16), or the same
//! bytes in the header `__value_schema_id`, with the value all payload. Protobuf puts the path to its message behind it.

use std::fmt;

use tidegate_proto::decode::SourceFormat;
use tidegate_proto::record::Record;

/// Header with the schema of the value.
const HEADER: &str = "__value_schema_id";
/// Deepest message in messages.
const NESTED: i64 = 32;

/// Which schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SchemaName {
    /// By its number in the registry.
    Id(u32),
    /// By its globally unique id.
    Guid([u8; 16]),
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Guid(bytes) => {
                for (place, byte) in bytes.iter().enumerate() {
                    if matches!(place, 4 | 6 | 8 | 10) {
                        f.write_str("-")?;
                    }
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }
    }
}

/// A record taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Framed<'a> {
    pub(super) schema: SchemaName,
    /// Protobuf: indexes that lead to the message in its file.
    pub(super) message: Vec<usize>,
    pub(super) payload: &'a [u8],
}

/// Takes a record apart.
///
/// # Errors
/// When there is no framing, in words for people.
pub(super) fn framed<'a>(
    record: &'a Record,
    value: &'a [u8],
    format: SourceFormat,
) -> Result<Framed<'a>, String> {
    let header = record.header(HEADER);
    let mut rest = header.map_or(value, |header| header.as_ref());
    let place = if header.is_some() {
        "the header `__value_schema_id`"
    } else {
        "the value"
    };
    let short = || format!("{place} ends within the id of a schema");
    let schema = match take(&mut rest, 1) {
        Some([0]) => {
            let id = take(&mut rest, 4).and_then(|id| id.try_into().ok());
            SchemaName::Id(u32::from_be_bytes(id.ok_or_else(short)?))
        }
        Some([1]) => {
            let guid = take(&mut rest, 16).and_then(|guid| guid.try_into().ok());
            SchemaName::Guid(guid.ok_or_else(short)?)
        }
        Some([other, ..]) => {
            return Err(format!(
                "{place} begins with byte {other}, the framing of a schema registry with 0 or 1"
            ));
        }
        _ => return Err(short()),
    };
    let message = if format == SourceFormat::Protobuf {
        message(&mut rest).ok_or_else(|| format!("{place} has no path to a message"))?
    } else {
        Vec::new()
    };
    let payload = if header.is_some() { value } else { rest };
    Ok(Framed {
        schema,
        message,
        payload,
    })
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(count)?;
    *rest = tail;
    Some(head)
}

/// The path to a message: its length, then its indexes; a length of 0 means the first message.
fn message(rest: &mut &[u8]) -> Option<Vec<usize>> {
    let count = zigzag(rest)?;
    if count == 0 {
        return Some(vec![0]);
    }
    if !(0..=NESTED).contains(&count) {
        return None;
    }
    (0..count)
        .map(|_| usize::try_from(zigzag(rest)?).ok())
        .collect()
}

/// A whole number in zigzag and base 128.
pub(super) fn zigzag(rest: &mut &[u8]) -> Option<i64> {
    let mut bits = 0_u64;
    for place in 0..10_u32 {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        let part = u64::from(byte & 0x7f);
        if place == 9 && part > 1 {
            return None;
        }
        bits |= part << (7 * place);
        if byte & 0x80 == 0 {
            let (half, sign) = (bits >> 1, bits & 1);
            #[allow(
                clippy::cast_possible_wrap,
                reason = "zigzag: the sign is the lowest bit"
            )]
            return Some((half as i64) ^ -(sign as i64));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GUID: [u8; 16] = [
        0x89, 0x79, 0x17, 0x62, 0x23, 0x36, 0x41, 0x86, 0x96, 0x74, 0x29, 0x9b, 0x90, 0xa8, 0x02,
        0xe2,
    ];

    #[test]
    fn both_framings_are_read() {
        let record = Record::new("k", vec![0, 0, 0, 1, 4, 9, 8]);
        let value = record.value.clone().unwrap();
        let found = framed(&record, &value, SourceFormat::Avro).unwrap();
        assert_eq!(found.schema, SchemaName::Id(260));
        assert_eq!(found.payload, [9, 8]);

        let header: Vec<u8> = [&[1], GUID.as_slice(), &[4, 2, 0]].concat();
        let record = Record::new("k", vec![0, 7]).with_header(HEADER, header);
        let value = record.value.clone().unwrap();
        let found = framed(&record, &value, SourceFormat::Protobuf).unwrap();
        assert_eq!(
            found.schema.to_string(),
            "89791762-2336-4186-9674-299b90a802e2"
        );
        assert_eq!(found.message, [1, 0]);
        assert_eq!(found.payload, [0, 7]);

        let record = Record::new("k", vec![0, 0, 0, 0, 1, 0, 5]);
        let value = record.value.clone().unwrap();
        let found = framed(&record, &value, SourceFormat::Protobuf).unwrap();
        assert_eq!((found.message, found.payload), (vec![0], &[5][..]));
        for (value, told) in [
            (vec![], "the value ends within the id of a schema"),
            (vec![0, 1], "the value ends within the id of a schema"),
            (vec![b'{'], "the value begins with byte 123"),
            (vec![0, 0, 0, 0, 1], "the value has no path to a message"),
            (vec![0, 0, 0, 0, 1, 3], "the value has no path to a message"),
        ] {
            let record = Record::new("k", value.clone());
            let error = framed(&record, &value, SourceFormat::Protobuf).unwrap_err();
            assert!(error.starts_with(told), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            let record = Record::new("k", value.clone());
            for format in [SourceFormat::Avro, SourceFormat::Protobuf, SourceFormat::JsonSchema] {
                let _ = framed(&record, &value, format);
            }
        }

        #[test]
        fn zigzag_reads_what_is_written(number in any::<i64>()) {
            let mut bits = ((number << 1) ^ (number >> 63)) as u64;
            let mut bytes = Vec::new();
            while bits >= 0x80 { bytes.push(bits as u8 | 0x80); bits >>= 7; }
            bytes.push(bits as u8);
            prop_assert_eq!(zigzag(&mut bytes.as_slice()), Some(number));
        }
    }
}
