//! What the org computes by itself: names, stages, numbers, totals, and flows.

use std::sync::Arc;

use super::State;
use super::convert::{from_json, round};
use super::dml::{Fields, changed};
use super::objects::STAGES;
use super::schema::{Kind, MODIFIED_DATE, MODSTAMP, Object};
use super::transaction::Transaction;
use super::value::{Row, Value};
use crate::error::ApiError;
use crate::settings::FlowValue;

impl State {
    /// Sets derived fields of a record that is about to be written.
    pub(crate) fn derive(
        &self,
        tx: &Transaction,
        object: usize,
        number: u64,
        before: Option<&[Value]>,
        values: &mut [Value],
        given: &Fields,
    ) {
        let definition = &self.objects[object];
        for (index, field) in definition.fields.iter().enumerate() {
            match field.kind {
                Kind::PersonName => values[index] = person_name(definition, index, values),
                Kind::AutoNumber if values[index].is_null() => values[index] = Value::Text(format!("{:08}", number % 1_000_000)),
                Kind::Boolean if values[index].is_null() => values[index] = Value::Bool(false),
                _ => {}
            }
        }
        match definition.name.as_str() {
            "Opportunity" => derive_opportunity(definition, tx.now, before, values, given),
            "Order" => derive_order(definition, tx, before, values),
            "Quote" => self.derive_quote(definition, values),
            "OrderItem" | "OpportunityLineItem" => derive_line(definition, values),
            "Case" => {
                if let (Some(status), Some(closed)) = (definition.field("Status"), definition.field("IsClosed")) {
                    values[closed] = Value::Bool(values[status].text() == Some("Closed"));
                }
            }
            _ => {}
        }
    }

    fn derive_quote(&self, definition: &Object, values: &mut [Value]) {
        if let (Some(parent), Some(account)) = (definition.field("OpportunityId"), definition.field("AccountId"))
            && let Some((object, _, row)) = values[parent].id().and_then(|id| self.row(id))
            && let Some(source) = self.objects[object].field("AccountId")
        {
            values[account] = row.get(source);
        }
    }

    /// Runs the flows whose field changed.
    pub(crate) fn run_flows(&self, definition: &Object, before: Option<&[Value]>, values: &mut [Value]) -> Result<(), ApiError> {
        let flows: Vec<_> =
            self.live.read(|live| live.flows.iter().filter(|flow| flow.object.eq_ignore_ascii_case(&definition.name)).cloned().collect());
        for flow in flows {
            let (Some(when), Some(set)) = (definition.field(&flow.when), definition.field(&flow.set)) else { continue };
            if !changed(when, before, values) {
                continue;
            }
            let source = |name: &str| definition.field(name).map_or(Value::Null, |field| values[field].clone());
            values[set] = match &flow.to {
                FlowValue::Literal(json) => from_json(&definition.fields[set], json)?,
                FlowValue::CopyOf(name) => source(name),
                FlowValue::UpperOf(name) => source(name).text().map_or(Value::Null, |text| Value::Text(text.to_uppercase())),
                FlowValue::Refuse(message) => {
                    return Err(ApiError::field("FIELD_CUSTOM_VALIDATION_EXCEPTION", message.clone(), &flow.when));
                }
            };
        }
        Ok(())
    }

    /// Totals of the parent of a line that was written.
    pub(crate) fn roll_up(&mut self, tx: &mut Transaction, object: usize, values: &[Value]) {
        let (parent_field, total_field, parent_total) = match self.objects[object].name.as_str() {
            "OrderItem" => ("OrderId", "TotalPrice", "TotalAmount"),
            "OpportunityLineItem" => ("OpportunityId", "TotalPrice", "Amount"),
            _ => return,
        };
        let lines = Arc::clone(&self.objects[object]);
        let (Some(parent_field), Some(total_field)) = (lines.field(parent_field), lines.field(total_field)) else { return };
        let Some(parent) = values[parent_field].id() else { return };
        let numbers = self.tables[object].children(parent_field, parent);
        let total: f64 = numbers.iter().filter_map(|number| self.tables[object].get(*number)?.get(total_field).number()).sum();
        let Some((owner, number, row)) = self.row(parent).filter(|(.., row)| !row.deleted) else { return };
        let definition = Arc::clone(&self.objects[owner]);
        let before = row.unpack(definition.fields.len());
        let mut after = before.clone();
        if let Some(field) = definition.field(parent_total) {
            after[field] = Value::Double(round(total, 2));
        }
        if let Some(field) = definition.field("HasOpportunityLineItem") {
            after[field] = Value::Bool(!numbers.is_empty());
        }
        if definition.name == "Opportunity" {
            derive_opportunity(&definition, tx.now, Some(&before), &mut after, &Fields::new());
        }
        if after != before {
            after[MODIFIED_DATE] = Value::DateTime(tx.now);
            after[MODSTAMP] = Value::DateTime(tx.now);
            self.put(tx, owner, number, Some(Row::pack(&after, false)));
        }
    }
}

