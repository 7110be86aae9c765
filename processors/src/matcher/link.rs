//! Which entity a record belongs to, and the index from match keys to entities.

use reconcile::mapping::EntityMapping;
use schemas::message::{Field, Side};
use uuid::Uuid;

use super::state::{Entity, Holder, Holders, column, entity_key, match_key};
use crate::canon;
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
            return Ok(Link { entity, rule: "entity-id".to_owned() });
        }
    }
    for (key, value) in keys(mapping, side, id, columns) {
        let holders: Option<Holders> = context.get(&match_key(&mapping.kind, &key.name, &value))?;
        let mut free: Vec<String> = Vec::new();
        for holder in holders.map(|holders| holders.holders).unwrap_or_default() {
            let known: Option<Entity> = context.get(&entity_key(&holder.entity))?;
            if known.is_some_and(|known| known.live(side).is_none_or(|other| other == id)) && !free.contains(&holder.entity) {
                free.push(holder.entity);
            }
        }
        // Two entities with the same key: it does not say which.
        if let [entity] = free.as_slice() {
            let stored = key.columns.crm == RECORD_ID || key.columns.erp == RECORD_ID;
            return Ok(Link { entity: entity.clone(), rule: format!("{}:{}", if stored { "stored-id" } else { "key" }, key.name) });
        }
    }
    Ok(Link { entity: founded(side, &own.object, id), rule: "new".to_owned() })
}

/// The id of the entity that a record founds: the same for the same record, always.
pub(super) fn founded(side: Side, object: &str, id: &str) -> String {
    Uuid::new_v5(&ENTITIES, format!("{side}\0{object}\0{id}").as_bytes()).to_string()
}

/// The keys of a record in order of strength, normalised.
fn keys<'a>(mapping: &'a EntityMapping, side: Side, id: &'a str, columns: &'a [Field]) -> impl Iterator<Item = (&'a reconcile::mapping::MatchKey, String)> {
    mapping.keys.iter().filter_map(move |key| {
        let name = &key.columns[convert::side(side)];
        let raw = if name == RECORD_ID { Some(id.to_owned()) } else { column(columns, name).and_then(convert::id_text) };
        Some((key, canon::normal(key.normal, &raw?)?))
    })
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
    let list = |columns: Option<&[Field]>| -> Vec<(String, String)> {
        columns.map_or_else(Vec::new, |columns| keys(mapping, side, id, columns).map(|(key, value)| (key.name.clone(), value)).collect())
    };
    let (old, new) = (list(old), list(new));
    for (name, value) in old.iter().filter(|pair| !new.contains(pair)) {
        let place = match_key(&mapping.kind, name, value);
        if let Some(mut holders) = context.get::<Holders>(&place)? {
            holders.holders.retain(|holder| (holder.side, holder.record.as_str()) != (side, id));
            if holders.holders.is_empty() { context.delete(place) } else { context.put(place, &holders) }
        }
    }
    for (name, value) in new.iter().filter(|pair| !old.contains(pair)) {
        let place = match_key(&mapping.kind, name, value);
        let mut holders = context.get::<Holders>(&place)?.unwrap_or(Holders { holders: Vec::new() });
        if holders.holders.len() < MAX_HOLDERS && !holders.holders.iter().any(|holder| (holder.side, holder.record.as_str()) == (side, id)) {
            holders.holders.push(Holder { side, record: id.to_owned(), entity: entity.to_owned() });
            context.put(place, &holders);
        }
    }
    Ok(())
}
