//! What people tell Concord to do: decisions about conflicts, and the pause. Each becomes a message on
//! the log before anybody is told that it was taken.

mod decided;

use schemas::Value;
use schemas::message::{Action, Choice, Decision, Setting};
use serde_json::Value as Json;
use stream::NewRecord;
use uuid::Uuid;

pub(crate) use decided::{Decided, Remembered};

use crate::clock::now_micros;
use crate::error::{Error, Result};
use crate::metrics::metrics;
use crate::queries::conflicts::Conflict;
use crate::queries::{At, setting};
use crate::server::App;

/// A decision as it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) choice: Choice,
    /// The value that will hold on both sides.
    pub(crate) value: Value,
}

const MAX_VALUE: usize = 32_768;

/// Reads a choice against the conflict it is about.
pub(crate) fn wanted(conflict: &Conflict, choice: &str, text: Option<&Json>) -> Result<Wanted> {
    let refuse = |code, message: String, remedy: &str| Err(Error::Refused { code, message, remedy: remedy.to_owned() });
    match choice {
        "crm" => Ok(Wanted { choice: Choice::Crm, value: plain(conflict.crm.as_ref()) }),
        "erp" => Ok(Wanted { choice: Choice::Erp, value: plain(conflict.erp.as_ref()) }),
        "value" => {
            let Some(given) = text else {
                return refuse("value_missing", format!("{}: no value was entered.", conflict.label), "Enter a value or choose a side.");
            };
            match fit(conflict, given) {
                Some(value) => Ok(Wanted { choice: Choice::Value, value }),
                None => refuse(
                    "value_unfit",
                    format!("{}: the value entered does not fit this field.", conflict.label),
                    "Enter a value of the same kind as the two shown.",
                ),
            }
        }
        _ => refuse("choice_unknown", format!("{}: `{choice}` is not a choice.", conflict.label), "Choose crm, erp or value."),
    }
}

/// A value of the kind that the two sides have. Decimals, dates and times are text in the read model and travel as
/// text; whoever knows the field's type reads them.
fn fit(conflict: &Conflict, given: &Json) -> Option<Value> {
    let kind = [&conflict.crm, &conflict.erp, &conflict.base_crm, &conflict.base_erp].into_iter().flatten().find(|value| !value.is_null());
    match (kind, given) {
        (_, Json::Null) => Some(Value::Null),
        (_, Json::String(text)) if text.len() > MAX_VALUE => None,
        (Some(Json::Bool(_)), Json::Bool(value)) => Some(Value::Bool(*value)),
        (Some(Json::Bool(_)), Json::String(text)) => match text.trim() {
            "true" | "yes" => Some(Value::Bool(true)),
            "false" | "no" => Some(Value::Bool(false)),
            _ => None,
        },
        (Some(Json::Number(_)), Json::Number(number)) => number.as_i64().map(Value::Int).or_else(|| number.as_f64().map(Value::Double)),
        (Some(Json::Number(_)), Json::String(text)) => {
            let text = text.trim();
            text.parse().ok().map(Value::Int).or_else(|| text.parse::<f64>().ok().filter(|value| value.is_finite()).map(Value::Double))
        }
        (_, Json::String(text)) => Some(Value::text(text.as_str())),
        (None, other) => Some(plain(Some(other))),
        _ => None,
    }
}

/// A value of the read model as it travels.
fn plain(value: Option<&Json>) -> Value {
    match value {
        None | Some(Json::Null) => Value::Null,
        Some(Json::Bool(value)) => Value::Bool(*value),
        Some(Json::Number(number)) => number.as_i64().map_or_else(|| Value::Double(number.as_f64().unwrap_or_default()), Value::Int),
        Some(Json::String(text)) => Value::text(text.as_str()),
        Some(Json::Array(items)) => Value::List(items.iter().map(|item| plain(Some(item))).collect()),
        Some(other) => Value::text(other.to_string()),
    }
}

/// Puts decisions on the log, all or none, and remembers them until their conflicts change.
pub(crate) async fn decide(app: &App, actor: &str, decisions: Vec<(Conflict, Wanted)>) -> Result<()> {
    let topic = app.topics.decisions();
    let now = now_micros();
    let (mut records, mut remembered) = (Vec::new(), Vec::new());
    for (conflict, wanted) in &decisions {
        let decision = Decision {
            conflict: conflict.id.clone(),
            choice: wanted.choice,
            // A side's value is the reconciler's to know: it may have moved on since the page was made.
            value: if wanted.choice == Choice::Value { wanted.value.clone() } else { Value::Null },
            ..Decision::new(Uuid::now_v7(), &conflict.entity, Action::Settle, actor, now)
        };
        let bytes = app.codec.encode(&topic, &decision).await.map_err(|source| Error::Publish { what: "decision", source })?;
        records.push(
            NewRecord::new(topic.as_str(), decision.entity.clone(), bytes).header(schemas::message::SYNC_ID_HEADER, decision.id.clone()),
        );
        remembered.push((
            decision.conflict,
            Remembered { choice: wanted.choice, value: wanted.value.clone(), actor: decision.actor, at: At(now) },
        ));
    }
    app.log.publish(records).await.map_err(|source| Error::Publish { what: "decision", source })?;
    metrics().decisions.inc_by(remembered.len() as u64);
    app.decided.remember(remembered);
    app.live.touch();
    Ok(())
}

/// Puts the pause on the log.
pub(crate) async fn pause(app: &App, actor: &str, paused: bool) -> Result<()> {
    // The read model may not show the last one yet.
    let version = setting::pause(&app.pool).await?.map_or(0, |setting| setting.version).max(app.decided.pause_version()) + 1;
    let topic = app.topics.control();
    let message = Setting {
        name: setting::PAUSE.into(),
        value: serde_json::json!({ "paused": paused }).to_string(),
        version,
        actor: actor.to_owned(),
        at: now_micros(),
    };
    let bytes = app.codec.encode(&topic, &message).await.map_err(|source| Error::Publish { what: "pause", source })?;
    app.log
        .publish(vec![NewRecord::new(topic.as_str(), setting::PAUSE, bytes)])
        .await
        .map_err(|source| Error::Publish { what: "pause", source })?;
    tracing::info!(paused, version, "the sync was paused or resumed from the dashboard");
    app.decided.remember_pause(paused, version);
    app.live.touch();
    Ok(())
}
