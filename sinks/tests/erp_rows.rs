//! Stories of writing to an ERP that keeps a customer in several tables.

use anyhow::Result;
use schemas::Value;
use schemas::message::{Field, OutcomeResult, RowTarget, Side, WhenEmpty, Write};

use crate::erp::{Erp, connect};
use crate::rig::{self, create, delete, fields};

const SCHEMA: &str = include_str!("../../tests/fixtures/party.sql");

/// Parties 1 to 9, with an e-mail and an invoice address each.
const ROWS: &str = r#"
    insert into party_party (id, name, is_company) select n, 'party ' || n, true from generate_series(1, 9) n;
    insert into party_contact_mechanism (id, party, type, value, sequence)
        select n, n, 'email', 'office@' || n || '.example', 10 from generate_series(1, 9) n;
    insert into party."Address" (id, "Party Id", "Street", city, invoice) select n, n, 'Mill Lane ' || n, 'Leeds', true from generate_series(1, 9) n;
    select setval('party_party_id_seq', 100), setval('party_contact_mechanism_id_seq', 100), setval('party."Address_id_seq"', 100)"#;

pub(crate) async fn erp() -> Result<Erp> {
    let erp = Erp::new().await?;
    erp.client.batch_execute(SCHEMA).await?;
    erp.client.batch_execute(ROWS).await?;
    Ok(erp)
}

pub(crate) fn text(text: &str) -> Value {
    Value::text(text)
}

fn row(name: &str, table: &str, key: &str, columns: &[&str], when_empty: WhenEmpty) -> RowTarget {
    RowTarget {
        name: name.to_owned(),
        table: table.to_owned(),
        key_columns: vec![key.to_owned()],
        parent: false,
        record: None,
        conditions: Vec::new(),
        order: vec!["sequence".to_owned()],
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        constants: Vec::new(),
        when_empty,
        retire: Vec::new(),
    }
}

pub(crate) fn email() -> RowTarget {
    let conditions: Vec<Field> = fields(&[("type", text("email")), ("active", Value::Bool(true))]);
    RowTarget {
        constants: conditions.clone(),
        conditions,
        order: vec!["-main".to_owned(), "sequence".to_owned()],
        ..row("email", "public.party_contact_mechanism", "party", &["value"], WhenEmpty::Delete)
    }
}

pub(crate) fn phone() -> RowTarget {
    RowTarget {
        conditions: fields(&[("type", Value::List(vec![text("phone"), text("mobile")])), ("active", Value::Bool(true))]),
        constants: fields(&[("type", text("phone")), ("active", Value::Bool(true))]),
        retire: fields(&[("active", Value::Bool(false))]),
        ..row("phone", "public.party_contact_mechanism", "party", &["value"], WhenEmpty::Retire)
    }
}

pub(crate) fn invoice() -> RowTarget {
    let conditions = fields(&[("invoice", Value::Bool(true))]);
    RowTarget {
        constants: conditions.clone(),
        conditions,
        ..row("invoice", "party.Address", "Party Id", &["Street", "city"], WhenEmpty::Null)
    }
}

pub(crate) fn term(when_empty: WhenEmpty) -> RowTarget {
    RowTarget {
        parent: true,
        order: Vec::new(),
        ..row("term", "public.account_invoice_payment_term", "customer_payment_term", &["name"], when_empty)
    }
}

pub(crate) fn update(id: &str, party: i32, values: &[(&str, Value)], expected: &[(&str, Value)]) -> Write {
    let rows = vec![email(), phone(), invoice(), term(WhenEmpty::Delete)];
    let named = |row: &RowTarget| values.iter().chain(expected).any(|(name, _)| name.starts_with(&format!("{}.", row.name)));
    let rows = rows.into_iter().filter(named).collect();
    Write { rows, ..rig::update(Side::Erp, id, "public.party_party", &party.to_string(), values, expected) }
}

