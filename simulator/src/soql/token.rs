//! Words, numbers, texts and signs of a SOQL statement.

use crate::error::ApiError;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Names, keywords, numbers, dates: anything not quoted and not a sign.
    Word(String),
    Text(String),
    Sign(&'static str),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) at: usize,
}

const SIGNS: [&str; 10] = ["!=", "<>", "<=", ">=", "=", "<", ">", "(", ")", ","];

/// Splits a statement.
pub(crate) fn split(text: &str) -> Result<Vec<Token>, ApiError> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let at = text.len() - rest.len();
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        if first == '\'' {
            let (value, after) = quoted(&rest[1..]).ok_or_else(|| ApiError::new(400, "MALFORMED_QUERY", "unterminated string literal"))?;
            tokens.push(Token { kind: Kind::Text(value), at });
            rest = after;
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            tokens.push(Token { kind: Kind::Sign(if *sign == "<>" { "!=" } else { sign }), at });
            rest = &rest[sign.len()..];
        } else {
            let end = rest.find(|c: char| c.is_whitespace() || "'=<>!(),".contains(c)).unwrap_or(rest.len());
            if end == 0 {
                return Err(ApiError::new(400, "MALFORMED_QUERY", format!("unexpected char: '{first}'")));
            }
            tokens.push(Token { kind: Kind::Word(rest[..end].to_owned()), at });
            rest = &rest[end..];
        }
    }
}

fn quoted(rest: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = rest.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' => return Some((value, &rest[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' | 'N' => value.push('\n'),
                'r' | 'R' => value.push('\r'),
                't' | 'T' => value.push('\t'),
                'u' => {
                    let digits: String = chars.by_ref().take(4).map(|(_, digit)| digit).collect();
                    value.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                }
                '%' => value.push_str("\\%"),
                '_' => value.push_str("\\_"),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}
