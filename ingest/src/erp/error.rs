//! What can go wrong while the ERP is read, and what to do then.

use std::fmt;

use stream::Class;

use super::check::Finding;

/// Result of anything in this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that the server reported, in its own fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerError {
    /// SQLSTATE, five characters.
    pub state: String,
    /// The primary message.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What the server advises.
    pub hint: Option<String>,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.message, self.state)?;
        for more in [&self.detail, &self.hint].into_iter().flatten() {
            write!(f, "; {more}")?;
        }
        Ok(())
    }
}

impl ServerError {
    /// Whether trying again may help: lost connections, a server that starts or stops, too many connections, a slot
    /// that another connection still holds, serialization failures. Anything else needs a change by a person.
    pub fn class(&self) -> Class {
        let transient = ["08", "40", "53", "58"].iter().any(|class| self.state.starts_with(class))
            || matches!(self.state.as_str(), "55006" | "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "55P03");
        if transient { Class::Transient } else { Class::Fatal }
    }
}

/// An error of ERP capture.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection's address or the settings cannot be used.
    #[error("erp configuration: {0}")]
    Configure(String),
    /// No connection could be made.
    #[error("cannot connect to Postgres at {address}: {source}")]
    Connect {
        /// Host and port.
        address: String,
        /// The cause.
        source: std::io::Error,
    },
    /// The encrypted connection could not be agreed on.
    #[error("no TLS with Postgres at {address}: {reason}")]
    SecureConnection {
        /// Host and port.
        address: String,
        /// Why.
        reason: String,
    },
    /// The server wants a way to sign in that we do not have.
    #[error("cannot sign in to Postgres at {address}: {reason}")]
    SignIn {
        /// Host and port.
        address: String,
        /// Why.
        reason: String,
    },
    /// The server refused what we asked for.
    #[error("Postgres refuses while {doing}: {error}")]
    Server {
        /// What we were doing.
        doing: String,
        /// What it said.
        error: ServerError,
    },
    /// A statement failed without an answer of the server.
    #[error("Postgres does not answer while {doing}: {source}")]
    Statement {
        /// What we were doing.
        doing: String,
        /// The cause.
        source: tokio_postgres::Error,
    },
    /// The connection broke.
    #[error("the connection to Postgres was lost while {doing}: {source}")]
    Lost {
        /// What we were doing.
        doing: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// The server said something that the protocol does not allow, or that we do not know.
    #[error("Postgres sent something unexpected while {doing}: {what}")]
    Protocol {
        /// What we were doing.
        doing: &'static str,
        /// What it sent.
        what: String,
    },
    /// A value of a row cannot be carried.
    #[error("column {column} of {table}: {reason}")]
    ConvertRow {
        /// Table.
        table: String,
        /// Column.
        column: String,
        /// Why.
        reason: String,
    },
    /// Something about the database has to be changed first.
    #[error("{}", list(.0))]
    Unfit(Vec<Finding>),
    /// A checkpoint on the log is not one of ours.
    #[error("the checkpoint of source {name} cannot be read: {reason}")]
    ReadCheckpoint {
        /// Source name.
        name: String,
        /// Why.
        reason: String,
    },
    /// The log or the schema registry failed.
    #[error(transparent)]
    Log(#[from] stream::Error),
}

impl Error {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Connect { .. } | Self::Lost { .. } => Class::Transient,
            Self::Statement { source, .. } => {
                if source.is_closed() || source.as_db_error().is_none() {
                    Class::Transient
                } else {
                    Class::Fatal
                }
            }
            Self::Server { error, .. } => error.class(),
            Self::ConvertRow { .. } => Class::Record,
            Self::Configure(_)
            | Self::SecureConnection { .. }
            | Self::SignIn { .. }
            | Self::Protocol { .. }
            | Self::Unfit(_)
            | Self::ReadCheckpoint { .. } => Class::Fatal,
            Self::Log(error) => error.class(),
        }
    }

    /// The SQLSTATE, where the server gave one.
    pub fn state(&self) -> Option<&str> {
        match self {
            Self::Server { error, .. } => Some(&error.state),
            _ => None,
        }
    }

    /// A failed statement, with the server's own words where it gave any.
    pub(crate) fn statement(doing: impl Into<String>) -> impl FnOnce(tokio_postgres::Error) -> Error {
        let doing = doing.into();
        move |source| match source.as_db_error() {
            Some(said) => Error::Server {
                doing,
                error: ServerError {
                    state: said.code().code().to_owned(),
                    message: said.message().to_owned(),
                    detail: said.detail().map(str::to_owned),
                    hint: said.hint().map(str::to_owned),
                },
            },
            None => Error::Statement { doing, source },
        }
    }
}

fn list(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
