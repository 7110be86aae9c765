//! Takes in what a side's stream shows: its record, values, deletion, return.

use std::collections::BTreeMap;

use super::answer;
use super::author;
use super::create;
use super::delete;
use super::echo::{self, Shown};
use super::effect::WriteKind;
use super::event::SideChange;
use super::former;
use super::settle;
use super::state::{Ahead, Creation, InFlight, Owed, Parent, Seen, Unseen, WriteNumber};
use super::turn::Turn;
use crate::mapping::{FieldMapping, FieldType, Side};
use crate::value::Value;

pub(super) fn changed(turn: &mut Turn<'_>, change: &SideChange) {
    turn.backfill = change.snapshot || change.released;
    // It may end again: what looked alone turns out to be perhaps another one.
    turn.state.may_create = change.may_create;
    learn_parents(turn, &change.references);
    if change.released {
        for side in [&mut turn.state.sides.crm, &mut turn.state.sides.erp] {
            side.create_failed = None;
        }
        return;
    }
    if planted::on(planted::Bug::CompareByOrigin) && change.ours {
        return;
    }
    if change.unlinked {
        left(turn, change);
    } else if change.deleted {
        gone(turn, change);
    } else {
        values(turn, change);
    }
}

/// The record belongs to another entity now.
fn left(turn: &mut Turn<'_>, change: &SideChange) {
    let side = change.side;
    if turn.state.sides[side].record.as_ref() != Some(&change.record) {
        return;
    }
    if let Some(number) = turn.state.sides[side].deletion {
        settle::withdraw(turn, number, None, "the record belongs to another entity now");
    }
    turn.golden = true;
    former::forget(turn, side);
}

fn learn_parents(turn: &mut Turn<'_>, references: &BTreeMap<String, Parent>) {
    for parent in references.values().filter(|parent| !parent.entity.is_empty()) {
        // A record is in one entity: whichever had it before has it no more.
        for former in turn.state.references.values_mut() {
            for side in Side::BOTH {
                former.records[side].take_if(|record| Some(&*record) == parent.records[side].as_ref());
            }
        }
        let known = turn.state.references.entry(parent.entity.clone()).or_default();
        known.entity.clone_from(&parent.entity);
        for side in Side::BOTH {
            if parent.records[side].is_some() {
                known.records[side].clone_from(&parent.records[side]);
            }
        }
    }
}

fn gone(turn: &mut Turn<'_>, change: &SideChange) {
    let side = change.side;
    let state = &mut turn.state.sides[side];
    match &state.record {
        // The loser of a merge, or a row that the entity left earlier.
        Some(record) if *record != change.record => return,
        Some(_) => {}
        None => state.record = Some(change.record.clone()),
    }
    let late = |outlived: WriteNumber| change.write.map_or(state.deleting.is_none(), |write| write <= outlived);
    if change.ours && state.outlived.is_some_and(late) {
        // The record is known to be back.
        state.outlived = None;
        return;
    }
    let deleting = state.deleting.take();
    let known = state.deleted;
    state.owed = None;
    // A refused write may have told so before; what else was on its way there goes only now, as the stream shows no more.
    if !known || deleting.is_some() {
        state.deleted = true;
        state.creating = None;
        state.at = change.at;
        state.actor.clone_from(&change.actor);
        turn.golden = true;
        // It was gone before, was back, and is gone again: what followed then follows now.
        turn.state.sides[side].followed |= delete::goes(turn, side.other());
    }
    let mapping = turn.mapping;
    for field in &mapping.fields {
        let Some(state) = turn.state.fields.get_mut(&field.name) else { continue };
        // A write that was found done and that the stream has yet to show came after this: the record is back.
        let back = state.ahead[side].as_ref().is_some_and(|ahead| ahead.until.is_some());
        state.unseen[side].retain(|unseen| !unseen.done || back);
        state.ahead[side].take_if(|_| !back);
        state.owed[side] = None;
        // Either it was carried out before the record went, which its answer will say, or it will be refused; unless the
        // record is back by then.
        if let Some(flight) = state.in_flight.take_if(|flight| flight.target == side) {
            answer::remember(turn, field, &flight);
        }
    }
    if change.ours && deleting.is_none() && !known {
        // It was decided before the record came here.
        settle::lost_with_record(turn, side.other(), None, |_| true);
    }
    let Some(number) = deleting else { return };
    let Some(open) = turn.state.writes.get_mut(&number.0) else { return };
    open.done |= change.ours;
    open.at = change.at;
    if open.command.kind == WriteKind::Delete {
        // Should a person bring it back, the other one is made anew.
        turn.state.sides[side].followed |= change.ours;
        // What was edited after we decided to delete it goes too.
        let (expected, person) = (open.command.expected.clone(), open.command.actor.clone().filter(|_| open.command.decided));
        let columns = turn.state.sides[side].columns.clone();
        let edited = |field: &FieldMapping| field.columns[side].names().any(|column| columns.get(column) != expected.get(column));
        settle::lost_with_record(turn, side.other(), person.as_deref(), edited);
        let there = &turn.state.sides[side.other()];
        let back = there.record.is_some() && !there.deleted && turn.state.sides[side].creation != Creation::Refused;
        if back && change.ours {
            // The one that it followed came back meanwhile.
            former::forget(turn, side);
        }
    }
}

