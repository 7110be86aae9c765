//! What stands in the segments at the end of a journal, so that the journal can go.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::files::Files;
use super::journal::{self, TopicFacts};
use super::segment::{Segment, SegmentFacts};
use crate::in_process::{State, lock};

const NAME: &str = "checkpoint.json";
const FORMAT: u32 = 1;

/// The file `checkpoint.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    pub(super) format: u32,
    /// The first journal that is not in the segments yet.
    pub(super) journal: u64,
    pub(super) last_ms: i64,
    pub(super) topics: Vec<TopicFacts>,
    /// In the order of topics and their partitions.
    pub(super) partitions: Vec<PartitionFacts>,
    /// Group, partition number within the log, offset.
    pub(super) groups: BTreeMap<String, BTreeMap<usize, u64>>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PartitionFacts {
    pub(super) next: u64,
    pub(super) cleaned: u64,
    pub(super) segments: Vec<SegmentFacts>,
}

/// A checkpoint to be written, and what has to be safe before.
pub(super) struct Pending {
    checkpoint: Checkpoint,
    segments: Vec<Arc<Segment>>,
    obsolete: Vec<Arc<Segment>>,
}

impl Pending {
    /// What stands now; nobody may be committing. `journal` is the one that begins now.
    pub(super) fn take(state: &State, files: &Files, journal: u64) -> Self {
        // Before the lists are looked at: what is retired later may still be in them.
        let obsolete = files.take_obsolete();
        let mut topics: Vec<_> = state.topics.iter().collect();
        topics.sort_by_key(|(_, topic)| topic.first);
        let topics = topics.into_iter().map(|(name, topic)| TopicFacts::of(&topic.config(name))).collect();
        let mut segments = Vec::new();
        let partitions = state.partitions.iter().zip(files.all()).map(|(partition, files)| {
            let list = lock(&files.segments);
            segments.extend(list.iter().cloned());
            let cleaned = files.cleaned.load(Ordering::Acquire);
            PartitionFacts { next: partition.next, cleaned, segments: list.iter().map(|segment| segment.facts()).collect() }
        });
        let partitions = partitions.collect();
        let groups = state.groups.iter().map(|(name, group)| (name.to_string(), group.committed.clone())).collect();
        let checkpoint = Checkpoint { format: FORMAT, journal, last_ms: state.last_ms, topics, partitions, groups };
        Self { checkpoint, segments, obsolete }
    }

    /// Makes everything safe, then the checkpoint, then removes what it makes superfluous.
    pub(super) fn write(self, dir: &Path) -> io::Result<()> {
        for segment in &self.segments {
            segment.sync()?;
        }
        let folders: std::collections::BTreeSet<_> = self.segments.iter().filter_map(|segment| segment.path().parent()).collect();
        for folder in folders {
            File::open(folder)?.sync_all()?;
        }
        File::open(dir.join("topics"))?.sync_all()?;
        let new = dir.join(format!("{NAME}.new"));
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(&self.checkpoint)?)?;
        file.sync_all()?;
        std::fs::rename(&new, dir.join(NAME))?;
        File::open(dir)?.sync_all()?;
        for number in journals(dir)?.into_iter().filter(|number| *number < self.checkpoint.journal) {
            std::fs::remove_file(journal::path(dir, number))?;
        }
        for segment in self.obsolete {
            segment.remove()?;
        }
        Ok(())
    }
}

/// The checkpoint of a folder; none in a new one.
pub(super) fn read(dir: &Path) -> io::Result<Option<Checkpoint>> {
    let bytes = match std::fs::read(dir.join(NAME)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let checkpoint: Checkpoint = serde_json::from_slice(&bytes)?;
    if checkpoint.format != FORMAT {
        return Err(io::Error::other(format!("its format is {}, this build knows {FORMAT}", checkpoint.format)));
    }
    Ok(Some(checkpoint))
}

/// Numbers of the journals in a folder, in order.
pub(super) fn journals(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.strip_prefix("journal-")).and_then(|number| number.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}
