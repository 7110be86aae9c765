//! Which log and which registry, from a configuration file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use schemas::topic::Topics;
use serde::Deserialize;

use crate::clock::now_ms;
use crate::embedded::{EmbeddedLog, EmbeddedOptions, Fsync};
use crate::error::Error;
use crate::kafka::{KafkaLog, KafkaOptions};
use crate::log::{Log, Result};
use crate::memory::{MemoryLog, MemoryOptions};
use crate::metrics::{MeteredLog, Metrics};
use crate::registry::{HttpRegistry, LocalRegistry, Registry, RegistryAuth, routes};
use crate::secret::Secret;

/// Which implementation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// On local disk, in this process.
    Embedded,
    /// Apache Kafka.
    Kafka,
    /// In memory; nothing stays.
    Memory,
}

/// Where the schemas are. Without a `url`, in the log itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegistryConfig {
    /// A Confluent-compatible registry, for example `http://registry:8081`.
    pub url: Option<String>,
    /// User name or API key.
    pub username: Option<String>,
    /// Password or API secret.
    pub password: Option<Secret>,
    /// Bearer token, instead of user name and password.
    pub token: Option<Secret>,
}

/// The section `log`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which implementation.
    pub kind: Kind,
    /// Folder of the embedded log.
    pub path: PathBuf,
    /// `every_commit`, `never`, or how often, as `100ms`; of the embedded log.
    #[serde(deserialize_with = "fsync")]
    pub fsync: Fsync,
    /// Stands before every topic's name.
    pub prefix: String,
    /// Partitions of topics keyed by entity id.
    pub partitions: u32,
    /// How to reach Kafka.
    pub kafka: KafkaOptions,
    /// Where the schemas are.
    pub registry: RegistryConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            kind: Kind::Embedded,
            path: "log".into(),
            fsync: EmbeddedOptions::default().fsync,
            prefix: String::new(),
            partitions: 8,
            kafka: KafkaOptions::default(),
            registry: RegistryConfig::default(),
        }
    }
}

fn fsync<'de, D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Fsync, D::Error> {
    match String::deserialize(from)?.as_str() {
        "every_commit" => Ok(Fsync::EveryCommit),
        "never" => Ok(Fsync::Never),
        other => match humantime::parse_duration(other) {
            Ok(interval) if interval > Duration::ZERO => Ok(Fsync::Interval(interval)),
            _ => {
                Err(serde::de::Error::custom(format!("fsync is \"every_commit\", \"never\" or an interval like \"100ms\", not {other:?}")))
            }
        },
    }
}

impl Config {
    /// Names and sizes of topics.
    pub fn topics(&self) -> Topics {
        Topics::new(self.prefix.clone(), self.partitions)
    }
}

impl RegistryConfig {
    fn auth(&self) -> Result<RegistryAuth> {
        let reveal = |secret: &Secret| secret.reveal().to_owned();
        match (&self.username, &self.password, &self.token) {
            (None, None, None) => Ok(RegistryAuth::None),
            (Some(user), password, None) => {
                Ok(RegistryAuth::Basic { user: user.clone(), password: password.as_ref().map(reveal).unwrap_or_default() })
            }
            (None, None, Some(token)) => Ok(RegistryAuth::Bearer(reveal(token))),
            _ => Err(Error::Refused { doing: "log.registry".into(), reason: "set username and password, or token, not both".into() }),
        }
    }
}

/// Opens the log and the registry that a configuration names. What they do is counted in the default metrics registry.
///
/// # Errors
/// What is wrong with the configuration, the disk, the broker or the registry.
pub async fn open(config: &Config) -> Result<(Arc<dyn Log>, Arc<dyn Registry>)> {
    let log: Arc<dyn Log> = match config.kind {
        Kind::Embedded => {
            let (path, options) = (config.path.clone(), EmbeddedOptions { fsync: config.fsync, ..EmbeddedOptions::default() });
            let opened = tokio::task::spawn_blocking(move || EmbeddedLog::open(path, options)).await;
            Arc::new(opened.map_err(|error| Error::Unavailable { doing: "opening the embedded log".into(), reason: error.to_string() })??)
        }
        Kind::Kafka if config.kafka.bootstrap.is_empty() => {
            return Err(Error::Refused { doing: "log.kind = \"kafka\"".into(), reason: "set log.kafka.bootstrap to host:port".into() });
        }
        Kind::Kafka => Arc::new(KafkaLog::connect(config.kafka.clone()).await?),
        Kind::Memory => Arc::new(MemoryLog::new(MemoryOptions::with_clock(now_ms))),
    };
    let log: Arc<dyn Log> = Arc::new(MeteredLog::new(log, Metrics::default_registry()));
    let registry: Arc<dyn Registry> = match &config.registry.url {
        Some(url) => Arc::new(HttpRegistry::with_auth(url, &config.registry.auth()?)?),
        None => Arc::new(LocalRegistry::open(log.clone(), &config.topics()).await?),
    };
    Ok((log, registry))
}

/// The REST routes of a registry that is in the log; none of one that has an address of its own.
pub fn registry_routes(registry: &Arc<dyn Registry>) -> Router {
    registry.local().map_or_else(Router::new, routes::paths)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(section: Value, expected: impl FnOnce(std::result::Result<Config, String>) -> bool) {
        let parsed = serde_json::from_value(section.clone()).map_err(|error| error.to_string());
        assert!(expected(parsed.clone()), "{section}: {parsed:?}");
    }

    #[test]
    fn a_section_is_read_with_units_and_unknown_keys_are_refused() {
        check(json!({}), |config| config == Ok(Config::default()));
        check(json!({ "fsync": "every_commit" }), |config| config.is_ok_and(|config| config.fsync == Fsync::EveryCommit));
        check(json!({ "fsync": "250ms" }), |config| config.is_ok_and(|config| config.fsync == Fsync::Interval(Duration::from_millis(250))));
        check(json!({ "fsync": "sometimes" }), |config| config.is_err_and(|text| text.contains("every_commit")));
        check(
            json!({ "kind": "kafka", "kafka": { "bootstrap": "k:9092", "session_timeout": "6s", "properties": { "debug": "broker" } } }),
            |config| config.is_ok_and(|config| config.kafka.session_timeout == Duration::from_secs(6)),
        );
        check(json!({ "kafka": { "bootstraps": "k:9092" } }), |config| config.is_err_and(|text| text.contains("bootstraps")));
        check(json!({ "folder": "x" }), |config| config.is_err_and(|text| text.contains("folder")));
    }

    #[test]
    fn secrets_are_not_shown() {
        let text = json!({ "kafka": { "sasl_password": "hunter2" }, "registry": { "token": "hunter2" } });
        let config: Config = serde_json::from_value(text).expect("is a section");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
