//! Customers that stand in several tables of the ERP: joined as SQL would join them, whatever happens in which order.

use std::collections::BTreeMap;

use proptest::prelude::*;
use schemas::Value;
use schemas::cdc::Op;
use schemas::message::{AuditEntry, EntityChange, EntityOp, OutcomeResult, Side, Write, WriteOp};
use stream::{Log as _, NewRecord};

use crate::harness::{Running, World, text};

mod erp;

pub(crate) use erp::columns;
use erp::{ADDRESS, Act, CONTACT, Contact, PARTY, Party, TABLES, TAX, TERM, Tables, an_act, told};

const MAPPING: &str = include_str!("../../tests/fixtures/party.toml");

/// Publishes what happened at the ERP, table by table in an order of its own: topics have none among each other.
async fn publish(world: &World, happened: Vec<(&'static str, NewRecord)>, order: &[prop::sample::Index]) {
    let mut queues: BTreeMap<&str, std::collections::VecDeque<NewRecord>> = BTreeMap::new();
    for (table, record) in happened {
        queues.entry(table).or_default().push_back(record);
    }
    let mut picks = order.iter().cycle();
    while !queues.is_empty() {
        let names: Vec<&str> = queues.keys().copied().collect();
        let name = picks.next().map_or(names[0], |pick| names[pick.index(names.len())]);
        if let Some(record) = queues.get_mut(name).and_then(std::collections::VecDeque::pop_front) {
            world.log.publish(vec![record]).await.expect("publishes");
        }
        queues.retain(|_, queue| !queue.is_empty());
    }
}

async fn captured(world: &World, tables: &mut Tables, acts: &[Act], copy: bool) -> Vec<(&'static str, NewRecord)> {
    let mut happened = Vec::new();
    for act in acts {
        world.pass(1);
        let Some((table, id, op, row)) = tables.act(act) else { continue };
        if !copy {
            happened.push((table, world.cdc(Side::Erp, table, &id.to_string(), op, &row, None).await));
        }
    }
    if copy {
        let parties = tables.parties.iter().map(|(id, row)| (PARTY, *id, row.row(*id)));
        let contacts = tables.contacts.iter().map(|(id, row)| (CONTACT, *id, row.row(*id)));
        let addresses = tables.addresses.iter().map(|(id, row)| (ADDRESS, *id, row.row(*id)));
        let terms = tables.terms.iter().map(|(id, name)| (TERM, *id, vec![("id", Value::Int(*id)), ("name", text(name))]));
        for (table, id, row) in parties.chain(contacts).chain(addresses).chain(terms) {
            happened.push((table, world.cdc(Side::Erp, table, &id.to_string(), Op::Read, &row, None).await));
        }
    }
    happened
}

async fn copied(world: &World) {
    world.checkpoint("crm", &["Account"]).await;
    world.checkpoint("erp", &TABLES).await;
}

/// Waits until the processors have come to rest and no root row waits for its moment.
async fn rest(world: &World) {
    loop {
        world.quiet().await;
        let mut waiting = std::collections::BTreeSet::new();
        for record in world.records(&world.topics.changelog("matcher", "links")).await {
            let Some(key) = record.key.filter(|key| key.starts_with(b"xy")) else { continue };
            if record.value.is_some() {
                waiting.insert(key)
            } else {
                waiting.remove(&key)
            };
        }
        if waiting.is_empty() {
            return;
        }
    }
}

async fn started() -> (World, Running) {
    let world = World::with(MAPPING).await;
    copied(&world).await;
    let running = world.start();
    world.quiet().await;
    (world, running)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn after_any_changes_read_in_any_order_a_customer_is_what_sql_would_join(
        before in prop::collection::vec(an_act(), 0..12),
        after in prop::collection::vec(an_act(), 1..25),
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..40),
        killed in proptest::bool::weighted(0.3),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let world = World::with(MAPPING).await;
            let mut tables = Tables::default();
            let mut running = world.start();
            let first = captured(&world, &mut tables, &before, true).await;
            publish(&world, first, &order).await;
            copied(&world).await;
            if killed {
                running.kill().await;
                running = world.start();
            }
            rest(&world).await;
            prop_assert_eq!(told(&world.changes().await), tables.joined(), "after the copy");
            let later = captured(&world, &mut tables, &after, false).await;
            publish(&world, later, &order).await;
            rest(&world).await;
            let changes = world.changes().await;
            prop_assert_eq!(told(&changes), tables.joined(), "{}", world.show().await);
            let mut seen = BTreeMap::new();
            for change in changes.iter().filter(|change| change.side == Side::Erp && change.op == EntityOp::Changed && !change.snapshot) {
                let said = seen.entry((change.record.clone(), change.position.clone())).or_insert(0);
                *said += 1;
                prop_assert!(*said == 1, "one change said twice: {change:?}");
            }
            running.stop().await;
            Ok(())
        })?;
    }
}

