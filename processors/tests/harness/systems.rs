//! What happens at the two systems, what their sinks answer and what people decide, as it reaches the log.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use schemas::Value;
use schemas::cdc::{Change, Op, Source};
use schemas::message::{Action, Checkpoint, Choice, Decision, Field, Message, Outcome, OutcomeResult, Side, Write};
use stream::{Log as _, NewRecord};

use super::columns::{fit, schema};
use super::{World, text};

impl World {
    pub(crate) async fn publish<M: Message>(&self, topic: &str, key: &str, message: &M) {
        let value = self.codec.encode(topic, message).await.expect("encodes");
        self.log.publish(vec![NewRecord::new(topic, key.to_owned(), value)]).await.expect("publishes");
    }

    pub(crate) async fn checkpoint(&self, source: &str, copied: &[&str]) {
        let checkpoint = Checkpoint {
            source: source.to_owned(),
            position: String::new(),
            ordinal: 0,
            copied: copied.iter().map(|object| (*object).to_owned()).collect(),
            resume: String::new(),
            committed_at: self.now(),
        };
        self.publish(&self.topics.checkpoint(), source, &checkpoint).await;
    }

    /// A change at a source. `values` are the columns it carries; at the ERP that is the whole row.
    pub(crate) async fn change(&self, side: Side, object: &str, id: &str, op: Op, values: &[(&str, Value)]) {
        self.change_by(side, object, id, op, values, None).await;
    }

    /// The same, made through a named origin.
    pub(crate) async fn change_by(&self, side: Side, object: &str, id: &str, op: Op, values: &[(&str, Value)], origin: Option<&str>) {
        let record = self.cdc(side, object, id, op, values, origin).await;
        self.log.publish(vec![record]).await.expect("publishes");
    }

    pub(crate) async fn cdc(
        &self,
        side: Side,
        object: &str,
        id: &str,
        op: Op,
        values: &[(&str, Value)],
        origin: Option<&str>,
    ) -> NewRecord {
        self.cdc_of(side, object, id, op, values, (origin, None)).await
    }

    /// A change that a write of ours made, as the ERP's ledger says it. The CRM has the write's id in a column.
    pub(crate) async fn change_of(&self, write: &Write, object: &str, id: &str, op: Op, values: &[(&str, Value)]) {
        let named = (write.side == Side::Erp).then_some(write.id.as_str());
        let record = self.cdc_of(write.side, object, id, op, values, (Some("concord"), named)).await;
        self.log.publish(vec![record]).await.expect("publishes");
    }

    /// A change, with the origin and the write of ours that its source names.
    async fn cdc_of(
        &self,
        side: Side,
        object: &str,
        id: &str,
        op: Op,
        values: &[(&str, Value)],
        (origin, write): (Option<&str>, Option<&str>),
    ) -> NewRecord {
        let schema = schema(side, object);
        let topic = match side {
            Side::Crm => self.topics.cdc_crm(object),
            Side::Erp => self.topics.cdc_erp(object),
        };
        let row: Vec<Value> = schema
            .columns
            .iter()
            .map(|column| values.iter().find(|(name, _)| *name == column.name).map_or(Value::Null, |(_, value)| fit(&column.kind, value)))
            .collect();
        let changed = (side == Side::Crm && op == Op::Update).then(|| values.iter().filter_map(|(name, _)| schema.column(name)).collect());
        let position = self.position.fetch_add(1, Ordering::Relaxed);
        let change = Change {
            before: None,
            after: (!matches!(op, Op::Delete | Op::Truncate)).then_some(row),
            op,
            changed,
            source: Source {
                side,
                name: side.to_string(),
                object: object.to_owned(),
                position: format!("0/{position:X}"),
                transaction: String::new(),
                ordinal: 0,
                committed_at: self.now(),
                actor: None,
                origin: origin.map(str::to_owned),
                write: write.map(str::to_owned),
                snapshot: op == Op::Read,
            },
            ts_ms: self.now() / 1000,
        };
        let value = self.codec.encode_change(&topic, &schema, &change).await.expect("encodes");
        NewRecord::new(topic, id.to_owned(), value)
    }

    /// Answers a write.
    pub(crate) async fn answer(&self, write: &Write, result: OutcomeResult, record: Option<&str>, actual: &[(&str, Value)]) {
        let outcome = Outcome {
            write: write.id.clone(),
            entity: write.entity.clone(),
            kind: write.kind.clone(),
            side: write.side,
            object: write.object.clone(),
            record: record.map(str::to_owned).or_else(|| write.record.clone()),
            result,
            actual: actual.iter().map(|(name, value)| Field { name: (*name).to_owned(), value: value.clone() }).collect(),
            code: None,
            message: None,
            attempts: 1,
            caused_at: write.caused_at,
            at: self.now(),
        };
        self.publish(&self.topics.outcomes(), &write.entity, &outcome).await;
    }

    /// What a person decides.
    pub(crate) async fn decide(&self, entity: &str, conflict: &str, choice: Choice, value: Value) {
        let decision = Decision {
            conflict: conflict.to_owned(),
            choice,
            value,
            ..Decision::new(format!("d-{conflict}"), entity, Action::Settle, "ana", self.now())
        };
        self.publish(&self.topics.decisions(), entity, &decision).await;
    }

    /// Does what a write says and shows it in the target's stream under our name, then answers it.
    pub(crate) async fn carry_out(&self, write: &Write, row: &BTreeMap<String, Value>, new_id: &str) {
        let mut values: Vec<(&str, Value)> = match write.side {
            Side::Erp => row.iter().map(|(name, value)| (name.as_str(), value.clone())).collect(),
            Side::Crm => Vec::new(),
        };
        for field in &write.values {
            values.retain(|(name, _)| *name != field.name);
            values.push((&field.name, field.value.clone()));
        }
        if let Some(column) = &write.id_column {
            values.push((column, text(&write.entity)));
        }
        if let Some(column) = &write.write_column {
            values.push((column, text(&write.id)));
        }
        let id = write.record.clone().unwrap_or_else(|| new_id.to_owned());
        let op = if write.record.is_some() { Op::Update } else { Op::Create };
        self.answer(write, OutcomeResult::Applied, Some(&id), &[]).await;
        self.change_of(write, &write.object, &id, op, &values).await;
    }
}
