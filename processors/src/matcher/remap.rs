//! Takes up another mapping while records go on, and says what it reads otherwise.
//!
//! Values that both mappings read alike are not said again. What the new one cannot read stays as it was, and is counted; it
//! becomes a dead letter when its record changes. What was set aside and can be read now is taken up.

use std::sync::Arc;

use reconcile::mapping::{EntityMapping, FieldType, Mapping};
use schemas::message::{EntityChange, EntityOp, Field, Reference, Setting, Side};

use super::plan::{Plan, Source};
use super::state::{Entity, JOBS, Job, JobKind, Known, UNREAD, record_key};
use super::{Matcher, NAME};
use crate::canon;
use crate::convert;
use crate::error::Result;
use crate::in_force::{self, InForce, KEY};
use crate::mapping_file::{Weight, differences};
use crate::task::Context;

/// First byte of entities' keys.
const ENTITIES: &[u8] = b"e";

impl Matcher {
    /// What the store says is in force is in force, unless we were started with something newer.
    pub(super) fn settle_mapping(&mut self, context: &mut Context<'_>) -> Result<()> {
        if self.mapping_settled {
            return Ok(());
        }
        let given = self.given.clone();
        match context.get::<InForce>(KEY)? {
            None if given.text.is_empty() => {}
            None => context.put(KEY.to_vec(), &keep(&given, None)),
            Some(kept) if kept.version < given.version => self.take_up(context, &given, Some(&kept))?,
            Some(kept) if kept.version != self.plan.mapping.version => self.follow(self.mappings.stored(&kept)?),
            Some(_) => {}
        }
        self.mapping_settled = true;
        Ok(())
    }

    /// A mapping was put on `control`.
    pub(super) fn control(&mut self, context: &mut Context<'_>, setting: &Setting) -> Result<()> {
        if setting.name != in_force::SETTING || setting.version <= self.plan.mapping.version {
            return Ok(());
        }
        let new = self.mappings.set(setting)?;
        let refused = in_force::refused(&self.plan.mapping, &new, false);
        if let Some(first) = refused.first() {
            tracing::warn!(mapping.version = setting.version, what = %first.what, path = first.path, "mapping not taken up while running; the next start does");
            return Ok(());
        }
        let kept = context.get::<InForce>(KEY)?;
        self.take_up(context, &new, kept.as_ref())
    }

    fn take_up(&mut self, context: &mut Context<'_>, new: &Arc<Mapping>, kept: Option<&InForce>) -> Result<()> {
        // One that this build no longer takes is not compared: everything is said.
        let old = kept.and_then(|kept| self.mappings.stored(kept).ok());
        let revalued = old.as_ref().is_none_or(|old| differences(old, new).iter().any(|difference| difference.weight == Weight::Values));
        let rekeyed = old.as_ref().is_none_or(|old| {
            new.entities
                .iter()
                .any(|new| old.entities.iter().any(|old| old.kind == new.kind && (old.keys != new.keys || old.scored != new.scored)))
        });
        if rekeyed {
            let job = self.job(context, JobKind::Reindex, ENTITIES.to_vec(), Side::Crm, "");
            self.add_job(context, &job)?;
        }
        let job = context.scan::<Job>(JOBS, b"", usize::MAX)?.into_iter().find(|(_, job)| job.kind == JobKind::Revalue);
        let before = match (&job, old, revalued) {
            // Values made again half way under a third mapping: all are said.
            (Some(_), ..) | (None, None, true) => Some(String::new()),
            (None, Some(old), true) => Some(old.text.clone()),
            (None, _, false) => None,
        };
        if let Some((key, _)) = job {
            context.delete(key);
        }
        if before.is_some() {
            let job = self.job(context, JobKind::Revalue, ENTITIES.to_vec(), Side::Crm, "");
            self.add_job(context, &job)?;
            let job = self.job(context, JobKind::ReadAnew, UNREAD.to_vec(), Side::Crm, "");
            self.add_job(context, &job)?;
        }
        context.put(KEY.to_vec(), &keep(new, before));
        self.mark(context, new);
        tracing::info!(mapping.version = new.version, values_made_again = revalued, "another mapping is in force");
        self.follow(new.clone());
        Ok(())
    }

    fn follow(&mut self, mapping: Arc<Mapping>) {
        self.plan = Arc::new(Plan::new(mapping, &self.topics));
        self.before = None;
    }

    /// Says in every partition that what follows was made under another mapping.
    fn mark(&self, context: &mut Context<'_>, mapping: &Mapping) {
        let marker = EntityChange {
            op: EntityOp::Mapped,
            columns: vec![Field { name: in_force::SETTING.to_owned(), value: schemas::Value::text(mapping.text.clone()) }],
            mapping_version: mapping.version,
            committed_at: context.now(),
            ..nothing()
        };
        for partition in 0..self.topics.entity_partitions() {
            let mut record = self.changes.record(in_force::SETTING, &marker);
            record.partition = Some(partition);
            context.emit(record);
        }
    }

