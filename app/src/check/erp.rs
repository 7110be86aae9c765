//! The ERP: what its reader needs, what its writer needs, and the mapping's columns.

use std::collections::BTreeMap;

use tokio_postgres::{Client, Error, Row};

use super::field;
use super::needs::{Family, Need, Needs, fits, spelled};
use super::{Looked, Problem, Seen, address, seen_with};
use crate::config::Config;

pub(super) async fn reading(config: &Config) -> Looked {
    let reader = &config.capture_erp;
    let place = place(config);
    match ingest::erp::check(reader).await {
        Ok(findings) if findings.is_empty() => {
            // Reading can begin without it; that the database does not answer was said above.
            let ledger = ingest::erp::check_ledger(reader).await.ok().flatten();
            let notes = ledger.map(|finding| Problem::note(finding.place, finding.what, finding.remedy));
            let what = format!(
                "wal_level, the right to replicate, {} tables, publication {} and slot {} are fit",
                reader.tables.len(),
                reader.publication,
                reader.slot
            );
            seen_with(notes.into_iter().collect(), Seen { place, what })
        }
        Ok(findings) => Err(findings.into_iter().map(|finding| named(finding.into())).collect()),
        Err(error) => Err(vec![Problem::new(place, error.to_string(), "see that the server runs, then look again")]),
    }
}

/// The reader says "Postgres at"; there may be several.
fn named(problem: Problem) -> Problem {
    match problem.place.strip_prefix("Postgres at ") {
        Some(address) => Problem { place: format!("ERP at {address}"), ..problem },
        None => problem,
    }
}

/// Where it is, for people.
pub(super) fn place(config: &Config) -> String {
    format!("ERP at {}", address(config.capture_erp.url.reveal()))
}

/// With `read_too`, what the reader says of server and tables is not said again.
pub(super) async fn writing(config: &Config, needs: Needs, read_too: bool) -> Looked {
    let place = place(config);
    let writer = &config.write_erp;
    let client = match sinks::erp::look(writer).await {
        Ok(client) => client,
        Err(_) if read_too && reading(config).await.is_err_and(|found| found.iter().any(|problem| !problem.note)) => return Err(Vec::new()),
        Err(error) => return Err(vec![refused(&place, &error)]),
    };
    let mut problems = rights(&client, &place, &writer.origin).await.map_err(|error| vec![failed(&place, "reading our rights", &error)])?;
    let columns = columns(&client, &needs).await.map_err(|error| vec![failed(&place, "reading the catalog", &error)])?;
    for (object, asked) in &needs {
        let there: Vec<&Column> = columns.iter().filter(|column| column.object == *object).collect();
        if there.is_empty() {
            if !read_too {
                problems.push(Problem::new(
                    format!("table {object}"),
                    "it does not exist in this database",
                    "correct the name in the mapping, or create the table",
                ));
            }
            continue;
        }
        for (name, need) in asked {
            problems.extend(fault(object, name, need, there.iter().find(|column| column.name == *name).copied(), &there[0].user));
        }
        problems.extend(lacking(object, asked, &there));
    }
    let fields: usize = needs.values().map(|columns| columns.len()).sum();
    let what = format!("ledger, replication origin {} and {fields} columns can be used as mapped", writer.origin);
    seen_with(problems, Seen { place, what })
}

/// Why the writer is not let in, with what mends it.
fn refused(place: &str, error: &sinks::Error) -> Problem {
    match error {
        sinks::Error::Reach { reason, .. } | sinks::Error::Busy { reason, .. } => Problem::new(
            place,
            format!("cannot connect: {reason}"),
            "see that a Postgres runs there and can be reached from here, or correct url in [erp]",
        ),
        other => Problem::new(place, other.to_string(), other.remedy()),
    }
}

/// A question that went wrong although we are connected.
fn failed(place: &str, doing: &str, error: &Error) -> Problem {
    let said = error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string);
    Problem::new(place, format!("{doing} failed: {said}"), "read the server's message; it names what is missing")
}

