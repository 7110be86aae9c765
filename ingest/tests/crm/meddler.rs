//! A Pub/Sub service in front of the simulator's that passes everything on, and spoils what it is told to spoil.

use std::pin::Pin;
use std::sync::Arc;

use anyhow::Result;
use futures::{Stream, StreamExt as _};
use simulator::Simulator;
use simulator::proto::pub_sub_client::PubSubClient;
use simulator::proto::pub_sub_server::{PubSub, PubSubServer};
use simulator::proto::{
    ConsumerEvent, FetchRequest, FetchResponse, ManagedFetchRequest, ManagedFetchResponse, PublishRequest, PublishResponse, SchemaInfo,
    SchemaRequest, TopicInfo, TopicRequest,
};
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

/// What is done to each event.
pub(crate) type Spoil = Arc<dyn Fn(&mut ConsumerEvent) + Send + Sync>;

/// The running service; it ends when dropped.
pub(crate) struct Meddler {
    pub(crate) address: String,
    pub(crate) ca_pem: String,
    task: JoinHandle<()>,
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Meddler {
    /// Starts in front of a simulator. With `late`, a stream's headers come only with its first response, as those of
    /// some servers do.
    pub(crate) async fn start(simulator: &Simulator, late: bool, spoil: Spoil) -> Result<Self> {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(simulator.ca_pem()));
        let channel = Channel::from_shared(simulator.pubsub_url())?.tls_config(tls)?.connect_lazy();
        let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
        let ca_pem = certified.cert.pem();
        let identity = Identity::from_pem(&ca_pem, certified.signing_key.serialize_pem());
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse()?)?;
        let address = incoming.local_addr()?.to_string();
        let service = PubSubServer::new(Between { upstream: PubSubClient::new(channel), late, spoil });
        let serve =
            Server::builder().tls_config(ServerTlsConfig::new().identity(identity))?.add_service(service).serve_with_incoming(incoming);
        let task = tokio::spawn(async move {
            let _ = serve.await;
        });
        Ok(Self { address, ca_pem, task })
    }
}

struct Between {
    upstream: PubSubClient<Channel>,
    late: bool,
    spoil: Spoil,
}

type Outgoing<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The same message with the caller's own headers.
fn passed<T, U>(from: &Request<T>, message: U) -> Request<U> {
    let mut request = Request::new(message);
    for name in ["accesstoken", "instanceurl", "tenantid"] {
        if let Some(value) = from.metadata().get(name) {
            request.metadata_mut().insert(name, value.clone());
        }
    }
    request
}

#[tonic::async_trait]
impl PubSub for Between {
    type SubscribeStream = Outgoing<FetchResponse>;
    type PublishStreamStream = Outgoing<PublishResponse>;
    type ManagedSubscribeStream = Outgoing<ManagedFetchResponse>;

    async fn subscribe(&self, request: Request<Streaming<FetchRequest>>) -> Result<Response<Self::SubscribeStream>, Status> {
        let mut head = passed(&request, ());
        let asked = request.into_inner().filter_map(|request| std::future::ready(request.ok()));
        let mut upstream = Request::new(asked);
        std::mem::swap(upstream.metadata_mut(), head.metadata_mut());
        let answers = self.upstream.clone().subscribe(upstream).await?.into_inner();
        let spoil = self.spoil.clone();
        let mut answers = Box::pin(answers.map(move |answer| {
            answer.map(|mut response: FetchResponse| {
                response.events.iter_mut().for_each(|event| spoil(event));
                response
            })
        }));
        if self.late {
            let first = answers.next().await;
            return Ok(Response::new(Box::pin(futures::stream::iter(first).chain(answers))));
        }
        Ok(Response::new(answers))
    }

    async fn get_schema(&self, request: Request<SchemaRequest>) -> Result<Response<SchemaInfo>, Status> {
        let asked = passed(&request, request.get_ref().clone());
        self.upstream.clone().get_schema(asked).await
    }

    async fn get_topic(&self, request: Request<TopicRequest>) -> Result<Response<TopicInfo>, Status> {
        let asked = passed(&request, request.get_ref().clone());
        self.upstream.clone().get_topic(asked).await
    }

    async fn publish(&self, _: Request<PublishRequest>) -> Result<Response<PublishResponse>, Status> {
        Err(Status::unimplemented("not asked for here"))
    }

    async fn publish_stream(&self, _: Request<Streaming<PublishRequest>>) -> Result<Response<Self::PublishStreamStream>, Status> {
        Err(Status::unimplemented("not asked for here"))
    }

    async fn managed_subscribe(
        &self,
        _: Request<Streaming<ManagedFetchRequest>>,
    ) -> Result<Response<Self::ManagedSubscribeStream>, Status> {
        Err(Status::unimplemented("not asked for here"))
    }
}
