//! The page for people: accounts, contacts and opportunities to look at, edit, create and delete.
//!
//! It stands for Lightning: edits are made as a person, with Lightning's change origin, and see every
//! field. Plain HTML and forms; nothing on it needs a script.

mod html;

use std::sync::Arc;

use axum::http::HeaderMap;
use serde_json::{Value as Json, json};

use super::front::pairs;
use super::{Reply, Server};
use crate::error::ApiError;
use crate::org::dml::Fields;
use crate::org::handle::shown;
use crate::org::id::RecordId;
use crate::org::schema::Kind;
use crate::org::value::Value;
use crate::org::{Actor, State};
use html::{Page, View};

/// Records on one page of a list.
const PAGE: usize = 25;

/// An object the page shows: its name, the columns of its list, the fields of its form.
pub(super) struct Shown {
    pub(super) object: &'static str,
    pub(super) plural: &'static str,
    pub(super) columns: &'static [&'static str],
    pub(super) fields: &'static [&'static str],
}

pub(super) const SHOWN: [Shown; 3] = [
    Shown {
        object: "Account",
        plural: "Accounts",
        columns: &["Name", "Industry", "Phone", "BillingCity", "Payment_Terms__c", "Credit_Limit__c", "LastModifiedDate"],
        fields: &[
            "Name",
            "Type",
            "Industry",
            "Phone",
            "Fax",
            "Website",
            "AccountNumber",
            "Tax_Id__c",
            "Payment_Terms__c",
            "Credit_Limit__c",
            "AnnualRevenue",
            "NumberOfEmployees",
            "BillingStreet",
            "BillingCity",
            "BillingState",
            "BillingPostalCode",
            "BillingCountry",
            "ShippingStreet",
            "ShippingCity",
            "ShippingState",
            "ShippingPostalCode",
            "ShippingCountry",
            "ERP_Id__c",
            "Concord_Id__c",
            "Description",
        ],
    },
    Shown {
        object: "Contact",
        plural: "Contacts",
        columns: &["Name", "Title", "Email", "Phone", "AccountId", "LastModifiedDate"],
        fields: &[
            "Salutation",
            "FirstName",
            "LastName",
            "AccountId",
            "Title",
            "Department",
            "Email",
            "Phone",
            "MobilePhone",
            "Birthdate",
            "LeadSource",
            "MailingStreet",
            "MailingCity",
            "MailingState",
            "MailingPostalCode",
            "MailingCountry",
            "Concord_Id__c",
            "Description",
        ],
    },
    Shown {
        object: "Opportunity",
        plural: "Opportunities",
        columns: &["Name", "StageName", "Amount", "CloseDate", "Probability", "AccountId", "LastModifiedDate"],
        fields: &[
            "Name",
            "AccountId",
            "StageName",
            "Amount",
            "CloseDate",
            "Probability",
            "Type",
            "NextStep",
            "LeadSource",
            "Concord_Id__c",
            "Description",
        ],
    },
];

/// Answers everything outside `/services/` and `/simulator/`.
pub(crate) fn handle(server: &Arc<Server>, method: &str, path: &str, query: &str, headers: &HeaderMap, body: &[u8]) -> Reply {
    let form = pairs(&String::from_utf8_lossy(body));
    let query = pairs(query);
    let cross_site = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match (method, parts.as_slice()) {
        ("GET" | "HEAD", []) => list(server, &SHOWN[0], &query),
        ("POST", _) if cross_site => page(403, html::message("Not from here", "This form was sent from another site.")),
        ("GET" | "HEAD", [object]) if of(object).is_some() => of(object).map_or_else(missing, |shown| list(server, shown, &query)),
        ("GET" | "HEAD", [object, "new"]) => {
            of(object).map_or_else(missing, |shown| page(200, html::record(&blank(server, shown, &query, None))))
        }
        ("POST", [object, "new"]) => of(object).map_or_else(missing, |shown| create(server, shown, &form)),
        ("GET" | "HEAD", ["record", id]) => open(server, id, &query),
        ("POST", ["record", id]) => save(server, id, &form),
        ("POST", ["record", id, "delete"]) => delete(server, id),
        _ => missing(),
    }
}

fn of(object: &str) -> Option<&'static Shown> {
    SHOWN.iter().find(|shown| shown.object.eq_ignore_ascii_case(object) || shown.plural.eq_ignore_ascii_case(object))
}

