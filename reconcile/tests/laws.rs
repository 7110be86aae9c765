//! What holds for every history, with the shortest counterexample when it does not.
//!
//! | law | held by |
//! | --- | --- |
//! | P1 no silent lost update, P2 convergence | `nothing_is_lost_and_both_sides_come_to_agree`, `search`, `exhaustive` |
//! | P3 no record or write twice | `an_edit_is_written_across_at_most_once`, `search` |
//! | P4 no loop | `what_comes_again_changes_nothing`, `an_edit_is_written_across_at_most_once` |
//! | 7: seen is what the stream showed, idle fields agree, one open write in flight, held fields have an open conflict | `the_reference_agrees_after_every_event` |
//! | 7: of two edits the policy takes one, the other is on record; a delete is followed as its policy says, or stands against an edit | `the_reference_agrees_after_every_event` |
//! | 7: a decision holds until somebody edits | `what_a_person_decides_holds_until_somebody_edits` |
//! | 7: what is undone stands as before, and is kept | `what_is_undone_stands_as_before_and_can_be_restored`, `search` |
//! | 7: what a target alters is not carried back | `what_the_target_alone_alters_is_not_carried_back` |
//! | 7: the same state and event give the same effects | `the_same_history_gives_the_same_state` |
//! | P1, P2, when targets refuse for good and that is tried again | `refusals` |
//! | 7: fields are settled apart | `changes_of_different_sides_and_fields_commute` |
//! | 7: aggregates agree with a recomputation | `sums_are_those_of_a_recomputation_from_scratch` |

mod refusals;

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use reconcile::Value;
use reconcile::aggregate::{self, Change, Entry, Fact, Key, Kind};
use reconcile::mapping::{DeletePolicy, EntityMapping, Pair, Policy, Side};
use reconcile::merge::{Choice, DecisionResult};
use rust_decimal::Decimal;

use crate::auditor;
use crate::reference;
use crate::stories::{ask, restore, undo};
use crate::world::{Manner, SECOND, World, mapping};

/// One thing that happens; the numbers choose among what is possible then.
#[derive(Debug, Clone)]
enum Happening {
    Edit { side: Side, field: &'static str, value: u8, seconds: u8 },
    Deliver(Side),
    Check(Side),
    Execute { side: Side, lost: bool },
    Answer,
    Repeat(Side),
    Decide(u8),
    Read(Side),
    Delete(Side),
    Kill(Side, u8),
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Crm), Just(Side::Erp)]
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (side(), prop_oneof![Just("name"), Just("phone")], 0..6_u8, 0..6_u8)
            .prop_map(|(side, field, value, seconds)| Happening::Edit { side, field, value, seconds }),
        6 => side().prop_map(Happening::Deliver),
        2 => side().prop_map(Happening::Check),
        5 => (side(), prop::bool::weighted(0.2)).prop_map(|(side, lost)| Happening::Execute { side, lost }),
        4 => Just(Happening::Answer),
        1 => side().prop_map(Happening::Repeat),
        1 => (0..3_u8).prop_map(Happening::Decide),
        1 => side().prop_map(Happening::Read),
    ]
}

/// The same, and a record may be deleted and a sink killed.
fn happening_to_records() -> impl Strategy<Value = Happening> {
    prop_oneof![
        30 => happening(),
        1 => side().prop_map(Happening::Delete),
        1 => (side(), 0..3_u8).prop_map(|(side, lost)| Happening::Kill(side, lost)),
    ]
}

fn delete_policy() -> impl Strategy<Value = DeletePolicy> {
    prop_oneof![Just(DeletePolicy::Ignore), Just(DeletePolicy::Delete), Just(DeletePolicy::Ask)]
}

fn manner() -> impl Strategy<Value = Manner> {
    (prop::option::weighted(0.3, 3..6_usize), any::<bool>(), any::<bool>(), any::<bool>(), prop::bool::weighted(0.2)).prop_map(
        |(cut, trigger, racy, whole_rows, coalesces)| Manner {
            cut,
            racy,
            whole_rows,
            coalesces,
            trigger: trigger.then(|| (String::new(), String::new())),
            nameless: false,
        },
    )
}

