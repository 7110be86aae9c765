//! What Postgres's refusals mean for a write: which concern one row, which the whole side, which pass.

use std::time::Duration;

use tokio_postgres::error::{DbError, Error as PgError};

use crate::error::Error;
use crate::writer::{Answer, Verdict};

/// What an SQLSTATE means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The row's values are refused, and will be again.
    Row,
    /// Somebody holds a lock that the row needs.
    Locked,
    /// The table, a column or a right is missing; others go on, and this goes on when it is mended.
    Table,
    /// Another transaction won; the same again will do.
    Again,
    /// The server cannot work now, or is gone.
    Server,
    /// The server does not let us in.
    Credentials,
}

impl Kind {
    /// Whether the rest of a batch can go on.
    pub(crate) const fn of_one_row(self) -> bool {
        match self {
            Self::Row | Self::Locked | Self::Table => true,
            Self::Again | Self::Server | Self::Credentials => false,
        }
    }
}

/// The table, most particular first: a whole SQLSTATE, or its class of two characters.
const CODES: &[(&str, Kind)] = &[
    ("55P03", Kind::Locked),
    ("57014", Kind::Locked),
    ("42501", Kind::Table),
    ("42P01", Kind::Table),
    ("42703", Kind::Table),
    ("42704", Kind::Table),
    ("42P10", Kind::Table),
    ("3F000", Kind::Table),
    ("40002", Kind::Row),
    ("0A", Kind::Row),
    ("26000", Kind::Again),
    ("42", Kind::Row),
    ("22", Kind::Row),
    ("23", Kind::Row),
    ("27", Kind::Row),
    ("2F", Kind::Row),
    ("38", Kind::Row),
    ("39", Kind::Row),
    ("44", Kind::Row),
    ("P0", Kind::Row),
    ("54", Kind::Row),
    ("40", Kind::Again),
    ("28", Kind::Credentials),
    ("3D", Kind::Credentials),
    ("08", Kind::Server),
    ("25", Kind::Server),
    ("53", Kind::Server),
    ("55", Kind::Server),
    ("57", Kind::Server),
    ("58", Kind::Server),
    ("XX", Kind::Server),
];

/// What an SQLSTATE means; codes of extensions and triggers that we do not know concern their row.
pub(crate) fn of_code(code: &str) -> Kind {
    let found = |key: &str| CODES.iter().find(|(name, _)| *name == key).map(|(_, kind)| *kind);
    found(code).or_else(|| found(code.get(..2).unwrap_or_default())).unwrap_or(Kind::Row)
}

/// What an error means; one without an SQLSTATE is of the connection, or of a value the client could not send.
pub(crate) fn of(error: &PgError) -> Kind {
    match error.as_db_error() {
        // A unique violation in our own ledger: another process has just answered the same write.
        Some(db) if db.table() == Some("ledger") && db.schema() == Some("concord") => Kind::Again,
        Some(db) if db.code().code() == "0A000" && db.message().contains("cached plan") => Kind::Again,
        Some(db) if db.code().code() == "42501" && db.message().contains("row-level security") => Kind::Row,
        Some(db) => of_code(db.code().code()),
        None => Kind::Server,
    }
}

pub(crate) fn code(error: &PgError) -> String {
    error.code().map_or_else(|| "CONNECTION".to_owned(), |code| code.code().to_owned())
}

/// How long a write waits whose table, column or right is missing.
const MENDING: Duration = Duration::from_secs(5);

/// The answer to the one write that an error concerns.
pub(crate) fn answer(error: &PgError) -> Answer {
    let code = code(error);
    let Some(db) = error.as_db_error() else {
        return Answer::later(code, crate::error::chain(error), "It is tried again", None);
    };
    match of(error) {
        Kind::Row => Answer::Done(Verdict::failed(code, describe(db), remedy(db))),
        Kind::Table => Answer::later(code, describe(db), remedy(db), Some(MENDING)),
        Kind::Locked | Kind::Again | Kind::Server | Kind::Credentials => Answer::later(code, describe(db), remedy(db), None),
    }
}

