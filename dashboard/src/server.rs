//! Puts the pieces together and listens.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use schemas::topic::Topics;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use stream::{Codec, Log};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;
use tower_http::csrf::CsrfLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::auth::Auth;
use crate::cached::Cached;
use crate::clock::now_micros;
use crate::command::Decided;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::live::Live;
use crate::metrics::metrics;
use crate::queries::pipeline::Receivables;
use crate::routes;

/// What every handler may use.
pub(crate) struct App {
    pub(crate) pool: PgPool,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) codec: Codec,
    pub(crate) topics: Topics,
    pub(crate) auth: Auth,
    pub(crate) live: Live,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) decided: Decided,
    pub(crate) receivables: Cached<Receivables>,
    pub(crate) https: bool,
    pub(crate) session_hours: u32,
    pub(crate) shutdown: CancellationToken,
}

/// Shared by all handlers.
pub(crate) type Shared = Arc<App>;

/// A running dashboard.
#[derive(Debug)]
pub struct Dashboard {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Dashboard {
    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it has stopped after a shutdown.
    pub async fn stopped(self) {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the dashboard ended badly");
        }
    }
}

const MAX_CONNECTIONS: u32 = 8;
const MAX_STREAMS: usize = 256;
const RECEIVABLES_KEPT_MS: i64 = 3000;
const ACQUIRE_WITHIN: Duration = Duration::from_secs(3);
const STATEMENT_TIMEOUT_MS: &str = "5000";
/// How long requests may go on after a shutdown.
const FINISH_WITHIN: Duration = Duration::from_secs(5);

const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Starts the dashboard; it listens when this returns, and stops when `shutdown` is cancelled.
///
/// `extra` holds further routes of the embedding program (the schema registry's). They are served without a
/// sign-in when `extra_open` says so, or when it says nothing and the address is a loopback one;
/// otherwise they ask for the scope `crm.read`.
///
/// # Errors
/// [`Error::Config`] and [`Error::Listen`]. A read model that does not answer is no error: pages say so, and work when it does.
pub async fn serve(
    config: Config,
    log: Arc<dyn Log>,
    codec: Codec,
    topics: Topics,
    extra: Router,
    shutdown: CancellationToken,
) -> Result<Dashboard> {
    config.check()?;
    let options = config
        .database_url
        .reveal()
        .parse::<sqlx::postgres::PgConnectOptions>()
        .map_err(|_| Error::Config {
            setting: "database_url",
            reason: "is not an address like postgres://user:password@host:5432/database".into(),
        })?
        .application_name("concord dashboard")
        .options([("statement_timeout", STATEMENT_TIMEOUT_MS)]);
    let pool = PgPoolOptions::new().max_connections(MAX_CONNECTIONS).acquire_timeout(ACQUIRE_WITHIN).connect_lazy_with(options);
    let auth = Auth::new(&config).await?;
    let listener = TcpListener::bind(config.listen).await.map_err(|source| Error::Listen { address: config.listen, source })?;
    let address = listener.local_addr().map_err(|source| Error::Listen { address: config.listen, source })?;
    let csrf = match &config.public_url {
        None => CsrfLayer::new(),
        Some(url) => CsrfLayer::new().add_trusted_origin(url.trim_end_matches('/')).map_err(|error| Error::Config {
            setting: "public_url",
            reason: format!("`{url}` is not an origin like https://concord.example.com: {error}"),
        })?,
    };
    let app = Arc::new(App {
        live: Live::start(pool.clone(), shutdown.clone()),
        pool,
        log,
        codec,
        topics,
        auth,
        streams: Arc::new(Semaphore::new(MAX_STREAMS)),
        decided: Decided::default(),
        receivables: Cached::new(RECEIVABLES_KEPT_MS),
        https: config.https(),
        session_hours: config.session_hours,
        shutdown: shutdown.clone(),
    });
    let open = config.extra_open.unwrap_or(address.ip().is_loopback());
    let router = routes::router(&app).merge(routes::extra(&app, extra, open));
    let router = dressed(router.layer(csrf), config.https()).layer(from_fn(measured));
    let task = tokio::spawn(run(listener, router, app, shutdown));
    tracing::info!(%address, "the dashboard listens");
    Ok(Dashboard { address, task })
}

/// Headers and compression for every answer.
fn dressed(router: Router, https: bool) -> Router {
    let header = |name: HeaderName, value: &'static str| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    let router = router
        .layer(CompressionLayer::new().br(true).gzip(true))
        .layer(header(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .layer(header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header(header::REFERRER_POLICY, "same-origin"))
        .layer(header(HeaderName::from_static("cross-origin-opener-policy"), "same-origin"))
        .layer(header(header::CACHE_CONTROL, "no-store"));
    if https { router.layer(header(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000")) } else { router }
}

async fn measured(request: Request, next: Next) -> Response {
    let begun = now_micros();
    let stream = request.uri().path() == "/events";
    let response = next.run(request).await;
    if !stream {
        metrics().request_seconds.observe((now_micros() - begun) as f64 / 1e6);
    }
    let class = match response.status().as_u16() / 100 {
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    };
    metrics().responses.with_label_values(&[class]).inc();
    response
}

async fn run(listener: TcpListener, router: Router, app: Shared, shutdown: CancellationToken) {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let stop = shutdown.clone();
    let serving = async move { axum::serve(listener, service).with_graceful_shutdown(async move { stop.cancelled().await }).await };
    let late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(FINISH_WITHIN).await;
    };
    tokio::select! {
        ended = serving => if let Err(error) = ended {
            tracing::error!(%error, "the dashboard stopped listening");
        },
        () = late => tracing::warn!("requests were still running when the dashboard stopped"),
    }
    app.pool.close().await;
}
