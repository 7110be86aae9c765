//! What a processor remembers: one ordered map for each processor and partition, on local disk or in memory.
//!
//! It promises to be a prefix of its changelog: a batch of changes becomes visible together with the changelog position
//! it reaches, or not at all. Nothing is forced to disk, because the changelog is the truth: after `kill -9` the store is
//! as it was, after a power cut it is an older prefix, and a store that cannot be opened is thrown away. Whoever opens
//! one replays what it lacks ([`Store::position`]).
//!
//! It leaves out transactions: the task buffers a batch and applies it after the log has committed.

mod disk;
mod memory;

use std::path::PathBuf;

use crate::config::Config;
use crate::error::{Error, Result};

pub use memory::MemoryStores;

/// Keys of state begin with anything but this byte.
const POSITION_KEY: &[u8] = b"\0position";

/// Where stores are kept.
#[derive(Debug, Clone)]
pub enum Home {
    /// In folders under this one.
    Disk(PathBuf),
    /// In memory; clones of the handle see the same stores, as a restarted process sees its disk.
    Memory(MemoryStores),
}

/// One change: a new value for a key, or none to remove it.
pub(crate) type Change = (Vec<u8>, Option<Vec<u8>>);

/// How far a store has followed its changelog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Next changelog offset to apply.
    pub next: u64,
    /// When it was last moved, microseconds since 1970-01-01T00:00:00Z.
    pub at: i64,
}

impl Position {
    fn to_bytes(self) -> [u8; 16] {
        let mut out = [0; 16];
        out[..8].copy_from_slice(&self.next.to_be_bytes());
        out[8..].copy_from_slice(&self.at.to_be_bytes());
        out
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (next, rest) = bytes.split_first_chunk::<8>()?;
        let at = rest.first_chunk::<8>()?;
        Some(Self { next: u64::from_be_bytes(*next), at: i64::from_be_bytes(*at) })
    }
}

/// All stores of one processor in this process.
pub(crate) enum Stores {
    Disk(disk::Disk),
    Memory(MemoryStores, &'static str),
}

impl Stores {
    /// Opens the stores of a processor.
    pub(crate) fn open(home: &Home, processor: &'static str, config: &Config) -> Result<Self> {
        Ok(match home {
            Home::Disk(folder) => Self::Disk(disk::Disk::open(folder.join(processor), config)?),
            Home::Memory(stores) => Self::Memory(stores.clone(), processor),
        })
    }

    /// The store of one partition.
    pub(crate) fn store(&self, partition: u32) -> Result<Store> {
        Ok(match self {
            Self::Disk(disk) => Store::Disk(disk.store(partition)?),
            Self::Memory(stores, processor) => Store::Memory(stores.store(processor, partition)),
        })
    }
}

/// The store of one processor and partition.
pub(crate) enum Store {
    Disk(disk::DiskStore),
    Memory(memory::MemoryStore),
}

impl Store {
    /// How far it has followed its changelog; none when it is new.
    pub(crate) fn position(&self) -> Result<Option<Position>> {
        self.get(POSITION_KEY, |value| value.and_then(Position::from_bytes))
    }

    /// Looks at the value of a key.
    pub(crate) fn get<R>(&self, key: &[u8], look: impl FnOnce(Option<&[u8]>) -> R) -> Result<R> {
        match self {
            Self::Disk(store) => store.get(key, look),
            Self::Memory(store) => Ok(store.get(key, look)),
        }
    }

    /// At most `limit` entries whose key starts with `prefix` and is not before `from`, in order.
    pub(crate) fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        match self {
            Self::Disk(store) => store.scan(prefix, from, limit),
            Self::Memory(store) => Ok(store.scan(prefix, from, limit)),
        }
    }

    /// Applies changes and the position they reach, all or nothing.
    pub(crate) fn apply(&self, changes: impl Iterator<Item = Change>, position: Position) -> Result<()> {
        let all = changes.chain(std::iter::once((POSITION_KEY.to_vec(), Some(position.to_bytes().to_vec()))));
        match self {
            Self::Disk(store) => store.apply(all),
            Self::Memory(store) => {
                store.apply(all);
                Ok(())
            }
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) -> Result<()> {
        match self {
            Self::Disk(store) => store.clear(),
            Self::Memory(store) => {
                store.clear();
                Ok(())
            }
        }
    }

    /// Every entry but the position, for comparing stores in tests.
    #[cfg(test)]
    pub(crate) fn dump(&self) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        Ok(self.scan(b"", b"", usize::MAX)?.into_iter().filter(|(key, _)| key != POSITION_KEY).collect())
    }
}

/// Names an error of the storage.
fn fail(doing: &'static str, path: &std::path::Path, error: &dyn std::fmt::Display) -> Error {
    Error::Store { doing, path: path.display().to_string(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn homes() -> (tempfile::TempDir, Vec<Home>) {
        let folder = tempfile::tempdir().expect("a folder");
        let homes = vec![Home::Disk(folder.path().to_owned()), Home::Memory(MemoryStores::default())];
        (folder, homes)
    }

    fn at(next: u64) -> Position {
        Position { next, at: 5 }
    }

    #[test]
    fn what_was_applied_is_there_after_opening_again_with_its_position() {
        let (_folder, homes) = homes();
        for home in homes {
            let changes = [(b"a1".to_vec(), Some(b"x".to_vec())), (b"a2".to_vec(), Some(b"y".to_vec())), (b"b".to_vec(), None)];
            {
                let store = Stores::open(&home, "matcher", &Config::default()).and_then(|stores| stores.store(3)).expect("opens");
                assert_eq!(store.position().expect("reads"), None);
                store.apply(changes.into_iter(), at(9)).expect("applies");
            }
            let stores = Stores::open(&home, "matcher", &Config::default()).expect("opens");
            let store = stores.store(3).expect("opens");
            assert_eq!(store.position().expect("reads"), Some(at(9)));
            assert_eq!(store.get(b"a2", |value| value.map(<[u8]>::to_vec)).expect("reads"), Some(b"y".to_vec()));
            assert_eq!(store.scan(b"a", b"a2", 10).expect("scans").len(), 1);
            assert_eq!(store.scan(b"a", b"", 1).expect("scans")[0].0, b"a1");
            assert_eq!(stores.store(4).expect("opens").position().expect("reads"), None);
            store.clear().expect("clears");
            assert_eq!((store.position().expect("reads"), store.dump().expect("scans").len()), (None, 0));
        }
    }

    #[test]
    fn a_store_that_cannot_be_opened_is_thrown_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = Home::Disk(folder.path().to_owned());
        std::fs::create_dir_all(folder.path().join("matcher")).expect("a folder");
        std::fs::write(folder.path().join("matcher").join("version"), b"rubbish").expect("a file");
        let store = Stores::open(&home, "matcher", &Config::default()).and_then(|stores| stores.store(0)).expect("opens");
        assert_eq!(store.position().expect("reads"), None);
    }
}
