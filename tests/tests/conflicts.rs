//! Each kind of conflict of design section 7 on real systems, by name: what policies, people and time make of it, looked up in
//! both systems afterwards.

use std::collections::BTreeMap;

use app::stack::StackOptions;
use serde_json::{Value as Json, json};
use simulator::{Actor, RecordId};
use tests::{Log, World, eventually, on_both_logs};

on_both_logs! {
    policies_settle_what_both_sides_changed_and_people_decide_the_rest;
    deletes_returns_merges_and_conversions_follow_their_policies;
}

/// The demo's mapping, with a policy of each kind.
fn mapping() -> String {
    let field = |name: &str| format!("[entity.customer.field.{name}]\n");
    let with = |text: String, name: &str, lines: &str| text.replacen(&field(name), &format!("{}{lines}\n", field(name)), 1);
    let text = app::sample::MAPPING.to_owned();
    let text = with(text, "city", "policy = \"crm\"");
    let text = with(text, "website", "policy = \"review\"");
    let text = with(text, "street", "direction = \"to_crm\"\ndrift = \"reassert\"");
    let text = with(text, "postal_code", "direction = \"to_crm\"\ndrift = \"report\"");
    with(text, "country", "direction = \"to_crm\"")
}

async fn world(log: Log, companies: usize) -> World {
    World::start_with(log, StackOptions { companies, mapping: mapping(), ..StackOptions::default() }).await
}

async fn title(world: &World, customer: i64) -> String {
    world.customer_field(customer, "name").await.expect("a name")
}

/// The conflicts of a customer's field.
async fn about(world: &World, customer: i64, state: &str, field: &str) -> Vec<Json> {
    let title = title(world, customer).await;
    world.conflicts(state, &title).await.into_iter().filter(|conflict| conflict["field"] == field).collect()
}

async fn one(world: &World, customer: i64, state: &str, field: &str) -> Json {
    let found = eventually(
        &format!("a conflict about {field} of customer {customer}, {state}"),
        || about(world, customer, state, field),
        |found: &Vec<Json>| !found.is_empty(),
    )
    .await;
    found[0].clone()
}

/// Both systems hold a value.
async fn both(world: &World, customer: i64, account: RecordId, column: &str, field: &str, value: &str) {
    eventually(
        &format!("{column} of customer {customer}"),
        || world.customer_field(customer, column),
        |found| found.as_deref() == Some(value),
    )
    .await;
    eventually(&format!("{field} of customer {customer}"), || async { world.account_field(account, field) }, |found| *found == value).await;
}

/// The id of the newest write to a side for a record.
async fn last_write(world: &World, customer: i64, value: &str) -> String {
    let read_model = world.stack.read_model().await.expect("the read model");
    let title = title(world, customer).await;
    let sql = "select id from audit where title = $1 and columns::text like $2 order by at desc limit 1";
    let pattern = format!("%{value}%");
    let found = eventually(
        "the write in the audit",
        || async { read_model.query(sql, &[&title, &pattern]).await.expect("the audit").first().map(|row| row.get::<_, String>(0)) },
        Option::is_some,
    )
    .await;
    found.expect("a write")
}

