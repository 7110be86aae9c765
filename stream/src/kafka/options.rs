//! How to reach a cluster, and what that means to librdkafka.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use serde::Deserialize;

use crate::duration;
use crate::secret::Secret;

/// How records travel and are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// As they are.
    None,
    /// Quick.
    #[default]
    Lz4,
    /// Small.
    Zstd,
}

/// How to reach a cluster. In a configuration file, unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaOptions {
    /// `host:port`, several with commas.
    pub bootstrap: String,
    /// Name in the brokers' logs and quotas.
    pub client_id: String,
    /// `plaintext`, `sasl_plaintext`, or with the feature `kafka-tls` `ssl` and `sasl_ssl`.
    pub security_protocol: Option<String>,
    /// `PLAIN`, or with the feature `kafka-tls` `SCRAM-SHA-256` and `SCRAM-SHA-512`.
    pub sasl_mechanism: Option<String>,
    /// User for SASL.
    pub sasl_username: Option<String>,
    /// Password for SASL.
    pub sasl_password: Option<Secret>,
    /// Copies of topics we create; none means the brokers' default.
    pub replication_factor: Option<u16>,
    /// How records travel and are kept.
    pub compression: Compression,
    /// An unreachable cluster is reported after so long.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// After so long without a sign of life a member loses its partitions.
    #[serde(with = "duration")]
    pub session_timeout: Duration,
    /// After so long without a poll a member loses its partitions.
    #[serde(with = "duration")]
    pub poll_timeout: Duration,
    /// After so long the broker aborts a transaction by itself.
    #[serde(with = "duration")]
    pub transaction_timeout: Duration,
    /// Largest record; also set on topics we create.
    pub max_record_bytes: u32,
    /// Compaction leaves records alone for so long.
    #[serde(with = "duration")]
    pub min_compaction_lag: Duration,
    /// More settings of topics we create, as Kafka spells them.
    pub topic: BTreeMap<String, String>,
    /// More settings of every client, as librdkafka spells them. They win over all the others.
    pub properties: BTreeMap<String, String>,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self {
            bootstrap: String::new(),
            client_id: "concord".into(),
            security_protocol: None,
            sasl_mechanism: None,
            sasl_username: None,
            sasl_password: None,
            replication_factor: None,
            compression: Compression::default(),
            connect_timeout: Duration::from_secs(10),
            session_timeout: Duration::from_secs(10),
            poll_timeout: Duration::from_secs(300),
            transaction_timeout: Duration::from_secs(60),
            max_record_bytes: 4 << 20,
            min_compaction_lag: Duration::from_secs(60),
            topic: BTreeMap::new(),
            properties: BTreeMap::new(),
        }
    }
}

fn ms(duration: Duration) -> String {
    duration.as_millis().to_string()
}

impl KafkaOptions {
    /// Default options for a cluster.
    pub fn new(bootstrap: impl Into<String>) -> Self {
        Self { bootstrap: bootstrap.into(), ..Self::default() }
    }

    /// What every client is told.
    pub(super) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config.set("client.id", &self.client_id);
        config.set("reconnect.backoff.ms", "50").set("reconnect.backoff.max.ms", "2000");
        config.set("topic.metadata.refresh.fast.interval.ms", "50");
        config.set("log.connection.close", "false");
        let named = [
            ("security.protocol", &self.security_protocol),
            ("sasl.mechanism", &self.sasl_mechanism),
            ("sasl.username", &self.sasl_username),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                config.set(name, value);
            }
        }
        if let Some(password) = &self.sasl_password {
            config.set("sasl.password", password.reveal());
        }
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }

    /// What a consumer is told on top.
    pub(super) fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.client();
        let session = self.session_timeout.max(Duration::from_millis(100));
        let own = [
            ("group.id", group.to_owned()),
            ("isolation.level", "read_committed".into()),
            ("enable.auto.commit", "false".into()),
            ("enable.auto.offset.store", "false".into()),
            ("allow.auto.create.topics", "false".into()),
            ("auto.offset.reset", "earliest".into()),
            ("partition.assignment.strategy", "range".into()),
            ("session.timeout.ms", ms(session)),
            ("heartbeat.interval.ms", ms((session / 10).max(Duration::from_millis(50)))),
            ("max.poll.interval.ms", ms(self.poll_timeout.max(session))),
            ("fetch.wait.max.ms", "500".into()),
            ("fetch.error.backoff.ms", "50".into()),
            // Memory is shared by all of Concord: a consumer holds little and asks again soon.
            ("queued.max.messages.kbytes", "8192".into()),
            ("fetch.queue.backoff.ms", "5".into()),
        ];
        for (name, value) in own {
            if !self.properties.contains_key(name) {
                config.set(name, value);
            }
        }
        config
    }

    /// What a producer is told on top.
    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        let compression = match self.compression {
            Compression::None => "none",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        };
        let own = [
            ("enable.idempotence", "true".into()),
            ("acks", "all".into()),
            ("compression.type", compression.into()),
            // A transaction is sent in one go and waited for: batches form while requests are under way.
            ("linger.ms", "0".into()),
            ("message.max.bytes", self.max_record_bytes.to_string()),
            ("message.timeout.ms", ms(self.transaction_timeout)),
            ("queue.buffering.max.kbytes", "65536".into()),
        ];
        for (name, value) in own {
            if !self.properties.contains_key(name) {
                config.set(name, value);
            }
        }
        config
    }
}
