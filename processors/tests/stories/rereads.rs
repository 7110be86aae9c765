//! Writes that their target never shows: the record is read.

use std::collections::BTreeMap;

use schemas::Value;
use schemas::cdc::Op;
use schemas::message::{OutcomeResult, Side, Write, WriteOp};

use super::{ACCOUNT, customer_row, linked};
use crate::harness::{MAPPING, World, text};

/// Waits for writes that only ask what is there.
async fn asked(world: &World, side: Side, count: usize) -> Vec<Write> {
    let asks = |write: &Write| write.values.is_empty() && write.op == WriteOp::Update;
    world
        .found("a question", async || {
            let asked: Vec<_> = world.writes(side).await.into_iter().filter(asks).collect();
            (asked.len() >= count).then_some(asked)
        })
        .await
}

#[tokio::test]
async fn a_write_whose_echo_never_comes_is_confirmed_by_reading() {
    let (world, running) = World::copied().await;
    linked(&world).await;
    world.pass(60);
    world.change(Side::Crm, "Account", ACCOUNT, Op::Update, &[("Name", text("Acme Ltd"))]).await;
    world.quiet().await;
    let write = world.writes(Side::Erp).await.remove(0);
    world.answer(&write, OutcomeResult::Applied, None, &[]).await;
    world.quiet().await;
    let audited = world.records(&world.topics.audit()).await.len();
    world.pass(30);
    world.change(Side::Crm, "Account", ACCOUNT, Op::Update, &[("Name", text("Acme Group"))]).await;
    world.quiet().await;
    assert_eq!(world.writes(Side::Erp).await.len(), 1, "the next edit waits, and it is too early to ask");
    world.pass(60);
    let read = asked(&world, Side::Erp, 1).await.remove(0);
    assert_eq!((read.op, read.record.as_deref(), read.object.as_str()), (WriteOp::Update, Some("7"), "public.customers"));
    assert_eq!(read.expected.iter().map(|field| (field.name.as_str(), &field.value)).collect::<Vec<_>>(), [("name", &text("Acme Ltd"))]);
    world.answer(&read, OutcomeResult::Applied, None, &[("name", text("Acme Ltd"))]).await;
    world.quiet().await;
    assert_eq!(world.records(&world.topics.audit()).await.len(), audited + 1, "{}", world.show().await);
    let writes: Vec<_> = world.writes(Side::Erp).await.into_iter().filter(|write| !write.values.is_empty()).collect();
    assert_eq!(writes.len(), 2, "the edit that waited goes across");
    assert_eq!((&writes[1].values[0].value, &writes[1].expected[0].value), (&text("Acme Group"), &text("Acme Ltd")));
    assert_eq!(world.writes(Side::Crm).await.len(), 1, "and nothing comes back");
    // The echo of the first write comes after all.
    world.change_by(Side::Erp, "public.customers", "7", Op::Update, &customer_row("Acme Ltd", "1000.00"), Some("concord")).await;
    world.quiet().await;
    assert_eq!(
        (world.writes(Side::Crm).await.len(), world.records(&world.topics.conflicts()).await.len()),
        (1, 0),
        "{}",
        world.show().await
    );
    assert_eq!(world.counted("processors_reread_records_total"), 1);
    running.stop().await;
}

