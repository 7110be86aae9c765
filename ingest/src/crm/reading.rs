//! Reading records by REST: a few by id, an object page by page, what changed since a time.
//!
//! Pages are asked for in the order of ids, each after the last id of the one before, so that a copy can go on after a
//! restart without a cursor of the server's.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::catalog::Known;
use super::clock;
use super::error::Result;
use super::ids;
use super::progress::{Scan, Which};
use super::rest::{Record, Rest};

/// A condition of a query may not be longer than 4,000 characters.
const IDS_PER_QUERY: usize = 150;

/// A request's address and headers together may not be longer than 16,384 bytes, in which a comma takes three.
const MAX_SELECT: usize = 7_000;

/// Names the record that a deleted one was merged into.
const MASTER: &str = "MasterRecordId";

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
    /// The record that it was merged into.
    pub(crate) merged_into: Option<String>,
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
            merged_into: text(MASTER).map(ids::long_id),
            record,
        })
    }
}

/// Records by their ids, those in the recycle bin too. What is not found is gone for good.
pub(crate) async fn by_ids(rest: &Rest, known: &Known, wanted: &[String]) -> Result<Vec<Found>> {
    let [first, more @ ..] = &selects(known, MAX_SELECT)[..] else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for chunk in wanted.chunks(IDS_PER_QUERY) {
        let records = in_list(rest, known, first, chunk.iter().map(String::as_str)).await?;
        found.extend(records.into_iter().filter_map(Found::of));
    }
    complete(rest, known, more, &mut found).await?;
    Ok(found)
}

/// Which of some deleted records were merged, and into which record. Their events do not say.
pub(crate) async fn merged_into(rest: &Rest, known: &Known, deleted: &[String]) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    if known.described.field(MASTER).is_none() {
        return Ok(found);
    }
    for chunk in deleted.chunks(IDS_PER_QUERY) {
        let records = in_list(rest, known, &format!("Id,{MASTER}"), chunk.iter().map(String::as_str)).await?;
        let merged = records.into_iter().filter_map(Found::of);
        found.extend(merged.filter_map(|record| Some((record.id, record.merged_into?))));
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
    let [first, more @ ..] = &selects(known, MAX_SELECT)[..] else { return Ok(Vec::new()) };
    let query = format!("SELECT {first} FROM {object}{filter} ORDER BY Id LIMIT {rows}");
    let records = rest.query(&format!("to read {object}"), &query, scan.which != Which::All).await?;
    let mut found = records.into_iter().filter_map(Found::of).collect();
    complete(rest, known, more, &mut found).await?;
    Ok(found)
}

async fn in_list(rest: &Rest, known: &Known, select: &str, wanted: impl Iterator<Item = &str> + Send) -> Result<Vec<Record>> {
    let list = wanted.filter(|id| ids::is_id(id)).map(|id| format!("'{id}'")).collect::<Vec<_>>().join(",");
    if list.is_empty() {
        return Ok(Vec::new());
    }
    let object = &known.layout.object;
    rest.query(&format!("to read records of {object}"), &format!("SELECT {select} FROM {object} WHERE Id IN ({list})"), true).await
}

/// Reads the fields for which the first query had no room. A record that changed between the queries counts as read at
/// the earlier time, so that the event of that change is still applied to it.
async fn complete(rest: &Rest, known: &Known, selects: &[String], found: &mut Vec<Found>) -> Result<()> {
    for select in selects {
        let mut parts = BTreeMap::new();
        for chunk in found.chunks(IDS_PER_QUERY) {
            let records = in_list(rest, known, select, chunk.iter().map(|found| found.id.as_str())).await?;
            parts.extend(records.into_iter().filter_map(Found::of).map(|part| (part.id.clone(), part)));
        }
        // A record that is gone by now is reported by its own event.
        found.retain_mut(|found| {
            let Some(part) = parts.remove(&found.id) else { return false };
            found.modified_ms = found.modified_ms.min(part.modified_ms);
            for (name, value) in part.record {
                found.record.entry(name).or_insert(value);
            }
            true
        });
    }
    Ok(())
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

/// Field lists that together name every column, each short enough for a request's address. The first has the field for the
/// ids of our writes: what a write did shows in every field that is read with its id or later.
fn selects(known: &Known, max: usize) -> Vec<String> {
    const ALWAYS: [&str; 6] = ["Id", "IsDeleted", "SystemModstamp", "LastModifiedDate", "LastModifiedById", MASTER];
    let always = ALWAYS.iter().filter(|name| known.described.field(name).is_some()).copied().collect::<Vec<_>>().join(",");
    let mut lists = vec![always.clone()];
    let is_first = |name: &str| known.write_field.as_deref() == Some(name);
    let (first, others): (Vec<_>, Vec<_>) = known.layout.schema.columns.iter().partition(|column| is_first(&column.name));
    for column in first.into_iter().chain(others).filter(|column| !ALWAYS.contains(&column.name.as_str())) {
        if let Some(list) = lists.last_mut().filter(|list| list.len() + column.name.len() < max) {
            list.push(',');
            list.push_str(&column.name);
        } else {
            lists.push(format!("{always},{}", column.name));
        }
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::super::layout::Layout;
    use super::super::object::Object;
    use super::*;

    #[test]
    fn an_object_with_very_many_fields_is_read_in_parts_that_all_name_the_record() {
        let names: Vec<String> = (0..900).map(|number| format!("A_rather_long_custom_field_{number}__c")).collect();
        let fields = names
            .iter()
            .chain(["Id".to_owned(), "LastModifiedDate".to_owned()].iter())
            .map(|name| serde_json::json!({"name": name, "type": "string"}))
            .collect::<Vec<_>>();
        let described = Object::parse(serde_json::json!({"name": "Account", "queryable": true, "fields": fields}).to_string().as_bytes())
            .expect("a description");
        let fields = std::iter::once("ChangeEventHeader")
            .chain(names.iter().map(String::as_str))
            .map(|name| serde_json::json!({"name": name, "type": ["null", "string"]}))
            .collect::<Vec<_>>();
        let event = serde_json::json!({"type": "record", "name": "AccountChangeEvent", "fields": fields}).to_string();
        let layout = Layout::new(&event, &described).expect("a layout");
        let last = names.last().cloned();
        let known = Known { layout, described, topic: "t".into(), registered: 0, write_field: last.clone() };
        let lists = selects(&known, MAX_SELECT);
        assert!(lists.len() > 1 && lists.iter().all(|list| list.len() <= MAX_SELECT && list.starts_with("Id,LastModifiedDate,")));
        let all: std::collections::BTreeSet<&str> = lists.iter().flat_map(|list| list.split(',')).collect();
        assert_eq!(all.len(), 902);
        assert!(last.is_some_and(|last| lists[0].split(',').any(|name| name == last)));
    }
}
