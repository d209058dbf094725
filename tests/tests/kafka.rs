//! The engine on a real Apache Kafka: rules, results, many workers, kills. Brings its broker itself (`tests/kafka/broker`).

use std::path::Path;
use std::time::Instant;

use serde_json::json;
use tidegate_tests::broker::{Broker, Seen};
use tidegate_tests::group::{ECHO, Group, event, eventually, once, submit};
use tidegate_tests::process::{Process, client};

const HOT: &str =
    "kind: Rule\nname: hot\nfor: all\nwhen: t > 10.0\nthen: [ { alarm: { severity: MAJOR } } ]";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_broker() {
    let Some(broker) = Broker::at_hand() else {
        return;
    };
    topics(&broker).await;
    readme(&broker).await;
    one_worker(&broker).await;
    three_workers(&broker).await;
    lanes(&broker).await;
    away(&broker).await;
}

/// Brokers that are away when a worker starts are waited for; whoever asks meanwhile is told that it is starting.
async fn away(broker: &Broker) {
    let group =
        Group::new(broker, "away").with("TIDEGATE_KAFKA__PROPERTIES__SOCKET_TIMEOUT_MS", "2000");
    broker.kill();
    let hasty = group.settings();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("hasty").display().to_string();
    let refused = std::process::Command::new(tidegate_tests::process::program())
        .args(["serve", "--listen", "127.0.0.1:0", "--data", &data])
        .envs(hasty.iter().map(|(name, value)| (name, value.as_str())))
        .env("TIDEGATE_KAFKA__START_TIMEOUT", "1ms")
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("not available now"), "{said}");
    let (mut patient, stopped) = (group.begin("patient"), group.begin("stopped"));
    for worker in [&patient, &stopped] {
        let starting = eventually("a worker that starts", async || {
            let asked = |path: &str| group.client.get(format!("{}{path}", worker.url)).send();
            let lives = asked("/healthz").await.ok()?;
            assert_eq!(lives.status(), 200);
            let ready = asked("/readyz").await.ok()?;
            Some((ready.status(), ready.text().await.ok()?))
        });
        let (status, text) = starting.await;
        assert_eq!(status, 503);
        assert!(text.contains("the engine is starting"), "{text}");
    }
    assert!(stopped.stop().success(), "told to stop while it waited");
    broker.up();
    patient.ready(&group.client).await;
    submit(&patient, HOT).await;
    assert!(patient.stop().success());
}

