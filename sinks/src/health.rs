//! Tells `health` how a sink is doing: at once when its state changes, and every ten seconds.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::message::{Health, HealthState};
use schemas::topic::Topics;
use stream::{Codec, Log, NewRecord};

use crate::clock::Clock;

const EVERY_MICROS: i64 = 10_000_000;

/// Why a sink is not simply running.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Why {
    pub(crate) reason: String,
    pub(crate) remedy: String,
}

pub(crate) struct Reporter {
    log: Arc<dyn Log>,
    codec: Codec,
    topic: String,
    clock: Clock,
    component: &'static str,
    state: HealthState,
    why: Why,
    since: i64,
    said: Option<(HealthState, Why, i64)>,
}

impl Reporter {
    pub(crate) fn new(log: Arc<dyn Log>, codec: Codec, topics: &Topics, clock: Clock, component: &'static str) -> Self {
        let since = clock();
        Self { log, codec, topic: topics.health(), clock, component, state: HealthState::Starting, why: Why::default(), since, said: None }
    }

    pub(crate) fn set(&mut self, state: HealthState, why: Why) {
        if state != self.state {
            self.since = (self.clock)();
            match state {
                HealthState::Paused | HealthState::Failing => {
                    tracing::warn!(component = self.component, reason = why.reason, remedy = why.remedy, "{state}")
                }
                HealthState::Starting | HealthState::Running | HealthState::Stopped => {
                    tracing::info!(component = self.component, "{state}")
                }
            }
            self.state = state;
        }
        self.why = why;
    }

    pub(crate) fn running(&mut self) {
        self.set(HealthState::Running, Why::default());
    }

    pub(crate) fn is(&self, state: HealthState) -> bool {
        self.state == state
    }

    /// Publishes when there is news or it is time. Failing to is no reason to stop: the log's own health says why.
    pub(crate) async fn tell(&mut self, facts: impl FnOnce() -> BTreeMap<String, String>) {
        let now = (self.clock)();
        if let Some((state, why, at)) = &self.said
            && (*state, why) == (self.state, &self.why)
            && now - at < EVERY_MICROS
        {
            return;
        }
        let health = Health {
            component: self.component.to_owned(),
            state: self.state,
            reason: self.why.reason.clone(),
            remedy: self.why.remedy.clone(),
            since: self.since,
            at: now,
            facts: facts(),
        };
        let sent = match self.codec.encode(&self.topic, &health).await {
            Ok(bytes) => self.log.publish(vec![NewRecord::new(self.topic.clone(), self.component, bytes)]).await,
            Err(error) => Err(error),
        };
        match sent {
            Ok(()) => self.said = Some((self.state, self.why.clone(), now)),
            Err(error) => tracing::warn!(component = self.component, %error, "health not published"),
        }
    }
}
