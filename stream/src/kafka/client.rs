//! What librdkafka tells us beside what it is asked, and how we leave the async threads.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::error::Error;
use crate::log::Result;

/// Complaints taken out of a queue at a time.
const COMPLAINTS: usize = 100;

/// The last thing that a client complained about.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    last: Option<String>,
    refused: bool,
}

impl Heard {
    pub(super) fn last(&self) -> Option<String> {
        crate::in_process::lock(&self.0).last.clone()
    }

    /// Whether trying again is of no use.
    pub(super) fn refused(&self) -> bool {
        crate::in_process::lock(&self.0).refused
    }

    pub(super) fn note(&self, code: Option<RDKafkaErrorCode>, reason: &str) {
        let mut state = crate::in_process::lock(&self.0);
        let refusal = matches!(
            code,
            Some(
                RDKafkaErrorCode::Authentication
                    | RDKafkaErrorCode::SaslAuthenticationFailed
                    | RDKafkaErrorCode::SSL
                    | RDKafkaErrorCode::UnsupportedSASLMechanism
            )
        );
        // "All brokers are down" says less than what came before it.
        if refusal || !matches!(code, Some(RDKafkaErrorCode::AllBrokersDown)) || state.last.is_none() {
            state.last = Some(reason.to_owned());
        }
        state.refused |= refusal;
    }
}

/// A context that remembers complaints and logs quietly.
#[derive(Clone, Default)]
pub(super) struct Client {
    heard: Heard,
}

impl Client {
    pub(super) fn new(heard: Heard) -> Self {
        Self { heard }
    }
}

/// librdkafka's log lines are for digging; what matters comes back as an error.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => tracing::warn!(facility, "librdkafka: {message}"),
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
            tracing::debug!(facility, "librdkafka: {message}");
        }
        RDKafkaLogLevel::Debug => tracing::trace!(facility, "librdkafka: {message}"),
    }
}

impl ClientContext for Client {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if matches!(level, RDKafkaLogLevel::Error) {
            // The consumer's error events carry only a code; the text comes this way.
            self.heard.note(None, message);
        }
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.heard.note(error.rdkafka_error_code(), reason);
    }
}

impl ConsumerContext for Client {}

/// Makes a client.
pub(super) fn create<C, T: FromClientConfigAndContext<C>>(config: ClientConfig, context: C) -> Result<T>
where
    C: ClientContext,
{
    config.create_with_context(context).map_err(|error| Error::Refused {
        doing: "a Kafka client with these options".into(),
        reason: match &error {
            // Without the value: it may be a secret.
            KafkaError::ClientConfig(_, description, key, _) => format!("{key}: {description}"),
            other => other.to_string(),
        },
    })
}

/// Takes the complaints of a client that is only asked questions out of its queue, so that they do not pile up.
pub(super) fn listen(consumer: &BaseConsumer<Client>) {
    for _ in 0..COMPLAINTS {
        match consumer.poll(Duration::ZERO) {
            Some(Err(error)) => tracing::debug!(%error, "a passing failure"),
            Some(Ok(_)) | None => return,
        }
    }
}

/// Runs what waits for a broker where waiting is allowed. Goes on when the future is dropped.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::Unavailable { doing: "asking Kafka".into(), reason: error.to_string() })
}

/// Lets go of a client without waiting: closing one may take a while.
pub(super) fn close(work: impl FnOnce() + Send + 'static) {
    if let Err(error) = std::thread::Builder::new().name("kafka-close".into()).spawn(work) {
        tracing::warn!(%error, "a Kafka client could not be closed in the background");
    }
}