fn policy() -> impl Strategy<Value = Policy> {
    prop_oneof![Just(Policy::LastWrite), Just(Policy::Crm), Just(Policy::Erp), Just(Policy::Review)]
}

fn happen(world: &mut World, mapping: &EntityMapping, happening: &Happening, unique: &mut u32) {
    match happening {
        Happening::Edit { side, field, value, seconds } => {
            world.tick(i64::from(*seconds) * SECOND);
            *unique += 1;
            // Put back what was there before our write, in a stream that leaves our write out: that looks as if the target had
            // refused to change, and is shown as altered by target. So there every value is a new one.
            let again = Side::BOTH.iter().all(|side| !world.systems[*side].manner.coalesces);
            let text = match value {
                0..=2 if !again => Value::text(format!("{unique}-{value}")),
                0 => Value::Null,
                // The first values are chosen again and again: A to B to A, and the same on both sides.
                1 | 2 => Value::text(format!("v{value}")),
                _ => Value::text(format!("{unique}-{value}")),
            };
            world.edit(*side, &[(field, text)]);
        }
        Happening::Deliver(side) => world.deliver(mapping, *side),
        Happening::Check(side) => {
            if world.systems[*side].manner.racy {
                world.check(*side);
            }
        }
        Happening::Execute { side, lost } => world.execute(*side, *lost),
        Happening::Answer => world.answer(mapping),
        Happening::Repeat(side) => world.repeat(mapping, *side),
        Happening::Decide(0) => world.decide(mapping, Choice::Side(Side::Crm)),
        Happening::Decide(1) => world.decide(mapping, Choice::Side(Side::Erp)),
        Happening::Decide(_) => world.decide(mapping, Choice::Value(Value::text("chosen"))),
        Happening::Read(side) => world.read_again(*side),
        Happening::Delete(side) => {
            world.tick(10 * SECOND);
            world.delete(*side);
        }
        Happening::Kill(side, lost) => world.kill(*side, usize::from(*lost).min(world.systems[*side].answers.len())),
    }
}

/// The same, with a value that nobody has put in before.
fn each_its_own(step: &Happening) -> Happening {
    match step {
        Happening::Edit { side, field, seconds, .. } => Happening::Edit { side: *side, field, value: 3, seconds: *seconds },
        other => other.clone(),
    }
}

