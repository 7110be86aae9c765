//! Create, update, upsert, delete, undelete and merge of one record within a transaction.
//!
//! Each either happens as a whole or leaves nothing behind: a failure rolls back to where it began.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::State;
use super::id::RecordId;
use super::schema::{IS_DELETED, Kind, MODIFIED_BY, MODIFIED_DATE, MODSTAMP};
use super::transaction::Transaction;
use super::value::{Row, Value};
use crate::error::ApiError;

/// Fields by API name, as a request body has them.
pub(crate) type Fields = Map<String, Json>;

impl State {
    /// Creates a record.
    pub(crate) fn insert(&mut self, tx: &mut Transaction, object: usize, fields: &Fields) -> Result<RecordId, ApiError> {
        self.atomically(tx, |state, tx| {
            let definition = Arc::clone(&state.objects[object]);
            if !definition.writable {
                return Err(ApiError::new(
                    400,
                    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
                    format!("entity type {} does not support create", definition.name),
                ));
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
            state.lock_row(tx, object, id)?;
            state.put(tx, object, number, Some(Row::pack(&values, false)));
            state.roll_up(tx, object, &values);
            tx.records_written += 1;
            Ok(id)
        })
    }

    /// Changes fields of a live record.
    pub(crate) fn update(&mut self, tx: &mut Transaction, id: RecordId, fields: &Fields) -> Result<(), ApiError> {
        self.atomically(tx, |state, tx| {
            let (object, number, row) =
                state.row(id).ok_or_else(|| ApiError::new(404, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"))?;
            if row.deleted {
                return Err(ApiError::new(404, "ENTITY_IS_DELETED", "entity is deleted"));
            }
            let definition = Arc::clone(&state.objects[object]);
            let before = row.unpack(definition.fields.len());
            let mut values = before.clone();
            state.assign(tx, object, &mut values, fields, false)?;
            state.lock_row(tx, object, id)?;
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
        field.ok_or_else(|| {
            ApiError::new(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible: ".to_owned() + name)
        })
    }

    /// Creates or changes the one record that `key` names; whether it was created.
    pub(crate) fn upsert(
        &mut self,
        tx: &mut Transaction,
        object: usize,
        field: usize,
        key: &str,
        fields: &Fields,
        update_only: bool,
    ) -> Result<(RecordId, bool), ApiError> {
        let name = self.objects[object].fields[field].name.clone();
        if field == super::schema::ID {
            return match RecordId::parse(key) {
                Some(id) => self.update(tx, id, fields).map(|()| (id, false)),
                None if key.is_empty() => self.insert(tx, object, fields).map(|id| (id, true)),
                None => Err(ApiError::field(
                    "MALFORMED_ID",
                    format!("{} ID: id value of incorrect type: {key}", self.objects[object].label),
                    "Id",
                )),
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
            _ => Err(ApiError::field(
                "DUPLICATE_EXTERNAL_ID",
                format!(
                    "{name}: more than one record found for external id field: [{}]",
                    found.iter().map(|n| self.id(object, *n).to_string()).collect::<Vec<_>>().join(", ")
                ),
                &name,
            )),
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
            state.lock_row(tx, object, id)?;
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
                let cascading: Vec<usize> =
                    definition.fields.iter().enumerate().filter(|(_, field)| field.cascade).map(|(index, _)| index).collect();
                if cascading.is_empty() {
                    continue;
                }
                let with_it: Vec<u64> = state.tables[child]
                    .iter()
                    .filter(|(_, row)| {
                        row.deleted && row.get(MODSTAMP) == deleted_at && cascading.iter().any(|field| row.get(*field).id() == Some(id))
                    })
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
            let marker = state.objects[object]
                .field("MasterRecordId")
                .ok_or_else(|| ApiError::new(400, "INVALID_OPERATION", "this object cannot be merged"))?;
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
    fn settle(
        &mut self,
        tx: &mut Transaction,
        object: usize,
        number: u64,
        before: Option<&[Value]>,
        values: &mut [Value],
        given: &Fields,
    ) -> Result<(), ApiError> {
        let definition = Arc::clone(&self.objects[object]);
        self.derive(tx, object, number, before, values, given);
        self.run_flows(&definition, before, values)?;
        self.derive(tx, object, number, before, values, given);
        self.check_unique(object, number, values, before)
    }

    fn lock_row(&self, tx: &Transaction, object: usize, id: RecordId) -> Result<(), ApiError> {
        if !tx.actor.restricted {
            return Ok(());
        }
        let name = &self.objects[object].name;
        let locked = self.live.adjust(|live| {
            let hit = live.row_lock_next > 0 && (live.row_lock_objects.is_empty() || live.row_lock_objects.contains(name));
            if hit && live.row_lock_next != u32::MAX {
                live.row_lock_next -= 1;
            }
            hit
        });
        if locked {
            return Err(ApiError::new(
                400,
                "UNABLE_TO_LOCK_ROW",
                format!("unable to obtain exclusive access to this record or 1 records: {id}"),
            ));
        }
        Ok(())
    }

    fn atomically<R>(
        &mut self,
        tx: &mut Transaction,
        work: impl FnOnce(&mut Self, &mut Transaction) -> Result<R, ApiError>,
    ) -> Result<R, ApiError> {
        let (savepoint, written) = (tx.savepoint(), tx.records_written);
        let result = work(self, tx);
        if result.is_err() {
            self.rollback_to(tx, savepoint);
            tx.records_written = written;
        }
        result
    }
}

/// Whether `field` differs between two states of a record.
pub(crate) fn changed(field: usize, before: Option<&[Value]>, values: &[Value]) -> bool {
    before.map_or(!values[field].is_null(), |before| before[field] != values[field])
}
