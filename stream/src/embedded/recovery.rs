//! Opening: the checkpoint, then what the journals hold beyond it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::checkpoint::{self, Checkpoint};
use super::files::Files;
use super::journal::{self, Entry, Journal};
use super::segment::{Chunk, Segment};
use super::{EmbeddedOptions, storage};
use crate::error::Error;
use crate::in_process::{Pid, State};
use crate::log::Result;

/// A log as it was left.
pub(super) struct Recovered {
    pub(super) state: State,
    pub(super) files: Files,
    pub(super) journal: Journal,
}

/// Reads a folder.
pub(super) fn recover(dir: &Path, options: &EmbeddedOptions) -> Result<Recovered> {
    let (mut state, files) = (State::default(), Files::new(dir));
    let checkpoint = checkpoint::read(dir).map_err(|error| storage(dir, "read checkpoint.json", &error))?;
    let first = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.journal);
    if let Some(checkpoint) = checkpoint {
        restore(&mut state, &files, checkpoint).map_err(|error| storage(dir, "take up the checkpoint", &error))?;
    }
    let numbers: Vec<u64> = checkpoint::journals(dir).map_err(|error| storage(dir, "list the journals", &error))?;
    let mut last = (first, 0);
    let mut rest = numbers.into_iter().filter(|number| *number >= first).peekable();
    while let Some(number) = rest.next() {
        let path = journal::path(dir, number);
        let whole = journal::replay::<Failure>(&path, |payload| replay(&mut state, &files, payload, options));
        let whole = whole.map_err(|failure| storage(dir, &format!("replay {}", path.display()), &failure.0))?;
        let size = std::fs::metadata(&path).map_err(|error| storage(dir, "look at the journal", &error))?.len();
        last = (number, whole);
        if whole < size {
            tracing::warn!(journal = number, lost_bytes = size - whole, "the end of the journal is not whole and is cut off");
            // Whatever a later journal holds came after what is missing: a prefix is kept, never a hole.
            for later in rest.by_ref() {
                tracing::error!(journal = later, "a journal after a damaged one is left out");
                let path = journal::path(dir, later);
                std::fs::rename(&path, path.with_extension("left-out")).map_err(|error| storage(dir, "set a journal aside", &error))?;
            }
            break;
        }
    }
    for pid in 0..state.partitions.len() {
        let next = state.partitions[pid].next;
        state.show(pid, next);
    }
    let journal = Journal::resume(dir, last.0, last.1).map_err(|error| storage(dir, "open the journal", &error))?;
    Ok(Recovered { state, files, journal })
}

/// Takes up a checkpoint, and removes files that it does not name.
fn restore(state: &mut State, files: &Files, checkpoint: Checkpoint) -> io::Result<()> {
    state.last_ms = checkpoint.last_ms;
    for topic in &checkpoint.topics {
        state.add_topic(&topic.config());
    }
    if state.partitions.len() != checkpoint.partitions.len() {
        return Err(io::Error::other("its topics and partitions do not fit together"));
    }
    for (partition, facts) in state.partitions.iter_mut().zip(&checkpoint.partitions) {
        partition.next = facts.next;
        let dir = files.partition_dir(&partition.at);
        let segments: Vec<Arc<Segment>> = facts.segments.iter().map(|segment| Arc::new(Segment::known(&dir, segment))).collect();
        let mut names: BTreeSet<OsString> = BTreeSet::new();
        for segment in &segments {
            let size = std::fs::metadata(segment.path())?.len();
            if size < segment.bytes() {
                return Err(io::Error::other(format!("{} has {size} bytes and should have {}", segment.path().display(), segment.bytes())));
            }
            for path in [segment.path(), &segment.path().with_extension("index")] {
                names.extend(path.file_name().map(OsString::from));
            }
        }
        for entry in std::fs::read_dir(&dir)? {
            let entry = entry?;
            if !names.contains(&entry.file_name()) {
                std::fs::remove_file(entry.path())?;
            }
        }
        files.add(&partition.at, partition.cleanup, segments, facts.cleaned)?;
    }
    for (name, committed) in checkpoint.groups {
        state.groups.entry(name.into()).or_default().committed = committed;
    }
    Ok(())
}

struct Failure(Error);

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self(Error::Storage { doing: "read".into(), path: "journal".into(), reason: error.to_string() })
    }
}

fn replay(state: &mut State, files: &Files, payload: &[u8], options: &EmbeddedOptions) -> Result<(), Failure> {
    match journal::parse(payload).ok_or_else(|| io::Error::other("a frame is whole but cannot be read"))? {
        Entry::Topic(topic) => add_topic(state, files, &topic.config()).map_err(Failure::from),
        Entry::Transactions { chunks, offsets } => {
            for (pid, chunk) in chunks {
                append(state, files, pid, &chunk, options)?;
            }
            for (group, pid, offset) in offsets {
                state.groups.entry(group).or_default().committed.insert(pid, offset);
            }
            Ok(())
        }
    }
}

/// Adds a topic to state and files.
pub(super) fn add_topic(state: &mut State, files: &Files, topic: &schemas::topic::TopicConfig) -> io::Result<()> {
    let first = state.partitions.len();
    state.add_topic(topic);
    for partition in &state.partitions[first..] {
        let dir = files.partition_dir(&partition.at);
        if dir.exists() {
            // Of a creation that did not get as far as the journal.
            std::fs::remove_dir_all(&dir)?;
        }
        files.add(&partition.at, partition.cleanup, Vec::new(), 0)?;
    }
    Ok(())
}

fn append(state: &mut State, files: &Files, pid: Pid, chunk: &Chunk<'_>, options: &EmbeddedOptions) -> io::Result<()> {
    let partition = state.partitions.get_mut(pid).ok_or_else(|| io::Error::other("a frame names a partition that does not exist"))?;
    if partition.next != chunk.first {
        return Err(io::Error::other(format!("{} goes on at offset {}, a frame at {}", partition.at, partition.next, chunk.first)));
    }
    partition.next = chunk.end;
    state.last_ms = state.last_ms.max(chunk.last_ms);
    let (segment, file) = files.partition(pid).newest(chunk.first, chunk.bytes.len(), options.segment_bytes)?;
    file.write_all_at(chunk.bytes, segment.bytes())?;
    segment.extend(chunk);
    Ok(())
}
