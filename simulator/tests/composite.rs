//! Composite, collections, batch, graph and tree.

use anyhow::Result;
use serde_json::json;

use crate::support::World;

#[tokio::test]
async fn collections_answer_for_each_record_in_order() -> Result<()> {
    let world = World::new().await?;
    let record = |name: &str, key: &str| json!({"attributes": {"type": "Account"}, "Name": name, "Concord_Id__c": key});
    let body = json!({"allOrNone": false, "records": [record("A", "1"), record("", "2"), record("C", "3")]});
    let (status, rows) = world.patch("/composite/sobjects/Account/Concord_Id__c", body).await?;
    assert_eq!(status, 200);
    assert_eq!(
        (&rows[0]["created"], &rows[1]["errors"][0]["statusCode"], &rows[2]["success"]),
        (&json!(true), &json!("REQUIRED_FIELD_MISSING"), &json!(true)),
        "{rows}"
    );
    let again = json!({"allOrNone": false, "records": [record("A", "1"), record("C", "3")]});
    let (_, second) = world.patch("/composite/sobjects/Account/Concord_Id__c", again).await?;
    assert_eq!((&second[0]["id"], &second[0]["created"], &second[1]["id"]), (&rows[0]["id"], &json!(false), &rows[2]["id"]));

    let (_, made) = world.post("/composite/sobjects", json!({"records": [{"attributes": {"type": "Contact"}, "LastName": "X"}]})).await?;
    assert_eq!(
        made[0].as_object().map(|row| row.keys().cloned().collect::<Vec<_>>()),
        Some(["id", "success", "errors"].map(str::to_owned).to_vec())
    );

    let (_, undone) = world.post("/composite/sobjects", json!({"allOrNone": true, "records": [{"attributes": {"type": "Contact"}, "LastName": "Y"}, {"attributes": {"type": "Contact"}}]})).await?;
    assert_eq!(
        (&undone[0]["errors"][0]["statusCode"], &undone[1]["errors"][0]["statusCode"]),
        (&json!("ALL_OR_NONE_OPERATION_ROLLED_BACK"), &json!("REQUIRED_FIELD_MISSING"))
    );
    assert_eq!(world.simulator.org().count("Contact"), 1);

    let many: Vec<_> = (0..201).map(|n| record("A", &n.to_string())).collect();
    assert_eq!(world.patch("/composite/sobjects/Account/Concord_Id__c", json!({"records": many})).await?.0, 400);

    let ids = format!("{},001Qy0000000001,{}", rows[0]["id"].as_str().unwrap_or_default(), rows[2]["id"].as_str().unwrap_or_default());
    let (_, read) = world.get(&format!("/composite/sobjects/Account?ids={ids}&fields=Name")).await?;
    assert_eq!((&read[0]["Name"], &read[1], &read[2]["Name"]), (&json!("A"), &json!(null), &json!("C")));
    let (_, read) =
        world.post("/composite/sobjects/Account", json!({"ids": [rows[0]["id"]], "fields": ["Name", "SystemModstamp"]})).await?;
    assert_eq!(read[0]["Name"], "A");
    Ok(())
}

#[tokio::test]
async fn composite_passes_values_on_and_undoes_all_when_told_to() -> Result<()> {
    let world = World::new().await?;
    let parts = |last_name: &str| {
        json!([
            {"method": "POST", "url": "/services/data/v66.0/sobjects/Account", "referenceId": "acc", "body": {"Name": "Acme"}},
            {"method": "POST", "url": "/services/data/v66.0/sobjects/Contact", "referenceId": "con", "body": {"LastName": last_name, "AccountId": "@{acc.id}"}},
            {"method": "GET", "url": "/services/data/v66.0/sobjects/Account/@{acc.id}?fields=Name", "referenceId": "read"},
            {"method": "GET", "url": "/services/data/v66.0/sobjects/Nope/x", "referenceId": "nope"}
        ])
    };
    let (status, body) = world.post("/composite", json!({"compositeRequest": parts("X")})).await?;
    assert_eq!(status, 200);
    let codes: Vec<_> = body["compositeResponse"].as_array().into_iter().flatten().map(|part| part["httpStatusCode"].as_u64()).collect();
    assert_eq!(codes, [Some(201), Some(201), Some(200), Some(404)], "{body}");
    assert_eq!(body["compositeResponse"][3]["body"][0]["errorCode"], "NOT_FOUND");
    assert_eq!(body["compositeResponse"][3]["httpHeaders"], json!({}));

    let (_, body) = world.post("/composite", json!({"allOrNone": true, "compositeRequest": parts("")})).await?;
    let codes: Vec<_> = body["compositeResponse"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|part| part["body"][0]["errorCode"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(codes, ["PROCESSING_HALTED", "REQUIRED_FIELD_MISSING", "PROCESSING_HALTED", "PROCESSING_HALTED"]);
    assert_eq!(world.simulator.org().count("Account"), 1);

    let (_, body) = world.post("/composite/graph", json!({"graphs": [
        {"graphId": "1", "compositeRequest": [{"method": "POST", "url": "/services/data/v66.0/sobjects/Account", "referenceId": "a", "body": {"Name": "G1"}}]},
        {"graphId": "2", "compositeRequest": [{"method": "POST", "url": "/services/data/v66.0/sobjects/Account", "referenceId": "a", "body": {"Name": "G2"}}, {"method": "POST", "url": "/services/data/v66.0/sobjects/Account", "referenceId": "b", "body": {}}]}
    ]})).await?;
    assert_eq!((&body["graphs"][0]["isSuccessful"], &body["graphs"][1]["isSuccessful"]), (&json!(true), &json!(false)), "{body}");
    assert_eq!(world.simulator.org().count("Account"), 2);

    let (_, body) = world
        .post(
            "/composite/batch",
            json!({"batchRequests": [{"method": "GET", "url": "v66.0/limits"}, {"method": "GET", "url": "v66.0/sobjects/Nope/x"}]}),
        )
        .await?;
    assert_eq!(
        (&body["hasErrors"], &body["results"][0]["statusCode"], &body["results"][1]["statusCode"]),
        (&json!(true), &json!(200), &json!(404))
    );

    let (status, body) = world.post("/composite/tree/Account", json!({"records": [{"attributes": {"type": "Account", "referenceId": "r1"}, "Name": "T", "Contacts": {"records": [{"attributes": {"type": "Contact", "referenceId": "r2"}, "LastName": "C"}]}}]})).await?;
    assert_eq!((status, &body["hasErrors"], body["results"].as_array().map(Vec::len)), (201, &json!(false), Some(2)), "{body}");
    Ok(())
}
