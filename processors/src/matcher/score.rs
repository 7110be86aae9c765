//! Comparing records that no key links: blocks to find them by, and what the score says.
//!
//! ```text
//! b kind 0 side number       → Block    records of one side that share something with one another
//! l kind 0 side record       → Listed   the blocks that a record stands in
//! i kind 0 sure 0 left 0 right → Intent what the comparison of two entities has come to, before any of them is linked
//! ```
//!
//! Only a record whose entity has none on the other side stands in blocks: the others have found theirs, and a record that
//! resembles one of them too is found by its keys or not at all.
//!
//! Blocks are many, about ten for each record, so they go by number: a hash of what is shared. Two that got one number would be
//! read together and told apart by comparing.
//!
//! A match has to be one from both ends: the best and well ahead of the next for either record. So it does not depend on
//! which of the two came first.

use std::collections::{BTreeMap, BTreeSet};

use reconcile::Value;
use reconcile::mapping::{EntityMapping, Mapping};
use reconcile::matching::{Blocks, MAX_REVIEWED, MatchRules, Prepared, Scored, ScoredPlacement, Scorer, candidates, decide_scored, joins};
use schemas::message::{Field, Side};
use schemas::record;

use super::apart::is_apart;
use super::link::{Asked, ByKey, by_keys};
use super::pair::Spot;
use super::state::{Entity, Known, entity_key, key, letter, record_key};
use crate::convert;
use crate::error::{Error, Result};
use crate::task::Context;

record! {
    /// Records of one side that share a block.
    pub struct Block {
        /// Record ids.
        pub records: Vec<String>,
    }
}

record! {
    /// The blocks that a record stands in.
    pub struct Listed {
        /// Numbers of the blocks.
        pub blocks: Vec<i64>,
    }
}

record! {
    /// Two records that match or may.
    pub struct Intent {
        /// One.
        pub left: Spot,
        /// The other.
        pub right: Spot,
        /// They match without asking.
        pub sure: bool,
    }
}

/// A block's number: FNV-1a of 64 bits, the same in every build.
fn number(block: &str) -> i64 {
    let hash = block.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash.cast_signed()
}

fn block_key(kind: &str, side: Side, number: i64) -> Vec<u8> {
    let mut place = vec![letter(side)];
    place.extend_from_slice(&number.to_be_bytes());
    key(b'b', &[kind.as_bytes(), &place])
}

fn listed_key(kind: &str, side: Side, record: &str) -> Vec<u8> {
    let mut place = vec![letter(side)];
    place.extend_from_slice(record.as_bytes());
    key(b'l', &[kind.as_bytes(), &place])
}

/// Matches come before what a person is asked.
pub(super) fn intent_key(kind: &str, sure: bool, left: &str, right: &str) -> Vec<u8> {
    key(b'i', &[kind.as_bytes(), if sure { b"1" } else { b"2" }, left.as_bytes(), right.as_bytes()])
}

pub(super) fn intents_prefix(kind: &str) -> Vec<u8> {
    key(b'i', &[kind.as_bytes(), b""])
}

/// The scorers of a mapping, by kind.
#[derive(Debug, Default)]
pub(crate) struct Scorers(BTreeMap<String, Scorer>);

impl Scorers {
    pub(crate) fn new(mapping: &Mapping) -> Self {
        let ready = |entity: &EntityMapping| Some((entity.kind.clone(), Scorer::new(entity.scored.as_ref()?)));
        Self(mapping.entities.iter().filter_map(ready).collect())
    }

    /// Rules and scorer of a kind that has any.
    pub(super) fn of<'a>(&'a self, mapping: &'a EntityMapping) -> Option<Rules<'a>> {
        Some(Rules { mapping, rules: mapping.scored.as_ref()?, scorer: self.0.get(&mapping.kind)? })
    }
}

/// Columns of a side that are compared.
pub(crate) fn compared_columns(mapping: &EntityMapping, side: reconcile::mapping::Side) -> impl Iterator<Item = &String> {
    mapping.scored.iter().flat_map(|rules| &rules.fields).flat_map(move |field| &field.columns[side])
}

/// How records of one kind are compared.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) mapping: &'a EntityMapping,
    pub(super) rules: &'a MatchRules,
    pub(super) scorer: &'a Scorer,
}

