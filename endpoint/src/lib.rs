//! Where the ERP's Postgres is and how the way there is protected, for whoever reads it and whoever writes to it.
//!
//! It promises: an address is parsed once, and means the same to both; nothing that is said about a wrong one holds its
//! password; certificates are treated as libpq's `sslmode` says.
//!
//! It leaves out: connecting, and all that is said on a connection.

mod address;
mod tls;

pub use address::{Endpoint, LIKE, TlsMode};
pub use tls::client_config;

/// What cannot be used. Trying again does not help: a person has to correct it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is none.
    #[error("{0}")]
    Address(String),
    /// The file with trusted certificates.
    #[error("sslrootcert {path}: {reason}")]
    Certificates {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// No protection is possible.
    #[error("no TLS: {0}")]
    Tls(String),
}
