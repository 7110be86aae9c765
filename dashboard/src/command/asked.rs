//! A decision of any kind as a page or a program asks for it, and the decision that it becomes: what it names is looked up
//! in the read model first, so that a mistake is told at once and not by the processors later. They have the last word.

use schemas::message::{Action, Choice, Decision, Side};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use uuid::Uuid;

use super::wanted::plain;
use super::{Answered, Remembered, publish, settling, wanted};
use crate::auth::{Principal, Scope};
use crate::clock::now_micros;
use crate::error::{Error, Result};
use crate::queries::conflicts::Conflict;
use crate::queries::entities::Link;
use crate::queries::{self, At};
use crate::server::App;

/// At most so many at once.
pub(crate) const MAX_ASKED: usize = 500;

/// What is asked for. Which members count depends on the action.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Asked {
    pub(crate) action: String,
    /// An entity's id, or the id of one of its records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) entity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) conflict: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) choice: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) write: Option<String>,
    /// A possible match, `left~right`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) review: Option<String>,
    /// The other entity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) other: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) side: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) record: Option<String>,
    /// An earlier decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) of: Option<String>,
    /// Although the value has changed since; takes the scope `crm.admin`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) force: bool,
}

/// A name for several decisions made in one go.
pub(crate) fn new_batch() -> String {
    Uuid::now_v7().to_string()
}

/// The batch of several decisions: the one given, or a new one where there is more than one.
pub(crate) fn batch_of(given: Option<String>, decisions: usize) -> Result<Option<String>> {
    match given {
        Some(text) if text.is_empty() || text.len() > 100 || !text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c)) => {
            Err(refused("bad_batch", "A batch is named by up to 100 letters, digits and - _ . :", "Leave it out; one is made."))
        }
        Some(text) => Ok(Some(text)),
        None => Ok((decisions > 1).then(new_batch)),
    }
}

/// What to remember when a decision has been put on the log.
enum Memory {
    Nothing,
    Conflict(String, Remembered),
    Match(String, Answered),
    Forget(String),
}

/// Puts what is asked for on the log. Each is taken or refused by itself; the answers stand in the order of the asking.
pub(crate) async fn ask(app: &App, principal: &Principal, asked: &[Asked], batch: Option<&str>) -> Result<Vec<Result<Decision>>> {
    super::catch_up(app).await?;
    let now = now_micros();
    let mut answers = Vec::with_capacity(asked.len());
    let mut memories = Vec::new();
    for one in asked {
        match prepare(app, principal, one, batch, now).await {
            Ok((decision, memory)) => {
                memories.push(memory);
                answers.push(Ok(decision));
            }
            Err(error @ (Error::Refused { .. } | Error::Missing { .. })) => answers.push(Err(error)),
            Err(error) => return Err(error),
        }
    }
    let decisions: Vec<Decision> = answers.iter().filter_map(|answer| answer.as_ref().ok()).cloned().collect();
    if !decisions.is_empty() {
        publish(app, &decisions).await?;
    }
    for memory in memories {
        match memory {
            Memory::Nothing => {}
            Memory::Conflict(id, remembered) => app.decided.remember(vec![(id, remembered)]),
            Memory::Match(review, answered) => app.decided.remember_match(review, answered),
            Memory::Forget(decision) => app.decided.forget_match(&decision),
        }
    }
    app.live.touch();
    Ok(answers)
}

fn refused(code: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Error {
    Error::Refused { code, message: message.into(), remedy: remedy.into() }
}

fn named<'a>(value: Option<&'a String>, action: &str, member: &str) -> Result<&'a str> {
    value
        .map(String::as_str)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| refused("bad_decision", format!("A decision `{action}` names its {member}."), format!("Give `{member}`.")))
}

