//! What taking something back would write, before anybody decides it: a write, a conflict's settlement, an earlier decision, or
//! everything in a time range. Each item holds the decision that does it, so that what was shown is what is asked for.
//!
//! It goes by the read model. The processors have the last word: they compare with what the systems hold, and answer each
//! decision with what became of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value as Json;

use crate::command::Asked;
use crate::error::{Error, Result};
use crate::queries::audit::{Entry, Later, Range};
use crate::queries::conflicts::Conflict;
use crate::queries::decisions::{self, Decision};
use crate::queries::{self, At};
use crate::server::App;
use crate::show;

/// What is to be taken back.
#[derive(Debug, Clone)]
pub(crate) enum What {
    Write(String),
    Conflict(String),
    /// A decision, or all of a batch.
    Decision(String),
    Range(Range),
}

/// A column of one side that gets another value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Change {
    pub(crate) side: String,
    pub(crate) column: String,
    pub(crate) field: String,
    /// As our write left it.
    pub(crate) now: Json,
    /// As it was before.
    pub(crate) then: Json,
}

/// One thing that can be taken back, or cannot.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Item {
    /// What to ask for; none when it cannot be taken back.
    pub(crate) ask: Option<Asked>,
    pub(crate) entity: String,
    pub(crate) kind: String,
    pub(crate) title: String,
    /// What it was: a write, a settlement, a restore, a match.
    pub(crate) what: String,
    pub(crate) side: Option<String>,
    pub(crate) record: Option<String>,
    /// Who made the edit or the decision.
    pub(crate) actor: Option<String>,
    pub(crate) at: At,
    pub(crate) changes: Vec<Change>,
    /// What was edited since: without force it stays as it is.
    pub(crate) since: Vec<String>,
    /// Why it cannot be taken back.
    pub(crate) refused: Option<String>,
}

/// What would be done, the newest first.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Plan {
    pub(crate) items: Vec<Item>,
    /// There is more than is shown here; take a shorter range.
    pub(crate) more: bool,
}

/// At most so many writes of a range at once.
pub(crate) const MAX_ITEMS: i64 = 5000;

/// Looks it up.
pub(crate) async fn plan(app: &App, what: &What) -> Result<Plan> {
    let (mut items, more) = match what {
        What::Write(id) => {
            let entries = queries::audit::some(&app.pool, std::slice::from_ref(id)).await?;
            if entries.is_empty() {
                return Err(Error::Missing { what: "confirmed write of this id" });
            }
            (writes(app, entries, true).await?, false)
        }
        What::Conflict(id) => {
            let conflict = queries::conflicts::one(&app.pool, id).await?.ok_or(Error::Missing { what: "conflict of this id" })?;
            (vec![settlement(&conflict)], false)
        }
        What::Decision(id) => match decisions::one(&app.pool, id).await? {
            Some(decision) => (of_decision(app, &decision).await?, false),
            None => {
                let filter = decisions::Filter { batch: Some(id.clone()), ..decisions::Filter::default() };
                let found = decisions::list(&app.pool, &filter, MAX_ITEMS + 1).await?;
                if found.is_empty() {
                    return Err(Error::Missing { what: "decision or batch of this id" });
                }
                let more = found.len() as i64 > MAX_ITEMS;
                let mut items = Vec::new();
                for decision in found.iter().take(MAX_ITEMS as usize) {
                    items.extend(of_decision(app, decision).await?);
                }
                (items, more)
            }
        },
        What::Range(range) => {
            let mut entries = queries::audit::range(&app.pool, range, MAX_ITEMS + 1).await?;
            let more = entries.len() as i64 > MAX_ITEMS;
            entries.truncate(MAX_ITEMS as usize);
            let mut items = writes(app, entries, false).await?;
            for decision in decisions::without_writes(&app.pool, range, MAX_ITEMS).await? {
                items.extend(of_decision(app, &decision).await?);
            }
            items.sort_by_key(|item| std::cmp::Reverse(item.at));
            (items, more)
        }
    };
    // Several decisions may have led to one write.
    let mut seen = BTreeSet::new();
    items.retain(|item| item.ask.as_ref().is_none_or(|ask| seen.insert(serde_json::to_string(ask).unwrap_or_default())));
    Ok(Plan { items, more })
}

