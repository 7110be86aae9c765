//! Event schemas by id. A schema's id is made from its text, so it changes exactly when the schema does.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::avro;
use crate::org::schema::Object;

/// All schemas ever current, and which is current for each event.
#[derive(Default)]
pub(crate) struct Catalog {
    state: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    by_id: BTreeMap<String, String>,
    current: BTreeMap<String, String>,
}

/// The platform event that clients can publish: its topic is `/event/Concord_Note__e`.
pub(crate) const PLATFORM_EVENT: &str = "Concord_Note__e";

impl Catalog {
    pub(crate) fn new() -> Self {
        let catalog = Self::default();
        catalog.register(
            PLATFORM_EVENT,
            serde_json::json!({"name": PLATFORM_EVENT, "namespace": "com.sforce.eventbus", "type": "record", "fields": [
                {"name": "CreatedDate", "type": "long", "doc": "CreatedDate:DateTime"},
                {"name": "CreatedById", "type": "string", "doc": "CreatedBy:EntityId"},
                {"name": "Message__c", "type": ["null", "string"], "doc": "Data:Text:00NQy0000000001", "default": null},
            ]})
            .to_string(),
        );
        catalog
    }

    /// Registers the current schema of an object's change event.
    pub(crate) fn define(&self, definition: &Object) {
        self.register(&definition.event_name(), avro::schema(definition));
    }

    pub(crate) fn current(&self, event: &str) -> String {
        self.lock().current.get(event).cloned().unwrap_or_default()
    }

    pub(crate) fn schema(&self, id: &str) -> Option<String> {
        self.lock().by_id.get(id).cloned()
    }

    fn register(&self, event: &str, schema: String) {
        let id = URL_SAFE_NO_PAD.encode(&Sha256::digest(schema.as_bytes())[..16]);
        let mut entries = self.lock();
        entries.by_id.insert(id.clone(), schema);
        entries.current.insert(event.to_owned(), id);
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