async fn prepare(app: &App, principal: &Principal, asked: &Asked, batch: Option<&str>, now: i64) -> Result<(Decision, Memory)> {
    let action = Action::parse(&asked.action).ok_or_else(|| {
        refused(
            "bad_decision",
            format!("`{}` is not something that can be decided.", asked.action),
            "Give settle, restore, reopen, undo, create, refuse, convert, retry, same, distinct, split or unmatch.",
        )
    })?;
    if asked.force && !principal.may(Scope::Admin) {
        return Err(refused(
            "forbidden",
            format!("To replace a later edit takes the scope {}; you have {}.", Scope::Admin, principal.scope),
            "Ask an administrator, or leave the later edits as they are.",
        ));
    }
    let new = |entity: &str| Decision {
        batch: batch.map(str::to_owned),
        force: asked.force,
        ..Decision::new(Uuid::now_v7(), entity, action, &principal.actor, now)
    };
    match action {
        Action::Settle => {
            let conflict = conflict(app, asked).await?;
            still_open(app, &conflict, now)?;
            let wanted = wanted(&conflict, asked.choice.as_deref().unwrap_or_default(), asked.value.as_ref())?;
            let (decision, (id, remembered)) = settling(&conflict, wanted, &principal.actor, batch.map(str::to_owned), now);
            Ok((decision, Memory::Conflict(id, remembered)))
        }
        Action::Restore => {
            let conflict = conflict(app, asked).await?;
            let choice = restorable(&conflict, asked.choice.as_deref())?;
            // The field and the value go along for a conflict that is older than what the reconciler remembers.
            let value = plain(if choice == Choice::Crm { conflict.crm.as_ref() } else { conflict.erp.as_ref() });
            let decision =
                Decision { conflict: conflict.id.clone(), choice, value, field: Some(conflict.field.clone()), ..new(&conflict.entity) };
            Ok((decision, Memory::Nothing))
        }
        Action::Reopen => {
            let conflict = conflict(app, asked).await?;
            settled(&conflict)?;
            Ok((Decision { conflict: conflict.id.clone(), ..new(&conflict.entity) }, Memory::Nothing))
        }
        Action::Undo => {
            let id = named(asked.write.as_ref(), "undo", "write")?;
            let found = queries::audit::some(&app.pool, &[id.to_owned()]).await?;
            let entry = found.first().ok_or(Error::Missing { what: "confirmed write of this id" })?;
            if let Some(undo) = &entry.undone {
                return Err(refused(
                    "already_undone",
                    "This write has been taken back already.",
                    format!("See the decision {undo}; undo that one to have the value back."),
                ));
            }
            Ok((Decision { write: Some(entry.id.clone()), ..new(&entry.entity) }, Memory::Nothing))
        }
        Action::Create | Action::Refuse => {
            let entity = entity(app, named(asked.entity.as_ref(), action.as_str(), "entity")?).await?;
            let links = queries::entities::links(&app.pool, &entity).await?;
            let side = lacking(asked.side.as_deref(), &links)?;
            Ok((Decision { side: Some(side), ..new(&entity) }, Memory::Nothing))
        }
        Action::Convert => {
            let entity = entity(app, named(asked.entity.as_ref(), "convert", "entity")?).await?;
            Ok((new(&entity), Memory::Nothing))
        }
        Action::Retry => {
            let entity = entity(app, named(asked.entity.as_ref(), "retry", "entity")?).await?;
            let side = asked.side.as_deref().map(side).transpose()?;
            Ok((Decision { side, ..new(&entity) }, Memory::Nothing))
        }
        Action::Same | Action::Distinct => answer(app, asked, action, principal, new, now).await,
        Action::Split => {
            let entity = entity(app, named(asked.entity.as_ref(), "split", "entity")?).await?;
            let links = queries::entities::links(&app.pool, &entity).await?;
            let link = splitting(asked, &links)?;
            let side = side(&link.side)?;
            Ok((Decision { side: Some(side), record: Some(link.record.clone()), ..new(&entity) }, Memory::Nothing))
        }
        Action::Unmatch => {
            let id = named(asked.of.as_ref(), "unmatch", "of")?;
            let of = queries::decisions::one(&app.pool, id).await?;
            let remembered = app.decided.match_of(id);
            let (entity, other) = match (of, remembered) {
                (Some(of), _) if !["same", "distinct", "split"].contains(&of.action.as_str()) => {
                    return Err(refused("bad_decision", format!("That decision was `{}`, not about a match.", of.action), "Use undo."));
                }
                (Some(of), _) if of.refused() => {
                    return Err(refused("bad_decision", "That decision was refused, so there is nothing to take back.", of.reason));
                }
                (Some(of), _) => (of.entity, of.other),
                (None, Some(review)) => match review.split_once('~') {
                    Some((left, right)) => (left.to_owned(), Some(right.to_owned())),
                    None => return Err(Error::Missing { what: "decision of this id" }),
                },
                (None, None) => return Err(Error::Missing { what: "decision of this id" }),
            };
            Ok((Decision { of: Some(id.to_owned()), other, ..new(&entity) }, Memory::Forget(id.to_owned())))
        }
    }
}

