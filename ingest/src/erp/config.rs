//! Settings of one ERP source.

use serde::Deserialize;
pub use stream::Secret;

/// How one Postgres database is read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of the source: the key of its checkpoint and a part of its topics' envelope.
    pub name: String,
    /// `postgres://user:password@host:port/database?sslmode=…&sslrootcert=…`, with `sslmode` one of `disable`,
    /// `prefer`, `require`, `verify-ca`, `verify-full` (the default is `prefer`).
    pub url: Secret,
    /// Tables to read, as `schema.table`.
    pub tables: Vec<String>,
    /// Publication; made when it is missing and we may.
    pub publication: String,
    /// Replication slot; made when it is missing.
    pub slot: String,
    /// Replication origin under which our own writes are made; the writer's.
    pub origin: String,
    /// At most so many changes in one log transaction.
    pub batch_changes: usize,
    /// At most so many bytes of encoded changes in one log transaction.
    pub batch_bytes: usize,
    /// While behind, collect for so long before committing. A change that arrives alone is committed at once.
    pub linger_ms: u64,
    /// On a quiet stream, write the position to the log (and free the server's log files) this often.
    pub idle_checkpoint_ms: u64,
    /// Give up connecting after so long.
    pub connect_timeout_ms: u64,
    /// Without a word from the server for so long the connection counts as lost.
    pub silence_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "erp".to_owned(),
            url: Secret::default(),
            tables: Vec::new(),
            publication: "concord".to_owned(),
            slot: "concord".to_owned(),
            origin: "concord".to_owned(),
            batch_changes: 5_000,
            batch_bytes: 4 << 20,
            linger_ms: 20,
            idle_checkpoint_ms: 10_000,
            connect_timeout_ms: 10_000,
            silence_timeout_ms: 90_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_printed() {
        let config = Config { url: Secret::new("postgres://u:hunter2@h/d"), ..Config::default() };
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
