//! What every conflict record, write and decision must say, whatever happened.

use std::collections::{BTreeMap, BTreeSet};

use schemas::message::{Conflict, ConflictState, Side, Write};

use super::super::mapping;
use super::super::shape::{self, FIELDS, Kind, LINK, Shape, TERMS, canonical};
use super::super::system::{By, Did, Put};
use super::super::systems::Systems;
use super::Books;

/// Commit times nearer than this are not ordered, microseconds: the mappings leave it at its default.
const SKEW_US: u64 = 2_000_000;

pub(super) fn hold(systems: &Systems, books: &Books, wrong: &mut Vec<String>) {
    for conflict in books.conflicts.iter().filter(|conflict| conflict.state == ConflictState::Settled) {
        winner_has_it(conflict, wrong);
        policy_was_kept(conflict, wrong);
    }
    every_write_is_audited_once(systems, books, wrong);
    nothing_of_ours_travels_back(systems, books, wrong);
    nothing_is_sent_twice(systems, books, wrong);
    nothing_is_deleted_without_cause(systems, books, wrong);
    deletes_are_followed(systems, books, wrong);
    returns_are_followed(systems, books, wrong);
}

fn field_of(conflict: &Conflict) -> Option<usize> {
    FIELDS.iter().position(|field| field.name == conflict.field && field.kind.name() == conflict.kind)
}

/// What a settled conflict chose is what its winner held.
fn winner_has_it(conflict: &Conflict, wrong: &mut Vec<String>) {
    let held = match conflict.winner {
        Some(Side::Crm) => &conflict.crm,
        Some(Side::Erp) => &conflict.erp,
        None => return,
    };
    if field_of(conflict).is_some() && *held != conflict.chosen {
        wrong.push(format!("P1: conflict {} of {} chose {:?}, but its winner held {held:?}", conflict.id, conflict.field, conflict.chosen));
    }
}

/// What a policy settled, it settled as it says.
fn policy_was_kept(conflict: &Conflict, wrong: &mut Vec<String>) {
    let Some(field) = field_of(conflict) else { return };
    let (Some(winner), Some((policy, tie, _))) = (conflict.winner, mapping::policies(conflict.mapping_version, field)) else { return };
    // Of these, something else than the policy decides: the first policy, a delete, a direction, an edit made meanwhile.
    let ruled = ["the newer edit wins", "the edits are too close", "the CRM wins by policy", "the ERP wins by policy"];
    let by_rule = ruled.iter().any(|words| conflict.reason.starts_with(words));
    if conflict.settled_by.as_deref() != Some("policy") || !by_rule || conflict.overtaken || field == TERMS {
        return;
    }
    let apart = conflict.crm_at.abs_diff(conflict.erp_at);
    let newer = if conflict.crm_at > conflict.erp_at { Side::Crm } else { Side::Erp };
    let tie = if tie == "crm" { Side::Crm } else { Side::Erp };
    let expected = match policy {
        "crm" => Some((Side::Crm, false)),
        "erp" => Some((Side::Erp, false)),
        "last_write" if apart < SKEW_US => Some((tie, true)),
        "last_write" => Some((newer, false)),
        _ => None,
    };
    let asks = FIELDS[field].shape == Shape::Money
        && match (canonical(&conflict.crm).parse(), canonical(&conflict.erp).parse()) {
            (Ok(crm), Ok(erp)) => mapping::asks_about_credit(conflict.mapping_version, crm, erp),
            _ => false,
        };
    if asks || expected != Some((winner, conflict.tie)) {
        let Conflict { id, reason, .. } = conflict;
        wrong.push(format!("P1: conflict {id} of {} under {policy} was settled for {winner}: {reason}", conflict.field));
    }
}

