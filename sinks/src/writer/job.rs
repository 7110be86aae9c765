//! One write in hand, and what a target answers to it.

use std::time::Duration;

use bytes::Bytes;
use schemas::message::{Field, OutcomeResult, Write};
use stream::TopicPartition;

/// A write with what is needed to answer it or to set it aside.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) write: Write,
    pub(crate) partition: TopicPartition,
    pub(crate) offset: u64,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) sync: Option<Bytes>,
    /// Tries so far.
    pub(crate) attempts: i64,
    /// When it was read.
    pub(crate) read_at: i64,
}

impl Job {
    /// The sync id for logs.
    pub(crate) fn sync_id(&self) -> Option<&str> {
        crate::sync_id::shown(self.sync.as_ref())
    }

    #[cfg(test)]
    pub(crate) fn of(write: Write, offset: u64) -> Self {
        Self { write, partition: TopicPartition::new("writes", 0), offset, key: None, value: None, sync: None, attempts: 0, read_at: 0 }
    }
}

/// The final answer to a write, before it becomes an outcome.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) result: OutcomeResult,
    pub(crate) record: Option<String>,
    pub(crate) actual: Vec<Field>,
    pub(crate) code: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) remedy: Option<String>,
}

impl Verdict {
    pub(crate) fn applied(record: Option<String>, actual: Vec<Field>) -> Self {
        Self { result: OutcomeResult::Applied, record, actual, code: None, reason: None, remedy: None }
    }

    pub(crate) fn rejected(record: Option<String>, actual: Vec<Field>) -> Self {
        Self { result: OutcomeResult::Rejected, record, actual, code: None, reason: None, remedy: None }
    }

    pub(crate) fn failed(code: impl Into<String>, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            result: OutcomeResult::Failed,
            record: None,
            actual: Vec::new(),
            code: Some(code.into()),
            reason: Some(reason.into()),
            remedy: Some(remedy.into()),
        }
    }

    pub(crate) fn deferred(code: Option<String>, reason: String) -> Self {
        Self { result: OutcomeResult::Deferred, record: None, actual: Vec::new(), code, reason: Some(reason), remedy: None }
    }

    /// What went wrong and what may help, in one text.
    pub(crate) fn message(&self) -> Option<String> {
        let reason = self.reason.clone()?;
        Some(match &self.remedy {
            Some(remedy) if !remedy.is_empty() => format!("{reason}. {remedy}"),
            _ => reason,
        })
    }
}

/// A write that must be tried again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Later {
    pub(crate) code: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) remedy: Option<String>,
    /// When; none means by the usual backoff.
    pub(crate) after: Option<Duration>,
    /// Whether the target was asked at all, so that the try counts.
    pub(crate) tried: bool,
}

impl Later {
    pub(crate) fn give_up(&self, attempts: i64) -> Verdict {
        Verdict::failed(
            self.code.clone().unwrap_or_else(|| "GAVE_UP".to_owned()),
            format!("given up after {attempts} tries: {}", self.reason.as_deref().unwrap_or("the target would not take it")),
            self.remedy.clone().unwrap_or_else(|| "Replay the dead letter once the cause is gone".to_owned()),
        )
    }
}

/// A target's answer to one write.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    Done(Verdict),
    Later(Later),
}

impl Answer {
    /// Was not reached; does not count as a try.
    pub(crate) fn untried() -> Self {
        Self::Later(Later { code: None, reason: None, remedy: None, after: None, tried: false })
    }

    /// Tried, and failed for a reason that should pass.
    pub(crate) fn later(code: impl Into<String>, reason: impl Into<String>, remedy: impl Into<String>, after: Option<Duration>) -> Self {
        Self::Later(Later { code: Some(code.into()), reason: Some(reason.into()), remedy: Some(remedy.into()), after, tried: true })
    }

    /// Sent, and never answered: whether it took effect is not known.
    pub(crate) fn unanswered(reason: impl Into<String>, after: Option<Duration>) -> Self {
        let (code, reason) = (Some("NO_ANSWER".to_owned()), Some(reason.into()));
        Self::Later(Later { code, reason, remedy: Some(String::new()), after, tried: true })
    }
}

/// A target's answer to a batch.
#[derive(Debug)]
pub(crate) struct Applied {
    /// One for each write, in order.
    pub(crate) answers: Vec<Answer>,
    /// Set when the target as a whole cannot go on.
    pub(crate) halt: Option<crate::Error>,
}

impl Applied {
    /// Nothing was done because the target as a whole cannot go on.
    pub(crate) fn halted(writes: usize, error: crate::Error) -> Self {
        Self { answers: (0..writes).map(|_| Answer::untried()).collect(), halt: Some(error) }
    }
}
