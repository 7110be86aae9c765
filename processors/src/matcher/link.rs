//! The index from match keys to records, and what the keys say of one record.
//!
//! A record's deciding key is the strongest that anybody else has too. Two records are one entity by a key when it is the
//! deciding key of both and nobody else has it; anything else is for a person. So the answer depends on which records there
//! are, never on which came first.

use reconcile::Value;
use reconcile::mapping::{EntityMapping, MatchKey};
use reconcile::matching::{self, KeyValue};
use schemas::message::{Field, Side};
use uuid::Uuid;

use super::apart::is_apart;
use super::pair::Spot;
use super::state::{Entity, Holder, Holders, Known, MARK, entity_key, match_key, record_key, suspect_key};
use super::stray::{self, ENTITY_ID};
use crate::convert;
use crate::error::Result;
use crate::task::Context;

/// A column name that stands for the record id.
const RECORD_ID: &str = "$id";

/// More records than this with one value of a key, and the key says nothing.
const MAX_HOLDERS: usize = 16;

/// Namespace of entity ids made from founding records.
const ENTITIES: Uuid = Uuid::from_bytes(*b"concord:entities");

/// What the keys say of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ByKey {
    /// Nobody else has any of them.
    Nobody,
    /// It is this entity.
    One { entity: String, rule: String },
    /// It may be one of these, which the key of this name cannot tell.
    Some { entities: Vec<String>, key: String },
}

/// A record that keys are asked about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) side: Side,
    pub(super) id: &'a str,
    /// Its entity, if it has one.
    pub(super) entity: Option<&'a str>,
    pub(super) columns: &'a [Field],
}

/// What the keys say of a record, of which its entity has no other; stronger than any of them is the id of an entity.
pub(super) fn by_keys(context: &Context<'_>, mapping: &EntityMapping, asked: Asked<'_>) -> Result<ByKey> {
    let named = stray::others(context, mapping, asked)?;
    if let [other] = named.as_slice()
        && context.get::<Entity>(&entity_key(other))?.is_some_and(|known| known.only_side() == Some(asked.side.other()))
    {
        return Ok(ByKey::One { entity: other.clone(), rule: ENTITY_ID.to_owned() });
    }
    if !named.is_empty() {
        return Ok(ByKey::Some { entities: named, key: ENTITY_ID.to_owned() });
    }
    let Some((key, others)) = deciding(context, mapping, asked)? else { return Ok(ByKey::Nobody) };
    let name = mapping.keys.get(key).map_or("", |key| key.name.as_str());
    if let [other] = others.as_slice() {
        let known: Option<Entity> = context.get(&entity_key(other))?;
        let free = known.filter(|known| known.only_side() == Some(asked.side.other()));
        if let Some(record) = free.as_ref().and_then(|known| known.live(asked.side.other())) {
            let object = &mapping.sides[convert::side(asked.side.other())].object;
            let there: Option<Known> = context.get(&record_key(asked.side.other(), object, record))?;
            let columns = there.map(|there| there.columns).unwrap_or_default();
            let back = Asked { side: asked.side.other(), id: record, entity: Some(other), columns: &columns };
            // A stronger key of the other one says something else.
            if stronger_key(context, mapping, back, key)?.is_none() {
                return Ok(ByKey::One { entity: other.clone(), rule: rule(&mapping.keys, name) });
            }
        }
    }
    Ok(ByKey::Some { entities: others, key: name.to_owned() })
}

/// `stored-id:<key>` or `key:<key>`.
fn rule(keys: &[MatchKey], name: &str) -> String {
    let stored = keys.iter().any(|key| key.name == name && (key.columns.crm == RECORD_ID || key.columns.erp == RECORD_ID));
    format!("{}:{name}", if stored { "stored-id" } else { "key" })
}

/// A record's deciding key, and the other entities that have its value.
fn deciding(context: &Context<'_>, mapping: &EntityMapping, asked: Asked<'_>) -> Result<Option<(usize, Vec<String>)>> {
    stronger_key(context, mapping, asked, usize::MAX)
}

/// The same among the keys stronger than one.
fn stronger_key(context: &Context<'_>, mapping: &EntityMapping, asked: Asked<'_>, than: usize) -> Result<Option<(usize, Vec<String>)>> {
    for value in keys(mapping, asked.side, asked.id, asked.columns).iter().filter(|value| value.key < than) {
        let others = others(context, mapping, asked, value)?;
        if !others.is_empty() {
            return Ok(Some((value.key, others)));
        }
    }
    Ok(None)
}

/// The other entities that have a value of a key, in order; those that a person said are others are left out.
fn others(context: &Context<'_>, mapping: &EntityMapping, asked: Asked<'_>, value: &KeyValue) -> Result<Vec<String>> {
    let Some(holders) = context.get::<Holders>(&place(mapping, value))?.filter(|holders| !holders.many) else { return Ok(Vec::new()) };
    let mut found: Vec<String> = Vec::new();
    for holder in holders.holders.into_iter().filter(|_| !planted::on(planted::Bug::IgnoreKeys)) {
        let own = (holder.side, holder.record.as_str()) == (asked.side, asked.id) || asked.entity == Some(holder.entity.as_str());
        if own || found.contains(&holder.entity) {
            continue;
        }
        if let Some(known) = context.get::<Entity>(&entity_key(&holder.entity))?
            && !is_apart(context, asked.side, asked.id, &known)?
        {
            found.push(holder.entity);
        }
    }
    found.sort();
    Ok(found)
}

