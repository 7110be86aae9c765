//! Settings: what an org is started with, and what can be changed while it runs.
//!
//! Faults are ordinary run-time settings. Those that count (`*_next`) go down as they are used up;
//! reading the settings shows what is left.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::clock::Clock;

/// What a simulator is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where REST listens; port 0 takes a free one.
    pub rest_address: SocketAddr,
    /// Where REST listens with TLS besides, if anywhere.
    pub rest_tls_address: Option<SocketAddr>,
    /// Where Pub/Sub listens (TLS).
    pub pubsub_address: SocketAddr,
    /// Host name by which clients reach it, used in `instance_url` and links.
    pub host: String,
    /// Names and addresses the certificate is for.
    pub certificate_names: Vec<String>,
    /// Time as the org sees it.
    pub clock: Clock,
    /// Seed of ids, tokens and event ids: same seed, same calls, same clock, same org.
    pub seed: u64,
    /// Consumer key of the one connected app.
    pub client_id: String,
    /// Consumer secret of the one connected app.
    pub client_secret: String,
    /// RSA public key (PEM) that JWT assertions are checked with; none takes the built-in demo key.
    pub jwt_public_key_pem: Option<String>,
    /// User name of the integration user, whom JWT and client credentials sign in.
    pub username: String,
    /// Password for SOAP login.
    pub password: String,
    /// Resolution of LastModifiedDate and commitTimestamp. The real service has whole seconds.
    pub time_resolution_ms: i64,
    /// What can be changed later.
    pub live: Live,
}

impl Default for Settings {
    fn default() -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            rest_address: loopback,
            rest_tls_address: None,
            pubsub_address: loopback,
            host: "127.0.0.1".to_owned(),
            certificate_names: vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()],
            clock: Clock::Real,
            seed: 1,
            client_id: "concord-simulator".to_owned(),
            client_secret: "simulator-secret".to_owned(),
            jwt_public_key_pem: None,
            username: "integration@simulator.example".to_owned(),
            password: "simulator-password".to_owned(),
            time_resolution_ms: 1000,
            live: Live::default(),
        }
    }
}

/// Settings that may change while the org runs: service time, limits, faults, flows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Live {
    /// Service time of every REST call, before it takes effect.
    pub latency_ms: u64,
    /// Service time between effect and answer.
    pub latency_after_ms: u64,
    /// Service time more for each record written.
    pub latency_per_record_us: u64,
    /// Time between commit and delivery of an event.
    pub delivery_latency_ms: u64,

    /// Calls allowed in a day; the header `Sforce-Limit-Info` and `/limits` show it.
    pub daily_api_requests: u64,
    /// Every REST call is refused with 403 REQUEST_LIMIT_EXCEEDED.
    pub quota_exhausted: bool,
    /// So many REST calls are answered 401 INVALID_SESSION_ID; `u32::MAX` until changed.
    pub unauthorized_next: u32,
    /// So many REST calls are answered 429.
    pub too_many_requests_next: u32,
    /// So many REST calls are answered 503 SERVER_UNAVAILABLE.
    pub unavailable_next: u32,
    /// `Retry-After` of 429 and 503.
    pub retry_after_s: Option<u32>,
    /// Token requests are refused with `invalid_client`.
    pub refuse_login: bool,
    /// So many writing calls take effect and then lose their connection with no answer.
    pub drop_after_commit_next: u32,
    /// So many calls lose their connection before anything happens.
    pub drop_before_next: u32,
    /// So many record writes of API users fail with UNABLE_TO_LOCK_ROW.
    pub row_lock_next: u32,
    /// Only records of these objects are locked; none means all.
    pub row_lock_objects: Vec<String>,
    /// Fields hidden from API users, as `Object.Field`: absent from describe, refused in calls, empty in events.
    pub hidden_fields: Vec<String>,
    /// Objects with change events.
    pub change_events: Vec<String>,
    /// Whether subscribing to an object without change events is an error (else it is silence).
    pub refuse_disabled_topics: bool,
    /// What the org does by itself when a field changes.
    pub flows: Vec<Flow>,
    /// Whether `Sforce-Call-Options` reaches changeOrigin from Composite, Graph and Collections.
    pub client_in_composite_origin: bool,

    /// An empty response with the tip goes to an idle subscriber after so long.
    pub keepalive_ms: u64,
    /// A stream whose credit is used up is closed after so long.
    pub zero_credit_close_ms: u64,
    /// So many events are kept.
    pub retained_events: usize,
    /// So long an event is kept.
    pub retained_ms: i64,
    /// CUSTOM replay ids are refused as outside the retention window.
    pub replay_expired: bool,
    /// Subscribers receive nothing at all, keepalives included, and no error.
    pub stream_stalled: bool,
    /// New gRPC calls are refused as UNAVAILABLE.
    pub pubsub_unavailable: bool,
    /// So many schema requests fail with `schema.api.unavailable`.
    pub schema_unavailable_next: u32,
    /// Deliveries left in the rolling day; none means no limit.
    pub delivery_allocation: Option<u64>,
    /// What the stream tells of a record that one transaction changes and then deletes.
    pub deleted_last: DeletedLast,
    /// So many change events become GAP events of the same kind.
    pub gap_next: u32,
    /// Changes in one transaction beyond which one GAP_OVERFLOW per object is sent.
    pub overflow_after: usize,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            latency_after_ms: 0,
            latency_per_record_us: 0,
            delivery_latency_ms: 0,
            daily_api_requests: 100_000,
            quota_exhausted: false,
            unauthorized_next: 0,
            too_many_requests_next: 0,
            unavailable_next: 0,
            retry_after_s: None,
            refuse_login: false,
            drop_after_commit_next: 0,
            drop_before_next: 0,
            row_lock_next: 0,
            row_lock_objects: Vec::new(),
            hidden_fields: Vec::new(),
            change_events: ["Account", "Contact", "Opportunity", "Order", "Quote"].map(str::to_owned).to_vec(),
            refuse_disabled_topics: true,
            flows: Vec::new(),
            client_in_composite_origin: true,
            keepalive_ms: 60_000,
            zero_credit_close_ms: 60_000,
            retained_events: 200_000,
            retained_ms: 72 * 3_600_000,
            replay_expired: false,
            stream_stalled: false,
            pubsub_unavailable: false,
            schema_unavailable_next: 0,
            delivery_allocation: None,
            deleted_last: DeletedLast::First,
            gap_next: 0,
            overflow_after: 100_000,
        }
    }
}

