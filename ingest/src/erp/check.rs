//! What has to be true of a database before it can be read, each with the command that makes it so.

use std::fmt;

use tokio_postgres::Client;

use super::catalog::{self, Identity, TableInfo};
use super::config::Config;
use super::connection::Connection;
use super::error::{Error, Result};
use super::publication;
use super::sql::{Sql, identifier};
use super::target::Target;

/// Something that has to be changed before reading can begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub what: String,
    /// Where: server, table, setting.
    pub place: String,
    /// The command, or the words, that mend it.
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; to mend it: {}", self.place, self.what, self.remedy)
    }
}

impl Finding {
    pub(crate) fn new(place: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), place: place.into(), remedy: remedy.into() }
    }
}

const OLDEST_SERVER: i32 = 150_000;

/// Looks at everything a source needs and changes nothing. An empty list means that reading can begin.
///
/// # Errors
/// Only when the database stops answering in the middle; what is wrong with it is a finding.
pub async fn check(config: &Config) -> Result<Vec<Finding>> {
    let target = match Target::of(config) {
        Ok(target) => target,
        Err(error) => return Ok(vec![Finding::new(format!("source {}", config.name), error.to_string(), "correct the setting")]),
    };
    if config.tables.is_empty() {
        return Ok(vec![Finding::new(format!("source {}", config.name), "no table is named", "list the tables to read, as schema.table")]);
    }
    // Signing in for replication shows the faults of address, TLS and password in the server's own fields.
    let (refused, client) = match Connection::open(&target).await {
        Ok(mut connection) => {
            connection.query("looking at the server", "IDENTIFY_SYSTEM").await?;
            (None, Sql::open(&target).await?)
        }
        Err(error) => match Sql::open(&target).await {
            Ok(client) => (Some(error), client),
            Err(_) => return Ok(vec![unreachable(&target, &error)]),
        },
    };
    let mut findings = server(&client, &target).await?;
    if let (Some(error), true) = (refused, findings.is_empty()) {
        findings.push(replication_refused(&target, &error));
    }
    findings.extend(tables(&client, config).await?);
    findings.extend(publication::check(&client, config).await?);
    Ok(findings)
}

/// What an error of connecting means for the person who has to mend it.
pub(crate) fn unreachable(target: &Target, error: &Error) -> Finding {
    let place = format!("Postgres at {}", target.address());
    let remedy = match (error, error.state()) {
        (_, Some("28P01")) => {
            format!("set the right password in the source's url, or: ALTER ROLE {} PASSWORD '…';", identifier(&target.endpoint.user))
        }
        (_, Some("28000")) => format!(
            "create the role, or let it in: add a line for {} and database {} to pg_hba.conf, then: SELECT pg_reload_conf();",
            target.endpoint.user, target.endpoint.database
        ),
        (_, Some("3D000")) => {
            format!("correct the database in the source's url, or: CREATE DATABASE {};", identifier(&target.endpoint.database))
        }
        (_, Some("53300")) => "raise max_connections or max_wal_senders, or close connections".to_owned(),
        (Error::SecureConnection { .. }, _) => "correct sslmode or sslrootcert in the source's url".to_owned(),
        (Error::SignIn { .. }, _) => "set the role's password in the source's url".to_owned(),
        _ => format!(
            "see that the server runs and can be reached from here: pg_isready -h {} -p {}",
            target.endpoint.host, target.endpoint.port
        ),
    };
    Finding::new(place, error.to_string(), remedy)
}

fn replication_refused(target: &Target, error: &Error) -> Finding {
    Finding::new(
        format!("Postgres at {}", target.address()),
        format!("the role {} can run SQL but not replicate: {error}", target.endpoint.user),
        format!(
            "let it replicate in pg_hba.conf (host {} {} … scram-sha-256), then: SELECT pg_reload_conf();",
            target.endpoint.database, target.endpoint.user
        ),
    )
}