fn values(turn: &mut Turn<'_>, change: &SideChange) {
    let side = change.side;
    if delete::goes(turn, side) && turn.state.sides[side].deleting <= change.write {
        // It bears the write that deletes it: it was deleted and is back, and its stream has lost both.
        gone(turn, &SideChange { deleted: true, ours: true, ..change.clone() });
    }
    let returned = turn.state.sides[side].deleted;
    let back = returned && turn.state.sides[side].record.as_ref() == Some(&change.record);
    let older = |owed: &Owed| back && owed.gone && change.at <= owed.since.saturating_add(turn.mapping.skew_us);
    if turn.state.sides[side].owed.as_ref().is_some_and(older) {
        if change.snapshot || change.returned {
            // It was there before it went, or it is back: only the record itself can tell.
            turn.state.sides[side].owed = Some(Owed { since: turn.now, gone: false });
        }
        return;
    }
    // Numbers that an earlier state of ours gave are not given again.
    turn.state.next_write = turn.state.next_write.max(change.write.map_or(0, |write| write.0 + 1));
    let there = &turn.state.sides[side];
    let former = there.former.as_ref().is_some_and(|former| former.record == change.record);
    let older = change.write.is_some() && change.write < there.creating && !former;
    // Somebody else has made one.
    let stranger = there.record.is_none() && !change.snapshot && !change.ours && change.write.is_none();
    // The answer has told which one we made.
    let another = there.creating.is_some() && there.record.as_ref().is_some_and(|made| *made != change.record);
    if returned && side == Side::Erp && change.write.is_none() && change.snapshot {
        // A row as it is found tells of no write before it, as a record in the CRM does: nothing says that it is older.
        turn.state.fields.values_mut().for_each(|field| field.ahead[side] = None);
    }
    arrive(turn, change);
    if change.joined || older || stranger || another {
        create::makes_way(turn, side);
    }
    let author = author::made_by(turn, change, back);
    let borne = author::borne(turn, change);
    let created = turn.state.sides[side].creating.take().filter(|created| borne >= Some(*created));
    let known = &turn.state.sides[side].columns;
    let moved = change.columns.iter().any(|(column, value)| known.get(column) != Some(value));
    for field in &turn.mapping.fields {
        let value = match change.fields.get(&field.name) {
            Some(value) => value.clone(),
            None => {
                unresolved(turn, field, change, author);
                echo::passed_over(turn, field, change, author, created);
                continue;
            }
        };
        let seen = Seen { value, at: change.at, actor: change.actor.clone() };
        let columns = field.columns[side].names().filter_map(|name| Some((name.to_owned(), change.columns.get(name)?.clone()))).collect();
        echo::shown(turn, field, Shown { returned, ..Shown::by(change, seen, columns, author, borne) });
    }
    keep_other_columns(turn, change);
    if let Some(number) = author {
        author::caught_up(turn, change, number);
    }
    // A live change of ours is the end of those before it; its own fields may be in several tables.
    let last = match author {
        Some(number) => number.0.checked_sub(1).map(WriteNumber),
        None => borne,
    };
    if let Some(last) = last {
        author::seal(turn, change, last, change.snapshot && change.ours);
    }
    let goes = delete::goes(turn, side);
    let done = delete::is_done(turn, side);
    let owed = &mut turn.state.sides[side].owed;
    *owed = match *owed {
        // It was found before our delete, which its stream will show then; or it is back, and the stream has lost both.
        None if goes && (change.snapshot || done) => Some(Owed { since: turn.now, gone: false }),
        owed if goes => owed,
        owed => owed.filter(|owed| !change.snapshot && (owed.gone || !moved)),
    };
    if let Some(open) = author.or(change.write).and_then(|number| turn.state.writes.get_mut(&number.0)) {
        open.done = true;
        open.at = change.at;
    }
}

