//! What must hold between the parts of a mapping.

use std::collections::BTreeMap;

use reconcile::mapping::{EntityMapping, FieldType, Mapping, Side};

/// Says the first thing that does not hold.
pub(super) fn check(mapping: &Mapping) -> Result<(), String> {
    let mut objects: BTreeMap<(Side, &str), &str> = BTreeMap::new();
    for entity in &mapping.entities {
        for side in Side::BOTH {
            claim(&mut objects, side, &entity.sides[side].object, &entity.kind)?;
        }
        self::entity(mapping, entity)?;
    }
    super::conversion::check(mapping)?;
    for captured in &mapping.captured {
        claim(&mut objects, captured.side, &captured.object, &captured.kind)?;
        if mapping.entities.iter().any(|entity| entity.kind == captured.kind) {
            return Err(format!("{} is both an entity and captured", captured.kind));
        }
        if captured.via.is_some() && captured.customer_column.is_none() {
            return Err(format!("captured.{}: via without customer_column says nothing", captured.kind));
        }
        if let Some(via) = &captured.via
            && !mapping.captured.iter().any(|other| other.kind == *via && other.side == captured.side && other.kind != captured.kind)
        {
            return Err(format!(
                "captured.{}.via is {via:?}, which is not another captured kind of the {} side",
                captured.kind,
                captured.side.as_str()
            ));
        }
        if captured.customer_column.is_some()
            && captured.via.is_none()
            && !mapping.entities.iter().any(|entity| entity.kind == crate::matcher::CUSTOMER)
        {
            return Err(format!("captured.{} has a customer_column, but there is no entity {:?}", captured.kind, crate::matcher::CUSTOMER));
        }
    }
    Ok(())
}

fn claim<'a>(objects: &mut BTreeMap<(Side, &'a str), &'a str>, side: Side, object: &'a str, kind: &'a str) -> Result<(), String> {
    match objects.insert((side, object), kind) {
        None => Ok(()),
        Some(other) => Err(format!("{} object {object} is mapped twice, by {other} and by {kind}", side.as_str())),
    }
}

fn entity(mapping: &Mapping, entity: &EntityMapping) -> Result<(), String> {
    if let Some(error) = reconcile::mapping::check(entity).into_iter().next() {
        return Err(format!("entity.{error}"));
    }
    super::rows::check(entity)?;
    write_column(entity)?;
    for field in &entity.fields {
        for side in Side::BOTH {
            let column = &entity.sides[side].id_column;
            if field.columns[side].has(column) {
                return Err(format!(
                    "entity.{}: {} column {column} holds the entity id and cannot be field {} too",
                    entity.kind,
                    side.as_str(),
                    field.name
                ));
            }
        }
        if let FieldType::Reference { kind } = &field.kind
            && !mapping.entities.iter().any(|other| other.kind == *kind)
        {
            return Err(format!("entity.{}.field.{} refers to {kind:?}, which is not an entity", entity.kind, field.name));
        }
    }
    Ok(())
}

/// The column of write ids is for them alone: a value that somebody else puts there would name no write.
fn write_column(entity: &EntityMapping) -> Result<(), String> {
    for side in Side::BOTH {
        let own = &entity.sides[side];
        let Some(column) = &own.write_column else { continue };
        let refused = |what: &str| {
            let side = side.as_str();
            Err(format!("entity.{}: {side} column {column} holds the ids of writes and cannot be {what} too; name another", entity.kind))
        };
        if column.is_empty() {
            return Err(format!("entity.{}.{}.write_column is empty; name a field", entity.kind, side.as_str()));
        }
        if own.id_column == *column {
            return refused("the id_column");
        }
        if let Some(field) = entity.fields.iter().find(|field| field.columns[side].has(column)) {
            return refused(&format!("field {}", field.name));
        }
        if let Some(key) = entity.keys.iter().find(|key| key.columns[side] == *column) {
            return refused(&format!("key {}", key.name));
        }
        let taken = [
            (own.constants.contains_key(column), "a constant"),
            (own.archive.contains_key(column), "an archive column"),
            (own.actor_column.as_ref() == Some(column), "the actor_column"),
        ];
        if let Some((_, what)) = taken.into_iter().find(|(taken, _)| *taken) {
            return refused(what);
        }
    }
    Ok(())
}
