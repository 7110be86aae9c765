//! Which records are worth comparing: those that share a block.
//!
//! A record has several keys, each the name of a block: its tax id, its phone, the sound of its surname, a rare word of its name,
//! the halves of a number, street and house. A typing error spoils some of them, seldom all. A block has room for
//! [`BLOCK_CAP`] records; once it is full, later ones go to its finer blocks, where another field has to agree as well. So the
//! work for one record is bounded whatever the records are, and it is the same work in the same order every time.
//!
//! It leaves out where blocks are kept: the caller has an ordered map and answers [`Blocks`].

use std::collections::{BTreeMap, BTreeSet};

use super::kind::Kind;
use super::normal;
use super::phonetic;
use super::prepare::{Form, Prepared, Words};
use super::score::Scorer;

/// Records that a block has room for.
pub const BLOCK_CAP: usize = 32;

/// Candidates that are compared with one record, at most.
pub const MAX_CANDIDATES: usize = 20;

/// Candidates that share so many times less than the likeliest are not compared.
const FAR_BEHIND: u32 = 6;

/// Keys of one record, at most.
pub const MAX_KEYS: usize = 24;

/// Finer blocks of one block, at most.
const MAX_FINER: usize = 4;

/// One block that a record belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockKey {
    /// The block.
    pub value: String,
    /// The blocks to use once it is full.
    pub finer: Vec<String>,
}

/// What the caller's index of blocks answers.
pub trait Blocks {
    /// One record in the index.
    type Member: Ord + Clone;
    /// What may go wrong there.
    type Error;

    /// Who is in a block; at most [`BLOCK_CAP`], in any order.
    ///
    /// # Errors
    /// When the index cannot be read.
    fn members(&mut self, block: &str) -> Result<Vec<Self::Member>, Self::Error>;

    /// How many they are. Asked for by [`joins`] only.
    ///
    /// # Errors
    /// The same.
    fn count(&mut self, block: &str) -> Result<usize, Self::Error> {
        Ok(self.members(block)?.len())
    }
}

/// Who is worth comparing with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<M> {
    /// The likeliest first.
    pub members: Vec<M>,
    /// Blocks that were full, so that some of their records may not be here.
    pub full: usize,
    /// Records left out because there were too many.
    pub dropped: usize,
}

/// Who shares blocks with a record: those that share more and smaller blocks first.
///
/// # Errors
/// Those of the index.
pub fn candidates<B: Blocks>(keys: &[BlockKey], blocks: &mut B) -> Result<Found<B::Member>, B::Error> {
    let mut likelihood: BTreeMap<B::Member, u32> = BTreeMap::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut full = 0;
    for key in keys {
        let finer = gather(&key.value, blocks, &mut likelihood, &mut seen)?;
        if finer {
            full += 1;
            for block in &key.finer {
                gather(block, blocks, &mut likelihood, &mut seen)?;
            }
        }
    }
    let mut ranked: Vec<(u32, B::Member)> = likelihood.into_iter().map(|(member, points)| (points, member)).collect();
    ranked.sort_by(|left, right| right.0.cmp(&left.0).then_with(|| left.1.cmp(&right.1)));
    let least = ranked.first().map_or(0, |(points, _)| points / FAR_BEHIND);
    let near = ranked.iter().take_while(|(points, _)| *points >= least).count().min(MAX_CANDIDATES);
    let dropped = ranked.len() - near;
    ranked.truncate(near);
    Ok(Found { members: ranked.into_iter().map(|(_, member)| member).collect(), full, dropped })
}

/// Adds the members of a block; says whether it is full.
fn gather<'k, B: Blocks>(
    block: &'k str,
    blocks: &mut B,
    likelihood: &mut BTreeMap<B::Member, u32>,
    seen: &mut BTreeSet<&'k str>,
) -> Result<bool, B::Error> {
    if !seen.insert(block) {
        return Ok(false);
    }
    let members = blocks.members(block)?;
    let points = match members.len() {
        0..=1 => 8,
        2..=3 => 6,
        4..=7 => 4,
        8..=15 => 3,
        16..=23 => 2,
        _ => 1,
    };
    let full = members.len() >= BLOCK_CAP;
    for member in members {
        *likelihood.entry(member).or_default() += points;
    }
    Ok(full)
}