fn person_name(definition: &Object, compound: usize, values: &[Value]) -> Value {
    let part = |name: &str| {
        definition
            .fields
            .iter()
            .position(|field| field.component == Some((compound, part_name(name))))
            .and_then(|index| values[index].text())
    };
    let name: Vec<&str> = [part("FirstName"), part("LastName")].into_iter().flatten().collect();
    if name.is_empty() { Value::Null } else { Value::Text(name.join(" ")) }
}

fn part_name(name: &str) -> &'static str {
    if name == "FirstName" { "FirstName" } else { "LastName" }
}

fn derive_opportunity(definition: &Object, now: i64, before: Option<&[Value]>, values: &mut [Value], given: &Fields) {
    let at = |name: &str| definition.field(name);
    let (Some(stage), Some(probability), Some(amount), Some(expected)) =
        (at("StageName"), at("Probability"), at("Amount"), at("ExpectedRevenue"))
    else {
        return;
    };
    if changed(stage, before, values) {
        let known = STAGES.iter().find(|known| values[stage].text().is_some_and(|name| name.eq_ignore_ascii_case(known.name)));
        let has = |name: &str| given.iter().any(|(given, value)| given.eq_ignore_ascii_case(name) && !value.is_null());
        if !has("Probability") {
            values[probability] = known.map_or(Value::Double(0.0), |known| Value::Double(f64::from(known.probability)));
        }
        let mut set = |name: &str, value: Value| {
            if let Some(field) = definition.field(name) {
                values[field] = value;
            }
        };
        set("IsClosed", Value::Bool(known.is_some_and(|known| known.closed)));
        set("IsWon", Value::Bool(known.is_some_and(|known| known.won)));
        set("ForecastCategory", Value::Text(known.map_or("Pipeline", |known| known.category).to_owned()));
        if !has("ForecastCategoryName") {
            set("ForecastCategoryName", Value::Text(known.map_or("Pipeline", |known| known.category_name).to_owned()));
        }
        if before.is_some() {
            set("LastStageChangeDate", Value::DateTime(now));
        }
    }
    values[expected] = match (values[amount].number(), values[probability].number()) {
        (Some(amount), Some(percent)) => Value::Double(round(amount * percent / 100.0, 2)),
        _ => Value::Null,
    };
}

fn derive_order(definition: &Object, tx: &Transaction, before: Option<&[Value]>, values: &mut [Value]) {
    let (Some(status), Some(code)) = (definition.field("Status"), definition.field("StatusCode")) else { return };
    values[code] = values[status].clone();
    if values[code].text() == Some("Activated") && changed(code, before, values) {
        if let Some(field) = definition.field("ActivatedDate") {
            values[field] = Value::DateTime(tx.now);
        }
        if let Some(field) = definition.field("ActivatedById") {
            values[field] = Value::Id(tx.actor.user);
        }
    }
    if let Some(total) = definition.field("TotalAmount")
        && values[total].is_null()
    {
        values[total] = Value::Double(0.0);
    }
}

fn derive_line(definition: &Object, values: &mut [Value]) {
    let at = |name: &str| definition.field(name);
    let (Some(quantity), Some(unit), Some(total)) = (at("Quantity"), at("UnitPrice"), at("TotalPrice")) else { return };
    match (values[quantity].number(), values[unit].number(), values[total].number()) {
        (Some(quantity), Some(unit), _) => values[total] = Value::Double(round(quantity * unit, 2)),
        (Some(quantity), None, Some(total)) if quantity != 0.0 => values[unit] = Value::Double(round(total / quantity, 2)),
        _ => {}
    }
}

/// The transaction key: an RFC 4122 shaped text made from seed and number.
pub(crate) fn transaction_key(seed: u64, number: u64) -> String {
    uuid_text(seed, "transaction", number)
}

/// A UUID-shaped text made from seed, purpose and number.
pub(crate) fn uuid_text(seed: u64, purpose: &str, number: u64) -> String {
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, format!("{seed}/{purpose}/{number}").as_bytes()).to_string()
}
