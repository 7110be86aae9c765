//! Composite Graph: sets of calls, each set all or nothing.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::composite::{HALTED, halt, parts, run};
use super::{Call, Reply, Server};
use crate::error::ApiError;
use crate::org::State;

const GRAPHS: usize = 75;
const NODES: usize = 500;
const FAILED_GRAPHS: usize = 14;

/// `POST /composite/graph`.
pub(crate) fn graph(server: &Arc<Server>, state: &mut State, call: &Call) -> Result<Reply, ApiError> {
    let Json::Object(body) = call.json()? else { return Err(ApiError::json("the body must be an object")) };
    let Some(graphs) = body.get("graphs").and_then(Json::as_array) else { return Err(ApiError::json("graphs is missing")) };
    let mut read = Vec::with_capacity(graphs.len());
    for graph in graphs {
        read.push((graph.get("graphId").and_then(Json::as_str).unwrap_or_default().to_owned(), parts(graph.get("compositeRequest"))?));
    }
    let nodes: usize = read.iter().map(|(_, parts)| parts.len()).sum();
    if read.len() > GRAPHS || nodes > NODES {
        return Err(ApiError::new(
            400,
            "LIMIT_EXCEEDED",
            format!("{} graphs with {nodes} nodes: the limits are {GRAPHS} and {NODES}", read.len()),
        ));
    }
    let mut failed = 0;
    let mut answers = Vec::with_capacity(read.len());
    for (id, parts) in read {
        let mut results = Vec::new();
        let mut successful = false;
        if failed < FAILED_GRAPHS {
            let mut tx = state.begin(&call.actor);
            successful = !run(server, state, call, &parts, Some(&mut tx), &mut results);
            if !successful {
                state.rollback_to(&mut tx, 0);
                halt(&parts, &mut results);
            }
            state.commit(tx);
        } else {
            results.extend(parts.iter().map(|part| json!({"body": [{"errorCode": "PROCESSING_HALTED", "message": HALTED}], "httpHeaders": {}, "httpStatusCode": 400, "referenceId": part.reference})));
        }
        failed += usize::from(!successful);
        answers.push(json!({"graphId": id, "graphResponse": {"compositeResponse": results}, "isSuccessful": successful}));
    }
    Ok(Reply::json(200, json!({"graphs": answers})))
}
