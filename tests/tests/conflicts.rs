//! Each kind of conflict of design section 7 on real systems, by name: what policies, people and time make of it, looked up in
//! both systems afterwards.

use app::stack::StackOptions;
use serde_json::{Value as Json, json};
use simulator::{Actor, RecordId};
use tests::{Log, World, eventually, on_both_logs};

on_both_logs! {
    the_newer_edit_wins_and_the_older_one_comes_back_with_a_restore;
    edits_too_close_to_tell_apart_go_to_the_configured_side;
    a_side_that_wins_by_policy_wins_whoever_was_later;
    what_drifts_on_a_one_way_field_is_put_back_reported_or_left;
    a_review_holds_its_field_until_a_person_lets_each_side_keep_its_own;
    a_rule_asks_a_person_whatever_the_policy_and_what_was_said_can_be_opened_again;
    a_conflict_with_an_edit_since_is_not_opened_again_but_says_who_edited;
    a_write_is_taken_back_on_both_sides_and_what_that_replaces_is_kept;
    a_customer_is_archived_with_its_account_and_taken_out_when_that_is_back;
    a_delete_that_meets_an_edit_is_a_conflict_and_the_edit_stays;
    the_winner_of_a_merge_goes_on_and_the_losers_row_stays;
    an_opportunity_that_is_won_again_and_again_becomes_one_order;
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

async fn world(log: Log) -> World {
    World::start_with(log, StackOptions { companies: 6, mapping: mapping(), ..StackOptions::default() }).await
}

/// Answers to what people decide.
async fn accepted(world: &World, decision: Json) {
    let answer = world.decide(decision).await;
    assert_eq!(answer["result"], "accepted", "{answer}");
}

/// Later than the skew within which edits cannot be told apart.
async fn past_the_skew() {
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
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

async fn the_newer_edit_wins_and_the_older_one_comes_back_with_a_restore(log: Log) {
    let world = world(log).await;
    let account = world.account_of(1).await;
    // Writing is held back, so that both sides are edited before either edit is carried across: the first write will find its
    // precondition broken.
    world.pause().await;
    world.sql("update customers set phone = 'old', updated_by = 'mira' where id = 1").await;
    past_the_skew().await;
    world.edit_account(account, &json!({"Phone": "new"}));
    world.resume().await;
    both(&world, 1, account, "phone", "Phone", "new").await;
    let kept = one(&world, 1, "settled", "phone").await;
    assert_eq!((&kept["erp"], &kept["winner"], &kept["policy"]), (&json!("old"), &json!("crm"), &json!("last_write")), "{kept}");
    accepted(&world, json!({"action": "restore", "conflict": kept["id"], "choice": "erp"})).await;
    both(&world, 1, account, "phone", "Phone", "old").await;
    world.stop().await;
}

async fn edits_too_close_to_tell_apart_go_to_the_configured_side(log: Log) {
    let world = world(log).await;
    let account = world.account_of(1).await;
    world.pause().await;
    world.sql("update customers set phone = 'tie erp' where id = 1").await;
    world.edit_account(account, &json!({"Phone": "tie crm"}));
    world.resume().await;
    both(&world, 1, account, "phone", "Phone", "tie erp").await;
    let tie = one(&world, 1, "settled", "phone").await;
    assert_eq!((&tie["tie"], &tie["crm"]), (&json!(true), &json!("tie crm")), "{tie}");
    world.stop().await;
}

async fn a_side_that_wins_by_policy_wins_whoever_was_later(log: Log) {
    let world = world(log).await;
    let (first, second) = (world.account_of(1).await, world.account_of(2).await);
    let terms = world.customer_field(2, "payment_terms").await.expect("terms");
    let (erp_terms, wanted) = if terms == "N15" { ("N30", "NET30") } else { ("N15", "NET15") };
    let (crm_terms, lost) = if terms == "N60" { ("NET45", "45 days") } else { ("NET60", "60 days") };
    world.pause().await;
    world.edit_account(first, &json!({"BillingCity": "Crmville"}));
    world.sql(&format!("update customers set payment_terms = '{erp_terms}' where id = 2")).await;
    past_the_skew().await;
    world.sql("update customers set city = 'Erptown' where id = 1").await;
    world.edit_account(second, &json!({ "Payment_Terms__c": crm_terms }));
    world.resume().await;
    both(&world, 1, first, "city", "BillingCity", "Crmville").await;
    assert_eq!(one(&world, 1, "settled", "city").await["erp"], "Erptown");
    eventually("the ERP's terms", || async { world.account_field(second, "Payment_Terms__c") }, |terms| terms == wanted).await;
    assert_eq!(one(&world, 2, "settled", "payment_terms").await["crm"], lost);
    world.stop().await;
}

async fn what_drifts_on_a_one_way_field_is_put_back_reported_or_left(log: Log) {
    let world = world(log).await;
    let account = world.account_of(1).await;
    world.edit_account(account, &json!({"BillingStreet": "Drift Road 1", "BillingPostalCode": "D-1", "BillingCountry": "Driftland"}));
    eventually("the street put back", || async { world.account_field(account, "BillingStreet") }, |street| street != "Drift Road 1").await;
    assert_eq!(one(&world, 1, "settled", "street").await["crm"], "Drift Road 1");
    assert_eq!(one(&world, 1, "settled", "postal_code").await["crm"], "D-1");
    assert_eq!(world.account_field(account, "BillingPostalCode"), "D-1");
    assert_eq!(world.account_field(account, "BillingCountry"), "Driftland");
    assert!(about(&world, 1, "settled", "country").await.is_empty());
    world.stop().await;
}

async fn a_review_holds_its_field_until_a_person_lets_each_side_keep_its_own(log: Log) {
    let world = world(log).await;
    let account = world.account_of(1).await;
    world.pause().await;
    world.sql("update customers set website = 'erp.example' where id = 1").await;
    world.edit_account(account, &json!({"Website": "crm.example"}));
    world.resume().await;
    let review = one(&world, 1, "open", "website").await;
    accepted(&world, json!({"action": "settle", "conflict": review["id"], "choice": "both"})).await;
    one(&world, 1, "settled", "website").await;
    assert_eq!(world.customer_field(1, "website").await.as_deref(), Some("erp.example"));
    assert_eq!(world.account_field(account, "Website"), "crm.example");
    world.stop().await;
}

async fn a_rule_asks_a_person_whatever_the_policy_and_what_was_said_can_be_opened_again(log: Log) {
    let world = world(log).await;
    let account = world.account_of(1).await;
    world.pause().await;
    world.sql("update customers set credit_limit = 90000 where id = 1").await;
    world.edit_account(account, &json!({"Credit_Limit__c": 120_000}));
    world.resume().await;
    let limit = |what: &'static str, expected: f64| {
        let world = &world;
        async move {
            let found = || async { world.account_field(account, "Credit_Limit__c") };
            eventually(what, found, |limit| limit.as_f64() == Some(expected)).await;
        }
    };
    let costly = one(&world, 1, "open", "credit_limit").await;
    accepted(&world, json!({"action": "settle", "conflict": costly["id"], "choice": "erp"})).await;
    limit("the limit in Salesforce", 90_000.0).await;
    // Both sides get back what they held, and a person decides anew.
    accepted(&world, json!({"action": "reopen", "conflict": costly["id"]})).await;
    limit("the limit given back", 120_000.0).await;
    one(&world, 1, "open", "credit_limit").await;
    assert_eq!(world.customer_field(1, "credit_limit").await.as_deref(), Some("90000.00"));
    world.stop().await;
}

async fn a_conflict_with_an_edit_since_is_not_opened_again_but_says_who_edited(log: Log) {
    let world = world(log).await;
    let account = world.account_of(1).await;
    world.pause().await;
    world.sql("update customers set city = 'Erptown' where id = 1").await;
    world.edit_account(account, &json!({"BillingCity": "Crmville"}));
    world.resume().await;
    both(&world, 1, account, "city", "BillingCity", "Crmville").await;
    world.sql("update customers set city = 'Later', updated_by = 'mira' where id = 1").await;
    eventually("the later city", || async { world.account_field(account, "BillingCity") }, |city| city == "Later").await;
    let settled = one(&world, 1, "settled", "city").await;
    let refused = world.decide(json!({"action": "reopen", "conflict": settled["id"]})).await;
    assert_eq!(refused["result"], "refused", "{refused}");
    assert!(refused.to_string().contains("mira"), "{refused}");
    world.stop().await;
}

async fn a_write_is_taken_back_on_both_sides_and_what_that_replaces_is_kept(log: Log) {
    let world = world(log).await;
    let account = world.account_of(1).await;
    let before = world.customer_field(1, "phone").await.unwrap_or_default();
    world.edit_account(account, &json!({"Phone": "+000 wrong"}));
    eventually("the wrong phone", || world.customer_field(1, "phone"), |phone| phone.as_deref() == Some("+000 wrong")).await;
    let write = last_write(&world, 1, "+000 wrong").await;
    accepted(&world, json!({"action": "undo", "write": write})).await;
    both(&world, 1, account, "phone", "Phone", &before).await;
    assert_eq!(one(&world, 1, "settled", "phone").await["crm"], "+000 wrong");
    world.stop().await;
}

async fn status(world: &World, customer: i64) -> String {
    world.customer_field(customer, "status").await.unwrap_or_default()
}

async fn a_customer_is_archived_with_its_account_and_taken_out_when_that_is_back(log: Log) {
    let world = world(log).await;
    let person = Actor::lightning(world.org().admin_user());
    let number = world.customer_field(1, "number").await.expect("a number");
    let account = world.account_of(1).await;
    world.org().delete(&person, account).expect("deleted");
    eventually("the customer archived", || status(&world, 1), |status| status == "closed").await;
    world.org().undelete(&person, account).expect("back");
    eventually("the customer out of the archive", || status(&world, 1), |status| status == "active").await;
    assert_eq!(world.org().find("Account", "ERP_Id__c", &number).len(), 1);
    world.stop().await;
}

async fn a_delete_that_meets_an_edit_is_a_conflict_and_the_edit_stays(log: Log) {
    let world = world(log).await;
    let person = Actor::lightning(world.org().admin_user());
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
    world.stop().await;
}

async fn the_winner_of_a_merge_goes_on_and_the_losers_row_stays(log: Log) {
    let world = world(log).await;
    let person = Actor::lightning(world.org().admin_user());
    let (winner, loser) = (world.account_of(3).await, world.account_of(5).await);
    let accounts = world.org().count("Account");
    world.org().merge(&person, winner, &[loser], &json!({})).expect("merged");
    world.sql("update customers set phone = 'after the merge' where id = 3").await;
    eventually("the winner goes on", || async { world.account_field(winner, "Phone") }, |phone| phone == "after the merge").await;
    assert_eq!(status(&world, 5).await, "active", "the loser's row stays");
    assert!(world.org().count("Account") <= accounts, "nobody is made again");
    world.stop().await;
}

async fn an_opportunity_that_is_won_again_and_again_becomes_one_order(log: Log) {
    let world = world(log).await;
    let person = Actor::lightning(world.org().admin_user());
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
