//! Change events: from a committed transaction to encoded events on the bus.
//!
//! Records of one object that changed in the same way in one transaction share an event. Objects
//! without change events still take a sequence number, so that consumers see the gap the real
//! service shows.

pub(crate) mod avro;
pub(crate) mod bitmap;
pub(crate) mod bus;
pub(crate) mod catalog;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::org::derive::{transaction_key, uuid_text};
use crate::org::id::RecordId;
use crate::org::schema::{MODIFIED_DATE, Object};
use crate::org::transaction::Touched;
use crate::org::value::{Row, Value};
use crate::org::{Actor, State, hides};
use crate::settings::DeletedLast;
use bus::Publication;

/// What happened to a record; the discriminant is the symbol's place in the Avro enum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeType {
    /// A new record.
    Create = 0,
    /// Fields changed.
    Update = 1,
    /// Moved to the recycle bin.
    Delete = 2,
    /// Back from the recycle bin.
    Undelete = 3,
    /// A create of which no fields are told.
    GapCreate = 4,
    /// An update of which no fields are told.
    GapUpdate = 5,
    /// A delete that could not be told as such.
    GapDelete = 6,
    /// An undelete of which no fields are told.
    GapUndelete = 7,
    /// More changes than are told.
    GapOverflow = 8,
}

impl ChangeType {
    fn as_gap(self) -> Self {
        match self {
            Self::Create => Self::GapCreate,
            Self::Update => Self::GapUpdate,
            Self::Delete => Self::GapDelete,
            Self::Undelete => Self::GapUndelete,
            gap => gap,
        }
    }
}

/// The fields of `ChangeEventHeader`.
pub(crate) struct Header<'a> {
    pub(crate) entity: &'a str,
    pub(crate) record_ids: Vec<RecordId>,
    pub(crate) change: ChangeType,
    pub(crate) origin: &'a str,
    pub(crate) transaction_key: &'a str,
    pub(crate) sequence: i32,
    pub(crate) commit_ms: i64,
    pub(crate) commit_number: u64,
    pub(crate) user: RecordId,
    pub(crate) nulled: Vec<String>,
    pub(crate) changed: Vec<String>,
}

#[derive(PartialEq, Eq, Hash)]
struct Likeness {
    object: usize,
    change: ChangeType,
    body: Vec<u8>,
    nulled: Vec<String>,
    changed: Vec<String>,
}

/// An event for so many records at most.
const RECORDS_PER_EVENT: usize = 1_000;
/// Events larger than this become gap events.
const EVENT_BYTES: usize = 1_000_000;

/// Turns what a transaction changed into events.
pub(crate) fn publish_changes(state: &mut State, actor: &Actor, number: u64, now: i64, touched: Vec<Touched>) {
    let (enabled, hidden, overflow_after, deleted_last) =
        state.live.read(|live| (live.change_events.clone(), live.hidden_fields.clone(), live.overflow_after, live.deleted_last));
    let mut groups: Vec<(Likeness, Vec<RecordId>)> = Vec::new();
    let mut places: HashMap<(usize, u64), Vec<usize>> = HashMap::new();
    let mut unseen = Vec::new();
    let mut spent = 0;
    let mut overflowed = Vec::new();
    for (one, change) in touched.iter().flat_map(|one| changes_of(one, deleted_last).iter().map(move |change| (one, *change))) {
        let definition = Arc::clone(&state.objects[one.object]);
        if !enabled.contains(&definition.name) {
            unseen.push(groups.len());
            continue;
        }
        let before = one.before.as_ref().map(|row| row.unpack(definition.fields.len()));
        let after = one.after.as_ref().map(|row| row.unpack(definition.fields.len())).unwrap_or_default();
        let body = describe(&definition, change, before.as_deref(), &after, &hidden);
        spent += body.fields.max(1);
        if spent > overflow_after {
            if !overflowed.contains(&one.object) {
                overflowed.push(one.object);
            }
            continue;
        }
        let likeness = Likeness { object: one.object, change, body: body.bytes, nulled: body.nulled, changed: body.changed };
        let id = RecordId::new(definition.prefix, one.number);
        let hash = (one.object, hash_of(&likeness));
        let slots = places.entry(hash).or_default();
        match slots.iter().copied().find(|slot| groups[*slot].0 == likeness && groups[*slot].1.len() < RECORDS_PER_EVENT) {
            Some(slot) => groups[slot].1.push(id),
            None => {
                slots.push(groups.len());
                groups.push((likeness, vec![id]));
            }
        }
    }
    let key = transaction_key(state.seed, number);
    let mut sequence = 0;
    let mut publications = Vec::with_capacity(groups.len());
    for (place, (likeness, record_ids)) in groups.into_iter().enumerate() {
        sequence += 1 + i32::try_from(unseen.iter().filter(|at| **at == place).count()).unwrap_or(0);
        let definition = Arc::clone(&state.objects[likeness.object]);
        let gap = state.live.take(|live| &mut live.gap_next) || likeness.body.len() > EVENT_BYTES;
        let mut header = Header {
            entity: &definition.name,
            record_ids,
            change: if gap { likeness.change.as_gap() } else { likeness.change },
            origin: if gap { "" } else { &actor.origin },
            transaction_key: &key,
            sequence,
            commit_ms: now,
            commit_number: state.commit_number,
            user: actor.user,
            nulled: Vec::new(),
            changed: Vec::new(),
        };
        let body = if gap {
            avro::empty_body(&definition)
        } else {
            (header.nulled, header.changed) = (likeness.nulled, likeness.changed);
            likeness.body
        };
        publications.push(publication(state, &definition, &header, &body));
    }
    for object in overflowed {
        sequence += 1;
        let definition = Arc::clone(&state.objects[object]);
        let header = gap_header(
            &definition,
            ChangeType::GapOverflow,
            vec![RecordId::from_bytes([b'0'; 15])],
            &key,
            sequence,
            now,
            state.commit_number,
            actor.user,
        );
        publications.push(publication(state, &definition, &header, &avro::empty_body(&definition)));
    }
    let bus = Arc::clone(&state.bus);
    let (keep, keep_ms) = state.live.read(|live| (live.retained_events, live.retained_ms));
    bus.publish(publications, state.clock.now_ms(), keep, keep_ms);
}

