//! One record: its open fields with both values, what a choice will write, and what has been settled.

use super::Echo;
use super::progress::{OnSide, Progress, Stage};
use super::spread::Confirm;
use crate::command::{self, Decided, RECORD, Remembered};
use crate::queries::At;
use crate::queries::conflicts::{Conflict, Others};
use crate::queries::decisions::Decision;
use crate::queries::writes::Settling;
use crate::show::{self, Piece, Shown, When, compare, plural, shown};
use schemas::message::Choice;
use serde_json::Value as Json;

/// One side's value of a field.
pub(crate) struct SideValue {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) empty: bool,
    pub(crate) text: String,
    pub(crate) by: String,
    pub(crate) when: Option<When>,
    pub(crate) column: String,
    /// What choosing it does, where the conflict is about the record as a whole.
    pub(crate) does: String,
}

/// What is known of a record besides its conflicts.
pub(crate) struct Background<'a> {
    pub(crate) writes: &'a [Settling],
    pub(crate) others: &'a [Others],
    pub(crate) decisions: &'a [Decision],
}

/// A field that waits, or whose decision is on its way.
pub(crate) struct FieldView {
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) base: Vec<(&'static str, Shown)>,
    pub(crate) crm: SideValue,
    pub(crate) erp: SideValue,
    pub(crate) boolean: bool,
    /// About the record as a whole: gone on one side, or missing on one.
    pub(crate) record: bool,
    pub(crate) chosen: String,
    pub(crate) value: String,
    /// Other open conflicts with the same two values, and of the same field.
    pub(crate) alike: (i64, i64),
    pub(crate) everywhere: String,
    pub(crate) reason: String,
    /// Says that an earlier decision was refused, or never taken up.
    pub(crate) earlier: Option<String>,
    /// None while the field waits for a decision.
    pub(crate) decided: Option<DecidedView>,
}

/// What a person decided a moment ago.
pub(crate) struct DecidedView {
    pub(crate) words: String,
    pub(crate) value: Shown,
    pub(crate) actor: String,
    pub(crate) when: When,
}

