//! The log on Kafka against librdkafka's own mock cluster, which needs no broker: repeats of what failed, brokers that go and
//! come back, and shards that move between members. Transactions and fencing the mock does not have: `transactions.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use tidegate::log::KafkaLog;
use tidegate::log::kafka::{Delivery, KafkaSettings, Ownership};
use tidegate::standby::StandbyPlan;
use tidegate::workers::{WorkerShard, WorkerView};
use tidegate_actors::port::{EventLog as _, PortErrorKind, ReadLimit, TopicPartition};
use tidegate_proto::record::{Record, Topic};
use tidegate_proto::time::Span;
use tokio::sync::mpsc::Receiver;

const INBOX: &str = "mock.inbox";
const SHARDS: u32 = 4;
const PATIENCE: Duration = Duration::from_secs(60);

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster() -> Cluster {
    let cluster = Cluster::new(3).unwrap();
    let partitions = i32::try_from(SHARDS).unwrap();
    cluster.create_topic(INBOX, partitions, 3).unwrap();
    cluster
}

fn open(cluster: &Cluster) -> KafkaLog {
    let settings = KafkaSettings {
        brokers: cluster.bootstrap_servers(),
        group: "mock".into(),
        instance: None,
        session_timeout: Span(3_000),
        revoke_timeout: Span(2_000),
        replication: 1,
        queue_records: 1_000,
        queue_bytes: 1 << 20,
        record_bytes: 1 << 20,
        delivery: Delivery::Identified,
        transaction_timeout: Span(60_000),
        properties: BTreeMap::new(),
    };
    KafkaLog::open(settings).unwrap()
}

fn place(partition: u32) -> TopicPartition {
    TopicPartition {
        topic: Topic::from(INBOX),
        partition,
    }
}

fn record(number: usize) -> Record {
    Record::new("key".as_bytes().to_vec(), number.to_string().into_bytes())
}

/// As many records as that from a number on, so long that a request does not take many of them.
fn long(numbers: std::ops::Range<usize>) -> Vec<Record> {
    let body = |number: usize| format!("{number:>2000}").into_bytes();
    let records = numbers.map(|number| Record::new("key".as_bytes().to_vec(), body(number)));
    records.collect()
}