fn list(server: &Server, shown_as: &'static Shown, query: &[(String, String)]) -> Reply {
    let wanted = value(query, "q").trim().to_lowercase();
    let number: usize = value(query, "page").parse().unwrap_or(1).clamp(1, 100_000);
    let state = server.org.read();
    let Some(object) = state.index_of(shown_as.object) else { return missing() };
    let definition = &state.objects[object];
    let table = &state.tables[object];
    let searched: Vec<usize> =
        ["Name", "Email", "Phone", "Website", "Tax_Id__c"].iter().filter_map(|field| definition.field(field)).collect();
    let found = table
        .recent()
        .filter(|(_, row)| !row.deleted)
        .filter(|(_, row)| {
            wanted.is_empty()
                || searched.iter().any(|field| row.get(*field).text().is_some_and(|text| text.to_lowercase().contains(&wanted)))
        })
        .skip((number - 1) * PAGE)
        .take(PAGE + 1);
    let mut rows: Vec<(String, Vec<String>)> = found
        .map(|(number, row)| {
            let cells = shown_as
                .columns
                .iter()
                .map(|column| definition.field(column).map_or_else(String::new, |field| cell(&state, &row.get(field))))
                .collect();
            (state.id(object, number).to_string(), cells)
        })
        .collect();
    let more = rows.len() > PAGE;
    rows.truncate(PAGE);
    page(
        200,
        html::list(&Page { shown: shown_as, total: table.live, query: value(query, "q"), number, more, rows, note: value(query, "note") }),
    )
}

/// A value in a list: references by the name of what they name.
fn cell(state: &State, value: &Value) -> String {
    match value.id().and_then(|id| state.row(id)) {
        Some((object, _, row)) => state.objects[object].field("Name").map(|name| shown(&row.get(name))).unwrap_or_default(),
        None => text_of(value),
    }
}

/// A value as a person reads it.
fn text_of(value: &Value) -> String {
    match value {
        Value::DateTime(_) => shown(value).replace(".000+0000", "Z").replace('T', " "),
        Value::Double(number) if number.fract() == 0.0 => format!("{number:.0}"),
        _ => shown(value),
    }
}

fn open(server: &Server, id: &str, query: &[(String, String)]) -> Reply {
    let Some(view) = view(server, id, value(query, "note"), None, &[]) else { return missing() };
    page(200, html::record(&view))
}

/// A record with its form; `typed` are values a refused form had.
fn view(server: &Server, id: &str, note: &str, error: Option<String>, typed: &[(String, String)]) -> Option<View> {
    let state = server.org.read();
    let id = RecordId::parse(id)?;
    let (object, _, row) = state.row(id).filter(|(.., row)| !row.deleted)?;
    let definition = &state.objects[object];
    let shown_as = of(&definition.name)?;
    let inputs = shown_as
        .fields
        .iter()
        .filter_map(|name| definition.field(name))
        .map(|field| {
            let now = typed
                .iter()
                .find(|(name, _)| *name == definition.fields[field].name)
                .map_or_else(|| text_of(&row.get(field)), |(_, value)| value.clone());
            html::Input::of(&definition.fields[field], now)
        })
        .collect();
    let mut related = Vec::new();
    for other in &SHOWN {
        let found = state.index_of(other.object).and_then(|child| state.objects[child].field("AccountId").map(|link| (child, link)));
        if let (Some((child, link)), "Account") = (found, shown_as.object) {
            let definition = &state.objects[child];
            for number in state.tables[child].children(link, id).into_iter().take(50) {
                let name = definition
                    .field("Name")
                    .zip(state.tables[child].get(number))
                    .map(|(name, row)| shown(&row.get(name)))
                    .unwrap_or_default();
                related.push((other.object, state.id(child, number).to_string(), name));
            }
        }
    }
    let title = definition.field("Name").map(|name| shown(&row.get(name))).unwrap_or_default();
    let facts = ["CreatedDate", "LastModifiedDate", "LastModifiedById", "OwnerId"]
        .iter()
        .filter_map(|name| definition.field(name).map(|field| (definition.fields[field].label.clone(), cell(&state, &row.get(field)))))
        .collect();
    Some(View { shown: shown_as, id: Some(id.to_string()), title, inputs, related, facts, note: note.to_owned(), error })
}

