//! What a run of records comes to, table by table: of each row only the last state is kept. No SQL, no clock.

use std::collections::BTreeMap;

use schemas::Value;
use schemas::cdc::{Column, ColumnType};
use schemas::message::{
    AuditEntry, Conflict, CustomerFinancials, DeadLetter, Decision, DecisionOutcome, DecisionResult, EntityLink, Health, MatchReview,
    Message, Outcome, OutcomeResult, PipelineSummary, READ_WRITE, Setting, Write,
};
use serde_json::{Map, Value as Json};
use stream::{Codec, Offsets, Record};

use super::json::{clean, plain};
use super::source::Source;
use super::topics::{Kind, Wanted};
use crate::sync_id::{shown, sync_id};

/// A merged record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Golden {
    pub(crate) kind: String,
    pub(crate) title: Option<String>,
    pub(crate) crm_record: Option<String>,
    pub(crate) erp_record: Option<String>,
    pub(crate) fields: String,
    pub(crate) updated_at: i64,
}

#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// By record key; none when the link is forgotten.
    pub(crate) links: BTreeMap<(String, String, String), EntityLink>,
    /// By entity; none when the entity has no record left.
    pub(crate) golden: BTreeMap<String, Option<Golden>>,
    /// With the id of the edit or decision that it follows from.
    pub(crate) writes: BTreeMap<String, (Write, Option<String>)>,
    /// In order; several may answer one write.
    pub(crate) outcomes: Vec<Outcome>,
    /// With the edit's id.
    pub(crate) audit: BTreeMap<String, (AuditEntry, Option<String>)>,
    pub(crate) conflicts: BTreeMap<String, Conflict>,
    /// By review id; none when the review is forgotten.
    pub(crate) reviews: BTreeMap<String, Option<MatchReview>>,
    pub(crate) decisions: BTreeMap<String, Decision>,
    pub(crate) decision_outcomes: BTreeMap<String, DecisionOutcome>,
    pub(crate) health: BTreeMap<String, Health>,
    pub(crate) settings: BTreeMap<String, Setting>,
    pub(crate) financials: BTreeMap<String, Option<CustomerFinancials>>,
    pub(crate) pipeline: BTreeMap<String, Option<PipelineSummary>>,
    pub(crate) dead_letters: Vec<(Record, DeadLetter)>,
    pub(crate) source: Source,
    /// First offset seen and the one to read next, by partition.
    pub(crate) offsets: Offsets,
    counts: BTreeMap<&'static str, u64>,
}

impl Batch {
    /// Notes that a record has been dealt with.
    pub(crate) fn passed(&mut self, record: &Record) {
        let (partition, next) = super::after(record);
        self.offsets.insert(partition, next);
    }

