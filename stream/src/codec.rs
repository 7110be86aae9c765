//! Framed Avro in and out, with schema ids from the registry remembered.
//!
//! A message is written with its own schema, registered once under `<topic>-value`. Reading takes the fast path when
//! the bytes were written with exactly the schema this build knows; otherwise the writer's schema is fetched and the
//! value is resolved to ours, as Avro's schema evolution says.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use apache_avro::Schema;
use schemas::cdc::{self, Change, ChangeSchema, Column, Row};
use schemas::frame;
use schemas::message::Message;

use crate::error::Error;
use crate::log::{Record, Result};
use crate::registry::Registry;

/// Encodes and decodes what stands on the log. Cheap to clone; clones share what they remember.
#[derive(Clone)]
pub struct Codec {
    registry: Arc<dyn Registry>,
    known: Arc<RwLock<Known>>,
}

#[derive(Default)]
struct Known {
    /// Id under which a subject's schema text is registered.
    ids: BTreeMap<(String, Arc<str>), u32>,
    /// Columns of the latest schema of bare rows by topic and name, and its id.
    row_ids: BTreeMap<(String, String), (Vec<Column>, u32)>,
    /// Schema text of an id.
    texts: BTreeMap<u32, Arc<str>>,
    /// Our own message schema texts, by message name.
    ours: BTreeMap<&'static str, Arc<str>>,
    /// Columns of bare rows, by schema id.
    rows: BTreeMap<u32, Arc<[Column]>>,
    /// Change schemas, by id.
    changes: BTreeMap<u32, Arc<ChangeSchema>>,
    /// How to read what was written under an id as one of our messages.
    ways: BTreeMap<(u32, &'static str), Way>,
}

/// How to read a payload.
#[derive(Clone)]
enum Way {
    /// As it stands: the bytes of both schemas mean the same, though a registry may spell its text in another way.
    Plain,
    /// Resolved from the writer's schema to ours.
    Resolved(Arc<(Schema, Schema)>),
}

impl Codec {
    /// A codec on a registry.
    pub fn new(registry: Arc<dyn Registry>) -> Self {
        Self { registry, known: Arc::default() }
    }

    /// The registry behind it.
    pub fn registry(&self) -> &Arc<dyn Registry> {
        &self.registry
    }

