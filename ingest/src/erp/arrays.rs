//! Postgres's text form of arrays: `{1,NULL,"a \"quoted\" item"}`.

use schemas::value::Value;

use super::values::Kind;

/// Reads an array of one dimension. Avro's type of the column says nothing of more, so those are refused.
pub(crate) fn value(text: &str, item: &Kind, delimiter: u8) -> Result<Value, String> {
    // Arrays that do not start at 1 say so in front: `[0:1]={7,8}`.
    let braces = match text.as_bytes().first() {
        Some(b'[') => text.split_once('=').map_or(text, |(_, braces)| braces),
        _ => text,
    };
    let inner = braces.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or("the value is not an array")?;
    let mut items = Vec::new();
    let mut rest = inner.as_bytes();
    while !rest.is_empty() {
        let (found, after) = match rest[0] {
            b'"' => quoted(&rest[1..])?,
            b'{' => return Err("arrays of more than one dimension cannot be carried; make the column json".to_owned()),
            _ => bare(rest, delimiter),
        };
        items.push(match found {
            Item::Null => Value::Null,
            Item::Text(text) => item.value(&text)?,
        });
        rest = match after.split_first() {
            None => after,
            Some((next, more)) if *next == delimiter && !more.is_empty() => more,
            Some(_) => return Err("the value is not an array".to_owned()),
        };
    }
    Ok(Value::List(items))
}

enum Item {
    Null,
    Text(Vec<u8>),
}

fn quoted(mut rest: &[u8]) -> Result<(Item, &[u8]), String> {
    let mut text = Vec::new();
    loop {
        match rest {
            [b'"', after @ ..] => return Ok((Item::Text(text), after)),
            [b'\\', letter, after @ ..] | [letter, after @ ..] => {
                text.push(*letter);
                rest = after;
            }
            [] => return Err("the value is not an array".to_owned()),
        }
    }
}

fn bare(rest: &[u8], delimiter: u8) -> (Item, &[u8]) {
    let mut text = Vec::new();
    let mut at = 0;
    while at < rest.len() && rest[at] != delimiter {
        if rest[at] == b'\\' && at + 1 < rest.len() {
            at += 1;
        }
        text.push(rest[at]);
        at += 1;
    }
    let item = if text.eq_ignore_ascii_case(b"null") { Item::Null } else { Item::Text(text) };
    (item, &rest[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Result<Value, String> {
        value(text, &Kind::Text, b',')
    }

    #[test]
    fn items_may_be_null_quoted_and_escaped() {
        assert_eq!(texts("{}"), Ok(Value::List(vec![])));
        assert_eq!(value("{1,NULL,-3}", &Kind::Int, b','), Ok(Value::List(vec![Value::Int(1), Value::Null, Value::Int(-3)])));
        let expected = ["a,b", "say \"hi\"", "back\\slash", "NULL", "", "plain text"].map(Value::from).to_vec();
        assert_eq!(texts(r#"{"a,b","say \"hi\"","back\\slash","NULL","",plain text}"#), Ok(Value::List(expected)));
        assert_eq!(value("[0:1]={t,f}", &Kind::Bool, b','), Ok(Value::List(vec![Value::Bool(true), Value::Bool(false)])));
    }

    #[test]
    fn more_dimensions_and_broken_text_are_refused() {
        for text in ["{{1,2},{3,4}}", "{1,2", "1,2", "{\"a}", "{\"a\"b}", "{1,}"] {
            assert!(texts(text).is_err(), "{text}");
        }
    }
}