/// What the comparison says of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ByScore {
    /// It resembles nobody.
    Nobody,
    /// It is this entity.
    One(String),
    /// It may be one of these; the likeliest first.
    Some(Vec<String>),
}

/// One side's blocks in the store.
struct Stored<'a, 'c> {
    context: &'a Context<'c>,
    kind: &'a str,
    side: Side,
}

impl Stored<'_, '_> {
    fn records(&self, number: i64) -> Result<Vec<String>> {
        Ok(self.context.get::<Block>(&block_key(self.kind, self.side, number))?.map(|block| block.records).unwrap_or_default())
    }
}

impl Blocks for Stored<'_, '_> {
    type Member = String;
    type Error = Error;

    fn members(&mut self, block: &str) -> Result<Vec<String>> {
        self.records(number(block))
    }
}

/// The same, each block read once and kept, by number.
struct Kept<'a, 'c> {
    stored: Stored<'a, 'c>,
    read: BTreeMap<i64, Vec<String>>,
}

impl Blocks for Kept<'_, '_> {
    type Member = String;
    type Error = Error;

    fn members(&mut self, block: &str) -> Result<Vec<String>> {
        self.stored.members(block)
    }

    fn count(&mut self, block: &str) -> Result<usize> {
        let number = number(block);
        if let Some(records) = self.read.get(&number) {
            return Ok(records.len());
        }
        let records = self.stored.records(number)?;
        let count = records.len();
        self.read.insert(number, records);
        Ok(count)
    }
}

