//! Makes the ERP ready to be written to, and says what is missing with the command that mends it.

use tokio_postgres::Client;

use super::connection::connect;
use super::{Config, failure, ledger};
use crate::error::Error;

/// What the ERP lets us do.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rights {
    user: String,
    database: String,
    standby: bool,
    ledger: bool,
    ledger_usable: bool,
    may_create_schema: bool,
    origin: bool,
    may_create_origin: bool,
    may_use_origin: bool,
    /// The functions that tell capture which write made a change, as far as we may not use them.
    mute: Option<String>,
}

const RIGHTS: &str = "
    SELECT current_user::text, current_database()::text, pg_catalog.pg_is_in_recovery(),
           to_regclass('concord.ledger') IS NOT NULL,
           CASE WHEN to_regclass('concord.ledger') IS NOT NULL
                THEN has_schema_privilege('concord', 'USAGE') AND has_table_privilege('concord.ledger', 'SELECT')
                     AND has_table_privilege('concord.ledger', 'INSERT') AND has_table_privilege('concord.ledger', 'DELETE')
                ELSE false END,
           has_database_privilege(current_database(), 'CREATE'),
           EXISTS (SELECT FROM pg_catalog.pg_replication_origin WHERE roname = $1),
           (SELECT bool_or(has_function_privilege(oid, 'EXECUTE')) FROM pg_catalog.pg_proc WHERE proname = 'pg_replication_origin_create'),
           (SELECT bool_and(has_function_privilege(oid, 'EXECUTE')) FROM pg_catalog.pg_proc
            WHERE proname IN ('pg_replication_origin_session_setup', 'pg_replication_origin_xact_setup')),
           (SELECT string_agg(oid::regprocedure::text, ', ' ORDER BY oid) FROM pg_catalog.pg_proc
            WHERE proname = 'pg_logical_emit_message' AND NOT has_function_privilege(oid, 'EXECUTE')),
           EXISTS (SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
                   JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname = 'concord' AND c.relname = 'ledger' AND a.attname = 'ordinal' AND NOT a.attisdropped),
           coalesce((SELECT pg_has_role(c.relowner, 'USAGE') AND has_schema_privilege(n.oid, 'CREATE')
                     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                     WHERE n.nspname = 'concord' AND c.relname = 'ledger'), false)";

/// Connects, checks rights, creates the ledger and the replication origin where they are missing, and checks that the
/// tables (named `schema.table`) can be written. Returns what was done, for people.
///
/// # Errors
/// What is missing, with the command that mends it.
pub async fn setup(config: &Config, tables: &[String]) -> Result<Vec<String>, Error> {
    let client = connect(config).await?;
    let done = prepare(&client, config).await?;
    for table in tables {
        check_table(&client, table).await?;
    }
    Ok(done)
}

/// The same on a connection that is there.
pub(crate) async fn prepare(client: &Client, config: &Config) -> Result<Vec<String>, Error> {
    let doing = "checking rights";
    let row = client.query_one(RIGHTS, &[&config.origin]).await.map_err(|error| failure::whole(doing, &error))?;
    let rights = Rights {
        user: row.get(0),
        database: row.get(1),
        standby: row.get(2),
        ledger: row.get(3),
        ledger_usable: row.get(4),
        may_create_schema: row.get(5),
        origin: row.get(6),
        may_create_origin: row.get::<_, Option<bool>>(7).unwrap_or(false),
        may_use_origin: row.get::<_, Option<bool>>(8).unwrap_or(false),
        mute: row.get(9),
    };
    let (ordered, owned): (bool, bool) = (row.get(10), row.get(11));
    if let Some((what, remedy)) = lacks(&rights, &config.origin) {
        return Err(Error::Missing { what, remedy });
    }
    let mut done = Vec::new();
    if !rights.ledger {
        client.batch_execute(ledger::CREATE).await.map_err(|error| failure::whole("creating the ledger", &error))?;
        done.push(format!("created table concord.ledger in database {}", rights.database));
    }
    if !ordered && (owned || !rights.ledger) {
        // A new column is written into every entry, which may take longer than a statement of ours is given.
        let order = format!("BEGIN; SET LOCAL statement_timeout = 0; {} COMMIT", ledger::ORDER);
        client.batch_execute(&order).await.map_err(|error| failure::whole("bringing the ledger up to date", &error))?;
        if rights.ledger {
            done.push(format!("brought table concord.ledger in database {} up to date", rights.database));
        }
    }
    if !rights.origin {
        match client.execute("SELECT pg_catalog.pg_replication_origin_create($1)", &[&config.origin]).await {
            Ok(_) => done.push(format!("created replication origin {}", config.origin)),
            // Somebody else was quicker.
            Err(error) if error.code().map(|code| code.code()) == Some("42710") => {}
            Err(error) => return Err(failure::whole("creating the replication origin", &error)),
        }
    }
    Ok(done)
}

