//! What is said when the way to the ERP cannot be found or protected.

use endpoint::{Endpoint, LIKE};
use rustls::{ClientConfig, Error as TlsError};

use super::Config;
use crate::error::Error;

/// Reads the address of a configuration.
pub(crate) fn endpoint(config: &Config) -> Result<Endpoint, Error> {
    Endpoint::parse(&config.url)
        .map_err(|error| Error::Setting { what: format!("the ERP's url: {error}"), remedy: format!("write it as {LIKE}") })
}

/// The client side of TLS.
pub(crate) fn client_config(endpoint: &Endpoint) -> Result<ClientConfig, Error> {
    endpoint::client_config(endpoint).map_err(|error| match error {
        endpoint::Error::Tls(reason) => refused(endpoint, &reason),
        other @ (endpoint::Error::Address(_) | endpoint::Error::Certificates { .. }) => Error::Setting {
            what: format!("the ERP's url: {other}"),
            remedy: "name a file with one or more certificates in PEM form".to_owned(),
        },
    })
}

/// Client and server did not agree on protection.
fn refused(endpoint: &Endpoint, reason: &str) -> Error {
    Error::Setting {
        what: format!("no TLS with the ERP at {}: {reason}", endpoint.place()),
        remedy: "correct sslmode or sslrootcert in the ERP's url, or the server's certificate".to_owned(),
    }
}

/// What a failure to connect says about protection, if it does: trying again does not help then.
pub(crate) fn disagreement(endpoint: &Endpoint, error: &tokio_postgres::Error) -> Option<Error> {
    let cause = std::error::Error::source(error)?;
    let handshake =
        cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref).and_then(|inner| inner.downcast_ref::<TlsError>());
    if let Some(handshake) = handshake {
        return Some(refused(endpoint, &handshake.to_string()));
    }
    (cause.to_string() == "server does not support TLS")
        .then(|| refused(endpoint, "the server does not offer it (set ssl = on there, or sslmode=prefer here)"))
}
