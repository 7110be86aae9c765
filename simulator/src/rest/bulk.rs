//! Bulk API 2.0: query jobs with locators and ingest jobs with per-row results.
//!
//! A query job holds the ids it found and renders a page when asked. An ingest job runs by itself in
//! chunks of 200 records, each a transaction, so that other calls get their turn.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value as Json, json};

use super::{Call, Reply, Server, csv};
use crate::error::ApiError;
use crate::org::dml::Fields;
use crate::org::id::RecordId;
use crate::org::time::format_datetime;
use crate::org::{Actor, State};
use crate::soql::plan::{Column, Plan};
use crate::soql::run::{matching, reach};

const CHUNK: usize = 200;
const QUERY_PAGE: usize = 50_000;

/// All jobs, newest last.
#[derive(Default)]
pub(crate) struct Jobs {
    entries: Mutex<(u64, BTreeMap<String, Job>)>,
}

struct Job {
    version: String,
    created_ms: i64,
    state: &'static str,
    object: String,
    operation: String,

    work: Work,
}

enum Work {
    Query { plan: Arc<Plan>, numbers: Arc<Vec<u64>>, text: String },
    Ingest { key: String, data: Vec<u8>, processed: usize, failed: usize, successful: String, failures: String, unprocessed: String },
}

impl Jobs {
    fn lock(&self) -> MutexGuard<'_, (u64, BTreeMap<String, Job>)> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, job: Job) -> String {
        let mut entries = self.lock();
        entries.0 += 1;
        let id = RecordId::new(*b"750", entries.0).to_string();
        entries.1.insert(id.clone(), job);
        id
    }

    fn with<R>(&self, id: &str, work: impl FnOnce(&mut Job) -> R) -> Result<R, ApiError> {
        self.lock().1.get_mut(id).map(work).ok_or_else(ApiError::not_found)
    }
}

/// Reading calls below `/jobs/`.
pub(crate) fn get(server: &Arc<Server>, state: &State, call: &Call, kind: &str, rest: &[&str]) -> Result<Reply, ApiError> {
    match rest {
        [] => {
            let entries = server.jobs.lock();
            let records: Vec<Json> = entries.1.iter().filter(|(_, job)| job.is(kind)).map(|(id, job)| job.to_json(id)).collect();
            Ok(Reply::json(200, json!({"done": true, "records": records, "nextRecordsUrl": null})))
        }
        [id] => server.jobs.with(id, |job| Reply::json(200, job.to_json(id))),
        [id, "results"] => query_results(server, state, call, id),
        [id, "resultPages"] => result_pages(server, call, id),
        [id, list @ ("successfulResults" | "failedResults" | "unprocessedrecords")] => server.jobs.with(id, |job| {
            let text = match (&job.work, *list) {
                (Work::Ingest { successful, .. }, "successfulResults") => successful.clone(),
                (Work::Ingest { failures, .. }, "failedResults") => failures.clone(),
                (Work::Ingest { unprocessed, .. }, _) => unprocessed.clone(),
                (Work::Query { .. }, _) => String::new(),
            };
            Reply::text(200, "text/csv", text)
        }),
        _ => Err(ApiError::not_found()),
    }
}

/// Changing calls below `/jobs/`.
pub(crate) fn change(server: &Arc<Server>, state: &mut State, call: &Call, kind: &str, rest: &[&str]) -> Result<Reply, ApiError> {
    match (call.method.as_str(), kind, rest) {
        ("POST", "query", []) => create_query(server, state, call),
        ("POST", "ingest", []) => create_ingest(server, state, call),
        ("PUT", "ingest", [id, "batches"]) => server.jobs.with(id, |job| match &mut job.work {
            Work::Ingest { data, .. } if job.state == "Open" => {
                *data = call.body.to_vec();
                Ok(Reply::empty(201))
            }
            _ => Err(ApiError::new(400, "INVALIDJOBSTATE", "the job is not open")),
        })?,
        ("PATCH", _, [id]) => {
            let wanted = call.fields()?.get("state").and_then(Json::as_str).unwrap_or_default().to_owned();
            patch(server, call, id, &wanted)
        }
        ("DELETE", _, [id]) => {
            server.jobs.lock().1.remove(*id).ok_or_else(ApiError::not_found)?;
            Ok(Reply::empty(204))
        }
        _ => Err(ApiError::not_found()),
    }
}

