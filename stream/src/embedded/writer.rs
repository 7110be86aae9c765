//! The one thread that commits. What waits when it comes round is committed together.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use schemas::topic::TopicConfig;
use tokio::sync::oneshot;

use super::checkpoint::Pending;
use super::files::Files;
use super::journal::{Frame, GroupOffset, Journal, Place};
use super::keeper::Keeper;
use super::segment::{Chunk, Segment};
use super::{EmbeddedOptions, Fsync, record, recovery, storage};
use crate::clock::now_ms;
use crate::in_process::{Pid, Placed, Staged, State, Transaction, lock};
use crate::log::Result;

/// Transactions are collected into one frame up to about so many bytes.
const GROUP_BYTES: usize = 8 << 20;
/// A buffer larger than this is given back.
const BUFFER_KEPT: usize = 4 << 20;
/// With the checkpoint this many journals behind, commits wait for it.
const JOURNALS_BEHIND: u64 = 8;

/// The answer to a commit: where each partition ends now.
pub(super) type Ends = BTreeMap<Pid, u64>;

/// What the writer is asked for. There is at most one from each producer, member or caller at a time.
pub(super) enum Request {
    Commit { transaction: Transaction, reply: oneshot::Sender<Result<Ends>> },
    Create { topics: Vec<TopicConfig>, reply: oneshot::Sender<Result<()>> },
}

/// The way to the writer's thread.
pub(super) struct Writer {
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    requests: VecDeque<Request>,
    stopped: bool,
}

impl Writer {
    /// Starts the thread, and with [`Fsync::Interval`] another that syncs.
    pub(super) fn start(
        state: Arc<Mutex<State>>,
        files: Arc<Files>,
        journal: Journal,
        keeper: Arc<Keeper>,
        options: &EmbeddedOptions,
    ) -> Result<(Arc<Self>, Vec<JoinHandle<()>>)> {
        let writer = Arc::new(Self { queue: Mutex::default(), wake: Condvar::new() });
        let dir = files.dir.clone();
        let syncing = Arc::new(Mutex::new(Syncing { file: journal.file.clone(), dirty: false, failed: None, stopped: false }));
        let committing = Committing {
            state,
            files,
            journal,
            keeper,
            options: options.clone(),
            buffer: Vec::new(),
            broken: None,
            syncing: syncing.clone(),
        };
        let spawned = {
            let writer = writer.clone();
            std::thread::Builder::new().name("log-writer".into()).spawn(move || committing.run(&writer))
        };
        let mut threads = vec![spawned.map_err(|error| storage(&dir, "start the writer", &error))?];
        if let Fsync::Interval(interval) = options.fsync {
            let spawned = std::thread::Builder::new().name("log-sync".into()).spawn(move || sync_often(&syncing, interval));
            threads.push(spawned.map_err(|error| storage(&dir, "start the syncing thread", &error))?);
        }
        Ok((writer, threads))
    }

    /// Hands a request in.
    pub(super) fn submit(&self, request: Request) {
        let mut queue = lock(&self.queue);
        // A stopped writer drops what it gets, and with it the channel that the caller waits on.
        if !queue.stopped {
            queue.requests.push_back(request);
            self.wake.notify_one();
        }
    }

    /// Ends the thread when it has done what waits.
    pub(super) fn stop(&self) {
        lock(&self.queue).stopped = true;
        self.wake.notify_all();
    }

