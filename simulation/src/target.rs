//! The calls of the write sinks to the simulated systems. The loop around them, and what the Salesforce sink decides, are
//! the real ones.

use std::time::Duration;

use planted::Bug;
use schemas::message::{Field, Side, Write, WriteOp};
use sinks::simulated::{Attempt, Replies, Reply, Retrieved, Target, decide_crm};

use super::shape::{Kind, id_column, number_column};
use super::system::{By, Kept, Row};
use super::systems::{Shared, Systems};
use super::turn::Turn;

/// When a target that is down, or a row that is locked, is tried again.
const AGAIN: Duration = Duration::from_millis(200);

/// The ERP: a batch is one transaction with its ledger.
pub(super) struct Erp {
    pub(super) systems: Shared,
    pub(super) turn: Turn,
}

/// The CRM: a batch is read, compared and then written, and anything may happen in between.
pub(super) struct Crm {
    pub(super) systems: Shared,
    pub(super) turn: Turn,
}

/// A write's id as the trace shows it.
fn short(id: &str) -> &str {
    id.get(id.len().saturating_sub(10)..).unwrap_or(id)
}

fn halted(attempts: &[Attempt]) -> Replies {
    Replies { replies: vec![Reply::Untried; attempts.len()], halted: Some(AGAIN) }
}

fn shown(write: &Write) -> &[Field] {
    if write.values.is_empty() { &write.expected } else { &write.values }
}

impl Systems {
    fn is_down(&mut self, side: Side) -> bool {
        let down = &mut self.side(side).fault.down;
        let is_down = *down > 0;
        *down = down.saturating_sub(1);
        if is_down {
            self.fault("target_down");
        }
        is_down
    }

    fn race(&mut self, side: Side) {
        if let Some(edit) = self.side(side).fault.race.take()
            && self.edit(edit)
        {
            self.fault("racing_edit");
        }
    }

    /// Whether the row with this place in its batch is locked by somebody else.
    fn is_locked(&mut self, locked: u8, place: usize) -> bool {
        let is_locked = locked >> (place % 8) & 1 == 1;
        if is_locked {
            self.fault("partial_batch");
        }
        is_locked
    }

    /// Does a write, whatever stands there.
    fn carry_out(&mut self, side: Side, write: &Write) -> String {
        let mut values: Vec<_> = write.values.iter().map(|field| (field.name.clone(), field.value.clone())).collect();
        if let Some(column) = &write.id_column {
            values.push((column.clone(), schemas::Value::text(write.entity.clone())));
        }
        if let Some(column) = &write.write_column {
            values.push((column.clone(), schemas::Value::text(write.id.clone())));
        }
        let kind = Kind::named(&write.kind).unwrap_or(Kind::Customer);
        if kind == Kind::Order {
            let count = self.at(side).ids(kind).count();
            values.push((number_column(side).to_owned(), schemas::Value::text(format!("SO-{count}"))));
        }
        let id = self.commit(side, kind, write.record.as_deref(), values, &By::Write(write.id.clone()));
        let altered = {
            let system = self.at(side);
            !system.holds(&id, &write.values)
        };
        if altered {
            self.fault("target_altered");
        }
        id
    }

    /// Whether a record that came back has the number of one that is to be made, which people do not give to several.
    fn has_number(&self, side: Side, write: &Write) -> bool {
        let number = write.values.iter().find(|field| field.name == number_column(side));
        let unique = |number: &&Field| number.value.as_text().is_none_or(|number| !self.shared_numbers.contains(number));
        number.filter(unique).is_some_and(|number| self.at(side).is_taken(&number.value))
    }

    /// A record in the CRM's recycle bin that a write made.
    fn made_and_gone(&self, write: &str) -> Option<String> {
        let number = |id: &str| id.rsplit_once(":w").and_then(|(entity, number)| Some((entity.to_owned(), number.parse::<u64>().ok()?)));
        let own = number(write)?;
        let bears = |row: &Row| row.write.as_deref().and_then(number).is_some_and(|borne| borne.0 == own.0 && borne.1 >= own.1);
        self.crm.gone.iter().find(|(_, gone)| bears(&gone.row)).map(|(id, _)| id.clone())
    }

    fn find(&self, side: Side, entity: &str) -> Option<String> {
        if planted::on(Bug::CreateUnkeyed) {
            return None;
        }
        let rows = &self.at(side).rows;
        rows.iter()
            .find(|(_, row)| row.values.get(id_column(side)).and_then(schemas::Value::as_text) == Some(entity))
            .map(|(id, _)| id.clone())
    }
}

