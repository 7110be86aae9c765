//! Real values through the mapping: a few rows of each object, read, written across in thought, and read there.
//!
//! Only `concord check` looks: what the rows hold today should not keep Concord from starting.

use std::collections::BTreeMap;

use processors::mapping_file::Places;
use reconcile::Value;
use reconcile::mapping::{EntityMapping, FieldMapping, FieldType, Mapping, Side, round_trip};
use rust_decimal::Decimal;

use super::needs::place;
use super::{Finding, Problem, Seen, within};
use crate::config::Config;

/// Rows of each object.
const ROWS: usize = 200;
/// That all of so few do not fit says nothing yet.
const ENOUGH: usize = 3;
/// How long a look at samples may take.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// A row by column; what is not in it was not asked for.
type Row = BTreeMap<String, Value>;

/// Looks at samples of both systems.
pub(super) async fn look(config: &Config, mapping: &Mapping) -> Vec<Finding> {
    let mut findings = Vec::new();
    for side in Side::BOTH {
        let place = match side {
            Side::Crm => super::crm::place(config),
            Side::Erp => super::erp::place(config),
        };
        let looking = async {
            let mut problems = Vec::new();
            let mut seen = 0;
            for entity in &mapping.entities {
                // What cannot be read at all is said by the other looks.
                let rows = match side {
                    Side::Crm => crm(config, entity).await.unwrap_or_default(),
                    Side::Erp => erp(config, entity).await.unwrap_or_default(),
                };
                seen += rows.len();
                problems.extend(judge(config, mapping, entity, side, &rows));
            }
            let what = format!("{seen} records read as a sample mean the same after a way across");
            super::seen_with(problems, Seen { place: place.clone(), what })
        };
        findings.extend(within(PATIENCE, "samples", place.clone(), looking).await);
    }
    findings
}

/// What does not come back, one finding for each field and kind of fault.
fn judge(config: &Config, mapping: &Mapping, entity: &EntityMapping, side: Side, rows: &[Row]) -> Vec<Problem> {
    let places = Places::of(&mapping.text);
    let mut problems = Vec::new();
    for field in &entity.fields {
        let rule = &field.columns[side];
        let samples: Vec<Vec<Value>> = rows
            .iter()
            .filter(|row| rule.names().all(|column| row.contains_key(column)))
            .map(|row| rule.gather(|column| row.get(column)))
            .collect();
        let here = place(config, &places, &format!("entity.{}.field.{}", entity.kind, field.name));
        let faults: Vec<reconcile::Error> =
            samples.iter().filter_map(|sample| round_trip(field, side, std::slice::from_ref(sample)).into_iter().next()).collect();
        let (changed, refused): (Vec<_>, Vec<_>) = faults.iter().partition(|fault| matches!(fault, reconcile::Error::RoundTrip { .. }));
        if let Some(first) = changed.first().filter(|_| !field.lossy) {
            let remedy = "let `read` undo `write`, or accept it with lossy = true";
            problems.push(Problem::new(&here, some(first, changed.len(), samples.len()), remedy));
        }
        if let Some(first) = refused.first() {
            let remedy = "correct these values, or the mapping's type, words or expressions; until then they are set aside or not written";
            // A few odd values are the records' matter; that none fits is the mapping's.
            let make = if refused.len() == samples.len() && samples.len() >= ENOUGH { Problem::new } else { Problem::note };
            problems.push(make(here.as_str(), some(first, refused.len(), samples.len()), remedy));
        }
        if let Some((words, digits)) = rounded(field, side, &samples).filter(|_| !field.lossy) {
            let remedy = format!("say type = \"decimal({digits})\" to keep them all, or accept it with lossy = true");
            problems.push(Problem::note(&here, words, remedy));
        }
    }
    problems
}

