//! Bugs planted on purpose, to show that the auditor can fail.

/// A planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Plant {
    /// The target writes whatever stands there.
    IgnorePreconditions,
    /// After a crash the capture goes on one change too late.
    SkipAfterCrash,
    /// The capture commits its position before the data.
    PositionFirst,
    /// A create is not keyed by the entity id.
    CreateUnkeyed,
    /// The ERP keeps no ledger.
    NoLedger,
    /// A gap in the stream is passed over.
    ForgetGap,
    /// A change that the stream repeats is put on the log again.
    KeepRepeats,
    /// What an answered write should have led to is read again at the usual time, however far behind the stream is.
    HastyReads,
}

impl Plant {
    /// Those that must be caught soon. The others are caught seldom or not at all: preconditions and the entity id guard an ERP
    /// without its ledger, and most repeats change nothing.
    pub const ALL: [Self; 5] = [Self::IgnorePreconditions, Self::SkipAfterCrash, Self::PositionFirst, Self::CreateUnkeyed, Self::ForgetGap];
}
