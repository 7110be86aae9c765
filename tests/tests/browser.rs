//! What people see, in a headless Chromium on the running product. The scripts are in `tests/browser`; what they did is
//! then looked up in both systems. Screenshots stay in `target/tmp/browser`.

use std::path::PathBuf;
use std::time::Duration;

use app::stack::{ERP_DATABASE, StackOptions};
use app::traffic::{self, Pause};
use serde_json::{Value as Json, json};
use simulator::Actor;
use tests::world::PASSWORD;
use tests::{Log, World, eventually, node};
use tokio_util::sync::CancellationToken;

/// A world where phones and streets wait for a person too, so that a record can have three open fields.
async fn world() -> World {
    let mut mapping = app::sample::MAPPING.to_owned();
    for field in ["phone", "street"] {
        let head = format!("[entity.customer.field.{field}]\n");
        assert!(mapping.contains(&head), "the sample mapping has {field}");
        mapping = mapping.replace(&head, &format!("{head}policy = \"review\"\n"));
    }
    World::start_with(Log::Embedded, StackOptions { companies: 24, mapping, ..StackOptions::default() }).await
}

async fn name(world: &World, customer: i64) -> String {
    world.customer_field(customer, "name").await.expect("a name")
}

/// Different edits of credit limit, phone and street on both sides of some customers.
async fn dispute(world: &World, customers: &[i64]) {
    world.pause().await;
    for customer in customers {
        let account = world.account_of(*customer).await;
        world.sql(&format!("update customers set credit_limit = 90000, phone = '+44 20 1', street = 'Dock Road 1', updated_by = 'mira.kovac' where id = {customer}")).await;
        world.edit_account(account, &json!({"Credit_Limit__c": 120_000, "Phone": "+44 20 2", "BillingStreet": "Dock Road 1, Unit B"}));
    }
    world.resume().await;
    for customer in customers {
        let name = name(world, *customer).await;
        eventually("three open fields", || world.conflicts("open", &name), |open: &Vec<Json>| open.len() == 3).await;
    }
}

