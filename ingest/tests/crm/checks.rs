//! What is wrong is found before anything starts, with what mends it.

use anyhow::Result;
use ingest::crm::{Auth, Config, Finding, Needs, Secret, Use, check};

use super::harness::World;

fn needs(fields: &[(&str, &str, Use)]) -> Needs {
    let mut needs = Needs::new();
    for (object, field, wanted) in fields {
        needs.entry((*object).to_owned()).or_default().insert((*field).to_owned(), *wanted);
    }
    needs
}

#[track_caller]
fn one(findings: &[Finding], place: &str, what: &str, remedy: &str) {
    assert_eq!(findings.len(), 1, "{findings:?}");
    let text = findings[0].to_string();
    assert!(findings[0].place.contains(place) && findings[0].what.contains(what) && findings[0].remedy.contains(remedy), "{text}");
}

#[tokio::test]
async fn an_org_that_is_fit_has_no_findings() -> Result<()> {
    let world = World::new(&["Account", "Contact"]).await?;
    let needs =
        needs(&[("Account", "Name", Use::Write), ("Account", "BillingStreet", Use::Write), ("Contact", "LastModifiedDate", Use::Read)]);
    assert_eq!(check(&world.config, &needs).await, []);
    Ok(())
}

#[tokio::test]
async fn a_wrong_secret_is_named() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    let auth = Auth::ClientCredentials { client_id: world.simulator.client_id(), client_secret: Secret::new("wrong") };
    let findings = check(&Config { auth, ..world.config.clone() }, &Needs::new()).await;
    one(&findings, "source crm", "refuses the sign-in", "client_secret");
    Ok(())
}

#[tokio::test]
async fn a_key_that_does_not_belong_to_the_app_is_named() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    let auth = |key: &str| Auth::Jwt {
        client_id: world.simulator.client_id(),
        username: "nobody@example.com".into(),
        private_key: Secret::new(key),
        audience: None,
    };
    let findings = check(&Config { auth: auth(world.simulator.private_key_pem()), ..world.config.clone() }, &Needs::new()).await;
    one(&findings, "source crm", "invalid_grant", "");
    let findings = check(&Config { auth: auth("/no/such/key.pem"), ..world.config.clone() }, &Needs::new()).await;
    one(&findings, "source crm", "/no/such/key.pem", "correct the setting");
    let findings = check(
        &Config { auth: auth("-----BEGIN RSA PRIVATE KEY-----\nnonsense\n-----END RSA PRIVATE KEY-----"), ..world.config.clone() },
        &Needs::new(),
    )
    .await;
    one(&findings, "source crm", "not an RSA private key", "correct the setting");
    Ok(())
}

#[tokio::test]
async fn an_object_without_change_events_is_named() -> Result<()> {
    let world = World::new(&["Account", "Contact"]).await?;
    world.simulator.settings().update(|live| live.change_events.retain(|object| object != "Contact"));
    let findings = check(&world.config, &Needs::new()).await;
    one(&findings, "ContactChangeEvent", "not enabled for change events", "Setup, Change Data Capture");
    Ok(())
}

#[tokio::test]
async fn an_object_that_does_not_exist_is_named() -> Result<()> {
    let mut world = World::new(&["Account"]).await?;
    world.config.objects.push("Acount".to_owned());
    let findings = check(&world.config, &Needs::new()).await;
    one(&findings, "Salesforce object Acount", "NOT_FOUND", "mapping");
    Ok(())
}

#[tokio::test]
async fn fields_that_are_missing_hidden_or_read_only_are_named() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    world.simulator.settings().update(|live| live.hidden_fields.push("Account.Tax_Id__c".to_owned()));
    let needs = needs(&[("Account", "Nmae", Use::Read), ("Account", "Tax_Id__c", Use::Read), ("Account", "LastModifiedDate", Use::Write)]);
    let findings = check(&world.config, &needs).await;
    let places: Vec<_> = findings.iter().map(|finding| finding.place.as_str()).collect();
    assert_eq!(
        places,
        ["Salesforce field Account.LastModifiedDate", "Salesforce field Account.Nmae", "Salesforce field Account.Tax_Id__c"]
    );
    Ok(())
}

#[tokio::test]
async fn fields_that_change_events_do_not_carry_are_named() -> Result<()> {
    let world = World::new(&["Account", "Contact"]).await?;
    let findings = check(&world.config, &needs(&[("Contact", "IsEmailBounced", Use::Read)])).await;
    one(&findings, "Contact.IsEmailBounced", "do not carry", "mapping");
    let findings = check(&world.config, &needs(&[("Account", "BillingAddress", Use::Read)])).await;
    one(&findings, "Account.BillingAddress", "compound", "BillingStreet");
    Ok(())
}

#[tokio::test]
async fn sign_in_and_queries_go_over_tls_with_the_configured_root() -> Result<()> {
    let settings = simulator::Settings { rest_tls_address: Some("127.0.0.1:0".parse()?), ..simulator::Settings::default() };
    let simulator = simulator::Simulator::start(settings).await?;
    let auth = Auth::ClientCredentials { client_id: simulator.client_id(), client_secret: Secret::new(simulator.client_secret()) };
    let config = Config {
        login_url: simulator.rest_tls_url().unwrap_or_default(),
        auth,
        pubsub_endpoint: simulator.pubsub_address(),
        root_certificate: Some(simulator.ca_pem()),
        objects: vec!["Account".to_owned()],
        ..Config::default()
    };
    assert_eq!(check(&config, &Needs::new()).await, []);
    let findings = check(&Config { root_certificate: None, ..config }, &Needs::new()).await;
    one(&findings, "source crm", "certificate", "");
    Ok(())
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_named() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    let findings = check(&Config { root_certificate: None, ..world.config.clone() }, &Needs::new()).await;
    one(&findings, "/data/ChangeEvents", "certificate", "");
    Ok(())
}
