//! Why the registry says no, with the codes that Confluent's clients know.

use crate::error::Error;

/// An answer other than yes.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No such subject.
    #[error("Subject '{0}' not found.")]
    UnknownSubject(String),
    /// No such version.
    #[error("Version {0} not found.")]
    UnknownVersion(String),
    /// No such schema.
    #[error("Schema {0} not found")]
    UnknownSchema(String),
    /// The subject has no level of its own.
    #[error("Subject '{0}' does not have subject-level compatibility configured")]
    NoLevel(String),
    /// Not Avro.
    #[error("Invalid schema: {0}")]
    InvalidSchema(String),
    /// Neither a number nor `latest`.
    #[error("The specified version '{0}' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\"")]
    InvalidVersion(String),
    /// Not a level.
    #[error(
        "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive; got {0}"
    )]
    InvalidLevel(String),
    /// Something Concord does not offer.
    #[error("{0}")]
    NotOffered(String),
    /// May not follow the earlier schemas.
    #[error("Schema being registered is incompatible with an earlier schema for subject \"{subject}\", details: {details:?}")]
    Incompatible {
        /// Subject.
        subject: String,
        /// Each objection.
        details: Vec<String>,
    },
    /// The log failed.
    #[error("Error in the backend data store: {0}")]
    Log(#[from] Error),
}

impl Refusal {
    /// The code in the body; its first three digits are the HTTP status.
    pub fn code(&self) -> u32 {
        match self {
            Self::UnknownSubject(_) => 40401,
            Self::UnknownVersion(_) => 40402,
            Self::UnknownSchema(_) => 40403,
            Self::NoLevel(_) => 40408,
            Self::InvalidSchema(_) => 42201,
            Self::InvalidVersion(_) => 42202,
            Self::InvalidLevel(_) => 42203,
            Self::NotOffered(_) => 42200,
            Self::Incompatible { .. } => 409,
            Self::Log(_) => 50001,
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self.code() {
            code if code >= 1000 => (code / 100) as u16,
            code => code as u16,
        }
    }

    pub(super) fn into_error(self, subject: &str) -> Error {
        match self {
            Self::Log(error) => error,
            other => Error::Schema { subject: subject.to_owned(), reason: other.to_string() },
        }
    }
}