/// Topics that cannot be used are told all at once, each with what to change, by the command and by the engine.
async fn topics(broker: &Broker) {
    let ask = |verb: &[&str]| {
        std::process::Command::new(tidegate_tests::process::program())
            .args(verb)
            .env("TIDEGATE_KAFKA__BROKERS", broker.address())
            .env("TIDEGATE_TOPICS__PREFIX", "bad.")
            .output()
            .unwrap()
    };
    broker.create("bad.results", 3, &[]).await;
    let compacted = [("cleanup.policy", "compact"), ("retention.ms", "60000")];
    broker.create("bad.inbox", 4, &compacted).await;
    let checked = ask(&["topics", "check"]);
    assert_eq!(checked.status.code(), Some(1));
    let said = String::from_utf8(checked.stderr).unwrap();
    for wanted in [
        "`bad.results` has 3 partitions, 4 are wanted",
        "`bad.inbox` is compacted",
        "set `cleanup.policy=delete`",
        "raise its `retention.ms`",
        "`bad.journal` is not there",
    ] {
        assert!(said.contains(wanted), "{wanted} is not in\n{said}");
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").display().to_string();
    let refused = ask(&["serve", "--listen", "127.0.0.1:0", "--data", &data]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("`bad.results` has 3 partitions"), "{said}");
}

/// The commands of the README's section, as they are pasted.
async fn readme(broker: &Broker) {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md"))
        .unwrap();
    let rule = text.split("cat > hot.yaml <<'RULE'\n").nth(1).unwrap();
    let rule = rule.split("\nRULE\n").next().unwrap();
    let section = text.split("\n## On Kafka\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let mut blocks = section
        .split("```sh\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap());
    let start = blocks.next().unwrap();
    assert!(
        start.contains("TIDEGATE_KAFKA__BROKERS=127.0.0.1:19092"),
        "{start}"
    );

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hot.yaml"), rule).unwrap();
    let address = broker.address();
    let mut engine = Process::start(
        &folder.path().join("worker-1"),
        &[("TIDEGATE_KAFKA__BROKERS", &address)],
    );
    engine.ready(&client()).await;
    let program = tidegate_tests::process::program().display();
    let mut printed = Vec::new();
    for line in blocks.next().unwrap().lines() {
        let line = line.replace("127.0.0.1:19092", &address);
        let script = format!("set -e\ntidegate() {{ '{program}' \"$@\"; }}\n{line}");
        let text = eventually(&line, async || {
            let output = std::process::Command::new("sh")
                .args(["-c", &script])
                .env("TIDEGATE_SERVER", &engine.url)
                .current_dir(folder.path())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{line}: {said}");
            let text = String::from_utf8(output.stdout).unwrap();
            // What is produced is silent; what is looked at comes a moment later. A worker speaks of itself once a second.
            let is_early = line.contains("get workers") && !text.contains("0,1,2,3");
            (!is_early && (!text.is_empty() || line.contains("kcat -P"))).then_some(text)
        })
        .await;
        printed.push(text);
    }
    assert_eq!(printed.len(), 4);
    assert!(
        printed[0].contains("rule/too-hot created (revision 1)"),
        "{printed:?}"
    );
    assert!(
        printed[2].starts_with("boiler-7 {\"rule\":\"too-hot\""),
        "{printed:?}"
    );
    assert!(engine.stop().success());
}

/// Produced by a plain client, ruled over gRPC, seen by a plain consumer; a stop and a start lose and repeat nothing.
async fn one_worker(broker: &Broker) {
    let group = Group::new(broker, "one");
    let engine = group.start("a").await;
    submit(&engine, HOT).await;
    let hot = json!({ "resource": "boiler-1", "time": 1000, "values": { "t": 11.0 } }).to_string();
    broker.produce(&group.topic("inbox"), &[("boiler-1".into(), hot)]);
    let results = eventually("a result", async || {
        Some(group.results()).filter(|results| !results.is_empty())
    })
    .await;
    let (record, line) = &results[0];
    assert_eq!(
        (&line["rule"], &line["kind"]),
        (&json!("hot"), &json!("raised"))
    );
    assert_eq!(record.key, "boiler-1");
    let id = record.headers.iter().find(|(name, _)| name == "ce_id");
    assert!(id.is_some(), "{record:?}");

    // What is in the broker but no event goes to the dead letters, and nothing stops.
    broker.produce(&group.topic("inbox"), &[("boiler-1".into(), "{".into())]);
    let cool = json!({ "resource": "boiler-1", "time": 2000, "values": { "t": 1.0 } }).to_string();
    broker.produce(&group.topic("inbox"), &[("boiler-1".into(), cool.clone())]);
    eventually("the alarm cleared", async || {
        (group.results().len() == 2).then_some(())
    })
    .await;
    assert_eq!(broker.records(&group.topic("dlq")).len(), 1);

    assert!(engine.stop().success());
    let engine = group.start("a").await;
    let again =
        json!({ "resource": "boiler-1", "time": 3000, "values": { "t": 12.0 } }).to_string();
    broker.produce(&group.topic("inbox"), &[("boiler-1".into(), again)]);
    eventually("the alarm once more", async || {
        (group.results().len() == 3).then_some(())
    })
    .await;
    assert!(engine.stop().success());
    let kinds: Vec<_> = group
        .results()
        .iter()
        .map(|(_, line)| line["kind"].clone())
        .collect();
    assert_eq!(kinds, ["raised", "cleared", "raised"]);
}

/// Three workers share the shards; one is killed, one leaves, all under load: every event has its line, and whoever drops
/// repeated ids sees each once.
async fn three_workers(broker: &Broker) {
    let group = Group::new(broker, "three");
    let first = group.start("a").await;
    submit(&first, ECHO).await;
    let second = group.start("b").await;
    let third = group.start("c").await;
    eventually("the shards are shared", async || {
        let shares = group.shares(&first).await;
        (shares.len() == 3 && shares.iter().sum::<usize>() == 4).then_some(())
    })
    .await;
    asked_anywhere(&[&first, &second, &third]);
    let produce = |from: i64, to: i64| {
        let events: Vec<_> = (from..to)
            .map(|n| event(&format!("d{}", n % 20), n))
            .collect();
        broker.produce(&group.topic("inbox"), &events);
    };
    produce(1, 2_000);
    second.kill();
    produce(2_000, 4_000);
    let began = Instant::now();
    all_there(&group, 3_999).await;
    println!(
        "every shard goes on after a kill (session timeout 3 s): {:?}",
        began.elapsed()
    );
    assert!(third.stop().success());
    produce(4_000, 6_000);
    let began = Instant::now();
    all_there(&group, 5_999).await;
    println!(
        "every shard goes on after a clean leave: {:?}",
        began.elapsed()
    );
    let fourth = group.start("b").await;
    produce(6_000, 8_000);
    let closing: Vec<_> = (0..20)
        .map(|n| event(&format!("d{n}"), 1_000_000))
        .collect();
    broker.produce(&group.topic("inbox"), &closing);
    let (lines, repeated) = eventually("a line of every event", async || {
        let (lines, repeated) = once(&group.results());
        (lines.len() >= 7_999).then_some((lines, repeated))
    })
    .await;
    println!("{repeated} lines were there twice under one id");
    let mut numbers: Vec<i64> = lines
        .iter()
        .filter_map(|line| line["values"]["n"].as_f64())
        .map(|n| n as i64)
        .collect();
    numbers.sort_unstable();
    assert!(
        numbers.iter().copied().eq(1..8_000),
        "lost or invented: {} lines",
        numbers.len()
    );
    assert!(first.stop().success());
    assert!(fourth.stop().success());
}

/// Two workers share the partitions of a topic that a gateway reads: every record is brought in once, not once by each.
async fn lanes(broker: &Broker) {
    let group = Group::new(broker, "lanes");
    broker.create("lanes.raw", 4, &[]).await;
    let first = group.start("a").await;
    let second = group.start("b").await;
    eventually("the shards are shared", async || {
        (group.shares(&first).await == [2, 2]).then_some(())
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("source.yaml");
    let source =
        "kind: Source\nname: raw\ntopic: lanes.raw\nformat: json\nkeyed: false\nfrom: earliest\n";
    std::fs::write(&file, source).unwrap();
    let applied = first.ask(&["apply", "-f", &file.display().to_string()]);
    assert!(applied.status.success(), "{applied:?}");
    let records: Vec<_> = (1..=1_000)
        .map(|number| {
            (
                format!("k{number}"),
                event(&format!("d{}", number % 20), number).1,
            )
        })
        .collect();
    broker.produce("lanes.raw", &records);
    let brought = || {
        let inbox = broker.records(&group.topic("inbox")).into_iter();
        let from_lanes = |seen: &Seen| seen.headers.iter().any(|(name, _)| name == "tg-from");
        inbox.filter(from_lanes).count()
    };
    eventually("all records brought in", async || {
        (brought() >= 1_000).then_some(())
    })
    .await;
    // A worker that goes takes its lanes along; what comes now is brought in by the other one.
    assert!(second.stop().success());
    assert_eq!(brought(), 1_000, "brought in by one worker, not by each");
    broker.produce("lanes.raw", &records);
    eventually("all records brought in again", async || {
        (brought() >= 2_000).then_some(())
    })
    .await;
    assert!(first.stop().success());
}

/// Waits for lines up to a number; the newest of a device comes with its next event.
async fn all_there(group: &Group<'_>, to: usize) {
    eventually(&format!("lines of the events before {to}"), async || {
        (once(&group.results()).0.len() + 20 >= to).then_some(())
    })
    .await;
}

/// Every worker answers for all shards, whoever has them.
fn asked_anywhere(workers: &[&Process]) {
    for engine in workers {
        let rules = engine.ask(&["get", "rules", "-o", "name"]);
        let said = String::from_utf8_lossy(&rules.stderr).into_owned();
        assert_eq!(
            String::from_utf8_lossy(&rules.stdout).trim(),
            "rule/echo",
            "{said}"
        );
    }
}

#[test]
fn the_script_says_how_it_is_used() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("kafka/broker");
    let output = std::process::Command::new(script).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("KAFKA_PORT") && text.contains("SIGKILL"),
        "{text}"
    );
}
