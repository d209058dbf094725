//! [`delays`]: from which event a result had to wait, and so how long it took.

use std::collections::BTreeMap;

use serde_json::Value;
use tidegate_proto::time::Timestamp;

use crate::flow::Flow;
use crate::scenario::{DISORDER, Scenario};

/// A result as a plain consumer saw it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    resource: u64,
    /// Its time, ms; of a window its end.
    time: i64,
    /// When it was seen, µs since 1970.
    at: i64,
}

impl Seen {
    /// Of a result line; `None`: it is none of ours.
    pub(crate) fn read(body: &[u8], at: i64) -> Option<Self> {
        let line: Value = serde_json::from_slice(body).ok()?;
        let resource = line["resource"]
            .as_str()?
            .strip_prefix("machine-")?
            .parse()
            .ok()?;
        let end = &line["window"]["end"];
        let time = time_of(if end.is_null() { &line["time"] } else { end })?;
        Some(Self { resource, time, at })
    }
}

fn time_of(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse::<Timestamp>().ok().map(|time| time.0),
        other => other.as_i64(),
    }
}

/// µs from when the event was due that made the result possible until the result was seen; only of events behind the warm-up.
pub(crate) fn delays(flow: &Flow, scenario: Scenario, seen: &[Seen], warm: u64) -> Vec<i64> {
    let mut numbers: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for number in 0..flow.events {
        numbers
            .entry(flow.resource(number))
            .or_default()
            .push(number);
    }
    let wait = if scenario.window().is_some() {
        DISORDER
    } else {
        0
    };
    let of = |seen: &Seen| {
        let events = numbers.get(&seen.resource)?;
        let first = events.partition_point(|number| flow.time(*number) - wait < seen.time);
        let number = *events.get(first)?;
        (number >= warm).then(|| seen.at - flow.due(number))
    };
    seen.iter().filter_map(of).collect()
}