/// One party's name, contact rows and addresses, as one line.
async fn party(erp: &Erp, id: i32) -> Result<String> {
    let sql = r#"select p.name || coalesce(' | ' || (select string_agg(c.type || ' ' || coalesce(c.value, '-') || case when c.active then '' else ' (retired)' end, ', ' order by c.id) from party_contact_mechanism c where c.party = p.id), '')
        || coalesce(' | ' || (select string_agg(coalesce(a."Street", '-') || ' ' || coalesce(a.city, '-'), ', ' order by a.id) from party."Address" a where a."Party Id" = p.id), '')
        || coalesce(' | ' || (select t.name from account_invoice_payment_term t where t.id = p.customer_payment_term), '')
        from party_party p where p.id = $1"#;
    Ok(erp.client.query_opt(sql, &[&id]).await?.map_or_else(|| "none".to_owned(), |row| row.get(0)))
}

#[tokio::test]
async fn the_root_row_and_rows_beside_it_change_together_or_not_at_all() -> Result<()> {
    let erp = erp().await?;
    let running = erp.run()?;
    let writes = [
        update(
            "w1",
            1,
            &[("name", text("Acme")), ("email.value", text("new@1.example")), ("invoice.city", text("York"))],
            &[("name", text("party 1")), ("email.value", text("office@1.example")), ("invoice.city", text("Leeds"))],
        ),
        // One of its expectations does not hold.
        update(
            "w2",
            2,
            &[("name", text("Bolt")), ("email.value", text("new@2.example"))],
            &[("name", text("party 2")), ("email.value", text("somebody@2.example"))],
        ),
        update("w3", 99, &[("email.value", text("x"))], &[("email.value", Value::Null)]),
        // The street may not be null: the database refuses, and nothing of the write stays.
        update(
            "w4",
            4,
            &[("name", text("Core")), ("invoice.Street", Value::Null)],
            &[("name", text("party 4")), ("invoice.Street", text("Mill Lane 4"))],
        ),
        update("w5", 5, &[("email.value", text("new@5.example"))], &[("email.value", text("office@5.example"))]),
    ];
    let outcomes = erp.rig.write(&writes).await?;
    use OutcomeResult::{Applied, Failed, Rejected};
    assert_eq!(outcomes.iter().map(|it| it.result).collect::<Vec<_>>(), [Applied, Rejected, Rejected, Failed, Applied]);
    assert_eq!(
        outcomes[0].actual,
        fields(&[("name", text("Acme")), ("email.value", text("new@1.example")), ("invoice.city", text("York"))])
    );
    assert_eq!(outcomes[1].actual, fields(&[("name", text("party 2")), ("email.value", text("office@2.example"))]));
    assert_eq!(outcomes[2].actual, []);
    assert_eq!(party(&erp, 1).await?, "Acme | email new@1.example | Mill Lane 1 York");
    assert_eq!(party(&erp, 2).await?, "party 2 | email office@2.example | Mill Lane 2 Leeds");
    assert_eq!(party(&erp, 4).await?, "party 4 | email office@4.example | Mill Lane 4 Leeds");
    assert_eq!(party(&erp, 5).await?, "party 5 | email new@5.example | Mill Lane 5 Leeds");
    running.stop().await
}

#[tokio::test]
async fn a_row_is_made_when_there_is_none_and_goes_when_nothing_is_written() -> Result<()> {
    let erp = erp().await?;
    let running = erp.run()?;
    let outcomes = erp
        .rig
        .write(&[
            update("w1", 1, &[("phone.value", text("+44 1"))], &[("phone.value", Value::Null)]),
            update("w2", 2, &[("email.value", Value::Null)], &[("email.value", text("office@2.example"))]),
            update("w3", 3, &[("invoice.city", Value::Null)], &[("invoice.city", text("Leeds"))]),
            update("w4", 4, &[("term.name", text("Net 30"))], &[("term.name", Value::Null)]),
        ])
        .await?;
    assert!(outcomes.iter().all(|it| it.result == OutcomeResult::Applied), "{outcomes:?}");
    assert_eq!(outcomes[1].actual, fields(&[("email.value", Value::Null)]));
    assert_eq!(party(&erp, 1).await?, "party 1 | email office@1.example, phone +44 1 | Mill Lane 1 Leeds");
    assert_eq!(party(&erp, 2).await?, "party 2 | Mill Lane 2 Leeds");
    assert_eq!(party(&erp, 3).await?, "party 3 | email office@3.example | Mill Lane 3 -");
    assert_eq!(party(&erp, 4).await?, "party 4 | email office@4.example | Mill Lane 4 Leeds | Net 30");
    let outcomes = erp
        .rig
        .write(&[
            update("w5", 1, &[("phone.value", Value::Null)], &[("phone.value", text("+44 1"))]),
            update("w6", 4, &[("term.name", Value::Null)], &[("term.name", text("Net 30"))]),
        ])
        .await?;
    assert!(outcomes.iter().all(|it| it.result == OutcomeResult::Applied), "{outcomes:?}");
    assert_eq!(party(&erp, 1).await?, "party 1 | email office@1.example, phone +44 1 (retired) | Mill Lane 1 Leeds");
    assert_eq!(party(&erp, 4).await?, "party 4 | email office@4.example | Mill Lane 4 Leeds");
    let terms: i64 = erp.client.query_one("select count(*) from account_invoice_payment_term", &[]).await?.get(0);
    assert_eq!(terms, 1, "a row that others may point at stays");
    running.stop().await
}

