//! How a change says which write of ours made it.
//!
//! In the CRM a field of the record bears the id of the last write ([`borne`]). Where that deleted the record, its id is
//! followed by `:d` ([`of_delete`]): the record takes it in the transaction that deletes it, of which the CRM's stream may show
//! nothing but that the field changed; and a record that is there and bears it has been brought back since.
//!
//! A transaction of ours in the ERP says which of its row changes belong to which write: one transactional logical
//! message of Postgres before its end, under [`PREFIX`], with the text of [`text`].
//!
//! The text is JSON, `[["<schema.table>","<record>","<write id>"],…]`, in the order in which the writes were carried out. A
//! record is spelled as the key of its change on the log: the key column's text, or a JSON array of the texts of several.
//! Whoever reads it must know by other means that the transaction is ours: anybody may emit such a message.

/// What the message starts with.
pub const PREFIX: &str = "concord.writes";

/// A row that a write changed, made or removed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// `schema.table`.
    pub object: String,
    /// The row's key.
    pub record: String,
    /// Id of the write.
    pub write: String,
}

/// The message's text.
pub fn text(stamps: &[Stamp]) -> String {
    let rows = stamps.iter().map(|stamp| serde_json::json!([stamp.object, stamp.record, stamp.write]));
    serde_json::Value::Array(rows.collect()).to_string()
}

/// The stamps of a message; none when it is not one of ours.
pub fn read(text: &[u8]) -> Option<Vec<Stamp>> {
    let rows: Vec<(String, String, String)> = serde_json::from_slice(text).ok()?;
    Some(rows.into_iter().map(|(object, record, write)| Stamp { object, record, write }).collect())
}

const DELETED: &str = ":d";

/// What a record in the CRM bears of the write that deletes it.
#[must_use]
pub fn of_delete(write: &str) -> String {
    format!("{write}{DELETED}")
}

/// The write that a record in the CRM bears, and whether that deleted it.
#[must_use]
pub fn borne(text: &str) -> (&str, bool) {
    text.strip_suffix(DELETED).map_or((text, false), |write| (write, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_says_whether_the_write_that_it_bears_deleted_it() {
        assert_eq!(borne("e:w3"), ("e:w3", false));
        assert_eq!(borne(&of_delete("e:w3")), ("e:w3", true));
        assert_eq!(borne(""), ("", false));
    }

    #[test]
    fn stamps_come_out_of_their_text_as_they_went_in() {
        let stamp = |object: &str, record: &str, write: &str| Stamp {
            object: object.to_owned(),
            record: record.to_owned(),
            write: write.to_owned(),
        };
        let stamps = [stamp("public.customers", "1", "e:w3"), stamp("Sales.EU.Order \"Line", r#"["1","a"]"#, "e:w4")];
        assert_eq!(text(&stamps), r#"[["public.customers","1","e:w3"],["Sales.EU.Order \"Line","[\"1\",\"a\"]","e:w4"]]"#);
        assert_eq!(read(text(&stamps).as_bytes()).as_deref(), Some(stamps.as_slice()));
        for other in ["", "[]x", "{}", "[[1,2,3]]", "[[\"a\",\"b\"]]"] {
            assert_eq!(read(other.as_bytes()), None, "{other}");
        }
    }
}
