//! Starting and stopping: ports, certificate, the two servers around one org.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, ServerTlsConfig};

use crate::certificate::Certificate;
use crate::error::SimulatorError;
use crate::events::bus::Bus;
use crate::events::catalog::Catalog;
use crate::org::State;
use crate::org::handle::Org;
use crate::proto::pub_sub_server::PubSubServer;
use crate::pubsub::service::Service;
use crate::rest::listener::{Accept, Connection};
use crate::rest::{Server, front, sessions::Sessions};
use crate::settings::{Settings, SettingsHandle};

/// The private key that signs JWT assertions when the settings name no other public key. A demo key:
/// it opens nothing but simulators.
const DEMO_KEY_PEM: &str = include_str!("../keys/jwt-demo.pem");
const DEMO_PUBLIC_KEY_PEM: &str = include_str!("../keys/jwt-demo.pub.pem");
/// Largest message either way, as on the real service.
const MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// A running Salesforce org.
pub struct Simulator {
    server: Arc<Server>,
    rest: SocketAddr,
    rest_tls: Option<SocketAddr>,
    pubsub: SocketAddr,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Simulator {
    /// Opens the ports and serves until [`Simulator::stop`] or drop.
    ///
    /// # Errors
    /// When a port cannot be opened, or the settings hold a key that is not one.
    pub async fn start(settings: Settings) -> Result<Self, SimulatorError> {
        let live = SettingsHandle::new(settings.live.clone());
        let jwt_pem = settings.jwt_public_key_pem.as_deref().unwrap_or(DEMO_PUBLIC_KEY_PEM);
        let jwt_key = jsonwebtoken::DecodingKey::from_rsa_pem(jwt_pem.as_bytes())
            .map_err(|error| SimulatorError::JwtKey { reason: error.to_string() })?;
        let certificate = Certificate::new(&settings.certificate_names)?;
        let org = Org::new(State::new(&settings, live.clone(), Arc::new(Bus::new()), Arc::new(Catalog::new()))?);

        let rest_listener = bind("REST", settings.rest_address).await?;
        let tls_listener = match settings.rest_tls_address {
            Some(address) => Some(bind("REST with TLS", address).await?),
            None => None,
        };
        let pubsub_listener = bind("Pub/Sub", settings.pubsub_address).await?;
        let (rest, pubsub) = (local("REST", &rest_listener)?, local("Pub/Sub", &pubsub_listener)?);
        let rest_tls = tls_listener.as_ref().map(|listener| local("REST with TLS", listener)).transpose()?;

        let rest_url = format!("http://{}:{}", settings.host, rest.port());
        let instance_url = rest_tls.map_or_else(|| rest_url.clone(), |address| format!("https://{}:{}", settings.host, address.port()));
        let server = Arc::new(Server {
            sessions: Sessions::new(settings.seed, org.org_id()),
            org,
            live,
            cursors: crate::rest::query::Cursors::default(),
            jobs: crate::rest::bulk::Jobs::default(),
            calls: AtomicU64::new(0),
            streams: watch::Sender::new(0),
            managed: crate::pubsub::managed::Subscriptions::default(),
            ca_pem: certificate.ca_pem.clone(),
            rest_url,
            instance_url,
            jwt_key,
            settings,
        });

        let stop = CancellationToken::new();
        let mut tasks = vec![serve_rest(&server, Accept::Plain(rest_listener), stop.clone())];
        if let Some(listener) = tls_listener {
            tasks.push(serve_rest(&server, Accept::tls(listener, acceptor(&certificate)?), stop.clone()));
        }
        tasks.push(serve_pubsub(&server, pubsub_listener, &certificate, stop.clone())?);
        Ok(Self { server, rest, rest_tls, pubsub, stop, tasks })
    }

    /// The plain HTTP base URL, also of the page.
    #[must_use]
    pub fn rest_url(&self) -> String {
        self.server.rest_url.clone()
    }

    /// The HTTPS base URL, when the settings asked for one.
    #[must_use]
    pub fn rest_tls_url(&self) -> Option<String> {
        self.rest_tls.map(|address| format!("https://{}:{}", self.server.settings.host, address.port()))
    }

    /// The Pub/Sub endpoint, `https://host:port`; trust [`Simulator::ca_pem`].
    #[must_use]
    pub fn pubsub_url(&self) -> String {
        format!("https://{}:{}", self.server.settings.host, self.pubsub.port())
    }

    /// `host:port` of Pub/Sub, for clients that want no scheme.
    #[must_use]
    pub fn pubsub_address(&self) -> String {
        format!("{}:{}", self.server.settings.host, self.pubsub.port())
    }

    /// Where REST listens.
    #[must_use]
    pub fn rest_address(&self) -> SocketAddr {
        self.rest
    }

    /// The authority that signed the server certificate.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.server.ca_pem.clone()
    }

