//! The SQL about rows beside root rows. Every value travels as text in an array and is cast to its column's type inside.

use schemas::Value;
use schemas::message::WriteOp;

use super::super::catalog::{Table, quoted};
use super::super::plan::{Group, Row};
use super::super::statement::{Statement, as_text, same};
use super::super::value::{self, Kind};
use super::plan::{Beside, any_of};

type Text = Option<String>;

/// The values that a statement reads: a derived table `v`, one row for each write, and values that are the same for all.
#[derive(Default)]
struct Input {
    outer: Vec<String>,
    inner: Vec<String>,
    numbers: Vec<usize>,
    params: Vec<Vec<Text>>,
}

impl Input {
    /// A value of each row; returns its name.
    fn each(&mut self, type_name: &str, texts: Vec<Text>) -> String {
        let name = format!("c{}", self.inner.len());
        self.outer.push(format!("CAST(u.{name} AS {type_name}) AS {name}"));
        self.inner.push(name.clone());
        self.params.push(texts);
        self.numbers.push(self.params.len());
        format!("v.{name}")
    }

    /// A value of all rows; returns its expression.
    fn all(&mut self, type_name: &str, text: Text) -> String {
        self.params.push(vec![text]);
        format!("CAST((${}::text[])[1] AS {type_name})", self.params.len())
    }

    fn sql(&self) -> String {
        let arrays: Vec<String> = self.numbers.iter().map(|number| format!("${number}::text[]")).collect();
        let outer: Vec<&str> = std::iter::once("u.ord").chain(self.outer.iter().map(String::as_str)).collect();
        let (outer, arrays, inner) = (outer.join(", "), arrays.join(", "), self.inner.join(", "));
        format!("(SELECT {outer} FROM unnest({arrays}) WITH ORDINALITY AS u({inner}, ord)) AS v")
    }

    fn done(self, sql: String) -> Statement {
        Statement { sql, params: self.params }
    }
}

fn name(table: &Table, column: usize) -> String {
    quoted(&table.columns[column].name)
}

fn type_name(table: &Table, column: usize) -> &str {
    &table.columns[column].type_name
}

/// Rows of a table by their primary key.
fn by_key(input: &mut Input, table: &Table, alias: &str, keys: &[&[Text]]) -> String {
    let parts = table.key.iter().enumerate().map(|(place, column)| {
        let value = input.each(type_name(table, *column), keys.iter().map(|key| key.get(place).cloned().flatten()).collect());
        format!("{alias}.{} = {value}", name(table, *column))
    });
    parts.collect::<Vec<_>>().join(" AND ")
}

fn roots(input: &mut Input, group: &Group, rows: &[&Row]) -> String {
    let keys: Vec<&[Text]> = rows.iter().map(|row| row.key.as_slice()).collect();
    by_key(input, &group.table, "t", &keys)
}

fn key_list(table: &Table, alias: &str) -> String {
    table.key.iter().map(|column| format!("{alias}.{}", name(table, *column))).collect::<Vec<_>>().join(", ")
}

/// How rows `c` hang on root rows `t`.
fn hangs(group: &Group, beside: &Beside) -> String {
    let parts = beside.key.iter().enumerate().map(|(place, column)| {
        if beside.target.parent {
            format!("c.{} = t.{}", name(&beside.table, beside.table.key[place]), name(&group.table, *column))
        } else {
            format!("c.{} = t.{}", name(&beside.table, *column), name(&group.table, group.table.key[place]))
        }
    });
    parts.collect::<Vec<_>>().join(" AND ")
}

/// How root rows are locked. A foreign key waits for the stronger lock, so nobody can add or move a row to them meanwhile;
/// that is asked for only where a row is expected not to be there, because whoever posts an invoice waits for it too.
pub(crate) fn root_strength(group: &Group, rows: &[&Row]) -> &'static str {
    let adds = |row: &&Row| row.beside.iter().any(|values| !values.set.is_empty() && values.expect.iter().all(Option::is_none));
    if group.op == WriteOp::Delete || rows.iter().any(adds) { "UPDATE" } else { "NO KEY UPDATE" }
}

/// Locks root rows.
pub(crate) fn lock_roots(group: &Group, rows: &[&Row]) -> Statement {
    let mut input = Input::default();
    let key = roots(&mut input, group, rows);
    let (table, order) = (&group.table.name, key_list(&group.table, "t"));
    let strength = root_strength(group, rows);
    let sql = format!("SELECT v.ord FROM {} JOIN {table} AS t ON {key} ORDER BY {order} FOR {strength} OF t", input.sql());
    input.done(sql)
}

