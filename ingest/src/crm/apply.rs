//! From responses of the stream to one log transaction.
//!
//! First everything is decoded and judged, then the records that have to be read again are read, all at once, then the
//! changes are put down in the order of the events. A record that was read stands at the place of the first event that
//! asked for it; its later events in the same batch were committed before it was read, so it has them already.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemas::cdc::Op;
use schemas::message::HealthState;

use super::avro::Datum;
use super::batch::{Batch, Fact};
use super::catalog::Known;
use super::error::{Error, Result};
use super::header::{self, ChangeType, Header};
use super::ids::{self, ReplayId};
use super::layout;
use super::progress::{Verdict, Which};
use super::proto::{ConsumerEvent, FetchResponse};
use super::reading::{self, Found};
use super::source::{self, Source, UNKNOWN_OBJECT};
use super::{clock, metrics};

/// A decoded event.
struct Event {
    known: Arc<Known>,
    header: Header,
    values: Vec<Datum>,
    position: ReplayId,
    payload: bytes::Bytes,
    /// LastModifiedDate where the event carries one.
    modified_ms: Option<i64>,
}

/// What was received, in order.
enum Received {
    Event(Box<Event>),
    Bad { object: String, position: ReplayId, payload: bytes::Bytes, reason: String },
}

/// Records by object and id.
type Ids = BTreeMap<String, BTreeSet<String>>;

impl Source {
    /// Puts responses on the log with the position after them. Plans scans for objects that lost events.
    pub(crate) async fn apply(&mut self, responses: Vec<FetchResponse>) -> Result<()> {
        let position = source::position(&responses);
        let mut received = Vec::new();
        for event in responses.into_iter().flat_map(|response| response.events) {
            received.extend(self.decode(event).await?);
        }
        if received.is_empty() && position == self.progress.position {
            return Ok(());
        }
        let events = || received.iter().filter_map(|received| if let Received::Event(event) = received { Some(event) } else { None });
        let newest = events().map(|event| event.header.commit_ms).max();
        let known: BTreeMap<String, Arc<Known>> = events().map(|event| (event.known.layout.object.clone(), event.known.clone())).collect();
        let users = events().map(|event| event.header.user.clone()).collect();
        let (doubtful, lost) = self.judge(events().map(Box::as_ref));

        let mut progress = self.progress.clone();
        let mut found = BTreeMap::new();
        let mut learn: BTreeSet<String> = users;
        for (object, wanted) in &doubtful {
            let Some(known) = known.get(object) else { continue };
            let wanted: Vec<String> = wanted.iter().cloned().collect();
            for record in reading::by_ids(&self.rest, known, &wanted).await? {
                progress.was_read(object, &record.id, record.modified_ms);
                learn.extend(record.user.clone());
                found.insert((object.clone(), record.id.clone()), record);
            }
        }
        let mut deleted = Ids::new();
        for event in events().filter(|event| event.header.change == ChangeType::Delete) {
            let ids = deleted.entry(event.known.layout.object.clone()).or_default();
            ids.extend(event.header.record_ids.iter().filter(|id| !ids::is_wildcard(id)).cloned());
        }
        let mut merged = BTreeMap::new();
        for (object, deleted) in &deleted {
            let Some(known) = known.get(object) else { continue };
            merged.extend(reading::merged_into(&self.rest, known, &deleted.iter().cloned().collect::<Vec<_>>()).await?);
        }
        self.users.learn(learn, &self.rest).await?;
        for object in &lost {
            let Some(known) = known.get(object) else { continue };
            let since = self.progress.committed_ms.saturating_sub(super::progress::OVERLAP_MS);
            let covered = reading::newest(&self.rest, known).await?;
            progress.plan(source::plan(known, Which::All, 0, covered));
            progress.plan(source::plan(known, Which::Deleted, since, covered));
        }

        let mut batch = Batch::default();
        let mut read = BTreeSet::new();
        for received in received {
            match received {
                Received::Bad { object, position, payload, reason } => {
                    let key = position.hex();
                    let sync_id = format!("crm-{key}");
                    self.set_aside(&mut batch, &object, &key, sync_id, payload.to_vec(), reason).await?;
                }
                Received::Event(event) => self.put(&mut batch, *event, &doubtful, &mut found, &merged, &mut read).await?,
            }
        }
        progress.reached(position, newest);
        self.commit(batch, progress).await?;
        self.status.set(HealthState::Running, "", "");
        if let Some(newest) = newest {
            let lag = (clock::now_micros() / 1000).saturating_sub(newest).max(0);
            metrics::lag(lag);
            self.status.fact("lag_ms", lag);
        }
        Ok(())
    }