/// What a target made of our write is not carried to where the value came from.
fn nothing_of_ours_travels_back(systems: &Systems, books: &Books, wrong: &mut Vec<String>) {
    for (index, put) in systems.history.iter().enumerate() {
        // What a target made of it is its own once they are two.
        if books.entities.get(&(put.side, put.id.clone())).is_some_and(|entity| books.wished.has_moved(entity)) {
            continue;
        }
        let across = books.across(put.side, &put.id);
        let there = |other: &&Put| other.field == put.field && other.side != put.side && across == Some(&other.id);
        let before = || systems.history.iter().take(index);
        // A record that was made anew since is not where it came from.
        let here = |other: &Put| other.side == put.side && other.id == put.id && other.field == put.field;
        let known = systems.history.iter().take(index).position(here).unwrap_or(index);
        let ours = before().skip(known).filter(there).any(|other| other.altered && other.value == put.value);
        // Unless a person wanted it back.
        let entity = books.entities.get(&(put.side, put.id.clone()));
        let back = |conflict: &Conflict| conflict.reason.starts_with("restored by") || conflict.reason.starts_with("undone by");
        let ours = ours && !entity.is_some_and(|entity| books.of(entity, put.field).any(back));
        let people = before().any(|other| other.field == put.field && other.value == put.value && other.by == By::Person);
        // Nor is one that had no part in it: it came from another record of the same entity, which is gone.
        let manner = systems.at(put.side.other()).manner;
        let made = |other: &&Put| {
            let edited = other.side == put.side && other.field == put.field && other.by == By::Person;
            edited && manner.kept(&other.value, put.field) == put.value
        };
        let from_here = || before().filter(made).any(|other| other.id == put.id);
        let from_another = || before().filter(made).any(|other| !systems.at(put.side).rows.contains_key(&other.id));
        let elsewhere = || !from_here() && from_another();
        // Nor can anybody know what was ours in one that we made and that was gone before any stream told of it.
        let unheard = || across.is_some_and(|id| was_unheard(systems, put.side.other(), id));
        if matches!(put.by, By::Write(_)) && !put.altered && ours && !people && !elsewhere() && !unheard() {
            wrong.push(format!(
                "P4: {:?}, made of our own write, was written to {} of {} {}",
                put.value, FIELDS[put.field].name, put.side, put.id
            ));
        }
    }
}

/// Whether a record was gone, and is back, with nothing of its first life shown.
fn was_unheard(systems: &Systems, side: Side, id: &str) -> bool {
    let mut life = systems.at(side).stream.iter().filter(|committed| committed.id == id);
    life.find(|committed| committed.shown || committed.did == Did::Gone).is_some_and(|committed| !committed.shown)
}

/// The same value is not sent to the same place by two writes, unless the first was refused or people came in between.
fn nothing_is_sent_twice(systems: &Systems, books: &Books, wrong: &mut Vec<String>) {
    if ["gap", "expired_position", "put_back"].iter().any(|kind| systems.faults.contains_key(kind)) || !systems.deletions.is_empty() {
        return;
    }
    let mut sent = BTreeSet::new();
    let writes: BTreeMap<&str, &Write> = books.writes.iter().map(|write| (write.id.as_str(), write)).collect();
    for write in writes.values().filter(|write| !books.rejected.contains(&write.id)) {
        let Some(kind) = Kind::named(&write.kind)
            .filter(|kind| kind.is_entity() && !books.wished.has_moved(&write.entity) && !books.wished.is_put_back(&write.entity))
        else {
            continue;
        };
        for value in &write.values {
            let Some(field) = shape::field_of(kind, write.side, &value.name).filter(|field| super::is_fresh(*field)) else { continue };
            if books.of(&write.entity, field).next().is_none() && !sent.insert((write.side, &write.entity, field, canonical(&value.value)))
            {
                wrong.push(format!("P4: {:?} was sent to {} of {} twice", value.value, FIELDS[field].name, write.side));
            }
        }
    }
}

/// Every write that changed something is in the audit, once; one that was also answered as rejected may be missing.
fn every_write_is_audited_once(systems: &Systems, books: &Books, wrong: &mut Vec<String>) {
    let mut entries: BTreeMap<&str, u32> = BTreeMap::new();
    for entry in &books.audit {
        *entries.entry(&entry.id).or_default() += 1;
    }
    for (write, count) in entries.iter().filter(|(_, count)| **count > 1) {
        wrong.push(format!("P3: write {} is in the audit {count} times", &write[..8]));
    }
    let mut missing = BTreeSet::new();
    for put in &systems.history {
        if let By::Write(write) = &put.by
            && !entries.contains_key(write.as_str())
            && !books.rejected.contains(write)
            && missing.insert(write)
        {
            wrong.push(format!("P1: write {} to {} {} is not in the audit", &write[..8], put.side, put.id));
        }
    }
}

