//! What must hold at rest, computed the slow and obvious way from everything that ever stood in either system: P1 to P4 of
//! the design, and in [`laws`] what the records of conflicts, writes and decisions say.

mod laws;
mod wishes;

use std::collections::{BTreeMap, BTreeSet};

use schemas::message::{AuditEntry, Conflict, ConflictState, Outcome, OutcomeResult, Side, Write};

use super::shape::{FIELDS, Kind, LINK, Shape, TERMS, canonical, common, fields, id_column, number_column};
use super::system::{By, Put, Row};
use super::systems::Systems;
use super::world::World;
use wishes::{Wished, wished};

/// A record: side and id.
type Place = (Side, String);

/// What the log says of records and conflicts.
struct Books {
    entities: BTreeMap<Place, String>,
    kinds: BTreeMap<String, Kind>,
    records: BTreeMap<(String, Side), BTreeSet<String>>,
    conflicts: Vec<Conflict>,
    audit: Vec<AuditEntry>,
    /// Writes that were ever answered as rejected.
    rejected: BTreeSet<String>,
    /// Every write that was ever sent.
    writes: Vec<Write>,
    /// Versions of the mapping that were ever in force.
    versions: BTreeSet<i64>,
    /// What people asked for.
    wished: Wished,
}

/// What is wrong with a world at rest.
pub(super) async fn audit(world: &mut World) -> anyhow::Result<Vec<String>> {
    let mut entities = BTreeMap::new();
    let mut kinds = BTreeMap::new();
    let mut linked = BTreeSet::new();
    let links = world.every_link().await?;
    for link in links.clone() {
        let Some(kind) = Kind::named(&link.kind).filter(|kind| kind.is_entity()) else { continue };
        let place = (link.side, link.record.clone());
        linked.insert(place.clone());
        // Of what is deleted it is still known whose it was.
        if link.linked || link.rule == "deleted" {
            kinds.insert(link.entity.clone(), kind);
            entities.insert(place, link.entity);
        } else {
            entities.remove(&place);
        }
    }
    let mut records: BTreeMap<(String, Side), BTreeSet<String>> = BTreeMap::new();
    let conflicts: Vec<Conflict> = world.latest_conflicts().await?.into_values().collect();
    let wished = wished(world, &links, &conflicts).await?;
    let audit = world.messages::<AuditEntry>(&world.topics.audit()).await?;
    // Of what we made and its stream never showed, because it was gone by then, only the audit knows whose it was.
    let of_both = |entry: &&AuditEntry| Kind::named(&entry.kind).is_some_and(Kind::is_entity);
    for entry in audit.iter().filter(of_both).filter(|entry| !linked.contains(&(entry.side, entry.record.clone()))) {
        entities.insert((entry.side, entry.record.clone()), entry.entity.clone());
    }
    let outcomes = world.messages::<Outcome>(&world.topics.outcomes()).await?;
    let rejected = outcomes.into_iter().filter(|outcome| outcome.result == OutcomeResult::Rejected).map(|outcome| outcome.write).collect();
    let mut writes = world.messages::<Write>(&world.topics.writes(Side::Crm)).await?;
    writes.extend(world.messages::<Write>(&world.topics.writes(Side::Erp)).await?);
    let systems = world.systems.lock();
    for ((side, id), entity) in &entities {
        records.entry((entity.clone(), *side)).or_default().insert(id.clone());
    }
    for ((_, side), ids) in &mut records {
        // A record that was made anew stands for the one that was deleted.
        let rows = &systems.at(*side).rows;
        if ids.iter().any(|id| rows.contains_key(id)) {
            ids.retain(|id| rows.contains_key(id));
        } else {
            // Of several that are gone any stands for that.
            *ids = ids.pop_last().into_iter().collect();
        }
    }
    let books = Books { entities, kinds, records, conflicts, audit, rejected, writes, versions: world.versions(), wished };
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
    laws::hold(&systems, &books, &mut wrong);
    wishes::hold(&systems, &books, &links, &mut wrong);
    Ok(wrong)
}