async fn company(world: &World, id: i64, name: &str) {
    let party = Party { name: name.to_owned(), company: true, term: None };
    world.change(Side::Erp, PARTY, &id.to_string(), Op::Create, &party.row(id)).await;
}

fn email(party: i64, value: &str) -> Contact {
    Contact { party, kind: "email", value: value.to_owned(), sequence: None, main: false, active: true }
}

#[tokio::test]
async fn a_row_that_moves_changes_the_customer_it_left_and_the_one_it_came_to() {
    let (world, running) = started().await;
    company(&world, 1, "Acme").await;
    company(&world, 2, "Bolt").await;
    world.change(Side::Erp, CONTACT, "7", Op::Create, &email(1, "a@b").row(7)).await;
    rest(&world).await;
    world.pass(60);
    let mut moved = email(2, "a@b").row(7);
    moved.push(("write_user", text("mira")));
    world.change(Side::Erp, CONTACT, "7", Op::Update, &moved).await;
    rest(&world).await;
    let changes = world.changes().await;
    let new: Vec<&EntityChange> = changes.iter().filter(|change| change.committed_at == world.now()).collect();
    let said: BTreeMap<&str, &EntityChange> = new.iter().map(|change| (change.record.as_str(), *change)).collect();
    assert_eq!((new.len(), said.len()), (2, 2));
    let fields = |change: &EntityChange| change.fields.iter().map(|field| (field.name.clone(), field.value.clone())).collect::<Vec<_>>();
    assert_eq!(fields(said["1"]), [("email".to_owned(), Value::Null)]);
    assert_eq!(fields(said["2"]), [("email".to_owned(), text("a@b"))]);
    assert_eq!(said["2"].actor.as_deref(), Some("mira"));
    running.stop().await;
}

#[tokio::test]
async fn a_match_key_that_stands_in_another_table_is_waited_for() {
    let (world, running) = started().await;
    world.change(Side::Crm, "Account", "001A", Op::Create, &[("Name", text("Acme")), ("Tax_Id__c", text("GB 999 0000 01"))]).await;
    rest(&world).await;
    // The root row is read first, whatever the order of the transaction was.
    company(&world, 1, "Acme").await;
    world
        .change(
            Side::Erp,
            TAX,
            "3",
            Op::Create,
            &[("id", Value::Int(3)), ("party", Value::Int(1)), ("type", text("eu_vat")), ("code", text("gb999000001"))],
        )
        .await;
    rest(&world).await;
    let changes = world.changes().await;
    let entity = |side: Side| changes.iter().find(|change| change.side == side).map(|change| change.entity.clone());
    assert!(entity(Side::Erp).is_some() && entity(Side::Erp) == entity(Side::Crm), "{}", world.show().await);
    running.stop().await;
}

fn value(write: &Write, column: &str) -> Option<Value> {
    write.values.iter().find(|field| field.name == column).map(|field| field.value.clone())
}

#[tokio::test]
async fn a_create_is_shown_in_parts_and_ends_with_the_last() {
    let (world, running) = started().await;
    world.change(Side::Crm, "Account", "001A", Op::Create, &[("Name", text("Acme")), ("Email__c", text("a@b"))]).await;
    rest(&world).await;
    // What other stories leave out of a mapping's first words: the create carries what where asks for.
    let writes = world.writes(Side::Erp).await;
    let [write] = writes.as_slice() else { panic!("one write: {}", world.show().await) };
    assert_eq!(
        (write.op, value(write, "email.value"), value(write, "is_company")),
        (WriteOp::Create, Some(text("a@b")), Some(Value::Bool(true)))
    );
    assert_eq!(write.rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["email"]);
    world.answer(write, OutcomeResult::Applied, Some("5"), &[]).await;
    let mut root = Party { name: "Acme".to_owned(), company: true, term: None }.row(5);
    root.push(("concord_id", text(&write.entity)));
    world.change_of(write, PARTY, "5", Op::Create, &root).await;
    rest(&world).await;
    assert!(world.messages::<AuditEntry>(&world.topics.audit()).await.is_empty(), "half of it is still to be shown");
    world.change_of(write, CONTACT, "7", Op::Create, &email(5, "a@b").row(7)).await;
    rest(&world).await;
    let audit = world.messages::<AuditEntry>(&world.topics.audit()).await;
    assert!(audit.len() == 1 && !audit[0].altered, "{audit:?}");
    // The code that the ERP gave goes to the CRM; nothing else does, and nothing comes back.
    assert_eq!(world.writes(Side::Erp).await.len(), 1);
    let to_crm = world.writes(Side::Crm).await;
    assert!(to_crm.iter().all(|write| write.values.iter().all(|field| field.name == "ERP_Id__c")), "{}", world.show().await);
    // A field that it was made without is empty there, and is filled by an edit.
    world.pass(10);
    world.change(Side::Crm, "Account", "001A", Op::Update, &[("Phone", text("+44 1"))]).await;
    rest(&world).await;
    let writes = world.writes(Side::Erp).await;
    assert_eq!(writes.len(), 2, "{}", world.show().await);
    assert_eq!((value(&writes[1], "phone.value"), writes[1].op), (Some(text("+44 1")), WriteOp::Update));
    assert_eq!(writes[1].expected[0].value, Value::Null);
    assert_eq!(writes[1].rows[0].record, None);
    running.stop().await;
}

