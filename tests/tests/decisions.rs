//! What people decide at the command line, on the running product: carried out on both systems, answered in words, and looked up
//! in both systems afterwards.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use app::stack::StackOptions;
use serde_json::{Value as Json, json};
use simulator::{Actor, RecordId};
use tests::command::{Said, at, concord};
use tests::{Log, World, eventually, program};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// A process that answers takes nowhere near so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// A world where phones wait for a person.
async fn asking(companies: usize) -> World {
    let head = "[entity.customer.field.phone]\n";
    assert!(app::sample::MAPPING.contains(head));
    let mapping = app::sample::MAPPING.replace(head, &format!("{head}policy = \"review\"\n"));
    World::start_with(Log::Embedded, StackOptions { companies, mapping, ..StackOptions::default() }).await
}

fn items(found: &Json) -> Vec<Json> {
    found["items"].as_array().cloned().unwrap_or_default()
}

async fn phones(world: &World, customer: i64, account: RecordId) -> (Option<String>, Json) {
    (world.customer_field(customer, "phone").await, world.account_field(account, "Phone"))
}

/// Waits until both systems hold these phones.
async fn both_hold(world: &World, customer: i64, account: RecordId, erp: &str, crm: &str) {
    let held = |now: &(Option<String>, Json)| now.0.as_deref() == Some(erp) && now.1 == crm;
    eventually(&format!("{erp} in the ERP and {crm} in Salesforce"), || phones(world, customer, account), held).await;
}

