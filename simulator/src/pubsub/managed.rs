//! Managed subscriptions: the server remembers how far a named subscriber has come.
//!
//! There is one for each topic: `Managed_X` for `/data/X`, with an id that begins `18x`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::fault::fault;
use super::service::Caller;
use super::subscribe::{Feed, Wake};
use super::topic::Topic;
use crate::events::bus::{parse_replay, replay_bytes};
use crate::org::State;
use crate::org::id::RecordId;
use crate::proto::{CommitReplayResponse, Error, ErrorCode, ManagedFetchRequest, ManagedFetchResponse};
use crate::rest::Server;

/// Committed positions by subscription.
#[derive(Default)]
pub(crate) struct Subscriptions {
    committed: Mutex<BTreeMap<String, u64>>,
}

/// A managed subscription as metadata shows it.
pub(crate) struct Subscription {
    pub(crate) id: RecordId,
    pub(crate) developer_name: String,
    pub(crate) topic_name: String,
}

/// The managed subscription with this id or developer name.
pub(crate) fn find(state: &State, wanted: &str) -> Option<Subscription> {
    let events = std::iter::once("ChangeEvents".to_owned()).chain(state.objects.iter().map(|object| object.event_name()));
    events
        .zip(0..)
        .map(|(event, number)| Subscription {
            id: RecordId::new(*b"18x", number),
            developer_name: format!("Managed_{event}"),
            topic_name: format!("/data/{event}"),
        })
        .find(|found| found.developer_name == wanted || RecordId::parse(wanted) == Some(found.id))
}

impl Subscriptions {
    fn get(&self, name: &str) -> Option<u64> {
        self.committed.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    fn set(&self, name: &str, position: u64) {
        self.committed.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), position);
    }
}

/// Serves a stream of managed fetch requests.
pub(crate) fn start(
    server: Arc<Server>,
    caller: Caller,
    requests: Streaming<ManagedFetchRequest>,
) -> impl Stream<Item = Result<ManagedFetchResponse, Status>> + Send {
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        if let Err(status) = serve(&server, &caller, requests, &sender).await {
            let _ = sender.send(Err(status)).await;
        }
    });
    ReceiverStream::new(receiver)
}

async fn serve(
    server: &Arc<Server>,
    caller: &Caller,
    mut requests: Streaming<ManagedFetchRequest>,
    sender: &mpsc::Sender<Result<ManagedFetchResponse, Status>>,
) -> Result<(), Status> {
    let Some(first) = requests.next().await else { return Ok(()) };
    let first = first?;
    let wanted = if first.developer_name.is_empty() { first.subscription_id.clone() } else { first.developer_name.clone() };
    if wanted.is_empty() {
        return Err(fault(
            Code::InvalidArgument,
            "managed.subscription.id.or.developer.name.empty",
            "Give a subscription id or a developer name.",
            &caller.rpc_id,
        ));
    }
    let (name, topic, start) = {
        let state = server.org.read();
        let suffix = if first.developer_name.is_empty() { "subscription.id.not.found" } else { "developer.name.not.found" };
        let found = find(&state, &wanted).ok_or_else(|| {
            fault(Code::NotFound, &format!("managed.subscription.{suffix}"), &format!("No managed subscription {wanted}."), &caller.rpc_id)
        })?;
        let topic = Topic::find(&state, &found.topic_name, &caller.rpc_id)?;
        let start = server.managed.get(&found.developer_name).unwrap_or_else(|| state.bus.tip());
        (found.developer_name, topic, start)
    };
    let mut feed = Feed::new(server, topic, start);
    feed.add_credit(first.num_requested, &caller.rpc_id)?;
    let respond = |feed: &Feed<'_>, events, latest, commit| ManagedFetchResponse {
        events,
        latest_replay_id: latest,
        rpc_id: caller.rpc_id.clone(),
        pending_num_requested: feed.credit,
        commit_response: commit,
    };
    loop {
        while let Some((events, latest)) = feed.next(&caller.rpc_id)? {
            if sender.send(Ok(respond(&feed, events, latest, None))).await.is_err() {
                return Ok(());
            }
            feed.touch();
        }
        let wake = tokio::select! {
            request = requests.next() => {
                let Some(request) = request else { return Ok(()) };
                let request = request?;
                if request.num_requested > 0 {
                    feed.add_credit(request.num_requested, &caller.rpc_id)?;
                }
                if let Some(commit) = request.commit_replay_id_request {
                    let error = match parse_replay(&commit.replay_id) {
                        Some(position) => {
                            server.managed.set(&name, position);
                            None
                        }
                        None => Some(Error { code: ErrorCode::Commit.into(), msg: "The replay ID is invalid.".to_owned() }),
                    };
                    let commit = CommitReplayResponse { commit_request_id: commit.commit_request_id, replay_id: commit.replay_id, error, process_time: server.settings.clock.now_ms() };
                    let latest = replay_bytes(feed.position);
                    if sender.send(Ok(respond(&feed, Vec::new(), latest, Some(commit)))).await.is_err() {
                        return Ok(());
                    }
                }
                Wake::Again
            },
            wake = feed.wait() => wake,
            () = sender.closed() => return Ok(()),
        };
        match wake {
            Wake::Again => {}
            Wake::Close => return Err(fault(Code::Unavailable, "service.unavailable", "RST_STREAM closed stream.", &caller.rpc_id)),
            Wake::OutOfCredit => return Ok(()),
            Wake::Keepalive => {
                feed.touch();
                let latest = replay_bytes(feed.position);
                if sender.send(Ok(respond(&feed, Vec::new(), latest, None))).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}