    /// How many records of each message went in.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.counts.iter().map(|(message, count)| (*message, *count))
    }

    /// Takes in one record.
    ///
    /// # Errors
    /// When the record cannot be read; [`stream::Error::class`] tells whether it is the record's fault.
    pub(crate) async fn take(
        &mut self,
        wanted: &Wanted,
        titles: &BTreeMap<String, String>,
        codec: &Codec,
        record: &Record,
    ) -> stream::Result<()> {
        let Some(kind) = wanted.kind(&record.partition.topic) else { return Ok(()) };
        let key = || clean(&String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()));
        let name = match kind {
            Kind::Links => {
                if let Some(link) = codec.message::<EntityLink>(record).await? {
                    self.links.insert((link.side.to_string(), clean(&link.object), clean(&link.record)), link);
                }
                "link"
            }
            Kind::Golden(kind) => {
                let golden = match &record.value {
                    None => None,
                    Some(bytes) => Some(golden(kind, titles.get(kind), codec, &record.partition.topic, bytes).await?),
                };
                self.golden.insert(key(), golden);
                "golden"
            }
            Kind::Write => {
                if let Some(write) = codec.message::<Write>(record).await?.filter(|write| !write.id.starts_with(READ_WRITE)) {
                    let edit = sync_id(record).and_then(|id| shown(Some(&id)).map(clean));
                    self.writes.insert(write.id.clone(), (write, edit));
                }
                "write"
            }
            Kind::Outcome => {
                self.outcomes.extend(codec.message::<Outcome>(record).await?.filter(|outcome| !outcome.write.starts_with(READ_WRITE)));
                "outcome"
            }
            Kind::Conflict => {
                if let Some(conflict) = codec.message::<Conflict>(record).await? {
                    self.conflicts.insert(conflict.id.clone(), conflict);
                }
                "conflict"
            }
            Kind::Review => {
                self.reviews.insert(key(), codec.message::<MatchReview>(record).await?);
                "match_review"
            }
            Kind::Decision => {
                if let Some(decision) = codec.message::<Decision>(record).await? {
                    self.decisions.insert(decision.id.clone(), decision);
                }
                "decision"
            }
            Kind::DecisionOutcome => {
                if let Some(outcome) = codec.message::<DecisionOutcome>(record).await? {
                    self.answered(outcome);
                }
                "decision_outcome"
            }
            Kind::Audit => {
                if let Some(entry) = codec.message::<AuditEntry>(record).await? {
                    let edit = sync_id(record).and_then(|id| shown(Some(&id)).map(clean));
                    self.audit.insert(entry.id.clone(), (entry, edit));
                }
                "audit"
            }
            Kind::Health => {
                if let Some(health) = codec.message::<Health>(record).await? {
                    self.health.insert(health.component.clone(), health);
                }
                "health"
            }
            Kind::Control => {
                if let Some(setting) = codec.message::<Setting>(record).await? {
                    self.settings.insert(setting.name.clone(), setting);
                }
                "setting"
            }
            Kind::Financials => {
                let financials = checked(record, codec.message::<CustomerFinancials>(record).await?, |it| {
                    [&it.ar_balance, &it.overdue, &it.open_order_value].into()
                })?;
                self.financials.insert(key(), financials);
                "financials"
            }
            Kind::Pipeline => {
                let summary = checked(record, codec.message::<PipelineSummary>(record).await?, |it| [&it.value, &it.weighted].into())?;
                self.pipeline.insert(key(), summary);
                "pipeline"
            }
            Kind::DeadLetter => {
                if let Some(letter) = codec.message::<DeadLetter>(record).await? {
                    self.dead_letters.push((Record { value: None, headers: Vec::new(), ..record.clone() }, letter));
                }
                "dead_letter"
            }
            Kind::Source => {
                if let Some(bytes) = &record.value {
                    let (schema, change) = codec.decode_change(&record.partition.topic, bytes).await?;
                    self.source.take(record.key.as_deref().unwrap_or_default(), &schema, &change);
                }
                "source"
            }
        };
        *self.counts.entry(name).or_default() += 1;
        Ok(())
    }

    /// That a decision waits is no answer any more once there is one.
    fn answered(&mut self, outcome: DecisionOutcome) {
        let known = self.decision_outcomes.get(&outcome.decision);
        if outcome.result != DecisionResult::Waiting || known.is_none_or(|known| known.result == DecisionResult::Waiting) {
            self.decision_outcomes.insert(outcome.decision.clone(), outcome);
        }
    }

    /// The last answer to each write; that a write is deferred counts only while there is no other.
    pub(crate) fn last_outcomes(&self) -> BTreeMap<&str, &Outcome> {
        let mut last: BTreeMap<&str, &Outcome> = BTreeMap::new();
        for outcome in &self.outcomes {
            if outcome.result != OutcomeResult::Deferred
                || last.get(outcome.write.as_str()).is_none_or(|known| known.result == OutcomeResult::Deferred)
            {
                last.insert(&outcome.write, outcome);
            }
        }
        last
    }
}

