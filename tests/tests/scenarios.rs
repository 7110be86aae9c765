//! Records that are made, meet, part, go and come back, on real systems: what people decide about whole records, and what becomes
//! of it in both of them.

use app::stack::StackOptions;
use serde_json::{Value as Json, json};
use simulator::{Actor, RecordId};
use tests::command::{Said, concord};
use tests::{Log, World, eventually, on_both_logs};

on_both_logs! {
    asked_whether_a_record_is_made_a_person_says_yes_to_one_and_no_to_another;
    two_records_that_meet_for_the_first_time_are_reconciled_once;
    an_edit_that_our_write_overtook_is_on_record_and_comes_back_with_one_call;
    a_record_that_was_made_or_deleted_in_error_is_taken_back;
    a_won_opportunity_waits_for_its_customer_and_becomes_one_order;
    a_match_that_was_wrong_is_split_and_the_split_taken_back;
}

/// The demo's mapping with the first of each of these replaced: customers come first.
fn mapping(edits: &[(&str, &str)]) -> String {
    edits.iter().fold(app::sample::MAPPING.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    })
}

const CREATE: &str = "create = { crm = \"auto\", erp = \"auto\" }";
const ASK: &str = "create = { crm = \"ask\", erp = \"ask\" }";

/// Three companies that both systems know.
fn options(edits: &[(&str, &str)]) -> StackOptions {
    StackOptions { companies: 3, with_money: false, mapping: mapping(edits), ..StackOptions::default() }
}

/// A record that a person makes in Salesforce.
fn made(world: &World, object: &str, fields: &Json) -> RecordId {
    let person = Actor::lightning(world.org().admin_user());
    world.org().create(&person, object, fields).unwrap_or_else(|error| panic!("{object}: {}", error.message))
}

/// The ids of the ERP's customers of a name.
async fn customers(world: &World, name: &str) -> Vec<i64> {
    let rows = world.erp.query("select id from customers where name = $1", &[&name]).await.expect("customers");
    rows.iter().map(|row| row.get(0)).collect()
}

async fn customer(world: &World, name: &str) -> i64 {
    let found = eventually(&format!("a customer {name}"), || customers(world, name), |found: &Vec<i64>| !found.is_empty()).await;
    assert_eq!(found.len(), 1, "{name}");
    found[0]
}

fn accounts(world: &World, name: &str) -> Vec<RecordId> {
    let mut found = world.org().find("Account", "Name", name);
    found.retain(|id| world.org().with_record(*id, |record| !record.is_deleted()).unwrap_or_default());
    found
}

async fn account(world: &World, name: &str) -> RecordId {
    let found = eventually(&format!("an account {name}"), || async { accounts(world, name) }, |found: &Vec<_>| !found.is_empty()).await;
    assert_eq!(found.len(), 1, "{name}");
    found[0]
}

/// Both systems hold these phones.
async fn phones(world: &World, customer: i64, account: RecordId, erp: &str, crm: &str) {
    let held = || async { (world.customer_field(customer, "phone").await, world.account_field(account, "Phone")) };
    eventually(&format!("{erp} in the ERP and {crm} in Salesforce"), held, |now: &(Option<String>, Json)| {
        now.0.as_deref() == Some(erp) && now.1 == crm
    })
    .await;
}

/// The merged record of an entity with this record has this phone: what came before has been decided.
async fn golden_phone(world: &World, record: &str, phone: &str) {
    let read_model = world.stack.read_model().await.expect("the read model");
    let sql = "select fields ->> 'phone' from entity where (crm_record = $1 or erp_record = $1) and kind = 'customer'";
    let held = || async {
        let row = read_model.query_opt(sql, &[&record]).await.expect("entities");
        row.and_then(|row| row.get::<_, Option<String>>(0))
    };
    eventually(&format!("{phone} in the merged record"), held, |held| held.as_deref() == Some(phone)).await;
}

/// The id of the one write of a kind to a side for an entity of this title.
async fn write_of(world: &World, title: &str, side: &str, op: &str) -> String {
    let read_model = world.stack.read_model().await.expect("the read model");
    let sql = "select id from audit where title = $1 and side = $2 and op = $3";
    let writes = || async {
        let rows = read_model.query(sql, &[&title, &side, &op]).await.expect("the audit");
        rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>()
    };
    let found = eventually(&format!("the {op} of {title} on {side}"), writes, |found: &Vec<String>| !found.is_empty()).await;
    assert_eq!(found.len(), 1, "{op} of {title} on {side}");
    found[0].clone()
}

