//! Reading records by REST: a few by id, an object page by page, what changed since a time.
//!
//! Pages are asked for in the order of ids, each after the last id of the one before, so that a copy can go on after a
//! restart without a cursor of the server's.

use serde_json::Value as Json;

use super::catalog::Known;
use super::clock;
use super::error::Result;
use super::ids;
use super::progress::{Scan, Which};
use super::rest::{Record, Rest};

/// A condition of a query may not be longer than 4,000 characters.
const IDS_PER_QUERY: usize = 150;

/// A record as it is now.
pub(crate) struct Found {
    pub(crate) id: String,
    pub(crate) record: Record,
    /// It is in the recycle bin.
    pub(crate) deleted: bool,
    /// When it was last modified, in milliseconds.
    pub(crate) modified_ms: i64,
    /// Who last modified it.
    pub(crate) user: Option<String>,
}

impl Found {
    fn of(record: Record) -> Option<Self> {
        let text = |name: &str| record.get(name).and_then(Json::as_str);
        let time = |name: &str| text(name).and_then(clock::parse_datetime);
        Some(Self {
            id: ids::long_id(text("Id")?),
            deleted: record.get("IsDeleted").and_then(Json::as_bool).unwrap_or(false),
            modified_ms: time("LastModifiedDate").or_else(|| time("SystemModstamp")).unwrap_or(0),
            user: text("LastModifiedById").map(ids::long_id),
            record,
        })
    }
}

/// Records by their ids, those in the recycle bin too. What is not found is gone for good.
pub(crate) async fn by_ids(rest: &Rest, known: &Known, wanted: &[String]) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for chunk in wanted.chunks(IDS_PER_QUERY) {
        let list = chunk.iter().filter(|id| ids::is_id(id)).map(|id| format!("'{id}'")).collect::<Vec<_>>().join(",");
        if !list.is_empty() {
            let query = format!("SELECT {} FROM {} WHERE Id IN ({list})", select(known), known.layout.object);
            let records = rest.query(&format!("to read records of {}", known.layout.object), &query, true).await?;
            found.extend(records.into_iter().filter_map(Found::of));
        }
    }
    Ok(found)
}

/// The next page of a scan; the scan is finished when it has fewer rows than asked for.
pub(crate) async fn page(rest: &Rest, known: &Known, scan: &Scan, rows: usize) -> Result<Vec<Found>> {
    let object = &known.layout.object;
    let mut conditions = Vec::new();
    if scan.which != Which::All {
        conditions.push(format!("{} >= {}", stamp(known), clock::query_datetime(scan.since.max(0))));
    }
    if scan.which == Which::Deleted {
        conditions.push("IsDeleted = true".to_owned());
    }
    if ids::is_id(&scan.after) {
        conditions.push(format!("Id > '{}'", scan.after));
    }
    let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    let query = format!("SELECT {} FROM {object}{filter} ORDER BY Id LIMIT {rows}", select(known));
    let records = rest.query(&format!("to read {object}"), &query, scan.which != Which::All).await?;
    Ok(records.into_iter().filter_map(Found::of).collect())
}

/// The newest time stamp of an object's records, in milliseconds; 0 without any.
pub(crate) async fn newest(rest: &Rest, known: &Known) -> Result<i64> {
    let (object, stamp) = (&known.layout.object, stamp(known));
    let query = format!("SELECT {stamp} FROM {object} ORDER BY {stamp} DESC LIMIT 1");
    let records = rest.query(&format!("to read {object}"), &query, true).await?;
    let newest = records.first().and_then(|record| record.get(stamp)).and_then(Json::as_str).and_then(clock::parse_datetime);
    Ok(newest.unwrap_or(0))
}

/// SystemModstamp also moves when the org itself changes a record.
fn stamp(known: &Known) -> &'static str {
    if known.described.field("SystemModstamp").is_some() { "SystemModstamp" } else { "LastModifiedDate" }
}

fn select(known: &Known) -> String {
    let mut names: Vec<&str> = known.layout.schema.columns.iter().map(|column| column.name.as_str()).collect();
    for extra in ["IsDeleted", "SystemModstamp", "LastModifiedDate", "LastModifiedById"] {
        if !names.contains(&extra) && known.described.field(extra).is_some() {
            names.push(extra);
        }
    }
    names.join(",")
}
