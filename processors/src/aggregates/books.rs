//! The core's entries in the store.
//!
//! ```text
//! r kind record          → Entry::Record      i invoice      → Entry::Sum, what was paid
//! d customer 0 due day   → Entry::Sum         D due day customer → Mark, whose day it is
//! c customer             → Entry::Customer    s stage        → Entry::Stage
//! a c|s name             → Newest             t              → Passed
//! ```

use std::cell::RefCell;

use reconcile::aggregate::{CustomerSums, Entries, Entry, Fact, Key, Kind, StageSums, Touched};
use rust_decimal::Decimal;
use schemas::record;
use schemas::wire::{Names, Wire, WireError};

use crate::error::{Error, Result};
use crate::task::Context;

record! {
    /// Commit time of the newest change in a sum.
    pub struct Newest {
        /// Microseconds since 1970-01-01T00:00:00Z.
        pub at: i64,
    }
}

record! {
    /// How far days have passed.
    pub struct Passed {
        /// What was due before this day has been said.
        pub day: i32,
        /// The last key of the day index that was looked at, while there is more.
        pub cursor: Vec<u8>,
        /// The day that is being reached; the same as `day` when all is said.
        pub reaching: i32,
    }
}

record! {
    /// A value that says nothing but that its key is there.
    pub struct Mark {
        /// Always true.
        pub is: bool,
    }
}

const PASSED: &[u8] = b"t";

/// The store as the core wants it. A failure is kept until [`Self::close`].
pub(super) struct Books<'a, 'c> {
    context: &'a mut Context<'c>,
    failed: RefCell<Option<Error>>,
}

impl<'a, 'c> Books<'a, 'c> {
    pub(super) fn new(context: &'a mut Context<'c>) -> Self {
        Self { context, failed: RefCell::new(None) }
    }

    /// Says whether the store failed meanwhile; what was computed then means nothing.
    pub(super) fn close(self) -> Result<()> {
        self.failed.into_inner().map_or(Ok(()), Err)
    }

    fn note<T>(&self, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.failed.borrow_mut().get_or_insert(error);
                None
            }
        }
    }
}

impl Entries for Books<'_, '_> {
    fn get(&self, key: &Key) -> Option<Entry> {
        self.note(self.context.get::<Kept>(&place(key))).flatten().map(|Kept(entry)| entry)
    }

    fn put(&mut self, key: Key, entry: Option<Entry>) {
        if let Key::Due(customer, day) = &key {
            let index = day_key(*day, customer);
            match entry {
                Some(_) => self.context.put(index, &Mark { is: true }),
                None => self.context.delete(index),
            }
        }
        match entry {
            Some(entry) => self.context.put(place(&key), &Kept(entry)),
            None => self.context.delete(place(&key)),
        }
    }

    fn due_before(&self, customer: &str, day: i32) -> Decimal {
        let end = place(&Key::Due(customer.to_owned(), day));
        // All days of the customer: the key without the day's four bytes.
        let prefix = end.get(..end.len() - 4).unwrap_or_default();
        let entries = self.note(self.context.scan::<Kept>(prefix, b"", usize::MAX)).unwrap_or_default();
        entries
            .iter()
            .take_while(|(key, _)| *key < end)
            .map(|(_, Kept(entry))| if let Entry::Sum(sum) = entry { *sum } else { Decimal::ZERO })
            .sum()
    }
}

/// Days in their order as bytes.
fn day_bytes(day: i32) -> [u8; 4] {
    (day.cast_unsigned() ^ 0x8000_0000).to_be_bytes()
}

fn day_key(day: i32, customer: &str) -> Vec<u8> {
    [b"D".as_slice(), &day_bytes(day), customer.as_bytes()].concat()
}

fn place(key: &Key) -> Vec<u8> {
    match key {
        Key::Record(kind, record) => [b"r".as_slice(), &[kind_byte(*kind)], record.as_bytes()].concat(),
        Key::Paid(invoice) => [b"i", invoice.as_bytes()].concat(),
        Key::Due(customer, day) => [b"d", customer.as_bytes(), b"\0", &day_bytes(*day)].concat(),
        Key::Customer(customer) => [b"c", customer.as_bytes()].concat(),
        Key::Stage(stage) => [b"s", stage.as_bytes()].concat(),
    }
}

const fn kind_byte(kind: Kind) -> u8 {
    match kind {
        Kind::Invoice => b'i',
        Kind::Payment => b'p',
        Kind::Order => b'o',
        Kind::Opportunity => b'q',
    }
}

fn newest_key(touched: &Touched) -> Vec<u8> {
    match touched {
        Touched::Customer(name) => [b"ac", name.as_bytes()].concat(),
        Touched::Stage(name) => [b"as", name.as_bytes()].concat(),
    }
}

/// Commit time of the newest change in a sum.
pub(super) fn newest(context: &Context<'_>, touched: &Touched) -> Result<i64> {
    Ok(context.get::<Newest>(&newest_key(touched))?.map_or(0, |newest| newest.at))
}

/// Remembers the commit time of a change in a sum.
pub(super) fn note_newest(context: &mut Context<'_>, touched: &Touched, at: i64) -> Result<()> {
    if newest(context, touched)? < at {
        context.put(newest_key(touched), &Newest { at });
    }
    Ok(())
}

