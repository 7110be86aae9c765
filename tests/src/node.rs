//! Runs the scripts of `tests/browser` with Node.js. Their packages are installed once, outside the clone.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

/// A script that is well ends long before.
const PATIENCE: Duration = Duration::from_secs(300);

fn scripts() -> PathBuf {
    // Cargo runs tests in their package; a path fixed when it was built may be another clone's that shares the build cache.
    std::path::absolute("browser").unwrap_or_else(|_| PathBuf::from("browser"))
}

/// Runs a script, with some more in its environment, and gives what it printed.
///
/// # Errors
/// When Node.js, npm or a package is missing, or the script says that something is wrong; the text holds all it printed.
pub async fn run(script: &str, arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<String> {
    let packages = tokio::task::spawn_blocking(packages).await??;
    // Node looks for packages beside the script, so the scripts go to where the packages are.
    let place = tempfile::Builder::new().prefix("concord-browser-").tempdir()?;
    for entry in fs::read_dir(scripts())? {
        let file = entry?.path();
        if file.is_file() {
            fs::copy(&file, place.path().join(file.file_name().unwrap_or_default()))?;
        }
    }
    std::os::unix::fs::symlink(packages.join("node_modules"), place.path().join("node_modules"))?;
    let running = Command::new("node")
        .arg(script)
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(place.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, running)
        .await
        .with_context(|| format!("{script} did not end within {PATIENCE:?}"))?
        .context("node cannot be started; install it with: sudo apt-get install -y nodejs npm")?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{script}: {}\n{said}", output.status);
    Ok(said)
}

/// The folder with `node_modules` for this `package.json`; made when it is not there, by one process at a time.
fn packages() -> anyhow::Result<PathBuf> {
    let manifest = fs::read(scripts().join("package.json")).context("reading package.json")?;
    let mut hasher = DefaultHasher::new();
    manifest.hash(&mut hasher);
    let cache = servers::cache_dir();
    let name = format!("browser-{:016x}", hasher.finish());
    let ready = cache.join(&name);
    fs::create_dir_all(&cache).with_context(|| format!("making {}", cache.display()))?;
    let lock = File::create(cache.join("browser.lock")).context("making the lock file")?;
    lock.lock().context("waiting for the lock file")?;
    if ready.is_dir() {
        return Ok(ready);
    }
    let part = cache.join(format!("{name}.part"));
    if part.exists() {
        fs::remove_dir_all(&part).with_context(|| format!("removing {}", part.display()))?;
    }
    fs::create_dir_all(&part).with_context(|| format!("making {}", part.display()))?;
    fs::write(part.join("package.json"), &manifest)?;
    // Nothing is lost when nobody can read it.
    let _ = writeln!(std::io::stderr().lock(), "concord: installing playwright-core and axe-core with npm into {} (once)", ready.display());
    let output = std::process::Command::new("npm")
        .args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"])
        .current_dir(&part)
        .stdin(Stdio::null())
        .output()
        .context("npm cannot be started; install it with: sudo apt-get install -y nodejs npm")?;
    ensure!(output.status.success(), "npm install in {}: {}", part.display(), String::from_utf8_lossy(&output.stderr));
    fs::rename(&part, &ready).with_context(|| format!("naming {}", ready.display()))?;
    Ok(ready)
}