/// Items of writes. An undo is itself taken back only where it is named.
async fn writes(app: &App, entries: Vec<Entry>, named: bool) -> Result<Vec<Item>> {
    let entities: Vec<String> = entries.iter().map(|entry| entry.entity.clone()).collect::<BTreeSet<_>>().into_iter().collect();
    let Some(first) = entries.iter().map(|entry| entry.at).min() else { return Ok(Vec::new()) };
    let later = queries::audit::later(&app.pool, &entities, first).await?;
    let mut by_entity: BTreeMap<&str, Vec<&Later>> = BTreeMap::new();
    for one in &later {
        by_entity.entry(&one.entity).or_default().push(one);
    }
    let chosen: BTreeSet<String> = entries.iter().map(|entry| entry.id.clone()).collect();
    let none = Vec::new();
    Ok(entries
        .into_iter()
        .map(|entry| {
            let later = by_entity.get(entry.entity.as_str()).unwrap_or(&none);
            write(entry, later, &chosen, named)
        })
        .collect())
}

fn write(entry: Entry, later: &[&Later], chosen: &BTreeSet<String>, named: bool) -> Item {
    let refused = if let Some(undo) = &entry.undone {
        Some(format!("taken back already by decision {undo}"))
    } else if entry.is_undo && !named {
        Some("it carries out an undo itself; name it to take it back".to_owned())
    } else {
        None
    };
    let since = if entry.undone.is_some() { Vec::new() } else { since(&entry, later, chosen) };
    Item {
        ask: refused.is_none().then(|| Asked { action: "undo".into(), write: Some(entry.id.clone()), ..Asked::default() }),
        what: match entry.op.as_str() {
            "create" => format!("{} made in {}", show::capital(&entry.kind), show::side_name(&entry.side)),
            "delete" => format!("{} deleted in {}", show::capital(&entry.kind), show::side_name(&entry.side)),
            _ => format!("Written to {}", show::side_name(&entry.side)),
        },
        changes: entry
            .columns
            .0
            .iter()
            .map(|column| Change {
                side: entry.side.clone(),
                column: column.column.clone(),
                field: column.field.clone(),
                now: column.after.clone(),
                then: column.before.clone(),
            })
            .collect(),
        entity: entry.entity,
        kind: entry.kind,
        title: entry.title,
        side: Some(entry.side),
        record: Some(entry.record),
        actor: entry.actor,
        at: entry.at,
        since,
        refused,
    }
}

/// Fields that were written again after this write, on either side, by something that is not taken back as well.
fn since(entry: &Entry, later: &[&Later], chosen: &BTreeSet<String>) -> Vec<String> {
    let mut told = BTreeMap::new();
    for column in &entry.columns.0 {
        let newest = later.iter().find(|one| {
            one.at > entry.at
                && one.caused_at > entry.caused_at
                && !chosen.contains(&one.id)
                && one.columns.0.iter().any(|other| {
                    if column.field.is_empty() {
                        one.side == entry.side && other.column == column.column
                    } else {
                        other.field == column.field
                    }
                })
        });
        if let Some(one) = newest {
            let name = if column.field.is_empty() { &column.column } else { &column.field };
            let who = one.actor.as_deref().unwrap_or("somebody");
            told.insert(name.clone(), format!("{} was changed again by {who} at {}", name.replace('_', " "), one.caused_at.rfc3339()));
        }
    }
    told.into_values().collect()
}

/// A settled conflict is opened again: both sides get back what they held.
fn settlement(conflict: &Conflict) -> Item {
    let plain = |value: &Option<Json>| value.clone().unwrap_or_default();
    let chosen = plain(&conflict.chosen);
    let mut changes = Vec::new();
    for (side, value, column) in [("crm", &conflict.crm, &conflict.crm_column), ("erp", &conflict.erp, &conflict.erp_column)] {
        let then = plain(value);
        // A field that never travels to a side is not written there.
        let written = !column.is_empty() || conflict.field == crate::command::RECORD;
        if then != chosen && written && !conflict.kept_both {
            changes.push(Change {
                side: side.to_owned(),
                column: column.clone(),
                field: conflict.field.clone(),
                now: chosen.clone(),
                then,
            });
        }
    }
    let refused = conflict.open().then(|| "this conflict is open: nothing has been settled".to_owned());
    Item {
        ask: refused.is_none().then(|| Asked { action: "reopen".into(), conflict: Some(conflict.id.clone()), ..Asked::default() }),
        entity: conflict.entity.clone(),
        kind: conflict.kind.clone(),
        title: conflict.title.clone(),
        what: format!("{} {}", conflict.label, if conflict.kept_both { "left to each side" } else { "settled" }),
        side: None,
        record: None,
        actor: conflict.settled_by.clone(),
        at: conflict.settled_at.unwrap_or(conflict.opened_at),
        changes: if refused.is_some() { Vec::new() } else { changes },
        since: Vec::new(),
        refused,
    }
}