async fn server(client: &Client, target: &Target) -> Result<Vec<Finding>> {
    let row = client
        .query_one(
            "SELECT current_setting('server_version_num')::int, current_setting('server_version'), current_setting('wal_level'),
                    coalesce((SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user), false)
                    OR coalesce((SELECT pg_has_role(oid, 'USAGE') FROM pg_roles WHERE rolname = 'rds_replication'), false),
                    current_user::text, pg_is_in_recovery()",
            &[],
        )
        .await
        .map_err(Error::statement("reading the server's settings"))?;
    let place = format!("Postgres at {}", target.address());
    let mut findings = Vec::new();
    if row.get::<_, i32>(0) < OLDEST_SERVER {
        let version: String = row.get(1);
        findings.push(Finding::new(&place, format!("version {version} is too old; Concord reads 15 and later"), "upgrade the server"));
    }
    let level: String = row.get(2);
    if level != "logical" {
        findings.push(Finding::new(
            &place,
            format!("wal_level is {level}, so its log does not carry row changes"),
            "ALTER SYSTEM SET wal_level = logical; then restart the server (on a managed service: set it in the parameter group)",
        ));
    }
    let user: String = row.get(4);
    if !row.get::<_, bool>(3) {
        findings.push(Finding::new(
            &place,
            format!("role {user} may not replicate"),
            format!("ALTER ROLE {} REPLICATION;", identifier(&user)),
        ));
    }
    if row.get::<_, bool>(5) {
        findings.push(Finding::new(&place, "it is a standby", "name the primary in the source's url"));
    }
    Ok(findings)
}

async fn tables(client: &Client, config: &Config) -> Result<Vec<Finding>> {
    let found = catalog::tables(client, &config.tables).await?;
    let mut findings = Vec::new();
    for name in &config.tables {
        match found.iter().find(|table| table.object() == *name) {
            None => findings.push(Finding::new(
                format!("table {name}"),
                "it does not exist in this database",
                "correct the name (schema.table, as the catalog spells it) or create the table",
            )),
            Some(table) => findings.extend(table_findings(table)),
        }
    }
    Ok(findings)
}

/// What keeps one table from being read.
pub(crate) fn table_findings(table: &TableInfo) -> Vec<Finding> {
    let place = format!("table {}", table.object());
    let quoted = table.quoted();
    if !matches!(table.relkind, 'r' | 'p') {
        return vec![Finding::new(place, "it is a view or foreign table, which has no changes of its own", "name the tables behind it")];
    }
    let mut findings = Vec::new();
    if table.persistence != 'p' {
        findings.push(Finding::new(
            &place,
            "it is unlogged, so its changes are not in the log",
            format!("ALTER TABLE {quoted} SET LOGGED;"),
        ));
    }
    if !table.readable {
        findings.push(Finding::new(
            &place,
            "we may not read it",
            format!("GRANT SELECT ON {quoted} TO CURRENT_USER; (as its owner, naming our role)"),
        ));
    }
    if table.key().is_some() {
        return findings;
    }
    let (what, remedy) = match table.identity {
        Identity::Nothing => (
            "its replica identity is NOTHING, so updates and deletes are not in the log".to_owned(),
            format!("ALTER TABLE {quoted} REPLICA IDENTITY DEFAULT;"),
        ),
        Identity::Index => (
            "its replica identity names an index that is gone".to_owned(),
            format!("ALTER TABLE {quoted} REPLICA IDENTITY DEFAULT; (with a primary key) or USING INDEX another unique one"),
        ),
        Identity::Default if table.deferrable_key => (
            "its primary key is deferrable, so it cannot tell which row changed".to_owned(),
            format!(
                "make the key NOT DEFERRABLE, or: ALTER TABLE {quoted} REPLICA IDENTITY USING INDEX a unique index over columns that are not null;"
            ),
        ),
        Identity::Full => (
            "it has no primary key; its replica identity FULL says what changed but gives records no name".to_owned(),
            format!("ALTER TABLE {quoted} ADD PRIMARY KEY (…);"),
        ),
        Identity::Default => (
            "it has no primary key and no other replica identity, so its records cannot be told apart".to_owned(),
            format!(
                "ALTER TABLE {quoted} ADD PRIMARY KEY (…); or ALTER TABLE {quoted} REPLICA IDENTITY USING INDEX a unique index over columns that are not null;"
            ),
        ),
    };
    findings.push(Finding::new(&place, what, remedy));
    findings
}
