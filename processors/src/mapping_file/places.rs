//! Where in the text the parts of a mapping stand, for complaints made after it was read.

use std::collections::BTreeMap;

use super::{line, shape};

/// Lines of entities, fields and captured objects.
#[derive(Debug, Default, Clone)]
pub struct Places(BTreeMap<String, usize>);

impl Places {
    /// The places of a mapping's text; none when it cannot be read.
    pub fn of(text: &str) -> Self {
        toml::from_str(text).map(|shape| Self::new(text, &shape)).unwrap_or_default()
    }

    pub(super) fn new(text: &str, file: &shape::File) -> Self {
        let mut places = BTreeMap::new();
        let mut note = |path: String, at: usize| places.insert(path, line(text, at));
        for (kind, entity) in &file.entity {
            note(format!("entity.{kind}"), entity.title.span().start);
            note(format!("entity.{kind}.crm"), entity.crm.object.span().start);
            note(format!("entity.{kind}.erp"), entity.erp.object.span().start);
            for (name, field) in &entity.field {
                note(format!("entity.{kind}.field.{name}"), field.kind.span().start);
                note(format!("entity.{kind}.field.{name}.crm"), field.crm.span().start);
                note(format!("entity.{kind}.field.{name}.erp"), field.erp.span().start);
            }
        }
        for (kind, captured) in &file.captured {
            note(format!("captured.{kind}"), captured.object.span().start);
        }
        for (kind, convert) in &file.convert {
            note(format!("convert.{kind}"), convert.from.span().start);
        }
        Self(places)
    }

    /// The line of the narrowest part that a path such as `entity.customer.field.name.crm` lies in.
    pub fn line(&self, path: &str) -> Option<usize> {
        let mut path = path;
        loop {
            if let Some(line) = self.0.get(path) {
                return Some(*line);
            }
            path = path.rsplit_once('.')?.0;
        }
    }

    /// The line of what a complaint begins with: `entity.customer.name: …` means the field.
    pub(super) fn complained(&self, reason: &str) -> Option<usize> {
        let path = reason.split([':', ' ']).next()?;
        let mut parts = path.splitn(3, '.');
        let (head, kind, rest) = (parts.next()?, parts.next()?, parts.next().unwrap_or_default());
        self.0.get(&format!("{head}.{kind}.field.{rest}")).copied().or_else(|| self.line(path))
    }
}
