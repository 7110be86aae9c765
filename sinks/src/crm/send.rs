//! The calls that write, and what their answers say.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use reqwest::Method;
use schemas::message::{Lane, WriteOp};
use serde_json::{Map, Value as Json, json};

use super::batch::Batch;
use super::client::Reply;
use super::plan::{self, Item, PER_CALL};
use super::{code, compare, remove};
use crate::civil;
use crate::error::{Error, chain};
use crate::writer::{Answer, Job, Verdict};

/// Answers by index in the batch.
pub(super) type Answers = Vec<(usize, Answer)>;
/// Answers, and why the rest could not be tried.
type Written = (Answers, Option<Error>);

/// What one call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Call<'a> {
    /// Makes records of one object, keyed by the field that holds the entity id.
    Create { object: &'a str, by: &'a str },
    /// Updates records, perhaps of a few objects.
    Update,
    /// Deletes records, perhaps of a few objects, which bear the write first where a field takes it.
    Delete { stamped: bool },
}

impl<'a> Call<'a> {
    fn of(job: &'a Job) -> Self {
        match (job.write.op, &job.write.id_column) {
            (WriteOp::Create, Some(by)) => Self::Create { object: &job.write.object, by },
            (WriteOp::Create | WriteOp::Update, _) => Self::Update,
            (WriteOp::Delete, _) => Self::Delete { stamped: job.write.write_column.is_some() },
        }
    }
}

