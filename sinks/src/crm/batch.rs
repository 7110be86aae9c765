//! One batch: what is there is read, each write is decided by it, and what still holds is written in as few calls as can be.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use reqwest::Method;
use schemas::Value;
use schemas::message::{Field, Lane, WriteOp};
use serde_json::{Map, Value as Json, json};

use super::client::{Client, Reply};
use super::plan::{self, Item, PER_CALL};
use super::{code, compare};
use crate::civil;
use crate::error::{Error, chain};
use crate::writer::{Answer, Applied, Job, Verdict};

/// Most ids in a retrieve by POST.
const PER_RETRIEVE: usize = 2000;
/// Most ids in the address of a query.
const PER_QUERY: usize = 200;

/// Tries a batch.
pub(crate) async fn run(client: &Client, jobs: &[Job]) -> Applied {
    let mut batch = Batch { client, jobs, answers: vec![None; jobs.len()], seen: vec![None; jobs.len()], halt: None };
    batch.go().await;
    let answers = batch.answers.into_iter().map(|answer| answer.unwrap_or_else(Answer::untried)).collect();
    Applied { answers, halt: batch.halt }
}

struct Batch<'a> {
    client: &'a Client,
    jobs: &'a [Job],
    answers: Vec<Option<Answer>>,
    /// The record as it is there.
    seen: Vec<Option<Json>>,
    halt: Option<Error>,
}

/// Answers by index in the batch, and why the rest could not be tried.
type Written = (Vec<(usize, Answer)>, Option<Error>);

/// A read of some records of one object, or of those that hold entity ids in a field.
#[derive(Clone)]
struct Read {
    object: String,
    by: Option<String>,
    jobs: Vec<usize>,
}