/// Into which blocks a new record is put: each of its blocks, or the finer ones of a block that is full.
///
/// # Errors
/// Those of the index.
pub fn joins<B: Blocks>(keys: &[BlockKey], blocks: &mut B) -> Result<Vec<String>, B::Error> {
    let mut joined = BTreeSet::new();
    for key in keys {
        if blocks.count(&key.value)? < BLOCK_CAP {
            joined.insert(key.value.clone());
            continue;
        }
        for block in &key.finer {
            if !joined.contains(block) && blocks.count(block)? < BLOCK_CAP {
                joined.insert(block.clone());
            }
        }
    }
    Ok(joined.into_iter().collect())
}

/// Every block that a record may have been put into.
pub fn leaves(keys: &[BlockKey]) -> impl Iterator<Item = &str> {
    keys.iter().flat_map(|key| std::iter::once(key.value.as_str()).chain(key.finer.iter().map(String::as_str)))
}

/// A field's value as a block: what it is and how well it tells records apart by itself.
struct Atom {
    field: usize,
    value: String,
    /// Stands alone; otherwise only together with another.
    alone: bool,
}

impl Scorer {
    /// The blocks of a record, in the order of its fields, none twice.
    pub fn block_keys(&self, record: &Prepared) -> Vec<BlockKey> {
        let mut atoms = Vec::new();
        for index in 0..self.fields().len() {
            if let (Some(kind), Some(form)) = (self.kind(index), record.form(index)) {
                self.atoms(index, kind, form, &mut atoms);
            }
        }
        let mut keys: Vec<BlockKey> = Vec::new();
        let mut seen = BTreeSet::new();
        for atom in atoms.iter().filter(|atom| atom.alone) {
            if keys.len() < MAX_KEYS && seen.insert(atom.value.clone()) {
                keys.push(BlockKey { value: atom.value.clone(), finer: finer(atom, &atoms) });
            }
        }
        // Values that tell too little by themselves, two by two.
        let weak: Vec<&Atom> = atoms.iter().filter(|atom| !atom.alone).collect();
        for (at, one) in weak.iter().enumerate() {
            for other in weak.iter().skip(at + 1).filter(|other| other.field != one.field) {
                let value = both(one, other);
                if keys.len() < MAX_KEYS && seen.insert(value.clone()) {
                    keys.push(BlockKey { value, finer: Vec::new() });
                }
            }
        }
        keys
    }

    fn atoms(&self, index: usize, kind: Kind, form: &Form, atoms: &mut Vec<Atom>) {
        let tag = self.tag(index);
        let mut push = |sort: &str, value: &str, alone: bool| {
            if !value.is_empty() {
                atoms.push(Atom { field: index, value: format!("{tag}{sort}\u{1}{value}"), alone });
            }
        };
        match (kind, form) {
            (Kind::GivenName | Kind::Surname, Form::Words(Words { sound, .. })) => {
                push("~", sound, kind == Kind::Surname || self.tag(index) != index)
            }
            (Kind::Person, Form::Words(Words { words, .. })) => {
                for word in words.iter().filter(|word| word.chars().count() > 1).take(4) {
                    push("~", &phonetic::code(word), true);
                }
            }
            (Kind::Organisation | Kind::Text, Form::Words(Words { text, words, .. })) => {
                let alone = kind == Kind::Organisation;
                for word in self.rarest(index, words, 2) {
                    push("=", word, alone);
                }
                if alone {
                    let start: String = text.chars().filter(|letter| !letter.is_whitespace()).take(6).collect();
                    push("^", &start, true);
                }
            }
            (Kind::Street, Form::Words(Words { words, number, .. })) => {
                for word in self.rarest(index, words, 2) {
                    push("=", &format!("{word} {}", number.as_deref().unwrap_or_default()), true);
                }
            }
            (Kind::Locality, Form::Words(Words { sound, .. })) => push("~", sound, false),
            (Kind::Email, Form::Mail { local, domain, personal }) => {
                if *personal {
                    // The whole address of a short name; of a longer one the name alone says as much.
                    if local.chars().count() >= 5 {
                        push("<", local, true);
                    } else {
                        push("=", &format!("{local}@{domain}"), true);
                    }
                }
                if !normal::is_shared(domain) {
                    push("@", domain, true);
                }
            }
            (Kind::Phone, Form::Code(digits)) => push("=", digits.get(digits.len().saturating_sub(7)..).unwrap_or_default(), true),
            (Kind::TaxId, Form::Code(id)) => halves(normal::national_tax_id(id), &mut push),
            (Kind::Identifier, Form::Code(id)) => halves(id, &mut push),
            (Kind::Website, Form::Code(host)) => push("=", host, true),
            (Kind::Date, Form::Day(day)) => {
                push("=", day, true);
                // Day and month the other way round are in one block.
                let (year, rest) = day.split_at(4.min(day.len()));
                let (month, day) = rest.split_at(2.min(rest.len()));
                push("/", &format!("{year}{}{}", month.min(day), month.max(day)), true);
            }
            (Kind::Postcode, Form::Code(code)) => push("=", code, false),
            (Kind::HouseNumber, Form::Code(number)) => push("=", number, false),
            _ => {}
        }
    }

