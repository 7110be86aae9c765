//! The embedding side of an org: direct reads and writes, with no network in between.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde_json::{Map, Value as Json};

use super::dml::Fields;
use super::id::RecordId;
use super::value::{Row, Value};
use super::{Actor, State};
use crate::error::{ApiError, SimulatorError};
use crate::events::{self, ChangeType};
use crate::soql;

/// A handle on the org. Cheap to clone; every method takes effect at once.
#[derive(Clone)]
pub struct Org {
    state: Arc<RwLock<State>>,
}

/// One record as the org keeps it, read in place.
pub struct RecordRef<'a> {
    state: &'a State,
    object: usize,
    number: u64,
    row: &'a Row,
}

impl RecordRef<'_> {
    /// The record's id.
    #[must_use]
    pub fn id(&self) -> RecordId {
        self.state.id(self.object, self.number)
    }

    /// Whether it is in the recycle bin.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.row.deleted
    }

    /// A field's value as REST JSON; null for a field that does not exist.
    #[must_use]
    pub fn get(&self, field: &str) -> Json {
        let definition = &self.state.objects[self.object];
        definition.field(field).map_or(Json::Null, |field| super::json::field_json(definition, self.number, self.row, field))
    }

    /// A text field's value.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<String> {
        match self.get(field) {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    /// The whole record as REST JSON, with `attributes`.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Json> {
        self.state.record_json(self.object, self.number, self.row, "66.0", false)
    }
}

