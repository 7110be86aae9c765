//! How processors batch and what they may use.

use serde::{Deserialize, Serialize};

/// Settings of all processors of one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name of this process among those that share the work; two that run at once must differ.
    pub instance: String,
    /// Most records in one transaction. Under light load a transaction carries one record and goes at once.
    pub batch_records: usize,
    /// Memory for cached blocks of one processor's store, bytes.
    pub store_cache_bytes: u64,
    /// Memory for unflushed state of one partition's store, bytes.
    pub store_buffer_bytes: u64,
    /// First wait after a failure that may pass, milliseconds; doubles, with jitter.
    pub backoff_ms: u64,
    /// Longest such wait, milliseconds.
    pub backoff_max_ms: u64,
    /// How often each processor says how it is doing, milliseconds.
    pub health_every_ms: u64,
    /// How long an answered write, or the edit for which one was refused, may stay unseen in its target's stream before its
    /// record is read again, milliseconds.
    pub reread_after_ms: u64,
    /// How long a record may wait for a parent that nobody has seen before that is shown as wrong, milliseconds. It goes on waiting.
    pub parent_wait_ms: u64,
    /// Settled conflicts and finished writes of each record that can be taken back; older ones are restored by value. Changing
    /// it forgets most of what is remembered.
    pub remembered_per_record: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            instance: "0".to_owned(),
            batch_records: 2000,
            store_cache_bytes: 8 << 20,
            store_buffer_bytes: 4 << 20,
            backoff_ms: 100,
            backoff_max_ms: 10_000,
            health_every_ms: 10_000,
            reread_after_ms: 60_000,
            parent_wait_ms: 3_600_000,
            remembered_per_record: 32,
        }
    }
}