async fn of_decision(app: &App, decision: &Decision) -> Result<Vec<Item>> {
    let item = |ask: Option<Asked>, what: String, refused: Option<String>| Item {
        ask,
        entity: decision.entity.clone(),
        kind: decision.kind.clone(),
        title: decision.title.clone().unwrap_or_default(),
        what,
        side: decision.side.clone(),
        record: decision.record.clone(),
        actor: Some(decision.actor.clone()),
        at: decision.at,
        changes: Vec::new(),
        since: Vec::new(),
        refused,
    };
    let cannot = |why: String| Ok(vec![item(None, format!("Decision {}", decision.action), Some(why))]);
    match decision.result.as_deref() {
        Some("refused") => return cannot(format!("it was refused and changed nothing: {}", decision.reason)),
        Some("unchanged") => return cannot("it changed nothing".to_owned()),
        Some("waiting") => return cannot(format!("it has not been carried out yet: {}", decision.reason)),
        None => return cannot("it has not been carried out yet".to_owned()),
        Some(_) => {}
    }
    match decision.action.as_str() {
        "settle" => match &decision.conflict {
            Some(id) => match queries::conflicts::one(&app.pool, id).await? {
                Some(conflict) => Ok(vec![settlement(&conflict)]),
                None => cannot("its conflict is no longer on record".to_owned()),
            },
            None => cannot("it names no conflict".to_owned()),
        },
        "restore" | "undo" | "reopen" | "retry" => {
            let entries = queries::audit::of_decision(&app.pool, &decision.id, MAX_ITEMS).await?;
            if entries.is_empty() {
                return cannot("nothing was written for it yet".to_owned());
            }
            writes(app, entries, true).await
        }
        "same" | "distinct" | "split" => {
            let ask = Asked { action: "unmatch".into(), of: Some(decision.id.clone()), ..Asked::default() };
            let words = match decision.action.as_str() {
                "same" => "Said to be one entity",
                "distinct" => "Said to be two entities",
                _ => "Split off",
            };
            Ok(vec![item(Some(ask), words.to_owned(), None)])
        }
        "create" | "convert" => {
            cannot("what was made is not removed by Concord; delete it on its side, or undo the write that made it".to_owned())
        }
        other => cannot(format!("a decision `{other}` is not taken back; decide anew")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sqlx::types::Json as Column;

    use super::*;

    fn columns(field: &str) -> Column<Vec<queries::audit::Column>> {
        Column(vec![queries::audit::Column { column: field.into(), field: field.into(), before: json!(1), after: json!(2) }])
    }

    fn entry(undone: Option<&str>) -> Entry {
        Entry {
            id: "w1".into(),
            entity: "e1".into(),
            kind: "customer".into(),
            title: "Acme".into(),
            side: "erp".into(),
            object: "public.customers".into(),
            record: "7".into(),
            op: "update".into(),
            columns: columns("phone"),
            altered: false,
            reason: String::new(),
            actor: Some("Ada".into()),
            conflict: None,
            caused_at: At(10),
            at: At(20),
            mapping_version: 1,
            undone: undone.map(str::to_owned),
            undone_by: None,
            sync_id: None,
            is_undo: false,
        }
    }

    fn later(id: &str, side: &str, field: &str, at: i64) -> Later {
        Later {
            id: id.into(),
            entity: "e1".into(),
            side: side.into(),
            columns: columns(field),
            actor: Some("Bo".into()),
            at: At(at),
            caused_at: At(at),
        }
    }

    #[test]
    fn a_later_edit_of_the_same_field_on_either_side_is_told() {
        let told = |others: &[Later], chosen: &[&str]| {
            let chosen = chosen.iter().map(|id| (*id).to_owned()).collect();
            write(entry(None), &others.iter().collect::<Vec<_>>(), &chosen, true).since.len()
        };
        assert_eq!(told(&[later("w2", "crm", "phone", 30)], &[]), 1);
        assert_eq!(told(&[later("w2", "erp", "phone", 30)], &["w2"]), 0, "taken back as well");
        assert_eq!(told(&[later("w2", "erp", "city", 30)], &[]), 0);
        assert_eq!(told(&[later("w2", "erp", "phone", 15)], &[]), 0, "before it");
    }

    #[test]
    fn what_is_taken_back_is_what_was_there_before_and_only_once() {
        let item = write(entry(None), &[], &BTreeSet::new(), true);
        assert_eq!((&item.changes[0].now, &item.changes[0].then), (&json!(2), &json!(1)));
        assert_eq!(item.ask.and_then(|ask| ask.write).as_deref(), Some("w1"));
        let item = write(entry(Some("d1")), &[], &BTreeSet::new(), true);
        assert!(item.ask.is_none() && item.refused.is_some_and(|why| why.contains("d1")));
        let undo = Entry { is_undo: true, ..entry(None) };
        assert!(write(undo.clone(), &[], &BTreeSet::new(), false).ask.is_none());
        assert!(write(undo, &[], &BTreeSet::new(), true).ask.is_some());
    }
}
