//! What happens in a run, as a list that can be replayed, shortened and read. Everything is drawn here, from one seed;
//! nothing is drawn while the run goes on, so that leaving an event out leaves the others as they are.

mod wish;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use schemas::message::Side;

use super::mapping;
use super::shape::{FIELDS, Kind};
use super::system::{Edit, Manner};

pub(super) use wish::{Orders, Wish, Wishes};

/// Who takes part, in the order of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    CaptureCrm,
    CaptureErp,
    Matcher,
    StandbyMatcher,
    Reconciler,
    OtherReconciler,
    SinkCrm,
    SinkErp,
}

impl Who {
    pub(super) const ALL: [Self; 8] = [
        Self::CaptureCrm,
        Self::CaptureErp,
        Self::Matcher,
        Self::StandbyMatcher,
        Self::Reconciler,
        Self::OtherReconciler,
        Self::SinkCrm,
        Self::SinkErp,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::CaptureCrm => "ingest.crm",
            Self::CaptureErp => "ingest.erp",
            Self::Matcher => "matcher-0",
            Self::StandbyMatcher => "matcher-1",
            Self::Reconciler => "reconciler-0",
            Self::OtherReconciler => "reconciler-1",
            Self::SinkCrm => "sink.crm",
            Self::SinkErp => "sink.erp",
        }
    }

    /// Its group, if it is a member of one.
    pub(super) const fn group(self) -> Option<&'static str> {
        match self {
            Self::CaptureCrm | Self::CaptureErp => None,
            Self::Matcher | Self::StandbyMatcher => Some("matcher"),
            Self::Reconciler | Self::OtherReconciler => Some("reconciler"),
            Self::SinkCrm => Some("sink.crm"),
            Self::SinkErp => Some("sink.erp"),
        }
    }

    /// The kind of fault that its crash is.
    pub(super) const fn crash(self) -> &'static str {
        match self {
            Self::CaptureCrm | Self::CaptureErp => "crash_ingest",
            Self::Matcher | Self::StandbyMatcher => "crash_matcher",
            Self::Reconciler | Self::OtherReconciler => "crash_reconciler",
            Self::SinkCrm | Self::SinkErp => "crash_sink",
        }
    }
}

/// Something goes wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    /// A process ends where it stands, and is started again.
    Crash(Who),
    /// All of them end.
    CrashAll,
    /// A process ends, and its disk is lost with it.
    LoseDisk(Who),
    /// A process stands still, another of its name is started, and the old one wakes up later.
    Zombie(Who),
    /// The log refuses a commit.
    RefuseCommit(Who),
    /// The log refuses a poll.
    RefusePoll(Who),
    /// A commit takes effect and its answer is lost.
    LoseAnswer(Who),
    /// The log's disk is full for so many events.
    DiskFull(u8),
    /// What is committed is not shown to anybody for so many events.
    Delay(u8),
    /// The records of one partition come so many polls later than the others.
    Reorder(Who, u8),
    /// A process is so slow that it does nothing for so many events.
    Slow(Who, u8),
    /// A group's partitions are shared out anew.
    Rebalance(u8),
    /// A group's members lose their partitions at once.
    Evict(u8),
    /// A process stands still for so many events, so that its group takes its partitions away.
    Stall(Who, u8),
    /// A system's stream delivers so many changes again.
    Repeat(Side, u8),
    /// A system's stream says only that something happened.
    Gap(Side),
    /// A system no longer has the part of its stream that was not read yet.
    Expire(Side),
    /// The same, and the last that happened in it was that somebody deleted a record.
    ExpireAfterDelete(Side, Kind, u32),
    /// A system's clock jumps, microseconds.
    Jump(Side, i64),
    /// A system does not answer so many calls.
    Down(Side, u8),
    /// A system does what it is told, and its answer is lost.
    TargetLosesAnswer(Side),
    /// The same, and before the sink tries again somebody puts back what stood there.
    PutBack,
    /// Some rows of the next batch are locked.
    Partial(Side, u8),
    /// Somebody edits what is just being written.
    Race(Edit),
    /// The mapping is changed: other policies, a new version.
    Configure(u8),
    /// The log is compacted.
    Compact,
}