/// Locks all rows beside root rows, those that are not chosen too: they could become so.
pub(crate) fn lock(group: &Group, beside: &Beside, rows: &[&Row]) -> Statement {
    let mut input = Input::default();
    let key = roots(&mut input, group, rows);
    let sql = format!(
        "SELECT v.ord FROM {} JOIN {} AS t ON {key} JOIN {} AS c ON {} ORDER BY {} FOR UPDATE OF c",
        input.sql(),
        group.table.name,
        beside.table.name,
        hangs(group, beside),
        key_list(&beside.table, "c")
    );
    input.done(sql)
}

/// The chosen row of each root row.
fn chosen(input: &mut Input, group: &Group, beside: &Beside) -> String {
    let table = &beside.table;
    let mut conditions = vec![hangs(group, beside)];
    for field in &beside.target.conditions {
        let Some(column) = table.column(&field.name) else { continue };
        let own = format!("c.{}", name(table, column));
        let any = any_of(&field.value).into_iter().map(|wanted| match wanted {
            Value::Null => format!("{own} IS NULL"),
            wanted => format!("{own} = {}", input.all(type_name(table, column), value::text(wanted))),
        });
        conditions.push(format!("({})", any.collect::<Vec<_>>().join(" OR ")));
    }
    let mut order: Vec<String> = Vec::new();
    for by in &beside.target.order {
        let (by, direction) = by.strip_prefix('-').map_or((by.as_str(), "ASC"), |by| (by, "DESC"));
        let Some(column) = table.column(by) else { continue };
        let own = format!("c.{}", name(table, column));
        // Text by its bytes, whatever the database's collation: capture decides by the same rule.
        let own = match table.columns[column].kind {
            Kind::Text | Kind::Array(..) => format!("{own}::text COLLATE \"C\""),
            Kind::Bool | Kind::Int | Kind::Double | Kind::Numeric | Kind::Bytes | Kind::Date | Kind::Timestamp => own,
        };
        order.push(format!("{own} {direction} NULLS LAST"));
    }
    for column in &table.key {
        let own = format!("c.{}::text", name(table, *column));
        order.push(format!("char_length({own}), {own} COLLATE \"C\""));
    }
    format!("SELECT c.* FROM {} AS c WHERE {} ORDER BY {} LIMIT 1", table.name, conditions.join(" AND "), order.join(", "))
}

/// Reads root rows with the rows beside them as they are now: ordinal, whether all expected values hold, the root's shown
/// columns, and for each row beside its key and its seen columns.
pub(crate) fn look(group: &Group, rows: &[&Row]) -> Statement {
    let mut input = Input::default();
    let key = roots(&mut input, group, rows);
    let mut holds = vec!["true".to_owned()];
    for (place, column) in group.expect.iter().enumerate() {
        let expected = input.each(type_name(&group.table, *column), rows.iter().map(|row| row.expect[place].clone()).collect());
        holds.push(same(&group.table.columns[*column], &format!("t.{}", name(&group.table, *column)), &expected));
    }
    let mut out: Vec<String> = group.shown().iter().map(|column| as_text(&format!("t.{}", name(&group.table, *column)))).collect();
    let mut joins = String::new();
    for (number, beside) in group.beside.iter().enumerate() {
        let own = |column: &usize| format!("r{number}.{}", name(&beside.table, *column));
        for (place, column) in beside.expect.iter().enumerate() {
            let texts = rows.iter().map(|row| row.beside[number].expect[place].clone()).collect();
            let expected = input.each(type_name(&beside.table, *column), texts);
            holds.push(same(&beside.table.columns[*column], &own(column), &expected));
        }
        out.extend(beside.table.key.iter().chain(&beside.seen).map(|column| as_text(&own(column))));
        joins.push_str(&format!(" LEFT JOIN LATERAL ({}) AS r{number} ON true", chosen(&mut input, group, beside)));
    }
    let out: String = out.iter().map(|column| format!(", {column}")).collect();
    let sql = format!(
        "SELECT v.ord, {}{out} FROM {} JOIN {} AS t ON {key}{joins}",
        holds.iter().map(|part| format!("({part})")).collect::<Vec<_>>().join(" AND "),
        input.sql(),
        group.table.name
    );
    input.done(sql)
}

/// Sets columns of rows by their key; returns the ordinal of each row done.
pub(crate) fn set(table: &Table, keys: &[&[Text]], columns: &[(usize, Vec<Text>)]) -> Statement {
    let mut input = Input::default();
    let key = by_key(&mut input, table, "t", keys);
    let set: Vec<String> = columns
        .iter()
        .map(|(column, texts)| format!("{} = {}", name(table, *column), input.each(type_name(table, *column), texts.clone())))
        .collect();
    let sql = format!("UPDATE {} AS t SET {} FROM {} WHERE {key} RETURNING v.ord", table.name, set.join(", "), input.sql());
    input.done(sql)
}

/// Removes rows by their key; returns the ordinal of each row done.
pub(crate) fn remove(table: &Table, keys: &[&[Text]]) -> Statement {
    let mut input = Input::default();
    let key = by_key(&mut input, table, "t", keys);
    let sql = format!("DELETE FROM {} AS t USING {} WHERE {key} RETURNING v.ord", table.name, input.sql());
    input.done(sql)
}