/// What Postgres said, with column, constraint and table.
fn describe(db: &DbError) -> String {
    let mut text = db.message().to_owned();
    for (name, value) in [("table", db.table()), ("column", db.column()), ("constraint", db.constraint())] {
        if let Some(value) = value
            && !text.contains(value)
        {
            text.push_str(&format!(" ({name} {value})"));
        }
    }
    // Of these the detail is the whole row, columns that nobody mapped included.
    let whole_row = matches!(db.code().code(), "23502" | "23514");
    if let Some(detail) = db.detail().filter(|_| !whole_row) {
        text.push_str(": ");
        text.push_str(detail.trim_end_matches('.'));
    }
    text
}

fn remedy(db: &DbError) -> String {
    if let Some(hint) = db.hint() {
        return hint.to_owned();
    }
    match db.code().code() {
        "23502" => "Give the column a value in the mapping (a constant will do) or a default in the ERP, then try it again on the page Failures (or concord retry)",
        "23503" => "Create the row it refers to, then try it again on the page Failures (or concord retry)",
        "23505" => "Another row has this value already; change one of the two, then try it again on the page Failures (or concord retry)",
        "23514" | "23P01" | "44000" => "Change the value at its source to one the ERP's rule allows, or change the rule and try it again",
        "22001" => "Shorten the value at its source, or trim it in the mapping",
        "22003" => "The number is too large for the column; change it at its source",
        "22P02" | "22007" | "22008" | "42804" | "22023" => "The column has another type than the mapping thinks; correct the mapping",
        "428C9" => "The column is generated by the ERP; take it out of the mapping or make it one-way",
        "42501" => "Grant Concord's user the right to select, insert, update and delete on this table",
        "42P01" | "3F000" => "Create the table, or correct its name in the mapping",
        "42703" => "Create the column, or correct its name in the mapping",
        "42P10" => "Make the column that holds the entity id unique: CREATE UNIQUE INDEX ON … (column)",
        "55P03" | "57014" => "Another session holds the row; look for long transactions in pg_stat_activity",
        "P0001" => "A trigger of the ERP refuses this; change the value at its source, or the trigger and try it again",
        _ => "Read the message; once the cause is gone, try it again on the page Failures (or concord retry)",
    }
    .to_owned()
}

/// The error as one of the whole side.
pub(crate) fn whole(doing: &'static str, error: &PgError) -> Error {
    let reason = crate::error::chain(error);
    let target = "the ERP";
    let Some(db) = error.as_db_error() else { return Error::Reach { target, doing, reason } };
    match of(error) {
        Kind::Credentials => Error::Credentials {
            target,
            reason: describe(db),
            remedy: "correct user, password or database in the ERP's connection string, or let them in by pg_hba.conf".to_owned(),
        },
        Kind::Server | Kind::Again | Kind::Locked => Error::Busy { target, doing, reason: describe(db), after: None },
        Kind::Row | Kind::Table => Error::Missing { what: format!("the ERP refuses {doing}: {}", describe(db)), remedy: remedy(db) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sqlstate_has_one_meaning() {
        let check = |code: &str, kind: Kind| assert_eq!(of_code(code), kind, "{code}");
        check("23514", Kind::Row);
        check("22001", Kind::Row);
        check("P0001", Kind::Row);
        check("MYERR", Kind::Row);
        check("42804", Kind::Row);
        check("55P03", Kind::Locked);
        check("57014", Kind::Locked);
        check("42703", Kind::Table);
        check("42501", Kind::Table);
        check("40P01", Kind::Again);
        check("40001", Kind::Again);
        check("57P01", Kind::Server);
        check("53300", Kind::Server);
        check("25006", Kind::Server);
        check("28P01", Kind::Credentials);
    }

    #[test]
    fn no_code_is_listed_twice() {
        let names: std::collections::BTreeSet<_> = CODES.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), CODES.len());
    }
}