// The same questions as the writer asks itself before it makes what is missing.
const RIGHTS: &str = "
    SELECT current_user::text, current_database()::text, pg_catalog.pg_is_in_recovery(),
           to_regclass('concord.ledger') IS NOT NULL,
           CASE WHEN to_regclass('concord.ledger') IS NOT NULL
                THEN has_schema_privilege('concord', 'USAGE') AND has_table_privilege('concord.ledger', 'SELECT')
                     AND has_table_privilege('concord.ledger', 'INSERT') AND has_table_privilege('concord.ledger', 'DELETE')
                ELSE has_database_privilege(current_database(), 'CREATE') END,
           EXISTS (SELECT FROM pg_catalog.pg_replication_origin WHERE roname = $1),
           (SELECT bool_or(has_function_privilege(oid, 'EXECUTE')) FROM pg_catalog.pg_proc WHERE proname = 'pg_replication_origin_create'),
           (SELECT bool_and(has_function_privilege(oid, 'EXECUTE')) FROM pg_catalog.pg_proc
            WHERE proname IN ('pg_replication_origin_session_setup', 'pg_replication_origin_xact_setup')),
           (SELECT string_agg(oid::regprocedure::text, ', ' ORDER BY oid) FROM pg_catalog.pg_proc
            WHERE proname = 'pg_logical_emit_message' AND NOT has_function_privilege(oid, 'EXECUTE'))";

async fn rights(client: &Client, place: &str, origin: &str) -> Result<Vec<Problem>, Error> {
    let row = client.query_one(RIGHTS, &[&origin]).await?;
    let (user, database): (String, String) = (row.get(0), row.get(1));
    let (standby, ledger, ledger_usable, has_origin): (bool, bool, bool, bool) = (row.get(2), row.get(3), row.get(4), row.get(5));
    let may = |place: usize| row.get::<_, Option<bool>>(place).unwrap_or(false);
    let mut problems = Vec::new();
    if standby {
        problems.push(Problem::new(place, "it is a standby and cannot be written to", "name the primary as url in [erp]"));
    }
    if !ledger_usable {
        let (what, remedy) = if ledger {
            (
                format!("user {user} may not read and write the ledger concord.ledger"),
                format!(
                    "as its owner: GRANT USAGE ON SCHEMA concord TO {0}; GRANT SELECT, INSERT, DELETE ON concord.ledger TO {0};",
                    quoted(&user)
                ),
            )
        } else {
            (
                format!("user {user} may not create the ledger (schema concord) in database {database}"),
                format!("as its owner: GRANT CREATE ON DATABASE {} TO {};", quoted(&database), quoted(&user)),
            )
        };
        problems.push(Problem::new(place, what, remedy));
    }
    if let Some(functions) = row.get::<_, Option<String>>(8) {
        problems.push(Problem::new(
            place,
            format!("user {user} may not use {functions}, so it could not be told which write made a change"),
            format!("as superuser: GRANT EXECUTE ON FUNCTION {functions} TO {};", quoted(&user)),
        ));
    }
    if !may(7) {
        problems.push(Problem::new(
            place,
            format!("user {user} may not write under a replication origin, so our changes could not be told from others'"),
            format!("as superuser: GRANT EXECUTE ON FUNCTION pg_replication_origin_session_setup(text), pg_replication_origin_xact_setup(pg_lsn, timestamptz), pg_replication_origin_create(text) TO {};", quoted(&user)),
        ));
    } else if !has_origin && !may(6) {
        problems.push(Problem::new(
            place,
            format!("replication origin {origin} does not exist and user {user} may not create it"),
            format!("as superuser: SELECT pg_replication_origin_create('{}');", origin.replace('\'', "''")),
        ));
    }
    Ok(problems)
}

#[derive(Debug)]
struct Column {
    object: String,
    name: String,
    family: Family,
    type_name: String,
    generated: bool,
    always_identity: bool,
    may_select: bool,
    may_insert: bool,
    may_update: bool,
    user: String,
    not_null: bool,
    has_default: bool,
    /// Most characters of a text, where the type says.
    length: Option<i32>,
    /// Digits after the point, where the type says.
    scale: Option<i32>,
    /// The only values of an enum type.
    labels: Vec<String>,
    /// No two rows have the same value.
    unique: bool,
}

