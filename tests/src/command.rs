//! `concord` at the command line, and what it said.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value as Json;
use tokio::process::Command;

use crate::program;
use crate::world::{TOKEN, World};

/// A command that ends takes nowhere near so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Said {
    /// How it ended.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Said {
    /// What it printed, as JSON.
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }

    /// The command ended well.
    pub fn well(self) -> Self {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self
    }

    /// The command failed with one message that holds these words.
    pub fn fails(self, words: &[&str]) {
        assert_eq!(self.code, Some(1), "{}{}", self.stdout, self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in {}", self.stderr);
        }
    }
}

/// Runs `concord` against a dashboard.
pub async fn at(url: &str, arguments: &[&str]) -> Said {
    let running = Command::new(program())
        .args(arguments)
        .envs([("CONCORD_LOG", "warn"), ("CONCORD_URL", url), ("CONCORD_TOKEN", TOKEN)])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output =
        tokio::time::timeout(PATIENCE, running).await.unwrap_or_else(|_| panic!("concord {arguments:?} does not end")).expect("concord");
    Said {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs `concord` against a world's dashboard.
pub async fn concord(world: &World, arguments: &[&str]) -> Said {
    at(&world.url().await, arguments).await
}
