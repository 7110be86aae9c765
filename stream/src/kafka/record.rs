//! Records and offsets to and from librdkafka.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message, OwnedHeaders};
use rdkafka::{Offset, TopicPartitionList};

use crate::log::{Headers, Offsets, Record, TopicPartition};

/// Topic names that were seen, so that each stands in memory once.
#[derive(Default)]
pub(super) struct Names(BTreeMap<String, Arc<str>>);

impl Names {
    fn shared(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return known.clone();
        }
        let shared: Arc<str> = name.into();
        self.0.insert(name.to_owned(), shared.clone());
        shared
    }

    /// A record of our own from one that librdkafka owns.
    pub(super) fn record(&mut self, message: &BorrowedMessage<'_>) -> Record {
        let mut headers = Headers::new();
        if let Some(found) = message.headers() {
            headers.extend(found.iter().map(|header| (header.key.into(), header.value.map_or_else(Bytes::new, Bytes::copy_from_slice))));
        }
        Record {
            partition: TopicPartition { topic: self.shared(message.topic()), partition: message.partition() as u32 },
            offset: message.offset() as u64,
            timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
            key: message.key().map(Bytes::copy_from_slice),
            value: message.payload().map(Bytes::copy_from_slice),
            headers,
        }
    }
}

/// Headers as librdkafka takes them; none for none.
pub(super) fn headers(headers: &Headers) -> Option<OwnedHeaders> {
    if headers.is_empty() {
        return None;
    }
    let mut owned = OwnedHeaders::new_with_capacity(headers.len());
    for (name, value) in headers {
        owned = owned.insert(Header { key: name, value: Some(&value[..]) });
    }
    Some(owned)
}

/// The partitions of a list that have an offset.
pub(super) fn numbers(list: &TopicPartitionList) -> Offsets {
    let number = |element: rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match element.offset() {
        Offset::Offset(offset) => Some((TopicPartition::new(element.topic(), element.partition() as u32), u64::try_from(offset).ok()?)),
        _ => None,
    };
    list.elements().into_iter().filter_map(number).collect()
}

/// A list of partitions with offsets.
pub(super) fn list(offsets: &Offsets) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (at, offset) in offsets {
        let offset = Offset::Offset(i64::try_from(*offset).unwrap_or(i64::MAX));
        if let Err(error) = list.add_partition_offset(&at.topic, at.partition as i32, offset) {
            tracing::error!(%error, partition = %at, "an offset that cannot be said to Kafka");
        }
    }
    list
}