/// Inserts rows with these columns; returns the key of each row made.
pub(crate) fn insert(table: &Table, columns: &[(usize, Vec<Text>)]) -> Statement {
    let returning: Vec<String> = table.key.iter().map(|column| as_text(&format!("t.{}", name(table, *column)))).collect();
    let returning = returning.join(", ");
    let mut input = Input::default();
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for (column, texts) in columns {
        names.push(name(table, *column));
        values.push(input.each(type_name(table, *column), texts.clone()));
    }
    let (names, values) = (names.join(", "), values.join(", "));
    let sql =
        format!("INSERT INTO {} AS t ({names}) SELECT {values} FROM {} ORDER BY v.ord RETURNING {returning}", table.name, input.sql());
    input.done(sql)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use schemas::message::{Field, RowTarget, WhenEmpty};

    use super::super::super::catalog::{Column, Compare};
    use super::super::plan::BesideValues;
    use super::*;

    #[test]
    fn a_look_joins_the_row_that_is_chosen_now() {
        let column = |name: &str, type_name: &str, kind| Column {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
            kind,
            compare: Compare::Plain,
        };
        let root = Table {
            name: "\"public\".\"party\"".to_owned(),
            object: "public.party".to_owned(),
            columns: vec![column("id", "integer", Kind::Int)],
            key: vec![0],
            triggered_after: false,
        };
        let contact = Table {
            name: "\"public\".\"contact\"".to_owned(),
            object: "public.contact".to_owned(),
            columns: vec![
                column("id", "integer", Kind::Int),
                column("party", "integer", Kind::Int),
                column("type", "character varying", Kind::Text),
                column("value", "character varying", Kind::Text),
            ],
            key: vec![0],
            triggered_after: false,
        };
        let target = RowTarget {
            name: "email".to_owned(),
            table: "public.contact".to_owned(),
            key_columns: vec!["party".to_owned()],
            parent: false,
            record: None,
            conditions: vec![Field { name: "type".to_owned(), value: Value::text("email") }],
            order: vec!["-value".to_owned()],
            columns: vec!["value".to_owned()],
            constants: Vec::new(),
            when_empty: WhenEmpty::Delete,
            retire: Vec::new(),
        };
        let beside = Beside { target, table: Arc::new(contact), key: vec![1], set: vec![3], expect: vec![3], seen: vec![3] };
        let group = Group {
            table: Arc::new(root),
            op: WriteOp::Update,
            set: Vec::new(),
            expect: Vec::new(),
            id_column: None,
            beside: vec![beside],
            rows: Vec::new(),
        };
        let row = Row {
            job: 0,
            record: Some("7".to_owned()),
            entity: "e".to_owned(),
            key: vec![Some("7".to_owned())],
            set: Vec::new(),
            expect: Vec::new(),
            beside: vec![BesideValues { set: vec![None], expect: vec![Some("a@b".to_owned())] }],
        };
        let statement = look(&group, &[&row]);
        assert_eq!(
            statement.sql,
            "SELECT v.ord, (true) AND (r0.\"value\" IS NOT DISTINCT FROM v.c1), CASE WHEN r0.\"id\" IS NOT NULL THEN format('%s', r0.\"id\") END, \
             CASE WHEN r0.\"value\" IS NOT NULL THEN format('%s', r0.\"value\") END FROM (SELECT u.ord, CAST(u.c0 AS integer) AS c0, \
             CAST(u.c1 AS character varying) AS c1 FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS u(c0, c1, ord)) AS v \
             JOIN \"public\".\"party\" AS t ON t.\"id\" = v.c0 LEFT JOIN LATERAL (SELECT c.* FROM \"public\".\"contact\" AS c \
             WHERE c.\"party\" = t.\"id\" AND (c.\"type\" = CAST(($3::text[])[1] AS character varying)) \
             ORDER BY c.\"value\"::text COLLATE \"C\" DESC NULLS LAST, char_length(c.\"id\"::text), c.\"id\"::text COLLATE \"C\" LIMIT 1) AS r0 ON true"
        );
        assert_eq!(statement.params.len(), 3);
        assert!(lock_roots(&group, &[&row]).sql.ends_with("ORDER BY t.\"id\" FOR NO KEY UPDATE OF t"));
        let adds = Row { beside: vec![BesideValues { set: vec![None], expect: vec![None] }], ..row.clone() };
        assert!(lock_roots(&group, &[&row, &adds]).sql.ends_with("FOR UPDATE OF t"));
        assert!(
            lock(&group, &group.beside[0], &[&row])
                .sql
                .contains("JOIN \"public\".\"contact\" AS c ON c.\"party\" = t.\"id\" ORDER BY c.\"id\"")
        );
    }
}
