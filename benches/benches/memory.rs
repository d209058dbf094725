//! Bytes, not time: what an idle resource costs at a million of them, and what 10,000 rules cost over 1,000 resources.
//! `cargo bench` alone measures; a test run does nothing here.

use std::io::Write as _;

use tidegate_actors::result::CauseStyle;
use tidegate_actors::shard::ShardSettings;
use tidegate_benches::fleet::START;
use tidegate_benches::memory::resident;
use tidegate_benches::station::{EPOCH, Station};
use tidegate_proto::record::Record;
use tidegate_proto::time::Span;

fn say(line: &str) {
    // Nobody to tell if that fails.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn event(device: u64, time: i64, value: f64) -> Record {
    let id = format!("machine-{device:06}");
    let text = format!(
        r#"{{"resource":"{id}","time":{time},"values":{{"t":{value:.3},"pressure":3.402}}}}"#
    );
    Record {
        timestamp: time,
        ..Record::new(id.into_bytes(), text.into_bytes())
    }
}

/// A million resources that have sent one event each and are passive since.
fn idle_resources() {
    const DEVICES: u64 = 1_000_000;
    let mut settings = ShardSettings::new(0, 1, CauseStyle::Log(vec!["events".into()], 0));
    settings.passivate = Span::seconds(60);
    let mut station = Station::new(settings);
    let before = resident();
    for from in (0..DEVICES).step_by(EPOCH) {
        let to = (from + EPOCH as u64).min(DEVICES);
        let records = (from..to)
            .map(|device| event(device, START, 71.25))
            .collect();
        let intake = station.intake(records, START);
        station.step(&intake);
    }
    let active = station.numbers();
    let held = resident() - before;
    say(&format!(
        "memory/active-resource: {} bytes resident each, {} counted by the shard, {} active",
        held / DEVICES,
        active.twin_bytes / DEVICES,
        active.active
    ));
    let mut clock = START + 61_000;
    while station.numbers().active > 0 {
        let intake = station.intake(Vec::new(), clock);
        station.step(&intake);
        clock += 1000;
    }
    let passive = station.numbers();
    let held = resident() - before;
    say(&format!(
        "memory/idle-resource: {} bytes resident each, {} counted by the shard, {} known",
        held / DEVICES,
        passive.twin_bytes / DEVICES,
        passive.resources
    ));
}

/// Rules of one shape with different limits, every resource judged by each.
fn rules(count: u32) {
    const DEVICES: u64 = 1_000;
    let documents: Vec<String> = (0..count)
        .map(|number| {
            let limit = 50.0 + f64::from(number) / 100.0;
            format!(r#"{{"for":"all","when":"t > {limit:.2}"}}"#)
        })
        .collect();
    let before = resident();
    let mut station = Station::with_rules(documents.iter().map(String::as_str));
    let mut time = START;
    // Each round every resource crosses ten limits, then goes back.
    for round in 0..20_u64 {
        let value = if round % 2 == 0 { 49.0 } else { 50.095 };
        let records = (0..DEVICES)
            .map(|device| event(device, time, value))
            .collect();
        time += 1000;
        let intake = station.intake(records, time);
        station.step(&intake);
    }
    let held = resident().saturating_sub(before);
    let view = station.numbers();
    say(&format!(
        "memory/rules/{count}: {:.1} MiB resident, {:.1} MiB of rule state counted by the shard, {} tasks that have spoken",
        held as f64 / f64::from(1 << 20),
        view.rule_bytes as f64 / f64::from(1 << 20),
        view.tasks
    ));
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let wants = |name: &str| wanted.as_deref().is_none_or(|wanted| name.contains(wanted));
    for count in [10, 10_000] {
        if wants(&format!("memory/rules/{count}")) {
            rules(count);
        }
    }
    // Last: what it leaves free would hide what comes after it.
    if wants("memory/idle-resource") {
        idle_resources();
    }
}
