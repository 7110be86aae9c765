//! How the source is doing, onto topic `health`: at once when its state changes, and every few seconds with its facts.

use std::sync::Arc;
use std::time::Duration;

use schemas::message::{Health, HealthState};
use schemas::topic::Topics;
use stream::{Codec, Log, NewRecord};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::clock;
use super::error::Error;

/// The source's own end.
pub(crate) struct Status {
    sender: watch::Sender<Health>,
    reporter: JoinHandle<()>,
}

impl Status {
    /// Begins to report a component.
    pub(crate) fn start(component: String, log: Arc<dyn Log>, codec: Codec, topics: &Topics, every: Duration) -> Self {
        let now = clock::now_micros();
        let health = Health {
            component,
            state: HealthState::Starting,
            reason: String::new(),
            remedy: String::new(),
            since: now,
            at: now,
            facts: std::collections::BTreeMap::new(),
        };
        let (sender, receiver) = watch::channel(health);
        let reporter = tokio::spawn(report(receiver, log, codec, topics.health(), every));
        Self { sender, reporter }
    }

    /// Says the state; empty reason and remedy when all is well.
    pub(crate) fn set(&self, state: HealthState, reason: &str, remedy: &str) {
        self.sender.send_if_modified(|health| {
            let changed = health.state != state || health.reason != reason;
            if health.state != state {
                health.since = clock::now_micros();
            }
            health.state = state;
            reason.clone_into(&mut health.reason);
            remedy.clone_into(&mut health.remedy);
            changed
        });
    }

    /// Held back by an error.
    pub(crate) fn paused(&self, error: &Error) {
        self.set(HealthState::Paused, &error.to_string(), error.remedy());
    }

    /// A fact to show, told with the next report.
    pub(crate) fn fact(&self, name: &str, value: impl ToString) {
        self.sender.send_if_modified(|health| {
            health.facts.insert(name.to_owned(), value.to_string());
            false
        });
    }

    /// A fact that no longer holds.
    pub(crate) fn no_fact(&self, name: &str) {
        self.sender.send_if_modified(|health| {
            health.facts.remove(name);
            false
        });
    }

    /// Reports the last state and ends.
    pub(crate) async fn finish(self) {
        drop(self.sender);
        // The reporter ends when the sender is gone; a failure of its own was logged.
        let _ = self.reporter.await;
    }
}

async fn report(mut health: watch::Receiver<Health>, log: Arc<dyn Log>, codec: Codec, topic: String, every: Duration) {
    let mut told = true;
    loop {
        let mut now = health.borrow_and_update().clone();
        now.at = clock::now_micros();
        let written = async {
            let value = codec.encode(&topic, &now).await?;
            log.publish(vec![NewRecord::new(topic.as_str(), now.component.clone(), value)]).await
        };
        match written.await {
            Ok(()) => told = true,
            Err(error) if told => {
                told = false;
                tracing::warn!(error = %error, component = %now.component, "health cannot be reported");
            }
            Err(_) => {}
        }
        // Changes come first, then the end.
        if let Ok(Err(_)) = tokio::time::timeout(every, health.changed()).await {
            return;
        }
    }
}
