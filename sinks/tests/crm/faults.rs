//! Faults of the org that pass, and those that somebody has to mend.

use super::*;

#[tokio::test]
async fn faults_that_pass_are_waited_out() -> Result<()> {
    let crm = Crm::new().await?;
    let ids = crm.accounts((0..5).map(|n| format!("account {n}")))?;
    let running = crm.run()?;
    crm.rig.is("sink.crm", HealthState::Running).await?;
    type Break = fn(&mut simulator::Live);
    let faults: [Break; 5] = [
        |live| live.unauthorized_next = 1,
        |live| live.unavailable_next = 2,
        |live| live.too_many_requests_next = 2,
        |live| live.row_lock_next = 3,
        |live| live.drop_before_next = 2,
    ];
    for (n, fault) in faults.into_iter().enumerate() {
        crm.simulator.settings().update(fault);
        let outcome = crm.rig.write_one(rename(&format!("w{n}"), &ids[n], "new", &format!("account {n}"))).await?;
        assert_eq!(outcome.result, OutcomeResult::Applied, "fault {n}: {outcome:?}");
    }
    running.stop().await
}

#[tokio::test]
async fn refused_credentials_and_an_exhausted_limit_pause_the_sink_until_they_are_mended() -> Result<()> {
    let crm = Crm::new().await?;
    let ids = crm.accounts(["One".to_owned(), "Two".to_owned()])?;
    crm.simulator.settings().update(|live| live.refuse_login = true);
    let running = crm.run()?;
    let health = crm.rig.is("sink.crm", HealthState::Paused).await?;
    assert!(health.reason.contains("credentials") && health.remedy.contains("client_id"), "{health:?}");
    crm.rig.send(&[rename("w1", &ids[0], "Uno", "One")]).await?;
    crm.simulator.settings().update(|live| live.refuse_login = false);
    assert_eq!(crm.rig.answered(&[rename("w1", &ids[0], "Uno", "One")]).await?[0].result, OutcomeResult::Applied);
    crm.simulator.settings().update(|live| live.quota_exhausted = true);
    crm.rig.send(&[rename("w2", &ids[1], "Due", "Two")]).await?;
    let health = eventually("the limit pauses the sink", async || {
        Ok(crm
            .rig
            .health()
            .await?
            .remove("sink.crm")
            .filter(|health| health.state == HealthState::Paused && health.reason.contains("Limit")))
    })
    .await?;
    assert!(!health.remedy.is_empty());
    crm.simulator.settings().update(|live| live.quota_exhausted = false);
    assert_eq!(crm.rig.answered(&[rename("w2", &ids[1], "Due", "Two")]).await?[0].result, OutcomeResult::Applied);
    running.stop().await
}

#[tokio::test]
async fn a_hidden_field_holds_only_its_own_writes_until_it_is_visible() -> Result<()> {
    let crm = Crm::new().await?;
    let ids = crm.accounts(["One".to_owned(), "Two".to_owned()])?;
    crm.simulator.settings().update(|live| live.hidden_fields.push("Account.Rating".to_owned()));
    let running = crm.run()?;
    let hidden = rig::update(Side::Crm, "hidden", "Account", &ids[0], &[("Rating", "Hot".into())], &[("Rating", Value::Null)]);
    let both = [hidden, rename("plain", &ids[1], "Due", "Two")];
    crm.rig.send(&both).await?;
    assert_eq!(crm.rig.answered(&both[1..]).await?[0].result, OutcomeResult::Applied);
    assert!(!crm.rig.outcomes().await?.contains_key("hidden"));
    crm.simulator.settings().update(|live| live.hidden_fields.clear());
    assert_eq!(crm.rig.answered(&both[..1]).await?[0].result, OutcomeResult::Applied);
    running.stop().await
}
