//! sObject Tree: records with nested children, created all or not at all.

use serde_json::{Value as Json, json};

use super::{Call, Reply};
use crate::error::ApiError;
use crate::org::State;
use crate::org::dml::Fields;
use crate::org::id::RecordId;
use crate::org::schema::Kind;
use crate::org::transaction::Transaction;

const RECORDS: usize = 200;
const LEVELS: usize = 5;

/// `POST /composite/tree/X`.
pub(crate) fn tree(state: &mut State, call: &Call, outer: Option<&mut Transaction>, name: &str) -> Result<Reply, ApiError> {
    let object = state.object(name)?;
    let Json::Object(body) = call.json()? else { return Err(ApiError::json("the body must be an object")) };
    let Some(records) = body.get("records").and_then(Json::as_array).cloned() else { return Err(ApiError::json("records is missing")) };
    let mut results = Vec::new();
    let outcome = state.within(&call.actor, outer, |state, tx| {
        let savepoint = tx.savepoint();
        let outcome = records.into_iter().try_for_each(|record| plant(state, tx, object, None, record, 1, &mut results));
        if outcome.is_err() {
            state.rollback_to(tx, savepoint);
        }
        outcome
    });
    match outcome {
        Ok(()) => Ok(Reply::json(201, json!({"hasErrors": false, "results": results}))),
        Err((reference, error)) => Ok(Reply::json(
            400,
            json!({"hasErrors": true, "results": [{"referenceId": reference, "errors": [error.to_collection_json()]}]}),
        )),
    }
}

fn plant(
    state: &mut State,
    tx: &mut Transaction,
    object: usize,
    parent: Option<(usize, RecordId)>,
    record: Json,
    level: usize,
    results: &mut Vec<Json>,
) -> Result<(), (String, ApiError)> {
    let Json::Object(record) = record else { return Err((String::new(), ApiError::json("each record must be an object"))) };
    let reference = record.get("attributes").and_then(|a| a.get("referenceId")).and_then(Json::as_str).unwrap_or_default().to_owned();
    if level > LEVELS || results.len() >= RECORDS {
        return Err((reference, ApiError::new(400, "LIMIT_EXCEEDED", "more than 200 records or 5 levels")));
    }
    let (mut fields, mut children) = (Fields::new(), Vec::new());
    for (name, value) in record {
        match value.get("records").and_then(Json::as_array) {
            Some(items) => children.extend(items.iter().cloned()),
            None if name == "attributes" => {}
            None => {
                fields.insert(name, value);
            }
        }
    }
    if let Some((parent_object, id)) = parent {
        let parent_name = state.objects[parent_object].name.clone();
        let link = state.objects[object]
            .fields
            .iter()
            .find(|field| matches!(&field.kind, Kind::Reference(targets) if targets.contains(&parent_name)));
        if let Some(link) = link {
            fields.insert(link.name.clone(), json!(id.to_string()));
        }
    }
    let id = state.insert(tx, object, &fields).map_err(|error| (reference.clone(), error))?;
    results.push(json!({"referenceId": reference, "id": id.to_string()}));
    for child in children {
        let kind = child.get("attributes").and_then(|a| a.get("type")).and_then(Json::as_str).unwrap_or_default();
        let child_object = state
            .index_of(kind)
            .ok_or_else(|| (reference.clone(), ApiError::new(400, "INVALID_TYPE", format!("sObject type '{kind}' is not supported."))))?;
        plant(state, tx, child_object, Some((object, id)), child, level + 1, results)?;
    }
    Ok(())
}
