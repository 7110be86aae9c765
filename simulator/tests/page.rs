//! The plain page: lists, a record, an edit.

use anyhow::Result;
use serde_json::json;

use crate::support::World;

#[tokio::test]
async fn a_person_finds_edits_creates_and_deletes_a_record() -> Result<()> {
    let world = World::new().await?;
    let org = world.simulator.org();
    let ids = org.load(
        "Account",
        (0..60).map(|n| json!({"Name": format!("<Acme & {n}>"), "Phone": "1", "Payment_Terms__c": "NET30", "Credit_Limit__c": 1000})),
    )?;
    let mut events = world.subscribe("/data/AccountChangeEvent").await?;
    let text = |path: String| {
        let request = world.http().get(world.url(&path));
        async move { anyhow::Ok(request.send().await?.text().await?) }
    };
    let first = text("/".to_owned()).await?;
    assert!(first.contains("60 in all") && first.contains("&lt;Acme &amp; 59&gt;") && first.contains("Next →"), "{first}");
    assert!(first.contains("<td>NET30</td><td>1000</td>"));
    let found = text("/accounts?q=acme+%26+7%3E".to_owned()).await?;
    assert!(found.contains("Acme &amp; 7&gt;") && !found.contains("Acme &amp; 8&gt;"));
    assert!(text("/accounts?q=nobody".to_owned()).await?.contains("Nothing matches."));

    let path = format!("/record/{}", ids[7]);
    assert!(text(path.clone()).await?.contains("<label for=\"Phone\">Phone</label><input id=\"Phone\""));
    let saved = world.http().post(world.url(&path)).form(&[("Name", "<Acme & 7>"), ("Phone", "2"), ("Industry", "")]).send().await?;
    assert_eq!(saved.status(), 303);
    let event = events.event().await?;
    assert_eq!((&event.body["Phone"], &event.header["changedFields"]), (&json!("2"), &json!(["0x400040"])), "only what changed is written");
    assert_eq!(event.header["changeOrigin"], "com/salesforce/api/soap/66.0;client=SfdcInternalAPI/");
    assert_eq!(event.header["commitUser"], json!(org.admin_user().to_string()));

    let refused = world.http().post(world.url(&path)).form(&[("Name", "")]).send().await?;
    assert_eq!(refused.status(), 400);
    assert!(refused.text().await?.contains("Required fields are missing"));
    assert_eq!(world.http().post(world.url("/accounts/new")).form(&[("Name", "New one")]).send().await?.status(), 303);
    assert_eq!(org.find("Account", "Name", "new one").len(), 1);
    assert_eq!(world.http().post(world.url(&format!("{path}/delete"))).header("sec-fetch-site", "cross-site").send().await?.status(), 403);
    assert_eq!(world.http().post(world.url(&format!("{path}/delete"))).send().await?.status(), 303);
    assert_eq!(world.http().get(world.url(&path)).send().await?.status(), 404);
    assert!(text("/opportunities/new".to_owned()).await?.contains("<option>Closed Won</option>"));
    Ok(())
}
