//! What is different between two mappings, in words, and when it may be changed.

use reconcile::mapping::{CapturedMapping, ColumnRule, EntityMapping, Expression, FieldMapping, Mapping, Side};

use crate::reconciler::column_type;

/// When a difference may be put in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// At any time: it says how to decide from now on.
    Policy,
    /// At any time: canonical values of known records are made again.
    Values,
    /// With the next start: other objects are read.
    Start,
    /// Never: what is known was learnt under the old one.
    Never,
}

impl Weight {
    /// `policy`, `values`, `start` or `never`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Values => "values",
            Self::Start => "start",
            Self::Never => "never",
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which part: `entity.customer.field.name`.
    pub path: String,
    /// What is different, for people.
    pub what: String,
    /// When it may be put in force.
    pub weight: Weight,
}

/// All differences, in the new mapping's order; what is gone comes last.
pub fn differences(old: &Mapping, new: &Mapping) -> Vec<Difference> {
    let mut found = Found(Vec::new());
    for entity in &new.entities {
        match old.entities.iter().find(|other| other.kind == entity.kind) {
            None => found.add(format!("entity.{}", entity.kind), "is new", Weight::Start),
            Some(before) => self::entity(&mut found, before, entity),
        }
    }
    for captured in &new.captured {
        let path = format!("captured.{}", captured.kind);
        match old.captured.iter().find(|other| other.kind == captured.kind) {
            None => found.add(path, "is new", Weight::Start),
            Some(before) => self::captured(&mut found, &path, before, captured),
        }
    }
    for entity in old.entities.iter().filter(|entity| !new.entities.iter().any(|other| other.kind == entity.kind)) {
        found.add(format!("entity.{}", entity.kind), "is gone", Weight::Start);
    }
    for captured in old.captured.iter().filter(|captured| !new.captured.iter().any(|other| other.kind == captured.kind)) {
        found.add(format!("captured.{}", captured.kind), "is gone", Weight::Start);
    }
    for conversion in &new.conversions {
        let path = format!("convert.{}", conversion.kind);
        match old.conversions.iter().find(|other| other.kind == conversion.kind) {
            None => found.add(path, "is new", Weight::Start),
            Some(before)
                if before.object != conversion.object || before.from != conversion.from || before.id_column != conversion.id_column =>
            {
                found.add(path, "is made from or into something else", Weight::Never);
            }
            Some(before) => found.differs(&path, "is another", before, conversion, Weight::Policy),
        }
    }
    for gone in old.conversions.iter().filter(|gone| !new.conversions.iter().any(|other| other.kind == gone.kind)) {
        found.add(format!("convert.{}", gone.kind), "is gone", Weight::Start);
    }
    found.0
}

struct Found(Vec<Difference>);

impl Found {
    fn add(&mut self, path: impl Into<String>, what: impl Into<String>, weight: Weight) {
        self.0.push(Difference { path: path.into(), what: what.into(), weight });
    }

    fn changed<T: PartialEq>(&mut self, path: &str, name: &str, old: &T, new: &T, weight: Weight, show: impl Fn(&T) -> String) {
        if old != new {
            self.add(path, format!("{name} was {}, and is {}", show(old), show(new)), weight);
        }
    }

    fn differs<T: PartialEq>(&mut self, path: &str, what: &str, old: &T, new: &T, weight: Weight) {
        if old != new {
            self.add(path, what, weight);
        }
    }
}

