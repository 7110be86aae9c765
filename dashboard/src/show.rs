//! How values, times and numbers are written for people. Everything here is text in, text out; escaping is
//! the templates' business.

mod diff;
mod number;
mod tide;
mod time;
mod value;

use std::borrow::Borrow;

use askama::filters::HtmlSafeOutput;

pub(crate) use diff::{Piece, compare};
pub(crate) use number::{amount, brief, bytes, count, millis, percent};
pub(crate) use tide::Tide;
pub(crate) use time::{When, span};
pub(crate) use value::{Shown, shown};

use crate::assets;

/// An icon of the sheet; decoration, so a word always stands beside it.
pub(crate) fn icon(name: &str) -> HtmlSafeOutput<String> {
    icon_as(name, "")
}

/// The small size.
pub(crate) fn icon_s(name: &str) -> HtmlSafeOutput<String> {
    icon_as(name, " ic-s")
}

fn icon_as(name: &str, class: &str) -> HtmlSafeOutput<String> {
    debug_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "icon names are constants");
    HtmlSafeOutput(format!("<svg class=\"ic{class}\" aria-hidden=\"true\"><use href=\"{}#{name}\"/></svg>", assets::icons()))
}

/// A side's name for people.
pub(crate) fn side_name(side: &str) -> &'static str {
    if side == "crm" { "Salesforce" } else { "ERP" }
}

/// `1 record`, `2 records`.
pub(crate) fn plural(number: impl Borrow<i64>, one: &str, many: &str) -> String {
    let number = *number.borrow();
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// A word with its first letter large.
pub(crate) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A text of at most so many letters, with a sign that there were more.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let start: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{}\u{2026}", start.trim_end())
}

/// A text as a sentence of its own: a large letter first, a full stop last. Nothing stays nothing.
pub(crate) fn sentence(text: &str) -> String {
    let text = capital(text.trim());
    if text.is_empty() || text.ends_with(['.', '!', '?']) { text } else { format!("{text}.") }
}

/// A reason for people: the rule that asked for a person is written as in the mapping, `crm > 50000.0 || erp > 50000.0`.
pub(crate) fn reason(text: &str) -> String {
    // What else is to be known stands behind it.
    if let Some((first, more)) = text.split_once("; it travels ") {
        return format!("{} {}", reason(first), sentence(&format!("it travels {more}")));
    }
    let Some((start, rule)) = text.split_once(" when ").filter(|(start, _)| start.eq_ignore_ascii_case("a person decides")) else {
        return sentence(text);
    };
    let words: Vec<String> = rule.split(' ').map(rule_word).collect();
    sentence(&format!("{start} when {}", words.join(" ")))
}

fn rule_word(word: &str) -> String {
    let known = match word {
        "||" => "or",
        "&&" => "and",
        "crm" => "Salesforce",
        "erp" => "the ERP",
        ">" => "is above",
        "<" => "is below",
        ">=" => "is at least",
        "<=" => "is at most",
        "==" => "is",
        "!=" => "is not",
        _ => "",
    };
    if !known.is_empty() {
        return known.to_owned();
    }
    match word.strip_suffix(".0").unwrap_or(word).parse::<i64>() {
        Ok(number) => count(number),
        Err(_) => word.to_owned(),
    }
}

/// Escapes a text for the query part of an address.
pub(crate) fn query_escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' | b':' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// Escapes a text for one part of an address's path.
pub(crate) fn path_escape(text: &str) -> String {
    query_escape(text).replace('/', "%2F")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_and_says_so() {
        assert_eq!((shorten("Zoë", 3).as_str(), shorten("Zoë & Co", 5).as_str()), ("Zoë", "Zoë\u{2026}"));
    }

    #[test]
    fn a_rule_of_the_mapping_reads_as_a_sentence() {
        for (text, told) in [
            (
                "a person decides when crm > 50000.0 || erp > 50000.0",
                "A person decides when Salesforce is above 50,000 or the ERP is above 50,000.",
            ),
            ("A person decides when size(crm) > 3", "A person decides when size(crm) is above 3."),
            ("both sides changed it", "Both sides changed it."),
            (
                "a person decides when crm > 5; it travels to the ERP only: so it is",
                "A person decides when Salesforce is above 5. It travels to the ERP only: so it is.",
            ),
            ("", ""),
        ] {
            assert_eq!(reason(text), told);
        }
    }
}
