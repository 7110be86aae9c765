//! Publishing platform events, one call or a stream of them.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::fault::fault;
use super::service::Caller;
use super::topic::Topic;
use crate::events::bus::{Publication, replay_bytes};
use crate::proto::{Error, ErrorCode, PublishRequest, PublishResponse, PublishResult};
use crate::rest::Server;

/// A publish stream without a request for so long is closed.
const IDLE: Duration = Duration::from_secs(70);
const EVENTS: usize = 200;

/// Stores the events of one request.
pub(crate) fn publish(server: &Server, caller: &Caller, request: PublishRequest) -> Result<PublishResponse, Status> {
    let state = server.org.read();
    let topic = Topic::find(&state, &request.topic_name, &caller.rpc_id)?;
    if !topic.can_publish() {
        return Err(fault(Code::PermissionDenied, "topic.meta.permission", "This topic cannot be published to.", &caller.rpc_id));
    }
    if request.events.is_empty() || request.events.len() > EVENTS {
        return Err(fault(Code::InvalidArgument, "publish.event.count.invalid", "A request has 1 to 200 events.", &caller.rpc_id));
    }
    let schema_id = state.catalog.current(topic.event());
    let (keep, keep_ms) = state.live.read(|live| (live.retained_events, live.retained_ms));
    let mut results = Vec::with_capacity(request.events.len());
    for event in request.events {
        if event.schema_id != schema_id {
            let error = Error { code: ErrorCode::Publish.into(), msg: format!("The schema ID {} is not the topic's.", event.schema_id) };
            results.push(PublishResult { replay_id: bytes::Bytes::new(), error: Some(error), correlation_key: event.id });
            continue;
        }
        let publication =
            Publication { topic: request.topic_name.clone(), schema_id: event.schema_id, id: event.id.clone(), payload: event.payload };
        let ids = state.bus.publish(vec![publication], state.clock.now_ms(), keep, keep_ms);
        results.push(PublishResult {
            replay_id: ids.first().map(|id| replay_bytes(*id)).unwrap_or_default(),
            error: None,
            correlation_key: event.id,
        });
    }
    Ok(PublishResponse { results, schema_id, rpc_id: caller.rpc_id.clone() })
}

/// Answers each request of a stream.
pub(crate) fn stream(
    server: Arc<Server>,
    caller: Caller,
    mut requests: Streaming<PublishRequest>,
) -> impl Stream<Item = Result<PublishResponse, Status>> + Send {
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        loop {
            let answer = match tokio::time::timeout(IDLE, requests.next()).await {
                Err(_) => {
                    Err(fault(Code::InvalidArgument, "publish.stream.sweeper.timeout", "The stream was idle for too long.", &caller.rpc_id))
                }
                Ok(None) => return,
                Ok(Some(Err(status))) => Err(status),
                Ok(Some(Ok(request))) => publish(&server, &caller, request),
            };
            let failed = answer.is_err();
            if sender.send(answer).await.is_err() || failed {
                return;
            }
        }
    });
    ReceiverStream::new(receiver)
}
