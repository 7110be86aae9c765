//! One batch: what is there is read, each write is decided by it, and what still holds is written in as few calls as can be.

use schemas::message::{Lane, WriteOp};
use serde_json::Value as Json;

use super::client::Client;
use super::decide::decide;
use crate::error::Error;
use crate::writer::{Answer, Applied, Job, Verdict};

/// Tries a batch.
pub(crate) async fn run(client: &Client, jobs: &[Job]) -> Applied {
    let mut batch = Batch { client, jobs, answers: vec![None; jobs.len()], seen: vec![None; jobs.len()], halt: None };
    batch.go().await;
    let answers = batch.answers.into_iter().map(|answer| answer.unwrap_or_else(Answer::untried)).collect();
    Applied { answers, halt: batch.halt }
}

pub(super) struct Batch<'a> {
    pub(super) client: &'a Client,
    pub(super) jobs: &'a [Job],
    pub(super) answers: Vec<Option<Answer>>,
    /// The record as it is there.
    pub(super) seen: Vec<Option<Json>>,
    pub(super) halt: Option<Error>,
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

    /// Writes without an answer.
    pub(super) fn open(&self) -> impl Iterator<Item = (usize, &Job)> {
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

    /// Answers every write that needs no call.
    fn decide(&mut self) {
        for index in 0..self.jobs.len() {
            if self.answers[index].is_none() {
                self.answers[index] = decide(&self.jobs[index], self.seen[index].as_ref()).map(Answer::Done);
            }
        }
    }
}
