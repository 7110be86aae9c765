//! Ordinary SQL connections, with the same protection and session settings as the replication connection.

use std::ops::Deref;

use tokio_postgres::{Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connection::SESSION;
use super::error::{Error, Result};
use super::target::{Target, TlsMode};
use super::tls;

/// A connected client; dropping it ends the connection.
pub(crate) struct Sql {
    client: Client,
    connection: tokio::task::JoinHandle<()>,
}

impl Sql {
    /// Connects.
    pub(crate) async fn open(target: &Target) -> Result<Self> {
        let mut config = tokio_postgres::Config::new();
        config
            .host(&target.host)
            .port(target.port)
            .dbname(&target.database)
            .user(&target.user)
            .password(target.password.reveal())
            .application_name("concord")
            .options(SESSION)
            .connect_timeout(target.connect_timeout)
            .ssl_mode(match target.tls {
                TlsMode::Disable => tokio_postgres::config::SslMode::Disable,
                TlsMode::Prefer => tokio_postgres::config::SslMode::Prefer,
                TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => tokio_postgres::config::SslMode::Require,
            });
        let failed = Error::statement(format!("connecting to {}", target.address()));
        // The connection's end is seen by whoever uses the client, so its own result says nothing new.
        let (client, connection) = if target.tls == TlsMode::Disable {
            let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
            (client, tokio::spawn(async move { drop(connection.await) }))
        } else {
            let secure = MakeRustlsConnect::new(tls::client_config(target)?);
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