#[tokio::test]
async fn what_is_found_instead_of_an_unseen_write_goes_across_once_its_stream_has_shown_it() {
    let (world, running) = World::copied().await;
    linked(&world).await;
    world.pass(60);
    world.change(Side::Crm, "Account", ACCOUNT, Op::Update, &[("Name", text("Acme Ltd"))]).await;
    world.quiet().await;
    let write = world.writes(Side::Erp).await.remove(0);
    world.answer(&write, OutcomeResult::Applied, None, &[]).await;
    world.quiet().await;
    world.pass(90);
    let first = asked(&world, Side::Erp, 1).await.remove(0);
    // The answer to the first question is lost with the sink; it is asked again.
    world.answer(&first, OutcomeResult::Deferred, None, &[]).await;
    world.quiet().await;
    world.pass(90);
    let second = asked(&world, Side::Erp, 2).await.remove(1);
    assert_ne!(first.id, second.id);
    world.answer(&second, OutcomeResult::Applied, None, &[("name", text("Acme AG"))]).await;
    world.quiet().await;
    // Somebody's edit, of which only the stream knows whose it is and when it was made: it is waited for.
    let writes = async |side| {
        world.writes(side).await.into_iter().filter(|write| write.op == WriteOp::Update && !write.values.is_empty()).collect::<Vec<_>>()
    };
    assert_eq!((writes(Side::Crm).await.len(), writes(Side::Erp).await.len()), (0, 1), "{}", world.show().await);
    world.pass(90);
    let third = asked(&world, Side::Erp, 3).await.remove(2);
    world.answer(&third, OutcomeResult::Applied, None, &[("name", text("Acme AG"))]).await;
    world.quiet().await;
    world.change(Side::Erp, "public.customers", "7", Op::Update, &customer_row("Acme AG", "1000.00")).await;
    world.quiet().await;
    // The write's own echo never comes: the log was compacted to somebody's later row. A re-read that finds what the stream
    // shows by now ends the write.
    assert_eq!(writes(Side::Crm).await.len(), 0, "{}", world.show().await);
    world.pass(90);
    let fourth = asked(&world, Side::Erp, 4).await.remove(3);
    world.answer(&fourth, OutcomeResult::Applied, None, &[("name", text("Acme AG"))]).await;
    world.quiet().await;
    let back = writes(Side::Crm).await;
    assert_eq!(back.len(), 1, "{}", world.show().await);
    assert_eq!((&back[0].values[0].value, &back[0].expected[0].value), (&text("Acme AG"), &text("Acme Ltd")));
    // It comes to rest: nothing more is asked or written, and nothing was overwritten unrecorded.
    world.carry_out(&back[0], &BTreeMap::new(), "").await;
    world.quiet().await;
    world.pass(90);
    world.quiet().await;
    assert_eq!((writes(Side::Crm).await.len(), writes(Side::Erp).await.len()), (1, 1), "{}", world.show().await);
    assert_eq!(asked(&world, Side::Erp, 4).await.len(), 4, "{}", world.show().await);
    assert_eq!(world.records(&world.topics.conflicts()).await.len(), 0, "{}", world.show().await);
    running.stop().await;
}

/// The columns of a customer's row that a question is about, as they stand there.
fn standing(question: &Write, row: &[(&'static str, Value)]) -> Vec<(&'static str, Value)> {
    row.iter().filter(|(name, _)| question.expected.iter().any(|field| field.name == *name)).cloned().collect()
}

#[tokio::test]
async fn a_row_that_is_found_although_we_deleted_it_is_read_and_gets_its_counterpart_again() {
    let world = World::with(&MAPPING.replacen("erp = \"archive\" }", "erp = \"delete\" }", 1)).await;
    world.checkpoint("crm", &["Account", "Contact"]).await;
    world.checkpoint("erp", &["public.customers", "public.contacts"]).await;
    let running = world.start();
    world.quiet().await;
    linked(&world).await;
    world.pass(60);
    world.change(Side::Crm, "Account", ACCOUNT, Op::Delete, &[]).await;
    world.quiet().await;
    let delete = world.writes(Side::Erp).await.remove(0);
    assert_eq!((delete.op, delete.record.as_deref()), (WriteOp::Delete, Some("7")), "{}", world.show().await);
    world.answer(&delete, OutcomeResult::Applied, None, &[]).await;
    world.quiet().await;
    // A deletion is left to its stream, however long that takes.
    world.pass(600);
    world.quiet().await;
    assert_eq!(world.writes(Side::Erp).await.len(), 1, "{}", world.show().await);
    // That has expired: of the deletion, and of who restored the row, nothing is left but the row.
    let row = customer_row("Acme", "1000.00");
    world.change(Side::Erp, "public.customers", "7", Op::Read, &row).await;
    world.quiet().await;
    assert_eq!(world.writes(Side::Crm).await.len(), 1, "it is asked about first: {}", world.show().await);
    world.pass(90);
    let question = asked(&world, Side::Erp, 1).await.remove(0);
    assert_eq!(question.record.as_deref(), Some("7"));
    world.answer(&question, OutcomeResult::Applied, None, &standing(&question, &row)).await;
    world.quiet().await;
    let writes = world.writes(Side::Crm).await;
    let [_, again] = writes.as_slice() else { panic!("{}", world.show().await) };
    assert_eq!(again.op, WriteOp::Create);
    assert!(again.values.iter().any(|field| field.name == "Name" && field.value == text("Acme")), "{again:?}");
    world.carry_out(again, &BTreeMap::new(), "001000000000009AAA").await;
    world.quiet().await;
    world.pass(90);
    world.quiet().await;
    assert_eq!((world.writes(Side::Crm).await.len(), world.writes(Side::Erp).await.len()), (2, 2), "{}", world.show().await);
    assert_eq!(world.records(&world.topics.conflicts()).await.len(), 0, "{}", world.show().await);
    running.stop().await;
}
