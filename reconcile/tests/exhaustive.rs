//! Every interleaving of the whole small world: two sides, up to three edits on two fields, a review that is decided either
//! way or with another value, one delete, one kill, one repeat, one lost answer, one time-out.
//!
//! What is left out, and why nothing is missed by it:
//!
//! - A kill of the task around the core. It commits its outputs, its state and its inputs' offsets together, so that what is
//!   lost is as if it had not happened yet: the state before, which is visited anyway. The same holds for capture and
//!   matching. A kill that shows is a sink's: its target has done what the log does not know of.
//! - Time but for its order: an edit is either too close to the one before it to be ordered, or well after it.
//! - What was confirmed and answered so far, which `search` forgets after each step: only what takes something back looks at
//!   it, and nothing is taken back here.
//!
//! Bounds that remain: all faults together are tried with fewer edits than each alone, as the table in the test says; one
//! entity; a target that checks nothing at commit, cuts and has triggers is searched in `search` with fewer faults.

use std::io::Write as _;

use reconcile::mapping::{DeletePolicy, Pair, Policy};

use crate::search::{Budget, manners, search};
use crate::world;

const NONE: Budget = Budget { edits: 0, repeats: 0, timeouts: 0, lost_answers: 0, deletes: 0, kills: 0, takebacks: 0 };

/// Name, policies of the two fields, what follows a delete, what may happen, and which fields are edited.
type Setup = (&'static str, [Policy; 2], DeletePolicy, Budget, &'static [&'static str]);

const WORLDS: &[Setup] = {
    const ONE: [Policy; 2] = [Policy::LastWrite, Policy::Review];
    &[
        ("kill", ONE, DeletePolicy::Ignore, Budget { edits: 3, kills: 1, ..NONE }, &["name"]),
        ("kill, two fields", ONE, DeletePolicy::Ignore, Budget { edits: 2, kills: 1, ..NONE }, &["name", "phone"]),
        ("time-out", ONE, DeletePolicy::Ignore, Budget { edits: 2, timeouts: 1, ..NONE }, &["name", "phone"]),
        ("delete", ONE, DeletePolicy::Delete, Budget { edits: 2, deletes: 1, ..NONE }, &["name", "phone"]),
        ("repeat and lost answer", ONE, DeletePolicy::Ignore, Budget { edits: 2, repeats: 1, lost_answers: 1, ..NONE }, &["name", "phone"]),
        (
            "all at once",
            ONE,
            DeletePolicy::Delete,
            Budget { edits: 2, repeats: 1, timeouts: 1, lost_answers: 1, deletes: 1, kills: 1, ..NONE },
            &["name"],
        ),
        (
            "all at once, a review",
            [Policy::Review, Policy::LastWrite],
            DeletePolicy::Ignore,
            Budget { edits: 2, repeats: 1, timeouts: 1, lost_answers: 1, kills: 1, ..NONE },
            &["name"],
        ),
    ]
};

#[test]
fn every_interleaving_of_the_small_world_keeps_the_promises() {
    let mut total = 0;
    for (name, policies, delete, budget, fields) in WORLDS {
        let mut mapping = world::mapping(policies[0]);
        mapping.fields[1].policy = policies[1];
        mapping.delete = Pair { crm: *delete, erp: *delete };
        total += search(name, &mapping, manners(), *budget, fields, false);
    }
    let _ = writeln!(std::io::stdout(), "the small world: {total} states in all");
}
