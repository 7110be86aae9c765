//! Ordinary SQL connections, with the same protection and session settings as the replication connection.

use std::ops::Deref;

use endpoint::TlsMode;
use tokio_postgres::{Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connection::SESSION;
use super::error::{Error, Result};
use super::target::Target;

/// A connected client; dropping it ends the connection.
pub(crate) struct Sql {
    client: Client,
    connection: tokio::task::JoinHandle<()>,
}

impl Sql {
    /// Connects.
    pub(crate) async fn open(target: &Target) -> Result<Self> {
        let mut config = target.endpoint.settings();
        config.application_name("concord").options(SESSION).connect_timeout(target.connect_timeout);
        let failed = Error::statement(format!("connecting to {}", target.address()));
        // The connection's end is seen by whoever uses the client, so its own result says nothing new.
        let (client, connection) = if target.endpoint.tls == TlsMode::Disable {
            let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
            (client, tokio::spawn(async move { drop(connection.await) }))
        } else {
            let secure = MakeRustlsConnect::new(target.tls()?);
            let (client, connection) = config.connect(secure).await.map_err(failed)?;
            (client, tokio::spawn(async move { drop(connection.await) }))
        };
        Ok(Self { client, connection })
    }
}

impl Deref for Sql {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Sql {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// A name as it stands in a statement.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as it stands in a statement.
pub(crate) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if text.contains('\\') { format!(" E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}
