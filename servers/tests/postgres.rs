//! A private Postgres starts, decodes logically, and leaves nothing behind.

use servers::{Postgres, PostgresOptions};

async fn shown(server: &Postgres, setting: &str) -> anyhow::Result<String> {
    let (client, connection) = tokio_postgres::connect(&server.url("postgres"), tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client.query_one(&format!("SHOW {setting}"), &[]).await?.get(0))
}

#[tokio::test]
async fn a_private_postgres_answers_with_logical_decoding_and_a_password() -> anyhow::Result<()> {
    let server = Postgres::start(PostgresOptions::default()).await?;
    assert_eq!(shown(&server, "wal_level").await?, "logical");
    assert_eq!(shown(&server, "max_replication_slots").await?, "20");
    assert_eq!(shown(&server, "fsync").await?, "off");
    let wrong = tokio_postgres::connect(&server.url_as("concord", "wrong", "postgres"), tokio_postgres::NoTls).await;
    let refused = wrong.err().and_then(|error| error.code().cloned());
    assert_eq!(refused, Some(tokio_postgres::error::SqlState::INVALID_PASSWORD));
    server.create_database("a \"quoted\" name").await?;
    Ok(())
}

#[tokio::test]
async fn stopping_removes_the_directory_and_frees_the_port() -> anyhow::Result<()> {
    let server = Postgres::start(PostgresOptions::default()).await?;
    let (dir, port) = (server.dir().to_owned(), server.port());
    assert!(dir.exists());
    server.stop();
    assert!(!dir.exists());
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    Ok(())
}

#[tokio::test]
async fn committed_rows_survive_a_crash_and_a_second_start() -> anyhow::Result<()> {
    let options = PostgresOptions { durable: true, ..PostgresOptions::default() };
    let mut server = Postgres::start(options).await?;
    server.execute("postgres", "CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)").await?;
    server.crash()?;
    server.start_again().await?;
    server.execute("postgres", "INSERT INTO kept SELECT n + 1 FROM kept").await?;
    server.shut_down()?;
    server.start_again().await?;
    let (client, connection) = tokio_postgres::connect(&server.url("postgres"), tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    let rows: i64 = client.query_one("SELECT count(*) FROM kept", &[]).await?.get(0);
    assert_eq!(rows, 2);
    Ok(())
}

#[tokio::test]
async fn the_packaged_server_runs_here() -> anyhow::Result<()> {
    let bin = tokio::task::spawn_blocking(servers::packaged_postgres).await??;
    let server = Postgres::start(PostgresOptions { bin: Some(bin), ..PostgresOptions::default() }).await?;
    assert_eq!(shown(&server, "wal_level").await?, "logical");
    assert!(server.version().starts_with("18."), "{}", server.version());
    Ok(())
}
