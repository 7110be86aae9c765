//! Which entity a record belongs to, and the index from match keys to entities.

use reconcile::Value;
use reconcile::mapping::EntityMapping;
use reconcile::matching::{self, Candidate, KeyValue, Placement};
use schemas::message::{Field, Side};
use uuid::Uuid;

use super::state::{Entity, Holder, Holders, column, entity_key, match_key};
use crate::convert;
use crate::error::Result;
use crate::task::Context;

/// A column name that stands for the record id.
const RECORD_ID: &str = "$id";

/// More records than this with one value of a key, and the key says nothing.
const MAX_HOLDERS: usize = 16;

/// Namespace of entity ids made from founding records.
const ENTITIES: Uuid = Uuid::from_bytes(*b"concord:entities");

/// A record's entity, and why.
pub(super) struct Link {
    pub(super) entity: String,
    pub(super) rule: String,
    /// It may be another entity's: several were found, or one that already has a record here.
    pub(super) ambiguous: bool,
}

/// Finds the entity of a record that has none yet.
pub(super) fn find(context: &Context<'_>, mapping: &EntityMapping, side: Side, id: &str, columns: &[Field]) -> Result<Link> {
    let own = &mapping.sides[convert::side(side)];
    if let Some(carried) = column(columns, &own.id_column).and_then(convert::id_text)
        && let Ok(entity) = Uuid::try_parse(carried.trim())
    {
        let entity = entity.to_string();
        let known: Option<Entity> = context.get(&entity_key(&entity))?;
        if known.is_none_or(|known| known.kind == mapping.kind && known.live(side).is_none_or(|other| other == id)) {
            return Ok(Link { entity, rule: "entity-id".to_owned(), ambiguous: false });
        }
    }
    let values = keys(mapping, side, id, columns);
    let mut candidates = Vec::with_capacity(values.len());
    for value in &values {
        let mut found = Vec::new();
        let holders: Option<Holders> = context.get(&place(mapping, value))?;
        for holder in holders.map(|holders| holders.holders).unwrap_or_default() {
            if let Some(known) = context.get::<Entity>(&entity_key(&holder.entity))? {
                found.push(Candidate { record: known.live(side).cloned(), entity: holder.entity });
            }
        }
        candidates.push(found);
    }
    let look_up = |wanted: &KeyValue| {
        values.iter().position(|value| value == wanted).and_then(|index| candidates.get(index)).cloned().unwrap_or_default()
    };
    let new = |rule: String, ambiguous: bool| Link { entity: founded(side, &own.object, id), rule, ambiguous };
    Ok(match matching::decide(&mapping.keys, id, &values, look_up) {
        Placement::Link { entity, rule } => {
            let stored = mapping.keys.iter().any(|key| key.name == rule && (key.columns.crm == RECORD_ID || key.columns.erp == RECORD_ID));
            Link { entity, rule: format!("{}:{rule}", if stored { "stored-id" } else { "key" }), ambiguous: false }
        }
        Placement::New => new("new".to_owned(), false),
        Placement::Ambiguous { rule, .. } => new(format!("ambiguous:{rule}"), true),
    })
}

/// The id of the entity that a record founds: the same for the same record, always.
pub(super) fn founded(side: Side, object: &str, id: &str) -> String {
    Uuid::new_v5(&ENTITIES, format!("{side}\0{object}\0{id}").as_bytes()).to_string()
}

/// The keys of a record in order of strength, normalised.
fn keys(mapping: &EntityMapping, side: Side, id: &str, columns: &[Field]) -> Vec<KeyValue> {
    // A value that cannot be compared identifies nobody.
    let values: Vec<(&str, Value)> =
        columns.iter().filter_map(|field| Some((field.name.as_str(), convert::value(&field.value).ok()?))).collect();
    matching::key_values(&mapping.keys, convert::side(side), id, |name| {
        values.iter().find(|(column, _)| *column == name).map(|(_, value)| value)
    })
}

/// Where the holders of a key's value are listed. The key's name, not its position, so that keys may be reordered.
fn place(mapping: &EntityMapping, value: &KeyValue) -> Vec<u8> {
    let name = mapping.keys.get(value.key).map_or("", |key| key.name.as_str());
    match_key(&mapping.kind, name, &value.value)
}

/// Moves a record's keys in the index from its old values to its new ones.
pub(super) fn index_keys(
    context: &mut Context<'_>,
    mapping: &EntityMapping,
    side: Side,
    id: &str,
    entity: &str,
    old: Option<&[Field]>,
    new: Option<&[Field]>,
) -> Result<()> {
    let list = |columns: Option<&[Field]>| columns.map_or_else(Vec::new, |columns| keys(mapping, side, id, columns));
    let (old, new) = (list(old), list(new));
    for value in old.iter().filter(|value| !new.contains(value)) {
        let place = place(mapping, value);
        if let Some(mut holders) = context.get::<Holders>(&place)? {
            holders.holders.retain(|holder| (holder.side, holder.record.as_str()) != (side, id));
            if holders.holders.is_empty() { context.delete(place) } else { context.put(place, &holders) }
        }
    }
    for value in new.iter().filter(|value| !old.contains(value)) {
        let place = place(mapping, value);
        let mut holders = context.get::<Holders>(&place)?.unwrap_or(Holders { holders: Vec::new() });
        if holders.holders.len() < MAX_HOLDERS && !holders.holders.iter().any(|holder| (holder.side, holder.record.as_str()) == (side, id))
        {
            holders.holders.push(Holder { side, record: id.to_owned(), entity: entity.to_owned() });
            context.put(place, &holders);
        }
    }
    Ok(())
}
