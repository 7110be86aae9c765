//! The markup of the page. Every text that comes from a record goes through [`escape`].

use std::fmt::Write as _;

use super::{SHOWN, Shown};
use crate::org::schema::{Field, Kind};

/// A page of a list.
pub(super) struct Page<'a> {
    pub(super) shown: &'static Shown,
    pub(super) total: usize,
    pub(super) query: &'a str,
    pub(super) number: usize,
    pub(super) more: bool,
    pub(super) rows: Vec<(String, Vec<String>)>,
    pub(super) note: &'a str,
}

/// One record, or a new one when it has no id.
pub(super) struct View {
    pub(super) shown: &'static Shown,
    pub(super) id: Option<String>,
    pub(super) title: String,
    pub(super) inputs: Vec<Input>,
    pub(super) related: Vec<(&'static str, String, String)>,
    pub(super) facts: Vec<(String, String)>,
    pub(super) note: String,
    pub(super) error: Option<String>,
}

/// A labelled form control.
pub(super) struct Input {
    name: String,
    label: String,
    value: String,
    required: bool,
    control: Control,
}

enum Control {
    Line { kind: &'static str, length: usize, step: Option<String> },
    Area { length: usize },
    Choice(Vec<String>),
}

impl Input {
    /// The control that fits a field.
    pub(super) fn of(field: &Field, value: String) -> Self {
        let line = |kind| Control::Line { kind, length: field.length, step: None };
        let control = match &field.kind {
            Kind::TextArea => Control::Area { length: field.length },
            Kind::Picklist { values, .. } => Control::Choice(values.clone()),
            Kind::Boolean => Control::Choice(vec!["true".to_owned(), "false".to_owned()]),
            Kind::Int => Control::Line { kind: "number", length: 0, step: Some("1".to_owned()) },
            Kind::Double | Kind::Currency | Kind::Percent => {
                let step = if field.scale == 0 { "1".to_owned() } else { format!("0.{}1", "0".repeat(field.scale as usize - 1)) };
                Control::Line { kind: "number", length: 0, step: Some(step) }
            }
            Kind::Date => Control::Line { kind: "date", length: 0, step: None },
            Kind::Email => line("email"),
            Kind::Phone => line("tel"),
            _ => line("text"),
        };
        Self { name: field.name.clone(), label: field.label.clone(), value, required: field.required, control }
    }

