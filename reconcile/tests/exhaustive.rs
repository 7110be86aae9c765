//! Every interleaving of the whole small world: two sides, up to three edits on two fields, a review that is decided either
//! way, with another value or by keeping both, one delete, one kill, one repeat, one lost answer, one time-out.
//!
//! What is left out, and why nothing is missed by it:
//!
//! - A kill of the task around the core. It commits its outputs, its state and its inputs' offsets together, so that what is
//!   lost is as if it had not happened yet: the state before, which is visited anyway. The same holds for capture and
//!   matching. A kill that shows is a sink's: its target has done what the log does not know of.
//! - Time but for its order: an edit is either too close to the one before it to be ordered, or well after it.
//! - What can make no difference any more; `search::normal` says what that is.
//!
//! All of it at once (the world asked for below) is 38 million states and more than a test should take, so the test visits the
//! worlds in [`WORLDS`]. They are three edits on two fields
//! with any two kinds of trouble, but for a delete among edits that is repeated, read early or answered in vain, which goes
//! with two edits; and two edits with every kind of trouble, on two fields where a delete is followed and on one where a
//! person is asked about it. `SMALL_WORLD` asks for others:
//!
//! ```text
//! SMALL_WORLD=3-111110-np-lr-delete cargo test -p reconcile exhaustive -- --nocapture
//!             │ │      │  │  └ what follows a delete: ignore, delete or ask
//!             │ │      │  └ policies of name and phone: l last_write, r review
//!             │ │      └ the fields that are edited: n name, p phone
//!             │ └ repeats, time-outs, lost answers, deletes, kills, and what is taken back (undo, restore, open again)
//!             └ edits
//! ```

use std::io::Write as _;

use reconcile::mapping::{DeletePolicy, Pair, Policy};

use crate::search::{Budget, Order, Search, manners};
use crate::world::{self, World};

const WORLDS: &[&str] = &[
    "3-110000-np-lr-ignore",
    "3-101000-np-lr-ignore",
    "3-100010-np-lr-ignore",
    "3-011000-np-lr-ignore",
    "3-010010-np-lr-ignore",
    "3-001010-np-lr-ignore",
    "3-000110-np-lr-delete",
    "2-111110-np-lr-delete",
    "2-111110-p-lr-ask",
];

/// States of a world that is asked for.
const MOST: usize = 200_000_000;

/// Visits the world of a name, as above; says how many states there are.
fn visit(name: &str) -> usize {
    let parts: Vec<&str> = name.split('-').collect();
    let [edits, faults, edited, policies, delete] = parts.as_slice() else { panic!("{name} has not five parts") };
    let numbers: Vec<u8> = edits.bytes().chain(faults.bytes()).map(|byte| byte.saturating_sub(b'0')).collect();
    let [edits, repeats, timeouts, lost_answers, deletes, kills, takebacks] = numbers[..] else { panic!("{name} lacks numbers") };
    let budget = Budget { edits, repeats, timeouts, lost_answers, deletes, kills, takebacks };
    let mut mapping = world::mapping(Policy::LastWrite);
    for (field, policy) in mapping.fields.iter_mut().zip(policies.chars()) {
        field.policy = if policy == 'r' { Policy::Review } else { Policy::LastWrite };
    }
    let policy = match *delete {
        "ignore" => DeletePolicy::Ignore,
        "delete" => DeletePolicy::Delete,
        "ask" => DeletePolicy::Ask,
        other => panic!("{other} is no delete policy"),
    };
    mapping.delete = Pair { crm: policy, erp: policy };
    let fields: &[&str] = match *edited {
        "n" => &["name"],
        "p" => &["phone"],
        _ => &["name", "phone"],
    };
    let search = Search { name, mapping: &mapping, budget, fields, loops: false, order: Order::Depth, most: MOST };
    search.print(World::agreed(&mapping, manners()))
}

#[test]
fn every_interleaving_of_the_small_world_keeps_the_promises() {
    #[expect(clippy::disallowed_methods, reason = "a larger world is asked for by hand")]
    let asked = std::env::var("SMALL_WORLD").ok();
    let worlds: Vec<&str> = asked.as_ref().map_or_else(|| WORLDS.to_vec(), |asked| asked.split(' ').collect());
    let total: usize = worlds.into_iter().map(visit).sum();
    let _ = writeln!(std::io::stdout(), "the small world: {total} states in all");
}
