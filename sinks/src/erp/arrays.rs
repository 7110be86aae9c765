//! Postgres's text form of arrays, `{1,NULL,"a \"b\""}`.

use schemas::Value;

use super::value::{self, Kind};

/// Deepest nesting that is read or written.
const MAX_DEPTH: usize = 8;

/// Writes a list; items are always quoted, which every type accepts but for nested arrays and null.
pub(crate) fn text(items: &[Value]) -> String {
    let parts: Vec<String> = items
        .iter()
        .map(|item| match item {
            Value::List(items) => text(items),
            item => match value::text(item) {
                None => "NULL".to_owned(),
                Some(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
            },
        })
        .collect();
    format!("{{{}}}", parts.join(","))
}

/// Reads an array; none when it is not one.
pub(crate) fn read(text: &str, item: &Kind, delimiter: char) -> Option<Value> {
    // An array whose indexes do not start at 1 is written with its bounds: `[0:1]={…}`.
    let text = if text.starts_with('[') { text.split_once('=')?.1 } else { text };
    let mut input = text.chars().peekable();
    let value = list(&mut input, item, delimiter, 0)?;
    input.next().is_none().then_some(value)
}

fn list(input: &mut std::iter::Peekable<std::str::Chars<'_>>, kind: &Kind, delimiter: char, depth: usize) -> Option<Value> {
    if depth > MAX_DEPTH || input.next()? != '{' {
        return None;
    }
    let mut items = Vec::new();
    if *input.peek()? == '}' {
        input.next();
        return Some(Value::List(items));
    }
    loop {
        items.push(match *input.peek()? {
            '{' => list(input, kind, delimiter, depth + 1)?,
            '"' => kind.read(&quoted(input)?),
            _ => match plain(input, delimiter).as_str() {
                "NULL" => Value::Null,
                text => kind.read(text),
            },
        });
        match input.next()? {
            '}' => return Some(Value::List(items)),
            found if found == delimiter => {}
            _ => return None,
        }
    }
}

fn quoted(input: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    input.next();
    let mut text = String::new();
    loop {
        match input.next()? {
            '"' => return Some(text),
            '\\' => text.push(input.next()?),
            other => text.push(other),
        }
    }
}

fn plain(input: &mut std::iter::Peekable<std::str::Chars<'_>>, delimiter: char) -> String {
    let mut text = String::new();
    while let Some(found) = input.next_if(|found| *found != delimiter && *found != '}') {
        text.push(found);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_read_and_written() {
        let list = Value::List(vec![Value::text("a \"b\\"), Value::Null, Value::text("NULL"), Value::text("")]);
        let form = r#"{"a \"b\\",NULL,"NULL",""}"#;
        assert_eq!(value::text(&list).as_deref(), Some(form));
        assert_eq!(read(form, &Kind::Text, ','), Some(list));
        let numbers = Value::List(vec![Value::List(vec![Value::Int(1), Value::Int(2)]), Value::List(vec![Value::Int(3), Value::Null])]);
        assert_eq!(read("[0:1][1:2]={{1,2},{3,NULL}}", &Kind::Int, ','), Some(numbers));
        assert_eq!(read("{}", &Kind::Int, ','), Some(Value::List(Vec::new())));
        assert_eq!(read("{1,", &Kind::Int, ','), None);
    }
}
