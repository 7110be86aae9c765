//! What can go wrong while writing, and what to do then.

use std::time::Duration;

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Back off and try again.
    Transient,
    /// Set the record aside and go on.
    Record,
    /// Pause that side and say why; it goes on by itself once mended.
    Fatal,
}

/// An error of a sink as a whole; what is wrong with one write is in its outcome.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log or the registry.
    #[error(transparent)]
    Log(#[from] stream::Error),
    /// A setting cannot work.
    #[error("{what}; {remedy}")]
    Setting {
        /// Which setting, and what is wrong with it.
        what: String,
        /// What to put there.
        remedy: String,
    },
    /// The target cannot be reached, or broke off.
    #[error("{target} cannot be reached while {doing}: {reason}")]
    Reach {
        /// Which system.
        target: &'static str,
        /// What we were doing.
        doing: &'static str,
        /// What the client said.
        reason: String,
    },
    /// The target does not let us in.
    #[error("{target} does not accept our credentials: {reason}")]
    Credentials {
        /// Which system.
        target: &'static str,
        /// What it said.
        reason: String,
        /// What may help.
        remedy: String,
    },
    /// The target lacks something we need, or a right to it.
    #[error("{what}")]
    Missing {
        /// What, and where.
        what: String,
        /// The command or setting that mends it.
        remedy: String,
    },
    /// A limit of the target, or our share of it, is used up.
    #[error("{what}")]
    Limit {
        /// Which limit.
        what: String,
        /// When to look again.
        after: Duration,
    },
    /// The target is busy or restarting.
    #[error("{target} is not able to answer while {doing}: {reason}")]
    Busy {
        /// Which system.
        target: &'static str,
        /// What we were doing.
        doing: &'static str,
        /// What it said.
        reason: String,
        /// When it asks us to come back, if it does.
        after: Option<Duration>,
    },
    /// The target refuses a whole request that should have been right.
    #[error("{target} refuses {doing}: {code} {reason}")]
    Refused {
        /// Which system.
        target: &'static str,
        /// What we were doing.
        doing: &'static str,
        /// Its error code.
        code: String,
        /// What it said.
        reason: String,
    },
    /// The read model's schema cannot be brought up to date.
    #[error("the read model cannot be migrated: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

impl Error {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Log(error) => match error.class() {
                stream::Class::Transient => Class::Transient,
                stream::Class::Record => Class::Record,
                stream::Class::Fatal => Class::Fatal,
            },
            Self::Reach { .. } | Self::Busy { .. } | Self::Limit { .. } => Class::Transient,
            Self::Setting { .. } | Self::Credentials { .. } | Self::Missing { .. } | Self::Refused { .. } | Self::Migrate(_) => {
                Class::Fatal
            }
        }
    }

    /// What a person can do about it; empty when it passes by itself.
    pub fn remedy(&self) -> String {
        match self {
            Self::Log(_) => "look at the log's own health".to_owned(),
            Self::Setting { remedy, .. } | Self::Credentials { remedy, .. } | Self::Missing { remedy, .. } => remedy.clone(),
            Self::Reach { target, .. } => format!("check that {target} is up and reachable from here; writing goes on by itself"),
            Self::Busy { .. } => "writing goes on by itself".to_owned(),
            Self::Limit { .. } => {
                "writing goes on by itself when the limit allows; raise api_share or the org's limit if this is often".to_owned()
            }
            Self::Refused { .. } => "read the message; if it names nothing you can change, report it".to_owned(),
            Self::Migrate(_) => {
                "give Concord's user the right to change its own database, or drop and create that database: it is built again from the log"
                    .to_owned()
            }
        }
    }

    /// When to look again, where the target says.
    pub(crate) fn after(&self) -> Option<Duration> {
        match self {
            Self::Limit { after, .. } => Some(*after),
            Self::Busy { after, .. } => *after,
            Self::Log(_)
            | Self::Setting { .. }
            | Self::Reach { .. }
            | Self::Credentials { .. }
            | Self::Missing { .. }
            | Self::Refused { .. }
            | Self::Migrate(_) => None,
        }
    }
}

/// An error with all its causes, for messages that leave the process.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
