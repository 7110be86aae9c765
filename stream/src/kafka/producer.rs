//! A transactional producer.
//!
//! The client's own commit waits for outstanding records in steps of 100 ms. So we poll until nothing is in flight, and
//! commit then: a transaction takes milliseconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};

use super::client::{self, blocking, close, create};
use super::member::Proof;
use super::publisher::failed;
use super::{Shared, error, record};
use crate::error::Error;
use crate::in_process::lock;
use crate::log::{Membership, NewRecord, Offsets, Producer, Result, TopicPartition};

/// Between two looks at what was delivered, at first and at most. The client's own poll counts in whole milliseconds
/// and spins for the rest, which takes the processor from a broker on the same machine.
const LOOK: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(1));
/// An open transaction is aborted on the way out, if that is quick.
const FAREWELL: Duration = Duration::from_secs(5);

/// What was delivered in the open transaction.
#[derive(Default)]
struct Delivered {
    /// By topic, then partition: the offset after the last record.
    ends: HashMap<String, HashMap<i32, u64>>,
    failure: Option<KafkaError>,
}

struct Deliveries(Arc<Mutex<Delivered>>);

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "a Kafka producer complains");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut delivered = lock(&self.0);
        match result {
            Ok(message) => {
                let end = message.offset() as u64 + 1;
                if !delivered.ends.contains_key(message.topic()) {
                    delivered.ends.insert(message.topic().to_owned(), HashMap::new());
                }
                if let Some(ends) = delivered.ends.get_mut(message.topic()) {
                    let known = ends.entry(message.partition()).or_insert(end);
                    *known = end.max(*known);
                }
            }
            Err((error, _)) => drop(delivered.failure.get_or_insert(error.clone())),
        }
    }
}

struct Inner {
    client: BaseProducer<Deliveries>,
    delivered: Arc<Mutex<Delivered>>,
    /// One call at a time, also when the future of the one before was dropped.
    turn: Mutex<()>,
    id: String,
    patience: Duration,
}

/// A producer; a newer one of the same id fences it.
pub(super) struct KafkaProducer {
    shared: Arc<Shared>,
    inner: Option<Arc<Inner>>,
    open: bool,
}

impl KafkaProducer {
    pub(super) async fn open(shared: Arc<Shared>, id: &str) -> Result<Self> {
        let mut config = shared.options.producer();
        config.set("transactional.id", id);
        config.set("transaction.timeout.ms", shared.options.transaction_timeout.as_millis().to_string());
        let delivered = Arc::new(Mutex::new(Delivered::default()));
        let client: BaseProducer<Deliveries> = create(config, Deliveries(delivered.clone()))?;
        let inner =
            Arc::new(Inner { client, delivered, turn: Mutex::default(), id: id.to_owned(), patience: shared.options.transaction_timeout });
        let producer = Self { shared, inner: Some(inner.clone()), open: false };
        blocking(move || {
            let begun = Instant::now();
            retry(&inner, begun, || inner.client.init_transactions(inner.patience))
        })
        .await??;
        Ok(producer)
    }

    fn inner(&self) -> Result<Arc<Inner>> {
        self.inner.clone().ok_or_else(|| Error::Unavailable { doing: "using a producer".into(), reason: "it is closed".into() })
    }
}

impl Inner {
    fn error(&self, error: &KafkaError) -> Error {
        match error::map(&format!("transactions of {}", self.id), error) {
            Error::Fenced(_) => Error::Fenced(self.id.clone()),
            other => other,
        }
    }

    /// Polls until nothing is in flight, or the time is over.
    fn quiet(&self, begun: Instant, patience: Duration) -> bool {
        let (mut pause, mut left) = (LOOK.0, self.client.in_flight_count());
        while left > 0 && begun.elapsed() <= patience {
            // One poll takes one event, however many there are.
            self.client.poll(Duration::ZERO);
            let now = self.client.in_flight_count();
            if now == left {
                std::thread::sleep(pause);
                pause = (pause * 2).min(LOOK.1);
            } else {
                pause = LOOK.0;
            }
            left = now;
        }
        left == 0
    }

    /// Waits until everything is delivered.
    fn settle(&self, begun: Instant) -> Result<()> {
        if !self.quiet(begun, self.patience) {
            return Err(Error::Unavailable { doing: format!("delivering records of {}", self.id), reason: "no answer in time".into() });
        }
        match &lock(&self.delivered).failure {
            None => Ok(()),
            Some(error) => Err(self.error(error)),
        }
    }

