//! Query with paging by locator, and the replication calls `updated` and `deleted`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value as Json, json};

use super::{Call, Reply, Server};
use crate::error::ApiError;
use crate::org::State;
use crate::org::schema::MODSTAMP;
use crate::org::time::{format_datetime, parse_datetime};
use crate::soql::{parse::parse, plan::Plan, plan::plan, run::matching, run::row_json};

const PAGE: usize = 2_000;
const OPEN_CURSORS: usize = 64;
const CURSOR_MS: i64 = 2 * 86_400_000;
const DAY_MS: i64 = 86_400_000;

/// Open query results: the records found, to be read page by page.
#[derive(Default)]
pub(crate) struct Cursors {
    open: Mutex<(u64, VecDeque<Cursor>)>,
}

#[derive(Clone)]
struct Cursor {
    name: String,
    plan: Arc<Plan>,
    numbers: Arc<Vec<u64>>,
    page: usize,
    opened_ms: i64,
}

/// The plan of a statement.
pub(crate) fn planned(state: &State, text: &str, restricted: bool) -> Result<Plan, ApiError> {
    let today = i32::try_from(state.now().div_euclid(DAY_MS)).unwrap_or(0);
    plan(state, &parse(text, today)?, restricted)
}

/// `GET /query?q=` and `/queryAll?q=`.
pub(crate) fn run(server: &Arc<Server>, state: &State, call: &Call, all: bool) -> Result<Reply, ApiError> {
    let Some(text) = call.parameter("q").filter(|text| !text.trim().is_empty()) else {
        return Err(ApiError::new(400, "MALFORMED_QUERY", "a query string has to be specified"));
    };
    let plan = planned(state, text, call.actor.restricted)?;
    let numbers = matching(state, &plan, all);
    if plan.count {
        return Ok(Reply::json(200, json!({"totalSize": numbers.len(), "done": true, "records": []})));
    }
    let page = call
        .header("sforce-query-options")
        .and_then(|options| options.split(',').find_map(|option| option.trim().strip_prefix("batchSize=")))
        .and_then(|size| size.trim().parse::<usize>().ok())
        .map_or(PAGE, |size| size.clamp(200, PAGE));
    let cursor = Cursor { name: String::new(), plan: Arc::new(plan), numbers: Arc::new(numbers), page, opened_ms: state.clock.now_ms() };
    let cursor = if cursor.numbers.len() > page { server.cursors.open(cursor) } else { cursor };
    Ok(show(state, call, &cursor, 0))
}

/// `GET /query/01g…-2000`.
pub(crate) fn next_page(server: &Arc<Server>, state: &State, call: &Call, locator: &str) -> Result<Reply, ApiError> {
    let expired = || ApiError::new(400, "INVALID_QUERY_LOCATOR", "invalid query locator");
    let (name, from) = locator.rsplit_once('-').ok_or_else(expired)?;
    let from: usize = from.parse().map_err(|_| expired())?;
    let cursor = server.cursors.find(name, state.clock.now_ms()).ok_or_else(expired)?;
    Ok(show(state, call, &cursor, from))
}

fn show(state: &State, call: &Call, cursor: &Cursor, from: usize) -> Reply {
    let total = cursor.numbers.len();
    let to = (from + cursor.page).min(total);
    let records: Vec<Json> = cursor
        .numbers
        .get(from..to)
        .unwrap_or_default()
        .iter()
        .map(|number| row_json(state, &cursor.plan, *number, &call.version))
        .collect();
    let mut body = json!({"totalSize": total, "done": to >= total});
    if let Some(fields) = body.as_object_mut() {
        if to < total {
            fields.insert("nextRecordsUrl".to_owned(), json!(format!("/services/data/v{}/query/{}-{to}", call.version, cursor.name)));
        }
        fields.insert("records".to_owned(), Json::Array(records));
    }
    Reply::json(200, body)
}

impl Cursors {
    fn open(&self, mut cursor: Cursor) -> Cursor {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.0 += 1;
        cursor.name = crate::org::id::RecordId::new(*b"01g", open.0).to_string();
        open.1.push_back(cursor.clone());
        if open.1.len() > OPEN_CURSORS {
            open.1.pop_front();
        }
        cursor
    }

    fn find(&self, name: &str, now_ms: i64) -> Option<Cursor> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.1.iter().find(|cursor| cursor.name == name && now_ms - cursor.opened_ms < CURSOR_MS).cloned()
    }
}