    /// Says the fields of entities that the mapping in force reads otherwise than the one before.
    pub(super) fn revalue(&mut self, context: &mut Context<'_>, plan: &Plan, job: &Job, most: usize) -> Result<(usize, Option<Vec<u8>>)> {
        let Some(mut kept) = context.get::<InForce>(KEY)? else { return Ok((0, None)) };
        let Some(text) = &kept.before else { return Ok((0, None)) };
        if self.before.is_none() && !text.is_empty() {
            // A text that no longer parses is no reason to stop: then everything is said.
            self.before = crate::mapping_file::parse(text).ok().map(Arc::new);
        }
        let before = self.before.clone();
        let entities = context.scan::<Entity>(&job.prefix, &job.cursor, most)?;
        let (count, last) = (entities.len(), entities.last().map(|(key, _)| key.clone()));
        for (_, entity) in entities {
            let Some(mapping) = plan.entity(&entity.kind) else { continue };
            let old = before.as_ref().and_then(|before| before.entities.iter().find(|old| old.kind == entity.kind));
            for side in [Side::Crm, Side::Erp] {
                let Some(source) = plan.source(side, &mapping.sides[convert::side(side)].object) else { continue };
                if let Some(record) = entity.live(side).cloned() {
                    self.say_revalued(context, plan, mapping, old, source, &record)?;
                }
            }
        }
        if count < most {
            kept.before = None;
            context.put(KEY.to_vec(), &kept);
            self.before = None;
        }
        Ok((count, last))
    }

    fn say_revalued(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        mapping: &EntityMapping,
        old: Option<&EntityMapping>,
        source: &Source,
        record: &str,
    ) -> Result<()> {
        let known = context.get::<Known>(&record_key(source.side, &source.object, record))?;
        let Some(known) = known.filter(|known| !known.gone && !known.entity.is_empty()) else { return Ok(()) };
        self.reads_again(context, mapping, source, record, &known)?;
        let references = self.references(context, plan, source, &known)?;
        let fields = self.revalued(mapping, old, source, &known, &references);
        if fields.is_empty() {
            return Ok(());
        }
        let side = convert::side(source.side);
        let behind =
            |column: &str| fields.iter().any(|field| mapping.field(&field.name).is_some_and(|mapped| mapped.columns[side].has(column)));
        let may_create = self.creates(context, mapping, &known.entity)?;
        let change = EntityChange {
            op: EntityOp::Changed,
            columns: known.columns.iter().filter(|field| behind(&field.name)).cloned().collect(),
            fields,
            snapshot: true,
            origin: None,
            write: None,
            ..self.say(mapping, source, record, &known, references, may_create)
        };
        context.emit(self.changes.record(known.entity.clone(), &change));
        Ok(())
    }

    /// The fields whose value is another one under the mapping in force.
    fn revalued(
        &self,
        mapping: &EntityMapping,
        old: Option<&EntityMapping>,
        source: &Source,
        known: &Known,
        references: &[Reference],
    ) -> Vec<Field> {
        let side = convert::side(source.side);
        let mut fields = Vec::new();
        for field in mapping.fields.iter().filter(|field| canon::carried(field, side, &known.columns)) {
            let before = old.and_then(|old| old.field(&field.name)).filter(|before| canon::carried(before, side, &known.columns));
            if let FieldType::Reference { .. } = field.kind {
                let same = before.is_some_and(|before| before.kind == field.kind && before.columns[side] == field.columns[side]);
                let reference = references.iter().find(|reference| reference.field == field.name);
                if let Some(reference) = reference.filter(|reference| !same && !reference.entity.is_empty()) {
                    fields.push(Field { name: field.name.clone(), value: schemas::Value::text(reference.entity.clone()) });
                }
                continue;
            }
            match canon::read(field, side, &known.columns) {
                Ok(value) if before.is_some_and(|before| canon::read(before, side, &known.columns).as_ref() == Ok(&value)) => {}
                Ok(value) => fields.push(Field { name: field.name.clone(), value: convert::wire(&value) }),
                Err(_) => {
                    self.metrics.misfits.with_label_values(&[NAME]).inc();
                    tracing::warn!(
                        processor = NAME,
                        field = field.name,
                        object = source.object,
                        "a known value cannot be read through the mapping in force"
                    );
                }
            }
        }
        fields
    }
}

fn keep(mapping: &Mapping, before: Option<String>) -> InForce {
    InForce { version: mapping.version, text: mapping.text.clone(), before, golden: Vec::new() }
}

/// A change that is about no record.
fn nothing() -> EntityChange {
    EntityChange {
        entity: String::new(),
        kind: String::new(),
        side: Side::Crm,
        object: String::new(),
        record: String::new(),
        op: EntityOp::Mapped,
        fields: Vec::new(),
        columns: Vec::new(),
        before: Vec::new(),
        references: Vec::new(),
        customer: None,
        may_create: false,
        snapshot: false,
        position: String::new(),
        committed_at: 0,
        actor: None,
        origin: None,
        write: None,
        mapping_version: 0,
    }
}
