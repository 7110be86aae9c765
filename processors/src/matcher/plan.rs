//! The mapping as the matcher uses it: which topic holds which object, which columns matter, who refers to whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use reconcile::mapping::{CapturedMapping, Condition, EntityMapping, FieldMapping, FieldType, Mapping};
use schemas::message::Side;
use schemas::topic::Topics;

use super::CUSTOMER;
use super::join::{self, Join, RowTables};
use super::score::{Scorers, compared_columns};
use crate::canon;
use crate::convert;

/// Where one object goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// It is an entity of this mapping.
    Entity(usize),
    /// It is captured by this mapping.
    Captured(usize),
}

/// One object or table.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) side: Side,
    pub(crate) object: String,
    pub(crate) topic: Arc<str>,
    pub(crate) purpose: Use,
    /// Columns to remember.
    pub(crate) columns: BTreeSet<String>,
    /// Columns that an entity change carries.
    pub(crate) carried: BTreeSet<String>,
    /// Other objects have columns that point at it.
    pub(crate) is_parent: bool,
    /// What a row must hold to be a record of the entity.
    pub(crate) conditions: Vec<Condition>,
    /// Rows of other tables that hold some of the columns.
    pub(crate) joins: Vec<Join>,
}

/// A column of an object that points at a record of another object on the same side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pointer<'a> {
    /// Field that the column belongs to.
    pub(crate) field: &'a str,
    pub(crate) column: &'a str,
    /// Object it points at.
    pub(crate) object: &'a str,
}

/// The whole mapping, ready for use.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) sources: Vec<Source>,
    /// The fields of each captured mapping.
    pub(crate) captured: Vec<Vec<FieldMapping>>,
    /// Tables with rows beside root rows.
    pub(crate) rows: RowTables,
    /// How records without a common key are compared.
    pub(crate) scorers: Scorers,
    by_topic: BTreeMap<Arc<str>, usize>,
}

impl Plan {
    pub(crate) fn new(mapping: Arc<Mapping>, topics: &Topics) -> Self {
        let topic = |side: Side, object: &str| -> Arc<str> {
            match side {
                Side::Crm => topics.cdc_crm(object).into(),
                Side::Erp => topics.cdc_erp(object).into(),
            }
        };
        let mut sources = Vec::new();
        for (index, entity) in mapping.entities.iter().enumerate() {
            for side in [Side::Crm, Side::Erp] {
                let own = &entity.sides[convert::side(side)];
                let mut carried: BTreeSet<String> =
                    entity.fields.iter().flat_map(|field| field.columns[convert::side(side)].names().map(str::to_owned)).collect();
                carried.extend(own.archive.keys().cloned());
                let mut columns = carried.clone();
                columns.insert(own.id_column.clone());
                columns.extend(own.actor_column.clone());
                columns.extend(own.write_column.clone());
                columns.extend(entity.keys.iter().map(|key| key.columns[convert::side(side)].clone()));
                columns.extend(compared_columns(entity, convert::side(side)).cloned());
                let joins = join::joins(own, &columns);
                carried.extend(joins.iter().map(|join| join.key_name.clone()));
                columns.extend(own.conditions.iter().map(|condition| condition.column.clone()));
                columns.extend(joins.iter().flat_map(Join::root_columns).cloned());
                let topic = topic(side, &own.object);
                sources.push(Source {
                    side,
                    object: own.object.clone(),
                    topic,
                    purpose: Use::Entity(index),
                    columns,
                    carried,
                    is_parent: false,
                    conditions: own.conditions.clone(),
                    joins,
                });
            }
        }
        for (index, captured) in mapping.captured.iter().enumerate() {
            let side = convert::wire_side(captured.side);
            let carried: BTreeSet<String> = captured.columns.values().cloned().collect();
            let columns = carried.iter().cloned().chain(captured.customer_column.clone()).collect();
            let topic = topic(side, &captured.object);
            sources.push(Source {
                side,
                object: captured.object.clone(),
                topic,
                purpose: Use::Captured(index),
                columns,
                carried,
                is_parent: false,
                conditions: Vec::new(),
                joins: Vec::new(),
            });
        }
        let fields = |captured: &CapturedMapping| {
            let kind = |name: &String| captured.types.get(name).cloned().unwrap_or(FieldType::Text);
            captured.columns.iter().map(|(name, column)| canon::plain_field(name, column, kind(name))).collect()
        };
        let captured = mapping.captured.iter().map(fields).collect();
        let mut plan = Self {
            captured,
            rows: RowTables::new(&sources, topics),
            scorers: Scorers::new(&mapping),
            by_topic: sources.iter().enumerate().map(|(index, source)| (source.topic.clone(), index)).collect(),
            mapping,
            sources,
        };
        let parents: Vec<bool> = plan.sources.iter().map(|source| plan.pointed_at(source)).collect();
        for (source, is_parent) in plan.sources.iter_mut().zip(parents) {
            source.is_parent = is_parent;
        }
        plan
    }

    fn pointed_at(&self, target: &Source) -> bool {
        self.sources
            .iter()
            .any(|source| source.side == target.side && self.pointers(source).iter().any(|pointer| pointer.object == target.object))
    }

    pub(crate) fn by_topic(&self, topic: &str) -> Option<&Source> {
        self.by_topic.get(topic).and_then(|index| self.sources.get(*index))
    }

    pub(crate) fn source(&self, side: Side, object: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.side == side && source.object == object)
    }

    pub(crate) fn entity(&self, kind: &str) -> Option<&EntityMapping> {
        self.mapping.entities.iter().find(|entity| entity.kind == kind)
    }

    pub(crate) fn kind(&self, source: &Source) -> &str {
        match source.purpose {
            Use::Entity(index) => &self.mapping.entities[index].kind,
            Use::Captured(index) => &self.mapping.captured[index].kind,
        }
    }

    /// The columns of an object that point at other records.
    pub(crate) fn pointers<'a>(&'a self, source: &'a Source) -> Vec<Pointer<'a>> {
        let side = convert::side(source.side);
        match source.purpose {
            Use::Entity(index) => self.mapping.entities[index]
                .fields
                .iter()
                .filter_map(|field| {
                    let parent = self.entity(parent_kind(field)?)?;
                    let column = field.columns[side].names().next()?;
                    Some(Pointer { field: &field.name, column, object: &parent.sides[side].object })
                })
                .collect(),
            Use::Captured(index) => self.captured_pointer(&self.mapping.captured[index]).into_iter().collect(),
        }
    }

    fn captured_pointer<'a>(&'a self, captured: &'a CapturedMapping) -> Option<Pointer<'a>> {
        let column = captured.customer_column.as_deref()?;
        let object = match &captured.via {
            Some(via) => &self.mapping.captured.iter().find(|other| other.kind == *via)?.object,
            None => &self.entity(CUSTOMER)?.sides[captured.side].object,
        };
        Some(Pointer { field: CUSTOMER, column, object })
    }
}

/// The kind that a reference field refers to.
pub(crate) fn parent_kind(field: &FieldMapping) -> Option<&str> {
    match &field.kind {
        FieldType::Reference { kind } => Some(kind),
        _ => None,
    }
}
