//! The contract on a real Apache Kafka, one broker for all tests of this binary.

use std::sync::Arc;
use std::time::{Duration, Instant};

use servers::Kafka;
use stream::{Class, Error, KafkaLog, KafkaOptions, Log};
use tokio::sync::OnceCell;

use crate::support::Fixture;

static BROKER: OnceCell<Kafka> = OnceCell::const_new();

/// The address of the broker; it goes with this process.
pub(crate) async fn bootstrap() -> String {
    let start = || async { Kafka::start(servers::KafkaOptions::default()).await.expect("a broker starts") };
    BROKER.get_or_init(start).await.bootstrap()
}

pub(crate) fn options(bootstrap: String) -> KafkaOptions {
    KafkaOptions {
        session_timeout: Duration::from_secs(3),
        min_compaction_lag: Duration::ZERO,
        topic: [("segment.ms", "500"), ("min.cleanable.dirty.ratio", "0.01")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..KafkaOptions::new(bootstrap)
    }
}

pub(crate) async fn log() -> Arc<dyn Log> {
    Arc::new(KafkaLog::connect(options(bootstrap().await)).await.expect("connects"))
}

async fn fixture() -> Fixture {
    Fixture::new(log().await, 3 << 20)
}

crate::contract!(fixture());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registries_of_several_processes_never_disagree() {
    let log = log().await;
    crate::registry::registries_on_one_log_never_disagree(log).await;
}

#[tokio::test]
async fn an_unreachable_broker_is_one_clear_error_in_time() {
    let begun = Instant::now();
    let options = KafkaOptions { connect_timeout: Duration::from_secs(2), ..KafkaOptions::new("127.0.0.1:1") };
    let Err(error) = KafkaLog::connect(options).await else { panic!("nobody listens there") };
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    assert_eq!(error.class(), Class::Transient);
    let text = error.to_string();
    assert!(text.contains("127.0.0.1:1") && text.contains("Connection refused"), "{text}");
}

#[tokio::test]
async fn a_property_that_does_not_exist_is_named() {
    let mut options = KafkaOptions::new("127.0.0.1:1");
    options.properties.insert("sesion.timeout.ms".into(), "1".into());
    let Err(error) = KafkaLog::connect(options).await else { panic!("is accepted") };
    assert!(matches!(&error, Error::Refused { reason, .. } if reason.contains("sesion.timeout.ms")), "{error}");
}
