//! [`each_record`]: a plain consumer of a whole topic, by `poll` or in batches.
#![allow(
    unsafe_code,
    reason = "the yardstick that takes records in batches needs librdkafka's batch call, which has no safe wrapper"
)]

use std::time::Duration;

use rdkafka::bindings as native;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::Failure;

/// Most messages that one call brings.
const MOST: usize = 4_096;
const WAIT: Duration = Duration::from_millis(50);

/// How records are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// One by one.
    Poll,
    /// As many as there are.
    Batch,
}

/// Reads a topic from its beginning, record by record, until the visitor says that it has enough. It sees the body of each,
/// or nothing when nothing came for a moment.
pub(crate) fn each_record(
    config: &ClientConfig,
    topic: &str,
    take: Take,
    mut visit: impl FnMut(Option<&[u8]>) -> bool,
) -> Result<(), Failure> {
    let consumer = consumer(config, topic).map_err(|error| format!("reading {topic}: {error}"))?;
    match take {
        Take::Poll => loop {
            let goes_on = match consumer.poll(WAIT) {
                None => visit(None),
                Some(Ok(message)) => visit(Some(message.payload().unwrap_or_default())),
                Some(Err(error)) => return Err(format!("reading {topic}: {error}")),
            };
            if !goes_on {
                return Ok(());
            }
        },
        Take::Batch => each_of_batches(&consumer, topic, &mut visit),
    }
}

fn consumer(
    config: &ClientConfig,
    topic: &str,
) -> Result<BaseConsumer, rdkafka::error::KafkaError> {
    let mut config = config.clone();
    let consumer: BaseConsumer = config
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        // By default a consumer that is faster than the broker waits a second for more.
        .set("fetch.queue.backoff.ms", "2")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(20))?;
    let mut list = TopicPartitionList::new();
    for partition in metadata
        .topics()
        .iter()
        .flat_map(|topic| topic.partitions())
    {
        list.add_partition_offset(topic, partition.id(), Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    Ok(consumer)
}

fn each_of_batches(
    consumer: &BaseConsumer,
    topic: &str,
    visit: &mut impl FnMut(Option<&[u8]>) -> bool,
) -> Result<(), Failure> {
    // SAFETY: the client is alive; the answer is a reference of our own, or null.
    let queue = unsafe { native::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
    if queue.is_null() {
        return Err(format!("reading {topic}: the client has no queue"));
    }
    let mut messages = vec![std::ptr::null_mut(); MOST];
    let wait = i32::try_from(WAIT.as_millis()).unwrap_or(i32::MAX);
    let mut goes_on = true;
    let mut failed = None;
    while goes_on && failed.is_none() {
        // The batch call waits until the batch is full, so the first message is waited for alone.
        // SAFETY: the queue is ours; the answer is null or a message that is ours to destroy.
        let first = unsafe { native::rd_kafka_consume_queue(queue, wait) };
        if first.is_null() {
            goes_on = visit(None);
            continue;
        }
        messages[0] = first;
        // SAFETY: there is room for `MOST - 1` behind the first; the call says how many it wrote.
        let more = unsafe {
            native::rd_kafka_consume_batch_queue(queue, 0, messages.as_mut_ptr().add(1), MOST - 1)
        };
        let count = 1 + usize::try_from(more).unwrap_or(0).min(MOST - 1);
        for message in &messages[..count] {
            // SAFETY: a message that librdkafka gave us; its payload lives as long as it does.
            let raw = unsafe { &**message };
            if raw.err == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                let body: &[u8] = if raw.payload.is_null() {
                    &[]
                } else {
                    // SAFETY: as above.
                    unsafe { std::slice::from_raw_parts(raw.payload.cast::<u8>(), raw.len) }
                };
                goes_on = goes_on && visit(Some(body));
            } else {
                failed = Some(format!("reading {topic}: {:?}", raw.err));
            }
            // SAFETY: given back once.
            unsafe { native::rd_kafka_message_destroy(*message) };
        }
    }
    // SAFETY: our own reference, given back once, while the consumer is still there.
    unsafe { native::rd_kafka_queue_destroy(queue) };
    failed.map_or(Ok(()), Err)
}
