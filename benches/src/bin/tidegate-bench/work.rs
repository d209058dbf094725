//! [`Work`]: the scenarios by hand, as somebody writes them for a plain consumer: a map of devices, serde_json in and out.

use std::borrow::Cow;
use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::scenario::{DISORDER, SILENCE, Scenario, WITHIN};

#[derive(Debug, Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    resource: Cow<'a, str>,
    time: i64,
    values: Values,
}

#[derive(Debug, Deserialize)]
struct Values {
    t: f64,
    pressure: f64,
}

/// The same for events with more metrics.
#[derive(Debug, Deserialize)]
struct WideEvent<'a> {
    #[serde(borrow)]
    resource: Cow<'a, str>,
    time: i64,
    values: std::collections::BTreeMap<&'a str, f64>,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    rule: &'a str,
    resource: &'a str,
    time: i64,
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<Window>,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Means>,
}

#[derive(Debug, Serialize)]
struct Window {
    start: i64,
    end: i64,
}

#[derive(Debug, Serialize)]
struct Means {
    mean: f64,
    n: u64,
}

/// What is known of a device.
#[derive(Debug, Default)]
struct Device {
    t: f64,
    pressure: f64,
    more: Vec<(String, f64)>,
    latest: i64,
    events: u64,
    raised: bool,
    /// Start, sum and count of what windows are put together from.
    panes: VecDeque<(i64, f64, u64)>,
    /// End of the next window to close.
    next_end: i64,
    /// Times of first events that wait for a second.
    waiting: VecDeque<i64>,
}

/// A scenario by hand.
#[derive(Debug)]
pub(crate) struct Work {
    scenario: Scenario,
    is_wide: bool,
    devices: HashMap<String, Device, FixedState>,
    /// Lines that were written.
    pub(crate) results: u64,
}

/// Where lines go: key and body.
pub(crate) type Out<'a> = &'a mut dyn FnMut(&str, &[u8]);

impl Work {
    pub(crate) fn new(scenario: Scenario, metrics: u64) -> Self {
        Self {
            scenario,
            is_wide: metrics > 2,
            devices: HashMap::default(),
            results: 0,
        }
    }

    /// Takes one event.
    pub(crate) fn take(&mut self, body: &[u8], out: Out<'_>) {
        if self.is_wide {
            if let Ok(event) = serde_json::from_slice::<WideEvent<'_>>(body) {
                let of = |name| event.values.get(name).copied().unwrap_or(f64::NAN);
                let (t, pressure) = (of("t"), of("pressure"));
                let device = device(&mut self.devices, &event.resource);
                for (name, value) in &event.values {
                    match device.more.iter_mut().find(|(known, _)| known == name) {
                        Some((_, known)) => *known = *value,
                        None => device.more.push(((*name).to_owned(), *value)),
                    }
                }
                let row = (event.time, t, pressure);
                self.results += judge(self.scenario, device, &event.resource, row, out);
            }
        } else if let Ok(event) = serde_json::from_slice::<Event<'_>>(body) {
            let device = device(&mut self.devices, &event.resource);
            let row = (event.time, event.values.t, event.values.pressure);
            self.results += judge(self.scenario, device, &event.resource, row, out);
        }
    }

    /// Everything that is still open ends.
    pub(crate) fn finish(&mut self, out: Out<'_>) {
        for (id, device) in &mut self.devices {
            if let Some(shape) = self.scenario.window() {
                self.results += close(device, id, shape, i64::MAX, out);
            }
            if self.scenario == Scenario::Absence {
                write(out, id, device.latest + SILENCE, "raised", None);
                self.results += 1;
            }
        }
    }
}

fn device<'a>(devices: &'a mut HashMap<String, Device, FixedState>, id: &str) -> &'a mut Device {
    devices.entry_ref(id).or_default()
}

type Row = (i64, f64, f64);

