//! sObject Rows: create, read, change, delete, by id and by external id.

use serde_json::{Value as Json, json};

use super::{Call, Reply, conditional};
use crate::error::ApiError;
use crate::org::State;
use crate::org::id::RecordId;
use crate::org::json::{attributes, field_json};
use crate::org::transaction::Transaction;
use crate::org::value::Row;

/// `POST /sobjects/X`.
pub(crate) fn create(state: &mut State, call: &Call, outer: Option<&mut Transaction>, name: &str) -> Result<Reply, ApiError> {
    let object = state.object(name)?;
    let fields = call.fields()?;
    let id = state.within(&call.actor, outer, |state, tx| state.insert(tx, object, &fields))?;
    let place = format!("/services/data/v{}/sobjects/{}/{id}", call.version, state.objects[object].name);
    Ok(Reply::json(201, json!({"id": id.to_string(), "success": true, "errors": []})).with("location", place))
}

/// `GET /sobjects/X/id?fields=`.
pub(crate) fn read(state: &State, call: &Call, name: &str, id: &str) -> Result<Reply, ApiError> {
    let object = state.object(name)?;
    let (number, row) = live_row(state, object, id)?;
    show(state, call, object, number, row)
}

/// `GET /sobjects/X/Field/value`.
pub(crate) fn read_by_external_id(state: &State, call: &Call, name: &str, field: &str, value: &str) -> Result<Reply, ApiError> {
    let object = state.object(name)?;
    let found = by_external_id(state, object, field, value)?;
    match found.as_slice() {
        [] => Err(ApiError::not_found()),
        [number] => {
            let row = state.tables[object].get(*number).ok_or_else(ApiError::not_found)?;
            show(state, call, object, *number, row)
        }
        _ => Ok(choices(state, call, object, &found)),
    }
}

fn show(state: &State, call: &Call, object: usize, number: u64, row: &Row) -> Result<Reply, ApiError> {
    if let Some(reply) = conditional::before_read(state, call, object, number, row)? {
        return Ok(reply);
    }
    let definition = &state.objects[object];
    let record = match call.parameter("fields") {
        None => state.record_json(object, number, row, &call.version, call.actor.restricted),
        Some(names) => {
            let mut record = serde_json::Map::new();
            record.insert("attributes".to_owned(), attributes(definition, state.id(object, number), &call.version));
            for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                let field =
                    definition.field(name).filter(|field| !(call.actor.restricted && state.hidden(definition, *field))).ok_or_else(
                        || ApiError::new(400, "INVALID_FIELD", format!("No such column '{name}' on entity '{}'", definition.name)),
                    )?;
                record.insert(definition.fields[field].name.clone(), field_json(definition, number, row, field));
            }
            if !names.split(',').any(|name| name.trim() == "Id") {
                record.insert("Id".to_owned(), json!(state.id(object, number).to_string()));
            }
            record
        }
    };
    Ok(conditional::label(Reply::json(200, Json::Object(record)), state, object, number, row))
}

/// `PATCH /sobjects/X/id`.
pub(crate) fn update(state: &mut State, call: &Call, outer: Option<&mut Transaction>, name: &str, id: &str) -> Result<Reply, ApiError> {
    let object = state.object(name)?;
    let fields = call.fields()?;
    let (number, row) = live_row(state, object, id)?;
    conditional::before_write(state, call, object, number, row)?;
    let id = state.id(object, number);
    state.within(&call.actor, outer, |state, tx| state.update(tx, id, &fields))?;
    Ok(Reply::empty(204))
}

/// `DELETE /sobjects/X/id`.
pub(crate) fn delete(state: &mut State, call: &Call, outer: Option<&mut Transaction>, name: &str, id: &str) -> Result<Reply, ApiError> {
    let object = state.object(name)?;
    let (number, _) = live_row(state, object, id)?;
    let id = state.id(object, number);
    state.within(&call.actor, outer, |state, tx| state.delete(tx, id))?;
    Ok(Reply::empty(204))
}

/// `DELETE /sobjects/X/Field/value`.
pub(crate) fn delete_by_external_id(
    state: &mut State,
    call: &Call,
    outer: Option<&mut Transaction>,
    name: &str,
    field: &str,
    value: &str,
) -> Result<Reply, ApiError> {
    let object = state.object(name)?;
    let found = by_external_id(state, object, field, value)?;
    match found.as_slice() {
        [] => Err(ApiError::not_found()),
        [number] => {
            let id = state.id(object, *number);
            state.within(&call.actor, outer, |state, tx| state.delete(tx, id))?;
            Ok(Reply::empty(204))
        }
        _ => Ok(choices(state, call, object, &found)),
    }
}

/// `PATCH /sobjects/X/Field/value`: 201 created, 200 changed, 300 when several match.
pub(crate) fn upsert(
    state: &mut State,
    call: &Call,
    outer: Option<&mut Transaction>,
    name: &str,
    field: &str,
    value: &str,
) -> Result<Reply, ApiError> {
    let object = state.object(name)?;
    let fields = call.fields()?;
    let field = state.upsert_field(object, field)?;
    if field != crate::org::schema::ID {
        let found = state.lookup(object, field, value);
        if found.len() > 1 {
            return Ok(choices(state, call, object, &found));
        }
        if let Some(number) = found.first()
            && let Some(row) = state.tables[object].get(*number)
        {
            conditional::before_write(state, call, object, *number, row)?;
        }
    }
    let update_only = call.flag("updateOnly");
    let (id, created) = state.within(&call.actor, outer, |state, tx| state.upsert(tx, object, field, value, &fields, update_only))?;
    let status = if created { 201 } else { 200 };
    Ok(Reply::json(status, json!({"id": id.to_string(), "success": true, "errors": [], "created": created})))
}

fn by_external_id(state: &State, object: usize, field: &str, value: &str) -> Result<Vec<u64>, ApiError> {
    let field = state.upsert_field(object, field)?;
    Ok(state.lookup(object, field, value))
}

fn choices(state: &State, call: &Call, object: usize, numbers: &[u64]) -> Reply {
    let name = &state.objects[object].name;
    let urls: Vec<String> =
        numbers.iter().map(|number| format!("/services/data/v{}/sobjects/{name}/{}", call.version, state.id(object, *number))).collect();
    Reply::json(300, json!(urls))
}

fn live_row<'a>(state: &'a State, object: usize, id: &str) -> Result<(u64, &'a Row), ApiError> {
    let Some(parsed) = RecordId::parse(id) else {
        return Err(ApiError::new(404, "NOT_FOUND", format!("Provided external ID field does not exist or is not accessible: {id}")));
    };
    match state.row(parsed) {
        Some((found, ..)) if found != object => Err(ApiError::not_found()),
        Some((.., row)) if row.deleted => Err(ApiError::new(404, "ENTITY_IS_DELETED", "entity is deleted")),
        Some((_, number, row)) => Ok((number, row)),
        None => Err(ApiError::not_found()),
    }
}
