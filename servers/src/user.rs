//! Who we are and who runs the servers: never root.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use crate::{Error, Result};

/// An account of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Whether this process runs as root.
pub(crate) fn is_root() -> bool {
    own_uid() == 0
}

/// The user id of this process.
pub(crate) fn own_uid() -> u32 {
    static UID: OnceLock<u32> = OnceLock::new();
    *UID.get_or_init(|| fs::metadata("/proc/self").map(|found| found.uid()).ok().or_else(uid_from_id).unwrap_or(u32::MAX))
}

/// Whom servers run as: `None` is ourselves; as root it is `postgres`, or `nobody` where that does not exist.
pub(crate) fn server_user() -> Option<User> {
    if !is_root() {
        return None;
    }
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    ["postgres", "nobody"].iter().find_map(|name| find(&accounts, name))
}

/// A command that runs as the servers' user.
pub(crate) fn command_as(user: Option<&User>, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    if let Some(user) = user {
        command.uid(user.uid).gid(user.gid).env("HOME", "/nonexistent");
    }
    command
}

/// Makes `path` belong to the servers' user.
pub(crate) fn give(path: &Path, user: Option<&User>) -> Result<()> {
    let Some(user) = user else { return Ok(()) };
    std::os::unix::fs::chown(path, Some(user.uid), Some(user.gid)).map_err(|source| Error::File {
        doing: "giving to the servers' user",
        path: path.to_owned(),
        source,
    })
}

/// Runs a command to its end; its output goes into the error when it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let output = command.output().map_err(|source| Error::File { doing: "running", path: command.get_program().into(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err(Error::Command { command: shown, status: output.status.to_string(), output: last_lines(&String::from_utf8_lossy(&text), 15) })
}

/// The last `count` lines of a text.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

fn uid_from_id() -> Option<u32> {
    let output = Command::new("id").arg("-u").output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

fn find(accounts: &str, name: &str) -> Option<User> {
    accounts.lines().find_map(|line| {
        let mut parts = line.split(':');
        (parts.next()? == name).then_some(())?;
        let uid = parts.nth(1)?.parse().ok()?;
        let gid = parts.next()?.parse().ok()?;
        Some(User { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let accounts = "root:x:0:0::/root:/bin/sh\npostgresql:x:5:6::/:/bin/sh\npostgres:x:101:104:admin:/var:/bin/bash\n";
        assert_eq!(find(accounts, "postgres"), Some(User { uid: 101, gid: 104 }));
        assert_eq!(find(accounts, "nobody"), None);
    }
}