#[tokio::test]
async fn an_update_of_two_tables_ends_only_when_both_have_shown_it() {
    let world = World::with(MAPPING).await;
    world
        .change(Side::Crm, "Account", "001A", Op::Read, &[("Name", text("Acme")), ("Email__c", text("a@b")), ("ERP_Id__c", text("P1"))])
        .await;
    world.change(Side::Erp, CONTACT, "7", Op::Read, &email(1, "a@b").row(7)).await;
    company(&world, 1, "Acme").await;
    copied(&world).await;
    let running = world.start();
    rest(&world).await;
    assert!(world.writes(Side::Erp).await.is_empty(), "{}", world.show().await);
    world.pass(10);
    world.change(Side::Crm, "Account", "001A", Op::Update, &[("Name", text("Acme Ltd")), ("Email__c", text("c@d"))]).await;
    rest(&world).await;
    let writes = world.writes(Side::Erp).await;
    let [write] = writes.as_slice() else { panic!("one write: {}", world.show().await) };
    assert_eq!(write.rows[0].record.as_deref(), Some("7"));
    world.answer(write, OutcomeResult::Applied, None, &[]).await;
    let audit = async || world.messages::<AuditEntry>(&world.topics.audit()).await;
    world.change_of(write, CONTACT, "7", Op::Update, &email(1, "c@d").row(7)).await;
    rest(&world).await;
    assert!(audit().await.is_empty());
    let party = Party { name: "Acme Ltd".to_owned(), company: true, term: None };
    world.change_of(write, PARTY, "1", Op::Update, &party.row(1)).await;
    rest(&world).await;
    let audit = audit().await;
    assert!(audit.len() == 1 && !audit[0].altered, "{audit:?} {}", world.show().await);
    assert_eq!(world.writes(Side::Erp).await.len(), 1);
    running.stop().await;
}

#[test]
fn a_mistake_about_rows_is_named() {
    processors::mapping_file::parse(MAPPING).expect("the mapping is right");
    for (from, to, expected) in [
        ("erp = \"email.value\"", "erp = \"mail.value\"", "mail.value names a column of a row that is not described"),
        (
            "key = \"party\"\nwhere = { type = \"eu_vat\" }",
            "where = { type = \"eu_vat\" }",
            "entity.customer.erp.rows.tax needs either key",
        ),
        ("insert = { type = \"phone\" }", "", "where allows several values of type; say in insert which one a new row gets"),
        ("insert = { type = \"phone\" }", "insert = { type = \"fax\" }", "which its where would not choose"),
        ("empty = { active = false }", "empty = { sequence = 9 }", "would still be chosen by its where"),
        ("empty = { active = false }", "empty = \"drop\"", "must be \"null\", \"delete\""),
        ("through = \"customer_payment_term\"", "through = \"customer_payment_term\"\nwhere = { name = [] }", "could have no value at all"),
        ("id_column = \"concord_id\"", "id_column = \"email.concord_id\"", "must be a column of public.party_party"),
        ("erp = \"tax.code\"\n", "erp = \"tax.type\"\n", "type has a fixed value and cannot be a field too"),
        ("where = { is_company = true, active = true }", "where = { is_company = [true, false] }", "a record that is made must meet where"),
        ("archive = { Site = \"no customer any more\" } }", "where = { Type = \"Customer\" } }", "entity.customer.crm has where or rows"),
        (
            "order = [\"sequence\"]\nempty = \"delete\"\n\n[entity.customer.erp.rows.invoice]",
            "sort = [\"sequence\"]\n\n[entity.customer.erp.rows.invoice]",
            "unknown field `sort`",
        ),
    ] {
        assert!(MAPPING.contains(from), "{from}");
        match processors::mapping_file::parse(&MAPPING.replacen(from, to, 1)) {
            Ok(_) => panic!("{to} was accepted"),
            Err(error) => assert!(error.to_string().contains(expected), "{to}: {error}"),
        }
    }
}