/// What we deleted had its counterpart deleted: one of the entity for which that was decided, which a person may have split off
/// meanwhile.
fn nothing_is_deleted_without_cause(systems: &Systems, books: &Books, wrong: &mut Vec<String>) {
    for (side, id) in &systems.removals {
        let Some(entity) = books.entities.get(&(*side, id.clone())) else { continue };
        let before = books.wished.belonged(*side, id);
        let counterpart = |at: Side, gone: &String| {
            let theirs = books.entities.get(&(at, gone.clone())).into_iter().chain(books.wished.belonged(at, gone));
            at != *side && theirs.into_iter().any(|theirs| theirs == entity || before.contains(theirs))
        };
        let by_people = systems.deletions.iter().any(|(at, gone, _)| counterpart(*at, gone));
        let undone = before.iter().chain([entity]).any(|entity| books.wished.is_undone(entity));
        if !by_people && !undone && !systems.removals.iter().any(|(at, gone)| counterpart(*at, gone)) {
            let kind = books.kinds.get(entity).copied().unwrap_or(Kind::Customer).name();
            wrong.push(format!("P1: {kind} {id} was deleted in {side} though nobody deleted its counterpart"));
        }
    }
}

/// What people deleted was followed as the policy says, where it was the same all the time; or a conflict says why not.
fn deletes_are_followed(systems: &Systems, books: &Books, wrong: &mut Vec<String>) {
    let versions: Vec<i64> = books.versions.iter().copied().collect();
    let [version] = versions.as_slice() else { return };
    let policy = mapping::delete(*version).unwrap_or_default();
    for (side, id, _) in &systems.deletions {
        let (Some(entity), Some(other)) = (books.entities.get(&(*side, id.clone())), books.across(*side, id)) else { continue };
        let lives = |side: Side| {
            books.records.get(&(entity.clone(), side)).is_some_and(|ids| ids.iter().any(|id| systems.at(side).rows.contains_key(id)))
        };
        let question = |conflict: &Conflict| conflict.entity == *entity && conflict.field == "$record";
        let asked = books.wished.is_in_review(entity) || books.conflicts.iter().any(question);
        let undone = books.wished.is_undone(entity);
        // A person wants it made again; it waits for what it refers to.
        let waits = || {
            let value = super::value(systems, side.other(), other, LINK);
            books.wished.is_wanted_in(entity, *side) && books.leads_nowhere(systems, side.other(), LINK, &value)
        };
        // It was made and deleted before any stream told of it.
        let unheard = || systems.at(*side).stream.iter().filter(|committed| committed.id == *id).all(|committed| !committed.shown);
        let stays = lives(*side) || asked || undone || waits() || unheard();
        let Some(there) = systems.at(side.other()).rows.get(other).filter(|_| !stays) else { continue };
        let archived = ["Archived__c", "archived"].iter().any(|column| there.values.get(*column) == Some(&schemas::Value::Bool(true)));
        if policy == "ask" || policy == "delete" || (policy == "archive" && !archived) {
            wrong.push(format!("P2: {side} {id} was deleted, and {policy} did not follow for {other}"));
        }
    }
}

/// What people brought back has its counterpart, unless that is up to people or they deleted it; then the law above judges.
fn returns_are_followed(systems: &Systems, books: &Books, wrong: &mut Vec<String>) {
    for (side, id, _) in systems.returns.iter().filter(|(side, id, _)| systems.at(*side).rows.contains_key(id)) {
        let Some(entity) = books.entities.get(&(*side, id.clone())) else { continue };
        let other = side.other();
        let of = |(at, id): (Side, &String)| at == other && books.entities.get(&(at, id.clone())) == Some(entity);
        let lives = systems.at(other).rows.keys().any(|id| of((other, id)));
        let waits = books.leads_nowhere(systems, *side, LINK, &super::value(systems, *side, id, LINK));
        let asked = books.is_up_to_people(entity, other) || books.wished.is_undone(entity);
        if !lives && !waits && !asked && !systems.deletions.iter().any(|(at, id, _)| of((*at, id))) {
            wrong.push(format!("P2: {side} {id} is back, and nothing stands for it in {other}"));
        }
    }
}
