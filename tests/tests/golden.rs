//! Golden scenarios through a real Apache Kafka: the lines that a case expects of a replay are those that one worker and
//! three workers write to the results topic, read by a plain client.
//!
//! Only cases without ticks are here: wall time is the clock of a live engine. Silence is made longer than a test takes.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use tidegate_tests::broker::Broker;
use tidegate_tests::group::{Group, eventually};
use tidegate_tests::process::Process;
use tidegate_tests::scenario::Case;

const CASES: [&str; 8] = [
    "aggregate/lookback-rows",
    "anomaly/season",
    "condition/flapping",
    "conditions/hysteresis",
    "conditions/thresholds",
    "windows/by-groups",
    "windows/hopping",
    "windows/lateness-revisions",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_worker_and_three_give_the_golden_answers() {
    let Some(broker) = Broker::at_hand() else {
        return;
    };
    for (number, name) in CASES.iter().enumerate() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("cases/{name}.case"));
        let case = Case::read(&path);
        assert!(
            case.options.is_empty() && !case.events.contains("\"tick\""),
            "{name} needs a clock"
        );
        for workers in [1, 3] {
            // A name lives as long as the test.
            let group: &'static str = format!("golden-{number}-{workers}").leak();
            run(&broker, group, &case, workers).await;
        }
    }
}

async fn run(broker: &Broker, name: &'static str, case: &Case, workers: usize) {
    let group = Group::delivering(
        broker,
        name,
        ["identified", "transactional"][usize::from(workers > 1)],
    )
    .with("TIDEGATE_TIME__IDLE", "1h");
    let first = group.start("a").await;
    let mut others = Vec::new();
    for place in 1..workers {
        others.push(group.start(["a", "b", "c"][place]).await);
    }
    eventually("the shards are shared", async || {
        let shares = group.shares(&first).await;
        (shares.len() == workers && shares.iter().sum::<usize>() == 4).then_some(())
    })
    .await;
    apply(&first, &case.rules);
    let mut lines: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut events = Vec::new();
    for (number, line) in case.events.lines().enumerate() {
        let event: Value = serde_json::from_str(line).unwrap();
        let resource = event["resource"].as_str().unwrap().to_owned();
        events.push((resource.clone(), line.to_owned()));
        lines.entry(resource).or_default().push(number + 1);
    }
    broker.produce(&group.topic("inbox"), &events);
    let causes = causes(&group, lines);
    let expected = sorted(case.expect.lines().filter(|line| line.starts_with('{')));
    let wanted = format!("{} lines of {}", expected.len(), case.path.display());
    eventually(&wanted, async || {
        let told = group.results();
        (told.len() >= expected.len()).then_some(())
    })
    .await;
    for worker in others.into_iter().chain([first]) {
        assert!(worker.stop().success());
    }
    // Everything is said when they have stopped.
    let told = group
        .results()
        .into_iter()
        .map(|(_, line)| named(line, &causes).to_string());
    let told: Vec<String> = told.collect();
    let told = sorted(told.iter().map(String::as_str));
    assert_eq!(
        told,
        expected,
        "{} on {workers} workers",
        case.path.display()
    );
}

fn apply(engine: &Process, rules: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yaml");
    std::fs::write(&file, rules).unwrap();
    let output = engine.ask(&["apply", "-f", &file.display().to_string()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
}

/// What a live engine calls the lines of a case: each resource's events stand in its partition in their order.
fn causes(group: &Group<'_>, mut lines: BTreeMap<String, Vec<usize>>) -> BTreeMap<String, String> {
    let topic = group.topic("inbox");
    let mut causes = BTreeMap::new();
    for record in group.broker.records(&topic) {
        let Some(numbers) = lines
            .get_mut(&record.key)
            .filter(|numbers| !numbers.is_empty())
        else {
            continue;
        };
        let name = format!("{topic}/{}/{}", record.partition, record.offset);
        causes.insert(name, format!("line:{}", numbers.remove(0)));
    }
    causes
}

/// The line with the causes of a replay.
fn named(mut line: Value, causes: &BTreeMap<String, String>) -> Value {
    for cause in line["cause"].as_array_mut().into_iter().flatten() {
        if let Some(name) = cause.as_str().and_then(|cause| causes.get(cause)) {
            *cause = Value::from(name.as_str());
        }
    }
    line
}

/// Lines as values, so that only what they say is compared; across partitions there is no order.
fn sorted<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let read = |line: &str| serde_json::from_str::<Value>(line).unwrap().to_string();
    let mut lines: Vec<String> = lines.map(read).collect();
    lines.sort();
    lines
}