impl Rules<'_> {
    pub(super) fn prepare(&self, side: Side, columns: &[Field]) -> Prepared {
        // A value that cannot be compared tells nothing.
        let values: Vec<(&str, Value)> =
            columns.iter().filter_map(|field| Some((field.name.as_str(), convert::value(&field.value).ok()?))).collect();
        let column = |name: &str| values.iter().find(|(column, _)| *column == name).map(|(_, value)| value);
        self.scorer.prepare(convert::side(side), column)
    }

    /// What the comparison says of a record that stands alone in its entity, or has none yet.
    pub(super) fn by_score(&self, context: &Context<'_>, asked: Asked<'_>) -> Result<ByScore> {
        let own = self.prepare(asked.side, asked.columns);
        if own.is_empty() {
            return Ok(ByScore::Nobody);
        }
        match decide_scored(&self.rules.thresholds, self.compare(context, asked, &own)?) {
            ScoredPlacement::New => Ok(ByScore::Nobody),
            ScoredPlacement::Review { candidates } => Ok(ByScore::Some(candidates.into_iter().map(|scored| scored.entity).collect())),
            ScoredPlacement::Match { best } => {
                let sure = self.matches_back(context, asked, &own, &best.entity)?;
                Ok(if sure { ByScore::One(best.entity) } else { ByScore::Some(vec![best.entity]) })
            }
        }
    }

    /// Whether a record is the match of an entity, seen from there.
    fn matches_back(&self, context: &Context<'_>, asked: Asked<'_>, own: &Prepared, entity: &str) -> Result<bool> {
        let side = asked.side.other();
        let Some(there) = context.get::<Entity>(&entity_key(entity))? else { return Ok(false) };
        let Some(record) = there.live(side) else { return Ok(false) };
        let Some(known) = self.known(context, side, record)? else { return Ok(false) };
        let theirs = self.prepare(side, &known.columns);
        let back = Asked { side, id: record, entity: Some(entity), columns: &known.columns };
        if by_keys(context, self.mapping, back)? != ByKey::Nobody {
            // Its keys say something else, or that it is in doubt.
            return Ok(false);
        }
        let name = asked.entity.unwrap_or_default();
        let mut scored = self.compare(context, back, &theirs)?;
        scored.retain(|scored| scored.entity != name);
        scored.push(Scored { entity: name.to_owned(), taken: false, comparison: self.scorer.compare(&theirs, own) });
        Ok(matches!(decide_scored(&self.rules.thresholds, scored), ScoredPlacement::Match { best } if best.entity == name))
    }

    /// A record compared with those of the other side that share blocks with it: the best, in order.
    fn compare(&self, context: &Context<'_>, asked: Asked<'_>, own: &Prepared) -> Result<Vec<Scored>> {
        let side = asked.side.other();
        let keys = self.scorer.block_keys(own);
        let found = candidates(&keys, &mut Stored { context, kind: &self.mapping.kind, side })?;
        let thresholds = &self.rules.thresholds;
        let mut near = Vec::with_capacity(found.members.len());
        for record in found.members {
            let Some(known) = self.known(context, side, &record)? else { continue };
            if asked.entity == Some(known.entity.as_str()) {
                continue;
            }
            let comparison = self.scorer.compare(own, &self.prepare(side, &known.columns));
            if comparison.score >= thresholds.review {
                near.push((known.entity, comparison));
            }
        }
        near.sort_by(|left, right| right.1.score.total_cmp(&left.1.score).then_with(|| left.0.cmp(&right.0)));
        // Nothing depends on more than a person is shown.
        let mut scored = Vec::with_capacity(MAX_REVIEWED);
        for (entity, comparison) in near {
            let Some(there) = context.get::<Entity>(&entity_key(&entity))? else { continue };
            let taken = there.live(asked.side).is_some_and(|other| other != asked.id);
            if (taken && comparison.score < thresholds.automatic) || is_apart(context, asked.side, asked.id, &there)? {
                continue;
            }
            scored.push(Scored { entity, taken, comparison });
            if scored.len() == MAX_REVIEWED {
                break;
            }
        }
        Ok(scored)
    }

    fn known(&self, context: &Context<'_>, side: Side, record: &str) -> Result<Option<Known>> {
        let object = &self.mapping.sides[convert::side(side)].object;
        Ok(context.get::<Known>(&record_key(side, object, record))?.filter(|known| !known.gone && !known.entity.is_empty()))
    }

    /// Puts a record into its blocks.
    pub(super) fn list(&self, context: &mut Context<'_>, side: Side, record: &str, columns: &[Field]) -> Result<()> {
        let kind = &self.mapping.kind;
        let (blocks, mut read) = {
            let prepared = self.prepare(side, columns);
            let mut kept = Kept { stored: Stored { context, kind, side }, read: BTreeMap::new() };
            (joins(&self.scorer.block_keys(&prepared), &mut kept)?, kept.read)
        };
        if blocks.is_empty() {
            return Ok(());
        }
        let numbers: BTreeSet<i64> = blocks.iter().map(|block| number(block)).collect();
        for number in &numbers {
            let mut records = read.remove(number).unwrap_or_default();
            if !records.iter().any(|there| there == record) {
                records.push(record.to_owned());
                context.put(block_key(kind, side, *number), &Block { records });
            }
        }
        context.put(listed_key(kind, side, record), &Listed { blocks: numbers.into_iter().collect() });
        Ok(())
    }

    pub(super) fn is_listed(&self, context: &Context<'_>, side: Side, record: &str) -> Result<bool> {
        context.has(&listed_key(&self.mapping.kind, side, record))
    }

    /// Takes a record out of its blocks.
    pub(super) fn unlist(&self, context: &mut Context<'_>, side: Side, record: &str) -> Result<()> {
        let kind = &self.mapping.kind;
        let Some(listed) = context.get::<Listed>(&listed_key(kind, side, record))? else { return Ok(()) };
        for number in &listed.blocks {
            let key = block_key(kind, side, *number);
            let Some(mut members) = context.get::<Block>(&key)? else { continue };
            members.records.retain(|there| there != record);
            if members.records.is_empty() { context.delete(key) } else { context.put(key, &members) }
        }
        context.delete(listed_key(kind, side, record));
        Ok(())
    }

    /// Lists an entity's only record, and none of an entity that has both. `changed` when its compared values may have changed.
    pub(super) fn relist(&self, context: &mut Context<'_>, entity: &str, changed: bool) -> Result<()> {
        let Some(there) = context.get::<Entity>(&entity_key(entity))? else { return Ok(()) };
        let only = there.only_side();
        for side in [Side::Crm, Side::Erp] {
            let Some(record) = there.record(side) else { continue };
            let listed = self.is_listed(context, side, record)?;
            let wanted = only == Some(side);
            if listed && (!wanted || changed) {
                self.unlist(context, side, record)?;
            }
            if wanted
                && (!listed || changed)
                && let Some(known) = self.known(context, side, record)?
            {
                self.list(context, side, record, &known.columns)?;
            }
        }
        Ok(())
    }
}