/// A field that a policy or a person has settled.
pub(crate) struct SettledView {
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) chosen: Shown,
    /// Values that lost, with their side, actor and time.
    pub(crate) lost: Vec<(&'static str, Shown, String, Option<When>)>,
    pub(crate) by: String,
    pub(crate) when: Option<When>,
    pub(crate) reason: String,
    pub(crate) notes: Vec<&'static str>,
    pub(crate) stage: &'static str,
    pub(crate) sides: [(&'static str, &'static str, OnSide); 2],
    pub(crate) message: Option<String>,
    /// Sides whose value lost and can be put back, with words for it.
    pub(crate) restorable: Vec<(&'static str, &'static str)>,
    pub(crate) reopenable: bool,
    /// What somebody has decided about it since, and how that stands.
    pub(crate) since: Option<(&'static str, String)>,
    pub(crate) version: i64,
}

/// A point of the time line.
pub(crate) struct Point {
    pub(crate) class: &'static str,
    pub(crate) what: String,
    pub(crate) when: Option<When>,
    pub(crate) who: String,
}

/// The record.
pub(crate) struct Case {
    pub(crate) address: String,
    pub(crate) title: String,
    pub(crate) kind: String,
    pub(crate) crm_record: Option<String>,
    pub(crate) erp_record: Option<String>,
    pub(crate) why: String,
    pub(crate) waiting: usize,
    pub(crate) fields: Vec<FieldView>,
    pub(crate) settled: Vec<SettledView>,
    pub(crate) points: Vec<Point>,
    pub(crate) problem: String,
    /// The strip that says what has just been done, and how it stands.
    pub(crate) last: Option<String>,
    /// Where restoring goes to.
    pub(crate) restore: String,
    /// Whether all that would be decided is meant.
    pub(crate) confirm: Option<Confirm>,
    /// The version of mapping and policies by which the conflicts that matter were found.
    pub(crate) version: String,
}

/// A settlement is news for so long.
const NEWS_S: i64 = 120;

impl Case {
    /// None without conflicts.
    pub(crate) fn new(conflicts: Vec<Conflict>, background: &Background<'_>, decided: &Decided, echo: &Echo, now: At) -> Option<Self> {
        let first = conflicts.first()?;
        let (address, title, kind) = (super::address(&first.entity), first.title.clone(), show::capital(&first.kind));
        let record = |pick: fn(&Conflict) -> &Option<String>| conflicts.iter().find_map(|one| pick(one).clone());
        let (crm_record, erp_record) = (record(|one| &one.crm_record), record(|one| &one.erp_record));
        let progress: Vec<(Option<Remembered>, Progress)> = conflicts
            .iter()
            .map(|one| {
                let about = decided.about(one, now);
                let progress = Progress::new(one, about.is_some(), background.writes);
                (about, progress)
            })
            .collect();
        let points = points(&conflicts, &progress, now);
        let last = news(&conflicts, &progress, now);
        let (mut fields, mut settled, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
        for (one, (about, progress)) in conflicts.iter().zip(&progress) {
            if one.open() {
                let reason = show::reason(&one.reason);
                if !reason.is_empty() && !reasons.contains(&reason) {
                    reasons.push(reason);
                }
                let others = background.others.iter().find(|others| others.id == one.id);
                let mut field = FieldView::new(one, about.as_ref(), others, echo, now);
                let late = decided.overdue(one, now).map(|late| {
                    let ago = When::calm(late.at, now).ago;
                    format!("Decided by {} {ago}, but the decision has not been taken up. You may decide again.", late.actor)
                });
                field.earlier = late.or_else(|| about.is_none().then(|| refused(one, background.decisions, now)).flatten());
                fields.push(field);
            } else {
                settled.push(SettledView::new(one, progress, background.decisions, decided, now));
            }
        }
        // One reason is told once for the record; several are told at their fields.
        let why = match (fields.len(), reasons.as_slice()) {
            (0, _) => "Nothing waits here; what was settled stays on record.".to_owned(),
            (_, [one]) => one.clone(),
            _ => "Both sides changed these fields since they last agreed.".to_owned(),
        };
        if reasons.len() < 2 {
            fields.iter_mut().for_each(|field| field.reason.clear());
        }
        let mut versions: Vec<i64> =
            conflicts.iter().filter(|one| one.open() || fields.is_empty()).map(|one| one.mapping_version).collect();
        versions.sort_unstable();
        versions.dedup();
        Some(Self {
            restore: format!("{address}/restore"),
            address: format!("{address}/resolve"),
            version: versions.iter().map(i64::to_string).collect::<Vec<_>>().join(", "),
            confirm: echo.confirm.clone(),
            title,
            kind,
            crm_record,
            erp_record,
            why,
            waiting: fields.iter().filter(|field| field.decided.is_none()).count(),
            fields,
            settled,
            points,
            problem: echo.problem.clone(),
            last,
        })
    }

    pub(crate) fn waiting_words(&self) -> String {
        plural(self.waiting as i64, "field waits", "fields wait")
    }
}

/// That the last decision about an open conflict was refused, and why.
fn refused(one: &Conflict, decisions: &[Decision], now: At) -> Option<String> {
    let newest = decisions.iter().find(|decision| decision.conflict.as_deref() == Some(one.id.as_str()))?;
    let ago = When::calm(newest.at, now).ago;
    newest.refused().then(|| format!("What {} decided {ago} was refused: {}. You may decide again.", newest.actor, newest.reason))
}

fn pieces(shown: &Shown, other: &Shown) -> Vec<Piece> {
    if shown.empty || other.empty {
        return vec![Piece { text: shown.text.clone(), differs: !shown.empty }];
    }
    compare(&shown.text, &other.text).0
}

impl FieldView {
    fn new(one: &Conflict, about: Option<&Remembered>, others: Option<&Others>, echo: &Echo, now: At) -> Self {
        let (crm, erp) = (shown(one.crm.as_ref()), shown(one.erp.as_ref()));
        let record = one.field == RECORD;
        let side = |side: &str, value: &Shown, other: &Shown, by: &Option<String>, at: Option<At>, column: &str| SideValue {
            does: if record { about_record(side, &value.text, &other.text) } else { String::new() },
            pieces: pieces(value, other),
            empty: value.empty,
            text: value.text.clone(),
            by: by.clone().unwrap_or_default(),
            when: at.map(|at| When::calm(at, now)),
            column: column.to_owned(),
        };
        let (base_crm, base_erp) = (shown(one.base_crm.as_ref()), shown(one.base_erp.as_ref()));
        let base = if base_crm == base_erp { vec![("", base_erp)] } else { vec![("Salesforce ", base_crm), ("ERP ", base_erp)] };
        Self {
            id: one.id.clone(),
            label: one.label.clone(),
            base,
            crm: side("crm", &crm, &erp, &one.crm_actor, one.crm_at, &one.crm_column),
            erp: side("erp", &erp, &crm, &one.erp_actor, one.erp_at, &one.erp_column),
            record,
            alike: others.map_or((0, 0), |others| (others.values, others.field)),
            everywhere: echo.everywhere.get(&one.id).cloned().unwrap_or_default(),
            boolean: [&one.crm, &one.erp].into_iter().flatten().any(Json::is_boolean),
            chosen: echo.choices.get(&one.id).cloned().unwrap_or_default(),
            value: echo.values.get(&one.id).cloned().unwrap_or_default(),
            reason: show::reason(&one.reason),
            earlier: None,
            decided: about.map(|about| DecidedView {
                words: match about.choice {
                    Choice::Crm => "Salesforce's value".into(),
                    Choice::Erp => "the ERP's value".into(),
                    Choice::Value => "another value".into(),
                    Choice::Both => "each side's own value".into(),
                },
                value: match about.choice {
                    Choice::Crm => crm,
                    Choice::Erp => erp,
                    Choice::Value => shown(json(&about.value).as_ref()),
                    Choice::Both => Shown { text: "nothing is written".into(), empty: true },
                },
                actor: about.actor.clone(),
                when: When::calm(about.at, now),
            }),
        }
    }
}

/// What choosing a side does when the record as a whole is in question. The values are words: a side has the record
/// (`present`, or how it was edited), never had it (`absent`), or had it (`deleted`).
fn about_record(side: &str, here: &str, there: &str) -> String {
    let (this, other) = (show::side_name(side), show::side_name(if side == "crm" { "erp" } else { "crm" }));
    match (here, there) {
        ("absent", _) => format!("Do not make it in {this}"),
        (_, "absent") => format!("Make it in {other}"),
        ("deleted", _) => format!("Delete it in {other} as well"),
        _ => format!("Keep it in {this}"),
    }
}

fn json(value: &schemas::Value) -> Option<Json> {
    match value {
        schemas::Value::Bool(value) => Some(Json::Bool(*value)),
        schemas::Value::Int(value) => Some(Json::from(*value)),
        schemas::Value::Double(value) => Some(Json::from(*value)),
        schemas::Value::Text(value) => Some(Json::String(value.clone())),
        _ => None,
    }
}

impl SettledView {
    fn new(one: &Conflict, progress: &Progress, decisions: &[Decision], decided: &Decided, now: At) -> Self {
        let chosen = if one.kept_both { Shown { text: "each side keeps its own".into(), empty: true } } else { shown(one.chosen.as_ref()) };
        let newest = decisions
            .iter()
            .filter(|decision| decision.action != "settle")
            .find(|decision| decision.conflict.as_deref() == Some(one.id.as_str()));
        let fresh = decided.undo_of(&one.id, newest.map(|decision| decision.id.as_str()));
        let busy = fresh || newest.is_some_and(|decision| !decision.refused() && !decision.done);
        let restored = newest.filter(|decision| !decision.refused() && decision.action == "restore").and_then(|one| one.choice.as_deref());
        let mut restorable: Vec<(&'static str, &'static str)> = [("crm", "Salesforce's value"), ("erp", "ERP's value")]
            .into_iter()
            .filter(|(side, _)| !busy && command::lost(one, side) && restored != Some(side))
            .collect();
        // What a restore replaced was the same on both sides: there is one value to put back, and nothing to decide.
        let one_value = shown(one.crm.as_ref()) == shown(one.erp.as_ref());
        if one_value && !restorable.is_empty() {
            restorable = vec![("crm", "what both sides held")];
        }
        let mut lost = Vec::new();
        for (side, value, actor, at) in [("crm", &one.crm, &one.crm_actor, one.crm_at), ("erp", &one.erp, &one.erp_actor, one.erp_at)] {
            let value = shown(value.as_ref());
            if one.kept_both || one.winner.as_deref() != Some(side) && value != chosen {
                lost.push((show::side_name(side), value, actor.clone().unwrap_or_default(), at.map(|at| When::calm(at, now))));
            }
        }
        let mut notes = Vec::new();
        if one.tie {
            notes.push("The times were too close to tell which is newer");
        }
        if one.overtaken {
            notes.push("A write had already replaced the losing value");
        }
        Self {
            id: one.id.clone(),
            label: one.label.clone(),
            chosen,
            lost,
            by: match one.settled_by.as_deref() {
                None | Some("policy") => format!("Policy {}", one.policy.replace('_', " ")),
                Some(person) => person.to_owned(),
            },
            when: one.settled_at.map(|at| When::calm(at, now)),
            reason: show::reason(&one.reason),
            notes,
            restorable,
            reopenable: !busy && one.field != RECORD && !one_value,
            since: if fresh { Some(("run", "Decided; it is being carried out".to_owned())) } else { newest.map(|it| since(it, now)) },
            version: one.mapping_version,
            stage: progress.stage.id(),
            sides: [("crm", "Salesforce", progress.crm), ("erp", "ERP", progress.erp)],
            message: progress.message.clone(),
        }
    }
}

/// What has been decided about a settled conflict, and how it stands.
fn since(decision: &Decision, now: At) -> (&'static str, String) {
    let what = match (decision.action.as_str(), decision.choice.as_deref()) {
        ("reopen", _) => "opening it again".to_owned(),
        (_, Some("crm")) => "restoring Salesforce's value".to_owned(),
        (_, Some("erp")) => "restoring the ERP's value".to_owned(),
        _ => "restoring a value".to_owned(),
    };
    let (class, stands) = match decision.result.as_deref() {
        None => ("run", "being carried out".to_owned()),
        Some("waiting") => ("run", decision.reason.clone()),
        Some("refused") => ("bad", format!("refused: {}", decision.reason)),
        Some("unchanged") => ("ok", decision.reason.clone()),
        Some(_) if decision.writes_failed > 0 => ("bad", "a side refuses the value".to_owned()),
        Some(_) if decision.done => ("ok", "done".to_owned()),
        Some(_) => ("run", "being written".to_owned()),
    };
    (class, format!("{} decided on {what}, {}: {stands}", decision.actor, When::calm(decision.at, now).ago))
}

/// How the conflicts that matter now arose and what became of them. These are the open ones, else the newest settled.
fn points(conflicts: &[Conflict], progress: &[(Option<Remembered>, Progress)], now: At) -> Vec<Point> {
    let matters: Vec<usize> = match conflicts.iter().position(Conflict::open) {
        Some(_) => conflicts.iter().enumerate().filter(|(_, one)| one.open()).map(|(nth, _)| nth).collect(),
        None => vec![0],
    };
    let of = || matters.iter().map(|nth| &conflicts[*nth]);
    // What follows from something stands behind it, even where the sources' clocks say otherwise.
    let mut timed: Vec<(u8, At, Point)> = Vec::new();
    let mut add = |step: u8, class: &'static str, what: String, at: Option<At>, who: String| {
        if let Some(at) = at {
            timed.push((step, at, Point { class, what, when: Some(When::calm(at, now)), who }));
        }
    };
    let many = matters.len() as i64;
    let fields = if many == 1 { String::new() } else { format!(" {}", plural(many, "field", "fields")) };
    let who = |pick: fn(&Conflict) -> &Option<String>| of().find_map(|one| pick(one).clone()).unwrap_or_default();
    add(0, "crm", format!("Salesforce changed{fields}"), of().filter_map(|one| one.crm_at).max(), who(|one| &one.crm_actor));
    add(0, "erp", format!("ERP changed{fields}"), of().filter_map(|one| one.erp_at).max(), who(|one| &one.erp_actor));
    add(1, "warn", "Conflict found".into(), of().map(|one| one.opened_at).max(), String::new());
    add(
        2,
        "",
        "Settled".into(),
        of().filter_map(|one| one.settled_at).max(),
        of().find_map(|one| one.settled_by.clone()).unwrap_or_default(),
    );
    let decided = matters.iter().filter_map(|nth| progress[*nth].0.as_ref());
    add(2, "", "Decided".into(), decided.clone().map(|one| one.at).max(), decided.map(|one| one.actor.clone()).next().unwrap_or_default());
    let all_confirmed = matters.iter().all(|nth| progress[*nth].1.stage == Stage::Confirmed);
    add(
        3,
        "ok",
        "On both sides".into(),
        matters.iter().filter_map(|nth| progress[*nth].1.confirmed_at).max().filter(|_| all_confirmed),
        String::new(),
    );
    timed.sort_by_key(|(step, at, _)| (*step, *at));
    let mut points = vec![Point { class: "", what: "Last agreed".into(), when: None, who: "before these changes".into() }];
    points.extend(timed.into_iter().map(|(_, _, point)| point));
    points
}

fn news(conflicts: &[Conflict], progress: &[(Option<Remembered>, Progress)], now: At) -> Option<String> {
    let fresh: Vec<(&Conflict, &Progress)> = conflicts
        .iter()
        .zip(progress)
        .filter(|(one, (about, _))| {
            about.is_some() || one.settled_at.is_some_and(|at| at.age_s(now) < NEWS_S && one.settled_by.as_deref() != Some("policy"))
        })
        .map(|(one, (_, progress))| (one, progress))
        .collect();
    if fresh.is_empty() {
        return None;
    }
    let mut labels: Vec<&str> = fresh.iter().map(|(one, _)| one.label.as_str()).collect();
    labels.dedup();
    let names = labels.join(", ");
    let all = |wanted: &[Stage]| fresh.iter().all(|(_, progress)| wanted.contains(&progress.stage));
    Some(if fresh.iter().any(|(_, progress)| progress.stage == Stage::Failed) {
        format!("{names}: decided, but a side refuses the value")
    } else if all(&[Stage::Confirmed]) {
        format!("{names}: confirmed on both sides")
    } else if all(&[Stage::Confirmed, Stage::Written]) {
        format!("{names}: written, waiting to be seen on both sides")
    } else {
        format!("{names}: decided, being written")
    })
}
