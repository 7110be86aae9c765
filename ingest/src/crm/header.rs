//! The head of a change event: which records, what happened, when and by whom.

use super::avro::{Datum, FieldType, Type};
use super::bitmap::FieldSet;
use super::ids;

/// What happened, as Salesforce says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeType {
    Create,
    Update,
    Delete,
    Undelete,
    /// Something happened to the named records that the event does not carry.
    Gap,
    /// A transaction was too large: something happened to any number of records.
    Overflow,
}

impl ChangeType {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "CREATE" => Self::Create,
            "UPDATE" => Self::Update,
            "DELETE" => Self::Delete,
            "UNDELETE" => Self::Undelete,
            "GAP_CREATE" | "GAP_UPDATE" | "GAP_DELETE" | "GAP_UNDELETE" => Self::Gap,
            "GAP_OVERFLOW" => Self::Overflow,
            _ => return None,
        })
    }
}

/// The change event header.
#[derive(Debug, PartialEq)]
pub(crate) struct Header {
    pub(crate) entity: String,
    /// 18-character ids, or wildcards.
    pub(crate) record_ids: Vec<String>,
    pub(crate) change: ChangeType,
    pub(crate) origin: String,
    pub(crate) transaction: String,
    /// From 1 within the transaction.
    pub(crate) sequence: i64,
    pub(crate) commit_ms: i64,
    pub(crate) user: String,
    pub(crate) nulled: FieldSet,
    pub(crate) diffed: FieldSet,
    pub(crate) changed: FieldSet,
}

impl Header {
    /// Reads the header out of the event's first field.
    pub(crate) fn of(kind: &Type, datum: &Datum) -> Result<Self, String> {
        let (Some(record), Datum::Record(values)) = (kind.record(), datum) else {
            return Err("the event does not begin with a ChangeEventHeader".to_owned());
        };
        let get = |name: &str| {
            record
                .fields
                .iter()
                .position(|FieldType { name: found, .. }| found == name)
                .and_then(|place| values.get(place))
                .ok_or_else(|| format!("the header has no {name}"))
        };
        let text = |name: &str| match get(name)? {
            Datum::Text(text) => Ok(text.clone()),
            Datum::Null => Ok(String::new()),
            _ => Err(format!("the header's {name} is not text")),
        };
        let number = |name: &str| match get(name)? {
            Datum::Long(number) => Ok(*number),
            _ => Err(format!("the header's {name} is not a number")),
        };
        let texts = |name: &str| match get(name)? {
            Datum::List(items) => Ok(items
                .iter()
                .filter_map(|item| if let Datum::Text(text) = item { Some(text.as_str()) } else { None })
                .collect::<Vec<_>>()),
            Datum::Null => Ok(Vec::new()),
            _ => Err(format!("the header's {name} is not a list")),
        };
        let set = |name: &str| FieldSet::decode(texts(name)?).map_err(|reason| format!("{name}: {reason}"));
        let change = text("changeType")?;
        Ok(Self {
            entity: text("entityName")?,
            record_ids: texts("recordIds")?.into_iter().map(ids::long_id).collect(),
            change: ChangeType::parse(&change).ok_or_else(|| format!("unknown change type {change:?}"))?,
            origin: text("changeOrigin")?,
            transaction: text("transactionKey")?,
            sequence: number("sequenceNumber")?,
            commit_ms: number("commitTimestamp")?,
            user: text("commitUser")?,
            nulled: set("nulledFields")?,
            diffed: set("diffFields")?,
            changed: set("changedFields")?,
        })
    }
}

/// The client tag of a change origin: `com/salesforce/api/rest/66.0;client=concord` → `concord`.
///
/// Tags are the caller's own words; a slash at the end is part of Lightning's.
pub(crate) fn client(origin: &str) -> Option<&str> {
    origin.split(';').skip(1).find_map(|part| part.strip_prefix("client=")).filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_tag_is_found_where_there_is_one() {
        assert_eq!(client("com/salesforce/api/rest/66.0;client=concord"), Some("concord"));
        assert_eq!(client("com/salesforce/api/soap/60.0;client=SfdcInternalAPI/"), Some("SfdcInternalAPI/"));
        assert_eq!(client("com/salesforce/api/bulkapi/66.0"), None);
        assert_eq!(client(";client="), None);
        assert_eq!(client(""), None);
    }

    #[test]
    fn every_gap_is_a_gap() {
        for word in ["GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE"] {
            assert_eq!(ChangeType::parse(word), Some(ChangeType::Gap));
        }
        assert_eq!(ChangeType::parse("GAP_OVERFLOW"), Some(ChangeType::Overflow));
        assert_eq!(ChangeType::parse("SNAPSHOT"), None);
    }
}
