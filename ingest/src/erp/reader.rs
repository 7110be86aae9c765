//! The thread that owns the replication socket: reads chunks, answers keepalives, reports what is safe.
//!
//! It is apart from the loop that decodes and writes so that the server hears from us however slow the log is. It is a
//! thread with a runtime of its own because waiting must be real: a shared runtime's poller is woken by every packet
//! even while no task wants to read, and the server pays for that wakeup. Two things were measured and hold here:
//!
//! - The server pays for a send and a wakeup per message, so the reader sets its pace: while we are behind (the server
//!   sends a transaction well after it was committed) we wait a moment before reading and find a socket that drains in
//!   large pieces. When we are not behind we read at once, so a lone change waits for nothing.
//! - The server sends a keepalive with its own position only while ours is behind it, so we report nothing but what
//!   the log has; that is how an idle slot moves on.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::clock;
use super::connection::{Connection, message_length, server_error};
use super::error::{Error, Result};
use super::lsn::Lsn;
use super::sql::{identifier, literal};
use super::target::Target;

/// Space asked for before each read.
const READ_BYTES: usize = 256 << 10;
/// A read of at least this much means that waiting would gain nothing.
const FULL_READ: usize = 128 << 10;
/// Chunks that may wait for the loop; with the size of a read this bounds the memory.
const CHUNKS: usize = 16;
/// A transaction sent so long after its commit means that we are behind, in microseconds.
const BEHIND_MICROS: i64 = 20_000;
/// How long to let the socket fill while behind.
const COALESCE: Duration = Duration::from_micros(500);
/// The server hears from us at least this often, and three times within its own limit (60 s by default).
const REPORT_EVERY: Duration = Duration::from_secs(10);
/// And at most this often for progress alone.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Whole messages, as they came.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// The messages.
    pub bytes: Bytes,
    /// The server is sending transactions that were committed a while ago.
    pub behind: bool,
}

/// A running replication stream. Dropping it ends the stream in order.
#[derive(Debug)]
pub struct Replication {
    /// What came.
    pub chunks: mpsc::Receiver<Result<Chunk>>,
    confirmed: watch::Sender<Lsn>,
}

impl Replication {
    /// Connects and starts streaming from a slot.
    ///
    /// # Errors
    /// What [`Connection::open`] says, or what the server says: the slot is in use, gone, or its log files are.
    pub async fn start(target: &Target, slot: &str, publication: &str, from: Lsn, silence: Duration) -> Result<Self> {
        let command = format!(
            "START_REPLICATION SLOT {} LOGICAL {from} (proto_version '1', publication_names {}, messages 'true')",
            identifier(slot),
            literal(&identifier(publication)),
        );
        let (sender, chunks) = mpsc::channel(CHUNKS);
        let (confirmed, safe) = watch::channel(from);
        let (begun, begins) = oneshot::channel();
        let target = target.clone();
        let thread = std::thread::Builder::new().name("erp-reader".to_owned()).spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(source) => return drop(begun.send(Err(Error::Lost { doing: "starting the reader", source }))),
            };
            runtime.block_on(read(target, command, sender, safe, silence, begun));
        });
        // The thread ends by itself when nobody wants what it reads.
        drop(thread.map_err(|source| Error::Lost { doing: "starting the reader", source })?);
        begins.await.map_err(|_| lost("starting the reader"))??;
        Ok(Self { chunks, confirmed })
    }

    /// Everything before this position is on the log; the server may forget it.
    pub fn confirm(&self, safe: Lsn) {
        self.confirmed.send_if_modified(|confirmed| {
            let newer = safe > *confirmed;
            if newer {
                *confirmed = safe;
            }
            newer
        });
    }
}

/// The life of the reader's thread.
async fn read(
    target: Target,
    command: String,
    sender: mpsc::Sender<Result<Chunk>>,
    safe: watch::Receiver<Lsn>,
    silence: Duration,
    begun: oneshot::Sender<Result<()>>,
) {
    let started = async {
        let mut connection = Connection::open(&target).await?;
        let report_every = report_every(&mut connection).await?;
        connection.start_replication(&command).await?;
        Ok((connection, report_every))
    };
    let (connection, report_every) = match started.await {
        Ok(started) => started,
        Err(error) => return drop(begun.send(Err(error))),
    };
    if begun.send(Ok(())).is_err() {
        return;
    }
    let now = Instant::now();
    let mut task = Task { connection, safe, silence, report_every, reported: now, due: now + report_every, behind: false };
    if let Err(error) = task.run(&sender).await {
        // Nobody is there to hear it when the stream was dropped.
        let _ = sender.send(Err(error)).await;
    }
}

struct Task {
    connection: Connection,
    safe: watch::Receiver<Lsn>,
    silence: Duration,
    report_every: Duration,
    reported: Instant,
    due: Instant,
    behind: bool,
}

/// What one look at received messages found.
#[derive(Debug, Default)]
struct Seen {
    whole: usize,
    answer_wanted: bool,
    ended: bool,
}

