//! A private Apache Kafka: one node, KRaft, loopback only, tuned so that tests see in a moment what production
//! sees in minutes (compaction, aborted transactions, rebalances).

mod install;

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::cache::cached;
use crate::guardian::{Guardian, fresh_dir};
use crate::port::free_port;
use crate::user::{command_as, run, server_user};
use crate::{Error, Result};
use install::Installation;

const READY_WITHIN: Duration = Duration::from_secs(60);
const PORTS_TRIED: u32 = 5;
const STARTED: &str = "Kafka Server started";
/// The JVM's archive of the classes a broker loads.
const CLASSES: &str = "classes.jsa";

/// How a private Kafka is run.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// The JVM's largest heap, in MiB.
    pub heap_mb: u32,
    /// More broker settings; a later one wins.
    pub settings: Vec<(String, String)>,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        KafkaOptions { heap_mb: 384, settings: Vec::new() }
    }
}

/// A running private Kafka. Dropping it stops the broker and removes its directory.
#[derive(Debug)]
pub struct Kafka {
    guardian: Guardian,
    port: u16,
}

impl Kafka {
    /// Starts a broker and returns when it answers. The first start on a machine fetches Kafka with mvn.
    ///
    /// # Errors
    /// When java or mvn is missing (the text says how to install it), fetching fails, or the broker does not come
    /// up; the text holds the end of its log.
    pub async fn start(options: KafkaOptions) -> Result<Kafka> {
        let mut tried = 0;
        loop {
            tried += 1;
            let options = options.clone();
            let launched = tokio::task::spawn_blocking(move || launch(&options)).await;
            let mut server = launched.map_err(|error| Error::Guardian(format!("could not be started: {error}")))??;
            match server.ready(1).await {
                Err(_) if tried < PORTS_TRIED && server.guardian.log().contains("Address already in use") => server.guardian.end(),
                Err(error) => return Err(error),
                Ok(()) => return Ok(server),
            }
        }
    }

    /// What clients connect to: `127.0.0.1:PORT`.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The port clients connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The broker's directory: its data, its settings and `server.log`.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.guardian.dir()
    }

    /// The process id of the broker while it should be running.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.guardian.server()
    }

    /// Kills the broker without warning; `start_again` brings it back.
    ///
    /// # Errors
    /// When its guardian is gone.
    pub fn crash(&mut self) -> Result<()> {
        self.guardian.stop("KILL")
    }

    /// Makes the broker stand still with its connections open; `resume` lets it go on.
    ///
    /// # Errors
    /// When its guardian is gone.
    pub fn pause(&mut self) -> Result<()> {
        self.guardian.signal("STOP")
    }

    /// Lets a paused broker go on.
    ///
    /// # Errors
    /// When its guardian is gone.
    pub fn resume(&mut self) -> Result<()> {
        self.guardian.signal("CONT")
    }

    /// Starts the broker again on the same port and data.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_again(&mut self) -> Result<()> {
        let before = self.guardian.log().matches(STARTED).count();
        self.guardian.start()?;
        self.ready(before + 1).await
    }

    /// Stops the broker and removes its directory.
    pub fn stop(mut self) {
        self.guardian.end();
    }

    /// Waits until the log has said `starts` times that the broker has started, and its port answers.
    async fn ready(&self, starts: usize) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < READY_WITHIN && self.guardian.server_runs() {
            if self.guardian.log().matches(STARTED).count() >= starts
                && tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_ok()
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(Error::NotReady { server: "Kafka", port: self.port, seconds: begun.elapsed().as_secs(), log: self.guardian.log_end() })
    }
}

fn launch(options: &KafkaOptions) -> Result<Kafka> {
    let installation = Installation::ready()?;
    let classes = cached(&format!("kafka-classes-{}", install::VERSION), |scratch| {
        train(&installation, scratch);
        Ok(())
    })?;
    let archive = classes.join(CLASSES);
    begin(&installation, options, |_| archive.exists().then(|| format!("-XX:SharedArchiveFile={}", archive.display())))
}

/// Runs a broker once so that the JVM writes down the classes it loaded; later ones start in half the time. Where that
/// cannot be done they start as before.
fn train(installation: &Installation, scratch: &Path) {
    let trained =
        begin(installation, &KafkaOptions::default(), |dir| Some(format!("-XX:ArchiveClassesAtExit={}", dir.join(CLASSES).display())));
    let Ok(mut broker) = trained else { return };
    let begun = Instant::now();
    while broker.guardian.server_runs() && !broker.guardian.log().contains(STARTED) && begun.elapsed() < READY_WITHIN {
        std::thread::sleep(Duration::from_millis(50));
    }
    let ended = broker.guardian.stop("TERM");
    let archive = scratch.join(CLASSES);
    // The servers' user must be able to read it.
    let kept = std::fs::copy(broker.dir().join(CLASSES), &archive)
        .and_then(|_| std::fs::set_permissions(&archive, std::fs::Permissions::from_mode(0o444)));
    tracing::debug!(ended = ?ended, kept = ?kept, "archive of the broker's classes");
}

/// Starts a broker; `sharing` is the JVM's option for shared classes, given the broker's directory.
fn begin(installation: &Installation, options: &KafkaOptions, sharing: impl Fn(&Path) -> Option<String>) -> Result<Kafka> {
    let user = server_user();
    let dir = fresh_dir("kafka");
    let port = || free_port().map_err(|source| Error::File { doing: "finding a free port for", path: dir.clone(), source });
    let (clients, controller) = (port()?, port()?);
    let mut guardian = Guardian::spawn(&dir, user.as_ref(), "KILL", &command(installation, options, &dir, sharing(&dir)))?;
    run(command_as(user.as_ref(), "cp").arg("-R").arg(&installation.formatted).arg(dir.join("data")))?;
    install::write(&dir.join("server.properties"), &properties(&dir.join("data"), clients, controller, &options.settings))?;
    guardian.start()?;
    Ok(Kafka { guardian, port: clients })
}

fn command(installation: &Installation, options: &KafkaOptions, dir: &Path, sharing: Option<String>) -> Vec<OsString> {
    let mut command: Vec<OsString> = vec![installation.java.clone().into()];
    command.extend(sharing.map(OsString::from));
    command.extend([
        format!("-Xmx{}m", options.heap_mb).into(),
        "-XX:+UseSerialGC".into(),
        "-XX:+TieredCompilation".into(),
        "-Xshare:auto".into(),
        "-XX:-UsePerfData".into(),
        "-Djava.awt.headless=true".into(),
        format!("-Dlog4j2.configurationFile={}", installation.logging().display()).into(),
        "-cp".into(),
        installation.class_path().into(),
        "kafka.Kafka".into(),
        dir.join("server.properties").into(),
    ]);
    command
}

/// The broker's settings; `more` comes last and wins.
fn properties(data: &Path, clients: u16, controller: u16, more: &[(String, String)]) -> String {
    let data = data.display();
    let mut text = format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{clients},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{clients}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=4
background.threads=2
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.min.heartbeat.interval.ms=100
transaction.abort.timed.out.transaction.cleanup.interval.ms=200
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=8388608
log.cleaner.io.buffer.size=262144
log.cleaner.backoff.ms=200
log.cleaner.min.cleanable.ratio=0.01
log.retention.check.interval.ms=1000
log.segment.delete.delay.ms=500
log.initial.task.delay.ms=500
"
    );
    for (name, value) in more {
        text.push_str(&format!("{name}={value}\n"));
    }
    text
}