fn manners(mut pair: Pair<Manner>) -> Pair<Manner> {
    if pair.erp.trigger.is_some() {
        pair.erp.trigger = Some(("name".to_owned(), "phone".to_owned()));
    }
    pair.crm.trigger = None;
    // Where nothing is checked at commit and the stream leaves out what was replaced, nobody can know what was lost.
    pair.crm.coalesces &= !pair.crm.racy;
    pair.erp.coalesces &= !pair.erp.racy;
    pair
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, rng_seed: RngSeed::Fixed(20_261_122), failure_persistence: None, ..ProptestConfig::default() })]

    /// P1 and P2: whatever happens, at rest nothing is lost and both sides agree.
    #[test]
    fn nothing_is_lost_and_both_sides_come_to_agree(
        policy in policy(), crm in manner(), erp in manner(), story in vec(happening(), 1..40),
    ) {
        let mapping = mapping(policy);
        let mut world = World::agreed(&mapping, manners(Pair { crm, erp }));
        let mut unique = 0;
        for step in &story {
            happen(&mut world, &mapping, step, &mut unique);
        }
        world.settle(&mapping);
        let wrong = auditor::at_rest(&world);
        prop_assert!(wrong.is_empty(), "{:#?}", wrong);
    }

    /// P4: at rest, a change, an answer or a decision that comes again changes nothing and causes nothing.
    #[test]
    fn what_comes_again_changes_nothing(policy in policy(), story in vec(happening(), 1..30)) {
        let mapping = mapping(policy);
        let mut world = World::agreed(&mapping, manners(Pair::default()));
        let mut unique = 0;
        for step in &story {
            happen(&mut world, &mapping, step, &mut unique);
        }
        world.settle(&mapping);
        for side in Side::BOTH {
            let before = world.state.clone();
            if let Some(last) = world.systems[side].last.clone() {
                let effects = world.apply(&mapping, &reconcile::merge::Event::Changed(last));
                prop_assert!(effects.is_empty(), "{:?}", effects);
                prop_assert_eq!(&before.fields, &world.state.fields);
            }
        }
    }

    /// What is kept from event to event never contradicts what the whole history says, and from every moment it comes to rest
    /// where the history says it must.
    #[test]
    fn the_reference_agrees_after_every_event(
        policy in policy(), delete in delete_policy(), crm in manner(), erp in manner(), story in vec(happening_to_records(), 1..24),
    ) {
        let mut mapping = mapping(policy);
        mapping.delete = Pair { crm: delete, erp: delete };
        let mut manners = manners(Pair { crm, erp });
        (manners.crm.coalesces, manners.erp.coalesces) = (false, false);
        let mut world = World::agreed(&mapping, manners);
        let mut unique = 0;
        for step in &story {
            happen(&mut world, &mapping, &each_its_own(step), &mut unique);
            let wrong = reference::at_any_time(&world);
            prop_assert!(wrong.is_empty(), "{:#?}", wrong);
            let mut rests = world.clone();
            rests.settle(&mapping);
            let mut wrong = reference::at_any_time(&rests);
            wrong.extend(reference::at_rest(&mapping, &rests));
            wrong.extend(auditor::at_rest(&rests));
            prop_assert!(wrong.is_empty(), "{:#?}", wrong);
        }
    }

    /// What is undone gives both sides what they held before, and restoring what the undo replaced gives it back.
    #[test]
    fn what_is_undone_stands_as_before_and_can_be_restored(
        crm in manner(), erp in manner(), texts in vec((side(), "[a-z]{1,6}"), 1..5), meanwhile in any::<bool>(),
    ) {
        let mapping = mapping(Policy::LastWrite);
        let mut world = World::agreed(&mapping, manners(Pair { crm, erp: Manner { trigger: None, ..erp } }));
        for (number, (side, text)) in texts.iter().enumerate() {
            world.tick(10 * SECOND);
            let values = |world: &World| Side::BOTH.map(|side| world.value(side, "name"));
            // As each side makes it.
            let hold = |world: &World, wanted: &[Value; 2]| {
                Side::BOTH.iter().zip(wanted).all(|(side, wanted)| {
                    let held = world.value(*side, "name");
                    held == *wanted || held == world.as_cut(*side, wanted)
                })
            };
            let before = values(&world);
            world.edit(*side, &[("name", Value::text(format!("{number}{text}")))]);
            let write = world.state.next_write;
            if meanwhile {
                // It is asked for while the write is on its way.
                world.deliver(&mapping, *side);
            } else {
                world.settle(&mapping);
            }
            let after = values(&world);
            let demand = undo(&world, write);
            let result = ask(&mut world, &mapping, demand, false);
            prop_assert_eq!(result, if meanwhile { DecisionResult::Waiting } else { DecisionResult::Accepted });
            world.settle(&mapping);
            prop_assert!(hold(&world, &before), "{:?} after {:?}", values(&world), before);
            prop_assert!(auditor::at_rest(&world).is_empty(), "{:#?}", auditor::at_rest(&world));
            let (kept, _) = world.conflicts.last_key_value().expect("what the undo replaced is kept");
            let demand = restore(&world, *kept, Choice::Both);
            prop_assert_eq!(ask(&mut world, &mapping, demand, false), DecisionResult::Accepted);
            world.settle(&mapping);
            prop_assert!(meanwhile || hold(&world, &after), "{:?} after {:?}", values(&world), after);
            let wrong = [auditor::at_rest(&world), reference::at_any_time(&world), reference::at_rest(&mapping, &world)].concat();
            prop_assert!(wrong.is_empty(), "{:#?}", wrong);
        }
    }

    /// A decision about a conflict holds on both sides until somebody edits.
    #[test]
    fn what_a_person_decides_holds_until_somebody_edits(crm in manner(), erp in manner(), choice in 0..4_u8, again in any::<bool>()) {
        let mapping = mapping(Policy::Review);
        let mut world = World::agreed(&mapping, manners(Pair { crm, erp: Manner { trigger: None, ..erp } }));
        world.edit(Side::Crm, &[("name", Value::text("in the crm"))]);
        world.edit(Side::Erp, &[("name", Value::text("in the erp"))]);
        world.settle(&mapping);
        prop_assert!(world.state.fields["name"].held_by.is_some());
        let (choice, expected) = match choice {
            0 => (Choice::Side(Side::Crm), ("in the crm", "in the crm")),
            1 => (Choice::Side(Side::Erp), ("in the erp", "in the erp")),
            2 => (Choice::Value(Value::text("chosen")), ("chosen", "chosen")),
            _ => (Choice::Both, ("in the crm", "in the erp")),
        };
        world.decide(&mapping, choice);
        if again {
            world.decide_again(&mapping);
        }
        world.settle(&mapping);
        for side in Side::BOTH {
            let wanted = Value::text(if side == Side::Crm { expected.0 } else { expected.1 });
            let held = world.value(side, "name");
            prop_assert!(held == wanted || held == world.as_cut(side, &wanted), "{} in {}", held, side.as_str());
        }
        let wrong = [auditor::at_rest(&world), reference::at_any_time(&world), reference::at_rest(&mapping, &world)].concat();
        prop_assert!(wrong.is_empty(), "{:#?}", wrong);
    }

    /// P3 and P4: where each edit has a value of its own, no value is written to a side twice.
    #[test]
    fn an_edit_is_written_across_at_most_once(policy in policy(), story in vec(happening(), 1..40)) {
        let mapping = mapping(policy);
        let mut world = World::agreed(&mapping, Pair::default());
        let mut unique = 0;
        for step in &story {
            if !matches!(step, Happening::Decide(_) | Happening::Execute { lost: true, .. }) {
                happen(&mut world, &mapping, &each_its_own(step), &mut unique);
            }
        }
        world.settle(&mapping);
        let wrong = auditor::no_loop(&world);
        prop_assert!(wrong.is_empty(), "{:#?}", wrong);
    }

    /// A target that makes its own version of what it is given keeps that, and the source keeps what it gave.
    #[test]
    fn what_the_target_alone_alters_is_not_carried_back(texts in vec("[a-z]{1,9}", 1..6), cut in 1..6_usize) {
        let mapping = mapping(Policy::LastWrite);
        let short = Manner { cut: Some(cut), ..Manner::default() };
        let mut world = World::agreed(&mapping, Pair { crm: short, erp: Manner { whole_rows: true, ..Manner::default() } });
        for text in &texts {
            world.tick(10 * SECOND);
            world.edit(Side::Erp, &[("name", Value::text(text.clone()))]);
            world.settle(&mapping);
            let kept: String = text.chars().take(cut).collect();
            let standing = world.values("name");
            prop_assert!(standing.1 == *text && (standing.0 == kept || standing.0 == *text), "{:?} of {}", standing, text);
        }
        prop_assert!(world.conflicts.is_empty(), "{:?}", world.conflicts);
    }

    /// The same history gives the same state and the same conflicts.
    #[test]
    fn the_same_history_gives_the_same_state(policy in policy(), crm in manner(), erp in manner(), story in vec(happening(), 1..30)) {
        let mapping = mapping(policy);
        let run = || {
            let mut world = World::agreed(&mapping, manners(Pair { crm: crm.clone(), erp: erp.clone() }));
            let mut unique = 0;
            for step in &story {
                happen(&mut world, &mapping, step, &mut unique);
            }
            world
        };
        prop_assert_eq!(run(), run());
    }

    /// Changes of different fields commute.
    #[test]
    fn changes_of_different_sides_and_fields_commute(policy in policy(), name in 0..9_u8, phone in 0..9_u8) {
        let mapping = mapping(policy);
        let run = |first: Side| {
            let mut world = World::agreed(&mapping, Pair::default());
            world.edit(Side::Crm, &[("name", Value::text(format!("n{name}")))]);
            world.edit(Side::Erp, &[("phone", Value::text(format!("p{phone}")))]);
            world.deliver(&mapping, first);
            world.deliver(&mapping, first.other());
            world.settle(&mapping);
            (world.values("name"), world.values("phone"), world.conflicts.len())
        };
        prop_assert_eq!(run(Side::Crm), run(Side::Erp));
    }

    /// The sums of any history are those of its last facts, added up the slow way.
    #[test]
    fn sums_are_those_of_a_recomputation_from_scratch(history in vec(change(), 1..60)) {
        let mut entries: BTreeMap<Key, Entry> = BTreeMap::new();
        let mut last: BTreeMap<(Kind, String), Change> = BTreeMap::new();
        for change in &history {
            aggregate::apply(&mut entries, change).expect("in range");
            prop_assert_eq!(aggregate::apply(&mut entries, change).expect("in range"), Vec::new());
            last.insert((change.kind, change.record.clone()), change.clone());
        }
        prop_assert_eq!(&entries, &aggregate::recompute(last.values()).expect("in range"));
        let facts: Vec<&Change> = last.values().filter(|change| change.fact.is_some()).collect();
        for customer in ["c1", "c2"] {
            let sums = aggregate::customer(&entries, customer).unwrap_or_default();
            prop_assert_eq!(sums.balance, balance(&facts, customer, None));
            prop_assert_eq!(aggregate::overdue(&entries, customer, 5), balance(&facts, customer, Some(5)));
        }
        let all = aggregate::stage(&entries, aggregate::ALL).unwrap_or_default();
        let count = facts.iter().filter(|change| change.kind == Kind::Opportunity).count();
        prop_assert_eq!(all.count, i64::try_from(count).unwrap_or_default());
    }
}

