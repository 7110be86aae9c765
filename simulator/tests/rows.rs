//! Single records: create, read, change, delete, upsert, conditions.

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::support::World;

#[tokio::test]
async fn a_row_is_created_read_changed_and_deleted() -> Result<()> {
    let world = World::new().await?;
    let response =
        world.request(Method::POST, "/sobjects/Account/").json(&json!({"Name": "  Acme  ", "Credit_Limit__c": "1000.005"})).send().await?;
    assert_eq!(response.status(), 201);
    assert!(response.headers()["sforce-limit-info"].to_str()?.starts_with("api-usage="));
    assert_eq!(response.headers()["content-type"], "application/json;charset=UTF-8");
    let body: Json = response.json().await?;
    assert_eq!(
        body.as_object().map(|fields| fields.keys().cloned().collect::<Vec<_>>()),
        Some(["id", "success", "errors"].map(str::to_owned).to_vec())
    );
    let id = body["id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(id.len(), 18);

    let (status, record) = world.get(&format!("/sobjects/Account/{id}")).await?;
    assert_eq!((status, &record["Name"], &record["Credit_Limit__c"]), (200, &json!("Acme"), &json!(1000.01)));
    assert_eq!(record["attributes"], json!({"type": "Account", "url": format!("/services/data/v66.0/sobjects/Account/{id}")}));
    assert!(record["LastModifiedDate"].as_str().is_some_and(|date| date.ends_with(".000+0000")), "{record}");

    let (status, body) =
        world.patch(&format!("/sobjects/Account/{}", &id[..15]), json!({"BillingCity": "Oslo", "Name": "Acme AS"})).await?;
    assert_eq!((status, body), (204, json!("")));
    let (_, record) = world.get(&format!("/sobjects/Account/{id}?fields=Name,BillingAddress")).await?;
    assert_eq!(record["Name"], "Acme AS");
    assert_eq!(record["BillingAddress"]["city"], "Oslo");
    assert_eq!(record["BillingAddress"]["street"], Json::Null);

    assert_eq!(world.send(Method::DELETE, &format!("/sobjects/Account/{id}"), Json::Null).await?.0, 204);
    let (status, body) = world.get(&format!("/sobjects/Account/{id}")).await?;
    assert_eq!((status, &body[0]["errorCode"]), (404, &json!("ENTITY_IS_DELETED")));
    Ok(())
}

#[tokio::test]
async fn bad_values_are_refused_with_the_codes_of_the_service() -> Result<()> {
    let world = World::new().await?;
    let account = world.create("Account", json!({"Name": "Acme", "Concord_Id__c": "k-1"})).await?;
    let cases = [
        ("Contact", json!({"FirstName": "A"}), "REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", json!(["LastName"])),
        (
            "Contact",
            json!({"LastName": "A", "Email": "nobody"}),
            "INVALID_EMAIL_ADDRESS",
            "Email: invalid email address: nobody",
            json!(["Email"]),
        ),
        ("Account", json!({"Name": "A", "Tax_Id__c": "x".repeat(21)}), "STRING_TOO_LONG", "max length=20", json!(["Tax_Id__c"])),
        (
            "Account",
            json!({"Name": "A", "Payment_Terms__c": "NET99"}),
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            "bad value for restricted picklist field: NET99",
            json!(["Payment_Terms__c"]),
        ),
        (
            "Account",
            json!({"Name": "A", "Credit_Limit__c": 1e17}),
            "NUMBER_OUTSIDE_VALID_RANGE",
            "value outside of valid range",
            json!(["Credit_Limit__c"]),
        ),
        ("Account", json!({"Name": "A", "Credit_Limit__c": "many"}), "JSON_PARSER_ERROR", "VALUE_STRING", Json::Null),
        ("Account", json!({"Name": "A", "Nope__c": 1}), "INVALID_FIELD", "No such column 'Nope__c'", Json::Null),
        (
            "Account",
            json!({"Name": "A", "CreatedDate": "2026-01-01T00:00:00Z"}),
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            "CreatedDate",
            json!(["CreatedDate"]),
        ),
        ("Account", json!({"Name": "A", "Concord_Id__c": "K-1"}), "DUPLICATE_VALUE", "duplicates value on record with id: ", json!([])),
        ("Contact", json!({"LastName": "A", "AccountId": "003000000000001AAA"}), "MALFORMED_ID", "Account ID", json!(["AccountId"])),
        (
            "Contact",
            json!({"LastName": "A", "AccountId": "001Qy0000000001"}),
            "INVALID_CROSS_REFERENCE_KEY",
            "invalid cross reference id",
            json!(["AccountId"]),
        ),
    ];
    for (object, fields, code, text, about) in cases {
        let (status, body) = world.post(&format!("/sobjects/{object}"), fields.clone()).await?;
        assert_eq!((status, &body[0]["errorCode"]), (400, &json!(code)), "{fields} {body}");
        assert!(body[0]["message"].as_str().is_some_and(|message| message.contains(text)), "{body}");
        assert_eq!(body[0].get("fields").cloned().unwrap_or(Json::Null), about, "{body}");
    }
    assert_eq!(world.simulator.org().count("Contact"), 0);
    let (status, body) = world.get("/sobjects/Nope/x").await?;
    assert_eq!((status, body), (404, json!([{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}])));
    let (status, body) = world.patch(&format!("/sobjects/Account/{account}"), json!({"Name": "  "})).await?;
    assert_eq!((status, &body[0]["errorCode"]), (400, &json!("REQUIRED_FIELD_MISSING")));
    Ok(())
}

#[tokio::test]
async fn an_upsert_creates_changes_and_tells_of_several() -> Result<()> {
    let world = World::new().await?;
    let path = "/sobjects/Account/Concord_Id__c/a%2Fb%20c";
    let (status, body) = world.patch(path, json!({"Name": "One"})).await?;
    assert_eq!((status, &body["created"]), (201, &json!(true)));
    let id = body["id"].clone();
    let (status, body) = world.patch(path, json!({"Name": "Two"})).await?;
    assert_eq!((status, &body["created"], &body["id"]), (200, &json!(false), &id));
    let (_, record) = world.get(path).await?;
    assert_eq!((&record["Name"], &record["Concord_Id__c"]), (&json!("Two"), &json!("a/b c")));
    assert_eq!(world.patch("/sobjects/Account/Concord_Id__c/new?updateOnly=true", json!({"Name": "X"})).await?.0, 404);

    for name in ["A", "B"] {
        world.create("Account", json!({"Name": name, "ERP_Id__c": "same"})).await?;
    }
    let (status, body) = world.patch("/sobjects/Account/ERP_Id__c/same", json!({"Name": "C"})).await?;
    assert_eq!(status, 300);
    assert_eq!(body.as_array().map(Vec::len), Some(2), "{body}");
    assert_eq!(world.query("SELECT count() FROM Account WHERE Name = 'C'").await?.1["totalSize"], 0);

    let (status, body) = world.post("/sobjects/Contact", json!({"LastName": "X", "Account": {"Concord_Id__c": "a/b c"}})).await?;
    assert_eq!(status, 201, "{body}");
    let (_, found) = world.query("SELECT AccountId, Account.Name FROM Contact").await?;
    assert_eq!((&found["records"][0]["AccountId"], &found["records"][0]["Account"]["Name"]), (&id, &json!("Two")));
    Ok(())
}

#[tokio::test]
async fn conditions_on_rows_hold() -> Result<()> {
    let clock = simulator::Clock::manual(1_790_000_000_000);
    let world = World::with(simulator::Settings { clock: clock.clone(), ..Default::default() }).await?;
    let id = world.create("Account", json!({"Name": "Acme"})).await?;
    let path = format!("/sobjects/Account/{id}");
    let first = world.request(Method::GET, &path).send().await?;
    let (tag, seen) = (first.headers()["etag"].clone(), first.headers()["last-modified"].clone());
    assert!(tag.to_str()?.ends_with("=-gzip\""), "{tag:?}");
    assert_eq!(world.request(Method::GET, &path).header("if-none-match", &tag).send().await?.status(), 304);
    assert_eq!(world.request(Method::GET, &path).header("if-modified-since", &seen).send().await?.status(), 304);

    clock.advance_ms(5_000);
    assert_eq!(
        world.request(Method::PATCH, &path).header("if-unmodified-since", &seen).json(&json!({"Phone": "1"})).send().await?.status(),
        204
    );
    assert_eq!(
        world.request(Method::PATCH, &path).header("if-unmodified-since", &seen).json(&json!({"Phone": "2"})).send().await?.status(),
        412
    );
    assert_eq!(world.request(Method::PATCH, &path).header("if-match", &tag).json(&json!({"Phone": "2"})).send().await?.status(), 412);
    assert_eq!(world.get(&path).await?.1["Phone"], "1");
    Ok(())
}

#[tokio::test]
async fn an_opportunity_follows_its_stage_and_a_contact_its_name() -> Result<()> {
    let world = World::new().await?;
    let id =
        world.create("Opportunity", json!({"Name": "Deal", "StageName": "Prospecting", "CloseDate": "2026-12-31", "Amount": 1000})).await?;
    let path = format!("/sobjects/Opportunity/{id}?fields=Probability,IsClosed,IsWon,ExpectedRevenue,ForecastCategoryName");
    let (_, record) = world.get(&path).await?;
    assert_eq!((&record["Probability"], &record["ExpectedRevenue"], &record["IsClosed"]), (&json!(10.0), &json!(100.0), &json!(false)));
    world.patch(&format!("/sobjects/Opportunity/{id}"), json!({"StageName": "Closed Won"})).await?;
    let (_, record) = world.get(&path).await?;
    assert_eq!(
        (&record["Probability"], &record["ExpectedRevenue"], &record["IsWon"], &record["ForecastCategoryName"]),
        (&json!(100.0), &json!(1000.0), &json!(true), &json!("Closed"))
    );

    let id = world.create("Contact", json!({"FirstName": "Ada", "LastName": "Byron"})).await?;
    world.patch(&format!("/sobjects/Contact/{id}"), json!({"LastName": "Lovelace"})).await?;
    assert_eq!(world.get(&format!("/sobjects/Contact/{id}")).await?.1["Name"], "Ada Lovelace");
    Ok(())
}

#[tokio::test]
async fn a_delete_takes_children_along_and_undelete_brings_them_back() -> Result<()> {
    let world = World::new().await?;
    let org = world.simulator.org();
    let person = simulator::Actor::lightning(org.admin_user());
    let account = org.create(&person, "Account", &json!({"Name": "Acme"}))?;
    let contact = org.create(&person, "Contact", &json!({"LastName": "A", "AccountId": account.to_string()}))?;
    org.delete(&person, account)?;
    assert_eq!((org.count("Account"), org.count("Contact")), (0, 0));
    let (_, all) = crate::support::answer(
        world.request(Method::GET, "/queryAll").query(&[("q", "SELECT Id, IsDeleted FROM Contact WHERE IsDeleted = true")]).send().await?,
    )
    .await?;
    assert_eq!(all["records"][0]["Id"], json!(contact.to_string()));
    org.undelete(&person, account)?;
    assert_eq!((org.count("Account"), org.count("Contact")), (1, 1));

    let loser = org.create(&person, "Account", &json!({"Name": "Acme 2"}))?;
    let moved = org.create(&person, "Contact", &json!({"LastName": "B", "AccountId": loser.to_string()}))?;
    org.merge(&person, account, &[loser], &json!({"Phone": "1"}))?;
    let record = org.record(loser).unwrap_or_default();
    assert_eq!((&record["IsDeleted"], &record["MasterRecordId"]), (&json!(true), &json!(account.to_string())));
    assert_eq!(org.record(moved).unwrap_or_default()["AccountId"], json!(account.to_string()));
    Ok(())
}

#[tokio::test]
async fn describe_tells_what_can_be_written_and_hides_what_is_hidden() -> Result<()> {
    let world = World::new().await?;
    let (_, describe) = world.get("/sobjects/Account/describe").await?;
    let field = |name: &str| {
        describe["fields"].as_array().and_then(|fields| fields.iter().find(|field| field["name"] == name)).cloned().unwrap_or(Json::Null)
    };
    assert_eq!(
        (&field("Concord_Id__c")["externalId"], &field("Concord_Id__c")["unique"], &field("Concord_Id__c")["length"]),
        (&json!(true), &json!(true), &json!(36))
    );
    assert_eq!(
        (&field("Name")["nillable"], &field("BillingAddress")["createable"], &field("BillingCity")["compoundFieldName"]),
        (&json!(false), &json!(false), &json!("BillingAddress"))
    );
    assert_eq!(field("Payment_Terms__c")["picklistValues"].as_array().map(Vec::len), Some(4));
    assert_eq!((&field("Credit_Limit__c")["precision"], &field("Credit_Limit__c")["scale"]), (&json!(18), &json!(2)));

    world.simulator.settings().update(|live| live.hidden_fields = vec!["Account.Phone".to_owned()]);
    let (_, describe) = world.get("/sobjects/Account/describe").await?;
    assert!(!describe["fields"].as_array().is_some_and(|fields| fields.iter().any(|field| field["name"] == "Phone")));
    let (status, body) = world.post("/sobjects/Account", json!({"Name": "A", "Phone": "1"})).await?;
    assert_eq!((status, &body[0]["errorCode"]), (400, &json!("INVALID_FIELD_FOR_INSERT_UPDATE")));
    let (status, body) = world.query("SELECT Phone FROM Account").await?;
    assert_eq!((status, &body[0]["errorCode"]), (400, &json!("INVALID_FIELD")));

    let (_, all) = world.get("/sobjects/").await?;
    assert!(all["sobjects"].as_array().is_some_and(|objects| objects.iter().any(|object| object["name"] == "AccountChangeEvent")));
    let (status, versions) = crate::support::answer(world.http().get(world.url("/services/data/")).send().await?).await?;
    assert_eq!((status, &versions[5]["version"]), (200, &json!("67.0")));
    assert!(world.get("/limits").await?.1["DailyApiRequests"]["Remaining"].is_number());
    Ok(())
}