    async fn decode(&mut self, consumed: ConsumerEvent) -> Result<Option<Received>> {
        let position = ReplayId::new(consumed.replay_id);
        let event = consumed.event.unwrap_or_default();
        if !event.id.is_empty() && self.recent.repeats(&event.id, &position) {
            metrics::events("repeated", 1);
            return Ok(None);
        }
        let payload = event.payload;
        let bad = |object: String, reason: String| {
            Ok(Some(Received::Bad { object, position: position.clone(), payload: payload.clone(), reason }))
        };
        let known = match self.catalog.version(&event.schema_id, &self.pubsub, &self.rest).await {
            Ok(Some(known)) => known,
            Ok(None) => {
                metrics::events("ignored", 1);
                return Ok(None);
            }
            Err(Error::Describe { object, reason }) => return bad(object, reason),
            Err(error) if matches!(&error, Error::PubSub { status: tonic::Code::NotFound | tonic::Code::InvalidArgument, .. }) => {
                return bad(UNKNOWN_OBJECT.to_owned(), error.to_string());
            }
            Err(error) => return Err(error),
        };
        match known.layout.read(&payload) {
            Err(reason) => bad(known.layout.object.clone(), reason),
            Ok((header, _)) if header.entity != known.layout.object => {
                let reason = format!("an event of {} with the schema of {}", header.entity, layout::event_of(&known.layout.object));
                bad(known.layout.object.clone(), reason)
            }
            Ok((mut header, values)) => {
                let carried = match header.change {
                    ChangeType::Create | ChangeType::Update | ChangeType::Undelete => known.layout.row(&header, &values, "").ok(),
                    ChangeType::Delete | ChangeType::Gap | ChangeType::Overflow => None,
                };
                let carried = if carried.as_ref().is_some_and(|carried| known.is_gone(carried)) {
                    header.change = ChangeType::Delete;
                    None
                } else {
                    carried
                };
                let modified_ms = carried.and_then(|carried| known.layout.modified_ms(&carried.row));
                Ok(Some(Received::Event(Box::new(Event { known, header, values, position, payload, modified_ms }))))
            }
        }
    }