// A domain is judged by its base type.
const COLUMNS: &str = "
    SELECT n.nspname || '.' || c.relname, a.attname::text, coalesce(nullif(t.typbasetype, 0), t.oid)::int8, (t.typcategory = 'A'),
           pg_catalog.format_type(a.atttypid, a.atttypmod), a.attgenerated <> '', a.attidentity = 'a',
           has_column_privilege(c.oid, a.attnum, 'SELECT'), has_column_privilege(c.oid, a.attnum, 'INSERT'),
           has_column_privilege(c.oid, a.attnum, 'UPDATE'), current_user::text,
           a.attnotnull OR t.typnotnull, a.atthasdef OR a.attidentity <> '',
           CASE WHEN coalesce(nullif(t.typbasetype, 0), t.oid) IN (1042, 1043) AND m.typmod > 4 THEN m.typmod - 4 END,
           CASE WHEN coalesce(nullif(t.typbasetype, 0), t.oid) = 1700 AND m.typmod > 4 THEN (m.typmod - 4) & 2047 END,
           coalesce((SELECT array_agg(l.enumlabel::text) FROM pg_catalog.pg_enum l
                     WHERE l.enumtypid = coalesce(nullif(t.typbasetype, 0), t.oid)), '{}'),
           EXISTS (SELECT FROM pg_catalog.pg_index i
                   WHERE i.indrelid = c.oid AND i.indisunique AND i.indpred IS NULL AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum)
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
    CROSS JOIN LATERAL (SELECT coalesce(nullif(a.atttypmod, -1), t.typtypmod) AS typmod) AS m
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname || '.' || c.relname = ANY($1)";

async fn columns(client: &Client, needs: &Needs) -> Result<Vec<Column>, Error> {
    let objects: Vec<String> = needs.keys().cloned().collect();
    let rows = client.query(COLUMNS, &[&objects]).await?;
    let column = |row: &Row| Column {
        object: row.get(0),
        name: row.get(1),
        family: family(row.get(2), row.get(3)),
        type_name: row.get(4),
        generated: row.get(5),
        always_identity: row.get(6),
        may_select: row.get(7),
        may_insert: row.get(8),
        may_update: row.get(9),
        user: row.get(10),
        not_null: row.get(11),
        has_default: row.get(12),
        length: row.get(13),
        scale: row.get(14),
        labels: row.get(15),
        unique: row.get(16),
    };
    Ok(rows.iter().map(column).collect())
}

/// How capture brings values of a type.
const fn family(oid: i64, array: bool) -> Family {
    match oid {
        _ if array => Family::List,
        16 => Family::Bool,
        17 => Family::Other,
        20 | 21 | 23 | 26 => Family::Int,
        700 | 701 | 1700 => Family::Number,
        1082 => Family::Date,
        1114 | 1184 => Family::Timestamp,
        _ => Family::Text,
    }
}

/// The first thing that keeps a column from being used as mapped.
fn fault(object: &str, name: &str, need: &Need, column: Option<&Column>, user: &str) -> Option<Problem> {
    let place = format!("column {object}.{name}, mapped by {}", need.said);
    let table = object.split('.').map(quoted).collect::<Vec<_>>().join(".");
    let Some(column) = column else {
        return Some(Problem::new(place, "it does not exist", "correct the column's name in the mapping, or add the column"));
    };
    if column.generated {
        return Some(Problem::new(
            place,
            "it is generated, so it is neither in the change stream nor writable",
            "take it out of the mapping, or map what it is made of",
        ));
    }
    if (need.insert || need.update) && column.always_identity {
        return Some(Problem::new(
            place,
            "it is GENERATED ALWAYS, so it cannot be written",
            format!(
                "give the field direction = \"to_crm\", or: ALTER TABLE {table} ALTER COLUMN {} SET GENERATED BY DEFAULT;",
                quoted(name)
            ),
        ));
    }
    let rights =
        [("SELECT", true, column.may_select), ("INSERT", need.insert, column.may_insert), ("UPDATE", need.update, column.may_update)];
    let lacking: Vec<&str> = rights.into_iter().filter(|(_, asked, given)| *asked && !given).map(|(right, ..)| right).collect();
    if !lacking.is_empty() {
        let lacking = lacking.join(", ");
        return Some(Problem::new(
            place,
            format!("user {user} lacks the right to {lacking}"),
            format!("as the table's owner: GRANT {lacking} ON {table} TO {}; or let the mapping only read it", quoted(user)),
        ));
    }
    if let Some(kind) = need.kinds.iter().find(|kind| !fits(kind, column.family)) {
        return Some(Problem::new(
            place,
            format!("its type {} cannot be read as {}", column.type_name, spelled(kind)),
            "correct the field's type in the mapping, or give the column a read (and write) expression",
        ));
    }
    if !need.insert && !need.update {
        return None;
    }
    let holds = field::Holds {
        type_name: &column.type_name,
        length: column.length.and_then(|length| usize::try_from(length).ok()),
        scale: column.scale.and_then(|scale| u32::try_from(scale).ok()),
        values: (!column.labels.is_empty()).then(|| column.labels.iter().map(String::as_str).collect()),
        open: false,
        list: column.family == Family::List,
        needed: column.not_null,
    };
    field::fault(&place, &need.written, &holds).or_else(|| {
        let unsure = need.written.id && !column.unique;
        unsure.then(|| {
            let remedy = format!("CREATE UNIQUE INDEX ON {table} ({});", quoted(name));
            Problem::note(place, "two rows could hold the same entity id", remedy)
        })
    })
}

