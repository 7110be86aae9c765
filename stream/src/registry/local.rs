//! A registry without a registry: schemas in a compacted topic of the log.
//!
//! Several processes may share one topic. Who assigns an id first opens the one transactional producer of the topic,
//! which fences every other, then reads to the end, decides, and commits; whoever was overtaken reads again and decides
//! anew. So two processes never give one id to two schemas.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use apache_avro::Schema;
use async_trait::async_trait;
use schemas::topic::{Cleanup, TopicConfig, Topics};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Registry;
use super::compatibility::{Level, objections};
use super::refusal::Refusal;
use super::subjects::{Registered, Row, Subjects, Wanted, level_row};
use crate::error::Error;
use crate::log::{Log, NewRecord, Producer, Reader, Result, Start, TopicPartition};

/// How long reading to the end of the topic may take.
const READ_WITHIN: Duration = Duration::from_secs(30);
/// How often to decide anew when others keep overtaking.
const TRIES: u32 = 20;

/// A registry in the log. Clones are the same registry.
#[derive(Clone)]
pub struct LocalRegistry {
    inner: Arc<Inner>,
}

struct Inner {
    log: Arc<dyn Log>,
    topic: String,
    subjects: RwLock<Subjects>,
    desk: Mutex<Desk>,
}

/// One at a time reads and writes.
struct Desk {
    reader: Box<dyn Reader>,
    producer: Option<Box<dyn Producer>>,
}

/// What a change decides on: nothing to do, or records to write, and the answer.
type Decision<T> = std::result::Result<(Vec<Row>, T), Refusal>;

impl LocalRegistry {
    /// Opens the registry, creating its topic when it is missing, and reads everything registered so far.
    ///
    /// # Errors
    /// What the log says.
    pub async fn open(log: Arc<dyn Log>, topics: &Topics) -> Result<Self> {
        let topic = topics.schemas();
        let config = topics.config(&topic).unwrap_or_else(|| TopicConfig { name: topic.clone(), partitions: 1, cleanup: Cleanup::Compact });
        log.create_topics(&[config]).await?;
        let reader = log.reader(vec![(TopicPartition::new(topic.as_str(), 0), Start::Earliest)]).await?;
        let inner = Inner { log, topic, subjects: RwLock::default(), desk: Mutex::new(Desk { reader, producer: None }) };
        let registry = Self { inner: Arc::new(inner) };
        registry.inner.read_on(&mut *registry.inner.desk.lock().await).await?;
        Ok(registry)
    }

    /// All subjects; also those whose versions are all deleted when asked for.
    ///
    /// # Errors
    /// What the log says.
    pub async fn subjects(&self, deleted: bool) -> Result<Vec<String>, Refusal> {
        self.look(|subjects| Ok(subjects.names(deleted))).await
    }

    /// Versions of a subject, oldest first.
    ///
    /// # Errors
    /// [`Refusal::UnknownSubject`]; what the log says.
    pub async fn versions(&self, subject: &str, deleted: bool) -> Result<Vec<Registered>, Refusal> {
        self.look(|subjects| subjects.versions(subject, deleted)).await
    }

    pub(super) async fn version(&self, subject: &str, wanted: Wanted) -> Result<Registered, Refusal> {
        self.look(|subjects| subjects.version(subject, wanted)).await
    }

    /// The text of an id, and where it is used.
    ///
    /// # Errors
    /// [`Refusal::UnknownSchema`]; what the log says.
    pub async fn by_id(&self, id: u32) -> Result<(Arc<str>, Vec<Registered>), Refusal> {
        let known = |subjects: &Subjects| subjects.text(id).map(|text| (text, subjects.uses(id)));
        if let Some(found) = known(&self.inner.subjects.read().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(found);
        }
        self.look(|subjects| known(subjects).ok_or_else(|| Refusal::UnknownSchema(id.to_string()))).await
    }

    /// The version of a subject that has this very schema.
    ///
    /// # Errors
    /// [`Refusal::UnknownSubject`], [`Refusal::UnknownSchema`]; what the log says.
    pub async fn find(&self, subject: &str, schema: &str) -> Result<Registered, Refusal> {
        parse(schema)?;
        self.look(|subjects| {
            subjects.versions(subject, false)?;
            subjects.find(subject, schema).ok_or_else(|| Refusal::UnknownSchema(String::new()))
        })
        .await
    }

    /// Registers a schema unless it is there already; returns its id.
    ///
    /// # Errors
    /// [`Refusal::InvalidSchema`], [`Refusal::Incompatible`]; what the log says.
    pub async fn add(&self, subject: &str, schema: &str) -> Result<u32, Refusal> {
        let new = parse(schema)?;
        if let Some(found) = self.inner.subjects.read().unwrap_or_else(PoisonError::into_inner).find(subject, schema) {
            return Ok(found.id);
        }
        self.change(|subjects| {
            if let Some(found) = subjects.find(subject, schema) {
                return Ok((Vec::new(), found.id));
            }
            let details = against(subjects, subject, &new, None)?;
            if !details.is_empty() {
                return Err(Refusal::Incompatible { subject: subject.to_owned(), details });
            }
            let (id, row) = subjects.next(subject, schema)?;
            Ok((vec![row], id))
        })
        .await
    }

    /// Why a schema could not follow a version of a subject, or all that its level looks at; empty when it could.
    pub(super) async fn objections(&self, subject: &str, schema: &str, wanted: Option<Wanted>) -> Result<Vec<String>, Refusal> {
        let new = parse(schema)?;
        self.look(|subjects| against(subjects, subject, &new, wanted)).await
    }

