//! An edit on either side reaches the other, on the embedded log and on a real Kafka.

use serde_json::{Value as Json, json};
use simulator::Actor;
use tests::{Log, World, eventually, on_both_logs};

on_both_logs! {
    edits_on_either_side_reach_the_other;
    records_made_on_either_side_are_made_once_on_the_other;
    the_newer_of_two_edits_of_one_field_wins_and_the_other_is_kept;
    a_costly_conflict_waits_for_a_person_and_holds_only_its_field;
    a_value_that_salesforce_trims_is_agreed_and_not_carried_back;
    what_an_erp_trigger_changes_in_our_transaction_is_a_real_change;
    a_thousand_customers_changed_by_one_statement_agree;
    a_record_that_salesforce_refuses_stops_only_itself;
    an_erp_outage_pauses_the_side_and_heals_by_itself;
    totals_follow_invoices_payments_and_opportunities;
}

async fn edits_on_either_side_reach_the_other(log: Log) {
    let world = World::start(log, 12).await;
    let account = world.account_of(1).await;
    world.sql("update customers set phone = '+49 40 5550100', payment_terms = 'N60' where id = 1").await;
    eventually("the phone in Salesforce", || async { world.account_field(account, "Phone") }, |phone| phone == "+49 40 5550100").await;
    eventually("the terms in Salesforce", || async { world.account_field(account, "Payment_Terms__c") }, |terms| terms == "NET60").await;

    world.edit_account(account, &json!({"BillingStreet": "Mill Lane 7", "Website": null}));
    eventually("the street in the ERP", || world.customer_field(1, "street"), |street| street.as_deref() == Some("Mill Lane 7")).await;
    eventually("no website in the ERP", || world.customer_field(1, "website"), Option::is_none).await;

    let contact = world.contact_of(account);
    let person = Actor::lightning(world.org().admin_user());
    world.org().update(&person, contact, &json!({"Title": "Chief Buyer"})).expect("edited");
    let email = world
        .org()
        .with_record(contact, |record| record.text("Email"))
        .flatten()
        .unwrap_or_else(|| panic!("an e-mail of {:?}", world.org().record(contact)));
    let title = || async {
        let rows = world.erp.query("select title from contacts where email = $1", &[&email]).await.expect("contacts");
        let titles: Vec<Option<String>> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(titles.len(), 1, "contacts with e-mail {email}: {titles:?}");
        titles[0].clone()
    };
    eventually("the title in the ERP", title, |title| title.as_deref() == Some("Chief Buyer")).await;
    world.agree("edits on both sides").await;
    world.stop().await;
}

async fn records_made_on_either_side_are_made_once_on_the_other(log: Log) {
    let world = World::start(log, 12).await;
    world
        .sql("insert into customers (name, tax_id, city, country) values ('Harbour Lights Ltd', 'GB900000001', 'Leeds', 'United Kingdom')")
        .await;
    world.sql("insert into contacts (customer_id, first_name, last_name, email) select id, 'Grace', 'Walsh', 'grace@harbour-lights.example' from customers where name = 'Harbour Lights Ltd'").await;
    let found = eventually(
        "an account",
        || async { world.org().find("Account", "Name", "Harbour Lights Ltd") },
        |found: &Vec<_>| !found.is_empty(),
    )
    .await;
    assert_eq!(world.account_field(found[0], "BillingCity"), "Leeds");

    let person = Actor::lightning(world.org().admin_user());
    let account = world.org().create(&person, "Account", &json!({"Name": "Tundra Optics AB", "BillingCountry": "Sweden"})).expect("made");
    // The contact comes with its parent; it must wait until the customer exists in the ERP.
    let contact = json!({"AccountId": account.to_string(), "LastName": "Lindgren", "Email": "lindgren@tundra-optics.example"});
    world.org().create(&person, "Contact", &contact).expect("made");
    let contacts = || async {
        let rows = world
            .erp
            .query(
                "select c.name from contacts p join customers c on c.id = p.customer_id where p.email = 'lindgren@tundra-optics.example'",
                &[],
            )
            .await
            .expect("contacts");
        rows.into_iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>()
    };
    let names = eventually("the contact in the ERP", contacts, |names| !names.is_empty()).await;
    assert_eq!(names, ["Tundra Optics AB"]);
    world.agree("creates on both sides").await;
    // Edits of records that Concord made travel like any others.
    world.edit_account(found[0], &json!({"Phone": "+44 113 1"}));
    eventually(
        "the phone in the ERP",
        || async { phone_of(&world, "Harbour Lights Ltd").await },
        |phone| phone.as_deref() == Some("+44 113 1"),
    )
    .await;
    world.agree("an edit of a made record").await;
    world.stop().await;
}