impl Target for Erp {
    const SIDE: Side = Side::Erp;

    async fn apply(&mut self, attempts: &[Attempt]) -> Replies {
        self.turn.pass().await;
        let (replies, lost) = {
            let mut systems = self.systems.lock();
            if systems.is_down(Side::Erp) {
                return halted(attempts);
            }
            systems.race(Side::Erp);
            let locked = std::mem::take(&mut systems.side(Side::Erp).fault.locked);
            let mut replies = Vec::with_capacity(attempts.len());
            for (place, attempt) in attempts.iter().enumerate() {
                replies.push(if systems.is_locked(locked, place) {
                    Reply::Later { code: "55P03".to_owned(), after: AGAIN }
                } else {
                    in_transaction(&mut systems, &attempt.write)
                });
            }
            let lost = std::mem::take(&mut systems.side(Side::Erp).fault.lose_answer);
            if lost && std::mem::take(&mut systems.side(Side::Erp).fault.put_back) {
                put_back(&mut systems, attempts, &replies);
            }
            (replies, lost)
        };
        self.turn.pass().await;
        if lost {
            self.systems.lock().fault("target_answer_lost");
            return halted(attempts);
        }
        Replies { replies, halted: None }
    }
}

/// Somebody puts back what stood where the first write has been.
fn put_back(systems: &mut Systems, attempts: &[Attempt], replies: &[Reply]) {
    let done = attempts.iter().zip(replies).find_map(|(attempt, reply)| match (attempt.write.op, &attempt.write.record, reply) {
        (WriteOp::Update, Some(id), Reply::Applied { .. }) if !attempt.write.values.is_empty() => Some((id, &attempt.write.expected)),
        _ => None,
    });
    if let Some((id, expected)) = done {
        let values = expected.iter().map(|field| (field.name.clone(), field.value.clone())).collect();
        systems.put_back(Side::Erp, id, values);
    }
}

fn in_transaction(systems: &mut Systems, write: &Write) -> Reply {
    let ledger = !planted::on(Bug::NoLedger);
    if let Some(kept) = systems.erp.ledger.get(&write.id).filter(|_| ledger) {
        let (record, actual) = (kept.record.clone(), kept.actual.clone());
        return if kept.applied { Reply::Applied { record, actual } } else { Reply::Rejected { record, actual } };
    }
    let unguarded = planted::on(Bug::ErpOverwrites);
    let (applied, record) = match (write.op, &write.record) {
        (WriteOp::Create, _) => match systems.find(Side::Erp, &write.entity) {
            // One that another write made, and that was gone for a while.
            Some(id) => (false, Some(id)),
            None if systems.has_number(Side::Erp, write) => (false, None),
            None => (true, Some(systems.carry_out(Side::Erp, write))),
        },
        // Nothing to set: it only asks what is there.
        (WriteOp::Update, Some(id)) if write.values.is_empty() => (systems.erp.rows.contains_key(id), Some(id.clone())),
        (WriteOp::Update, Some(id)) if systems.erp.holds(id, &write.expected) || (unguarded && systems.erp.rows.contains_key(id)) => {
            (true, Some(systems.carry_out(Side::Erp, write)))
        }
        (WriteOp::Delete, Some(id)) if !systems.erp.rows.contains_key(id) => (true, Some(id.clone())),
        (WriteOp::Delete, Some(id)) if systems.erp.holds(id, &write.expected) => {
            systems.delete(Side::Erp, id, &By::Write(write.id.clone()));
            (true, Some(id.clone()))
        }
        (WriteOp::Update | WriteOp::Delete, record) => (false, record.clone()),
    };
    let actual = record.as_ref().map_or_else(Vec::new, |id| systems.erp.actual(id, shown(write)));
    if write.values.is_empty() && write.op == WriteOp::Update {
        // A question is answered anew each time.
        return if applied { Reply::Applied { record, actual } } else { Reply::Rejected { record, actual } };
    }
    systems.erp.ledger.insert(write.id.clone(), Kept { applied, record: record.clone(), actual: actual.clone() });
    systems.trace.note(format_args!("erp answers write {}: {}", short(&write.id), if applied { "applied" } else { "rejected" }));
    if applied {
        Reply::Applied { record, actual }
    } else {
        systems.fault("precondition_failed");
        Reply::Rejected { record, actual }
    }
}

