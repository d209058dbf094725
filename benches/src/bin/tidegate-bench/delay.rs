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

/// How long a result took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delay {
    /// When the event was due that made the result possible, µs since 1970.
    pub(crate) due: i64,
    /// µs from then until the result was seen.
    pub(crate) took: i64,
}

/// The delays of all results that waited for an event behind the warm-up.
pub(crate) fn delays(flow: &Flow, scenario: Scenario, seen: &[Seen], warm: u64) -> Vec<Delay> {
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
        let due = flow.due(number);
        let took = seen.at - due;
        (number >= warm).then_some(Delay { due, took })
    };
    seen.iter().filter_map(of).collect()
}

/// The three seconds with the slowest results, by number since the first due event: a stall shows as a few in a row.
pub(crate) fn slowest(flow: &Flow, delays: &[Delay]) -> Vec<(i64, i64)> {
    let mut seconds: BTreeMap<i64, i64> = BTreeMap::new();
    for delay in delays {
        let second = (delay.due - flow.due(0)).div_euclid(1_000_000);
        let most = seconds.entry(second).or_default();
        *most = delay.took.max(*most);
    }
    let mut seconds: Vec<(i64, i64)> = seconds.into_iter().collect();
    seconds.sort_by_key(|(_, took)| std::cmp::Reverse(*took));
    seconds.truncate(3);
    seconds
}
