//! The publication (which tables) and the replication slot (how far): checked, and made where they are missing.

use tokio_postgres::Client;

use super::catalog::TableInfo;
use super::check::Finding;
use super::config::Config;
use super::connection::Connection;
use super::error::{Error, Result};
use super::lsn::Lsn;
use super::sql::identifier;

/// The plugin that we decode.
const PLUGIN: &str = "pgoutput";

/// A replication slot as the server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) plugin: String,
    pub(crate) database: Option<String>,
    pub(crate) active: bool,
    /// What was confirmed last.
    pub(crate) confirmed: Option<Lsn>,
    /// The server has thrown away log files that the slot needs.
    pub(crate) lost: bool,
}

/// A slot just made, and the snapshot that goes with it while its connection does nothing else.
#[derive(Debug, Clone)]
pub(crate) struct FreshSlot {
    pub(crate) consistent: Lsn,
    pub(crate) snapshot: String,
}

/// Looks at publication and slot and changes nothing.
pub(crate) async fn check(client: &Client, config: &Config) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let tables = super::catalog::tables(client, &config.tables).await?;
    let missing: Vec<&TableInfo> = match published(client, &config.publication).await? {
        None => {
            let may_create: bool = client
                .query_one("SELECT has_database_privilege(current_database(), 'CREATE')", &[])
                .await
                .map_err(Error::statement("reading our privileges"))?
                .get(0);
            if may_create && tables.iter().all(|table| table.owned) {
                Vec::new()
            } else {
                findings.push(Finding::new(
                    format!("publication {}", config.publication),
                    "it does not exist and we may not create it",
                    format!("as the tables' owner: {}", create_statement(config, &tables)),
                ));
                Vec::new()
            }
        }
        Some(publication) => {
            findings.extend(publication.findings(config));
            tables.iter().filter(|table| !publication.covers(table) && !table.owned).collect()
        }
    };
    for table in missing {
        findings.push(Finding::new(
            format!("publication {}", config.publication),
            format!("{} is not in it and we may not add it", table.object()),
            format!("as its owner: ALTER PUBLICATION {} ADD TABLE {};", identifier(&config.publication), table.quoted()),
        ));
    }
    findings.extend(check_slot(client, config).await?);
    Ok(findings)
}

async fn check_slot(client: &Client, config: &Config) -> Result<Vec<Finding>> {
    let place = format!("replication slot {}", config.slot);
    let Some(slot) = slot(client, &config.slot).await? else {
        let row = client
            .query_one("SELECT current_setting('max_replication_slots')::int8 - (SELECT count(*) FROM pg_replication_slots)", &[])
            .await
            .map_err(Error::statement("counting replication slots"))?;
        return Ok(if row.get::<_, i64>(0) > 0 {
            Vec::new()
        } else {
            vec![Finding::new(
                place,
                "all replication slots of the server are in use",
                "drop one that nothing reads (SELECT pg_drop_replication_slot('…');) or raise max_replication_slots and restart the server",
            )]
        });
    };
    let database: String =
        client.query_one("SELECT current_database()::text", &[]).await.map_err(Error::statement("reading the database's name"))?.get(0);
    if slot.plugin == PLUGIN && slot.database.as_deref() == Some(database.as_str()) {
        return Ok(Vec::new());
    }
    Ok(vec![Finding::new(
        place,
        format!("it belongs to plugin {} in database {}, not to Concord", slot.plugin, slot.database.as_deref().unwrap_or("(none)")),
        "set another slot name for the source",
    )])
}

/// Makes the publication, or adds tables to it, so that it covers all of them.
pub(crate) async fn ensure(client: &Client, config: &Config, tables: &[TableInfo]) -> Result<()> {
    let Some(publication) = published(client, &config.publication).await? else {
        let statement = create_statement(config, tables);
        client.batch_execute(&statement).await.map_err(Error::statement(format!("creating the publication ({statement})")))?;
        tracing::info!(publication = %config.publication, tables = tables.len(), "publication created");
        return Ok(());
    };
    let findings = publication.findings(config);
    if !findings.is_empty() {
        return Err(Error::Unfit(findings));
    }
    for table in tables.iter().filter(|table| !publication.covers(table)) {
        let statement = format!("ALTER PUBLICATION {} ADD TABLE {}", identifier(&config.publication), table.quoted());
        client.batch_execute(&statement).await.map_err(Error::statement(format!("adding a table ({statement})")))?;
        tracing::info!(publication = %config.publication, table = %table.object(), "table added to the publication");
    }
    Ok(())
}