    fn html(&self) -> String {
        let (name, value) = (escape(&self.name), escape(&self.value));
        let required = if self.required { " required" } else { "" };
        let limit = |length: usize| if length > 0 { format!(" maxlength=\"{length}\"") } else { String::new() };
        let control = match &self.control {
            Control::Line { kind, length, step } => {
                let step = step.as_ref().map(|step| format!(" step=\"{step}\"")).unwrap_or_default();
                format!("<input id=\"{name}\" name=\"{name}\" type=\"{kind}\" value=\"{value}\"{}{step}{required}>", limit(*length))
            }
            Control::Area { length } => {
                format!("<textarea id=\"{name}\" name=\"{name}\" rows=\"3\"{}{required}>\n{value}</textarea>", limit(*length))
            }
            Control::Choice(values) => {
                let mut options = String::from("<option value=\"\">–</option>");
                if !self.value.is_empty() && !values.contains(&self.value) {
                    let _ = write!(options, "<option selected>{value}</option>");
                }
                for choice in values {
                    let selected = if *choice == self.value { " selected" } else { "" };
                    let _ = write!(options, "<option{selected}>{}</option>", escape(choice));
                }
                format!("<select id=\"{name}\" name=\"{name}\"{required}>{options}</select>")
            }
        };
        let mark = if self.required { " <span class=\"mark\">required</span>" } else { "" };
        let wide = if matches!(self.control, Control::Area { .. }) { " class=\"wide\"" } else { "" };
        format!("<div{wide}><label for=\"{name}\">{}{mark}</label>{control}</div>", escape(&self.label))
    }
}

/// A list with search and paging.
pub(super) fn list(page: &Page<'_>) -> String {
    let shown = page.shown;
    let base = format!("/{}", shown.plural.to_lowercase());
    let query = escape(page.query);
    let mut body = format!(
        "<div class=\"head\"><h1>{}</h1><p class=\"muted\">{} in all, last changed first</p><a class=\"button\" href=\"{base}/new\">New {}</a></div>{}\
         <form class=\"search\" role=\"search\" action=\"{base}\"><label for=\"q\">Search {}</label><input id=\"q\" name=\"q\" type=\"search\" value=\"{query}\"><button>Search</button></form>",
        shown.plural,
        grouped(page.total),
        shown.object.to_lowercase(),
        note(page.note, None),
        shown.plural.to_lowercase(),
    );
    if page.rows.is_empty() {
        let text = if page.query.is_empty() && page.number == 1 { "Nothing yet." } else { "Nothing matches." };
        let _ = write!(body, "<p>{text}</p>");
    } else {
        body.push_str("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Records\"><table><thead><tr>");
        for column in shown.columns {
            let _ = write!(body, "<th scope=\"col\">{}</th>", label(column));
        }
        body.push_str("</tr></thead><tbody>");
        for (id, cells) in &page.rows {
            body.push_str("<tr>");
            for (place, cell) in cells.iter().enumerate() {
                let text = if cell.is_empty() { "–".to_owned() } else { escape(cell) };
                let _ = if place == 0 {
                    write!(body, "<th scope=\"row\"><a href=\"/record/{id}\">{text}</a></th>")
                } else {
                    write!(body, "<td>{text}</td>")
                };
            }
            body.push_str("</tr>");
        }
        body.push_str("</tbody></table></div>");
    }
    let link = |number: usize, text: &str| format!("<a href=\"{base}?q={}&amp;page={number}\">{text}</a>", encode(page.query));
    let earlier = if page.number > 1 { link(page.number - 1, "← Previous") } else { String::new() };
    let later = if page.more { link(page.number + 1, "Next →") } else { String::new() };
    let _ = write!(body, "<nav class=\"pages\" aria-label=\"Pages\">{earlier}<span>Page {}</span>{later}</nav>", page.number);
    document(shown.plural, shown.plural, &body)
}

/// One record with its form.
pub(super) fn record(view: &View) -> String {
    let inputs: String = view.inputs.iter().map(Input::html).collect();
    let base = format!("/{}", view.shown.plural.to_lowercase());
    let (action, button) = match &view.id {
        Some(id) => (format!("/record/{id}"), "Save"),
        None => (format!("{base}/new"), "Create"),
    };
    let mut body = format!(
        "<p><a href=\"{base}\">← {}</a></p><div class=\"head\"><h1>{}</h1>{}</div>{}<form method=\"post\" action=\"{action}\"><div class=\"fields\">{inputs}</div><button>{button}</button></form>",
        view.shown.plural,
        escape(&view.title),
        view.id.as_ref().map(|id| format!("<p class=\"muted\"><code>{id}</code></p>")).unwrap_or_default(),
        note(&view.note, view.error.as_deref()),
    );
    if let Some(id) = &view.id {
        let facts: String =
            view.facts.iter().map(|(name, value)| format!("<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(value))).collect();
        let _ = write!(body, "<dl>{facts}</dl>");
        if view.shown.object == "Account" {
            body.push_str("<h2>Contacts and opportunities</h2>");
            if view.related.is_empty() {
                body.push_str("<p>None yet.</p>");
            } else {
                body.push_str("<ul>");
                for (object, id, name) in &view.related {
                    let _ = write!(body, "<li><a href=\"/record/{id}\">{}</a> <span class=\"muted\">{object}</span></li>", escape(name));
                }
                body.push_str("</ul>");
            }
            let _ = write!(
                body,
                "<p><a href=\"/contacts/new?AccountId={id}\">New contact</a> · <a href=\"/opportunities/new?AccountId={id}\">New opportunity</a></p>"
            );
        }
        let _ = write!(
            body,
            "<form method=\"post\" action=\"/record/{id}/delete\"><button class=\"danger\">Delete this {}</button></form>",
            view.shown.object.to_lowercase()
        );
    }
    document(&view.title, view.shown.plural, &body)
}

/// A page that only says something.
pub(super) fn message(title: &str, text: &str) -> String {
    document(title, "", &format!("<h1>{}</h1><p>{}</p><p><a href=\"/\">To the accounts</a></p>", escape(title), escape(text)))
}

fn note(note: &str, error: Option<&str>) -> String {
    let known = ["Created", "Saved", "Deleted", "Nothing changed"].contains(&note);
    match error {
        Some(error) => format!("<p class=\"error\" role=\"alert\">Not saved: {}</p>", escape(error)),
        None if known => format!("<p class=\"note\" role=\"status\">{note}.</p>"),
        None => String::new(),
    }
}

fn document(title: &str, current: &str, body: &str) -> String {
    let links: String = SHOWN
        .iter()
        .map(|shown| {
            let here = if shown.plural == current { " aria-current=\"page\"" } else { "" };
            format!("<a href=\"/{}\"{here}>{}</a>", shown.plural.to_lowercase(), shown.plural)
        })
        .collect();
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{} · Simulated Salesforce</title><style>{STYLE}</style></head>\
         <body><header><strong>Simulated Salesforce</strong><nav aria-label=\"Objects\">{links}</nav></header><main>{body}</main>\
         <footer>An org in memory. Edits on this page are made as Ada Admin.</footer></body></html>",
        escape(title)
    )
}

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--line:#d0d7de;--ground:#f6f8fa;--card:#fff;--link:#0550ae;--good:#0f5f2d;--bad:#a40e26}\
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#a2abb5;--line:#3d444d;--ground:#0d1117;--card:#161b22;--link:#79b8ff;--good:#6fdd8b;--bad:#ff9492}}\
*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,sans-serif}\
header{display:flex;flex-wrap:wrap;gap:.5rem 2rem;align-items:center;padding:.75rem 1.5rem;background:var(--card);border-bottom:1px solid var(--line)}\
header nav{display:flex;gap:1rem}header a[aria-current]{font-weight:600;text-decoration:none;color:var(--ink)}\
main{max-width:72rem;margin:0 auto;padding:1.5rem}footer{max-width:72rem;margin:0 auto;padding:0 1.5rem 2rem;color:var(--soft);font-size:.875rem}\
a{color:var(--link)}h1{margin:0;font-size:1.5rem}h2{font-size:1.125rem;margin:2rem 0 .5rem}.muted,.mark{color:var(--soft)}.mark{font-size:.75rem;font-weight:400}\
.head{display:flex;flex-wrap:wrap;gap:.25rem 1rem;align-items:baseline;margin-bottom:1rem}.head p{margin:0}.head .button{margin-left:auto}\
.search{display:flex;flex-wrap:wrap;gap:.5rem;align-items:center;margin-bottom:1rem}.search input{flex:1;min-width:10rem;width:auto}\
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:6px}\
table{border-collapse:collapse;width:100%}th,td{padding:.5rem .75rem;text-align:left;border-bottom:1px solid var(--line);white-space:nowrap}\
thead th{color:var(--soft);font-size:.875rem;font-weight:600}tbody th{font-weight:500}tbody tr:last-child>*{border-bottom:0}\
.pages{display:flex;gap:1rem;justify-content:center;margin:1rem 0}\
.fields{display:grid;grid-template-columns:repeat(auto-fill,minmax(16rem,1fr));gap:1rem;margin-bottom:1rem;padding:1rem;background:var(--card);border:1px solid var(--line);border-radius:6px}\
.fields .wide{grid-column:1/-1}label{display:block;font-size:.875rem;font-weight:500;margin-bottom:.25rem}.search label{margin:0}\
input,select,textarea,button,.button{font:inherit;color:inherit;padding:.4rem .6rem;border:1px solid var(--soft);border-radius:6px;background:var(--card)}\
input,select,textarea{width:100%}button,.button{width:auto;cursor:pointer;text-decoration:none;font-weight:500}.danger{color:var(--bad);border-color:var(--bad)}\
:focus-visible{outline:2px solid var(--link);outline-offset:2px}.note{color:var(--good);font-weight:500}.error{color:var(--bad);font-weight:500}\
dl{display:flex;flex-wrap:wrap;gap:.5rem 2rem;margin:1.5rem 0}dt{color:var(--soft);font-size:.875rem}dd{margin:0}";

fn label(column: &str) -> String {
    match column {
        "AccountId" => "Account".to_owned(),
        "StageName" => "Stage".to_owned(),
        "BillingCity" => "City".to_owned(),
        "LastModifiedDate" => "Last changed".to_owned(),
        "CloseDate" => "Close date".to_owned(),
        other => other.trim_end_matches("__c").replace('_', " "),
    }
}

fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn encode(text: &str) -> String {
    text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Makes text safe in elements and quoted attributes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
