//! Subscribe: events against credit, keepalives when idle, faults on demand.
//!
//! One task a stream. It sleeps until the bus has something, the client asks for more, a setting
//! changes or a timer runs out. Only delivery that is delayed by a setting looks again every few
//! milliseconds.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::fault::fault;
use super::service::Caller;
use super::topic::Topic;
use crate::events::bus::{Event, parse_replay, replay_bytes};
use crate::proto::{ConsumerEvent, FetchRequest, FetchResponse, ProducerEvent, ReplayPreset};
use crate::rest::Server;

/// Credit a stream can have.
pub(crate) const CREDIT: i32 = 100;
/// Responses waiting for the network.
const OUTGOING: usize = 16;

/// Serves a stream of fetch requests.
pub(crate) fn start(
    server: Arc<Server>,
    caller: Caller,
    requests: Streaming<FetchRequest>,
) -> impl Stream<Item = Result<FetchResponse, Status>> + Send {
    let (sender, receiver) = mpsc::channel(OUTGOING);
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
    mut requests: Streaming<FetchRequest>,
    sender: &mpsc::Sender<Result<FetchResponse, Status>>,
) -> Result<(), Status> {
    let Some(first) = requests.next().await else { return Ok(()) };
    let first = first?;
    let (topic, position) = {
        let state = server.org.read();
        let topic = Topic::find(&state, &first.topic_name, &caller.rpc_id)?;
        (topic, position(server, &state.bus, &first, &caller.rpc_id)?)
    };
    let mut feed = Feed::new(server, topic, position);
    let name = first.topic_name.clone();
    feed.add_credit(first.num_requested, &caller.rpc_id)?;
    let mut open = true;
    loop {
        while let Some((events, latest)) = feed.next(&caller.rpc_id)? {
            let response =
                FetchResponse { events, latest_replay_id: latest, rpc_id: caller.rpc_id.clone(), pending_num_requested: feed.credit };
            if sender.send(Ok(response)).await.is_err() {
                return Ok(());
            }
            feed.touch();
        }
        let wake = tokio::select! {
            request = requests.next(), if open => match request {
                Some(request) => {
                    let request = request?;
                    if !request.topic_name.is_empty() && request.topic_name != name {
                        return Err(fault(Code::InvalidArgument, "subscription.fetch.topic.mismatch", "The topic of a stream cannot change.", &caller.rpc_id));
                    }
                    feed.add_credit(request.num_requested, &caller.rpc_id)?;
                    Wake::Again
                }
                None => {
                    open = false;
                    Wake::Again
                }
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
                let response = FetchResponse {
                    events: Vec::new(),
                    latest_replay_id: replay_bytes(feed.position),
                    rpc_id: caller.rpc_id.clone(),
                    pending_num_requested: feed.credit,
                };
                if sender.send(Ok(response)).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

/// Where a stream starts: after which replay id.
fn position(server: &Server, bus: &crate::events::bus::Bus, first: &FetchRequest, rpc_id: &str) -> Result<u64, Status> {
    match first.replay_preset() {
        ReplayPreset::Latest => Ok(bus.tip()),
        ReplayPreset::Earliest => Ok(bus.earliest()),
        ReplayPreset::Custom if first.replay_id.is_empty() => Err(fault(
            Code::InvalidArgument,
            "subscription.fetch.replayid.validation.failed",
            "The replay ID is missing for the CUSTOM preset.",
            rpc_id,
        )),
        ReplayPreset::Custom => {
            let expired = server.live.read(|live| live.replay_expired);
            parse_replay(&first.replay_id).filter(|replay_id| !expired && bus.check(*replay_id).is_ok()).ok_or_else(|| {
                fault(
                    Code::InvalidArgument,
                    "subscription.fetch.replayid.corrupted",
                    "The replay ID validation failed. Ensure that the replay ID is valid and within the retention window.",
                    rpc_id,
                )
            })
        }
    }
}

/// Why a stream woke up.
pub(crate) enum Wake {
    /// Look again.
    Again,
    /// Nothing was sent for a while.
    Keepalive,
    /// The client asked for nothing for too long.
    OutOfCredit,
    /// The server closes the stream.
    Close,
}

/// Position, credit and timers of one stream.
pub(crate) struct Feed<'a> {
    server: &'a Arc<Server>,
    topic: Topic,
    pub(crate) position: u64,
    pub(crate) credit: i32,
    tip: watch::Receiver<u64>,
    settings: watch::Receiver<u64>,
    streams: watch::Receiver<u64>,
    last_sent: Instant,
    credit_gone: Option<Instant>,
    held_until: Option<Duration>,
}

impl<'a> Feed<'a> {
    pub(crate) fn new(server: &'a Arc<Server>, topic: Topic, position: u64) -> Self {
        let bus = Arc::clone(&server.org.read().bus);
        Self {
            server,
            topic,
            position,
            credit: 0,
            tip: bus.watch(),
            settings: server.live.watch(),
            streams: server.streams.subscribe(),
            last_sent: Instant::now(),
            credit_gone: Some(Instant::now()),
            held_until: None,
        }
    }

    /// Adds what the client asks for, up to the cap.
    pub(crate) fn add_credit(&mut self, requested: i32, rpc_id: &str) -> Result<(), Status> {
        if requested <= 0 {
            return Err(fault(
                Code::InvalidArgument,
                "subscription.fetch.requested.events.invalid",
                "The number of requested events must be greater than 0.",
                rpc_id,
            ));
        }
        self.credit = self.credit.saturating_add(requested).min(CREDIT);
        self.credit_gone = None;
        Ok(())
    }

    /// Notes that something was sent.
    pub(crate) fn touch(&mut self) {
        self.last_sent = Instant::now();
    }

    /// Events that can go now, with the position after them.
    pub(crate) fn next(&mut self, rpc_id: &str) -> Result<Option<(Vec<ConsumerEvent>, bytes::Bytes)>, Status> {
        self.tip.borrow_and_update();
        self.settings.borrow_and_update();
        let (stalled, delay_ms, allocation) =
            self.server.live.read(|live| (live.stream_stalled, live.delivery_latency_ms, live.delivery_allocation));
        self.held_until = None;
        if stalled || self.credit <= 0 {
            return Ok(None);
        }
        let (bus, now_ms) = {
            let state = self.server.org.read();
            (Arc::clone(&state.bus), state.clock.now_ms())
        };
        let until_ms = now_ms - i64::try_from(delay_ms).unwrap_or(0);
        let limit = usize::try_from(self.credit).unwrap_or(0);
        let (events, reached) = bus.read(self.position, limit, until_ms, |event| self.topic.takes(event));
        if delay_ms > 0 && reached < bus.tip() {
            self.held_until = Some(Duration::from_millis(delay_ms.min(10)));
        }
        self.position = reached;
        let Some(last) = events.last() else { return Ok(None) };
        if allocation == Some(0) {
            return Err(fault(
                Code::ResourceExhausted,
                "subscription.limit.exceeded",
                "You have exceeded the event delivery limit for your org.",
                rpc_id,
            ));
        }
        self.server
            .live
            .adjust(|live| live.delivery_allocation = live.delivery_allocation.map(|left| left.saturating_sub(events.len() as u64)));
        self.credit -= i32::try_from(events.len()).unwrap_or(CREDIT);
        if self.credit == 0 {
            self.credit_gone = Some(Instant::now());
        }
        let latest = replay_bytes(last.replay_id);
        Ok(Some((events.iter().map(|event| consumer_event(event)).collect(), latest)))
    }

    /// Sleeps until there is a reason to look again.
    pub(crate) async fn wait(&mut self) -> Wake {
        let (stalled, keepalive_ms, close_ms) =
            self.server.live.read(|live| (live.stream_stalled, live.keepalive_ms, live.zero_credit_close_ms));
        let keepalive = (!stalled && self.credit > 0).then(|| self.last_sent + Duration::from_millis(keepalive_ms));
        let close = self.credit_gone.filter(|_| !stalled).map(|since| since + Duration::from_millis(close_ms));
        let held = self.held_until;
        tokio::select! {
            changed = self.tip.changed(), if self.credit > 0 => if changed.is_ok() { Wake::Again } else { Wake::Close },
            _ = self.settings.changed() => Wake::Again,
            _ = self.streams.changed() => Wake::Close,
            () = at(keepalive) => Wake::Keepalive,
            () = at(close) => Wake::OutOfCredit,
            () = after(held) => Wake::Again,
        }
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

async fn after(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// An event as it travels.
pub(crate) fn consumer_event(event: &Event) -> ConsumerEvent {
    ConsumerEvent {
        event: Some(ProducerEvent {
            id: event.publication.id.clone(),
            schema_id: event.publication.schema_id.clone(),
            payload: event.publication.payload.clone(),
            headers: Vec::new(),
        }),
        replay_id: replay_bytes(event.replay_id),
    }
}
