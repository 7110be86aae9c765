//! From a request's fields to a record's values: names, permissions, types, references, uniqueness.

use serde_json::Value as Json;

use super::State;
use super::convert::from_json;
use super::dml::Fields;
use super::id::RecordId;
use super::schema::{Field, Kind};
use super::transaction::Transaction;
use super::value::Value;
use crate::error::ApiError;

impl State {
    /// Puts what a request gives into `values`.
    pub(crate) fn assign(
        &self,
        tx: &Transaction,
        object: usize,
        values: &mut [Value],
        fields: &Fields,
        creating: bool,
    ) -> Result<(), ApiError> {
        let definition = &self.objects[object];
        let mut readonly = Vec::new();
        for (name, json) in fields {
            if name == "attributes" {
                continue;
            }
            if let Json::Object(by) = json
                && let Some(field) = definition.relationship(name)
            {
                values[field] = Value::Id(self.parent_by_external_id(&definition.fields[field], by)?);
                continue;
            }
            let Some(index) = definition.field(name) else {
                return Err(ApiError::new(400, "INVALID_FIELD", format!("No such column '{name}' on sobject of type {}", definition.name)));
            };
            let field = &definition.fields[index];
            let allowed = if creating { field.create } else { field.update };
            if !allowed || (tx.actor.restricted && self.hidden(definition, index)) {
                readonly.push(field.name.clone());
                continue;
            }
            if field.name == "Amount"
                && definition.name == "Opportunity"
                && !creating
                && definition.field("HasOpportunityLineItem").is_some_and(|has| values[has] == Value::Bool(true))
            {
                continue;
            }
            let value = from_json(field, json)?;
            if let (Some(id), Kind::Reference(targets)) = (value.id(), &field.kind) {
                self.check_reference(field, targets, id)?;
            }
            values[index] = value;
        }
        if !readonly.is_empty() {
            return Err(ApiError {
                status: 400,
                code: "INVALID_FIELD_FOR_INSERT_UPDATE",
                message: format!(
                    "Unable to create/update fields: {}. Please check the security settings of this field and verify that it is read/write for your profile or permission set.",
                    readonly.join(", ")
                ),
                fields: readonly,
            });
        }
        let missing: Vec<String> = definition
            .fields
            .iter()
            .enumerate()
            .filter(|(index, field)| field.required && field.create && values[*index].is_null())
            .map(|(_, field)| field.name.clone())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(ApiError {
            status: 400,
            code: "REQUIRED_FIELD_MISSING",
            message: format!("Required fields are missing: [{}]", missing.join(", ")),
            fields: missing,
        })
    }

    fn parent_by_external_id(&self, field: &Field, by: &Fields) -> Result<RecordId, ApiError> {
        let Kind::Reference(targets) = &field.kind else { return Err(ApiError::not_found()) };
        for target in targets {
            let Some(object) = self.index_of(target) else { continue };
            if let Some((name, key)) = by.iter().find(|(name, _)| *name != "attributes") {
                let lookup = self.upsert_field(object, name)?;
                let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
                return match self.lookup(object, lookup, &key).as_slice() {
                    [number] => Ok(self.id(object, *number)),
                    [] => Err(ApiError::new(
                        400,
                        "INVALID_FIELD",
                        format!("Foreign key external ID: {key} not found for field {name} in entity {target}"),
                    )),
                    _ => Err(ApiError::new(
                        400,
                        "DUPLICATE_EXTERNAL_ID",
                        format!("{name}: more than one record found for external id field: {key}"),
                    )),
                };
            }
        }
        Err(ApiError::field("INVALID_FIELD", "no external id given for the relationship", &field.name))
    }

    fn check_reference(&self, field: &Field, targets: &[String], id: RecordId) -> Result<(), ApiError> {
        let of_target = self.object_of(id).is_some_and(|object| targets.contains(&self.objects[object].name));
        if !of_target {
            return Err(ApiError::field("MALFORMED_ID", format!("{}: id value of incorrect type: {id}", field.label), &field.name));
        }
        match self.row(id) {
            Some((.., row)) if row.deleted => Err(ApiError::field("ENTITY_IS_DELETED", "entity is deleted", &field.name)),
            Some(_) => Ok(()),
            None => Err(ApiError::field("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", &field.name)),
        }
    }

    pub(crate) fn check_unique(&self, object: usize, number: u64, values: &[Value], before: Option<&[Value]>) -> Result<(), ApiError> {
        for (index, field) in self.objects[object].fields.iter().enumerate() {
            if !field.unique || before.is_some_and(|before| before[index] == values[index]) {
                continue;
            }
            if let Some(text) = values[index].text()
                && let Some(other) = self.tables[object].find(index, text).into_iter().find(|other| *other != number)
            {
                return Err(ApiError::new(
                    400,
                    "DUPLICATE_VALUE",
                    format!("duplicate value found: {} duplicates value on record with id: {}", field.name, self.id(object, other).as_15()),
                ));
            }
        }
        Ok(())
    }
}