/// Whether two records that a key has linked are linked by it when all records are known: the key decides for both, and nobody
/// else has it.
pub(super) fn still_linked(context: &Context<'_>, mapping: &EntityMapping, pair: [(&Spot, &[Field]); 2]) -> Result<bool> {
    let mut deciding = Vec::with_capacity(2);
    for (spot, columns) in pair {
        let mut found = None;
        for value in keys(mapping, spot.side, &spot.record, columns) {
            let Some(holders) = context.get::<Holders>(&place(mapping, &value))?.filter(|holders| !holders.many) else { continue };
            if holders.holders.iter().any(|holder| (holder.side, holder.record.as_str()) != (spot.side, spot.record.as_str())) {
                found = Some((value, holders.holders.len()));
                break;
            }
        }
        deciding.push(found);
    }
    Ok(matches!(deciding.as_slice(), [Some((one, 2)), Some((other, 2))] if one == other))
}

/// The id of the entity that a record founds: the same for the same record, always.
pub(super) fn founded(side: Side, object: &str, id: &str) -> String {
    Uuid::new_v5(&ENTITIES, format!("{side}\0{object}\0{id}").as_bytes()).to_string()
}

/// The id of an entity of a record's own: the one it founds, or the next that no other record stands in or bears.
pub(super) fn own_entity(context: &Context<'_>, kind: &str, side: Side, object: &str, id: &str) -> Result<String> {
    let mut entity = founded(side, object, id);
    for number in 1..u32::MAX {
        let known: Option<Entity> = context.get(&entity_key(&entity))?;
        if known.is_none_or(|known| known.kind == kind && known.is_empty()) && !stray::is_borne(context, &entity)? {
            break;
        }
        entity = Uuid::new_v5(&ENTITIES, format!("{side}\0{object}\0{id}\0{number}").as_bytes()).to_string();
    }
    Ok(entity)
}

/// The entity id that a record carries, as a record made by Concord does.
pub(super) fn carried_entity(mapping: &EntityMapping, side: Side, columns: &[Field]) -> Option<String> {
    let column = &mapping.sides[convert::side(side)].id_column;
    let carried =
        super::state::column(columns, column).and_then(convert::id_text).filter(|_| !planted::on(planted::Bug::IgnoreEntityId))?;
    Uuid::try_parse(carried.trim()).ok().map(|entity| entity.to_string())
}

/// The keys of a record in order of strength, normalised.
pub(super) fn keys(mapping: &EntityMapping, side: Side, id: &str, columns: &[Field]) -> Vec<KeyValue> {
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

/// A record's place in the index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) side: Side,
    pub(super) id: &'a str,
    pub(super) entity: &'a str,
    /// First copies are still running: who shares a key with somebody else is noted, to be looked at again when they are done.
    pub(super) copying: bool,
}

/// Moves a record's keys in the index from its old values to its new ones; whether any changed.
pub(super) fn index_keys(
    context: &mut Context<'_>,
    mapping: &EntityMapping,
    entry: Entry<'_>,
    old: Option<&[Field]>,
    new: Option<&[Field]>,
) -> Result<bool> {
    let Entry { side, id, entity, copying } = entry;
    let list = |columns: Option<&[Field]>| columns.map_or_else(Vec::new, |columns| keys(mapping, side, id, columns));
    let (old, new) = (list(old), list(new));
    for value in old.iter().filter(|value| !new.contains(value)) {
        let place = place(mapping, value);
        if let Some(mut holders) = context.get::<Holders>(&place)? {
            holders.holders.retain(|holder| (holder.side, holder.record.as_str()) != (side, id));
            if holders.holders.is_empty() && !holders.many { context.delete(place) } else { context.put(place, &holders) }
        }
    }
    for value in new.iter().filter(|value| !old.contains(value)) {
        let place = place(mapping, value);
        let mut holders = context.get::<Holders>(&place)?.unwrap_or(Holders { holders: Vec::new(), many: false });
        if holders.many || holders.holders.iter().any(|holder| (holder.side, holder.record.as_str()) == (side, id)) {
            continue;
        }
        if holders.holders.len() >= MAX_HOLDERS {
            // Who it was said to tell apart is looked at again as well.
            holders.many = true;
        } else {
            holders.holders.push(Holder { side, record: id.to_owned(), entity: entity.to_owned() });
        }
        if copying && holders.holders.iter().any(|holder| holder.entity != entity) {
            for holder in &holders.holders {
                context.put(suspect_key(&mapping.kind, &holder.entity), &MARK);
            }
            context.put(suspect_key(&mapping.kind, entity), &MARK);
        }
        context.put(place, &holders);
    }
    Ok(old != new)
}

/// Lists a record's keys under another entity.
pub(super) fn index_under(
    context: &mut Context<'_>,
    mapping: &EntityMapping,
    side: Side,
    id: &str,
    columns: &[Field],
    entity: &str,
) -> Result<()> {
    for value in keys(mapping, side, id, columns) {
        let place = place(mapping, &value);
        let Some(mut holders) = context.get::<Holders>(&place)? else { continue };
        for holder in holders.holders.iter_mut().filter(|holder| (holder.side, holder.record.as_str()) == (side, id)) {
            entity.clone_into(&mut holder.entity);
        }
        context.put(place, &holders);
    }
    Ok(())
}
