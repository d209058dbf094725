//! Transactional delivery on a real Apache Kafka, looked at by plain clients that read only what is committed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use tidegate::log::kafka::{Delivery, KafkaLog, KafkaSettings};
use tidegate_actors::port::{EventLog as _, PortError, Publication, TopicPartition};
use tidegate_proto::record::Record;
use tidegate_proto::time::Span;
use tidegate_tests::broker::Broker;
use tidegate_tests::group::{ECHO, Group, event, eventually, once, submit};

const WAIT: Duration = Duration::from_secs(20);
const TOPICS: [&str; 3] = ["z.inbox", "z.journal", "z.results"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_real_broker() {
    let Some(broker) = Broker::at_hand() else {
        return;
    };
    for topic in TOPICS {
        broker.create(topic, 1, &[]).await;
    }
    zombies(&broker).await;
    killed(&broker).await;
}

fn place(topic: &str) -> TopicPartition {
    TopicPartition {
        topic: topic.into(),
        partition: 0,
    }
}

/// A log as a worker has it.
fn open(broker: &Broker) -> KafkaLog {
    let log = KafkaLog::open(KafkaSettings {
        brokers: broker.address(),
        group: "z".into(),
        instance: None,
        session_timeout: Span(6_000),
        revoke_timeout: Span(1_000),
        replication: 1,
        queue_records: 1_000,
        queue_bytes: 1 << 20,
        record_bytes: 1 << 20,
        delivery: Delivery::Transactional,
        transaction_timeout: Span(60_000),
        properties: BTreeMap::new(),
    });
    let log = log.unwrap();
    // Who would be told of shards is not there, so nobody waits for it.
    drop(log.join(&TOPICS[0].into(), "z").unwrap());
    log
}

async fn publish(log: &KafkaLog, epoch: i64, text: &str) -> Result<(), PortError> {
    let record = Record::new("k", text.to_owned());
    let publication = Publication {
        records: vec![(place(TOPICS[2]), vec![record])],
        group: "tidegate".into(),
        offsets: vec![(place(TOPICS[0]), epoch * 10)],
        marker: Some((place(TOPICS[1]), epoch)),
    };
    log.publish(publication).await
}

async fn published(log: &KafkaLog) -> Option<i64> {
    log.committed("tidegate", &place(TOPICS[1])).await.unwrap()
}

fn committed(broker: &Broker) -> Vec<String> {
    let records = broker.records(TOPICS[2]).into_iter();
    records.map(|record| record.value).collect()
}

/// The same id by hand, stopped where it hurts most.
fn frozen(broker: &Broker) -> BaseProducer {
    let frozen: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker.address())
        .set("transactional.id", "z.shard-0")
        .create()
        .unwrap();
    frozen.init_transactions(WAIT).unwrap();
    frozen.begin_transaction().unwrap();
    let record = BaseRecord::to(TOPICS[2])
        .partition(0)
        .key("k")
        .payload("zombie");
    frozen.send(record).map_err(|(error, _)| error).unwrap();
    frozen.flush(WAIT).unwrap();
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker.address())
        .set("group.id", "z")
        .create()
        .unwrap();
    let mut offsets = TopicPartitionList::new();
    let mut offset = offsets.add_partition(TOPICS[0], 0);
    offset.set_offset(Offset::Offset(990)).unwrap();
    offset.set_metadata("epoch 99");
    let group = consumer.group_metadata().unwrap();
    frozen
        .send_offsets_to_transaction(&offsets, &group, WAIT)
        .unwrap();
    frozen
}

/// Owners that others have shut out publish nothing more: one before it begins, one between adding its offsets and the end
/// of its transaction.
async fn zombies(broker: &Broker) {
    let (first, second) = (open(broker), open(broker));
    let journal = place(TOPICS[1]);
    assert!(
        publish(&first, 1, "unfenced").await.is_err(),
        "without the right to"
    );
    first.fence(&journal).await.unwrap();
    assert_eq!(published(&first).await, None);
    publish(&first, 1, "one").await.unwrap();
    assert_eq!(published(&first).await, Some(1));

    let frozen = frozen(broker);
    second.fence(&journal).await.unwrap();
    assert_eq!(
        published(&second).await,
        Some(1),
        "the frozen one's is undone"
    );
    publish(&second, 2, "two").await.unwrap();
    let thawed = frozen.commit_transaction(WAIT);
    assert!(
        thawed.is_err(),
        "the end of a transaction that was taken over"
    );
    assert!(
        publish(&first, 2, "first").await.is_err(),
        "it was shut out"
    );
    assert!(publish(&first, 2, "first").await.is_err(), "and stays so");
    assert_eq!(committed(broker), ["one", "two"]);
    assert_eq!(published(&second).await, Some(2));

    // Shut out is not for ever: whoever takes over again publishes again.
    first.fence(&journal).await.unwrap();
    publish(&first, 3, "three").await.unwrap();
    assert_eq!(committed(broker), ["one", "two", "three"]);
    let began = Instant::now();
    for epoch in 4..24 {
        publish(&first, epoch, "more").await.unwrap();
    }
    println!(
        "20 transactions, one behind the other: {:?}",
        began.elapsed()
    );
    for log in [first, second] {
        log.leave().await.unwrap();
        log.close().await.unwrap();
    }
}

/// A worker is killed under load and another takes over: every event has its line, once, without dropping any.
async fn killed(broker: &Broker) {
    let group = Group::delivering(broker, "once", "transactional");
    let first = group.start("a").await;
    submit(&first, ECHO).await;
    let second = group.start("b").await;
    let load = broker.load(&group.topic("inbox"), 2_000);
    for _ in 0..2 {
        let lines = group.results().len();
        eventually("more lines", async || {
            (group.results().len() > lines + 1_000).then_some(())
        })
        .await;
    }
    first.kill();
    let lines = group.results().len();
    eventually("lines after a kill", async || {
        (group.results().len() > lines + 6_000).then_some(())
    })
    .await;
    let next = load.finish();
    let closing: Vec<_> = (0..20)
        .map(|n| event(&format!("d{n}"), 1_000_000_000))
        .collect();
    broker.produce(&group.topic("inbox"), &closing);
    let wanted = usize::try_from(next - 1).unwrap();
    let (lines, repeated) = eventually("a line of every event", async || {
        let (lines, repeated) = once(&group.results());
        (lines.len() >= wanted).then_some((lines, repeated))
    })
    .await;
    assert_eq!((lines.len(), repeated), (wanted, 0));
    let topic = group.topic("results");
    let tail = second.ask(&["tail", "results", "--from", "earliest", "--stop-at-end"]);
    assert!(
        tail.status.success(),
        "{topic} has no end for our own reader"
    );
    assert_eq!(
        String::from_utf8_lossy(&tail.stdout).lines().count(),
        wanted
    );
    assert!(second.stop().success());
}