    fn our_text<M: Message>(&self) -> Arc<str> {
        if let Some(text) = self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner).ours.get(M::NAME) {
            return text.clone();
        }
        let text: Arc<str> = M::schema_text().into();
        self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner).ours.insert(M::NAME, text.clone());
        text
    }

    /// The id of a schema for the values of a topic, registering it the first time.
    ///
    /// # Errors
    /// What the registry says.
    pub async fn schema_id(&self, topic: &str, text: &Arc<str>) -> Result<u32> {
        let subject = format!("{topic}-value");
        let key = (subject, text.clone());
        if let Some(id) = self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner).ids.get(&key) {
            return Ok(*id);
        }
        let id = self.registry.register(&key.0, text).await?;
        let mut known = self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.texts.insert(id, text.clone());
        known.ids.insert(key, id);
        Ok(id)
    }

    /// The id of our own schema of a message for the values of a topic, registering it the first time.
    ///
    /// # Errors
    /// What the registry says.
    pub async fn message_id<M: Message>(&self, topic: &str) -> Result<u32> {
        self.schema_id(topic, &self.our_text::<M>()).await
    }

    /// The id of the schema of bare rows for the values of a topic, registering it the first time.
    ///
    /// # Errors
    /// What the registry says.
    pub async fn rows_id(&self, topic: &str, (namespace, name): (&str, &str), columns: &[Column]) -> Result<u32> {
        let key = (topic.to_owned(), format!("{namespace}.{name}"));
        if let Some((same, id)) = self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner).row_ids.get(&key)
            && same == columns
        {
            return Ok(*id);
        }
        let mut schema = cdc::row_schema(columns);
        schema["name"] = name.into();
        schema["namespace"] = namespace.into();
        let id = self.schema_id(topic, &schema.to_string().into()).await?;
        self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner).row_ids.insert(key, (columns.to_vec(), id));
        Ok(id)
    }

    async fn text(&self, id: u32) -> Result<Arc<str>> {
        if let Some(text) = self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner).texts.get(&id) {
            return Ok(text.clone());
        }
        let text = self.registry.schema(id).await?;
        self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner).texts.insert(id, text.clone());
        Ok(text)
    }

    /// A framed message for a topic.
    ///
    /// # Errors
    /// What the registry says.
    pub async fn encode<M: Message>(&self, topic: &str, message: &M) -> Result<Vec<u8>> {
        let id = self.schema_id(topic, &self.our_text::<M>()).await?;
        Ok(frame::frame(id, &message.to_bytes()))
    }

    /// Reads a framed message of any compatible version.
    ///
    /// # Errors
    /// [`Error::Decode`] when the bytes are not such a message; what the registry says otherwise.
    pub async fn decode<M: Message>(&self, topic: &str, bytes: &[u8]) -> Result<M> {
        let fail = |reason: String| Error::Decode { topic: topic.to_owned(), reason };
        let (id, payload) = frame::unframe(bytes).map_err(|error| fail(error.to_string()))?;
        match self.way::<M>(id, &fail).await? {
            Way::Plain => M::from_bytes(payload).map_err(|error| fail(error.to_string())),
            Way::Resolved(schemas) => {
                let translated = translate(&schemas.0, &schemas.1, payload).map_err(|error| fail(error.to_string()))?;
                M::from_bytes(&translated).map_err(|error| fail(error.to_string()))
            }
        }
    }

    /// Compares and parses schemas once for each id and message.
    async fn way<M: Message>(&self, id: u32, fail: &(impl Fn(String) -> Error + Sync)) -> Result<Way> {
        if let Some(way) = self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner).ways.get(&(id, M::NAME)) {
            return Ok(way.clone());
        }
        let (ours, written) = (self.our_text::<M>(), self.text(id).await?);
        let way = if *written == *ours {
            Way::Plain
        } else {
            let parse = |text: &str| Schema::parse_str(text).map_err(|error| fail(error.to_string()));
            let (writer, reader) = (parse(&written)?, parse(&ours)?);
            // The canonical form keeps exactly what decides how bytes are laid out.
            if writer.canonical_form() == reader.canonical_form() { Way::Plain } else { Way::Resolved(Arc::new((writer, reader))) }
        };
        self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner).ways.insert((id, M::NAME), way.clone());
        Ok(way)
    }

    /// A framed change for its topic.
    ///
    /// # Errors
    /// [`Error::Decode`] when the row does not fit the schema; what the registry says otherwise.
    pub async fn encode_change(&self, topic: &str, schema: &ChangeSchema, change: &Change) -> Result<Vec<u8>> {
        let text: Arc<str> = schema.schema_text().into();
        let id = self.schema_id(topic, &text).await?;
        encode_change_as(id, topic, schema, change)
    }

    /// Reads a framed change, with the schema it was written with.
    ///
    /// # Errors
    /// [`Error::Decode`] when the bytes are not a change; what the registry says otherwise.
    pub async fn decode_change(&self, topic: &str, bytes: &[u8]) -> Result<(Arc<ChangeSchema>, Change)> {
        let fail = |reason: String| Error::Decode { topic: topic.to_owned(), reason };
        let (id, payload) = frame::unframe(bytes).map_err(|error| fail(error.to_string()))?;
        let known = self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner).changes.get(&id).cloned();
        let schema = match known {
            Some(schema) => schema,
            None => {
                let text = self.text(id).await?;
                let schema = Arc::new(ChangeSchema::parse(&text).map_err(|error| fail(error.to_string()))?);
                self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner).changes.insert(id, schema.clone());
                schema
            }
        };
        let change = schema.decode(payload).map_err(|error| fail(error.to_string()))?;
        Ok((schema, change))
    }

    /// Reads a framed row (a merged record, say), with the columns it was written with.
    ///
    /// # Errors
    /// [`Error::Decode`] when the bytes are not a row; what the registry says otherwise.
    pub async fn decode_row(&self, topic: &str, bytes: &[u8]) -> Result<(Arc<[Column]>, Row)> {
        let fail = |reason: String| Error::Decode { topic: topic.to_owned(), reason };
        let (id, mut payload) = frame::unframe(bytes).map_err(|error| fail(error.to_string()))?;
        let known = self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner).rows.get(&id).cloned();
        let columns = match known {
            Some(columns) => columns,
            None => {
                let columns: Arc<[Column]> = cdc::parse_row_schema(&self.text(id).await?).map_err(|error| fail(error.to_string()))?.into();
                self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner).rows.insert(id, columns.clone());
                columns
            }
        };
        let row = cdc::take_row(&columns, &mut payload).map_err(|error| fail(error.to_string()))?;
        Ok((columns, row))
    }

    /// Reads the message in a record's value; none when the record has no value.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub async fn message<M: Message>(&self, record: &Record) -> Result<Option<M>> {
        match &record.value {
            None => Ok(None),
            Some(bytes) => self.decode(&record.partition.topic, bytes).await.map(Some),
        }
    }
}

/// A framed change under an id that [`Codec::schema_id`] gave; saves making the schema text for every row.
///
/// # Errors
/// [`Error::Decode`] when the row does not fit the schema.
pub fn encode_change_as(id: u32, topic: &str, schema: &ChangeSchema, change: &Change) -> Result<Vec<u8>> {
    let payload = schema.encode(change).map_err(|error| Error::Decode { topic: topic.to_owned(), reason: error.to_string() })?;
    Ok(frame::frame(id, &payload))
}

/// Resolves a payload from its writer's schema to ours.
fn translate(writer: &Schema, reader: &Schema, payload: &[u8]) -> std::result::Result<Vec<u8>, apache_avro::Error> {
    use apache_avro::{reader::datum::GenericDatumReader, writer::datum::GenericDatumWriter};
    let value = GenericDatumReader::builder(writer).reader_schema(reader).build()?.read_value(&mut &payload[..])?;
    GenericDatumWriter::builder(reader).build()?.write_value_to_vec(value)
}
