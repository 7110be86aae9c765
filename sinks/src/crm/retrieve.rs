//! What is there: the records of a batch's writes, one retrieve for each object; those that a create may have made already
//! are found by their entity ids.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use reqwest::Method;
use schemas::message::WriteOp;
use serde_json::{Value as Json, json};

use super::batch::Batch;
use super::client::Reply;
use super::code;
use super::decide::made;
use crate::error::Error;
use crate::writer::Answer;

/// Most ids in a retrieve by POST.
const PER_RETRIEVE: usize = 2000;
/// Most ids in the address of a query.
const PER_QUERY: usize = 200;

/// A read of some records of one object, or of those that hold entity ids in a field.
#[derive(Clone)]
struct Read {
    object: String,
    by: Option<String>,
    jobs: Vec<usize>,
}

impl Batch<'_> {
    /// Reads what is there.
    pub(super) async fn read(&mut self) {
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
            fields.extend(job.write.write_column.as_deref());
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
    use super::*;

    #[test]
    fn a_query_goes_on_where_its_answer_says() {
        let page =
            |status, done, next: &str| next_page(&Reply { status, body: json!({"done": done, "nextRecordsUrl": next, "records": []}) });
        assert_eq!(page(200, false, "/services/data/v66.0/queryAll/01g-2000").as_deref(), Some("queryAll/01g-2000"));
        assert_eq!(page(200, true, "/services/data/v66.0/queryAll/01g-2000"), None);
        assert_eq!(page(400, false, "/services/data/v66.0/queryAll/01g-2000"), None);
    }
}
