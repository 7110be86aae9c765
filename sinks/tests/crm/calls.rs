//! Batches, and how many calls they take.

use super::*;

#[tokio::test]
async fn writing_stays_within_its_share_of_the_orgs_calls() -> Result<()> {
    let crm = Crm::new().await?;
    let ids = crm.accounts((0..40).map(|n| format!("account {n}")))?;
    crm.simulator.settings().update(|live| live.daily_api_requests = 40);
    let mut config = crm.config();
    config.api_share = 0.5;
    config.limit_check = Duration::from_secs(3600);
    let running = crm.rig.crm(config)?;
    crm.rig.is("sink.crm", HealthState::Running).await?;
    for (n, id) in ids.iter().enumerate().take(20) {
        crm.rig.send(&[rename(&format!("w{n}"), id, "new", &format!("account {n}"))]).await?;
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    let health = crm.rig.is("sink.crm", HealthState::Paused).await?;
    assert!(health.reason.contains("50 %"), "{health:?}");
    let used: i64 = health.facts["api_calls"].parse()?;
    assert!((20..=21).contains(&used), "{used} calls were used of a share of 20");
    running.stop().await
}

#[tokio::test]
async fn a_thousand_changes_take_at_most_twelve_calls() -> Result<()> {
    let crm = Crm::new().await?;
    let ids = crm.accounts((0..1000).map(|n| format!("account {n}")))?;
    crm.rig.pause(true).await?;
    let mut config = crm.config();
    config.pace.in_hand = 2000;
    let running = crm.rig.crm(config)?;
    crm.rig.is("sink.crm", HealthState::Paused).await?;
    let writes: Vec<Write> =
        ids.iter().enumerate().map(|(n, id)| rename(&format!("w{n}"), id, &format!("renamed {n}"), &format!("account {n}"))).collect();
    crm.rig.send(&writes).await?;
    eventually("all are in hand", async || {
        let health = crm.rig.health().await?;
        // Facts are told every ten seconds; what matters is that they are read before writing begins.
        Ok(health.get("sink.crm").map(|_| ()))
    })
    .await?;
    tokio::time::sleep(Duration::from_millis(700)).await;
    let before = crm.simulator_calls().await?;
    crm.rig.pause(false).await?;
    let outcomes = crm.rig.answered(&writes).await?;
    let calls = crm.simulator_calls().await? - before - 1;
    assert!(outcomes.iter().all(|it| it.result == OutcomeResult::Applied));
    assert!(calls <= 12, "{calls} calls");
    running.stop().await
}

#[tokio::test]
async fn each_record_of_a_partial_batch_has_its_own_answer() -> Result<()> {
    let crm = Crm::new().await?;
    let ids = crm.accounts((0..60).map(|n| format!("account {n}")))?;
    let refuse = Flow {
        object: "Account".to_owned(),
        when: "Site".to_owned(),
        set: "Site".to_owned(),
        to: FlowValue::Refuse("sites are closed".to_owned()),
    };
    crm.simulator.settings().update(|live| live.flows.push(refuse));
    let running = crm.run()?;
    let mut writes: Vec<Write> =
        (0..50).map(|n| rename(&format!("good{n}"), &ids[n], &format!("renamed {n}"), &format!("account {n}"))).collect();
    let set =
        |id: &str, record: &str, field: &str, value: &str| rig::update(Side::Crm, id, "Account", record, &[(field, value.into())], &[]);
    writes.insert(3, set("long", &ids[50], "AccountNumber", &"x".repeat(41)));
    writes.insert(4, set("picklist", &ids[51], "Payment_Terms__c", "NET999"));
    writes.insert(5, set("rule", &ids[52], "Site", "here"));
    let outcomes = crm.rig.write(&writes).await?;
    let failed: Vec<(&str, &str)> = outcomes
        .iter()
        .filter(|it| it.result == OutcomeResult::Failed)
        .map(|it| (it.write.as_str(), it.code.as_deref().unwrap_or_default()))
        .collect();
    assert_eq!(
        failed,
        [
            ("long", "STRING_TOO_LONG"),
            ("picklist", "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
            ("rule", "FIELD_CUSTOM_VALIDATION_EXCEPTION")
        ]
    );
    assert_eq!(outcomes.iter().filter(|it| it.result == OutcomeResult::Applied).count(), 50);
    let letters = crm.rig.dead_letters(Side::Crm).await?;
    assert!(letters.len() == 3 && letters.iter().all(|letter| !letter.remedy.is_empty() && letter.value.is_some()));
    running.stop().await
}

#[tokio::test]
async fn our_changes_carry_our_name_and_their_outcome_the_count_of_calls() -> Result<()> {
    let crm = Crm::new().await?;
    let ids = crm.accounts(["One".to_owned()])?;
    let running = crm.run()?;
    crm.rig.write_one(rename("w1", &ids[0], "Uno", "One")).await?;
    running.stop().await?;
    assert!(crm.calls().await? >= 3);
    Ok(())
}

impl Crm {
    /// Calls the org has counted, this one included.
    async fn simulator_calls(&self) -> Result<i64> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let form = [
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", self.simulator.client_id()),
            ("client_secret", self.simulator.client_secret()),
        ];
        let url = self.simulator.rest_url();
        let answer: Json = http.post(format!("{url}/services/oauth2/token")).form(&form).send().await?.json().await?;
        let token = answer["access_token"].as_str().context("no token")?;
        let response = http.get(format!("{url}/services/data/v66.0/limits")).bearer_auth(token).send().await?;
        let header = response.headers().get("Sforce-Limit-Info").context("no usage")?.to_str()?.to_owned();
        Ok(header.trim_start_matches("api-usage=").split('/').next().context("no usage")?.parse()?)
    }
}
