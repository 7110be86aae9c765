//! Laws: the order in which records come decides nothing, and what was decided is never forgotten.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::Config;
use schemas::Value;
use schemas::cdc::Op;
use schemas::message::{DecisionResult, Side};

use super::{customer, distinct, links, open, same, sfid, together, unmatch};
use crate::harness::{World, text};

/// A record of either side that the first copies bring: its keys and its name are drawn from a few.
#[derive(Debug, Clone)]
struct Row {
    side: Side,
    number: u32,
    /// For an account, the ERP id it names.
    points: Option<u32>,
    tax_id: Option<u32>,
    name: usize,
}

const NAMES: [&str; 5] = ["Brauerei Zwettl", "Brauerei Zwettl GmbH", "Hofmeister Logistics", "Hofmeister Holding", "Quarzwerke"];

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (any::<bool>(), prop::option::weighted(0.3, 1u32..5), prop::option::weighted(0.6, 1u32..4), 0..NAMES.len());
    prop::collection::vec(row, 2..9).prop_map(|rows| {
        rows.into_iter()
            .zip(1u32..)
            .map(|((crm, points, tax_id, name), number)| Row {
                side: if crm { Side::Crm } else { Side::Erp },
                number,
                points: points.filter(|_| crm),
                tax_id,
                name,
            })
            .collect()
    })
}

async fn bring(world: &World, row: &Row) {
    let tax_id = row.tax_id.map(|number| format!("AT {number}00"));
    match row.side {
        Side::Erp => {
            let values = customer(i64::from(row.number), NAMES[row.name], tax_id.as_deref().unwrap_or_default());
            world.change(Side::Erp, "public.customers", &row.number.to_string(), Op::Read, &values).await;
        }
        Side::Crm => {
            let optional = |value: Option<String>| value.map_or(Value::Null, |value| text(&value));
            let values = [
                ("Name", text(NAMES[row.name])),
                ("Tax_Id__c", optional(tax_id)),
                ("ERP_Id__c", optional(row.points.map(|number| number.to_string()))),
            ];
            world.change(Side::Crm, "Account", &sfid(row.number), Op::Read, &values).await;
        }
    }
}

type Asked = BTreeSet<BTreeSet<String>>;

/// Which records are one, and which pairs of entities are asked about, after both first copies came in this order.
async fn copy(rows: &[Row], order: &[usize], pauses: u32) -> (World, crate::harness::Running, BTreeSet<BTreeSet<String>>, Asked) {
    let world = World::with(&super::scored::mapping()).await;
    let running = world.start();
    for (place, index) in order.iter().enumerate() {
        bring(&world, &rows[*index]).await;
        if pauses & (1 << (place % 8)) != 0 {
            // Nothing is waited for: what came so far may be looked at before the next comes.
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }
    world.checkpoint("crm", &["Account", "Contact"]).await;
    world.checkpoint("erp", &["public.customers", "public.contacts"]).await;
    world.quiet().await;
    let together = together(&world).await;
    let asked = asked(&world).await;
    (world, running, together, asked)
}

/// Each open review as the records of both its entities.
async fn asked(world: &World) -> Asked {
    open(world)
        .await
        .into_iter()
        .map(|review| [review.left_crm, review.left_erp, review.right_crm, review.right_erp].into_iter().flatten().collect())
        .collect()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

proptest! {
    #![proptest_config(Config { cases: 24, max_shrink_iters: 60, failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_order_of_two_first_copies_decides_neither_links_nor_questions(
        (rows, order) in rows().prop_flat_map(|rows| {
            let order: Vec<usize> = (0..rows.len()).collect();
            (Just(rows), Just(order).prop_shuffle())
        }),
        pauses in any::<u32>(),
    ) {
        let straight: Vec<usize> = (0..rows.len()).collect();
        block_on(async {
            let (_, running, together, asked) = copy(&rows, &straight, 0).await;
            running.stop().await;
            let (world, running, other, others_asked) = copy(&rows, &order, pauses).await;
            running.stop().await;
            prop_assert_eq!((&together, &asked), (&other, &others_asked), "{}", world.show().await);
            Ok(())
        })?;
    }

    #[test]
    fn what_was_decided_holds_through_a_new_copy_and_a_lost_store_and_taken_back_is_undone(
        rows in rows(),
        choices in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..4),
    ) {
        let straight: Vec<usize> = (0..rows.len()).collect();
        block_on(async {
            let (world, running, ..) = copy(&rows, &straight, 0).await;
            let mut made = Vec::new();
            for (number, (one, index)) in choices.iter().enumerate() {
                let open = open(&world).await;
                if open.is_empty() {
                    break;
                }
                let review = &open[index.index(open.len())];
                let id = format!("d{number}");
                let before = links(&world).await;
                let wanted = if *one { same(&world, &id, &review.left, &review.right) } else { distinct(&world, &id, &review.left, &review.right) };
                let answer = super::decide(&world, wanted).await;
                if answer.result == DecisionResult::Accepted {
                    made.push((id, review.left.clone(), before));
                }
            }
            let (decided, asked_then) = (links(&world).await, asked(&world).await);
            running.stop().await;
            world.stores.lose("matcher", 0);
            world.log.compact();
            let running = world.start();
            world.pass(60);
            for row in &rows {
                bring(&world, row).await;
            }
            world.quiet().await;
            prop_assert_eq!(&links(&world).await, &decided, "after another copy\n{}", world.show().await);
            prop_assert_eq!(&asked(&world).await, &asked_then, "after another copy\n{}", world.show().await);
            for (id, entity, before) in made.iter().rev() {
                let answer = super::decide(&world, unmatch(&world, &format!("{id}-back"), entity, id)).await;
                prop_assert_eq!(answer.result, DecisionResult::Accepted, "{}", answer.reason);
                prop_assert_eq!(&links(&world).await, before, "{} taken back\n{}", id, world.show().await);
            }
            running.stop().await;
            Ok(())
        })?;
    }
}
