//! A record made ready for comparing: every compared field in its normal form, once.

use super::kind::Kind;
use super::normal;
use super::phonetic;
use super::rules::CompareField;
use crate::mapping::Side;
use crate::mapping::time;
use crate::value::Value;

/// A record's compared fields in normal form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prepared {
    pub(crate) forms: Vec<Option<Form>>,
}

/// A field's value in normal form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    /// Words.
    Words(Words),
    /// One token.
    Code(String),
    /// An e-mail address.
    Mail { local: String, domain: String, personal: bool },
    /// A day: eight digits, year first.
    Day(String),
}

/// A text of one or more words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Words {
    /// All of them, with a blank between.
    pub(crate) text: String,
    /// One by one.
    pub(crate) words: Vec<String>,
    /// Without blanks, where there were any.
    compact: Option<String>,
    /// How a name sounds; empty for what is never spoken.
    pub(crate) sound: String,
    /// The number that stood among them: a house number.
    pub(crate) number: Option<String>,
}

impl Words {
    /// All letters without blanks.
    pub(crate) fn compact(&self) -> &str {
        self.compact.as_deref().unwrap_or(&self.text)
    }
}

impl Form {
    /// The whole value as text.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Words(words) => &words.text,
            Self::Code(text) | Self::Day(text) => text,
            Self::Mail { local, .. } => local,
        }
    }

    /// Its words; one for a code.
    pub(crate) fn words(&self) -> &[String] {
        match self {
            Self::Words(words) => &words.words,
            Self::Code(text) | Self::Day(text) => std::slice::from_ref(text),
            Self::Mail { local, .. } => std::slice::from_ref(local),
        }
    }
}

impl Prepared {
    /// Whether there is nothing to compare by.
    pub fn is_empty(&self) -> bool {
        self.forms.iter().all(Option::is_none)
    }

    pub(crate) fn form(&self, field: usize) -> Option<&Form> {
        self.forms.get(field).and_then(Option::as_ref)
    }

    /// Prepares a record of one side. `column` gives a column's value.
    pub fn of<'v>(fields: &[CompareField], side: Side, column: impl Fn(&str) -> Option<&'v Value>) -> Self {
        let forms = fields
            .iter()
            .map(|field| {
                let mut joined = String::new();
                for name in &field.columns[side] {
                    if let Some(text) = column(name).and_then(text) {
                        if !joined.is_empty() {
                            joined.push(' ');
                        }
                        joined.push_str(&text);
                    }
                }
                form(field.kind, &joined)
            })
            .collect();
        Self { forms }
    }

    /// Prepares a record from one text for each field, in the fields' order.
    pub fn from_texts<'t>(fields: &[CompareField], texts: impl IntoIterator<Item = &'t str>) -> Self {
        Self { forms: fields.iter().zip(texts).map(|(field, text)| form(field.kind, text)).collect() }
    }
}

/// A value as text for comparing; none when it has none.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        Value::Decimal(number) => Some(number.normalize().to_string()),
        Value::Date(days) => Some(time::date_text(*days)),
        Value::Timestamp(micros) => Some(time::timestamp_text(*micros).chars().take(10).collect()),
        Value::List(items) => Some(items.iter().filter_map(text).collect::<Vec<_>>().join(" ")),
        Value::Null | Value::Bool(_) => None,
    }
    .filter(|text| !text.trim().is_empty())
}

/// The normal form of a text; none when it says nothing.
fn form(kind: Kind, text: &str) -> Option<Form> {
    if normal::says_nothing(text) {
        return None;
    }
    let words = |words: Vec<String>, number: Option<String>| {
        let text = words.join(" ");
        let compact = (words.len() > 1).then(|| words.concat());
        let spoken = matches!(kind, Kind::GivenName | Kind::Surname | Kind::Locality);
        let sound = if spoken { phonetic::code(&text) } else { String::new() };
        (!words.is_empty() || number.is_some()).then_some(Form::Words(Words { text, words, compact, sound, number }))
    };
    match kind {
        Kind::Organisation => words(normal::organisation(text), None),
        Kind::Person | Kind::GivenName | Kind::Surname => words(normal::person(text), None),
        Kind::Street => {
            let (street, number) = normal::street(text);
            words(street, number)
        }
        Kind::Locality => words(normal::locality(text), None),
        Kind::Text => words(normal::words(text), None),
        Kind::Email => normal::mail(text).map(|(local, domain, personal)| Form::Mail { local, domain, personal }),
        Kind::Phone => normal::phone_digits(text).map(Form::Code),
        Kind::TaxId => normal::tax_id(text).map(Form::Code),
        Kind::Website => normal::domain(text).map(Form::Code),
        Kind::HouseNumber => normal::house_number(text).map(Form::Code),
        Kind::Postcode => normal::postcode(text).map(Form::Code),
        Kind::Code => normal::code(text).map(Form::Code),
        Kind::Identifier => normal::identifier(text).map(Form::Code),
        Kind::Date => normal::day(text).map(Form::Day),
    }
}
