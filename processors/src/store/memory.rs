//! Stores in memory, for simulation. They outlive the task, as a disk outlives its process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Change;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;
/// Processor and partition → store.
type Shelf = BTreeMap<(String, u32), Arc<Mutex<Map>>>;

/// The stores of one simulated machine.
#[derive(Debug, Clone, Default)]
pub struct MemoryStores(Arc<Mutex<Shelf>>);

impl MemoryStores {
    /// Loses one store, as a new disk would.
    pub fn lose(&self, processor: &str, partition: u32) {
        lock(&self.0).remove(&(processor.to_owned(), partition));
    }

    /// Every entry of one store, for comparing two machines.
    #[must_use]
    pub fn entries(&self, processor: &str, partition: u32) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let store = lock(&self.0).get(&(processor.to_owned(), partition)).cloned().unwrap_or_default();
        let mut entries = lock(&store).clone();
        entries.remove(super::POSITION_KEY);
        entries
    }

    pub(super) fn store(&self, processor: &str, partition: u32) -> MemoryStore {
        MemoryStore(lock(&self.0).entry((processor.to_owned(), partition)).or_default().clone())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) struct MemoryStore(Arc<Mutex<Map>>);

impl MemoryStore {
    pub(super) fn get<R>(&self, key: &[u8], look: impl FnOnce(Option<&[u8]>) -> R) -> R {
        look(lock(&self.0).get(key).map(Vec::as_slice))
    }

    pub(super) fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let start = if from > prefix { from } else { prefix };
        let map = lock(&self.0);
        map.range(start.to_vec()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    pub(super) fn apply(&self, changes: impl Iterator<Item = Change>) {
        let mut map = lock(&self.0);
        for (key, value) in changes {
            match value {
                Some(value) => map.insert(key, value),
                None => map.remove(&key),
            };
        }
    }

    pub(super) fn clear(&self) {
        lock(&self.0).clear();
    }
}