async fn policies_settle_what_both_sides_changed_and_people_decide_the_rest(log: Log) {
    let world = world(log, 30).await;
    let mut accounts = BTreeMap::new();
    for customer in [1, 2, 3, 5, 6, 7, 8, 9] {
        accounts.insert(customer, world.account_of(customer).await);
    }
    let account = |customer: i64| accounts[&customer];
    // Writing is held back, so that both sides are edited before either edit is carried across: the first write will find its
    // precondition broken.
    world.pause().await;
    world.sql("update customers set phone = 'old', updated_by = 'mira' where id = 1").await;
    world.sql("update customers set phone = 'tie erp' where id = 2").await;
    world.edit_account(account(2), &json!({"Phone": "tie crm"}));
    world.sql("update customers set city = 'Erptown' where id = 3").await;
    world.edit_account(account(3), &json!({"BillingCity": "Crmville"}));
    let terms = world.customer_field(9, "payment_terms").await.expect("terms");
    let (erp_terms, wanted) = if terms == "N15" { ("N30", "NET30") } else { ("N15", "NET15") };
    let (crm_terms, lost) = if terms == "N60" { ("NET45", "45 days") } else { ("NET60", "60 days") };
    world.sql(&format!("update customers set payment_terms = '{erp_terms}' where id = 9")).await;
    world.edit_account(account(9), &json!({ "Payment_Terms__c": crm_terms }));
    world.sql("update customers set website = 'erp.example' where id = 5").await;
    world.edit_account(account(5), &json!({"Website": "crm.example"}));
    world.sql("update customers set credit_limit = 90000 where id = 6").await;
    world.edit_account(account(6), &json!({"Credit_Limit__c": 120_000}));
    world.edit_account(account(7), &json!({"BillingStreet": "Drift Road 1", "BillingPostalCode": "D-1", "BillingCountry": "Driftland"}));
    // Later than the skew.
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    world.edit_account(account(1), &json!({"Phone": "new"}));
    world.resume().await;

    // last_write: the newer edit wins, and the older one is kept.
    both(&world, 1, account(1), "phone", "Phone", "new").await;
    let kept = one(&world, 1, "settled", "phone").await;
    assert_eq!((&kept["erp"], &kept["winner"], &kept["policy"]), (&json!("old"), &json!("crm"), &json!("last_write")), "{kept}");
    // tie: within the skew, the configured side.
    both(&world, 2, account(2), "phone", "Phone", "tie erp").await;
    let tie = one(&world, 2, "settled", "phone").await;
    assert_eq!((&tie["tie"], &tie["crm"]), (&json!(true), &json!("tie crm")), "{tie}");
    // crm and erp: the side wins, whoever was later.
    both(&world, 3, account(3), "city", "BillingCity", "Crmville").await;
    assert_eq!(one(&world, 3, "settled", "city").await["erp"], "Erptown");
    eventually("the ERP's terms", || async { world.account_field(account(9), "Payment_Terms__c") }, |terms| terms == wanted).await;
    assert_eq!(one(&world, 9, "settled", "payment_terms").await["crm"], lost);
    // drift: put back, reported, kept.
    eventually("the street put back", || async { world.account_field(account(7), "BillingStreet") }, |street| street != "Drift Road 1")
        .await;
    assert_eq!(one(&world, 7, "settled", "street").await["crm"], "Drift Road 1");
    assert_eq!(one(&world, 7, "settled", "postal_code").await["crm"], "D-1");
    assert_eq!(world.account_field(account(7), "BillingPostalCode"), "D-1");
    assert_eq!(world.account_field(account(7), "BillingCountry"), "Driftland");
    assert!(about(&world, 7, "settled", "country").await.is_empty());
    // review: held until a person decides; each side may keep its own.
    let review = one(&world, 5, "open", "website").await;
    assert_eq!(world.decide(json!({"action": "settle", "conflict": review["id"], "choice": "both"})).await["result"], "accepted");
    one(&world, 5, "settled", "website").await;
    assert_eq!(world.customer_field(5, "website").await.as_deref(), Some("erp.example"));
    assert_eq!(world.account_field(account(5), "Website"), "crm.example");
    // review_when: costly ones are asked about whatever the policy says.
    let costly = one(&world, 6, "open", "credit_limit").await;
    assert_eq!(world.decide(json!({"action": "settle", "conflict": costly["id"], "choice": "erp"})).await["result"], "accepted");
    eventually(
        "the limit in Salesforce",
        || async { world.account_field(account(6), "Credit_Limit__c") },
        |limit| limit.as_f64() == Some(90_000.0),
    )
    .await;

    // restore: the value that lost comes back on both sides.
    assert_eq!(world.decide(json!({"action": "restore", "conflict": kept["id"], "choice": "erp"})).await["result"], "accepted");
    both(&world, 1, account(1), "phone", "Phone", "old").await;
    // reopen: both sides get back what they held, and a person decides anew.
    assert_eq!(world.decide(json!({"action": "reopen", "conflict": costly["id"]})).await["result"], "accepted");
    eventually(
        "the limit given back",
        || async { world.account_field(account(6), "Credit_Limit__c") },
        |limit| limit.as_f64() == Some(120_000.0),
    )
    .await;
    one(&world, 6, "open", "credit_limit").await;
    assert_eq!(world.customer_field(6, "credit_limit").await.as_deref(), Some("90000.00"));
    // reopen of a policy's settlement, with an edit since: refused with who edited.
    world.sql("update customers set city = 'Later', updated_by = 'mira' where id = 3").await;
    eventually("the later city", || async { world.account_field(account(3), "BillingCity") }, |city| city == "Later").await;
    let settled = one(&world, 3, "settled", "city").await;
    let refused = world.decide(json!({"action": "reopen", "conflict": settled["id"]})).await;
    assert_eq!(refused["result"], "refused", "{refused}");
    assert!(refused.to_string().contains("mira"), "{refused}");
    // undo of a write: both sides hold what they held before, and what that replaced is kept.
    let before = world.customer_field(8, "phone").await.unwrap_or_default();
    world.edit_account(account(8), &json!({"Phone": "+000 wrong"}));
    eventually("the wrong phone", || world.customer_field(8, "phone"), |phone| phone.as_deref() == Some("+000 wrong")).await;
    let write = last_write(&world, 8, "+000 wrong").await;
    assert_eq!(world.decide(json!({"action": "undo", "write": write})).await["result"], "accepted");
    both(&world, 8, account(8), "phone", "Phone", &before).await;
    assert_eq!(one(&world, 8, "settled", "phone").await["crm"], "+000 wrong");
    world.stop().await;
}

