//! What of everything that ever happened still matters to a verdict, worked out from all of it.
//!
//! Whatever happens next, the facts after it follow from the facts before it, from what happened, and from what stands then. So
//! two worlds that are alike but for their pasts, and have the same facts, get the same verdicts for ever: [`crate::search`]
//! goes on from one of them only.
//!
//! - An edit that was replaced on its own side, had been carried across or stood there already is accounted for, for good.
//! - Of the edits of a field, the last one on each side may stand. It came to the other side when a write was asked to put it
//!   there, whatever the target made of it; an edit made there after that has replaced it.
//! - A decision that was made in knowledge of all that stood puts an end to what stood before it.

use std::collections::BTreeSet;

use reconcile::Value;
use reconcile::mapping::{Pair, Side};
use reconcile::merge::RECORD;

use crate::world::{Commit, Decided, World};

/// See above.
#[derive(Debug, Clone, Hash, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Edits that are not accounted for yet, with whether a conflict record has them.
    pub owing: Vec<(Side, String, Value, bool)>,
    /// By field.
    pub fields: Vec<(String, Stands)>,
    /// People deleted the record.
    pub deleted: Pair<bool>,
    /// What conflicts about the record as a whole came to: open, or for whom, and by whom.
    pub about_record: BTreeSet<Option<(Option<Side>, bool)>>,
    /// What each side keeps as its own because a person said so.
    pub kept_apart: BTreeSet<(String, Value, Value)>,
}

/// What stands in a field.
#[derive(Debug, Clone, Hash, PartialEq, Eq)]
pub(crate) struct Stands {
    /// The edit that stands on each side.
    pub edits: Pair<Option<Edit>>,
    /// A conflict record has it, as what its side held.
    pub recorded: Pair<bool>,
    /// The same, and our write had replaced it before that was known.
    pub overtaken: Pair<bool>,
    /// The decision before those edits.
    pub decision: Decision,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq)]
pub(crate) struct Edit {
    pub value: Value,
    pub at: i64,
    /// It has come to the other side.
    pub arrived: bool,
}

/// What people decided about a field.
#[derive(Debug, Clone, Hash, PartialEq, Eq)]
pub(crate) enum Decision {
    None,
    /// To hold these values, knowing all that stood.
    Hold(Pair<Value>),
    /// While something was on its way, or to open a conflict again.
    Unclear,
}

/// All that a verdict about this world needs of its past.
pub(crate) fn of(world: &World) -> Facts {
    let past = &world.past;
    let records = || world.conflicts.values();
    let names: BTreeSet<&str> = past.history.iter().map(|commit| commit.field.as_str()).collect();
    let about = records().filter(|record| record.field == RECORD);
    let apart = records().filter(|record| record.settled.as_ref().is_some_and(|settled| settled.both));
    Facts {
        owing: past.history.iter().enumerate().filter_map(|(index, commit)| owing(world, index, commit)).collect(),
        fields: names.into_iter().map(|name| (name.to_owned(), stands(world, name))).collect(),
        deleted: Pair { crm: deleted(world, Side::Crm), erp: deleted(world, Side::Erp) },
        about_record: about.map(|record| record.settled.as_ref().map(|settled| (settled.winner, settled.by.is_some()))).collect(),
        kept_apart: apart
            .flat_map(|record| {
                let decided =
                    past.decided.iter().filter(|decided| decided.field == record.field).filter_map(|decided| decided.values.clone());
                let own = Pair { crm: record.values.crm.value.clone(), erp: record.values.erp.value.clone() };
                decided.chain([own]).map(|values| (record.field.clone(), values.crm, values.erp))
            })
            .collect(),
    }
}

fn deleted(world: &World, side: Side) -> bool {
    world.past.deletions.iter().any(|(deleted, _)| *deleted == side)
}

/// What a person put in, or a trigger; not what a write was asked to put there.
fn is_edit(commit: &Commit) -> bool {
    commit.write.is_none() || !commit.asked
}

fn owing(world: &World, index: usize, edit: &Commit) -> Option<(Side, String, Value, bool)> {
    if edit.write.is_some() {
        return None;
    }
    let past = &world.past;
    let other = edit.side.other();
    let same = |commit: &Commit, side: Side| commit.side == side && commit.field == edit.field;
    let later = || past.history.iter().skip(index + 1);
    let cut = world.as_cut(other, &edit.value);
    let replaced = past.deletions.iter().any(|(side, at)| *side == edit.side && *at > index)
        || later().any(|commit| same(commit, edit.side) && is_edit(commit));
    let carried = arrived(world, index, edit).is_some()
        || later().any(|commit| same(commit, other) && (commit.value == edit.value || commit.value == cut));
    let stood = past.history.iter().take(index).any(|commit| same(commit, other) && commit.value == edit.value);
    let recorded = world.conflicts.values().any(|record| {
        record.field == edit.field
            && (record.values[edit.side].value == edit.value || record.settled.as_ref().is_some_and(|settled| settled.chosen == edit.value))
    });
    (!(replaced || carried || stood)).then(|| (edit.side, edit.field.clone(), edit.value.clone(), recorded))
}

/// How much of the history was before an edit came to the other side.
fn arrived(world: &World, index: usize, edit: &Commit) -> Option<usize> {
    let came = |(side, field, value, at): &&(Side, String, Value, usize)| {
        *side != edit.side && *field == edit.field && *value == edit.value && *at > index
    };
    world.past.carried.iter().find(came).map(|(.., at)| *at)
}

fn stands(world: &World, field: &str) -> Stands {
    let last = world.past.decided.iter().rfind(|decided| decided.field == field);
    let (since, decision) = match last {
        None => (0, Decision::None),
        Some(Decided { values: Some(values), before, informed: true, .. }) => (*before, Decision::Hold(values.clone())),
        Some(_) => (0, Decision::Unclear),
    };
    let edit = |side| standing(world, field, side, since);
    let edits = Pair { crm: edit(Side::Crm), erp: edit(Side::Erp) };
    let on_record = |side: Side, overtaken: bool| {
        edits[side].as_ref().is_some_and(|edit: &Edit| {
            let has = |record: &&reconcile::merge::ConflictRecord| {
                record.field == field && record.values[side].value == edit.value && (!overtaken || record.overtaken)
            };
            world.conflicts.values().any(|record| has(&record))
        })
    };
    let recorded = Pair { crm: on_record(Side::Crm, false), erp: on_record(Side::Erp, false) };
    let overtaken = Pair { crm: on_record(Side::Crm, true), erp: on_record(Side::Erp, true) };
    Stands { recorded, overtaken, edits, decision }
}

/// The edit that stands on a side: its last one, unless one made across after the edit had come there replaced it.
fn standing(world: &World, field: &str, side: Side, since: usize) -> Option<Edit> {
    let edits = || world.past.history.iter().enumerate().skip(since).filter(|(_, commit)| commit.field == field && is_edit(commit));
    let (index, edit) = edits().rfind(|(_, commit)| commit.side == side)?;
    let arrived = arrived(world, index, edit);
    let replaced = arrived.is_some_and(|arrived| edits().any(|(index, commit)| commit.side != side && index >= arrived));
    (!replaced).then(|| Edit { value: edit.value.clone(), at: edit.at, arrived: arrived.is_some() })
}
