//! Customers that stand in several tables of the ERP: joined as SQL would join them, whatever happens in which order.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use proptest::prelude::*;
use schemas::Value;
use schemas::cdc::{ColumnType, Op};
use schemas::message::{AuditEntry, EntityChange, EntityOp, OutcomeResult, Side, Write, WriteOp};
use stream::{Log as _, NewRecord};

use crate::harness::{Running, World, text};

const MAPPING: &str = include_str!("../../tests/fixtures/party.toml");
const PARTY: &str = "public.party_party";
const CONTACT: &str = "public.party_contact_mechanism";
const TAX: &str = "public.party_identifier";
const ADDRESS: &str = "party.Address";
const TERM: &str = "public.account_invoice_payment_term";
const TABLES: [&str; 5] = [PARTY, CONTACT, TAX, ADDRESS, TERM];

/// The columns of the tables, as capture would type them.
pub(crate) fn columns(side: Side, object: &str) -> Vec<(&'static str, ColumnType)> {
    let (text, int, boolean) = (ColumnType::Text, ColumnType::Int, ColumnType::Boolean);
    match (side, object) {
        (Side::Erp, PARTY) => vec![
            ("id", int.clone()),
            ("code", text.clone()),
            ("name", text.clone()),
            ("is_company", boolean.clone()),
            ("active", boolean),
            ("customer_payment_term", int),
            ("concord_id", text.clone()),
            ("write_user", text),
        ],
        (Side::Erp, CONTACT) => vec![
            ("id", int.clone()),
            ("party", int.clone()),
            ("type", text.clone()),
            ("value", text.clone()),
            ("sequence", int),
            ("main", boolean.clone()),
            ("active", boolean),
            ("write_user", text),
        ],
        (Side::Erp, TAX) => vec![("id", int.clone()), ("party", int.clone()), ("type", text.clone()), ("code", text), ("sequence", int)],
        (Side::Erp, ADDRESS) => vec![
            ("id", int.clone()),
            ("Party Id", int.clone()),
            ("Street", text.clone()),
            ("city", text),
            ("sequence", int),
            ("invoice", boolean.clone()),
            ("active", boolean),
        ],
        (Side::Erp, TERM) => vec![("id", int), ("name", text)],
        other => panic!("no such object: {other:?}"),
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Party {
    name: String,
    company: bool,
    term: Option<i64>,
}

#[derive(Debug, Clone, PartialEq)]
struct Contact {
    party: i64,
    kind: &'static str,
    value: String,
    sequence: Option<i64>,
    main: bool,
    active: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Address {
    party: i64,
    street: String,
    city: Option<String>,
    invoice: bool,
}

/// The ERP's tables.
#[derive(Debug, Clone, Default)]
struct Tables {
    parties: BTreeMap<i64, Party>,
    contacts: BTreeMap<i64, Contact>,
    addresses: BTreeMap<i64, Address>,
    terms: BTreeMap<i64, String>,
}

/// What somebody does in the ERP; none deletes.
#[derive(Debug, Clone)]
enum Act {
    Party(i64, Option<Party>),
    Contact(i64, Option<Contact>),
    Address(i64, Option<Address>),
    Term(i64, Option<String>),
}

type Fields = Vec<(&'static str, Value)>;

fn nothing(value: Option<i64>) -> Value {
    value.map_or(Value::Null, Value::Int)
}

impl Party {
    fn row(&self, id: i64) -> Fields {
        vec![
            ("id", Value::Int(id)),
            ("code", text(&format!("P{id}"))),
            ("name", text(&self.name)),
            ("is_company", Value::Bool(self.company)),
            ("active", Value::Bool(true)),
            ("customer_payment_term", nothing(self.term)),
        ]
    }
}

impl Contact {
    fn row(&self, id: i64) -> Fields {
        vec![
            ("id", Value::Int(id)),
            ("party", Value::Int(self.party)),
            ("type", text(self.kind)),
            ("value", text(&self.value)),
            ("sequence", nothing(self.sequence)),
            ("main", Value::Bool(self.main)),
            ("active", Value::Bool(self.active)),
        ]
    }
}

impl Address {
    fn row(&self, id: i64) -> Fields {
        vec![
            ("id", Value::Int(id)),
            ("Party Id", Value::Int(self.party)),
            ("Street", text(&self.street)),
            ("city", self.city.as_deref().map_or(Value::Null, text)),
            ("invoice", Value::Bool(self.invoice)),
            ("active", Value::Bool(true)),
        ]
    }
}

impl Tables {
    /// Does it; what the change stream says of it, if it does anything.
    fn act(&mut self, act: &Act) -> Option<(&'static str, i64, Op, Fields)> {
        fn put<T: Clone + PartialEq>(rows: &mut BTreeMap<i64, T>, id: i64, row: &Option<T>) -> Option<Op> {
            match row {
                Some(row) => Some(if rows.insert(id, row.clone()).is_some() { Op::Update } else { Op::Create }),
                None => rows.remove(&id).map(|_| Op::Delete),
            }
        }
        Some(match act {
            Act::Party(id, row) => (PARTY, *id, put(&mut self.parties, *id, row)?, row.as_ref().map_or_else(Vec::new, |row| row.row(*id))),
            Act::Contact(id, row) => {
                (CONTACT, *id, put(&mut self.contacts, *id, row)?, row.as_ref().map_or_else(Vec::new, |row| row.row(*id)))
            }
            Act::Address(id, row) => {
                (ADDRESS, *id, put(&mut self.addresses, *id, row)?, row.as_ref().map_or_else(Vec::new, |row| row.row(*id)))
            }
            Act::Term(id, row) => {
                let fields = row.as_ref().map_or_else(Vec::new, |name| vec![("id", Value::Int(*id)), ("name", text(name))]);
                (TERM, *id, put(&mut self.terms, *id, row)?, fields)
            }
        })
    }

    /// What a join from scratch says of every customer.
    fn joined(&self) -> BTreeMap<String, BTreeMap<String, Value>> {
        let contact = |party: i64, kinds: &[&str]| {
            let rows = self.contacts.iter().filter(|(_, row)| row.party == party && row.active && kinds.contains(&row.kind));
            let first = rows.min_by_key(|(id, row)| (Reverse(row.main), row.sequence.is_none(), row.sequence, **id));
            first.map_or(Value::Null, |(_, row)| text(&row.value))
        };
        let customer = |(id, party): (&i64, &Party)| {
            let invoice =
                self.addresses.iter().filter(|(_, row)| row.party == *id && row.invoice).min_by_key(|(id, _)| **id).map(|(_, row)| row);
            let fields = [
                ("name", text(&party.name)),
                ("code", text(&format!("P{id}"))),
                ("email", contact(*id, &["email"])),
                ("phone", contact(*id, &["phone", "mobile"])),
                ("tax_id", Value::Null),
                ("street", invoice.filter(|row| !row.street.is_empty()).map_or(Value::Null, |row| text(&row.street))),
                ("city", invoice.and_then(|row| row.city.as_deref()).map_or(Value::Null, text)),
                ("payment_term", party.term.and_then(|term| self.terms.get(&term)).map_or(Value::Null, |name| text(name))),
            ];
            (id.to_string(), fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        };
        self.parties.iter().filter(|(_, party)| party.company).map(customer).collect()
    }
}

/// Customers of the ERP as their changes tell them.
fn told(changes: &[EntityChange]) -> BTreeMap<String, BTreeMap<String, Value>> {
    let mut customers: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for change in changes.iter().filter(|change| change.side == Side::Erp) {
        match change.op {
            EntityOp::Deleted => {
                customers.remove(&change.record);
            }
            EntityOp::Changed => {
                let known = customers.entry(change.record.clone()).or_default();
                known.extend(change.fields.iter().map(|field| (field.name.clone(), field.value.clone())));
            }
            _ => {}
        }
    }
    customers
}

fn a_party() -> impl Strategy<Value = Party> {
    (0..3u8, any::<bool>(), proptest::option::of(1..3i64)).prop_map(|(name, company, term)| Party {
        name: format!("name {name}"),
        company,
        term,
    })
}

fn a_contact() -> impl Strategy<Value = Contact> {
    let kind = prop_oneof![3 => Just("email"), 2 => Just("phone"), 1 => Just("mobile"), 1 => Just("website")];
    (1..4i64, kind, 0..4u8, proptest::option::of(1..3i64), proptest::bool::weighted(0.3), proptest::bool::weighted(0.8)).prop_map(
        |(party, kind, value, sequence, main, active)| Contact { party, kind, value: format!("{kind} {value}"), sequence, main, active },
    )
}

fn an_address() -> impl Strategy<Value = Address> {
    (1..4i64, 0..3u8, proptest::option::of(0..2u8), any::<bool>()).prop_map(|(party, street, city, invoice)| Address {
        party,
        street: if street == 0 { String::new() } else { format!("street {street}") },
        city: city.map(|city| format!("city {city}")),
        invoice,
    })
}

fn an_act() -> impl Strategy<Value = Act> {
    let some = |weight| proptest::option::weighted(weight, Just(()));
    prop_oneof![
        4 => (1..4i64, a_party(), some(0.8)).prop_map(|(id, row, there)| Act::Party(id, there.map(|()| row))),
        6 => (1..6i64, a_contact(), some(0.8)).prop_map(|(id, row, there)| Act::Contact(id, there.map(|()| row))),
        2 => (1..4i64, an_address(), some(0.8)).prop_map(|(id, row, there)| Act::Address(id, there.map(|()| row))),
        2 => (1..3i64, 0..3u8, some(0.8)).prop_map(|(id, name, there)| Act::Term(id, there.map(|()| format!("term {name}")))),
    ]
}

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
