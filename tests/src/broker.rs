//! A real Apache Kafka for tests, brought and started by `tests/kafka/broker`, and plain clients that know nothing of the
//! engine. A machine without Java or Maven leaves these tests out and says so; in CI they fail there: a lane that is silently
//! left out proves nothing.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};

/// Longest wait for an answer of the broker.
const PATIENCE: Duration = Duration::from_secs(20);

/// A broker of our own on a port of its own; its data goes with it.
#[derive(Debug)]
pub struct Broker {
    port: u16,
    data: tempfile::TempDir,
}

/// A record as a plain consumer sees it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Key.
    pub key: String,
    /// Body.
    pub value: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
}

impl Broker {
    /// Starts a broker where one can be had. Elsewhere says loudly that there is none, and fails in CI (`CI` is set).
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn at_hand() -> Option<Self> {
        let answers = |tool: &str| Command::new(tool).arg("-version").output().is_ok();
        if std::env::var_os("CI").is_some() || (answers("java") && answers("mvn")) {
            return Some(Self::start());
        }
        let said = b"\nNOT TESTED: no real Kafka without Java and Maven (Debian: default-jdk-headless, maven)\n\n";
        // Straight to the terminal: what a test that passes prints is not shown.
        let _ = std::io::stderr().write_all(said);
        None
    }

    /// Starts a broker and waits until it answers.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start() -> Self {
        let broker = Self {
            port: free_port(),
            data: tempfile::tempdir().expect("a folder can be made"),
        };
        broker.ask("up");
        broker
    }

    fn ask(&self, what: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("kafka/broker");
        let output = Command::new(script)
            .arg(what)
            .env("KAFKA_PORT", self.port.to_string())
            .env("KAFKA_DATA", self.folder())
            // A test that is killed leaves no broker behind.
            .env("KAFKA_OWNER", std::process::id().to_string())
            .output()
            .expect("the script can be called");
        assert!(
            output.status.success(),
            "the broker did not go {what}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn folder(&self) -> PathBuf {
        self.data.path().join("broker")
    }

    /// `kill -9`.
    pub fn kill(&self) {
        self.ask("kill");
    }

    /// Starts it again on the same data.
    pub fn up(&self) {
        self.ask("up");
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.address());
        config
    }

    /// Produces records with keys, partitioned as Java's clients do, and waits for all of them.
    ///
    /// # Panics
    /// When the broker does not take them.
    pub fn produce(&self, topic: &str, records: &[(String, String)]) {
        let producer: BaseProducer = self
            .config()
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "5")
            .create()
            .expect("a producer can be made");
        for (key, value) in records {
            let record = BaseRecord::to(topic).key(key).payload(value);
            let mut left = producer.send(record);
            while let Err((_, record)) = left {
                producer.poll(Duration::from_millis(10));
                left = producer.send(record);
            }
        }
        producer.flush(PATIENCE).expect("the broker takes records");
    }

    /// Creates a topic with settings.
    ///
    /// # Panics
    /// When the broker does not.
    pub async fn create(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> =
            self.config().create().expect("a client can be made");
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        for (name, value) in settings {
            new = new.set(name, value);
        }
        let created = admin.create_topics([&new], &AdminOptions::new());
        let created = created.await.expect("the broker answers");
        for outcome in created {
            outcome.expect("the topic is created");
        }
    }

    /// Produces numbered events of twenty devices until told to stop, at so many a second; nothing is lost or repeated on
    /// the way to the broker.
    pub fn load(&self, topic: &str, rate: u64) -> Load {
        let producer: BaseProducer = self
            .config()
            .set("partitioner", "murmur2_random")
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", "0")
            .set("linger.ms", "5")
            .create()
            .expect("a producer can be made");
        let stop = Arc::new(AtomicBool::new(false));
        let (topic, stopping) = (topic.to_owned(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut next = 1_i64;
            while !stopping.load(Ordering::Acquire) {
                for _ in 0..(rate / 50).max(1) {
                    let (key, value) = crate::group::event(&format!("d{}", next % 20), next);
                    while producer
                        .send(BaseRecord::to(&topic).key(&key).payload(&value))
                        .is_err()
                    {
                        producer.poll(Duration::from_millis(10));
                    }
                    next += 1;
                }
                producer.poll(Duration::from_millis(20));
            }
            producer.flush(PATIENCE * 3).expect("the broker takes all");
            next
        });
        Load { stop, thread }
    }

    /// Everything that a topic holds now, by partition and offset; only what was committed.
    ///
    /// # Panics
    /// When the broker does not answer.
    pub fn records(&self, topic: &str) -> Vec<Seen> {
        let consumer: BaseConsumer = self
            .config()
            .set("group.id", "plain")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .create()
            .expect("a consumer can be made");
        let metadata = consumer
            .fetch_metadata(Some(topic), PATIENCE)
            .expect("the broker answers");
        let count = metadata
            .topics()
            .first()
            .map_or(0, |t| t.partitions().len());
        let mut list = TopicPartitionList::new();
        for partition in 0..i32::try_from(count).unwrap_or(0) {
            list.add_partition_offset(topic, partition, Offset::Beginning)
                .expect("a partition can be read");
        }
        consumer.assign(&list).expect("partitions can be assigned");
        let (mut seen, mut ended) = (Vec::new(), 0);
        let deadline = Instant::now() + PATIENCE;
        while ended < count {
            assert!(Instant::now() < deadline, "{topic} has no end");
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => seen.push(Seen {
                    partition: message.partition(),
                    offset: message.offset(),
                    key: text(message.key()),
                    value: text(message.payload()),
                    headers: message.headers().map_or_else(Vec::new, |headers| {
                        headers
                            .iter()
                            .map(|header| (header.key.to_owned(), text(header.value)))
                            .collect()
                    }),
                }),
                Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => ended += 1,
                Some(Err(_)) | None => {}
            }
        }
        seen.sort_by_key(|record| (record.partition, record.offset));
        seen
    }
}

/// A load that runs.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<i64>,
}

impl Load {
    /// Stops it; answers with the number that would have come next, when the broker has all before it.
    ///
    /// # Panics
    /// When the broker does not take them.
    pub fn finish(self) -> i64 {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("the load ends well")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.ask("wipe");
    }
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
}

/// A port that is free together with the next one, where the broker's controller listens.
fn free_port() -> u16 {
    for _ in 0..100 {
        let first = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = first.local_addr().expect("a socket has an address").port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
    panic!("no two ports side by side are free");
}