/// Whether each edit of a field puts in another value than any before.
fn is_fresh(field: usize) -> bool {
    matches!(FIELDS[field].shape, Shape::Text | Shape::Money)
}

/// A field as it stands, as both sides call it; a reference is the record id of its own side.
fn value(systems: &Systems, side: Side, id: &str, field: usize) -> String {
    let row = systems.at(side).rows.get(id);
    row.and_then(|row| row.values.get(FIELDS[field].column(side))).map(|value| common(field, value)).unwrap_or_default()
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

    /// Those of an entity and of every other that ever had a record of it.
    fn of_family<'a>(&'a self, entity: &'a str, field: usize) -> impl Iterator<Item = &'a Conflict> {
        self.wished.family(entity).flat_map(move |entity| self.of(entity, field))
    }

    fn is_held(&self, entity: &str, field: usize) -> bool {
        self.of(entity, field).any(|conflict| conflict.state == ConflictState::Open)
    }

    /// Whether a person left to each side the value that stands there.
    fn keeps_both(&self, entity: &str, field: usize, crm: &str, erp: &str) -> bool {
        let said = |side: Side, value: &schemas::Value, stands: &str| {
            let value = common(field, value);
            value == stands || value == self.meaning(side, field, stands)
        };
        // A write that settled a first contact is taken back by giving each side its own. What a person chooses for a field that
        // travels one way only is not carried against it.
        let back = |conflict: &Conflict| {
            let by_person = conflict.settled_by.as_deref().is_some_and(|by| by != "policy");
            conflict.reason.starts_with("undone by") || field == TERMS && by_person && self.wished.has_undos()
        };
        self.of(entity, field)
            .any(|settled| settled.both && said(Side::Crm, &settled.crm, crm) && said(Side::Erp, &settled.erp, erp) || back(settled))
    }

    /// A value so that both sides' can be compared: a reference as the entity that it means.
    fn meaning(&self, side: Side, field: usize, value: &str) -> String {
        if FIELDS[field].shape != Shape::Link {
            return value.to_owned();
        }
        self.entities.get(&(side, value.to_owned())).cloned().unwrap_or_else(|| value.to_owned())
    }

    /// Whether a reference means a customer that the other side does not have, so that it cannot be said there.
    fn leads_nowhere(&self, systems: &Systems, side: Side, field: usize, value: &str) -> bool {
        if FIELDS[field].shape != Shape::Link || value.is_empty() {
            return false;
        }
        let other = self.across(side, value);
        !systems.at(side).rows.contains_key(value) || other.is_none_or(|other| !systems.at(side.other()).rows.contains_key(other))
    }

    /// Whether a person is asked who an entity is or whether a side's record of it is made, or does not want it made.
    fn is_up_to_people(&self, entity: &str, side: Side) -> bool {
        let question =
            |conflict: &Conflict| conflict.entity == entity && conflict.field == "$record" && conflict.state == ConflictState::Open;
        self.wished.is_in_review(entity) || self.wished.is_unwanted(entity, side) || self.conflicts.iter().any(question)
    }

    /// Whether edits of terms in the CRM may have been left where they are.
    fn drifts(&self) -> bool {
        self.versions.iter().filter_map(|version| super::mapping::policies(*version, TERMS)).any(|(_, _, drift)| drift != "reassert")
    }
}