fn entity(found: &mut Found, old: &EntityMapping, new: &EntityMapping) {
    let path = format!("entity.{}", new.kind);
    for side in Side::BOTH {
        let (before, after) = (&old.sides[side], &new.sides[side]);
        let path = format!("{path}.{}", side.as_str());
        found.changed(&path, "object", &before.object, &after.object, Weight::Never, String::clone);
        found.changed(&path, "id_column", &before.id_column, &after.id_column, Weight::Never, String::clone);
        let shown = |column: &Option<String>| column.clone().unwrap_or_else(|| "none".to_owned());
        found.changed(&path, "write_column", &before.write_column, &after.write_column, Weight::Never, shown);
        found.differs(&path, "where is another", &before.conditions, &after.conditions, Weight::Never);
        found.differs(&path, "rows are others", &before.rows, &after.rows, Weight::Never);
        found.differs(&path, "constants are others", &before.constants, &after.constants, Weight::Policy);
        found.differs(&path, "archive is another", &before.archive, &after.archive, Weight::Policy);
        found.differs(&path, "actor_column is another", &before.actor_column, &after.actor_column, Weight::Policy);
        let word = |policy: &dyn std::fmt::Debug| format!("{policy:?}").to_lowercase();
        found.changed(&path, "create", &old.create[side], &new.create[side], Weight::Policy, |policy| word(policy));
        found.changed(&path, "delete", &old.delete[side], &new.delete[side], Weight::Policy, |policy| word(policy));
    }
    found.changed(&path, "title", &old.title, &new.title, Weight::Policy, String::clone);
    found.differs(&path, "keys are others; they hold for records that come or change from now on", &old.keys, &new.keys, Weight::Policy);
    found.differs(
        &path,
        "match is another; it holds for records that come or change from now on",
        &old.scored,
        &new.scored,
        Weight::Policy,
    );
    found.changed(&path, "first_contact", &old.first_contact, &new.first_contact, Weight::Policy, |policy| policy.as_str().to_owned());
    found.changed(&path, "skew", &old.skew_us, &new.skew_us, Weight::Policy, |skew| format!("{} ms", skew / 1000));
    found.changed(&path, "tie", &old.tie, &new.tie, Weight::Policy, |side| side.as_str().to_owned());
    for field in &new.fields {
        let path = format!("{path}.field.{}", field.name);
        match old.field(&field.name) {
            None => found.add(path, "is new", Weight::Values),
            Some(before) => self::field(found, &path, before, field),
        }
    }
    for field in old.fields.iter().filter(|field| new.field(&field.name).is_none()) {
        found.add(format!("{path}.field.{}", field.name), "is gone; its open conflicts are withdrawn", Weight::Policy);
    }
    for side in Side::BOTH {
        let known = |column: &str| {
            let own = &old.sides[side];
            let keyed = old.keys.iter().any(|key| key.columns[side] == column);
            keyed
                || old.fields.iter().any(|field| field.columns[side].has(column))
                || own.id_column == column
                || own.write_column.as_deref() == Some(column)
                || own.archive.contains_key(column)
        };
        for field in &new.fields {
            for column in field.columns[side].names().filter(|column| !known(column)) {
                let what = format!(
                    "the {} column {column} was not remembered so far: its value is taken up when the record changes next, or is read again",
                    side.as_str()
                );
                found.add(format!("{path}.field.{}", field.name), what, Weight::Values);
            }
        }
    }
}

fn field(found: &mut Found, path: &str, old: &FieldMapping, new: &FieldMapping) {
    let text = |rule: &Option<Expression>| rule.as_ref().map_or_else(|| "none".to_owned(), |rule| format!("`{}`", rule.text));
    found.changed(path, "label", &old.label, &new.label, Weight::Policy, String::clone);
    found.changed(path, "policy", &old.policy, &new.policy, Weight::Policy, |policy| policy.as_str().to_owned());
    found.differs(path, "direction is another", &old.direction, &new.direction, Weight::Policy);
    found.differs(path, "drift is another", &old.drift, &new.drift, Weight::Policy);
    found.changed(path, "review_when", &old.review_when, &new.review_when, Weight::Policy, text);
    found.changed(path, "required", &old.required, &new.required, Weight::Policy, bool::to_string);
    found.differs(path, "the greatest length is another", &old.max_length, &new.max_length, Weight::Policy);
    found.differs(path, "lossy is another", &old.lossy, &new.lossy, Weight::Policy);
    if column_type(&old.kind) != column_type(&new.kind) {
        found.add(path, "type is another, and so is that of the golden record that data teams read", Weight::Never);
    } else {
        found.differs(path, "type is another", &old.kind, &new.kind, Weight::Values);
    }
    found.differs(path, "default is another", &old.default, &new.default, Weight::Values);
    for side in Side::BOTH {
        rule(found, path, side, &old.columns[side], &new.columns[side]);
    }
}

fn rule(found: &mut Found, path: &str, side: Side, old: &ColumnRule, new: &ColumnRule) {
    let path = format!("{path}.{}", side.as_str());
    if !old.names().eq(new.names()) {
        found.add(&path, format!("column was {}, and is {}", old.shown(), new.shown()), Weight::Values);
    } else if old.parts != new.parts {
        found.add(&path, "write is another", Weight::Policy);
    }
    found.differs(&path, "read is another", &old.read, &new.read, Weight::Values);
    found.differs(&path, "words are others", &old.words, &new.words, Weight::Values);
    found.differs(&path, "separator is another", &old.separator, &new.separator, Weight::Values);
}

fn captured(found: &mut Found, path: &str, old: &CapturedMapping, new: &CapturedMapping) {
    if old.side != new.side || old.object != new.object {
        found.add(path, "its object is another", Weight::Never);
    }
    if old.customer_column != new.customer_column || old.via != new.via {
        found.add(path, "what it belongs to is another", Weight::Never);
    }
    if old.columns != new.columns || old.types != new.types {
        found.add(path, "columns are others; they hold for records that change from now on", Weight::Policy);
    }
}
