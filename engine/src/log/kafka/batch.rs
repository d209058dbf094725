//! Taking records from librdkafka in batches: the one file of the program with `unsafe`.
//!
//! `poll` of the `rdkafka` crate costs 0.55 µs of CPU a message and does not say to which partition an error or the end of
//! a partition belongs; `rd_kafka_consume_batch_queue` costs 0.22 µs and says it. What is borrowed from librdkafka never
//! leaves [`PartitionQueue::take`]: a visitor sees it and copies what it keeps.
#![allow(
    unsafe_code,
    reason = "librdkafka's batch call has no safe wrapper; measured above, kept to this file by the tidy test"
)]

use std::ffi::{CStr, CString, c_void};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as native;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::RDKafkaRespErr;
use tokio::sync::Notify;

/// Most messages that one call brings.
const MOST: usize = 512;

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

/// A queue of librdkafka and the pointers that it brings; empty between calls.
struct Queue {
    queue: *mut native::rd_kafka_queue_t,
    messages: Vec<*mut native::rd_kafka_message_t>,
}

// SAFETY: librdkafka's queues may be used from any thread; the buffer is empty between calls.
unsafe impl Send for Queue {}

impl Queue {
    /// Around a reference of our own; `None` for null.
    fn new(queue: *mut native::rd_kafka_queue_t) -> Option<Self> {
        (!queue.is_null()).then(|| Self {
            queue,
            messages: Vec::with_capacity(MOST),
        })
    }

    /// Takes what is there, `most` at most and never more than [`MOST`], and shows it.
    fn take(&mut self, most: usize, mut visit: impl FnMut(Event<'_>)) -> usize {
        let most = most.min(MOST);
        // SAFETY: the buffer is empty and has room for `MOST` messages; the call writes at most as many and says how many.
        unsafe {
            let room = self.messages.as_mut_ptr();
            let count = native::rd_kafka_consume_batch_queue(self.queue, 0, room, most);
            self.messages
                .set_len(usize::try_from(count).unwrap_or(0).min(most));
        }
        let count = self.messages.len();
        for message in self.messages.drain(..) {
            // SAFETY: every pointer is a message that librdkafka gave us and that nobody else has.
            let raw = unsafe { &*message };
            visit(event(raw));
            // SAFETY: given back once; the visitor could not keep what it saw.
            unsafe { native::rd_kafka_message_destroy(message) };
        }
        count
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: our own reference, given back once; whoever has a queue keeps its consumer until after it.
        unsafe { native::rd_kafka_queue_destroy(self.queue) };
    }
}

/// The common queue of a consumer: what belongs to no partition, and its callbacks.
pub(super) struct ConsumerQueue<C: ConsumerContext> {
    queue: Queue,
    _consumer: Arc<BaseConsumer<C>>,
}

impl<C: ConsumerContext> ConsumerQueue<C> {
    /// The queue of a consumer; `None` if it has none.
    pub(super) fn new(consumer: &Arc<BaseConsumer<C>>) -> Option<Self> {
        Some(Self {
            queue: Queue::new(queue_of(consumer))?,
            _consumer: Arc::clone(consumer),
        })
    }

    /// Waits until something happened or [`Waker::wake`] was called, and serves it; shows the errors.
    pub(super) fn serve(&mut self, wait: Duration, mut visit: impl FnMut(Event<'_>)) {
        let wait = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // The batch call would wait until its batch is full.
        // SAFETY: the queue is ours; the answer is null or a message that is ours to destroy.
        let first = unsafe { native::rd_kafka_consume_queue(self.queue.queue, wait) };
        if first.is_null() {
            return;
        }
        // SAFETY: a message that librdkafka gave us and that nobody else has.
        visit(event(unsafe { &*first }));
        // SAFETY: given back once; the visitor could not keep what it saw.
        unsafe { native::rd_kafka_message_destroy(first) };
        self.queue.take(MOST, visit);
    }
}

/// Wakes whoever waits in [`ConsumerQueue::serve`].
pub(super) struct Waker<C: ConsumerContext> {
    queue: Queue,
    _consumer: Arc<BaseConsumer<C>>,
}

// SAFETY: nothing but `rd_kafka_queue_yield` is called through a shared reference, which any thread may do.
unsafe impl<C: ConsumerContext> Sync for Waker<C> {}

impl<C: ConsumerContext> Waker<C> {
    /// A waker for the queue of a consumer; `None` if it has none.
    pub(super) fn new(consumer: &Arc<BaseConsumer<C>>) -> Option<Self> {
        Some(Self {
            queue: Queue::new(queue_of(consumer))?,
            _consumer: Arc::clone(consumer),
        })
    }

