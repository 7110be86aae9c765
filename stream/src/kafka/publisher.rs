//! Records outside transactions: idempotent, acknowledged by all in-sync replicas.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::client::{Client, create};
use super::topics::Known;
use super::{KafkaOptions, error, record};
use crate::error::Error;
use crate::log::{NewRecord, Result};

/// The producer that all calls share.
pub(super) struct Publisher(FutureProducer<Client>);

impl Publisher {
    pub(super) fn new(options: &KafkaOptions) -> Result<Self> {
        Ok(Self(create(options.producer(), Client::default())?))
    }

    pub(super) async fn publish(&self, topics: &Known, records: Vec<NewRecord>) -> Result<()> {
        // All are placed before any is sent, so that a mistake sends nothing.
        let mut partitions = Vec::with_capacity(records.len());
        for new in &records {
            partitions.push(topics.place(new).await?);
        }
        let mut waiting = Vec::with_capacity(records.len());
        for (new, partition) in records.iter().zip(partitions) {
            let mut next = FutureRecord::<[u8], [u8]>::to(&new.topic).partition(partition);
            next.key = new.key.as_deref();
            next.payload = new.value.as_deref();
            next.headers = record::headers(&new.headers);
            loop {
                match self.0.send_result(next) {
                    Ok(delivery) => break waiting.push((new, delivery)),
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                        next = again;
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                    Err((error, _)) => return Err(failed(new, &error)),
                }
            }
        }
        for (new, delivery) in waiting {
            match delivery.await {
                Ok(Ok(_)) => {}
                Ok(Err((error, _))) => return Err(failed(new, &error)),
                Err(_) => return Err(Error::Unavailable { doing: "publishing records".into(), reason: "the client was closed".into() }),
            }
        }
        Ok(())
    }
}

/// What became of a record that did not arrive.
pub(super) fn failed(new: &NewRecord, error: &KafkaError) -> Error {
    match error::map(&format!("writing to {}", new.topic), error) {
        Error::TooLarge { .. } => {
            let bytes = new.key.as_ref().map_or(0, bytes::Bytes::len) + new.value.as_ref().map_or(0, bytes::Bytes::len);
            Error::TooLarge { topic: new.topic.to_string(), bytes }
        }
        Error::UnknownTopic(_) => Error::UnknownTopic(new.topic.to_string()),
        other => other,
    }
}