/// A customer's balance as the definition says, invoice by invoice; with a day, only what was due before it.
fn balance(facts: &[&Change], customer: &str, before: Option<i32>) -> Decimal {
    let mut sum = Decimal::ZERO;
    for change in facts {
        match &change.fact {
            Some(Fact::Invoice { amount, due, open: true }) if change.customer.as_deref() == Some(customer) => {
                if before.is_some_and(|day| due.is_none_or(|due| due >= day)) {
                    continue;
                }
                let paid: Decimal = facts
                    .iter()
                    .filter_map(|other| match &other.fact {
                        Some(Fact::Payment { amount, invoice: Some(invoice) }) if *invoice == change.record => Some(*amount),
                        _ => None,
                    })
                    .sum();
                sum += *amount - paid;
            }
            Some(Fact::Payment { amount, invoice: None }) if change.customer.as_deref() == Some(customer) && before.is_none() => {
                sum -= *amount
            }
            _ => {}
        }
    }
    sum
}

fn change() -> impl Strategy<Value = Change> {
    let customer = prop::option::weighted(0.9, prop_oneof![Just("c1".to_owned()), Just("c2".to_owned())]);
    let amount = || (0..100_000_i64).prop_map(|cents| Decimal::new(cents, 2));
    let fact = prop_oneof![
        (amount(), prop::option::of(0..10), any::<bool>())
            .prop_map(|(amount, due, open)| (Kind::Invoice, Fact::Invoice { amount, due, open })),
        (amount(), prop::option::weighted(0.8, 0..4_u8))
            .prop_map(|(amount, invoice)| { (Kind::Payment, Fact::Payment { amount, invoice: invoice.map(|number| number.to_string()) }) }),
        (amount(), any::<bool>()).prop_map(|(amount, open)| (Kind::Order, Fact::Order { amount, open })),
        (amount(), 0..101_i64, 0..3_u8, any::<bool>(), any::<bool>()).prop_map(|(amount, percent, stage, closed, won)| {
            let (stage, probability) = (format!("s{stage}"), Decimal::from(percent));
            (Kind::Opportunity, Fact::Opportunity { stage, amount, probability, closed, won })
        }),
    ];
    (0..4_u8, customer, fact, prop::bool::weighted(0.8)).prop_map(|(record, customer, (kind, fact), lives)| Change {
        kind,
        record: record.to_string(),
        customer,
        fact: lives.then_some(fact),
    })
}
