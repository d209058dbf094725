//! Workers of one group on a real Kafka, and what a reader outside makes of their results.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_proto::wire::rule::v1::rule_service_client::RuleServiceClient;
use tidegate_proto::wire::rule::v1::{SubmitRequest, submit_request};

use crate::broker::{Broker, Seen};
use crate::process::{Process, client};

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(90);

/// Makes one line per event: every event has a time of its own on its device.
pub const ECHO: &str = "kind: Rule\nname: echo\nfor: all\ndisorder: 1ms\nidle: 10m\nwindow: { sliding: 1ms }\nemit: { n: last(n) }";

/// Looks until there is something to see.
///
/// # Panics
/// When there never is.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "never seen: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// An event whose time is its number, for [`ECHO`]: key and body.
pub fn event(device: &str, number: i64) -> (String, String) {
    let time = 1_000_000 + number;
    let event = json!({ "resource": device, "time": time, "values": { "n": number } });
    (device.to_owned(), event.to_string())
}

/// Workers of one group.
#[derive(Debug)]
pub struct Group<'a> {
    /// Their broker.
    pub broker: &'a Broker,
    name: &'static str,
    delivery: &'static str,
    more: Vec<(&'static str, String)>,
    folder: tempfile::TempDir,
    /// For their doors.
    pub client: reqwest::Client,
}

impl<'a> Group<'a> {
    /// A group without workers; its name is the prefix of its topics too.
    ///
    /// # Panics
    /// When no folder can be made.
    pub fn new(broker: &'a Broker, name: &'static str) -> Self {
        Self::delivering(broker, name, "identified")
    }

    /// The same with another delivery.
    ///
    /// # Panics
    /// When no folder can be made.
    pub fn delivering(broker: &'a Broker, name: &'static str, delivery: &'static str) -> Self {
        Self {
            broker,
            name,
            delivery,
            more: Vec::new(),
            folder: tempfile::tempdir().expect("a folder can be made"),
            client: client(),
        }
    }

    /// The same with one more setting of its workers.
    #[must_use]
    pub fn with(mut self, setting: &'static str, value: &str) -> Self {
        self.more.push((setting, value.to_owned()));
        self
    }

    /// Settings of its workers; snapshots are shared.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let snapshots = self.folder.path().join("snapshots");
        let mut all = vec![
            ("TIDEGATE_KAFKA__BROKERS", self.broker.address()),
            ("TIDEGATE_KAFKA__GROUP", self.name.to_owned()),
            ("TIDEGATE_KAFKA__DELIVERY", self.delivery.to_owned()),
            ("TIDEGATE_KAFKA__SESSION_TIMEOUT", "3s".to_owned()),
            (
                "TIDEGATE_SNAPSHOTS__URL",
                format!("file://{}", snapshots.display()),
            ),
            ("TIDEGATE_TOPICS__PREFIX", format!("{}.", self.name)),
            ("TIDEGATE_SHARD__SNAPSHOT_EPOCHS", "20".to_owned()),
        ];
        all.extend(self.more.iter().cloned());
        all
    }

    /// Starts a worker; its name is that of its data folder. Does not wait.
    pub fn begin(&self, worker: &str) -> Process {
        self.begin_with(worker, &[])
    }

    /// The same with settings that the others need not have.
    pub fn begin_with(&self, worker: &str, more: &[(&'static str, String)]) -> Process {
        self.begin_saying(worker, more, Stdio::inherit())
    }

    /// The same, where its log lines go somewhere else.
    pub fn begin_saying(
        &self,
        worker: &str,
        more: &[(&'static str, String)],
        says: Stdio,
    ) -> Process {
        let all = self.settings().into_iter().chain(more.iter().cloned());
        let settings: Vec<_> = all.collect();
        let settings: Vec<_> = settings.iter().map(|(n, v)| (*n, v.as_str())).collect();
        Process::start_saying(&self.folder.path().join(worker), &settings, says)
    }

    /// Where data of workers and their snapshots lie.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts a worker and waits until it is ready.
    pub async fn start(&self, worker: &str) -> Process {
        let mut process = self.begin(worker);
        process.ready(&self.client).await;
        process
    }

    /// Full name of one of its topics.
    pub fn topic(&self, kind: &str) -> String {
        format!("{}.{kind}", self.name)
    }

    /// Lines of the results topic, as a plain consumer sees them.
    ///
    /// # Panics
    /// When one is no JSON.
    pub fn results(&self) -> Vec<(Seen, Value)> {
        let seen = self.broker.records(&self.topic("results"));
        let line = |record: Seen| {
            let line = serde_json::from_str(&record.value).expect("a line is JSON");
            (record, line)
        };
        seen.into_iter().map(line).collect()
    }

    /// What one worker knows of all.
    pub async fn workers(&self, of: &Process) -> Vec<Value> {
        let url = format!("{}/v1/workers", of.url);
        let Ok(answer) = self.client.get(url).send().await else {
            return Vec::new();
        };
        let workers: Value = answer.json().await.unwrap_or_default();
        workers["items"].as_array().cloned().unwrap_or_default()
    }

    /// How many shards that are ready each worker has, by the word of one of them.
    pub async fn shares(&self, of: &Process) -> Vec<usize> {
        let workers = self.workers(of).await;
        let ready = |worker: &Value| {
            let shards = worker["shards"].as_array().into_iter().flatten();
            shards.filter(|shard| shard["phase"] == "Ready").count()
        };
        let counts = workers.iter().map(ready);
        counts.filter(|count| *count > 0).collect()
    }
}

/// Submits a rule over gRPC.
///
/// # Panics
/// When it is not accepted.
pub async fn submit(engine: &Process, document: &str) {
    let mut rules = RuleServiceClient::connect(engine.url.clone())
        .await
        .expect("the engine listens");
    let request = SubmitRequest {
        rule: Some(submit_request::Rule::Document(document.to_owned())),
        ..SubmitRequest::default()
    };
    rules.submit(request).await.expect("the rule is accepted");
}

/// Lines with those dropped whose id is at or below the shard's last one, as a reader outside does it; and how many were.
///
/// # Panics
/// When a line has no id of ours, or one of another shard.
pub fn once(results: &[(Seen, Value)]) -> (Vec<Value>, usize) {
    let mut last: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
    let (mut lines, mut repeated) = (Vec::new(), 0);
    for (record, line) in results {
        let id = record.headers.iter().find(|(name, _)| name == "ce_id");
        let (_, id) = id.expect("a line has an id");
        let parts: Vec<u64> = id
            .split('-')
            .map(|part| part.parse().expect("an id has numbers"))
            .collect();
        let [shard, epoch, sequence] = parts[..] else {
            panic!("{id} is no id of ours");
        };
        let shard = i64::try_from(shard).expect("a shard is small");
        assert_eq!(i64::from(record.partition), shard);
        if last
            .get(&shard)
            .is_some_and(|last| *last >= (epoch, sequence))
        {
            repeated += 1;
            continue;
        }
        last.insert(shard, (epoch, sequence));
        lines.push(line.clone());
    }
    (lines, repeated)
}
