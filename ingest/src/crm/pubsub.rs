//! The Pub/Sub API: topics, schemas, and a subscription with credit, keepalives and a watchdog.
//!
//! ```text
//! subscribe ─▶ task: request stream (credit) ─▶ service ─▶ responses ─▶ bounded queue ─▶ Subscription::next
//!                     ▲ topped up while the queue has room ──┘  silence ─▶ Error::Silent
//! ```
//!
//! Credit is topped up at half, before it is drained, and only while the reader keeps up: memory is bounded by the
//! queue and the credit. A reader that is busy for long (a first copy) lets the credit run out; the service then closes
//! the stream, which is an ordinary error to reconnect from. HTTP/2 pings find dead connections, the watchdog finds
//! streams that are open but dead, which happens while pings still work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

use super::config::{Config, MAX_CREDIT};
use super::error::{Error, Result};
use super::fault::Fault;
use super::http;
use super::ids::ReplayId;
use super::login::{Access, Login, chain};
use super::proto::pub_sub_client::PubSubClient;
use super::proto::{FetchRequest, FetchResponse, ReplayPreset, SchemaRequest, TopicInfo, TopicRequest};

/// Where a subscription begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum From {
    /// Only what happens from now on.
    Latest,
    /// The oldest event kept.
    Earliest,
    /// Just after this one.
    After(ReplayId),
}

/// A response may hold many events of up to 1 MB.
const MAX_RESPONSE_BYTES: usize = 64 << 20;
/// Responses waiting to be processed.
const QUEUE: usize = 4;
const PING: Duration = Duration::from_secs(30);
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to the Pub/Sub API.
#[derive(Clone)]
pub(crate) struct PubSub {
    client: PubSubClient<Channel>,
    login: Arc<Login>,
    credit: i32,
    silence: Duration,
}

impl PubSub {
    pub(crate) fn new(config: &Config, login: Arc<Login>) -> Result<Self> {
        let endpoint = &config.pubsub_endpoint;
        let wrong = |error: tonic::transport::Error| Error::Configure(format!("pubsub_endpoint {endpoint:?}: {}", chain(&error)));
        let mut tls = ClientTlsConfig::new().with_webpki_roots();
        if let Some(pem) = http::extra_roots(config)? {
            tls = tls.ca_certificate(Certificate::from_pem(pem));
        }
        let channel = Endpoint::from_shared(format!("https://{}", endpoint.trim_start_matches("https://")))
            .map_err(wrong)?
            .tls_config(tls)
            .map_err(wrong)?
            .connect_timeout(Duration::from_secs(10))
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(Duration::from_secs(20))
            .keep_alive_while_idle(true)
            .connect_lazy();
        Ok(Self {
            client: PubSubClient::new(channel).max_decoding_message_size(MAX_RESPONSE_BYTES),
            login,
            credit: config.credit.clamp(1, MAX_CREDIT).cast_signed(),
            silence: Duration::from_millis(config.silence_timeout_ms),
        })
    }

    /// What the service knows of a topic.
    pub(crate) async fn topic(&self, name: &str) -> Result<TopicInfo> {
        let doing = format!("the look at topic {name}");
        let mut access = self.login.access().await?;
        let answer = self.topic_with(&access, name, &doing).await;
        if self.renewed(&mut access, &answer).await? { self.topic_with(&access, name, &doing).await } else { answer }
    }

    async fn topic_with(&self, access: &Access, name: &str, doing: &str) -> Result<TopicInfo> {
        let mut client = self.client.clone();
        timed(doing, client.get_topic(request(access, TopicRequest { topic_name: name.to_owned() })?)).await
    }

    /// The Avro schema of an id.
    pub(crate) async fn schema(&self, id: &str) -> Result<String> {
        let doing = format!("the look at schema {id}");
        let mut access = self.login.access().await?;
        let answer = self.schema_with(&access, id, &doing).await;
        if self.renewed(&mut access, &answer).await? { self.schema_with(&access, id, &doing).await } else { answer }
    }

    async fn schema_with(&self, access: &Access, id: &str, doing: &str) -> Result<String> {
        let mut client = self.client.clone();
        let info = timed(doing, client.get_schema(request(access, SchemaRequest { schema_id: id.to_owned() })?)).await?;
        Ok(info.schema_json)
    }

    /// Whether a call was refused for its token, and there is a new one now.
    async fn renewed<T>(&self, access: &mut Arc<Access>, answer: &Result<T>) -> Result<bool> {
        let refused = matches!(answer, Err(error) if error.fault() == Fault::Token);
        if refused {
            self.login.reject(access).await;
            *access = self.login.access().await?;
        }
        Ok(refused)
    }

    /// Opens a stream. Errors come out of [`Subscription::next`].
    pub(crate) async fn subscribe(&self, topic: &str, from: From) -> Result<Subscription> {
        let access = self.login.access().await?;
        let (responses, queue) = mpsc::channel(QUEUE);
        let open = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(pump(self.clone(), topic.to_owned(), from, access, responses, open.clone()));
        Ok(Subscription { queue, open, task })
    }
}

