//! What becomes of a write, by what is there.

use schemas::message::{Field, WriteOp};
use schemas::{Value, stamp};
use serde_json::Value as Json;

use super::compare;
use crate::writer::{Job, Verdict};

/// What becomes of a write without a call; none when it must be made.
///
/// What an update finds there is told apart by the id of the last write that the record bears. Equal values alone say nothing:
/// had somebody else put them there, a write answered as applied would be waited for in the stream for ever. So it is written
/// all the same, where it may be, and an event with its id follows.
///
/// Writes of an entity are tried in their order. So an update of a record that bears a later one had its chance before: it is
/// tried again only because what it was answered, or what finished offsets told, was lost in a kill. It is rejected with what
/// stands there and never written, even where what it expects holds again: had it been refused before, writing it now would
/// be news to nobody, and had it been done, somebody has put back since what it replaced. Which of the two it was, the stream
/// shows. The same holds of a delete.
///
/// A record takes the id of its delete in the transaction in which it goes. So one that is there and bears it was deleted by
/// an earlier try and has been brought back: that stays.
pub(crate) fn decide(job: &Job, seen: Option<&Json>) -> Option<Verdict> {
    let write = &job.write;
    let all = |fields: &[Field], seen: &Json| fields.iter().all(|field| compare::same(&field.value, &seen[field.name.as_str()]));
    let Some(seen) = seen else {
        return match write.op {
            WriteOp::Create => None,
            WriteOp::Update => Some(Verdict::rejected(write.record.clone(), Vec::new())),
            WriteOp::Delete => Some(Verdict::applied(write.record.clone(), Vec::new())),
        };
    };
    let id = || write.record.clone().or_else(|| seen["Id"].as_str().map(str::to_owned));
    let rejected = || Some(Verdict::rejected(id(), actual(job, seen)));
    let applied = || Some(Verdict::applied(id(), actual(job, seen)));
    let own = borne(job, seen) == Some(write.id.as_str());
    match write.op {
        // Made by an earlier try; whatever was edited since stays, and so does a deletion.
        WriteOp::Create if write.write_column.is_none() || own || bears_later(job, seen) => applied(),
        // Made by an earlier write, deleted and brought back meanwhile: its stream tells of it, and nothing was written.
        WriteOp::Create => rejected(),
        // It only reads.
        WriteOp::Update if write.values.is_empty() => applied(),
        // An earlier try whose answer was lost, whatever the org made of the values or a person of the record since.
        WriteOp::Update if own => applied(),
        WriteOp::Delete if own => Some(Verdict::applied(id(), Vec::new())),
        WriteOp::Update if write.write_column.is_none() && all(&write.values, seen) => applied(),
        WriteOp::Update | WriteOp::Delete if bears_later(job, seen) || !all(&write.expected, seen) => rejected(),
        WriteOp::Update | WriteOp::Delete => None,
    }
}

/// The last of our writes on the record.
fn borne<'a>(job: &Job, seen: &'a Json) -> Option<&'a str> {
    seen[job.write.write_column.as_deref()?].as_str().map(|text| stamp::borne(text).0)
}

/// Whether the last of our writes on the record came after this one in its entity.
fn bears_later(job: &Job, seen: &Json) -> bool {
    let write = &job.write;
    let number = |id: &str| id.strip_prefix(write.entity.as_str())?.strip_prefix(":w")?.parse::<u64>().ok();
    let last = borne(job, seen).and_then(number);
    last.is_some_and(|last| number(&write.id).is_some_and(|own| last > own))
}

/// Values there of the written columns, or of the expected ones where nothing is written.
fn actual(job: &Job, seen: &Json) -> Vec<Field> {
    let write = &job.write;
    let shown = if write.values.is_empty() { &write.expected } else { &write.values };
    shown
        .iter()
        .map(|field| {
            let expected = write.expected.iter().find(|expected| expected.name == field.name).map(|expected| &expected.value);
            let like = expected.filter(|value| !value.is_null()).unwrap_or(&field.value);
            Field { name: field.name.clone(), value: seen.get(field.name.as_str()).map_or(Value::Null, |there| compare::read(there, like)) }
        })
        .collect()
}

/// The record that an earlier try of a create has made, of those that hold the entity id: the one that is there. One in the
/// recycle bin only if it bears this very write or a later one; its stream tells of both, and it is not made again. What else
/// lies there is of an earlier time.
pub(super) fn made<'a>(job: &Job, records: &[&'a Json]) -> Option<&'a Json> {
    let is_deleted = |record: &Json| record["IsDeleted"] == true;
    // Made, then perhaps written to, then deleted, and only then tried again.
    let ours = |record: &Json| borne(job, record) == Some(job.write.id.as_str()) || bears_later(job, record);
    let live = records.iter().find(|record| !is_deleted(record));
    live.or_else(|| records.iter().find(|record| is_deleted(record) && ours(record))).copied()
}

#[cfg(test)]
pub(super) mod tests {
    use schemas::message::{Lane, OutcomeResult, Side, Write};
    use serde_json::json;

    use super::*;

    pub(in super::super) fn update(write_column: Option<&str>) -> Job {
        let field = |value: &str| vec![Field { name: "Name".to_owned(), value: Value::text(value) }];
        let write = Write {
            id: "e:w7".to_owned(),
            entity: "e".to_owned(),
            kind: "customer".to_owned(),
            side: Side::Crm,
            object: "Account".to_owned(),
            record: Some("001000000000001AAA".to_owned()),
            op: WriteOp::Update,
            values: field("new"),
            expected: field("old"),
            id_column: None,
            write_column: write_column.map(str::to_owned),
            rows: Vec::new(),
            lane: Lane::Live,
            reason: String::new(),
            caused_at: 0,
            actor: None,
            conflict: None,
            mapping_version: 1,
        };
        Job::of(write, 0)
    }

