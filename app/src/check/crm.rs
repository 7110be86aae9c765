//! Salesforce: sign-in, objects with change events, and the mapping's fields.

use std::collections::BTreeMap;

use ingest::crm::{Field, Use};
use processors::mapping_file::WRITE_LENGTH;
use schemas::cdc::ColumnType;

use super::field::Holds;
use super::needs::{Family, Need, Needs, fits, spelled};
use super::{Looked, Problem, Seen, seen_with};
use crate::config::Config;

const CHANNEL: &str = "Salesforce event channel";

/// Looks with the reader's settings, which sign in as the writer's do. Without `events_too`, a fault of the event
/// stream is the business of the process that reads it.
pub(super) async fn look(config: &Config, needs: Needs, events_too: bool) -> Looked {
    let reader = &config.capture_crm;
    let place = place(config);
    let asked: ingest::crm::Needs = needs
        .iter()
        .map(|(object, columns)| {
            let uses =
                columns.iter().map(|(column, need)| (column.clone(), if need.update || need.insert { Use::Write } else { Use::Read }));
            (object.clone(), uses.collect())
        })
        .collect();
    let problems: Vec<Problem> = ingest::crm::check(reader, &asked)
        .await
        .into_iter()
        .filter(|finding| events_too || !finding.place.starts_with(CHANNEL))
        .map(|finding| {
            let mut problem = Problem::from(finding);
            if problem.place == format!("source {}", reader.name) {
                problem.place.clone_from(&place);
            } else if problem.place.starts_with(CHANNEL) {
                problem.place = format!("{} at {}", problem.place, reader.pubsub_endpoint);
            } else if let Some(need) = need(&needs, &problem.place) {
                problem.place = format!("{}, mapped by {}", problem.place, need.said);
                if need.written.write {
                    problem.remedy =
                        format!("{}; and give the integration user read and edit access to it (field-level security)", make_write_field());
                }
            }
            problem
        })
        .collect();
    let mut problems = problems;
    problems.extend(described(config, &needs).await);
    let fields: usize = needs.values().map(|columns| columns.len()).sum();
    let what = format!("signed in; change events of {}; {fields} fields as mapped", reader.objects.join(", "));
    seen_with(problems, Seen { place, what })
}

/// What the org says of the fields, held against what the mapping writes.
async fn described(config: &Config, needs: &Needs) -> Vec<Problem> {
    let mut problems = Vec::new();
    let Ok(org) = ingest::crm::Org::new(&config.capture_crm) else { return problems };
    for (object, asked) in needs {
        // What cannot be described is said by the look at reading.
        let Ok(there) = org.fields(object).await else { continue };
        for (name, need) in asked {
            let place = format!("Salesforce field {object}.{name}, mapped by {}", need.said);
            problems.extend(there.get(name).and_then(|field| fault(&place, field, need)));
        }
        problems.extend(lacking(object, asked, &there));
    }
    problems
}

/// How values of a field come.
fn family(field: &Field) -> Family {
    match field.column() {
        Some(ColumnType::Boolean) => Family::Bool,
        Some(ColumnType::Int) => Family::Int,
        Some(ColumnType::Decimal { .. } | ColumnType::BigDecimal | ColumnType::Double) => Family::Number,
        Some(ColumnType::Date) => Family::Date,
        Some(ColumnType::Timestamp) => Family::Timestamp,
        Some(_) => Family::Text,
        None => Family::Other,
    }
}

/// The first thing that keeps a field from being used as mapped.
fn fault(place: &str, field: &Field, need: &Need) -> Option<Problem> {
    if let Some(kind) = need.kinds.iter().find(|kind| !fits(kind, family(field))) {
        return Some(Problem::new(
            place,
            format!("its type {} cannot be read as {}", field.kind, spelled(kind)),
            "correct the field's type in the mapping, or give it a read (and write) expression",
        ));
    }
    let security = "give the integration user edit access to it (field-level security), or let the mapping only read it";
    if need.insert && !field.createable && (field.updateable || !need.update) {
        return Some(Problem::new(place, "it cannot be set on new records", security));
    }
    if need.update && !field.updateable && field.createable {
        return Some(Problem::new(place, "it can be set on new records, but not changed later", security));
    }
    if need.written.write && !(matches!(field.kind.as_str(), "string" | "textarea") && field.length >= WRITE_LENGTH) {
        return Some(Problem::new(
            place,
            format!("it takes the ids of writes, and its type {} of {} characters cannot hold them", field.kind, field.length),
            make_write_field(),
        ));
    }
    if need.written.id && need.insert && !field.external_id {
        return Some(Problem::new(
            place,
            "it is no external id, so that a repeated create could make a second record",
            "Setup, Object Manager, the field: tick External ID and Unique",
        ));
    }
    if !need.insert && !need.update {
        return None;
    }
    let active: std::collections::BTreeSet<&str> =
        field.picklist_values.iter().filter(|value| value.active).map(|value| value.value.as_str()).collect();
    let holds = Holds {
        type_name: &field.kind,
        length: Some(field.length),
        scale: matches!(family(field), Family::Number).then_some(field.scale),
        values: (!active.is_empty()).then_some(active),
        open: !field.restricted_picklist,
        list: false,
        needed: !field.nillable && !field.defaulted_on_create,
    };
    super::field::fault(place, &need.written, &holds).or_else(|| {
        let unsure = need.written.id && !field.unique;
        unsure.then(|| Problem::note(place, "two records could hold the same entity id", "Setup, Object Manager, the field: tick Unique"))
    })
}

/// Fields that a new record needs and that the mapping gives nothing.
fn lacking(object: &str, asked: &BTreeMap<String, Need>, there: &BTreeMap<String, Field>) -> Vec<Problem> {
    if !asked.values().any(|need| need.insert) {
        return Vec::new();
    }
    let needed = |field: &&Field| {
        field.createable && !field.nillable && !field.defaulted_on_create && !asked.get(&field.name).is_some_and(|need| need.insert)
    };
    there
        .values()
        .filter(needed)
        .filter(|field| field.compound_field_name.is_none() && field.kind != "boolean")
        .map(|field| {
            Problem::note(
                format!("Salesforce field {object}.{}", field.name),
                "a new record needs it, and the mapping gives it nothing: unless a flow does, creates are refused",
                "map it, or add it to the constants of the entity's crm side",
            )
        })
        .collect()
}

/// Where it is, for people.
pub(super) fn place(config: &Config) -> String {
    format!("Salesforce at {}", config.capture_crm.login_url)
}

/// What the mapping asks of the field of `Salesforce field Account.Name`.
fn need<'a>(needs: &'a Needs, place: &str) -> Option<&'a Need> {
    let (object, field) = place.strip_prefix("Salesforce field ")?.split_once('.')?;
    needs.get(object)?.get(field)
}

fn make_write_field() -> String {
    format!("Setup, Object Manager: make a Text field of {WRITE_LENGTH} characters for it, not unique, no external id")
}
