//! Bulk API 2.0: query and ingest jobs from upload to results.

use anyhow::Result;
use reqwest::Method;
use serde_json::json;

use crate::support::{SOON, World, answer};

#[tokio::test]
async fn a_query_job_is_read_by_locator() -> Result<()> {
    let world = World::new().await?;
    world.simulator.org().load("Account", (0..5).map(|n| json!({"Name": format!("A \"{n}\", x"), "AnnualRevenue": n})))?;
    let (_, job) =
        world.post("/jobs/query", json!({"operation": "query", "query": "SELECT Name, AnnualRevenue FROM Account ORDER BY Name"})).await?;
    let id = job["id"].as_str().unwrap_or_default().to_owned();
    assert!(id.starts_with("750"), "{job}");
    assert_eq!(world.get(&format!("/jobs/query/{id}")).await?.1["state"], "JobComplete");
    let mut locator = String::new();
    let mut rows = Vec::new();
    loop {
        let response = world.request(Method::GET, &format!("/jobs/query/{id}/results?maxRecords=2{locator}")).send().await?;
        let next = response.headers()["sforce-locator"].to_str()?.to_owned();
        let text = response.text().await?;
        assert!(text.starts_with("\"Name\",\"AnnualRevenue\"\n"), "{text}");
        rows.extend(text.lines().skip(1).map(str::to_owned));
        if next == "null" {
            break;
        }
        locator = format!("&locator={next}");
    }
    assert_eq!(rows.len(), 5);
    assert_eq!(rows[3], "\"A \"\"3\"\", x\",\"3.0\"");
    Ok(())
}

#[tokio::test]
async fn an_ingest_job_tells_of_each_row() -> Result<()> {
    let world = World::new().await?;
    let (_, job) = world
        .post(
            "/jobs/ingest",
            json!({"object": "Account", "operation": "upsert", "externalIdFieldName": "Concord_Id__c", "lineEnding": "LF"}),
        )
        .await?;
    let id = job["id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(job["state"], "Open");
    let csv = "Concord_Id__c,Name,Phone\nk1,One,1\nk2,Two,#N/A\n,Three,3\n";
    let put = world.request(Method::PUT, &format!("/jobs/ingest/{id}/batches")).header("content-type", "text/csv").body(csv).send().await?;
    assert_eq!(put.status(), 201);
    world.patch(&format!("/jobs/ingest/{id}"), json!({"state": "UploadComplete"})).await?;
    tokio::time::timeout(SOON, async {
        while world.get(&format!("/jobs/ingest/{id}")).await?.1["state"] != "JobComplete" {
            tokio::task::yield_now().await;
        }
        anyhow::Ok(())
    })
    .await??;
    let (_, done) = world.get(&format!("/jobs/ingest/{id}/")).await?;
    assert_eq!((&done["numberRecordsProcessed"], &done["numberRecordsFailed"]), (&json!(3), &json!(1)));
    let (_, good) = answer(world.request(Method::GET, &format!("/jobs/ingest/{id}/successfulResults")).send().await?).await?;
    assert!(
        good.as_str().is_some_and(|text| text.starts_with("\"sf__Id\",\"sf__Created\",\"Concord_Id__c\"") && text.lines().count() == 3),
        "{good}"
    );
    let (_, bad) = answer(world.request(Method::GET, &format!("/jobs/ingest/{id}/failedResults")).send().await?).await?;
    assert!(bad.as_str().is_some_and(|text| text.contains("MISSING_ARGUMENT")), "{bad}");
    assert_eq!(world.simulator.org().count("Account"), 2);
    Ok(())
}
