//! Temporary: opens the embedded log.

use std::sync::Arc;

use serde::Deserialize;
use stream::{EmbeddedLog, EmbeddedOptions, LocalRegistry, Log};
use schemas::topic::Topics;

/// Log settings.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    /// Kind.
    pub kind: String,
    /// Folder.
    pub path: std::path::PathBuf,
    /// Partitions.
    pub partitions: u32,
    /// Prefix.
    #[serde(default)]
    pub prefix: String,
}

/// Opens it.
///
/// # Errors
/// What the log says.
pub async fn open(config: &Config) -> stream::Result<(Arc<dyn Log>, LocalRegistry)> {
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(&config.path, EmbeddedOptions::default())?);
    let topics = Topics::new(config.prefix.clone(), config.partitions);
    log.create_topics(&topics.fixed()).await?;
    let registry = LocalRegistry::open(log.clone(), &topics).await?;
    Ok((log, registry))
}
