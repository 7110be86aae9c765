//! Stories of writing to Salesforce, against the simulator.

use std::time::Duration;

use anyhow::{Context as _, Result};
use schemas::Value;
use schemas::message::{HealthState, OutcomeResult, Side, Write};
use serde_json::{Value as Json, json};
use simulator::{Actor, Flow, FlowValue, RecordId, Settings, Simulator};
use sinks::Secret;
use sinks::crm::{Auth, Config};

use crate::rig::{self, Rig, Running, create, decimal, delete, eventually, fields};

struct Crm {
    simulator: Simulator,
    rig: Rig,
}

impl Crm {
    async fn new() -> Result<Self> {
        Self::with(Settings::default()).await
    }

    async fn with(settings: Settings) -> Result<Self> {
        Ok(Self { simulator: Simulator::start(settings).await?, rig: Rig::new().await? })
    }

    fn config(&self) -> Config {
        let auth =
            Auth::ClientCredentials { client_id: self.simulator.client_id(), client_secret: Secret::new(self.simulator.client_secret()) };
        let mut config = Config::new(self.simulator.rest_url(), auth);
        config.pace.backoff = Duration::from_millis(20);
        config.pace.backoff_max = Duration::from_millis(200);
        config.limit_check = Duration::from_millis(100);
        config
    }

    fn run(&self) -> Result<Running> {
        self.rig.crm(self.config())
    }

    fn person(&self) -> Actor {
        Actor::lightning(self.simulator.org().admin_user())
    }

    fn accounts(&self, names: impl IntoIterator<Item = String>) -> Result<Vec<String>> {
        let records = names.into_iter().map(|name| json!({"Name": name}));
        Ok(self.simulator.org().load("Account", records)?.iter().map(RecordId::to_string).collect())
    }

    fn account(&self, id: &str, field: &str) -> Result<Json> {
        let id = self.id(id)?;
        self.simulator.org().with_record(id, |record| record.get(field)).context("no such account")
    }

    fn id(&self, id: &str) -> Result<RecordId> {
        RecordId::parse(id).context("no record id")
    }

    async fn calls(&self) -> Result<i64> {
        let health = self.rig.health().await?;
        let facts = &health.get("sink.crm").context("no health")?.facts;
        Ok(facts.get("api_calls").context("no calls")?.parse()?)
    }
}

fn rename(id: &str, record: &str, to: &str, from: &str) -> Write {
    rig::update(Side::Crm, id, "Account", record, &[("Name", to.into())], &[("Name", from.into())])
}

/// Takes the ids of writes.
const STAMP: &str = "Concord_Write__c";
const ENTITY: &str = "6b1f3c0e-0000-4000-8000-000000000001";

fn new_account(id: &str, name: &str) -> Write {
    create(Side::Crm, id, ENTITY, "Account", "Concord_Id__c", &[("Name", name.into()), ("Credit_Limit__c", decimal("12.50"))])
}

#[tokio::test]
async fn a_write_whose_expectation_holds_is_applied_and_another_gets_the_actual_record() -> Result<()> {
    let crm = Crm::new().await?;
    let ids = crm.accounts(["One".to_owned(), "Two".to_owned(), "Three".to_owned()])?;
    let running = crm.run()?;
    let writes = [
        rename("w1", &ids[0], "Uno", "One"),
        rename("w2", &ids[1], "Due", "something else"),
        rename("w3", "001000000000999AAA", "Gone", "x"),
        rig::update(
            Side::Crm,
            "w4",
            "Account",
            &ids[2],
            &[("Credit_Limit__c", decimal("7.25")), ("Phone", "1".into())],
            &[("Credit_Limit__c", Value::Null), ("Phone", "".into())],
        ),
    ];
    let outcomes = crm.rig.write(&writes).await?;
    use OutcomeResult::{Applied, Rejected};
    assert_eq!(outcomes.iter().map(|it| it.result).collect::<Vec<_>>(), [Applied, Rejected, Rejected, Applied]);
    assert_eq!(outcomes[1].actual, fields(&[("Name", "Two".into())]));
    assert_eq!(outcomes[2].actual, []);
    assert_eq!((crm.account(&ids[0], "Name")?, crm.account(&ids[2], "Credit_Limit__c")?), (json!("Uno"), json!(7.25)));
    running.stop().await
}

