//! The SQL of each kind of write. Every value travels as text in an array and is cast to its column's type inside.

use schemas::message::WriteOp;

use super::beside;
use super::catalog::{Column, Compare, Table, quoted};
use super::plan::{Group, Row};

/// SQL with its parameters, one array for each column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) params: Vec<Vec<Option<String>>>,
}

/// The values that a statement reads, as a derived table `v`.
struct Values<'a> {
    table: &'a Table,
    outer: Vec<String>,
    inner: Vec<String>,
    params: Vec<Vec<Option<String>>>,
}

impl<'a> Values<'a> {
    fn of(table: &'a Table) -> Self {
        Self { table, outer: vec!["u.ord".to_owned()], inner: Vec::new(), params: Vec::new() }
    }

    fn add<'r>(mut self, prefix: char, columns: &[usize], texts: impl Fn(usize) -> Vec<&'r Option<String>>) -> Self {
        for (place, column) in columns.iter().enumerate() {
            let name = format!("{prefix}{place}");
            self.outer.push(format!("CAST(u.{name} AS {}) AS {name}", self.table.columns[*column].type_name));
            self.inner.push(name);
            self.params.push(texts(place).into_iter().cloned().collect());
        }
        self
    }

    fn sql(&self) -> String {
        let arrays: Vec<String> = (1..=self.params.len()).map(|number| format!("${number}::text[]")).collect();
        format!(
            "(SELECT {} FROM unnest({}) WITH ORDINALITY AS u({}, ord)) AS v",
            self.outer.join(", "),
            arrays.join(", "),
            self.inner.join(", ")
        )
    }
}

/// The text form of an expression, as the type's output function writes it.
pub(crate) fn as_text(expression: &str) -> String {
    format!("CASE WHEN {expression} IS NOT NULL THEN format('%s', {expression}) END")
}

fn shown(group: &Group, columns: &[usize]) -> String {
    columns.iter().map(|column| format!(", {}", as_text(&format!("t.{}", quoted(&group.table.columns[*column].name))))).collect()
}

fn key(group: &Group) -> String {
    let parts =
        group.table.key.iter().enumerate().map(|(place, column)| format!("t.{} = v.k{place}", quoted(&group.table.columns[*column].name)));
    parts.collect::<Vec<_>>().join(" AND ")
}

fn expected(group: &Group) -> String {
    let parts = group.expect.iter().enumerate().map(|(place, column)| {
        let column = &group.table.columns[*column];
        format!(" AND {}", same(column, &format!("t.{}", quoted(&column.name)), &format!("v.e{place}")))
    });
    parts.collect()
}

/// Whether two expressions of a column's type have the same value.
pub(crate) fn same(column: &Column, left: &str, right: &str) -> String {
    match column.compare {
        Compare::Plain => format!("{left} IS NOT DISTINCT FROM {right}"),
        Compare::AsJsonb => format!("{left}::jsonb IS NOT DISTINCT FROM {right}::jsonb"),
        Compare::AsText => format!("({}) IS NOT DISTINCT FROM ({})", as_text(left), as_text(right)),
    }
}

fn values<'a>(group: &'a Group, rows: &[&Row], with_set: bool) -> Values<'a> {
    let values = Values::of(&group.table).add('k', &group.table.key, |place| rows.iter().map(|row| &row.key[place]).collect()).add(
        'e',
        &group.expect,
        |place| rows.iter().map(|row| &row.expect[place]).collect(),
    );
    if with_set { values.add('s', &group.set, |place| rows.iter().map(|row| &row.set[place]).collect()) } else { values }
}

/// Does an update or a delete; returns the ordinal (and the shown columns) of each row done.
pub(crate) fn change(group: &Group, rows: &[&Row]) -> Statement {
    let table = &group.table.name;
    match group.op {
        WriteOp::Delete => {
            let values = values(group, rows, false);
            let sql = format!("DELETE FROM {table} AS t USING {} WHERE {}{} RETURNING v.ord", values.sql(), key(group), expected(group));
            Statement { sql, params: values.params }
        }
        WriteOp::Update | WriteOp::Create => {
            let values = values(group, rows, true);
            let set: Vec<String> = group
                .set
                .iter()
                .enumerate()
                .map(|(place, column)| format!("{} = v.s{place}", quoted(&group.table.columns[*column].name)))
                .collect();
            let sql = format!(
                "UPDATE {table} AS t SET {} FROM {} WHERE {}{} RETURNING v.ord{}",
                set.join(", "),
                values.sql(),
                key(group),
                expected(group),
                shown(group, group.shown())
            );
            Statement { sql, params: values.params }
        }
    }
}

/// Reads rows as they are: ordinal, whether the expected values hold, and the shown columns.
pub(crate) fn actual(group: &Group, rows: &[&Row]) -> Statement {
    let values = values(group, rows, false);
    let sql = format!(
        "SELECT v.ord, true{}{} FROM {} JOIN {} AS t ON {}",
        expected(group),
        shown(group, group.shown()),
        values.sql(),
        group.table.name,
        key(group)
    );
    Statement { sql, params: values.params }
}

