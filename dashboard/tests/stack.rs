//! A dashboard on a database of its own, and a client that speaks to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use dashboard::{ApiToken, Config, Dashboard, PasswordSource, Scope, Secret};
use reqwest::{Client, Method, RequestBuilder, Response, header, redirect};
use schemas::message::Message;
use schemas::topic::Topics;
use servers::{Postgres, PostgresOptions};
use sqlx::PgPool;
use stream::{Codec, LocalRegistry, Log, MemoryLog, MemoryOptions, Registry, Start, TopicPartition};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

pub(crate) const PASSWORD: &str = "a password for tests";
const MIGRATIONS: [&str; 3] = [
    include_str!("../../migrations/read_model/0001_read_model.sql"),
    include_str!("../../migrations/read_model/0002_decisions_and_reviews.sql"),
    include_str!("../../migrations/read_model/0003_waiting_decisions.sql"),
];

/// One server for all tests of the process; it goes with the process.
async fn server() -> Result<&'static Postgres> {
    static SERVER: OnceCell<Postgres> = OnceCell::const_new();
    Ok(SERVER.get_or_try_init(|| Postgres::start(PostgresOptions::default())).await?)
}

/// A running dashboard and what stands behind it.
pub(crate) struct Stack {
    pub(crate) pool: PgPool,
    pub(crate) log: MemoryLog,
    pub(crate) codec: Codec,
    pub(crate) topics: Topics,
    pub(crate) address: SocketAddr,
    client: Client,
    cookie: Mutex<Option<String>>,
    dashboard: Option<Dashboard>,
    shutdown: CancellationToken,
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Tokens by scope.
pub(crate) fn token(scope: Scope) -> String {
    format!("token-for-tests-{scope}")
}

impl Stack {
    pub(crate) async fn start() -> Result<Self> {
        Self::with(|_| ()).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Result<Self> {
        let server = server().await?;
        let name = format!("d_{}", uuid::Uuid::now_v7().simple());
        server.create_database(&name).await?;
        for migration in MIGRATIONS {
            server.execute(&name, migration).await?;
        }
        Self::on(&server.url(&name), change).await
    }

    pub(crate) async fn on(url: &str, change: impl FnOnce(&mut Config)) -> Result<Self> {
        // Someone else in this process may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let pool = PgPool::connect_lazy(url)?;
        let mut config = Config::new(Secret::new(url), PasswordSource::Plain(Secret::new(PASSWORD)));
        config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config.api_tokens = [Scope::Read, Scope::Sync, Scope::Admin]
            .map(|scope| ApiToken { name: format!("program {scope}"), scope, token: Secret::new(token(scope)) })
            .to_vec();
        change(&mut config);
        let log = MemoryLog::new(MemoryOptions::with_clock(|| 0));
        let topics = Topics::new("", 2);
        log.create_topics(&topics.fixed()).await?;
        let registry: Arc<dyn Registry> = Arc::new(LocalRegistry::open(Arc::new(log.clone()), &topics).await?);
        let codec = Codec::new(registry.clone());
        let shutdown = CancellationToken::new();
        let extra = stream::registry_routes(&registry);
        let dashboard = dashboard::serve(config, Arc::new(log.clone()), codec.clone(), topics.clone(), extra, shutdown.clone()).await?;
        Ok(Self {
            pool,
            log,
            codec,
            topics,
            address: dashboard.address(),
            client: Client::builder().redirect(redirect::Policy::none()).build()?,
            cookie: Mutex::new(None),
            dashboard: Some(dashboard),
            shutdown,
        })
    }

    /// Stops the dashboard and waits for it.
    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        if let Some(dashboard) = self.dashboard.take() {
            dashboard.stopped().await;
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A request that carries the cookie, once there is one.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, self.url(path));
        match &*self.cookie.lock().unwrap_or_else(std::sync::PoisonError::into_inner) {
            Some(cookie) => request.header(header::COOKIE, cookie.clone()),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Response> {
        Ok(self.request(Method::GET, path).send().await?)
    }

    /// A page that must be there.
    pub(crate) async fn page(&self, path: &str) -> Result<String> {
        let answer = self.get(path).await?;
        let status = answer.status();
        let text = answer.text().await?;
        if status != 200 {
            bail!("{path} answers {status}: {text}");
        }
        Ok(text)
    }

    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<Response> {
        Ok(self.request(Method::POST, path).form(form).send().await?)
    }

    pub(crate) async fn sign_in(&self) -> Result<Response> {
        let answer = self.post("/login", &[("password", PASSWORD)]).await?;
        let cookie = answer.headers().get(header::SET_COOKIE).context("a cookie")?.to_str()?;
        let pair = cookie.split(';').next().context("a pair")?.to_owned();
        *self.cookie.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(pair);
        Ok(answer)
    }

    /// JSON with a token.
    pub(crate) async fn api(
        &self,
        method: Method,
        path: &str,
        scope: Scope,
        body: Option<serde_json::Value>,
    ) -> Result<(u16, serde_json::Value)> {
        let mut request = self.client.request(method, self.url(path)).bearer_auth(token(scope));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        Ok((answer.status().as_u16(), answer.json().await?))
    }

    /// Everything on a topic, with its keys.
    pub(crate) async fn messages<M: Message>(&self, topic: &str) -> Result<Vec<(String, M)>> {
        let partitions = self.log.partitions(topic).await?;
        let ends = self.log.ends(topic).await?;
        let mut reader = self.log.reader((0..partitions).map(|nth| (TopicPartition::new(topic, nth), Start::Earliest)).collect()).await?;
        let mut found = Vec::new();
        loop {
            let done = reader.position().await?;
            if ends.iter().all(|(partition, end)| done.get(partition).is_some_and(|at| at >= end)) {
                return Ok(found);
            }
            for record in reader.poll(100, Duration::from_millis(100)).await? {
                let key = record.key.as_deref().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
                found.push((key, self.codec.message::<M>(&record).await?.context("a value")?));
            }
        }
    }

    /// Tells the pages that something has changed, as the sink does.
    pub(crate) async fn notify(&self) -> Result<()> {
        sqlx::query("notify concord_changed").execute(&self.pool).await?;
        Ok(())
    }
}

/// Reads server-sent events until `wanted` is satisfied by one, and gives its data.
pub(crate) async fn event(stream: &mut Events, wanted: impl Fn(&str, &str) -> bool) -> Result<String> {
    let found = async {
        loop {
            let (name, data) = stream.next().await?;
            if wanted(&name, &data) {
                return Ok(data);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), found).await.context("no such event came")?
}

/// An open stream of events.
pub(crate) struct Events {
    response: Response,
    text: String,
}

impl Events {
    pub(crate) async fn open(stack: &Stack, path: &str) -> Result<Self> {
        let response = stack.get(path).await?;
        if response.status() != 200 {
            bail!("{path} answers {}", response.status());
        }
        Ok(Self { response, text: String::new() })
    }

    async fn next(&mut self) -> Result<(String, String)> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let mut fields: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
                for line in block.lines() {
                    let (name, value) = line.split_once(':').unwrap_or((line, ""));
                    fields.entry(name).or_default().push(value.strip_prefix(' ').unwrap_or(value));
                }
                let get = |name: &str| fields.get(name).map(|lines| lines.join("\n")).unwrap_or_default();
                let event = (get("event"), get("data"));
                self.text = rest.to_owned();
                if event.0.is_empty() {
                    continue;
                }
                return Ok(event);
            }
            let chunk = self.response.chunk().await?.context("the stream ended")?;
            self.text.push_str(&String::from_utf8_lossy(&chunk));
        }
    }
}
