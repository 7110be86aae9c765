//! TLS in each mode, SCRAM, and what is said when they fail.

use anyhow::Result;
use ingest::erp::{Config, Connection, Error, Secret, Target};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use servers::{PostgresOptions, Tls};

use super::harness::World;

const ROWS: &str = "CREATE TABLE rows (id int PRIMARY KEY)";

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

async fn open(url: String) -> ingest::erp::Result<Connection> {
    let target = Target::of(&Config { url: Secret::new(url), ..Config::default() })?;
    Connection::open(&target).await
}

#[tokio::test]
async fn each_tls_mode_accepts_what_it_should_and_refuses_the_rest() -> Result<()> {
    let (ours, other) = (authority("ours")?, authority("other")?);
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &ours)?;
    let tls = Tls { certificate: certificate.pem(), key: key.serialize_pem() };
    let mut world = World::with(PostgresOptions { tls: Some(tls), ..PostgresOptions::default() }, ROWS, &["public.rows"]).await?;
    let files = tempfile::tempdir()?;
    let (trusted, foreign) = (files.path().join("ours.pem"), files.path().join("other.pem"));
    std::fs::write(&trusted, ours.pem())?;
    std::fs::write(&foreign, other.pem())?;

    let by_address = world.postgres.url("erp");
    let by_name = by_address.replace("127.0.0.1", "localhost");
    let trusted = format!("sslrootcert={}", trusted.display());
    let foreign = format!("sslrootcert={}", foreign.display());
    for accepted in [
        format!("{by_address}?sslmode=disable"),
        format!("{by_address}?sslmode=prefer"),
        format!("{by_address}?sslmode=require"),
        format!("{by_address}?sslmode=verify-ca&{trusted}"),
        format!("{by_name}?sslmode=verify-full&{trusted}"),
    ] {
        open(accepted.clone()).await.map_err(|error| anyhow::anyhow!("{accepted}: {error}"))?;
    }
    for refused in [
        format!("{by_address}?sslmode=verify-full&{trusted}"),
        format!("{by_address}?sslmode=verify-ca&{foreign}"),
        format!("{by_name}?sslmode=verify-full&{foreign}"),
        format!("{by_name}?sslmode=verify-full"),
    ] {
        assert!(matches!(open(refused.clone()).await, Err(Error::SecureConnection { .. })), "{refused}");
    }

    for (mode, encrypted) in
        [(format!("?sslmode=verify-full&{trusted}"), true), ("?sslmode=prefer".to_owned(), true), ("?sslmode=disable".to_owned(), false)]
    {
        world.config.url = Secret::new(format!("{by_name}{mode}"));
        let mut source = world.start()?;
        source.streaming().await?;
        let found: bool =
            world.ask("SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'concord'").await?;
        assert_eq!(found, encrypted, "{mode}");
        source.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_server_without_tls_and_a_wrong_password_are_told_apart() -> Result<()> {
    let world = World::new(ROWS, &["public.rows"]).await?;
    let url = world.postgres.url("erp");
    assert!(open(format!("{url}?sslmode=prefer")).await.is_ok());
    let refused = open(format!("{url}?sslmode=require")).await;
    assert!(matches!(refused, Err(Error::SecureConnection { ref reason, .. }) if reason.contains("does not offer it")), "{refused:?}");
    for (user, password, state) in [("concord", "wrong", Some("28P01")), ("nobody", "x", Some("28P01")), ("concord", "", None)] {
        let error = match open(world.postgres.url_as(user, password, "erp")).await {
            Ok(_) => anyhow::bail!("{user} got in"),
            Err(error) => error,
        };
        assert_eq!(error.state(), state, "{error}");
        assert_eq!(error.class(), stream::Class::Fatal, "{error}");
        assert!(!error.to_string().contains("wrong"), "{error}");
    }
    Ok(())
}
