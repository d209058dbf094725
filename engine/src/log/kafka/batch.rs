//! Taking records from librdkafka in batches: the one file of the program with `unsafe`.
//!
//! `poll` of the `rdkafka` crate costs 0.55 µs of CPU a message and does not say to which partition an error or the end of
//! a partition belongs; `rd_kafka_consume_batch_queue` costs 0.22 µs and says it. What is borrowed from librdkafka never
//! leaves [`BatchQueue::take`]: a visitor sees it and copies what it keeps.
#![allow(
    unsafe_code,
    reason = "librdkafka's batch call has no safe wrapper; measured above, kept to this file by the tidy test"
)]

use std::ffi::{CStr, c_void};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as native;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::RDKafkaRespErr;

/// Most messages that one call brings.
const MOST: usize = 4_096;

/// Something that librdkafka says of a partition.
#[derive(Debug)]
pub(super) enum Event<'a> {
    /// A record.
    Message(Message<'a>),
    /// Everything that there is was read.
    End {
        /// Where the next record will be.
        offset: i64,
    },
    /// Reading failed; it may go on by itself.
    Error {
        /// Why.
        code: RDKafkaErrorCode,
        /// The same in words.
        text: String,
    },
}

/// A record, as long as the visitor looks at it.
#[derive(Debug)]
pub(super) struct Message<'a> {
    /// Its offset.
    pub(super) offset: i64,
    /// Its timestamp in ms; -1: none.
    pub(super) timestamp: i64,
    /// Its key.
    pub(super) key: Option<&'a [u8]>,
    /// Its body.
    pub(super) value: Option<&'a [u8]>,
    raw: &'a native::rd_kafka_message_t,
}

impl<'a> Message<'a> {
    /// Shows every header, in the order written.
    pub(super) fn headers(&self, mut each: impl FnMut(&'a str, &'a [u8])) {
        let mut headers = std::ptr::null_mut();
        // SAFETY: the message is alive as long as `self`; the headers that librdkafka answers with belong to it.
        let error = unsafe { native::rd_kafka_message_headers(self.raw, &raw mut headers) };
        if error != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return;
        }
        for place in 0.. {
            let mut name = std::ptr::null();
            let mut value: *const c_void = std::ptr::null();
            let mut size = 0;
            // SAFETY: `headers` is valid (no error above); beyond the last place the call answers with an error.
            let error = unsafe {
                native::rd_kafka_header_get_all(
                    headers,
                    place,
                    &raw mut name,
                    &raw mut value,
                    &raw mut size,
                )
            };
            if error != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
                return;
            }
            // SAFETY: names are zero-terminated and live as long as the message.
            let name = unsafe { CStr::from_ptr(name) };
            if let Ok(name) = name.to_str() {
                // SAFETY: value and size are of one header that lives as long as the message.
                each(name, unsafe { bytes(value, size) }.unwrap_or_default());
            }
        }
    }
}

/// # Safety
/// `data` must be null or point to `size` bytes that live for `'a`.
unsafe fn bytes<'a>(data: *const c_void, size: usize) -> Option<&'a [u8]> {
    // SAFETY: as the caller promises.
    (!data.is_null()).then(|| unsafe { std::slice::from_raw_parts(data.cast::<u8>(), size) })
}

/// The queue of a consumer that nobody polls otherwise.
pub(super) struct BatchQueue<C: ConsumerContext> {
    queue: *mut native::rd_kafka_queue_t,
    /// The queue is part of it.
    _consumer: Arc<BaseConsumer<C>>,
    messages: Vec<*mut native::rd_kafka_message_t>,
}

// SAFETY: librdkafka's queues may be used from any thread; the buffer is empty between calls.
unsafe impl<C: ConsumerContext> Send for BatchQueue<C> {}

/// Wakes whoever waits in [`BatchQueue::take`].
pub(super) struct Waker<C: ConsumerContext> {
    queue: *mut native::rd_kafka_queue_t,
    _consumer: Arc<BaseConsumer<C>>,
}

// SAFETY: librdkafka's queues may be used from any thread, by several at once.
unsafe impl<C: ConsumerContext> Send for Waker<C> {}
// SAFETY: as above.
unsafe impl<C: ConsumerContext> Sync for Waker<C> {}

