//! SOQL: what it selects, its pages, its errors.

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::support::{World, answer};

async fn names(world: &World, condition: &str) -> Result<Vec<String>> {
    let (status, body) = world.query(&format!("SELECT Name FROM Account {condition}")).await?;
    anyhow::ensure!(status == 200, "{condition}: {body}");
    Ok(body["records"].as_array().into_iter().flatten().filter_map(|row| row["Name"].as_str().map(str::to_owned)).collect())
}

#[tokio::test]
async fn conditions_select_and_order_sorts() -> Result<()> {
    let world = World::with(simulator::Settings { clock: simulator::Clock::manual(1_790_000_000_000), ..Default::default() }).await?;
    let org = world.simulator.org();
    org.load(
        "Account",
        [
            json!({"Name": "Alpha", "Industry": "Energy", "AnnualRevenue": 100, "BillingCity": "Oslo"}),
            json!({"Name": "Beta's", "Industry": "Retail", "AnnualRevenue": 200, "Concord_Id__c": "c-2"}),
            json!({"Name": "Gamma", "AnnualRevenue": 300, "Industry": "Energy"}),
        ],
    )?;
    for (condition, expected) in [
        ("WHERE Name = 'alpha'", vec!["Alpha"]),
        ("WHERE Name = 'Beta\\'s'", vec!["Beta's"]),
        ("WHERE Name LIKE 'b%' OR AnnualRevenue >= 300", vec!["Beta's", "Gamma"]),
        ("WHERE Industry = 'Energy' AND (NOT Name = 'Alpha')", vec!["Gamma"]),
        ("WHERE Name IN ('Alpha','Gamma') ORDER BY Name DESC", vec!["Gamma", "Alpha"]),
        ("WHERE Name NOT IN ('Alpha','Gamma')", vec!["Beta's"]),
        ("WHERE BillingCity != null", vec!["Alpha"]),
        ("WHERE Concord_Id__c = 'C-2'", vec!["Beta's"]),
        ("WHERE LastModifiedDate >= 2020-01-01T00:00:00Z AND AnnualRevenue <> 100.0 ORDER BY AnnualRevenue DESC LIMIT 1", vec!["Gamma"]),
        ("WHERE SystemModstamp > 2030-01-01T00:00:00.000+00:00", vec![]),
        ("WHERE CreatedDate = TODAY AND IsDeleted = false ORDER BY Name LIMIT 1 OFFSET 1", vec!["Beta's"]),
        ("ORDER BY BillingCity NULLS LAST, Name", vec!["Alpha", "Beta's", "Gamma"]),
    ] {
        assert_eq!(names(&world, condition).await?, expected, "{condition}");
    }
    let (_, body) = world.query("select count() from Account").await?;
    assert_eq!(body, json!({"totalSize": 3, "done": true, "records": []}));
    let (_, body) = world.query("SELECT FIELDS(ALL) FROM Account LIMIT 1").await?;
    assert!(body["records"][0]["Concord_Id__c"].is_null() && body["records"][0]["Name"] == "Alpha");
    let account = body["records"][0]["Id"].as_str().unwrap_or_default().to_owned();
    world.create("Contact", json!({"LastName": "X", "AccountId": account})).await?;
    world.create("Contact", json!({"LastName": "Y"})).await?;
    let (_, body) = world.query("SELECT LastName, Account.Name, Account.Owner.Name FROM Contact WHERE Account.Name = 'Alpha'").await?;
    assert_eq!(body["totalSize"], 1);
    assert_eq!(
        (&body["records"][0]["Account"]["Name"], &body["records"][0]["Account"]["Owner"]["Name"]),
        (&json!("Alpha"), &json!("Ada Admin"))
    );
    let (_, body) = world.query("SELECT Name, (SELECT LastName FROM Contacts) FROM Account ORDER BY Name").await?;
    assert_eq!((&body["records"][0]["Contacts"]["records"][0]["LastName"], &body["records"][1]["Contacts"]), (&json!("X"), &Json::Null));
    Ok(())
}