async fn settle(world: &World, conflict: &Json, choice: &str) {
    let answer = world.decide(json!({"action": "settle", "conflict": conflict["id"], "choice": choice})).await;
    assert_eq!(answer["result"], "accepted", "{answer}");
}

async fn asked_whether_a_record_is_made_a_person_says_yes_to_one_and_no_to_another(log: Log) {
    let world = World::start_with(log, options(&[(CREATE, ASK)])).await;
    let wanted = made(&world, "Account", &json!({"Name": "Yes Ltd", "Phone": "+1 1"}));
    made(&world, "Contact", &json!({"AccountId": wanted.to_string(), "LastName": "Early", "Email": "early@yes.example"}));
    world.sql("insert into customers (name, phone, updated_by) values ('No Ltd', '+2 1', 'mira')").await;
    let yes = world.conflict("open", "Yes Ltd", "$record").await;
    let no = world.conflict("open", "No Ltd", "$record").await;
    assert_eq!((&yes["crm"], &yes["erp"]), (&json!("present"), &json!("absent")), "{yes}");
    assert!(no["reason"].as_str().is_some_and(|why| why.contains("mira") && why.contains("a person decides")), "{no}");
    assert!(customers(&world, "Yes Ltd").await.is_empty() && accounts(&world, "No Ltd").is_empty(), "nothing is made unasked");

    settle(&world, &yes, "crm").await;
    let id = customer(&world, "Yes Ltd").await;
    // What waited for it comes after it.
    let people = || async {
        let rows = world.erp.query("select email from contacts where customer_id = $1", &[&id]).await.expect("contacts");
        rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>()
    };
    let found = eventually("the contact", people, |found: &Vec<String>| !found.is_empty()).await;
    assert_eq!(found, ["early@yes.example"]);
    let conflict = no["id"].as_str().expect("an id");
    concord(&world, &["decide", conflict, "--take", "crm", "--wait"]).await.well();

    // No is no, also for what is edited later; until somebody asks for it.
    let refused = customer(&world, "No Ltd").await;
    world.sql(&format!("update customers set phone = '+2 2' where id = {refused}")).await;
    golden_phone(&world, &refused.to_string(), "+2 2").await;
    assert!(accounts(&world, "No Ltd").is_empty());
    let listed = concord(&world, &["decide", "list"]).await.well().stdout;
    assert!(listed.contains("Nothing to decide"), "{listed}");
    let entity = no["entity"].as_str().expect("an entity");
    concord(&world, &["decide", "create", entity, "--wait"]).await.well();
    let late = account(&world, "No Ltd").await;
    phones(&world, refused, late, "+2 2", "+2 2").await;
    world.agree("a yes and a no").await;
    world.stop().await;
}

