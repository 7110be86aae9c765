//! What the sink's ledger inside the ERP says of the rows that a copy reads: the last write carried out on each.
//!
//! Read in the snapshot of the copy, so that row and ledger are of one moment. "Last" is by the order in which the sink
//! carried writes out, for a record may come to another entity. Only root rows stand in the ledger. Entries older than the
//! sink's `keep_ledger` are gone; such a write was confirmed long before, and a row without one is no mistake. Without a
//! ledger, or the right to read it, a copy goes on and says of no row which write was the last.

use tokio_postgres::Client;

use super::catalog::{ColumnInfo, TableInfo};
use super::check::Finding;
use super::config::Config;
use super::error::{Error, Result};
use super::sql::{Sql, identifier, literal};
use super::target::Target;

/// What is to be found of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ledger {
    /// The sink has not been here yet.
    Absent,
    /// This role may not read it.
    Denied(String),
    /// An older one, which does not say the order of its entries.
    Unordered,
    Usable,
}

const LOOK: &str = "
SELECT has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'), current_user::text,
       EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'ordinal' AND NOT a.attisdropped)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'concord' AND c.relname = 'ledger' AND c.relkind = 'r'";

async fn look(client: &Client) -> Result<Ledger> {
    Ok(match client.query_opt(LOOK, &[]).await.map_err(Error::statement("looking for the ledger"))? {
        None => Ledger::Absent,
        Some(row) if !row.get::<_, bool>(0) => Ledger::Denied(row.get(1)),
        Some(row) if !row.get::<_, bool>(2) => Ledger::Unordered,
        Some(_) => Ledger::Usable,
    })
}

/// Whether copies can say which write of a row was the last; if not, what mends it. Reading can begin either way.
///
/// # Errors
/// When the database cannot be asked.
pub async fn check_ledger(config: &Config) -> Result<Option<Finding>> {
    let client = Sql::open(&Target::of(config)?).await?;
    let finding = |what: String, remedy: String| Some(Finding::new("table concord.ledger", what, remedy));
    Ok(match look(&client).await? {
        Ledger::Absent | Ledger::Usable => None,
        Ledger::Denied(role) => {
            let name = identifier(&role);
            finding(
                format!("role {role} may not read it, so a copy of a table cannot say which of our writes its rows have seen"),
                format!("as its owner: GRANT USAGE ON SCHEMA concord TO {name}; GRANT SELECT ON concord.ledger TO {name};"),
            )
        }
        Ledger::Unordered => finding(
            "it does not say the order of writes, so a copy of a table cannot say which of our writes its rows have seen".to_owned(),
            "as its owner: ALTER TABLE concord.ledger ADD COLUMN IF NOT EXISTS ordinal bigint GENERATED ALWAYS AS IDENTITY; \
             CREATE INDEX IF NOT EXISTS ledger_applied ON concord.ledger (object, ordinal) WHERE result = 'applied';"
                .to_owned(),
        ),
    })
}

/// Whether the ledger knows writes of a table, as the snapshot of this transaction has it.
pub(crate) async fn knows(client: &Client, object: &str) -> Result<bool> {
    match look(client).await? {
        Ledger::Usable => {}
        Ledger::Absent => return Ok(false),
        Ledger::Denied(_) | Ledger::Unordered => {
            tracing::warn!(table = %object, "the copy cannot say which of our writes its rows have seen; concord check says why");
            return Ok(false);
        }
    }
    let sql = "SELECT EXISTS (SELECT FROM concord.ledger WHERE object = $1 AND result = 'applied' AND record IS NOT NULL)";
    Ok(client.query_one(sql, &[&object]).await.map_err(Error::statement("reading the ledger"))?.get(0))
}

/// Reads a table with the last write of each row behind its columns; `key` names its records.
///
/// One pass over the table's entries and a hash join: a look-up for each row would take many times as long.
pub(crate) fn copy(info: &TableInfo, key: &[String]) -> String {
    let columns: Vec<String> = info.columns.iter().map(|column| format!("t.{}", identifier(&column.name))).collect();
    format!(
        "COPY (SELECT {}, l.write_id FROM {} AS t LEFT JOIN (\
         SELECT DISTINCT ON (record COLLATE \"C\") record, write_id FROM concord.ledger \
         WHERE object = {} AND result = 'applied' AND record IS NOT NULL ORDER BY record COLLATE \"C\", ordinal DESC\
         ) AS l ON l.record = {}) TO STDOUT",
        columns.join(", "),
        info.quoted(),
        literal(&info.object()),
        record(info, key)
    )
}

/// What names a record, spelled as `Table::record_id` does.
fn record(info: &TableInfo, key: &[String]) -> String {
    let part = |name: &String| text(info.columns.iter().find(|column| column.name == *name), name);
    if let [only] = key {
        return part(only);
    }
    let parts: Vec<String> = key.iter().map(|name| format!("to_json({})::text", part(name))).collect();
    format!("'[' || {} || ']'", parts.join(" || ',' || "))
}

/// A column's text form as the stream has it. A cast is quicker than `format`, but not for every type the same.
fn text(column: Option<&ColumnInfo>, name: &str) -> String {
    const CAST_IS_OUTPUT: [u32; 7] = [20, 21, 23, 25, 1043, 1700, 2950];
    let own = format!("t.{}", identifier(name));
    match column {
        Some(column) if CAST_IS_OUTPUT.contains(&column.type_oid) => format!("{own}::text"),
        _ => format!("format('%s', {own})"),
    }
}
