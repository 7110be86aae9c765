//! Records that wait for a parent which nobody has seen: how many there are, for how long, and what is said of one that
//! waits too long. It goes on waiting, and finds its place should the parent come.
//!
//! ```text
//! h since side object 0 record  → Mark    a record that waits, in the order in which they began
//! o since side object 0 record  → Mark    one that has waited too long, of which that was said
//! ```

use std::collections::BTreeMap;

use schemas::message::{DeadLetter, Side};
use schemas::topic::partition;

use super::plan::{Plan, Source};
use super::state::{Known, MARK, column, key, place, record_key};
use super::{Matcher, NAME};
use crate::convert;
use crate::error::Result;
use crate::task::Context;

/// How often those that wait are looked at, microseconds.
const EVERY: i64 = 2_000_000;
/// Most that are counted; more are shown as this many.
const MOST: usize = 10_000;
/// Most of which is said at a time that they wait too long.
const AT_ONCE: usize = 100;

const WAITS: &[u8] = b"h";
const OVERDUE: &[u8] = b"o";

/// What is known of the records that wait, without the store.
#[derive(Debug, Default)]
pub(super) struct Waits {
    looked: i64,
    count: usize,
    oldest: Option<String>,
    since: i64,
}

fn waits_key(head: u8, since: i64, side: Side, object: &str, record: &str) -> Vec<u8> {
    let mut first = since.to_be_bytes().to_vec();
    first.extend(place(side, object));
    key(head, &[&first, record.as_bytes()])
}

/// Since when, side, object and record.
fn parts(key: &[u8]) -> Option<(i64, Side, &str, &str)> {
    let (since, rest) = key.get(1..)?.split_first_chunk::<8>()?;
    let (letter, rest) = rest.split_first()?;
    let side = if *letter == b'c' { Side::Crm } else { Side::Erp };
    let (object, record) = std::str::from_utf8(rest).ok()?.split_once('\0')?;
    Some((i64::from_be_bytes(*since), side, object, record))
}

impl Matcher {
    /// Notes that a record waits.
    pub(super) fn waits(&mut self, context: &mut Context<'_>, source: &Source, id: &str, known: &mut Known) {
        if known.waiting_since == 0 {
            known.waiting_since = context.now().max(1);
            context.put(waits_key(b'h', known.waiting_since, source.side, &source.object, id), &MARK);
        }
    }

    /// Notes that a record waits no longer, where it did.
    pub(super) fn waits_no_longer(&self, context: &mut Context<'_>, source: &Source, id: &str, known: &Known) {
        if known.waiting_since != 0 {
            for head in [b'h', b'o'] {
                context.delete(waits_key(head, known.waiting_since, source.side, &source.object, id));
            }
        }
    }

    /// Looks at what waits, now and then, and says of what has waited too long.
    pub(super) fn look_at_waiting(&mut self, context: &mut Context<'_>) -> Result<()> {
        let now = context.now();
        if (now - self.waits.looked).abs() < EVERY {
            return Ok(());
        }
        let plan = self.plan.clone();
        for key in context.keys(WAITS, b"", AT_ONCE)? {
            let Some((since, side, object, record)) = parts(&key) else { continue };
            if now.saturating_sub(since) < self.parent_wait_us {
                break;
            }
            self.say_overdue(context, &plan, side, object, record)?;
            context.put(waits_key(b'o', since, side, object, record), &MARK);
            context.delete(key);
        }
        let overdue = context.keys(OVERDUE, b"", MOST)?;
        let waiting = context.keys(WAITS, b"", MOST)?;
        let oldest = overdue.first().or(waiting.first()).and_then(|key| parts(key));
        self.waits = Waits {
            looked: now,
            count: overdue.len() + waiting.len(),
            oldest: match oldest {
                Some((_, side, object, record)) => Some(self.waits_for(context, &plan, side, object, record)?),
                None => None,
            },
            since: oldest.map_or(0, |(since, ..)| since),
        };
        self.metrics.waiting.with_label_values(&[NAME]).set(i64::try_from(self.waits.count).unwrap_or(i64::MAX));
        Ok(())
    }

    /// In words: which record waits for which.
    fn waits_for(&self, context: &Context<'_>, plan: &Plan, side: Side, object: &str, record: &str) -> Result<String> {
        let known: Option<Known> = context.get(&record_key(side, object, record))?;
        let parents: Vec<String> = match (plan.source(side, object), known) {
            (Some(source), Some(known)) => plan
                .pointers(source)
                .iter()
                .filter(|pointer| known.pending.iter().any(|field| field == pointer.field))
                .filter_map(|pointer| {
                    Some(format!("{} {}", pointer.object, column(&known.columns, pointer.column).and_then(convert::id_text)?))
                })
                .collect(),
            _ => Vec::new(),
        };
        Ok(format!("{object} {record} waits for {}", parents.join(" and ")))
    }

    fn say_overdue(&self, context: &mut Context<'_>, plan: &Plan, side: Side, object: &str, record: &str) -> Result<()> {
        let Some(source) = plan.source(side, object) else { return Ok(()) };
        let Some(known) = context.get::<Known>(&record_key(side, object, record))? else { return Ok(()) };
        let Some(channel) = self.letters.get(&source.topic) else { return Ok(()) };
        let reason = format!("{}, which nobody has seen", self.waits_for(context, plan, side, object, record)?);
        tracing::warn!(processor = NAME, object, record, reason, "a record has waited too long");
        self.metrics.dead_letters.with_label_values(&[NAME]).inc();
        let letter = DeadLetter {
            topic: source.topic.to_string(),
            partition: i64::from(partition(record.as_bytes(), self.topics.entity_partitions())),
            offset: known.offset,
            key: Some(record.as_bytes().to_vec()),
            value: None,
            component: NAME.to_owned(),
            reason,
            remedy: "see that the record it points at exists and is captured; it finds its place when that comes".to_owned(),
            at: context.now(),
        };
        context.emit(channel.record(record.to_owned(), &letter));
        Ok(())
    }

    /// What the dashboard shows of those that wait.
    pub(super) fn waiting_facts(&self) -> BTreeMap<&'static str, Option<String>> {
        let count = match self.waits.count {
            0 => None,
            more if more >= MOST => Some(format!("{MOST} or more")),
            count => Some(count.to_string()),
        };
        let since = (self.waits.since != 0).then(|| self.waits.since.to_string());
        BTreeMap::from([("waiting", count), ("waiting_oldest", self.waits.oldest.clone()), ("waiting_since", since)])
    }
}
