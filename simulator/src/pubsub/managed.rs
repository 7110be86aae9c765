//! Managed subscriptions: the server remembers how far a named subscriber has come.
//!
//! A developer name `Managed_X` stands for the topic `/data/X`; it exists as soon as it is used.

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
use crate::proto::{CommitReplayResponse, Error, ErrorCode, ManagedFetchRequest, ManagedFetchResponse};
use crate::rest::Server;

/// Committed positions by subscription.
#[derive(Default)]
pub(crate) struct Subscriptions {
    committed: Mutex<BTreeMap<String, u64>>,
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
pub(crate) fn start(server: Arc<Server>, caller: Caller, requests: Streaming<ManagedFetchRequest>) -> impl Stream<Item = Result<ManagedFetchResponse, Status>> + Send {
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        if let Err(status) = serve(&server, &caller, requests, &sender).await {
            let _ = sender.send(Err(status)).await;
        }
    });
    ReceiverStream::new(receiver)
}

async fn serve(server: &Arc<Server>, caller: &Caller, mut requests: Streaming<ManagedFetchRequest>, sender: &mpsc::Sender<Result<ManagedFetchResponse, Status>>) -> Result<(), Status> {
    let Some(first) = requests.next().await else { return Ok(()) };
    let first = first?;
    let name = if first.developer_name.is_empty() { first.subscription_id.clone() } else { first.developer_name.clone() };
    if name.is_empty() {
        return Err(fault(Code::InvalidArgument, "managed.subscription.id.or.developer.name.empty", "Give a subscription id or a developer name.", &caller.rpc_id));
    }
    let (topic, start) = {
        let state = server.org.read();
        let stem = name.strip_prefix("Managed_").ok_or_else(|| fault(Code::NotFound, "managed.subscription.developer.name.not.found", &format!("No managed subscription {name}."), &caller.rpc_id))?;
        (Topic::find(&state, &format!("/data/{stem}"), &caller.rpc_id)?, server.managed.get(&name).unwrap_or_else(|| state.bus.tip()))
    };
    let mut feed = Feed::new(server, topic, start);
    feed.add_credit(first.num_requested, &caller.rpc_id)?;
    let respond = |feed: &Feed<'_>, events, latest, commit| ManagedFetchResponse { events, latest_replay_id: latest, rpc_id: caller.rpc_id.clone(), pending_num_requested: feed.credit, commit_response: commit };
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