impl Batch<'_> {
    /// Makes the writes of one kind that are still without an answer.
    pub(super) async fn write(&mut self, lane: Lane, op: WriteOp) {
        let config = self.client.config();
        let jobs = self.jobs;
        let mut calls: BTreeMap<Call<'_>, Vec<usize>> = BTreeMap::new();
        let meant = |job: &Job| job.write.lane == lane && job.write.op == op;
        for (index, job) in jobs.iter().enumerate().filter(|(index, job)| self.answers[*index].is_none() && meant(job)) {
            calls.entry(Call::of(job)).or_default().push(index);
        }
        let mut calls: Vec<_> = calls.into_iter().collect();
        // Parents before children.
        calls.sort_by_key(|(call, _)| matches!(call, Call::Create { object, .. } if config.parents.contains_key(*object)));
        for (call, jobs) in calls {
            let items = jobs.into_iter().map(|job| Item { locks: self.locks(job), job }).collect();
            let batch = &*self;
            let done: Vec<Written> = futures::stream::iter(plan::pack(items, PER_CALL))
                .map(|track| async move { batch.write_track(call, track).await })
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

    /// Whether Salesforce is also to refuse what has changed since it was read, which it does for one record a call.
    fn alone(&self, call: Call<'_>) -> bool {
        self.client.config().strict && matches!(call, Call::Update | Call::Delete { stamped: true })
    }

    async fn write_track(&self, call: Call<'_>, parts: Vec<Vec<usize>>) -> Written {
        let mut answers = Vec::new();
        let mut waiting: Vec<Vec<usize>> = parts.into_iter().rev().collect();
        while let Some(mut part) = waiting.pop() {
            let deletes = matches!(call, Call::Delete { .. });
            part.sort_by_key(|index| {
                let object = &self.jobs[*index].write.object;
                // Parents first, or last where they go: what hangs on them goes with them.
                (self.client.config().parents.contains_key(object) != deletes, object)
            });
            if self.alone(call) && part.len() > 1 {
                waiting.extend(part.into_iter().rev().map(|index| vec![index]));
                continue;
            }
            match self.call_write(call, &part).await {
                Err(error) => {
                    // Whether it took effect is not known; reading again will tell.
                    let reason = chain(&error);
                    answers.extend(part.into_iter().map(|index| (index, Answer::unanswered(reason.clone(), None))));
                    return (answers, Some(error));
                }
                Ok(reply) if reply.ok() => {
                    let (answered, again) = self.read_reply(call, &part, &reply);
                    answers.extend(answered);
                    waiting.extend(again.into_iter().rev());
                }
                Ok(_) if part.len() > 1 => waiting.extend(halves(&part).into_iter().rev()),
                Ok(reply) => {
                    let (code, message) = reply.refusal();
                    answers.extend(part.into_iter().map(|index| (index, code::answer(&code, &message, &[]))));
                }
            }
        }
        (answers, None)
    }

    async fn call_write(&self, call: Call<'_>, part: &[usize]) -> Result<Reply, Error> {
        let jobs = || part.iter().map(|index| &self.jobs[*index]);
        match call {
            Call::Create { object, by } => {
                let records: Vec<Json> = jobs().map(|job| record(job, [(by, json!(job.write.entity))])).collect();
                let body = json!({"allOrNone": false, "records": records});
                self.client.call(Method::PATCH, &format!("composite/sobjects/{object}/{by}"), Some(&body), &[]).await
            }
            Call::Update if self.client.config().strict => {
                let Some(index) = part.first().copied() else { return Ok(Reply { status: 200, body: json!([]) }) };
                let job = &self.jobs[index];
                let mut fields = record(job, []);
                if let Json::Object(fields) = &mut fields {
                    fields.remove("attributes");
                }
                let headers: Vec<(&str, String)> = self.since(index).map(|since| (SINCE, since)).into_iter().collect();
                let path = format!("sobjects/{}/{}", job.write.object, job.write.record.as_deref().unwrap_or_default());
                self.client.call(Method::PATCH, &path, Some(&fields), &headers).await
            }
            Call::Update => {
                let records: Vec<Json> = jobs().map(|job| record(job, [("id", json!(job.write.record))])).collect();
                self.client.call(Method::PATCH, "composite/sobjects", Some(&json!({"allOrNone": false, "records": records})), &[]).await
            }
            Call::Delete { stamped: true } => {
                let jobs: Vec<&Job> = jobs().collect();
                let since = part.first().and_then(|index| self.since(*index));
                let body = match (self.alone(call), jobs.as_slice()) {
                    (true, [job]) => remove::one(&self.client.config().api_version, job, since),
                    _ => remove::many(&self.client.config().api_version, &jobs),
                };
                self.client.call(Method::POST, "composite", Some(&body), &[]).await
            }
            Call::Delete { stamped: false } => {
                let ids: Vec<&str> = jobs().filter_map(|job| job.write.record.as_deref()).collect();
                self.client.call(Method::DELETE, &format!("composite/sobjects?ids={}&allOrNone=false", ids.join(",")), None, &[]).await
            }
        }
    }

    /// When the record was last modified before it was read.
    fn since(&self, index: usize) -> Option<String> {
        let modified = self.seen[index].as_ref()?["LastModifiedDate"].as_str().and_then(civil::parse_moment)?;
        Some(civil::http_date(modified))
    }

    /// The answers in a call's reply, and the calls to be made again without what spoilt this one.
    fn read_reply(&self, call: Call<'_>, part: &[usize], reply: &Reply) -> (Answers, Vec<Vec<usize>>) {
        match call {
            Call::Delete { stamped: true } => remove::answers(self.jobs, part, &reply.body),
            Call::Update if self.client.config().strict => {
                let applied = |index: usize| Answer::Done(Verdict::applied(self.jobs[index].write.record.clone(), Vec::new()));
                (part.iter().map(|index| (*index, applied(*index))).collect(), Vec::new())
            }
            Call::Create { .. } | Call::Update | Call::Delete { stamped: false } => {
                let answer = |(place, index): (usize, &usize)| (*index, answer(&self.jobs[*index], reply.body.get(place)));
                (part.iter().enumerate().map(answer).collect(), Vec::new())
            }
        }
    }
}

/// The header by which Salesforce refuses a record that has changed.
pub(super) const SINCE: &str = "If-Unmodified-Since";

/// A part in two, so that what spoils a call for all is found by halves.
pub(super) fn halves(part: &[usize]) -> Vec<Vec<usize>> {
    let (first, second) = part.split_at(part.len() / 2);
    vec![first.to_vec(), second.to_vec()]
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

/// The answer in one row of a Collections result.
fn answer(job: &Job, row: Option<&Json>) -> Answer {
    let Some(row) = row else {
        return Answer::later("SHORT_ANSWER", "Salesforce answered for fewer records than were sent", "", None);
    };
    if row["success"] == true {
        let id = job.write.record.clone().or_else(|| row["id"].as_str().map(str::to_owned));
        return Answer::Done(Verdict::applied(id, Vec::new()));
    }
    let refusal = Refusal::of(row);
    match (job.write.op, refusal.code) {
        (WriteOp::Delete, "ENTITY_IS_DELETED") => Answer::Done(Verdict::applied(job.write.record.clone(), Vec::new())),
        // Two tries of one create at the same moment: reading finds what the other made.
        (WriteOp::Create, "DUPLICATE_VALUE")
            if refusal.fields.iter().any(|field| Some(*field) == job.write.id_column.as_deref())
                || refusal.message.contains(&job.write.entity) =>
        {
            Answer::later(refusal.code, refusal.message, "", None)
        }
        _ => refusal.answer(),
    }
}

/// Why a row of a Collections result was refused.
pub(super) struct Refusal<'a> {
    pub(super) code: &'a str,
    pub(super) message: &'a str,
    pub(super) fields: Vec<&'a str>,
}

impl<'a> Refusal<'a> {
    pub(super) fn of(row: &'a Json) -> Self {
        let error = &row["errors"][0];
        Self {
            code: error["statusCode"].as_str().or_else(|| error["errorCode"].as_str()).unwrap_or("UNKNOWN_EXCEPTION"),
            message: error["message"].as_str().unwrap_or_default(),
            fields: error["fields"].as_array().into_iter().flatten().filter_map(Json::as_str).collect(),
        }
    }

    pub(super) fn answer(&self) -> Answer {
        code::answer(self.code, self.message, &self.fields)
    }
}

#[cfg(test)]
mod tests {
    use schemas::message::OutcomeResult;

    use super::super::decide::tests::update;
    use super::*;

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
