//! Tables beside root rows: keys, and what writing to them needs besides their columns.

use std::collections::BTreeSet;

use reconcile::mapping::{CreatePolicy, EmptyRow, EntityMapping, Mapping, RowLink, RowMapping, Side};
use tokio_postgres::{Client, Error};

use super::erp::place;
use super::needs::{Need, Needs};
use super::{Looked, Problem, Seen};
use crate::config::Config;

/// Whether a mapping draws an entity from several tables.
pub(super) fn any(mapping: &Mapping) -> bool {
    mapping.entities.iter().any(|entity| !entity.sides.erp.rows.is_empty())
}

/// Gives the columns of rows beside root rows to their own tables, and asks for what joining and inserting them needs.
pub(super) fn take_apart(needs: &mut Needs, mapping: &Mapping) {
    for entity in &mapping.entities {
        let own = &entity.sides.erp;
        let create = entity.create.erp == CreatePolicy::Auto;
        let wide: Vec<String> = needs.get(&own.object).into_iter().flat_map(|columns| columns.keys()).cloned().collect();
        let mut written: BTreeSet<&str> = BTreeSet::new();
        for column in &wide {
            let Some((name, row, plain)) = own.beside(column) else { continue };
            let Some(mut need) = needs.get_mut(&own.object).and_then(|columns| columns.remove(column)) else { continue };
            need.insert |= need.update;
            if need.update
                && let Some((name, _)) = own.rows.get_key_value(name)
            {
                written.insert(name);
            }
            merge(needs, &row.table, plain, need);
        }
        for (name, row) in &own.rows {
            let said = format!("entity.{}.erp.rows.{name}", entity.kind);
            let written = written.contains(name.as_str());
            let plain = |update, insert| Need { update, insert, said: said.clone(), ..Need::default() };
            for column in row.conditions.iter().map(|it| &it.column).chain(row.order.iter().map(|it| &it.column)).chain(&row.actor_column) {
                merge(needs, &row.table, column, plain(false, false));
            }
            for column in row.insert.keys() {
                merge(needs, &row.table, column, plain(false, written));
            }
            if let EmptyRow::Retire(values) = &row.empty {
                for column in values.keys() {
                    merge(needs, &row.table, column, plain(written, false));
                }
            }
            match &row.link {
                RowLink::Child(key) => key.iter().for_each(|column| merge(needs, &row.table, column, plain(false, written))),
                RowLink::Parent(key) => key.iter().for_each(|column| merge(needs, &own.object, column, plain(written, written && create))),
            }
        }
        for condition in &own.conditions {
            let said = format!("entity.{}.erp.where", entity.kind);
            merge(needs, &own.object, &condition.column, Need { insert: create, said, ..Need::default() });
        }
    }
}

fn merge(needs: &mut Needs, object: &str, column: &str, need: Need) {
    let columns = needs.entry(object.to_owned()).or_default();
    match columns.get_mut(column) {
        None => {
            columns.insert(column.to_owned(), need);
        }
        Some(known) => {
            known.update |= need.update;
            known.insert |= need.insert;
            known.kinds.extend(need.kinds);
            known.written.extend(need.written);
        }
    }
}

/// What the catalog says of one table.
#[derive(Debug)]
struct Table {
    there: bool,
    user: String,
    /// Columns of its primary key.
    key: Vec<String>,
    may_delete: bool,
    may_update: bool,
}

const TABLE: &str = "
    SELECT c.oid IS NOT NULL, current_user::text,
           coalesce((SELECT array_agg(a.attname::text ORDER BY k.place) FROM pg_catalog.pg_index i
                     CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
                     JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                     WHERE i.indrelid = c.oid AND i.indisprimary), '{}'),
           coalesce(has_table_privilege(c.oid, 'DELETE'), false),
           coalesce(has_any_column_privilege(c.oid, 'UPDATE'), false)
    FROM (SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname || '.' || c.relname = $1 AND c.relkind IN ('r', 'p')) AS c
    RIGHT JOIN (SELECT) AS one ON true LIMIT 1";

// Whether a foreign key stands between two tables on these columns, and an index on its columns.
const FOREIGN_KEY: &str = "
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_constraint f
        JOIN pg_catalog.pg_class c ON c.oid = f.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_class r ON r.oid = f.confrelid JOIN pg_catalog.pg_namespace m ON m.oid = r.relnamespace
        WHERE f.contype = 'f' AND n.nspname || '.' || c.relname = $1 AND m.nspname || '.' || r.relname = $2
          AND (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_catalog.pg_attribute a
               WHERE a.attrelid = c.oid AND a.attnum = ANY (f.conkey)) = $3)";

