//! Stores on local disk: one database for each processor, one keyspace for each partition.

use std::path::PathBuf;

use fjall::config::PartitioningPolicy;
use fjall::{Database, Keyspace, KeyspaceCreateOptions};

use super::{Change, fail};
use crate::config::Config;
use crate::error::Result;

/// Journals are cut at this size; it bounds what is read again after a crash.
const JOURNAL_BYTES: u64 = 64 << 20;

pub(crate) struct Disk {
    database: Database,
    path: PathBuf,
    buffer_bytes: u64,
}

impl Disk {
    pub(super) fn open(path: PathBuf, config: &Config) -> Result<Self> {
        let open =
            || Database::builder(&path).cache_size(config.store_cache_bytes).worker_threads(1).max_journaling_size(JOURNAL_BYTES).open();
        let database = match open() {
            Ok(database) => database,
            Err(fjall::Error::Locked) => {
                return Err(fail("open", &path, &"another process uses it; give each process its own state directory"));
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "state cannot be opened; it is rebuilt from its changelog");
                match std::fs::remove_dir_all(&path) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fail("clear", &path, &error)),
                    _ => open().map_err(|error| fail("open", &path, &error))?,
                }
            }
        };
        Ok(Self { database, path, buffer_bytes: config.store_buffer_bytes })
    }

    pub(super) fn store(&self, partition: u32) -> Result<DiskStore> {
        // Filters and indexes of all tables but the newest are cut into pieces, and the cache holds those in use. In one piece, those
        // of one big table fill the cache, and one look-up reads all of it.
        let pieces = || PartitioningPolicy::new([false, true]);
        let options = || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(self.buffer_bytes)
                .filter_block_partitioning_policy(pieces())
                .index_block_partitioning_policy(pieces())
        };
        let keyspace = self.database.keyspace(&format!("p{partition}"), options).map_err(|error| fail("open", &self.path, &error))?;
        Ok(DiskStore { database: self.database.clone(), keyspace, path: self.path.clone() })
    }
}

pub(crate) struct DiskStore {
    database: Database,
    keyspace: Keyspace,
    path: PathBuf,
}

impl DiskStore {
    pub(super) fn get<R>(&self, key: &[u8], look: impl FnOnce(Option<&[u8]>) -> R) -> Result<R> {
        let value = self.keyspace.get(key).map_err(|error| fail("read", &self.path, &error))?;
        Ok(look(value.as_deref()))
    }

    pub(super) fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let start = if from > prefix { from } else { prefix };
        let mut found = Vec::new();
        for entry in self.keyspace.range(start.to_vec()..) {
            if found.len() == limit {
                break;
            }
            let (key, value) = entry.into_inner().map_err(|error| fail("read", &self.path, &error))?;
            if !key.starts_with(prefix) {
                break;
            }
            found.push((key.to_vec(), value.to_vec()));
        }
        Ok(found)
    }

    pub(super) fn apply(&self, changes: impl Iterator<Item = Change>) -> Result<()> {
        let mut batch = self.database.batch();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(&self.keyspace, key, value),
                None => batch.remove(&self.keyspace, key),
            }
        }
        batch.commit().map_err(|error| fail("write", &self.path, &error))
    }

    pub(super) fn clear(&self) -> Result<()> {
        self.keyspace.clear().map_err(|error| fail("clear", &self.path, &error))
    }
}
