//! A value of the read model as people see it.

use serde_json::Value as Json;

/// A value, and whether there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) text: String,
    /// True for no value at all; `text` then says so in words.
    pub(crate) empty: bool,
}

/// Writes a value.
pub(crate) fn shown(value: Option<&Json>) -> Shown {
    match value {
        None | Some(Json::Null) => Shown { text: "empty".into(), empty: true },
        Some(Json::String(text)) if text.is_empty() => Shown { text: "empty text".into(), empty: true },
        Some(value) => Shown { text: text(value), empty: false },
    }
}

fn text(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::Bool(true) => "yes".into(),
        Json::Bool(false) => "no".into(),
        Json::Number(number) => number.to_string(),
        Json::String(text) => text.clone(),
        Json::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Json::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_and_something_are_told_apart() {
        assert!(shown(None).empty && shown(Some(&Json::Null)).empty && shown(Some(&json!(""))).empty);
        assert_eq!(shown(Some(&json!(["a", 1, true]))).text, "a, 1, yes");
    }
}