async fn status(world: &World, customer: i64) -> String {
    world.customer_field(customer, "status").await.unwrap_or_default()
}

async fn deletes_returns_merges_and_conversions_follow_their_policies(log: Log) {
    let world = world(log, 20).await;
    let person = Actor::lightning(world.org().admin_user());
    let number = world.customer_field(1, "number").await.expect("a number");
    let account = world.account_of(1).await;

    // delete: the counterpart is archived; undelete: it is taken out of the archive.
    world.org().delete(&person, account).expect("deleted");
    eventually("the customer archived", || status(&world, 1), |status| status == "closed").await;
    world.org().undelete(&person, account).expect("back");
    eventually("the customer out of the archive", || status(&world, 1), |status| status == "active").await;
    assert_eq!(world.org().find("Account", "ERP_Id__c", &number).len(), 1);

    // delete against edit: a conflict, and nothing is lost.
    let other = world.account_of(2).await;
    world.pause().await;
    world.sql("update customers set phone = 'edited meanwhile' where id = 2").await;
    let read_model = world.stack.read_model().await.expect("the read model");
    let sent = || async {
        let sql = "select count(*) from write where side = 'crm' and \"values\"::text like '%edited meanwhile%'";
        read_model.query_one(sql, &[]).await.expect("writes").get::<_, i64>(0)
    };
    eventually("the edit on its way", sent, |writes| *writes == 1).await;
    world.org().delete(&person, other).expect("deleted");
    world.resume().await;
    let conflict = eventually(
        "the conflict about the record",
        || async {
            let mut found = about(&world, 2, "settled", "$record").await;
            found.extend(about(&world, 2, "open", "$record").await);
            found
        },
        |found: &Vec<Json>| !found.is_empty(),
    )
    .await;
    assert!(conflict[0]["reason"].as_str().is_some_and(|reason| reason.contains("deleted in Salesforce")), "{}", conflict[0]);
    assert_eq!(world.customer_field(2, "phone").await.as_deref(), Some("edited meanwhile"));
    assert_eq!(status(&world, 2).await, "active");

    // merge: the loser's row stays, and nobody is made twice.
    let (winner, loser) = (world.account_of(3).await, world.account_of(9).await);
    let accounts = world.org().count("Account");
    world.org().merge(&person, winner, &[loser], &json!({})).expect("merged");
    world.sql("update customers set phone = 'after the merge' where id = 3").await;
    eventually("the winner goes on", || async { world.account_field(winner, "Phone") }, |phone| phone == "after the merge").await;
    assert_eq!(status(&world, 9).await, "active", "the loser's row stays");
    assert!(world.org().count("Account") <= accounts, "nobody is made again");

    // conversion: one order, however often it is won, and asked for.
    let customer = world.account_of(5).await;
    let opportunity = json!({"Name": "Big deal", "AccountId": customer.to_string(), "StageName": "Prospecting", "CloseDate": "2026-11-30", "Amount": 1234.5});
    let opportunity = world.org().create(&person, "Opportunity", &opportunity).expect("made");
    for stage in ["Closed Won", "Prospecting", "Closed Won"] {
        world.org().update(&person, opportunity, &json!({ "StageName": stage })).expect("edited");
    }
    let orders = || async {
        let rows = world.erp.query("select number, total::text from orders where concord_id is not null and customer_id = 5", &[]).await;
        rows.expect("orders").iter().map(|row| (row.get::<_, String>(0), row.get::<_, String>(1))).collect::<Vec<_>>()
    };
    let made = eventually("the order", orders, |orders| !orders.is_empty()).await;
    assert_eq!((made.len(), made[0].1.as_str()), (1, "1234.50"));
    let read_model = world.stack.read_model().await.expect("the read model");
    let known = || async {
        let sql = "select count(*) from link where record = $1 and linked";
        read_model.query_one(sql, &[&opportunity.to_string()]).await.expect("links").get::<_, i64>(0)
    };
    eventually("the pages know the opportunity", known, |known| *known > 0).await;
    let again = eventually(
        "the answer that it is converted already, with the order's number",
        || async { world.decide(json!({"action": "convert", "entity": opportunity.to_string()})).await },
        |answer: &Json| answer["result"] == "unchanged" && answer.to_string().contains(&made[0].0),
    )
    .await;
    assert_eq!(orders().await.len(), 1, "{again}");
    world.stop().await;
}
