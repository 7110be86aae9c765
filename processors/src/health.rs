//! Says how a processor is doing: on every change of state and every few seconds, to the topic `health`.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use schemas::message::{Health, HealthState};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::outbox::Channel;
use crate::task::Task;

/// What a task says of itself.
pub(crate) struct Report {
    component: &'static str,
    clock: Clock,
    now: Mutex<Health>,
    changed: Notify,
}

impl Report {
    pub(crate) fn new(component: &'static str, clock: Clock) -> Self {
        let at = clock();
        let now = Health {
            component: component.to_owned(),
            state: HealthState::Starting,
            reason: String::new(),
            remedy: String::new(),
            since: at,
            at,
            facts: BTreeMap::new(),
        };
        Self { component, clock, now: Mutex::new(now), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Health> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, state: HealthState, reason: String, remedy: &str) {
        let mut now = self.lock();
        if now.state == state && now.reason == reason {
            return;
        }
        if now.state != state {
            now.since = (self.clock)();
            tracing::info!(processor = self.component, state = %state, reason, "health changed");
        }
        now.state = state;
        now.reason = reason;
        remedy.clone_into(&mut now.remedy);
        drop(now);
        self.changed.notify_one();
    }

    pub(crate) fn running(&self) {
        self.lock().facts.remove("restored");
        self.turn(HealthState::Running, String::new(), "");
    }

    pub(crate) fn restoring(&self, records: u64) {
        self.lock().facts.insert("restored".to_owned(), records.to_string());
    }

    /// Shows facts of a processor; those without a value are not shown any more.
    pub(crate) fn facts(&self, facts: BTreeMap<&'static str, Option<String>>) {
        let mut now = self.lock();
        for (name, value) in facts {
            match value {
                Some(value) => now.facts.insert(name.to_owned(), value),
                None => now.facts.remove(name),
            };
        }
    }

    pub(crate) fn paused(&self, error: &Error) {
        self.turn(HealthState::Paused, error.to_string(), error.remedy());
    }

    pub(crate) fn failing(&self, error: &Error) {
        self.turn(HealthState::Failing, error.to_string(), error.remedy());
    }

    pub(crate) fn stopped(&self) {
        self.turn(HealthState::Stopped, String::new(), "");
    }

    fn message(&self) -> Health {
        let mut now = self.lock();
        now.at = (self.clock)();
        now.clone()
    }
}

/// Publishes a task's health for as long as it is polled. Failures are left to the next time.
pub(crate) async fn keep_publishing(task: &Task, topic: &str) {
    let every = Duration::from_millis(task.config.health_every_ms.max(100));
    loop {
        if let Err(error) = publish(task, topic).await {
            tracing::debug!(processor = task.name, %error, "health not published");
        }
        tokio::select! {
            () = task.report.changed.notified() => {}
            () = tokio::time::sleep(every) => {}
        }
    }
}

/// Publishes it once.
pub(crate) async fn publish(task: &Task, topic: &str) -> Result<()> {
    let log = Error::log(task.name);
    if let Ok(lag) = lag(task).await {
        task.metrics.lag.with_label_values(&[task.name]).set(i64::try_from(lag).unwrap_or(i64::MAX));
        task.report.lock().facts.insert("lag".to_owned(), lag.to_string());
    }
    let channel = Channel::<Health>::open(&task.codec, topic).await.map_err(&log)?;
    task.log.publish(vec![channel.record(task.name, &task.report.message())]).await.map_err(&log)
}

/// Committed records not yet processed by the group. The mark that the last transaction may have left at the end of a
/// partition is not counted; marks in between are.
async fn lag(task: &Task) -> stream::Result<u64> {
    let committed = task.log.committed(&task.group, &task.inputs).await?;
    let mut lag = 0;
    for topic in &task.inputs {
        for (partition, end) in task.log.ends(topic).await? {
            lag += end.saturating_sub(committed.get(&partition).copied().unwrap_or(0)).saturating_sub(1);
        }
    }
    Ok(lag)
}