#[tokio::test]
async fn a_create_makes_one_record_and_never_overwrites_what_was_edited_since() -> Result<()> {
    let crm = Crm::new().await?;
    let running = crm.run()?;
    let made = crm.rig.write_one(new_account("w1", "New")).await?;
    assert_eq!(made.result, OutcomeResult::Applied, "{made:?}");
    let id = made.record.context("no record id")?;
    crm.simulator.org().update(&crm.person(), crm.id(&id)?, &json!({"Name": "Edited"}))?;
    let again = crm.rig.write_one(new_account("w2", "New")).await?;
    assert_eq!((again.result, again.record), (OutcomeResult::Applied, Some(id.clone())));
    assert_eq!((crm.simulator.org().count("Account"), crm.account(&id, "Name")?), (1, json!("Edited")));
    running.stop().await
}

#[tokio::test]
async fn a_record_that_was_deleted_before_its_create_was_answered_is_not_made_again() -> Result<()> {
    let crm = Crm::new().await?;
    let mut never_again = crm.config();
    (never_again.pace.backoff, never_again.pace.backoff_max) = (Duration::from_secs(3600), Duration::from_secs(3600));
    let running = crm.rig.crm(never_again)?;
    crm.rig.is("sink.crm", HealthState::Running).await?;
    crm.simulator.settings().update(|live| live.drop_after_commit_next = 1);
    let write = [new_account("w1", "New")];
    crm.rig.send(&write).await?;
    crm.rig.is("sink.crm", HealthState::Paused).await?;
    running.stop().await?;
    let made = crm.simulator.org().find("Account", "Concord_Id__c", ENTITY);
    assert_eq!(made.len(), 1);
    crm.simulator.org().delete(&crm.person(), made[0])?;
    let running = crm.run()?;
    let outcomes = crm.rig.answered(&write).await?;
    assert_eq!((outcomes[0].result, outcomes[0].record.clone()), (OutcomeResult::Applied, Some(made[0].to_string())));
    assert_eq!(crm.simulator.org().count("Account"), 0);
    // A later create is another one, and what it made is found although the first lies in the bin.
    let second = crm.rig.write_one(new_account("w2", "New")).await?;
    assert_eq!((second.result, crm.simulator.org().count("Account")), (OutcomeResult::Applied, 1));
    assert_ne!(second.record, outcomes[0].record);
    let third = crm.rig.write_one(new_account("w3", "New")).await?;
    assert_eq!((third.record, crm.simulator.org().count("Account")), (second.record, 1));
    running.stop().await
}

