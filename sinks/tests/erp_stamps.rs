//! What a transaction of ours says about its changes, and what stays in the ledger for a later copy.

use anyhow::{Context as _, Result};
use schemas::Value;
use schemas::message::{OutcomeResult, Side, WhenEmpty, Write};
use schemas::stamp::{self, Stamp};
use stream::memory::Call;

use crate::erp::{Erp, rename};
use crate::erp_rows::{email, erp as parties, invoice, phone, term, text, update as update_party};
use crate::rig::{create, delete, eventually, fields, update};

/// Watches the stream from here on.
async fn watch(erp: &Erp, tables: &str) -> Result<()> {
    erp.client.batch_execute(&format!("create publication p for table {tables}")).await?;
    Ok(erp.client.batch_execute("select pg_create_logical_replication_slot('s', 'pgoutput')").await?)
}

/// What transactions said since the last look, one text for each message of ours.
async fn said(erp: &Erp) -> Result<Vec<Vec<Stamp>>> {
    let sql = "select data from pg_logical_slot_get_binary_changes('s', null, null, 'proto_version', '1', 'publication_names', 'p', 'messages', 'true')";
    let mut said = Vec::new();
    for row in erp.client.query(sql, &[]).await? {
        let bytes: Vec<u8> = row.get(0);
        // Kind, flags, position, prefix and its end, length.
        let Some((_, rest)) = bytes.split_at_checked(10).filter(|(head, _)| head[0] == b'M' && head[1] == 1) else { continue };
        let rest = rest.strip_prefix(stamp::PREFIX.as_bytes()).context("a message of another prefix")?;
        said.push(stamp::read(&rest[5..]).context("stamps")?);
    }
    Ok(said)
}

/// The same, as sorted `table record write`.
async fn stamps(erp: &Erp) -> Result<Vec<String>> {
    let line = |stamp: Stamp| format!("{} {} {}", stamp.object, stamp.record, stamp.write);
    let mut lines: Vec<String> = said(erp).await?.into_iter().flatten().map(line).collect();
    lines.sort();
    Ok(lines)
}

#[tokio::test]
async fn each_row_that_was_changed_made_or_removed_is_said_with_its_write_and_no_other() -> Result<()> {
    let erp = Erp::new().await?;
    erp.client
        .batch_execute(
            "create table touched (customer int); create function touch() returns trigger language plpgsql as $$ begin insert into touched values (new.id); return null; end $$;
             create trigger touch after update on customers for each row execute function touch()",
        )
        .await?;
    watch(&erp, "customers, touched").await?;
    let running = erp.run()?;
    let entity = "6b1f3c0e-0000-4000-8000-000000000002";
    let outcomes = erp
        .rig
        .write(&[
            rename("a:w1", 1, "Acme", "customer 1"),
            rename("b:w1", 2, "Bolt", "something else"),
            rename("c:w1", 3, "customer 3", "customer 3"),
            delete(Side::Erp, "d:w1", "public.customers", "4", &[]),
            delete(Side::Erp, "e:w1", "public.customers", "9999", &[]),
            create(Side::Erp, "f:w1", entity, "public.customers", "concord_id", &[("name", "New".into())]),
            update(Side::Erp, "g:w1", "public.customers", "6", &[], &[("name", "?".into())]),
            // It spoils the first try of the batch, so all is done again with care.
            rename("h:w1", 7, "forbidden", "customer 7"),
        ])
        .await?;
    use OutcomeResult::{Applied, Failed, Rejected};
    let results: Vec<OutcomeResult> = outcomes.iter().map(|it| it.result).collect();
    assert_eq!(results, [Applied, Rejected, Applied, Applied, Applied, Applied, Applied, Failed]);
    // The try that was rolled back has used up a number of the key's sequence.
    let made = format!("public.customers {} f:w1", outcomes[5].record.as_deref().context("a record")?);
    assert_eq!(
        stamps(&erp).await?,
        ["public.customers 1 a:w1", "public.customers 3 c:w1", "public.customers 4 d:w1", made.as_str()],
        "an update that changes nothing too"
    );
    // Another create of the same record changes nothing and says nothing; nor does a refusal.
    let again = create(Side::Erp, "f:w2", entity, "public.customers", "concord_id", &[("name", "Other".into())]);
    let outcomes = erp.rig.write(&[again, rename("b:w2", 2, "Bolt", "wrong again")]).await?;
    assert_eq!(outcomes.iter().map(|it| it.result).collect::<Vec<_>>(), [Rejected, Rejected]);
    assert_eq!(outcomes[0].actual, fields(&[("name", "New".into())]));
    assert_eq!(said(&erp).await?, Vec::<Vec<Stamp>>::new());
    running.stop().await
}