fn blank(server: &Server, shown_as: &'static Shown, given: &[(String, String)], error: Option<String>) -> View {
    let state = server.org.read();
    let inputs = match state.index_of(shown_as.object) {
        None => Vec::new(),
        Some(object) => {
            let definition = &state.objects[object];
            let fields = shown_as.fields.iter().filter_map(|name| definition.field(name));
            fields
                .map(|field| html::Input::of(&definition.fields[field], value(given, &definition.fields[field].name).to_owned()))
                .collect()
        }
    };
    View {
        shown: shown_as,
        id: None,
        title: format!("New {}", shown_as.object.to_lowercase()),
        inputs,
        related: Vec::new(),
        facts: Vec::new(),
        note: String::new(),
        error,
    }
}

fn create(server: &Arc<Server>, shown_as: &'static Shown, form: &[(String, String)]) -> Reply {
    let fields: Fields = form
        .iter()
        .filter(|(name, value)| shown_as.fields.contains(&name.as_str()) && !value.trim().is_empty())
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    match server.org.create(&person(server), shown_as.object, &Json::Object(fields)) {
        Ok(id) => see_other(&format!("/record/{id}?note=Created")),
        Err(error) => page(400, html::record(&blank(server, shown_as, form, Some(error.message)))),
    }
}

fn save(server: &Arc<Server>, id: &str, form: &[(String, String)]) -> Reply {
    match changes(server, id, form) {
        None => missing(),
        Some((_, fields)) if fields.is_empty() => see_other(&format!("/record/{id}?note=Nothing+changed")),
        Some((record, fields)) => match server.org.update(&person(server), record, &Json::Object(fields)) {
            Ok(()) => see_other(&format!("/record/{id}?note=Saved")),
            Err(error) => match view(server, id, "", Some(error.message), form) {
                Some(view) => page(400, html::record(&view)),
                None => missing(),
            },
        },
    }
}

/// The fields of a form that differ from the record.
fn changes(server: &Server, id: &str, form: &[(String, String)]) -> Option<(RecordId, Fields)> {
    let state = server.org.read();
    let id = RecordId::parse(id)?;
    let (object, _, row) = state.row(id).filter(|(.., row)| !row.deleted)?;
    let definition = &state.objects[object];
    let shown_as = of(&definition.name)?;
    let mut fields = Fields::new();
    for (name, typed) in form.iter().filter(|(name, _)| shown_as.fields.contains(&name.as_str())) {
        let Some(field) = definition.field(name) else { continue };
        let now = text_of(&row.get(field)).replace("\r\n", "\n");
        let typed = typed.replace("\r\n", "\n");
        let same = match definition.fields[field].kind {
            Kind::Int | Kind::Double | Kind::Currency | Kind::Percent => {
                now == typed || now.parse::<f64>().ok().is_some_and(|now| typed.parse::<f64>().is_ok_and(|typed| now == typed))
            }
            _ => now == typed,
        };
        if !same {
            fields.insert(name.clone(), if typed.trim().is_empty() { Json::Null } else { json!(typed) });
        }
    }
    Some((id, fields))
}

fn delete(server: &Arc<Server>, id: &str) -> Reply {
    let Some(record) = RecordId::parse(id) else { return missing() };
    let object = {
        let state = server.org.read();
        state.object_of(record).map(|object| state.objects[object].name.clone())
    };
    match server.org.delete(&person(server), record) {
        Ok(()) => see_other(&format!(
            "/{}?note=Deleted",
            object.and_then(|name| of(&name)).map_or("accounts", |shown| shown.plural).to_lowercase()
        )),
        Err(ApiError { message, .. }) => match view(server, id, "", Some(message), &[]) {
            Some(view) => page(400, html::record(&view)),
            None => missing(),
        },
    }
}

fn person(server: &Server) -> Actor {
    Actor::lightning(server.org.admin_user())
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    pairs.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value.as_str())
}

fn see_other(place: &str) -> Reply {
    Reply::empty(303).with("location", place.to_owned())
}

fn missing() -> Reply {
    page(404, html::message("Not found", "There is no such page or record. It may have been deleted."))
}

fn page(status: u16, html: String) -> Reply {
    Reply::text(status, "text/html; charset=utf-8", html)
        .with(
            "content-security-policy",
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'".to_owned(),
        )
        .with("referrer-policy", "same-origin".to_owned())
        .with("cache-control", "no-store".to_owned())
}
