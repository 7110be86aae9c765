//! Two public clients that were not written here, against a running simulator.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::support::World;

const PYTHON_CLIENT: &str = "simple-salesforce==1.12.10";
const NODE_CLIENTS: [&str; 2] = ["salesforce-pubsub-api-client@5.5.2", "underscore@1"];

#[tokio::test(flavor = "multi_thread")]
async fn simple_salesforce_works_with_it() -> Result<()> {
    let folder = cache("python")?;
    let python = folder.join("bin/python");
    if !python.is_file() || run(Command::new(&python).args(["-c", "import simple_salesforce"])).await.is_err() {
        println!("installing {PYTHON_CLIENT} into {}", folder.display());
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))
            .await
            .context("python3 with its venv module is needed to test with simple-salesforce")?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", PYTHON_CLIENT])).await?;
    }
    let world = World::new().await?;
    let key = std::env::temp_dir().join(format!("simulator-key-{}.pem", std::process::id()));
    std::fs::write(&key, world.simulator.private_key_pem())?;
    let simulator = &world.simulator;
    let outcome = run(Command::new(&python)
        .arg(script("rest.py"))
        .args([simulator.rest_url(), simulator.client_id(), simulator.client_secret(), simulator.username()])
        .arg(&key))
    .await;
    std::fs::remove_file(&key)?;
    assert!(outcome?.ends_with("ok\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn salesforce_pubsub_api_client_works_with_it() -> Result<()> {
    let folder = cache("node")?;
    if !NODE_CLIENTS.iter().all(|package| folder.join("node_modules").join(package.split('@').next().unwrap_or_default()).is_dir()) {
        println!("installing {} into {}", NODE_CLIENTS.join(" and "), folder.display());
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("package.json"), "{\"private\": true}\n")?;
        run(Command::new("npm").current_dir(&folder).args(["install", "--no-audit", "--no-fund", "--ignore-scripts"]).args(NODE_CLIENTS))
            .await
            .context("node with npm is needed to test with salesforce-pubsub-api-client")?;
    }
    let settings = simulator::Settings { rest_tls_address: Some(([127, 0, 0, 1], 0).into()), ..Default::default() };
    let world = World::with(settings).await?;
    let simulator = &world.simulator;
    simulator.settings().update(|live| live.keepalive_ms = 300);
    let https = simulator.rest_tls_url().context("no https")?;
    let outcome = run(Command::new("node").arg(script("events.mjs")).arg(&folder).args([
        simulator.pubsub_address(),
        https,
        simulator.rest_url(),
        world.token.clone(),
    ]))
    .await
    .context("node is needed to test with salesforce-pubsub-api-client")?;
    assert!(outcome.ends_with("ok\n"), "{outcome}");
    Ok(())
}

/// A folder for installed clients, kept from run to run and outside the clone.
fn cache(name: &str) -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME") {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ => PathBuf::from(std::env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?).join(".cache"),
    };
    Ok(base.join("concord/clients").join(name))
}

fn script(name: &str) -> PathBuf {
    // Cargo runs tests in their package; a path fixed when it was built may be another clone's that shares the build cache.
    let path = Path::new("tests/clients").join(name);
    std::path::absolute(&path).unwrap_or(path)
}

async fn run(command: &mut Command) -> Result<String> {
    let shown = command.as_std().get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.with_context(|| format!("start {shown}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{shown} failed ({}):\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(text)
}