/// A reference was edited to a record that nobody has heard of yet, while our write to it is on its way: should that replace it,
/// it is kept as its side's own id.
fn unresolved(turn: &mut Turn<'_>, field: &FieldMapping, change: &SideChange, author: Option<WriteNumber>) {
    let side = change.side;
    if !matches!(field.kind, FieldType::Reference { .. }) || change.snapshot || author.is_some() {
        return;
    }
    let known = &turn.state.sides[side].columns;
    let edited = field.columns[side].names().find_map(|name| {
        let value = change.columns.get(name).filter(|value| !value.is_null() && known.get(name) != Some(value))?;
        Some(value.clone())
    });
    let flight = turn.state.fields.get_mut(&field.name).and_then(|state| state.in_flight.as_mut());
    if let (Some(value), Some(flight)) = (edited, flight.filter(|flight| flight.target == side && flight.sealed.is_none())) {
        flight.between = Some(Seen { value, at: change.at, actor: change.actor.clone() });
    }
}

/// Takes in a record that was read because its stream owes something. The writes up to the one that it says it bears had their
/// chance before; it may be ahead of the stream.
pub(super) fn read(turn: &mut Turn<'_>, change: &SideChange) {
    let side = change.side;
    turn.backfill = true;
    if turn.state.sides[side].record.as_ref() != Some(&change.record) {
        return;
    }
    if turn.state.sides[side].deleted {
        if turn.state.sides[side].owed.take_if(|owed| !owed.gone).is_some() && !change.deleted {
            values(turn, &SideChange { write: None, ..change.clone() });
        }
        return;
    }
    if change.deleted {
        // Its stream will say so, after whatever came before; unless that is lost.
        let again = turn.state.sides[side].owed.is_some_and(|owed| owed.gone);
        if again {
            gone(turn, change);
        }
        turn.state.sides[side].owed = Some(Owed { since: turn.now, gone: true });
        return;
    }
    if delete::goes(turn, side) {
        let number = turn.state.sides[side].deleting;
        if delete::is_done(turn, side) && number <= change.write {
            gone(turn, &SideChange { deleted: true, ours: true, ..change.clone() });
            values(turn, &SideChange { write: None, ..change.clone() });
            turn.state.sides[side].outlived = number;
        }
        return;
    }
    // It was gone and is back, or was changed back: the stream has shown nothing because there was nothing to show.
    turn.state.sides[side].owed = None;
    for field in &turn.mapping.fields {
        let Some(value) = change.fields.get(&field.name).cloned() else { continue };
        let Some(state) = turn.state.fields.get_mut(&field.name) else { continue };
        let Some(known) = state.seen[side].clone() else { continue };
        let same = known.value == value;
        let columns: BTreeMap<String, Value> =
            field.columns[side].names().filter_map(|name| Some((name.to_owned(), change.columns.get(name)?.clone()))).collect();
        let back = |ahead: &Ahead| ahead.until.is_some() && ahead.stream.value == value && !same;
        if let Some(ahead) = state.ahead[side].as_mut().filter(|ahead| back(ahead) && !ahead.shown) {
            // What stood there before the write was put back, which its stream will show; unless that shows neither.
            ahead.shown = true;
            continue;
        }
        let behind = state.ahead[side].take_if(|ahead| back(ahead));
        if let Some(Ahead { stream, .. }) = behind {
            // What the stream has shown since stands, so it came after; the write itself was lost on the way to us.
            echo::shown(turn, field, Shown::bare(side, stream, columns));
            continue;
        }
        if let Some(ahead) = state.ahead[side].as_mut().filter(|ahead| ahead.until.is_some() && ahead.stream.value == value && same) {
            // The stream shows what stands: it may have caught up, or still be at what stood there before the write.
            ahead.same |= ahead.shown;
            ahead.shown = true;
        }
        if state.owed[side].is_some() {
            // Otherwise the stream has yet to show it, and knows who and when.
            if same {
                state.owed[side] = None;
                turn.state.sides[side].columns.extend(columns);
            }
            continue;
        }
        let covered = |flight: &&mut InFlight| flight.target == side && flight.answered && Some(flight.write) <= change.write;
        let Some(flight) = state.in_flight.as_mut().filter(covered) else { continue };
        let made = flight.told.clone().unwrap_or_else(|| author::made_of(field, &flight.value, &value, false));
        if value != made && !same {
            continue;
        }
        flight.between = flight.between.take().filter(|between| between.value != value);
        flight.sealed = Some(made.clone());
        // What stands there although the write was done has been put back since.
        if same && made != known.value {
            state.seen[side] = Some(Seen { value, at: change.at, actor: None });
        } else {
            let seen = Seen { value, at: if same { known.at } else { change.at }, actor: None };
            echo::shown(turn, field, Shown { borne: change.write, read: true, ..Shown::bare(side, seen, columns) });
        }
        echo::found(turn, field, known, change.at);
    }
}

