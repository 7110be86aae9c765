//! What can go wrong while a private server is brought up, each with what may mend it.

use std::path::PathBuf;

/// The result of anything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a private server could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program that has to be on the machine is not.
    #[error("{program} is needed to {purpose} and was not found; install it with: {remedy}")]
    MissingProgram {
        /// The program's name.
        program: &'static str,
        /// What it is needed for.
        purpose: &'static str,
        /// The command that installs it.
        remedy: &'static str,
    },
    /// A program ran and failed.
    #[error("`{command}` failed ({status}): {output}")]
    Command {
        /// The command as run.
        command: String,
        /// How it ended.
        status: String,
        /// The last lines it printed.
        output: String,
    },
    /// A server did not come up.
    #[error("{server} did not answer on 127.0.0.1:{port} within {seconds} s; the end of its log:\n{log}")]
    NotReady {
        /// Which server.
        server: &'static str,
        /// The port it should listen on.
        port: u16,
        /// How long we waited.
        seconds: u64,
        /// The last lines of its log.
        log: String,
    },
    /// A file or directory could not be used.
    #[error("{doing} {}: {source}", path.display())]
    File {
        /// What we were doing.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The process that watches over a server ended or answered nonsense.
    #[error("the guardian of a private server {0}")]
    Guardian(String),
    /// A statement to a private Postgres failed.
    #[error("private Postgres: {doing}: {}", source.as_db_error().map_or_else(|| source.to_string(), ToString::to_string))]
    Sql {
        /// What we were doing.
        doing: String,
        /// The cause.
        source: tokio_postgres::Error,
    },
}