/// An open stream; dropping it closes it.
pub(crate) struct Subscription {
    queue: mpsc::Receiver<Result<FetchResponse>>,
    open: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Subscription {
    /// The next response, which may be a keepalive.
    pub(crate) async fn next(&mut self) -> Result<FetchResponse> {
        self.queue.recv().await.unwrap_or(Err(Error::Closed))
    }

    /// Whether the service has answered that the stream is open. It may do so only with its first response.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// A response that is already here.
    pub(crate) fn ready(&mut self) -> Option<Result<FetchResponse>> {
        self.queue.try_recv().ok()
    }
}

async fn pump(
    pubsub: PubSub,
    topic: String,
    from: From,
    access: Arc<Access>,
    responses: mpsc::Sender<Result<FetchResponse>>,
    open: Arc<AtomicBool>,
) {
    let ended = read(&pubsub, &topic, from, &access, &responses, &open).await;
    open.store(false, Ordering::Relaxed);
    if let Err(error) = ended {
        if error.fault() == Fault::Token {
            pubsub.login.reject(&access).await;
        }
        // Nobody listens any more when this fails.
        let _ = responses.send(Err(error)).await;
    }
}

async fn read(
    pubsub: &PubSub,
    topic: &str,
    from: From,
    access: &Access,
    responses: &mpsc::Sender<Result<FetchResponse>>,
    open: &AtomicBool,
) -> Result<()> {
    let doing = format!("the subscription to {topic}");
    let (preset, replay_id) = match from {
        From::Latest => (ReplayPreset::Latest, ReplayId::default()),
        From::Earliest => (ReplayPreset::Earliest, ReplayId::default()),
        From::After(id) => (ReplayPreset::Custom, id),
    };
    let ask = |credit: i32| FetchRequest {
        topic_name: topic.to_owned(),
        replay_preset: preset.into(),
        replay_id: replay_id.bytes().to_vec().into(),
        num_requested: credit,
        auth_refresh: String::new(),
    };
    let silent = |_| Error::Silent { seconds: pubsub.silence.as_secs() };
    let (credit, requests) = mpsc::channel(2);
    // The channel is new and has room.
    let _ = credit.try_send(ask(pubsub.credit));
    let mut client = pubsub.client.clone();
    let opening = client.subscribe(request(access, ReceiverStream::new(requests))?);
    // The service may send its first headers only with its first response.
    let mut stream =
        tokio::time::timeout(pubsub.silence, opening).await.map_err(silent)?.map_err(|status| refused(&doing, &status))?.into_inner();
    open.store(true, Ordering::Relaxed);
    let mut outstanding = pubsub.credit;
    loop {
        let message = tokio::time::timeout(pubsub.silence, stream.message()).await.map_err(silent)?;
        let response = message.map_err(|status| refused(&doing, &status))?.ok_or(Error::Closed)?;
        let delivered = i32::try_from(response.events.len()).unwrap_or(i32::MAX);
        outstanding = outstanding.saturating_sub(delivered).max(0);
        if responses.send(Ok(response)).await.is_err() {
            return Ok(());
        }
        if outstanding <= pubsub.credit / 2 && credit.send(ask(pubsub.credit - outstanding)).await.is_ok() {
            outstanding = pubsub.credit;
        }
    }
}

async fn timed<T>(doing: &str, call: impl Future<Output = std::result::Result<tonic::Response<T>, Status>> + Send) -> Result<T> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(answer) => answer.map(tonic::Response::into_inner).map_err(|status| refused(doing, &status)),
        Err(_) => Err(Error::Request { doing: doing.to_owned(), reason: format!("nothing came back in {} s", CALL_TIMEOUT.as_secs()) }),
    }
}

/// A request with the headers that every call must carry.
fn request<T>(access: &Access, message: T) -> Result<Request<T>> {
    let mut request = Request::new(message);
    for (name, value) in [("accesstoken", &access.token), ("instanceurl", &access.instance_url), ("tenantid", &access.org)] {
        let mut value =
            MetadataValue::try_from(value.as_str()).map_err(|_| Error::Configure(format!("{name} cannot be sent as a header")))?;
        value.set_sensitive(name == "accesstoken");
        request.metadata_mut().insert(name, value);
    }
    Ok(request)
}

fn refused(doing: &str, status: &Status) -> Error {
    let code = status.metadata().get("error-code").and_then(|value| value.to_str().ok()).map(str::to_owned);
    // A connection that was never made shows as UNAVAILABLE with the transport's error as its source.
    let message = match std::error::Error::source(status) {
        Some(source) => chain(source),
        None => status.message().to_owned(),
    };
    Error::PubSub { doing: doing.to_owned(), status: status.code(), code, message }
}
