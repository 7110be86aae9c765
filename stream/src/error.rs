//! What can go wrong with the log and the registry, and what to do then.

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Try again with backoff.
    Transient,
    /// Set the record aside and go on.
    Record,
    /// Stop this task; a person or a restart must help.
    Fatal,
}

/// An error of the log or the schema registry.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another producer took over the transactional id, or the member lost its partitions.
    #[error("{0} was taken over by another process; this one stops writing")]
    Fenced(String),
    /// The log cannot be reached or answers that it is not ready.
    #[error("cannot reach the log while {doing}: {reason}")]
    Unavailable {
        /// What we were doing.
        doing: String,
        /// What the client said.
        reason: String,
    },
    /// The log refuses, and will go on refusing.
    #[error("the log refuses {doing}: {reason}")]
    Refused {
        /// What we were doing.
        doing: String,
        /// What the client said.
        reason: String,
    },
    /// A topic does not exist.
    #[error("topic {0} does not exist; create it, or let Concord create topics")]
    UnknownTopic(String),
    /// A topic exists with another number of partitions than configured.
    #[error(
        "topic {topic} has {found} partitions, the configuration says {wanted}; set log.partitions to {found} or use another log.prefix"
    )]
    PartitionCount {
        /// Topic name.
        topic: String,
        /// Partitions it has.
        found: u32,
        /// Partitions configured.
        wanted: u32,
    },
    /// A record is larger than the log takes.
    #[error("a record of {bytes} bytes for {topic} is larger than the log takes")]
    TooLarge {
        /// Topic name.
        topic: String,
        /// Size of the record.
        bytes: usize,
    },
    /// The embedded log's disk storage failed.
    #[error("the embedded log cannot {doing} in {path}: {reason}")]
    Storage {
        /// What we were doing.
        doing: String,
        /// Folder of the log.
        path: String,
        /// What the storage said.
        reason: String,
    },
    /// The schema registry refuses a schema.
    #[error("the schema registry refuses {subject}: {reason}")]
    Schema {
        /// Subject.
        subject: String,
        /// Why, for example which change is not BACKWARD compatible.
        reason: String,
    },
    /// Bytes are not a message of the schema they name.
    #[error("cannot decode a record of {topic}: {reason}")]
    Decode {
        /// Topic name.
        topic: String,
        /// Why.
        reason: String,
    },
}

impl Error {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Unavailable { .. } => Class::Transient,
            Self::TooLarge { .. } | Self::Decode { .. } => Class::Record,
            Self::Fenced(_)
            | Self::Refused { .. }
            | Self::UnknownTopic(_)
            | Self::PartitionCount { .. }
            | Self::Storage { .. }
            | Self::Schema { .. } => Class::Fatal,
        }
    }
}