async fn phone_of(world: &World, name: &str) -> Option<String> {
    world.erp.query_one("select phone from customers where name = $1", &[&name]).await.expect("a customer").get(0)
}

async fn the_newer_of_two_edits_of_one_field_wins_and_the_other_is_kept(log: Log) {
    let world = World::start(log, 12).await;
    let account = world.account_of(1).await;
    let name = world.customer_field(1, "name").await.expect("a name");
    world.pause().await;
    world.sql("update customers set city = 'Porto', updated_by = 'mira' where id = 1").await;
    // Commit times nearer than the skew are a tie; a person who is certainly later waits it out.
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    world.edit_account(account, &json!({"BillingCity": "Lyon"}));
    world.resume().await;
    eventually("the newer city in the ERP", || world.customer_field(1, "city"), |city| city.as_deref() == Some("Lyon")).await;
    assert_eq!(world.account_field(account, "BillingCity"), "Lyon");
    let settled =
        eventually("the conflict record", || world.conflicts("settled", &name), |conflicts: &Vec<Json>| !conflicts.is_empty()).await;
    assert_eq!(settled[0]["field"], "city");
    assert_eq!(settled[0]["erp"], "Porto", "the losing value is kept: {}", settled[0]);
    assert_eq!(settled[0]["winner"], "crm");
    world.agree("a settled conflict").await;
    world.stop().await;
}

async fn a_costly_conflict_waits_for_a_person_and_holds_only_its_field(log: Log) {
    let world = World::start(log, 12).await;
    let account = world.account_of(1).await;
    let name = world.customer_field(1, "name").await.expect("a name");
    world.pause().await;
    world.sql("update customers set credit_limit = 90000, updated_by = 'mira' where id = 1").await;
    world.edit_account(account, &json!({"Credit_Limit__c": 120_000}));
    world.resume().await;
    let open = eventually("an open conflict", || world.conflicts("open", &name), |conflicts: &Vec<Json>| !conflicts.is_empty()).await;
    assert_eq!(open[0]["field"], "credit_limit");
    // Other fields of the record go on.
    world.sql("update customers set phone = '+31 30 1' where id = 1").await;
    eventually("the phone in Salesforce", || async { world.account_field(account, "Phone") }, |phone| phone == "+31 30 1").await;
    assert_eq!(world.customer_field(1, "credit_limit").await.as_deref(), Some("90000.00"), "the field is held");
    let id = open[0]["id"].as_str().expect("an id");
    world.post(&format!("conflicts/{id}/resolve"), &json!({"choice": "crm"})).await;
    eventually("the decided limit in the ERP", || world.customer_field(1, "credit_limit"), |limit| limit.as_deref() == Some("120000.00"))
        .await;
    eventually("no open conflict", || world.conflicts("open", &name), Vec::is_empty).await;
    world.agree("a decision").await;
    world.stop().await;
}

async fn a_value_that_salesforce_trims_is_agreed_and_not_carried_back(log: Log) {
    let world = World::start(log, 12).await;
    let account = world.account_of(1).await;
    world.sql("update customers set street = '  Storgatan 1  ' where id = 1").await;
    eventually(
        "the trimmed street in Salesforce",
        || async { world.account_field(account, "BillingStreet") },
        |street| street == "Storgatan 1",
    )
    .await;
    let audit =
        eventually("an audit entry that says so", || world.get("changes"), |changes: &Json| changes.to_string().contains("Storgatan 1"))
            .await;
    assert!(audit.to_string().contains("altered"), "{audit}");
    // A later edit passes through the same pipe, so the trimmed value would have come back before it.
    world.edit_account(account, &json!({"Phone": "+46 31 1"}));
    eventually("the later edit", || world.customer_field(1, "phone"), |phone| phone.as_deref() == Some("+46 31 1")).await;
    assert_eq!(world.customer_field(1, "street").await.as_deref(), Some("  Storgatan 1  "));
    world.stop().await;
}

async fn what_an_erp_trigger_changes_in_our_transaction_is_a_real_change(log: Log) {
    let world = World::start(log, 12).await;
    world
        .sql(
            "create function shout() returns trigger language plpgsql as $$ begin new.city := upper(new.city); return new; end $$;
             create trigger shout before update of phone on customers for each row execute function shout()",
        )
        .await;
    let account = world.account_of(1).await;
    let city = world.customer_field(1, "city").await.expect("a city").to_uppercase();
    world.edit_account(account, &json!({"Phone": "+1 503 1"}));
    eventually("the trigger's city in Salesforce", || async { world.account_field(account, "BillingCity") }, |found| *found == city).await;
    world.agree("a trigger").await;
    world.stop().await;
}

