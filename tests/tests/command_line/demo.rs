//! The demo says where to look, ends on a signal, and leaves nothing behind.

use std::path::PathBuf;
use std::process::{Output, Stdio};

use serde_json::Value as Json;
use tests::program;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::{PATIENCE, text};

/// The demo in a folder for temporary files of its own; its output until it waits for people, then a signal.
async fn demo_until(signal: &str, json: bool) -> (String, Output, Vec<PathBuf>) {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().expect("a folder");
    // The private Postgres runs as another user when we are root.
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o1777)).expect("open to all");
    let mut command = Command::new(program());
    command.args(["demo", "--companies", "12", "--listen", "127.0.0.1:0", "--traffic", "100ms"]);
    if json {
        command.arg("--json");
    }
    // Standard input stays open, as a terminal's does.
    let mut child = command
        .env("TMPDIR", dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("concord");
    let stdin = child.stdin.take();
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut shown = String::new();
    let waits = |line: &str| if json { line.starts_with('{') } else { line.contains("Ctrl-C ends all of it") };
    loop {
        let line = tokio::time::timeout(PATIENCE, lines.next_line())
            .await
            .unwrap_or_else(|_| panic!("the demo is silent after:\n{shown}"))
            .expect("text");
        let Some(line) = line else {
            panic!("the demo ended after:\n{shown}{}", text(&child.wait_with_output().await.expect("ended").stderr))
        };
        shown.push_str(&line);
        shown.push('\n');
        if waits(&line) {
            break;
        }
    }
    let pid = child.id().expect("it runs").to_string();
    assert!(Command::new("kill").args([&format!("-{signal}"), &pid]).status().await.expect("kill").success());
    while let Some(line) = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("it ends").expect("text") {
        shown.push_str(&line);
        shown.push('\n');
    }
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").expect("ended");
    drop(stdin);
    let left = std::fs::read_dir(dir.path()).expect("the folder").map(|entry| entry.expect("an entry").path()).collect();
    (shown, output, left)
}

async fn gone(url: &str) -> bool {
    tokio_postgres::connect(url, tokio_postgres::NoTls).await.is_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_says_where_to_look_and_leaves_nothing_behind() {
    let (shown, output, left) = demo_until("INT", false).await;
    assert!(output.status.success(), "{shown}{}", text(&output.stderr));
    assert!(shown.contains("both sides agree on"), "{shown}");
    for what in [
        "Dashboard    http://127.0.0.1:",
        "user admin, password ",
        "Salesforce   http://127.0.0.1:",
        "ERP          postgres://",
        "a conflict that waits",
        "nothing is left behind",
    ] {
        assert!(shown.contains(what), "no {what:?} in {shown}");
    }
    let erp = shown.lines().find_map(|line| line.trim().strip_prefix("ERP ")).expect("the ERP's address").trim();
    assert!(gone(erp).await, "the demo's Postgres still runs");
    assert_eq!(left, Vec::<PathBuf>::new(), "left behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_tells_programs_where_to_look_and_ends_on_sigterm() {
    let (shown, output, left) = demo_until("TERM", true).await;
    assert!(output.status.success(), "{shown}{}", text(&output.stderr));
    let said: Json = serde_json::from_str(shown.trim()).unwrap_or_else(|error| panic!("{error}: {shown}"));
    assert_eq!(said["agreed"], true, "{said}");
    assert!(said["customers"].as_u64() > Some(0) && said["contacts"].as_u64() > Some(0), "{said}");
    assert!(said["dashboard"].as_str().is_some_and(|url| url.starts_with("http://")) && said["password"].is_string(), "{said}");
    assert!(gone(said["erp"].as_str().expect("an address")).await, "the demo's Postgres still runs");
    assert_eq!(left, Vec::<PathBuf>::new(), "left behind");
}
