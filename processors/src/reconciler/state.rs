//! How an entity's merge state is kept: the core's types in Avro's primitive encodings, field by field.
//!
//! The store puts a version byte before each value. Every struct is taken apart by name, so that a field added to the
//! core does not compile until it is kept here too.

use std::collections::BTreeMap;

use reconcile::Value;
use reconcile::convert::{Convertible, Stage, Wish};
use reconcile::mapping::{Pair, Policy, Side};
use reconcile::merge::{
    Ahead, Choice, Confirmed, ConflictNumber, ConflictRecord, Creation, Demand, EntityState, Failure, FieldState, Former, InFlight,
    OpenWrite, Owed, Parent, Resolution, Seen, Settlement, SideState, Step, Unseen, Verdict, WriteCommand, WriteKind, WriteNumber,
};
use rust_decimal::Decimal;
use schemas::wire::{Names, Wire, WireError, put_long, take_long};

/// An entity's state with the edits' ids behind its open writes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Stored {
    pub(crate) state: EntityState,
    /// Entity kind.
    pub(crate) kind: String,
    /// Write number → the id of the edit that caused it.
    pub(crate) sync_ids: BTreeMap<u64, String>,
    /// Edits that could not be carried across yet, because their field has a write in flight or is held, and decisions not
    /// carried out to the end: side written from and time → the edit's or decision's id.
    pub(crate) waiting: BTreeMap<(Side, i64), String>,
    /// When to look whether the streams have shown what was answered; true of the index only while that lists it.
    pub(crate) look_at: Option<i64>,
}

impl Stored {
    /// Remembers an edit or a decision until its writes are on their way.
    pub(crate) fn note_edit(&mut self, side: Side, at: i64, id: Option<&bytes::Bytes>) {
        if let Some(id) = id {
            self.waiting.insert((side, at), String::from_utf8_lossy(id).into_owned());
        }
    }

    /// What was refused of earlier decisions goes on in the name of the one that tries it again.
    pub(crate) fn note_retried(&mut self, id: Option<&bytes::Bytes>) {
        let refused = self.state.fields.values().filter(|field| field.failed.is_some());
        let decided: Vec<i64> = refused.filter_map(|field| field.resolution.as_ref().map(|resolution| resolution.at)).collect();
        for at in decided {
            for side in Side::BOTH {
                self.note_edit(side, at, id);
            }
        }
    }

    /// The edit that a new write carries, which is remembered with it: found by its time, for it may have waited for its
    /// turn; or else what is at hand (a record that was waited for).
    pub(crate) fn edit_of(&mut self, command: &WriteCommand, at_hand: Option<&bytes::Bytes>) -> Option<String> {
        let waited = self.waiting.get(&(command.side.other(), command.caused_at)).cloned();
        let id = waited.or_else(|| at_hand.map(|id| String::from_utf8_lossy(id).into_owned()))?;
        self.sync_ids.insert(command.number.0, id.clone());
        Some(id)
    }

    /// The edit behind a write.
    pub(crate) fn edit(&self, write: WriteNumber) -> Option<&str> {
        self.sync_ids.get(&write.0).map(String::as_str)
    }

    /// Forgets the edits of writes that are no longer open, and those that have been carried across or replaced.
    pub(crate) fn forget_closed(&mut self) {
        let open = &self.state.writes;
        self.sync_ids.retain(|number, _| open.contains_key(number));
        let fields = &self.state.fields;
        self.waiting.retain(|(side, at), _| fields.values().any(|field| is_waiting(field, *side, *at)));
    }
}

/// Whether a field's last edit on a side is of this time and has neither been agreed nor is on its way; or a decision of
/// this time has writes to come.
fn is_waiting(field: &FieldState, side: Side, at: i64) -> bool {
    if field.resolution.as_ref().is_some_and(|resolution| resolution.by.is_some() && resolution.at == at) {
        return true;
    }
    let Some(seen) = field.seen[side].as_ref().filter(|seen| seen.at == at) else { return false };
    let busy = field.in_flight.is_some() || field.held_by.is_some() || field.resolution.is_some();
    let sent = field.in_flight.as_ref().is_some_and(|flight| flight.target == side.other() && flight.source == seen.value);
    busy && !sent && field.agreed.as_ref().is_none_or(|agreed| agreed[side] != seen.value)
}