    /// Deletes all versions of a subject, or one; what was written with them can still be read.
    pub(super) async fn delete(&self, subject: &str, wanted: Option<Wanted>) -> Result<Vec<u32>, Refusal> {
        self.change(|subjects| {
            let gone = match wanted {
                None => subjects.versions(subject, false)?,
                Some(wanted) => vec![subjects.version(subject, wanted)?],
            };
            let rows = gone.iter().map(|found| subjects.deletion(found)).collect::<std::result::Result<_, _>>()?;
            Ok((rows, gone.iter().map(|found| found.version).collect()))
        })
        .await
    }

    /// The level that holds for all (no subject), or that a subject has of its own.
    ///
    /// # Errors
    /// [`Refusal::NoLevel`]; what the log says.
    pub async fn level(&self, subject: Option<&str>) -> Result<Level, Refusal> {
        self.look(|subjects| match (subjects.level(subject), subject) {
            (Some(level), _) => Ok(level),
            (None, None) => Ok(Level::default()),
            (None, Some(subject)) => Err(Refusal::NoLevel(subject.to_owned())),
        })
        .await
    }

    /// Sets or removes the level for all (no subject) or for a subject.
    ///
    /// # Errors
    /// What the log says.
    pub async fn set_level(&self, subject: Option<&str>, level: Option<Level>) -> Result<(), Refusal> {
        self.change(|_| Ok((vec![level_row(subject, level)?], ()))).await
    }

    /// Reads on, then looks.
    async fn look<T>(&self, look: impl FnOnce(&Subjects) -> Result<T, Refusal>) -> Result<T, Refusal> {
        self.inner.read_on(&mut *self.inner.desk.lock().await).await?;
        look(&self.inner.subjects.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads to the end as the only writer, decides and writes; again when somebody else became the writer meanwhile.
    async fn change<T>(&self, decide: impl Fn(&Subjects) -> Decision<T>) -> Result<T, Refusal> {
        let inner = &*self.inner;
        let mut desk = inner.desk.lock().await;
        let mut tries = 0;
        loop {
            tries += 1;
            let mut producer = match desk.producer.take() {
                Some(producer) => producer,
                None => inner.log.producer(&format!("{}-writer", inner.topic)).await?,
            };
            inner.read_on(&mut desk).await?;
            let decided = decide(&inner.subjects.read().unwrap_or_else(PoisonError::into_inner));
            let (rows, answer) = decided?;
            if rows.is_empty() {
                desk.producer = Some(producer);
                return Ok(answer);
            }
            match inner.write(&mut producer, rows).await {
                Ok(()) => {
                    desk.producer = Some(producer);
                    inner.read_on(&mut desk).await?;
                    return Ok(answer);
                }
                // With a new producer, and after reading what the other one wrote.
                Err(Error::Fenced(_)) if tries < TRIES => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Inner {
    async fn write(&self, producer: &mut Box<dyn Producer>, rows: Vec<Row>) -> Result<()> {
        let record = |(key, value): Row| match value {
            Some(value) => NewRecord::new(self.topic.as_str(), key, value),
            None => NewRecord::tombstone(self.topic.as_str(), key),
        };
        producer.begin().await?;
        producer.send(rows.into_iter().map(record).collect()).await?;
        producer.commit(None).await.map(|_| ())
    }

    /// Takes in everything committed before the call.
    async fn read_on(&self, desk: &mut Desk) -> Result<()> {
        let ends: BTreeMap<_, _> = self.log.ends(&self.topic).await?;
        let deadline = Instant::now() + READ_WITHIN;
        loop {
            let position = desk.reader.position().await?;
            if ends.iter().all(|(at, end)| position.get(at).is_some_and(|position| position >= end)) {
                return Ok(());
            }
            let records = desk.reader.poll(1000, Duration::from_millis(100)).await?;
            if records.is_empty() && Instant::now() > deadline {
                return Err(Error::Unavailable {
                    doing: format!("reading {}", self.topic),
                    reason: "its end was not reached in time".into(),
                });
            }
            let mut subjects = self.subjects.write().unwrap_or_else(PoisonError::into_inner);
            for record in &records {
                subjects.apply(record.key.as_deref().unwrap_or_default(), record.value.as_deref());
            }
        }
    }
}

fn parse(schema: &str) -> Result<Schema, Refusal> {
    Schema::parse_str(schema).map_err(|error| Refusal::InvalidSchema(error.to_string()))
}

fn against(subjects: &Subjects, subject: &str, new: &Schema, wanted: Option<Wanted>) -> Result<Vec<String>, Refusal> {
    let earlier = match wanted {
        Some(wanted) => vec![subjects.version(subject, wanted)?],
        None => subjects.versions(subject, false).unwrap_or_default(),
    };
    let earlier = earlier.iter().map(|found| parse(&found.schema)).collect::<Result<Vec<_>, _>>()?;
    Ok(objections(subjects.effective_level(subject), new, &earlier))
}

#[async_trait]
impl Registry for LocalRegistry {
    async fn register(&self, subject: &str, schema: &str) -> Result<u32> {
        self.add(subject, schema).await.map_err(|refusal| refusal.into_error(subject))
    }

    async fn schema(&self, id: u32) -> Result<Arc<str>> {
        match self.by_id(id).await {
            Ok((text, _)) => Ok(text),
            Err(refusal) => Err(refusal.into_error(&format!("schema id {id}"))),
        }
    }

    fn local(&self) -> Option<LocalRegistry> {
        Some(self.clone())
    }
}