async fn script(world: &World, script: &str, environment: &[(&str, &str)]) -> String {
    let shots = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("browser");
    let (url, shots) = (world.url().await, shots.to_string_lossy().into_owned());
    node::run(script, &[&url, PASSWORD, &shots], environment).await.unwrap_or_else(|error| panic!("{error:#}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_costly_conflict_is_decided_in_the_browser_and_arrives_on_both_sides() {
    let world = world().await;
    dispute(&world, &[1]).await;
    let (name, account) = (name(&world, 1).await, world.account_of(1).await);
    let conflict = |field: &'static str| {
        let (world, name) = (&world, &name);
        async move {
            let open = world.conflicts("open", name).await;
            let found = open.iter().find(|one| one["field"] == field).unwrap_or_else(|| panic!("an open {field}: {open:?}"));
            found["id"].as_str().expect("an id").to_owned()
        }
    };

    script(&world, "conflict.mjs", &[("CONFLICT", &conflict("credit_limit").await)]).await;
    // The page said confirmed, so nothing is waited for.
    assert_eq!(world.customer_field(1, "credit_limit").await.as_deref(), Some("120000.00"));
    assert_eq!(world.account_field(account, "Credit_Limit__c"), json!(120_000.0));
    let open = world.conflicts("open", &name).await;
    assert_eq!(open.len(), 2, "the other fields wait: {open:?}");

    script(&world, "conflict.mjs", &[("CONFLICT", &conflict("street").await), ("CHOICE", "Harbour Street 9")]).await;
    assert_eq!(world.customer_field(1, "street").await.as_deref(), Some("Harbour Street 9"));
    assert_eq!(world.account_field(account, "BillingStreet"), "Harbour Street 9");

    script(&world, "conflict.mjs", &[("CONFLICT", &conflict("phone").await), ("CHOICE", "erp")]).await;
    assert_eq!(world.customer_field(1, "phone").await.as_deref(), Some("+44 20 1"));
    assert_eq!(world.account_field(account, "Phone"), "+44 20 1");

    let settled = world.conflicts("settled", &name).await;
    assert!(settled.len() >= 3 && settled.iter().filter(|one| one["settled_by"] == "admin").count() == 3, "{settled:?}");
    world.agree("three decisions").await;
    world.stop().await;
}

/// Which entity a customer's record belongs to.
async fn entity_of(world: &World, side: &str, record: &str) -> Option<String> {
    let read_model = world.stack.read_model().await.expect("the read model");
    let sql = "select entity from link where side = $1 and record = $2 and kind = 'customer' and linked";
    read_model.query_opt(sql, &[&side, &record]).await.expect("links").map(|row| row.get(0))
}

/// A customer, its branch and an account with one tax id; gives the account, the customer, and the match of the two.
async fn twins(world: &World) -> (String, String, String) {
    world.sql("insert into customers (name, tax_id, updated_by) values ('Harbour Lights', 'AT 123', 'mira'), ('Harbour Lights branch', 'AT 123', 'mira')").await;
    let customer: String = world
        .erp
        .query_one("select id::text from customers where tax_id = 'AT 123' order by id limit 1", &[])
        .await
        .expect("a customer")
        .get(0);
    let person = Actor::lightning(world.org().admin_user());
    let account =
        world.org().create(&person, "Account", &json!({"Name": "HARBOUR LIGHTS", "Tax_Id__c": "at123"})).expect("an account").to_string();
    world.run().await;
    world.readable().await;
    let open = || async { world.get("matches").await["items"].as_array().cloned().unwrap_or_default() };
    let open = eventually("three questions", open, |open: &Vec<Json>| open.len() == 3).await;
    let is = |one: &Json, record: &str| ["left_crm", "right_crm", "left_erp", "right_erp"].iter().any(|side| one[side] == record);
    let asked = open.iter().find(|one| is(one, &account) && is(one, &customer)).unwrap_or_else(|| panic!("{open:?}"));
    (account, customer, asked["id"].as_str().expect("an id").to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_possible_match_is_answered_in_the_browser_and_the_records_are_linked() {
    let world = World::idle(Log::Embedded, StackOptions { companies: 6, ..StackOptions::default() }).await;
    let (account, customer, review) = twins(&world).await;
    script(&world, "match.mjs", &[("REVIEW", &review)]).await;
    let both = || async { (entity_of(&world, "crm", &account).await, entity_of(&world, "erp", &customer).await) };
    eventually("one entity", both, |(crm, erp)| crm.is_some() && crm == erp).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_lost_is_restored_in_the_browser_and_a_write_is_taken_back() {
    let world = world().await;
    dispute(&world, &[1]).await;
    let (name, account) = (name(&world, 1).await, world.account_of(1).await);
    let open = world.conflicts("open", &name).await;
    let id = open.iter().find(|one| one["field"] == "phone").and_then(|one| one["id"].as_str()).expect("a phone").to_owned();
    world.post(&format!("conflicts/{id}/resolve"), &json!({"choice": "crm"})).await;
    eventually("the decision", || world.customer_field(1, "phone"), |phone| phone.as_deref() == Some("+44 20 2")).await;
    script(&world, "restore.mjs", &[("CONFLICT", &id), ("SIDE", "erp")]).await;
    assert_eq!(world.customer_field(1, "phone").await.as_deref(), Some("+44 20 1"));
    assert_eq!(world.account_field(account, "Phone"), "+44 20 1");
    // An ordinary edit that was carried across, taken back from the history of writes.
    let before = world.account_field(account, "Website");
    world.sql("update customers set website = 'wrong.example', updated_by = 'mira.kovac' where id = 1").await;
    eventually("the wrong website", || async { world.account_field(account, "Website") }, |site| site == "wrong.example").await;
    script(&world, "undo.mjs", &[("TEXT", "wrong.example")]).await;
    assert_eq!(world.account_field(account, "Website"), before);
    assert_eq!(world.customer_field(1, "website").await.map_or(Json::Null, Json::from), before);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_refused_is_tried_again_in_the_browser_one_record_and_then_all() {
    let world = World::start(Log::Embedded, 6).await;
    world.sql("alter table customers add constraint no_such_phone check (phone not like '+99%') not valid").await;
    for customer in 1..=3 {
        world.edit_account(world.account_of(customer).await, &json!({"Phone": format!("+99 {customer}")}));
    }
    let failed = |found: &Json| found["writes"].as_array().map_or(0, Vec::len);
    eventually("three failures", || world.get("failures"), |found| failed(found) == 3).await;
    script(&world, "retry.mjs", &[("ROWS", "3")]).await;
    assert_eq!(failed(&world.get("failures").await), 3);
    world.sql("alter table customers drop constraint no_such_phone").await;
    script(&world, "retry.mjs", &[("ROWS", "3"), ("GONE", "yes")]).await;
    for customer in 1..=3 {
        assert_eq!(world.customer_field(customer, "phone").await, Some(format!("+99 {customer}")));
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn axe_finds_nothing_on_any_page_and_every_page_fits_its_screen() {
    let world = world().await;
    dispute(&world, &[1, 2]).await;
    let name = name(&world, 2).await;
    for conflict in world.conflicts("open", &name).await {
        let id = conflict["id"].as_str().expect("an id");
        world.post(&format!("conflicts/{id}/resolve"), &json!({"choice": "crm"})).await;
    }
    eventually("a settled record", || world.conflicts("open", &name), Vec::is_empty).await;
    // BillingCity takes 40 characters.
    world.sql("update customers set city = repeat('x', 60) where id between 3 and 8").await;
    eventually("failures", || world.get("failures"), |found: &Json| found["writes"].as_array().is_some_and(|writes| writes.len() > 1))
        .await;
    // Twins that come after the first copy: the second is asked about.
    world.sql("insert into customers (name, tax_id, updated_by) values ('Harbour Lights', 'AT 123', 'mira'), ('Harbour Lights branch', 'AT 123', 'mira')").await;
    eventually("a match", || world.get("matches"), |found: &Json| found["items"].as_array().is_some_and(|items| !items.is_empty())).await;
    script(&world, "axe.mjs", &[]).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_pausing_themes_and_forms_without_javascript_work_while_changes_come() {
    let world = world().await;
    dispute(&world, &[1, 2]).await;
    let end = CancellationToken::new();
    let every = Duration::from_millis(500);
    let traffic = tokio::spawn(traffic::run(world.stack.postgres.url(ERP_DATABASE), world.org(), 5, every, Pause::default(), end.clone()));
    script(&world, "pages.mjs", &[]).await;
    end.cancel();
    traffic.await.expect("traffic ends in order");
    world.stop().await;
}
