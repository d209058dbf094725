//! [`Flow`]: the events, computed from their number, so that whoever looks at a result later knows when its cause was due.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use tidegate_benches::fleet::mix;

/// Between the last event of the past and now: longer than any window is open, so that all of them close at the end.
const GAP: i64 = 120_000;
const MINUTE: i64 = 60_000;

/// The events of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    pub(crate) resources: u64,
    metrics: u64,
    /// Events of one second.
    pub(crate) rate: u64,
    pub(crate) events: u64,
    /// Time of the first one, µs since 1970.
    begin: i64,
}

fn now() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(0)
}

impl Flow {
    /// Events that are over, one a second of each resource; begins at a full minute.
    pub(crate) fn past(resources: u64, metrics: u64, events: u64) -> Self {
        let length = (events * 1_000 / resources) as i64;
        let begin = (now() / 1_000 - GAP - length) / MINUTE * MINUTE;
        let (rate, begin) = (resources, begin * 1_000);
        Self {
            resources,
            metrics,
            rate,
            events,
            begin,
        }
    }

    /// Events that come from now on.
    pub(crate) fn live(resources: u64, metrics: u64, rate: u64, events: u64) -> Self {
        let begin = now() + 50_000;
        Self {
            resources,
            metrics,
            rate,
            events,
            begin,
        }
    }

    /// When an event is due, µs since 1970.
    pub(crate) const fn due(&self, number: u64) -> i64 {
        self.begin + (number as i64).saturating_mul(1_000_000) / self.rate as i64
    }

    /// Time of an event, ms.
    pub(crate) const fn time(&self, number: u64) -> i64 {
        self.due(number) / 1_000
    }

    /// Its resource.
    pub(crate) const fn resource(&self, number: u64) -> u64 {
        mix(number) % self.resources
    }

    /// How many are due by now.
    pub(crate) fn due_now(&self) -> u64 {
        let passed = (now() - self.begin).max(0) as u64;
        (passed * self.rate / 1_000_000).min(self.events)
    }

    /// Its key and its body. `t` lies evenly in `[0, 100)`, `pressure` in `[1, 10)`.
    pub(crate) fn write(&self, number: u64, key: &mut String, body: &mut String) {
        let bits = mix(number);
        let temperature = (bits >> 20) % 100_000;
        let pressure = (bits >> 40) % 9_000 + 1_000;
        key.clear();
        body.clear();
        // Writing to a text cannot fail.
        let _ = write!(key, "machine-{:06}", self.resource(number));
        let _ = write!(
            body,
            r#"{{"resource":"{key}","time":{},"values":{{"t":{}.{:03},"pressure":{}.{:03}"#,
            self.time(number),
            temperature / 1000,
            temperature % 1000,
            pressure / 1000,
            pressure % 1000,
        );
        for metric in 3..=self.metrics {
            let value = mix(bits ^ metric) % 100_000;
            let _ = write!(body, r#","m{metric}":{}.{:03}"#, value / 1000, value % 1000);
        }
        body.push_str("}}");
    }
}
