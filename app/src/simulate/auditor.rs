//! What must hold at rest, computed the slow and obvious way from everything that ever stood in either system: P1 to P4 of
//! the design.

use std::collections::{BTreeMap, BTreeSet};

use schemas::message::{Conflict, ConflictState, EntityLink, Side};

use super::system::{By, FIELDS, Manner, Put, canonical, id_column, number_column};
use super::systems::Systems;
use super::world::World;

/// A record: side and id.
type Place = (Side, String);

/// What the log says of records and conflicts.
struct Books {
    entities: BTreeMap<Place, String>,
    records: BTreeMap<(String, Side), BTreeSet<String>>,
    conflicts: Vec<Conflict>,
}

/// What is wrong with a world at rest.
pub(super) async fn audit(world: &World) -> anyhow::Result<Vec<String>> {
    let mut entities = BTreeMap::new();
    for link in world.messages::<EntityLink>(&world.topics.entity_links()).await? {
        let place = (link.side, link.record.clone());
        if link.linked {
            entities.insert(place, link.entity);
        } else {
            entities.remove(&place);
        }
    }
    let mut records: BTreeMap<(String, Side), BTreeSet<String>> = BTreeMap::new();
    let conflicts = world.latest_conflicts().await?.into_values().collect();
    let systems = world.systems.lock();
    for ((side, id), entity) in &entities {
        records.entry((entity.clone(), *side)).or_default().insert(id.clone());
    }
    for ((_, side), ids) in &mut records {
        // A record that was made anew stands for the one that was deleted.
        let rows = &systems.at(*side).rows;
        if ids.iter().any(|id| rows.contains_key(id)) {
            ids.retain(|id| rows.contains_key(id));
        }
    }
    let books = Books { entities, records, conflicts };
    let mut wrong = Vec::new();
    once(&systems, &books, &mut wrong);
    for entity in books.entities.values().collect::<BTreeSet<_>>() {
        agreement(&systems, &books, entity, &mut wrong);
        bounded(&systems, &books, entity, &mut wrong);
    }
    for (index, put) in systems.history.iter().enumerate() {
        if put.by == By::Person {
            accounted(&systems, &books, index, put, &mut wrong);
        }
    }
    Ok(wrong)
}

fn value(systems: &Systems, side: Side, id: &str, field: usize) -> String {
    let row = systems.at(side).rows.get(id);
    row.and_then(|row| row.values.get(FIELDS[field].column(side))).map(canonical).unwrap_or_default()
}

fn kept(manner: Manner, text: &str, field: usize) -> String {
    manner.kept(text, field)
}

impl Books {
    /// The record across, when there is exactly one.
    fn across(&self, side: Side, id: &str) -> Option<&String> {
        let entity = self.entities.get(&(side, id.to_owned()))?;
        let others = self.records.get(&(entity.clone(), side.other()))?;
        others.first().filter(|_| others.len() == 1)
    }

    fn of<'a>(&'a self, entity: &'a str, field: usize) -> impl Iterator<Item = &'a Conflict> {
        self.conflicts.iter().filter(move |conflict| conflict.entity == entity && conflict.field == FIELDS[field].name)
    }

    fn is_held(&self, entity: &str, field: usize) -> bool {
        self.of(entity, field).any(|conflict| conflict.state == ConflictState::Open)
    }
}

/// P3: no record twice, no write done twice.
fn once(systems: &Systems, books: &Books, wrong: &mut Vec<String>) {
    for side in [Side::Crm, Side::Erp] {
        let mut numbers: BTreeMap<String, u32> = BTreeMap::new();
        let mut ids: BTreeMap<String, u32> = BTreeMap::new();
        for (id, row) in &systems.at(side).rows {
            if !books.entities.contains_key(&(side, id.clone())) {
                wrong.push(format!("P2: {side} {id} belongs to no entity"));
            }
            let text = |column: &str| row.values.get(column).and_then(schemas::Value::as_text).map(str::to_owned);
            if let Some(number) = text(number_column(side)) {
                *numbers.entry(number).or_default() += 1;
            }
            if let Some(entity) = text(id_column(side)) {
                *ids.entry(entity).or_default() += 1;
            }
        }
        for (number, count) in numbers.iter().chain(&ids).filter(|(_, count)| **count > 1) {
            wrong.push(format!("P3: {count} records of {number} in {side}"));
        }
    }
    // What a write made and a person deleted before the write's answer was known is made again.
    let deleted = |write: &str| {
        let made = systems.history.iter().filter(|put| put.by == By::Write(write.to_owned()));
        made.map(|put| (put.side, &put.id)).any(|(side, id)| systems.deletions.iter().any(|(at, gone, _)| *at == side && gone == id))
    };
    for (write, count) in systems.effects.iter().filter(|(write, count)| **count > 1 && !deleted(write)) {
        wrong.push(format!("P3: write {} took effect {count} times", &write[..8]));
    }
}