/// How far days have passed; none before the first.
pub(super) fn passed(context: &Context<'_>) -> Result<Option<Passed>> {
    context.get(PASSED)
}

/// Lets days pass up to `today`: the customers with something due on them, at most `most`, and whether there are more.
pub(super) fn pass(context: &mut Context<'_>, passed: Option<Passed>, today: i32, most: usize) -> Result<(Vec<String>, bool)> {
    let mut passed = match passed {
        None => {
            context.put(PASSED.to_vec(), &Passed { day: today, cursor: Vec::new(), reaching: today });
            return Ok((Vec::new(), false));
        }
        Some(passed) if passed.day == passed.reaching && passed.day >= today => return Ok((Vec::new(), false)),
        Some(passed) => passed,
    };
    if passed.day == passed.reaching {
        // Due on the day before `today` and earlier, but not before what was said.
        passed.reaching = today;
        passed.cursor = [b"D".as_slice(), &day_bytes(passed.day)].concat();
    }
    let end = [b"D".as_slice(), &day_bytes(passed.reaching)].concat();
    let keys: Vec<Vec<u8>> = context.keys(b"D", &passed.cursor, most)?.into_iter().take_while(|key| *key < end).collect();
    let left = keys.len() == most;
    match keys.last() {
        Some(last) if left => passed.cursor.clone_from(last),
        _ => passed.day = passed.reaching,
    }
    context.put(PASSED.to_vec(), &passed);
    Ok((keys.iter().filter_map(|key| String::from_utf8(key.get(5..)?.to_vec()).ok()).collect(), left))
}

/// An entry as it is kept.
struct Kept(Entry);

impl Wire for Kept {
    fn put(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Entry::Record(customer, fact) => {
                out.push(0);
                customer.put(out);
                put_fact(fact, out);
            }
            Entry::Sum(sum) => {
                out.push(1);
                put_decimal(sum, out);
            }
            Entry::Customer(CustomerSums { balance, open_orders, open_order_value }) => {
                out.push(2);
                put_decimal(balance, out);
                open_orders.put(out);
                put_decimal(open_order_value, out);
            }
            Entry::Stage(StageSums { count, value, weighted, won, lost }) => {
                out.push(3);
                count.put(out);
                put_decimal(value, out);
                put_decimal(weighted, out);
                won.put(out);
                lost.put(out);
            }
        }
    }

    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        Ok(Self(match byte(input)? {
            0 => Entry::Record(Wire::take(input)?, take_fact(input)?),
            1 => Entry::Sum(take_decimal(input)?),
            2 => Entry::Customer(CustomerSums {
                balance: take_decimal(input)?,
                open_orders: i64::take(input)?,
                open_order_value: take_decimal(input)?,
            }),
            3 => Entry::Stage(StageSums {
                count: i64::take(input)?,
                value: take_decimal(input)?,
                weighted: take_decimal(input)?,
                won: i64::take(input)?,
                lost: i64::take(input)?,
            }),
            _ => return Err(WireError::Invalid("unknown kind of entry")),
        }))
    }

    fn schema(_: &mut Names) -> serde_json::Value {
        serde_json::json!("bytes")
    }
}

fn put_fact(fact: &Fact, out: &mut Vec<u8>) {
    match fact {
        Fact::Invoice { amount, due, open } => {
            out.push(0);
            put_decimal(amount, out);
            due.put(out);
            open.put(out);
        }
        Fact::Payment { amount, invoice } => {
            out.push(1);
            put_decimal(amount, out);
            invoice.put(out);
        }
        Fact::Order { amount, open } => {
            out.push(2);
            put_decimal(amount, out);
            open.put(out);
        }
        Fact::Opportunity { stage, amount, probability, closed, won } => {
            out.push(3);
            stage.put(out);
            put_decimal(amount, out);
            put_decimal(probability, out);
            closed.put(out);
            won.put(out);
        }
    }
}

fn take_fact(input: &mut &[u8]) -> Result<Fact, WireError> {
    Ok(match byte(input)? {
        0 => Fact::Invoice { amount: take_decimal(input)?, due: Wire::take(input)?, open: bool::take(input)? },
        1 => Fact::Payment { amount: take_decimal(input)?, invoice: Wire::take(input)? },
        2 => Fact::Order { amount: take_decimal(input)?, open: bool::take(input)? },
        3 => Fact::Opportunity {
            stage: String::take(input)?,
            amount: take_decimal(input)?,
            probability: take_decimal(input)?,
            closed: bool::take(input)?,
            won: bool::take(input)?,
        },
        _ => return Err(WireError::Invalid("unknown kind of fact")),
    })
}

fn put_decimal(number: &Decimal, out: &mut Vec<u8>) {
    out.extend(number.serialize());
}

fn take_decimal(input: &mut &[u8]) -> Result<Decimal, WireError> {
    let (digits, rest) = input.split_first_chunk::<16>().ok_or(WireError::Truncated)?;
    *input = rest;
    Ok(Decimal::deserialize(*digits))
}

fn byte(input: &mut &[u8]) -> Result<u8, WireError> {
    let (&first, rest) = input.split_first().ok_or(WireError::Truncated)?;
    *input = rest;
    Ok(first)
}
