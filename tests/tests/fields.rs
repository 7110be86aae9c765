//! Every type of field and every way to map it, on real systems: values of the ERP's own types travel to Salesforce and back.

use app::stack::StackOptions;
use serde_json::{Value as Json, json};
use simulator::{Actor, RecordId};
use tests::{Log, World, eventually};

const SCHEMA: &str = r#"
    create table firm (
        id serial primary key, name text not null, staff integer, turnover numeric(12, 3), founded date, seen timestamptz, vip boolean,
        regions text[], terms smallint, street text, house text, phone text, note text, source text, concord_id text unique
    );
    create table person (
        id serial primary key, firm integer references firm, first text, last text not null, born date, concord_id text unique
    );"#;

const MAPPING: &str = r#"
[entity.customer]
title = "name"
crm = { object = "Account", id_column = "Concord_Id__c", write_column = "Concord_Write__c", constants = { AccountSource = "Other" } }
erp = { object = "public.firm", id_column = "concord_id", constants = { source = { value = "concord", on = "always" } } }
keys = [{ name = "tax id", crm = "Tax_Id__c", erp = "note" }]

[entity.customer.field.name]
type = "text(80)"
required = true
crm = "Name"
erp = "name"

[entity.customer.field.staff]
type = "int"
crm = "NumberOfEmployees"
erp = "staff"

[entity.customer.field.turnover]                 # thousands there, the whole amount here
type = "decimal(3)"
crm = { column = "Credit_Limit__c", read = "value == null ? null : value / 1000", write = "value == null ? null : value * 1000" }
erp = "turnover"
lossy = true

[entity.customer.field.founded]
type = "date"
crm = "AccountNumber"
erp = "founded"

[entity.customer.field.seen]
type = "timestamp"
crm = "Tradestyle"
erp = "seen"

[entity.customer.field.vip]                      # a picklist there, true or false here
type = "bool"
crm = { column = "Rating", read = "value == null ? null : value == 'Hot'", write = "value == null ? null : (value ? 'Hot' : 'Cold')" }
erp = "vip"

[entity.customer.field.regions]
type = "list(text)"
crm = "Description"
erp = "regions"

[entity.customer.field.terms]                    # a picklist there, a number here
type = "enum"
default = "30 days"
crm = { column = "Payment_Terms__c", words = { NET15 = "15 days", NET30 = "30 days", NET60 = "60 days" } }
erp = { column = "terms", words = { 15 = "15 days", 30 = "30 days", 60 = "60 days" } }

[entity.customer.field.street]                   # one line there, two columns here
type = "text"
crm = "BillingStreet"
erp.columns = ["street", "house"]
erp.read = 'join([columns.street, columns.house], " ")'
erp.write.street = 'matches(value, ".* [0-9]+[a-z]?$") ? before_last(value, " ") : value'
erp.write.house = 'matches(value, ".* [0-9]+[a-z]?$") ? after_last(value, " ") : null'

[entity.customer.field.phone]                    # whichever Salesforce has
type = "text"
crm.columns = ["Phone", "Fax"]
erp = "phone"

[entity.contact]
title = "last"
crm = { object = "Contact", id_column = "Concord_Id__c", write_column = "Concord_Write__c" }
erp = { object = "public.person", id_column = "concord_id" }

[entity.contact.field.firm]
type = "reference(customer)"
crm = "AccountId"
erp = "firm"

[entity.contact.field.last]
type = "text"
required = true
crm = "LastName"
erp = "last"

[entity.contact.field.first]
type = "text"
crm = "FirstName"
erp = "first"

[entity.contact.field.born]
type = "date"
crm = "Birthdate"
erp = "born"
"#;

async fn world(rows: &str) -> World {
    let options = StackOptions { erp: Some(format!("{SCHEMA}{rows}")), mapping: MAPPING.to_owned(), ..StackOptions::default() };
    let world = World::idle(Log::Embedded, options).await;
    world.run().await;
    world
}

/// Waits until a query of the ERP gives a row of these.
async fn erp(world: &World, sql: &str, wanted: Json) {
    let ask = || async {
        let rows = world
            .erp
            .query(&format!("select to_jsonb(r)::text from ({sql}) r"), &[])
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        rows.first().and_then(|row| serde_json::from_str::<Json>(row.get(0)).ok()).unwrap_or_default()
    };
    eventually(&format!("{sql} to give {wanted}"), ask, |found| *found == wanted).await;
}

/// Waits until a record of Salesforce holds these.
async fn crm(world: &World, record: RecordId, wanted: Json) {
    let fields: Vec<String> = wanted.as_object().expect("fields").keys().cloned().collect();
    let held = || async {
        let read = |name: &String| world.org().with_record(record, |record| record.get(name)).unwrap_or_default();
        fields.iter().map(|name| (name.clone(), read(name))).collect::<serde_json::Map<_, _>>().into()
    };
    eventually(&format!("Salesforce to hold {wanted}"), held, |found: &Json| *found == wanted).await;
}

