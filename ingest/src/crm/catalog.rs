//! What is known of the followed objects: description, event schema, and the topic their changes go to.
//!
//! One stream can carry several versions of an object's schema; each is looked up once, by its id. A new version also
//! means that the object is described anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemas::stamp;
use schemas::topic::Topics;
use stream::Codec;

use super::error::{Error, Result};
use super::layout::{self, Carried, Layout};
use super::object::Object;
use super::pubsub::PubSub;
use super::rest::Rest;

/// One version of one object.
pub(crate) struct Known {
    pub(crate) layout: Layout,
    pub(crate) described: Object,
    /// Topic of its changes.
    pub(crate) topic: Arc<str>,
    /// Id of the change schema in the registry.
    pub(crate) registered: u32,
    /// The field that takes the ids of our writes.
    pub(crate) write_field: Option<String>,
}

impl Known {
    /// Whether an update is one of the deletes of ours. A record takes the id of its delete in the transaction in which it goes,
    /// and of several changes of a record in one transaction the stream has a single event, of the kind of the first. Should
    /// there be an event of the delete too, it says the same once more.
    pub(crate) fn is_gone(&self, carried: &Carried) -> bool {
        let place = self.write_field.as_deref().and_then(|field| self.layout.schema.column(field));
        let set = |place: &usize| carried.changed.as_ref().is_some_and(|changed| changed.contains(place));
        let text = place.filter(set).and_then(|place| carried.row.get(place)).and_then(schemas::Value::as_text);
        text.is_some_and(|text| stamp::borne(text).1)
    }
}

/// All versions seen.
pub(crate) struct Catalog {
    followed: BTreeSet<String>,
    write_fields: BTreeMap<String, String>,
    topics: Topics,
    codec: Codec,
    /// By event schema id; none for objects that are not followed.
    versions: BTreeMap<String, Option<Arc<Known>>>,
    current: BTreeMap<String, Arc<Known>>,
}

impl Catalog {
    pub(crate) fn new(followed: BTreeSet<String>, write_fields: BTreeMap<String, String>, topics: Topics, codec: Codec) -> Self {
        Self { followed, write_fields, topics, codec, versions: BTreeMap::new(), current: BTreeMap::new() }
    }

    pub(crate) fn followed(&self) -> &BTreeSet<String> {
        &self.followed
    }

    /// Forgets everything, so that it is looked up anew: permissions and fields may have changed.
    pub(crate) fn forget(&mut self) {
        self.versions.clear();
        self.current.clear();
    }

    /// The newest version of an object.
    pub(crate) async fn current(&mut self, object: &str, pubsub: &PubSub, rest: &Rest) -> Result<Arc<Known>> {
        if let Some(known) = self.current.get(object) {
            return Ok(known.clone());
        }
        let info = pubsub.topic(&format!("/data/{}", layout::event_of(object))).await?;
        if !info.can_subscribe {
            return Err(Error::Describe { object: object.to_owned(), reason: "the user may not subscribe to them".to_owned() });
        }
        let known = self.version(&info.schema_id, pubsub, rest).await?;
        known
            .ok_or_else(|| Error::Describe { object: object.to_owned(), reason: format!("schema {} is of another object", info.schema_id) })
    }

    /// The version with an event schema id; none when its object is not followed.
    pub(crate) async fn version(&mut self, id: &str, pubsub: &PubSub, rest: &Rest) -> Result<Option<Arc<Known>>> {
        if let Some(known) = self.versions.get(id) {
            return Ok(known.clone());
        }
        let schema = pubsub.schema(id).await?;
        let Some(object) = layout::object_of_schema(&schema).filter(|object| self.followed.contains(object)) else {
            self.versions.insert(id.to_owned(), None);
            return Ok(None);
        };
        let described = rest.describe(&object).await?;
        let layout = Layout::new(&schema, &described).map_err(|reason| Error::Describe { object: object.clone(), reason })?;
        let topic: Arc<str> = self.topics.cdc_crm(&object).into();
        let registered = self.codec.schema_id(&topic, &layout.schema.schema_text().into()).await?;
        tracing::info!(crm.object = %object, crm.schema = %id, columns = layout.schema.columns.len(), "change event schema is known");
        let write_field = self.write_fields.get(&object).cloned();
        let known = Arc::new(Known { layout, described, topic, registered, write_field });
        self.versions.insert(id.to_owned(), Some(known.clone()));
        self.current.insert(object, known.clone());
        Ok(Some(known))
    }
}