impl Org {
    pub(crate) fn new(state: State) -> Self {
        Self { state: Arc::new(RwLock::new(state)) }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The org's own id.
    #[must_use]
    pub fn org_id(&self) -> RecordId {
        self.read().org_id
    }

    /// The integration user, as whom API clients act.
    #[must_use]
    pub fn integration_user(&self) -> RecordId {
        self.read().users.integration
    }

    /// A person with a Lightning session: the user of the page.
    #[must_use]
    pub fn admin_user(&self) -> RecordId {
        self.read().users.admin
    }

    /// Creates a record in a transaction of its own.
    ///
    /// # Errors
    /// As the REST API would answer; `fields` must be a JSON object.
    pub fn create(&self, actor: &Actor, object: &str, fields: &Json) -> Result<RecordId, ApiError> {
        self.transaction(actor, |tx| tx.create(object, fields))
    }

    /// Changes a record in a transaction of its own.
    ///
    /// # Errors
    /// As the REST API would answer.
    pub fn update(&self, actor: &Actor, id: RecordId, fields: &Json) -> Result<(), ApiError> {
        self.transaction(actor, |tx| tx.update(id, fields))
    }

    /// Deletes a record and what hangs on it.
    ///
    /// # Errors
    /// As the REST API would answer.
    pub fn delete(&self, actor: &Actor, id: RecordId) -> Result<(), ApiError> {
        self.transaction(actor, |tx| tx.delete(id))
    }

    /// Brings a record back from the recycle bin.
    ///
    /// # Errors
    /// When it is not there.
    pub fn undelete(&self, actor: &Actor, id: RecordId) -> Result<(), ApiError> {
        self.transaction(actor, |tx| tx.undelete(id))
    }

    /// Merges `losers` into `master`, which gets `fields`.
    ///
    /// # Errors
    /// When one of them is not a live record of a kind that merges.
    pub fn merge(&self, actor: &Actor, master: RecordId, losers: &[RecordId], fields: &Json) -> Result<(), ApiError> {
        self.transaction(actor, |tx| tx.merge(master, losers, fields))
    }

    /// Several changes in one transaction: one transaction key, all or nothing.
    ///
    /// # Errors
    /// What `work` returns; then nothing was changed.
    pub fn transaction<R>(&self, actor: &Actor, work: impl FnOnce(&mut OrgTransaction<'_>) -> Result<R, ApiError>) -> Result<R, ApiError> {
        let mut state = self.write();
        let mut tx = state.begin(actor);
        let result = work(&mut OrgTransaction { state: &mut state, tx: &mut tx });
        if result.is_err() {
            state.rollback_to(&mut tx, 0);
        }
        state.commit(tx);
        result
    }

    /// Creates many records fast, without events; checks as for a create. For what an org held before
    /// anybody listened.
    ///
    /// # Errors
    /// At the first record that is refused; those before it stay.
    pub fn load(&self, object: &str, records: impl IntoIterator<Item = Json>) -> Result<Vec<RecordId>, ApiError> {
        let mut state = self.write();
        let object = state.object(object)?;
        let actor = Actor { user: state.users.admin, origin: String::new(), restricted: false };
        let mut ids = Vec::new();
        for record in records {
            let fields = into_fields(record)?;
            let mut tx = state.begin(&actor);
            let id = state.insert(&mut tx, object, &fields)?;
            ids.push(id);
            drop(tx);
        }
        Ok(ids)
    }

    /// Reads one record where it lies; `None` when there is none, deleted ones are shown.
    pub fn with_record<R>(&self, id: RecordId, read: impl FnOnce(&RecordRef<'_>) -> R) -> Option<R> {
        let state = self.read();
        let (object, number, row) = state.row(id)?;
        Some(read(&RecordRef { state: &state, object, number, row }))
    }

    /// One record as REST JSON, deleted ones too.
    #[must_use]
    pub fn record(&self, id: RecordId) -> Option<Map<String, Json>> {
        self.with_record(id, |record| record.to_json())
    }

    /// Live records with this value in an indexed field (external ids, Email) or a scanned one.
    #[must_use]
    pub fn find(&self, object: &str, field: &str, value: &str) -> Vec<RecordId> {
        let state = self.read();
        let Some(object) = state.index_of(object) else { return Vec::new() };
        let Some(field) = state.objects[object].field(field) else { return Vec::new() };
        state.lookup(object, field, value).into_iter().map(|number| state.id(object, number)).collect()
    }

    /// Visits every record of an object, oldest first, deleted ones too. Writers wait meanwhile.
    pub fn scan(&self, object: &str, mut visit: impl FnMut(&RecordRef<'_>)) {
        let state = self.read();
        if let Some(object) = state.index_of(object) {
            for (number, row) in state.tables[object].iter() {
                visit(&RecordRef { state: &state, object, number, row });
            }
        }
    }

    /// How many live records an object has.
    #[must_use]
    pub fn count(&self, object: &str) -> usize {
        let state = self.read();
        state.index_of(object).map_or(0, |object| state.tables[object].live)
    }

    /// The rows of a SOQL query, all of them.
    ///
    /// # Errors
    /// As the REST API would answer.
    pub fn query(&self, soql: &str) -> Result<Vec<Json>, ApiError> {
        let state = self.read();
        let today = i32::try_from(state.now().div_euclid(86_400_000)).unwrap_or(0);
        let query = soql::parse::parse(soql, today)?;
        let plan = soql::plan::plan(&state, &query, false)?;
        Ok(soql::run::matching(&state, &plan, false).into_iter().map(|number| soql::run::row_json(&state, &plan, number, "66.0")).collect())
    }

    /// Adds a custom field, such as `Region__c text 40`; the object's event schema gets a new id.
    ///
    /// # Errors
    /// When the line is not a field definition or the object is unknown.
    pub fn add_field(&self, object: &str, definition: &str) -> Result<(), SimulatorError> {
        let mut state = self.write();
        let object = state.index_of(object).ok_or_else(|| SimulatorError::Definition { reason: format!("no object {object}") })?;
        state.add_field(object, definition)
    }

    /// Sends a GAP or overflow event for records nobody changed.
    ///
    /// # Errors
    /// When the object is unknown.
    pub fn emit_gap(&self, object: &str, change: ChangeType, ids: &[RecordId]) -> Result<(), ApiError> {
        let mut state = self.write();
        let object = state.object(object)?;
        events::publish_gap(&mut state, object, change, ids.to_vec());
        Ok(())
    }

    /// Sends the last `count` stored events again: same event id, new replay id.
    pub fn repeat_events(&self, count: usize) {
        let state = self.read();
        state.bus.repeat(count, state.clock.now_ms());
    }

    /// Forgets all stored events, as when they are older than the retention window.
    pub fn purge_events(&self) {
        self.read().bus.purge();
    }

    /// How many events are stored.
    #[must_use]
    pub fn stored_events(&self) -> usize {
        self.read().bus.len()
    }

    /// The replay id of the newest event, as clients see it.
    #[must_use]
    pub fn latest_replay_id(&self) -> Vec<u8> {
        events::bus::replay_bytes(self.read().bus.tip()).to_vec()
    }
}

/// Changes within one transaction.
pub struct OrgTransaction<'a> {
    state: &'a mut State,
    tx: &'a mut super::transaction::Transaction,
}

impl OrgTransaction<'_> {
    /// Creates a record.
    ///
    /// # Errors
    /// As the REST API would answer.
    pub fn create(&mut self, object: &str, fields: &Json) -> Result<RecordId, ApiError> {
        let object = self.state.object(object)?;
        self.state.insert(self.tx, object, &into_fields(fields.clone())?)
    }

    /// Changes a record.
    ///
    /// # Errors
    /// As the REST API would answer.
    pub fn update(&mut self, id: RecordId, fields: &Json) -> Result<(), ApiError> {
        self.state.update(self.tx, id, &into_fields(fields.clone())?)
    }

    /// Deletes a record and what hangs on it.
    ///
    /// # Errors
    /// As the REST API would answer.
    pub fn delete(&mut self, id: RecordId) -> Result<(), ApiError> {
        self.state.delete(self.tx, id)
    }

    /// Brings a record back from the recycle bin.
    ///
    /// # Errors
    /// When it is not there.
    pub fn undelete(&mut self, id: RecordId) -> Result<(), ApiError> {
        self.state.undelete(self.tx, id)
    }

    /// Merges `losers` into `master`, which gets `fields`.
    ///
    /// # Errors
    /// When one of them is not a live record of a kind that merges.
    pub fn merge(&mut self, master: RecordId, losers: &[RecordId], fields: &Json) -> Result<(), ApiError> {
        self.state.merge(self.tx, master, losers, &into_fields(fields.clone())?)
    }
}

fn into_fields(json: Json) -> Result<Fields, ApiError> {
    match json {
        Json::Object(fields) => Ok(fields),
        _ => Err(ApiError::json("a record must be a JSON object")),
    }
}

/// A value of the org's own as text; for the page.
pub(crate) fn shown(value: &Value) -> String {
    match super::json::to_json(value) {
        Json::Null => String::new(),
        Json::String(text) => text,
        other => other.to_string(),
    }
}