async fn found(world: &World, object: &str, field: &str, value: &str) -> RecordId {
    let ids = eventually(
        &format!("{object} {value}"),
        || async { world.org().find(object, field, value) },
        |ids: &Vec<RecordId>| !ids.is_empty(),
    )
    .await;
    assert_eq!(ids.len(), 1, "{object} {value}");
    ids[0]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_of_every_type_travel_both_ways() {
    let world = world(
        "insert into firm (name, staff, turnover, founded, seen, vip, regions, terms, street, house, phone) values \
         ('Alpha', 12, 1234.567, '1999-12-31', '2026-01-02 03:04:05.678+01', true, '{south,north}', 60, 'Mill Lane', '7b', '+44 1');",
    )
    .await;
    let alpha = found(&world, "Account", "Name", "Alpha").await;
    crm(
        &world,
        alpha,
        json!({"NumberOfEmployees": 12, "Credit_Limit__c": 1_234_567.0, "AccountNumber": "1999-12-31", "Tradestyle": "2026-01-02T02:04:05.678+0000",
               "Rating": "Hot", "Description": "north;south", "Payment_Terms__c": "NET60", "BillingStreet": "Mill Lane 7b", "Phone": "+44 1",
               "AccountSource": "Other"}),
    )
    .await;

    // Each of them edited there.
    world.edit_account(
        alpha,
        &json!({"NumberOfEmployees": 13, "Credit_Limit__c": 2_000_500.0, "AccountNumber": "2000-02-29", "Tradestyle": "2026-06-01T00:00:00Z",
                "Rating": "Cold", "Description": "west;north;west", "Payment_Terms__c": "NET15", "BillingStreet": "Am Dom"}),
    );
    erp(
        &world,
        "select staff, turnover, founded, seen at time zone 'UTC' as seen, vip, regions, terms, street, house, source from firm where name = 'Alpha'",
        json!({"staff": 13, "turnover": 2000.500, "founded": "2000-02-29", "seen": "2026-06-01T00:00:00", "vip": false, "regions": ["north", "west"],
               "terms": 15, "street": "Am Dom", "house": null, "source": "concord"}),
    )
    .await;
    // And emptied; of several columns the next one counts.
    world.edit_account(
        alpha,
        &json!({"NumberOfEmployees": null, "AccountNumber": null, "Tradestyle": null, "Rating": null, "Description": null, "BillingStreet": null,
                "Phone": null, "Fax": "+44 2"}),
    );
    erp(
        &world,
        "select staff, founded, seen, vip, regions, street, house, phone from firm where name = 'Alpha'",
        json!({"staff": null, "founded": null, "seen": null, "vip": null, "regions": null, "street": null, "house": null, "phone": "+44 2"}),
    )
    .await;
    // A change of one of two columns here is a change of the one there.
    world.sql("update firm set house = '9' where name = 'Alpha'").await;
    crm(&world, alpha, json!({"BillingStreet": "9"})).await;

    // A record made there: a default, constants, a reference that waits for it, a day.
    let person = Actor::lightning(world.org().admin_user());
    let beta = world.org().create(&person, "Account", &json!({"Name": "Beta", "NumberOfEmployees": 3})).expect("made");
    let contact = json!({"AccountId": beta.to_string(), "LastName": "Noether", "Birthdate": "1882-03-23"});
    world.org().create(&person, "Contact", &contact).expect("made");
    erp(&world, "select staff, terms, source from firm where name = 'Beta'", json!({"staff": 3, "terms": 30, "source": "concord"})).await;
    crm(&world, beta, json!({"Payment_Terms__c": "NET30"})).await;
    erp(
        &world,
        "select p.last, p.born, f.name from person p join firm f on f.id = p.firm",
        json!({"last": "Noether", "born": "1882-03-23", "name": "Beta"}),
    )
    .await;
    // The reference is moved, and taken away.
    world.sql("update person set firm = (select id from firm where name = 'Alpha'), born = null").await;
    let noether = found(&world, "Contact", "LastName", "Noether").await;
    crm(&world, noether, json!({"AccountId": alpha.to_string(), "Birthdate": null})).await;
    world.sql("update person set firm = null").await;
    crm(&world, noether, json!({"AccountId": null})).await;
    world.stop().await;
}

/// What does not fit stops its field alone, says so, and is over when it fits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_fits_no_word_stops_its_field_alone_until_it_does() {
    let world = world("insert into firm (name, staff, terms, phone) values ('Alpha', 1, 30, '+1');").await;
    let alpha = found(&world, "Account", "Name", "Alpha").await;
    let aside = || async { world.get("failures").await["dead_letters"].as_array().cloned().unwrap_or_default() };
    world.sql("update firm set terms = 99, phone = '+2' where name = 'Alpha'").await;
    crm(&world, alpha, json!({"Phone": "+2", "Payment_Terms__c": "NET30"})).await;
    let told = eventually("the value set aside", aside, |letters: &Vec<Json>| !letters.is_empty()).await;
    assert_eq!((&told[0]["title"], told.len()), (&json!("Alpha"), 1), "{told:?}");
    for word in ["terms", "99", "not in the table of words"] {
        assert!(told[0]["reason"].as_str().is_some_and(|reason| reason.contains(word)), "{told:?}");
    }
    // What stands there unread is not written over.
    world.edit_account(alpha, &json!({"Payment_Terms__c": "NET60", "NumberOfEmployees": 2}));
    erp(&world, "select staff, terms from firm", json!({"staff": 2, "terms": 99})).await;
    world.sql("update firm set terms = 15 where name = 'Alpha'").await;
    eventually("nothing set aside", aside, Vec::is_empty).await;
    eventually(
        "both sides to agree",
        || async {
            let terms: i16 = world.erp.query_one("select terms from firm", &[]).await.expect("a row").get(0);
            (terms, world.account_field(alpha, "Payment_Terms__c"))
        },
        |(terms, there)| (*terms == 15 && *there == "NET15") || (*terms == 60 && *there == "NET60"),
    )
    .await;
    world.stop().await;
}
