//! What the simulated devices send, and the rules that watch them.

use tidegate_actors::command::Signal;
use tidegate_proto::record::Record;

use super::Brittle;
use crate::random::Random;

/// Rules with a window, a hold, a hysteresis and a lookback: everything whose state must survive.
const RULES: [(&str, &str); 4] = [
    (
        "means",
        r#"{"kind":"Rule","name":"means","for":"all","window":{"tumbling":"2s","lateness":"1s"},"emit":{"mean":"avg(t)","n":"count(t)","sum":"sum(t)"}}"#,
    ),
    (
        "hot",
        r#"{"kind":"Rule","name":"hot","for":"all","when":"t > 60.0","hold":"700ms","clear":"t < 30.0","then":[{"log":"hot"}]}"#,
    ),
    (
        "mean-hot",
        r#"{"kind":"Rule","name":"mean-hot","for":"all","when":"avg(t, \"3s\") > 45.0"}"#,
    ),
    (
        "above",
        r#"{"kind":"Rule","name":"above","for":"all","when":"t > 80.0"}"#,
    ),
];

/// Rules that break on purpose: a window, and a condition with an operator of its own.
const BRITTLE: [(&str, &str); 2] = [
    (
        "brittle-means",
        r#"{"kind":"Rule","name":"brittle-means","for":"all","window":{"tumbling":"2s"},"emit":{"mean":"avg(t)"}}"#,
    ),
    (
        "brittle-hot",
        r#"{"kind":"Rule","name":"brittle-hot","for":"all","when":"avg(t, \"4s\") > 40.0","hold":"300ms"}"#,
    ),
];

/// The first records of the source: the rules.
pub(super) fn setup(brittle: Option<Brittle>) -> Vec<Record> {
    let more = if brittle.is_some() { &BRITTLE[..] } else { &[] };
    RULES
        .iter()
        .chain(more)
        .map(|(name, document)| {
            let signal = Signal::Rule {
                request: String::new(),
                name: (*name).to_owned(),
                revision: 1,
                document: Some((*document).to_owned()),
                enabled: true,
            };
            Record {
                timestamp: 1_000_000,
                ..signal.to_record()
            }
        })
        .collect()
}

/// One event: three devices, values like 0.1, out of order, sometimes late, sometimes at equal times.
pub(super) fn event(
    number: i64,
    now: i64,
    brittle: Option<Brittle>,
    random: &mut Random,
) -> Record {
    let device = match random.below(3) {
        0 if brittle == Some(Brittle::Twins) => "brittle-0".to_owned(),
        device => format!("d{device}"),
    };
    let back = if random.one_in(8) {
        random.below(9_000) as i64
    } else {
        random.below(300) as i64
    };
    let time = (now - back) / 100 * 100;
    let value = random.below(1_000) as f64 * 0.1;
    let body = format!(
        r#"{{"id":"e{number}","resource":"{device}","time":{time},"values":{{"t":{value}}}}}"#
    );
    Record {
        timestamp: now,
        ..Record::new(device.into_bytes(), body.into_bytes())
    }
}