/// The slot of a name, if there is one.
pub(crate) async fn slot(client: &Client, name: &str) -> Result<Option<Slot>> {
    let row = client
        .query_opt(
            "SELECT coalesce(plugin::text, ''), database::text, active, confirmed_flush_lsn::text, coalesce(wal_status = 'lost', false)
             FROM pg_replication_slots WHERE slot_name = $1",
            &[&name],
        )
        .await
        .map_err(Error::statement("reading the replication slot"))?;
    Ok(row.map(|row| Slot {
        plugin: row.get(0),
        database: row.get(1),
        active: row.get(2),
        confirmed: row.get::<_, Option<&str>>(3).and_then(|text| text.parse().ok()),
        lost: row.get(4),
    }))
}

/// Drops the slot if it exists.
pub(crate) async fn drop_slot(client: &Client, name: &str) -> Result<()> {
    client
        .execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1", &[&name])
        .await
        .map_err(Error::statement(format!("dropping replication slot {name}")))?;
    Ok(())
}

/// Creates a slot and exports its snapshot. A temporary one goes with its connection.
pub(crate) async fn create_slot(connection: &mut Connection, name: &str, temporary: bool) -> Result<FreshSlot> {
    let kind = if temporary { " TEMPORARY" } else { "" };
    let command = format!("CREATE_REPLICATION_SLOT {}{kind} LOGICAL {PLUGIN} (SNAPSHOT 'export')", identifier(name));
    let rows = connection.query(&format!("creating replication slot {name}"), &command).await?;
    let odd = || Error::Protocol { doing: "creating a replication slot", what: "an answer without position and snapshot".to_owned() };
    let row = rows.into_iter().next().ok_or_else(odd)?;
    match <[Option<String>; 4]>::try_from(row) {
        Ok([_, Some(consistent), Some(snapshot), _]) => Ok(FreshSlot { consistent: consistent.parse().map_err(|_| odd())?, snapshot }),
        _ => Err(odd()),
    }
}

/// A publication as the server has it.
#[derive(Debug)]
struct Published {
    all_actions: bool,
    /// Tables, with whether a row filter or column list holds back part of them.
    tables: Vec<(String, bool)>,
}

impl Published {
    fn covers(&self, table: &TableInfo) -> bool {
        self.tables.iter().any(|(name, _)| *name == table.object())
    }

    fn findings(&self, config: &Config) -> Vec<Finding> {
        let place = format!("publication {}", config.publication);
        let name = identifier(&config.publication);
        let mut findings = Vec::new();
        if !self.all_actions {
            findings.push(Finding::new(
                &place,
                "it leaves out inserts, updates, deletes or truncates, or names partitions instead of their table",
                format!("ALTER PUBLICATION {name} SET (publish = 'insert, update, delete, truncate', publish_via_partition_root = true);"),
            ));
        }
        for (table, partial) in &self.tables {
            if *partial && config.tables.contains(table) {
                findings.push(Finding::new(
                    &place,
                    format!("it holds back rows or columns of {table}"),
                    format!("ALTER PUBLICATION {name} DROP TABLE {table}; (Concord adds it again as a whole)"),
                ));
            }
        }
        findings
    }
}

async fn published(client: &Client, name: &str) -> Result<Option<Published>> {
    let doing = || Error::statement("reading the publication");
    let Some(row) = client
        .query_opt(
            "SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate AND pubviaroot FROM pg_publication WHERE pubname = $1",
            &[&name],
        )
        .await
        .map_err(doing())?
    else {
        return Ok(None);
    };
    let tables = client
        .query(
            "SELECT p.schemaname || '.' || p.tablename,
                    p.rowfilter IS NOT NULL OR cardinality(p.attnames) < (
                        SELECT count(*) FROM pg_attribute a
                        WHERE a.attrelid = format('%I.%I', p.schemaname, p.tablename)::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '')
             FROM pg_publication_tables p WHERE p.pubname = $1",
            &[&name],
        )
        .await
        .map_err(doing())?;
    Ok(Some(Published { all_actions: row.get(0), tables: tables.iter().map(|row| (row.get(0), row.get(1))).collect() }))
}

fn create_statement(config: &Config, tables: &[TableInfo]) -> String {
    let list: Vec<String> = tables.iter().map(TableInfo::quoted).collect();
    format!(
        "CREATE PUBLICATION {} FOR TABLE {} WITH (publish = 'insert, update, delete, truncate', publish_via_partition_root = true)",
        identifier(&config.publication),
        list.join(", ")
    )
}