async fn two_records_that_meet_for_the_first_time_are_reconciled_once(log: Log) {
    let world = World::idle(log, options(&[("first_contact = \"last_write\"", "first_contact = \"crm\"")])).await;
    world
        .sql(
            "create table carried (customer bigint);
             create function carried() returns trigger language plpgsql as $$ begin insert into carried values (new.id); return new; end $$;
             create trigger carried after update on customers for each row execute function carried();
             insert into customers (name, tax_id, phone, website, city, country, payment_terms, credit_limit)
             values ('First Contact AG', 'ATU 4711 0815', 'the ERP''s', 'first.example', 'Wien', 'Austria', 'N30', 1000)",
        )
        .await;
    let account = made(
        &world,
        "Account",
        &json!({"Name": "First Contact AG", "Tax_Id__c": "ATU 4711 0815", "Phone": "Salesforce's", "BillingStreet": "Ring 1", "BillingCity": "Wien",
                "BillingCountry": "Austria", "Payment_Terms__c": "NET60", "Credit_Limit__c": 1000}),
    );
    world.run().await;
    world.agree("first contact").await;
    world.readable().await;

    let id = customer(&world, "First Contact AG").await;
    phones(&world, id, account, "Salesforce's", "Salesforce's").await;
    assert_eq!(world.customer_field(id, "street").await.as_deref(), Some("Ring 1"), "an empty field is filled");
    assert_eq!(world.account_field(account, "Website"), "first.example", "on either side");
    assert_eq!(world.customer_field(id, "payment_terms").await.as_deref(), Some("N60"), "first contact has a policy of its own");
    for (field, lost) in [("phone", "the ERP's"), ("payment_terms", "30 days")] {
        let kept = world.conflict("settled", "First Contact AG", field).await;
        assert_eq!((&kept["erp"], &kept["winner"], &kept["policy"]), (&json!(lost), &json!("crm"), &json!("crm")), "{kept}");
        assert!(kept["reason"].as_str().is_some_and(|reason| reason.starts_with("first contact: ")), "{kept}");
    }
    assert_eq!(world.conflicts("settled", "First Contact AG").await.len(), 2, "what is filled or equal is no conflict");
    assert!(world.conflicts("open", "First Contact AG").await.is_empty());

    // Nothing is written twice, nor again by a process that starts anew.
    let read_model = world.stack.read_model().await.expect("the read model");
    let columns = || async {
        let sql = "select side || ' ' || (c ->> 'column') from audit, jsonb_array_elements(columns) c where title = 'First Contact AG' order by 1";
        read_model.query(sql, &[]).await.expect("the audit").iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>()
    };
    let once = ["crm ERP_Id__c", "crm Website", "erp payment_terms", "erp phone", "erp street"];
    eventually("each column on record once", columns, |found| *found == once).await;
    world.stop().await;
    world.run().await;
    world.edit_account(account, &json!({"BillingCity": "Graz"}));
    eventually("the city in the ERP", || world.customer_field(id, "city"), |city| city.as_deref() == Some("Graz")).await;
    eventually("the city on record", columns, |found| found.iter().any(|column| column == "erp city")).await;
    assert_eq!(columns().await.len(), once.len() + 1, "{:?}", columns().await);
    let carried: i64 = world.erp.query_one("select count(*) from carried where customer = $1", &[&id]).await.expect("a count").get(0);
    assert_eq!(carried, 4, "two settled, one filled, and the city: each written once");
    world.stop().await;
}

async fn an_edit_that_our_write_overtook_is_on_record_and_comes_back_with_one_call(log: Log) {
    let field = |name: &str| format!("[entity.customer.field.{name}]\n");
    let (city, website) = (field("city"), field("website"));
    let edits = [(city.as_str(), &*format!("{city}policy = \"erp\"\n")), (website.as_str(), &*format!("{website}policy = \"crm\"\n"))];
    let world = World::start_with(log, options(&edits)).await;
    let account = world.account_of(1).await;
    let name = world.customer_field(1, "name").await.expect("a name");
    let both = |column: &'static str, field: &'static str, value: &'static str| {
        let world = &world;
        async move {
            let held = || async { (world.customer_field(1, column).await, world.account_field(account, field)) };
            let wanted = |held: &(Option<String>, Json)| held.0.as_deref() == Some(value) && held.1 == value;
            eventually(&format!("{value} on both sides"), held, wanted).await;
        }
    };
    // What the first copy still asks of Salesforce comes before what these edits do.
    world.edit_account(account, &json!({"Phone": "+1 1"}));
    phones(&world, 1, account, "+1 1", "+1 1").await;
    world.sql("update customers set phone = '+1 2' where id = 1").await;
    phones(&world, 1, account, "+1 2", "+1 2").await;
    golden_phone(&world, &account.to_string(), "+1 2").await;
    // Salesforce takes its time before a call has an effect: the second one after our edit is the write, and its read found
    // nothing amiss.
    let simulator = &world.stack.simulator;
    simulator.settings().update(|live| live.latency_ms = 3_000);
    let calls = simulator.api_calls();
    world.sql("update customers set city = 'Ours', website = 'ours.example', updated_by = 'mira' where id = 1").await;
    eventually("our write at Salesforce", || async { simulator.api_calls() }, |now| *now >= calls + 2).await;
    world.edit_account(account, &json!({"BillingCity": "Theirs", "Website": "theirs.example"}));
    simulator.settings().update(|live| live.latency_ms = 0);

    // Where the ERP wins, our value stays and theirs is kept; where Salesforce wins, theirs comes back by itself.
    let lost = world.conflict("settled", &name, "city").await;
    assert_eq!((&lost["overtaken"], &lost["crm"], &lost["winner"]), (&json!(true), &json!("Theirs"), &json!("erp")), "{lost}");
    assert!(lost["reason"].as_str().is_some_and(|why| why.contains("overtook")), "{lost}");
    both("city", "BillingCity", "Ours").await;
    let won = world.conflict("settled", &name, "website").await;
    assert_eq!((&won["overtaken"], &won["erp"], &won["winner"]), (&json!(true), &json!("ours.example"), &json!("crm")), "{won}");
    both("website", "Website", "theirs.example").await;

    let answer = world.decide(json!({"action": "restore", "conflict": lost["id"], "choice": "crm"})).await;
    assert_eq!(answer["result"], "accepted", "{answer}");
    both("city", "BillingCity", "Theirs").await;
    world.agree("a race").await;
    world.stop().await;
}