/// The first thing that is missing, with the command that mends it.
fn lacks(rights: &Rights, origin: &str) -> Option<(String, String)> {
    let Rights { user, database, .. } = rights;
    let user_name = super::catalog::quoted(user);
    let lack = |what: String, remedy: String| Some((what, remedy));
    if rights.standby {
        return lack(format!("database {database} is a standby and cannot be written to"), "point the ERP's url at the primary".to_owned());
    }
    if !rights.ledger && !rights.may_create_schema {
        return lack(
            format!("user {user} may not create the ledger in database {database}"),
            format!("run as its owner: GRANT CREATE ON DATABASE {} TO {user_name};", super::catalog::quoted(database)),
        );
    }
    if rights.ledger && !rights.ledger_usable {
        return lack(
            format!("user {user} may not read and write concord.ledger in database {database}"),
            format!(
                "run as its owner: GRANT USAGE ON SCHEMA concord TO {user_name}; GRANT SELECT, INSERT, DELETE ON concord.ledger TO {user_name};"
            ),
        );
    }
    if !rights.may_use_origin {
        return lack(
            format!("user {user} may not write under a replication origin, so capture could not tell Concord's changes from others"),
            format!(
                "run as superuser: GRANT EXECUTE ON FUNCTION pg_replication_origin_session_setup(text), pg_replication_origin_xact_setup(pg_lsn, timestamptz), pg_replication_origin_create(text) TO {user_name};"
            ),
        );
    }
    if let Some(functions) = &rights.mute {
        return lack(
            format!("user {user} may not use {functions}, so capture could not tell which write made a change"),
            format!("run as superuser: GRANT EXECUTE ON FUNCTION {functions} TO {user_name};"),
        );
    }
    if !rights.origin && !rights.may_create_origin {
        return lack(
            format!("replication origin {origin} does not exist and user {user} may not create it"),
            format!("run as superuser: SELECT pg_replication_origin_create('{}');", origin.replace('\'', "''")),
        );
    }
    None
}

async fn check_table(client: &Client, table: &str) -> Result<(), Error> {
    let doing = "checking a table";
    let found = super::catalog::table(client, table).await.map_err(|error| failure::whole(doing, &error))?;
    let Some(found) = found else {
        return Err(Error::Missing {
            what: format!("the ERP has no table {table}"),
            remedy: "create it, or correct its name in the mapping".to_owned(),
        });
    };
    if found.key.is_empty() {
        return Err(Error::Missing {
            what: format!("table {table} has no primary key, so its rows cannot be told apart"),
            remedy: format!("ALTER TABLE {} ADD PRIMARY KEY (…);", found.name),
        });
    }
    let sql = "SELECT current_user::text, has_table_privilege($1, 'SELECT'), has_any_column_privilege($1, 'INSERT'), has_any_column_privilege($1, 'UPDATE')";
    let row = client.query_one(sql, &[&found.name]).await.map_err(|error| failure::whole(doing, &error))?;
    let lacking: Vec<&str> = ["SELECT", "INSERT", "UPDATE"]
        .into_iter()
        .enumerate()
        .filter(|(place, _)| !row.get::<_, bool>(place + 1))
        .map(|(_, right)| right)
        .collect();
    if lacking.is_empty() {
        return Ok(());
    }
    let user: String = row.get(0);
    Err(Error::Missing {
        what: format!("user {user} lacks the right to {} on {table}", lacking.join(", ")),
        remedy: format!("run as the table's owner: GRANT {} ON {} TO {};", lacking.join(", "), found.name, super::catalog::quoted(&user)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Rights {
        Rights {
            user: "sync".to_owned(),
            database: "erp".to_owned(),
            standby: false,
            ledger: true,
            ledger_usable: true,
            may_create_schema: false,
            origin: true,
            may_create_origin: false,
            may_use_origin: true,
            mute: None,
        }
    }

    #[test]
    fn what_is_missing_is_named_with_the_command_that_mends_it() {
        let check = |rights: Rights, remedy: &str| {
            let lack = lacks(&rights, "concord").unwrap();
            assert!(lack.1.contains(remedy), "{}", lack.1);
        };
        assert_eq!(lacks(&all(), "concord"), None);
        check(Rights { standby: true, ..all() }, "primary");
        check(Rights { ledger: false, ..all() }, "GRANT CREATE ON DATABASE \"erp\" TO \"sync\"");
        check(Rights { ledger_usable: false, ..all() }, "ON concord.ledger TO \"sync\"");
        check(Rights { may_use_origin: false, ..all() }, "pg_replication_origin_session_setup(text)");
        check(
            Rights { mute: Some("pg_logical_emit_message(boolean,text,text)".to_owned()), ..all() },
            "GRANT EXECUTE ON FUNCTION pg_logical_emit_message(boolean,text,text) TO \"sync\"",
        );
        check(Rights { origin: false, ..all() }, "SELECT pg_replication_origin_create('concord')");
    }
}
