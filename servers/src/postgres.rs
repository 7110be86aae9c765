//! A private Postgres: loopback only, SCRAM, logical decoding on, gone when dropped.

mod binaries;

use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use binaries::{installed_postgres, packaged_postgres};

use crate::cache::cached;
use crate::guardian::{Guardian, fresh_dir};
use crate::port::free_port;
use crate::user::{self, User, command_as, give, run, server_user};
use crate::{Error, Result};
use binaries::Binaries;

const SUPERUSER: &str = "concord";
const PASSWORD: &str = "concord";
const READY_WITHIN: Duration = Duration::from_secs(30);
const PORTS_TRIED: u32 = 5;

/// How a private Postgres is run. The default is for tests: logical decoding, no fsync.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// `wal_level`: `logical` unless a test wants it wrong.
    pub wal_level: String,
    /// Whether commits survive a crash of the machine. Off is several times faster.
    pub durable: bool,
    /// Certificate and key, when the server is to speak TLS.
    pub tls: Option<Tls>,
    /// More settings, as in postgresql.conf.
    pub settings: Vec<(String, String)>,
    /// The directory of the server's programs; `None` looks for them.
    pub bin: Option<PathBuf>,
}

/// A server certificate and its key, both PEM.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The certificate chain.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        PostgresOptions { wal_level: "logical".to_owned(), durable: false, tls: None, settings: Vec::new(), bin: None }
    }
}

/// A running private Postgres. Dropping it stops the server and removes its directory.
#[derive(Debug)]
pub struct Postgres {
    guardian: Guardian,
    port: u16,
    version: String,
}

impl Postgres {
    /// Starts a server and returns when it answers.
    ///
    /// # Errors
    /// When there are no server programs and none can be fetched, or the server does not come up; the text holds
    /// the end of its log.
    pub async fn start(mut options: PostgresOptions) -> Result<Postgres> {
        let mut tried = 0;
        loop {
            tried += 1;
            let wanted = options.clone();
            let server = blocking(move || launch(&wanted)).await?;
            match server.ready().await {
                Err(_) if options.bin.is_none() && server.guardian.log().contains("SSL is not supported by this build") => {
                    options.bin = Some(blocking(binaries::packaged_with_tls).await?);
                }
                Err(_) if tried < PORTS_TRIED && server.guardian.log().contains("could not bind") => {}
                Err(error) => return Err(error),
                Ok(()) => return Ok(server),
            }
        }
    }

    /// The address of database `db`, with the superuser's name and password.
    #[must_use]
    pub fn url(&self, db: &str) -> String {
        self.url_as(SUPERUSER, PASSWORD, db)
    }

    /// The address of database `db` for another user.
    #[must_use]
    pub fn url_as(&self, user: &str, password: &str, db: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{db}", self.port)
    }

    /// The port it listens on, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's version, such as `15.18`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The server's directory: its data, its socket and `server.log`.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.guardian.dir()
    }

    /// The process id of the server while it should be running.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.guardian.server()
    }

    /// Creates an empty database.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn create_database(&self, name: &str) -> Result<()> {
        self.execute("postgres", &format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\""))).await
    }

    /// Runs SQL statements in database `db`.
    ///
    /// # Errors
    /// When the server refuses one of them.
    pub async fn execute(&self, db: &str, sql: &str) -> Result<()> {
        let fail = |source| Error::Sql { doing: format!("`{}`", sql.chars().take(120).collect::<String>()), source };
        let (client, connection) = tokio_postgres::connect(&self.url(db), tokio_postgres::NoTls).await.map_err(fail)?;
        let connection = tokio::spawn(connection);
        let done = client.batch_execute(sql).await.map_err(fail);
        drop(client);
        // It ends because the client is gone; an error of it has been the statement's.
        let _ = connection.await;
        done
    }

    /// Ends the server as a crash of its machine's power would, without removing anything; `start_again` brings it back.
    ///
    /// # Errors
    /// When its guardian is gone.
    pub fn crash(&mut self) -> Result<()> {
        self.guardian.stop("QUIT")
    }

    /// Ends the server in order, without removing anything; `start_again` brings it back.
    ///
    /// # Errors
    /// When its guardian is gone.
    pub fn shut_down(&mut self) -> Result<()> {
        self.guardian.stop("INT")
    }

    /// Starts the server again on the same port and data.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_again(&mut self) -> Result<()> {
        self.guardian.start()?;
        self.ready().await
    }

    /// Stops the server and removes its directory.
    pub fn stop(mut self) {
        self.guardian.end();
    }

    async fn ready(&self) -> Result<()> {
        let begun = Instant::now();
        let url = self.url("postgres");
        while begun.elapsed() < READY_WITHIN && self.guardian.server_runs() {
            if tokio_postgres::connect(&url, tokio_postgres::NoTls).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        Err(Error::NotReady { server: "Postgres", port: self.port, seconds: begun.elapsed().as_secs(), log: self.guardian.log_end() })
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Guardian(format!("could not be started: {error}")))?
}