async fn a_record_that_was_made_or_deleted_in_error_is_taken_back(log: Log) {
    let delete = format!("{CREATE}\ndelete = {{ crm = \"delete\", erp = \"delete\" }}");
    let world = World::start_with(log, options(&[(CREATE, &delete)])).await;
    let undo = async |write: &str| {
        concord(&world, &["undo", "--write", write, "--yes", "--wait", "--timeout", "90s"]).await.well();
    };
    world.sql("insert into customers (name, tax_id, phone, city) values ('Back Ltd', 'GB 77', '+44 1', 'Leeds')").await;
    let first = account(&world, "Back Ltd").await;
    let id = customer(&world, "Back Ltd").await;

    // The create taken back: the record goes, the one it was made from stays, and is not made again by an edit.
    undo(&write_of(&world, "Back Ltd", "crm", "create").await).await;
    assert!(world.org().with_record(first, |record| record.is_deleted()).unwrap_or(true), "the account is gone");
    world.sql(&format!("update customers set phone = '+44 2' where id = {id}")).await;
    golden_phone(&world, &id.to_string(), "+44 2").await;
    assert!(accounts(&world, "Back Ltd").is_empty(), "it is not made again");

    // Its delete taken back in turn: it is made again, once, with what was edited meanwhile, and the two go on together.
    undo(&write_of(&world, "Back Ltd", "crm", "delete").await).await;
    let second = account(&world, "Back Ltd").await;
    phones(&world, id, second, "+44 2", "+44 2").await;
    world.edit_account(second, &json!({"Phone": "+44 3"}));
    phones(&world, id, second, "+44 3", "+44 3").await;
    world.agree("an undo of a create and of that").await;

    // A person's delete, which we carried across, taken back.
    world.sql(&format!("delete from customers where id = {id}")).await;
    eventually("the account deleted", || async { accounts(&world, "Back Ltd") }, Vec::is_empty).await;
    let ours = || async {
        let read_model = world.stack.read_model().await.expect("the read model");
        let sql = "select id from audit where title = 'Back Ltd' and op = 'delete' and record = $1";
        read_model.query_opt(sql, &[&second.to_string()]).await.expect("the audit").map(|row| row.get::<_, String>(0))
    };
    let deletion = eventually("the delete on record", ours, Option::is_some).await.unwrap_or_default();
    undo(&deletion).await;
    let third = account(&world, "Back Ltd").await;
    assert_eq!(world.account_field(third, "Phone"), "+44 3");
    assert_eq!(world.account_field(third, "BillingCity"), "Leeds");
    assert!(customers(&world, "Back Ltd").await.is_empty(), "the ERP's own delete stands until somebody says otherwise");
    concord(&world, &["decide", "create", &third.to_string(), "--side", "erp", "--wait"]).await.well();
    let again = customer(&world, "Back Ltd").await;
    phones(&world, again, third, "+44 3", "+44 3").await;
    world.agree("an undo of a delete").await;
    world.stop().await;
}