/// `GET /sobjects/X/updated?start&end`.
pub(crate) fn updated(state: &State, call: &Call, name: &str) -> Result<Reply, ApiError> {
    let object = state.object(name)?;
    let (start, end) = window(state, call, 30)?;
    let table = &state.tables[object];
    let ids: Vec<String> = table
        .modified_since(start)
        .into_iter()
        .filter(|number| table.get(*number).is_some_and(|row| !row.deleted && row.get(MODSTAMP).datetime().is_some_and(|ms| ms < end)))
        .map(|number| state.id(object, number).to_string())
        .collect();
    if ids.len() > 600_000 {
        return Err(ApiError::new(400, "EXCEEDED_ID_LIMIT", "more than 600000 records in the window"));
    }
    Ok(Reply::json(200, json!({"ids": ids, "latestDateCovered": format_datetime(end)})))
}

/// `GET /sobjects/X/deleted?start&end`.
pub(crate) fn deleted(state: &State, call: &Call, name: &str) -> Result<Reply, ApiError> {
    let object = state.object(name)?;
    let (start, end) = window(state, call, 15)?;
    let table = &state.tables[object];
    let records: Vec<Json> = table
        .modified_since(start)
        .into_iter()
        .filter_map(|number| table.get(number).map(|row| (number, row)))
        .filter_map(|(number, row)| {
            row.get(MODSTAMP)
                .datetime()
                .filter(|ms| row.deleted && *ms < end)
                .map(|ms| json!({"id": state.id(object, number).to_string(), "deletedDate": format_datetime(ms)}))
        })
        .collect();
    Ok(Reply::json(
        200,
        json!({"deletedRecords": records, "earliestDateAvailable": format_datetime(state.now() - 15 * DAY_MS), "latestDateCovered": format_datetime(end)}),
    ))
}

/// Start and end of a replication window; seconds are ignored.
fn window(state: &State, call: &Call, days: i64) -> Result<(i64, i64), ApiError> {
    let read = |name: &str| {
        call.parameter(name)
            .and_then(|text| parse_datetime(&text.trim().replace(' ', "+")))
            .map(|ms| ms.div_euclid(60_000) * 60_000)
            .ok_or_else(|| ApiError::new(400, "INVALID_REPLICATION_DATE", format!("{name} is missing or no datetime")))
    };
    let (start, end) = (read("start")?, read("end")?);
    if end <= start {
        return Err(ApiError::new(400, "INVALID_REPLICATION_DATE", "startDate must be at least one minute before endDate"));
    }
    if start < state.now() - days * DAY_MS {
        return Err(ApiError::new(
            400,
            "INVALID_REPLICATION_DATE",
            format!("startDate before org replication enabled date or more than {days} days ago"),
        ));
    }
    Ok((start, end))
}

/// `GET /tooling/query`: managed subscriptions, and which objects have change events.
pub(crate) fn tooling(server: &Arc<Server>, state: &State, call: &Call) -> Result<Reply, ApiError> {
    let text = call.parameter("q").unwrap_or_default();
    if text.to_lowercase().contains("from managedeventsubscription") {
        let wanted = text.split('\'').nth(1).unwrap_or_default();
        let records: Vec<Json> = crate::pubsub::managed::find(state, wanted)
            .map(|found| {
                json!({
                    "attributes": {"type": "ManagedEventSubscription"},
                    "Id": found.id.to_string(),
                    "DeveloperName": found.developer_name,
                    "Metadata": {"label": found.developer_name, "topicName": found.topic_name, "defaultReplay": "LATEST", "errorRecoveryReplay": "EARLIEST", "state": "RUN"},
                })
            })
            .into_iter()
            .collect();
        return Ok(Reply::json(
            200,
            json!({"size": records.len(), "totalSize": records.len(), "done": true, "queryLocator": null, "entityTypeName": "ManagedEventSubscription", "records": records}),
        ));
    }
    if !text.to_lowercase().contains("from platformeventchannelmember") {
        return Err(ApiError::new(400, "INVALID_TYPE", "this simulator's tooling API knows PlatformEventChannelMember only"));
    }
    let records: Vec<Json> = server.live.read(|live| {
        live.change_events
            .iter()
            .filter_map(|name| state.index_of(name))
            .map(|object| {
                let event = state.objects[object].event_name();
                json!({"attributes": {"type": "PlatformEventChannelMember"}, "DeveloperName": format!("ChangeEvents_{event}"), "EventChannel": "ChangeEvents", "SelectedEntity": event})
            })
            .collect()
    });
    Ok(Reply::json(
        200,
        json!({"size": records.len(), "totalSize": records.len(), "done": true, "queryLocator": null, "entityTypeName": "PlatformEventChannelMember", "records": records}),
    ))
}