/// Columns that a new row needs and that the mapping gives nothing.
fn lacking(object: &str, asked: &BTreeMap<String, Need>, there: &[&Column]) -> Vec<Problem> {
    if !asked.values().any(|need| need.insert) {
        return Vec::new();
    }
    let given = |name: &str| asked.get(name).is_some_and(|need| need.insert);
    there
        .iter()
        .filter(|column| column.not_null && !column.has_default && !column.generated && !given(&column.name))
        .map(|column| {
            Problem::note(
                format!("column {object}.{}", column.name),
                "it is NOT NULL without a default, and the mapping gives it nothing: unless a trigger does, new rows are refused",
                format!("map it, add it to the constants of the entity's erp side, or give it a DEFAULT: ALTER TABLE {object} ALTER COLUMN {} SET DEFAULT …;", quoted(&column.name)),
            )
        })
        .collect()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use reconcile::mapping::FieldType;

    use super::super::needs::Written;
    use super::*;

    fn column() -> Column {
        Column {
            object: "public.customers".to_owned(),
            name: "limit".to_owned(),
            family: Family::Number,
            type_name: "numeric(14,2)".to_owned(),
            generated: false,
            always_identity: false,
            may_select: true,
            may_insert: true,
            may_update: true,
            user: "sync".to_owned(),
            not_null: false,
            has_default: false,
            length: None,
            scale: Some(2),
            labels: Vec::new(),
            unique: false,
        }
    }

    #[test]
    fn each_fault_of_a_column_is_named_with_what_mends_it() {
        let need = Need {
            update: true,
            insert: true,
            kinds: vec![FieldType::Decimal { scale: 2 }],
            said: "entity.customer.field.limit".to_owned(),
            written: Written { scale: Some(2), ..Written::default() },
        };
        let check = |column: Option<Column>, what: &str, remedy: &str| {
            let found = fault("public.customers", "limit", &need, column.as_ref(), "sync").expect("a fault");
            assert!(
                found.what.contains(what) && found.remedy.contains(remedy) && found.place.contains("entity.customer.field.limit"),
                "{found:?}"
            );
        };
        assert_eq!(fault("public.customers", "limit", &need, Some(&column()), "sync"), None);
        check(None, "does not exist", "name in the mapping");
        check(Some(Column { generated: true, ..column() }), "generated", "take it out");
        check(Some(Column { always_identity: true, ..column() }), "GENERATED ALWAYS", "ALTER TABLE \"public\".\"customers\"");
        check(
            Some(Column { may_update: false, may_insert: false, ..column() }),
            "INSERT, UPDATE",
            "GRANT INSERT, UPDATE ON \"public\".\"customers\" TO \"sync\"",
        );
        check(
            Some(Column { family: Family::Bool, type_name: "boolean".to_owned(), ..column() }),
            "type boolean cannot be read as decimal(2)",
            "type in the mapping",
        );
        check(Some(Column { scale: Some(1), ..column() }), "keeps 1 digits after the point", "decimal(1)");
    }
}
