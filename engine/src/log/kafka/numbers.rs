//! [`Numbers`]: what the librdkafka clients that write, and the one in the group, say of themselves every few seconds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::Statistics;

/// Silence after which a client is taken for gone.
const GONE: Duration = Duration::from_secs(30);

/// What one client says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientNumbers {
    /// What it is for: `producer`, `publisher-SHARD`, `member`.
    pub client: String,
    /// Records that wait for the brokers.
    pub queued_records: u64,
    /// Their bytes.
    pub queued_bytes: u64,
    /// Records sent.
    pub sent_records: u64,
    /// Bytes sent, requests and all.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Requests that were repeated.
    pub retries: u64,
    /// Requests that no answer came to.
    pub timeouts: u64,
    /// 99th percentile of the round trips to the slowest broker, seconds, of the last seconds.
    pub round_trip: f64,
}

type Told = BTreeMap<String, (Instant, ClientNumbers)>;

/// What all clients said last; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers(Arc<Mutex<Told>>);

impl Numbers {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a client says.
    pub(super) fn tell(&self, client: &str, said: &Statistics) {
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        let brokers = || said.brokers.values();
        let slowest = brokers().filter_map(|broker| broker.rtt.as_ref());
        let slowest = slowest.map(|rtt| rtt.p99).max().unwrap_or(0);
        let numbers = ClientNumbers {
            client: client.to_owned(),
            queued_records: said.msg_cnt,
            queued_bytes: said.msg_size,
            sent_records: count(said.txmsgs),
            sent_bytes: count(said.tx_bytes),
            received_bytes: count(said.rx_bytes),
            retries: brokers().map(|broker| broker.txretries).sum(),
            timeouts: brokers().map(|broker| broker.req_timeouts).sum(),
            round_trip: slowest as f64 / 1e6,
        };
        self.told()
            .insert(client.to_owned(), (Instant::now(), numbers));
    }

    /// What was said last, of those that still speak.
    pub(super) fn all(&self) -> Vec<ClientNumbers> {
        let mut told = self.told();
        told.retain(|_, (at, _)| at.elapsed() < GONE);
        told.values().map(|(_, numbers)| numbers.clone()).collect()
    }
}
