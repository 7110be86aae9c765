//! Many records and many events at once: right, and without a limit hit by accident.

use std::time::Instant;

use anyhow::Result;
use serde_json::json;

use crate::support::World;

/// Prints figures; fails only when something is wrong by an order of magnitude.
#[tokio::test(flavor = "multi_thread")]
async fn collections_and_delivery_are_quick() -> Result<()> {
    let world = World::new().await?;
    let start = Instant::now();
    world.simulator.org().load("Account", (0..50_000).map(|n| json!({"Name": format!("Account {n}"), "Concord_Id__c": format!("key-{n}"), "Phone": "+47 22 33 44 55", "BillingCity": "Oslo"})))?;
    println!("load: {:.0} records/s", 50_000.0 / start.elapsed().as_secs_f64());

    let mut events = world.subscribe("/data/AccountChangeEvent").await?;
    let records: Vec<_> = (0..200)
        .map(|n| json!({"attributes": {"type": "Account"}, "Concord_Id__c": format!("key-{n}"), "Phone": format!("{n}")}))
        .collect();
    let start = Instant::now();
    let (status, _) = world.patch("/composite/sobjects/Account/Concord_Id__c", json!({"records": records})).await?;
    let call = start.elapsed();
    assert_eq!(status, 200);
    let mut seen = 0;
    while seen < 200 {
        if seen == 100 {
            events.more(100).await?;
        }
        seen += events.event().await?.header["recordIds"].as_array().map_or(0, Vec::len);
    }
    println!("collection of 200: {call:?}, all events after {:?}", start.elapsed());
    events.more(100).await?;

    let actor = simulator::Actor::lightning(world.simulator.org().admin_user());
    let id = world.simulator.org().find("Account", "Concord_Id__c", "key-7")[0];
    let mut worst = std::time::Duration::ZERO;
    for n in 0..50 {
        let start = Instant::now();
        world.simulator.org().update(&actor, id, &json!({"Site": n.to_string()}))?;
        events.event().await?;
        worst = worst.max(start.elapsed());
    }
    println!("commit to decoded event, worst of 50: {worst:?}");
    assert!(call.as_millis() < 1_000 && worst.as_millis() < 500);
    Ok(())
}
