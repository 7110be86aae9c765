//! A private Kafka starts, answers, and leaves nothing behind.

use servers::{Kafka, KafkaOptions};

#[tokio::test]
async fn a_private_kafka_comes_up_survives_a_crash_and_leaves_nothing() -> anyhow::Result<()> {
    let mut broker = Kafka::start(KafkaOptions::default()).await?;
    assert!(std::net::TcpStream::connect(broker.bootstrap()).is_ok());
    broker.crash()?;
    assert!(std::net::TcpStream::connect(broker.bootstrap()).is_err());
    broker.start_again().await?;
    assert!(std::net::TcpStream::connect(broker.bootstrap()).is_ok());
    let dir = broker.dir().to_owned();
    broker.stop();
    assert!(!dir.exists());
    Ok(())
}
