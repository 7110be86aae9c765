//! What Postgres says about a table: its columns with their types, and its primary key.

use std::sync::Arc;

use tokio_postgres::{Client, Error as PgError};

use super::value::Kind;

/// How two values of a column are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compare {
    /// By the type's own equality.
    Plain,
    /// The type has none; the documents are compared.
    AsJsonb,
    /// The type has none, or one that calls different texts equal; the text forms are compared.
    AsText,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// The type's name as SQL writes it, without length or precision: the assignment checks those.
    pub(crate) type_name: String,
    pub(crate) kind: Kind,
    pub(crate) compare: Compare,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    /// Schema and name, quoted.
    pub(crate) name: String,
    /// `schema.table`, as capture names it.
    pub(crate) object: String,
    pub(crate) columns: Vec<Column>,
    /// Columns of the key that names a record, in its order: those of the primary key, or of the index that the table's
    /// replica identity names. Capture goes by the same.
    pub(crate) key: Vec<usize>,
    /// Triggers run after a row was made or changed, and may change it again.
    pub(crate) triggered_after: bool,
}

impl Table {
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

/// A name as SQL writes it, whatever characters it has.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

// The name on the log is schema and table with a dot between, unquoted; asking the catalog for exactly that text
// needs no guess about dots inside names.
const TABLE: &str = "
    SELECT c.oid, n.nspname, c.relname
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'f')
      AND (n.nspname || '.' || c.relname = $1 OR (c.relname = $1 AND pg_catalog.pg_table_is_visible(c.oid)))
    ORDER BY n.nspname || '.' || c.relname = $1 DESC LIMIT 1";

const COLUMNS: &str = "
    WITH RECURSIVE base(attnum, oid, typtype, typbasetype) AS (
        SELECT a.attnum, t.oid, t.typtype, t.typbasetype
        FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
      UNION ALL
        SELECT b.attnum, t.oid, t.typtype, t.typbasetype FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.typbasetype WHERE b.typtype = 'd'
    ), item(attnum, oid, typtype, typbasetype) AS (
        SELECT b.attnum, t.oid, t.typtype, t.typbasetype
        FROM base b JOIN pg_catalog.pg_type a ON a.oid = b.oid JOIN pg_catalog.pg_type t ON t.oid = a.typelem
        WHERE b.typtype <> 'd' AND a.typcategory = 'A'
      UNION ALL
        SELECT i.attnum, t.oid, t.typtype, t.typbasetype FROM item i JOIN pg_catalog.pg_type t ON t.oid = i.typbasetype WHERE i.typtype = 'd'
    )
    SELECT a.attname, pg_catalog.format_type(a.atttypid, -1), b.oid AS base, bt.typname::text AS base_name,
           i.oid AS item, it.typdelim::text AS delimiter
    FROM pg_catalog.pg_attribute a
    JOIN base b ON b.attnum = a.attnum AND b.typtype <> 'd'
    JOIN pg_catalog.pg_type bt ON bt.oid = b.oid
    LEFT JOIN item i ON i.attnum = a.attnum AND i.typtype <> 'd'
    LEFT JOIN pg_catalog.pg_type it ON it.oid = i.oid
    WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum";

const KEY: &str = "
    SELECT a.attname
    FROM pg_catalog.pg_index i
    CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
    WHERE i.indrelid = $1 AND k.place <= i.indnkeyatts AND CASE WHEN c.relreplident = 'i' THEN i.indisreplident ELSE i.indisprimary END
    ORDER BY k.place";

// Neither BEFORE nor INSTEAD OF, on INSERT or UPDATE.
const TRIGGERED_AFTER: &str = "
    SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger
                   WHERE tgrelid = $1 AND NOT tgisinternal AND tgenabled IN ('O', 'A') AND tgtype & 66 = 0 AND tgtype & 20 <> 0)";

/// Reads a table's description; none when there is no such table.
pub(crate) async fn table(client: &Client, object: &str) -> Result<Option<Arc<Table>>, PgError> {
    let Some(row) = client.query_opt(TABLE, &[&object]).await? else { return Ok(None) };
    let (oid, schema, name): (u32, String, String) = (row.get(0), row.get(1), row.get(2));
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&oid];
    let (columns, key, after) =
        futures::try_join!(client.query(COLUMNS, &params), client.query(KEY, &params), client.query_one(TRIGGERED_AFTER, &params))?;
    let columns: Vec<Column> = columns
        .iter()
        .map(|row| {
            let (base, base_name): (u32, String) = (row.get(2), row.get(3));
            let kind = match (row.get::<_, Option<u32>>(4), row.get::<_, Option<String>>(5).and_then(|text| text.chars().next())) {
                (Some(item), Some(delimiter)) => Kind::Array(Box::new(Kind::of_type(item)), delimiter),
                _ => Kind::of_type(base),
            };
            Column { name: row.get(0), type_name: row.get(1), kind, compare: compare(&base_name) }
        })
        .collect();
    let mut table = Table {
        name: format!("{}.{}", quoted(&schema), quoted(&name)),
        object: format!("{schema}.{name}"),
        columns,
        key: Vec::new(),
        triggered_after: after.get(0),
    };
    table.key = key.iter().filter_map(|row| table.column(row.get(0))).collect();
    Ok(Some(Arc::new(table)))
}

fn compare(type_name: &str) -> Compare {
    match type_name {
        "json" => Compare::AsJsonb,
        "xml" | "point" | "line" | "lseg" | "box" | "path" | "polygon" | "circle" | "citext" | "_json" | "_xml" | "_point" => {
            Compare::AsText
        }
        _ => Compare::Plain,
    }
}
