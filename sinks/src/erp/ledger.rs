//! Answers kept in the ERP itself, in the transaction of the write they answer, so that a write tried again finds them.
//! Failures are not kept: a dead letter that is replayed is to be tried.

use std::collections::BTreeMap;

use schemas::Value;
use schemas::message::{Field, OutcomeResult, READ_WRITE};
use schemas::value::Decimal;
use serde_json::{Value as Json, json};
use tokio_postgres::{Client, Error as PgError, Row as PgRow};

use crate::writer::{Answer, Job, Verdict};

/// What creates the ledger; safe to run again.
pub(crate) const CREATE: &str = include_str!("../../../migrations/erp/0001_ledger.sql");

/// What brings an older ledger up to date; safe to run again. Nothing here needs it: it tells capture which write of a row
/// was the last.
pub(crate) const ORDER: &str = include_str!("../../../migrations/erp/0002_ledger_order.sql");

pub(crate) const LOOK_UP: &str = "SELECT write_id, record, result, actual::text FROM concord.ledger WHERE write_id = ANY($1::text[])";

pub(crate) const INSERT: &str = "
    INSERT INTO concord.ledger (write_id, entity, object, record, result, actual)
    SELECT w, e, o, r, a, v::jsonb FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) AS u(w, e, o, r, a, v)";

const PRUNE: &str = "
    DELETE FROM concord.ledger WHERE write_id IN
        (SELECT write_id FROM concord.ledger WHERE applied_at < to_timestamp($1::float8 / 1000000) ORDER BY applied_at LIMIT 5000)";

/// Removes some entries older than `before`.
pub(crate) async fn prune(client: &Client, before: i64) -> Result<u64, PgError> {
    #[expect(clippy::cast_precision_loss, reason = "a microsecond more or less does not matter here")]
    client.execute(PRUNE, &[&(before as f64)]).await
}

/// Answers found, by write id.
pub(crate) fn answers(rows: &[PgRow]) -> BTreeMap<String, Verdict> {
    rows.iter()
        .filter_map(|row| {
            let result = OutcomeResult::parse(row.get(2))?;
            let actual = row.get::<_, Option<String>>(3).map(|text| unpack(&text)).unwrap_or_default();
            Some((row.get(0), Verdict { result, record: row.get(1), actual, code: None, reason: None, remedy: None }))
        })
        .collect()
}

/// New entries, column by column.
#[derive(Default)]
pub(crate) struct Entries {
    columns: [Vec<Option<String>>; 6],
}

impl Entries {
    pub(crate) fn is_empty(&self) -> bool {
        self.columns[0].is_empty()
    }

    pub(crate) fn params(&self) -> &[Vec<Option<String>>] {
        &self.columns
    }
}

/// What to keep of a batch's answers.
pub(crate) fn entries(jobs: &[Job], answers: &[Answer], known: impl Fn(&str) -> bool) -> Entries {
    let mut entries = Entries::default();
    for (job, answer) in jobs.iter().zip(answers) {
        let Answer::Done(verdict) = answer else { continue };
        // A question is answered anew each time.
        let asks = job.write.id.starts_with(READ_WRITE);
        if asks || !matches!(verdict.result, OutcomeResult::Applied | OutcomeResult::Rejected) || known(&job.write.id) {
            continue;
        }
        let write = &job.write;
        let row = [
            Some(write.id.clone()),
            Some(write.entity.clone()),
            Some(write.object.clone()),
            verdict.record.clone(),
            Some(verdict.result.to_string()),
            (!verdict.actual.is_empty()).then(|| pack(&verdict.actual)),
        ];
        for (column, value) in entries.columns.iter_mut().zip(row) {
            column.push(value);
        }
    }
    entries
}

/// Fields as JSON that keeps their types: `[{"column": …, "type": …, "value": …}]`.
fn pack(fields: &[Field]) -> String {
    let packed: Vec<Json> = fields
        .iter()
        .map(|field| {
            let (kind, value) = pack_value(&field.value);
            json!({"column": field.name, "type": kind, "value": value})
        })
        .collect();
    // A zero byte cannot occur: the values have just come out of Postgres.
    Json::Array(packed).to_string()
}

fn pack_value(value: &Value) -> (&'static str, Json) {
    match value {
        Value::Null => ("null", Json::Null),
        Value::Bool(value) => ("bool", json!(value)),
        Value::Int(value) => ("int", json!(value.to_string())),
        Value::Double(_) => ("double", json!(super::value::text(value))),
        Value::Text(text) => ("text", json!(text)),
        Value::Bytes(_) => ("bytes", json!(super::value::text(value))),
        Value::Decimal(Decimal(text)) => ("decimal", json!(text)),
        Value::Date(days) => ("date", json!(days)),
        Value::Timestamp(micros) => ("timestamp", json!(micros.to_string())),
        Value::List(items) => (
            "list",
            items
                .iter()
                .map(|item| {
                    let (kind, value) = pack_value(item);
                    json!([kind, value])
                })
                .collect(),
        ),
    }
}

fn unpack(text: &str) -> Vec<Field> {
    let Ok(Json::Array(fields)) = serde_json::from_str(text) else { return Vec::new() };
    fields
        .iter()
        .filter_map(|field| {
            Some(Field { name: field["column"].as_str()?.to_owned(), value: unpack_value(field["type"].as_str()?, &field["value"])? })
        })
        .collect()
}

fn unpack_value(kind: &str, value: &Json) -> Option<Value> {
    use super::value::Kind;
    Some(match kind {
        "null" => Value::Null,
        "bool" => Value::Bool(value.as_bool()?),
        "int" => Value::Int(value.as_str()?.parse().ok()?),
        "double" => Kind::Double.read(value.as_str()?),
        "text" => Value::text(value.as_str()?),
        "bytes" => Kind::Bytes.read(value.as_str()?),
        "decimal" => Value::Decimal(Decimal(value.as_str()?.to_owned())),
        "date" => Value::Date(i32::try_from(value.as_i64()?).ok()?),
        "timestamp" => Value::Timestamp(value.as_str()?.parse().ok()?),
        "list" => Value::List(value.as_array()?.iter().map(|item| unpack_value(item[0].as_str()?, &item[1])).collect::<Option<_>>()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_out_of_the_ledger_as_it_went_in() {
        let values = [
            Value::Null,
            Value::Bool(true),
            Value::Int(i64::MAX),
            Value::Double(-0.1),
            Value::text("x\"y"),
            Value::Bytes(vec![0, 1]),
            Value::Decimal(Decimal("1.50".into())),
            Value::Date(-3),
            Value::Timestamp(i64::MIN),
            Value::List(vec![Value::Null, Value::Int(1)]),
        ];
        let fields: Vec<Field> = values.into_iter().enumerate().map(|(index, value)| Field { name: format!("c{index}"), value }).collect();
        assert_eq!(unpack(&pack(&fields)), fields);
    }
}