impl Task {
    async fn run(&mut self, sender: &mpsc::Sender<Result<Chunk>>) -> Result<()> {
        let mut heard = Instant::now();
        let mut asked = false;
        loop {
            let seen = self.look()?;
            if seen.answer_wanted {
                self.report(false).await?;
            }
            if seen.whole > 0 {
                let chunk = Chunk { bytes: self.connection.received.split_to(seen.whole).freeze(), behind: self.behind };
                if !self.deliver(sender, chunk).await? {
                    return self.leave().await;
                }
                heard = Instant::now();
                asked = false;
                if seen.ended {
                    return Err(lost("reading the replication stream"));
                }
                if self.behind && seen.whole < FULL_READ {
                    // The thread sleeps, not the task: see the head of this file.
                    std::thread::sleep(COALESCE);
                }
            }
            self.connection.received.reserve(READ_BYTES);
            let quiet = heard + if asked { self.silence } else { self.silence / 3 };
            tokio::select! {
                biased;
                read = self.connection.socket.read_buf(&mut self.connection.received) => {
                    match read.map_err(|source| Error::Lost { doing: "reading the replication stream", source })? {
                        0 => return Err(lost("reading the replication stream")),
                        _ => heard = Instant::now(),
                    }
                }
                () = sender.closed() => return self.leave().await,
                changed = self.safe.changed() => match changed {
                    Ok(()) => self.progress().await?,
                    Err(_) => return self.leave().await,
                },
                () = tokio::time::sleep_until(self.due) => self.report(false).await?,
                () = tokio::time::sleep_until(quiet) => {
                    if asked {
                        return Err(Error::Lost {
                            doing: "reading the replication stream",
                            source: io::Error::new(io::ErrorKind::TimedOut, format!("nothing heard for {} s", self.silence.as_secs())),
                        });
                    }
                    asked = true;
                    self.report(true).await?;
                }
            }
        }
    }

    /// Hands a chunk on, and keeps reporting while the loop has no room for it. False when nobody wants it any more.
    async fn deliver(&mut self, sender: &mpsc::Sender<Result<Chunk>>, chunk: Chunk) -> Result<bool> {
        loop {
            tokio::select! {
                biased;
                place = sender.reserve() => {
                    let Ok(place) = place else { return Ok(false) };
                    place.send(Ok(chunk));
                    return Ok(true);
                }
                changed = self.safe.changed() => match changed {
                    Ok(()) => self.progress().await?,
                    Err(_) => return Ok(false),
                },
                () = tokio::time::sleep_until(self.due) => self.report(false).await?,
            }
        }
    }

    /// Finds whole messages at the front of what was received, up to one that wants an answer at once.
    fn look(&mut self) -> Result<Seen> {
        let mut seen = Seen::default();
        while let Some(length) = message_length(&self.connection.received[seen.whole..])? {
            let message = &self.connection.received[seen.whole..seen.whole + length];
            seen.whole += length;
            match (message[0], message.get(5)) {
                (b'd', Some(b'w')) => self.behind = is_behind(&message[5..]).unwrap_or(self.behind),
                (b'd', Some(b'k')) => {
                    self.behind = false;
                    seen.answer_wanted |= message.get(22) == Some(&1);
                }
                (b'E', _) => {
                    return Err(Error::Server { doing: "reading the replication stream".to_owned(), error: server_error(&message[5..]) });
                }
                (b'c' | b'C', _) => seen.ended = true,
                _ => {}
            }
        }
        Ok(seen)
    }

    /// Progress alone is told at once, but not all the time.
    async fn progress(&mut self) -> Result<()> {
        let earliest = self.reported + PROGRESS_EVERY;
        if Instant::now() >= earliest {
            return self.report(false).await;
        }
        self.due = self.due.min(earliest);
        Ok(())
    }

    async fn report(&mut self, answer_wanted: bool) -> Result<()> {
        let safe = self.safe.borrow_and_update().0;
        let mut body = [0u8; 34];
        body[0] = b'r';
        for place in [1, 9, 17] {
            body[place..place + 8].copy_from_slice(&safe.to_be_bytes());
        }
        body[25..33].copy_from_slice(&(clock::now_micros() - clock::POSTGRES_EPOCH_MICROS).to_be_bytes());
        body[33] = u8::from(answer_wanted);
        let mut message = BytesMut::with_capacity(39);
        postgres_protocol::message::frontend::CopyData::new(&body[..])
            .map_err(|source| Error::Lost { doing: "reporting to the server", source })?
            .write(&mut message);
        self.send(&message).await?;
        self.reported = Instant::now();
        self.due = self.reported + self.report_every;
        Ok(())
    }

    /// Tells the server what is safe and that we are going, so that the slot is free at once.
    async fn leave(&mut self) -> Result<()> {
        self.report(false).await?;
        let mut goodbye = BytesMut::new();
        postgres_protocol::message::frontend::copy_done(&mut goodbye);
        postgres_protocol::message::frontend::terminate(&mut goodbye);
        self.send(&goodbye).await?;
        self.connection.socket.shutdown().await.map_err(|source| Error::Lost { doing: "ending the replication stream", source })
    }

    async fn send(&mut self, message: &[u8]) -> Result<()> {
        let failed = |source| Error::Lost { doing: "reporting to the server", source };
        self.connection.socket.write_all(message).await.map_err(failed)?;
        self.connection.socket.flush().await.map_err(failed)
    }
}

/// How often the server has to hear from us so that it does not hang up.
async fn report_every(connection: &mut Connection) -> Result<Duration> {
    let rows = connection.query("reading wal_sender_timeout", "SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout'").await?;
    let limit = rows.first().and_then(|row| row.first()).and_then(|setting| setting.as_deref()).and_then(|text| text.parse().ok());
    Ok(match limit {
        None | Some(0) => REPORT_EVERY,
        Some(limit) => REPORT_EVERY.min(Duration::from_millis(limit) / 3),
    })
}

/// A transaction's start carries its commit time, and the frame around it when it was sent, both by one clock.
fn is_behind(frame: &[u8]) -> Option<bool> {
    let time = |at: usize| frame.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(i64::from_be_bytes);
    (*frame.get(25)? == b'B').then_some(())?;
    Some(time(17)?.saturating_sub(time(34)?) > BEHIND_MICROS)
}

fn lost(doing: &'static str) -> Error {
    Error::Lost { doing, source: io::ErrorKind::UnexpectedEof.into() }
}