async fn a_thousand_customers_changed_by_one_statement_agree(log: Log) {
    let world = World::start(log, 1_120).await;
    world.sql("update customers set city = 'Bergen', country = 'Norway' where id <= 1000").await;
    let agreement = world.agree("one statement").await;
    assert!(agreement.customers >= 1_000, "{agreement}");
    world.stop().await;
}

async fn a_record_that_salesforce_refuses_stops_only_itself(log: Log) {
    let world = World::start(log, 12).await;
    let (refused, other) = (world.account_of(1).await, world.account_of(2).await);
    // BillingCity takes 40 characters.
    world.sql("update customers set city = repeat('x', 60) where id = 1; update customers set city = 'Utrecht' where id = 2").await;
    eventually("the other record", || async { world.account_field(other, "BillingCity") }, |city| city == "Utrecht").await;
    let failures = eventually(
        "the failure with its reason",
        || world.get("failures"),
        |failures: &Json| failures.to_string().contains("STRING_TOO_LONG"),
    )
    .await;
    assert!(failures.to_string().contains("BillingCity"), "{failures}");
    // Mended at its source, it goes through.
    world.sql("update customers set city = 'Gdańsk' where id = 1").await;
    eventually("the mended record", || async { world.account_field(refused, "BillingCity") }, |city| city == "Gdańsk").await;
    world.agree("a mended record").await;
    world.stop().await;
}

async fn an_erp_outage_pauses_the_side_and_heals_by_itself(log: Log) {
    let world = World::start(log, 12).await;
    let account = world.account_of(1).await;
    // Nobody but us can sign in: what an operator sees when a password was changed.
    world.sql("alter role concord connection limit 0").await;
    world.sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'erp' and pid <> pg_backend_pid()").await;
    world.edit_account(account, &json!({"Phone": "+49 89 1"}));
    world.sql("alter role concord connection limit -1").await;
    eventually("the edit after the outage", || world.customer_field(1, "phone"), |phone| phone.as_deref() == Some("+49 89 1")).await;
    world.sql("update customers set city = 'Brno' where id = 1").await;
    eventually("the stream after the outage", || async { world.account_field(account, "BillingCity") }, |city| city == "Brno").await;
    world.agree("an outage").await;
    world.stop().await;
}

async fn totals_follow_invoices_payments_and_opportunities(log: Log) {
    let world = World::start(log, 12).await;
    let read_model = world.stack.read_model().await.expect("the read model");
    let totals = || async {
        let row = read_model
            .query_one("select coalesce(sum(ar_balance), 0)::text, coalesce(sum(open_orders), 0)::text from customer_financials", &[])
            .await
            .expect("totals");
        (row.get::<_, String>(0).parse::<f64>().expect("a number"), row.get::<_, String>(1))
    };
    let expected = || async {
        let sql = "select (select coalesce(sum(amount), 0) from invoices where status = 'open')::float8
                            - (select coalesce(sum(p.amount), 0) from payments p join invoices i on i.id = p.invoice_id where i.status = 'open')::float8,
                          (select count(*) from orders where status in ('draft', 'open'))::text";
        let row = world.erp.query_one(sql, &[]).await.expect("totals");
        (row.get::<_, f64>(0), row.get::<_, String>(1))
    };
    for sql in [
        "select 1",
        "insert into payments (customer_id, invoice_id, paid_on, amount) select customer_id, id, current_date, 10 from invoices where status = 'open' limit 1",
        "update orders set status = 'cancelled' where id = (select min(id) from orders where status = 'open')",
    ] {
        world.sql(sql).await;
        let wanted = expected().await;
        eventually("receivables and orders to agree with the ERP", totals, |found| {
            (found.0 - wanted.0).abs() < 0.005 && found.1 == wanted.1
        })
        .await;
    }
    let mut stages = std::collections::BTreeMap::new();
    world.org().scan("Opportunity", |record| {
        if !record.is_deleted() {
            *stages.entry(record.text("StageName").unwrap_or_default()).or_insert(0i64) += 1;
        }
    });
    let counts = || async {
        let rows = read_model
            .query("select stage, count from pipeline_summary where stage <> 'all' and count > 0", &[])
            .await
            .expect("the pipeline");
        rows.into_iter().map(|row| (row.get::<_, String>(0), row.get::<_, i64>(1))).collect::<std::collections::BTreeMap<_, _>>()
    };
    eventually("the pipeline to agree with Salesforce", counts, |counts| *counts == stages).await;
    world.stop().await;
}
