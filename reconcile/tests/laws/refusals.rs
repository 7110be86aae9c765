//! What targets refuse for good on the way, and people try again whenever they like.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use reconcile::mapping::{EntityMapping, Pair, Side};
use reconcile::merge::{DecisionResult, Demand};

use super::{Happening, happen, happening, manner, manners, policy, side};
use crate::auditor;
use crate::stories::ask;
use crate::world::{World, mapping};

const AGAIN: Demand = Demand::Retry { side: None };

#[derive(Debug, Clone)]
enum Step {
    Happens(Happening),
    /// The next write to a side is refused, though an earlier try may have carried it out.
    Refuse(Side),
    Again(Option<Side>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => happening().prop_map(Step::Happens),
        2 => side().prop_map(Step::Refuse),
        1 => prop::option::of(side()).prop_map(Step::Again),
    ]
}

fn take(world: &mut World, mapping: &EntityMapping, step: &Step, unique: &mut u32) {
    match step {
        Step::Happens(happening) => happen(world, mapping, happening, unique),
        Step::Refuse(side) => {
            if !world.systems[*side].checked {
                world.refuse(*side, "REFUSED");
            }
        }
        Step::Again(side) => {
            ask(world, mapping, Demand::Retry { side: *side }, false);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, rng_seed: RngSeed::Fixed(20_261_123), failure_persistence: None, ..ProptestConfig::default() })]

    /// P1 and P2: once nothing is refused any more and what was is tried again, nothing is lost and both sides agree.
    #[test]
    fn what_was_refused_comes_to_agree_when_it_is_tried_again(
        policy in policy(), crm in manner(), erp in manner(), story in vec(step(), 1..40),
    ) {
        let mapping = mapping(policy);
        let mut world = World::agreed(&mapping, manners(Pair { crm, erp }));
        let mut unique = 0;
        for step in &story {
            take(&mut world, &mapping, step, &mut unique);
        }
        world.settle(&mapping);
        let stands = |world: &World| world.state.fields.values().any(|field| field.failed.is_some() && field.held_by.is_none());
        let refused = stands(&world);
        let answer = ask(&mut world, &mapping, AGAIN, false);
        prop_assert_eq!(answer, if refused { DecisionResult::Accepted } else { DecisionResult::Unchanged });
        world.settle(&mapping);
        prop_assert!(!stands(&world), "{:#?}", world.state.fields);
        let wrong = auditor::at_rest(&world);
        prop_assert!(wrong.is_empty(), "{:#?}", wrong);
    }
}
