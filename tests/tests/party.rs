//! Customers that stand in five tables of the ERP, shaped like Tryton's party module, travel both ways.

use app::stack::StackOptions;
use serde_json::{Value as Json, json};
use simulator::{Actor, RecordId};
use tests::{Log, World, eventually};

const SCHEMA: &str = include_str!("../fixtures/party.sql");
const MAPPING: &str = include_str!("../fixtures/party.toml");

/// A world with these rows in the ERP, and accounts in Salesforce, before Concord has seen either.
async fn world(rows: &str, accounts: &[Json]) -> World {
    let options = StackOptions { erp: Some(format!("{SCHEMA}{rows}")), mapping: MAPPING.to_owned(), ..StackOptions::default() };
    let world = World::idle(Log::Embedded, options).await;
    for account in accounts {
        make(&world, account);
    }
    world.run().await;
    world
}

fn make(world: &World, account: &Json) -> RecordId {
    let person = Actor::lightning(world.org().admin_user());
    world.org().create(&person, "Account", account).unwrap_or_else(|error| panic!("making {account}: {}", error.message))
}

/// The account that stands for a party.
async fn account(world: &World, code: &str) -> RecordId {
    let found = || async { world.org().find("Account", "ERP_Id__c", code) };
    eventually(&format!("an account for {code}"), found, |found: &Vec<RecordId>| !found.is_empty()).await[0]
}

/// Waits for a field of an account.
async fn shows(world: &World, account: RecordId, field: &str, value: impl Into<Json>) {
    let value = value.into();
    eventually(&format!("{field} = {value}"), || async { world.account_field(account, field) }, |found| *found == value).await;
}

