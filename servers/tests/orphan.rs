//! What is left of private servers when their owner is killed: nothing.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use servers::{Kafka, KafkaOptions, Postgres, PostgresOptions};

/// Set in the process that is going to be killed.
const DOOMED: &str = "CONCORD_SERVERS_DOOMED";

/// Not a test of its own: the process that the next test kills runs it to have servers to leave behind.
#[tokio::test]
async fn an_owner_that_waits_to_be_killed() -> anyhow::Result<()> {
    if std::env::var_os(DOOMED).is_none() {
        return Ok(());
    }
    let postgres = Postgres::start(PostgresOptions::default()).await?;
    let kafka = Kafka::start(KafkaOptions::default()).await?;
    for (pid, dir) in [(postgres.pid(), postgres.dir()), (kafka.pid(), kafka.dir())] {
        writeln!(std::io::stdout(), "\nserver {} {}", pid.unwrap_or_default(), dir.display())?;
    }
    // A child that inherits what it can: it must not keep the servers alive.
    let mut child = Command::new("sleep").arg("60").spawn()?;
    writeln!(std::io::stdout(), "\nchild {}", child.id())?;
    tokio::time::sleep(Duration::from_secs(60)).await;
    child.kill()?;
    Ok(())
}

#[test]
fn servers_of_a_killed_process_stop_and_their_directories_go() -> anyhow::Result<()> {
    let mut owner = Command::new(std::env::current_exe()?)
        .args(["--exact", "orphan::an_owner_that_waits_to_be_killed", "--nocapture"])
        .env(DOOMED, "1")
        .stdout(Stdio::piped())
        .spawn()?;
    let mut servers: Vec<(u32, PathBuf)> = Vec::new();
    let mut child = None;
    if let Some(output) = owner.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line?;
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["server", pid, dir] => servers.push((pid.parse()?, dir.into())),
                ["child", pid] => {
                    child = Some(pid.to_owned());
                    break;
                }
                _ => {}
            }
        }
    }
    owner.kill()?;
    owner.wait()?;
    assert_eq!(servers.len(), 2);
    let begun = Instant::now();
    while servers.iter().any(|(pid, dir)| Path::new(&format!("/proc/{pid}")).exists() || dir.exists()) {
        assert!(begun.elapsed() < Duration::from_secs(20), "left behind: {servers:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    if let Some(pid) = child {
        Command::new("kill").arg(pid).status()?;
    }
    Ok(())
}
