//! Topics of the user's as people read them: in place, through every format, over kills, and what becomes of bad records.

#[path = "sources/gateways.rs"]
mod gateways;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_proto::record::partition_of;
use tidegate_tests::process::{Process, client};

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// An engine and who talks to it.
struct Desk {
    client: reqwest::Client,
    engine: Process,
}

impl Desk {
    async fn open(data: &Path) -> Self {
        Self::set(data, &[]).await
    }

    async fn set(data: &Path, settings: &[(&str, &str)]) -> Self {
        let client = client();
        let mut engine = Process::start(data, settings);
        engine.ready(&client).await;
        Self { client, engine }
    }

    async fn post(&self, path: &str, kind: &str, body: String) -> (u16, Value) {
        let url = format!("{}{path}", self.engine.url);
        let request = self.client.post(url).header("content-type", kind);
        let answer = request.body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Brings documents in force; answers with what became of them.
    async fn apply(&self, documents: &str) -> Vec<Value> {
        let (status, answer) = self
            .post("/v1/apply", "application/yaml", documents.to_owned())
            .await;
        assert_eq!(status, 200, "{answer}");
        answer["items"].as_array().unwrap().clone()
    }

    async fn refused(&self, documents: &str) -> String {
        let (status, answer) = self
            .post("/v1/apply", "application/yaml", documents.to_owned())
            .await;
        assert!((400..500).contains(&status), "{status}: {answer}");
        answer.to_string()
    }

    /// Puts records into a topic.
    async fn produce(&self, topic: &str, records: Value) -> Value {
        let path = format!("/v1/topics/{topic}/records");
        let body = json!({ "records": records }).to_string();
        let (status, answer) = self.post(&path, "application/json", body).await;
        assert_eq!(status, 200, "{answer}");
        answer["records"].clone()
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let url = format!("{}{path}", self.engine.url);
        let answer = self.client.get(&url).send().await.ok()?;
        if !answer.status().is_success() {
            return None;
        }
        answer.json().await.ok()
    }

    /// The twin, once it has taken so many events.
    async fn twin(&self, resource: &str, events: u64) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let twin = self.get(&format!("/v1/resources/{resource}")).await;
            if let Some(twin) = twin.filter(|twin| twin["events"].as_u64() >= Some(events)) {
                assert_eq!(twin["events"], events, "{twin}");
                return twin;
            }
            assert!(
                Instant::now() < deadline,
                "never seen: {events} events of {resource}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until every record of a source is taken.
    async fn caught_up(&self, source: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.get(&format!("/v1/sources/{source}")).await;
            if let Some(found) = found.filter(|found| found["lag"] == 0) {
                return found;
            }
            assert!(Instant::now() < deadline, "`{source}` does not catch up");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// All lines of a topic up to now.
    fn tail(&self, topic: &str) -> Vec<Value> {
        let arguments = ["tail", topic, "--from", "earliest", "--stop-at-end"];
        let tail = self.engine.ask(&arguments);
        let text = String::from_utf8(tail.stdout).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Reasons of the dead letters from a topic, with the places of their records, sorted; once there are so many.
    async fn dead(&self, topic: &str, count: usize) -> Vec<(String, u32, i64)> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let dead = self.dead_now(topic);
            if dead.len() >= count {
                return dead;
            }
            assert!(Instant::now() < deadline, "never seen: {count} of {dead:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn dead_now(&self, topic: &str) -> Vec<(String, u32, i64)> {
        let letters = self.tail("dlq");
        let of_topic = letters
            .iter()
            .filter(|letter| letter["source"]["topic"] == topic);
        let mut dead: Vec<_> = of_topic
            .map(|letter| {
                let place = &letter["source"];
                (
                    letter["reason"].as_str().unwrap().to_owned(),
                    place["partition"].as_u64().unwrap() as u32,
                    place["offset"].as_i64().unwrap(),
                )
            })
            .collect();
        dead.sort();
        dead
    }
}

const PLANT: &str = "kind: Source\nname: plant\ntopic: plant.telemetry\nresource: device.id\ntime: ts\nvalues: data\n";

/// A record of the plant's.
fn measured(device: &str, seconds: i64, t: f64) -> Value {
    json!({ "key": device, "value": { "device": { "id": device }, "ts": seconds * 1000, "data": { "t": t }, "batch": 7 } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_of_ones_own_is_read_in_place_over_kills() {
    let data = tempfile::tempdir().unwrap();
    let desk = Desk::open(data.path()).await;
    let applied = desk
        .apply(&format!(
            "{PLANT}---\nkind: Rule\nname: hot\nfor: all\nwhen: t > 90.0\n"
        ))
        .await;
    assert_eq!(applied[0]["outcome"], "created");
    assert_eq!(applied[0]["parts"], json!(["reading: new"]));
    let again = desk.apply(PLANT).await;
    assert_eq!(again[0]["outcome"], "unchanged");

    let records = (0..20).map(|n| measured(&format!("d{}", n % 5), 100 + n, 80.0 + n as f64));
    desk.produce("plant.telemetry", records.collect()).await;
    let twin = desk.twin("d4", 4).await;
    assert_eq!(twin["metrics"]["t"]["value"], 99.0);
    assert!(twin["metrics"].get("batch").is_none(), "{twin}");
    // Results name the record of the user's topic as their cause.
    let raised = desk.tail("results");
    let raised: Vec<_> = raised
        .iter()
        .filter(|line| line["kind"] == "raised")
        .collect();
    let cause = raised[0]["cause"][0].as_str().unwrap().to_owned();
    assert!(cause.starts_with("plant.telemetry/"), "{cause}");

    // A kill loses nothing and repeats nothing; what comes meanwhile is read afterwards.
    desk.engine.kill();
    let desk = Desk::open(data.path()).await;
    desk.twin("d4", 4).await;
    desk.produce("plant.telemetry", json!([measured("d4", 130, 70.0)]))
        .await;
    desk.twin("d4", 5).await;
    let stopped = desk.engine.stop();
    assert!(stopped.success());
    let desk = Desk::open(data.path()).await;
    desk.twin("d4", 5).await;
    let listed = desk.engine.ask(&["get", "sources"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    let line = listed.lines().nth(1).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(
        words,
        [
            "plant",
            "plant.telemetry",
            "json",
            "in",
            "place",
            "0",
            "1",
            "-"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_used_is_a_dead_letter_and_never_a_stall() {
    let data = tempfile::tempdir().unwrap();
    let desk = Desk::open(data.path()).await;
    desk.apply(PLANT).await;
    let partition = partition_of(b"d1", 4);
    let elsewhere = (partition + 1) % 4;
    let at = |value: Value| json!({ "key": "d1", "value": value });
    let places = desk
        .produce(
            "plant.telemetry",
            json!([
                at(Value::Null),
                at(json!("{\"device\":")),
                at(json!({ "device": { "id": "d1" }, "ts": "soon", "data": {} })),
                { "value": { "ts": 1, "data": { "t": 1.0 } }, "partition": partition },
                { "key": "d1", "value": measured("d1", 1, 1.0)["value"], "partition": elsewhere },
                // Headers of ours mean nothing in a topic of the user's.
                { "key": "d1", "value": measured("d1", 1, 1.0)["value"], "headers": { "tg-kind": "command", "tg-once": "a" } },
                { "key": "d1", "value": measured("d1", 2, 2.0)["value"], "headers": { "tg-once": "a" } },
            ]),
        )
        .await;
    desk.twin("d1", 2).await;
    desk.caught_up("plant").await;
    let dead = desk.dead("plant.telemetry", 5).await;
    let reasons: Vec<&str> = dead.iter().map(|(reason, ..)| reason.as_str()).collect();
    assert!(reasons[0].starts_with("a tombstone"), "{reasons:?}");
    assert!(
        reasons[1].starts_with("element 0: `ts`: `soon`"),
        "{reasons:?}"
    );
    assert!(
        reasons[2].starts_with("element 0: no resource: neither `device.id` nor a key"),
        "{reasons:?}"
    );
    assert!(reasons[3].contains("belongs to partition"), "{reasons:?}");
    assert!(reasons[4].starts_with("not JSON"), "{reasons:?}");
    assert_eq!(dead.len(), 5);
    let mut found: Vec<_> = dead.iter().map(|(_, p, o)| (*p, *o)).collect();
    found.sort_unstable();
    let mut expected: Vec<_> = places.as_array().unwrap()[..5]
        .iter()
        .map(|place| {
            (
                place["partition"].as_u64().unwrap() as u32,
                place["offset"].as_i64().unwrap(),
            )
        })
        .collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_are_changed_and_deleted() {
    let data = tempfile::tempdir().unwrap();
    let desk = Desk::open(data.path()).await;
    desk.apply(PLANT).await;
    desk.produce("plant.telemetry", json!([measured("d1", 1, 1.0)]))
        .await;
    desk.twin("d1", 1).await;

    // Another mapping from here on; the reading goes on where it is.
    let changed = PLANT.replace("values: data", "values: data.inner");
    let applied = desk.apply(&changed).await;
    assert_eq!(applied[0]["parts"], json!(["reading: kept"]));
    let record = json!({ "key": "d1", "value": { "device": { "id": "d1" }, "ts": 2000, "data": { "inner": { "u": 2.0 } } } });
    desk.produce("plant.telemetry", json!([record])).await;
    let twin = desk.twin("d1", 2).await;
    assert_eq!(twin["metrics"]["u"]["value"], 2.0);

    // Two sources of one topic are refused, so is a topic of ours.
    let other = PLANT.replace("name: plant", "name: other");
    assert!(
        desk.refused(&other)
            .await
            .contains("is read by the source `plant`")
    );
    let ours = PLANT.replace("plant.telemetry", "tidegate.results");
    assert!(desk.refused(&ours).await.contains("topic of the engine"));
    let spoils = "kind: Rule\nname: w\nfor: all\nwhen: u > 0\nthen: [ { topic: { name: tidegate.journal } } ]";
    let why = desk.refused(spoils).await;
    assert!(why.contains("then[0].topic.name") && why.contains("topic of the engine"));
    let (status, _) = desk
        .post(
            "/v1/topics/tidegate.inbox/records",
            "application/json",
            r#"{"records":[]}"#.into(),
        )
        .await;
    assert_eq!(status, 400);
    let (status, _) = desk
        .post("/v1/topics/nobody.knows/records", "text/plain", "x".into())
        .await;
    assert_eq!(status, 404);

    // Gone: what comes is not read. Back from the latest: still not. Anew from the earliest: all of it, once more.
    let deleted = desk.engine.ask(&["delete", "source", "plant"]);
    assert_eq!(
        String::from_utf8(deleted.stdout).unwrap(),
        "source/plant deleted\n"
    );
    desk.produce("plant.telemetry", json!([measured("d1", 3, 3.0)]))
        .await;
    desk.apply(PLANT).await;
    desk.produce("plant.telemetry", json!([measured("d1", 4, 4.0)]))
        .await;
    desk.twin("d1", 3).await;
    desk.engine.ask(&["delete", "source", "plant"]);
    desk.apply(&format!("{PLANT}from: earliest\n")).await;
    desk.twin("d1", 7).await;
    // All of it is history that a restart replays, the jumps included.
    desk.engine.kill();
    let desk = Desk::open(data.path()).await;
    desk.twin("d1", 7).await;
    desk.produce("plant.telemetry", json!([measured("d1", 5, 5.0)]))
        .await;
    desk.twin("d1", 8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cloudevents_and_line_protocol_are_read_in_place() {
    let data = tempfile::tempdir().unwrap();
    let desk = Desk::open(data.path()).await;
    desk.apply("kind: Source\nname: cloud\ntopic: cloud\nformat: cloudevents\n---\nkind: Source\nname: lines\ntopic: lines\nformat: influx\nresource: room\nprecision: s\n").await;
    let envelope = json!({ "specversion": "1.0", "id": "e1", "source": "/x", "type": "t", "subject": "c1", "time": "2026-01-01T00:00:00Z", "data": { "t": 1.5 } });
    desk.produce(
        "cloud",
        json!([
            { "key": "c1", "value": envelope },
            { "key": "c1", "value": { "t": 2.5 }, "headers": { "ce_specversion": "1.0", "ce_id": "e2", "ce_subject": "c1", "ce_time": "2026-01-01T00:00:01Z" } },
        ]),
    )
    .await;
    let twin = desk.twin("c1", 2).await;
    assert_eq!(twin["metrics"]["t"]["value"], 2.5);
    assert_eq!(twin["latest"], "2026-01-01T00:00:01.000Z");
    let (status, answer) = desk
        .post(
            "/v1/topics/lines/records?key=r1",
            "text/plain",
            "climate,room=r1,site=gent t=21.5,rh=40i 1767225600\nclimate,room=r1 t=oops\n".into(),
        )
        .await;
    assert_eq!(status, 200, "{answer}");
    let twin = desk.twin("r1", 1).await;
    assert_eq!(twin["metrics"]["climate.rh"]["value"], 40.0);
    assert_eq!(twin["labels"]["site"], "gent");
    desk.caught_up("lines").await;
    let dead = desk.dead("lines", 1).await;
    assert_eq!(
        dead[0].0,
        "element 1: line 2, column 19: `oops` is not a value: a number, `1i`, `true` or `\"text\"`"
    );
}