/// Something happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Event {
    /// A process makes so many calls.
    Step(Who, u8),
    /// The process that was thought dead makes so many calls.
    Wake(u8),
    /// A person edits a field.
    Edit(Edit),
    /// A person makes a record.
    Create(Side, Kind, u32),
    /// A person deletes a record.
    Delete(Side, Kind, u32),
    /// A person deletes a record while another edits its counterpart.
    Clash(Side, Kind, u32, u32),
    /// A person brings a deleted record back.
    Undelete(Side, u32),
    /// A person merges two customers of the CRM: winner, loser.
    Merge(u32, u32),
    /// A person decides an open conflict: the CRM's value, the ERP's, another, each its own; twice if so; or a settled one, too late.
    Decide { which: u32, choice: u8, number: u32, twice: bool, late: bool },
    /// A person asks for something else.
    Wish(Wish),
    /// Something goes wrong.
    Fault(Fault),
}

/// An event and the time that passes before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Timed {
    pub(super) after: i64,
    pub(super) event: Event,
}

/// What stands before anything happens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setup {
    pub(super) manners: [Manner; 2],
    pub(super) skews: [i64; 2],
    pub(super) mapping: u8,
    /// Customers on both sides, on the CRM's only, on the ERP's only.
    pub(super) customers: [u32; 3],
    /// Contacts, likewise.
    pub(super) contacts: [u32; 3],
    /// Most changes that the captures put into one transaction, and most records that processors take.
    pub(super) batches: [usize; 2],
    /// Fields that people edit, by bit; few make conflicts likely.
    pub(super) fields: u16,
    pub(super) markers: bool,
    /// People delete, too.
    pub(super) deletes: bool,
    /// What people are asked.
    pub(super) wishes: Wishes,
}

const SECOND: i64 = 1_000_000;

/// What stands and what happens under a seed.
pub(super) fn draw(seed: u64, events: usize) -> (Setup, Vec<Timed>) {
    let mut random = StdRng::seed_from_u64(seed ^ 0x00c0_4c04_d000_0000);
    let mut setup = setup(&mut random);
    let calm = random.random_bool(0.1);
    let mut script: Vec<Timed> =
        (0..events).map(|index| draw_event(&mut random, &setup, u32::try_from(index).unwrap_or(u32::MAX), calm)).collect();
    setup.wishes = wish::draw(seed, &mut script);
    (setup, script)
}

fn setup(random: &mut StdRng) -> Setup {
    let manner = |random: &mut StdRng| Manner { cut: random.random_bool(0.3).then_some(14), trigger: random.random_bool(0.15) };
    let skew = |random: &mut StdRng| if random.random_bool(0.4) { random.random_range(-5 * SECOND..5 * SECOND) } else { 0 };
    Setup {
        manners: [manner(random), manner(random)],
        skews: [skew(random), skew(random)],
        mapping: number_of_mapping(random),
        customers: [random.random_range(1..3), random.random_range(0..2), random.random_range(0..2)],
        contacts: [random.random_range(0..2), random.random_range(0..2), random.random_range(0..2)],
        batches: [random.random_range(1..8), random.random_range(1..12)],
        fields: some_fields(random),
        markers: random.random_bool(0.5),
        deletes: random.random_bool(0.5),
        wishes: Wishes::NONE,
    }
}

fn number_of_mapping(random: &mut StdRng) -> u8 {
    u8::try_from(random.random_range(0..mapping::COUNT)).unwrap_or(0)
}

fn some_fields(random: &mut StdRng) -> u16 {
    let count = random.random_range(1..=FIELDS.len());
    (0..count).fold(0, |fields, _| fields | 1 << random.random_range(0..FIELDS.len()))
}

