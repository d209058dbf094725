//! [`Broker`]: the Kafka that everything goes through, and what is written to it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::Failure;
use crate::arguments::Arguments;
use crate::flow::Flow;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The Kafka that everything goes through; one of our own goes with us.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) address: String,
    own: bool,
}

impl Broker {
    /// The one that is named, or one of our own.
    pub(crate) fn at(arguments: &Arguments) -> Result<Self, Failure> {
        if let Some(address) = &arguments.broker {
            return Ok(Self {
                address: address.clone(),
                own: false,
            });
        }
        let address = script("up")?;
        Ok(Self { address, own: true })
    }

    pub(crate) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        config
    }

    /// Creates a topic that keeps everything.
    pub(crate) fn create(&self, topic: &str, partitions: i32) -> Result<(), Failure> {
        let failed = |error: &dyn std::fmt::Display| format!("creating {topic}: {error}");
        let admin: AdminClient<DefaultClientContext> =
            self.config().create().map_err(|error| failed(&error))?;
        let new =
            NewTopic::new(topic, partitions, TopicReplication::Fixed(1)).set("retention.ms", "-1");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| failed(&error))?;
        let created = runtime
            .block_on(admin.create_topics([&new], &AdminOptions::new()))
            .map_err(|error| failed(&error))?;
        for outcome in created {
            outcome.map_err(|(_, code)| failed(&code))?;
        }
        Ok(())
    }

    /// Writes the events; with `timed`, each when it is due. Their timestamps are their own times.
    pub(crate) fn produce(&self, topic: &str, flow: &Flow, timed: bool) -> Result<(), Failure> {
        let producer: BaseProducer = self
            .config()
            .set("partitioner", "murmur2_random")
            .set("linger.ms", if timed { "1" } else { "20" })
            .set("batch.num.messages", "10000")
            .set("queue.buffering.max.messages", "200000")
            .create()
            .map_err(|error| format!("a producer: {error}"))?;
        let (mut key, mut body) = (String::new(), String::new());
        let mut next = 0;
        while next < flow.events {
            let until = if timed { flow.due_now() } else { flow.events };
            for number in next..until {
                flow.write(number, &mut key, &mut body);
                let mut record = BaseRecord::to(topic)
                    .key(key.as_str())
                    .payload(body.as_str())
                    .timestamp(flow.time(number));
                while let Err((error, again)) = producer.send(record) {
                    if error.rdkafka_error_code()
                        != Some(rdkafka::types::RDKafkaErrorCode::QueueFull)
                    {
                        return Err(format!("producing: {error}"));
                    }
                    record = again;
                    producer.poll(Duration::from_millis(1));
                }
                if number % 1_024 == 0 {
                    producer.poll(Duration::ZERO);
                }
            }
            next = until;
            if timed {
                producer.poll(Duration::ZERO);
                std::thread::sleep(Duration::from_micros(500));
            }
        }
        producer
            .flush(PATIENCE)
            .map_err(|error| format!("producing: {error}"))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.own
            && let Err(failure) = script("wipe")
        {
            eprintln!("tidegate-bench: {failure}");
        }
    }
}

/// Calls the script that brings a broker; answers with what it says last.
fn script(what: &str) -> Result<String, Failure> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/kafka/broker");
    let mine: BTreeMap<_, _> = [
        ("KAFKA_PORT", free_port().to_string()),
        ("KAFKA_DATA", folder()),
        ("KAFKA_OWNER", std::process::id().to_string()),
    ]
    .into();
    let output = Command::new(&path).arg(what).envs(mine).output();
    let output = output.map_err(|error| format!("{}: {error}", path.display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the broker did not go {what}: {}", why.trim()));
    }
    Ok(said.lines().last().unwrap_or_default().trim().to_owned())
}

fn folder() -> String {
    let folder = std::env::temp_dir().join(format!("tidegate-bench-{}", std::process::id()));
    folder.join("broker").display().to_string()
}

/// A port that is free together with the next one, where the controller listens.
fn free_port() -> u16 {
    use std::net::TcpListener;
    for _ in 0..100 {
        let Ok(first) = TcpListener::bind("127.0.0.1:0") else {
            continue;
        };
        let port = first.local_addr().map_or(0, |address| address.port());
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
    19_192
}
