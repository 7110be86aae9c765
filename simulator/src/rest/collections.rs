//! sObject Collections: up to 200 records a call, each with its own outcome.

use serde_json::{Map, Value as Json, json};

use super::{Call, Reply};
use crate::error::ApiError;
use crate::org::State;
use crate::org::dml::Fields;
use crate::org::id::RecordId;
use crate::org::json::{attributes, field_json};
use crate::org::transaction::Transaction;

const RECORDS: usize = 200;
const CHUNKS: usize = 10;

type Outcome = Result<(RecordId, Option<bool>), ApiError>;

/// `POST /composite/sobjects`.
pub(crate) fn create(state: &mut State, call: &Call, outer: Option<&mut Transaction>) -> Result<Reply, ApiError> {
    let (records, all_or_none) = records(call)?;
    run(state, call, outer, all_or_none, records, |state, tx, mut fields| {
        let object = kind(state, &fields)?;
        fields.remove("attributes");
        state.insert(tx, object, &fields).map(|id| (id, None))
    })
}

/// `PATCH /composite/sobjects`.
pub(crate) fn update(state: &mut State, call: &Call, outer: Option<&mut Transaction>) -> Result<Reply, ApiError> {
    let (records, all_or_none) = records(call)?;
    run(state, call, outer, all_or_none, records, |state, tx, mut fields| {
        let object = kind(state, &fields)?;
        let id = take_id(&mut fields)?;
        fields.remove("attributes");
        if state.object_of(id) != Some(object) {
            return Err(ApiError::field(
                "MALFORMED_ID",
                format!("{} ID: id value of incorrect type: {id}", state.objects[object].label),
                "Id",
            ));
        }
        state.update(tx, id, &fields).map(|()| (id, None))
    })
}

/// `PATCH /composite/sobjects/X/Field`.
pub(crate) fn upsert(state: &mut State, call: &Call, outer: Option<&mut Transaction>, name: &str, field: &str) -> Result<Reply, ApiError> {
    let (records, all_or_none) = records(call)?;
    let object = state.object(name)?;
    let field = state.upsert_field(object, field)?;
    let key_name = state.objects[object].fields[field].name.clone();
    run(state, call, outer, all_or_none, records, |state, tx, mut fields| {
        if kind(state, &fields)? != object {
            return Err(ApiError::new(400, "INVALID_TYPE", "all records of an upsert must be of the type in the URL"));
        }
        fields.remove("attributes");
        let given = fields.keys().find(|name| name.eq_ignore_ascii_case(&key_name)).cloned();
        let key = given.and_then(|name| fields.remove(&name)).unwrap_or(Json::Null);
        let key = match key {
            Json::String(text) => text,
            Json::Null => String::new(),
            other => other.to_string(),
        };
        state.upsert(tx, object, field, &key, &fields, false).map(|(id, created)| (id, Some(created)))
    })
}

/// `DELETE /composite/sobjects?ids=`.
pub(crate) fn delete(state: &mut State, call: &Call, outer: Option<&mut Transaction>) -> Result<Reply, ApiError> {
    let ids: Vec<Fields> = call
        .parameter("ids")
        .unwrap_or_default()
        .split(',')
        .filter(|id| !id.is_empty())
        .map(|id| Map::from_iter([("Id".to_owned(), json!(id.trim()))]))
        .collect();
    bounded(ids.len())?;
    run(state, call, outer, call.flag("allOrNone"), ids, |state, tx, mut fields| {
        let id = take_id(&mut fields)?;
        state.delete(tx, id).map(|()| (id, None))
    })
}

/// `GET /composite/sobjects/X?ids=&fields=` and the same as a POST body.
pub(crate) fn retrieve(state: &State, call: &Call, name: &str) -> Result<Reply, ApiError> {
    let object = state.object(name)?;
    let definition = &state.objects[object];
    let list = |key: &str, body: &Json| -> Vec<String> {
        match body.get(key).and_then(Json::as_array) {
            Some(items) => items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect(),
            None => call
                .parameter(key)
                .unwrap_or_default()
                .split(',')
                .map(|item| item.trim().to_owned())
                .filter(|item| !item.is_empty())
                .collect(),
        }
    };
    let body = if call.method == "POST" { call.json()? } else { Json::Null };
    let (ids, names) = (list("ids", &body), list("fields", &body));
    if ids.len() > 2_000 {
        return Err(ApiError::new(400, "EXCEEDED_ID_LIMIT", "record limit reached. cannot submit more than 2000 records into this call"));
    }
    let mut fields = Vec::new();
    for name in &names {
        let field = definition.field(name).filter(|field| !(call.actor.restricted && state.hidden(definition, *field)));
        fields.push(
            field.ok_or_else(|| ApiError::new(400, "INVALID_FIELD", format!("No such column '{name}' on entity '{}'", definition.name)))?,
        );
    }
    let rows: Vec<Json> = ids
        .iter()
        .map(|id| {
            let found = RecordId::parse(id).and_then(|id| state.row(id)).filter(|(found, _, row)| *found == object && !row.deleted);
            let Some((_, number, row)) = found else { return Json::Null };
            let mut record = Map::new();
            record.insert("attributes".to_owned(), attributes(definition, state.id(object, number), &call.version));
            for field in &fields {
                record.insert(definition.fields[*field].name.clone(), field_json(definition, number, row, *field));
            }
            record.entry("Id").or_insert_with(|| json!(state.id(object, number).to_string()));
            Json::Object(record)
        })
        .collect();
    Ok(Reply::json(200, Json::Array(rows)))
}