#[tokio::test]
async fn a_write_to_a_row_that_was_replaced_or_came_meanwhile_changes_nothing() -> Result<()> {
    let erp = erp().await?;
    // Another row counts now; a phone came where none was expected; a row is gone.
    erp.client
        .batch_execute(
            "insert into party_contact_mechanism (party, type, value, main) values (1, 'email', 'main@1.example', true), (2, 'mobile', '+44 2', false);
             delete from party_contact_mechanism where party = 3",
        )
        .await?;
    let running = erp.run()?;
    let outcomes = erp
        .rig
        .write(&[
            update("w1", 1, &[("email.value", text("new@1.example"))], &[("email.value", text("office@1.example"))]),
            update("w2", 2, &[("phone.value", text("+44 9"))], &[("phone.value", Value::Null)]),
            update("w3", 3, &[("email.value", text("new@3.example"))], &[("email.value", text("office@3.example"))]),
        ])
        .await?;
    assert!(outcomes.iter().all(|it| it.result == OutcomeResult::Rejected), "{outcomes:?}");
    let actual = |place: usize| outcomes[place].actual.clone();
    assert_eq!(actual(0), fields(&[("email.value", text("main@1.example"))]));
    assert_eq!(actual(1), fields(&[("phone.value", text("+44 2"))]));
    assert_eq!(actual(2), fields(&[("email.value", Value::Null)]), "the record is there, the row is not");
    assert_eq!(party(&erp, 1).await?, "party 1 | email office@1.example, email main@1.example | Mill Lane 1 Leeds");
    // Only the row that counts is changed.
    let again = update("w4", 1, &[("email.value", text("new@1.example"))], &[("email.value", text("main@1.example"))]);
    assert_eq!(erp.rig.write_one(again).await?.result, OutcomeResult::Applied);
    assert_eq!(party(&erp, 1).await?, "party 1 | email office@1.example, email new@1.example | Mill Lane 1 Leeds");
    running.stop().await
}

#[tokio::test]
async fn a_row_that_somebody_is_just_adding_is_waited_for_and_then_seen() -> Result<()> {
    let erp = erp().await?;
    let running = erp.run()?;
    let other = connect(&erp.server.url("erp")).await?;
    other.batch_execute("begin; insert into party_contact_mechanism (party, type, value) values (1, 'phone', '+44 1')").await?;
    let write = update("w1", 1, &[("phone.value", text("+44 9"))], &[("phone.value", Value::Null)]);
    erp.rig.send(&[write]).await?;
    // Other records go on meanwhile.
    let free = update("w2", 2, &[("phone.value", text("+44 2"))], &[("phone.value", Value::Null)]);
    assert_eq!(erp.rig.write_one(free).await?.result, OutcomeResult::Applied);
    assert_eq!(party(&erp, 1).await?, "party 1 | email office@1.example | Mill Lane 1 Leeds");
    other.batch_execute("commit").await?;
    let outcome = rig::eventually("the held write's answer", async || Ok(erp.rig.outcomes().await?.remove("w1"))).await?.pop();
    let outcome = outcome.expect("an outcome");
    assert_eq!((outcome.result, outcome.actual), (OutcomeResult::Rejected, fields(&[("phone.value", text("+44 1"))])));
    assert_eq!(party(&erp, 1).await?, "party 1 | email office@1.example, phone +44 1 | Mill Lane 1 Leeds");
    running.stop().await
}

