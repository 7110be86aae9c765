//! Create, update, upsert, delete, undelete and merge of one record within a transaction.
//!
//! Each either happens as a whole or leaves nothing behind: a failure rolls back to where it began.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::convert::from_json;
use super::id::RecordId;
use super::schema::{Field, IS_DELETED, Kind, MODIFIED_BY, MODIFIED_DATE, MODSTAMP};
use super::transaction::Transaction;
use super::value::{Row, Value};
use super::State;
use crate::error::ApiError;

/// Fields by API name, as a request body has them.
pub(crate) type Fields = Map<String, Json>;

impl State {
    /// Creates a record.
    pub(crate) fn insert(&mut self, tx: &mut Transaction, object: usize, fields: &Fields) -> Result<RecordId, ApiError> {
        self.atomically(tx, |state, tx| {
            let definition = Arc::clone(&state.objects[object]);
            if !definition.writable {
                return Err(ApiError::new(400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", format!("entity type {} does not support create", definition.name)));
            }
            if fields.keys().any(|name| name.eq_ignore_ascii_case("id")) {
                return Err(ApiError::new(400, "INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call"));
            }
            let mut values = vec![Value::Null; definition.fields.len()];
            state.assign(tx, object, &mut values, fields, true)?;
            state.default_values(tx, object, &mut values);
            let now = tx.now;
            state.stamp_new(&mut values, now, tx.actor.user);
            let number = state.next_number(object);
            state.settle(tx, object, number, None, &mut values, fields)?;
            let id = state.id(object, number);
            state.lock_row(object, id)?;
            state.put(tx, object, number, Some(Row::pack(&values, false)));
            state.roll_up(tx, object, &values);
            tx.records_written += 1;
            Ok(id)
        })
    }

    /// Changes fields of a live record.
    pub(crate) fn update(&mut self, tx: &mut Transaction, id: RecordId, fields: &Fields) -> Result<(), ApiError> {
        self.atomically(tx, |state, tx| {
            let (object, number, row) = state.row(id).ok_or_else(|| ApiError::new(404, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"))?;
            if row.deleted {
                return Err(ApiError::new(404, "ENTITY_IS_DELETED", "entity is deleted"));
            }
            let definition = Arc::clone(&state.objects[object]);
            let before = row.unpack(definition.fields.len());
            let mut values = before.clone();
            state.assign(tx, object, &mut values, fields, false)?;
            state.lock_row(object, id)?;
            values[MODIFIED_DATE] = Value::DateTime(tx.now);
            values[MODSTAMP] = Value::DateTime(tx.now);
            values[MODIFIED_BY] = Value::Id(tx.actor.user);
            state.settle(tx, object, number, Some(&before), &mut values, fields)?;
            state.put(tx, object, number, Some(Row::pack(&values, false)));
            state.roll_up(tx, object, &values);
            tx.records_written += 1;
            Ok(())
        })
    }

    /// Records that an external id (or another lookup field) names.
    pub(crate) fn lookup(&self, object: usize, field: usize, key: &str) -> Vec<u64> {
        let definition = &self.objects[object];
        if definition.fields[field].indexed() {
            return self.tables[object].find(field, key.trim());
        }
        let wanted = key.trim().to_lowercase();
        self.tables[object]
            .iter()
            .filter(|(_, row)| !row.deleted && row.get(field).text().is_some_and(|text| text.to_lowercase() == wanted))
            .map(|(number, _)| number)
            .collect()
    }

    /// The field that an upsert goes by.
    pub(crate) fn upsert_field(&self, object: usize, name: &str) -> Result<usize, ApiError> {
        let definition = &self.objects[object];
        let field = definition.field(name).filter(|field| *field == super::schema::ID || definition.fields[*field].id_lookup);
        field.ok_or_else(|| ApiError::new(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible: ".to_owned() + name))
    }

    /// Creates or changes the one record that `key` names; whether it was created.
    pub(crate) fn upsert(&mut self, tx: &mut Transaction, object: usize, field: usize, key: &str, fields: &Fields, update_only: bool) -> Result<(RecordId, bool), ApiError> {
        let name = self.objects[object].fields[field].name.clone();
        if field == super::schema::ID {
            return match RecordId::parse(key) {
                Some(id) => self.update(tx, id, fields).map(|()| (id, false)),
                None if key.is_empty() => self.insert(tx, object, fields).map(|id| (id, true)),
                None => Err(ApiError::field("MALFORMED_ID", format!("{} ID: id value of incorrect type: {key}", self.objects[object].label), "Id")),
            };
        }
        if key.trim().is_empty() {
            return Err(ApiError::field("MISSING_ARGUMENT", format!("{name} not specified"), &name));
        }
        let found = self.lookup(object, field, key);
        match found.as_slice() {
            [] if update_only => Err(ApiError::not_found()),
            [] => {
                let mut all = fields.clone();
                all.insert(name, Json::String(key.to_owned()));
                self.insert(tx, object, &all).map(|id| (id, true))
            }
            [number] => {
                let id = self.id(object, *number);
                self.update(tx, id, fields).map(|()| (id, false))
            }
            _ => Err(ApiError::field("DUPLICATE_EXTERNAL_ID", format!("{name}: more than one record found for external id field: [{}]", found.iter().map(|n| self.id(object, *n).to_string()).collect::<Vec<_>>().join(", ")), &name)),
        }
    }

    /// Moves a record and what hangs on it to the recycle bin.
    pub(crate) fn delete(&mut self, tx: &mut Transaction, id: RecordId) -> Result<(), ApiError> {
        self.atomically(tx, |state, tx| {
            let (object, number, row) = state.row(id).ok_or_else(|| ApiError::new(404, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"))?;
            if row.deleted {
                return Err(ApiError::new(404, "ENTITY_IS_DELETED", "entity is deleted"));
            }
            if state.objects[object].name == "PricebookEntry" || !state.objects[object].writable {
                return Err(ApiError::new(400, "DELETE_FAILED", format!("{} cannot be deleted", state.objects[object].label)));
            }
            state.lock_row(object, id)?;
            state.bin(tx, object, number, true, None);
            for (child, field, numbers) in state.children(id) {
                let definition = Arc::clone(&state.objects[child]);
                for number in numbers {
                    let child_id = state.id(child, number);
                    if definition.fields[field].restrict {
                        return Err(ApiError::new(
                            400,
                            "DELETE_FAILED",
                            format!("Your attempt to delete {} could not be completed because it is associated with the following {}.: {child_id}", id, definition.plural.to_lowercase()),
                        ));
                    }
                    if definition.fields[field].cascade {
                        state.delete(tx, child_id)?;
                    }
                }
            }
            tx.records_written += 1;
            Ok(())
        })
    }

    /// Brings a record, and what was deleted with it, back from the recycle bin.
    pub(crate) fn undelete(&mut self, tx: &mut Transaction, id: RecordId) -> Result<(), ApiError> {
        self.atomically(tx, |state, tx| {
            let (object, number, row) = state.row(id).ok_or_else(ApiError::not_found)?;
            if !row.deleted {
                return Err(ApiError::new(400, "UNDELETE_FAILED", "Entity is not in the recycle bin"));
            }
            let deleted_at = row.get(MODSTAMP);
            let definition = Arc::clone(&state.objects[object]);
            let values = row.unpack(definition.fields.len());
            state.check_unique(object, number, &values, None)?;
            state.bin(tx, object, number, false, None);
            for child in 0..state.objects.len() {
                let definition = Arc::clone(&state.objects[child]);
                let cascading: Vec<usize> = definition.fields.iter().enumerate().filter(|(_, field)| field.cascade).map(|(index, _)| index).collect();
                if cascading.is_empty() {
                    continue;
                }
                let with_it: Vec<u64> = state.tables[child]
                    .iter()
                    .filter(|(_, row)| row.deleted && row.get(MODSTAMP) == deleted_at && cascading.iter().any(|field| row.get(*field).id() == Some(id)))
                    .map(|(number, _)| number)
                    .collect();
                for number in with_it {
                    let child_id = state.id(child, number);
                    state.undelete(tx, child_id)?;
                }
            }
            Ok(())
        })
    }

    /// Merges up to two losers into `master`: they are deleted with MasterRecordId, their children move.
    pub(crate) fn merge(&mut self, tx: &mut Transaction, master: RecordId, losers: &[RecordId], fields: &Fields) -> Result<(), ApiError> {
        self.atomically(tx, |state, tx| {
            let (object, ..) = state.row(master).filter(|(.., row)| !row.deleted).ok_or_else(ApiError::not_found)?;
            let marker = state.objects[object].field("MasterRecordId").ok_or_else(|| ApiError::new(400, "INVALID_OPERATION", "this object cannot be merged"))?;
            for loser in losers {
                let (found, number, row) = state.row(*loser).ok_or_else(ApiError::not_found)?;
                if found != object || row.deleted || *loser == master {
                    return Err(ApiError::new(400, "INVALID_OPERATION", format!("cannot merge {loser} into {master}")));
                }
                for (child, field, numbers) in state.children(*loser) {
                    for number in numbers {
                        state.reparent(tx, child, field, number, master);
                    }
                }
                state.bin(tx, object, number, true, Some((marker, Value::Id(master))));
            }
            state.update(tx, master, fields)
        })
    }

    fn reparent(&mut self, tx: &mut Transaction, object: usize, field: usize, number: u64, parent: RecordId) {
        let definition = Arc::clone(&self.objects[object]);
        if let Some(row) = self.tables[object].get(number) {
            let mut values = row.unpack(definition.fields.len());
            values[field] = Value::Id(parent);
            values[MODSTAMP] = Value::DateTime(tx.now);
            values[MODIFIED_DATE] = Value::DateTime(tx.now);
            values[MODIFIED_BY] = Value::Id(tx.actor.user);
            self.put(tx, object, number, Some(Row::pack(&values, false)));
        }
    }

    fn bin(&mut self, tx: &mut Transaction, object: usize, number: u64, deleted: bool, mark: Option<(usize, Value)>) {
        let definition = Arc::clone(&self.objects[object]);
        if let Some(row) = self.tables[object].get(number) {
            let mut values = row.unpack(definition.fields.len());
            values[IS_DELETED] = Value::Bool(deleted);
            values[MODIFIED_DATE] = Value::DateTime(tx.now);
            values[MODSTAMP] = Value::DateTime(tx.now);
            values[MODIFIED_BY] = Value::Id(tx.actor.user);
            if let Some((field, value)) = mark {
                values[field] = value;
            }
            self.put(tx, object, number, Some(Row::pack(&values, deleted)));
            self.roll_up(tx, object, &values);
        }
    }

    /// Live records that refer to `parent`, by object and field.
    fn children(&self, parent: RecordId) -> Vec<(usize, usize, Vec<u64>)> {
        let Some(name) = self.object_of(parent).map(|object| self.objects[object].name.clone()) else { return Vec::new() };
        let mut found = Vec::new();
        for (object, definition) in self.objects.iter().enumerate() {
            for (index, field) in definition.fields.iter().enumerate() {
                if let Kind::Reference(targets) = &field.kind
                    && targets.contains(&name)
                    && field.name != "MasterRecordId"
                {
                    let numbers = self.tables[object].children(index, parent);
                    if !numbers.is_empty() {
                        found.push((object, index, numbers));
                    }
                }
            }
        }
        found
    }

    /// Puts what a request gives into `values`.
    fn assign(&self, tx: &Transaction, object: usize, values: &mut [Value], fields: &Fields, creating: bool) -> Result<(), ApiError> {
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
                return Err(ApiError::field("INVALID_FIELD", format!("No such column '{name}' on sobject of type {}", definition.name), name).without_fields());
            };
            let field = &definition.fields[index];
            let allowed = if creating { field.create } else { field.update };
            if !allowed || (tx.actor.restricted && self.hidden(definition, index)) {
                readonly.push(field.name.clone());
                continue;
            }
            if field.name == "Amount" && definition.name == "Opportunity" && !creating && definition.field("HasOpportunityLineItem").is_some_and(|has| values[has] == Value::Bool(true)) {
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
        Err(ApiError { status: 400, code: "REQUIRED_FIELD_MISSING", message: format!("Required fields are missing: [{}]", missing.join(", ")), fields: missing })
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
                    [] => Err(ApiError::new(400, "INVALID_FIELD", format!("Foreign key external ID: {key} not found for field {name} in entity {target}"))),
                    _ => Err(ApiError::new(400, "DUPLICATE_EXTERNAL_ID", format!("{name}: more than one record found for external id field: {key}"))),
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

    fn default_values(&self, tx: &Transaction, object: usize, values: &mut [Value]) {
        for (index, field) in self.objects[object].fields.iter().enumerate() {
            if let (Some(default), Value::Null) = (&field.defaulted, &values[index]) {
                values[index] = match default.as_str() {
                    "me" => Value::Id(tx.actor.user),
                    "stage" => Value::Null,
                    text => super::convert::from_plain_text(&field.kind, text),
                };
            }
        }
    }

    /// Derived fields, flows and uniqueness, in that order; `before` is none for a new record.
    fn settle(&mut self, tx: &mut Transaction, object: usize, number: u64, before: Option<&[Value]>, values: &mut Vec<Value>, given: &Fields) -> Result<(), ApiError> {
        let definition = Arc::clone(&self.objects[object]);
        self.derive(tx, object, number, before, values, given);
        self.run_flows(&definition, before, values)?;
        self.derive(tx, object, number, before, values, given);
        self.check_unique(object, number, values, before)
    }

    fn check_unique(&self, object: usize, number: u64, values: &[Value], before: Option<&[Value]>) -> Result<(), ApiError> {
        for (index, field) in self.objects[object].fields.iter().enumerate() {
            if !field.unique || before.is_some_and(|before| before[index] == values[index]) {
                continue;
            }
            if let Some(text) = values[index].text()
                && let Some(other) = self.tables[object].find(index, text).into_iter().find(|other| *other != number)
            {
                return Err(ApiError::new(400, "DUPLICATE_VALUE", format!("duplicate value found: {} duplicates value on record with id: {}", field.name, self.id(object, other).as_15())));
            }
        }
        Ok(())
    }

    fn lock_row(&self, object: usize, id: RecordId) -> Result<(), ApiError> {
        let name = &self.objects[object].name;
        let locked = self.live.adjust(|live| {
            let hit = live.row_lock_next > 0 && (live.row_lock_objects.is_empty() || live.row_lock_objects.contains(name));
            if hit && live.row_lock_next != u32::MAX {
                live.row_lock_next -= 1;
            }
            hit
        });
        if locked {
            return Err(ApiError::new(400, "UNABLE_TO_LOCK_ROW", format!("unable to obtain exclusive access to this record or 1 records: {id}")));
        }
        Ok(())
    }

    fn atomically<R>(&mut self, tx: &mut Transaction, work: impl FnOnce(&mut Self, &mut Transaction) -> Result<R, ApiError>) -> Result<R, ApiError> {
        let (savepoint, written) = (tx.savepoint(), tx.records_written);
        let result = work(self, tx);
        if result.is_err() {
            self.rollback_to(tx, savepoint);
            tx.records_written = written;
        }
        result
    }
}

impl ApiError {
    fn without_fields(mut self) -> Self {
        self.fields.clear();
        self
    }
}

/// Whether `field` differs between two states of a record.
pub(crate) fn changed(field: usize, before: Option<&[Value]>, values: &[Value]) -> bool {
    before.map_or(!values[field].is_null(), |before| before[field] != values[field])
}
