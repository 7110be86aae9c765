//! What taking something back would write. It is done by asking for the decisions that the answer holds.

use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::json;

use super::{Answer, wrong};
use crate::command;
use crate::error::{Error, Result};
use crate::queries::At;
use crate::queries::audit::Range;
use crate::server::{App, Shared};
use crate::undo::{What, plan};

/// What is asked about: one of `write`, `conflict`, `decision`, or `from` and `to`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    write: Option<String>,
    conflict: Option<String>,
    decision: Option<String>,
    from: Option<String>,
    to: Option<String>,
    actor: Option<String>,
    entity: Option<String>,
    kind: Option<String>,
    side: Option<String>,
}

fn time(name: &'static str, text: &str) -> Result<At> {
    text.parse::<jiff::Timestamp>()
        .map(|time| At(time.as_microsecond()))
        .map_err(|_| wrong(name, "Give a time with its zone, for example 2026-03-01T09:00:00Z."))
}

async fn what(app: &App, asked: Asked) -> Result<What> {
    match (asked.write, asked.conflict, asked.decision, asked.from, asked.to) {
        (Some(id), None, None, None, None) => Ok(What::Write(id)),
        (None, Some(id), None, None, None) => Ok(What::Conflict(id)),
        (None, None, Some(id), None, None) => Ok(What::Decision(id)),
        (None, None, None, Some(from), Some(to)) => {
            let (from, to) = (time("from", &from)?, time("to", &to)?);
            if to <= from {
                return Err(wrong("to", "Give a time after `from`."));
            }
            if asked.side.as_deref().is_some_and(|side| side != "crm" && side != "erp") {
                return Err(wrong("side", "Give crm or erp."));
            }
            let entity = match asked.entity.as_deref().filter(|name| !name.is_empty()) {
                Some(name) => Some(command::named_entity(app, name).await?),
                None => None,
            };
            Ok(What::Range(Range { from, to, actor: asked.actor, entity, kind: asked.kind, side: asked.side }))
        }
        _ => Err(Error::Refused {
            code: "bad_parameter",
            message: "What is to be taken back?".into(),
            remedy: "Give one of write, conflict and decision, or both from and to.".into(),
        }),
    }
}

/// `GET /api/crm/undo?write=|conflict=|decision=|from=&to=&actor=&entity=&kind=&side=`.
pub(crate) async fn preview(State(app): State<Shared>, Query(asked): Query<Asked>) -> Answer {
    let what = what(&app, asked).await?;
    Ok(Json(json!(plan(&app, &what).await?)))
}