fn draw_event(random: &mut StdRng, setup: &Setup, index: u32, calm: bool) -> Timed {
    let after = match random.random_range(0..10) {
        0 => random.random_range(SECOND..20 * SECOND),
        1..=3 => random.random_range(100_000..SECOND),
        _ => random.random_range(0..20_000),
    };
    let number = 1000 + index;
    let event = match random.random_range(0..1000) {
        0..=719 => Event::Step(who(random), random.random_range(1..=7)),
        720..=739 => Event::Wake(random.random_range(1..=9)),
        740..=869 => Event::Edit(edit(random, setup, number)),
        870..=876 => Event::Create(side(random), kind(random), number),
        877..=884 if setup.deletes => match random.random_range(0..10) {
            0..=2 => Event::Delete(side(random), kind(random), random.random_range(0..6)),
            3 | 4 => Event::Clash(side(random), kind(random), random.random_range(0..6), number),
            5..=8 => Event::Undelete(side(random), random.random_range(0..6)),
            _ => Event::Merge(random.random_range(0..6), random.random_range(0..6)),
        },
        877..=884 => Event::Edit(edit(random, setup, number)),
        885..=909 => {
            let (which, choice) = (random.random_range(0..8), random.random_range(0..4));
            Event::Decide { which, choice, number, twice: random.random_bool(0.3), late: random.random_bool(0.2) }
        }
        _ if calm => Event::Step(who(random), 7),
        _ => Event::Fault(fault(random, setup, number)),
    };
    Timed { after, event }
}

fn who(random: &mut StdRng) -> Who {
    Who::ALL[random.random_range(0..Who::ALL.len())]
}

fn side(random: &mut StdRng) -> Side {
    if random.random_bool(0.5) { Side::Crm } else { Side::Erp }
}

fn kind(random: &mut StdRng) -> Kind {
    if random.random_bool(0.6) { Kind::Customer } else { Kind::Contact }
}

fn edit(random: &mut StdRng, setup: &Setup, number: u32) -> Edit {
    let count = setup.fields.count_ones().max(1);
    let wanted = random.random_range(0..count);
    let field = (0..FIELDS.len()).filter(|field| setup.fields >> field & 1 == 1).nth(wanted as usize).unwrap_or(0);
    Edit { side: side(random), record: random.random_range(0..6), field, number }
}

fn fault(random: &mut StdRng, setup: &Setup, number: u32) -> Fault {
    match random.random_range(0..31) {
        0..=2 => Fault::Crash(who(random)),
        3 => Fault::CrashAll,
        4 => Fault::LoseDisk(who(random)),
        5 => Fault::Zombie(who(random)),
        6 => Fault::RefuseCommit(who(random)),
        7 => Fault::RefusePoll(who(random)),
        8 | 9 => Fault::LoseAnswer(who(random)),
        10 => Fault::DiskFull(random.random_range(1..12)),
        11 => Fault::Delay(random.random_range(1..12)),
        12 => Fault::Reorder(who(random), random.random_range(1..4)),
        13 => Fault::Slow(who(random), random.random_range(5..40)),
        14 => Fault::Rebalance(random.random_range(0..4)),
        15 => Fault::Evict(random.random_range(0..4)),
        16 | 28 => Fault::Repeat(side(random), random.random_range(1..12)),
        29 | 30 => Fault::Stall(who(random), random.random_range(10..40)),
        17 => Fault::Gap(side(random)),
        18 if setup.deletes && random.random_bool(0.5) => Fault::ExpireAfterDelete(side(random), kind(random), random.random_range(0..6)),
        18 => Fault::Expire(side(random)),
        19 => Fault::Jump(side(random), random.random_range(-10 * SECOND..10 * SECOND)),
        20 => Fault::Down(side(random), random.random_range(1..4)),
        21 => Fault::TargetLosesAnswer(side(random)),
        22 => Fault::Partial(side(random), random.random()),
        23 | 24 => Fault::Race(edit(random, setup, number)),
        25 => Fault::PutBack,
        26 => Fault::Compact,
        _ => Fault::Configure(number_of_mapping(random)),
    }
}
