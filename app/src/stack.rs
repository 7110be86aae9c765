//! A private stack on this machine: a Postgres with the sample ERP and an empty read model, a simulated Salesforce
//! org, and a configuration for them. The demo runs the pipeline in the same process; benchmarks and end-to-end tests
//! run `concord run` as a child, so that it can be measured and killed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use servers::{Kafka, Postgres, PostgresOptions};
use simulator::{Org, Simulator};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::sample;
use crate::traffic::connect;

/// What a stack is made with.
#[derive(Debug, Clone)]
pub struct StackOptions {
    /// Sample companies.
    pub companies: usize,
    /// With orders, invoices, payments and opportunities.
    pub with_money: bool,
    /// Where the log is.
    pub log: LogChoice,
    /// Where the dashboard listens; port 0 takes a free one.
    pub listen: String,
    /// The administrator's password.
    pub password: String,
    /// The ERP's commits survive a crash of the machine.
    pub durable: bool,
    /// What the org is started with.
    pub simulator: simulator::Settings,
    /// The mapping.
    pub mapping: String,
    /// Another ERP than the sample's: the SQL that makes and fills it. Salesforce then begins empty.
    pub erp: Option<String>,
    /// More lines for the configuration file.
    pub more: String,
    /// What `concord run` logs, as in `CONCORD_LOG`; none leaves it as this process has it.
    pub log_filter: Option<String>,
}

impl Default for StackOptions {
    fn default() -> Self {
        Self {
            companies: 300,
            with_money: true,
            log: LogChoice::Embedded,
            listen: "127.0.0.1:0".to_owned(),
            password: "demo-password".to_owned(),
            durable: false,
            // The real service gives whole seconds; a finer clock lets latency be shown.
            simulator: simulator::Settings { time_resolution_ms: 1, ..simulator::Settings::default() },
            mapping: sample::MAPPING.to_owned(),
            erp: None,
            more: String::new(),
            log_filter: None,
        }
    }
}

/// Where a stack's log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogChoice {
    /// On disk, in the process of the pipeline.
    Embedded,
    /// On this broker; topics get a prefix of their own.
    Broker(String),
    /// On an Apache Kafka started for this stack.
    PrivateKafka,
}

impl LogChoice {
    /// `embedded`, `private`, or a broker's `HOST:PORT`.
    pub fn parse(text: &str) -> Self {
        match text {
            "embedded" => Self::Embedded,
            "private" => Self::PrivateKafka,
            broker => Self::Broker(broker.to_owned()),
        }
    }
}

/// Two systems, and a folder for Concord's own files. Everything goes when it is dropped.
pub struct Stack {
    /// The ERP's server, which also holds the read model.
    pub postgres: Postgres,
    /// The CRM.
    pub simulator: Simulator,
    /// The broker, if it was started for this stack.
    pub kafka: Option<Kafka>,
    dir: tempfile::TempDir,
    options: StackOptions,
}

/// Database of the ERP.
pub const ERP_DATABASE: &str = "erp";
/// Database of the read model.
pub const READ_MODEL_DATABASE: &str = "concord";

