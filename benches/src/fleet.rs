//! [`Fleet`]: devices that send JSON events of about 90 bytes, each about once a second of event time, in no order among
//! themselves. No clock and no randomness: two runs see the same bytes.

use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};
use tidegate_proto::batch::EventBatch;
use tidegate_proto::decode::{DecodeLimits, Decoder, SourceProfile, SourceRecord};
use tidegate_proto::id::Names;
use tidegate_proto::record::Record;

/// Event time of the first event: 2026-01-01T00:00:00Z.
pub const START: i64 = 1_767_225_600_000;

/// SplitMix64 of a number: the same on every machine.
#[must_use]
pub const fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Devices and how far they have sent.
#[derive(Clone, Debug)]
pub struct Fleet {
    devices: u64,
    /// Events of one second of event time.
    rate: u64,
    sent: u64,
}

impl Fleet {
    /// So many devices, each sending about once a second.
    #[must_use]
    pub const fn new(devices: u64) -> Self {
        Self {
            devices,
            rate: devices,
            sent: 0,
        }
    }

    /// Event time of the next event, ms.
    #[must_use]
    pub const fn now(&self) -> i64 {
        START + (self.sent * 1000 / self.rate) as i64
    }

    /// How many events were sent.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// The next event: its device and its text. `t` lies evenly in `[0, 100)`.
    pub fn event(&mut self) -> (u64, String) {
        let bits = mix(self.sent);
        let device = bits % self.devices;
        let temperature = (bits >> 20) % 100_000;
        let pressure = (bits >> 40) % 9_000 + 1_000;
        let mut text = String::with_capacity(96);
        // Writing to a text cannot fail.
        let _ = write!(
            text,
            r#"{{"resource":"machine-{device:06}","time":{},"values":{{"t":{}.{:03},"pressure":{}.{:03}}}}}"#,
            self.now(),
            temperature / 1000,
            temperature % 1000,
            pressure / 1000,
            pressure % 1000,
        );
        self.sent += 1;
        (device, text)
    }

    /// The next records as a log gives them: keys and values are slices of one block.
    pub fn records(&mut self, count: usize) -> Vec<Record> {
        let mut block = BytesMut::with_capacity(count * 112);
        let mut ends = Vec::with_capacity(count);
        for _ in 0..count {
            let now = self.now();
            let (device, text) = self.event();
            let from = block.len();
            block.extend_from_slice(format!("machine-{device:06}").as_bytes());
            let key = block.len();
            block.extend_from_slice(text.as_bytes());
            ends.push((from, key, block.len(), now));
        }
        let block = block.freeze();
        let record = |(from, key, end, now): (usize, usize, usize, i64)| Record {
            key: Some(block.slice(from..key)),
            value: Some(block.slice(key..end)),
            headers: Vec::new(),
            timestamp: now,
        };
        ends.into_iter().map(record).collect()
    }

    /// The next events as lines of a file.
    pub fn lines(&mut self, count: usize) -> Vec<Bytes> {
        (0..count).map(|_| Bytes::from(self.event().1)).collect()
    }
}

/// A decoder with its interners.
#[derive(Debug)]
pub struct Reader {
    decoder: Decoder,
    resources: Names,
    metrics: Names,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            decoder: Decoder::new(DecodeLimits::default(), SourceProfile::default()),
            resources: Names::default(),
            metrics: Names::default(),
        }
    }
}

impl Reader {
    /// Decodes records into one batch.
    pub fn decode(&mut self, records: &[Record]) -> EventBatch {
        let mut batch = EventBatch::default();
        let mut bad = Vec::new();
        for (index, record) in (0_u32..).zip(records) {
            let source = SourceRecord {
                source: 0,
                offset: i64::from(index),
                record,
                index,
            };
            self.decoder.decode(
                source,
                &mut self.resources,
                &mut self.metrics,
                &mut batch,
                &mut bad,
            );
        }
        assert!(bad.is_empty(), "the fleet sends events alone: {bad:?}");
        batch
    }

    /// Number of a metric.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<u32> {
        self.metrics.get(name)
    }
}