async fn conflict(app: &App, asked: &Asked) -> Result<Conflict> {
    let id = named(asked.conflict.as_ref(), &asked.action, "conflict")?;
    queries::conflicts::one(&app.pool, id).await?.ok_or(Error::Missing { what: "conflict of this id" })
}

fn still_open(app: &App, conflict: &Conflict, now: i64) -> Result<()> {
    if !conflict.open() {
        return Err(refused(
            "conflict_settled",
            format!("This conflict was settled by {}.", conflict.settled_by.as_deref().unwrap_or("policy")),
            "Restore the value that lost, or open the conflict again.",
        ));
    }
    match app.decided.about(conflict, At(now)) {
        Some(before) => Err(refused("conflict_decided", already_decided(&before.actor), "Wait until it is confirmed.")),
        None => Ok(()),
    }
}

/// That somebody decided a moment ago.
pub(crate) fn already_decided(actor: &str) -> String {
    format!("This conflict has just been decided by {actor}; that is being carried out.")
}

fn settled(conflict: &Conflict) -> Result<()> {
    if conflict.open() {
        return Err(refused("conflict_open", format!("{}: this conflict is open.", conflict.label), "Decide it."));
    }
    Ok(())
}

/// A conflict about the record as a whole, gone on one side or missing on one: its values are words.
pub(crate) const RECORD: &str = "$record";

/// Whether a side's value lost and can be put back.
pub(crate) fn lost(conflict: &Conflict, side: &str) -> bool {
    let plain = |value: &Option<Json>| value.clone().unwrap_or_default();
    let value = plain(if side == "crm" { &conflict.crm } else { &conflict.erp });
    conflict.field != RECORD
        && !conflict.open()
        && !conflict.kept_both
        && conflict.winner.as_deref() != Some(side)
        && value != plain(&conflict.chosen)
}

/// A side's value that lost.
fn restorable(conflict: &Conflict, choice: Option<&str>) -> Result<Choice> {
    settled(conflict)?;
    let choice = match choice {
        Some("crm") => Choice::Crm,
        Some("erp") => Choice::Erp,
        _ => return Err(refused("bad_decision", "Whose value is to be restored?", "Give crm or erp as the choice.")),
    };
    if !lost(conflict, choice.as_str()) {
        return Err(refused(
            "nothing_lost",
            format!("{}: this side's value did not lose.", conflict.label),
            "Restore the other side's value.",
        ));
    }
    Ok(choice)
}

/// The one entity that somebody means.
pub(crate) async fn entity(app: &App, name: &str) -> Result<String> {
    let mut found = queries::entities::named(&app.pool, name).await?;
    if found.len() > 1 {
        // An entity's own id is meant before a record's.
        if found.iter().any(|one| one.entity == name) {
            return Ok(name.to_owned());
        }
        return Err(refused(
            "several_records",
            format!("`{name}` is the id of {} records.", found.len()),
            format!("Give the entity's id: {}.", found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        ));
    }
    found.pop().map(|one| one.entity).ok_or(Error::Missing { what: "record of this id" })
}

fn side(text: &str) -> Result<Side> {
    Side::parse(text).ok_or_else(|| refused("bad_decision", format!("`{text}` is not a side."), "Give crm or erp."))
}

fn lacking(asked: Option<&str>, links: &[Link]) -> Result<Side> {
    if let Some(text) = asked {
        return side(text);
    }
    let has = |side: Side| links.iter().any(|link| link.side == side.as_str());
    match (has(Side::Crm), has(Side::Erp)) {
        (true, false) => Ok(Side::Erp),
        (false, true) => Ok(Side::Crm),
        (true, true) => Err(refused("nothing_lacks", "Both sides have this record.", "There is nothing to make.")),
        (false, false) => Err(refused("bad_decision", "Neither side has this record.", "Give the side on which it is to be made.")),
    }
}

fn splitting<'a>(asked: &Asked, links: &'a [Link]) -> Result<&'a Link> {
    let fits: Vec<&Link> = links
        .iter()
        .filter(|link| {
            asked.side.as_deref().is_none_or(|side| side == link.side) && asked.record.as_deref().is_none_or(|id| id == link.record)
        })
        .collect();
    match fits.as_slice() {
        [] => Err(Error::Missing { what: "such record linked to that entity" }),
        _ if links.len() < 2 => Err(refused("nothing_to_split", "This entity has one record only.", "There is nothing to split from it.")),
        [one] => Ok(one),
        several => {
            let list: Vec<String> = several.iter().map(|link| format!("{} {}", link.side, link.record)).collect();
            Err(refused("several_records", "Several records fit.", format!("Give side and record: {}.", list.join(", "))))
        }
    }
}