/// Refuses amounts that Postgres would not take as numbers.
fn checked<M: Message>(record: &Record, message: Option<M>, amounts: impl Fn(&M) -> Vec<&String>) -> stream::Result<Option<M>> {
    match &message {
        Some(known) if !amounts(known).iter().all(|text| is_number(text)) => Err(stream::Error::Decode {
            topic: record.partition.topic.to_string(),
            reason: "an amount is not a plain decimal number".to_owned(),
        }),
        _ => Ok(message),
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    plain(whole) && plain(fraction)
}

/// Reads a merged record by the schema it was written with.
async fn golden(kind: &str, title: Option<&String>, codec: &Codec, topic: &str, bytes: &[u8]) -> stream::Result<Golden> {
    let fail = |reason: String| stream::Error::Decode { topic: topic.to_owned(), reason };
    let (columns, row) = codec.decode_row(topic, bytes).await?;
    if !columns.iter().any(|column| column.name == "entity") {
        return Err(fail("the schema is not that of a merged record".to_owned()));
    }
    Ok(merged(kind, title, &columns, &row))
}

fn merged(kind: &str, title: Option<&String>, columns: &[Column], row: &[Value]) -> Golden {
    let mut golden =
        Golden { kind: kind.to_owned(), title: None, crm_record: None, erp_record: None, fields: String::new(), updated_at: 0 };
    let mut fields = Map::new();
    for (column, value) in columns.iter().zip(row) {
        match (column.name.as_str(), &column.kind, value) {
            ("entity", ..) => {}
            ("crm_record", ColumnType::Text, value) => golden.crm_record = value.as_text().map(clean),
            ("erp_record", ColumnType::Text, value) => golden.erp_record = value.as_text().map(clean),
            ("updated_at", ColumnType::Timestamp, Value::Timestamp(at)) => golden.updated_at = *at,
            (name, _, value) => {
                if title.is_some_and(|title| title == name) {
                    golden.title = Some(value.as_text().map(clean).unwrap_or_default());
                }
                fields.insert(clean(name), plain(value));
            }
        }
    }
    golden.fields = Json::Object(fields).to_string();
    golden
}

#[cfg(test)]
mod tests {
    use schemas::cdc;
    use schemas::message::Side;

    use super::*;

    #[test]
    fn amounts_must_be_plain_numbers() {
        assert!(["0", "-12.50", "1000000"].iter().all(|text| is_number(text)));
        assert!(["", "-", "1.", "NaN", "1e5", "1,0"].iter().all(|text| !is_number(text)));
    }

    #[test]
    fn a_merged_record_is_read_by_its_own_schema() {
        let column = |name: &str, kind| Column { name: name.to_owned(), kind };
        let columns = vec![
            column("entity", ColumnType::Uuid),
            column("crm_record", ColumnType::Text),
            column("erp_record", ColumnType::Text),
            column("updated_at", ColumnType::Timestamp),
            column("name", ColumnType::Text),
            column("credit limit", ColumnType::Decimal { precision: 38, scale: 2 }),
        ];
        let mut schema = cdc::row_schema(&columns);
        schema["name"] = "customer".into();
        schema["namespace"] = "concord.golden".into();
        let columns = cdc::parse_row_schema(&schema.to_string()).unwrap();
        let row = [
            Value::text("e"),
            Value::text("001"),
            Value::Null,
            Value::Timestamp(5),
            Value::text("Acme"),
            Value::Decimal(schemas::Decimal("1.00".into())),
        ];
        let golden = merged("customer", Some(&"name".to_owned()), &columns, &row);
        assert_eq!(
            (golden.title.as_deref(), golden.crm_record.as_deref(), golden.erp_record, golden.updated_at),
            (Some("Acme"), Some("001"), None, 5)
        );
        assert_eq!(golden.fields, r#"{"name":"Acme","credit limit":"1.00"}"#);
    }

    #[test]
    fn a_late_deferral_does_not_hide_an_answer() {
        let outcome = |result| Outcome {
            write: "w".to_owned(),
            entity: "e".to_owned(),
            kind: "customer".to_owned(),
            side: Side::Erp,
            object: "t".to_owned(),
            record: None,
            result,
            actual: Vec::new(),
            code: None,
            message: None,
            attempts: 1,
            caused_at: 0,
            at: 0,
        };
        let batch = Batch {
            outcomes: vec![outcome(OutcomeResult::Deferred), outcome(OutcomeResult::Applied), outcome(OutcomeResult::Deferred)],
            ..Batch::default()
        };
        assert_eq!(batch.last_outcomes()["w"].result, OutcomeResult::Applied);
    }
}
