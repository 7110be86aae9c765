//! Bugs planted on purpose, each one line in the code that it spoils, to show that the proofs can fail.
//!
//! ```text
//! if planted::on(Bug::SettleOnAnswer) { … }      in reconcile, processors, sinks, stream and the simulated systems
//! ```
//!
//! At most one is on, for one thread, and only in builds with debug assertions (tests and `make proof`): in a release build
//! [`on`] is a constant, and nothing of them is left. `docs/proof.md` says which proof catches which, and how soon; a test
//! holds it to that.

#[cfg(debug_assertions)]
use std::cell::Cell;

macro_rules! bugs {
    ($($(#[doc = $what:literal])+ $name:ident = ($word:literal, $place:literal),)*) => {
        /// A planted bug.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Bug {
            $($(#[doc = $what])+ $name,)*
        }

        impl Bug {
            /// All of them, from left to right in the data.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name in documents and on the command line.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $word),* }
            }

            /// The crate whose code it spoils.
            pub const fn place(self) -> &'static str {
                match self { $(Self::$name => $place),* }
            }

            /// What it does, in words.
            pub const fn what(self) -> &'static str {
                match self { $(Self::$name => concat!($($what),+)),* }
            }
        }
    };
}

bugs! {
    /// After a crash the capture goes on one change too late.
    SkipAfterCrash = ("skip-after-crash", "capture"),
    /// The capture commits its position before the data.
    PositionFirst = ("position-first", "capture"),
    /// A gap in the stream is passed over.
    ForgetGap = ("forget-gap", "capture"),
    /// After an expired position the stream is read on from where it starts, as if nothing were missing.
    ExpiredAsDone = ("expired-as-done", "capture"),
    /// A copy says nothing of the records that are gone.
    CopyWithoutDeletes = ("copy-without-deletes", "capture"),
    /// An old change that the stream repeats is put on the log again.
    KeepRepeats = ("keep-repeats", "capture"),

    /// A producer that was replaced may still commit.
    IgnoreFencing = ("ignore-fencing", "stream"),
    /// A transaction's offsets are not committed with it.
    ForgetOffsets = ("forget-offsets", "stream"),
    /// A partition that changes hands is read on one record too late.
    SkipAfterRebalance = ("skip-after-rebalance", "stream"),
    /// What a transaction wrote is in the log although it was refused.
    TornTransaction = ("torn-transaction", "stream"),
    /// Compaction keeps the oldest value of a key.
    CompactToOldest = ("compact-to-oldest", "stream"),

    /// State is not written to its changelog.
    SkipChangelog = ("skip-changelog", "processors"),
    /// Offsets are committed before outputs.
    OffsetsFirst = ("offsets-first", "processors"),
    /// Local state is changed before the log has committed.
    StateFirst = ("state-first", "processors"),
    /// Local state that lags behind its changelog is taken as it is.
    RestoreWithoutTail = ("restore-without-tail", "processors"),
    /// State of a partition that was somebody else's meanwhile is taken as it was left.
    KeepStaleState = ("keep-stale-state", "processors"),
    /// The last record of each batch is not processed.
    SkipLastOfBatch = ("skip-last-of-batch", "processors"),

    /// Records are made on the other side before its first copy is there.
    CreateBeforeCopy = ("create-before-copy", "matcher"),
    /// Entities that waited for the first copies are not told of their end.
    ForgetWaiting = ("forget-waiting", "matcher"),
    /// The entity id that a record carries is not looked at.
    IgnoreEntityId = ("ignore-entity-id", "matcher"),
    /// Match keys are not looked up.
    IgnoreKeys = ("ignore-keys", "matcher"),
    /// A change replaces all that is known of a row by what it carries.
    ForgetUnchanged = ("forget-unchanged", "matcher"),
    /// Deletes are not said to anybody.
    DropDeletes = ("drop-deletes", "matcher"),
    /// Children are not told that their parent has a record on the other side.
    ForgetChildren = ("forget-children", "matcher"),
    /// What waits for a parent is not looked at when the parent comes.
    ForgetOrphans = ("forget-orphans", "matcher"),

    /// A write ends when it is answered, not when its target shows it.
    SettleOnAnswer = ("settle-on-answer", "reconcile"),
    /// A change under our name is not looked at.
    CompareByOrigin = ("compare-by-origin", "reconcile"),
    /// The base is one value, not a pair.
    ForgetBasePair = ("forget-base-pair", "reconcile"),
    /// An edit between a write's being sent and shown is forgotten.
    ForgetBetween = ("forget-between", "reconcile"),
    /// What a change says of the write that made it is not looked at.
    IgnoreWriteIds = ("ignore-write-ids", "reconcile"),
    /// An edit that our write overtook is not put on record.
    OvertakenUnrecorded = ("overtaken-unrecorded", "reconcile"),
    /// A settled conflict is not put on record.
    LoserUnrecorded = ("loser-unrecorded", "reconcile"),
    /// A tie goes to the other side.
    TieWrongWay = ("tie-wrong-way", "reconcile"),
    /// Times within the skew are compared as if they could be.
    IgnoreSkew = ("ignore-skew", "reconcile"),
    /// The older edit wins.
    OlderWins = ("older-wins", "reconcile"),
    /// The rule that asks a person is not looked at.
    IgnoreReviewWhen = ("ignore-review-when", "reconcile"),
    /// A value is written where its field never travels to.
    IgnoreDirection = ("ignore-direction", "reconcile"),
    /// A field is written while a person is asked about it.
    WriteWhileHeld = ("write-while-held", "reconcile"),
    /// A field is written while a write of it is on its way.
    WriteWhileInFlight = ("write-while-in-flight", "reconcile"),
    /// Two writes have one number.
    ReuseWriteNumber = ("reuse-write-number", "reconcile"),
    /// A write expects nothing of its target.
    ExpectNothing = ("expect-nothing", "reconcile"),
    /// A settled conflict's value is never carried across.
    DropResolution = ("drop-resolution", "reconcile"),
    /// A settled conflict's value is carried over newer edits.
    ResolutionOverEdits = ("resolution-over-edits", "reconcile"),
    /// A decision that is repeated is carried out again.
    DecideAgain = ("decide-again", "reconcile"),
    /// A decision for one side takes the other side's value.
    DecideForOther = ("decide-for-other", "reconcile"),
    /// What differs when two records meet counts as agreed.
    AgreeAtFirst = ("agree-at-first", "reconcile"),
    /// Edits that go with a deleted record are not put on record.
    LostWithRecord = ("lost-with-record", "reconcile"),
    /// A record that is just being made is made again.
    CreateAgain = ("create-again", "reconcile"),

    /// A write's answer is published after its offset is committed.
    OffsetsBeforeAnswers = ("offsets-before-answers", "sinks"),
    /// Offsets are committed past writes that have no answer yet.
    SkipUnanswered = ("skip-unanswered", "sinks"),
    /// A batch's outcomes are cut after the first.
    CutOutcomes = ("cut-outcomes", "sinks"),
    /// A batch that was carried out in part is acknowledged as a whole.
    PartialAsWhole = ("partial-as-whole", "sinks"),
    /// A rejected write is answered as applied.
    RejectedAsApplied = ("rejected-as-applied", "sinks"),
    /// A row that is locked is given up at once.
    GiveUpAtOnce = ("give-up-at-once", "sinks"),

    /// The ERP's row is written whatever it holds.
    ErpOverwrites = ("erp-overwrites", "target"),
    /// The ERP keeps no ledger.
    NoLedger = ("no-ledger", "target"),
    /// A create is not keyed by the entity id.
    CreateUnkeyed = ("create-unkeyed", "target"),
}

impl Bug {
    /// The bug of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|bug| bug.name() == name)
    }
}

#[cfg(debug_assertions)]
thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Whether bugs can be planted in this build.
pub const AVAILABLE: bool = cfg!(debug_assertions);

/// Plants a bug for this thread, instead of the one before; none takes it out.
#[cfg(debug_assertions)]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Does nothing: this build has no bugs to plant.
#[cfg(not(debug_assertions))]
pub const fn plant(_bug: Option<Bug>) {}

/// Whether a bug is planted on this thread.
#[cfg(debug_assertions)]
#[must_use]
pub fn on(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Never: this build has no bugs to plant.
#[cfg(not(debug_assertions))]
#[must_use]
pub const fn on(_bug: Bug) -> bool {
    false
}
