//! The process that watches over one server, so that nothing outlives us.
//!
//! ```text
//! us ──pipe──▶ sh guardian.sh ──▶ postgres / java
//!  └ any end of us closes the pipe; the guardian then stops the server and removes its directory
//! ```
//!
//! The write end of the pipe is close-on-exec, so no child of ours can keep it open. The guardian has its own process
//! group: Ctrl-C at the terminal reaches us and not the servers, and we stop them in the order we want.
//! It cannot help when it is itself killed with SIGKILL.

use std::ffi::OsString;
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::user::{self, User};
use crate::{Error, Result};

/// A running guardian, its directory, and the server it has started, if any.
#[derive(Debug)]
pub(crate) struct Guardian {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    dir: PathBuf,
    server: Option<u32>,
}

impl Guardian {
    /// Starts a guardian that makes `dir` and will run `command` there when told to.
    pub(crate) fn spawn(dir: &Path, user: Option<&User>, final_signal: &str, command: &[OsString]) -> Result<Guardian> {
        let mut child = user::command_as(user, "/bin/sh")
            .arg("-c")
            .arg(include_str!("guardian.sh"))
            .arg("concord-guardian")
            .arg(dir)
            .arg(final_signal)
            .args(command)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|source| Error::File { doing: "starting the guardian of", path: dir.to_owned(), source })?;
        let orders = child.stdin.take();
        let Some(answers) = child.stdout.take() else {
            return Err(Error::Guardian("has no output".to_owned()));
        };
        let mut guardian = Guardian { child, orders, answers: BufReader::new(answers), dir: dir.to_owned(), server: None };
        match guardian.answer()?.as_str() {
            "made" => Ok(guardian),
            _ => Err(Error::Guardian(format!("could not make {}", dir.display()))),
        }
    }

    /// The server's directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The server's process id while it should be running.
    pub(crate) fn server(&self) -> Option<u32> {
        self.server
    }

    /// Starts the server.
    pub(crate) fn start(&mut self) -> Result<()> {
        let answer = self.order("start")?;
        let pid = answer.parse().map_err(|_| Error::Guardian(format!("answered `{answer}` instead of a process id")))?;
        self.server = Some(pid);
        Ok(())
    }

    /// Sends the server `signal` and waits until it has ended; the directory stays.
    pub(crate) fn stop(&mut self, signal: &str) -> Result<()> {
        self.order(&format!("stop {signal}"))?;
        self.server = None;
        Ok(())
    }

    /// Sends the server a signal, such as STOP or CONT.
    pub(crate) fn signal(&mut self, signal: &str) -> Result<()> {
        self.order(&format!("signal {signal}")).map(|_| ())
    }

    /// Whether the server's process still runs. Where the system cannot say, yes.
    pub(crate) fn server_runs(&self) -> bool {
        let Some(pid) = self.server else { return false };
        if !Path::new("/proc/self").exists() {
            return true;
        }
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        state.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()).is_some_and(|state| state != "Z")
    }

    /// The last lines of the server's log.
    pub(crate) fn log_end(&self) -> String {
        user::last_lines(&self.log(), 12)
    }

    /// The whole of the server's log.
    pub(crate) fn log(&self) -> String {
        fs::read(self.dir.join("server.log")).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Stops the server and removes the directory; returns when both are done.
    pub(crate) fn end(&mut self) {
        drop(self.orders.take());
        // A guardian that is gone has nothing left to say.
        let _ = self.child.wait();
        self.server = None;
    }

    fn order(&mut self, order: &str) -> Result<String> {
        let Some(pipe) = self.orders.as_mut() else {
            return Err(Error::Guardian("has already ended".to_owned()));
        };
        writeln!(pipe, "{order}").map_err(|error| Error::Guardian(format!("does not take orders: {error}")))?;
        self.answer()
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line).map_err(|error| Error::Guardian(format!("does not answer: {error}")))?;
        if read == 0 {
            return Err(Error::Guardian(format!("ended (its directory was {})", self.dir.display())));
        }
        Ok(line.trim().to_owned())
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        self.end();
    }
}

/// A directory name nobody else uses.
pub(crate) fn fresh_dir(kind: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let random = RandomState::new().hash_one(std::process::id()) as u32;
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("concord-{kind}-{}-{next}-{random:08x}", std::process::id()))
}