impl Batch<'_> {
    async fn go(&mut self) {
        self.refuse_unfit();
        self.read().await;
        if self.halt.is_some() {
            return;
        }
        self.decide();
        for lane in [Lane::Decision, Lane::Live, Lane::Backfill] {
            for op in [WriteOp::Create, WriteOp::Update, WriteOp::Delete] {
                self.write(lane, op).await;
                if self.halt.is_some() {
                    return;
                }
            }
        }
    }

    fn open(&self) -> impl Iterator<Item = (usize, &Job)> {
        self.jobs.iter().enumerate().filter(|(index, _)| self.answers[*index].is_none())
    }

    fn refuse_unfit(&mut self) {
        let unfit: Vec<(usize, &str)> = self
            .open()
            .filter_map(|(index, job)| match (job.write.op, &job.write.record, &job.write.id_column) {
                (WriteOp::Create, _, None) => Some((index, "a create without a field for the entity id could not be tried twice")),
                (WriteOp::Update | WriteOp::Delete, None, _) => Some((index, "the write names no record")),
                _ => None,
            })
            .collect();
        for (index, reason) in unfit {
            self.answers[index] = Some(Answer::Done(Verdict::failed("UNFIT", reason, "Set the object's external id field in the mapping")));
        }
    }

    async fn read(&mut self) {
        let mut kinds: BTreeMap<(String, Option<String>), Vec<usize>> = BTreeMap::new();
        for (index, job) in self.open() {
            let by = if job.write.op == WriteOp::Create { job.write.id_column.clone() } else { None };
            kinds.entry((job.write.object.clone(), by)).or_default().push(index);
        }
        let mut waiting: Vec<Read> = Vec::new();
        for ((object, by), jobs) in kinds {
            let most = if by.is_some() { PER_QUERY } else { PER_RETRIEVE };
            waiting.extend(jobs.chunks(most).map(|jobs| Read { object: object.clone(), by: by.clone(), jobs: jobs.to_vec() }));
        }
        while !waiting.is_empty() && self.halt.is_none() {
            let batch = &*self;
            let replies: Vec<(Read, Result<Reply, Error>)> = futures::stream::iter(std::mem::take(&mut waiting))
                .map(|read| async move {
                    let reply = batch.call_read(&read).await;
                    (read, reply)
                })
                .buffer_unordered(self.client.config().parallel.max(1))
                .collect()
                .await;
            for (read, reply) in replies {
                match reply {
                    Err(error) => self.halt = Some(error),
                    Ok(reply) if reply.ok() => self.take_in(&read, &reply.body),
                    // One bad id or field spoils the call for all of them: find it by halves.
                    Ok(_) if read.jobs.len() > 1 => {
                        let (first, second) = read.jobs.split_at(read.jobs.len() / 2);
                        waiting.extend([first, second].map(|jobs| Read { jobs: jobs.to_vec(), ..read.clone() }));
                    }
                    Ok(reply) => {
                        let (code, message) = reply.refusal();
                        self.answers[read.jobs[0]] = Some(code::answer(&code, &message, &[]));
                    }
                }
            }
        }
    }

    async fn call_read(&self, read: &Read) -> Result<Reply, Error> {
        let config = self.client.config();
        let mut fields: BTreeSet<&str> = BTreeSet::from(["Id"]);
        for job in read.jobs.iter().map(|index| &self.jobs[*index]) {
            fields.extend(job.write.values.iter().chain(&job.write.expected).map(|field| field.name.as_str()));
            fields.extend(job.write.write_column.as_deref().filter(|_| job.write.op != WriteOp::Delete));
        }
        if let Some(by) = &read.by {
            return self.call_find(read, by, fields).await;
        }
        if config.strict {
            fields.insert("LastModifiedDate");
        }
        if let Some(parent) = config.parents.get(&read.object) {
            fields.insert(parent);
        }
        let ids: Vec<&str> = read.jobs.iter().filter_map(|index| self.jobs[*index].write.record.as_deref()).collect();
        let body = json!({"ids": ids, "fields": fields});
        self.client.call(Method::POST, &format!("composite/sobjects/{}", read.object), Some(&body), &[]).await
    }

    /// Finds the records that hold the entity ids in a field, those of the recycle bin too: what an earlier try has made may
    /// have been deleted since. A bin keeps its records for 15 days, unless somebody empties it.
    async fn call_find<'a>(&'a self, read: &'a Read, by: &'a str, mut fields: BTreeSet<&'a str>) -> Result<Reply, Error> {
        fields.extend([by, "IsDeleted"]);
        let fields: Vec<&str> = fields.into_iter().collect();
        let entities: Vec<String> = read
            .jobs
            .iter()
            .map(|index| format!("'{}'", self.jobs[*index].write.entity.replace('\\', "\\\\").replace('\'', "\\'")))
            .collect();
        let soql = format!("SELECT {} FROM {} WHERE {by} IN ({})", fields.join(", "), read.object, entities.join(","));
        let mut reply = self.client.call(Method::GET, &format!("queryAll?q={}", encoded(&soql)), None, &[]).await?;
        let mut records = rows(&mut reply);
        while let Some(next) = next_page(&reply) {
            reply = self.client.call(Method::GET, &next, None, &[]).await?;
            records.append(&mut rows(&mut reply));
        }
        if reply.ok() {
            reply.body = json!({"records": records});
        }
        Ok(reply)
    }

    fn take_in(&mut self, read: &Read, body: &Json) {
        if let Some(by) = &read.by {
            let mut found: BTreeMap<&str, Vec<&Json>> = BTreeMap::new();
            for record in body["records"].as_array().into_iter().flatten() {
                if let Some(entity) = record[by.as_str()].as_str() {
                    found.entry(entity).or_default().push(record);
                }
            }
            for index in &read.jobs {
                let job = &self.jobs[*index];
                self.seen[*index] = found.get(job.write.entity.as_str()).and_then(|records| made(job, records)).cloned();
            }
            return;
        }
        for (place, index) in read.jobs.iter().enumerate() {
            match body.get(place) {
                Some(Json::Null) => {}
                Some(record) => self.seen[*index] = Some(record.clone()),
                None => {
                    self.answers[*index] =
                        Some(Answer::later("SHORT_ANSWER", "Salesforce answered for fewer records than were asked for", "", None))
                }
            }
        }
    }

    /// Answers every write that needs no call.
    fn decide(&mut self) {
        for index in 0..self.jobs.len() {
            if self.answers[index].is_none() {
                self.answers[index] = decide(&self.jobs[index], self.seen[index].as_ref()).map(Answer::Done);
            }
        }
    }

    async fn write(&mut self, lane: Lane, op: WriteOp) {
        let config = self.client.config();
        // An upsert is of one object; updates and deletes may mix a few.
        let mut kinds: BTreeMap<Option<(&str, &str)>, Vec<usize>> = BTreeMap::new();
        let jobs = self.jobs;
        for (index, job) in
            jobs.iter().enumerate().filter(|(index, job)| self.answers[*index].is_none() && job.write.lane == lane && job.write.op == op)
        {
            let kind = if op == WriteOp::Create { job.write.id_column.as_deref().map(|by| (job.write.object.as_str(), by)) } else { None };
            kinds.entry(kind).or_default().push(index);
        }
        let mut kinds: Vec<_> = kinds.into_iter().collect();
        // Parents before children.
        kinds.sort_by_key(|(kind, _)| kind.is_some_and(|(object, _)| config.parents.contains_key(object)));
        for (kind, jobs) in kinds {
            let items = jobs.into_iter().map(|job| Item { locks: self.locks(job), job }).collect();
            let batch = &*self;
            let done: Vec<Written> = futures::stream::iter(plan::pack(items, PER_CALL))
                .map(|track| async move { batch.write_track(op, kind, track).await })
                .buffer_unordered(config.parallel.max(1))
                .collect()
                .await;
            let mut halt = None;
            for (answers, error) in done {
                for (index, answer) in answers {
                    self.answers[index] = Some(answer);
                }
                halt = halt.or(error);
            }
            if halt.is_some() {
                self.halt = halt;
                return;
            }
        }
    }

    /// What a write locks: the parent, or the record itself.
    fn locks(&self, index: usize) -> String {
        let write = &self.jobs[index].write;
        let parent = self.client.config().parents.get(&write.object).and_then(|field| {
            let written = write.values.iter().find(|value| value.name == *field).and_then(|value| value.value.as_text());
            written.or_else(|| self.seen[index].as_ref().and_then(|seen| seen[field.as_str()].as_str()))
        });
        compare::short_id(parent.or(write.record.as_deref()).unwrap_or(&write.entity)).to_owned()
    }

    async fn write_track(&self, op: WriteOp, kind: Option<(&str, &str)>, calls: Vec<Vec<usize>>) -> Written {
        let mut answers = Vec::new();
        let mut waiting: Vec<Vec<usize>> = calls.into_iter().rev().collect();
        while let Some(mut part) = waiting.pop() {
            part.sort_by_key(|index| {
                (self.client.config().parents.contains_key(&self.jobs[*index].write.object), &self.jobs[*index].write.object)
            });
            if self.client.config().strict && op == WriteOp::Update && part.len() > 1 {
                waiting.extend(part.into_iter().rev().map(|index| vec![index]));
                continue;
            }
            match self.call_write(op, kind, &part).await {
                Err(error) => {
                    // Whether it took effect is not known; reading again will tell.
                    let reason = chain(&error);
                    answers.extend(part.into_iter().map(|index| (index, Answer::unanswered(reason.clone(), None))));
                    return (answers, Some(error));
                }
                Ok(reply) if reply.ok() && self.client.config().strict && op == WriteOp::Update => {
                    answers.extend(
                        part.into_iter()
                            .map(|index| (index, Answer::Done(Verdict::applied(self.jobs[index].write.record.clone(), Vec::new())))),
                    );
                }
                Ok(reply) if reply.ok() => {
                    answers
                        .extend(part.iter().enumerate().map(|(place, index)| (*index, answer(&self.jobs[*index], reply.body.get(place)))));
                }
                Ok(_) if part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    waiting.push(second.to_vec());
                    waiting.push(first.to_vec());
                }
                Ok(reply) => {
                    let (code, message) = reply.refusal();
                    answers.extend(part.into_iter().map(|index| (index, code::answer(&code, &message, &[]))));
                }
            }
        }
        (answers, None)
    }

    async fn call_write(&self, op: WriteOp, kind: Option<(&str, &str)>, part: &[usize]) -> Result<Reply, Error> {
        let jobs = || part.iter().map(|index| &self.jobs[*index]);
        match (op, kind) {
            (WriteOp::Create, Some((object, by))) => {
                let records: Vec<Json> = jobs().map(|job| record(job, [(by, json!(job.write.entity))])).collect();
                let body = json!({"allOrNone": false, "records": records});
                self.client.call(Method::PATCH, &format!("composite/sobjects/{object}/{by}"), Some(&body), &[]).await
            }
            (WriteOp::Update | WriteOp::Create, _) if self.client.config().strict => {
                let Some((index, job)) = part.first().map(|index| (*index, &self.jobs[*index])) else {
                    return Ok(Reply { status: 200, body: json!([]) });
                };
                let mut fields = record(job, []);
                if let Json::Object(fields) = &mut fields {
                    fields.remove("attributes");
                }
                let since = self.seen[index].as_ref().and_then(|seen| seen["LastModifiedDate"].as_str()).and_then(civil::parse_moment);
                let headers: Vec<(&str, String)> =
                    since.map(|since| ("If-Unmodified-Since", civil::http_date(since))).into_iter().collect();
                let path = format!("sobjects/{}/{}", job.write.object, job.write.record.as_deref().unwrap_or_default());
                self.client.call(Method::PATCH, &path, Some(&fields), &headers).await
            }
            (WriteOp::Update | WriteOp::Create, _) => {
                let records: Vec<Json> = jobs().map(|job| record(job, [("id", json!(job.write.record))])).collect();
                self.client.call(Method::PATCH, "composite/sobjects", Some(&json!({"allOrNone": false, "records": records})), &[]).await
            }
            (WriteOp::Delete, _) => {
                let ids: Vec<&str> = jobs().filter_map(|job| job.write.record.as_deref()).collect();
                self.client.call(Method::DELETE, &format!("composite/sobjects?ids={}&allOrNone=false", ids.join(",")), None, &[]).await
            }
        }
    }
}

