//! What can go wrong: starting the simulator, and what an API call is answered with.

use serde_json::{Value, json};

/// Why the simulator could not start or stop.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// A port could not be opened.
    #[error("open {what} on {address}: {source}")]
    Bind {
        /// Which server.
        what: &'static str,
        /// Where it was to listen.
        address: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The self-signed certificate could not be made.
    #[error("make the self-signed certificate: {reason}")]
    Certificate {
        /// What the library said.
        reason: String,
    },
    /// The JWT public key in the settings is not an RSA public key in PEM.
    #[error("read the JWT public key: {reason}")]
    JwtKey {
        /// What the library said.
        reason: String,
    },
    /// An object definition is not well formed.
    #[error("object definition: {reason}")]
    Definition {
        /// Object, line and what is wrong with it.
        reason: String,
    },
}

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Try again.
    Transient,
    /// Set the record aside.
    Record,
    /// Fetch a person.
    Fatal,
}

impl SimulatorError {
    /// What to do about it.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Bind { .. } => Class::Transient,
            Self::Certificate { .. } | Self::JwtKey { .. } | Self::Definition { .. } => Class::Fatal,
        }
    }
}

/// An error as Salesforce's REST API words it: an HTTP status, a code, a message, the fields meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// HTTP status of the answer when the call was for one record.
    pub status: u16,
    /// `errorCode` of a single call, `statusCode` in Collections.
    pub code: &'static str,
    /// The text a person reads.
    pub message: String,
    /// The fields the error is about.
    pub fields: Vec<String>,
}

impl ApiError {
    /// An error with no field.
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), fields: Vec::new() }
    }

    /// A 400 about one field.
    pub fn field(code: &'static str, message: impl Into<String>, field: &str) -> Self {
        Self { status: 400, code, message: message.into(), fields: vec![field.to_owned()] }
    }

    /// "The requested resource does not exist".
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(404, "NOT_FOUND", "The requested resource does not exist")
    }

    /// A request body that does not parse or has the wrong shape.
    pub fn json(message: impl Into<String>) -> Self {
        Self::new(400, "JSON_PARSER_ERROR", message)
    }

    /// The element of the array a single call answers with.
    #[must_use]
    pub fn to_json(&self) -> Value {
        if self.fields.is_empty()
            && !matches!(self.code, "UNABLE_TO_LOCK_ROW" | "DUPLICATE_VALUE" | "INVALID_CROSS_REFERENCE_KEY" | "ENTITY_IS_DELETED")
        {
            json!({"message": self.message, "errorCode": self.code})
        } else {
            json!({"message": self.message, "errorCode": self.code, "fields": self.fields})
        }
    }

    /// The element of `errors` in a Collections result.
    #[must_use]
    pub fn to_collection_json(&self) -> Value {
        json!({"statusCode": self.code, "message": self.message, "fields": self.fields})
    }
}
