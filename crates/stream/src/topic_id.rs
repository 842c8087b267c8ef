//! The id that a topic has for as long as it lives (KIP-516): the only sign that it was made anew.
//!
//! The safe wrapper lacks DescribeTopics, so this module calls librdkafka itself.
#![allow(unsafe_code, reason = "rdkafka 0.39 does not wrap rd_kafka_DescribeTopics")]

use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::ptr;

use rdkafka::bindings as rd;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::connection::REQUEST;

/// A topic's id, base 64 without padding, as Kafka's tools print it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(String);

impl TopicId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Frees a librdkafka object at the end of its scope.
struct Owned<T>(*mut T, unsafe extern "C" fn(*mut T));

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: the pointer came from the constructor that belongs to this destructor, and is freed once.
            unsafe { (self.1)(self.0) }
        }
    }
}

/// Asks the brokers for a topic's id.
pub fn topic_id<C: ClientContext>(client: &Client<C>, topic: &str) -> Result<TopicId, KafkaError> {
    let failed = |code: RDKafkaErrorCode| KafkaError::AdminOp(code);
    let name = CString::new(topic).map_err(|_| failed(RDKafkaErrorCode::InvalidTopic))?;
    let mut names: [*const c_char; 1] = [name.as_ptr()];
    let handle = client.native_ptr();
    let timeout = i32::try_from(REQUEST.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: `handle` lives as long as `client`; `names` and `name` outlive the call that copies them; every
    // object is freed by its `Owned`; what is read from the event is copied before the event is freed.
    unsafe {
        let collection = Owned(
            rd::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1),
            rd::rd_kafka_TopicCollection_destroy,
        );
        let options = Owned(
            rd::rd_kafka_AdminOptions_new(handle, rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS),
            rd::rd_kafka_AdminOptions_destroy,
        );
        rd::rd_kafka_AdminOptions_set_request_timeout(options.0, timeout, ptr::null_mut(), 0);
        let queue = Owned(rd::rd_kafka_queue_new(handle), rd::rd_kafka_queue_destroy);
        rd::rd_kafka_DescribeTopics(handle, collection.0, options.0, queue.0);
        let event = Owned(rd::rd_kafka_queue_poll(queue.0, timeout), rd::rd_kafka_event_destroy);
        if event.0.is_null() {
            return Err(failed(RDKafkaErrorCode::OperationTimedOut));
        }
        let code = rd::rd_kafka_event_error(event.0);
        if code != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(failed(code.into()));
        }
        let result = rd::rd_kafka_event_DescribeTopics_result(event.0);
        let mut count = 0;
        let topics = rd::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if count == 0 || topics.is_null() {
            return Err(failed(RDKafkaErrorCode::UnknownTopicOrPartition));
        }
        let description = *topics;
        let error = rd::rd_kafka_TopicDescription_error(description);
        if !error.is_null() {
            let code = rd::rd_kafka_error_code(error);
            if code != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err(failed(code.into()));
            }
        }
        let uuid = rd::rd_kafka_TopicDescription_topic_id(description);
        let text = rd::rd_kafka_Uuid_base64str(uuid);
        if text.is_null() {
            return Err(failed(RDKafkaErrorCode::UnknownTopicId));
        }
        Ok(TopicId(CStr::from_ptr(text).to_string_lossy().into_owned()))
    }
}