/// That amounts have more digits than the field keeps, and how many it would take.
fn rounded(field: &FieldMapping, side: Side, samples: &[Vec<Value>]) -> Option<(String, u32)> {
    let (FieldType::Decimal { scale }, rule) = (&field.kind, &field.columns[side]) else { return None };
    let ([_], None) = (rule.parts.as_slice(), &rule.read) else { return None };
    let finer: Vec<Decimal> = samples
        .iter()
        .filter_map(|sample| match sample.as_slice() {
            [Value::Decimal(amount)] if amount.normalize().scale() > *scale => Some(amount.normalize()),
            _ => None,
        })
        .collect();
    let first = finer.first()?;
    let kept = first.round_dp(*scale);
    let digits = finer.iter().map(Decimal::scale).max()?;
    let words = format!(
        "{first} of {} column {} counts as {kept}: {} of {} values have more than {scale} digits after the point",
        side.as_str(),
        rule.shown(),
        finer.len(),
        samples.len()
    );
    Some((words, digits))
}

fn some(first: &reconcile::Error, count: usize, of: usize) -> String {
    if count == 1 { first.to_string() } else { format!("{first} ({count} such values in {of} records)") }
}

/// Columns of an entity's root row.
fn columns(entity: &EntityMapping, side: Side) -> Vec<&str> {
    let mut columns: Vec<&str> =
        entity.fields.iter().flat_map(|field| field.columns[side].names()).filter(|name| !name.contains('.')).collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}

async fn erp(config: &Config, entity: &EntityMapping) -> Option<Vec<Row>> {
    let client = sinks::erp::look(&config.write_erp).await.ok()?;
    let object = &entity.sides.erp.object;
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let table = object.split('.').map(quoted).collect::<Vec<_>>().join(".");
    let columns = columns(entity, Side::Erp);
    let list: Vec<String> = columns.iter().map(|column| format!("to_jsonb({})", quoted(column))).collect();
    // As one array, so that numbers keep their digits and a row is one value.
    let query = format!("SELECT jsonb_build_array({})::text FROM {table} LIMIT {ROWS}", list.join(", "));
    let rows = client.query(&query, &[]).await.ok()?;
    let row = |row: &tokio_postgres::Row| {
        let values: Vec<serde_json::Value> = serde_json::from_str(row.get(0)).ok()?;
        Some(columns.iter().zip(values).map(|(column, value)| ((*column).to_owned(), self::value(&value))).collect::<Row>())
    };
    let mut rows: Vec<Row> = rows.iter().filter_map(row).collect();
    typed(&mut rows, entity, Side::Erp);
    Some(rows)
}

async fn crm(config: &Config, entity: &EntityMapping) -> Option<Vec<Row>> {
    let org = ingest::crm::Org::new(&config.capture_crm).ok()?;
    let columns = columns(entity, Side::Crm);
    let records = org.sample(&entity.sides.crm.object, &columns, ROWS).await.ok()?;
    let row = |record: &serde_json::Map<String, serde_json::Value>| {
        columns.iter().filter_map(|column| Some(((*column).to_owned(), value(record.get(*column)?)))).collect::<Row>()
    };
    let mut rows: Vec<Row> = records.iter().map(row).collect();
    typed(&mut rows, entity, Side::Crm);
    Some(rows)
}

/// A value as JSON has it.
fn value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => number.as_i64().map_or_else(
            || {
                let text = number.to_string();
                let exact = Decimal::from_str_exact(&text).or_else(|_| Decimal::from_scientific(&text));
                exact.map_or(Value::Text(text), Value::Decimal)
            },
            Value::Int,
        ),
        serde_json::Value::String(text) => Value::Text(text.clone()),
        serde_json::Value::Array(items) => Value::List(items.iter().map(value).collect()),
        serde_json::Value::Object(_) => Value::Text(json.to_string()),
    }
}

/// Days and instants are texts in JSON; in a change they are not, where the field is one.
fn typed(rows: &mut [Row], entity: &EntityMapping, side: Side) {
    let timed = |field: &&FieldMapping| matches!(field.kind, FieldType::Date | FieldType::Timestamp);
    for field in entity.fields.iter().filter(timed) {
        for column in field.columns[side].names() {
            for value in rows.iter_mut().filter_map(|row| row.get_mut(column)) {
                if let Ok(typed) = field.kind.conform(value) {
                    *value = typed;
                }
            }
        }
    }
}