    /// Consumer key of the connected app.
    #[must_use]
    pub fn client_id(&self) -> String {
        self.server.settings.client_id.clone()
    }

    /// Consumer secret of the connected app.
    #[must_use]
    pub fn client_secret(&self) -> String {
        self.server.settings.client_secret.clone()
    }

    /// User name that JWT assertions name.
    #[must_use]
    pub fn username(&self) -> String {
        self.server.settings.username.clone()
    }

    /// The demo key that signs JWT assertions; of no use when the settings named another public key.
    #[must_use]
    pub fn private_key_pem(&self) -> &'static str {
        DEMO_KEY_PEM
    }

    /// The org, for direct reads and writes.
    #[must_use]
    pub fn org(&self) -> Org {
        self.server.org.clone()
    }

    /// The run-time settings.
    #[must_use]
    pub fn settings(&self) -> SettingsHandle {
        self.server.live.clone()
    }

    /// Data API calls counted so far, as `Sforce-Limit-Info` shows them.
    #[must_use]
    pub fn api_calls(&self) -> u64 {
        self.server.calls.load(Ordering::Relaxed)
    }

    /// Starts a new day of API calls.
    pub fn reset_api_calls(&self) {
        self.server.calls.store(0, Ordering::Relaxed);
    }

    /// Ends all access tokens, so that the next call of every client is answered 401.
    pub fn end_sessions(&self) {
        self.server.sessions.revoke_all();
    }

    /// Closes all event streams with an error.
    pub fn close_streams(&self) {
        self.server.streams.send_modify(|epoch| *epoch += 1);
    }

    /// Closes ports and streams and waits until they are.
    pub async fn stop(mut self) {
        self.stop.cancel();
        self.close_streams();
        for task in &mut self.tasks {
            // Connections that clients keep open would hold a graceful end up for ever.
            if tokio::time::timeout(std::time::Duration::from_millis(200), &mut *task).await.is_err() {
                task.abort();
            }
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.cancel();
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn bind(what: &'static str, address: SocketAddr) -> Result<TcpListener, SimulatorError> {
    TcpListener::bind(address).await.map_err(|source| SimulatorError::Bind { what, address: address.to_string(), source })
}

fn local(what: &'static str, listener: &TcpListener) -> Result<SocketAddr, SimulatorError> {
    listener.local_addr().map_err(|source| SimulatorError::Bind { what, address: String::new(), source })
}

fn serve_rest(server: &Arc<Server>, accept: Accept, stop: CancellationToken) -> JoinHandle<()> {
    let router = Router::new().fallback(front::handle).with_state(Arc::clone(server)).into_make_service_with_connect_info::<Connection>();
    tokio::spawn(async move {
        if let Err(error) = axum::serve(accept, router).with_graceful_shutdown(stop.cancelled_owned()).await {
            tracing::error!(error = %error, "the simulator's REST server ended");
        }
    })
}

fn serve_pubsub(
    server: &Arc<Server>,
    listener: TcpListener,
    certificate: &Certificate,
    stop: CancellationToken,
) -> Result<JoinHandle<()>, SimulatorError> {
    let failed = |reason: String| SimulatorError::Certificate { reason };
    let identity = Identity::from_pem(&certificate.chain_pem, &certificate.key_pem);
    let mut builder = tonic::transport::Server::builder()
        .tls_config(ServerTlsConfig::new().identity(identity))
        .map_err(|error| failed(error.to_string()))?;
    let service = PubSubServer::new(Service::new(Arc::clone(server)))
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES * 16);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let router = builder.add_service(service);
    Ok(tokio::spawn(async move {
        if let Err(error) = router.serve_with_incoming_shutdown(incoming, stop.cancelled_owned()).await {
            tracing::error!(error = %error, "the simulator's Pub/Sub server ended");
        }
    }))
}

fn acceptor(certificate: &Certificate) -> Result<TlsAcceptor, SimulatorError> {
    let failed = |reason: String| SimulatorError::Certificate { reason };
    let chain = CertificateDer::pem_slice_iter(certificate.chain_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failed(error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(certificate.key_pem.as_bytes()).map_err(|error| failed(error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| failed(error.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
