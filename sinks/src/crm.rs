//! Writes to Salesforce, per batch: read, compare with what the write expects, write only what still holds.
//!
//! ```text
//! writes.crm ─▶ batch ─▶ one retrieve per object ─▶ expected ≠ actual: rejected, with the actual values
//!                                                 ─▶ its id stands on the record: done before (an answer was lost)
//!                                                 ─▶ a later write's id of its entity: rejected, it had its chance
//!                                                 ─▶ else Collections update, upsert by external id, or delete
//!                                                    with the write's id put on the record first: 200 a call
//! ```
//!
//! Promises: an outcome for every record, never for a batch as a whole; a create tried again cannot make a second
//! record, for its key is the entity id, and what it made is found in the recycle bin too; every record that is written takes the write's id, in a field of its own, so that a later
//! try and the change stream know what it did; records of one parent are never written in parallel; never more than the
//! configured share of the org's daily calls. What a race between read and write still lets through, the change stream
//! shows and the reconciler settles; `strict` closes that gap at one call a record. One process writes at a time.

mod auth;
mod batch;
mod client;
mod code;
pub(crate) mod compare;
pub(crate) mod decide;
mod plan;
mod remove;
mod retrieve;
mod send;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemas::message::Side;
use schemas::topic::Topics;
use serde::{Deserialize, Serialize};
use stream::{Codec, Log, duration};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{Pace, Secret};
use crate::error::Error;
use crate::metrics::Metrics;
use crate::writer::{self, Applied, Job, Shell, Target};
use client::Client;

/// How Concord signs in to Salesforce.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "grant", rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    /// OAuth JWT bearer: a signed assertion for a user.
    JwtBearer {
        /// Consumer key of the connected app.
        client_id: String,
        /// User to act as; one of Concord's own, so that its changes can be told apart.
        username: String,
        /// RSA private key (PEM) whose certificate the connected app knows.
        private_key_pem: Secret,
        /// `https://login.salesforce.com`, or `https://test.salesforce.com` for sandboxes.
        audience: String,
    },
    /// OAuth client credentials; the login URL must be the org's My Domain.
    ClientCredentials {
        /// Consumer key of the connected app.
        client_id: String,
        /// Consumer secret.
        client_secret: Secret,
    },
}

/// How Salesforce is reached and written to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where tokens are asked for, such as `https://login.salesforce.com` or the org's My Domain.
    pub login_url: String,
    /// Signing in.
    pub auth: Auth,
    /// REST API version.
    #[serde(default = "default_api_version")]
    pub api_version: String,
    /// Certificate authorities (PEM) to trust besides the machine's.
    #[serde(default)]
    pub ca_pem: Option<String>,
    /// Share of the org's daily API calls beyond which writing pauses, 0 to 1.
    #[serde(default = "default_api_share")]
    pub api_share: f64,
    /// Also let Salesforce refuse records changed since they were read, at one call a record.
    #[serde(default)]
    pub strict: bool,
    /// The field of each object that refers to the record its writes lock.
    #[serde(default = "default_parents")]
    pub parents: BTreeMap<String, String>,
    /// Calls at a time.
    #[serde(default = "default_parallel")]
    pub parallel: usize,
    /// Longest time of one call.
    #[serde(default = "default_timeout", with = "duration")]
    pub timeout: Duration,
    /// Longest time to connect.
    #[serde(default = "default_connect_timeout", with = "duration")]
    pub connect_timeout: Duration,
    /// How often an exhausted limit is looked at again.
    #[serde(default = "default_limit_check", with = "duration")]
    pub limit_check: Duration,
    /// Consumer group.
    #[serde(default = "default_group")]
    pub group: String,
    /// Tells processes of this group apart.
    #[serde(default = "default_instance")]
    pub instance: String,
    /// Batches, waits and bounds.
    #[serde(default)]
    pub pace: Pace,
}

fn default_api_version() -> String {
    "66.0".to_owned()
}

fn default_api_share() -> f64 {
    0.8
}

fn default_parents() -> BTreeMap<String, String> {
    ["Contact", "Opportunity", "Order", "Case", "Contract"].into_iter().map(|object| (object.to_owned(), "AccountId".to_owned())).collect()
}

fn default_parallel() -> usize {
    4
}

fn default_timeout() -> Duration {
    Duration::from_secs(60)
}

fn default_connect_timeout() -> Duration {
    Duration::from_secs(10)
}

fn default_limit_check() -> Duration {
    Duration::from_secs(60)
}

fn default_group() -> String {
    "sink.crm".to_owned()
}

fn default_instance() -> String {
    "0".to_owned()
}

impl Config {
    /// The usual settings for an org.
    pub fn new(login_url: impl Into<String>, auth: Auth) -> Self {
        Self {
            login_url: login_url.into(),
            auth,
            api_version: default_api_version(),
            ca_pem: None,
            api_share: default_api_share(),
            strict: false,
            parents: default_parents(),
            parallel: default_parallel(),
            timeout: default_timeout(),
            connect_timeout: default_connect_timeout(),
            limit_check: default_limit_check(),
            group: default_group(),
            instance: default_instance(),
            pace: Pace::default(),
        }
    }
}

/// The Salesforce sink.
pub struct CrmSink {
    config: Config,
    clock: Clock,
    metrics: Metrics,
}

impl CrmSink {
    /// A sink that has not signed in yet.
    pub fn new(config: Config, clock: Clock, metrics: Metrics) -> Self {
        Self { config, clock, metrics }
    }

    /// Writes what stands on `writes.crm` until `shutdown`.
    ///
    /// # Errors
    /// When a setting cannot work, or the log refuses for good. Faults of Salesforce pause the sink instead.
    pub async fn run(self, log: Arc<dyn Log>, codec: Codec, topics: Topics, shutdown: CancellationToken) -> Result<(), Error> {
        let client = Client::new(self.config.clone(), self.clock.clone(), self.metrics.clone())?;
        let shell = Shell {
            log,
            codec,
            group: topics.owned(&self.config.group),
            topics,
            clock: self.clock,
            metrics: self.metrics,
            pace: self.config.pace,
            instance: self.config.instance,
        };
        writer::run(Crm { client }, shell, shutdown).await
    }
}

struct Crm {
    client: Client,
}

impl Target for Crm {
    const SIDE: Side = Side::Crm;
    const COMPONENT: &'static str = "sink.crm";

    async fn ready(&mut self) -> Result<(), Error> {
        self.client.check_limits().await
    }

    async fn apply(&mut self, jobs: &[Job]) -> Applied {
        match self.client.within_share() {
            Ok(()) => batch::run(&self.client, jobs).await,
            Err(error) => Applied::halted(jobs.len(), error),
        }
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = Vec::new();
        if let Some((used, limit)) = self.client.usage() {
            facts.push(("api_calls", used.to_string()));
            facts.push(("api_limit", limit.to_string()));
        }
        if let Some(server) = self.client.instance() {
            facts.push(("server", server));
        }
        facts
    }
}