async fn answer(
    app: &App,
    asked: &Asked,
    action: Action,
    principal: &Principal,
    new: impl Fn(&str) -> Decision,
    now: i64,
) -> Result<(Decision, Memory)> {
    let (left, right) = match &asked.review {
        Some(id) => {
            let review = queries::matches::one(&app.pool, id).await?.ok_or(Error::Missing { what: "possible match of this id" })?;
            let before = app.decided.about_match(id, review.open(), At(now)).map(|before| before.actor);
            if let Some(who) =
                before.or_else(|| (!review.open()).then(|| review.decided_by.clone().unwrap_or_else(|| "Concord".to_owned())))
            {
                let what = if review.state == "withdrawn" { "no longer a question" } else { "answered" };
                return Err(refused(
                    "already_answered",
                    format!("This match is {what} already ({who})."),
                    "Take that answer back first, or answer another one.",
                ));
            }
            (review.left_entity, review.right_entity)
        }
        None => {
            let one = entity(app, named(asked.entity.as_ref(), action.as_str(), "entity")?).await?;
            let other = entity(app, named(asked.other.as_ref(), action.as_str(), "other")?).await?;
            if one == other {
                return Err(refused("bad_decision", "Both are the same entity already.", "Name two entities."));
            }
            if one < other { (one, other) } else { (other, one) }
        }
    };
    let review = format!("{left}~{right}");
    let decision = Decision { other: Some(right), ..new(&left) };
    let answered = Answered { decision: decision.id.clone(), same: action == Action::Same, actor: principal.actor.clone(), at: At(now) };
    Ok((decision, Memory::Match(review, answered)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(side: &str, record: &str) -> Link {
        Link { entity: "e1".into(), kind: "customer".into(), side: side.into(), object: String::new(), record: record.into() }
    }

    #[test]
    fn the_side_that_lacks_a_record_is_the_one_where_it_is_made() {
        let (crm, erp) = (link("crm", "001"), link("erp", "7"));
        assert_eq!(lacking(None, std::slice::from_ref(&crm)).ok(), Some(Side::Erp));
        assert_eq!(lacking(None, std::slice::from_ref(&erp)).ok(), Some(Side::Crm));
        assert_eq!(lacking(Some("crm"), std::slice::from_ref(&crm)).ok(), Some(Side::Crm));
        assert!(lacking(None, &[crm, erp]).is_err() && lacking(None, &[]).is_err());
    }

    #[test]
    fn a_record_is_split_off_only_when_it_is_named_and_not_the_last() {
        let links = [link("crm", "001"), link("erp", "7"), link("erp", "8")];
        let asked = |side: Option<&str>, record: Option<&str>| Asked {
            side: side.map(str::to_owned),
            record: record.map(str::to_owned),
            ..Asked::default()
        };
        let split = |asked: Asked| splitting(&asked, &links).map(|link| link.record.clone()).ok();
        assert_eq!(split(asked(Some("crm"), None)).as_deref(), Some("001"));
        assert_eq!(split(asked(Some("erp"), None)), None);
        assert_eq!(split(asked(Some("erp"), Some("8"))).as_deref(), Some("8"));
        assert!(splitting(&asked(Some("crm"), None), &links[..1]).is_err());
    }

    #[test]
    fn a_batch_has_a_plain_name_and_one_decision_needs_none() {
        assert!(matches!(batch_of(None, 1), Ok(None)));
        assert!(matches!(batch_of(None, 2), Ok(Some(_))));
        assert!(matches!(batch_of(Some("spring-clean.1".into()), 1), Ok(Some(_))));
        assert!(batch_of(Some("a b".into()), 1).is_err() && batch_of(Some(String::new()), 1).is_err());
    }
}