/// What the stream tells of a record that one transaction changes and then deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeletedLast {
    /// That it was changed: one event, of the kind of the first change. So the developer guide has it ("Change Event Generation
    /// in a Transaction with Multiple Changes for the Same Record").
    First,
    /// That it was deleted.
    Last,
    /// Both.
    Both,
}

/// A record-triggered flow: when `when` changes, `set` gets a value in the same transaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// The object, such as `Contact`.
    pub object: String,
    /// The field whose change starts it.
    pub when: String,
    /// The field it sets.
    pub set: String,
    /// The value it sets.
    pub to: FlowValue,
}

/// What a flow writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowValue {
    /// Always this value.
    Literal(serde_json::Value),
    /// The value of another field.
    CopyOf(String),
    /// The text of another field in capitals.
    UpperOf(String),
    /// Fails the write with FIELD_CUSTOM_VALIDATION_EXCEPTION and this message.
    Refuse(String),
}

/// Reads and changes the run-time settings. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SettingsHandle {
    live: Arc<Mutex<Live>>,
    changed: Arc<watch::Sender<u64>>,
}

impl SettingsHandle {
    pub(crate) fn new(live: Live) -> Self {
        Self { live: Arc::new(Mutex::new(live)), changed: Arc::new(watch::Sender::new(0)) }
    }

    /// The settings as they are now.
    #[must_use]
    pub fn get(&self) -> Live {
        self.lock().clone()
    }

    /// Changes settings at once; open streams see it.
    pub fn update(&self, change: impl FnOnce(&mut Live)) {
        change(&mut self.lock());
        self.changed.send_modify(|version| *version += 1);
    }

    pub(crate) fn read<R>(&self, read: impl FnOnce(&Live) -> R) -> R {
        read(&self.lock())
    }

    /// Uses up one of a counted fault; whether there was one.
    pub(crate) fn take(&self, counter: impl FnOnce(&mut Live) -> &mut u32) -> bool {
        let mut live = self.lock();
        let left = counter(&mut live);
        let any = *left > 0;
        if any && *left != u32::MAX {
            *left -= 1;
        }
        any
    }

    /// Changes a setting without waking streams.
    pub(crate) fn adjust<R>(&self, change: impl FnOnce(&mut Live) -> R) -> R {
        change(&mut self.lock())
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
