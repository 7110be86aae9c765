//! The registry's memory: what the records of the schemas topic add up to. No I/O.
//!
//! Records are written as Confluent's registry writes its own topic, so that either can take over from the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::compatibility::Level;
use super::refusal::Refusal;

/// A schema under a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Subject.
    pub subject: String,
    /// Version from 1.
    pub version: u32,
    /// Id, the same for the same schema under any subject.
    pub id: u32,
    /// Text.
    pub schema: Arc<str>,
}

/// Which version is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Latest,
    Number(u32),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "keytype", rename_all = "SCREAMING_SNAKE_CASE")]
enum Key {
    Schema { subject: String, version: u32, magic: u8 },
    Config { subject: Option<String>, magic: u8 },
}

#[derive(Debug, Serialize, Deserialize)]
struct SchemaValue {
    subject: String,
    version: u32,
    id: u32,
    schema: String,
    deleted: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigValue {
    compatibility_level: String,
}

struct Version {
    id: u32,
    deleted: bool,
}

/// Everything registered.
#[derive(Default)]
pub(super) struct Subjects {
    versions: BTreeMap<String, BTreeMap<u32, Version>>,
    texts: BTreeMap<u32, Arc<str>>,
    /// Ids by text without insignificant white space.
    ids: BTreeMap<String, u32>,
    levels: BTreeMap<Option<String>, Level>,
}

/// A record of the schemas topic.
pub(super) type Row = (Vec<u8>, Option<Vec<u8>>);

impl Subjects {
    /// Takes a record in. Records of other kinds (Confluent's registry writes some) mean nothing here.
    pub(super) fn apply(&mut self, key: &[u8], value: Option<&[u8]>) {
        match serde_json::from_slice(key) {
            Ok(Key::Schema { subject, version, .. }) => match value.map(serde_json::from_slice::<SchemaValue>) {
                Some(Ok(value)) => {
                    self.ids.entry(compact(&value.schema)).or_insert(value.id);
                    self.texts.insert(value.id, value.schema.into());
                    self.versions.entry(subject).or_default().insert(version, Version { id: value.id, deleted: value.deleted });
                }
                Some(Err(error)) => tracing::warn!(%error, subject, version, "a record of the schemas topic is not understood"),
                None => drop(self.versions.get_mut(&subject).and_then(|versions| versions.remove(&version))),
            },
            Ok(Key::Config { subject, .. }) => {
                let level = value
                    .and_then(|value| serde_json::from_slice::<ConfigValue>(value).ok())
                    .and_then(|value| value.compatibility_level.parse().ok());
                match level {
                    Some(level) => drop(self.levels.insert(subject, level)),
                    None => drop(self.levels.remove(&subject)),
                }
            }
            Err(_) => {}
        }
    }

    pub(super) fn text(&self, id: u32) -> Option<Arc<str>> {
        self.texts.get(&id).cloned()
    }

    /// Subjects that have a version.
    pub(super) fn names(&self, deleted: bool) -> Vec<String> {
        let has = |versions: &BTreeMap<u32, Version>| versions.values().any(|version| deleted || !version.deleted);
        self.versions.iter().filter(|(_, versions)| has(versions)).map(|(name, _)| name.clone()).collect()
    }

    /// Versions of a subject, oldest first.
    pub(super) fn versions(&self, subject: &str, deleted: bool) -> Result<Vec<Registered>, Refusal> {
        let versions = self.versions.get(subject).into_iter().flatten().filter(|(_, version)| deleted || !version.deleted);
        let versions: Vec<Registered> = versions.filter_map(|(number, version)| self.registered(subject, *number, version)).collect();
        if versions.is_empty() { Err(Refusal::UnknownSubject(subject.to_owned())) } else { Ok(versions) }
    }

    pub(super) fn version(&self, subject: &str, wanted: Wanted) -> Result<Registered, Refusal> {
        let mut versions = self.versions(subject, false)?;
        match wanted {
            Wanted::Latest => versions.pop().ok_or_else(|| Refusal::UnknownSubject(subject.to_owned())),
            Wanted::Number(number) => {
                versions.into_iter().find(|found| found.version == number).ok_or_else(|| Refusal::UnknownVersion(number.to_string()))
            }
        }
    }

    /// Where an id is used.
    pub(super) fn uses(&self, id: u32) -> Vec<Registered> {
        let all =
            self.versions.iter().flat_map(|(subject, versions)| versions.iter().map(move |(number, version)| (subject, number, version)));
        all.filter(|(_, _, version)| version.id == id && !version.deleted)
            .filter_map(|(subject, number, version)| self.registered(subject, *number, version))
            .collect()
    }

    /// The version of a subject that has this very schema.
    pub(super) fn find(&self, subject: &str, schema: &str) -> Option<Registered> {
        let id = self.ids.get(&compact(schema))?;
        self.versions(subject, false).ok()?.into_iter().rev().find(|found| found.id == *id)
    }

    pub(super) fn level(&self, subject: Option<&str>) -> Option<Level> {
        self.levels.get(&subject.map(str::to_owned)).copied()
    }

    /// The level that holds for a subject.
    pub(super) fn effective_level(&self, subject: &str) -> Level {
        self.level(Some(subject)).or_else(|| self.level(None)).unwrap_or_default()
    }

    /// The record that registers a schema as the next version of a subject.
    pub(super) fn next(&self, subject: &str, schema: &str) -> Result<(u32, Row), Refusal> {
        let version = self.versions.get(subject).and_then(|versions| versions.last_key_value()).map_or(1, |(last, _)| last + 1);
        let id = self.ids.get(&compact(schema)).copied();
        let id = id.unwrap_or_else(|| self.texts.last_key_value().map_or(1, |(last, _)| last + 1));
        let value = SchemaValue { subject: subject.to_owned(), version, id, schema: schema.to_owned(), deleted: false };
        Ok((id, row(&Key::Schema { subject: subject.to_owned(), version, magic: 1 }, Some(&value))?))
    }

    /// The record that deletes a version, or, once all are, leaves it in place for those who read old messages.
    pub(super) fn deletion(&self, found: &Registered) -> Result<Row, Refusal> {
        let value = SchemaValue {
            subject: found.subject.clone(),
            version: found.version,
            id: found.id,
            schema: found.schema.to_string(),
            deleted: true,
        };
        row(&Key::Schema { subject: found.subject.clone(), version: found.version, magic: 1 }, Some(&value))
    }

    fn registered(&self, subject: &str, number: u32, version: &Version) -> Option<Registered> {
        Some(Registered { subject: subject.to_owned(), version: number, id: version.id, schema: self.text(version.id)? })
    }
}

/// The record that sets or removes a level.
pub(super) fn level_row(subject: Option<&str>, level: Option<Level>) -> Result<Row, Refusal> {
    let value = level.map(|level| ConfigValue { compatibility_level: level.name().to_owned() });
    row(&Key::Config { subject: subject.map(str::to_owned), magic: 0 }, value.as_ref())
}

fn row(key: &Key, value: Option<&impl Serialize>) -> Result<Row, Refusal> {
    let bytes = |error: serde_json::Error| Refusal::InvalidSchema(error.to_string());
    Ok((serde_json::to_vec(key).map_err(bytes)?, value.map(serde_json::to_vec).transpose().map_err(bytes)?))
}

/// A schema's text without insignificant white space; two schemas are the same when these are.
fn compact(schema: &str) -> String {
    serde_json::from_str::<serde_json::Value>(schema).map_or_else(|_| schema.to_owned(), |value| value.to_string())
}
