//! Reads what a person chose against the conflict it is about.

use schemas::Value;
use schemas::message::Choice;
use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::queries::conflicts::Conflict;

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
        "both" => Ok(Wanted { choice: Choice::Both, value: Value::Null }),
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
        _ => refuse("choice_unknown", format!("{}: `{choice}` is not a choice.", conflict.label), "Choose crm, erp, both or value."),
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
pub(super) fn plain(value: Option<&Json>) -> Value {
    match value {
        None | Some(Json::Null) => Value::Null,
        Some(Json::Bool(value)) => Value::Bool(*value),
        Some(Json::Number(number)) => number.as_i64().map_or_else(|| Value::Double(number.as_f64().unwrap_or_default()), Value::Int),
        Some(Json::String(text)) => Value::text(text.as_str()),
        Some(Json::Array(items)) => Value::List(items.iter().map(|item| plain(Some(item))).collect()),
        Some(other) => Value::text(other.to_string()),
    }
}