#[tokio::test]
async fn one_transaction_says_all_its_writes_at_once_and_in_order() -> Result<()> {
    let erp = Erp::new().await?;
    watch(&erp, "customers").await?;
    let running = erp.run()?;
    erp.rig.is("sink.erp", schemas::message::HealthState::Running).await?;
    let writes: Vec<Write> = (1..=500).map(|n| rename(&format!("e{n}:w1"), n, &format!("renamed {n}"), &format!("customer {n}"))).collect();
    erp.rig.write(&writes).await?;
    let transactions: i64 = erp.client.query_one("select count(distinct xmin::text) from customers where edits > 0", &[]).await?.get(0);
    let said = said(&erp).await?;
    assert_eq!(said.len(), usize::try_from(transactions)?, "one message for each transaction");
    assert_eq!(said.iter().flatten().count(), 500);
    for stamp in said.iter().flatten() {
        assert_eq!(stamp.write, format!("e{}:w1", stamp.record));
    }
    running.stop().await
}

#[tokio::test]
async fn composite_keys_and_quoted_names_are_spelled_as_capture_spells_them_in_stream_and_ledger() -> Result<()> {
    let erp = Erp::new().await?;
    erp.client
        .batch_execute(
            "create schema \"Sales.EU\";
             create table \"Sales.EU\".\"Order \"\"Line\" (\"Order No\" int, \"na.me\" text, pos char(3), primary key (pos, \"Order No\") include (\"na.me\"));
             insert into \"Sales.EU\".\"Order \"\"Line\" values (1, 'one', 'a'), (2, 'two', 'b');
             create table coded (id int primary key, code text not null, name text);
             create unique index coded_code on coded (code); alter table coded replica identity using index coded_code;
             insert into coded values (1, 'A/1', 'one')",
        )
        .await?;
    watch(&erp, "\"Sales.EU\".\"Order \"\"Line\", coded").await?;
    let running = erp.run()?;
    let object = "Sales.EU.Order \"Line";
    let new = [("Order No", Value::Int(3)), ("pos", "c\"".into())];
    let outcomes = erp
        .rig
        .write(&[
            update(Side::Erp, "a:w1", object, r#"["a  ","1"]"#, &[("na.me", "uno".into())], &[("na.me", "one".into())]),
            // The same record in another spelling of the array.
            delete(Side::Erp, "b:w1", object, r#"[ "b  ", 2 ]"#, &[]),
            Write { id_column: None, ..create(Side::Erp, "c:w1", "c", object, "", &new) },
            update(Side::Erp, "d:w1", "public.coded", "A/1", &[("name", "uno".into())], &[("name", "one".into())]),
        ])
        .await?;
    assert!(outcomes.iter().all(|it| it.result == OutcomeResult::Applied), "{outcomes:?}");
    let spelled = [
        r#"Sales.EU.Order "Line ["a  ","1"] a:w1"#,
        r#"Sales.EU.Order "Line ["b  ","2"] b:w1"#,
        r#"Sales.EU.Order "Line ["c\" ","3"] c:w1"#,
        "public.coded A/1 d:w1",
    ];
    assert_eq!(stamps(&erp).await?, spelled);
    let sql = "select object || ' ' || record || ' ' || write_id from concord.ledger order by write_id";
    let ledger: Vec<String> = erp.client.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect();
    assert_eq!(ledger, spelled);
    running.stop().await
}

#[tokio::test]
async fn rows_beside_the_root_that_are_set_made_or_removed_are_said_with_the_same_write() -> Result<()> {
    let erp = parties().await?;
    watch(&erp, "party_party, party_contact_mechanism, party.\"Address\", account_invoice_payment_term").await?;
    let running = erp.run()?;
    let write = async |write: Write| {
        let outcome = erp.rig.write_one(write).await?;
        anyhow::ensure!(outcome.result == OutcomeResult::Applied, "{outcome:?}");
        stamps(&erp).await
    };
    let all = update_party(
        "a:w1",
        1,
        &[("name", text("Acme")), ("email.value", text("new@1.example")), ("phone.value", text("+44 1")), ("term.name", text("Net 30"))],
        &[("name", text("party 1")), ("email.value", text("office@1.example")), ("phone.value", Value::Null), ("term.name", Value::Null)],
    );
    assert_eq!(
        write(all).await?,
        [
            "public.account_invoice_payment_term 1 a:w1",
            "public.party_contact_mechanism 1 a:w1",
            "public.party_contact_mechanism 101 a:w1",
            "public.party_party 1 a:w1",
        ]
    );
    let only_email = update_party("b:w1", 2, &[("email.value", Value::Null)], &[("email.value", text("office@2.example"))]);
    assert_eq!(write(only_email).await?, ["public.party_contact_mechanism 2 b:w1"], "removed, and the root untouched");
    let retired = update_party("a:w2", 1, &[("phone.value", Value::Null)], &[("phone.value", text("+44 1"))]);
    assert_eq!(write(retired).await?, ["public.party_contact_mechanism 101 a:w2"]);
    let address = update_party("c:w1", 3, &[("invoice.city", text("York"))], &[("invoice.city", text("Leeds"))]);
    assert_eq!(write(address).await?, ["party.Address 3 c:w1"]);
    let let_go = update_party("a:w3", 1, &[("term.name", Value::Null)], &[("term.name", text("Net 30"))]);
    assert_eq!(write(let_go).await?, ["public.party_party 1 a:w3"], "the row that is pointed at no more stays as it is");
    let nothing = update_party("d:w1", 4, &[("phone.value", Value::Null)], &[("phone.value", Value::Null)]);
    assert_eq!(write(nothing).await?, Vec::<String>::new(), "there is no row, and none is wanted");
    let gone = Write { rows: vec![email()], ..delete(Side::Erp, "e:w1", "public.party_party", "5", &[("name", text("party 5"))]) };
    assert_eq!(write(gone).await?, ["public.party_party 5 e:w1"], "what the foreign key removes with it is not said");
    running.stop().await
}

#[tokio::test]
async fn a_create_of_several_rows_says_each_and_one_that_is_there_tells_all_of_its_values() -> Result<()> {
    let erp = parties().await?;
    watch(&erp, "party_party, party_contact_mechanism, party.\"Address\", account_invoice_payment_term").await?;
    let running = erp.run()?;
    let made = |id: &str| Write {
        rows: vec![email(), phone(), invoice(), term(WhenEmpty::Delete)],
        ..create(
            Side::Erp,
            id,
            "entity-1",
            "public.party_party",
            "concord_id",
            &[
                ("name", text("Tundra")),
                ("email.value", text("a@b")),
                ("invoice.Street", text("Storgatan 1")),
                ("term.name", text("Net 15")),
            ],
        )
    };
    let first = erp.rig.write_one(made("a:w1")).await?;
    assert_eq!(
        stamps(&erp).await?,
        [
            "party.Address 101 a:w1",
            "public.account_invoice_payment_term 1 a:w1",
            "public.party_contact_mechanism 101 a:w1",
            "public.party_party 101 a:w1",
        ]
    );
    let again = erp.rig.write_one(made("a:w2")).await?;
    assert_eq!((again.result, again.record, again.actual), (OutcomeResult::Applied, first.record, first.actual));
    assert_eq!(stamps(&erp).await?, Vec::<String>::new());
    running.stop().await
}

#[tokio::test]
async fn a_write_that_the_ledger_answers_says_nothing_again() -> Result<()> {
    let erp = Erp::new().await?;
    watch(&erp, "customers").await?;
    erp.rig.send(&[rename("a:w1", 1, "Acme", "customer 1")]).await?;
    // The database commits, the answer never gets out.
    erp.rig.memory.faults().refuse_next(Call::Commit, u64::MAX);
    let running = erp.run()?;
    eventually("the database has it", async || Ok((erp.name(1).await?.0 == "Acme").then_some(()))).await?;
    running.crash().await;
    assert_eq!(stamps(&erp).await?, ["public.customers 1 a:w1"]);
    erp.rig.memory.faults().refuse_next(Call::Commit, 0);
    let running = erp.run()?;
    let answered = erp.rig.answered(&[rename("a:w1", 1, "Acme", "customer 1")]).await?;
    assert_eq!((answered[0].result, answered[0].actual.clone()), (OutcomeResult::Applied, fields(&[("name", "Acme".into())])));
    assert_eq!(stamps(&erp).await?, Vec::<String>::new());
    running.stop().await
}

#[tokio::test]
async fn an_older_ledger_is_brought_up_to_date_and_one_that_is_not_ours_is_used_as_it_is() -> Result<()> {
    let erp = Erp::new().await?;
    erp.client.batch_execute(include_str!("../../migrations/erp/0001_ledger.sql")).await?;
    erp.client.batch_execute("insert into concord.ledger (write_id, entity, object, record, result) values ('old:w1', 'old', 'public.customers', '7', 'applied')").await?;
    erp.client
        .batch_execute(
            "create user sync password 'sync'; grant select, insert, update on customers to sync; grant usage on schema concord to sync;
             grant select, insert, delete on concord.ledger to sync; select pg_replication_origin_create('concord');
             grant execute on function pg_replication_origin_session_setup(text), pg_replication_origin_xact_setup(pg_lsn, timestamptz) to sync",
        )
        .await?;
    let config = sinks::erp::Config::new(erp.server.url_as("sync", "sync", "erp"));
    let running = erp.rig.erp(config.clone())?;
    assert_eq!(erp.rig.write_one(rename("a:w1", 1, "Acme", "customer 1")).await?.result, OutcomeResult::Applied);
    running.stop().await?;
    assert_eq!(sinks::erp::setup(&config, &[]).await?, Vec::<String>::new());
    let done = sinks::erp::setup(&erp.config(), &[]).await?;
    assert_eq!(done, ["brought table concord.ledger in database erp up to date"]);
    assert_eq!(sinks::erp::setup(&erp.config(), &[]).await?, Vec::<String>::new());
    let running = erp.rig.erp(config)?;
    erp.rig.write(&[rename("b:w1", 2, "Bolt", "customer 2")]).await?;
    erp.rig.write(&[rename("a:w2", 1, "Acme Ltd", "Acme")]).await?;
    let sql = "select write_id from concord.ledger order by ordinal";
    let order: Vec<String> = erp.client.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect();
    assert_eq!(order, ["old:w1", "a:w1", "b:w1", "a:w2"]);
    running.stop().await
}

#[tokio::test]
async fn a_user_who_may_not_say_which_write_it_is_is_told_the_command() -> Result<()> {
    let erp = Erp::new().await?;
    erp.client.batch_execute("create user sync password 'sync'; grant create on database erp to sync; grant execute on function pg_replication_origin_session_setup(text), pg_replication_origin_xact_setup(pg_lsn, timestamptz), pg_replication_origin_create(text) to sync").await?;
    erp.client
        .batch_execute("do $$ declare f regprocedure; begin for f in select oid from pg_proc where proname = 'pg_logical_emit_message' loop execute 'revoke execute on function ' || f || ' from public'; end loop; end $$")
        .await?;
    let config = sinks::erp::Config::new(erp.server.url_as("sync", "sync", "erp"));
    let error = sinks::erp::setup(&config, &[]).await.expect_err("it may not");
    let remedy = error.remedy().to_owned();
    let command = remedy.strip_prefix("run as superuser: ").context(remedy.clone())?;
    assert!(command.starts_with("GRANT EXECUTE ON FUNCTION pg_logical_emit_message("), "{remedy}");
    erp.client.batch_execute(command).await?;
    sinks::erp::setup(&config, &[]).await?;
    Ok(())
}

#[tokio::test]
async fn an_answer_has_the_values_that_triggers_left_behind() -> Result<()> {
    let erp = Erp::new().await?;
    erp.client
        .batch_execute(
            "create table codes (id serial primary key, concord_id uuid unique, name text);
             create function louder() returns trigger language plpgsql as $$ begin
                 if new.name <> upper(new.name) then update codes set name = upper(name) where id = new.id; end if; return null; end $$;
             create constraint trigger louder after insert or update on codes deferrable initially deferred for each row execute function louder();
             insert into codes (name) values ('ONE')",
        )
        .await?;
    watch(&erp, "codes").await?;
    let running = erp.run()?;
    let entity = "6b1f3c0e-0000-4000-8000-000000000002";
    let made = |id: &str, id_column: Option<&str>| Write {
        id_column: id_column.map(str::to_owned),
        ..create(Side::Erp, id, entity, "public.codes", "", &[("name", "new".into())])
    };
    for (write, name) in [
        (update(Side::Erp, "a:w1", "public.codes", "1", &[("name", "uno".into())], &[("name", "ONE".into())]), "UNO"),
        (made("b:w1", Some("concord_id")), "NEW"),
        (made("c:w1", None), "NEW"),
    ] {
        let outcome = erp.rig.write_one(write).await?;
        assert_eq!((outcome.result, outcome.actual), (OutcomeResult::Applied, fields(&[("name", name.into())])));
    }
    assert_eq!(stamps(&erp).await?, ["public.codes 1 a:w1", "public.codes 2 b:w1", "public.codes 3 c:w1"]);
    running.stop().await
}