    /// Which records have to be read again, and which objects as a whole.
    fn judge<'a>(&self, events: impl Iterator<Item = &'a Event>) -> (Ids, BTreeSet<String>) {
        let mut doubtful = Ids::new();
        let mut lost = BTreeSet::new();
        for event in events {
            let object = &event.known.layout.object;
            if event.header.change == ChangeType::Overflow || event.header.record_ids.iter().any(|id| ids::is_wildcard(id)) {
                metrics::gap("overflow");
                self.status.fact("gap", format!("{object}: more changes at once than the stream carries; all of it is read again"));
                tracing::warn!(crm.object = %object, "events overflowed; the object is read again");
                lost.insert(object.clone());
                continue;
            }
            let gap = event.header.change == ChangeType::Gap;
            if gap {
                metrics::gap("gap");
                self.status.fact(
                    "gap",
                    format!("{object}: {} records changed without saying how; they are read again", event.header.record_ids.len()),
                );
                tracing::warn!(crm.object = %object, records = event.header.record_ids.len(), "gap event; its records are read again");
            }
            let deletes = event.header.change == ChangeType::Delete;
            for id in &event.header.record_ids {
                // Long texts may come as a difference to a value that is not kept here.
                let asks = gap || !event.header.diffed.is_empty();
                if asks || self.progress.judge(object, id, event.header.commit_ms, event.modified_ms, deletes) == Verdict::Reread {
                    doubtful.entry(object.clone()).or_default().insert(id.clone());
                }
            }
        }
        (doubtful, lost)
    }

    async fn put(
        &mut self,
        batch: &mut Batch,
        event: Event,
        doubtful: &Ids,
        found: &mut BTreeMap<(String, String), Found>,
        merged: &BTreeMap<String, String>,
        read: &mut BTreeSet<(String, String)>,
    ) -> Result<()> {
        let object = event.known.layout.object.clone();
        for (number, id) in event.header.record_ids.iter().enumerate() {
            let whole = event.header.change == ChangeType::Overflow || ids::is_wildcard(id);
            if whole {
                metrics::events("reread", 1);
                continue;
            }
            let key = (object.clone(), id.clone());
            let deletes = event.header.change == ChangeType::Delete;
            let verdict = self.progress.judge(&object, id, event.header.commit_ms, event.modified_ms, deletes);
            let asked = doubtful.get(&object).is_some_and(|ids| ids.contains(id));
            let asks = asked && (verdict == Verdict::Reread || event.header.change == ChangeType::Gap || !event.header.diffed.is_empty());
            if read.contains(&key) || (verdict == Verdict::Covered && !asks) {
                metrics::events("covered", 1);
            } else if asks {
                metrics::events("reread", 1);
                match found.remove(&key) {
                    Some(record) => self.found(batch, &event.known, record).await?,
                    None => self.state(batch, &event, number, id, Op::Delete, None).await?,
                }
                read.insert(key);
            } else {
                metrics::events("applied", 1);
                let op = match event.header.change {
                    ChangeType::Create | ChangeType::Undelete => Op::Create,
                    ChangeType::Update => Op::Update,
                    ChangeType::Delete => Op::Delete,
                    ChangeType::Gap | ChangeType::Overflow => continue,
                };
                let merged_into = merged.get(id).filter(|_| op == Op::Delete).cloned();
                self.state(batch, &event, number, id, op, merged_into).await?;
            }
        }
        Ok(())
    }

    /// Adds what the event says about one of its records.
    async fn state(
        &mut self,
        batch: &mut Batch,
        event: &Event,
        number: usize,
        id: &str,
        op: Op,
        merged_into: Option<String>,
    ) -> Result<()> {
        let layout = &event.known.layout;
        let carried = match op {
            Op::Delete => Ok((layout.id_row(id), None)),
            Op::Create | Op::Update | Op::Read | Op::Truncate => {
                layout.row(&event.header, &event.values, id).map(|carried| (carried.row, carried.changed))
            }
        };
        let actor = self.users.name(&event.header.user);
        let sync_id = || format!("crm-{}-{number}", event.position.hex());
        let added = carried.and_then(|(row, changed)| {
            let fact = Fact {
                id: id.to_owned(),
                op,
                row,
                changed,
                position: event.position.hex(),
                transaction: event.header.transaction.clone(),
                ordinal: event.header.sequence.saturating_sub(1),
                committed_ms: event.header.commit_ms,
                actor,
                origin: header::client(&event.header.origin).map(str::to_owned),
                snapshot: false,
                sync_id: sync_id(),
                merged_into,
            };
            batch.change(&self.config.name, &event.known, fact)
        });
        match added {
            Ok(()) => Ok(()),
            Err(reason) => {
                self.set_aside(batch, &layout.object.clone(), &event.position.hex(), sync_id(), event.payload.to_vec(), reason).await
            }
        }
    }
}
