//! What people ask for beside edits and conflicts, drawn from a stream of its own: who asks for nothing has the same run as
//! before.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use schemas::message::Side;

use super::super::shape::Kind;
use super::{Event, Timed};

/// What people are asked in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(in super::super) struct Wishes {
    /// Which records are one.
    pub(in super::super) matches: bool,
    /// Whether a record is made.
    pub(in super::super) creates: bool,
    /// What becomes of won opportunities.
    pub(in super::super) orders: Orders,
    /// Whether what was written or settled is to stand.
    pub(in super::super) undos: bool,
}

/// What becomes of won opportunities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(in super::super) enum Orders {
    /// There are none.
    #[default]
    None,
    /// They become orders when a person says so.
    ByHand,
    /// They become orders.
    Auto,
}

impl Wishes {
    pub(in super::super) const NONE: Self = Self { matches: false, creates: false, orders: Orders::None, undos: false };

    /// As far as the mapping has a part in it.
    pub(in super::super) const fn mapped(self) -> Self {
        Self { undos: false, ..self }
    }

    /// Every combination that the mapping has a part in.
    pub(in super::super) fn all() -> impl Iterator<Item = Self> {
        let orders = [Orders::None, Orders::ByHand, Orders::Auto];
        let both = [false, true];
        both.into_iter().flat_map(move |matches| {
            let orders = orders.into_iter();
            both.into_iter().flat_map(move |creates| orders.clone().map(move |orders| Self { matches, creates, orders, undos: false }))
        })
    }
}

/// A person asks for something, or makes it needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Wish {
    /// A record is made with the number of another one.
    Twin { side: Side, kind: Kind, of: Side, record: u32, number: u32 },
    /// A record is given the number of another one.
    Renumber { side: Side, kind: Kind, record: u32, other: u32 },
    /// A customer is made or changed so that it resembles others.
    Label { side: Side, record: u32, label: u8, tag: u8, number: Option<u32> },
    /// An open question about two records is answered.
    Answer { which: u32, same: bool, number: u32, twice: bool },
    /// Two records that nobody asked about are said to be one, or two.
    Say { one: u32, other: u32, same: bool, number: u32 },
    /// A record is said not to belong to its entity.
    Split { which: u32, side: Side, number: u32, twice: bool },
    /// What was said of a match is taken back.
    TakeBack { which: u32, number: u32, twice: bool },
    /// A record is to be made on a side, or not to be.
    Make { which: u32, side: Side, make: bool, number: u32, twice: bool },
    /// An opportunity is made.
    Opportunity { customer: u32, won: bool, number: u32 },
    /// An opportunity is won or lost.
    Close { which: u32, won: bool },
    /// An opportunity goes to another customer.
    Move { which: u32, customer: u32 },
    /// An opportunity is deleted.
    Drop { which: u32 },
    /// An opportunity is to become an order.
    Convert { which: u32, number: u32, twice: bool },
    /// A write is taken back.
    Undo { which: u32, force: bool, number: u32, twice: bool },
    /// The value that lost in a settled conflict is to stand.
    Restore { which: u32, number: u32, twice: bool },
    /// A settled conflict is opened again.
    Reopen { which: u32, number: u32, twice: bool },
}

/// What people are asked under a seed, and a script in which they answer.
pub(super) fn draw(seed: u64, script: &mut [Timed]) -> Wishes {
    let mut random = StdRng::seed_from_u64(seed ^ 0x0a5c_ed00_0000_0000);
    let orders = match random.random_range(0..10) {
        0 => Orders::ByHand,
        1 | 2 => Orders::Auto,
        _ => Orders::None,
    };
    let creates = random.random_bool(0.25);
    let apart = |stream: u64, chance| StdRng::seed_from_u64(seed ^ stream).random_bool(chance);
    let wishes = Wishes { matches: apart(0x0a1c_0000_0000_0000, 0.3), creates, orders, undos: apart(0x0bac_0000_0000_0000, 0.25) };
    if wishes == Wishes::NONE {
        return wishes;
    }
    for (index, timed) in script.iter_mut().enumerate() {
        let chance = random.random_bool(0.06);
        let wish = one(&mut random, wishes, 5000 + u32::try_from(index).unwrap_or(0));
        if matches!(timed.event, Event::Step(..)) && chance {
            timed.event = Event::Wish(wish);
        }
    }
    wishes
}

fn one(random: &mut StdRng, wishes: Wishes, number: u32) -> Wish {
    let kinds = [wishes.matches, wishes.creates, wishes.orders != Orders::None, wishes.undos];
    let which = kinds.iter().enumerate().filter(|(_, on)| **on).nth(random.random_range(0..kinds.iter().filter(|on| **on).count()));
    match which {
        Some((0, _)) => a_match(random, number),
        Some((1, _)) => Wish::Make {
            which: random.random_range(0..8),
            side: side(random),
            make: random.random_bool(0.6),
            number,
            twice: random.random_bool(0.2),
        },
        Some((2, _)) => an_order(random, number),
        _ => an_undo(random, number),
    }
}

fn an_undo(random: &mut StdRng, number: u32) -> Wish {
    let (which, twice) = (random.random_range(0..16), random.random_bool(0.2));
    match random.random_range(0..4) {
        0 => Wish::Restore { which, number, twice },
        1 => Wish::Reopen { which, number, twice },
        _ => Wish::Undo { which, force: random.random_bool(0.3), number, twice },
    }
}

fn side(random: &mut StdRng) -> Side {
    if random.random_bool(0.5) { Side::Crm } else { Side::Erp }
}

fn a_match(random: &mut StdRng, number: u32) -> Wish {
    let kind = if random.random_bool(0.8) { Kind::Customer } else { Kind::Contact };
    let twice = random.random_bool(0.2);
    let which = random.random_range(0..8);
    match random.random_range(0..20) {
        0 | 1 => Wish::Twin { side: side(random), kind, of: side(random), record: which, number },
        2 => Wish::Renumber { side: side(random), kind, record: which, other: random.random_range(0..8) },
        3..=5 => {
            let number = random.random_bool(0.5).then_some(number);
            Wish::Label { side: side(random), record: which, label: random.random_range(0..4), tag: random.random_range(0..3), number }
        }
        6..=11 => Wish::Answer { which, same: random.random_bool(0.5), number, twice },
        12 => Wish::Say { one: which, other: random.random_range(0..8), same: random.random_bool(0.7), number },
        13..=15 => Wish::Split { which, side: side(random), number, twice },
        _ => Wish::TakeBack { which, number, twice },
    }
}

fn an_order(random: &mut StdRng, number: u32) -> Wish {
    let which = random.random_range(0..6);
    match random.random_range(0..12) {
        0..=2 => Wish::Opportunity { customer: random.random_range(0..8), won: random.random_bool(0.3), number },
        3..=6 => Wish::Close { which, won: random.random_bool(0.75) },
        7 => Wish::Move { which, customer: random.random_range(0..8) },
        8 if random.random_bool(0.3) => Wish::Drop { which },
        _ => Wish::Convert { which, number, twice: random.random_bool(0.3) },
    }
}