impl Wire for Stored {
    fn put(&self, out: &mut Vec<u8>) {
        let Self { state, kind, sync_ids, waiting, look_at } = self;
        state.save(out);
        kind.save(out);
        sync_ids.save(out);
        waiting.save(out);
        look_at.save(out);
    }
    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        Ok(Self {
            state: Keep::load(input)?,
            kind: Keep::load(input)?,
            sync_ids: Keep::load(input)?,
            waiting: Keep::load(input)?,
            look_at: Keep::load(input)?,
        })
    }
    fn schema(_: &mut Names) -> serde_json::Value {
        // State is private to the processor; on the changelog it is opaque bytes.
        serde_json::json!("bytes")
    }
}

/// A type of the core that is kept.
pub(super) trait Keep: Sized {
    fn save(&self, out: &mut Vec<u8>);
    fn load(input: &mut &[u8]) -> Result<Self, WireError>;
}

macro_rules! keep_as_wire {
    ($($kind:ty),*) => {
        $(impl Keep for $kind {
            fn save(&self, out: &mut Vec<u8>) {
                self.put(out);
            }
            fn load(input: &mut &[u8]) -> Result<Self, WireError> {
                Self::take(input)
            }
        })*
    };
}
keep_as_wire!(bool, i64, i32, String);

macro_rules! keep_struct {
    ($($name:ident { $($field:ident),* $(,)? })*) => {
        $(impl Keep for $name {
            fn save(&self, out: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                $($field.save(out);)*
            }
            fn load(input: &mut &[u8]) -> Result<Self, WireError> {
                Ok(Self { $($field: Keep::load(input)?),* })
            }
        })*
    };
}

keep_struct! {
    Seen { value, at, actor }
    InFlight { write, target, value, source, expected, answered, conflict, between, passed, told, sealed }
    Failure { target, reason, at, values }
    Unseen { write, target, value, source, instead, base, expected, makes, done, orphan }
    Ahead { stream, at, until, shown, same }
    Owed { since, gone }
    Resolution { conflict, value, by, at, before, shown, reopens }
    FieldState { seen, agreed, in_flight, held_by, resolution, failed, unseen, ahead, owed }
    SideState {
        record, deleted, owed, columns, creating, create_failed, deleting, deletion, followed, at, actor, follow, outlived, archived, creation,
        former,
    }
    Former { record, opposite, agreed, sent, next_write }
    EntityState { entity, sides, fields, references, idle, writes, conflicts, decided, queued, may_create, next_write, next_conflict }
    Parent { entity, records }
    OpenWrite { command, confirmed, steps, done, altered, at }
    Step { before, after }
    Convertible { entity, kind, fields, seen, won, gone, customer, customer_record, at, actor, stage, attempt, asked }
    Wish { id, actor, at, batch }
    Confirmed { command, record, columns, steps, altered, at }
    Verdict { id, actor, at, batch, force, demand }
    WriteCommand { number, side, kind, record, values, expected, fields, decided, backfill, reason, caused_at, actor, conflict }
    ConflictRecord { number, field, base, values, policy, reason, opened_at, settled, overtaken }
    Settlement { winner, chosen, tie, both, by, at }
}

macro_rules! keep_words {
    ($($name:ty { $($variant:path = $number:literal),* $(,)? })*) => {
        $(impl Keep for $name {
            fn save(&self, out: &mut Vec<u8>) {
                out.push(match self { $($variant => $number),* });
            }
            fn load(input: &mut &[u8]) -> Result<Self, WireError> {
                match byte(input)? {
                    $($number => Ok($variant),)*
                    _ => Err(WireError::Invalid(concat!("unknown ", stringify!($name)))),
                }
            }
        })*
    };
}

keep_words! {
    Side { Side::Crm = 0, Side::Erp = 1 }
    Policy { Policy::LastWrite = 0, Policy::Crm = 1, Policy::Erp = 2, Policy::Review = 3 }
    WriteKind { WriteKind::Update = 0, WriteKind::Create = 1, WriteKind::Delete = 2, WriteKind::Archive = 3, WriteKind::Unarchive = 4 }
}

fn byte(input: &mut &[u8]) -> Result<u8, WireError> {
    let (&first, rest) = input.split_first().ok_or(WireError::Truncated)?;
    *input = rest;
    Ok(first)
}

impl Keep for u64 {
    fn save(&self, out: &mut Vec<u8>) {
        put_long(self.cast_signed(), out);
    }
    fn load(input: &mut &[u8]) -> Result<Self, WireError> {
        take_long(input).map(i64::cast_unsigned)
    }
}

