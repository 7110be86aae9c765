//! The file's shape, as serde reads it. Words are checked in `convert`, where the place of each is known.

use std::collections::BTreeMap;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
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
    #[serde(default)]
    pub(super) convert: BTreeMap<String, Convert>,
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
    #[serde(rename = "match")]
    pub(super) scored: Option<super::scored::Match>,
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
    pub(super) write_column: Option<Word>,
    #[serde(default)]
    pub(super) constants: BTreeMap<String, Spanned<toml::Value>>,
    #[serde(default)]
    pub(super) archive: BTreeMap<String, Spanned<toml::Value>>,
    pub(super) actor_column: Option<String>,
    #[serde(default, rename = "where")]
    pub(super) conditions: BTreeMap<String, Spanned<toml::Value>>,
    #[serde(default)]
    pub(super) rows: BTreeMap<String, super::rows::Row>,
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
    #[serde(default)]
    pub(super) required: bool,
    pub(super) default: Option<Spanned<toml::Value>>,
    #[serde(default)]
    pub(super) lossy: bool,
    pub(super) crm: Spanned<Column>,
    pub(super) erp: Spanned<Column>,
}

/// A column's name, or all that can be said of a side's columns.
#[derive(Debug)]
pub(super) enum Column {
    Name(String),
    Rule(Box<Rule>),
}

/// One expression for the only column, or one for each of several.
#[derive(Debug)]
pub(super) enum Writes {
    One(String),
    Each(BTreeMap<String, Word>),
}

// By hand, because an untagged enum would forget the places of what is in it.
macro_rules! text_or_table {
    ($name:ident, $text:ident, $table:expr, $expecting:literal) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Either;
                impl<'de> Visitor<'de> for Either {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        Ok($name::$text(text.to_owned()))
                    }
                    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<$name, A::Error> {
                        Deserialize::deserialize(MapAccessDeserializer::new(map)).map($table)
                    }
                }
                deserializer.deserialize_any(Either)
            }
        }
    };
}

text_or_table!(
    Column,
    Name,
    |rule| Self::Value::Rule(Box::new(rule)),
    "a column name, or { column or columns, words, read, write, separator }"
);
text_or_table!(Writes, One, Self::Value::Each, "an expression, or one for each column: { FirstName = \"…\", LastName = \"…\" }");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) column: Option<String>,
    #[serde(default)]
    pub(super) columns: Vec<Word>,
    #[serde(default)]
    pub(super) words: BTreeMap<String, String>,
    pub(super) read: Option<Word>,
    pub(super) write: Option<Spanned<Writes>>,
    pub(super) separator: Option<String>,
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Convert {
    pub(super) from: Word,
    pub(super) when: Word,
    #[serde(default)]
    pub(super) auto: bool,
    pub(super) erp: ConvertTarget,
    #[serde(default)]
    pub(super) fields: BTreeMap<String, Word>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConvertTarget {
    pub(super) object: Word,
    pub(super) id_column: String,
    pub(super) customer_column: String,
    pub(super) number_column: Option<String>,
    #[serde(default)]
    pub(super) constants: BTreeMap<String, Spanned<toml::Value>>,
}
