//! The write sinks' own loop and decisions around a target that somebody else provides: what simulation runs.
//!
//! Everything from reading writes to publishing outcomes with offsets is the loop that production runs; so is what the
//! Salesforce sink decides from what it has read. Only the calls to the target are the caller's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use schemas::Value;
use schemas::message::{Field, OutcomeResult, Side, Write};
use schemas::topic::Topics;
use serde_json::{Map, Value as Json, json};
use stream::{Codec, Log, TopicPartition};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Pace;
use crate::crm::{compare, decide};
use crate::error::Error;
use crate::metrics::Metrics;
use crate::writer::{self, Answer, Applied, Job, Shell, Verdict};

/// One write to be tried.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The write.
    pub write: Write,
    /// How often it has been tried before.
    pub attempts: i64,
}

/// The target's answer to one write.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Done, now or by an earlier try.
    Applied {
        /// Record id.
        record: Option<String>,
        /// Values found in the written columns.
        actual: Vec<Field>,
    },
    /// A precondition did not hold.
    Rejected {
        /// Record id.
        record: Option<String>,
        /// Values found in the written columns; none when the record is gone.
        actual: Vec<Field>,
    },
    /// Tried, and to be tried again.
    Later {
        /// The target's error code.
        code: String,
        /// When.
        after: Duration,
    },
    /// Sent, and its answer was lost.
    Unanswered {
        /// When to try again.
        after: Duration,
    },
    /// Not reached.
    Untried,
}

/// The target's answer to a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Replies {
    /// One for each write, in order.
    pub replies: Vec<Reply>,
    /// Set when the target as a whole cannot go on: when to look again.
    pub halted: Option<Duration>,
}

/// A target of writes.
pub trait Target: Send {
    /// Side it writes to.
    const SIDE: Side;

    /// Tries writes, at most one for each entity.
    fn apply(&mut self, attempts: &[Attempt]) -> impl Future<Output = Replies> + Send;
}

/// What a sink runs with.
pub struct Environment {
    /// The log.
    pub log: Arc<dyn Log>,
    /// Encodes and decodes what stands on it.
    pub codec: Codec,
    /// Topic names.
    pub topics: Topics,
    /// The time.
    pub clock: Clock,
    /// Metrics.
    pub metrics: Metrics,
    /// Batches, waits and bounds.
    pub pace: Pace,
}

/// Runs a write sink until `shutdown`, or until the log refuses for good.
///
/// # Errors
/// What the log says.
pub async fn run<T: Target>(target: T, environment: Environment, shutdown: CancellationToken) -> Result<(), Error> {
    let Environment { log, codec, topics, clock, metrics, pace } = environment;
    let shell = Shell { log, codec, topics, clock, metrics, pace, group: format!("sink.{}", T::SIDE), instance: "0".to_owned() };
    writer::run(Adapted(target), shell, shutdown).await
}

/// A Salesforce record as a retrieve shows it.
#[derive(Debug, Clone)]
pub struct Retrieved<'a> {
    /// Record id.
    pub id: &'a str,
    /// Field values.
    pub values: &'a BTreeMap<String, Value>,
}

/// What the Salesforce sink does with a write after reading the record; none when it must call.
#[must_use]
pub fn decide_crm(attempt: &Attempt, seen: Option<&Retrieved<'_>>) -> Option<Reply> {
    let seen = seen.map(|seen| {
        let mut record: Map<String, Json> = seen.values.iter().map(|(name, value)| (name.clone(), compare::json(value))).collect();
        record.insert("Id".to_owned(), json!(seen.id));
        Json::Object(record)
    });
    decide::decide(&job(attempt), seen.as_ref()).map(reply)
}

struct Adapted<T>(T);

impl<T: Target> writer::Target for Adapted<T> {
    const SIDE: Side = T::SIDE;
    const COMPONENT: &'static str = match T::SIDE {
        Side::Crm => "sink.crm",
        Side::Erp => "sink.erp",
    };

    async fn ready(&mut self) -> Result<(), Error> {
        Ok(())
    }

    async fn apply(&mut self, jobs: &[Job]) -> Applied {
        let attempts: Vec<Attempt> = jobs.iter().map(|job| Attempt { write: job.write.clone(), attempts: job.attempts }).collect();
        let replies = self.0.apply(&attempts).await;
        let halt = replies.halted.map(|after| Error::Busy {
            target: "the simulated system",
            doing: "writing",
            reason: "it is down".to_owned(),
            after: Some(after),
        });
        Applied { answers: replies.replies.into_iter().map(answer).collect(), halt }
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

fn job(attempt: &Attempt) -> Job {
    Job {
        write: attempt.write.clone(),
        partition: TopicPartition::new("", 0),
        offset: 0,
        key: None,
        value: None,
        sync: None::<Bytes>,
        attempts: attempt.attempts,
        read_at: 0,
    }
}

fn answer(reply: Reply) -> Answer {
    match reply {
        Reply::Applied { record, actual } => Answer::Done(Verdict::applied(record, actual)),
        Reply::Rejected { record, actual } => Answer::Done(Verdict::rejected(record, actual)),
        Reply::Unanswered { after } => Answer::unanswered("not now", Some(after)),
        Reply::Later { code, after } => Answer::later(code, "not now", "", Some(after)),
        Reply::Untried => Answer::untried(),
    }
}

fn reply(verdict: Verdict) -> Reply {
    match verdict.result {
        OutcomeResult::Applied => Reply::Applied { record: verdict.record, actual: verdict.actual },
        OutcomeResult::Rejected => Reply::Rejected { record: verdict.record, actual: verdict.actual },
        OutcomeResult::Failed | OutcomeResult::Deferred => Reply::Untried,
    }
}