/// The record as such: first seen, back from deletion, or another one than before.
fn arrive(turn: &mut Turn<'_>, change: &SideChange) {
    let side = change.side;
    let state = &mut turn.state.sides[side];
    let joins = state.record.is_none() && state.creating.is_none();
    if state.record.as_ref() != Some(&change.record) {
        if state.record.is_some() {
            // A merge or a new link: what was known of the old row's columns says nothing about this one's.
            state.columns.clear();
        }
        state.record = Some(change.record.clone());
        turn.golden = true;
        if state.deleted {
            made_all_the_same(turn, change);
        }
    }
    let state = &mut turn.state.sides[side];
    state.at = change.at;
    state.actor.clone_from(&change.actor);
    let there = &mut turn.state.sides[side.other()];
    there.create_failed = None;
    if joins && there.deleted && there.followed && there.creation != Creation::Refused {
        // We deleted that one because of a record which left the entity since.
        former::forget(turn, side.other());
    }
    if turn.state.sides[side].deleted {
        undeleted(turn, change);
    }
}

/// The record that we were making, after another one was there for a while.
fn made_all_the_same(turn: &mut Turn<'_>, change: &SideChange) {
    let side = change.side;
    let ours = |unseen: &Unseen| Some(unseen.write) == change.write;
    if !turn.state.fields.values().any(|field| field.unseen[side].iter().any(ours)) {
        return;
    }
    for field in turn.state.fields.values_mut() {
        field.seen[side] = None;
        let made = field.unseen[side].iter().position(ours).map(|place| field.unseen[side].remove(place));
        if let Some(made) = made.filter(|_| field.in_flight.is_none()) {
            field.in_flight = Some(InFlight::sent(made.write, side, made.value, made.source.value, Value::Null, None));
        }
    }
}

fn undeleted(turn: &mut Turn<'_>, change: &SideChange) {
    let side = change.side;
    let state = &mut turn.state.sides[side];
    state.deleted = false;
    let followed = std::mem::take(&mut state.followed);
    let deletion = state.deletion.take();
    state.follow = None;
    turn.golden = true;
    if let Some(number) = deletion {
        settle::withdraw(turn, number, Some(side), "the record is back");
    }
    let other = side.other();
    let archived = turn.state.sides[side].archived.is_some();
    let there = &mut turn.state.sides[other];
    if followed && there.deleted {
        // We deleted one of the two; it is made anew, and nothing known of the old one holds.
        former::forget(turn, other);
    } else if there.deleted && there.follow.is_none() && !archived {
        // What was to follow did not find this one.
        there.followed = false;
    }
}

/// Columns without a field: kept for audit and for deletes.
fn keep_other_columns(turn: &mut Turn<'_>, change: &SideChange) {
    let side = change.side;
    for (column, value) in &change.columns {
        let mapped = turn.mapping.fields.iter().any(|field| field.columns[side].has(column));
        if !mapped {
            turn.state.sides[side].columns.insert(column.clone(), value.clone());
        }
    }
}