    /// Lets the call that waits, or else the next one, return at once.
    pub(super) fn wake(&self) {
        // SAFETY: the reference is held until `self` is dropped.
        unsafe { native::rd_kafka_queue_yield(self.queue.queue) };
    }
}

fn queue_of<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> *mut native::rd_kafka_queue_t {
    // SAFETY: the client is alive; the answer is a reference of our own, or null.
    unsafe { native::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) }
}

/// What a consumer has fetched of one partition. librdkafka stops fetching by itself when it is full: nothing has to be
/// paused, which would throw away what is in it.
pub(super) struct PartitionQueue<C: ConsumerContext> {
    queue: Queue,
    topic: CString,
    partition: i32,
    /// Woken by librdkafka; it has the address.
    _changed: Arc<Notify>,
    consumer: Arc<BaseConsumer<C>>,
}

impl<C: ConsumerContext> std::fmt::Debug for PartitionQueue<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartitionQueue")
            .field("topic", &self.topic)
            .field("partition", &self.partition)
            .finish_non_exhaustive()
    }
}

extern "C" fn changed(_: *mut native::rd_kafka_t, notify: *mut c_void) {
    // SAFETY: the address of a `Notify` that lives as long as the callback is set.
    let notify = unsafe { &*notify.cast::<Notify>() };
    notify.notify_waiters();
}

impl<C: ConsumerContext> PartitionQueue<C> {
    /// Parts what will be fetched of a partition from the common queue; to be called before the partition is assigned.
    /// `notify` is told when there is something in a queue that was empty.
    pub(super) fn part(
        consumer: &Arc<BaseConsumer<C>>,
        topic: &str,
        partition: i32,
        notify: &Arc<Notify>,
    ) -> Option<Self> {
        let topic = CString::new(topic).ok()?;
        let client = consumer.client().native_ptr();
        // SAFETY: the client is alive; the answer is a reference of our own, or null.
        let queue =
            unsafe { native::rd_kafka_queue_get_partition(client, topic.as_ptr(), partition) };
        let queue = Queue::new(queue)?;
        // SAFETY: both calls are for a queue of ours; the callback's `Notify` is kept in `self` and the callback is
        // taken away before it is let go.
        unsafe {
            native::rd_kafka_queue_forward(queue.queue, std::ptr::null_mut());
            let notify = Arc::as_ptr(notify).cast_mut().cast::<c_void>();
            native::rd_kafka_queue_cb_event_enable(queue.queue, Some(changed), notify);
        }
        Some(Self {
            queue,
            topic,
            partition,
            _changed: Arc::clone(notify),
            consumer: Arc::clone(consumer),
        })
    }

    /// Shows what is there, so many events at most; answers with how many there were. Never waits.
    pub(super) fn take(&mut self, most: usize, visit: impl FnMut(Event<'_>)) -> usize {
        self.queue.take(most, visit)
    }

    /// Whether the brokers' last answer had nothing behind `fetched`, and everything in the queue was taken. Where others'
    /// transactions ended there is nothing to take, but librdkafka's position is behind it.
    pub(super) fn is_at_end(&self, fetched: i64) -> bool {
        let client = self.consumer.client().native_ptr();
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the client and the name are alive; both numbers are written or left.
        let error = unsafe {
            native::rd_kafka_get_watermark_offsets(
                client,
                self.topic.as_ptr(),
                self.partition,
                &raw mut low,
                &raw mut high,
            )
        };
        if error != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR || high < 0 {
            return false;
        }
        fetched >= high || self.position().is_some_and(|position| position >= high)
    }

    fn position(&self) -> Option<i64> {
        let topic = self.topic.to_str().ok()?;
        let mut list = rdkafka::TopicPartitionList::with_capacity(1);
        list.add_partition(topic, self.partition);
        // SAFETY: the client and the list are alive; the call fills the offsets of the list in.
        let error =
            unsafe { native::rd_kafka_position(self.consumer.client().native_ptr(), list.ptr()) };
        let found = list.find_partition(topic, self.partition)?;
        match found.offset() {
            rdkafka::Offset::Offset(offset)
                if error == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR =>
            {
                Some(offset)
            }
            _ => None,
        }
    }
}

impl<C: ConsumerContext> Drop for PartitionQueue<C> {
    fn drop(&mut self) {
        // SAFETY: the queue is alive; librdkafka calls back under the queue's lock, so nobody is in the callback after this.
        unsafe {
            native::rd_kafka_queue_cb_event_enable(self.queue.queue, None, std::ptr::null_mut());
        }
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