/// Some customers of the ERP.
async fn customers(world: &World, number: i64) -> Vec<i64> {
    let rows = world.erp.query("select id from customers order by id limit $1", &[&number]).await.expect("customers");
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_bulk_edit_is_taken_back_and_what_was_edited_since_is_left_alone() {
    let world = World::start(Log::Embedded, 12).await;
    let mut before = Vec::new();
    let customers = customers(&world, 6).await;
    for customer in customers {
        let account = world.account_of(customer).await;
        before.push((customer, account, world.customer_field(customer, "phone").await.unwrap_or_default()));
    }
    let from: String = world
        .erp
        .query_one("select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')", &[])
        .await
        .expect("the time")
        .get(0);
    world
        .sql(
            "update customers set phone = '+00 ' || id, updated_by = 'bulk.job' where id in (select id from customers order by id limit 6)",
        )
        .await;
    for (customer, account, _) in &before {
        both_hold(&world, *customer, *account, &format!("+00 {customer}"), &format!("+00 {customer}")).await;
    }
    // A person has mended one of them since.
    world.edit_account(before[1].1, &json!({"Phone": "+31 20 7"}));
    let mended = before[1].0;
    both_hold(&world, mended, before[1].1, "+31 20 7", "+31 20 7").await;
    let range = ["--from", from.as_str(), "--actor", "bulk.job"];
    let undo =
        |more: &[&'static str]| -> Vec<String> { ["undo"].iter().chain(&range).chain(more).map(|text| (*text).to_owned()).collect() };
    async fn say(world: &World, arguments: &[String]) -> Said {
        concord(world, &arguments.iter().map(String::as_str).collect::<Vec<_>>()).await
    }

    let plan = eventually(
        "six writes, one of them with a later edit",
        || async { say(&world, &undo(&["--dry-run", "--json"])).await.well().json() },
        |plan| {
            let since = items(plan).iter().filter(|item| item["since"] != json!([])).count();
            items(plan).len() == 6 && since == 1
        },
    )
    .await;
    let first = &items(&plan)[0];
    assert!(first["changes"][0]["now"].as_str().is_some_and(|now| now.starts_with("+00")), "{first}");
    let shown = say(&world, &undo(&["--dry-run"])).await.well().stdout;
    assert!(shown.contains("! phone was changed again by") && shown.contains("Nothing was written"), "{shown}");
    for (customer, account, _) in before.iter().filter(|(customer, ..)| *customer != mended) {
        assert_eq!(phones(&world, *customer, *account).await.1, json!(format!("+00 {customer}")), "a preview writes nothing");
    }
    say(&world, &undo(&[])).await.fails(&["take back 6 of 6", "say --yes"]);

    let done = say(&world, &undo(&["--yes", "--wait", "--json", "--timeout", "90s"])).await;
    let answer = done.json();
    assert_eq!(
        (done.code, &answer["accepted"], &answer["refused"], &answer["confirmed"]),
        (Some(3), &json!(5), &json!(1), &json!(5)),
        "{answer}"
    );
    let refused = answer["decisions"].as_array().into_iter().flatten().find(|one| one["result"] == "refused").expect("a refusal");
    assert!(refused["reason"].as_str().is_some_and(|why| why.contains("edited since") && why.contains("Salesforce")), "{refused}");
    // It said confirmed, so nothing is waited for.
    for (customer, account, phone) in before.iter().filter(|(customer, ..)| *customer != mended) {
        assert_eq!(phones(&world, *customer, *account).await, (Some(phone.clone()), json!(phone)), "customer {customer}");
    }
    assert_eq!(phones(&world, mended, before[1].1).await, (Some("+31 20 7".to_owned()), json!("+31 20 7")));

    // What is taken back is not taken back twice; the rest is, by force, and the edit stays on record.
    let plan = say(&world, &undo(&["--dry-run", "--json"])).await.well().json();
    assert_eq!(items(&plan).iter().filter(|item| item["ask"].is_null()).count(), 5, "{plan}");
    let forced = say(&world, &undo(&["--yes", "--wait", "--force", "--json", "--timeout", "90s"])).await.well().json();
    assert_eq!((&forced["decided"], &forced["confirmed"]), (&json!(1), &json!(1)), "{forced}");
    let phone = &before[1].2;
    assert_eq!(phones(&world, mended, before[1].1).await, (Some(phone.clone()), json!(phone)));
    let name = world.customer_field(mended, "name").await.expect("a name");
    let kept = world.conflicts("settled", &name).await;
    assert!(kept.iter().any(|one| one["crm"] == "+31 20 7" || one["erp"] == "+31 20 7"), "the edit is kept: {kept:?}");

    // The undo is itself a decision that can be taken back.
    let id = forced["decisions"][0]["id"].as_str().expect("an id").to_owned();
    concord(&world, &["undo", "--decision", &id, "--yes", "--wait", "--timeout", "90s"]).await.well();
    both_hold(&world, mended, before[1].1, "+31 20 7", "+31 20 7").await;
    world.agree("undo").await;
    for (arguments, words) in [
        (&["undo", "--write", "none"][..], "There is no confirmed write of this id"),
        (&["undo", "--from", "yesterday"], "`yesterday` is not a time"),
        (&["undo", "--from", "1h", "--entity", "nobody"], "There is no record of this id"),
    ] {
        concord(&world, arguments).await.fails(&[words]);
    }
    let nothing = concord(&world, &["undo", "--from", "1h", "--actor", "nobody at all"]).await.well();
    assert!(nothing.stdout.contains("nothing to take back"), "{}", nothing.stdout);
    world.stop().await;
}

/// The same two phones on both sides of some customers, so that each waits for a person.
async fn dispute(world: &World, customers: &[i64], erp: &str, crm: &str) {
    world.pause().await;
    for customer in customers {
        let account = world.account_of(*customer).await;
        world.sql(&format!("update customers set phone = '{erp}', updated_by = 'mira.kovac' where id = {customer}")).await;
        world.edit_account(account, &json!({"Phone": crm}));
    }
    world.resume().await;
    let open = || async { items(&world.get("conflicts?state=open&field=phone&limit=200").await) };
    eventually("open conflicts", open, |open: &Vec<Json>| open.iter().filter(|one| one["erp"] == erp).count() == customers.len()).await;
}

async fn conflict_of(world: &World, customer: i64) -> String {
    let name = world.customer_field(customer, "name").await.expect("a name");
    let open = world.conflicts("open", &name).await;
    open.first().and_then(|one| one["id"].as_str()).unwrap_or_else(|| panic!("no open conflict of {name}")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflicts_are_decided_one_or_many_restored_and_opened_again() {
    let world = asking(12).await;
    let ids = customers(&world, 4).await;
    dispute(&world, &ids[..3], "+1 1", "+2 2").await;
    dispute(&world, &ids[3..], "+1 4", "+2 4").await;
    let listed = concord(&world, &["decide", "list"]).await.well().stdout;
    assert!(listed.contains("CONFLICT") && listed.contains("+1 4") && listed.lines().count() == 5, "{listed}");
    let one = conflict_of(&world, ids[0]).await;

    // The same everywhere: how many is said, and asked.
    concord(&world, &["decide", &one, "--take", "crm", "--same-shape"]).await.fails(&["decide 3 conflicts", "say --yes"]);
    concord(&world, &["decide", &one, "--take", "+3", "--same-shape=field", "--yes"])
        .await
        .fails(&["one value for conflicts with different values"]);
    let done = concord(&world, &["decide", &one, "--take", "crm", "--same-shape", "--yes", "--wait", "--timeout", "90s", "--json"])
        .await
        .well()
        .json();
    assert_eq!((&done["decided"], &done["confirmed"]), (&json!(3), &json!(3)), "{done}");
    for customer in ids[..3].iter().copied() {
        let account = world.account_of(customer).await;
        assert_eq!(phones(&world, customer, account).await, (Some("+2 2".to_owned()), json!("+2 2")), "customer {customer}");
    }
    concord(&world, &["decide", &one, "--take", "erp"]).await.fails(&["settled by tests", "Restore"]);

    // The whole record, by the id of its account.
    let account = world.account_of(ids[3]).await;
    concord(&world, &["decide", "--record", &account.to_string(), "--take", "both", "--yes", "--wait"]).await.well();
    assert_eq!(phones(&world, ids[3], account).await, (Some("+1 4".to_owned()), json!("+2 4")), "each keeps its own");
    let nothing = concord(&world, &["decide", "list"]).await.well().stdout;
    assert!(nothing.contains("Nothing to decide"), "{nothing}");
    concord(&world, &["decide", "--record", &account.to_string(), "--take", "crm", "--yes"]).await.fails(&["no conflict is open there"]);

    // The value that lost comes back; and the question, with both values.
    let account = world.account_of(ids[0]).await;
    concord(&world, &["decide", &one, "--restore", "crm"]).await.fails(&["did not lose"]);
    let restored = concord(&world, &["decide", &one, "--restore", "erp", "--wait", "--timeout", "90s"]).await.well();
    assert!(restored.stdout.contains("1 confirmed"), "{}", restored.stdout);
    assert_eq!(phones(&world, ids[0], account).await, (Some("+1 1".to_owned()), json!("+1 1")));
    let two = {
        let name = world.customer_field(ids[1], "name").await.expect("a name");
        world.conflicts("settled", &name).await.first().and_then(|one| one["id"].as_str().map(str::to_owned)).expect("a settled conflict")
    };
    concord(&world, &["decide", &two, "--reopen", "--wait", "--timeout", "90s"]).await.well();
    let account = world.account_of(ids[1]).await;
    both_hold(&world, ids[1], account, "+1 1", "+2 2").await;
    assert_eq!(conflict_of(&world, ids[1]).await, two);

    // Decided while no processor runs: it is said, and carried out when they do.
    world.stop().await;
    let (child, url) = without_processors(&world.stack.config_path()).await;
    let late = at(&url, &["decide", &two, "--take", "erp", "--timeout", "1s"]).await;
    assert_eq!(late.code, Some(4), "{}{}", late.stdout, late.stderr);
    assert!(late.stdout.contains("stand, and are carried out when the processors run"), "{}", late.stdout);
    drop(child);
    world.run().await;
    both_hold(&world, ids[1], account, "+1 1", "+1 1").await;
    concord(&world, &["decide", "convert", "nobody"]).await.fails(&["There is no record of this id"]);
    world.stop().await;
}

/// `concord run` with pages and the read model only. It is killed when it is dropped.
async fn without_processors(config: &Path) -> (Child, String) {
    let mut child = Command::new(program())
        .args(["run", "--stop-with-stdin", "--role", "dashboard", "--role", "sinks", "--config"])
        .arg(config)
        .env("CONCORD_LOG", "warn")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("concord run");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let ready = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("a line").expect("a line");
    let url = ready.strip_prefix("ready ").unwrap_or_else(|| panic!("{ready}")).to_owned();
    (child, url)
}

/// Which entity a record belongs to.
async fn entity_of(world: &World, side: &str, record: &str) -> Option<String> {
    let read_model = world.stack.read_model().await.expect("the read model");
    let row = read_model
        .query_opt("select entity from link where side = $1 and record = $2 and kind = 'customer' and linked", &[&side, &record])
        .await
        .expect("links");
    row.map(|row| row.get(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn possible_matches_are_answered_and_answers_taken_back() {
    let world = World::idle(Log::Embedded, StackOptions { companies: 6, ..StackOptions::default() }).await;
    // Two customers and one account with one tax id: which of them is it?
    world.sql("insert into customers (name, tax_id, updated_by) values ('Harbour Lights', 'AT 123', 'mira'), ('Harbour Lights branch', 'AT 123', 'mira')").await;
    let ids: Vec<String> = {
        let rows = world.erp.query("select id::text from customers where tax_id = 'AT 123' order by id", &[]).await.expect("customers");
        rows.iter().map(|row| row.get(0)).collect()
    };
    let person = Actor::lightning(world.org().admin_user());
    let account =
        world.org().create(&person, "Account", &json!({"Name": "HARBOUR LIGHTS", "Tax_Id__c": "at123"})).expect("an account").to_string();
    world.run().await;
    world.readable().await;
    let open = || async { items(&concord(&world, &["review", "list", "--json"]).await.well().json()) };
    let asked = eventually("three questions", open, |open: &Vec<Json>| open.len() == 3).await;
    let listed = concord(&world, &["review", "list"]).await.well().stdout;
    assert!(listed.contains("PAIR") && listed.contains("Harbour Lights branch"), "{listed}");

    let pair = |crm: bool, erp: &str| -> Json {
        let has =
            |one: &Json, name: &str| one[format!("left_{name}")].as_str().or(one[format!("right_{name}")].as_str()).map(str::to_owned);
        asked
            .iter()
            .find(|one| has(one, "crm").is_some() == crm && (!crm || has(one, "erp").as_deref() == Some(erp)))
            .expect("a pair")
            .clone()
    };
    let branches = pair(false, "")["id"].as_str().expect("an id").to_owned();
    let shown = concord(&world, &["review", "show", &branches]).await.well().stdout;
    assert!(shown.contains("\u{2260} name") && shown.contains("tax id"), "{shown}");
    let refused = concord(&world, &["review", "same", &branches]).await;
    assert_eq!(refused.code, Some(3), "{}{}", refused.stdout, refused.stderr);
    assert!(refused.stdout.contains("merge them there"), "{}", refused.stdout);

    let right = pair(true, &ids[0])["id"].as_str().expect("an id").to_owned();
    let same = concord(&world, &["review", "same", &right, "--json"]).await.well().json();
    let decision = same["decisions"][0]["id"].as_str().expect("an id").to_owned();
    let linked = eventually("one entity", || entity_of(&world, "crm", &account), |entity: &Option<String>| entity.is_some()).await;
    eventually("the customer in it", || entity_of(&world, "erp", &ids[0]), |entity: &Option<String>| *entity == linked).await;
    let read = || async { world.org().with_record(RecordId::parse(&account).expect("an id"), |record| record.get("ERP_Id__c")) };
    eventually("the ERP's number in Salesforce", read, |number| number.as_ref().is_some_and(Json::is_string)).await;
    concord(&world, &["review", "distinct", &right]).await.fails(&["answered already"]);
    let answered = concord(&world, &["review", "list", "--state", "answered"]).await.well().stdout;
    assert!(answered.contains(&decision) && answered.contains("same, tests"), "{answered}");

    concord(&world, &["review", "undo", &decision]).await.well();
    let apart = || async { (entity_of(&world, "crm", &account).await, entity_of(&world, "erp", &ids[0]).await) };
    eventually("two entities again", apart, |(crm, erp)| crm.is_some() && erp.is_some() && crm != erp).await;
    concord(&world, &["review", "undo", "none"]).await.fails(&["There is no decision of this id"]);
    concord(&world, &["review", "show", "a~b"]).await.fails(&["There is no possible match of this id"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_without_address_token_or_scope_says_what_is_missing() {
    let nobody = at("http://127.0.0.1:1", &["decide", "list"]).await;
    nobody.fails(&["does not answer", "concord run", "--url"]);
    let dir = tempfile::tempdir().expect("a folder");
    let config = dir.path().join("none.toml");
    let run = Command::new(program())
        .args(["undo", "--write", "w", "--config"])
        .arg(&config)
        .env_remove("CONCORD_URL")
        .output()
        .await
        .expect("concord");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.code() == Some(1) && said.contains("CONCORD_TOKEN") && said.contains("none.toml"), "{said}");
    for command in ["decide", "undo", "review"] {
        let help = at("http://127.0.0.1:1", &[command, "--help"]).await.well().stdout;
        assert!(help.contains("Usage: concord") && help.contains("Exit codes") && help.contains("--json"), "{help}");
    }
    let usage = at("http://127.0.0.1:1", &["undo"]).await;
    assert_eq!(usage.code, Some(2), "{}", usage.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_erp_refused_is_carried_across_when_it_is_tried_again_after_the_cause_is_gone() {
    let world = World::start(Log::Embedded, 6).await;
    let refused = async || world.get("failures").await["writes"].as_array().map_or(0, Vec::len);
    world.sql("alter table customers add constraint no_such_phone check (phone not like '+99%') not valid").await;
    let mut records = Vec::new();
    for (number, customer) in customers(&world, 3).await.into_iter().enumerate() {
        let (account, phone) = (world.account_of(customer).await, format!("+99 {number}"));
        world.edit_account(account, &json!({"Phone": phone}));
        records.push((customer, account, phone));
    }
    eventually("three refused writes", &refused, |number| *number == 3).await;
    let first = records[0].1.to_string();
    let retry = async |more: &[&str]| concord(&world, &[&["retry", "--wait", "--timeout", "90s"], more].concat()).await;

    // The cause is still there: it is refused again, and is one failure as before.
    let said = retry(&[&first, "--json"]).await;
    let answer = said.json();
    assert_eq!((said.code, &answer["accepted"], &answer["failed"]), (Some(3), &json!(1), &json!(1)), "{answer}");
    assert_eq!(answer["decisions"][0]["reason"], "1 field is tried again", "{answer}");
    assert_eq!(refused().await, 3);

    world.sql("alter table customers drop constraint no_such_phone").await;
    let said = retry(&[&first]).await.well().stdout;
    assert!(said.contains("1 field is tried again") && said.contains("1 confirmed"), "{said}");
    let (customer, account, phone) = &records[0];
    assert_eq!(phones(&world, *customer, *account).await, (Some(phone.clone()), json!(phone)), "it said confirmed");
    eventually("two refused writes", &refused, |number| *number == 2).await;
    // The ERP refused the others, Salesforce none.
    assert!(retry(&["--all", "--side", "crm"]).await.well().stdout.contains("Nothing that failed can be tried again"));
    concord(&world, &["retry", "--all"]).await.fails(&["try 2 records again", "say --yes"]);
    let answer = retry(&["--all", "--yes", "--json"]).await.well().json();
    assert_eq!((&answer["decided"], &answer["confirmed"], answer["batch"].is_string()), (&json!(2), &json!(2), true), "{answer}");
    eventually("no failure", || world.get("failures"), |found: &Json| found["writes"] == json!([]) && found["dead_letters"] == json!([]))
        .await;
    for (customer, account, phone) in &records {
        assert_eq!(phones(&world, *customer, *account).await, (Some(phone.clone()), json!(phone)));
    }
    world.agree("trying again").await;
    let said = retry(&[&first]).await.well().stdout;
    assert!(said.contains("changed nothing: nothing was refused"), "{said}");
    world.stop().await;
}