/// Emits a gap or overflow event that no transaction caused.
pub(crate) fn publish_gap(state: &mut State, object: usize, change: ChangeType, ids: Vec<RecordId>) {
    state.transactions += 1;
    state.commit_number += 7;
    let definition = Arc::clone(&state.objects[object]);
    let key = transaction_key(state.seed, state.transactions);
    let ids = if change == ChangeType::GapOverflow { vec![RecordId::from_bytes([b'0'; 15])] } else { ids };
    let header = gap_header(&definition, change, ids, &key, 1, state.now(), state.commit_number, state.users.admin);
    let event = publication(state, &definition, &header, &avro::empty_body(&definition));
    let (keep, keep_ms) = state.live.read(|live| (live.retained_events, live.retained_ms));
    state.bus.publish(vec![event], state.clock.now_ms(), keep, keep_ms);
}

#[expect(clippy::too_many_arguments, reason = "a header has that many fields")]
fn gap_header<'a>(
    definition: &'a Object,
    change: ChangeType,
    record_ids: Vec<RecordId>,
    transaction_key: &'a str,
    sequence: i32,
    commit_ms: i64,
    commit_number: u64,
    user: RecordId,
) -> Header<'a> {
    Header {
        entity: &definition.name,
        record_ids,
        change,
        origin: "",
        transaction_key,
        sequence,
        commit_ms,
        commit_number,
        user,
        nulled: Vec::new(),
        changed: Vec::new(),
    }
}

fn publication(state: &State, definition: &Object, header: &Header<'_>, body: &[u8]) -> Publication {
    let mut payload = avro::header(header);
    payload.extend_from_slice(body);
    Publication {
        topic: format!("/data/{}", definition.event_name()),
        schema_id: state.catalog.current(&definition.event_name()),
        id: uuid_text(state.seed, "event", state.bus.next_event_number()),
        payload: Bytes::from(payload),
    }
}

/// What is told of a record.
fn changes_of(one: &Touched, deleted_last: DeletedLast) -> &'static [ChangeType] {
    let live = |row: &Option<Row>| row.as_ref().map(|row| !row.deleted);
    match (live(&one.before), live(&one.after)) {
        (None, Some(true)) => &[ChangeType::Create],
        (Some(true), Some(true)) => &[ChangeType::Update],
        (Some(true), Some(false)) if live(&one.first) == Some(true) => match deleted_last {
            DeletedLast::First => &[ChangeType::Update],
            DeletedLast::Last => &[ChangeType::Delete],
            DeletedLast::Both => &[ChangeType::Update, ChangeType::Delete],
        },
        (Some(true), Some(false)) => &[ChangeType::Delete],
        (Some(false), Some(true)) => &[ChangeType::Undelete],
        _ => &[],
    }
}

struct Body {
    bytes: Vec<u8>,
    nulled: Vec<String>,
    changed: Vec<String>,
    fields: usize,
}

fn describe(definition: &Object, change: ChangeType, before: Option<&[Value]>, after: &[Value], hidden: &[String]) -> Body {
    let seen = |field: usize| hidden.is_empty() || !hides(hidden, definition, field);
    match change {
        ChangeType::Update => {
            let differs = |field: usize| field == MODIFIED_DATE || before.is_some_and(|before| before[field] != after[field]);
            let bytes = avro::body(definition, |field| if differs(field) && seen(field) { after[field].clone() } else { Value::Null });
            let changed = bitmap::of(definition, differs);
            let nulled = bitmap::of(definition, |field| differs(field) && after[field].is_null());
            let fields = (0..definition.fields.len()).filter(|field| definition.fields[*field].in_event && differs(*field)).count();
            Body { bytes, nulled, changed, fields }
        }
        ChangeType::Create | ChangeType::Undelete => {
            let bytes = avro::body(definition, |field| if seen(field) { after[field].clone() } else { Value::Null });
            Body { bytes, nulled: Vec::new(), changed: Vec::new(), fields: 1 }
        }
        _ => Body { bytes: avro::empty_body(definition), nulled: Vec::new(), changed: Vec::new(), fields: 1 },
    }
}

fn hash_of(likeness: &Likeness) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    likeness.hash(&mut hasher);
    hasher.finish()
}