    fn take_ends(&self) -> Offsets {
        let delivered = std::mem::take(&mut *lock(&self.delivered));
        let mut offsets = Offsets::new();
        for (topic, ends) in delivered.ends {
            let topic: Arc<str> = topic.into();
            offsets.extend(
                ends.into_iter().map(|(partition, end)| (TopicPartition { topic: topic.clone(), partition: partition as u32 }, end)),
            );
        }
        offsets
    }
}

/// Repeats what librdkafka says may be repeated.
fn retry(inner: &Inner, begun: Instant, mut call: impl FnMut() -> rdkafka::error::KafkaResult<()>) -> Result<()> {
    loop {
        match call() {
            Ok(()) => return Ok(()),
            Err(KafkaError::Transaction(error)) if error.is_retriable() && begun.elapsed() < inner.patience => {}
            Err(error) => return Err(inner.error(&error)),
        }
    }
}

#[async_trait]
impl Producer for KafkaProducer {
    async fn begin(&mut self) -> Result<()> {
        let inner = self.inner()?;
        *lock(&inner.delivered) = Delivered::default();
        inner.client.begin_transaction().map_err(|error| inner.error(&error))?;
        self.open = true;
        Ok(())
    }

    async fn send(&mut self, records: Vec<NewRecord>) -> Result<()> {
        let inner = self.inner()?;
        if !self.open {
            return Err(Error::Refused { doing: format!("a transaction of {}", inner.id), reason: "none is open".into() });
        }
        for new in &records {
            let mut next = BaseRecord::<[u8], [u8]>::to(&new.topic).partition(self.shared.topics.place(new).await?);
            next.key = new.key.as_deref();
            next.payload = new.value.as_deref();
            next.headers = record::headers(&new.headers);
            while let Err((error, again)) = inner.client.send(next) {
                match error {
                    KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) => next = again,
                    error => {
                        // A fenced producer refuses records with a code that says only "fatal".
                        let fenced = inner.client.client().fatal_error().map(|(code, _)| KafkaError::MessageProduction(code));
                        return Err(failed_or_fenced(&inner, new, &fenced.unwrap_or(error)));
                    }
                }
                inner.client.poll(Duration::ZERO);
                tokio::time::sleep(LOOK.1).await;
            }
        }
        Ok(())
    }

    async fn commit(&mut self, consumed: Option<(Membership, Offsets)>) -> Result<Offsets> {
        let inner = self.inner()?;
        let consumed = match consumed {
            None => None,
            Some((membership, offsets)) => {
                let refused = || Error::Refused { doing: "committing offsets".into(), reason: "the membership is of another log".into() };
                let proof = membership.0.downcast::<Proof>().map_err(|_| refused())?;
                proof.check(offsets.keys())?;
                Some((proof, record::list(&offsets)))
            }
        };
        let ends = blocking(move || {
            let _turn = lock(&inner.turn);
            let begun = Instant::now();
            inner.settle(begun)?;
            if let Some((proof, offsets)) = consumed.filter(|(_, offsets)| offsets.count() > 0) {
                retry(&inner, begun, || inner.client.send_offsets_to_transaction(&offsets, &proof.metadata, inner.patience))?;
            }
            retry(&inner, begun, || inner.client.commit_transaction(inner.patience))?;
            Ok::<_, Error>(inner.take_ends())
        })
        .await??;
        self.open = false;
        Ok(ends)
    }

    async fn abort(&mut self) -> Result<()> {
        let inner = self.inner()?;
        if !std::mem::take(&mut self.open) {
            return Ok(());
        }
        blocking(move || {
            let _turn = lock(&inner.turn);
            abort(&inner, inner.patience)
        })
        .await?
    }
}

fn failed_or_fenced(inner: &Inner, new: &NewRecord, error: &KafkaError) -> Error {
    match failed(new, error) {
        Error::Fenced(_) => Error::Fenced(inner.id.clone()),
        other => other,
    }
}

fn abort(inner: &Inner, patience: Duration) -> Result<()> {
    let begun = Instant::now();
    // Records on their way are thrown away; polling takes note of them, so that the abort need not wait.
    inner.client.purge(rdkafka::producer::PurgeConfig::default().queue());
    inner.quiet(begun, patience);
    retry(inner, begun, || inner.client.abort_transaction(patience))?;
    *lock(&inner.delivered) = Delivered::default();
    Ok(())
}

impl Drop for KafkaProducer {
    fn drop(&mut self) {
        let (inner, open) = (self.inner.take(), self.open);
        close(move || {
            if let Some(inner) = inner {
                let _turn = lock(&inner.turn);
                // What stays open keeps readers waiting until the broker's own time-out.
                if open && let Err(error) = abort(&inner, FAREWELL) {
                    tracing::debug!(%error, "a transaction was left to the broker to abort");
                }
            }
        });
    }
}
