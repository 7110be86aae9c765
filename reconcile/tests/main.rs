//! What the core promises, shown on systems that behave like real ones: each has its own commit order, checks
//! preconditions when it commits, may alter what is written and may change other fields in the same transaction.

mod auditor;
mod bugs;
mod conversions;
mod exhaustive;
mod facts;
mod laws;
mod reference;
mod search;
mod stories;
mod world;
