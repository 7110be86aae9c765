//! TLS with the ERP in each mode, and what is said when it fails.

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use schemas::message::OutcomeResult;
use servers::{Postgres, PostgresOptions, Tls};
use sinks::erp::{Config, look};
use sinks::{Class, Error};

use crate::erp::{SCHEMA, connect, rename};
use crate::rig::Rig;

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

async fn encrypted(url: &str) -> Result<bool, Error> {
    let client = look(&Config::new(url)).await?;
    let row = client.query_one("select ssl from pg_stat_ssl where pid = pg_backend_pid()", &[]).await.expect("a row about ourselves");
    Ok(row.get(0))
}

/// Refused because of what is set here or there, not for a moment, and said without the password.
async fn refused(url: &str, words: &[&str]) {
    let error = encrypted(url).await.expect_err(url);
    let (said, remedy) = (error.to_string(), error.remedy());
    assert!(matches!(error, Error::Setting { .. }) && error.class() == Class::Fatal, "{url}: {error:?}");
    assert!(words.iter().all(|word| said.contains(word)), "{url}: {said}");
    assert!(remedy.contains("sslmode") || remedy.contains("PEM"), "{url}: {remedy}");
    assert!(!said.contains("hunter2") && !remedy.contains("hunter2"), "{url}: {said}; {remedy}");
}

#[tokio::test]
async fn each_tls_mode_accepts_what_it_should_and_refuses_the_rest() -> Result<()> {
    let (ours, other) = (authority("ours")?, authority("other")?);
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &ours)?;
    let tls = Tls { certificate: certificate.pem(), key: key.serialize_pem() };
    let server = Postgres::start(PostgresOptions { tls: Some(tls), ..PostgresOptions::default() }).await?;
    server.create_database("erp").await?;
    server.execute("erp", "create role sam superuser login password 'hunter2'").await?;
    let files = tempfile::tempdir()?;
    let file =
        |name: &str, text: &str| std::fs::write(files.path().join(name), text).map(|()| files.path().join(name).display().to_string());
    let (trusted, foreign, empty) = (file("ours.pem", &ours.pem())?, file("other.pem", &other.pem())?, file("empty.pem", "")?);

    let by_address = server.url_as("sam", "hunter2", "erp");
    let by_name = by_address.replace("127.0.0.1", "localhost");
    for (url, expected) in [
        (format!("{by_address}?sslmode=disable"), false),
        (by_address.clone(), true),
        (format!("{by_address}?sslmode=prefer"), true),
        (format!("{by_address}?sslmode=require"), true),
        (format!("{by_address}?sslmode=verify-ca&sslrootcert={trusted}"), true),
        (format!("{by_name}?sslmode=verify-ca&sslrootcert={trusted}"), true),
        (format!("{by_name}?sslmode=verify-full&sslrootcert={trusted}"), true),
    ] {
        let found = encrypted(&url).await.map_err(|error| anyhow::anyhow!("{url}: {error}"))?;
        assert_eq!(found, expected, "{url}");
    }
    refused(&format!("{by_address}?sslmode=verify-full&sslrootcert={trusted}"), &["127.0.0.1", "not valid for name"]).await;
    refused(&format!("{by_address}?sslmode=verify-ca&sslrootcert={foreign}"), &["no TLS", "certificate"]).await;
    refused(&format!("{by_name}?sslmode=verify-full&sslrootcert={foreign}"), &["no TLS", "certificate"]).await;
    refused(&format!("{by_name}?sslmode=verify-full"), &["no TLS", "UnknownIssuer"]).await;
    refused(&format!("{by_name}?sslmode=verify-ca"), &["no TLS", "UnknownIssuer"]).await;
    refused(&format!("{by_name}?sslmode=verify-full&sslrootcert=/no/such/file"), &["sslrootcert /no/such/file"]).await;
    refused(&format!("{by_name}?sslmode=verify-ca&sslrootcert={empty}"), &["empty.pem: it holds no certificate"]).await;
    refused(&format!("{by_name}?sslmode=allow"), &["sslmode=allow", "verify-full"]).await;

    // A look changes nothing; the sink itself writes over the same address.
    let url = format!("{by_name}?sslmode=verify-full&sslrootcert={trusted}");
    let looking = look(&Config::new(&url)).await?;
    let error = looking.batch_execute("create table forbidden ()").await.expect_err("read-only");
    assert_eq!(error.code().map(|code| code.code()), Some("25006"));
    let client = connect(&server.url("erp")).await?;
    client.batch_execute("create table regions (id int primary key)").await?;
    client.batch_execute(SCHEMA).await?;
    let rig = Rig::new().await?;
    let running = rig.erp(Config::new(&url))?;
    assert_eq!(rig.write_one(rename("w1", 1, "Acme", "customer 1")).await?.result, OutcomeResult::Applied);
    let ssl = "select bool_and(ssl) from pg_stat_ssl join pg_stat_activity using (pid) where application_name = 'concord sink'";
    assert_eq!(client.query_one(ssl, &[]).await?.get::<_, Option<bool>>(0), Some(true));
    running.stop().await
}

#[tokio::test]
async fn a_server_without_tls_and_a_wrong_password_are_told_apart() -> Result<()> {
    let server = Postgres::start(PostgresOptions::default()).await?;
    let url = server.url("postgres");
    assert!(!encrypted(&format!("{url}?sslmode=prefer")).await?);
    for mode in ["require", "verify-ca", "verify-full"] {
        refused(&format!("{url}?sslmode={mode}"), &["no TLS", "does not offer it"]).await;
    }
    for (user, password) in [("concord", "wrong"), ("nobody", "x"), ("concord", "")] {
        let error = encrypted(&server.url_as(user, password, "postgres")).await.expect_err(user);
        assert!(matches!(error, Error::Credentials { .. }), "{user}: {error:?}");
        assert!(!error.to_string().contains("wrong"), "{error}");
    }
    let nobody_there = encrypted("postgres://concord:hunter2@127.0.0.1:1/erp?sslmode=require").await.expect_err("nothing listens there");
    assert_eq!(nobody_there.class(), Class::Transient, "{nobody_there}");
    Ok(())
}
