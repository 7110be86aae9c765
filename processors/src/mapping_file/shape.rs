//! The file's shape, as serde reads it. Words are checked in `convert`, where the place of each is known.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

pub(super) type Word = Spanned<String>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default = "one")]
    pub(super) version: i64,
    #[serde(default)]
    pub(super) entity: BTreeMap<String, Entity>,
    #[serde(default)]
    pub(super) captured: BTreeMap<String, Captured>,
}

fn one() -> i64 {
    1
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entity {
    pub(super) title: Word,
    pub(super) crm: Side,
    pub(super) erp: Side,
    pub(super) first_contact: Option<Word>,
    #[serde(default)]
    pub(super) create: Policies,
    #[serde(default)]
    pub(super) delete: Policies,
    #[serde(default)]
    pub(super) keys: Vec<Key>,
    pub(super) skew: Option<Word>,
    pub(super) tie: Option<Word>,
    #[serde(default)]
    pub(super) field: BTreeMap<String, Field>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Side {
    pub(super) object: Word,
    pub(super) id_column: String,
    #[serde(default)]
    pub(super) constants: BTreeMap<String, Spanned<toml::Value>>,
    #[serde(default)]
    pub(super) archive: BTreeMap<String, Spanned<toml::Value>>,
    pub(super) actor_column: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Policies {
    pub(super) crm: Option<Word>,
    pub(super) erp: Option<Word>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) crm: String,
    pub(super) erp: String,
    pub(super) normal: Option<Word>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Field {
    pub(super) label: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: Word,
    pub(super) direction: Option<Word>,
    pub(super) policy: Option<Word>,
    pub(super) drift: Option<Word>,
    pub(super) review_when: Option<Word>,
    pub(super) crm: Column,
    pub(super) erp: Column,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a column name, or { column, words, read, write }")]
pub(super) enum Column {
    Name(String),
    Rule(Rule),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) column: String,
    #[serde(default)]
    pub(super) words: BTreeMap<String, String>,
    pub(super) read: Option<String>,
    pub(super) write: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Captured {
    pub(super) side: Word,
    pub(super) object: Word,
    pub(super) customer_column: Option<String>,
    pub(super) via: Option<Word>,
    #[serde(default)]
    pub(super) columns: BTreeMap<String, Word>,
}
