//! [`Packing`]: copies records out of librdkafka, many into one allocation. A record of 100 bytes would otherwise cost two
//! allocations, which another thread gives back.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tidegate_actors::port::Entry;
use tidegate_proto::record::Record;

use super::batch::Message;

/// Bytes that share an allocation, about: whoever keeps one record keeps them all.
const TOGETHER: usize = 64 << 10;
/// Header names of a topic that are remembered; more than a handful are not worth it.
const NAMES: usize = 32;

/// Records whose bytes are copied but not yet given to them.
#[derive(Debug, Default)]
pub(super) struct Packing {
    bytes: Vec<u8>,
    /// Lengths of key and value, of the last so many entries.
    lengths: Vec<(Option<usize>, Option<usize>)>,
    names: Vec<Arc<str>>,
}

impl Packing {
    /// Adds a record to `entries`; it is whole after [`Self::finish`].
    pub(super) fn add(&mut self, message: &Message<'_>, entries: &mut VecDeque<Entry>) {
        let (key, value) = (message.key, message.value);
        self.bytes.extend_from_slice(key.unwrap_or_default());
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.lengths
            .push((key.map(<[u8]>::len), value.map(<[u8]>::len)));
        let mut headers = Vec::new();
        message.headers(|name, value| {
            headers.push((self.name(name).into(), Bytes::copy_from_slice(value)));
        });
        entries.push_back(Entry {
            offset: message.offset,
            record: Record {
                key: None,
                value: None,
                headers,
                timestamp: message.timestamp.max(0),
            },
        });
        if self.bytes.len() >= TOGETHER {
            self.finish(entries);
        }
    }

    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.iter().find(|known| known.as_ref() == name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = Arc::from(name);
        if self.names.len() < NAMES {
            self.names.push(Arc::clone(&name));
        }
        name
    }

    /// Gives the newest entries their bytes.
    pub(super) fn finish(&mut self, entries: &mut VecDeque<Entry>) {
        let mut rest = Bytes::from(std::mem::take(&mut self.bytes));
        let first = entries.len().saturating_sub(self.lengths.len());
        for (entry, (key, value)) in entries.range_mut(first..).zip(self.lengths.drain(..)) {
            entry.record.key = key.map(|length| rest.split_to(length));
            entry.record.value = value.map(|length| rest.split_to(length));
        }
    }
}
