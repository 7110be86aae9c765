//! What is remembered of rows beside root rows, and under which keys.
//!
//! ```text
//! xt table 0 row                       → BesideRow  a row beside root rows
//! xi table 0 key columns 0 root 0 row  → Mark       a row that points at a root row
//! xg object 0 key columns 0 row 0 root → Mark       a root row that points at a row
//! xy object 0 root                     → Mark       a root row that has not found its place yet
//! ```

use schemas::message::Field;
use schemas::record;

record! {
    /// One row beside a root row as last seen. A row that is gone is forgotten.
    pub struct BesideRow {
        /// Latest values of the columns that the mapping uses.
        pub columns: Vec<Field>,
        /// Whether they came from a copy.
        pub snapshot: bool,
        /// Position of the change that brought them.
        pub position: String,
        /// Its commit time.
        pub committed_at: i64,
        /// Offset of that change in its partition.
        pub offset: i64,
    }
}

fn key(head: u8, parts: &[&str]) -> Vec<u8> {
    let mut out = vec![b'x', head];
    out.extend_from_slice(parts.join("\0").as_bytes());
    out
}

/// A foreign key's columns in one part of a key.
fn columns(key: &[String]) -> String {
    key.join("\u{1}")
}

pub(crate) fn row_key(table: &str, row: &str) -> Vec<u8> {
    key(b't', &[table, row])
}

/// Every row of a table.
pub(crate) fn rows_prefix(table: &str) -> Vec<u8> {
    key(b't', &[table, ""])
}

pub(crate) fn child_row_key(table: &str, foreign_key: &[String], root: &str, row: &str) -> Vec<u8> {
    key(b'i', &[table, &columns(foreign_key), root, row])
}

/// The rows of a table that point at a root row.
pub(crate) fn child_rows_prefix(table: &str, foreign_key: &[String], root: &str) -> Vec<u8> {
    key(b'i', &[table, &columns(foreign_key), root, ""])
}

pub(crate) fn pointing_key(object: &str, foreign_key: &[String], row: &str, root: &str) -> Vec<u8> {
    key(b'g', &[object, &columns(foreign_key), row, root])
}

/// The root rows of an object that point at a row.
pub(crate) fn pointing_prefix(object: &str, foreign_key: &[String], row: &str) -> Vec<u8> {
    key(b'g', &[object, &columns(foreign_key), row, ""])
}

pub(crate) fn arrival_key(object: &str, root: &str) -> Vec<u8> {
    key(b'y', &[object, root])
}

pub(crate) fn arrivals_prefix(object: &str) -> Vec<u8> {
    key(b'y', &[object, ""])
}

/// What follows a prefix, as text.
pub(crate) fn after<'a>(key: &'a [u8], prefix: &[u8]) -> Option<&'a str> {
    std::str::from_utf8(key.get(prefix.len()..)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_root_are_not_taken_for_those_of_another() {
        let by = |column: &str| vec![column.to_owned()];
        let key = child_row_key("public.contact", &by("party"), "12", "3");
        assert_eq!(after(&key, &child_rows_prefix("public.contact", &by("party"), "12")), Some("3"));
        assert!(!key.starts_with(&child_rows_prefix("public.contact", &by("party"), "1")));
        assert!(!key.starts_with(&child_rows_prefix("public.contact", &by("owner"), "12")));
        assert!(!row_key("public.ab", "1").starts_with(&rows_prefix("public.a")));
    }
}