/// P2: both sides have the record and hold what corresponds, unless a person is asked.
fn agreement(systems: &Systems, books: &Books, entity: &str, wrong: &mut Vec<String>) {
    let record = |side: Side| books.records.get(&(entity.to_owned(), side)).and_then(|ids| ids.first().filter(|_| ids.len() == 1));
    let (Some(crm), Some(erp)) = (record(Side::Crm), record(Side::Erp)) else {
        if [Side::Crm, Side::Erp].into_iter().any(|side| record(side).is_some_and(|id| !systems.at(side).rows.contains_key(id))) {
            return;
        }
        wrong.push(format!("P2: entity {} has {:?} in the CRM and {:?} in the ERP", &entity[..8], record(Side::Crm), record(Side::Erp)));
        return;
    };
    if !systems.crm.rows.contains_key(crm) || !systems.erp.rows.contains_key(erp) {
        return;
    }
    for field in 0..FIELDS.len() {
        if books.is_held(entity, field) {
            continue;
        }
        let (here, there) = (value(systems, Side::Crm, crm, field), value(systems, Side::Erp, erp, field));
        if here != there && kept(systems.erp.manner, &here, field) != there && kept(systems.crm.manner, &there, field) != here {
            wrong.push(format!("P2: {} of crm {crm} is {here:?}, of erp {erp} {there:?}", FIELDS[field].name));
        }
    }
}

/// P4: an edit is written across once; where sides disagreed, settling it may take some more.
fn bounded(systems: &Systems, books: &Books, entity: &str, wrong: &mut Vec<String>) {
    for field in 0..FIELDS.len() {
        let ours = |put: &&Put| put.field == field && books.entities.get(&(put.side, put.id.clone())).is_some_and(|found| found == entity);
        let conflicts = books.of(entity, field).count();
        let (mut edits, mut writes) = (0, 0);
        // A record that is made anew is filled anew.
        let gone = |side: Side| {
            systems
                .at(side)
                .gone
                .keys()
                .filter(move |id| books.entities.get(&(side, (*id).clone())).is_some_and(|found| found == entity))
                .count()
        };
        let made_anew = gone(Side::Crm) + gone(Side::Erp);
        // A row that is read again does not say who made of a written value what stands there.
        let nameless = systems.faults.contains_key("gap") || systems.faults.contains_key("expired_position");
        let mut written: BTreeSet<(Side, &str, &str)> = BTreeSet::new();
        for put in systems.history.iter().filter(ours) {
            match &put.by {
                By::Person | By::Trigger => edits += 1,
                By::Write(_) => {
                    writes += 1;
                    edits += usize::from(put.altered && nameless);
                    if !written.insert((put.side, &put.id, &put.value)) && conflicts == 0 {
                        wrong.push(format!("P4: {:?} was written to {} of {} {} twice", put.value, FIELDS[field].name, put.side, put.id));
                    }
                }
            }
        }
        if writes > edits + 2 * conflicts + made_anew {
            wrong.push(format!("P4: {writes} writes of {} after {edits} edits and {conflicts} conflicts", FIELDS[field].name));
        }
    }
}

/// P1: what a person put somewhere ended as the agreed value, was replaced on its own side, had been carried across, or is on
/// record.
fn accounted(systems: &Systems, books: &Books, index: usize, edit: &Put, wrong: &mut Vec<String>) {
    let (side, field) = (edit.side, edit.field);
    let here = |put: &Put| put.side == side && put.id == edit.id && put.field == field;
    let later = || systems.history.iter().skip(index + 1);
    if later().any(|put| here(put) && !matches!(put.by, By::Write(_))) {
        return;
    }
    if systems.deletions.iter().any(|(at, id, before)| *at == side && *id == edit.id && *before > index) {
        return;
    }
    let other = side.other();
    let across = books.across(side, &edit.id);
    let there = |put: &Put| put.side == other && put.field == field && across == Some(&put.id);
    let short = kept(systems.at(other).manner, &edit.value, field);
    let same = |text: &str| text == edit.value || text == short;
    if later().any(|put| there(put) && same(&put.value))
        || systems.history.iter().take(index).any(|put| there(put) && put.value == edit.value)
    {
        return;
    }
    // Nobody could have known: no stream ever showed it, and without strict mode the CRM does not check at commit. A row read
    // again shows what stands by then.
    let unshown = systems.at(side).stream.get(edit.position).is_some_and(|committed| !committed.shown);
    if side == Side::Crm && unshown && later().any(here) {
        return;
    }
    let entity = books.entities.get(&(side, edit.id.clone()));
    let recorded = entity.is_some_and(|entity| {
        books.of(entity, field).any(|conflict| {
            let held = if side == Side::Crm { &conflict.crm } else { &conflict.erp };
            canonical(held) == edit.value || canonical(&conflict.chosen) == edit.value
        })
    });
    let held = entity.is_some_and(|entity| books.is_held(entity, field));
    let stands = value(systems, side, &edit.id, field) == edit.value;
    let agrees = across.is_some_and(|id| same(&value(systems, other, id, field)));
    let alone = across.is_none_or(|id| !systems.at(other).rows.contains_key(id));
    if !(recorded || stands && (held || agrees || alone)) {
        wrong.push(format!("P1: {:?} of {} in {side} {} is lost", edit.value, FIELDS[field].name, edit.id));
    }
}