    /// Fields whose values may stand in one another share their blocks.
    fn tag(&self, index: usize) -> usize {
        let sibling = self.fields().get(index).and_then(|field| field.swaps_with);
        let back = self.fields().iter().position(|field| field.swaps_with == Some(index));
        [Some(index), sibling, back].into_iter().flatten().min().unwrap_or(index)
    }
}

/// Both halves of a number, so that one wrong digit leaves one of them; a short number as a whole.
fn halves(id: &str, push: &mut impl FnMut(&str, &str, bool)) {
    let letters: Vec<char> = id.chars().collect();
    if letters.len() < 6 {
        push("=", id, true);
        return;
    }
    let half = letters.len() / 2;
    push("<", &letters.iter().take(half + 1).collect::<String>(), true);
    push(">", &letters.iter().skip(half).collect::<String>(), true);
}

/// The finer blocks of a block: with the values of other fields, first of those that tell most.
fn finer(atom: &Atom, atoms: &[Atom]) -> Vec<String> {
    let mut finer = Vec::new();
    let mut fields = BTreeSet::new();
    for other in atoms.iter().filter(|other| other.field != atom.field) {
        if finer.len() < MAX_FINER && fields.insert(other.field) {
            finer.push(both(atom, other));
        }
    }
    finer
}

/// The block of two values, the same whichever comes first.
fn both(one: &Atom, other: &Atom) -> String {
    let (first, second) = if one.value <= other.value { (one, other) } else { (other, one) };
    format!("{}\u{2}{}", first.value, second.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::estimate::Index;
    use crate::matching::rules::CompareField;
    use crate::matching::weights::Weights;

    fn scorer() -> Scorer {
        let field = |name: &str, kind| CompareField { name: name.to_owned(), kind, columns: Default::default(), swaps_with: None };
        let fields = [
            field("name", Kind::Organisation),
            field("postcode", Kind::Postcode),
            field("phone", Kind::Phone),
            field("e-mail", Kind::Email),
            field("tax id", Kind::TaxId),
        ];
        Scorer::of(&fields, &Weights::default())
    }

    fn keys(texts: [&str; 5]) -> Vec<BlockKey> {
        let scorer = scorer();
        scorer.block_keys(&Prepared::from_texts(scorer.fields(), texts))
    }

    fn found(index: &mut Index, texts: [&str; 5]) -> Found<usize> {
        let Ok(found) = candidates(&keys(texts), index);
        found
    }

    #[test]
    fn records_that_share_any_telling_value_meet() {
        let mut index = Index::default();
        index.add(&keys(["Acme Widgets GmbH", "10115", "030 1234567", "dana@acme.example", "DE123456788"]), 7);
        for texts in [
            ["Widgets Acme", "", "", "", ""],
            ["", "", "+49 30 1234567", "", ""],
            ["", "", "", "bob@acme.example", ""],
            ["", "", "", "", "DE123456999"],
        ] {
            assert_eq!(found(&mut index, texts).members, [7], "{texts:?}");
        }
        assert!(found(&mut index, ["Zenith", "10115", "", "info@gmail.com", "n/a"]).members.is_empty());
    }

    #[test]
    fn a_full_block_sends_later_records_to_its_finer_ones() {
        let mut index = Index::default();
        for at in 0..3 * BLOCK_CAP {
            index.add(&keys(["Acme", &format!("{:05}", 10_000 + at), "", "", ""]), at);
        }
        let last = 3 * BLOCK_CAP - 1;
        let found = found(&mut index, ["Acme", &format!("{:05}", 10_000 + last), "", "", ""]);
        assert!(found.full > 0 && found.members.len() <= MAX_CANDIDATES);
        assert_eq!(found.members.first(), Some(&last), "the one whose postcode agrees as well");
    }

    #[test]
    fn keys_have_an_order_and_no_repeats() {
        let texts = ["Acme Acme Widgets", "10115", "030 1234567", "dana@acme.example", "DE123456788"];
        assert_eq!(keys(texts), keys(texts));
        let values: BTreeSet<String> = keys(texts).into_iter().map(|key| key.value).collect();
        assert_eq!(values.len(), keys(texts).len());
    }
}