#[tokio::test]
async fn a_create_makes_the_root_row_and_its_rows_once() -> Result<()> {
    let erp = erp().await?;
    let running = erp.run()?;
    let made = |id: &str, entity: &str, values: &[(&str, Value)]| Write {
        rows: vec![email(), phone(), invoice(), term(WhenEmpty::Delete)],
        ..create(Side::Erp, id, entity, "public.party_party", "concord_id", values)
    };
    let all = [
        ("name", text("Tundra Optics AB")),
        ("is_company", Value::Bool(true)),
        ("email.value", text("office@tundra.example")),
        ("invoice.Street", text("Storgatan 1")),
        ("invoice.city", text("Kiruna")),
        ("term.name", text("Net 15")),
    ];
    let outcome = erp.rig.write_one(made("w1", "entity-1", &all)).await?;
    assert_eq!(outcome.result, OutcomeResult::Applied, "{outcome:?}");
    let id: i32 = outcome.record.expect("a record").parse()?;
    let whole = "Tundra Optics AB | email office@tundra.example | Storgatan 1 Kiruna | Net 15";
    assert_eq!(party(&erp, id).await?, whole);
    // Another try, whose answer the ledger does not have, finds what is there.
    let again = erp.rig.write_one(made("w2", "entity-1", &all)).await?;
    assert_eq!((again.result, again.record), (OutcomeResult::Applied, Some(id.to_string())));
    // One row that is refused takes the whole record with it.
    let bad = [("name", text("Nope")), ("email.value", text("x@y")), ("phone.value", text("+1")), ("name", text("Nope"))];
    erp.client.batch_execute("alter table party_contact_mechanism add check (value <> '+1')").await?;
    let refused = erp.rig.write_one(made("w3", "entity-3", &bad)).await?;
    assert_eq!((refused.result, refused.code.as_deref()), (OutcomeResult::Failed, Some("23514")));
    let counts = erp.client.query_one("select (select count(*) from party_party where concord_id is not null), (select count(*) from party_contact_mechanism where party > 9)", &[]).await?;
    assert_eq!((counts.get::<_, i64>(0), counts.get::<_, i64>(1)), (1, 1));
    running.stop().await
}

#[tokio::test]
async fn a_delete_looks_at_the_rows_beside_the_root_too() -> Result<()> {
    let erp = erp().await?;
    let running = erp.run()?;
    let gone = |id: &str, party: &str, expected: &[(&str, Value)]| Write {
        rows: vec![email()],
        ..delete(Side::Erp, id, "public.party_party", party, expected)
    };
    let outcomes = erp
        .rig
        .write(&[
            gone("w1", "1", &[("name", text("party 1")), ("email.value", text("office@1.example"))]),
            gone("w2", "2", &[("name", text("party 2")), ("email.value", text("edited@2.example"))]),
            gone("w3", "99", &[("email.value", Value::Null)]),
        ])
        .await?;
    use OutcomeResult::{Applied, Rejected};
    assert_eq!(outcomes.iter().map(|it| it.result).collect::<Vec<_>>(), [Applied, Rejected, Applied]);
    assert_eq!(party(&erp, 1).await?, "none");
    assert_eq!(outcomes[1].actual, fields(&[("name", text("party 2")), ("email.value", text("office@2.example"))]));
    running.stop().await
}

#[tokio::test]
async fn a_write_without_values_tells_what_is_there() -> Result<()> {
    let erp = erp().await?;
    let running = erp.run()?;
    let outcome = erp.rig.write_one(update("read-1", 1, &[], &[("email.value", text("?")), ("phone.value", Value::Null)])).await?;
    assert_eq!(outcome.result, OutcomeResult::Applied);
    assert_eq!(outcome.actual, fields(&[("email.value", text("office@1.example")), ("phone.value", Value::Null)]));
    running.stop().await
}
