//! What can go wrong in a processor, and what to do then.

pub use stream::Class;

/// Result of anything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a processor.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log or the schema registry failed.
    #[error("{processor} cannot go on: {source}")]
    Log {
        /// Which processor.
        processor: &'static str,
        /// What the log said.
        #[source]
        source: stream::Error,
    },
    /// A record's bytes are not what its topic holds.
    #[error("cannot decode a record of {topic}: {reason}")]
    DecodeRecord {
        /// Topic.
        topic: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A value cannot be read through the mapping.
    #[error("cannot map {field} of {object} {record}: {reason}")]
    MapValue {
        /// Canonical field, or column.
        field: String,
        /// Object or table.
        object: String,
        /// Record id.
        record: String,
        /// Why.
        reason: String,
    },
    /// A value cannot be written through the mapping.
    #[error("{reason}")]
    Unwritten {
        /// Which, where, and why.
        reason: String,
    },
    /// A message speaks of something the mapping does not have.
    #[error("{what} is not in the mapping (version {version})")]
    Unmapped {
        /// What it speaks of.
        what: String,
        /// Version in force.
        version: i64,
    },
    /// A message is well-formed but cannot be meant.
    #[error("{what}: {reason}")]
    Meaningless {
        /// Which message.
        what: String,
        /// Why.
        reason: String,
    },
    /// The local store failed.
    #[error("cannot {doing} the state in {path}: {reason}")]
    Store {
        /// What we were doing.
        doing: &'static str,
        /// Folder of the store.
        path: String,
        /// What the storage said.
        reason: String,
    },
    /// State was written by another build or is damaged.
    #[error(
        "the state of {processor} cannot be read: {reason}; stop Concord, delete its folder under the state directory, and it is rebuilt from {changelog}"
    )]
    ReadState {
        /// Which processor.
        processor: &'static str,
        /// Its changelog topic.
        changelog: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The mapping file is wrong.
    #[error("{}{reason}", place(file.as_deref(), *line))]
    Mapping {
        /// File name, where it was read from a file.
        file: Option<String>,
        /// Line, from 1, where known.
        line: Option<usize>,
        /// Which field, what is wrong and how to mend it.
        reason: String,
    },
    /// A metric could not be registered.
    #[error("cannot register metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

impl Error {
    /// Wraps what the log said.
    pub(crate) fn log(processor: &'static str) -> impl Fn(stream::Error) -> Self {
        move |source| Self::Log { processor, source }
    }

    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Log { source, .. } => source.class(),
            Self::DecodeRecord { .. }
            | Self::MapValue { .. }
            | Self::Unwritten { .. }
            | Self::Unmapped { .. }
            | Self::Meaningless { .. } => Class::Record,
            Self::Store { .. } | Self::ReadState { .. } | Self::Mapping { .. } | Self::Metrics(_) => Class::Fatal,
        }
    }

    /// Another process took the task over; joining again is right.
    pub fn fenced(&self) -> bool {
        matches!(self, Self::Log { source: stream::Error::Fenced(_), .. })
    }

    /// The same for a log, where customers' values do not stand.
    pub(crate) fn quiet(&self) -> String {
        match self {
            Self::MapValue { field, object, record, .. } => format!("cannot map {field} of {object} {record}"),
            Self::Unwritten { reason } => {
                let field = reason.split(':').next().unwrap_or_default();
                format!("cannot write {field}")
            }
            other => other.to_string(),
        }
    }

    /// What may help, for a person.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Log { .. } => "see that the log and the schema registry can be reached and that their topics are as configured",
            Self::DecodeRecord { .. } => "see who wrote the record; change it once at its source, so that it is written anew",
            Self::MapValue { .. } => {
                "correct the value at its source, and it is read again; or correct the mapping's type, words or expressions and put that in force (concord mapping apply)"
            }
            Self::Unwritten { .. } => {
                "correct the value on either side and it is carried across; or correct the mapping (length, words, expressions) and try it again (page Failures, or concord retry)"
            }
            Self::Unmapped { .. } => "add it to the mapping, or leave it",
            Self::Meaningless { .. } => "see who wrote the message",
            Self::Store { .. } => "see that the state directory is writable and not full",
            Self::ReadState { .. } => "delete the processor's folder under the state directory; it is rebuilt from the changelog",
            Self::Mapping { .. } => "correct the mapping file",
            Self::Metrics(_) => "register each processor's metrics once",
        }
    }
}

fn place(file: Option<&str>, line: Option<usize>) -> String {
    match (file, line) {
        (Some(file), Some(line)) => format!("{file}:{line}: "),
        (Some(file), None) => format!("{file}: "),
        (None, Some(line)) => format!("line {line}: "),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_record_is_set_aside_and_a_lost_log_is_tried_again() {
        let lost = Error::Log { processor: "matcher", source: stream::Error::Unavailable { doing: "poll".into(), reason: "gone".into() } };
        assert_eq!((lost.class(), lost.fenced()), (Class::Transient, false));
        let odd = Error::Unmapped { what: "kind lead".into(), version: 1 };
        assert_eq!(odd.class(), Class::Record);
        assert!(Error::Log { processor: "matcher", source: stream::Error::Fenced("m".into()) }.fenced());
    }
}