/// A record for a Collections call, with the write's id on it.
fn record<'a>(job: &Job, more: impl IntoIterator<Item = (&'a str, Json)>) -> Json {
    let mut record = Map::new();
    record.insert("attributes".to_owned(), json!({"type": job.write.object}));
    for (name, value) in more {
        record.insert(name.to_owned(), value);
    }
    if let Some(column) = &job.write.write_column {
        record.insert(column.clone(), json!(job.write.id));
    }
    for field in &job.write.values {
        // The key was set above, from the entity.
        record.entry(field.name.clone()).or_insert_with(|| compare::json(&field.value));
    }
    Json::Object(record)
}

/// Rows of a query's page.
fn rows(reply: &mut Reply) -> Vec<Json> {
    match reply.body.get_mut("records").map(Json::take) {
        Some(Json::Array(records)) => records,
        _ => Vec::new(),
    }
}

/// Where a query goes on, below the API's address.
fn next_page(reply: &Reply) -> Option<String> {
    let next = reply.body["nextRecordsUrl"].as_str().filter(|_| reply.ok() && reply.body["done"] == false)?;
    let (_, below) = next.strip_prefix("/services/data/")?.split_once('/')?;
    Some(below.to_owned())
}

/// The record that an earlier try of a create has made, of those that hold the entity id: the one that is there. One in the
/// recycle bin only if it bears this very write or a later one; its stream tells of both, and it is not made again. What else
/// lies there is of an earlier time.
fn made<'a>(job: &Job, records: &[&'a Json]) -> Option<&'a Json> {
    let is_deleted = |record: &Json| record["IsDeleted"] == true;
    let column = job.write.write_column.as_deref();
    let own = |record: &Json| column.is_some_and(|column| record[column].as_str() == Some(job.write.id.as_str()));
    // Made, then written to, then deleted, and only then tried again.
    let ours = |record: &Json| own(record) || bears_later(job, record);
    let live = records.iter().find(|record| !is_deleted(record));
    live.or_else(|| records.iter().find(|record| is_deleted(record) && ours(record))).copied()
}

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
/// shows.
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
    match write.op {
        // Made by an earlier try; whatever was edited since stays, and so does a deletion.
        WriteOp::Create => Some(Verdict::applied(id(), actual(job, seen))),
        WriteOp::Delete => (!all(&write.expected, seen)).then(|| Verdict::rejected(id(), actual(job, seen))),
        // It only reads.
        WriteOp::Update if write.values.is_empty() => Some(Verdict::applied(id(), actual(job, seen))),
        WriteOp::Update => {
            let done = match &write.write_column {
                // An earlier try whose answer was lost, whatever the org made of the values or a person of the record since.
                Some(column) => seen[column.as_str()].as_str() == Some(write.id.as_str()),
                None => all(&write.values, seen),
            };
            if done {
                Some(Verdict::applied(id(), actual(job, seen)))
            } else if bears_later(job, seen) {
                Some(Verdict::rejected(id(), actual(job, seen)))
            } else if all(&write.expected, seen) {
                None
            } else {
                Some(Verdict::rejected(id(), actual(job, seen)))
            }
        }
    }
}