fn create_query(server: &Arc<Server>, state: &State, call: &Call) -> Result<Reply, ApiError> {
    let body = call.fields()?;
    let text = body.get("query").and_then(Json::as_str).unwrap_or_default().to_owned();
    let operation = body.get("operation").and_then(Json::as_str).unwrap_or("query").to_owned();
    let plan = super::query::planned(state, &text, call.actor.restricted)?;
    if plan.count || plan.offset > 0 || plan.columns.iter().any(|column| matches!(column, Column::Children { .. })) {
        return Err(ApiError::new(400, "API_ERROR", "Bulk queries have no aggregates, OFFSET or child queries"));
    }
    let numbers = matching(state, &plan, operation == "queryAll");
    let object = state.objects[plan.object].name.clone();
    let job = Job {
        version: call.version.clone(),
        created_ms: state.now(),
        state: "JobComplete",
        object,
        operation,

        work: Work::Query { plan: Arc::new(plan), numbers: Arc::new(numbers), text },
    };
    let mut answer = job.to_json("");
    let id = server.jobs.add(job);
    answer["id"] = json!(id);
    answer["state"] = json!("UploadComplete");
    Ok(Reply::json(200, answer))
}

fn query_results(server: &Arc<Server>, state: &State, call: &Call, id: &str) -> Result<Reply, ApiError> {
    let (plan, numbers) = server.jobs.with(id, |job| match &job.work {
        Work::Query { plan, numbers, .. } if job.version == call.version => Ok((Arc::clone(plan), Arc::clone(numbers))),
        Work::Query { .. } => Err(ApiError::new(409, "API_ERROR", "the results are read with the API version the job was created with")),
        Work::Ingest { .. } => Err(ApiError::not_found()),
    })??;
    let from: usize = match call.parameter("locator") {
        None => 0,
        Some(locator) => locator
            .strip_prefix("Mt")
            .and_then(|from| from.parse().ok())
            .ok_or_else(|| ApiError::new(400, "INVALID_QUERY_LOCATOR", "invalid locator"))?,
    };
    let most: usize = call.parameter("maxRecords").and_then(|most| most.parse().ok()).filter(|most| *most > 0).unwrap_or(QUERY_PAGE);
    let to = from.saturating_add(most).min(numbers.len());
    let page = numbers.get(from..to).unwrap_or_default();
    let columns: Vec<_> =
        plan.columns.iter().filter_map(|column| if let Column::Field(accessor) = column { Some(accessor) } else { None }).collect();
    let mut text = String::new();
    csv::write_row(&mut text, columns.iter().map(|accessor| accessor.names.join(".")));
    for number in page {
        if let Some(row) = state.tables[plan.object].get(*number) {
            csv::write_row(
                &mut text,
                columns.iter().map(|accessor| shown(&crate::org::handle::shown(&reach(state, plan.object, *number, row, accessor)))),
            );
        }
    }
    let locator = if to < numbers.len() { format!("Mt{to}") } else { "null".to_owned() };
    Ok(Reply::text(200, "text/csv", text).with("sforce-numberofrecords", page.len().to_string()).with("sforce-locator", locator))
}

/// Datetimes in bulk results end in `Z`.
fn shown(text: &str) -> String {
    match text.strip_suffix("+0000") {
        Some(stem) if stem.len() == 23 => format!("{stem}Z"),
        _ => text.to_owned(),
    }
}