/// Looks at the tables beside root rows.
pub(super) async fn look(config: &Config, mapping: &Mapping) -> Looked {
    let place = place(config);
    // Whoever cannot connect is told so by the look at writing.
    let Ok(client) = sinks::erp::look(&config.write_erp).await else { return Err(Vec::new()) };
    let mut problems = Vec::new();
    let mut loose = Vec::new();
    let mut count = 0;
    for entity in &mapping.entities {
        for (name, row) in &entity.sides.erp.rows {
            count += 1;
            match one(&client, entity, name, row).await {
                Ok((found, tied)) => {
                    problems.extend(found);
                    loose.extend((!tied).then(|| row.table.clone()));
                }
                Err(error) => {
                    problems.push(Problem::new(&place, format!("reading the catalog failed: {error}"), "read the server's message"))
                }
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    loose.sort();
    loose.dedup();
    let caution = if loose.is_empty() {
        String::new()
    } else {
        format!("; without a foreign key a row can be added beside ours at the same moment: {}", loose.join(", "))
    };
    Ok(Seen { place, what: format!("{count} rows beside root rows can be joined and written{caution}") })
}

/// What is wrong with one row of the mapping, and whether a foreign key stands behind it.
async fn one(client: &Client, entity: &EntityMapping, name: &str, row: &RowMapping) -> Result<(Vec<Problem>, bool), Error> {
    let own = &entity.sides.erp;
    let (root, beside) = (table(client, &own.object).await?, table(client, &row.table).await?);
    if !root.there || !beside.there {
        // Said by the look at reading.
        return Ok((Vec::new(), true));
    }
    let here = format!("table {}, row {name} of {}", row.table, entity.kind);
    let mut problems = Vec::new();
    for (object, table) in [(&own.object, &root), (&row.table, &beside)] {
        if table.key.is_empty() {
            let remedy = format!("ALTER TABLE {} ADD PRIMARY KEY (…);", quoted(object));
            problems.push(Problem::new(format!("table {object}"), "it has no primary key, so its rows cannot be told apart", remedy));
        }
    }
    let (key, from, to, pointed_at) = match &row.link {
        RowLink::Child(key) => (key, &row.table, &own.object, &root),
        RowLink::Parent(key) => (key, &own.object, &row.table, &beside),
    };
    if !pointed_at.key.is_empty() && key.len() != pointed_at.key.len() {
        problems.push(Problem::new(
            &here,
            format!(
                "its foreign key ({}) has not as many columns as the primary key ({}) of {to}",
                key.join(", "),
                pointed_at.key.join(", ")
            ),
            "name the columns in the order of the primary key",
        ));
    }
    let prefix = format!("{name}.");
    let written = entity.fields.iter().filter(|field| field.direction.allows(Side::Erp));
    let written = written.flat_map(|field| field.columns.erp.written()).any(|column| column.starts_with(&prefix));
    if written {
        let mut lacking = Vec::new();
        if !beside.may_update {
            lacking.push(("UPDATE", &row.table));
        }
        if !beside.may_delete && row.empty == EmptyRow::Delete && matches!(row.link, RowLink::Child(_)) {
            lacking.push(("DELETE", &row.table));
        }
        if !root.may_update {
            lacking.push(("UPDATE", &own.object));
        }
        for (right, object) in lacking {
            problems.push(Problem::new(
                &here,
                format!("user {} lacks the right to {right} on {object}", root.user),
                format!("as the table's owner: GRANT {right} ON {} TO \"{}\";", quoted(object), root.user.replace('"', "\"\"")),
            ));
        }
    }
    let mut columns = key.clone();
    columns.sort();
    let tied = client.query_one(FOREIGN_KEY, &[from, to, &columns]).await?.get(0);
    Ok((problems, tied))
}

async fn table(client: &Client, object: &str) -> Result<Table, Error> {
    let row = client.query_one(TABLE, &[&object]).await?;
    Ok(Table { there: row.get(0), user: row.get(1), key: row.get(2), may_delete: row.get(3), may_update: row.get(4) })
}

fn quoted(object: &str) -> String {
    let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    match object.split_once('.') {
        Some((schema, table)) => format!("{}.{}", quote(schema), quote(table)),
        None => quote(object),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_rows_beside_the_root_are_asked_of_their_own_tables() {
        let mapping = processors::mapping_file::parse(include_str!("../../../tests/fixtures/party.toml")).expect("a mapping");
        let needs = super::super::needs::of(&mapping, Side::Erp);
        let columns = |object: &str| needs[object].keys().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(columns("party.Address"), ["Party Id", "Street", "active", "city", "invoice", "sequence"]);
        assert_eq!(columns("public.account_invoice_payment_term"), ["name"]);
        assert!(columns("public.party_party").iter().all(|column| !column.contains('.')), "{:?}", columns("public.party_party"));
        let contact = &needs["public.party_contact_mechanism"];
        assert!(contact["value"].update && contact["value"].insert && contact["party"].insert && !contact["party"].update);
        assert!(contact["active"].update && !contact["sequence"].insert);
        let root = &needs["public.party_party"];
        assert!(root["is_company"].insert && !root["customer_payment_term"].update, "the term only travels to the CRM");
    }
}