/// Takes a row into its device; answers with how many lines that made.
fn judge(scenario: Scenario, device: &mut Device, id: &str, row: Row, out: Out<'_>) -> u64 {
    let (time, t, pressure) = row;
    let before = device.latest;
    device.t = t;
    device.pressure = pressure;
    device.latest = before.max(time);
    device.events += 1;
    if let Some(shape) = scenario.window() {
        return take_window(device, id, (time, t), shape, out);
    }
    match scenario {
        Scenario::When => {
            let is = t > 99.9;
            if is == device.raised {
                return 0;
            }
            device.raised = is;
            write(out, id, time, if is { "raised" } else { "cleared" }, None);
            1
        }
        Scenario::Absence if device.events > 1 && time - before >= SILENCE => {
            write(out, id, before + SILENCE, "raised", None);
            write(out, id, time, "cleared", None);
            2
        }
        Scenario::Sequence => {
            while device
                .waiting
                .front()
                .is_some_and(|first| time - first > WITHIN)
            {
                device.waiting.pop_front();
            }
            if pressure < 1.5 && !device.waiting.is_empty() {
                device.waiting.clear();
                write(out, id, time, "match", None);
                return 1;
            }
            if t > 99.0 {
                device.waiting.push_back(time);
            }
            0
        }
        _ => 0,
    }
}

fn take_window(
    device: &mut Device,
    id: &str,
    (time, t): (i64, f64),
    shape: (i64, i64),
    out: Out<'_>,
) -> u64 {
    let every = shape.1;
    let start = time.div_euclid(every) * every;
    if device.panes.is_empty() {
        device.next_end = start + every;
    }
    match device.panes.iter_mut().rev().find(|pane| pane.0 == start) {
        Some(pane) => {
            pane.1 += t;
            pane.2 += 1;
        }
        None => {
            let at = device.panes.partition_point(|pane| pane.0 < start);
            device.panes.insert(at, (start, t, 1));
        }
    }
    let watermark = device.latest - DISORDER;
    close(device, id, shape, watermark, out)
}

/// Closes what ends at or before a watermark.
fn close(
    device: &mut Device,
    id: &str,
    (size, every): (i64, i64),
    watermark: i64,
    out: Out<'_>,
) -> u64 {
    let mut lines = 0;
    while device.next_end <= watermark && !device.panes.is_empty() {
        let (start, end) = (device.next_end - size, device.next_end);
        let (mut sum, mut n) = (0.0, 0);
        for pane in device.panes.iter().take_while(|pane| pane.0 < end) {
            sum += pane.1;
            n += pane.2;
        }
        if n > 0 {
            let means = Means {
                mean: sum / n as f64,
                n,
            };
            write(out, id, end, "window", Some((Window { start, end }, means)));
            lines += 1;
        }
        device.next_end += every;
        while device
            .panes
            .front()
            .is_some_and(|pane| pane.0 < device.next_end - size)
        {
            device.panes.pop_front();
        }
    }
    lines
}

fn write(out: Out<'_>, id: &str, time: i64, kind: &str, of: Option<(Window, Means)>) {
    let (window, values) = of.unzip();
    let line = Line {
        rule: "bench",
        resource: id,
        time,
        kind,
        window,
        values,
    };
    if let Ok(bytes) = serde_json::to_vec(&line) {
        out(id, &bytes);
    }
}

#[cfg(test)]
mod tests {
    use tidegate::replay::{ReplayOptions, replay_text};
    use tidegate_proto::time::Timestamp;

    use super::*;
    use crate::flow::Flow;

    /// By hand and by rule the same number of lines comes out of the same events.
    #[test]
    fn the_work_by_hand_is_that_of_the_rule() {
        let flow = Flow::past(200, 2, 30_000);
        for scenario in Scenario::ALL {
            let (mut key, mut body, mut lines) = (String::new(), String::new(), String::new());
            let mut work = Work::new(scenario, 2);
            for number in 0..flow.events {
                flow.write(number, &mut key, &mut body);
                work.take(body.as_bytes(), &mut |_, _| {});
                lines.push_str(&body);
                lines.push('\n');
            }
            work.finish(&mut |_, _| {});
            let end = Timestamp(flow.time(flow.events) + 120_000);
            let options = ReplayOptions {
                until: Some(end),
                ..ReplayOptions::default()
            };
            let (told, _) = replay_text(scenario.rule(), &lines, options).unwrap();
            assert_eq!(told.len() as u64, work.results, "{}", scenario.name());
            assert!(work.results > 0, "{}", scenario.name());
        }
    }
}
