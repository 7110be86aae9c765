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

mod answers;
mod calls;
mod deletes;
mod faults;

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
    // Another create of the entity: what it finds is not its own.
    let again = crm.rig.write_one(new_account("w2", "New")).await?;
    assert_eq!((again.result, again.record), (OutcomeResult::Rejected, Some(id.clone())));
    assert_eq!((crm.simulator.org().count("Account"), crm.account(&id, "Name")?), (1, json!("Edited")));
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