fn records(call: &Call) -> Result<(Vec<Fields>, bool), ApiError> {
    let Json::Object(mut body) = call.json()? else { return Err(ApiError::json("the body must be an object with records")) };
    let all_or_none = body.get("allOrNone").and_then(Json::as_bool).unwrap_or(false);
    let Some(Json::Array(items)) = body.remove("records") else { return Err(ApiError::json("the body must be an object with records")) };
    bounded(items.len())?;
    let mut records = Vec::with_capacity(items.len());
    let (mut chunks, mut before) = (0, String::new());
    for item in items {
        let Json::Object(fields) = item else { return Err(ApiError::json("each record must be an object")) };
        let kind = fields.get("attributes").and_then(|a| a.get("type")).and_then(Json::as_str).unwrap_or_default().to_owned();
        if records.is_empty() || kind != before {
            chunks += 1;
            before = kind;
        }
        records.push(fields);
    }
    if chunks > CHUNKS {
        return Err(ApiError::new(400, "INVALID_BATCH_SIZE", "more than 10 chunks of object types in one call"));
    }
    Ok((records, all_or_none))
}

fn bounded(count: usize) -> Result<(), ApiError> {
    if count == 0 {
        return Err(ApiError::new(400, "REQUIRED_FIELD_MISSING", "no records given"));
    }
    if count > RECORDS {
        return Err(ApiError::new(400, "EXCEEDED_ID_LIMIT", "record limit reached. cannot submit more than 200 records into this call"));
    }
    Ok(())
}

fn run(
    state: &mut State,
    call: &Call,
    outer: Option<&mut Transaction>,
    all_or_none: bool,
    records: Vec<Fields>,
    each: impl Fn(&mut State, &mut Transaction, Fields) -> Outcome,
) -> Result<Reply, ApiError> {
    let outcomes = state.within(&call.actor, outer, |state, tx| {
        let savepoint = tx.savepoint();
        let outcomes: Vec<Outcome> = records.into_iter().map(|fields| each(state, tx, fields)).collect();
        if all_or_none && outcomes.iter().any(Result::is_err) {
            state.rollback_to(tx, savepoint);
            return outcomes
                .into_iter()
                .map(|outcome| match outcome {
                    Ok(_) => Err(ApiError::new(
                        400,
                        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
                        "Record rolled back because not all records were valid and the request was using AllOrNone header",
                    )),
                    error => error,
                })
                .collect();
        }
        outcomes
    });
    Ok(Reply::json(200, Json::Array(outcomes.into_iter().map(outcome_json).collect())))
}

fn outcome_json(outcome: Outcome) -> Json {
    match outcome {
        Ok((id, None)) => json!({"id": id.to_string(), "success": true, "errors": []}),
        Ok((id, Some(created))) => json!({"id": id.to_string(), "success": true, "errors": [], "created": created}),
        Err(error) => json!({"success": false, "errors": [error.to_collection_json()]}),
    }
}

fn kind(state: &State, fields: &Fields) -> Result<usize, ApiError> {
    let name = fields.get("attributes").and_then(|attributes| attributes.get("type")).and_then(Json::as_str);
    name.and_then(|name| state.index_of(name))
        .ok_or_else(|| ApiError::new(400, "INVALID_TYPE", format!("sObject type '{}' is not supported.", name.unwrap_or("null"))))
}

fn take_id(fields: &mut Fields) -> Result<RecordId, ApiError> {
    let name = fields.keys().find(|name| name.eq_ignore_ascii_case("id")).cloned();
    let Some(value) = name.and_then(|name| fields.remove(&name)) else {
        return Err(ApiError::new(400, "MISSING_ARGUMENT", "Id not specified in an update call"));
    };
    let text = value.as_str().unwrap_or_default();
    RecordId::parse(text).ok_or_else(|| ApiError::field("MALFORMED_ID", format!("bad id {text}"), "Id"))
}