async fn a_won_opportunity_waits_for_its_customer_and_becomes_one_order(log: Log) {
    let world = World::start_with(log, options(&[(CREATE, ASK)])).await;
    let buyer = made(&world, "Account", &json!({"Name": "Buyer Ltd"}));
    let asked = world.conflict("open", "Buyer Ltd", "$record").await;
    let deal =
        json!({"Name": "Pumps", "AccountId": buyer.to_string(), "StageName": "Prospecting", "CloseDate": "2026-11-30", "Amount": 1234.5});
    let deal = made(&world, "Opportunity", &deal);
    let person = Actor::lightning(world.org().admin_user());
    for stage in ["Closed Won", "Prospecting", "Closed Won"] {
        world.org().update(&person, deal, &json!({ "StageName": stage })).expect("edited");
    }
    let read_model = world.stack.read_model().await.expect("the read model");
    let known = || async {
        let sql = "select count(*) from link where record = $1 and linked";
        read_model.query_one(sql, &[&deal.to_string()]).await.expect("links").get::<_, i64>(0)
    };
    eventually("the pages know the opportunity", known, |known| *known > 0).await;
    let deal_id = deal.to_string();
    let wish = json!({"action": "convert", "entity": deal_id});
    // Until it is won and has a customer, it is refused in words.
    let told = eventually(
        "the answer that it waits",
        || async { concord(&world, &["decide", "convert", &deal_id, "--json", "--timeout", "2s"]).await },
        |said: &Said| said.stdout.contains("waits for its customer"),
    )
    .await;
    let first = told.json();
    assert_eq!((told.code, &first["waiting"], &first["accepted"]), (Some(4), &json!(1), &json!(0)), "{first}");
    let first = first["decisions"][0]["id"].as_str().expect("an id").to_owned();
    let orders = || async {
        let rows = world.erp.query("select number, total::text, customer_id from orders where concord_id is not null", &[]).await;
        rows.expect("orders").iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect::<Vec<(String, String, i64)>>()
    };
    assert!(orders().await.is_empty() && customers(&world, "Buyer Ltd").await.is_empty());

    settle(&world, &asked, "crm").await;
    let id = customer(&world, "Buyer Ltd").await;
    let made = eventually("the order", orders, |orders| !orders.is_empty()).await;
    assert_eq!((made.len(), made[0].1.as_str(), made[0].2), (1, "1234.50", id));
    // What waited has its answer.
    let path = format!("decisions/{first}");
    let answered = || world.get(&path);
    let answer = eventually("the answer", answered, |answer: &Json| answer["result"] != "waiting").await;
    assert!(answer["result"] == "accepted" && answer.to_string().contains(&made[0].0), "{answer}");
    let again = eventually(
        "the answer that it is converted already",
        || async { world.decide(wish.clone()).await },
        |answer: &Json| answer["result"] == "unchanged" && answer.to_string().contains(&made[0].0),
    )
    .await;
    assert_eq!(orders().await.len(), 1, "{again}");
    world.stop().await;
}

async fn a_match_that_was_wrong_is_split_and_the_split_taken_back(log: Log) {
    let world = World::start_with(log, options(&[(CREATE, ASK), ("first_contact = \"last_write\"", "first_contact = \"erp\"")])).await;
    let account = world.account_of(1).await;
    let name = world.customer_field(1, "name").await.expect("a name");
    let read_model = world.stack.read_model().await.expect("the read model");
    let entities = || async {
        let sql = "select entity from link where linked and kind = 'customer' and record = any($1) order by side";
        let rows = read_model.query(sql, &[&vec![account.to_string(), "1".to_owned()]]).await.expect("links");
        rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>()
    };
    let one = eventually("one entity", entities, |found| found.len() == 2 && found[0] == found[1]).await;
    let said = concord(&world, &["review", "split", &account.to_string(), "--side", "erp", "--json"]).await.well().json();
    let decision = said["decisions"][0]["id"].as_str().expect("an id").to_owned();
    eventually("two entities", entities, |found| found.len() == 2 && found[0] != found[1]).await;

    // Each goes its own way; nothing is made for either without asking.
    world.sql("update customers set phone = '+1 erp' where id = 1").await;
    world.edit_account(account, &json!({"Phone": "+1 crm"}));
    golden_phone(&world, "1", "+1 erp").await;
    golden_phone(&world, &account.to_string(), "+1 crm").await;
    phones(&world, 1, account, "+1 erp", "+1 crm").await;
    let open = || world.conflicts("open", &name);
    eventually("two questions", open, |open: &Vec<Json>| open.len() == 2 && open.iter().all(|one| one["field"] == "$record")).await;

    concord(&world, &["review", "undo", &decision]).await.well();
    eventually("the same entity again", entities, |found| *found == one).await;
    phones(&world, 1, account, "+1 erp", "+1 erp").await;
    let kept = world.conflict("settled", &name, "phone").await;
    assert_eq!((&kept["crm"], &kept["winner"]), (&json!("+1 crm"), &json!("erp")), "{kept}");
    eventually("no question left", open, Vec::is_empty).await;
    let twice = concord(&world, &["review", "undo", &decision]).await;
    assert!(twice.stdout.contains("taken back already") || twice.stderr.contains("taken back already"), "{}{}", twice.stdout, twice.stderr);
    world.edit_account(account, &json!({"Phone": "+1 both"}));
    phones(&world, 1, account, "+1 both", "+1 both").await;
    assert_eq!((accounts(&world, &name).len(), customers(&world, &name).await.len()), (1, 1), "nobody is made twice");
    world.agree("a split taken back").await;
    world.stop().await;
}