impl Target for Crm {
    const SIDE: Side = Side::Crm;

    async fn apply(&mut self, attempts: &[Attempt]) -> Replies {
        self.turn.pass().await;
        let mut decided: Vec<Option<Reply>> = {
            let mut systems = self.systems.lock();
            if systems.is_down(Side::Crm) {
                return halted(attempts);
            }
            attempts.iter().map(|attempt| read_and_compare(&mut systems, attempt)).collect()
        };
        self.turn.pass().await;
        let sent: Vec<bool> = decided.iter().map(Option::is_none).collect();
        let lost = {
            let mut systems = self.systems.lock();
            systems.race(Side::Crm);
            let locked = std::mem::take(&mut systems.side(Side::Crm).fault.locked);
            for (place, (attempt, reply)) in attempts.iter().zip(&mut decided).enumerate() {
                if reply.is_some() {
                    continue;
                }
                *reply = Some(if systems.is_locked(locked, place) {
                    Reply::Later { code: "UNABLE_TO_LOCK_ROW".to_owned(), after: AGAIN }
                } else {
                    write(&mut systems, &attempt.write)
                });
            }
            std::mem::take(&mut systems.side(Side::Crm).fault.lose_answer)
        };
        self.turn.pass().await;
        if lost && sent.contains(&true) {
            self.systems.lock().fault("target_answer_lost");
            // What was decided by reading has its answer.
            for (reply, _) in decided.iter_mut().zip(&sent).filter(|(_, sent)| **sent) {
                *reply = Some(Reply::Unanswered { after: AGAIN });
            }
            return Replies { replies: decided.into_iter().map(|reply| reply.unwrap_or(Reply::Untried)).collect(), halted: Some(AGAIN) };
        }
        Replies { replies: decided.into_iter().map(|reply| reply.unwrap_or(Reply::Untried)).collect(), halted: None }
    }
}

fn read_and_compare(systems: &mut Systems, attempt: &Attempt) -> Option<Reply> {
    let write = &attempt.write;
    let id = match write.op {
        WriteOp::Create => systems.find(Side::Crm, &write.entity).or_else(|| systems.made_and_gone(&write.id)),
        WriteOp::Update | WriteOp::Delete => write.record.clone(),
    };
    let there = |id: &str| {
        systems.crm.rows.get(id).or_else(|| systems.crm.gone.get(id).filter(|_| write.op == WriteOp::Create).map(|gone| &gone.row))
    };
    let seen = id.as_deref().and_then(|id| there(id).map(|row| Retrieved { id, values: &row.values }));
    let decided = decide_crm(attempt, seen.as_ref());
    if let Some(Reply::Rejected { .. }) = &decided {
        systems.fault("precondition_failed");
    }
    decided
}

fn write(systems: &mut Systems, write: &Write) -> Reply {
    // An upsert finds what another try has made meanwhile; an update of a record that is gone is refused.
    if write.op == WriteOp::Create && systems.find(Side::Crm, &write.entity).is_some() {
        // Reading again tells which it is.
        return Reply::Later { code: "DUPLICATE_VALUE".to_owned(), after: AGAIN };
    }
    if let Some(id) = &write.record
        && !systems.crm.rows.contains_key(id)
    {
        // Deleted since it was read; reading again will tell.
        return Reply::Later { code: "ENTITY_IS_DELETED".to_owned(), after: AGAIN };
    }
    if write.op == WriteOp::Create && systems.has_number(Side::Crm, write) {
        systems.fault("precondition_failed");
        return Reply::Rejected { record: None, actual: Vec::new() };
    }
    systems.trace.note(format_args!("crm takes write {}", short(&write.id)));
    if let (WriteOp::Delete, Some(id)) = (write.op, &write.record) {
        if let (Some(row), Some(column)) = (systems.side(Side::Crm).rows.get_mut(id), &write.write_column) {
            row.values.insert(column.clone(), schemas::Value::text(schemas::stamp::of_delete(&write.id)));
            row.write = Some(write.id.clone());
        }
        systems.delete(Side::Crm, id, &By::Write(write.id.clone()));
        return Reply::Applied { record: Some(id.clone()), actual: Vec::new() };
    }
    let id = systems.carry_out(Side::Crm, write);
    Reply::Applied { record: Some(id), actual: Vec::new() }
}