#[tokio::test]
async fn mistakes_are_pointed_at() -> Result<()> {
    let world = World::new().await?;
    for (soql, code, text) in [
        (
            "SELECT Id FROM Nope",
            "INVALID_TYPE",
            "\nSELECT Id FROM Nope\n               ^\nERROR at Row:1:Column:16\nsObject type 'Nope' is not supported.",
        ),
        (
            "SELECT Nope FROM Account",
            "INVALID_FIELD",
            "No such column 'Nope' on entity 'Account'. If you are attempting to use a custom field, be sure to append the '__c'",
        ),
        ("SELECT Id FROM Account WHERE", "MALFORMED_QUERY", "unexpected token: '<EOF>'"),
        ("SELECT Id FROM Account WHERE Name = 'x", "MALFORMED_QUERY", "unterminated"),
        ("SELECT Id FROM Account WHERE AnnualRevenue = 'x'", "INVALID_FIELD", "should not be enclosed in quotes"),
        ("SELECT Id FROM Account OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "2000"),
    ] {
        let (status, body) = world.query(soql).await?;
        assert_eq!((status, &body[0]["errorCode"]), (400, &json!(code)), "{soql} {body}");
        assert!(body[0]["message"].as_str().is_some_and(|message| message.contains(text)), "{soql} {body}");
    }
    Ok(())
}

#[tokio::test]
async fn long_results_come_in_pages() -> Result<()> {
    let world = World::new().await?;
    world.simulator.org().load("Account", (0..4_500).map(|n| json!({"Name": format!("A{n}")})))?;
    let (_, mut body) = world.query("SELECT Name FROM Account").await?;
    assert_eq!((&body["totalSize"], &body["done"]), (&json!(4_500), &json!(false)));
    let mut seen = body["records"].as_array().map_or(0, Vec::len);
    while let Some(next) = body["nextRecordsUrl"].as_str().map(str::to_owned) {
        (_, body) = answer(world.http().get(world.url(&next)).bearer_auth(&world.token).send().await?).await?;
        seen += body["records"].as_array().map_or(0, Vec::len);
    }
    assert_eq!((seen, &body["done"]), (4_500, &json!(true)));
    let response = world
        .request(Method::GET, "/query/")
        .query(&[("q", "SELECT Id FROM Account")])
        .header("Sforce-Query-Options", "batchSize=200")
        .send()
        .await?;
    let (_, body) = answer(response).await?;
    assert_eq!(body["records"].as_array().map(Vec::len), Some(200));
    let (status, body) = world.get("/query/01gQy0000000000-2000").await?;
    assert_eq!((status, &body[0]["errorCode"]), (400, &json!("INVALID_QUERY_LOCATOR")));
    Ok(())
}

#[tokio::test]
async fn replication_calls_list_what_changed_and_what_went() -> Result<()> {
    let clock = simulator::Clock::manual(1_790_000_000_000);
    let world = World::with(simulator::Settings { clock: clock.clone(), ..Default::default() }).await?;
    let (kept, gone) = (world.create("Account", json!({"Name": "A"})).await?, world.create("Account", json!({"Name": "B"})).await?);
    world.send(Method::DELETE, &format!("/sobjects/Account/{gone}"), Json::Null).await?;
    clock.advance_ms(120_000);
    let window = [("start", "2026-09-21T00:00:00+00:00"), ("end", "2026-09-22T00:00:00+00:00")];
    let (status, body) = answer(world.request(Method::GET, "/sobjects/Account/updated/").query(&window).send().await?).await?;
    assert_eq!((status, &body["ids"]), (200, &json!([kept])), "{body}");
    let (_, body) = answer(world.request(Method::GET, "/sobjects/Account/deleted/").query(&window).send().await?).await?;
    assert_eq!(body["deletedRecords"][0]["id"], json!(gone), "{body}");
    Ok(())
}
