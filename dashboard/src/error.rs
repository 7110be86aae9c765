//! What can go wrong in the dashboard, and what to do then.

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Try again with backoff.
    Transient,
    /// Only this request fails.
    Record,
    /// The dashboard stops; a person must help.
    Fatal,
}

/// An error of the dashboard.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting cannot be used.
    #[error("setting {setting}: {reason}")]
    Config {
        /// Its name.
        setting: &'static str,
        /// What is wrong and how to mend it.
        reason: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; is another Concord running there?")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The read model does not answer.
    #[error("cannot read {what} from the read model: {source}")]
    Read {
        /// What we wanted to know.
        what: &'static str,
        /// What Postgres said.
        source: sqlx::Error,
    },
    /// The log does not take a command.
    #[error("cannot put {what} on the log: {source}")]
    Publish {
        /// What we wanted to write.
        what: &'static str,
        /// What the log said.
        source: stream::Error,
    },
    /// A template failed; a fault of ours.
    #[error("cannot render {what}: {source}")]
    Render {
        /// Which part.
        what: &'static str,
        /// What askama said.
        source: askama::Error,
    },
    /// The request asks for something that cannot be done.
    #[error("{message}")]
    Refused {
        /// A word for programs.
        code: &'static str,
        /// What is wrong.
        message: String,
        /// What may help.
        remedy: String,
    },
    /// What the request names is not there.
    #[error("there is no {what}")]
    Missing {
        /// What was asked for.
        what: &'static str,
    },
    /// Too much of something at once.
    #[error("{0}")]
    Busy(&'static str),
}

impl Error {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Read { .. } | Self::Busy(_) => Class::Transient,
            Self::Publish { source, .. } => match source.class() {
                stream::Class::Transient => Class::Transient,
                stream::Class::Record => Class::Record,
                stream::Class::Fatal => Class::Fatal,
            },
            Self::Render { .. } | Self::Refused { .. } | Self::Missing { .. } => Class::Record,
            Self::Config { .. } | Self::Listen { .. } => Class::Fatal,
        }
    }

    /// A word for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Config { .. } => "config",
            Self::Listen { .. } => "listen",
            Self::Read { .. } => "read_model_unavailable",
            Self::Publish { .. } => "log_unavailable",
            Self::Render { .. } => "render",
            Self::Refused { code, .. } => code,
            Self::Missing { .. } => "not_found",
            Self::Busy(_) => "busy",
        }
    }

    /// What a person may do about it.
    pub(crate) fn remedy(&self) -> String {
        match self {
            Self::Read { .. } => {
                "Check that the read model's Postgres runs and has been migrated (concord migrate), then try again.".into()
            }
            Self::Publish { .. } => "Nothing was changed. Check that the log can be reached, then try again.".into(),
            Self::Refused { remedy, .. } => remedy.clone(),
            Self::Missing { .. } => "See the list for those that there are.".into(),
            Self::Busy(_) => "Wait a moment and try again.".into(),
            Self::Config { .. } | Self::Listen { .. } | Self::Render { .. } => "See the log of the dashboard.".into(),
        }
    }

    /// The text for people and programs: what Postgres or the log said stays in our own log.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Read { what, .. } => format!("The read model did not answer ({what})."),
            Self::Publish { what, .. } => format!("The log did not take the {what}."),
            Self::Render { .. } => "This page could not be made.".into(),
            other => {
                let text = other.to_string();
                let mut letters = text.chars();
                letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
            }
        }
    }
}