impl Keep for WriteNumber {
    fn save(&self, out: &mut Vec<u8>) {
        self.0.save(out);
    }
    fn load(input: &mut &[u8]) -> Result<Self, WireError> {
        Keep::load(input).map(Self)
    }
}

impl Keep for ConflictNumber {
    fn save(&self, out: &mut Vec<u8>) {
        self.0.save(out);
    }
    fn load(input: &mut &[u8]) -> Result<Self, WireError> {
        Keep::load(input).map(Self)
    }
}

impl<T: Keep> Keep for Pair<T> {
    fn save(&self, out: &mut Vec<u8>) {
        self.crm.save(out);
        self.erp.save(out);
    }
    fn load(input: &mut &[u8]) -> Result<Self, WireError> {
        Ok(Self { crm: T::load(input)?, erp: T::load(input)? })
    }
}

impl<T: Keep> Keep for Option<T> {
    fn save(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_some()));
        if let Some(value) = self {
            value.save(out);
        }
    }
    fn load(input: &mut &[u8]) -> Result<Self, WireError> {
        match byte(input)? {
            0 => Ok(None),
            1 => T::load(input).map(Some),
            _ => Err(WireError::Invalid("an optional value is neither there nor not")),
        }
    }
}

impl<T: Keep> Keep for Box<T> {
    fn save(&self, out: &mut Vec<u8>) {
        (**self).save(out);
    }
    fn load(input: &mut &[u8]) -> Result<Self, WireError> {
        T::load(input).map(Self::new)
    }
}

impl<T: Keep> Keep for Vec<T> {
    fn save(&self, out: &mut Vec<u8>) {
        put_long(self.len() as i64, out);
        self.iter().for_each(|item| item.save(out));
    }
    fn load(input: &mut &[u8]) -> Result<Self, WireError> {
        (0..take_long(input)?).map(|_| T::load(input)).collect()
    }
}

impl Keep for Creation {
    fn save(&self, out: &mut Vec<u8>) {
        match self {
            Self::Unasked => out.push(0),
            Self::Asked(number) => {
                out.push(1);
                number.save(out);
            }
            Self::Wanted(person) => {
                out.push(2);
                person.save(out);
            }
            Self::Refused => out.push(3),
        }
    }
    fn load(input: &mut &[u8]) -> Result<Self, WireError> {
        Ok(match byte(input)? {
            0 => Self::Unasked,
            1 => Self::Asked(Keep::load(input)?),
            2 => Self::Wanted(Keep::load(input)?),
            3 => Self::Refused,
            _ => return Err(WireError::Invalid("unknown Creation")),
        })
    }
}

impl Keep for Stage {
    fn save(&self, out: &mut Vec<u8>) {
        match self {
            Self::Idle => out.push(0),
            Self::Wanted(person) => {
                out.push(1);
                person.save(out);
            }
            Self::Sent(person) => {
                out.push(2);
                person.save(out);
            }
            Self::Made { record, number } => {
                out.push(3);
                record.save(out);
                number.save(out);
            }
            Self::Failed(reason) => {
                out.push(4);
                reason.save(out);
            }
        }
    }
    fn load(input: &mut &[u8]) -> Result<Self, WireError> {
        Ok(match byte(input)? {
            0 => Self::Idle,
            1 => Self::Wanted(Keep::load(input)?),
            2 => Self::Sent(Keep::load(input)?),
            3 => Self::Made { record: Keep::load(input)?, number: Keep::load(input)? },
            4 => Self::Failed(Keep::load(input)?),
            _ => return Err(WireError::Invalid("unknown Stage")),
        })
    }
}

impl Keep for Choice {
    fn save(&self, out: &mut Vec<u8>) {
        match self {
            Self::Side(side) => {
                out.push(0);
                side.save(out);
            }
            Self::Value(value) => {
                out.push(1);
                value.save(out);
            }
            Self::Both => out.push(2),
        }
    }
    fn load(input: &mut &[u8]) -> Result<Self, WireError> {
        Ok(match byte(input)? {
            0 => Self::Side(Keep::load(input)?),
            1 => Self::Value(Keep::load(input)?),
            2 => Self::Both,
            _ => return Err(WireError::Invalid("unknown Choice")),
        })
    }
}