#[tokio::test]
async fn what_is_made_or_changed_bears_the_id_of_the_write() -> Result<()> {
    for strict in [false, true] {
        let crm = Crm::new().await?;
        let ids = crm.accounts(["One".to_owned()])?;
        let mut config = crm.config();
        config.strict = strict;
        let running = crm.rig.crm(config)?;
        assert!(crm.account(&ids[0], STAMP)?.is_null());
        crm.rig.write_one(rename("w1", &ids[0], "Uno", "One")).await?;
        assert_eq!(crm.account(&ids[0], STAMP)?, json!("w1"));
        let made = crm.rig.write_one(new_account("w2", "New")).await?;
        let made = made.record.context("no record id")?;
        assert_eq!(crm.account(&made, STAMP)?, json!("w2"));
        // A person's edit does not touch it, nor does a write that is refused.
        crm.simulator.org().update(&crm.person(), crm.id(&made)?, &json!({"Name": "Edited"}))?;
        assert_eq!(crm.rig.write_one(rename("w3", &made, "Newer", "New")).await?.result, OutcomeResult::Rejected);
        assert_eq!(crm.account(&made, STAMP)?, json!("w2"));
        running.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_not_done_again_whatever_a_person_has_edited_since() -> Result<()> {
    for (field, value) in [("Site", "Oslo"), ("Name", "Edited"), ("Name", "One")] {
        let crm = Crm::new().await?;
        let ids = crm.accounts(["One".to_owned()])?;
        let mut never_again = crm.config();
        (never_again.pace.backoff, never_again.pace.backoff_max) = (Duration::from_secs(3600), Duration::from_secs(3600));
        let running = crm.rig.crm(never_again)?;
        crm.rig.is("sink.crm", HealthState::Running).await?;
        crm.simulator.settings().update(|live| live.drop_after_commit_next = 1);
        let write = [rename("w1", &ids[0], "Uno", "One")];
        crm.rig.send(&write).await?;
        crm.rig.is("sink.crm", HealthState::Paused).await?;
        assert_eq!((crm.account(&ids[0], "Name")?, crm.account(&ids[0], STAMP)?), (json!("Uno"), json!("w1")));
        running.stop().await?;
        crm.simulator.org().update(&crm.person(), crm.id(&ids[0])?, &json!({field: value}))?;
        let edited = (crm.account(&ids[0], "LastModifiedById")?, crm.account(&ids[0], "LastModifiedDate")?);
        let running = crm.run()?;
        let outcomes = crm.rig.answered(&write).await?;
        let name = if field == "Name" { value } else { "Uno" };
        assert_eq!((outcomes[0].result, &outcomes[0].actual), (OutcomeResult::Applied, &fields(&[("Name", name.into())])));
        assert_eq!((crm.account(&ids[0], "LastModifiedById")?, crm.account(&ids[0], "LastModifiedDate")?), edited);
        assert_eq!((crm.account(&ids[0], field)?, crm.account(&ids[0], "Name")?), (json!(value), json!(name)));
        running.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_write_that_is_tried_again_after_a_later_one_of_its_entity_is_not_made() -> Result<()> {
    let crm = Crm::new().await?;
    let ids = crm.accounts(["One".to_owned()])?;
    let running = crm.run()?;
    let numbered = |number: u64, to: &str, from: &str| {
        let mut write = rename("", &ids[0], to, from);
        write.id = format!("{}:w{number}", write.entity);
        write
    };
    assert_eq!(crm.rig.write_one(numbered(10, "Uno", "One")).await?.result, OutcomeResult::Applied);
    // What the earlier write expects holds again.
    crm.simulator.org().update(&crm.person(), crm.id(&ids[0])?, &json!({"Name": "One"}))?;
    let again = crm.rig.write_one(numbered(9, "Eins", "One")).await?;
    assert_eq!((again.result, again.actual), (OutcomeResult::Rejected, fields(&[("Name", "One".into())])));
    assert_eq!((crm.account(&ids[0], "Name")?, crm.account(&ids[0], STAMP)?), (json!("One"), json!(numbered(10, "", "").id)));
    assert_eq!(crm.rig.write_one(numbered(11, "Eins", "One")).await?.result, OutcomeResult::Applied);
    running.stop().await
}

#[tokio::test]
async fn a_value_that_the_org_altered_is_ours_after_a_lost_answer() -> Result<()> {
    let crm = Crm::new().await?;
    let ids = crm.accounts(["One".to_owned()])?;
    let shout =
        Flow { object: "Account".to_owned(), when: "Name".to_owned(), set: "Name".to_owned(), to: FlowValue::UpperOf("Name".to_owned()) };
    crm.simulator.settings().update(|live| live.flows.push(shout));
    let running = crm.run()?;
    crm.rig.is("sink.crm", HealthState::Running).await?;
    crm.simulator.settings().update(|live| live.drop_after_commit_next = 1);
    let outcome = crm.rig.write_one(rename("w1", &ids[0], "Uno", "One")).await?;
    assert_eq!((outcome.result, outcome.attempts), (OutcomeResult::Applied, 2));
    assert_eq!(outcome.actual, fields(&[("Name", "UNO".into())]));
    assert_eq!(crm.account(&ids[0], "Name")?, json!("UNO"));
    running.stop().await
}

#[tokio::test]
async fn a_value_that_somebody_else_put_there_is_not_ours() -> Result<()> {
    let crm = Crm::new().await?;
    let ids = crm.accounts(["One".to_owned(), "Two".to_owned()])?;
    let running = crm.run()?;
    crm.simulator.org().update(&crm.person(), crm.id(&ids[0])?, &json!({"Name": "Uno"}))?;
    let refused = crm.rig.write_one(rename("w1", &ids[0], "Uno", "One")).await?;
    assert_eq!((refused.result, refused.actual), (OutcomeResult::Rejected, fields(&[("Name", "Uno".into())])));
    assert!(crm.account(&ids[0], STAMP)?.is_null());
    // What is wanted is what is expected: written, so that the stream shows it as ours.
    assert_eq!(crm.rig.write_one(rename("w2", &ids[0], "Uno", "Uno")).await?.result, OutcomeResult::Applied);
    assert_eq!(crm.account(&ids[0], STAMP)?, json!("w2"));
    // Where no field takes the ids, equal values have to do.
    let mut plain = rename("w3", &ids[1], "Two", "Due");
    plain.write_column = None;
    assert_eq!(crm.rig.write_one(plain).await?.result, OutcomeResult::Applied);
    running.stop().await
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_one_effect() -> Result<()> {
    let crm = Crm::new().await?;
    let ids = crm.accounts(["One".to_owned()])?;
    // The org alters what is written, so that reading again finds neither the old nor the new value.
    let flow =
        Flow { object: "Account".to_owned(), when: "Name".to_owned(), set: "Site".to_owned(), to: FlowValue::UpperOf("Site".to_owned()) };
    crm.simulator.settings().update(|live| live.flows.push(flow));
    let running = crm.run()?;
    crm.rig.is("sink.crm", HealthState::Running).await?;
    crm.simulator.settings().update(|live| live.drop_after_commit_next = 1);
    let outcome = crm.rig.write_one(rename("w1", &ids[0], "Uno", "One")).await?;
    assert_eq!((outcome.result, outcome.attempts), (OutcomeResult::Applied, 2));
    crm.simulator.settings().update(|live| live.drop_after_commit_next = 1);
    assert_eq!(crm.rig.write_one(new_account("w2", "New")).await?.result, OutcomeResult::Applied);
    assert_eq!(crm.simulator.org().count("Account"), 2);
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

#[tokio::test]
async fn strict_mode_deletes_and_children_of_one_parent_work() -> Result<()> {
    let crm = Crm::new().await?;
    let ids = crm.accounts(["One".to_owned(), "Two".to_owned()])?;
    let contacts: Vec<Json> = (0..30).map(|n| json!({"LastName": format!("contact {n}"), "AccountId": ids[0]})).collect();
    let contacts: Vec<String> = crm.simulator.org().load("Contact", contacts)?.iter().map(RecordId::to_string).collect();
    let mut config = crm.config();
    config.strict = true;
    let running = crm.rig.crm(config)?;
    let mut writes: Vec<Write> = contacts
        .iter()
        .enumerate()
        .map(|(n, id)| {
            rig::update(
                Side::Crm,
                &format!("c{n}"),
                "Contact",
                id,
                &[("LastName", "new".into())],
                &[("LastName", format!("contact {n}").as_str().into())],
            )
        })
        .collect();
    writes.push(rename("a", &ids[0], "Uno", "One"));
    writes.push(delete(Side::Crm, "d", "Account", &ids[1], &[("Name", "Two".into())]));
    let outcomes = crm.rig.write(&writes).await?;
    assert!(outcomes.iter().all(|it| it.result == OutcomeResult::Applied), "{outcomes:?}");
    assert_eq!(crm.simulator.org().count("Account"), 1);
    running.stop().await
}

#[tokio::test]
async fn a_signed_assertion_signs_in_over_tls() -> Result<()> {
    let settings = Settings { rest_tls_address: Some(([127, 0, 0, 1], 0).into()), ..Settings::default() };
    let crm = Crm::with(settings).await?;
    let ids = crm.accounts(["One".to_owned()])?;
    let url = crm.simulator.rest_tls_url().context("no TLS")?;
    let auth = Auth::JwtBearer {
        client_id: crm.simulator.client_id(),
        username: crm.simulator.username(),
        private_key_pem: Secret::new(crm.simulator.private_key_pem()),
        audience: "https://login.salesforce.com".to_owned(),
    };
    let mut config = Config::new(url, auth);
    config.ca_pem = Some(crm.simulator.ca_pem());
    let running = crm.rig.crm(config)?;
    assert_eq!(crm.rig.write_one(rename("w1", &ids[0], "Uno", "One")).await?.result, OutcomeResult::Applied);
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

#[tokio::test]
async fn a_write_without_values_reads_and_changes_nothing() -> Result<()> {
    let crm = Crm::new().await?;
    let running = crm.run()?;
    let ids = crm.accounts(["One".to_owned(), "Two".to_owned()])?;
    let modified = crm.account(&ids[1], "LastModifiedDate")?;
    let compare = |id: &str, record: &str| rig::update(Side::Crm, id, "Account", record, &[], &[("Name", "One".into())]);
    let outcomes = crm.rig.write(&[compare("w1", &ids[0]), compare("w2", &ids[1])]).await?;
    assert!(outcomes.iter().all(|outcome| outcome.result == OutcomeResult::Applied));
    assert_eq!(outcomes[0].actual, fields(&[("Name", "One".into())]));
    assert_eq!(outcomes[1].actual, fields(&[("Name", "Two".into())]));
    assert_eq!(crm.account(&ids[1], "LastModifiedDate")?, modified);
    running.stop().await
}