/// Whether the last of our writes on the record came after this one in its entity.
fn bears_later(job: &Job, seen: &Json) -> bool {
    let write = &job.write;
    let number = |id: &str| id.strip_prefix(write.entity.as_str())?.strip_prefix(":w")?.parse::<u64>().ok();
    let borne = write.write_column.as_deref().and_then(|column| seen[column].as_str()).and_then(number);
    borne.is_some_and(|borne| number(&write.id).is_some_and(|own| borne > own))
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

/// The answer in one row of a Collections result.
fn answer(job: &Job, row: Option<&Json>) -> Answer {
    let Some(row) = row else {
        return Answer::later("SHORT_ANSWER", "Salesforce answered for fewer records than were sent", "", None);
    };
    if row["success"] == true {
        let id = job.write.record.clone().or_else(|| row["id"].as_str().map(str::to_owned));
        return Answer::Done(Verdict::applied(id, Vec::new()));
    }
    let error = &row["errors"][0];
    let code = error["statusCode"].as_str().or_else(|| error["errorCode"].as_str()).unwrap_or("UNKNOWN_EXCEPTION");
    let message = error["message"].as_str().unwrap_or_default();
    let fields: Vec<&str> = error["fields"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    match (job.write.op, code) {
        (WriteOp::Delete, "ENTITY_IS_DELETED") => Answer::Done(Verdict::applied(job.write.record.clone(), Vec::new())),
        // Two tries of one create at the same moment: reading finds what the other made.
        (WriteOp::Create, "DUPLICATE_VALUE")
            if fields.iter().any(|field| Some(*field) == job.write.id_column.as_deref()) || message.contains(&job.write.entity) =>
        {
            Answer::later(code, message, "", None)
        }
        _ => code::answer(code, message, &fields),
    }
}

/// Percent-encodes a query's text for an address.
fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            other => {
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use schemas::message::{OutcomeResult, Side, Write};

    use super::*;

    fn update(write_column: Option<&str>) -> Job {
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
        check(Some("By__c"), &[old, own.clone(), live], Some("live"));
        check(None, &[own], None);
    }

    #[test]
    fn a_query_goes_on_where_its_answer_says() {
        let page =
            |status, done, next: &str| next_page(&Reply { status, body: json!({"done": done, "nextRecordsUrl": next, "records": []}) });
        assert_eq!(page(200, false, "/services/data/v66.0/queryAll/01g-2000").as_deref(), Some("queryAll/01g-2000"));
        assert_eq!(page(200, true, "/services/data/v66.0/queryAll/01g-2000"), None);
        assert_eq!(page(400, false, "/services/data/v66.0/queryAll/01g-2000"), None);
    }

    #[test]
    fn a_write_without_values_only_reads() {
        let mut job = update(Some("By__c"));
        job.write.values.clear();
        check(&job, Some(json!({"Name": "edited", "By__c": "e:w6"})), Some(OutcomeResult::Applied));
    }

    #[test]
    fn each_row_of_a_partial_batch_has_its_own_answer() {
        let job = update(None);
        let locked = json!({"success": false, "errors": [{"statusCode": "UNABLE_TO_LOCK_ROW", "message": "m", "fields": []}]});
        let long = json!({"success": false, "errors": [{"statusCode": "STRING_TOO_LONG", "message": "m", "fields": ["Name"]}]});
        assert!(
            matches!(answer(&job, Some(&json!({"id": "001", "success": true, "errors": []}))), Answer::Done(verdict) if verdict.result == OutcomeResult::Applied)
        );
        assert!(matches!(answer(&job, Some(&locked)), Answer::Later(_)));
        assert!(
            matches!(answer(&job, Some(&long)), Answer::Done(verdict) if verdict.result == OutcomeResult::Failed && verdict.reason.as_deref() == Some("m (fields Name)"))
        );
        assert!(matches!(answer(&job, None), Answer::Later(_)));
    }
}