impl Keep for Demand {
    fn save(&self, out: &mut Vec<u8>) {
        match self {
            Self::Settle { conflict, choice } => {
                out.push(0);
                conflict.save(out);
                choice.save(out);
            }
            Self::Restore { conflict, field, choice, kept } => {
                out.push(1);
                conflict.save(out);
                field.save(out);
                choice.save(out);
                kept.save(out);
            }
            Self::Reopen { conflict, kept } => {
                out.push(2);
                conflict.save(out);
                kept.save(out);
            }
            Self::Undo { write, kept } => {
                out.push(3);
                write.save(out);
                kept.save(out);
            }
            Self::Create { side } => {
                out.push(4);
                side.save(out);
            }
            Self::Refuse { side } => {
                out.push(5);
                side.save(out);
            }
            Self::Retry { side } => {
                out.push(6);
                side.save(out);
            }
        }
    }
    fn load(input: &mut &[u8]) -> Result<Self, WireError> {
        Ok(match byte(input)? {
            0 => Self::Settle { conflict: Keep::load(input)?, choice: Keep::load(input)? },
            1 => Self::Restore {
                conflict: Keep::load(input)?,
                field: Keep::load(input)?,
                choice: Keep::load(input)?,
                kept: Keep::load(input)?,
            },
            2 => Self::Reopen { conflict: Keep::load(input)?, kept: Keep::load(input)? },
            3 => Self::Undo { write: Keep::load(input)?, kept: Keep::load(input)? },
            4 => Self::Create { side: Keep::load(input)? },
            5 => Self::Refuse { side: Keep::load(input)? },
            6 => Self::Retry { side: Keep::load(input)? },
            _ => return Err(WireError::Invalid("unknown Demand")),
        })
    }
}

impl<A: Keep, B: Keep> Keep for (A, B) {
    fn save(&self, out: &mut Vec<u8>) {
        self.0.save(out);
        self.1.save(out);
    }
    fn load(input: &mut &[u8]) -> Result<Self, WireError> {
        Ok((A::load(input)?, B::load(input)?))
    }
}

impl<K: Keep + Ord, V: Keep> Keep for BTreeMap<K, V> {
    fn save(&self, out: &mut Vec<u8>) {
        put_long(self.len() as i64, out);
        for (key, value) in self {
            key.save(out);
            value.save(out);
        }
    }
    fn load(input: &mut &[u8]) -> Result<Self, WireError> {
        // One by one, in order: collecting would move each value, and a field's state is large, from place to place.
        let mut map = Self::new();
        for _ in 0..take_long(input)? {
            map.insert(K::load(input)?, V::load(input)?);
        }
        Ok(map)
    }
}

/// Lists nest this deep at most.
const MAX_DEPTH: u8 = 8;

impl Keep for Value {
    fn save(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(0),
            Self::Bool(value) => out.extend([1, u8::from(*value)]),
            Self::Int(value) => {
                out.push(2);
                value.save(out);
            }
            Self::Decimal(value) => {
                out.push(3);
                out.extend(value.serialize());
            }
            Self::Text(value) => {
                out.push(4);
                value.save(out);
            }
            Self::Date(value) => {
                out.push(5);
                value.save(out);
            }
            Self::Timestamp(value) => {
                out.push(6);
                value.save(out);
            }
            Self::List(items) => {
                out.push(7);
                put_long(items.len() as i64, out);
                items.iter().for_each(|item| item.save(out));
            }
        }
    }
    fn load(input: &mut &[u8]) -> Result<Self, WireError> {
        load_value(input, 0)
    }
}

fn load_value(input: &mut &[u8], depth: u8) -> Result<Value, WireError> {
    if depth > MAX_DEPTH {
        return Err(WireError::Invalid("lists are nested too deep"));
    }
    Ok(match byte(input)? {
        0 => Value::Null,
        1 => Value::Bool(bool::load(input)?),
        2 => Value::Int(i64::load(input)?),
        3 => {
            let (digits, rest) = input.split_first_chunk::<16>().ok_or(WireError::Truncated)?;
            *input = rest;
            Value::Decimal(Decimal::deserialize(*digits))
        }
        4 => Value::Text(String::load(input)?),
        5 => Value::Date(i32::load(input)?),
        6 => Value::Timestamp(i64::load(input)?),
        7 => Value::List((0..take_long(input)?).map(|_| load_value(input, depth + 1)).collect::<Result<_, _>>()?),
        _ => return Err(WireError::Invalid("unknown kind of value")),
    })
}

#[cfg(test)]
mod tests;