fn result_pages(server: &Arc<Server>, call: &Call, id: &str) -> Result<Reply, ApiError> {
    let count = server.jobs.with(id, |job| match &job.work {
        Work::Query { numbers, .. } => numbers.len(),
        Work::Ingest { .. } => 0,
    })?;
    let pages: Vec<Json> = (0..count.max(1))
        .step_by(QUERY_PAGE)
        .take(5)
        .map(|from| json!({"resultUrl": format!("/services/data/v{}/jobs/query/{id}/results?locator=Mt{from}", call.version)}))
        .collect();
    Ok(Reply::json(200, json!({"resultPages": pages, "done": true})))
}

fn create_ingest(server: &Arc<Server>, state: &State, call: &Call) -> Result<Reply, ApiError> {
    let body = call.fields()?;
    let text = |name: &str| body.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    let object = state
        .object(&text("object"))
        .map_err(|_| ApiError::new(400, "INVALIDENTITY", format!("Unable to find object: {}", text("object"))))?;
    let operation = text("operation");
    if !["insert", "update", "upsert", "delete", "hardDelete"].contains(&operation.as_str()) {
        return Err(ApiError::new(400, "API_ERROR", format!("operation {operation:?} is not known")));
    }
    if operation == "upsert" {
        state.upsert_field(object, &text("externalIdFieldName"))?;
    }
    let job = Job {
        version: call.version.clone(),
        created_ms: state.now(),
        state: "Open",
        object: state.objects[object].name.clone(),
        operation,

        work: Work::Ingest {
            key: text("externalIdFieldName"),
            data: Vec::new(),
            processed: 0,
            failed: 0,
            successful: String::new(),
            failures: String::new(),
            unprocessed: String::new(),
        },
    };
    let mut answer = job.to_json("");
    let id = server.jobs.add(job);
    answer["id"] = json!(id);
    answer["contentUrl"] = json!(format!("services/data/v{}/jobs/ingest/{id}/batches", call.version));
    Ok(Reply::json(200, answer))
}

fn patch(server: &Arc<Server>, call: &Call, id: &str, wanted: &str) -> Result<Reply, ApiError> {
    let state_name = match wanted {
        "Aborted" => "Aborted",
        "UploadComplete" => "UploadComplete",
        _ => return Err(ApiError::new(400, "INVALIDJOBSTATE", format!("a job cannot be set to {wanted:?}"))),
    };
    let answer = server.jobs.with(id, |job| {
        job.state = state_name;
        job.to_json(id)
    })?;
    if state_name == "UploadComplete" {
        let (server, actor, id) = (Arc::clone(server), call.actor.clone(), id.to_owned());
        // The caller holds the org; the work begins when it lets go.
        std::thread::spawn(move || ingest(&server, &actor, &id));
    }
    Ok(Reply::json(200, answer))
}

fn ingest(server: &Arc<Server>, actor: &Actor, id: &str) {
    let taken = server.jobs.with(id, |job| {
        let Work::Ingest { key, data, .. } = &mut job.work else { return None };
        job.state = "InProgress";
        Some((job.object.clone(), job.operation.clone(), key.clone(), std::mem::take(data)))
    });
    let Ok(Some((object, operation, key, data))) = taken else { return };
    let mut rows = csv::parse(&String::from_utf8_lossy(&data)).into_iter();
    let head = rows.next().unwrap_or_default();
    let (mut successful, mut failures) = (String::new(), String::new());
    csv::write_row(&mut successful, ["sf__Id", "sf__Created"].iter().copied().chain(head.iter().map(String::as_str)));
    csv::write_row(&mut failures, ["sf__Id", "sf__Error"].iter().copied().chain(head.iter().map(String::as_str)));
    let (mut processed, mut failed) = (0, 0);
    let rows: Vec<Vec<String>> = rows.collect();
    for chunk in rows.chunks(CHUNK) {
        let mut state = server.org.write();
        let Ok(object) = state.object(&object) else { return };
        let mut tx = state.begin(actor);
        for row in chunk {
            processed += 1;
            match ingest_row(&mut state, &mut tx, object, &operation, &key, &head, row) {
                Ok((id, created)) => {
                    csv::write_row(&mut successful, [id.to_string(), created.to_string()].into_iter().chain(row.iter().cloned()))
                }
                Err(error) => {
                    failed += 1;
                    let text = format!("{}:{}:{} --", error.code, error.message, error.fields.join(","));
                    csv::write_row(&mut failures, [String::new(), text].into_iter().chain(row.iter().cloned()));
                }
            }
        }
        state.commit(tx);
    }
    let _ = server.jobs.with(id, |job| {
        job.state = "JobComplete";
        if let Work::Ingest { processed: p, failed: f, successful: s, failures: e, .. } = &mut job.work {
            (*p, *f, *s, *e) = (processed, failed, successful, failures);
        }
    });
}

