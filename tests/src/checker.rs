//! The offline checker: reads what clients know (acknowledged events), what the engine said (result lines) and what it
//! shows (twins), and folds the input itself. It uses nothing of the engine's crates, so no bug of theirs can hide here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What the clients sent: per device the numbers that were acknowledged and those whose answer never came.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// Acknowledged numbers by device.
    pub acknowledged: BTreeMap<String, BTreeSet<u64>>,
    /// Numbers that were sent and not answered: they may be in or not.
    pub doubtful: BTreeMap<String, BTreeSet<u64>>,
}

/// What the checker found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Acknowledged events without an effect.
    pub lost: u64,
    /// Effects beyond the first of one event.
    pub repeated: u64,
    /// Effects of events that nobody sent.
    pub invented: u64,
    /// Effects that came behind one of a later event of the same device.
    pub disordered: u64,
    /// Twins that differ from the fold of the input.
    pub twins: Vec<String>,
    /// Effects that were looked at.
    pub effects: u64,
}

impl Verdict {
    /// Whether everything holds.
    pub fn holds(&self) -> bool {
        self.lost == 0
            && self.repeated == 0
            && self.invented == 0
            && self.disordered == 0
            && self.twins.is_empty()
            && self.effects > 0
    }
}

/// Checks result lines of a rule that makes one line per event (`values.n`), and twins as `GET /v1/resources` shows them.
pub fn check(sent: &Sent, rule: &str, results: &str, twins: &[Value]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut effects: BTreeMap<String, BTreeMap<u64, u64>> = BTreeMap::new();
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for line in results.lines() {
        let line: Value = serde_json::from_str(line).expect("a result line is JSON");
        if line["rule"] != rule || line["kind"] != "window" {
            continue;
        }
        let device = line["resource"]
            .as_str()
            .expect("a line has a resource")
            .to_owned();
        let number = line["values"]["n"].as_f64().expect("a line has its number") as u64;
        let before = last.entry(device.clone()).or_default();
        verdict.disordered += u64::from(number < *before);
        *before = number.max(*before);
        *effects
            .entry(device)
            .or_default()
            .entry(number)
            .or_default() += 1;
        verdict.effects += 1;
    }
    for (device, numbers) in &effects {
        let acknowledged = sent.acknowledged.get(device);
        let doubtful = sent.doubtful.get(device);
        for (number, times) in numbers {
            verdict.repeated += times - 1;
            let known = acknowledged.is_some_and(|s| s.contains(number))
                || doubtful.is_some_and(|s| s.contains(number));
            verdict.invented += u64::from(!known);
        }
    }
    for (device, numbers) in &sent.acknowledged {
        let had = effects.get(device);
        verdict.lost += numbers
            .iter()
            .filter(|number| had.is_none_or(|had| !had.contains_key(number)))
            .count() as u64;
    }
    for twin in twins {
        check_twin(twin, &effects, &mut verdict);
    }
    verdict
}

/// A twin's number is the largest that had an effect, plus the closing event; its count is how many there were.
fn check_twin(twin: &Value, effects: &BTreeMap<String, BTreeMap<u64, u64>>, verdict: &mut Verdict) {
    let Some(device) = twin["id"].as_str() else {
        return;
    };
    let Some(numbers) = effects.get(device) else {
        return;
    };
    let events = twin["events"].as_u64().unwrap_or(0);
    let expected = numbers.len() as u64 + 1;
    if events != expected {
        verdict.twins.push(format!(
            "{device}: {events} events in the twin, {expected} in the fold"
        ));
    }
}
