//! `concord decide list`: conflicts as a table.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::Value as Json;

use crate::print::Printer;
use crate::remote::Connection;

/// Which conflicts.
#[derive(Debug, Args)]
pub struct Options {
    /// Those that wait, or those that were settled.
    #[arg(long, value_enum, default_value = "open")]
    pub state: State,
    /// Of one record: its entity id, or its id on either side.
    #[arg(long)]
    pub entity: Option<String>,
    /// Of one kind: customer, contact, …
    #[arg(long)]
    pub kind: Option<String>,
    /// About one field, by its name in the mapping.
    #[arg(long)]
    pub field: Option<String>,
    /// At most so many, the newest first.
    #[arg(long, default_value_t = 50)]
    pub limit: u16,
    /// The dashboard.
    #[command(flatten)]
    pub connection: Connection,
}

/// Where a conflict stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum State {
    /// A person is asked.
    Open,
    /// A policy or a person has picked a value.
    Settled,
}

pub(super) async fn run(options: &Options, printer: &Printer) -> anyhow::Result<ExitCode> {
    let remote = options.connection.open()?;
    let limit = options.limit.to_string();
    let state = if options.state == State::Open { "open" } else { "settled" };
    let mut query = vec![("state", state), ("limit", limit.as_str())];
    for (name, value) in [("entity", &options.entity), ("kind", &options.kind), ("field", &options.field)] {
        query.extend(value.as_deref().map(|value| (name, value)));
    }
    let found = remote.get("conflicts", &query).await?;
    printer.object(&found);
    let items = found["items"].as_array().cloned().unwrap_or_default();
    if items.is_empty() {
        let filtered = options.entity.is_some() || options.kind.is_some() || options.field.is_some();
        printer.line(match (options.state, filtered) {
            (State::Open, false) => "Nothing to decide: no field waits for a person.",
            (State::Settled, false) => "Nothing has been settled yet.",
            (_, true) => "No conflict matches.",
        });
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = vec![
        ["CONFLICT", "RECORD", "FIELD", "SALESFORCE", "ERP", if state == "open" { "WHY" } else { "SETTLED" }].map(str::to_owned).to_vec(),
    ];
    for item in &items {
        let last = if state == "open" { text(item, "reason") } else { settled(item) };
        let field = if item["field"] == "$record" { "the record itself".to_owned() } else { text(item, "label") };
        rows.push(vec![text(item, "id"), text(item, "title"), field, value(&item["crm"]), value(&item["erp"]), last]);
    }
    table(&rows, printer);
    if !found["next_cursor"].is_null() {
        printer.line(&format!("… and more; --limit shows up to 500 (now {})", options.limit));
    }
    Ok(ExitCode::SUCCESS)
}

fn settled(item: &Json) -> String {
    let by = item["settled_by"].as_str().unwrap_or("policy");
    match item["winner"].as_str() {
        _ if item["kept_both"] == true => format!("each keeps its own, by {by}"),
        Some(side) => format!("{side}, by {by}"),
        None => format!("{}, by {by}", value(&item["chosen"])),
    }
}

/// A member that is text.
pub(crate) fn text(item: &Json, name: &str) -> String {
    item[name].as_str().unwrap_or_default().to_owned()
}

/// A value as people read it.
pub(crate) fn value(value: &Json) -> String {
    match value {
        Json::Null => "(empty)".to_owned(),
        Json::String(text) if text.is_empty() => "(empty text)".to_owned(),
        Json::String(text) => text.replace(['\n', '\r', '\t'], " "),
        Json::Bool(true) => "yes".to_owned(),
        Json::Bool(false) => "no".to_owned(),
        Json::Array(items) => items.iter().map(self::value).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// `1 conflict`, `2 conflicts`.
pub(crate) fn plural(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// The text in at most so many letters.
pub(crate) fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// No column but the last is wider.
const WIDEST: usize = 32;

/// Columns aligned; ids are never cut, as somebody will type them.
pub(crate) fn table(rows: &[Vec<String>], printer: &Printer) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cut = |column: usize, cell: &str| if column == 0 { cell.to_owned() } else { shorten(cell, WIDEST) };
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cut(column, cell).chars().count()).max().unwrap_or(0))
        .collect();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .enumerate()
            .map(|(column, cell)| {
                if column + 1 == columns {
                    return cell.clone();
                }
                let cell = cut(column, cell);
                let padding = widths[column] - cell.chars().count();
                format!("{cell}{}", " ".repeat(padding))
            })
            .collect();
        printer.line(cells.join("  ").trim_end());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_read_well_in_a_line() {
        for (given, told) in [
            (json!(null), "(empty)"),
            (json!(""), "(empty text)"),
            (json!("a\nb"), "a b"),
            (json!(true), "yes"),
            (json!([1, "x"]), "1, x"),
            (json!(1.5), "1.5"),
        ] {
            assert_eq!(value(&given), told);
        }
        assert_eq!((shorten("abcdef", 4).as_str(), shorten("ab", 4).as_str()), ("abc…", "ab"));
    }
}