fn ingest_row(
    state: &mut State,
    tx: &mut crate::org::transaction::Transaction,
    object: usize,
    operation: &str,
    key: &str,
    head: &[String],
    row: &[String],
) -> Result<(RecordId, bool), ApiError> {
    let mut fields = Fields::new();
    for (name, cell) in head.iter().zip(row) {
        match (name.split_once('.'), cell.as_str()) {
            (_, "") => {}
            (None, "#N/A") => {
                fields.insert(name.clone(), Json::Null);
            }
            (None, text) => {
                fields.insert(name.clone(), json!(text));
            }
            (Some((relationship, field)), text) => {
                fields.insert(relationship.to_owned(), Json::Object(Map::from_iter([(field.to_owned(), json!(text))])));
            }
        }
    }
    let take = |fields: &mut Fields, wanted: &str| {
        let name = fields.keys().find(|name| name.eq_ignore_ascii_case(wanted)).cloned();
        name.and_then(|name| fields.remove(&name)).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let id_of = |text: &str| RecordId::parse(text).ok_or_else(|| ApiError::field("MALFORMED_ID", format!("bad id {text}"), "Id"));
    match operation {
        "insert" => state.insert(tx, object, &fields).map(|id| (id, true)),
        "update" => {
            let id = id_of(&take(&mut fields, "Id"))?;
            state.update(tx, id, &fields).map(|()| (id, false))
        }
        "upsert" => {
            let field = state.upsert_field(object, key)?;
            let value = take(&mut fields, key);
            state.upsert(tx, object, field, &value, &fields, false)
        }
        _ => {
            let id = id_of(&take(&mut fields, "Id"))?;
            state.delete(tx, id).map(|()| (id, false))
        }
    }
}

impl Job {
    fn is(&self, kind: &str) -> bool {
        matches!((&self.work, kind), (Work::Query { .. }, "query") | (Work::Ingest { .. }, "ingest"))
    }

    fn to_json(&self, id: &str) -> Json {
        let mut json = json!({
            "id": id,
            "operation": self.operation,
            "object": self.object,
            "createdDate": format_datetime(self.created_ms),
            "systemModstamp": format_datetime(self.created_ms),
            "state": self.state,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": self.version.parse::<f64>().unwrap_or(66.0),
            "jobType": "V2Query",
            "lineEnding": "LF",
            "columnDelimiter": "COMMA",
            "retries": 0,
            "totalProcessingTime": 0,
        });
        match &self.work {
            Work::Query { numbers, text, .. } => {
                json["numberRecordsProcessed"] = json!(numbers.len());
                json["query"] = json!(text);
            }
            Work::Ingest { key, processed, failed, .. } => {
                json["jobType"] = json!("V2Ingest");
                json["numberRecordsProcessed"] = json!(processed);
                json["numberRecordsFailed"] = json!(failed);
                json["apiActiveProcessingTime"] = json!(0);
                json["apexProcessingTime"] = json!(0);
                if !key.is_empty() {
                    json["externalIdFieldName"] = json!(key);
                }
            }
        }
        json
    }
}
