//! The six calls of the service: who may call, and what each answers.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::Stream;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status, Streaming};

use super::fault::fault;
use super::topic::Topic;
use super::{managed, publish, subscribe};
use crate::org::derive::uuid_text;
use crate::org::id::RecordId;
use crate::proto::pub_sub_server::PubSub;
use crate::proto::{
    FetchRequest, FetchResponse, ManagedFetchRequest, ManagedFetchResponse, PublishRequest, PublishResponse, SchemaInfo, SchemaRequest,
    TopicInfo, TopicRequest,
};
use crate::rest::Server;

/// The gRPC service on an org.
pub(crate) struct Service {
    server: Arc<Server>,
    calls: AtomicU64,
}

/// An admitted call.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) rpc_id: String,
}

type Outgoing<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Service {
    pub(crate) fn new(server: Arc<Server>) -> Self {
        Self { server, calls: AtomicU64::new(0) }
    }

    fn admit(&self, metadata: &MetadataMap) -> Result<Caller, Status> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let rpc_id = uuid_text(self.server.settings.seed, "rpc", call);
        if self.server.live.read(|live| live.pubsub_unavailable) {
            return Err(fault(Code::Unavailable, "service.unavailable", "The service is temporarily unavailable.", &rpc_id));
        }
        let value = |name: &str| metadata.get(name).and_then(|value| value.to_str().ok()).map(str::trim).filter(|value| !value.is_empty());
        let (Some(token), Some(_), Some(tenant)) = (value("accesstoken"), value("instanceurl"), value("tenantid")) else {
            return Err(fault(
                Code::Unauthenticated,
                "service.auth.headers.invalid",
                "The headers accesstoken, instanceurl and tenantid are required.",
                &rpc_id,
            ));
        };
        let user = self.server.sessions.user(token, self.server.settings.clock.now_ms());
        match user {
            Some(_) if RecordId::parse(tenant) == Some(self.server.org.org_id()) => Ok(Caller { rpc_id }),
            _ => Err(fault(
                Code::Unauthenticated,
                "service.auth.error",
                "An authentication exception occurred. Provide valid authentication.",
                &rpc_id,
            )),
        }
    }
}

#[tonic::async_trait]
impl PubSub for Service {
    type SubscribeStream = Outgoing<FetchResponse>;
    type PublishStreamStream = Outgoing<PublishResponse>;
    type ManagedSubscribeStream = Outgoing<ManagedFetchResponse>;

    async fn subscribe(&self, request: Request<Streaming<FetchRequest>>) -> Result<Response<Self::SubscribeStream>, Status> {
        let caller = self.admit(request.metadata())?;
        Ok(Response::new(Box::pin(subscribe::start(Arc::clone(&self.server), caller, request.into_inner()))))
    }

    async fn get_schema(&self, request: Request<SchemaRequest>) -> Result<Response<SchemaInfo>, Status> {
        let caller = self.admit(request.metadata())?;
        let schema_id = request.into_inner().schema_id;
        if schema_id.is_empty() {
            return Err(fault(Code::InvalidArgument, "schema.validation.failed", "The schema ID is empty.", &caller.rpc_id));
        }
        if self.server.live.take(|live| &mut live.schema_unavailable_next) {
            return Err(fault(Code::Unavailable, "schema.api.unavailable", "The schema is temporarily unavailable.", &caller.rpc_id));
        }
        let schema = self.server.org.read().catalog.schema(&schema_id);
        match schema {
            Some(schema_json) => Ok(Response::new(SchemaInfo { schema_json, schema_id, rpc_id: caller.rpc_id })),
            None => Err(fault(Code::NotFound, "schema.not.found", &format!("The schema {schema_id} was not found."), &caller.rpc_id)),
        }
    }

    async fn get_topic(&self, request: Request<TopicRequest>) -> Result<Response<TopicInfo>, Status> {
        let caller = self.admit(request.metadata())?;
        let name = request.into_inner().topic_name;
        let state = self.server.org.read();
        let topic = Topic::find(&state, &name, &caller.rpc_id)?;
        Ok(Response::new(TopicInfo {
            topic_name: name,
            tenant_guid: format!("core/simulator/{}", state.org_id),
            can_publish: topic.can_publish(),
            can_subscribe: true,
            schema_id: state.catalog.current(topic.event()),
            rpc_id: caller.rpc_id,
        }))
    }

    async fn publish(&self, request: Request<PublishRequest>) -> Result<Response<PublishResponse>, Status> {
        let caller = self.admit(request.metadata())?;
        publish::publish(&self.server, &caller, request.into_inner()).map(Response::new)
    }

    async fn publish_stream(&self, request: Request<Streaming<PublishRequest>>) -> Result<Response<Self::PublishStreamStream>, Status> {
        let caller = self.admit(request.metadata())?;
        Ok(Response::new(Box::pin(publish::stream(Arc::clone(&self.server), caller, request.into_inner()))))
    }

    async fn managed_subscribe(
        &self,
        request: Request<Streaming<ManagedFetchRequest>>,
    ) -> Result<Response<Self::ManagedSubscribeStream>, Status> {
        let caller = self.admit(request.metadata())?;
        Ok(Response::new(Box::pin(managed::start(Arc::clone(&self.server), caller, request.into_inner()))))
    }
}
