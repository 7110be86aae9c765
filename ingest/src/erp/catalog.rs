//! What the database says about tables: columns, types, keys, replica identity.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use super::error::{Error, Result};
use super::sql::identifier;
use super::values::Kind;

/// How Postgres identifies the old row of an update or delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    /// The primary key.
    Default,
    /// The index named by `REPLICA IDENTITY USING INDEX`.
    Index,
    /// The whole row.
    Full,
    /// Not at all: Postgres refuses updates and deletes of published tables.
    Nothing,
}

/// A table as the catalog has it now.
#[derive(Debug, Clone)]
pub(crate) struct TableInfo {
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    /// `r` table, `p` partitioned table, `v` view and so on.
    pub(crate) relkind: char,
    /// `p` permanent, `u` unlogged, `t` temporary.
    pub(crate) persistence: char,
    pub(crate) identity: Identity,
    /// We may read it.
    pub(crate) readable: bool,
    /// We may add it to a publication.
    pub(crate) owned: bool,
    /// Columns in order, without generated ones.
    pub(crate) columns: Vec<ColumnInfo>,
    pub(crate) primary_key: Option<Vec<String>>,
    /// The primary key's check can be put off to the end of a transaction; such a key identifies no old rows.
    pub(crate) deferrable_key: bool,
    pub(crate) identity_index: Option<Vec<String>>,
}

/// A column as the catalog has it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnInfo {
    pub(crate) name: String,
    pub(crate) type_oid: u32,
    pub(crate) type_modifier: i32,
}

impl TableInfo {
    /// `schema.table`, as configured.
    pub(crate) fn object(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// The quoted name for statements.
    pub(crate) fn quoted(&self) -> String {
        format!("{}.{}", identifier(&self.schema), identifier(&self.name))
    }

    /// The columns that name a record of this table in every change, where there are such.
    pub(crate) fn key(&self) -> Option<&[String]> {
        match self.identity {
            Identity::Default if self.deferrable_key => None,
            Identity::Default | Identity::Full => self.primary_key.as_deref(),
            Identity::Index => self.identity_index.as_deref(),
            Identity::Nothing => None,
        }
    }
}

const TABLES: &str = "
SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text, c.relreplident::text,
       has_table_privilege(c.oid, 'SELECT'), pg_has_role(c.relowner, 'USAGE')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname || '.' || c.relname = ANY($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
ORDER BY 2, 3";

const COLUMNS: &str = "
SELECT attname::text, atttypid, atttypmod FROM pg_attribute
WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum";

const KEYS: &str = "
SELECT i.indisprimary, i.indisreplident, i.indimmediate,
       array(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY k(number, place)
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
             WHERE k.place <= i.indnkeyatts ORDER BY k.place)
FROM pg_index i WHERE i.indrelid = $1 AND i.indisvalid AND (i.indisprimary OR i.indisreplident)";

/// The tables that exist of those named, as `schema.table`.
pub(crate) async fn tables(client: &Client, names: &[String]) -> Result<Vec<TableInfo>> {
    let doing = || Error::statement("reading the catalog");
    let mut found = Vec::new();
    for row in client.query(TABLES, &[&names]).await.map_err(doing())? {
        let letter = |index: usize| row.get::<_, &str>(index).chars().next().unwrap_or(' ');
        let oid: u32 = row.get(0);
        let mut table = TableInfo {
            oid,
            schema: row.get(1),
            name: row.get(2),
            relkind: letter(3),
            persistence: letter(4),
            identity: match letter(5) {
                'd' => Identity::Default,
                'i' => Identity::Index,
                'f' => Identity::Full,
                _ => Identity::Nothing,
            },
            readable: row.get(6),
            owned: row.get(7),
            columns: Vec::new(),
            primary_key: None,
            deferrable_key: false,
            identity_index: None,
        };
        for row in client.query(COLUMNS, &[&oid]).await.map_err(doing())? {
            table.columns.push(ColumnInfo { name: row.get(0), type_oid: row.get(1), type_modifier: row.get(2) });
        }
        for row in client.query(KEYS, &[&oid]).await.map_err(doing())? {
            let columns: Vec<String> = row.get(3);
            if row.get(1) {
                table.identity_index = Some(columns.clone());
            }
            if row.get(0) {
                table.deferrable_key = !row.get::<_, bool>(2);
                table.primary_key = Some(columns);
            }
        }
        found.push(table);
    }
    Ok(found)
}

/// What is known of types that are not built in.
#[derive(Debug, Default)]
pub(crate) struct Types(BTreeMap<u32, Shape>);

#[derive(Debug, Clone, Copy)]
enum Shape {
    Domain { base: u32, modifier: i32 },
    Array { item: u32, delimiter: u8 },
    Other,
}

/// Domains over arrays of domains and so on: deeper than this is read as text.
const DEEPEST_TYPE: u8 = 8;

const TYPES: &str = "
SELECT t.oid, t.typtype::text, t.typbasetype, t.typtypmod, t.typelem,
       t.typcategory = 'A' AND t.typlen = -1 AND t.oid NOT IN (22, 30), coalesce(e.typdelim, ',')::text
FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem
WHERE t.oid = ANY($1)";

impl Types {
    /// Learns about types, and those they are made of, that are not known yet.
    pub(crate) async fn learn(&mut self, client: &Client, oids: impl IntoIterator<Item = u32>) -> Result<()> {
        let mut wanted = self.unknown(oids);
        while !wanted.is_empty() {
            let rows = client.query(TYPES, &[&wanted]).await.map_err(Error::statement("reading the catalog's types"))?;
            for oid in wanted.drain(..) {
                self.0.insert(oid, Shape::Other);
            }
            let mut parts = Vec::new();
            for row in rows {
                let shape = match (row.get::<_, &str>(1), row.get::<_, bool>(5)) {
                    ("d", _) => Shape::Domain { base: row.get(2), modifier: row.get(3) },
                    (_, true) => Shape::Array { item: row.get(4), delimiter: row.get::<_, &str>(6).bytes().next().unwrap_or(b',') },
                    _ => Shape::Other,
                };
                match shape {
                    Shape::Domain { base: part, .. } | Shape::Array { item: part, .. } => parts.push(part),
                    Shape::Other => {}
                }
                self.0.insert(row.get(0), shape);
            }
            wanted = self.unknown(parts);
        }
        Ok(())
    }

    /// Whether a type can be read without asking the database.
    pub(crate) fn knows(&self, oid: u32) -> bool {
        Kind::of_builtin(oid, -1).is_some() || self.0.contains_key(&oid)
    }

    /// How values of a type are read; unknown ones as text.
    pub(crate) fn kind(&self, oid: u32, modifier: i32) -> Kind {
        self.kind_at(oid, modifier, 0)
    }

    fn kind_at(&self, oid: u32, modifier: i32, depth: u8) -> Kind {
        if let Some(kind) = Kind::of_builtin(oid, modifier) {
            return kind;
        }
        match self.0.get(&oid) {
            _ if depth > DEEPEST_TYPE => Kind::Text,
            Some(Shape::Domain { base, modifier }) => self.kind_at(*base, *modifier, depth + 1),
            Some(Shape::Array { item, delimiter }) => Kind::Array(Box::new(self.kind_at(*item, modifier, depth + 1)), *delimiter),
            Some(Shape::Other) | None => Kind::Text,
        }
    }

    fn unknown(&self, oids: impl IntoIterator<Item = u32>) -> Vec<u32> {
        let mut unknown: Vec<u32> = oids.into_iter().filter(|oid| *oid != 0 && !self.knows(*oid)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        unknown
    }
}