    fn check(job: &Job, seen: Option<Json>, expected: Option<OutcomeResult>) {
        assert_eq!(decide(job, seen.as_ref()).map(|verdict| verdict.result), expected, "{seen:?}");
    }

    #[test]
    fn what_is_there_decides_what_is_written() {
        for job in [update(None), update(Some("By__c"))] {
            check(&job, Some(json!({"Name": "old", "By__c": "e:w6"})), None);
            check(&job, Some(json!({"Name": "edited", "By__c": "e:w6"})), Some(OutcomeResult::Rejected));
            check(&job, None, Some(OutcomeResult::Rejected));
        }
        check(&update(None), Some(json!({"Name": "new"})), Some(OutcomeResult::Applied));
    }

    #[test]
    fn a_write_was_done_before_if_the_record_bears_it_and_only_then() {
        let job = update(Some("By__c"));
        check(&job, Some(json!({"Name": "new", "By__c": "e:w7"})), Some(OutcomeResult::Applied));
        // A flow altered what was written, or a person edited it since.
        check(&job, Some(json!({"Name": "NEW", "By__c": "e:w7"})), Some(OutcomeResult::Applied));
        // Somebody else put the same value there.
        check(&job, Some(json!({"Name": "new", "By__c": "e:w6"})), Some(OutcomeResult::Rejected));
        check(&job, Some(json!({"Name": "new", "By__c": null})), Some(OutcomeResult::Rejected));
        // What was expected is what is wanted: written, so that the stream shows the write.
        let mut same = update(Some("By__c"));
        same.write.expected = same.write.values.clone();
        check(&same, Some(json!({"Name": "new ", "By__c": null})), None);
    }

    #[test]
    fn a_write_is_never_made_on_a_record_that_bears_a_later_one_of_its_entity() {
        let job = update(Some("By__c"));
        for (borne, expected) in [
            (json!("e:w8"), Some(OutcomeResult::Rejected)),
            (json!("e:w10"), Some(OutcomeResult::Rejected)),
            (json!("e:w6"), None),
            // Another entity's, and what is no write's id.
            (json!("e2:w8"), None),
            (json!("f:w8"), None),
            (json!("e:w"), None),
            (json!("e:w8x"), None),
            (Json::Null, None),
        ] {
            check(&job, Some(json!({"Name": "old", "By__c": borne})), expected);
        }
        // Where no field takes the ids, nothing tells.
        check(&update(None), Some(json!({"Name": "old", "By__c": "e:w8"})), None);
    }

    #[test]
    fn a_delete_is_done_once_and_never_after_a_later_write() {
        let job = |column| Job { write: Write { op: WriteOp::Delete, values: Vec::new(), ..update(column).write }, ..update(None) };
        for (borne, expected) in [
            (json!("e:w6"), None),
            (json!("e:w6:d"), None),
            (Json::Null, None),
            (json!("e:w7:d"), Some(OutcomeResult::Applied)),
            (json!("e:w8"), Some(OutcomeResult::Rejected)),
            (json!("e:w8:d"), Some(OutcomeResult::Rejected)),
        ] {
            check(&job(Some("By__c")), Some(json!({"Name": "old", "By__c": borne})), expected);
        }
        check(&job(Some("By__c")), Some(json!({"Name": "edited", "By__c": "e:w6"})), Some(OutcomeResult::Rejected));
        // Brought back and edited.
        check(&job(Some("By__c")), Some(json!({"Name": "edited", "By__c": "e:w7:d"})), Some(OutcomeResult::Applied));
        check(&job(Some("By__c")), None, Some(OutcomeResult::Applied));
        check(&job(None), Some(json!({"Name": "old", "By__c": "e:w7:d"})), None);
        // What came before a delete had its chance too.
        check(&update(Some("By__c")), Some(json!({"Name": "old", "By__c": "e:w8:d"})), Some(OutcomeResult::Rejected));
    }

    #[test]
    fn a_deleted_record_answers_a_create_only_if_that_very_write_made_it() {
        let job = |column| Job { write: Write { op: WriteOp::Create, record: None, ..update(column).write }, ..update(None) };
        let row = |id: &str, deleted: bool, write: &str| json!({"Id": id, "IsDeleted": deleted, "By__c": write});
        let check = |column, rows: &[Json], expected: Option<&str>| {
            let rows: Vec<&Json> = rows.iter().collect();
            assert_eq!(made(&job(column), &rows).and_then(|row| row["Id"].as_str()), expected, "{column:?} {rows:?}");
        };
        let (old, own, live) = (row("old", true, "e:w2"), row("own", true, "e:w7"), row("live", false, "e:w3"));
        check(Some("By__c"), std::slice::from_ref(&old), None);
        check(Some("By__c"), &[old.clone(), own.clone()], Some("own"));
        check(Some("By__c"), &[old.clone(), own.clone(), live], Some("live"));
        check(Some("By__c"), &[old, row("ours", true, "e:w8:d")], Some("ours"));
        check(None, &[own], None);
    }

    #[test]
    fn a_write_without_values_only_reads() {
        let mut job = update(Some("By__c"));
        job.write.values.clear();
        check(&job, Some(json!({"Name": "edited", "By__c": "e:w6"})), Some(OutcomeResult::Applied));
    }
}