    /// Waits for requests; none when stopped.
    fn next(&self, keeper: &Keeper, patience: Duration) -> Option<Vec<Request>> {
        let mut queue = lock(&self.queue);
        loop {
            if !queue.requests.is_empty() {
                let mut bytes = 0;
                let mut taken = Vec::new();
                while bytes < GROUP_BYTES
                    && let Some(request) = queue.requests.pop_front()
                {
                    bytes += match &request {
                        Request::Commit { transaction, .. } => transaction.records.iter().map(size).sum(),
                        Request::Create { .. } => 0,
                    };
                    taken.push(request);
                }
                return Some(taken);
            }
            if queue.stopped {
                return None;
            }
            if keeper.wants_checkpoint() {
                return Some(Vec::new());
            }
            queue = self.wake.wait_timeout(queue, patience).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn size(placed: &Placed) -> usize {
    placed.key.as_ref().map_or(0, bytes::Bytes::len) + placed.value.as_ref().map_or(0, bytes::Bytes::len) + 64
}

/// What the syncing thread looks at.
struct Syncing {
    file: Arc<std::fs::File>,
    dirty: bool,
    failed: Option<String>,
    stopped: bool,
}

fn sync_often(syncing: &Mutex<Syncing>, interval: Duration) {
    let slice = interval.min(Duration::from_millis(50)).max(Duration::from_millis(1));
    let mut waited = Duration::ZERO;
    loop {
        std::thread::sleep(slice);
        waited += slice;
        let file = {
            let mut syncing = lock(syncing);
            if syncing.stopped {
                return;
            }
            if waited < interval || !std::mem::take(&mut syncing.dirty) {
                continue;
            }
            syncing.file.clone()
        };
        waited = Duration::ZERO;
        if let Err(error) = file.sync_data() {
            tracing::error!(%error, "the journal cannot be made safe");
            lock(syncing).failed = Some(error.to_string());
        }
    }
}

struct Committing {
    state: Arc<Mutex<State>>,
    files: Arc<Files>,
    journal: Journal,
    keeper: Arc<Keeper>,
    options: EmbeddedOptions,
    buffer: Vec<u8>,
    /// Why nothing can be committed until the log is opened again.
    broken: Option<String>,
    syncing: Arc<Mutex<Syncing>>,
}

impl Committing {
    fn run(mut self, writer: &Writer) {
        while let Some(requests) = writer.next(&self.keeper, self.options.keep_every) {
            let mut together = Vec::new();
            for request in requests {
                match request {
                    Request::Commit { transaction, reply } => together.push((transaction, reply)),
                    Request::Create { topics, reply } => {
                        self.commit(std::mem::take(&mut together));
                        let created = self.create(&topics);
                        drop(reply.send(created));
                    }
                }
            }
            self.commit(together);
            self.turn_journal();
        }
        if self.options.fsync != Fsync::Never
            && let Err(error) = self.journal.file.sync_data()
        {
            tracing::error!(%error, "the journal cannot be made safe while closing");
        }
        lock(&self.syncing).stopped = true;
    }

    fn check(&mut self) -> Result<()> {
        if self.broken.is_none() {
            self.broken = lock(&self.syncing).failed.clone();
        }
        match &self.broken {
            None => Ok(()),
            Some(reason) => Err(storage(&self.files.dir, "commit any more until it is opened again", reason)),
        }
    }

    fn create(&mut self, topics: &[TopicConfig]) -> Result<()> {
        self.check()?;
        let state = self.state.clone();
        let mut state = lock(&state);
        // Somebody may have been first.
        for topic in state.missing_topics(topics)? {
            let write = |this: &mut Self| {
                let frame = Frame::topic(&topic)?;
                this.append(&frame)
            };
            write(self).map_err(|error| storage(&self.files.dir, "create a topic", &error))?;
            if let Err(error) = recovery::add_topic(&mut state, &self.files, &topic) {
                self.broken = Some(error.to_string());
                return Err(storage(&self.files.dir, "create a topic", &error));
            }
        }
        Ok(())
    }

    fn commit(&mut self, requests: Vec<(Transaction, oneshot::Sender<Result<Ends>>)>) {
        if requests.is_empty() {
            return;
        }
        let mut staged = Vec::with_capacity(requests.len());
        let mut replies = Vec::with_capacity(requests.len());
        let sound = self.check();
        {
            let mut state = lock(&self.state);
            for (transaction, reply) in requests {
                let checked = match &sound {
                    Ok(()) => state.stage(transaction, now_ms()),
                    Err(error) => Err(again(error)),
                };
                match checked {
                    Ok(transaction) => {
                        staged.push(transaction);
                        replies.push(reply);
                    }
                    Err(error) => drop(reply.send(Err(error))),
                }
            }
        }
        if staged.is_empty() {
            return;
        }
        let written = self.write(&staged);
        let mut state = lock(&self.state);
        match written {
            Ok(()) => {
                for (staged, reply) in staged.into_iter().zip(replies) {
                    state.publish(&staged, true);
                    drop(reply.send(Ok(staged.ends)));
                }
            }
            Err(error) => {
                tracing::error!(%error, path = %self.files.dir.display(), "a commit could not be written");
                for (staged, reply) in staged.iter().zip(replies).rev() {
                    state.unstage(staged);
                    drop(reply.send(Err(storage(&self.files.dir, "write a commit", &error))));
                }
            }
        }
    }

    /// Records into their segments, then the frame: with it, all is committed.
    fn write(&mut self, staged: &[Staged]) -> io::Result<()> {
        let mut by_partition: BTreeMap<Pid, Vec<(&Placed, i64)>> = BTreeMap::new();
        let mut offsets: Vec<GroupOffset> = Vec::new();
        for staged in staged {
            for placed in &staged.transaction.records {
                by_partition.entry(placed.pid).or_default().push((placed, staged.timestamp_ms));
            }
            if let Some(consumed) = &staged.transaction.consumed {
                offsets.extend(consumed.offsets.iter().map(|(pid, offset)| (consumed.group.clone(), *pid, *offset)));
            }
        }
        let mut frame = Frame::transactions(std::mem::take(&mut self.buffer));
        let mut written: Vec<(Arc<Segment>, Place)> = Vec::with_capacity(by_partition.len());
        for (pid, records) in &by_partition {
            let (Some((first, first_ms)), Some((last, last_ms))) = (records.first(), records.last()) else { continue };
            let place = frame.chunk(*pid, (first.offset, last.offset + 1), (*first_ms, *last_ms), |out| {
                records.iter().for_each(|(placed, timestamp_ms)| record::encode(placed, *timestamp_ms, out));
            });
            let bytes = &frame.bytes[place.from..place.to];
            let (segment, file) = self.files.partition(*pid).newest(place.first, bytes.len(), self.options.segment_bytes)?;
            file.write_all_at(bytes, segment.bytes())?;
            written.push((segment, place));
        }
        let frame = frame.finish(&offsets);
        self.append(&frame)?;
        for (segment, place) in &written {
            let bytes = &frame[place.from..place.to];
            segment.extend(&Chunk { bytes, first: place.first, end: place.end, first_ms: place.first_ms, last_ms: place.last_ms });
        }
        if frame.capacity() <= BUFFER_KEPT {
            self.buffer = frame;
        }
        Ok(())
    }

    fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        if let Err(error) = self.journal.append(frame) {
            if let Err(worse) = self.journal.mend() {
                self.broken = Some(format!("{error}, then {worse}"));
            }
            return Err(error);
        }
        match self.options.fsync {
            Fsync::EveryCommit => {
                if let Err(error) = self.journal.file.sync_data() {
                    // What the disk holds now is not known.
                    self.broken = Some(error.to_string());
                    return Err(error);
                }
            }
            Fsync::Interval(_) => lock(&self.syncing).dirty = true,
            Fsync::Never => {}
        }
        Ok(())
    }

    /// Begins the next journal when this one is full, and gives what stands to the keeper.
    fn turn_journal(&mut self) {
        let limit = self.options.journal_bytes;
        if self.broken.is_some() || (self.journal.bytes < limit && !self.keeper.wants_checkpoint()) {
            return;
        }
        if !self.keeper.is_free(self.journal.bytes >= limit * JOURNALS_BEHIND) {
            return;
        }
        // The old journal goes only when the checkpoint stands, but until then it must be safe if commits are.
        let turned = match self.options.fsync {
            Fsync::Never => Ok(()),
            Fsync::EveryCommit | Fsync::Interval(_) => self.journal.file.sync_data(),
        };
        match turned.and_then(|()| self.journal.next()) {
            Err(error) => tracing::error!(%error, path = %self.files.dir.display(), "the next journal cannot be begun"),
            Ok(journal) => {
                self.journal = journal;
                lock(&self.syncing).file = self.journal.file.clone();
                let pending = Pending::take(&lock(&self.state), &self.files, self.journal.number);
                self.keeper.give(pending);
            }
        }
    }
}

/// The same storage error for another caller.
fn again(error: &crate::error::Error) -> crate::error::Error {
    crate::error::Error::Unavailable { doing: "committing".into(), reason: error.to_string() }
}
