//! One session with the ERP, under the replication origin, with its prepared statements and table descriptions.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use endpoint::{Endpoint, TlsMode};
use tokio_postgres::{Client, Config as PgConfig, Error as PgError, NoTls, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::catalog::{self, Table};
use super::{Config, failure, setup, tls};
use crate::error::{Error, chain};

/// Statements kept prepared; beyond this all are forgotten, for shapes of writes repeat.
const MOST_PREPARED: usize = 200;

pub(crate) struct Connection {
    client: Client,
    server: String,
    prepared: HashMap<String, Statement>,
    tables: BTreeMap<String, Option<Arc<Table>>>,
}

impl Connection {
    /// Connects, creates what is missing, and takes the replication origin.
    pub(crate) async fn open(config: &Config) -> Result<Self, Error> {
        let client = connect(config).await?;
        setup::prepare(&client, config).await?;
        let doing = "opening a session";
        let server = client.query_one("SHOW server_version", &[]).await.map_err(|error| failure::whole(doing, &error))?.get(0);
        if let Err(error) = client.execute("SELECT pg_catalog.pg_replication_origin_session_setup($1)", &[&config.origin]).await {
            return Err(match error.code().map(|code| code.code()) {
                Some("55006") => Error::Missing {
                    what: format!("another session writes to the ERP under replication origin {}: {}", config.origin, chain(&error)),
                    remedy:
                        "stop the other Concord, or end its session with SELECT pg_terminate_backend(PID); one process writes at a time"
                            .to_owned(),
                },
                _ => failure::whole(doing, &error),
            });
        }
        Ok(Self { client, server, prepared: HashMap::new(), tables: BTreeMap::new() })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// The statement prepared from some SQL.
    pub(crate) async fn prepared(&mut self, sql: &str) -> Result<Statement, PgError> {
        if let Some(statement) = self.prepared.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        if self.prepared.len() >= MOST_PREPARED {
            self.prepared.clear();
        }
        self.prepared.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Descriptions of tables; those that do not exist are looked for again next time.
    pub(crate) async fn tables(&mut self, objects: &BTreeSet<&str>) -> Result<BTreeMap<String, Option<Arc<Table>>>, PgError> {
        for object in objects {
            if self.tables.get(*object).is_none_or(Option::is_none) {
                let table = catalog::table(&self.client, object).await?;
                self.tables.insert((*object).to_owned(), table);
            }
        }
        Ok(self.tables.clone())
    }

    /// Forgets what may be wrong with it after an error: the ERP may have changed a table under us.
    pub(crate) fn forget(&mut self, error: &PgError) {
        if matches!(failure::of(error), failure::Kind::Table | failure::Kind::Again) || failure::code(error).starts_with("42") {
            self.prepared.clear();
            self.tables.clear();
        }
    }

    /// Forgets the descriptions of tables, so that a column that has come since is seen.
    pub(crate) fn forget_tables(&mut self) {
        self.tables.clear();
    }
}

/// Connects as the sink does, for looking: nothing is made or changed, and nothing can be.
///
/// # Errors
/// What is wrong with the address, the protection, the credentials or the server.
pub async fn look(config: &Config) -> Result<Client, Error> {
    let client = connect(config).await?;
    let session = "SET default_transaction_read_only = on; SET application_name = 'concord check'";
    client.batch_execute(session).await.map_err(|error| failure::whole("connecting", &error))?;
    Ok(client)
}

/// Connects without taking the origin.
pub(crate) async fn connect(config: &Config) -> Result<Client, Error> {
    let endpoint = tls::endpoint(config)?;
    let mut settings = endpoint.settings();
    settings.application_name("concord sink").connect_timeout(config.connect_timeout).keepalives_idle(std::time::Duration::from_secs(30));
    let doing = "connecting";
    let client = tokio::time::timeout(config.connect_timeout, open(&settings, &endpoint, doing)).await.map_err(|_| Error::Reach {
        target: "the ERP",
        doing,
        reason: format!("no answer within {}", humantime::format_duration(config.connect_timeout)),
    })??;
    let session = format!(
        "SET timezone = 'UTC'; SET datestyle = 'ISO'; SET intervalstyle = 'postgres'; SET bytea_output = 'hex'; SET extra_float_digits = 1; \
         SET lock_timeout = {}; SET statement_timeout = {}; SET idle_in_transaction_session_timeout = '60s'; \
         SELECT CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', false) END",
        config.lock_timeout.as_millis(),
        config.statement_timeout.as_millis()
    );
    client.batch_execute(&session).await.map_err(|error| failure::whole(doing, &error))?;
    Ok(client)
}

async fn open(settings: &PgConfig, endpoint: &Endpoint, doing: &'static str) -> Result<Client, Error> {
    if endpoint.tls == TlsMode::Disable {
        let (client, connection) = settings.connect(NoTls).await.map_err(|error| failure::whole(doing, &error))?;
        tokio::spawn(ended(connection));
        return Ok(client);
    }
    let secure = MakeRustlsConnect::new(tls::client_config(endpoint)?);
    let refused = |error: PgError| tls::disagreement(endpoint, &error).unwrap_or_else(|| failure::whole(doing, &error));
    let (client, connection) = settings.connect(secure).await.map_err(refused)?;
    tokio::spawn(ended(connection));
    Ok(client)
}

/// Sees a session through to its end.
async fn ended(connection: impl Future<Output = Result<(), PgError>>) {
    if let Err(error) = connection.await {
        tracing::debug!(error = chain(&error), "the session with the ERP has ended");
    }
}