/// Locks those rows that nobody else has locked, and returns their ordinals.
pub(crate) fn lock(group: &Group, rows: &[&Row]) -> Statement {
    let values = values(group, rows, false);
    let strength = beside::root_strength(group, rows);
    let sql =
        format!("SELECT v.ord FROM {} JOIN {} AS t ON {} FOR {strength} OF t SKIP LOCKED", values.sql(), group.table.name, key(group));
    Statement { sql, params: values.params }
}

/// Creates rows; returns entity id (when a column holds it), key columns and shown columns of each row made.
pub(crate) fn insert(group: &Group, rows: &[&Row]) -> Statement {
    let mut values = Values::of(&group.table);
    let mut columns: Vec<String> = Vec::new();
    let mut sources: Vec<String> = Vec::new();
    let mut conflict = String::new();
    let mut id = "NULL::text".to_owned();
    if let Some(column) = group.id_column {
        let name = quoted(&group.table.columns[column].name);
        let entities: Vec<Option<String>> = rows.iter().map(|row| Some(row.entity.clone())).collect();
        values = values.add('i', &[column], |_| entities.iter().collect());
        conflict = format!(" ON CONFLICT ({name}) DO NOTHING");
        id = as_text(&format!("t.{name}"));
        columns.push(name);
        sources.push("v.i0".to_owned());
    }
    values = values.add('s', &group.set, |place| rows.iter().map(|row| &row.set[place]).collect());
    for (place, column) in group.set.iter().enumerate() {
        columns.push(quoted(&group.table.columns[*column].name));
        sources.push(format!("v.s{place}"));
    }
    let returning = format!("{id}{}{}", shown(group, &group.table.key), shown(group, group.shown()));
    let table = &group.table.name;
    if columns.is_empty() {
        return Statement { sql: format!("INSERT INTO {table} AS t DEFAULT VALUES RETURNING {returning}"), params: Vec::new() };
    }
    let sql = format!(
        "INSERT INTO {table} AS t ({}) SELECT {} FROM {} ORDER BY v.ord{conflict} RETURNING {returning}",
        columns.join(", "),
        sources.join(", "),
        values.sql()
    );
    Statement { sql, params: values.params }
}

/// Finds the rows that already hold entity ids; returns what [`insert`] returns.
pub(crate) fn existing(group: &Group, id_column: usize, rows: &[&Row]) -> Statement {
    let name = quoted(&group.table.columns[id_column].name);
    let entities: Vec<Option<String>> = rows.iter().map(|row| Some(row.entity.clone())).collect();
    let values = Values::of(&group.table).add('i', &[id_column], |_| entities.iter().collect());
    let id = as_text(&format!("t.{name}"));
    let sql = format!(
        "SELECT {id}{}{} FROM {} JOIN {} AS t ON t.{name} = v.i0",
        shown(group, &group.table.key),
        shown(group, group.shown()),
        values.sql(),
        group.table.name
    );
    Statement { sql, params: values.params }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::value::Kind;
    use super::*;

    #[test]
    fn an_update_names_key_expectations_and_values_in_their_types() {
        let column = |name: &str, type_name: &str, compare| Column {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
            kind: Kind::Text,
            compare,
        };
        let table = Table {
            name: "\"public\".\"Odd \"\"name\"".to_owned(),
            object: "public.Odd \"name".to_owned(),
            columns: vec![
                column("id", "bigint", Compare::Plain),
                column("na me", "text", Compare::Plain),
                column("doc", "json", Compare::AsJsonb),
            ],
            key: vec![0],
            triggered_after: false,
        };
        let row = Row {
            job: 0,
            record: Some("1".into()),
            entity: "e".into(),
            key: vec![Some("1".into())],
            set: vec![Some("x".into())],
            expect: vec![None, Some("{}".into())],
            beside: Vec::new(),
        };
        let group = Group {
            table: Arc::new(table),
            op: WriteOp::Update,
            set: vec![1],
            expect: vec![1, 2],
            id_column: None,
            beside: Vec::new(),
            rows: Vec::new(),
        };
        let statement = change(&group, &[&row]);
        assert_eq!(
            statement.sql,
            "UPDATE \"public\".\"Odd \"\"name\" AS t SET \"na me\" = v.s0 \
             FROM (SELECT u.ord, CAST(u.k0 AS bigint) AS k0, CAST(u.e0 AS text) AS e0, CAST(u.e1 AS json) AS e1, CAST(u.s0 AS text) AS s0 \
             FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS u(k0, e0, e1, s0, ord)) AS v \
             WHERE t.\"id\" = v.k0 AND t.\"na me\" IS NOT DISTINCT FROM v.e0 AND t.\"doc\"::jsonb IS NOT DISTINCT FROM v.e1::jsonb \
             RETURNING v.ord, CASE WHEN t.\"na me\" IS NOT NULL THEN format('%s', t.\"na me\") END"
        );
        assert_eq!(statement.params.len(), 4);
    }
}