/// Waits for what a query of the ERP gives, as text.
async fn holds(world: &World, sql: &str, value: Option<&str>) {
    let ask = || async {
        let rows = world.erp.query(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        rows.first().and_then(|row| row.get::<_, Option<String>>(0))
    };
    eventually(&format!("{sql} to give {value:?}"), ask, |found| found.as_deref() == value).await;
}

/// The contact rows of a party, in the order of their keys.
fn contacts(party: &str) -> String {
    format!(
        "select string_agg(c.type || ' ' || c.value || case when c.active then '' else ' (retired)' end, ', ' order by c.id) \
         from party_contact_mechanism c join party_party p on p.id = c.party where p.name = '{party}'"
    )
}

fn address(party: &str) -> String {
    format!(
        r#"select string_agg(a."Street" || ', ' || coalesce(a.city, '-'), '; ' order by a.id) from party."Address" a join party_party p on p.id = a."Party Id" where p.name = '{party}'"#
    )
}

fn accounts(world: &World) -> usize {
    let mut count = 0;
    world.org().scan("Account", |record| count += usize::from(!record.is_deleted()));
    count
}

const ACME: &str = r#"
    insert into account_invoice_payment_term (id, name) values (1, 'Net 30'), (2, 'Net 60');
    insert into party_party (name, is_company, customer_payment_term) values ('Acme Ltd', true, 1), ('Bolt AG', true, null), ('Grace Walsh', false, null);
    insert into party_contact_mechanism (party, type, value, sequence) values
        (1, 'phone', '+44 113 1', 10), (1, 'email', 'office@acme.example', 10), (1, 'email', 'old@acme.example', 20), (2, 'email', 'info@bolt.example', null),
        (3, 'email', 'grace@walsh.example', null);
    insert into party_identifier (party, type, code) values (1, 'eu_vat', 'GB999000001'), (1, 'duns', '150483782');
    insert into party."Address" ("Party Id", "Street", city, invoice) values (1, 'Mill Lane 7', 'Leeds', true), (1, 'Dock Road 1', 'Hull', false);"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_of_several_tables_travels_both_ways() {
    // Salesforce knows Acme already; only its tax id says so, and that stands in a table beside the party.
    let world = world(ACME, &[json!({"Name": "Acme Ltd", "Tax_Id__c": "GB 999 0000 01"})]).await;
    let acme = account(&world, "1").await;
    assert_eq!(world.account_field(acme, "Name"), "Acme Ltd");
    for (field, value) in [
        ("Email__c", "office@acme.example"),
        ("Phone", "+44 113 1"),
        ("BillingStreet", "Mill Lane 7"),
        ("BillingCity", "Leeds"),
        ("Description", "Net 30"),
    ] {
        shows(&world, acme, field, value).await;
    }
    let bolt = account(&world, "2").await;
    shows(&world, bolt, "Email__c", "info@bolt.example").await;
    assert_eq!(accounts(&world), 2, "the person is none of ours, and Acme was found");

    // From the ERP: a row's value, a root row's pointer, the row it points at.
    world
        .sql("update party_contact_mechanism set value = 'sales@acme.example', write_user = 'mira' where value = 'office@acme.example'")
        .await;
    shows(&world, acme, "Email__c", "sales@acme.example").await;
    world.sql("update party_party set customer_payment_term = 2 where id = 1").await;
    shows(&world, acme, "Description", "Net 60").await;
    world.sql("update account_invoice_payment_term set name = 'Sixty days' where id = 2").await;
    shows(&world, acme, "Description", "Sixty days").await;

    // From Salesforce: the row that counts, several columns of one row, both at once with the root row.
    world.edit_account(
        acme,
        &json!({"Name": "Acme Limited", "Email__c": "desk@acme.example", "BillingStreet": "Mill Lane 9", "BillingCity": "York"}),
    );
    holds(&world, &contacts("Acme Limited"), Some("phone +44 113 1, email desk@acme.example, email old@acme.example")).await;
    holds(&world, &address("Acme Limited"), Some("Mill Lane 9, York; Dock Road 1, Hull")).await;

    // An empty field is filled: the row is made. A field is emptied: the row goes, or is retired.
    world.edit_account(bolt, &json!({"Phone": "+41 44 1", "BillingCity": "Zürich", "Tax_Id__c": "CHE-1"}));
    holds(&world, &contacts("Bolt AG"), Some("email info@bolt.example, phone +41 44 1")).await;
    holds(&world, &address("Bolt AG"), Some(", Zürich")).await;
    holds(&world, "select code from party_identifier where party = 2 and type = 'eu_vat'", Some("CHE-1")).await;
    world.edit_account(bolt, &json!({"Phone": null, "Tax_Id__c": null, "Email__c": null}));
    holds(&world, &contacts("Bolt AG"), Some("phone +41 44 1 (retired)")).await;
    holds(&world, "select code from party_identifier where party = 2", None).await;
    // One edit, one write: nothing goes round.
    let written = || async { world.get("changes").await.to_string().matches("\"sales@acme.example\"").count() };
    assert!(written().await <= 2, "{}", world.get("changes").await);
    assert_eq!(world.account_field(acme, "Email__c"), "desk@acme.example");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_come_move_and_go_change_the_customers_they_belong_to() {
    let world = world(ACME, &[]).await;
    let (acme, bolt) = (account(&world, "1").await, account(&world, "2").await);
    shows(&world, acme, "Email__c", "office@acme.example").await;
    shows(&world, bolt, "Email__c", "info@bolt.example").await;
    // A new main row replaces the one that counted.
    world.sql("insert into party_contact_mechanism (party, type, value, main) values (1, 'email', 'main@acme.example', true)").await;
    shows(&world, acme, "Email__c", "main@acme.example").await;
    // It moves: both customers change.
    world.sql("update party_contact_mechanism set party = 2 where value = 'main@acme.example'").await;
    shows(&world, acme, "Email__c", "office@acme.example").await;
    shows(&world, bolt, "Email__c", "main@acme.example").await;
    // Rows are retired, removed, truncated.
    world.sql("update party_contact_mechanism set active = false where value = 'office@acme.example'").await;
    shows(&world, acme, "Email__c", "old@acme.example").await;
    world.sql("delete from party_contact_mechanism where party = 1 and type = 'email'").await;
    shows(&world, acme, "Email__c", Json::Null).await;
    world.sql("delete from party_contact_mechanism where party = 1 and type = 'phone'").await;
    shows(&world, acme, "Phone", Json::Null).await;
    world.sql("truncate party_identifier").await;
    shows(&world, acme, "Tax_Id__c", Json::Null).await;
    // A person turns company, with the rows that were there before.
    world.sql("update party_party set is_company = true where name = 'Grace Walsh'").await;
    let grace = account(&world, "3").await;
    shows(&world, grace, "Email__c", "grace@walsh.example").await;
    assert_eq!(world.account_field(grace, "Name"), "Grace Walsh");
    // And person again: she leaves as if she were deleted, and what happens to her rows is no news.
    world.sql("update party_party set is_company = false where name = 'Grace Walsh'").await;
    shows(&world, grace, "Site", "no customer any more").await;
    world.sql("update party_contact_mechanism set value = 'private@walsh.example' where party = 3").await;
    world.sql("update party_party set name = 'Bolt Holding AG' where id = 2").await;
    shows(&world, bolt, "Name", "Bolt Holding AG").await;
    assert_eq!(world.account_field(grace, "Email__c"), "grace@walsh.example");
    world.sql("update party_party set is_company = true where name = 'Grace Walsh'").await;
    shows(&world, grace, "Email__c", "private@walsh.example").await;
    assert_eq!(accounts(&world), 3);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_makes_root_and_rows_exactly_once_also_when_killed() {
    const MADE: usize = 24;
    let world = world("", &[]).await;
    for number in 0..MADE {
        make(
            &world,
            &json!({"Name": format!("Company {number}"), "Email__c": format!("office@{number}.example"), "Phone": format!("+1 {number}"),
                    "BillingStreet": format!("Street {number}"), "BillingCity": "Porto", "Tax_Id__c": format!("PT{number}")}),
        );
        if number % 8 == 4 {
            world.kill().await;
            world.run().await;
        }
    }
    let rows = r#"select concat_ws(' ', (select count(*) from party_party where concord_id is not null and is_company),
        (select count(*) from party_contact_mechanism where type = 'email'), (select count(*) from party_contact_mechanism where type = 'phone'),
        (select count(*) from party_identifier), (select count(*) from party."Address" where "Street" like 'Street %' and city = 'Porto'))"#;
    let all = [MADE; 5].map(|count| count.to_string()).join(" ");
    holds(&world, rows, Some(&all)).await;
    // Each row hangs on its own company, and each company's code has come back.
    let odd = r#"select string_agg(p.name, ', ') from party_party p
        where not exists (select from party_contact_mechanism c where c.party = p.id and c.value = replace(p.name, 'Company ', 'office@') || '.example')
           or not exists (select from party."Address" a where a."Party Id" = p.id and a."Street" = replace(p.name, 'Company ', 'Street '))"#;
    holds(&world, odd, None).await;
    for number in 1..=MADE {
        account(&world, &number.to_string()).await;
    }
    world.kill().await;
    world.run().await;
    // Edits of what Concord made travel like any others; nothing was doubled meanwhile.
    world.sql("update party_contact_mechanism set value = 'new@7.example' where value = 'office@7.example'").await;
    let seven = world.org().find("Account", "Name", "Company 7")[0];
    shows(&world, seven, "Email__c", "new@7.example").await;
    holds(&world, rows, Some(&all)).await;
    assert_eq!(accounts(&world), MADE);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn competing_edits_of_a_row_are_conflicts_and_nothing_is_overwritten_unseen() {
    let world = world(ACME, &[]).await;
    let (acme, bolt) = (account(&world, "1").await, account(&world, "2").await);
    shows(&world, acme, "Email__c", "office@acme.example").await;
    shows(&world, bolt, "Email__c", "info@bolt.example").await;
    world.pause().await;
    // The same row is edited; another row comes where there was none; a row takes the place of the one that counted.
    world
        .sql("update party_contact_mechanism set value = 'erp@acme.example', write_user = 'mira' where value = 'office@acme.example'")
        .await;
    world.sql("insert into party_contact_mechanism (party, type, value) values (2, 'mobile', '+41 79 1')").await;
    world.sql("insert into party_contact_mechanism (party, type, value, main) values (2, 'email', 'main@bolt.example', true)").await;
    // Commit times nearer than the skew are a tie; a person who is certainly later waits it out.
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    world.edit_account(acme, &json!({"Email__c": "crm@acme.example"}));
    world.edit_account(bolt, &json!({"Phone": "+41 44 2", "Email__c": "crm@bolt.example"}));
    world.resume().await;
    // The newer edits win, on the rows that count now, and no second row is made.
    holds(&world, &contacts("Acme Ltd"), Some("phone +44 113 1, email crm@acme.example, email old@acme.example")).await;
    holds(&world, &contacts("Bolt AG"), Some("email info@bolt.example, mobile +41 44 2, email crm@bolt.example")).await;
    let conflicts = eventually("Acme's conflict", || world.conflicts("settled", "Acme Ltd"), |found: &Vec<Json>| !found.is_empty()).await;
    assert_eq!(
        (&conflicts[0]["field"], &conflicts[0]["erp"], &conflicts[0]["winner"]),
        (&json!("email"), &json!("erp@acme.example"), &json!("crm"))
    );
    let conflicts = eventually("Bolt's conflicts", || world.conflicts("settled", "Bolt AG"), |found: &Vec<Json>| found.len() >= 2).await;
    let lost: std::collections::BTreeSet<String> = conflicts.iter().map(|conflict| conflict["erp"].to_string()).collect();
    assert_eq!(lost, ["\"+41 79 1\"".to_owned(), "\"main@bolt.example\"".to_owned()].into());
    assert_eq!(world.account_field(bolt, "Phone"), "+41 44 2");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_tables_beside_the_root_lack_is_named_before_anything_starts() {
    let options = StackOptions { erp: Some(format!("{SCHEMA}{ACME}")), mapping: MAPPING.to_owned(), ..StackOptions::default() };
    let world = World::idle(Log::Embedded, options).await;
    let check = || async {
        let path = world.stack.config_path();
        let run =
            tokio::process::Command::new(tests::program()).args(["check", "--json", "--config"]).arg(path).output().await.expect("it runs");
        let found: Json = serde_json::from_slice(&run.stdout).unwrap_or_else(|_| panic!("{run:?}"));
        let said: Vec<String> = found["findings"].as_array().expect("findings").iter().map(ToString::to_string).collect();
        (found["failed"].as_u64(), said.join("\n"))
    };
    let (failed, said) = check().await;
    assert!(failed == Some(0) && said.contains("5 rows beside root rows can be joined and written"), "{said}");
    world.sql(r#"alter table party."Address" drop constraint "Address_Party Id_fkey""#).await;
    let (failed, said) = check().await;
    assert!(failed == Some(0) && said.contains("without a foreign key") && said.contains("party.Address"), "{said}");
    world
        .sql("alter table party_identifier drop constraint party_identifier_pkey; alter table party_contact_mechanism rename column main to first")
        .await;
    let (failed, said) = check().await;
    assert!(failed.is_some_and(|failed| failed >= 2), "{said}");
    assert!(said.contains("public.party_identifier") && said.contains("primary key"), "{said}");
    assert!(said.contains("column public.party_contact_mechanism.main") && said.contains("entity.customer.erp.rows.email"), "{said}");
}