/// P3: no record twice, no write done twice.
fn once(systems: &Systems, books: &Books, wrong: &mut Vec<String>) {
    for side in [Side::Crm, Side::Erp] {
        let mut numbers: BTreeMap<String, u32> = BTreeMap::new();
        let mut ids: BTreeMap<String, u32> = BTreeMap::new();
        for (id, row) in systems.at(side).rows.iter().filter(|(_, row)| row.kind != Kind::Opportunity) {
            let waits = row.kind == Kind::Order
                || row.kind == Kind::Contact && books.leads_nowhere(systems, side, LINK, &value(systems, side, id, LINK));
            if !books.entities.contains_key(&(side, id.clone())) && !waits {
                wrong.push(format!("P2: {side} {id} belongs to no entity"));
            }
            let text = |column: &str| row.values.get(column).and_then(schemas::Value::as_text).map(str::to_owned);
            // A person is asked whether it is another one's double.
            if books.entities.get(&(side, id.clone())).is_some_and(|entity| books.wished.is_in_review(entity)) {
                continue;
            }
            if let Some(number) = text(number_column(side)).filter(|number| !systems.shared_numbers.contains(number)) {
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
    for (write, count) in systems.effects.iter().filter(|(write, count)| **count > 1 && !is_hidden(systems, write)) {
        wrong.push(format!("P3: write {} took effect {count} times", &write[..8]));
    }
}

/// Whether a write to the CRM cannot be known to have been done: the record went to another entity meanwhile and bears a write
/// of that one, and a record bears only its last.
fn is_hidden(systems: &Systems, write: &str) -> bool {
    let entity = write.split(':').next();
    let theirs = |put: &Put, id: &str| {
        let other = matches!(&put.by, By::Write(other) if other.split(':').next() != entity);
        put.side == Side::Crm && put.id == id && other
    };
    let own = |put: &Put| put.side == Side::Crm && matches!(&put.by, By::Write(own) if own == write);
    let Some(first) = systems.history.iter().position(own) else { return false };
    let after = systems.history.iter().skip(first);
    after.skip_while(|put| !theirs(put, &systems.history[first].id)).any(own)
}

/// P2: both sides have the record and hold what corresponds, unless a person is asked.
fn agreement(systems: &Systems, books: &Books, entity: &str, wrong: &mut Vec<String>) {
    let kind = books.kinds.get(entity).copied().unwrap_or(Kind::Customer);
    let record = |side: Side| books.records.get(&(entity.to_owned(), side)).and_then(|ids| ids.first().filter(|_| ids.len() == 1));
    let nowhere = |side: Side, id: &str| books.leads_nowhere(systems, side, LINK, &value(systems, side, id, LINK));
    let (Some(crm), Some(erp)) = (record(Side::Crm), record(Side::Erp)) else {
        let sides = [Side::Crm, Side::Erp];
        // Made by us and deleted by somebody before any stream told of it.
        let made = |side: Side| {
            let own = |row: &Row| row.values.get(id_column(side)).and_then(schemas::Value::as_text) == Some(entity);
            record(side).is_none() && systems.at(side).gone.values().any(|gone| own(&gone.row))
        };
        let excused = |side: Side| {
            record(side).is_some_and(|id| !systems.at(side).rows.contains_key(id) || kind == Kind::Contact && nowhere(side, id))
        };
        let asked = |side: Side| record(side).is_none() && (books.is_up_to_people(entity, side) || books.wished.is_undone(entity));
        if !sides.into_iter().any(|side| asked(side) || excused(side) || made(side)) {
            wrong.push(format!(
                "P2: entity {} has {:?} in the CRM and {:?} in the ERP",
                &entity[..8],
                record(Side::Crm),
                record(Side::Erp)
            ));
        }
        return;
    };
    if !systems.crm.rows.contains_key(crm) || !systems.erp.rows.contains_key(erp) {
        return;
    }
    for (field, mapped) in fields(kind) {
        if books.is_held(entity, field) || field == TERMS && books.drifts() {
            continue;
        }
        let (here, there) = (value(systems, Side::Crm, crm, field), value(systems, Side::Erp, erp, field));
        if books.keeps_both(entity, field, &here, &there) {
            continue;
        }
        if books.leads_nowhere(systems, Side::Crm, field, &here) || books.leads_nowhere(systems, Side::Erp, field, &there) {
            continue;
        }
        // What was chosen cannot be said on a side that lacks it, which is wrong or right by itself.
        let cannot_be_said = |conflict: &Conflict| {
            let chosen = canonical(&conflict.chosen);
            let lives = |side: Side| {
                let ids = books.records.get(&(chosen.clone(), side));
                ids.is_some_and(|ids| ids.iter().any(|id| systems.at(side).rows.contains_key(id)))
            };
            conflict.state == ConflictState::Settled && lives(Side::Crm) != lives(Side::Erp)
        };
        if FIELDS[field].shape == Shape::Link && books.of(entity, field).any(cannot_be_said) {
            continue;
        }
        let (here, there) = (books.meaning(Side::Crm, field, &here), books.meaning(Side::Erp, field, &there));
        let alike = here == there
            || systems.erp.manner.kept(&here, field) == there && field != TERMS
            || systems.crm.manner.kept(&there, field) == here;
        if !alike {
            wrong.push(format!("P2: {} of crm {crm} is {here:?}, of erp {erp} {there:?}", mapped.name));
        }
    }
}

/// P4: an edit is written across once; where sides disagreed, settling it may take some more.
fn bounded(systems: &Systems, books: &Books, entity: &str, wrong: &mut Vec<String>) {
    let kind = books.kinds.get(entity).copied().unwrap_or(Kind::Customer);
    let family: Vec<&str> = books.wished.family(entity).collect();
    let in_family = |found: &String| family.contains(&found.as_str());
    // A record that is made anew is filled anew.
    let went = |side: Side| -> usize {
        let own = |id: &&String| books.entities.get(&(side, (*id).clone())).is_some_and(in_family);
        systems.at(side).went.iter().filter(|(id, _)| own(id)).map(|(_, times)| times).sum()
    };
    // So is one whose record went to another entity, on both sides.
    let made_anew = went(Side::Crm) + went(Side::Erp) + 2 * books.wished.moves(entity);
    for (field, mapped) in fields(kind) {
        let is_own = |put: &Put| books.wished.belonged(put.side, &put.id).iter().any(in_family);
        let ours =
            |put: &&Put| put.field == field && (books.entities.get(&(put.side, put.id.clone())).is_some_and(in_family) || is_own(put));
        let conflicts = books.of_family(entity, field).count();
        let (mut edits, mut writes) = (0, 0);
        // People may put in once more what stood there before, and the target's automation what it made of that.
        let fresh = is_fresh(field)
            && conflicts == 0
            && made_anew == 0
            && !systems.faults.contains_key("put_back")
            && !books.wished.is_put_back(entity);
        let mut written: BTreeSet<(Side, &str, &str)> = BTreeSet::new();
        for put in systems.history.iter().filter(ours) {
            match &put.by {
                By::Person | By::Trigger => edits += 1,
                By::Return => {}
                // It was made for an entity whose place was taken meanwhile, and is a question now.
                By::Write(write) if write.split(':').next().is_some_and(|theirs| !family.contains(&theirs)) => {}
                By::Write(_) => {
                    writes += 1;
                    if !written.insert((put.side, &put.id, &put.value)) && fresh {
                        wrong.push(format!("P4: {:?} was written to {} of {} {} twice", put.value, mapped.name, put.side, put.id));
                    }
                    // A record whose delete is taken back is made again with all that was known of it.
                    if field == TERMS && put.side == Side::Erp && !books.wished.is_undone(entity) {
                        wrong.push(format!("P4: {:?} was written to terms of {} {}", put.value, put.side, put.id));
                    }
                }
            }
        }
        // What refers to a record that went to another entity refers to another record across.
        let referred = if field == LINK { 2 * books.wished.all_moves() } else { 0 };
        // What was on its way when a person wanted a lost record made follows it there.
        let made_anew = if books.wished.is_wanted(entity) { 2 * made_anew } else { made_anew };
        // An edit on its way when records part is carried across in each of the entities that they become.
        let entities = 1 + books.wished.moves(entity);
        // Back to what both held, and to what is decided next.
        let reopened = 4 * books.wished.reopened(entity);
        if writes > edits * entities + 2 * conflicts + made_anew + referred + reopened {
            wrong.push(format!("P4: {writes} writes of {} after {edits} edits and {conflicts} conflicts", mapped.name));
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
    let partners = books.wished.partners(side, &edit.id);
    let there = |put: &Put| put.side == other && put.field == field && (across == Some(&put.id) || partners.contains(&&put.id));
    let meant = books.meaning(side, field, &edit.value);
    let short = systems.at(other).manner.kept(&meant, field);
    let same = |text: &str| {
        let text = books.meaning(other, field, text);
        text == meant || text == short
    };
    // A reference is carried across as the record that stood for the same customer then; it may be another one's since.
    let stood = books.wished.partners(side, &edit.value);
    let carried = |put: &Put| there(put) && (same(&put.value) || FIELDS[field].shape == Shape::Link && stood.contains(&&put.value));
    if systems.history.iter().enumerate().any(|(at, put)| at != index && carried(put)) {
        return;
    }
    // So is nothing, to a record that we made without it.
    let made_without = |id: &String| {
        let own = |put: &&Put| put.side == other && put.id == *id;
        let first = systems.history.iter().find(own).map(|put| &put.by);
        let with = |put: &Put| put.side == other && put.id == *id && put.field == field && Some(&put.by) == first;
        matches!(first, Some(By::Write(_))) && !systems.history.iter().any(with)
    };
    if edit.value.is_empty() && across.into_iter().chain(partners.iter().copied()).any(made_without) {
        return;
    }
    // Nobody could have known: no stream ever showed it, and without strict mode the CRM does not check at commit. A row read
    // again shows what stands by then.
    let unshown = systems.at(side).stream.get(edit.position).is_some_and(|committed| !committed.shown);
    let removed = systems.removals.contains(&(side, edit.id.clone()));
    if side == Side::Crm && unshown && (later().any(here) || removed) {
        return;
    }
    // Nothing is no value: where two records meet, what is empty is filled.
    let touched = |put: &Put| put.field == field && matches!(put.by, By::Write(_)) && (put.id == edit.id || across == Some(&put.id));
    let moved = |side: Side, id: &String| books.wished.belonged(side, id).len() > 1;
    let met_since = moved(side, &edit.id) || partners.len() > 1 || across.is_some_and(|id| moved(other, id));
    if edit.value.is_empty() && (met_since || !systems.history.iter().take(index).any(touched)) {
        return;
    }
    // Of a deleted record that goes to another entity no link tells.
    let entity = books.entities.get(&(side, edit.id.clone())).or_else(|| books.wished.belonged(side, &edit.id).last());
    let recorded = entity.is_some_and(|entity| {
        books.of_family(entity, field).any(|conflict| {
            let held = if side == Side::Crm { &conflict.crm } else { &conflict.erp };
            // A reference as it was meant when the conflict was kept: its parent may be another entity's since.
            let said = |value: String| value == meant || value == edit.value || books.wished.belonged(side, &edit.value).contains(&value);
            said(canonical(held)) || said(canonical(&conflict.chosen))
        })
    });
    let held = entity.is_some_and(|entity| books.is_held(entity, field));
    let stands = value(systems, side, &edit.id, field) == edit.value;
    let agrees = across.is_some_and(|id| same(&value(systems, other, id, field)));
    let alone = across.is_none_or(|id| !systems.at(other).rows.contains_key(id));
    let waits = || across.is_some_and(|id| books.leads_nowhere(systems, other, field, &value(systems, other, id, field)));
    let stays = field == TERMS && side == Side::Crm || books.leads_nowhere(systems, side, field, &edit.value) || waits();
    if !(recorded || stands && (held || agrees || alone || stays)) {
        wrong.push(format!("P1: {:?} of {} in {side} {} is lost", edit.value, FIELDS[field].name, edit.id));
    }
}