/// The bodies of a partition.
async fn bodies(log: &KafkaLog, of: &TopicPartition, count: usize) -> Vec<String> {
    let limit = ReadLimit {
        records: 1_000,
        bytes: 1 << 20,
    };
    let mut bodies: Vec<String> = Vec::new();
    while bodies.len() < count {
        let at = i64::try_from(bodies.len()).unwrap();
        let slice = log.read(of, at, limit).await.unwrap();
        for entry in slice.entries {
            assert_eq!(entry.offset, i64::try_from(bodies.len()).unwrap());
            let body = entry.record.value.unwrap_or_default();
            bodies.push(String::from_utf8(body.to_vec()).unwrap());
        }
    }
    bodies
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_for_a_moment_is_written_again_once_and_in_order() {
    let cluster = cluster();
    let log = open(&cluster);
    let to = place(0);
    assert_eq!(log.append(&to, vec![record(0)]).await.unwrap(), 0);
    for (number, error) in [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
    ]
    .into_iter()
    .enumerate()
    {
        cluster.request_errors(RDKafkaApiKey::Produce, &[error, error]);
        let records = vec![record(2 * number + 1), record(2 * number + 2)];
        let appended = log.append(&to, records).await;
        let first = i64::try_from(2 * number + 1).unwrap();
        assert_eq!(appended.unwrap(), first, "after {error:?}");
    }
    let written: Vec<String> = (0..9).map(|number| number.to_string()).collect();
    assert_eq!(bodies(&log, &to, 9).await, written);
    log.close().await.unwrap();
}

/// A stream of events has several batches under way, and a large one is several requests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_stand_in_the_order_in_which_they_were_begun() {
    let cluster = cluster();
    let log = open(&cluster);
    let to = place(3);
    let append = |batch| log.append(&to, long(batch));
    let firsts = tokio::join!(
        append(0..250),
        append(250..251),
        append(251..300),
        append(300..303)
    );
    let firsts = [firsts.0, firsts.1, firsts.2, firsts.3];
    assert_eq!(firsts.map(Result::unwrap), [0, 250, 251, 300]);
    let bodies = bodies(&log, &to, 303).await;
    let numbers = bodies
        .iter()
        .map(|body| body.trim().parse::<usize>().unwrap());
    assert!(numbers.eq(0_usize..303));
    log.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_for_good_is_told() {
    let cluster = cluster();
    let log = open(&cluster);
    let to = place(1);
    log.append(&to, vec![record(0)]).await.unwrap();
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::Produce, &[refused]);
    let told = log.append(&to, vec![record(1)]).await.unwrap_err();
    assert_ne!(told.kind, PortErrorKind::Closed, "{told}");
    // Whoever asks again gets a fresh producer.
    let again = log.append(&to, vec![record(2)]).await.unwrap();
    assert_eq!(again, 1);
    assert_eq!(bodies(&log, &to, 2).await, ["0", "2"]);
    log.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_waits_for_brokers_that_are_gone() {
    let cluster = cluster();
    let log = open(&cluster);
    let to = place(2);
    log.append(&to, vec![record(0)]).await.unwrap();
    for broker in 1..=3 {
        cluster.broker_down(broker).unwrap();
    }
    let mut waiting = Box::pin(log.append(&to, vec![record(1)]));
    let early = tokio::time::timeout(Duration::from_millis(1_500), &mut waiting).await;
    assert!(early.is_err(), "nobody could have taken it: {early:?}");
    for broker in 1..=3 {
        cluster.broker_up(broker).unwrap();
    }
    let offset = tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    assert_eq!(offset.unwrap(), 1);
    assert_eq!(bodies(&log, &to, 2).await, ["0", "1"]);
    log.close().await.unwrap();
}

/// What a member has, by what it is told; whatever it is told to let go it lets go at once.
struct Told {
    changes: Receiver<Ownership>,
    has: BTreeSet<u32>,
    /// Every shard that it ever lost.
    lost: BTreeSet<u32>,
}

impl Told {
    async fn until(&mut self, count: usize) {
        while self.has.len() != count {
            let change = tokio::time::timeout(PATIENCE, self.changes.recv()).await;
            match change.expect("the group comes to an end").unwrap() {
                Ownership::Assigned(shards) => self.has.extend(shards),
                Ownership::Revoked { shards, done, .. } => {
                    for shard in shards {
                        assert!(self.has.remove(&shard));
                        self.lost.insert(shard);
                    }
                    done.send(()).unwrap();
                }
            }
        }
    }
}

fn join(log: &KafkaLog, worker: &str) -> Told {
    Told {
        changes: log.join(&Topic::from(INBOX), worker).unwrap(),
        has: BTreeSet::new(),
        lost: BTreeSet::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_move_between_members_and_those_that_stay_are_not_touched() {
    let cluster = cluster();
    let (first, second) = (open(&cluster), open(&cluster));
    let mut a = join(&first, "a");
    a.until(SHARDS as usize).await;
    let mut b = join(&second, "b");
    a.until(2).await;
    b.until(2).await;
    assert!(a.has.is_disjoint(&b.has));
    // Two went, two were never taken away.
    assert_eq!((a.lost.len(), b.lost.len()), (2, 0));
    assert_eq!(a.lost, b.has);

    let leaving = tokio::spawn(async move { second.leave().await });
    b.until(0).await;
    a.until(SHARDS as usize).await;
    leaving.await.unwrap().unwrap();
    assert_eq!(a.lost.len(), 2, "what stayed was not touched again");
    let leaving = tokio::spawn(async move { first.leave().await });
    a.until(0).await;
    leaving.await.unwrap().unwrap();
}

fn view(name: &str, told: &Told) -> WorkerView {
    let shard = |shard: &u32| WorkerShard {
        shard: *shard,
        ..WorkerShard::default()
    };
    WorkerView {
        name: name.into(),
        shards: told.has.iter().map(shard).collect(),
        ..WorkerView::default()
    }
}

/// Standbys count on this: what a member leaves is given one by one to whoever has fewest. (In which order equal ones come
/// a mock cannot say: its members are named by chance, not by their clients. `standby.rs` has a real broker.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_member_leaves_is_spread_as_standbys_count_on() {
    let names = ["a", "b", "c"];
    let cluster = cluster();
    let logs: Vec<Arc<KafkaLog>> = names.map(|_| Arc::new(open(&cluster))).into();
    let mut a = join(&logs[0], names[0]);
    a.until(4).await;
    let mut b = join(&logs[1], names[1]);
    a.until(2).await;
    b.until(2).await;
    let mut c = join(&logs[2], names[2]);
    // One of the two gives one away; which is the group's business.
    tokio::select! { () = a.until(1) => {}, () = b.until(1) => {} }
    c.until(1).await;
    let mut told = [a, b, c];
    let views: Vec<WorkerView> = names
        .iter()
        .zip(&told)
        .map(|(name, told)| view(name, told))
        .collect();
    let going = told.iter().position(|told| told.has.len() == 2).unwrap();
    let had = told[going].has.clone();
    let log = Arc::clone(&logs[going]);
    let left = tokio::spawn(async move { log.leave().await });
    told[going].until(0).await;
    for place in (0..3).filter(|place| *place != going) {
        let lost = told[place].lost.clone();
        told[place].until(2).await;
        let followed = StandbyPlan::default().next(names[place], &views, (1, 100));
        let given = &told[place].has & &had;
        let followed = &followed & &had;
        let name = names[place];
        assert_eq!((given.len(), followed.len()), (1, 1), "given to {name}");
        assert_eq!(told[place].lost, lost, "{name} loses nothing");
    }
    left.await.unwrap().unwrap();
}