impl Stack {
    /// Starts both systems and fills them with sample companies.
    ///
    /// # Errors
    /// When a server does not start; the text says why.
    pub async fn start(options: StackOptions) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("concord-").tempdir().context("making a folder for the stack")?;
        let postgres = Postgres::start(PostgresOptions { durable: options.durable, ..PostgresOptions::default() }).await?;
        let simulator = Simulator::start(options.simulator.clone()).await?;
        let kafka = match &options.log {
            LogChoice::PrivateKafka => Some(Kafka::start(servers::KafkaOptions::default()).await?),
            LogChoice::Embedded | LogChoice::Broker(_) => None,
        };
        postgres.create_database(ERP_DATABASE).await?;
        postgres.create_database(READ_MODEL_DATABASE).await?;
        let stack = Self { postgres, simulator, kafka, dir, options };
        stack.fill().await?;
        std::fs::write(stack.dir().join("ca.pem"), stack.simulator.ca_pem()).context("writing the certificate")?;
        std::fs::write(stack.mapping_path(), &stack.options.mapping).context("writing the mapping")?;
        std::fs::write(stack.config_path(), stack.config_text()).context("writing the configuration")?;
        Ok(stack)
    }

    async fn fill(&self) -> anyhow::Result<()> {
        let erp = self.erp().await?;
        if let Some(sql) = &self.options.erp {
            return erp.batch_execute(sql).await.context("making the ERP's tables");
        }
        let companies: Vec<_> = sample::companies(self.options.companies, 1).collect();
        erp.batch_execute(sample::ERP_SCHEMA).await.context("making the sample ERP's tables")?;
        let today: i32 = erp.query_one("select current_date - date '1970-01-01'", &[]).await?.get(0);
        sample::load_erp(&erp, &companies, self.options.with_money, today).await?;
        sample::load_crm(&self.org(), &companies, self.options.with_money, today)?;
        Ok(())
    }

    /// The org, for direct reads and edits.
    pub fn org(&self) -> Org {
        self.simulator.org()
    }

    /// A connection to the ERP.
    ///
    /// # Errors
    /// What Postgres says.
    pub async fn erp(&self) -> anyhow::Result<tokio_postgres::Client> {
        connect(&self.postgres.url(ERP_DATABASE)).await.context("connecting to the ERP")
    }

    /// A connection to the read model.
    ///
    /// # Errors
    /// What Postgres says.
    pub async fn read_model(&self) -> anyhow::Result<tokio_postgres::Client> {
        connect(&self.postgres.url(READ_MODEL_DATABASE)).await.context("connecting to the read model")
    }

    /// The folder of this stack.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The configuration file for `concord run`.
    pub fn config_path(&self) -> PathBuf {
        self.dir.path().join("concord.toml")
    }

    fn mapping_path(&self) -> PathBuf {
        self.dir.path().join("mapping.toml")
    }

    /// The configuration that fits this stack.
    pub fn config_text(&self) -> String {
        let dir = self.dir.path().display();
        let log = match (&self.options.log, &self.kafka) {
            (LogChoice::Broker(broker), _) => {
                kafka_section(broker, &format!("{}.", self.dir.path().file_name().unwrap_or_default().to_string_lossy()))
            }
            (_, Some(kafka)) => kafka_section(&kafka.bootstrap(), ""),
            _ => format!("kind = \"embedded\"\npath = \"{dir}/log\"\npartitions = 4\n"),
        };
        format!(
            r#"mapping = "{dir}/mapping.toml"
state_dir = "{dir}/state"

[log]
{log}
[erp]
url = "{erp}"

[crm]
login_url = "{login}"
pubsub_endpoint = "{pubsub}"
ca_file = "{dir}/ca.pem"
client_id = "{client_id}"
client_secret = "{client_secret}"

[read_model]
url = "{read_model}"

[dashboard]
listen = "{listen}"
admin_password = {{ plain = "{password}" }}
{more}
"#,
            erp = self.postgres.url(ERP_DATABASE),
            read_model = self.postgres.url(READ_MODEL_DATABASE),
            login = self.simulator.rest_url(),
            pubsub = self.simulator.pubsub_address(),
            client_id = self.options.simulator.client_id,
            client_secret = self.options.simulator.client_secret,
            listen = self.options.listen,
            password = self.options.password,
            more = self.options.more,
        )
    }

    /// Starts `concord run` as a child, with the program given, and waits until it says that it is ready.
    ///
    /// # Errors
    /// When it ends or stays silent instead; the text holds what it printed.
    pub async fn run(&self, program: &Path) -> anyhow::Result<Concord> {
        let log_path = self.dir.path().join("run.log");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&log_path).context("opening the log file")?;
        let mut child = Command::new(program)
            .args(["run", "--stop-with-stdin", "--config"])
            .arg(self.config_path())
            .envs(self.options.log_filter.as_ref().map(|filter| ("CONCORD_LOG", filter)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let stdout = child.stdout.take().context("its output")?;
        let mut lines = BufReader::new(stdout).lines();
        let ready = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await;
        match ready {
            Ok(Ok(Some(line))) if line.starts_with("ready ") => {
                let url = line.trim_start_matches("ready ").trim().to_owned();
                // Whatever else it prints must not fill the pipe.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                Ok(Concord { child, url, log_path })
            }
            other => {
                child.kill().await.ok();
                let log = std::fs::read_to_string(&log_path).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(30).collect();
                bail!("concord run did not get ready ({other:?}):\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"))
            }
        }
    }
}

fn kafka_section(broker: &str, prefix: &str) -> String {
    format!("kind = \"kafka\"\nprefix = \"{prefix}\"\npartitions = 4\n[log.kafka]\nbootstrap = \"{broker}\"\n")
}

/// A running `concord run`. Dropping it kills it.
pub struct Concord {
    child: Child,
    url: String,
    log_path: PathBuf,
}

/// What a process has used so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Processor time, user and system, in seconds.
    pub cpu_s: f64,
    /// Largest resident memory, in MiB.
    pub peak_rss_mb: f64,
}

impl Concord {
    /// The dashboard's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log_path).unwrap_or_default()
    }

    /// SIGKILL, at once.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("killing concord")
    }

    /// Asks it to stop in order, by ending its standard input, and waits.
    ///
    /// # Errors
    /// When it does not stop within 30 s, or ends with an error.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let status =
            tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await.context("concord did not stop within 30 s")??;
        if !status.success() {
            bail!("concord ended with {status}");
        }
        Ok(())
    }

    /// What it has used so far.
    ///
    /// # Errors
    /// When the system does not tell (it ended, or there is no /proc).
    pub fn usage(&self) -> anyhow::Result<Usage> {
        let pid = self.pid().context("concord has ended")?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // Fields 14 and 15 in ticks of 1/100 s; the name before them may hold blanks.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |n: usize| fields.get(n).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let peak_kb = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|text| text.parse::<f64>().ok())
            .unwrap_or(0.0);
        Ok(Usage { cpu_s: (ticks(11) + ticks(12)) / 100.0, peak_rss_mb: peak_kb / 1024.0 })
    }
}
