//! The real program as people run it: how it stops, what it refuses, what it counts once, what it keeps.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_tests::process::{Process, client, program};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Looks until there is something to see.
async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "never seen: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

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

    /// Posts; answers status and body.
    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
        let url = format!("{}{path}", self.engine.url);
        let mut request = self.client.post(url).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn rule(&self, document: &str) -> Value {
        let (status, answer) = self.post("/v1/rules", &[], document).await;
        assert!(matches!(status, 200 | 201), "{status}: {answer}");
        answer
    }

    /// One event with a value `t`, at seconds after 1970.
    async fn event(&self, resource: &str, seconds: i64, t: f64) {
        let event = json!({ "resource": resource, "time": seconds * 1000, "values": { "t": t } });
        let (status, answer) = self.post("/v1/events", &[], &event.to_string()).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// The twin, once it has taken so many events.
    async fn twin(&self, resource: &str, events: u64) -> Value {
        let url = format!("{}/v1/resources/{resource}", self.engine.url);
        eventually(&format!("{events} events of {resource}"), async || {
            let twin: Value = self.client.get(&url).send().await.ok()?.json().await.ok()?;
            (twin["events"].as_u64() >= Some(events)).then_some(twin)
        })
        .await
    }

    /// All lines of a topic up to now.
    fn tail(&self, topic: &str) -> Vec<Value> {
        let tail = self
            .engine
            .ask(&["tail", topic, "--from", "earliest", "--stop-at-end"]);
        assert!(tail.status.success(), "{}", said(&tail));
        let text = String::from_utf8(tail.stdout).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// All lines of a topic, once there are so many of them.
    async fn lines(&self, topic: &str, count: usize) -> Vec<Value> {
        eventually(&format!("{count} lines of {topic}"), async || {
            let lines = self.tail(topic);
            (lines.len() >= count).then_some(lines)
        })
        .await
    }

    /// What a command prints as JSON.
    fn shown(&self, arguments: &[&str]) -> Value {
        let output = self.engine.ask(&[arguments, &["-o", "json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// What a process said on standard error.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn is(line: &Value, kind: &str) -> bool {
    line["kind"] == kind
}

/// Starts an engine that must not start.
fn refused(data: &Path, settings: &[(&str, &str)]) -> String {
    let mut command = Command::new(program());
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(data);
    let output = command.envs(settings.iter().copied()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    said(&output)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_drains_and_a_start_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::open(folder.path()).await;
    let alarm = "then: [ { alarm: { severity: MAJOR } } ]";
    desk.rule(&format!(
        "kind: Rule\nname: hot\nfor: all\nwhen: t > 10.0\n{alarm}"
    ))
    .await;
    desk.rule(&format!(
        "kind: Rule\nname: held\nfor: all\nwhen: t > 5.0\nhold: 2m\n{alarm}"
    ))
    .await;
    desk.event("d1", 1_000, 11.0).await;
    let raised = desk.lines("alarms", 1).await;
    assert_eq!(raised[0]["rule"], "hot");
    // Somebody who follows does not keep the engine from stopping.
    let url = format!("{}/v1/tail/results", desk.engine.url);
    let follower = desk.client.get(url).send().await.unwrap();
    let began = Instant::now();
    assert_eq!(desk.engine.stop().code(), Some(0));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "the stop took {took:?}");
    drop(follower);
    let snapshots = std::fs::read_dir(folder.path().join("snapshots")).unwrap();
    let snapshots: Vec<String> = snapshots
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".snapshot"))
        .collect();
    assert!(!snapshots.is_empty());

    let desk = Desk::open(folder.path()).await;
    let task = desk.shown(&["get", "task", "hot/d1"]);
    assert_eq!(task["status"], "raised", "{task}");
    // Still true, so nothing is raised again; the hold that began before the stop runs out.
    desk.event("d1", 1_119, 12.0).await;
    desk.event("d1", 1_121, 12.0).await;
    let alarms = desk.lines("alarms", 2).await;
    desk.twin("d1", 3).await;
    assert_eq!(alarms.len(), 2, "{alarms:?}");
    assert_eq!(alarms[0], raised[0]);
    let held = (&alarms[1]["rule"], &alarms[1]["time"], &alarms[1]["kind"]);
    let due = "1970-01-01T00:18:40.000Z";
    assert_eq!(held, (&json!("held"), &json!(due), &json!("raised")));
    assert_eq!(desk.engine.stop().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_folder_in_use_or_of_another_make_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let name = data.display().to_string();
    let desk = Desk::open(data).await;
    let problem = refused(data, &[]);
    assert!(
        problem.contains(&name) && problem.contains("another process"),
        "{problem}"
    );
    // The one that was there first has not noticed.
    desk.event("d1", 1, 1.0).await;
    assert!(desk.engine.stop().success());

    let problem = refused(data, &[("TIDEGATE_PARTITIONS", "2")]);
    assert!(
        problem.contains(&name) && problem.contains("4 partitions"),
        "{problem}"
    );
    let format = data.join("format.json");
    let kept = std::fs::read_to_string(&format).unwrap();
    let mut other: Value = serde_json::from_str(&kept).unwrap();
    other["version"] = json!(999);
    std::fs::write(&format, other.to_string()).unwrap();
    let problem = refused(data, &[]);
    assert!(
        problem.contains(&name) && problem.contains("format 999"),
        "{problem}"
    );
    std::fs::write(&format, kept).unwrap();
    let desk = Desk::open(data).await;
    assert_eq!(desk.twin("d1", 1).await["events"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_that_a_window_drops_is_in_the_late_lane() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::open(folder.path()).await;
    desk.rule(
        "kind: Rule\nname: counts\nfor: all\ndisorder: 1s\nidle: 10m\nwindow: { tumbling: 10s }\nemit: { n: count(t) }",
    )
    .await;
    let mut rows = 0;
    for device in ["a", "b", "c"] {
        // 5, 2 and 16 come when their windows are closed; 44 is out of order, but not by too much.
        for seconds in [1, 15, 5, 30, 2, 16, 45, 44, 60, 70] {
            desk.event(device, seconds, 1.0).await;
            rows += 1;
        }
        // 1; 15; 30; 45 and 44; 60 is closed by nobody until 71.
        desk.event(device, 90, 1.0).await;
        rows += 1;
    }
    for device in ["a", "b", "c"] {
        desk.twin(device, 11).await;
    }
    // Windows of 0, 10, 30, 40, 60 and 70, and three late lines, of each device.
    let results = desk.lines("results", 27).await;
    let rare = |line: &&Value| is(line, "late");
    let told: Vec<&Value> = results.iter().filter(rare).collect();
    let late = desk.lines("late", told.len()).await;
    assert_eq!((results.len(), told.len(), late.len()), (27, 9, 9));
    let place = |line: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&line["resource"]), text(&line["time"]))
    };
    let mut told: Vec<_> = told.into_iter().map(place).collect();
    let mut kept: Vec<_> = late.iter().map(place).collect();
    told.sort();
    kept.sort();
    assert_eq!(told, kept);
    for line in &late {
        assert_eq!(
            (&line["reason"], &line["rule"]),
            (&json!("late"), &json!("counts"))
        );
        let record: Value = serde_json::from_str(line["record"].as_str().unwrap()).unwrap();
        assert_eq!(record["resource"], line["resource"]);
    }
    // Every row is in a window or in the lane; the last of each device waits in the window of 90.
    let counted: f64 = results
        .iter()
        .filter_map(|line| line["values"]["n"].as_f64())
        .sum();
    assert_eq!(counted as usize + late.len() + 3, rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_listed_shown_and_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::open(folder.path()).await;
    let bad = [
        (r#"{"resource":"q","values":{"t":1e999}}"#, "beyond"),
        (r#"{"resource":"q","values":{"t":1,"t":2}}"#, "twice"),
    ];
    for (body, _) in bad {
        // The door asks only whose it is; the shard looks at the rest.
        assert_eq!(desk.post("/v1/events", &[], body).await.0, 200);
    }
    let letters = desk.lines("dlq", 2).await;
    for (letter, (body, reason)) in letters.iter().zip(bad) {
        assert_eq!(letter["value"], body);
        assert!(
            letter["reason"].as_str().unwrap().contains(reason),
            "{letter}"
        );
    }
    assert_eq!(desk.shown(&["dlq", "list"])["items"], json!(letters));
    let id = letters[0]["id"].as_str().unwrap();
    assert_eq!(desk.shown(&["dlq", "show", id]), letters[0]);
    let none = desk.engine.ask(&["dlq", "show", "0:999999"]);
    assert_eq!(none.status.code(), Some(3), "{}", said(&none));

    // Sent twice by mistake it is taken once: only one more letter stands before the next one.
    for _ in 0..2 {
        let sent = desk.engine.ask(&["dlq", "send", id]);
        assert!(sent.status.success(), "{}", said(&sent));
    }
    let next = r#"{"resource":"q","values":7}"#;
    desk.post("/v1/events", &[], next).await;
    let letters = desk.lines("dlq", 4).await;
    let values: Vec<&str> = letters
        .iter()
        .map(|letter| letter["value"].as_str().unwrap())
        .collect();
    assert_eq!(values, [bad[0].0, bad[1].0, bad[0].0, next]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_twice_counts_once_and_what_collides_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::open(folder.path()).await;
    let event = r#"{"resource":"d1","values":{"t":1}}"#;
    let key = [("idempotency-key", "meter-17")];
    let first = desk.post("/v1/events", &key, event).await;
    assert_eq!(first, (200, json!({ "accepted": 1 })));
    assert_eq!(desk.post("/v1/events", &key, event).await, first);
    desk.post("/v1/events", &[], event).await;
    assert_eq!(desk.twin("d1", 2).await["events"], 2);
    // A key is known to those who come after, too.
    desk.engine.kill();
    let desk = Desk::open(folder.path()).await;
    assert_eq!(desk.post("/v1/events", &key, event).await, first);
    desk.post("/v1/events", &[], event).await;
    assert_eq!(desk.twin("d1", 3).await["events"], 3);

    let document = "kind: Rule\nname: r\nfor: all\nwhen: t > 1.0\nthen: [ { log: { text: x } } ]";
    let created = desk.rule(document).await;
    assert_eq!(
        (&created["outcome"], &created["revision"]),
        (&json!("created"), &json!(1))
    );
    let same = desk.rule(document).await;
    assert_eq!(
        (&same["outcome"], &same["revision"]),
        (&json!("unchanged"), &json!(1))
    );
    let revised = document.replace("1.0", "2.0");
    for precondition in [("if-match", "\"7\""), ("if-none-match", "*")] {
        let (status, problem) = desk.post("/v1/rules", &[precondition], &revised).await;
        assert_eq!(
            (status, &problem["type"]),
            (412, &json!("urn:tidegate:problem:conflict"))
        );
    }
    for command in ["disable", "enable", "delete"] {
        let output = desk.engine.ask(&[command, "rule", "r", "--revision", "7"]);
        assert_eq!(
            output.status.code(),
            Some(4),
            "{command}: {}",
            said(&output)
        );
        assert!(
            said(&output).contains("expected revision 7"),
            "{}",
            said(&output)
        );
    }
    let (status, answer) = desk
        .post("/v1/rules", &[("if-match", "\"1\"")], &revised)
        .await;
    assert_eq!((status, &answer["revision"]), (200, &json!(2)), "{answer}");
    let gone = desk.engine.ask(&["delete", "rule", "r", "--revision", "2"]);
    assert!(gone.status.success(), "{}", said(&gone));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revised_threshold_keeps_its_window() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::open(folder.path()).await;
    let limit = |limit: &str| {
        format!(
            "kind: Rule\nname: mean\nfor: all\nwhen: avg(t, \"10m\") > {limit}\nthen: [ {{ alarm: {{ severity: MINOR }} }} ]"
        )
    };
    desk.rule(&limit("90.0")).await;
    desk.event("d1", 0, 80.0).await;
    desk.event("d1", 60, 90.0).await;
    desk.twin("d1", 2).await;
    let revised = desk.rule(&limit("80.0")).await;
    assert_eq!(revised["revision"], 2, "{revised}");
    assert!(revised["parts"].to_string().contains(": kept"), "{revised}");
    // 76 alone would not raise it; with what stood in the window before, the mean is 82.
    desk.event("d1", 120, 76.0).await;
    let alarms = desk.lines("alarms", 1).await;
    assert_eq!(alarms.len(), 1);
    assert_eq!(alarms[0]["kind"], "raised");
    assert_eq!(alarms[0]["time"], "1970-01-01T00:02:00.000Z");
    assert_eq!(alarms[0]["values"]["avg(t,\"10m\")"], 82.0, "{}", alarms[0]);
}

/// A call of a webhook: its `Idempotency-Key` and its body.
type Call = (String, Value);

/// The other side of a webhook: tells of every call, refuses the first, never answers the second, takes all others.
async fn hook(listener: TcpListener, calls: mpsc::Sender<Call>) {
    let mut number = 0;
    while let Ok((stream, _)) = listener.accept().await {
        number += 1;
        tokio::spawn(take(stream, number, calls.clone()));
    }
}

async fn take(mut stream: TcpStream, number: u32, calls: mpsc::Sender<Call>) -> Option<()> {
    let mut read = Vec::new();
    let call = loop {
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&read);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let Ok(body) = serde_json::from_str(body) else {
            continue;
        };
        assert!(head.starts_with("POST /hook HTTP/1.1"), "{head}");
        let mut headers = head.lines().filter_map(|line| line.split_once(": "));
        let (_, key) = headers.find(|(name, _)| name.eq_ignore_ascii_case("idempotency-key"))?;
        break (key.to_owned(), body);
    };
    calls.send(call).await.ok()?;
    let status = match number {
        1 => "503 Service Unavailable",
        // Until the caller is gone.
        2 => return stream.read_buf(&mut read).await.ok().map(|_| ()),
        _ => "200 OK",
    };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.ok()
}

async fn called(calls: &mut mpsc::Receiver<Call>, kind: &str) -> Call {
    let call = tokio::time::timeout(PATIENCE, calls.recv()).await;
    let (key, body) = call.expect("the webhook is called").unwrap();
    assert_eq!(body["id"], key);
    assert_eq!(
        (&body["kind"], &body["resource"]),
        (&json!(kind), &json!("d1"))
    );
    (key, body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_is_called_again_under_the_same_key_only() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = folder.path().join("tidegate.toml");
    let address = listener.local_addr().unwrap();
    let text = format!(
        "[handlers.ops]\nurl = \"http://{address}/hook\"\nallow_private = true\nallow_http = true\nbackoff = \"50ms\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let (sender, mut calls) = mpsc::channel(100);
    tokio::spawn(hook(listener, sender));
    let settings = [("TIDEGATE_CONFIG", config.to_str().unwrap())];
    let data = folder.path().join("data");
    let desk = Desk::set(&data, &settings).await;
    desk.rule("kind: Rule\nname: hot\nfor: all\nwhen: t > 10.0\nthen: [ { handler: { use: ops, with: { text: \"${t}\" } }, on: [ raised, cleared ] } ]").await;
    desk.event("d1", 1, 11.0).await;
    // Refused for the moment, then killed in the middle: both times it comes again, as the same call.
    let first = called(&mut calls, "raised").await;
    assert_eq!(first.1["with"], json!({ "text": "11.0" }));
    assert_eq!(called(&mut calls, "raised").await, first);
    desk.engine.kill();
    let desk = Desk::set(&data, &settings).await;
    assert_eq!(called(&mut calls, "raised").await, first);
    // Killed when it was taken, maybe before that was noted.
    desk.engine.kill();
    let desk = Desk::set(&data, &settings).await;
    desk.event("d1", 2, 9.0).await;
    let (key, body) = loop {
        let call = tokio::time::timeout(PATIENCE, calls.recv()).await;
        let call = call.expect("the webhook is called").unwrap();
        if call.1["kind"] == "cleared" {
            break call;
        }
        assert_eq!(call, first);
    };
    assert_ne!(key, first.0);
    assert_eq!(body["time"], "1970-01-01T00:00:02.000Z");
    // What was settled before a clean stop is not told again; whatever still comes is one of the two.
    assert_eq!(desk.engine.stop().code(), Some(0));
    while let Ok(call) = calls.try_recv() {
        assert!(call == first || call.0 == key, "{call:?}");
    }
}