fn launch(options: &PostgresOptions) -> Result<Postgres> {
    let binaries = match &options.bin {
        Some(dir) => Binaries::of(dir).ok_or_else(|| Error::File {
            doing: "no postgres and initdb of version 15 or later in",
            path: dir.clone(),
            source: std::io::ErrorKind::NotFound.into(),
        })?,
        None => Binaries::find()?,
    };
    let user = server_user();
    let template = template(&binaries, user.as_ref())?;
    let dir = fresh_dir("pg");
    let data = dir.join("data");
    let port = free_port().map_err(|source| Error::File { doing: "finding a free port for", path: dir.clone(), source })?;
    let mut guardian = Guardian::spawn(&dir, user.as_ref(), "QUIT", &command(&binaries, options, &dir, port))?;
    run(command_as(user.as_ref(), "cp").arg("-R").arg(template.join("data")).arg(&data))?;
    if let Some(tls) = &options.tls {
        place(&data.join("server.crt"), &tls.certificate, user.as_ref())?;
        place(&data.join("server.key"), &tls.key, user.as_ref())?;
    }
    guardian.start()?;
    Ok(Postgres { guardian, port, version: binaries.version })
}

/// A cluster as initdb leaves it, made once per version, programs and user.
fn template(binaries: &Binaries, user: Option<&User>) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    binaries.dir.hash(&mut hasher);
    let uid = user.map_or_else(user::own_uid, |user| user.uid);
    cached(&format!("pg-template-{}-{uid}-{:08x}", binaries.version, hasher.finish() as u32), |scratch| {
        let password = scratch.join("password");
        place(&password, PASSWORD, user)?;
        give(scratch, user)?;
        run(command_as(user, binaries.dir.join("initdb"))
            .current_dir("/")
            .arg("-D")
            .arg(scratch.join("data"))
            .args(["-U", SUPERUSER, "--encoding=UTF8", "--locale=C", "--no-sync"])
            .args(["--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile"])
            .arg(&password))
    })
}

fn command(binaries: &Binaries, options: &PostgresOptions, dir: &Path, port: u16) -> Vec<OsString> {
    let mut command: Vec<OsString> = vec![binaries.dir.join("postgres").into(), "-D".into(), dir.join("data").into()];
    let on_or_off = |on: bool| if on { "on" } else { "off" };
    let mut settings = vec![
        ("listen_addresses", "127.0.0.1".to_owned()),
        ("port", port.to_string()),
        ("unix_socket_directories", socket_directory(dir)),
        ("wal_level", options.wal_level.clone()),
        ("max_wal_senders", "20".to_owned()),
        ("max_replication_slots", "20".to_owned()),
        ("max_connections", "100".to_owned()),
        ("shared_buffers", "64MB".to_owned()),
        ("max_wal_size", "1GB".to_owned()),
        ("fsync", on_or_off(options.durable).to_owned()),
        // Off would hold changes back from logical decoding for as long as the log writer sleeps (200 ms).
        ("synchronous_commit", "on".to_owned()),
        ("full_page_writes", on_or_off(options.durable).to_owned()),
        ("ssl", on_or_off(options.tls.is_some()).to_owned()),
        ("timezone", "UTC".to_owned()),
        ("log_timezone", "UTC".to_owned()),
        ("jit", "off".to_owned()),
    ];
    settings.extend(options.settings.iter().map(|(name, value)| (name.as_str(), value.clone())));
    for (name, value) in settings {
        command.push("-c".into());
        command.push(format!("{name}={value}").into());
    }
    command
}

/// A socket's path may have 107 bytes on Linux and 103 on macOS; a server without one still listens on loopback.
fn socket_directory(dir: &Path) -> String {
    let text = dir.to_string_lossy().into_owned();
    if text.len() > 80 { String::new() } else { text }
}

fn place(path: &Path, text: &str, user: Option<&User>) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let fail = |source| Error::File { doing: "writing", path: path.to_owned(), source };
    std::fs::write(path, text).map_err(fail)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(fail)?;
    give(path, user)
}