impl<C: ConsumerContext> Waker<C> {
    /// A waker for the queue of a consumer; `None` if it has none.
    pub(super) fn new(consumer: &Arc<BaseConsumer<C>>) -> Option<Self> {
        let queue = queue_of(consumer)?;
        let _consumer = Arc::clone(consumer);
        Some(Self { queue, _consumer })
    }

    /// Lets the call that waits, or else the next one, return at once.
    pub(super) fn wake(&self) {
        // SAFETY: the reference is held until `self` is dropped.
        unsafe { native::rd_kafka_queue_yield(self.queue) };
    }
}

impl<C: ConsumerContext> Drop for Waker<C> {
    fn drop(&mut self) {
        // SAFETY: our own reference, given back once, while the consumer is still there.
        unsafe { native::rd_kafka_queue_destroy(self.queue) };
    }
}

fn queue_of<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
) -> Option<*mut native::rd_kafka_queue_t> {
    // SAFETY: the client is alive; the answer is a reference of our own, or null.
    let queue = unsafe { native::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
    (!queue.is_null()).then_some(queue)
}

impl<C: ConsumerContext> BatchQueue<C> {
    /// The queue of a consumer; `None` if it has none.
    pub(super) fn new(consumer: &Arc<BaseConsumer<C>>) -> Option<Self> {
        Some(Self {
            queue: queue_of(consumer)?,
            _consumer: Arc::clone(consumer),
            messages: Vec::with_capacity(MOST),
        })
    }

    /// Waits for something to happen, shows it and all that is there with it to the visitor, with the partition it
    /// belongs to; answers with how many events there were.
    pub(super) fn take(&mut self, wait: Duration, mut visit: impl FnMut(i32, Event<'_>)) -> usize {
        let wait = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // The batch call waits until the batch is full, so the first message is waited for alone.
        // SAFETY: the queue is ours; the answer is null or a message that is ours to destroy.
        let first = unsafe { native::rd_kafka_consume_queue(self.queue, wait) };
        if first.is_null() {
            return 0;
        }
        self.messages.push(first);
        // SAFETY: the buffer has room for `MOST` messages, of which one is taken; the call writes at most the rest and
        // says how many.
        unsafe {
            let room = self.messages.as_mut_ptr().add(1);
            let more = native::rd_kafka_consume_batch_queue(self.queue, 0, room, MOST - 1);
            self.messages
                .set_len(1 + usize::try_from(more).unwrap_or(0).min(MOST - 1));
        }
        let count = self.messages.len();
        for message in self.messages.drain(..) {
            // SAFETY: every pointer is a message that librdkafka gave us and that nobody else has.
            let raw = unsafe { &*message };
            visit(raw.partition, event(raw));
            // SAFETY: given back once; the visitor could not keep what it saw.
            unsafe { native::rd_kafka_message_destroy(message) };
        }
        count
    }
}

impl<C: ConsumerContext> Drop for BatchQueue<C> {
    fn drop(&mut self) {
        // SAFETY: our own reference, given back once, while the consumer is still there.
        unsafe { native::rd_kafka_queue_destroy(self.queue) };
    }
}

fn event(raw: &native::rd_kafka_message_t) -> Event<'_> {
    match raw.err {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => {
            let mut kind = native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
            // SAFETY: the message is alive.
            let timestamp = unsafe { native::rd_kafka_message_timestamp(raw, &raw mut kind) };
            Event::Message(Message {
                offset: raw.offset,
                timestamp,
                // SAFETY: key and payload live as long as the message.
                key: unsafe { bytes(raw.key, raw.key_len) },
                // SAFETY: as above.
                value: unsafe { bytes(raw.payload, raw.len) },
                raw,
            })
        }
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF => Event::End { offset: raw.offset },
        code => {
            // SAFETY: of an error event the payload is its text.
            let text = unsafe { bytes(raw.payload, raw.len) }.unwrap_or_default();
            Event::Error {
                code: code.into(),
                text: String::from_utf8_lossy(text).into_owned(),
            }
        }
    }
}
