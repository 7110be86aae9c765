//! Which server and database to read, parsed once from the address.

use std::time::Duration;

use endpoint::Endpoint;

use super::config::Config;
use super::error::{Error, Result};

/// A server, a database on it, and how to sign in.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where.
    pub endpoint: Endpoint,
    /// Give up connecting after this.
    pub connect_timeout: Duration,
}

impl Target {
    /// Reads the address of a configuration.
    ///
    /// # Errors
    /// [`Error::Configure`] says which part cannot be used; the password is not in the text.
    pub fn of(config: &Config) -> Result<Self> {
        let endpoint = Endpoint::parse(&config.url)
            .map_err(|error| Error::Configure(format!("url of source {}: {error}; write it as {}", config.name, endpoint::LIKE)))?;
        Ok(Self { endpoint, connect_timeout: Duration::from_millis(config.connect_timeout_ms.max(1)) })
    }

    /// Host and port, for people.
    pub fn address(&self) -> String {
        self.endpoint.place()
    }

    /// The client side of TLS.
    pub(crate) fn tls(&self) -> Result<rustls::ClientConfig> {
        endpoint::client_config(&self.endpoint).map_err(|error| match error {
            endpoint::Error::Tls(reason) => Error::SecureConnection { address: self.address(), reason },
            other @ (endpoint::Error::Address(_) | endpoint::Error::Certificates { .. }) => Error::Configure(other.to_string()),
        })
    }
}
